package Test::Atls::SSLeay;

# TLS with memory BIOs, for Test::Atls::Client.  Test::Atls::Stack overrides all
# methods.

use strict;
use warnings;

use Net::SSLeay;

use constant RECORD => 16384;

my %PROTOCOLS = ('TLSv1' => 0x0301, 'TLSv1.1' => 0x0302, 'TLSv1.2' => 0x0303,
                 'TLSv1.3' => 0x0304);

Net::SSLeay::load_error_strings();
Net::SSLeay::SSLeay_add_ssl_algorithms();
Net::SSLeay::randomize();


sub _make_tls {
    my ($self) = @_;

    my $ctx = $self->{ctx} = Net::SSLeay::CTX_new_with_method(
                                 Net::SSLeay::TLS_client_method())
        or die 'no SSL_CTX: ' . _queue();

    $self->_set_protocols($ctx);
    $self->_set_crypto($ctx);
    $self->_set_trust($ctx);
    $self->_set_extensions($ctx);

    my $ssl = $self->{ssl} = Net::SSLeay::new($ctx)
        or die 'no SSL: ' . _queue();

    $self->{in} = Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem());
    $self->{out} = Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem());
    Net::SSLeay::set_bio($ssl, $self->{in}, $self->{out});
    Net::SSLeay::set_connect_state($ssl);

    Net::SSLeay::set_tlsext_host_name($ssl, $self->{sni})
        if defined $self->{sni} && $self->{sni} ne '';
    Net::SSLeay::set_session($ssl, $self->{session}) if $self->{session};
    $self->{setup}->($ctx, $ssl) if $self->{setup};
}


sub _set_protocols {
    my ($self, $ctx) = @_;

    my $min = $self->{protocol} || $self->{min};
    my $max = $self->{protocol} || $self->{max};

    Net::SSLeay::CTX_set_min_proto_version($ctx, $PROTOCOLS{$min}) if $min;
    Net::SSLeay::CTX_set_max_proto_version($ctx, $PROTOCOLS{$max}) if $max;
}


sub _set_crypto {
    my ($self, $ctx) = @_;

    my %setters = (
        ciphers      => \&Net::SSLeay::CTX_set_cipher_list,
        ciphersuites => \&Net::SSLeay::CTX_set_ciphersuites,
        groups       => \&Net::SSLeay::CTX_set1_groups_list,
    );

    for my $name (sort keys %setters) {
        next unless defined $self->{$name};
        $setters{$name}->($ctx, $self->{$name})
            or die "$name '$self->{$name}': " . _queue();
    }
}


sub _set_trust {
    my ($self, $ctx) = @_;

    if ($self->{cert}) {
        Net::SSLeay::CTX_use_certificate_chain_file($ctx, $self->{cert})
            or die "$self->{cert}: " . _queue();
        Net::SSLeay::CTX_use_PrivateKey_file($ctx, $self->{key},
                                             Net::SSLeay::FILETYPE_PEM())
            or die "$self->{key}: " . _queue();
    }

    if ($self->{ca}) {
        Net::SSLeay::CTX_load_verify_locations($ctx, $self->{ca}, '')
            or die "$self->{ca}: " . _queue();
        Net::SSLeay::CTX_set_verify($ctx, Net::SSLeay::VERIFY_PEER(), undef);
    }
}


sub _set_extensions {
    my ($self, $ctx) = @_;

    Net::SSLeay::CTX_set_alpn_protos($ctx, $self->{alpn}) if $self->{alpn};

    # sessions are only used with the "session" argument

    Net::SSLeay::CTX_set_session_cache_mode($ctx,
        Net::SSLeay::SESS_CACHE_CLIENT() | 0x0300);

    Net::SSLeay::CTX_set_psk_client_callback($ctx,
        sub { @{$self->{psk}} }) if $self->{psk};

    my $alerts = $self->{alerts};

    Net::SSLeay::CTX_set_info_callback($ctx, sub {
        my ($ssl, $where, $ret) = @_;
        push @$alerts, $ret & 0xff if ($where & 0x4004) == 0x4004;
    });
}


