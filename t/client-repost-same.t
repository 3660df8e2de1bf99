#!/usr/bin/perl

# libatls: whether a POST is sent by libcurl or without it, the same response
# has the same result.  This test is the endpoint, and sends each response to
# both.  Where the results may differ, the table says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use Socket qw( IPPROTO_TCP TCP_NODELAY );
use Test::More;

use Test::Atls;
use Test::Atls::Lib;
use Test::Atls::Slow qw( patience );

my $TYPE = "Content-Type: application/atls+octet-stream\r\n";
my $CHUNKED = "HTTP/1.1 200 OK\r\n${TYPE}Transfer-Encoding: chunked\r\n\r\n";
my $URI = '/atls/endpoint';

my $t = Test::Atls->new();
my $lib = Test::Atls::Lib->new($t);
my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
    or die "cannot listen: $@\n";
my $url = 'http://127.0.0.1:' . $listen->sockport() . $URI;

my ($c, $s);                # the program; its connection

# other versions of libcurl may accept other responses

our $TODO;
my $known = `pkg-config --modversion libcurl` =~ /^7\.88\./;

$c = $lib->start($lib->compile('client_repost'));

my @ROWS = (
    header(), lengths(), chunks(), codings(), informational(), statuses(),
    connections(), fields(), cookies(),
);

compare(@$_) for @ROWS;

is($c->end(), 0, 'exit status');

$t->done_testing();


sub good {
    my ($headers, $body) = ($_[0] || '', $_[1] || 'ok');

    return "HTTP/1.1 200 OK\r\n$TYPE${headers}Content-Length: "
           . length($body) . "\r\n\r\n$body";
}


# The rows of the table: a name, a response, and
#
#     close => 1            the connection is closed after it
#     later => bytes        sent after it, when the result is known
#     idle => seconds       after it
#     repost => { }         results without libcurl, which libcurl need not have
#
# libcurl has to accept what any server sends.  Without it, a response is
# rejected if another reader may find another end of it, or if its form is that
# of no endpoint.  If all responses have that form, libcurl receives all of them
# (client-repost.t).

