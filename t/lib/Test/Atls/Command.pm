package Test::Atls::Command;

# Builds and runs the atls command.  TEST_ASAN and TEST_VALGRIND apply, see
# Test::Atls::Lib.  new($t, program => 'build/atls') runs an existing one.
#
#     my $atls = Test::Atls::Command->new($t);
#     my $r = $atls->run('--cacert', 'ca.crt', 'https://localhost/');
#     is("$r->{code} $r->{out}", "0 hello\n", 'a request') or diag($r->{err});
#
# The last argument may be a hash: stdin => '...', env => { NAME => 'value' }.
#
#     my $p = $atls->start(@args, { stdin => 'pipe', stdout => 'pipe' });
#     print {$p->{in}} 'body';
#     read $p->{out}, my $answer, 100;
#     my $r = $atls->finish($p);

use strict;
use warnings;

use Fcntl qw( :flock );
use IO::Handle;
use Test::More ();

use Test::Atls::Lib;
use Test::Atls::Process qw( wait_exit );
use Test::Atls::Slow qw( patience );

my $PATIENCE = 2 * patience();
my $FAULT = 99;                 # exit status of sanitizers and valgrind


sub new {
    my ($class, $t, %args) = @_;

    my $self = bless { t => $t, %args }, $class;

    $self->_build() unless $self->{program};

    return $self;
}


sub _build {
    my ($self) = @_;

    my $lib = $self->{lib} = Test::Atls::Lib->new($self->{t});

    $self->{program} = $lib->build() . '/atls';

    open my $lock, '>', $lib->build() . '/lock' or die "lock: $!\n";
    flock $lock, LOCK_EX;
    $lib->_make($self->{program});
}


sub program { $_[0]{program} }
sub lib { $_[0]{lib} }


# Runs the command.  Returns { code, out, err }.

sub run {
    my ($self, @args) = @_;

    return $self->finish($self->start(@args));
}


sub start {
    my ($self, @args) = @_;

    my $options = ref $args[-1] ? pop @args : {};
    my $n = $self->{n}++;
    my %p = map { $_ => $self->{t}->path("atls-$n.$_") } qw( stdout stderr );
    my ($in, $out);

    $p{command} = join ' ', @args;
    pipe $in, $p{in} or die "pipe: $!\n" if ($options->{stdin} || '') eq 'pipe';
    pipe $p{out}, $out or die "pipe: $!\n"
        if ($options->{stdout} || '') eq 'pipe';

    $p{pid} = fork();
    die "fork: $!\n" unless defined $p{pid};

    if ($p{pid}) {
        $p{in}->autoflush(1) if $p{in};
        return \%p;
    }

    $self->_child(\%p, $in, $out, $options, @args);
}


sub _child {
    my ($self, $p, $in, $out, $options, @args) = @_;

    close $_ for grep { $_ } @$p{qw( in out )};

    my $stdin = $self->{t}->write_file("atls-$$.stdin",
                                       defined $options->{stdin}
                                       ? $options->{stdin} : '');

    open STDIN, $in ? '<&' : '<', $in || $stdin or die "stdin: $!\n";
    open STDOUT, $out ? '>&' : '>', $out || $p->{stdout} or die "stdout: $!\n";
    open STDERR, '>', $p->{stderr} or die "stderr: $!\n";

    # without proxies

    delete @ENV{grep { /_proxy$/i } keys %ENV};
    delete @ENV{qw( SSL_CERT_FILE SSL_CERT_DIR )};

    $ENV{$_} = join ':', $ENV{$_} || (), "exitcode=$FAULT"
        for qw( ASAN_OPTIONS UBSAN_OPTIONS );
    $ENV{$_} = $options->{env}{$_} for keys %{$options->{env} || {}};

    $SIG{PIPE} = 'DEFAULT';
    chdir $self->{t}->dir();
    { exec Test::Atls::Lib->command_line($self->{program}, @args) }
    POSIX::_exit(127);
}


# Waits until it exits.  The remaining output of the pipe is in {out}, too.

sub finish {
    my ($self, $p) = @_;

    my %r;

    close delete $p->{in} if $p->{in};

    if (my $out = delete $p->{out}) {
        local $/;
        $r{out} = readline $out;
    }

    my $status = wait_exit($p->{pid}, $PATIENCE);

    if (!defined $status) {
        kill 'KILL', $p->{pid};
        waitpid $p->{pid}, 0;
        die "it does not end: atls $p->{command}\n";
    }

    $r{code} = $status & 127 ? 'signal ' . ($status & 127) : $status >> 8;
    $r{out} = $self->{t}->read_file($p->{stdout}) unless defined $r{out};
    $r{err} = $self->{t}->read_file($p->{stderr});

    # fails the test, even if it does not look at the exit status

    $self->{t}->add_fault("atls $p->{command}: $r{err}")
        if $r{code} eq $FAULT && ($ENV{TEST_ASAN} || $ENV{TEST_VALGRIND});

    return \%r;
}


# The peak memory until now, in kB.

sub memory {
    my (undef, $p) = @_;

    open my $fh, '<', "/proc/$p->{pid}/status" or die "status: $!\n";
    my ($peak) = join('', <$fh>) =~ /^VmHWM:\s+(\d+) kB/m;

    return $peak;
}


1;
