package Test::Atls::Udp;

# A gateway from UDP to POSTs: each datagram becomes a POST, and each record of
# the response a datagram.  A client has one session, with a cookie.
#
#     Test::Atls::Udp->start($t, $t->port(1), to => $t->port(0));
#     my ($out, $err) = talk($t, qr/^hello/m, get('/hello'),
#                            s_client($t->port(1)));
#
# In both directions, with lossy => N, it loses, repeats or delays about one
# datagram in N each; random numbers begin with seed => 1.

use strict;
use warnings;

use Exporter qw( import );
use IO::Handle;
use IO::Socket::IP;

use Test::Atls::Http qw( readable );
use Test::Atls::Outer;
use Test::Atls::Process qw( spawn stop_process );

our @EXPORT_OK = qw( dtls_records get s_client talk );


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

    for my $record (dtls_records($r->body())) {
        $self->_lossy(sub { $self->{socket}->send($record, 0, $from) });
    }
}


# The records of a body.

sub dtls_records {
    my ($bytes) = @_;

    my @records;

    while (length $bytes >= 13) {
        push @records, substr $bytes, 0, 13 + unpack('x11 n', $bytes), '';
    }

    return @records;
}


# The command s_client of openssl, for DTLS 1.2.

sub s_client {
    my ($port, @args) = @_;

    return (qw( openssl s_client -dtls1_2 -quiet -timeout ),
            '-servername', 'localhost', '-connect', "127.0.0.1:$port", @args);
}


sub get { "GET $_[0] HTTP/1.1\r\nHost: localhost\r\n\r\n" }


# Runs a program until its output matches.  Returns its output, and that on
# stderr.  A request that is a function is called again as long as there is no
# response.

sub talk {
    my ($t, $re, $request, @command) = @_;

    my ($out, $err) = map { $t->path("program.$_") } qw( out err );
    my $sent = 0;

    local $SIG{PIPE} = 'IGNORE';

    unlink $out, $err;
    pipe my $in, my $to or die "pipe: $!\n";

    my $pid = spawn({ code => sub {
        close $to;
        open STDIN, '<&', $in;
        open STDOUT, '>', $out;
        open STDERR, '>', $err;
        exec @command;
    } });

    close $in;
    $to->blocking(0);       # a program in a handshake does not read

    $t->wait_for(sub {
        return 1 if -e $out && $t->read_file('program.out') =~ $re;

        syswrite $to, ref $request ? $request->() : $request
            if ref $request ? $sent % 20 == 0 : $sent == 0;

        $sent++;
        return 0;
    });

    stop_process($pid, 'TERM', 5);

    return map { $t->read_file("program.$_") } qw( out err );
}


1;
