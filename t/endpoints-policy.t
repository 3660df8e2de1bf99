#!/usr/bin/perl

# Endpoints with the same name (atls_endpoint) share sessions only if they
# verify clients in the same way.  A session keeps the identity of its client,
# the policy and the times of the endpoint where it was created.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Authority;

my $RECORD = "\x17\x03\x03\x00\x20" . 'x' x 32;
my $KEY = 'f0112233445566778899aabbccddeeff';

my $t = Test::Atls->new(workers => 4, client => { keepalive => 0 });
my $ca = Test::Atls::Authority->new($t, 'ca');

$ca->issue($_) for qw( alice bob );
$ca->crl('ca.crl');
$t->write_file('psk', "device:$KEY\n");

my $CONF = http_conf(<<'EOC');
%%CERTIFICATE%%
atls_cookie atls path=/;
atls_client_certificate %%TESTDIR%%/ca.crt;
atls_crl %%TESTDIR%%/ca.crl;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location /on {
        atls on;
        atls_endpoint clients;
        atls_verify_client on;
        return 200 "on $atls_client_s_dn $atls_session_requests\n";
    }

    location /off {
        atls on;
        atls_endpoint clients;
        return 200 "off $atls_client_verify\n";
    }

    location /depth {
        atls on;
        atls_endpoint clients;
        atls_verify_client on;
        atls_verify_depth 2;
        return 200 "depth $atls_client_s_dn\n";
    }

    location /psk {
        atls on;
        atls_endpoint psks;
        atls_psk_file %%PSK%%;
        return 200 "psk $atls_client_s_dn$atls_client_verify\n";
    }

    location /short {
        atls on;
        atls_endpoint times;
        atls_session_timeout 1s;
        return 200 "short\n";
    }

    location /long {
        atls on;
        atls_endpoint times;
        return 200 "long\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name other.example;
    atls_verify_client %%OTHER%%;

    location / {
        atls on;
        atls_endpoint clients;
        return 200 "other $atls_client_s_dn\n";
    }

    location /psk {
        atls on;
        atls_endpoint psks;
        atls_verify_client off;
        return 200 "another psk\n";
    }
}
EOC

my @OTHER = (uri => '/', port => $t->port(1), host_header => 'other.example');

configure();
$t->run();

warned();
certificates($_) for qw( TLSv1.3 TLSv1.2 );
psks();
timeouts();
reloads();

$t->done_testing();


sub configure {
    my %values = (OTHER => 'on', PSK => $t->path('psk'), @_);

    $t->write_conf($CONF =~ s/%%(OTHER|PSK)%%/$values{$1}/gr);
}


sub client {
    my ($uri, $who, %args) = @_;

    return $t->established(uri => $uri, %args,
                           $who ? (cert => $t->path("$who.crt"),
                                   key => $t->path("$who.key")) : ());
}


sub served {
    my ($c, %args) = @_;

    $c->move(port => $t->port(0), %args);

    my $r = $c->get('/');

    return $r->body() =~ s/\n//r if $r;
    return type($c->last_response());
}


# A POST that is no part of the session: whether it would be taken.

sub tried {
    my ($c, %args) = @_;

    my $body = delete $args{body} // $RECORD;

    $c->move(port => $t->port(0), %args);

    local $c->{cookies} = { %{$c->{cookies}} };

    return type($c->post($body));
}


sub type {
    my ($r) = @_;

    my $problem = eval { decode_json($r->body()) } || {};

    return ($problem->{type} || $r->status()) =~ s/^tag:atls,2026://r;
}


sub warned {
    my @lines = $t->read_file('error.log') =~ /(\[warn\].*)/g;
    my $warning = '"atls_endpoint clients" does not share the sessions of'
                  . ' location "/on" in server "localhost", whose client'
                  . ' verification differs, in';

    is(scalar @lines, 2, 'two warnings');
    like($lines[$_], qr/\Q$warning\E \S+nginx\.conf:\d+$/, 'with their lines')
        for 0, 1;
}


