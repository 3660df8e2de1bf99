#!/usr/bin/perl

# The command, and thereby libatls, with atls_session_tracking: it follows the
# Location of the first response, and nothing else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls::Middlebox;
use Test::Atls::Site;

my $t = Test::Atls::Site->new();
my $port = $t->port(0);

my ($listen_h2, $http2) = $t->http2();

$t->serve(<<'EOC', http => <<'EOC', servers => <<"EOC");
location /located {
    atls on;
    atls_session_tracking location;
    keepalive_timeout 0;
    access_log %%TESTDIR%%/posts.log posts;
}

location /nowhere {
    return 404;
}

location /slash/ {
    atls on;
    atls_session_tracking location;
    access_log %%TESTDIR%%/posts.log posts;
}

location /both {
    atls on;
    atls_session_tracking both;
    access_log %%TESTDIR%%/posts.log posts;
}
EOC
log_format posts '$request_uri $status "$http_cookie" $atls_post_session';
EOC
server {
    listen 127.0.0.1:%%PORT_2%% ssl $listen_h2;
    $http2
    %%SSL_CERTIFICATE_localhost%%

    location /located {
        atls on;
        atls_session_tracking location;
        access_log %%TESTDIR%%/posts.log posts;
    }

    location / {
        return 200 "exactly\\n";
    }
}
EOC

# what it does, and the prefix of Location

my %WHAT = (
    'nothing'     => 'nothing',
    'no-location' => 'no-location',
    'no-path'     => 'no-path',
    'nowhere'     => 'location=/nowhere/',
    'service'     => 'location=/service/',
    'host'        => 'location=http://other.test/located/',
    'name'        => "location=http://localhost:@{[ $t->port(34) ]}/located/",
    'scheme'      => "location=https://127.0.0.1:@{[ $t->port(20) ]}/located/",
    'port'        => "location=http://127.0.0.1:$port/located/",
    'file'        => 'location=file:///etc/',
    'invalid'     => 'location=http://[/',
    'relative'    => 'location=located/',
    'absolute'    => "location=http://127.0.0.1:@{[ $t->port(29) ]}/located/",
    'user'        => "location=http://user:pass\@127.0.0.1:@{[ $t->port(30) ]}"
                     . '/located/',
    'query'       => 'location=/located/?a=b/../',
);

my @what = map { $WHAT{$_} } qw( scheme nothing no-location no-path nowhere host
                                 port file invalid absolute user relative
                                 query service name );
my $m = Test::Atls::Middlebox->start($t, 'meddler', to => $port, first => 20,
                                     what => \@what);

# the numbers of their ports are used above

is(join(' ', map { $m->endpoint($WHAT{$_}) =~ /:(\d+)/ } qw( scheme absolute
                                                             user name )),
   join(' ', map { $t->port($_) } 20, 29, 30, 34), 'ports of middleboxes');

requests();
hidden();
forwarding();
tunnel();
meddled();
doctor();

$t->done_testing();


# Returns the POSTs that were logged since the last call.

