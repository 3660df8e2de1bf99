#!/usr/bin/perl

# atls forward: UNIX-domain sockets, several services in one process, and the
# check of the service at the start.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::LocalServer;
use Test::Atls::Site;

my $t = Test::Atls::Site->new(workers => 2, san => 'DNS:localhost,DNS:other');

$t->serve(<<'EOC', servers => <<'EOS');
location = /name {
    default_type text/plain;
    return 200 "$http_host, tls: $atls_protocol\n";
}
EOC
server {
    listen 127.0.0.1:%%PORT_2%%;

    location / {
        return 404;
    }
}
EOS

my $atls = $t->command();
my $socket = $t->path('forward.sock');
my @common = ($t->via(), $t->trust());
my $refused = 'http://127.0.0.1:' . $t->port(3) . '/';

subtest('UNIX-domain sockets' => \&unix_sockets);
subtest('tunnel' => \&unix_tunnel);
subtest('several services' => \&several);
subtest('options of services' => \&options);
subtest('invalid files' => \&invalid);
subtest('the check at the start' => \&check);

$t->done_testing();


sub start {
    my (@args) = @_;

    return Test::Atls::LocalServer->start($atls, 'forward', @common, @args);
}


sub ask_socket {
    my ($path, $uri, @args) = @_;

    my @command = ('curl', '-s', '--noproxy', '*', '--unix-socket', $path,
                   @args, "http://any.example$uri");

    open my $fh, '-|', @command or die "curl: $!\n";
    local $/;
    my $body = <$fh>;
    close $fh;

    return $body;
}


# A web page cannot connect to it, so that the Host is not checked.

sub unix_sockets {
    my $f = start('-l', "unix:$socket", 'https://localhost');

    is(ask_socket($socket, '/name'), "localhost, tls: TLSv1.3\n", 'a request');
    like(($f->log(1))[0], qr!^unix: GET /name 200 \d+ \S+ 1$!, 'log');
    is(ask_socket($socket, '/exact', '-H', 'Origin: http://page.example'),
       "exactly\n", 'another one');

    my $r = $atls->run('forward', @common, '-l', "unix:$socket",
                       'https://localhost');
    is($r->{code}, 7, 'the socket is in use');
    like($r->{err}, qr/cannot listen on "unix:\Q$socket\E": .*in use/,
         'which one');
    is(ask_socket($socket, '/exact'), "exactly\n", 'it is not replaced');

    $r = $f->stop();
    is($r->{code}, 0, 'stopped');
    ok(!-e $socket, 'the socket is removed');

    $f = start('-l', "unix:$socket", 'https://localhost');
    kill 'KILL', $f->pid();
    is($atls->finish($f->{p})->{code}, 'signal 9', 'killed');
    ok(-S $socket, 'the socket is left');

    $f = start('-l', "unix:$socket", 'https://localhost');
    is(ask_socket($socket, '/exact'), "exactly\n", 'it is replaced');
    $f->stop();

    my $old = start('-l', "unix:$socket", 'https://localhost');
    rename $socket, "$socket.old";
    $f = start('-l', "unix:$socket", 'https://localhost');
    $old->stop();
    is(ask_socket($socket, '/exact'), "exactly\n",
       'the socket of a successor is not removed');
    $f->stop();
    unlink "$socket.old";

    $t->write_file('forward.sock', 'data');
    $r = $atls->run('forward', @common, '-l', "unix:$socket",
                    'https://localhost');
    is($r->{code}, 7, 'a file is not replaced');
    is($t->read_file('forward.sock'), 'data', 'it is the same');
    unlink $socket;

    for my $path ('', 'x' x 108, $t->path('no/directory')) {
        $r = $atls->run('forward', @common, '-l', "unix:$path",
                        'https://localhost');
        is($r->{code}, $path =~ m!/! ? 7 : 2, "path: $path");
    }

    done_testing();
}


sub unix_tunnel {
    my $p = Test::Atls::LocalServer->start($atls, 'tunnel', $t->via(), '-l',
                                           "unix:$socket", 'https://localhost');

    open my $fh, '-|', 'curl', '-s', '--noproxy', '*', '--unix-socket', $socket,
        '--cacert', $t->path('ca.crt'), 'https://localhost/exact'
        or die "curl: $!\n";
    is(<$fh>, "exactly\n", 'a request');
    close $fh;

    is($p->stop()->{code}, 0, 'stopped');
    ok(!-e $socket, 'the socket is removed');

    done_testing();
}


sub several {
    my $other = $t->path('other.sock');

    $t->write_file('services', <<"EOF");
# two services

--listen 127.0.0.1:0 https://localhost
\t-l "unix\\:$socket"   https://other:8443 # the other one
-l unix:$other --tls-max 1.2 https://localhost.
EOF

    my $f = start('--services', $t->path('services'));

    my $all = qr/listening on .*:\d+\n.*listening on unix:.*\n.*unix:.*\n/;
    ok($t->wait_for(sub { $f->stderr() =~ $all }), 'all of them');
    my ($port) = $f->stderr() =~ /listening on 127.0.0.1:(\d+)/;

    like(`curl -s http://127.0.0.1:$port/name`, qr/^localhost, .*1\.3$/,
         'the first one');
    like(ask_socket($socket, '/name'), qr/^other:8443, .*1\.3$/, 'the second');
    like(ask_socket($other, '/name'), qr/^localhost\., .*1\.2$/, 'the third');
    is(`curl -so /dev/null -w '%{http_code}' -H 'Host: a' 127.0.0.1:$port/`,
       421, 'Host is checked');

    my $lines = join "\n", sort map { (split / /)[2] } $f->log(4);
    is($lines, join("\n", 'https://localhost./name', 'https://localhost/',
                    'https://localhost/name', 'https://other:8443/name'),
       'the log has the services');

    is($f->stop()->{code}, 0, 'stopped');
    ok(!-e $socket && !-e $other, 'the sockets are removed');

    done_testing();
}


