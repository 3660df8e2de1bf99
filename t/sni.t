#!/usr/bin/perl

# Server names: what a ClientHello asks for picks the certificate and who is let
# in, as it does over HTTPS; and no way around that by the Host of a request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Authority;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Stack qw( @STACKS );

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

# SNI, the certificate, the server

my @NAMES = (
    [ '', 'a', 'a' ],
    [ 'a.example', 'a', 'a' ],
    [ 'unknown.example', 'a', 'a' ],
    [ 'b.example', 'b', 'b' ],
    [ 'www.b.example', 'b', 'b' ],
    [ 'B.Example', 'b', 'b' ],
    [ 'b.example.', 'b', 'b' ],
    [ 'x.wild.example', 'wild', 'wild' ],
    [ 'x.y.wild.example', 'wild', 'wild' ],
    [ 'wild.example', 'a', 'a' ],
    [ 'some.re.example', 're', 're some' ],
    [ 'c.example', 'c-endpoint', 'c' ],         # an endpoint of the same name
    [ 'bare.example', 'a', 'bare' ],            # no certificate
);

# SNI, certificate of the client, Host: what is served

my @RULES = (

    # the server that was asked for, under any of its names

    [ 'b.example', '', 'b.example', 'b' ],
    [ 'b.example', '', 'www.b.example', 'b' ],
    [ 'www.b.example', '', 'b.example:8080', 'b' ],
    [ 'b.example', '', 'nobody.example', 'b' ],
    [ 'b.example', '', 'B.EXAMPLE.', 'b' ],
    [ 'x.wild.example', '', 'y.wild.example', 'wild' ],
    [ 'some.re.example', '', 'other.re.example', 're other' ],

    # and no other one

    [ 'b.example', '', 'a.example', 421 ],
    [ 'b.example', '', 'c.example', 421 ],
    [ 'b.example', '', 'bare.example', 421 ],
    [ 'b.example', '', 'verify.example', 421 ],
    [ 'a.example', '', 'b.example', 421 ],
    [ 'c.example', '', 'a.example', 421 ],
    [ 'bare.example', '', 'a.example', 421 ],
    [ 'x.wild.example', '', 'some.re.example', 421 ],
    [ 'some.re.example', '', 'x.wild.example', 421 ],

    # who has not asked may name any, but for those that verify clients

    [ '', '', 'a.example', 'a' ],
    [ '', '', 'b.example', 'b' ],
    [ '', '', 'some.re.example', 're some' ],
    [ '', '', 'bare.example', 'bare' ],
    [ '', '', 'nobody.example', 'a' ],
    [ 'unknown.example', '', 'b.example', 'b' ],
    [ 'unknown.example', '', 'c.example', 'c' ],

    [ '', '', 'verify.example', 421 ],
    [ '', 'alice', 'verify.example', 421 ],
    [ 'unknown.example', 'alice', 'verify.example', 421 ],
    [ 'unknown.example', '', 'optional.example', 421 ],
    [ '', '', 'bare-verify.example', 421 ],
    [ 'bare-verify.example', '', 'bare-verify.example', 421 ],
    [ 'bare-verify.example', '', 'a.example', 421 ],

    # which is who is let in by the same rules, whatever the server

    [ 'verify.example', '', 'verify.example', 400 ],
    [ 'verify.example', 'stranger', 'verify.example', 400 ],
    [ 'verify.example', 'alice', 'verify.example', 'verify' ],
    [ 'verify.example', 'alice', 'b.example', 421 ],
    [ 'verify.example', '', 'b.example', 400 ],
    [ 'optional.example', '', 'optional.example', 'optional' ],
    [ 'optional.example', 'stranger', 'optional.example', 400 ],
    [ 'optional.example', '', 'verify.example', 421 ],
);

# Likewise, of servers that have directives for clients, and no certificate: the
# same as the endpoint's, or others.

