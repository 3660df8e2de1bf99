#!/usr/bin/perl

# Test::Atls::Validator detects a violation of each of its rules.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Serve qw( serve );
use Test::Atls::Slow qw( patience );
use Test::Atls::Validator;
use Test::Atls::Validator::Rules qw( %RULES );
use Test::Atls::Validator::Samples;

use constant LIMIT => 1000;

my $t = Test::Atls->new();

$t->run_daemon(\&answers, port => $t->port(0));

my $v = Test::Atls::Validator->start($t, $t->port(1), $t->port(0),
    endpoints => { $URI => {}, '/limited' => { limit => LIMIT },
                   '/other' => {}, '/raw' => { raw => 1 },
                   '/located' => { tracking => 'location' },
                   '/both' => { tracking => 'both' } });

my %broken;

good();
headers();
cookies();
locations();
sessions();
statuses();
problems();
records();
handshakes();

is(join(' ', grep { !$broken{$_} } sort keys %RULES), '',
   'each rule was broken once');

done_testing();


# A server that sends the responses given in requests.

sub answers {
    serve($t->port(0), sub {
        my ($s) = @_;

        my $buf = '';

        while (sysread $s, $buf, 65536, length $buf) {
            while ($buf =~ s/^.*?X-Answer: ([0-9a-f]*)\r\n\r\n//s) {
                syswrite $s, pack 'H*', $1;
            }
        }
    });
}


# ask(\%request, $answer): sends a request through the validator, and reads its
# response.  Members of a request: uri, method, body, cookie, type, version,
# headers.  Returns the socket.

sub ask {
    my ($request, $answer) = @_;

    my %r = (method => 'POST', uri => $URI, body => '', version => '1.1',
             type => $TYPE, headers => '', %$request);
    my $s = http_connect($v->port());
    my $length = $r{headers} =~ /chunked/ || $r{method} eq 'GET' ? ''
                 : 'Content-Length: ' . length($r{body}) . "\r\n";

    send_all($s, "$r{method} $r{uri} HTTP/$r{version}\r\nHost: a\r\n"
                 . "Content-Type: $r{type}\r\n$length$r{headers}"
                 . (defined $r{cookie} ? "Cookie: atls=$r{cookie}\r\n" : '')
                 . 'X-Answer: ' . unpack('H*', $answer) . "\r\n\r\n"
                 . $r{body});

    my $got = '';

    while (length $got < length $answer && readable($s, patience())) {
        sysread $s, $got, 65536, length $got or last;
    }

    is($got, $answer, 'passed on as it is') if $got ne $answer;

    return $s;
}


# The last exchanges violated this rule, and no other rules than @more.

sub sees {
    my ($rule, $what, @more) = @_;

    my @violations = $v->violations();
    my @seen = grep { $_->{rule} eq $rule } @violations;
    my %others = map { $_->{rule} => 1 } @violations;

    delete @others{$rule, @more};
    $broken{$rule} = 1;

    ok(@seen && !%others, "$rule: $what")
        or diag(join "\n", map { "$_->{rule}: $_->{what}" } @violations);
    is($seen[0] && $seen[0]{sentence}, $RULES{$rule}, "$rule: with its words")
        if @seen;
}


sub sees_nothing {
    my ($what) = @_;

    is(join("\n", map { "$_->{rule}: $_->{what}" } $v->violations()), '',
       $what);
}


# one(\%request, $answer, rule, what, other rules that may be violated)

sub one {
    my ($request, $answer, @expected) = @_;

    close ask($request, $answer);
    sees(@expected);
}


# Sessions: half-open or established.  Return the cookie.

sub begin {
    my ($hello, $flight, %request) = @_;

    my $value = new_value();

    close ask({ body => $hello, %request }, ok200($flight, cookie => $value,
              attributes => 'Path=' . ($request{uri} || $URI)
                            . '; HttpOnly; Max-Age=600'));

    return $value;
}


