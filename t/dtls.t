#!/usr/bin/perl

# DTLS 1.2 in bodies: sessions as with TLS.  Each POST has a connection of its
# own, and is received by any worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use List::Util qw( max );
use MIME::Base64 qw( encode_base64 );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Stack;
use Test::Atls::Status qw( status );

my $KEY = '00112233445566778899aabbccddeeff';

my $t = Test::Atls->new();

$t->make_cert('client', type => 'ec');
$t->make_cert('rsa', type => 'rsa');
$t->write_file('keys', "device:$KEY\n");

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_certificate      %%TESTDIR%%/rsa.crt;
atls_certificate_key  %%TESTDIR%%/rsa.key;
atls_handshake_timeout 60s;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    atls_protocols  TLSv1.2 TLSv1.3 DTLSv1.2;

    location = /.well-known/atls {
        atls on;
    }

    location = /suites {
        atls on;
        atls_ciphers AESGCM:AESCCM:AESCCM8:CHACHA20:!aNULL:!PSK:@SECLEVEL=0;
    }

    location = /psk {
        atls on;
        atls_psk_file %%TESTDIR%%/keys;
        atls_ciphers AESGCM:AESCCM:AESCCM8:CHACHA20:@SECLEVEL=0;
    }

    location = /verified {
        atls on;
        atls_client_certificate %%TESTDIR%%/client.crt;
        atls_verify_client on;
    }

    location /resource/ {
        atls on;
        atls_session_tracking location;
    }

    location = /only {
        atls on;
        atls_protocols DTLSv1.2;
    }

    location = /never {
        atls on;
        atls_protocols TLSv1.3;
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/body;
    }

    location = /raw-refused {
        atls on;
        atls_payload raw;
        return 404;
    }

    location = /status {
        atls_status;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        client_max_body_size 0;
    }

    location = /variables {
        return 200 "$atls_protocol $atls_cipher $atls_client_s_dn $atls_psk_identity $atls_session_reused $atls_session_requests";
    }

    location = /exporter {
        return 200 $atls_exporter;
    }
}

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  tls.example;

    location = /.well-known/atls {
        atls on;
    }
}
EOC

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

# sessions

my $c = established('a session');

is($c->protocol(), 'DTLSv1.2', 'protocol');
like($c->get('/variables')->body(), qr/^DTLSv1\.2 ECDHE-\S+   \. 1$/,
     'variables');
like($c->get('/variables')->body(), qr/ 2$/, 'another request');
ok(!$c->{expired}, 'the cookie is not expired');
is($c->get('/exporter')->body(), encode_base64($c->exporter(), ''),
   'keying material');

my $again = client(session => $c->session());
ok($again->handshake(), 'resumed') or diag($again->error());
like($again->get('/variables')->body(), qr/ r 1$/, 'resumed session');

# OpenSSL answers a TLS session of a ticket with a full handshake

my $tls = Test::Atls::Client->new(port => $t->port(0));
ok($tls->handshake() && $tls->get('/variables')->body() =~ /^TLSv1\.3/,
   'TLS at the same endpoint');

is(status($t)->{handshake_protocols_total}{'DTLSv1.2'}, 2,
   'sessions are counted by protocol');

for my $suite (qw( ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384
                   ECDHE-RSA-CHACHA20-POLY1305 ECDHE-ECDSA-AES128-CCM
                   ECDHE-ECDSA-AES256-CCM8 ))
{
    my $s = established($suite, uri => '/suites',
                        ciphers => "$suite:\@SECLEVEL=0");
    like($s->get('/variables')->body(), qr/^DTLSv1\.2 $suite /, $suite);
}

for my $suite (qw( PSK-AES128-CCM8 PSK-AES128-GCM-SHA256
                   ECDHE-PSK-CHACHA20-POLY1305 ))
{
    my $s = established($suite, uri => '/psk', psk => [ 'device', $KEY ],
                        ciphers => "$suite:\@SECLEVEL=0");
    like($s->get('/variables')->body(), qr/^DTLSv1\.2 $suite  device /,
         $suite);
}

$c = established('client certificate', uri => '/verified',
                 cert => $t->path('client.crt'), key => $t->path('client.key'));
