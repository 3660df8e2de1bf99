package Test::Atls::Http;

# Plain HTTP/1.x connections, and requests and responses as raw bytes.

use strict;
use warnings;

use Exporter qw( import );
use IO::Socket::IP;
use IO::Socket::UNIX;
use Socket qw( IPPROTO_TCP TCP_NODELAY );
use Time::HiRes qw( time );

use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience slow );

our @EXPORT_OK = qw( http_connect http_raw parse_responses read_all readable
                     read_response send_all );


# http_connect($port, tls => 0, host => '127.0.0.1', local => address,
#              proxy => port of a proxy that speaks CONNECT,
#              sni => 'localhost', alpn => [...], cert => , key => ,
#              first => bytes before all others)
#
# A host that is a path is a Unix-domain socket.

sub http_connect {
    my ($port, %args) = @_;

    my $s = _connect($port, %args);

    $s->blocking(1);
    _tunnel($s, $args{host} || '127.0.0.1', $port) if $args{proxy};
    send_all($s, $args{first}) if defined $args{first};
    return $s unless $args{tls};

    require IO::Socket::SSL;

    IO::Socket::SSL->start_SSL($s,
        SSL_verify_mode => IO::Socket::SSL::SSL_VERIFY_NONE(),
        SSL_hostname => $args{sni} || 'localhost',
        ($args{alpn} ? (SSL_alpn_protocols => $args{alpn}) : ()),
        ($args{cert} ? (SSL_cert_file => $args{cert},
                        SSL_key_file => $args{key}) : ()),
    ) or die 'no outer TLS: ' . IO::Socket::SSL::errstr() . "\n";

    return $s;
}


sub _connect {
    my ($port, %args) = @_;

    my $host = $args{host} || '127.0.0.1';

    return IO::Socket::UNIX->new(Peer => $host) || die "$host: $!\n"
        if $host =~ m!^/!;

    my @local = $args{local} ? (LocalAddr => $args{local}) : ();

    $port = $args{proxy} if $args{proxy};
    my $s = IO::Socket::IP->new(PeerAddr => $host, PeerPort => $port,
                                Timeout => patience(), @local)
        or die "can't connect to port $port: $!\n";

    setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;

    return $s;
}


# After CONNECT, no data are received before the client sends some.

sub _tunnel {
    my ($s, $host, $port) = @_;

    my $answer = '';

    send_all($s, "CONNECT $host:$port HTTP/1.1\r\nHost: $host:$port\r\n\r\n");

    until ($answer =~ /\r\n\r\n/) {
        readable($s, patience()) && $s->sysread($answer, 4096, length $answer)
            or die "no answer to CONNECT\n";
    }

    $answer =~ m!\AHTTP/1\.\d 2! or die "CONNECT: $answer\n";
}


# Whether data or the end are received within this time.

sub readable {
    my ($s, $seconds) = @_;

    return 1 if $s->can('pending') && $s->pending();

    vec(my $set = '', fileno $s, 1) = 1;
    return select($set, undef, undef, $seconds) > 0;
}


# Returns false if the connection is closed; received data can still be read.

sub send_all {
    my ($s, $bytes) = @_;

    my ($offset, $length) = (0, length $bytes);

    while ($offset < $length) {
        my $n = $s->syswrite($bytes, $length - $offset, $offset);

        return 0 unless defined $n || $!{EINTR};
        $offset += $n || 0;
    }

    return 1;
}


# The response on a connection, or undef if it is not whole.  The arguments are
# those of Test::Atls::Response.

sub read_response {
    my ($s, %args) = @_;

    my $r = Test::Atls::Response->new(%args);

    until ($r->done()) {
        my $n;
        $n = $s->sysread(my $bytes, 65536) if readable($s, patience());

        return $r->eof() ? $r : undef unless $n;
        $r->feed($bytes);
    }

    return $r;
}


# All data until the end of the connection.

sub read_all {
    my ($s) = @_;

    my $got = '';

    1 while readable($s, patience())
            && $s->sysread($got, 65536, length $got);

    return $got;
}


# Sends bytes.  Returns all data received until the server closes the
# connection, until this number of responses, or until the timeout.  If requests
# are not GET or POST, answers is a list of all methods.
#
#     http_raw($port, "GET / HTTP/1.0\r\n\r\n");
#     http_raw($port, $bytes, answers => 2, timeout => 5, tls => 1, shut => 1);
#     http_raw($port, $bytes, answers => [ 'HEAD', 'GET' ]);

sub http_raw {
    my ($port, $bytes, %args) = @_;

    my $s = http_connect($port, %args);
    my $until = time + ($args{timeout} || 20) * slow();
    my $got = '';

    send_all($s, $bytes);
    $s->shutdown(1) if $args{shut};

    while (readable($s, $until - time > 0 ? $until - time : 0)) {
        my $n = $s->sysread($got, 65536, length $got);
        last unless $n;
        last if $args{answers} && _has_answers($got, $args{answers});
    }

    close $s;

    return $got;
}


sub _has_answers {
    my ($got, $answers) = @_;

    my @methods = ref $answers ? @$answers : ();
    my @whole = grep { $_->done() && !$_->{until_eof} }
                parse_responses($got, @methods);

    return @whole >= (@methods || $answers);
}


1;
