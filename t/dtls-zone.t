#!/usr/bin/perl

# DTLS sessions in the zone: reloads, with handshakes and responses in progress;
# a zone that is full, sessions that are in use, and workers that die.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Test::Atls;
use Test::Atls::Http qw( readable );
use Test::Atls::LocalServer qw( summary );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Retry qw( outer record );
use Test::Atls::Stack;
use Test::Atls::Status qw( reading status );

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

    # on a busy machine, it takes long until the service goes on

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_buffering off;
        proxy_read_timeout 10m;
    }

    location = /variables {
        return 200 "$atls_session_requests";
    }
}
EOC

$t->run();

$t->run_daemon(\&hold, port => $t->port(1));

reload();
full();
died();

$t->done_testing();


sub reload {
    my $idle = established('idle');
    my $half_open = client();

    $half_open->handshake_step();
    my $flight = $half_open->post($half_open->tls_out())->body();

    my ($long, $http) = held('/begun');

    $t->reload();

    is($idle->get('/variables')->body(), 1, 'idle session after a reload');

    $half_open->tls_in($flight);
    ok($half_open->handshake(), 'half-open session after a reload')
        or diag($half_open->error());
    is($half_open->get('/variables')->body(), 1, 'request');

    is($long->get('/variables')->body(), 1, 'session with a response');

    $t->write_file('go', '');
    $long->tls_in($http->receive()->body());
    my ($inner) = parse_responses($long->read_plain(), 'GET');
    is(summary($inner), '200 begun, held', 'its response is whole');

    is($long->get('/variables')->body(), 3, 'and it goes on');
}


# The last flights of handshakes go first, then the oldest sessions.

sub full {
    my ($busy, $http) = held();

    my @clients = map { established("session $_") } 1 .. 90;
    my $idle = reading($t)->{sessions}{idle};

    cmp_ok($idle, '<', 90, 'sessions were evicted');
    cmp_ok($idle, '>', 60, 'not more than required');

    my ($first, $last) = @clients[0, -1];

    is($first->post(record($first, '/variables'))->status(), 410,
       'the first session');
    is($last->get('/variables')->body(), 1, 'the last one');

    # sessions in use are not evicted

    is(reading($t)->{sessions}{busy}, 1, 'a session in use');
    $t->write_file('go', '');
    $busy->tls_in($http->receive()->body());
    like($busy->read_plain(), qr/\nheld\r\n0\r\n\r\n\z/, 'its response');
    is(status($t)->{sessions}{busy}, 0, 'it is not in use any more');
    is($busy->get('/variables')->body(), 2, 'and goes on');
}


# The POSTs of a worker that has died are not counted.

sub died {
    my ($busy, $http) = held();

    $t->allow_kills();
    kill 'KILL', $t->workers();

    is($http->receive(), undef, 'workers have died: no response');
    $t->wait_for(sub { reading($t)->{sessions}{busy} == 0 });
    is($busy->get('/variables')->body(), 1, 'the session goes on');
}


# A session with a request that the service does not answer yet, or of which the
# response has only begun.

sub held {
    my ($uri) = @_;

    unlink map { $t->path($_) } 'go', 'held';

    my $c = established('request in progress');
    my $http = start($c, $uri || '/held');

    $t->wait_for(sub { -e $t->path('held') });

    return ($c, $http);
}


# Answers when the file "go" exists; the response for /begun begins before.

sub hold {
    my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       LocalPort => $t->port(1), Listen => 8,
                                       ReuseAddr => 1)
        or die "listen: $!\n";

    while (my $s = $server->accept()) {
        sysread($s, my $request, 65536) or next;

        my @parts = ("HTTP/1.0 200 OK\r\n\r\n", 'held');

        syswrite $s, shift(@parts) . 'begun, ' if $request =~ m!^GET /begun !;

        $t->write_file('held', '');
        select undef, undef, undef, 0.05
            until -e $t->path('go') || readable($s, 0);

        syswrite $s, join '', @parts;
    }
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

sub start { outer($_[0], record(@_)) }
