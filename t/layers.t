#!/usr/bin/perl

# make check: tools/check.pl finds violations of the layers of src.

use strict;
use warnings;

use Cwd qw( abs_path );
use File::Basename qw( basename dirname );
use File::Temp qw( tempdir );
use FindBin;

use Test::More;

my $root = abs_path("$FindBin::Bin/..");
my $build = dirname($ENV{TEST_NGINX_MODULE} || "$root/build/none");
my $dir = tempdir('atls-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);

# objects of the module's file are in a folder with the name of its folder

$dir .= '/' . basename($root);

plan skip_all => 'nothing here depends on how nginx runs'
    if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};

system("mkdir -p $dir/build && cd $root && tar -cf - config *.c src"
       . " docs/design.md t/unit t/chaos t/bench tools | tar -C $dir -xf -") == 0
    or die "cannot copy $root\n";


is(check(qw( files core includes names lines style )), '',
   'the tree as it is');

SKIP: {
    skip "$build is not built", 8
        unless -e "$build/nginx/objs/Makefile" && -d "$build/client";

    system("cp -r $build/client $build/nginx $dir/build") == 0
        or die "cannot copy $build\n";

    finds('src/worker/ngx_http_atls_clock.h', sub { s/^#include.*\n//m },
          qr/clock\.h does not compile alone/, 'headers',
          'a header without another');

    finds('t/bench/fill.c', sub { $_ .= "int\nf(void)\n{\n    g();\n}\n" },
          qr/fill\.c does not compile/, 'bench',
          'a program that does not compile');

    is(check('calls'), '', 'calls as they are');

    calls('table/ngx_http_atls_session', 'ngx_http_atls_finish',
          qr/session\.c calls ngx_http_atls_finish\(\) of a higher layer/,
          'a function of a higher layer');

    calls('table/ngx_http_atls_table', 'ngx_http_atls_session_create',
          qr/calls in a ring: .*(?:session\.c -> .*table\.c|table\.c -> .*session\.c)/,
          'files that call each other');

    calls('client/lib/tls', 'atls_perform',
          qr/calls in a ring: .*tls\.c/, 'files of the library that do');

    calls('client/lib/outer', 'cmd_fail',
          qr/outer\.c calls cmd_fail\(\) of a higher layer/,
          'a function of the command in the library');

    calls('client/cmd/base/util', 'cmd_forward', qr/calls in a ring: .*util\.c/,
          'files of the command that do');
}

finds('src/core/trl_record.c', sub { s/^#/#include <ngx_core.h>\n#/m },
      qr/trl_record\.c names ngx_core/, 'core', 'nginx in the core');

finds('src/table/ngx_http_atls_table.c', sub { include('ngx_http_atls_post') },
      qr/table\.c includes ngx_http_atls_post\.h of a higher layer/, 'includes',
      'a header of a higher layer');

finds('src/worker/ngx_http_atls_proxy.h',
      sub { include('ngx_http_atls_mailbox') },
      qr/ring: .*mailbox\.h -> .*proxy\.h -> .*mailbox\.h/, 'includes',
      'headers that include each other');

finds('src/client/lib/cert.c', sub { include('../cmd/base/util') },
      qr/cert\.c includes \S*util\.h of a higher layer/, 'includes',
      'a header of the command in the library');

finds('src/client/cmd/doctor/probe.c', sub { include('../local/pool') },
      qr/probe\.c includes \S*pool\.h of a layer beside it/, 'includes',
      'a header of another command');

finds('src/client/lib/buf.c', sub { include('../../core/trl_record') },
      qr/buf\.c includes \S*trl_record\.h, which is not one of its headers/,
      'includes', 'a header of the module in the client');

finds('src/client/lib/buf.c',
      sub { $_ .= "static int\ncmd_stream_poll(int i)\n{\n}\n" },
      qr!cmd_stream_poll is defined in \S*/stream\.c, \S*/buf\.c!, 'names',
      'functions with the same name');

finds('src/core/trl_record.c', sub { $_ .= "typedef int  trl_state_t;\n" },
      qr!trl_state_t is defined in \S*/trl_\w+\.[ch], \S*/trl_!, 'names',
      'types with the same name');

my @six = map { "    lines[$_] = $_;\n" } 1 .. 6;

finds('src/client/lib/buf.c', sub { $_ .= "{\n@six}\n\n{\n@six}\n" },
      qr!the same lines: src/client/lib/buf\.c:\d+, src/client/lib/buf\.c:!,
      'lines', 'lines that are there twice');

finds('src/client/lib/buf.c', sub { $_ .= "{\n@six}\n{\n@six[0 .. 4]}\n" },
      qr/\A\z/, 'lines', 'five lines that are');

finds('src/client/lib/buf.c', sub { $_ .= '/* ' . 'x' x 76 . " */\n" },
      qr/buf\.c:\d+ is longer than 80 columns/, 'style', 'a long line');

finds('src/client/lib/buf.c',
      sub { $_ .= "int\nlong_one(void)\n{\n" . "    x();\n" x 99 . "}\n" },
      qr/buf\.c: long_one\(\) has more than 100 lines/, 'style',
      'a long function');

finds('src/client/lib/buf.c',
      sub { $_ .= "static int b(int i);\nstatic int a(int i);\n\n\n"
                  . join "\n\n", map { "static int\n$_(int i)\n{\n}\n" }
                                  qw( a b ) },
      qr/prototype of b\(\) is where a\(\) is defined/, 'style',
      'functions in another order than their prototypes');

finds('src/outer/ngx_http_atls_new.c', sub { $_ = "\n" },
      qr/config does not have src\/outer\/ngx_http_atls_new\.c/, 'files',
      'a file that is not in config');

finds('docs/design.md', sub { s/^.*ngx_http_atls_mailbox .*\n//m },
      qr/design\.md does not have .*mailbox\.c/, 'files',
      'a file that is not in the documentation');

finds('docs/design.md', sub { s/^    exitcode .*\n//m },
      qr!design\.md does not have src/client/cmd/base/exitcode\.h!, 'files',
      'one of the client');

finds('docs/design.md', sub { s/^    (ledger )/    former      \n    $1/m },
      qr!design\.md has t/chaos/former, which is not there!, 'files',
      'one that is only in the documentation');

finds('t/unit/unit.h', sub { s/^.*trl_state.*\n//m },
      qr/unit\.h does not have .*trl_state\.c/, 'files',
      'a file that is not in the unit tests');

done_testing();


# Returns the output.

sub check {
    my @checks = @_;

    my $out = `$dir/tools/check.pl -b $dir/build @checks 2>&1`;

    return $? && $out eq '' ? "exit status $?" : $out;
}


sub include {
    my ($name) = @_;

    s/^(#include.*\n)/$1#include "$name.h"\n/m;
}


# Adds a function to the object of a file, which calls another one.

sub calls {
    my ($file, $name, $expected, $test) = @_;

    my $object = $file =~ /^client/ ? "$dir/build/$file.o"
                                    : "$dir/build/nginx/objs/addon/$file.o";
    my $cc = $ENV{CC} || 'cc';

    rename $object, "$object.old" or die "$object: $!\n";

    system("echo 'void $name(void); void added(void); void added(void)"
           . " { $name(); }' | $cc -c -x c -o $dir/added.o -"
           . " && ld -r -o $object $object.old $dir/added.o") == 0
        or die "cannot change $object\n";

    like(check('calls'), $expected, $test);

    rename "$object.old", $object or die "$object: $!\n";
}


sub finds {
    my ($file, $change, $expected, $check, $name) = @_;

    my $path = "$dir/$file";
    my $old = -e $path ? slurp($path) : undef;

    for (my $text = $old // '') {
        $change->();
        spew($path, $_);
    }

    like(check($check), $expected, $name);

    defined $old ? spew($path, $old) : unlink $path;
}


sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or die "$path: $!\n";
    local $/;
    return <$fh>;
}


sub spew {
    my ($path, $text) = @_;

    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
}
