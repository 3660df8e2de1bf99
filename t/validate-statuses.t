#!/usr/bin/perl

# Responses of the endpoint conform to docs/protocol.md, with all statuses that
# the page lists.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Http qw(
    http_connect http_raw read_all readable send_all
);
use Test::Atls::Slow qw( patience );
use Test::Atls::Validator::Site;

statuses();
no_room();

is_complete();

$t->done_testing();


# Each row of the page's table of statuses, with and without a session, and
# with "Expect: 100-continue".

sub statuses {
    no_session($_) for {}, { Expect => '100-continue' };
    several_cookies();
    too_large();
    busy();
    elsewhere();
    ended($_) for qw( TLSv1.3 TLSv1.2 );
    timed_out();
    located();
    raw();
    own();
    is_valid('statuses');
}


sub no_session {
    my ($headers) = @_;

    my $outer = outer();
    my $c = established();
    my %session = (Cookie => cookie($c), %$headers);
    my %unknown = (Cookie => 'atls=' . 'A' x 24, %$headers);
    my %text = ('Content-Type' => 'text/plain');
    my $record = "\x17\x03\x03\x00\x20" . 'x' x 32;

    for ([ 400, '', %$headers ], [ 400, 'GET', %$headers ],
         [ 400, 'x', %$headers, 'X' => 1 ],
         [ 410, $record, %$headers ], [ 410, '', %unknown ],
         [ 410, 'x', %unknown ], [ 410, $record, %unknown ],
         [ 415, '', %text, %$headers ], [ 415, 'x', %text, %session ],
         [ 415, 'x', 'Content-Type' => undef, %unknown ],
         [ 200, '', %session ],
         [ 200, '', %session, 'Content-Type' => 'Application/ATLS ; q="a"' ],
         [ 200, '', %session, 'If-None-Match' => '*', Range => 'bytes=0-1',
           'Accept-Encoding' => 'gzip', 'If-Match' => '"a"' ],
         [ 200, first_flight(), %$headers ],
         [ 200, first_flight(), %unknown ],
         [ 200, first_flight(), %session ],
         [ 200, '', %session ])
    {
        my ($expected, @args) = @$_;

        is(status(answer($outer, @args)), $expected, "status $expected");
    }

    for my $method (qw( GET HEAD PUT OPTIONS ATLS )) {
        local $outer->{method} = $method;

        is(status(answer($outer, '', @$_)), 405, "method $method")
            for [ %$headers ], [ %session, %text ];
    }

    is(eval { $c->get('/ok')->body() }, 'hello', 'the session goes on');
    is_valid('without a session, or with one');
}


# The first cookie of a known session counts; at most 16 are tried.

sub several_cookies {
    my ($c, $d) = (established(), established());
    my $outer = outer();

    $d->close_notify();

    my @dead = map { 'atls=' . $_ x 24 } 'a' .. 'p';

    is(status(answer($outer, '', Cookie => join '; ', 'a=b', @dead[0 .. 3],
                     cookie($c), 'atls=after')), 200, 'several cookies');
    is(status(answer($outer, '', Cookie => join '; ', @dead, cookie($c))),
       410, 'too many');
    is_valid('several cookies');
}


sub too_large {
    my @args = (uri => '/limited');
    my $c = established(@args);

    is(status($c->post('x' x 30_000)), 413, 'a Content-Length');
    is(status($c->post('x' x 30_000, headers => { Expect => '100-continue' })),
       413, 'a Content-Length, with Expect');
    is(eval { $c->get('/ok')->body() }, 'hello', 'the session goes on');

    my $cookie = cookie($c);

    # before the first record

    my $post = "POST /limited HTTP/1.1\r\nHost: localhost\r\n"
               . "Cookie: $cookie\r\nContent-Type: $TYPE\r\n"
               . "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
               . chunk("\x17\x03\x03\x40\0" . 'x' x 30_000);
    my ($status) = http_raw($v->port(), $post) =~ /^HTTP\S+ (\d+)/;

    is($status, 413, 'a chunk');
    is(eval { $c->get('/ok')->body() }, 'hello', 'the session goes on');

    $c->http_client()->{version} = 'http11-chunked';
    upload_large($c, '/body');
    is(status($c->last_response()), 413, 'chunks');
    is(status(answer(outer(@args), '', Cookie => $cookie)), 410,
       'ends the session');

    # after the response has begun

    $c = established(@args, outer => 'http11-chunked');
    $cookie = cookie($c);
    large_behind_start($c);
    is(status(answer(outer(@args), '', Cookie => $cookie)), 410,
       'ends the session, too');
    is_valid('too large');
}


