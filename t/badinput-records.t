#!/usr/bin/perl

# Invalid records: modified, truncated, replayed, out of order.  The session
# ends, and other ones are not affected.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Net::SSLeay;
use Test::More;

use Test::Atls;
use Test::Atls::BadInput;

for my $protocol (@PROTOCOLS) {
    my @args = (protocol => $protocol);
    my $thirteen = $protocol eq 'TLSv1.3';

    my %records = (
        'a bit of the tag'      => [ sub { flip($_[0], -1) }, BAD_RECORD_MAC ],
        'a bit of the text'     => [ sub { flip($_[0], 20) }, BAD_RECORD_MAC ],
        'the type'              => [ sub { flip($_[0], 0, 3) },
                                     UNEXPECTED_MESSAGE ],
        'the type of a handshake'
                                => [ sub { flip($_[0], 0) },
                                     $thirteen ? UNEXPECTED_MESSAGE
                                               : BAD_RECORD_MAC ],
        'the version'           => [ sub { flip($_[0], 1) },
                                     PROTOCOL_VERSION ],
        'a shorter length'      => [ sub { flip($_[0], 4, 3) . 'x' x 64 },
                                     BAD_RECORD_MAC ],
        'a length of 64K'       => [ sub { "\x17\x03\x03\xff\xff" . $_[0] },
                                     RECORD_OVERFLOW ],
        'a length just too great'
                                => [ sub {
                                         "\x17\x03\x03"
                                         . pack('n', 16385 + ($thirteen ? 256
                                                                       : 2048))
                                         . $_[0]
                                     }, RECORD_OVERFLOW ],
        'a record of nothing'   => [ sub { "\x17\x03\x03\x00\x00" . $_[0] },
                                     BAD_RECORD_MAC ],
        'a short record'        => [ sub { "\x17\x03\x03\x00\x0f" . 'x' x 15 },
                                     BAD_RECORD_MAC ],
        'an alert in the clear' => [ sub { "\x15\x03\x03\x00\x02\x01\x00" },
                                     $thirteen ? UNEXPECTED_MESSAGE
                                               : BAD_RECORD_MAC ],
        'CCS'                   => [ sub { "\x14\x03\x03\x00\x01\x01" },
                                     UNEXPECTED_MESSAGE ],
        'random bytes'          => [ sub { "\xa5" x 500 },
                                     UNEXPECTED_MESSAGE ],
        'HTTP'                  => [ sub { $get }, UNEXPECTED_MESSAGE ],
        'a record twice'        => [ sub { $_[0] . $_[0] }, BAD_RECORD_MAC ],
    );

    for my $name (sort keys %records) {
        my ($change, $alert) = @{$records{$name}};
        my $c = $t->established(@args);

        $c->write_plain($get);
        is_refused($c, $change->($c->tls_out()), $alert,
                   "$protocol established, $name");
    }

    # an invalid record after a valid one, which is served

    my $c = $t->established(@args);

    $c->write_plain($get);
    my $good = $c->tls_out();
    $c->write_plain($get);

    my $cookie = $c->cookie();
    my $r = $c->post($good . flip($c->tls_out(), 30));

    is($r->status(), 200, "$protocol, a good record and a bad one");
    $c->tls_in($r->body());
    like($c->read_plain(), qr/inner/, 'the good one is served');
    is(join(' ', $c->alerts()), BAD_RECORD_MAC, 'the bad one is refused');
    is($c->cookie(), undef, 'and the session has ended');

    # an invalid record within a request

    $c = $t->established(@args);
    $c->write_plain(substr $get, 0, 10);
    $good = $c->tls_out();
    $c->write_plain(substr $get, 10);
    is_refused($c, $good . flip($c->tls_out(), 20), BAD_RECORD_MAC,
               "$protocol, in mid-request");

    # a truncated record: the rest, and other bytes

    $c = $t->established(@args);
    $c->write_plain($get);
    my $record = $c->tls_out();

    is($c->post(substr $record, 0, $_, '')->body(), '',
       "$protocol, $_ bytes of a record") for 3, 30;
    $c->exchange($record);
    like($c->read_plain(), qr/inner/, 'and the rest');

    $c->write_plain($get);
    $record = $c->tls_out();
    $c->post(substr $record, 0, 50);
    is_refused($c, 'x' x length $record, BAD_RECORD_MAC,
               "$protocol, the rest of another record");

    # replayed in another POST

    $c = $t->established(@args);
    $c->write_plain($get);
    $record = $c->tls_out();
    $c->exchange($record);
    like($c->read_plain(), qr/inner/, "$protocol, a record");
    is_refused($c, $record, BAD_RECORD_MAC, "$protocol, replayed");

    # out of order

    $c = $t->established(@args);
    $c->write_plain($get);
    $c->tls_out();
    $c->write_plain($get);
    is_refused($c, $c->tls_out(), BAD_RECORD_MAC,
               "$protocol, a record left out");

    # from another session

    $c = $t->established(@args);
    my $other = $t->established(@args);
    $other->write_plain($get);
    $record = $other->tls_out();
    is_refused($c, $record, BAD_RECORD_MAC, "$protocol, of another session");
    $other->exchange($record);
    like($other->read_plain(), qr/inner/, 'which can still send it');

    # close_notify

    $c = $t->established(@args);
    $cookie = $c->cookie();
    ok($c->close_notify(), "$protocol, close_notify");
    $c->read_plain();
    ok($c->closed(), 'is answered with one');
    is($c->cookie(), undef, 'the cookie expires');
    is($c->post('', cookie => "atls=$cookie")->status(), 410,
       'the session is gone');

    # after a request

    $c = $t->established(@args);
    $c->write_plain($get);
    Net::SSLeay::shutdown($c->ssl());
    $c->exchange($c->tls_out());
    like($c->read_plain(), qr/inner/, "$protocol, a request and close_notify");
    ok($c->closed(), 'both are answered');
}

others_go_on('established sessions');
same_workers();

$t->done_testing();
