#!/usr/bin/perl

# curl over TLS and atls over ATLS, with the same options: cookies.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::CurlSite;

my $t = Test::Atls::CurlSite->new();
my $site = 'https://localhost';
my $later = time + 100_000;

my @jar = ('-b', '', '-c', 'jar');
my @same = (files => [ 'jar' ], edit => \&no_times);

# libcurl 8.23 differs in details

my $old = $t->curl_before('8.15');

$t->write('netscape', <<"EOF");
# Netscape HTTP Cookie File
# a comment

localhost\tFALSE\t/\tFALSE\t0\tsession\t1
localhost\tFALSE\t/\tTRUE\t$later\tlater\t2
localhost\tFALSE\t/\tFALSE\t1000\texpired\t3
#HttpOnly_localhost\tFALSE\t/a\tFALSE\t$later\tpath\t4
.example.com\tTRUE\t/\tFALSE\t$later\tdomain\t5
localhost\tFALSE\t/\tFALSE\t$later\tempty\t
localhost\tFALSE\t/\tFALSE\t$later\t__Host-no\t6
not a cookie
EOF

$t->write('headers', <<'EOF');
HTTP/1.1 200 OK
Set-Cookie: one=1; Domain=localhost
Set-Cookie: two=2; Domain=localhost; Path=/a; Max-Age=1000
Set-Cookie: nowhere=3

EOF

subtest('strings' => \&strings);
subtest('files' => \&files);
subtest('attributes' => \&attributes);
subtest('domains' => \&domains);
subtest('paths' => \&paths);
subtest('several values' => \&several);
subtest('redirects and repetitions' => \&redirects);
subtest('the jar' => \&jar);
subtest('plain HTTPS' => \&fallback);

$t->done_testing();


