#!/usr/bin/perl

# atls_cors: preflight requests, and the headers of all other responses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_raw parse_responses );

my $APP = 'https://app.example.com';
my $SUB = 'https://x.app.example.com';
my $TYPE = 'application/atls+octet-stream';
my $RECORD = "\x17\x03\x03\x00\x20" . 'x' x 32;
my $FOREIGN = '/AAAAAAAAAAAAAAAAAAAAAAAA';

my $t = Test::Atls->new();

$t->write_file('passwords', "user:{PLAIN}secret\n");
$t->write_file('error.html', "an error page\n");

$t->write_http(<<"EOC");
%%CERTIFICATE%%

atls_session_tracking location;
atls_cors $APP http://127.0.0.1:8080 http://[::1]:8080
          moz-extension://0b1c2d3e-4f56-7a8b-9c0d-1e2f3a4b5c6d;

limit_req_zone \$uri zone=limit:1m rate=1r/m;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /atls {
        atls on;
    }

    location /own {
        atls on;
        atls_cors https://own.example.com;
    }

    location /off {
        atls on;
        atls_cors off;
        add_header Access-Control-Allow-Origin * always;
    }

    location /any {
        atls on;
        atls_cors *;
    }

    location /both {
        atls on;
        atls_session_tracking both;
    }

    location /keys {
        atls on;
        atls_exported_keys on;
    }

    # everything that another directive may say about origins

    location /added {
        atls on;
        add_header Access-Control-Allow-Origin * always;
        add_header Access-Control-Allow-Credentials true always;
        add_header Access-Control-Expose-Headers X-Added always;
        add_header X-Added yes always;
        add_header Vary X-Other always;
        return 200 inner;
    }

    location /denied { atls on; deny all; }
    location /except { atls on; limit_except POST { deny all; } }
    location /only { atls on; limit_except GET { deny all; } return 200 inner; }
    location /limited { atls on; limit_req zone=limit; }
    location /small { atls on; client_max_body_size 1k; }
    location /raw { atls on; atls_payload raw; return 404; }

    location /auth {
        atls on;
        auth_basic closed;
        auth_basic_user_file %%TESTDIR%%/passwords;
    }

    location /rewritten {
        atls on;
        if (\$request_method = OPTIONS) { return 403; }
        return 200 inner;
    }

    location / {
        add_header Access-Control-Allow-Origin https://inner.example.com;
        return 200 inner;
    }
}

# the directive is set at the endpoint only

