package Test::Atls::Stack;

# A Test::Atls::Client that uses the TLS library of an external program.
# t/bin/gnutls_client.c uses GnuTLS.  t/bin/openssl_client.c supports features
# that Net::SSLeay does not have: early data, KeyUpdate, serialized sessions,
# DTLS (protocol => 'DTLSv1.2').
#
#     my $c = Test::Atls::Stack->new('gnutls', port => $t->port(0));
#     $c->handshake() or diag($c->error());
#     my $r = $c->get('/');                   # a Test::Atls::Response
#
#     # resumption, with a request in early data
#
#     $c = Test::Atls::Stack->new('gnutls', port => $t->port(0),
#                                 session => $c->session(),
#                                 early => $c->format_get('/'));
#     $c->handshake();
#     $r = $c->early_response();              # after one POST

use strict;
use warnings;

use Cwd qw( abs_path );
use Digest::SHA qw( sha256_hex );
use Exporter qw( import );
use File::Basename qw( dirname );
use File::Temp qw( tempdir );
use IPC::Open2 qw( open2 );
use Net::SSLeay;

use Test::Atls::Response qw( parse_responses );

use parent 'Test::Atls::Client';

our @EXPORT_OK = qw( @STACKS );
our @STACKS = qw( openssl gnutls );

my $SOURCES = abs_path(dirname(__FILE__) . '/../../../bin');

# linker options, and the Debian package

my %LIBRARIES = (
    openssl => [ [ qw( -lssl -lcrypto ) ], 'libssl-dev' ],
    gnutls  => [ [ qw( -lgnutls ) ], 'libgnutls28-dev' ],
);

my @OPTIONS = qw( sni ca cert key session max_early ocsp );

# names in OpenSSL and GnuTLS

my @VERSIONS = (
    [ 'TLSv1.1' => 'VERS-TLS1.1' ],
    [ 'TLSv1.2' => 'VERS-TLS1.2' ],
    [ 'TLSv1.3' => 'VERS-TLS1.3' ],
);

my %SUITES = (
    TLS_AES_128_GCM_SHA256       => 'AES-128-GCM',
    TLS_AES_256_GCM_SHA384       => 'AES-256-GCM',
    TLS_CHACHA20_POLY1305_SHA256 => 'CHACHA20-POLY1305',
    TLS_AES_128_CCM_SHA256       => 'AES-128-CCM',
    TLS_AES_128_CCM_8_SHA256     => 'AES-128-CCM-8',
);

my %GROUPS = (
    'P-256' => 'SECP256R1', prime256v1 => 'SECP256R1',
    'P-384' => 'SECP384R1', secp384r1 => 'SECP384R1',
    'P-521' => 'SECP521R1', secp521r1 => 'SECP521R1',
);

my %programs;


# new('openssl' | 'gnutls', port => , ...): the arguments of Test::Atls::Client
# except for setup, and
#
# session    => bytes returned by session() of another client
# early      => plaintext sent with the ClientHello, if the session allows it
# max_early  => maximum size instead of that of the session (openssl)
# ocsp       => 1: requests the status of the server's certificate
# tickets    => 0: does not accept tickets (TLS 1.2)
# ems        => 0: without extended_master_secret (TLS 1.2)
# priority   => GnuTLS priority string, to which versions, suites, groups and
#               PSK are added; ciphers (TLS 1.2) is for openssl only

sub new {
    my ($class, $stack, %args) = @_;

    die "no stack '$stack'\n" unless $LIBRARIES{$stack};

    return $class->SUPER::new(%args, stack => $stack);
}


# The program of a stack, compiled once for each test.

sub program {
    my ($stack) = @_;

    return $programs{$stack} ||= _compile($stack);
}


