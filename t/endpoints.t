#!/usr/bin/perl

# The endpoint of a session: it is identified by the modifier and the name of
# its location, by enclosing locations and by its server.  It is the same after
# a reload, in any order of locations.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;

my $t = Test::Atls->new(workers => 4);

# pairs of locations with the same name: a POST to each, and the response

my @PAIRS = (
    [ 'exact and prefix', '/a' => 'a=', '/a/x' => 'a' ],
    [ 'exact and ^~', '/b' => 'b=', '/b/x' => 'b^' ],
    [ '^~ and ~', '/c' => 'c^', '/x/c' => 'c~' ],
    [ '~ and ~*', '/x/d' => 'd~', '/x/D' => 'd~*' ],
    [ 'nested in different ones', '/e/1/x' => 'e1', '/e/2/x' => 'e2' ],
    [ 'nested and not', '/f/1/y' => 'f1', '/f/y' => 'f' ],
);

my $LOCATIONS = <<'EOC';
        location = /a { atls on; return 200 "a=\n"; }
        location /a { atls on; return 200 "a\n"; }

        location = /b { atls on; return 200 "b=\n"; }
        location ^~ /b { atls on; return 200 "b^\n"; }

        location ^~ /c { atls on; return 200 "c^\n"; }
        location ~ /c { atls on; return 200 "c~\n"; }

        location ~ /d { atls on; return 200 "d~\n"; }
        location ~* /d { atls on; return 200 "d~*\n"; }

        location /e/1 { location ~ x$ { atls on; return 200 "e1\n"; } }
        location /e/2 { location ~ x$ { atls on; return 200 "e2\n"; } }

        location /f/1 { location ~ y$ { atls on; return 200 "f1\n"; } }
        location ~ y$ { atls on; return 200 "f\n"; }

        location = /named { try_files /none @n; }
        location @n { atls on; return 200 "n@\n"; }
EOC

$t->write_conf(conf());
$t->run();


# sessions are accepted by their own location only, and found by other workers

for my $pair (@PAIRS) {
    my ($name, @of) = @$pair;

    for my $i (0, 2) {
        my ($uri, $other) = @of[$i, 2 - $i];
        my $c = client($uri);

        is(served($c), $of[$i + 1], "$name: $uri");
        is(served($c, $other), 410, "$name: not at $other");
        is(served($c), $of[$i + 1], "$name: $uri goes on");
    }

    is(relayed(@of[0, 1]) . ' ' . relayed(@of[2, 3]), '8 8',
       "$name: relayed POSTs");
}


# inner requests cannot reach other endpoints

for my $pair (@PAIRS) {
    my ($name, $uri, undef, $other) = @$pair;

    my $c = client('/routed');

    is($c->get($_)->status(), 404, "$name: not by the way of a routed one, $_")
        for $uri, $other;
}

is(client('/routed')->get('/routed/x')->status(), 404,
   'nor to a pinned one of the same name');

# sessions are accepted by their own server

is(served(client('/s', headers => { Host => 'two.example' }, sni => '')),
   'two=', 'the second server of a name, by another name');

for my $case ([ 'one.example', 'two.example' ],
              [ 'two.example', 'one.example' ],
              [ 'localhost', 'one.example' ])
{
    my ($host, $other) = @$case;
    my $c = client('/s', headers => { Host => $host }, sni => '');

    like(served($c), qr/=$/, "$host: served");
    $c->{headers}{Host} = $other;
    is(served($c), 410, "$host: not at $other");
}

# the same location in another server, by SNI

for my $case ([ '/s', 'one.example', 'one=' ], [ '/s/x', 'one.example', 'one' ],
              [ '/s', 'two.example', 'two=' ], [ '/s/x', 'two.example', 'two' ],

              # the server has only the prefix: the location of the POST is used

              [ '/s', 'three.example', 's=' ], [ '/s/x', 'three.example',
                                                  'three' ])
{
    my ($uri, $sni, $expected) = @$case;

    is(served(client($uri, sni => $sni), undef, $sni), $expected,
       "$uri, SNI $sni");
}


# reloads

my @kept = map { client($_) } qw( /a /a/x /x/d /x/D /e/1/x /named /s );

served($_) for @kept;

ok($t->reload(), 'a reload of the same');
is(all(@kept), 'a= a d~ d~* e1 n@ s=', 'sessions go on');

$t->write_conf(conf(before => 'server { listen 127.0.0.1:%%PORT_1%%;'
                              . ' server_name new.example; }',
                    reverse => 1));

