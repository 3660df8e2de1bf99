#!/usr/bin/perl

# What nginx -t says of a configuration, and which of two values it takes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Client;

my $t = Test::Atls->new();

$t->make_cert('localhost');
$t->make_cert('rsa', type => 'rsa');
$t->make_cert('locked', password => 'open sesame');
$t->write_file('passwords', "wrong\nopen sesame\n");
$t->write_file('wrong', "wrong\n");
$t->write_file('garbage', "no certificate\n");
$t->write_file('plain/index.html', "plain\n");

my $cert = "atls_certificate localhost.crt;\n"
           . "atls_certificate_key localhost.key;\n";


# nginx -t with these directives in http, server and a location with atls on.

sub conf {
    my ($http, $server, $location) = @_;

    return <<"EOC";
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%
    $http

    server {
        listen 127.0.0.1:%%PORT_0%%;
        $server

        location /endpoint {
            atls on;
            $location
        }
    }
}
EOC
}


sub good {
    my ($name, @blocks) = @_;

    is($t->config_error(conf(map { $_ || '' } @blocks[0 .. 2])), '', $name);
}


sub bad {
    my ($name, $re, @blocks) = @_;

    like($t->config_error(conf(map { $_ || '' } @blocks[0 .. 2])), $re, $name);
}


# certificates

good('certificate in http', $cert);
good('certificate in server', '', $cert);
good('certificate in location', '', '', $cert);
good('two certificates', '', '', $cert . "atls_certificate rsa.crt;\n"
                                       . "atls_certificate_key rsa.key;\n");

bad('no certificate', qr!no "atls_certificate" .* location "/endpoint"!);
bad('no key', qr!no "atls_certificate_key" .*localhost\.crt.*"/endpoint"!,
    '', '', 'atls_certificate localhost.crt;');
bad('no key for the second one', qr!no "atls_certificate_key" .*rsa\.crt!,
    '', '', $cert . 'atls_certificate rsa.crt;');
bad('a key of another certificate', qr/key values mismatch|X509_check_private/,
    'atls_certificate localhost.crt; atls_certificate_key locked.key;',
    'atls_password_file passwords;');
bad('no such file', qr/missing\.crt.*No such file/,
    'atls_certificate missing.crt; atls_certificate_key localhost.key;');
bad('no such key', qr/missing\.key.*No such file/,
    'atls_certificate localhost.crt; atls_certificate_key missing.key;');
bad('no certificate in the file', qr/garbage/,
    'atls_certificate garbage; atls_certificate_key localhost.key;');

my $locked = 'atls_certificate locked.crt; atls_certificate_key locked.key;';

good('an encrypted key', $locked . 'atls_password_file passwords;');
bad('an encrypted key, wrong password', qr/locked\.key/,
    $locked . 'atls_password_file wrong;');
bad('no password file', qr/missing.*No such file/,
    $locked . 'atls_password_file missing;');
bad('two password files', qr/"atls_password_file" directive is duplicate/,
    $locked . 'atls_password_file passwords; atls_password_file wrong;');

# atls, atls_payload

bad('atls elsewhere', qr/"atls" directive is not allowed/, $cert . 'atls on;');
bad('atls in a server', qr/"atls" directive is not allowed/, $cert, 'atls on;');
bad('atls twice', qr/"atls" directive is duplicate/, $cert, '', 'atls on;');
bad('atls perhaps', qr/invalid value "perhaps" in "atls"/, $cert,
    'location /a { atls perhaps; }');
bad('atls_payload other', qr/invalid value "other"/, $cert, '',
    'atls_payload other;');
bad('atls_payload raw without a handler', qr!atls_payload raw.*"/endpoint"!,
    $cert, '', 'atls_payload raw;');
bad('the same, inherited', qr!atls_payload raw.*"/endpoint"!,
    $cert . 'atls_payload raw;');
good('atls_payload raw with a handler', $cert, '',
     'atls_payload raw; proxy_pass http://127.0.0.1:1;');

# atls_zone

good('atls_zone', $cert . 'atls_zone sessions:1m;');
good('a small one', $cert . 'atls_zone sessions:32k;');
good('after the server', '', 'atls_certificate localhost.crt;',
     'atls_certificate_key localhost.key;');
bad('atls_zone without size', qr/invalid zone "sessions"/,
    $cert . 'atls_zone sessions;');
bad('atls_zone without name', qr/invalid zone ":1m"/,
    $cert . 'atls_zone :1m;');
bad('atls_zone with a bad size', qr/invalid zone size "sessions:many"/,
    $cert . 'atls_zone sessions:many;');
bad('atls_zone with no size', qr/invalid zone size|too small/,
    $cert . 'atls_zone sessions:;');
bad('too small an atls_zone', qr/zone "sessions:16k" is too small/,
    $cert . 'atls_zone sessions:16k;');
bad('atls_zone twice', qr/"atls_zone" directive is duplicate/,
    $cert . 'atls_zone one:1m; atls_zone two:1m;');
bad('atls_zone in a server', qr/"atls_zone" directive is not allowed/,
    $cert, 'atls_zone one:1m;');
bad("a zone of another module's", qr/zone "shared"/,
    $cert . 'atls_zone shared:1m; '
          . 'limit_req_zone $remote_addr zone=shared:1m rate=1r/s;');

# a zone after the servers that use it

is($t->config_error(<<"EOC"), '', 'atls_zone after the servers');
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%
    $cert

    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /endpoint { atls on; }
    }

    atls_zone sessions:1m;
}
EOC

