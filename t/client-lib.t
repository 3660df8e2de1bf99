#!/usr/bin/perl

# libatls with the module: requests, bodies, sessions, trust, threads.  The
# program is t/bin/client_lib.c, linked with the static library; and once as
# pkg-config has it with the shared one.  See Test::Atls::Lib for TEST_ASAN and
# TEST_VALGRIND.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Digest::SHA qw( sha256_hex );
use IO::Select;
use IO::Socket::INET;
use IO::Socket::SSL;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Lib;
use Test::Atls::Pattern qw( pattern pattern_md5 );

my $KB = 1 << 10;
my $MB = 1 << 20;
my $slow = $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND} || $ENV{TEST_NGINX_SLOW};

my $t = Test::Atls->new(workers => 4);

$t->make_cert('ca', is_ca => 1);
$t->make_cert('other', is_ca => 1);
$t->make_cert('localhost', ca => 'ca', san => 'DNS:localhost,IP:127.0.0.1');
$t->make_cert('wrong', ca => 'ca', san => 'DNS:example.com');
$t->make_cert('outer', san => 'DNS:localhost');
$t->make_cert('proxy', ca => 'other', san => 'IP:127.0.0.1');
expired_cert('expired');

my $backend = Test::Atls::Backend->start($t, $t->port(9));
my $port = $t->port(0);
my $target = 'https://localhost';
my $endpoint = "http://127.0.0.1:$port/.well-known/atls";
my @trust = (ENDPOINT => $endpoint, CA_FILE => $t->path('ca.crt'));

$t->write_conf(conf('2m'));
$t->run();

my $lib = Test::Atls::Lib->new($t);
my $program = $lib->compile('client_lib');
my $c = $lib->start($program);
my $r;

subtest('targets' => \&targets);
subtest('options' => \&options);
subtest('requests' => \&requests);
subtest('bodies' => \&bodies);
subtest('many POSTs' => \&posts);
subtest('callbacks that abort' => \&aborts);
subtest('large bodies' => \&large);
subtest('certificates' => \&certificates);
subtest('protocols' => \&protocols);
subtest('the outer connection' => \&outer);
subtest('resumption' => \&resumption);
subtest('lost sessions' => \&lost);
subtest('debug lines' => \&debug_lines);
subtest('threads' => \&threads);
subtest('shared library' => \&shared);

is($c->end(), 0, 'exit status');
is($lib->start($lib->compile('client_header'))->end(), 0, 'the header alone');

$t->done_testing();


