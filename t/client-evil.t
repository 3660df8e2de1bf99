#!/usr/bin/perl

# libatls with misbehaving endpoints and servers (t/bin/evil_server.py): it
# reports a specific error in time, and the client can still be used.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( time );

use Test::Atls;
use Test::Atls::Lib;
use Test::Atls::Slow qw( slow );

my $t = Test::Atls->new();
my $lib = Test::Atls::Lib->new($t);
my $slow = $ENV{TEST_VALGRIND} || $ENV{TEST_ASAN} || $ENV{TEST_NGINX_SLOW};

$t->make_cert('localhost');

my $port = $t->port(0);

$t->run_daemon(sub {
    exec 'python3', "$FindBin::Bin/bin/evil_server.py", $port,
         $t->path('localhost.crt'), $t->path('localhost.key'),
         $t->path('requests') or die "python3: $!\n";
}, port => $port);

my $c = $lib->start($lib->compile('client_lib'));
my $r;

subtest('answers that are not of ATLS' => \&outer);
subtest('answers that are not TLS' => \&garbage);
subtest('no answers' => \&none);
subtest('good inner answers' => \&good);
subtest('bad inner answers' => \&bad);
subtest('sessions that end' => \&ends);
subtest('fuzz' => \&fuzz);

is($c->end(), 0, 'exit status');

$t->done_testing();


sub request {
    my ($path, %args) = @_;

    my $method = delete $args{method} || 'GET';
    my $began = time;

    $c->client('https://localhost', ENDPOINT => "http://127.0.0.1:$port/$path",
               CA_FILE => $t->path('localhost.crt'), %args);
    $r = $c->go($method, '/');
    $r->{time} = time - $began;
    $r->{name} = $c->name($r);

    return $r->{name};
}


