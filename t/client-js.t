#!/usr/bin/perl

# The JavaScript client (src/client/js) in Node.js.  For browsers, see
# t/client-js-browser.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json encode_json );
use Test::More;

use Test::Atls;
use Test::Atls::JsSite;
use Test::Atls::Program qw( run_program );

my $PACKAGE = Test::Atls::root() . '/build/js';

plan(skip_all => 'build/js does not exist, see "make js"')
    unless -e "$PACKAGE/atls.wasm";
plan(skip_all => 'no Node.js 20 or later')
    unless (`node --version 2>/dev/null` =~ /^v(\d+)/ ? $1 : 0) >= 20;

my $t = Test::Atls::JsSite->new();

$t->run();

my $options = $t->write_file('options.json', encode_json($t->options()));
run('node.mjs', 40);
$t->{backend}->forget();
run('node-only.mjs', 10);
once();

types();

$t->done_testing();


# Runs a program, and compares its results.

sub run {
    my ($program, $least) = @_;

    my $r = run_program($t, 'node', "$FindBin::Bin/js/$program", $PACKAGE,
                        $options);
    my $results = eval { decode_json($r->{out}) } || [];

    is($r->{code}, 0, "$program: exit code") or diag($r->{err});
    cmp_ok(scalar @$results, '>=', $least, "$program: the number of cases");
    is($_->{got}, $_->{expected}, $_->{name}) for @$results;
}


# The backend has received each request once, although POSTs were repeated.

sub once {
    my %n;

    $n{$_->{first}}++ for grep { $_->{uri} eq '/body' }
                          $t->{backend}->requests();

    is(join(' ', map { "$_:$n{$_}" } sort keys %n),
       join(' ', map { my $fault = $_; map { "$fault $_:1" } 0 .. 2 }
                     qw( 502 503 half request response )),
       'each request was received once');
}


# What is exported has a type.

sub types {
    my $text = $t->read_file("$PACKAGE/index.d.ts");
    my $code = join '', map { $t->read_file("$PACKAGE/$_") }
                        qw( index.js worker.js session.js );

    like($text, qr/^export declare function atls\(/m, 'the type of atls()');

    my %codes = map { $_ => 1 } $text =~ /\| '([\w-]+)'/g;
    my %used = map { $_ => 1 }
               $code =~ /(?:code: |PathError\(|code \?\? |\? )'([a-z-]+)'/g;

    delete @used{qw( follow stream )};
    is(join(' ', grep { !$codes{$_} } sort keys %used), '',
       'codes of errors are in index.d.ts');
}
