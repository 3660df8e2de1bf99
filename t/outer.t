#!/usr/bin/perl

# The outer connection: HTTP/1.0, HTTP/1.1 and HTTP/2, over TCP and TLS, IPv6
# and Unix-domain sockets; media types, Expect, pipelined POSTs.

use strict;
use warnings;

use Digest::MD5 qw( md5_hex );
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::IP;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( parse_responses read_response readable send_all );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Slow qw( patience );

my $type = 'application/atls+octet-stream';
my $large = 1 << 20;

my $t = Test::Atls->new();

my $has_h2 = $t->has_option('http_v2_module');
my $has_ipv6 = IO::Socket::IP->new(LocalAddr => '::1', LocalPort => 0,
                                   Listen => 1);
my ($listen_h2, $http2) = $t->http2();
my $unix = $t->path('outer.sock');
my $ipv6 = $has_ipv6 ? 'listen [::1]:%%PORT_4%%;' : '';

$t->write_http(<<"EOC");
%%SSL_CERTIFICATE%%
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%% ssl;
    $ipv6
    listen unix:$unix;

    include locations.conf;
}

server {
    listen 127.0.0.1:%%PORT_2%% $listen_h2;
    listen 127.0.0.1:%%PORT_3%% ssl $listen_h2;
    $http2

    include locations.conf;
}
EOC

$t->write_file('locations.conf', $t->expand(<<'EOC'));
location /.well-known/atls {
    atls on;
}

location / {
    proxy_pass http://127.0.0.1:%%PORT_9%%;
}

location /about {
    return 200 "$remote_addr $server_addr $server_port $scheme $https|";
}
EOC

my $backend = Test::Atls::Backend->start($t, $t->port(9));

$t->run();


sub client {
    my $c = Test::Atls::Client->new(@_);

    return $c if $c->handshake();
    diag($c->error());

    return undef;
}


sub request {
    return Test::Atls::Client::format_request(@_);
}


# handshake, GET, POST, a large response, several requests in one POST

sub test_outer {
    my ($name, %args) = @_;

    my $c = client(%args);

    ok($c, "$name: handshake") or return;

    is($c->last_response()->header('Content-Type'), $type,
       "$name: media type");
    is($c->last_response()->header('Cache-Control'), 'no-store',
       "$name: Cache-Control");

    if ($args{tls}) {
        like($c->set_cookie(), qr/; HttpOnly; Max-Age=600; Secure$/, "$name: cookie");
    } else {
        like($c->set_cookie(), qr/; HttpOnly; Max-Age=600$/, "$name: cookie");
    }

    my $r = $c->get('/echo', 'X-Test' => 'inside');

    is($r && $r->status(), 200, "$name: GET");
    like($r ? $r->body() : '', qr/^X-Test: inside$/m,
         "$name: what the backend saw");

    my $body = pattern(100_000);

    $r = $c->http(request('POST', '/body', $body));
    is($r && md5_hex($r->body()), md5_hex($body), "$name: POST");

    $r = $c->get("/big?size=$large");
    is($r && md5_hex($r->body()), pattern_md5($large), "$name: 1 MB");

    my $posts = $c->posts();
    my @answers = parse_responses($c->request(join '', map {
                      request('GET', "/echo?n=$_", '')
                  } 1 .. 3));

    is(join(' ', map { $_->body() =~ /n=(\d)/ } @answers), '1 2 3',
       "$name: three requests in one POST");
    is($c->posts(), $posts + 1, "$name: one POST");

    $r = $c->get('/about');
    like($r ? $r->body() : '', qr/^127\.0\.0\.1 127\.0\.0\.1 $args{port} /,
         "$name: addresses") unless $args{host};

    is($c->error(), '', "$name: no error");

    return $c;
}


for my $protocol ('TLSv1.3', 'TLSv1.2') {
    for my $tls (0, 1) {
        my $over = ($tls ? 'over TLS' : 'over TCP') . ", $protocol inside";
        my @args = (port => $t->port($tls), tls => $tls,
                    protocol => $protocol);

        test_outer("HTTP/1.0 $over", outer => 'http10', @args);
        test_outer("HTTP/1.1 $over", outer => 'http11', @args);
        test_outer("HTTP/1.1 chunked $over", outer => 'http11-chunked', @args);

        SKIP: {
            skip 'no http_v2_module', 12 unless $has_h2;

            test_outer("HTTP/2 $over", outer => 'h2', tls => $tls,
                       port => $t->port(2 + $tls), protocol => $protocol);
        }
    }
}

