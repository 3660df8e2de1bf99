#!/usr/bin/perl

# A client sends a POST again if the connection is lost before the whole
# response was received, wherever it was cut: each request is processed once,
# and none fails.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( time );

use Test::Atls::Http qw( http_connect );
use Test::Atls::Lib;
use Test::Atls::LocalServer qw( ask_tls next_answer summary );
use Test::Atls::LostPosts;
use Test::Atls::Site;
use Test::Atls::Slow qw( slow );

my $SESSIONS = 16;
my $STEP = 13;              # of lossy.py, in first responses
my $MOST = 1000;            # requests; there are fewer positions

my $t = Test::Atls::Site->new(workers => 3);
my $backend = $t->backend();

$t->serve(<<'EOC', backend => 'proxy_ignore_client_abort on;');
location = /off {
    atls on;
    atls_retry_buffer 0;
}

location = /early {
    atls on;
    atls_early_data on;
    atls_session_tickets on;
}

location /located {
    atls on;
    atls_session_tracking location;
}
EOC

my $n = 0;
my $port = 2;               # of the next proxy
my $lossy;

subtest("handshakes, $_->[0]" => \&handshakes, @$_)
    for [ 'TLSv1.3' ], [ 'TLSv1.2' ], [ 'TLSv1.3', '/located' ];
subtest('atls forward' => \&forward, 0);
subtest('atls forward, uploads' => \&forward, 3000, '--post-size', '1k');
subtest('atls tunnel' => \&tunnel);
subtest('atls tunnel, close_notify' => \&closing);
subtest('no response at all' => \&mute);
subtest('no response in time' => \&silent);
subtest('Retry-After' => \&retry_after);
subtest('a body that was cut' => \&half);
subtest('responses that are not kept' => \&not_kept);
subtest('early data' => \&early_data);
subtest('trailers' => \&trailers);

$t->done_testing();


# A new proxy.

sub lossy {
    my ($mode) = @_;

    $lossy->stop() if $lossy;
    $backend->forget();

    return $lossy = Test::Atls::LostPosts->start($t, $mode, $t->port(0),
                                             $t->port($port++));
}


# The positions at which responses were cut: each of them.

