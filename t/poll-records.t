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
use Test::Atls::Http qw( read_response readable );
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
    like(data("GET $uri HTTP/1.1\r\nHost: localhost\r\n"
              . "Upgrade: echo\r\nConnection: upgrade\r\n\r\n"),
         qr!\A200 HTTP/1\.1 101 .*\r\n\r\n\z!s, "$name: 101");
}


# Ends the last session: a worker would wait for its connection.

sub ends {
    $c->post($forge->record(21, "\1\0")) if $c && !$c->closed();
    undef $c;
}


sub record { $forge->record(23, $_[0]) }


sub waits {
    my ($s, $what) = @_;

    # it was received by a worker, before anything else is sent

    $t->read_log('error.log');

    ok(!readable($s, $WHILE), "$name: $what waits");
}


# A poll: its response, and the plaintext.

sub poll { $c->end_post($c->begin_post($_[0] // record(''))) }


# The same for data.

sub data { $c->decrypted($c->post(record($_[0]))) }


# Data are returned, in their answer or in that to a poll.

sub echoed {
    my ($got, $bytes) = @_;

    $got = poll() if $got eq '200 ';
    is($got, "200 $bytes", "$name: echo of " . length $bytes);
}


sub late {
    $t->write_file('late', '');
}


sub output {
    upgraded('/atls', '/late', 'output');

    my $s = $c->begin_post(record(''));
    waits($s, 'a poll');
    late();
    is($c->end_post($s), "200 late\n", "$name: it gets the output");
    unlink $t->path('late');
    echoed(data("more\n"), "more\n");
    is($c->error(), '', "$name: in order");
}


# An empty POST of somebody else gets nothing, and does not end a poll.

sub theft {
    upgraded('/atls', '/late', 'theft');

    my $s = $c->begin_post(record(''));
    waits($s, 'a poll');
    is($c->post('')->body(), '', "$name: an empty POST is answered");
    waits($s, 'the poll still');
    late();
    is($c->end_post($s), "200 late\n", "$name: the poll gets the output");
    unlink $t->path('late');
    my $got = data("more\n");
    is($c->post('')->body(), '', "$name: an empty POST gets nothing") for 1 .. 3;
    echoed($got, "more\n");
}


# Somebody else is faster than the first poll: the second one in a row shows
# who polls with records.

sub theft_at_first {
    upgraded('/atls', '/late', 'theft at first');

    my $thief = $c->begin_post('');

    is(read_response($thief)->body(), '', "$name: the first one does not wait");
    $thief = $c->begin_post('');
    waits($thief, 'an empty POST');

    is(poll(), '200 ', "$name: a record, at once");
    is(read_response($thief)->body(), '', "$name: it ends the empty POST");

    my $s = $c->begin_post(record(''));
    waits($s, 'another record');
    is($c->post('')->body(), '', "$name: an empty POST is answered");
    waits($s, 'the poll still');
    late();
    is($c->end_post($s), "200 late\n", "$name: the poll gets the output");
    unlink $t->path('late');
}


# A program that carries records polls with empty POSTs; a record without data
# is from its client, and does not delay what follows.

sub carried {
    upgraded('/atls', '/echo', 'carried');

    is($c->post('')->body(), '', "$name: an empty POST, which does not wait");

    my $s = $c->begin_post('');
    waits($s, 'an empty POST');

    for my $i (1 .. 3) {
        is(data(''), '200 ', "$name: a record, at once");
        is($c->end_post($s), '200 ', "$name: it ends the poll");
        $s = $c->begin_post('');
        waits($s, 'another one');
        my $got = data("data $i\n");
        is($c->end_post($s), '200 ', "$name: as do data");
        $got = poll('') if $got eq '200 ';
        is($got, "200 data $i\n", "$name: echo");
        $s = $c->begin_post('');
        waits($s, 'the next one');
    }

    $c->post($forge->record(21, "\1\0"));
    is(read_response($s)->status(), 200, "$name: the end");
}


# The same poll again, after its end.

sub retry {
    upgraded('/atls', '/late', 'retry');

    my $record = record('');

    late();

    my $r = read_response($c->begin_post($record));

    is($c->post($record)->body(), $r->body(), "$name: the same response")
        for 1 .. 2;
    is($c->decrypted($r), "200 late\n", "$name: with output");
    unlink $t->path('late');
}


# The same poll again, while it waits, shows that it is lost: it ends.

sub retry_in_progress {
    upgraded('/atls', '/late', 'retry in progress');

    my $record = record('');
    my $s = $c->begin_post($record);

    waits($s, 'a poll');
    is(poll($record), '200 ', "$name: the same one, at once") for 1 .. 2;
    is($c->end_post($s), '200 ', "$name: it ends the first one");

    $s = $c->begin_post(record(''));
    waits($s, 'the next one');
    late();
    is($c->end_post($s), "200 late\n", "$name: it gets the output");
    unlink $t->path('late');
    echoed(data("more\n"), "more\n");
}


# The same poll again, after the client has closed the connection.

sub retry_when_gone {
    upgraded('/atls', '/late', 'gone');

    my $record = record('');
    my $s = $c->begin_post($record);

    waits($s, 'a poll');
    close $s;
    is(poll($record), '200 ', "$name: no output");
    late();
    is(poll(), "200 late\n", "$name: the next one");
    unlink $t->path('late');
}


# Data that arrive before the poll that was sent before them.

sub data_before_poll {
    upgraded('/atls', '/echo', 'order');

    my ($poll, $data) = (record(''), record("data\n"));

    is($c->post($data)->status(), 409, "$name: data before the poll");

    my $s = $c->begin_post($poll);
    waits($s, 'the poll');
    my $got = $c->decrypted($c->post($data));
    is($c->end_post($s), '200 ', "$name: the same data again end the poll");
    echoed($got, "data\n");
}


sub elapsed {
    upgraded('/short', '/echo', 'timeout');

    my $record = record('');

    is(poll($record), '200 ', "$name: no output");
    is(poll($record), '200 ', "$name: the same again");
    echoed(data("one\n"), "one\n");
}


sub at_once {
    upgraded('/never', '/echo', 'off');

    is(data(''), '200 ', "$name: a poll is answered");
    my $got = data("one\n");
    ok($t->wait_for(sub { $got eq "200 one\n"
                          || ($got = data('')) eq "200 one\n" }),
       "$name: at last with the output");
}


# The response to a request that is not complete.

sub parked {
    client('/atls', 'parked');

    my $got = data("POST /early HTTP/1.1\r\nHost: localhost\r\n"
                   . "Content-Length: 2000\r\n\r\n0123456789");

    is($c->post('')->body(), '', "$name: an empty POST gets nothing");
    $t->wait_for(sub { $got =~ /early\n/ || ($got .= poll()) !~ /200 \z/ });
    like($got, qr!HTTP/1\.1 200 .*\r\n\r\nearly\n\z!s,
         "$name: an early response");
}


# A raw payload: a record without data is an empty message, but not with the end
# of the session.

sub raw {
    client('/raw', 'raw');

    is(data(''), "200 greeting\n", "$name: a record");
    is($c->decrypted($c->post('')), '200 ', "$name: an empty POST");
    is($c->decrypted($c->post(record('') . $forge->record(21, "\1\0"))), '200 ',
       "$name: a record and close_notify");
    ok($c->closed(), "$name: close_notify");

    $t->read_log('raw.log');
    is(() = $t->read_file('raw.log') =~ /^on /mg, 2,
       "$name: two messages, with that of the handshake");
}
