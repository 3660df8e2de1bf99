#!/usr/bin/perl

# Requests that are answered before their body was received: whatever happens to
# the worker, the rest of the body is not interpreted as a request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Response qw( parse_responses );


my @URIS = qw( /return /forbidden /missing /file /auth /limited /redirect
               /error-page /internal /proxied /unbuffered );

my $t = Test::Atls->new();

$t->write_file('file', "file\n");
$t->write_file('error.html', "error\n");
$t->write_file('htpasswd', "user:x\n");

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format inner "$atls $request_uri $status";

limit_req_zone $server_name zone=limited:32k rate=1r/m;

client_max_body_size 100m;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    access_log %%TESTDIR%%/access.log inner;
    add_header X-Pid $pid always;

    location = /.well-known/atls {
        atls on;
    }

    location = /pinned {
        atls on;
        return 200 "pinned\n";
    }

    location = /return {
        return 200 "early\n";
    }

    location = /forbidden {
        deny all;
    }

    location = /file { }

    location = /auth {
        auth_basic users;
        auth_basic_user_file %%TESTDIR%%/htpasswd;
    }

    location = /limited {
        limit_req zone=limited;
    }

    location = /redirect {
        return 301 /elsewhere;
    }

    location = /error-page {
        deny all;
        error_page 403 /error.html;
    }

    location = /error.html { }

    location = /internal {
        internal;
    }

    location = /proxied {
        proxy_pass http://127.0.0.1:%%PORT_1%%/early;
    }

    location = /unbuffered {
        proxy_pass http://127.0.0.1:%%PORT_1%%/early;
        proxy_request_buffering off;
        proxy_http_version 1.1;
    }

    location / { }
}
EOC

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

# exceeds the limit for the following requests

my $c = client();
$c->get('/limited');

for my $signal (qw( HUP QUIT )) {
    signalled($signal, $_, '/.well-known/atls') for @URIS;
    signalled($signal, '/return', '/pinned');
    signalled($signal, '/return', '/.well-known/atls', chunked => 1);
}

in_one_post('HUP');
in_one_post('QUIT');

$t->read_log('access.log');
unlike($t->read_file('access.log'), qr/smuggled/, 'nothing of a body is run');
unlike($t->read_file('access.log'), qr/(?<!on )\/(?:return|file) 400/,
       'nor taken for a broken request');

$t->done_testing();


sub client {
    my ($uri, %args) = @_;

    return $t->established(keepalive => 0, uri => $uri || '/.well-known/atls',
                           %args);
}


# 64 kilobytes of requests.  Empty lines before each request are ignored, so
# that reading can begin anywhere.

sub evil {
    my $request = "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

    return substr $request x 1400, 0, 65536;
}


# Tells the worker with the request to quit, and waits until it has received the
# signal.

sub quit {
    my ($signal, $pid) = @_;

    return $t->reload() if $signal eq 'HUP';

    kill 'QUIT', $pid;
    $t->wait_for(sub {
        $t->read_file('error.log') =~ /\[notice\] $pid#\d+: gracefully/
    }, 20);
}


# An upload of 640 kilobytes in many POSTs.  The worker quits after the first.

sub signalled {
    my ($signal, $uri, $endpoint, %args) = @_;

    my $name = join ', ', $signal, "$uri at $endpoint",
                    $args{chunked} ? 'chunked' : ();
    my $frame = $args{chunked} ? sprintf "%x\r\n", 65536 : '';
    my $end = $args{chunked} ? "\r\n" : '';
    my $client = client($endpoint);

    my $got = $client->request("POST $uri HTTP/1.1\r\nHost: localhost\r\n"
                               . ($args{chunked}
                                  ? "Transfer-Encoding: chunked\r\n\r\n"
                                  : "Content-Length: 655360\r\n\r\n")
                               . $frame . evil() . $end);
    my ($pid) = $got =~ /^X-Pid: (\d+)/m;

    $pid ||= ($t->workers())[0];        # the request waits for its body
    quit($signal, $pid);

    for (2 .. 10) {
        last if $client->error() || $client->closed();
        $got .= $client->request($frame . evil() . $end);
    }

    $got .= $client->request("0\r\n\r\n")
        if $args{chunked} && !$client->error() && !$client->closed();

    my @r = parse_responses($got, 'POST');
    is(scalar @r, 1, "$name: one answer") or diag(substr $got, 0, 1000);

    # the session may have ended

    my $r = !$client->error() && !$client->closed() && $client->get('/file');
    ok(!$r || $r->body() =~ /^(?:file|pinned)\n/,
       "$name: a session that goes on is in step");
}


# The upload is one POST, during which the worker is told to quit.

sub in_one_post {
    my ($signal) = @_;

    my $client = client('/.well-known/atls', outer => 'http11-chunked');
    my $n = 0;

    my $got = $client->upload(
        "POST /return HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Length: 655360\r\n\r\n",
        sub {
            quit($signal, ($t->workers())[0]) if $n == 3;
            return $n++ < 10 ? evil() : undef;
        });

    my @r = parse_responses($got, 'POST');
    cmp_ok(scalar @r, '<=', 1, "$signal, one POST: at most one answer");
}
