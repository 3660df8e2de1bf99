#!/usr/bin/perl

# An endpoint also applies to blocks in it: with "limit_except", "if",
# "try_files" and "mirror", it accepts only ATLS, and inner requests are served
# as by the same location over HTTPS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( http_raw parse_responses );

my @METHODS = qw( GET HEAD POST PUT DELETE OPTIONS PATCH );

my $t = Test::Atls->new(workers => 4);

# nothing listens on port 1: a 502 shows that the handler was used

my %handlers = (
    proxy     => 'proxy_pass http://127.0.0.1:%%PORT_2%%;',
    variables => 'set $backend 127.0.0.1:%%PORT_2%%;'
                 . 'proxy_pass http://$backend;',
    fastcgi   => 'fastcgi_pass 127.0.0.1:1;',
    uwsgi     => 'uwsgi_pass 127.0.0.1:1;',
    scgi      => 'scgi_pass 127.0.0.1:1;',
    memcached => 'set $memcached_key $uri; memcached_pass 127.0.0.1:1;',
    return    => 'return 200 "returned $request_method\n";',
    static    => 'if ($arg_none) { return 204; }',
    gif       => 'empty_gif;',
);

$handlers{grpc} = 'grpc_pass 127.0.0.1:1;'
    if $t->has_option('http_v2_module');
$handlers{status} = 'stub_status;'
    if $t->has_option('http_stub_status_module');

my $LOCAL = '{ allow 127.0.0.0/8; deny all; }';

my %blocks = (
    none     => '',
    get      => "limit_except GET $LOCAL",
    post     => "limit_except POST $LOCAL",
    passed   => 'limit_except GET { proxy_pass http://127.0.0.1:%%PORT_2%%; }',
    if       => 'if ($request_method != GET) { add_header X-Block if; }',
    ifpassed => 'if ($request_method = PUT) '
                . '{ proxy_pass http://127.0.0.1:%%PORT_2%%; }',
);

# not all combinations, which would take long

my @cases = ((map { [ proxy => $_ ] } sort keys %blocks),
             (map { [ $_, 'get' ] } grep { $_ ne 'proxy' } sort keys %handlers),
             (map { my $h = $_; map { [ $h, $_ ] } qw( if ifpassed post ) }
              qw( memcached return static )),
             [ static => 'passed' ]);

$t->write_file("$_->[0]-$_->[1]/file", "static\n") for @cases;
$t->write_file('passwords', "user:{PLAIN}secret\n");

$t->write_conf(conf());

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(2));

for my $case (@cases) {
    my $uri = join '-', @$case;
    my $c;

    is(join(' ', map { inside(\$c, $_, "/$uri/file") } @METHODS),
       join(' ', map { https($_, "/$uri/file") } @METHODS),
       "$uri: inside as over HTTPS");

    $backend->forget();

    is(join(' ', map { outside($_, "/$uri") } @METHODS),
       '405 405 415 405 405 405 405', "$uri: outside");
    is(outside('GET', "/$uri/file"), 405, "$uri: outside, another URI");
    is(scalar(() = $backend->requests()), 0, "$uri: nothing has got through");
}

# other methods than those of the block

{
    my $c = client('/auth', headers => { Authorization => 'Basic '
                                         . 'dXNlcjpzZWNyZXQ=' });

    is($c->get('/any')->status(), 200, 'GET: not in the block');
    is($c->http(format_request('PUT', '/any'))->status(), 401,
       'PUT: in the block');
    is(outside('POST', '/auth'), 401, 'an outer POST: in the block');
    is(outside('GET', '/auth'), 405, 'an outer GET: not in the block');

    is(outside('POST', '/denied'), 403, 'an outer POST is denied');

    $c = client('/closed');
    is($c->http(format_request('POST', '/any', 'body'))->status(), 200,
       'POST: not in the block');
    is($c->get('/any')->status(), 403, 'GET: in the block');
}

# sessions of a location with a block belong to one endpoint, and are found by
# other workers

for my $uri (qw( /proxy-get /return-get /proxy-if )) {
    my %seen;

    for (1 .. 8) {
        my $c = client($uri, keepalive => 0);

        for my $method (qw( GET PUT )) {
            my $r = $c->http(format_request($method, '/', 'x' x 20_000));
            $seen{$r ? $method . $r->status() : $c->error()}++;
        }
    }

    is(join(' ', map { "$_:$seen{$_}" } sort keys %seen),
       $uri eq '/return-get' ? 'GET200:8 PUT405:8' : 'GET200:8 PUT200:8',
       "$uri: relayed POSTs");

    my $c = client('/proxy-none');
    $c->{http}{uri} = $uri;
    ok(!$c->get('/'), "$uri: no session of another endpoint");
    is($c->last_response()->status(), 410, "$uri: is gone");
}

# client verification, atls_required

is(outside('POST', '/verify'), 415, 'atls_verify_client: plain POST');
is(client('/verify')->get('/')->status(), 400,
   'atls_verify_client: no certificate');
