#!/usr/bin/perl

# POSTs from somebody who has the cookie, but not the keys: the session does not
# notice them.  ATLS_FOREIGN is the number of POSTs for each session.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Outer;
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience );

my $N = $ENV{ATLS_FOREIGN} || 250;
my $TYPE = 'application/atls+octet-stream';
my $GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

# a replay of the last POST would get the same response

atls_retry_buffer 0;

# POSTs of others do not prolong a session, and many of them take long

atls_session_timeout 6h;

server {
    listen 127.0.0.1:%%PORT_0%%;
    client_body_timeout 6h;
    proxy_read_timeout 6h;

    location = /atls {
        atls on;
    }

    location = /short {
        atls on;
        client_body_timeout 1s;
    }

    location / {
        return 200 "inner\n";
    }

    location = /body {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_request_buffering off;
        proxy_http_version 1.1;
    }

    location = /slow {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /gate {
        proxy_pass http://127.0.0.1:%%PORT_2%%;
    }
}
EOC

$t->run();

my @workers = $t->workers();
my $backend = Test::Atls::Backend->start($t, $t->port(1));
my ($protocol, $outer);

# a backend that responds when the test does

my $gate = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5,
                                 LocalPort => $t->port(2), ReuseAddr => 1,
                                 Timeout => patience())
    or die "gate: $!\n";

srand 7;

for (qw( TLSv1.3 TLSv1.2 )) {
    $protocol = $_;

    flood('idle', \&idle);
    flood('parked', \&parked);
    half_records();
    silent_posts();
    waiting();
    no_waiting();
    silence_after_waiting();
}

is(join(' ', sort $t->workers()), join(' ', sort @workers), 'the same workers');

$t->done_testing();


sub established {
    my $c = $t->client(uri => '/atls', keepalive => 0, protocol => $protocol,
                       @_);

    $c->handshake() or die $c->error() . "\n";

    return $c;
}


sub record {
    my ($c, $plain) = @_;

    $c->write_plain(defined $plain ? $plain : $GET);

    return $c->tls_out();
}


# Sends a POST with the cookie of a session.  Returns the status and the type of
# a problem, or the length of the body, and all Set-Cookie headers.

sub foreign {
    my ($c, $body, $uri) = @_;

    $outer = Test::Atls::Outer->new(port => $t->port(0), uri => $uri || '/atls',
                                    keepalive => 0);

    my $r = $outer->post($body, { 'Content-Type' => $TYPE,
                                  Cookie => 'atls=' . $c->cookie() })
        or return 'no answer';
    my ($type) = $r->body() =~ /"tag:atls,2026:([\w-]+)"/;

    return join ' ', $r->status(), $type || length $r->body(),
                     $r->header('Set-Cookie');
}


sub served {
    my ($c, $record, $name) = @_;

    $c->exchange($record);
    my ($r) = parse_responses($c->read_plain());

    is($r && $r->body(), "inner\n", "$protocol, $name");
}


sub random_bytes { join '', map { chr rand 256 } 1 .. $_[0] }


# Something that is not the next record.  Parts of records are not authentic or
# foreign before they are complete; they get no answer.

sub injected {
    my ($records, $other) = @_;

    my $old = $records->[rand @$records];
    my $size = length $old;

    my @kinds = (
        sub { random_bytes(20 + rand 500) },
        sub { "\x17\x03\x03" . pack('n/a', random_bytes(rand 300)) },
        sub { "\x17\x03\x03\xff\xff" . random_bytes(rand 100) },
        sub { "\x15\x03\x03\0\2\2\x28" },
        sub { "\x14\x03\x03\0\1\1" },
        sub { $old },
        sub { $old . $old },
        sub { substr $old, 1 + rand($size - 1) },
        sub { substr $old, 0, rand $size },
        sub { my $b = $old; substr($b, rand $size, 1) ^= "\1"; $b },
        sub { record($other) },
        sub { '' },
    );

    return $kinds[rand @kinds]->();
}