sub _queue {
    my @errors;

    while (my $code = Net::SSLeay::ERR_get_error()) {
        push @errors, Net::SSLeay::ERR_error_string($code);
    }

    return join '; ', @errors;
}


# Returns true on success.  An error is recorded, unless TLS waits for data.

sub _check {
    my ($self, $ret) = @_;

    return 1 if $ret > 0;

    my $code = Net::SSLeay::get_error($self->{ssl}, $ret);
    my $queue = _queue();

    return 0 if $code == Net::SSLeay::ERROR_WANT_READ();

    if ($code == Net::SSLeay::ERROR_ZERO_RETURN()) {
        $self->{closed} = 1;
    } else {
        $self->{error} ||= $queue || "SSL error $code";
    }

    return 0;
}


# Returns the TLS output.

sub tls_out {
    my ($self) = @_;

    my $bytes = '';

    while (my $pending = Net::SSLeay::BIO_pending($self->{out})) {
        $bytes .= Net::SSLeay::BIO_read($self->{out}, $pending);
    }

    return $bytes;
}


sub tls_pending { Net::SSLeay::BIO_pending($_[0]{out}) }


# Adds TLS input, which is processed by the next read.

sub tls_in {
    my ($self, $bytes) = @_;

    Net::SSLeay::BIO_write($self->{in}, $bytes) if $bytes ne '';
}


sub write_plain {
    my ($self, $plain) = @_;

    for (my $at = 0; $at < length $plain; $at += 1 << 20) {
        $self->_check(Net::SSLeay::write($self->{ssl},
                                         substr $plain, $at, 1 << 20));
    }
}


# Returns decrypted data.  read_plain($cb) passes them to a function in pieces.

sub read_plain {
    my ($self, $cb) = @_;

    my $all = '';

    for ( ;; ) {
        my ($piece, $ret) = Net::SSLeay::read($self->{ssl}, RECORD);

        if (!defined $piece || $ret <= 0) {
            $self->_check($ret);
            last;
        }

        if ($cb) { $cb->($piece) } else { $all .= $piece }
    }

    return $all;
}


# A step of the handshake.  Returns true when it is finished.

sub handshake_step {
    my ($self) = @_;

    return $self->_check(Net::SSLeay::do_handshake($self->{ssl}));
}


# close_notify, to be sent with the next output.

sub tls_shutdown { Net::SSLeay::shutdown($_[0]{ssl}) }


sub ssl { $_[0]{ssl} }
sub protocol { Net::SSLeay::get_version($_[0]{ssl}) }
sub cipher { Net::SSLeay::get_cipher($_[0]{ssl}) }
sub alpn { Net::SSLeay::P_alpn_selected($_[0]{ssl}) }
sub reused { Net::SSLeay::session_reused($_[0]{ssl}) }
sub session { Net::SSLeay::get1_session($_[0]{ssl}) }


# Subject and issuer of the server's certificate, in one line.

sub server_cert {
    my ($self) = @_;

    return names(Net::SSLeay::get_peer_certificate($self->{ssl}));
}


sub names {
    my ($x) = @_;

    return '' unless $x;

    my $text = Net::SSLeay::X509_NAME_oneline(
                   Net::SSLeay::X509_get_subject_name($x)) . ' by '
               . Net::SSLeay::X509_NAME_oneline(
                   Net::SSLeay::X509_get_issuer_name($x));
    Net::SSLeay::X509_free($x);

    return $text;
}


# export(label, length, context or undef) in hexadecimal.

sub export {
    my ($self, $label, $length, $context) = @_;

    return unpack 'H*', Net::SSLeay::export_keying_material($self->{ssl},
                                                  $length, $label, $context);
}


# RFC 9266: the channel binding.

sub exporter {
    my ($self) = @_;

    return Net::SSLeay::export_keying_material($self->{ssl}, 32,
                                               'EXPORTER-Channel-Binding', '');
}


sub _free_tls {
    my ($self) = @_;

    Net::SSLeay::free(delete $self->{ssl}) if $self->{ssl};
    Net::SSLeay::CTX_free(delete $self->{ctx}) if $self->{ctx};
}


1;
