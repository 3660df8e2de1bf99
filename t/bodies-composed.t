#!/usr/bin/perl

# Responses that nginx composes, or serves from another location, are the same
# over ATLS and TLS: with subrequests, filters, internal redirects, named
# locations, and error pages, also for requests that cannot be parsed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Compare qw( request );
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Process qw( asleep );

my $t = Test::Atls->new();
my $MB = 1 << 20;

my %has = map { $_ => $t->has_option($_) }
          qw( http_addition_module http_sub_module http_auth_request_module
              http_dav_module http_random_index_module http_slice_module
              threads );


$t->write_file("files/$_->[0]", pattern($_->[1]))
    for [ 'small', 100 ], [ 'some', 70_000 ], [ 'large', 5 * $MB ];

$t->write_file("written$_/other", '') for '', 'on';
$t->write_file('files/html', '<p>0000000</p>' x 20_000);
$t->write_file("files/error", "<p>sorry</p>\n" x 5000);
$t->write_file('files/index/index.html', "<p>index</p>\n" x 5000);
$t->write_file('files/random/one', pattern(50_000));
$t->write_file('files/page', join "\n", map { qq(<!--# $_ -->) }
    'include file="small"', 'include virtual="/proxied/big?size=100000"',
    'include virtual="/plain/large"', 'include virtual="/missing" stub="none"',
    'block name="none"', 'endblock', 'set var="a" value="b"', 'echo var="a"',
    'include virtual="/proxied/etag" set="kept"', 'echo var="kept"',
    'include virtual="/nested"', 'include virtual="/plain/some" wait="yes"');
$t->write_file('files/nested-page',
               '(<!--# include virtual="/plain/some" -->)' x 3);

my $app = 'http://127.0.0.1:%%PORT_2%%';

# name => directives.  The request is GET /NAME, unless it is in %requests.

my %locations = (
    'ssi'            => 'ssi on; ssi_types *; try_files /page =404;',
    'nested'         => 'ssi on; ssi_types *; try_files /nested-page =404;',
    'try-files'      => 'try_files /no/such /some =404;',
    'try-location'   => 'try_files /no/such @file;',
    'try-code'       => 'try_files /no/such =404;',
    'not-found'      => 'error_page 404 /error;',
    'not-found-as'   => 'error_page 404 =200 /error;',
    'not-found-name' => 'error_page 404 @file;',
    'forbidden'      => 'deny all; error_page 403 /error;',
    'returned'       => 'return 503; error_page 503 /error;',
    'text'           => 'return 200 "text";',
    'hidden'         => 'internal; error_page 404 /plain/some;',
    'index-file'     => 'rewrite ^ /index/ last;',
    'rewritten'      => 'rewrite ^ /plain/large last;',
    'broken'         => 'rewrite ^ /some break;',
    'if'             => 'if ($request_method = GET) { rewrite ^ /some break; }',
    'recursive'      => 'recursive_error_pages on;
                         error_page 404 = /not-found;',
    'gateway'        => 'proxy_pass http://127.0.0.1:%%PORT_3%%;
                         error_page 502 /error;',
    'gateway-name'   => 'proxy_pass http://127.0.0.1:%%PORT_3%%;
                         error_page 502 = @file;',
    'intercepted'    => 'proxy_pass http://127.0.0.1:%%PORT_2%%/status?code=404;
                         proxy_intercept_errors on; error_page 404 /error;',
    'accel'          => "proxy_pass $app/accel?to=/secret/large;",
    'accel-range'    => "proxy_pass $app/accel?to=/secret/large;",
    'accel-name'     => "proxy_pass $app/accel?to=\@file;",
    'mirrored'       => 'mirror /proxied/echo; try_files /large =404;',
    'mapped'         => 'charset koi8-r; source_charset windows-1251;
                         override_charset on; charset_types *;
                         try_files /some =404;',
    'limited'        => 'limit_rate 100m; ssi on; ssi_types *;
                         try_files /page =404;',
    'early'          => 'client_max_body_size 1k; error_page 413 /error;
                         proxy_pass http://127.0.0.1:%%PORT_2%%;',
);

$locations{addition} = 'add_before_body /plain/some; add_after_body
                        /proxied/big?size=70000; addition_types *;
                        try_files /large =404;' if $has{http_addition_module};
$locations{sub} = "sub_filter '<p>' '<div>'; sub_filter_once off;
                   sub_filter_types *; try_files /html =404;"
    if $has{http_sub_module};
$locations{auth} = 'auth_request /plain/small; try_files /large =404;'
    if $has{http_auth_request_module};
$locations{'auth-proxied'} = 'auth_request /proxied/body;
                              try_files /large =404;'
    if $has{http_auth_request_module};
$locations{'auth-denied'} = 'auth_request /forbidden; error_page 403 /error;'
    if $has{http_auth_request_module};
$locations{'ssi-threads'} = "$locations{ssi} aio threads; output_buffers 1 4k;"
    if $has{threads};
$locations{'ssi-slice'} = "$locations{ssi} slice 10k;"
    if $has{http_slice_module};

# other requests than GET

my %requests = (
    'accel-range' => request('GET', '/accel-range', { Range => 'bytes=9-' }),
    'early'       => request('POST', '/early', {}, pattern(100_000)),
);

my @malformed = (
    [ '400, no host',        "GET / HTTP/1.1\r\n\r\n" ],
    [ '400, two hosts',      "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" ],
    [ '400, no request',     "\x01\x02\x03\r\n\r\n" ],
    [ '400, long header',    request('GET', '/', { X => 'x' x 10_000 }) ],
    [ '400, length',         request('POST', '/', { 'Content-Length' => 'x' },
                                     'body') ],
    [ 'a 414',               request('GET', '/' . 'x' x 10_000) ],
    [ 'a 405',               request('POST', '/plain/some', {}, 'body') ],
    [ '405, TRACE',          request('TRACE', '/') ],
    [ 'a 501',               request('POST', '/', { 'Transfer-Encoding' =>
                                                    'gzip' }) ],
    [ 'a 505',               "GET / HTTP/3.0\r\nHost: localhost\r\n\r\n" ],
    [ 'a 413',               request('POST', '/proxied/echo', {},
                                     pattern(2 * $MB)) ],
);

my $locations = join '', map { <<"EOC" } sort keys %locations;
        location = /$_ {
            root %%TESTDIR%%/files;
            $locations{$_}
        }
EOC

$t->write_http(<<"EOC");
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%

sendfile on;
tcp_nopush on;
charset_map windows-1251 koi8-r { 30 31; }

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%% ssl;
    root %%TESTDIR%%/files;
    error_page 400 405 413 414 497 501 505 /error;

    location /.well-known/atls {
        atls on;
        client_max_body_size 10m;
    }

    location / { }

    location = /error {
        internal;
    }

    location /plain/ {
        alias %%TESTDIR%%/files/;
    }

    location /secret/ {
        internal;
        alias %%TESTDIR%%/files/;
    }

    location /random/ {
        @{[ $has{http_random_index_module} ? 'random_index on;' : '' ]}
    }

    location /listed/ {
        alias %%TESTDIR%%/files/random/;
        autoindex on;
    }

    location /written/ {
        alias %%TESTDIR%%/written\$atls/;
        client_max_body_size 2m;
        @{[ $has{http_dav_module} ? 'dav_methods PUT DELETE;' : '' ]}
    }

    location \@file {
        root %%TESTDIR%%/files;
        rewrite ^ /large break;
    }

    location /proxied/ {
        proxy_pass http://127.0.0.1:%%PORT_2%%/;
    }

$locations
}
EOC

my $tests = 2 * keys(%locations) + @malformed + 6;
$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(2));
my $compare = Test::Atls::Compare->new($t, atls => $t->port(0),
                                           tls => $t->port(1));

for my $name (sort keys %locations) {
    my $request = $requests{$name} || request('GET', "/$name");

    $compare->same($name, $request);
    $compare->same("$name, late", $request, late => \&idle);
}

$compare->same($_->[0], $_->[1]) for @malformed;

$compare->same('random index', request('GET', '/random/'));
$compare->same('list of a directory', request('GET', '/listed/'));
$compare->same('index', request('GET', '/index/'));

SKIP: {
    skip 'no dav module', 2 unless $has{http_dav_module};

    my $put = request('PUT', '/written/file', {}, pattern(900_000));

    # 201 for the first request, 204 for the second one

    $compare->same('PUT', $put, except => [ 'Location' ]) for 1, 2;
}

ok(idle(), 'no worker is busy');

$t->done_testing();


sub idle { $t->wait_for(sub { !grep { !asleep($_) } $t->workers() }) }
