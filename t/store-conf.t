# Errors of the directives for several machines, and of the certificates.

use strict;
use warnings;

use Test::More;

use Test::Atls;
use Test::Atls::Cluster;


Test::Atls::Cluster->require_redis();

my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1);
my $t = $cluster->node(0);
my $good = $t->read_file('nginx.conf');

is($t->config_error($good), '', 'valid');

my $short = $t->write_file('short.key', 'x' x 31);
my $long = $t->write_file('long.key', 'x' x 33);

refused($_->[0], $_->[1], qr/$_->[2]/) for (
    [ 'atls_node .*\n' => '', '"atls_node" is missing' ],
    [ 'atls_store  .*\n' => '', '"atls_store" is missing' ],
    [ 'atls_store_key .*\n' => '', '"atls_store_key" is missing' ],
    [ 'atls_peer  on;' => '', '"atls_peer" is missing' ],
    [ 'ssl_verify_client +on;' => '', 'requires .*"ssl_verify_client on"' ],
    [ 'ssl_verify_client +on;' => 'ssl_verify_client optional;',
      'requires .*"ssl_verify_client on"' ],
    [ 'atls_peer  on;' => 'atls_peer on; atls on;', 'and no "atls on"' ],
    [ 'atls_node   \S+' => 'atls_node a:b', 'invalid name "a:b" of a node' ],
    [ '(atls_node   \S+) .*' => 'atls_node a 127.0.0.1;', 'use an IP address' ],
    [ '(atls_node   \S+) .*' => 'atls_node a unix:/s;', 'use an IP address' ],
    [ '(atls_node   .*)' => 'atls_node a 127.0.0.1:1; atls_node b 127.0.0.1:2;',
      '"atls_node" directive is duplicate' ],
    [ 'redis://\S+' => 'http://127.0.0.1', 'invalid URL "http://127.0.0.1"' ],
    [ 'redis://\S+' => 'redis://127.0.0.1/x', 'invalid database' ],
    [ 'redis://\S+' => 'redis://127.0.0.1:99999', 'invalid port' ],
    [ 'timeout=10s' => 'timeout=x', 'invalid parameter "timeout=x"' ],
    [ 'timeout=10s' => 'often', 'invalid parameter "often"' ],
    [ 'timeout=10s' => 'password_file=/nowhere', 'open\(\) "/nowhere" failed' ],
    [ '(atls_store_key) .*' => "atls_store_key $short;", 'must be 32 bytes' ],
    [ '(atls_store_key) .*' => "atls_store_key $long;", 'is too long' ],
);

for my $url ('redis://127.0.0.1', 'redis://127.0.0.1:1/2', 'redis://[::1]:1',
             'redis://u@127.0.0.1', 'unix:/s', 'redis://unix:/s:/1')
{
    is($t->config_error($good =~ s!redis://\S+!$url!r), '', $url);
}

# without a peer location elsewhere, "atls_peer off" has no effect

is($t->config_error($good =~ s/atls  on;/atls  on; atls_peer off;/r), '',
   'atls_peer off');

certificates();
unix_socket();

$cluster->done_testing();


sub refused {
    my ($what, $with, $message) = @_;

    my $conf = $good =~ s/$what/$with/r;

    isnt($conf, $good, "$what is there");
    like($t->config_error($conf), $message, $message);
}


# A certificate of another machine is not accepted, in either direction; nor is
# a connection without one.

sub certificates {
    my $first = $cluster->node(0);

    $first->make_cert('other-ca', is_ca => 1);
    $first->make_cert('wrong', san => 'DNS:node1', ca => 'other-ca');

    $cluster->run();

    my $c = $cluster->established(1);
    like($cluster->get($c, 0), qr/^127\.0\.0\.1 node1/, 'relayed');

    for my $wrong ('node0', 'wrong') {
        my $conf = $cluster->node(1)->read_file('nginx.conf');
        my $dir = $first->dir();

        $cluster->node(1)->write_file('nginx.conf',
            $conf =~ s!$dir/node1\.!$dir/$wrong.!gr);
        $cluster->node(1)->reload();
        $c = $cluster->established(1);

        is($cluster->status($c, 0), '503 store-unreachable',
           "certificate of $wrong");

        $cluster->write_conf(1);
        $cluster->node(1)->reload();
        like($cluster->get($c, 0), qr/^127\.0\.0\.1 node1/, '... corrected');
    }

    my $log = $first->read_file('error.log');

    like($log, qr/atls node "node1": its certificate does not have this name/,
         'the name is checked');
    like($log, qr/atls node "node1": certificate verify error/,
         'the CA is checked');

    my $r = `curl -sk --max-time 20 -X POST -d x -w '%{http_code}' \\
             https://127.0.0.1:@{[ $first->port(9) ]}/ 2>&1`;

    like($r, qr/No required SSL certificate was sent.*400$/s,
         'a client without a certificate');

    my $cert = $first->path('node1');

    $r = `curl -sk --max-time 20 -X POST -d x -w '%{http_code}' \\
          --cert $cert.crt --key $cert.key \\
          https://127.0.0.1:@{[ $first->port(9) ]}/ 2>&1`;

    like($r, qr/404$/, 'a client with one, but no POST of a machine');
}


sub unix_socket {
    my $socket = $t->path('redis.sock');

    $cluster->stop_redis();
    $cluster->start_redis('--unixsocket', $socket);

    for my $n (0, 1) {
        my $conf = $cluster->node($n)->read_file('nginx.conf');

        $cluster->node($n)->write_file('nginx.conf',
            $conf =~ s!redis://\S+!redis://unix:$socket:/3 each!r);
        $cluster->node($n)->reload();
    }

    $cluster->node(0)->wait_for(sub {
        $cluster->redis('INFO', 'keyspace') =~ /db3:keys=2/
    });

    my $c = $cluster->established(0);

    like($cluster->get($c, $_), qr/^127/, 'by a unix socket') for 1, 0;
}
