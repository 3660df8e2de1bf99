#!/usr/bin/perl

# Invalid flights of the client: the handshake fails, and other sessions are not
# affected.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::BadInput;

# The first flight

{
    my $c = $t->client();

    $c->handshake_step();
    my $hello = $c->tls_out();

    my %flights = (
        'a ClientHello of zeros'
                            => [ "\x16\x03\x01\x00\x2d\x01\0\0\x29" . "\0" x 41,
                                 undef ],
        'a short ClientHello'
                            => [ "\x16\x03\x01\x00\x05\x01\0\0\1\3",
                                 DECODE_ERROR ],
        'a long record'     => [ "\x16\x03\x01\xff\xff" . 'x' x 1000,
                                 RECORD_OVERFLOW ],
    );

    for my $name (sort keys %flights) {
        my ($bytes, $alert) = @{$flights{$name}};

        $c = $t->client();
        $c->handshake_step();
        $c->tls_out();

        my $r = $c->post($bytes);

        is($r->status(), 200, "$name first: status");
        like($r->body(), qr/^\x15\x03.\x00\x02\x02./s, "$name first: an alert");
        is($r->header('Set-Cookie'), undef, "$name first: no cookie");

        $c->tls_in($r->body());
        $c->handshake_step();
        is(($c->alerts())[0], $alert, "$name first: the alert")
            if defined $alert;
    }

    # a bit inverted, at several positions

    my %seen;

    for (my $at = 0; $at < length $hello; $at += 5) {
        $c = $t->client();

        my $r = $c->post(flip($hello, $at, $at % 8));
        my $what = $r ? $r->status() : 'nothing';

        if ($r && $r->status() == 200) {
            $what = $r->body() =~ /^\x15/ ? 'alert'
                    : $r->body() =~ /^\x16/ ? 'flight'
                    : $r->body() eq '' ? 'empty' : 'other';

            # the rest of the flight, if nginx waits for it

            $r = $c->post("\0" x 20000) if $what =~ /flight|empty/;
            $what .= ' ' . $r->status() if $r->status() != 200;
        }

        $seen{$what}++;
    }

    cmp_ok($seen{alert}, '>', 5, 'bits flipped in a ClientHello: alerts');
    is(join(' ', grep { !/^(?:alert|flight|empty|400|410)$/ } sort keys %seen),
       '', 'and no other response');

    # half of it, and then other bytes

    $c = $t->client();
    is($c->post(substr $hello, 0, 100)->status(), 200, 'half a ClientHello');
    is($c->last_response()->body(), '', 'an empty response');
    is($c->post('x' x (length($hello) - 100))->status(), 200,
       'with other bytes as the other half');
    like($c->last_response()->body(), qr/^\x15\x03.\x00\x02\x02./s,
         'an alert');
}

others_go_on('first flights');


# The second flight: what is sent instead, and the alert.

my %second = (
    'the last byte flipped' => [ sub { flip($_[0], -1) }, BAD_RECORD_MAC ],
    'a byte of Finished flipped'
                            => [ sub { flip($_[0], -20) }, BAD_RECORD_MAC ],
    'a long record'         => [ sub { "\x17\x03\x03\xff\xff" . $_[0] },
                                 RECORD_OVERFLOW ],
    'garbage'               => [ sub { "\x17\x03\x03\x00\x40" . 'x' x 64 },
                                 undef ],
    'no TLS'                => [ sub { $get }, undef ],
    'a fatal alert'         => [ sub { "\x15\x03\x03\x00\x02\x02\x28" },
                                 undef ],
);

for my $protocol (@PROTOCOLS) {
    for my $name (sort keys %second) {
        my ($change, $alert) = @{$second{$name}};
        my $c = $t->client(protocol => $protocol);

        $c->handshake_step();
        $c->exchange($c->tls_out());
        $c->handshake_step();

        my $cookie = $c->cookie();
        my $r = $c->post($change->($c->tls_out()));
        my $what = "$protocol, $name second";

        is($r->status(), 200, "$what: status");
        like($r->header('Set-Cookie'), qr/^atls=; .*Max-Age=0/,
             "$what: the cookie expires");
        is($c->post('', cookie => "atls=$cookie")->status(), 410,
           "$what: the session is gone");

        next unless defined $alert;
        $c->tls_in($r->body());
        $c->handshake_step();
        $c->read_plain();
        is(($c->alerts())[0], $alert, "$what: alert");
    }

    # no handshake is finished if any bit is inverted

    my ($finished, $refused) = (0, 0);

    for my $n (0 .. 24) {
        my $c = $t->client(protocol => $protocol);

        $c->handshake_step();
        $c->exchange($c->tls_out());
        $c->handshake_step();

        my $flight = $c->tls_out();
        my $r = $c->post(flip($flight, $n * length($flight) / 25, $n % 8));

        # the rest of the flight, if nginx waits for it

        $r = $c->post("\0" x 20000) if $r->status() == 200 && $c->cookie();
        $c->cookie() ? $finished++ : $refused++;
    }

    is($finished, 0, "$protocol, a bit flipped in the second flight");
    is($refused, 25, "$protocol, each time");
}

# a truncated second flight, and then other bytes

for my $protocol (@PROTOCOLS) {
    my $c = $t->client(protocol => $protocol);

    $c->handshake_step();
    $c->exchange($c->tls_out());
    $c->handshake_step();

    my $flight = $c->tls_out();
    my $cookie = $c->cookie();

    is($c->post(substr $flight, 0, -10)->status(), 200,
       "$protocol, a truncated second flight");
    is($c->cookie(), $cookie, 'the session waits for the rest');
    is($c->post('x' x 10)->status(), 200, 'other bytes');
    is($c->cookie(), undef, 'end the session');
}

others_go_on('second flights');
same_workers();

$t->done_testing();
