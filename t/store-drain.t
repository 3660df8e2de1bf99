# A machine that shuts down, with a connection on which a POST arrives late: it
# takes its session from the store, and puts it out again, also if the POST is
# not the next one.

use strict;
use warnings;

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls::Cluster;
use Test::Atls::Drain qw( begun ended finished $REQUEST );
use Test::Atls::Elsewhere qw( connect_to );
use Test::Atls::FalseStore;
use Test::Atls::Http qw( read_response send_all );


Test::Atls::Cluster->require_redis();

for my $workers (1, 3) {
    subtest "$workers workers: next" => sub { drained($workers, 0) };
    subtest "$workers workers: not next" => sub { drained($workers, 1) };
}

subtest 'for long' => \&long;
subtest 'a process that is the first to finish' => \&first;
subtest 'a process that is late' => \&late;
subtest 'a pending connection' => \&pending;
subtest 'refused' => \&refused;
subtest 'a replica' => \&replica;
subtest 'refused late' => \&refused_late;
subtest 'refused late, without its client' => \&refused_alone;

done_testing();


sub drained {
    my ($workers, $skipped) = @_;

    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => $workers)
                                     ->run();
    my $t = $cluster->node(0);
    my $c = $cluster->established(0);

    like($cluster->get($c, 0), qr/^127.* node0/, 'a session');

    my @records;

    for (0, 1) {
        $c->write_plain($REQUEST);
        $records[$_] = $c->tls_out();
    }

    my $post = $c->format_post($records[$skipped], Connection => 'close');
    my $begun = length($post) - length($records[$skipped]) - 10;


    # the connection of an unfinished POST keeps its process

    my $s = connect_to($t, ($t->workers())[0], substr($post, 0, $begun),
                       port => $t->port(0));
    my $pid = delete $t->{pid};

    kill 'QUIT', $pid;
    $t->wait_for(sub {
        grep { ($cluster->redis('GET', $_) // '') =~ /^S/ }
             $cluster->sessions()
    });
    sleep 0.2;

    # the head ends here, and the store is asked

    send_all($s, substr $post, $begun);

    my $r = read_response($s);

    is($r && $r->status(), $skipped ? 409 : 200, 'a POST at the machine');
    close $s;

    if (!$skipped) {
        $c->tls_in($r->body());
        like($c->read_plain(), qr/node0\z/, '... decrypted');
    }

    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');

    $cluster->move($c, 1);

    for my $record ($skipped ? @records : $records[1]) {
        $r = $c->post($record);
        is($r && $r->status(), 200, 'on the other machine: next');

        $c->tls_in($r->body()) if $r && $r->status() == 200;
        like($c->read_plain(), qr/node1\z/, '... decrypted');
    }

    $t->run();
    $cluster->done_testing();
}


# Longer than a machine is known without telling the store: a POST that arrives
# elsewhere waits for the one in progress.

sub long {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1)->run();
    my $t = $cluster->node(0);
    my $c = $cluster->established(0);
    my @records = map { $c->write_plain($REQUEST); $c->tls_out() } 1 .. 3;
    my $post = $c->format_post($records[0] . $records[1],
                               Connection => 'close');

    # the first record is complete

    my $s = connect_to($t, ($t->workers())[0], substr($post, 0, -10),
                       port => $t->port(0));
    my $pid = delete $t->{pid};

    kill 'QUIT', $pid;
    sleep 7;

    ok($cluster->wait_for_nodes(), 'still known');

    $cluster->move($c, 1);
    $c->post_send($records[2]);
    sleep 0.5;
    send_all($s, substr $post, -10);

    for my $r (read_response($s), $c->post_receive()) {
        is($r && $r->status(), 200, 'a POST');
        $c->tls_in($r->body()) if $r && $r->status() == 200;
    }

    like($c->read_plain(), qr/node0.*node0.*node1\z/s,
         '... decrypted');

    close $s;
    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');

    $t->run();
    $cluster->done_testing();
}


# A process that has put all of its sessions out, while another one has not: the
# machine is still known.

sub first {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 2)->run();
    my $t = $cluster->node(0);
    my @begun = map { begun($cluster, $_) } $t->workers();
    my $pid = delete $t->{pid};

    kill 'QUIT', $pid;
    $t->wait_for(sub {
        grep { $cluster->redis('GET', $_) =~ / l\z/ }
             @{$cluster->redis('KEYS', '*node:*')}
    });

    my $c = finished($begun[1]);

    like($cluster->get($c, 1), qr/^127.* node1/, 'its session is put out');

    my $until = time + 2;
    my $forgotten = 0;

    while (time < $until) {
        $forgotten += @{$cluster->redis('KEYS', '*node:*')} != 2;
        sleep 0.01;
    }

    is($forgotten, 0, 'the machine is known while it has the other session');

    $c = finished($begun[0]);

    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');
    ok($cluster->wait_for_nodes(1), 'the machine is not known any more');
    like($cluster->get($c, 1), qr/^127.* node1/, 'the other session');

    $t->run();
    $cluster->done_testing();
}


# A process that is told to exit does not wait for another one for long, since
# that may continue.  Here it does not, but was stopped.

