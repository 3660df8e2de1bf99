#!/usr/bin/perl

# Variables, in all places; they are empty outside of ATLS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( http_raw );
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new();

$t->write_file('page.html', '<!--# echo var="atls_protocol" -->');

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format atls "$request_method $request_uri [$atls] [$atls_protocol]"
                " [$atls_cipher] [$atls_session_id] [$atls_server_name]"
                " [$atls_session_requests] $remote_addr";

map $atls $how {
    on       "inside";
    ""       "outside";
    default  "unknown";
}

map "$atls_protocol:$atls_server_name" $which {
    "TLSv1.3:localhost"  "new";
    "TLSv1.2:localhost"  "old";
    default              "neither";
}

server {
    listen 127.0.0.1:%%PORT_0%%;

    access_log %%TESTDIR%%/access.log atls;

    location /.well-known/atls {
        atls on;
    }

    location /pinned {
        atls on;
        return 200 "$atls|$atls_protocol|$atls_cipher|$atls_session_id|$atls_server_name|$atls_session_requests|$uri";
    }

    location /return {
        return 200 "$atls|$atls_protocol|$atls_cipher|$atls_session_id|$atls_server_name|$atls_session_requests|$uri";
    }

    location /map {
        return 200 "$how $which";
    }

    location /if {
        if ($atls) {
            return 200 "if";
        }

        if ($atls = "") {
            return 200 "if not";
        }
    }

    location /set {
        set $copy "$atls_protocol";
        return 200 "[$copy]";
    }

    location /header {
        add_header X-Atls "$atls $atls_protocol" always;
        return 204;
    }

    location /page.html {
        ssi on;
    }

    location /proxy {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_set_header X-Atls $atls;
        proxy_set_header X-Protocol $atls_protocol;
        proxy_set_header X-Cipher $atls_cipher;
        proxy_set_header X-Session $atls_session_id;
        proxy_set_header X-Name $atls_server_name;
        proxy_set_header X-Requests $atls_session_requests;
    }

    location /rewrite {
        rewrite ^ /return last;
    }

    location /error {
        error_page 404 /return;
    }
}
EOC

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

inside($_) for qw( TLSv1.3 TLSv1.2 );
outside();
names();

$t->done_testing();


