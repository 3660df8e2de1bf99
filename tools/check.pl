#!/usr/bin/perl

# Checks the structure of the sources, see docs/design.md:
#
#   files       config lists all files of the module; docs/design.md lists
#               these, those of the client and those of t/chaos;
#   headers     each header compiles alone;
#   bench       the programs of t/bench that use the module compile;
#   core        src/core does not use identifiers of nginx;
#   includes    no file includes a header of a higher layer, of a layer beside
#               its own, or of the other program; there are no include cycles;
#   calls       no file calls such a layer; there are no call cycles between
#               files;
#   names       no function or type is defined in two files of a program;
#   lines       no six consecutive lines occur twice in a program;
#   style       80 columns, no tabs, functions of at most 100 lines, in the
#               order of their prototypes;
#   release     the version is the same everywhere; debian/ lists the functions
#               of libatls.
#
#     check.pl [-b BUILD] [CHECK ...]     some of them; default: all
#
# BUILD is the build directory, by default build; the checks "headers", "bench"
# and "calls" require it.  CLIENT_CC is the compiler of the client, with options.

use strict;
use warnings;

use Cwd qw( abs_path );
use File::Basename qw( basename dirname );
use FindBin;
use Getopt::Std;

my @CHECKS = qw( files headers bench core includes calls names lines style
                 release );

my $LINES = 6;
my $COLUMNS = 80;
my $FUNCTION = 100;

# Data of the module file used by lower layers: nginx looks up the configuration
# and the context of a module by it.

my $MODULE = 'ngx_http_atls_module';

getopts('b:', \my %option) or die "usage: check.pl [-b BUILD] [CHECK ...]\n";

my $build = $option{b} // 'build';
my $root = abs_path("$FindBin::Bin/..");

$build = abs_path($build) // die "$build: $!\n";
chdir $root or die "$root: $!\n";

my $failed = 0;

my $config = slurp('config');
my @layers = $config =~ m!\$ngx_addon_dir/src/(\w+) \\!g;
my @listed = $config =~ m!\$ngx_addon_dir/(\S+\.[ch]) \\!g;

# Two programs, with their layers from the lowest to the highest.  The module
# file is the highest layer; other files in src are the lowest.  Layers of the
# command that are "beside" each other do not use each other.  The gateway is a
# program of its own; it and CoAP are built if there is libcoap.

my $gateway = 'src/client/gateway';
my $coap = 'src/client/cmd/coap';
my $libcoap = system('pkg-config --exists libcoap-3-openssl 2>/dev/null') == 0;

my @beside = map { "src/client/cmd/$_" } qw( request local doctor );
my @client = ('src/client/lib', 'src/client/cmd/base', $coap,
              'src/client/cmd/options', @beside, 'src/client/cmd', $gateway);

# for WebAssembly: not compiled here

my @js = sources('src/client/js');

my @programs = (
    { dirs => [ 'src', (map { "src/$_" } @layers), '.' ], files => \@listed,
      headers => \&module_compiler, object => \&module_object },
    { dirs => \@client, beside => \@beside,
      files => [ map { sources($_) } @client ],
      headers => \&client_compiler, object => \&client_object },
);

for my $check (@ARGV ? @ARGV : @CHECKS) {
    my $code = main->can("check_$check") or die "check.pl: no check $check\n";
    $code->();
}

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


sub sources {
    my ($dir) = @_;

    return map { s!^\./!!r } glob "$dir/*.[ch]";
}


# The layer of a file, as a number.

sub layer {
    my ($program, $file) = @_;

    my $dirs = $program->{dirs};
    my ($n) = grep { $dirs->[$_] eq dirname($file) } 0 .. $#$dirs;

    return $n;
}


# Whether a file can be compiled here.

sub compiles {
    my ($file) = @_;

    return $libcoap || (dirname($file) ne $gateway && dirname($file) ne $coap);
}


# What is wrong if a file uses another one; '' if nothing is.

sub misplaced {
    my ($program, $file, $to) = @_;

    my %beside = map { $_ => 1 } @{ $program->{beside} || [] };
    my @dirs = map { dirname($_) } $file, $to;

    return layer($program, $to) > layer($program, $file) ? 'a higher layer'
           : $dirs[0] eq $gateway && $dirs[1] =~ m!/cmd(?:/request|/doctor)?$!
             ? 'another program'
           : $dirs[0] ne $dirs[1] && $beside{$dirs[0]} && $beside{$dirs[1]}
             ? 'a layer beside it' : '';
}


sub check_files {
    my %there = map { $_ => 1 } map { sources($_) } @{ $programs[0]{dirs} };

    for my $file (@listed) {
        fail("$file is not there") unless delete $there{$file};
    }

    fail("config does not have $_") for sort keys %there;

    my $unit = slurp('t/unit/unit.h');

    for my $file (grep { m!^src/core/.*\.c$! } @listed) {
        fail("t/unit/unit.h does not have $file") unless $unit =~ m!/\Q$file"!;
    }

    check_design();
}


