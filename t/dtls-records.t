#!/usr/bin/perl

# DTLS records that are lost, repeated, reordered or forged, and flights that
# are sent again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw( shuffle );
use Test::More;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Stack;
use Test::Atls::Status qw( status );
use Test::Atls::Udp qw( dtls_records );

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

atls_protocols TLSv1.2 DTLSv1.2;
atls_handshake_timeout 60s;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /ccm8 {
        atls on;
        atls_ciphers AESCCM8:@SECLEVEL=0;
    }

    location = /status {
        atls_status;
    }

    location / {
        return 200 "inner";
    }
}
EOC

$t->run();

# flights: the ClientHello is not sent again here, as it names no session

my $c = client();
my ($r, $again, %again);

$c->handshake_step();
my $hello = $c->tls_out();
$r = $c->post($hello);
is($r->status(), 200, 'ClientHello');
my $flight = $r->body();
like($flight, qr/^\x16\xfe\xfd/, 'flight of the server');

is_again($c->post($hello)->body(), $flight,
         'ClientHello again: the same flight');
is($c->post('')->body(), '', 'empty body: nothing');
is_again($c->post("\x17\xfe\xfd\0\1" . ("\0" x 7) . "\x20" . 'x' x 32)->body(),
         $flight, 'data before the end of the handshake: the flight again');
is($c->post('garbage')->body(), '', 'garbage: nothing');

$c->tls_in($flight);
$c->handshake_step();
my @finish = dtls_records($c->tls_out());
is(scalar @finish, 3, 'ClientKeyExchange, ChangeCipherSpec, Finished');

# each in a POST of its own, the last one first, and twice

is($c->post($finish[2])->body(), '', 'Finished first');
is($c->post($finish[0])->body(), '', 'ClientKeyExchange');
is($c->post($finish[0])->body(), '', 'again');
$r = $c->post($finish[1]);
my $last = $r->body();
isnt($last, '', 'ChangeCipherSpec: last flight');

for my $again (join('', @finish), $finish[2], join '', shuffle @finish) {
    is_again($c->post($again)->body(), $last, 'last flight again');
}

$c->tls_in($last);
ok($c->handshake_step(), 'established') or diag($c->error());
is($c->get('/')->body(), 'inner', 'request');
is_again($c->post($finish[2])->body(), $last, 'last flight, after data');

$again = client();
$again->cookie($c->cookie());
ok($again->handshake(), 'ClientHello with the cookie: another session');
isnt($again->cookie(), $c->cookie(), 'with another cookie');
is($c->get('/')->body(), 'inner', 'the first session is not affected');

# repeated and reordered records

my $repeated = status($t)->{records_refused_total}{'repeated record'};
my @posts = map { request($c) } 1 .. 70;

$r = $c->post($posts[69]);
isnt($r->body(), '', 'the last record first');
is($c->post($posts[69])->body(), '', 'again: nothing');
is($c->post($posts[5])->body(), '', 'too old: nothing');

my $answers = grep { $c->post($_)->body() ne '' } shuffle @posts[6 .. 69];
is($answers, 63, 'in any order');
is((grep { $c->post($_)->body() ne '' } @posts), 0, 'none of them again');

my $log = $t->read_log('error.log');
like($log, qr/\[info\].*atls POST has no valid DTLS record: repeated record/,
     'logged');
is(status($t)->{records_refused_total}{'repeated record'} - $repeated,
   1 + 1 + 1 + 70, 'and counted');

# several records in a body, as POSTs of datagrams

my $one = request($c);
my $two = request($c);
$r = $c->post($two . $one . $two);
$c->tls_in($r->body());
is(() = $c->read_plain() =~ /inner/g, 1, 'one request of a body is served');
is($c->post($one)->body(), '', 'the other one is lost');

# records that are discarded

my $record = request($c);
my %bad = (
    'a bit inverted'  => $record ^ ("\0" x 40 . "\1"),
    'another type'    => "\x18" . substr($record, 1),
    'TLS'             => "\x17\x03\x03" . substr($record, 11),
    'another version' => "\x17\xfe\xff" . substr($record, 3),
    'another epoch'   => substr($record, 0, 4) . "\2" . substr($record, 5),
    'cut'             => substr($record, 0, -1),
    'header only'     => substr($record, 0, 13),
    'part of it'      => substr($record, 0, 5),
    'empty record'    => substr($record, 0, 11) . "\0\0",
    'too long'        => substr($record, 0, 11) . "\xff\xff",
    'random'          => join('', map { chr rand 256 } 1 .. 1000),
);

for my $name (sort keys %bad) {
    $r = $c->post($bad{$name});
    is($r->status() . $r->body(), '200', "$name: nothing");
}

$r = $c->post($bad{'a bit inverted'} . $record);
isnt($r->body(), '', 'the record itself, after another one');
is($c->get('/')->body(), 'inner', 'the session goes on');

# TLS at the same endpoint

my $tls = Test::Atls::Client->new(port => $t->port(0), keepalive => 0);
ok($tls->handshake(), 'TLS session');
is($tls->post(request($c))->status(), 409, 'DTLS with its cookie');
is($tls->get('/')->body(), 'inner', 'not affected');

$tls = Test::Atls::Client->new(port => $t->port(0), keepalive => 0);
$tls->cookie($c->cookie());
ok($tls->handshake(), 'TLS with the cookie of a DTLS session: another one');

# the limit of CCM-8 on records that are not authentic, RFC 9147, section 4.5.3

$c = client(uri => '/ccm8', ciphers => 'ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0');
ok($c->handshake(), 'CCM-8') or diag($c->error());

my $cookie = 'atls=' . $c->cookie();
my $next = request($c);
my $forged = $next ^ ("\0" x 40 . "\1");

for (1 .. 127) {
    $r = $c->post($forged);
    last if $r->status() != 200 || $r->body() ne '';
}

is($c->get('/')->body(), 'inner', 'after 127 forged records');
$r = $c->post($forged);
$c->tls_in($r->body());
$c->read_plain();
is("@{[ $c->alerts() ]}", '20', 'bad_record_mac after 128');
is($c->post($next, cookie => $cookie)->status(), 410,
   'the session has ended');

# without a session

$c = client();
ok($c->handshake(), 'another session');

is($c->post(request($c), cookie => '')->status(), 410, 'no cookie')
    or diag($c->last_response()->body());

$t->done_testing();


sub client {
    return Test::Atls::Stack->new('openssl', port => $t->port(0),
                                  keepalive => 0, protocol => 'DTLSv1.2', @_);
}


# A request as a record.

sub request {
    my ($client) = @_;

    $client->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    return $client->tls_out();
}


# The same flight, whose records in the clear have numbers that are not used
# before.

sub is_again {
    my ($got, $expected, $name) = @_;

    my (@numbers, @texts);

    for my $bytes ($got, $expected) {
        my @records = dtls_records($bytes);

        push @numbers, grep { /^\0\0/ } map { substr $_, 3, 8 } @records;
        push @texts, join '', map {
            /^...\0\0/s ? substr($_, 0, 3) . substr($_, 11) : $_
        } @records;
    }

    is($texts[0], $texts[1], $name);

    my %before = map { $_ => 1 } splice @numbers, @numbers / 2;

    is((grep { $before{$_} || $again{$_}++ } @numbers), 0, 'with new numbers');
}
