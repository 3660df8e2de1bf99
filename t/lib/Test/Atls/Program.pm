package Test::Atls::Program;

# Runs other programs, without proxies and certificates of the environment.
#
#     my $r = run_program($t, 'curl', '-sS', 'https://localhost/');
#     is("$r->{code} $r->{out}", '0 hello', 'curl') or diag($r->{err});
#
# The last argument may be a hash: stdin => '...', a string without an end of
# file, since some programs would not wait for a response; env => { NAME =>
# 'value' }; dir => directory.
#
#     my $path = find_program('chromium-headless-shell', 'chromium');

use strict;
use warnings;

use Exporter qw( import );

use Test::Atls::Process qw( wait_exit );
use Test::Atls::Slow qw( patience );

our @EXPORT_OK = qw( find_program run_program );

my $PATIENCE = 2 * patience();

my $n = 0;


# The path of the first of these programs that is installed, or undef.  Servers
# may be in /usr/sbin only.

sub find_program {
    my (@names) = @_;

    my ($path) = grep { -x && ! -d } map {
        my $name = $_;

        $name =~ m!/! ? $name
        : map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin'
    } @names;

    return $path;
}


sub run_program {
    my ($t, @command) = @_;

    my $options = ref $command[-1] ? pop @command : {};
    my %file = map { $_ => "program-$n.$_" } qw( out err );

    $n++;
    pipe my $in, my $out or die "pipe: $!\n";
    my $pid = fork();

    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        delete @ENV{grep { /_proxy$/i } keys %ENV};
        delete @ENV{qw( SSL_CERT_FILE SSL_CERT_DIR )};
        $ENV{$_} = $options->{env}{$_} for keys %{$options->{env} || {}};
        close $out;
        open STDIN, '<&', $in;
        open STDOUT, '>', $t->path($file{out});
        open STDERR, '>', $t->path($file{err});
        $SIG{PIPE} = 'DEFAULT';
        chdir($options->{dir} || $t->dir());
        { exec @command }
        POSIX::_exit(127);
    }

    close $in;
    syswrite $out, $options->{stdin} if defined $options->{stdin};
    my $status = wait_exit($pid, $PATIENCE);

    if (!defined $status) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }

    return { out  => $t->read_file($file{out}),
             err  => $t->read_file($file{err}),
             code => !defined $status ? 'it does not end'
                     : $status & 127 ? 'signal ' . ($status & 127)
                     : $status >> 8 };
}


1;
