#!/usr/bin/perl

# atls gateway: TLS of devices over CoAP, and what becomes of responses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Coap qw( :DEFAULT CON NON ACK BLOCK2 FORMAT MAX_AGE
                         SIZE1 URI_HOST option options uint uint_bytes );
use Test::Atls::Gateway;
use Test::Atls::Http qw( http_raw );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Port qw( free_port );

use constant SIZE => 100_000;

my @ATLS = ('.well-known', 'atls');

my @STATUSES = ([ 400, '4.00' ], [ 403, '5.02' ], [ 404, '5.02' ],
                [ 405, '5.02' ], [ 409, '4.09' ], [ 410, '4.04' ],
                [ 413, '4.13' ], [ 415, '4.15' ], [ 429, '4.29' ],
                [ 500, '5.02' ], [ 502, '5.02' ], [ 503, '5.03' ],
                [ 504, '5.04' ], [ 200, '5.02' ], [ 201, '5.02' ],
                [ 302, '5.02' ], [ 444, '5.04' ]);

my $t = Test::Atls::Gateway->new();
my $backend = $t->backend();

my $long = <<'EOC';
location /long/ {
    proxy_pass http://127.0.0.1:%%PORT_1%%/headers?n=20&size=5000;
    proxy_buffer_size 128k;
    proxy_buffers 4 128k;
    proxy_busy_buffers_size 128k;
}
EOC

$t->serve_located(join "\n", $long, map { <<"EOC" } @STATUSES);
location /status-$_->[0]/ {
    @{[ $_->[0] == 503 ? 'add_header Retry-After 7 always;' : '' ]}
    return $_->[0];
}
EOC

my $g = $t->gateway();

for (qw( TLSv1.2 TLSv1.3 )) {
    my $protocol = $_;
    subtest($protocol => sub { session($protocol) });
}

subtest('large bodies' => \&large);
subtest('sizes of blocks' => \&sizes);
subtest('Non-confirmable' => \&non_confirmable);
subtest('separate responses' => \&separate);
subtest('Content-Format' => \&formats);
subtest('statuses' => \&statuses);
subtest('other responses' => \&others);
subtest('other requests' => \&refused);
subtest('log, metrics' => \&logged);

is($g->stop()->{code}, 0, 'exit code');

$t->done_testing();


sub session {
    my ($protocol) = @_;

    my $d = $t->device($g, protocol => $protocol);

    ok($d->handshake(), 'handshake') or diag($d->error());
    like(join(' ', $d->codes()), qr/^2\.01( 2\.04)+$/, '2.01, then 2.04');

    my @path = @{$d->path()};
    is("@path[0 .. 1]", "@ATLS", 'Location-Path');
    is(@path, 3, 'and a segment');
    like($path[2], qr/^[\w-]{22,}$/, 'of the session');

    is($d->get('/exact')->body(), "exactly\n", 'a request');
    is($d->get("/status?code=$_")->status(), $_, "a status: $_")
        for 201, 404;

    # an empty POST

    is($d->post('')->{code}, '2.04', 'a poll');
    ok(!defined option($d->last_response(), FORMAT), 'no Content-Format');

    is($d->close_notify()->{code}, '2.04', 'the end of the session');
    is($d->post('x')->{code}, '4.04', 'afterwards');

    done_testing();
}


