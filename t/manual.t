#!/usr/bin/perl

# docs/atls.1, the table of options and --help have the same commands and
# options.  If they differ, the test shows what the manual should have.
# libatls(3), which is made of the header, has all that is in the header.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Command;
use Test::Atls::Program qw( find_program );

my $t = Test::Atls->new();
my $atls = Test::Atls::Command->new($t);
my $root = Test::Atls::root();
my $cmd = "$root/src/client/cmd";
my $manual = $t->read_file("$root/docs/atls.1");

# the name of a command: the output of its --help

my @commands = $t->read_file("$cmd/main.c") =~ /^    \{ "(\w+)", cmd_\w+ \},/mg;
my %help = map { $_ => $atls->run($_, '--help')->{out} } @commands;

subtest('commands' => \&commands);
subtest('options' => \&options);
subtest('exit codes' => \&exit_codes);
subtest('names' => \&names);
subtest('libatls(3)' => \&library);
subtest('lint' => \&lint);

$t->done_testing();


sub commands {
    my ($synopsis) = $manual =~ /^\.Sh SYNOPSIS\n(.*?)^\.Sh /ms;
    my (undef, @others) = @commands;        # fetch is the default

    cmp_ok(scalar @others, '>', 1, 'main.c has commands');
    is(join(' ', $help{fetch} =~ /^ +atls (\w+) --help$/mg), "@others",
       'those of --help');
    is(forms_of_manual($synopsis), forms_of_help(), 'forms of the synopsis');
    is(join(' ', $manual =~ /^\.Ss atls (\w+)$/mg), "@others",
       'each has a section');

    done_testing();
}


# The forms of all commands: "forward --listen [option ...] URL".  The manual
# has letters instead of names of options, and other names for values.

