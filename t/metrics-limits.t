#!/usr/bin/perl

# atls_status: a session that ends because its keys have protected as many
# records as they may, and a POST that fails without memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Status qw( added status );

my $t = Test::Atls->new();

plan(skip_all => 'nothing can be preloaded')
    if $ENV{TEST_NGINX_WRAPPER} || !$t->module()
       || `ldd @{[ $t->binary() ]}` =~ /asan/;

my $library = $t->path('limits.so');
my @cc = (split(' ', $ENV{CC} || 'cc'), qw( -shared -fPIC -O1 -Wall -Werror ),
          "$FindBin::Bin/bin/limits.c", '-o', $library, '-ldl');

system(@cc) == 0 or die "@cc failed\n";

$t->write_http(<<'EOC', main => 'env LD_PRELOAD; env ATLS_LIMITS;');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /ok {
        return 200 ok;
    }

    location = /status {
        atls_status;
    }
}
EOC

{
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{ATLS_LIMITS} = $t->path('fails');

    $t->run();
}


# TLS 1.2: the session ends

my $c = $t->established(protocol => 'TLSv1.2');

my ($ended, $requests, $updates) = added($t, sub {
    for (1 .. 20) {
        last if $c->closed();
        $c->get('/ok');
    }
}, qw( sessions_ended_total requests_total key_updates_total ));

ok($c->closed(), 'TLS 1.2: close_notify');
is($c->error(), '', '... in order');
is_deeply($ended, { 'key-limit' => 1 }, '... the reason');
is_deeply($updates, {}, '... without a KeyUpdate');

my $served = $requests->{'2xx'};

cmp_ok($served, '>', 2, '... after some requests');
cmp_ok($served, '<', 8, '... and not many');
ok($t->wait_for_log(qr/atls session \w+ ended: key-limit, .*requests:\d,/),
   '... in the log');


# many requests in one POST

$c = $t->established(protocol => 'TLSv1.2');
$c->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n") for 1 .. 20;

my ($refused, $alerts);

($ended, $refused, $alerts) = added($t, sub { $c->exchange($c->tls_out()) },
    qw( sessions_ended_total records_refused_total alerts_total ));

is_deeply($ended, { 'key-limit' => 1 }, 'TLS 1.2, many requests: the reason');
is_deeply($refused, {}, '... no record is refused');
is_deeply($alerts, { out => { close_notify => 1 } }, '... the alert');


# TLS 1.3: the keys are updated

$c = $t->established(protocol => 'TLSv1.3');

($ended, $requests, $updates) = added($t, sub {
    $c->get('/ok') for 1 .. 20;
}, qw( sessions_ended_total requests_total key_updates_total ));

is_deeply($ended, {}, 'TLS 1.3: the session goes on');
is_deeply($requests, { '2xx' => 20 }, '... with all requests');
cmp_ok($updates->{out} // 0, '>', 1, '... and KeyUpdates');


# without memory

$t->write_file('fails', '');
$t->allow_log(qr/SSL_new\(\) failed/);

my ($posts, $handshakes) = added($t, sub { $t->client()->handshake() },
                                 qw( posts_total handshakes_total ));

is_deeply($posts, { 'internal-error' => { 500 => 1 } }, 'no memory');
is_deeply($handshakes, { aborted => 1 }, '... for the handshake');

unlink $t->path('fails');
is($t->established()->get('/ok')->status(), 200, 'and later');

$t->done_testing();
