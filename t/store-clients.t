# What clients see of several machines: lost sessions are resumed on any of
# them, early data are accepted once; access and limits are those of the machine
# that the client has reached; the store does not disclose cookies; clocks may
# differ.

use strict;
use warnings;

use MIME::Base64 qw( decode_base64url );
use Test::More;

use Test::Atls::Client;
use Test::Atls::Clock;
use Test::Atls::Cluster;
use Test::Atls::Slow qw( slow );


my $INNER = 'location / { return 200 "$remote_addr $atls_node_name'
            . ' $atls_session_reused $atls_early_data"; }';

Test::Atls::Cluster->require_redis();

subtest 'resumed' => \&resumed;
subtest 'early data' => \&early_data;
subtest 'access and limits' => \&access_and_limits;
subtest 'exchanged' => \&exchanged;

for my $mode (qw( lazy each )) {
    subtest "$mode: secrets" => sub { secrets($mode) };
    subtest "$mode: clocks, $_ is ahead" => sub { clocks($mode, $_) } for 0, 1;
}

done_testing();


sub cluster {
    my (%args) = @_;

    return Test::Atls::Cluster->new(nodes => 2, inner => $INNER, %args);
}


sub stack {
    my ($cluster, $n, %args) = @_;

    return $cluster->node($n)->stack('openssl', uri => '/atls', keepalive => 0,
                                     host_header => 'localhost',
                                     protocol => 'TLSv1.3', %args);
}


sub body {
    my ($c) = @_;

    my $r = $c->get('/') or return $c->error();

    return $r->body();
}


# A client of a machine, and the session for the next one.

sub session {
    my ($cluster, $n) = @_;

    my $c = stack($cluster, $n);

    $c->handshake() or die $c->error() . "\n";
    body($c);

    return $c->session();
}


# The machine of the session is killed: 410 at once, and one handshake.

sub resumed {
    my $cluster = cluster()->run();
    my $c = $cluster->established(0);

    like($cluster->get($c, 0), qr/node0 \. \z/, 'a session');

    my $session = session($cluster, 0);

    $cluster->kill_node(0);

    my $began = time;

    is($cluster->status($c, 1), '410 session-foreign', 'its machine is killed');

    # a machine that shuts down is waited for ten seconds

    cmp_ok(time - $began, '<', 8 * slow(), '... answered at once');

    my $again = stack($cluster, 1, session => $session);

    ok($again->handshake(), 'a new session on another machine');
    like(body($again), qr/node1 r \z/, '... is resumed');

    $cluster->node(0)->run();
    $cluster->done_testing();
}


sub early {
    my ($cluster, $n, $session) = @_;

    my $early = Test::Atls::Client::format_request('GET', '/', '',
                                                   Host => 'localhost');
    my $c = stack($cluster, $n, session => $session, early => $early);

    $c->handshake() or return $c->error();

    return $c->early_status() . ' ' . body($c);
}


# Only the machine that has issued the ticket accepts them, and once.

sub early_data {
    my $cluster = cluster(location => 'atls_early_data on;')->run();
    my $session = session($cluster, 0);

    like(early($cluster, 1, $session), qr/^rejected .*node1 /,
         'early data at another machine');
    like(early($cluster, 0, session($cluster, 0)), qr/^accepted .*node0 /,
         'at the same one');

    $session = session($cluster, 0);

    my @results = map { early($cluster, $_, $session) } 0, 0, 1, 0;

    is((grep { /^accepted/ } @results), 1, 'a ticket is used again: once');

    $cluster->done_testing();
}


# How many POSTs are not refused.

sub accepted {
    my ($cluster, $c, $n) = @_;

    for my $posts (0 .. 20) {
        $cluster->get($c, $n);
        return $posts if $c->last_response()->status() == 429;
    }

    return 'all';
}


# A machine, or the store, may be slow when this one is busy.

sub served {
    my ($cluster, $c, $n) = @_;

    my $body;

    $cluster->node($n)->wait_for(sub {
        $body = $cluster->get($c, $n);
        return $body ne 'HTTP 503';
    });

    return $body;
}


# A POST counts at the machine that has received it, and is not refused by the
# other one.

