#!/usr/bin/perl

# A response to early data that OpenSSL cannot encrypt ends the session, also if
# nginx continues to read the request, for example to store the response.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls;
use Test::Atls::Client;

my $t = Test::Atls->new(workers => 1);

plan(skip_all => 'nothing can be preloaded')
    if $ENV{TEST_NGINX_WRAPPER} || `ldd @{[ $t->binary() ]}` =~ /asan/;

my $library = $t->path('early_write.so');
my @cc = (split(' ', $ENV{CC} || 'cc'), qw( -shared -fPIC -O1 -Wall -Werror ),
          "$FindBin::Bin/bin/early_write.c", '-o', $library, '-ldl');

system(@cc) == 0 or die "@cc failed\n";

$t->write_http(<<'EOC', main => 'env LD_PRELOAD; env ATLS_EARLY_WRITE;');
%%CERTIFICATE%%
atls_early_data on;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 answered;
    }

    location = /stored {
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_store %%TESTDIR%%/stored;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

{
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{ATLS_EARLY_WRITE} = $t->path('fails');

    $t->run();
}

my $backend = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
                                    LocalPort => $t->port(1), ReuseAddr => 1)
    or die "backend: $!\n";

my $first = client();

$first->handshake() or die $first->error() . "\n";
$first->get('/');

# two records of early data

my $early = Test::Atls::Client::format_request('POST', '/stored', 'x' x 6_000);
my $c = client(session => $first->session(), version => 'http11-chunked',
               early => substr $early, 0, 3_000);

$c->handshake_step();
my @records = ($c->tls_out());

$c->write_early(substr $early, 3_000);
push @records, $c->tls_out();

# The backend responds when it has received the first one, and the response is
# not complete when nginx receives the second one.

my $failed = qr/\[alert\].*SSL_write_early_data\(\) failed/;
$t->write_file('fails', '');

my ($n, $s) = (0);

my $r = $c->post(sub {
    respond() if $n == 1;

    if ($n == 2) {
        sleep 0.5;                      # nginx first reads the second record
        $s->close();
    }

    return $records[$n++];
});

unlink $t->path('fails');

is($r && $r->status(), 200, 'the POST is answered');
is($c->cookie(), undef, 'no session');

like($t->read_log('error.log'), $failed, 'OpenSSL has failed');

my $other = client();
ok($other->handshake() && $other->get('/'), 'others are served');

$t->allow_log($failed);
$t->done_testing();


sub client {
    return $t->stack('openssl', protocol => 'TLSv1.3', @_);
}


# Sends more than nginx can buffer.

sub respond {
    $s = $backend->accept();
    $s->sysread(my $head, 2_000);
    $s->syswrite("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"
                 . 'y' x 100_000);

    $t->wait_for_log($failed);
}
