#!/usr/bin/perl

# atls proxy: TLS clients that use it as their proxy.  t/atls-proxy-direct.t is
# about hosts without ATLS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use IO::Socket::INET;
use Test::More;

use Test::Atls::Http qw( http_connect http_raw readable send_all );
use Test::Atls::LocalServer qw(
    ask_tls connection_end message next_answer summary
);
use Test::Atls::Pattern qw( pattern_md5 );
use Test::Atls::Port qw( free_port );
use Test::Atls::Program qw( run_program );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience );

use constant MB => 1 << 20;

my $PATIENCE = patience();

my $t = Test::Atls::Site->new(san => 'DNS:localhost,DNS:api.test,IP:::1');
my $backend = $t->backend();

$t->make_cert('outer-ca', is_ca => 1);
$t->make_cert('outer', ca => 'outer-ca', san => 'DNS:localhost');

# A service with the default endpoint, a site without ATLS, and one that is
# unavailable.

my $servers = <<'EOC';
server {
    listen 127.0.0.1:%%PORT_2%% ssl;
    %%SSL_CERTIFICATE_outer%%
    server_name localhost;
    client_max_body_size 0;

    location = /.well-known/atls {
        atls on;
        access_log %%TESTDIR%%/outer.log outer;
    }

    location = /info {
        return 200 "$atls_session_id $atls_protocol $atls_server_name $host\n";
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_request_buffering off;
        proxy_buffering off;
    }
}

server {
    listen 127.0.0.1:%%PORT_3%% ssl;
    %%SSL_CERTIFICATE_outer%%
    return 404;
}

server {
    listen 127.0.0.1:%%PORT_4%% ssl;
    %%SSL_CERTIFICATE_outer%%
    return 503;
}
EOC

my $log = q{ log_format outer '$request_method $request_length $status'; };

$t->serve(<<'EOC', servers => $servers, http => $log);
default_type text/html;

location = /none {
    return 404;
}

location = /page {
    return 200 "<html>";
}

location = /method {
    return 405;
}

location = /elsewhere {
    return 301 https://www.test/;
}

location = /down {
    return 502;
}

location = /full {
    default_type application/problem+json;
    add_header Retry-After 17 always;
    return 503 '{ "type": "tag:atls,2026:zone-full", "detail": "no room" }';
}

location = /info {
    return 200 "$atls_session_id $atls_protocol $atls_server_name $host\n";
}
EOC

my ($https, $none, $down) = map { $t->port($_) } 2 .. 4;
my @maps = map { ('--map', $_) }
           'API.test=' . $t->endpoint(), '[::1]:8443=' . $t->endpoint(),
           map { "$_.test=" . $t->endpoint("/$_") }
               qw( none page method elsewhere down full );

my $proxy = $t->proxy(@maps);
my ($threads, $files) = $proxy->at_rest();

subtest('curl' => \&with_curl);
subtest('mapped' => \&mapped);
subtest('refused' => \&refused);
subtest('what is no CONNECT' => \&no_connect);
subtest('one connection' => \&one_connection);
subtest('clients that leave' => \&leaving);
subtest('log' => \&logged);
subtest('nothing is left' => \&nothing_left);
subtest('graceful stop' => \&graceful_stop);
subtest('command line' => \&command_line);

$t->done_testing();


sub curl {
    my ($p, @args) = @_;

    return run_program($t, 'curl', '-sS', '--cacert', $t->path('ca.crt'),
                       '-x', 'http://127.0.0.1:' . $p->port(), @args);
}


