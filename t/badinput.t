#!/usr/bin/perl

# What is no TLS, or none that may be: at each stage of a session it is
# answered with an alert, the session is over, and others go on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Net::SSLeay;
use Test::More;

use Test::Atls;
use Test::Atls::Forge;

use constant {
    CLOSE_NOTIFY       => 0,
    UNEXPECTED_MESSAGE => 10,
    BAD_RECORD_MAC     => 20,
    RECORD_OVERFLOW    => 22,
    ILLEGAL_PARAMETER  => 47,
    DECODE_ERROR       => 50,
    PROTOCOL_VERSION   => 70,
    USER_CANCELED      => 90,
};

# record types

use constant {
    CHANGE_CIPHER_SPEC => 20,
    ALERT              => 21,
    HANDSHAKE          => 22,
    DATA               => 23,
};

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_handshake_timeout 5s;

large_client_header_buffers 4 16k;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "inner\n";
    }
}
EOC

$t->run();

my @workers = $t->workers();
my $get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";


# Sessions that have to outlive it all.

my @witnesses = map { $t->established(protocol => $_) } 'TLSv1.3', 'TLSv1.2';


sub others_go_on {
    my ($name) = @_;

    is(join('', map { my $r = $_->get('/'); $r ? $r->body() : '' } @witnesses),
       "inner\ninner\n", "$name: other sessions go on");
}


sub flip {
    my ($bytes, $at, $bit) = @_;

    substr($bytes, $at, 1) ^= chr(1 << ($bit || 0));

    return $bytes;
}


# The session has ended with this answer, in an alert that the client can read
# (or in none).  Four tests.

sub is_refused {
    my ($c, $bytes, $alert, $name) = @_;

    my $cookie = $c->cookie();
    my $before = $c->alerts();
    my $r = $c->post($bytes);

    is($r && $r->status(), 200, "$name: status") or return;
    $c->tls_in($r->body());
    $c->read_plain();

    my @alerts = $c->alerts();

    is("@alerts[$before .. $#alerts]", defined $alert ? $alert : '',
       "$name: alert");
    like($r->header('Set-Cookie'), qr/^atls=; .*Max-Age=0/,
         "$name: the cookie expires");

    return pass("$name: there was none before") unless defined $cookie;
    is($c->post('', cookie => "atls=$cookie")->status(), 410,
       "$name: the session is gone");
}


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
        is(($c->alerts())[0], $alert, "$name first: which one")
            if defined $alert;
    }

    # a bit of it flipped, at a number of places

    my %seen;

    for (my $at = 0; $at < length $hello; $at += 5) {
        $c = $t->client();

        my $r = $c->post(flip($hello, $at, $at % 8));
        my $what = $r ? $r->status() : 'nothing';

        if ($r && $r->status() == 200) {
            $what = $r->body() =~ /^\x15/ ? 'alert'
                    : $r->body() =~ /^\x16/ ? 'flight'
                    : $r->body() eq '' ? 'empty' : 'other';

            # what waits for more gets it

            $r = $c->post("\0" x 20000) if $what =~ /flight|empty/;
            $what .= ' ' . $r->status() if $r->status() != 200;
        }

        $seen{$what}++;
    }

    cmp_ok($seen{alert}, '>', 5, 'bits flipped in a ClientHello: alerts');
    is(join(' ', grep { !/^(alert|flight|empty|400|410)$/ } sort keys %seen), '',
       'and nothing that should not be');

    # half of it, and then something else

    $c = $t->client();
    is($c->post(substr $hello, 0, 100)->status(), 200, 'half a ClientHello');
    is($c->last_response()->body(), '', 'is answered with nothing');
    is($c->post('x' x (length($hello) - 100))->status(), 200,
       'with another half');
    like($c->last_response()->body(), qr/^\x15\x03.\x00\x02\x02./s,
         'it gets an alert');
}

others_go_on('first flights');


# The second flight

# What is posted instead of it: a coderef of the flight.

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

