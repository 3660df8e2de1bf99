package Test::Atls::Serve;

# A TCP server on a port of 127.0.0.1, with a process for each connection:
#
#     serve($port, sub { my ($s, $n) = @_; ... });    # the nth, 0 is the first
#
# It runs until it is killed.

use strict;
use warnings;

use Exporter qw( import );
use IO::Socket::INET;
use POSIX ();
use Socket qw( IPPROTO_TCP TCP_NODELAY );

our @EXPORT_OK = qw( serve );


sub serve {
    my ($port, $connection) = @_;

    local $SIG{CHLD} = 'IGNORE';

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       LocalPort => $port,
                                       Listen => 128, ReuseAddr => 1)
        or die "listen: $!\n";

    for (my $n = 0; ; $n++) {
        my $s = $listen->accept() or redo;
        next if fork();

        close $listen;
        setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
        eval { $connection->($s, $n); 1 } or print STDERR $@;
        POSIX::_exit(0);
    }
}


1;
