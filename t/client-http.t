#!/usr/bin/perl

# The parsers of libatls for data from servers, with random input, by
# t/bin/client_http.c.
#
#   ATLS_FUZZ_RUNS      number of runs, default 100000

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Lib;

my $t = Test::Atls->new();
my $lib = Test::Atls::Lib->new($t);
my $runs = $ENV{ATLS_FUZZ_RUNS} || ($ENV{TEST_VALGRIND} ? 2000 : 100_000);
my @command = $lib->command_line($lib->compile('client_http'), $runs);

open my $out, '-|', @command or die "@command: $!\n";

while (<$out>) {
    ok(!$1, $2) if /^(not )?ok \d+ - (.*)/;
    note($1) if /^# (.*)/;
}

close $out;
is($?, 0, 'exit status');

$t->done_testing();
