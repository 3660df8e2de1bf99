#!/usr/bin/perl

# Which of several values in the configuration is used.  The module without
# endpoints.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Authority;
use Test::Atls::Client;
use Test::Atls::Stack qw( @STACKS );

my $t = Test::Atls->new();
my $ca = Test::Atls::Authority->new($t, 'ca');

$ca->issue('issued');
$t->make_cert('rsa', type => 'rsa');
$t->make_cert('locked', password => 'open sesame');
$t->write_file('passwords', "wrong\nopen sesame\n");
$t->write_file('plain/index.html', "plain\n");
$t->write_file('psk', "device:00112233445566778899aabbccddeeff\n");

# the value of the innermost level is used

$t->write_http(<<'EOC');
%%CERTIFICATE_rsa%%
atls_protocols TLSv1.2;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /http {
        atls on;
    }

    location /location {
        atls on;
        %%CERTIFICATE%%
        atls_protocols TLSv1.3;
    }

    location / {
        root plain;
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;

    %%CERTIFICATE_locked%%
    atls_password_file passwords;
    atls_protocols TLSv1.2 TLSv1.3;

    location /server {
        atls on;

        location /server/nested {
            return 200 "plain\n";
        }
    }

    location / {
        atls off;
        return 200 "inner\n";
    }
}
EOC

$t->run();

for my $case ([ 0, '/http', 'rsa', 'TLSv1.2' ],
              [ 0, '/location', 'localhost', 'TLSv1.3' ],
              [ 1, '/server', 'locked', 'TLSv1.3' ])
{
    my ($port, $uri, $name, $protocol) = @$case;
    my $c = Test::Atls::Client->new(port => $t->port($port), uri => $uri);

    ok($c->handshake(), $uri) or diag($c->error());
    like($c->server_cert(), qr/^\/CN=$name by/, "$uri: certificate");
    is($c->protocol(), $protocol, "$uri: protocol");
    is($c->get('/')->status(), 200, "$uri: a request");
}

like(http_raw($t->port(1), "GET /server/nested HTTP/1.0\r\n\r\n"),
     qr/^plain$/m, 'atls on is not inherited');


# the same for client verification, keys and tickets

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_verify_client on;
atls_client_certificate ca.crt;
atls_session_tickets off;
atls_early_data on;
atls_psk_file psk;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /http {
        atls on;
        return 200 "$atls_client_verify";
    }

    location /off {
        atls on;
        atls_verify_client off;
        return 200 "$atls_client_verify";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;

    atls_verify_client optional;
    atls_client_certificate rsa.crt;
    atls_session_tickets on;

    location /server {
        atls on;
        return 200 "$atls_client_verify";
    }

    location /location {
        atls on;
        atls_client_certificate ca.crt;
        atls_early_data off;
        return 200 "$atls_client_verify";
    }
}
EOC

ok($t->reload(), 'other directives');

# the client with a certificate, without one, and with a key (400: not
# sufficient); the number of tickets, and whether early data is accepted with
# one

for my $case ([ 0, '/http',     'SUCCESS', 400,    'PSK', 0, 0 ],
              [ 0, '/off',      'NONE',    'NONE', 'PSK', 0, 0 ],
              [ 1, '/server',   400,       'NONE', 'PSK', 1, 1 ],
              [ 1, '/location', 'SUCCESS', 'NONE', 'PSK', 1, 0 ])
{
    my ($port, $uri, @expected) = @$case;
    my @cert = (cert => $t->path('issued.crt'), key => $t->path('issued.key'));
    my @psk = (psk => [ 'device', '00112233445566778899aabbccddeeff' ]);
    my @args = (port => $t->port($port), uri => $uri, keepalive => 0,
                protocol => 'TLSv1.3');

    for my $stack (@STACKS) {
        my $c;
        my @seen;

        for my $known (\@cert, \@psk, []) {
            $c = Test::Atls::Stack->new($stack, @args, @$known);
            $c->handshake();

            my $r = $c->get('/');
            push @seen, !$r ? $c->error()
                        : $r->status() == 200 ? $r->body() : $r->status();
        }

        is("@seen", "@expected[0, 2, 1]", "$stack, $uri: clients");
        is($c->tickets(), $expected[3], "$stack, $uri: tickets");

        my $e = Test::Atls::Stack->new($stack, @args,
                                       session => $c->session(),
                                       early => $c->format_get('/'));
        $e->handshake();
        is($e->early_status() eq 'accepted' || 0, $expected[4],
           "$stack, $uri: early data");
        $e->get('/');
    }
}


# the module is loaded, but there is no endpoint

my $unused = Test::Atls->new();

$unused->write_http(<<'EOC');
server {
    listen 127.0.0.1:%%PORT_0%%;

    location / {
        return 200 "[$atls$atls_protocol$atls_session_id]\n";
    }
}
EOC

$unused->run();

like(http_raw($unused->port(0), "GET / HTTP/1.0\r\n\r\n"), qr/^\[\]$/m,
     'the module unused');
ok($unused->reload(), 'and after a reload');

# a reload adds an endpoint

$unused->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location / {
        return 200 "inner\n";
    }

    location /endpoint {
        atls on;
    }
}
EOC

ok($unused->reload(), 'a reload that begins to use it');

{
    my $c = $unused->client(uri => '/endpoint');

    ok($c->handshake(), 'handshake') or diag($c->error());
    is($c->get('/')->body(), "inner\n", 'request');
}

$unused->finish();
$t->done_testing();
