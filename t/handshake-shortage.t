#!/usr/bin/perl

# All handshakes of a worker share one connection.  If none is available, the
# client is told to retry later, and handshakes in progress continue.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Elsewhere qw( descriptors );
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Process qw( asleep );

my $t = Test::Atls->new(workers => 1);

$t->write_http(<<'EOC', events => 'worker_connections 32;');
%%CERTIFICATE%%
atls_handshake_timeout 300s;
client_header_timeout 300s;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
        return 200 inner;
    }
}
EOC

$t->run();

# logged by nginx at this level

$t->allow_log(qr/worker_connections are not enough/);

my ($worker) = $t->workers();


# A client with a connection and an unfinished POST: an idle connection would be
# closed to make room for others.

sub waiting {
    my $c = $t->client();
    my $s = $c->http_client()->{socket} = http_connect($t->port(0));

    send_all($s, "POST /.well-known/atls HTTP/1.1\r\nHost: localhost\r\n");

    return $c;
}


sub answer {
    my ($c, $bytes, $cookie) = @_;

    send_all($c->http_client()->{socket},
             join "\r\n", 'Content-Type: application/atls+octet-stream',
                  'Content-Length: ' . length $bytes,
                  $cookie ? "Cookie: atls=$cookie" : 'X: x', '', $bytes);

    return $c->post_receive(timeout => 30);
}


sub hello {
    my ($c) = @_;

    $c->handshake_step();

    return $c->tls_out();
}


# Opens connections until one is refused.

sub take {
    my @taken;

    for ( ;; ) {
        my $n = descriptors($worker);
        my $s = http_connect($t->port(0));

        send_all($s, "GET / HTTP/1.1\r\nHost: localhost\r\n");
        $t->wait_for(sub { readable($s, 0)
                           || descriptors($worker) > $n && asleep($worker) },
                     30);

        last if readable($s, 0);
        push @taken, $s;
    }

    return \@taken;
}


sub give_back {
    my ($taken) = @_;

    my $n = descriptors($worker) - @$taken;

    @$taken = ();
    $t->wait_for(sub { descriptors($worker) <= $n && asleep($worker) }, 30);
}


# no handshake in progress, and no connection available

{
    my $c = waiting();
    my $taken = take();

    my $r = answer($c, hello($c));

    is($r && $r->status(), 503, 'no connection');
    is($r && $r->header('Retry-After'), 1, 'to be tried again');
    is($r && $r->header('Set-Cookie'), undef, 'no session');

    give_back($taken);

    $c = $t->client();
    ok($c->handshake(), 'later there is one') or diag($c->error());
    is($c->get('/')->body(), 'inner', 'and a session');
}

# all handshakes share the connection

{
    my $first = $t->client(keepalive => 0);
    my $flight = hello($first);

    $first->exchange($flight) or diag($first->error());
    $first->handshake_step();

    my ($second, $again) = (waiting(), waiting());
    my $taken = take();

    my $r = answer($second, hello($second));

    is($r && $r->status(), 200, 'another one, with none left');
    like($r && $r->body(), qr/^\x16/, 'goes on');

    # the first handshake is finished, the second one continues

    $r = answer($again, $first->tls_out(), $first->cookie());
    is($r && $r->status(), 200, 'the first one ends');

    give_back($taken);

    $first->tls_in($r->body());
    is($first->get('/')->body(), 'inner', 'and is served');

    $second->tls_in($second->last_response()->body());
    ok($second->handshake(), 'the second one ends') or diag($second->error());
    is($second->get('/')->body(), 'inner', 'and is served');
}

# no handshake is left: the worker quits at once

{
    my $c = $t->client();

    $c->handshake();
    is($c->get('/')->body(), 'inner', 'another session');
    $t->signal('QUIT');
    ok($t->wait_for(sub { !Test::Atls::Process::alive($worker) }, 20),
       'the worker ends');
}

$t->done_testing();
