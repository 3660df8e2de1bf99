# What happens if the store is down, slow, full, restarted or failed over, if it
# has another password, and if machines have different keys or prefixes.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;
use Test::Atls::Docs;
use Test::Atls::Port qw( free_port );


Test::Atls::Cluster->require_redis();

# the type of a response to a client with a session in the other cluster, or
# that cannot be opened

my $GONE = '410 session-foreign';
my $WAIT = '503 store-unreachable';

for my $mode (qw( lazy each )) {
    subtest "$mode: store down" => sub { down($mode) };
    subtest "$mode: store slow" => sub { slow($mode) };
    subtest "$mode: store full" => sub { full($mode) };
}

subtest 'store restarted' => \&restarted;
subtest 'store empty' => \&emptied;
subtest 'failover' => \&failover;
subtest 'demoted and promoted' => \&demoted;
subtest 'password' => \&password;
subtest 'keys' => \&keys_changed;
subtest 'prefixes' => \&prefixes;

done_testing();


sub cluster {
    my (%args) = @_;

    return Test::Atls::Cluster->new(nodes => 2, workers => 1, %args)->run();
}


sub like_inner { like($_[0], qr/^127\.0\.0\.1 node/, $_[1]) }


sub connected {
    my ($cluster, $c, $n) = @_;

    return $cluster->connected($c, $n);
}


sub down {
    my ($mode) = @_;

    my $cluster = cluster(mode => $mode, store => 'timeout=1s');
    my $c = $cluster->established(0);

    like_inner(connected($cluster, $c, 0), 'store up');

    $cluster->stop_redis();
    $cluster->node(0)->wait_for(sub {
        $cluster->node(0)->read_file('error.log') =~ /atls_store .*: /
    });

    # a session that was not in the store when it went down

    my $home = $cluster->established(0);

    like_inner($cluster->get($home, 0), 'store down, at home') for 1 .. 2;
    is($cluster->status($home, 1), $WAIT, '... elsewhere');
    is($home->last_response()->header('Retry-After'), 1, '... Retry-After');
    like_inner($cluster->get($home, 0), '... at home again');

    is($cluster->status($c, 1), $WAIT, 'another session elsewhere');

    # a ClientHello with the cookie of a session elsewhere

    my $new = $cluster->client(1);
    $new->{cookies} = { %{$home->{cookies}} };

    ok($new->handshake(), 'a new session in spite of a cookie');

    $cluster->start_redis();
    $cluster->wait_for_nodes();
    like_inner(connected($cluster, $home, 1), 'store up again, elsewhere');
    like_inner(connected($cluster, $home, 0), '... at home');

    $cluster->done_testing();
}


# While the store sleeps, POSTs that need it get 503; the session is not lost if
# the answer is late.

sub slow {
    my ($mode) = @_;

    my $cluster = cluster(mode => $mode, store => 'timeout=300ms');
    my ($one, $two) = map { $cluster->established(0) } 1, 2;

    like_inner(connected($cluster, $one, 0), 'the store is fast');
    connected($cluster, $two, 0);

    kill 'STOP', $cluster->{redis};

    is($cluster->status($one, 1), $WAIT, 'the store is slow');
    is($cluster->status($two, 1), $WAIT, '... without waiting for it');

    if ($mode eq 'lazy') {
        like_inner($cluster->get($two, 0), '... at home');
    }

    kill 'CONT', $cluster->{redis};

    like_inner(connected($cluster, $one, 1), 'the store is fast again');
    like_inner(connected($cluster, $two, 1), '... for both');
    like_inner(connected($cluster, $one, 0), '... on both machines');

    # the response is complete although the answer to a put is late

    if ($mode eq 'each') {
        my $c = $cluster->established(0);

        $cluster->stop_redis();
        $cluster->node(0)->wait_for(sub {
            $cluster->node(0)->read_file('error.log')
                =~ /has closed the connection|cannot be reached/
        });
        $cluster->start_redis();
        $cluster->wait_for_nodes();

        my $other = $cluster->established(0);
        my $sleeps = $cluster->redis_begin('DEBUG', 'SLEEP', '1');

        my $r = $other->get('/');
        ok(!$r || $r->status() == 200, 'no other errors');
        <$sleeps>;
    }

    $cluster->done_testing();
}


