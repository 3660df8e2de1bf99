#!/usr/bin/perl

# WebSocket in atls forward, with polls: POSTs and responses overtake each other
# on the path, but not the poll after one that was lost; polls are refused while
# there are data, and atls is stopped for longer than it waits for a response.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls::LostPosts;
use Test::Atls::Site;
use Test::Atls::Slow qw( slow );
use Test::Atls::WebSocket;

my $MESSAGES = $ENV{ATLS_MESSAGES} || 60;
my $REFUSED = 15;       # more than in one POST
my $STOPPED = 11;       # seconds; a response is awaited for 10 at most

my $t = Test::Atls::Site->new(workers => 2);

$t->serve(<<'EOC', endpoint => 'atls_poll_timeout 30s;');
location = /tls12 {
    atls on;
    atls_protocols TLSv1.2;
    atls_poll_timeout 30s;
}

location ~ ^/(echo|push|late)$ {
    proxy_pass http://127.0.0.1:%%PORT_2%%;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
}
EOC

my $backend = Test::Atls::WebSocket->serve($t, $t->port(2));
my $port = 10;
my $n = 0;

subtest("delayed, $_->[1]", \&delayed, @$_)
    for ([ '', 'TLS 1.3', 1 ], [ '/tls12', 'TLS 1.2', 2 ],
         [ '/tls12', 'TLS 1.2 again', 3 ]);
subtest('apart, TLS 1.3', \&apart, '', 4, '/late?n=1&ms=0', 1);
subtest('apart, TLS 1.2', \&apart, '/tls12', 5, '/echo');
subtest('refused', \&refused);
subtest('stopped', \&stopped);

$t->done_testing();


# A path, and atls forward.

sub through {
    my ($mode, $path, @seed) = @_;

    my $lossy = Test::Atls::LostPosts->start($t, $mode, $t->port(0),
                                             $t->port(++$port), @seed);

    return ($lossy, $t->forward($lossy->endpoint($path)));
}


sub connected {
    my ($forward, $uri) = @_;

    $uri .= ($uri =~ /\?/ ? '&' : '?') . 'id=' . ++$n;

    my $ws = Test::Atls::WebSocket->connect($forward->port(), $uri);

    ok($ws->accepted(), "$uri: accepted") or diag($ws->head());
    $ws->{uri} = $uri;

    return $ws;
}


sub gets {
    my ($ws, $type, $bytes, $what) = @_;

    my ($type2, $bytes2) = $ws->receive();

    ok(defined $type2 && $type2 eq $type && $bytes2 eq $bytes, $what)
        or diag(defined $type2 ? "$type2: $bytes2" : 'nothing');
}


sub closes {
    my ($ws, $messages) = @_;

    $ws->send(close => pack 'n', 1000);
    gets($ws, close => pack('n', 1000), 'the close frame');
    is($backend->ended($ws->{uri}), "closed after $messages", 'at the backend');
}


sub stops {
    my ($lossy, $forward) = @_;

    is($forward->stop()->{code}, 0, 'the end') or diag($forward->log());
    $lossy->stop();
    done_testing();
}


# Two connections: messages of the server, with those of the client in between,
# and messages of the client that do not wait for their echoes.

sub delayed {
    my ($path, $name, $seed) = @_;

    my ($lossy, $forward) = through('delayed', $path, $seed);
    my $push = connected($forward, "/push?n=$MESSAGES&ms=10");
    my $echo = connected($forward, '/echo');
    my ($got, $type, $bytes) = (0);

    while ($got < $MESSAGES) {
        ($type, $bytes) = $push->receive() or last;
        last if $bytes ne ++$got;
        $push->send(text => "at $got") if $got % 3 == 0;
        $echo->send(text => "echo $got");
    }

    is($got, $MESSAGES, 'messages of the server');

    for my $i (1 .. $MESSAGES) {
        ($type, $bytes) = $echo->receive();
        next if ($bytes // 'nothing') eq "echo $i";
        is($bytes, "echo $i", 'an echo');
        last;
    }

    gets($push, text => 'at ' . 3 * $_, "an echo of the first one, $_")
        for 1 .. $MESSAGES / 3;

    closes($push, int $MESSAGES / 3);
    closes($echo, $MESSAGES);
    stops($lossy, $forward);
}


# A poll is lost for the client only: with its output, or while it waits.  Data
# are not sent before it is sent again, and would overtake that otherwise, unless
# this machine is slow.

sub apart {
    my ($path, $number, $uri, @output) = @_;

    my $alone;

    for (1 .. 10) {
        my ($lossy, $forward) = through("apart=$number-$number", $path);
        my $ws = connected($forward, $uri);

        $lossy->wait_for('waits', 1);
        $t->write_file('late', '');
        ok($lossy->wait_for('again', 1), 'a poll is lost');
        $ws->send(text => 'hello');
        $t->wait_for(sub { grep { /alone|overtaken/ } $lossy->done() });

        $alone = grep { $_ eq 'alone' } $lossy->done();

        if ($alone) {
            gets($ws, text => $_, "message $_") for @output, 'hello';
            closes($ws, 1);
        }

        unlink $t->path('late');
        $ws->close();
        $forward->stop();
        $lossy->stop();
        last if $alone;
    }

    ok($alone, 'data do not overtake the next one');
    done_testing();
}


# Polls get 409 while data are in progress.  It does not matter how often, as
# the data are processed.

sub refused {
    my ($lossy, $forward) = through("busy=1-$REFUSED", '/tls12');
    my $ws = connected($forward, '/echo');

    for my $i (1 .. $REFUSED) {
        $lossy->wait_for('waits', $i) or last;
        $ws->send(text => "message $i");
        $lossy->wait_for('busy', $i) or last;
    }

    gets($ws, text => "message $_", "echo of message $_") for 1 .. $REFUSED;
    closes($ws, $REFUSED);
    stops($lossy, $forward);
}


# The response to a poll, with output, arrives while the process is stopped,
# after that to data which were sent later.

sub stopped {
    my @paths = map { stopped_path(@$_) } [ 4, '' ], [ 5, '/tls12' ];

    $t->write_file('late', '');

    for (@paths) {
        my ($lossy, $forward, $ws) = @$_;

        ok($lossy->wait_for('held', 1), 'the response to a poll');
        my $passed = grep { $_ eq 'passed' } $lossy->done();
        $ws->send(text => 'hello');
        ok($lossy->wait_for('passed', $passed + 1), 'the one to data');
    }

    sleep 0.3 * slow();                 # they have read it

    kill STOP => map { $_->[1]->pid() } @paths;
    $_->[0]->release() for @paths;
    ok($_->[0]->wait_for('released', 1), 'the response follows') for @paths;
    sleep $STOPPED;
    kill CONT => map { $_->[1]->pid() } @paths;

    for (@paths) {
        my ($lossy, $forward, $ws) = @$_;

        gets($ws, text => 1, 'the message in it');
        gets($ws, text => 'hello', 'the next one');
        closes($ws, 1);
        is($forward->stop()->{code}, 0, 'the end');
        $lossy->stop();
    }

    unlink $t->path('late');
    done_testing();
}


# With TLS 1.2, the first poll after data has no output.

sub stopped_path {
    my ($number, $path) = @_;

    my ($lossy, $forward) = through("held=$number-$number", $path);

    return [ $lossy, $forward, connected($forward, '/late?n=1&ms=0') ];
}
