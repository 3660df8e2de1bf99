#!/usr/bin/perl

# atls tunnel with the module: any TLS client through a local port.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5;
use IO::Socket::INET;
use IO::Socket::SSL;
use Test::More;

use Test::Atls::Http qw( readable send_all );
use Test::Atls::LocalServer qw( ask_tls connection_end message summary );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Port qw( free_port );
use Test::Atls::Program qw( find_program run_program );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience );

use constant MB => 1 << 20;

my $slow = $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND} || $ENV{TEST_NGINX_SLOW};
my $LARGE = MB * ($slow ? 10 : 50);
my $PATIENCE = patience();

my $t = Test::Atls::Site->new();
my $backend = $t->backend();

$t->make_cert('other', is_ca => 1);
$t->make_cert('client', ca => 'ca', subject => '/CN=me');

my %more = (http     => q{ log_format outer
                           '$request_method $status $http_user_agent'; },
            endpoint => 'atls_verify_client optional;
                         atls_client_certificate %%TESTDIR%%/ca.crt;
                         access_log %%TESTDIR%%/outer.log outer;',
            backend  => 'client_max_body_size 0;');

$t->serve(<<'EOC', %more);
# for abandoned handshakes: workers that quit wait for their timeout

location = /impatient {
    atls on;
    atls_handshake_timeout 1s;
}

location = /busy {
    add_header Retry-After 17 always;
    return 503;
}

location = /info {
    return 200 "$atls_session_id $atls_protocol $atls_client_s_dn\n";
}
EOC

my $atls = $t->command();
my $tunnel = $t->tunnel();
my ($threads, $files) = $tunnel->at_rest();
my $tls;

for (qw( 1.3 1.2 )) {
    $tls = $_;
    subtest("curl, TLS $tls" => \&with_curl);
    subtest("openssl, TLS $tls" => \&with_openssl);
    subtest("gnutls-cli, TLS $tls" => \&with_gnutls);
}

subtest('large transfers' => \&large);
subtest('several connections' => \&several);
subtest('clients that leave' => \&leaving);
subtest('failures' => \&failures);
subtest('nothing is left' => \&nothing_left);
subtest('log' => \&logged);
subtest('graceful stop' => \&graceful_stop);
subtest('command line' => \&command_line);

$t->done_testing();


sub curl {
    my (@args) = @_;

    return run_program($t, 'curl', '-sS', '--http1.1', '--connect-to',
                       'localhost:443:127.0.0.1:' . $tunnel->port(),
                       '--cacert', $t->path('ca.crt'), @args);
}


sub with_curl {
    my $site = 'https://localhost';
    my @tls = ("--tlsv$tls", '--tls-max', $tls);

    my $r = curl(@tls, "$site/info");
    like($r->{out}, qr/^\w+ TLSv$tls \n\z/, 'a request') or diag($r->{err});

    $r = curl(@tls, map { "$site/info" } 1 .. 3);
    my %ids = map { $_ => 1 } $r->{out} =~ /^(\w+) /mg;
    is(keys %ids, 1, 'three in a session');

    $r = curl(@tls, '--cert', $t->path('client.crt'), '--key',
              $t->path('client.key'), "$site/info");
    like($r->{out}, qr/ CN=me\n\z/, 'a client certificate');

    $r = curl(@tls, '-d', 'some=data', "$site/body");
    is($r->{out}, 'some=data', 'a POST');

    $r = curl(@tls, '--cacert', $t->path('other.crt'), "$site/echo");
    is($r->{code}, 60, 'a certificate that is not trusted');
    $r = curl(@tls, '--connect-to', 'example.com:443:127.0.0.1:'
                                    . $tunnel->port(), 'https://example.com/');
    is($r->{code}, 60, 'one of another name');

    $backend->forget();
    done_testing();
}


# Until the server closes the session.

