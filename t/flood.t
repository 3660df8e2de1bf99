#!/usr/bin/perl

# A flood of ClientHellos whose handshakes are not continued: sessions in use
# are not affected, and memory stays bounded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( time );

use Test::Atls;
use Test::Atls::Flood;

start(SIZE => '10m', MAX => $MAX);
open_sessions();

# memory is allocated by the first requests

unserved() for 1 .. 10;

my @memory = memory();

for my $n (1, 2) {
    my $flood = flood($HELLOS);
    my %status = %{$flood->{status}};
    my $before = join ' ', @memory;
    my @now = memory();

    diag(sprintf '%d ClientHellos in %.1f s', $HELLOS, $flood->{seconds})
        if $ENV{TEST_VERBOSE};

    is(join(' ', sort keys %status), '200 503', "flood $n: statuses");

    SKIP: {
        skip 'some handshakes timed out during the flood', 1
            if $flood->{seconds} >= $HANDSHAKE_TIMEOUT;

        is($status{200}, $WORKERS * $MAX,
           "flood $n: the maximum number of handshakes");
    }

    is($flood->{retry}, $status{503}, "flood $n: Retry-After");
    is($flood->{cookies}, $status{200}, "flood $n: no cookie with 503");
    is($flood->{failed}, '', "flood $n: sessions in use");

    # 60 KB a handshake; the second flood uses the memory of the first one

    SKIP: {
        skip 'more memory with valgrind', 1
            if ($ENV{TEST_NGINX_SLOW} || 1) > 1;

        my $bound = $n == 1 ? $MAX * 60 + 512 : 512;
        my ($most) = sort { $b <=> $a }
                     map { $now[$_] - $memory[$_] } 0 .. $#now;

        cmp_ok($most, '<=', $bound, "flood $n: memory stays bounded")
            or diag("KB before: $before, after: @now");
        diag("KB before: $before, after: @now") if $ENV{TEST_VERBOSE};
    }

    @memory = @now;

    SKIP: {
        my $waiting = waiting($flood);

        skip 'some handshakes may have timed out', 1
            if time - $flood->{began} >= $HANDSHAKE_TIMEOUT - 1;

        is($waiting, "200 x $status{200}", "flood $n: half-open sessions");
    }

    ok(forgotten(), "flood $n: end by the timeout");

    my @new = grep { $_->handshake() } map { $t->client() } 1 .. 5 * $WORKERS;

    is(scalar @new, 5 * $WORKERS, "flood $n: new handshakes");
}

is(unserved(), '', 'sessions in use');

$t->done_testing();


# Anonymous memory of each worker, in KB.

sub memory {
    return map {
        my ($kb) = $t->read_file("/proc/$_/status")
                   =~ /^RssAnon:\s+(\d+) kB/m;
        $kb;
    } $t->workers();
}
