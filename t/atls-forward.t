#!/usr/bin/perl

# atls forward with the module: requests of local programs, and the responses.
# For sessions, see t/atls-forward-pool.t; for errors, t/atls-forward-faults.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use IO::Socket::INET;
use Test::More;

use Test::Atls::Http qw( http_raw parse_responses readable send_all );
use Test::Atls::LocalServer qw( message next_answer summary );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience );

use constant MB => 1 << 20;

my $slow = $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND} || $ENV{TEST_NGINX_SLOW};
my $LARGE = MB * ($slow ? 10 : 100);
my $PATIENCE = patience();

my $t = Test::Atls::Site->new();
my $backend = $t->backend();

$t->run_daemon(\&gate, port => $t->port(2));

my $headers = 'proxy_set_header Host $http_host;'
              . 'proxy_buffer_size 64k; proxy_buffers 8 64k;';

$t->serve(<<'EOC', http => 'client_max_body_size 0;', backend => $headers);
# Location: https://localhost/dir/, as for a browser

location = /dir {
    return 301 https://LOCALHOST:443/dir/?a;
}

location = /there {
    return 302 https://localhost.example.com/;
}

location = /gate {
    proxy_pass http://127.0.0.1:%%PORT_2%%;
    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_buffering off;
}
EOC

my $atls = $t->command();
my $site = 'https://localhost';
my @common = ('--via', $t->endpoint('/.well-known/atls'),
              '--cacert', $t->path('ca.crt'));

my $forward = $t->forward('--idle', '0.2');
my $port = $forward->port();
my ($threads, $files) = $forward->at_rest();

subtest('requests' => \&requests);
subtest('headers' => \&headers);
subtest('answers' => \&answers);
subtest('redirections' => \&redirections);
subtest('connections' => \&connections);
subtest('chunks' => \&chunks);
subtest('100-continue' => \&expectations);
subtest('streaming' => \&streaming);
subtest('large transfers' => \&large);
subtest('nothing is left' => \&nothing_left);
subtest('log' => \&logged);

$t->done_testing();


sub ask { return $forward->ask(@_) }


sub requests {
    for (qw( GET DELETE OPTIONS PATCH POST PUT REPORT )) {
        my $r = ask("$_ /echo?a=b%20c");
        my $q = $backend->request();
        is($r->status() . " $q->{method} $q->{uri} $q->{version}",
           "200 $_ /echo?a=b%20c HTTP/1.1", $_);
    }

    my $r = ask('HEAD /echo');
    cmp_ok($r->header('Content-Length'), '>', 10, 'HEAD');
    is($backend->request()->{method}, 'HEAD', 'the request');

    for (qw( POST PUT DELETE GET )) {
        $r = ask("$_ /body\nContent-Length: 5\nContent-Type: a/b\n\nbytes");
        is(summary($r), '200 bytes', "$_ with a body");
        is($r->header('Content-Type'), 'a/b', 'its type');
        is($backend->request()->{h}{'content-length'}, 5, 'its length');
    }

    $r = ask("POST /body\nContent-Length: 0");
    is(summary($r) . $backend->request()->{h}{'content-length'}, '200 0',
       'empty body');

    for ('http://localhost/echo?a', "http://LOCALHOST:$port/echo?a",
         "https://127.0.0.1/echo?a")
    {
        ask("GET $_");
        my $q = $backend->request();
        is("$q->{uri} $q->{h}{host}", '/echo?a localhost', $_);
    }

    ask("GET http://localhost?a");
    is($backend->request()->{uri}, '/?a', 'no path, a query');
    ask("OPTIONS http://localhost");
    ok($t->wait_for_log(qr!"OPTIONS \* HTTP/1.1"!), 'neither, and OPTIONS');

    my $q = "\r\n\r\n" . message('GET /echo');
    my ($first) = parse_responses(http_raw($port, $q, answers => 1));
    is($first->status(), 200, 'after empty lines');
    is(`curl -s http://127.0.0.1:$port/chunked`, "one\ntwo\nthree\n", 'curl');

    $backend->forget();
    done_testing();
}


# Hop-by-hop headers are not forwarded.

