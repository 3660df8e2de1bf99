#!/usr/bin/perl

# Requests after which HTTPS would close the connection end the session, with a
# complete response and close_notify.  Unfinished requests continue in the next
# POST.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Net::SSLeay;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new();

$t->write_file('file', pattern(100_000));

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format inner "$atls $request_uri $status";
access_log %%TESTDIR%%/access.log inner;

server {
    listen 127.0.0.1:%%PORT_0%%;

    client_max_body_size 100k;

    location /.well-known/atls {
        atls on;
        client_max_body_size 10m;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /unbuffered/ {
        proxy_pass http://127.0.0.1:%%PORT_1%%/;
        proxy_request_buffering off;
    }

    location /file { }

    location /close {
        keepalive_timeout 0;
        return 200 "closed\n";
    }

    location /early {
        return 200 "early\n";
    }

    location /last {
        keepalive_requests 1;
        return 200 "the last one\n";
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));

my ($protocol, $c);

for (qw( TLSv1.3 TLSv1.2 )) {
    $protocol = $_;

    closing();
    refusing();
    unfinished();
}

$t->done_testing();


sub client {
    $c = $t->established(protocol => $protocol);
}


# The session has ended with close_notify.  The cookie has expired, unless the
# outer header had been sent before.

sub closed {
    my ($name) = @_;

    ok($c->closed(), "$protocol, $name: close_notify");
    is($c->error(), '', "$protocol, $name: no error");

    my $early = $c->last_response()->header('Transfer-Encoding');

    ok($early || $c->set_cookie() =~ /^atls=;.*; Max-Age=0/,
       "$protocol, $name: expired cookie");
}


sub goes_on {
    my ($name) = @_;

    ok(!$c->closed() && $c->error() eq '' && defined $c->cookie(),
       "$protocol, $name: the session goes on");

    my $r = $c->get('/next');
    like($r && $r->body(), qr!^GET /next !, "$protocol, $name: next request");
}


# the connection is closed after the response

sub closing {
    my ($r, @r, $cookie);

    client();
    $cookie = $c->cookie();
    $r = $c->http("GET /file HTTP/1.0\r\n\r\n");
    is($r->body(), pattern(100_000), "$protocol, HTTP/1.0: whole answer");
    closed('HTTP/1.0');

    $r = $c->post("\x17\x03\x03\x00\x20" . 'x' x 32, cookie => "atls=$cookie");
    is($r->status(), 410, "$protocol, HTTP/1.0: no session any more");

    client();
    $r = $c->http("GET /chunked HTTP/1.0\r\n\r\n");
    is($r->body(), "one\ntwo\nthree\n", "$protocol, no length: whole answer");
    is($r->header('Content-Length'), undef,
       "$protocol, no length: but close_notify");
    closed('no length');

    client();
    $r = $c->http("GET /file HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    is($r->body(), pattern(100_000), "$protocol, 1.0, keep-alive: answer");
    goes_on('1.0, keep-alive');

    client();
    $r = $c->get('/file', Connection => 'close');
    is($r->body(), pattern(100_000), "$protocol, close: whole answer");
    is($r->header('Connection'), 'close', "$protocol, close: it says so");
    closed('close');

    # following requests are not served

    client();
    @r = parse_responses($c->request(
        Test::Atls::Client::format_request('GET', '/one', '')
        . Test::Atls::Client::format_request('GET', '/two', '',
                                             Connection => 'close')
        . Test::Atls::Client::format_request('GET', '/three', '')));
    is(join(' ', map { $_->body() =~ m!^GET (\S+)! } @r), '/one /two',
       "$protocol, close in a pipeline");
    closed('close in a pipeline');

    for my $uri (qw( /close /last )) {
        client();
        $r = $c->get($uri);
        is($r->header('Connection'), 'close', "$protocol, $uri: it says so");
        closed($uri);
    }

    # the client closes: alone, and after a request

    client();
    $r = $c->close_notify();
    $c->read_plain();
    is($r->status(), 200, "$protocol, client closes");
    closed('client closes');

    client();
    $c->write_plain(Test::Atls::Client::format_request('GET', '/file', ''));
    Net::SSLeay::shutdown($c->ssl());
    $c->exchange($c->tls_out());
    ($r) = parse_responses($c->read_plain());
    is($r && $r->body(), pattern(100_000),
       "$protocol, request and client closes: whole answer");
    closed('request and client closes');
}


# requests refused by nginx: the response, and the end

sub refusing {
    my %refused = (
        'garbage'      => [ 400, "\x00\x01\x02 garbage\r\n\r\n" ],
        'no version'   => [ 400, "GET / HTTP/x\r\n\r\n" ],
        'no host'      => [ 400, "GET / HTTP/1.1\r\n\r\n" ],
        'version 2'    => [ 505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n" ],
        'large header' => [ 400, "GET / HTTP/1.1\r\nHost: a\r\nX: "
                                 . 'x' x 10_000 . "\r\n\r\n" ],
        'long line'    => [ 414, 'GET /' . 'x' x 10_000
                                 . " HTTP/1.1\r\nHost: a\r\n\r\n" ],
    );

    for my $name (sort keys %refused) {
        my ($status, $request) = @{$refused{$name}};

        client();
        my $r = $c->http($request);
        is($r && $r->status(), $status, "$protocol, $name: $status");
        closed($name);
    }

    # a too large body: the response has Connection: close

    client();
    my $r = $c->http(Test::Atls::Client::format_request('POST', '/large',
                                                        pattern(200_000)));
    is($r && $r->status(), 413, "$protocol, large body: 413");
    closed('large body');
}


# the POST ends within its last request

sub unfinished {
    my $counted = "POST /unfinished HTTP/1.1\r\nHost: localhost\r\n"
                  . "Content-Length: 100\r\n\r\n";
    my $chunked = "POST /unfinished HTTP/1.1\r\nHost: localhost\r\n"
                  . "Transfer-Encoding: chunked\r\n\r\n";
    my $body = pattern(100);

    my %unfinished = (
        'request line' => [ "GET /unfinished HT",
                            "TP/1.1\r\nHost: localhost\r\n\r\n" ],
        'headers'      => [ "GET /unfinished HTTP/1.1\r\nHost: localhost\r\n"
                            . "X: y", "z\r\n\r\n" ],
        'body'         => [ $counted . substr($body, 0, 9),
                            substr($body, 9) ],
        'no body yet'  => [ $counted, $body ],
        'chunk'        => [ "${chunked}3\r\nabc\r\n10\r\nde",
                            "fghijklmnopqrs\r\n0\r\n\r\n" ],
        'unbuffered'   => [ $counted =~ s!/un!/unbuffered/un!r
                            . substr($body, 0, 9), substr($body, 9) ],
    );

    for my $name (sort keys %unfinished) {
        my ($first, $rest) = @{$unfinished{$name}};

        client();

        is($c->request($first), '', "$protocol, unfinished $name: no answer");
        is($c->last_response()->status(), 200,
           "$protocol, unfinished $name: status");
        is($c->last_response()->body(), '',
           "$protocol, unfinished $name: nothing");

        my $r = $c->http($rest);
        like($r && $r->body(), qr!^(?:GET|POST) /unfinished !,
             "$protocol, rest of unfinished $name");
        goes_on("unfinished $name");

        # after other requests, which are answered

        my $one = Test::Atls::Client::format_request('GET', '/one', '');
        my @r = parse_responses($c->request($one x 2 . $first));

        is(join(' ', map { $_->status() } @r), '200 200',
           "$protocol, unfinished $name, behind others");

        @r = parse_responses($c->request($rest . $one));
        is(join(' ', map { $_->body() =~ m!^\w+ (\S+)! } @r),
           '/unfinished /one', "$protocol, rest of unfinished $name, before "
                               . "another");
        goes_on("unfinished $name, behind others");
    }

    # a client that has received an early response still sends the rest

    for my $name ('body', 'chunk') {
        my ($first, $rest) = @{$unfinished{$name}};

        client();
        my @r = parse_responses($c->request($first =~ s!/unfinished!/early!r));
        is(join(' ', map { $_->body() } @r), "early\n",
           "$protocol, unfinished $name, of no interest: answer");
        is($c->request($rest), '',
           "$protocol, rest of unfinished $name, of no interest: none");
        goes_on("unfinished $name, of no interest");
    }

    # 100 Continue

    client();
    my $r = $c->request("POST /unfinished HTTP/1.1\r\nHost: localhost\r\n"
                        . "Expect: 100-continue\r\n"
                        . "Content-Length: 100\r\n\r\n");
    is($r, "HTTP/1.1 100 Continue\r\n\r\n", "$protocol, Expect: 100");

    $r = $c->http($body);
    like($r && $r->body(), qr!^length 100$!m, "$protocol, Expect: 200");
    goes_on('Expect');
}
