#!/usr/bin/perl

# Records of an established session: cut at any byte by POSTs, several in a
# POST, very small ones, none at all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Backend;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location /small {
        atls on;
        atls_buffer_size 512;
    }

    location / {
        return 200 "$uri";
    }

    location /echo {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /big {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

my $request = Test::Atls::Client::format_request('GET', '/cut', '');

for my $protocol (qw( TLSv1.3 TLSv1.2 )) {

    my ($c, $r, @r, $bytes, $good);

    # the beginning of a record is kept for the next POST, in any worker

    $c = client($protocol);
    $bytes = record($c, $request);
    $good = 0;

    for my $at (1 .. length($bytes) - 1) {
        $c->http_client()->{keepalive} = $at % 2;

        $r = $c->exchange(substr $bytes, 0, $at) or last;
        $good++ if $r->body() eq '';

        ($r) = parse_responses(answer($c, substr $bytes, $at));
        $good++ if $r && $r->body() eq '/cut';

        $bytes = record($c, $request);
    }

    is($good, 2 * (length($bytes) - 1), "$protocol: cut at every byte");
    is($c->error(), '', "$protocol: no error");

    # a POST for each byte, with empty ones in between

    ($r) = parse_responses(answer($c, $bytes, split => 1));
    is($r && $r->body(), '/cut', "$protocol: every byte in its POST");

    $bytes = record($c, $request);

    for my $byte (split //, substr $bytes, 0, 20, '') {
        $c->exchange($byte);
        $c->exchange('');
    }

    ($r) = parse_responses(answer($c, $bytes));
    is($r && $r->body(), '/cut', "$protocol: and nothing between them");

    # the rest of a record may look like the beginning of a ClientHello

    for my $hello ("\x16", "\x16\x03") {
        my $at;
        my $n = length $hello;

        for (1 .. 5000) {
            $bytes = record($c, request_of($n == 1 ? 100 : 8000));
            $at = index $bytes, $hello, 5;
            last if $at > 0;
            answer($c, $bytes);
        }

        answer($c, substr $bytes, 0, $at, '');
        ($r) = parse_responses(answer($c, $bytes, split => [ $n ]));
        is($r && $r->status(), 200, "$protocol: cut before " . unpack 'H*',
           $hello);
    }

    # an empty POST

    $r = $c->exchange('');
    is($r && $r->body(), '', "$protocol: empty POST");
    is($c->get('/after')->body(), '/after', "$protocol: a request after it");

    # a request in small records

    for my $size (1, 2, 10, 100) {
        $c->write_plain($_) for unpack "(a$size)*", $request;
        $bytes = $c->tls_out();
        ($r) = parse_responses(answer($c, $bytes));
        is($r && $r->body(), '/cut', "$protocol: records of $size bytes");
    }

    # records that do not end with requests

    $c->write_plain($_) for unpack '(a37)*', $request x 5;
    @r = parse_responses(answer($c, $c->tls_out()));
    is(join(' ', map { $_->body() } @r), join(' ', ('/cut') x 5),
       "$protocol: five requests, records of 37 bytes");

    # a record and a part of the next one: the first one is served

    $bytes = record($c, $request) . record($c, $request);
    ($r) = parse_responses(answer($c, substr $bytes, 0, -3, ''));
    is($r && $r->body(), '/cut', "$protocol: a record and a part");
    ($r) = parse_responses(answer($c, $bytes));
    is($r && $r->body(), '/cut', "$protocol: the rest");

    # records of the maximum size, in one POST and in several

    my $body = pattern(200_000);
    my $md5 = md5_hex($body);

    $c->write_plain(Test::Atls::Client::format_request('POST', '/echo',
                                                       $body));
    ($r) = parse_responses(answer($c, $c->tls_out()));
    like($r && $r->body(), qr/^md5 $md5$/m, "$protocol: full records");

    # a record of the maximum size, cut before its last byte

    my $full = request_of(16384);
    is(length $full, 16384, "$protocol: a request of 16384 bytes");
    $c->write_plain($full);
    $bytes = $c->tls_out();
    $c->exchange(substr $bytes, 0, -1, '');
    ($r) = parse_responses(answer($c, $bytes));
    like($r && $r->body(), qr/^length /m, "$protocol: cut before its end");

    # the size of the server's records

    $c->write_plain(Test::Atls::Client::format_request(
        'GET', '/big?size=100000', ''));
    $r = $c->post($c->tls_out());
    cmp_ok(longest($r->body()), '<=', 16384 + 256, "$protocol: answer");
    cmp_ok(longest($r->body()), '>', 16384, "$protocol: in full records");
    $c->tls_in($r->body());
    ($r) = parse_responses($c->read_plain());
    is(md5_hex($r->body()), md5_hex(pattern(100_000)), "$protocol: is whole");

    $c = client($protocol, uri => '/small');
    $c->write_plain(Test::Atls::Client::format_request(
        'GET', '/big?size=100000', ''));
    $r = $c->post($c->tls_out());
    cmp_ok(longest($r->body()), '<', 512 + 64,
           "$protocol: atls_buffer_size");
    $c->tls_in($r->body());
    ($r) = parse_responses($c->read_plain());
    is(md5_hex($r->body()), md5_hex(pattern(100_000)), "$protocol: is whole");
}

$t->done_testing();


sub client {
    my ($protocol, %args) = @_;

    return $t->established(protocol => $protocol, %args);
}


sub record {
    my ($c, $plain) = @_;

    $c->write_plain($plain);

    return $c->tls_out();
}


# Returns the decrypted data of the responses.

sub answer {
    my ($c, $bytes, %args) = @_;

    $c->exchange($bytes, %args);

    return $c->read_plain();
}


# Returns a request of at least $size bytes, mostly its body.

sub request_of {
    my ($size) = @_;

    my $head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: ";
    my $rest = $size - length($head) - 4 - length $size;

    $rest = 0 if $rest < 0;

    return $head . sprintf("%*d", length $size, $rest) . "\r\n\r\n"
           . 'b' x $rest;
}


# The length of the longest record, without its header.

sub longest {
    my ($bytes) = @_;

    my $max = 0;

    while (length $bytes >= 5) {
        my $n = unpack 'x3 n', $bytes;

        $max = $n if $n > $max;
        substr $bytes, 0, 5 + $n, '';
    }

    return $max;
}
