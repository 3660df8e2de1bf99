#!/usr/bin/perl

# A POST is sent again in other ways: over other versions of HTTP, many times at
# once, on the same connection, whole after a part of it, or when its session
# has just begun or ended.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( http_connect read_response readable send_all );
use Test::Atls::Http2Stream;
use Test::Atls::Response;
use Test::Atls::Retry qw( again opened outer record reply );
use Test::Atls::Slow qw( patience );

my $PARALLEL = 12;

my $t = Test::Atls->new(workers => 4);
my $h2 = $t->has_option('http_v2_module');
my ($listen_h2, $http2) = $t->http2();

$t->write_http(<<"EOC");
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    listen 127.0.0.1:%%PORT_2%% $listen_h2;
    $http2

    location = /cookie {
        atls on;
        atls_endpoint shared;
    }

    location = /p384 {
        atls on;
        atls_ecdh_curve secp384r1;
    }

    location = /other {
        atls on;
        atls_endpoint shared;
    }

    location /location {
        atls on;
        atls_session_tracking location;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_ignore_client_abort on;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my ($protocol, $uri);

for (qw( TLSv1.3 TLSv1.2 )) {
    $protocol = $_;

    for (qw( /cookie /location/ )) {
        $uri = $_;

        versions();
        at_once();
        in_progress();
        pipelined();
        parts();
        within_records();
        first_flight();
        slow_flight();
        flights_in_disorder();
        alike();
        last_request();
    }
}

hello_retry();
other_endpoint();
http2_client_gone() if $h2;

$t->done_testing();


sub client {
    return $t->client(uri => $uri, keepalive => 0, protocol => $protocol, @_);
}


sub established {
    my $c = client(@_);

    $c->handshake() or die $c->error() . "\n";
    $backend->forget();

    return $c;
}


sub name { "$protocol, $uri, $_[0]" }


sub requests { scalar $backend->requests() }


sub goes_on {
    my ($c, $name) = @_;

    $c->exchange(record($c, '/echo'));
    like($c->read_plain(), qr/length 0/, name("$name: it goes on"));
    is($c->error(), '', name("$name: no error"));
}


sub versions {
    my $c = established();
    my $record = record($c, '/echo', 'POST');
    my $first = again($c, $record);

    for my $args ([ version => 'http11-chunked' ], [ version => 'http10' ],
                  [ headers => { 'Content-Type' => 'application/atls' } ],
                  $h2 ? [ version => 'h2', port => $t->port(2) ] : ())
    {
        is(again($c, $record, @$args), $first, name("@$args"));
    }

    is(requests(), 1, name('versions: one request'));
    opened($c, $first);
    goes_on($c, 'versions');
}


sub at_once {
    my $c = established();
    my $record = record($c, '/slow?n=2&delay=0.2');

    my @others = map { outer($c, $record) } 1 .. $PARALLEL;
    my ($first, @got) = map { reply($_->receive()) } @others;

    is(scalar(grep { $_ ne $first } @got), 0, name('at once: the same'));
    is(requests(), 1, name('at once: one request'));
    like(opened($c, $first), qr/line 2/, name('at once: the response'));
    goes_on($c, 'at once');
}


# Other framing while the first one is in progress, and a part of it.

sub in_progress {
    my $c = established();
    my $record = record($c, '/slow?n=2&delay=0.4');

    my $first = outer($c, $record);
    $t->wait_for(sub { requests() });

    my $cut = http_connect($t->port(0));
    send_all($cut, substr $c->format_post($record), 0, -1);

    my @others = map { outer($c, $record, @$_) }
                 [ version => 'http11-chunked' ], [ version => 'http10' ];

    close $cut;

    my $reply = reply($first->receive());

    is(reply($_->receive()), $reply, name('in progress: the same'))
        for @others;
    is(requests(), 1, name('in progress: one request'));
    like(opened($c, $reply), qr/line 2/, name('in progress: the response'));
    goes_on($c, 'in progress');
}


# A connection with several POSTs is not closed by the client.

sub pipelined {
    my $c = established();
    my $record = record($c, '/slow?n=2&delay=0.4');
    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post($record));
    $t->wait_for(sub { requests() });
    send_all($s, $c->format_post($record) x 2);

    my ($rest, @got) = ('');

    for (1 .. 3) {
        my $r = Test::Atls::Response->new(method => 'POST');

        $r->feed($rest);
        until ($r->done()) {
            readable($s, patience()) && sysread $s, my $buf, 65536 or last;
            $r->feed($buf);
        }

        push @got, reply($r->done() && $r);
        $rest = $r->rest();
    }

    is(scalar(grep { $_ eq $got[0] } @got), 3, name('pipelined: the same'));
    is(requests(), 1, name('pipelined: one request'));
    like(opened($c, $got[0]), qr/line 2/, name('pipelined: the response'));
    goes_on($c, 'pipelined');
}


