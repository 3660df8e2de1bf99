#!/usr/bin/perl

# The JavaScript client in Node.js without WebAssembly, so that "make js" is not
# required: its functions in C are in a shared library, which is called by the
# package koffi.  The cases are those of t/client-js.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::JsPackage qw( js_package node_version );
use Test::Atls::JsSite;
use Test::Atls::Lib;

my $SOURCE = Test::Atls::root() . '/src/client/js';
my $MODULES = Test::Atls::root() . '/build/npm/node_modules';

plan(skip_all => 'Node.js is not built with the sanitizer') if $ENV{TEST_ASAN};
plan(skip_all => 'Node.js is not free of errors') if $ENV{TEST_VALGRIND};
plan(skip_all => 'no Node.js 20 or later') if node_version() < 20;
plan(skip_all => 'no koffi')
    if system("node -e 'require(\"$MODULES/koffi\")' >/dev/null 2>&1");

my $t = Test::Atls::JsSite->new();
my $package = js_package($t, 'native/wasm.js');

# a module is found beside the package

symlink $MODULES, $t->path('node_modules');

Test::Atls::Lib->new($t)->shared("$package/binding.so", "-I$SOURCE",
                                 "$SOURCE/binding.c", "$SOURCE/pem.c",
                                 "$FindBin::Bin/js/native/seed.c");

$t->run();
$t->cases($package);

$t->done_testing();