server {
    listen 127.0.0.1:%%PORT_1%%;
    atls_cors off;
    error_page 403 /error.html;
    error_page 413 /error.html;
    error_page 401 /atls-other;

    location /atls { atls on; atls_cors $APP; }
    location /denied { atls on; atls_cors $APP; deny all; }
    location /small { atls on; atls_cors $APP; client_max_body_size 1k; }
    location /named {
        atls on;
        atls_cors $APP;
        deny all;
        error_page 403 = \@named;
    }
    location /auth {
        atls on;
        atls_cors $APP;
        auth_basic closed;
        auth_basic_user_file %%TESTDIR%%/passwords;
    }
    location /atls-other { atls on; atls_cors https://other.example.com; }
    location \@named { return 404; }
    location / { }
}

server {
    listen 127.0.0.1:%%PORT_2%%;
    error_page 413 /error.html;

    location /small { atls on; client_max_body_size 1k; }
    location /service/ { proxy_pass http://127.0.0.1:%%PORT_0%%/any/; }
    location / { }
}

server {
    listen 127.0.0.1:%%PORT_3%%;

    location /atls { atls on; }
}
EOC

$t->run();

preflight();
not_allowed();
not_preflight();
inherited();
session();
statuses();
busy();
access();
error_pages();
instead();
elsewhere();
refused();

$t->done_testing();


# request($method, $uri, %args): port => 0, type => , body => , headers => [ ]

sub request {
    my ($method, $uri, %args) = @_;

    my @headers = @{ $args{headers} || [] };

    push @headers, "Content-Type: $args{type}" if $args{type};
    push @headers, 'Content-Length: ' . length $args{body}
        if defined $args{body};

    my ($r) = parse_responses(http_raw($t->port($args{port} || 0),
        join("\r\n", "$method $uri HTTP/1.1", 'Host: localhost',
             'Connection: close', @headers, '', $args{body} // ''),
        answers => [ $method ]), $method);

    return $r;
}


sub preflight_of {
    my ($origin, $uri, %args) = @_;

    return request('OPTIONS', $uri, %args,
                   headers => [ "Origin: $origin",
                                'Access-Control-Request-Method: POST',
                                'Access-Control-Request-Headers: content-type',
                                @{ $args{headers} || [] } ]);
}


# A POST from the page, of a record that belongs to no session by default.

sub post_of {
    my ($origin, $uri, %args) = @_;

    return request('POST', $uri, type => $TYPE, body => $RECORD, %args,
                   headers => [ "Origin: $origin", @{ $args{headers} || [] } ]);
}


# All headers of a response that concern origins, in order of their names.

sub cors {
    my ($r) = @_;

    return join '; ', sort map { s/\r//r } $r->head()
           =~ /^(?:Access-Control-[\w-]+|Vary): .*/mgi;
}


sub allowed {
    my ($origin) = @_;

    return "Access-Control-Allow-Origin: $origin; "
           . 'Access-Control-Expose-Headers: Location, Retry-After; '
           . 'Vary: Origin';
}


sub preflight {
    for my $origin ($APP, 'http://127.0.0.1:8080', 'http://[::1]:8080',
                    'moz-extension://0b1c2d3e-4f56-7a8b-9c0d-1e2f3a4b5c6d')
    {
        my $r = preflight_of($origin, '/atls');

        is($r->status(), 204, "$origin: preflight");
        is(cors($r),
           'Access-Control-Allow-Headers: Content-Type; '
           . 'Access-Control-Allow-Methods: POST; '
           . "Access-Control-Allow-Origin: $origin; "
           . 'Access-Control-Expose-Headers: Location, Retry-After; '
           . 'Access-Control-Max-Age: 7200; Vary: Origin',
           "$origin: its headers");
        is($r->body(), '', "$origin: no body");
        is($r->header('Content-Type'), undef, "$origin: no type");
        is($r->header('Cache-Control'), 'no-store', "$origin: no-store");
    }

    # the URI of a session is preflighted, too, whether it exists or not

    is(preflight_of($APP, "/atls$FOREIGN")->status(), 204,
       'preflight of a session');

    is(preflight_of($APP, '/keys')->header('Access-Control-Allow-Headers'),
       'Content-Encoding, Content-Type', 'preflight with exported keys');
    is(preflight_of($APP, '/both')->status(), 204, 'preflight with both');
}


# An origin is compared byte by byte.

sub not_allowed {
    my @origins = ('http://app.example.com', 'https://app.example.com:444',
                   'https://app.example.com:443', 'https://App.example.com',
                   'HTTPS://app.example.com', 'https://app.example.com/',
                   'https://app.example.com.', 'https://app.example.comx',
                   'https://xapp.example.com', 'https://example.com',
                   $SUB, 'https://app.example.co',
                   'null', '*', 'off', "$APP $APP", "$APP, $APP", '');

    for my $origin (@origins) {
        my $r = preflight_of($origin, '/atls');

        is($r->status(), 405, "\"$origin\": preflight");
        is(cors($r), 'Vary: Origin', "\"$origin\": its headers");
        is(cors(post_of($origin, '/atls')), 'Vary: Origin', "\"$origin\": POST");
    }

    is(cors(preflight_of($APP, '/atls', headers => [ "Origin: $APP" ])),
       'Vary: Origin', 'two origins');

    like($t->read_log('error.log'),
         qr!\[info\].* atls origin "$SUB" is not allowed by "atls_cors"!,
         'is logged');
}


sub not_preflight {
    my $r = request('OPTIONS', '/atls', headers => [ "Origin: $APP" ]);

    is($r->status(), 405, 'OPTIONS without a method');
    is(cors($r), allowed($APP), 'its headers');

    $r = request('OPTIONS', '/atls',
                 headers => [ 'Access-Control-Request-Method: POST' ]);

    is($r->status(), 405, 'OPTIONS without an origin');
    is(cors($r), 'Vary: Origin', 'its headers');

    $r = request('GET', '/atls', headers => [
                     "Origin: $APP", 'Access-Control-Request-Method: POST' ]);

    is($r->status(), 405, 'another method');
    is(cors($r), allowed($APP), 'its headers');
}


sub inherited {
    is(preflight_of($APP, '/own')->status(), 405, 'replaced: http');
    is(preflight_of('https://own.example.com', '/own')->status(), 204,
       'replaced: location');
    is(preflight_of($APP, '/off')->status(), 405, 'off: preflight');
    is(cors(post_of($APP, '/off')), 'Access-Control-Allow-Origin: *',
       'off: headers are those of others');
    is(preflight_of($APP, '/atls', port => 3)->status(), 204,
       'inherited from http');
    is(preflight_of($APP, '/atls', port => 1)->status(), 204,
       'in a location only');
    is(cors(post_of($APP, '/atls-other', port => 1)), 'Vary: Origin',
       'another location');

    # any origin, and no origin at all

    for my $origin ($APP, 'null', 'x') {
        my $r = preflight_of($origin, '/any');

        is($r->status(), 204, "*: preflight of $origin");
        is($r->header('Access-Control-Allow-Origin'), '*', "*: $origin");
        is($r->header('Vary'), undef, "*: no Vary");
    }

    is(cors(request('POST', '/any', type => $TYPE, body => '')),
       'Access-Control-Allow-Origin: *; '
       . 'Access-Control-Expose-Headers: Location, Retry-After',
       '*: without an origin');
}


# A whole session, each POST on a connection of its own.

sub session {
    for my $uri ('/atls', '/both') {
        my $c = $t->client(uri => $uri, keepalive => 0,
                           headers => { Origin => $APP });
        my %seen;

        $c->handshake_step();
        $c->exchange($c->tls_out()) or die $c->error();

        is($c->last_response()->status(), 201, "$uri: the first response");
        is(cors($c->last_response()), allowed($APP), "$uri: its headers");

        ok($c->handshake(), "$uri: handshake") or diag($c->error());

        for (1 .. 10) {
            $c->get('/');
            $seen{cors($c->last_response())}++;
        }

        $c->close_notify();
        $seen{cors($c->last_response())}++;
        $c->post($RECORD);
        is($c->last_response()->status(), 410, "$uri: the session has ended");
        $seen{cors($c->last_response())}++;

        is(join('|', sort keys %seen), allowed($APP), "$uri: its POSTs");
    }

    # other clients are not concerned

    my $c = $t->established(uri => '/atls');

    is($c->get('/')->header('Access-Control-Allow-Origin'),
       'https://inner.example.com', 'inside: the header of the location');
    is(cors($c->last_response()), 'Vary: Origin', 'without an origin');
}


sub statuses {
    my $big = 'x' x 2000;

    my @cases = (
        [ 400, '/atls', body => '' ],
        [ 400, '/atls', body => 'GET / HTTP/1.1' ],
        [ 410, '/atls' ],
        [ 410, "/atls$FOREIGN" ],
        [ 413, '/small', body => $big ],
        [ 413, '/small', body => $big, type => 'text/plain' ],
        [ 413, '/small', body => "7d0\r\n$big\r\n0\r\n\r\n", chunked => 1 ],
        [ 415, '/atls', type => 'text/plain' ],
    );

    for my $case (@cases) {
        my ($status, $uri, %args) = @$case;

        my $r = delete $args{chunked} ? chunked($uri, $args{body})
                                      : post_of($APP, $uri, %args);

        is($r->status(), $status, "$uri: $status");
        is(cors($r), allowed($APP), "$uri: $status, its headers");
    }

    # 502: the answer to a raw payload is an error

    my $c = $t->established(uri => '/raw', headers => { Origin => $APP });

    $c->write_plain('payload');
    my $r = $c->post($c->tls_out());

    is($r->status(), 502, 'raw: 502');
    is(cors($r), allowed($APP), 'raw: its headers');
}


sub chunked {
    my ($uri, $body) = @_;

    my ($r) = parse_responses(http_raw($t->port(0),
        join("\r\n", "POST $uri HTTP/1.1", 'Host: localhost',
             "Origin: $APP", "Content-Type: $TYPE", 'Connection: close',
             'Transfer-Encoding: chunked', '', $body), answers => [ 'POST' ]),
        'POST');

    return $r;
}


# 409 of two kinds; 503 is in t/cors-relay.t.

sub busy {
    my $c = $t->established(uri => '/atls', headers => { Origin => $APP });

    $c->get('/');

    my $r = $c->post($RECORD);

    is($r->status(), 409, 'not the next record');
    is(cors($r), allowed($APP), 'its headers');

    my $half = $t->half_open(uri => '/keys', headers => { Origin => $APP });

    $r = post_of($APP, '/keys', type => 'message/http',
                 headers => [ 'Content-Encoding: aes128gcm' ],
                 body => 's' x 16 . pack('NC', 4096, 26)
                         . ($half->location() =~ s!.*/!!r) . '.1' . 'x' x 40);

    is($r->status(), 409, 'a half-open session') or diag($r->body());
    is(cors($r), allowed($APP), 'its headers');
}


# Preflight requests have no credentials, so access is not checked.  The POSTs
# are, and the page may see the status.

sub access {
    for my $case ([ '/denied', 403 ], [ '/except', 410 ], [ '/only', 403 ],
                  [ '/auth', 401 ], [ '/limited', 410 ], [ '/limited', 503 ],
                  [ '/rewritten', 410 ])
    {
        my ($uri, $status) = @$case;

        is(preflight_of($APP, $uri)->status(), 204, "$uri: preflight");

        my $r = post_of($APP, $uri);

        is($r->status(), $status, "$uri: POST");
        is(cors($r), allowed($APP), "$uri: its headers");
    }
}


sub error_pages {
    for my $case ([ '/denied', 403 ], [ '/named', 404 ], [ '/auth', 401 ]) {
        my ($uri, $status) = @$case;

        my $r = post_of($APP, $uri, port => 1);

        is($r->status(), $status, "error_page: $uri");
        is(cors($r), allowed($APP), "error_page: $uri, its headers");
    }

    # found before the location: only if the other location has it, too

    my $r = post_of($APP, '/small', port => 2, body => 'x' x 2000);

    is($r->status(), 413, 'error_page: 413');
    is(cors($r), allowed($APP), 'error_page: 413, of the server');

    $r = post_of($APP, '/small', port => 1, body => 'x' x 2000);

    is(cors($r), '', 'error_page: 413, of the location');
}


sub instead {
    my $c = $t->established(uri => '/added', headers => { Origin => $APP });

    is($c->get('/')->header('Access-Control-Allow-Origin'), '*',
       'inside: headers are not changed');
    is(cors($c->last_response()), allowed($APP) . '; Vary: X-Other',
       'outside: others are removed');
    is($c->last_response()->header('X-Added'), 'yes', 'except other ones');

    is(cors(post_of('https://evil.example', '/added')),
       'Vary: Origin; Vary: X-Other', 'none for another origin');
}


# Locations that are no endpoints are not changed.

sub elsewhere {
    is(cors(request('GET', '/', headers => [ "Origin: $APP" ])),
       'Access-Control-Allow-Origin: https://inner.example.com', 'GET');
    is(cors(post_of($APP, '/')),
       'Access-Control-Allow-Origin: https://inner.example.com', 'POST');
    is(cors(post_of($APP, '/service/', port => 2)),
       'Access-Control-Allow-Origin: *; '
       . 'Access-Control-Expose-Headers: Location, Retry-After',
       'a proxy passes those of the endpoint');
}


# Values that never match, and settings with which no page could use a session.

sub refused {
    my $conf = sub {
        my ($value, $tracking) = @_;

        return http_conf(<<"EOC");
%%CERTIFICATE%%
server {
    listen 127.0.0.1:%%PORT_0%%;
    location /atls { atls on; atls_session_tracking $tracking;
atls_cors $value; }
}
EOC
    };

    for my $origin ("$APP/", "$APP:443", 'http://example.com:80',
                    'https://App.example.com', 'HTTPS://app.example.com',
                    'app.example.com', '//app.example.com', 'https://',
                    'https:///', 'https://user@example.com',
                    'https://*.example.com', 'https://example.com:0',
                    'https://example.com:65536', 'https://example.com:x',
                    'https://example.com:', 'https://example.com:0443',
                    'https://example.com:8443/', 'https://[::1', 'https://[]x',
                    'https://[::G]', '9p://host', 'https:/example.com',
                    'null', '""', 'https://b%C3%BC.example',
                    "\"https://b\xc3\xbc.example\"", "$APP *", "* $APP",
                    "$APP off", "off $APP")
    {
        like($t->config_error($conf->($origin, 'location')),
             qr/invalid origin ".*", use "scheme:.*" .* in \S+:\d+$/m,
             "invalid: $origin");
    }

    like($t->config_error($conf->("$APP $APP", 'location')),
         qr/duplicate origin "\Q$APP\E" in \S+:\d+$/m, 'an origin twice');

    is($t->config_error($conf->($_, 'both')), '', "valid: $_")
        for qw( https://example.com:80 http://example.com:443 app://x
                capacitor://localhost chrome-extension://abcdefghijklmnop
                http://localhost https://[2001:db8::1.2.3.4]:8443 off * );

    for my $value ($APP, '*') {
        like($t->config_error($conf->($value, 'cookie')),
             qr/"atls_cors"\ requires\ "atls_session_tracking\ location"
                \ or\ "both"\ in\ location\ "\/atls"\ in\ \S+:\d+$/mx,
             "$value with cookies");
    }

    is($t->config_error($conf->('off', 'cookie')), '', 'off with cookies');
}