sub forms_of_help {
    my @forms = grep { !/^\w+ --help$/ }
                map { /^(?:Usage:|      ) atls +(.*)$/mg } @help{@commands};

    return lc join "\n", map { s!https://\S+!URL!r =~ s/(--\w+) \S+/$1/gr }
                         @forms;
}


sub forms_of_manual {
    my ($synopsis) = @_;

    my %names = $help{forward} =~ /^  -(\w), --([\w-]+)/mg;
    my @forms;

    for (split /^\.Nm\n/m, $synopsis) {
        my @words = map {
            /^\.Op Fl -$/               ? '[--]'
            : /^\.Op Ar (.*)$/          ? "[$1]"
            : /^\.Fl (\w) Ar \w+$/      ? "--$names{$1}"
            : /^\.Fl -([\w-]+) Ar \w+$/ ? "--$1"
            : /^\.(?:Ar|Cm) (.*)$/      ? $1 : "? $_"
        } split /\n/;

        push @forms, "@words" if @words;
    }

    return lc join "\n", @forms;
}


# An option is a line "-m, --max-time SECONDS (fetch, forward)".

sub options {
    my %commands;
    my %table = map { $_ => 1 }
                $t->read_file("$cmd/options/option_table.c")
                =~ /^    \{ \w+, [\w |]+, (?:0|'[\w#]'), "([\w.-]+)",/mg;

    for my $command (@commands) {
        for (grep { /^  +-/ } split /\n/, $help{$command}) {
            push @{ $commands{help_option($_)} }, $command;
        }
    }

    my @help = map {
        my @of = @{ $commands{$_} };
        "$_ (" . (@of == @commands ? 'all commands' : join ', ', @of) . ')';
    } keys %commands;

    is(join("\n", sort(manual_options())), join("\n", sort @help),
       'the manual has those of --help');

    my %names = map { /--([\w.-]+)/ ? ($1 => 1) : () } keys %commands;

    is(join(' ', sort keys %names), join(' ', sort keys %table),
       '--help has those of the table');

    done_testing();
}


# One space separates an option from its value, at least two separate the help.

sub help_option {
    my ($line) = @_;

    my ($letter, $name, $arg) =
        $line =~ /^  (-[\w#],|   )( --[\w.-]+)( \S+)?  +\S/ or return "? $line";

    return ($letter =~ s/ +//r . $name . ($arg || '')) =~ s/^ //r;
}


# "Fl X , Fl -request Ar METHOD" is "-X, --request METHOD".  The next line may
# have the commands: "Pq fetch , forward".

sub manual_options {
    my $of = 'fetch';
    my @options;

    for (split /^(?=\.(?:It|S[hs]) )/m, $manual) {
        $of = /^\.S[hs] Options of atls (\w+)$/m ? $1 : 'fetch' if /^\.S[hs] /;

        my ($letter, $name, $arg, $commands) =
            /^\.It\ Fl\ (?:([\w#])\ ,\ Fl\ )?-([\w.-]+)(?:\ Ar\ (\S+))?\n
             (?:\.Pq\ (.*)\n)?/x or next;

        $commands = $commands ? $commands =~ s/ ,/,/gr : $of;

        push @options, join ' ', $letter ? "-$letter," : (), "--$name",
                                 $arg // (), "($commands)";
    }

    return @options;
}


sub exit_codes {
    my %codes = $t->read_file("$cmd/base/exitcode.h")
                =~ /^    CMD_(\w+) = (\d+),?$/mg;
    my ($status) = $manual =~ /^\.Sh EXIT STATUS\n(.*?)^\.Sh /ms;

    is(join(' ', $status =~ /^\.It (\d+)$/mg),
       join(' ', sort { $a <=> $b } values %codes), 'those of exitcode.h');

    done_testing();
}


sub names {
    my $writeout = $t->read_file("$cmd/request/writeout.c");
    my @variables = ($writeout =~ /^    \{ "(\w+)", +CMD_VARIABLE_/mg,
                     $writeout =~ /strcasecmp\(name, "(\w+)"\)/g);
    my ($section) = $manual =~ /^\.Sh VARIABLES\n(.*?)^\.Sh /ms;

    is(join(' ', sort $section =~ /^\.Li (\w+)/mg), join(' ', sort @variables),
       'variables of -w');

    my ($header) = $t->read_file("$cmd/request/report.h")
                   =~ /define CMD_REPORT_HEADER\s+"(.*)"/;

    like($manual, qr/^\.Li \Q$header\E /m, 'header of the report');

    done_testing();
}


# The prototypes as they are shown are compiled with the header, which results in
# errors if they differ.

sub library {
    my $lib = $atls->lib();
    my $page = $lib->build() . '/libatls.3';
    my $header = $t->read_file("$root/src/client/lib/atls.h");
    my @functions = $header =~ /^ATLS_API [^;(]*?(\w+)\(/mg;
    my $text = $t->read_file($page);

    cmp_ok(scalar @functions, '>', 15, 'functions');
    is(join(' ', sort $text =~ /^\.Fo (\w+)$/mg), join(' ', sort @functions),
       'the synopsis has all of them');

    # members, values and types, each of which is an item

    my %items = map { $_ => 1 } map { /\w+/g } $text =~ /^\.(?:It|Vt) (.*)$/mg;
    my $code = $header =~ s!/\*.*?\*/!!gsr =~ s/^#define (?:ATLS_API|\w+_H_).*//mgr;
    my @names = ((map { /(\w+)(?: = -?\d+)?,?[ ]*$/mg }
                  $code =~ /^typedef enum \{(.*?)^\}/msg),
                 (map { /(\w+)\)?(?:\[\d+\]|\([^;]*)?;/g }
                  $code =~ /^typedef struct \{(.*?)^\}/msg),
                 $code =~ /^\} (\w+);/mg, $code =~ /\(\*(\w+_pt)\)/g,
                 grep { $_ ne 'ATLS_VERSION' } $code =~ /^#define (ATLS_\w+)/mg);

    cmp_ok(scalar @names, '>', 100, 'names');
    is(join(' ', grep { !$items{$_} } @names, @functions), '', 'items');

    SKIP: {
        skip 'no mandoc', 1 unless find_program('mandoc');

        my ($synopsis) = `mandoc -Tascii $page | col -b`
                         =~ /^SYNOPSIS\n(.*?)^DESCRIPTION$/ms;
        my $file = $t->write_file('synopsis.c', $synopsis);

        is(`cc -fsyntax-only -Werror -I $root/src/client/lib $file 2>&1`, '',
           'the synopsis compiles');
    }

    done_testing();
}


# Warnings of two programs.

sub lint {
    for my $page (glob("$root/docs/*.[1-8]"), $atls->lib()->build()
                                              . '/libatls.3')
    {
        my $name = $page =~ s!.*/!!r;

        SKIP: {
            skip 'no mandoc', 1 unless find_program('mandoc');

            is(`mandoc -T lint -W warning $page 2>&1`, '', "$name: mandoc");
        }

        SKIP: {
            skip 'no groff', 1 unless find_program('groff');

            is(`groff -mandoc -Tutf8 -ww -z $page 2>&1`, '', "$name: groff");
        }
    }

    done_testing();
}
