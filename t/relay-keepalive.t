#!/usr/bin/perl

# A connection is kept alive after a relayed POST, too: core uses the
# configuration of the location after the request has been finished.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Elsewhere qw( connect_to );
use Test::Atls::Http qw( read_response readable send_all );
use Test::Atls::Slow qw( patience );


my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen             127.0.0.1:%%PORT_0%%;
    keepalive_timeout  3s;

    location / {
        atls on;
        add_header  X-Pid $pid always;
        add_header  X-Upstream $upstream_addr always;
        return 200 "answered\n";
    }
}
EOC

$t->run();

kept($_) for 'counted', 'chunked';

$t->done_testing();


sub kept {
    my ($name) = @_;

    my $c = $t->client();
    $c->handshake_step();
    $c->exchange($c->tls_out()) or die $c->error() . "\n";

    my $owner = $c->last_response()->header('X-Pid');
    my ($other) = grep { $_ != $owner } $t->workers();

    my $s = connect_to($t, $other, "POST / HTTP/1.1\r\n", port => $t->port(0));

    $c->handshake_step();

    my $flight = $c->tls_out();

    send_all($s, join "\r\n", 'Host: localhost',
                 'Content-Type: application/atls+octet-stream',
                 'Cookie: atls=' . $c->cookie(),
                 $name eq 'counted'
                 ? ('Content-Length: ' . length $flight, '', $flight)
                 : ('Transfer-Encoding: chunked', '',
                    sprintf('%x', length $flight), $flight, 0, '', ''));

    my $r = read_response($s);

    is($r && $r->status(), 200, "$name: a response");
    is($r && $r->header('X-Upstream'), 'another worker', "$name: relayed");

    ok(!readable($s, 0.5), "$name: the connection is not closed");

    send_all($s, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    is(eval { read_response($s)->status() }, 405, "$name: nor with another request");

    # until keepalive_timeout

    ok(readable($s, patience()) && !$s->sysread(my $buf, 1),
       "$name: closed in the end");
}
