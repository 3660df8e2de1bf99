#!/usr/bin/perl

# Max-Age of the cookie, if the response of an upgraded connection begins before
# the connection waits for the next POST, after the lifetime of the session.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls;
use Test::Atls::Http qw( http_connect read_response send_all );
use Test::Atls::Slow qw( slow );
use Test::Atls::WebSocket;

my $LIFETIME = 4 * slow();      # seconds
my $IDLE = 100;                 # a cookie is sent again after a second
my $ENOUGH = 10_000;            # messages of four bytes, for all buffers

# a worker, which gets the POST and the output of the backend at the same time

my $t = Test::Atls->new(workers => 1);

$t->write_http(<<"EOC");
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /atls {
        atls on;
        atls_buffer_size 1k;
        atls_session_lifetime ${LIFETIME}s;
        atls_session_timeout ${IDLE}s;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_set_header Upgrade \$http_upgrade;
        proxy_set_header Connection upgrade;
    }
}
EOC

Test::Atls::WebSocket->serve($t, $t->port(1));

$t->run();

early($_) for qw( TLSv1.3 TLSv1.2 );

$t->done_testing();


sub early {
    my ($protocol) = @_;

    my $n = substr $protocol, -1;
    my $held = $t->path("held-$n");
    my $message = Test::Atls::WebSocket::frame(text => 'hello', 1);
    my ($c, $got);

    unlink $t->path('late');

    # another session, if the lifetime was over before the request

    for (1 .. 5) {
        $c = $t->established(uri => '/atls', protocol => $protocol);
        $got = $c->request(join "\r\n", "GET /held?id=$n&n=$ENOUGH HTTP/1.1",
                           'Host: localhost', 'Upgrade: websocket',
                           'Connection: upgrade', 'Sec-WebSocket-Key: x', '',
                           '');
        last if $got ne '';
    }

    like($got, qr!\AHTTP/1\.1 101 !, "$protocol: upgraded");

    $c->request($message);
    ok($t->wait_for(sub { -e $held }), "$protocol: a message");
    sleep $LIFETIME + 1;

    # nginx has accepted the connection

    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post(''));
    is(read_response($s)->status(), 200, "$protocol: a poll");

    my ($worker) = $t->workers();

    $c->write_plain($message);
    kill 'STOP', $worker;
    send_all($s, $c->format_post($c->tls_out()));
    $t->write_file(late => '');
    ok($t->wait_for(sub { !-e $held }), "$protocol: output of the backend");
    kill 'CONT', $worker;

    my $r = read_response($s);

    is($r && $r->status(), 200, "$protocol: data");
    $c->tls_in($r->body());
    cmp_ok(length $c->read_plain(), '>', 4 * 1024, "$protocol: much output");

    my ($age) = ($r->header('Set-Cookie') || '') =~ /; Max-Age=(\d+)/;

    cmp_ok($age // 0, '>', $IDLE / 2, "$protocol: the age of the cookie");

    $s->close();
    $c->close_notify();
}
