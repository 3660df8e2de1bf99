package Test::Atls::Validator::Hello;

# Parsers for ClientHello and ServerHello, for Test::Atls::Validator.

use strict;
use warnings;

use Exporter qw( import );

our @EXPORT_OK = qw( HELLO parse_client_hello parse_server_hello is_aead
                     is_tls13 looks_like_hello offers_aead );

# bytes that identify a ClientHello

use constant HELLO => 11;

# RFC 8446, 4.1.3: the random of a HelloRetryRequest

my $RETRY = pack 'H*', 'cf21ad74e59a6111be1d8c021e65b891'
                       . 'c2a211167abb8c5e079e09e2c8a8339c';

# TLS 1.2 suites with ECDHE and AES-GCM, AES-CCM or ChaCha20-Poly1305

my %TLS12 = map { $_ => 1 } 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xc0ac .. 0xc0af,
                            0xcca8, 0xcca9, 0xccac, 0xd001 .. 0xd003, 0xd005;

# suites with a pre-shared key only

my %PSK = map { $_ => 1 } 0x00a8, 0x00a9, 0xc0a4, 0xc0a5, 0xc0a8, 0xc0a9,
                          0xccab;


sub looks_like_hello {
    my ($bytes) = @_;

    my $n = length $bytes;

    return $n && $bytes =~ /^\x16(?:\z|\x03(?:\z|.(?:\z|.(?:\z|.(?:\z|\x01
                             (?:\z|.(?:\z|.(?:\z|.(?:\z|\x03)))))))))/sx;
}


sub is_tls13 {
    my ($suite) = @_;

    return $suite >= 0x1301 && $suite <= 0x1305;
}


sub is_aead {
    my ($suite, $version, $psk) = @_;

    return $version == 0x0304 ? is_tls13($suite)
           : $TLS12{$suite} || $psk && $PSK{$suite} || 0;
}


sub offers_aead {
    my ($hello, $psk) = @_;

    my @versions = $hello->{max_version} >= 0x0304 ? (0x0303, 0x0304) : 0x0303;

    return scalar grep {
        my $suite = $_;
        grep { is_aead($suite, $_, $psk) } @versions
    } @{$hello->{suites}};
}


# An invalid ClientHello has neither suites nor extensions.

sub parse_client_hello {
    my ($message) = @_;

    my $hello = { suites => [], extensions => {}, session_id => '', alpn => [],
                  name => '', max_version => 0 };

    my ($type, $version, $id, $suites, $methods, $rest) = eval {
        unpack 'C x3 n x32 C/a n/a C/a a*', $message
    };

    return $hello if !defined $methods || $type != 1;

    $hello->{session_id} = $id;
    $hello->{suites} = [ unpack 'n*', $suites ];
    $hello->{max_version} = $version;

    my $e = $hello->{extensions} = _extensions($rest);

    $hello->{alpn} = [ eval { unpack 'x2 (C/a)*', $e->{16} } ]
        if length($e->{16} // '') > 2;
    $hello->{name} = eval { unpack 'x3 n/a', $e->{0} } // ''
        if length($e->{0} // '') >= 5;

    if (length($e->{43} // '') > 1) {
        my ($max) = sort { $b <=> $a } grep { $_ <= 0x0304 && $_ >= 0x0300 }
                    unpack 'x n*', $e->{43};
        $hello->{max_version} = $max || 0;
    }

    return $hello;
}


sub _extensions {
    my ($bytes) = @_;

    return {} if length $bytes < 2;

    my %extensions;
    my @pairs = eval { unpack '(n n/a)*', substr $bytes, 2 };

    while (my ($type, $data) = splice @pairs, 0, 2) {
        $extensions{$type} = $data;
    }

    return \%extensions;
}


sub parse_server_hello {
    my ($message) = @_;

    my ($version, $random, $id, $suite, $compression, $rest) = eval {
        unpack 'x4 n a32 C/a n C a*', $message
    };

    return undef unless defined $compression;

    my $extensions = _extensions($rest);

    $version = unpack 'n', $extensions->{43}
        if length($extensions->{43} // '') == 2;

    return { version => $version, session_id => $id, suite => $suite,
             compression => $compression, extensions => $extensions,
             retry => $random eq $RETRY };
}


1;
