#!/usr/bin/perl

# WebSocket in atls forward and atls tunnel --poll with other clients: ws of
# npm, and websockets of Python.  Many messages, and those of a server that
# sends in intervals.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Site;
use Test::Atls::WebSocket;
use Test::Atls::WebSocketClients qw( talks_ok websocket_clients );

my %MANY = (messages => 10_000, pushed => 30, ms => 100);

my $t = Test::Atls::Site->new(workers => 2);

$t->serve(<<'EOC', endpoint => 'atls_poll_timeout 30s;');
location = /tls12 {
    atls on;
    atls_protocols TLSv1.2;
    atls_poll_timeout 30s;
}

location ~ ^/(echo|push)$ {
    proxy_pass http://127.0.0.1:%%PORT_2%%;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
}
EOC

Test::Atls::WebSocket->serve($t, $t->port(2));

my $forward = $t->forward();
my $tls12 = $t->forward('/tls12');
my $tunnel = $t->tunnel('--poll');

for my $client (websocket_clients()) {
    my $forwarded = 'ws://127.0.0.1:';

    talks_ok($t, $client, $forwarded . $forward->port(), %MANY,
             name => 'forward');
    talks_ok($t, $client, $forwarded . $tls12->port(), %MANY,
             name => 'forward, TLS 1.2');
    talks_ok($t, $client, 'wss://localhost:' . $tunnel->port(), %MANY,
             name => 'tunnel', ca => $t->path('ca.crt'));
}

is($_->stop()->{code}, 0, 'the end') for $forward, $tls12, $tunnel;

$t->done_testing();