# In the lists of docs/design.md, an indented line is in the directory of the
# last line that is not indented.  A name without an extension is a .c and a .h
# file.

sub check_design {
    my (%there, %design, $dir);

    for my $file ((map { @{ $_->{files} } } @programs), @js,
                  glob 't/chaos/*.py')
    {
        $there{$file =~ s!\.\w+$!!r} = $file;
    }

    for my $block (slurp('docs/design.md') =~ /^```\n(.*?)^```$/msg) {
        next unless $block =~ m!^(?:src|t)/!m;

        for (split /\n/, $block) {
            if (m!^(\S+?)(?:\.[ch])?  !) {
                $dir = $1;
                $design{$1} = 1 if -f "$1.h" || -f "$1.c";

            } elsif (m!^    ([\w]+)(?:\.[ch])?  !) {
                $design{"$dir/$1"} = 1;

            } elsif (m!^(\S+/\S+)$!) {
                $dir = $1;
            }
        }
    }

    for my $name (sort keys %there) {
        fail("docs/design.md does not have $there{$name}")
            unless delete $design{$name};
    }

    fail("docs/design.md has $_, which is not there") for sort keys %design;
}


sub check_headers {
    for my $program (@programs) {
        my ($dir, $compiler) = $program->{headers}->();

        for my $header (grep { /\.h$/ && compiles($_) }
                             @{ $program->{files} })
        {
            my $out = `cd $dir && echo '#include "$root/$header"' \\
                       | $compiler -fsyntax-only -x c - 2>&1`;

            fail("$header does not compile alone:\n$out") if $?;
        }
    }
}


# They are only linked by "make bench".

