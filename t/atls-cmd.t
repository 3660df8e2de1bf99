#!/usr/bin/perl

# The command atls with the module: what is sent, where the answer goes, large
# transfers, exit codes.  See t/atls-cmd-tls.t for TLS and for the way there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use MIME::Base64 qw( encode_base64 );
use Test::More;
use Time::HiRes qw( time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Command;
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Port qw( free_port );

use constant MB => 1 << 20;

my $slow = $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND} || $ENV{TEST_NGINX_SLOW};
my $LARGE = MB * ($ENV{TEST_NGINX_LONG} ? 1024 : $slow ? 10 : 100);

my $t = Test::Atls->new(workers => 4);

$t->make_cert('ca', is_ca => 1);
$t->make_cert('other', is_ca => 1);
$t->make_cert('localhost', ca => 'ca', san => 'DNS:localhost,IP:127.0.0.1');
$t->make_cert('wrong', ca => 'ca', san => 'DNS:example.com');

$t->write_file('limited', pattern(30_000));

my $backend = Test::Atls::Backend->start($t, $t->port(1));

$t->write_conf(<<'EOC');
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%

    log_format outer '$request_method $status $args';

    client_max_body_size 0;
    atls_certificate %%TESTDIR%%/localhost.crt;
    atls_certificate_key %%TESTDIR%%/localhost.key;

    server {
        listen 127.0.0.1:%%PORT_0%%;

        # a connection for each POST, so that each may be another worker's

        location = /.well-known/atls {
            atls on;
            keepalive_timeout 0;
            access_log %%TESTDIR%%/outer.log outer;
        }

        location = /wrong {
            atls on;
            atls_certificate %%TESTDIR%%/wrong.crt;
            atls_certificate_key %%TESTDIR%%/wrong.key;
        }

        # for handshakes that nobody ends, so that workers need not wait

        location = /impatient {
            atls on;
            atls_handshake_timeout 1s;
        }

        location = /json {
            default_type application/json;
            return 200 '{}';
        }

        location = /moved {
            return 302 http://127.0.0.1:%%PORT_0%%/.well-known/atls;
        }

        location = /framing {
            return 200 "$http_transfer_encoding $http_content_length";
        }

        location = /session {
            return 200 "$atls_session_id $atls_session_requests\n";
        }

        location = /limited {
            limit_rate 10k;
            alias %%TESTDIR%%/limited;
        }

        location = /exact {
            add_header X-One 1;
            add_header X-Two "two  words";
            default_type text/plain;
            return 200 "exactly\n";
        }

        location / {
            proxy_pass http://127.0.0.1:%%PORT_1%%;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
        }
    }

    # what is no HTTP, inside of good TLS

    server {
        listen 127.0.0.1:%%PORT_2%%;

        location = /.well-known/atls {
            atls on;
            atls_payload raw;
            return 200 "no HTTP at all\r\n";
        }
    }
}
EOC

$t->run();

my $atls = Test::Atls::Command->new($t);
my $site = 'https://localhost';
my $endpoint = 'http://127.0.0.1:' . $t->port(0);
my @via = ('--via', "$endpoint/.well-known/atls");
my @common = (@via, '--cacert', $t->path('ca.crt'));
my $r;

subtest('requests' => \&requests);
subtest('headers' => \&headers);
subtest('data' => \&data);
subtest('uploads' => \&uploads);
subtest('output' => \&output);
subtest('several URLs' => \&several);
subtest('silence' => \&silence);
subtest('write-out' => \&write_out);
subtest('progress' => \&progress) unless $ENV{TEST_VALGRIND};
subtest('large transfers' => \&large);
subtest('exit codes' => \&exit_codes);
subtest('time' => \&time_limits);
subtest('closed pipe' => \&closed_pipe);

$t->done_testing();


# With the usual options.

sub atls { return $atls->run(@common, @_) }


# The only request that the backend got; its headers as a hash, too.

