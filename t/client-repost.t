#!/usr/bin/perl

# libatls: POSTs without libcurl, and when they are left to it.  This test is
# the endpoint.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Socket qw( IPPROTO_TCP TCP_NODELAY );
use Test::More;

use Test::Atls;
use Test::Atls::Http qw( readable );
use Test::Atls::Lib;

my $TYPE = "Content-Type: application/atls+octet-stream\r\n";

my $t = Test::Atls->new();
my $lib = Test::Atls::Lib->new($t);
my $program = $lib->compile('client_repost');
my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
    or die "cannot listen: $@\n";
my $port = $listen->sockport();
my $url = "http://127.0.0.1:$port/atls/endpoint";

my ($c, $s);                # the program; its connection

subtest('like the POST before' => \&same);
subtest('forms of responses' => \&forms);
subtest('other responses' => \&others);
subtest('closed connections' => \&closed);
subtest('invalid and incomplete responses' => \&incomplete);
subtest('time limit, callback' => \&limits);
subtest('new cookies' => \&cookies);
subtest('cookies in each response' => \&many_cookies);
subtest('a URI of the session' => \&location);
subtest('for libcurl only' => \&left);
subtest('sent again by libcurl' => \&resent);

$t->done_testing();


# Starts the program.  Its first two POSTs are sent by libcurl.

sub start {
    my ($set, $target, %env) = @_;

    $c = $lib->start($program, %env);
    undef $s;

    print {$c->{in}} 'open ', $target || $url, "\n";

    my $one = post(10);
    respond(good($set || "Set-Cookie: a=1; Path=/atls\r\n"));
    result(curl => 1, body => 'ok');

    my $two = post(10);
    respond(good());
    result(curl => 1, body => 'ok');

    return $two;
}


sub finish {
    undef $s;
    is($c->end(), 0, 'exit status');
}


sub good {
    my ($headers, $body) = ($_[0] || '', $_[1] || 'ok');

    return "HTTP/1.1 200 OK\r\n$TYPE${headers}Content-Length: "
           . length($body) . "\r\n\r\n$body";
}


# Sends a POST.  Returns its header.

sub post {
    my ($n, $limit) = @_;

    print {$c->{in}} "post $n ", $limit || '', "\n";

    return request($n);
}


sub request {
    my ($n) = @_;

    $t->wait_for(sub { readable($s || $listen, 1) }) or die "no POST\n";

    unless ($s) {
        $s = $listen->accept() or die "accept(): $!\n";
        setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
    }

    my $got = '';

    until ($got =~ /\r\n\r\n(.*)/s && length $1 == $n) {
        sysread $s, $got, 65536, length $got or die "no POST: $got\n";
    }

    return $got =~ s/\r\n\r\n\Kp{$n}\z//r;
}


sub respond {
    my ($response, $pieces) = @_;

    syswrite $s, $_ for $pieces ? split //, $response : $response;
}


sub result {
    my (%expected) = @_;

    my $r = $c->command('result');

    $expected{error} = $c->number($expected{error} ? "ERROR_$expected{error}"
                                                   : 'OK');
    is($r->{$_}, $expected{$_}, "$_: $expected{$_}") for sort keys %expected;
}


# A POST without libcurl.

sub again {
    my ($response, %expected) = @_;

    post(20);
    respond($response);
    result(curl => 0, %expected);
}


sub same {
    my $two = start(undef, "http://user:word\@127.0.0.1:$port/atls/endpoint");

    for my $n (0, 5, 16384) {
        is(post($n), $two =~ s/Content-Length: \K10\r/$n\r/r, "header, $n");
        respond(good());
        result(curl => 0, body => 'ok', status => 200, reused => 1, kept => 1,
               http => '1.1');
    }

    is(post(16385), $two =~ s/Content-Length: \K10\r/16385\r/r, 'header');
    respond(good());
    result(curl => 1, body => 'ok');

    again(good(), body => 'ok');
    finish();
}


