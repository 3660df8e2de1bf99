#!/usr/bin/perl

# The cookie of sessions, by default and with atls_cookie; headers of the outer
# response.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw( decode_base64url );
use Test::More;

use Test::Atls;

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_handshake_timeout 2s;      # some are not finished

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%% ssl;

    %%SSL_CERTIFICATE%%

    location /.well-known/atls {
        atls on;
        return 200 ok;
    }

    location = /exact {
        atls on;
        return 200 ok;
    }

    location ~ ^/regex/\d {
        atls on;
        return 200 ok;
    }

    location /named {
        atls on;
        atls_cookie device;
        return 200 ok;
    }

    location /all {
        atls on;
        atls_cookie __Host-all path=/ domain=example.com samesite=strict secure;
        return 200 ok;
    }

    location /order {
        atls on;
        atls_cookie order secure samesite=lax path=/elsewhere/;
        return 200 ok;
    }

    location /none {
        atls on;
        atls_cookie !#$%&'*+-.^_`|~09aZ samesite=none;
        return 200 ok;
    }

    location ~ ^/pattern/\d {
        atls on;
        atls_cookie pattern path=/pattern;
        return 200 ok;
    }

    # a cookie that is also sent to the path below

    location /outer {
        atls on;
        atls_cookie outer;
        return 200 outer;
    }

    location /outer/inner {
        atls on;
        atls_cookie outer2;
        return 200 inner;
    }
}

# missing parameters are not inherited

server {
    listen 127.0.0.1:%%PORT_2%%;

    atls_cookie server path=/server domain=example.com secure;

    location /inherits {
        atls on;
        return 200 ok;
    }

    location /own {
        atls on;
        atls_cookie own;
        return 200 ok;
    }
}
EOC

# port, URI, name and attributes; Max-Age follows

my $AGE = 'Max-Age=600';

