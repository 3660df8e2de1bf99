#!/usr/bin/perl

# Refused early data: if it is off, for other names and clients, and if a ticket
# is used again.  The handshake continues.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::EarlyData;
use Test::Atls::Retry qw( again );
use Test::Atls::Stack qw( @STACKS );

my $TYPE = 'application/atls+octet-stream';
my $PARALLEL = 8;

for my $stack (@STACKS) {
    refused($stack);
    names($stack);
    known_client($stack);
    hello_retry($stack) if $stack eq 'openssl';
    tls12($stack);
    once($stack);
    at_once($stack);
    replayed($stack);
    sent_again($stack);
    in_pieces($stack);
    broken($stack);
    aborted($stack);
}

$t->done_testing();


# If it is off, which is the default, tickets do not allow early data, and other
# tickets are refused for it.

sub refused {
    my ($stack) = @_;

    my $c = early($stack, session($stack, uri => '/off'), get('/echo'));

    # GnuTLS sends it nevertheless

    isnt($c->early_status(), 'accepted', "$stack, off: not allowed");
    is(here($c), ' r 1', "$stack, off: and are as good as others");

    $c = early($stack, session($stack), get("/echo?refused-$stack"),
               uri => '/off');

    is($c->early_status(), 'rejected', "$stack, off: refused");
    is($c->early_response(), undef, "$stack, off: not answered");
    is(here($c), ' r 1', "$stack, off: the session is resumed");
    is(served("/echo?refused-$stack"), 0, "$stack, off: it was not served");
}


# The server is selected by SNI.

sub names {
    my ($stack) = @_;

    # OpenSSL sends early data with another name than the session's only if the
    # session has none

    my $c = early($stack, session($stack, sni => ''),
                  request('GET', '/', '', Host => 'off.test'),
                  sni => 'off.test');

    is($c->early_status(), 'rejected', "$stack: off for a name");
    ok($c->resumed(), "$stack: which resumes");
    is(early_seen($c->get('/', Host => 'off.test')), '',
       "$stack: off for a name: then served");

    my @on = (port => $t->port(4), sni => 'on.test');

    $c = client($stack, @on);
    $c->handshake();
    $c->get('/', Host => 'on.test');
    $c = early($stack, $c->session(),
               request('GET', '/', '', Host => 'on.test'), @on);

    is($c->early_status(), 'accepted', "$stack: on for a name");
    is(early_seen($c->early_response()), 1, "$stack: on for a name: served");

    $c = client($stack, port => $t->port(4), sni => 'other.test',
                session => $c->session());
    $c->handshake();
    is(early_seen($c->get('/', Host => 'on.test')), undef,
       "$stack: off for others");
}


# The ticket contains the client's certificate.

sub known_client {
    my ($stack) = @_;

    my @known = (uri => '/clients', cert => $t->path('client.crt'),
                 key => $t->path('client.key'));
    my $c = early($stack, session($stack, @known), get('/here'), @known);

    for my $r ($c->early_response(), $c->get('/here')) {
        my ($client) = $r ? $r->body() =~ /^client (.*)$/m : ();

        is($client, 'SUCCESS CN=client', "$stack: a client with a certificate");
    }

    # a ticket of a client without a certificate

    $c = early($stack, session($stack), get("/echo?nobody-$stack"),
               uri => '/clients');
    is($c->early_status(), 'rejected', "$stack: a client without");
    is(served("/echo?nobody-$stack"), 0, "$stack: is not served");
}


# The server requests another key share.  GnuTLS 3.7 then encrypts its second
# ClientHello like early data.

sub hello_retry {
    my ($stack) = @_;

    my $c = early($stack, session($stack, uri => '/p384', groups => 'P-384'),
                  get("/echo?retry-$stack"), uri => '/p384',
                  groups => 'X25519:P-256:P-384');

    is($c->posts(), 2, "$stack: HelloRetryRequest");
    is($c->early_status(), 'rejected', "$stack: no early data with that");
    is(here($c), ' r 1', "$stack: the session is resumed");
    is(served("/echo?retry-$stack"), 0, "$stack: it was not served");
}


sub tls12 {
    my ($stack) = @_;

    my @tls12 = (protocol => 'TLSv1.2');
    my $c = early($stack, session($stack, @tls12), get("/echo?tls12-$stack"),
                  @tls12);

    isnt($c->early_status(), 'accepted', "$stack: no early data in TLS 1.2");
    is(here($c), ' r 1', "$stack: TLS 1.2 resumes");
    is(served("/echo?tls12-$stack"), 0, "$stack: it was not served");
}


# A used ticket can still be resumed, in any worker.

sub once {
    my ($stack) = @_;

    my $session = session($stack);
    my $c = early($stack, $session, get("/echo?once-$stack"));

    is($c->early_status(), 'accepted', "$stack: once");

    my $failed = 0;

    for (1 .. 3 * $WORKERS) {
        $c = early($stack, $session, get("/echo?once-$stack"));
        $failed++ if $c->early_status() ne 'rejected' || here($c) ne ' r 1';
    }

    is($failed, 0, "$stack: not again");
    is(served("/echo?once-$stack"), 1, "$stack: it was served once");
}


# Many clients use the ticket at the same time.

