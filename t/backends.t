#!/usr/bin/perl

# What may serve decrypted requests, and what nginx does with them on the way:
# all that it does with requests of any other connection.

use strict;
use warnings;

use Digest::MD5 qw( md5_hex );
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Uncompress::Gunzip qw( gunzip );
use MIME::Base64 qw( encode_base64 );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::FastCgi;
use Test::Atls::Pattern qw( pattern pattern_md5 );

my $large = 1 << 20;

my $t = Test::Atls->new();

my $has_h2 = $t->has_option('http_v2_module');
my $has_realip = $t->has_option('http_realip_module');

my ($listen_h2, $http2) = !$has_h2 ? ('', '')
                          : $t->has_version('1.25.1') ? ('', 'http2 on;')
                          : ('http2', '');

my $real_ip = $has_realip
              ? 'set_real_ip_from 127.0.0.0/8; real_ip_header X-Real-IP;' : '';

$t->make_cert('localhost');
$t->write_http(<<"EOC");
include main.conf;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    include routed.conf;

    location /from {
        return 200 "\$remote_addr\\n";
    }

    location /atls-real {
        $real_ip
        atls on;
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name other.example *.wild.example;

    location / {
        return 200 "other \$host \$uri\\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name third.example;

    location /atls {
        atls on;
    }

    location / {
        return 200 "third \$host \$uri\\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;

    include pinned.conf;
}

server {
    listen 127.0.0.1:%%PORT_2%% $listen_h2;
    listen 127.0.0.1:%%PORT_3%%;
    $http2

    location /atls {
        atls on;
    }

    location / {
        return 200 "inner\\n";
    }
}
EOC

$t->write_file('main.conf', $t->expand(<<'EOC'));
atls_certificate localhost.crt;
atls_certificate_key localhost.key;

log_format inner '$remote_addr|$request|$status|$body_bytes_sent|$atls|'
                 '$atls_protocol|$atls_cipher|$atls_server_name|'
                 '$atls_session_requests|$atls_session_id|$scheme|$http_test';
log_format outer '$remote_addr|$request|$status|[$atls$atls_protocol'
                 '$atls_session_id$atls_session_requests]';

limit_req_zone $binary_remote_addr zone=limited:1m rate=1r/m;

upstream backend {
    server 127.0.0.1:%%PORT_9%%;
    keepalive 8;
}
EOC

$t->write_file('routed.conf', $t->expand(<<'EOC'));
location /atls {
    atls on;
    access_log outer.log outer;
}

location /atls-too {
    atls on;
}

location /atls-pinned {
    atls on;
    return 200 "pinned\n";
}

location / {
    proxy_pass http://backend;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
}

location /uri/ {
    proxy_pass http://backend/base/;
}

location /fcgi {
    include fastcgi.conf;
}

location /static/ {
    root files;
    gzip on;
    gzip_types text/plain;
    access_log inner.log inner;
}

location /return {
    return 200 "returned $request_uri\n";
}

location /redirect {
    return 302 /static/;
}

location /errors/ {
    root files;
    error_page 404 /internal.html;
    error_page 403 = @named;

    location /errors/forbidden {
        deny all;
    }

    location /errors/unreachable {
        error_page 502 @named;
        proxy_pass http://127.0.0.1:1;
    }
}

location = /internal.html {
    internal;
    root files;
}

location @named {
    return 200 "named $uri\n";
}

location /auth/ {
    auth_basic "inside";
    auth_basic_user_file users;
    root files;
}

location /limited/ {
    limit_req zone=limited;
    root files;
}

location /if/ {
    if ($arg_a = 1) {
        return 402;
    }

    rewrite ^/if/local/(.*)$ /static/$1 last;
    rewrite ^/if/(.*)$ /rewritten/$1 break;

    proxy_pass http://backend;
}
EOC

$t->write_file('pinned.conf', $t->expand(<<'EOC'));
location /proxy {
    atls on;
    proxy_pass http://backend;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    access_log pinned.log inner;

    location /proxy/nested {
        return 200 "nested\n";
    }
}

location /uri/ {
    atls on;
    proxy_pass http://backend/base/;
}

location /long-prefix-of-a-location/ {
    atls on;
    proxy_pass http://backend/;
}

location /fcgi {
    atls on;
    include fastcgi.conf;
}

location /return {
    atls on;
    return 200 "returned $request_uri\n";
}

location /if {
    atls on;

    if ($arg_a = 1) {
        return 402;
    }

    rewrite ^/if/(.*)$ /rewritten/$1 break;
    proxy_pass http://backend;
}

location /small {
    atls on;
    client_max_body_size 10k;
    proxy_pass http://backend;
}

location /auth {
    atls on;
    proxy_pass http://backend;
    error_page 404 = /return;
    proxy_intercept_errors on;
}

location / {
    return 200 "elsewhere $uri\n";
}
EOC

$t->write_file('fastcgi.conf', $t->expand(<<'EOC'));
fastcgi_pass 127.0.0.1:%%PORT_8%%;
fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param REQUEST_URI $request_uri;
fastcgi_param QUERY_STRING $query_string;
fastcgi_param CONTENT_TYPE $content_type;
fastcgi_param CONTENT_LENGTH $content_length;
fastcgi_param REMOTE_ADDR $remote_addr;
fastcgi_param ATLS $atls;
fastcgi_param ATLS_PROTOCOL $atls_protocol;
fastcgi_param ATLS_SESSION_ID $atls_session_id;
EOC

my $text = pattern(100_000);

$t->write_file('users', "alice:{PLAIN}secret\n");
$t->write_file('files/static/text.txt', $text);
$t->write_file('files/static/index.html', "index\n");
$t->write_file("files/$_/index.html", "$_\n") for qw( auth limited );
$t->write_file('files/internal.html', "not found inside\n");
$t->write_file('files/errors/index.html', "no error\n");

my $backend = Test::Atls::Backend->start($t, $t->port(9));

Test::Atls::FastCgi::start($t, $t->port(8));

$t->run();


sub client {
    my ($port, $uri, %args) = @_;

    my $c = Test::Atls::Client->new(port => $t->port($port), uri => $uri,
                                    %args);

    ok($c->handshake(), "$uri: handshake") or diag($c->error());
    $backend->forget();

    return $c;
}


sub request {
    return Test::Atls::Client::format_request(@_);
}


# What the backend was asked for last, whatever the version of HTTP.

sub seen {
    my $last = ($backend->requests())[-1] || return '';

    return $last->{line} =~ s! HTTP/1\.\d$!!r;
}


sub log_lines {
    my ($name, $n) = @_;

    my @lines;

    $t->wait_for(sub { (@lines = split /\n/, $t->read_file($name)) >= $n });

    return @lines;
}


# proxy_pass, with connections kept to the backend

{
    my $c = client(0, '/atls');
    my $body = pattern(50_000);

    for my $n (1 .. 5) {
        is($c->get("/echo?n=$n")->status(), 200, "proxy_pass, request $n");
    }

    is($c->http(request('POST', '/body', $body))->body(), $body,
       'proxy_pass, a body');
    is(md5_hex($c->get("/big?size=$large")->body()), pattern_md5($large),
       'proxy_pass, 1 MB');
    is($c->get('/chunked')->body(), "one\ntwo\nthree\n",
       'proxy_pass, a chunked answer');
    is($c->get('/eof')->body(), "until the end\n",
       'proxy_pass, an answer that ends with its connection');

    my %connections = map { $_->{connection} => 1 } $backend->requests();
    my $requests = scalar(my @all = $backend->requests());

    # four workers may have one each

    cmp_ok(scalar keys %connections, '<', $requests,
           'connections to the backend are kept');
}

# proxy_pass with a URI part, routed

{
    my $c = client(0, '/atls');

    $c->get('/uri/x/y?a=b');
    is(seen(), 'GET /base/x/y?a=b', 'proxy_pass with a URI, routed');
    $c->get('/uri/');
    is(seen(), 'GET /base/', 'the prefix alone');
    $c->get('/elsewhere');
    is(seen(), 'GET /elsewhere', 'another location');
}

# proxy_pass, pinned: whatever the URI

{
    my $c = client(1, '/proxy');

    for my $uri (qw( / /echo /proxy /proxy/x /proxy/nested /a/b?c=d /x%20y
                     /return ))
    {
        is($c->get($uri)->status(), 200, "pinned proxy_pass, $uri");
        is(seen(), "GET $uri", 'is what the backend sees');
    }

    my $body = pattern(50_000);

    is($c->http(request('POST', '/body', $body))->body(), $body,
       'pinned proxy_pass, a body');

    my ($r) = $c->http("GET http://other.example/echo HTTP/1.1\r\n"
                       . "Host: other.example\r\n\r\n");

    is($r->status(), 200, 'pinned, another Host');
    is(seen(), 'GET /echo', 'and URI form');

    # the outer requests are of this location, too

    my @lines = grep { /\|on\|/ } log_lines('pinned.log', 2 * 10 + 2);

    like($lines[0], qr/^127\.0\.0\.1\|GET \/ HTTP\/1\.1\|200\|/,
         'the location logs pinned requests');
    is(scalar @lines, 10, 'all of them');
}

# the same URIs from outside

like(http_raw($t->port(1), "GET /proxy/nested HTTP/1.0\r\n\r\n"),
     qr/^nested$/m, 'a nested location does not inherit atls on');
like(http_raw($t->port(1), "GET /proxy/other HTTP/1.0\r\n\r\n"),
     qr!^HTTP/1\.1 405 !, 'its parent has it');

# proxy_pass with a URI part, pinned

{
    my $c = client(1, '/uri/');

    for my $case ([ '/uri/x?a=b', '/base/x?a=b' ], [ '/uri/', '/base/' ],
                  [ '/', '/' ], [ '/u', '/u' ], [ '/x/y?z', '/x/y?z' ],
                  [ '/uri/%2e/x%20y', '/base/x%20y' ])
    {
        my ($uri, $passed) = @$case;

        is($c->get($uri)->status(), 200, "pinned, with a URI part: $uri");
        is(seen(), "GET $passed", "is $passed to the backend");
    }

    $c = client(1, '/long-prefix-of-a-location/');

    for my $uri ('/', '/x', '/long-prefix', '/echo?a=b') {
        $c->get($uri);
        is(seen(), "GET $uri", "a URI shorter than the prefix: $uri");
    }
}

# FastCGI

for my $port (0, 1) {
    my $c = client($port, $port ? '/fcgi' : '/atls');
    my $how = $port ? 'pinned' : 'routed';
    my $uri = $port ? '/any' : '/fcgi';

    my $body = pattern(70_000);
    my $r = $c->http(request('POST', "$uri?a=b", $body));
    my $md5 = md5_hex($body);

    is($r->status(), 200, "FastCGI, $how");
    like($r->body(), qr/^REQUEST_METHOD=POST$/m, 'method');
    like($r->body(), qr/^REQUEST_URI=\Q$uri\E\?a=b$/m, 'URI');
    like($r->body(), qr/^REMOTE_ADDR=127\.0\.0\.1$/m, 'address');
    like($r->body(), qr/^ATLS=on$/m, '$atls');
    like($r->body(), qr/^ATLS_PROTOCOL=TLSv1\.3$/m, '$atls_protocol');
    like($r->body(), qr/^ATLS_SESSION_ID=[0-9a-f]{32}$/m, '$atls_session_id');
    like($r->body(), qr/^length 70000\nmd5 $md5$/m, 'body');

    $r = $c->get("$uri?size=$large");
    is(md5_hex($r->body()), pattern_md5($large), "FastCGI, $how, 1 MB");
}

# static files

{
    my $c = client(0, '/atls');
    my $r = $c->get('/static/text.txt');

    is($r->status(), 200, 'a static file');
    is($r->body(), $text, 'all of it');
    is($r->header('Content-Encoding'), undef, 'as it is');

    my $etag = $r->header('ETag');

    $r = $c->get('/static/text.txt', 'Accept-Encoding' => 'gzip');
    is($r->header('Content-Encoding'), 'gzip', 'gzip');

    my $body = $r->body();
    my $plain;

    gunzip(\$body => \$plain);
    is($plain, $text, 'all of it, compressed');
    cmp_ok(length $body, '<', length($text) / 2, 'which is shorter');

    $r = $c->get('/static/text.txt', Range => 'bytes=100-199');
    is($r->status(), 206, 'a range');
    is($r->body(), substr($text, 100, 100), 'is that part');
    is($r->header('Content-Range'), 'bytes 100-199/100000', 'of the whole');

    $r = $c->get('/static/text.txt', Range => 'bytes=0-9,99990-');
    is($r->status(), 206, 'two ranges');
    like($r->header('Content-Type'), qr!^multipart/byteranges!, 'in parts');

    $r = $c->get('/static/text.txt', Range => 'bytes=100000-');
    is($r->status(), 416, 'a range beyond the end');

    $r = $c->get('/static/text.txt', 'If-None-Match' => $etag);
    is($r->status(), 304, 'not modified');

    ($r) = $c->http(request('HEAD', '/static/text.txt', ''));
    is($r->header('Content-Length'), 100_000, 'HEAD');

    is($c->get('/static/')->body(), "index\n", 'an index');
    is($c->get('/static/none')->status(), 404, 'no such file');

    # after all of this

    is($c->get('/static/')->body(), "index\n", 'and the session goes on');
}

# return

{
    my $c = client(0, '/atls');

    is($c->get('/return?a=b')->body(), "returned /return?a=b\n",
       'return, routed');

    my $r = $c->get('/redirect');
    is($r->status(), 302, 'a redirect');
    like($r->header('Location'), qr!(?:^|localhost[^/]*)/static/$!,
         'its Location');

    $c = client(1, '/return');
    is($c->get($_)->body(), "returned $_\n", "return, pinned, $_")
        for '/', '/return', '/any?a=b';

    like(http_raw($t->port(1), "GET /return HTTP/1.0\r\n\r\n"),
         qr!^HTTP/1\.1 405 !, 'which is not for the world outside');
}

# error_page

{
    my $c = client(0, '/atls');

    my $r = $c->get('/errors/none');
    is($r->status(), 404, 'error_page');
    is($r->body(), "not found inside\n", 'its internal location');
    is($c->get('/internal.html')->status(), 404, 'which is internal');

    $r = $c->get('/errors/forbidden');
    is($r->status(), 200, 'error_page with another status');
    is($r->body(), "named /errors/forbidden\n", 'its named location');

    is($c->get('/errors/unreachable')->body(), "named /errors/unreachable\n",
       'error_page of a dead backend');
    is($c->get('/errors/')->body(), "no error\n", 'and the session goes on');

    # from a pinned location into one with atls on of its own

    $c = client(1, '/auth');
    is($c->get('/status?code=404')->status(), 404,
       'error_page does not lead into another endpoint');
    is($c->get('/echo')->status(), 200, 'and the session goes on');
}

# auth_basic

{
    my $c = client(0, '/atls');
    my $basic = sub { 'Basic ' . encode_base64(shift, '') };

    my $r = $c->get('/auth/');
    is($r->status(), 401, 'auth_basic');
    is($r->header('WWW-Authenticate'), 'Basic realm="inside"', 'its realm');
    is($c->get('/auth/', Authorization => $basic->('alice:wrong'))->status(),
       401, 'a wrong password');
    is($c->get('/auth/', Authorization => $basic->('alice:secret'))->body(),
       "auth\n", 'the right one');
}

# limit_req

{
    my $c = client(0, '/atls');

    is($c->get('/limited/')->status(), 200, 'limit_req, the first request');
    is($c->get('/limited/')->status(), 503, 'the second one');

    my $other = client(0, '/atls', local => '127.0.0.3');

    is($other->get('/limited/')->status(), 200, 'of another client');
}

# virtual servers

{
    # a client that asks for no name may ask for any server

    my $c = client(0, '/atls', sni => '');

    is($c->get('/x', Host => 'other.example')->body(),
       "other other.example /x\n", 'a virtual server by the inner Host');
    is($c->get('/x', Host => 'a.wild.example')->body(),
       "other a.wild.example /x\n", 'by a wildcard');
    is($c->get('/from', Host => 'unknown.example')->body(), "127.0.0.1\n",
       'an unknown one is the outer server');
    is($c->get('/x', Host => 'third.example')->body(),
       "third third.example /x\n", 'and another one');

    # in one POST

    my @r = Test::Atls::Response::parse_responses($c->request(join '', map {
                request('GET', '/x', '', Host => $_)
            } 'other.example', 'third.example'));

    is(join('', map { $_->body() } @r),
       "other other.example /x\nthird third.example /x\n",
       'two servers in one POST');

    # the default is the server that the POST came to

    $c = client(0, '/atls', sni => '', host_header => 'third.example');
    is($c->get('/x', Host => 'unknown.example')->body(),
       "third unknown.example /x\n", 'an outer server that is not the default');
    is($c->http("GET /x HTTP/1.0\r\n\r\n")->body(), "third third.example /x\n",
       'without a Host');
}

# rewrite and if

{
    my $c = client(0, '/atls');

    is($c->get('/if/x?a=1')->status(), 402, 'if');
    $c->get('/if/x?a=2');
    is(seen(), 'GET /rewritten/x?a=2', 'rewrite and break');
    is($c->get('/if/local/')->body(), "index\n", 'rewrite and last');

    $c = client(1, '/if');
    is($c->get('/any?a=1')->status(), 402, 'if, pinned');
    $c->get('/if/x');
    is(seen(), 'GET /rewritten/x', 'rewrite, pinned');
    $c->get('/any');
    is(seen(), 'GET /any', 'and another URI');
}

# the logs

{
    my $c = client(0, '/atls', local => '127.0.0.2', protocol => 'TLSv1.2',
                   sni => 'name.example');
    my $r = $c->get('/static/?first', Test => 'logged');

    $c->get('/static/?second', Test => 'logged');

    my @lines = grep { /\|logged$/ } log_lines('inner.log', 2);

    $t->wait_for(sub {
        (@lines = grep { /\|logged$/ } log_lines('inner.log', 2)) == 2
    });

    my ($address, $line, $status, $bytes, $atls, $protocol, $cipher, $sni,
        $n, $id, $scheme) = split /\|/, $lines[0] || '';

    is($address, '127.0.0.2', 'access_log: $remote_addr');
    is($line, 'GET /static/?first HTTP/1.1', 'access_log: $request');
    is($status, 200, 'access_log: $status');
    is($bytes, length $r->body(), 'access_log: $body_bytes_sent');
    is($atls, 'on', 'access_log: $atls');
    is($protocol, 'TLSv1.2', 'access_log: $atls_protocol');
    is($cipher, $c->cipher(), 'access_log: $atls_cipher');
    is($sni, 'name.example', 'access_log: $atls_server_name');
    is($n, 1, 'access_log: $atls_session_requests');
    like($id, qr/^[0-9a-f]{32}$/, 'access_log: $atls_session_id');

    my @second = split /\|/, $lines[1] || '';

    is($second[8], 2, 'access_log: $atls_session_requests of the second one');
    is($second[9], $id, 'access_log: the same session');

    my @outer;

    $t->wait_for(sub {
        @outer = grep { /^127\.0\.0\.2\|/ } log_lines('outer.log', 1);
        return @outer >= $c->posts();
    });

    is(scalar @outer, $c->posts(), 'each POST is in the outer log');
    is(scalar(grep { $_ ne '127.0.0.2|POST /atls HTTP/1.1|200|[----]' } @outer),
       0, 'and nothing of what is inside');
}

# realip

SKIP: {
    skip 'no http_realip_module', 5 unless $has_realip;

    my $c = client(0, '/atls-real', headers => { 'X-Real-IP' => '192.0.2.7' });

    is($c->get('/from')->body(), "192.0.2.7\n", 'realip of the outer request');
    is($c->get('/from', 'X-Real-IP' => '192.0.2.9')->body(), "192.0.2.7\n",
       'the inner header is another one');

    # one connection, another client behind the proxy

    $c->{headers}{'X-Real-IP'} = '2001:db8::7';
    is($c->get('/from')->body(), "2001:db8::7\n", 'an IPv6 address');

    $c->{headers} = {};
    is($c->get('/from')->body(), "127.0.0.1\n", 'none');
}

# client_max_body_size of a pinned location

{
    my $c = client(1, '/small');

    my $r = $c->http("POST /x HTTP/1.1\r\nHost: localhost\r\n"
                     . "Content-Length: 10241\r\n\r\nbegin");

    is($r && $r->status(), 413, 'client_max_body_size, pinned');
    is(seen(), '', 'the backend sees nothing of it');

    $c = client(1, '/small');
    is($c->http(request('POST', '/body', 'x' x 9000))->body(), 'x' x 9000,
       'a shorter body');
}

# no ATLS inside of ATLS, and no way into another endpoint

{
    my $c = client(0, '/atls');

    for my $uri ('/atls', '/atls-too', '/atls-pinned') {
        is($c->get($uri)->status(), 404, "$uri from inside");
        is($c->http(request('POST', $uri, 'x', 'Content-Type' =>
                            'application/atls+octet-stream'))->status(),
           404, "POST $uri from inside");
    }

    is($c->get('/return')->status(), 200, 'and the session goes on');

    $c = client(0, '/atls-pinned');
    is($c->get('/return')->body(), "pinned\n", 'the pinned one has its own');
}

# HTTP/2 inside

for my $port (2, 3) {
    SKIP: {
        skip 'no http_v2_module', 5 unless $has_h2;

        # the listen parameter of old made all of a socket's connections
        # HTTP/2, so outside it has to be that

        my $c = client($port, '/atls', $port == 2 ? (outer => 'h2') : ());

        is($c->get('/')->body(), "inner\n", 'HTTP/1.1 inside');

        my $cookie = $c->cookie();
        my $got = $c->request("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                              . "\0\0\0\4\0\0\0\0\0");

        unlike($got, qr/^\0\0/, 'no HTTP/2 inside');
        is($c->cookie(), undef, 'the session is over');
        is($c->post('', cookie => "atls=$cookie")->status(), 410, 'and gone');
    }
}

$t->done_testing();