sub headers {
    ask(<<"EOR");
GET /echo
Host: 127.0.0.1:$port
X-One:  1\t
X-Empty:
Accept: a/b
X-Zero: 0
Connection: keep-alive, X-Two, x-zero
X-Two: 2
Keep-Alive: timeout=5
Proxy-Connection: keep-alive
Proxy-Authorization: Basic x
TE: trailers
Upgrade: h2c
HTTP2-Settings: x
Origin: http://127.0.0.1:$port
Cookie: a=1
Cookie: b=2
EOR

    my $q = $backend->request();
    my $got = join "\n", sort map { lc($_->[0]) . ":$_->[1]" } @{$q->{headers}};
    is($got, <<"EOH" =~ s/\n\z//r, 'what the service gets');
accept:a/b
cookie:a=1
cookie:b=2
host:localhost
origin:http://127.0.0.1:$port
x-empty:
x-one:1
EOH

    # RFC 9110, section 7.8: they may be ignored

    for my $upgrade ('TLS/1.2', 'h2c, TLS/1.2', 'HTTP/2.0') {
        my $r = ask("GET /echo\nConnection: Upgrade\nUpgrade: $upgrade");
        is($r->status(), 200, "Upgrade: $upgrade");
        is($backend->request()->{h}{upgrade}, undef, 'is not passed');
    }

    my $r = ask('GET /cookie');
    is(join('|', $r->header('Set-Cookie')), 'a=1; Path=/|b=2; Path=/',
       'several of a name');
    is($r->header('Connection'), undef, 'no Connection');

    $r = ask('GET /headers?n=20&size=2000');
    is(scalar(grep { $_->[0] =~ /^X-Header/ && length $_->[1] == 2000 }
              @{$r->{headers}}), 20, 'many, and long ones');

    $backend->forget();
    done_testing();
}


sub answers {
    my $r = ask('GET /big?size=1000');
    is($r->header('Content-Length'), 1000, 'length known');
    is($r->header('Transfer-Encoding'), undef, 'and nothing else');
    is($r->body(), pattern(1000), 'content');

    $r = ask('GET /big?size=100000&chunked=1');
    is($r->header('Transfer-Encoding'), 'chunked', 'length not known');
    is(md5_hex($r->body()), pattern_md5(100_000), 'content');

    is(summary(ask('GET /eof')), "200 until the end\n", 'until the end');

    for my $code (204, 304) {
        $r = ask("GET /status?code=$code");
        is(summary($r), "$code ", "status $code");
        is($r->header('Transfer-Encoding'), undef, 'no body');
    }

    is(summary(ask("GET /status?code=$_")), "$_ status $_\n", "status $_")
        for 201, 301, 404, 416, 500, 503;

    $r = ask("GET /etag\nIf-None-Match: \"v1\"");
    is($r->status() . $r->header('ETag'), '304"v1"', '304 with an ETag');

    $r = ask("GET /big?size=1000\nRange: bytes=10-19");
    is(summary($r), '206 ' . pattern(10, 10), 'a range');

    # HTTP/1.0

    $r = ask('GET /big?size=1000 HTTP/1.0', answers => undef);
    is($r->header('Connection') . $r->body(), 'close' . pattern(1000),
       'HTTP/1.0');

    $r = ask("GET /big?size=1000 HTTP/1.0\nConnection: keep-alive");
    is($r->header('Connection') . $r->body(), 'keep-alive' . pattern(1000),
       'HTTP/1.0, keep-alive');

    $r = ask("GET /chunked HTTP/1.0\nConnection: keep-alive",
             answers => undef);
    is($r->header('Connection') . $r->body(), "closeone\ntwo\nthree\n",
       'HTTP/1.0, of unknown length');
    is($r->header('Transfer-Encoding'), undef, 'no chunks');

    done_testing();
}


sub redirections {
    is(ask('GET /dir')->header('Location'), '/dir/?a', 'to the service');
    is(ask('GET /there')->header('Location'), 'https://localhost.example.com/',
       'to another host');

    done_testing();
}


sub connections {
    my $s = $forward->connect();
    my $got = '';

    for my $n (1 .. 5) {
        send_all($s, message("GET /status?code=40$n"));
        is(summary(next_answer($s)), "40$n status 40$n\n", "request $n");
    }

    send_all($s, message("GET /echo\nConnection: close"));
    is(next_answer($s)->header('Connection'), 'close', 'the last one');
    is(sysread($s, $got, 1), 0, 'closed');

    # pipelined: some responses take longer than the next one

    my @paths = map { ("/status?code=$_", '/slow?n=2&delay=0.05') } 410 .. 414;
    my $bytes = http_raw($port, join('', map { message("GET $_") } @paths),
                         answers => scalar @paths, timeout => $PATIENCE);

    is(join(' ', map { $_->status() } parse_responses($bytes)),
       join(' ', map { ($_, 200) } 410 .. 414), 'pipelined, in order');

    $bytes = http_raw($port, message("POST /body\nContent-Length: 3\n\none")
                             . message("POST /body\nTransfer-Encoding: chunked"
                                       . "\n\n3\r\ntwo\r\n0\r\n\r\n")
                             . message('GET /chunked'), answers => 3);
    is(join(' ', map { $_->body() } parse_responses($bytes)),
       "one two one\ntwo\nthree\n", 'with bodies');

    # a half-closed connection still receives the response

    like(http_raw($port, message('GET /chunked'), shut => 1), qr/three/,
         'half closed');
    like(http_raw($port, message('GET /chunked') . message('GET /echo'),
                  shut => 1), qr/three.*\bGET \/echo/s, 'pipelined, too');

    $backend->forget();
    done_testing();
}


# A chunked body in pieces of any size.

sub chunks {
    my $head = message("POST /body\nTransfer-Encoding: Chunked");
    my $body = "5;name=\"a;b\"\r\nhello\r\n00001\r\n \r\nA \r\n"
               . "0123456789\r\n0;x\r\nX-Trailer: x\r\nY: z\r\n\r\n";
    my $next = message("GET /chunked\nConnection: close");
    my $want = "hello 0123456789 one\ntwo\nthree\n";

    for my $size (1, 7, 1000) {
        my $s = $forward->connect();

        send_all($s, $_) for "$head$body$next" =~ /(.{1,$size})/gs;

        my ($bytes, $n) = ('');
        1 while $n = sysread $s, $bytes, 65536, length $bytes;
        is(join(' ', map { $_->body() } parse_responses($bytes)), $want,
           "in pieces of $size bytes");
    }

    $backend->forget();
    done_testing();
}


sub expectations {
    my $s = $forward->connect("POST /body\nExpect: 100-continue\n"
                              . 'Content-Length: 5');
    my $line = '';
    1 while $line !~ /\r\n\r\n/ && sysread $s, $line, 1, length $line;
    is($line, "HTTP/1.1 100 Continue\r\n\r\n", 'status 100');
    send_all($s, 'bytes');
    like(next_answer($s)->body(), qr/bytes\z/, 'and then the answer');
    is($backend->request()->{h}{expect}, undef, 'between the two of us only');

    # the body has already been received

    my ($r) = parse_responses(http_raw($port,
        message("POST /body\nExpect: 100-Continue\nContent-Length: 2\n\nhi"),
        answers => 1));
    is(summary($r) . @{$r->interim()}, '200 hi0', 'no 100');

    $r = ask("POST /body\nExpect: something\nContent-Length: 2\n\nhi");
    is($r->status(), 417, 'something else');

    $r = ask("GET /chunked\nExpect: 100-continue");
    is($r->status() . @{$r->interim()}, '2000', 'no body');

    $backend->forget();
    done_testing();
}


# Bytes are forwarded in both directions before the message is complete.

sub streaming {
    my $s = $forward->connect('GET /gate');
    my $got = read_until($s, qr/first/);
    like($got, qr/first\n/, 'the first half of an answer');
    unlike($got, qr/second/, 'and not the second');
    $t->write_file('open', '');
    like(read_until($s, qr/second/), qr/second\n/, 'the second half');

    for my $framing ('Content-Length: 8', 'Transfer-Encoding: chunked') {
        my @pieces = $framing =~ /chunked/
                     ? ("4\r\nhalf\r\n", "4\r\nfull\r\n0\r\n\r\n")
                     : ('half', 'full');

        unlink $t->path('seen');
        $s = $forward->connect("POST /gate\n$framing\n\n$pieces[0]");
        ok($t->wait_for(sub { $t->read_file('seen') =~ /half/ }, $PATIENCE),
           "half a request: $framing");
        unlike($t->read_file('seen'), qr/full/, 'and not the rest');
        send_all($s, $pieces[1]);
        like(next_answer($s)->body(), qr/second\n\z/, 'the answer');
        like($t->read_file('seen'), qr/half.*full/s, 'to the whole request');
    }

    # a header without a body yet

    $s = $forward->connect('GET /slow?n=2&delay=0.3');
    like(read_until($s, qr/\r\n\r\n/), qr/^Transfer-Encoding: chunked/m,
         'a header');

    done_testing();
}


sub read_until {
    my ($s, $re) = @_;

    my $got = '';

    until ($got =~ $re) {
        readable($s, $PATIENCE) && $s->sysread($got, 65536, length $got)
            or return "$got (an end)";
    }

    return $got;
}


# A backend that writes what it has received to a file.  It sends the second
# half of the response when the request is complete and another file exists.

sub gate {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5,
                                       LocalPort => $t->port(2), ReuseAddr => 1)
        or die "gate: $!\n";

    CONNECTION:
    while (my $s = $listen->accept()) {
        my $got = '';

        until ($got =~ /^GET.*\r\n\r\n|full/s) {
            sysread $s, $got, 65536, length $got or next CONNECTION;
            $t->write_file('seen', $got);
        }

        print $s "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nfirst\n";
        $s->flush();
        $t->wait_for(sub { -e $t->path('open') }, 60);
        print $s "second\n";
    }
}


