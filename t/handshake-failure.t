#!/usr/bin/perl

# Failed handshakes: alerts of both sides are sent with 200, and the session
# ends.  Handshakes that take too long, and too many handshakes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls;
use Test::Atls::Http qw( send_all );
use Test::Atls::Slow qw( slow );

my $t = Test::Atls->new();
my $short = 0.3 * slow();

$t->make_cert('ca', is_ca => 1);

$t->write_http(<<'EOC' =~ s/%%SHORT%%/1000 * $short/er);
%%CERTIFICATE%%
atls_max_handshakes 1;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /atls {
        atls on;
        return 200 ok;
    }

    location /tls12 {
        atls on;
        atls_protocols TLSv1.2;
        atls_ciphers ECDHE-ECDSA-AES256-GCM-SHA384;
        return 200 ok;
    }

    location /short {
        atls on;
        atls_handshake_timeout %%SHORT%%ms;
        return 200 ok;
    }
}
EOC

$t->run();

# each client uses one connection for all POSTs, and thus one worker, which can
# have one handshake

my ($c, $r);


# the client does not trust the certificate

for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
    $c = client('/atls', protocol => $protocol, ca => $t->path('ca.crt'));

    $c->handshake_step();
    $c->exchange($c->tls_out());
    my $cookie = $c->cookie();

    ok($cookie, "$protocol: the server's first flight");
    ok(!$c->handshake_step() && $c->error(), "$protocol: the client gives up");

    $r = $c->exchange($c->tls_out());

    is($r && $r->status(), 200, "$protocol: its alert is taken");
    is($r && $r->body(), '', "$protocol: there is nothing to say to it");
    like($c->set_cookie(), qr/^atls=;.*; Max-Age=0/,
         "$protocol: expired cookie");
    is($c->cookie(), undef, "$protocol: no cookie any more");

    $r = $c->post("\x17\x03\x03\x00\x10" . 'x' x 16,
                  cookie => "atls=$cookie");
    is($r->status(), 410, "$protocol: no session any more");
}


# nothing in common: an alert of the server

$c = client('/tls12', protocol => 'TLSv1.3');
refused($c, 'no shared version', 70);

$c = client('/tls12', protocol => 'TLSv1.2',
            ciphers => 'ECDHE-ECDSA-AES128-GCM-SHA256');
refused($c, 'no shared cipher', 40);

$c = client('/atls');
$c->handshake_step();
my $hello = $c->tls_out();
substr $hello, 5, 1, "\x02";            # a ServerHello
$c->exchange($hello);
is($c->last_response()->status(), 410, 'other message: of no session');
is($c->set_cookie(), undef, 'other message: no cookie');


# atls_handshake_timeout

$c = client('/short');
$c->handshake_step();
$c->exchange($c->tls_out());
ok($c->cookie(), 'a handshake that stops');
ok($t->wait_for_log(qr/handshake timed out/), 'is given up');
$c->handshake_step();
$r = $c->post($c->tls_out());
is($r->status(), 410, 'the next flight comes too late');
is($r->header('Content-Type'), 'application/problem+json', 'it is told');
is($c->cookie(), undef, 'and has no cookie any more');

# during a POST

$c = client('/short');
$c->handshake_step();
$c->exchange($c->tls_out());
$c->handshake_step();
send_all($c->http_client()->{socket},
         "POST /short HTTP/1.1\r\nHost: localhost\r\n"
         . 'Cookie: atls=' . $c->cookie() . "\r\n"
         . "Content-Type: application/atls+octet-stream\r\n"
         . "Content-Length: 100\r\n\r\n" . substr $c->tls_out(), 0, 20);
$r = $c->post_receive();
is($r && $r->status(), 410, 'an open POST when the time is over');

# only handshakes are limited; on a busy machine, one may take too long

ok($t->wait_for(sub { $c = client('/short'); $c->handshake() }),
   'a handshake in time');
sleep $short + 0.1;
is($c->get('/')->body(), 'ok', 'its session stays');


# atls_max_handshakes: clients with the same connection use the same worker

$c = client('/atls');
$c->handshake_step();
$c->exchange($c->tls_out());

my $other = client('/atls');
$other->{http} = $c->http_client();
$other->handshake_step();
$hello = $other->tls_out();
$r = $other->post($hello);

is($r->status(), 503, 'one handshake too many');
like($r->header('Retry-After') || '', qr/^\d+$/, 'Retry-After');
is($r->header('Content-Type'), 'application/problem+json', 'problem+json');
is($r->header('Set-Cookie'), undef, 'no cookie');

ok($c->handshake(), 'the first one is not disturbed') or diag($c->error());
is($c->get('/')->body(), 'ok', 'and served');

ok($other->exchange($hello), 'now there is room');
is($c->get('/')->body(), 'ok', 'an established session needs none');
ok($other->handshake(), 'the second handshake') or diag($other->error());
is($other->get('/')->body(), 'ok', 'and served');

$t->done_testing();


sub client {
    my ($uri, %args) = @_;

    return $t->client(uri => $uri, %args);
}


sub refused {
    my ($c, $name, $alert) = @_;

    ok(!$c->handshake(), $name);
    is($c->posts(), 1, "$name: after one POST");

    my $r = $c->last_response();
    is($r->status(), 200, "$name: status");
    is(unpack('H*', $r->body()), sprintf('15030%x000202%02x',
       ord(substr $r->body(), 2, 1), $alert), "$name: the alert");
    is(join(' ', $c->alerts()), $alert, "$name: the client has it");
    is($c->set_cookie(), undef, "$name: no cookie");
}
