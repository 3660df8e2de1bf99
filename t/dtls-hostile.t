#!/usr/bin/perl

# DTLS from hostile clients, and from others on the path: records that break the
# rules are discarded, handshakes and sessions go on, and memory is bounded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw( shuffle );
use Test::More;

use Test::Atls;
use Test::Atls::Outer;
use Test::Atls::Stack;
use Test::Atls::Udp qw( dtls_records );

my $TYPE = 'application/atls+octet-stream';

my $t = Test::Atls->new(workers => 1);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

atls_protocols DTLSv1.2;
atls_max_handshakes 40;
atls_handshake_timeout 60s;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "inner";
    }
}
EOC

$t->run();

srand 7;

hellos();
handshakes();
garbage();
memory();
flood();
established();
foreign();

$t->done_testing();


# A ClientHello in fragments, in any order, some twice and overlapping.

sub hellos {
    my %cuts = (
        'in order'    => sub { @_ },
        'reversed'    => sub { reverse @_ },
        'shuffled'    => sub { shuffle @_ },
        'repeated'    => sub { shuffle @_, @_ },
        'overlapping' => sub { shuffle @_ },
        'in one POST' => sub { join '', shuffle @_ },
    );

    for my $name (sort keys %cuts) {
        my $c = client();

        $c->handshake_step();

        my @parts = fragments($c->tls_out(), 40,
                              $name eq 'overlapping' ? 60 : 40);
        my $flight = join '', map { $c->post($_)->body() }
                              $cuts{$name}->(@parts);

        like($flight, qr/^\x16\xfe\xfd/, "ClientHello, $name: flight");
        $c->tls_in($flight);

        ok($c->handshake(), "ClientHello, $name: handshake")
            or diag($c->error());
    }
}


# Records that are of no use in a handshake, between those of the client.

sub handshakes {
    my ($c, $flight) = half_open();

    my $message = message(16, 1, 10, 0, 10);
    my %useless = (
        'a number too high'   => record(22, message(16, 5, 10, 0, 10)),
        'a far higher number' => record(22, message(16, 65535, 10, 0, 10)),
        'a late long message' => record(22, message(15, 3, 60000, 0, 10)),
        'end after the message' => record(22, message(16, 1, 10, 5, 10)),
        'end after the record'  => record(22, substr $message, 0, -1),
        'a part of a header'  => record(22, substr $message, 0, 11),
        'no message'          => record(22, ''),
        'a second, cut one'   => record(22, message(16, 2, 10, 0, 10) . 'x'),
        'epoch 2'             => record(22, $message, 2),
        'epoch 65535'         => record(21, "\2\x28", 65535),
        'epoch 1, early'      => join('', map { record(22, 'x' x 40, 1) } 1 .. 9),
        'alert in epoch 1'    => record(21, "\2\x28" . 'x' x 24, 1),
        'alert in the clear'  => record(21, "\2\x28", 0, 50),
        'close_notify'        => record(21, "\1\0", 0, 51),
        'a part of an alert'  => record(21, "\2", 0, 52),
        'ChangeCipherSpec'    => record(20, "\1"),
        'other content'       => record(20, "\2"),
        'no content'          => record(20, ''),
    );

    for my $name (sort keys %useless) {
        my $r = $c->post($useless{$name});
        is($r->status() . $r->body(), '200', "$name: nothing");
    }

    $c->tls_in($flight);
    ok($c->handshake(), 'the handshake goes on') or diag($c->error());
    is($c->get('/')->body(), 'inner', 'request');

    # Finished before the other messages, after records of no use

    ($c, $flight) = half_open();
    $c->tls_in($flight);
    $c->handshake_step();

    my @finish = dtls_records($c->tls_out());

    $c->post(record(22, 'x' x 40, 1)) for 1 .. 3;
    $c->post($_) for @finish[2, 0, 1];

    $c->tls_in($c->post(join '', @finish)->body());
    ok($c->handshake_step(), 'Finished that was discarded is sent again')
        or diag($c->error());
}


# What follows something that is no record is skipped, in all of the body.