sub _compile {
    my ($stack) = @_;

    my $dir = tempdir('atls-stack-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my ($libraries, $package) = @{$LIBRARIES{$stack}};

    my @cc = (split(' ', $ENV{CC} || 'cc'), qw( -O1 -g -Wall -Wextra -Werror ),
              $ENV{TEST_ASAN} ? '-fsanitize=address,undefined' : (),
              "$SOURCES/client.c", "$SOURCES/${stack}_client.c",
              '-o', "$dir/${stack}_client", @$libraries);

    system(@cc) == 0
        or die "@cc failed: is $package installed? (tools/deps.sh)\n";

    return "$dir/${stack}_client";
}


# TLS

sub _make_tls {
    my ($self) = @_;

    @$self{qw( to_send came owner state )} = ('', '', $$, 'waiting');
    @$self{qw( updates tickets_received )} = (0, 0);

    $self->{pid} = open2($self->{from}, $self->{to}, program($self->{stack}));
    binmode $_ for $self->{from}, $self->{to};

    $self->_set('dtls', 1) if ($self->{protocol} || '') =~ /^DTLS/;
    $self->_set($_, $self->{$_})
        for grep { defined $self->{$_} && $self->{$_} ne '' } @OPTIONS;
    $self->_set('alpn', $_) for @{$self->{alpn} || []};
    $self->_set('no_tickets', 1)
        if defined $self->{tickets} && !$self->{tickets};

    if ($self->{psk}) {
        $self->_set('psk_identity', $self->{psk}[0]);
        $self->_set('psk_key', $self->{psk}[1]);
    }

    my $crypto = "_set_$self->{stack}";
    $self->$crypto();
}


sub _set {
    my ($self, $name, $value) = @_;

    my $option = "$name\0$value";
    my $to = $self->{to};

    print $to 'set ', length $option, "\n", $option;
    $to->flush();
    $self->_answer();
}


sub _set_openssl {
    my ($self) = @_;

    my $min = $self->{protocol} || $self->{min};
    my $max = $self->{protocol} || $self->{max};

    $self->_set('min', $min) if $min;
    $self->_set('max', $max) if $max;
    $self->_set($_, $self->{$_})
        for grep { defined $self->{$_} } qw( ciphers ciphersuites groups );
    $self->_set('no_ems', 1) if defined $self->{ems} && !$self->{ems};
}


sub _set_gnutls {
    my ($self) = @_;

    die "ciphers are OpenSSL's: GnuTLS has a priority\n" if $self->{ciphers};

    my @priority = ($self->{priority} || 'NORMAL', $self->_gnutls_versions(),
                    _gnutls_list('CIPHER', $self->{ciphersuites}, \%SUITES),
                    _gnutls_list('GROUP', $self->{groups}, \%GROUPS));

    push @priority, qw( +ECDHE-PSK +DHE-PSK +PSK ) if $self->{psk};
    push @priority, '%NO_SESSION_HASH'
        if defined $self->{ems} && !$self->{ems};

    $self->_set('priority', join ':', @priority);
}


sub _gnutls_versions {
    my ($self) = @_;

    my $min = $self->{protocol} || $self->{min};
    my $max = $self->{protocol} || $self->{max};

    return () unless $min || $max;

    my @versions = grep { (!$min || $_->[0] ge $min)
                          && (!$max || $_->[0] le $max) } @VERSIONS;

    return ('-VERS-ALL', map { "+$_->[1]" } reverse @versions);
}


sub _gnutls_list {
    my ($type, $list, $names) = @_;

    return () unless defined $list;

    my $prefix = $type eq 'GROUP' ? 'GROUP-' : '';

    return ("-$type-ALL",
            map { "+$prefix" . ($names->{$_} || uc) } split /:/, $list);
}


# Sends a command to the program.  Returns the result.

sub _command {
    my ($self, $name, $bytes) = @_;

    my $to = $self->{to};

    $bytes = '' unless defined $bytes;
    print $to "$name ", length $bytes, "\n", $bytes;
    $to->flush();

    return $self->_answer();
}


sub _answer {
    my ($self) = @_;

    my $line = readline $self->{from};
    my ($out, $plain, $value, $error, $updates, $tickets, $state, $alerts) =
        ($line || '') =~ /^out\ (\d+)\ plain\ (\d+)\ value\ (\d+)\ error\ (\d+)
                           \ updates\ (\d+)\ tickets\ (\d+)\ state\ (\w+)
                           \ alerts\ ([\d,]*)$/x
        or die "the program for $self->{stack} has ended\n";

    $self->{to_send} .= $self->_bytes($out);
    $self->{came} .= $self->_bytes($plain);
    $value = $self->_bytes($value);
    $error = $self->_bytes($error);

    @$self{qw( updates tickets_received state )} = ($updates, $tickets, $state);
    $self->{alerts} = [ split /,/, $alerts ];
    $self->{closed} = 1 if $state eq 'closed';
    $self->{error} ||= $error;

    return $value;
}


sub _bytes {
    my ($self, $n) = @_;

    my $bytes = '';

    read($self->{from}, $bytes, $n) == $n
        or die "the program for $self->{stack} has ended\n";

    return $bytes;
}


sub tls_out {
    my ($self) = @_;

    my $bytes = $self->{to_send};
    $self->{to_send} = '';

    return $bytes;
}


sub tls_pending { length $_[0]{to_send} }


sub tls_in {
    my ($self, $bytes) = @_;

    $self->_command('in', $bytes) if $bytes ne '';
}


sub write_plain {
    my ($self, $plain) = @_;

    $self->_command('write', $plain);
}


sub read_plain {
    my ($self, $cb) = @_;

    my $plain = $self->{came};
    $self->{came} = '';

    return $plain unless $cb;

    $cb->($plain) if $plain ne '';
    return '';
}


# Early data are sent with the ClientHello.  With OpenSSL, more can be sent by
# write_early() before the next step.

sub handshake_step {
    my ($self) = @_;

    if (defined $self->{early} && !$self->{early_written}++) {
        $self->_command('early', $self->{early});
    } else {
        $self->_command('handshake');
    }

    return $self->{state} =~ /^(?:established|closed)$/;
}


# The ticket in a ClientHello, which is not sent: RFC 8446, section 4.1.2.

sub offered_ticket {
    my ($self) = @_;

    $self->handshake_step();

    # after the record header, the message header, version and random: session
    # ID, suites, compression methods

    my (undef, undef, undef, $extensions) =
        unpack 'x5 x4 x2 x32 C/a n/a C/a n/a', $self->tls_out();

    my %extensions = unpack '(n n/a)*', $extensions;

    return $extensions{41} ? unpack 'x2 n/a', $extensions{41}
                           : $extensions{35};
}


sub write_early {
    my ($self, $plain) = @_;

    $self->_command('early', $plain);
}


sub tls_shutdown { $_[0]->_command('shutdown') }


# As in Test::Atls::Client.  With early data, the last flight is sent with the
# next request, unless hold => 0, since the response was already received.

sub handshake {
    my ($self, %args) = @_;

    $args{hold} = 1 if defined $self->{early} && !exists $args{hold};

    return $self->SUPER::handshake(%args);
}


# Responses to early data decrypted so far.

sub early_responses {
    my ($self, @methods) = @_;

    return parse_responses($self->read_plain(), @methods);
}


sub early_response { ($_[0]->early_responses($_[0]{early} =~ /^(\S+)/))[0] }


# A KeyUpdate, to be sent with the next output; it may request one of the
# server.  With DTLS, a ClientHello for renegotiation.

sub key_update {
    my ($self, $requested) = @_;

    $self->_command('update', $requested ? 1 : 0);
}


# Sends pending output.  Returns the response.

sub flush {
    my ($self, %args) = @_;

    return $self->exchange($self->tls_out(), %args);
}


# All responses to pipelined requests.

sub responses {
    my ($self, $requests, %args) = @_;

    return parse_responses($self->request($requests, %args));
}


sub format_get { Test::Atls::Client::format_request('GET', $_[1], '') }


sub close { $_[0]->close_notify() }


# state

sub stack { $_[0]{stack} }
sub state { $_[0]{state} }      # waiting, established, closed, failed
sub updates { $_[0]{updates} }          # KeyUpdates received
sub tickets { $_[0]{tickets_received} } # NewSessionTickets received
sub alert { $_[0]{alerts}[-1] }         # the number of the last one
sub early_status { $_[0]->_command('get', 'early') }
sub reused { $_[0]->_command('get', 'resumed') }
sub resumed { $_[0]->reused() }
sub session { $_[0]->_command('get', 'session') }   # '' if there is none


# "TLSv1.3" or "TLSv1.2"

sub protocol {
    my ($self) = @_;

    return $self->_command('get', 'protocol') =~ s/^TLS(?=\d)/TLSv/r;
}


# The OpenSSL name, as in $atls_cipher.

sub cipher {
    my ($self) = @_;

    my $name = $self->_command('get', 'cipher');

    return $name if $SUITES{$name} || $name !~ /^TLS_/;

    for ($name) {
        s/^TLS_(?:RSA_(?=WITH_))?//;
        s/WITH_//;
        s/AES_(\d+)/AES$1/;
        s/CCM_8/CCM8/;
        s/(POLY1305)_SHA256/$1/;
        tr/_/-/;
    }

    return $name;
}


sub alpn {
    my ($self) = @_;

    my $name = $self->_command('get', 'alpn');

    return $name eq '' ? undef : $name;
}


# Subject and issuer of the server's certificate in one line, or its hash.

sub server_cert {
    my ($self) = @_;

    my $bio = Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem());
    Net::SSLeay::BIO_write($bio, $self->_command('get', 'cert'));
    my $x = Net::SSLeay::d2i_X509_bio($bio);
    Net::SSLeay::BIO_free($bio);

    return Test::Atls::SSLeay::names($x);
}


sub server_cert_sha256 {
    my ($self) = @_;

    my $der = $self->_command('get', 'cert');

    return $der eq '' ? '' : sha256_hex($der);
}


# The stapled OCSP response, or ''.

sub ocsp_response { $_[0]->_command('get', 'ocsp') }


# export(label, length, context or undef) in hexadecimal; '' on failure.

sub export {
    my ($self, $label, $length, $context) = @_;

    my $command = "$length $label";
    $command .= "\0$context" if defined $context;

    return unpack 'H*', $self->_command('export', $command);
}


# RFC 9266: the channel binding by the function of the stack, if any; in binary
# and in hexadecimal.

sub exporter { $_[0]->_command('binding') }
sub channel_binding { unpack 'H*', $_[0]->exporter() }


# The program belongs to the process that has started it.  It is told to quit,
# since a fork may keep its pipe open.

sub DESTROY {
    my ($self) = @_;

    return unless $self->{pid} && $self->{owner} == $$;

    local ($?, $!, $@);

    if (my $to = delete $self->{to}) {
        eval { print $to "quit 0\n"; CORE::close $to };
    }

    CORE::close(delete $self->{from}) if $self->{from};
    waitpid delete $self->{pid}, 0;

    $self->SUPER::DESTROY();
}


1;