# A POST is cut, and then sent again.

sub parts {
    my $c = established();
    my $record = record($c, '/echo', 'POST');

    for my $size (0, 1, 5, 20, length($record) - 1) {
        my $s = http_connect($t->port(0));

        send_all($s, $c->format_post(substr($record, 0, $size),
                                     'Content-Length' => length $record));
        close $s;
        my $first = again($c, $record);

        is(again($c, $record), $first, name("cut after $size bytes"));
        like(opened($c, $first), qr/length 0/,
             name("cut after $size bytes: the response"));

        $record = record($c, '/echo', 'POST');
    }

    is(requests(), 5, name('cut: one request each'));

    # after its first record, the session is dropped, as the rest is unknown

    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post($record, 'Content-Length' => 1000));
    $t->wait_for(sub { requests() > 5 });
    close $s;

    my $got = again($c, $record . record($c, '/echo'));
    like($got, qr/^410 (?:session-unknown|answer-lost)/,
         name('cut after a record: gone'));
    is(requests(), 6, name('cut after a record: one request'));
}


# A POST begins within a record, and ends within another one.

sub within_records {
    my $c = established();
    my $bytes = join '', map { record($c, "/echo?$_") } 1, 2,
                             'x' x 3000;
    my $size = length($bytes) - 2000;
    my ($first, $middle, $last) = unpack "a30a${size}a*", $bytes;

    is(again($c, $first), '200 ', name('within records: a part'));

    my @got = map { again($c, $middle) } 1 .. 4;

    is(scalar(grep { $_ eq $got[0] } @got), 4, name('within records: the same'));
    is(requests(), 2, name('within records: two requests'));
    like(opened($c, $got[0]), qr/echo\?1.*echo\?2/s,
         name('within records: the responses'));

    @got = map { again($c, $last) } 1 .. 4;

    is(scalar(grep { $_ eq $got[0] } @got), 4, name('within records: the rest'));
    like(opened($c, $got[0]), qr/echo\?xxx/, name('within records: response'));
    is(requests(), 3, name('within records: three requests'));
    goes_on($c, 'within records');
}


# The header of the first response has been received, but not all of its body.

sub first_flight {
    my $c = client();

    $c->handshake_step();

    my $hello = $c->tls_out();
    my $r = $c->post($hello);
    my $first = $r->body();

    is(again($c, $hello), $r->status() . " $first",
       name('ClientHello: the same'))
        for 1 .. 4;

    my $changed = $hello;
    substr($changed, -1) ^= "\1";
    unlike(again($c, $changed), qr/ \Q$first\E\z/, name('another ClientHello'));

    $c->tls_in($first);
    ok($c->handshake(), name('ClientHello: handshake'));
    goes_on($c, 'ClientHello');

    # afterwards, it is not the last POST

    unlike(again($c, $hello), qr/ \Q$first\E\z/,
           name('ClientHello: no longer'));
    goes_on($c, 'an old ClientHello');
}


# The first bytes are received later than others.

sub slow_flight {
    my $c = client();

    $c->handshake_step();
    $c->exchange($c->tls_out());
    $c->handshake_step();

    my $flight = $c->tls_out();
    my $s = $c->begin_post(substr($flight, 0, 5),
                           'Content-Length' => length $flight);

    ok(!readable($s, 0.2), name('a slow flight: waits'));
    send_all($s, substr $flight, 5);

    my $first = reply(read_response($s));

    is(again($c, $flight), $first, name('a slow flight: the same'));
    opened($c, $first);
    goes_on($c, 'a slow flight');
}


