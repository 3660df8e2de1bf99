# POSTs that wait on their machine for the rest of a record, while their session
# is put into the store: it is taken back, unless another machine has it.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;
use Test::Atls::Http qw( http_connect read_response send_all );


Test::Atls::Cluster->require_redis();

for my $workers (1, 3) {
    subtest "$workers workers: sent twice" => sub { twice($workers, 0) };
    subtest "$workers workers: taken" => sub { twice($workers, 1) };
    subtest "$workers workers: shutdown" => sub { shutdown_waits($workers, 0) };
    subtest "$workers workers: shutdown, taken" => sub {
        shutdown_waits($workers, 1);
    };
}

subtest 'store down' => \&store_down;

done_testing();


sub cluster {
    my ($mode, $workers) = @_;

    my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => $workers,
                                           mode => $mode, log_level => 'debug');

    plan(skip_all => 'no debug log')
        unless $cluster->node(0)->has_option('debug');

    return $cluster->run();
}


# A POST without its last bytes.  Returns the socket when it waits for them.

sub begin {
    my ($cluster, $c, $record) = @_;

    my $t = $cluster->node(0);
    my $before = put_back($t);
    my $s = http_connect($t->port(0));

    send_all($s,
        substr $c->format_post($record, Connection => 'close'), 0, -10);

    $t->wait_for(sub { put_back($t) > $before });

    return $s;
}


sub put_back {
    my ($t) = @_;

    return scalar(() = $t->read_file('error.log') =~ /atls \w+ put back$/mg);
}


sub end {
    my ($s, $record) = @_;

    send_all($s, substr $record, -10);

    return read_response($s);
}


sub record {
    my ($c) = @_;

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    return $c->tls_out();
}


sub is_wait {
    my ($r, $what) = @_;

    is($r && $r->status(), 503, $what);
    is($r && $r->header('Retry-After'), 1, '... Retry-After');
}


sub finish {
    my ($cluster) = @_;

    my ($records, @twice) = $cluster->sealed_twice();

    is("@twice", '', "$records records, none of them sealed twice");
    $cluster->done_testing();
}


# With "each", the response of the other one is repeated.

sub twice {
    my ($workers, $taken) = @_;

    my $cluster = cluster('each', $workers);
    my $c = $cluster->established(0);
    my $record = record($c);
    my $s = begin($cluster, $c, $record);
    my $first = $cluster->move($c, 0)->post($record);

    is($first && $first->status(), 200, 'a POST');
    $c->tls_in($first->body());
    like($c->read_plain(), qr/node0\z/, '... decrypted');

    like($cluster->get($c, 1), qr/^127.* node1/, '... and elsewhere')
        if $taken;

    my $r = end($s, $record);

    if ($taken) {
        is($r && $r->status(), 409, 'the one that has waited');

    } else {
        is($r && $r->status(), 200, 'the one that has waited');
        is($r && $r->body(), $first->body(), '... the same response');
    }

    # the session is in the store again

    $cluster->node(0)->wait_for(sub {
        grep { ($cluster->redis('GET', $_) // '') =~ /^S/ }
             $cluster->sessions()
    });

    like($cluster->get($c, $_), qr/^127.* node$_/, "machine $_") for 1, 0;

    finish($cluster);
}


sub shutdown_waits {
    my ($workers, $taken) = @_;

    my $cluster = cluster('lazy', $workers);
    my $t = $cluster->node(0);
    my $c = $cluster->established(0);
    my $record = record($c);
    my $s = begin($cluster, $c, $record);
    my $pid = delete $t->{pid};

    kill 'QUIT', $pid;
    $t->wait_for(sub {
        grep { ($cluster->redis('GET', $_) // '') =~ /^S/ }
             $cluster->sessions()
    });

    if ($taken) {
        my $r = $cluster->move($c, 1)->post($record);

        is($r && $r->status(), 200, 'the POST is sent elsewhere');
        $c->tls_in($r->body());
        like($c->read_plain(), qr/node1\z/, '... decrypted');

        is_wait(end($s, $record), 'the one that has waited');

    } else {
        my $r = end($s, $record);

        is($r && $r->status(), 200, 'the one that has waited');
        $c->tls_in($r->body());
        like($c->read_plain(), qr/node0\z/, '... decrypted');
    }

    ok($t->wait_for(sub { waitpid($pid, 1) != 0 }), 'the processes exit');
    like($cluster->get($c, 1), qr/^127.* node1/, 'the session continues');

    $t->run();
    finish($cluster);
}


sub store_down {
    my $cluster = cluster('each', 1);
    my $t = $cluster->node(0);
    my $c = $cluster->established(0);
    my $record = record($c);
    my $s = begin($cluster, $c, $record);
    my $first = $cluster->move($c, 0)->post($record);

    $c->tls_in($first->body());
    like($c->read_plain(), qr/node0\z/, 'a POST');

    $cluster->stop_redis();
    is_wait(end($s, $record), 'the store is down');
    $cluster->start_redis();
    $cluster->wait_for_nodes();

    finish($cluster);
}
