#!/usr/bin/perl

# Programs run by atls run, through mitmproxy, which intercepts the outer TLS.
# Each verifies the certificate of the service itself, by its own means.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA;
use File::Path qw( make_path );
use IPC::Open2 qw( open2 );
use Test::More;

use Test::Atls::FastCgi;
use Test::Atls::Middlebox;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Program qw( find_program run_program );
use Test::Atls::Site;

my $SITE = 'https://www.test';
my $SECRET = 'secret-of-this-test';     # in all paths and contents
my $REASON = 'none.test does not support ATLS: the endpoint returned 404';

# trusted certificates are specified for each program

delete @ENV{qw( CURL_CA_BUNDLE GIT_SSL_CAINFO NODE_EXTRA_CA_CERTS
                REQUESTS_CA_BUNDLE )};

my $t = Test::Atls::Site->new(san => 'DNS:www.test');

$t->make_cert('outer-ca', is_ca => 1,
              ext => [ 'keyUsage=critical,keyCertSign,cRLSign' ]);
$t->make_cert('outer', ca => 'outer-ca', san => 'DNS:localhost');

make_path($t->path($_)) for map { "www/$SECRET$_" } '', '/apt', '/npm';

my $servers = <<"EOC";
server {
    listen 127.0.0.1:%%PORT_2%% ssl;
    %%SSL_CERTIFICATE_outer%%
    server_name localhost;

    location = /.well-known/atls {
        atls on;
    }
}

server {
    listen 127.0.0.1:%%PORT_2%% ssl;
    server_name www.test;

    root %%TESTDIR%%/www;
    access_log %%TESTDIR%%/inner.log inner;
    client_max_body_size 0;
    types {
        text/html html;
        application/json json;
    }

    location /$SECRET/body/ {
        proxy_pass http://127.0.0.1:%%PORT_1%%/body/;
    }

    location /$SECRET/git/ {
        fastcgi_pass 127.0.0.1:%%PORT_3%%;
        fastcgi_param REQUEST_METHOD \$request_method;
        fastcgi_param QUERY_STRING \$query_string;
        fastcgi_param CONTENT_TYPE \$content_type;
        fastcgi_param CONTENT_LENGTH \$content_length;
        fastcgi_param HTTP_CONTENT_ENCODING \$http_content_encoding;
        fastcgi_param HTTP_GIT_PROTOCOL \$http_git_protocol;
        fastcgi_param PATH_INFO \$uri;
        fastcgi_param REMOTE_USER user;
    }
}
EOC

$t->serve('', servers => $servers,
          http => q{ log_format inner '$atls $request_method $uri $status'; });

Test::Atls::FastCgi::start($t, $t->port(3), \&git_backend);

my $ca = $t->path('ca.crt');
my $mitm = start_middlebox();

my $outer = 'https://localhost:' . $t->port(2);
my @run = ('run', '--map', "www.test=$outer/.well-known/atls",
           '--map', "none.test=$outer/none");
my %env = (https_proxy => 'http://127.0.0.1:' . $t->port(20),
           HOME => $t->path('home'));
make_path($t->path('home'));

subtest('curl' => \&with_curl);
subtest('wget' => \&with_wget);
subtest('git' => \&with_git);
subtest('requests' => \&with_requests);
subtest('npm' => \&with_npm);
subtest('apt' => \&with_apt);
subtest('chromium' => \&with_chromium);
subtest('mitmproxy' => \&seen);

$t->done_testing();


sub start_middlebox {
    if (my $why = Test::Atls::Middlebox->missing('mitmproxy')) {
        diag("without mitmproxy: $why");
        return undef;
    }

    return Test::Atls::Middlebox->start($t, 'mitmproxy', port => $t->port(20),
                                        trust => $t->path('outer-ca.crt'));
}


# Runs a program, and checks that all its requests used ATLS.

sub atls_run {
    my (@command) = @_;

    my $options = ref $command[-1] ? pop @command : {};

    $options->{env} = { $mitm ? %env : (HOME => $env{HOME}),
                        %{$options->{env} || {}} };

    return $t->command()->run(@run, '--', @command, $options);
}