is(client('/verify', cert => $t->path('localhost.crt'),
          key => $t->path('localhost.key'))->get('/')->status(), 200,
   'atls_verify_client: a certificate');

is(join(' ', map { outside($_, '/required') } @METHODS),
   '405 405 415 405 405 405 405', 'atls_required: outside');
is(client('/required')->http(format_request('PUT', '/', 'b'))->status(), 200,
   'atls_required: inside');

# a routed endpoint

is(outside('POST', '/routed'), 415, 'routed: outside');

{
    my $c = client('/routed');

    is($c->get('/routed')->status(), 404, 'routed: not to itself, GET');
    is($c->http(format_request('PUT', '/routed', 'b'))->status(), 404,
       'routed: not to itself, PUT');
    is($c->http(format_request('PUT', '/plain', 'b'))->body(), "plain PUT\n",
       'routed: to another location');
}

# the phase before content

$backend->forget();

is(join(' ', map { outside($_, '/try') } qw( GET POST PUT )), '405 415 405',
   'try_files: outside');
is(client('/try')->get('/proxy-none/')->status(), 404,
   'try_files: an endpoint all the same');
is(outside('POST', '/mirror'), 415, 'mirror: outside');
is(scalar(() = $backend->requests()), 0, 'nothing has got through');

client('/mirror')->get('/any');
ok($t->wait_for(sub { scalar(() = $backend->requests()) == 1 }),
   'mirror: the inner request only');

$t->done_testing();


sub conf {
    my ($atls, $https) = ('', '');

    for (@cases) {
        my ($handler, $block) = @$_;
        my $body = "$handlers{$handler} $blocks{$block}";

        $atls .= "location /$handler-$block { atls on; $body }\n";
        $https .= "location /$handler-$block { $body }\n";
    }

    return http_conf(<<"EOC");
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    $atls

    location /auth {
        atls on;
        return 200 "passed\\n";
        limit_except GET {
            auth_basic block;
            auth_basic_user_file %%TESTDIR%%/passwords;
        }
    }

    location /denied {
        atls on;
        return 200 "passed\\n";
        limit_except GET { deny all; }
    }

    location /closed {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_2%%;
        limit_except POST { deny all; }
    }

    location /verify {
        atls on;
        atls_verify_client on;
        atls_client_certificate %%TESTDIR%%/localhost.crt;
        proxy_pass http://127.0.0.1:%%PORT_2%%;
        limit_except GET $LOCAL
    }

    location /required {
        atls on;
        atls_required on;
        proxy_pass http://127.0.0.1:%%PORT_2%%;
        limit_except GET $LOCAL
    }

    location /routed {
        atls on;
        limit_except GET $LOCAL
        if (\$request_method = PUT) { add_header X-Block if; }
    }

    location /plain { return 200 "plain \$request_method\\n"; }

    location /try {
        atls on;
        try_files /none \@proxy;
    }

    location \@proxy {
        proxy_pass http://127.0.0.1:%%PORT_2%%;
    }

    location /mirror {
        atls on;
        mirror /copy;
        empty_gif;
    }

    location = /copy {
        internal;
        proxy_pass http://127.0.0.1:%%PORT_2%%;
    }
}

server {
    listen 127.0.0.1:%%PORT_1%% ssl;

    $https
}
EOC
}


sub client {
    my ($uri, %args) = @_;

    my $c = $t->client(uri => $uri, %args);

    $c->handshake(hold => 1) or die "$uri: no handshake: " . $c->error() . "\n";

    return $c;
}


sub format_request {
    my ($method, $uri, $body) = @_;

    return Test::Atls::Client::format_request($method, $uri, $body || '');
}


sub inside {
    my ($c, $method, $uri) = @_;

    $$c = client($uri) unless $$c && !$$c->closed();

    return answer($method, $$c->http(format_request($method, $uri)));
}


sub https {
    my ($method, $uri) = @_;

    my $bytes = format_request($method, $uri);

    return answer($method,
                  parse_responses(http_raw($t->port(1), $bytes, tls => 1,
                                           answers => [ $method ]), $method));
}


sub answer {
    my ($method, $r) = @_;

    return "$method: none" unless $r;

    # the same body, except for names and numbers

    my ($line) = $r->status() == 200 && $method eq 'HEAD' ? ''
                 : $r->body() =~ /\A(\w+)/;

    return join ' ', "$method:", $r->status(), $line || (),
                $r->header('X-Block') || ();
}


sub outside {
    my ($method, $uri) = @_;

    my $body = $method =~ /^P/ ? "Content-Type: text/plain\r\n"
                                 . "Content-Length: 4\r\n\r\nbody" : "\r\n";
    my ($r) = parse_responses(http_raw($t->port(0),
                  "$method $uri HTTP/1.1\r\nHost: localhost\r\n"
                  . "Connection: close\r\n$body"), $method);

    return $r ? $r->status() : 'none';
}
