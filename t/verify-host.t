#!/usr/bin/perl

# A server that verifies clients cannot be reached by Host, whether it does so
# at the server level, or in the location of one of its endpoints.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;

my $KEY = 'ff112233445566778899aabbccddee00';

# endpoint, SNI, client certificate or key, Host: the response

my @RULES = (

    # without SNI

    [ '/atls', '', '', 'localhost', 'localhost NONE' ],
    [ '/atls', '', '', 'open.example', 'open NONE' ],
    [ '/atls', '', '', 'server.example', 421 ],
    [ '/atls', '', '', 'endpoint.example', 421 ],
    [ '/atls', '', '', 'optional.example', 421 ],
    [ '/atls', '', '', 'elsewhere.example', 421 ],
    [ '/atls', '', '', 'nested.example', 421 ],
    [ '/atls', '', '', 'two.example', 421 ],
    [ '/atls', '', '', 'bare.example', 421 ],
    [ '/atls', '', '', 'psk.example', 421 ],
    [ '/atls', '', 'alice', 'endpoint.example', 421 ],
    [ '/atls', 'unknown.example', '', 'endpoint.example', 421 ],

    # clients that were verified with the same directives

    [ '/verified', '', 'alice', 'localhost', 'localhost S' ],
    [ '/verified', '', 'alice', 'open.example', 'open S' ],
    [ '/verified', '', 'alice', 'server.example', 'server S' ],
    [ '/verified', '', 'alice', 'endpoint.example', 'endpoint S' ],
    [ '/verified', '', 'alice', 'elsewhere.example', 'elsewhere S' ],
    [ '/verified', '', 'alice', 'optional.example', 421 ],
    [ '/verified', '', '', 'endpoint.example', 400 ],

    # with SNI

    [ '/atls', 'server.example', '', 'server.example', 400 ],
    [ '/atls', 'server.example', 'alice', 'server.example', 'server S' ],
    [ '/atls', 'endpoint.example', '', 'endpoint.example', 400 ],
    [ '/atls', 'endpoint.example', 'alice', 'endpoint.example', 'endpoint S' ],
    [ '/atls', 'optional.example', '', 'optional.example', 'optional NONE' ],
    [ '/atls', 'psk.example', 'psk', 'psk.example', 'psk P' ],

    # a server with two endpoints: that of the session is decisive

    [ '/atls', 'two.example', '', 'two.example', 'two NONE' ],
    [ '/strict', 'two.example', '', 'two.example', 400 ],
    [ '/strict', 'two.example', 'alice', 'two.example', 'two S' ],

    # for other endpoints, all of the server are decisive

    [ '/verified', 'two.example', '', 'two.example', 421 ],
    [ '/atls', 'elsewhere.example', '', 'elsewhere.example', 421 ],
    [ '/atls', 'nested.example', '', 'nested.example', 421 ],
    [ '/atls', 'bare.example', '', 'bare.example', 421 ],
    [ '/verified', 'bare.example', 'alice', 'bare.example', 'bare S' ],
);

my $t = Test::Atls->new(workers => 4);

$t->make_cert($_) for qw( localhost alice );
$t->write_file('psk', "device:$KEY\n");

my $verify = 'atls_verify_client on;'
             . 'atls_client_certificate %%TESTDIR%%/alice.crt;';
my $cert = 'atls_certificate %%TESTDIR%%/localhost.crt;'
           . 'atls_certificate_key %%TESTDIR%%/localhost.key;';

my @servers = (
    server('localhost', $cert, 'location = /atls { atls on; }'
                               . "location = /verified { atls on; $verify }"
                               . 'location = /strict { atls on; }'),
    server('open.example', $cert, 'location = /atls { atls on; }'),
    server('server.example', "$cert $verify", 'location = /atls { atls on; }'),
    server('endpoint.example', $cert, "location = /atls { atls on; $verify }"),
    server('optional.example', $cert, 'location = /atls { atls on;'
           . ($verify =~ s/client on/client optional/r) . '}'),
    server('elsewhere.example', $cert,
           "location = /other { atls on; $verify }"),

    # in an enclosing location

    server('nested.example', $cert,
           "location /atls { $verify location /atls/in { atls on; } }"),

    server('two.example', $cert, 'location = /atls { atls on; }'
                                 . "location = /strict { atls on; $verify }"),
    server('bare.example', '', "location = /own { atls on; $cert $verify }"),
    server('psk.example', '', 'location = /atls { atls on;'
                              . 'atls_psk_file %%TESTDIR%%/psk; }'),
);

$t->write_http(<<"EOC");
map \$atls_client_verify \$verified {
    SUCCESS S;
    PSK     P;
    default \$atls_client_verify;
}

@servers
EOC

$t->run();

for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
    for my $rule (@RULES) {
        my ($uri, $sni, $known, $host, $expected) = @$rule;

        my $c = client($uri, $sni, $known, protocol => $protocol);
        my $r = $c->get('/', Host => $host);

        is(what($r, $c), $expected,
           "$protocol, $uri, SNI '$sni', '$known', Host $host");
    }
}

# a session continues after 421

{
    my $c = client('/atls', '', '');

    is($c->get('/', Host => 'endpoint.example')->status(), 421, 'refused');
    is($c->get('/', Host => 'localhost')->status(), 200, 'and goes on');
}

$t->done_testing();


sub server {
    my ($name, $tls, $locations) = @_;

    my ($answer) = $name =~ /^(\w+)/;

    return <<"EOC";
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name $name;
        $tls
        $locations
        location / { return 200 "$answer \$verified\\n"; }
    }
EOC
}


sub client {
    my ($uri, $sni, $known, @args) = @_;

    push @args, cert => $t->path("$known.crt"), key => $t->path("$known.key")
        if $known eq 'alice';
    push @args, psk => [ 'device', $KEY ] if $known eq 'psk';

    my $c = $t->client(uri => $uri, sni => $sni, @args);

    $c->handshake() or diag("$uri, $sni: " . $c->error());

    return $c;
}


sub what {
    my ($r, $c) = @_;

    return $c->error() unless $r;
    return $r->status() == 200 ? $r->body() =~ s/\n//r : $r->status();
}
