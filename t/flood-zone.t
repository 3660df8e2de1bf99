#!/usr/bin/perl

# A small zone: idle sessions are removed and wiped, half-open ones make room
# for others, and those in use are kept.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw( decode_base64url );
use Test::More;
use Time::HiRes qw( time );

use Test::Atls;
use Test::Atls::Flood;
use Test::Atls::Slow qw( slow );

my $IDLE = 60;

my $SESSION_TIMEOUT = session_timeout();

start(SIZE => '64k', MAX => 20_000, SESSION_TIMEOUT => $SESSION_TIMEOUT);

SKIP: {
    my ($pid) = $t->workers();

    skip 'memory of the worker cannot be read', 6 unless shared_memory($pid);

    wiped($pid);
}

open_sessions();
too_many_half_open();
full_zone();

$t->done_testing();


# Longer than it takes to create all sessions, and to find them in memory.

sub session_timeout {
    start(SIZE => '10m', MAX => $MAX);

    my $began = time;

    established() for 1 .. $IDLE;

    my $seconds = time - $began;

    $t->finish();

    return int(3 * slow() + 2 * $seconds);
}


# Expired sessions are wiped, even if there are no requests and memory is not
# needed.

sub wiped {
    my ($pid) = @_;

    my @idle = map { established(port => $t->port(2)) } 1 .. $IDLE;
    my $began = time;
    my $other = established();          # with a longer timeout

    is(found($pid, @idle), 2 * $IDLE, 'idle sessions: ids and keys in memory');
    is(found($pid, $other), 2, 'idle sessions: those of another session');

    ok($t->wait_for(sub { !found($pid, @idle) }, 3 * $SESSION_TIMEOUT),
       'idle sessions: wiped')
        or diag(found($pid, @idle) . ' left');
    cmp_ok(time - $began, '>', $SESSION_TIMEOUT - 1.5,
           'idle sessions: not early');

    is(found($pid, $other), 2, 'idle sessions: the other one is kept');
    is(statuses(@idle), "410 x $IDLE", 'idle sessions: gone');
}


# More half-open sessions than the zone can hold.

sub too_many_half_open {
    my @few = map { established() } 1 .. 10;
    my $flood = flood($HELLOS);

    is($flood->{failed}, '', 'half-open sessions: sessions in use');
    is(join(' ', keys %{$flood->{status}}), '200',
       'half-open sessions: the oldest one is evicted');
    is(statuses(@few), '200 x 10', 'half-open sessions: no other one is');
    ok(forgotten(), 'half-open sessions: end by the timeout');
}


# A zone that is full of idle sessions.

sub full_zone {
    my @all = map { unserved() if $_ % 10 == 0; established() } 1 .. 200;
    my @alive = reverse grep { alive($_) } reverse @all;

    cmp_ok(scalar @alive, '<', 200, 'a full zone');
    is(unserved(), '', 'a full zone: sessions in use are not evicted');

    my $flood = flood($FEWER);

    is($flood->{failed}, '', 'a full zone: sessions in use');

    # half-open sessions have reserved memory

    my @left = grep { alive($_) } @alive;

    my $lost = @alive - @left;
    is($lost, 0, 'a full zone: idle sessions are not evicted');
    ok(forgotten(), 'a full zone: half-open sessions end');

    is(unserved(), '', 'a full zone: sessions in use, again');
}


# Stores the traffic secret of the client.

sub client {
    my ($secret, $c);

    $c = $t->client(@_,
        setup => sub {
            my ($ctx) = @_;

            Net::SSLeay::CTX_set_keylog_callback($ctx, sub {
                $secret = pack 'H*', $1
                    if $_[1] =~ /^CLIENT_TRAFFIC_SECRET_0 \S+ (\S+)/;
            });
        });

    $c->{secret} = \$secret;

    return $c;
}


sub established {
    my $c = client(@_);

    $c->handshake() or die 'no handshake: ' . $c->error() . "\n";

    return $c;
}


# Memory that a worker shares with other ones.

sub shared_memory {
    my ($pid) = @_;

    no warnings 'portable';

    open my $fh, '<:raw', "/proc/$pid/mem" or return '';

    return join '', map {
        my ($from, $to) = /^([0-9a-f]+)-([0-9a-f]+) rw-s .*zero/
            ? (hex $1, hex $2) : (0, 0);
        my $bytes = '';

        if ($to) {
            sysseek $fh, $from, 0;
            sysread $fh, $bytes, $to - $from;
        }

        $bytes;
    } split /\n/, $t->read_file("/proc/$pid/maps");
}


# The number of ids and secrets of clients in shared memory.

sub found {
    my ($pid, @clients) = @_;

    my $memory = shared_memory($pid);

    return scalar grep { index($memory, $_) >= 0 }
                  map { (substr(decode_base64url($_->{cookies}{atls}), 0, 16),
                         ${$_->{secret}}) } @clients;
}
