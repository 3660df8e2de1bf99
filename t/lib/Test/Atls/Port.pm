package Test::Atls::Port;

# Ports that are not used by concurrent tests on this machine.  They are below
# the kernel's range of ephemeral ports, and are locked until the test ends.  The
# directory of the locks is not named like those of tests: if somebody removes
# these, two tests must not get the same port.

use strict;
use warnings;

use Exporter qw( import );
use Fcntl qw( :flock O_CREAT O_RDWR );
use File::Spec;
use Socket;

our @EXPORT_OK = qw( free_port );

use constant { FIRST => 20_000, LAST => 31_999 };

my $dir = File::Spec->tmpdir() . "/atls-ports-$>";
my $next = FIRST + ($$ * 37) % (LAST - FIRST);
my @locks;


sub free_port {
    mkdir $dir, 0700;

    for (FIRST .. LAST) {
        my $port = $next;
        $next = $next < LAST ? $next + 1 : FIRST;

        my $lock = _lock($port) or next;
        next unless _bindable($port);

        push @locks, $lock;
        return $port;
    }

    die "no free port\n";
}


# Perl closes the descriptor on exec, so the lock belongs to the test.

sub _lock {
    my ($port) = @_;

    sysopen my $fh, "$dir/$port", O_RDWR | O_CREAT or die "$dir/$port: $!\n";

    return flock($fh, LOCK_EX | LOCK_NB) ? $fh : undef;
}


sub _bindable {
    my ($port) = @_;

    for my $type (SOCK_STREAM, SOCK_DGRAM) {
        socket my $s, PF_INET, $type, 0 or die "socket: $!\n";
        setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1 if $type == SOCK_STREAM;
        bind $s, sockaddr_in($port, INADDR_ANY) or return 0;
    }

    return 1;
}


1;
