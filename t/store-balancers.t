# Machines behind load balancers without affinity, nginx and haproxy: sessions
# and handshakes, while machines are restarted.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls;
use Test::Atls::Cluster;
use Test::Atls::Docs;
use Test::Atls::Program qw( find_program );


my $SESSIONS = $ENV{ATLS_STORE_SESSIONS} || 15;
my $NODES = 3;

Test::Atls::Cluster->require_redis();

for my $mode (qw( lazy each )) {
    subtest "$mode, nginx" => sub { balancer($mode, \&nginx) };

    SKIP: {
        skip('no haproxy', 1) unless find_program('haproxy');
        subtest "$mode, haproxy" => sub { balancer($mode, \&haproxy) };
    }
}

done_testing();


sub balancer {
    my ($mode, $start) = @_;

    my $cluster = Test::Atls::Cluster->new(nodes => $NODES, mode => $mode)
                                     ->run();
    my $t = Test::Atls->new(workers => 1);
    my %args = (port => $t->port(0));

    $start->($t, $cluster);

    my $failed = '';

    for (1 .. $SESSIONS) {
        my $c = $cluster->client(0, %args);

        $c->handshake() or $failed .= $c->error() . "\n" and next;

        for (1 .. 4) {
            my $r = $c->get('/');
            $failed .= ($r ? $r->body() : $c->error()) . "\n"
                if !$r || $r->body() !~ /^127\.0\.0\.1 node/;
        }
    }

    is($failed, '', 'new sessions');

    # a child sends requests of its sessions all the time

    my $began = $t->path('began');
    my $result = $t->path('result');
    my $end = $t->path('end');

    $t->run_daemon(sub { load($cluster, $began, $end, $result, %args) });

    $t->wait_for(sub { -e $began });

    for my $node ($cluster->nodes()) {
        my $before = -s $began;

        $node->stop();
        $t->wait_for(sub { -s $began > $before + 20 });
        $node->run();
        $cluster->wait_for_nodes();
    }

    $t->write_file('end', '');
    $t->wait_for(sub { -e $result });
    is($t->read_file('result'), '', 'requests while machines are restarted');

    $t->finish();
    $cluster->finish();
}


# A byte for each request.

sub load {
    my ($cluster, $began, $end, $result, %args) = @_;

    my @clients = map { $cluster->established(0, %args) } 1 .. 5;
    my $failed = '';

    open my $fh, '>', $began;
    $fh->autoflush(1);

    until (-e $end) {
        for my $c (@clients) {
            my $body;

            # "Retry-After": the session was just put into the store

            for (1 .. 50) {
                $body = $cluster->request($c);
                last if $body ne 'HTTP 503';
                sleep 0.1;
            }

            $failed .= "$body\n" if $body !~ /^127\.0\.0\.1 node/;
            print $fh '.';
        }
    }

    open $fh, '>', "$result.new";
    print $fh $failed;
    close $fh;
    rename "$result.new", $result;
}


sub nginx {
    my ($t, $cluster) = @_;

    my @servers = map { 'server 127.0.0.1:' . $_->port(0) . ' max_fails=0;' }
                  $cluster->nodes();

    $t->write_http(<<"EOC");
upstream machines {
    @servers
}

server {
    listen  127.0.0.1:%%PORT_0%%;

    location / {
        proxy_pass  http://machines;
        proxy_http_version  1.1;
        proxy_next_upstream  error timeout non_idempotent;
        proxy_set_header  Host localhost;
    }
}
EOC

    $t->run();
}


# With the back end of docs/store.md.

sub haproxy {
    my ($t, $cluster) = @_;

    my ($backend) = slurp(Test::Atls::root() . '/docs/store.md')
                    =~ /^(backend atls\n.*?)^```/ms;
    my @nodes = $cluster->nodes();

    $backend =~ s/^ *server .*\n//mg;
    $backend .= "    server n$_ 127.0.0.1:" . $nodes[$_]->port(0) . " check\n"
        for 0 .. $#nodes;

    my $conf = $t->write_file('haproxy.cfg', <<"EOC");
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
    retries 10
    retry-on all-retryable-errors
    option redispatch

frontend clients
    bind 127.0.0.1:@{[ $t->port(0) ]}
    default_backend atls

$backend
EOC

    $t->run_daemon([ 'haproxy', '-f', $conf ], port => $t->port(0),
                   stderr => $t->path('haproxy.out'));
}
