#!/usr/bin/perl

# Suites of DTLS, with clients of several libraries: their datagrams are put
# into POSTs by a gateway, which loses, repeats and delays some.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Program qw( find_program );
use Test::Atls::Udp qw( get s_client talk );

my $KEY = '00112233445566778899aabbccddeeff';

my $t = Test::Atls->new(workers => 2);

$t->write_file('keys', "device:$KEY\n");

$t->write_http(<<'EOC');
%%CERTIFICATE%%

atls_protocols DTLSv1.2;
atls_ciphers   AESGCM:AESCCM:AESCCM8:CHACHA20:!PSK:@SECLEVEL=0;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /psk {
        atls on;
        atls_psk_file %%TESTDIR%%/keys;
        atls_ciphers PSK+AESCCM8:PSK+AESCCM:PSK+AESGCM:kECDHEPSK+CHACHA20:@SECLEVEL=0;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_set_header X-Cipher $atls_cipher;
        proxy_set_header X-Identity $atls_psk_identity;
    }
}
EOC

$t->run();

my %served;
my $backend = Test::Atls::Backend->start($t, $t->port(1));

for ([2], [3, lossy => 8], [4, uri => '/psk'], [5, uri => '/psk', lossy => 8]) {
    my ($n, @args) = @$_;
    Test::Atls::Udp->start($t, $t->port($n), to => $t->port(0), seed => $n,
                           @args);
}

subtest('s_client' => \&openssl);
subtest('gnutls-cli' => \&gnutls);
subtest('mbedTLS' => \&mbedtls);
subtest('wolfSSL' => \&wolfssl);

is((grep { $_ > 1 } values %served), 0, 'no request was served twice');

$t->done_testing();


sub openssl {
    for my $suite (qw( ECDHE-ECDSA-AES128-GCM-SHA256
                       ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-ECDSA-AES128-CCM
                       ECDHE-ECDSA-AES128-CCM8 ))
    {
        served($suite, $suite, 2, s_client($t->port(2), '-CAfile',
                                           $t->path('localhost.crt'),
                                           '-verify_return_error', '-cipher',
                                           "$suite:\@SECLEVEL=0"));
    }

    for my $suite (qw( PSK-AES128-CCM8 PSK-AES128-CCM PSK-AES128-GCM-SHA256
                       ECDHE-PSK-CHACHA20-POLY1305 ))
    {
        served($suite, $suite, 4, s_client($t->port(4), '-psk', $KEY,
                                           '-psk_identity', 'device', '-cipher',
                                           "$suite:\@SECLEVEL=0"));
    }
}


sub gnutls {
    plan(skip_all => 'no gnutls-cli') unless find_program('gnutls-cli');

    my @cli = ('gnutls-cli', '--udp', '--port');
    my $only = 'NORMAL:-VERS-ALL:+VERS-DTLS1.2:-CIPHER-ALL';

    my %suites = (
        'AES-128-GCM'       => 'ECDHE-ECDSA-AES128-GCM-SHA256',
        'AES-128-CCM-8'     => 'ECDHE-ECDSA-AES128-CCM8',
        'CHACHA20-POLY1305' => 'ECDHE-ECDSA-CHACHA20-POLY1305',
    );

    for my $cipher (sort keys %suites) {
        served($cipher, $suites{$cipher}, 2, @cli, $t->port(2),
               '--x509cafile', $t->path('localhost.crt'), '--verify-hostname',
               'localhost', '--priority', "$only:+$cipher", '127.0.0.1');
    }

    for my $cipher (qw( AES-128-CCM-8 AES-128-CCM )) {
        my $suite = "PSK-$cipher" =~ s/AES-128/AES128/r =~ s/CCM-8/CCM8/r;

        served("PSK, $cipher", $suite, 4, @cli, $t->port(4), '--pskusername',
               'device', '--pskkey', $KEY, '--priority',
               "$only:+$cipher:-KX-ALL:+PSK", '127.0.0.1');
    }
}


