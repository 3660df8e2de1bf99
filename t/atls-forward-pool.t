#!/usr/bin/perl

# atls forward with the module: its sessions, and how it stops.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw( time );

use Test::Atls::Http qw( readable send_all );
use Test::Atls::LocalServer qw( connection_end message next_answer summary );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience slow );

my $PATIENCE = patience();
my $CLIENTS = $ENV{TEST_VALGRIND} ? 25 : 100;
my $GRACE = 0.5;            # seconds for another request, after a stop

my $t = Test::Atls::Site->new();
my $backend = $t->backend();

$t->make_cert('client', ca => 'ca', subject => '/CN=me');

my %more = (http     => q{ log_format outer
                           '$connection $request_method $status';
                           client_max_body_size 0; atls_early_data on; },
            endpoint => 'access_log %%TESTDIR%%/outer.log outer;');

$t->serve(<<'EOC', %more);
location = /verify {
    atls on;
    atls_verify_client on;
    atls_client_certificate %%TESTDIR%%/ca.crt;
}

location = /session {
    return 200 "$atls_session_id $atls_session_reused\n";
}

location = /0rtt {
    return 200 "$atls_session_id <$atls_early_data>\n";
}

location = /who {
    return 200 "$atls_protocol $atls_client_s_dn\n";
}
EOC

my $atls = $t->command();
my @trust = ('--cacert', $t->path('ca.crt'));
my $last = '';
my $f;

subtest('many at a time' => \&many);
subtest('the limit' => \&limit);
subtest('one after the other' => \&in_turn);
subtest('idle sessions' => \&idle);
subtest('resumption' => \&resumption);
subtest('early data' => \&early_data);
subtest('who the client is' => \&identity);
subtest('graceful stop' => \&graceful_stop);
subtest('graceful stop under load' => \&stop_under_load);
subtest('an end at once' => \&hard_stop);

$t->done_testing();


# The number of POSTs logged by the server on connections after the given one.
# They are logged after the response.

sub posts {
    my ($connection) = @_;

    return scalar grep { $_ > $connection }
                       $t->read_log('outer.log') =~ /^(\d+) POST 200$/mg;
}


# The number of the last connection.

sub connection {
    return (sort { $b <=> $a }
                 $t->read_log('outer.log') =~ /^(\d+) /mg, 0)[0];
}


# The id of a session, and whether it was resumed.

sub session {
    return $f->ask('GET /session')->body() =~ /^(\w+) (.)$/;
}


# Sends requests until the last session, which is closed as soon as it is idle,
# is replaced.  Returns the response without the id.

sub anew {
    my ($request) = @_;

    my ($name, $what);

    $t->wait_for(sub {
        ($name, $what) = $f->ask($request)->body() =~ /^(\w+) (\S*)$/;
        return $name ne $last;
    }, $PATIENCE) or return 'the same session';

    $last = $name;

    return $what;
}


