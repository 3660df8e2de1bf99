#!/usr/bin/perl

# nginx starts, reloads and stops with the module loaded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Test::Atls;

my $conf = http_conf(<<'EOC');
server {
    listen 127.0.0.1:%%PORT_0%%;

    location / {
        return 200 "plain\n";
    }

    location /.well-known/atls {
        atls on;
        %%CERTIFICATE%%
    }
}
EOC

my $t = Test::Atls->new();

is($t->config_error($conf), '', 'nginx -t');

$t->write_conf($conf)->run();

is(scalar(my @workers = $t->workers()), 4, 'workers');
like(http_raw($t->port(0), "GET / HTTP/1.0\r\n\r\n"), qr/^plain$/m,
     'a request');

ok($t->reload(), 'reload');
like(http_raw($t->port(0), "GET / HTTP/1.0\r\n\r\n"), qr/^plain$/m,
     'a request after it');

$t->done_testing();
