#!/usr/bin/perl

# DTLS sessions in the zone: reloads, with handshakes and responses in progress;
# a zone that is full.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Outer;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Stack;
use Test::Atls::Status qw( status );

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

atls_zone small:64k;
atls_protocols DTLSv1.2;
atls_handshake_timeout 60s;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location = /.well-known/atls {
        atls on;
    }

    location = /status {
        atls_status;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_buffering off;
    }

    location = /variables {
        return 200 "$atls_session_requests";
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));

reload();
full();

$t->done_testing();


sub reload {
    my $idle = established('idle');
    my $half_open = client();

    $half_open->handshake_step();
    my $flight = $half_open->post($half_open->tls_out())->body();

    my $long = established('long response');
    my $http = start($long, '/slow?n=10&delay=0.3');

    $t->reload();

    is($idle->get('/variables')->body(), 1, 'idle session after a reload');

    $half_open->tls_in($flight);
    ok($half_open->handshake(), 'half-open session after a reload')
        or diag($half_open->error());
    is($half_open->get('/variables')->body(), 1, 'request');

    is($long->get('/variables')->body(), 1, 'session with a response');

    my $r = $http->receive();
    $long->tls_in($r->body());
    my ($inner) = parse_responses($long->read_plain(), 'GET');
    ok($inner && $inner->done(), 'its response is whole');

    is($long->get('/variables')->body(), 3, 'and it goes on');
}


# The last flights of handshakes go first, then the oldest sessions.

sub full {
    my @clients = map { established("session $_") } 1 .. 90;
    my $idle = status($t)->{sessions}{idle};

    cmp_ok($idle, '<', 90, 'sessions were evicted');
    cmp_ok($idle, '>', 60, 'not more than required');

    my ($first, $last) = @clients[0, -1];

    is($first->post(request($first, '/variables'))->status(), 410,
       'the first session');
    is($last->get('/variables')->body(), 1, 'the last one');
}


sub established {
    my ($name, %args) = @_;

    my $c = client();

    ok($c->handshake(), "$name: handshake") or diag($c->error());

    return $c;
}


sub client {
    return Test::Atls::Stack->new('openssl', port => $t->port(0),
                                  keepalive => 0, protocol => 'DTLSv1.2', @_);
}


# Begins a POST on a connection of its own.

sub start {
    my ($c, $uri) = @_;

    my $http = Test::Atls::Outer->new(port => $t->port(0), keepalive => 0,
                                      uri => '/.well-known/atls');

    $http->send(request($c, $uri), {
        'Content-Type' => 'application/atls+octet-stream',
        Cookie => 'atls=' . $c->cookie(),
    });

    return $http;
}


sub request {
    my ($c, $uri) = @_;

    $c->write_plain("GET $uri HTTP/1.1\r\nHost: localhost\r\n\r\n");

    return $c->tls_out();
}
