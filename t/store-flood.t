# What POSTs cost the store: those of clients, and those with identifiers that
# do not exist.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;


plan(skip_all => 'no redis-server') unless grep { -x "$_/redis-server" }
                                           split /:/, $ENV{PATH};

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
is(commands(sub { $cluster->get($home, 1) for 1 .. 5 }), 10, 'elsewhere');

# the same with two keys

my $key = $cluster->node(0)->write_file('second.key', 'k' x 32);

$cluster->write_conf(0, key => [ $cluster->{key}, $key ]);
$cluster->node(0)->reload();

is(commands(sub { posts($c, map { unknown($_) } 1 .. 20) }), 80,
   'two keys: four commands each');

$cluster->done_testing();


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
