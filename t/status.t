#!/usr/bin/perl

# Each status of a POST: headers and body, and the state of the outer
# connection.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_connect http_raw read_response send_all );
use Test::Atls::Outer;

my $type = 'application/atls+octet-stream';
my $unknown = 'A' x 24;

my $t = Test::Atls->new();

$t->write_inner('client_max_body_size 10k;');

$t->run();

my $outer = Test::Atls::Outer->new(port => $t->port(0),
                                   uri => '/.well-known/atls');


# A request over a connection shared by all.

sub answer {
    my ($method, $body, %headers) = @_;

    local $outer->{method} = $method;

    return $outer->post($body, \%headers);
}


# Seven tests.

sub is_problem {
    my ($r, $status, $type, $name) = @_;

    is($r && $r->status(), $status, $name) or return fail("$name: no answer");

    is($r->header('Content-Type'), 'application/problem+json',
       "$name: media type");
    is($r->header('Content-Length'), length $r->body(), "$name: length");

    my $problem = eval { decode_json($r->body()) } || {};

    is($problem->{status}, $status, "$name: status in the body");
    is($problem->{type}, "tag:atls,2026:$type", "$name: type");
    like($problem->{title}, qr/^[A-Z][A-Za-z ]+$/, "$name: title");
    like($problem->{detail}, qr/^[A-Z].{10,}\.$/, "$name: detail");
}


# Ends a handshake, which workers that quit would wait for.

sub break_handshake {
    my ($c, $cookie) = @_;

    return $c->post("\x17\x03\x03\x00\x02\x00\x00",
                    cookie => "atls=$cookie");
}


# A small response over a persistent connection.

sub is_kept {
    my ($name) = @_;

    ok($outer->{socket}, "$name: the connection is kept");
}


# 405

for my $method (qw( GET PUT DELETE OPTIONS )) {
    my $r = answer($method, $method eq 'PUT' ? 'body' : '',
                   'Content-Type' => $type);

    is_problem($r, 405, 'method', $method);
    is($r->header('Allow'), 'POST', "$method: Allow");
    is_kept($method);
}

{
    my $r = answer('HEAD', '');

    is($r && $r->status(), 405, 'HEAD');
    is($r->header('Allow'), 'POST', 'HEAD: Allow');
    is($r->header('Content-Type'), 'application/problem+json',
       'HEAD: media type');
    is_kept('HEAD');
}

# 415

my %types = (
    'no media type'         => undef,
    'an empty media type'   => '',
    'text/plain'            => 'text/plain',
    'a longer type'         => "${type}s",
    'a shorter type'        => 'application/atl',
    'another tree'          => 'application/octet-stream',
);

for my $name (sort keys %types) {
    my $r = answer('POST', 'a body', 'Content-Type' => $types{$name});

    is_problem($r, 415, 'media-type', $name);
    is_kept($name);
}

# a body that cannot be discarded is answered by nginx itself

like(http_raw($t->port(0), "PUT /.well-known/atls HTTP/1.1\r\n"
                           . "Host: localhost\r\n"
                           . "Transfer-Encoding: chunked\r\n\r\n"
                           . "no chunk\r\n"),
     qr!^HTTP/1.1 400 !, 'PUT, with malformed chunks');

# the same body, if it is read by the endpoint