# Nothing can be put, and nothing be marked as taken: sessions stay where they
# are.

sub full {
    my ($mode) = @_;

    my $cluster = cluster(mode => $mode, store => 'timeout=5s');
    my $c = $cluster->established(0);

    like_inner($cluster->get($c, 0), 'room in the store');
    $cluster->redis('CONFIG', 'SET', 'maxmemory', '1');

    my $home = $cluster->established(0);

    like_inner($cluster->get($home, 0), 'the store is full, at home')
        for 1 .. 2;

    if ($mode eq 'each') {
        is($cluster->status($c, 1), $WAIT, '... in the store');
    }

    $cluster->redis('CONFIG', 'SET', 'maxmemory', '0');
    $cluster->wait_for_nodes();

    like_inner(connected($cluster, $c, 1), 'room again');
    like_inner(connected($cluster, $home, 1), '... for the other one');

    $cluster->done_testing();
}


# The dump has a session that was taken since, and one that was not.

sub restarted {
    my $cluster = cluster(mode => 'each');
    my ($one, $two) = map { $cluster->established(0) } 1, 2;

    $cluster->redis('SAVE');
    like_inner($cluster->get($one, 1), 'after SAVE');

    $cluster->stop_redis();
    $cluster->start_redis('--appendonly', 'no');
    is(scalar $cluster->sessions(), 2, 'the sessions are there again');
    $cluster->wait_for_nodes();

    is(connected($cluster, $one, 1), $GONE,
       'the one that was taken is not used');
    is(connected($cluster, $two, 1), $GONE, 'nor is the other one');

    my $log = join '', map { $_->read_file('error.log') } $cluster->nodes();

    like($log, qr/atls session lost: the store was restarted or failed over/,
         '... logged');

    my $new = $cluster->established(0);
    like_inner($cluster->get($new, 1), 'a new session');

    $cluster->done_testing();
}


# Machines that are not in the store are asked, if they were found before.

sub emptied {
    my $cluster = cluster(mode => 'lazy');
    my $c = $cluster->established(0);

    like_inner($cluster->get($c, 1), 'a session at home');

    for (1 .. 3) {
        $cluster->redis('FLUSHALL');
        like_inner($cluster->get($c, 1), "the store has forgotten all: $_");
    }

    # a machine that is gone as well

    $cluster->kill_node(0);
    $cluster->redis('FLUSHALL');
    is($cluster->status($c, 1), $GONE, '... and the machine is gone');

    $cluster->node(0)->run();
    $cluster->wait_for_nodes();
    like_inner($cluster->get($cluster->established(0), 1), 'a new session');

    $cluster->done_testing();
}


sub failover {
    my $cluster = cluster(mode => 'each');
    my $port = free_port();

    $cluster->start_replica($port);

    my ($one, $two) = map { $cluster->established(0) } 1, 2;

    $cluster->wait_for_replica($port, 4);

    # the replica does not know that a session was taken

    $cluster->redis(\$port, 'REPLICAOF', 'NO', 'ONE');
    like_inner($cluster->get($one, 1), 'before the failover');

    $cluster->stop_redis();
    $cluster->redis(\$port, 'CONFIG', 'SET', 'port', $cluster->{redis_port});
    is(scalar $cluster->sessions(), 2, 'the replica has both sessions');
    $cluster->wait_for_nodes();

    is(connected($cluster, $one, 1), $GONE,
       'the one that was taken is not used');
    is(connected($cluster, $two, 1), $GONE, 'nor is the other one');
    like_inner($cluster->get($cluster->established(0), 1), 'a new session');

    $cluster->done_testing();
}


# The master keeps its run_id, and gets an older state from the other server.