sub many {
    $f = $t->forward('--sessions', 4);

    my ($threads, $files) = $f->at_rest();
    my @paths = ('/session', '/slow?n=2&delay=0.02', '/big?size=100000',
                 '/status?code=404');
    my @open = map { $f->connect('GET ' . $paths[$_ % @paths]) } 1 .. $CLIENTS;
    my @answers = map { next_answer($_) } @open;

    is(scalar(grep { $_->done() } @answers), $CLIENTS, 'all are answered');

    my %ids = map { $_->body() =~ /^(\w{20,}) / ? ($1 => 1) : () } @answers;
    cmp_ok(scalar keys %ids, '<=', 4, 'by four sessions at most');
    cmp_ok(scalar keys %ids, '>', 1, 'by more than one');

    ok($t->wait_for(sub { $f->log() == $CLIENTS }, $PATIENCE), 'a line each');
    my %numbers = map { / (\S+)$/ => 1 } $f->log();
    is(join(' ', sort keys %numbers), '1 2 3 4', 'four of them');

    undef @open;
    ok($t->wait_for(sub { $f->threads() == $threads }, $PATIENCE),
       'no thread is left');
    cmp_ok($f->files(), '<=', $files + 4 * 4, 'nor descriptors');
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


# If all sessions are in use, requests wait and are served in order.

sub limit {
    $f = $t->forward('--sessions', 2, '-m', 60);
    $backend->forget();

    my @hang = map { $f->connect('GET /hang') } 1, 2;
    ok($t->wait_for(sub { $backend->requests() == 2 }, $PATIENCE), 'all busy');

    # each has a thread, which waits for a session

    my $threads = $f->threads();
    my @waiting = map {
        my $s = $f->connect("GET /echo?$_");
        ok($t->wait_for(sub { $f->all_wait($threads + $_) }), "$_ waits");
        $s;
    } 1 .. 5;

    close $waiting[2];                      # is not sent to the service

    # a closed connection is noticed once a second

    ok(!readable($waiting[0], 1.5), 'one that waits');
    close $hang[0];

    is(summary(next_answer($waiting[$_])) =~ m!GET (/echo\?\d)! && $1,
       '/echo?' . ($_ + 1), 'served') for 0, 1, 3, 4;

    my @order = map { $_->{uri} } $backend->requests();
    is("@order[0, 1]", '/hang /hang', 'first');
    is("@order[2 .. 5]", '/echo?1 /echo?2 /echo?4 /echo?5', 'then, in order')
        or diag("@order");

    ok($f->wait_for_log(qr! /hang 000 0 .* closed the connection$!),
       'who does not wait is noted');
    $f->stop('KILL');

    # the timeout includes waiting for a session

    $backend->forget();
    $f = $t->forward('--sessions', 1, '-m', 0.5 * slow());
    my $hangs = sub { grep { $_->{uri} eq '/hang' } $backend->requests() };
    my $s;

    # again, if the handshake has taken too long

    ok($t->wait_for(sub {
           $s = $f->connect('GET /hang');
           $t->wait_for(sub { $hangs->() || readable($s, 0) }, $PATIENCE);
           return $hangs->();
       }, $PATIENCE), 'busy');

    my $waiting = $f->connect('GET /hang');
    is(next_answer($s)->status(), 504, '-m: the service is too slow');
    like(next_answer($waiting)->status(), qr/^50[34]$/,
         '-m: the time of waiting is part of it');
    ok($t->wait_for(sub {
           summary($f->ask('GET /status?code=201')) eq "201 status 201\n"
       }), 'and all is well');
    is($f->stop()->{code}, 0, 'exit code');

    $backend->forget();
    done_testing();
}


sub in_turn {
    my $before = connection();

    $f = $t->forward('--sessions', 1);
    my %ids = map { (session())[0] => 1 } 1 .. 5;
    is(scalar keys %ids, 1, 'one session');
    is($f->stop()->{code}, 0, 'exit code');
    $t->wait_for(sub { posts($before) >= 7 }, $PATIENCE);
    is(posts($before), 7, 'a handshake, a POST for each, and a farewell');

    # another session, if a response ends the first one

    $f = $t->forward('--sessions', 1);
    my ($first) = session();
    is($f->ask('GET /die')->done(), '', 'half an answer');
    my ($second) = session();
    isnt($second, $first, 'a new session');
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub idle {
    my $before = connection();

    $f = $t->forward('--idle', '0.3');
    my ($first) = session();
    my $files = $f->files();

    ok($t->wait_for(sub { posts($before) == 3 }, $PATIENCE), 'a farewell');
    ok($t->wait_for(sub { $f->files() <= $files }, $PATIENCE), 'and an end');

    my ($second, $reused) = session();
    isnt($second, $first, 'a new one');
    is($reused, 'r', 'resumed');
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub resumption {
    my @file = ('--session-file', $t->path('sessions'));

    for my $tls ([ ], [ '--tls-max=1.2' ]) {
        $f = $t->forward('-v', '--idle', '0', @$tls);
        is(join('', map { anew('GET /session') } 1 .. 4), '.rrr',
           "in memory @$tls") or diag($f->stderr());
        is($f->stop()->{code}, 0, 'exit code');

        unlink $file[1];
        $f = $t->forward('--idle', '0', @file, @$tls);
        is(join('', map { anew('GET /session') } 1 .. 2), '.r', 'in a file');
        $f->stop();
        $f = $t->forward(@file, @$tls);
        is((session())[1], 'r', 'for the next time');
        $f->stop();
    }

    # from several threads

    $f = $t->forward('--idle', 0, '--sessions', 8, @file);
    my @open = map { $f->connect('GET /session') } 1 .. 16;
    is(scalar(grep { next_answer($_)->status() == 200 } @open), 16, 'threads');
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub early_data {
    $f = $t->forward('--idle', 0, '--early-data');

    is(anew('GET /0rtt'), '<>', 'no session yet');
    is(anew('GET /0rtt'), '<1>', 'early data');
    is(anew("POST /0rtt\nContent-Length: 1\n\nx"), '<>', 'not of a POST');
    is($f->stop()->{code}, 0, 'exit code');

    $f = $t->forward('--idle', 0);
    is(anew('GET /0rtt') . anew('GET /0rtt'), '<><>', 'not without the option');
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub identity {
    $f = $t->forward('/verify', '--cert', $t->path('client.crt'), '--key',
                     $t->path('client.key'));
    is($f->ask('GET /who')->body(), "TLSv1.3 CN=me\n", 'a certificate');
    is($f->stop()->{code}, 0, 'exit code');

    $f = $t->forward('--tls-max=1.2', '-v');
    is($f->ask('GET /who')->body(), "TLSv1.2 \n", '--tls-max=1.2');
    my $r = $f->stop();
    is($r->{code}, 0, 'exit code');
    like($r->{err}, qr/^\[1\] > GET \/who HTTP/m, '-v: of which session');

    done_testing();
}


sub graceful_stop {
    my $before = connection();
    my $from = length $t->read_log('outer.log');

    $f = $t->forward();
    $backend->forget();

    my $idle = $f->connect('GET /status?code=201');
    is(next_answer($idle)->status(), 201, 'an idle connection');

    my $busy = $f->connect('GET /slow?n=10&delay=0.1');
    my $upload = $f->connect("POST /body\nContent-Length: 4\n\nha");
    ok($t->wait_for(sub { $backend->requests() == 2 }, $PATIENCE), 'requests');

    my $half = $f->connect();
    send_all($half, "GET /status?code=203 HTTP/1.1\r\nHo");

    # connections that are not accepted yet when the signal is received

    $f->signal('STOP');
    my @new = map { $f->connect('GET /echo') } 1 .. 5;
    my $pipelined = $f->connect();
    send_all($pipelined, message("GET /status?code=$_")) for 404, 405;
    $f->signal('TERM');
    $f->signal('CONT');

    ok($t->wait_for(sub { refused($f->port()) }, $PATIENCE), 'nobody more');

    my @answers = map { next_answer($_) } @new;
    is(join(' ', map { $_->status() . $_->header('Connection') } @answers),
       join(' ', ('200close') x 5), 'who has connected is served');
    is(join(' ', map { next_answer($pipelined)->status() } 1, 2), '404 405',
       'all that was asked');
    is(connection_end($idle), 'closed', 'the idle one is closed');

    send_all($half, "st: localhost\r\n\r\n");
    is(next_answer($half)->status(), 203, 'half a request');
    send_all($upload, 'lf');
    is(summary(next_answer($upload)), '200 half', 'half a body');
    like(next_answer($busy)->body(), qr/line 10\n/, 'half an answer');
    close $_ for @new, $pipelined, $half, $upload, $busy;

    my $r = $f->end();
    is("$r->{code} " . scalar(split /\n/, $r->{out}), '0 11', 'the end');
    unlike(substr($t->read_log('outer.log'), $from), qr/ [45]/,
           'nothing odd');

    # each session was closed

    my %numbers = map { / (\d+)$/ => 1 } split /\n/, $r->{out};
    my $others = () = $r->{out} =~ /^/mg;
    my $least = 2 * keys(%numbers) + $others;

    ok($t->wait_for(sub { posts($before) >= $least }, $PATIENCE), 'farewells');

    done_testing();
}


sub refused {
    my ($port) = @_;

    return !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
}


# Clients that send requests until atls forward stops: no request is lost.

sub stop_under_load {
    $f = $t->forward('--sessions', 4);

    my $port = $f->port();
    my @pids = map { $t->run_daemon(sub { ask_on($port) }) } 1 .. 6;

    # connections after the stop are refused

    ok($t->wait_for(sub { -e $t->path("served.$_") }, $PATIENCE), 'served')
        for @pids;
    ok($t->wait_for(sub { $f->log() > 100 }, $PATIENCE), 'load');
    is($f->stop()->{code}, 0, 'a stop');
    ok($t->wait_for(sub { -s $t->path("client.$_") }, $PATIENCE), 'client')
        for @pids;

    my @ends = map { $t->read_file("client.$_") } @pids;

    is(scalar(grep { $_ eq 'lost' } @ends), 0, 'no request is lost');
    ok((grep { $_ eq 'told' } @ends), 'clients were told to go');

    done_testing();
}


sub ask_on {
    my ($port) = @_;

    my $s = Test::Atls::Http::http_connect($port);
    my ($r, $n, $last, $now, $late);

    # the connection of a client that is too slow after the last response, which
    # came after the last request, may be closed

    do {
        ($last, $now) = ($now, time);
        send_all($s, message('GET /session'));
        $late = defined $last && time - $last > 0.8 * $GRACE;
        $r = next_answer($s);
        $t->write_file("served.$$", '') if !$n++;
    } while ($r->done() && $r->keep_alive());

    $t->write_file("client.$$", $r->done() ? 'told' : $late ? 'late' : 'lost');
}


sub hard_stop {
    for my $signals ([ qw( TERM INT ) ], [ qw( INT INT ) ]) {
        $f = $t->forward();
        $backend->forget();
        my $s = $f->connect('GET /hang');
        ok($t->wait_for(sub { $backend->requests() }, $PATIENCE), 'a request');

        $f->signal($signals->[0]);
        ok($t->wait_for(sub { refused($f->port()) }, $PATIENCE), 'first');
        ok(!readable($s, 0.7), 'is waited for');
        $f->signal($signals->[1]);
        is($f->end()->{code}, 'signal 2', 'second');
    }

    done_testing();
}
