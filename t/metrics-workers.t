#!/usr/bin/perl

# Counters of all workers: over a reload, and when workers are killed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Status qw( status total );

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
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
# handshake that they had is lost.

$t->allow_kills();

my $half = $t->half_open();
is(status($t)->{handshakes_in_progress}, 1, 'a handshake');

kill_workers();

ok($t->wait_for(sub { status($t)->{sessions_ended_total}{lost} == 1 }),
   'its session is lost');

$s = status($t);
is($s->{handshakes_in_progress}, 0, 'the handshake is gone');
is($s->{workers}, 4, 'new workers');
is($s->{requests_total}{'2xx'}, $n, 'requests are counted still');
is($s->{sessions}{idle}, 8, 'so are sessions');
is(total($s->{sessions}),
   $s->{sessions_started_total} - total($s->{sessions_ended_total}),
   'sessions: started, less ended');

requests();

$s = status($t);
is($s->{requests_total}{'2xx'}, $n, 'and more');
is($s->{records_total}{in}, $n, 'their records');
is($s->{posts_total}{served}{200}, $n, 'their POSTs');
is($s->{post_duration_seconds}{count}, total($s->{posts_total}),
   'the histogram');

$t->done_testing();


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
