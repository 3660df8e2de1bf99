package Test::Atls::Duplex;

# A POST with a streamed request and response, in both directions at once.
#
#     my $d = Test::Atls::Duplex->new($client);       # a Test::Atls::Client,
#                                                     # after its handshake
#     $d->send("GET / HTTP/1.1\r\n...");
#     $d->expect(qr/\r\n\r\n/) or die;                # in decrypted data
#     print $d->plain();
#
# If the client has outer => 'h2', the POST is an HTTP/2 stream, otherwise a
# chunked HTTP/1.1 request.

use strict;
use warnings;

use Scalar::Util qw( weaken );
use Time::HiRes qw( time );

use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Http2Stream;
use Test::Atls::Response;
use Test::Atls::Slow qw( patience );

my $PATIENCE = patience();


sub new {
    my ($class, $client) = @_;

    my $self = bless { client => $client, plain => '' }, $class;
    my $cookie = $client->cookie();
    my %headers = ('Content-Type' => $client->{type},
                   defined $cookie ? (Cookie => "atls=$cookie") : ());

    $self->{h2} = Test::Atls::Http2Stream->new($client->{port}, $client->{uri},
                                               %headers)
        if $client->{outer} eq 'h2';
    $self->_begin(%headers) unless $self->{h2};
    $self->{socket} ||= $self->{h2}->socket();

    return $self;
}


sub _begin {
    my ($self, %headers) = @_;

    my $client = $self->{client};
    my $weak = $self;

    $self->{response} = Test::Atls::Response->new(method => 'POST',
        on_body => sub { $weak->_decrypt($_[0]) });
    weaken($weak);

    $self->{socket} = http_connect($client->{port});
    send_all($self->{socket}, join "\r\n", "POST $client->{uri} HTTP/1.1",
             'Host: localhost', 'Transfer-Encoding: chunked',
             (map { "$_: $headers{$_}" } sort keys %headers), '', '');
}


sub _decrypt {
    my ($self, $bytes) = @_;

    $self->{client}->tls_in($bytes);
    $self->{plain} .= $self->{client}->read_plain();
}


sub plain { $_[0]{plain} }
sub forget { $_[0]{plain} = '' }


# send($plain); flush() sends only pending output.  Returns false if the
# connection is closed.

sub send {
    my ($self, $plain) = @_;

    $self->{client}->write_plain($plain);

    return $self->flush();
}


sub flush {
    my ($self) = @_;

    my $bytes = $self->{client}->tls_out();

    return 1 if $bytes eq '';
    return $self->{h2}->data($bytes) if $self->{h2};
    return send_all($self->{socket},
                    sprintf("%x\r\n%s\r\n", length $bytes, $bytes));
}


# Sends close_notify; finish() ends the POST.

sub close_notify {
    my ($self) = @_;

    $self->{client}->tls_shutdown();

    return $self->flush();
}


sub finish {
    my ($self) = @_;

    return $self->{h2}->data('', 1) if $self->{h2};
    return send_all($self->{socket}, "0\r\n\r\n");
}


# Closes the connection.

sub cut {
    my ($self) = @_;

    my $s = delete $self->{socket};

    close $s if $s;
}


# Reads available data, or waits for data.  Returns false at the end.

sub read {
    my ($self, $seconds) = @_;

    return 0 if $self->whole();
    return 1 unless readable($self->{socket}, $seconds);

    if (my $h2 = $self->{h2}) {
        $h2->feed(sub { $self->_decrypt($_[0]) });
        return !$h2->over();
    }

    if (!sysread $self->{socket}, my $bytes, 65536) {
        $self->{response}->eof();
        return 0;
    } else {
        $self->{response}->feed($bytes);
    }

    return !$self->{response}->done();
}


sub whole {
    my ($self) = @_;

    return $self->{h2} ? $self->{h2}->whole() : $self->{response}->done();
}


# Waits until the decrypted data match.  Returns whether they do.

sub expect {
    my ($self, $re) = @_;

    return $self->_until(sub { $self->{plain} =~ $re });
}


# Waits for this many bytes.

sub expect_length {
    my ($self, $length) = @_;

    return $self->_until(sub { length $self->{plain} >= $length });
}


# Waits for the end of the response.  Returns whether it is complete.

sub expect_end {
    my ($self) = @_;

    $self->_until(sub { 0 });

    return $self->whole();
}


sub _until {
    my ($self, $condition) = @_;

    my $until = time + $PATIENCE;

    until ($condition->()) {
        return 0 if time > $until;
        $self->read(0.1) or return $condition->();
    }

    return 1;
}


sub DESTROY { $_[0]->cut() }


1;