sub establish13 {
    my $value = begin(client_hello(tls13 => 1), flight13(), @_);

    close ask({ body => record(20, "\x01") . record(23, 'f' x 53),
                cookie => $value, @_ }, ok200(record(23, 't' x 300)));

    return $value;
}


sub establish12 {
    my $value = begin(client_hello(), flight12(), @_);

    close ask({ body => record(22, message(16, 'k' x 33)) . record(20, "\x01")
                        . record(22, 'f' x 40), cookie => $value, @_ },
              ok200(record(20, "\x01") . record(22, 'f' x 40)));

    return $value;
}


# Correct responses are no violations.

sub good {
    for my $value (establish13(), establish12()) {
        close ask({ body => record(23, 'x' x 50), cookie => $value },
                  ok200(record(23, 'x' x 50)));
        close ask({ cookie => $value }, ok200(''));
        close ask({ body => record(23, 'x' x 50), cookie => $value },
                  ok200('', cookie => $value));
    }

    close ask({ method => 'GET' }, problem(405, 'method',
                                           headers => "Allow: POST\r\n"));
    close ask({ cookie => 'none' }, problem(410, 'session-unknown',
                                            expires => 1));
    sees_nothing('nothing is wrong');
}


sub headers {
    my $value = establish13();
    my @session = (cookie => $value);
    my %expect = (headers => "Expect: 100-continue\r\n");
    my $whole = ok200('');

    one({ @session }, ok200('', type => 'application/atls'), 'type',
        'another type');
    one({ @session }, ok200('', headers => "Cache-Control: private\r\n"),
        'no-store', 'another one');
    one({ @session }, ok200('', headers => ''), 'no-store', 'none');
    one({ @session }, ok200('', headers => "Cache-Control: no-store\r\n"
                                           . "Content-Encoding: gzip\r\n"),
        'content-coding', 'gzip');
    one({ @session }, "HTTP/1.1 304 Not Modified\r\n"
                      . "Cache-Control: no-store\r\n\r\n", 'conditions', '304');
    one({ @session }, $whole . $whole, 'nothing-by-itself', 'two responses');
    one({ @session }, $whole . 'x', 'nothing-by-itself', 'bytes');
    one({ @session, version => '1.0' },
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: $TYPE"
        . "\r\nCache-Control: no-store\r\n\r\n0\r\n\r\n", 'framing',
        'chunks with HTTP/1.0');
    one({ @session, %expect, body => record(23, 'x' x 50) }, $whole,
        'continue', 'none');
    one({ @session }, "HTTP/1.1 100 Continue\r\n\r\n$whole", 'continue',
        'not asked for');
    one({ @session }, "HTTP/1.1 103 Early Hints\r\n\r\n$whole", 'continue',
        'another one');

    # invalid chunks

    one({ @session }, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                      . "Content-Type: $TYPE\r\nCache-Control: no-store\r\n\r\n"
                      . 'x' x 200, 'framing', 'chunks that are none');
}


