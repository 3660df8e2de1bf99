#!/usr/bin/perl

# Values for headers are checked in the same way for ATLS and, with --fallback,
# for HTTPS: no option can add another header.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Command;

my $t = Test::Atls->new();

my $backend = Test::Atls::Backend->start($t, $t->port(1));

$t->write_http(<<'EOC');
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%% ssl;

    location = /.well-known/atls { atls on; }
    location / { proxy_pass http://127.0.0.1:%%PORT_1%%; }
}
EOC

$t->run();

my $atls = Test::Atls::Command->new($t);
my $url = 'https://localhost:' . $t->port(0);
my @trust = ('--cacert', $t->path('localhost.crt'));

$t->write_file('headers', "X-One: 1\nX-Two: a\x0bb\n");

my @refused = (
    (map { [ '-A', "me$_" ] } "\r\nX-Evil: 1", "\nX-Evil: 1", "\rX-Evil: 1",
                              "\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
                              "\r\n", "\n", "\x1b[2J", "\x7f", "\x01"),
    (map { [ '-H', "X-One: 1$_" ] } "\r\nX-Evil: 1", "\nX-Evil: 1", "\r", "\x01",
                                    "\x1b"),
    [ '-H', "X-One\r\nX-Evil: 1" ], [ '-H', 'X One: 1' ], [ '-H', ': 1' ],
    [ '-H', "X-One;\r\nX-Evil: 1" ], [ '-H', 'Content-Length: 1' ],
    [ '-H', 'Transfer-Encoding: chunked' ], [ '-H', "Host: a\r\nX-Evil: 1" ],
    [ '-H', '@' . $t->path('headers') ],
    (map { [ '-X', $_ ] } "GET / HTTP/1.1\r\nX-Evil: 1\r\nX:", "GET\n", 'G T',
                          '', 'CONNECT'),
);

for my $way ([], [ '--fallback' ]) {
    my $name = $way->[0] || 'ATLS';

    $backend->forget();

    for my $args (@refused) {
        my @shown = map { s/[^ -~]/sprintf '\\x%02x', ord $&/ger } @$args;
        my $r = $atls->run(@trust, @$way, @$args, "$url/echo");
        is($r->{code}, 2, "$name: @shown") or diag($r->{out}, $r->{err});
    }

    for ("$url/a\r\nX-Evil: 1", "$url/a b", "$url/a?\x01") {
        my $r = $atls->run(@trust, @$way, $_);
        like($r->{code}, qr/^[23]$/, "$name: a URL");
    }

    is(scalar(() = $backend->requests()), 0, "$name: nothing of these was sent");

    # credentials and URL escapes are encoded

    my $r = $atls->run(@trust, @$way, '-u', "me:\r\nX-Evil: 1",
                       "$url/echo?%0d%0aX-Evil:%201");
    is($r->{code}, 0, "$name: encoded") or diag($r->{err});
    unlike($r->{out}, qr/^X-Evil/mi, 'and nothing else');

    $r = $atls->run(@trust, @$way, '-A', "M\xc3\xbc \t \xfc", "$url/echo");
    is($r->{code}, 0, "$name: what may be in a value");
    like($r->{out}, qr/^User-Agent: M\xc3\xbc \t \xfc\r?$/mi, 'is sent');
}

# the outer header can only be set by the library

my $c = $atls->lib()->start($atls->lib()->compile('client_lib'));

$c->client($url, CA_FILE => $t->path('localhost.crt'),
           USER_AGENT => "me\rX-Evil: 1");
is($c->name($c->go('GET', '/echo')), 'USAGE', 'outer User-Agent');
is($c->end(), 0, 'the program ends well');

$t->done_testing();