sub garbage {
    my ($c, $flight) = half_open();

    $c->tls_in($flight);
    $c->handshake_step();

    # the second piece is read later than the first one

    my $finish = $c->tls_out();
    my @pieces = (record(22, 'x' x 40, 2) . 'x' x 20, $finish);

    my $r = outer()->post(sub { sleep 1 if @pieces == 1; shift @pieces },
                          { 'Content-Type' => $TYPE,
                            Cookie => 'atls=' . $c->cookie() });

    is($r->status() . $r->body(), '200', 'records after garbage: nothing');

    $c->tls_in($c->post($finish)->body());
    ok($c->handshake(), 'records without garbage') or diag($c->error());
}


# What OpenSSL keeps of records that come too early.

sub memory {
    SKIP: {
        skip 'more memory with valgrind', 2
            if ($ENV{TEST_NGINX_SLOW} || 1) > 1;

        my %floods = (
            'fragments of later messages' => join('', map {
                record(22, message(11, $_, 100_000, 0, 10))
            } 1 .. 12),
            'records of the next epoch' => join('', map {
                record(22, 'x' x 1200, 1, $_)
            } 1 .. 200),
        );

        for my $name (sort keys %floods) {
            my ($first) = half_open();
            my $before = anonymous();
            my @clients = map { (half_open())[0] } 1 .. 16;

            $_->post($floods{$name}) for @clients;

            my $each = (anonymous() - $before) / @clients;

            cmp_ok($each, '<', 400, "memory: $name");
            diag("$each KB each") if $ENV{TEST_VERBOSE};

            # otherwise, the worker waits for the ends of the handshakes

            end($_) for $first, @clients;
        }
    }
}


sub anonymous {
    my ($pid) = $t->workers();

    return $t->read_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m
           && $1;
}


# More ClientHellos than handshakes are allowed.

sub flood {
    my $c = client();

    ok($c->handshake(), 'flood: session') or diag($c->error());

    my ($first) = half_open();
    my $other = client();

    $other->handshake_step();

    my $hello = $other->tls_out();
    my @answers = map { outer()->post($hello, { 'Content-Type' => $TYPE }) }
                  1 .. 100;
    my %status;

    push @{$status{$_->status()}}, $_ for @answers;

    is(scalar @{$status{200}}, 39, 'flood: handshakes');
    is(scalar @{$status{503}}, 61, 'flood: no more of them');
    is($c->get('/')->body(), 'inner', 'flood: the session goes on');

    # each of them is a session of its own

    my @cookies = map { ($_->header('Set-Cookie') || '') =~ /^([^;]+)/ }
                  @{$status{200}};
    my %cookies = map { $_ => 1 } @cookies;

    is(scalar keys %cookies, 39, 'flood: different sessions');

    outer()->post(invalid(), { 'Content-Type' => $TYPE, Cookie => $_ })
        for @cookies, 'atls=' . $first->cookie();

    ($other) = half_open();
    is($other->last_response()->status(), 200, 'flood: after it');
    end($other);
}


# Ends a handshake: a ClientKeyExchange that is not valid.

sub invalid { record(22, message(16, 1, 10, 0, 10), 0, 60) }

sub end {
    my ($c) = @_;

    like($c->post(invalid())->body(), qr/^\x15/, 'alert of the server');
}


# In an established session.

sub established {
    my $c = client();

    ok($c->handshake(), 'session') or diag($c->error());

    my %useless = (
        'alert in the clear'        => record(21, "\2\x28"),
        'close_notify in the clear' => record(21, "\1\0"),
        'alert, not authentic'      => record(21, "\2\x28" . 'x' x 24, 1),
        'ChangeCipherSpec'          => record(20, "\1"),
        'ChangeCipherSpec again'    => record(20, "\1" . 'x' x 24, 1),
        'data in the clear'         => record(23, 'GET / HTTP/1.0'),
        'a long number'             => record(23, 'x' x 40, 1, 2 ** 32 - 1),
        '1000 records'              => record(23, 'x' x 40, 1) x 1000,
        '1000 empty records'        => record(23, '', 1) x 1000,
    );

    for my $name (sort keys %useless) {
        my $r = $c->post($useless{$name});
        is($r->status() . $r->body(), '200', "$name: nothing");
        is($c->get('/')->body(), 'inner', "$name: the session goes on");
    }

    my $r = $c->post($useless{'1000 records'} . request($c));
    $c->tls_in($r->body());
    like($c->read_plain(), qr/inner/, 'request after 1000 records');

    # renegotiation, RFC 5246, section 7.2.2

    $c->key_update();
    $r = $c->post($c->tls_out());
    isnt($r->body(), '', 'renegotiation is answered');
    $c->tls_in($r->body());
    $c->read_plain();
    is("@{[ $c->alerts() ]}", '100', 'by no_renegotiation');

    cut();
}