sub same {
    my ($args, %options) = @_;

    $t->same(join(' ', map { s/\Q$site//r } @$args), @$args, \%options);
}


# Max-Age is relative.

sub no_times { s/\t(\d{10})\t/"\t" . ($1 > time ? 'later' : $1) . "\t"/ge }


# A URL whose response sets these cookies.

sub set {
    my ($path, @cookies) = @_;

    my $list = join '&', map { s/([^\w=.-])/sprintf '%%%02x', ord $1/ger }
                         @cookies;

    return "$path?$list";
}


sub strings {
    same([ '-b', 'a=b', $site ]);
    same([ '-b', 'a=b; c=d', '-b', 'e=f', '-H', 'X: 1', '-u', 'a:b', $site ])
        if $old;
    same([ '-b', 'a=b', '-H', 'Cookie: c=d', $site ]);
    same([ '-b', 'a=b', '-d', 'data', $site ]);
    same([ '-b', 'a=b', set("$site/set", 'c=d'), $site ]);

    done_testing();
}


sub files {
    same([ '-b', 'netscape', $site, "$site/a/b", 'https://a.example.com/' ]);
    same([ '-b', 'headers', $site, "$site/a" ]);
    same([ '-b', '@headers', '-b', 'netscape', '-b', 'x=y', $site ])
        if $t->curl_before('8.0');
    same([ '-j', '-b', 'netscape', $site ]);
    same([ '-b', 'absent', set("$site/set", 'c=d'), $site ]);
    same([ '-b', '-', $site ], stdin => "Set-Cookie: a=b; domain=localhost\n");
    same([ '-b', 'netscape', set("$site/set", 'later=9; Secure'), $site ])
        if $t->curl_before('8.0');

    done_testing();
}


sub attributes {
    same([ @jar, set("$site/set", 'a=1', 'b=2; Secure', 'c=3; HttpOnly',
                     'd=4; Max-Age=1000', 'e=5; Max-Age=0',
                     'f=6; Expires=Wed, 01 Jan 2020 00:00:00 GMT',
                     'g=7; Expires=Wed, 01 Jan 2031 00:00:00 GMT',
                     'h=8; expires=unreadable', 'i=9; SameSite=Lax; unknown'),
           $site ], @same);

    same([ @jar, set("$site/set", 'no value', '=no name', '', ' ; a=b',
                     'empty=', ' spaces = x y ', 'quoted="x y"', 'z=x=y',
                     'control=' . "\x7f", 'percent=%41', 'a,b=c', 'eight=' . "\xfc",
                     'n' x 5000 . '=v', 'v=' . 'v' x 5000),
           $site ], @same);

    same([ @jar, set("$site/set", '__Secure-a=1', '__Secure-b=2; Secure',
                     '__Host-c=3; Secure', '__Host-d=4; Secure; Path=/',
                     '__Host-e=5; Secure; Path=/; Domain=localhost'),
           set("$site/a/set", '__Host-f=6; Secure',
               '__Host-g=7; Path=/; Secure'), $site ], @same) if $old;

    done_testing();
}


sub domains {
    my ($one, $two) = map { "https://$_.example.com" } qw( one two );

    same([ @jar, set("$one/set", 'a=1', 'b=2; Domain=example.com',
                     'c=3; Domain=.example.com', 'd=4; Domain=one.example.com',
                     'e=5; Domain=two.example.com', 'f=6; Domain=com',
                     'g=7; Domain=xample.com', 'h=8; Domain=EXAMPLE.COM',
                     'i=9; Domain=', 'j=10; Domain=localhost',
                     'k=11; Domain=192.0.2.1'),
           $one, $two, 'https://example.com', $site ], @same);

    same([ @jar, set("$site/set", 'a=1; Domain=localhost'), $site,
           set('https://127.0.0.1/set', 'a=2', 'b=3; Domain=127.0.0.1',
               'c=4; Domain=0.0.1', 'd=5; Domain=localhost'),
           'https://127.0.0.1/' ], @same) if $old;

    same([ @jar, '-H', 'Host: one.example.com', $_, set("$site/set", 'a=1',
           'b=2; Domain=example.com', 'c=3; Domain=localhost') ], @same)
        for $site;

    done_testing();
}


sub paths {
    my @set = ('none=1', 'root=2; Path=/', 'a=3; Path=/a', 'slash=4; Path=/a/',
               'quoted=5; Path="/a"', 'relative=6; Path=a',
               'deep=7; Path=/a/b/c', 'query=8; Path=/?', 'upper=9; Path=/A');

    for my $path ('/set', '/set/a/b', '/set/') {
        same([ @jar, set("$site$path", @set), "$site/", "$site/a",
               "$site/a/", "$site/a/b/c?/d", "$site/ab", "$site/a?b",
               "$site/set/a/x" ], edit => \&no_times);
    }

    same([ '-b', '', set("$site/set/a", 'empty=1; Path='), $site ])
        if $t->curl_before('8.0');

    done_testing();
}


# Their order, and how many there are.  Newer versions of libcurl do not tell
# when a cookie with another value was new.

sub several {
    same([ @jar, set("$site/set", 'a=1', 'bb=2', 'c=3; Path=/a', 'd=4',
                     'e=5; Path=/a', 'a=6'),
           "$site/a", set("$site/set", 'bb=7; Max-Age=0', 'd=8'), "$site/a" ],
         @same) if $t->curl_before('8.0');
    same([ @jar, set("$site/set", map { "c$_=" . 'x' x 500 } 10 .. 30),
           $site ], @same);

    done_testing();
}


sub redirects {
    my $length = sub { s/^Content-Length: 0\r\n//mg };

    same([ '-L', '-b', '', set("$site/set-move", 'a=b', 'c=d; Path=/x') ]);
    same([ '-L', set("$site/set-move", 'a=b') ]);
    same([ '-L', '-b', 'x=y', '-c', 'jar', '-d', 'data',
           set("$site/set-move", 'a=b') ], edit => $length);
    same([ '-b', '', '-f', set("$site/set", 'a=b'), $site ]);

    done_testing();
}


sub jar {
    same([ '-c', 'jar', $site ], @same);
    same([ '-c', 'jar', set("$site/set", 'a=b; Max-Age=1000', 'c=d'), $site ],
         @same);
    same([ '-b', 'jar', '-c', 'jar', set("$site/set", 'e=f', 'a=b; Max-Age=0'),
           $site ], @same);
    same([ '-j', '-b', 'jar', '-c', 'jar', $site ], @same);
    same([ '-b', 'netscape', '-c', '-', '-o', 'out', $site ],
         edit => sub { no_times(); $_ = join "\n", sort split /\n/ });
    same([ '-b', 'headers', '-c', 'jar', $site ], @same) if $old;
    same([ '-c', '/nonexistent/jar', set("$site/set", 'a=b'), $site ]);

    done_testing();
}


sub fallback {
    my $r = $t->run_one('atls', '--fallback', '--connect-to',
                        '::127.0.0.1:' . $t->port(2), '-b', '', '-c', 'jar',
                        '-w', '%{atls}', set("$site/set", 'a=b'), $site);

    is("$r->{code} $r->{out}", "0 set\noffrecorded\noff", 'two requests');
    like($r->{requests}[1], qr/^Cookie: a=b\r$/m, 'a cookie');

    done_testing();
}
