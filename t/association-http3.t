#!/usr/bin/perl

# Associations with HTTP/3: by OpenSSL's s_client, which has QUIC since 3.2.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Association;

plan(skip_all => 'openssl has no QUIC')
    if `openssl s_client -help 2>&1` !~ /-quic/;

my $t = Test::Atls->new(workers => 1);

if (!$t->has_option('http_v3_module')) {
    pass('nginx has no HTTP/3');
    $t->done_testing();
    exit;
}

# s_client ends with the connection, by the timeout, which is also that for any
# pause of either side before the request

$t->write_http(endpoints() . accepting(
    1, '[$server_protocol|$atls_association|$atls_client_verify]',
    listen => 'quic', other => <<'EOC'));
    ssl_verify_client optional;
    ssl_client_certificate %%TESTDIR%%/localhost.crt;
    keepalive_timeout 4s;
EOC

$t->run();

# HEADERS: GET https://localhost/

my $headers = "\0\0\xd1\xd7\xc1\x50\x09localhost";
my $request = "\x01" . chr(length $headers) . $headers;

my $a = obtain($t);

for ([ 'by the association', '[HTTP/3.0|on|NONE]' ],
     [ 'not a second time', '[HTTP/3.0||]' ])
{
    my ($name, $expected) = @$_;
    my $r = http3();

    like($r->{out}, qr/\Q$expected\E/, $name) or diag($r->{err});
}

$t->done_testing();


# s_client sends the request on the first stream, which may be one of the server
# that cannot be used for it.

sub http3 {
    my $r;

    for (1 .. 50) {
        $r = direct($t, $t->port(1), $a, request => $request,
                    options => [ '-quic', '-alpn', 'h3' ]);

        last if $r->{out} =~ /\[HTTP/ || $r->{err} !~ /stream recv only/;
    }

    return $r;
}
