#!/usr/bin/perl

# A POST with a too large body, and an "error_page" with a location that
# responds late: the rest of the body is discarded.  If this is detected while
# the body is being read, "error_page" is not used.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use Test::More;

use Test::Atls;
use Test::Atls::Client;

use constant LIMIT => 2048;

my $t = Test::Atls->new(workers => 1);

$t->write_http(<<"EOC");
%%CERTIFICATE%%

proxy_ignore_client_abort on;

server {
    listen 127.0.0.1:%%PORT_0%%;

    client_max_body_size @{[ LIMIT ]};
    error_page 413 /too-large;

    location = /.well-known/atls {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /too-large {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

my $backend = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5,
                                    LocalPort => $t->port(1), ReuseAddr => 1)
    or die "backend: $!\n";

$t->run();

known();
found_out();

$t->done_testing();


# With Content-Length, the size is checked before the body is read.

sub known {
    my $outer = post('Content-Length: ' . 2 * LIMIT, 'x' x 100);
    my $upstream = $backend->accept();

    ok($upstream, 'known: the location of the error is asked');
    print $outer 'x' x 1000;

    ok($t->client()->handshake(), 'known: others are served');

    # the body is discarded

    like(head($upstream), qr!^GET /too-large HTTP!,
         'known: it is another request');
    print $upstream "HTTP/1.0 200 OK\r\nX-From: backend\r\n\r\n";
    close $upstream;

    like(head($outer), qr!^HTTP/1.1 413 .*^X-From: backend\r$!ms,
         'known: the answer is that of the location');
}


# Without Content-Length, the session ends, and "error_page" is not used.

sub found_out {
    my $c = $t->client();

    $c->handshake() or die $c->error() . "\n";
    $c->write_plain(Test::Atls::Client::format_request('POST', '/',
                                                       'x' x LIMIT));

    my $body = $c->tls_out();
    my $outer = post('Transfer-Encoding: chunked',
                     chunk(substr $body, 0, 100, ''),
                     'Cookie: atls=' . $c->cookie());

    # the endpoint reads the body, and waits for more before the limit is
    # exceeded

    $t->read_log('error.log');
    print $outer chunk($body);

    my $head = head($outer);

    like($head, qr!^HTTP/1.1 413 !, 'found out: the answer is 413');
    like($head, qr!^Content-Type: application/problem\+json\r$!m,
         'found out: a problem document');
    unlike($head, qr!^Set-Cookie: !m,
           'found out: before the first record, the session goes on');
    ok(!IO::Select->new($backend)->can_read(0),
       'found out: the location of the error is not asked');
}


sub post {
    my ($length, $body, @headers) = @_;

    my $outer = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                      PeerPort => $t->port(0))
        or die "connect: $!\n";

    $outer->autoflush(1);

    print $outer join "\r\n", 'POST /.well-known/atls HTTP/1.1',
                      'Host: localhost', $length,
                      'Content-Type: ' . Test::Atls::Client::MEDIA_TYPE,
                      @headers, '', $body;

    return $outer;
}


sub chunk {
    my ($bytes) = @_;

    return sprintf "%x\r\n%s\r\n", length $bytes, $bytes;
}


sub head {
    my ($fh) = @_;

    my $head = '';

    while ($head !~ /\r\n\r\n/) {
        sysread $fh, $head, 4096, length $head or last;
    }

    return $head;
}
