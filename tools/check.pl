#!/usr/bin/perl

# Checks what the layers of src promise, see docs/design.md:
#
#   - config lists all files, and docs/design.md has them, too;
#   - each header compiles alone;
#   - src/core knows nothing of nginx;
#   - no file includes a header of a higher layer, no header includes itself;
#   - no file calls a higher layer, and none is called by those that it calls.
#
#     check.pl [TREE]    a configured nginx: build/nginx
#
# Without one, nothing is compiled.

use strict;
use warnings;

use Cwd qw( abs_path );
use FindBin;

my $tree = abs_path(shift // 'build/nginx');
my $root = abs_path("$FindBin::Bin/..");

chdir $root or die "$root: $!\n";

my $failed = 0;

my $config = slurp('config');
my @layers = $config =~ m!\$ngx_addon_dir/src/(\w+) \\!g;
my @headers = $config =~ m!\$ngx_addon_dir/(\S+\.h) \\!g;
my @sources = $config =~ m!\$ngx_addon_dir/(\S+\.c) \\!g;

my %rank = map { $layers[$_] => $_ } 0 .. $#layers;
my %path = map { m!([^/]+)$! => $_ } @headers;

check_files();
check_headers() if $tree && -e "$tree/objs/Makefile";
check_core();
check_includes();
check_calls();

exit $failed;


sub fail {
    print STDERR "check: @_\n";
    $failed = 1;
}


sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or die "$path: $!\n";
    local $/;
    return <$fh>;
}


# Of a file, as a number; the module's own file is above all, and what is in src
# itself is below.

sub layer {
    my ($file) = @_;

    return $file =~ m!^src/(\w+)/! ? $rank{$1}
         : $file =~ m!^src/!       ? -1
         :                           scalar @layers;
}


sub check_files {
    my %there = map { $_ => 1 } glob('*.c'), glob('src/*.[ch]'),
                map { glob("src/$_/*.[ch]") } @layers;
    my $design = slurp('docs/design.md');
    my $unit = slurp('t/unit/unit.h');

    for my $file (@headers, @sources) {
        fail("$file is not there") unless delete $there{$file};

        my ($dir, $name) = $file =~ m!^(.*?)/?([^/]+)\.[ch]$!;

        fail("docs/design.md does not have $file")
            unless $design =~ m!^\s*(?:\Q$dir\E/)?\Q$name\E(?:\.[ch])? !m;

        fail("t/unit/unit.h does not have $file")
            if $file =~ m!^src/core/.*\.c$! && $unit !~ m!/\Q$file\E"!;
    }

    fail("config does not have $_") for sort keys %there;
}


sub check_headers {
    my $makefile = slurp("$tree/objs/Makefile");
    my %set = map { $_ => '' } qw( CC CFLAGS ALL_INCS );

    for my $name (keys %set) {
        my ($value) = $makefile =~ /^$name\s*=\s*((?:.*\\\n)*.*)$/m;
        $set{$name} = $value =~ s/\\\n//gr;
    }

    my $incs = join ' ', map { "-I $root/$_" } 'src', map { "src/$_" } @layers;

    for my $header (@headers) {
        my ($name) = $header =~ m!([^/]+)$!;

        my $out = `cd $tree && echo '#include "$name"' \\
                   | $set{CC} $set{CFLAGS} $incs $set{ALL_INCS} \\
                     -fsyntax-only -x c - 2>&1`;

        fail("$header does not compile alone:\n$out") if $?;
    }
}


sub check_core {
    for my $file (grep { m!^src/core/! } @headers, @sources) {
        fail("$file names $1") if slurp($file) =~ /(\w*ngx_\w*)/;
    }
}


sub check_includes {
    my %graph;

    for my $file (@headers, @sources) {

        for my $name (slurp($file) =~ /^#include "(.*)"$/mg) {
            my $to = $path{$name};

            if (!$to) {
                fail("$file includes $name, which config does not have");
                next;
            }

            fail("$file includes $name of a higher layer")
                if layer($to) > layer($file);

            $graph{$file}{$to} = 1;
        }
    }

    check_cycles('includes', \%graph);
}


# A function has its name at the start of a line, and is known to other files if
# the line before does not begin with "static".  To name one is to call it, but
# for the module's file: nothing is below it that could call it.

sub check_calls {
    my (%defined, %graph);

    my %text = map { $_ => slurp($_) =~ s!/\*.*?\*/|"(?:\\.|[^"\\])*"!!grs }
                   @sources;

    for my $file (@sources) {
        while ($text{$file} =~ /^(?!static )\w[\w *]*\n(\w+)\(/mg) {
            $defined{$1} = $file;
        }
    }

    for my $file (@sources) {

        for my $name ($text{$file} =~ /\b(\w+)\b/g) {
            my $to = $defined{$name};

            next if !$to || $to eq $file;

            fail("$file calls $name() of a higher layer")
                if layer($to) > layer($file) && !$graph{$file}{$to};

            $graph{$file}{$to} = 1;
        }
    }

    check_cycles('calls', \%graph);
}


# Goes along all arrows; those of a cycle come back to where they have begun.

sub check_cycles {
    my ($what, $graph) = @_;

    my %done;

    my $visit;
    $visit = sub {
        my ($file, @way) = @_;

        if (grep { $_ eq $file } @way) {
            shift @way while $way[0] ne $file;
            fail("$what in a ring: " . join(' -> ', @way, $file));
            return;
        }

        return if $done{$file};

        $visit->($_, @way, $file) for sort keys %{ $graph->{$file} || {} };
        $done{$file} = 1;
    };

    $visit->($_) for sort keys %$graph;
}