{
    my $r = Test::Atls::Response->new(method => 'POST');

    $r->feed(http_raw($t->port(0), "POST /.well-known/atls HTTP/1.1\r\n"
                                   . "Host: localhost\r\n"
                                   . "Content-Type: $type\r\n"
                                   . "Transfer-Encoding: chunked\r\n\r\n"
                                   . "no chunk\r\n"
                                   . "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    is_problem($r, 400, 'unreadable-body', 'malformed chunks');
    is($r->rest(), '', 'malformed chunks: the connection ends');
}

# 400

my %bodies = (
    'no body'               => '',
    'the text of a request' => "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    'a proxy request'       => "CONNECT localhost:443 HTTP/1.1\r\n\r\n",
    'random bytes'          => pack('C*', map { int rand 256 } 1 .. 500),
);

# not the record type of a handshake and a TLS version, and not an SSL 2.0
# ClientHello, whose third byte is 1

substr($bodies{'random bytes'}, 0, 3) = "\xff\xfe\xfd";

for my $name (sort keys %bodies) {
    my $r = answer('POST', $bodies{$name}, 'Content-Type' => $type);

    is_problem($r, 400, $name eq 'no body' ? 'empty-body' : 'not-tls', $name);
    is($r->header('Set-Cookie'), undef, "$name: no cookie");
    is_kept($name);
}

# 410

my %flights = (
    'application data'      => "\x17\x03\x03\x00\x20" . 'x' x 32,
    'an alert'              => "\x15\x03\x03\x00\x02\x01\x00",
    'no TLS'                => "GET / HTTP/1.1\r\n\r\n",
    'another handshake message' => "\x16\x03\x03\x00\x04\x02\x00\x00\x00",
    'nothing'               => '',
);

for my $name (sort keys %flights) {
    my $r = answer('POST', $flights{$name}, 'Content-Type' => $type,
                   Cookie => "atls=$unknown");

    is_problem($r, 410, 'session-foreign', "unknown session, $name");
    is($r->header('Set-Cookie'),
       'atls=; Path=/.well-known/atls; HttpOnly; Max-Age=0',
       "unknown session, $name: the cookie expires");
    is_kept("unknown session, $name");
}

# a session of this zone that has ended

{
    my $c = $t->established();
    my $cookie = $c->cookie();

    $c->close_notify();
    is_problem(answer('POST', '', 'Content-Type' => $type,
                      Cookie => "atls=$cookie"),
               410, 'session-unknown', 'a session that has ended');
}

# a ClientHello begins a session, with any cookie

{
    my $c = $t->client();

    $c->cookie($unknown);
    ok($c->handshake(), 'ClientHello with an unknown session')
        or diag($c->error());
    isnt($c->cookie(), $unknown, 'a new cookie');
    like($c->set_cookie(),
         qr!^atls=[A-Za-z0-9_-]{24}; Path=/\.well-known/atls; HttpOnly; Max-Age=600$!,
         'what is set');
    is($c->get('/')->body(), "inner\n", 'a session of its own');
}

# 409

{
    my $c = $t->client();
    my $other = http_connect($t->port(0));

    ok($c->handshake(), 'handshake') or diag($c->error());
    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    # a whole record, and the beginning of another one

    my $record = $c->tls_out();
    my $half = length($record) + 10;

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $record .= $c->tls_out();

    send_all($other, $c->format_post(substr($record, 0, $half),
                                     'Content-Length' => length $record));

    # an empty POST does not affect the session until the other one has begun

    my $r;
    ok($t->wait_for(sub { ($r = $c->post(''))->status() != 200 }),
       'a POST while another is in progress');
    is_problem($r, 409, 'session-busy', 'while another POST is in progress');
    is($r->header('Set-Cookie'), undef, 'and the cookie stays');
    ok($c->http_client()->{socket}, 'and the connection is kept');

    send_all($other, substr $record, $half);
    $r = read_response($other);
    is($r->status(), 200, 'the first one is answered');
    $c->tls_in($r->body());
    like($c->read_plain(), qr/inner/, 'with what it asked for');

    is($c->get('/')->status(), 200, 'and the session goes on');
}

# 413 of nginx itself, if there is a Content-Length

{
    my $r = answer('POST', 'x' x 10241, 'Content-Type' => $type);

    is($r && $r->status(), 413, 'too long a body');
    like($r->header('Content-Type'), qr!^text/html!, 'the usual page');

    my $chunked = Test::Atls::Outer->new(port => $t->port(0),
                                         uri => '/.well-known/atls',
                                         version => 'http11-chunked');

    # the beginning of a larger record

    $r = $chunked->post("\x16\x03\x01\x40\x00\x01" . 'x' x 30000,
                        { 'Content-Type' => $type });
    is_problem($r, 413, 'too-large', 'too long a chunked body');
    is($r->header('Set-Cookie'), undef, 'no cookie');
}

{
    my $c = $t->client();

    ok($c->handshake(), 'handshake') or diag($c->error());

    is($c->post('x' x 10241)->status(), 413, 'too long, in a session');
    is($c->get('/')->body(), "inner\n", 'which goes on');
}

# 503: the maximum number of handshakes of a worker

my $few = Test::Atls->new();

$few->write_inner('atls_max_handshakes 2;');

$few->run();

{
    my $c = $few->client();

    $c->handshake_step();
    my $hello = $c->tls_out();

    # one connection, thus one worker

    is($c->post($hello, cookie => '')->status(), 200, 'a handshake begins');
    my @cookies = $c->cookie();
    is($c->post($hello, cookie => '')->status(), 200, 'another one');
    push @cookies, $c->cookie();
    my $r = $c->post($hello, cookie => '');

    is_problem($r, 503, 'too-many-handshakes', 'a third one');
    like($r->header('Retry-After'), qr/^[1-9]\d*$/, 'Retry-After');
    is($r->header('Set-Cookie'), undef, 'no cookie');

    is(break_handshake($c, pop @cookies)->status(), 200, 'one fails');
    is($c->post($hello, cookie => '')->status(), 200, 'there is room again');

    break_handshake($c, $_) for @cookies, $c->cookie();
}

$few->finish();


# 503: a zone that is full of sessions in use

my $small = Test::Atls->new();

$small->write_inner('atls_zone small:32k; atls_handshake_timeout 3s;');

$small->run();

{
    my $c = $small->client();

    $c->handshake_step();
    my $hello = $c->tls_out();

    my $begin = $c->format_post(substr($hello, 0, 20),
                                'Content-Length' => length $hello);
    my (@held, $r);

    # POSTs that are not finished, until there is no room for another one

    for (1 .. 100) {
        push @held, http_connect($small->port(0));
        send_all($held[-1], $begin);

        next if $_ % 5;
        $r = $c->post($hello, cookie => '');
        last if $r->status() == 503;
    }

    cmp_ok(scalar @held, '>', 5, 'sessions in use');
    is_problem($r, 503, 'zone-full', 'a zone full of them');
    like($r->header('Retry-After'), qr/^[1-9]\d*$/, 'Retry-After');

    @held = ();
    ok($small->wait_for(sub {
           $c->post($hello, cookie => '')->status() == 200
       }), 'there is room when their clients leave');

    my @full = $small->read_file('error.log') =~ /atls_zone "small" is full/g;
    cmp_ok(scalar @full, '>=', 1, 'the log says so');
}

$small->finish();
$t->done_testing();
