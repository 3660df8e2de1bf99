package Test::Atls::Recompute;

# Recomputes a TLS connection from its private keys: decrypts records, derives
# secrets, and verifies signatures and Finished messages.  It follows the RFCs
# and uses no TLS library.
#
#     my $tls = Test::Atls::Recompute->new(client => $key, server => $key,
#                                          certificate => $key,
#                                          psk => $other->psk());
#     my @records = $tls->records('>', $bytes);     # '<': from the server
#     my @secrets = $tls->secrets();                # [ name, bytes ]
#
# A record is { type, header, content, plain => decrypted content, kind => type
# of the content, messages => [ ... ] }.  Supported are X25519, suites with
# ChaCha20-Poly1305 and Ed25519 certificates; messages must not be fragmented.
# Errors are fatal.

use strict;
use warnings;

use Digest::SHA qw( hmac_sha256 sha256 );
use File::Temp qw( tempdir );

use Test::Atls::Forge;

use constant {
    CCS       => 20,
    HANDSHAKE => 22,
    X25519    => 29,
};

# extensions

use constant {
    EARLY_DATA         => 42,
    PRE_SHARED_KEY     => 41,
    SUPPORTED_VERSIONS => 43,
    KEY_SHARE          => 51,
};

# RFC 8446, section 4.1.3: the random of a HelloRetryRequest

my $RETRY = sha256('HelloRetryRequest');

my %HANDLERS = (1 => '_client_hello', 2 => '_server_hello',
                4 => '_new_session_ticket', 5 => '_end_of_early_data',
                11 => '_certificate', 12 => '_server_key_exchange',
                15 => '_certificate_verify', 16 => '_client_key_exchange',
                20 => '_finished');

# RFC 8410: keys in DER are these bytes and the key

my %DER = (x25519_private  => '302e020100300506032b656e04220420',
           x25519_public   => '302a300506032b656e032100',
           ed25519_private => '302e020100300506032b657004220420',
           ed25519_public  => '302a300506032b6570032100');

my $dir;


sub new {
    my ($class, %args) = @_;

    return bless { %args, transcript => '', secrets => [], keys => {} }, $class;
}


sub secrets { @{$_[0]{secrets}} }

sub psk { $_[0]{ticket_psk} }


sub _secret {
    my ($self, $name, $bytes) = @_;

    push @{$self->{secrets}}, [ $name, $bytes ];

    return $bytes;
}


# records

sub records {
    my ($self, $way, $bytes) = @_;

    my @records;

    while ($bytes ne '') {
        my $length = unpack 'x3 n', $bytes;
        my ($header, $content) = unpack "a5 a$length", $bytes;

        die "a record is cut\n" if length $content < $length;
        substr $bytes, 0, 5 + $length, '';

        push @records, $self->_record($way, $header, $content);
    }

    return @records;
}


sub _record {
    my ($self, $way, $header, $content) = @_;

    my $type = unpack 'C', $header;
    my %record = (type => $type, kind => $type, header => $header,
                  content => $content);
    my $plain = $content;

    if ($self->{keys}{$way} && $type != CCS) {
        $plain = $self->_open($way, $header, $content);

        if ($self->{tls13}) {
            $plain =~ s/(.)\0*\z//s;
            $record{kind} = ord $1;
        }

        $record{plain} = $plain;
    }

    if ($record{kind} == HANDSHAKE) {
        $record{messages} = [ $self->_messages($way, $plain) ];

    } elsif ($record{kind} == CCS && $self->{master} && !$self->{tls13}) {
        $self->_keys12($way);
    }

    return \%record;
}


# RFC 8446, section 5.2; RFC 7905; RFC 5246, section 6.2.3.3

sub _open {
    my ($self, $way, $header, $content) = @_;

    my ($key, $iv, $seq) = @{$self->{keys}{$way}};
    my $cipher = substr $content, 0, -16;
    my $nonce = $iv ^ pack 'x4 Q>', $seq;
    my $aad = $self->{tls13} ? $header
              : pack 'Q> a3 n', $seq, $header, length $cipher;

    $self->{keys}{$way}[2]++;

    Test::Atls::Forge::_tag($key, $nonce, $aad, $cipher)
        eq substr $content, -16 or die "a record does not decrypt\n";

    return Test::Atls::Forge::_chacha20($key, $nonce, 1, $cipher);
}


sub _messages {
    my ($self, $way, $bytes) = @_;

    my @messages;

    while ($bytes ne '') {
        my ($type, $high, $low) = unpack 'C C n', $bytes;
        my $message = substr $bytes, 0, 4 + ($high << 16) + $low, '';
        my $handler = $HANDLERS{$type};

        # handlers use the transcript before the message

        $self->$handler($message, $way) if $handler;
        $self->{transcript} .= $message if $type != 4 || !$self->{tls13};

        $self->_after($type, $way);
        push @messages, $message;
    }

    return @messages;
}


sub _hash { sha256($_[0]{transcript}) }


# messages