sub inside {
    my ($protocol) = @_;

    my $c = $t->established(protocol => $protocol);
    my $cipher = $c->cipher();
    my ($first, $id) = values_of($c->get('/return'));

    like($id, qr/^[0-9a-f]{32}$/, "$protocol: id");
    is($first, "on|$protocol|$cipher|ID|localhost|1|/return",
       "$protocol: return");

    my ($second, $id2) = values_of($c->get('/return'));
    is($second, "on|$protocol|$cipher|ID|localhost|2|/return",
       "$protocol: the next request");
    is($id2, $id, "$protocol: the same session");

    is($c->get('/map')->body(),
       $protocol eq 'TLSv1.3' ? 'inside new' : 'inside old',
       "$protocol: map");
    is($c->get('/if')->body(), 'if', "$protocol: if");
    is($c->get('/set')->body(), "[$protocol]", "$protocol: set");
    is($c->get('/header')->header('X-Atls'), "on $protocol",
       "$protocol: add_header");
    is($c->get('/page.html')->body(), $protocol, "$protocol: SSI");

    my $r = $c->get('/proxy');
    is(join("\n", $r->body() =~ /^(X-.*)$/mg),
       join("\n", 'X-Atls: on', "X-Protocol: $protocol", "X-Cipher: $cipher",
            "X-Session: $id", 'X-Name: localhost', 'X-Requests: 8'),
       "$protocol: proxy_set_header");

    is((values_of($c->get('/rewrite')))[0],
       "on|$protocol|$cipher|ID|localhost|9|/return", "$protocol: rewrite");
    is((values_of($c->get('/error')))[0],
       "on|$protocol|$cipher|ID|localhost|10|/return",
       "$protocol: error_page");

    # pipelined requests are counted, too

    my @r = parse_responses($c->request(
        Test::Atls::Client::format_request('GET', '/return', '') x 3));
    is(join(' ', map { $_->body() =~ /\|(\d+)\|/ } @r), '11 12 13',
       "$protocol: pipelined requests");

    # in the log: inner requests

    my @log = $t->new_lines('access.log', 13 + $c->posts());
    my @inner = grep { $_ =~ /^GET/ } @log;

    is(scalar @inner, 13, "$protocol: inner requests in the log");
    is($inner[0], "GET /return [on] [$protocol] [$cipher] [$id] [localhost]"
                  . ' [1] 127.0.0.1', "$protocol: the first one");
    is($inner[12], "GET /return [on] [$protocol] [$cipher] [$id] [localhost]"
                   . ' [13] 127.0.0.1', "$protocol: the last one");

    # outer requests, where variables are empty

    my @outer = grep { $_ !~ /^GET/ } @log;

    is(scalar @outer, $c->posts(), "$protocol: outer requests in the log");
    is(scalar(grep { $_ ne 'POST /.well-known/atls [-] [-] [-] [-] [-] [-]'
                           . ' 127.0.0.1' } @outer),
       0, "$protocol: they have no values");

    # a pinned location

    $c = $t->established(protocol => $protocol, uri => '/pinned');
    my ($pinned, $other) = values_of($c->get('/any'));
    is($pinned, "on|$protocol|$cipher|ID|localhost|1|/any",
       "$protocol: pinned");
    isnt($other, $id, "$protocol: another session, another id");

    $c->get('/any');

    @log = $t->new_lines('access.log', 2 + $c->posts());
    is(scalar(grep { /^GET \/any \[on\] \[$protocol\]/ } @log), 2,
       "$protocol: pinned, in the log");
}


sub outside {
    my %expected = (
        '/return' => '||||||/return',
        '/map'    => 'outside neither',
        '/if'     => 'if not',
        '/set'    => '[]',
    );

    for my $uri (sort keys %expected) {
        is(get($uri)->body(), $expected{$uri}, "outside: $uri");
    }

    is(get('/header')->header('X-Atls'), '', 'outside: add_header');
    unlike(get('/proxy')->body(), qr/^X-/m, 'outside: proxy_set_header');
    is(get('/page.html')->body(), '(none)', 'outside: SSI');
    is(($t->new_lines('access.log', 7))[4],
       'GET /header [-] [-] [-] [-] [-] [-] 127.0.0.1', 'outside: log');

    # headers of a client do not set variables

    my ($r) = parse_responses(http_raw($t->port(0),
        "GET /return HTTP/1.0\r\nAtls: on\r\nX-Atls: on\r\n"
        . "Atls-Protocol: TLSv1.3\r\n\r\n"));
    is($r->body(), '||||||/return', 'outside: headers are none');
}


# The name is that of SNI, for any Host.

sub names {
    my $long = join '.', ('a' x 60) x 3, 'example';

    is((split /\|/, $t->established(sni => $long)->get('/return')->body())[4],
       $long, 'a long name');
    is((split /\|/, $t->established(sni => '')->get('/return')->body())[4], '',
       'no name');
    is((split /\|/, $t->established(sni => 'a.example')
        ->get('/return', Host => 'b.example')->body())[4], 'a.example',
       'not the Host');

    my $c = $t->established(sni => $long);
    is(join(' ', map { (split /\|/, $c->get('/return')->body())[5] } 1 .. 3),
       '1 2 3', 'requests of a session with a long name');
}


# Returns the response of /return without the id, and the id.

sub values_of {
    my ($r) = @_;

    my @values = split /\|/, $r->body(), -1;
    my $id = $values[3];

    $values[3] = 'ID';

    return (join('|', @values), $id);
}


sub get {
    my ($r) = parse_responses(http_raw($t->port(0),
                                       "GET $_[0] HTTP/1.0\r\n\r\n"));

    return $r;
}
