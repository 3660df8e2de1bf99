#!/usr/bin/perl

# atls_session_tracking: the responses that start a session, and the POSTs to
# its URI.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use MIME::Base64 qw( decode_base64url );
use Test::More;

use Test::Atls;
use Test::Atls::Status qw( metrics status total );

my $ENDPOINT = '/.well-known/atls';
my $RECORD = "\x17\x03\x03\x00\x20" . 'x' x 32;

my $t = Test::Atls->new();

$t->write_http(<<"EOC");
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%

log_format named '\$status \$atls_post \$atls_post_named \$atls_post_session';

server {
    access_log %%TESTDIR%%/named.log named if=\$atls_post;
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%% ssl;

    location $ENDPOINT {
        atls on;
        atls_session_tracking location;
    }

    location /slash/ {
        atls on;
        atls_session_tracking location;
        return 200 inner;
    }

    location /both {
        atls on;
        atls_session_tracking both;
    }

    location /cookie {
        atls on;
    }

    location = /status {
        atls_status;
    }

    location / {
        return 200 "inner\\n";
    }
}
EOC

$t->run();

first();
later();
unknown();
methods();
no_cookies();
ended();
both();
by_cookie();
busy();
logged();
counted();

$t->done_testing();


sub client { $t->client(keepalive => 0, @_) }
sub established { $t->established(keepalive => 0, @_) }


# Sends a ClientHello.  Returns the client and the response.

sub hello {
    my ($c) = @_;

    $c->handshake_step();

    return $c->exchange($c->tls_out()) || $c->last_response();
}


sub type {
    my ($r) = @_;

    my $problem = eval { decode_json($r->body()) } || {};

    return ($problem->{type} || 'none') =~ s/^tag:atls,2026://r;
}


sub get {
    my ($uri, %headers) = @_;

    return Test::Atls::Client::format_request('GET', $uri, '', %headers);
}