sub targets {
    for my $good (qw( https://localhost https://localhost/ HTTPS://LOCALHOST
                      https://[::1]:8443 https://127.0.0.1 https://a.b-c.d. ))
    {
        is($c->name($c->command("new $good")), 'OK', $good);
    }

    for my $bad ('', 'https://a#f',
                 qw( http://localhost localhost https:// https://a/path
                     https://u@a https://u:p@a https://a?q https://a:99999
                     https://a%00b https://bücher.de https://a%0d%0ab
                     ftp://a ))
    {
        is($c->name($c->command("new $bad")), 'USAGE', "\"$bad\"");
    }

    done_testing();
}


sub options {
    my %bad = (
        CA_FILE => '/nonexistent',
        CERT_FILE => $t->path('nginx.conf'),
        PSK_IDENTITY => 'alone',
        PSK_KEY => 'xyz',
        MIN_PROTOCOL => 'TLSv1.1',
        CIPHERS => 'NONE-OF-THESE',
        CIPHERSUITES => 'NONE-OF-THESE',
        GROUPS => 'NONE-OF-THESE',
        ALPN => 'a,,b',
        OUTER_HTTP => '4',
        ENDPOINT => 'ftp://127.0.0.1/',
    );

    for my $name (sort keys %bad) {
        $c->client($target, @trust, $name => $bad{$name});
        $r = $c->go('GET', '/');
        is($c->name($r), 'USAGE', "$name: $r->{text}");
    }

    is($c->name($c->client($target, POST_SIZE => 1023)), 'USAGE', 'small');
    is($c->name($c->client($target, HEADER_SIZE => 0)), 'USAGE', 'zero');
    is($c->name($c->command('string 99 x')), 'USAGE', 'no such option');
    is($c->name($c->command('outer-header X')), 'USAGE', 'no header');
    is($c->name($c->command('session')), 'USAGE', 'no session yet');
    is($c->name($c->command('export 32 EXPORTER-x')), 'USAGE', 'no exporter');
    is($c->command('outer')->{posts}, 0, 'no POSTs yet');

    # a wrong one can be put right, but not when it is in use

    $c->client($target, @trust, ALPN => ',');
    is($c->name($c->go('GET', '/echo')), 'USAGE', 'wrong');
    $c->command('string ' . $c->number('ALPN') . ' NULL');
    is($c->name($c->go('GET', '/echo')), 'OK', 'default again');
    is($c->name($c->command('string 0 x')), 'USAGE', 'too late');
    is($c->name($c->go('GET', '/echo')), 'OK', 'and no harm done');

    done_testing();
}


sub requests {
    $c->client($target, @trust);

    $r = $c->go('GET', '/echo?a=b', header => [ 'X-One' => 'two three' ]);
    is($c->name($r), 'OK', 'GET') or diag($r->{text});
    is("$r->{status} $r->{seen}", '200 200', 'status');
    like($r->{body}, qr!^GET /echo\?a=b HTTP/1.[01]$!m, 'request line');
    like($r->{body}, qr/^Host: localhost$/m, 'Host');
    like($r->{body}, qr/^X-One: two three$/m, 'header');
    unlike($r->{body}, qr/^(Content-Length|Transfer-Encoding|Cookie):/m,
           'nothing else');
    is($r->{type}, 'text/plain', 'header of the answer');
    is($r->{md5}, md5_hex($r->{body}), 'body');

    is($c->command('outer')->{posts}, 2, 'two POSTs');
    $c->go('GET', '/echo');
    is($c->command('outer')->{posts}, 3, 'and one more');

    $r = $c->go('GET', '/echo', header => [ Host => 'other.example' ]);
    like($r->{body}, qr/^Host: other.example$/m, 'another Host');
    unlike($r->{body}, qr/^Host: localhost$/m, 'instead');

    $r = $c->go('HEAD', '/big?size=1000');
    is("$r->{status} $r->{length}", '200 0', 'HEAD');

    for (qw( 204 304 301 404 500 )) {
        $r = $c->go('GET', "/status?code=$_");
        is("$r->{status} " . $c->name($r), "$_ OK", "status $_");
    }

    $r = $c->go('GET', '/chunked');
    is($r->{body}, "one\ntwo\nthree\n", 'chunked');

    is($c->command('session')->{open}, 1, 'still open');
    $r = $c->go('GET', '/echo', header => [ Connection => 'close' ]);
    is($r->{status}, 200, 'Connection: close');
    is($c->command('session')->{open}, 0, 'closed');

    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'a new session');

    $r = $c->go('OPTIONS', '*');
    is($r->{status}, 400, 'nginx does not know OPTIONS *');

    # what can't be sent

    for ([ 'G T', '/' ], [ 'CONNECT', '/' ], [ 'GET', 'no-slash' ],
         [ 'GET', "/sp\x7face" ], [ 'GET', '/fragment#' ], [ 'GET', '*' ],
         [ 'GET', '/', header => [ 'Na:me' => 'x' ] ],
         [ 'GET', '/', header => [ 'Name' => "a\rb" ] ],
         [ 'GET', '/', header => [ 'content-length' => 1 ] ],
         [ 'GET', '/', header => [ 'Transfer-Encoding' => 'chunked' ] ])
    {
        my ($method, @args) = @$_;
        next if $method =~ / /;
        is($c->name($c->go($method, @args)), 'USAGE',
           join ' ', $method, map { ref ? @$_ : $_ } @args);
    }

    is($c->go('GET', '/echo')->{status}, 200, 'and the client goes on');

    # the handshake by itself, exporter, close

    $c->client($target, @trust);
    is($c->name($c->command('connect')), 'OK', 'connect');
    is($c->command('outer')->{posts}, 2, 'handshake');
    my $key = $c->command('export 32 EXPORTER-test')->{key};
    like($key, qr/^[0-9a-f]{64}$/, 'exporter');
    is($c->go('GET', '/atls')->{status}, 200, 'request');
    is($c->command('export 32 EXPORTER-test')->{key}, $key, 'the same');
    $c->command('close');
    is($c->command('session')->{open}, 0, 'closed');
    is($c->command('outer')->{posts}, 4, 'and told the server');
    $c->go('GET', '/atls');
    isnt($c->command('export 32 EXPORTER-test')->{key}, $key, 'a new session');

    done_testing();
}


sub bodies {
    my $file = $t->write_file('body', pattern(100_000));
    my $empty = $t->write_file('empty', '');

    $c->client($target, @trust);

    my @cases = (
        [ 'bytes 5',        5 ],
        [ 'bytes 0',        0 ],
        [ 'bytes 100000',   100_000 ],
        [ "file $file",     100_000 ],
        [ "fd $file",       100_000 ],
        [ "file $empty",    0 ],
        [ 'read 0',         0 ],
        [ 'read 100000',    100_000 ],
        [ 'chunked 0',      0 ],
        [ 'chunked 5',      5 ],
        [ 'chunked 100000', 100_000 ],
    );

    for (@cases) {
        my ($body, $length) = @$_;

        $backend->forget();
        $r = $c->go('PUT', '/echo', body => $body);
        is("$r->{error} $r->{status}", '0 200', $body) or diag($r->{text});

        my ($request) = $backend->requests();
        is($request->{length}, $length, "$body: length");
        is($request->{md5}, pattern_md5($length), "$body: checksum");
    }

    for my $method (qw( POST PUT PATCH DELETE GET )) {
        $r = $c->go($method, '/echo');
        my ($length) = $r->{body} =~ /^Content-Length: (\d+)/m;
        is($length, $method =~ /^P/ ? 0 : undef, "$method without a body");
    }

    # by default it is a POST

    $r = $c->go('POST', '/body', body => 'bytes 100');
    is($r->{body}, pattern(100), 'there and back');

    is($c->name($c->go('PUT', '/', body => 'fail 10')), 'ABORTED', 'no more');
    is($c->name($c->go('PUT', '/', body => 'fd /')), 'READ', 'a directory');
    is($c->name($c->go('PUT', '/', body => 'file /nonexistent')), 'USAGE',
       'no file');
    is($c->go('GET', '/echo')->{status}, 200, 'and the client goes on');

    done_testing();
}


sub posts {
    for my $size (1024, 20_000, 65_536) {
        $c->client($target, @trust, POST_SIZE => $size);
        $c->command('connect');

        for my $kind (qw( bytes chunked )) {
            my $before = $c->command('outer')->{posts};

            $backend->forget();
            $r = $c->go('POST', '/echo', body => "$kind 300000");
            is("$r->{error} $r->{status}", '0 200', "$size, $kind")
                or diag($r->{text});

            # one that was given up before is seen late

            my @whole = grep { !$_->{aborted} } $backend->requests();
            is(@whole, 1, "$size, $kind: once");
            is($whole[0]{md5}, pattern_md5(300_000), "$size, $kind: checksum");

            my $posts = $c->command('outer')->{posts} - $before;
            cmp_ok($posts, '>=', 300_000 / $size, 'as many POSTs as needed');
            cmp_ok($posts, '<=', 300_000 / ($size - 200) + 2, 'not more');
        }

        is($c->command('session')->{open}, 1, 'one session');
    }

    # the answer is there before the request is

    $c->client($target, @trust, POST_SIZE => 4096);
    $r = $c->go('PUT', '/refused', body => 'bytes 1000000');
    is("$r->{error} $r->{status}", '0 413', 'refused early')
        or diag($r->{text});
    cmp_ok($c->command('outer')->{posts}, '<', 20, 'the rest is not sent');

    $r = $c->go('PUT', '/early', body => 'bytes 300000');
    is("$r->{error} $r->{status}", '0 200', 'answered early')
        or diag($r->{text});
    is($r->{body}, "early\n", 'answered early: body');

    done_testing();
}


sub aborts {
    for (qw( status header body )) {
        $c->client($target, @trust);
        $r = $c->go('GET', '/big?size=10000000', abort => $_);
        is($c->name($r), 'ABORTED', $_);
        cmp_ok($r->{length}, '<', 100_000, 'no more');
        is($c->go('GET', '/echo')->{status}, 200, 'and the client goes on');
    }

    $c->client($target, @trust);
    my $began = time;
    $r = $c->go('GET', '/hang', abort => 'wait');
    is($c->name($r), 'ABORTED', 'wait');
    cmp_ok(time - $began, '<', 10, 'in time');

    $c->client($target, @trust, TIMEOUT => 500);
    $r = $c->go('GET', '/hang');
    is($c->name($r), 'TIMEOUT', 'timeout');
    is($c->go('GET', '/echo')->{status}, 200, 'and the client goes on');

    $c->client($target, @trust, IDLE_TIMEOUT => 1000);
    $began = time;
    $r = $c->go('GET', '/hang');
    is($c->name($r), 'TIMEOUT', 'idle timeout');
    cmp_ok(time - $began, '<', 10, 'in time');

    done_testing();
}


sub large {
    my $size = ($slow ? 10 : 100) * $MB;
    my $limit = 20 * $KB;

    $c->end();
    $c = $lib->start($program);

    $c->client($target, @trust);
    $r = $c->go('GET', '/big?size=1000000');
    my $before = $c->command('memory')->{hwm};

    for my $path ("/big?size=$size", "/big?size=$size&chunked=1") {
        $r = $c->go('GET', $path);
        is("$r->{error} $r->{length}", "0 $size", $path) or diag($r->{text});
        is($r->{md5}, pattern_md5($size), "$path: checksum");
    }

    my $after = $c->command('memory')->{hwm};
    note("peak memory: $before kB, then $after kB");

    SKIP: {
        skip 'memory is not the library\'s own here', 1 if $slow;
        cmp_ok($after - $before, '<', 2 * $KB, 'download: constant memory');
    }

    my $file = $t->path('large');

    open my $fh, '>', $file or die "$file: $!\n";
    print $fh pattern($MB) for 1 .. $size / $MB;
    close $fh;

    for my $body ("file $file", "chunked $size") {
        $backend->forget();
        $r = $c->go('PUT', '/echo', body => $body);
        is("$r->{error} $r->{status}", '0 200', $body) or diag($r->{text});

        my ($request) = $backend->requests();
        is($request->{length}, $size, "$body: length");
        is($request->{md5}, pattern_md5($size), "$body: checksum");
    }

    $after = $c->command('memory')->{hwm};
    note("peak memory: $after kB");

    SKIP: {
        skip 'memory is not the library\'s own here', 1 if $slow;
        cmp_ok($after - $before, '<', 6 * $KB, 'upload: constant memory');
    }

    unlink $file;
    done_testing();
}


sub certificates {
    my %paths = (wrong => 1, expired => 2);

    $c->client($target, ENDPOINT => $endpoint,
               CA_FILE => $t->path('other.crt'));
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'CERTIFICATE', "another CA: $r->{text}");
    like($r->{text}, qr/issuer/, 'the reason');
    is($r->{seen}, 0, 'nothing delivered');

    my $info = $c->command('session');
    cmp_ok($info->{verify}, '>', 0, 'verify result');
    is($info->{certificate_subject}, 'CN=localhost', 'what was seen');
    is($info->{open}, 0, 'not open');

    $c->client($target, ENDPOINT => $endpoint);
    is($c->name($c->go('GET', '/echo')), 'CERTIFICATE', 'system trust');

    $c->client($target, @trust, ENDPOINT => endpoint(1));
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'CERTIFICATE', "another name: $r->{text}");
    like($r->{text}, qr/hostname mismatch/i, 'the reason');

    $c->client('https://example.com', @trust, ENDPOINT => endpoint(1));
    is($c->go('GET', '/echo')->{status}, 200, 'asked for by that name');

    $c->client($target, @trust, ENDPOINT => endpoint(2));
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'CERTIFICATE', "expired: $r->{text}");
    like($r->{text}, qr/expired/, 'the reason');

    $c->client("https://127.0.0.1", @trust);
    is($c->go('GET', '/echo')->{status}, 200, 'an address');

    $c->client("https://127.0.0.2", @trust);
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'CERTIFICATE', "another address: $r->{text}");

    my $dir = $t->path('cadir');
    mkdir $dir;
    system("cp '$t->{dir}/ca.crt' $dir/ca.pem && openssl rehash $dir") == 0
        or die "rehash\n";

    $c->client($target, ENDPOINT => $endpoint, CA_DIR => $dir);
    is($c->go('GET', '/echo')->{status}, 200, 'CA directory');

    $c->client($target, ENDPOINT => $endpoint,
               CA_FILE => $t->path('localhost.crt'));
    is($c->go('GET', '/echo')->{status}, 200, 'the certificate itself');

    done_testing();
}


