#!/usr/bin/perl

# A handshake with an unsupported suite or group fails by an alert, and the log
# has its name.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;

use constant HANDSHAKE_FAILURE => 40;

my $t = Test::Atls->new();

plan(skip_all => 'nothing can be preloaded')
    if $ENV{TEST_NGINX_WRAPPER} || `ldd @{[ $t->binary() ]}` =~ /asan/;

my @cc = (split(' ', $ENV{CC} || 'cc'), qw( -shared -fPIC -O1 -Wall -Werror ),
          "$FindBin::Bin/bin/unsupported.c", '-o', $t->path('unsupported.so'),
          '-ldl');

system(@cc) == 0 or die "@cc failed\n";

$t->write_http(<<'EOC', main => 'env LD_PRELOAD; env ATLS_UNSUPPORTED;');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
        return 200 inner;
    }

    location /p384 {
        atls on;
        atls_ecdh_curve secp384r1;
        return 200 inner;
    }
}
EOC

{
    local $ENV{LD_PRELOAD} = $t->path('unsupported.so');
    local $ENV{ATLS_UNSUPPORTED} = $t->path('what');

    $t->run();
}

my %what = (group => qr/"RC4" is not supported/,
            'group after a retry' => qr/"RC4" is not supported/,
            suite => qr/"TLS_AES_256_GCM_SHA384" is not supported/,
            'suite of TLS 1.2'
                  => qr/"ECDHE-ECDSA-CHACHA20-POLY1305" is not supported/);

for my $what (sort keys %what) {
    my $c = $t->client(protocol => $what =~ /1\.2/ ? 'TLSv1.2' : 'TLSv1.3',
                       ciphers => 'ECDHE-ECDSA-CHACHA20-POLY1305',
                       ciphersuites => 'TLS_AES_256_GCM_SHA384',
                       $what =~ /retry/
                       ? (uri => '/p384', groups => 'P-256:P-384') : ());

    my $from = length $t->read_file('error.log');

    $t->write_file('what', $what);
    ok(!$c->handshake(), "$what: no handshake");
    unlink $t->path('what');

    is($c->posts(), $what =~ /retry/ ? 2 : 1, "$what: before ServerHello");
    is(join(' ', $c->alerts()), HANDSHAKE_FAILURE, "$what: alert");
    is($c->cookie(), undef, "$what: no session");
    like(substr($t->read_log('error.log'), $from), $what{$what},
         "$what: the log names it");

    $c = $t->client();
    ok($c->handshake(), 'others go on') or diag($c->error());
    is($c->get('/')->body(), 'inner', 'with a session');
}

$t->done_testing();