sub request {
    my ($request, @more) = $backend->requests();

    fail('there is more than one request') if @more;
    $backend->forget();
    $request ||= { headers => [], method => 'none', uri => '' };
    $request->{h} = { map { lc $_->[0] => $_->[1] } @{$request->{headers}} };

    return $request;
}


# Sends one and looks at what came; the same things each time.

sub sent {
    my ($name, @args) = @_;

    $backend->forget();
    $r = atls(@args);
    is($r->{code}, 0, "$name: exit code") or diag($r->{err});

    return request();
}


sub requests {
    my $q = sent('GET', "$site/echo?a=b%20c#part");

    is("$q->{method} $q->{uri} $q->{version}", 'GET /echo?a=b%20c HTTP/1.1',
       'request line');
    is($q->{h}{host}, 'localhost', 'Host');
    is($q->{h}{accept}, '*/*', 'Accept');
    like($q->{h}{'user-agent'}, qr!^atls/\d!, 'User-Agent');
    is(join(' ', sort keys %{$q->{h}}), 'accept host user-agent',
       'nothing else');
    is($r->{err}, '', 'nothing is said');

    is(sent('no path', $site)->{uri}, '/', 'no path');
    is(sent('no scheme', 'localhost/echo')->{uri}, '/echo', 'https is guessed');
    is(sent('port', "$site:8443/")->{h}{host}, 'localhost:8443', 'a port');
    is(sent('address', 'https://127.0.0.1/')->{h}{host}, '127.0.0.1',
       'an address');
    is(sent('dots', "$site/a/../b")->{uri}, '/b', 'dots');
    is(sent('fetch', "$site/b")->{uri}, '/b', 'a request');

    $r = $atls->run('fetch', @common, "$site/exact");
    is("$r->{code} $r->{out}", "0 exactly\n", 'by the name of the subcommand');

    for my $method (qw( PUT DELETE PATCH OPTIONS )) {
        $q = sent($method, '-X', $method, "$site/echo");
        is($q->{method}, $method, $method);
    }

    $q = sent('-u', '-u', 'name:pass:word', "$site/echo");
    is($q->{h}{authorization}, 'Basic ' . encode_base64('name:pass:word', ''),
       'Basic authorization');

    $q = sent('user in the URL', 'https://na%40me:pw@localhost/echo');
    is($q->{h}{authorization}, 'Basic ' . encode_base64('na@me:pw', ''),
       'Basic authorization of the URL');

    $q = sent('both', '-u', 'a:b', 'https://c:d@localhost/echo');
    is($q->{h}{authorization}, 'Basic ' . encode_base64('a:b', ''),
       'that of -u is the one');

    hidden() unless $ENV{TEST_VALGRIND};        # whose arguments these are
    done_testing();
}


# Secrets do not stay where everybody can read them.

sub hidden {
    my $p = $atls->start(@common, '-u', 'name:sesame', '--pass', 'sesame',
                         '-m', 60, "$site/hang");
    my $seen;

    ok($t->wait_for(sub {
        open my $fh, '<', "/proc/$p->{pid}/cmdline" or return 0;
        local $/;
        $seen = readline $fh;
        return $seen =~ /\*{11}/;
    }, 10), 'secrets are hidden');
    unlike($seen, qr/sesame/, 'all of them');

    kill 'TERM', $p->{pid};
    is($atls->finish($p)->{code}, 'signal 15', 'killed');
    $backend->forget();
}