sub protocols {
    for my $protocol (qw( TLSv1.2 TLSv1.3 )) {
        $c->client($target, @trust, MIN_PROTOCOL => $protocol,
                   MAX_PROTOCOL => $protocol);
        is($c->go('GET', '/echo')->{status}, 200, $protocol);

        my $info = $c->command('session');
        is($info->{protocol}, $protocol, 'it is that');
        is("$info->{resumed} $info->{psk} $info->{early} $info->{verify}",
           '0 0 0 0', 'nothing special');
        is($info->{certificate_sha256}, fingerprint('localhost'),
           'certificate');
        is($info->{certificate_der}, 1, 'DER');
        is("$info->{certificate_subject} $info->{certificate_issuer}",
           'CN=localhost CN=ca', 'names');
    }

    $c->client($target, @trust, CIPHERSUITES => 'TLS_CHACHA20_POLY1305_SHA256',
               GROUPS => 'P-384');
    $c->go('GET', '/echo');
    is($c->command('session')->{cipher}, 'TLS_CHACHA20_POLY1305_SHA256',
       'cipher suite');

    $c->client($target, @trust, MAX_PROTOCOL => 'TLSv1.2',
               CIPHERS => 'ECDHE-ECDSA-AES256-GCM-SHA384');
    $c->go('GET', '/echo');
    is($c->command('session')->{cipher}, 'ECDHE-ECDSA-AES256-GCM-SHA384',
       'cipher');

    $c->client($target, @trust, MAX_PROTOCOL => 'TLSv1.2',
               CIPHERS => 'AES128-SHA');
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'TLS', "refused: $r->{text}");
    like($r->{text}, qr/handshake failure/, 'the alert');

    for my $none ('aNULL:@SECLEVEL=0', 'eNULL:@SECLEVEL=0') {
        $c->client($target, @trust, MAX_PROTOCOL => 'TLSv1.2',
                   CIPHERS => $none);
        is($c->name($c->go('GET', '/echo')), 'USAGE', "never $none");
    }

    done_testing();
}


