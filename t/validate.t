#!/usr/bin/perl

# Responses of the endpoint against the sentences of docs/protocol.md, by a proxy
# that knows the page and not the code: clients of all kinds go through it, and
# raw POSTs that provoke each status.  And servers that break one rule each, to
# see that it is seen.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Command;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::LocalServer;
use Test::Atls::Outer;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Slow qw( patience );
use Test::Atls::Stack;
use Test::Atls::Validator;
use Test::Atls::Validator::Rules qw( %RULES );

use constant {
    LARGE   => 3_000_000,
    HANDSHAKES => 30,           # a worker process
    TIMEOUT => 2,               # of handshakes, at /hasty
    KEY     => 'c0ffee00112233445566778899aabbcc',
};

my $type = 'application/atls+octet-stream';
my $uri = '/.well-known/atls';

my $t = Test::Atls->new(workers => 3);

delete $ENV{$_} for grep { /_proxy$/i } keys %ENV;

$t->make_cert('ca', is_ca => 1, ext => [ 'keyUsage=critical,keyCertSign' ]);
$t->make_cert('service', ca => 'ca', subject => '/CN=service',
              san => 'DNS:localhost');
$t->make_cert('other', is_ca => 1);
$t->write_file('psk', 'device:' . KEY . "\n");
$t->write_file('large', pattern(LARGE));

my $conf = http_conf(<<'EOC');
%%CERTIFICATE_service%%
atls_early_data on;
atls_max_handshakes %%HANDSHAKES%%;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location = /.well-known/atls {
        atls on;
    }

    location = /other {
        atls on;
    }

    location = /limited {
        atls on;
        client_max_body_size 20k;
    }

    location = /hasty {
        atls on;
        atls_handshake_timeout %%TIMEOUT%%s;
    }

    location = /psk {
        atls on;
        atls_psk_file psk;
    }

    location = /retry {
        atls on;
        atls_ecdh_curve secp384r1;
    }

    location = /closed {
        atls on;
        deny all;
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/body;
    }

    location = /raw-refused {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/status?code=404;
    }

    location = /ok {
        return 200 "hello";
    }

    location = /last {
        keepalive_timeout 0;
        return 200 "the last one";
    }

    location = /large {
        keepalive_timeout 0;
    }

    location /refused {
        return 404;
    }

    location / {
        client_max_body_size 0;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_request_buffering off;
    }
}
EOC

$t->write_conf($conf =~ s/%%TIMEOUT%%/@{[ TIMEOUT ]}/r
                     =~ s/%%HANDSHAKES%%/@{[ HANDSHAKES ]}/r);
$t->run();

Test::Atls::Backend->start($t, $t->port(1));

my $v = Test::Atls::Validator->start($t, $t->port(2), $t->port(0),
    endpoints => {
        $uri      => {},
        '/other'  => {},
        '/limited' => { limit => 20 * 1024 },
        '/hasty'  => { handshake_timeout => TIMEOUT },
        '/psk'    => {},
        '/retry'  => {},
        '/closed' => {},
        '/raw'    => { raw => 1 },
        '/raw-refused' => { raw => 1 },
    });


words();
sessions();
statuses();
bodies();
command();
no_room();

# those that are looked at only where they are broken, and that of a failure

my %applied = $v->applied();

delete @applied{my @rest = qw( end-fatal nothing-by-itself problem-500 )};
is(join(' ', grep { !$applied{$_} } sort keys %RULES), "@rest",
   'each rule was looked at');

$t->done_testing();


# The page still says what the rules are made from.

sub words {
    open my $fh, '<', "$FindBin::Bin/../docs/protocol.md"
        or die "protocol.md: $!\n";
    my $page = join('', <$fh>) =~ s/\s+/ /gr;

    is(join(', ', grep { index($page, $RULES{$_}) < 0 } sort keys %RULES), '',
       'the rules are those of docs/protocol.md');
}


# What has been found since the last time.

sub is_valid {
    my ($name) = @_;

    is($v->report(), '', "$name: by the page");
}


