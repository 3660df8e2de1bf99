# A worker has died, and another process has its pid: the next worker in its
# slot, or a process that does not belong to nginx.  Sessions of the dead worker
# belong to neither.

use strict;
use warnings;

use Test::More;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Http qw( http_connect send_all );
use Test::Atls::Process qw( alive asleep );


my $LAST_PID = '/proc/sys/kernel/ns_last_pid';
my $TRIES = 40;

# In a PID namespace, since other tests must not get pids that were just used.
# The root of a chroot is not a mount and cannot be made private; unshare makes
# /proc private instead, which is a mount.  Nothing else is mounted here.

if (!$ENV{TEST_PID_NAMESPACE}) {
    my @unshare = qw( unshare --pid --fork --kill-child
                      --propagation unchanged --mount-proc );

    plan(skip_all => 'pids of new processes can be chosen on Linux, by root')
        if !-e '/proc/self' || system "@unshare true 2>/dev/null";

    $ENV{TEST_PID_NAMESPACE} = 1;
    exec @unshare, $^X, map({ "-I$_" } @INC), $0;
}

plan(skip_all => 'pids of new processes can be chosen on Linux, by root')
    unless next_pid($$);

my $t = Test::Atls->new(workers => 1,
                        client => { keepalive => 0, timeout => 20 });

$t->write_http(<<'EOC');
%%CERTIFICATE%%

# a worker that quits waits for handshakes

atls_handshake_timeout  10m;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "inner $pid\n";
    }
}
EOC

$t->run();
$t->allow_kills();


# the next worker in the slot

SKIP: {
    my ($idle, $half, $busy) = ($t->client(), $t->client(), $t->client());
    my $reused;

    for (1 .. $TRIES) {
        $_ = $t->client() for $idle, $half, $busy;
        $idle->handshake();
        half_open($half);
        in_progress($busy);

        my ($worker) = $t->workers();

        kill 'STOP', $t->pid();
        kill 'KILL', $worker;
        next_pid($worker);
        kill 'CONT', $t->pid();

        $t->wait_for_log(qr/worker process $worker exited on signal 9/);
        $t->wait_for(sub { $t->workers() == 1 });

        last if $reused = grep { $_ == $worker } $t->workers();
        $t->wait_for(sub { ($t->workers())[0] != $worker });
    }

    skip 'the pid was always taken', 6 unless $reused;

    my $inner = 'inner ' . ($t->workers())[0] . "\n";

    is(body($idle), $inner,
       'a new worker with the pid: an idle session goes on');
    is(finish($half), 410, 'a new worker with the pid: no handshake');
    is($busy->post('')->status(), 410, 'a new worker with the pid: '
       . 'a session in use is gone');

    # a new session of this worker is not affected

    my $c = $t->client();

    half_open($c);
    is(finish($c), 200, 'a new worker with the pid: its own handshake');
    is(body($c), $inner, 'a new worker with the pid: its own session');
    unlike($t->read_file('error.log'), qr/exited on signal (?!9\b)/,
           'a new worker with the pid: it goes on');
}


# another process, after a worker that was told to quit, and is not replaced

SKIP: {
    my ($half, $busy, $relayed) = ($t->client(), $t->client(), $t->client());
    my ($old) = $t->workers();

    half_open($half);
    half_open($relayed);
    in_progress($busy);

    $t->signal('HUP');
    $t->wait_for(sub {
        my @new = $t->workers();
        return @new == 1 && $new[0] != $old;
    }, 20);
    my ($new) = $t->workers();

    # a POST relayed to a worker that does not read

    $t->suspend_workers($old);
    $relayed->handshake_step();
    $relayed->post_send($relayed->tls_out());
    $t->wait_for(sub { asleep($new) });

    my $pid = 0;

    kill 'KILL', $old;
    $t->wait_for_log(qr/worker process $old exited on signal 9/);
    $t->wait_for(sub { $pid ||= take_pid($old) }, 10);

    skip 'the pid was always taken', 4 unless $pid;

    ok(alive($old), 'a foreign process has the pid');

    my $r = $relayed->post_receive();
    is($r && $r->status(), 410, 'a foreign process: what waits for it is told');
    is(finish($half), 410, 'a foreign process: no handshake');
    is($busy->post('')->status(), 410, 'a foreign process: '
       . 'a session in use is gone');

    $t->stop_daemon($pid);
}

$t->done_testing();


sub body {
    my ($c) = @_;

    my $r = $c->get('/');

    return $r ? $r->body() : 'no answer';
}


# Sends the ClientHello, and reads the response.

sub half_open {
    my ($c) = @_;

    $c->handshake_step();
    $c->exchange($c->tls_out()) or die $c->error() . "\n";
}


sub finish {
    my ($c) = @_;

    $c->handshake_step();

    my $r = $c->post($c->tls_out()) or return 'no answer';

    $c->tls_in($r->body()) if $r->status() == 200;

    return $r->status();
}


# A POST that is not finished.

sub in_progress {
    my ($c) = @_;

    $c->handshake() or die $c->error() . "\n";
    $c->write_plain(Test::Atls::Client::format_request('GET', '/', ''));

    my $body = $c->tls_out();
    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post($body, 'Content-Length' => 1000));

    $c->{unfinished} = $s;

    # another POST is refused while this one is read

    $t->wait_for(sub { $c->post('')->status() == 409 });
}


sub next_pid {
    my ($pid) = @_;

    open my $fh, '>', $LAST_PID or return 0;

    return syswrite($fh, $pid - 1) && close $fh;
}


# Starts a child process with this pid.  Returns 0 if the pid was taken.

sub take_pid {
    my ($want) = @_;

    next_pid($want);

    my $pid = $t->run_daemon(sub { sleep 1000 });

    return $pid if $pid == $want;

    $t->stop_daemon($pid);

    return 0;
}
