#!/usr/bin/perl

# The timeout for the rest of a request is not extended by POSTs without any
# part of it, which require a cookie but no key.  Otherwise, a parked request
# could be kept forever, and with it its session and, after a reload, its
# worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls;

my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

client_header_timeout 2s;
client_body_timeout 2s;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$t->run();

my $header = "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n";

for (['header', 'PUT / HTTP/1.1'], ['body', "${header}12345"],
     ['no body yet', $header])
{
    my ($name, $part) = @$_;

    ok(ends($part, sub { '' }), "$name: empty POSTs");

    # a record that was not sent by the client

    my @bytes = ("\x17", "\x03", "\x03", "\x01", "\x00");

    ok(ends($part, sub { @bytes ? shift @bytes : "\x00" }),
       "$name: a byte of a record");
}

$t->done_testing();


# Whether the session ends while such POSTs are sent.

sub ends {
    my ($part, $next) = @_;

    my $c = $t->established(keepalive => 0);
    $c->request($part);

    return $t->wait_for(sub {
        sleep 0.5;

        my $r = $c->post($next->());

        return 1 if $r->status() != 200;

        $c->tls_in($r->body());
        $c->read_plain();

        return $c->closed() || $c->alerts();
    }, 30);
}