sub cookies {
    my $hello = client_hello(tls13 => 1);
    my $flight = flight13();
    my $alert = record(21, "\x02\x28");
    my @attributes = ("Path=$URI", 'HttpOnly', 'Max-Age=600');

    one({ body => $hello }, ok200($flight), 'cookie-first', 'none');
    one({ cookie => establish13() }, ok200('', cookie => new_value()),
        'cookie-later', 'another one');
    one({ body => $hello }, ok200($alert, cookie => new_value()),
        'cookie-failed', 'with an alert');
    one({ body => 'x' }, problem(400, 'not-tls', cookie => new_value()),
        'cookie-failed', 'with another status');
    one({ body => $hello }, ok200($alert, expires => 1), 'cookie-failed',
        'an expired one');
    one({ body => $hello }, ok200($flight, cookie => 'short'), 'cookie-value',
        'short');
    one({ body => $hello }, ok200($flight, cookie => 'x' x 4097),
        'cookie-value', 'long');
    one({ body => $hello }, ok200($flight, cookie => new_value(),
                                  attributes => join '; ', @attributes,
                                  'SameSite=Lax'), 'cookie-attributes', 'more');
    one({ body => $hello }, ok200($flight, cookie => new_value(),
                                  attributes => join '; ', @attributes[0, 2]),
        'cookie-attributes', 'fewer');
    one({ body => $hello }, ok200($flight, cookie => new_value(),
                                  attributes => join '; ', @attributes[0, 1]),
        'cookie-age', 'none');
    one({ body => $hello }, ok200($flight, cookie => new_value(),
                                  attributes => "$attributes[0]; HttpOnly;"
                                                . ' Max-Age=10m'),
        'cookie-age', 'no number');
    one({ body => $hello }, ok200($flight, cookie => new_value(),
                                  headers => set_cookie(new_value())
                                  . "Cache-Control: no-store\r\n"),
        'cookie-attributes', 'two');
    one({ body => $hello }, ok200($flight, cookie => new_value(),
                                  attributes => 'Path=/; HttpOnly;'
                                                . ' Max-Age=600'),
        'cookie-path', 'another one');
    one({ body => $hello }, ok200($flight, cookie => new_value(),
                                  attributes => join '; ', @attributes,
                                  'Secure'), 'cookie-secure', 'without TLS');
    one({ cookie => 'none' }, problem(410, 'session-unknown'),
        'cookie-expired', 'it is not');
    one({ cookie => 'none' }, problem(410, 'session-unknown',
                                      headers => set_cookie('none',
                                      "Path=$URI; HttpOnly; Max-Age=0")),
        'cookie-expired', 'has a value');
    one({ cookie => establish13() }, ok200('', expires => 1),
        'cookie-expired-alert', 'without one');
    one({ body => $hello }, ok200($flight, cookie => establish13()),
        'cookie-new', 'that of another session');
}


