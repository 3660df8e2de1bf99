#!/usr/bin/perl

# atls_poll_timeout: an empty POST of a session with an upgraded connection
# waits for output, until the timeout, or until another POST of the client.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Echo;
use Test::Atls::Http qw( http_raw read_response readable send_all );
use Test::Atls::Http2Stream;
use Test::Atls::Outer;
use Test::Atls::Process qw( alive );
use Test::Atls::Slow qw( patience );

my $ROUNDS = 4;         # so that some POSTs are in the other worker
my $WHILE = 0.3;        # seconds without an answer

my $t = Test::Atls->new(workers => 2);
my ($listen_h2, $http2) = $t->http2();

$t->write_http(<<'EOC' =~ s/LISTEN_H2/$listen_h2/r =~ s/HTTP2/$http2/r);
%%CERTIFICATE%%

log_format posts '$status "$upstream_addr"';

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    listen 127.0.0.1:%%PORT_2%% LISTEN_H2;
    HTTP2
    access_log %%TESTDIR%%/posts.log posts;
    client_body_timeout 600s;
    lingering_time 600s;
    lingering_timeout 600s;
    proxy_read_timeout 600s;
    send_timeout 600s;

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

    location = /status {
        access_log off;
        stub_status;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_request_buffering off;
    }

    location = /echo/impatient {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_read_timeout 3s;
    }
}
EOC

$t->run();

my $echo = Test::Atls::Echo->start($t, $t->port(1));
my ($protocol, $c, $name, $response);
my $n = 0;

for (qw( TLSv1.3 TLSv1.2 )) {
    $protocol = $_;

    for (1 .. $ROUNDS) {
        output();
        data();
        overtaken();
        overtaken_end();
        part();
        gone();
        cancelled() if $t->has_option('http_v2_module');
        closed();
        polls();
        foreign();
    }

    elapsed();
    read_timeout();
    at_once();
    not_upgraded();
}

$protocol = 'TLSv1.3';
reloaded();
quits();

ends();

$t->read_log('posts.log');
like($t->read_file('posts.log'), qr/"another worker"/, 'some are relayed');

$t->done_testing();


# A client whose connection is upgraded, at an endpoint.

sub upgraded {
    my ($endpoint, $uri, $what) = @_;

    ends();
    $name = "$protocol, $what";
    $c = $t->established(uri => $endpoint, keepalive => 0,
                         protocol => $protocol, timeout => patience());

    my $got = $c->request("GET $uri?n=" . ++$n . " HTTP/1.1\r\n"
                          . "Host: localhost\r\nUpgrade: echo\r\n"
                          . "Connection: upgrade\r\n\r\n");

    like($got, qr!\AHTTP/1\.1 101 .*\r\n\r\n\z!s, "$name: 101");
    nothing_yet();
}


# After data, an empty POST gets nothing: it may have been sent before them.

sub nothing_yet {
    is(answer(poll()), '200 ', "$name: at first, a poll is answered at once");
}


# Ends the last session: a worker would wait for its connection.

sub ends {
    if ($c && !$c->closed()) { $c->close_notify() }
    undef $c;
}


# An empty POST, in progress.

sub poll { $c->begin_post('') }


sub waits {
    my ($s, $what) = @_;

    # in a worker that does not run, the poll would be later than what follows

    $t->read_log('posts.log');
    ok(!readable($s, $WHILE), "$name: $what waits");
}


# The status of its answer, and the plaintext; the answer is in $response.

sub answer {
    my ($s) = @_;

    $response = read_response($s);

    return $c->decrypted($response);
}


# Data are returned, in their answer or in that to a poll.

sub echoed {
    my ($bytes, $got) = @_;

    $got = $c->request($bytes) unless defined $got;

    for (1 .. 2) {
        $got .= answer(poll()) =~ s/^200 //r if $got eq '';
    }

    is($got, $bytes, "$name: echo of " . length $bytes);
}


sub late {
    $t->write_file('late', '');
}


sub output {
    upgraded('/atls', '/late', 'output');

    my $s = poll();
    waits($s, 'a poll');
    late();
    is(answer($s), "200 late\n", "$name: it gets the output");
    ok($response->header('Content-Length'), "$name: with its length");
    unlink $t->path('late');

    echoed("more\n");
    is($c->error(), '', "$name: in order");
}


# A POST with data ends the wait.

