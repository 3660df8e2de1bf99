package Test::Atls::Lossy;

# A proxy that loses POSTs and responses at random, and closes their connection.
#
#     Test::Atls::Lossy->start($t, $t->port(1), $t->port(0), seed => 7);
#
# kept => 1: not those of the first POST of a connection.  The file lossy.log
# has a line for each loss: "request" or "response".

use strict;
use warnings;

use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Response;
use Test::Atls::Serve qw( read_request serve );
use Test::Atls::Slow qw( patience );

my $LOST = 0.3;


sub start {
    my ($class, $t, $port, $to, %args) = @_;

    my $self = bless { port => $port, to => $to, seed => 1,
                       log => $t->path("lossy-$port.log"), %args }, $class;

    $t->run_daemon(sub { $self->_serve() }, port => $port);

    return $self;
}


# How often something was lost.

sub losses {
    my ($self, $what) = @_;

    open my $fh, '<', $self->{log} or return 0;

    return scalar grep { $_ eq "$what\n" } <$fh>;
}


sub _serve {
    my ($self) = @_;

    serve($self->{port}, sub {
        my ($client, $n) = @_;

        srand $self->{seed} + $n;
        $self->_connection($client);
    });
}


# POSTs are forwarded one after the other, each on a new connection.

sub _connection {
    my ($self, $client) = @_;

    my $n = 0;

    while (my @post = read_request($client)) {
        my $lose = $self->{kept} && $n++ == 0 ? 1 : rand;

        return $self->_lost('request') if $lose < $LOST / 2;

        my $response = $self->_forward(join '', @post);

        return $self->_lost('response') if $lose < $LOST;
        send_all($client, $response) or return;
    }
}


sub _lost {
    my ($self, $what) = @_;

    open my $fh, '>>', $self->{log} or die "$self->{log}: $!\n";
    syswrite $fh, "$what\n";
}


# The bytes of the response.

sub _forward {
    my ($self, $post) = @_;

    my $s = http_connect($self->{to});
    my $r = Test::Atls::Response->new(method => 'POST');
    my $bytes = '';

    send_all($s, $post);

    until ($r->done()) {
        readable($s, patience()) && sysread $s, my $buf, 65536
            or return $bytes;
        $bytes .= $buf;
        $r->feed($buf);
    }

    return $bytes;
}


1;