# Nothing is authenticated in a handshake, which fails.

sub flights_in_disorder {
    my $c = client();

    $c->handshake_step();
    my $hello = $c->tls_out();
    $c->exchange($hello);
    $c->handshake_step();

    my ($head, $tail) = unpack 'a30a*', $c->tls_out();

    isnt(again($c, $tail), '', name('disorder: answered'));
    again($c, $_) for $head, $tail, $hello;

    goes_on(established(), 'disorder: another session');
}


# Pieces of a flight that begin with the same bytes: padding, RFC 7685, which a
# ClientHello of less than 512 bytes has.  All are processed, and each can be sent
# again.

sub alike {
    my $padded = 1 << 4;        # SSL_OP_TLSEXT_PADDING
    my $c = client(alpn => [ 'http/1.1', 'x' x 100 ],
                   groups => 'X25519:P-256',
                   setup => sub { Net::SSLeay::set_options($_[1], $padded) });

    $c->handshake_step();
    my $hello = $c->tls_out();
    my $start = $hello =~ /\0{70}/ ? $-[0] : die "no padding\n";
    my ($head, @pieces) = unpack "a${start}a21a22a*", $hello;

    $c->exchange($head);

    for my $piece (@pieces) {
        my $name = 'alike: ' . length $piece;
        my $first = again($c, $piece);

        like($first, $piece eq $pieces[-1] ? qr/^200 ./ : qr/^200 \z/,
             name($name));
        is(again($c, $piece), $first, name("$name, again"));
        $c->tls_in($first =~ s/^200 //r);
    }

    ok($c->handshake(), name('alike: handshake'));
    goes_on($c, 'alike');
}


# The session has ended with the POST.

sub last_request {
    my $c = established();

    $c->write_plain("GET /echo HTTP/1.1\r\nHost: localhost\r\n"
                    . "Connection: close\r\n\r\n");
    my $record = $c->tls_out();
    my $first = again($c, $record);

    like(opened($c, $first), qr/length 0/, name('last request: response'));
    is(again($c, $record), '410 session-unknown', name('last request: again'));
    is(requests(), 1, name('last request: one request'));
}


# A second ClientHello begins with the same bytes.

sub hello_retry {
    ($protocol, $uri) = ('TLSv1.3', '/p384');

    my $c = client(groups => 'X25519:P-384');

    $c->handshake_step();
    $c->exchange($c->tls_out());
    ok(!$c->handshake_step(), 'HelloRetryRequest');

    my $hello = $c->tls_out();
    my @got = map { again($c, $hello) } 1 .. 4;

    is(scalar(grep { $_ eq $got[0] } @got), 4, 'HelloRetryRequest: the same');
    opened($c, $got[0]);
    ok($c->handshake(), 'HelloRetryRequest: handshake');
    goes_on($c, 'HelloRetryRequest');
}


# Endpoints that share sessions, and one that does not.

sub other_endpoint {
    $uri = '/cookie';

    my $c = established();
    my $record = record($c, '/echo');
    my $first = again($c, $record, uri => '/other');

    is(again($c, $record), $first, 'another endpoint: the same');
    is(again($c, $record, uri => '/other'), $first, 'another endpoint: again');
    is(again($c, $record, uri => '/p384'), '410 session-elsewhere',
       'an endpoint that does not share: nothing');
    is(requests(), 1, 'another endpoint: one request');
    opened($c, $first);
    goes_on($c, 'another endpoint');
}


# With a connection of several requests, too.

sub http2_client_gone {
    $uri = '/cookie';

    my $c = established();
    my $record = record($c, '/slow?n=2&delay=0.4');
    my $s = Test::Atls::Http2Stream->new($t->port(2), $uri,
                                         'Content-Type' => $c->{type},
                                         Cookie => 'atls=' . $c->cookie());

    $s->data($record, 1);
    until (requests()) {
        readable($s->socket(), 0.01) && $s->feed(sub { });
    }
    close $s->socket();

    my $got = again($c, $record);

    like(opened($c, $got), qr/line 2/, name('HTTP/2, gone: response'));
    is(requests(), 1, name('HTTP/2, gone: one request'));
    goes_on($c, 'HTTP/2, gone');
}
