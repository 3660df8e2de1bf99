package Test::Atls::Slow;

# Measures how slow this machine currently is.
#
#     my $SHORT = 2 * slow();             # a minimum time
#     readable($s, patience());           # a timeout, never reached on success
#
# slow() returns an integer, 1 on an idle machine.  It is the maximum of
# TEST_NGINX_SLOW (valgrind), the slowdown of a small computation, and half of
# the number of running processes per processor.  It is measured once, and the
# load may increase later.  Therefore tests should wait for events, and use
# fixed times only if there is no event.

use strict;
use warnings;

use Exporter qw( import );
use Time::HiRes qw( time );

our @EXPORT_OK = qw( patience slow );

use constant {
    PATIENCE => 60,
    WORK     => 0.05,           # seconds that measure() takes
    MOST     => 20,
};

my $slow;


sub slow { return $slow ||= _slow() }


sub patience { return PATIENCE * slow() }


sub _slow {
    my $factor = $ENV{TEST_NGINX_SLOW} || 1;
    my $now = _measure();
    my $load = _load() / 2;

    $now = $load if $load > $now;
    $now = MOST if $now > MOST;

    # half as slow again is usual: tests run beside each other

    return $now < 1.5 * $factor ? $factor : int($now + 0.5);
}


# Computing, and processes that begin and end.

sub _measure {
    my $began = time;
    my $n = 0;

    for (1 .. 10) {
        my $pid = fork();
        die "fork: $!\n" unless defined $pid;

        if (!$pid) {
            open STDERR, '>', '/dev/null';
            { exec '/bin/true' }
            require POSIX;
            POSIX::_exit(127);
        }

        $n += $_ for 1 .. 20_000;
        local $?;
        waitpid $pid, 0;
    }

    return (time - $began) / WORK;
}


sub _load {
    my ($load) = split ' ', _slurp('/proc/loadavg');
    my $processors = () = _slurp('/proc/cpuinfo') =~ /^processor\s*:/mg;

    return ($load || 0) / ($processors || 1);
}


sub _slurp {
    my ($path) = @_;

    open my $fh, '<', $path or return '';
    local $/;

    return scalar <$fh>;
}


1;
