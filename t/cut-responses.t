#!/usr/bin/perl

# A close_notify indicates that a response without a length is complete.
# Therefore, it is not sent after an incomplete response: someone on the path
# can cut a response without a key, by half-closing a connection or by delaying
# others.  It is sent if nothing was cut.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Socket qw( SHUT_WR );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Duplex;
use Test::Atls::Echo;
use Test::Atls::Http qw( http_connect read_all send_all );
use Test::Atls::Response qw( parse_responses );

use constant { CLOSE_NOTIFY => 0, INTERNAL_ERROR => 80 };

my $t = Test::Atls->new(workers => 2, client => { keepalive => 0 });

$t->write_http(<<'EOC');
%%CERTIFICATE%%

lingering_timeout 1s;
proxy_buffering off;
proxy_http_version 1.1;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location = /.well-known/atls {
        atls on;
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/slow?n=1000;
    }

    location = /hang {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /early {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_request_buffering off;
        send_timeout 1s;
    }

    location /late/post_action {
        proxy_pass http://127.0.0.1:%%PORT_3%%;
        proxy_request_buffering off;
        client_body_timeout 3s;
        post_action /done;
    }

    location /done {
        return 200;
    }

    location /late/tunnel {
        proxy_pass http://127.0.0.1:%%PORT_2%%;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_read_timeout 3s;
    }

    location /denied {
        deny all;
        access_log %%TESTDIR%%/access.log;
    }

    location /late {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        client_body_timeout 1s;
        access_log %%TESTDIR%%/access.log;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
Test::Atls::Echo->start($t, $t->port(2));
$t->run_daemon(\&answer_in_part, port => $t->port(3));

for my $protocol ('TLSv1.2', 'TLSv1.3') {
    half_closed($protocol);
    half_closed($protocol, 'raw');
    unanswered($protocol);
}

parked();
post_action();
tunnel();
whole();

late('a body to discard', '/denied', ' 403 Forbidden');
late('100 Continue', '/late', ' 100 Continue', 'Expect: 100-continue');

left_behind('the half of a body', ' 200 OK');
left_behind('100 Continue', ' 200 OK, 100 Continue', 'Expect: 100-continue');

$t->done_testing();


sub ended {
    my ($c, $name) = @_;

    ok(!$c->closed(), "$name: no close_notify");
    is_deeply([ $c->alerts() ], [ INTERNAL_ERROR ], "$name: an alert");
}


# The client's side of the connection is closed within a response.  With a raw
# payload, the client has already sent close_notify.

sub half_closed {
    my ($protocol, $raw) = @_;

    my $uri = $raw ? '/raw' : '/.well-known/atls';
    my $c = $t->established(protocol => $protocol, uri => $uri);

    $c->write_plain("GET /slow?n=1000 HTTP/1.0\r\nHost: localhost\r\n\r\n");
    $c->tls_shutdown() if $raw;

    my $bytes = $c->tls_out();
    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post($bytes));

    my $got = '';

    # more than the header: a record

    while ($got !~ /\r\n\r\n.{100}/s) {
        sysread $s, $got, 65536, length $got or last;
    }

    shutdown $s, SHUT_WR;

    my ($r) = parse_responses($got . read_all($s), 'POST');

    $c->tls_in($r->body());

    my $name = $raw ? "$protocol, $raw" : $protocol;

    like($c->read_plain(), $raw ? qr/^line \d/
                           : qr!^HTTP/1\.1 200 .*Connection: close\r\n!s,
         "$name: the response began");
    ended($c, $name);
}


# With a raw payload, the response may be empty, but here there is none.

sub unanswered {
    my ($protocol) = @_;

    my $c = $t->established(protocol => $protocol, uri => '/hang');

    $c->write_plain('payload');
    $c->post_send($c->tls_out());
    $t->wait_for(sub { $backend->requests() > 0 });
    shutdown $c->http_client()->{socket}, SHUT_WR;

    my $r = $c->post_receive();

    $c->tls_in($r ? $r->body() : '');
    is($c->read_plain(), '', "$protocol, unanswered: no answer");
    ended($c, "$protocol, unanswered");
    $backend->forget();
}


# The rest of a request is late, and the response has begun.

sub parked {
    my $c = $t->established();

    $c->request("PUT /early HTTP/1.0\r\nHost: localhost\r\n"
                . "Content-Length: 10\r\n\r\n12345");

    $t->wait_for_log(qr/timed out.*PUT \/early/);

    $c->request('67890');
    ended($c, 'parked');
}


# The subrequest of post_action does not complete the response.

sub post_action {
    my $c = $t->established();
    my $d = Test::Atls::Duplex->new($c);

    $d->send("PUT /late/post_action HTTP/1.0\r\nHost: localhost\r\n"
             . "Content-Length: 10\r\n\r\n12345");
    ok($d->expect(qr/\r\n\r\npart/), 'post_action: the response began');
    ok($d->expect_end(), 'post_action: the POST is answered');
    ended($c, 'post_action');
}


sub answer_in_part {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       LocalPort => $t->port(3), Listen => 8,
                                       ReuseAddr => 1) or die "$!\n";

    while (my $s = $listen->accept()) {
        my $got = '';

        while (sysread $s, $got, 4096, length $got) {
            send_all($s, "HTTP/1.1 200 OK\r\n\r\npart")
                if $got =~ s/.*\r\n\r\n//s;
        }

        close $s;
    }
}


# The backend has sent something, and then nothing until the timeout.

sub tunnel {
    my $c = $t->established();

    like($c->request("GET /late/tunnel HTTP/1.1\r\nHost: localhost\r\n"
                     . "Connection: upgrade\r\nUpgrade: echo\r\n\r\n"),
         qr!^HTTP/1\.1 101 !, 'tunnel: 101');

    $t->write_file('late', '');
    $t->wait_for_log(qr/timed out.*GET \/late\/tunnel/);

    is($c->request('x'), '', 'tunnel: nothing more came');
    ended($c, 'tunnel');
}


sub whole {
    my $c = $t->established();

    $c->request("GET /slow?n=1 HTTP/1.0\r\nHost: localhost\r\n\r\n");
    ok($c->closed(), 'a whole response: close_notify');
}


# The rest of a request is late, and there is a complete response, or none.

sub late {
    my ($name, $uri, $said, @fields) = @_;

    my $c = $t->established();

    is(said($c->request(half($uri, @fields))), $said, "$name, late: what came");
    $t->wait_for(sub { $t->read_file('access.log') =~ /PUT $uri / });
    $c->request('67890');
    close_notify($c, "$name, late");
}


# A worker that quits responds to the parked request, and does not wait for the
# rest of another one.

sub left_behind {
    my ($name, $said, @fields) = @_;

    my $c = $t->established();

    $c->request(half('/first'));
    $t->reload();

    is(said($c->request('67890' . half('/second', @fields))), $said,
       "$name, left behind: what came");
    close_notify($c, "$name, left behind");
}


sub half {
    my ($uri, @fields) = @_;

    return join "\r\n", "PUT $uri HTTP/1.1", 'Host: localhost',
                        'Content-Length: 10', @fields, '', '12345';
}


# Returns the status lines.

sub said { return join ',', $_[0] =~ m!^HTTP/1\.1( .*)\r$!mg }


sub close_notify {
    my ($c, $name) = @_;

    is_deeply([ $c->alerts() ], [ CLOSE_NOTIFY ], "$name: close_notify");
}
