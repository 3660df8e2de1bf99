#!/usr/bin/perl

# libatls with the module: requests, bodies, threads.  The program is
# t/bin/client_lib.c, linked with the static library, and once with the shared
# library by pkg-config.  For TEST_ASAN and TEST_VALGRIND, see Test::Atls::Lib;
# for verification and the outer connection, t/client-lib-tls.t; for lost
# sessions, t/client-lib-lost.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls::Lib;
use Test::Atls::LibSite;
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Slow qw( slow );

my $KB = 1 << 10;
my $MB = 1 << 20;
my $slow = $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND} || $ENV{TEST_NGINX_SLOW};

my $t = Test::Atls::LibSite->new();
my $backend = $t->backend();
my $target = 'https://localhost';
my $endpoint = $t->endpoint(0);
my @trust = (ENDPOINT => $endpoint, CA_FILE => $t->path('ca.crt'));

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
    my %errors = (CA_FILE => 'TRUST', CA_DIR => 'TRUST',
                  CERT_FILE => 'IDENTITY', PINNED_KEY => 'PIN',
                  map { $_ => 'CIPHERS' } qw( CIPHERS CIPHERSUITES GROUPS ));

    my %bad = (
        CA_FILE => '/nonexistent',
        CA_DIR => '/nonexistent',
        CERT_FILE => $t->path('nginx.conf'),
        PINNED_KEY => 'sha256//AAAA',
        PROXY_AUTH => 'x',
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
        is($c->name($r), $errors{$name} || 'USAGE', "$name: $r->{text}");
    }

    is($c->name($c->client($target, POST_SIZE => 1023)), 'USAGE', 'small');
    is($c->name($c->client($target, HEADER_SIZE => 0)), 'USAGE', 'zero');
    is($c->name($c->client($target, IP_VERSION => 5)), 'USAGE', 'neither');
    is($c->name($c->client($target, RATE => -1)), 'USAGE', 'negative');
    is($c->name($c->command('string 99 x')), 'USAGE', 'no such option');
    is($c->name($c->command('outer-header X')), 'USAGE', 'no header');
    is($c->name($c->command('add 1 X')), 'USAGE', 'no header for a proxy');
    is($c->name($c->command('add 99 X')), 'USAGE', 'no such list');
    is($c->name($c->command('add 2 localhost:1:127.0.0.1')), 'OK', 'a list');
    is($c->name($c->command('session')), 'USAGE', 'no session yet');
    is($c->name($c->command('export 32 EXPORTER-x')), 'USAGE', 'no exporter');
    is($c->command('outer')->{posts}, 0, 'no POSTs yet');

    # an invalid value can be corrected; options in use cannot be changed

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

    # invalid requests

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

    # a separate handshake, exporter, close

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

            # an aborted request may be logged late

            my @whole = grep { !$_->{aborted} } $backend->requests();
            is(@whole, 1, "$size, $kind: once");
            is($whole[0]{md5}, pattern_md5(300_000), "$size, $kind: checksum");

            my $posts = $c->command('outer')->{posts} - $before;
            cmp_ok($posts, '>=', 300_000 / $size, 'as many POSTs as needed');
            cmp_ok($posts, '<=', 300_000 / ($size - 200) + 2, 'not more');
        }

        is($c->command('session')->{open}, 1, 'one session');
    }

    # the response begins before the request ends

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
    cmp_ok(time - $began, '<', 10 * slow(), 'in time');

    $c->client($target, @trust, TIMEOUT => 3000 * slow());
    $r = $c->go('GET', '/hang');
    is($c->name($r), 'TIMEOUT', 'timeout');
    is($c->go('GET', '/echo')->{status}, 200, 'and the client goes on');

    $c->client($target, @trust, IDLE_TIMEOUT => 1000);
    $began = time;
    $r = $c->go('GET', '/hang');
    is($c->name($r), 'TIMEOUT', 'idle timeout');
    cmp_ok(time - $began, '<', 10 * slow(), 'in time');

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
