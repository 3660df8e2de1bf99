#!/usr/bin/perl

# A client that does not read its response: the worker waits until send_timeout,
# without using CPU time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( http_connect send_all );
use Test::Atls::Process qw( asleep );

my $t = Test::Atls->new(workers => 1);


Test::Atls::Backend->start($t, $t->port(1));

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_buffering off;
    }

    location = /.well-known/atls {
        atls on;
        send_timeout 2s;
    }

    location = /limited {
        atls on;
        limit_rate 1k;
    }
}
EOC

$t->run();

my ($worker) = $t->workers();


# in clock ticks

sub cpu {
    my @fields = split ' ', $t->read_file("/proc/$worker/stat") =~ s/.*\) //r;

    return $fields[11] + $fields[12];
}


# Requests a large file, and does not read the response.

sub ask {
    my ($uri, $what) = @_;

    my $c = $t->established(uri => $uri);
    $c->write_plain(Test::Atls::Client::format_request('GET', $what, ''));

    my $record = $c->tls_out();
    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post($record));

    return $s;
}


{
    my $s = ask('/.well-known/atls', '/big?size=16000000');

    ok($t->wait_for_log(qr/client timed out/), 'send_timeout');
}

{
    my $s = ask('/limited', '/big?size=16000000');

    ok($t->wait_for(sub { asleep($worker) }, 30), 'limit_rate: waits');

    # there are some timers once a second

    my $before = cpu();
    select undef, undef, undef, 2;
    cmp_ok(cpu() - $before, '<', 50, 'and does not work');
}

$t->done_testing();