my @INHERITED = (
    [ '', '', 'strict.example', 400 ],
    [ '', '', 'same.example', 400 ],
    [ 'same.example', '', 'same.example', 400 ],
    [ '', 'alice', 'strict.example', 'strict' ],
    [ '', 'alice', 'same.example', 'same' ],
    [ '', 'alice', 'stricter.example', 421 ],
    [ '', 'alice', 'nobody.example', 421 ],
    [ 'same.example', 'alice', 'same.example', 'same' ],
    [ 'same.example', 'alice', 'strict.example', 421 ],
    [ 'stricter.example', 'alice', 'stricter.example', 421 ],
    [ 'nobody.example', 'alice', 'nobody.example', 421 ],
);

# uri, SNI, certificate of the client, Host: what is served

my @PINNED = (
    [ '/pinned', '', '', 'a.example', 'pinned a' ],
    [ '/pinned', '', '', 'b.example', 'pinned a' ],
    [ '/pinned', '', 'alice', 'verify.example', 421 ],
    [ '/pinned', 'a.example', '', 'a.example', 'pinned a' ],
    [ '/pinned', 'a.example', '', 'c.example', 421 ],
    [ '/pinned', 'b.example', '', 'b.example', 'pinned a' ],
    [ '/pinned', 'b.example', '', 'a.example', 421 ],
    [ '/pinned', 'c.example', '', 'c.example', 'pinned c' ],
    [ '/pinned', 'c.example', '', 'nobody.example', 'pinned c' ],
    [ '/pinned', 'c.example', '', 'a.example', 421 ],
    [ '/pinned', 'verify.example', '', 'verify.example', 400 ],
    [ '/pinned', 'verify.example', 'alice', 'verify.example', 'pinned a' ],

    # pinned in one server only

    [ '/mixed', 'a.example', '', 'a.example', 'a' ],
    [ '/mixed', 'c.example', '', 'c.example', 'mixed c' ],
);

my $LONG = join('.', 'x' x 60, 'y' x 60) . '.wild.example';

# What a server_name extension must not be, and the alert.

use constant { ILLEGAL_PARAMETER => 47, DECODE_ERROR => 50,
               PROTOCOL_VERSION => 70, NO_APPLICATION_PROTOCOL => 120 };

my @MALFORMED = (
    [ 'empty', '', DECODE_ERROR ],
    [ 'half a length', "\0", DECODE_ERROR ],
    [ 'an empty list', pack('n', 0), DECODE_ERROR ],
    [ 'no name', pack('n C n', 3, 0, 0), DECODE_ERROR ],
    [ 'a list too long', pack('n C n/a', 13, 0, 'b.example'), DECODE_ERROR ],
    [ 'a list too short', pack('n C n/a', 11, 0, 'b.example'), DECODE_ERROR ],
    [ 'a name too long', pack('n C n a*', 12, 0, 10, 'b.example'),
      DECODE_ERROR ],
    [ 'a name too short', pack('n C n a*', 12, 0, 8, 'b.example'),
      DECODE_ERROR ],
    [ 'a name of 64 KB', pack('n C n a*', 12, 0, 65535, 'b.example'),
      DECODE_ERROR ],
    [ 'another type', pack('n C n/a', 12, 1, 'b.example'), DECODE_ERROR ],
    [ 'two names', pack('n C n/a C n/a', 24, 0, 'b.example', 0, 'a.example'),
      DECODE_ERROR ],
    [ 'a null character', pack('n C n/a', 12, 0, "b.exampl\0"),
      DECODE_ERROR ],
    [ 'a name of 256 bytes', pack('n C n/a', 259, 0, 'x' x 256),
      DECODE_ERROR ],
    [ 'two of it', undef, ILLEGAL_PARAMETER ],
);

my $t = Test::Atls->new();

my $has_h2 = $t->has_option('http_v2_module');
my ($listen_h2, $http2) = !$has_h2 ? ('', '')
                          : $t->has_version('1.25.1') ? ('', 'http2 on;')
                                                      : (' http2', '');