sub _client_hello {
    my ($self, $message) = @_;

    my %extensions = _extensions($message, 1);

    $self->{client_random} = substr $message, 6, 32;
    $self->{early} = exists $extensions{+EARLY_DATA};
    $self->_binder($message) if exists $extensions{+PRE_SHARED_KEY};
}


# RFC 8446, section 4.2.11.2: there is one binder, at the end

sub _binder {
    my ($self, $message) = @_;

    my $early = hmac_sha256($self->{psk}, "\0" x 32);
    my $secret = _expand($early, 'res binder', sha256(''), 32);
    my $hash = sha256($self->{transcript} . substr $message, 0, -35);

    substr($message, -32)
        eq hmac_sha256($hash, _expand($secret, 'finished', '', 32))
        or die "the binder is wrong\n";
}


sub _server_hello {
    my ($self, $message) = @_;

    my %extensions = _extensions($message, 0);

    if (!exists $extensions{+SUPPORTED_VERSIONS}) {
        $self->{server_random} = substr $message, 6, 32;
        return;
    }

    $self->{tls13} = 1;

    if (substr($message, 6, 32) eq $RETRY) {

        # RFC 8446, section 4.4.1

        $self->{transcript} = "\xfe\0\0\x20" . $self->_hash();
        return;
    }

    my ($group, $share) = unpack 'n n/a', $extensions{+KEY_SHARE};
    die "group $group\n" if $group != X25519;

    $self->{accepted} = exists $extensions{+PRE_SHARED_KEY};
    $self->{share} = $share;
}


sub _certificate {
    my ($self, $message) = @_;

    # there is only one certificate, which contains its key

    my $prefix = pack 'H*', $DER{ed25519_public};

    ($self->{public}) = $message =~ /\Q$prefix\E(.{32})/s
        or die "the certificate has no key of Ed25519\n";

    $self->{public} eq _public('ed25519', $self->{certificate})
        or die "the certificate is of another key\n";
}


sub _certificate_verify {
    my ($self, $message) = @_;

    my ($scheme, $signature) = unpack 'x4 n n/a', $message;

    # RFC 8446, section 4.4.3

    $self->_verify($scheme, $signature,
                   ' ' x 64 . "TLS 1.3, server CertificateVerify\0"
                   . $self->_hash());
}


# RFC 8422, section 5.4

sub _server_key_exchange {
    my ($self, $message) = @_;

    my ($group, $share, $scheme, $signature) = unpack 'x5 n C/a n n/a',
                                                      $message;
    die "group $group\n" if $group != X25519;

    $self->{share} = $share;
    $self->_verify($scheme, $signature,
                   $self->{client_random} . $self->{server_random}
                   . substr $message, 4, 4 + length $share);
}


sub _client_key_exchange { }

sub _end_of_early_data { }


sub _finished {
    my ($self, $message, $way) = @_;

    my $expected;

    if ($self->{tls13}) {
        my $key = _expand($self->{"$way handshake"}, 'finished', '', 32);
        $expected = hmac_sha256($self->_hash(), $key);

    } else {
        my $who = $way eq '>' ? 'client' : 'server';
        $expected = _prf($self->{master}, "$who finished", $self->_hash(), 12);
    }

    substr($message, 4) eq $expected or die "Finished is wrong\n";
}


# RFC 8446, section 4.6.1

sub _new_session_ticket {
    my ($self, $message) = @_;

    return unless $self->{tls13};

    my ($nonce) = unpack 'x12 C/a', $message;

    $self->{ticket_psk} = $self->_secret('PSK of the ticket',
        _expand($self->{resumption}, 'resumption', $nonce, 32));
}


# Updates the state after a message.

sub _after {
    my ($self, $type, $way) = @_;

    if ($type == 1 && $self->{early}) {
        $self->_early13();

    } elsif ($type == 2 && $self->{share}) {
        $self->_handshake13();

    } elsif ($type == 5) {
        $self->_use('>', $self->{'> handshake'});

    } elsif ($type == 16) {
        $self->_master12();

    } elsif ($type == 20 && $self->{tls13}) {
        $way eq '<' ? $self->_master13() : $self->_finished13();
    }
}


# TLS 1.3: RFC 8446, section 7.1

sub _early13 {
    my ($self) = @_;

    my $secret = hmac_sha256($self->{psk}, "\0" x 32);

    $self->{tls13} = 1;
    $self->_use('>', $self->_secret('client_early_traffic_secret',
        _expand($secret, 'c e traffic', $self->_hash(), 32)));
}


