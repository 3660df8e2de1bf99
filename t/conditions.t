#!/usr/bin/perl

# Conditions in outer requests (RFC 9110, section 13) are ignored.  Those in
# inner requests apply to the requested resource.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;

my $t = Test::Atls->new();

$t->write_file('html/small', "small\n");
$t->write_file('html/large', join '', map { "line $_\n" } 1 .. 30_000);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    root html;

    location = /.well-known/atls {
        atls on;
    }
}
EOC

my $date = 'Sat, 29 Oct 1994 19:43:31 GMT';

my %conditions = (
    'If-Match'            => '"a"',
    'If-None-Match'       => '*',
    'If-Modified-Since'   => $date,
    'If-Unmodified-Since' => $date,
);

$t->run();

my $large = $t->read_file('html/large');

for my $name (sort keys %conditions) {
    my $c = $t->client(headers => { $name => $conditions{$name} });

    ok($c->handshake(), "$name: handshake") or diag($c->error());

    my $r = $c->get('/small');
    is($r && $r->body(), "small\n", "$name: an answer in one piece");

    $r = $c->get('/large');
    ok($r && $r->body() eq $large, "$name: one in many");

    is($c->last_response()->status(), 200, "$name: always 200");
}

# in the session

my $c = $t->client();

$c->handshake() or diag($c->error());
is($c->get('/small', 'If-None-Match' => '*')->status(), 304, 'inner: 304');
is($c->get('/small', 'If-Match' => '"a"')->status(), 412, 'inner: 412');

$t->done_testing();
