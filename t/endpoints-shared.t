#!/usr/bin/perl

# atls_endpoint: endpoints with the same name share their sessions.  A session
# continues at another address, port, server or location, over another protocol,
# and its requests are served by the endpoint where it was created.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::OuterCurl;
use Test::Atls::Stock;

my $RECORD = "\x17\x03\x03\x00\x20" . 'x' x 32;

my $t = Test::Atls->new(workers => 4, client => { keepalive => 0 });

my $h2 = $t->has_option('http_v2_module');
my $h3 = $t->has_option('http_v3_module')
         && Test::Atls::OuterCurl::has_http3();

my $CONF = http_conf(<<'EOC');
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%
atls_cookie atls path=/;

# if the end of an HTTP/3 connection is lost, a worker waits for it

keepalive_timeout 5s;

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen [::1]:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%% ssl;
    %%LISTEN%%
    server_name localhost;

    location /a {
        atls on;
        atls_endpoint mobile;
        return 200 "a $server_name $http_host\n";
    }

    location = /b {
        atls on;
        atls_endpoint mobile;
        return 200 "b\n";
    }

    location /nested {
        atls_endpoint %%NAME%%;

        location ~ /x$ {
            atls on;
            limit_except GET { allow all; }
            return 200 "nested\n";
        }
    }

    location /routed {
        atls on;
        atls_endpoint mobile;
        atls_session_tracking both;
    }

    location /alone { atls on; return 200 "alone\n"; }
    location /named { atls on; %%ADDED%% return 200 "named\n"; }
    location /verify { atls on; atls_endpoint mobile; %%VERIFY%% }

    location "/r w/" {
        atls on;
        atls_endpoint mobile;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_5%%;
    }

    location ~ raw {
        atls on;
        atls_endpoint mobile;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_5%%;
    }

    location / {
        return 200 "localhost $uri $host $scheme\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name named.example;
    location / { return 200 "named\n"; }
}

server {
    listen 127.0.0.1:%%PORT_3%%;
    listen 127.0.0.1:%%PORT_4%% ssl;
    server_name elsewhere.example;

    location /a { atls on; atls_endpoint mobile; return 200 "other a\n"; }
    location /c { atls on; atls_endpoint other; return 200 "c\n"; }
    location /alone { atls on; return 200 "other alone\n"; }

    location ^~ /d/ {
        atls on;
        atls_endpoint mobile;
        atls_session_tracking both;
        client_max_body_size 4k;
    }

    %%ADDED_3%%
    location / { return 200 "elsewhere\n"; }
}

server {
    listen 127.0.0.1:%%PORT_3%%;
    server_name named.example localhost;
    location / { return 200 "another\n"; }
}

%%ADDED_SERVER%%
EOC

# the ways to continue; the first one is the way to the session's endpoint

my @WAYS = (
    [ 'its location', uri => '/a' ],
    [ 'IPv6', uri => '/a', host => '::1' ],
    [ 'TLS', uri => '/a', port => $t->port(1), tls => 1 ],
    $h2 ? [ 'HTTP/2', uri => '/a', port => $t->port(2), outer => 'h2' ] : (),
    $h3 ? [ 'HTTP/3', uri => '/a', port => $t->port(1), tls => 1,
            outer => 'h3' ] : (),
    [ 'another location', uri => '/b', keepalive => 1 ],
    [ 'a block of a nested location, over TLS', uri => '/nested/x',
      port => $t->port(1), tls => 1 ],
    [ 'another server', elsewhere('/a'), outer => 'http10' ],
    [ 'another server and location, over TLS', elsewhere('/d/'),
      port => $t->port(4), tls => 1, outer => 'http11-chunked' ],
);

configure();
$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(5));

ways('TLSv1.3');
ways('TLSv1.2');
refused();
routed();
split_requests();
uris();
raw();
resumed();
reloads();
stock();

$t->done_testing();


sub configure {
    my %values = (NAME => 'mobile', @_);

    my $listen = ($h2 ? 'listen 127.0.0.1:%%PORT_2%% http2;' : '')
                 . ($h3 ? 'listen 127.0.0.1:%%PORT_1%% quic reuseport;' : '');

    my $conf = $CONF =~ s/%%LISTEN%%/$listen/r;

    $conf =~ s/%%NAME%%/$values{NAME}/;
    $conf =~ s/%%VERIFY%%/$values{VERIFY} || ''/e;

    my $name = $values{ADDED} ? 'atls_endpoint mobile;' : '';
    my $added = "location /added { atls on; $name return 200 added; }";

    $conf =~ s/%%ADDED%%/$name/;
    $conf =~ s/%%ADDED_3%%/$name ? $added : ''/e;
    $conf =~ s/%%ADDED_SERVER%%/$name ? "server {
        listen 127.0.0.1:%%PORT_6%%;
        $added
    }" : ''/e;
    $conf =~ s/location \/a/location $values{A}/ if $values{A};

    $t->write_conf($conf);
}


# The arguments for another server.

sub elsewhere {
    my ($uri) = @_;

    return (uri => $uri, port => $t->port(3),
            host_header => 'elsewhere.example');
}