sub header {
    my @long = map { "X-$_: " . 'x' x 1000 . "\r\n" } 1 .. 100;

    return (
        [ 'an ordinary response', good() ],
        [ '8-bit characters', good("X: \xe4\xff\r\n") ],
        [ 'no space after the colon', good("X:y\r\n") ],
        [ 'spaces around a value', good() =~ s/: (\d+)/: \t $1 \t /r ],
        [ '60 kilobytes', good(join '', @long[0 .. 59]) ],
        [ 'a line of 40 kilobytes', good('X: ' . 'x' x 40000 . "\r\n") ],
        [ 'nothing', '', close => 1 ],
        wrong('lines without CR', good() =~ s/\r//gr),
        wrong('a line without CR', good("X: y\n")),
        wrong('the end without CR', good() =~ s/\r\n\r\n/\r\n\n/r),
        wrong('a folded line', good("X: y\r\n z\r\n")),
        wrong('no colon', good("X\r\n")),
        wrong('a space before the colon', good("X : y\r\n")),
        wrong('a space before the colon of the length',
              good() =~ s/(Length):/$1 :/r),
        wrong('a null character', good("X: a\0b\r\n")),
        wrong('a control character', good("X: a\x01b\r\n")),
        wrong('a carriage return', good("X: a\rb\r\n")),
        wrong('no name', good(": x\r\n")),
        wrong('a space in a name', good("X Y: z\r\n")),
        wrong('100 kilobytes', good(join '', @long)),
        wrong('a line of 200 kilobytes',
              good('X: ' . 'x' x 200000 . "\r\n")),
        wrong('an incomplete line', good() =~ s/Length.*//sr),
        wrong('an incomplete header', good() =~ s/\r\nok//r),
        wrong('an incomplete first line', 'HTTP/1.'),
    );
}


sub lengths {
    my $no = "HTTP/1.1 200 OK\r\n$TYPE";

    return (
        [ 'no length', "$no\r\nok", close => 1 ],
        [ 'a zero before the length', $no . "Content-Length: 02\r\n\r\nok" ],
        [ 'too short', good('', 'ok!') =~ s/!$//r, close => 1 ],
        wrong('twice the same length', good("Content-Length: 2\r\n")),
        wrong('a smaller length first', good("Content-Length: 1\r\n")),
        wrong('a larger length first', good("Content-Length: 3\r\n")),
        map { wrong("length $_", "${no}Content-Length: $_\r\n\r\nok") }
            '2, 2', '-1', '+2', '0x2', '2x', '2 2', '', '2.0',
            '9223372036854775807', '9223372036854775808',
            '18446744073709551618', '9' x 40
    );
}


sub chunks {
    my %chunks = (
        'the end'          => "0\r\n\r\n",
        'ordinary'         => "2\r\nok\r\n0\r\n\r\n",
        'zeros'            => "0002\r\nok\r\n000\r\n\r\n",
        'an extension'     => "2;a=\"b;c\"\r\nok\r\n0;d\r\n\r\n",
        'a long extension' => '2;' . 'x' x 40000 . "\r\nok\r\n0\r\n\r\n",
        'a space'          => "2 \r\nok\r\n0 \r\n\r\n",
        'a leading space'  => " 2\r\nok\r\n0\r\n\r\n",
        'capitals'         => "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        'no CRLF'          => "2\r\nok0\r\n\r\n",
        'too long'         => "2\r\noks\r\n0\r\n\r\n",
        'a sign'           => "+2\r\nok\r\n0\r\n\r\n",
        'negative'         => "-2\r\nok\r\n0\r\n\r\n",
        'no size'          => "\r\nok\r\n0\r\n\r\n",
        'too large'        => "ffffffffffffffff\r\nok\r\n0\r\n\r\n",
        'much too large'   => "10000000000000002\r\nok\r\n0\r\n\r\n",
        'a prefix'         => "0x2\r\nok\r\n0\r\n\r\n",
        'a trailer'        => "2\r\nok\r\n0\r\nX: y\r\nZ: a\r\n\r\n",
        'a length in the trailer'
                           => "2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n",
        'a cookie in the trailer'
                           => "2\r\nok\r\n0\r\nSet-Cookie: a=9; Path=/\r\n\r\n",
    );
    my $ok = { error => 'OK', kept => 1, same => 1, body => 'ok' };
    my $wrong = { error => 'NETWORK', kept => 0, same => 0 };

    return (
        (map { [ "chunks: $_", $CHUNKED . $chunks{$_} ] } sort keys %chunks),
        (map { [ "chunks: $_->[0]", "$CHUNKED$_->[1]", close => 1 ] }
         [ 'incomplete', "2\r\no" ], [ 'no last chunk', "2\r\nok\r\n" ],
         [ 'no end of the trailer', "2\r\nok\r\n0\r\n" ]),
        [ 'chunks: many zeros', $CHUNKED . '0' x 30 . "2\r\nok\r\n0\r\n\r\n",
          repost => $ok ],
        [ 'chunks: a trailer without colon',
          "${CHUNKED}2\r\nok\r\n0\r\nX\r\n\r\n", repost => $ok ],
        [ 'chunks: a long trailer',
          "${CHUNKED}2\r\nok\r\n0\r\n" . "X: y\r\n" x 20000 . "\r\n",
          repost => { %$wrong } ],
        [ 'chunks: no CR', "${CHUNKED}2\nok\n0\n\n",
          repost => { %$wrong, body => '' } ],
        [ 'chunks: no CR after the size', "${CHUNKED}2\nok\r\n0\r\n\r\n",
          repost => { %$wrong, body => '' } ],
    );
}


sub codings {
    my @codings = (
        "chunked\r\nContent-Length: 2", "x\r\nContent-Length: 2",
        'chunked, chunked', 'gzip, chunked', 'identity', 'chunked, identity',
        'x', '', "chunked\r\nTransfer-Encoding: chunked"
    );
    my $head = "HTTP/1.1 200 OK\r\n$TYPE";
    my $body = "\r\n\r\n2\r\nok\r\n0\r\n\r\n";

    return (
        [ 'coding: Chunked', "${head}Transfer-Encoding: Chunked$body" ],
        wrong('coding: a length first', "${head}Content-Length: 2\r\n"
              . "Transfer-Encoding: chunked$body"),
        map { wrong("coding: $_", "${head}Transfer-Encoding: $_$body") }
            @codings
    );
}


sub informational {
    return (
        (map { [ $_, "HTTP/1.1 $_\r\n\r\n" . good() ] }
         '100 Continue', '102 Processing', '103 Early Hints', '199 X'),
        [ '100 with a length', "HTTP/1.1 100 Continue\r\nContent-Length: 2"
                               . "\r\n\r\n" . good() ],
        [ '103 with another media type', "HTTP/1.1 103 Early Hints\r\n"
          . "Content-Type: text/html\r\n\r\n" . good() ],
        [ '103 with Set-Cookie', "HTTP/1.1 103 Early Hints\r\n"
          . "Set-Cookie: a=103; Path=/\r\n\r\n" . good(),
          repost => { cookie => 'a=1' } ],
        [ '1000 times 100', "HTTP/1.1 100 Continue\r\n\r\n" x 1000 . good() ],
        wrong('10000 times 100', "HTTP/1.1 100 Continue\r\n\r\n" x 10000
                                 . good()),
        wrong('101', "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
                     . "Connection: upgrade\r\n\r\n" . good()),
        wrong('103, and the end', "HTTP/1.1 103 Early Hints\r\n\r\n"),
        wrong('199 with a body', "HTTP/1.1 199\r\n$TYPE\r\nok"),
    );
}


sub statuses {
    my $page = "Content-Type: text/html\r\nContent-Length: 4\r\n";
    my $next = 'https://other.example/x';

    return (
        (map { [ "status $_", "HTTP/1.1 $_\r\n$page\r\npage" ] }
         '200', '202 Accepted', '206 Partial', '300 X', '400 Bad', '401 Who',
         '403 No', '407 Proxy', '409 Conflict', '410 Gone', '413 Large',
         '417 Expect', '421 Misdirected', '425 Early', '429 Many', '500 Error',
         '502 Bad', '503 Busy', '504 Late', '599 X', '600 X', '999 X'),
        (map { [ "status line: $_", good() =~ s!^HTTP/1\.1 200 OK!$_!r,
                 close => 1 ] }
         'HTTP/1.1 200', 'HTTP/1.1 200 '),
        (map { wrong("status line: $_", good() =~ s!^HTTP/1\.1 200 OK!$_!r) }
         'HTTP/1.1  200 OK', 'HTTP/1.1 2000 OK', 'HTTP/1.1 20 OK',
         'HTTP/1.1 099 OK', 'HTTP/1.1 200OK', 'HTTP/1.1', 'HTTP/1.2 200 OK',
         'HTTP/2 200', 'HTTP/2.0 200 OK', 'HTTP/0.9 200 OK', 'HTTP/11 200 OK',
         'ICY 200 OK', 'http/1.1 200 OK', "\r\nHTTP/1.1 200 OK",
         ' HTTP/1.1 200 OK', 'SSH-2.0-x'),
        wrong('a TLS record', "\x16\x03\x03\x00\x02ok"),
        [ '204', "HTTP/1.1 204 No\r\n$TYPE\r\n" ],
        [ '204 with a length', "HTTP/1.1 204 No\r\n${TYPE}Content-Length: 2"
                               . "\r\n\r\nok", repost => { kept => 0,
                                                           same => 0 } ],
        [ '205', "HTTP/1.1 205 Reset\r\n${TYPE}Content-Length: 0\r\n\r\n" ],
        [ '302', "HTTP/1.1 302 Found\r\n${page}Location: /x\r\n\r\npage" ],
        [ '307', "HTTP/1.1 307 Found\r\n${page}Location: $next\r\n\r\npage" ],
        [ '304', "HTTP/1.1 304 Not\r\n$TYPE\r\n" ],
        (map { [ "401 $_", "HTTP/1.1 401 Who\r\n${page}WWW-Authenticate: $_"
                           . " realm=\"x\", nonce=\"y\"\r\n\r\npage" ] }
         qw( Basic Digest NTLM )),
        [ '407 Basic', "HTTP/1.1 407 Who\r\n${page}Proxy-Authenticate: Basic"
                       . " realm=\"x\"\r\n\r\npage" ],
        (map { [ "Retry-After: $_", "HTTP/1.1 503 Busy\r\n${page}"
                 . "Retry-After: $_\r\n\r\npage" ] }
         '7', '0', '-1', '7x', 'x', '', 'Fri, 01 Jan 1999 00:00:00 GMT'),
    );
}


sub connections {
    my $http10 = good() =~ s!/1\.1!/1.0!r;
    my $lost = { kept => 0, same => 0 };

    return (
        [ 'HTTP/1.0', $http10, close => 1 ],
        [ 'HTTP/1.0, open', $http10 ],
        [ 'HTTP/1.0, keep-alive',
          $http10 =~ s!\r\nC!\r\nConnection: Keep-Alive\r\nC!r ],
        [ 'HTTP/1.0, no length', "HTTP/1.0 200 OK\r\n$TYPE\r\nok",
          close => 1 ],
        wrong('HTTP/1.0, chunked', $CHUNKED =~ s!/1\.1!/1.0!r
                                   . "2\r\nok\r\n0\r\n\r\n"),
        (map { [ "Connection: $_", good("Connection: $_\r\n") ] }
         'close', 'Close', 'x, close', 'close, keep-alive', 'keep-alive',
         'upgrade'),
        [ 'Connection: closed', good("Connection: closed\r\n"),
          repost => { kept => 1, same => 1 } ],
        [ 'Proxy-Connection: close', good("Proxy-Connection: close\r\n") ],
        [ 'Keep-Alive: timeout=0', good("Keep-Alive: timeout=0\r\n") ],
        [ 'a second response', good() . good('', 'no') ],
        [ 'data after a response', good() . "\r\n" ],
        [ 'a second response, chunked', $CHUNKED . "2\r\nok\r\n0\r\n\r\n"
                                        . good('', 'no'), repost => $lost ],
        [ 'a second response, later', good(), later => good('', 'no'),
          repost => { same => 0 } ],
        [ 'data later', good(), later => "\r\n", repost => { same => 0 } ],
        [ 'used soon', good(), idle => 100 ],
        [ 'idle', good(), idle => 120, repost => { same => 0 } ],
    );
}


sub fields {
    my $other = "Content-Type: text/html\r\n";

    return (
        [ 'another media type first', good() =~ s/\r\n/\r\n$other/r ],
        [ 'another media type last', good($other) ],
        [ 'parameters', good() =~ s/stream/stream; a=b/r ],
        [ 'capitals', good() =~ s!application/atls!APPLICATION/Atls!r ],
        [ 'no media type', good() =~ s/\Q$TYPE//r ],
        [ 'an empty media type', good() =~ s/: appl\S+/:/r ],
        (map { [ "Content-Encoding: $_", good("Content-Encoding: $_\r\n") ] }
         'gzip', 'identity', 'Identity', 'identity, gzip'),
        [ 'two codings', good("Content-Encoding: identity\r\n"
                              . "Content-Encoding: gzip\r\n") ],
        [ 'Location', good("Location: /atls/endpoint/7\r\n") ],
        [ '201 with Location', good("Location: /atls/endpoint/7\r\n")
                               =~ s/200 OK/201 Created/r ],
        [ '201 with another host', good("Location: http://x.example/\r\n")
                                   =~ s/200 OK/201 Created/r ],
        [ '201', good() =~ s/200 OK/201 Created/r ],
        [ 'Alt-Svc', good("Alt-Svc: h2=\":1\"\r\n") ],
        [ 'Strict-Transport-Security',
          good("Strict-Transport-Security: max-age=9999\r\n") ],
    );
}


# There is a cookie "a=1" with the path "/atls".

sub cookies {
    return (
        (map { [ "Set-Cookie: $_", good("Set-Cookie: $_\r\n") ] }
         'a=2', 'b=3', 'a=2; Max-Age=0', 'b=3; Max-Age=0', 'b=3; Secure',
         'a=2; Path=/', 'a=2; Path=/other', 'a=2; Path=other',
         'a=2; Path=/atls/endpoint', 'a=2; Path=/atls/x',
         'a=2; Path=/other; Max-Age=0', 'b=3; Path=/atls; Path=/other',
         'b=3; Path=/', 'b=3; Domain=other.example', 'a; Path=/atls',
         (map { "a=2; Path=/atls$_" }
          '', '; Max-Age=0', '; Max-Age=-1', '; Max-Age=100000', '; Max-Age=x',
          '; Expires=Fri, 01 Jan 1999 00:00:00 GMT',
          '; Expires=Fri, 01 Jan 2100 00:00:00 GMT', '; Secure', '; HttpOnly',
          '; SameSite=Strict', '; Domain=127.0.0.1', '; Domain=.127.0.0.1',
          '; Domain=other.example', '; Domain=localhost', '; Domain=',
          '; Domain=7.0.0.1'),
         'a=; Path=/atls', '__Host-a=2; Path=/; Secure', '__Host-a=2; Path=/',
         '__Secure-a=2; Path=/; Secure', 'b="3; Path=/atls', 'b="x y"',
         'b=x y', 'b=3, c=4', "b=a\tb", 'b=' . 'x' x 4000, 'b=' . 'x' x 9000,
         "b=3\r\nSet-Cookie: c=4", "b=3\r\nSet-Cookie: b=4",
         "a=3; Path=/\r\nSet-Cookie: a=4; Path=/atls",
         "a=3; Path=/atls\r\nSet-Cookie: a=4; Path=/atls; Max-Age=0"),
        (map { [ "Set-Cookie: $_", good("Set-Cookie: $_\r\n"),
                 repost => { cookie => 'a=1' } ] }
         '=2; Path=/atls', '', ' =', '; Path=/'),
    );
}


sub wrong {
    my ($name, $response) = @_;

    return [ $name, $response, close => 1,
             repost => { error => 'NETWORK', body => '', kept => 0, same => 0,
                         again => 0, http => '', status => 0 } ];
}


# Compares the results with those of libcurl, unless the table has them.

sub compare {
    my ($name, $response, %row) = @_;

    my $libcurl = run('libcurl', $response, %row);
    my $got = run('repost', $response, %row);
    my $own = $row{repost} || {};

    is_deeply({ map { $_ => $got->{$_} } keys %$own }, $own,
              "$name: without libcurl");

    TODO: {
        local $TODO = 'another version of libcurl' unless $known;

        is_deeply($got, { %$libcurl, %$own }, "$name: as with libcurl");
    }
}


# Returns the results of a POST and of the next one.

sub run {
    my ($way, $response, %row) = @_;

    undef $s;
    print {$c->{in}} "open $url 0 ", $way eq 'libcurl' ? $way : '', "\n";

    # the second POST is recorded

    for my $n (1, 2) {
        post(10);
        respond(good($n == 1 ? "Set-Cookie: a=1; Path=/atls\r\n" : ''));
        $c->command('result');
    }

    post(5, 3000);
    respond($response);
    undef $s if $row{close};

    my ($r, $again) = result();

    die "$way: $r->{curl} POSTs by libcurl\n"
        unless $r->{curl} == ($way eq 'libcurl' || $again ? 1 : 0);

    my %results = (error => $c->name($r), again => $again,
                   map { $_ => $r->{$_} }
                       qw( status body kept retry http expired ));

    if ($row{later}) {
        respond($row{later});
        select undef, undef, undef, 0.05;
    }

    print {$c->{in}} 'shift ', $row{idle} || 0, "\n";

    my $old = $s;
    my ($cookie) = post(6) =~ /^Cookie: (.*)\r$/m;

    $results{cookie} = join '; ', sort split /; /, $cookie || '';
    $results{same} = $old && $old == $s ? 1 : 0;
    respond(good());
    $c->command('result');
    print {$c->{in}} "shift 0\n";

    return \%results;
}


# The result of a POST, and whether it was sent again.

sub result {
    my $again = 0;

    print {$c->{in}} "result\n";

    if (!$s && (IO::Select->new($listen, $c->{out})->can_read(patience()))[0]
               == $listen)
    {
        $again = 1;
        request(5);
        respond(good());
    }

    return ($c->answer(), $again);
}


sub post {
    my ($n, $limit) = @_;

    print {$c->{in}} "post $n ", $limit || '', "\n";

    return request($n);
}


# Reads a POST, on the same connection, or on a new one if that is closed.

sub request {
    my ($n) = @_;

    my $got = '';

    until ($got =~ /\r\n\r\n(.*)/s && length $1 == $n) {
        my $select = IO::Select->new($listen, $s || ());
        my @ready = $select->can_read(patience()) or die "no POST: $got\n";

        if (grep { $_ == $listen } @ready) {
            $s = $listen->accept() or die "accept(): $!\n";
            setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
            $got = '';
            next;
        }

        sysread $s, $got, 65536, length $got or undef $s;
    }

    return $got;
}


sub respond {
    my ($response) = @_;

    local $SIG{PIPE} = 'IGNORE';

    syswrite $s, $response;
}
