#!/usr/bin/perl

# WebSocket in atls forward over HTTP/1.1 and HTTP/2, and through real proxies.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Middlebox;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Site;
use Test::Atls::WebSocket;
use Test::Atls::WebSocketClients qw( talks_ok websocket_clients );

my $t = Test::Atls::Site->new(workers => 2);

my ($listen_h2, $http2) = $t->http2();
my $h2 = $t->has_option('http_v2_module');

$t->make_cert('outer', san => 'DNS:localhost,IP:127.0.0.1');

$t->serve(<<'EOC', endpoint => 'atls_poll_timeout 30s;', servers => <<"EOC");
location ~ ^/(echo|push)$ {
    proxy_pass http://127.0.0.1:%%PORT_2%%;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
}
EOC
log_format protocols '\$server_protocol';

server {
    listen 127.0.0.1:%%PORT_3%% ssl $listen_h2;
    $http2
    %%SSL_CERTIFICATE_outer%%
    access_log %%TESTDIR%%/protocols.log protocols;

    location = /.well-known/atls {
        atls on;
        atls_poll_timeout 30s;
    }

    location ~ ^/(echo|push)\$ {
        access_log off;
        proxy_pass http://127.0.0.1:%%PORT_2%%;
        proxy_http_version 1.1;
        proxy_set_header Upgrade \$http_upgrade;
        proxy_set_header Connection upgrade;
    }
}
EOC

my $http = $t->port(0);
my $https = 'https://localhost:' . $t->port(3) . '/.well-known/atls';

Test::Atls::WebSocket->serve($t, $t->port(2));

subtest('direct' => \&direct);
subtest('mitmproxy', \&through, 'mitmproxy', 1, trust => $t->path('outer.crt'));
subtest('squid', \&through, 'squid', 1, trust => $t->path('outer.crt'),
        scanner => $t->port(10));
subtest('haproxy', \&through, 'haproxy', 0, to => $http, tap => $t->port(11));
subtest('nginx', \&through, 'nginx', 0, to => $http, tap => $t->port(12));

$t->done_testing();


sub direct {
    messages('--via', $https);
    like($t->read_log('protocols.log'), $h2 ? qr!HTTP/2! : qr!HTTP/1!,
         'version of HTTP');
    done_testing();
}


# A missing program is a failure, unless there is no package to install.

sub through {
    my ($kind, $intercepts, %args) = @_;

    if (my $why = Test::Atls::Middlebox->missing($kind)) {
        diag("$kind: not tested, $why");
        plan(skip_all => $why);
    }

    my $m = eval { Test::Atls::Middlebox->start($t, $kind, %args,
                                                port => $t->port(20)) };

    ok($m, "$kind runs") or diag($@);

    if ($m) {
        messages($intercepts
                 ? ('-x', 'http://127.0.0.1:' . $m->port(), '--via', $https)
                 : ('--via', 'https://localhost:' . $m->port()
                             . '/.well-known/atls'));
        $m->stop();
    }

    done_testing();
}


sub messages {
    my $forward = $t->forward(@_);
    my $ws = connected($forward, '/push?n=30&ms=100');
    my $n = 0;

    while ($n < 30) {
        my ($type, $text) = $ws->receive() or last;
        last if $text ne ++$n;
        $ws->send(text => "echo of $n") if $n == 10;
    }

    is($n, 30, 'messages of the server');
    gets($ws, text => 'echo of 10', 'a message in between');
    closes($ws);

    $ws = connected($forward, '/echo');

    for (1 .. 20) {
        $ws->send(text => "message $_");
        gets($ws, text => "message $_", "echo $_");
    }

    $ws->send(binary => pattern(300_000));
    gets($ws, binary => pattern(300_000), 'a large one');
    closes($ws);

    talks_ok($t, $_, 'ws://127.0.0.1:' . $forward->port(), messages => 10_000,
             pushed => 10, ms => 100) for websocket_clients();

    is($forward->stop()->{code}, 0, 'the end');
}


sub connected {
    my ($forward, $uri) = @_;

    my $ws = Test::Atls::WebSocket->connect($forward->port(), $uri);

    ok($ws->accepted(), "$uri: accepted") or diag($ws->head());

    return $ws;
}


sub gets {
    my ($ws, $type, $bytes, $what) = @_;

    my ($type2, $bytes2) = $ws->receive();

    ok(defined $type2 && $type2 eq $type && $bytes2 eq $bytes, $what);
}


sub closes {
    my ($ws) = @_;

    $ws->send(close => pack 'n', 1000);
    gets($ws, close => pack('n', 1000), 'the close frame');
    ok($ws->ended(), 'the end');
}
