#!/usr/bin/perl

# Devices whose datagrams are lost (20 %), doubled and reordered at random: no
# session is lost, and each request is processed once.  ATLS_SEED is the seed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Datagrams;
use Test::Atls::Gateway;
use Test::Atls::Program qw( run_program );

use constant { DEVICES => 8, REQUESTS => 3 };

my $SEED = $ENV{ATLS_SEED} || 17;
my $t = Test::Atls::Gateway->new(workers => 4);

plan(skip_all => 'no mbedTLS')
    if system 'echo "#include <mbedtls/ssl.h>" | cc -E - >/dev/null 2>&1';

# Each retransmission takes seconds.  Handshakes that are given up are not waited
# for at the end.

$t->serve_located(undef, main => 'worker_shutdown_timeout 1s;',
                  http => 'atls_handshake_timeout 5m;',
                  backend => 'proxy_ignore_client_abort on;');

my $g = $t->gateway();
my $relay = Test::Atls::Datagrams->start($t, $g->port(), lost => 0.2,
                                         doubled => 0.1, late => 0.1,
                                         seed => $SEED);
my $device = $t->path('device');
my $r = run_program($t, 'cc', qw( -O2 -Wall -Wextra -Werror -o ), $device,
                    Test::Atls::root() . '/docs/examples/coap-device.c',
                    qw( -lcoap-3-notls -lmbedtls -lmbedx509 -lmbedcrypto ));

is($r->{code}, 0, 'a device') or diag($r->{err});

# at once, each with an output of its own

my $devices = join ' ', map {
    "$device -c ca.crt -n @{[ REQUESTS ]} 127.0.0.1 @{[ $relay->port() ]}"
    . " localhost /device/$_ >device.$_ 2>&1 &"
} 1 .. DEVICES;

run_program($t, 'sh', '-c', "$devices wait");

my %times = $t->backend()->times();

for my $uri (map { "/device/$_" } 1 .. DEVICES) {
    my $out = $t->read_file($t->path($uri =~ tr!/!.!r =~ s/^\.//r));
    my $responses = () = $out =~ m!^HTTP/1\.1 200 !mg;

    is($responses, REQUESTS, "$uri: responses, seed $SEED") or diag($out);
    is($times{$uri}, REQUESTS, 'each is processed once');
}

my %seen = $relay->seen();

ok($seen{$_}, "$_: " . ($seen{$_} || 0)) for qw( lost doubled late );
cmp_ok($t->metric($g, 'duplicates_total'), '>', 0, 'the gateway got duplicates');
is($g->stop()->{code}, 0, 'exit code');

$t->done_testing();
