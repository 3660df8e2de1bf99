#!/usr/bin/perl

# curl over TLS and atls over ATLS, with the same options: the same requests
# arrive at the backend, byte for byte.  Bodies, methods, headers, URLs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::CurlSite;
use Test::Atls::Pattern qw( pattern );

my $t = Test::Atls::CurlSite->new();
my $site = 'https://localhost';

$t->write('lines', "one\r\ntwo\nthree & f\xfcnf\n");
$t->write('text', "one\r\ntwo\n\0three & f\xfcnf\n");
$t->write('large', pattern(3_000_000));
$t->write('json', "{\r\n \"a\": 1 }\n");
$t->write('headers', "X-One: 1\r\n\r\nX-Two: 2\n");

subtest('methods' => \&methods);
subtest('headers' => \&headers);
subtest('data' => \&data);
subtest('encoded data' => \&encoded);
subtest('JSON' => \&json);
subtest('data in the URL' => \&in_url);
subtest('uploads' => \&uploads);

$t->done_testing();


# Options, and further ones of same().

sub same {
    my ($args, %options) = @_;

    $t->same(join(' ', @$args), @$args, \%options);
}


sub methods {
    same([ $site ]);
    same([ "$site/a/../b?c=d%20e#f" ]);
    same([ '-I', $site ], out => 0);
    same([ '-X', 'DELETE', $site ]);
    same([ '-X', 'PATCH', '-d', 'x', $site ]);
    same([ '-X', 'OPTIONS', $site ]);
    same([ '--url', "$site/a", "$site/b" ]);
    same([ "$site/a", '--url', "$site/b", "$site/c" ]);
    same([ '-o', 'a', "$site/body", '-o', 'b', '--url', "$site/b" ],
         files => [ 'a', 'b' ]);

    done_testing();
}


sub headers {
    same([ '-H', 'X-One: 1', '-H', 'X-Two:two  words', '-H', 'X-Empty;',
           '-H', 'Accept:', $site ]);
    same([ '-H', 'Accept: a/b', '-H', 'Host: example.com', $site ]);
    same([ '-H', 'User-Agent: other', '-H', 'X: 1', $site ]);
    same([ '-H', '@headers', $site ]);
    same([ '-u', 'me:secret', '-H', 'X: 1', $site ]);
    same([ 'https://m%40e:secret@localhost/' ]);
    same([ '-u', 'me:secret', '-H', 'Authorization: x', $site ]);
    same([ '-d', 'x', '-H', 'Content-Type: a/b', '-H', 'X: 1', $site ]);
    same([ '-d', 'x', '-H', 'Content-Type:', $site ]);
    same([ '-d', 'x', '-H', 'X: 1', '-u', 'a:b', $site ]);

    done_testing();
}


sub data {
    same([ '-d', '', $site ]);
    same([ '-d', 'a=b', '-d', 'c=d', $site ]);
    same([ '-d', '@lines', $site ]);
    same([ '--data-binary', '@text', $site ]);
    same([ '--data-binary', 'x', '-d', '@lines', '--data-raw', 'y', $site ]);
    same([ '--data-raw', '@text', $site ]);
    same([ '-d', '@-', $site ], stdin => "a\nb");
    same([ '--data-binary', '@-', $site ], stdin => "a\nb");
    same([ '--data-binary', '@large', '-H', 'Expect:', $site ]);

    done_testing();
}


sub encoded {
    same([ '--data-urlencode', $_, $site ])
        for 'text', 'a b+c&d=', '=a b=c@d', 'name=a b/c~d', '@text',
            'name@text', '', '=', 'name=', "\xc3\xbc", 'a@b', 'a=@text';
    same([ '--data-urlencode', 'a=b c', '-d', 'd=e f', '--data-urlencode',
           'g@text', $site ]) ;
    same([ '--data-urlencode', 'a@-', $site ], stdin => 'a b');

    done_testing();
}


sub json {
    same([ '--json', '{"a":1}', $site ]);
    same([ '--json', '{"a":', '--json', '1}', $site ]);
    same([ '--json', '@json', $site ]);
    same([ '--json', '@-', $site ], stdin => '[]');
    same([ '--json', '1', '-H', 'X: 1', '-H', 'accept: a/b', $site ]);
    same([ '--json', '1', '-H', 'Content-Type: a/b', '-X', 'PUT', $site ]);

    done_testing();
}


sub in_url {
    same([ '-G', '-d', 'a=b', $site ]);
    same([ '-G', '-d', 'a=b', '--data-urlencode', 'c=d e', "$site/x?y=z" ]);
    same([ '-G', '-d', 'a=b', "$site/x?" ]);
    same([ '-G', '-d', 'a=b', "$site/x#part" ]);
    same([ '-G', $site ]);
    same([ '-G', '-I', '-d', 'a=b', $site ], out => 0);
    same([ '-G', '-d', 'a', '-X', 'DELETE', $site ]);
    same([ '-G', '--data-urlencode', '@text', $site ]);

    done_testing();
}


sub uploads {
    same([ '-T', 'text', "$site/dir/" ]);
    same([ '-T', 'text', "$site/dir/name" ]);
    same([ '-T', 'text', '-X', 'POST', "$site/body" ]);
    same([ '-T', 'large', '-H', 'Expect:', $site ]);
    same([ '-T', '-', '-H', 'Expect:', "$site/body" ], stdin => "a\nb");
    same([ '-T', 'none', $site ], code => 26);

    # one for each URL

    same([ '-T', 'text', "$site/a", "$site/b" ]);
    same([ '-T', 'text', "$site/a", '-T', '', "$site/b", '-T', 'json', $site ]);
    is($t->run_one('atls', '-T', 'text', '-T', 'json', $site)->{code}, 2,
       'more files than URLs');

    done_testing();
}
