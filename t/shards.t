#!/usr/bin/perl

# A zone with more than one shard: sessions are evicted and expire as if it were
# a single one, and continue after a reload.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Status qw( reading status total );

my $SHORT = 30;

my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
atls_zone small:512k;
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /short {
        atls on;
        atls_session_timeout 1s;
    }

    location = /ok {
        return 200 ok;
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->run();

my $entries = total(status($t)->{zone_entries});


# They expire in each shard.

for (1 .. $SHORT) {
    my $c = $t->client(uri => '/short');
    $c->handshake() or die $c->error() . "\n";
}

my $ended;

$t->wait_for(sub {
    $ended = reading($t)->{sessions_ended_total}{'idle-timeout'};
    $ended == $SHORT;
});

is($ended, $SHORT, 'sessions expire');


# More sessions than the zone has room for: the least recently used ones are
# evicted, regardless of the shards of new ones.

my @all = map { $t->established() } 1 .. $entries;
my $s = status($t);
my $evicted = $s->{sessions_evicted_total}{idle};

is(total($s->{zone_entries}), $entries, "all of $entries entries are counted");
is($s->{zone_entries}{session}, $entries - $evicted,
   "$evicted sessions are evicted");
cmp_ok($evicted, '<', $entries / 4, '... when the zone is full');

my @old = grep { alive($all[$_]) } $evicted - 20 .. $evicted - 1;
my @new = grep { alive($all[$_]) } $evicted .. $evicted + 19;

is("@old", '', '... the longest idle ones');
is(scalar @new, 20, '... and no others');


# A reload uses the same zone and its locks.

ok($t->reload(), 'reload');

my @left = grep { alive($all[$_]) } $evicted + 20 .. $evicted + 59;

is(scalar @left, 40, 'sessions continue');

$t->done_testing();


sub alive {
    my ($c) = @_;

    my $r = $c->get('/ok');

    return $r && $r->body() eq 'ok';
}
