#!/usr/bin/perl

# A POST with a large length, in which requests are sent one after another, in a
# worker that quits: it continues for a while, but the old configuration is not
# used indefinitely.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Response;
use Test::Atls::Slow qw( patience );

use constant TIMEOUT => 5;

my $t = Test::Atls->new();

$t->write_http(<<"EOC");
%%CERTIFICATE%%

client_body_timeout @{[ TIMEOUT ]}s;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "answered\\n";
    }
}
EOC

$t->run();

my $c = $t->client();
my $plain = '';

$c->handshake() or die $c->error() . "\n";

my $answer = Test::Atls::Response->new(method => 'POST', on_body => sub {
    $c->tls_in($_[0]);
    $plain .= $c->read_plain();
});

my $s = http_connect($t->port(0));

send_all($s, $c->format_post('', 'Content-Length' => 1_000_000));

ok(get(), 'a request');

$t->reload() or die "reload refused\n";

ok(get(), 'one after the reload');

my $until = time + 10 * TIMEOUT;

sleep 0.2 while time < $until && get();

ok($c->closed(), 'then the session ends');
like($plain, qr!answered\n\z!, 'requests are answered whole');

$t->done_testing();


# Sends another request.  Returns false if there is no response.

sub get {
    my $have = length $plain;
    my $until = time + patience();

    $c->write_plain(Test::Atls::Client::format_request('GET', '/', ''));
    send_all($s, $c->tls_out()) or return 0;

    until (length $plain > $have || $c->closed() || time > $until) {
        next unless readable($s, 0.1);
        sysread $s, my $bytes, 65536 or last;
        $answer->feed($bytes);
    }

    return length $plain > $have && !$c->closed();
}