sub posts {
    my @all = map { { uri => (split ' ')[0], status => (split ' ')[1],
                      cookie => (/"(.*)"/)[0], session => (split ' ')[-1] } }
              split /\n/, $t->read_log('posts.log');
    my $n = $t->{seen} || 0;

    $t->{seen} = @all;

    return @all[$n .. $#all];
}


sub url { 'https://localhost' . ($_[0] || '/exact') }


sub requests {
    for my $path ('/located', '/located/', '/located?a=b', '/slash/', '/both') {
        my $r = $t->atls($path, url(), url('/echo'));

        is($r->{code}, 0, "$path: requests") or diag($r->{err});
        like($r->{out}, qr/^exactly\nGET \/echo/, "$path: responses");

        my ($first, @later) = posts();
        my ($prefix) = $path =~ m!^(/\w+)!;

        is("$first->{uri} $first->{status}", "$path 201", "$path: first POST");
        cmp_ok(scalar @later, '>', 2, "$path: and others");
        is(scalar(grep { $_->{uri} !~ m!^$prefix/[\w-]{24}$! } @later), 0,
           "$path: to the URI of the session");
        is(scalar(grep { $_->{status} != 200 } @later), 0, "$path: with 200");

        my %sessions = map { $_->{session} => 1 } $first, @later;
        is(scalar keys %sessions, 1, "$path: in one session");

        is(join(' ', map { $_->{cookie} =~ /^atls=/ ? 'cookie' : '-' } @later),
           join(' ', ($path eq '/both' ? 'cookie' : '-') x @later),
           "$path: cookies");
    }

    # a session that ended

    my $r = $t->atls('/located', '-H', 'Connection: close', url(), url());
    is($r->{out}, "exactly\nexactly\n", 'two sessions') or diag($r->{err});

    my @first = grep { $_->{status} == 201 } posts();
    is(join(' ', map { $_->{uri} } @first), '/located /located',
       'each starts at the endpoint');

    # resumption

    my $file = $t->path('session');
    for my $n (1, 2) {
        $r = $t->atls('/located', '--session-file', $file, '-w',
                      '%{atls_resumed}', url());
        is($r->{code}, 0, "resumption $n") or diag($r->{err});
    }
}


# The identifier is not shown, as cookies are not.

sub hidden {
    for my $path ('/located', '/both') {
        my $r = $t->atls($path, '-v', url(), url('/echo'));
        my ($id) = map { m!/([\w-]{24})$! } map { $_->{uri} } posts();

        like($r->{err}, qr!^outer> POST $path/\*{24} HTTP!m,
             "$path: -v has asterisks");
        like($r->{err}, qr!^outer< Location: \[not shown\]!mi,
             "$path: and no Location");
        unlike($r->{err}, qr/\Q$id\E/, "$path: the id is not shown");
    }

    # HTTP/2, if nginx has it

    my $r = $t->command()->run('--via', 'https://localhost:' . $t->port(2)
                                        . '/located',
                               $t->trust(), '-v', url());
    my ($id) = map { m!/([\w-]{24})$! } map { $_->{uri} } posts();

    is($r->{out}, "exactly\n", 'HTTP/2: a request') or diag($r->{err});
    unlike($r->{err}, qr/\Q$id\E/, 'HTTP/2: the id is not shown');
}


sub forwarding {
    my $f = $t->forward('/located');
    my ($threads) = $f->at_rest();

    # afterwards, the session can be used again

    for (1 .. 5) {
        is($f->ask('GET /exact')->body(), "exactly\n", 'forward: a request');
        $f->at_rest($threads);
    }

    my %ids = map { ($_->{uri} =~ m!/([\w-]{24})$!)[0] || '-' => 1 } posts();
    is(scalar keys %ids, 2, 'forward: all of them in one session');

    $f->stop();
    posts();
}


# The TLS client has its own session.

sub tunnel {
    my $tunnel = $t->tunnel('/located');
    my $port = $tunnel->port();
    my $out = `curl -sS --noproxy '*' --cacert @{[ $t->path('ca.crt') ]} \\
               --connect-to localhost:443:127.0.0.1:$port \\
               https://localhost/exact https://localhost/echo 2>&1`;

    like($out, qr/^exactly\nGET \/echo/, 'tunnel: requests');

    my ($first, @later) = posts();
    is("$first->{uri} $first->{status}", '/located 201', 'tunnel: first POST');
    is(scalar(grep { $_->{uri} !~ m!^/located/[\w-]{24}$! } @later), 0,
       'tunnel: to the URI of the session');

    $tunnel->stop();
    posts();
}


# A Location of another origin is not followed.

sub meddled {
    my $run = sub {
        my ($name, $path) = @_;

        return $t->command()->run('--via', $m->endpoint($WHAT{$name},
                                                        $path || '/located'),
                                  $t->trust(), url());
    };

    for my $name (qw( host name scheme port file invalid )) {
        my $r = $run->($name);
        my ($prefix) = $WHAT{$name} =~ /=(.*)/;

        is($r->{code}, 8, "$name: refused") or diag($r->{err});
        like($r->{err}, qr/returned 201 with Location \Q$prefix\E/,
             "$name: is named");
        is(scalar(grep { $_->{status} != 201 } posts()), 0,
           "$name: there is no other POST");
    }

    for my $name (qw( nothing absolute user relative )) {
        my $r = $run->($name);

        is("$r->{code} $r->{out}", "0 exactly\n", "$name: followed")
            or diag($r->{err});
        posts();
    }

    # the endpoint is not there, or the path does not get there

    for my $name (qw( nowhere service no-location no-path query )) {
        my $r = $run->($name);

        is($r->{code}, 56, "$name: fails") or diag($r->{err});
        like($r->{err}, qr/the path of the session, in Location/,
             "$name: and why");
        like($r->{err}, qr/proxy_redirect/, "$name: advice");
    }

    # with a cookie, some of them do no harm

    for my $name (qw( nothing no-location no-path )) {
        my $r = $run->($name, '/both');

        is("$r->{code} $r->{out}", "0 exactly\n", "both, $name: works")
            or diag($r->{err});
    }

    my $r = $t->command()->run('--via', $m->endpoint('nothing', '/nowhere'),
                               $t->trust(), url());
    unlike($r->{err}, qr/path of the session/, 'no endpoint at all');
}


sub doctor {
    my $run = sub {
        my ($name, $path) = @_;
        my $r = $t->command()->run('doctor', '--json', '--wait', 0, $t->trust(),
                                   '--via', $m->endpoint($WHAT{$name}, $path),
                                   'https://localhost/echo');

        return { %{decode_json($r->{out})}, exit => $r->{code},
                 err => $r->{err} };
    };
    my $checks = sub {
        return join ' ', map { "$_->{check}=" . ($_->{fault} || $_->{result}) }
                         grep { $_->{check} =~ /^(?:cookie|location)$/ }
                         @{$_[0]{checks}};
    };

    for my $case ([ 'nothing', '/located', 0, 'location=ok' ],
                  [ 'nothing', '/both', 0, 'location=ok' ],
                  [ 'nothing', '/.well-known/atls', 0, 'cookie=ok' ],
                  [ 'no-location', '/located', 8, 'location=location' ],
                  [ 'no-location', '/both', 0, 'cookie=ok' ],
                  [ 'no-path', '/located', 8, 'location=location' ],
                  [ 'nowhere', '/located', 8, 'location=location' ],
                  [ 'service', '/located', 8, 'location=location' ])
    {
        my ($name, $path, $code, $expected) = @$case;
        my $r = $run->($name, $path);

        is("$r->{exit} " . $checks->($r), "$code $expected",
           "doctor: $name, $path");
    }
}
