#!/usr/bin/perl

# ATLS with Perl, Net::SSLeay 1.92 or later: an SSL between two memory BIOs.
#
#     perl perl.pl [options] URL PATH ...

use strict;
use warnings;

use HTTP::Tiny;
use Net::SSLeay;

my %versions = ('tls1.2' => 0x0303, 'tls1.3' => 0x0304);
my %o = (ca => '/etc/ssl/certs/ca-certificates.crt');

while (@ARGV && $ARGV[0] =~ /^--/) {
    my $option = substr shift, 2;
    $o{$option} = $option =~ /^(?:tls1\.[23]|resume)$/ ? 1 : shift;
}

my ($url, @paths) = @ARGV;
my $name = $o{name} || ($url =~ m!//([^:/]+)!)[0];

my $ctx = make_context();
my $session;

for my $last ($o{resume} ? 0 : (), 1) {
    my $atls = Atls->new($ctx, $url, $name, $session);

    $atls->handshake();
    get($atls, $_, $last) for @paths;

    my $exported = defined $o{export}
                   ? unpack 'H*', Net::SSLeay::export_keying_material(
                                      $atls->{ssl}, 32, $o{export}, undef)
                   : '-';

    $atls->end();

    printf STDERR "protocol %s resumed %d exporter %s posts %d\n",
           Net::SSLeay::get_version($atls->{ssl}),
           Net::SSLeay::session_reused($atls->{ssl}), $exported, $atls->{posts}
        if $last;

    # only now: TLS 1.3 tickets arrive with the response

    Net::SSLeay::SESSION_free($session) if $session;
    $session = Net::SSLeay::get1_session($atls->{ssl});
}


sub make_context {
    my $method = Net::SSLeay::TLS_client_method();
    my $ctx = Net::SSLeay::CTX_new_with_method($method);
    my ($only) = map { $o{$_} ? $versions{$_} : () } keys %versions;

    Net::SSLeay::CTX_set_min_proto_version($ctx, $only || $versions{'tls1.2'});
    Net::SSLeay::CTX_set_max_proto_version($ctx, $only) if $only;

    # a proxy may terminate the outer TLS: only this verification counts

    Net::SSLeay::CTX_set_verify($ctx, Net::SSLeay::VERIFY_PEER());
    Net::SSLeay::CTX_load_verify_locations($ctx, $o{ca}, '')
        or die "TLS: no certificates in $o{ca}\n";

    # the key must be in hex

    if ($o{psk}) {
        my @psk = $o{psk} =~ /^(.*):(.*)$/ or die "--psk IDENTITY:HEX\n";
        Net::SSLeay::CTX_set_psk_client_callback($ctx, sub { @psk });
    }

    return $ctx;
}


sub get {
    my ($atls, $path, $print) = @_;

    my $response = Response->new(sub { print $_[0] if $print });

    $atls->request("GET $path HTTP/1.1\r\nHost: $name\r\n\r\n",
                   sub { $response->feed($_[0]) });

    die "HTTP: the response is truncated\n" unless $response->complete();
}


package Atls;

# TLS with records in the bodies of POSTs.

sub new {
    my ($class, $ctx, $url, $name, $session) = @_;

    my $ssl = Net::SSLeay::new($ctx);
    my $self = bless {
        ssl      => $ssl,
        url      => $url,
        headers  => { 'Content-Type' => 'application/atls+octet-stream' },
        http     => HTTP::Tiny->new(keep_alive => 0, max_redirect => 0),
        posts    => 0,
        received => Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem()),
        to_send  => Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem()),
    }, $class;

    Net::SSLeay::set_bio($ssl, $self->{received}, $self->{to_send});
    Net::SSLeay::set_connect_state($ssl);

    # SNI and the name to verify; the CN of the subject is not used

    my $param = Net::SSLeay::get0_param($ssl);

    Net::SSLeay::set_tlsext_host_name($ssl, $name);
    Net::SSLeay::X509_VERIFY_PARAM_set_hostflags($param,
        Net::SSLeay::X509_CHECK_FLAG_NEVER_CHECK_SUBJECT());
    Net::SSLeay::X509_VERIFY_PARAM_set1_host($param, $name);
    Net::SSLeay::set_session($ssl, $session) if $session;

    return $self;
}


sub DESTROY { Net::SSLeay::free($_[0]{ssl}) }


# Sends all TLS output in one POST.  Pieces of the response are passed to TLS as
# they arrive; then $received is called, if defined.

