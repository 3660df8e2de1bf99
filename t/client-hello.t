#!/usr/bin/perl

# What begins a session, and what belongs to the session of the cookie.  A
# client that has lost its session, but not its cookie, gets a new session.
# Records of a session never begin another one, however they are cut.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Forge12;

use constant { HANDSHAKE => 22, DATA => 23 };

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

# a ClientHello in POSTs of one byte requires thousands of them

atls_handshake_timeout 10m;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
        return 200 inner;
    }
}
EOC

$t->run();

my $get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";


# Returns an established session whose records are made by Forge12.

sub forged {
    my $forge = Test::Atls::Forge12->new();

    return ($forge->established($t), $forge);
}


sub answer {
    my ($c, $forge, $bytes) = @_;

    my $cookie = $c->cookie();
    my $r = $c->post($bytes);

    return 'nothing' unless $r;
    return $r->status() unless $r->status() == 200;

    # the cookie of the session may be set again, with Max-Age

    return 'another session' if ($c->cookie() || '') ne $cookie;

    return join ' ', map {
        $_->[0] == DATA ? $_->[1] =~ /(inner)/ : unpack 'H*', $_->[1]
    } $forge->answer($r->body());
}


# Cuts a ClientHello into records of this size.

sub fragment {
    my ($hello, $size, $version) = @_;

    my $message = substr $hello, 5;

    return join '', map { "\x16$version" . pack('n/a', $_) }
                    unpack "(a$size)*", $message;
}


# The client has lost its session, but not the cookie.

for my $protocol ('TLSv1.3', 'TLSv1.2') {
    for my $version ("\3\1", "\3\3") {

        my $first = $t->established(protocol => $protocol);
        my $name = "$protocol, records of "
                   . ($version eq "\3\1" ? '3.1' : '3.3');

        for my $args ([ 16384, 0 ], [ 16384, 1 ], [ 16384, 5 ], [ 1, 0 ],
                      [ 1, 1 ], [ 2, 0 ], [ 3, 4 ], [ 4, 0 ], [ 5, 3 ],
                      [ 6, 1 ], [ 7, 0 ], [ 40, 11 ])
        {
            my ($size, $split) = @$args;
            my $c = $t->client(protocol => $protocol);

            $c->cookie($first->cookie());
            $c->handshake_step();
            $c->exchange(fragment($c->tls_out(), $size, $version),
                         split => $split);
            $c->handshake();

            my $r = $c->get('/');

            is($r && $r->body(), 'inner',
               "$name: of $size bytes, POSTs of $split");
            isnt($c->cookie(), $first->cookie(), 'another session');
        }

        is($first->get('/')->body(), 'inner', "$name: the first one goes on");
    }
}

# A request to renegotiate belongs to the session, cut at any of its first
# bytes.

my $hello = "\1\0\0\x29\3\3" . 'r' x 32 . "\0\0\2\xcc\xa9\1\0";
my ($c, $forge) = forged();

for my $n (1 .. 12) {
    my $record = $forge->record(HANDSHAKE, $hello);

    is(answer($c, $forge, substr $record, 0, $n, ''), '', "$n bytes of it");
    is(answer($c, $forge, $record), '0164', 'and the rest');
    is(answer($c, $forge, $forge->record(DATA, $get)), 'inner',
       'the session goes on');
}

# byte by byte, followed by a request

{
    my $record = $forge->record(HANDSHAKE, $hello)
                 . $forge->record(DATA, $get);
    my @answers = map { answer($c, $forge, $_) } split //, $record;

    is(join(',', grep { $_ ne '' } @answers), '0164,inner', 'byte by byte');
}

# an encrypted ClientHello may look like an unencrypted one

for (1 .. 3) {
    my $n;

    # the number of records before that one

    do {
        ($c, $forge) = forged();
        ($n) = grep { substr($forge->encrypt($hello, $_), 0, 1) eq "\1" }
               2 .. 1000;
    } until $n;

    is(answer($c, $forge, join '', map { $forge->record(DATA, $_) }
              substr($get, 0, -2) . 'X: ', ('x') x ($n - 2), "\r\n\r\n"),
       'inner', "$n records");

    my $record = $forge->record(HANDSHAKE, $hello);

    is(unpack('x5 C', $record), 1, 'and one with that byte');
    is(answer($c, $forge, $record), '0164', 'is what it is');
}

# Records with a message of another length, or with an invalid version, do not
# begin a session: they are for the existing one, and are not its next record.

for my $record ("\x16\3\3\0\x40\1\0\0\x3b\3\3" . 'x' x 58,
                "\x16\3\3\0\x40\1\2\1\x45\3\3" . 'x' x 58,
                "\x16\3\3\0\x40\1\0\0\x3c\2\3" . 'x' x 58,
                "\x16\3\3\0\x40\1\0\0\x3c\3\5" . 'x' x 58,
                "\x16\3\3\0\x40\2\0\0\x3c\3\3" . 'x' x 58,
                "\x16\3\3\0\0",
                "\x16\3\3\x48\1\1\0\x4c\0\3\3" . 'x' x 58)
{
    for my $protocol ('TLSv1.3', 'TLSv1.2') {
        my $c = $t->established(protocol => $protocol);
        my $r = $c->post($record);

        is($r->status(), 409, "$protocol, no ClientHello");
        like($r->body(), qr/not-next/, 'not the next record');
        is($c->get('/')->status(), 200, 'the session goes on');
    }
}

$t->done_testing();
