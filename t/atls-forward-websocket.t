#!/usr/bin/perl

# atls forward carries WebSocket: messages in both directions at any time, pings
# and the end, in an open POST, and with polls: at an endpoint where they wait
# for output, and at one where they do not.  ATLS_MESSAGES is the number of
# messages, ATLS_PUSHED the number of those of the server alone; if there are more
# than 100, they are sent every 100 ms.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( time );

use Test::Atls::Http qw( readable );
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Site;
use Test::Atls::WebSocket;

my $MESSAGES = $ENV{ATLS_MESSAGES} || 100;
my $PUSHED = $ENV{ATLS_PUSHED} || 100;
my $LARGE = 1 << 20;

my $t = Test::Atls::Site->new(workers => 2);

# an open POST is refused, except at some endpoints

$t->serve(<<'EOC', endpoint => <<'EOE', http => <<'EOH');
if ($refused) {
    return 411;
}

location = /at-once {
    atls on;
    access_log %%TESTDIR%%/posts.log post;
    keepalive_timeout 0;
}

location = /tls12 {
    atls on;
    access_log %%TESTDIR%%/posts.log post;
    atls_protocols TLSv1.2;
    atls_poll_timeout 30s;
}

location = /open {
    atls on;
}

location = /open12 {
    atls on;
    atls_protocols TLSv1.2;
    atls_poll_timeout 30s;
}

location ~ ^/(echo|push|flood|late|ping|refuse|bye|other)$ {
    proxy_pass http://127.0.0.1:%%PORT_2%%;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
    proxy_set_header Host $http_host;
}
EOC
atls_poll_timeout 30s;
access_log %%TESTDIR%%/posts.log post;
EOE
map $uri$http_transfer_encoding $refused {
    ~^/(.well-known/atls|at-once|tls12)chunked$ 1;
}

log_format post '$atls_post';
EOH

my $backend = Test::Atls::WebSocket->serve($t, $t->port(2));
my ($forward, $name, $n);

for ([ 'polls wait', [ ] ], [ 'polls do not wait', [ '/at-once' ] ],
     [ 'TLS 1.2', [ '/tls12' ] ], [ 'an open POST', [ '/open' ] ],
     [ 'an open POST, TLS 1.2', [ '/open12' ] ])
{
    ($name, my $args) = @$_;

    $forward = $t->forward(@$args);
    subtest($name => \&all);
    is($forward->stop()->{code}, 0, "$name: the end");
}

like($t->read_log('posts.log'), qr/^parked$/m, 'polls');
unlike($t->read_file('posts.log'), qr/retried/, 'nothing is sent again');

$t->done_testing();


sub all {
    echo();
    early();
    messages() if $name ne 'polls do not wait';
    push_messages();
    large();
    flood();
    late();
    ping();
    bye();
    cut();
    refused();
    not_websocket();
    other();
    several();
    logged();
    done_testing();
}


sub uri { return "$_[0]" . ($_[0] =~ /\?/ ? '&' : '?') . 'id=' . ++$n }


sub ws {
    my ($uri, %headers) = @_;

    my $ws = Test::Atls::WebSocket->connect($forward->port(), $uri, %headers);

    ok($ws->accepted(), "$uri: accepted") or diag($ws->head());

    return $ws;
}


sub gets {
    my ($ws, $type, $bytes, $what) = @_;

    my ($type2, $bytes2) = $ws->receive();

    ok(defined $type2 && $type2 eq $type && $bytes2 eq $bytes, $what)
        or diag(defined $type2 ? "$type2: " . substr $bytes2, 0, 80
                               : 'nothing');
}


# The end, by the client.

sub closes {
    my ($ws, $uri, $messages) = @_;

    $ws->send(close => pack('n', 1000) . 'done');
    gets($ws, 'close', pack('n', 1000) . 'done', "$uri: the close frame");
    ok($ws->ended(), "$uri: the end");
    is($backend->ended($uri), "closed after $messages", "$uri: at the backend");
}


sub echo {
    my $uri = uri('/echo');
    my $ws = ws($uri);

    for my $text ('hello', '', 'x' x 125, 'x' x 126, 'x' x 70000) {
        $ws->send(text => $text);
        gets($ws, text => $text, 'echo of ' . length $text);
    }

    closes($ws, $uri, 5);
}


# A message with the request.

sub early {
    my $uri = uri('/echo');
    my $ws = ws($uri, early => 'early');

    gets($ws, text => 'early', 'early: echo');
    closes($ws, $uri, 1);
}


sub messages {
    my $uri = uri('/echo');
    my $ws = ws($uri);
    my $same = 0;

    for my $i (1 .. $MESSAGES) {
        $ws->send(text => "message $i");
        my ($type, $bytes) = $ws->receive() or last;
        $same++ if $bytes eq "message $i";
    }

    is($same, $MESSAGES, 'messages in turn');

    # at once

    $ws->send(binary => "number $_") for 1 .. $MESSAGES;

    for ($same = 0; $same < $MESSAGES; ) {
        my ($type, $bytes) = $ws->receive() or last;
        last if $bytes ne 'number ' . ++$same;
    }

    is($same, $MESSAGES, 'messages at once');
    closes($ws, $uri, 2 * $MESSAGES);
}


# The server sends, the client does not.