sub post {
    my ($self, $received) = @_;

    my $pending = Net::SSLeay::BIO_pending($self->{to_send}) or return 0;

    my $r = $self->{http}->post($self->{url}, {
        headers       => $self->{headers},
        content       => Net::SSLeay::BIO_read($self->{to_send}, $pending),
        data_callback => sub {
            my ($data, $r) = @_;
            return if $r->{status} !~ /^20[01]$/;
            Net::SSLeay::BIO_write($self->{received}, $data);
            $received->() if $received;
        },
    });

    $self->{posts}++;

    # 410: the session is closed; a real client opens a new one.  599 is
    # an error of HTTP::Tiny, or an exception in the callback.

    die $r->{content} =~ s/(?: at \S+ line \d+\.)?\n*\z/\n/r
        if $r->{status} == 599;
    die "HTTP: status $r->{status} $r->{reason}\n"
        if $r->{status} !~ /^20[01]$/;

    $self->{headers}{Cookie} = $1
        if ($r->{headers}{'set-cookie'} || '') =~ /^(atls=[^;]+)/;

    # the URI of the session, a path

    if ($r->{status} == 201 && defined(my $uri = $r->{headers}{location})) {
        die "HTTP: Location: $uri\n" if $uri !~ m{^/(?!/)};
        $self->{url} =~ s{^(\w+://[^/]*).*}{$1$uri};
    }

    return 1;
}


sub handshake {
    my ($self) = @_;

    while ((my $rc = Net::SSLeay::do_handshake($self->{ssl})) != 1) {
        $self->failed('handshake') unless $self->wants_read($rc);
        $self->post() or die "TLS: the server's flight is not complete\n";
    }

    # TLS 1.3: to_send still has the last flight, sent with the request
}


sub request {
    my ($self, $request, $plaintext) = @_;

    Net::SSLeay::write($self->{ssl}, $request) == length $request
        or $self->failed('writing');

    $self->post(sub { $self->read_all($plaintext) });
}


# Reads available plaintext.  This also processes tickets and KeyUpdates.

sub read_all {
    my ($self, $plaintext) = @_;

    for ( ;; ) {
        my ($data, $rc) = Net::SSLeay::read($self->{ssl}, 16384);

        if ($rc > 0) {
            $plaintext->($data);
            next;
        }

        return if $self->wants_read($rc) || $self->closed();
        $self->failed('reading');
    }
}


sub end {
    my ($self) = @_;

    return if $self->closed();              # the server was first

    Net::SSLeay::shutdown($self->{ssl});
    $self->post(sub { $self->read_all(sub { }) });
    $self->closed() or die "TLS: no close_notify\n";
}


sub wants_read {
    my ($self, $rc) = @_;

    return Net::SSLeay::get_error($self->{ssl}, $rc)
           == Net::SSLeay::ERROR_WANT_READ();
}


sub closed {
    my ($self) = @_;

    return Net::SSLeay::get_shutdown($self->{ssl})
           & Net::SSLeay::RECEIVED_SHUTDOWN();
}


# Sends the alert that TLS may have written: the server closes the session.

sub failed {
    my ($self, $what) = @_;

    my $verify = Net::SSLeay::get_verify_result($self->{ssl});
    my $why = $verify ? Net::SSLeay::X509_verify_cert_error_string($verify)
              : Net::SSLeay::ERR_error_string(Net::SSLeay::ERR_get_error());

    eval { $self->post() };

    die "TLS: $what: $why\n";
}


package Response;

# A minimal HTTP/1.1 parser, for pieces of any size.

my $FOREVER;

BEGIN { $FOREVER = 9 ** 9 ** 9 }        # a body without a length

sub new {
    my ($class, $body) = @_;

    return bless { buf => '', in => 'header', body => $body }, $class;
}


sub complete {
    my ($self) = @_;

    return $self->{in} eq 'end'
           || $self->{in} eq 'body' && $self->{left} == $FOREVER;
}


sub feed {
    my ($self, $data) = @_;

    $self->{buf} .= $data;

    for ( ;; ) {
        if ($self->{in} eq 'header') {
            $self->{buf} =~ s/\A(.*?)\r\n\r\n//s or return;
            my $header = $1;
            my $chunked = $header =~ /^transfer-encoding: *chunked/mi;
            my $length = $header =~ /^content-length: *(\d+)/mi ? $1 : $FOREVER;

            @$self{qw( in left chunked )} =
                ($chunked ? 'size' : 'body', $length, $chunked);

        } elsif ($self->{in} eq 'size') {
            $self->{buf} =~ s/\A(?:\r\n)?([\da-f]+).*\n//i or return;
            $self->{left} = hex $1;
            $self->{in} = $self->{left} ? 'body' : 'end';

        } elsif ($self->{in} eq 'body') {
            my $piece = substr $self->{buf}, 0, $self->{left}, '';

            $self->{body}->($piece) if $piece ne '';
            $self->{left} -= length $piece;
            return if $self->{left};
            $self->{in} = $self->{chunked} ? 'size' : 'end';

        } else {
            return;
        }
    }
}