sub outer {
    for my $status (400, 403, 404, 405, 413, 415, 500, 502, 503) {
        is(request("status/$status"), 'OUTER_STATUS', "status $status");
        is($c->command('outer')->{status}, $status, 'status known');
        like($r->{text}, qr/returned $status: the \xe2\x80\x9creason\S+/,
             "problem: $r->{text}");
        unlike($r->{text}, qr/[\0-\x1f]/, 'no control characters');

        is(request("html/$status"), 'OUTER_STATUS', "status $status, HTML");
        like($r->{text}, qr/returned $status\b/, "text: $r->{text}");
    }

    is(request('status/503'), 'OUTER_STATUS', 'too many');
    is($c->command('outer')->{retry_after}, 7, 'Retry-After');
    is(request('large/404'), 'OUTER_STATUS', 'a large page');

    for my $status (301, 302, 303, 307, 308) {
        is(request("redirect/$status"), 'REDIRECT', "status $status");
        like($r->{text}, qr!https://elsewhere.example/atls!, 'where to');
        is($c->command('outer')->{posts}, 1, 'not followed');
    }

    is(request('html/302'), 'OUTER_STATUS', 'a redirect to nowhere');
    is(request('html/204'), 'OUTER_STATUS', 'status 204');
    is(request('html/201'), 'MEDIA_TYPE', 'status 201, HTML');
    is(request('type'), 'MEDIA_TYPE', 'text/html');
    like($r->{text}, qr!text/html!, 'said so');
    is(request('no-type'), 'MEDIA_TYPE', 'no type at all');
    is(request('type-case'), 'OK', 'case and parameters do not matter');

    for my $kind (qw( none open escape unicode deep other array random )) {
        is(request("problem/$kind"), 'OUTER_STATUS', "problem: $kind");
        like($r->{text}, qr/returned 400$/, 'nothing to quote');
    }

    request('problem/title');
    like($r->{text}, qr/400: only a title$/, 'title for want of a detail');

    done_testing();
}


sub garbage {
    for my $path ('empty', 'echo', 'bytes/00', 'bytes/0000000000',
                  'bytes/1603', 'bytes/160303ffff', 'bytes/160303000416030300',
                  'bytes/1703030001aa', 'bytes/15030300020228',
                  'bytes/15030300020100', 'bytes/474554', 'ccs', 'warnings',
                  map { "garbage/$_" } 1 .. 5)
    {
        # what looks cut is requested again

        is(request($path, RETRIES => 0), 'TLS', $path) or diag($r->{text});
        note($r->{text});
        cmp_ok($r->{time}, '<', $slow ? 30 : 3 * slow(), 'soon');
        cmp_ok($c->command('outer')->{posts}, '<=', 3, 'few POSTs');
    }

    request('bytes/15030300020228');
    like($r->{text}, qr/alert "handshake failure"/, 'the alert is named');

    done_testing();
}


sub none {
    is(request($_), 'NETWORK', $_) or diag($r->{text})
        for qw( close cut raw headers );

    # the error of libcurl depends on its version

    like(request($_, TIMEOUT => 1000), qr/NETWORK|MEMORY|TIMEOUT/, $_)
        for qw( header interim );

    for my $path (qw( slow hang )) {
        is(request($path, TIMEOUT => 1000), 'TIMEOUT', $path)
            or diag($r->{text});
        cmp_ok($r->{time}, '<', $slow ? 30 : 5 * slow(), 'in time');
    }

    is(request('hang', IDLE_TIMEOUT => 1000), 'TIMEOUT', 'hang, idle');

    done_testing();
}


sub good {
    for my $name (qw( good interim chunks spaces )) {
        is(request("inner/$name"), 'OK', $name) or diag($r->{text});
        is($r->{status}, 200, 'status');
        like($r->{body}, qr/^hello( world)?\z/, 'body');
        is($c->command('session')->{open}, 1, 'goes on');
        is($c->name($c->go('GET', '/')), 'OK', 'again');
        is($c->command('outer')->{posts}, 3, 'in the same session');
    }

    for my $name (qw( to-the-end http-1.0 close says-close extra )) {
        is(request("inner/$name"), 'OK', $name) or diag($r->{text});
        is("$r->{status} $r->{body}", '200 hello', 'answer');
        is($c->command('session')->{open}, 0, 'does not go on');
        is($c->name($c->go('GET', '/')), 'OK', 'again');
        is($c->command('outer')->{posts}, 4, 'in a new session');
    }

    for my $name (qw( length-0 no-reason no-content )) {
        is(request("inner/$name"), 'OK', $name) or diag($r->{text});
        is($r->{length}, 0, 'no body');
        is($c->command('session')->{open}, 1, 'goes on');
    }

    request('inner/spaces');
    is($r->{headers}, 4, 'headers');

    # the maximum size is an option

    is(request('inner/huge-header', HEADER_SIZE => 100_000), 'TRUNCATED',
       'a header that is allowed');

    done_testing();
}


sub bad {
    for my $name (qw( short half-header half-chunk no-last-chunk
                      no-trailer-end to-no-end short-open nothing ))
    {
        is(request("inner/$name"), 'TRUNCATED', $name) or diag($r->{text});
        is($c->command('session')->{open}, 0, "over: $r->{text}");
    }

    for my $name (qw( status-text status-short status-long status-0 version-2
                      version-11 http-0.9 not-http empty-line lf lf-in-header
                      cr-in-header nul-in-header control control-in-reason
                      fold no-colon no-name space-before-colon huge-header
                      many-headers huge-line long-status endless-interim switch
                      lengths same-lengths length-list length-minus length-plus
                      length-hex length-none length-large length-and-chunks
                      chunks-1.0 gzip chunked-twice chunk-letter chunk-empty
                      chunk-minus chunk-large chunk-larger chunk-zeros chunk-lf
                      chunk-long chunk-extension trailers ))
    {
        is(request("inner/$name"), 'HTTP', $name) or diag($r->{text});
        is($c->command('session')->{open}, 0, "over: $r->{text}");
        is($r->{seen}, $name =~ /^(chunk-|trailers)/ ? 200 : 0, 'delivered');
    }

    # with TLS 1.2, the handshake ends before the request

    is(request('inner/eager', MAX_PROTOCOL => 'TLSv1.2'), 'HTTP',
       'an answer before the question');
    is($r->{seen}, 0, $r->{text});

    done_testing();
}


sub ends {
    for my $how (qw( closes alerts drops 409 410 )) {
        for my $method (qw( GET HEAD PUT POST PATCH )) {
            unlink $t->path('requests');

            is(request("inner/second-$how"), 'OK', "$how, then $method");
            $r = $c->go($method, '/');

            my $fails = $method =~ /^P(OST|ATCH)/;
            is($c->name($r), $fails ? 'SESSION_LOST' : 'OK', 'the second')
                or diag($r->{text});
            note($r->{text}) if $fails;

            my $sent = () = $t->read_file('requests') =~ /$method$/mg;
            is($sent - ($method eq 'GET'), $fails ? 1 : 2, 'sent so often');
            is($c->name($c->go('GET', '/')), 'OK', 'a third')
                if $fails;
        }
    }

    request('inner/second-503', RETRIES => 0);
    is($c->name($c->go('GET', '/')), 'OUTER_STATUS', 'too many');
    is($c->command('outer')->{retry_after}, 7, 'Retry-After');

    request('inner/second-empty', RETRIES => 0);
    is($c->name($c->go('GET', '/')), 'TRUNCATED', 'nothing');

    request('inner/second-cut');
    $r = $c->go('GET', '/');
    is($c->name($r), 'TRUNCATED', 'what was delivered is not repeated');
    is($r->{body}, 'hell', 'part of the answer');

    # at most twice

    unlink $t->path('requests');
    is(request('inner/closes'), 'SESSION_LOST', 'always closes');
    is(request('inner/interim-only'), 'SESSION_LOST', 'nearly an answer');
    is(request('inner/gone'), 'SESSION_LOST', 'always 410');
    is(() = $t->read_file('requests') =~ /^/mg, 6, 'twice each');

    # libcurl also sends it again

    is(request('inner/drops'), 'SESSION_LOST', 'always drops');

    # the first request of a session is not repeated

    is(request('inner/alerts'), 'TLS', 'alerts');
    like($r->{text}, qr/alert "bad record mac"/, 'the alert');

    is(request('status/410'), 'OUTER_STATUS', '410 to a ClientHello');
    is($c->command('outer')->{posts}, 2, 'tried twice');

    done_testing();
}


# Random behaviour: no crash, and the result is available in time.

sub fuzz {
    my $runs = $ENV{ATLS_FUZZ_RUNS} || ($ENV{TEST_VALGRIND} ? 20 : 200);
    my ($late, %names) = 0;

    for my $seed (1 .. $runs) {
        $names{request("fuzz/$seed", TIMEOUT => 3000)}++;
        $late++ if $r->{time} > ($slow ? 30 : 6 * slow());
        last if $r->{name} eq 'gone';
    }

    note(join ', ', map { "$_ $names{$_}" } sort keys %names);
    is($names{gone}, undef, "$runs runs");
    is($late, 0, 'none took long');
    is(request('inner/good'), 'OK', 'and it goes on');

    done_testing();
}
