#!/usr/bin/perl

# HTTP in a session: methods, statuses, ranges, bodies of all kinds, pipelining,
# many requests.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new();

$t->make_cert('ec', type => 'ec');
$t->make_cert('rsa', type => 'rsa');
$t->write_file('static/file', pattern(100_000));

$t->write_http(<<'EOC');
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_buffer_size 64k;
proxy_buffers 8 64k;
keepalive_requests 10000;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /ec {
        atls on;
        %%CERTIFICATE_ec%%
    }

    location = /rsa {
        atls on;
        %%CERTIFICATE_rsa%%
    }

    location /static/ { }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /count {
        return 200 "$atls_session_requests $connection_requests";
    }
}
EOC

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
    for my $cert (qw( ec rsa )) {
        requests($protocol, $cert);
    }
}

many_posts();

$t->done_testing();


sub requests {
    my ($protocol, $cert) = @_;

    my $name = "$protocol, $cert";
    my $c = $t->client(uri => "/$cert", protocol => $protocol);

    ok($c->handshake(), "$name: handshake") or diag($c->error());

    methods($c, $name);
    conditions($c, $name);
    ranges($c, $name);
    answers($c, $name);
    uploads($c, $name);
    expectation($c, $name);
    pipelining($c, $name);
    headers($c, $name);

    is($c->error(), '', "$name: no error");
}


sub request { Test::Atls::Client::format_request(@_) }


sub methods {
    my ($c, $name) = @_;

    my $r = $c->get('/echo?a=b');
    is($r->status(), 200, "$name: GET");
    like($r->body(), qr!^GET /echo\?a=b HTTP/1\.1\n!, "$name: GET");

    $r = $c->http(request('HEAD', '/static/file', ''));
    is($r->status(), 200, "$name: HEAD");
    is($r->header('Content-Length'), 100_000, "$name: HEAD, length");
    is($r->rest(), '', "$name: HEAD, no body");

    $r = $c->http(request('HEAD', '/big?size=5000', ''));
    is($r->header('Content-Length'), 5000, "$name: HEAD, proxied");
    is($r->rest(), '', "$name: HEAD, proxied, no body");

    $r = $c->http(request('POST', '/body', 'the body'));
    is($r->body(), 'the body', "$name: POST");

    $r = $c->http(request('DELETE', '/echo/it', ''));
    like($r->body(), qr!^DELETE /echo/it !, "$name: DELETE");
}


sub conditions {
    my ($c, $name) = @_;

    my $r = $c->get('/static/file');
    my $etag = $r->header('ETag');
    is(md5_hex($r->body()), md5_hex(pattern(100_000)), "$name: a file");

    $r = $c->get('/static/file', 'If-None-Match' => $etag);
    is($r->status(), 304, "$name: 304 of a file");
    is($r->rest(), '', "$name: 304, no body");

    is($c->get('/etag')->body(), "version one\n", "$name: 200 by ETag");
    is($c->get('/etag', 'If-None-Match' => '"v1"')->status(), 304,
       "$name: 304 from the backend");
    is($c->get('/etag', 'If-None-Match' => '"v0"')->status(), 200,
       "$name: 200 again");
}


sub ranges {
    my ($c, $name) = @_;

    my $r = $c->get('/static/file', Range => 'bytes=50000-50099');
    is($r->status(), 206, "$name: 206 of a file");
    is($r->header('Content-Range'), 'bytes 50000-50099/100000',
       "$name: 206, range");
    is($r->body(), pattern(100, 50_000), "$name: 206, body");

    $r = $c->get('/static/file', Range => 'bytes=0-9,99990-');
    my ($boundary) = $r->header('Content-Type')
        =~ m!^multipart/byteranges; boundary=(\S+)$!;
    my @parts = $r->body()
        =~ m!--\Q$boundary\E\r\n.*?\r\n\r\n(.*?)(?=\r\n--\Q$boundary\E)!sg;
    is_deeply(\@parts, [ pattern(10), pattern(10, 99_990) ],
              "$name: 206, two parts");

    $r = $c->get('/big?size=100000', Range => 'bytes=70000-');
    is($r->status(), 206, "$name: 206 from the backend");
    is(md5_hex($r->body()), md5_hex(pattern(30_000, 70_000)),
       "$name: 206 from the backend, body");

    is($c->get('/static/file', Range => 'bytes=200000-')->status(), 416,
       "$name: 416");
}


sub answers {
    my ($c, $name) = @_;

    my $r = $c->get('/status?code=404');
    is($r->status(), 404, "$name: 404 from the backend");
    is($r->body(), "status 404\n", "$name: and its page");
    is($c->get('/static/none')->status(), 404, "$name: 404 of a file");
    is($c->get('/status?code=204')->status(), 204, "$name: 204");

    $r = $c->get('/chunked');
    is($r->header('Transfer-Encoding'), 'chunked', "$name: chunked answer");
    is($r->body(), "one\ntwo\nthree\n", "$name: chunked answer, body");

    $r = $c->get('/big?size=300000&chunked=1');
    is(md5_hex($r->body()), md5_hex(pattern(300_000)),
       "$name: large chunked answer");

    is($c->get('/eof')->body(), "until the end\n",
       "$name: answer until the backend closes");
}