sub large_behind_start {
    my ($c) = @_;

    my $s = http_connect($v->port());

    $c->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    . "POST /body HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 90000\r\n\r\n");
    send_all($s, "POST /limited HTTP/1.1\r\nHost: localhost\r\n"
                 . 'Cookie: ' . cookie($c) . "\r\nContent-Type: $TYPE\r\n"
                 . "Transfer-Encoding: chunked\r\n\r\n"
                 . chunk($c->tls_out()));
    ok(readable($s, patience()), 'the response has begun');

    for (1 .. 9) {
        $c->write_plain('x' x 10_000);
        send_all($s, chunk($c->tls_out())) or last;
    }

    read_all($s);
}


sub upload_large {
    my ($c, $path) = @_;

    my $left = 90;

    $c->upload("POST $path HTTP/1.1\r\nHost: localhost\r\n"
               . "Content-Length: 90000\r\n\r\n",
               sub { $left-- > 0 ? 'x' x 1000 : undef });
}


# A POST of the session is in progress: its response has begun, or its request
# is not complete.

sub busy {
    my $c = established();
    my $cookie = cookie($c);
    my $outer = outer();

    $c->write_plain("GET /slow?n=3&delay=1 HTTP/1.1\r\n"
                    . "Host: localhost\r\n\r\n");
    $c->post_send($c->tls_out());
    readable($c->http_client()->{socket}, patience());
    others_meanwhile($outer, $cookie, 409);
    $c->post_receive();
    is(status(answer($outer, '', Cookie => $cookie)), 200, 'and goes on');

    my $s = http_connect($v->port());

    send_all($s, $c->format_post('', 'Content-Length' => 10,
                                 Expect => '100-continue'));
    readable($s, patience());
    others_meanwhile($outer, $cookie, 200);
    is_valid('busy');

    # the client closes the connection

    close $s;
    ok($t->wait_for(sub {
        status(answer($outer, '', Cookie => $cookie)) ne '409'
    }), 'a cut request');
    is_valid('after a cut request');
}


sub others_meanwhile {
    my ($outer, $cookie, $status) = @_;

    is(status(answer($outer, '', Cookie => $cookie)), $status, 'busy: empty');
    is(status(answer($outer, "\x17\x03\x03\x00\x20" . 'x' x 32,
                     Cookie => $cookie)), 409, 'busy: a record');
    is(status(answer($outer, first_flight(), Cookie => $cookie)), 200,
       'busy: a ClientHello');
}


sub elsewhere {
    my $c = established();
    my $there = outer(uri => '/other');

    is(status(answer($there, '', Cookie => cookie($c))), 410, 'elsewhere');
    is(status(answer($there, first_flight(), Cookie => cookie($c))), 200,
       'elsewhere: a ClientHello');
    is(eval { $c->get('/ok')->body() }, 'hello', 'and goes on');
    is_valid('another endpoint');
}


# Invalid records and invalid bodies end a session behind a valid record.

sub ended {
    my ($protocol) = @_;

    my @args = (protocol => $protocol);
    my $c;

    my %ends = (
        'garbage' => sub { $c->post("\x17\x03\x03\x00\x20" . 'x' x 32) },
        'no record' => sub { $c->post('GET / HTTP/1.1') },
        'a long record' => sub { $c->post("\x17\x03\x03\xff\xff") },
        'twice' => sub {
            $c->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");
            my $bytes = $c->tls_out();
            $c->post($bytes);
            $c->post($bytes);
        },
        'chunks' => sub { bad_chunk($c, '') },
        'chunks, behind a part' => sub {
            $c->write_plain('GET /o');
            bad_chunk($c, chunk($c->tls_out()));
        },
        'behind the start of a response' => sub {
            $c->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");
            $c->post($c->tls_out() . "\x17\x03\x03\x00\x20" . 'x' x 32);
        },
    );

    for my $end (sort keys %ends) {
        $c = established(@args);

        my $cookie = cookie($c);

        $ends{$end}->();

        # whether a part was read before the chunk depends on timing

        like(status(answer(outer(), '', Cookie => $cookie)),
             $end =~ /response/ ? qr/^410$/
             : $end =~ /part/ ? qr/^(?:200|410)$/ : qr/^200$/,
             "$protocol: behind it, $end");
        is_valid("$protocol: $end");
    }

    # during a handshake

    for my $end ("\x16\x03\x03\x00\x20" . 'x' x 32, 'GET / HTTP/1.1',
                 "\x15\x03\x03\x00\x02\x02\x28", "\x15\x03\x03\x00\x02\x01\x00")
    {
        my $c = client(@args);

        $c->handshake_step();
        $c->exchange($c->tls_out());

        my $cookie = cookie($c);

        $c->post($end);
        is(status(answer(outer(), '', Cookie => $cookie)), 410,
           "$protocol: " . unpack('H14', $end) . ' ends a handshake');
        is_valid("$protocol: " . unpack('H14', $end) . ' in a handshake');
    }

    # in several worker processes

    for (1 .. 5) {
        my $c = client(@args);

        $c->handshake_step();
        $c->exchange($c->tls_out());

        bad_chunk($c, '');
    }

    is_valid("$protocol: chunks in a handshake");
    bad_chunk(undef, '');
    bad_chunk(undef, chunk(substr first_flight(), 0, 50));
    is_valid('a chunk without a size');
}


