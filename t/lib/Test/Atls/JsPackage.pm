package Test::Atls::JsPackage;

# The package of the JavaScript client without its WebAssembly, in the directory
# of a test, and programs of t/js that use it.
#
#     my $package = js_package($t, 'stub/module.js');     # replaces module.js
#     js_cases($t, 'path.mjs', 50, $package);

use strict;
use warnings;

use Exporter qw( import );
use File::Basename qw( basename );
use File::Copy qw( copy );
use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Program qw( run_program );

our @EXPORT_OK = qw( js_cases js_package js_program node_version );

my $ROOT = Test::Atls::root();


sub node_version {
    return `node --version 2>/dev/null` =~ /^v(\d+)/ ? $1 : 0;
}


sub js_package {
    my ($t, @replacements) = @_;

    my $package = $t->path('package');

    mkdir $package;

    for my $file (map({ glob } "$ROOT/src/client/js/*.js"),
                  "$ROOT/src/client/js/package.json",
                  map { "$ROOT/t/js/$_" } @replacements)
    {
        copy($file, "$package/" . basename($file)) or die "$file: $!\n";
    }

    $t->write_file('package/atls.wasm', '');

    return $package;
}


sub js_program {
    my ($t, $program, @args) = @_;

    return run_program($t, 'node', "$ROOT/t/js/$program", @args);
}


# Runs a program, and compares its results: there are at least so many.

sub js_cases {
    my ($t, $program, $least, @args) = @_;

    my $r = js_program($t, $program, @args);
    my $results = eval { decode_json($r->{out}) } || [];

    is("$r->{code} $r->{err}", '0 ', $program);
    cmp_ok(scalar @$results, '>=', $least, "$program: the number of cases");
    is($_->{got}, $_->{expected}, $_->{name}) for @$results;
}


1;
