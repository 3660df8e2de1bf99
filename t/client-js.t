#!/usr/bin/perl

# The JavaScript client (src/client/js) in Node.js.  For browsers, see
# t/client-js-browser.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::JsPackage qw( js_cases node_version );
use Test::Atls::JsSite;

my $PACKAGE = Test::Atls::root() . '/build/js';

plan(skip_all => 'build/js does not exist, see "make js"')
    unless -e "$PACKAGE/atls.wasm";
plan(skip_all => 'no Node.js 20 or later') if node_version() < 20;

my $t = Test::Atls::JsSite->new();

$t->run();
$t->cases($PACKAGE);
js_cases($t, 'wasm.mjs', 4, $PACKAGE, $t->path('options.json'));

$t->done_testing();
