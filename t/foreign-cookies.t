#!/usr/bin/perl

# Other cookies than those of the session: with other case, of an enclosing
# endpoint, or set for the whole domain by another site.  The session is still
# found, and its cookie does not expire.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;

my $RECORD = "\x17\x03\x03\x00\x20" . 'x' x 32;

my $t = Test::Atls->new(workers => 2);

my $listen = $t->has_option('http_v2_module')
             ? "listen 127.0.0.1:@{[ $t->port(1) ]} http2;" : '';

$t->write_http(<<"EOC");
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    $listen

    location = /one {
        atls on;
        atls_cookie atls path=/;
    }

    location = /two {
        atls on;
        atls_cookie atls path=/;
    }

    location /nest {
        atls on;
    }

    location /nest/inner {
        atls on;
    }

    location = /tls12 {
        atls on;
        atls_protocols TLSv1.2;
    }

    location / {
        return 200 "inner\\n";
    }
}
EOC

$t->run();

among();
several_headers();
elsewhere();
nested();
first_posts();
http2() if $listen;

$t->done_testing();


sub client {
    my ($uri, %args) = @_;

    return $t->client(uri => $uri, keepalive => 0, %args);
}


sub established {
    my $c = client(@_);

    $c->handshake() or die $c->error() . "\n";

    return $c;
}


# Sends a request with a Cookie header.  Returns the response.

sub answer {
    my ($c, $line, %args) = @_;

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my $r = $c->post($c->tls_out(), cookie => $line, %args);
    return 'nothing' unless $r;
    return $r->status() unless $r->status() == 200;

    $c->tls_in($r->body());

    return $c->read_plain() =~ /^(inner)$/m ? $1 : 'no answer';
}


sub type {
    my ($r) = @_;

    my $problem = eval { decode_json($r->body()) } || {};

    return ($problem->{type} || 'none') =~ s/^tag:atls,2026://r;
}


# Headers that contain the cookie of the session.

sub among {
    my $c = established('/one');
    my $own = 'atls=' . $c->cookie();
    my $two = 'atls=' . established('/two')->cookie();
    my $unknown = 'atls=' . 'A' x 24;

    my %lines = (
        'another case before it'     => "ATLS=x; Atls=y; $own",
        'another case of an id'      => 'ATLS=' . 'B' x 24 . "; $own",
        'an unknown one before it'   => "$unknown; $own",
        'an unknown one behind it'   => "$own; $unknown",
        "another endpoint's"         => "$two; $own",
        'what is no id'              => "atls=; atls=short; atls; =; ;$own",
        'many that are no ids'       => join('; ', ('atls=x') x 100, $own),
        'some unknown ones'          => join('; ', ($unknown) x 15, $own),
        'spaces'                     => "a=b ;\t $own \t; c=d",
    );

    for my $name (sort keys %lines) {
        is(answer($c, $lines{$name}), 'inner', $name);
    }

    # headers without it, and with too many other ones

    %lines = (
        'another case only'      => [ "ATLS=" . $c->cookie(), 'not-tls' ],
        'longer names'           => [ "xatls=1; atlsx=2", 'not-tls' ],
        'in the value of another' => [ "a=atls=" . $c->cookie(), 'not-tls' ],
        'unknown'                => [ $unknown, 'session-foreign' ],
        'no id'                  => [ 'atls=x', 'session-unknown' ],
        "another endpoint's only" => [ $two, 'session-elsewhere' ],
        'that and an unknown one' => [ "$unknown; $two", 'session-elsewhere' ],
        'that before it'          => [ "$two; $unknown", 'session-elsewhere' ],
        'too many unknown ones'
            => [ join('; ', ($unknown) x 16, $own), 'session-foreign' ],
    );

    for my $name (sort keys %lines) {
        my ($line, $type) = @{$lines{$name}};
        my $body = $type eq 'not-tls' ? "GET / HTTP/1.1\r\n\r\n" : $RECORD;

        is(type(client('/one')->post($body, cookie => $line)), $type, $name);
    }
}


# A client should send one header, but some send several.

sub several_headers {
    my $c = established('/one');
    my $own = 'atls=' . $c->cookie();

    for my $lines ([ 'atls=' . 'A' x 24, $own ], [ $own, 'a=b' ],
                   [ 'a=b', "c=d; $own" ], [ 'ATLS=x', $own ])
    {
        my ($first, $second) = @$lines;

        is(answer($c, $first, headers => { 'Cookie ' => undef,
                                           "X: y\r\nCookie" => $second }),
           'inner', "two headers: $first, $second" =~ s/=\K[\w-]{20,}/.../gr);
    }
}


# The session is not affected, and its cookie does not expire.

