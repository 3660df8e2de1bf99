#!/usr/bin/perl

# DTLS 1.2 records in bodies: sessions, with all that TLS sessions have.  Each
# POST has a connection of its own, and is received by any worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Stack;

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

atls_protocols TLSv1.2 TLSv1.3 DTLSv1.2;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_set_header X-Protocol $atls_protocol;
        proxy_set_header X-Cipher $atls_cipher;
    }
}
EOC

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

my $c = client();
ok($c->handshake(), 'handshake') or diag($c->error());
is($c->protocol(), 'DTLSv1.2');
my $r = $c->get('/');
ok($r) && is($r->status(), 200);
$t->done_testing();

sub client {
    return Test::Atls::Stack->new('openssl', port => $t->port(0), keepalive => 0,
                                  protocol => 'DTLSv1.2',
                                  ca => $t->path('localhost.crt'), @_);
}