sub forms {
    my $chunked = "HTTP/1.1 200 OK\r\n${TYPE}Transfer-Encoding: chunked\r\n\r\n"
                  . "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: z\r\n\r\n";
    my %forms = (
        'chunked'           => [ $chunked, 'abcde' ],
        'informational'     => [ "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
                                 . good(), 'ok' ],
        'empty'             => [ "HTTP/1.1 200 OK\r\n${TYPE}Content-Length: "
                                 . "0\r\n\r\n", '' ],
        'other case'        => [ good() =~ s/(Content-\w+)/\L$1/gr, 'ok' ],
        'large'             => [ good('', 'x' x 60000), 'x' x 60000 ],
    );

    start();

    for my $name (sort keys %forms) {
        my ($response, $body) = @{$forms{$name}};

        for my $pieces ($name eq 'large' ? 0 : (0, 1)) {
            note("$name, pieces: $pieces");
            post(5);
            respond($response, $pieces);
            result(curl => 0, body => $body, kept => 1);
        }
    }

    # until the end of the connection

    post(5);
    respond("HTTP/1.1 200 OK\r\n$TYPE\r\nuntil the end");
    undef $s;
    result(curl => 0, body => 'until the end', kept => 0);

    post(5);
    respond(good());
    result(curl => 1, body => 'ok', reused => 0);

    again(good("Connection: close\r\n"), body => 'ok', kept => 0);
    undef $s;

    post(5);
    respond(good());
    result(curl => 1, body => 'ok', reused => 0);
    again(good(), body => 'ok');
    finish();
}


sub others {
    my $page = "Content-Type: text/html\r\nContent-Length: 4\r\n";

    start();

    again("HTTP/1.1 503 Busy\r\n${page}Retry-After: 7\r\n\r\npage",
          error => 'OUTER_STATUS', status => 503, retry => 7,
          text => 'the endpoint returned 503 (try again later)');
    again("HTTP/1.1 503 Busy\r\n${page}Retry-After: Fri, 01 Jan 1999 00:00:00 "
          . "GMT\r\n\r\npage",
          error => 'OUTER_STATUS', status => 503, retry => 0);
    again("HTTP/1.1 200 OK\r\n$page\r\npage", error => 'MEDIA_TYPE',
          status => 200,
          text => 'the endpoint returned text/html, not application/atls+octet'
                  . '-stream: a web page, of a captive portal or a filter');
    again(good("Content-Encoding: gzip\r\n"), error => 'MEDIA_TYPE');
    again("HTTP/1.1 302 Found\r\n${page}Location: /login\r\n\r\npage",
          error => 'REDIRECT', status => 302);
    again("HTTP/1.1 410 Gone\r\nContent-Type: application/problem+json\r\n"
          . "Content-Length: 28\r\n\r\n{\"detail\":\"No such session\"}",
          error => 'OUTER_STATUS', status => 410,
          text => 'the endpoint returned 410: No such session');
    again("HTTP/1.1 502 Bad\r\nContent-Length: 90000\r\n\r\n" . 'x' x 90000,
          error => 'OUTER_STATUS', status => 502, kept => 0);
    undef $s;

    post(5);
    respond(good());
    result(curl => 1, body => 'ok', reused => 0);
    finish();
}


sub closed {
    start();

    # while it was not used

    undef $s;
    post(5);
    respond(good());
    result(curl => 1, body => 'ok', reused => 0);

    # after the POST was received: libcurl sends it again

    again(good(), body => 'ok', reused => 1);
    post(5);
    undef $s;
    request(5);
    respond(good());
    result(curl => 1, body => 'ok', reused => 0);

    # data that no POST has asked for

    again(good(), body => 'ok');
    syswrite $s, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    print {$c->{in}} "post 5\n";
    undef $s;
    request(5);
    respond(good());
    result(curl => 1, body => 'ok', reused => 0);
    finish();
}


sub incomplete {
    my %responses = (
        'no HTTP'       => "SSH-2.0-x\r\n",
        'header'        => "HTTP/1.1 200 OK\r\nConte",
        'body'          => good('', 'x' x 100) =~ s/x$//r,
        'chunk'         => "HTTP/1.1 200 OK\r\n${TYPE}Transfer-Encoding: "
                           . "chunked\r\n\r\n5\r\nabc",
        'two lengths'   => good("Content-Length: 5\r\n"),
        'other version' => good() =~ s!/1.1!/2.0!r,
    );

    start();

    for my $name (sort keys %responses) {
        note($name);
        post(5);
        respond($responses{$name});
        undef $s;
        result(curl => 0, error => 'NETWORK', kept => 0);

        post(5);
        respond(good());
        result(curl => 1, body => 'ok', reused => 0);
    }

    finish();
}


