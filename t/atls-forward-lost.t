#!/usr/bin/perl

# atls forward: no request is lost, or processed twice, when nginx is restarted
# or reloaded, a worker process dies, or sessions expire.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls::Http qw( http_raw send_all );
use Test::Atls::LocalServer qw( next_answer summary );
use Test::Atls::Serve qw( read_request );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience slow );

my $SESSIONS = 16;
my $POSTS = 200;
my $SHORT = 2 * slow();
my $SURE = 2;               # seconds for which a session is not checked

my $t = Test::Atls::Site->new(workers => 4);
my $backend = $t->backend();

$t->allow_kills();
$t->allow_log(qr/\[alert\].* open socket #\d+ left in connection/);

# the first endpoint closes each connection, the second one does not

my %more = (http     => q(log_format outer '$uri $status $content_length';),
            endpoint => 'access_log %%TESTDIR%%/outer.log outer;');

$t->serve(<<"EOC", %more);
location = /kept {
    atls on;
    keepalive_requests 100000;
    keepalive_timeout 1h;
    access_log %%TESTDIR%%/outer.log outer;
}

location = /short {
    atls on;
    atls_session_timeout ${SHORT}s;
    access_log %%TESTDIR%%/outer.log outer;
}
EOC

my $n = 0;
my $f;

for my $path ('/.well-known/atls', '/kept') {
    subtest("restarted, $path" => \&restarted, $path);
    subtest("restarted, one client, $path" => \&in_turn, $path);
    subtest("reloaded, $path" => \&reloaded, $path);
    subtest("killed, $path" => \&killed, $path);
    subtest("reloaded under load, $path" => \&under_load, $path);
}

subtest('expired' => \&expired);
subtest('restarted after the check' => \&after_check);

$t->done_testing();


sub start {
    my ($path) = @_;

    $f = $t->forward($path, '--sessions', $SESSIONS, '--idle', 3600);

    forget();

    # a request has a session as soon as its header was received

    my @open = map { $f->connect("POST /body\nContent-Length: 2\n\n") }
                   1 .. $SESSIONS;

    ok($t->wait_for(sub {
           (() = $t->read_file('outer.log') =~ / 200 /g) >= $SESSIONS
       }), 'handshakes');
    send_all($_, 'hi') for @open;
    is(scalar(grep { summary(next_answer($_)) eq '200 hi' } @open), $SESSIONS,
       'sessions');
    forget();
}


sub forget {
    $backend->forget();
    truncate $t->path('outer.log'), 0;
}


# Sends POSTs, up to so many at the same time.

sub posts {
    my ($at_once, $posts) = @_;

    my (@open, @bad);

    for my $i (1 .. $posts || $POSTS) {
        my $body = 'post-' . ++$n;

        push @open, [ $body, $f->connect("POST /body?$body\nContent-Length: "
                                         . length($body) . "\n\n$body") ];
        push @bad, answered(shift @open) if @open == $at_once;
    }

    push @bad, map { answered($_) } @open;

    return @bad;
}


sub answered {
    my ($body, $s) = @{$_[0]};

    my $got = summary(next_answer($s, 'POST'));

    return $got eq "200 $body" ? () : $got;
}


# All were answered, each of them was processed once, and this number of POSTs
# was for sessions that no longer exist.

sub are_served {
    my ($bad, $posts, @lost) = @_;

    my %times = $backend->times();

    is(join("\n", @$bad), '', 'none fails');
    is(scalar keys %times, $posts, 'each is processed');
    is(scalar(grep { $_ != 1 } values %times), 0, 'once');

    my $lost = () = $t->read_log('outer.log') =~ / 410 /g;

    cmp_ok($lost, '>=', $lost[0], "lost sessions: $lost");
    cmp_ok($lost, '<=', $lost[-1], 'and no more of them');
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub restarted {
    my ($path) = @_;

    start($path);
    $t->stop()->run();

    my @bad = posts($SESSIONS);

    are_served(\@bad, $POSTS, 1, $SESSIONS);
}


# One session is enough to learn that the others are lost: none of them is tried
# when the first request is complete.

sub in_turn {
    my ($path) = @_;

    start($path);
    $t->stop()->run();

    my $before = $f->log();
    my @bad = posts(1, 1);

    ok($t->wait_for(sub { $f->log() > $before }), 'one request');
    push @bad, posts($SESSIONS, 2 * $SESSIONS);

    are_served(\@bad, 1 + 2 * $SESSIONS, 1);
}


sub reloaded {
    my ($path) = @_;

    start($path);

    my @bad = posts($SESSIONS, 50);

    $t->reload();
    push @bad, posts($SESSIONS);

    are_served(\@bad, 50 + $POSTS, 0);
}


# Idle sessions are not affected by the death of any worker process.

sub killed {
    my ($path) = @_;

    start($path);

    my @bad;

    for my $pid ($t->workers()) {
        kill 'KILL', $pid;
        $t->wait_for_log(qr/worker process $pid exited on signal 9/);
        $t->wait_for(sub { $t->workers() == 4 });
        push @bad, posts($SESSIONS, 50);
    }

    are_served(\@bad, 4 * 50, 0);
}


sub under_load {
    my ($path) = @_;

    start($path);

    my $pid = fork();

    die "fork: $!\n" unless defined $pid;

    if (!$pid) {
        my @bad = posts(8, 400);

        $t->write_file('bad', join "\n", @bad);
        require POSIX;
        POSIX::_exit(0);
    }

    for my $served (50, 150, 250) {
        ok($t->wait_for(sub { $backend->requests() >= $served }),
           "$served POSTs");
        $t->reload();
    }

    waitpid $pid, 0;
    $n += 400;

    are_served([ split /\n/, $t->read_file('bad') ], 400, 0);
}


# The server has told how long sessions may be idle.

sub expired {
    start('/short');

    my @bad;

    for (1 .. 3) {
        sleep $SHORT + 1;
        push @bad, posts($SESSIONS, 20);
    }

    are_served(\@bad, 60, 0);
}


# Nothing can be done about this.  The test is a middlebox, which keeps its
# connection.

sub after_check {
    my $way = { listen => IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                                Listen => 5,
                                                Timeout => patience()) };

    $f = $t->forward('http://127.0.0.1:' . $way->{listen}->sockport() . '/kept',
                     '--sessions', 1);
    forget();

    my $s = $f->connect("POST /body?1\nContent-Length: 5\n\nfirst");
    pass_on($way) for 1 .. 2;
    is(summary(next_answer($s)), '200 first', 'a session');

    sleep $SURE + 0.5;

    $s = $f->connect("POST /body?2\nContent-Length: 6\n\nsecond");
    like(pass_on($way, sub { $t->stop()->run() }), qr/\r\n\r\n\z/, 'a check');
    pass_on($way);
    like(summary(next_answer($s)), qr/^502 .*may or may not have been proc/s,
         'a failure');

    $s = $f->connect("POST /body?3\nContent-Length: 5\n\nthird");
    pass_on($way) for 1 .. 2;
    is(summary(next_answer($s)), '200 third', 'a new session');

    is(join(' ', map { $_->{uri} } $backend->requests()), '/body?1 /body?3',
       'only this one was not processed');
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


# Passes on the next POST, which is returned, and the response.

sub pass_on {
    my ($way, $between) = @_;

    my @post;

    until (@post = $way->{client} ? read_request($way->{client}) : ()) {
        $way->{client} = $way->{listen}->accept() or die "no connection\n";
    }

    my $post = join '', @post;
    my $response = http_raw($t->port(0), $post, answers => 1);

    $between->() if $between;
    send_all($way->{client}, $response);

    return $post;
}
