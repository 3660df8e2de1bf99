#!/usr/bin/perl

# Early data of a session that expires before all of it was received: it is not
# served, and the handshake is finished.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;

use constant LIFETIME => 3;

my $t = Test::Atls->new(workers => 1);

$t->write_http(<<"EOC");
%%CERTIFICATE%%
atls_session_lifetime @{[ LIFETIME ]}s;
atls_early_data on;

log_format inner "\$atls \$request_uri";

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    access_log %%TESTDIR%%/access.log inner;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "answered\\n";
    }
}
EOC

$t->run();

my $first = client();

$first->handshake() or die $first->error() . "\n";
$first->get('/first');

my $began = time;

# the ClientHello, and half of a record

my $early = Test::Atls::Client::format_request('GET', '/early', '');
my $c = client(session => $first->session(), early => $early);
$c->handshake_step();

my $flight = $c->tls_out();
my $half = length($flight) - 40;
my $r = $c->post(substr $flight, 0, $half);

is($r && $r->status(), 200, 'the first half');
$c->tls_in($r->body());

sleep 0.1 while time - $began < LIFETIME + 1;

$r = $c->post(substr $flight, $half);
is($r && $r->status(), 200, 'the second half, later');
$c->tls_in($r->body());

# the end of the handshake, after which the session ends

$c->handshake(hold => 0);
$c->read_plain();

is($c->state(), 'closed', 'close_notify')
    or diag($c->state(), ' ', $c->error(), ' ', $c->posts());

$t->read_log('access.log');
unlike($t->read_file('access.log'), qr!/early!, 'it was not served');

my $other = client();
ok($other->handshake() && $other->get('/other'), 'others are served');

$t->done_testing();


sub client {
    return $t->stack('openssl', protocol => 'TLSv1.3', keepalive => 0, @_);
}