sub uploads {
    my ($c, $name) = @_;

    my $r = $c->http(chunked('/body', "a", "bb", "c" x 1000));
    is($r->body(), 'abb' . 'c' x 1000, "$name: chunked upload");

    my @pieces = map { pattern(40_000, $_ * 40_000) } 0 .. 19;
    $r = $c->http(chunked('/echo', @pieces));
    like($r->body(), qr/^length 800000\nmd5 ${\md5_hex(pattern(800_000))}$/m,
         "$name: large chunked upload");

    $r = $c->http(request('POST', '/echo', pattern(800_000)));
    like($r->body(), qr/^length 800000\nmd5 ${\md5_hex(pattern(800_000))}$/m,
         "$name: large upload");

    is($c->http(chunked('/body'))->body(), '', "$name: empty upload");
}


sub expectation {
    my ($c, $name) = @_;

    my $r = $c->http(request('POST', '/body', 'expected',
                             Expect => '100-continue'));

    is_deeply($r->interim(), [ 100 ], "$name: 100 Continue");
    is($r->body(), 'expected', "$name: the body after it");
}


sub pipelining {
    my ($c, $name) = @_;

    my $posts = $c->posts();

    my @requests = (
        [ '200 GET /echo/0', request('GET', '/echo/0', '') ],
        [ '200 body 1', request('POST', '/body', 'body 1') ],
        [ '200', request('HEAD', '/static/file', '') ],
        [ '404 status 404', request('GET', '/status?code=404', '') ],
        [ '200 body 4', chunked('/body', 'bo', 'dy 4') ],
        [ '304', request('GET', '/etag', '', 'If-None-Match' => '"v1"') ],
        [ '200 one two three', request('GET', '/chunked', '') ],
        [ '206 0000001', request('GET', '/static/file', '',
                                 Range => 'bytes=8-15') ],
        [ '204', request('GET', '/status?code=204', '') ],
        [ '200 GET /echo/9', request('GET', '/echo/9', '') ],
    );

    my @methods = map { $_->[1] =~ /^(\S+)/ } @requests;
    my @r = parse_responses($c->request(join '', map { $_->[1] } @requests),
                            @methods);

    is($c->posts(), $posts + 1, "$name: ten requests in one POST");
    is_deeply([ map { summary($_) } @r ], [ map { $_->[0] } @requests ],
              "$name: ten answers in order");

    # larger than the buffer of the connection, with several records

    my $body = pattern(20_000);

    @r = parse_responses($c->request(join '', map {
        request('POST', "/echo/$_", $body)
    } 0 .. 9));

    is_deeply([ map { join ' ', $_->body() =~ m!^POST (\S+) .*md5 (\S+)!s } @r ],
              [ map { "/echo/$_ " . md5_hex($body) } 0 .. 9 ],
              "$name: ten large requests in one POST");

    my ($before, @counts) = parse_responses($c->request(
        request('GET', '/count', '') x 10));

    my ($n) = $before->body() =~ /^(\d+) 1$/;
    is_deeply([ map { $_->body() } @counts ],
              [ map { $n + $_ . ' ' . ($_ + 1) } 1 .. 9 ],
              "$name: requests are counted");
}


# The status, and the beginning of the body.

sub summary {
    my ($r) = @_;

    my $body = $r->body() =~ s! HTTP/1.*!!sr =~ s!\n$!!r =~ s!\n! !gr;

    return join ' ', $r->status(), $body ne '' ? $body : ();
}


sub headers {
    my ($c, $name) = @_;

    my $r = $c->get('/echo', map { ("X-Long-$_" => $_ x 7000) } 1 .. 3);
    is(length join('', $r->body() =~ /^X-Long-\d: (\d+)$/mg), 21_000,
       "$name: large request headers");

    $r = $c->get('/headers?n=20&size=2000');
    is($r->body(), "headers\n", "$name: large answer headers");
    is(scalar(grep { length($r->header("X-Header-$_")) == 2000 } 1 .. 20), 20,
       "$name: all of them");
}


sub chunked {
    my ($uri, @pieces) = @_;

    return "POST $uri HTTP/1.1\r\nHost: localhost\r\n"
           . "Transfer-Encoding: chunked\r\n\r\n"
           . join('', map { sprintf "%x\r\n%s\r\n", length, $_ } @pieces)
           . "0\r\n\r\n";
}


# A thousand POSTs over a persistent connection.

sub many_posts {
    my $c = $t->client(uri => '/ec');

    $c->handshake();

    my ($port, $good, $ports) = ('', 0, 0);

    for my $i (1 .. 1000) {
        my $r = $c->get('/count') or last;
        my $local = $c->http_client()->{socket}->sockport();

        $good++ if $r->body() eq "$i 1";
        $ports++ if $local ne $port;
        $port = $local;
    }

    is($good, 1000, 'a thousand POSTs');
    is($ports, 1, 'on one connection');
    is($c->error(), '', 'no error');
    is($c->posts(), 1002, 'no POST more');
}
