#!/usr/bin/perl

# The command line of atls, without a server: errors, --help, the manual page,
# make install.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw( :flock );
use Test::More;

use Test::Atls;
use Test::Atls::Command;

my $t = Test::Atls->new();
my $atls = Test::Atls::Command->new($t);
my $root = Test::Atls::root();
my $manual = slurp("$root/docs/atls.1");
my $help = $atls->run('--help');
my $r;

subtest('wrong usage' => \&wrong_usage);
subtest('help' => \&help);
subtest('version' => \&version);
subtest('manual' => \&manual);
subtest('install' => \&install);

$t->done_testing();


sub slurp {
    my ($file) = @_;

    open my $fh, '<', $file or die "$file: $!\n";
    local $/;

    return scalar <$fh>;
}


sub wrong_usage {
    my $url = 'https://localhost/';

    my @cases = (
        [ [ ],                                 'no URL specified' ],
        [ [ qw( -v ) ],                        'no URL specified' ],
        [ [ '-?', $url ],                      'unknown option.* -\?;' ],
        [ [ '-z', $url ],                      'unknown option.* -z;' ],
        [ [ '-sz', $url ],                     'unknown option.* -z;' ],
        [ [ '--nonsense', $url ],              'unknown option.* --nonsense;' ],
        [ [ '--s', $url ],                     'unknown option.* --s;' ],
        [ [ '--fail=1', $url ],                'unknown option.* --fail=1;' ],
        [ [ $url, '-o' ],                      'missing value for -o;' ],
        [ [ $url, '--output' ],                'missing value for --output;' ],
        [ [ '-u', 'name', $url ],              '-u must be NAME' ],
        [ [ '-X', 'A B', $url ],               'invalid method in -X' ],
        [ [ '-X', '', $url ],                  'invalid method in -X' ],
        [ [ '-X', 'CONNECT', $url ],           'invalid method in -X' ],
        [ [ '-X', "GET / HTTP/1.1\r\nA:", $url ], 'invalid method in -X' ],
    );

    for (@cases) {
        my ($args, $text) = @$_;

        $r = $atls->run(@$args);
        is("$r->{code} $r->{out}", '2 ', join ' ', map { s/\s/ /gr } @$args);
        like($r->{err}, qr/\Aatls: \(2\) [^\n]*$text[^\n]*\n\z/,
             'what is wrong');
    }

    for ('-k', '--insecure', '-sk') {
        $r = $atls->run($_, $url);
        is("$r->{code} $r->{out}", '2 ', $_);
        like($r->{err}, qr/certificate is always verified/, 'why');
    }

    # an abbreviation of an option

    is($atls->run('--connect-t', 'x', $url)->{err},
       "atls: (2) invalid number of seconds \"x\"\n", 'an abbreviation');
    is($atls->run('--', '-v')->{err} =~ /-v/, 1, 'after --, all are URLs');

    done_testing();
}


sub help {
    is("$help->{code} $help->{err}", '0 ', '--help');
    is($atls->run('-h')->{out}, $help->{out}, '-h');
    is($atls->run('fetch', '-h')->{out}, $help->{out}, 'fetch -h');
    like($help->{out}, qr/\AUsage: atls /, 'usage');
    like($help->{out}, qr/certificate is always verified/, 'no -k, and why');
    is(join("\n", grep { length > 80 } split /\n/, $help->{out}), '',
       'no line is too long');

    is($atls->run('-h', '-z')->{code}, 0, 'what follows does not matter');
    is(full('--help'), 23, 'where nothing can be written');
    is(full('--version'), 23, 'the version, too');

    done_testing();
}


# The exit code if stdout cannot be written.

sub full {
    my ($option) = @_;

    my @command = $atls->lib()->command_line($atls->program(), $option);

    return system("@command >/dev/full 2>/dev/null") >> 8;
}


sub version {
    my ($version) = slurp("$root/src/client/lib/atls.h")
                    =~ /define ATLS_VERSION\s+"(.*)"/;

    for ('-V', '--version') {
        $r = $atls->run($_);
        is("$r->{code} $r->{out}", "0 atls $version\n", $_);
    }

    done_testing();
}


# --help and the manual page list the same options.

sub manual {
    my $line = qr/^  (-\w)?,? +(--[\w-]+)(?: (\S+))?  /;
    my %help = map { $_ => 1 }
               map { join ' ', grep { defined } /$line/ }
               grep { /^  +-/ }
               map { split /\n/, $atls->run($_, '--help')->{out} }
               qw( fetch forward tunnel );
    my @help = keys %help;
    my @manual = map { option($_) } $manual =~ /^\.It (Fl .*)$/mg;

    cmp_ok(scalar @help, '>', 30, 'options');
    is(join("\n", sort @manual), join("\n", sort @help),
       'the manual has those of --help');

    my %codes = slurp("$root/src/client/cmd/exitcode.h")
                =~ /^    CMD_(\w+) = (\d+),?$/mg;
    my ($status) = $manual =~ /^\.Sh EXIT STATUS\n(.*?)^\.Sh /ms;
    is(join(' ', $status =~ /^\.It (\d+)$/mg),
       join(' ', sort { $a <=> $b } values %codes), 'exit codes');

    my @variables = slurp("$root/src/client/cmd/writeout.c")
                    =~ /strncmp\(name, "(\w+)\}"/g;
    is(join(' ', $manual =~ /%\{(\w+)\}/g), "@variables", 'variables of -w');

    my ($header) = slurp("$root/src/client/cmd/report.h")
                   =~ /define CMD_REPORT_HEADER\s+"(.*)"/;
    like($manual, qr/^\.Li \Q$header\E /m, 'header of the report');

    lint();
    done_testing();
}


# "Fl X , Fl -request Ar METHOD" is "-X --request METHOD".

sub option {
    my ($macros) = @_;

    my ($letter, $name, $arg) =
        $macros =~ /^Fl (?:(\w) , Fl )?-([\w-]+)(?: Ar (\S+))?$/
        or return "? $macros";

    return join ' ', $letter ? "-$letter" : (), "--$name",
                     defined $arg ? $arg : ();
}


sub lint {
    SKIP: {
        skip 'no mandoc', 1 if system('command -v mandoc >/dev/null');

        is(`mandoc -Tlint -W warning $root/docs/atls.1 2>&1`, '', 'lint');
    }
}


sub install {
    my $lib = $atls->lib();
    my $dest = $t->path('dest');

    open my $lock, '>', $lib->build() . '/lock' or die "lock: $!\n";
    flock $lock, LOCK_EX;
    $lib->_make('install-command', "DESTDIR=$dest", 'PREFIX=/opt/atls');

    ok(-x "$dest/opt/atls/bin/atls", 'the program');
    is(slurp("$dest/opt/atls/share/man/man1/atls.1"), $manual, 'the manual');

    done_testing();
}