sub client { return Test::Atls::Client->new(port => $v->port(), @_) }


sub outer { return Test::Atls::Outer->new(port => $v->port(), uri => $uri, @_) }


sub status {
    my ($r) = @_;

    return $r ? $r->status() : 'none';
}


# Clients of both versions, whatever the outer HTTP.

sub sessions {
    for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
        for my $http (qw( http11 http10 http11-chunked )) {
            my $c = client(protocol => $protocol, outer => $http,
                           alpn => [ 'h2', 'http/1.1' ]);

            ok($c->handshake(), "$protocol, $http: handshake");
            is(eval { $c->get('/ok')->body() }, 'hello',
               "$protocol, $http: a request");
            upload($c, "$protocol, $http");
            is(status($c->post('')), 200, "$protocol, $http: an empty POST");
            is(eval { length $c->get('/big?size=50000&chunked=1')->body() },
               50_000, "$protocol, $http: a larger response");
            my $cookie = cookie($c);

            $c->close_notify();
            is(status(answer(outer(), 'x', Cookie => $cookie)), 410,
               "$protocol, $http: after the end");
            is_valid("$protocol, $http");

            $c = client(protocol => $protocol, outer => $http,
                        session => $c->session());
            ok($c->handshake(), "$protocol, $http: resuming");
            is(eval { $c->get('/last')->body() }, 'the last one',
               "$protocol, $http: the last request");
            is_valid("$protocol, $http, resumed");
        }
    }
}


# An inner request of many records, over several POSTs.

sub upload {
    my ($c, $name) = @_;

    my $left = 10;
    my $answer = $c->upload("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                            . "Content-Length: 100000\r\n\r\n",
                            sub { $left-- ? 'x' x 10_000 : undef },
                            post_size => 30_000);

    like($answer, qr/xxx\z/, "$name: an upload");
}


# One POST, raw: a body, and headers besides the media type.

sub answer {
    my ($outer, $body, %headers) = @_;

    return $outer->post($body, { 'Content-Type' => $type, %headers });
}


sub first_flight {
    my $c = client(@_);

    $c->handshake_step();

    return $c->tls_out();
}


sub cookie {
    my ($c) = @_;

    return 'atls=' . $c->cookie();
}


sub established {
    my $c = client(@_);

    ok($c->handshake(), 'a session') or diag($c->error());

    return $c;
}


# Each row of the page's table, with and without a session, and what
# 100 Continue comes before.

sub statuses {
    no_session($_) for {}, { Expect => '100-continue' };
    several_cookies();
    too_large();
    busy();
    elsewhere();
    ended($_) for qw( TLSv1.3 TLSv1.2 );
    timed_out();
    raw();
    own();
    is_valid('statuses');
}


sub no_session {
    my ($headers) = @_;

    my $outer = outer();
    my $c = established();
    my %session = (Cookie => cookie($c), %$headers);
    my %unknown = (Cookie => 'atls=' . 'A' x 24, %$headers);
    my %text = ('Content-Type' => 'text/plain');
    my $record = "\x17\x03\x03\x00\x20" . 'x' x 32;

    for ([ 400, '', %$headers ], [ 400, 'GET', %$headers ],
         [ 400, 'x', %$headers, 'X' => 1 ],
         [ 410, $record, %$headers ], [ 410, '', %unknown ],
         [ 410, 'x', %unknown ], [ 410, $record, %unknown ],
         [ 415, '', %text, %$headers ], [ 415, 'x', %text, %session ],
         [ 415, 'x', 'Content-Type' => undef, %unknown ],
         [ 200, '', %session ],
         [ 200, '', %session, 'Content-Type' => 'Application/ATLS ; q="a"' ],
         [ 200, '', %session, 'If-None-Match' => '*', Range => 'bytes=0-1',
           'Accept-Encoding' => 'gzip', 'If-Match' => '"a"' ],
         [ 200, first_flight(), %$headers ],
         [ 200, first_flight(), %unknown ],
         [ 200, first_flight(), %session ],
         [ 200, '', %session ])
    {
        my ($expected, @args) = @$_;

        is(status(answer($outer, @args)), $expected, "status $expected");
    }

    for my $method (qw( GET HEAD PUT OPTIONS ATLS )) {
        local $outer->{method} = $method;

        is(status(answer($outer, '', @$_)), 405, "method $method")
            for [ %$headers ], [ %session, %text ];
    }

    is(eval { $c->get('/ok')->body() }, 'hello', 'the session goes on');
    is_valid('without a session, or with one');
}


