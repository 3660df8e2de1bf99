# The metrics of a store, and how long its keys live.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;
use Test::Atls::Status qw( added reading );


my $TIMEOUT = 300;              # atls_session_timeout, in seconds
my $LIFETIME = 1000;            # atls_session_lifetime

Test::Atls::Cluster->require_redis();

subtest 'metrics' => \&metrics;
subtest 'keys' => \&keys;

done_testing();


sub cluster {
    my ($mode) = @_;

    return Test::Atls::Cluster->new(
        nodes => 2, workers => 1, mode => $mode, store => 'timeout=2s',
        http => "atls_session_timeout ${TIMEOUT}s;\n"
                . "atls_session_lifetime ${LIFETIME}s;\n",
        inner => <<'EOC')->run();
location / { return 200 "$remote_addr $atls_node_name"; }
location = /status { atls_status; }
EOC
}


# What a function adds to the metrics of a machine.

sub changes {
    my ($cluster, $n, $code) = @_;

    return added($cluster->node($n), $code, 'store_total',
                 'sessions_ended_total');
}


sub metrics {
    my $cluster = cluster('each');
    my $t = $cluster->node(0);
    my $c = $cluster->established(0);

    for my $n (0, 1) {
        my ($store, $ended) = changes($cluster, $n, sub {
            like($cluster->get($c, $n), qr/^127/, "a POST to machine $n");
        });

        is_deeply($store, { taken => 1, put => 1 }, '... taken and put');
        is_deeply($ended, { moved => 1 }, '... and not here any more');
    }

    # full

    my ($store) = changes($cluster, 0, sub {
        $cluster->redis('CONFIG', 'SET', 'maxmemory', '1');
        like($cluster->status($c, 0), qr/^503/, 'the store is full');
        $cluster->redis('CONFIG', 'SET', 'maxmemory', '0');
    });

    cmp_ok($store->{failed} || 0, '>', 0, '... failed');

    # slow; the answer to a put is lost

    my $ended;

    ($store, $ended) = changes($cluster, 0, sub {
        kill 'STOP', $cluster->{redis};
        $cluster->established(0);
        $cluster->stop_redis();
        $t->wait_for(sub {
            (reading($t)->{sessions_ended_total}{store} || 0) > 0
        });
    });

    cmp_ok($store->{'timed-out'} || 0, '>', 0, 'the store is slow');
    is($ended->{store}, 1, '... and gone: nobody knows where the session is');

    # restarted, with the same contents; then another key

    $cluster->start_redis();
    $cluster->wait_for_nodes();
    $cluster->connected($cluster->established(0), $_) for 0, 1;

    my $new = $cluster->established(0);

    $cluster->redis('SAVE');
    $cluster->stop_redis();
    $cluster->start_redis('--appendonly', 'no');
    $cluster->wait_for_nodes();

    ($store) = changes($cluster, 1, sub {
        like($cluster->connected($new, 1), qr/^410/, 'restarted');
    });

    is($store->{outdated}, 1, '... outdated');

    $cluster->write_conf(1, key => $t->write_file('other.key', 'x' x 32));
    $cluster->node(1)->reload();
    $new = $cluster->established(0);

    ($store) = changes($cluster, 1, sub {
        like($cluster->connected($new, 1), qr/^410/, 'another key');
    });

    is($store->{unsealed}, 1, '... unsealed');

    $cluster->done_testing();
}


# A session that is not used expires as on its machine; who has it is known as
# long as it may live.

sub keys {
    my $cluster = cluster('lazy');
    my $c = $cluster->established(0);

    is(scalar $cluster->sessions(), 0, 'at home');

    $cluster->node(0)->stop();
    within($cluster, 'S', $TIMEOUT);
    like($cluster->get($c, 1), qr/^127.* node1/, 'another machine takes it');
    within($cluster, 'O', $LIFETIME);

    $cluster->done_testing();
}


sub within {
    my ($cluster, $kind, $seconds) = @_;

    my ($key) = $cluster->sessions();
    my $left = $cluster->redis('PTTL', $key) / 1000;

    like($cluster->redis('GET', $key), qr/^$kind/, "a key: $kind");
    cmp_ok($left, '<=', $seconds, "... lives for up to $seconds seconds");
    cmp_ok($left, '>', $seconds - 200, '... and not much shorter');
}
