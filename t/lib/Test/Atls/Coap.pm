package Test::Atls::Coap;

# A CoAP client for one server over UDP: RFC 7252, RFC 7959 (blockwise), RFC
# 9175 (Echo).  It shares no code with the gateway.
#
#     my $c = Test::Atls::Coap->new(port => 5683);
#     my $m = $c->request('POST', [ '.well-known', 'atls' ], $bytes);
#     is($m->{code}, '2.04', 'a response');   # $m->{options}, $m->{payload}
#
# In steps:
#
#     $c->send_message(type => CON, code => '0.02', mid => 7, token => 'a',
#                      options => [ [ 11, 'atls' ] ], payload => '...');
#     $m = $c->receive(1);                    # undef: nothing within a second

use strict;
use warnings;

use Exporter qw( import );
use IO::Socket::IP;
use Time::HiRes qw( time );

use Test::Atls::Http qw( readable );
use Test::Atls::Slow qw( patience );

our @EXPORT_OK = qw( CON NON ACK RST BLOCK1 BLOCK2 ECHO FORMAT LOCATION MAX_AGE
                     SIZE1 URI_HOST URI_PATH decode encode option options uint
                     uint_bytes );

use constant { CON => 0, NON => 1, ACK => 2, RST => 3 };

use constant {
    URI_HOST => 3, ETAG => 4, LOCATION => 8, URI_PATH => 11, FORMAT => 12,
    MAX_AGE => 14, ACCEPT => 17, BLOCK2 => 23, BLOCK1 => 27, SIZE1 => 60,
    ECHO => 252,
};

use constant {
    RETRY => 3,                 # seconds; ACK_TIMEOUT is 2
    ATLS  => 65000,             # Content-Format
};

my %METHODS = (GET => '0.01', POST => '0.02', PUT => '0.03', DELETE => '0.04');
my $PATIENCE = patience();


# port => , host => '127.0.0.1', type => NON, szx => of blocks (6), format =>
# undef for none, echo => 0: no repetition with Echo, retry => seconds, local =>
# '127.0.0.2': the address of the client
#
# loss => 0.2: datagrams are lost with this probability, in both directions, and
# as many are sent twice, or after the next one

sub new {
    my ($class, %args) = @_;

    my $self = bless { host => '127.0.0.1', type => CON, szx => 6, echo => 1,
                       format => ATLS, mid => int rand 65536, token => 0,
                       retry => RETRY, loss => 0, held => '', %args }, $class;

    return $self->to($self->{port});
}


# Changes the port of the server, and the local port.

sub to {
    my ($self, $port) = @_;

    $self->{socket} = IO::Socket::IP->new(PeerHost => $self->{host},
                                          PeerPort => $port,
                                          LocalHost => $self->{local},
                                          Type => Socket::SOCK_DGRAM())
        or die "no socket: $@\n";

    return $self;
}


sub local_port { $_[0]{socket}->sockport() }


# requests

# Sends a request with a body, in blocks if it is large, and returns the whole
# response.  Path: segments.  options => [ [ number, value ], ... ].

sub request {
    my ($self, $method, $path, $body, %args) = @_;

    $body = '' unless defined $body;

    my @options = ((map { [ URI_PATH, $_ ] } @$path),
                   @{$args{options} || []});

    push @options, [ FORMAT, uint_bytes($self->{format}) ]
        if $method eq 'POST' && defined $self->{format};

    my $m = $self->_send_body($METHODS{$method}, \@options, $body);

    return $self->_rest($METHODS{$method}, \@options, $m);
}


sub _send_body {
    my ($self, $code, $options, $body) = @_;

    my $size = 16 << $self->{szx};

    return $self->ask(code => $code, options => $options, payload => $body)
        if length $body <= $size;

    my $m;

    for (my $offset = 0; $offset < length $body; ) {
        my $more = $offset + $size < length $body;
        my $block = block($offset / $size, $more, $self->{szx});

        $m = $self->ask(code => $code,
                        options => [ @$options, [ BLOCK1, $block ] ],
                        payload => substr $body, $offset, $size);

        return $m unless $m && $m->{code} eq '2.31';

        my $szx = uint(option($m, BLOCK1)) & 7;
        $offset += $size;
        $size = 16 << $szx;
        $self->{szx} = $szx;
    }

    return $m;
}


sub _rest {
    my ($self, $code, $options, $first) = @_;

    my $m = $first;

    while ($m && defined(my $value = option($m, BLOCK2))) {
        my $block = uint($value);
        last unless $block >> 3 & 1;

        $m = $self->ask(code => $code, options =>
                        [ (grep { $_->[0] != FORMAT } @$options),
                          [ BLOCK2, block(($block >> 4) + 1, 0, $block & 7) ]
                        ]);

        return $m unless $m && $m->{code} eq $first->{code};

        $first->{payload} .= $m->{payload};
        $first->{blocks}++;
    }

    return $first;
}


sub block {
    my ($num, $more, $szx) = @_;

    return uint_bytes($num << 4 | ($more ? 8 : 0) | $szx);
}


# One message and its response, repeated until there is one.  If the response
# has an Echo option, the request is repeated with it.

