#!/usr/bin/perl

# atls_poll_timeout: a POST with a record and without data is a poll whose
# sender is known.  It waits like an empty one, its response is kept, and nobody
# else gets the output of a client that polls in this way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Echo;
use Test::Atls::Forge;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Response;
use Test::Atls::Slow qw( patience );

my $ROUNDS = 4;         # so that some POSTs are in the other worker
my $WHILE = 0.3;        # seconds without an answer

my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format inner "$atls $status";

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    client_body_timeout 600s;
    proxy_read_timeout 600s;

    location = /atls {
        atls on;
        atls_poll_timeout 600s;
    }

    location = /short {
        atls on;
        atls_poll_timeout 1s;
    }

    location = /never {
        atls on;
    }

    location = /raw {
        atls on;
        atls_payload raw;
        atls_poll_timeout 1s;
        access_log %%TESTDIR%%/raw.log inner;
        return 200 "greeting\n";
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_request_buffering off;
    }

    location = /early {
        proxy_pass http://127.0.0.1:%%PORT_2%%;
        proxy_http_version 1.1;
        proxy_request_buffering off;
    }
}
EOC

$t->run();

Test::Atls::Echo->start($t, $t->port(1));
Test::Atls::Backend->start($t, $t->port(2));

my ($c, $forge, $name);

for (1 .. $ROUNDS) {
    output();
    theft();
    theft_at_first();
    carried();
    retry();
    retry_in_progress();
    retry_when_gone();
    data_before_poll();
    elapsed();
    at_once();
    parked();
}

raw();
ends();

$t->done_testing();


sub client {
    my ($endpoint, $what) = @_;

    ends();

    $name = $what;
    $forge = Test::Atls::Forge->new();
    $c = $t->established(uri => $endpoint, keepalive => 0,
                         timeout => patience(), $forge->client_args());
}


sub upgraded {
    my ($endpoint, $uri, $what) = @_;

    client($endpoint, $what);
    like(plain($c->post(record("GET $uri HTTP/1.1\r\nHost: localhost\r\n"
                               . "Upgrade: echo\r\nConnection: upgrade\r\n"
                               . "\r\n"))),
         qr!\A200 HTTP/1\.1 101 .*\r\n\r\n\z!s, "$name: 101");
}


# Ends the last session: a worker would wait for its connection.

sub ends {
    $c->post($forge->record(21, "\1\0")) if $c && !$c->closed();
    undef $c;
}


sub record { $forge->record(23, $_[0]) }


# The status of a response, and the plaintext.

sub plain {
    my ($r) = @_;

    return 'no answer' unless $r;
    $c->tls_in($r->body());

    return $r->status() . ' ' . $c->read_plain();
}


# A POST in progress.

sub begin {
    my ($bytes) = @_;

    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post($bytes));

    return $s;
}


sub waits {
    my ($s, $what) = @_;

    ok(!readable($s, $WHILE), "$name: $what waits");
}


sub response {
    my ($s) = @_;

    my $r = Test::Atls::Response->new(method => 'POST');

    until ($r->done()) {
        my $bytes;
        my $got = readable($s, patience()) && sysread $s, $bytes, 65536;
        return undef unless $got;
        $r->feed($bytes);
    }

    return $r;
}


# Data are returned, in their answer or in that to a poll.

sub echoed {
    my ($got, $bytes) = @_;

    $got = plain(response(begin(record('')))) if $got eq '200 ';
    is($got, "200 $bytes", "$name: echo of " . length $bytes);
}


sub late {
    $t->write_file('late', '');
}


sub output {
    upgraded('/atls', '/late', 'output');

    my $s = begin(record(''));
    waits($s, 'a poll');
    late();
    is(plain(response($s)), "200 late\n", "$name: it gets the output");
    unlink $t->path('late');
    echoed(plain($c->post(record("more\n"))), "more\n");
    is($c->error(), '', "$name: in order");
}


# An empty POST of somebody else gets nothing, and does not end a poll.

sub theft {
    upgraded('/atls', '/late', 'theft');

    my $s = begin(record(''));
    waits($s, 'a poll');
    is($c->post('')->body(), '', "$name: an empty POST is answered");
    waits($s, 'the poll still');
    late();
    is(plain(response($s)), "200 late\n", "$name: the poll gets the output");
    unlink $t->path('late');
    my $got = plain($c->post(record("more\n")));
    is($c->post('')->body(), '', "$name: an empty POST gets nothing") for 1 .. 3;
    echoed($got, "more\n");
}


# Somebody else is faster than the first poll: the second one in a row shows
# who polls with records.

sub theft_at_first {
    upgraded('/atls', '/late', 'theft at first');

    my $thief = begin('');

    is(response($thief)->body(), '', "$name: the first one does not wait");
    $thief = begin('');
    waits($thief, 'an empty POST');

    is(plain(response(begin(record('')))), '200 ', "$name: a record, at once");
    is(response($thief)->body(), '', "$name: it ends the empty POST");

    my $s = begin(record(''));
    waits($s, 'another record');
    is($c->post('')->body(), '', "$name: an empty POST is answered");
    waits($s, 'the poll still');
    late();
    is(plain(response($s)), "200 late\n", "$name: the poll gets the output");
    unlink $t->path('late');
}


