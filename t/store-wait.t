# POSTs that wait for the store: their client is gone, the process is told to
# quit, the connection to the store is lost.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;
use Test::Atls::Http qw( http_connect read_response send_all );


Test::Atls::Cluster->require_redis();

my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1,
                                       mode => 'each', store => 'timeout=60s',
                                       log_level => 'debug');

plan(skip_all => 'no debug log')
    unless $cluster->node(0)->has_option('debug');

$cluster->run();

client_is_gone();
quit();
put_before_quit();
store_is_gone();

my ($records, @twice) = $cluster->sealed_twice();

is("@twice", '', "$records records, none of them sealed twice");

$cluster->done_testing();


# Begins a POST to a machine while the store is stopped, and returns its socket
# when it waits for the store.

sub waiting {
    my ($c, $n) = @_;

    my $t = $cluster->node($n);

    kill 'STOP', $cluster->{redis};

    my $waiting = qr/atls \w+ store take$/m;
    my $before = () = $t->read_file('error.log') =~ /$waiting/g;

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $c->{unsent} = $c->tls_out();

    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post($c->{unsent}, Connection => 'close'));

    $t->wait_for(sub {
        my $now = () = $t->read_file('error.log') =~ /$waiting/g;
        return $now > $before;
    });

    return $s;
}


# The session is taken nevertheless, and stays on this machine.

sub client_is_gone {
    my $c = $cluster->established(0);
    my $t = $cluster->node(1);
    my $s = waiting($c, 1);

    close $s;
    $t->wait_for_log(qr/client prematurely closed connection/);
    kill 'CONT', $cluster->{redis};
    $t->wait_for_log(qr/store taken: 1, waiting:0/);

    like($cluster->get($c, 0), qr/^127.* node1/, 'relayed to its machine');
    like($cluster->get($c, 0), qr/^127.* node0/, 'the session continues');
}


sub quit {
    my $c = $cluster->established(0);
    my $t = $cluster->node(1);
    my $s = waiting($c, 1);
    my $pid = delete $t->{pid};

    kill 'QUIT', $pid;
    $t->wait_for_log(qr/gracefully shutting down/);
    kill 'CONT', $cluster->{redis};

    my $r = read_response($s);

    is($r && $r->status(), 200, 'a response from a process that quits');

    delete $c->{unsent};
    $c->tls_in($r->body());
    like($c->read_plain(), qr/node1\z/, '... decrypted');

    $t->wait_for(sub { waitpid($pid, 1) != 0 });
    like($cluster->get($c, 0), qr/^127.* node0/, 'the session continues');

    $t->run();
    $cluster->wait_for_nodes();
}


# A session with a POST in progress is put out when this is finished.

sub put_before_quit {
    my $c = $cluster->established(0);
    my $t = $cluster->node(1);

    $cluster->get($c, 1);
    is(scalar(grep { $cluster->redis('GET', $_) =~ /^S/ } $cluster->sessions()),
       3, 'all sessions are in the store');

    $t->stop();
    like($cluster->get($c, 0), qr/^127.* node0/, 'the session continues');
    $t->run();
    $cluster->wait_for_nodes();
}


# Whether the session was taken is not known: it is not used.

sub store_is_gone {
    my $c = $cluster->established(0);
    my $s = waiting($c, 1);

    $cluster->stop_redis();

    my $r = read_response($s);

    is($r && $r->status(), 503, 'the connection is lost');
    is($r && $r->header('Retry-After'), 1, '... Retry-After');

    $cluster->start_redis();
    $cluster->wait_for_nodes();
    $cluster->node(1)->wait_for(sub {
        $cluster->status($c, 1) !~ /^503/
    });
    is($c->last_response()->status(), 410, 'the session is lost');
}