sub move {
    my ($c, %args) = @_;

    $c->move(port => $t->port(0), %args);

    return $c;
}


# The inner response, or the type of the problem.

sub served {
    my ($c, $uri, %headers) = @_;

    my $r = $c->get($uri || '/', %headers);

    return $r->body() =~ s/\n//r if $r;
    return type($c->last_response());
}


sub type {
    my ($r) = @_;

    my $problem = eval { decode_json($r->body()) } || {};

    return ($problem->{type} || $r->status()) =~ s/^tag:atls,2026://r;
}


# A POST that is no part of the session: whether it would be taken.

sub tried {
    my ($c, %args) = @_;

    move($c, %args);

    local $c->{cookies} = { %{$c->{cookies}} };

    return type($c->post($RECORD));
}


# Each flight and each request takes another way.

sub ways {
    my ($protocol) = @_;

    for my $n (0 .. $#WAYS) {
        my $c = $t->client(uri => '/a', protocol => $protocol);
        my ($cookie, %seen);

        move($c, uri => '/a');
        $c->{done} = $c->handshake_step();
        ok($c->exchange($c->tls_out()), "$protocol: the first flight");

        for my $way (@WAYS[map { ($n + $_) % @WAYS } 0 .. $#WAYS], $WAYS[0]) {
            my ($name, %args) = @$way;

            move($c, %args);

            if (!$c->{done}) {
                $c->{done} = $c->handshake_step();
                ok($c->exchange($c->tls_out()), "$protocol: a flight at $name")
                    or diag($c->error());
                $c->read_plain();
            }

            is(served($c), 'a localhost localhost',
               "$protocol: a request at $name");

            $cookie ||= $c->cookie();
            is($c->cookie(), $cookie, "$protocol: the same session");
        }
    }
}


sub refused {
    my $mobile = $t->established(uri => '/a');
    my $alone = $t->established(uri => '/alone');
    my $other = $t->established(elsewhere('/c'));

    for my $case (
        [ 'a location without a name', $mobile, uri => '/alone' ],
        [ 'another name', $mobile, elsewhere('/c') ],
        [ 'a session without a name', $alone, uri => '/a' ],
        [ 'two without a name', $alone, elsewhere('/alone') ],
        [ 'a session of another name', $other, uri => '/a' ],
    )
    {
        my ($name, $c, @args) = @$case;

        is(tried($c, @args), 'session-elsewhere', "$name: refused");
    }

    move($mobile, uri => '/a');
    is(served($mobile), 'a localhost localhost', 'sessions go on');
    move($alone, uri => '/alone');
    is(served($alone), 'alone', 'without a name, too');

    # limits of the outer request are those of the location that gets it

    my $c = move($mobile, elsewhere('/d/'));

    is(served($c, '/' . 'x' x 5000), '413', 'a limit of the other location');
}


# Requests are routed as at the endpoint of the session: no one on the path can
# choose another server.

sub routed {
    my @d = elsewhere('/d/');
    my $c = $t->established(uri => '/routed');

    is(served($c, '/x'), 'localhost /x localhost https', 'routed');
    move($c, @d);
    is(served($c, '/x'), 'localhost /x localhost https',
       'routed, at another server');
    is(served($c, '/x', Host => 'elsewhere.example'),
       'localhost /x elsewhere.example https',
       'routed, the name of that server');
    is($c->get('/', Host => 'named.example')->status(), 421,
       'routed, a server other than the requested one');

    $c = $t->established(uri => '/routed', sni => '');
    move($c, @d);
    is(served($c, '/', Host => 'named.example'), 'named',
       'routed, no server was requested');

    $c = $t->established(uri => '/routed', sni => 'named.example');
    move($c, @d);
    is(served($c, '/', Host => 'named.example'), 'named',
       'routed, a server was requested');
    is($c->get('/', Host => 'localhost')->status(), 421,
       'routed, another one');

    # on another address of its server, the name is not that of a server

    my @elsewhere = (uri => '/routed', port => $t->port(1), tls => 1);

    move($c, @elsewhere);
    is($c->get('/', Host => 'named.example')->status(), 421,
       'routed, a requested server that does not have the address');
    ok($c->closed(), 'routed, the end of the session');

    $c = $t->client(uri => '/routed', sni => 'named.example');
    move($c, @elsewhere);
    ok($c->handshake(), 'routed, a name without a server');
    is(served($c, '/', Host => 'named.example'), 'localhost / named.example'
       . ' https', 'routed, a request for it');
    move($c, uri => '/routed');
    is($c->get('/', Host => 'named.example')->status(), 421,
       'routed, an address where there is one');

    # the other way: its server has the names of the first one, but others

    $c = $t->established(@d, sni => 'named.example');
    is(served($c, '/', Host => 'named.example'), 'another',
       'routed, of the other server');
    move($c, uri => '/routed');
    is(served($c, '/', Host => 'named.example'), 'another',
       'routed, of the other server, at the first one');

    my $message = 'atls session of location "/d/" in server "elsewhere.example"'
                  . ' continued at another endpoint';

    ok($t->read_log('error.log') =~ /\[info\].*$message/, 'this is logged');
}


# A request that begins here and ends there; four workers.

sub split_requests {
    for my $n (1 .. 8) {
        my $c = $t->established(uri => '/a');

        is($c->request("GET / HTTP/1.1\r\nHost: lo"), '',
           'the beginning of a request');

        move($c, elsewhere('/d/'));
        like($c->request("calhost\r\n\r\n"), qr/\na localhost localhost\n$/,
             'the end of it at another server');
    }
}


# URIs of sessions: a client replaces the prefix.

sub uris {
    my $c = $t->client(uri => '/routed', cookies => { });

    ok($c->handshake(), 'URI: a session');

    my ($id) = $c->location() =~ m!^/routed/([\w-]{24})$!;

    $c->{cookies} = { };
    move($c, elsewhere("/d/$id"));
    is(served($c, '/x'), 'localhost /x localhost https',
       'URI: at another endpoint');
    is($c->last_response()->status(), 200, 'URI: it is the same session');

    $c->{cookies} = { };
    is(tried($c, uri => '/a'), 'no-cookie', 'URI: a location without URIs');
}


# The URI and the host are not authenticated; that of another endpoint is not
# one of the session's.

sub raw {
    for my $case ([ '/r%20w/', '/r%20w/' ], [ '/x/raw', '/' ]) {
        my ($uri, $expected) = @$case;
        my $c = $t->established(uri => $uri);

        $backend->forget();
        $c->request('payload');
        move($c, elsewhere('/a?b=c'));
        $c->request('payload');

        is(join(' ', map { $_->{uri} } $backend->requests()),
           "$uri $expected?b=c", "raw, $uri: URIs");
    }
}


# Tickets are valid at other endpoints, with or without a name.

sub resumed {
    for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
        my $first = $t->established(uri => '/a', protocol => $protocol);

        is(served($first), 'a localhost localhost', "$protocol: a ticket");
        move($first, uri => '/b');
        served($first);

        my $c = $t->established(elsewhere('/a'), protocol => $protocol,
                                session => $first->session());

        ok($c->reused(), "$protocol: resumed at another endpoint");
        is(served($c), 'other a', "$protocol: whose session it is");
    }
}


