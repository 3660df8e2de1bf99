#!/usr/bin/perl

# What the error log says of POSTs that are refused, or that a middlebox has
# changed: a line at the level info, as nginx has for faults of clients.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_connect send_all );
use Test::Atls::Outer;

my $TYPE = 'application/atls+octet-stream';
my $RECORD = "\x17\x03\x03\x00\x20" . 'x' x 32;

my $t = Test::Atls->new(workers => 2);

# responses are too long to be kept

$t->write_inner('atls_retry_buffer 16;');

$t->run();

my $outer = Test::Atls::Outer->new(port => $t->port(0),
                                   uri => '/.well-known/atls');

# method, body, headers, status, lines

my @faults = (
    [ 'another method', 'GET', '', { }, 405,
      'atls client sent method "GET" instead of POST' ],
    [ 'another media type', 'POST', $RECORD, { 'Content-Type' => 'text/plain' },
      415, 'atls client sent media type "text/plain"' ],
    [ 'no media type', 'POST', $RECORD, { 'Content-Type' => undef }, 415,
      'atls client sent no media type' ],
    [ 'no body', 'POST', '', { }, 400,
      'atls client sent an empty body and no cookie' ],
    [ 'no TLS', 'POST', 'GET / HTTP/1.1', { }, 400,
      'atls client sent a first flight that is not TLS' ],
    [ 'a body that was compressed', 'POST', "\x1f\x8b\x08" . 'x' x 30,
      { 'Content-Encoding' => 'gzip' }, 400,
      'atls client sent a first flight that is not TLS',
      'atls client sent the body with Content-Encoding "gzip"' ],
    [ 'no cookie', 'POST', $RECORD, { }, 410,
      'atls client sent records of a session without its cookie' ],
    [ 'a cookie with another name', 'POST', $RECORD, { Cookie => 'a=b' }, 410,
      'atls client sent records of a session without its cookie' ],
    [ 'a cookie that was changed', 'POST', $RECORD, { Cookie => 'atls=a' }, 410,
      'atls client sent an invalid cookie' ],
    [ 'a cookie of nobody', 'POST', $RECORD, { Cookie => 'atls=' . 'A' x 24 },
      410, 'atls session belongs to another zone' ],
);

for (@faults) {
    my ($name, $method, $body, $headers, $status, @lines) = @$_;
    my $from = length $t->read_log('error.log');

    local $outer->{method} = $method;
    my $r = $outer->post($body, { 'Content-Type' => $TYPE, %$headers });

    is($r && $r->status(), $status, $name);
    logged($from, $name, @lines);
}

like($outer->post($RECORD, { 'Content-Type' => $TYPE })->body(),
     qr/"tag:atls,2026:no-cookie"/, 'the client is told, too');

# the same in a session

for my $encoding (undef, 'br') {
    my $c = $t->established();
    my $from = length $t->read_log('error.log');
    my $r = $c->post($RECORD, headers => { 'Content-Encoding' => $encoding });
    my $name = $encoding ? 'a record that was compressed' : 'a changed record';

    is($r && $r->status(), 409, $name);
    logged($from, $name, qr/atls POST is not the next one of its session/,
           $encoding ? 'atls client sent the body with Content-Encoding "br"'
                     : ());
}

# a POST that is sent again

{
    my $c = $t->established();

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my $record = $c->tls_out();

    is($c->post($record)->status(), 200, 'a request');

    my $from = length $t->read_log('error.log');

    is($c->post($record)->status(), 410, 'the same POST again');
    logged($from, 'the same POST again',
           'atls client sent a POST again whose response was not kept');
}

# a POST that comes twice

{
    my $c = $t->established();
    my $from = length $t->read_log('error.log');
    my $other = http_connect($t->port(0));

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my $record = $c->tls_out();

    send_all($other, $c->format_post($record . substr($RECORD, 0, 10),
                                     'Content-Length' => 37 + length $record));

    my $r;
    ok($t->wait_for(sub { ($r = $c->post(''))->status() != 200 }),
       'a POST while another is in progress');
    is($r->status(), 409, 'status');
    logged($from, 'two at once',
           'atls client sent two POSTs of a session at once');
    close $other;
}

# a good session is not worth a line

{
    my $from = length $t->read_log('error.log');

    is($t->established()->get('/')->body(), "inner\n", 'a session');
    logged($from, 'no fault');
}

$t->done_testing();


# The lines of the module since then: all of them at info, and nothing else, but
# those of sessions that end.

sub logged {
    my ($from, $name, @want) = @_;

    my @got = grep { / atls / && !/ atls session \w+ ended: / }
              split /\n/, substr $t->read_log('error.log'), $from;

    is(scalar @got, @want, "$name: lines") or diag(join "\n", @got);

    for my $want (@want) {
        my $re = ref $want ? $want : qr/\Q$want\E/;
        like(shift(@got) || '',
             qr/\[info\] \S+ \*\d+ ${re}[^,]*, client: 127\.0\.0\.1, server: /,
             "$name: $want");
    }
}