sub with_curl {
    my $site = "https://localhost:$https";

    for (qw( 1.3 1.2 )) {
        my @tls = ("--tlsv$_", '--tls-max', $_);

        my $r = curl($proxy, @tls, "$site/info");
        like($r->{out}, qr/^\w+ TLSv$_ localhost localhost\n\z/,
             "TLS $_: a request") or diag($r->{err});

        $r = curl($proxy, @tls, map { "$site/info" } 1 .. 3);
        my %ids = map { $_ => 1 } $r->{out} =~ /^(\w+) /mg;
        is(keys %ids, 1, 'three in a session');

        $r = curl($proxy, @tls, '-o', $t->path('large'),
                  "$site/big?size=" . 5 * MB);
        is(md5_hex($t->read_file('large')), pattern_md5(5 * MB), 'download');

        $r = curl($proxy, @tls, '-T', $t->path('large'), "$site/echo");
        like($r->{out}, qr/^md5 \Q${\pattern_md5(5 * MB)}\E$/m, 'upload');
    }

    # curl verifies the inner certificate, not the outer one

    is(curl($proxy, '--cacert', $t->path('outer-ca.crt'), "$site/")->{code}, 60,
       'a certificate that is not trusted');

    my @http = ('-p', '-x', 'http://127.0.0.1:' . $proxy->port());
    is(run_program($t, 'curl', '-sS', '--http1.0', @http, '--cacert',
                   $t->path('ca.crt'), "$site/status?code=201")->{out},
       "status 201\n", 'HTTP/1.0');

    # an empty POST precedes those of each connection

    my @posts = split /\n/, $t->read_log('outer.log');
    is(scalar(grep { /^POST \d+ 400$/ } @posts), 10,
       'an empty POST for each connection');

    # 410: a close_notify after the server closed the session

    is(join("\n", grep { !/^POST \d+ (?:200|400|410)$/ } @posts), '',
       'nothing else');

    $backend->forget();
    done_testing();
}


sub mapped {
    my $r = curl($proxy, 'https://api.test/info');
    like($r->{out}, qr/^\w+ \S+ api\.test api\.test\n\z/, 'a name')
        or diag($r->{err});

    $r = curl($proxy, 'https://[::1]:8443/info');
    like($r->{out}, qr/^\w+ \S+  \[::1\]\n\z/, 'an address, with a port')
        or diag($r->{err});

    # another port has another endpoint

    $r = $proxy->ask("CONNECT [::1]:8444");
    like($r->reason(), qr/^cannot connect to the endpoint: /, 'another port');
    $r = $proxy->ask("CONNECT api.test:8443");
    like($r->reason(), qr/^cannot (?:resolve|connect)/, 'of a name');

    done_testing();
}


# The status and the reason phrase, which is also in the body.

sub answer {
    my ($r) = @_;

    return 'nothing' unless $r && $r->done();

    is($r->body(), 'atls: ' . $r->reason() . "\n", 'in the body, too');
    is($r->header('Content-Type'), 'text/plain; charset=utf-8', 'its type');

    return $r->status() . ' ' . $r->reason();
}


sub refused {
    my $no = 'does not support ATLS: the endpoint returned';
    my $free = free_port();

    my %cases = (
        'none.test:443'      => "502 none.test $no 404",
        'NONE.test:443'      => "502 none.test $no 404",
        'method.test:443'    => "502 method.test $no 405: refused by the"
                                . ' server or by a filter',
        'page.test:443'      => "502 page.test $no text/html, not "
                                . 'application/atls+octet-stream: a web page,'
                                . ' of a captive portal or a filter',
        'elsewhere.test:443' => "502 elsewhere.test $no 301 with Location "
                                . 'https://www.test/',
        'down.test:443'      => '502 rejected by the endpoint: the endpoint'
                                . ' returned 502: a proxy cannot reach the'
                                . ' endpoint',
        'full.test:443'      => '503 rejected by the endpoint: the endpoint'
                                . ' returned 503: no room (try again later)',
        "localhost:$none"    => "502 localhost $no 404, see --direct",
        "localhost:$down"    => '502 rejected by the endpoint: the endpoint'
                                . ' returned 503',
    );

    for (sort keys %cases) {
        is(answer($proxy->ask("CONNECT $_")), $cases{$_}, $_);
    }

    %cases = (
        'no-such.invalid:443'        => '502 cannot resolve the endpoint',
        "localhost:$free"            => '502 cannot connect to the endpoint',
        'localhost:' . $t->port(0)   => '502 outer TLS failure',
    );

    for (sort keys %cases) {
        like(answer($proxy->ask("CONNECT $_")), qr/^\Q$cases{$_}\E/, $_);
    }

    # a program shows the reason

    my $r = curl($proxy, '-v', 'https://none.test/');
    like($r->{code}, qr/^(?:56|7)$/, 'curl; 7 since 8.23');
    like($r->{err}, qr/^< HTTP\/1\.1 502 none.test does not support ATLS: /m,
         'what it shows');

    done_testing();
}