sub push_messages {
    my $uri = uri("/push?n=$PUSHED&ms=" . ($PUSHED > 100 ? 100 : 5));
    my $ws = ws($uri);

    gets($ws, text => 1, 'the first message');

    my $i = 1;

    while ($i < $PUSHED) {
        my ($type, $text) = $ws->receive() or last;
        last if $text ne ++$i;

        # in between, messages of the client

        $ws->send(text => "at $i") if $i % 10 == 0 && $i < $PUSHED;
    }

    is($i, $PUSHED, 'all messages, in order');

    for my $i (map { 10 * $_ } 1 .. ($PUSHED - 1) / 10) {
        my ($type, $text) = $ws->receive();
        $text ||= '';
        is($text, "at $i", "the echo of the one at $i")
            if $text ne "at $i" || $i == 10;
    }

    closes($ws, $uri, int(($PUSHED - 1) / 10));
}


sub large {
    my $uri = uri('/echo');
    my $ws = ws($uri);

    $ws->send(binary => pattern($LARGE));
    gets($ws, binary => pattern($LARGE), 'a large message');
    closes($ws, $uri, 1);
}


# The client does not read for a while.

sub flood {
    my $uri = uri('/flood?n=64&size=65536');
    my $ws = ws($uri);

    select undef, undef, undef, 0.5;

    for my $i (0 .. 63) {
        my ($type, $bytes) = $ws->receive() or last;
        next if $bytes eq pattern(65536, $i * 65536);
        fail("message $i");
        last;
    }

    $ws->send(text => 'that was much');
    gets($ws, text => 'that was much', 'after a flood');
    closes($ws, $uri, 1);
}


# The server does not read for a while; then both send.

sub late {
    my $uri = uri('/late');
    my $ws = ws($uri);
    my $pid = fork();

    if (!$pid) {
        $ws->send(binary => pattern(65536, $_ * 65536)) for 0 .. 63;
        POSIX::_exit(0);
    }

    ok(!readable($ws->socket(), 0.5), 'late: nothing is read');
    $t->write_file('late', '');

    my $same = 0;

    for my $i (0 .. 63) {
        my ($type, $bytes) = $ws->receive() or last;
        $same++ if $bytes eq pattern(65536, $i * 65536);
    }

    waitpid $pid, 0;
    is($same, 64, 'late: all messages');
    closes($ws, $uri, 64);
    unlink $t->path('late');
}


sub ping {
    my $uri = uri('/ping');
    my $ws = ws($uri);

    gets($ws, ping => 'are you there?', 'a ping of the server');
    $ws->send(pong => 'yes');
    gets($ws, text => 'yes', 'the server has the pong');
    $ws->send(ping => 'and you?');
    gets($ws, pong => 'and you?', 'and sends one');
    closes($ws, $uri, 2);
}


# The end, by the server.

sub bye {
    my $uri = uri('/bye');
    my $ws = ws($uri);

    $ws->send(text => 'hi');
    gets($ws, close => pack('n', 4000) . 'bye', 'bye: the close frame');
    ok($ws->ended(), 'bye: the end');
    is($backend->ended($uri), 'closes after 0', 'bye: at the backend');
}


# A client that closes the connection.

sub cut {
    my $uri = uri('/echo');
    my $ws = ws($uri);

    $ws->send(text => 'hi');
    gets($ws, text => 'hi', 'cut: echo');
    $ws->close();
    is($backend->ended($uri), 'cut after 1', 'cut: at the backend');
}


sub refused {
    my $uri = uri('/refuse');
    my $ws = Test::Atls::WebSocket->connect($forward->port(), $uri);

    like($ws->head(), qr!\AHTTP/1.1 403 !, 'refused');
    is($backend->ended($uri), 'refused', 'refused: at the backend');

    $ws = Test::Atls::WebSocket->connect($forward->port(), uri('/echo'),
                                         Origin => 'http://example.com');
    like($ws->head(), qr!\AHTTP/1.1 403 !, 'a page of another site');
}


# Another protocol is ignored, and WebSocket by a service that has none.

sub not_websocket {
    for my $headers ("Connection: upgrade\nUpgrade: h2c",
                     "Connection: upgrade\nUpgrade: websocket",
                     "Connection: close\nUpgrade: websocket")
    {
        my $r = $forward->ask("GET /exact\n$headers");
        is($r->status() . $r->body(), "200exactly\n", $headers =~ s/\n/, /r);
    }
}


# RFC 9110, section 7.8: a server must not switch to another protocol.

sub other {
    for my $uri (uri('/other?to=chat'), uri('/other')) {
        my $ws = Test::Atls::WebSocket->connect($forward->port(), $uri);

        like($ws->head(), qr!\AHTTP/1.1 502 !, $uri);
        like($ws->{in}, qr/the status 101, but not for the requested protocol/,
             "$uri: the reason");
        is($backend->ended($uri), 'ended', "$uri: at the backend");
    }

    is($forward->ask('GET /exact')->status(), 200, 'a request after that');
}


# At the same time, with requests beside them.

sub several {
    my @uris = map { uri('/echo') } 1 .. 5;
    my @ws = map { ws($_) } @uris;

    $ws[$_]->send(text => "number $_") for 0 .. 4;
    is($forward->ask('GET /exact')->status(), 200, 'a request');
    gets($ws[$_], text => "number $_", "number $_") for 0 .. 4;
    closes($ws[$_], $uris[$_], 1) for 0 .. 4;
}


sub logged {
    my ($line) = grep { m! /ping! } $forward->log();

    like($line, qr!^\S+ GET /ping\?id=\d+ 101 \d+ [\d.]+ \d+$!, 'log');
}
