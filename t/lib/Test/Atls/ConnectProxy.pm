package Test::Atls::ConnectProxy;

# An HTTP proxy, for CONNECT only.  It requires credentials: "me" and "secret".
#
#     my $proxy = Test::Atls::ConnectProxy->start($t, $t->port(5));
#     ... $proxy->url('me:secret') ...    # http://me:secret@127.0.0.1:PORT
#     like($proxy->log(), qr/^CONNECT /m, 'what it received');
#     $proxy->forget();
#
# scheme => 'Digest'    instead of Basic; the response to the challenge is not
#                       verified
# cert => 'name'        over TLS, with this certificate; the log has the
#                       ClientHello, too

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Socket qw( MSG_PEEK MSG_WAITALL );

use Test::Atls::Serve qw( serve );

my %GOOD = (
    Basic  => qr/^Proxy-Authorization: Basic bWU6c2VjcmV0\r/m,
    Digest => qr/^Proxy-Authorization: Digest username="me",/m,
);

my %CHALLENGE = (
    Basic  => 'Basic realm=x',
    Digest => 'Digest realm="x", nonce="0123", qop="auth", algorithm=MD5',
);


sub start {
    my ($class, $t, $port, %args) = @_;

    my $self = bless { t => $t, port => $port, scheme => 'Basic',
                       path => $t->path("proxy-$port.log"), %args }, $class;

    $t->run_daemon(sub { $self->_serve() }, port => $port);

    return $self;
}


sub url {
    my ($self, $credentials) = @_;

    return ($self->{cert} ? 'https' : 'http') . '://'
           . ($credentials ? "$credentials\@" : '')
           . "127.0.0.1:$self->{port}";
}


sub log {
    my ($self) = @_;

    open my $fh, '<', $self->{path} or return '';
    local $/;

    return scalar(readline $fh) // '';
}


sub forget { unlink $_[0]{path} }


sub _serve {
    my ($self) = @_;

    serve($self->{port}, sub {
        my ($s) = @_;

        if (my $cert = $self->{cert}) {
            require IO::Socket::SSL;
            $self->_note(_record($s));
            IO::Socket::SSL->start_SSL($s, SSL_server => 1,
                SSL_cert_file => $self->{t}->path("$cert.crt"),
                SSL_key_file => $self->{t}->path("$cert.key"))
                or return;
        }

        my $u = $self->_connect($s);
        _tunnel($s, $u) if $u;
    });
}


# The next record of TLS, which remains in the socket.

sub _record {
    my ($s) = @_;

    recv $s, my $header, 5, MSG_PEEK | MSG_WAITALL;
    my $length = unpack 'x3n', $header . "\0" x 5;
    recv $s, my $record, 5 + $length, MSG_PEEK | MSG_WAITALL;

    return $record;
}


sub _note {
    my ($self, $bytes) = @_;

    open my $log, '>>:raw', $self->{path} or die "$self->{path}: $!\n";
    print $log $bytes;
    close $log;
}


# Returns the connection to the server.

sub _connect {
    my ($self, $s) = @_;

    while (1) {
        my $head = '';

        until ($head =~ /\r\n\r\n/) {
            sysread $s, $head, 4096, length $head or return;
        }

        $self->_note($head);

        if ($head =~ $GOOD{$self->{scheme}}) {
            my ($to) = $head =~ /^CONNECT \S+:(\d+) / or return;
            my $u = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                          PeerPort => $to) or return;
            syswrite $s, "HTTP/1.1 200 OK\r\n\r\n";
            return $u;
        }

        syswrite $s, "HTTP/1.1 407 No\r\nContent-Length: 0\r\n"
                     . "Proxy-Authenticate: $CHALLENGE{$self->{scheme}}"
                     . "\r\n\r\n";
    }
}


sub _tunnel {
    my ($s, $u) = @_;

    my $select = IO::Select->new($s, $u);

    while (my @ready = $select->can_read()) {
        for my $from (@ready) {

            # a whole record of TLS at a time

            sysread $from, my $bytes, 65536 or return;
            my $other = $from == $s ? $u : $s;

            while ($bytes ne '') {
                my $n = syswrite $other, $bytes or return;
                substr $bytes, 0, $n, '';
            }
        }
    }
}


1;