my @NAMED = (
    [ 0, '/named',     'device',     'Path=/named; HttpOnly' ],
    [ 0, '/all',       '__Host-all', 'Path=/; Domain=example.com; HttpOnly;'
                                     . ' SameSite=Strict; Secure' ],
    [ 0, '/order',     'order',      'Path=/elsewhere/; HttpOnly;'
                                     . ' SameSite=Lax; Secure' ],
    [ 0, '/none',      q{!#$%&'*+-.^_`|~09aZ},
                                     'Path=/none; HttpOnly; SameSite=None' ],
    [ 0, '/pattern/7', 'pattern',    'Path=/pattern; HttpOnly' ],
    [ 2, '/inherits',  'server',     'Path=/server; Domain=example.com;'
                                     . ' HttpOnly; Secure' ],
    [ 2, '/own',       'own',        'Path=/own; HttpOnly' ],
);

my @BAD = (
    '', 'name path=/ extra', 'name httponly', 'name Secure', 'name secure=1',
    'name max-age=1',
    (map { "\"$_\"" } '', 'a b', 'a=b', 'a;b', 'a,b', 'a/b', '(a)', '{a}',
                      "a\tb", "a\x7f", "\xc3\xa4", 'a:b', 'a@b', '<a>', 'a?',
                      '[a]', 'a\\\\b', 'a\\"b'),
    (map { "name \"path=$_\"" } '', 'a', '/a b', '/a;b', "/\xc3\xa4", "/a\tb",
                                "/a\nb"),
    (map { "name \"domain=$_\"" } '', 'a b', 'a;b', "a\x01",
                                  "\xc3\xa4.example"),
    (map { "name samesite=$_" } '', 'Strict', 'LAX', 'always'),
    'name samesite',
);

$t->run();

my ($c, $r);


# attributes

$c = $t->client();
$c->handshake_step();
$r = $c->exchange($c->tls_out());

is_deeply([ $r->header('Set-Cookie') ],
          [ 'atls=' . $c->cookie()
            . "; Path=/.well-known/atls; HttpOnly; $AGE" ],
          'plain: one cookie with its attributes');

$c = $t->client(port => $t->port(1), tls => 1);
$c->handshake();

is($c->set_cookie(), 'atls=' . $c->cookie()
                     . "; Path=/.well-known/atls; HttpOnly; $AGE; Secure",
   'TLS: Secure');
is($c->get('/')->body(), 'ok', 'TLS: a request');

$c = $t->client(uri => '/exact');
$c->handshake();
like($c->set_cookie(), qr!; Path=/exact; HttpOnly; $AGE$!, 'exact location');
is($c->get('/')->body(), 'ok', 'exact location: a request');

$c = $t->client(uri => '/regex/7');
$c->handshake();
like($c->set_cookie(), qr!; Path=/; HttpOnly; $AGE$!, 'regex location');
is($c->get('/')->body(), 'ok', 'regex location: a request');


# sent at the end; t/cookie-age.t tests other responses

$c = $t->client();
$c->handshake();
$c->get('/');

my $cookie = $c->cookie();

$r = $c->close_notify();
is_deeply([ $r->header('Set-Cookie') ],
          [ 'atls=; Path=/.well-known/atls; HttpOnly; Max-Age=0' ],
          'expired at the end');

$r = $c->post('xxxxxxxx', cookie => "atls=$cookie");
is($r->status(), 410, 'the session is gone');
is_deeply([ $r->header('Set-Cookie') ],
          [ 'atls=; Path=/.well-known/atls; HttpOnly; Max-Age=0' ],
          'expired again, where it is unknown');


# the value

my (%seen, %ones);
my $n = 64;

for (1 .. $n) {
    my $c = $t->client();

    $c->handshake_step();
    $c->exchange($c->tls_out());

    my $value = $c->cookie();
    my $bits = unpack 'B*', decode_base64url($value);

    $seen{$value}++;
    $seen{bad}++ if $value !~ /^[A-Za-z0-9_-]+$/ || length $bits < 128;
    $ones{$_} += substr $bits, $_, 1 for 0 .. length($bits) - 1;

    $c->handshake();
    $c->close_notify();
}

is(scalar keys %seen, $n, 'different every time');
is($seen{bad}, undef, 'base64url of 128 bits or more');

# the probability that any of 144 random bits is the same $n times is less than
# 1 in 2 ** 55

is(scalar(grep { $ones{$_} == 0 || $ones{$_} == $n } keys %ones), 0,
   'all bits vary');


# among other cookies

$c = $t->client();
$c->handshake();
$cookie = $c->cookie();

for my $line ("a=1; atls=$cookie; b=2", "xatls=1; atls=$cookie",
              "atls=$cookie;z=1", "a=\"x y\"; atls=$cookie")
{
    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $r = $c->exchange($c->tls_out(), cookie => $line);
    ok($r, "Cookie: $line") or diag($c->last_response()->status());
    like($c->read_plain(), qr/ok$/, 'found');
}


# headers of the response

for my $type ('application/atls+octet-stream', 'application/atls') {
    $c = $t->client(type => $type);
    ok($c->handshake(), "$type: handshake") or diag($c->error());
    is($c->last_response()->header('Content-Type'), $type,
       "$type: mirrored in a handshake");
    $c->get('/');
    is($c->last_response()->header('Content-Type'), $type,
       "$type: mirrored later");
}

for my $type ('Application/ATLS+Octet-Stream', 'application/atls ; a=b',
              'application/atls+octet-stream;charset=x')
{
    my ($plain) = lc($type) =~ /^([^\s;]+)/;

    $c = $t->client(type => $type);
    $c->handshake_step();
    $r = $c->post($c->tls_out());
    is($r->status(), 200, "$type: taken");
    is(lc $r->header('Content-Type'), $plain, "$type: answered");
}

# the media type may change within a session

$c = $t->client();
$c->handshake();
$c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
$r = $c->post($c->tls_out(), type => 'application/atls');
is($r->header('Content-Type'), 'application/atls', 'each POST has its own');

$c = $t->client();
$c->handshake_step();
is($c->exchange($c->tls_out())->header('Cache-Control'), 'no-store',
   'no-store: first flight');
$c->handshake();
is($c->last_response()->header('Cache-Control'), 'no-store',
   'no-store: second flight');
$c->get('/');
is($c->last_response()->header('Cache-Control'), 'no-store',
   'no-store: request');
is($c->last_response()->header('Transfer-Encoding'), undef,
   'a small answer has a length');
$c->close_notify();
is($c->last_response()->header('Cache-Control'), 'no-store',
   'no-store: closure');


named(@$_) for @NAMED;
two_at_once();
refused($_) for @BAD;
like($t->config_error(conf('atls_cookie name; atls_cookie name;')),
     qr/"atls_cookie" directive is duplicate in \S+:\d+$/m, 'twice');
is($t->config_error(conf('atls_cookie name path=/a domain=b samesite=none'
                         . ' secure;')), '', 'all parameters');

$t->done_testing();


sub named {
    my ($port, $uri, $name, $attributes) = @_;

    my $c = $t->client(port => $t->port($port), uri => $uri, keepalive => 0);

    $c->handshake_step();
    my $r = $c->exchange($c->tls_out());
    my $value = $c->{cookies}{$name} || '';
    my $expired = "$name=; $attributes; Max-Age=0";

    like($value, qr/^[\w-]{22,}$/, "$name: the first flight");
    is_deeply([ $r->header('Set-Cookie') ],
              [ "$name=$value; $attributes; $AGE" ],
              "$name: one cookie with its attributes");

    ok($c->handshake(), "$name: handshake") or diag($c->error());
    is(join(' ', map { $c->get('/')->body() } 1 .. 4), 'ok ok ok ok',
       "$name: requests");

    # another name is not accepted

    $r = $c->post('x' x 32, cookie => "atls=$value");
    is($r->status(), 400, "$name: not as atls");
    is($r->header('Set-Cookie'), undef, "$name: which makes no cookie");

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $c->exchange($c->tls_out(),
                 cookie => "x$name=y; ${name}x=z; $name=$value; atls=$value");
    like($c->read_plain(), qr/ok$/, "$name: among others");

    $r = $c->close_notify();
    is_deeply([ $r->header('Set-Cookie') ], [ $expired ],
              "$name: expired with its attributes");

    $r = $c->post('x' x 32, cookie => "$name=$value");
    is($r->status(), 410, "$name: the session is gone");
    is_deeply([ $r->header('Set-Cookie') ], [ $expired ],
              "$name: expired again");

    # Secure is added once over outer TLS

    if ($port == 0) {
        $c = $t->client(port => $t->port(1), uri => $uri, tls => 1);
        $attributes .= '; Secure' unless $attributes =~ /Secure/;
    } else {
        $c = $t->client(port => $t->port($port), uri => $uri);
    }

    ok($c->handshake(), "$name: another handshake") or diag($c->error());
    is(join('; ', sort split /; /, $c->set_cookie()),
       join('; ', sort split(/; /, "$name=$c->{cookies}{$name}; $attributes"),
                  $AGE),
       "$name: Secure over TLS");
    $r = $c->close_notify();
    is(join('; ', sort split /; /, $r->header('Set-Cookie')),
       join('; ', sort split(/; /, "$name=; $attributes"), 'Max-Age=0'),
       "$name: and when it expires");
}


# A browser sends both cookies for the inner path, in any order.

sub two_at_once {
    my $outer = $t->client(uri => '/outer', keepalive => 0);
    my $inner = $t->client(uri => '/outer/inner', keepalive => 0);

    ok($_->handshake(), 'one of two sessions') for $outer, $inner;

    my @cookies = map { my $c = $_; map { "$_=$c->{cookies}{$_}" }
                                    keys %{$c->{cookies}} } $outer, $inner;

    for my $line (join('; ', @cookies), join('; ', reverse @cookies)) {
        for my $case ([ $outer, 'outer' ], [ $inner, 'inner' ]) {
            my ($c, $name) = @$case;

            $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            $c->exchange($c->tls_out(), cookie => $line);
            like($c->read_plain(), qr/$name$/, "$name of two");
        }
    }
}


sub refused {
    my ($arguments) = @_;

    my $error = $t->config_error(conf("atls_cookie $arguments;"));

    like($error, $arguments eq ''
                 ? qr/invalid number of arguments in "atls_cookie" .*:\d+$/m
                 : qr/invalid (?:cookie name|parameter) ".*" in \S+:\d+$/ms,
         "atls_cookie $arguments" =~ s/([^ -~])/sprintf '\x%02x', ord $1/egr);
}


sub conf {
    my ($directives) = @_;

    return http_conf(<<"EOC");
$directives
EOC
}
