#!/usr/bin/perl

# The JavaScript client without its WebAssembly, so that "make js" is not
# required: module.js is replaced by one without TLS, and the endpoint is a
# program.  See t/js/path.mjs.  For TLS, see t/client-js.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Copy qw( copy );
use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Program qw( run_program );

plan(skip_all => 'no Node.js 18 or later')
    unless (`node --version 2>/dev/null` =~ /^v(\d+)/ ? $1 : 0) >= 18;

my $t = Test::Atls->new();
my $package = $t->path('package');

mkdir $package;

for my $file (map { glob } Test::Atls::root() . '/src/client/js/*.js',
                           Test::Atls::root() . '/src/client/js/package.json',
                           "$FindBin::Bin/js/stub/module.js")
{
    copy($file, $package) or die "$file: $!\n";
}

$t->write_file('package/atls.wasm', '');

my $r = run_program($t, 'node', "$FindBin::Bin/js/path.mjs", $package);
my $results = eval { decode_json($r->{out}) } || [];

is("$r->{code} $r->{err}", '0 ', 'Node.js');
cmp_ok(scalar @$results, '>=', 100, 'the number of cases');
is($_->{got}, $_->{expected}, $_->{name}) for @$results;

$t->done_testing();
