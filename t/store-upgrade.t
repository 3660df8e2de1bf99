# A binary upgrade of a machine with a store, as described in docs/deployment.md,
# and its reversal: the old processes put their sessions into the store, the new
# ones take them.  Also if the new ones run before all sessions are put out.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls::Cluster;
use Test::Atls::Daemon;
use Test::Atls::Elsewhere qw( connect_to );
use Test::Atls::Http qw( read_response send_all );
use Test::Atls::Process qw( alive );


plan(skip_all => 'nginx would start its new binary without the wrapper')
    if $ENV{TEST_NGINX_WRAPPER};

Test::Atls::Cluster->require_redis();

my $SESSIONS = 20;

for my $mode (qw( lazy each )) {
    subtest $mode => sub { upgraded($mode) };
}

done_testing();


# The signals, in the order of docs/deployment.md.

sub winch {
    my ($t) = @_;

    my @workers = $t->workers();

    $t->signal('WINCH');
    $t->wait_for_log(qr/ $_#$_: gracefully shutting down/) for @workers;
}


# Each session sends a request to this machine, and to the other one.

sub go_on {
    my ($cluster, $what, @clients) = @_;

    for my $n (0, 1, 0) {
        my $failed = join ', ', grep { !/^127/ }
                                map { $cluster->status($_, $n) } @clients;

        is($failed, '', "$what: requests to machine $n");
    }
}


sub upgraded {
    my ($mode) = @_;

    my $cluster = Test::Atls::Cluster->new(nodes => 2, mode => $mode,
                                           class => 'Test::Atls::Daemon')
                                     ->run();
    my $t = $cluster->node(0);
    my $old = $t->pid();
    my @clients = map { $cluster->established($_ % 2) } 1 .. $SESSIONS;

    go_on($cluster, 'before', @clients);

    winch($t);
    $t->signal('USR2');
    ok($t->wait_for(sub { $t->upgraded() }), 'the new binary runs');

    my $new = $t->pid();

    go_on($cluster, 'new binary', @clients);

    # back

    winch($t);
    kill 'HUP', $old;
    kill 'QUIT', $new;
    ok($t->wait_for(sub { !alive($new) && !$t->old_pid() }), 'and back');

    go_on($cluster, 'old binary', @clients);

    # again; an old process has an unfinished POST while the new ones run

    my $slow = $cluster->established(0);
    my $s = begin_post($cluster, $slow);

    winch($t);
    $t->signal('USR2');
    ok($t->wait_for(sub { $t->upgraded() }), 'another upgrade');
    kill 'QUIT', $t->old_pid();

    go_on($cluster, 'new binary', @clients);
    end_post($cluster, $slow, $s);

    ok($t->wait_for(sub { !alive($old) && !$t->old_pid() }),
       'the old processes exit');

    go_on($cluster, 'only the new binary', $slow, @clients);

    # the old processes are slow: a POST waits for its session

    $old = $t->pid();

    my @workers = $t->workers();
    my $waits = $cluster->established(0);

    kill 'STOP', @workers;
    $t->signal('WINCH');
    $t->signal('USR2');
    ok($t->wait_for(sub { $t->upgraded() }), 'the old processes are slow');

    $waits->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $waits->post_send($waits->tls_out());

    sleep 0.5;
    kill 'CONT', @workers;

    my $r = $waits->post_receive();

    is($r && $r->status(), 200, '... a POST waits');
    $waits->tls_in($r->body()) if $r && $r->status() == 200;
    like($waits->read_plain(), qr/node0\z/, '... decrypted');

    kill 'QUIT', $old;
    ok($t->wait_for(sub { !alive($old) && !$t->old_pid() }), '... and exit');

    go_on($cluster, 'after it', $waits, @clients);

    $cluster->done_testing();
}


sub begin_post {
    my ($cluster, $c) = @_;

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my $t = $cluster->node(0);
    my $record = $c->tls_out();
    my $post = $c->format_post($record, Connection => 'close');
    my $s = connect_to($t, ($t->workers())[0], substr($post, 0, -10),
                       port => $t->port(0));

    return [ $s, $record ];
}


# Its record was not complete, and the session is in the store meanwhile: it is
# taken back, and put out again.

sub end_post {
    my ($cluster, $c, $post) = @_;

    my ($s, $record) = @$post;

    send_all($s, substr $record, -10);

    like($c->decrypted(read_response($s)), qr/\A200 .*node0\z/s,
         'the POST of the old process');
}
