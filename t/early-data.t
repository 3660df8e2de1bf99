#!/usr/bin/perl

# Early data: on resumption, a client sends a request with its ClientHello, and
# receives the response to the same POST.  For used tickets, see
# t/early-data-once.t; for limits and reloads, t/early-data-limits.t.
#
# Each POST has a connection of its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls::EarlyData;
use Test::Atls::Http qw( send_all );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Stack qw( @STACKS );

my $RECORD = 16384;                 # maximum size of early data

for my $stack (@STACKS) {
    first_flight("$stack, routed", $stack);
    first_flight("$stack, pinned", $stack, uri => '/pinned');
    too_early($stack);
    kinds($stack);
    streamed($stack);
    several($stack);
    connection_close($stack);
    unfinished($stack);
    raw($stack);
}

more_early_data();
nothing_more();
too_much();

$t->done_testing();


# Request and response in one POST.

sub first_flight {
    my ($name, $stack, %args) = @_;

    my $session = session($stack, %args);
    my $c = early($stack, $session, get('/echo?1'), %args);
    my $r = $c->early_response();

    is($c->early_status(), 'accepted', "$name: early data")
        or diag($c->error());
    is($c->posts(), 1, "$name: a POST");
    is(seen($r), 'GET /echo?1, Early-Data: 1', "$name: a response");
    is(seen($c->get('/echo?2')), 'GET /echo?2', "$name: the next one");
    is($c->posts(), 2, "$name: another POST");

    $c->key_update(1);
    is(seen($c->get('/echo?key')), 'GET /echo?key', "$name: and another key");

    # the new ticket is valid for early data, too

    $c = early($stack, $c->session(), get('/echo?3'), %args);
    is(seen($c->early_response()), 'GET /echo?3, Early-Data: 1',
       "$name: and again");
}


sub too_early {
    my ($stack) = @_;

    my $c = early($stack, session($stack), get('/careful'));

    is(status($c->early_response()), 425, "$stack: too early for a backend");
    is(status($c->get('/careful')), 200, "$stack: then it is not");

    $c = early($stack, session($stack), get('/here'));
    my @names = qw( early reused requests name );

    is(variables($c->early_response(), @names), '1 r 1 localhost',
       "$stack: variables");
    is(variables($c->get('/here'), @names), ' r 2 localhost',
       "$stack: and those of the next request");
}


# Other requests, and other answers.

sub kinds {
    my ($stack) = @_;

    my $body = pattern(10_000);
    my @kinds = (
        [ 'HEAD', 'HEAD', '/echo', '', 200, 0 ],
        [ 'a body', 'POST', '/body', $body, 200, 10_000 ],
        [ 'unbuffered', 'POST', '/unbuffered', $body, 200, 10_000 ],
        [ 'nothing there', 'GET', '/status?code=404', '', 404, 11 ],
        [ 'nobody there', 'GET', '/down', '', 502 ],
        [ 'a bad request', "G\@T", '/', '', 400 ],
        [ 'a large answer', 'GET', '/big?size=1000000', '', 200, 1_000_000 ],
        [ 'in chunks', 'GET', '/big?size=300000&chunked=1', '', 200, 300_000 ],
        [ 'small records', 'GET', '/big?size=300000', '', 200, 300_000,
          uri => '/pinned' ],
    );

    for my $kind (@kinds) {
        my ($name, $method, $uri, $sent, $status, $length, @args) = @$kind;

        my $c = early($stack, session($stack), request($method, $uri, $sent),
                      @args);
        my $r = $c->early_response();
        my $got = status($r);

        $length = $r->length() if $r && !defined $length;
        is($r ? "$got " . $r->length() : $got, "$status $length",
           "$stack, $name: early response") or diag($c->error());

        is(md5_hex($r->body()), pattern_md5($length), "$stack, $name: as sent")
            if $length > 1000;

        if ($status == 400) {
            ended("$stack, $name", $c);
        } else {
            is(status($c->get('/echo')), 200, "$stack, $name: goes on");
        }
    }
}


# A slow response of a backend is streamed.

sub streamed {
    my ($stack) = @_;

    my $c = client($stack, session => session($stack), early => get('/gate'));
    my $plain = '';

    $c->handshake_step();
    $c->post_send($c->tls_out());

    my $s = gate("X-Accel-Buffering: no\r\nContent-Length: 10\r\n\r\nfirst");

    $c->post_receive(on_body => sub {
        $c->tls_in($_[0]);
        $c->handshake_step() if $c->state() eq 'waiting';
        $c->early_status();         # reads
        $plain .= $c->read_plain();

        if ($s && $plain =~ /first/) {
            send_all($s, 'last.');
            close $s;
            undef $s;
        }
    });

    like($plain, qr/\r\n\r\nfirstlast\.$/, "$stack: an answer is streamed");
    is(here($c), ' r 2', "$stack: it goes on");
}


# Pipelined requests.

sub several {
    my ($stack) = @_;

    my $c = early($stack, session($stack), join '', map { get("/echo?$_") }
                                                    1 .. 3);
    my @r = $c->early_responses();

    is(join(', ', map { seen($_) } @r),
       join(', ', map { "GET /echo?$_, Early-Data: 1" } 1 .. 3),
       "$stack: pipelined requests");
    is($c->posts(), 1, "$stack: in a POST");
    is(status($c->get('/here')), 200, "$stack: it goes on");
}


# The last response ends the session, with close_notify as soon as possible.

