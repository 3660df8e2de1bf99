#!/usr/bin/perl

# Requests with exported keys at once, under limit_req and limit_conn: each one
# is counted, and its refusal is an encrypted response.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;
use Time::HiRes qw( time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( readable );
use Test::Atls::Message;
use Test::Atls::Pattern qw( pattern );

my $N = 16;

my $t = Test::Atls->new();

# on a busy machine, a handshake may take long

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_exported_keys on;
atls_handshake_timeout 5m;

log_format inner '$atls $request_uri $status';
log_format outer '$atls_post $status';

limit_req_zone $atls_session_id zone=routed:1m rate=1r/m;
limit_req_zone $atls_session_id zone=pinned:1m rate=1r/m;
limit_req_zone $atls_session_id zone=delayed:1m rate=20r/m;
limit_conn_zone $atls_session_id zone=conn:1m;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    access_log %%TESTDIR%%/access.log inner;

    location /.well-known/atls {
        atls on;
        access_log %%TESTDIR%%/outer.log outer;
    }

    location = /routed {
        limit_req zone=routed burst=3 nodelay;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /delayed {
        limit_req zone=delayed burst=1;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /hang {
        limit_conn conn 2;
        limit_conn_status 429;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /free {
        return 200 free;
    }

    # an endpoint with a handler of its own

    location /pinned {
        atls on;
        limit_req zone=pinned burst=3 nodelay;
        limit_req_status 429;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /handler {
        atls on;
        client_max_body_size 1m;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my $protocol;

for (qw( TLSv1.3 TLSv1.2 )) {
    $protocol = $_;

    limited('a location', '/.well-known/atls', '/routed', 503);
    limited('an endpoint', '/pinned', '/any', 429);
    connections();
    handler();
}

delayed();
logs();

$t->done_testing();


sub messages {
    my ($uri) = @_;

    return Test::Atls::Message->new($t->established(protocol => $protocol,
                                                    uri => $uri,
                                                    keepalive => 0));
}


# at_once($m, $uri): N messages at once.  Returns [ status, seconds ] of the
# responses; 0 if one is not whole, or not encrypted.

sub at_once {
    my ($m, $uri) = @_;

    my $get = Test::Atls::Client::format_request('GET', $uri, '');
    my @messages = map { $m->seal($get, number => $_) } 1 .. $N;
    my $began = time;
    my @posts = map { $m->post_send($_) } @messages;
    my @got;

    $m->{number} = $N + 1;

    for my $number (1 .. $N) {
        my $http = $posts[$number - 1];
        my $plain = $m->receive($http->receive(), $number) // '';
        my ($status) = $plain =~ m!^HTTP/1\.1 (\d+) !;

        push @got, [ $m->error() eq '' && $status || 0, time - $began ];
        $http->close();
    }

    return @got;
}


sub count {
    my %count;

    $count{$_->[0]}++ for @_;

    return \%count;
}


# The first one and the burst are served, nothing else.

sub limited {
    my ($name, $endpoint, $uri, $status) = @_;

    $name = "$protocol, $name";

    my $m = messages($endpoint);
    my $other = messages($endpoint);

    $backend->forget();

    is_deeply(count(at_once($m, $uri)), { 200 => 4, $status => $N - 4 },
              "$name: $N requests at once");
    is(scalar $backend->requests(), 4, "$name: those that were passed on");

    my $r = $m->get($uri);
    is($r && $r->status(), $status, "$name: one more");
    is($m->last_response()->status(), 200, "$name: its POST is served");

    $r = $m->{client}->get($uri);
    is($r && $r->status(), $status, "$name: records are counted, too");

    if ($uri eq '/routed') {
        $r = $m->get('/free');
        is($r && $r->body(), 'free', "$name: the session goes on");
    }

    $r = $other->get($uri);
    is($r && $r->status(), 200, "$name: another session");
}


# Requests that are in progress.

sub connections {
    my $m = messages('/.well-known/atls');
    my $hang = Test::Atls::Client::format_request('GET', '/hang', '');

    $backend->forget();

    my @posts = map { $m->post_send($m->seal($hang, number => $_)) } 1, 2;

    ok($t->wait_for(sub { $backend->requests() == 2 }),
       "$protocol: two requests in progress");
    $m->{number} = 3;

    my $r = $m->get('/hang');
    is($r && $r->status(), 429, "$protocol: limit_conn, the third one");

    $r = $m->get('/free');
    is($r && $r->body(), 'free', "$protocol: limit_conn, another location");

    $posts[0]->close();

    # its end frees the place: no response, but a request to the backend

    ok($t->wait_for(sub {
        $posts[0] = $m->post_send($m->seal($hang));

        $t->wait_for(sub {
            $backend->requests() == 3 || readable($posts[0]{socket}, 0);
        });

        return 1 if $backend->requests() == 3;
        $posts[0]->close();
        return 0;
    }), "$protocol: limit_conn, after the end of one");

    $_->close() for @posts;
}


# Bodies of an endpoint with a handler.

sub handler {
    my $m = messages('/handler');
    my $body = pattern(300_000);

    my $r = $m->http(Test::Atls::Client::format_request('POST', '/echo', $body));
    like($r && $r->body(), qr/^length 300000\nmd5 \Q${\md5_hex($body)}\E$/m,
         "$protocol, handler: a request body") or diag($m->error());

    $r = $m->get('/big?size=300000&chunked=1');
    ok($r && $r->body() eq $body, "$protocol, handler: a chunked response")
        or diag($m->error());

    $r = $m->http(Test::Atls::Client::format_request('HEAD', '/big?size=5000',
                                                     ''));
    is($r && $r->status() . ' ' . $r->header('Content-Length'), '200 5000',
       "$protocol, handler: HEAD");

    $r = $m->get('/status?code=503');
    is($r && $r->status(), 503, "$protocol, handler: 503 of the backend");
    is($m->last_response()->status(), 200, "$protocol, handler: in a message");

    $r = $m->http("POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                  . "Content-Length: 2000000\r\n\r\n");
    is($r && $r->status(), 413, "$protocol, handler: a body that is too large");

    $r = $m->get('/die');
    ok($r && !$r->done() && $m->error() eq '',
       "$protocol, handler: a response that is cut by the backend");

    $r = $m->get('/echo');
    is($r && $r->status(), 200, "$protocol, handler: the session goes on");
}


# Without nodelay: 3 seconds for each of the burst.

sub delayed {
    my @got = at_once(messages('/.well-known/atls'), '/delayed');
    my @served = map { $_->[1] } grep { $_->[0] == 200 } @got;

    cmp_ok(scalar @served, '>=', 2, 'delayed: the first one and the burst');
    is(count(@got)->{503} + @served, $N, 'delayed: the others are refused');
    cmp_ok((sort { $b <=> $a } @served)[0], '>', 2.5, 'delayed: one was');
}


sub logs {
    my $inner = $t->read_log('access.log');
    my $outer = $t->read_log('outer.log');

    is(scalar(() = $inner =~ m!^on /routed 503$!mg), 2 * ($N - 4 + 2),
       'all are logged');
    unlike($outer, qr/ (?:503|429)$/m, 'no POST was refused');
}
