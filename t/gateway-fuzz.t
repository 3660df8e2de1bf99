#!/usr/bin/perl

# atls gateway: mutated datagrams, and many requests from many sources.
#
#     TEST_FUZZ_TIME=3600 TEST_SEED=7 prove -v -I t/lib t/gateway-fuzz.t

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( time );

use Test::Atls::Coap qw( CON NON BLOCK1 BLOCK2 ECHO FORMAT URI_PATH encode
                         uint_bytes );
use Test::Atls::Gateway;
use Test::Atls::Process qw( alive );

use constant { DATAGRAMS => 3000, SOURCES => 200, ROUNDS => 50, KEPT => 300,
               MORE => 3000 };

my $TIME = $ENV{TEST_FUZZ_TIME} || 0;
my $SEED = $ENV{TEST_SEED} || time ^ $$;

srand $SEED;
note("TEST_SEED=$SEED");

my $t = Test::Atls::Gateway->new();

$t->serve_located();

subtest('mutated datagrams' => \&mutated);
subtest('many sources' => \&sources);
subtest('many requests' => \&requests);

$t->done_testing();


sub mutated {
    my $g = $t->gateway('--max-body', '4k', '--max-memory', '1M');
    my $d = $t->device($g);

    ok($d->handshake(), 'a session') or diag($d->error());

    my @path = @{$d->path()};
    my $c = $d->coap();
    my @valid = map { datagram($_, \@path) } 0 .. 7;
    my $until = time + $TIME;
    my $n;

    for ($n = 0; $n < DATAGRAMS || time < $until; $n++) {
        $c->send_bytes(mutate($valid[rand @valid]));

        next if $n % 20;

        while ($c->receive(0)) { }
        last unless alive($g->pid());
    }

    note("$n datagrams");
    ok(alive($g->pid()), 'it lives') or diag("TEST_SEED=$SEED");

    my $fresh = $t->device($g);
    ok($fresh->handshake(), 'a new session')
        or diag($fresh->error() . " TEST_SEED=$SEED");
    ok($fresh->get('/exact'), 'a request');

    my $r = $g->stop();
    is($r->{code}, 0, 'exit code') or diag($r->{err}, "TEST_SEED=$SEED");

    done_testing();
}


# Valid requests of all kinds.

sub datagram {
    my ($kind, $path) = @_;

    my @endpoint = map { [ URI_PATH, $_ ] } '.well-known', 'atls';
    my @session = map { [ URI_PATH, $_ ] } @$path;
    my @format = ([ FORMAT, uint_bytes(65000) ]);
    my $block = Test::Atls::Coap::block(0, 1, 0);
    my $hello = "\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03" . 'x' x 58;

    my @kinds = (
        [ '0.02', [ @endpoint, @format ], $hello ],
        [ '0.02', [ @session, @format ], "\x17\x03\x03\x00\x10" . 'x' x 16 ],
        [ '0.01', [ @endpoint ], '' ],
        [ '0.02', [ @endpoint, @format, [ BLOCK1, $block ] ], 'x' x 16 ],
        [ '0.02', [ @session, [ BLOCK2, "\x16" ] ], '' ],
        [ '0.02', [ @endpoint, [ ECHO, 'x' x 12 ], [ 292, 'tag' ],
                    [ 60, "\xff\xff" ] ], 'x' ],
        [ '0.01', [ [ URI_PATH, '.well-known' ], [ URI_PATH, 'core' ] ], '' ],
        [ '0.02', [ @endpoint, [ 3, 'host' ], [ 15, 'a=b' ], [ 17, '' ] ],
          'x' ],
    );

    my ($code, $options, $payload) = @{$kinds[$kind]};

    return encode(type => $kind % 2 ? NON : CON, code => $code, token => 'tk',
                  mid => 0, options => $options, payload => $payload);
}


# A new message ID, and some changes.

sub mutate {
    my ($bytes) = @_;

    substr $bytes, 2, 2, pack 'n', rand 65536;

    for (0 .. rand 4) {
        my $at = int rand length $bytes;
        my $what = rand;

        if ($what < 0.5) {
            substr $bytes, $at, 1, chr rand 256;
        } elsif ($what < 0.65) {
            substr $bytes, $at, 1, chr(ord(substr $bytes, $at, 1)
                                       ^ 1 << rand 8);
        } elsif ($what < 0.75) {
            $bytes = substr $bytes, 0, $at + 1;
        } elsif ($what < 0.85) {
            substr $bytes, $at, rand 8, '';
        } elsif ($what < 0.95) {
            substr $bytes, $at, 0, join '', map { chr rand 256 } 0 .. rand 8;
        } else {
            $bytes .= 'x' x rand 1400;
        }

        last if $bytes eq '';
    }

    return $bytes;
}


# 200 sources, each with a session.  Of each request, only the message ID and the
# response are kept, some 400 bytes, see requests() for their limit.

sub sources {
    my $g = $t->gateway();
    my @devices = map { $t->device($g) } 1 .. SOURCES;
    my $good = 0;

    $good += $_->handshake() for @devices;
    is($good, SOURCES, 'sessions');
    is($t->metric($g, 'sources'), SOURCES, 'sources');

    # the first requests use what is kept for each source

    rounds(\@devices, 3);

    my $before = $g->memory();
    is(rounds(\@devices, ROUNDS), SOURCES * ROUNDS, 'requests');
    my $grown = $g->memory() - $before;

    note("peak memory: $before kB, $grown kB more");

    SKIP: {
        skip 'memory is not the command\'s own here', 1
            if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};
        cmp_ok($grown, '<', 4096, 'memory');
    }

    is($t->metric($g, 'posts'), 0, 'none in progress');

    my $r = $g->stop();
    is("$r->{code} " . ($r->{err} =~ s/^atls: listening .*\n//mgr), '0 ',
       'exit code');

    done_testing();
}


# After those of which the message IDs are kept, memory does not grow.

sub requests {
    my $g = $t->gateway();
    my $d = $t->device($g);

    ok($d->handshake(), 'a session') or diag($d->error());
    rounds([ $d ], KEPT);

    my $before = $g->memory();
    is(rounds([ $d ], MORE), MORE, 'requests');
    my $grown = $g->memory() - $before;

    note("peak memory: $before kB, $grown kB more");

    SKIP: {
        skip 'memory is not the command\'s own here', 1
            if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};
        cmp_ok($grown, '<', 400, 'memory');
    }

    is($g->stop()->{code}, 0, 'exit code');
    done_testing();
}


sub rounds {
    my ($devices, $n) = @_;

    my $good = 0;

    for (1 .. $n) {
        for my $d (@$devices) {
            my $r = $d->get('/exact');
            $good += $r && $r->body() eq "exactly\n";
        }
    }

    return $good;
}
