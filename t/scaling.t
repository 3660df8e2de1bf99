# The load balancers of docs/scaling.md: POSTs are not relayed between machines,
# and clients of several clusters get to theirs.

use strict;
use warnings;

use Test::More;

use Test::Atls;
use Test::Atls::Cluster;
use Test::Atls::Docs;
use Test::Atls::Program qw( find_program );


my $SESSIONS = 12;
my $INNER = <<'EOC';
location / { return 200 "$remote_addr $atls_node_name"; }

location /upload {
    proxy_http_version  1.1;
    proxy_pass  http://127.0.0.1:%%PORT_0%%/sink;
}

location /sink {
    proxy_http_version  1.1;
    proxy_pass  http://127.0.0.1:%%PORT_0%%/length;
}

location /length { return 200 "$content_length"; }
EOC

Test::Atls::Cluster->require_redis();

my ($machines) = slurp(Test::Atls::root() . '/docs/scaling.md')
                 =~ /^## Machines\n(.*)/ms;
my (@blocks, @nginx);

while ($machines =~ /^```(\w*)\n(.*?)^```/msg) {
    push @{$1 eq 'nginx' ? \@nginx : \@blocks}, $2 if $1 ne 'yaml';
}

is(@nginx . ', ' . @blocks, '2, 5', 'the examples for nginx and haproxy');

one_cluster('nginx, each', $nginx[0], 'each', $_) for qw( cookie location );
clusters('nginx, clusters', $nginx[1]);

SKIP: {
    skip('no haproxy', 6) unless find_program('haproxy');

    one_cluster('haproxy, lazy', $blocks[0], 'lazy', 'cookie');
    one_cluster('haproxy, lazy', $blocks[1], 'lazy', 'location');
    one_cluster('haproxy, each', $blocks[2], 'each', 'cookie');
    one_cluster('haproxy, each', $blocks[3], 'each', 'location');
    clusters('haproxy, clusters', $blocks[4]);
}

done_testing();


sub one_cluster {
    my ($what, $block, $mode, $tracking) = @_;

    subtest "$what, $tracking" => sub {
        my $cluster = Test::Atls::Cluster->new(
            nodes => 3, mode => $mode, workers => 1, inner => $INNER,
            location => "atls_session_tracking $tracking;")->run();
        my $t = Test::Atls->new(workers => 1);

        balancer($t, $block, map { $_->port(0) } $cluster->nodes());

        my $failed = '';
        my $sessions = 0;

        # a hash uses all machines sooner or later

        until ($sessions >= $SESSIONS && machines($cluster) == 3
               || $sessions == 10 * $SESSIONS)
        {
            my $c = $cluster->client(0, port => $t->port(0));

            $sessions++;
            $c->handshake() or $failed .= $c->error() . "\n" and next;
            $failed .= requests($cluster, $c);
            $failed .= upload($c);
        }

        is($failed, '', 'all requests');
        is(machines($cluster), 3, 'all machines are used');
        $t->finish();

        # with "each", the handshake is finished at another machine than begun

        $_->stop() for $cluster->nodes();

        my $lines = join '', map { $_->read_file('peer.log') } $cluster->nodes();
        my $relays = split /\n/, $lines;

        cmp_ok($relays, '<=', $mode eq 'each' ? $sessions : 0,
               "$relays relays");

        $cluster->finish();
    };
}


sub clusters {
    my ($what, $block) = @_;

    subtest $what => sub {
        my @clusters = map {
            Test::Atls::Cluster->new(nodes => 2, workers => 1,
                                     location => "atls_cookie atls$_ path=/;")
        } 1, 2;

        $_->run() for @clusters;

        my $t = Test::Atls->new(workers => 1);

        balancer($t, $block, map { $_->port(0) } map { $_->nodes() } @clusters);

        my ($failed, %used) = ('');

        for (1 .. 2 * $SESSIONS) {
            my $c = $clusters[0]->client(0, port => $t->port(0));

            $c->handshake() or $failed .= $c->error() . "\n" and next;
            $failed .= requests($clusters[0], $c);
            $used{$_}++ for keys %{$c->{cookies}};
        }

        is($failed, '', 'all requests');
        is(join(' ', sort keys %used), 'atls1 atls2', 'both are used');

        $_->finish() for $t, @clusters;
    };
}


sub requests {
    my ($cluster, $c) = @_;

    my $failed = '';

    for (1 .. 4) {
        my $body = $cluster->request($c);

        $failed .= "$body\n" if $body !~ /^127\.0\.0\.1 node/;
        push @{$cluster->{seen}}, $body;
    }

    return $failed;
}


# The number of machines that have processed requests.

sub machines {
    my ($cluster) = @_;

    my %seen = map { /node(\d)/ ? ($1, 1) : () } @{$cluster->{seen}};

    return scalar keys %seen;
}


# A request that is unfinished in five POSTs.

sub upload {
    my ($c) = @_;

    $c->write_plain("POST /upload HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 10000\r\n\r\n");

    for (1 .. 5) {
        $c->write_plain('x' x 2000);
        $c->exchange($c->tls_out()) or return 'upload: ' . $c->error() . "\n";
    }

    my $plain = $c->read_plain();

    return $plain =~ m!^HTTP/1.1 200 ! ? '' : "upload: $plain\n";
}


sub balancer {
    my ($t, $block, @ports) = @_;

    my $listen = '127.0.0.1:' . $t->port(0);

    return nginx($t, $block, $listen, @ports) if $block !~ /^backend|^frontend/m;

    my $n = 0;
    my @servers = map { "    server n" . $n++ . " 127.0.0.1:$_\n" } @ports;

    $block =~ s/bind :80/bind $listen/;
    $block =~ s/^ *server a .*\n *server b .*\n/@servers/mg;

    if ($block !~ /^backend/m) {
        $block .= "backend one\n@servers[0, 1]\nbackend two\n@servers[2, 3]\n";
    }

    if ($block !~ /^frontend/m) {
        $block .= "frontend clients\n    bind $listen\n    default_backend atls\n";
    }

    my $conf = $t->write_file('haproxy.cfg', <<"EOC");
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s

$block
EOC

    $t->run_daemon([ 'haproxy', '-f', $conf ], port => $t->port(0),
                   stderr => $t->path('haproxy.out'));
}


sub nginx {
    my ($t, $block, $listen, @ports) = @_;

    my $servers = join ' ', map { "server 127.0.0.1:$_;" } @ports;

    if ($block =~ s/listen 80;/listen $listen;/) {
        $block =~ s/server 10\.0\.0\.\d:80;/'server 127.0.0.1:' . shift(@ports)
                                            . ';'/eg;

    } else {
        $block =~ s/( *server  10\.0\.0\.\d:80;\n)+/$servers\n/;
        $block .= "server { listen $listen; location / "
                  . '{ proxy_pass http://atls; } }';
    }

    $t->write_http("proxy_http_version 1.1; proxy_set_header Host localhost;\n"
                   . $block);
    $t->run();
}
