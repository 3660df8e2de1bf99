#!/usr/bin/perl

# Early data with a response that is read slowly.  The handshake cannot be
# finished until then, and counts neither for atls_max_handshakes nor as
# half-open in the zone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Http qw( read_response );
use Test::Atls::Slow qw( patience );

use constant {
    MAX     => 3,
    SIZE    => 16 << 20,        # more than socket buffers can hold
    TIMEOUT => 3 * Test::Atls::Slow::slow(),
};

my $t = Test::Atls->new(workers => 1);

$t->write_file('big', 'x' x SIZE);

$t->write_http(<<"EOC");
%%CERTIFICATE%%
atls_early_data on;
atls_handshake_timeout @{[ TIMEOUT ]}s;
atls_max_handshakes @{[ MAX ]};

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location = /.well-known/atls {
        atls on;
    }

    location = /big {
        alias %%TESTDIR%%/big;
    }

    location / {
        return 200 "answered\\n";
    }
}
EOC

$t->run();

my @sessions = map { session() } 1 .. MAX;
my @slow = map { slow($_) } @sessions;

# other handshakes are refused until the timeout

ok($t->wait_for(sub { $t->client()->handshake() }, patience()),
   'others are served');

for (@slow) {
    ok(finish($_), 'an answer comes to its end');
    ok($_->{c}->handshake(hold => 0), 'and so does its handshake')
        or diag($_->{c}->error());

    my $r = $_->{c}->get('/');

    is($r && $r->body(), "answered\n", 'its session goes on');
}

$t->done_testing();


sub stack {
    return $t->stack('openssl', protocol => 'TLSv1.3', @_);
}


sub session {
    my $c = stack();

    $c->handshake() or die $c->error() . "\n";
    $c->get('/');

    return $c->session();
}


sub slow {
    my ($session) = @_;

    my $request = Test::Atls::Client::format_request('GET', '/big', '');
    my $c = stack(session => $session, early => $request);

    $c->handshake_step();

    return { c => $c, s => $c->begin_post($c->tls_out()) };
}


sub finish {
    my ($slow) = @_;

    my $c = $slow->{c};
    my $plain = 0;
    my $r = read_response($slow->{s}, on_body => sub {
        $c->tls_in($_[0]);
        $c->handshake_step() unless $plain;
        $plain += length $c->read_plain();
    }) or return 0;

    $c->_store_cookie($_) for $r->header('Set-Cookie');

    return $plain > SIZE;
}