like($c->get('/variables')->body(), qr/ CN=client /, 'client certificate');

$c = established('no certificate', uri => '/verified');
is($c->get('/variables')->status(), 400, 'no certificate');

$c = established('location', uri => '/resource/');
like($c->location(), qr!^/resource/.{10}!, 'a resource');
is($c->get('/big?size=10')->body(), pattern(10), 'request to it');

# requests

$c = established('requests');

my $r = $c->get('/big?size=300000');
is($r->status(), 200, 'long response');
is(md5_hex($r->body()), pattern_md5(300000), 'its body');

is(max(sizes($c->last_response())), 1232, 'records fit into a datagram');

$r = $c->http(Test::Atls::Client::format_request('POST', '/body',
                                                 'x' x 40000));
ok($r && $r->body() eq 'x' x 40000, 'request in several records');

$c->write_plain(join '', map {
    Test::Atls::Client::format_request('GET', "/big?size=$_", '')
} 1, 2);
$c->exchange($c->tls_out());
my @responses = Test::Atls::Response::parse_responses($c->read_plain(), 'GET',
                                                      'GET');
is(scalar(grep { $_->done() } @responses), 1, 'one request a POST');
like($responses[0]->header('Connection'), qr/close/i, 'and the client is told');

$c->write_plain("GET / HTTP/1.1\r\nHost: local");
$r = $c->exchange($c->tls_out());
is($r->status(), 200, 'a part of a request');
is($r->body(), '', 'is not answered');
is($c->get('/big?size=1')->status(), 200, 'and does not remain');

$r = $c->get('/variables', Connection => 'upgrade', Upgrade => 'echo');
is($r->status(), 501, 'no upgrade');

$c = established('raw', uri => '/raw');
is($c->request('hello'), 'hello', 'raw');
is($c->request('again'), 'again', 'raw again');

$c = established('raw refused', uri => '/raw-refused');
$c->request('hello');
is($c->last_response()->status(), 502, 'raw: another status');
$c->request('hello');
is($c->last_response()->status(), 502, 'the session is kept');

# the end

$c = established('close_notify');

my $cookie = 'atls=' . $c->cookie();

$r = $c->close_notify();
$c->read_plain();
ok($r && $c->closed(), 'close_notify is answered');
is($c->post('', cookie => $cookie)->status(), 410, 'the session has ended');
like($t->read_log('error.log'), qr/atls session \w+ ended: close-notify/,
     'logged');

$c = established('close_notify in a POST with a request', uri => '/raw');
$cookie = 'atls=' . $c->cookie();

$c->write_plain('hello');
$c->tls_shutdown();
$c->exchange($c->tls_out());
is($c->read_plain(), 'hello', 'is answered');
is($c->post('', cookie => $cookie)->status(), 410, 'and ends the session');

# without DTLS

$c = client(uri => '/never');
ok(!$c->handshake() && $c->last_response()->status() == 400, 'not enabled');
like($c->last_response()->body(), qr/not-tls/, 'problem');

$c = client(sni => 'tls.example');
ok(!$c->handshake() && "@{[ $c->alerts() ]}" eq '70',
   'not enabled for a name') or diag("@{[ $c->alerts() ]}", $c->error());

$c = established('DTLS only', uri => '/only');
is($c->get('/big?size=1')->status(), 200, 'DTLS only');

$tls = Test::Atls::Client->new(port => $t->port(0), uri => '/only');
ok(!$tls->handshake(), 'TLS is refused there');

$t->done_testing();


sub client {
    return Test::Atls::Stack->new('openssl', port => $t->port(0),
                                  keepalive => 0, protocol => 'DTLSv1.2', @_);
}


sub established {
    my ($name, @args) = @_;

    my $new = client(@args);

    ok($new->handshake(), "$name: handshake") or diag($new->error());

    return $new;
}


# The sizes of the records in a response.

sub sizes {
    my ($response) = @_;

    my $body = $response->body();
    my @sizes;

    while ($body ne '') {
        push @sizes, 13 + unpack 'x11 n', $body;
        substr $body, 0, $sizes[-1], '';
    }

    return @sizes;
}
