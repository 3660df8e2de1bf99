#!/usr/bin/perl

# Polls use connections of the worker.  Their number is limited as that of other
# parked requests, and a session has one at a time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Echo;
use Test::Atls::Http qw( http_raw read_response readable );
use Test::Atls::Slow qw( patience );

use constant {
    CONNECTIONS => 128,
    PARKED      => 32,          # a quarter of the connections
    THIEVES     => 200,
};

my $t = Test::Atls->new(workers => 1);

$t->write_http(<<'EOC', events => "worker_connections @{[ CONNECTIONS ]};");
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
        atls_poll_timeout 600s;
    }

    location = /plain {
        return 200 "plain\n";
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_read_timeout 600s;
    }
}
EOC

$t->run();

Test::Atls::Echo->start($t, $t->port(1));

bounded();
thieves();

$t->done_testing();


sub upgraded {
    my ($n) = @_;

    my $c = $t->established(keepalive => 0, timeout => patience());

    like($c->request("GET /echo?n=$n HTTP/1.1\r\nHost: localhost\r\n"
                     . "Upgrade: echo\r\nConnection: upgrade\r\n\r\n"),
         qr!\AHTTP/1\.1 101 !, "$n: upgraded");
    is($c->post('')->body(), '', "$n: a first poll, which does not wait");

    return $c;
}


# With more polls than requests can be parked, the oldest sessions end.

sub bounded {
    my $more = PARKED / 4;
    my (@c, @s);

    for (1 .. PARKED + $more) {
        push @c, upgraded($_);
        push @s, $c[-1]->begin_post('');

        # the poll is received before the next one
        http_raw($t->port(0), "GET /plain HTTP/1.0\r\n\r\n");
    }

    for (0 .. $more - 1) {
        my $got = $c[$_]->end_post($s[$_]);

        is(join(',', $c[$_]->alerts()), 80,
           'the poll of an old session ends, with internal_error')
            or diag($got);
    }

    ok(!(grep { readable($_, 0) } @s[$more .. $#s]), 'the others wait');
    like(http_raw($t->port(0), "GET /plain HTTP/1.0\r\n\r\n"), qr/^plain$/m,
         'there are connections for others');
    like($t->read_log('error.log'),
         qr/\[warn\] .*atls too many parked requests: \d+, closing/, 'log');

    $_->close_notify() for @c[$more .. $#c];
    is(join(' ', map { my $r = read_response($_); $r ? $r->status() : 'none' }
                     @s[$more .. $#s]),
       join(' ', (200) x PARKED), 'they end with their sessions');
}


# Somebody with the cookie polls as often as possible.

sub thieves {
    my $c = upgraded('thieves');
    my @s = map { $c->begin_post('') } 1 .. THIEVES / 10;
    my @left;

    for (1 .. THIEVES) {
        push @s, $c->begin_post('');
        read_response(shift @s) or fail("poll $_");
    }

    # each has ended the one before, so one is left

    $t->wait_for(sub { 1 == (@left = grep { !readable($_, 0) } @s) });
    is(scalar @left, 1, 'one of them waits');

    my $got = $c->request("data\n");
    is(read_response($left[0])->status(), 200, 'data of the client end it');
    $got .= $c->end_post($c->begin_post('')) =~ s/^200 //r if $got eq '';
    is($got, "data\n", 'and get their echo');
    $c->close_notify();
}
