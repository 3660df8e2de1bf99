# Requests with exported keys: numbers that were used on one machine are refused
# on the next one, to which the session went, and so are repetitions there.  With
# "each", sessions that may send them stay on their machine, too.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;
use Test::Atls::Message;


my $GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
my $INNER = <<'EOC';
location / { return 200 "$remote_addr $atls_node_name"; }
EOC
my $LOCATION = <<'EOC';
atls_exported_keys  on;

location /atls/records {
    atls                on;
    atls_exported_keys  off;
}
EOC

Test::Atls::Cluster->require_redis();

for my $mode (qw( lazy each )) {
    for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
        subtest "$mode, $protocol" => sub { moved($mode, $protocol) };
    }
}

done_testing();


# The result of a message with a number, at a machine.

sub message {
    my ($cluster, $m, $n, $number) = @_;

    my $r = $m->http($GET, number => $number,
                     port => $cluster->node($n)->port(0));

    return $r ? $r->body() : $m->error();
}


# The session goes to a machine with a POST.

sub brought {
    my ($cluster, $c, $n) = @_;

    like($cluster->get($c, $n), qr/^127.* node$n/, "a POST to machine $n");
}


# How many sessions are in the store.

sub stored {
    my ($cluster) = @_;

    return scalar grep { $cluster->redis('GET', $_) =~ /^S/ }
                       $cluster->sessions();
}


sub moved {
    my ($mode, $protocol) = @_;

    my $cluster = Test::Atls::Cluster->new(nodes => 2, mode => $mode,
                                           inner => $INNER,
                                           location => $LOCATION)->run();
    my $c = $cluster->established(0, protocol => $protocol);
    my $m = Test::Atls::Message->new($c);

    brought($cluster, $c, 0);
    is(stored($cluster), 0, 'it is not in the store');

    my $records = $cluster->established(0, protocol => $protocol,
                                        uri => '/atls/records');

    brought($cluster, $records, 0);
    is(stored($cluster), $mode eq 'each' ? 1 : 0, 'a session with records');

    like(message($cluster, $m, 0, $_), qr/node0/, "number $_ at machine 0")
        for 0, 5, 7;
    is(message($cluster, $m, 0, 5), '409 message-repeated', '... again');

    is(message($cluster, $m, 1, 8), '410 session-foreign', 'at machine 1');

    $cluster->node(0)->stop();
    brought($cluster, $c, 1);

    is(message($cluster, $m, 1, $_), '409 message-repeated',
       "number $_ at machine 1") for 0, 5, 7;
    like(message($cluster, $m, 1, 6), qr/node1/, 'another number');
    is(message($cluster, $m, 1, 6), '409 message-repeated', '... again');
    like(message($cluster, $m, 1, 1000), qr/node1/, 'a large number');
    is(message($cluster, $m, 1, 8), '409 message-repeated',
       'a number that is too small now');

    # and back

    $cluster->node(0)->run();
    $cluster->wait_for_nodes();
    $cluster->node(1)->stop();
    brought($cluster, $c, 0);

    is(message($cluster, $m, 0, $_), '409 message-repeated',
       "number $_ at machine 0") for 5, 6, 1000;
    like(message($cluster, $m, 0, 1001), qr/node0/, 'the next number');

    $cluster->node(1)->run();
    $cluster->done_testing();
}
