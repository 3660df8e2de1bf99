# No record number is used twice with the keys of a session, whatever happens to
# machines and the store: they are killed, restarted, reloaded, stopped for a
# while, cut off; the store is restarted with old data, fails over to a replica
# that has missed something, is demoted and promoted again, and answers late.
#
# The debug logs have a line for each record that was sealed, with the session
# and the number.  ATLS_STORE_CHAOS=600 t/store-chaos.t runs for ten minutes.
# ATLS_STORE_SEED repeats the order of events.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls::Cluster;
use Test::Atls::Port qw( free_port );
use Test::Atls::Relay;


my $TIME = $ENV{ATLS_STORE_CHAOS} || 20;
my $SEED = $ENV{ATLS_STORE_SEED} || time % 100_000;
my $NODES = 3;
my $CLIENTS = 4;
my $SESSIONS = 4;

# what clients may get: the response; no session, or it is lost; try again

my $EXPECTED = qr/^(ok|none|410-session-\w+|409-not-next|503-\S+)\z/;

Test::Atls::Cluster->require_redis();

for my $mode (qw( lazy each )) {
    subtest $mode => sub { chaos($mode) };
}

done_testing();


sub chaos {
    my ($mode) = @_;

    my $cluster = Test::Atls::Cluster->new(
        nodes => $NODES, mode => $mode, store => 'timeout=300ms',
        log_level => 'debug', inner => <<'EOC');
location / { return 200 "$remote_addr $atls_node_name"; }
EOC

    plan(skip_all => 'no debug log')
        unless $cluster->node(0)->has_option('debug');

    # a path to the store for each machine

    for my $n (0 .. $NODES - 1) {
        my $t = $cluster->node($n);

        $t->allow_kills();
        $cluster->write_conf($n, redis_port => $t->port('store'));
        $cluster->{relays}[$n] = Test::Atls::Relay->start($t, $t->port('store'),
                                                $cluster->{redis_port});
    }

    $cluster->run();
    diag("seed $SEED") if $ENV{ATLS_STORE_CHAOS};

    my @clients = map { start_client($cluster, $_) } 1 .. $CLIENTS;
    my $t = $cluster->node(0);

    $t->wait_for(sub { !grep { !-e $t->path("began-$_") } 1 .. $CLIENTS });

    my %events = events($cluster);
    my %count;

    $t->write_file('end', '');
    $t->wait_for(sub { !grep { !-e result($cluster, $_) } 1 .. $CLIENTS });

    for my $n (1 .. $CLIENTS) {
        for (split /\n/, $t->read_file("result-$n")) {
            my ($what, $number) = split / /;

            $count{$what} += $number;
        }
    }

    note(join ', ', map { "$_: $events{$_}" } sort keys %events);
    note(join ', ', map { "$_: $count{$_}" } sort keys %count);

    is(join(' ', grep { !/$EXPECTED/ } sort keys %count), '',
       'nothing else than responses, and sessions that are lost');

    my ($records, @twice) = $cluster->sealed_twice();

    cmp_ok($count{ok}, '>', 2 * $TIME, "$count{ok} responses");
    cmp_ok($records, '>=', $count{ok}, "$records records sealed");
    ok((grep { /^410/ } keys %count), 'some sessions are lost');
    is("@twice", '', 'none of them twice with the same number');

    $cluster->done_testing();
}


# Clients: each has some sessions, and sends each POST to any machine.

sub result { return $_[0]->node(0)->path("result-$_[1]") }


sub start_client {
    my ($cluster, $n) = @_;

    return $cluster->node(0)->run_daemon(sub {
        srand $SEED + $n;

        my $end = $cluster->node(0)->path('end');
        my (@sessions, %count, $began);

        until (-e $end) {
            my $i = int rand $SESSIONS;

            if (!$sessions[$i]) {
                my $c = $cluster->client(int rand $NODES, timeout => 20);

                $sessions[$i] = $c if eval { $c->handshake() };
                $began ||= $cluster->node(0)->write_file("began-$n", '')
                    if (grep { $_ } @sessions) == $SESSIONS;
                sleep 0.05;
                next;
            }

            repeat($cluster, $sessions[$i]) if rand() < 0.3;

            my $what = request($cluster, $sessions[$i]);

            $count{$what}++;
            $sessions[$i] = undef if $what =~ /^4/;
            sleep 0.01;
        }

        open my $fh, '>', result($cluster, $n) . '.new';
        print $fh "$_ $count{$_}\n" for keys %count;
        close $fh;
        rename result($cluster, $n) . '.new', result($cluster, $n);
    });
}


# A POST from before is sent again by somebody else: an old state would accept
# it, and use its numbers again.  The response is not for the client.

