# What POSTs cost the store: those of clients, and those with identifiers that
# do not exist.

use strict;
use warnings;

use Digest::SHA qw( sha256 sha256_hex );
use MIME::Base64 qw( decode_base64url );
use Test::More;

use Test::Atls::Cluster;


Test::Atls::Cluster->require_redis();

my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1)->run();

# identifiers of no machine, and of a machine that is gone

my $c = $cluster->client(0);

is(commands(sub { posts($c, map { unknown($_) } 1 .. 20) }), 60,
   'unknown identifiers: three commands each');
is(commands(sub { posts($c, map { 'x' x $_ } 23, 25, 100, 1000) }), 0,
   'others: none');
is(commands(sub { posts($c, join '; atls=', map { unknown($_) } 1 .. 20) }), 12,
   'many cookies');

my $home = $cluster->established(0);

is(commands(sub { $cluster->get($home, 0) for 1 .. 5 }), 0, 'at home');
cmp_ok(commands(sub { $cluster->get($home, 1) for 1 .. 5 }), '<=', 10,
       'elsewhere: at most two each');

# a session that was moved, and has ended; and one whose machine has died

my $ended = $cluster->established(0);

$cluster->redis('SET', key($ended), 'O' . number(1));
cmp_ok(commands(sub { $cluster->get($ended, 1) }), '<', 10,
       'a session that was here');
$cluster->kill_node(0);
cmp_ok(commands(sub { $cluster->get($home, 1) }), '<', 20,
       'a session whose machine has died');
$cluster->node(0)->run();
$cluster->wait_for_nodes();

# the same with two keys

my $key = $cluster->node(0)->write_file('second.key', 'k' x 32);

$cluster->write_conf(0, key => [ $cluster->{key}, $key ]);
$cluster->node(0)->reload();

is(commands(sub { posts($c, map { unknown($_) } 1 .. 20) }), 80,
   'two keys: four commands each');

$cluster->done_testing();


# The key of a client's session, and the number of a machine in the store.

sub key {
    my ($c) = @_;

    my $id = substr decode_base64url($c->{cookies}{atls}), 0, 16;

    return 'atls:' . substr sha256_hex($id), 0, 32;
}

sub number { substr sha256("node$_[0]"), 0, 2 }

sub unknown { sprintf 'unknown-%05d-unknown-ab', $_[0] }


sub posts {
    my ($c, @cookies) = @_;

    for my $cookie (@cookies) {
        $c->{cookies} = { atls => $cookie };
        $c->post("\x17\x03\x03\x00\x20" . 'x' x 32);
    }
}


# The number of commands, other than those by which machines announce
# themselves: each of these is a script with a GET and a SET.

sub commands {
    my ($code) = @_;

    my $before = counted();

    $code->();

    return counted() - $before;
}


sub counted {
    my %calls = map { /^cmdstat_(\w+):calls=(\d+)/ ? ($1, $2) : () }
                split /\r\n/, $cluster->redis('INFO', 'commandstats');

    # a session is looked for by a GET in a script, a machine by a GET

    return ($calls{get} || 0) - ($calls{set} || 0);
}