# Memory is bounded, even if a peer is slow.

sub large {
    download(MB);
    my $before = $forward->memory();

    is(download($LARGE), pattern_md5($LARGE), 'download');
    is(download($LARGE / 4, 1), pattern_md5($LARGE / 4), 'to a slow reader');
    is(download($LARGE / 4, 0, '&chunked=1'), pattern_md5($LARGE / 4),
       'of unknown length');

    is(upload($LARGE / 2), pattern_md5($LARGE / 2), 'upload');
    is(upload($LARGE / 2, 1), pattern_md5($LARGE / 2), 'in chunks');

    my $grown = $forward->memory() - $before;
    note("peak memory: $before kB, $grown kB more");

    SKIP: {
        skip 'memory is not the command\'s own here', 1 if $slow;
        cmp_ok($grown, '<', 8192, 'constant memory');
    }

    $backend->forget();
    done_testing();
}


# A slow reader waits until all buffers are full.

sub download {
    my ($size, $late, $args) = @_;

    my $md5 = Digest::MD5->new();
    my $r = Test::Atls::Response->new(on_body => sub { $md5->add($_[0]) });
    my $s = $forward->connect("GET /big?size=$size" . ($args || ''));

    filled($s) if $late;

    until ($r->done()) {
        readable($s, $PATIENCE) && $s->sysread(my $bytes, 1 << 18)
            or return 'an end after ' . $r->length();
        $r->feed($bytes);
    }

    return $md5->hexdigest();
}


