# A store whose answers are late: no more commands are sent until it has caught
# up, and a session may be taken before the machine knows that it was put.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;
use Test::Atls::Elsewhere qw( connect_to );
use Test::Atls::FalseStore;
use Test::Atls::Http qw( http_connect read_response readable send_all );


Test::Atls::Cluster->require_redis();

subtest 'slow' => \&slow;
subtest 'taken back' => \&taken_back;

done_testing();


# Machine 0 uses the false store.

sub cluster {
    my (%args) = @_;

    my $cluster = Test::Atls::Cluster->new(nodes => 2, log_level => 'debug',
                                           %args);
    my $t = $cluster->node(0);

    plan(skip_all => 'no debug log') unless $t->has_option('debug');

    my $store = Test::Atls::FalseStore->new($t, $cluster->{redis_port});

    $cluster->write_conf(0, redis_port => $store->port());
    $cluster->run();

    # scripts are known to the server from now on

    my $c = $cluster->established(1);

    like($cluster->connected($c, 0), qr/^127/, 'a session');

    return ($cluster, $t, $store, $c);
}


# Sends a POST up to its body, and the body.

sub begin {
    my ($c, $record) = @_;

    my $post = $c->format_post($record, Connection => 'close');
    my $head = length($post) - length($record);

    return (substr($post, 0, $head), substr($post, $head));
}


sub record {
    my ($c) = @_;

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    return $c->tls_out();
}


sub lines {
    my ($t, $re) = @_;

    return scalar(() = $t->read_file('error.log') =~ /$re/g);
}


# Two commands are late.  An answer to the first one does not mean that the
# store is fast again.

sub slow {
    my ($cluster, $t, $store) = cluster(workers => 1, mode => 'lazy',
                                        store => 'timeout=1s');
    my @clients = map { $cluster->established(1) } 1 .. 3;
    my ($asked, $answered) = map { lines($t, qr/store taken: \d, waiting:$_$/m) }
                             1, 0;

    $store->answer('held');

    my @sockets = map {
        my $s = http_connect($t->port(0));

        send_all($s, join '', begin($_, record($_)));
        $s;
    } @clients[0, 1];

    is(read_response($_)->status(), 503, 'a late answer') for @sockets;

    $store->release();
    $t->wait_for(sub {
        lines($t, qr/store taken: \d, waiting:0$/m) > $answered
    });

    is($cluster->status($clients[2], 0), '503 store-unreachable',
       'another one is late');
    is(lines($t, qr/store taken: \d, waiting:1$/m), $asked + 2,
       'the store is not asked');

    $store->answer('');
    $store->release() for 1 .. 2;
    like($cluster->connected($clients[2], 0), qr/^127.* node1/, 'fast again');

    $cluster->done_testing();
}


# A POST is sent to two workers.  Both ask for the session, and the store
# executes the second command when the first POST is done, and the session is in
# the store again; the answer to this put is late.

sub taken_back {
    my ($cluster, $t, $store, $c) = cluster(workers => 2, mode => 'each');
    my @workers = $t->workers();
    my $record = record($c);

    $cluster->move($c, 0);

    my ($head, $body) = begin($c, $record);
    my ($line, $rest) = $head =~ /\A(.*?\r\n)(.*)\z/s;

    my @sockets = map { connect_to($t, $_, $line, port => $t->port(0)) }
                  @workers;
    my $asked = lines($t, qr/store take$/m);
    my $answered = lines($t, qr/store taken: \d, waiting:1$/m);

    $store->answer('crossed');

    for my $s (@sockets) {
        send_all($s, $rest . $body);
        $asked++;
        $t->wait_for(sub { lines($t, qr/store take$/m) == $asked });
    }

    $t->wait_for(sub {
        lines($t, qr/store taken: \d, waiting:1$/m) == $answered + 2
    });
    ok(!readable($sockets[0], 0.2), 'no response before the answer to the put');
    $store->release();

    my @answers = map { read_response($_) } @sockets;

    is($_ && $_->status(), 200, 'a POST') for @answers;
    ok($answers[1]->body() eq $answers[0]->body(), '... the same response');

    $store->answer('');
    $c->tls_in($answers[0]->body());
    like($c->read_plain(), qr/node0\z/, '... decrypted');

    like($cluster->connected($c, $_), qr/^127.* node$_/, "machine $_")
        for 1, 0;

    my ($records, @twice) = $cluster->sealed_twice();

    is("@twice", '', "$records records, none of them sealed twice");

    $cluster->done_testing();
}
