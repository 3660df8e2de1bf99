#!/usr/bin/perl

# early_hints, since nginx 1.29.0: a client gets interim responses, but with
# atls_payload raw, only the body of the final one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Serve qw( read_request serve );

my $hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
my $t = Test::Atls->new(workers => 1);

plan(skip_all => 'no early_hints') unless $t->has_version('1.29.0');

$t->write_http(<<'EOC');
%%CERTIFICATE%%
early_hints 1;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /http {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$t->run_daemon(sub { serve($t->port(1), \&answer) }, port => $t->port(1));
$t->run();

like(answered('/http', "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
     qr!^$hints\QHTTP/1.1 200 OK\E\r\n.*\r\n\r\nthe body\n\z!s, 'http');

is(answered('/raw', 'data'), "the body\n", 'raw');

$t->done_testing();


sub answer {
    my ($s) = @_;

    my ($head) = read_request($s) or return;

    print $s $hints, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"
             . "Connection: close\r\n\r\nthe body\n";
}


sub answered {
    my ($uri, $plain) = @_;

    my $c = $t->client(uri => $uri);

    return $c->handshake() ? $c->request($plain) : $c->error();
}