# The first one that is a session counts, and 16 are looked at.

sub several_cookies {
    my ($c, $d) = (established(), established());
    my $outer = outer();

    $d->close_notify();

    my @dead = map { 'atls=' . $_ x 24 } 'a' .. 'p';

    is(status(answer($outer, '', Cookie => join '; ', 'a=b', @dead[0 .. 3],
                     cookie($c), 'atls=after')), 200, 'several cookies');
    is(status(answer($outer, '', Cookie => join '; ', @dead, cookie($c))),
       410, 'too many');
    is_valid('several cookies');
}


sub too_large {
    my @args = (uri => '/limited');
    my $c = established(@args);

    is(status($c->post('x' x 30_000)), 413, 'a Content-Length');
    is(status($c->post('x' x 30_000, headers => { Expect => '100-continue' })),
       413, 'a Content-Length, with Expect');
    is(eval { $c->get('/ok')->body() }, 'hello', 'the session goes on');

    my $cookie = cookie($c);

    $c->http_client()->{version} = 'http11-chunked';
    upload_large($c, '/body');
    is(status($c->last_response()), 413, 'chunks');
    is(status(answer(outer(@args), '', Cookie => $cookie)), 410,
       'ends the session');

    # after the response has begun

    $c = established(@args, outer => 'http11-chunked');
    $cookie = cookie($c);
    large_behind_start($c);
    is(status(answer(outer(@args), '', Cookie => $cookie)), 410,
       'ends the session, too');
    is_valid('too large');
}


sub large_behind_start {
    my ($c) = @_;

    my $s = http_connect($v->port());

    $c->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    . "POST /body HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 90000\r\n\r\n");
    send_all($s, "POST /limited HTTP/1.1\r\nHost: localhost\r\n"
                 . 'Cookie: ' . cookie($c) . "\r\nContent-Type: $type\r\n"
                 . "Transfer-Encoding: chunked\r\n\r\n"
                 . chunk($c->tls_out()));
    ok(readable($s, patience()), 'the response has begun');

    for (1 .. 9) {
        $c->write_plain('x' x 10_000);
        send_all($s, chunk($c->tls_out())) or last;
    }

    1 while sysread $s, my $rest, 4096;
}


sub chunk {
    my ($bytes) = @_;

    return sprintf "%x\r\n%s\r\n", length $bytes, $bytes;
}


sub upload_large {
    my ($c, $path) = @_;

    my $left = 90;

    $c->upload("POST $path HTTP/1.1\r\nHost: localhost\r\n"
               . "Content-Length: 90000\r\n\r\n",
               sub { $left-- > 0 ? 'x' x 1000 : undef });
}


# A session that has a POST in progress, whose response has begun or whose
# request has not ended.

sub busy {
    my $c = established();
    my $cookie = cookie($c);
    my $outer = outer();

    $c->write_plain("GET /slow?n=3&delay=0.5 HTTP/1.1\r\n"
                    . "Host: localhost\r\n\r\n");
    $c->post_send($c->tls_out());
    readable($c->http_client()->{socket}, patience());
    others_meanwhile($outer, $cookie);
    $c->post_receive();
    is(status(answer($outer, '', Cookie => $cookie)), 200, 'and goes on');

    my $s = http_connect($v->port());

    send_all($s, "POST $uri HTTP/1.1\r\nHost: localhost\r\nCookie: $cookie\r\n"
                 . "Content-Type: $type\r\nContent-Length: 10\r\n"
                 . "Expect: 100-continue\r\n\r\n");
    readable($s, patience());
    others_meanwhile($outer, $cookie);
    is_valid('busy');

    # its client leaves

    close $s;
    ok($t->wait_for(sub {
        status(answer($outer, '', Cookie => $cookie)) ne '409'
    }), 'a cut request');
    is_valid('after a cut request');
}