sub certificates {
    my ($protocol) = @_;

    my $c = client('/on', 'alice', protocol => $protocol);
    my @off = (uri => '/off');

    is(served($c), 'on CN=alice 1', "$protocol: a certificate");
    is(served($c, @OTHER), 'on CN=alice 2', "$protocol: at another endpoint");

    is(tried($c, %$_), 'session-elsewhere', "$protocol: at $_->{uri}: refused")
        for { uri => '/off' }, { uri => '/depth' };

    is(served($c, uri => '/on'), 'on CN=alice 3', "$protocol: goes on");

    my $anonymous = client('/off', '', protocol => $protocol);

    is(served($anonymous), 'off NONE', "$protocol: without a certificate");
    is(tried($anonymous, uri => '/on'), 'session-elsewhere',
       "$protocol: refused where one is required");
    is(served($anonymous, uri => '/off'), 'off NONE', "$protocol: goes on");

    # without a certificate, it may continue where it gets the same response

    my $none = client('/on', '', protocol => $protocol);

    $none->move(@OTHER);
    is($none->get('/')->status(), 400,
       "$protocol: no certificate, at another endpoint");
}


# The key is that of the session's endpoint.

sub psks {
    my $c = client('/psk', '', protocol => 'TLSv1.2',
                   ciphers => 'PSK-AES128-GCM-SHA256',
                   psk => [ 'device', $KEY ]);

    like(served($c), qr/PSK$/, 'a pre-shared key');
    like(served($c, @OTHER, uri => '/psk'), qr/PSK$/,
         'at another endpoint without it');

    my $other = $t->established(@OTHER, uri => '/psk');

    is(served($other, uri => '/psk'), 'another psk', 'the other way');

    $t->write_file('no-psk', "another:$KEY\n");
    configure(PSK => $t->path('no-psk'));
    ok($t->reload(), 'a reload without the key');
    is(served($c, @OTHER, uri => '/psk'), 'session-refused',
       'at the other endpoint: the session has ended');

    configure();
    $t->reload();
}


# A session ends in time wherever its POSTs are received.

sub timeouts {
    my $short = client('/short', '');
    my $long = client('/long', '');
    my @parked = map { client('/long', '') } 1 .. 8;

    $_->request("GET / HTTP/1.1\r\n") for @parked;

    select undef, undef, undef, 1.5;

    is(served($long, uri => '/short'), 'long',
       'times: the other endpoint does not shorten the time');
    is(tried($short, uri => '/long'), 'session-unknown',
       'times: nor does it extend it');

    # requests in progress, some of them in other workers

    for my $c (@parked) {
        $c->move(port => $t->port(0), uri => '/short');
        like($c->request("Host: localhost\r\n\r\n"),
             qr/Connection: keep-alive.*\r\n\r\nlong\n/s,
             'times: a request in progress');
    }

    # a new session is one of the endpoint where it begins

    $short = client('/short', '');

    my $c = $t->client(uri => '/long', cookies => { %{$short->{cookies}} });

    $c->handshake_step();
    $c->exchange($c->tls_out());
    like($c->set_cookie(), qr/Max-Age=600$/, 'times: of a new session');
}


sub reloads {
    my $alice = client('/on', 'alice');
    my $bob = client('/on', 'bob');

    $alice->request("GET / HTTP/1.1\r\n");

    configure(OTHER => 'optional');
    ok($t->reload(), 'a reload with another policy of the other server');
    is(tried($bob, @OTHER), 'session-elsewhere', 'it is refused');
    is(served($bob, uri => '/on'), 'on CN=bob 1', 'and goes on');

    configure();
    ok($t->reload(), 'a reload with the previous policy');
    is(served($bob, @OTHER), 'on CN=bob 2', 'it is accepted again');

    # only the client can end a session that is not accepted any more

    my $list = $t->read_file('ca.crl');

    $ca->revoke('bob');
    $ca->crl('ca.crl');
    ok($t->reload(), 'a reload with a revoked certificate');
    is(tried($bob, @OTHER), 'not-next', 'a POST of somebody else');
    is(tried($bob, @OTHER, body => ''), 'session-refused', 'an empty one');

    my $revoked = $t->read_file('ca.crl');

    $t->replace_file('ca.crl', $list);
    ok($t->reload(), 'a reload with the previous list');
    is(served($bob, uri => '/on'), 'on CN=bob 3', 'the session continues');

    my %cookies = %{$bob->{cookies}};

    $t->replace_file('ca.crl', $revoked);
    ok($t->reload(), 'a reload with a revoked certificate');
    is(served($bob, @OTHER), 'session-refused',
       'it must be verified again, at the other endpoint');
    $bob->{cookies} = \%cookies;
    is(tried($bob, uri => '/on'), 'session-unknown', 'and is gone');

    # a request in progress is completed

    $alice->move(@OTHER);
    like($alice->request("Host: localhost\r\n\r\n"),
         qr/Connection: close.*on CN=alice 1\n/s, 'a request in progress');
    ok($alice->closed(), 'the end of its session');
}