# A request of a program that reads it from stdin.

sub served {
    my ($name, $suite, $n, @command) = @_;

    my $request = get("/big?size=30&n=$n-" . ++$t->{requests});
    my ($out, $err) = talk($t, qr/^0000002/m, $request, @command);

    like($out, qr/^0000000\n0000001/m, $name) or diag($err);
    suite($name, $suite);
}


sub suite {
    my ($name, $suite) = @_;

    my @requests = $backend->requests();
    my %h = map { lc $_->[0] => $_->[1] } map { @{$_->{headers}} } @requests;

    $backend->forget();
    $served{$_->{uri}}++ for @requests;

    is($h{'x-cipher'}, $suite, "$name: suite");
    is($h{'x-identity'}, 'device', "$name: identity") if $suite =~ /PSK/;
}


# With records of at most 512 bytes, as for a small device.

sub mbedtls {
    plan(skip_all => 'no libmbedtls-dev')
        unless -e '/usr/include/mbedtls/ssl.h';

    compiled('mbedtls_dtls', qw( -lmbedtls -lmbedx509 -lmbedcrypto )) or return;

    my @ca = ('ca', $t->path('localhost.crt'));
    my @psk = ('device', $KEY);

    my @runs = (
        [ 'GCM', 2, 'TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256', @ca,
          'ECDHE-ECDSA-AES128-GCM-SHA256' ],
        [ 'CCM-8', 2, 'TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8', @ca,
          'ECDHE-ECDSA-AES128-CCM8' ],
        [ 'CCM-8 with losses', 3, 'TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8', @ca,
          'ECDHE-ECDSA-AES128-CCM8' ],
        [ 'PSK, CCM-8', 4, 'TLS-PSK-WITH-AES-128-CCM-8', @psk,
          'PSK-AES128-CCM8' ],
        [ 'PSK, CCM-8 with losses', 5, 'TLS-PSK-WITH-AES-128-CCM-8', @psk,
          'PSK-AES128-CCM8' ],
        [ 'PSK, GCM', 4, 'TLS-PSK-WITH-AES-128-GCM-SHA256', @psk,
          'PSK-AES128-GCM-SHA256' ],
    );

    for (@runs) {
        my ($name, $n, $suite, $who, $value, $expected) = @$_;

        my $uri = "/big?size=30&n=$n-" . ++$t->{requests};
        my $out = output($t->path('mbedtls_dtls'), $t->port($n), $uri, $suite,
                         $who, $value);

        like($out, qr/^0000000\n0000001/m, $name) or diag($out);
        suite($name, $expected);
    }
}


sub wolfssl {
    plan(skip_all => 'no libwolfssl-dev')
        unless -e '/usr/include/wolfssl/ssl.h';

    compiled('wolfssl_dtls', '-lwolfssl') or return;

    for my $suite (qw( ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES128-CCM-8
                       ECDHE-ECDSA-CHACHA20-POLY1305 ))
    {
        my $uri = "/big?size=30&n=2-" . ++$t->{requests};
        my $out = output($t->path('wolfssl_dtls'), $t->port(2), $uri, $suite,
                         $t->path('localhost.crt'));

        like($out, qr/^0000000\n0000001/m, $suite) or diag($out);
        suite($suite, $suite =~ s/CCM-8/CCM8/r);
    }
}


# Compiles a program of t/bin.

sub compiled {
    my ($name, @libraries) = @_;

    my @cc = (split(' ', $ENV{CC} || 'cc'), qw( -O1 -Wall -Wextra -Werror ),
              "$FindBin::Bin/bin/$name.c", '-o', $t->path($name), @libraries);

    return is(system(@cc), 0, "$name.c");
}


sub output {
    my (@command) = @_;

    open my $fh, '-|', @command or die "$command[0]: $!\n";

    return join '', <$fh>;
}
