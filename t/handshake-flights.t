#!/usr/bin/perl

# Flights of a handshake in POSTs of any size: cut at any byte, with several
# records, the last flight together with requests.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

# a handshake may have a POST for each byte

atls_handshake_timeout 60s;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "$request_uri $atls_session_requests";
    }
}
EOC

$t->run();


for my $protocol (qw( TLSv1.3 TLSv1.2 )) {

    my @client = (port => $t->port(0), protocol => $protocol);
    my ($c, $r);

    # each byte in a POST

    $c = Test::Atls::Client->new(@client);

    $c->handshake_step();
    my $flight = $c->tls_out();
    my $length = length $flight;
    my $cookies = 0;
    my $early = 0;

    for my $at (0 .. $length - 1) {
        $r = $c->exchange(substr $flight, $at, 1) or last;
        $cookies++ if $r->header('Set-Cookie');
        $early++ if $r->body() ne '' && $at < $length - 1;
    }

    is($c->error(), '', "$protocol: ClientHello by bytes");
    is($cookies, 1, "$protocol: one cookie");
    is($early, 0, "$protocol: no answer before the last byte");

    is($c->posts(), $length, "$protocol: a POST for each byte");

    ok($c->handshake(split => 1), "$protocol: second flight by bytes")
        or diag($c->error());
    is($c->get('/after')->body(), '/after 1', "$protocol: a request after it");

    # pieces of other sizes

    for my $size (3, 7, 64) {
        $c = Test::Atls::Client->new(@client);
        ok($c->handshake(split => $size), "$protocol: pieces of $size")
            or diag($c->error());
        is($c->get('/after')->body(), '/after 1', "$protocol: a request");
    }

    # an empty POST in between has no effect

    $c = Test::Atls::Client->new(@client);
    $c->handshake_step();
    $flight = $c->tls_out();
    $c->exchange(substr $flight, 0, 50, '');
    $r = $c->exchange('');

    is($r->body(), '', "$protocol: empty POST");
    is($r->header('Set-Cookie'), undef, "$protocol: no other cookie");

    $c->exchange($flight);
    ok($c->handshake(), "$protocol: the handshake goes on")
        or diag($c->error());

    # a ClientHello in small records, in one POST and in several

    for my $split (0, 100, 10) {
        $c = Test::Atls::Client->new(@client);
        $c->handshake_step();
        $c->exchange(fragment($c->tls_out(), 10), split => $split);
        ok($c->handshake(), "$protocol: ClientHello in many records, $split")
            or diag($c->error());
        is($c->get('/after')->body(), '/after 1', "$protocol: a request");
    }

    # the last flight and requests in one POST (with TLS 1.2, the client has to
    # wait for the server's Finished)

    next if $protocol eq 'TLSv1.2';

    for my $n (1, 3) {
        $c = Test::Atls::Client->new(@client);
        ok($c->handshake(hold => 1), "Finished with $n requests")
            or diag($c->error());
        is($c->posts(), 1, 'is kept');

        my @r = parse_responses($c->request(requests(1 .. $n)));

        is($c->posts(), 2, 'one POST for all of it');
        is(join(', ', map { $_->body() } @r),
           join(', ', map { "/request$_ $_" } 1 .. $n), "$n answers");
    }

    # cut within the record of the request: the rest is received after the
    # handshake

    for my $left (1, 10, 60) {
        $c = Test::Atls::Client->new(@client);
        $c->handshake(hold => 1);
        $c->write_plain(requests(1));

        $flight = $c->tls_out();
        $c->exchange($flight, split => [ length($flight) - $left ]);
        like($c->read_plain(), qr!/request1 1$!,
             "Finished with a request but for $left bytes");
    }
}

$t->done_testing();


sub requests {
    return join '', map {
        Test::Atls::Client::format_request('GET', "/request$_", '')
    } @_;
}


# Cuts a handshake message into records of this size.

sub fragment {
    my ($record, $size) = @_;

    my $message = substr $record, 5;

    return join '', map { "\x16\x03\x01" . pack('n/a', $_) }
                    unpack "(a$size)*", $message;
}