sub late {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 2)->run();
    my $t = $cluster->node(0);
    my ($worker, $stopped) = $t->workers();
    my $begun = begun($cluster, $worker);
    my $pid = delete $t->{pid};

    kill 'STOP', $stopped;
    kill 'QUIT', $pid;
    sleep 1.5;
    kill 'CONT', $stopped;
    ok($t->wait_for(sub { !kill 0, $stopped }), 'the late process exits');

    my $c = finished($begun);

    like($cluster->get($c, 1), qr/^127.* node1/, 'the session is put out');
    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');

    $t->run();
    $cluster->done_testing();
}


# The connection to a machine is pending for long, and reset when the machine has
# put the session out.  Here, the test has the address of the machine.

sub pending {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1);
    my $t = $cluster->node(0);
    my $machine = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5,
                                        LocalPort => $t->port(8),
                                        ReuseAddr => 1, Timeout => 60)
        or die "listen: $!\n";

    $cluster->write_conf(0, address => '127.0.0.1:' . $t->port(8));
    $cluster->run();

    my $c = $cluster->established(0);

    $cluster->move($c, 1);
    $c->write_plain($REQUEST);
    $c->post_send($c->tls_out());

    my $s = $machine->accept() or die "no connection\n";

    sleep 1.1;
    $t->signal('QUIT');
    $t->wait_for(sub { $cluster->sessions() });

    # the ClientHello is not read: both are reset

    close $machine;
    close $s;

    my $r = $c->post_receive();

    is($r && $r->status(), 200, 'a POST');
    $c->tls_in($r->body()) if $r && $r->status() == 200;
    like($c->read_plain(), qr/node1\z/, '... decrypted');

    $cluster->done_testing();
}


# A store that accepts no session, and whose answers are later than the process
# looks for sessions.

sub refused {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1);
    my $t = $cluster->node(0);
    my $store = Test::Atls::FalseStore->new($t, $cluster->{redis_port});

    $cluster->write_conf(0, redis_port => $store->port());
    $cluster->run();
    $cluster->established(0);
    $store->put("<pause>-CLUSTERDOWN Hash slot not served\r\n");

    $t->signal('QUIT');
    ok($t->wait_for(sub { $t->_died() }), 'the processes exit');
    like($t->read_file('error.log'),
         qr/atls sessions lost, they cannot be put into the store: 1$/m,
         '... which is logged');

    $cluster->done_testing();
}


# All sessions are refused at once.

sub replica {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1)->run();
    my $t = $cluster->node(0);
    my @clients = map { $cluster->established(0) } 1 .. 20;

    $cluster->redis('REPLICAOF', '127.0.0.1', $t->port('none'));
    $t->signal('QUIT');
    $t->wait_for_log(qr/has refused a command: READONLY/);
    $cluster->redis('REPLICAOF', 'NO', 'ONE');

    my $failed = join ', ', grep { !/^127.* node1/ }
                            map { $cluster->connected($_, 1) } @clients;

    is($failed, '', 'a store that is a replica for a while');
    ok($t->wait_for(sub { $t->_died() }), 'the processes exit');

    $cluster->done_testing();
}


# A request is complete after all other sessions were put out, and the store
# refuses its session for a while.

sub refused_late {
    my ($cluster, $c, $s, $rest, $pid) = late_request();
    my $t = $cluster->node(0);
    my $r = ended($s, $c, $rest);

    is($r && $r->status(), 200, 'a POST');
    like($c->read_plain(), qr/node0\z/, '... decrypted');

    $t->wait_for_log(qr/has refused a command: OOM/);
    $cluster->redis('CONFIG', 'SET', 'maxmemory', '0');

    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');
    like($cluster->connected($c, 1), qr/^127.* node1/, 'the session is in the store');

    $t->run();
    $cluster->done_testing();
}


# The same, when the client does not wait for the store.

sub refused_alone {
    my ($cluster, $c, $s, $rest, $pid) = late_request();
    my $t = $cluster->node(0);

    $cluster->redis('CLIENT', 'PAUSE', '2000');
    send_all($s, $rest);
    $t->wait_for_log(qr/store put: 0$/m);
    close $s;

    $t->wait_for_log(qr/has refused a command: OOM/);
    $cluster->redis('CONFIG', 'SET', 'maxmemory', '0');
    like($t->read_file('error.log'), qr/store put done: 1, waiting:0$/m,
         'nobody waits');

    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');
    is(scalar(grep { $cluster->redis('GET', $_) =~ /^S/ } $cluster->sessions()),
       1, 'the session is in the store');

    $t->run();
    $cluster->done_testing();
}


# The cluster, the client, the socket, the rest of a POST, and the process.

sub late_request {
    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1,
                                           log_level => 'debug');
    my $t = $cluster->node(0);

    plan(skip_all => 'no debug log') unless $t->has_option('debug');
    $cluster->run();

    my $c = $cluster->established(0);

    $c->write_plain("GET / HTTP/1.1\r\n");
    $c->exchange($c->tls_out());
    $c->write_plain("Host: localhost\r\n\r\n");

    my $post = $c->format_post($c->tls_out(), Connection => 'close');
    my $s = connect_to($t, ($t->workers())[0], substr($post, 0, 20),
                       port => $t->port(0));
    my $pid = delete $t->{pid};

    kill 'QUIT', $pid;
    $t->wait_for_log(qr/atls drain done/);
    $cluster->redis('CONFIG', 'SET', 'maxmemory', '1');

    return ($cluster, $c, $s, substr($post, 20), $pid);
}
