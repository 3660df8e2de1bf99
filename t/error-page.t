#!/usr/bin/perl

# A POST whose body turns out to be too large, and "error_page" that takes it to
# a location that answers late: what comes of the body by then is nobody's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Test::Atls;
use Test::Atls::Client;

use constant LIMIT => 2048;

my $t = Test::Atls->new(workers => 1);

$t->make_cert('localhost', type => 'ec');

$t->write_conf(<<"EOC");
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%

    atls_certificate %%TESTDIR%%/localhost.crt;
    atls_certificate_key %%TESTDIR%%/localhost.key;

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
}
EOC

my $backend = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5,
                                    LocalPort => $t->port(1), ReuseAddr => 1)
    or die "backend: $!\n";

$t->plan(5)->run();

my $c = client();

$c->handshake() or die $c->error() . "\n";
$c->write_plain(Test::Atls::Client::format_request('POST', '/', 'x' x LIMIT));

my $body = $c->tls_out();
my $cookie = join '; ', map { "$_=$c->{cookies}{$_}" } keys %{$c->{cookies}};

my $outer = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $t->port(0))
    or die "connect: $!\n";

$outer->autoflush(1);

print $outer "POST /.well-known/atls HTTP/1.1\r\n"
             . "Host: localhost\r\n"
             . 'Content-Type: ' . Test::Atls::Client::MEDIA_TYPE . "\r\n"
             . "Cookie: $cookie\r\n"
             . "Transfer-Encoding: chunked\r\n\r\n";

# the endpoint reads it, and has asked for more before there is too much

chunk(substr $body, 0, 100, '');
$t->read_log('error.log');
chunk($body);

my $upstream = $backend->accept();
ok($upstream, 'the location of the error is asked');

chunk('more') for 1 .. 3;

ok(client()->handshake(), 'others are served');

# whatever came is of no use

like(head($upstream), qr!^GET /too-large HTTP!, 'it is another request');
print $upstream "HTTP/1.0 200 OK\r\nX-From: backend\r\n\r\n";
close $upstream;

my $head = head($outer);

like($head, qr!^HTTP/1.1 413 !, 'the answer is 413');
like($head, qr!^X-From: backend\r$!m, 'it is that of the location');

close $outer;


sub client {
    return Test::Atls::Client->new(port => $t->port(0));
}


sub chunk {
    my ($bytes) = @_;

    printf $outer "%x\r\n%s\r\n", length $bytes, $bytes;
}


sub head {
    my ($fh) = @_;

    my $head = '';

    while ($head !~ /\r\n\r\n/) {
        sysread $fh, $head, 4096, length $head or last;
    }

    return $head;
}
