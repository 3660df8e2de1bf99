#!/usr/bin/perl

# A session is not bound to the way on which its POSTs come: its URI and its
# cookie can be used on another port, over TLS or not, and with another version
# of HTTP.  Raw payloads, and reloads that change the tracking.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::OuterCurl;
use Test::Atls::Process qw( alive );

my $RECORD = "\x17\x03\x03\x00\x20" . 'x' x 32;

my $t = Test::Atls->new(client => { keepalive => 0 });

my $h2 = $t->has_option('http_v2_module');
my $h3 = $t->has_option('http_v3_module')
         && Test::Atls::OuterCurl::has_http3();
my ($listen_h2, $http2) = $t->http2();

# over TLS, one port for HTTP/1.x and HTTP/2; HTTP/2 without TLS has its own

my $plain_h2 = $h2 ? 'listen 127.0.0.1:%%PORT_2%% http2;' : '';
my $quic = $h3 ? 'listen 127.0.0.1:%%PORT_1%% quic reuseport;' : '';

my $conf = http_conf(<<"EOC");
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%
atls_session_tracking both;

# if the end of an HTTP/3 connection is lost, a worker waits for it

keepalive_timeout 5s;

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%% ssl;
    listen 127.0.0.2:%%PORT_0%%;
    $quic
    $plain_h2
    server_name localhost;

    location /atls {
        atls on;
        atls_session_tracking %%TRACKING%%;
    }

    location /raw {
        atls on;
        atls_payload raw;
        atls_session_tracking location;
        proxy_pass http://127.0.0.1:%%PORT_5%%;
    }

    location /raw-uri/ {
        atls on;
        atls_payload raw;
        atls_session_tracking location;
        proxy_pass http://127.0.0.1:%%PORT_5%%/prefix/;
    }

    location /refused {
        atls on;
        atls_payload raw;
        atls_early_data on;
        return 500;
    }

    location "/raw both" {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_5%%;
    }

    location / {
        return 200 "\$scheme \$server_protocol \$server_port\\n";
    }
}

# another server, and another endpoint

server {
    listen 127.0.0.1:%%PORT_3%%;
    server_name localhost;

    location /atls {
        atls on;
    }
}
EOC

my @ROUTES = (
    [ 'HTTP/1.1' ],
    [ 'HTTP/1.0', outer => 'http10' ],
    [ 'chunked', outer => 'http11-chunked' ],
    [ 'keep-alive', keepalive => 1 ],
    [ 'TLS', port => $t->port(1), tls => 1 ],
    [ 'another address', host => '127.0.0.2' ],
    $h2 ? [ 'HTTP/2', port => $t->port(2), outer => 'h2' ] : (),
    $h3 ? [ 'HTTP/3', port => $t->port(1), tls => 1, outer => 'h3' ] : (),
);

configure('location');
$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(5));

routes('location', 'TLSv1.3');
routes('location', 'TLSv1.2');
raw();
early();

configure('both');
replace_workers();
routes('both', 'TLSv1.3');

reloads();

$t->done_testing();


sub configure {
    my ($tracking) = @_;

    $t->write_conf($conf =~ s/%%TRACKING%%/$tracking/r);
}


# Old workers receive datagrams of new HTTP/3 connections as long as they run.

sub replace_workers {
    my @old = $t->workers();

    $t->reload();
    $t->wait_for(sub { !grep { alive($_) } @old }, 20) if $h3;
}


sub type {
    my ($r) = @_;

    my $problem = eval { decode_json($r->body()) } || {};

    return ($problem->{type} || 'none') =~ s/^tag:atls,2026://r;
}


# Each flight, and each request, takes another route.

