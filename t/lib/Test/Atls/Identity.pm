package Test::Atls::Identity;

# Clients with certificates and pre-shared keys, and requests with forged
# headers, for tests of variables.
#
#     use Test::Atls::Identity;               # "include clients.conf;" in http
#     my $c = client('gnutls', protocol => 'TLSv1.3', certificate_of('ann'));
#     my $r = plain('/', forged());           # without ATLS

use strict;
use warnings;

use Exporter qw( import );

use Test::Atls;
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Stack;

our @EXPORT = qw(
    $t @NAMES @VARIABLES client certificate_of psk_of plain header forged
);

# without "atls_"

our @NAMES = (qw( protocol cipher curve server_name alpn_protocol session_id
                  session_reused session_requests session_time early_data
                  exporter psk_identity ),
              map { "client_$_" } qw( verify s_dn i_dn serial fingerprint
                                      v_start v_end escaped_cert
                                      cert_rfc9440 ));

our @VARIABLES = ('atls', map { "atls_$_" } @NAMES, 'client_cert');

my $KEY = '00112233445566778899aabbccddeeff';

our $t = Test::Atls->new();

# with TLS 1.2, the curve of a key must be supported by both sides

$t->make_cert('localhost', type => 'rsa');
$t->make_cert('ca', is_ca => 1);
$t->make_cert($_, type => 'rsa', ca => 'ca', subject => "/CN=$_/O=Clients")
    for 'ann', 'bob';
$t->write_file('psk', "device:$KEY\n");
$t->write_file('clients.conf', $t->expand(<<'EOC'));
%%CERTIFICATE%%
atls_verify_client optional;
atls_client_certificate ca.crt;
atls_psk_file psk;
EOC


sub client {
    my ($stack, @args) = @_;

    my $c = $t->stack($stack, keepalive => 0, @args);

    $c->handshake() or die "no handshake with $stack: " . $c->error() . "\n";

    return $c;
}


sub certificate_of {
    return (cert => $t->path("$_[0].crt"), key => $t->path("$_[0].key"));
}


# With TLS 1.2, clients must offer only suites with PSK.

sub psk_of {
    my ($stack, $protocol) = @_;

    return (psk => [ 'device', $KEY ], groups => 'P-384',
            $protocol eq 'TLSv1.3' ? ()
            : $stack eq 'openssl'  ? (ciphers => 'PSK')
                                   : (priority => 'NORMAL:-KX-ALL'));
}


sub plain {
    my ($uri, $headers) = @_;

    $headers = '' unless defined $headers;

    my ($r) = parse_responses(http_raw($t->port(0),
        "GET $uri HTTP/1.0\r\nHost: localhost\r\n$headers\r\n"));

    return $r;
}


sub header {
    my ($variable) = @_;

    return join '-', 'X', map { ucfirst } split /_/, $variable;
}


# Headers with the names of all variables.

sub forged {
    my @headers = map { header($_) . ': forged' } @VARIABLES;

    return join '', map { "$_\r\n" }
           @headers, (map { s/^X-//r } @headers), 'Cookie: atls=on';
}


1;