sub outer {
    # TLS outside, nobody's certificate

    my @tls = (@trust, ENDPOINT => endpoint(3, 'https', 'localhost'));

    for my $http (qw( 1.0 1.1 2 )) {
        $c->client($target, @tls, OUTER_HTTP => $http);
        $r = $c->go('GET', '/echo');
        is($r->{status}, 200, "HTTP/$http over TLS") or diag($r->{text});
        is($c->go('GET', '/echo')->{status}, 200, 'again');

        my $info = $c->command('outer');
        is($info->{http}, $http eq '1.0' ? '1.1' : $http, 'version')
            if $http ne '1.0';
        is($info->{status}, 200, 'outer status');
        is($info->{chain}, 1, 'outer certificate');
        is($info->{certificate_subject}, 'CN=outer', 'outer subject');
        is($info->{certificate_sha256}, fingerprint('outer'),
           'outer fingerprint');
        cmp_ok($info->{verify}, '>', 0, "not trusted: $info->{verify_text}");
    }

    $c->client($target, @trust, ENDPOINT => endpoint(4, 'https', 'localhost'));
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'an outer certificate that can be trusted')
        or diag($r->{text});
    is($c->command('outer')->{verify}, 0, 'is');

    $c->client($target, @trust, ENDPOINT => endpoint(4, 'https', '127.0.0.1'));
    $c->go('GET', '/echo');
    is($c->command('outer')->{verify}, 0, 'by its address, too');

    $c->client($target, @trust, OUTER_HTTP => '2-direct',
               ENDPOINT => endpoint(5));
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'HTTP/2 without TLS') or diag($r->{text});
    is($c->command('outer')->{http}, '2', 'version');
    is($c->command('outer')->{chain}, 0, 'no certificate');

    # the default endpoint

    $c->client('https://localhost:' . $t->port(4),
               CA_FILE => $t->path('ca.crt'));
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'default endpoint') or diag($r->{text});
    like($r->{body}, qr/^Host: localhost:\d+$/m, 'Host has the port');

    # headers

    $c->client($target, @trust, USER_AGENT => 'tester/1');
    $c->command('outer-header X-Outer: yes');
    $r = $c->go('GET', '/atls');
    is($r->{status}, 200, 'headers');
    my $log = $t->read_log('outer.log');
    like($log, qr/ua=tester\/1 x=yes type=application\/atls\+octet-stream/,
         'outer headers');
    unlike($r->{body}, qr/tester|X-Outer/, 'not inside');

    # nobody there

    my $nobody = Test::Atls::Port::free_port();
    $c->client($target, @trust, ENDPOINT => "http://127.0.0.1:$nobody/");
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'CONNECT', "no server: $r->{text}");

    $c->client($target, @trust, ENDPOINT => "http://no-such.invalid/");
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'RESOLVE', "no such name: $r->{text}");

    $c->client($target, @trust, ENDPOINT => "https://127.0.0.1:$port/");
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'OUTER_TLS', "no TLS: $r->{text}");

    # proxies

    $c->client($target, @trust, PROXY => "http://127.0.0.1:$nobody");
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'PROXY', "no proxy: $r->{text}");

    $c->client($target, @trust, PROXY => "http://no-such.invalid");
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'PROXY', "no such proxy: $r->{text}");

    proxies();

    done_testing();
}