sub locations {
    my ($flight, @hello) = (flight13(), body => client_hello(tls13 => 1));
    my $created = sub {
        return ok200($_[1], status => '201 Created', headers =>
                     "Cache-Control: no-store\r\n" . ($_[0] ? "Location: "
                     . "$_[0]\r\n" : ''), @_[2 .. $#_]);
    };

    for my $uri ('/located', '/both') {
        my $name = new_value();
        my @set = $uri eq '/both'
            ? (cookie => $name, attributes => "Path=$uri; HttpOnly; Max-Age=600")
            : ();

        close ask({ uri => $uri, @hello }, $created->("$uri/$name", $flight,
                                                      @set));
        close ask({ uri => "$uri/$name", body => '' }, ok200(''));
        close ask({ uri => "$uri/$name?a", body => record(20, "\x01")
                    . record(23, 'f' x 53) }, ok200(record(23, 't' x 300)));
        close ask({ uri => "$uri/x", @hello }, $created->("$uri/${name}2",
                  $flight, map { s/^\Q$name\E\z/${name}2/r } @set));
        sees_nothing("$uri: nothing is wrong");

        one({ uri => "$uri/$name" }, ok200('', headers =>
            "Cache-Control: no-store\r\nLocation: $uri/$name\r\n"),
            'location-later', 'Location again');
        one({ uri => $uri, @hello }, $created->('', $flight), 'location-value',
            'no Location', $uri eq '/both' ? 'cookie-first' : 'location-first');
    }

    one({ uri => '/located', @hello }, ok200($flight), 'location-first',
        'no 201');
    one({ uri => '/both', @hello }, ok200($flight, cookie => new_value(),
        attributes => 'Path=/both; HttpOnly; Max-Age=600'), 'location-first',
        'a cookie only');
    one({ uri => '/located', @hello }, $created->('/located/x', $flight),
        'location-value', 'a short one');
    one({ uri => '/both', @hello }, $created->('/both/' . new_value(), $flight,
        cookie => new_value(), attributes => 'Path=/both; HttpOnly; Max-Age=9'),
        'location-value', 'another value');
    one({ uri => '/located', @hello }, $created->('/located/' . new_value(),
        record(21, "\x02\x28")), 'location-failed', 'with an alert');
    one({ uri => '/located', @hello }, $created->('/located/' . new_value(),
        $flight, cookie => new_value(), attributes =>
        'Path=/located; HttpOnly; Max-Age=9'), 'location-only', 'a cookie',
        'location-value');
    one({ uri => '/located/y' }, problem(410, 'no-location'),
        'problem-no-location', 'with a name');
}


sub sessions {
    my $hello = client_hello(tls13 => 1);
    my $unknown = problem(410, 'session-unknown', expires => 1);
    my $value;

    one({ body => $hello }, problem(410, 'session-unknown'), 'new', '410');
    one({ body => $hello, cookie => establish13() }, $unknown,
        'hello-established', '410');
    one({ body => substr $hello, 0, 50 }, ok200(flight13(),
                                                cookie => new_value()),
        'hello-pieces', 'an answer to a part', 'record-version');

    $value = begin($hello, record(22, server_hello(suite => TLS13,
                                                   random => RETRY)));
    one({ body => $hello, cookie => $value }, problem(400, 'not-tls'),
        'hello-second', '400', 'status-400');
    one({ cookie => establish13() }, problem(400, 'empty-body'), 'empty', '400',
        'status-400');

    $value = establish13();
    close ask({ cookie => $value, body => record(23, 'x' x 19) },
              ok200(record(23, 'x' x 19), expires => 1));
    sees_nothing('a session that ends');
    one({ cookie => $value }, ok200(''), 'gone', '200', 'status-410',
        'order-body', 'cookie-first');

    $value = establish12();
    close ask({ cookie => $value, body => record(23, 'x' x 50) },
              ok200(record(21, 'x' x 26)));
    one({ cookie => $value }, ok200(''), 'gone', 'after an alert', 'status-410',
        'order-body', 'cookie-first');

    one({ cookie => establish13() }, $unknown, 'goes-on', 'nobody ended it');
    one({ cookie => establish13(), method => 'GET' },
        problem(405, 'method', headers => "Allow: POST\r\n", expires => 1),
        'goes-on', '405');

    # two POSTs of a session

    $value = establish13();

    my $s = ask({ cookie => $value, body => record(23, 'x' x 50) },
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                . "Content-Type: $TYPE\r\nCache-Control: no-store\r\n\r\n");

    close ask({ cookie => $value }, problem(409, 'session-busy'));
    sees_nothing('409 while another POST is in progress');
    one({ cookie => $value }, ok200(''), 'busy', '200');
    close $s;

    # processed while the end of the response is being sent

    $value = establish13();
    $s = ask({ cookie => $value, headers => "Transfer-Encoding: chunked\r\n" },
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
             . "Content-Type: $TYPE\r\nCache-Control: no-store\r\n\r\n");

    close ask({ cookie => $value }, ok200(''));

    my $end = "0\r\n\r\n";
    my $more = 'X-Answer: ' . unpack('H*', $end) . "\r\n\r\n";

    send_all($s, sprintf("%x\r\n%s\r\n%s", length $more, $more, $end));
    ok(readable($s, patience()), 'the end of a response');
    sysread $s, my $got, 16;
    sees_nothing('200 while the last bytes of a response are sent');
    close $s;
}


sub statuses {
    my $html = sub {
        return ok200('<html>', status => "$_[0] A", type => 'text/html');
    };
    my $long = 'x' x (LIMIT + 1);
    my %limited = (uri => '/limited');
    my $chunked = "Transfer-Encoding: chunked\r\n";
    my $value;

    one({}, problem(400, 'not-tls'), 'status-400', 'an empty one is no TLS');
    one({ method => 'GET' }, problem(405, 'method'), 'status-405',
        'without Allow');
    one({ method => 'GET' }, ok200(''), 'status-405', '200', 'cookie-first');
    one({ cookie => establish13() }, problem(409, 'session-busy'),
        'status-409', 'nothing is in progress');
    one({ cookie => establish13() }, problem(409, 'not-next'),
        'status-409-next', 'an empty body');
    one({ body => 'x' }, ok200(''), 'status-410', '200', 'order-body',
        'cookie-first');
    one({ %limited, body => $long }, ok200(''), 'status-413', '200',
        'cookie-first');
    one({ %limited, body => 'x' }, $html->(413), 'status-413', 'a short body');
    one({ %limited, body => 'x' }, problem(413, 'too-large'),
        'status-413-expired', 'a short body');
    one({ %limited, cookie => establish13(%limited), body => 'x' },
        problem(413, 'too-large'), 'status-413-first', 'a short body');
    one({ body => 'x', type => 'text/plain' }, ok200('', type => 'text/plain'),
        'status-415', '200', 'cookie-first');
    one({ body => 'x' }, problem(415, 'media-type'), 'status-415', 'is right');
    one({ cookie => establish13(), body => record(23, 'x' x 50) },
        problem(502, 'payload-refused'), 'status-502', 'not raw');
    one({ body => client_hello() }, problem(503, 'zone-full'), 'status-503',
        'without Retry-After');
    one({}, problem(403, 'refused'), 'status-own', 'a problem');
    one({ cookie => 'none' }, problem(400, 'empty-body'), 'order-body',
        '400 with a cookie');
    one({ body => record(23, 'x' x 50) }, problem(400, 'not-tls'), 'order-body',
        '400 with TLS');

    $value = establish13(%limited);
    $v->violations();

    my $body = record(23, 'x' x (LIMIT + 50));

    one({ %limited, cookie => $value, headers => $chunked,
          body => sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body, $body) },
        ok200(record(23, 'x' x 50)), 'too-large-begun', 'no alert');

    one({ %limited, body => $long }, ok200('<html>', status => '413 A',
                                           type => 'text/plain'),
        'problem-413', 'no HTML');
}


sub problems {
    my %expires = (expires => 1);
    my $value;

    one({ cookie => 'none' }, ok200('Gone', status => '410 Gone', %expires,
                                    type => 'text/plain'), 'problem', 'text');
    one({ cookie => 'none' }, problem(410, 'x', json => '[]', %expires),
        'problem', 'no object');
    one({ cookie => 'none' },
        problem(410, 'x', %expires, json => '{"title":"a","status":410,"type":'
                                            . '"tag:atls,2026:session-unknown"}'),
        'problem-members', 'without detail');
    one({ cookie => 'none' },
        problem(410, 'x', %expires, json => '{"title":"a","status":400,"type":'
                          . '"tag:atls,2026:session-unknown","detail":"b"}'),
        'problem-members', 'another status');
    one({ cookie => 'none' }, problem(410, 'about:blank', %expires),
        'problem-type', 'about:blank');
    one({ cookie => 'none' }, problem(410, 'session-busy', %expires),
        'problem-type', 'that of another status');
    one({ cookie => 'none' }, problem(410, 'handshake-timeout', %expires),
        'problem-type', 'of no session');
    one({ cookie => establish13() }, problem(500, 'broken'), 'problem-500',
        'a tag');

    $value = establish13();
    one({ uri => '/other', cookie => $value },
        problem(410, 'session-unknown', %expires), 'problem-elsewhere',
        'is not said', 'cookie-path');
    one({ uri => '/other', cookie => $value },
        problem(410, 'session-elsewhere', %expires), 'problem-elsewhere',
        'is expired', 'cookie-path');
    one({ cookie => 'none' }, problem(410, 'session-elsewhere'),
        'problem-elsewhere', 'is not');
    one({ cookie => 'none' }, problem(410, 'no-cookie', %expires),
        'problem-no-cookie', 'there is one');
    one({ cookie => establish13() },
        problem(410, 'session-foreign', %expires), 'problem-foreign',
        'it is of this server', 'goes-on');

    $value = establish13(uri => '/raw');
    one({ uri => '/raw', cookie => $value, body => record(23, 'x' x 50) },
        ok200('', status => '502 Bad Gateway'), 'problem-502', 'nothing');
}


sub records {
    my $value = establish13();
    my $data = record(23, 'x' x 50);
    my $session = sub {
        return { cookie => $_[0] || $value, body => $data };
    };

    one($session->(), ok200(record(25, 'x' x 50)), 'records', 'type 25');
    one($session->(), ok200('<html>x'), 'records-whole', 'text');
    one($session->(), ok200($data . substr $data, 0, 20), 'records-whole',
        'a part');
    one($session->(), ok200(record(23, 'x' x 16641)), 'record-length', 'long');
    one($session->(), ok200(record(23, '')), 'record-length', 'empty',
        'record-version');
    one($session->(), ok200(record(23, 'x' x 50, 0x0301)), 'record-version',
        '3.1');
    one($session->(), ok200(record(22, 'x' x 50)), 'record-version',
        'a message in the clear');
    one($session->(), ok200(record(20, "\x01")), 'record-version',
        'a second change_cipher_spec');
    one($session->(), ok200(record(24, 'x' x 50)), 'without', 'a heartbeat');

    one($session->(establish12()), ok200(record(22, 'x' x 50)), 'without',
        'renegotiation');
    one($session->(establish12()), ok200(record(21, 'x' x 26) . $data),
        'end-last', 'data behind an alert');
    one({ body => client_hello() }, ok200(record(21, "\x02\x28") . $data),
        'end-fatal', 'data behind a fatal alert');

    # after records of the client

    $value = begin(client_hello(), flight12());
    one({ cookie => $value, body => record(21, "\x02\x28") },
        ok200(record(21, "\x02\x28"), expires => 1), 'alert-client',
        'is answered');
    one({ cookie => establish12(), body => record(21, 'x' x 26) },
        ok200($data), 'close-notify', 'is not the end');

    $value = begin(client_hello(tls13 => 1), flight13());
    one({ cookie => $value, body => record(20, "\x01") . record(23, 'x' x 53) },
        ok200(''), 'ticket', 'none');

    one({ body => client_hello(extensions => { 1 => "\x01" }) },
        ok200(flight12() . record(22, message(14, 'x' x 800)),
              cookie => new_value()), 'fragment', 'a long one',
        'record-version');
}


sub handshakes {
    my $answer = sub {
        my ($hello, $flight, @expected) = @_;

        one({ body => $hello }, ok200($flight, cookie => new_value()),
            @expected);
    };
    my @ems = (extensions => [ [ 23, '' ] ]);
    my $cbc = client_hello(suites => [ 0xc013 ]);
    my $h2 = client_hello(extensions => { 16 => "\0\x03\x02h2" });
    my $h1 = client_hello(extensions => {
        16 => pack 'n/a', pack '(C/a)*', 'http/0.9', 'http/1.1'
    });
    my $name = client_hello(extensions => { 0 => "\0\x06\0\0\x03a/b" });

    $answer->(client_hello(), flight12(version => 0x0302), 'version', '1.1',
              'suite');
    $answer->($cbc, flight12(suite => 0xc013), 'suite', 'CBC', 'suite-none');
    $answer->($cbc, flight12(), 'suite-none', 'goes on', 'record-version');
    $answer->(client_hello(), flight12(extensions => []), 'ems', 'is not used');
    $answer->(client_hello(), flight12(id => 'i' x 32), 'resumption',
              'has a session id');
    $answer->(client_hello(), record(22, server_hello(@ems))
              . record(20, "\x01") . record(22, 'f' x 40), 'resumption',
              'without a ticket');
    $answer->(client_hello(), flight12(compression => 1), 'without',
              'compression');
    $answer->($h1, flight12(extensions => [ [ 23, '' ], [ 16,
              pack 'n/a', pack 'C/a', 'http/0.9' ] ]), 'alpn', 'another one');
    $answer->($h2, flight12(), 'alpn-none', 'goes on');
    $answer->($name, flight12(), 'server-name', 'goes on');
    $answer->(client_hello(tls13 => 1), flight13(id => 'other'),
              'record-version', 'another session id');
    $answer->(client_hello(tls13 => 1), record(22, server_hello(
              suite => TLS13)) . record(22, message(8, '')), 'record-version',
              'a message in the clear');
    $answer->(client_hello(), record(22, message(11, 'x')), 'record-version',
              'no ServerHello');
}
