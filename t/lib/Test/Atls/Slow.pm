package Test::Atls::Slow;

# How slow this machine is now.
#
#     my $SHORT = 2 * slow();             # a time that something has to take
#     readable($s, patience());           # a limit: what works is never so late
#
# slow() is a whole number, 1 on a machine that has nothing else to do.  It is
# what TEST_NGINX_SLOW says (valgrind), or more: by how much longer a small work
# takes than it should, or half of the number of processes that there are for a
# processor.  It is measured once; the load may come later.  So tests wait for
# what they want to see, and only what can't be seen is given a time.

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