sub proxies {
    my $listen = $t->port(20);

    $t->run_daemon(sub { proxy($listen) }, port => $listen);

    my @tls = (@trust, ENDPOINT => endpoint(3, 'https', 'localhost'));
    my @proxy = (PROXY => "http://127.0.0.1:$listen");

    $c->client($target, @tls, @proxy);
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'PROXY', "no credentials: $r->{text}");

    $c->client($target, @tls, @proxy, PROXY_USER => 'me:wrong');
    is($c->name($c->go('GET', '/echo')), 'PROXY', 'wrong ones');

    $c->client($target, @tls, @proxy, PROXY_USER => 'me:secret');
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'through a proxy') or diag($r->{text});
    is($c->go('GET', '/echo')->{status}, 200, 'again');

    my $p = $lib->start($program,
                        https_proxy => "http://me:secret\@127.0.0.1:$listen",
                        no_proxy => '');
    $p->client($target, @tls);
    is($p->go('GET', '/echo')->{status}, 200, 'of the environment');
    is($p->end(), 0, 'exit status');

    $p = $lib->start($program, https_proxy => "http://127.0.0.1:$listen",
                     no_proxy => 'localhost');
    $p->client($target, @tls);
    is($p->go('GET', '/echo')->{status}, 200, 'not for this host');
    is($p->end(), 0, 'exit status');

    $p = $lib->start($program, https_proxy => "http://127.0.0.1:$listen",
                     no_proxy => '');
    $p->client($target, @tls);
    is($p->name($p->go('GET', '/echo')), 'PROXY', 'it is used');
    is($p->end(), 0, 'exit status');

    # TLS with the proxy is not TLS with the endpoint

    my $listen_tls = $t->port(21);

    $t->run_daemon(sub { proxy($listen_tls, 'proxy') }, port => $listen_tls);
    @proxy = (PROXY => "https://127.0.0.1:$listen_tls",
              PROXY_USER => 'me:secret');

    $c->client($target, @tls, @proxy, PROXY_CA_FILE => $t->path('other.crt'));
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'a proxy spoken to over TLS') or diag($r->{text});
    is($c->command('outer')->{certificate_subject}, 'CN=outer',
       'not its certificate');

    $c->client($target, @tls, @proxy, PROXY_CA_FILE => $t->path('ca.crt'));
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'PROXY', "it is verified: $r->{text}");
    is($c->command('outer')->{chain}, 0, 'nobody else was seen');

    # names do not tell one from the other here, both are addresses

    $c->client($target, @trust, @proxy, PROXY_CA_FILE => $t->path('other.crt'),
               ENDPOINT => endpoint(3, 'https', '127.0.0.1'));
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'addresses') or diag($r->{text});
    is($c->command('outer')->{certificate_subject}, 'CN=outer',
       'not its certificate');

    $c->client($target, @trust, @proxy, PROXY_CA_FILE => $t->path('other.crt'),
               PROXY_USER => 'me:wrong',
               ENDPOINT => endpoint(3, 'https', '127.0.0.1'));
    is($c->name($c->go('GET', '/echo')), 'PROXY', 'wrong credentials');
    is($c->command('outer')->{chain}, 0, 'nobody was seen');

    my $log = $t->read_file('proxy.log');
    like($log, qr/^CONNECT localhost:/m, 'the proxy made a tunnel');
    unlike($log, qr/X-Outer|octet-stream|Cookie/, 'and saw nothing else');
}


