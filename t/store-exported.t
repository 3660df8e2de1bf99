# Requests with exported keys: numbers that were used on one machine are refused
# on the next one, to which the session went, and so are repetitions there.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;
use Test::Atls::Message;


my $GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
my $INNER = <<'EOC';
location / { return 200 "$remote_addr $atls_node_name"; }

location /upload { proxy_pass http://127.0.0.1:%%PORT_0%%/length; }

location /length { return 200 "$content_length"; }
EOC

plan(skip_all => 'no redis-server') unless grep { -x "$_/redis-server" }
                                           split /:/, $ENV{PATH};

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


# The session goes to a machine, and stays there: the request is unfinished.

sub uploads {
    my ($cluster, $c, $n) = @_;

    $cluster->move($c, $n);
    $c->write_plain("POST /upload HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 10\r\n\r\n");
    $c->exchange($c->tls_out());
    is($c->last_response()->status(), 200, "a request begins at machine $n");
}


sub uploaded {
    my ($c) = @_;

    $c->write_plain('x' x 10);
    $c->exchange($c->tls_out());
    like($c->read_plain(), qr!^HTTP/1.1 200 !, 'the request is finished');
}


sub moved {
    my ($mode, $protocol) = @_;

    my $cluster = Test::Atls::Cluster->new(nodes => 2, mode => $mode,
                                           inner => $INNER,
                                           location => 'atls_exported_keys on;')
                                     ->run();
    my $c = $cluster->established(0, protocol => $protocol);
    my $m = Test::Atls::Message->new($c);

    # with "each", a session is on no machine after a POST, except if a request
    # is unfinished

    if ($mode eq 'each') {
        is(message($cluster, $m, 0, 3), '410 session-unknown', 'in the store');
        uploads($cluster, $c, 0);
    }

    like(message($cluster, $m, 0, $_), qr/node0/, "number $_ at machine 0")
        for 0, 5, 7;
    is(message($cluster, $m, 0, 5), '409 message-repeated', '... again');

    if ($mode eq 'lazy') {
        $cluster->node(0)->stop();
        brought($cluster, $c, 1);

    } else {
        uploaded($c);
        uploads($cluster, $c, 1);
    }

    is(message($cluster, $m, 1, $_), '409 message-repeated',
       "number $_ at machine 1") for 0, 5, 7;
    like(message($cluster, $m, 1, 6), qr/node1/, 'another number');
    is(message($cluster, $m, 1, 6), '409 message-repeated', '... again');
    like(message($cluster, $m, 1, 1000), qr/node1/, 'a large number');
    is(message($cluster, $m, 1, 8), '409 message-repeated',
       'a number that is too small now');

    # and back

    $cluster->node(0)->run() if $mode eq 'lazy';
    $cluster->wait_for_nodes();

    if ($mode eq 'lazy') {
        $cluster->node(1)->stop();
        brought($cluster, $c, 0);

    } else {
        uploaded($c);
        uploads($cluster, $c, 0);
    }

    is(message($cluster, $m, 0, $_), '409 message-repeated',
       "number $_ at machine 0") for 5, 6, 1000;
    like(message($cluster, $m, 0, 1001), qr/node0/, 'the next number');

    if ($mode eq 'lazy') {
        $cluster->node(1)->run();

    } else {
        uploaded($c);
    }

    $cluster->done_testing();
}