sub flood {
    my ($name, $use) = @_;

    my ($c, $other) = (established(), established());
    my @records = record($c);
    my (%answers, $n);

    served($c, $records[0], "$name: a request");

    my $next = $use->($c, \@records);

    for $n (1 .. $N) {
        my $answer = foreign($c, injected(\@records, $other));

        $answers{$answer}++;
        $next->($n) or last if $n % 10 == 0;
    }

    is(join(', ', sort keys %answers), '200 0, 409 not-next',
       "$protocol, $name: all foreign POSTs are recognized");
    ok($next->(0), "$protocol, $name: the session goes on") or diag($c->error());
}


sub idle {
    my ($c, $records) = @_;

    return sub {
        push @$records, record($c);
        $c->exchange($records->[-1]) or return 0;

        return $c->read_plain() =~ /inner/;
    };
}


# In the middle of a request, whose response begins early.

sub parked {
    my ($c, $records) = @_;

    my $sent = 0;
    my $size = 100 * (2 + int $N / 10);

    $backend->forget();
    $c->exchange(record($c, "POST /body HTTP/1.1\r\nHost: localhost\r\n"
                            . "Content-Length: $size\r\n\r\n"));

    return sub {
        my ($n) = @_;

        my $piece = $n ? 'x' x 100 : 'y' x ($size - $sent);

        $sent += length $piece;
        push @$records, record($c, $piece);
        $c->exchange($records->[-1]) or return 0;

        return 1 if $n;

        my ($r) = parse_responses($c->read_plain(), 'POST');
        return $r && $r->body() eq 'x' x ($size - length $piece) . $piece;
    };
}


# Incomplete records are not authenticated.  The session continues in any case,
# and a record that is sent from its beginning is received.

sub half_records {
    my $c = established();
    my $record = record($c);
    my ($head, $tail) = unpack 'a20a*', $record;

    # complete foreign records do not affect the part that is stored

    $c->exchange($head);
    is(foreign($c, "\x17\x03\x03" . pack('n/a', 'x' x 40)), '409 not-next',
       "$protocol, between two parts: a foreign record");
    is(foreign($c, ''), '200 0', "$protocol, between two parts: nothing");
    served($c, $tail, 'between two parts: the rest');

    # somebody else's parts do

    for my $part ("\x17\x03\x03\x40\0" . 'x' x 100, 'x' x 10,
                  substr(record(established()), 0, 30))
    {
        $record = record($c);
        ($head, $tail) = unpack 'a20a*', $record;
        my $name = 'a part, ' . unpack 'H10', $part;

        $c->exchange($head);
        is(foreign($c, $part), '200 0', "$protocol, $name: no answer");

        my $r = $c->post($tail);
        like($r->status(), qr/^(?:200|409)$/, "$protocol, $name: the rest");
        is($r->header('Set-Cookie'), undef, "$protocol, $name: goes on");

        served($c, $record, "$name: the whole record");
    }

    # the beginning of a record replaces that of somebody else's

    $record = record($c);
    is(foreign($c, "\x17\x03\x03\x40\0" . 'x' x 100), '200 0',
       "$protocol, somebody else's part");
    $c->exchange(substr $record, 0, 20);
    served($c, substr($record, 20), "somebody else's part is replaced");

    # the same record again in parts; the first ones may complete junk

    $record = record($c);
    foreign($c, "\x17\x03\x03\0\x40" . 'x' x 10);

    my $r;
    for (1 .. 3) {
        $c->post(substr $record, 0, 20);
        $r = $c->post(substr $record, 20);
        last if $r->status() == 200 && $r->body() ne '';
    }

    $c->tls_in($r->body());
    like($c->read_plain(), qr/inner/, "$protocol, again in parts: received");
}


# An open POST without a complete record is not in the way of the client.