sub access_and_limits {
    my $cluster = cluster(
        http => 'limit_req_zone $server_name zone=one:1m rate=1r/m;',
        location => 'limit_req zone=one burst=9 nodelay;'
                    . ' limit_req_status 429;')->run();

    my $c = $cluster->established(0);
    my $used = $c->posts();

    is(accepted($cluster, $c, 1), 10, 'ten POSTs by way of one machine');

    $c = $cluster->established(0);
    $used += $c->posts();

    is(accepted($cluster, $c, 0), 10 - $used, 'ten at the other one');

    # "deny" where the session is, and where the client is

    $cluster->write_conf(0, http => '', location => '');
    $cluster->write_conf(1, http => '', location => '');
    $_->reload() for $cluster->nodes();

    $c = $cluster->established(0);
    like(served($cluster, $c, 1), qr/node0/, 'allowed');

    $cluster->write_conf(0, http => '', location => 'deny all;');
    $cluster->node(0)->reload();

    like($cluster->get($c, 0), qr/ 403/, 'denied at the machine');
    like(served($cluster, $c, 1), qr/node0/, '... and allowed elsewhere');

    $cluster->write_conf(0, http => '', location => '');
    $cluster->write_conf(1, http => '', location => 'deny all;');
    $_->reload() for $cluster->nodes();

    like($cluster->get($c, 1), qr/ 403/, 'denied elsewhere');
    like($cluster->status($c, 0), qr/node0/, '... and allowed at the machine');

    $cluster->done_testing();
}


# The names of keys are those of logs; nothing has a cookie, or its identifier.

sub secrets {
    my ($mode) = @_;

    my $cluster = cluster(mode => $mode,
        inner => 'location / { return 200 "$atls_session_id"; }')->run();
    my $c = $cluster->established(0);
    my $id = $cluster->get($c, 0);
    my $cookie = $c->cookie();

    $cluster->node(0)->stop() if $mode eq 'lazy';

    my @keys = $cluster->sessions();

    is("@keys", "atls:$id", 'a session in the store');

    my $data = join "\n", map { "$_ " . $cluster->redis('GET', $_) } @keys;

    cmp_ok(length $data, '>', 500, 'a state');

    for my $secret ($cookie, decode_base64url($cookie),
                    substr(decode_base64url($cookie), 0, 16), 'localhost')
    {
        is(index($data, $secret), -1, 'no secret');
    }

    is($cluster->get($c, 1), $id, 'the session continues');

    $cluster->node(0)->run() if $mode eq 'lazy';

    # the machine of a session, in its cookie

    my %tags = map { substr(decode_base64url($_->cookie()), 16) => 1 }
               map { $cluster->established(0) } 1 .. 8;

    cmp_ok(scalar keys %tags, '>', 1, 'cookies do not tell the machine');

    $cluster->done_testing();
}


# Somebody who can write to the store exchanges the states of two sessions.

sub exchanged {
    my $cluster = cluster(mode => 'each')->run();
    my @clients = map { $cluster->established(0) } 1, 2;
    my @keys = $cluster->sessions();
    my @values = map { $cluster->redis('GET', $_) } @keys;

    is(scalar @keys, 2, 'two sessions in the store');
    $cluster->redis('SET', $keys[$_], $values[1 - $_], 'PX', 60000) for 0, 1;

    like($cluster->connected($_, 1), qr/^410/, 'the state of another session')
        for @clients;
    like($cluster->node(1)->read_file('error.log'),
         qr/has sent: a reply to another command/, '... logged');

    $cluster->done_testing();
}


# An hour is more than a session may be idle.  One of them is ahead: with the
# other one behind, certificates of the test would not be valid yet.

sub clocks {
    my ($mode, $ahead) = @_;

    my $cluster = cluster(mode => $mode,
                          location => 'atls_session_timeout 100s;');
    my $clock = Test::Atls::Clock->new($cluster->node($ahead));

    my $start = sub {
        my ($n) = @_;
        my $run = sub { $cluster->node($n)->run() };

        $n == $ahead ? $clock->with($run) : $run->();
        $cluster->wait_for_nodes() if $cluster->node(1 - $n)->pid();
    };

    $clock->set(3600);
    $cluster->start_redis();
    $start->($_) for 0, 1;

    my @clients = map { $cluster->established($_) } 0, 1;

    for my $n (1, 0, 1) {
        like(served($cluster, $_, $n), qr/^127.* node/, "machine $n")
            for @clients;
    }

    my $session = session($cluster, 1);

    $cluster->node(1)->stop();
    like(served($cluster, $_, 0), qr/^127.* node0/, 'on the other machine')
        for @clients;

    my $c = stack($cluster, 0, session => $session);

    ok($c->handshake() && body($c) =~ /node0/, '... with a ticket');
    $session = $c->session();

    $start->(1);
    $cluster->node(0)->stop();
    like(served($cluster, $_, 1), qr/^127.* node1/, '... and back')
        for @clients;

    $c = stack($cluster, 1, session => $session);

    ok($c->handshake() && body($c) =~ /node1/, '... with a ticket');

    $start->(0);
    $cluster->done_testing();
}