ok($t->reload(), 'a reload in another order, with another server in front');
is(all(@kept), 'a= a d~ d~* e1 n@ s=', 'sessions go on');

$t->write_conf(conf(names => 'localhost second.example'));
ok($t->reload(), 'a reload with the names in another order');
is(all(@kept), 'a= a d~ d~* e1 n@ s=', 'sessions go on');

$t->write_conf(conf(s => [ 'location /a {' => 'location ~ ^/a/ {' ]));
ok($t->reload(), 'a reload with another modifier');
is(all(@kept), 'a= 410 d~ d~* e1 n@ s=', 'its sessions are gone');
splice @kept, 1, 1;

$t->write_conf(conf(s => [ 'location /e/1' => 'location ^~ /e/1' ]));
ok($t->reload(), 'a reload with another modifier around it');
is(all(@kept), 'a= d~ d~* 410 n@ s=', 'its sessions are gone');

for my $case ([ 'another name', names => 'localhost third.example' ],
              [ 'another address', listen => 'listen 127.0.0.1:%%PORT_2%%;' ])
{
    my ($name, @conf) = @$case;

    my $c = client('/a');
    is(served($c), 'a=', "before $name");

    $t->write_conf(conf(@conf));
    ok($t->reload(), "a reload with $name");
    is(served($c), 410, 'it is another endpoint');
}

# of several servers with the same name, the default one

$t->write_conf(conf(after => <<'EOC'));
    server {
        listen 127.0.0.1:%%PORT_0%% default_server;
        server_name localhost second.example;
        location = /a { atls on; return 200 "default\n"; }
    }
EOC

ok($t->reload(), 'a server of the same names that is the default');

{
    my $c = client('/a');
    my $d = client('/a', headers => { Host => 'nobody.example' }, sni => '');

    is(served($d), 'default', 'the default server');
    is(served($c), 'a=', 'the other one');

    $d->{headers}{Host} = 'localhost';
    is(served($d), 410, 'sessions of the one are not of the other one');
}

$t->done_testing();


sub conf {
    my (%args) = (before => '', after => '', listen => '',
                  names => 'second.example localhost', @_);

    my @listen = map { "listen 127.0.0.1:%%PORT_$_%%;" } 0, 1;
    my $listen = join ' ', $args{reverse} ? reverse @listen : @listen;
    my $locations = $LOCATIONS;

    if ($args{s}) {
        my ($what, $by) = @{$args{s}};
        $locations =~ s/\Q$what/$by/ or die "$what";
    }

    my $others = join '', map { server(@$_) }
                 [ one => 'same.example one.example' ],
                 [ two => 'same.example two.example' ];

    return http_conf(<<"EOC");
%%CERTIFICATE%%

$args{before}

server {
    $listen $args{listen}
    server_name $args{names};

    location = /routed { atls on; }
    location /routed { atls on; return 200 "routed\\n"; }

    location = /s { atls on; return 200 "s=\\n"; }
    location /s { atls on; return 200 "s\\n"; }

$locations
}

$others

server {
    $listen
    server_name three.example;
    location /s { atls on; return 200 "three\\n"; }
}

$args{after}
EOC
}


sub server {
    my ($name, $names) = @_;

    return <<"EOC";
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%%;
        server_name $names;
        location = /s { atls on; return 200 "$name=\\n"; }
        location /s { atls on; return 200 "$name\\n"; }
    }
EOC
}


sub client {
    my ($uri, %args) = @_;

    my $c = $t->client(uri => $uri, keepalive => 0, %args);

    $c->handshake(hold => 1) or die "$uri: no handshake: " . $c->error() . "\n";

    return $c;
}


# The inner response, or the status of the POST.  With another URI, the POST is
# sent by someone on the path, and is not an error of the client.

sub served {
    my ($c, $uri, $host) = @_;

    if (defined $uri) {
        local $c->{http}{uri} = $uri;
        local $c->{cookies} = { %{$c->{cookies}} };

        return $c->post("\x17\x03\x03\x00\x20" . 'x' x 32)->status();
    }

    my $r = $c->get('/any', Host => $host || 'localhost');

    return $r ? $r->body() =~ s/\n//r : $c->last_response()->status();
}


sub all { return join ' ', map { served($_) } @_ }


sub relayed {
    my ($uri, $expected) = @_;

    return scalar grep { served(client($uri)) eq $expected } 1 .. 8;
}