sub reloads {
    my $c = $t->established(uri => '/a');
    my $nested = $t->established(uri => '/nested/x');

    is(served(move($c, uri => '/nested/x')), 'a localhost localhost',
       'before a reload');

    configure(NAME => 'renamed');
    ok($t->reload(), 'a reload with another name');
    is(tried($c, uri => '/nested/x'), 'session-elsewhere', 'it is refused');
    is(served(move($c, uri => '/a')), 'a localhost localhost', 'and goes on');
    is(served(move($nested, uri => '/nested/x')), 'nested',
       'a session of the renamed endpoint goes on');
    is(tried($nested, uri => '/a'), 'session-elsewhere', 'there only');

    configure();
    ok($t->reload(), 'a reload with the first name');
    is(served(move($c, uri => '/nested/x')), 'a localhost localhost',
       'it is accepted again');

    # requests in progress in a worker that does not know the new endpoints

    my @parked = map { $t->established(uri => '/a') } 1 .. 3;

    $_->request("GET / HTTP/1.1\r\nHost: lo") for @parked;

    configure(ADDED => 1);
    ok($t->reload(), 'a reload with other endpoints');

    for my $where ([ elsewhere('/added') ],
                   [ uri => '/added', port => $t->port(6) ],
                   [ uri => '/named' ])
    {
        my $parked = shift @parked;

        move($parked, @$where);
        like($parked->request("calhost\r\n\r\n"), qr/\na localhost localhost\n$/,
             "a request in progress continues at @$where");
    }

    configure(A => '/moved');
    ok($t->reload(), 'a reload without the endpoint');
    is(tried($c, uri => '/b'), 'session-elsewhere',
       'its sessions are lost with it');
    is(served(move($nested, uri => '/b')), 'nested', 'but not others');
}


# The configuration of Debian.

sub stock {
    my $s = Test::Atls::Stock->new('debian-12', block => <<'EOC');
        listen 127.0.0.1:%%PORT_1%% ssl;
        ssl_certificate %%TESTDIR%%/localhost.crt;
        ssl_certificate_key %%TESTDIR%%/localhost.key;
        atls_certificate %%TESTDIR%%/localhost.crt;
        atls_certificate_key %%TESTDIR%%/localhost.key;

        location /one { atls on; atls_endpoint e; atls_cookie atls path=/; }
        location /two { atls on; atls_endpoint e; atls_cookie atls path=/; }
EOC

    $s->make_cert('localhost', type => 'ec');
    $s->write_file($s->html() . '/file', 'content');
    $s->run();

    my $c = $s->established(uri => '/one');

    is($c->get('/file')->body(), 'content', 'stock: a file');
    $c->move(uri => '/two', port => $s->port(1), tls => 1);
    is($c->get('/file')->body(), 'content', 'stock: at another endpoint');

    $s->finish();
}
