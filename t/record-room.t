#!/usr/bin/perl

# The zone has no memory for the first part of a record: the session ends, which
# is logged once.  If a response has begun, it is terminated, and the session
# ends by an alert.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;

my $t = Test::Atls->new(workers => 1);

$t->write_http(<<'EOC');
atls_zone             atls:32k;
%%CERTIFICATE%%

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "answered\n";
    }

    location = /long {
        alias %%TESTDIR%%/long;
    }
}
EOC

$t->write_file('long', 'x' x 300_000);
$t->run();

my $c = $t->client();

$c->handshake() && $c->get('/') or die $c->error() . "\n";
$c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\nX: " . 'x' x 16_300);

my $record = $c->tls_out();
my $r = $c->post(substr $record, 0, 16_000);

is($r && $r->status(), 503, 'there is no room');
is($r && $r->header('Set-Cookie'), undef, 'the session goes on');

$c = $t->client();
$r = $c->handshake() && $c->get('/');
is($r && $r->body(), "answered\n", 'another one begins');

$c->write_plain("GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n");

my $request = $c->tls_out();

$c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\nX: " . 'x' x 16_300);
$record = $c->tls_out();
$r = $c->post($request . substr $record, 0, 16_000);

is($r && $r->status(), 200, 'a response has begun');

$c->tls_in($r ? $r->body() : '');

my ($body) = $c->read_plain() =~ /\r\n\r\n(.*)/s;

is(length($body // ''), 300_000, 'it is whole');
is(join(' ', $c->alerts()), 80, 'an alert');

my $lines = () = $t->read_log('error.log') =~ /has no memory for a record/g;
is($lines, 1, 'lines in the log');

$t->done_testing();
