#!/usr/bin/perl

# Messages of a hostile client, or of somebody on the path: what is refused does
# not change the meaning of anything else, and what is served is one request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Message;
use Test::Atls::Slow qw( patience slow );

my $SHORT = 2 * slow();
my $GET = Test::Atls::Client::format_request('GET', '/echo', '');
my $SMUGGLED = Test::Atls::Client::format_request('GET', '/smuggled', '');
my $HOST = "HTTP/1.1\r\nHost: localhost\r\n";

my $t = Test::Atls->new();

$t->write_http(<<'EOC' =~ s/%%SHORT%%/$SHORT/gr);
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;
    access_log %%TESTDIR%%/access.log;

    atls_exported_keys on;
    client_body_timeout 600s;
    atls_protocols TLSv1.2 TLSv1.3 DTLSv1.2;

    location /.well-known/atls {
        atls on;
    }

    location /early {
        atls on;
        atls_early_data on;
    }

    location /brief {
        atls on;
        atls_session_lifetime %%SHORT%%s;
    }

    location /mirrored {
        atls on;
        mirror /mirror;
    }

    location = /mirror {
        internal;
        return 204;
    }

    location /file {
        atls on;
        client_body_in_file_only clean;
    }

    location /buffered {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_request_buffering off;
        proxy_http_version 1.1;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my $m = messages();

codings();
next_post();
pieces();
requests();
largest_numbers();
early_data();
datagrams();
late_record($_) for qw( TLSv1.3 TLSv1.2 );
bodies_in_files();
ends_at_once();

unlike($t->read_log('access.log'), qr/smuggled/, 'nothing was smuggled');

$t->done_testing();


sub messages {
    return Test::Atls::Message->new($t->established(keepalive => 0, @_));
}


sub served { scalar(my @requests = $backend->requests()) }


# What is received for bytes on a connection, until it is closed.

sub received {
    my ($bytes) = @_;

    my $s = http_connect($t->port(0));
    my $got = '';

    send_all($s, $_) for ref $bytes ? @$bytes : $bytes;
    while (readable($s, patience())) {
        sysread $s, $got, 65536, length $got or last;
    }

    return $got;
}


sub head {
    my ($fields, $coding) = @_;

    return "POST /.well-known/atls ${HOST}Content-Type: message/http\r\n"
           . ($coding // "Content-Encoding: aes128gcm\r\n") . "$fields\r\n\r\n";
}


# RFC 9110, section 5.3: several lines are a list.

sub codings {
    my $coding = 'Content-Encoding: aes128gcm';

    for ("$coding\r\nContent-Encoding: gzip", "$coding\r\n$coding",
         "Content-Encoding: gzip\r\n$coding",
         "$coding\r\nX-Other: x\r\ncontent-encoding: identity",
         "$coding,", "Content-Encoding: ,aes128gcm", "$coding, aes128gcm",
         "Content-Encoding: identity, aes128gcm", "$coding;q=1", "${coding}x",
         'Content-Encoding: aes128gc', 'Content-Encoding: "aes128gcm"',
         'Content-Encoding:')
    {
        my $message = $m->seal($GET);

        like(received(head("Connection: close\r\nContent-Length: "
                           . length $message, "$_\r\n") . $message),
             qr!^HTTP/1.1 415 .*content-coding!s, s/\r\n/ | /gr);
    }

    is(served(), 0, 'none of them is served');
}


# The rest of a body that is refused is not another request.

sub next_post {
    my $next = "GET /next ${HOST}Connection: close\r\n\r\n";
    my $message = $m->seal($GET);
    my $forged = $m->seal($GET, key => 'k' x 32);

    for (['data after the message', $message . $SMUGGLED],
         ['forged', $forged . $SMUGGLED],
         ['no keyid', $m->seal($GET, keyid => 'x') . $SMUGGLED],
         ['a large one', $m->seal($GET) . $SMUGGLED x 3000],
         ['a large one, forged', $forged . $SMUGGLED x 3000])
    {
        my ($name, $body) = @$_;
        my $length = length $body;

        for my $post (head("Content-Length: $length") . $body,
                      head('Transfer-Encoding: chunked')
                      . sprintf("%x\r\n", $length) . "$body\r\n0\r\n\r\n")
        {
            my @statuses = received("$post$next") =~ m!HTTP/1.1 (\d+) !g;

            like("@statuses", qr/^400(?: 200)?$/, $name);
        }
    }

    my @uris = map { $_->{uri} } $backend->requests();
    is(scalar grep({ $_ ne '/next' } @uris), 0, 'only the next request');
    $backend->forget();
}


# A body that comes byte by byte, and ends within a response.

sub pieces {
    my $number = $m->next_number();
    my @chunks = map { "1\r\n$_\r\n" } split //, $m->seal($GET,
                                                          number => $number);
    my $got = received([ head("Connection: close\r\nTransfer-Encoding: chunked"),
                         @chunks, "0\r\n\r\n" ]);

    like($got, qr!^HTTP/1.1 200 !, 'byte by byte');
    $backend->forget();
}


# A message has at most one request, which is a whole one.

sub requests {
    my $post = "POST /echo $HOST";
    my $buffered = "POST /buffered $HOST";
    my $chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    my $inner = $m->seal($SMUGGLED);
    my $length = length $inner;
    my $connect = $t->has_version('1.29.3') ? '405' : '400';

    my @requests = (
        [ 'half of a header', substr($GET, 0, 30), '', 0 ],
        [ 'half of a body', "${post}Content-Length: 9\r\n\r\nhello", '', 0 ],
        [ 'half of it, buffered', "${buffered}Content-Length: 9\r\n\r\nhello",
          '', 0 ],
        [ 'no last chunk', "$post$chunked", '', 0 ],
        [ 'no last chunk, buffered', "$buffered$chunked", '', 0 ],
        [ 'data after the body',
          "${post}Content-Length: 5\r\n\r\nhello$SMUGGLED", '200', 1 ],
        [ 'data after the last chunk', "$post${chunked}0\r\n\r\n$SMUGGLED",
          '200', 1 ],
        [ 'another request, buffered',
          "${buffered}Content-Length: 5\r\n\r\nhello$SMUGGLED", '200', 1 ],
        [ 'chunks and a length',
          "${post}Content-Length: 5\r\n${chunked}0\r\n\r\n$SMUGGLED", '400', 0 ],
        [ 'two lengths', "${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\n"
                         . "hello$SMUGGLED", '400', 0 ],
        [ 'an inner message', "POST /.well-known/atls ${HOST}"
          . "Content-Type: message/http\r\nContent-Encoding: aes128gcm\r\n"
          . "Content-Length: $length\r\n\r\n$inner", '404', 0 ],
        [ 'CONNECT', "CONNECT localhost:80 $HOST\r\n$SMUGGLED", $connect,
          0 ],
        [ 'a PROXY header', "PROXY TCP4 1.1.1.1 1.1.1.1 1 2\r\n$SMUGGLED",
          '400', 0 ],
        [ 'a ClientHello', "\x16\x03\x01\2\0\1\0\1\xfc\3\3" . 'x' x 500,
          '400', 0 ],
        [ 'only CRLF', "\r\n" x 3, '', 0 ],
    );

    for (@requests) {
        my ($name, $request, $status, $n) = @$_;

        # with a record for each of 13 bytes, too

        for my $size (4096, 30) {
            my $plain = $m->exchange($request, size => $size);
            my @statuses = ($plain // '') =~ m!^HTTP/1.1 (\d+) !mg;
            my @whole = grep { !$_->{aborted} } $backend->requests();

            is($m->error(), '', "$name, $size: a whole response");
            is("@statuses", $status, "$name, $size: its status");
            is(scalar @whole, $n, "$name, $size: whole requests");
            $backend->forget();
        }
    }
}


sub largest_numbers {
    my $one = messages();
    my $most = ~0;

    for my $number (5, $most, $most - 1, $most - 63, $most - 62) {
        my $plain = $one->exchange($GET, number => $number);
        like($plain, qr/ 200 /, "number $number") or diag($one->error());
    }

    for my $number ($most, $most - 63, $most - 64, 0, 1, 1 << 63) {
        $one->exchange($GET, number => $number);
        is($one->error(), '409 message-repeated', "number $number: refused");
    }

    my $r = $one->{client}->get('/echo');
    is($r && $r->status(), 200, 'records of the session');
    $backend->forget();
}


# After early data, the client has keys, but is not authenticated.

sub early_data {
    my $first = early();

    $first->handshake();
    $first->get('/echo');

    my $c = early(session => $first->session(), early => $GET);

    $c->handshake();
    my $r = $c->early_response();
    is($r && $r->status(), 200, 'early data') or diag($c->error());
    $backend->forget();

    my $early = Test::Atls::Message->new($c);
    my $message = $early->seal($GET);

    $early->receive($early->post($message), 0);
    is($early->error(), '409 half-open', 'a message before the last flight');
    is(served(), 0, 'is not served');

    is($c->get('/echo')->status(), 200, 'the last flight');
    like($early->receive($early->post($message), 0), qr/ 200 /,
         'and then, the message');
    $backend->forget();
}


sub early {
    return $t->stack('openssl', protocol => 'TLSv1.3', keepalive => 0,
                     uri => '/early', @_);
}


# Keys of a session with DTLS, whose records have a window of their own.

sub datagrams {
    my $c = $t->stack('openssl', protocol => 'DTLSv1.2', keepalive => 0);

    ok($c->handshake(), 'DTLS') or diag($c->error());

    my $d = Test::Atls::Message->new($c);
    my $message = $d->seal($GET, number => 9);

    is($d->post($message)->status(), 200, 'DTLS: a message');
    is($c->get('/echo')->status(), 200, 'DTLS: records');
    is($d->post($message)->status(), 409, 'DTLS: the message again');
    is($c->get('/echo')->status(), 200, 'DTLS: records, again');
    $backend->forget();
}


# The session is looked at again when the first record is there.  While another
# POST is in progress, it is not removed.

sub late_record {
    my ($protocol) = @_;

    my $c = $t->established(protocol => $protocol, uri => '/brief',
                            keepalive => 0);
    my $late = Test::Atls::Message->new($c);
    my $message = $late->seal($GET);

    $c->write_plain(Test::Atls::Client::format_request('GET', '/hang', ''));
    $c->post_send($c->tls_out());

    my $http = $late->post_send(substr($message, 0, 70), headers => {
                   'Content-Length' => length $message });

    $t->wait_for(sub { served() });
    sleep($SHORT + 1.5);
    send_all($http->{socket}, substr $message, 70);

    $late->receive($http->receive(), 0);
    is($late->error(), '410 session-unknown',
       "$protocol: a record after the session's lifetime");
    $http->close();
    $c->http_client()->close();
    $backend->forget();
}


sub bodies_in_files {
    my $request = Test::Atls::Client::format_request('POST', '/echo',
                                                     'x' x 100_000);

    for my $uri ('/mirrored', '/file') {
        my $one = messages(uri => $uri);

        for my $size (16401, 4096, 100) {
            my $r = $one->http($request, size => $size);
            like($r && $r->body(), qr/^length 100000$/m, "$uri, size $size")
                or diag($one->error());
        }

        my $message = $one->seal($request);

        substr($message, 50_000, 1) ^= "\1";
        $one->receive($one->post($message), 0);
        is($one->error(), '400 message-refused', "$uri: a changed record");
    }

    $backend->forget();
}


# A message is served, or not: also if the session ends at the same time.

sub ends_at_once {
    my %got;

    for (1 .. 20) {
        my $one = messages();

        $one->{id} = $one->id();

        my @before = map { $one->seal($GET, number => $_) } 0 .. 2;
        my @after = map { $one->seal($GET, number => $_) } 3 .. 5;
        my @posts = map { $one->post_send($_) } @before;

        $one->{client}->close_notify();
        push @posts, map { $one->post_send($_) } @after;

        for my $number (0 .. 5) {
            my $plain = $one->receive($posts[$number]->receive(), $number);
            my $what = $one->error() || $plain =~ m!^HTTP/1.1 (\d+)! && $1;

            $got{$number < 3 ? 'before' : 'after'}{$what}++;
            $posts[$number]->close();
        }
    }

    is(join(' ', grep { !/^(?:200|410 session-unknown)$/ }
                 keys %{$got{before}}), '', 'before close_notify');
    is_deeply($got{after}, { '410 session-unknown' => 60 },
              'after close_notify');
    $backend->forget();
}
