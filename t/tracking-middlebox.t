#!/usr/bin/perl

# Sessions with URIs through real proxies: those of t/middlebox.t, and proxies
# that change paths.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Command;
use Test::Atls::Middlebox;

my $t = Test::Atls->new();

my $h2 = $t->has_option('http_v2_module');
my ($listen_h2, $http2) = $t->http2();

$t->make_cert('ca', is_ca => 1);
$t->make_cert('localhost', ca => 'ca');
$t->make_cert('outer', san => 'DNS:localhost,IP:127.0.0.1');

# The server is on ports 0 and 1, proxies that change paths on 3 and 4.

$t->write_http(<<"EOC");
log_format posts '\$request_uri \$status "\$http_cookie"';

%%SSL_CERTIFICATE_outer%%
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%% ssl $listen_h2;
    listen 127.0.0.1:%%PORT_1%%;
    $http2
    access_log %%TESTDIR%%/posts.log posts;

    location /located {
        atls on;
        atls_session_tracking location;
    }

    location /both {
        atls on;
        atls_session_tracking both;
    }

    location / {
        access_log off;
        return 200 "inner\\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_3%%;

    # a path for another one, and below a prefix

    location /service/ {
        proxy_pass http://127.0.0.1:%%PORT_1%%/located/;
        proxy_redirect /located/ /service/;
    }

    location /prefix/ {
        proxy_pass http://127.0.0.1:%%PORT_1%%/;
        proxy_redirect / /prefix/;
        proxy_cookie_path / /prefix/;
    }

    # Location is not changed, as by default

    location /unchanged/ {
        proxy_pass http://127.0.0.1:%%PORT_1%%/located/;
    }

    # the cookie is changed, but Location is not

    location /cookie/ {
        proxy_pass http://127.0.0.1:%%PORT_1%%/both/;
        proxy_cookie_path /both /cookie;
    }

    # only the URI of the endpoint is passed

    location = /exact {
        proxy_pass http://127.0.0.1:%%PORT_1%%/located;
        proxy_redirect /located/ /exact/;
    }

    location / {
        return 404;
    }
}
EOC

my $https = $t->port(0);
my $http = $t->port(1);
my $rewriting = 'http://127.0.0.1:' . $t->port(3);

$t->run();

my $command = Test::Atls::Command->new($t);

subtest('mitmproxy', \&through, 'mitmproxy', 1, trust => $t->path('outer.crt'));
subtest('squid', \&through, 'squid', 1, trust => $t->path('outer.crt'),
        scanner => $t->port(10));
subtest('haproxy', \&through, 'haproxy', 0, to => $http, tap => $t->port(11));
subtest('nginx', \&through, 'nginx', 0, to => $http, tap => $t->port(12));
subtest('forward proxy', \&forward);

rewriting();

$t->done_testing();


sub through {
    my ($kind, $intercepts, %args) = @_;

    my $m = Test::Atls::Middlebox->start_or_skip($t, $kind, %args,
        port => $t->port(20)) or return;
    my %outer = (tls => 1, $intercepts ? ($m->route($https), host_header =>
                                          "localhost:$https") : $m->route());

    sessions(%outer);
    sessions(%outer, outer => 'h2') if $h2 && $m->speaks_h2();
    $m->stop();
}


# A forward proxy without TLS gets the whole URL.

sub forward {
    my $m = Test::Atls::Middlebox->start_or_skip($t, 'squid', bump => 0,
        name => 'forward', port => $t->port(21), scanner => $t->port(13))
        or return;

    sessions(port => $m->port(), prefix => "http://127.0.0.1:$http");

    for my $path ('/located', '/both') {
        my $r = $command->run('-x', 'http://127.0.0.1:' . $m->port(),
                              '--via', "http://127.0.0.1:$http$path",
                              '--cacert', $t->path('ca.crt'),
                              'https://localhost/', 'https://localhost/');

        is("$r->{code} $r->{out}", "0 inner\ninner\n", "atls: $path")
            or diag($r->{err});
        uris($path, 'atls');
    }

    $m->stop();
}


# Two sessions, each with a connection for all POSTs or for each of them.

sub sessions {
    my (%outer) = @_;

    my $prefix = delete $outer{prefix} || '';

    for my $path ('/located', '/both') {
        for my $keepalive (0, 1) {
            my $name = "$path, keep-alive $keepalive"
                       . ($outer{outer} ? ", $outer{outer}" : '');
            my @c = map { Test::Atls::Client->new(
                              %outer, uri => $prefix . $path, ca =>
                              $t->path('ca.crt'), keepalive => $keepalive,
                              protocol => $_) } qw( TLSv1.3 TLSv1.2 );

            for my $c (@c) {
                ok($c->handshake(), "$name: handshake") or diag($c->error());
                like($c->location() || '', qr!^$path/[\w-]{24}$!,
                     "$name: Location");
            }

            is($_->get('/')->body(), "inner\n", "$name: a request")
                for @c, @c;
            is($_->close_notify()->status(), 200, "$name: the end") for @c;
            is($_->post('')->status(), 410, "$name: after it") for @c;
            uris($path, $name);
        }
    }
}


# What the server got since the last call: first POSTs to the endpoint, all
# others to URIs of sessions.

sub uris {
    my ($path, $name) = @_;

    my @posts = posts();
    my @first = grep { / 201 / } @posts;
    my @later = grep { !/ 201 / } @posts;

    ok(@first && @later, "$name: POSTs");
    is(scalar(grep { !m!^$path/? ! } @first), 0, "$name: first POSTs");
    is(scalar(grep { !m!^$path/[\w-]{24} ! } @later), 0, "$name: later ones");
    is(scalar(grep { /"atls=/ } @later), 0, "$name: no cookies")
        if $path eq '/located';
}


sub posts {
    my @all = split /\n/, $t->read_log('posts.log');
    my $seen = $t->{seen} || 0;

    $t->{seen} = @all;

    return @all[$seen .. $#all];
}


# Proxies that change paths.

sub rewriting {
    my $run = sub {
        my ($path) = @_;

        posts();

        return $command->run('--via', $rewriting . $path, '--cacert',
                             $t->path('ca.crt'), 'https://localhost/',
                             'https://localhost/');
    };

    for my $case ([ '/service/', '/located' ], [ '/prefix/located', '/located' ],
                  [ '/prefix/located/', '/located' ],
                  [ '/prefix/both', '/both' ])
    {
        my ($path, $server) = @$case;
        my $r = $run->($path);

        is("$r->{code} $r->{out}", "0 inner\ninner\n", "$path: requests")
            or diag($r->{err});
        uris($server, $path);
    }

    # the advice names the reason

    for my $path ('/unchanged/', '/cookie/', '/exact') {
        my $r = $run->($path);

        isnt($r->{code}, 0, "$path: fails");
        like($r->{err}, qr/the path of the session, in Location/,
             "$path: and why");
        like($r->{err}, qr/proxy_redirect/, "$path: advice");
    }
}