for my $protocol ('TLSv1.3', 'TLSv1.2') {
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

    # any bit: no handshake comes to an end

    my ($ended, $refused) = (0, 0);

    for my $n (0 .. 24) {
        my $c = $t->client(protocol => $protocol);

        $c->handshake_step();
        $c->exchange($c->tls_out());
        $c->handshake_step();

        my $flight = $c->tls_out();
        my $r = $c->post(flip($flight, $n * length($flight) / 25, $n % 8));

        # what waits for more gets it

        $r = $c->post("\0" x 20000) if $r->status() == 200 && $c->cookie();
        $c->cookie() ? $ended++ : $refused++;
    }

    is($ended, 0, "$protocol, a bit flipped in the second flight");
    is($refused, 25, "$protocol, each time");
}

# the start of the second flight, and then garbage

for my $protocol ('TLSv1.3', 'TLSv1.2') {
    my $c = $t->client(protocol => $protocol);

    $c->handshake_step();
    $c->exchange($c->tls_out());
    $c->handshake_step();

    my $flight = $c->tls_out();
    my $cookie = $c->cookie();

    is($c->post(substr $flight, 0, -10)->status(), 200,
       "$protocol, a truncated second flight");
    is($c->cookie(), $cookie, 'waits for the rest');
    is($c->post('x' x 10)->status(), 200, 'which is another one');
    is($c->cookie(), undef, 'and so it ends');
}

others_go_on('second flights');


# Established

for my $protocol ('TLSv1.3', 'TLSv1.2') {
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

    # a flipped bit in the last of several records: what came before is served

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
    is($c->cookie(), undef, 'and the session is over');

    # a request that the bad record is a part of

    $c = $t->established(@args);
    $c->write_plain(substr $get, 0, 10);
    $good = $c->tls_out();
    $c->write_plain(substr $get, 10);
    is_refused($c, $good . flip($c->tls_out(), 20), BAD_RECORD_MAC,
               "$protocol, in mid-request");

    # truncated: the rest may come; something else may not

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

    # replayed in a POST of its own

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

    # another session's

    $c = $t->established(@args);
    my $other = $t->established(@args);
    $other->write_plain($get);
    $record = $other->tls_out();
    is_refused($c, $record, BAD_RECORD_MAC, "$protocol, of another session");
    $other->exchange($record);
    like($other->read_plain(), qr/inner/, 'which goes on');

    # close_notify

    $c = $t->established(@args);
    $cookie = $c->cookie();
    ok($c->close_notify(), "$protocol, close_notify");
    $c->read_plain();
    ok($c->closed(), 'is answered with one');
    is($c->cookie(), undef, 'the cookie expires');
    is($c->post('', cookie => "atls=$cookie")->status(), 410,
       'the session is gone');

    # behind a request

    $c = $t->established(@args);
    $c->write_plain($get);
    Net::SSLeay::shutdown($c->ssl());
    $c->exchange($c->tls_out());
    like($c->read_plain(), qr/inner/, "$protocol, a request and close_notify");
    ok($c->closed(), 'both are answered');
}

others_go_on('established sessions');


# Records that no TLS stack makes

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
    'another outer type'    => [ [ DATA, $get, outer => HANDSHAKE ],
                                 UNEXPECTED_MESSAGE ],
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

# what may be

{
    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());

    my $answer = sub { $c->exchange(join '', @_); $c->read_plain() };

    like($answer->($forge->record(DATA, $get)), qr/inner/, 'forged as it is');
    like($answer->($forge->record(DATA, $get, padding => 1000)), qr/inner/,
         'with padding');
    like($answer->($forge->record(DATA, $get, version => '0301')), qr/inner/,
         'of another version of TLS');

    is($answer->(map { $forge->record(DATA, '') } 1 .. 20), '',
       'empty records');
    like($answer->($forge->record(DATA, $get)), qr/inner/, 'and a request');
    like($answer->((map { $forge->record(DATA, '', padding => $_) } 1 .. 20),
                   $forge->record(DATA, $get)), qr/inner/,
         'in one POST with empty ones');

    # byte by byte

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

# too many of what is fine