sub repeat {
    my ($cluster, $c) = @_;

    my $old = $c->{old} ||= [];
    my $record = $old->[rand @$old];

    eval {
        my $last = $c->{last};
        my %cookies = %{$c->{cookies}};

        $cluster->move($c, int rand $NODES)->post($record) if $record;
        @$c{qw( last cookies )} = ($last, \%cookies);
    };
}


# A POST without a response is sent again, to any machine, by the next call.

sub request {
    my ($cluster, $c) = @_;

    my $body = eval { $cluster->get($c, int rand $NODES) } // $@;
    my $old = $c->{old} ||= [];

    push @$old, $c->{sent} if defined $c->{sent};
    shift @$old if @$old > 8;

    return 'ok' if $body =~ /^127\.0\.0\.1 node\d\z/;
    return 'none' if $body =~ /^no response|^can't connect/;
    return join '-', split ' ', $body unless $body =~ /^HTTP /;

    my $r = $c->last_response();
    my ($type) = $r->body() =~ /"tag:atls,2026:([\w-]+)"/;

    return $r->status() . '-' . ($type // '');
}


# One event after another, until the time is over.

sub events {
    my ($cluster) = @_;

    my $end = time + $TIME;
    my $random = $SEED;
    my %count;

    my @events = (
        [ machine_killed   => \&machine_killed ],
        [ machine_restart  => \&machine_restarted ],
        [ machine_reload   => sub { $_[1]->reload() } ],
        [ machine_stopped  => \&machine_stopped ],
        [ worker_killed    => \&worker_killed ],
        [ path_stopped     => \&path_stopped ],
        [ store_stopped    => \&store_stopped ],
        [ store_restart    => \&store_restarted ],
        [ store_failover   => \&store_failed_over ],
        [ store_demoted    => \&store_demoted ],
    );

    # each of them once, then by chance

    my @order = sort { $a->[2] <=> $b->[2] }
                map { $random = ($random * 16807 + 11) % 2147483647;
                      [ @$_, $random ] } @events;

    while (time < $end || @order) {
        $random = ($random * 16807 + 11) % 2147483647;

        my ($name, $code) = @{shift @order || $events[$random % @events]};

        note(sprintf '%.1f %s', $end - time, $name);
        $code->($cluster, $cluster->node($random % $NODES),
                $random % $NODES);
        $count{$name}++;
        sleep 0.2 + ($random % 10) / 20;
    }

    return %count;
}


sub machine_killed {
    my ($cluster, $t, $n) = @_;

    $cluster->kill_node($n);
    sleep 0.3;
    $t->run();
}


sub machine_restarted {
    my ($cluster, $t) = @_;

    $t->stop();
    $t->run();
}


# It continues with what it had.

sub machine_stopped {
    my ($cluster, $t) = @_;

    kill 'STOP', -$t->pid();
    sleep 1.2;
    kill 'CONT', -$t->pid();
}


sub worker_killed {
    my ($cluster, $t) = @_;

    my ($worker) = $t->workers();

    kill 'KILL', $worker if $worker;
}


# Commands and answers arrive late.

sub path_stopped {
    my ($cluster, $t) = @_;

    kill 'STOP', -$_ for @{$t->{daemons}}[0];
    sleep 1;
    kill 'CONT', -$_ for @{$t->{daemons}}[0];
}


sub store_stopped {
    my ($cluster) = @_;

    kill 'STOP', $cluster->{redis};
    sleep 1;
    kill 'CONT', $cluster->{redis};
}


# It has old states again.

sub store_restarted {
    my ($cluster) = @_;

    $cluster->redis('SAVE');
    sleep 0.3;
    $cluster->stop_redis();
    $cluster->start_redis();
}


# The replica has missed what has happened in between.

sub store_failed_over {
    my ($cluster) = @_;

    my $port = free_port();
    my $replica = $cluster->start_replica($port);

    $cluster->redis(\$port, 'REPLICAOF', 'NO', 'ONE');
    sleep 0.3;
    $cluster->stop_redis();
    $cluster->redis(\$port, 'CONFIG', 'SET', 'port', $cluster->{redis_port});
    $cluster->{redis} = $replica;
}


sub store_demoted {
    my ($cluster) = @_;

    my $port = free_port();
    my $replica = $cluster->start_replica($port);

    $cluster->redis(\$port, 'REPLICAOF', 'NO', 'ONE');
    sleep 0.3;
    $cluster->redis('REPLICAOF', '127.0.0.1', $port);
    $cluster->node(0)->wait_for(sub {
        $cluster->redis('INFO', 'replication') =~ /master_link_status:up/
    });
    $cluster->redis('REPLICAOF', 'NO', 'ONE');

    $cluster->node(0)->stop_daemon($replica);
}