sub demoted {
    my $cluster = cluster(mode => 'each');
    my $port = free_port();

    $cluster->start_replica($port);

    my $c = $cluster->established(0);

    $cluster->wait_for_replica($port, 3);

    $cluster->redis(\$port, 'REPLICAOF', 'NO', 'ONE');
    like_inner($cluster->get($c, 1), 'not known to the replica');

    my ($before) = $cluster->redis('INFO', 'server') =~ /run_id:(\w+)/;

    $cluster->redis('REPLICAOF', '127.0.0.1', $port);
    $cluster->node(0)->wait_for(sub {
        $cluster->redis('INFO', 'replication') =~ /master_link_status:up/
    });
    $cluster->redis('REPLICAOF', 'NO', 'ONE');

    my ($after) = $cluster->redis('INFO', 'server') =~ /run_id:(\w+)/;

    is($after, $before, 'the same run_id');
    $cluster->wait_for_nodes();
    is(connected($cluster, $c, 0), '410 session-unknown',
       'an older state is not used');

    $cluster->done_testing();
}


sub password {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1,
                      redis_options => [ '--requirepass', 'secret' ]);
    my $file = $cluster->node(0)->write_file('password', "secret\n");
    my $wrong = $cluster->node(0)->write_file('wrong', "wrong\n");

    $cluster->write_conf(0, store => "password_file=$file timeout=10s");
    $cluster->write_conf(1, store => "password_file=$wrong timeout=10s");

    $cluster->start_redis();
    $_->run() for $cluster->nodes();
    $cluster->node(1)->wait_for_log(qr/atls_store .* AUTH: .*WRONGPASS/);

    my $c = $cluster->established(0);

    like_inner($cluster->get($c, 0), 'at home');
    is($cluster->status($c, 1), $WAIT, 'a wrong password');

    $cluster->write_conf(1, store => "password_file=$file timeout=10s");
    $cluster->node(1)->reload();
    like_inner(connected($cluster, $c, 1), 'the right one, after a reload');

    # a user, with the permissions in docs/store.md

    my ($acl) = slurp(Test::Atls::root() . '/docs/store.md')
                =~ /^ACL SETUSER (.*)$/m;

    $cluster->redis('ACL', 'SETUSER',
                    split / /, $acl =~ s/PASSWORD/secret/r);

    for my $n (0, 1) {
        $cluster->write_conf($n, user => 'atls@',
                             mode => 'each',
                             store => "password_file=$file timeout=10s");
        $cluster->node($n)->reload();
    }

    like_inner(connected($cluster, $c, $_), 'a user') for 1, 0, 1;

    unlike(join('', map { $_->read_file('error.log') } $cluster->nodes()),
           qr/secret/, 'passwords are not logged');

    $cluster->done_testing();
}


# A new key is appended first; sessions continue all the time.

sub keys_changed {
    for my $mode (qw( lazy each )) {
        my $cluster = cluster(mode => $mode);
        my $old = $cluster->{key};
        my $new = $cluster->node(0)->write_file('new.key', 'n' x 32);
        my $c = $cluster->established(0);

        for my $keys ([ $old, $new ], [ $new, $old ], [ $new ]) {
            for my $n (0, 1) {
                $cluster->write_conf($n, key => $keys);
                $cluster->node($n)->reload();
                $cluster->wait_for_nodes();

                next if @$keys == 1 && $mode eq 'lazy';
                like_inner($cluster->get($c, $_), "$mode, " . @$keys . ' keys')
                    for 1, 0, 1;
            }
        }

        # different keys

        $c = $cluster->established(0);
        $cluster->write_conf(1, key => $old);
        $cluster->node(1)->reload();

        is($cluster->status($c, 1), $GONE, "$mode, another key");
        $cluster->finish();
    }
}


# Two clusters, which happen to have the same key.

sub prefixes {
    my $cluster = cluster(mode => 'each');

    $cluster->write_conf(1, store => 'prefix=other: timeout=10s');
    $cluster->node(1)->reload();

    my @clients = map { $cluster->established($_) } 0, 1;

    is_deeply([ sort map { /^(\w+:)/ } $cluster->sessions() ],
              [ 'atls:', 'other:' ], 'a session of each cluster');

    like_inner($cluster->get($clients[$_], $_), "cluster $_") for 0, 1;

    my %cookies = %{$clients[0]{cookies}};

    is($cluster->status($clients[0], 1), $GONE, 'a session of another cluster');
    $clients[0]{cookies} = \%cookies;
    like_inner($cluster->get($clients[0], 0), '... exists');

    $cluster->done_testing();
}
