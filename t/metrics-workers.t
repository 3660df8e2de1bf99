#!/usr/bin/perl

# Counters of all workers: over reloads, also with more workers or fewer, when
# workers are killed, and after an upgrade of the binary.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Daemon;
use Test::Atls::Process qw( alive );
use Test::Atls::Status qw( status total );

my $t = Test::Atls->new();

my $http = <<'EOC';
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location /ok {
        return 200 ok;
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->write_http($http);
$t->run();

my @c = map { $t->established() } 1 .. 8;
my $n = 0;

requests();

my $s = status($t);
my $before = unrelayed($s);

is($s->{requests_total}{'2xx'}, $n, 'requests');
is($s->{sessions}{idle}, 8, 'sessions');

$t->reload();

$s = status($t);
is_deeply(unrelayed($s), $before, 'nothing changes with a reload');
is($s->{workers}, 4, 'workers that have exited are not counted');

requests();

$s = status($t);
is($s->{requests_total}{'2xx'}, $n, 'both are counted');


# Workers that are killed, while they wait: their counters are inherited.  A
# handshake and a part of a request that they had are lost.

$t->allow_kills();

my $half = $t->half_open();
is(status($t)->{handshakes_in_progress}, 1, 'a handshake');

my $parked = $t->established();
$parked->request("GET /ok HTTP/1.1\r\nHo");
is(status($t)->{parked_requests}, 1, 'a part of a request');

kill_workers();

ok($t->wait_for(sub { status($t)->{sessions_ended_total}{lost} == 2 }),
   'their sessions are lost');

$s = status($t);
is($s->{handshakes_in_progress}, 0, 'the handshake is gone');
is($s->{parked_requests}, 0, '... and the part of a request');
is($s->{workers}, 4, 'new workers');
is($s->{requests_total}{'2xx'}, $n, 'requests are counted still');
is($s->{sessions}{idle}, 8, 'so are sessions');
is(total($s->{sessions}),
   $s->{sessions_started_total} - total($s->{sessions_ended_total}),
   'sessions: started, less ended');

requests();

$s = status($t);
is($s->{requests_total}{'2xx'}, $n, 'and more');
is($s->{records_total}{in}, $n + 1, 'their records, and that of the part');
is($s->{posts_total}{served}{200}, $n, 'their POSTs');
is($s->{post_duration_seconds}{count}, total($s->{posts_total}),
   'the histogram');


# more workers, and fewer

for my $workers (9, 1, 4) {
    $t->{workers} = $workers;
    $t->write_http($http);

    $before = unrelayed(status($t));
    $before->{workers} = $workers;
    $t->reload();

    is_deeply(unrelayed(status($t)), $before, "reload, workers: $workers");
    requests();
    is(status($t)->{requests_total}{'2xx'}, $n, '... go on counting');
}

upgrade();

$t->done_testing();


# The new master process counts from the start.

sub upgrade {
    return if $ENV{TEST_NGINX_WRAPPER};

    my $d = Test::Atls::Daemon->new(workers => 2);

    $d->write_http($http);
    $d->run();
    $d->established()->get('/ok');

    my $old = $d->pid();
    my $first = status($d);

    $d->signal('USR2');
    ok($d->wait_for(sub { $d->upgraded() }), 'an upgrade');

    kill 'QUIT', $d->old_pid();
    $d->wait_for(sub { !alive($old) && !$d->old_pid() });
    $d->established()->get('/ok');

    my $second = status($d);

    is($second->{$_}{finished} // $second->{$_}{'2xx'}, 1, "$_ of the new one")
        for qw( handshakes_total requests_total );
    is($second->{workers}, 2, 'its workers');
    cmp_ok($second->{start_time_seconds}, '>=', $first->{start_time_seconds},
           'when it has started counting');

    $d->finish();
}


# Some in each worker.

sub requests {
    for my $c (@c) {
        for (1 .. 4) {
            $n++ if $c->get('/ok')->status() == 200;
        }
    }
}


# Relays do not depend on the requests alone.

sub unrelayed {
    my ($s) = @_;

    my %rest = %$s;
    delete $rest{relays_total};

    return \%rest;
}


sub kill_workers {
    my @old = $t->workers();

    for my $pid (@old) {
        kill 'KILL', $pid;
        $t->wait_for_log(qr/worker process $pid exited on signal 9/);
    }

    $t->wait_for(sub { $t->workers() == @old })
        or die "no new workers\n";
}
