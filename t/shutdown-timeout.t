#!/usr/bin/perl

# worker_shutdown_timeout ends a worker that waits for handshakes, POSTs or
# requests of any kind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( send_all );
use Test::Atls::Process qw( alive );

my $CLIENTS = 6;

my $t = Test::Atls->new(workers => 3);

$t->write_file('ticket.key', 'k' x 80);
Test::Atls::Backend->start($t, $t->port(1));

my %outside = (main   => 'worker_shutdown_timeout 1s;',
               events => 'worker_connections 512;');

$t->write_http(<<'EOC', %outside);
%%CERTIFICATE%%
atls_handshake_timeout 3600s;
atls_session_ticket_key ticket.key;
atls_early_data on;

client_header_timeout 3600s;
client_body_timeout 3600s;
keepalive_timeout 3600s;
proxy_read_timeout 3600s;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /here {
        return 200 here;
    }
}
EOC

$t->run();


# Begins a POST of a client's session with a byte, over a new connection: it may
# be relayed.

sub open_post {
    my ($c) = @_;

    my $other = $t->client();

    $other->{keep} = $c;
    $other->http_client()->{socket} = Test::Atls::Http::http_connect(
                                          $t->port(0));
    send_all($other->http_client()->{socket},
             $c->format_post("\x17", 'Content-Length' => 100));

    return $other;
}


my $ticket;


# Clients in all states that a worker waits for.

my %states = (
    'a handshake' => sub { $t->half_open() },
    'a handshake of TLS 1.2' => sub { $t->half_open(protocol => 'TLSv1.2') },
    'a POST of a handshake' => sub { open_post($t->half_open()) },
    'half a request' => sub {
        my $c = $t->established();
        $c->request("GET / HTTP/1.1\r\n");
        return $c;
    },
    'a POST of half a request' => sub {
        my $c = $t->established();
        $c->request("GET / HTTP/1.1\r\n");
        return open_post($c);
    },
    'a POST' => sub { open_post($t->established()) },
    'a request that the backend does not answer' => sub {
        my $c = $t->established();
        $c->write_plain("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n");
        $c->post_send($c->tls_out());
        return $c;
    },
    'half a request in early data' => sub {
        my $c = $t->stack('openssl', session => $ticket,
                          early => "GET / HTTP/1.1\r\n");
        $c->handshake_step();
        $c->exchange($c->tls_out()) or diag($c->error());
        return $c;
    },
    'a POST of early data' => sub {
        my $c = $t->stack('openssl', session => $ticket,
                          early => "GET /hang HTTP/1.1\r\n"
                                   . "Host: localhost\r\n\r\n");
        $c->handshake_step();
        $c->post_send($c->tls_out());
        return $c;
    },
);


sub ticket {
    my $c = $t->stack('openssl');

    $c->handshake() && $c->get('/here') or diag($c->error());

    return $c->session();
}


# Several clients for each state, in all workers, with and without a relay.

for my $name (sort(keys %states), 'all of them') {
    $ticket = ticket();

    my @states = $states{$name} || map { $states{$_} } sort keys %states;
    my @clients = map { my $state = $_; map { $state->() } 1 .. $CLIENTS }
                  @states;

    my @old = $t->workers();

    ok($t->reload(), "$name: a reload");
    ok($t->wait_for(sub { !grep { alive($_) } @old }, 20),
       "$name: the old workers end");

    # new sessions in all new workers

    my @answers = map { my $c = $t->established(); $c->get('/here')->body() }
                  1 .. $CLIENTS;
    is("@answers", join(' ', ('here') x $CLIENTS), "$name: new sessions");
}

# the same when nginx quits

$ticket = ticket();

my @clients = map { my $state = $states{$_}; map { $state->() } 1 .. 3 }
              sort keys %states;
my $pid = $t->pid();
my @workers = $t->workers();

$t->signal('QUIT');
ok($t->wait_for(sub { !grep { alive($_) } $pid, @workers }, 20), 'nginx ends');

$t->done_testing();