sub others_meanwhile {
    my ($outer, $cookie) = @_;

    is(status(answer($outer, '', Cookie => $cookie)), 409, 'busy: empty');
    is(status(answer($outer, "\x17\x03\x03\x00\x20" . 'x' x 32,
                     Cookie => $cookie)), 409, 'busy: a record');
    is(status(answer($outer, first_flight(), Cookie => $cookie)), 200,
       'busy: a ClientHello');
}


sub elsewhere {
    my $c = established();
    my $there = outer(uri => '/other');

    is(status(answer($there, '', Cookie => cookie($c))), 410, 'elsewhere');
    is(status(answer($there, first_flight(), Cookie => cookie($c))), 200,
       'elsewhere: a ClientHello');
    is(eval { $c->get('/ok')->body() }, 'hello', 'and goes on');
    is_valid('another endpoint');
}


# What ends sessions: their clients, records that are none, and bodies that
# can't be read.

sub ended {
    my ($protocol) = @_;

    my @args = (protocol => $protocol);
    my $c;

    my %ends = (
        'garbage' => sub { $c->post("\x17\x03\x03\x00\x20" . 'x' x 32) },
        'no record' => sub { $c->post('GET / HTTP/1.1') },
        'a long record' => sub { $c->post("\x17\x03\x03\xff\xff") },
        'twice' => sub {
            $c->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");
            my $bytes = $c->tls_out();
            $c->post($bytes);
            $c->post($bytes);
        },
        'chunks' => sub { bad_chunk($c, '') },
        'chunks, behind a part' => sub {
            $c->write_plain('GET /o');
            bad_chunk($c, chunk($c->tls_out()));
        },
        'behind the start of a response' => sub {
            $c->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");
            $c->post($c->tls_out() . "\x17\x03\x03\x00\x20" . 'x' x 32);
        },
    );

    for my $end (sort keys %ends) {
        $c = established(@args);

        my $cookie = cookie($c);

        $ends{$end}->();
        is(status(answer(outer(), '', Cookie => $cookie)), 410,
           "$protocol: $end ends a session");
        is_valid("$protocol: $end");
    }

    # the handshake's

    for my $end ("\x16\x03\x03\x00\x20" . 'x' x 32, 'GET / HTTP/1.1',
                 "\x15\x03\x03\x00\x02\x02\x28", "\x15\x03\x03\x00\x02\x01\x00")
    {
        my $c = client(@args);

        $c->handshake_step();
        $c->exchange($c->tls_out());

        my $cookie = cookie($c);

        $c->post($end);
        is(status(answer(outer(), '', Cookie => $cookie)), 410,
           "$protocol: " . unpack('H14', $end) . ' ends a handshake');
        is_valid("$protocol: " . unpack('H14', $end) . ' in a handshake');
    }

    # by whatever worker process

    for (1 .. 5) {
        my $c = client(@args);

        $c->handshake_step();
        $c->exchange($c->tls_out());

        bad_chunk($c, '');
    }

    is_valid("$protocol: chunks in a handshake");
    bad_chunk(undef, '');
    bad_chunk(undef, chunk(substr first_flight(), 0, 50));
    is_valid('a chunk without a size');
}


sub bad_chunk {
    my ($c, $before) = @_;

    my $s = http_connect($v->port());

    send_all($s, "POST $uri HTTP/1.1\r\nHost: localhost\r\n"
                 . ($c ? 'Cookie: ' . cookie($c) . "\r\n" : '')
                 . "Content-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n"
                 . "${before}zz\r\n");
    ok(readable($s, patience()), 'a chunk without a size');
    sysread $s, my $head, 12;
    is($head, 'HTTP/1.1 400', 'is answered 400');
    1 while sysread $s, my $rest, 4096;
}