sub large {
    my $d = $t->device($g);
    $d->handshake();

    my $r = $d->get('/big?size=' . SIZE);
    ok($r && $r->body() eq pattern(SIZE), 'a large response');
    cmp_ok($d->last_response()->{blocks} || 0, '>=', SIZE / 1024 - 1,
           'its blocks');
    is(length option($d->last_response(), Test::Atls::Coap::ETAG), 2, 'ETag');

    $r = $d->http("POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                  . 'Content-Length: ' . SIZE . "\r\n\r\n" . pattern(SIZE));
    like($r && $r->body(), qr/^md5 \Q${\pattern_md5(SIZE)}\E$/m,
         'a large request');

    $r = $d->http("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                  . 'Content-Length: ' . SIZE . "\r\n\r\n" . pattern(SIZE));
    ok($r && $r->body() eq pattern(SIZE), 'both');

    done_testing();
}


sub sizes {
    for my $szx (0 .. 6) {
        my $size = 16 << $szx;
        my $d = $t->device($g, coap => { szx => $szx });

        ok($d->handshake(), "blocks of $size bytes") or diag($d->error());
        my $r = $d->http("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                         . "Content-Length: 3000\r\n\r\n" . pattern(3000));
        ok($r && $r->body() eq pattern(3000), 'a request');
    }

    # a gateway with a smaller size: the client is told at its first block

    my $small = $t->gateway('--block-size', 64);
    my $d = $t->device($small);
    ok($d->handshake(), '--block-size') or diag($d->error());
    is(uint(option($d->last_response(), BLOCK2)) & 7, 2, '64 bytes');

    my $r = $d->http("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                     . "Content-Length: 3000\r\n\r\n" . pattern(3000));
    ok($r && $r->body() eq pattern(3000), 'a request');
    is($d->coap()->{szx}, 2, 'the size of its blocks');
    is($small->stop()->{code}, 0, 'exit code');

    # the client wants smaller blocks of the response

    my $hello = $t->device($g)->tls_hello();
    my $c = Test::Atls::Coap->new(port => $g->port());
    $c->request('GET', [ @ATLS, 'x' ]);
    my $m = $c->ask(code => '0.02', payload => $hello, options =>
                    [ (map { [ Test::Atls::Coap::URI_PATH, $_ ] } @ATLS),
                      [ BLOCK2, "\x01" ] ]);
    is(length $m->{payload}, 32, 'a smaller one is wanted');
    is(uint(option($m, BLOCK2)), 9, 'Block2');

    done_testing();
}


sub non_confirmable {
    my $d = $t->device($g, coap => { type => NON });

    ok($d->handshake(), 'handshake') or diag($d->error());
    is($d->get('/exact')->body(), "exactly\n", 'a request');
    is($d->last_response()->{type}, NON, 'the response');

    my $r = $d->http("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                     . 'Content-Length: ' . SIZE . "\r\n\r\n" . pattern(SIZE));
    ok($r && $r->body() eq pattern(SIZE), 'a large one');

    done_testing();
}


# A response within 1.5 seconds is in the acknowledgement.

sub separate {
    my $d = $t->device($g);
    $d->handshake();

    # on a busy machine, some take longer

    my @types = map {
        $d->get('/exact');
        $d->last_response()->{type};
    } 1 .. 20;

    ok(scalar(grep { $_ == ACK } @types), 'in acknowledgements');

    is($d->get('/slow?n=2&delay=2')->body(), "line 1\nline 2\n", 'a slow one');
    is($d->last_response()->{type}, CON, 'a separate response');

    # the response is sent until it is acknowledged

    my $c = $d->coap();
    $d->write_plain("GET /slow?n=1&delay=3 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $c->send_message(type => CON, code => '0.02', mid => $c->next_mid(),
                     token => 'sep', payload => $d->tls_out(), options =>
                     [ map { [ Test::Atls::Coap::URI_PATH, $_ ] }
                       @{$d->path()} ]);

    is($c->receive(60)->{code}, '0.00', 'an empty acknowledgement');

    my @m = map { $c->receive(60) } 1 .. 2;
    is($m[0]{token}, 'sep', 'its response');
    is($m[1]{mid}, $m[0]{mid}, 'again') or return done_testing();
    $c->acknowledge($m[1]);
    $d->tls_in($m[0]{payload});
    like($d->read_plain(), qr/line 1/, 'what it says');

    $c->send_message(type => CON, code => '0.00', mid => $c->next_mid());
    my $m = $c->receive(60);
    $m = $c->receive(60) while $m && $m->{type} == CON;
    is($m && $m->{type}, Test::Atls::Coap::RST, 'a ping');

    done_testing();
}


sub formats {
    for (65000, 0, 42, undef) {
        my $name = defined $_ ? $_ : 'none';
        my $d = $t->device($g, coap => { format => $_ });

        ok($d->handshake(), "Content-Format: $name") or diag($d->error());
        my $m = $d->last_response();
        my $format = option($m, FORMAT);
        is(defined $format ? uint($format) : undef, $_, 'the same');
    }

    my $d = $t->device($g, coap => { format => 40 });
    $d->handshake();
    is($d->error(), '4.15', 'another one');

    my @accept = ([ 65000, '2.01' ], [ 0, '4.06' ]);

    for (@accept) {
        my ($format, $code) = @$_;

        $d = $t->device($g, options => [ [ Test::Atls::Coap::ACCEPT,
                                           uint_bytes($format) ] ]);
        $d->handshake();
        is(($d->codes())[0], $code, "Accept: $format");
    }

    my $other = $t->gateway('--content-format', 65111);
    $d = $t->device($other, coap => { format => 65111 });
    ok($d->handshake(), '--content-format') or diag($d->error());
    $d = $t->device($other);
    $d->handshake();
    is($d->error(), '4.15', 'the default one');
    is($other->stop()->{code}, 0, 'exit code');

    done_testing();
}


# Each service is one that responds in the same way.

sub statuses {
    my $to = $t->gateway(map {
        ('--to', "s$_->[0]=" . $t->endpoint("/status-$_->[0]/"))
    } @STATUSES);

    for (@STATUSES) {
        my ($status, $code) = @$_;

        my $c = Test::Atls::Coap->new(port => $to->port());
        my $m = $c->request('POST', \@ATLS, 'x' x 100,
                            options => [ [ URI_HOST, "s$status" ] ]);

        is($m && $m->{code}, $code, "HTTP $status");

        is(uint(option($m, SIZE1)), 50, 'a size that may be accepted')
            if $status == 413;
        is(uint(option($m, MAX_AGE)), $status == 503 ? 7 : 5, 'Max-Age')
            if $status == 429 || $status == 503;
    }

    ok($to->wait_for_log(qr/ s503, 100 bytes received, 5\.03, .*HTTP 503/),
       'log')
        or diag($to->log());
    is($to->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub others {
    my $closed = free_port();
    my $to = $t->gateway('--to', 'cookie=' . $t->endpoint(),
                         '--to', "closed=http://127.0.0.1:$closed/",
                         '--to', 'long=' . $t->endpoint('/long/'),
                         '--to', 'unknown=http://no-such.invalid/');

    my @cases = (
        [ 'cookie', '5.02', qr/no URIs for sessions/ ],
        [ 'closed', '5.04', qr/\Q$closed\E/ ],
        [ 'long', '5.04', qr/writ|header/i ],
        [ 'unknown', '5.04', qr/resolve/ ],
        [ 'other', '4.03', qr/no such service/ ],
    );

    for (@cases) {
        my ($name, $code, $re) = @$_;

        my $d = $t->device($to, sni => $name);
        $d->handshake();
        is($d->error(), $code, $name);
        ok($to->wait_for_log(qr/\Q$code\E.*$re/), 'and why')
            or diag($to->log());
    }

    is($t->metric($to, 'unanswered_total'), 3, 'those without a response');
    is($to->stop()->{code}, 0, 'exit code');

    my $limited = $t->gateway('--max-body', 5000);
    my $d = $t->device($limited);
    $d->handshake();
    is($d->get('/big?size=4000')->body(), pattern(4000), 'a small response');
    $d->get('/big?size=6000');
    is($d->error(), '5.02', 'one that is too large');
    ok($limited->wait_for_log(qr/too large/), 'and why');
    is($limited->stop()->{code}, 0, 'exit code');

    # a service that does not respond in time

    my $hasty = $t->gateway('-m', 1);
    $d = $t->device($hasty);
    $d->handshake();
    $d->get('/hang');
    is($d->error(), '5.04', 'a time limit');
    is($hasty->stop()->{code}, 0, 'exit code');

    $backend->forget();
    done_testing();
}


sub refused {
    my $c = Test::Atls::Coap->new(port => $g->port());
    my $forwarded = $t->metric($g, 'forwarded_total');

    my @cases = (
        [ 'POST', [ 'other' ], 'x', '4.04' ],
        [ 'POST', [ '.well-known' ], 'x', '4.04' ],
        [ 'POST', [ '.well-known', 'other' ], 'x', '4.04' ],
        [ 'POST', [ @ATLS, '' ], 'x', '4.04' ],
        [ 'POST', [ @ATLS, '..', 'status-400' ], 'x', '4.04' ],
        [ 'POST', [ @ATLS, '.' ], 'x', '4.04' ],
        [ 'POST', [ @ATLS, '.hidden' ], 'x', '4.04' ],
        [ 'POST', [ @ATLS, ('x' x 255) x 5 ], 'x', '4.04' ],
        (map { [ 'POST', [ @ATLS, $_ ], 'x', '4.04' ] }
             'x/../../exact', 'x\..\..\exact', '%2e%2e', 'x?y=z', 'x#y',
             'x;y', "x\0y", "x y", "\xff"),
        [ 'POST', \@ATLS, '', '4.04' ],
        [ 'GET', \@ATLS, '', '4.04' ],
        [ 'PUT', \@ATLS, 'x', '4.05' ],
        [ 'PUT', [ @ATLS, 'x' ], 'x', '4.04' ],
        [ 'DELETE', \@ATLS, '', '4.05' ],
    );

    for (@cases) {
        my ($method, $path, $body, $code) = @$_;

        my $m = $c->request($method, $path, $body);
        is($m && $m->{code}, $code, "$method " . join '/', @$path)
            or diag($g->log());
    }

    like($c->request('GET', [ '.well-known', 'core' ])->{payload},
         qr!</.well-known/atls>!, '.well-known/core');

    # the service has only seen the endpoint, and the session that is unknown

    is($t->metric($g, 'forwarded_total'), $forwarded, 'none was forwarded');

    done_testing();
}


sub logged {
    my @lines = $g->log();
    my $d = $t->device($g);

    $d->handshake();
    $d->get('/big?size=5000');

    my @new = $g->log(@lines + 3);
    splice @new, 0, scalar @lines;

    is(@new, 3, 'a line for each request');
    like($new[-1], qr/^127\.0\.0\.1:\d+\ POST,\ \d+\ bytes\ received,\ 2\.04,
                      \ 5\d\d\d\ sent,\ HTTP\ 200,\ \d+\.\d{3}\ s$/x,
         'what it says');
    is($g->said() =~ s/^atls: listening .*\n//mgr, '', 'no other messages');

    my $text = $t->metrics($g);
    like($text, qr!^HTTP/1\.1 200 !, 'metrics');
    like($text, qr/^atls_gateway_responses_total\{code="2\.01"\} \d+$/m,
         'by code');
    is($t->metric($g, 'posts'), 0, 'none in progress');
    cmp_ok($t->metric($g, 'forwarded_total'), '>', 50, 'forwarded');

    like(http_raw($g->{metrics}, "GET /other HTTP/1.0\r\n\r\n"),
         qr!^HTTP/1\.1 404 !, 'another path');
    like(http_raw($g->{metrics}, "\r\n\r\n"), qr!^HTTP/1\.1 404 !, 'no HTTP');

    done_testing();
}
