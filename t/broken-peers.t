#!/usr/bin/perl

# Upstreams that fail, and clients that close the connection or are slow, at any
# time of an inner request.  Workers and other sessions are not affected.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( readable send_all );
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience slow );

my $slow = slow();

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format status '$atls|$request_method|$uri|$status|$http_test';

server {
    listen 127.0.0.1:%%PORT_0%%;

    access_log access.log status;

    location /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_9%%;
    }

    location /unbuffered/ {
        proxy_pass http://127.0.0.1:%%PORT_9%%/;
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_http_version 1.1;
    }

    location /refused {
        proxy_pass http://127.0.0.1:%%PORT_8%%;
    }

    location /impatient {
        client_body_timeout 300ms;
        proxy_pass http://127.0.0.1:%%PORT_9%%;
    }

    location /read-timeout/ {
        proxy_read_timeout 300ms;
        proxy_pass http://127.0.0.1:%%PORT_9%%/;
    }

    location /return {
        return 200 "inner\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;

    access_log access.log status;
    client_body_timeout 300ms;

    location /.well-known/atls {
        atls on;
    }

    location / {
        client_body_timeout 60s;
        proxy_pass http://127.0.0.1:%%PORT_9%%;
    }
}
EOC

my $backend = Test::Atls::Backend->start($t, $t->port(9));

$t->run();

my @workers = $t->workers();


sub established {
    my $c = $t->client(@_);

    $c->handshake() or diag($c->error());

    return $c;
}


sub request {
    return Test::Atls::Client::format_request(@_);
}


my @witnesses = map { established(protocol => $_) } 'TLSv1.3', 'TLSv1.2';


sub others_go_on {
    my ($name) = @_;

    is(join('', map { my $r = $_->get('/return'); $r ? $r->body() : '' }
                @witnesses),
       "inner\ninner\n", "$name: other sessions go on");
}


sub is_gone {
    my ($c, $cookie, $name) = @_;

    is($c->post('', cookie => "atls=$cookie")->status(), 410,
       "$name: the session is gone");
}


# The status logged for the inner request with this Test header.

sub logged {
    my ($test) = @_;

    my $status;

    $t->wait_for(sub {
        ($status) = $t->read_file('access.log')
                    =~ /^on\|\w+\|[^|]*\|(\d+)\|\Q$test\E$/m;
    });

    return $status;
}


sub backend_saw {
    my ($re) = @_;

    return $t->wait_for(sub {
        scalar grep { $_->{line} =~ $re } $backend->requests()
    });
}


# upstreams

for my $uri ('/die', '/unbuffered/die') {
    my $c = established();
    my $cookie = $c->cookie();
    my ($r) = parse_responses($c->request(request('GET', $uri, '')));

    is($r && $r->status(), 200, "$uri: the upstream has begun to answer");
    ok(!$r->done(), 'but did not come to the end');
    is($r->length(), 50_000, 'the client has what there was');
    ok($c->closed(), 'and then close_notify');
    is_gone($c, $cookie, $uri);
}

others_go_on('broken answers');

# after a complete response

{
    my $c = established();
    my @r = parse_responses($c->request(request('GET', '/return', '')
                                        . request('GET', '/die', '')
                                        . request('GET', '/return', '')));

    is($r[0]->body(), "inner\n", 'a request before the one that breaks');
    is($r[1]->length(), 50_000, 'that one');
    is(scalar @r, 2, 'and none behind it');
    ok($c->closed(), 'close_notify');
}

{
    my $c = established();

    for my $n (1 .. 3) {
        is($c->get('/refused')->status(), 502, 'an upstream that refuses');
        is($c->get('/return')->status(), 200, 'the session goes on');
    }

    is($c->get('/read-timeout/hang')->status(), 504,
       'an upstream that does not answer');
    is($c->get('/return')->status(), 200, 'the session goes on');
    is($c->http(request('POST', '/refused', pattern(100_000)))->status(), 502,
       'an upstream that refuses a body');
    is($c->get('/return')->status(), 200, 'the session goes on');

    my @r = parse_responses($c->request(join '', map { request('GET', $_, '') }
                                        qw( /refused /return /refused )));

    is(join(' ', map { $_->status() } @r), '502 200 502', 'among others');
    is($c->get('/return')->status(), 200, 'the session goes on');
}