sub with_openssl {
    my @command = (qw( openssl s_client -quiet -verify_return_error ),
                   '-tls' . $tls =~ s/\./_/r, '-servername', 'localhost',
                   '-CAfile', $t->path('ca.crt'), '-connect',
                   '127.0.0.1:' . $tunnel->port());

    my $r = run_program($t, @command,
                        { stdin => message("GET /info\nConnection: close") });
    like($r->{out}, qr/\r\n\r\n\w+ TLSv$tls \n\z/, 'a request')
        or diag($r->{err});

    my $two = message('GET /chunked')
              . message("GET /big?size=300000\nConnection: close");
    $r = run_program($t, @command, { stdin => $two });
    like($r->{out}, qr/three\n/, 'pipelined ones');
    ok(index($r->{out}, "\n" . pattern(300_000)) > 0, 'a larger one');

    $command[-1] =~ s/\d+\z/free_port()/e;
    isnt(run_program($t, @command)->{code}, 0, 'can fail');

    done_testing();
}


sub with_gnutls {
    SKIP: {
        skip 'no gnutls-cli', 1 unless find_program('gnutls-cli');

        my @command = ('gnutls-cli', '--x509cafile', $t->path('ca.crt'),
                       '--priority', "NORMAL:-VERS-ALL:+VERS-TLS$tls",
                       '--verify-hostname', 'localhost', '--sni-hostname',
                       'localhost', '-p', $tunnel->port(), '127.0.0.1');

        my $info = message("GET /info\nConnection: close");
        my $r = run_program($t, @command, { stdin => $info });
        like($r->{out}, qr/Description: \(TLS$tls/, 'a session');
        like($r->{out}, qr/\r\n\r\n\w+ TLSv$tls \n/, 'a request')
            or diag($r->{out});

        my $big = message("GET /big?size=300000\nConnection: close");
        $r = run_program($t, @command, { stdin => $big });
        ok(index($r->{out}, "\n" . pattern(300_000)) > 0, 'a larger one');
    }

    done_testing();
}


sub large {
    my $before = $tunnel->memory();
    my $site = 'https://localhost';

    for (qw( 1.3 1.2 )) {
        my @tls = ('--tls-max', $_);

        my $r = curl(@tls, '-o', $t->path('large'), "$site/big?size=$LARGE");
        is($r->{code}, 0, "TLS $_: download") or diag($r->{err});
        is(md5_of($t->path('large')), pattern_md5($LARGE), 'content');

        $r = curl(@tls, '-T', $t->path('large'), "$site/echo");
        like($r->{out}, qr/^md5 \Q${\pattern_md5($LARGE)}\E$/m, 'upload')
            or diag($r->{err});

        unlink $t->path('large');
    }

    my $grown = $tunnel->memory() - $before;
    note("peak memory: $before kB, $grown kB more");

    SKIP: {
        skip 'memory is not the command\'s own here', 1 if $slow;
        cmp_ok($grown, '<', 8192, 'constant memory');
    }

    done_testing();
}


sub md5_of {
    my ($file) = @_;

    open my $fh, '<', $file or return 'no file';

    return Digest::MD5->new()->addfile($fh)->hexdigest();
}


# Opens a TLS connection.

sub tls_connect {
    my ($server) = @_;

    return IO::Socket::SSL->new(PeerAddr => '127.0.0.1',
                                PeerPort => ($server || $tunnel)->port(),
                                SSL_hostname => 'localhost',
                                SSL_verifycn_name => 'localhost',
                                SSL_verifycn_scheme => 'http',
                                SSL_ca_file => $t->path('ca.crt'))
           || die "no TLS: $IO::Socket::SSL::SSL_ERROR\n";
}


sub several {
    my @open = map { tls_connect() } 1 .. 20;
    my @first = map { ask_tls($_, 'GET /info')->body() } @open;
    my %ids = map { /^(\w+)/ => 1 } @first;

    is(keys %ids, 20, 'each has a session of its own');
    is(join('', map { ask_tls($_, 'GET /info')->body() } reverse @open),
       join('', reverse @first), 'and keeps it');

    # a slow response does not block other connections

    send_all($open[0], message('GET /hang'));
    is(summary(ask_tls($open[1], 'GET /status?code=201')), "201 status 201\n",
       'they do not wait for each other');

    done_testing();
}


sub leaving {
    my $s = tls_connect();

    send_all($s, message('GET /big?size=100000000'));
    $s->sysread(my $some, 1000);
    $s->close(SSL_no_shutdown => 1);
    ok($tunnel->wait_for_log(qr/received, .* closed the connection$/),
       'within an answer');

    $s = tls_connect();
    my $port = $s->sockport();
    $backend->forget();
    send_all($s, message('GET /hang'));
    ok($t->wait_for(sub { $backend->requests() }, $PATIENCE), 'a request');
    $s->close();
    ok($tunnel->wait_for_log(qr/:$port .* closed the connection$/),
       'before an answer');

    # after half-closing its connection, a client gets the complete response,
    # even if this takes longer than the timeout for a closed connection

    $s = tls_connect();
    send_all($s, message('GET /slow?n=10&delay=0.5'));
    shutdown $s, 1;
    my $got = '';
    while (readable($s, $PATIENCE)) {
        $s->sysread($got, 65536, length $got) or last;
    }
    like($got, qr/line 10\n/, 'half closed');

    # a connection without bytes, or with less than a flight, is not an error

    my $impatient = $t->tunnel('/impatient');

    for my $bytes ('', "\x16", "\x16\x03\x01\x02\x00\x01") {
        my $text = length($bytes) . (length $bytes == 1 ? ' byte' : ' bytes');

        $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                   PeerPort => $impatient->port());
        $port = $s->sockport();
        send_all($s, $bytes);
        close $s;
        ok($impatient->wait_for_log(
               qr/:$port (?:1 POST|[02-9] POSTs), $text sent, 0 [^:]*$/),
           $text);
    }

    is($impatient->stop()->{code}, 0, 'exit code');

    is(summary(ask_tls(tls_connect(), 'GET /status?code=201')),
       "201 status 201\n", 'and all is well');

    $backend->forget();
    done_testing();
}


