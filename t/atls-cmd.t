#!/usr/bin/perl

# The atls command with the module: requests, large transfers.  For output, see
# t/atls-cmd-output.t; for exit codes, t/atls-cmd-exit.t; for TLS,
# t/atls-cmd-tls.t; for connections, t/atls-cmd-way.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use MIME::Base64 qw( encode_base64 );
use Test::More;

use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Site;

use constant MB => 1 << 20;


my $slow = $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND} || $ENV{TEST_NGINX_SLOW};
my $LARGE = MB * ($ENV{TEST_NGINX_LONG} ? 1024 : $slow ? 10 : 100);

my $t = Test::Atls::Site->new(san => 'DNS:localhost,IP:127.0.0.1');
my $backend = $t->backend();

my %more = (http     => q{ log_format outer '$request_method $status $args';
                           client_max_body_size 0; },
            endpoint => 'access_log %%TESTDIR%%/outer.log outer;',
            backend  => 'proxy_set_header Host $http_host;');

$t->serve(<<'EOC', %more);
location = /framing {
    return 200 "$http_transfer_encoding $http_content_length";
}

location = /session {
    return 200 "$atls_session_id $atls_session_requests\n";
}
EOC

my $atls = $t->command();
my $site = 'https://localhost';
my @common = ($t->via(), $t->trust());
my $r;

subtest('requests' => \&requests);
subtest('headers' => \&headers);
subtest('data' => \&data);
subtest('uploads' => \&uploads);
subtest('several URLs' => \&several);
subtest('large transfers' => \&large);

$t->done_testing();


# Sends a request, and checks what is the same for all.

sub sent {
    my ($name, @args) = @_;

    $backend->forget();
    $r = $t->atls(@args);
    is($r->{code}, 0, "$name: exit code") or diag($r->{err});

    return $backend->request();
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
    is(sent('dot', "$site./")->{h}{host}, 'localhost.', 'a dot at the end');
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

    hidden() unless $ENV{TEST_VALGRIND};        # changes arguments
    done_testing();
}


# Secrets are hidden from the list of processes.

sub hidden {
    $backend->forget();

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

    # otherwise, the request might be received after forget()

    ok($t->wait_for(sub { $backend->requests() }, 10), 'the request came');

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

    # nginx rejects it

    $r = $t->atls('-w', '%{http_code}', '-o', '/dev/null', '-H', 'Host:',
                  "$site/echo");
    is($r->{out}, 400, 'no Host');

    my $file = $t->write_file('headers', "A: 1\r\n\r\nB: 2\nC;\n");
    $q = sent('@file', '-H', "\@$file", "$site/echo");
    is(join(' ', map { "$_=$q->{h}{$_}" } qw( a b c )), 'a=1 b=2 c=',
       'of a file');

    for my $bad ('none', ': x', 'a b: c', "A: b\r\nC: d", 'A; b',
                 'Content-Length: 5', 'transfer-encoding: chunked')
    {
        $r = $t->atls('-H', $bad, "$site/echo");
        is($r->{code}, 2, 'bad: ' . ($bad =~ s/\s/ /gr)) or diag($r->{out});
    }

    is($t->atls('-H', '@/nonexistent', $site)->{code}, 26, 'no file');
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

    $r = $t->atls('--data-binary', '@' . $file, "$site/body");
    is($r->{out}, "one\r\ntwo\n\0three", 'there and back');

    is($t->atls('-d', '@/nonexistent', $site)->{code}, 26, 'no file');
    is($t->atls('-d', '@' . $t->dir(), $site)->{code}, 26, 'a directory');
    is($t->atls('-d', 'x', '-I', $site)->{code}, 2, 'not with -I');
    is($t->atls('-d', 'x', '-T', $file, $site)->{code}, 2, 'not with -T');
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
    is($backend->request()->{md5}, md5_hex("piece 1\npiece 2\npiece 3\n"),
       'its content');

    $p = $atls->start(@common, '-T', '-', "$site/framing", { stdin => 'pipe' });
    is($atls->finish($p)->{out}, 'chunked ', 'is chunked');
    is($t->atls('-T', $file, "$site/framing")->{out}, ' 70000',
       'a file is not');

    $q = sent('empty', '-T', '/dev/null', "$site/echo");
    is("$q->{method} $q->{length}", 'PUT 0', 'nothing');

    is($t->atls('-T', '/nonexistent', "$site/echo")->{code}, 26, 'no file');
    is($t->atls('-T', $t->dir(), "$site/echo")->{code}, 26, 'a directory');
    is($t->atls('-T', $file, '-T', $file, $site)->{code}, 2, 'two files');
    is($backend->requests(), 0, 'none of these was sent');

    done_testing();
}


sub several {
    $r = $t->atls('--via', $t->endpoint() . '?several',
                  map { "$site/session" } 1 .. 5);
    is($r->{code}, 0, 'five URLs') or diag($r->{err});

    my @lines = $r->{out} =~ /^(\w+) (\d+)$/mg;
    my %sessions = @lines;
    is(keys %sessions, 1, 'one session');
    is("@lines[1, 3, 5, 7, 9]", '1 2 3 4 5', 'five requests in it');
    is(posts('several', 7), 7, 'a handshake, a POST for each, and a farewell');

    $r = $t->atls("$site/session", 'https://127.0.0.1/session',
                  "$site/session");
    my @ids = $r->{out} =~ /^(\w+) 1$/mg;
    is(@ids, 3, 'another host, another session');

    $r = $t->atls("$site/session", "https://LOCALHOST:443/session");
    my ($first, $second) = $r->{out} =~ /^(\w+) \d$/mg;
    is($first, $second, 'the same host in other words');

    $r = $t->atls('-o', 'a', '-o', 'b', "$site/exact", "$site/chunked",
                  "$site/exact");
    is("$r->{code} $r->{out}", "0 exactly\n", 'two files, and stdout');
    is($t->read_file('a') . $t->read_file('b'), "exactly\none\ntwo\nthree\n",
       'one each');

    is($t->atls('-O', '-o', 'b', $site)->{code}, 2, 'more files than URLs');

    $r = $t->atls('-f', "$site/status?code=404", "$site/exact",
                  "$site/status?code=500");
    is("$r->{code} $r->{out}", "22 exactly\n", 'the others are had anyway');

    # data are sent to each URL, files to one

    $backend->forget();
    is($t->atls('-d', 'x', "$site/echo", "$site/echo")->{code}, 0, '-d');
    my $file = $t->path('data');
    is($t->atls('-T', $file, "$site/echo", "$site/echo")->{code}, 0, '-T');
    is(join(' ', map { $_->{length} } $backend->requests()), '1 1 15 0',
       'bodies');

    done_testing();
}


# The number of POSTs with these arguments.  They may be logged after the client
# has exited.

sub posts {
    my ($args, $wanted) = @_;

    my @posts;

    $t->wait_for(sub {
        @posts = $t->read_file('outer.log') =~ /^POST 200 \Q$args\E$/mg;
        return @posts >= $wanted;
    });

    return scalar @posts;
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


# Measured when almost everything has been read from the pipe.

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
    my $q = $backend->request();
    is("$q->{length} $q->{md5}", "$size " . pattern_md5($size), 'whole');

    return $peak;
}
