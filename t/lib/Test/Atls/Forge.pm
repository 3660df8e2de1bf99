package Test::Atls::Forge;

# Creates TLS 1.3 records that TLS libraries do not send, with
# ChaCha20-Poly1305, in pure Perl.
#
#     my $forge = Test::Atls::Forge->new();
#     my $c = Test::Atls::Client->new(..., $forge->client_args());
#     $c->handshake();
#     $c->exchange($forge->record(23, ''));   # empty application data
#
# After the first forged record, the client can only read, since its sequence
# numbers differ.

use strict;
use warnings;

use Digest::SHA qw( hmac_sha256 );
use Math::BigInt;
use Net::SSLeay;

use constant TAG => 16;


sub new {
    my ($class) = @_;

    return bless { seq => 0 }, $class;
}


# Arguments for the client.

sub client_args {
    my ($self) = @_;

    return (protocol => 'TLSv1.3',
            ciphersuites => 'TLS_CHACHA20_POLY1305_SHA256',
            setup => sub {
                my ($ctx) = @_;

                Net::SSLeay::CTX_set_keylog_callback($ctx, sub {
                    my ($ssl, $line) = @_;

                    $self->_secret(pack 'H*', $1)
                        if $line =~ /^CLIENT_TRAFFIC_SECRET_0 \S+ (\S+)/;
                });
            });
}


# record($type, $content, padding => number of zeros, outer => type of record,
#        version => '0303')

sub record {
    my ($self, $type, $content, %args) = @_;

    my $plain = $content . pack('C', $type) . "\0" x ($args{padding} || 0);

    return $self->seal($plain, %args);
}


# The plaintext is not changed: its last non-zero byte is the content type.

sub seal {
    my ($self, $plain, %args) = @_;

    my $outer = exists $args{outer} ? $args{outer} : 23;
    my $header = pack 'C H4 n', $outer, $args{version} || '0303',
                      length($plain) + TAG;
    my $nonce = $self->{iv} ^ pack 'x4 Q>', $self->{seq}++;
    my $cipher = _chacha20($self->{key}, $nonce, 1, $plain);

    return $header . $cipher . _tag($self->{key}, $nonce, $header, $cipher);
}


# RFC 8446, section 7.2

sub update {
    my ($self) = @_;

    $self->_secret(_expand_label($self->{secret}, 'traffic upd', 32));
    $self->{seq} = 0;
}


sub _secret {
    my ($self, $secret) = @_;

    $self->{secret} = $secret;
    $self->{key} = _expand_label($secret, 'key', 32);
    $self->{iv} = _expand_label($secret, 'iv', 12);
}


# RFC 8446, section 7.1; at most as long as the hash

sub _expand_label {
    my ($secret, $label, $length) = @_;

    my $info = pack 'n C/a C/a C', $length, "tls13 $label", '', 1;

    return substr hmac_sha256($info, $secret), 0, $length;
}


# RFC 8439, section 2.4

sub _chacha20 {
    my ($key, $nonce, $counter, $bytes) = @_;

    my $out = '';

    for (my $at = 0; $at < length $bytes; $at += 64) {
        my $piece = substr $bytes, $at, 64;
        my $block = _block($key, $nonce, $counter++);

        $out .= $piece ^ substr $block, 0, length $piece;
    }

    return $out;
}


my @ROUNDS = ([ 0, 4, 8, 12 ], [ 1, 5, 9, 13 ], [ 2, 6, 10, 14 ],
              [ 3, 7, 11, 15 ], [ 0, 5, 10, 15 ], [ 1, 6, 11, 12 ],
              [ 2, 7, 8, 13 ], [ 3, 4, 9, 14 ]);


sub _block {
    my ($key, $nonce, $counter) = @_;

    my @state = (0x61707865, 0x3320646e, 0x79622d32, 0x6b206574,
                 unpack('V8', $key), $counter, unpack('V3', $nonce));
    my @x = @state;

    for (1 .. 10) {
        _quarter(\@x, @$_) for @ROUNDS;
    }

    return pack 'V16', map { ($x[$_] + $state[$_]) & 0xffffffff } 0 .. 15;
}


sub _quarter {
    my ($x, $a, $b, $c, $d) = @_;

    for ([ $a, $b, $d, 16 ], [ $c, $d, $b, 12 ],
         [ $a, $b, $d, 8 ], [ $c, $d, $b, 7 ])
    {
        my ($i, $j, $k, $n) = @$_;

        $x->[$i] = ($x->[$i] + $x->[$j]) & 0xffffffff;
        my $y = $x->[$k] ^ $x->[$i];
        $x->[$k] = (($y << $n) | ($y >> (32 - $n))) & 0xffffffff;
    }
}


# RFC 8439, section 2.8

sub _tag {
    my ($key, $nonce, $aad, $cipher) = @_;

    my $pad = sub { "\0" x (-length($_[0]) % 16) };

    return _poly1305(substr(_block($key, $nonce, 0), 0, 32),
                     $aad . $pad->($aad) . $cipher . $pad->($cipher)
                     . pack 'Q< Q<', length $aad, length $cipher);
}


sub _number {
    my ($little) = @_;

    return Math::BigInt->from_bytes(scalar reverse $little);
}


sub _poly1305 {
    my ($key, $bytes) = @_;

    my $r = _number(substr($key, 0, 16) & pack 'V4', 0x0fffffff, 0x0ffffffc,
                                               0x0ffffffc, 0x0ffffffc);
    my $p = Math::BigInt->new(2)->bpow(130)->bsub(5);
    my $sum = Math::BigInt->bzero();

    for (my $at = 0; $at < length $bytes; $at += 16) {
        $sum->badd(_number(substr($bytes, $at, 16) . "\1"))->bmul($r)
            ->bmod($p);
    }

    $sum->badd(_number(substr $key, 16));

    my $tag = reverse $sum->to_bytes();

    return substr $tag . "\0" x 16, 0, 16;
}


1;
