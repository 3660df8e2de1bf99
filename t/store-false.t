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
shifted($_) for "-ERR upstream failure\r\n", "\$-1\r\n";
false_puts();

my ($records, @twice) = $cluster->sealed_twice();

is("@twice", '', "$records records, none of them sealed twice");

$cluster->done_testing();


sub answers {
    my @gone = ("*1\r\n\$1\r\nX\r\n", "\$1\r\nX\r\n",
                "*2\r\n\$1\r\nO\r\n\$0\r\n\r\n",
                "*2\r\n\$1\r\nO\r\n\$3\r\nabc\r\n",
                "*2\r\n\$1\r\nO\r\n\$2\r\nab\r\n",
                "*2\r\n\$0\r\n\r\n\$1\r\n1\r\n",
                "*2\r\n\$2\r\nab\r\n\$1\r\n1\r\n",
                "*2\r\n\$5000\r\n" . 'x' x 5000 . "\r\n\$1\r\n1\r\n",
                "*3\r\n\$1\r\na\r\n\$1\r\nb\r\n\$1\r\nc\r\n",
                map({ "*1\r\n\$1\r\nX\r\n$_" }
                    "+OK\r\n", '+O', "<pause>+OK\r\n", "-ERR a\nforged\r\n",
                    "<pause>-ERR a\nforged\r\n"));

    # the machine that has created the session asks the Redis server

    my @none = ("*0\r\n", "*-1\r\n", "\$-1\r\n", ":1\r\n",
                "*2\r\n:1\r\n:2\r\n");
    my @wait = ("+OK\r\n", "\$0\r\n\r\n", "*2\r\n\$1\r\nx\r\n:5\r\n",
                "*2\r\n*1\r\n\$1\r\nO\r\n\$2\r\nab\r\n",
                "-ERR \0wrong\r\n", "hello\r\n", "*99999999999\r\n",
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

        $store->answer('');
    }

    my $c = $cluster->established(1);

    $t->wait_for(sub { $cluster->status($c, 0) !~ /^503/ });
    like($cluster->get($c, 1), qr/^127/, 'right answers');

    my $log = $t->read_file('error.log');

    ok($log =~ /atls_store .* has sent: a $_/, "logged: a $_")
        for 'reply without a command', 'reply that is too long',
            'reply to another command';
    ok($log !~ /^forged/m, 'no other lines in the log');
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
    my $record = record($c);

    $store->answer('again');

    my @status = at_once([ $c, $record ], [ $c, $record ]);

    is(scalar(grep { $_ == 200 } @status), 1, "one of both: @status");
    $store->answer('');
}


# A reply too many, when a command is sent: each one gets that to another, until
# it cannot have it.  The commands in progress have none.

sub shifted {
    my ($answer) = @_;

    my ($c, @others) = map { $cluster->established(1) } 1 .. 3;
    my $what = 'shifted by' . $answer =~ s/\W+/ /gr;

    $cluster->connected($cluster->established(1), 0);

    my $logged = length $t->read_file('error.log');

    $store->answer("shifted$answer");
    like($cluster->status($c, 0), qr/^503/, $what);
    $store->answer('');

    is(join(' ', at_once(map { [ $_, record($_) ] } @others)), '503 503',
       '... nobody knows what became of the next ones');
    like($cluster->connected($cluster->established(1), 0), qr/^127/,
         '... then, each command has its reply');
    like(substr($t->read_file('error.log'), $logged),
         qr/has sent: a reply to another command/, '... logged');
}


sub record {
    my ($c) = @_;

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    return $c->tls_out();
}


# POSTs to machine 0, while the store does not execute commands until it has got
# those of all.  Returns the statuses.

sub at_once {
    my $takes = sub {
        return scalar(() = $t->read_file('error.log') =~ /store take$/mg);
    };
    my $n = $takes->() + @_;

    kill 'STOP', $cluster->{redis};

    my @sockets = map {
        my ($c, $record) = @$_;

        $cluster->move($c, 0)->begin_post($record, Connection => 'close');
    } @_;

    $t->wait_for(sub { $takes->() == $n });
    kill 'CONT', $cluster->{redis};

    return map { my $r = read_response($_); $r ? $r->status() : 0 } @sockets;
}


# The error of somebody who does not know whether the store has executed a put,
# such as a proxy, or a reply that is none to a put: the session is only continued
# with what is in the store.

sub false_puts {
    for my $reply ('-ERR upstream failure', '-upstream failure', '-ERR timeout',
                   ':1', '$-1', '+PONG', "\$1\r\nX",
                   map { "shifted-$_" } 'OOM command not allowed',
                                        'NOSCRIPT No matching script',
                                        'READONLY against a replica')
    {
        $cluster->connected($cluster->established(1), 0);

        my $c = $cluster->established(0);

        $t->wait_for(sub { $cluster->get($c, 0) =~ /^127/ });

        my $logged = length $t->read_file('error.log');

        $store->put("$reply\r\n");
        like($cluster->get($c, 0), qr/^127/,
             'a put with a reply: ' . $reply =~ s/\W+/ /gr);
        $store->put('');

        ok($reply =~ /^-/ || substr($t->read_file('error.log'), $logged)
                             =~ /has sent: a reply to another command/,
           '... not that of the store');

        my $record = record($c);
        my %bodies;

        for my $n (1, 0) {
            my $r;

            $cluster->move($c, $n);
            $t->wait_for(sub {
                $r = $c->post($record);
                return !$r || $r->status() != 503;
            });
            $bodies{$r ? $r->status() . $r->body() : 'none'}++;
        }

        is(keys %bodies, 1, '... the same response on both machines');
        like(join('', keys %bodies), qr/^200./s, '... of one of them');
    }
}