sub check_bench {
    my ($dir, $compiler) = module_compiler();

    for my $file (grep { slurp($_) =~ /^#include "ngx_/m } glob 't/bench/*.c') {
        my $out = `cd $dir && $compiler -fsyntax-only $root/$file 2>&1`;

        fail("$file does not compile:\n$out") if $?;
    }
}


# Returns the compiler command and its directory, from nginx's Makefile.

sub module_compiler {
    my $makefile = slurp("$build/nginx/objs/Makefile");

    my @words = map { $makefile =~ /^$_\s*=\s*((?:.*\\\n)*.*)$/m
                      ? $1 =~ s/\\\n//gr : '' }
                qw( CC CFLAGS ALL_INCS );

    return ("$build/nginx",
            join ' ', @words, map { "-I $root/$_" } @{ $programs[0]{dirs} });
}


sub client_compiler {
    return ($root, $ENV{CLIENT_CC} || 'cc -std=c99 -D_GNU_SOURCE');
}


sub check_core {
    for my $file (grep { m!^src/core/! } @listed) {
        fail("$file names $1") if slurp($file) =~ /(\w*ngx_\w*)/;
    }
}


# #include lines of the client have paths, those of the module do not.

sub check_includes {
    for my $program (@programs) {
        my %known = map { $_ => $_, basename($_) => $_ }
                    grep { /\.h$/ } @{ $program->{files} };
        my %graph;

        for my $file (@{ $program->{files} }) {
            for my $name (slurp($file) =~ /^#include "(.*)"$/mg) {
                my $path = dirname($file) . "/$name";
                1 while $path =~ s!\w+/\.\./!!;

                my $to = $known{$path} // $known{$name};

                if (!$to) {
                    fail("$file includes $name, which is not one of its"
                         . ' headers');
                    next;
                }

                my $wrong = misplaced($program, $file, $to);

                fail("$file includes $name of $wrong") if $wrong;

                $graph{$file}{$to} = 1;
            }
        }

        check_rings('includes', \%graph);
    }
}


# A file calls another one if its object file has an undefined symbol that the
# other object file defines.  This includes variables and functions whose
# address is taken, but not calls through function pointers.

sub check_calls {
    for my $program (@programs) {
        my (%defined, %undefined, %graph);

        my %file = map { $program->{object}->($_) => $_ }
                   grep { /\.c$/ && compiles($_) } @{ $program->{files} };

        for my $object (grep { !-e } sort keys %file) {
            fail("$object is not there, make builds it");
            delete $file{$object};
        }

        for (`nm -A -P @{[ sort keys %file ]}`) {
            my ($object, $name, $type) = /^(.*): (\S+) (\w)/ or next;
            my $file = $file{$object};

            next if $name eq $MODULE;

            $undefined{$file}{$name} = 1 if $type eq 'U';
            $defined{$name} = $file if $type =~ /[A-TX-Z]/;
        }

        for my $file (sort keys %undefined) {
            for my $name (sort keys %{ $undefined{$file} }) {
                my $to = $defined{$name} or next;

                my $wrong = misplaced($program, $file, $to);

                fail("$file calls $name() of $wrong") if $wrong;

                $graph{$file}{$to} = 1;
            }
        }

        check_rings('calls', \%graph);
    }
}


# nginx's Makefile puts objects into a directory with the name of the source's
# last directory.

sub module_object {
    my ($file) = @_;

    return "$build/nginx/objs/addon/" . basename(dirname("$root/$file")) . '/'
           . basename($file, '.c') . '.o';
}


sub client_object {
    my ($file) = @_;

    return $file =~ s!^src/(.*)\.c$!$build/$1.o!r;
}


# Finds cycles by depth-first search.

sub check_rings {
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


# Even static functions: a reader who searches for a name finds one definition.

sub check_names {
    for my $program (@programs) {
        my %places;

        for my $file (@{ $program->{files} }) {
            my $text = slurp($file) =~ s!/\*.*?\*/!!gsr;

            $places{$_}{$file} = 1
                for $text =~ /^(\w+)\([^;{]*\)\n\{\n/mg,
                    $text =~ /^\} (\w+);/mg, $text =~ /^typedef .*?(\w+);/mg;
        }

        for my $name (grep { $_ ne 'main' } sort keys %places) {
            my @files = sort keys %{ $places{$name} };

            fail("$name is defined in " . join ', ', @files) if @files > 1;
        }
    }
}


# Only lines with a word are compared, without comments and preprocessor
# directives.  The client may have the same lines as the module, since they do
# not share code by design.

sub check_lines {
    for my $program (@programs) {
        my %runs;

        for my $file (@{ $program->{files} }) {
            my $text = slurp($file) =~ s!/\*.*?\*/!$& =~ s/[^\n]//gr!egsr;
            my ($n, @lines) = (0);

            for my $line (split /\n/, $text) {
                $n++;
                push @lines, [ $n, $line =~ s/^\s+//r ]
                    if $line =~ /\w/ && $line !~ /^#/;
            }

            for my $i (0 .. @lines - $LINES) {
                my $run = join "\n", map { $_->[1] }
                                     @lines[$i .. $i + $LINES - 1];

                push @{ $runs{$run} }, "$file:$lines[$i][0]";
            }
        }

        for my $places (grep { @$_ > 1 } values %runs) {
            fail('the same lines: ' . join ', ', @$places);
        }
    }
}


# The name of a function is at the start of a line.

sub check_style {
    for my $file ((map { @{ $_->{files} } } @programs), @js) {
        my $text = slurp($file);
        my $n = 0;

        for my $line (split /\n/, $text) {
            $n++;
            fail("$file:$n is longer than $COLUMNS columns")
                if length $line > $COLUMNS;
            fail("$file:$n has a tab or a space at its end")
                if $line =~ /\t|\s$/;
            fail("$file:$n has a comment with //") if $line =~ m!^\s*//!;
        }

        $text =~ s!/\*.*?\*/!$& =~ s/[^\n]//gr!egs;

        while ($text =~ /^(\w+)\([^;{]*\)\n\{\n(.*?)^\}$/msg) {
            fail("$file: $1() has more than $FUNCTION lines")
                if ($2 =~ tr/\n//) + 2 > $FUNCTION;
        }

        my @prototypes = $text =~ /^static\ [^\n=]*? \b(\w+)
                                   \( (?: [^;{)] | \([^)]*\) )* \);/xmg;
        my %prototype = map { $_ => 1 } @prototypes;
        my @defined = grep { $prototype{$_} }
                      $text =~ /^(?:static )?\w[\w *]*\n(\w+)\(/mg;

        for my $name (@prototypes) {
            my $next = shift @defined // 'nothing';
            next if $next eq $name;

            fail("$file: the prototype of $name() is where $next() is defined");
            last;
        }
    }
}


# The version is defined in the header of libatls.  What can be made of it is:
# libatls.pc, libatls(3), the name of the source archive.

sub check_release {
    my $header = slurp('src/client/lib/atls.h');
    my ($version) = $header =~ /^#define ATLS_VERSION +"(.*)"$/m;

    my %versions = (
        'CHANGELOG.md'      => qr/\A.*?^## (\S+)/ms,
        'debian/changelog'  => qr/\A\S+ \((.*)-\w+\) /,
        'docs/atls.1'       => qr/^\.Os ngx_http_atls_module (\S+)$/m,
        'tools/nginx-mod-http-atls.spec' => qr/^Version: +(\S+)$/m,
    );

    for my $file (sort keys %versions) {
        my ($found) = slurp($file) =~ $versions{$file};

        fail("$file has not version $version, but ", $found // 'none')
            unless ($found // '') eq $version;
    }

    my %there = map { $_ => 1 } $header =~ /^ATLS_API\ [^;(]*?(\w+)\(/xmg;

    for my $name (slurp('debian/libatls0.symbols') =~ /^ (\w+)\@Base /mg) {
        fail("debian/libatls0.symbols has $name, which is not there")
            unless delete $there{$name};
    }

    fail("debian/libatls0.symbols does not have \"$_\@Base $version\"")
        for sort keys %there;
}