sub elsewhere {
    my $c = established('/one');
    my $line = 'atls=' . $c->cookie();

    my $r = client('/two')->post($RECORD, cookie => $line);

    is($r->status(), 410, "another endpoint's session");
    is(type($r), 'session-elsewhere', 'and is told so');
    is($r->header('Set-Cookie'), undef, 'the cookie is left alone');
    unlike($r->body(), qr/gone|any more/i, 'as it is not gone');
    is(answer($c, $line), 'inner', 'the session goes on');

    $c->close_notify();
    $r = client('/two')->post($RECORD, cookie => $line);
    like($r->header('Set-Cookie'), qr/^atls=;.*Max-Age=0/,
         'until it is known nowhere');
}


# Browsers send both cookies for the inner path; they have the same name.

sub nested {
    my $outer = established('/nest');
    my $inner = established('/nest/inner');
    my @cookies = map { 'atls=' . $_->cookie() } $outer, $inner;

    for my $line (join('; ', @cookies), join('; ', reverse @cookies)) {
        is(answer($inner, $line), 'inner', 'nested: the inner one');
        is(answer($outer, $line), 'inner', 'nested: the outer one');
    }

    my $r = client('/nest/inner')->post($RECORD, cookie => $cookies[0]);

    is($r->status(), 410, 'nested: the outer one only');
    is(type($r), 'session-elsewhere', 'nested: is of another endpoint');
    is($r->header('Set-Cookie'), undef, 'nested: and is not forgotten');

    # a ClientHello that fails expires no cookie

    $r = client('/tls12', protocol => 'TLSv1.3');
    $r->cookie($inner->cookie());
    $r->handshake_step();
    $r->exchange($r->tls_out());
    is($r->last_response()->header('Set-Cookie'), undef,
       'nor by a failure of another');

    is(answer($inner, $cookies[1]), 'inner', 'the sessions go on');
    is(answer($outer, $cookies[0]), 'inner', 'both of them');

    # a new session for the inner path, with the outer cookie

    my $c = client('/nest/inner');
    $c->cookie($outer->cookie());
    ok($c->handshake(), 'nested: a ClientHello') or diag($c->error());
    is(answer($c, "$cookies[0]; atls=" . $c->cookie()), 'inner',
       'nested: its session');
    is(answer($outer, $cookies[0]), 'inner', 'nested: and the other one');

    $r = $c->close_notify();
    like($r && $r->header('Set-Cookie'), qr!^atls=;.*Path=/nest/inner;!,
         'nested: its own cookie expires');
    is(answer($outer, $cookies[0]), 'inner', 'nested: the other one goes on');
}


# The first POST of a session fails: no cookie is set or expired.

sub first_posts {
    my $old = established('/one');
    my $c = client('/tls12', protocol => 'TLSv1.3');

    $c->handshake_step();

    my $hello = $c->tls_out();
    my $long = "\x16\3\1\x40\0\1\0\x3f\xfc\3\3" . 'x' x (2 << 20);
    my %posts = (
        'an alert' => [ '/tls12', $hello, 200 ],
        'a record' => [ '/one', $RECORD, 410 ],
        'no TLS' => [ '/one', "GET / HTTP/1.1\r\n\r\n", 400 ],
        'nothing' => [ '/one', '', 400 ],
        'too much' => [ '/one', $long, 413 ],
    );

    for my $name (sort keys %posts) {
        my ($uri, $body, $status) = @{$posts{$name}};
        my $r = client($uri)->post($body, cookie => '');

        is($r && $r->status(), $status, "first POST, $name");
        is($r && $r->header('Set-Cookie'), undef,
           "first POST, $name: no cookie");

        # the cookie of an existing session is not expired, either

        next unless $name eq 'an alert';
        $r = client($uri)->post($body, cookie => 'atls=' . $old->cookie());
        is($r->status() . ($r->header('Set-Cookie') || ''), 200,
           "$name: nor an old one expired");
    }

    is(answer($old, 'atls=' . $old->cookie()), 'inner', 'the old one goes on');
}


# With HTTP/2, there may be a header for each cookie.

sub http2 {
    my $c = established('/one');
    my $own = 'atls=' . $c->cookie();
    my $h2 = client('/one', port => $t->port(1), outer => 'h2');

    for my $line ("a=b; ATLS=x; $own", 'atls=' . 'A' x 24 . "; $own") {
        my $r = $h2->post('', cookie => $line);
        is($r && $r->status(), 200, 'HTTP/2: found');
    }

    my $r = $h2->post('', cookie => 'ATLS=' . $c->cookie());
    is($r && $r->status(), 400, 'HTTP/2: by case');
}
