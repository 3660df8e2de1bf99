#!/usr/bin/perl

# Early data with clients that do not continue, several workers, reloads, ticket
# keys, a full zone, and refused configurations.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( time );

use Test::Atls;
use Test::Atls::EarlyData;
use Test::Atls::Http qw( readable );
use Test::Atls::Slow qw( slow );
use Test::Atls::Stack qw( @STACKS );

my $TYPE = 'application/atls+octet-stream';
my $SLOW = slow();

left_alone();
any_worker();
reloads();
key_files();
crowded();
bad_configuration();

$t->done_testing();


# The timeout of a handshake does not include the time of early requests.

sub left_alone {
    my @early = map { client($_, session => session($_), uri => '/short',
                             early => get('/gate')) } @STACKS;
    my $began = time;

    $_->handshake_step() for @early;
    $_->post_send($_->tls_out()) for @early;

    my $post = request('POST', '/body', 'x' x 100);
    my @left;

    for my $stack (@STACKS) {
        for my $data (get('/echo'), substr($post, 0, -10),
                      substr($post, 0, 10))
        {
            push @left, early($stack, session($stack), $data,
                              uri => '/short');
        }
    }

    my @cookies = map { $_->cookie() } @left;

    $t->wait_for(sub {
        @left == grep { /handshake timed out/ }
                 split /\n/, $t->read_file('short.log');
    });

    gone($left[$_], $cookies[$_], "client $_ is given up") for 0 .. $#left;

    # the response is sent when the timeout would expire for the second time;
    # most of the third one is left for the client

    wait_until($began + 1.9 * $SHORT);
    gate("Content-Length: 5\r\n\r\nopen\n") for @early;
    answered($_) for @early;
    wait_until($began + 2.1 * $SHORT);

    for my $c (@early) {
        my $stack = $c->stack();

        $c->handshake();

        my $r = $c->early_response();

        is($r && $r->body(), "open\n", "$stack: but not one that waits");
        is(here($c), ' r 2', "$stack: it goes on");
    }
}


# Each POST has a connection of its own, so that some of the POSTs that continue
# a handshake are received by another worker.

sub any_worker {
    my @lines = $t->read_log('outer.log') =~ /^\d+ "(?:-|atls=.*)" .*$/mg;
    my %pids = map { /^(\d+)/ ? ($1 => 1) : () } grep { /"-"/ } @lines;
    my @relayed = grep { /another worker/ } @lines;

    cmp_ok(scalar keys %pids, '>', 1, 'handshakes in several workers');
    cmp_ok(scalar @relayed, '>', 0, 'POSTs at others');
}


# A handshake is finished in the worker that has begun it.

sub reloads {
    my $post = request('POST', '/body', 'x' x 100);

    for my $stack (@STACKS) {
        my @sessions = map { session($stack) } 1 .. 3;
        my $c = early($stack, $sessions[0], get('/echo'));
        my $half = early($stack, $sessions[1], substr $post, 0, -10);

        $t->reload();

        is(here($c), ' r 2', "$stack: a reload in a handshake");
        is(status($half->http(substr $post, -10)), 200,
           "$stack: a reload in a request");

        $c = early($stack, $sessions[0], get('/echo'));
        is($c->early_status() . here($c), 'rejected r 1',
           "$stack: a used ticket, after a reload");

        $c = early($stack, $sessions[2], get('/echo'));
        is($c->early_status() . here($c), 'accepted r 2',
           "$stack: another one, after a reload");
    }
}


# With key files, it is unknown which tickets have been used.

