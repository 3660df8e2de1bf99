#!/usr/bin/perl

# keepalive_min_timeout, since nginx 1.27.4: a connection between two requests
# is not idle to core until then, but its session goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_connect readable send_all );

my $t = Test::Atls->new(workers => 1);

plan(skip_all => 'no keepalive_min_timeout') unless $t->has_version('1.27.4');

$t->write_http(<<'EOC');
%%CERTIFICATE%%

keepalive_timeout 1h;
keepalive_min_timeout 1h;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
        return 200 "$atls_session_id $atls_session_requests\n";
    }
}
EOC

$t->run();

my $request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

posts();
quits();
drains();

$t->done_testing();


sub posts {
    my $c = $t->established();

    my ($id) = split ' ', $c->get('/')->body();

    is(answers($c, $request), "$id 2", 'the next POST');
    is(answers($c, $request x 2), "$id 3, $id 4", 'one with two requests');
    is(answers($c, $request), "$id 5", 'the next one');

    is($c->error(), '', 'no error');
}


sub answers {
    my ($c, $plain) = @_;

    return join ', ', $c->request($plain) =~ /^(\w+ \d+)$/mg;
}


# The worker quits between two requests of a POST.

sub quits {
    my $c = $t->established();
    my ($worker) = $t->workers();

    $c->write_plain($request);
    my $first = $c->tls_out();

    $c->write_plain($request);
    my $rest = $c->tls_out();

    my $s = $c->http_client()->{socket} = http_connect($t->port(0));

    send_all($s, $c->format_post($first,
                                 'Content-Length' => length $first . $rest));

    ok(readable($s, 30), 'the first request is answered');

    reload($worker);

    send_all($s, $rest);
    $c->tls_in($c->post_receive()->body());

    my ($id, @numbers)
        = map { split } $c->read_plain() =~ /^(\w+ \d+)$/mg;
    is("@numbers", "1 $id 2", 'both are');

    is(answers($c, $request), "$id 3", 'the session goes on');
    is($c->error(), '', 'without an error');
}


# A request that waits for the next POST is completed, but another one does not
# wait in a worker that quits.

sub drains {
    my $c = $t->established(keepalive => 0);
    my ($worker) = $t->workers();

    is(answers($c, "GET / HTTP/1.1\r\nHo"), '', 'a part of a request');

    reload($worker);

    like(answers($c, "st: a\r\n\r\nGET / HTTP/1.1\r\nHo"), qr/^\w+ 1$/,
         'the rest, and a part of another one');
    ok($c->closed(), 'the session ends');
    ok($t->wait_for(sub { !-e "/proc/$worker" }, 30), 'and so does the worker');
}


sub reload {
    my ($worker) = @_;

    ok($t->reload(), 'reload');
    $t->wait_for(sub {
        $t->read_file("/proc/$worker/cmdline") =~ /shutting down/
    }, 30);
}
