#!/usr/bin/perl

# The outer connection: HTTP/3, by curl, with a connection for each POST.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http3;
use Test::Atls::OuterCurl;
use Test::Atls::Pattern qw( pattern_md5 );

use constant LARGE => 30 << 20;

my $t = Test::Atls->new(client => { outer => 'h3', tls => 1 });

plan(skip_all => 'no HTTP/3')
    unless Test::Atls::Http3::nginx($t) && Test::Atls::OuterCurl::has_http3();

# the same port of TCP has other servers than that of UDP

$t->make_cert('other');
$t->write_file('locations.conf', $t->expand(Test::Atls::Http3::locations()));
$t->write_http(Test::Atls::Http3::site(<<'EOC'));
server {
    listen 127.0.0.1:%%PORT_0%% ssl;
    server_name tcp;
    include locations.conf;
}

server {
    listen 127.0.0.1:%%PORT_0%% quic reuseport;
    listen %%PORT_1%% quic reuseport;
    server_name localhost;
    include locations.conf;
}

server {
    listen 127.0.0.1:%%PORT_0%% quic;
    listen %%PORT_1%% quic;
    server_name other;
    %%CERTIFICATE_other%%
    include locations.conf;
}
EOC

Test::Atls::Backend->start($t, $t->port(9));
$t->run();

for my $protocol ('TLSv1.3', 'TLSv1.2') {
    subtest $protocol => sub {
        Test::Atls::Http3::exchanges($t, protocol => $protocol);
    };
}

my @other = grep { $_ ne 'HTTP/3.0' }
            map { (split ' ')[1] } split /\n/, $t->read_log('outer.log');

is("@other", '', 'all by HTTP/3');

subtest 'pieces' => \&pieces;
subtest 'another server' => \&other_server;
subtest 'a wildcard address' => \&wildcard;
subtest 'large bodies' => \&large;
subtest 'raw payload, errors' => \&others;

$t->done_testing();


# Each POST is received by any worker: the pieces of a handshake, a record and a
# request have to reach the one that has the others.

sub pieces {
    for my $n (1 .. 4) {
        my $c = $t->client();

        ok($c->handshake(split => 150), "handshake $n") or diag($c->error());

        my $r = $c->http(Test::Atls::Http3::request('POST', '/body',
                                                    'x' x 3000),
                         split => 1000);

        is($r && $r->body(), 'x' x 3000, 'a request');
    }
}


# A server that the port of TCP does not have: three of four of these sessions
# are continued by a worker that POSTs are relayed to.

sub other_server {
    for my $n (1 .. 8) {
        my $c = $t->client(sni => 'other', ca => $t->path('other.crt'));

        $c->handshake(split => 150, hold => 1) or diag($c->error());

        my $r = $c->get('/who', Host => 'other');

        like($r ? $r->body() : $c->error(), qr/^other \d+\|/, "session $n");
    }
}


# Only the packet has the address of the server.

sub wildcard {
    my $c = $t->established(port => $t->port(1));

    like($c->get('/about')->body(), qr/^127\.0\.0\.1:\d+ 127\.0\.0\.1 \d+ https/,
         'addresses');
}


sub large {
    my $c = $t->established();
    my $md5 = Digest::MD5->new();
    my $size = LARGE;

    my $r = $c->download(Test::Atls::Http3::request('GET', "/big?size=$size",
                                                    ''),
                         sub { $md5->add($_[0]) });

    is($r && $r->length(), $size, 'a download');
    is($md5->hexdigest(), pattern_md5($size), 'its bytes');

    my $md5_sent = pattern_md5($size);

    like(Test::Atls::Http3::upload($c, $size),
         qr/^length $size\nmd5 $md5_sent/m, 'an upload');

    # a slow reader

    $md5 = Digest::MD5->new();
    $c->download(Test::Atls::Http3::request('GET', '/big?size=3000000', ''),
                 sub { $md5->add($_[0]) }, rate => 2_000_000);
    is($md5->hexdigest(), pattern_md5(3_000_000), 'a slow download');
}


sub others {
    my $c = $t->established(uri => '/raw');

    is($c->request('plain bytes'), 'plain bytes', 'a raw payload');

    $c = $t->established();
    $c->write_plain('x' x 500_000);
    is($c->post($c->tls_out(), type => 'text/plain')->status(), 415,
       'another media type');

    $c = $t->client();
    is($c->post('x' x 5000)->status(), 400, 'no TLS');
    is($c->post('')->status(), 400, 'no body');
}
