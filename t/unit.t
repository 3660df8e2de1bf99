#!/usr/bin/perl

# The unit tests of t/unit: C programs with TAP output.
#
#   CC                 compiler, default cc
#   ATLS_UNIT_CFLAGS   compiler options, such as -I and -L of another OpenSSL
#   ATLS_UNIT_RUNS     runs of each fuzz target, default 20000
#   TEST_ASAN          with AddressSanitizer and UndefinedBehaviorSanitizer
#   TEST_VALGRIND      under valgrind, which exits with 99 on errors

use strict;
use warnings;

use FindBin;

use File::Temp qw/ tempdir /;
use Test::More;

my $src = "$FindBin::Bin/unit";
my $dir = tempdir('atls-unit-XXXXXX', TMPDIR => 1, CLEANUP => 1);

my $cc = $ENV{CC} || 'cc';
my @libs = ('-lssl', '-lcrypto');
my @asan = ('-fsanitize=address,undefined', '-fno-sanitize-recover=all');
my @flags = (qw/ -Wall -Wextra -Werror -O1 -g /,
             split ' ', $ENV{ATLS_UNIT_CFLAGS} || '');

push @flags, @asan if $ENV{TEST_ASAN};

my @valgrind = $ENV{TEST_VALGRIND}
    ? qw/ valgrind -q --error-exitcode=99 --leak-check=full /
    : ();

# those of the client: what else they are linked with

my @gateway = qw( libcoap-3-openssl libcurl );
my %CLIENT = map { $_ => \@gateway } qw( gateway share fuzz_gateway );

my @tests = map { /(\w+)\.c$/ } glob "$src/*.c";

plan(tests => scalar @tests);

for (@tests) {
    my $packages = join ' ', @{$CLIENT{$_} || []};

    SKIP: {
        skip "$_: no $packages", 1
            if $packages && system "pkg-config --exists $packages";
        subtest($_ => /^fuzz_/ ? \&fuzz : \&run, $_);
    }
}


# Runs a program.  Each line of its output is a test.

sub run {
    my ($name) = @_;

    compile($cc, $name, @flags) or return;

    my ($status, @lines) = output(@valgrind, "$dir/$name");
    my ($tests, $plan) = (0);

    for (@lines) {
        if (/^(not )?ok \d+ - (.*)/) {
            ok(!$1, $2);
            $tests++;

        } elsif (/^1\.\.(\d+)/) {
            $plan = $1;

        } else {
            diag($_);
        }
    }

    is($tests, $plan, 'all tests were run');
    is($status, 0, 'exit status');

    done_testing();
}


# With libFuzzer, if it can be linked and there is no valgrind; otherwise with
# random input by the main() of the target.

sub fuzz {
    my ($name) = @_;

    my $runs = $ENV{ATLS_UNIT_RUNS} || ($ENV{TEST_VALGRIND} ? 500 : 20000);
    my @libfuzzer = ("$dir/$name", "-runs=$runs", '-seed=1',
                     '-max_len=4096', '-len_control=10', '-rss_limit_mb=0',
                     "-artifact_prefix=$dir/");
    my ($status, @lines);

    if (!$ENV{TEST_VALGRIND}
        && link_quietly('clang', $name, @flags, @asan,
                        '-fsanitize=fuzzer', '-DFUZZ_ENGINE'))
    {
        note('libFuzzer');
        ($status, @lines) = output(@libfuzzer);

    } else {
        note('random input');
        compile($cc, $name, @flags) or return;
        ($status, @lines) = output(@valgrind, "$dir/$name", $runs);
    }

    is($status, 0, "$runs runs") or diag(@lines);

    done_testing();
}


sub compile {
    my ($compiler, $name, @args) = @_;

    my ($status, @lines) = output(command($compiler, $name, @args));

    if ($status) {
        diag(@lines);
        fail("$name.c compiles");
        done_testing();
    }

    return !$status;
}


sub link_quietly {
    my ($status) = output(command(@_));

    return !$status;
}


sub command {
    my ($compiler, $name, @args) = @_;

    my $packages = join ' ', @{$CLIENT{$name} || []};
    my @client = $packages
        ? ('-D_GNU_SOURCE', '-DATLS_COAP=1',
           split ' ', `pkg-config --cflags --libs $packages`)
        : ();

    return ($compiler, @args, "$src/$name.c", '-o', "$dir/$name", @client,
            @libs);
}


# Runs a command.  Returns its exit status and output.

sub output {
    my @command = @_;

    my $pid = open(my $pipe, '-|');
    die "cannot fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open(STDERR, '>&', \*STDOUT);
        no warnings 'exec';
        exec { $command[0] } @command;
        print "cannot run $command[0]: $!\n";
        require POSIX;
        POSIX::_exit(127);
    }

    my @lines = <$pipe>;
    close $pipe;

    return ($?, @lines);
}
