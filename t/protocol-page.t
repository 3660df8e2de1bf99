#!/usr/bin/perl

# Statements of docs/protocol.md that are not checked by other tests.  The names
# of tests are statements of the page.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Forge;
use Test::Atls::Http qw( readable send_all );
use Test::Atls::Outer;
use Test::Atls::Slow qw( patience );

my $type = 'application/atls+octet-stream';
my $get = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

my $t = Test::Atls->new();
my $backend = Test::Atls::Backend->start($t, $t->port(1));

$t->write_http(<<'EOC');
%%CERTIFICATE%%

client_max_body_size 50k;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /x25519 {
        atls on;
        atls_ecdh_curve X25519;
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
    }

    location = /down {
        atls on;
        atls_payload raw;
        return 500;
    }

    location = /forbidden {
        atls on;
        deny all;
    }

    location / {
        return 200 "hello\n";
    }

    location /service/ {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$t->run();

empty_posts();
first_bytes();
hello_retry();
order();
same_bytes();
headers();
both_ways();
whole_records();
no_half_closing();
alpn();
suites();
after_the_handshake();
session_ids();
raw_messages();

$t->done_testing();


sub is_hello {
    my ($c, $name) = @_;

    is($c->get('/')->body(), "hello\n", $name);
}


# With the session's cookie.

sub gone {
    my ($c, $cookie, $name, $bytes) = @_;

    my $r = $c->post($bytes || '', cookie => "atls=$cookie");

    is($r->status(), 410, $name);
}


sub empty_posts {
    my $c = $t->established();

    for my $n (1, 2) {
        my $r = $c->post('');

        is($r->status(), 200, "an empty POST is answered 200 ($n)");
        is($r->body(), '', "with an empty body if there is no output ($n)");
        is($r->header('Content-Type'), $type, "with the media type ($n)");
    }

    # within a request, after 100 Continue

    my $r = $c->request("POST /service/ HTTP/1.1\r\nHost: localhost\r\n"
                        . "Expect: 100-continue\r\n"
                        . "Content-Length: 4\r\n\r\n");

    like($r, qr{\AHTTP/1.1 100 .*\r\n\r\n\z}, 'a 100 Continue');
    is($c->post('')->status(), 200, 'an empty POST within a request');
    like($c->request('body'), qr{^HTTP/1.1 200 }, 'the request continues');

    # a half-open session

    $c = $t->client();

    $c->handshake_step();
    $c->exchange($c->tls_out());
    is($c->post('')->status(), 200, 'an empty POST of a half-open session');
    ok($c->handshake(), 'the handshake continues');
    is_hello($c, 'the session is established');
}


sub first_bytes {
    my $c = $t->client();

    $c->handshake_step();

    my $hello = $c->tls_out();
    my $r = $c->post(substr $hello, 0, 1, '');

    is($r->status(), 200, 'one byte of a ClientHello');
    is($r->body(), '', 'the response is empty');
    ok(defined $r->header('Set-Cookie'), 'the response sets the cookie');

    $r = $c->post(substr $hello, 0, 11, '');
    is($r->header('Set-Cookie'), undef, 'the next response does not');

    ok($c->exchange($hello), 'the rest of the ClientHello')
        or diag($c->error());
    ok($c->handshake(), 'the handshake is finished') or diag($c->error());

    # a POST that begins in the middle of a record

    $c->write_plain($get);

    my $record = $c->tls_out();

    is($c->post(substr $record, 0, 20, '')->body(), '',
       'a part of a record: the response is empty');
    $c->exchange($record);
    like($c->read_plain(), qr/hello\n\z/, 'the rest of the record');
}


sub hello_retry {
    my $c = $t->client(uri => '/x25519', protocol => 'TLSv1.3',
                       groups => 'P-256:X25519');

    ok($c->handshake(), 'the second ClientHello belongs to the session')
        or diag($c->error());
    is($c->posts(), 3, 'HelloRetryRequest: the number of POSTs');
    is_hello($c, 'HelloRetryRequest: the session is established');
}


# Each request also violates all later conditions.

sub order {
    my $outer = Test::Atls::Outer->new(port => $t->port(0));
    my %cookie = (Cookie => 'atls=' . 'A' x 24);

    my $status = sub {
        my ($uri, $method, $body, %headers) = @_;

        local @$outer{qw( uri method )} = ($uri, $method);

        return $outer->post($body, \%headers)->status();
    };

    is($status->('/forbidden', 'PUT', 'x' x 60_000, %cookie), 413,
       'order: Content-Length');
    is($status->('/forbidden', 'PUT', 'x', %cookie), 403,
       'order: the location');
    is($status->('/x25519', 'PUT', 'x', %cookie), 405, 'order: the method');
    is($status->('/x25519', 'POST', 'x', %cookie), 415,
       'order: the media type');
    is($status->('/x25519', 'POST', 'x', %cookie, 'Content-Type' => $type),
       410, 'order: the cookie');
    is($status->('/x25519', 'POST', 'x', 'Content-Type' => $type), 400,
       'order: the body');

    for ([ '/x25519', 60_000, '' ], [ '/forbidden', 1, '' ],
         [ '/x25519', 1, '100' ])
    {
        my ($uri, $n, $interim) = @$_;

        $outer->{uri} = $uri;

        my $r = $outer->post('x' x $n, { Expect => '100-continue' });

        is("@{$r->interim()}", $interim,
           "Expect: 100-continue, status " . $r->status());
    }
}


sub same_bytes {
    my $c = $t->established();

    $c->write_plain("POST / HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 60000\r\n\r\n" . 'x' x 60_000);

    my $bytes = $c->tls_out();
    my $r = $c->post($bytes);

    is($r->status(), 413, 'a too large POST');
    is($r->header('Set-Cookie'), undef, 'the cookie does not expire');
    is($c->post($bytes, type => 'text/plain')->status(), 413,
       'a too large POST of another media type');
    is($c->post($get, type => 'text/plain')->status(), 415,
       'another media type');

    # the limit also applies to the inner request

    $c->exchange($bytes, split => 20_000);
    like($c->read_plain(), qr{^HTTP/1.1 413 },
         'the same bytes in smaller POSTs');
}


# Headers that do not apply to responses of an endpoint.

sub headers {
    my %headers = (
        'a content coding'   => { 'Content-Encoding' => 'gzip' },
        'a range'            => { Range => 'bytes=0-1' },
        'conditions'         => { 'If-Match' => '"x"', 'If-None-Match' => '*' },
        'Accept'             => { Accept => 'text/html' },
    );

    for my $name (sort keys %headers) {
        my $c = $t->established(headers => $headers{$name});

        is_hello($c, "$name: ignored");
        is($c->last_response()->status(), 200, "$name: status");
    }

    my $c = $t->established(type => 'Application/ATLS; charset=x');

    is_hello($c, 'case and parameters of the media type are ignored');
    is($c->last_response()->header('Content-Type'), 'application/atls',
       'the response has the media type of the request');
}


# Two requests in one POST, whose end is sent after the first response.

sub both_ways {
    my $c = $t->established();

    $c->write_plain($get);
    my $first = $c->tls_out();
    $c->write_plain($get);
    my $second = $c->tls_out();

    my $s = $c->begin_post($first, 'Content-Length' => length $first . $second);

    ok(readable($s, patience()), 'the response begins before the request ends');
    send_all($s, $second);

    is(() = $c->end_post($s) =~ /hello\n/g, 2,
       'it contains both inner responses');
}


sub whole_records {
    my $c = $t->established();

    $c->write_plain("GET /service/ HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my $body = $c->post($c->tls_out())->body();

    while (length $body >= 5) {
        my $length = 5 + unpack 'x3 n', $body;
        last if $length > length $body;
        substr $body, 0, $length, '';
    }

    is($body, '', 'the response ends at the end of a record');
}


sub no_half_closing {
    my $c = $t->established();
    my $cookie = $c->cookie();

    $c->write_plain($get);
    $c->tls_shutdown();
    $c->exchange($c->tls_out());

    like($c->read_plain(), qr/hello\n\z/, 'close_notify after a request');
    ok($c->closed(), 'close_notify closes both directions');
    gone($c, $cookie, 'close_notify ends the session');

    # a close_notify of the server

    $c = $t->established();
    $cookie = $c->cookie();

    like($c->request("GET / HTTP/1.0\r\n\r\n"), qr/hello\n\z/,
         'an HTTP/1.0 request');
    ok($c->closed(), 'the session ends after the response');
    $c->tls_shutdown();
    gone($c, $cookie, 'a POST with the close_notify in return: 410',
         $c->tls_out());
}


sub alpn {
    my %chosen = (
        'http/1.1'            => [ qw( http/0.9 http/1.0 http/1.1 ) ],
        'http/1.0'            => [ qw( h2 http/0.9 http/1.0 ) ],
    );

    for my $name (sort keys %chosen) {
        my $c = $t->established(alpn => $chosen{$name});

        is($c->alpn(), $name, "ALPN: $name");
    }

    my $c = $t->client(alpn => [ 'h2' ]);

    ok(!$c->handshake(), 'ALPN: no supported protocol');
    is(($c->alerts())[0], 120, 'ALPN: no_application_protocol');
    is($c->last_response()->header('Set-Cookie'), undef,
       'ALPN: a failed first POST has no Set-Cookie');
}


sub suites {
    my $c = $t->client(protocol => 'TLSv1.2',
                       ciphers => 'ECDHE-ECDSA-AES128-SHA256');

    ok(!$c->handshake(), 'no AEAD cipher suite');
    is(($c->alerts())[0], 40, 'no AEAD cipher suite: handshake_failure');

    $c = $t->client(protocol => 'TLSv1.1', ciphers => 'ALL:@SECLEVEL=0');

    ok(!$c->handshake(), 'TLS 1.1');
    is(($c->alerts())[0], 70, 'TLS 1.1: protocol_version');
}


sub after_the_handshake {
    my %records = (
        'change_cipher_spec'    => sub { $_[0]->record(20, "\1") },
        'a Finished'            => sub { $_[0]->record(22, "\x14\0\0\0") },
        '33 empty records'      => sub { join '', map { $_[0]->record(23, '') }
                                                  1 .. 33 },
    );

    for my $name (sort keys %records) {
        my $forge = Test::Atls::Forge->new();
        my $c = $t->established($forge->client_args());
        my $cookie = $c->cookie();

        $c->exchange($records{$name}->($forge));
        $c->read_plain();
        is(($c->alerts())[0], 10, "$name: unexpected_message");
        gone($c, $cookie, "$name: the session is gone");
    }

    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());

    $c->exchange(join '', map { $forge->record(23, '') } 1 .. 32);
    $c->exchange($forge->record(23, $get));
    like($c->read_plain(), qr/hello\n\z/, '32 empty records');
}


sub session_ids {
    my $c = $t->stack('openssl', protocol => 'TLSv1.2', tickets => 0);

    ok($c->handshake(), 'TLS 1.2 without tickets');
    is($c->get('/')->body(), "hello\n", 'TLS 1.2 without tickets: a request');

    $c = $t->stack('openssl', tickets => 0, protocol => 'TLSv1.2',
                   session => $c->session());

    ok($c->handshake(), 'a handshake with a session ID');
    ok(!$c->resumed(), 'sessions are not resumed by their ID');
}


sub raw_messages {
    my $c = $t->established(uri => '/raw');

    $backend->forget();

    like($c->request('a message'), qr/^length 9$/m, 'raw: a message');
    like($c->request('another'), qr/^length 7$/m, 'raw: another message');
    is($c->post('')->status(), 200, 'raw: an empty POST');

    is(scalar(my @requests = $backend->requests()), 2,
       'raw: an empty POST is not a message');

    # in the same POST as the end of the handshake, and alone

    $c = $t->client(uri => '/down', protocol => 'TLSv1.3');
    $c->handshake(hold => 1);

    for my $expected ($type, 'application/problem+json') {
        $c->write_plain('x');

        my $r = $c->post($c->tls_out());

        is($r->status(), 502, 'raw: status 502');
        is($r->header('Content-Type'), $expected, "raw: $expected");
        $c->tls_in($r->body()) if $expected eq $type;
    }

    is($c->read_plain(), '', 'raw: the response contains no data');
    is($c->error(), '', 'raw: valid records');
}
