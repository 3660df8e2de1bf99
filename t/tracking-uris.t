#!/usr/bin/perl

# URIs of sessions: which of them name a session, in which locations they can be
# used, and what nginx does with URIs before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;

my $ENDPOINT = '/.well-known/atls';
my $RECORD = "\x17\x03\x03\x00\x20" . 'x' x 32;

my $t = Test::Atls->new(client => { keepalive => 0 });

$t->write_http(<<"EOC");
%%CERTIFICATE%%
atls_session_tracking location;
merge_slashes off;

server {
    listen 127.0.0.1:%%PORT_0%%;
    absolute_redirect on;
    port_in_redirect on;

    rewrite ^/old(/.*)?\$ $ENDPOINT\$1 last;

    location $ENDPOINT {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%/inner;
        rewrite ^ /changed break;
    }

    location "/a b%/\xc3\xa4" {
        atls on;
        return 200 inner;
    }

    # an expression would take precedence

    location ^~ /hidden/.atls/ {
        atls on;
        return 200 inner;
    }

    location ~ ^/hidden/ {
        return 403;
    }

    location /nest {
        atls on;
        return 200 outer;

        location /nest/in {
            atls on;
            return 200 inner;
        }

        location = /nest/exact {
            atls on;
            atls_session_tracking cookie;
            return 200 exact;
        }
    }

    location /around/ {
        location /around/atls/ {
            atls on;
            if (\$arg_block) {
                return 200 inner;
            }
            return 200 inner;
        }
    }

    location /limited {
        atls on;
        return 200 inner;
        limit_except GET {
            allow all;
        }
    }

    location /failed {
        error_page 403 = $ENDPOINT;
        deny all;
    }

    location /internal {
        internal;
        atls on;
        return 200 inner;
    }

    location /proxied/ {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;
    access_log %%TESTDIR%%/backend.log combined;
    return 200 inner;
}

server {
    listen 127.0.0.1:%%PORT_2%%;

    location / {
        atls on;
        return 200 inner;
    }
}
EOC

$t->run();

names();
escaped();
found();
nested();
rewritten();
root();
backend();
conf($_) for qw( location both );

$t->done_testing();


sub type {
    my ($r) = @_;

    my $problem = eval { decode_json($r->body()) } || {};

    return ($problem->{type} || 'none') =~ s/^tag:atls,2026://r;
}


sub location { $_[0]->location() || '' }


# A request with the URI in the POST replaced.

sub answer {
    my ($c, $uri) = @_;

    local $c->{http}{uri} = $uri;

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    my $r = $c->post($c->tls_out());

    return 'nothing' unless $r;
    return $r->status() unless $r->status() == 200;

    $c->tls_in($r->body());

    return $c->read_plain() =~ /\r\n\r\n(\w+)$/ ? $1 : 'no answer';
}


# Other ways to write the URI of the same session, and URIs of none.

sub names {
    my $c = $t->established();
    my ($id) = location($c) =~ m!/([^/]+)$!;
    my $escaped = join '', map { sprintf '%%%02x', ord } split //, $id;

    for my $uri ("$ENDPOINT/$id", "$ENDPOINT/$id?a=b&c=/$id", "$ENDPOINT/$id?",
                 "$ENDPOINT/$id#x", "$ENDPOINT/$escaped",
                 $ENDPOINT =~ s/atls/%61%74ls/r . "%2f$id",
                 "/x/../.well-known/./atls/y/../$id",
                 "http://localhost$ENDPOINT/$id")
    {
        is(answer($c, $uri), 'inner', $uri =~ s/\Q$id\E|\Q$escaped\E/ID/gr);
    }

    my $other = $id =~ tr/a-zA-Z/A-Za-z/r;

    for my $uri ("$ENDPOINT/$id/", "$ENDPOINT/$id/x", "$ENDPOINT/x/$id",
                 "$ENDPOINT//$id", "$ENDPOINT$id", "${ENDPOINT}x/$id",
                 "$ENDPOINT/$other", "$ENDPOINT/" . substr($id, 1),
                 "$ENDPOINT/${id}A", "$ENDPOINT/$id=", "$ENDPOINT/$id%01",
                 "$ENDPOINT/$id%20", "$ENDPOINT/%20$id", "$ENDPOINT/;$id",
                 "$ENDPOINT-$id", "$ENDPOINT/" . 'x' x 4000)
    {
        my $name = substr $uri =~ s/\Q$id\E/ID/r, 0, 40;
        my $r = $t->client(uri => $uri)->post($RECORD);

        is($r->status(), 410, "$name: 410");
        like(type($r), qr/^session-/, "$name: no session");

        $r = $t->client(uri => $uri)->post('');
        is($r->status(), 410, "$name: an empty POST");
    }

    # the same as an endpoint: a ClientHello begins a session

    for my $uri ("$ENDPOINT/x/y", "${ENDPOINT}x", "$ENDPOINT//") {
        $c = $t->client(uri => $uri);
        ok($c->handshake(), "$uri: a ClientHello") or diag($c->error());
        like(location($c), qr!^\Q$ENDPOINT\E/[\w-]{24}$!, "$uri: Location");
        is($c->get('/')->body(), 'inner', "$uri: a request");
    }
}


# A location whose name must be escaped.

sub escaped {
    my $c = $t->client(uri => '/a%20b%25/%c3%a4');

    ok($c->handshake(), 'escaped: handshake') or diag($c->error());
    like(location($c), qr!^/a%20b%25/%C3%A4/[\w-]{24}$!i, 'escaped: Location');
    is($c->get('/')->body(), 'inner', 'escaped: a request');
}


# A common expression against hidden files.

sub found {
    my $c = $t->established(uri => '/hidden/.atls/');

    is($c->get('/')->body(), 'inner', '"^~" precedes expressions');
    is($t->client(uri => '/hidden/.other/')->post('')->status(), 403,
       'which otherwise apply');
}


sub nested {
    my $outer = $t->established(uri => '/nest');
    my $inner = $t->established(uri => '/nest/in');
    my $exact = $t->established(uri => '/nest/exact');

    like(location($outer), qr!^/nest/[\w-]{24}$!, 'the outer one');
    like(location($inner), qr!^/nest/in/[\w-]{24}$!, 'the inner one');
    is(location($exact), '', 'an exact one');

    is($outer->get('/')->body(), 'outer', 'outer: a request');
    is($inner->get('/')->body(), 'inner', 'inner: a request');
    is($exact->get('/')->body(), 'exact', 'exact: a request');

    my ($id) = location($inner) =~ m!/([^/]+)$!;
    is(type($t->client(uri => "/nest/$id")->post($RECORD)),
       'session-elsewhere', 'the id of the other one');

    my $c = $t->established(uri => '/around/atls/');
    is($c->get('/?block=1')->body(), 'inner', 'in a location, with a block');
    like(location($c), qr!^/around/atls/[\w-]{24}$!, 'its Location');

    # POSTs have the configuration of the block

    $c = $t->established(uri => '/limited');
    is($c->get('/')->body(), 'inner', '"limit_except"');
    like(location($c), qr!^/limited/[\w-]{24}$!, 'its Location');
}


# URIs changed by nginx.

sub rewritten {
    my $c = $t->client(uri => '/old');

    ok($c->handshake(), 'rewritten: handshake') or diag($c->error());
    like(location($c), qr!^\Q$ENDPOINT\E/[\w-]{24}$!, 'rewritten: Location');
    is($c->get('/')->body(), 'inner', 'rewritten: a request');

    my ($id) = location($c) =~ m!/([^/]+)$!;
    is(answer($c, "/old/$id"), 'inner', 'rewritten: the other URI');

    # also if the POST is relayed to another worker process

    my $request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    $c->{http}{uri} = "/old/$id";

    for (1 .. 8) {
        is($c->request(substr $request, 0, 7), '', 'rewritten: a part');
        like($c->request(substr $request, 7), qr/inner$/, 'rewritten: a rest');
    }

    # the method is not POST any more

    is($t->client(uri => '/failed')->post($RECORD)->status(), 405,
       '"error_page"');
    is($t->client(uri => '/internal/x')->post($RECORD)->status(), 404,
       '"internal"');

    my $r = $t->client(uri => '/proxied')->post($RECORD);
    is($r->status(), 301, 'without the slash of the name');
    like($r->header('Location'), qr!^http://localhost:\d+/proxied/$!,
         'a redirect of nginx');
}


sub root {
    my $c = $t->client(port => $t->port(2), uri => '/');

    ok($c->handshake(), 'root: handshake') or diag($c->error());
    like(location($c), qr!^/[\w-]{24}$!, 'root: Location');
    is($c->get('/')->body(), 'inner', 'root: a request');
}


# Inner requests do not depend on the URI of the POST.

sub backend {
    my @lines = split /\n/, $t->read_log('backend.log');

    ok(scalar @lines, 'requests to a backend');
    is(scalar(grep { /\w{20}/ } @lines), 0, 'never with an id')
        or diag(join "\n", grep { /\w{20}/ } @lines);
}


sub conf {
    my ($value) = @_;

    my $none = '"atls_session_tracking" requires a prefix location for URIs of'
               . ' sessions, location "([^"]+)" is none,';

    $none = qr/\[emerg\].*$none in \S+:(\d+)$/m;

    for my $location ('= /x', '~ ^/x', '~* ^/x', '@x', 'x') {
        my ($name) = $location =~ /(\S+)$/;

        $name = $location if $location =~ /^@/;

        for my $level (qw( http server location )) {
            my %text = map { $_ => '' } qw( http server location );

            $text{$level} = "# HERE\n    atls_session_tracking $value;";

            my $text = http_conf(<<"EOC");
$text{http}
%%CERTIFICATE%%
server {
    listen 127.0.0.1:%%PORT_0%%;
    $text{server}
    location $location {
        atls on;
        $text{location}
        return 204;
    }
}
EOC
            my $error = $t->config_error($text);
            my ($before) = $t->expand($text) =~ /\A(.*)# HERE\n/s;

            like($error, $none, "$value, $location, $level");

            my ($got, $line) = $error =~ $none;
            is($got, $name, 'the location');
            is($line, 2 + ($before =~ tr/\n//), 'the line');
        }
    }

    for my $location ('/x', '^~ /x', '/', '/x/') {
        is($t->config_error(http_conf(<<"EOC")), '', "$value, $location");
%%CERTIFICATE%%
server {
    listen 127.0.0.1:%%PORT_0%%;
    location $location {
        atls on;
        atls_session_tracking $value;
        return 204;
        limit_except GET { deny all; }
    }
}
EOC
    }

    # a value of an enclosing level can be replaced

    is($t->config_error(http_conf(<<"EOC")), '', "$value, replaced");
%%CERTIFICATE%%
atls_session_tracking $value;
server {
    listen 127.0.0.1:%%PORT_0%%;
    location = /x {
        atls on;
        atls_session_tracking cookie;
        return 204;
    }
}
EOC
}