sub no_connect {
    my $end = "HTTP/1.1\r\nHost: localhost\r\n";
    my $to = "CONNECT localhost:$https";
    my $connect = "$to $end";

    my @cases = (
        [ 'an absolute form', 501, "GET http://localhost/ $end\r\n" ],
        [ 'a path',           501, "GET / $end\r\n" ],
        [ 'a POST',           501, "POST / ${end}Content-Length: 2\r\n\r\nhi" ],
        [ 'HEAD',             501, "HEAD / $end\r\n" ],
        [ 'no port',          400, "CONNECT localhost $end\r\n" ],
        [ 'port 0',           400, "CONNECT localhost:0 $end\r\n" ],
        [ 'a large port',     400, "CONNECT localhost:65536 $end\r\n" ],
        [ 'no number',        400, "CONNECT localhost:a $end\r\n" ],
        [ 'no host',          400, "CONNECT :443 $end\r\n" ],
        [ 'a user',           400, "CONNECT a\@localhost:443 $end\r\n" ],
        [ 'a URL',            400, "CONNECT https://localhost:443 $end\r\n" ],
        [ 'no brackets',      400, "CONNECT ::1:443 $end\r\n" ],
        [ 'a bad address',    400, "CONNECT [::g]:443 $end\r\n" ],
        [ 'a slash',          400, "CONNECT localhost:443/ $end\r\n" ],
        [ 'a body',           400, "${connect}Content-Length: 1\r\n\r\nx" ],
        [ 'chunks',           400, $connect
                                   . "Transfer-Encoding: chunked\r\n\r\n" ],
        [ 'no Host',          400, "$to HTTP/1.1\r\n\r\n" ],
        [ 'HTTP/2.0',         505, "$to HTTP/2.0\r\n\r\n" ],
        [ 'garbage',          400, "\x16\x03\x01\x00\r\n" ],
        [ 'much',             431, $connect . 'X: ' . 'x' x 70_000
                                   . "\r\n\r\n" ],
    );

    for (@cases) {
        my ($name, $status, $bytes) = @$_;

        my $got = http_raw($proxy->port(), $bytes, shut => 1,
                           timeout => $PATIENCE);
        like($got, qr/\AHTTP\/1\.1 $status \S/, $name);
    }

    # a length of 0 is accepted

    like(http_raw($proxy->port(), "${connect}Content-Length: 0\r\n\r\n",
                  shut => 1, timeout => $PATIENCE),
         qr/\AHTTP\/1\.1 200 Connection established\r\n\r\n\z/,
         'a length of 0');

    done_testing();
}


# A connection can be used after a rejected request.  Data sent together with
# CONNECT are passed to the service.

sub one_connection {
    my $s = $proxy->connect();

    for ('CONNECT none.test:443', 'GET http://localhost/',
         "CONNECT none.test:443 HTTP/1.0\nConnection: keep-alive")
    {
        send_all($s, message($_));
        like(next_answer($s)->status(), qr/^50[12]$/, $_);
    }

    send_all($s, "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n"
                 . "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00");
    my $alert = qr/\AHTTP\/1\.1 200 [^\r]*\r\n\r\n\x15\x03/;
    my $got = '';
    until ($got =~ $alert) {
        readable($s, $PATIENCE) && $s->sysread($got, 65536, length $got)
            or last;
    }
    like($got, $alert, 'an alert at once');
    undef $s;

    $s = $proxy->connect('CONNECT none.test:443 HTTP/1.0');
    is(next_answer($s)->status(), 502, 'HTTP/1.0');
    is(connection_end($s), 'closed', 'ends');

    done_testing();
}


sub leaving {
    my $s = tls($proxy);
    my $port = $s->sockport();

    send_all($s, message('GET /big?size=100000000'));
    $s->sysread(my $some, 1000);
    $s->close(SSL_no_shutdown => 1);
    ok($proxy->wait_for_log(qr/:$port .* closed the connection$/),
       'within an answer');

    for my $bytes ('', 'CONNECT', "CONNECT localhost:$https HTTP/1.1\r\nHo",
                   message("CONNECT localhost:$https"),
                   message('CONNECT no-such.invalid:443'))
    {
        $s = $proxy->connect();
        send_all($s, $bytes);
        close $s;
    }

    is(summary(ask_tls(tls($proxy), 'GET /status?code=201')),
       "201 status 201\n", 'others still work');

    $backend->forget();
    done_testing();
}


# A TLS connection through a proxy, to the service or to another port.

sub tls {
    my ($p, $to) = @_;

    return http_connect($to || $https, tls => 1, host => 'localhost',
                        proxy => $p->port());
}


