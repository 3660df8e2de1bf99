#!/usr/bin/perl

# The JavaScript client without its WebAssembly, so that "make js" is not
# required: module.js is replaced by one without TLS, and the endpoint is a
# program, t/js/endpoint.mjs.  For TLS, see t/client-js.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::JsPackage qw( js_cases js_package js_program node_version );

my $SOURCE = Test::Atls::root() . '/src/client/js';

plan(skip_all => 'no Node.js 18 or later') if node_version() < 18;

my $t = Test::Atls->new();
my $package = js_package($t, 'stub/module.js');

js_cases($t, 'path.mjs', 65, $package);
js_cases($t, 'fetch.mjs', 85, $package);
types();

my $r = js_program($t, 'exit.mjs', $package);

is("$r->{code} $r->{out}$r->{err}", "0 usage\nclosed\n",
   'close(), and the exit');

$t->done_testing();


# What is exported, and each code of an error, has a type.

sub types {
    my $text = $t->read_file("$SOURCE/index.d.ts");
    my $code = join '', map { $t->read_file("$SOURCE/$_") }
                        qw( index.js worker.js session.js );

    my %types = map { $_ => 1 } $text =~ /^export declare \w+ (\w+)/mg;
    my %exports = map { $_ => 1 }
                  $code =~ /^export (?:async )?(?:class|function) (\w+)/mg;

    delete @exports{qw( PathError Session )};           # of the worker
    is(join(' ', sort keys %types), join(' ', sort keys %exports), 'types');

    my @codes = $text =~ /\| '([\w-]+)'/g;
    my %used = map { $_ => 1 } $code =~ / (?: code:\ | PathError\( | \d:\  )
                                          '([a-z-]+)' /xg,
                               qw( session-lost outer-status memory );

    is(join(' ', sort @codes), join(' ', sort keys %used), 'codes of errors');
}