sub headers {
    my $q = sent('-H', '-H', 'X-One: 1', '-H', 'X-Two:two  words ', '-H',
                 'X-Empty;', '-H', 'x-three:', "$site/echo");

    is($q->{h}{'x-one'}, '1', 'a header');
    is($q->{h}{'x-two'} =~ s/ +$//r, 'two  words', 'another');
    is($q->{h}{'x-empty'}, '', 'an empty one');
    ok(!exists $q->{h}{'x-three'}, 'one that is not to be sent');

    $q = sent('other defaults', '-H', 'Host: example.com', '-H', 'accept: a/b',
              '-A', 'me', "$site/echo");
    is("@{$q->{h}}{qw( host accept user-agent )}", 'example.com a/b me',
       'in place of the usual ones');

    $q = sent('no defaults', '-H', 'Accept:', '-A', '', "$site/echo");
    is(join(' ', keys %{$q->{h}}), 'host', 'without the usual ones');

    my $file = $t->write_file('headers', "A: 1\r\n\r\nB: 2\nC;\n");
    $q = sent('@file', '-H', "\@$file", "$site/echo");
    is(join(' ', map { "$_=$q->{h}{$_}" } qw( a b c )), 'a=1 b=2 c=',
       'of a file');

    for my $bad ('none', ': x', 'a b: c', "A: b\r\nC: d", 'A; b',
                 'Content-Length: 5', 'transfer-encoding: chunked')
    {
        $r = atls('-H', $bad, "$site/echo");
        is($r->{code}, 2, 'bad: ' . ($bad =~ s/\s/ /gr)) or diag($r->{out});
    }

    is(atls('-H', '@/nonexistent', $site)->{code}, 26, 'no file');
    is($backend->requests(), 0, 'none was sent');

    done_testing();
}


sub data {
    my $form = 'application/x-www-form-urlencoded';
    my $file = $t->write_file('data', "one\r\ntwo\n\0three");

    my @cases = (
        [ 'text',       [ qw( -d a=b ) ],               'a=b' ],
        [ 'empty',      [ '-d', '' ],                   '' ],
        [ 'several',    [ qw( -d a=b -d c=d ) ],        'a=b&c=d' ],
        [ 'file',       [ '-d', "\@$file" ],            'onetwothree' ],
        [ 'binary',     [ '--data-binary', "\@$file" ], "one\r\ntwo\n\0three" ],
        [ 'mixed',      [ '-d', 'x', '--data-binary', "\@$file" ],
                        "x&one\r\ntwo\n\0three" ],
        [ 'stdin',      [ '-d', '@-', { stdin => "from\nstdin" } ],
                        'fromstdin' ],
        [ 'long stdin', [ '--data-binary', '@-', { stdin => pattern(3 * MB) } ],
                        pattern(3 * MB) ],
    );

    for (@cases) {
        my ($name, $args, $body) = @$_;
        my @options = ref $args->[-1] ? pop @$args : ();

        my $q = sent($name, @$args, "$site/echo", @options);
        is("$q->{method} $q->{h}{'content-length'} $q->{h}{'content-type'}",
           'POST ' . length($body) . " $form", "$name: how");
        is($q->{md5}, md5_hex($body), "$name: what");
    }

    my $q = sent('-X, -H', '-X', 'PATCH', '-H', 'Content-Type: a/b', '-d', 'x',
                 "$site/echo");
    is("$q->{method} $q->{h}{'content-type'} $q->{first}", 'PATCH a/b x',
       'another method, another type');

    $q = sent('-H', '-H', 'Content-Type:', '-d', 'x', "$site/echo");
    ok(!exists $q->{h}{'content-type'}, 'no type');

    $r = atls('--data-binary', '@' . $file, "$site/body");
    is($r->{out}, "one\r\ntwo\n\0three", 'there and back');

    is(atls('-d', '@/nonexistent', $site)->{code}, 26, 'no file');
    is(atls('-d', '@' . $t->dir(), $site)->{code}, 26, 'a directory');
    is(atls('-d', 'x', '-I', $site)->{code}, 2, 'not with -I');
    is(atls('-d', 'x', '-T', $file, $site)->{code}, 2, 'not with -T');
    is($backend->requests(), 1, 'none of these was sent');

    done_testing();
}


sub uploads {
    my $file = $t->write_file('up load', pattern(70_000));

    my $q = sent('-T', '-T', $file, "$site/echo");
    is("$q->{method} $q->{uri} $q->{h}{'content-length'}", 'PUT /echo 70000',
       'a file');
    is($q->{md5}, pattern_md5(70_000), 'its content');
    ok(!exists $q->{h}{'content-type'}, 'no type');

    is(sent('directory', '-T', $file, "$site/dir/")->{uri}, '/dir/up%20load',
       'its name is appended');
    is(sent('query', '-T', $file, "$site/dir/?q")->{uri}, '/dir/?q',
       'not before a query');
    is(sent('-X', '-X', 'POST', '-T', $file, "$site/echo")->{method}, 'POST',
       'another method');

    $q = sent('stdin', '-T', '-', "$site/dir/", { stdin => 'a file' });
    is("$q->{uri} $q->{length} $q->{h}{'content-length'}", '/dir/ 6 6',
       'stdin that is a file');

    my $p = $atls->start(@common, '-T', '-', "$site/echo", { stdin => 'pipe' });
    print {$p->{in}} "piece $_\n" for 1 .. 3;
    is($atls->finish($p)->{code}, 0, 'stdin that is a pipe');
    is(request()->{md5}, md5_hex("piece 1\npiece 2\npiece 3\n"),
       'its content');

    $p = $atls->start(@common, '-T', '-', "$site/framing", { stdin => 'pipe' });
    is($atls->finish($p)->{out}, 'chunked ', 'is chunked');
    is(atls('-T', $file, "$site/framing")->{out}, ' 70000', 'a file is not');

    $q = sent('empty', '-T', '/dev/null', "$site/echo");
    is("$q->{method} $q->{length}", 'PUT 0', 'nothing');

    is(atls('-T', '/nonexistent', "$site/echo")->{code}, 26, 'no file');
    is(atls('-T', $t->dir(), "$site/echo")->{code}, 26, 'a directory');
    is(atls('-T', '-', $site, $site)->{code}, 2, 'stdin for two URLs');
    is($backend->requests(), 0, 'none of these was sent');

    done_testing();
}


sub output {
    my $header = qr{\AHTTP/1\.1\ 200\ OK\r\n
                    (?:[\w-]+:\ [^\r\n]*\r\n)*?
                    X-One:\ 1\r\nX-Two:\ two\ \ words\r\n\r\n}x;

    $r = atls("$site/exact");
    is("$r->{code} $r->{out}", "0 exactly\n", 'stdout');

    $r = atls('-o', 'out', "$site/exact");
    is("$r->{code} $r->{out}", '0 ', '-o: nothing on stdout');
    is($t->read_file('out'), "exactly\n", '-o: the file');

    $r = atls('-o', '-', "$site/exact");
    is($r->{out}, "exactly\n", '-o -');

    is(atls('-O', "$site/exact?a=b/c")->{code}, 0, '-O');
    is($t->read_file('exact'), "exactly\n", '-O: the file');

    $r = atls('-O', "$site/dir/");
    is($r->{code}, 23, '-O: no name');

    $r = atls('-i', "$site/exact");
    like($r->{out}, qr/${header}exactly\n\z/, '-i');

    $r = atls('-i', '-o', 'out', "$site/exact");
    like($t->read_file('out'), qr/${header}exactly\n\z/, '-i -o');
    is($r->{out}, '', 'nothing on stdout');

    $r = atls('-I', "$site/exact");
    like($r->{out}, qr/$header\z/, '-I');
    is($r->{code}, 0, '-I: exit code');

    $r = atls('-i', "$site/status?code=204");
    like($r->{out}, qr/\AHTTP\/1\.1 204 \S.*\r\n\r\n\z/s, '-i: no body');

    unlink $t->path('out');
    $r = atls('-o', 'out', "$site/status?code=204");
    ok(-e $t->path('out') && -z _, 'an empty file');

    $r = atls("$site/chunked");
    is($r->{out}, "one\ntwo\nthree\n", 'chunked');

    $r = atls("$site/eof");
    is($r->{out}, "until the end\n", 'until the end');

    # -f

    $t->write_file('out', 'old');

    for my $code (400, 404, 500) {
        $r = atls('-f', '-i', '-o', 'out', "$site/status?code=$code");
        is("$r->{code} $r->{out}", '22 ', "-f: $code");
        like($r->{err}, qr/^atls: \(22\) .*$code$/, 'it says so');
    }

    is($t->read_file('out'), 'old', '-f: no output');

    $r = atls("$site/status?code=404");
    is("$r->{code} $r->{out}", "0 status 404\n", 'without -f');
    $r = atls('-f', "$site/status?code=302");
    is("$r->{code} $r->{out}", "0 status 302\n", '-f: 302, not followed');

    # where nothing can be written

    for my $bad ('/nonexistent/out', $t->dir(), '/dev/full') {
        $r = atls('-o', $bad, "$site/exact");
        is($r->{code}, 23, "-o $bad") or diag($r->{out});
        like($r->{err}, qr/^atls: \(23\) cannot write to "\Q$bad\E": \w/,
             'it says so');
    }

    done_testing();
}


sub several {
    $r = atls('--via', "$endpoint/.well-known/atls?several",
              map { "$site/session" } 1 .. 5);
    is($r->{code}, 0, 'five URLs') or diag($r->{err});

    my @lines = $r->{out} =~ /^(\w+) (\d+)$/mg;
    my %sessions = @lines;
    is(keys %sessions, 1, 'one session');
    is("@lines[1, 3, 5, 7, 9]", '1 2 3 4 5', 'five requests in it');
    is(posts('several', 7), 7, 'a handshake, a POST for each, and a farewell');

    $r = atls("$site/session", 'https://127.0.0.1/session', "$site/session");
    my @ids = $r->{out} =~ /^(\w+) 1$/mg;
    is(@ids, 3, 'another host, another session');

    $r = atls("$site/session", "https://LOCALHOST:443/session");
    my ($first, $second) = $r->{out} =~ /^(\w+) \d$/mg;
    is($first, $second, 'the same host in other words');

    $r = atls('-o', 'a', '-o', 'b', "$site/exact", "$site/chunked",
              "$site/exact");
    is("$r->{code} $r->{out}", "0 exactly\n", 'two files, and stdout');
    is($t->read_file('a') . $t->read_file('b'), "exactly\none\ntwo\nthree\n",
       'one each');

    is(atls('-O', '-o', 'b', $site)->{code}, 2, 'more files than URLs');

    $r = atls('-f', "$site/status?code=404", "$site/exact",
              "$site/status?code=500");
    is("$r->{code} $r->{out}", "22 exactly\n", 'the others are had anyway');

    # data and files are sent to each of them

    $backend->forget();
    is(atls('-d', 'x', "$site/echo", "$site/echo")->{code}, 0, '-d');
    my $file = $t->path('data');
    is(atls('-T', $file, "$site/echo", "$site/echo")->{code}, 0, '-T');
    is(join(' ', map { $_->{length} } $backend->requests()), '1 1 15 15',
       'twice each');

    done_testing();
}


# How many there were with these arguments.  They are logged when the client
# may already have gone.

sub posts {
    my ($args, $wanted) = @_;

    my @posts;

    $t->wait_for(sub {
        @posts = $t->read_file('outer.log') =~ /^POST 200 \Q$args\E$/mg;
        return @posts >= $wanted;
    });

    return scalar @posts;
}


sub silence {
    my @bad = ('-f', "$site/status?code=404");

    is(atls('-s', @bad)->{err}, '', '-s');
    like(atls('-s', '-S', @bad)->{err}, qr/^atls: \(22\)/, '-sS');
    like(atls('-sS', '-f', $bad[1])->{err}, qr/^atls: \(22\)/, 'in one word');
    is(atls('-s', @bad)->{code}, 22, 'the exit code is the same');
    like(atls('-s')->{err}, qr/no URL/, 'wrong usage is said anyway');

    done_testing();
}


sub write_out {
    my $format = 'a\tb %{http_code} %{size_download} %{atls}\n%%{x} %{no} %{';

    $r = atls('-o', 'out', '-w', $format, "$site/exact");
    is("$r->{code} $r->{out}", "0 a\tb 200 8 on\n%{x} %{no} %{", 'variables');

    $r = atls('-w', ' %{time_total}\n', "$site/exact", "$site/exact");
    like($r->{out}, qr/\A(?:exactly\n \d+\.\d{3}\n){2}\z/, 'for each URL');

    $r = atls('-w', '%{http_code}', '-f', "$site/status?code=404");
    is("$r->{code} $r->{out}", '22 404', 'of a failure');

    $r = atls('-w', '%{http_code}', '-m', '0.5', "$site/hang");
    is("$r->{code} $r->{out}", '28 000', 'no answer at all');

    done_testing();
}


# On a terminal, when it takes long.  All at the same time.

sub progress {
    my $slow_url = "$site/slow?n=7&delay=0.2";

    my @cases = (
        [ 'bytes', [ '-o', 'a', $slow_url ],
          qr{\rreceived\ +\d+\ +\d+/s\ +0:\d\d\ .*
             \rreceived\ +49\ +\d+/s\ +0:\d\d\ \r?\n\z}xs ],
        [ 'a bar', [ '-o', 'b', "$site/limited" ],
          qr{\rreceived\ +\d\d%\ \[[#]+\ +\]\ +[\d.]+k\ +[\d.]+k/s\ +0:\d\d\ .*
             \rreceived\ 100%\ \[[#]{30}\]\ +29k\ .*\n\z}xs ],
        [ 'an upload', [ '-o', 'c', '-T', slow_file(), "$site/echo" ],
          qr{\rsent\ +\d+\ +\d+/s}x ],
        [ 'not with -s', [ '-s', '-o', 'd', $slow_url ], qr/\A\z/ ],
        [ 'not if the answer is shown', [ $slow_url ],
          qr/\Aline 1\r\n(?:line \d\r\n){6}\z/ ],
    );

    my $p = $atls->start(@common, '-o', 'f', $slow_url);
    my @running = map { terminal(@{$_->[1]}) } @cases;

    for (@cases) {
        my $fh = shift @running;
        like(join('', <$fh>), $_->[2], $_->[0]);
    }

    is($atls->finish($p)->{err}, '', 'not without a terminal');

    my $began = time;
    my $fh = terminal('-o', 'out', "$site/exact");
    my $said = join '', <$fh>;
    ok($said eq '' || time - $began > 0.9, 'not of a moment');

    done_testing();
}


# A command on one; what it says can be read.

sub terminal {
    my (@args) = @_;

    my $command = join ' ', map { "'$_'" } $atls->lib()->command_line(
                  $atls->program(), @common, @args);
    my $dir = $t->dir();

    open my $fh, '-|', "cd $dir && exec script -qec \"$command\" /dev/null"
                       . ' </dev/null' or die "script: $!\n";

    return $fh;
}


# A pipe with a name, into which somebody writes slowly.

sub slow_file {
    my $path = $t->path('fifo');

    require POSIX;
    POSIX::mkfifo($path, 0600) or die "mkfifo: $!\n";
    $t->run_daemon(sub {
        open my $fh, '>', $path or die "fifo: $!\n";
        for (1 .. 8) {
            syswrite $fh, "line $_\n";
            select undef, undef, undef, 0.2;
        }
    });

    return $path;
}


sub large {
    my $small = peak_of_download(MB);
    my $peak = peak_of_download($LARGE);

    note("peak memory: $small kB, $peak kB");

    SKIP: {
        skip 'memory is not the command\'s own here', 1 if $slow;
        cmp_ok($peak - $small, '<', 2048, 'download: constant memory');
    }

    $small = peak_of_upload(MB);
    $peak = peak_of_upload($LARGE);

    note("peak memory: $small kB, $peak kB");

    SKIP: {
        skip 'memory is not the command\'s own here', 1 if $slow;
        cmp_ok($peak - $small, '<', 6144, 'upload: constant memory');
    }

    my $file = $t->path('large');
    open my $fh, '>', $file or die "$file: $!\n";
    print $fh pattern(MB) for 1 .. 20;
    close $fh;

    my $q = sent('a large file', '-T', $file, "$site/echo");
    is("$q->{length} $q->{md5}", 20 * MB . ' ' . pattern_md5(20 * MB),
       'a large file');
    unlink $file;

    done_testing();
}


# Measured when all but the end has been taken from the pipe.

sub peak_of_download {
    my ($size) = @_;

    my $p = $atls->start(@common, "$site/big?size=$size", { stdout => 'pipe' });
    my $md5 = Digest::MD5->new();
    my $left = $size;

    while ($left > MB / 2) {
        my $n = read $p->{out}, my $piece, 65536 or last;
        $md5->add($piece);
        $left -= $n;
    }

    my $peak = $atls->memory($p);
    $r = $atls->finish($p);
    $md5->add($r->{out});

    is($r->{code} . ' ' . $md5->hexdigest(), '0 ' . pattern_md5($size),
       "download of $size") or diag($r->{err});
    $backend->forget();

    return $peak;
}


sub peak_of_upload {
    my ($size) = @_;

    my $p = $atls->start(@common, '-T', '-', "$site/echo",
                         { stdin => 'pipe' });

    print {$p->{in}} pattern(MB) for 1 .. $size / MB;

    my $peak = $atls->memory($p);
    is($atls->finish($p)->{code}, 0, "upload of $size");
    my $q = request();
    is("$q->{length} $q->{md5}", "$size " . pattern_md5($size), 'whole');

    return $peak;
}


sub exit_codes {
    my $nobody = 'http://127.0.0.1:' . free_port() . '/';

    my @cases = (
        [ 1,  [ 'http://localhost/' ],                  'does not begin with' ],
        [ 1,  [ 'ftp://localhost/' ],                   'does not begin with' ],
        [ 2,  [ '--via', 'ftp://localhost/', $site ],   '' ],
        [ 2,  [ '--via', 'a b', $site ],                '' ],
        [ 3,  [ 'https://' ],                           'not a URL' ],
        [ 3,  [ 'https://local host/' ],                'not a URL' ],
        [ 3,  [ 'https://localhost:99999/' ],           'not a URL' ],
        [ 5,  [ '-x', 'http://no-such.invalid', $site ], 'no-such.invalid' ],
        [ 6,  [ '--via', 'http://no-such.invalid/', $site ],
                                                        'no-such.invalid' ],
        [ 7,  [ '--via', $nobody, $site ],              'connect' ],
        [ 7,  [ '-x', $nobody, $site ],                 'connect' ],
        [ 8,  [ '--via', "$endpoint/json", $site ],     'application/json' ],
        [ 8,  [ '--via', "$endpoint/status?code=404", $site ],
                                                        'answers with 404' ],
        [ 8,  [ '--via', "$endpoint/status?code=503", $site ],
                                                        'answers with 503' ],
        [ 8,  [ '--via', "$endpoint/moved", $site ],    'redirects' ],
        [ 8,  [ '--via', 'http://127.0.0.1:' . $t->port(2)
                         . '/.well-known/atls', $site ], 'HTTP' ],
        [ 18, [ "$site/die" ],                          'ended within' ],
        [ 35, [ '--via', 'https://127.0.0.1:' . $t->port(0), $site ],
                                                        'outer TLS' ],
        [ 60, [ '--via', "$endpoint/wrong", $site ],    'ostname mismatch' ],
        [ 60, [ '--cacert', $t->path('other.crt'), $site ], 'issuer' ],
        [ 60, [ 'https://127.0.0.2/' ],                 'IP address mismatch' ],
    );

    for (@cases) {
        my ($code, $args, $text) = @$_;
        my @args = map { s/\Q$t->{dir}\E.//r } @$args;

        $r = atls(@$args);
        is("$r->{code} $r->{out}",
           $code == 18 ? "18 $r->{out}" : "$code ", "@args");
        like($r->{err}, qr/\Aatls: \($code\) [^\n]*$text[^\n]*\n\z/,
             'one line');
    }

    is($atls->run(@via, "$site/echo")->{code}, 60, 'the system\'s trust');
    $r = $atls->run(@via, "$site/exact",
                    { env => { SSL_CERT_FILE => $t->path('ca.crt') } });
    is("$r->{code} $r->{out}", "0 exactly\n", 'that of the environment');

    # with nobody in the way, the default endpoint

    $r = $atls->run('--cacert', $t->path('ca.crt'),
                    'https://127.0.0.1:' . free_port() . '/');
    is($r->{code}, 7, 'nobody at the default endpoint');

    broken_peers();
    done_testing();
}


# Endpoints that end the connection, before or in an answer.

sub broken_peers {
    my $port = $t->port(5);

    $t->run_daemon(sub { broken($port) }, port => $port);

    for my $case ([ 'nothing', 52 ], [ 'half', 18 ], [ 'reset', 56 ]) {
        my ($name, $code) = @$case;

        $r = $atls->run('--via', "http://127.0.0.1:$port/$name",
                        '--cacert', $t->path('ca.crt'), $site);
        is($r->{code}, $code, "an endpoint that sends $name")
            or diag($r->{err});
    }
}


sub broken {
    my ($port) = @_;

    my %answers = (
        nothing => '',
        half    => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"
                   . "Content-Type: application/atls+octet-stream\r\n\r\n"
                   . "\x16\x03\x03",
        reset   => 'HTTP/1.1 200 OK',
    );

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5,
                                       LocalPort => $port, ReuseAddr => 1)
        or die "broken: $!\n";

    while (my $s = $listen->accept()) {
        my $head = '';

        while ($head !~ /\r\n\r\n./s) {
            sysread $s, $head, 65536, length $head or last;
        }

        my ($name) = $head =~ m!^POST /(\w+)! or next;
        syswrite $s, $answers{$name};
        setsockopt $s, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
                   pack 'ii', 1, 0 if $name eq 'reset';
        close $s;
    }
}


sub time_limits {
    $r = atls('-m', '0.3', "$site/hang");
    is($r->{code}, 28, '-m');
    like($r->{err}, qr/\Aatls: \(28\) [^\n]*\n\z/, 'one line');

    my $p = $atls->start(@common, '--via', "$endpoint/impatient", '-m', '0.5',
                         '-T', '-', "$site/echo", { stdin => 'pipe' });
    ok($t->wait_for(sub { waitpid($p->{pid}, 0) == $p->{pid} }, 20),
       'nothing on stdin');
    is($? >> 8, 28, 'exit code');
    close $p->{in};

    is(atls('-m', 0, "$site/exact")->{code}, 0, '-m 0: none');
    is(atls('-m', 60, '--connect-timeout', 60, "$site/exact")->{code}, 0,
       'enough');

    # 192.0.2.0/24 has nobody; a network that says so at once is fine, too

    my $nobody = '192.0.2.1';
    $r = $atls->run('--connect-timeout', '0.3', "https://$nobody/");
    like($r->{code}, qr/^(?:28|7)$/, '--connect-timeout');

    is(atls('-m', $_, $site)->{code}, 2, "-m $_")
        for qw( x -1 1x nan inf 99999999999 ), '';

    done_testing();
}


# Whoever reads stdout has gone.

sub closed_pipe {
    my $p = $atls->start(@common, "$site/big?size=100000000",
                         { stdout => 'pipe' });

    read $p->{out}, my $some, 10;
    is($some, pattern(10), 'something');
    close delete $p->{out};

    $r = $atls->finish($p);
    is("$r->{code} $r->{err}", '23 ', 'quietly');

    done_testing();
}
