#!/usr/bin/perl

# POSTs that arrive byte by byte: nginx closes their connections after
# client_body_timeout, and other sessions are not affected.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Flood;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Slow qw( slow );

my $DRIPS = ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 40 : 200;

start(SIZE => '10m', MAX => $MAX);
open_sessions();

# Sessions with a POST that is cut before the end of its first record header, or
# after it, half-open sessions with their second flight, and ClientHellos.

my @before = clients('established', $DRIPS / 4);
my @after = clients('established', $DRIPS / 4);
my $began = time;
my @half_open = clients('half_open', $DRIPS / 10);

$_->write_plain(Test::Atls::Client::format_request('GET', '/', ''))
    for @before, @after;
$_->handshake_step() for @half_open;
$_->{unsent} = $_->tls_out() for @before, @after, @half_open;

my @drips = (
    (map { drip($_->{unsent}, 0, $_->cookie()) } @before),
    (map { drip($_->{unsent}, 6, $_->cookie()) } @after),
    (map { drip($_->{unsent}, 20, $_->cookie()) } @half_open),
    (map { drip($hello, 20) } 1 .. $DRIPS / 2 - @half_open),
);

my $failed = '';
my $pause = 0;

for (1 .. 5) {
    my $from = time;

    sleep 0.2 * slow();
    send_all($_->{socket}, substr $_->{rest}, 0, 1, '') for @drips;
    $failed .= unserved();
    $pause = time - $from if $pause < time - $from;
}

is($failed, '', 'other sessions');

# the next checks require that no timeout has expired yet

my $from = time;
my @in_use = (statuses(@half_open), statuses(@before, @after));

my $late = time - $began >= $HANDSHAKE_TIMEOUT - 1;
my $paused = $pause + time - $from >= $BODY_TIMEOUT - 0.5;

SKIP: {
    skip 'some handshakes may have timed out', 1 if $late || $paused;

    is($in_use[0], '409 x ' . @half_open, 'half-open sessions are in use');
}

SKIP: {
    skip 'some bodies may have timed out', 1 if $paused;

    is($in_use[1], '200 x ' . (@before + @after), 'sessions are not');
}

my @open = grep { !readable($_->{socket}, 3 * $BODY_TIMEOUT) } @drips;

is(scalar @open, 0, 'the connections are closed');

# the handshakes have ended with their connections, before their timeout

my $flood = flood($FEWER);

SKIP: {
    skip 'some handshakes timed out during the flood', 1
        if $flood->{seconds} >= $HANDSHAKE_TIMEOUT;

    is($flood->{status}{200}, $WORKERS * $MAX, 'no handshake is left');
}

is(statuses(@half_open), '410 x ' . @half_open, 'handshakes have ended')
    unless $late || $paused;

my @good = grep {
    $_->exchange($_->{unsent}) && $_->read_plain() =~ /inner/
} @before, @after;

is(scalar @good, @before + @after, 'sessions have not changed');
is(unserved(), '', 'other sessions, after the timeout');

ok(forgotten(), 'half-open sessions of the flood end');

is(unserved(), '', 'sessions in use');

$t->done_testing();


sub clients {
    my ($method, $n) = @_;

    return map { $t->$method(port => $t->port(1), keepalive => 0) } 1 .. $n;
}


# Sends the header of a POST, and the first bytes of its body.

sub drip {
    my ($body, $n, $cookie) = @_;

    my $s = http_connect($t->port(1));
    my $request = request($body, $cookie);

    send_all($s, substr $request, 0, length($request) - length($body) + $n, '');

    return { socket => $s, rest => $request };
}
