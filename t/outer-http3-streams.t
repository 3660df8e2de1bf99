#!/usr/bin/perl

# The outer connection: HTTP/3, with one connection for all POSTs: many sessions
# at once, clients that leave, other versions of HTTP, reloads.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use IO::Socket::IP;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Duplex;
use Test::Atls::Http3;
use Test::Atls::Pattern qw( pattern pattern_md5 );

my $t = Test::Atls->new();

plan(skip_all => 'no HTTP/3')
    unless Test::Atls::Http3::nginx($t) && Test::Atls::Http3::aioquic();

my $has_ipv6 = IO::Socket::IP->new(LocalAddr => '::1', LocalPort => 0,
                                   Listen => 1);
my $ipv6 = $has_ipv6 ? 'listen [::1]:%%PORT_1%% quic reuseport;' : '';

$t->write_file('locations.conf', $t->expand(Test::Atls::Http3::locations()));
$t->write_http(Test::Atls::Http3::site(<<"EOC"));
server {
    listen 127.0.0.1:%%PORT_2%% ssl;
    listen 127.0.0.1:%%PORT_0%% quic reuseport;
    $ipv6
    server_name localhost;
    include locations.conf;
}
EOC

my $backend = Test::Atls::Backend->start($t, $t->port(9));

$t->run();

my $proxy = Test::Atls::Http3->new($t, $t->port(0), '127.0.0.1');

$t->{client} = { port => $proxy->port(), outer => 'http11-chunked' };

for my $protocol ('TLSv1.3', 'TLSv1.2') {
    subtest $protocol => sub {
        Test::Atls::Http3::exchanges($t, protocol => $protocol);
    };
}

subtest 'many sessions' => \&sessions;
subtest 'both directions' => \&both;
subtest 'clients that leave' => \&leaves;
subtest 'a request that goes on' => \&goes_on;
subtest 'HTTP/1.1 and HTTP/3 by turns' => \&turns;
subtest 'a reload' => \&reload;
subtest 'IPv6' => \&ipv6;

$proxy->control('close');
$t->done_testing();


sub request { return Test::Atls::Http3::request(@_) }


# All of their POSTs are in progress at the same time.

sub sessions {
    my @clients = map { $t->client() } 1 .. 20;

    $t->write_file('outer.log', '');

    for (1 .. 2) {
        my @flights = map { $_->handshake_step(); $_->tls_out() } @clients;

        $clients[$_]->post_send($flights[$_]) for 0 .. $#clients;
        $_->tls_in($_->post_receive()->body()) for @clients;
    }

    for my $n (0 .. $#clients) {
        $clients[$n]->write_plain(request('GET', "/slow?session=$n", ''));
        $clients[$n]->post_send($clients[$n]->tls_out());
    }

    my $n = grep {
        $_->tls_in($_->post_receive()->body());
        $_->read_plain() =~ /line 3/;
    } @clients;

    is($n, 20, 'responses');

    my %ports = map { (split ' ')[2] => 1 }
                split /\n/, $t->read_log('outer.log');

    is(keys %ports, 1, 'in one connection');
}


sub both {
    my $c = $t->established();
    my $r = $c->http(request('POST', '/body', pattern(3_000_000)));

    is($r && md5_hex($r->body()), pattern_md5(3_000_000),
       'a response of the size of the request');

    # before the end of the request

    $c = $t->established(outer => 'http11');
    like(Test::Atls::Http3::upload($c, 1_000_000, uri => '/forbidden'),
         qr/^HTTP\/1.1 403/, 'an early response');
}


# In the middle of a response, before it, and in the middle of a request.

sub leaves {
    for my $uri ('/big?size=100000000', '/hang') {
        my $c = begun($uri);

        $c->http_client()->close();
        ended($uri);
    }

    # the client wants no response, and says nothing else

    for my $uri ('/big?size=100000001', '/hang?stop') {
        my $c = begun($uri);

        $proxy->control('stop');
        ended($uri, 'STOP_SENDING');
    }

    my $d = Test::Atls::Duplex->new($t->established());

    $d->send("POST /body?cut HTTP/1.1\r\nHost: localhost\r\n"
             . "Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n");
    ok($d->expect(qr/100 Continue/), '/body?cut: begins');
    $d->send('x' x 50_000);
    $d->cut();
    ended('/body?cut');
}


# Its response is for the same POST, which is sent again.

sub goes_on {
    my ($c, $record) = begun('/goes-on?delay=1');

    $proxy->control('stop');
    $c->http_client()->close();

    my $r = $c->post($record);

    is($r && $r->status(), 200, 'the POST again');
    $c->tls_in($r->body()) if $r;
    like($c->read_plain(), qr/waited/, 'the response');
    is(scalar($backend->requests()), 1, 'of one request');
}


# Also returns the record with the request.

sub begun {
    my ($uri) = @_;

    my $c = $t->established();

    $backend->forget();
    $c->write_plain(request('GET', $uri, ''));

    my $record = $c->tls_out();

    $c->post_send($record);
    ok($t->wait_for(sub { $backend->requests() }), "$uri: begins");

    return wantarray ? ($c, $record) : $c;
}


sub ended {
    my ($uri, $how) = @_;

    ok($t->wait_for(sub {
        $t->read_file('inner.log') =~ m!^\d+ \Q$uri\E $!m
    }), "$uri: ends with " . ($how || 'the client'));
}


# Also in the middle of requests.

sub turns {
    my $c = $t->established();
    my %http = (3 => $c->http_client(),
                1 => $t->client(port => $t->port(2), outer => 'http11',
                                tls => 1)->http_client());
    my $got = '';

    for my $n (1 .. 10) {
        $c->{http} = $http{1};
        $c->write_plain("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                        . "Content-Length: 4\r\n\r\n");
        $c->exchange($c->tls_out());
        $c->{http} = $http{3};

        my $r = $c->http('body');

        $got .= $r ? $r->body() : $c->error();
    }

    is($got, 'body' x 10, 'responses');
}


# The connection does not survive it, but sessions do.

sub reload {
    my $c = $t->established();
    my $started = $t->established();

    $started->write_plain("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                          . "Content-Length: 10\r\n\r\n01234");
    $started->exchange($started->tls_out());

    $t->reload();
    $proxy->control('close');

    my $r = $c->get('/who');

    like($r && $r->body(), qr/^localhost \d+\|$/, 'a session');

    $r = $started->http('56789');
    is($r && $r->body(), '0123456789', 'a request');
}


sub ipv6 {
    plan(skip_all => 'no ::1') unless $has_ipv6;

    my $proxy = Test::Atls::Http3->new($t, $t->port(1), '::1');
    my $c = $t->established(port => $proxy->port(), outer => 'http11');

    like($c->get('/about')->body(), qr/^::1:\d+ ::1 \d+ https\|$/, 'addresses');
    $proxy->control('close');
}
