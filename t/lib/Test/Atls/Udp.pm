package Test::Atls::Udp;

# A gateway from UDP to POSTs: each datagram becomes a POST, and each record of
# the response a datagram.  A client has one session, with a cookie.
#
#     Test::Atls::Udp->start($t, $t->port(1), to => $t->port(0));
#     run_program($t, 'openssl', 's_client', '-dtls1_2', '-connect', ...);
#
# In both directions, with lossy => N, it loses, repeats or delays about one
# datagram in N each; random numbers begin with seed => 1.

use strict;
use warnings;

use IO::Socket::IP;
use List::Util qw( max );

use Test::Atls::Http qw( readable );
use Test::Atls::Outer;


# start($t, $port, to => port of nginx, uri => '/.well-known/atls', lossy => 0)

sub start {
    my ($class, $t, $port, %args) = @_;

    my $self = bless { port => $port, uri => '/.well-known/atls', lossy => 0,
                       seed => 1, clients => {}, %args }, $class;

    my $s = $self->{socket} = IO::Socket::IP->new(
        LocalAddr => '127.0.0.1', LocalPort => $port, Proto => 'udp')
        or die "UDP port $port: $!\n";

    $t->run_daemon(sub { srand $self->{seed}; $self->_serve() });
    close $s;

    return $self;
}


sub _serve {
    my ($self) = @_;

    my $s = $self->{socket};

    for ( ;; ) {

        # what was delayed is sent after something else, or when nothing comes

        my $more = readable($s, $self->{delayed} ? 0.1 : undef);
        my $delayed = delete $self->{delayed};

        if ($more) {
            my $from = $s->recv(my $datagram, 65536);
            $self->_lossy(sub { $self->_post($from, $datagram) });
        }

        $delayed->() if $delayed;
    }
}


# Calls the function once; or, if lossy, never, twice, or later.

sub _lossy {
    my ($self, $code) = @_;

    my $n = $self->{lossy} ? int rand $self->{lossy} : 3;

    return if $n == 0;

    if ($n == 1 && !$self->{delayed}) {
        $self->{delayed} = $code;
        return;
    }

    $code->();
    $code->() if $n == 2;
}


sub _post {
    my ($self, $from, $datagram) = @_;

    my $client = $self->{clients}{$from} ||= {};
    my $http = Test::Atls::Outer->new(port => $self->{to}, keepalive => 0,
                                      uri => $self->{uri});
    my $r = $http->post($datagram, {
        'Content-Type' => 'application/atls+octet-stream',
        Cookie => $client->{cookie},
    });

    $http->close();

    return unless $r && $r->status() == 200;

    for ($r->header('Set-Cookie')) {
        $client->{cookie} = /Max-Age=0/ ? undef : (split /;/)[0];
    }

    my $body = $r->body();

    while ($body ne '') {
        my $record = substr $body, 0, 13 + unpack('x11 n', $body), '';
        $self->_lossy(sub { $self->{socket}->send($record, 0, $from) });
    }
}


1;
