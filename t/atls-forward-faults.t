#!/usr/bin/perl

# atls forward with the module: refused requests, failing services, clients that
# close their connection, and errors of the command line.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Socket qw( MSG_PEEK );
use Test::More;

use Test::Atls::Http qw( readable send_all );
use Test::Atls::LocalServer qw( connection_end message next_answer summary );
use Test::Atls::Port qw( free_port );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience slow );

my $PATIENCE = patience();
my $SHORT = 0.5 * slow();       # time for a handshake and a request

my $t = Test::Atls::Site->new();
my $backend = $t->backend();

$t->make_cert('other', is_ca => 1);
$t->make_cert('wrong', ca => 'ca', san => 'DNS:example.com');

$t->serve(<<'EOC', http => 'client_max_body_size 0;');
# a service over TLS without HTTP

location = /raw {
    atls on;
    atls_payload raw;
    return 200 "no HTTP at all\r\n";
}

location = /wrong {
    atls on;
    %%CERTIFICATE_wrong%%
}

location = /busy {
    add_header Retry-After 17 always;
    return 503;
}

location = /moved {
    return 302 http://127.0.0.1:%%PORT_0%%/.well-known/atls;
}

location = /json {
    default_type application/json;
    return 200 '{}';
}
EOC

my $atls = $t->command();
my @trust = ('--cacert', $t->path('ca.crt'));
my $f = $t->forward();

subtest('bad requests' => \&bad_requests);
subtest('large headers' => \&large_headers);
subtest('bad bodies' => \&bad_bodies);
subtest('programs that leave' => \&leaving);
subtest('failures of the endpoint' => \&endpoints);
subtest('failures of the service' => \&services);
subtest('a server that starts anew' => \&restart);
subtest('command line' => \&command_line);

$t->done_testing();


# The response to bytes, after which the connection is closed: "400 closed".

sub refused {
    my ($bytes) = @_;

    my $s = $f->connect();

    send_all($s, $bytes . message('GET /smuggled'));
    my $r = next_answer($s);

    return join ' ', $r->status() || 'none',
           $r->header('Connection') || 'open', connection_end($s);
}