# An HTTP proxy with credentials, for CONNECT only; with a certificate, over
# TLS.

sub proxy {
    my ($listen, $cert) = @_;

    local $SIG{CHLD} = 'IGNORE';

    my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       LocalPort => $listen, Listen => 16,
                                       ReuseAddr => 1) or die "proxy: $!\n";

    while (1) {
        my $s = $server->accept() or next;
        next if fork();

        if ($cert) {
            IO::Socket::SSL->start_SSL($s, SSL_server => 1,
                SSL_cert_file => $t->path("$cert.crt"),
                SSL_key_file => $t->path("$cert.key")) or POSIX::_exit(0);
        }

        proxy_connection($s);
        POSIX::_exit(0);
    }
}


sub proxy_connection {
    my ($s) = @_;

    my $to;

    until ($to) {
        my $head = '';

        until ($head =~ /\r\n\r\n/) {
            sysread $s, $head, 4096, length $head or return;
        }

        open my $log, '>>', $t->path('proxy.log');
        print $log $head =~ s/^Proxy-Authorization.*\n//mr;
        close $log;

        if ($head =~ /^Proxy-Authorization: Basic bWU6c2VjcmV0\r/m) {
            ($to) = $head =~ /^CONNECT \S+:(\d+) /;

        } else {
            syswrite $s, "HTTP/1.1 407 No\r\nProxy-Authenticate: "
                         . "Basic realm=x\r\nContent-Length: 0\r\n\r\n";
        }
    }

    my $u = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $to);
    my $select = IO::Select->new($s, $u);

    syswrite $s, "HTTP/1.1 200 OK\r\n\r\n";

    while (my @ready = $select->can_read()) {
        for my $from (@ready) {

            # a whole record of TLS at a time

            sysread $from, my $bytes, 65536 or return;
            my $other = $from == $s ? $u : $s;

            while ($bytes ne '') {
                my $n = syswrite $other, $bytes or return;
                substr $bytes, 0, $n, '';
            }
        }
    }
}


sub resumption {
    my $dir = $t->path('sessions');

    $c->command("store $dir");

    for my $protocol (qw( TLSv1.2 TLSv1.3 )) {
        my @args = ($target, @trust, MIN_PROTOCOL => $protocol,
                    MAX_PROTOCOL => $protocol);

        $c->client(@args);
        is($c->go('GET', '/echo')->{status}, 200, "$protocol: first");
        is($c->command('session')->{resumed}, 0, 'not resumed');

        my $kept = () = glob "$dir/*";
        cmp_ok($kept, '>', 0, 'tickets are kept');

        for my $time (1 .. 4) {
            $c->client(@args);
            is($c->go('GET', '/echo')->{status}, 200, "$protocol: again");
            my $info = $c->command('session');
            is("$info->{resumed} $info->{psk}", '1 0', 'resumed');
            is($info->{certificate_subject}, 'CN=localhost', 'certificate');
        }

        my @files = glob "$dir/*";
        cmp_ok(scalar @files, '<=', 4, 'not all of them');
        is(sprintf('%o', (stat $files[0])[2] & 07777), '600', 'mode');

        # somebody else's, or of other trust: another key

        $c->client(@args, CA_FILE => $t->path('localhost.crt'));
        is($c->go('GET', '/echo')->{status}, 200, 'other trust');
        is($c->command('session')->{resumed}, 0, 'not resumed');

        unlink glob "$dir/*";
    }

    is(sprintf('%o', (stat $dir)[2] & 07777), '700', 'mode of the directory');

    # rubbish is no session

    $c->client($target, @trust);
    $c->go('GET', '/echo');

    for (glob "$dir/*") {
        open my $fh, '>', $_;
        print $fh 'x' x 100;
    }

    $c->client($target, @trust);
    is($c->go('GET', '/echo')->{status}, 200, 'rubbish in the store');
    is($c->command('session')->{resumed}, 0, 'not resumed');

    is($c->command('store /nonexistent/dir')->{error}, 1, 'no parent');
    $c->command('store ');

    $c->client($target, @trust);
    is($c->go('GET', '/echo')->{status}, 200, 'without a store');
    is($c->command('session')->{resumed}, 0, 'not resumed');

    done_testing();
}