# A program that carries records polls with empty POSTs; a record without data
# is from its client, and does not delay what follows.

sub carried {
    upgraded('/atls', '/echo', 'carried');

    is($c->post('')->body(), '', "$name: an empty POST, which does not wait");

    my $s = begin('');
    waits($s, 'an empty POST');

    for my $i (1 .. 3) {
        is(plain($c->post(record(''))), '200 ', "$name: a record, at once");
        is(plain(response($s)), '200 ', "$name: it ends the poll");
        $s = begin('');
        waits($s, 'another one');
        my $got = plain($c->post(record("data $i\n")));
        is(plain(response($s)), '200 ', "$name: as do data");
        $got = plain(response(begin(''))) if $got eq '200 ';
        is($got, "200 data $i\n", "$name: echo");
        $s = begin('');
        waits($s, 'the next one');
    }

    $c->post($forge->record(21, "\1\0"));
    is(response($s)->status(), 200, "$name: the end");
}


# The same poll again, after its end.

sub retry {
    upgraded('/atls', '/late', 'retry');

    my $record = record('');

    late();

    my $r = response(begin($record));

    is($c->post($record)->body(), $r->body(), "$name: the same response")
        for 1 .. 2;
    is(plain($r), "200 late\n", "$name: with output");
    unlink $t->path('late');
}


# The same poll again, while it waits, shows that it is lost: it ends.

sub retry_in_progress {
    upgraded('/atls', '/late', 'retry in progress');

    my $record = record('');
    my $s = begin($record);

    waits($s, 'a poll');
    is(plain(response(begin($record))), '200 ', "$name: the same one, at once")
        for 1 .. 2;
    is(plain(response($s)), '200 ', "$name: it ends the first one");

    $s = begin(record(''));
    waits($s, 'the next one');
    late();
    is(plain(response($s)), "200 late\n", "$name: it gets the output");
    unlink $t->path('late');
    echoed(plain($c->post(record("more\n"))), "more\n");
}


# The same poll again, after the client has closed the connection.

sub retry_when_gone {
    upgraded('/atls', '/late', 'gone');

    my $record = record('');
    my $s = begin($record);

    waits($s, 'a poll');
    close $s;
    is(plain(response(begin($record))), '200 ', "$name: no output");
    late();
    is(plain(response(begin(record('')))), "200 late\n", "$name: the next one");
    unlink $t->path('late');
}


# Data that arrive before the poll that was sent before them.

sub data_before_poll {
    upgraded('/atls', '/echo', 'order');

    my ($poll, $data) = (record(''), record("data\n"));

    is($c->post($data)->status(), 409, "$name: data before the poll");

    my $s = begin($poll);
    waits($s, 'the poll');
    my $got = plain($c->post($data));
    is(plain(response($s)), '200 ', "$name: the same data again end the poll");
    echoed($got, "data\n");
}


sub elapsed {
    upgraded('/short', '/echo', 'timeout');

    my $record = record('');

    is(plain(response(begin($record))), '200 ', "$name: no output");
    is(plain(response(begin($record))), '200 ', "$name: the same again");
    echoed(plain($c->post(record("one\n"))), "one\n");
}


sub at_once {
    upgraded('/never', '/echo', 'off');

    is(plain($c->post(record(''))), '200 ', "$name: a poll is answered");
    my $got = plain($c->post(record("one\n")));
    ok($t->wait_for(sub { $got eq "200 one\n"
                          || ($got = plain($c->post(record('')))) eq
                             "200 one\n" }),
       "$name: at last with the output");
}


# The response to a request that is not complete.

sub parked {
    client('/atls', 'parked');

    my $got = plain($c->post(record(
        "POST /early HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Length: 2000\r\n\r\n0123456789")));

    is($c->post('')->body(), '', "$name: an empty POST gets nothing");
    $got .= plain(response(begin(record(''))))
        until $got =~ /early\n/ || $c->closed();
    like($got, qr!HTTP/1\.1 200 .*\r\n\r\nearly\n\z!s,
         "$name: an early response");
}


# A raw payload: a record without data is an empty message, but not with the end
# of the session.

sub raw {
    client('/raw', 'raw');

    is(plain($c->post(record(''))), "200 greeting\n", "$name: a record");
    is(plain($c->post('')), '200 ', "$name: an empty POST");
    is(plain($c->post(record('') . $forge->record(21, "\1\0"))), '200 ',
       "$name: a record and close_notify");
    ok($c->closed(), "$name: close_notify");

    $t->read_log('raw.log');
    is(() = $t->read_file('raw.log') =~ /^on /mg, 2,
       "$name: two messages, with that of the handshake");
}
