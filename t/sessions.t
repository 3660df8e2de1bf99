#!/usr/bin/perl

# Sessions: in any worker, one POST at a time, after a reload and the death of a
# worker, until their timeout.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw( decode_base64url );
use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Outer;
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( slow );

my $t = Test::Atls->new();
my $timeout = 2 * slow();


# with reuseport, connections are distributed among all workers

$t->write_http(<<'EOC' =~ s/%%TIMEOUT%%/$timeout/gr);
%%CERTIFICATE%%
atls_handshake_timeout 2s;      # some are not finished

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location /.well-known/atls {
        atls on;
    }

    location /other {
        atls on;
    }

    location /idle {
        atls on;
        atls_session_timeout %%TIMEOUT%%s;
    }

    location /lifetime {
        atls on;
        atls_session_lifetime %%TIMEOUT%%s;
    }

    location / {
        return 200 "$pid $atls_session_id $atls_session_requests";
    }

    location /slow {
        proxy_pass http://127.0.0.1:%%PORT_2%%;
    }

    location /hang {
        proxy_pass http://127.0.0.1:%%PORT_2%%;
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;

    location /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "$pid $atls_session_id $atls_session_requests";
    }
}
EOC

# messages about the death of workers

$t->allow_kills();
$t->allow_log(qr/\[alert\].* open socket #\d+ left in connection/);

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(2));
my $media = 'application/atls+octet-stream';
my $garbage = "\x17\x03\x03\x00\x20" . 'x' x 32;

every_worker();
session_id();
unknown();
endpoints();
one_at_a_time();
reload();
lost_worker();
time_is_over();

$t->done_testing();


# Established sessions are served by all workers, from the first POST on.

sub every_worker {
    my @clients = map { client() } 1 .. 40;
    my ($good, $bad, @workers) = (0, '');

    for my $round (1 .. 25) {
        for my $i (0 .. $#clients) {
            my $r = $clients[$i]->get('/');

            if (!$r) {
                $bad = $clients[$i]->error();
                next;
            }

            my ($pid, undef, $requests) = split ' ', $r->body();

            $good++ if $requests == $round;
            $workers[$i]{$pid}++;
        }
    }

    is($good, 40 * 25, '40 sessions with 25 POSTs each');
    is($bad, '', 'none fails');

    my @several = grep { keys %$_ > 1 } @workers;
    is(scalar @several, 40, 'each was served by several workers');

    my %all = map { %$_ } @workers;
    is(scalar keys %all, 4, 'all workers have served');
}


sub session_id {
    my ($c, $other) = (client(), client());
    my %ids;

    $ids{(split ' ', $c->get('/')->body())[1]}++ for 1 .. 5;

    my ($id) = keys %ids;
    my $cookie = $c->cookie();

    is(scalar keys %ids, 1, '$atls_session_id stays');
    like($id, qr/^[0-9a-f]{32,}$/, 'it is a hash');
    isnt((split ' ', $other->get('/')->body())[1], $id,
         'another session has another');

    my $raw = unpack 'H*', decode_base64url($cookie);
    ok(index($id, $raw) < 0 && index($raw, $id) < 0 && $id ne $cookie,
       'it is not the cookie');

    my $r = $c->post($garbage, cookie => "atls=$id");
    is($r->status(), 410, 'and no use as a cookie');
}


# Unknown cookies.

sub unknown {
    my $c = client(handshake => 0);
    my $r;

    for my $value ('AAAAAAAAAAAAAAAAAAAAAAAA', 'x', 'A' x 500, '!!', '""') {
        $r = $c->post($garbage, cookie => "atls=$value");
        is($r->status(), 410, "unknown cookie '$value'");
    }

    is($r->header('Content-Type'), 'application/problem+json', 'problem+json');
    like($r->header('Set-Cookie'), qr/^atls=;.*; Max-Age=0/, 'expired cookie');

    $r = $c->post('', cookie => 'atls=AAAAAAAAAAAAAAAAAAAAAAAA');
    is($r->status(), 410, 'unknown cookie, empty body');

    # the client can begin a new session

    $c->{cookies}{atls} = 'AAAAAAAAAAAAAAAAAAAAAAAA';
    $c->http_client()->{keepalive} = 1;
    ok($c->handshake(), 'unknown cookie, ClientHello') or diag($c->error());
    isnt($c->cookie(), 'AAAAAAAAAAAAAAAAAAAAAAAA', 'a new cookie');
    like($c->get('/')->body(), qr/ 1$/, 'a new session');

    # so can a client with a session that has lost its keys

    my $old = client();
    my $cookie = $old->cookie();

    $c = client(cookies => { atls => $cookie });
    isnt($c->cookie(), $cookie, 'known cookie, ClientHello: a new one');
    like($c->get('/')->body(), qr/ 1$/, 'a new session');
    like($old->get('/')->body(), qr/ 1$/, 'the old one is not disturbed');
}


# A session belongs to the location where it was created.

sub endpoints {
    my $c = client();
    my $cookie = 'atls=' . $c->cookie();
    my %outer = ('another location' => [ port => $t->port(0), uri => '/other' ],
                 'another server' => [ port => $t->port(1),
                                       uri => '/.well-known/atls' ]);

    for my $name (sort keys %outer) {
        $c->write_plain(request('/'));
        my $outer = Test::Atls::Outer->new(@{$outer{$name}});
        my $bytes = $c->tls_out();
        my $r = $outer->post($bytes, { 'Content-Type' => $media,
                                       Cookie => $cookie });

        is($r->status(), 410, "$name: not known there");

        # the record is still accepted by the right location

        $c->exchange($bytes);
        ok(parse_responses($c->read_plain()), "$name: not disturbed");
    }
}


