#!/usr/bin/perl

# The session of messages: its client, its times, reloads, other endpoints, the
# cookie, and what is counted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Authority;
use Test::Atls::Client;
use Test::Atls::Message;
use Test::Atls::Slow qw( slow );
use Test::Atls::Status qw( added status );

my $SHORT = 2 * slow();
my $GET = Test::Atls::Client::format_request('GET', '/session', '');
my $LONG = 'a-name-that-needs-a-piece-of-its-own.' . 'x' x 20 . '.example';

my $t = Test::Atls->new();
my $ca = Test::Atls::Authority->new($t, 'ca');

$ca->issue('alice', subject => '/CN=Alice');
$ca->issue('large', subject => '/CN=Large',
           san => join(',', map { "DNS:host-$_.example" } 1 .. 200));

configure('on', 'on');
$t->run();

my ($protocol, $refused);

for (qw( TLSv1.3 TLSv1.2 )) {
    $protocol = $_;

    identity();
    other_server();
    moved();
    counted();
    ended();
}

$protocol = 'TLSv1.3';

idle();
lifetime();
cookie();
reloads();

$t->done_testing();


sub configure {
    my ($exported, $verify) = @_;

    # on a busy machine, a handshake may take long

    $t->write_http(<<"EOC");
%%CERTIFICATE%%

atls_exported_keys $exported;
atls_handshake_timeout 5m;
atls_client_certificate %%TESTDIR%%/ca.crt;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location = /status { atls_status; }

    location /.well-known/atls { atls on; }

    location /verify {
        atls on;
        atls_verify_client $verify;
    }

    location /optional {
        atls on;
        atls_verify_client optional;
    }

    location /short {
        atls on;
        atls_session_timeout ${SHORT}s;
    }

    location /brief {
        atls on;
        atls_session_lifetime ${SHORT}s;
    }

    location /a {
        atls on;
        atls_endpoint ab;
        return 200 "a \$server_name \$uri\\n";
    }

    location /b {
        atls on;
        atls_endpoint ab;
        atls_session_tracking location;
        return 200 "b\\n";
    }

    location = /session {
        return 200 "\$atls_client_verify|\$atls_client_s_dn|\$atls_client_cert|\$atls_server_name|\$atls_session_requests|\$atls_client_fingerprint|\$pid";
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name other.example;

    location / { return 200 "other\\n"; }
}
EOC
}


sub messages {
    my (%args) = @_;

    return Test::Atls::Message->new($t->established(protocol => $protocol,
                                                    keepalive => 0, %args));
}


sub certified {
    my ($uri, $who, %args) = @_;

    return messages(uri => $uri, cert => $t->path("$who.crt"),
                    key => $t->path("$who.key"), %args);
}


# The values of variables, without the worker.

sub seen {
    my ($r) = @_;

    return $r ? $r->status() . ' ' . $r->body() =~ s/\|\d+\z//r : 'none';
}


sub identity {
    for (qw( alice large )) {
        my $m = certified('/verify', $_);
        my %workers;

        my $expected = seen($m->{client}->get('/session'));

        like($expected, qr/^200 SUCCESS\|CN=\w+\|-----BEGIN/,
             "$protocol, $_: in records");

        for my $n (2 .. 5) {
            my $r = $m->get('/session');

            $expected =~ s/\|\d+(\|[0-9a-f]{40})\z/|$n$1/;
            is(seen($r), $expected, "$protocol, $_: in message $n");
        }
    }

    my $m = messages(uri => '/verify');
    my $r = $m->get('/session');
    is($r && $r->status(), 400, "$protocol: no certificate");

    $m = messages(uri => '/optional', sni => $LONG);
    is(seen($m->get('/session')), "200 NONE|||$LONG|1|",
       "$protocol: a long name of the server");
}


sub other_server {
    my $m = messages();
    my $r = $m->get('/', Host => 'other.example');

    is($r && $r->status(), 421, "$protocol: another server");

    $r = $m->get('/session');
    is($r && $r->status(), 200, "$protocol: the session goes on");
}


# Served by the endpoint where the session was created.

sub moved {
    my $m = messages(uri => '/a');

    for my $uri ('/a', '/b') {
        my $r = $m->http($GET, uri => $uri);
        is($r && $r->body(), "a localhost /session\n",
           "$protocol: a session of /a at $uri");
    }

    $m->http($GET, uri => '/.well-known/atls');
    is($m->error(), '410 session-elsewhere', "$protocol: elsewhere");
}