sub connection_close {
    my ($stack) = @_;

    my $c = early($stack, session($stack),
                  request('GET', '/echo?1', '', Connection => 'close'));
    my $r = $c->early_response();

    is($r && $r->header('Connection'), 'close', "$stack: the last response");
    ended("$stack, the last response", $c);
}


# A request that begins in early data, and is completed later.

sub unfinished {
    my ($stack) = @_;

    my $body = pattern(100_000);

    for my $uri ('/body', '/unbuffered') {
        my $post = request('POST', $uri, $body);

        for my $size (10, 60, 15_000) {
            my $name = "$stack, $uri, $size bytes";
            my $c = early($stack, session($stack), substr $post, 0, $size);

            is($c->early_status(), 'accepted', "$name: early data");
            is($c->early_response(), undef, "$name: no response yet");

            my $r = $c->http(substr $post, $size);

            is($r && md5_hex($r->body()), md5_hex($body), "$name: response")
                or diag($c->error());
            is($c->posts(), 2, "$name: POSTs");

            # sent to the backend when it is complete, unless it is not buffered

            is(early_header(), $uri eq '/body' || $size < 100 ? '' : 1,
               "$name: Early-Data");
        }
    }
}


# Early-Data of the last request received by the backend.

sub early_header {
    my ($last) = reverse $backend->requests();
    my ($early) = map { $_->[1] } grep { $_->[0] eq 'Early-Data' }
                  @{$last->{headers}};

    return defined $early ? $early : '';
}


sub raw {
    my ($stack) = @_;

    my $c = early($stack, session($stack, uri => '/raw', raw => 1), 'early',
                  uri => '/raw');

    is($c->read_plain(), 'early', "$stack, raw: answered");
    is($c->posts(), 1, "$stack, raw: in a POST");
    is($c->request('more'), 'more', "$stack, raw: it goes on");

    $c = client($stack, session => session($stack, uri => '/raw', raw => 1),
                early => 'early', uri => '/raw-refused');
    $c->handshake_step();

    my $r = $c->post($c->tls_out());
    is(status($r), 502, "$stack, raw: a request that is refused");
    $c->tls_in($r->body());
    ok($c->handshake(), "$stack, raw: the handshake goes on");
    is($c->read_plain(), '', "$stack, raw: with no answer");
    is(status($c->post($c->tls_out())), 200, "$stack, raw: to its end");
}


# OpenSSL sends more early data while it waits for the server.

sub more_early_data {
    my $body = pattern(10_000);
    my $post = request('POST', '/body', $body);
    my $here = get('/here');
    my (@accepted, @right);

    for (1 .. 2 * $WORKERS) {
        my $c = client('openssl', session => session('openssl'),
                       early => substr $post, 0, 5000);

        $c->handshake_step();
        $c->exchange($c->tls_out());
        $c->write_early($_) for substr($post, 5000) . $here, $here;
        $c->exchange($c->tls_out());
        $c->handshake();

        my @r = $c->early_responses();

        push @accepted, $c->early_status() . $c->posts();
        push @right, join ' ', md5_hex($r[0]->body()) eq md5_hex($body),
                               map { early_seen($_) || 0 } @r[1, 2],
                               early_seen($c->get('/here'));
    }

    is("@accepted", join(' ', ('accepted2') x (2 * $WORKERS)),
       'early data of two POSTs');
    is("@right", join(' ', ('1 1 1 0') x (2 * $WORKERS)),
       'requests of two POSTs');
}


# A last response, and more data with or after the request.

sub nothing_more {
    my $get = request('GET', '/echo?last', '', Connection => 'close');

    for my $uri ('/.well-known/atls', '/no-lingering') {
        my $c = client('openssl', session => session('openssl'), uri => $uri,
                       early => substr $get, 0, 10);

        $c->handshake_step();
        $c->exchange($c->tls_out());
        $c->write_early(substr($get, 10) . get('/echo?ended'));
        $c->write_early(get('/echo?ended'));
        $c->handshake_step();
        $c->write_plain(get('/echo?ended'));
        $c->exchange($c->tls_out());

        my @r = $c->early_responses();

        is(join(', ', map { seen($_) } @r), 'GET /echo?last, Early-Data: 1',
           "$uri, at once: the last response");
        is($c->state(), 'closed', "$uri, at once: close_notify");
        is($c->cookie(), undef, "$uri, at once: no cookie");
        is($c->posts(), 2, "$uri, at once: POSTs");

        $c = client('openssl', session => session('openssl'), uri => $uri,
                    early => $get);
        $c->handshake_step();
        $c->exchange($c->tls_out());
        $c->write_early(get('/echo?ended'));
        $c->exchange($c->tls_out());
        $c->handshake();

        is(join(', ', map { seen($_) } $c->early_responses()),
           'GET /echo?last, Early-Data: 1', "$uri: the last response");
        ended($uri, $c);
    }
}


# More early data than allowed, accepted or not.

sub too_much {
    my $session = session('openssl');
    my $post = request('POST', '/body', pattern(3 * $RECORD));

    for my $what ('too much', 'too much, refused') {
        my $c = client('openssl', session => $session, max_early => 100_000,
                       early => substr $post, 0, 2 * $RECORD);

        ok(!$c->handshake(), "$what: the handshake fails");
        is(join(' ', $c->alerts()), 10, "$what: an alert");
        is($c->cookie(), undef, "$what: no session");
    }
}
