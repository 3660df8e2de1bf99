package Test::Atls::Outer;

# The outer connection: POSTs over HTTP/1.0 or HTTP/1.1, plain or over TLS, on a
# single connection or on a new one for each POST.
#
# A body is a string, or a coderef that returns pieces and finally undef, which
# requires 'http11-chunked'.

use strict;
use warnings;

use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Response;
use Test::Atls::Slow qw( slow );


# new(port =>, uri =>, version => 'http10' | 'http11' | 'http11-chunked',
#     tls =>, keepalive => 1, timeout => 60, ... for http_connect())

sub new {
    my ($class, %args) = @_;

    return bless { version => 'http11', keepalive => 1, timeout => 60,
                   method => 'POST', host_header => 'localhost', %args },
                 $class;
}


# post($body, \%headers, %options) is send() and then receive().

sub post {
    my ($self, $body, $headers, %options) = @_;

    $self->send($body, $headers);

    return $self->receive(%options);
}


sub send {
    my ($self, $body, $headers) = @_;

    $self->close() unless $self->{keepalive} && $self->_usable();
    $self->{socket} ||= http_connect($self->{port}, %$self);

    my $chunked = ref $body || $self->{version} eq 'http11-chunked';
    my $head = $self->_head($headers, $chunked ? undef : length $body);

    return send_all($self->{socket}, $head . $body) unless $chunked;

    send_all($self->{socket}, $head);
    $self->_send_chunks(ref $body ? $body : _pieces($body));
}


# Whether the connection is still open, without unexpected data.

sub _usable {
    my ($self) = @_;

    return $self->{socket} && !readable($self->{socket}, 0);
}


sub _head {
    my ($self, $headers, $length) = @_;

    my $version = $self->{version} eq 'http10' ? '1.0' : '1.1';
    my %headers = (
        Host => $self->{host_header},
        Connection => $self->{keepalive} ? 'keep-alive' : 'close',
        defined $length ? ('Content-Length' => $length)
                        : ('Transfer-Encoding' => 'chunked'),
        %$headers,
    );

    return join "\r\n", "$self->{method} $self->{uri} HTTP/$version",
                (map { "$_: $headers{$_}" } grep { defined $headers{$_} }
                 sort keys %headers), '', '';
}


sub _pieces {
    my ($bytes) = @_;

    # in small pieces, so that a short body also has several

    return sub {
        return undef if $bytes eq '';
        return substr $bytes, 0, length $bytes > 4096 ? 4096 : 100, '';
    };
}


# The server may respond early, and then does not read any more.

sub _send_chunks {
    my ($self, $next) = @_;

    my $s = $self->{socket};

    while (defined(my $piece = $next->())) {
        next if $piece eq '';
        return if readable($s, 0) && !$self->{tls};
        send_all($s, sprintf("%x\r\n%s\r\n", length $piece, $piece)) or return;
    }

    send_all($s, "0\r\n\r\n");
}


# receive(on_body => sub { }, timeout => s): returns a response, or undef if the
# connection was closed or the timeout expired.

sub receive {
    my ($self, %options) = @_;

    my $r = Test::Atls::Response->new(method => $self->{method},
                                      on_body => $options{on_body});
    my $timeout = ($options{timeout} || $self->{timeout}) * slow();
    my $s = $self->{socket};

    until ($r->done()) {
        my $n;
        $n = $s->sysread(my $buf, 65536) if readable($s, $timeout);

        if (!$n) {
            $r->eof();
            $self->close();
            last;
        }

        $r->feed($buf);
    }

    return undef unless $r->done();
    $self->close() if $self->{socket} && !$r->keep_alive();

    return $r;
}


sub close {
    my ($self) = @_;

    my $s = delete $self->{socket} or return;
    CORE::close $s;
}


1;
