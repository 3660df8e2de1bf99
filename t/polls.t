#!/usr/bin/perl

# A POST without a body shows whether the session exists: it is answered with 200
# and no data, by any worker and in any state of the session, which continues.
# Only if the session has ended, it gets the final alert.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( http_raw );
use Test::Atls::Response qw( parse_responses );

my $ROUNDS = 3;         # so that some are relayed
my $TYPE = 'application/atls+octet-stream';

my $t = Test::Atls->new(workers => 3);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /atls {
        atls on;
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/body;
    }

    location / {
        return 200 "inner\n";
    }

    location = /early {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_request_buffering off;
    }

    location = /timed {
        client_body_timeout 1s;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

my $protocol;

for (@PROTOCOLS) {
    $protocol = $_;

    for (1 .. $ROUNDS) {
        half_open();
        half_open_in_record();
        idle();
        in_record();
        in_header();
        raw();
        early_answer();
        timed_out();
    }
}

without_session();

$t->done_testing();


sub client {
    return $t->client(uri => '/atls', keepalive => 0, protocol => $protocol,
                      @_);
}


sub established {
    my $c = client(@_);

    $c->handshake() or die $c->error() . "\n";

    return $c;
}


# Polls with empty responses.  One test.

sub nothing {
    my ($c, $name) = @_;

    my @got = map {
        my $r = $c->post('');
        $r->status() . ' ' . $r->body()
        . join '', map { " $_" } $r->header('Set-Cookie')
    } 1 .. 3;

    is(join(',', @got), '200 ,200 ,200 ', "$protocol, $name: nothing");
}


sub goes_on {
    my ($c, $name, $bytes) = @_;

    $c->exchange($bytes);

    my ($r) = parse_responses($c->read_plain());

    is($r && $r->body(), "inner\n", "$protocol, $name: and it goes on");
}


sub half_open {
    my $c = client();

    $c->handshake_step();
    $c->exchange($c->tls_out());
    nothing($c, 'half-open');

    $c->handshake();
    is($c->get('/')->body(), "inner\n", "$protocol, half-open: it goes on");
}


sub half_open_in_record {
    my $c = client();

    $c->handshake_step();
    $c->exchange($c->tls_out());
    $c->handshake_step();
    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if $protocol eq 'TLSv1.3';

    my $flight = $c->tls_out();

    $c->exchange(substr $flight, 0, 30, '');
    nothing($c, 'half-open, in a record');

    return goes_on($c, 'half-open, in a record', $flight)
        if $protocol eq 'TLSv1.3';

    $c->exchange($flight);
    $c->handshake_step();
    is($c->get('/')->body(), "inner\n",
       "$protocol, half-open, in a record: it goes on");
}


sub idle {
    my $c = established();

    nothing($c, 'idle');
    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    goes_on($c, 'idle', $c->tls_out());
}


sub in_record {
    my $c = established();

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    my $record = $c->tls_out();

    $c->exchange(substr $record, 0, 9, '');
    nothing($c, 'in a record');
    goes_on($c, 'in a record', $record);
}


sub in_header {
    my $c = established();

    $c->request("GET / HTTP/1.1\r\nHo");
    nothing($c, 'in a header');
    $c->write_plain("st: localhost\r\n\r\n");
    goes_on($c, 'in a header', $c->tls_out());
}


# A poll is not an inner request.

sub raw {
    my $c = established(uri => '/raw');

    nothing($c, 'raw');
    is($c->request('payload'), 'payload', "$protocol, raw: and it goes on");
}


# The response to a request whose body is not complete: for the client only.

sub early_answer {
    my $c = established();
    my $got = $c->request("POST /early HTTP/1.1\r\nHost: localhost\r\n"
                          . "Content-Length: 2000\r\n\r\n0123456789");

    ok($t->wait_for(sub {
           nothing($c, 'an early answer') if $got eq '';
           $got .= $c->request('x');
           return $got =~ /\nearly\n\z/ || $c->closed();
       }), "$protocol, an early answer: comes with a record");

    my ($r) = parse_responses($got, 'POST');

    is($r && $r->body(), "early\n", "$protocol, an early answer: whole");
    is($c->error(), '', "$protocol, an early answer: in order");
}


# The output of nginx when the rest of a request has timed out.

sub timed_out {
    my $c = established();
    my $cookie = $c->cookie();

    $c->request("POST /timed HTTP/1.1\r\nHost: localhost\r\n"
                . "Content-Length: 20\r\n\r\n0123456789");

    ok($t->wait_for(sub {
           $c->exchange('');
           $c->read_plain();
           return $c->closed();
       }), "$protocol, time is up: a poll has the close_notify");

    is($c->cookie(), undef, "$protocol, time is up: the cookie expires");
    is($c->post('', cookie => "atls=$cookie")->status(), 410,
       "$protocol, time is up: the session is gone");
}


# A POST without a length or with an empty chunked body is empty, too.

sub without_session {
    undef $protocol;

    my $c = established();
    my $cookie = $c->cookie();

    for my $line ('X: y', 'Content-Length: 0',
                  "Transfer-Encoding: chunked\r\n\r\n0")
    {
        for my $known (1, 0) {
            my ($r) = parse_responses(http_raw($t->port(0), join("\r\n",
                'POST /atls HTTP/1.1', 'Host: localhost', 'Connection: close',
                "Content-Type: $TYPE", $known ? "Cookie: atls=$cookie" : 'Z: z',
                $line, '', '')));

            is($r && $r->status(), $known ? 200 : 400,
               'empty: ' . ($line =~ s/\s+/ /gr) . ", session:$known");
        }
    }
}
