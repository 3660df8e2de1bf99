#!/usr/bin/perl

# atls_payload raw: the decrypted data of a POST are the body of a request to
# the content handler of the location.

use strict;
use warnings;

use Digest::MD5 qw( md5_hex );
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::FastCgi;
use Test::Atls::Pattern qw( pattern pattern_md5 );

my $large = 2 << 20;

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_payload raw;

client_max_body_size 5m;

log_format inner '$atls|$request|$status|$remote_addr|$atls_protocol';

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /raw {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        access_log inner.log inner;
    }

    location /body {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_set_header Host $host;
    }

    location /streamed {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%/body;
        proxy_http_version 1.1;
        proxy_request_buffering off;
    }

    location /big {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /chunked {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
    }

    location /status {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /die {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /mixed {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%/status?code=$arg_code;
    }

    location /fcgi {
        atls on;
        fastcgi_pass 127.0.0.1:%%PORT_2%%;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param REQUEST_URI $request_uri;
        fastcgi_param CONTENT_TYPE $content_type;
        fastcgi_param CONTENT_LENGTH $content_length;
        fastcgi_param QUERY_STRING $query_string;
        fastcgi_param ATLS $atls_protocol;
    }

    location /down {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_3%%;
    }

    location /return {
        atls on;
        return 200 "returned\n";
    }

    location /small {
        atls on;
        client_max_body_size 4k;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

my $backend = Test::Atls::Backend->start($t, $t->port(1));

Test::Atls::FastCgi::start($t, $t->port(2));

$t->run();


sub client {
    my ($uri, %args) = @_;

    my $c = $t->client(uri => $uri, %args);

    ok($c->handshake(), "$uri: handshake") or diag($c->error());
    $backend->forget();

    return $c;
}


# The number of requests received by the service.

sub seen {
    my @requests = $backend->requests();

    return scalar @requests;
}


sub header {
    my ($request, $name) = @_;

    return join ',', map { $_->[1] } grep { lc $_->[0] eq lc $name }
                     @{$request->{headers}};
}


# Four tests.

sub is_bad_gateway {
    my ($r, $name) = @_;

    is($r && $r->status(), 502, "$name: status") or return;
    is($r->header('Content-Type'), 'application/problem+json',
       "$name: media type");
    is(eval { decode_json($r->body())->{status} }, 502, "$name: body");
    unlike($r->header('Set-Cookie') // '', qr/Max-Age=0/,
           "$name: the cookie stays");
}


# the request received by the service

for my $protocol ('TLSv1.3', 'TLSv1.2') {
    my $c = client('/raw/of?a=b', protocol => $protocol);

    is(seen(), 0, 'a handshake makes no request');
    like($c->set_cookie(), qr!; Path=/raw;!, 'cookie');

    like($c->request('hello'), qr/\nlength 5\nmd5 \Q@{[ md5_hex('hello') ]}\E/,
         "$protocol: the body of the answer, and nothing else");

    my ($request) = $backend->requests();

    is($request->{method}, 'POST', 'method');
    is($request->{uri}, '/raw/of?a=b', 'URI');
    is(header($request, 'Content-Type'), 'application/octet-stream',
       'Content-Type');
    is(header($request, 'Cookie'), '', 'no cookie');
    is($request->{length}, 5, 'length');
    is($request->{first}, 'hello', 'body');

    # more requests

    for my $n (2 .. 10) {
        $c->request("message $n");
    }

    is(join(' ', map { $_->{first} } $backend->requests()),
       join(' ', 'hello', map { "message $_" } 2 .. 10), 'several POSTs');
    is(scalar(grep { $_->{aborted} } $backend->requests()), 0, 'all whole');
}

like($t->read_log('inner.log'),
     qr!^on\|POST /raw/of\?a=b HTTP/1\.1\|200\|127\.0\.0\.1\|TLSv1\.3$!m,
     'its line in the log');

# the Host of the outer request

{
    my $c = client('/body', host_header => 'example.org');

    is($c->request('hello'), 'hello', 'the body comes back');
    is(header(($backend->requests())[0], 'Host'), 'example.org', 'Host');
}

# several records in one POST are one body

{
    my $c = client('/body');

    $c->write_plain($_) for qw( one two three );
    $c->exchange($c->tls_out());
    is($c->read_plain(), 'onetwothree', 'several records in a POST');
    is(seen(), 1, 'one request');
}

# data that look like HTTP

{
    my $c = client('/body');
    my $http = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n0\r\n\r\n";

    is($c->request($http), $http, 'a body that looks like HTTP');

    my $preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    is($c->request($preface), $preface, 'and one that looks like HTTP/2');

    my $binary = join '', map { chr } 0 .. 255;

    is($c->request($binary), $binary, 'all bytes there are');
}

# large bodies in both directions

for my $uri ('/body', '/streamed') {
    my $c = client($uri);
    my $body = pattern($large);

    is(md5_hex($c->request($body)), md5_hex($body), "$uri: 2 MB both ways");
    is($c->request('again'), 'again', "$uri: and again");
}

{
    my $c = client("/big?size=$large");

    is(md5_hex($c->request('x')), pattern_md5($large), '2 MB of an answer');

    $c = client("/big?size=$large&chunked=1");
    is(md5_hex($c->request('x')), pattern_md5($large), 'without a length');

    $c = client('/chunked');
    is($c->request('x'), "one\ntwo\nthree\n", 'a chunked answer');
    is($c->request('x'), "one\ntwo\nthree\n", 'and again');
}

# with outer chunked bodies and HTTP/1.0

for my $outer (qw( http10 http11-chunked )) {
    my $c = client('/body', outer => $outer);

    is($c->request($_), $_, $outer) for 'hello', pattern(100_000);
}

# the first payload, in the POST of the client's Finished

for my $protocol ('TLSv1.3') {
    my $c = $t->client(uri => '/body', protocol => $protocol);

    $c->handshake(hold => 1);
    $backend->forget();
    is($c->request('early bird'), 'early bird', 'with the client\'s Finished');
    is($c->posts(), 2, 'two POSTs');
    is($c->request('later'), 'later', 'and another one');
}

# without decrypted data, there is no request

{
    my $c = client('/body');
    my $r = $c->post('');

    is($r->status(), 200, 'an empty POST');
    is($r->body(), '', 'is answered with nothing');
    is(seen(), 0, 'and makes no request');

    $c->write_plain('split');
    my $record = $c->tls_out();

    $r = $c->post(substr $record, 0, 10);
    is($r->status(), 200, 'half a record');
    is($r->body(), '', 'is answered with nothing');
    is(seen(), 0, 'and makes no request');

    $c->exchange(substr $record, 10);
    is($c->read_plain(), 'split', 'the other half does');
}

# a part of a record after a complete one is kept for the next POST

{
    my $c = client('/body');

    $c->write_plain('first');
    my $one = $c->tls_out();
    $c->write_plain('second');
    my $two = $c->tls_out();

    $c->exchange($one . substr $two, 0, 7);
    is($c->read_plain(), 'first', 'a record and a half');
    $c->exchange(substr $two, 7);
    is($c->read_plain(), 'second', 'the rest');
}

# FastCGI

{
    my $c = client('/fcgi?q=1');
    my $answer = $c->request('hello');

    like($answer, qr/^CONTENT_TYPE=application\/octet-stream$/m,
         'FastCGI: Content-Type');
    like($answer, qr/^REQUEST_METHOD=POST$/m, 'FastCGI: method');
    like($answer, qr/^REQUEST_URI=\/fcgi\?q=1$/m, 'FastCGI: URI');
    like($answer, qr/^ATLS=TLSv1\.3$/m, 'FastCGI: a variable');
    like($answer, qr/^length 5$/m, 'FastCGI: length');
    unlike($answer, qr/^Status:|^Content-Type:/m, 'FastCGI: no header');

    my $body = pattern($large);
    my $md5 = md5_hex($body);

    like($c->request($body), qr/^length $large\nmd5 $md5$/m,
         'FastCGI: 2 MB of a body');

    $c = client("/fcgi?size=$large");
    is(md5_hex($c->request('x')), pattern_md5($large),
       'FastCGI: 2 MB of an answer');
}

{
    my $c = client('/return');

    is($c->request('x'), "returned\n", 'return');
    is($c->request('y'), "returned\n", 'return again');
}

# other statuses

for my $code (204, 301, 302, 400, 401, 404, 500, 503) {
    my $c = client("/status?code=$code");

    $c->write_plain('x');
    my $r = $c->post($c->tls_out());

    if ($code == 204) {
        is($r->status(), 200, '204 is none of them');
        is($r->body(), '', 'its answer is empty');
    } else {
        is_bad_gateway($r, $code);
    }

    $c->write_plain('y');
    $c->post($c->tls_out());
    is(join(' ', map { $_->{first} } $backend->requests()), 'x y',
       "$code: the session goes on");
}

# after a refused payload, the next one is served in the same session

{
    my $c = client('/mixed');

    for my $case ([ 404, 502 ], [ 200, 200 ], [ 500, 502 ], [ 200, 200 ]) {
        my ($code, $status) = @$case;

        $c->http_client()->{uri} = "/mixed?code=$code";
        $c->write_plain('x');
        my $r = $c->post($c->tls_out());

        is($r->status(), $status, "$code of the service");
        next if $status != 200;
        $c->tls_in($r->body());
        is($c->read_plain(), "status 200\n", 'the answer is right');
    }
}

# the service is down

{
    my $c = client('/down');

    for (1 .. 2) {
        $c->write_plain('x');
        is_bad_gateway($c->post($c->tls_out()), 'backend down');
    }

    # the same with the first payload, whose response also contains handshake
    # records

    for my $protocol ('TLSv1.3', 'TLSv1.2') {
        $c = $t->client(uri => '/down', protocol => $protocol);
        $c->handshake(hold => $protocol eq 'TLSv1.3');
        $c->write_plain('x');
        is($c->post($c->tls_out())->status(), 502,
           "backend down, $protocol, first payload");
        is($c->post('')->status(), 200, 'the session goes on');
    }
}

# the service closes the connection within the response

{
    my $c = client('/die');

    $c->write_plain('x');
    my $r = $c->post($c->tls_out());

    ok($r, 'a broken answer') or last;
    $c->tls_in($r->body());
    is($c->read_plain(), pattern(50000), 'as much as there was');
    is_deeply([ $c->alerts() ], [ 80 ], 'the session ends by an error');
}

# the limit of the body also applies to the payload

{
    my $c = client('/small');

    $c->write_plain('x' x 3900);
    is($c->post($c->tls_out())->status(), 200, 'within client_max_body_size');
}

$t->done_testing();
