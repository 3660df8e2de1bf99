#!/usr/bin/perl

# If the response has begun before the session ends, the cookie cannot be
# expired.  The end is indicated by TLS, and the next POST is answered with 410,
# which expires the cookie.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Forge;
use Test::Atls::Http qw( send_all );
use Test::Atls::Serve qw( read_request serve );

my $SLOW = '/gate';

my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    client_max_body_size 1k;

    location = /atls {
        atls on;
        client_max_body_size 100k;
    }

    location = /short {
        atls on;
        client_max_body_size 100k;
        atls_session_lifetime 3s;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_buffering off;
    }

    location = /gate {
        proxy_pass http://127.0.0.1:%%PORT_2%%;
        proxy_http_version 1.1;
        proxy_buffering off;
    }

    location /last/ {
        keepalive_requests 1;
        proxy_pass http://127.0.0.1:%%PORT_2%%/;
        proxy_http_version 1.1;
        proxy_buffering off;
    }

    location /silent/ {
        proxy_read_timeout 3s;
        proxy_pass http://127.0.0.1:%%PORT_1%%/;
        proxy_http_version 1.1;
        proxy_buffering off;
    }
}
EOC

# name => the request, and the alert in the response

my %ENDS = (
    'close_notify' => [ get($SLOW), 'close_notify',
                        behind => sub { $_[0]->tls_shutdown() } ],
    'a forged record' => [ get($SLOW), 20,
                           bytes => "\x17\3\3\0\x30" . 'x' x 48 ],
    'a header that is none' => [ get($SLOW), 10,
                                 bytes => "\x14\3\3\0\x20" . 'x' x 32 ],
    'Connection: close' => [ get($SLOW, 'Connection: close'),
                             'close_notify' ],
    'HTTP/1.0' => [ "GET $SLOW HTTP/1.0\r\nHost: localhost\r\n\r\n",
                    'close_notify' ],
    'the last request' => [ get("/last$SLOW"), 'close_notify' ],
    'no request' => [ get($SLOW) . "no request\r\n\r\n", 'close_notify' ],
    'a request that is too large'
        => [ get($SLOW) . "PUT /x HTTP/1.1\r\nHost: localhost\r\n"
             . "Content-Length: 5000\r\n\r\n" . 'x' x 5000, 'close_notify' ],
    'a response that is cut' => [ get($SLOW) . get('/die'), 'close_notify' ],
    'a service that is silent'
        => [ get('/silent/slow?n=2&delay=5'), 'close_notify' ],
    'the lifetime' => [ get('/slow?n=8&delay=0.5'), 'close_notify',
                        uri => '/short' ],
);

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

$t->run_daemon(\&gate, port => $t->port(2));

for my $protocol (@PROTOCOLS) {
    ends("$protocol, $_", $protocol, @{$ENDS{$_}}) for sort keys %ENDS;
}

ends('a fatal alert', 'TLSv1.3', get($SLOW), 'nothing',
     forge => Test::Atls::Forge->new());

$t->done_testing();


sub get {
    my ($uri, @headers) = @_;

    return join "\r\n", "GET $uri HTTP/1.1", 'Host: localhost', @headers, '',
                        '';
}


# A service that ends its response when the file "go" exists: the client has
# received the beginning.

sub gate {
    serve($t->port(2), sub {
        my ($s) = @_;

        while (my ($head) = read_request($s)) {
            send_all($s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                         . "\r\n7\r\nline 1\n\r\n");
            $t->wait_for(sub { -e $t->path('go') });
            send_all($s, "7\r\nline 2\n\r\n0\r\n\r\n");
        }
    });
}


# Seven tests.

sub ends {
    my ($name, $protocol, $plain, $said, %args) = @_;

    my $forge = $args{forge};
    my $c = $t->established(protocol => $protocol, uri => $args{uri} || '/atls',
                            keepalive => 0,
                            $forge ? $forge->client_args() : ());

    my $cookie = $c->cookie();

    if ($forge) {
        $args{bytes} = $forge->record(23, $plain)
                       . $forge->record(21, "\2\x50");

    } else {
        $c->write_plain($plain);
        $args{behind}->($c) if $args{behind};
    }

    unlink $t->path('go');

    my $body = '';
    my $r = $c->post($c->tls_out() . ($args{bytes} || ''), on_body => sub {
        $body .= $_[0];
        $t->write_file('go', '');
    });

    is($r && $r->status(), 200, "$name: the response");
    is($r->header('Content-Length'), undef, "$name: begins early");
    unlike($r->header('Set-Cookie') // '', qr/Max-Age=0/,
           "$name: and expires no cookie");

    $c->tls_in($body);
    like($c->read_plain(), qr/line 1/, "$name: has what was asked for");

    is(join(' ', $c->alerts()) || ($c->closed() ? 'close_notify' : 'nothing'),
       $said, "$name: what TLS says");

    # the close_notify of the client is too late

    $c->tls_shutdown() if $c->closed();
    $r = $c->post($c->tls_out() || '', cookie => "atls=$cookie");

    is($r->status(), 410, "$name: the next POST");
    like($r->header('Set-Cookie'), qr/^atls=;.*Max-Age=0/,
         "$name: expires the cookie");
}