sub failures {
    my $s = tls_connect();
    my $port = $s->sockport();
    is(summary(ask_tls($s, 'GET /status?code=201')),
       "201 status 201\n", 'before');

    # it would notice an idle session that is lost, while nobody listens

    $tunnel->signal('STOP');
    $t->stop()->run();
    $tunnel->signal('CONT');

    is(summary(ask_tls($s, 'GET /status?code=202')),
       'half', 'lost, and closed');
    ok($tunnel->wait_for_log(qr/:$port .*: the endpoint returned 410/),
       'and why');
    is(summary(ask_tls(tls_connect(), 'GET /status?code=202')),
       "202 status 202\n", 'a new one');

    # if a client does not use TLS, it receives the alert of the server

    $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                               PeerPort => $tunnel->port());
    $port = $s->sockport();
    send_all($s, "GET / HTTP/1.0\r\n\r\n");
    like(connection_end($s), qr/^(?:reset|closed)$/, 'no TLS');
    undef $s;
    ok($tunnel->wait_for_log(qr/:$port 1 POST, 18 bytes/), 'is noted');

    for ([ 'http://127.0.0.1:' . free_port() . '/', 'connect' ],
         [ 'http://no-such.invalid/',               'resolve' ],
         [ '/busy',                                 'returned 503' ],
         [ '/echo',                                 'not application/atls' ])
    {
        my ($via, $text) = @$_;
        my $broken = $t->tunnel($via);

        $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                   PeerPort => $broken->port());
        send_all($s, "\x16\x03\x01\x00\x01\x01");
        is(connection_end($s), 'reset', $text);
        ok($broken->wait_for_log(qr/ 1 POST, 6 bytes sent, 0 received, .*$text/),
           'is noted');
        is($broken->stop()->{code}, 0, 'exit code');
    }

    done_testing();
}


sub nothing_left {
    ok($t->wait_for(sub { $tunnel->threads() <= $threads }, $PATIENCE),
       'no threads') or diag($tunnel->threads() . " and not $threads");
    ok($t->wait_for(sub { $tunnel->files() <= $files }, $PATIENCE),
       'no descriptors') or diag($tunnel->files() . " and not $files");

    done_testing();
}


sub logged {
    my $from = $tunnel->log();
    my $s = tls_connect();
    my $port = $s->sockport();

    ask_tls($s, 'GET /big?size=100000') for 1 .. 3;
    $s->close();

    ok($tunnel->wait_for_log(qr/:$port /), 'a line');
    my @lines = $tunnel->log();

    # with an empty POST for each second that the client has done nothing

    like($lines[-1], qr/^127\.0\.0\.1:$port\ [4-9]\ POSTs,
                        \ \d{3,4}\ bytes\ sent,\ 30\d{4}\ received,
                        \ \d+\.\d{3}\ s$/x, 'of a connection');
    is(@lines, $from + 1, 'one');
    is($tunnel->said(), '', 'nothing else');

    is(scalar(grep { / endpoint returned 410/ } @lines), 1,
       'one failure in all, and no more');

    # the user agent of POSTs

    my $agents = $t->read_log('outer.log');
    like($agents, qr!^POST 200 libatls/!m, 'POSTs');
    unlike($agents, qr/curl/, 'by nobody else');

    done_testing();
}


