#!/usr/bin/perl

# A body without a length, which exceeds client_max_body_size while it is read,
# with and without a relay.  If the response has not begun, it is 413.
# Otherwise, it is terminated, with an alert.  The session ends, unless no record
# of the body was processed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Elsewhere qw( connect_to );
use Test::Atls::Http qw( readable send_all );
use Test::Atls::Http2Stream;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response;
use Test::Atls::Slow qw( patience );

my $TYPE = 'application/atls+octet-stream';
my $LIMIT = 200_000;

my $t = Test::Atls->new(workers => 2);

my $h2 = $t->has_option('http_v2_module');
my $listen = $h2 ? "listen 127.0.0.1:@{[ $t->port(2) ]} http2;" : '';

# sessions that go on may have an unfinished request

$t->write_http(<<"EOC", main => 'worker_shutdown_timeout 1s;');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    $listen

    location = /atls {
        atls on;
        client_max_body_size $LIMIT;
        add_header X-Pid \$pid always;
        add_header X-Upstream \$upstream_addr always;
    }

    location / {
        client_max_body_size 0;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_request_buffering off;
        proxy_http_version 1.1;
    }
}
EOC

my %STATES = ('idle' => \&idle, 'in a request' => \&resident);

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

for my $elsewhere (0, 1) {
    for my $state (sort keys %STATES) {
        my $name = $state . ($elsewhere ? ', at another worker' : '');

        at_once($name, $state, $elsewhere);
        in_pieces($name, $state, $elsewhere);
        answered($name, $state, $elsewhere);
    }
}

announced($_) for sort keys %STATES;
length_known();

if ($h2) {
    over_http2($_) for sort keys %STATES;
}

$t->done_testing();


sub idle {
    return $t->established(uri => '/atls', keepalive => 0);
}


sub resident {
    my ($request) = @_;

    my $c = idle();

    $c->request(($request || 'GET /first') . " HTTP/1.1\r\n");

    return $c;
}


# What the session sends: an upload, or a request and an upload.

sub upload {
    my ($c, $state) = @_;

    $c->write_plain(($state eq 'idle' ? "POST /upload HTTP/1.1\r\n" : '')
                    . "Host: localhost\r\nContent-Length: 400000\r\n\r\n");

    my $head = $c->tls_out();

    $c->write_plain(pattern(400_000));

    return ($head, $c->tls_out());
}


sub requests {
    my ($c, $state) = @_;

    $c->write_plain(($state eq 'idle' ? "GET /first HTTP/1.1\r\n" : '')
                    . "Host: localhost\r\n\r\n");

    my $first = $c->tls_out();

    return ($first, join '', upload($c, 'idle'));
}


# Begins a POST in the worker of the session, or in the other one.

sub begin {
    my ($c, $elsewhere) = @_;

    my $owner = $c->last_response()->header('X-Pid');
    my ($other) = grep { $_ != $owner } $t->workers();
    my $s = connect_to($t, $elsewhere ? $other : $owner,
                       "POST /atls HTTP/1.1\r\n", port => $t->port(0));

    send_all($s, join "\r\n", 'Host: localhost', "Content-Type: $TYPE",
                 'Cookie: atls=' . $c->cookie(),
                 'Transfer-Encoding: chunked', '', '');

    return $s;
}


sub chunk { sprintf "%x\r\n%s\r\n", length $_[0], $_[0] }


sub receive {
    my ($s, $r, $enough) = @_;

    until ($r->done() || $enough && $enough->()) {
        my $n = readable($s, patience()) && $s->sysread(my $buf, 65536);

        if (!$n) {
            $r->eof();
            last;
        }

        $r->feed($buf);
    }

    return $r;
}


# Six tests.  The session has ended if its first record was processed before.

sub refused {
    my ($name, $c, $cookie, $r, $begun) = @_;

    is($r->status(), 413, "$name: 413");

    my $problem = eval { decode_json($r->body()) } || {};

    is($problem->{type}, 'tag:atls,2026:too-large', "$name: the problem");
    is($r->header('Content-Type'), 'application/problem+json',
       "$name: its type");
    is($r->header('Cache-Control'), 'no-store', "$name: not to be stored");
    is(join(' ', $r->header('Set-Cookie')),
       $begun ? 'atls=; Path=/atls; HttpOnly; Max-Age=0' : '',
       "$name: the cookie");
    is($c->post('', cookie => "atls=$cookie")->status(), $begun ? 410 : 200,
       "$name: the session");
}


# In one chunk.

sub at_once {
    my ($name, $state, $elsewhere) = @_;

    my $c = $STATES{$state}->('POST /upload');
    my $cookie = $c->cookie();
    my $s = begin($c, $elsewhere);

    send_all($s, chunk(join '', upload($c, $state)));

    # a chunk that is relayed is received in smaller ones

    refused("$name, at once", $c, $cookie,
            receive($s, Test::Atls::Response->new(method => 'POST')),
            $state eq 'in a request' && $elsewhere);
}


