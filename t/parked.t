#!/usr/bin/perl

# Parked requests use connections of the worker.  A client cannot use all of
# them, and if none is left, a POST is refused without affecting its session.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Http qw( http_connect read_all send_all );
use Test::Atls::Response qw( parse_responses );

use constant {
    CONNECTIONS => 128,
    PARKED      => 32,          # a quarter of the connections
};

my $t = Test::Atls->new(workers => 1);

$t->write_http(<<"EOC", events => "worker_connections @{[ CONNECTIONS ]};");
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "answered \$uri\\n";
    }
}
EOC

$t->run();

bounded();
exhausted();

$t->done_testing();


sub answer {
    my ($c) = @_;

    my ($r) = parse_responses($c->request("st: localhost\r\n\r\n"), 'GET');

    return $r ? $r->body() : $c->closed() ? 'closed' : $c->error();
}


# Twice as many requests as can be parked, over one TCP connection at a time.

sub bounded {
    my $idle = $t->established(keepalive => 0);
    my @c;

    for my $n (1 .. 2 * PARKED) {
        push @c, $t->established(keepalive => 0);

        # some have a complete response, but not all of the request body

        $c[-1]->request($n % 8 == 1 && $n <= PARKED
                        ? "PUT /$n HTTP/1.1\r\nHost: localhost\r\n"
                          . "Content-Length: 100\r\n\r\nthe start"
                        : "GET /$n HTTP/1.1\r\nHo");
    }

    my $plain = http_raw($t->port(0), "GET /x HTTP/1.0\r\n\r\n");
    like($plain, qr/answered/, 'others are served over plain HTTP');

    my $r = $idle->get('/idle');
    is($r && $r->body(), "answered /idle\n", 'and in their sessions');

    my %oldest = map { $_ => 1 } map { answer($_) } @c[0 .. PARKED - 1];
    is(join(' ', keys %oldest), 'closed',
       'the oldest have ended, with close_notify');

    is(join('', map { answer($_) } @c[PARKED .. 2 * PARKED - 1]),
       join('', map { "answered /$_\n" } PARKED + 1 .. 2 * PARKED),
       'the others go on');

    like($t->read_log('error.log'),
         qr/\[warn\] .*atls too many parked requests: \d+, closing/,
         'the log tells of it');

    my @lines = $t->read_file('error.log')
                =~ /^(\S+ \S+ \[warn\] \d+)#.*too many parked/mg;
    my %seconds = map { $_ => 1 } @lines;

    is(scalar @lines, scalar keys %seconds, '... at most once a second');

    $r = $c[-1]->get('/last');
    is($r && $r->body(), "answered /last\n", 'also with another request');
}


# All connections are used by clients with half a header.  Two POSTs without
# their bodies were received before.

sub exhausted {
    my @c = map { $t->established(keepalive => 0) } 1 .. 3;
    my @s;

    $c[1]->request("GET /parked HTTP/1.1\r\nHo");

    my @bytes = map { $_->tls_out() }
                map { $c[$_->[0]]->write_plain($_->[1]); $c[$_->[0]] }
                [ 0, Test::Atls::Client::format_request('GET', '/first', '') ],
                [ 1, "st: localhost\r\n\r\n" ];
    my @posts = map { head($c[$_], length $bytes[$_]) } 0, 1;

    $t->read_log('error.log');
    $t->allow_log(qr/\[alert\] .* worker_connections are not enough/);

    # connections without any bytes are closed to make room for others

    $t->wait_for(sub {
        my $refused = refused();

        for (1 .. 16) {
            push @s, http_connect($t->port(0));
            send_all($s[-1], "GET / HTTP/1.1\r\nHo");
        }

        return refused() == $refused + 16;
    }, 60);

    my $r = body($posts[0], $bytes[0]);
    is($r && $r->status(), 503, 'no connection is left: 503');
    is($r && $r->header('Retry-After'), 1, 'to be sent again');
    is($r && $r->header('Set-Cookie'), undef, 'the cookie stays');

    $r = body($posts[1], $bytes[1]);
    $c[1]->tls_in($r->body());
    like($c[1]->read_plain(), qr!answered /parked\n!,
         'one that has its connection is served');

    close $_ for @s;
    $t->read_log('error.log');

    $c[0]->exchange($bytes[0]);
    ($r) = parse_responses($c[0]->read_plain(), 'GET');
    is($r && $r->body(), "answered /first\n", 'the same POST, later');

    $r = $c[2]->get('/third');
    is($r && $r->body(), "answered /third\n", 'another session goes on');
}


sub refused {
    return scalar(() = $t->read_log('error.log')
                       =~ /worker_connections are not enough/g);
}


sub head {
    my ($c, $length) = @_;

    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post('', 'Content-Length' => $length,
                                 Connection => 'close'));

    return $s;
}


sub body {
    my ($s, $bytes) = @_;

    send_all($s, $bytes);

    my ($r) = parse_responses(read_all($s), 'POST');

    return $r;
}
