# Order of ciphers: atls_prefer_server_ciphers.

use strict;
use warnings;

use Test::More;

use Test::Atls;


my $t = Test::Atls->new(workers => 1);

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_protocols        TLSv1.2;
atls_ciphers          ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE+AESGCM;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /client {
        atls on;
        return 200 $atls_cipher;
    }

    location /server {
        atls on;
        atls_prefer_server_ciphers on;
        return 200 $atls_cipher;
    }

    location /command {
        atls on;
        atls_conf_command Options ServerPreference;
        return 200 $atls_cipher;
    }
}
EOC

my $GCM = 'ECDHE-ECDSA-AES128-GCM-SHA256';
my $CHACHA = 'ECDHE-ECDSA-CHACHA20-POLY1305';

$t->run();

is(cipher('/client'), $GCM, 'the client\'s, by default');
is(cipher('/server'), $CHACHA, 'the server\'s, if it says so');
is(cipher('/command'), $CHACHA, 'the server\'s, by a command');

$t->done_testing();


sub cipher {
    my ($uri) = @_;

    my $c = $t->client(uri => $uri, ciphers => "$GCM:$CHACHA");
    $c->handshake() or diag($c->error());

    my $r = $c->get('/');

    return $r && $r->body();
}
