#!/usr/bin/perl

# What nginx counts, limits and names by connection, in a session: an inner
# connection lasts for one POST, unless a request is not finished by then.  This
# is documented in docs/deployment.md and docs/https.md.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Duplex;
use Test::Atls::Process qw( alive );
use Test::Atls::Response qw( parse_responses );

# one worker, so that its connections can be counted

my $t = Test::Atls->new(workers => 1, client => { timeout => 20 });
my $slow = $ENV{TEST_NGINX_SLOW} || 1;
my $short = 2 * $slow;                          # in seconds
my $reload = 5 * $slow;                         # longer than a reload

$t->write_file('dir/index.html', 'directory');
$t->write_file('short/dir/index.html', 'directory');

$t->write_http(<<"EOC");
%%CERTIFICATE%%

port_in_redirect on;
server_name_in_redirect on;
absolute_redirect on;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost canonical;

    location /.well-known/atls {
        atls on;
        client_body_timeout 300s;
    }

    location /short/endpoint {
        atls on;
        client_body_timeout ${reload}s;
    }

    location / { }

    location /requests {
        return 200 \$connection_requests;
    }

    location /time {
        return 200 "\$connection_time \$atls_session_time";
    }

    location /connection {
        return 200 "\$connection";
    }

    location /long-kept {
        keepalive_time ${short}s;
        return 200 "kept";
    }

    location /short-kept {
        keepalive_time 50ms;
        return 200 "kept";
    }

    location /status {
        stub_status;
    }

    location /app/ {
        proxy_pass http://127.0.0.1:%%PORT_1%%/;
    }

    location /renamed/ {
        proxy_pass http://127.0.0.1:%%PORT_1%%/;
        proxy_redirect http://localhost/ /other/;
    }

    location /to/path { return 302 /path; }
    location /to/site { return 302 http://elsewhere/; }
    location /rewritten { rewrite ^ /path redirect; }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name impatient;

    client_header_timeout ${short}s;
    client_body_timeout ${short}s;

    atls_certificate %%TESTDIR%%/localhost.crt;

    location /app/ {
        proxy_pass http://127.0.0.1:%%PORT_1%%/;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my ($c, $r);

connections();
keepalive_time();
counted();
redirects();
parked();
quitting();

$t->done_testing();


sub get { Test::Atls::Client::format_request('GET', $_[0], '') }


sub connections {
    $c = $t->established();

    for my $post (1, 2) {
        my @r = parse_responses($c->request(get('/requests') x 3));
        is(join(' ', map { $_->body() } @r), '1 2 3',
           "POST $post: \$connection_requests");
    }

    my @r = parse_responses($c->request(get('/connection') x 2));
    is($r[0]->body(), $r[1]->body(), '$connection of one POST');
    isnt($c->get('/connection')->body(), $r[1]->body(),
         '... and of another one');

    sleep $short;                               # the time is checked
    my ($connection, $session) = split / /, $c->get('/time')->body();
    cmp_ok($session, '>=', $short, '$atls_session_time');
    cmp_ok($connection, '<', $short, '$connection_time');
}


sub keepalive_time {

    # the session is older than keepalive_time

    $r = $c->get('/long-kept');
    is($r->header('Connection'), 'keep-alive', 'keepalive_time: not of a '
                                               . 'session');
    ok(!$c->closed(), 'keepalive_time: it goes on');

    (undef, $r) = parse_responses($c->request(get('/app/slow?n=2&delay=0.1')
                                              . get('/short-kept')));
    is($r && $r->header('Connection'), 'close', 'keepalive_time: of a POST');
    ok($c->closed(), 'keepalive_time: the session ends');
}


# Numbers of stub_status: active, accepted, handled, requests, reading, writing,
# waiting.

sub status {
    my ($client) = @_;

    my $body = $client ? $client->get('/status')->body()
        : Test::Atls::http_raw($t->port(0), "GET /status HTTP/1.0\r\n\r\n");

    my ($numbers) = $body =~ /^(Active.*)\z/ms;

    return $numbers =~ /(\d+)/g;
}


sub counted {
    my ($active, $accepted, $handled, $requests, $reading, $writing, $waiting);

    undef $c;
    $t->wait_for(sub { (status())[0] == 1 });
    my @before = status();
    is("@before[0, 4 .. 6]", '1 0 1 0', 'stub_status: over HTTP');

    $c = $t->established();
    my $posts = $c->posts();
    my @now = status($c);

    is($now[0], 2, 'stub_status: two connections, of which one is inner');
    is($now[1] - $before[1], 1, '... and one is accepted');
    is($now[2] - $before[2], 1, '... and handled');
    is($now[3] - $before[3], $posts + 2, '... requests, outer and inner');
    is("@now[4 .. 6]", '0 2 0', '... both are being answered');

    # an unfinished request

    $c->request('GET /requests HTTP/1.1');
    @now = status();
    is("@now[0, 4 .. 6]", '3 1 1 1',
       'stub_status: outer, waiting, and inner, reading, besides this one');

    $c->request("\r\nHost: localhost\r\n\r\n");
    @now = status();
    is("@now[0, 4 .. 6]", '2 0 1 1', '... only outer, when it is served');
}


sub redirects {
    my %to = (
        '/dir'                       => '/dir/',
        '/to/path'                   => '/path',
        '/to/site'                   => 'http://elsewhere/',
        '/rewritten'                 => '/path',
        '/app/location?to=/path'     => '/path',
        '/app/location?to=http://x/' => 'http://x/',
        '/app/location?to=http://127.0.0.1:' . $t->port(1) . '/path'
                                     => '/app/path',
        '/renamed/location?to=http://localhost/path'
                                     => '/other/path',
    );

    for my $uri (sort keys %to) {
        is($c->get($uri)->header('Location'), $to{$uri}, "redirect of $uri");
    }
}


# A request that is unfinished between two POSTs has a connection, and nginx's
# own timeouts.

sub parked {
    for my $what ('header', 'body') {
        $c = $t->established(sni => 'impatient');

        my $cookie = $c->cookie();

        $c->request($what eq 'header'
                    ? "GET /app/ HTTP/1.1\r\n"
                    : "POST /app/ HTTP/1.1\r\nHost: impatient\r\n"
                      . "Content-Length: 100\r\n\r\n");

        $t->wait_for(sub { (status())[0] == 2 });
        is((status())[0], 2, "client_${what}_timeout: its connection ends");

        $r = $c->post('x', cookie => "atls=$cookie");
        like($r->header('Set-Cookie'), qr/^atls=;.*Max-Age=0/,
             "client_${what}_timeout: so does the session");
        undef $c;
    }
}


# A POST keeps a worker that quits, until nothing is received for
# client_body_timeout.

sub quitting {
    $c = $t->established(uri => '/short/endpoint');

    my $d = Test::Atls::Duplex->new($c);
    my ($worker) = $t->workers();

    $d->send(get('/requests'));
    ok($d->expect(qr/\r\n\r\n1\z/), 'open POST: before');
    $d->forget();
    $t->reload();
    $d->send(get('/requests'));
    ok($d->expect(qr/\r\n\r\n\d\z/), 'open POST: after a reload');

    my $began = time;

    ok($t->wait_for(sub { !alive($worker) }, 10 * $reload),
       'open POST: its worker ends');
    cmp_ok(time - $began, '>', $reload / 2, '... after client_body_timeout');
}
