package Test::Atls::Process;

# Runs processes in separate process groups, so that all of them can be killed.

use strict;
use warnings;

use Exporter qw( import );
use POSIX qw( WNOHANG );
use Test::More ();
use Time::HiRes qw( sleep time );

our @EXPORT_OK = qw(
    alive asleep group group_alive parent_of spawn stop_process wait_exit
);


# spawn({ stderr => file }, command ...) or spawn({ code => sub })

sub spawn {
    my ($options, @command) = @_;

    my $pid = fork();
    die "fork: $!\n" unless defined $pid;

    if ($pid) {
        setpgrp $pid, $pid;         # in both processes, to avoid a race
        return $pid;
    }

    setpgrp 0, 0;
    $SIG{$_} = 'DEFAULT' for qw( INT TERM HUP PIPE );
    open STDIN, '<', '/dev/null';

    # only the test may write TAP, or keep the pipe open

    open STDOUT, '>&', \*STDERR;
    close $_ for Test::More->builder()->output(),
                 Test::More->builder()->todo_output();

    if ($options->{code}) {
        eval { $options->{code}->(); 1 } or print STDERR $@;
        POSIX::_exit($@ ? 1 : 0);   # without END blocks of the test
    }

    open STDERR, '>', $options->{stderr} if $options->{stderr};
    open STDOUT, '>&', \*STDERR;
    { exec @command }
    print STDERR "$command[0]: $!\n";
    POSIX::_exit(127);
}


# A zombie has ended, even if its parent has not noticed yet.

sub alive { state($_[0]) =~ /[^ZX]/ }


# Whether the process waits for events.

sub asleep { state($_[0]) eq 'S' }


# The state of a process, a letter of proc(5); '' if it does not exist.

sub state {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/stat" or return '';
    my $stat = <$fh>;

    return defined $stat && $stat =~ /\) (\w) / ? $1 : '';
}


# The process group of a process; 0 if it does not exist.

sub group {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/stat" or return 0;
    my $stat = <$fh>;

    return defined $stat && $stat =~ /\) \w \d+ (\d+) / ? $1 : 0;
}


# The parent of a process; 0 if it does not exist.

sub parent_of {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/stat" or return 0;
    my $stat = <$fh>;

    return defined $stat && $stat =~ /\) \w (\d+) / ? $1 : 0;
}


# Whether a process group still has members after some time.

sub group_alive {
    my ($group, $seconds) = @_;

    my $until = time + $seconds;

    while (_members($group)) {
        return 1 if time >= $until;
        sleep 0.02;
    }

    return 0;
}


sub _members {
    my ($group) = @_;

    return () unless kill 0, -$group;

    return grep {
        my ($fh, $stat);
        $stat = <$fh> if open $fh, '<', $_;

        defined $stat && $stat =~ /\) (\S) \d+ (\d+) / && $1 !~ /[ZX]/
        && $2 == $group
    } glob '/proc/[0-9]*/stat';
}


# The exit status ($?) of a child, or undef after a timeout.

sub wait_exit {
    my ($pid, $seconds) = @_;

    my $until = time + $seconds;
    local $?;

    for ( ;; ) {
        my $got = waitpid $pid, WNOHANG;
        return $got == $pid ? $? : 0 if $got;
        return undef if time > $until;
        sleep 0.005;
    }
}


# Returns the name of the other signal that was necessary, or ''.

sub stop_process {
    my ($pid, $signal, $seconds) = @_;

    my $how = '';

    for my $try ($signal, 'TERM', 'KILL') {
        $how = $try if $try ne $signal;
        kill $try, $pid;
        return $how if defined wait_exit($pid, $seconds);
    }

    return 'KILL';
}


1;