# a client that closes the connection within a response

for my $uri ('/big', '/unbuffered/big') {
    my $c = established();
    my $cookie = $c->cookie();

    $c->write_plain(request('GET', "$uri?size=50000000", '',
                            Test => "answer-$uri"));
    $c->post_send($c->tls_out());

    my $socket = $c->http_client()->{socket};

    ok(readable($socket, patience()), "$uri: the answer has begun");
    sysread $socket, my $buf, 10_000;
    like($buf, qr/^HTTP\/1\.1 200 /, 'well');
    $c->http_client()->close();

    ok(logged("answer-$uri"), 'the inner request ends when its client is gone');
    is_gone($c, $cookie, "$uri, left in mid-answer");
}

others_go_on('clients that leave in mid-answer');


# a client that closes the connection within a request

for my $uri ('/body', '/unbuffered/body') {
    for my $protocol ('TLSv1.3', 'TLSv1.2') {
        my $c = established(protocol => $protocol);
        my $cookie = $c->cookie();
        my $test = "request-$uri-$protocol";

        $c->write_plain(request('POST', $uri, pattern(200_000),
                                Test => $test));

        my $body = $c->tls_out();

        $c->http_client()->close();
        $c->post_send('', headers => { 'Content-Length' => length $body });
        send_all($c->http_client()->{socket}, substr $body, 0, 100_000);
        sleep 0.05;
        $c->http_client()->close();

        like(logged($test), qr/^(400|499)$/, "$test: status");
        $c->http_client()->close();
        is_gone($c, $cookie, $test);
    }
}

# within the first record of a request

{
    my $c = established();
    my $cookie = $c->cookie();

    $c->write_plain(request('GET', '/return', ''));

    my $record = $c->tls_out();

    $c->post_send('', headers => { 'Content-Length' => length $record });
    send_all($c->http_client()->{socket}, substr $record, 0, 20);
    sleep 0.02;
    $c->http_client()->close();

    # the bytes may have been lost with the connection: either the session has
    # ended, or it has not changed

    my $r;

    $t->wait_for(sub {
        $r = $c->post('', cookie => "atls=$cookie");
        return $r->status() != 409;
    });
    like($r->status(), qr/^(200|410)$/, 'a client that leaves in mid-record');

    if ($r->status() == 200) {
        $c->exchange($record);
        like($c->read_plain(), qr/inner/, 'comes back to its session');
    } else {
        pass('and has lost its session');
    }
}

# within the handshake

for my $n (1, 6, 100) {
    my $c = $t->client();

    $c->handshake_step();

    my $hello = $c->tls_out();

    $c->post_send('', headers => { 'Content-Length' => length $hello });
    send_all($c->http_client()->{socket}, substr $hello, 0, $n);
    sleep 0.01;
    $c->http_client()->close();
    ok(established()->get('/return'),
       "a client that leaves after $n bytes of its ClientHello");
}

others_go_on('clients that leave in mid-request');


# A client that closes the connection before the upstream has responded.
# Someone on the path may have told it that the request was served, so the
# session ends.

for my $protocol ('TLSv1.3', 'TLSv1.2') {
    my $c = established(protocol => $protocol);
    my $cookie = $c->cookie();
    my $test = "waiting-$protocol";

    $c->write_plain(request('GET', '/hang', '', Test => $test));
    $c->post_send($c->tls_out());
    ok(backend_saw(qr/hang/), "$test: the upstream has the request");
    $backend->forget();
    $c->http_client()->close();

    is(logged($test), 499, "$test: status");
    is_gone($c, $cookie, $test);
}

