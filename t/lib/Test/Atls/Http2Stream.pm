package Test::Atls::Http2Stream;

# An HTTP/2 connection with prior knowledge and one stream: a POST with a
# streamed request and response body.
#
#     my $s = Test::Atls::Http2Stream->new($port, $uri, %headers);
#     $s->data($bytes); ... $s->data('', 1);          # END_STREAM
#     $s->feed($cb) while readable($s->socket(), 1);  # $cb receives the body

use strict;
use warnings;

use Test::Atls::Http qw( http_connect send_all );

use constant { DATA => 0, HEADERS => 1, RST => 3, SETTINGS => 4, PING => 6,
               GOAWAY => 7, UPDATE => 8 };


sub new {
    my ($class, $port, $uri, %headers) = @_;

    my $self = bless { socket => http_connect($port), in => '', window => 65535,
                       initial => 65535, waiting => '' }, $class;
    my @fields = ([ ':method', 'POST' ], [ ':scheme', 'http' ],
                  [ ':authority', 'localhost' ], [ ':path', $uri ],
                  map { [ lc $_, $headers{$_} ] } sort keys %headers);

    # literals without indexing, RFC 7541, 6.2.2

    my $block = join '', map { "\0" . _string($_->[0]) . _string($_->[1]) }
                         @fields;

    send_all($self->{socket}, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                              . _frame(SETTINGS, 0, 0, '')
                              . _frame(HEADERS, 4, 1, $block));

    return $self;
}


# whole: the stream was ended by the server; over: no more data are expected

sub socket { $_[0]{socket} }
sub status { $_[0]{status} }
sub whole  { $_[0]{whole} }
sub over   { $_[0]{over} }


sub _string { length($_[0]) < 127 ? chr(length $_[0]) . $_[0] : die }


sub _frame {
    my ($type, $flags, $stream, $payload) = @_;

    return pack('NCN', length($payload) << 8 | $type, $flags, $stream)
           . $payload;
}


# Data that exceed the window are sent when it is updated.

sub data {
    my ($self, $bytes, $end) = @_;

    $self->{waiting} .= $bytes;
    $self->{end} = 1 if $end;

    return $self->_flush();
}


sub _flush {
    my ($self) = @_;

    my $out = '';

    while ($self->{window} > 0 && $self->{waiting} ne '') {
        my ($n) = sort { $a <=> $b } 16384, $self->{window},
                                     length $self->{waiting};
        my $piece = substr $self->{waiting}, 0, $n, '';

        $self->{window} -= $n;
        $out .= _frame(DATA, 0, 1, $piece);
    }

    $out .= _frame(DATA, 1, 1, '')
        if $self->{waiting} eq '' && delete $self->{end};

    return $out eq '' || send_all($self->{socket}, $out);
}


# Reads available data.

sub feed {
    my ($self, $cb) = @_;

    sysread($self->{socket}, $self->{in}, 65536, length $self->{in})
        or return $self->{over} = 1;

    while (length $self->{in} >= 9) {
        my ($head, $flags, $stream) = unpack 'NCN', $self->{in};
        my $length = $head >> 8;

        last if length $self->{in} < 9 + $length;
        substr $self->{in}, 0, 9, '';
        $self->_read_frame($head & 0xff, $flags, $stream,
                           substr($self->{in}, 0, $length, ''), $cb);
    }

    $self->_flush();
}


# nginx opens the window of the connection completely, so only that of the
# stream is relevant.

sub _read_frame {
    my ($self, $type, $flags, $stream, $payload, $cb) = @_;

    if ($type == DATA) {
        $cb->($payload);
        my $more = pack 'N', length $payload;

        send_all($self->{socket}, _frame(UPDATE, 0, 0, $more)
                                  . _frame(UPDATE, 0, 1, $more))
            if $payload ne '';

    } elsif ($type == HEADERS) {

        # ":status 200" is in the static table

        $self->{status} = $payload =~ /\A(?:[\x20-\x3f])?\x88/ ? 200 : 'other';

    } elsif ($type == SETTINGS && !($flags & 1)) {
        my %settings = unpack '(nN)*', $payload;
        my $initial = defined $settings{4} ? $settings{4} : $self->{initial};

        $self->{window} += $initial - $self->{initial};
        $self->{initial} = $initial;
        send_all($self->{socket}, _frame(SETTINGS, 1, 0, ''));

    } elsif ($type == UPDATE) {
        $self->{window} += unpack 'N', $payload if $stream;

    } elsif ($type == PING && !($flags & 1)) {
        send_all($self->{socket}, _frame(PING, 1, 0, $payload));
    }

    $self->{whole} = 1
        if ($type == DATA || $type == HEADERS) && $flags & 1;
    $self->{over} = 1 if $self->{whole} || $type == RST || $type == GOAWAY;
}


1;
