#!/usr/bin/perl

# The command line of atls, without a server: errors, --help, make install.

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
my $help = $atls->run('--help');
my $r;

subtest('wrong usage' => \&wrong_usage);
subtest('help' => \&help);
subtest('version' => \&version);
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
        [ [ '-l', 80, $url ],                  '-l is not an option of atls;' ],
        [ [ '--idle=1', $url ],          '--idle=1 is not an option of atls;' ],
        [ [ $url, '-o' ],                      'missing value for -o;' ],
        [ [ $url, '--output' ],                'missing value for --output;' ],
        [ [ '-u', 'name', $url ],              '--user must be NAME' ],
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

    is($atls->run('--connect-ti', 'x', $url)->{err},
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


sub install {
    my $lib = $atls->lib();
    my $dest = $t->path('dest');

    open my $lock, '>', $lib->build() . '/lock' or die "lock: $!\n";
    flock $lock, LOCK_EX;
    $lib->_make('install-command', 'install-completion', "DESTDIR=$dest",
                'PREFIX=/opt/atls');

    ok(-x "$dest/opt/atls/bin/atls", 'the program');
    is(slurp("$dest/opt/atls/share/man/man1/atls.1"), slurp("$root/docs/atls.1"),
       'the manual');

    for (qw( bash-completion/completions/atls zsh/site-functions/_atls
             fish/vendor_completions.d/atls.fish ))
    {
        like(slurp("$dest/opt/atls/share/$_"), qr/\breport-middlebox\b/, $_);
    }

    done_testing();
}