sub one_at_a_time {
    my $c = client();

    $backend->forget();
    $c->write_plain(request('/slow?n=3&delay=0.7'));
    $c->post_send($c->tls_out());
    $t->wait_for(sub { $backend->requests() });

    my $outer = Test::Atls::Outer->new(port => $t->port(0),
                                       uri => '/.well-known/atls');

    # an empty POST gets 409 at once, others at the end of the first one

    for my $bytes ('', $garbage, "\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00") {
        my $r = $outer->post($bytes, { 'Content-Type' => $media,
                                       Cookie => 'atls=' . $c->cookie() });

        is($r->status(), 409, 'a second POST: ' . unpack 'H*', $bytes);
        is($r->header('Content-Type'), 'application/problem+json',
           'problem+json');
        is($r->header('Set-Cookie'), undef, 'the cookie stays');
    }

    my $r = $c->post_receive();
    $c->tls_in($r->body());
    ($r) = parse_responses($c->read_plain());
    is($r && $r->body(), "line 1\nline 2\nline 3\n",
       'the first one is not disturbed');
    like($c->get('/')->body(), qr/ 2$/, 'and the session goes on');
}


sub reload {
    my @clients = map { client() } 1 .. 8;
    my @part;

    # the beginning of a record also belongs to a session

    $_->get('/') for @clients;
    for my $c (@clients) {
        $c->write_plain(request('/'));
        my $bytes = $c->tls_out();
        $c->exchange(substr $bytes, 0, 20, '');
        push @part, $bytes;
    }

    my %old = map { $_ => 1 } $t->workers();
    ok($t->reload(), 'reload');

    my ($good, $old) = (0, 0);

    for my $c (@clients) {
        $c->exchange(shift @part);
        my ($r) = parse_responses($c->read_plain());
        my ($pid) = split ' ', $r ? $r->body() : '';

        $good++ if $r && $r->body() =~ / 2$/;
        $old++ if $old{$pid};
    }

    is($good, 8, 'all sessions go on');
    is($old, 0, 'at new workers');
}


sub lost_worker {
    my @clients = map { client() } 1 .. 8;
    my $busy = client(keepalive => 1);
    my ($victim) = split ' ', $busy->get('/')->body();

    # the worker of the busy session is idle for the other ones

    $backend->forget();
    $busy->write_plain(request('/hang'));
    $busy->post_send($busy->tls_out());
    $t->wait_for(sub { $backend->requests() });

    kill 'KILL', $victim;
    $t->wait_for_log(qr/worker process $victim exited on signal 9/);
    $t->wait_for(sub { $t->workers() == 4 });

    my $good = 0;

    for my $round (1 .. 4) {
        for my $c (@clients) {
            my $r = $c->get('/');
            $good++ if $r && $r->body() =~ / $round$/;
        }
    }

    is($good, 32, 'idle sessions survive a lost worker');

    # it is unknown what the client of the busy session has received

    is($busy->post_receive(), undef, 'the lost worker does not answer');
    my $r = $busy->post($garbage);
    is($r->status(), 410, 'and its busy session is gone');
    like($r->body(), qr/"tag:atls,2026:session-lost"/, 'with its worker');

    # an idle worker is killed: no session is affected

    my ($idle) = split ' ', $clients[0]->get('/')->body();
    kill 'KILL', $idle;
    $t->wait_for_log(qr/worker process $idle exited on signal 9/);
    $t->wait_for(sub { $t->workers() == 4 });

    $good = grep { my $r = $_->get('/'); $r && $r->status() == 200 } @clients;
    is($good, 8, 'an idle worker is lost: idle sessions');
    like(client()->get('/')->body(), qr/ 1$/, 'and a new one');
}


# Sessions that are idle, and those in use, when they expire.

sub time_is_over {
    my $idle = client(uri => '/idle');
    my $used = client(uri => '/idle');
    my $lifetime = client(uri => '/lifetime');
    my $plain = client();
    my $end = time + 1.6 * $timeout;
    my ($good, $n) = (0, 0);

    is($idle->get('/')->status(), 200, 'atls_session_timeout: at first');
    is($lifetime->get('/')->status(), 200, 'atls_session_lifetime: at first');

    my $gone;

    while (time < $end || !$gone && time < $end + 10 * $timeout) {
        sleep 0.2;

        $n++;
        my $r = $used->get('/');
        $good++ if $r && $r->status() == 200;

        next if $gone;
        $lifetime->write_plain(request('/'));
        $r = $lifetime->post($lifetime->tls_out());
        $lifetime->tls_in($r->body()) if $r->status() == 200;
        $gone = $r if $r->status() != 200;
    }

    is($good, $n, 'atls_session_timeout: not while it is used');
    over($gone, 'atls_session_lifetime');

    $idle->write_plain(request('/'));
    over($idle->post($idle->tls_out()), 'atls_session_timeout');

    is($plain->get('/')->status(), 200, 'others have more time');
}


sub over {
    my ($r, $name) = @_;

    is($r && $r->status(), 410, "$name: 410");
    like($r && $r->header('Set-Cookie'), qr/^atls=;.*; Max-Age=0/,
         "$name: expired cookie");
}


# An established client.  Each following POST has a connection of its own.

sub client {
    my %args = (port => $t->port(0), handshake => 1, keepalive => 0, @_);
    my $keepalive = delete $args{keepalive};
    my $c = Test::Atls::Client->new(%args, keepalive => 1);

    if ($args{handshake}) {
        $c->handshake() or die 'no handshake: ' . $c->error() . "\n";
    }

    $c->http_client()->{keepalive} = $keepalive;

    return $c;
}


sub request { Test::Atls::Client::format_request('GET', $_[0], '') }