sub routes {
    my ($tracking, $protocol) = @_;

    my $name = "$tracking, $protocol";

    for my $n (0 .. $#ROUTES) {
        my $c = $t->client(uri => '/atls', protocol => $protocol);
        my @routes = @ROUTES[map { ($n + $_) % @ROUTES } 0 .. $#ROUTES];
        my $location;

        for my $route (@routes, $routes[0]) {
            my ($how, %args) = @$route;

            $c->move(port => $t->port(0), %args);

            if (!$c->{done}) {
                $c->{done} = $c->handshake_step();
                ok($c->exchange($c->tls_out()), "$name: a flight over $how")
                    or diag($c->error());
                $c->read_plain() if $c->{done};

            } else {
                my $r = $c->get('/');

                like($r ? $r->body() : $c->error(), qr/^https HTTP\/1.1 \d+$/,
                     "$name: a request over $how");
            }

            $location ||= $c->location();
            is($c->location(), $location, "$name: the same session");
        }

        is($c->close_notify()->status(), 200, "$name: the end");
    }

    # but not at another server

    my $c = $t->established(uri => '/atls');

    $c->move(port => $t->port(3));
    is(type($c->post($RECORD)), 'session-elsewhere', "$name: another server");
    $c->move(port => $t->port(0));
    is($c->post('')->status(), 200, "$name: goes on");
}


# The service gets the URI of the endpoint, and never that of the session.

sub raw {
    for my $case ([ '/raw', '/raw', '' ], [ '/raw/', '/raw', '' ],
                  [ '/raw?a=b', '/raw', '?a=b' ],
                  [ '/raw-uri/', '/prefix/', '' ],
                  [ '/raw%20both', '/raw%20both', '' ])
    {
        my ($uri, $expected, $args) = @$case;
        my $c = $t->client(uri => $uri);

        ok($c->handshake(), "raw, $uri: handshake") or diag($c->error());
        is(scalar(() = $c->location() =~ m!/[\w-]{24}$!g), 1,
           "raw, $uri: Location");
        $backend->forget();

        $c->{http}{uri} .= $args;
        $c->request('payload');
        $c->{http}{uri} = $uri if $uri =~ /both/;      # the cookie is enough
        $c->request('payload') if $uri =~ /both/;

        my @uris = map { $_->{uri} } $backend->requests();
        is(join(' ', @uris),
           join(' ', ("$expected$args") x ($uri =~ /both/ ? 2 : 1)),
           "raw, $uri: the URI of the service");
    }
}


# A 502 in the first POST: the handshake and its session continue.

sub early {
    my @args = (uri => '/refused', protocol => 'TLSv1.3');
    my $first = $t->stack('openssl', @args);

    ok($first->handshake(), 'early data: a ticket') or diag($first->error());

    my $c = $t->stack('openssl', @args, session => $first->session(),
                      early => 'payload');
    $c->handshake();

    my $r = $c->last_response();

    is($r->status(), 502, 'early data: refused');
    is($r->header('Content-Type'), 'application/atls+octet-stream',
       'early data: with the flight of the server');
    like($r->header('Location'), qr!^/refused/[\w-]{24}$!,
         'early data: and Location');
    like($r->header('Set-Cookie'), qr!^atls=[\w-]{24};!,
         'early data: and the cookie');
    is($t->client(uri => $r->header('Location'))->post('')->status(), 200,
       'early data: the session continues');
}


# What is lost by a change is logged.

sub reloads {
    my %lost = (
        'cookie location' => 1, 'location cookie' => 1, 'cookie both' => 0,
        'location both' => 0, 'both cookie' => 0, 'both location' => 0,
    );

    my $changed = 'atls_session_tracking of location "/atls" in server'
                  . ' "localhost" changed, its sessions are lost';

    for my $change (sort keys %lost) {
        my ($old, $new) = split ' ', $change;

        configure($old);
        $t->reload();

        my $c = $t->established(uri => '/atls');
        my $log = length $t->read_file('error.log');

        configure($new);
        $t->reload();

        my $lines = substr $t->read_file('error.log'), $log;

        if ($lost{$change}) {
            like($lines, qr/\[notice\].*$changed/, "$change: logged");
            is($c->get('/'), undef, "$change: lost");
            is($c->last_response()->status(), 410, "$change: 410");
            is(type($c->last_response()),
               $new eq 'cookie' ? 'no-cookie' : 'no-location',
               "$change: its type");

        } else {
            unlike($lines, qr/sessions are lost/, "$change: nothing is logged");
            ok($c->get('/'), "$change: goes on") or diag($c->error());
        }
    }
}
