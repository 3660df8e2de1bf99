# A machine that shuts down while processes of older configurations have POSTs in
# progress.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls::Cluster;
use Test::Atls::Drain qw( begun busy finished );
use Test::Atls::Http qw( read_response send_all );
use Test::Atls::Process qw( alive );

Test::Atls::Cluster->require_redis();

subtest "workers: $_" => sub { reloaded($_) } for 1, 2;
subtest 'at once' => \&at_once;
subtest 'a new endpoint' => \&new_endpoint;
subtest 'refused' => \&refused;
subtest 'another prefix' => \&prefix;
subtest 'without a store before' => \&without_store;

done_testing();


# Processes of two older configurations have a POST in progress each, for longer
# than a machine is known without telling the store.

sub reloaded {
    my ($workers) = @_;

    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => $workers)
                                     ->run();
    my $t = $cluster->node(0);
    my $idle = $cluster->established(0);
    my @begun;

    for (1, 2) {
        push @begun, begun($cluster, ($t->workers())[-1]);
        ok($t->reload(), 'a reload');
    }

    like($cluster->get($idle, 0), qr/^127.* node0/, 'a session at home');

    my @new = $t->workers();
    my $pid = delete $t->{pid};

    kill 'QUIT', $pid;
    ok($t->wait_for(sub { !grep { alive($_) } @new }),
       'the processes of the last configuration exit');
    like($cluster->get($idle, 1), qr/^127.* node1/, 'an idle session');

    my $c = finished(shift @begun);

    like($cluster->get($c, 1), qr/^127.* node1/, 'its session is put out');
    sleep 6;

    ok($cluster->wait_for_nodes(), 'the machine is still known');

    $c = finished(@begun);

    like($cluster->get($c, 1), qr/^127.* node1/, 'the other session');

    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');
    ok($cluster->wait_for_nodes(1), 'the machine is not known any more');

    $t->run();
    $cluster->done_testing();
}


# The POSTs are finished as soon as the processes of the last configuration have
# exited: an older process has not noticed that.

sub at_once {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1)->run();
    my $t = $cluster->node(0);
    my @begun;

    for (1, 2) {
        push @begun, begun($cluster, $t->workers());
        ok($t->reload(), 'a reload');
    }

    my ($new) = $t->workers();
    my $pid = delete $t->{pid};

    kill 'QUIT', $pid;
    ok($t->wait_for(sub { !alive($new) }),
       'the process of the last configuration exits');

    my @clients = map { my $c = finished($_); sleep 0.05; $c } @begun;

    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');
    like($cluster->get($_, 1), qr/^127.* node1/, 'a session is put out')
        for @clients;

    $t->run();
    $cluster->done_testing();
}


# An older configuration does not know all endpoints: sessions are put out by the
# processes that do, also if these need long.

sub new_endpoint {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1)->run();
    my $t = $cluster->node(0);
    my $begun = begun($cluster, $t->workers());

    $cluster->{inner} = "location /new { atls on; } $cluster->{inner}";

    for my $n (0, 1) {
        $cluster->write_conf($n);
        $cluster->node($n)->reload();
    }

    my @clients = map { $cluster->established(0, uri => '/new') } 1 .. 20;
    my $pid = delete $t->{pid};

    $cluster->redis('CONFIG', 'SET', 'maxmemory', '1');
    kill 'QUIT', $pid;
    $t->wait_for_log(qr/has refused a command: OOM/);
    sleep 1;
    $cluster->redis('CONFIG', 'SET', 'maxmemory', '0');

    my $failed = join ', ', grep { !/^127.* node1/ }
                            map { $cluster->connected($_, 1) } @clients;

    is($failed, '', 'sessions of a new endpoint');
    like($cluster->get(finished($begun), 1), qr/^127.* node1/,
         '... and of the old one');
    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');

    $t->run();
    $cluster->done_testing();
}


# A process of the last configuration has nothing to put out any more, but lives
# on, when the store refuses the session of an older one for a while.

sub refused {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1,
                                           log_level => 'debug');
    my $t = $cluster->node(0);

    plan(skip_all => 'no debug log') unless $t->has_option('debug');
    $cluster->run();

    my $begun = begun($cluster, $t->workers());

    ok($t->reload(), 'a reload');

    my ($worker) = $t->workers();
    my $s = busy($t, $worker);
    my $pid = delete $t->{pid};

    kill 'QUIT', $pid;
    $t->wait_for_log(qr/ $worker#\d+: atls drain done/);
    $cluster->redis('CONFIG', 'SET', 'maxmemory', '1');

    my $c = finished($begun);

    $t->wait_for_log(qr/has refused a command: OOM/);
    $cluster->redis('CONFIG', 'SET', 'maxmemory', '0');

    ok(alive($worker), 'the process of the last configuration is there');
    like($cluster->connected($c, 1), qr/^127.* node1/,
         'the session is in the store');

    close $s;
    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');

    $t->run();
    $cluster->done_testing();
}


# The session of an older process is put out by the one that knows the store.

sub prefix {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1)->run();
    my $t = $cluster->node(0);
    my @begun = begun($cluster, $t->workers());

    $cluster->{store} .= ' prefix=other:';

    for my $n (0, 1) {
        $cluster->write_conf($n);
        $cluster->node($n)->reload();
    }

    push @begun, begun($cluster, $t->workers());

    my $pid = delete $t->{pid};

    kill 'QUIT', $pid;
    $t->wait_for(sub {
        grep { $cluster->redis('GET', $_) =~ / l\z/ }
             @{$cluster->redis('KEYS', 'other:node:*')}
    });

    for my $begun (@begun) {
        like($cluster->connected(finished($begun), 1), qr/^127.* node1/,
             'the session is put out');
    }

    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');

    $t->run();
    $cluster->done_testing();
}


# A process that has no store does not tell others that it is about to exit.

sub without_store {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1);
    my $t = $cluster->node(0);
    my $conf = $t->read_file('nginx.conf');

    $t->write_file('nginx.conf', $conf =~ s/^atls_(store|node).*//gmr
                                       =~ s/atls_peer/# atls_peer/r);
    $cluster->start_redis();
    $_->run() for $cluster->nodes();

    my $s = busy($t, $t->workers());

    $t->write_file('nginx.conf', $conf);
    $t->reload();
    $cluster->wait_for_nodes();

    my $c = $cluster->established(0);
    my ($worker) = $t->workers();
    my $pid = delete $t->{pid};

    kill 'QUIT', $pid;
    ok($t->wait_for(sub { !alive($worker) }), 'the new process exits');
    like($cluster->get($c, 1), qr/^127.* node1/, 'a session is put out');

    send_all($s, "Host: localhost\r\nConnection: close\r\n\r\n");
    is(read_response($s)->status(), 200, 'a request of the old process');
    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');

    $t->run();
    $cluster->done_testing();
}