sub data {
    upgraded('/atls', '/echo', 'data');

    my $s = poll();
    waits($s, 'a poll');
    my $got = $c->request("one\n");
    is(answer($s), '200 ', "$name: the poll is answered, without output");
    echoed("one\n", $got);
    echoed("two\n");
    is($c->error(), '', "$name: in order");
}


# Data overtake a poll: if it got the output that follows theirs, the client
# would take it for the output before it.

sub overtaken {
    upgraded('/atls', '/late', 'overtaken');

    is($c->request("one\n"), '', "$name: no output");
    late();
    sleep($WHILE);
    is(answer(poll()), '200 ', "$name: a poll gets none");

    my $got = answer(poll()) =~ s/^200 //r;

    like($got, qr/\Alate\n/, "$name: the next one does");
    $got .= answer(poll()) =~ s/^200 //r if $got eq "late\n";
    is($got, "late\none\n", "$name: in order");
    unlink $t->path('late');
}


# So would it get the end that follows the response to the data.

sub overtaken_end {
    upgraded('/atls', '/last/late', 'overtaken, end');

    is($c->request("one\n"), '', "$name: no output");
    late();
    ok($t->wait_for(sub { !alone() }, patience()), "$name: it is closed");
    is(answer(poll()), '200 ', "$name: a poll gets nothing");
    ok(!$c->closed(), "$name: not the end");
    is(answer(poll()), '200 ', "$name: the next one");
    ok($c->closed(), "$name: with close_notify");
    unlink $t->path('late');
    is($c->post('')->status(), 410, "$name: the session is gone");
}


# A part of a record does not; it is kept.

sub part {
    upgraded('/atls', '/echo', 'part');

    $c->write_plain("in two parts\n");
    my $record = $c->tls_out();

    $c->exchange(substr $record, 0, 9, '');

    my $s = poll();
    waits($s, 'after a part of a record, a poll');
    $c->exchange(substr $record, 0, 5, '');
    waits($s, 'after another part, it');
    $c->exchange($record);
    my $got = $c->read_plain();
    is(answer($s), '200 ', "$name: the rest ends the poll");
    echoed("in two parts\n", $got);
}


# Whether there is only an inner connection, besides the one that asks.

sub alone {
    return http_raw($t->port(0), "GET /status HTTP/1.0\r\n\r\n")
           =~ /^Active connections: 2 /m;
}


# A client that closes the connection of a poll loses no output.

sub gone {
    upgraded('/atls', '/late', 'gone');

    my $s = poll();
    waits($s, 'a poll');
    close $s;
    ok($t->wait_for(\&alone, patience()), "$name: it has ended");
    late();
    is(answer(poll()), "200 late\n", "$name: another one has the output");
    unlink $t->path('late');

    upgraded('/atls', '/late', 'half-closed');
    $s = poll();
    waits($s, 'a poll');
    shutdown $s, 1;
    like(answer($s), qr/\A(?:200 |no answer)\z/, "$name: it ends");
    undef $s;
    ok($t->wait_for(\&alone, patience()), "$name: everywhere");
    $s = poll();
    late();
    is(answer($s), "200 late\n", "$name: the next one has the output");
    unlink $t->path('late');
}


# So does one that cancels it, RFC 9113, section 6.4.

sub cancelled {
    upgraded('/atls', '/late', 'cancelled');

    my $s = Test::Atls::Http2Stream->new($t->port(2), '/atls',
                                         'Content-Type' => $c->{type},
                                         Cookie => 'atls=' . $c->cookie());
    my $before = aborted();

    $s->data('', 1);
    while (readable($s->socket(), $WHILE)) { $s->feed(sub { }) }
    ok(!$s->over(), "$name: a poll waits");
    send_all($s->socket(), pack 'NCNN', 4 << 8 | 3, 0, 1, 8);
    ok($t->wait_for(sub { aborted() > $before }, patience()),
       "$name: it has ended");
    late();
    is(answer(poll()), "200 late\n", "$name: another one has the output");
    unlink $t->path('late');
}


sub aborted { return scalar(() = $t->read_file('posts.log') =~ /^499 /mg) }


# The backend closes the connection.

sub closed {
    upgraded('/atls', '/last/late', 'closed');

    my $s = poll();
    waits($s, 'a poll');
    late();
    is(answer($s), '200 ', "$name: it is answered");
    ok($c->closed(), "$name: with close_notify");
    unlink $t->path('late');
    is($c->post('')->status(), 410, "$name: the session is gone");
}