# Those of the command line are for all; those of the file are read once.

sub options {
    $t->write_file('services', <<"EOF");
-l unix:$socket --max-time 60 --cacert "@{[ $t->path('ca.crt') ]}" https://other
EOF

    my $f = Test::Atls::LocalServer->start($atls, 'forward', $t->via(),
                                           '--cacert', '/nonexistent', '-v',
                                           '--services', $t->path('services'));

    is(ask_socket($socket, '/name'), "other, tls: TLSv1.3\n",
       'an option of the line is the last');
    like($f->stderr(), qr/^\[1\] /m, 'a flag of the command line');
    is($f->stop()->{code}, 0, 'stopped');

    done_testing();
}


sub invalid {
    my @files = (
        [ 'empty',              2, '',              qr/no services in/ ],
        [ 'a comment',          2, "# none\n\n",    qr/no services in/ ],
        [ 'a null character',   2, "-l 0 https://a\0\n",
          qr/null character in/ ],
        [ 'an unknown option',  2, "\n-l 0 --none https://localhost\n",
          qr/unknown option.*--none.*\n.*line 2 in/ ],
        [ 'no URL',             2, "-l 127.0.0.1:0\n",
          qr/a service needs --listen and a URL\n.*line 1 in/ ],
        [ 'no --listen',        2, "https://localhost\n",
          qr/a service needs --listen and a URL\n.*line 1 in/ ],
        [ 'two URLs',           2, "-l 0 https://localhost https://other\n",
          qr/only one URL.*\n.*line 1 in/ ],
        [ 'a null character',   2, "\0-l 0 https://localhost\n",
          qr/null character in/ ],
        [ 'a quotation mark',   2, qq{-l "0 https://localhost\n},
          qr/quotation mark.*\n.*line 1 in/ ],
        [ 'help',               2, "-l 0 -h https://localhost\n",
          qr/--help and --version.*\n.*line 1 in/ ],
        [ 'another file',       2, "-l 0 --services x https://localhost\n",
          qr/--services is not allowed\n.*line 1 in/ ],
        [ 'a URL',              3, "-l 0 https://localhost/path\n",
          qr/must have only a host and a port/ ],
        [ 'an address',         2, "-l localhost https://localhost\n",
          qr/must be PORT, ADDRESS:PORT or unix:PATH/ ],
    );

    for my $file (@files) {
        my ($name, $code, $text, $error) = @$file;

        my $path = $t->write_file('services', $text);
        my $r = $atls->run('forward', @common, '--services', $path);

        is($r->{code}, $code, "$name: exit code");
        like($r->{err}, $error, "$name: message");
    }

    my $path = $t->write_file('services', "-l 0 https://localhost\n");

    for my $args ([ '-l', '0' ], [ 'https://localhost' ]) {
        my $r = $atls->run('forward', @common, '--services', $path, @$args);
        is($r->{code}, 2, "not with @$args");
        like($r->{err}, qr/must be in the file of --services/, 'message');
    }

    is($atls->run('forward', '--services', '/nonexistent')->{code}, 26,
       'no file');

    done_testing();
}


sub check {
    my @url = ('-l', '127.0.0.1:0', 'https://localhost');
    my @other = ('--via', 'http://127.0.0.1:' . $t->port(2) . '/');

    my @checks = (
        [ 'no connection',      7,  '--via', $refused, $t->trust(), @url ],
        [ 'no ATLS',            8,  @other, $t->trust(), @url ],
        [ 'no trust',           60, $t->via(), @url ],
        [ 'another name',       60, @common, @url[0, 1], 'https://third' ],
    );

    for my $check (@checks) {
        my ($name, $code, @args) = @$check;

        my $r = $atls->run('forward', @args);
        is($r->{code}, $code, "$name: exit code");
        like($r->{err}, qr/no session with https:\S+; .* use --no-check/,
             "$name: message");
        unlike($r->{err}, qr/listening/, "$name: no listening socket");
    }

    my $f = Test::Atls::LocalServer->start($atls, 'forward', '--no-check',
                                           @{$checks[0]}[2 .. 8]);
    is($f->ask('GET /')->status(), 502, '--no-check');
    is($f->stop()->{code}, 0, 'stopped');

    # the session is used by the first request

    $f = start('-v', '-l', '127.0.0.1:0', 'https://localhost');
    is($f->ask('GET /exact')->body(), "exactly\n", 'a request');
    is(scalar(() = $f->stderr() =~ /POST 1: /g), 1,
       'one handshake') or diag($f->stderr());
    $f->stop();

    done_testing();
}
