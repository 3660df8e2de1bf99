# A Redis Cluster with a single shard: each command and each script has one key.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;
use Test::Atls::Port qw( free_port );


Test::Atls::Cluster->require_redis();

for my $mode (qw( lazy each )) {
    subtest $mode => sub { shard($mode) };
}

done_testing();


sub shard {
    my ($mode) = @_;

    my $cluster = Test::Atls::Cluster->new(
        nodes => 3, workers => 1, mode => $mode,
        redis_options => [ '--cluster-enabled', 'yes',
                           '--cluster-port', free_port() ]);
    my $t = $cluster->node(0);

    $cluster->start_redis();
    $cluster->redis('CLUSTER', 'ADDSLOTSRANGE', 0, 16383);
    $t->wait_for(sub {
        $cluster->redis('CLUSTER', 'INFO') =~ /cluster_state:ok/
    });

    $_->run() for $cluster->nodes();
    $cluster->wait_for_nodes();

    my @clients = map { $cluster->established($_) } 0 .. 2;

    for my $n (0 .. 3) {
        is(join(' ', grep { !/^127/ }
                     map { $cluster->get($clients[$_], ($_ + $n) % 3) } 0 .. 2),
           '', "POSTs to the next machine: $n");
    }

    $t->stop();

    is(join(' ', grep { !/^127/ } map { $cluster->get($_, 1) } @clients), '',
       'a machine has shut down');
    cmp_ok(scalar $cluster->sessions(), '>', 0, 'sessions in the store');

    # slots of another shard, which does not exist here

    $cluster->redis('CLUSTER', 'DELSLOTSRANGE', 0, 16383);
    $t->wait_for(sub {
        $cluster->redis('CLUSTER', 'INFO') =~ /cluster_state:fail/
    });

    is($cluster->status($cluster->established(2), 1), '503 store-unreachable',
       'without slots');

    $cluster->done_testing();
}