# A zone of another size is an empty one: 410 for whoever comes back.

sub lost {
    my $size = 2;

    my %cases = (
        'GET'               => [ 'GET', '/echo' ],
        'HEAD'              => [ 'HEAD', '/echo' ],
        'DELETE'            => [ 'DELETE', '/echo' ],
        'PUT'               => [ 'PUT', '/echo', body => 'bytes 1000' ],
        'PUT, read'         => [ 'PUT', '/echo', body => 'read 1000' ],
        'PUT, file'         => [ 'PUT', '/echo', body => 'file '
                                           . $t->path('body') ],
        'PUT, fd'           => [ 'PUT', '/echo', body => 'fd '
                                           . $t->path('body') ],
        'POST'              => [ 'POST', '/echo', body => 'bytes 1000' ],
        'POST, empty'       => [ 'POST', '/echo' ],
        'PATCH'             => [ 'PATCH', '/echo', body => 'bytes 1000' ],
        'PUT, no rewind'    => [ 'PUT', '/echo', body => 'norewind 1000' ],
    );

    my %clients;

    for my $name (keys %cases) {
        my $p = $clients{$name} = $lib->start($program);
        $p->client($target, @trust);
        $p->go('GET', '/echo');
    }

    $t->write_conf(conf('3m'));
    ok($t->reload(), 'the zone is another one');

    for my $name (sort keys %cases) {
        my $p = $clients{$name};
        my $fails = $name =~ /^P(OST|ATCH)|no rewind/;

        $backend->forget();
        $r = $p->go(@{$cases{$name}});

        is($p->name($r), $fails ? 'SESSION_LOST' : 'OK', $name)
            or diag($r->{text});
        is(scalar(() = $backend->requests()), $fails ? 0 : 1,
           'as often as said');
        like($r->{text}, qr/410: The session is not known/, 'the reason')
            if $fails;
        is($p->go('GET', '/echo')->{status}, 200, 'and the client goes on');
        is($p->end(), 0, 'exit status');
    }

    # nginx as a whole is another one; the connection is gone, too

    $c->client($target, @trust);
    $c->go('GET', '/echo');
    $t->stop();
    is($c->name($c->go('GET', '/echo')), 'CONNECT', 'no server');
    $t->run();
    is($c->go('GET', '/echo')->{status}, 200, 'and again');

    $t->stop()->run();
    is($c->go('GET', '/echo')->{status}, 200, 'restarted: GET');
    $t->stop()->run();
    is($c->name($c->go('POST', '/echo')), 'SESSION_LOST', 'restarted: POST');

    # the server closes idle sessions with TLS's words, or none

    $c->client($target, @trust, ENDPOINT => endpoint(6));
    is($c->go('GET', '/echo')->{status}, 200, 'short sessions');
    sleep 3;
    is($c->go('GET', '/echo')->{status}, 200, 'again');
    sleep 3;
    is($c->name($c->go('POST', '/echo')), 'SESSION_LOST', 'POST');

    done_testing();
}


sub debug_lines {
    my $log = $t->path('debug');
    my $p = $lib->start($program);

    $p->command("debug $log");
    $p->client($target, @trust, ENDPOINT => endpoint(3, 'https', 'localhost'));
    $p->go('GET', '/cookie', header => [ Authorization => 'Basic c2VjcmV0',
                                         Cookie => 'sweet=c2VjcmV0' ]);
    $p->go('GET', '/cookie');
    is($p->end(), 0, 'exit status');

    my $lines = $t->read_file('debug');
    my $outer = fingerprint('outer');
    my $inner = fingerprint('localhost');

    like($lines, qr/^0 outer certificate 0: subject CN=outer; .* \Q$outer\E$/m,
         'outer certificate');
    like($lines, qr/^0 outer certificate, .*: self.signed certificate$/m,
         'its verification');
    like($lines, qr/^0 POST 2: \d+ bytes$/m, 'POSTs');
    like($lines, qr!^1 POST /.well-known/atls HTTP/!m, 'outer request');
    like($lines, qr!^2 HTTP/[\d.]+ 200!m, 'outer answer');
    like($lines, qr/^3 inner TLS: TLSv1.3, TLS_/m, 'inner protocol');
    like($lines, qr/^3 inner certificate: subject CN=localhost; .*\Q$inner\E$/m,
         'inner certificate');
    like($lines, qr!^4 GET /cookie HTTP/1.1$!m, 'inner request');
    like($lines, qr!^5 HTTP/1.1 200 OK$!m, 'inner answer');
    like($lines, qr/^4 Authorization: \[not shown\]$/m, 'no credentials');
    like($lines, qr/^5 Set-Cookie: \[not shown\]$/m, 'no cookies');
    unlike($lines, qr/c2VjcmV0|a=1|atls=[\w-]{4}/, 'really none');

    done_testing();
}