sub logged {
    my $p = $t->proxy(@maps);

    my $port = $p->port();
    my $s = tls($p);
    my $peer = '127.0.0.1:' . $s->sockport();

    ask_tls($s, 'GET /status?code=201');
    $s->close();
    ok($p->wait_for_log(qr/^\Q$peer\E /), 'a line');
    $p->ask('CONNECT none.test:443');
    ok($p->wait_for_log(qr/ none\.test:443 /), 'another one');
    $p->ask("GET /\xc2\x9b\x80 HTTP/1.0");
    ok($p->wait_for_log(qr/ 501 /), 'a third one');

    my @lines = $p->log();
    like($lines[0], qr/^\Q$peer\E\ localhost:$https\ [3-5]\ POSTs,
                       \ \d+\ bytes\ sent,\ \d+\ received,\ \d+\.\d{3}\ s$/x,
         'of a connection');
    like($lines[1], qr/^127\S+\ none\.test:443\ 502\ \d+\.\d{3}\ s:
                       \ none\.test\ does\ not\ support\ ATLS:\ /x,
         'of one that is refused');
    like($lines[2], qr/^127\S+ \/\?\?\? 501 /, 'of anything else');
    is(@lines, 3, 'three');

    my $r = $p->stop();
    is($r->{code}, 0, 'exit code');
    is($r->{err}, "atls: listening on 127.0.0.1:$port\n", 'nothing else');

    done_testing();
}


sub nothing_left {
    ok($t->wait_for(sub { $proxy->threads() <= $threads }, $PATIENCE),
       'no threads') or diag($proxy->threads() . " and not $threads");
    ok($t->wait_for(sub { $proxy->files() <= $files }, $PATIENCE),
       'no descriptors') or diag($proxy->files() . " and not $files");

    done_testing();
}


sub graceful_stop {
    my @open = (tls($proxy), tls($proxy));
    my $idle = $proxy->connect();

    $backend->forget();
    send_all($open[0], message('GET /slow?n=9&delay=0.1'));
    ok($t->wait_for(sub { $backend->requests() }, $PATIENCE), 'a request');

    $proxy->signal('TERM');

    my $got = '';
    while ($got !~ /line 9\n/) {
        readable($open[0], $PATIENCE)
            && $open[0]->sysread($got, 65536, length $got) or last;
    }
    like($got, qr/line 9\n/, 'what is in progress goes on');
    is(connection_end($_), 'closed', 'then it ends') for @open, $idle;
    close $_ for @open, $idle;
    is($proxy->end()->{code}, 0, 'exit code');

    done_testing();
}


sub command_line {
    my $atls = $t->command();
    my @l = ('-l', 0);

    my @cases = (
        [ 2, '--listen is required' ],
        [ 2, 'unexpected argument',   @l, 'https://localhost' ],
        [ 2, 'not an option of',        @l, '--via', 'https://localhost' ],
        [ 2, 'unknown option',        @l, '-k' ],
        [ 2, 'see atls proxy --h',    @l, '--cacert', 'x' ],
        [ 2, 'must be PORT',          '-l', 'x' ],
        [ 2, 'must be HOST=URL',      @l, '--map', 'localhost' ],
        [ 2, 'must be HOST=URL',      @l, '--map', '=https://localhost/' ],
        [ 2, 'must be HOST=URL',      @l, '--map', 'a:b=https://localhost/' ],
        [ 2, 'must be HOST=URL',      @l, '--map', '::1=https://localhost/' ],
        [ 2, 'not an http or https',  @l, '--map', 'localhost=' ],
        [ 2, 'not an http or https',  @l, '--map', 'localhost=ftp://a/' ],
    );

    for (@cases) {
        my ($code, $text, @args) = @$_;

        my $r = $atls->run('proxy', @args);
        is("$r->{code} $r->{out}", "$code ", "@args");
        like($r->{err}, qr/\Aatls: \($code\) [^\n]*$text[^\n]*\n\z/, $text);
    }

    my $port = free_port();
    my $s = $atls->start('proxy', '-s', '-l', $port);
    $t->wait_for_port($port);
    is(http_raw($port, "GET / HTTP/1.0\r\n\r\n", timeout => $PATIENCE)
       =~ s/ .*//sr, 'HTTP/1.1', 'a request');
    kill 'TERM', $s->{pid};
    my $r = $atls->finish($s);
    is("$r->{code} $r->{out}$r->{err}", '0 ', '-s');

    done_testing();
}