sub timed_out {
    my $c = client(uri => '/hasty');

    $c->handshake_step();
    $c->exchange($c->tls_out());
    sleep TIMEOUT + 1;
    is(status($c->post('')), 410, 'a handshake whose time is over');
    is_valid('the time of a handshake');
}


# As many handshakes on one connection as a worker may have, and more.

sub no_room {
    my $outer = outer(uri => '/hasty');
    my %status;

    for (1 .. HANDSHAKES + 2) {
        $status{status(answer($outer, first_flight()))}++;
    }

    cmp_ok($status{503} || 0, '>', 0, 'no room for a handshake');
    is_valid('no room');
}


sub raw {
    my $c = established(uri => '/raw');

    $c->write_plain('a message');
    $c->exchange($c->tls_out());
    is($c->read_plain(), 'a message', 'raw');

    $c = established(uri => '/raw-refused');
    $c->write_plain('a message');
    is(status($c->post($c->tls_out())), 502, 'raw: refused');
    is(status($c->post('')), 200, 'raw: and goes on');

    # with the end of the handshake

    $c = client(uri => '/raw-refused');
    $c->handshake_step();
    $c->exchange($c->tls_out());
    $c->handshake_step();
    $c->write_plain('a message');
    is(status($c->post($c->tls_out())), 502, 'raw: refused at once');
    is_valid('raw');
}


sub own {
    is(status(answer(outer(uri => '/closed'), first_flight())), 403,
       'another status');
    is_valid('nginx\'s own');
}


# What bodies may be: parts of them, other orders, no good ClientHellos.

sub bodies {
    for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
        my @args = (protocol => $protocol);

        in_pieces(@args);
        refused_hellos(@args);
        refused_servers(@args);
        limited_fragments(@args);
    }

    retry();
    renegotiation();
    early_data();
    cut_response();
    pipelined();
}


sub in_pieces {
    my $c = client(@_);

    ok($c->handshake(split => 7), "@_: a handshake in pieces");
    $c->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ok($c->exchange($c->tls_out(), split => [ 1, 3, 2, 20 ]),
       "@_: a request in pieces");
    like($c->read_plain(), qr/hello/, "@_: is answered");

    # a ClientHello on an established session

    is(status($c->post(first_flight(@_))), 200, "@_: a ClientHello in between");
    is_valid("@_ in pieces");
}


sub refused_hellos {
    my @args = @_;

    my %refused = (
        120 => [ alpn => [ 'h2', 'spdy/3' ] ],
        50  => [ sni => 'a/b' ],
        40  => [ protocol => 'TLSv1.2',
                 ciphers => 'ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA' ],
    );

    for my $alert (sort keys %refused) {
        my $c = client(@args, @{$refused{$alert}});

        $c->handshake();
        is(join(' ', $c->alerts()), $alert, "@args: alert $alert");
        is_valid("@args: alert $alert");
    }
}


# The client has a fatal alert for the server.

sub refused_servers {
    my $c = client(@_, ca => $t->path('other.crt'));

    $c->handshake();
    ok($c->error(), "@_: a client that does not trust the server");
    $c->exchange($c->tls_out());
    is_valid("@_: a client that does not trust the server");
}


sub limited_fragments {
    my $hello = with_extension(first_flight(@_), 1, "\x01");
    my $r = answer(outer(), $hello);

    is(status($r), 200, "@_: short fragments");
    is_valid("@_: short fragments");
}


sub with_extension {
    my ($hello, $type, $data) = @_;

    my $more = pack 'n n/a', $type, $data;
    my ($head, $id, $suites, $methods, $extensions) =
        unpack 'x9 a34 C/a n/a C/a n/a', $hello;
    my $body = pack 'a34 C/a n/a C/a n/a', $head, $id, $suites, $methods,
                    $more . $extensions;

    return pack 'H6 n/a', '160301', pack 'C C n a*', 1, 0, length $body, $body;
}


sub retry {
    for my $split (0, 50) {
        my $c = client(uri => '/retry', protocol => 'TLSv1.3',
                       groups => 'P-256:P-384');

        ok($c->handshake($split ? (split => $split) : ()),
           'HelloRetryRequest');
        is(eval { $c->get('/ok')->body() }, 'hello', 'and a request');
        is_valid('HelloRetryRequest');
    }
}