sub ask {
    my ($self, %message) = @_;

    my $m = $self->_ask(%message);
    my $echo = $m && $m->{code} eq '4.01' ? option($m, ECHO) : undef;

    return $m unless defined $echo && $self->{echo};

    return $self->_ask(%message, options => [ @{$message{options} || []},
                                              [ ECHO, $echo ] ]);
}


sub _ask {
    my ($self, %message) = @_;

    my %m = (type => $self->{type}, mid => $self->next_mid(),
             token => $self->next_token(), %message);

    my $tries = int($PATIENCE / $self->{retry}) + 1;

    for (1 .. $tries) {
        $self->send_message(%m);

        while (my $r = $self->receive($m{acknowledged} ? $PATIENCE
                                                            : $self->{retry})) {
            next if $r->{type} == ACK && $r->{mid} != $m{mid};

            if ($r->{type} == ACK && $r->{code} eq '0.00') {
                $m{acknowledged} = 1;
                next;
            }

            return $r if $r->{type} == RST && $r->{mid} == $m{mid};

            $self->acknowledge($r) if $r->{type} == CON;

            return $r if $r->{token} eq $m{token};
        }

        last if $m{acknowledged};
    }

    return undef;
}


sub next_mid { return $_[0]{mid} = ($_[0]{mid} + 1) & 0xffff }
sub next_token { return pack 'n', ++$_[0]{token} & 0xffff }


sub acknowledge {
    my ($self, $m) = @_;

    $self->send_message(type => ACK, code => '0.00', mid => $m->{mid});
}


# messages

sub send_message {
    my ($self, %m) = @_;

    $self->send_bytes(encode(%m));
}


sub send_bytes {
    my ($self, $bytes) = @_;

    my $chance = $self->{loss} ? rand : 1;

    return if $chance < $self->{loss};

    if ($chance < 1.5 * $self->{loss} && $self->{held} eq '') {
        $self->{held} = $bytes;
        return;
    }

    $self->_send($_) for $bytes, $chance < 2 * $self->{loss} ? $bytes : (),
                         $self->{held} ne '' ? $self->{held} : ();
    $self->{held} = '';
}


# An ICMP error of an earlier datagram is not an error of this one.

sub _send {
    my ($self, $bytes) = @_;

    $self->{socket}->send($bytes) or $self->{socket}->send($bytes);
}


sub receive {
    my ($self, $timeout) = @_;

    my $until = time + $timeout;

    while (readable($self->{socket}, $until - time)) {
        return undef unless defined $self->{socket}->recv(my $bytes, 65536);
        return decode($bytes) unless $self->{loss} && rand() < $self->{loss};
    }

    return undef;
}


sub encode {
    my (%m) = @_;

    my ($class, $detail) = split /\./, $m{code};
    my $token = defined $m{token} ? $m{token} : '';
    my $bytes = pack 'CCn', 0x40 | $m{type} << 4 | length $token,
                     $class << 5 | $detail, $m{mid};
    my $last = 0;

    $bytes .= $token;

    for (sort { $a->[0] <=> $b->[0] } @{$m{options} || []}) {
        my ($number, $value) = @$_;

        $bytes .= _option_header($number - $last, length $value) . $value;
        $last = $number;
    }

    $bytes .= "\xff$m{payload}" if defined $m{payload} && $m{payload} ne '';

    return $bytes;
}


sub _option_header {
    my ($delta, $length) = @_;

    my @parts = map { $_ < 13 ? [ $_, '' ]
                      : $_ < 269 ? [ 13, pack 'C', $_ - 13 ]
                      : [ 14, pack 'n', $_ - 269 ] } $delta, $length;

    return pack('C', $parts[0][0] << 4 | $parts[1][0])
           . $parts[0][1] . $parts[1][1];
}


sub decode {
    my ($bytes) = @_;

    my ($first, $code, $mid) = unpack 'CCn', $bytes;
    my $at = 4 + ($first & 15);
    my %m = (type => $first >> 4 & 3, mid => $mid, options => [],
             payload => '', size => length $bytes,
             code => sprintf('%d.%02d', $code >> 5, $code & 31),
             token => substr $bytes, 4, $first & 15);
    my $number = 0;

    while ($at < length $bytes) {
        my $byte = ord substr $bytes, $at++, 1;

        if ($byte == 0xff) {
            $m{payload} = substr $bytes, $at;
            last;
        }

        my @parts = ($byte >> 4, $byte & 15);

        for (@parts) {
            if ($_ == 13) {
                $_ = 13 + ord substr $bytes, $at++, 1;
            } elsif ($_ == 14) {
                $_ = 269 + unpack 'n', substr $bytes, $at, 2;
                $at += 2;
            }
        }

        $number += $parts[0];
        push @{$m{options}}, [ $number, substr $bytes, $at, $parts[1] ];
        $at += $parts[1];
    }

    return \%m;
}


# The values of options, and the first one.

sub options {
    my ($m, $number) = @_;

    return map { $_->[1] } grep { $_->[0] == $number } @{$m->{options}};
}


sub option {
    my ($m, $number) = @_;

    return (options($m, $number))[0];
}


sub uint {
    my ($bytes) = @_;

    my $n = 0;
    $n = $n << 8 | ord for split //, $bytes;

    return $n;
}


sub uint_bytes {
    my ($n) = @_;

    return pack('N', $n) =~ s/^\0+//r;
}


1;
