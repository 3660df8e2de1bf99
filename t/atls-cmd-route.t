#!/usr/bin/perl

# The command atls with the module: the route of the outer connection, with
# options as in curl.  Addresses, credentials and headers of proxies and of the
# endpoint, and the rate.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw( encode_base64 );
use Test::More;
use Time::HiRes qw( time );

use Test::Atls::ConnectProxy;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Site;

use constant {
    TLS    => 2,            # ports: TLS outside
    PROXY  => 3,
    DIGEST => 4,
};

my $t = Test::Atls::Site->new();

# "localhost", with the password "sesame"

$t->write_file('users', 'localhost:{PLAIN}sesame' . "\n");
$t->write_file('bytes', pattern(300_000));

$t->serve(<<'EOC', http => conf(), servers => servers(), endpoint => <<'EOC2');
location = /guarded {
    atls on;
    auth_basic outside;
    auth_basic_user_file %%TESTDIR%%/users;
}

location = /bytes {
    alias %%TESTDIR%%/bytes;
}
EOC
access_log %%TESTDIR%%/outer.log outer;
EOC2

my $proxy = Test::Atls::ConnectProxy->start($t, $t->port(PROXY));
my $digest = Test::Atls::ConnectProxy->start($t, $t->port(DIGEST),
                                             scheme => 'Digest');
my $atls = $t->command();
my $site = 'https://localhost';
my $path = '/.well-known/atls';
my @trust = $t->trust();
my $r;

subtest('addresses' => \&addresses);
subtest('addresses of plain HTTPS' => \&addresses_https);
subtest('IP versions' => \&ip_versions);
subtest('requests to the endpoint' => \&endpoint);
subtest('credentials for a proxy' => \&credentials);
subtest('headers for a proxy' => \&proxy_headers);
subtest('hosts without a proxy' => \&no_proxy);
subtest('rate' => \&rate);
subtest('servers' => \&local_servers);
subtest('invalid values' => \&invalid);

$t->done_testing();


sub conf {
    return "log_format outer '[\$http_x_outer] [\$http_authorization]"
           . " [\$http_user_agent] [\$http_host]';\n";
}