sub file {
    my ($name, $text) = @_;

    $t->write_file("www/$SECRET/$name", $text);

    return "$SITE/$SECRET/$name";
}


# Without the CA, programs must fail, and nothing is requested.

sub untrusted {
    my ($name, @command) = @_;

    my $before = () = inner_log();
    my $r = atls_run(@command);

    isnt($r->{code}, 0, "$name without the CA");
    is(scalar(() = inner_log()), $before, 'no request');
}


sub inner_log {
    return split /\n/, $t->read_log('inner.log');
}


# A program is missing only if Debian has no package of it.

sub found {
    my ($program) = @_;

    my $path = find_program($program);

    ok($path, "$program is installed") or diag('see tools/deps.sh');

    return $path;
}


sub with_curl {
    my $url = file('curl', "$SECRET for curl");

    my $r = atls_run('curl', '-sS', '--cacert', $ca, $url);
    is("$r->{code} $r->{out}$r->{err}", "0 $SECRET for curl", 'GET');

    my $x = $t->write_file('x', pattern(300_000));
    $r = atls_run('curl', '-sS', '--cacert', $ca, '-F', "f=\@$x",
                  "$SITE/$SECRET/body/");
    ok(index($r->{out}, pattern(300_000)) > 0, 'a form with a file')
        or diag($r->{err});

    untrusted('curl', 'curl', '-sS', $url);
    done_testing();
}


sub with_wget {
    my $url = file('wget', "$SECRET for wget\n" x 100_000);

    found('wget') or return;

    my $r = atls_run('wget', '-q', "--ca-certificate=$ca", '-O', '-', $url);
    is($r->{code}, 0, 'exit code') or diag($r->{err});
    is($r->{out}, "$SECRET for wget\n" x 100_000, 'content');

    $r = atls_run('wget', '-nv', "--ca-certificate=$ca", '-O', '-',
                  'https://none.test/');
    like($r->{err}, qr/^Proxy tunneling failed: $REASON/m,
         'shows the reason for a rejected request');

    untrusted('wget', 'wget', '-q', '-O', '-', $url);
    done_testing();
}


sub git_backend {
    my ($in, $env) = @_;

    local %ENV = (%ENV, %$env, GIT_PROJECT_ROOT => $t->path('www'),
                  GIT_HTTP_EXPORT_ALL => 1);
    my $pid = open2(my $out, my $to, 'git', 'http-backend');

    while (read $in, my $piece, 65536) {
        print $to $piece;
    }

    close $to;
    local $/;
    my $answer = readline $out;
    waitpid $pid, 0;

    return $answer;
}


# Clone, a large commit, push, and fetch.

sub with_git {
    found('git') or return;

    my $bare = $t->path("www/$SECRET/git/project.git");
    my $url = "$SITE/$SECRET/git/project.git";
    my @git = ('git', '-c', 'user.name=n', '-c', 'user.email=n@localhost',
               '-c', "http.sslCAInfo=$ca", '-c', 'http.postBuffer=65536');

    git_ok('init', 'git', 'init', '-q', '--bare', '-b', 'main', $bare);

    my $r = atls_run(@git, 'clone', '-q', $url, $t->path('clone'));
    is($r->{code}, 0, 'clone') or diag($r->{err});

    $t->write_file('clone/file', random_text(300_000));
    git_ok('add', @git, '-C', $t->path('clone'), 'add', 'file');
    git_ok('commit', @git, '-C', $t->path('clone'), 'commit', '-qm', $SECRET);

    $r = atls_run(@git, '-C', $t->path('clone'), 'push', '-q', 'origin',
                  'HEAD:main');
    is($r->{code}, 0, 'push') or diag($r->{err});

    $r = atls_run(@git, 'clone', '-q', $url, $t->path('other'));
    is($r->{code}, 0, 'clone') or diag($r->{err});
    ok($t->read_file('other/file') eq $t->read_file('clone/file'), 'content');

    untrusted('git', 'git', 'ls-remote', $url);
    done_testing();
}


