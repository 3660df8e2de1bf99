package Test::Atls::Serve;

# A TCP server on a port of 127.0.0.1, with a process for each connection:
#
#     serve($port, sub { my ($s, $n) = @_; ... });    # the nth, 0 is the first
#
# With one process, for requests without a body that are answered together:
#
#     serve_together($port, sub { my @waiting = @_; ... return @answered });
#
# A request is { head => , socket => }.  The function is called after each one,
# and every 20 ms, since it may wait for something else; the connections of the
# requests that it returns are closed.
#
# Both run until they are killed.
#
#     my ($head, $body) = read_request($s) or return;

use strict;
use warnings;

use Exporter qw( import );
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw( IPPROTO_TCP TCP_NODELAY );

use Test::Atls::Http qw( readable );
use Test::Atls::Slow qw( patience );

our @EXPORT_OK = qw( read_request serve serve_together );


sub serve {
    my ($port, $connection) = @_;

    local $SIG{CHLD} = 'IGNORE';

    my $listen = _listen($port);

    for (my $n = 0; ; $n++) {
        my $s = $listen->accept() or redo;
        next if fork();

        close $listen;
        setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
        eval { $connection->($s, $n); 1 } or print STDERR $@;
        POSIX::_exit(0);
    }
}


sub _listen {
    my ($port) = @_;

    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
                                 Listen => 128, ReuseAddr => 1)
           || die "listen: $!\n";
}


sub serve_together {
    my ($port, $answer) = @_;

    my $listen = _listen($port);
    my $select = IO::Select->new($listen);
    my %requests;

    local $SIG{PIPE} = 'IGNORE';

    for ( ;; ) {
        for my $s ($select->can_read(0.02)) {
            if ($s == $listen) {
                my $new = $listen->accept() or next;

                $select->add($new);
                $requests{$new} = { socket => $new, head => '' };
                next;
            }

            my $head = \$requests{$s}{head};

            sysread $s, $$head, 4096, length $$head and next;
            $select->remove($s);
            delete $requests{$s};
        }

        my @waiting = grep { $_->{head} =~ /\r\n\r\n/ } values %requests;

        for ($answer->(@waiting)) {
            $select->remove($_->{socket});
            delete $requests{$_->{socket}};
        }
    }
}


# The header and the body of a request with a Content-Length; an empty list if
# it is not whole.

sub read_request {
    my ($s) = @_;

    my $request = '';
    my $more = sub {
        readable($s, patience()) && $s->sysread($request, 65536, length $request)
    };

    until ($request =~ /\r\n\r\n/) { $more->() or return }

    my ($head) = $request =~ /\A(.*?\r\n\r\n)/s;
    my ($length) = $head =~ /^Content-Length: (\d+)\r$/mi;

    while (length $request < length($head) + ($length || 0)) {
        $more->() or return;
    }

    return ($head, substr $request, length $head);
}


1;