sub key_files {
    my @keys = (HTTP => 'atls_session_ticket_key '
                        . $t->path('ticket.key') . ';');

    configure($t, @keys);
    $t->reload();

    # tickets of another server

    my $other = Test::Atls->new(workers => 1);
    configure($other, @keys);
    $other->run();

    # some of its tickets have numbers that have not been used here

    my @sessions = map { session('openssl', port => $other->port(0)) } 1 .. 6;
    my @early = map { early('openssl', $_, get('/echo')) } @sessions;

    is(join(' ', map { $_->early_status() . here($_) } @early),
       join(' ', ('rejected r 1') x @early), 'tickets of another server');

    no_early_data('of another server',
                  map { $_ => session($_, port => $other->port(0)) } @STACKS);
    $other->finish();

    # Tickets of the same server, before a restart.  Workers that quit wait for
    # the rest of a request only as long as for the rest of a handshake.

    my %sessions = map { $_ => session($_) } @STACKS;

    early($_, session($_), substr(get('/echo'), 0, 20), uri => '/short')
        for @STACKS;

    $t->stop();
    $t->run();

    no_early_data('after a restart', %sessions);
}


# Early data is refused, and accepted with the next ticket.

sub no_early_data {
    my ($name, %sessions) = @_;

    for my $stack (@STACKS) {
        my $c = early($stack, $sessions{$stack}, get('/echo?no-early-data'));

        is($c->early_status() . here($c), 'rejected r 1',
           "$stack: a ticket $name");

        $c = early($stack, $c->session(), get('/echo'));
        is($c->early_status() . here($c), 'accepted r 2',
           "$stack: the next ticket");
    }

    is(served('/echo?no-early-data'), 0, "$name: it was not served");
}


# In a zone that is too small, handshakes that do not continue are evicted, and
# those with a request in progress are not.

sub crowded {
    my $small = Test::Atls->new(workers => $WORKERS);
    my @port = (port => $small->port(0));

    $small->{ports}{$_} = $t->port($_) for 1, 5;
    configure($small, HANDSHAKE => 5 * $SLOW, HTTP => "atls_zone small:32k;
                               client_header_timeout ${SHORT}s;
                               client_body_timeout ${SHORT}s;");
    $small->run();

    my @halves = map {
        early($_, session($_, @port), substr(get('/echo'), 0, 20), @port)
    } @STACKS;

    is(crowd(60, @port), 200, 'a crowd of ClientHellos');
    gone($_, $_->cookie(), $_->stack() . ': who does not go on is pushed out')
        for @halves;

    my @clients = map {
        client($_, @port, session => session($_, @port), early => get('/gate'))
    } (@STACKS) x 20;

    $_->handshake_step() for @clients;
    $_->post_send($_->tls_out()) for @clients;

    my $n = @clients;
    my @at_gate;
    $t->wait_for(sub {
        push @at_gate, scalar $gate->accept() while readable($gate, 0);
        $n = grep { !readable($_->http_client()->{socket}, 0) } @clients;
        return $n == @at_gate;
    });

    is(crowd(20, @port), 503, 'the zone is full');

    answer_gate($_, "Content-Length: 5\r\n\r\nopen\n") for @at_gate;
    answered($_) for @clients;

    my @served = grep { status($_->last_response()) == 200 } @clients;

    is(scalar @served, $n, 'who was in it is served');
    $_->handshake() for @served;

    my @answers = map { my $r = $_->early_response(); $r ? $r->body() : 'none' }
                  @served;

    is(join('', @answers), "open\n" x @served, 'with an answer');
    is(join(' ', map { here($_) } @served),
       join(' ', (' r 2') x @served), 'and goes on');

    $small->finish();
}


# The number of handshakes by status.

sub crowd {
    my ($n, @args) = @_;

    my $hello = hello();
    my %statuses = map {
        my $r = outer(@args)->post($hello, { 'Content-Type' => $TYPE });
        status($r) => 1
    } 1 .. $n;

    return join ' ', sort keys %statuses;
}


sub hello {
    my $c = client('openssl');

    $c->handshake_step();

    return $c->tls_out();
}


sub bad_configuration {
    my $conf = http_conf(<<'EOC');
%%CERTIFICATE%%
atls_early_data on;
atls_session_tickets off;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location / {
        atls on;
    }
}
EOC

    is($t->config_error($conf), '', 'early data without tickets: no error');
    like($t->read_file('config-test.out'),
         qr/\[warn\].*"atls_early_data" ignored.*"atls_session_tickets"/,
         'but a warning');
}