sub are_cut {
    my ($which, $step) = @_;

    my @lines = grep { s/^$which // } $lossy->done();
    my @cut = map { /^cut (\d+) / ? $1 : () } @lines;

    is("@cut", join(' ', map { $step * $_ } 0 .. $#cut),
       "cut at each position: " . @cut);
    ok((grep { $_ eq 'whole' } @lines), 'up to the end');
}


# Each request was processed, once.

sub are_processed {
    my ($requests) = @_;

    my %times = $backend->times();

    is(scalar keys %times, $requests, 'each is processed');
    is(join(' ', grep { $times{$_} != 1 } sort keys %times), '', 'once');
    $backend->forget();
}


# The response to the first POST is that of another session each time.

sub handshakes {
    my ($protocol, $path) = @_;

    my $lib = Test::Atls::Lib->new($t);
    my $c = $lib->start($lib->compile('client_lib'));
    my @bad;

    lossy('each');

    for (1 .. $MOST) {
        $c->client('https://localhost', MAX_PROTOCOL => $protocol,
                   CA_FILE => $t->path('ca.crt'),
                   ENDPOINT => $lossy->endpoint($path));
        my $r = $c->command('connect');
        push @bad, $r->{text} if $r->{error};
        last if grep { $_ eq 'first whole' } $lossy->done();
    }

    is(join("\n", @bad), '', 'none fails');
    are_cut('first', $STEP);
    is($c->end(), 0, 'exit status');

    done_testing();
}


# Sends POSTs through atls forward, several at the same time, until each
# position was cut.

sub forward {
    my ($size, @args) = @_;

    lossy('each');

    my $f = $t->forward($lossy->endpoint(), '--sessions', $SESSIONS, @args);
    my (@open, @bad);

    for (1 .. $MOST) {
        my $body = sprintf('post-%06d', ++$n) . 'x' x $size;

        push @open, [ $body, $f->connect("POST /body?$n\nContent-Length: "
                                         . length($body) . "\n\n$body") ];
        push @bad, answered(shift @open) if @open == $SESSIONS;
        last if $n % 50 == 0 && grep { $_ eq 'next whole' } $lossy->done();
    }

    push @bad, map { answered($_) } @open;
    is(join("\n", @bad), '', 'none fails');
    are_cut('next', 1);
    are_processed($n);
    $n = 0;
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub answered {
    my ($body, $s) = @{$_[0]};

    my $got = summary(next_answer($s, 'POST'));

    return $got eq "200 $body" ? () : substr $got, 0, 200;
}


# TLS is that of the client, which does not notice.

sub tunnel {
    lossy('each');

    my $f = $t->tunnel($lossy->endpoint());
    my @bad;

    for (1 .. 20) {
        my $s = http_connect($f->port(), tls => 1);

        for (1 .. 5) {
            my $got = summary(ask_tls($s, 'POST /body?' . ++$n
                                          . "\nContent-Length: 4\n\nbody"));
            push @bad, $got unless $got eq '200 body';
        }
    }

    is(join("\n", @bad), '', 'none fails');

    for my $which (qw( first next )) {
        ok((grep { /^$which cut/ } $lossy->done()), "$which responses are cut");
    }

    are_processed($n);
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


# When the last POST is sent again, the session has ended: that is no error.

sub closing {
    lossy('mute=4-5');

    my $f = $t->tunnel($lossy->endpoint());
    my $s = http_connect($f->port(), tls => 1);

    ok($t->wait_for(sub { done('passed') == 2 }), 'a handshake');
    is(summary(ask_tls($s, 'GET /exact')), "200 exactly\n", 'a request');

    close $s;

    ok($f->wait_for_log(qr/^\S+ \d+ POSTs/), 'the connection is closed');
    like(join("\n", $f->log()), qr/ s$/, 'without an error');
    is(done('mute'), 2, 'POSTs without a response');
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


# The command, for a POST by way of the proxy.  The second POST of a session is
# that with the request.

sub atls {
    my ($path, @args) = @_;

    return $t->command()->run($t->trust(), '--via', $lossy->endpoint($path),
                              @args);
}


sub done { my ($what) = @_; return scalar grep { $_ eq $what } $lossy->done() }


sub mute {
    my $url = 'https://localhost/body?1';

    # on a connection that was kept, libcurl sends it once more

    for ([ 7 ], [ 2, '--retry', 0 ], [ 4, '--retry', 2 ]) {
        my ($posts, @args) = @$_;

        lossy('mute=2-100');

        my $r = atls(undef, @args, '-d', 'x', $url);

        like($r->{code}, qr/^5[26]$/, "@args: exit code") or diag($r->{err});
        is(done('mute'), $posts, 'POSTs');
        are_processed(1);
    }

    # without a time limit, it would take long

    lossy('mute=2-100');
    like(atls(undef, '--retry', 100, '-m', 4, '-d', 'x', $url)->{code},
         qr/^(?:28|5[26])$/, '--max-time');
    are_processed(1);

    # the first POST of a session, and a server that does not listen any more

    lossy('mute=1-100');
    like(atls(undef, '--retry', 1, '-d', 'x', $url)->{code}, qr/^5[26]$/,
         'the first POST');
    is(done('mute'), 2, 'is repeated, too');
    is(scalar(() = $backend->requests()), 0, 'not processed');

    # atls forward, and a session that goes on

    lossy('mute=3-5');

    my $f = $t->forward($lossy->endpoint(), '--sessions', 1, '--retry', 1);

    is(summary($f->ask("POST /body?1\nContent-Length: 1\n\n1")), '200 1',
       'atls forward');
    like(summary($f->ask("POST /body?2\nContent-Length: 1\n\n2")),
         qr/^502 .*may or may not have been processed/s, 'all are lost');
    is(summary($f->ask("POST /body?3\nContent-Length: 1\n\n3")), '200 3',
       'the next request');
    are_processed(3);
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


# The time limit of a POST.

sub silent {
    my $lib = Test::Atls::Lib->new($t);
    my $c = $lib->start($lib->compile('client_lib'));

    for (
        [ 'OK',      'silent=2-2' ],
        [ 'TIMEOUT', 'silent=2-9' ],
        [ 'TIMEOUT', 'silent=2-9', RETRIES => 0 ],
    ) {
        my ($want, $mode, @options) = @$_;

        lossy($mode);
        $c->client('https://localhost', IDLE_TIMEOUT => 2000 * slow(),
                   CA_FILE => $t->path('ca.crt'),
                   ENDPOINT => $lossy->endpoint(), @options);

        my $r = $c->go('POST', '/body?1', body => 'bytes 10');

        is($c->name($r), $want, "$mode @options") or diag($r->{text});
        is(done('silent'), $want eq 'OK' || @options ? 1 : 2, 'POSTs');
        are_processed(1);
    }

    is($c->end(), 0, 'exit status');

    done_testing();
}


sub retry_after {
    for ([ 'soon', 0 ], [ 'later', 1 ]) {
        my ($mode, $fails) = @$_;
        my $began = time;

        lossy("$mode=2-2");

        my $r = atls(undef, '-d', 'x', 'https://localhost/body?1');

        is($r->{code} != 0, $fails == 1, "$mode: the exit code")
            or diag("$r->{code} $r->{err}");

        # the ClientHello; the request, and close_notify

        is(done('passed'), $fails ? 1 : 3, 'other POSTs');
        cmp_ok(time - $began, '>', 1, 'a longer pause') unless $fails;
        are_processed(1);
    }

    done_testing();
}


# Nothing of a response of HTTP says that its body was cut.

sub half {
    for my $what (qw( half bare )) {
        lossy("$what=2-2");

        my $r = atls(undef, '-d', 'x', 'https://localhost/body?1');

        is("$r->{code} $r->{out}", '0 x', "once, $what") or diag($r->{err});
        is(done($what), 1, 'it was cut');
        are_processed(1);
    }

    lossy('half=2-9');

    my $r = atls(undef, '--retry', 2, '-d', 'x', 'https://localhost/body?1');

    is($r->{code}, 52, 'always: exit code');
    like($r->{err}, qr/the last POST ended within the response header/, 'why');
    is(done('half'), 3, 'POSTs');
    are_processed(1);

    # the first flight

    lossy('half=1-1');
    is(atls(undef, '-d', 'x', 'https://localhost/body?1')->{code}, 0,
       'the first response');
    are_processed(1);

    done_testing();
}


# A GET is repeated in a new session.

sub not_kept {
    my $size = 100_000;

    for (
        [ 56, '/off', 'mute', '/body?1', '-d', 'x' ],
        [ 0,  '/off', 'mute', '/body?1' ],
        [ 56, undef,  'mute', "/big?size=$size", '-d', 'x' ],
        [ 18, undef,  'cut',  "/big?size=$size", '-d', 'x' ],
        [ 18, undef,  'cut',  "/big?size=$size" ],
    ) {
        my ($code, $endpoint, $mode, $uri, @args) = @$_;

        lossy("$mode=2-2");

        my $r = atls($endpoint, @args, "https://localhost$uri");

        is($r->{code}, $code, "$mode, $uri @args") or diag($r->{err});
        like($r->{err}, qr/may or may not have been processed/, 'it says so')
            if $code == 56;
        is(scalar(() = $backend->requests()), $code ? 1 : 2, 'requests');
    }

    # a middlebox may have replaced the body of a 410; libcurl sends the POST
    # once more

    lossy('gone=2-3');
    is(atls(undef, '-d', 'x', 'https://localhost/body?1')->{code}, 56,
       'a 410 of a middlebox');
    is(done('gone'), 1, 'is not repeated');
    are_processed(1);

    done_testing();
}


# It is not sent again with its ClientHello: as it is safe, it is repeated.

sub early_data {
    my @args = ('--session-file', $t->path('sessions'), '--early-data', '-v',
                'https://localhost/body?1');

    # the fourth one is the first of the second session

    lossy('mute=4-4');
    is(atls('/early', @args)->{code}, 0, 'a ticket');

    my $r = atls('/early', @args);

    is($r->{code}, 0, 'the POST with early data is lost');
    like($r->{err}, qr/sending early data/, 'there were some');
    unlike($r->{err}, qr/sending the POST again/, 'not again');

    done_testing();
}


# The responses to the first parts of an upload have no body: a trailer is not
# the beginning of a header.

sub trailers {
    my $body = 'x' x 5000;

    lossy('trailer=1-99');

    my $r = atls(undef, '--retry', 0, '--post-size', '1k', '-d', $body,
                 'https://localhost/body?1');

    is("$r->{code} $r->{out}", "0 $body", 'chunked') or diag($r->{err});
    cmp_ok(done('trailer'), '>', 5, 'POSTs');
    are_processed(1);

    done_testing();
}