# The connection ends in the middle of a POST.

sub cut {
    my $c = client();

    ok($c->handshake(), 'cut POSTs: session') or diag($c->error());

    for my $keep (13, 30, -1) {
        my $http = outer();
        my $one = request($c);
        my $two = request($c);
        my $body = $one . substr $two, 0, $keep;

        $http->send($body, {
            'Content-Type' => $TYPE, Cookie => 'atls=' . $c->cookie(),
            'Content-Length' => length($one) + length($two),
        });
        $http->close();

        is($c->get('/')->body(), 'inner', "cut after $keep: goes on");

        $c->tls_in($c->post($two)->body());
        like($c->read_plain(), qr/inner/, "cut after $keep: sent again");
    }
}


# POSTs of somebody with the cookie: while others are in progress, and between
# them.

sub foreign {
    my $c = client();

    ok($c->handshake(), 'foreign POSTs: session') or diag($c->error());

    my %headers = ('Content-Type' => $TYPE,
                   Cookie => 'atls=' . $c->cookie());
    my @used = map { my $request = request($c); $c->post($request); $request }
               1 .. 3;
    my @open = map { outer() } 1 .. 8;

    # some of them never end

    $_->send(substr($used[0], 0, 20), { %headers, 'Content-Length' => 1000 })
        for @open;

    my $answers = 0;

    for my $n (1 .. 150) {
        my $forged = forged(@used);
        my $r = outer()->post($forged, \%headers);

        # a message in the clear is answered by the last flight

        $answers++ if $r->status() != 200
                      || (length $r->body() && ord $forged != 22);
        next if $n % 10;

        $c->tls_in($c->post(forged(@used) . request($c))->body());
        like($c->read_plain(), qr/^HTTP.*inner/s, "request after $n");
    }

    is($answers, 0, 'foreign POSTs get nothing');
    $_->close() for @open;

    $c->close_notify();
    $c->read_plain();
    ok($c->closed(), 'foreign POSTs: close_notify');
}


# Whole records, so that others may follow.

sub forged {
    my (@used) = @_;

    my $record = $used[rand @used];

    return $record if rand() < 0.3;
    return record(20 + rand 4, random(rand 100), int rand 2, rand 100)
        if rand() < 0.5;

    substr $record, 13 + rand(length($record) - 13), 1, random(1);
    substr $record, 5, 6, random(6) if rand() < 0.5;

    return $record;
}


sub random { join '', map { chr rand 256 } 1 .. $_[0] }


sub client {
    return Test::Atls::Stack->new('openssl', port => $t->port(0),
                                  keepalive => 0, protocol => 'DTLSv1.2', @_);
}


# A client with a half-open session, and the server's flight.

sub half_open {
    my $c = client();

    $c->handshake_step();

    return ($c, $c->post($c->tls_out())->body());
}


sub outer {
    return Test::Atls::Outer->new(port => $t->port(0), keepalive => 0,
                                  uri => '/.well-known/atls');
}


sub request {
    my ($c) = @_;

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    return $c->tls_out();
}


sub record {
    my ($type, $content, $epoch, $number) = @_;

    return pack 'C n n n N n/a*', $type, 0xfefd, $epoch || 0, 0, $number || 7,
                                  $content;
}


# A fragment of a handshake message, RFC 6347, section 4.2.2.

sub message {
    my ($type, $seq, $len, $offset, $fragment) = @_;

    return pack('C Cn n Cn Cn', $type, $len >> 16, $len & 0xffff, $seq,
                $offset >> 16, $offset & 0xffff,
                $fragment >> 16, $fragment & 0xffff) . 'x' x $fragment;
}


# A record with a whole message, in records with fragments.

sub fragments {
    my ($bytes, $step, $size) = @_;

    my ($type, $seq) = unpack 'x13 C x3 n', $bytes;
    my $body = substr $bytes, 25;
    my @records;

    for (my $at = 0; $at < length $body; $at += $step) {
        my $part = substr $body, $at, $size;
        my $head = message($type, $seq, length $body, $at, length $part);

        # further records of the client have low numbers

        push @records, record(22, substr($head, 0, 12) . $part, 0,
                              20 + @records);
    }

    return @records;
}
