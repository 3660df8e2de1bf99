#!/usr/bin/perl

# What a session is known by: the cookie; and the headers of the outer answer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw( decode_base64url );
use Test::More;

use Test::Atls;
use Test::Atls::Client;

my $t = Test::Atls->new();

$t->make_cert('localhost');

$t->write_conf(<<'EOC');
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%

    atls_certificate %%TESTDIR%%/localhost.crt;
    atls_certificate_key %%TESTDIR%%/localhost.key;
    atls_handshake_timeout 2s;      # some are left unfinished

    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% ssl;

        ssl_certificate %%TESTDIR%%/localhost.crt;
        ssl_certificate_key %%TESTDIR%%/localhost.key;

        location /.well-known/atls {
            atls on;
            return 200 ok;
        }

        location = /exact {
            atls on;
            return 200 ok;
        }

        location ~ ^/regex/\d {
            atls on;
            return 200 ok;
        }
    }
}
EOC

$t->plan(40)->run();

my ($c, $r);


# attributes

$c = client();
$c->handshake_step();
$r = $c->exchange($c->tls_out());

is_deeply([ $r->header('Set-Cookie') ],
          [ 'atls=' . $c->cookie() . '; Path=/.well-known/atls; HttpOnly' ],
          'plain: one cookie with its attributes');

$c = client(port => $t->port(1), tls => 1);
$c->handshake();

is($c->set_cookie(), 'atls=' . $c->cookie()
                     . '; Path=/.well-known/atls; HttpOnly; Secure',
   'TLS: Secure');
is($c->get('/')->body(), 'ok', 'TLS: a request');

$c = client(uri => '/exact');
$c->handshake();
like($c->set_cookie(), qr!; Path=/exact; HttpOnly$!, 'exact location');
is($c->get('/')->body(), 'ok', 'exact location: a request');

$c = client(uri => '/regex/7');
$c->handshake();
like($c->set_cookie(), qr!; Path=/; HttpOnly$!, 'regex location');
is($c->get('/')->body(), 'ok', 'regex location: a request');


# when it is sent: with the first flight, and at the end

$c = client();
my @lines;

$c->handshake_step();
push @lines, $c->exchange($c->tls_out())->header('Set-Cookie');
$c->handshake();
push @lines, $c->last_response()->header('Set-Cookie');

for (1 .. 3) {
    $c->get('/');
    push @lines, $c->last_response()->header('Set-Cookie');
}

is(scalar @lines, 1, 'sent once');

my $cookie = $c->cookie();

$r = $c->close_notify();
is_deeply([ $r->header('Set-Cookie') ],
          [ 'atls=; Path=/.well-known/atls; HttpOnly; Max-Age=0' ],
          'expired at the end');

$r = $c->post('xxxxxxxx', cookie => "atls=$cookie");
is($r->status(), 410, 'the session is gone');
is_deeply([ $r->header('Set-Cookie') ],
          [ 'atls=; Path=/.well-known/atls; HttpOnly; Max-Age=0' ],
          'expired again, where it is unknown');


# the value

my (%seen, %ones);
my $n = 64;

for (1 .. $n) {
    my $c = client();

    $c->handshake_step();
    $c->exchange($c->tls_out());

    my $value = $c->cookie();
    my $bits = unpack 'B*', decode_base64url($value);

    $seen{$value}++;
    $seen{bad}++ if $value !~ /^[A-Za-z0-9_-]+$/ || length $bits < 128;
    $ones{$_} += substr $bits, $_, 1 for 0 .. 127;

    $c->handshake();
    $c->close_notify();
}

is(scalar keys %seen, $n, 'different every time');
is($seen{bad}, undef, 'base64url of 128 bits or more');

# the chance that any of 128 random bits is the same $n times: 1 in 2 ** 56

is(scalar(grep { $ones{$_} == 0 || $ones{$_} == $n } keys %ones), 0,
   'all bits vary');


# among other cookies, as a client of a larger site has them

$c = client();
$c->handshake();
$cookie = $c->cookie();

for my $line ("a=1; atls=$cookie; b=2", "xatls=1; atls=$cookie",
              "atls=$cookie;z=1", "a=\"x y\"; atls=$cookie")
{
    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $r = $c->exchange($c->tls_out(), cookie => $line);
    ok($r, "Cookie: $line") or diag($c->last_response()->status());
    like($c->read_plain(), qr/ok$/, 'found');
}


# the answer's headers

for my $type ('application/atls+octet-stream', 'application/atls') {
    $c = client(type => $type);
    ok($c->handshake(), "$type: handshake") or diag($c->error());
    is($c->last_response()->header('Content-Type'), $type,
       "$type: mirrored in a handshake");
    $c->get('/');
    is($c->last_response()->header('Content-Type'), $type,
       "$type: mirrored later");
}

for my $type ('Application/ATLS+Octet-Stream', 'application/atls ; a=b',
              'application/atls+octet-stream;charset=x')
{
    my ($plain) = lc($type) =~ /^([^\s;]+)/;

    $c = client(type => $type);
    $c->handshake_step();
    $r = $c->post($c->tls_out());
    is($r->status(), 200, "$type: taken");
    is(lc $r->header('Content-Type'), $plain, "$type: answered");
}

# the next POST of a session may have the other one

$c = client();
$c->handshake();
$c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
$r = $c->post($c->tls_out(), type => 'application/atls');
is($r->header('Content-Type'), 'application/atls', 'each POST has its own');

$c = client();
$c->handshake_step();
is($c->exchange($c->tls_out())->header('Cache-Control'), 'no-store',
   'no-store: first flight');
$c->handshake();
is($c->last_response()->header('Cache-Control'), 'no-store',
   'no-store: second flight');
$c->get('/');
is($c->last_response()->header('Cache-Control'), 'no-store',
   'no-store: request');
is($c->last_response()->header('Transfer-Encoding'), undef,
   'a small answer has a length');
$c->close_notify();
is($c->last_response()->header('Cache-Control'), 'no-store',
   'no-store: closure');


sub client {
    return Test::Atls::Client->new(port => $t->port(0), @_);
}
