#!/usr/bin/perl

# Handshakes: TLS 1.3 and 1.2, RSA and ECDSA certificates, one of them or both,
# encrypted keys, HelloRetryRequest.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw( sha256 );
use Net::SSLeay;
use Test::More;

use Test::Atls;

use constant SET_SIGALGS_LIST => 98;    # SSL_CTRL_SET_SIGALGS_LIST

my $t = Test::Atls->new();

$t->make_cert('ca', is_ca => 1);
$t->make_cert('ec', type => 'ec', ca => 'ca', san => 'DNS:localhost');
$t->make_cert('rsa', type => 'rsa', ca => 'ca', san => 'DNS:localhost');
$t->make_cert('secret', type => 'rsa', ca => 'ca', password => 'open sesame');
$t->write_file('passwords', "not this one\nopen sesame\n");

$t->write_http(<<'EOC');
server {
    listen 127.0.0.1:%%PORT_0%%;

    %%CERTIFICATE_ec%%

    location /ec {
        atls on;
        return 200 "$atls_protocol $atls_cipher";
    }

    location /rsa {
        atls on;
        %%CERTIFICATE_rsa%%
        return 200 "$atls_protocol $atls_cipher";
    }

    location /both {
        atls on;
        %%CERTIFICATE_ec%%
        %%CERTIFICATE_rsa%%
        return 200 "$atls_protocol $atls_cipher";
    }

    location /secret {
        atls on;
        %%CERTIFICATE_secret%%
        atls_password_file %%TESTDIR%%/passwords;
        return 200 "$atls_protocol $atls_cipher";
    }

    location /curve {
        atls on;
        atls_ecdh_curve secp384r1;
        return 200 "$atls_protocol $atls_cipher";
    }

    location /tls12 {
        atls on;
        atls_protocols TLSv1.2;
        return 200 "$atls_protocol $atls_cipher";
    }
}
EOC

$t->run();


# each version with each certificate, which is verified by the client

for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
    for my $cert (qw( ec rsa )) {
        served("$protocol, $cert", $cert, uri => "/$cert",
               protocol => $protocol, ca => $t->path('ca.crt'));
    }
}


# both certificates: selected by the client

served('TLS 1.3, both: ECDSA', 'ec', uri => '/both', protocol => 'TLSv1.3',
       setup => sigalgs('ECDSA+SHA256'));
served('TLS 1.3, both: RSA', 'rsa', uri => '/both', protocol => 'TLSv1.3',
       setup => sigalgs('RSA-PSS+SHA256:RSA+SHA256'));

served('TLS 1.2, both: ECDSA by the suite', 'ec', uri => '/both',
       protocol => 'TLSv1.2', ciphers => 'ECDHE-ECDSA-AES128-GCM-SHA256');
served('TLS 1.2, both: RSA by the suite', 'rsa', uri => '/both',
       protocol => 'TLSv1.2', ciphers => 'ECDHE-RSA-AES128-GCM-SHA256');
served('TLS 1.2, both: RSA by the algorithms', 'rsa', uri => '/both',
       protocol => 'TLSv1.2', setup => sigalgs('RSA+SHA256'));


# versions: the highest one supported by both sides

is(served('both versions', 'ec', uri => '/ec')->protocol(), 'TLSv1.3',
   'the higher version');
is(served('client up to TLS 1.2', 'ec', uri => '/ec', max => 'TLSv1.2')
   ->protocol(), 'TLSv1.2', 'the only version of the client');
is(served('server with TLS 1.2 only', 'ec', uri => '/tls12')->protocol(),
   'TLSv1.2', 'the only version of the server');


served('encrypted key', 'secret', uri => '/secret');


# HelloRetryRequest: the client has sent a key share of another curve

my $retry = sha256('HelloRetryRequest');
my $c = $t->client(uri => '/curve', protocol => 'TLSv1.3',
                   groups => 'X25519:P-384');

$c->handshake_step();
my $r = $c->exchange($c->tls_out());

like($r->body(), qr/\Q$retry\E/, 'HelloRetryRequest');
like($r->header('Set-Cookie') || '', qr/^atls=.+/, 'its cookie');

my $cookie = $c->cookie();

ok($c->handshake(), 'handshake after it') or diag($c->error());
is($c->posts(), 3, 'a flight more');
is($c->cookie(), $cookie, 'the cookie stays');
is($c->get('/')->body(), 'TLSv1.3 TLS_AES_256_GCM_SHA384', 'a request');

# the curve of the first key share

$c = served('curve in the first share', 'ec', uri => '/curve',
            protocol => 'TLSv1.3', groups => 'P-384');
is($c->posts(), 3, 'no flight more, and a request');

served('curve with TLS 1.2', 'ec', uri => '/curve', protocol => 'TLSv1.2',
       groups => 'X25519:P-256:P-384');

$t->done_testing();


sub sigalgs {
    my ($list) = @_;

    return sub {
        Net::SSLeay::ctrl($_[1], SET_SIGALGS_LIST, 0, $list)
            or die "sigalgs $list\n";
    };
}


# A handshake and a request.  The client and the server have the same
# parameters.

sub served {
    my ($name, $cert, %args) = @_;

    my $c = $t->client(%args);

    ok($c->handshake(), $name) or diag($c->error());
    is($c->server_cert(), "/CN=$cert by /CN=ca", "$name: certificate");

    my $r = $c->get('/');
    is($r && $r->body(), $c->protocol() . ' ' . $c->cipher(),
       "$name: request");

    return $c;
}