sub git_ok {
    my ($name, @command) = @_;

    my $r = run_program($t, @command, { env => { HOME => $env{HOME} } });

    is($r->{code}, 0, "git $name") or diag($r->{err});
}


# Text that is not compressed much.

sub random_text {
    my ($size) = @_;

    my $sha = Digest::SHA->new(256);
    my $text = '';

    for (my $i = 0; length $text < $size; $i++) {
        $text .= $sha->add($i)->hexdigest() . "\n";
    }

    return $text;
}


sub with_requests {
    my $python = '/usr/bin/python3';        # with Debian's packages
    my $get = 'import requests, sys; r = requests.post(sys.argv[1],'
              . ' data=sys.argv[2]); print(r.status_code, r.text)';
    my @command = ($python, '-c', $get, "$SITE/$SECRET/body/",
                   "$SECRET for requests");

    is(system("$python -c 'import requests' 2>/dev/null"), 0,
       'requests is installed') or return;

    my $r = atls_run(@command, { env => { REQUESTS_CA_BUNDLE => $ca } });
    is($r->{out}, "200 $SECRET for requests\n", 'POST') or diag($r->{err});

    $r = atls_run($python, '-c', $get, 'https://none.test/', 'x');
    like($r->{err}, qr/Tunnel connection failed: 502 $REASON/,
         'shows the reason for a rejected request');

    untrusted('requests', @command);
    done_testing();
}


sub with_npm {
    found('npm') or return;

    my $package = $t->path('npm/package');
    make_path($package, $t->path('npm/app'));

    $t->write_file('npm/package/package.json',
                   '{ "name": "demo", "version": "1.0.0" }');
    $t->write_file('npm/package/index.js', "module.exports = '$SECRET';\n");
    my $archive = $t->path("www/$SECRET/npm/demo-1.0.0.tgz");
    is(system('tar', '-C', $t->path('npm'), '-czf', $archive, 'package'), 0,
       'a package');

    my $sha = Digest::SHA->new(512)->addfile($archive)->b64digest() . '==';
    file('npm/demo.json', <<"EOJ");
{ "name": "demo", "dist-tags": { "latest": "1.0.0" }, "versions": { "1.0.0": {
  "name": "demo", "version": "1.0.0", "dist": { "integrity": "sha512-$sha",
  "tarball": "$SITE/$SECRET/npm/demo-1.0.0.tgz" } } } }
EOJ
    symlink 'demo.json', $t->path("www/$SECRET/npm/demo");

    my @command = ('npm', 'install', '--prefix', $t->path('npm/app'),
                   "--registry=$SITE/$SECRET/npm/", '--no-audit', '--no-fund',
                   '--no-update-notifier', '--fetch-retries=0', 'demo');

    untrusted('npm', @command);
    my $r = atls_run(@command, "--cafile=$ca");
    is($r->{code}, 0, 'install') or diag($r->{out}, $r->{err});
    is($t->read_file('npm/app/node_modules/demo/index.js'),
       "module.exports = '$SECRET';\n", 'its file');

    done_testing();
}


# If the user is root, apt uses another user for downloads, so that the
# credentials are required.

