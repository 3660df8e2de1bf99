package Test::Atls::Forge12;

# Splits TLS 1.2 records in ways that TLS libraries do not, with
# ChaCha20-Poly1305, in pure Perl: records of a client are decrypted, split and
# encrypted again.
#
#     my $forge = Test::Atls::Forge12->new();
#     my $c = Test::Atls::Client->new(..., $forge->client_args());
#     ...
#     $c->exchange($forge->recut($c, $c->tls_out(), 1));    # byte by byte
#     my $r = $c->post($forge->record(22, $hello));
#     my @records = $forge->answer($r->body());           # [ type, content ]
#
#     my $c = $forge->established($t);        # a client with whole records
#
# After the first record, all further records of the client must be passed
# through recut(), too.  answer() cannot decrypt records that the client reads.

use strict;
use warnings;

use Digest::SHA qw( hmac_sha256 );
use Net::SSLeay;

use Test::Atls::Forge;

use constant { CCS => 20, TAG => 16 };


sub new {
    my ($class) = @_;

    return bless { protected => 0, opened => 0, sealed => 0, answers => 1 },
                 $class;
}


# Arguments for the client.

sub client_args {
    return (protocol => 'TLSv1.2',
            ciphers => 'ECDHE-ECDSA-CHACHA20-POLY1305'
                       . ':ECDHE-RSA-CHACHA20-POLY1305');
}


# A client of a Test::Atls, after the handshake.

sub established {
    my ($self, $t) = @_;

    my $c = $t->client($self->client_args());

    for (1 .. 2) {
        $c->handshake_step();
        $c->exchange($self->recut($c, $c->tls_out()));
    }

    $c->handshake_step() or die $c->error() . "\n";

    return $c;
}


# Splits the client's encrypted records of a type (0: any) into records of $size
# bytes (0: unchanged), with $more added to their content.

sub recut {
    my ($self, $c, $bytes, $size, $type, $more) = @_;

    my $out = '';

    while ($bytes ne '') {
        my $record = substr $bytes, 0, 5 + unpack('x3 n', $bytes), '';
        my $is = ord $record;

        if (!$self->{protected}) {
            $out .= $record;
            $self->{protected} = $is == CCS;
            next;
        }

        my $plain = $self->_open($c, $record);
        my @pieces = ($plain);

        if (!$type || $type == $is) {
            $plain .= $more if defined $more;
            @pieces = $size ? unpack("(a$size)*", $plain) : ($plain);
        }

        $out .= join '', map { $self->record($is, $_) } @pieces;
    }

    return $out;
}


# Another record of the client.

sub record {
    my ($self, $type, $content) = @_;

    my $header = pack 'C H4 n', $type, '0303', length($content) + TAG;
    my ($cipher, $tag) = _protect($self->{client}, $self->{sealed}++, $type,
                                  $content);

    return $header . $cipher . $tag;
}


# Encrypts content as the record after the next $n ones.

sub encrypt {
    my ($self, $content, $n) = @_;

    return _crypt($self->{client}, $self->{sealed} + $n, $content);
}


# Returns the records of a response.  Dies if one is not the next record of the
# server.

sub answer {
    my ($self, $bytes) = @_;

    my @records;

    while ($bytes ne '') {
        my $record = substr $bytes, 0, 5 + unpack('x3 n', $bytes), '';
        my $type = ord $record;
        my $seq = $self->{answers}++;
        my $content = _crypt($self->{server}, $seq, substr $record, 5, -TAG());
        my ($cipher, $tag) = _protect($self->{server}, $seq, $type, $content);

        die "not the record $seq\n" if substr($record, 5) ne $cipher . $tag;
        push @records, [ $type, $content ];
    }

    return @records;
}


# The tag is not checked.

sub _open {
    my ($self, $c, $record) = @_;

    $self->_derive($c->ssl()) unless $self->{client};

    return _crypt($self->{client}, $self->{opened}++,
                  substr $record, 5, -TAG());
}


sub _crypt {
    my ($key, $seq, $bytes) = @_;

    return Test::Atls::Forge::_chacha20($key->[0], _nonce($key, $seq), 1,
                                        $bytes);
}


# RFC 5246, section 6.2.3.3

sub _protect {
    my ($key, $seq, $type, $content) = @_;

    my $cipher = _crypt($key, $seq, $content);
    my $aad = pack 'Q> C H4 n', $seq, $type, '0303', length $content;

    return ($cipher, Test::Atls::Forge::_tag($key->[0], _nonce($key, $seq),
                                             $aad, $cipher));
}


sub _nonce {
    my ($key, $seq) = @_;

    return $key->[1] ^ pack 'x4 Q>', $seq;
}


# RFC 5246, section 6.3

sub _derive {
    my ($self, $ssl) = @_;

    my $secret = Net::SSLeay::SESSION_get_master_key(
                     Net::SSLeay::get_session($ssl));
    my $seed = 'key expansion' . Net::SSLeay::get_server_random($ssl)
               . Net::SSLeay::get_client_random($ssl);

    my ($block, $a) = ('', $seed);

    while (length $block < 88) {
        $a = hmac_sha256($a, $secret);
        $block .= hmac_sha256($a . $seed, $secret);
    }

    my @keys = unpack 'a32 a32 a12 a12', $block;

    $self->{client} = [ @keys[0, 2] ];
    $self->{server} = [ @keys[1, 3] ];
}


1;
