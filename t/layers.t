#!/usr/bin/perl

# make check: tools/check.pl finds what breaks the layers of src.

use strict;
use warnings;

use Cwd qw( abs_path );
use File::Temp qw( tempdir );
use FindBin;

use Test::More;

my $root = abs_path("$FindBin::Bin/..");
my $tree = "$root/build/nginx";
my $dir = tempdir('atls-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);

plan skip_all => 'nothing here depends on how nginx runs'
    if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};

system("cd $root && tar -cf - config *.c src docs/design.md t/unit tools"
       . " | tar -C $dir -xf -") == 0 or die "cannot copy $root\n";


is(check($dir), '', 'the tree as it is');

finds('src/worker/ngx_http_atls_clock.h', sub { s/^#include.*\n//m },
      qr/clock\.h does not compile alone/, $tree, 'a header without another')
    if -e "$tree/objs/Makefile";

finds('src/core/atls_record.c', sub { s/^#/#include <ngx_core.h>\n#/m },
      qr/atls_record\.c names ngx_core/, $dir, 'nginx in the core');

finds('src/table/ngx_http_atls_table.c', sub { include('post') },
      qr/table\.c includes ngx_http_atls_post\.h of a higher layer/, $dir,
      'a header of a higher layer');

finds('src/worker/ngx_http_atls_proxy.h', sub { include('mailbox') },
      qr/ring: .*mailbox\.h -> .*proxy\.h -> .*mailbox\.h/, $dir,
      'headers that include each other');

finds('src/table/ngx_http_atls_session.c',
      sub { s/\n\}\n\z/\n    ngx_http_atls_finish(NULL);\n}\n/ },
      qr/session\.c calls ngx_http_atls_finish\(\) of a higher layer/, $dir,
      'a function of a higher layer');

finds('src/table/ngx_http_atls_table.c',
      sub { s/\n\}\n\z/\n    ngx_http_atls_session_tag();\n}\n/ },
      qr/calls in a ring: .*session\.c -> .*table\.c -> .*session\.c/, $dir,
      'files that call each other');

finds('src/outer/ngx_http_atls_new.c', sub { $_ = "\n" },
      qr/config does not have src\/outer\/ngx_http_atls_new\.c/, $dir,
      'a file that is not in config');

finds('docs/design.md', sub { s/^.*ngx_http_atls_mailbox .*\n//m },
      qr/design\.md does not have .*mailbox\.c/, $dir,
      'a file that is not in the documentation');

finds('t/unit/unit.h', sub { s/^.*atls_state.*\n//m },
      qr/unit\.h does not have .*atls_state\.c/, $dir,
      'a file that is not in the unit tests');

done_testing();


# Whatever it says; nothing is compiled for a directory that is no tree.

sub check {
    my ($with) = @_;

    my $out = `$dir/tools/check.pl $with 2>&1`;

    return $? && $out eq '' ? "exit status $?" : $out;
}


sub include {
    my ($name) = @_;

    s/^(#include.*\n)/$1#include "ngx_http_atls_$name.h"\n/m;
}


sub finds {
    my ($file, $change, $expected, $with, $name) = @_;

    my $path = "$dir/$file";
    my $old = -e $path ? slurp($path) : undef;

    for (my $text = $old // '') {
        $change->();
        spew($path, $_);
    }

    like(check($with), $expected, $name);

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