sub renegotiation {
    my $c = established(protocol => 'TLSv1.2');

    Net::SSLeay::renegotiate($c->ssl());
    $c->handshake_step();
    is(status($c->post($c->tls_out())), 200, 'renegotiation');
    is(status($c->post('')), 200, 'and goes on');
    is_valid('renegotiation');
}


sub early_data {
    my $stack = 'openssl';
    my $c = Test::Atls::Stack->new($stack, port => $v->port());

    ok($c->handshake(), 'before early data');
    $c->get('/ok');
    $c->key_update(1);
    is(eval { $c->get('/ok')->body() }, 'hello', 'after a KeyUpdate');

    my @args = (port => $v->port(), session => $c->session(),
                early => $c->format_get('/ok'));

    for my $accepted (1, 0) {
        my $d = Test::Atls::Stack->new($stack, @args);

        ok($d->handshake(), "early data, $accepted");
        is(eval { $d->early_response()->body() }, 'hello', 'and its answer')
            if $accepted;
        is(eval { $d->get('/ok')->body() }, 'hello', 'and a request');
        $d->close_notify();
        is_valid("early data, $accepted");
    }
}


sub cut_response {
    my $c = established();
    my $cookie = cookie($c);

    $c->write_plain("GET /slow?n=3&delay=0.5 HTTP/1.1\r\n"
                    . "Host: localhost\r\n\r\n");
    $c->post_send($c->tls_out());
    readable($c->http_client()->{socket}, patience());
    $c->http_client()->close();

    my $outer = outer();

    ok($t->wait_for(sub {
        status(answer($outer, '', Cookie => $cookie)) ne '409'
    }), 'a cut response');
    is_valid('a cut response');
}


# Two sessions at once.

sub pipelined {
    my @clients = (established(), established());
    my $s = http_connect($v->port());

    send_all($s, join '', map {
        $_->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");
        my $body = $_->tls_out();
        "POST $uri HTTP/1.1\r\nHost: localhost\r\nContent-Type: $type\r\n"
        . 'Cookie: ' . cookie($_) . "\r\nContent-Length: " . length($body)
        . "\r\n\r\n$body"
    } @clients);

    my $answers = '';

    while ((() = $answers =~ /HTTP\/1/g) < 2 && readable($s, patience())) {
        sysread $s, $answers, 4096, length $answers or last;
    }

    is(() = $answers =~ /HTTP\/1.1 200/g, 2, 'pipelined POSTs');
    is_valid('pipelined POSTs');
}


# The command.

sub command {
    my $atls = Test::Atls::Command->new($t);
    my @via = ('--via', 'http://127.0.0.1:' . $v->port() . $uri, '--cacert',
               $t->path('ca.crt'));
    my $site = 'https://localhost';

    $t->write_file('upload', pattern(200_000));

    my @tickets = ('--early-data', '--session-file', $t->path('tickets'));

    for (1, 2) {
        my $r = $atls->run(@via, @tickets, "$site/ok", "$site/ok");

        is($r->{out}, 'hello' x 2, "atls: requests, $_") or diag($r->{err});
    }

    my $r = $atls->run(@via, '-T', $t->path('upload'), "$site/body");

    is($r->{out}, pattern(200_000), 'atls: an upload') or diag($r->{err});
    is(length $atls->run(@via, "$site/large")->{out}, LARGE,
       'atls: a large one');
    is($atls->run(@via, '--tls12', "$site/ok")->{out}, 'hello',
       'atls: TLS 1.2');
    is_valid('atls');

    my $forward = Test::Atls::LocalServer->start($atls, 'forward', @via, $site);

    for (1 .. 3) {
        my $r = $forward->ask("POST /body\nContent-Length: 5\n\nhello");

        is($r && $r->body(), 'hello', 'atls forward');
    }

    is($forward->stop()->{code}, 0, 'atls forward: its end');
    is_valid('atls forward');
}
