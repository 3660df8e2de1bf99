#!/usr/bin/perl

# atls_required: requests must be received through ATLS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( http_raw );
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new();

$t->write_file('file', "a file\n");
$t->write_file('sub/index.html', "an index\n");

$t->write_http(<<'EOC');
%%CERTIFICATE%%

# for a whole server

server {
    listen 127.0.0.1:%%PORT_0%%;
    atls_required on;

    location /.well-known/atls {
        atls on;
    }

    location /pinned {
        atls on;
        return 200 "pinned $uri\n";
    }

    location /return {
        return 200 "returned\n";
    }

    location /rewritten {
        rewrite ^ /open last;
    }

    location /if {
        if ($request_method = GET) {
            return 200 "if\n";
        }
    }

    location /redirect {
        return 301 /open;
    }

    location /file { }
    location /sub/ { }

    location /proxy {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /open {
        atls_required off;
        return 200 "open\n";
    }

    location /nested/ {
        atls_required off;

        location /nested/closed {
            atls_required on;
            return 200 "nested\n";
        }

        location /nested/open {
            return 200 "nested\n";
        }
    }

    error_page 403 /open/403;
}

# for some locations

server {
    listen 127.0.0.1:%%PORT_2%%;

    location /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "open\n";
    }

    location /closed {
        atls_required on;
        return 200 "closed\n";
    }

    location /secret {
        atls_required on;
        auth_basic "a secret";
        auth_basic_user_file %%TESTDIR%%/none;
        root %%TESTDIR%%;
    }

    location /jump {
        rewrite ^ /closed last;
    }

    location /internal {
        error_page 404 = /closed;
        root %%TESTDIR%%;
    }

    location /try {
        try_files /none /closed;
    }

    location /named {
        try_files /none @closed;
    }

    location @closed {
        atls_required on;
        return 200 "named\n";
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my $c;


# a whole server

$c = client(0);

my %inside = (
    '/return'        => "returned\n",
    '/rewritten'     => "open\n",
    '/if'            => "if\n",
    '/redirect'      => undef,
    '/file'          => "a file\n",
    '/sub/'          => "an index\n",
    '/sub/none'      => undef,
    '/proxy'         => undef,
    '/nested/closed' => "nested\n",
);

for my $uri (sort keys %inside) {
    my $r = get(0, $uri);
    is($r->status(), 403, "outside: $uri");
    is($r->body(), "open\n", "outside: $uri, the error page");

    $r = $c->get($uri);
    isnt($r->status(), 403, "inside: $uri");
    is($r->body(), $inside{$uri}, "inside: $uri, the answer")
        if defined $inside{$uri};
}

is(scalar(() = $backend->requests()), 1, 'one of them has come to the backend');

for my $uri (qw( /open /nested/open )) {
    is(get(0, $uri)->status(), 200, "outside: $uri");
    is($c->get($uri)->status(), 200, "inside: $uri");
}

# all methods, with a body

for my $method (qw( POST PUT DELETE OPTIONS )) {
    my ($r) = parse_responses(http_raw($t->port(0),
        "$method /return HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\nContent-Length: 4\r\n\r\nbody"), $method);
    is($r->status(), 403, "outside: $method");
}

my $log = () = $t->read_file('error.log')
          =~ /\[error\].*access forbidden by "atls_required"/g;
cmp_ok($log, '>=', scalar keys %inside, 'it is in the log');


# locations with "atls on" accept any POST

my $r = get(0, '/.well-known/atls');
is($r->status(), 405, 'the endpoint, GET: 405');
is($r->header('Allow'), 'POST', 'the endpoint, GET: Allow');

$c = client(0, uri => '/pinned');
is($c->get('/any')->body(), "pinned /any\n", 'the other endpoint');
is(get(0, '/pinned')->status(), 405, 'its location, from outside');


# some locations, also by internal redirects

$c = client(2);

for my $uri (qw( /closed /jump /internal/none /try /named )) {
    is(get(2, $uri)->status(), 403, "outside: $uri");
    is($c->get($uri)->status(), 200, "inside: $uri");
}

is(get(2, '/other')->status(), 200, 'outside: /other');

# checked before a password is requested, which would be visible

$r = get(2, '/secret');
is($r->status(), 403, 'outside: before auth_basic');
is($r->header('WWW-Authenticate'), undef, 'outside: no challenge');
is($c->get('/secret')->status(), 401, 'inside: auth_basic');

$t->done_testing();


sub get {
    my ($port, $uri) = @_;

    my ($r) = parse_responses(http_raw($t->port($port),
                                       "GET $uri HTTP/1.0\r\n\r\n"));

    return $r;
}


sub client {
    my ($port, %args) = @_;

    my $c = Test::Atls::Client->new(port => $t->port($port), %args);

    $c->handshake() or die 'no handshake: ' . $c->error() . "\n";

    return $c;
}
