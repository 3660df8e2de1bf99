# Connections between machines: they are used again, and new ones resume TLS
# sessions; a reload changes who is accepted; a connection that was closed does
# not cost a session.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls::Cluster;
use Test::Atls::Relay;


Test::Atls::Cluster->require_redis();

subtest 'kept' => \&kept;
subtest 'bodies' => \&bodies;
subtest 'resumed' => \&resumed;
subtest 'at once' => \&at_once;
subtest 'the machine that accepts is reloaded' => \&reloaded_server;
subtest 'the machine that connects is reloaded' => \&reloaded_client;
subtest 'closed' => \&closed;
subtest 'killed' => \&killed;
subtest 'late' => \&late;

done_testing();


sub cluster {
    my (%args) = @_;

    return Test::Atls::Cluster->new(nodes => 2, workers => 1, %args)->run();
}


# POSTs to machine 1 of a session at machine 0; returns how many have failed.

sub relays {
    my ($cluster, $c, $n) = @_;

    return scalar grep { $cluster->get($c, 1) !~ /^127\.0\.0\.1 node0/ }
                       1 .. $n;
}


# The connections that machine 0 has accepted for relayed POSTs: how many, and
# how many of them have resumed a session.

sub accepted {
    my ($cluster, $posts) = @_;

    my $t = $cluster->node(0);
    my $log;

    $t->wait_for(sub {
        $log = -e $t->path('peer.log') ? $t->read_file('peer.log') : '';
        return ($log =~ tr/\n//) >= $posts;
    });

    my %reused = map { /^(\d+) (\S+)/ ? ($1 => $2) : () } split /\n/, $log;

    return (scalar keys %reused, scalar grep { $_ eq 'r' } values %reused);
}


sub kept {
    my $cluster = cluster();
    my $c = $cluster->established(0);

    is(relays($cluster, $c, 50), 0, '50 POSTs');
    is((accepted($cluster, 50))[0], 1, '... over one connection');

    $cluster->done_testing();
}


# With and without a length, in pieces, and an empty one.

sub bodies {
    my $cluster = cluster(inner => <<'EOC');
location / { return 200 "$remote_addr $atls_node_name"; }

location /upload {
    client_max_body_size 0;
    proxy_pass  http://127.0.0.1:%%PORT_0%%/length;
}

location /length { return 200 "$content_length"; }
EOC

    my $n = 0;

    for my $outer (qw( http11 http10 http11-chunked h2 )) {
        my $c = $cluster->client(0, outer => $outer,
                                 port => port($cluster, 0, $outer));

        ok($c->handshake(), "$outer: a session");
        $c->move(outer => $outer, host => '127.0.0.1',
                 port => port($cluster, 1, $outer));
        $n++;

        for my $size (10, 50_000, 1_000_000) {
            my @pieces = ('x' x ($size / 10)) x 10;

            like($c->upload("POST /upload HTTP/1.1\r\nHost: localhost\r\n"
                            . "Content-Length: $size\r\n\r\n",
                            sub { shift @pieces }),
                 qr!^HTTP/1\.1 200 .*\r\n\r\n$size\z!s, "$outer: $size bytes");
        }

        my $r = $c->post('');

        is($r && $r->status(), 200, "$outer: an empty body");
        like($cluster->request($c), qr/^127.* node0/, "$outer: goes on");
    }

    $cluster->done_testing();
}


sub port {
    my ($cluster, $n, $outer) = @_;

    return $cluster->node($n)->port($outer eq 'h2' ? 1 : 0);
}


sub resumed {
    my $cluster = cluster(peer => 'keepalive_timeout 0;');
    my $c = $cluster->established(0);

    is(relays($cluster, $c, 20), 0, '20 POSTs');
    is_deeply([ accepted($cluster, 20) ], [ 20, 19 ],
              'connections that are not kept resume a session');

    $cluster->done_testing();
}


# Each POST in progress needs a connection.

sub at_once {
    my $cluster = cluster();
    my @clients = map { $cluster->established(0) } 1 .. 40;

    for my $round (1, 2) {
        for my $c (@clients) {
            $cluster->move($c, 1);
            $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            $c->post_send($c->tls_out());
        }

        my $failed = 0;

        for my $c (@clients) {
            my $r = $c->post_receive();

            $c->tls_in($r->body()) if $r && $r->status() == 200;
            $failed++ if $c->read_plain() !~ /node0\z/;
        }

        is($failed, 0, "round $round: all POSTs");
    }

    my ($connections, $resumed) = accepted($cluster, 80);

    cmp_ok($connections, '<=', 60, 'some of them over the same connections');

    $cluster->done_testing();
}


# A machine with a certificate of another CA is not accepted any more, although
# it has a connection and a session.

sub reloaded_server {
    my $cluster = cluster();
    my $c = $cluster->established(0);

    is(relays($cluster, $c, 3), 0, 'before');

    $cluster->node(0)->make_cert('ca2', is_ca => 1);
    $cluster->write_conf(0, ca => 'ca2');
    $cluster->node(0)->reload();

    is($cluster->status($c, 1), '503 store-unreachable', 'another CA');
    $cluster->node(1)->wait_for_log(
        qr/atls node "node0" (has refused a POST: "HTTP\/1\.1 400"|cannot)/);

    $cluster->write_conf(0);
    $cluster->node(0)->reload();

    is(relays($cluster, $c, 3), 0, 'the first CA again');

    $cluster->done_testing();
}


sub reloaded_client {
    my $cluster = cluster();
    my $c = $cluster->established(0);

    is(relays($cluster, $c, 3), 0, 'before');

    $cluster->node(0)->make_cert('ca2', is_ca => 1);
    $cluster->write_conf(1, ca => 'ca2');
    $cluster->node(1)->reload();

    is($cluster->status($c, 1), '503 store-unreachable', 'another CA');
    $cluster->node(1)->wait_for_log(qr/atls node "node0": certificate verify/);

    $cluster->write_conf(1);
    $cluster->node(1)->reload();

    is(relays($cluster, $c, 3), 0, 'the first CA again');

    $cluster->done_testing();
}


# By the other machine, as it is idle.

sub closed {
    my $cluster = cluster(peer => 'keepalive_timeout 1s;');
    my $c = $cluster->established(0);
    my $failed = 0;

    # the last pauses are about as long as the timeout

    for my $pause (0, 1.5, map { 0.99 + $_ / 200 } 0 .. 4) {
        sleep $pause;
        $failed += relays($cluster, $c, 1);
    }

    is($failed, 0, 'POSTs after pauses');

    my ($connections) = accepted($cluster, 7);

    cmp_ok($connections, '>', 1, 'more than one connection');

    $cluster->done_testing();
}


# A worker process with an idle connection, on which a POST has begun, dies:
# the POST is sent to another one.

sub killed {
    my $cluster = cluster();
    my $t = $cluster->node(0);
    my $c = $cluster->established(0);

    is(relays($cluster, $c, 3), 0, 'before');

    $t->allow_kills();
    $cluster->move($c, 1);

    for my $n (1 .. 3) {
        my ($worker) = $t->workers();

        kill 'STOP', $worker;

        $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        $c->post_send($c->tls_out());

        sleep 0.3;
        kill 'KILL', $worker;

        my $r = $c->post_receive();

        is($r && $r->status(), 200, "worker $n is killed");

        last unless $r && $r->status() == 200;

        $c->tls_in($r->body());
        like($c->read_plain(), qr/node0\z/, '... decrypted');
    }

    $cluster->done_testing();
}


# A new connection and its TLS handshake may take two seconds, and then the other
# machine has five seconds for its answer.

sub late {
    # the first piece is all that the handshake needs

    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1,
                                           peer => 'ssl_protocols TLSv1.3;');
    my $t = $cluster->node(0);
    my $port = $t->port('late');

    $cluster->write_conf(0, address => "127.0.0.1:$port");
    Test::Atls::Relay->start($t, $port, $t->port(9), late => 3);
    $cluster->run();

    is(relays($cluster, $cluster->established(0), 2), 0, 'POSTs');

    $cluster->done_testing();
}
