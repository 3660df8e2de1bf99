#!/usr/bin/perl

# A first flight without TLS is answered when its first invalid byte is
# received: with the alert of the TLS library, if any, or with 400.  Records of
# an unknown session are answered with 410, and other messages in pieces with an
# alert.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;

use constant {
    UNEXPECTED_MESSAGE => 10,
    RECORD_OVERFLOW    => 22,
    DECODE_ERROR       => 50,
};

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_handshake_timeout 300s;
atls_max_handshakes 1;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
        return 200 inner;
    }
}
EOC

$t->run();


my $random = join '', map { chr($_ * 7 % 256) } 1 .. 500;
my $sslv2 = "\x80\x2e\1\3\1\0\x15\0\0\0\x10\0\0\x2f\0\0\x35\0\0\x0a\0\0\x05\0"
            . "\0\x04\0\0\xff" . 'c' x 16;

# before 3.2, OpenSSL checks the limit when the record is complete

my $limit = $t->has_openssl('3.2') ? RECORD_OVERFLOW : 400;

# The flight, the number of bytes after which it is invalid, and a status or an
# alert; and another one if it is sent byte by byte.

my %flights = (
    'HTTP'              => [ "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 1,
                             400 ],
    'HTTP of a proxy'   => [ "CONNECT localhost:443 HTTP/1.1\r\n\r\n", 1,
                             400 ],
    'SSLv2'             => [ $sslv2, 1, 400 ],
    'SSLv2, TLS 1.2'    => [ "\x80\x2e\1\3\3" . substr($sslv2, 5), 1, 400 ],
    'SSLv2, 3 bytes'    => [ "\0\x2e\0\1\3\1" . 'x' x 46, 1, 400 ],
    'zeros'             => [ "\0" x 100, 1, 400 ],
    'random bytes'      => [ $random, 1, 400 ],
    'a line'            => [ "\n", 1, 400 ],
    'type 19'           => [ "\x13\3\1\0\5hello", 1, 400 ],
    'type 24'           => [ "\x18\3\1\0\5hello", 1, 400 ],
    'type 255'          => [ "\xff\3\1\0\5hello", 1, 400 ],
    'DTLS'              => [ "\x16\xfe\xff\0\0\0\0\0\0\0\0\0\5hello", 2, 400 ],
    'version 2.0'       => [ "\x16\2\0\0\5\1\0\0\1x", 2, 400 ],
    'version 2.3'       => [ "\x16\2\3\0\5\1\0\0\1x", 2, 400 ],
    'version 4.0'       => [ "\x16\4\0\0\5\1\0\0\1x", 2, 400 ],
    'no length'         => [ "\x16\3\1\0\0", 5, 400 ],
    'no length, twice'  => [ "\x16\3\1\0\0\x16\3\1\0\0", 5, 400 ],
    'data, no length'   => [ "\x17\3\3\0\0", 1, 410 ],
    '2^14 + 1 bytes'    => [ "\x16\3\1\x40\1\1\0\x3f\xfd\3\3", 5,
                             $limit ],
    '65535 bytes'       => [ "\x16\3\1\xff\xff\1\0\0\x29\3\3", 5,
                             RECORD_OVERFLOW ],
    'a warning'         => [ "\x15\3\1\0\2\1\x5a", 1, 410 ],
    'close_notify'      => [ "\x15\3\3\0\2\1\0", 1, 410 ],
    'a fatal alert'     => [ "\x15\3\3\0\2\2\x28", 1, 410 ],
    'CCS'               => [ "\x14\3\3\0\1\1", 1, 410 ],
    'data'              => [ "\x17\3\3\0\5hello", 1, 410 ],
    'a ServerHello'     => [ "\x16\3\1\0\4\2\0\0\0", 9, 410,
                             UNEXPECTED_MESSAGE ],
    'Finished'          => [ "\x16\3\1\0\x10\x14\0\0\x0c" . 'x' x 12, 21, 410,
                             UNEXPECTED_MESSAGE ],
    'a short ClientHello'
                        => [ "\x16\3\1\0\5\1\0\0\1\3", 10, DECODE_ERROR ],
);

for my $name (sort keys %flights) {
    my ($bytes, $known, $what, $split) = @{$flights{$name}};

    my $c = $t->client();

    is_refused($c, $bytes, $what, "$name, whole");
    is($c->cookie(), undef, "$name, whole: no cookie to keep");

    # byte by byte

    $c = $t->client();

    my @waits = grep {
        $c->exchange(substr $bytes, $_, 1) && $c->last_response()->body() eq ''
    } 0 .. $known - 2;

    is(scalar(@waits), $known - 1, "$name, byte by byte: it may be TLS");
    is_refused($c, substr($bytes, $known - 1, 1), $split || $what,
               "$name, byte by byte");
    is($c->cookie(), undef, "$name, byte by byte: no cookie to keep");
}


sub is_refused {
    my ($c, $bytes, $what, $name) = @_;

    my $r = $c->post($bytes);

    if ($what >= 400) {
        is($r && $r->status(), $what, "$name: status");
        is($r && $r->header('Content-Type'), 'application/problem+json',
           "$name: it is told");
        return $r;
    }

    is($r && $r->status(), 200, "$name: status");
    like($r ? $r->body() : '', qr/^\x15\x03.\x00\x02\x02\Q@{[ chr $what ]}\E$/s,
         "$name: alert");

    return $r;
}


# no handshake is left: there is one for each worker

for (1 .. 8) {
    my $c = $t->client();

    ok($c->handshake(), 'there is room') or diag($c->error());
    is($c->get('/')->body(), 'inner', 'for others');
}

$t->done_testing();
