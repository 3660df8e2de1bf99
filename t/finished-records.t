#!/usr/bin/perl

# TLS 1.2: records are numbered from ChangeCipherSpec on (RFC 5246, section
# 6.1), and the client may split its Finished into several records.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Forge12;

use constant {
    HANDSHAKE          => 22,
    UNEXPECTED_MESSAGE => 10,
    NO_RENEGOTIATION   => 100,
};

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
        return 200 "inner $request_uri $atls_session_reused";
    }
}
EOC

$t->run();


# Sends the client's Finished in records of $size bytes.

sub handshake {
    my ($size, %args) = @_;

    my $forge = Test::Atls::Forge12->new();
    my $c = $t->client($forge->client_args(), %args);

    for (1 .. 3) {
        my $done = $c->handshake_step();
        my $flight = $forge->recut($c, $c->tls_out(), $size, HANDSHAKE);

        $c->exchange($flight, %args) if $flight ne '';
        last if $done;
    }

    return ($c, $forge);
}


# Sends a request in records of $size bytes.

sub answer {
    my ($c, $forge, $uri, $size) = @_;

    $c->write_plain("GET $uri HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $c->exchange($forge->recut($c, $c->tls_out(), $size));

    my ($body) = $c->read_plain() =~ /\r\n\r\n(.*)/s;

    return $body;
}


for my $size (16, 15, 8, 5, 1) {
    my ($c, $forge) = handshake($size);

    is($c->error(), '', "Finished in records of $size bytes");
    is(answer($c, $forge, '/1', 0), 'inner /1 .', 'a request');

    for my $n (2 .. 5) {
        is(answer($c, $forge, "/$n", 10), "inner /$n .", 'another');
    }
}

# in several POSTs

{
    my ($c, $forge) = handshake(1, split => 40);

    is($c->error(), '', 'Finished in several POSTs');
    is(answer($c, $forge, '/', 0), 'inner / .', 'a request');
}

# on resumption, the server's Finished is first

{
    my ($first) = handshake(0);
    my ($c, $forge) = handshake(3, session => $first->session());

    ok($c->reused(), 'resumed, Finished in records of 3 bytes');
    is(answer($c, $forge, '/', 0), 'inner / r', 'a request');
}

# a message after Finished in the same record is an error

my $hello = "\1\0\0\x29\3\3" . 'r' x 32 . "\0\0\2\xcc\xa9\1\0";

for ([ "\x0b\0\0\1x", UNEXPECTED_MESSAGE ], [ $hello, NO_RENEGOTIATION ]) {
    my ($message, $alert) = @$_;
    my $forge = Test::Atls::Forge12->new();
    my $c = $t->client($forge->client_args());

    $c->handshake_step();
    $c->exchange($forge->recut($c, $c->tls_out()));
    $c->handshake_step();

    my $r = $c->post($forge->recut($c, $c->tls_out(), 0, HANDSHAKE, $message));

    is($r && $r->status(), 200, 'a message behind Finished');
    $c->tls_in($r ? $r->body() : '');
    $c->handshake_step();
    $c->read_plain();
    is(($c->alerts())[0], $alert, 'is refused');
    is($c->cookie(), undef, 'and the session is gone');
}

$t->done_testing();
