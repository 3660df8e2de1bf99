# A store with wrong answers.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;
use Test::Atls::FalseStore;
use Test::Atls::Http qw( read_response );


Test::Atls::Cluster->require_redis();

my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1,
                                       mode => 'each', log_level => 'debug');
my $t = $cluster->node(0);

plan(skip_all => 'no debug log') unless $t->has_option('debug');

my $store = Test::Atls::FalseStore->new($t, $cluster->{redis_port});

# machine 0 uses it

my $conf = $t->read_file('nginx.conf');
my $port = $store->port();

$t->write_file('nginx.conf', $conf =~ s!(redis://127\.0\.0\.1):\d+!$1:$port!r);
$cluster->run();

answers();
errors();
again();
puts_with_errors();

my ($records, @twice) = $cluster->sealed_twice();

is("@twice", '', "$records records, none of them sealed twice");

$cluster->done_testing();


sub answers {
    my @gone = ("*1\r\n\$1\r\nX\r\n", "\$1\r\nX\r\n", "+OK\r\n", "\$0\r\n\r\n",
                "*2\r\n\$1\r\nO\r\n\$0\r\n\r\n",
                "*2\r\n\$1\r\nO\r\n\$3\r\nabc\r\n",
                "*2\r\n\$1\r\nO\r\n\$2\r\nab\r\n",
                "*2\r\n\$0\r\n\r\n\$1\r\n1\r\n", "*2\r\n\$2\r\nab\r\n\$1\r\n1\r\n",
                "*2\r\n\$5000\r\n" . 'x' x 5000 . "\r\n\$1\r\n1\r\n",
                "*3\r\n\$1\r\na\r\n\$1\r\nb\r\n\$1\r\nc\r\n",
                "*2\r\n\$9\r\n" . 'x' x 9 . "\r\n:5\r\n",
                "*2\r\n*1\r\n\$1\r\nO\r\n\$2\r\nab\r\n",
                map({ "*1\r\n\$1\r\nX\r\n$_" }
                    "+OK\r\n", '+O', "<pause>+OK\r\n", "-ERR a\nforged\r\n",
                    "<pause>-ERR a\nforged\r\n"));

    # the machine that has created the session asks the Redis server

    my @none = ("*0\r\n", "*-1\r\n", "\$-1\r\n", ":1\r\n",
                "*2\r\n:1\r\n:2\r\n");
    my @wait = ("-ERR \0wrong\r\n", "hello\r\n", "*99999999999\r\n",
                "\$99999999999999999999\r\n",
                "\$9999999\r\n" . 'x' x 5_000_000, '+' . 'x' x 5_000_000);

    for ((map { [ $_, 410 ] } @gone), (map { [ $_, 127 ] } @none),
         map { [ $_, 503 ] } @wait)
    {
        my ($answer, $status) = @$_;
        my $c = $cluster->established(1);

        $cluster->connected($cluster->established(1), 0) if $status == 503;

        $store->answer($answer);

        my $got = '';

        $t->wait_for(sub {
            $got = $cluster->status($c, 0);
            return $got =~ /^$status/ || $got !~ /^503/;
        });

        is(($got =~ /^(\d+)/)[0], $status, 'an answer: '
                                      . substr($answer, 0, 40) =~ s/\W+/ /gr);

        disconnect() if $answer =~ /<pause>/;
        $store->answer('');
    }

    my $c = $cluster->established(1);

    $t->wait_for(sub { $cluster->status($c, 0) !~ /^503/ });
    like($cluster->get($c, 1), qr/^127/, 'right answers');

    my $log = $t->read_file('error.log');

    ok($log =~ /atls_store .* has sent: a $_/, "logged: a $_")
        for 'reply without a command', 'reply that is too long';
    ok($log !~ /^forged/m, 'no other lines in the log');
}


# A reply without a command closes the connection.  If a command is sent just
# then, this is the reply to it, and all others are replies to wrong commands.

sub disconnect {
    $store->answer("hello\r\n");

    $t->wait_for(sub {
        return $cluster->status($cluster->established(1), 0) =~ /^503/;
    });
}


# Errors are logged once a second, and without control characters.

sub errors {
    my $c = $cluster->established(1);

    $store->answer("-ERR a\tb\e" . 'x' x 1000 . "\r\n");

    my $began = time;

    $cluster->status($c, 0) for 1 .. 20;

    my ($text, $error) = ('', qr/has refused a command: (ERR a\?b.*)/);

    $t->wait_for(sub {
        $cluster->status($c, 0);
        ($text) = $t->read_file('error.log') =~ $error;
    });

    is($text, 'ERR a?b?' . 'x' x 92, 'an error');

    my $n = () = $t->read_file('error.log') =~ /command: ERR a\?b/g;

    cmp_ok($n, '<=', 2 + time - $began, 'errors are logged once a second');
    $store->answer('');
}


# The same state for two POSTs that wait at the same time: it is used once.

sub again {
    my $c = $cluster->established(1);
    my $sealed = () = $t->read_file('error.log') =~ /store take$/mg;

    $cluster->move($c, 0);
    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my $record = $c->tls_out();

    $store->answer('again');
    kill 'STOP', $cluster->{redis};

    my @sockets = map { $c->begin_post($record, Connection => 'close') } 1, 2;

    $t->wait_for(sub {
        my $now = () = $t->read_file('error.log') =~ /store take$/mg;
        return $now == $sealed + 2;
    });
    kill 'CONT', $cluster->{redis};

    my @status = map { my $r = read_response($_); $r ? $r->status() : 0 }
                 @sockets;

    is(scalar(grep { $_ == 200 } @status), 1, "one of both: @status");
    $store->answer('');
}


# The error of somebody who does not know whether the store has executed a put,
# such as a proxy: the session is only continued with what is in the store.

sub puts_with_errors {
    for my $error ('-ERR upstream failure', '-upstream failure', '-ERR timeout')
    {
        my $c = $cluster->established(0);

        $t->wait_for(sub { $cluster->get($c, 0) =~ /^127/ });
        $store->put("$error\r\n");
        like($cluster->get($c, 0), qr/^127/, "a put with an error: $error");
        $store->put('');

        $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

        my $record = $c->tls_out();
        my %bodies;

        for my $n (1, 0) {
            $cluster->move($c, $n);

            my $r = $c->post($record);
            $bodies{$r ? $r->status() . $r->body() : 'none'}++;
        }

        is(keys %bodies, 1, '... the same response on both machines');
        like(join('', keys %bodies), qr/^200./s, '... of one of them');
    }
}
