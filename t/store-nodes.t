# Names of machines: two with the same name or number, and names that somebody
# else has written into the store.

use strict;
use warnings;

use Digest::SHA qw( sha256 );
use Test::More;

use Test::Atls::Cluster;


Test::Atls::Cluster->require_redis();

subtest 'the same number' => \&others;
subtest 'forged names' => \&forged;

done_testing();


sub number { unpack 'H4', sha256($_[0]) }


# A name with the number of another one.

sub same_number {
    my ($name) = @_;

    my $n = 0;

    $n++ until number("x$n") eq number($name);

    return "x$n";
}


sub others {
    my $cluster = Test::Atls::Cluster->new(nodes => 3, workers => 1);
    my @names = ('node0', same_number('node0'), 'node2');

    for my $n (0 .. 2) {
        my $t = $cluster->node($n);
        my $conf = $t->read_file('nginx.conf');

        $t->write_file('nginx.conf', $conf =~ s/node$n /$names[$n] /r);
    }

    # the same name and another address: as after a reload

    $cluster->start_redis();
    $cluster->redis('SET', 'atls:node:' . number('node2'),
                    'node2 127.0.0.1:1', 'PX', 5000);
    $_->run() for $cluster->nodes();

    for my $n (0, 1) {
        my ($name, $other) = @names[$n, 1 - $n];
        my $port = $cluster->node(1 - $n)->port(9);

        ok($cluster->node($n)->wait_for_log(
               qr/atls node "$name" has the same number as node "$other" at /
               . qr/127\.0\.0\.1:$port, use another/),
           "$name, $other");
    }

    # a copy of a configuration

    my $t = $cluster->node(2);
    my $conf = $t->read_file('nginx.conf');

    unlike($t->read_file('error.log'), qr/the same number/,
           'an earlier address');
    $t->write_file('nginx.conf', $conf =~ s/node2 /node0 /r);
    $t->reload();
    ok($t->wait_for_log(qr/atls node "node0" has the same number as node/),
       'the same name');

    $cluster->done_testing();
}


# Machines do not relay POSTs to others than the one with the session.

sub forged {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1)->run();
    my $c = $cluster->established(1);
    my $port = $cluster->node(0)->port(9);
    my $key = 'atls:node:' . number('node1');

    like($cluster->connected($c, 0), qr/^127\.0\.0\.1 node1/, 'relayed');
    $cluster->kill_node(1);

    for my $value ("node0 127.0.0.1:$port", '', 'node1', 'node1 ', 'node1 x',
                   'node1 127.0.0.1:99999', ' ', " 127.0.0.1:$port",
                   "node1\nforged 127.0.0.1:$port", 'x' x 100000)
    {
        $cluster->redis('SET', $key, $value);
        is($cluster->status($c, 0), '503 store-unreachable',
           'a value: ' . substr($value, 0, 30) =~ s/\n/ /r);
    }

    unlike($cluster->node(0)->read_file('error.log'), qr/^forged/m,
           'no lines in the log');
    is($cluster->node(0)->read_file('peer.log'), '',
       'nor POSTs for another machine');

    $cluster->redis('DEL', $key);
    is($cluster->status($c, 0), '410 session-foreign', 'no value');

    $cluster->done_testing();
}