make_certificates();
configure();

$t->run();

Test::Atls::Backend->start($t, $t->port(2));

my @kept;

for my $stack (@STACKS) {
    for my $protocol (@PROTOCOLS) {
        my $on = { name => "$stack, $protocol", stack => $stack,
                   protocol => $protocol };

        picked($on, @$_) for @NAMES;
        long_name($on);
        ruled($on, 0, @RULES);
        ruled($on, 4, @INHERITED);
        requests($on);
        pinned($on);
        resumed($on);
        alpn($on);

        push @kept, $on;
    }

    protocols($stack);
    hello_retry($stack);
    outer_http2($stack);
}

malformed(@$_) for @MALFORMED;

is(client({ stack => 'openssl' }, sni => 'b.example')->get('/')->status(), 200,
   'after all that, a well-formed name');
like($t->read_file('error.log'), qr/\[info\] .*client sent invalid server name/,
     'the log says so');

reloaded();

$t->done_testing();


sub make_certificates {
    $t->make_cert($_) for qw( a b c c-endpoint wild re verify h1 h2 stranger );

    my $ca = Test::Atls::Authority->new($t, 'ca');

    $ca->issue('alice');
    $ca->crl('ca.crl');
}


# The configuration: the first server has endpoints for all names, but "c" has
# its own.