sub at_once {
    my ($stack) = @_;

    my $session = session($stack);
    my @clients = map {
        client($stack, session => $session,
               early => get("/echo?at-once-$stack"))
    } 1 .. $PARALLEL;

    $_->handshake_step() for @clients;
    $_->post_send($_->tls_out()) for @clients;
    answered($_) for @clients;

    my $resumed = grep { $_->handshake() && here($_) =~ / r / } @clients;
    my @accepted = grep { $_->early_status() eq 'accepted' } @clients;

    is(scalar @accepted, 1, "$stack: one of many at once");
    is($resumed, $PARALLEL, "$stack: all of them resume");
    is(served("/echo?at-once-$stack"), 1, "$stack: it was served once");
}


# The same bytes are sent by someone else, after the client or before.

sub replayed {
    my ($stack) = @_;

    for my $when ('after', 'before') {
        my $uri = "/echo?replayed-$when-$stack";
        my $c = client($stack, session => session($stack), early => get($uri));

        $c->handshake_step();
        my $bytes = $c->tls_out();

        $c->post($bytes) if $when eq 'after';

        my @others = map { outer() } 1 .. $PARALLEL;

        $_->send($bytes, { 'Content-Type' => $TYPE }) for @others;
        my @answers = map { $_->receive() } @others;

        $c->tls_in(($when eq 'after' ? $c->last_response()
                                     : $c->post($bytes))->body());
        $c->handshake();

        is(join(' ', map { status($_) } @answers),
           join(' ', (200) x $PARALLEL), "$stack, replayed $when: answers");
        is($c->early_status(), $when eq 'after' ? 'accepted' : 'rejected',
           "$stack, replayed $when: the client");
        is(here($c), $when eq 'after' ? ' r 2' : ' r 1',
           "$stack, replayed $when: goes on");
        is(served($uri), 1, "$stack, replayed $when: it was served once");
    }
}


# The same bytes in the same session, whose cookie has been received, but not
# the rest of the response.

sub sent_again {
    my ($stack) = @_;

    my $uri = "/echo?again-$stack";
    my $c = client($stack, session => session($stack), early => get($uri));

    $c->handshake_step();

    my $flight = $c->tls_out();
    my $first = '200 ' . $c->post($flight)->body();
    my @got = map { again($c, $flight) } 1 .. $PARALLEL;

    is(scalar(grep { $_ eq $first } @got), $PARALLEL,
       "$stack, sent again: the same response");
    is(served($uri), 1, "$stack, sent again: it was served once");

    $c->tls_in($c->last_response()->body());
    $c->handshake();
    is($c->early_status(), 'accepted', "$stack, sent again: accepted");
    is(here($c), ' r 2', "$stack, sent again: goes on");
}


# A ClientHello and early data in several POSTs.

sub in_pieces {
    my ($stack) = @_;

    for my $size (100, 333) {
        my $c = client($stack, session => session($stack),
                       early => get('/echo'));

        ok($c->handshake(split => $size), "$stack, pieces of $size bytes")
            or diag($c->error());
        is(seen($c->early_response()), 'GET /echo, Early-Data: 1',
           "$stack, pieces of $size bytes: response");
        is(here($c), ' r 2', "$stack, pieces of $size bytes: goes on");
    }
}


# Early data is not followed by a handshake.

sub broken {
    my ($stack) = @_;

    my $garbage = "\x17\x03\x03\x00\x20" . 'x' x 32;
    my %requests = (
        'a request' => get('/echo'),
        'a part of it' => substr(get('/echo'), 0, 20),
        'no body' => request('POST', '/body', 'x' x 1000) =~ s/x+$//r,
        'a body that nobody wants' =>
            request('POST', '/here', 'x' x 1000) =~ s/x+$/x/r,
        'unbuffered' => request('POST', '/unbuffered', 'x' x 1000) =~ s/x+$/x/r,
    );

    for my $what (sort keys %requests) {

        for my $at_once (0, 1) {
            my $name = "$stack, broken, $what" . ($at_once ? ', at once' : '');
            my $c = client($stack, session => session($stack),
                           early => $requests{$what});

            $c->handshake_step();
            my $flight = $c->tls_out();

            $c->exchange($at_once ? $flight . $garbage : $flight);
            my $cookie = $c->cookie();
            my $r = $at_once ? $c->last_response()
                             : $c->post($garbage);

            $c->tls_in($r->body());
            $c->handshake_step();
            is(join(' ', $c->alerts()), 20, "$name: an alert");
            is($c->cookie(), undef, "$name: no cookie");
            gone($c, $cookie, "$name: gone") if $cookie;
        }
    }
}


# The client closes the connection within the response.

sub aborted {
    my ($stack) = @_;

    my $c = client($stack, session => session($stack),
                   early => get('/slow?n=100&delay=0.1'));

    $c->handshake_step();
    $c->post_send($c->tls_out());

    my $head = '';
    my $s = $c->http_client()->{socket};

    until ($head =~ /\r\n\r\n/) {
        sysread $s, $head, 1000, length $head or last;
    }

    $c->http_client()->close();

    my ($cookie) = $head =~ /^Set-Cookie: atls=([^;]+)/m;

    ok($t->wait_for(sub {
        status($c->post('x' x 32, cookie => "atls=$cookie")) == 410;
    }), "$stack: a client that leaves takes its session with it");
}
