#!/usr/bin/perl

# atls_status: POSTs relayed to another worker process, by result.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Elsewhere qw( connect_to more_sockets sockets with_only );
use Test::Atls::Http qw( read_response send_all );
use Test::Atls::Slow qw( patience slow );
use Test::Atls::Status qw( reading status total );

my $TIMEOUT = 6 * (slow() > 4 ? 4 : slow());

my $t = Test::Atls->new(workers => 2,
                        client => { keepalive => 0, timeout => patience() });

$t->write_http(<<"EOC");
%%CERTIFICATE%%
atls_handshake_timeout ${TIMEOUT}s;
client_body_timeout ${TIMEOUT}s;
send_timeout ${TIMEOUT}s;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location = /ok {
        return 200 ok;
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->run();
$t->allow_kills();

my ($owner, $other) = $t->workers();

is_deeply(relays(sub {
    is(read_response(post(parked()))->status(), 200, 'relayed');
}, 'passed'), { passed => 1 }, 'passed');

is_deeply(relays(sub {
    close post(parked(), sub { $t->suspend_workers($owner) });
}, 'abandoned'), { abandoned => 1 }, 'abandoned by the client');

go_on();

is_deeply(relays(sub {
    my $s = post(parked(), sub { $t->suspend_workers($owner) });

    is(read_response($s)->status(), 410, 'no response');
}, 'stuck'), { stuck => 1 }, 'stuck');

go_on();

is_deeply(relays(sub {
    my $s = post(parked(), sub { $t->suspend_workers($owner) });

    kill 'KILL', $owner;
    is(read_response($s)->status(), 410, 'the worker dies');
}, 'lost'), { lost => 1 }, 'lost');

$t->wait_for(sub { 2 == grep { $_ != $owner } $t->workers() });

my $s = status($t);

is($s->{posts_total}{'session-lost'}{410}, 2, 'counted where the client is');
is($s->{post_duration_seconds}{count}, total($s->{posts_total}),
   'each POST is counted once');

$t->done_testing();


# A session with a part of a request in the worker, and the rest of it.

sub parked {
    my $c;

    with_only($t, $owner, sub {
        $c = $t->established();
        $c->request("GET /ok HTTP/1.1\r\nHo");
    });

    $c->write_plain("st: localhost\r\n\r\n");

    return $c;
}


# Sends a POST to the other worker, after a function that suspends the owner was
# called.  Returns when it was relayed: there is another socket.

sub post {
    my ($c, $before) = @_;

    my $bytes = $c->tls_out();
    my $s = connect_to($t, $other, "POST /.well-known/atls HTTP/1.1\r\n",
                       port => $t->port(0));

    $before->() if $before;
    my @sockets = sockets($other);

    send_all($s, join "\r\n", 'Host: localhost', 'Connection: close',
                 'Content-Type: application/atls+octet-stream',
                 'Cookie: atls=' . $c->cookie(),
                 'Content-Length: ' . length $bytes, '', $bytes);

    $t->wait_for(sub { more_sockets($other, \@sockets) }) if $before;

    return $s;
}


# What has changed when the result is counted.

sub relays {
    my ($code, $result) = @_;

    my $before = reading($t)->{relays_total};
    my $after;

    $code->();

    $t->wait_for(sub {
        $after = reading($t)->{relays_total};
        return $after->{$result} > $before->{$result};
    });

    return { map { $_ => $after->{$_} - $before->{$_} }
             grep { $after->{$_} != $before->{$_} } keys %$after };
}


sub go_on {
    kill 'CONT', $owner;
    $t->read_log('error.log');
}
