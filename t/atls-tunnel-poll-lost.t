#!/usr/bin/perl

# atls tunnel --poll on paths that lose responses: POSTs are sent again, but not
# those that the server could not recognize.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::LostPosts;
use Test::Atls::Program qw( run_program );
use Test::Atls::Site;

my $t = Test::Atls::Site->new(workers => 2);

$t->serve('', endpoint => 'atls_early_data on; atls_poll_timeout 30s;');

my $REQUEST = "GET /body?%s HTTP/1.1\r\nHost: localhost\r\n"
              . "Connection: close\r\n\r\n";
my $port = 10;

flight_lost();
early_data_lost();
always_lost();

$t->done_testing();


# Runs a TLS client until the end of the connection.

sub s_client {
    my ($tunnel, $request, @args) = @_;

    return run_program($t, 'openssl', 's_client', '-connect',
                       '127.0.0.1:' . $tunnel->port(), '-tls1_3',
                       '-servername', 'localhost', '-CAfile',
                       $t->path('ca.crt'), '-ign_eof', @args,
                       { stdin => $request })->{out};
}


sub served {
    my ($name) = @_;

    return scalar grep { $_->{uri} eq "/body?$name" } $t->backend()->requests();
}


# The first POST of a session starts another one, which does no harm.

sub flight_lost {
    my $lossy = Test::Atls::LostPosts->start($t, 'mute=1-1', $t->port(0),
                                             $t->port(++$port));
    my $tunnel = $t->tunnel($lossy->endpoint(), '--poll');

    like(s_client($tunnel, sprintf($REQUEST, 'flight'), '-sess_out',
                  $t->path('session')),
         qr!^HTTP/1.1 200 !m, 'a first flight');
    is(served('flight'), 1, 'a first flight: served');
    is(($lossy->done())[1], 'mute', 'a first flight: its response was lost');
    is($tunnel->stop()->{code}, 0, 'a first flight: exit code');
    $lossy->stop();
}


# If there are early data in it, the server would reject those of the second
# POST, as the first one was served, and the client would send them once more.

sub early_data_lost {
    my $lossy = Test::Atls::LostPosts->start($t, 'mute=1-1', $t->port(0),
                                             $t->port(++$port));
    my $tunnel = $t->tunnel($lossy->endpoint(), '--poll');

    $t->write_file('early', sprintf $REQUEST, 'early');
    s_client($tunnel, '', '-sess_in', $t->path('session'), '-early_data',
             $t->path('early'));

    is(served('early'), 1, 'early data: served');
    like(($tunnel->log(1))[0], qr/ 1 POST, .*: \S/,
         'early data: not sent again, and an error');
    is(join(',', $lossy->done()), 'waits,mute', 'early data: a single POST');
    is($tunnel->stop()->{code}, 0, 'early data: exit code');
    $lossy->stop();
}


# The first lost POST may be a poll, before there are data.

sub always_lost {
    my $lossy = Test::Atls::LostPosts->start($t, 'cut=2-99', $t->port(0),
                                             $t->port(++$port));
    my $tunnel = $t->tunnel($lossy->endpoint(), '--poll', '--retry', 2);

    s_client($tunnel, sprintf($REQUEST, 'always'));

    like(join(' ', $lossy->done()), qr/^passed(?: cut){3,5}$/,
         '--retry: as often');
    cmp_ok(served('always'), '<=', 1, '--retry: served');
    is($tunnel->stop()->{code}, 0, '--retry: exit code');
    $lossy->stop();
}
