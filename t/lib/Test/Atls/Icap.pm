package Test::Atls::Icap;

# A content scanner for a proxy (ICAP, RFC 3507).  It buffers each request and
# response completely before it passes it, and records it.

use strict;
use warnings;

use Fcntl qw( :flock );

use Test::Atls::Serve qw( serve );


sub start {
    my ($class, $t, $port) = @_;

    my $self = bless { t => $t, port => $port,
                       log => $t->path("icap-$port.log") }, $class;

    $t->run_daemon(sub { $self->_serve() }, port => $port);

    return $self;
}


# All messages received, as they were: headers and bodies.

sub seen {
    my ($self) = @_;

    return $self->{t}->read_file($self->{log});
}


sub _serve {
    my ($self) = @_;

    serve($self->{port}, sub { $self->_connection($_[0]) });
}


sub _connection {
    my ($self, $s) = @_;

    local $/ = "\r\n";

    while (defined(my $line = <$s>)) {
        my ($method) = $line =~ /^(\S+) /;
        my %header;

        while (defined(my $header = <$s>)) {
            last unless $header =~ /^([^:]+):\s*(.*?)\r\n/;
            $header{lc $1} = $2;
        }

        print $s $method eq 'OPTIONS'
                 ? _options($line) : $self->_pass($s, $header{encapsulated});
        $s->flush();
    }
}


# No previews, and no responses without a body: all data are received.

sub _options {
    my ($line) = @_;

    my $method = $line =~ m!/request ! ? 'REQMOD' : 'RESPMOD';

    return join "\r\n", 'ICAP/1.0 200 OK', "Methods: $method", 'ISTag: "one"',
                'Encapsulated: null-body=0', '', '';
}


# Returns a message unchanged.  "req-hdr=0, res-hdr=137, res-body=296" are the
# offsets of its parts.  The last one is the chunked body, or "null-body".

sub _pass {
    my ($self, $s, $encapsulated) = @_;

    my @parts = map { [ /([\w-]+)=(\d+)/ ] } split /,/, $encapsulated;
    my ($what, $heads) = @{$parts[-1]};

    read $s, my ($head), $heads;
    my $body = $what eq 'null-body' ? undef : _read_body($s);

    $self->_record($head . (defined $body ? $body : ''));

    # the request's header is not part of the answer for a response

    my ($response) = map { $_->[1] } grep { $_->[0] eq 'res-hdr' } @parts;
    substr($head, 0, $response, '') if $response;

    my $name = $parts[-2][0];
    my $length = length $head;
    my $answer = "ICAP/1.0 200 OK\r\nISTag: \"one\"\r\n"
                 . "Encapsulated: $name=0, $what=$length\r\n\r\n$head";

    $answer .= sprintf "%x\r\n%s\r\n", length $body, $body
        if defined $body && $body ne '';
    $answer .= "0\r\n\r\n" if defined $body;

    return $answer;
}


sub _read_body {
    my ($s) = @_;

    my $body = '';

    while (defined(my $line = <$s>)) {
        my $size = hex(($line =~ /^([0-9a-fA-F]+)/)[0]);

        read $s, $body, $size, length $body if $size;
        <$s>;
        last unless $size;
    }

    return $body;
}


sub _record {
    my ($self, $bytes) = @_;

    open my $fh, '>>:raw', $self->{log} or die "$self->{log}: $!\n";
    flock $fh, LOCK_EX;
    syswrite $fh, "$bytes\n";
}


1;
