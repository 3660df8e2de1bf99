# Machines are restarted, reloaded and killed, while sessions are used on all of
# them.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;


my $SESSIONS = $ENV{ATLS_STORE_SESSIONS} || 12;
my $NODES = 3;

Test::Atls::Cluster->require_redis();

for my $mode (qw( lazy each )) {
    subtest $mode => sub { machines($mode) };
}

done_testing();


sub machines {
    my ($mode) = @_;

    my $cluster = Test::Atls::Cluster->new(nodes => $NODES, mode => $mode,
                                           log_level => 'debug');

    plan(skip_all => 'no debug log')
        unless $cluster->node(0)->has_option('debug');

    $cluster->run();

    my @clients = map { $cluster->established($_ % $NODES) } 1 .. $SESSIONS;

    restarts($cluster, @clients);
    reloads($cluster, @clients);
    killed($cluster, $mode, @clients);

    my ($records, @twice) = $cluster->sealed_twice();

    cmp_ok($records, '>', 8 * $SESSIONS, "$records records sealed");
    is("@twice", '', 'none of them twice with the same number');

    $cluster->done_testing();
}


# What is not the response, for a request of each client to the next machine
# that runs.  While a session is put into the store, the response is 503, and the
# POST is sent again.

sub failures {
    my ($cluster, $from, @clients) = @_;

    my $failed = '';
    my $n = $from;

    for my $c (@clients) {
        do { $n++ } until $cluster->node($n % $NODES)->pid();

        my $status;

        $cluster->node(0)->wait_for(sub {
            $status = $cluster->status($c, $n % $NODES);
            return $status ne '503 store-unreachable';
        });

        $failed .= "$status\n" if $status !~ /^127\.0\.0\.1 node/;
    }

    return $failed;
}


# The machine is not waited for: others do.

sub restarts {
    my ($cluster, @clients) = @_;

    for my $n (0 .. $NODES - 1) {
        my $t = $cluster->node($n);

        is(failures($cluster, $n, @clients), '', "before the restart of $n");

        my $pid = delete $t->{pid};
        kill 'QUIT', $pid;

        is(failures($cluster, $n, @clients), '', '... during it');

        $t->wait_for(sub { waitpid($pid, 1) != 0 }, 20);
        is(failures($cluster, $n, @clients), '', '... without the machine');

        $t->run();
        $cluster->wait_for_nodes();
    }

    is(failures($cluster, 0, @clients), '', 'after all restarts');
}


# The sessions stay in the zone.

sub reloads {
    my ($cluster, @clients) = @_;

    my $before = () = join('', map { $_->read_file('error.log') }
                               $cluster->nodes()) =~ /atls drain done, begun:1/g;

    for my $t ($cluster->nodes()) {
        $t->reload();
        is(failures($cluster, 0, @clients), '', 'after a reload');
    }

    my $after = () = join('', map { $_->read_file('error.log') }
                              $cluster->nodes()) =~ /atls drain done, begun:1/g;

    is($after, $before, 'nothing was put out');
}


# Only sessions of that machine are lost; with "each", none.

sub killed {
    my ($cluster, $mode, @clients) = @_;

    # the last request decides where a session is

    my ($c, @others) = map { $cluster->established($_ % $NODES) } 0 .. 5;
    my @lost = $mode eq 'lazy' ? ($c, $others[2]) : ();

    # with a request in progress, it is there in any case

    my $busy = $cluster->established(0);

    $busy->write_plain("POST / HTTP/1.1\r\nHost: localhost\r\n"
                       . "Content-Length: 10\r\n\r\n");
    $busy->exchange($busy->tls_out());
    $cluster->kill_node(0);
    is($cluster->status($busy, 1), '410 session-foreign',
       'a machine is killed with a request in progress');

    my %status;

    for ($c, @others) {
        $status{ $cluster->status($_, 1) =~ s/^127.*/ok/r }++;
    }

    is_deeply(\%status, { ok => 6 - @lost,
                          @lost ? ('410 session-foreign' => 2) : () },
              'a machine is killed');

    $cluster->node(0)->run();
    $cluster->wait_for_nodes();

    my $failed = grep { $cluster->get($_, 0) !~ /^127/ } @others;
    is($failed, $mode eq 'lazy' ? 1 : 0, '... and started again');
}