sub threads {
    my $n = $slow ? 4 : 16;

    $r = $c->command("threads $n 20 $target $endpoint " . $t->path('ca.crt'));
    is($r->{good}, $n * 20, "$n clients at a time");

    $c->command('store ' . $t->path('sessions'));
    $r = $c->command("threads $n 5 $target $endpoint " . $t->path('ca.crt'));
    is($r->{good}, $n * 5, 'with one store');
    $c->command('store ');

    done_testing();
}


sub shared {
    my $dest = $lib->install();
    my $p = $lib->start($lib->compile('client_lib', $dest));

    is(join(' ', map { s!.*/!!r } sort glob "$dest/opt/atls/lib/*"),
       'libatls.a libatls.so libatls.so.0 pkgconfig', 'what is installed');

    my @symbols = map { /\s(\w+)$/ } grep { / [TDBRV] / }
                  `nm -D --defined-only $dest/opt/atls/lib/libatls.so.0`;
    open my $fh, '<', "$dest/opt/atls/include/atls.h" or die;
    my $header = join '', <$fh>;
    my @api = $header =~ /^ATLS_API [^;(]*?(\w+)\(/mg;
    is("@{[ sort @symbols ]}", "@{[ sort @api ]}", 'nothing but the API');

    $p->client($target, @trust);
    is($p->go('GET', '/echo')->{status}, 200, 'GET');
    $r = $p->go('POST', '/body', body => 'bytes 100');
    is($r->{body}, pattern(100), 'POST');
    is($p->command('session')->{protocol}, 'TLSv1.3', 'session');
    is($p->end(), 0, 'exit status');

    done_testing();
}


# the world around

sub endpoint {
    my ($n, $scheme, $host) = @_;

    return ($scheme || 'http') . '://' . ($host || '127.0.0.1') . ':'
           . $t->port($n) . '/.well-known/atls';
}


sub fingerprint {
    my ($name) = @_;

    my $der = `openssl x509 -in '$t->{dir}/$name.crt' -outform DER`;

    return sha256_hex($der);
}


# Only openssl ca has dates.

sub expired_cert {
    my ($name) = @_;

    my $dir = $t->dir();

    $t->make_cert($name, san => 'DNS:localhost');
    $t->write_file('ext', "subjectAltName=DNS:localhost\n");
    $t->write_file('index', '');
    $t->write_file('serial', "07\n");
    $t->write_file('ca.conf', <<'EOC');
[ ca ]
default_ca = this
[ this ]
database = index
serial = serial
new_certs_dir = .
policy = any
default_md = sha256
[ any ]
commonName = supplied
EOC

    my $command = "cd $dir && { openssl req -new -key $name.key"
                  . " -subj /CN=localhost -config openssl.conf"
                  . " -out $name.csr && openssl ca -batch -config ca.conf"
                  . " -cert ca.crt -keyfile ca.key -in $name.csr"
                  . " -startdate 20200101000000Z -enddate 20210101000000Z"
                  . " -extfile ext -notext -out $name.crt; }"
                  . " >openssl.out 2>&1 </dev/null";

    system($command) == 0 or die "$command\n", $t->read_file('openssl.out');
}


sub conf {
    my ($zone) = @_;

    my $backend = 'http://127.0.0.1:' . $t->port(9);
    my $inside = <<"EOC";
        location /refused {
            client_max_body_size 1k;
            proxy_pass $backend;
        }

        location /atls {
            return 200 "\$atls_protocol \$http_user_agent \$http_x_outer";
        }

        location / {
            proxy_pass $backend;
            proxy_http_version 1.1;
            proxy_set_header Host \$http_host;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
        }
EOC

    my $servers = '';

    my @servers = (
        [ 0, '',          'localhost' ],
        [ 1, '',          'wrong' ],
        [ 2, '',          'expired' ],
        [ 3, 'ssl http2', 'localhost', 'outer' ],
        [ 4, 'ssl',       'localhost', 'localhost' ],
        [ 5, 'http2',     'localhost' ],
        [ 6, '',          'localhost', undef,
          'atls_session_timeout 1s; keepalive_timeout 1s;' ],
    );

    for (@servers) {
        my ($n, $how, $name, $outer, $more) = @$_;

        my $ssl = $outer ? "ssl_certificate %%TESTDIR%%/$outer.crt;"
                           . "ssl_certificate_key %%TESTDIR%%/$outer.key;" : '';
        $more ||= '';

        $servers .= <<"EOC";
    server {
        listen 127.0.0.1:%%PORT_$n%% $how;
        $ssl
        $more

        location /.well-known/atls {
            atls on;
            atls_certificate %%TESTDIR%%/$name.crt;
            atls_certificate_key %%TESTDIR%%/$name.key;
            access_log %%TESTDIR%%/outer.log outer;
        }

$inside
    }
EOC
    }

    return <<"EOC";
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%

    log_format outer 'ua=\$http_user_agent x=\$http_x_outer '
                     'type=\$http_content_type';

    atls_zone atls:$zone;
    client_max_body_size 0;

$servers
}
EOC
}