sub works { is($_[0]->get('/')->body() =~ s/\n//r, 'inner', $_[1]) }


sub first {
    my $c = client();
    my $r = hello($c);
    my $location = $r->header('Location');

    is($r->status(), 201, 'the first response');
    like($location, qr!^\Q$ENDPOINT\E/[\w-]{24}$!, 'Location is a path');
    is(length decode_base64url($location =~ s!.*/!!r), 18, 'with the id');
    is($r->header('Content-Type'), 'application/atls+octet-stream', 'its type');
    is($r->header('Cache-Control'), 'no-store', 'no-store');
    is($r->header('Set-Cookie'), undef, 'no cookie');
    is($r->header('Content-Length'), length $r->body(), 'its length');
    like($r->body(), qr/^\x16\x03\x03/, 'has the flight of the server');

    for my $uri ("$ENDPOINT/", "$ENDPOINT?a=b", "$ENDPOINT/?a=b") {
        $r = hello(client(uri => $uri));
        is($r->status(), 201, "$uri: starts a session");
        like($r->header('Location'), qr!^\Q$ENDPOINT\E/[\w-]{24}$!,
             "$uri: its URI");
    }

    $r = hello(client(uri => '/slash/'));
    like($r->header('Location'), qr!^/slash/[\w-]{24}$!, 'one slash only');

    $r = hello(client(type => 'application/atls'));
    is($r->status() . ' ' . $r->header('Content-Type'), '201 application/atls',
       'the other media type');

    $r = hello(client(outer => 'http10'));
    is($r->status(), 201, 'HTTP/1.0');

    # in pieces: the first one starts the session

    $c = client();
    $c->handshake_step();

    my $hello = $c->tls_out();
    my @status = map { $c->exchange($_)->status() }
                 map { substr $hello, $_, 1 } 0 .. 11;

    $c->exchange(substr $hello, 12);
    is("@status", join(' ', 201, (200) x 11), 'byte by byte');
    ok($c->handshake(), 'and then the rest') or diag($c->error());
    works($c, 'a request in that session');

    # a failed handshake starts none

    $c = client(protocol => 'TLSv1.2', ciphers => 'AES128-SHA');
    $r = hello($c);
    is($r->status(), 200, 'an alert');
    is($r->header('Location'), undef, 'has no URI');
}


# POSTs to the URI of the session, in any worker process.

sub later {
    for my $uri ($ENDPOINT, '/slash/') {
        for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
            my $c = client(uri => $uri, protocol => $protocol);

            ok($c->handshake(), "$uri, $protocol: handshake")
                or diag($c->error());

            for (1 .. 8) {
                is($c->get('/')->body() =~ s/\n//r, 'inner',
                   "$uri, $protocol: a request");
            }

            my $r = $c->last_response();
            is($r->status(), 200, 'its status');
            is($r->header('Location'), undef, 'Location is sent once');
            is($r->header('Set-Cookie'), undef, 'and no cookie');
        }
    }

    # an unfinished request is in one worker process

    my $c = established();

    for (1 .. 8) {
        my $request = get('/');

        is($c->request(substr $request, 0, 10), '', 'a part of a request');
        like($c->request(substr $request, 10), qr/inner/, 'the rest');
    }

    $c = established();
    is($c->post('')->status(), 200, 'an empty POST');
}


sub unknown {
    my $uri = "$ENDPOINT/" . 'A' x 24;
    my $r = client(uri => $uri)->post($RECORD);

    is($r->status(), 410, 'an unknown id');
    is(type($r), 'session-foreign', 'its type');
    is($r->header('Set-Cookie'), undef, 'no cookie expires');
    is($r->header('Location'), undef, 'and there is no Location');

    $r = client(uri => $uri)->post('');
    is($r->status(), 410, 'an unknown id, an empty POST');

    my $c = client(uri => $uri);
    ok($c->handshake(), 'an unknown id, a ClientHello') or diag($c->error());
    unlike($c->location(), qr/A{24}/, 'has got a new one');
    works($c, 'a request in the new session');

    # a ClientHello does not affect the session

    my $old = established();

    $c = client(uri => $old->location());
    $r = hello($c);
    is($r->status(), 201, 'a known id, a ClientHello');
    isnt($c->location(), $old->location(), 'starts another session');
    works($old, 'the old one goes on');
    ok($c->handshake(), 'and so does the new one') or diag($c->error());

    # no id

    $r = client()->post($RECORD);
    is($r->status() . ' ' . type($r), '410 no-location',
       'records without an id');
    $r = client()->post('');
    is($r->status() . ' ' . type($r), '400 empty-body', 'nothing');
    $r = client()->post('GET / HTTP/1.0');
    is($r->status() . ' ' . type($r), '400 not-tls', 'no TLS');
    $r = client(uri => '/both')->post($RECORD);
    is($r->status() . ' ' . type($r), '410 no-cookie', 'both: no id');
}


# There is no DELETE: only an authenticated close_notify ends a session.

sub methods {
    my $c = established();

    for my $method (qw( GET HEAD PUT DELETE PATCH OPTIONS PROPFIND X )) {
        for my $uri ($ENDPOINT, $c->location(), "$ENDPOINT/" . 'B' x 24) {
            my $r = client(uri => $uri, method => $method)->post('');

            is($r->status() . ' ' . ($r->header('Allow') || ''), '405 POST',
               "$method $uri" =~ s/[\w-]{24}$/.../r);
        }
    }

    my $r = client(uri => $c->location(), type => 'text/plain')->post($RECORD);
    is($r->status(), 415, 'another media type');

    works($c, 'the session goes on');
}


# With "location", cookies are ignored.

sub no_cookies {
    my ($one, $two) = map { established() } 1, 2;
    my ($id) = $two->location() =~ m!([^/]+)$!;

    $one->write_plain(get('/'));
    $one->exchange($one->tls_out(), cookie => "atls=$id");
    like($one->read_plain(), qr/inner/, 'a cookie of another session');
    is($one->last_response()->header('Set-Cookie'), undef, 'is left alone');

    my $r = client()->post($RECORD, cookie => "atls=$id");
    is(type($r), 'no-location', 'a cookie only');
    is($r->header('Set-Cookie'), undef, 'is not expired');

    my $c = client();
    $c->cookie($id);
    ok($c->handshake(), 'a ClientHello with a cookie') or diag($c->error());

    works($two, 'its session goes on');
}


sub ended {
    my $c = established();
    my $r = $c->close_notify();

    is($r->status(), 200, 'the end');
    is($r->header('Set-Cookie'), undef, 'no cookie expires');
    $c->read_plain();
    ok($c->closed(), 'close_notify');

    $r = $c->post($RECORD);
    is($r->status() . ' ' . type($r), '410 session-unknown', 'after the end');

    $c = established();
    $r = $c->post($RECORD);
    is($r->status(), 409, 'a wrong record');
    works($c, 'after it');

    # at another endpoint

    $c = established();
    my ($id) = $c->location() =~ m!([^/]+)$!;

    for my $uri ("/slash/$id", "/both/$id") {
        $r = client(uri => $uri)->post($RECORD);
        is($r->status() . ' ' . type($r), '410 session-elsewhere',
           'at another endpoint');
    }

    works($c, 'the session goes on at its own');
}


# With "both", the URI takes precedence.

sub both {
    my $c = client(uri => '/both');
    my $r = hello($c);
    my $id = $c->cookie();

    is($r->status(), 201, 'both: the first response');
    is($r->header('Location'), "/both/$id", 'both: Location');
    is($r->header('Set-Cookie'), "atls=$id; Path=/both; HttpOnly; Max-Age=600",
       'both: and the cookie');

    ok($c->handshake(), 'both: handshake') or diag($c->error());
    works($c, 'both: with the URI and the cookie');

    my $answer = sub {
        my ($uri, $cookie) = @_;

        $c->{http}{uri} = $uri;
        $c->write_plain(get('/'));
        $c->exchange($c->tls_out(), cookie => $cookie);

        return $c->read_plain() =~ /inner/ ? 'inner' : $c->error();
    };

    my $other = established(uri => '/both');
    my $others = 'atls=' . $other->cookie();

    is($answer->("/both/$id", ''), 'inner', 'both: with the URI');
    is($answer->('/both', "atls=$id"), 'inner', 'both: with the cookie');
    is($answer->('/both/', "atls=$id"), 'inner', 'both: and a slash');
    is($answer->("/both/$id", $others), 'inner',
       'both: the URI is chosen by the client, a cookie may not be');
    is($answer->("/both/$id", "$others; atls=$id"), 'inner',
       'both: the cookie of another session and the own one');

    # a URI of no session: cookies do not matter

    for my $name ('A' x 24, 'short', "$id/") {
        $r = client(uri => "/both/$name")->post($RECORD, cookie => "atls=$id");
        is($r->status(), 410, 'both: another URI, the cookie');
        is($r->header('Set-Cookie'), undef, 'both: which is not expired');
    }

    works($other, 'both: the other session');

    # a cookie is expired if it was sent

    $c->{http}{uri} = "/both/$id";
    $c->write_plain(get('/', Connection => 'close'));
    $r = $c->post($c->tls_out(), cookie => "a=b; atls=$id");
    like($r->header('Set-Cookie'), qr/^atls=; .*Max-Age=0/,
         'both: expired at the end');

    for my $case ([ '', undef ], [ $others, undef ],
                  [ "atls=$id", qr/^atls=; .*Max-Age=0/ ])
    {
        my ($cookie, $expected) = @$case;

        $r = $c->post('', cookie => $cookie);
        is($r->status(), 410, 'both: after the end');

        my $set = $r->header('Set-Cookie');

        $expected ? like($set, $expected, 'both: expired')
                  : is($set, undef, 'both: not sent, not expired');
    }

    works($other, 'both: the other one goes on');
}


# By default, the rest of a URI does not matter.

sub by_cookie {
    my $c = client(uri => '/cookie/' . 'A' x 24);
    my $r = hello($c);

    is($r->status(), 200, 'cookie: the first response');
    is($r->header('Location'), undef, 'cookie: no Location');
    ok($c->handshake(), 'cookie: handshake') or diag($c->error());
    works($c, 'cookie: a request');

    $r = client(uri => '/cookie/' . $c->cookie())->post($RECORD);
    is($r->status() . ' ' . type($r), '410 no-cookie', 'cookie: its URI only');
    works($c, 'cookie: goes on');
}


sub busy {
    my $c = established(outer => 'http11-chunked', keepalive => 1);
    # a POST of which the body is not complete, but its first record is

    $c->write_plain(get('/'));
    my $bytes = $c->tls_out();
    my $first = length($bytes) + 20;

    $c->write_plain(get('/'));
    $bytes .= $c->tls_out();

    my $socket = $c->begin_post(substr($bytes, 0, $first),
                                'Content-Length' => length $bytes);
    my $r;

    $t->wait_for(sub {
        $r = client(uri => $c->location())->post('');
        return $r->status() == 409;
    });

    is($r->status() . ' ' . type($r), '409 session-busy', 'another POST');

    print $socket substr $bytes, $first;
    is(() = $c->end_post($socket) =~ /inner/g, 2, 'the first one is answered');
}


# Each POST is counted once, by the place of its identifier.

sub counted {
    my $before = status($t)->{posts_named_total};

    my $c = established();
    my $both = established(uri => '/both');
    my $cookie = established(uri => '/cookie');

    $_->get('/') for $c, $both, $cookie;
    client(uri => "$ENDPOINT/x")->post($RECORD);
    client()->post('');

    my $status = status($t);
    my $after = $status->{posts_named_total};

    is(join(' ', map { $after->{$_} - $before->{$_} }
                 qw( none cookie location )), '4 2 5', 'POSTs by place');
    is(total($after), total($status->{posts_total}), 'all of them');
    like(metrics($t), qr/^nginx_atls_posts_named_total\{place="location"\} \d/m,
         'for Prometheus');
}


# $atls_post_named, and the session of a log line.

sub logged {
    my $from = length $t->read_log('named.log');

    my $c = established();
    my $both = established(uri => '/both');
    my $cookie = established(uri => '/cookie');

    $_->get('/') for $c, $both, $cookie;

    my @lines = split /\n/, substr $t->read_log('named.log'), $from;

    is(scalar(grep { /^200 served location \w{32}$/ } @lines), 2,
       'named by the URI');
    is(scalar(grep { /^200 served cookie \w{32}$/ } @lines), 1,
       'named by the cookie');
    is(scalar(grep { /^201 handshake - \w{32}$/ } @lines), 2,
       'named by nothing');
}