# other listening sockets

SKIP: {
    skip 'no ::1', 13 unless $has_ipv6;

    my $c = test_outer('IPv6', outer => 'http11', host => '::1',
                       port => $t->port(4)) or last;
    my ($about) = $c->get('/about')->body() =~ /^(.*?) http/;

    is($about, '::1 ::1 ' . $t->port(4), 'IPv6: addresses');
}

{
    my $c = test_outer('Unix-domain socket', outer => 'http11',
                       host => $unix, port => 0);

    like($c ? $c->get('/about')->body() : '', qr/^unix: /,
         'Unix-domain socket: address');
}

# the inner scheme is always https

for my $tls (0, 1) {
    my $c = client(port => $t->port($tls), tls => $tls, outer => 'http11');

    like($c->get('/about')->body(), qr/ https on\|$/,
         'the scheme inside, over ' . ($tls ? 'TLS' : 'TCP'));
}

# HTTP/1.0 and 1.1, a new connection for each POST of a session

for my $outer (qw( http10 http11 http11-chunked )) {
    my $c = client(port => $t->port(0), outer => $outer);

    $c->http_client()->{keepalive} = 0;
    my @answers = map { $c->get("/echo?n=$_") } 1 .. 8;

    is(join(' ', map { $_ && $_->body() =~ /n=(\d)/ } @answers),
       join(' ', 1 .. 8), "$outer, a new connection for each POST");
}

# HTTP/1.1 keep-alive

{
    my $c = client(port => $t->port(0), outer => 'http11');
    my $socket = $c->http_client()->{socket};

    $c->get('/echo') for 1 .. 3;
    is($c->http_client()->{socket}, $socket, 'one connection');
}

# media types

for my $sent ("$type; charset=utf-8", "$type;a=\"b; c\"", "$type ;x=1",
              uc $type, 'Application/ATLS+Octet-Stream;Q=1',
              'application/atls', 'APPLICATION/ATLS; v=1')
{
    my $c = client(port => $t->port(0), outer => 'http11', type => $sent);
    my ($essence) = $sent =~ /^([^;\s]+)/;

    ok($c, $sent) or next;
    is(lc $c->last_response()->header('Content-Type'), lc $essence,
       'the answer has the same one');
    like($c->get('/about')->body(), qr/^127/, 'a request');
}


# Expect: 100-continue, with a client that waits

{
    my $c = client(port => $t->port(0), outer => 'http11');

    $c->write_plain(request('GET', '/about', ''));
    my $record = $c->tls_out();
    my $s = $c->begin_post('', 'Content-Length' => length $record,
                           Expect => '100-continue');

    ok(readable($s, patience()), 'an interim answer');
    sysread $s, my $interim, 4096;
    is($interim, "HTTP/1.1 100 Continue\r\n\r\n", 'which asks to go on');

    send_all($s, $record);

    my $r = read_response($s);

    is($r->status(), 200, 'the final answer');
    $c->tls_in($r->body());
    like($c->read_plain(), qr/127\.0\.0\.1/, 'and what is in it');
}

# several POSTs of a session sent at once

{
    my $c = client(port => $t->port(0), outer => 'http11');
    my $posts = '';

    for my $n (1 .. 5) {
        $c->write_plain(request('GET', "/echo?n=$n", ''));
        $posts .= $c->format_post($c->tls_out());
    }

    my @outer = parse_responses(http_raw($t->port(0), $posts, answers => 5));

    is(join(' ', map { $_->status() } @outer), '200 200 200 200 200',
       'five POSTs sent at once');
    $c->tls_in($_->body()) for @outer;
    is(join(' ', $c->read_plain() =~ /n=(\d)/g), '1 2 3 4 5',
       'are answered one after the other');
}

$t->done_testing();
