#!/usr/bin/perl

# A POST is cut before it was answered, by someone who tells the client that it
# was served.  The next data of the client must not be interpreted as anything
# else than the rest.  If any of it was used, the session ends.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;

use constant ROUNDS => 6;       # so that some are relayed

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format both "$atls $request_method $request_uri $status";

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    access_log %%TESTDIR%%/access.log both;

    location = /.well-known/atls {
        atls on;
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/hang;
    }

    location = /unbuffered {
        proxy_pass http://127.0.0.1:%%PORT_1%%/hang;
        proxy_request_buffering off;
        proxy_http_version 1.1;
    }

    location = /patient {
        proxy_pass http://127.0.0.1:%%PORT_1%%/hang;
        proxy_ignore_client_abort on;
        proxy_read_timeout 1s;
    }

    location /served {
        return 200 "served\n";
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));

my ($protocol, $c);

for (qw( TLSv1.3 TLSv1.2 )) {
    $protocol = $_;

    in_a_pipeline($_) for 1 .. ROUNDS;
    whole_request('/hang', 'a request');
    whole_request('/patient', 'a request that goes on');
    answered_in_part();
    raw();
    in_a_record();
}

$t->done_testing();


sub client {
    my ($uri) = @_;

    $backend->forget();
    $c = $t->established(protocol => $protocol, keepalive => 0,
                         uri => $uri || '/.well-known/atls');
}


sub get {
    return Test::Atls::Client::format_request('GET', $_[0], '');
}


sub backend_has {
    my ($what, $n) = @_;

    return (grep { $_->{line} =~ $what } $backend->requests()) >= ($n || 1);
}


sub posts {
    my $log = $t->read_log('access.log');

    return scalar(() = $log =~ m!^\S* POST /(?:\.well-known/atls|raw) !mg);
}


# Sends a POST, waits for the condition, and closes the connection.

sub cut {
    my ($plain, $condition, $bytes) = @_;

    my $posts = posts();

    $c->write_plain($plain) if defined $plain;
    $c->post_send(defined $bytes ? $bytes : $c->tls_out());
    $t->wait_for($condition, 10);
    $c->http_client()->close();
    $t->wait_for(sub { posts() > $posts }, 10)
        or diag('the POST is not over');
}


sub refused {
    my ($r, $name) = @_;

    ok(!$r, "$protocol, $name: no answer")
        or diag($r->status() . ' ' . $r->body());
    is($c->error(), 'HTTP 410', "$protocol, $name: the session is gone");
}


# The beginning of an upload is lost: its rest is not a request.  In every
# second round, another request of the session was parked in a worker before.

sub in_a_pipeline {
    my ($round) = @_;

    my $evil = get('/smuggled');
    my $start = get('/hang')
                . "POST /upload HTTP/1.1\r\nHost: localhost\r\n"
                . 'Content-Length: ' . (20 + length $evil) . "\r\n\r\n"
                . 'x' x 20;

    client();

    my $parked = $round % 2;
    $c->request("GET /served HTTP/1.1\r\nHo") if $parked;

    cut(($parked ? "st: localhost\r\n\r\n" : '') . $start,
        sub { backend_has(qr!^GET /hang !) });

    refused($c->http($evil), "pipeline, round $round");

    $t->read_log('access.log');
    unlike($t->read_file('access.log'), qr/smuggled/,
           "$protocol, pipeline, round $round: nothing smuggled");
    ok(!backend_has(qr/smuggled/),
       "$protocol, pipeline, round $round: nor at the backend");
}


# A whole request is lost: the next response is not taken for its response.

sub whole_request {
    my ($uri, $name) = @_;

    client();
    cut(get($uri), sub { backend_has(qr!^GET /hang !) });

    my $r = $c->http(get('/served'));
    ok(!$r, "$protocol, $name: no answer")
        or diag($r->status() . ' ' . $r->body());

    # a part of the response is missing

    like($c->error(), $uri eq '/hang' ? qr/^HTTP 410$/ : qr/record mac/,
         "$protocol, $name: the client knows");
}


# The client has received a part of the response.

sub answered_in_part {
    client();
    cut(get('/slow?n=1000&delay=0.05'),
        sub { backend_has(qr!^GET /slow!) });
    refused($c->http(get('/served')), 'an answer in part');
}


sub raw {
    client('/raw');
    cut('message 1', sub { backend_has(qr!^POST /hang !) });

    $c->write_plain('message 2');
    my $r = $c->post($c->tls_out());

    is($r && $r->status(), 410, "$protocol, raw: the session is gone");
    $t->read_log('access.log');
    is(scalar(grep { $_->{first} =~ /message 2/ } $backend->requests()), 0,
       "$protocol, raw: no second message");
    is(scalar(grep { $_->{first} =~ /message 1/ } $backend->requests()), 1,
       "$protocol, raw: the first one");
}


# Within a record, of a body with a greater length.

sub in_a_record {
    client();

    my $posts = posts();

    $c->write_plain(get('/served'));
    my $record = $c->tls_out();

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $t->port(0)) or die "$!\n";
    print $s $c->format_post(substr($record, 0, 20),
                             'Content-Length' => length $record);
    $s->flush();
    close $s;

    $t->wait_for(sub { posts() > $posts }, 10);

    my $r = $c->post(substr $record, 20);
    ok($r && $r->status() != 200 || $c->closed() || $r->body() ne '',
       "$protocol, in a record: the rest alone is no record");
    unlike($r ? $r->body() : '', qr/served/,
           "$protocol, in a record: not served");
}