# A poll ends the one before.

sub polls {
    upgraded('/atls', '/late', 'two polls');

    my $one = poll();
    waits($one, 'a poll');

    my $two = poll();
    is(answer($one), '200 ', "$name: the second one ends the first one");
    waits($two, 'the second one');
    late();
    is(answer($two), "200 late\n", "$name: and has the output");
    unlink $t->path('late');
}


# POSTs that are not from the client do not end it.

sub foreign {
    upgraded('/atls', '/late', 'foreign');

    my $s = poll();
    waits($s, 'a poll');

    for my $body ("\x17\x03\x03\x00\x30" . 'x' x 48, "\x15\x03\x03\x00\x02\1\0",
                  'no TLS', "\x17")
    {
        my $r = Test::Atls::Outer->new(port => $t->port(0), uri => '/atls')
            ->post($body, { 'Content-Type' => 'application/atls+octet-stream',
                            Cookie => 'atls=' . $c->cookie() });
        ok($r, "$name: answer to " . length $body);
    }

    waits($s, 'then, it still');
    late();
    is(answer($s), "200 late\n", "$name: it gets the output");
    unlink $t->path('late');
    echoed("more\n");
}


# The timeout.

sub elapsed {
    upgraded('/short', '/echo', 'timeout');

    for (1 .. 2) {
        my $began = time;
        my $s = poll();

        is(answer($s), '200 ', "$name: no output");
        cmp_ok(time - $began, '>', 0.9, "$name: it has waited");
    }

    echoed("one\n");
}


# The timeouts of nginx apply.

sub read_timeout {
    $t->allow_log(qr/upstream timed out .* while proxying upgraded connection/);
    upgraded('/atls', '/echo/impatient', 'proxy_read_timeout');

    my $s = poll();
    is(answer($s), '200 ', "$name: the poll ends");
    like(join(',', $c->closed() ? 'closed' : '', $c->alerts()),
         qr/closed|80/, "$name: with an alert");
    is($c->post('')->status(), 410, "$name: the session is gone");
}


# Without the directive.

sub at_once {
    upgraded('/never', '/late', 'off');

    is(answer(poll()), '200 ', "$name: a poll is answered") for 1 .. 3;
    late();
    ok($t->wait_for(sub { answer(poll()) eq "200 late\n" }),
       "$name: at last with the output");
    unlink $t->path('late');
}


# Any other connection gives nothing to an empty POST.

sub not_upgraded {
    ends();
    $name = "$protocol, not upgraded";
    $c = $t->established(uri => '/atls', protocol => $protocol);

    is(answer(poll()), '200 ', "$name: idle");
    is($c->request("GET / HT"), '', "$name: a part of a request");
    is(answer(poll()), '200 ', "$name: parked");
    like($c->request("TP/1.1\r\nHost: localhost\r\n\r\n"), qr/\AHTTP.* 403 /,
         "$name: and it goes on");
}


# Workers that shut down keep the connection, but no poll.

sub reloaded {
    upgraded('/atls', '/late', 'reload');

    my @old = $t->workers();
    my $s = poll();
    waits($s, 'a poll');
    $t->reload();
    is(answer($s), '200 ', "$name: it ends");
    ok($t->wait_for(sub { 1 == grep { alive($_) } @old }, patience()),
       "$name: so does the worker without the connection");

    $s = poll();
    waits($s, 'a poll to the new workers');
    late();
    is(answer($s), "200 late\n", "$name: it gets the output");
    unlink $t->path('late');

    $s = poll();
    waits($s, 'another one');
    my $got = $c->request("more\n");
    is(answer($s), '200 ', "$name: data end it");
    echoed("more\n", $got);
    $c->close_notify();
    $c->read_plain();
    ok($c->closed(), "$name: close_notify");
    ok($t->wait_for(sub { !grep { alive($_) } @old }, patience()),
       "$name: the old workers exit");
}


# A worker dies.

sub quits {
    upgraded('/atls', '/echo', 'killed');
    $t->allow_log(qr/exited on signal 9/);

    my $s = poll();
    waits($s, 'a poll');
    kill 'KILL', $_ for $t->workers();
    like(answer($s), qr/\A(?:no answer|410 )/, "$name: the poll ends");
    ok($t->wait_for(sub { $t->workers() == 2 }, patience()),
       "$name: new workers");
    is($c->post('')->status(), 410, "$name: the session is gone");
}
