#!/usr/bin/perl

# Invalid records: modified, truncated, replayed, out of order.  They do not
# affect the session, unless they follow a valid one, nor other sessions.

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

    my %foreign = (
        'a bit of the tag'      => sub { flip($_[0], -1) },
        'a bit of the text'     => sub { flip($_[0], 20) },
        'the type'              => sub { flip($_[0], 0, 3) },
        'the type of a handshake' => sub { flip($_[0], 0) },
        'the version'           => sub { flip($_[0], 1) },
        'a shorter length'      => sub { flip($_[0], 4, 3) . 'x' x 64 },
        'a length of 64K'       => sub { "\x17\x03\x03\xff\xff" . $_[0] },
        'a length just too great' => sub {
            "\x17\x03\x03" . pack('n', 16385 + ($thirteen ? 256 : 2048))
            . $_[0]
        },
        'a record of nothing'   => sub { "\x17\x03\x03\x00\x00" . $_[0] },
        'a short record'        => sub { "\x17\x03\x03\x00\x0f" . 'x' x 15 },
        'an alert in the clear' => sub { "\x15\x03\x03\x00\x02\x01\x00" },
        'CCS'                   => sub { "\x14\x03\x03\x00\x01\x01" },
        'random bytes'          => sub { "\xa5" x 500 },
        'HTTP'                  => sub { $get },
    );

    # a session does not notice any of them

    my $c = $t->established(@args);

    for my $name (sort keys %foreign) {
        $c->write_plain($get);
        my $record = $c->tls_out();

        is_foreign($c, $foreign{$name}->($record), $record,
                   "$protocol established, $name");
    }

    $c = $t->established(@args);
    $c->write_plain($get);
    my $twice = $c->tls_out();
    is_refused($c, $twice . $twice, BAD_RECORD_MAC,
               "$protocol, a record twice in a POST");

    # an invalid record after a valid one, which is served

    $c = $t->established(@args);

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
    is_foreign($c, 'x' x length $record, substr($record, 50),
               "$protocol, the rest of another record");

    # replayed in another POST

    $c = $t->established(@args);
    $c->write_plain($get);
    $record = $c->tls_out();
    $c->exchange($record);
    like($c->read_plain(), qr/inner/, "$protocol, a record");
    $c->write_plain($get);
    is_foreign($c, $record, $c->tls_out(), "$protocol, replayed");

    # out of order

    $c = $t->established(@args);
    $c->write_plain($get);
    $record = $c->tls_out();
    $c->write_plain($get);
    is_foreign($c, $c->tls_out(), $record, "$protocol, a record left out");

    # from another session

    $c = $t->established(@args);
    my $other = $t->established(@args);
    $other->write_plain($get);
    $record = $other->tls_out();
    $c->write_plain($get);
    is_foreign($c, $record, $c->tls_out(), "$protocol, of another session");
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
