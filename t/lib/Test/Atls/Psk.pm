package Test::Atls::Psk;

# Servers with pre-shared keys, and clients that use them.
#
#     use Test::Atls::Psk;                    # $t runs
#     is_served('a key', qr/\|PSK\|device\|/, 'gnutls', '/only',
#               protocol => 'TLSv1.3', @WITH_PSK);
#     no_keys_logged();                       # stops $t
#     $t->done_testing();

use strict;
use warnings;

use Exporter qw( import );
use MIME::Base64 qw( encode_base64 );
use Test::More;

use Test::Atls;

our @EXPORT = qw(
    @PROTOCOLS $MARK $KEY @IDENTITIES @WITH_PSK $t device client seen
    is_served is_refused gone no_keys_logged
);

our @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

# All keys begin with this, so that they can be searched for in logs.

our $MARK = 'c0ffee';
our $KEY = $MARK . '00112233445566778899aabbcc';

# An identity can contain any bytes except null, and ends at the last colon.

our @IDENTITIES = ('device', 'urn:dev:mac:0024befffe804ff1', 'a b',
                   "d\xc3\xa9j\xc3\xa0 vu", ':', '.', 'x' x 128);

our @WITH_PSK = (psk => [ 'device', $KEY ]);

our $t = Test::Atls->new(log_level => 'debug');

$t->make_cert('localhost', type => 'rsa');
$t->make_cert('client');

$t->write_file('psk', join '', "# devices\r\n\r\n",
                               map { "$_:$KEY\r\n" } @IDENTITIES);
$t->write_file('many', join '', map { device($_) . "\n" } 1 .. 10_000);
$t->write_file('a', "device:${MARK}aa" . '00' x 12 . "\n");
$t->write_file('b', "device:${MARK}bb" . '00' x 12);

$t->make_dhparam('dhparam.pem');

# Since OpenSSL 3.2, suites with a short tag require security level 0.

$t->write_http(<<'EOC');
log_format psk '$atls_client_verify $atls_psk_identity';

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    atls_psk_file psk;
    atls_dhparam dhparam.pem;
    atls_conf_command Ciphersuites TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256;

    location = /both {
        atls on;
        %%CERTIFICATE%%
        atls_ciphers ECDHE+AESGCM:PSK+AESGCM:PSK+CHACHA20:PSK+AESCCM:PSK+AESCCM8:@SECLEVEL=0;
    }

    location = /default {
        atls on;
        %%CERTIFICATE%%
    }

    location = /only {
        atls on;
    }

    location = /verify {
        atls on;
        %%CERTIFICATE%%
        atls_verify_client on;
        atls_client_certificate client.crt;
    }

    location = /retry {
        atls on;
        atls_ecdh_curve secp384r1;
    }

    location = /many {
        atls on;
        atls_psk_file many;
    }

    location / {
        access_log %%TESTDIR%%/access.log psk;
        add_header X-Worker $pid;
        return 200 "$atls_protocol|$atls_cipher|$atls_client_verify|$atls_psk_identity|$atls_session_reused";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name default.example;

    %%CERTIFICATE%%

    location = /.well-known/atls {
        atls on;
        return 200 "default|$atls_client_verify|$atls_psk_identity";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name a.example;

    atls_psk_file a;

    location = /.well-known/atls {
        atls on;
        return 200 "a|$atls_client_verify|$atls_psk_identity";
    }
}

# other keys, with the endpoint of the default server

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name b.example;

    atls_psk_file b;
}
EOC

$t->run();


# A line of the file "many".

sub device {
    my ($n) = @_;

    return sprintf "urn:dev:%d:%s%026x", $n, $MARK, $n;
}


# With TLS 1.2, clients prefer suites with a certificate.  Therefore, a client
# with a key offers only suites with keys.

sub client {
    my ($stack, $uri, %args) = @_;

    my $suites = $stack eq 'openssl' ? 'ciphers' : 'priority';

    $args{$suites} ||= $stack eq 'openssl' ? 'PSK' : 'NORMAL:-KX-ALL'
        if $args{psk} && $args{protocol} eq 'TLSv1.2';

    return $t->stack($stack, uri => $uri, keepalive => 0, %args);
}


sub seen {
    my ($c) = @_;

    my $r = $c->get('/');

    return $r ? $r->body() : $c->error();
}


sub is_served {
    my ($name, $expected, $stack, $uri, @args) = @_;

    my $c = client($stack, $uri, @args);

    ok($c->handshake(), "$name: handshake") or diag($c->error());

    if (ref $expected) {
        like(seen($c), $expected, "$name: served");
    } else {
        is(seen($c), $expected, "$name: served");
    }

    return $c;
}


sub is_refused {
    my ($name, $alert, $stack, $uri, @args) = @_;

    my $c = client($stack, $uri, @args);
    my $cookie;

    # the cookie set by the first response

    $c->handshake_step();
    $c->exchange($c->tls_out());
    $cookie = $c->cookie();

    ok(!$c->handshake() && $c->state() eq 'failed', "$name: refused");
    like($c->alert(), $alert, "$name: alert") if defined $alert;
    is($c->cookie(), undef, "$name: no session");
    gone($c, $cookie, $name) if defined $cookie;
}


sub gone {
    my ($c, $cookie, $name) = @_;

    my $r = $c->post("\x17\x03\x03\x00\x20" . 'x' x 32,
                     cookie => "atls=$cookie");

    is($r && $r->status(), 410, "$name: the session is gone");
}


# Stops nginx.

sub no_keys_logged {
    $t->stop();

    my $log = join '', map { $t->read_file($_) }
                       qw( error.log access.log stderr );

    unlike($log, qr/$MARK/i, 'no key in hexadecimal');
    unlike($log, qr/\Q@{[ pack 'H*', $MARK ]}\E/, 'none in bytes');
    unlike($log, qr/\Q@{[ encode_base64(pack('H*', $MARK), '') ]}\E/,
           'none in base64');
    like($log, qr/\[debug\]/, 'at level debug') if $t->has_option('debug');
}


1;
