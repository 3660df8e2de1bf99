#!/usr/bin/perl

# Cipher suites of sessions with pre-shared keys.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Psk;
use Test::Atls::Stack qw( @STACKS );

# names in OpenSSL; key exchange and cipher in GnuTLS

my @SUITES = (
    [ 'PSK-AES128-GCM-SHA256',         'PSK',       'AES-128-GCM' ],
    [ 'PSK-AES256-GCM-SHA384',         'PSK',       'AES-256-GCM' ],
    [ 'PSK-CHACHA20-POLY1305',         'PSK',       'CHACHA20-POLY1305' ],
    [ 'PSK-AES128-CCM',                'PSK',       'AES-128-CCM' ],
    [ 'PSK-AES128-CCM8',               'PSK',       'AES-128-CCM-8' ],
    [ 'ECDHE-PSK-CHACHA20-POLY1305',   'ECDHE-PSK', 'CHACHA20-POLY1305' ],
    [ 'DHE-PSK-AES128-GCM-SHA256',     'DHE-PSK',   'AES-128-GCM' ],
    [ 'DHE-PSK-CHACHA20-POLY1305',     'DHE-PSK',   'CHACHA20-POLY1305' ],
    [ 'DHE-PSK-AES128-CCM8',           'DHE-PSK',   'AES-128-CCM-8' ],
    [ 'RSA-PSK-AES128-GCM-SHA256',     'RSA-PSK',   'AES-128-GCM' ],
);

for my $stack (@STACKS) {
    suites_tls13($stack);
    suites_tls12($stack);
}

no_keys_logged();

$t->done_testing();


# Keys are used with SHA-256, which is not the first choice of all clients.

sub suites_tls13 {
    my ($stack) = @_;

    my ($sha384, $sha256) = qw( TLS_AES_256_GCM_SHA384
                                TLS_AES_128_GCM_SHA256 );

    for my $suite ($sha256, qw( TLS_CHACHA20_POLY1305_SHA256
                                TLS_AES_128_CCM_SHA256
                                TLS_AES_128_CCM_8_SHA256 ))
    {
        is_served("$stack, $suite", "TLSv1.3|$suite|PSK|device|.",
                  $stack, '/both', ciphersuites => $suite,
                  ciphers_of($stack), protocol => 'TLSv1.3', @WITH_PSK);
    }

    is_served("$stack, SHA-384 first", "TLSv1.3|$sha256|PSK|device|.",
              $stack, '/both', protocol => 'TLSv1.3',
              ciphersuites => "$sha384:$sha256", @WITH_PSK);

    is_served("$stack, SHA-384 only", "TLSv1.3|$sha384|NONE||.",
              $stack, '/both', protocol => 'TLSv1.3',
              ciphersuites => $sha384, @WITH_PSK);

    # after a HelloRetryRequest, the client sends another binder

    my $c = is_served("$stack, HelloRetryRequest",
                      "TLSv1.3|$sha256|PSK|device|.", $stack, '/retry',
                      protocol => 'TLSv1.3', groups => 'P-256:P-384',
                      ciphersuites => "$sha384:$sha256", @WITH_PSK);
    is($c->posts(), 4, "$stack, HelloRetryRequest: a POST more");

    # an unknown identity does not affect the selection of the suite

    is_served("$stack, SHA-384 first, unknown", "TLSv1.3|$sha384|NONE||.",
              $stack, '/both', protocol => 'TLSv1.3',
              ciphersuites => "$sha384:$sha256", psk => [ 'nobody', $KEY ]);
}


sub suites_tls12 {
    my ($stack) = @_;

    for my $case (@SUITES) {
        my ($suite, $kx, $cipher) = @$case;

        my @suite = $stack eq 'openssl'
            ? (ciphers => "$suite:\@SECLEVEL=0")
            : (priority => "NORMAL:-KX-ALL:+$kx:-CIPHER-ALL:+$cipher");

        my $c = is_served("$stack, $suite", "TLSv1.2|$suite|PSK|device|.",
                          $stack, '/both', protocol => 'TLSv1.2', @suite,
                          @WITH_PSK);

        my $right = grep { seen($c) =~ /\|PSK\|device\|/ } 1 .. 4;
        is($right, 4, "$stack, $suite: from any worker");
    }
}


sub ciphers_of {
    my ($stack) = @_;

    return $stack eq 'openssl' ? (ciphers => 'ALL:@SECLEVEL=0') : ();
}