# immediately, so that nginx receives the request and the end at the same time

for my $n (1 .. 8) {
    my $c = established();

    $c->write_plain(request('GET', '/hang', '', Test => "at-once-$n"));
    $c->post_send($c->tls_out());
    $c->http_client()->close();

    is(logged("at-once-$n"), 499, 'a client that leaves at once');
}

# with a part of the responses received

{
    my $c = established();
    my $cookie = $c->cookie();

    $c->write_plain(request('GET', '/return', '')
                    . request('GET', '/hang', '', Test => 'second'));
    $c->post_send($c->tls_out());
    ok(readable($c->http_client()->{socket},
                patience()), 'the first of two answers');
    $c->http_client()->close();

    is(logged('second'), 499, 'the second one is given up');
    is_gone($c, $cookie, 'with an answer lost');
}

others_go_on('clients that do not wait');


# slow clients

for my $protocol ('TLSv1.3', 'TLSv1.2') {
    my $c = $t->client(timeout => 30, protocol => $protocol);

    # all flights and a request, in small pieces

    my $drip = sub {
        my ($bytes) = @_;

        $c->post_send('', headers => { 'Content-Length' => length $bytes });

        while ($bytes ne '') {
            send_all($c->http_client()->{socket}, substr $bytes, 0, 9, '');
            sleep 0.001;
        }

        my $r = $c->post_receive();
        $c->tls_in($r->body()) if $r && $r->status() == 200;

        return $r && $r->status();
    };

    $c->handshake_step();
    is($drip->($c->tls_out()), 200, "$protocol: a slow ClientHello");

    my $done = $c->handshake_step();

    is($drip->($c->tls_out()), 200, 'a slow second flight');
    ok($done || $c->handshake_step(), 'the handshake ends');

    $c->write_plain(request('POST', '/body', pattern(1000)));
    is($drip->($c->tls_out()), 200, 'a slow request');
    my ($r) = parse_responses($c->read_plain());
    is($r && $r->body(), pattern(1000), 'its answer');
    is($c->get('/return')->status(), 200, 'and the session goes on');
}

# the inner request waits for its body until client_body_timeout

{
    my $c = established();
    my $cookie = $c->cookie();

    $c->write_plain(request('POST', '/impatient', pattern(100_000),
                            Test => 'impatient'));

    my $body = $c->tls_out();

    $c->post_send('', headers => { 'Content-Length' => length $body });
    send_all($c->http_client()->{socket}, substr $body, 0, 50_000);

    is(logged('impatient'), 408, 'client_body_timeout inside');

    my $r = $c->post_receive();

    is($r && $r->status(), 200, 'the POST is answered');
    $c->tls_in($r->body());
    $c->read_plain();
    ok($c->closed(), 'with close_notify');
    $c->http_client()->close();
    is_gone($c, $cookie, 'client_body_timeout inside');
}

# the outer request, too

{
    my $c = established(port => $t->port(1));
    my $cookie = $c->cookie();

    $c->write_plain(request('POST', '/body', pattern(100_000),
                            Test => 'outside'));

    my $body = $c->tls_out();

    # with the header: the timeout begins

    $c->post_send(substr($body, 0, 50_000),
                  headers => { 'Content-Length' => length $body });

    # core closes the connection without a response

    my $r = $c->post_receive();

    ok(!$r || $r->status() == 408, 'client_body_timeout outside');
    like(logged('outside'), qr/^(400|408|499)$/, 'ends the request inside');
    $c->http_client()->close();
    is_gone($c, $cookie, 'client_body_timeout outside');

    # between requests, there is no timeout

    $c = established(port => $t->port(1));
    sleep 0.4 * $slow;
    is($c->get('/echo')->status(), 200, 'a session is no body');
}

others_go_on('slow clients');

is(join(' ', sort $t->workers()), join(' ', sort @workers),
   'the workers are those of the start');

@witnesses = ();
$t->done_testing();
