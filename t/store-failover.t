# A store with a replica, behind haproxy, which follows the master as described
# in docs/store.md: a failover by Sentinel, and one by hand, after which
# machines are still connected to the previous master.

use strict;
use warnings;

use Test::More;

use Test::Atls;
use Test::Atls::Cluster;
use Test::Atls::Docs;
use Test::Atls::Port qw( free_port );
use Test::Atls::Program qw( find_program );


Test::Atls::Cluster->require_redis();
plan(skip_all => 'no haproxy') unless find_program('haproxy');

my @SECRET = ('--requirepass', 'secret', '--masterauth', 'secret');

subtest 'Sentinel' => \&sentinel;
subtest 'by hand' => \&by_hand;

done_testing();


# Two servers; the machines use haproxy.

sub cluster {
    my ($mode) = @_;

    my $cluster = Test::Atls::Cluster->new(
        nodes => 2, workers => 1, mode => $mode, log_level => 'debug',
        redis_options => \@SECRET);
    my $t = $cluster->node(0);
    my $file = $t->write_file('password', "secret\n");

    plan(skip_all => 'no debug log') unless $t->has_option('debug');

    $cluster->write_conf($_, redis_port => $t->port('haproxy'),
                         store => "password_file=$file timeout=10s") for 0, 1;

    $cluster->start_redis();
    $cluster->{other} = free_port();
    $cluster->{replica} = $cluster->start_replica($cluster->{other}, @SECRET);

    return $cluster;
}


# With the configuration of docs/store.md.

sub haproxy {
    my ($cluster, $conf) = @_;

    my $t = $cluster->node(0);
    my $port = $t->port('haproxy');
    my @servers = ($cluster->{redis_port}, $cluster->{other});

    $conf =~ s/bind \S+/bind 127.0.0.1:$port/;
    $conf =~ s/PASSWORD/secret/;
    $conf =~ s/^( *server \w+) \S+/"$1 127.0.0.1:" . shift @servers/meg;

    my $file = $t->write_file('haproxy.cfg', $conf);

    $t->run_daemon([ 'haproxy', '-f', $file ], port => $port,
                   stderr => $t->path('haproxy.out'));

    $_->run() for $cluster->nodes();
    $cluster->wait_for_nodes();
}


sub documented {
    return (slurp(Test::Atls::root() . '/docs/store.md')
            =~ /^(defaults\n    mode tcp\n.*?)^```/ms)[0];
}


sub like_inner { like($_[0], qr/^127\.0\.0\.1 node/, $_[1]) }


sub role {
    my ($cluster, $port) = @_;

    my $role = $cluster->redis(\$port, 'ROLE');

    return ref $role ? $role->[0] : '';
}


sub finish {
    my ($cluster) = @_;

    my ($records, @twice) = $cluster->sealed_twice();

    is("@twice", '', "$records records, none of them sealed twice");
    $cluster->done_testing();
}


sub sentinel {
    my $cluster = cluster('lazy');
    my $t = $cluster->node(0);
    my ($first, $second) = @$cluster{qw( redis_port other )};
    my $port = free_port();

    my $conf = $t->write_file('sentinel.conf', <<"EOC");
port $port
bind 127.0.0.1
dir @{[ $t->dir() ]}
logfile @{[ $t->path('sentinel.log') ]}
sentinel monitor store 127.0.0.1 $first 1
sentinel auth-pass store secret
sentinel down-after-milliseconds store 3000
sentinel failover-timeout store 10000
EOC

    $t->run_daemon([ $cluster->redis_server(), $conf, '--sentinel' ],
                   stderr => $t->path('sentinel.out'), port => $port);
    $t->wait_for(sub {
        $t->read_file('sentinel.log') =~ /\+slave slave 127\.0\.0\.1:$second /
    });
    haproxy($cluster, documented());

    my $c = $cluster->established(0);

    like_inner($cluster->get($c, $_), "before the failover: $_") for 0, 1;

    # Sentinel has no password

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);

    $t->wait_for(sub {
        print $s "SENTINEL FAILOVER store\r\n";
        return <$s> =~ /^\+OK/;
    });
    $t->wait_for(sub { role($cluster, $second) eq 'master' });
    $t->wait_for(sub { role($cluster, $first) eq 'slave' });

    like_inner($cluster->connected($c, $_), "after it: $_") for 0, 1;
    like_inner($cluster->connected($cluster->established(0), 1),
               'a new session');

    # the new master is killed

    $t->stop_daemon($cluster->{replica}, 'KILL');
    $t->wait_for(sub { role($cluster, $first) eq 'master' });

    like_inner($cluster->connected($c, $_), "after another one: $_") for 0, 1;
    like_inner($cluster->connected($cluster->established(0), 1),
               'a new session');

    finish($cluster);
}


# haproxy does not close connections to the previous master.

sub by_hand {
    my $cluster = cluster('each');
    my $t = $cluster->node(0);
    my ($first, $second) = @$cluster{qw( redis_port other )};

    haproxy($cluster, documented() =~ s/ on-marked-down shutdown-sessions//r);

    my ($c, $taken) = map { $cluster->established(0) } 1, 2;

    like_inner($cluster->get($c, $_), "before the failover: $_") for 0, 1;

    $t->wait_for(sub {
        my $replication = $cluster->redis('INFO', 'replication');
        my ($offset) = $replication =~ /master_repl_offset:(\d+)/;
        return $replication =~ /offset=$offset,/;
    });
    $cluster->redis(\$second, 'REPLICAOF', 'NO', 'ONE');
    like_inner($cluster->get($taken, 1), 'what the new master does not know');
    $cluster->redis('REPLICAOF', '127.0.0.1', $second);

    # what both machines have told the new one

    $cluster->redis(\$second, 'DEL',
                    @{$cluster->redis(\$second, 'KEYS', '*node:*')});

    my $new;

    $t->wait_for(sub {
        $new = $cluster->established(0);

        my $nodes = $cluster->redis(\$second, 'KEYS', '*node:*');

        return ref $nodes && @$nodes == 2
               && !grep { $cluster->get($new, $_) !~ /^127/ } 1, 0;
    });
    like_inner($cluster->get($new, 1), 'a new session');

    like($cluster->connected($_, 1), qr/^410/, 'a session in the store')
        for $c, $taken;

    like($t->read_file('error.log'), qr/has refused a command: .*READONLY/,
         'machines were connected to the previous one');

    finish($cluster);
}