sub configure {
    my (@names) = @_ ? @_ : qw( b verify );

    my %servers = servers();
    my %http2 = (LISTEN_H2 => $listen_h2, HTTP2 => $http2);
    my $conf = http_conf(<<'EOC');
%%HTTP2%%

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    server_name a.example alias.example;

%%CERT_a%%

    location = /atls {
        atls on;
    }

    location = /mixed {
        atls on;
    }

    location = /pinned {
        atls on;
        return 200 "pinned a\n";
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_2%%/body;
    }

    location / {
        return 200 "%%WHO:a%%";
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name c.example;

%%CERT_c%%

    location = /atls {
        atls on;
%%CERT_c-endpoint%%
    }

    location = /mixed {
        atls on;
        return 200 "mixed c\n";
    }

    location = /pinned {
        atls on;
        return 200 "pinned c\n";
    }

    location / {
        return 200 "%%WHO:c%%";
    }
}

%%SERVERS%%
server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name old.example;
    atls_protocols TLSv1.2;

%%CERT_a%%

    location = /atls {
        atls on;
    }

    location / {
        return 200 "$atls_protocol $atls_cipher";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name new.example;
    atls_protocols TLSv1.3;

%%CERT_b%%

    location / {
        return 200 "$atls_protocol";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name both.example;
    atls_ciphers ECDHE-ECDSA-CHACHA20-POLY1305;

%%CERT_c%%

    location / {
        return 200 "$atls_protocol $atls_cipher";
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name strict.example;

%%CERT_verify%%
%%VERIFY%%

    location = /atls {
        atls on;
    }

    location / {
        return 200 "%%WHO:strict%%";
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name same.example;

%%VERIFY%%

    location / {
        return 200 "%%WHO:same%%";
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name stricter.example;
    atls_crl %%TESTDIR%%/ca.crl;

%%VERIFY%%

    location / {
        return 200 "%%WHO:stricter%%";
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name nobody.example;
    atls_verify_client on;

    location / {
        return 200 "%%WHO:nobody%%";
    }
}

server {
    listen 127.0.0.1:%%PORT_3%%;
    listen 127.0.0.1:%%PORT_5%%%%LISTEN_H2%%;
    server_name h1.example;
    atls_ecdh_curve secp384r1;

%%CERT_h1%%

    location = /atls {
        atls on;
    }
}

server {
    listen 127.0.0.1:%%PORT_3%%;
    listen 127.0.0.1:%%PORT_5%%;
    server_name h2.example;

%%CERT_h2%%

    location / {
        return 200 "h2 $atls_server_name $atls_curve";
    }
}
EOC

    $conf =~ s/%%SERVERS%%/join '', map { $servers{$_} } @names, 'always'/e;
    $conf =~ s/%%(LISTEN_H2|HTTP2)%%/$http2{$1}/g;
    $conf =~ s/%%VERIFY%%\n/verifying('on')/ge;
    $conf =~ s/%%CERT_([\w-]+)%%/certificate($1)/ge;
    $conf =~ s/%%WHO:(.*?)%%/who($1)/ge;

    $t->write_conf($conf);
}


# Those without an endpoint.

sub servers {
    my $verify = verifying('on');

    return (
        b => server('b.example www.b.example', 'b', certificate('b')),
        verify => server('verify.example', 'verify', certificate('verify'),
                         $verify),
        late => server('late.example', 'late', certificate('b'), $verify),
        always => join('', server('*.wild.example', 'wild',
                                  certificate('wild')),
                           server('~^(?<x>.+)\.re\.example$', 're $x',
                                  certificate('re')),
                           server('optional.example', 'optional',
                                  certificate('verify'),
                                  verifying('optional')),
                           server('bare.example', 'bare'),
                           server('bare-verify.example', 'bare-verify',
                                  $verify)),
    );
}


sub server {
    my ($names, $text, @directives) = @_;

    my $who = who($text);

    return <<"EOC";
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name $names;

@directives
        location / {
            return 200 "$who";
        }
    }

EOC
}


# What a server answers: its name, and what the session is.

sub who {
    my ($text) = @_;

    return "$text\\n\$atls_server_name\\n\$atls_session_reused "
           . "\$atls_client_verify\\n\$pid\\n";
}


sub certificate {
    my ($name) = @_;

    return "        atls_certificate %%TESTDIR%%/$name.crt;\n"
           . "        atls_certificate_key %%TESTDIR%%/$name.key;\n";
}


sub verifying {
    my ($how) = @_;

    return "        atls_verify_client $how;\n"
           . "        atls_client_certificate %%TESTDIR%%/ca.crt;\n";
}


sub client {
    my ($on, %args) = @_;

    my $who = delete $args{who};

    @args{qw( cert key )} = ($t->path("$who.crt"), $t->path("$who.key"))
        if defined $who && $who ne '';

    my $c = $t->stack($on->{stack}, protocol => $on->{protocol}, uri => '/atls',
                      keepalive => 0, %args);

    $c->handshake();

    return $c;
}


# The first lines of an answer, one after the other, or another status: the
# POST's, if it is that.

sub said {
    my ($c, $request, $lines) = @_;

    my $r = $c->http($request);

    if (!$r) {
        $r = $c->last_response() or return 'no answer';
        return 'POST: ' . $r->status();
    }

    return $r->status() if $r->status() != 200;
    return join '|', (split /\n/, $r->body())[0 .. ($lines || 1) - 1];
}


sub get {
    my ($host) = @_;

    return Test::Atls::Client::format_request('GET', '/', '', Host => $host);
}


sub picked {
    my ($on, $sni, $cert, $server) = @_;

    my $name = "$on->{name}, SNI '$sni'";
    my $c = client($on, sni => $sni);

    is($c->error(), '', "$name: handshake");
    is($c->server_cert(), "/CN=$cert by /CN=$cert", "$name: certificate");

    my $r = $c->http(get($sni || 'a.example'));
    my ($text, $said) = $r ? split /\n/, $r->body() : '';

    is($text, $server, "$name: server");

    # GnuTLS sends names as they are in the DNS

    like($said, qr/^\Q$sni\E$/i, "$name: the name, as it was sent");
}


# Of a name that does not fit into the session, all is known to all workers.

sub long_name {
    my ($on) = @_;

    my $c = client($on, sni => $LONG);
    my (%answers, %workers);

    for (1 .. 20) {
        my ($server, $sni, $session, $pid) = split /\|/,
                                             said($c, get($LONG), 4);

        $answers{"$server $sni"}++;
        $workers{$pid}++;
    }

    is_deeply(\%answers, { "wild $LONG" => 20 },
              "$on->{name}, a long name: it is known");
    cmp_ok(scalar keys %workers, '>', 1, "$on->{name}, a long name: anywhere");

    # the outer Host picks the endpoint, as that of any request

    $c = client($on, sni => '', host_header => 'c.example');
    is($c->server_cert(), '/CN=c-endpoint by /CN=c-endpoint',
       "$on->{name}: an endpoint by the outer Host");
    is(said($c, get('nobody.example')), 'c',
       "$on->{name}: whose server is the default");
}


# One session for all requests with the same SNI, which a 421 does not end.

sub ruled {
    my ($on, $port, @rules) = @_;

    my %clients;

    for (@rules) {
        my ($sni, $who, $host, $expected) = @$_;
        my $c = \$clients{"$sni $who"};

        $$c = client($on, port => $t->port($port), sni => $sni, who => $who)
            unless $$c && $$c->cookie();

        is(said($$c, get($host)), $expected,
           "$on->{name}, SNI '$sni', certificate '$who', Host '$host'");
    }
}


# Other ways to say which server is meant, or none.

sub requests {
    my ($on) = @_;

    my $absolute = "GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n";
    my $none = "GET / HTTP/1.0\r\n\r\n";
    my $empty = "GET / HTTP/1.1\r\nHost:\r\n\r\n";

    for ([ '', $none, 'a' ], [ 'b.example', $none, 'b' ],
         [ 'b.example', sprintf($absolute, 'b.example', 'a.example'), 'b' ],
         [ 'b.example', sprintf($absolute, 'a.example', 'b.example'), 421 ],
         [ '', sprintf($absolute, 'b.example', 'a.example'), 'b' ],
         [ '', sprintf($absolute, 'verify.example', 'a.example'), 421 ],
         [ 'b.example', "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n", 421 ])
    {
        my ($sni, $request, $expected) = @$_;

        is(said(client($on, sni => $sni), $request), $expected,
           "$on->{name}, SNI '$sni': " . $request =~ s/\r\n/ /gr);
    }

    # one after the other, each is for another server

    my @r = client($on, sni => '')->responses(
                join '', map { get($_) } qw( b.example verify.example
                                             a.example ));
    is(join(' ', map { $_->status() == 200 ? $_->body() =~ /(.*)/
                                           : $_->status() } @r), 'b 421 a',
       "$on->{name}: pipelined requests");
}


sub pinned {
    my ($on) = @_;

    for (@PINNED) {
        my ($uri, $sni, $who, $host, $expected) = @$_;
        my $c = client($on, uri => $uri, sni => $sni, who => $who);

        is(said($c, get($host)), $expected,
           "$on->{name}, $uri, SNI '$sni', certificate '$who', Host '$host'");
    }
}


# A ticket is good at the server it is of.

sub resumed {
    my ($on) = @_;

    my %of = (b => ticket($on, sni => 'b.example'),
              verify => ticket($on, sni => 'verify.example', who => 'alice'));

    # ticket of, SNI, certificate of the client, what is said of the session

    for ([ b => 'b.example', '', 'b|b.example|r NONE' ],
         [ b => 'a.example', '', 'a|a.example|. NONE' ],
         [ b => 'verify.example', '', 400 ],
         [ b => 'verify.example', 'alice',
           'verify|verify.example|. SUCCESS' ],
         [ verify => 'verify.example', '', 'verify|verify.example|r SUCCESS' ],
         [ verify => 'b.example', 'alice', 'b|b.example|. NONE' ],
         [ verify => 'optional.example', '',
           'optional|optional.example|. NONE' ])
    {
        my ($ticket, $sni, $who, $expected) = @$_;
        my $c = client($on, sni => $sni, who => $who,
                       session => $of{$ticket});

        is(said($c, get($sni), 3), $expected,
           "$on->{name}, a ticket of $ticket, SNI '$sni', "
           . "certificate '$who'");
    }
}


sub ticket {
    my ($on, %args) = @_;

    my $c = client($on, %args);

    said($c, get($args{sni}));

    return $c->session();
}


sub alpn {
    my ($on) = @_;

    my $name = "$on->{name}, ALPN";

    for ([ [ 'http/1.1' ], 'http/1.1' ], [ [ 'h2', 'http/1.1' ], 'http/1.1' ],
         [ undef, undef ])
    {
        my ($offered, $chosen) = @$_;
        my $c = client($on, sni => 'b.example',
                       $offered ? (alpn => $offered) : ());

        is($c->alpn(), $chosen, "$name: of " . join ' ', @{$offered || []});
    }

    my $c = client($on, sni => 'b.example', alpn => [ 'h2' ]);
    is($c->alert(), NO_APPLICATION_PROTOCOL, "$name: nothing in common");

    raw($on, $name);
}


# What is no HTTP is not asked what it is; but who it is of.

sub raw {
    my ($on, $name) = @_;

    my $c = client($on, uri => '/raw', sni => 'b.example', alpn => [ 'h2' ]);

    is($c->alpn(), undef, "$name, raw: none");
    is($c->request("\0\1\2"), "\0\1\2", "$name, raw: the payload");

    $c = client($on, uri => '/raw', sni => 'verify.example');
    is($c->request("\0\1\2"), '', "$name, raw: no certificate");
    is($c->last_response()->status(), 502, "$name, raw: no certificate: 502");

    $c = client($on, uri => '/raw', sni => 'verify.example', who => 'alice');
    is($c->request("\0\1\2"), "\0\1\2", "$name, raw: a certificate");
    is($c->last_response()->status(), 200, "$name, raw: a certificate: 200");
}


# Versions and suites of the server that is asked for.

sub protocols {
    my ($stack) = @_;

    my @both = (min => 'TLSv1.2', max => 'TLSv1.3');

    # SNI, versions of the client, what is said or the alert

    for ([ '', [ @both ], qr/^TLSv1.2 ECDHE-ECDSA-\S+$/ ],
         [ '', [ protocol => 'TLSv1.3' ], PROTOCOL_VERSION ],
         [ 'new.example', [ @both ], qr/^TLSv1.3$/ ],
         [ 'new.example', [ protocol => 'TLSv1.2' ], PROTOCOL_VERSION ],
         [ 'both.example', [ @both ], qr/^TLSv1.3 TLS_\S+$/ ],
         [ 'both.example', [ protocol => 'TLSv1.2' ],
           qr/^TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305$/ ])
    {
        my ($sni, $versions, $expected) = @$_;
        my $c = client({ stack => $stack }, port => $t->port(1), sni => $sni,
                       @$versions);
        my $name = "$stack, SNI '$sni', versions @$versions";

        if (ref $expected) {
            like(said($c, get($sni || 'old.example')), $expected, $name);
        } else {
            is($c->alert(), $expected, $name);
        }
    }
}


# The ClientHello comes twice.

sub hello_retry {
    my ($stack) = @_;

    my $c = client({ stack => $stack, protocol => 'TLSv1.3' },
                   port => $t->port(3), sni => 'h2.example',
                   groups => 'P-256:P-384');
    my $name = "$stack, HelloRetryRequest";

    is($c->posts(), 3, "$name: a round trip more") or diag($c->error());
    is($c->server_cert(), '/CN=h2 by /CN=h2', "$name: certificate");
    is(said($c, get('h2.example')), 'h2 h2.example secp384r1', "$name: server");
    is(said($c, get('h1.example')), 421, "$name: and no other");
}


# Names are looked up among those of the address, which the connection of an
# HTTP/2 stream knows too.

sub outer_http2 {
    my ($stack) = @_;

    my $name = "$stack, over HTTP/2";

    SKIP: {
        skip 'no http_v2_module', 3 unless $has_h2;

        my $c = client({ stack => $stack }, port => $t->port(5), outer => 'h2',
                       sni => 'h2.example', groups => 'P-384');

        is($c->server_cert(), '/CN=h2 by /CN=h2', "$name: certificate");
        like(said($c, get('h2.example')), qr/^h2 h2.example/, "$name: server");
        is(said($c, get('h1.example')), 421, "$name: and no other");
    }
}


# A ClientHello with this in its server_name extension, or with two of it.

sub malformed {
    my ($name, $body, $alert) = @_;

    my $c = $t->client(uri => '/atls', sni => 'b.example');

    $c->handshake_step();

    my $r = $c->post(forge($c->tls_out(), $body));

    is($r && $r->status(), 200, "SNI, $name: status");
    is(unpack('H*', $r ? $r->body() =~ s/^(.)..(.*)/$1$2/sr : ''),
       unpack('H*', pack 'C n C2', 21, 2, 2, $alert), "SNI, $name: alert");
    is($c->cookie(), undef, "SNI, $name: no session");
}


sub forge {
    my ($hello, $body) = @_;

    my ($start, $extensions) =
        unpack 'x9 a34 X34 x34 C/x n/x C/x n/a', $hello;
    my $length = length($hello) - 9 - 2 - length $extensions;

    $start = substr $hello, 9, $length;

    my $all = '';

    while ($extensions ne '') {
        my ($type, $data) = unpack 'n n/a', $extensions;

        substr $extensions, 0, 4 + length $data, '';
        $data = $body if $type == 0 && defined $body;
        $all .= pack 'n n/a', $type, $data;
        $all .= pack 'n n/a', $type, $data if $type == 0 && !defined $body;
    }

    $start .= pack 'n/a', $all;

    return pack 'C n n/a', 22, 0x0301,
                pack('C C n', 1, 0, length $start) . $start;
}


# Servers that come and go under their sessions.

sub reloaded {
    keep($_) for @kept;

    configure('late');
    ok($t->reload(), 'reload with other servers');

    after_change($_) for @kept;
}


sub keep {
    my ($on) = @_;

    my %of = (b => [ 'b.example' ], verify => [ 'verify.example', 'alice' ],
              late => [ 'late.example', 'alice' ], c => [ 'c.example' ]);

    for (keys %of) {
        my ($sni, $who) = @{$of{$_}};
        my $c = $on->{clients}{$_} = client($on, sni => $sni, who => $who);

        said($c, get($sni));
        $on->{tickets}{$_} = $c->session();
    }
}


sub after_change {
    my ($on) = @_;

    my $name = "$on->{name}, other servers";
    my $c = $on->{clients};

    # "b" was no stricter than the endpoint's own server is

    is(said($c->{b}, get('b.example')), 'a', "$name: one that is gone");
    is(said($c->{b}, get('late.example')), 421,
       "$name: its sessions get nowhere else");
    is(said($c->{verify}, get('verify.example')), 'POST: 410',
       "$name: one that has verified its clients");
    is(said($c->{late}, get('a.example')), 'POST: 410',
       "$name: one that does so now");
    is(said($c->{c}, get('c.example')), 'c', "$name: one that stays");

    for ([ b => 'b.example', '', 'a|b.example|. NONE' ],
         [ verify => 'verify.example', 'alice', 'a|verify.example|. NONE' ],
         [ late => 'late.example', '', 400 ],
         [ late => 'late.example', 'alice', 'late|late.example|. SUCCESS' ],
         [ c => 'c.example', '', 'c|c.example|r NONE' ])
    {
        my ($ticket, $sni, $who, $expected) = @$_;
        my $resumed = client($on, sni => $sni, who => $who,
                             session => $on->{tickets}{$ticket});

        is(said($resumed, get($sni), 3), $expected,
           "$name: a ticket of $ticket, certificate '$who'");
    }
}
