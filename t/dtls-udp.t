#!/usr/bin/perl

# Clients of other programs over UDP: a gateway puts their datagrams into POSTs,
# and loses, repeats and delays some.

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

my $t = Test::Atls->new();

$t->write_file('keys', "device:$KEY\n");

$t->write_http(<<'EOC');
%%CERTIFICATE%%

atls_protocols DTLSv1.2;
atls_handshake_timeout 5m;      # each message that is lost takes seconds

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /psk {
        atls on;
        atls_psk_file %%TESTDIR%%/keys;
        atls_ciphers PSK+AESCCM8:PSK+AESGCM:@SECLEVEL=0;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_set_header X-Cipher $atls_cipher;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));

Test::Atls::Udp->start($t, $t->port(2), to => $t->port(0));
Test::Atls::Udp->start($t, $t->port(3), to => $t->port(0), lossy => 8);
Test::Atls::Udp->start($t, $t->port(4), to => $t->port(0), uri => '/psk');

# openssl s_client

my @VERIFY = ('-CAfile', $t->path('localhost.crt'), '-verify_return_error');

my ($out, $err) = talk($t, qr/^0000002/m, get('/big?size=30&n=1'),
                       s_client($t->port(2), @VERIFY));

like($out, qr/^HTTP.*^0000000\n0000001/ms, 's_client') or diag($err);
like($err, qr/verify return:1/, 'certificate');
is($backend->request()->{h}{'x-cipher'}, 'ECDHE-ECDSA-AES256-GCM-SHA384',
   'suite');

for my $suite (qw( PSK-AES128-CCM8 PSK-AES128-GCM-SHA256 )) {
    ($out) = talk($t, qr/^000$/m, get("/big?size=3&n=$suite"),
                  s_client($t->port(4), '-psk', $KEY, '-psk_identity',
                           'device', '-cipher', "$suite:\@SECLEVEL=0"));

    like($out, qr/^HTTP.*^000$/ms, "s_client, $suite");
}

# gnutls-cli

SKIP: {
    skip('no gnutls-cli', 1) unless find_program('gnutls-cli');

    ($out, $err) = talk($t, qr/^0000002/m, get('/big?size=30&n=gnutls'),
                        'gnutls-cli', '--udp', '--port', $t->port(2),
                        '--x509cafile', $t->path('localhost.crt'),
                        '--verify-hostname', 'localhost', '127.0.0.1');

    like($out, qr/^0000000\n0000001/m, 'gnutls-cli') or diag($err);
}

# with losses: a request, or its response, may be lost, but not served twice

for my $n (1 .. 6) {
    my $sent = 0;

    ($out, $err) = talk($t, qr/^0000248$/m,
                        sub { get("/big?size=1992&lossy=$n-" . $sent++) },
                        s_client($t->port(3), @VERIFY));

    like($out, qr/^0000248$/m, "session $n with losses") or diag($err);
}

my %served;
$served{$_->{uri}}++ for $backend->requests();

is((grep { $_ > 1 } values %served), 0, 'no request was served twice');

$t->done_testing();