{
    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());

    is_refused($c, join('', map { $forge->record(DATA, '') } 1 .. 200),
               UNEXPECTED_MESSAGE, 'many empty records');

    # in as many POSTs

    $forge = Test::Atls::Forge->new();
    $c = $t->established($forge->client_args());

    my $n = 0;
    for (1 .. 200) {
        $n++;
        $c->exchange($forge->record(DATA, ''));
        last unless $c->cookie();
    }

    cmp_ok($n, '<', 100, 'many empty records, a POST each');
    $c->read_plain();
    is(join(' ', $c->alerts()), UNEXPECTED_MESSAGE, 'alert');

    $forge = Test::Atls::Forge->new();
    $c = $t->established($forge->client_args());

    my $updates = '';
    for (1 .. 100) {
        $updates .= $forge->record(HANDSHAKE, $update);
        $forge->update();
    }
    is_refused($c, $updates, UNEXPECTED_MESSAGE, 'many KeyUpdates');
}

# between the halves of a message

{
    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());

    $c->exchange($forge->record(HANDSHAKE, substr $update, 0, 3));
    is_refused($c, $forge->record(DATA, $get), UNEXPECTED_MESSAGE,
               'data inside of a KeyUpdate');
}

# behind close_notify

{
    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());
    my $cookie = $c->cookie();

    $c->exchange($forge->record(ALERT, pack 'CC', 1, CLOSE_NOTIFY)
                 . $forge->record(DATA, $get));
    is($c->read_plain(), '', 'data after close_notify');
    ok($c->closed(), 'is not looked at');
    is($c->post('', cookie => "atls=$cookie")->status(), 410,
       'the session is gone');
}

others_go_on('forged records');


# Cookies

{
    my $c = $t->established();
    my $cookie = $c->cookie();

    $c->write_plain($get);
    my $record = $c->tls_out();

    my %cookies = (
        'of another value'      => 'A' x 24,
        'empty'                 => '',
        'too short'             => substr($cookie, 0, 21),
        'too long'              => "${cookie}A",
        'much too long'         => 'A' x 8000,
        'with bad characters'   => '!' x 24,
        'with high bytes'       => "\xff" x 24,
        'with a quote'          => "\"$cookie",
        'with one of them wrong' => flip($cookie, 5, 0),
        'in hex'                => unpack('H*', $cookie),
    );

    for my $name (sort keys %cookies) {
        my $r = $c->post($record, cookie => "atls=$cookies{$name}");

        is($r->status(), 410, "a cookie $name");
        like($r->header('Set-Cookie'), qr/Max-Age=0/, 'expires');
    }

    my %headers = (
        'another name'          => "btls=$cookie",
        'a longer name'         => "xatls=$cookie",
        'no value'              => 'atls',
        'nothing'               => ';;;=;; =',
        'many'                  => join('; ', map { "c$_=v" } 1 .. 1000),
    );

    for my $name (sort keys %headers) {
        my $r = $c->post($record, cookie => $headers{$name});

        is($r->status(), 410, "a Cookie header of $name: no session");
        is($r->header('Set-Cookie'), undef, 'and none to expire');
    }

    # and each bit of it: no other value is the session's

    my $n = 0;

    for my $at (0 .. 20) {
        for my $bit (0 .. 6) {
            $n++ if $c->post($record, cookie => 'atls='
                             . flip($cookie, $at, $bit))->status() == 200;
        }
    }

    is($n, 0, 'no flipped bit leads to the session');

    $c->cookie($cookie);
    $c->exchange($record, cookie => "a=b; atls=$cookie; c=d");
    like($c->read_plain(), qr/inner/, 'which goes on, among other cookies');

    my $many = join('; ', map { "c$_=v" } 1 .. 500) . "; atls=$cookie";

    $c->write_plain($get);
    $c->exchange($c->tls_out(), cookie => $many);
    like($c->read_plain(), qr/inner/, 'among many others');
}

others_go_on('cookies');

is(join(' ', sort $t->workers()), join(' ', sort @workers),
   'the workers are those of the start');

@witnesses = ();
$t->done_testing();