sub bad_chunk {
    my ($c, $before) = @_;

    my $s = http_connect($v->port());

    send_all($s, "POST $URI HTTP/1.1\r\nHost: localhost\r\n"
                 . ($c ? 'Cookie: ' . cookie($c) . "\r\n" : '')
                 . "Content-Type: $TYPE\r\nTransfer-Encoding: chunked\r\n\r\n"
                 . "${before}zz\r\n");
    ok(readable($s, patience()), 'a chunk without a size');
    sysread $s, my $head, 12;
    is($head, 'HTTP/1.1 400', 'is answered 400');
    read_all($s);
}


sub timed_out {
    my $c = client(uri => '/hasty');

    $c->handshake_step();
    $c->exchange($c->tls_out());
    sleep $TIMEOUT + 1;
    is(status($c->post('')), 410, 'a handshake whose time is over');
    is_valid('the time of a handshake');
}


# More handshakes on one connection than a worker process may have; many more,
# if some have timed out meanwhile.

sub no_room {
    my $outer = outer(uri => '/hasty');
    my %status = (503 => 0);

    for (1 .. 20 * $HANDSHAKES) {
        $status{status(answer($outer, first_flight()))}++;
        last if $status{503} == 2;
    }

    is($status{503}, 2, 'no room for a handshake');
    is_valid('no room');
}


# URIs of sessions: unknown ones, of another endpoint, other methods.

sub located {
    my $record = "\x17\x03\x03\x00\x20" . 'x' x 32;
    my ($located, $both) = map { established(uri => $_) } qw( /located /both );
    my ($id) = $located->location() =~ m!([^/]+)\z!;
    my @cookie = (Cookie => cookie($both));

    for my $case ([ '/located', $record, 410 ], [ '/located', 'x', 400 ],
                  [ '/located', '', 400 ], [ '/located/x', $record, 410 ],
                  [ '/located/x/y', '', 410 ], [ "/located/$id/", '', 410 ],
                  [ "/located/$id?a=b", '', 200 ], [ "/both/$id", '', 410 ],
                  [ '/both/x', $record, 410, @cookie ],
                  [ '/both', '', 200, @cookie ], [ '/both', $record, 410 ],
                  [ "/both/$id", '', 410, @cookie ],
                  [ '/both/' . 'A' x 24, first_flight(), 201, @cookie ],
                  [ $both->location(), first_flight(), 201, @cookie ])
    {
        my ($uri, $body, $status, @headers) = @$case;

        is(status(answer(outer(uri => $uri), $body, @headers)), $status,
           "$uri: $status" =~ s/[\w-]{24}/.../r);
    }

    is(status(answer(outer(uri => $_->location(), method => 'DELETE'), '')),
       405, 'DELETE') for $located, $both;

    is(eval { $_->get('/ok')->body() }, 'hello', 'the sessions go on')
        for $located, $both;
    is_valid('URIs of sessions');
}


sub raw {
    my $c = established(uri => '/raw');

    $c->write_plain('a message');
    $c->exchange($c->tls_out());
    is($c->read_plain(), 'a message', 'raw');

    $c = established(uri => '/raw-refused');
    $c->write_plain('a message');
    is(status($c->post($c->tls_out())), 502, 'raw: refused');
    is(status($c->post('')), 200, 'raw: and goes on');

    # in the POST that completes the handshake

    $c = client(uri => '/raw-refused');
    $c->handshake_step();
    $c->exchange($c->tls_out());
    $c->handshake_step();
    $c->write_plain('a message');
    is(status($c->post($c->tls_out())), 502, 'raw: refused at once');
    is_valid('raw');
}


sub own {
    is(status(answer(outer(uri => '/closed'), first_flight())), 403,
       'another status');
    is_valid('nginx\'s own');
}