sub graceful_stop {
    my @open = map { tls_connect() } 1 .. 3;

    send_all($open[0], message('GET /slow?n=9&delay=0.1'));
    is(summary(ask_tls($open[1], 'GET /status?code=201')), "201 status 201\n",
       'requests');
    ok($t->wait_for(sub { grep { $_->{uri} =~ /slow/ } $backend->requests() },
                    $PATIENCE), 'one that takes long');

    # a connection that is not accepted yet when the signal is received

    $tunnel->signal('STOP');
    my $new = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                    PeerPort => $tunnel->port());
    send_all($new, "GET / HTTP/1.0\r\n\r\n");
    $tunnel->signal('TERM');
    $tunnel->signal('CONT');

    ok($t->wait_for(sub {
        !IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                               PeerPort => $tunnel->port())
    }, $PATIENCE), 'nobody more');

    my $got = '';
    while ($got !~ /line 9\n/) {
        readable($open[0], $PATIENCE)
            && $open[0]->sysread($got, 65536, length $got) or last;
    }
    like($got, qr/line 9\n/, 'what is in progress goes on');
    is(connection_end($_), 'closed', 'then it ends') for @open;
    connection_end($new);
    close $_ for @open, $new;

    my $r = $tunnel->end();
    is($r->{code}, 0, 'exit code');
    like($r->{out}, qr/ 1 POST, 18 bytes/, 'who has connected is served');

    # a second signal

    $tunnel = $t->tunnel();
    $backend->forget();
    my $s = tls_connect();
    ask_tls($s, 'GET /info');
    send_all($s, message('GET /hang'));
    ok($t->wait_for(sub { $backend->requests() }, $PATIENCE), 'a request');
    $tunnel->signal('TERM');
    ok(!readable($s, 0.7), 'is waited for');
    is($tunnel->stop('INT')->{code}, 'signal 2', 'but not for two');

    done_testing();
}


sub command_line {
    my @l = ('-l', 0);
    my $url = 'https://localhost';

    my @cases = (
        [ 2, 'no URL',                @l ],
        [ 2, '--listen is required',  $url ],
        [ 2, 'only one URL',          @l, $url, $url ],
        [ 2, 'not an option of',        @l, '--cacert', 'x', $url ],
        [ 2, 'not an option of',        @l, '--sessions', '1', $url ],
        [ 2, 'unknown option',        @l, '-k', $url ],
        [ 2, 'see atls tunnel --h',   @l, '-d', 'x', $url ],
        [ 2, 'must be PORT',          '-l', 'x', $url ],
        [ 1, 'https://',              @l, 'http://localhost' ],
        [ 3, 'only a host',           @l, "$url/path" ],
        [ 2, 'not an http or https',  @l, '--via', 'ftp://localhost', $url ],
    );

    for (@cases) {
        my ($code, $text, @args) = @$_;

        my $r = $atls->run('tunnel', @args);
        is("$r->{code} $r->{out}", "$code ", "@args");
        like($r->{err}, qr/\Aatls: \($code\) [^\n]*$text[^\n]*\n\z/, $text);
    }

    my $port = free_port();
    my $s = $atls->start('tunnel', '-s', '-l', $port, '--via',
                         'http://127.0.0.1:' . free_port(), $url);
    $t->wait_for_port($port);
    my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
    send_all($c, 'x');
    connection_end($c);
    kill 'TERM', $s->{pid};
    my $r = $atls->finish($s);
    is("$r->{code} $r->{out}$r->{err}", '0 ', '-s');

    $tunnel = $t->tunnel('-v');
    my $mine = tls_connect();
    is(summary(ask_tls($mine, 'GET /status?code=201')),
       "201 status 201\n", '-v');
    my $name = '127.0.0.1:' . $mine->sockport();
    $mine->close();
    $r = $tunnel->stop();
    like($r->{err}, qr/^\Q$name\E outer> POST /m, 'whose lines they are');
    is($r->{code}, 0, 'exit code');

    done_testing();
}