sub with_apt {
    found($_) or return for qw( apt-get dpkg-deb );

    my $deb = "$SECRET/apt/demo_1.0_all.deb";
    make_path(map { $t->path("apt/$_") }
              qw( deb/DEBIAN state/lists/partial cache/archives/partial ));

    my $control = "Package: demo\nVersion: 1.0\nArchitecture: all\n"
                  . "Maintainer: n <n\@localhost>\nDescription: $SECRET\n";
    $t->write_file('apt/deb/DEBIAN/control', $control);
    is(system('dpkg-deb --root-owner-group --build ' . $t->path('apt/deb')
              . ' ' . $t->path("www/$deb") . ' >/dev/null'), 0, 'a package');

    file('apt/Packages', $control . 'Size: ' . (-s $t->path("www/$deb"))
                         . "\nFilename: ./demo_1.0_all.deb\nSHA256: "
                         . Digest::SHA->new(256)->addfile($t->path("www/$deb"))
                                      ->hexdigest() . "\n");
    $t->write_file('apt/status', '');
    $t->write_file('apt/list', "deb [trusted=yes] $SITE/$SECRET/apt ./\n");

    my %conf = (
        'Dir::Etc::main' => '/dev/null', 'Dir::Etc::parts' => '/dev/null',
        'Dir::Etc::sourceparts' => '/dev/null',
        'Dir::Etc::sourcelist' => $t->path('apt/list'),
        'Dir::State' => $t->path('apt/state'),
        'Dir::State::status' => $t->path('apt/status'),
        'Dir::Cache' => $t->path('apt/cache'),
        'Acquire::Languages' => 'none', 'Acquire::Retries' => 0,
    );

    my $conf = join '', map { "$_ \"$conf{$_}\";\n" } sort keys %conf;
    my %apt = (APT_CONFIG => $t->write_file('apt/conf', $conf));
    my $user = $> ? 0 : getpwnam '_apt';

    chown $user, 0, map { $t->path("apt/$_/partial") }
                    qw( state/lists cache/archives ) if $user;

    untrusted('apt', 'apt-get', '-o', 'APT::Update::Error-Mode=any', 'update',
              { env => \%apt });

    $t->write_file('apt/conf', $conf . "Acquire::https::CAInfo \"$ca\";\n");

    my $r = atls_run('apt-get', 'update', { env => \%apt });
    is($r->{code}, 0, 'update') or diag($r->{out}, $r->{err});
    unlike($r->{err}, qr/unsandboxed/, 'by another user');
    $r = atls_run('apt-get', 'install', '-y', '--download-only', 'demo',
                  { env => \%apt });
    is($r->{code}, 0, 'download') or diag($r->{out}, $r->{err});
    is(-s $t->path('apt/cache/archives/demo_1.0_all.deb'),
       -s $t->path("www/$deb"), 'its file');

    done_testing();
}


# A page with a script that loads something else.  Chromium ignores the
# credentials of the proxy.

sub with_chromium {
    my $chromium = find_program('chromium-headless-shell', 'chromium');
    my $db = "sql:$env{HOME}/.pki/nssdb";

    ok($chromium, 'Chromium is installed') or return;
    found('certutil') or return;

    file('chromium', "$SECRET for a script");
    my $url = file('chromium.html', <<'EOP');
<body>nothing<script>
fetch("chromium").then(r => r.text()).then(t => document.body.textContent = t);
</script></body>
EOP

    my @command = ($chromium, '--headless', '--disable-gpu',
                   $> ? () : '--no-sandbox',
                   '--user-data-dir=' . $t->path('chromium'),
                   '--virtual-time-budget=60000', '--dump-dom', $url);

    my $before = () = inner_log();
    my $r = atls_run(@command);
    unlike($r->{out}, qr/\Q$SECRET\E for/, 'without the CA');
    is(scalar(() = inner_log()), $before, 'no request');

    make_path("$env{HOME}/.pki/nssdb");
    is(system(qw( certutil -N --empty-password -d ), $db), 0, 'a trust store');
    is(system('certutil', '-A', '-t', 'C,,', '-n', 'ca', '-i', $ca, '-d', $db),
       0, 'the CA');

    $r = atls_run(@command);
    like($r->{out}, qr/<body>\Q$SECRET\E for a script<\/body>/, 'a page')
        or diag($r->{err});

    done_testing();
}


# What the service and the middlebox have seen.

sub seen {
    my @inner = inner_log();

    cmp_ok(scalar @inner, '>', 15, 'requests');
    is(join("\n", grep { !/^on / } @inner), '', 'all of them used ATLS');

    SKIP: {
        skip 'no mitmproxy', 3 unless $mitm;

        my $all = $mitm->everything();

        like($all, qr{^POST /\.well-known/atls HTTP/}m, 'POSTs');
        unlike($all, qr{^(?!POST)[A-Z]+ \S+ HTTP/}m, 'nothing else');
        unlike($all, qr/\Q$SECRET\E/, 'nothing of their contents');
    }

    done_testing();
}
