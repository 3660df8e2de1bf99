#!/usr/bin/perl

# All AEAD suites of TLS 1.3 and 1.2, with RSA and ECDSA certificates, and a
# backend.  Other suites are refused by nginx -t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Pattern qw( pattern );

my @TLS13 = qw( TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384
                TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_CCM_SHA256
                TLS_AES_128_CCM_8_SHA256 );

my @BOTH = qw( AES128-GCM-SHA256 AES256-GCM-SHA384 CHACHA20-POLY1305 );
my @CCM = qw( AES128-CCM AES256-CCM AES128-CCM8 AES256-CCM8 );

my %TLS12 = (
    ec  => [ map { "ECDHE-ECDSA-$_" } @BOTH, @CCM ],
    rsa => [ (map { "ECDHE-RSA-$_" } @BOTH), (map { "DHE-RSA-$_" } @BOTH, @CCM),
             grep { !/CHACHA/ } @BOTH, @CCM ],
);

my $t = Test::Atls->new();

$t->make_cert('ec', type => 'ec');
$t->make_cert('rsa', type => 'rsa');

$t->make_dhparam('dhparam.pem');

# since OpenSSL 3.2, suites with a short tag require security level 0

my $conf = http_conf(<<'EOC');
atls_conf_command Ciphersuites %%TLS13%%;
atls_ciphers AESGCM:AESCCM:AESCCM8:CHACHA20:!aNULL:!PSK:@SECLEVEL=0;
atls_dhparam %%TESTDIR%%/dhparam.pem;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /ec {
        atls on;
        %%CERTIFICATE_ec%%
    }

    location = /rsa {
        atls on;
        %%CERTIFICATE_rsa%%
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_set_header X-Protocol $atls_protocol;
        proxy_set_header X-Cipher $atls_cipher;
    }
}
EOC

$conf =~ s/%%TLS13%%/join ':', @TLS13/e;

$t->write_conf($conf);

my $suites = 2 * @TLS13 + @{$TLS12{ec}} + @{$TLS12{rsa}};

$t->run();

Test::Atls::Backend->start($t, $t->port(1));


for my $cert (qw( ec rsa )) {

    for my $suite (@TLS13) {
        served($cert, $suite, protocol => 'TLSv1.3', ciphersuites => $suite,
               ciphers => 'ALL:@SECLEVEL=0');
    }

    for my $suite (@{$TLS12{$cert}}) {
        served($cert, $suite, protocol => 'TLSv1.2',
               ciphers => "$suite:\@SECLEVEL=0");
    }
}


# suites without AEAD

for my $ciphers ('ECDHE-ECDSA-AES128-SHA', 'AES128-SHA256',
                 'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384',
                 'HIGH:!aNULL')
{
    like(config_error("atls_ciphers $ciphers;"),
         qr/cipher "[\w-]+" is not supported.*"atls_ciphers" \S+ in \S+:\d+/s,
         "atls_ciphers $ciphers");
}

like(config_error('atls_conf_command CipherString AES128-SHA;'),
     qr/\[emerg\].* cipher "AES128-SHA" .*is not supported/,
     'nor by atls_conf_command');

like(config_error('atls_ciphers none;'), qr/\[emerg\].*"none"/,
     'an unknown suite');

is(config_error('atls_ciphers ECDHE+AESGCM:!PSK;'), '', 'a good list');
is(config_error(''), '', 'the list by default');

$t->done_testing();


sub served {
    my ($cert, $suite, %args) = @_;

    my $name = "$args{protocol}, $suite, $cert";
    my $c = $t->client(uri => "/$cert", keepalive => 1, %args);

    ok($c->handshake(), $name) or diag($c->error());
    is($c->cipher(), $suite, "$name: suite");

    # other workers may receive the following POSTs

    $c->http_client()->{keepalive} = 0;

    my $r = $c->get('/echo');
    like($r ? $r->body() : $c->error(),
         qr/^X-Protocol: $args{protocol}\nX-Cipher: \Q$suite\E$/m,
         "$name: GET");

    my $body = pattern(50_000);
    $r = $c->http(Test::Atls::Client::format_request('POST', '/body', $body));
    is($r ? md5_hex($r->body()) : $c->error(), md5_hex($body), "$name: POST");

    my $right = 0;
    for (1 .. 5) {
        $r = $c->get("/echo/$_");
        $right++ if $r && $r->body() =~ m!^GET /echo/$_ !;
    }
    is($right, 5, "$name: requests");

    $c->close_notify();
    ok($c->last_response()->status() == 200 && !defined $c->cookie(),
       "$name: closed");
}


sub config_error {
    my ($line) = @_;

    return $t->config_error(http_conf(<<"EOC"));
server {
    listen 127.0.0.1:%%PORT_0%%;

    location /atls {
        atls on;
        %%CERTIFICATE_ec%%
        $line
    }
}
EOC
}
