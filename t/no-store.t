#!/usr/bin/perl

# Responses of an endpoint must not be stored by caches: each of them, including
# nginx's own errors, has one Cache-Control header, "no-store", and no Expires.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_raw parse_responses );

my $TYPE = 'application/atls+octet-stream';

my $t = Test::Atls->new(workers => 4);

$t->write_file('passwords', "user:{PLAIN}secret\n");
$t->write_file('error.html', "an error page\n");

my $listen = $t->has_option('http_v2_module') && !$t->has_version('1.25.1')
             ? 'http2' : '';
my $http2 = $t->has_option('http_v2_module') && $t->has_version('1.25.1')
            ? 'http2 on;' : '';

$t->write_http(<<"EOC");
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%

limit_req_zone \$uri\$server_port zone=limit:1m rate=1r/m;
limit_req_status 429;
expires 1h;

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%% ssl $listen;
    $http2

    location = /atls { atls on; }

    location /add {
        atls on;
        expires max;
        add_header Cache-Control "public, max-age=60" always;
        add_header Expires "Thu, 31 Dec 2037 23:55:55 GMT" always;
        add_header X-Other yes always;
        return 200 "inner\\n";
    }

    location /slash/ { atls on; proxy_pass http://127.0.0.1:1; }
    location /denied { atls on; deny all; }
    location /auth {
        atls on;
        auth_basic closed;
        auth_basic_user_file %%TESTDIR%%/passwords;
    }
    location /limited { atls on; limit_req zone=limit; }
    location /small { atls on; client_max_body_size 1k; }
    location /internal { atls on; internal; }
    location /page {
        atls on;
        deny all;
        error_page 403 /error.html;
    }
    location /page-small {
        atls on;
        client_max_body_size 1k;
        error_page 413 =400 /error.html;
    }
    location /named {
        atls on;
        deny all;
        error_page 403 = \@named;
    }
    location \@named { return 404; }
    location /fail { atls on; auth_request /none; }
    location = /none { proxy_pass http://127.0.0.1:1; }

    location /open { return 200 "open\\n"; }
}
EOC

# name, port, method, URI, headers and body, status

my $BIG = 'x' x 2000;

my @CASES = (
    (map { [ "$_: a method", $_, '/atls', '', '', 405 ] }
     qw( GET HEAD PUT DELETE OPTIONS PATCH )),
    [ 'another type', 'POST', '/atls', 'text/plain', 'body', 415 ],
    [ 'nothing', 'POST', '/atls', $TYPE, '', 400 ],
    [ 'no TLS', 'POST', '/atls', $TYPE, "GET / HTTP/1.1\r\n\r\n",
      400 ],
    [ 'no session', 'POST', '/atls', $TYPE, "\x17\x03\x03\0\1x", 410,
      'Cookie: atls=' . 'A' x 24 ],
    [ 'a broken body', 'POST', '/atls', $TYPE, undef, 400 ],
    [ 'a lack of slash', 'POST', '/slash', $TYPE, '', 301 ],
    [ 'deny', 'POST', '/denied', $TYPE, 'x', 403 ],
    [ 'deny, GET', 'GET', '/denied', '', '', 403 ],
    [ 'auth_basic', 'POST', '/auth', $TYPE, 'x', 401 ],
    [ 'limit_req, first', 'GET', '/limited', '', '', 405 ],
    [ 'limit_req', 'GET', '/limited', '', '', 429 ],
    [ 'too large', 'POST', '/small', $TYPE, $BIG, 413 ],
    [ 'too large, another type', 'POST', '/small', 'text/plain', $BIG, 413 ],
    [ 'internal', 'GET', '/internal', '', '', 404 ],
    [ 'error_page', 'GET', '/page', '', '', 403 ],
    [ 'error_page, POST', 'POST', '/page', $TYPE, 'x', 403 ],
    [ 'error_page before the location', 'POST', '/page-small', $TYPE, $BIG,
      400 ],
    [ 'error_page, a named location', 'GET', '/named', '', '', 404 ],
    [ 'auth_request', 'POST', '/fail', $TYPE, 'x', 500 ],
    [ 'no endpoint', 'POST', '/open', $TYPE, 'x', 200 ],
    [ 'no location', 'POST', '/nowhere', "$TYPE; a=b", 'x', 404 ],
    [ 'add_header', 'GET', '/add', '', '', 405 ],
);

$t->run();

for my $tls (0, 1) {
    for my $case (@CASES) {
        my ($name, $method, $uri, $type, $body, $status, @headers) = @$case;

        my $r = request($tls, $method, $uri, $type, $body, @headers);

        is($r->status(), $status, "$name: status");
        is(stored($r), 'no-store', "$name: is not to be stored");
    }
}

# responses with records

for my $outer (qw( http10 http11 http11-chunked )) {
    my $c = client('/add', outer => $outer);

    is(stored($c->last_response()), 'no-store', "$outer: handshake");
    is($c->get('/')->body(), "inner\n", "$outer: a request");
    is(stored($c->last_response()), 'no-store', "$outer: its POST");
    is($c->last_response()->header('X-Other'), 'yes',
       "$outer: other headers are there");
}

# relayed POSTs

for (1 .. 8) {
    my $c = client('/add', keepalive => 0);

    is(stored($c->last_response()), 'no-store', 'relayed: handshake');
    is($c->get('/')->body(), "inner\n", 'relayed: a request');
    is(stored($c->last_response()), 'no-store', 'relayed: its POST');
}

if ($http2 || $listen) {
    my $c = client('/atls', port => $t->port(1), outer => 'h2', tls => 1);

    is(stored($c->last_response()), 'no-store', 'HTTP/2: handshake');
    $c->get('/open');
    is(stored($c->last_response()), 'no-store', 'HTTP/2: a request');
}

# inner responses, and those of other locations, are not changed

{
    my $c = client('/add');
    my $r = $c->get('/');

    is(join(', ', $r->header('Cache-Control')),
       'max-age=315360000, public, max-age=60', 'inside: as it is set');
    is(scalar(() = $r->header('Expires')), 2, 'inside: Expires');

    $r = request(0, 'GET', '/open', '', '');
    is(join(', ', $r->header('Cache-Control')), 'max-age=3600',
       'no endpoint: as it is set');
    is(scalar(() = $r->header('Expires')), 1, 'no endpoint: Expires');
    is(scalar(() = request(0, 'POST', '/open', 'text/plain', 'x')
                   ->header('Expires')), 1, 'no endpoint: POST');
}

$t->done_testing();


sub client {
    my ($uri, %args) = @_;

    my $c = $t->client(uri => $uri, %args);

    $c->handshake(hold => $args{keepalive} ? 0 : 1)
        or die "$uri: no handshake: " . $c->error() . "\n";

    return $c;
}


sub request {
    my ($tls, $method, $uri, $type, $body, @headers) = @_;

    push @headers, "Content-Type: $type" if $type;
    push @headers, defined $body ? 'Content-Length: ' . length $body
                                 : 'Transfer-Encoding: chunked'
        if $type;

    my ($r) = parse_responses(http_raw($t->port($tls), join("\r\n",
                  "$method $uri HTTP/1.1", 'Host: localhost',
                  'Connection: close', @headers, '', '')
                  . (defined $body ? $body : "no chunk\r\n"),
                  tls => $tls, answers => [ $method ]), $method);

    return $r;
}


sub stored {
    my ($r) = @_;

    return join ', ', $r->header('Cache-Control'),
                      map { "Expires $_" } $r->header('Expires');
}