# A message is a use of the session.

sub idle {
    my $m = messages(uri => '/short');
    my $until = time + 2 * $SHORT;

    while (time < $until) {
        my $r = $m->get('/session');
        $r && $r->status() == 200 or last;
        sleep 0.3 * slow();
    }

    is($m->error(), '', "$protocol: messages keep the session");

    ok($t->wait_for(sub {
        sleep $SHORT;
        $m->get('/session');
        $m->error() eq '410 session-unknown';
    }), "$protocol: it ends when it is idle");
}


sub lifetime {
    my $m = messages(uri => '/brief');
    my $r = $m->get('/session');

    is($r && $r->status(), 200, "$protocol: a session");
    ok($t->wait_for(sub {
        $m->get('/session');
        $m->error() eq '410 session-unknown';
    }), "$protocol: it ends after its lifetime");
}


# It is sent again in time, if the client has sent it.

sub cookie {
    my $m = messages(uri => '/short');
    my %cookie = (headers => { Cookie => 'atls=' . $m->id() });
    my $again;

    $t->wait_for(sub {
        sleep 0.1 * slow();
        $m->http($GET, %cookie);
        $again = $m->last_response()->header('Set-Cookie');
        ($again // '') =~ /Max-Age=[1-9]/;
    });

    like($again, qr/^atls=\Q${\$m->id()}\E; .*Max-Age=[1-9]/,
         "$protocol: the cookie is renewed");

    $m = messages(uri => '/short');
    my $until = time + 1.5 * $SHORT;
    my $sent = 0;

    while (time < $until) {
        $m->http($GET);
        $sent++ if $m->last_response()->header('Set-Cookie');
        sleep 0.1 * slow();
    }

    is($sent, 0, "$protocol: not without the cookie");
}


sub counted {
    my $m = messages();

    my ($named, $posts, $records, $requests) = added($t, sub {
        my $message = $m->seal($GET, number => 1, size => 100);

        $m->receive($m->post($message), 1);
        $m->post($message);
        $m->exchange('', number => 2);
        $m->post(substr $message, 0, 50);
    }, qw( posts_named_total posts_total records_total
          requests_total ));

    is_deeply($named, { keyid => 4 }, "$protocol: POSTs that are named");
    is_deeply($posts, { served => { 200 => 1 }, idle => { 200 => 1 },
                        'message-repeated' => { 409 => 1 },
                        'message-refused' => { 400 => 1 } },
              "$protocol: POSTs");
    is_deeply($records, { in => 2, out => 2 }, "$protocol: records");
    is_deeply($requests, { '2xx' => 1 }, "$protocol: requests");
}


# Its line in the log.

sub ended {
    my $m = messages();
    my $bytes = 0;

    for (1 .. 3) {
        $m->get('/session');
        $bytes += length $m->last_response()->body();
    }

    $t->read_log('error.log');
    $m->{client}->close_notify();

    my ($line) = $t->read_log('error.log') =~ /.*( ended: close-notify.*)/s;
    my ($requests, $out) = $line =~ /requests:(\d+), in:\d+, out:(\d+)/;

    is($requests, 3, "$protocol: requests of a session");
    cmp_ok($out, '>', $bytes, "$protocol: its bytes");
}


sub reloads {
    my $m = messages();
    my $optional = messages(uri => '/optional');
    my $alice = certified('/verify', 'alice');
    my $message = $m->seal($GET, number => 5);

    is($m->post($message)->status(), 200, 'before a reload');
    ok($t->reload(), 'the same configuration again');
    is($m->post($message)->status(), 409, 'a number stays used');

    for ($m, $optional, $alice) {
        $_->{number} = 10;
        is($_->get('/session')->status(), 200, 'sessions go on');
    }

    configure('on', 'optional');
    ok($t->reload(), 'another verification');

    $alice->get('/session');
    is($alice->error(), '410 session-refused', 'its client is refused');
    is($optional->get('/session')->status(), 200, 'others are not');

    configure('off', 'on');
    ok($t->reload(), 'without exported keys');

    $m->get('/session');
    is($m->error(), '415 media-type', 'no messages');
    is($m->{client}->get('/session')->status(), 200, 'but records');
}