# Returns when the socket does not receive any more.

sub filled {
    my ($s) = @_;

    my ($n, $before) = (0, -1);

    while ($n != $before) {
        select undef, undef, undef, 0.2;
        $before = $n;
        my $bytes = pack 'i', 0;
        ioctl $s, 0x541b, $bytes or die "FIONREAD: $!\n";
        $n = unpack 'i', $bytes;
    }
}


sub upload {
    my ($size, $chunked) = @_;

    my $framing = $chunked ? 'Transfer-Encoding: chunked'
                           : "Content-Length: $size";
    my $s = $forward->connect("POST /echo\n$framing");

    for (my $at = 0; $at < $size; $at += MB) {
        my $piece = pattern($size - $at < MB ? $size - $at : MB, $at);
        $piece = sprintf "%x\r\n%s\r\n", length $piece, $piece if $chunked;
        send_all($s, $piece);
    }

    send_all($s, "0\r\n\r\n") if $chunked;

    my ($md5) = next_answer($s)->body() =~ /^md5 (\w+)/m;

    return $md5;
}


sub nothing_left {
    ok($t->wait_for(sub { $forward->threads() <= $threads }, $PATIENCE),
       'no threads') or diag($forward->threads() . " and not $threads");
    ok($t->wait_for(sub { $forward->files() <= $files }, $PATIENCE),
       'no descriptors') or diag($forward->files() . " and not $files");

    done_testing();
}


sub logged {
    my $from = $forward->log();

    ask('GET /status?code=404&secret');
    $forward->log($from + 1);
    ask("POST /a\xffb\nContent-Length: 3\n\nabc");
    $forward->log($from + 2);
    ask('HEAD /big?size=5');
    $forward->log($from + 3);
    ask("GET / HTTP/9.9");
    $backend->forget();

    my @lines = $forward->log($from + 4);
    my @new = @lines[$from .. $#lines];
    my $session = qr/\d\.\d{3} \d{1,2}/;
    my $peer = qr/127\.0\.0\.1:\d+/;

    like($new[0], qr/^$peer GET \/status\?code=404&secret 404 11 $session$/,
         'a request');
    like($new[1], qr/^$peer POST \/a\\xFFb 200 \d+ $session$/, 'odd bytes');
    like($new[2], qr/^$peer HEAD \/big\?size=5 200 0 $session$/, 'no body');
    like($new[3], qr/^$peer - - 505 \d+ \d\.\d{3} -: unsupported HTTP version/,
         'a bad one');
    is(@new, 4, 'a line each');

    is($forward->said(), '', 'nothing else');
    is($forward->stop()->{code}, 0, 'exit code');

    done_testing();
}