# numbers

for my $size (qw( 511 17k 16385 0 )) {
    bad("atls_buffer_size $size", qr/a record holds 512 to 16384 bytes/,
        $cert . "atls_buffer_size $size;");
}

bad('atls_buffer_size many', qr/"atls_buffer_size" directive invalid value/,
    $cert . 'atls_buffer_size many;');
good("atls_buffer_size $_", $cert . "atls_buffer_size $_;")
    for qw( 512 4k 16k );

for my $name (qw( atls_session_timeout atls_session_lifetime
                  atls_handshake_timeout ))
{
    bad("$name 0", qr/"$name" directive .*must be/, $cert . "$name 0;");
    bad("$name soon", qr/"$name" directive invalid value/,
        $cert . "$name soon;");
    good("$name 1d", $cert . "$name 1d;");
}

good('atls_handshake_timeout 500ms', $cert . 'atls_handshake_timeout 500ms;');
bad('atls_max_handshakes many', qr/invalid number/,
    $cert . 'atls_max_handshakes many;');

# what TLS is made of

good('atls_protocols', $cert . 'atls_protocols TLSv1.2;');
bad('atls_protocols TLSv1.1', qr/invalid value "TLSv1\.1"/,
    $cert . 'atls_protocols TLSv1.1 TLSv1.2;');
bad('atls_protocols SSLv3', qr/invalid value "SSLv3"/,
    $cert . 'atls_protocols SSLv3;');

good('AEAD suites', $cert . 'atls_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;');
bad('a suite with CBC', qr/"ECDHE-ECDSA-AES128-SHA" .*"atls_ciphers" \S+ in \S+:\d+/s,
    $cert . 'atls_ciphers ECDHE+AESGCM:ECDHE-ECDSA-AES128-SHA;');
bad('nginx\'s default for ssl_ciphers', qr/is not supported/,
    $cert . 'atls_ciphers HIGH:!aNULL:!MD5;');
bad('no such suite', qr/no cipher match/, $cert . 'atls_ciphers NONESUCH;');

good('atls_ecdh_curve', $cert . 'atls_ecdh_curve X25519:prime256v1;');
bad('no such curve', qr/nonesuch/, $cert . 'atls_ecdh_curve nonesuch;');
bad('no such dhparam', qr/missing.*No such file/,
    $cert . 'atls_dhparam missing;');
good('atls_conf_command',
     $cert . 'atls_conf_command Options PrioritizeChaCha;');
bad('no such command', qr/Nonesuch/,
    $cert . 'atls_conf_command Nonesuch on;');

# a location that is off asks for nothing

is($t->config_error(<<'EOC'), '', 'atls off, no certificate');
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%

    server {
        listen 127.0.0.1:%%PORT_0%%;

        location / {
            atls off;
            atls_payload raw;
            atls_certificate missing.crt;
        }
    }
}
EOC


# the closest value is the one

$t->write_conf(<<'EOC');
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%

    atls_certificate rsa.crt;
    atls_certificate_key rsa.key;
    atls_protocols TLSv1.2;

    server {
        listen 127.0.0.1:%%PORT_0%%;

        location /http {
            atls on;
        }

        location /location {
            atls on;
            atls_certificate localhost.crt;
            atls_certificate_key localhost.key;
            atls_protocols TLSv1.3;
        }

        location / {
            root plain;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_1%%;

        atls_certificate locked.crt;
        atls_certificate_key locked.key;
        atls_password_file passwords;
        atls_protocols TLSv1.2 TLSv1.3;

        location /server {
            atls on;

            location /server/nested {
                return 200 "plain\n";
            }
        }

        location / {
            atls off;
            return 200 "inner\n";
        }
    }
}
EOC

$t->run();

for my $case ([ 0, '/http', 'rsa', 'TLSv1.2' ],
              [ 0, '/location', 'localhost', 'TLSv1.3' ],
              [ 1, '/server', 'locked', 'TLSv1.3' ])
{
    my ($port, $uri, $name, $protocol) = @$case;
    my $c = Test::Atls::Client->new(port => $t->port($port), uri => $uri);

    ok($c->handshake(), $uri) or diag($c->error());
    like($c->server_cert(), qr/^\/CN=$name by/, "$uri: certificate");
    is($c->protocol(), $protocol, "$uri: protocol");
    is($c->get('/')->status(), 200, "$uri: a request");
}

like(http_raw($t->port(1), "GET /server/nested HTTP/1.0\r\n\r\n"),
     qr/^plain$/m, 'atls on is not inherited');


# the module loaded, and no use made of it

my $unused = Test::Atls->new();

$unused->write_conf(<<'EOC');
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%

    server {
        listen 127.0.0.1:%%PORT_0%%;

        location / {
            return 200 "[$atls$atls_protocol$atls_session_id]\n";
        }
    }
}
EOC

$unused->run();

like(http_raw($unused->port(0), "GET / HTTP/1.0\r\n\r\n"), qr/^\[\]$/m,
     'the module unused');
ok($unused->reload(), 'and after a reload');

# then used, after a reload

$unused->make_cert('localhost');
$unused->write_conf(conf($cert, 'location / { return 200 "inner\n"; }', ''));
ok($unused->reload(), 'a reload that begins to use it');

{
    my $c = Test::Atls::Client->new(port => $unused->port(0),
                                    uri => '/endpoint');

    ok($c->handshake(), 'handshake') or diag($c->error());
    is($c->get('/')->body(), "inner\n", 'request');
}

$unused->finish();
$t->done_testing();
