#!/usr/bin/perl

# A POST that is sent again gets the same response again, from any worker, and
# is processed once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Retry qw( again opened record );
use Test::Atls::Status qw( status );

my $ROUNDS = 4;         # so that some are in the other worker

my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
%%CERTIFICATE%%
log_format retry "$atls_post $atls_retry";

server {
    listen 127.0.0.1:%%PORT_0%%;
    access_log %%TESTDIR%%/retry.log retry;

    location = /atls {
        atls on;
    }

    location = /off {
        atls on;
        atls_retry_buffer 0;
    }

    location = /small {
        atls on;
        atls_retry_buffer 600;
    }

    location = /status {
        atls_status;
    }

    location / {
        access_log off;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_ignore_client_abort on;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my $protocol;

for (qw( TLSv1.3 TLSv1.2 )) {
    $protocol = $_;

    repeated();
    older();
    flights();
    parked();
    streamed();
    too_long();
    in_progress();
    client_gone();
    changed();
    off();
}

$protocol = 'TLSv1.3';

reloaded();
killed();
logged();

$t->done_testing();


sub client {
    return $t->client(uri => '/atls', keepalive => 0, protocol => $protocol,
                      @_);
}


sub established {
    my $c = client(@_);

    $c->handshake() or die $c->error() . "\n";

    return $c;
}


# The requests that the backend has received.

sub requests { scalar $backend->requests() }


sub goes_on {
    my ($c, $name) = @_;

    $c->exchange(record($c, '/echo'));
    like($c->read_plain(), qr/length 0/, "$protocol, $name: it goes on");
    is($c->error(), '', "$protocol, $name: no error");
}


sub repeated {
    my $c = established();

    for my $n (1 .. 2) {
        $backend->forget();

        my $record = record($c, "/echo?$n", 'POST');
        my $first = again($c, $record);

        is(join(',', map { again($c, $record) eq $first || 0 } 1 .. $ROUNDS),
           join(',', (1) x $ROUNDS), "$protocol: the same response");
        is(requests(), 1, "$protocol: one request");
        like(opened($c, $first), qr/echo\?$n/, "$protocol: the response");
    }

    goes_on($c, 'repeated');
}


# Only the last one.

sub older {
    my $c = established();
    my @records = map { record($c, "/echo?$_") } 1 .. 3;
    my @got = map { again($c, $_) } @records;

    $backend->forget();
    is(again($c, $records[0]), '409 not-next', "$protocol: the last but two");
    is(again($c, $records[2]), $got[2], "$protocol: the last one");
    is(again($c, $records[1]), '409 not-next', "$protocol: the last but one");
    is(again($c, $records[2]), $got[2], "$protocol: the last one again");
    is(requests(), 0, "$protocol: no request");

    opened($c, $_) for @got;
    goes_on($c, 'older ones');
}


# The end of the handshake, also with a request, and a part of it.

sub flights {
    for my $with (0, 1) {
        my $c = client();

        $backend->forget();
        $c->handshake_step();
        $c->exchange($c->tls_out());
        my $done = $c->handshake_step();
        my $name = "flight, request:$with";

        $c->write_plain("GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if $with && $done;

        my $flight = $c->tls_out();
        my ($part, $rest) = unpack 'a30a*', $flight;

        my @got = map { again($c, $part) } 1 .. $ROUNDS;
        is(join('', @got), '200 ' x $ROUNDS, "$protocol, $name: a part");

        @got = map { again($c, $rest) } 1 .. $ROUNDS;
        is(scalar(grep { $_ eq $got[0] } @got), $ROUNDS,
           "$protocol, $name: the same response");

        $c->tls_in($got[0] =~ s/^200 //r);
        $c->handshake_step() unless $done;
        my $plain = $c->read_plain();
        is(requests(), $with && $done ? 1 : 0, "$protocol, $name: requests");
        goes_on($c, $name);
    }
}


# A part of a request, whose inner connection is parked in one worker.

sub parked {
    my $c = established();
    my $size = 3000;

    $backend->forget();
    $c->write_plain("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: $size\r\n\r\n");

    for my $piece (1 .. 3) {
        $c->write_plain($piece x 1000);
        my $bytes = $c->tls_out();

        my @got = map { again($c, $bytes) } 1 .. $ROUNDS;
        is(scalar(grep { $_ eq $got[0] } @got), $ROUNDS,
           "$protocol, parked: piece $piece");
        opened($c, $got[0]) if $piece < 3;
        next if $piece < 3;

        my ($r) = parse_responses(opened($c, $got[0]), 'POST');
        is($r && $r->body(), '1' x 1000 . '2' x 1000 . '3' x 1000,
           "$protocol, parked: each piece once");
    }

    goes_on($c, 'parked');
}


# A response that is sent in several parts.

sub streamed {
    my $c = established();
    my $record = record($c, '/slow?n=3&delay=0.1');
    my $first = again($c, $record);

    is(again($c, $record), $first, "$protocol, streamed: the same");
    like(opened($c, $first), qr/line 3/, "$protocol, streamed: the response");
    goes_on($c, 'streamed');
}


sub too_long {
    for my $case ([ '/atls', 5000, '/big?size=5000' ],
                  [ '/atls', 200_000, '/big?size=200000' ],
                  [ '/small', 600, '/big?size=600' ])
    {
        my ($uri, $size, $request) = @$case;
        my $c = established(uri => $uri);

        $backend->forget();

        my $record = record($c, $request);
        my $first = again($c, $record);

        is(again($c, $record), '410 answer-lost',
           "$protocol, $size bytes: not kept");
        is(again($c, 'x' x length $record), '409 not-next',
           "$protocol, $size bytes: a foreign POST");
        is(requests(), 1, "$protocol, $size bytes: one request");
        is(length((parse_responses(opened($c, $first)))[0]->body()), $size,
           "$protocol, $size bytes: the response");
        goes_on($c, "$size bytes");
    }
}


# It waits for the end of the first one.

sub in_progress {
    my $c = established();

    $backend->forget();

    my $record = record($c, '/slow?n=2&delay=0.4');

    $c->post_send($record);
    $t->wait_for(sub { requests() });

    my $second = again($c, $record);
    my $r = $c->post_receive();

    is($second, '200 ' . $r->body(), "$protocol, in progress: the same");
    is(requests(), 1, "$protocol, in progress: one request");
    like(opened($c, $second), qr/line 2/, "$protocol, in progress: response");
    goes_on($c, 'in progress');
}


# The request goes on, as proxy_ignore_client_abort says.

sub client_gone {
    for my $linger (0, 1) {
        my $c = established();
        my $name = "client gone, RST:$linger";

        $backend->forget();

        my $record = record($c, '/slow?n=2&delay=0.4');

        $c->post_send($record);
        $t->wait_for(sub { requests() });

        my $s = $c->http_client()->{socket};
        setsockopt $s, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
                   pack('ii', 1, 0) if $linger;
        $c->http_client()->close();
        undef $s;

        my $got = again($c, $record);

        like(opened($c, $got), qr/line 2/, "$protocol, $name: response");
        is(requests(), 1, "$protocol, $name: one request");
        goes_on($c, $name);
    }
}


# Nearly the same POST.

sub changed {
    my $c = established();
    my $record = record($c, '/echo') . record($c, '/echo');
    my $size = length $record;
    my $first = again($c, $record);

    $backend->forget();

    for my $at (0, 5, 20, $size - 17, $size - 16, $size - 1) {
        my $bytes = $record;

        substr($bytes, $at, 1) ^= "\1";
        unlike(again($c, $bytes), qr/^200 /, "$protocol, changed: byte $at")
            if $at < 16 || $at >= $size - 16;
    }

    is(again($c, substr $record, 0, -1), '409 not-next',
       "$protocol, changed: shorter");
    is(again($c, $record . "\0"), '409 not-next', "$protocol, changed: longer");
    is(again($c, $record), $first, "$protocol, changed: as it was");
    is(requests(), 0, "$protocol, changed: no request");

    opened($c, $first);
    goes_on($c, 'changed');
}


sub off {
    my $c = established(uri => '/off');

    $backend->forget();

    my $record = record($c, '/echo');
    my $first = again($c, $record);

    is(again($c, $record), '409 not-next', "$protocol, off");
    is(requests(), 1, "$protocol, off: one request");
    opened($c, $first);
    goes_on($c, 'off');
}


sub reloaded {
    my $c = established();
    my $record = record($c, '/echo');
    my $first = again($c, $record);
    my ($old) = $t->workers();

    $t->signal('HUP');
    $t->wait_for(sub { !grep { $_ == $old } $t->workers() }, 20);

    is(again($c, $record), $first, 'reload: the same response');
    opened($c, $first);
    goes_on($c, 'reload');
}


# A response is lost with its worker if the request is in progress; otherwise,
# it is in shared memory.

sub killed {
    $t->allow_kills();

    my $c = established();
    my $record = record($c, '/echo');
    my $first = again($c, $record);

    kill_workers();
    is(again($c, $record), $first, 'killed after the response: the same');
    opened($c, $first);
    goes_on($c, 'killed after the response');

    $backend->forget();
    $record = record($c, '/slow?n=3&delay=1');
    $c->post_send($record);
    $t->wait_for(sub { requests() });
    kill_workers();
    is(again($c, $record), '410 session-lost', 'killed during the request');
    is(requests(), 1, 'killed during the request: one request');
}


sub kill_workers {
    my @old = $t->workers();

    kill 'KILL', @old;
    $t->wait_for(sub {
        my %old = map { $_ => 1 } @old;
        my @now = $t->workers();
        return @now == 2 && !grep { $old{$_} } @now;
    }, 20);
}


sub logged {
    my %lines;

    $lines{$_}++ for split /\n/, $t->read_file('retry.log');

    ok($lines{'retried kept'}, 'log: POSTs that got the same response');
    ok($lines{'answer-lost lost'}, 'log: POSTs whose response was not kept');
    ok($lines{'served -'}, 'log: other POSTs');

    my $posts = status($t)->{posts_total};

    is($posts->{retried}{200}, $lines{'retried kept'}, 'counted: the same');
    is($posts->{'answer-lost'}{410}, $lines{'answer-lost lost'},
       'counted: not kept');
}