sub bad_requests {
    my $h = "Host: localhost\r\n";
    my $get = "GET / HTTP/1.1\r\n";

    my @cases = (
        [ 'no HTTP',                400, "hello\r\n\r\n" ],
        [ 'HTTP/0.9',               400, "GET /\r\n\r\n" ],
        [ 'HTTP/2',                 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" ],
        [ 'HTTP/1.2',               505, "GET / HTTP/1.2\r\n$h\r\n" ],
        [ 'a version',              400, "GET / HTTP/1.1x\r\n$h\r\n" ],
        [ 'another',                400, "GET / http/1.1\r\n$h\r\n" ],
        [ 'two spaces',             400, "GET  / HTTP/1.1\r\n$h\r\n" ],
        [ 'and more',               400, "GET / a HTTP/1.1\r\n$h\r\n" ],
        [ 'a space first',          400, " GET / HTTP/1.1\r\n$h\r\n" ],
        [ 'many empty lines',       400, "\r\n" x 5 . "GET / HTTP/1.1\r\n" ],
        [ 'no CR',                  400, "GET / HTTP/1.1\n$h\n" ],
        [ 'no CR in a header',      400, "${get}Host: a\nB: c\r\n" ],
        [ 'a CR alone',             400, "$get${h}A: b\rC: d\r\n" ],
        [ 'NUL',                    400, "$get${h}A: b\0c\r\n\r\n" ],
        [ 'a tab in the path',      400, "GET /\ta HTTP/1.1\r\n$h\r\n" ],
        [ 'a control character',    400, "GET /\x01 HTTP/1.1\r\n$h\r\n" ],
        [ 'a fragment',             400, "GET /#a HTTP/1.1\r\n$h\r\n" ],
        [ 'a method',               400, "G(T / HTTP/1.1\r\n$h\r\n" ],
        [ 'no slash',               400, "GET a HTTP/1.1\r\n$h\r\n" ],
        [ 'an asterisk',            400, "GET * HTTP/1.1\r\n$h\r\n" ],
        [ 'another scheme',         400, "GET ftp://h/ HTTP/1.1\r\n$h\r\n" ],
        [ 'no host in it',          400, "GET http:///a HTTP/1.1\r\n$h\r\n" ],
        [ 'a user in it',           400, "GET http://a\@h HTTP/1.1\r\n$h\r\n" ],
        [ 'CONNECT',                405, "CONNECT h:443 HTTP/1.1\r\n$h\r\n" ],
        [ 'no Host',                400, "$get\r\n" ],
        [ 'two of them',            400, "$get$h$h\r\n" ],
        [ 'two of them, HTTP/1.0',  400, "GET / HTTP/1.0\r\n$h$h\r\n" ],
        [ 'no colon',               400, "$get${h}A\r\n\r\n" ],
        [ 'no name',                400, "$get${h}: a\r\n\r\n" ],
        [ 'a space before a colon', 400, "$get${h}A : b\r\n\r\n" ],
        [ 'a folded line',          400, "$get${h}A: b\r\n c\r\n\r\n" ],
        [ 'a folded line, a tab',   400, "$get${h}A: b\r\n\tc: d\r\n\r\n" ],
        [ 'a first line so',        400, "$get A: b\r\n$h\r\n" ],
    );

    my %framing = (
        'length: -1'        => [ 400, 'Content-Length: -1' ],
        'length: +1'        => [ 400, 'Content-Length: +1' ],
        'length: 0x1'       => [ 400, 'Content-Length: 0x1' ],
        'length: 1 1'       => [ 400, 'Content-Length: 1 1' ],
        'length: 1, 1'      => [ 400, 'Content-Length: 1, 1' ],
        'length: empty'     => [ 400, 'Content-Length:' ],
        'length: much'      => [ 400, 'Content-Length: 99999999999999999999' ],
        'two lengths'       => [ 400, 'Content-Length: 1',
                                 'Content-Length: 1' ],
        'both'              => [ 400, 'Content-Length: 1',
                                 'Transfer-Encoding: chunked' ],
        'the other way'     => [ 400, 'Transfer-Encoding: chunked',
                                 'Content-Length: 1' ],
        'two codings'       => [ 400, 'Transfer-Encoding: chunked',
                                 'Transfer-Encoding: chunked' ],
        'gzip, chunked'     => [ 501, 'Transfer-Encoding: gzip, chunked' ],
        'chunked, chunked'  => [ 501, 'Transfer-Encoding: chunked, chunked' ],
        'chunked, identity' => [ 501, 'Transfer-Encoding: chunked, identity' ],
        'identity'          => [ 501, 'Transfer-Encoding: identity' ],
        'xchunked'          => [ 501, 'Transfer-Encoding: xchunked' ],
        'quoted'            => [ 501, 'Transfer-Encoding: "chunked"' ],
    );

    for (sort keys %framing) {
        my ($status, @lines) = @{$framing{$_}};
        push @cases, [ $_, $status, join "\r\n", 'POST / HTTP/1.1',
                                         'Host: localhost', @lines, '', '' ];
    }

    push @cases, [ 'chunked, HTTP/1.0', 400,
                   "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" ];

    for (@cases) {
        my ($name, $status, $bytes) = @$_;
        is(refused($bytes), "$status close closed", $name);
    }

    is($backend->requests() || 0, 0, 'none of them was sent');
    ok($t->wait_for(sub { @cases == grep { / \d+\.\d{3} -: / } $f->log() }),
       'all are logged');

    my $r = $f->ask('CONNECT localhost:443');
    like($r->header('Allow'), qr/^GET, /, 'what is allowed');
    like($r->body(), qr/\Aatls: CONNECT [^\n]*\n\z/, 'in words');
    is($r->header('Content-Type'), 'text/plain', 'of text');
    is(join(' ', sort map { $_->[0] } @{$r->{headers}}),
       'Allow Connection Content-Length Content-Type', 'and no more');

    done_testing();
}


sub large_headers {
    my $line = 'A: ' . 'b' x 60_000 . "\r\n";

    is($f->ask('GET /status?code=201')->status(), 201, 'a small one');
    is(refused("GET / HTTP/1.1\r\n$line$line\r\n"), '431 close closed',
       'a large one');
    is(refused('GET /' . 'a' x 70_000), '431 close closed', 'a large path');
    is(refused("GET / HTTP/1.1\r\n" . "A: b\r\n" x 300), '431 close closed',
       'many lines');

    $backend->forget();
    done_testing();
}


# The beginning of a request is sent before its body is complete.  If the body
# is invalid, there is no response, and following bytes are not a request.

sub bad_bodies {
    my $head = message("POST /body\nTransfer-Encoding: chunked");
    my @bad = ("x\r\n", "\r\n", "-1\r\n", "0x1\r\na\r\n", "1\na\r\n",
               "1\r\nab\r\n", "1\r\na\n0\r\n",
               "ffffffffffffffff\r\n", "10000000000000000\r\n", " 1\r\na\r\n",
               "1\r\na\r\n0\r\nA: b\n\r\n", "1\r\na\r\n0\r\n\0\r\n",
               '1' . ';' x 20_000 . "\r\n", "0\r\n" . 'A: ' . 'b' x 20_000);

    for my $bytes (@bad) {
        my $name = substr $bytes, 0, 20;
        $name =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
        is(refused($head . $bytes), '400 close closed', "chunks: $name");
    }

    is(scalar(grep { !$_->{aborted} } $backend->requests()), 0,
       'none of them is taken for a whole one');
    $backend->forget();

    # a client that closes its connection within a body

    for my $framing ("Content-Length: 100\n\nhalf",
                     "Transfer-Encoding: chunked\n\n4\r\nhalf\r\n")
    {
        my $s = $f->connect("POST /body\n$framing");
        shutdown $s, 1;
        like(connection_end($s), qr/^(?:closed|reset)$/, 'half a body');
    }

    is(scalar(grep { !$_->{aborted} } $backend->requests()), 0,
       'neither are these');
    is($f->ask('GET /status?code=201')->status(), 201, 'and all is well');

    $backend->forget();
    done_testing();
}


sub leaving {
    $f = $t->forward('--sessions', 1);

    # with one session, which is used by the next request

    my $s = $f->connect('GET /big?size=100000000');
    sysread $s, my $bytes, 10000;
    close $s;
    is($f->ask('GET /status?code=201')->status(), 201, 'within an answer');
    ok($f->wait_for_log(
           qr/ GET \/big\S+ 200 \d+ [\d.]+ 1: .*closed the connection$/),
       'is logged');

    $s = $f->connect('GET /hang');
    ok($t->wait_for(sub { grep { $_->{uri} eq '/hang' } $backend->requests() },
                    $PATIENCE), 'a request');
    close $s;
    is($f->ask('GET /status?code=201')->status(), 201, 'before an answer');

    $s = $f->connect();
    send_all($s, 'GET / HT');
    close $s;
    $s = $f->connect();
    close $s;
    is($f->ask('GET /status?code=201')->status(), 201, 'before a request');

    my $end = $f->stop();
    is($end->{code} . ' ' . ($end->{out} =~ tr/\n//), '0 5',
       'no more lines than requests');

    $backend->forget();
    done_testing();
}


sub endpoints {
    my $nobody = 'http://127.0.0.1:' . free_port() . '/';

    my @cases = (
        [ 502, 'cannot connect',            $nobody ],
        [ 502, 'cannot resolve',            'http://no-such.invalid/' ],
        [ 502, 'endpoint returned 404',     '/status?code=404' ],
        [ 502, 'redirected by',             '/moved' ],
        [ 502, 'not an ATLS response',      '/json' ],
        [ 502, 'verification failed',       '/wrong' ],
        [ 502, 'verification failed',       '/.well-known/atls', '--cacert',
          $t->path('other.crt') ],
        [ 502, 'invalid HTTP',              '/raw' ],
        [ 502, 'TLS failure',               '/.well-known/atls', '--tls-max=1.2',
          '--ciphers', 'ECDHE-RSA-AES256-GCM-SHA384' ],
        [ 502, 'proxy failure',             '/.well-known/atls', '-x',
          $nobody ],
        [ 503, 'endpoint returned 503',     '/busy' ],
        [ 504, 'timed out|exceeded',        '/hang', '-m', '0.3' ],
    );

    for (@cases) {
        my ($status, $text, @args) = @$_;

        $f = $t->forward(@args);
        my $r = $f->ask('GET /secret');
        is($r->status(), $status, "@args");
        like($r->body(), qr/\Aatls: [^\n]*(?:$text)[^\n]*\n\z/, $text);
        is($r->header('Retry-After') || 0, $status == 503 ? 17 : 0,
           'when to come back');

        # the request was read completely, so the connection is kept

        my $s = $f->connect("POST /body\nContent-Length: 2\n\nhi");
        is(next_answer($s, 'HEAD')->status(), $status, 'a POST');
        close $s;
        ok($f->wait_for_log(qr! GET /secret $status \d+ .*(?:$text)!),
           'the log');
        is($f->stop()->{code}, 0, 'exit code');
    }

    ok(!(grep { $_->{uri} eq '/secret' } $backend->requests()),
       'and nobody got the request');
    $backend->forget();
    done_testing();
}


sub services {
    $f = $t->forward('-m', $SHORT);

    my $r = $f->ask('GET /hang');
    is($r->status(), 504, 'it takes too long');
    is($r->header('Connection'), undef, 'the connection is kept');

    for ("Content-Length: 9\n\nhalf",
         "Transfer-Encoding: chunked\n\n4\r\nhalf\r\n")
    {
        my $s = in_time("POST /body\n$_");
        is(next_answer($s)->status() . connection_end($s), '408closed',
           'the body takes too long');
    }

    # a response that is cut is not terminated correctly

    for my $request ('GET /die', "GET /die HTTP/1.0",
                     'GET /slow?n=9&delay=' . $SHORT / 3)
    {
        my $s = in_time($request);
        is(connection_end($s), 'reset', $request);
    }

    # a handshake may take longer, nevertheless

    ok($t->wait_for(sub {
           $f->ask('GET /status?code=201')->status() == 201
       }), 'and all is well');
    is($f->stop()->{code}, 0, 'exit code');

    $backend->forget();
    done_testing();
}


# Sends a request whose handshake takes no longer than -m: otherwise, its status
# is 504, and it is sent again.  Nothing of the response is read.

sub in_time {
    my ($request) = @_;

    my ($s, $status);

    $t->wait_for(sub {
        $s = $f->connect($request);
        $status = '';
        recv $s, $status, 12, MSG_PEEK if readable($s, $PATIENCE);
        return $status ne 'HTTP/1.1 504';
    });

    return $s;
}


# The sessions before a restart are lost, and no request.

sub restart {
    $f = $t->forward('--sessions', 1);
    is($f->ask('GET /status?code=201')->status(), 201, 'before');

    $t->stop()->run();
    is($f->ask('GET /status?code=202')->status(), 202, 'a GET is repeated');

    $t->stop()->run();
    $backend->forget();
    is(summary($f->ask("POST /body\nContent-Length: 2\n\nhi")), '200 hi',
       'a POST');
    is(scalar $backend->requests(), 1, 'once');

    $t->stop();
    is($f->ask('GET /')->status(), 502, 'nobody there');
    $t->run();
    is($f->ask('GET /status?code=201')->status(), 201, 'there again');

    $t->stop_daemon($backend->pid());
    is($f->ask('GET /status')->status(), 502, 'a backend that is down');
    ok($f->wait_for_log(qr! /status 502 \d+ \S+ 1$!), 'the service says so');
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub command_line {
    my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
    my $port = $taken->sockport();
    my @l = ('-l', 0);
    my @n = ('--no-check');
    my $url = 'https://localhost';

    my @cases = (
        [ 2,  'no URL',                @l ],
        [ 2,  '--listen is required',  $url ],
        [ 2,  'only one URL',          @l, $url, $url ],
        [ 2,  'not an option of atls forward', @l, '-d', 'x', $url ],
        [ 2,  'not an option of atls forward', @l, '-T', 'x', $url ],
        [ 2,  'not an option of atls forward', @l, '--fallback', $url ],
        [ 2,  'see atls forward --h',  @l, '--output', 'x', $url ],
        [ 2,  'missing value',         $url, '-l' ],
        [ 2,  'from 1 to',             @l, '--sessions', 0, $url ],
        [ 2,  'from 1 to',             @l, '--sessions', 'x', $url ],
        [ 2,  'from 1 to',             @l, '--sessions', -1, $url ],
        [ 2,  'from 1 to',             @l, '--sessions', 99999, $url ],
        [ 2,  'number of seconds',     @l, '--idle', 'x', $url ],
        [ 2,  'requires --cert',       @l, '--key', 'x', $url ],
        [ 1,  'https://',              @l, 'http://localhost' ],
        [ 3,  'only a host',           @l, "$url/path" ],
        [ 3,  'only a host',           @l, "$url/?query" ],
        [ 3,  'only a host',           @l, 'https://me:pw@localhost' ],
        [ 3,  'invalid URL',           @l, 'https://local host' ],
        [ 6,  'cannot resolve',        @n, '-l', 'no-such.invalid:1', $url ],
        [ 7,  'cannot listen',         @n, '-l', $port, $url ],
        [ 7,  'cannot listen',         @n, '-l', '192.0.2.1:0', $url ],
        [ 77, 'nonexistent',           @l, '--cacert', '/nonexistent', $url ],
        [ 58, 'nonexistent',           @l, '--cert', '/nonexistent', $url ],
        [ 2,  'endpoint',              @l, '--via', 'ftp://localhost/', $url ],
        [ 2,  'session file',          @l, '--session-file', '/nonexistent/a',
          $url ],
        map { [ 2, 'must be PORT', '-l', $_, $url ] }
            ('', 'x', ':80', '65536', '127.0.0.1', '127.0.0.1:', '::1:80',
             '[::1]', '[]:80', '127.0.0.1:-1', '1:2:3', '127.0.0.1:80a'),
    );

    for (@cases) {
        my ($code, $text, @args) = @$_;

        my $r = $atls->run('forward', @args);
        is("$r->{code} $r->{out}", "$code ", "@args");
        like($r->{err}, qr/^atls: \($code\) [^\n]*(?:$text)[^\n]*\n\z/m,
             $text) or diag($r->{err});
    }

    my $r = $atls->run('forward', @l, '-k', $url);
    like($r->{err}, qr/certificate is always verified/, 'no -k');

    for my $address ('127.0.0.1', 'localhost', '[::1]') {
        SKIP: {
            skip 'no IPv6', 1 if $address =~ /::/
                                 && !-e '/proc/net/if_inet6';
            my $name = $address eq 'localhost' ? '(?:127.0.0.1|\[::1\])'
                                               : quotemeta $address;
            $f = $t->forward('-l', "$address:0");
            like($f->stderr(), qr/^atls: listening on $name:\d+$/m, $address);
            is($f->stop()->{code}, 0, 'exit code');
        }
    }

    $port = free_port();
    my $s = $atls->start('forward', '-s', @n, '-l', $port, $url);
    $t->wait_for_port($port);
    kill 'TERM', $s->{pid};
    $r = $atls->finish($s);
    is("$r->{code} $r->{out}$r->{err}", '0 ', 'a port; -s');

    done_testing();
}