sub servers {
    return <<'EOC';
server {
    listen 127.0.0.1:%%PORT_2%% ssl;
    ssl_certificate %%TESTDIR%%/localhost.crt;
    ssl_certificate_key %%TESTDIR%%/localhost.key;

    location = /.well-known/atls {
        atls on;
        keepalive_timeout 0;
        access_log %%TESTDIR%%/outer.log outer;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC
}


# The exit code and the status.

sub result {
    my ($name, $expected, @args) = @_;

    $r = $atls->run(@trust, '-o', 'out', '-w', '%{http_code}', @args);
    like("$r->{code} $r->{out}", qr/^$expected$/, $name) or diag($r->{err});
}


sub addresses {
    my ($port, $tls) = map { $t->port($_) } 0, TLS;
    my $name = 'no-such.invalid';

    result('no address', '6 000', '--via', "http://$name:$port$path", $site);

    result('--resolve', '0 200', '--resolve', "$name:$port:127.0.0.1",
           '--via', "http://$name:$port$path", $site);
    result('--resolve: another port', '6 000', '--resolve',
           "$name:1:127.0.0.1", '--via', "http://$name:$port$path", $site);
    result('--resolve: two hosts', '0 200', '--resolve',
           "x.invalid:$port:127.0.0.1", '--resolve', "$name:$port:127.0.0.1",
           '--via', "http://$name:$port$path", $site);

    $t->write_file('outer.log', '');
    result('--connect-to', '0 200', '--connect-to',
           "$name:80:127.0.0.1:$port", '--via', "http://$name$path", $site);
    logged(qr/\[\Q$name\E\]$/m, 'the name is in Host');

    result('--connect-to: any host', '0 200', '--connect-to',
           "::127.0.0.1:$port", '--via', "http://$name:1$path", $site);

    # the default endpoint, at the host of the URL

    result('of the URL', '0 200', '--connect-to', "localhost:443:localhost:$tls",
           '--resolve', "localhost:$tls:127.0.0.1", $site);

    done_testing();
}


sub addresses_https {
    my $tls = $t->port(TLS);
    my @args = ('--fallback', '-w', '%{http_code} %{atls}', $site);

    result('--connect-to', '0 200 off', '--connect-to',
           "localhost:443:127.0.0.1:$tls", @args);
    result('--resolve', '0 200 off', '--connect-to', "::x.invalid:$tls",
           '--resolve', "x.invalid:$tls:127.0.0.1", @args);
    result('a proxy', '0 200 off', '--connect-to',
           "localhost:443:localhost:$tls", '-x', $proxy->url(),
           '-U', 'me:secret', @args);
    result('a proxy, wrong credentials', '(?:56|7) 000 off', '--connect-to',
           "localhost:443:localhost:$tls", '-x', $proxy->url(),
           '-U', 'me:wrong', @args) if $proxy->log() =~ /^CONNECT/m;

    done_testing();
}


# The server has an IPv4 address only.

sub ip_versions {
    my @via = ('--via', 'http://localhost:' . $t->port(0) . $path);

    result('-4', '0 200', '-4', @via, $site);
    result('--ipv4', '0 200', '--ipv6', '--ipv4', @via, $site);

    $r = $atls->run(@trust, '-6', @via, $site);
    like($r->{code}, qr/^[67]$/, '-6');

    # libcurl 8.23 connects to addresses of the other version

    $r = $atls->run(@trust, '-6', '--via', $t->endpoint(), $site);
    like($r->{code}, qr/^[067]$/, '-6: an IPv4 address');

    done_testing();
}


sub endpoint {
    my $file = $t->write_file('headers', "X-Outer: of a file\n");

    $t->write_file('outer.log', '');
    result('--via-header', '0 200', $t->via(), '--via-header', 'X-Outer: 1',
           "$site/echo");
    logged(qr/^\[1\] \[-\]/m, 'it was sent');
    unlike($t->read_file('out'), qr/X-Outer/i, 'to the endpoint only');

    result('--via-header: a file', '0 200', $t->via(), '--via-header',
           "\@$file", "$site/echo");
    logged(qr/^\[of a file\]/m, 'that of the file');

    result('--via-header: no header', '0 200', $t->via(), '--via-header',
           'User-Agent:', "$site/echo");
    logged(qr/^\[-\] \[-\] \[-\]/m, 'was not sent');

    result('no credentials', '8 000', $t->via('/guarded'), $site);
    like($r->{err}, qr/returned 401/, 'the status');
    result('wrong credentials', '8 000', $t->via('/guarded'), '--via-user',
           'localhost:x', $site);
    result('--via-user', '0 200', $t->via('/guarded'), '--via-user',
           'localhost:sesame', "$site/echo");
    unlike($t->read_file('out'), qr/Authorization/, 'not in the session');

    $r = $atls->run(@trust, $t->via('/guarded'), '--via-user',
                    'localhost:sesame', '-v', $site);
    my $secret = encode_base64('localhost:sesame', '');
    unlike($r->{err}, qr/sesame|\Q$secret\E/, '-v: no secrets');
    like($r->{err}, qr/^outer> Authorization: \[not/m, '-v: the header');

    done_testing();
}


# The log is written when the client may already have gone.

sub logged {
    my ($line, $name) = @_;

    ok($t->wait_for(sub { $t->read_file('outer.log') =~ $line }), $name)
        or diag($t->read_file('outer.log'));
}


# Basic at once; others need a challenge.

sub credentials {
    my $url = 'https://localhost:' . $t->port(TLS) . '/';
    my $basic = qr/^Proxy-Authorization: Basic /m;

    result('none', '97 000', '-x', $proxy->url(), $url);

    for my $args ([ '-x', $proxy->url('me:secret') ],
                  [ '-x', $proxy->url(), '-U', 'me:secret' ],
                  [ '-x', $proxy->url(), '-U', 'me:secret', '--proxy-anyauth',
                    '--proxy-basic' ])
    {
        $proxy->forget();
        result("@$args", '0 200', @$args, $url);
        is(unanswered($proxy->log()), 0, 'no challenge');
        like($proxy->log(), $basic, 'Basic');
    }

    $proxy->forget();
    result('--proxy-anyauth', '0 200', '-x', $proxy->url(), '-U', 'me:secret',
           '--proxy-anyauth', $url);
    is(unanswered($proxy->log()), 1, 'a challenge');

    result('wrong ones', '97 000', '-x', $proxy->url(), '-U', 'me:wrong', $url);

    my @digest = ('-x', $digest->url(), '-U', 'me:secret');

    result('Digest: not by default', '97 000', @digest, $url);
    result('--proxy-digest', '0 200', @digest, '--proxy-digest', $url);
    result('--proxy-anyauth', '0 200', @digest, '--proxy-anyauth', $url);
    like($digest->log(), qr/^Proxy-Authorization: Digest /m, 'Digest');

    $digest->forget();
    result('NTLM', '(?:97|2) 000', @digest, '--proxy-ntlm', $url);
    result('Negotiate', '97 000', @digest, '--proxy-negotiate', $url);
    unlike($digest->log(), $basic, 'no password');

    done_testing();
}


# How often the first request of a connection had no credentials.

sub unanswered {
    my ($log) = @_;

    return scalar grep { !/^Proxy-Authorization/m } split /^(?=CONNECT )/m, $log;
}


sub proxy_headers {
    my $url = 'https://localhost:' . $t->port(TLS) . '/';
    my @args = ('-x', $proxy->url('me:secret'), '--via-header', 'X-Outer: 2',
                '--proxy-header', 'X-Proxy: 1');

    $proxy->forget();
    $t->write_file('outer.log', '');
    result('--proxy-header', '0 200', @args, $url);
    like($proxy->log(), qr/^X-Proxy: 1\r$/m, 'the proxy received it');
    unlike($proxy->log(), qr/^X-Outer/m, 'not that of the endpoint');
    logged(qr/^\[2\]/m, 'which received its own');

    done_testing();
}


sub no_proxy {
    my $url = 'https://localhost:' . $t->port(TLS) . '/';
    my @bad = ('-x', 'http://no-such.invalid');

    result('a proxy that does not exist', '5 000', @bad, $url);
    result("--noproxy $_", '0 200', @bad, '--noproxy', $_, $url)
        for '*', 'localhost', 'example.com,localhost';
    result('--noproxy: others', '5 000', @bad, '--noproxy', 'example.com',
           $url);

    $r = $atls->run(@trust, '--noproxy', 'localhost', $url,
                    { env => { https_proxy => 'http://no-such.invalid' } });
    is($r->{code}, 0, 'one of the environment');

    done_testing();
}


# It takes a while; there is no upper limit.

sub rate {
    my $bytes = pattern(300_000);

    for my $case ([ 'a response', [ "$site/bytes" ] ],
                  [ 'a request', [ '--data-binary', "\@$t->{dir}/bytes",
                                   "$site/echo" ] ])
    {
        my ($name, $args) = @$case;
        my $began = time;

        result($name, '0 200', $t->via(), '--limit-rate', '100k', @$args);
        cmp_ok(time - $began, '>', 0.9, 'takes its time');
    }

    $atls->run(@trust, $t->via(), '--limit-rate', '1M', '-o', 'out',
               "$site/bytes");
    is($t->read_file('out'), $bytes, 'nothing is lost');
    result("--limit-rate $_", '0 200', $t->via(), '--limit-rate', $_, $site)
        for qw( 0 5000000b 5000k 1g 1T 1P );

    done_testing();
}


# They have the same options.

sub local_servers {
    my $port = $t->port(0);
    my @way = ("http://no-such.invalid:$port$path",
               '--resolve', "no-such.invalid:$port:127.0.0.1",
               '--via-header', 'X-Outer: 3');

    for my $command (qw( forward tunnel )) {
        $t->write_file('outer.log', '');

        my $server = $t->$command(@way);
        my $url = $command eq 'forward' ? "http://127.0.0.1:" : $site . ':';
        my @curl = ('curl', '-s', '--cacert', $t->path('ca.crt'), '--resolve',
                    'localhost:' . $server->port() . ':127.0.0.1',
                    $url . $server->port() . '/echo');

        like(`@curl`, qr!^GET /echo HTTP!, $command);
        logged(qr/^\[3\]/m, 'the header was sent');
        is($server->stop()->{code}, 0, 'exit status');
    }

    done_testing();
}


sub invalid {
    my @cases = (
        [ 'invalid number of bytes', '--limit-rate', 'x' ],
        [ 'invalid number of bytes', '--limit-rate', '' ],
        [ 'invalid number of bytes', '--limit-rate', '-1' ],
        [ 'invalid number of bytes', '--limit-rate', '10kk' ],
        [ 'invalid number of bytes', '--limit-rate', '1.5M' ],
        [ 'invalid number of bytes', '--limit-rate', '9999999P' ],
        [ '--proxy-user must be NAME', '-U', 'name' ],
        [ '--via-user must be NAME', '--via-user', 'name' ],
        [ 'invalid header', '--via-header', 'none' ],
        [ 'invalid header', '--via-header', "A: b\r\nC: d" ],
        [ 'invalid header', '--proxy-header', 'a b: c' ],
    );

    for (@cases) {
        my ($text, @args) = @$_;

        $r = $t->atls(@args, $site);
        is("$r->{code} $r->{out}", '2 ', join ' ', map { s/\s/ /gr } @args);
        like($r->{err}, qr/\Aatls: \(2\) [^\n]*$text[^\n]*\n\z/, 'why');
    }

    is($t->atls(@$_, $site)->{code}, 49, "@$_")
        for [ '--resolve', 'localhost' ], [ '--connect-to', '::a:b' ];
    is($t->atls('--via-header', '@/nonexistent', $site)->{code}, 26, 'no file');

    done_testing();
}
