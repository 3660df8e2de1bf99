#!/usr/bin/perl

# atls_poll_timeout: the session of a poll cannot be opened when there is
# output.  The poll fails, and nothing is lost: if it is sent again, it is
# answered, and the next one gets the output.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Echo;
use Test::Atls::Forge;
use Test::Atls::Http qw( read_response readable );
use Test::Atls::Preload;
use Test::Atls::Slow qw( patience );

my $ROUNDS = 3;         # so that some POSTs are in the other worker
my $WHILE = 0.3;        # seconds without an answer

my $t = Test::Atls->new(workers => 2);

plan(skip_all => 'nothing can be preloaded')
    if $ENV{TEST_NGINX_WRAPPER} || !$t->module()
       || `ldd @{[ $t->binary() ]}` =~ /asan/;

$t->write_http(<<'EOC', main => 'env LD_PRELOAD; env ATLS_NO_CHANNEL;');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    client_body_timeout 600s;
    proxy_read_timeout 600s;

    location = /atls {
        atls on;
        atls_poll_timeout 600s;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
    }
}
EOC

Test::Atls::Preload->build($t, 'no_channel')
    ->with(sub { $t->run() }, ATLS_NO_CHANNEL => $t->path('fails'));

Test::Atls::Echo->start($t, $t->port(1));

$t->allow_log(qr!\[alert\] .* atls session cannot be opened!);

my ($c, $forge);

for (1 .. $ROUNDS) {
    fails('a record', sub { $forge->record(23, '') });
    fails('empty', sub { '' });
}

$t->done_testing();


sub fails {
    my ($name, $body) = @_;

    $forge = Test::Atls::Forge->new();
    $c = $t->established(uri => '/atls', keepalive => 0, timeout => patience(),
                         $forge->client_args());

    my $upgrade = $forge->record(23, "GET /late HTTP/1.1\r\nHost: localhost\r\n"
                                     . "Upgrade: echo\r\n"
                                     . "Connection: upgrade\r\n\r\n");

    like($c->decrypted($c->post($upgrade)), qr!\A200 HTTP/1\.1 101 !,
         "$name: 101");

    # after data, the first empty one does not wait

    is($c->end_post($c->begin_post('')), '200 ', "$name: empty")
        if $name eq 'empty';

    my $poll = $body->();
    my $s = $c->begin_post($poll);

    # the worker has received it

    $t->read_log('error.log');

    ok(!readable($s, $WHILE), "$name: a poll waits");
    $t->write_file('fails', '');
    $t->write_file('late', '');
    is(read_response($s)->status(), 500, "$name: it fails");
    unlink $t->path('fails');

    # an empty one is another poll

    is($c->end_post($c->begin_post($poll)), '200 ', "$name: the same again")
        if $poll ne '';
    is($c->end_post($c->begin_post($body->())), "200 late\n",
       "$name: the next one");
    unlink $t->path('late');

    # a worker would wait for the connection

    $c->post($forge->record(21, "\1\0"));
}
