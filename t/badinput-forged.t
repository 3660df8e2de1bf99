#!/usr/bin/perl

# Correctly encrypted records with content that TLS stacks do not send.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::BadInput;
use Test::Atls::Forge;

# record types

use constant {
    CHANGE_CIPHER_SPEC => 20,
    ALERT              => 21,
    HANDSHAKE          => 22,
    DATA               => 23,
};

my $update = pack 'H*', '1800000100';
my $asking = pack 'H*', '1800000101';

my %forged = (
    'empty handshake'       => [ [ HANDSHAKE, '' ], UNEXPECTED_MESSAGE ],
    'empty alert'           => [ [ ALERT, '' ], UNEXPECTED_MESSAGE ],
    'a long alert'          => [ [ ALERT, "\2\x28\x28" ], DECODE_ERROR ],
    'a fatal alert'         => [ [ ALERT, "\2\x28" ], undef ],
    'CCS inside'            => [ [ CHANGE_CIPHER_SPEC, "\1" ],
                                 UNEXPECTED_MESSAGE ],
    'an unknown type'       => [ [ 99, 'hello' ], UNEXPECTED_MESSAGE ],
    'nothing but padding'   => [ [ 0, '', padding => 100 ],
                                 UNEXPECTED_MESSAGE ],
    'too long a plaintext'  => [ [ DATA, 'x' x 16385 ], RECORD_OVERFLOW ],
    'too much padding'      => [ [ DATA, 'x', padding => 16384 ],
                                 RECORD_OVERFLOW ],
    'a handshake message'   => [ [ HANDSHAKE, "\x14\0\0\x20" . 'x' x 32 ],
                                 UNEXPECTED_MESSAGE ],
    'a certificate request' => [ [ HANDSHAKE, "\x0d\0\0\x03\0\0\0" ],
                                 UNEXPECTED_MESSAGE ],
    'KeyUpdate with 2'      => [ [ HANDSHAKE, "\x18\0\0\1\2" ],
                                 ILLEGAL_PARAMETER ],
    'a long KeyUpdate'      => [ [ HANDSHAKE, "\x18\0\0\2\0\0" ],
                                 DECODE_ERROR ],
    'KeyUpdate and more'    => [ [ HANDSHAKE, $update . $update ],
                                 UNEXPECTED_MESSAGE ],
);

for my $name (sort keys %forged) {
    my ($record, $alert) = @{$forged{$name}};
    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());

    is_refused($c, $forge->record(@$record), $alert, "forged, $name");
}

# a session has no records with another outer type

{
    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());

    is_foreign($c, $forge->record(DATA, $get, outer => HANDSHAKE), undef,
               'another outer type');
}

# valid records

{
    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());

    my $answer = sub { $c->exchange(join '', @_); $c->read_plain() };

    like($answer->($forge->record(DATA, $get)), qr/inner/, 'forged as it is');
    like($answer->($forge->record(DATA, $get, padding => 1000)), qr/inner/,
         'with padding');
    like($answer->($forge->record(DATA, $get, version => '0301')), qr/inner/,
         'with another record version');

    is($answer->(map { $forge->record(DATA, '') } 1 .. 20), '',
       'empty records');
    like($answer->($forge->record(DATA, $get)), qr/inner/, 'and a request');
    like($answer->((map { $forge->record(DATA, '', padding => $_) } 1 .. 20),
                   $forge->record(DATA, $get)), qr/inner/,
         'in one POST with empty ones');

    # a record for each byte

    like($answer->(map { $forge->record(DATA, $_) } split //, $get), qr/inner/,
         'a record for each byte');

    is($answer->($forge->record(ALERT, pack 'CC', 1, USER_CANCELED)), '',
       'user_canceled');

    my $first = $forge->record(HANDSHAKE, substr $asking, 0, 2);
    my $second = $forge->record(HANDSHAKE, substr $asking, 2);

    is($answer->($first), '', 'half a KeyUpdate');
    $answer->($second);
    $forge->update();
    like($answer->($forge->record(DATA, $get)), qr/inner/, 'the other half');
    is($c->error(), '', 'no error in all of this');
}

# too many valid records

{
    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());

    is_refused($c, join('', map { $forge->record(DATA, '') } 1 .. 200),
               UNEXPECTED_MESSAGE, 'many empty records');

    # a POST for each: the client polls

    $forge = Test::Atls::Forge->new();
    $c = $t->established($forge->client_args());

    my $n = grep { $c->exchange($forge->record(DATA, '')) } 1 .. 100;

    is($n, 100, 'many empty records, a POST each');
    $c->exchange($forge->record(DATA, $get));
    like($c->read_plain(), qr/inner/, 'and a request');

    $forge = Test::Atls::Forge->new();
    $c = $t->established($forge->client_args());

    my $updates = '';
    for (1 .. 100) {
        $updates .= $forge->record(HANDSHAKE, $update);
        $forge->update();
    }
    is_refused($c, $updates, UNEXPECTED_MESSAGE, 'many KeyUpdates');
}

# within a message

{
    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());

    $c->exchange($forge->record(HANDSHAKE, substr $update, 0, 3));
    is_refused($c, $forge->record(DATA, $get), UNEXPECTED_MESSAGE,
               'data within a KeyUpdate');
}

# after close_notify

{
    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());
    my $cookie = $c->cookie();

    $c->exchange($forge->record(ALERT, pack 'CC', 1, CLOSE_NOTIFY)
                 . $forge->record(DATA, $get));
    is($c->read_plain(), '', 'data after close_notify');
    ok($c->closed(), 'is ignored');
    is($c->post('', cookie => "atls=$cookie")->status(), 410,
       'the session is gone');
}

others_go_on('forged records');
same_workers();

$t->done_testing();
