#!/usr/bin/perl

# atls without libcoap: what --via says, and that all else is the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Command;
use Test::Atls::Program qw( run_program );
use Test::Atls::Site;

my $t = Test::Atls::Site->new();
my $build = $t->path('build');

{
    local $ENV{MAKEFLAGS} = '';
    local $ENV{MAKELEVEL} = '';

    my @make = ('make', '-s', '-C', Test::Atls::root(), "BUILD=$build",
                'CFLAGS=-O0', 'LDFLAGS=', 'COAP=none');
    my $r = run_program($t, @make, "$build/atls");
    is($r->{code}, 0, 'make client') or diag($r->{err});

    $r = run_program($t, @make, 'gateway');
    isnt($r->{code}, 0, 'make gateway');
    like($r->{err}, qr/The gateway requires none/, 'a message');
}

my $atls = Test::Atls::Command->new($t, program => "$build/atls");

unlike(run_program($t, 'ldd', "$build/atls")->{out}, qr/libcoap/, 'libcoap');

$t->serve();

my $r = $atls->run($t->via(), $t->trust(), 'https://localhost/exact');
is("$r->{code} $r->{out}", "0 exactly\n", 'over HTTP') or diag($r->{err});

for (qw( coap://localhost/.well-known/atls COAPS://localhost/ )) {
    $r = $atls->run('--via', $_, 'https://localhost/');
    is("$r->{code} $r->{out}", '2 ', $_);
    is($r->{err}, qq(atls: (2) "$_" requires libcoap, this atls was built)
                  . " without it\n", 'a message');

    for my $command (qw( forward tunnel )) {
        $r = $atls->run($command, '-l', 0, '--via', $_, 'https://localhost/');
        is("$r->{code} $r->{out}", '2 ', $command);
        like($r->{err}, qr/^atls: \(2\) .* requires libcoap/, 'a message');
    }
}

$t->done_testing();