# The inner request has begun, and there is no response yet.

sub in_pieces {
    my ($name, $state, $elsewhere) = @_;

    my $c = $STATES{$state}->('POST /upload');
    my $cookie = $c->cookie();
    my ($head, $body) = upload($c, $state);
    my $s = $t->hold_session(sub {
        my $s = begin($c, $elsewhere);

        send_all($s, chunk($head));
        return $s;
    }, sub { $c->post('', cookie => "atls=$cookie")->status() });

    send_all($s, chunk($_)) for unpack '(a3000)*', $body;

    refused("$name, in pieces", $c, $cookie,
            receive($s, Test::Atls::Response->new(method => 'POST')), 1);
}


# Only the size of the chunk is sent: nginx checks it after the first byte.

sub announced {
    my ($state) = @_;

    my $c = $STATES{$state}->();
    my $cookie = $c->cookie();
    my $s = begin($c, 0);

    send_all($s, sprintf "%x\r\nx", $LIMIT + 1);

    refused("$state, announced", $c, $cookie,
            receive($s, Test::Atls::Response->new(method => 'POST')));
}


# The response has begun.

sub answered {
    my ($name, $state, $elsewhere) = @_;

    $name .= ', answered';

    my $c = $STATES{$state}->();
    my $cookie = $c->cookie();
    my $s = begin($c, $elsewhere);
    my ($first, $rest) = requests($c, $state);
    my $plain = '';
    my $r = Test::Atls::Response->new(method => 'POST', on_body => sub {
        $c->tls_in($_[0]);
        $plain .= $c->read_plain();
    });

    send_all($s, chunk($first) . chunk(substr $rest, 0, 50_000, ''));
    receive($s, $r, sub { $plain =~ /length 0/ });

    is($r->status(), 200, "$name: the response begins");
    like($plain, qr!^GET /first !m, "$name: with the first answer");
    ok(!$r->done(), "$name: and goes on");

    send_all($s, chunk($rest));
    receive($s, $r);

    ok($r->done() && !$r->{until_eof}, "$name: the response is whole");
    is(join(' ', $c->alerts()), 80, "$name: with an alert at its end");
    ok(!readable($s, 0) || !sysread($s, my $buf, 1), "$name: and nothing else");
    unlike($r->header('Set-Cookie') // '', qr/Max-Age=0/,
           "$name: the cookie could not expire");
    is($c->post('', cookie => "atls=$cookie")->status(), 410,
       "$name: the session is gone");
}


# With Content-Length, the body is not read, and nginx itself responds.

sub length_known {
    my $c = idle();
    my $r = $c->post('x' x ($LIMIT + 1));

    is($r->status(), 413, 'a known length: 413');
    like($r->header('Content-Type'), qr!^text/html!, "a known length: nginx's");
    is($r->header('Set-Cookie'), undef, 'a known length: the cookie stays');
    like($c->get('/')->body(), qr!^GET / !, 'a known length: and the session');
}


# With HTTP/2, the length is optional.

sub over_http2 {
    my ($state) = @_;

    my $c = $STATES{$state}->('POST /upload');
    my ($s, $body) = stream($c, join '', upload($c, $state));
    my $problem = eval { decode_json($body) } || {};

    is($problem->{status}, 413, "HTTP/2, $state: 413");
    is($problem->{type}, 'tag:atls,2026:too-large', "HTTP/2, $state: problem");
    ok($s->whole(), "HTTP/2, $state: the response is whole");
    is($c->post('')->status(), 410, "HTTP/2, $state: the session is gone");

    $c = $STATES{$state}->();
    ($s, $body) = stream($c, requests($c, $state));
    $c->tls_in($body);

    like($c->read_plain(), qr!^GET /first !m, "HTTP/2, $state, answered");
    ok($s->whole(), "HTTP/2, $state, answered: the response is whole");
    is(join(' ', $c->alerts()), 80, "HTTP/2, $state, answered: an alert");
    is($c->post('')->status(), 410,
       "HTTP/2, $state, answered: the session is gone");
}


# Sends parts of a body, each after something was received.

sub stream {
    my ($c, @pieces) = @_;

    my $s = Test::Atls::Http2Stream->new($t->port(2), '/atls',
                'Content-Type' => $TYPE, Cookie => 'atls=' . $c->cookie());
    my $body = '';

    $s->data(shift @pieces);

    until ($s->over()) {
        readable($s->socket(), patience()) or last;
        $s->feed(sub { $body .= $_[0] });
        $s->data(shift @pieces) if @pieces && $body ne '';
    }

    return ($s, $body);
}
