#!/usr/bin/perl

# Requests for atls_status other than those of Prometheus and of browsers:
# subrequests, redirects, requests in a session; and nonsense.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_raw );
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new(workers => 1);

$t->write_http(<<'EOC');
%%CERTIFICATE%%
error_page 404 /status;
proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:64k;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /inside {
        atls on;
        atls_status;
    }

    location = /status {
        atls_status;
    }

    location = /denied {
        atls_status;
        deny all;
    }

    location = /later {
        atls_status;
        try_files /missing /status;
    }

    location = /converted {
        charset utf-8;
        charset_types *;
        override_charset on;
        source_charset koi8-r;
        atls_status;
    }

    location = /cached {
        proxy_pass http://127.0.0.1:%%PORT_0%%/status;
        proxy_cache cache;
        proxy_cache_valid any 1h;
        add_header X-Cache $upstream_cache_status;
    }

    location /pages/ {
        ssi on;
    }

    location / {
    }
}

charset_map koi8-r utf-8 {
    C1  D0B0;
}
EOC

mkdir $t->path('pages');
$t->write_file('pages/page.html', '<!--# include virtual="/status?format=json" -->'
               . '<!--# include virtual="/status?format=html" -->after');

$t->run();

subrequests();
redirects();
sessions();
arguments();
headers();
conditions();
caches();
methods();
conversion();

$t->done_testing();


# The response to a request; others follow on the connection.

sub answer {
    my ($method, $uri, @headers) = @_;

    my $bytes = http_raw($t->port(0), join "\r\n", "$method $uri HTTP/1.1",
                         'Host: localhost', @headers, '',
                         'GET /denied HTTP/1.1', 'Host: localhost',
                         'Connection: close', '', '');

    my @r = parse_responses($bytes, $method, 'GET');

    # nginx closes the connection after 400

    is(scalar @r, $r[0]->status() == 400 ? 1 : 2, "$method: one response");

    return $r[0];
}


sub subrequests {
    my $body = answer('GET', '/pages/page.html')->body();
    my ($json, $html) = $body =~ m!^(.*\})\s*(<\!DOCTYPE.*</html>\n)after$!s;

    ok($html, 'included, and what follows') or diag($body);
    is(eval { decode_json($json)->{workers} }, 1, '... as a whole');
}


# Of error pages, only the method is changed.

sub redirects {
    my $r = answer('GET', '/missing');

    is($r->status(), 404, 'an error page');
    like($r->body(), qr/^nginx_atls_sessions\{/m, '... is the status');

    is(answer('GET', '/later?format=json')->status(), 200, 'try_files');
    is(answer('GET', '/denied?format=json')->status(), 403, 'deny');
}


sub sessions {
    my $c = $t->established();

    for my $format (qw( prometheus json html )) {
        my $r = $c->get("/status?format=$format");

        is($r && $r->status(), 200, "in a session: $format");
        cmp_ok(length $r->body(), '>', 1000, '... as a whole');
    }

    is($c->get('/missing')->status(), 404, '... and its requests go on');

    # an endpoint: only in its sessions

    is(answer('GET', '/inside')->status(), 405, 'not outside');

    $c = $t->established(uri => '/inside');
    like($c->get('/any')->body(), qr/^nginx_atls_sessions\{/m, 'inside');
}


sub arguments {
    my $script = '%3Cscript%3Ealert(1)%3C/script%3E';

    for my $value ('', 'JSON', 'json%00', 'jso', 'jsonx', 'json%0d%0aX:%20y',
                   $script, 'x' x 4000)
    {
        my $r = answer('GET', "/status?format=$value");

        is($r->status(), 400, 'nonsense: ' . substr $value, 0, 20);
        unlike($r->body(), qr/script|json|JSON|xxx/, '... is not repeated');
    }

    my $many = join '&', map { "a$_=b" } 1 .. 500;

    for my $query ("$many&format=json", 'format=json&format=html',
                   '&&&=&format=json', 'xformat=html&FORMAT=json')
    {
        like(answer('GET', "/status?$query")->header('Content-Type'), qr/json/,
             'a query: ' . substr $query, 0, 20);
    }
}


sub headers {
    my %types = (
        ',' x 7000                           => 'plain',
        'text/html;q=1' . ';a=b' x 1500      => 'html',
        'text/plain;q=.2;a=b,text/html;a=b;Q=.3' => 'html',
        'text/plain;seq=1;q=.2,text/html;seq=0'  => 'html',
        'text/html;q =1;q=0;;'               => 'plain',
        'text/html,' x 700 . 'text/plain'    => 'html',
        "\ttext/html\t;\tq=1\t,text/plain;q=.5" => 'html',
        'text/html;q=99999999999999999999'   => 'plain',
        'text/html;q=-1'                     => 'plain',
        'text/html;q=1.0000001'              => 'plain',
        'text/html;q='                       => 'plain',
        'text/html;q'                        => 'html',
        "text/html\x80"                      => 'plain',
    );

    for my $accept (sort keys %types) {
        my $r = answer('GET', '/status', "Accept: $accept");

        like($r->header('Content-Type'), qr!/$types{$accept}\b!,
             'Accept: ' . substr $accept, 0, 30);
    }

    my $r = answer('GET', '/status', 'Range: bytes=0-9');

    is($r->status(), 200, 'Range is ignored');
    cmp_ok(length $r->body(), '>', 1000, '... as a whole');
}


# There are no validators, so that no condition can be checked.

sub conditions {
    my $date = 'Sun, 29 Nov 2026 00:00:00 GMT';

    for my $condition ("If-Modified-Since: $date", "If-Unmodified-Since: $date",
                       'If-Match: "x"', 'If-None-Match: *', 'If-Match: *',
                       'If-None-Match: "x"', "If-Range: $date")
    {
        my $r = answer('GET', '/status?format=json', $condition,
                       'Range: bytes=0-9');

        is($r->status(), 200, $condition);
        cmp_ok(length $r->body(), '>', 1000, '... as a whole');
    }
}


sub caches {
    for my $time (qw( first second )) {
        my $r = answer('GET', '/cached?format=json');

        is($r->status(), 200, "a cache, $time time");
        is($r->header('X-Cache'), 'MISS', '... does not store it');
    }
}


sub methods {
    for my $method (qw( POST PUT DELETE OPTIONS PATCH PROPFIND NONSENSE )) {
        my $r = answer($method, '/status?format=html', 'Content-Length: 0');

        is($r->status(), 405, $method);
    }

    is(answer('POST', '/status', 'Content-Length: 3', '', 'a=b')->status(), 405,
       'POST with a body');

    my $get = answer('GET', '/status?format=json');

    for my $format (qw( json html )) {
        my $r = answer('HEAD', "/status?format=$format");

        is($r->status(), 200, "HEAD: $format");
        is($r->body(), '', '... without a body');
    }
}


# The hash in the policy is that of the page, so it must be in ASCII.

sub conversion {
    my $r = answer('GET', '/converted?format=html');

    is($r->body(), answer('GET', '/status?format=html')->body(),
       'the page is not changed by a conversion');
    unlike($r->body(), qr/[^\0-\x7f]/, '... since it is ASCII');
}