sub limits {
    start();

    post(5, 50);
    result(curl => 0, error => 'TIMEOUT', kept => 0);
    undef $s;

    post(5);
    respond(good());
    result(curl => 1, body => 'ok', reused => 0);

    post(5, 'stop');
    result(curl => 0, error => 'ABORTED', kept => 0);
    finish();

    # without data

    start(undef, "$url 3000");
    post(5);
    respond(good('', 'x' x 10) =~ s/x\z//r);
    result(curl => 0, error => 'TIMEOUT', kept => 0, status => 200);
    finish();
}


sub cookies {
    my $two = start("Set-Cookie: a=1; Path=/atls\r\nSet-Cookie: c=3\r\n");

    like($two, qr/^Cookie: (?:a=1; c=3|c=3; a=1)\r$/m, 'cookies');

    # replaced, and a new one

    again(good("Set-Cookie: a=2; Path=/atls; Max-Age=1000\r\n"
             . "Set-Cookie: b=4; Path=/\r\n"), body => 'ok');

    my @cookies = post(5) =~ /^Cookie: (.*)\r$/mg;
    is(join('; ', sort map { split /; / } @cookies), 'a=2; b=4; c=3',
       'cookies');
    respond(good());
    result(curl => 1, body => 'ok', reused => 1);

    my $same = post(5);
    is(join('; ', $same =~ /^Cookie: (.*)\r$/mg), $cookies[0], 'cookies');
    respond(good());
    result(curl => 0, body => 'ok');

    # to a POST of libcurl

    post(20000);
    respond(good("Set-Cookie: a=5; Path=/atls\r\n"));
    result(curl => 1, body => 'ok');

    like(post(5), qr/^Cookie:.* a=5(?:;|\r$)/m, 'cookie');
    respond(good());
    result(curl => 1, body => 'ok');

    # one that expires

    again(good("Set-Cookie: c=6; Max-Age=1\r\n"), body => 'ok');
    ok($t->wait_for(sub { $c->command('result')->{expired} }), 'expired');
    post(5);
    respond(good());
    result(curl => 1, body => 'ok');
    finish();
}


sub many_cookies {
    start();

    for my $n (5 .. 9) {
        post(20000);
        respond(good("Set-Cookie: a=$n; Path=/atls\r\n"));
        result(curl => 1);
        like(post(5), qr/^Cookie: a=$n\r$/m, 'cookie');
        respond(good("Set-Cookie: a=$n; Path=/atls\r\n"));
        result(curl => 1);
    }

    finish();
}


sub location {
    $c = $lib->start($program);
    undef $s;
    print {$c->{in}} "open $url\n";

    post(5);
    respond(good("Location: /atls/endpoint/7\r\n") =~ s/200 OK/201 Created/r);
    result(curl => 1, body => 'ok', status => 201);

    for my $curl (1, 0, 0) {
        like(post(5), qr!^POST /atls/endpoint/7 HTTP/1\.1\r$!m, 'POST');
        respond(good());
        result(curl => $curl, body => 'ok');
    }

    again(good("Location: /atls/endpoint/8\r\n") =~ s/200 OK/201 Created/r,
          status => 201);
    like(post(5), qr!^POST /atls/endpoint/8 HTTP/1\.1\r$!m, 'POST');
    respond(good());
    result(curl => 1, body => 'ok');
    finish();
}


sub left {
    start(undef, 'http://atls.example/atls',
          http_proxy => "http://127.0.0.1:$port");
    like(post(5), qr!^POST http://atls\.example/atls HTTP/1\.1\r$!m, 'proxy');
    respond(good());
    result(curl => 1, body => 'ok');
    finish();

    # libcurl accepts lines without CR

    $c = $lib->start($program);
    undef $s;
    print {$c->{in}} "open $url\n";

    for (1 .. 4) {
        post(5);
        respond(good() =~ s/\r//gr);
        result(curl => 1, body => 'ok', kept => 1);
    }

    finish();
}


# The POST that is recorded is sent twice.

sub resent {
    $c = $lib->start($program);
    undef $s;
    print {$c->{in}} "open $url\n";

    post(5);
    respond(good());
    result(curl => 1, body => 'ok');

    post(10);
    undef $s;
    my $two = request(10);
    respond(good());
    result(curl => 1, body => 'ok', reused => 0);

    is(post(10), $two, 'header');
    respond(good());
    result(curl => 0, body => 'ok');

    # without libcurl, and not by it, as nobody listens

    post(10);
    close $listen;
    undef $s;
    result(curl => 1, error => 'CONNECT', sent => 1);
    finish();
}
