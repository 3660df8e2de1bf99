#!/usr/bin/perl

# libatls from other languages: the examples in docs/examples, with the shared
# library as it is installed.  Their structures and numbers are compared with
# the header.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Lib;
use Test::Atls::LibSite;
use Test::Atls::Pattern qw( pattern_md5 );
use Test::Atls::Program qw( run_program );

my $EXAMPLES = Test::Atls::root() . '/docs/examples';
my $MODULES = Test::Atls::root() . '/build/npm/node_modules';
my $LARGE = 3_000_000;

plan(skip_all => 'the interpreters are not built with the sanitizer')
    if $ENV{TEST_ASAN};
plan(skip_all => 'the interpreters are not free of errors')
    if $ENV{TEST_VALGRIND};

my $t = Test::Atls::LibSite->new();
my $lib = Test::Atls::Lib->new($t);
my $dest = $lib->install();

# a module is found beside the program

symlink $MODULES, $t->path('node_modules');
$t->write_file($_, $t->read_file("$EXAMPLES/$_"))
    for qw( libatls.py libatls.mjs );

my %LANGUAGES = (
    'Python' => { run => [ 'python3', 'libatls.py' ],
                  needs => 'python3 --version' },
    'Node.js' => { run => [ 'node', 'libatls.mjs' ],
                   needs => "node -e 'require(\"$MODULES/koffi\")'" },
);

my %ENV = (LD_LIBRARY_PATH => "$dest/opt/atls/lib",
           PYTHONDONTWRITEBYTECODE => 1);

$t->run();

for my $language (sort keys %LANGUAGES) {
    SKIP: {
        skip "$language: not installed", 2
            if system("$LANGUAGES{$language}{needs} >/dev/null 2>&1");

        subtest($language, \&language, $language);
        subtest("$language: the header", \&header, $language);
    }
}

$t->done_testing();


sub program {
    my ($language, @args) = @_;

    return run_program($t, @{ $LANGUAGES{$language}{run} }, @args,
                       { env => \%ENV });
}


sub request {
    my ($language, $path, @args) = @_;

    return program($language, '--endpoint', $t->endpoint(0),
                   '--ca', $t->path('ca.crt'), @args,
                   "https://localhost$path");
}


sub language {
    my ($language) = @_;

    my $r = request($language, '/echo?a=b');

    is($r->{code}, 0, 'exit code') or diag($r->{err});
    like($r->{out}, qr!^GET /echo\?a=b HTTP/1\.1\r?\n!, 'the request');
    like($r->{out}, qr/^X-From: \Q$language\E\r?$/mi, 'its header');
    like($r->{err}, qr/^status 200, [1-9]\d* headers$/m, 'the response');

    $r = request($language, '/status?code=404');
    is($r->{code}, 0, '404: exit code');
    like($r->{err}, qr/^status 404,/m, '404: no error');

    my $data = 'x' x 50_000;

    $r = request($language, '/body', '--data', $data);
    is(md5_hex($r->{out}), md5_hex($data), 'POST: the body comes back');

    $r = request($language, "/big?size=$LARGE");
    is(md5_hex($r->{out}), pattern_md5($LARGE), 'a large body')
        or diag($r->{err});

    $r = program($language, '--endpoint', $t->endpoint(0), '--ca',
                 $t->path('other.crt'), 'https://localhost/');
    is($r->{code}, 1, 'another CA: exit code');
    like($r->{err}, qr/^libatls\.\w+: .*certificate.* \(31\)$/m,
         'another CA: the error');

    $r = program($language, '--ca', $t->path('missing'),
                 'https://localhost/');
    like($r->{err}, qr/^libatls\.\w+: .*missing.* \(5\)$/m, 'no CA');

    $r = program($language, 'https://local host/');
    isnt($r->{code}, 0, 'an invalid URL');
}


# Sizes and offsets as the compiler has them, and the numbers.

sub header {
    my ($language) = @_;

    my $numbers = Test::Atls::Lib::_options({ root => Test::Atls::root() });
    my $text = $t->read_file($LANGUAGES{$language}{run}[1]);

    my %used = $language eq 'Python'
               ? (ENDPOINT => 0, CA_FILE => 1, BODY_NONE => 0, BODY_MEMORY => 1)
               : (ENDPOINT => 0, CA_FILE => 1, BODY_MEMORY => 1);

    for my $name (sort keys %used) {
        like($text, qr/\b$name\b/, "$name is used");
        is($numbers->{"ATLS_$name"}, $used{$name}, "$name is its number");
    }

    my $layout = layout();
    my $found = $language eq 'Python' ? python_layout() : node_layout();

    is_deeply($found, $layout, 'the layout of a request');
}


sub layout {
    my @members = qw( method path headers nheaders body bytes file fd read
                      rewind length on_status on_header on_body on_wait data );
    my $source = $t->write_file('layout.c', <<"EOC");
#include <stdio.h>
#include <stddef.h>
#include <atls.h>

int
main(void)
{
    printf("{\\"size\\":%zu", sizeof(atls_request_t));
@{[ join '', map { "    printf(\",\\\"$_\\\":%zu\", "
                   . "offsetof(atls_request_t, $_));\n" } @members ]}
    printf("}");
    return 0;
}
EOC

    my $cc = $ENV{CC} || 'cc';

    system("$cc -I$dest/opt/atls/include -o $t->{dir}/layout $source") == 0
        or die "layout.c\n";

    return decode_json(run_program($t, $t->path('layout'))->{out});
}


sub python_layout {
    my $r = run_program($t, 'python3', '-c', <<'EOC', { env => \%ENV });
import ctypes, json, libatls
print(json.dumps({ 'size': ctypes.sizeof(libatls.Request),
                   **{ name: getattr(libatls.Request, name).offset
                       for name, _ in libatls.Request._fields_ } }))
EOC

    return decode_json($r->{out} || '{}');
}


# The example is a program, so its declarations are evaluated without its end.

sub node_layout {
    my $text = $t->read_file('libatls.mjs') =~ s/^const \{ values,.*//msr;

    $t->write_file('layout.mjs', $text . <<'EOC');
const layout = { size: koffi.sizeof('atls_request_t') };

for (const name of Object.keys(koffi.introspect('atls_request_t').members)) {
    layout[name] = koffi.offsetof('atls_request_t', name);
}

console.log(JSON.stringify(layout));
EOC

    my $r = run_program($t, 'node', 'layout.mjs', { env => \%ENV });

    return decode_json($r->{out} || '{}');
}
