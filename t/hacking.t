#!/usr/bin/perl

# docs/hacking.md: its commands can be run, files and functions exist, and the
# examples compile and pass their tests in a copy of the tree.

use strict;
use warnings;

use Cwd qw( abs_path );
use File::Basename qw( basename dirname );
use File::Path qw( make_path );
use File::Temp qw( tempdir );
use FindBin;

use Test::More;

my $root = abs_path("$FindBin::Bin/..");
my $build = dirname($ENV{TEST_NGINX_MODULE} || "$root/build/none");
my $page = slurp("$root/docs/hacking.md");

# objects of the module's file are in a folder with the name of its folder

my $dir = tempdir('atls-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
my $copy = "$dir/" . basename($root);

# variables set by the make that runs this test are not for other trees

delete @ENV{qw( MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES BUILD OUT TESTS )};

plan skip_all => 'nothing here depends on how nginx runs'
    if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};

commands();
names();
layers();

SKIP: {
    skip "$build is not built", 1
        unless -e "$build/nginx/objs/Makefile" && -e "$build/flags"
               && ($ENV{TEST_NGINX_MODULE} // 1) ne '';

    copy_tree();
    examples();
    compile();
    run_tests();
}

done_testing();


sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or die "$path: $!\n";
    local $/;
    return <$fh>;
}


sub spew {
    my ($path, $text) = @_;

    make_path(dirname($path));
    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
}


sub blocks {
    my ($lang) = @_;

    return $page =~ /^```$lang\n(.*?)^```$/msg;
}


sub runs {
    my ($command, $name) = @_;

    my $out = `cd $root && { $command; } 2>&1 </dev/null`;

    is($?, 0, $name || $command) or diag($out);
}


# Commands that take long are not run: make -n prints what it would do.

sub commands {
    my $sources = join '', map { slurp($_) }
                  "$root/Makefile", glob "$root/t/*.t $root/t/lib/Test/Atls.pm";

    for my $command (map { split /\n/ } blocks('sh')) {

        like($sources, qr/\b$_\b/, "$command: $_")
            for $command =~ /\b([A-Z_]+)=/g;

        if ($command =~ /^make\b(.*)/) {
            runs("make -n$1", $command);

        } elsif ($command eq 'prove -I t/lib t/00-load.t') {
            runs($command);

        } elsif ($command =~ /^tools\/check\.pl (.*)/) {
            SKIP: {
                skip "$build is not built", 1 unless -d "$build/client";
                runs("tools/check.pl -b $build $1", $command);
            }

        } else {
            my ($test) = $command =~ /\bprove (?:-\S+ (?:t\/lib )?)*(\S+)$/;
            ok($test && -e "$root/$test", "$command: the test");
        }
    }
}


# Names in the text: files, functions and other names of the sources, targets of
# make.

sub names {
    my $text = $page =~ s/^```.*?^```$//msgr;
    my %named = map { $_ => 1 } $text =~ /`([^`]+)`/g;
    my $sources = join '', map { slurp($_) } sources();
    my $targets = slurp("$root/Makefile");

    for my $name (sort keys %named) {
        if ($name =~ m!^(?:src|t|tools|docs)/[\w./-]+$!) {
            ok(-e "$root/$name", "$name is there");

        } elsif ($name =~ /^((?:ngx|NGX|trl|atls|ATLS)_\w+)(?:\(\))?$/
                 && $name !~ /label/)
        {
            like($sources, qr/\b$1\b/, "$name is there");

        } elsif ($name =~ /^make (\w\S*)/) {
            like($targets, qr/^$1:/m, "$name is there");
        }
    }
}


sub sources {
    return glob "$root/*.c $root/src/*/*.[ch] $root/src/client/*/*.[ch]";
}


sub layers {
    my ($table) = $page =~ /^\| layer \|.*?\n(.*?)^$/ms;
    my @config = slurp("$root/config") =~ m!\$ngx_addon_dir/src/(\w+) \\!g;

    is(join(' ', $table =~ /^\| `(\w+)` \|/mg), "@config", 'layers');
}


# Copies the tree without compiled files.  nginx was configured for the original
# directory.  If it is at the root, as /project, its name also occurs within
# other paths: objs/addon/project.

sub copy_tree {
    make_path("$copy/build");

    system("cd $root && tar -cf - --exclude=./build --exclude=./.git ."
           . " | tar -C $copy -xf - && cd $build"
           . " && tar -cf - --exclude='*.o' --exclude='*.so' nginx"
           . " | tar -C $copy/build -xf -") == 0
        or die "cannot copy $root\n";

    my $makefile = "$copy/build/nginx/objs/Makefile";
    spew($makefile, slurp($makefile) =~ s/(?<!\w)\Q$root\E\b/$copy/gr);
}


# The lines of a hunk must occur exactly once in the file.

sub examples {
    for my $diff (blocks('diff')) {
        for (split /^(?=--- )/m, $diff) {
            my ($new, $file, $hunks) =
                m!\A--- (?:a/\S+|(/dev/null))\n\+\+\+ b/(\S+)\n(.*)\z!s
                or die "no file: $_\n";

            my $text = $new ? '' : slurp("$copy/$file");

            for my $hunk (grep { length } split /^@@\n/m, $hunks) {
                my $before = join '', map { s/^[ -]//r }
                                      grep { !/^\+/ } split /^/, $hunk;
                my $after = join '', map { s/^[ +]//r }
                                     grep { !/^-/ } split /^/, $hunk;

                my @places = $text =~ /^\Q$before\E/mg;

                is(scalar @places, 1, "$file: an example has its place")
                    or diag($hunk);

                $text =~ s/^\Q$before\E/$after/m;
            }

            spew("$copy/$file", $text);
        }
    }
}


# Without optimization, which takes three times as long, and therefore without
# _FORTIFY_SOURCE, which requires it.

sub compile {
    my ($flags) = slurp("$copy/build/nginx/objs/Makefile")
                  =~ /^CFLAGS\s*=\s*(.*)$/m;

    $flags =~ s/-D_FORTIFY_SOURCE=\d|-Wp,\S+//g;

    runs("make -j 2 -C $copy/build/nginx -f objs/Makefile modules"
         . " CFLAGS='$flags -O0'", 'the examples compile');

    runs("make -C $copy @{[ map { \"build/client/cmd/options/$_.o\" }
                            qw( option_table client ) ]}",
         'those of the client, too');

    runs("$copy/tools/check.pl files core includes lines style",
         'make check has nothing to say of them');
}


sub run_tests {
    local $ENV{TEST_NGINX_MODULE} =
        "$copy/build/nginx/objs/ngx_http_atls_module.so";

    my $cc = $ENV{CC} || 'cc';

    runs("cd $copy && $cc -o record t/unit/record.c -lssl -lcrypto && ./record",
         't/unit/record.c');

    runs("cd $copy && prove -I t/lib t/$_.t", "t/$_.t")
        for qw( label arguments suites );
}
