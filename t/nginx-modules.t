#!/usr/bin/perl

# What other modules of nginx do with decrypted requests: static files, returns,
# error pages, access, limits, virtual servers, rewriting, logs, addresses.  The
# same as for requests of any other connection.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Uncompress::Gunzip qw( gunzip );
use MIME::Base64 qw( encode_base64 );
use Test::More;

use Test::Atls;
use Test::Atls::Inner;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response qw( parse_responses );

my $has_h2 = $t->has_option('http_v2_module');
my $has_realip = $t->has_option('http_realip_module');
my ($listen_h2, $http2) = $t->http2();

my $text = pattern(100_000);

my %parts = (
    LISTEN_H2 => $listen_h2,
    HTTP2     => $http2,
    REALIP    => $has_realip ? 'set_real_ip_from 127.0.0.0/8;'
                               . ' real_ip_header X-Real-IP;' : '',
);

my $conf = http_conf(<<'EOC');
%%CERTIFICATE%%

log_format inner '$remote_addr|$request|$status|$body_bytes_sent|$atls|'
                 '$atls_protocol|$atls_cipher|$atls_server_name|'
                 '$atls_session_requests|$atls_session_id|$scheme|$http_test';
log_format outer '$remote_addr|$request|$status|[$atls$atls_protocol'
                 '$atls_session_id$atls_session_requests]';

limit_req_zone $binary_remote_addr zone=limited:1m rate=1r/m;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

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

    location /atls-real {
        %%REALIP%%
        atls on;
    }

    location /from {
        return 200 "$remote_addr\n";
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

        proxy_pass http://127.0.0.1:%%PORT_9%%;
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name other.example *.wild.example;

    location / {
        return 200 "other $host $uri\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name third.example;

    location /atls {
        atls on;
    }

    location / {
        return 200 "third $host $uri\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;

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
        proxy_pass http://127.0.0.1:%%PORT_9%%;
    }

    location /auth {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_9%%;
        error_page 404 = /return;
        proxy_intercept_errors on;
    }
}

server {
    listen 127.0.0.1:%%PORT_2%% %%LISTEN_H2%%;
    listen 127.0.0.1:%%PORT_3%%;
    %%HTTP2%%

    location /atls {
        atls on;
    }

    location / {
        return 200 "inner\n";
    }
}
EOC

$conf =~ s/%%$_%%/$parts{$_}/g for keys %parts;

$t->write_conf($conf);
$t->write_file('users', "alice:{PLAIN}secret\n");
$t->write_file('files/static/text.txt', $text);
$t->write_file('files/static/index.html', "index\n");
$t->write_file("files/$_/index.html", "$_\n") for qw( auth limited );
$t->write_file('files/internal.html', "not found inside\n");
$t->write_file('files/errors/index.html', "no error\n");
$t->run();

static_files();
returned();
error_pages();
auth_basic();
limit_req();
virtual_servers();
rewrite();
logs();
endpoints();

SKIP: {
    skip 'no http_realip_module', 5 unless $has_realip;
    realip();
}

SKIP: {
    skip 'no http_v2_module', 10 unless $has_h2;
    no_http2($_) for 2, 3;
}

$t->done_testing();


sub static_files {
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

    is($c->get('/static/')->body(), "index\n", 'and the session goes on');
}


sub returned {
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


sub error_pages {
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

    # from an endpoint to another one

    $c = client(1, '/auth');
    is($c->get('/status?code=404')->status(), 404,
       'error_page does not lead into another endpoint');
    is($c->get('/echo')->status(), 200, 'and the session goes on');
}


sub auth_basic {
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


sub limit_req {
    my $c = client(0, '/atls');

    is($c->get('/limited/')->status(), 200, 'limit_req, the first request');
    is($c->get('/limited/')->status(), 503, 'the second one');

    my $other = client(0, '/atls', local => '127.0.0.3');

    is($other->get('/limited/')->status(), 200, 'of another client');
}


sub virtual_servers {
    # without SNI, any server can be requested

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

    my @r = parse_responses($c->request(join '', map {
                request('GET', '/x', '', Host => $_)
            } 'other.example', 'third.example'));

    is(join('', map { $_->body() } @r),
       "other other.example /x\nthird third.example /x\n",
       'two servers in one POST');

    # the default server is that of the POST

    $c = client(0, '/atls', sni => '', host_header => 'third.example');
    is($c->get('/x', Host => 'unknown.example')->body(),
       "third unknown.example /x\n", 'an outer server that is not the default');
    is($c->http("GET /x HTTP/1.0\r\n\r\n")->body(), "third third.example /x\n",
       'without a Host');
}


sub rewrite {
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


sub logs {
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


# Endpoints are not available to decrypted requests.

sub endpoints {
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


sub realip {
    my $c = client(0, '/atls-real', headers => { 'X-Real-IP' => '192.0.2.7' });

    is($c->get('/from')->body(), "192.0.2.7\n", 'realip of the outer request');
    is($c->get('/from', 'X-Real-IP' => '192.0.2.9')->body(), "192.0.2.7\n",
       'the inner header is another one');

    # another client on the same outer connection

    $c->{headers}{'X-Real-IP'} = '2001:db8::7';
    is($c->get('/from')->body(), "2001:db8::7\n", 'an IPv6 address');

    $c->{headers} = {};
    is($c->get('/from')->body(), "127.0.0.1\n", 'none');
}


# Inner connections do not use HTTP/2.

sub no_http2 {
    my ($port) = @_;

    # with the listen parameter of old versions, all connections of a socket
    # use HTTP/2, the outer ones, too

    my $c = client($port, '/atls', $port == 2 ? (outer => 'h2') : ());

    is($c->get('/')->body(), "inner\n", 'HTTP/1.1 inside');

    my $cookie = $c->cookie();
    my $got = $c->request("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                          . "\0\0\0\4\0\0\0\0\0");

    unlike($got, qr/^\0\0/, 'no HTTP/2 inside');
    is($c->cookie(), undef, 'the session is over');
    is($c->post('', cookie => "atls=$cookie")->status(), 410, 'and gone');
}