sub silent_posts {
    my $c = established();
    my $record = record($c);
    my @open;

    for my $part ('', "\x17", "\x17\x03\x03\x40\0" . 'x' x 1000,
                  substr $record, 0, length($record) - 1)
    {
        my $s = http_connect($t->port(0));

        send_all($s, $c->format_post($part, 'Content-Length' => 20000));
        push @open, $s;
        served($c, $record, 'an open POST of ' . length($part) . ' bytes');
        $record = record($c);
    }

    ok(!(grep { readable($_, 0) } @open), "$protocol, open POSTs: no answer");

    # when its record arrives, an open POST is served

    my $next = record($c);
    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post('', 'Content-Length' => length $next));
    served($c, $record, 'before the record of an open POST');
    send_all($s, substr $next, 0, 30, '');
    is(foreign($c, random_bytes(100)), '409 not-next',
       "$protocol, in the record of an open POST");
    send_all($s, $next);

    is(answer($s, sub { $c->tls_in($_[0]) }), '200 ',
       "$protocol, an open POST is served");
    like($c->read_plain(), qr/inner/, "$protocol, an open POST: its response");
}


# A POST that comes too early waits for the end of the previous one.

sub waiting {
    my $c = established();

    my $first = record($c, "GET /gate HTTP/1.1\r\nHost: localhost\r\n\r\n");
    my $next = record($c);

    $c->post_send($first);

    my $held = $gate->accept() or die "nobody is at the gate\n";
    $held->sysread(my $request, 4096);

    my @s = map { http_connect($t->port(0)) } 1 .. 3;

    send_all($s[0], $c->format_post($next));
    send_all($s[1], $c->format_post(random_bytes(100)));
    send_all($s[2], $c->format_post(''));

    is(answer($s[2]), '409 session-busy', "$protocol, busy: an empty POST");
    ok(!readable($s[0], 0), "$protocol, busy: a record waits");

    send_all($held, "HTTP/1.0 200 OK\r\n\r\nafter all\n");
    close $held;

    my $r = $c->post_receive();
    $c->tls_in($r->body());
    like($c->read_plain(), qr/after all/, "$protocol, busy: the first POST");

    is(answer($s[1]), '409 not-next', "$protocol, busy: a foreign one");

    my $body = answer($s[0], sub { $c->tls_in($_[0]) });
    is($body, '200 ', "$protocol, busy: the next one is served");
    like($c->read_plain(), qr/inner/, "$protocol, busy: its response");
    served($c, record($c), 'busy: and the session goes on');
}


# Not for ever.

sub no_waiting {
    my $c = established(uri => '/short');

    $backend->forget();
    $c->post_send(record($c, "GET /slow?n=3&delay=2 HTTP/1.1\r\n"
                             . "Host: localhost\r\n\r\n"));
    $t->wait_for(sub { $backend->requests() });

    is(foreign($c, random_bytes(50), '/short'), '409 session-busy',
       "$protocol, busy for long: no more waiting");

    my $r = $c->post_receive();
    $c->tls_in($r->body());
    like($c->read_plain(), qr/line 3/, "$protocol, busy for long: not affected");
}


# A POST that has waited for the session has the timeout of any POST.  If this
# machine is slow, it is not served, since it has waited for too long.

sub silence_after_waiting {
    my $answer;

    for (1 .. 20) {
        $answer = answer(silent_while_busy());
        last if $answer ne '409 session-busy';
    }

    is($answer, 'closed', "$protocol, silence: a POST that has waited");
}


sub silent_while_busy {
    my $c = established(uri => '/short');

    $backend->forget();
    $c->post_send(record($c, "GET /slow?n=2&delay=0.3 HTTP/1.1\r\n"
                             . "Host: localhost\r\n\r\n"));
    $t->wait_for(sub { $backend->requests() });

    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post("\x17\x03\x03\x40\0" . 'x' x 50,
                                 'Content-Length' => 1000));

    my $r = $c->post_receive();
    $c->tls_in($r->body());
    like($c->read_plain(), qr/line 2/, "$protocol, silence: not affected");

    return $s;
}


sub answer {
    my ($s, $cb) = @_;

    my $r = Test::Atls::Response->new(method => 'POST');

    until ($r->done()) {
        readable($s, patience()) or return 'nothing';
        sysread $s, my $buf, 65536 or return 'closed';
        $r->feed($buf);
    }

    my ($type) = $r->body() =~ /"tag:atls,2026:([\w-]+)"/;

    $cb->($r->body()) if $cb;

    return $r->status() . ' ' . ($type || '');
}
