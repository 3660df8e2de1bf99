#!/usr/bin/perl

# Decrypted requests are passed to backends with proxy_pass and FastCGI: from
# locations of a server, and from locations of endpoints.
#
# t/nginx-modules.t tests other modules of nginx.

use strict;
use warnings;

use Digest::MD5 qw( md5_hex );
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::FastCgi;
use Test::Atls::Inner;
use Test::Atls::Pattern qw( pattern pattern_md5 );

my $large = 1 << 20;

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format inner '$remote_addr|$request|$status|$atls|';

upstream backend {
    server 127.0.0.1:%%PORT_9%%;
    keepalive 8;
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location /atls {
        atls on;
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
}

server {
    listen 127.0.0.1:%%PORT_1%%;

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

    location /small {
        atls on;
        client_max_body_size 10k;
        proxy_pass http://backend;
    }
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

Test::Atls::FastCgi::start($t, $t->port(8));

$t->run();

routed();
routed_uri();
pinned();
outside();
pinned_uri();
pinned_limit();
fastcgi($_) for 0, 1;

$t->done_testing();


# proxy_pass with a cache of connections.

sub routed {
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

    my @requests = $backend->requests();
    my %connections = map { $_->{connection} => 1 } @requests;

    # one for each worker process

    cmp_ok(scalar keys %connections, '<', scalar @requests,
           'connections to the backend are kept');
}


# proxy_pass with a URI.

sub routed_uri {
    my $c = client(0, '/atls');

    $c->get('/uri/x/y?a=b');
    is(seen(), 'GET /base/x/y?a=b', 'proxy_pass with a URI, routed');
    $c->get('/uri/');
    is(seen(), 'GET /base/', 'the prefix alone');
    $c->get('/elsewhere');
    is(seen(), 'GET /elsewhere', 'another location');
}


# An endpoint with proxy_pass receives all requests, whatever their URI.

sub pinned {
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

    # the log also contains the POSTs

    my @lines = grep { /\|on\|/ } log_lines('pinned.log', 2 * 10 + 2);

    like($lines[0], qr/^127\.0\.0\.1\|GET \/ HTTP\/1\.1\|200\|/,
         'the location logs pinned requests');
    is(scalar @lines, 10, 'all of them');
}


# The same locations for requests without ATLS.

sub outside {
    like(http_raw($t->port(1), "GET /proxy/nested HTTP/1.0\r\n\r\n"),
         qr/^nested$/m, 'a nested location does not inherit atls on');
    like(http_raw($t->port(1), "GET /proxy/other HTTP/1.0\r\n\r\n"),
         qr!^HTTP/1\.1 405 !, 'its parent has it');
}


# An endpoint whose proxy_pass has a URI.

sub pinned_uri {
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


# client_max_body_size of an endpoint.

sub pinned_limit {
    my $c = client(1, '/small');

    my $r = $c->http("POST /x HTTP/1.1\r\nHost: localhost\r\n"
                     . "Content-Length: 10241\r\n\r\nbegin");

    is($r && $r->status(), 413, 'client_max_body_size, pinned');
    is(seen(), '', 'the backend sees nothing of it');

    $c = client(1, '/small');
    is($c->http(request('POST', '/body', 'x' x 9000))->body(), 'x' x 9000,
       'a shorter body');
}


sub fastcgi {
    my ($port) = @_;

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