sub _handshake13 {
    my ($self) = @_;

    my $zero = "\0" x 32;
    my $early = hmac_sha256($self->{accepted} ? $self->{psk} : $zero, $zero);
    my $shared = $self->_secret('shared secret', $self->_shared());
    my $secret = hmac_sha256($shared, _expand($early, 'derived', sha256(''),
                                              32));

    $self->{'> handshake'} = $self->_secret(
        'client_handshake_traffic_secret',
        _expand($secret, 'c hs traffic', $self->_hash(), 32));
    $self->{'< handshake'} = $self->_secret(
        'server_handshake_traffic_secret',
        _expand($secret, 's hs traffic', $self->_hash(), 32));
    $self->{master} = hmac_sha256($zero, _expand($secret, 'derived', sha256(''),
                                                 32));

    $self->_use('<', $self->{'< handshake'});
    $self->_use('>', $self->{'> handshake'}) unless $self->{early};
}


sub _master13 {
    my ($self) = @_;

    $self->{'> data'} = $self->_secret(
        'client_application_traffic_secret_0',
        _expand($self->{master}, 'c ap traffic', $self->_hash(), 32));
    $self->_use('<', $self->_secret(
        'server_application_traffic_secret_0',
        _expand($self->{master}, 's ap traffic', $self->_hash(), 32)));
}


sub _finished13 {
    my ($self) = @_;

    $self->{resumption} = $self->_secret('resumption_master_secret',
        _expand($self->{master}, 'res master', $self->_hash(), 32));
    $self->_use('>', $self->{'> data'});
}


# section 7.3

sub _use {
    my ($self, $way, $secret) = @_;

    $self->{keys}{$way} = [ _expand($secret, 'key', '', 32),
                            _expand($secret, 'iv', '', 12), 0 ];
}


sub _expand {
    my ($secret, $label, $context, $length) = @_;

    my $info = pack 'n C/a C/a C', $length, "tls13 $label", $context, 1;

    return substr hmac_sha256($info, $secret), 0, $length;
}


# TLS 1.2: RFC 5246, sections 5, 6.3 and 8.1; RFC 7627

sub _master12 {
    my ($self) = @_;

    my $shared = $self->_secret('premaster secret', $self->_shared());

    $self->{master} = $self->_secret('master secret',
        _prf($shared, 'extended master secret', $self->_hash(), 48));
}


sub _keys12 {
    my ($self, $way) = @_;

    my ($client, $server, $client_iv, $server_iv) =
        unpack 'a32 a32 a12 a12',
               _prf($self->{master}, 'key expansion',
                    $self->{server_random} . $self->{client_random}, 88);

    $self->{keys}{$way} = $way eq '>' ? [ $client, $client_iv, 0 ]
                                      : [ $server, $server_iv, 0 ];
}


sub _prf {
    my ($secret, $label, $seed, $length) = @_;

    my $a = $seed = $label . $seed;
    my $out = '';

    while (length $out < $length) {
        $a = hmac_sha256($a, $secret);
        $out .= hmac_sha256($a . $seed, $secret);
    }

    return substr $out, 0, $length;
}


# Key exchange and signatures are computed by the openssl command.

sub _shared {
    my ($self) = @_;

    $self->{share} eq _public('x25519', $self->{server})
        or die "the server's share is of another key\n";

    _openssl('pkeyutl -derive -keyform DER -inkey 1 -peerform DER -peerkey 2'
             . ' -out 3', _der('x25519_private', $self->{client}),
             _der('x25519_public', $self->{share}));

    return _result(3);
}


sub _public {
    my ($type, $private) = @_;

    _openssl('pkey -inform DER -in 1 -pubout -outform DER -out 3',
             _der("${type}_private", $private));

    return substr _result(3), -32;
}


sub _verify {
    my ($self, $scheme, $signature, $what) = @_;

    die "signature of another kind than Ed25519\n" if $scheme != 0x0807;

    _openssl('pkeyutl -verify -pubin -keyform DER -inkey 1 -rawin -in 2'
             . ' -sigfile 3 >/dev/null', _der('ed25519_public', $self->{public}),
             $what, $signature);
}


sub _der {
    my ($kind, $key) = @_;

    return pack('H*', $DER{$kind}) . $key;
}


# Temporary files are named 1, 2 and so on.

sub _openssl {
    my ($command, @files) = @_;

    $dir ||= tempdir('atls-recompute-XXXXXX', TMPDIR => 1, CLEANUP => 1);

    for my $n (1 .. @files) {
        open my $fh, '>:raw', "$dir/$n" or die "$dir/$n: $!\n";
        print $fh $files[$n - 1];
        close $fh;
    }

    system("cd $dir && openssl $command") == 0 or die "openssl $command\n";
}


sub _result {
    my ($n) = @_;

    open my $fh, '<:raw', "$dir/$n" or die "$dir/$n: $!\n";
    local $/;

    return scalar <$fh>;
}


sub _extensions {
    my ($message, $client) = @_;

    my $rest = $client ? (unpack 'x4 x2 x32 C/a n/a C/a n/a', $message)[3]
                       : (unpack 'x4 x2 x32 C/a n C n/a', $message)[3];
    my %extensions;

    while (defined $rest && $rest ne '') {
        my ($type, $value) = unpack 'n n/a', $rest;

        $extensions{$type} = $value;
        substr $rest, 0, 4 + length $value, '';
    }

    return %extensions;
}


1;
