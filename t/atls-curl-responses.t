#!/usr/bin/perl

# curl over TLS and atls over ATLS, with the same options: ranges, redirects,
# repetitions, and what is written of responses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::CurlSite;
use Test::Atls::Pattern qw( pattern );

my $t = Test::Atls::CurlSite->new();
my $site = 'https://localhost';
my $n = 0;

$t->write('text', "some text\n");
$t->write('large', pattern(300_000));

subtest('ranges' => \&ranges);
subtest('resumed downloads' => \&resumed);
subtest('resumed uploads' => \&resumed_uploads);
subtest('failures' => \&failures);
subtest('headers' => \&headers);
subtest('redirects' => \&redirects);
subtest('redirects elsewhere' => \&elsewhere);
subtest('repetitions' => \&repetitions);
subtest('errors that are repeated' => \&repeated_errors);

$t->done_testing();


# Options, and further ones of same().

sub same {
    my ($args, %options) = @_;

    return $t->same(join(' ', @$args), @$args, \%options);
}


sub no_date { s/^Date: .*\r?\n//mg }


sub ranges {
    same([ '-r', $_, "$site/bytes/1000" ])
        for '0-99', '100-', '-100', '0-9,20-29', '990', '0-99999';
    same([ '-r', '5000-', "$site/bytes/1000" ]);
    same([ '-f', '-r', '5000-', "$site/bytes/1000" ], code => 22, out => 0);
    same([ '-r', '0-9', "$site/whole/1000" ]);
    same([ '-r', '0-9', '-H', 'Range: bytes=1-2', "$site/bytes/1000" ]);
    same([ '-r', '0-4', '-T', 'text', $site ]);
    same([ '-r', '0-4', '-u', 'a:b', '-d', 'hello', $site ],
         edit => sub { s!^(Content-Range: .*)/-1\r$!$1/5\r!m });
    same([ '-I', '-r', '0-4', "$site/bytes/1000" ], out => 0);

    is($t->run_one('atls', '-r', $_, $site)->{code}, 2, "-r '$_'")
        for '', 'x', '0-9x';
    is($t->run_one('atls', '-r', '0-9', '-C', 5, $site)->{code}, 2, '-r and -C');

    done_testing();
}


sub resumed {
    for my $offset ('-', 400, 999, 0) {
        $t->write('part', substr(pattern(1000), 0, $offset eq '-' ? 300
                                                                  : $offset));
        same([ '-C', $offset, '-o', 'part', "$site/bytes/1000" ],
             files => [ 'part' ]);
        is($t->read_file('atls/part'), pattern(1000), 'whole');
    }

    same([ '-C', '100', "$site/bytes/1000" ]);
    same([ '-C', '-', "$site/bytes/1000" ]);
    same([ '-C', '-', '-o', 'absent', "$site/bytes/1000" ],
         files => [ 'absent' ]);

    # it is complete: 416, or the whole file again, which is not read

    for my $path ('bytes/1000', 'whole/1000', 'whole/10000000') {
        my ($size) = $path =~ /(\d+)/;

        $t->write('part', pattern($size));
        same([ '-C', '-', '-o', 'part', "$site/$path" ]);
        is(-s $t->path('atls/part'), $size, 'complete');
    }

    $t->write('part', 'old');
    same([ '-C', '-', '-o', 'part', "$site/whole/1000" ], code => 33,
         files => [ 'part' ]);
    same([ '-C', '5', "$site/status/404" ], code => 33);

    is($t->run_one('atls', '-C', $_, $site)->{code}, 2, "-C '$_'")
        for '', 'x', '-1', '99999999999999999999';
    is($t->run_one('atls', '-C', 5, '-d', 'x', $site)->{code}, 2, '-C and -d');

    done_testing();
}


sub resumed_uploads {
    plan(skip_all => 'curl 8.23 returns 43')
        unless $t->curl_before('8.15');

    same([ '-C', 5, '-T', 'text', $site ]);
    same([ '-C', 5, '-T', 'text', '-X', 'POST', $site ]);
    same([ '-C', '-', '-T', 'text', $site ]);
    same([ '-C', 100_000, '-T', 'large', $site ]);
    same([ '-C', 10, '-T', 'text', $site ], code => 18);

    done_testing();
}


sub failures {
    same([ '-f', "$site/status/404" ], code => 22);
    same([ '--fail-with-body', "$site/status/404" ], code => 22);
    same([ '--fail-with-body', '-o', 'out', "$site/status/500" ], code => 22,
         files => [ 'out' ]);
    same([ '--fail-with-body', '-i', "$site/status/404" ], code => 22,
         edit => \&no_date);
    same([ '--fail-with-body', "$site/status/200" ]);
    same([ '-f', "$site/status/399" ]);
    is($t->run_one('atls', '-f', '--fail-with-body', $site)->{code}, 2, 'both');

    done_testing();
}


sub headers {
    my %more = (files => [ 'head' ], edit => \&no_date);

    same([ '-D', 'head', $site ], %more);
    same([ '-D', 'head', '-I', $site ], %more);
    same([ '-D', 'head', '-i', $site ], %more);
    same([ '-D', 'head', $site, "$site/status/404" ], %more);
    same([ '-D', 'head', '-f', "$site/status/404" ], %more, code => 22,
         out => 0);
    same([ '-D', 'head', '-L', "$site/move/302?/" ], %more);
    same([ '-D', '-', '-o', 'out', $site ], %more);
    same([ '-D', '-', $site ], %more);

    is($t->run_one('atls', '-D', '/nonexistent/head', $site)->{code}, 23,
       'a file that cannot be written');

    done_testing();
}


sub redirects {
    # without a body, atls sends it as RFC 9110, section 8.6, requires

    my $length = sub { s/^Content-Length: 0\r\n//mg };

    my @urls = map { "$site/move/$_?/to" } 300, 301, 302, 303, 307, 308;

    same([ '-L', @$_, @urls ], edit => $length)
        for [ ], [ '-d', 'x' ], [ ('-T', 'text') x @urls ], [ '-X', 'DELETE' ],
            [ '-X', 'PUT', '-d', 'x' ];
    same([ '-L', '-I', @urls ], out => 0);

    same([ '-L', map { "$site/move/302?$_" }
           "$site/a?b=c", '//localhost/a', '/a/../b', '?query', 'relative',
           '../up', '/%2520', '/a%20b', '/a%23part', '', $site ])
        if $t->curl_before('8.15');
    same([ '-L', "$site/move/302?https://LOCALHOST:443/a" ],
         edit => sub { s/^Host: LOCALHOST\r$/Host: localhost\r/m });
    same([ '-L', '-i', "$site/move/301?/move/302%3f/move/307%253f/" ],
         edit => \&no_date);
    same([ '-L', '-o', 'out', "$site/move/301?/" ], files => [ 'out' ]);
    same([ '-L', '-O', "$site/move/302?/other" ], files => [ 'other' ]);
    same([ "$site/move/302?/" ]);
    same([ '-L', "$site/status/302" ]);
    same([ '-L', '-u', 'a:b', '-H', 'X: 1', '--json', '1',
           "$site/move/302?/" ]);
    same([ '-L', 'https://a:b@localhost/move/302?/' ]);
    same([ '-L', '-G', '-d', 'a=b', "$site/set-move" ]);
    same([ '-L', '-r', '0-9', "$site/move/302?/bytes/1000" ]);
    same([ '-L', '-f', "$site/move/302?/status/404" ], code => 22, out => 0);
    same([ '-L', '-d', '@-', "$site/move/307?/" ], stdin => 'x');

    same([ '-L', "$site/circle" ], code => 47);

    done_testing();
}


sub elsewhere {
    for my $to ('https://example.com/', 'https://localhost:444/',
                'https://localhost.:443/', 'https://127.0.0.1/',
                '//example.com/')
    {
        my $r = $t->run_one('atls', '-L', "$site/move/302?$to");

        is("$r->{code} " . @{$r->{requests}}, '47 1', "to $to");
        like($r->{err}, qr!redirect to another host or port not followed: \S+!,
             'why');
    }

    for my $to ('http://localhost/', 'ftp://localhost/') {
        my $r = $t->run_one('atls', '-L', "$site/move/302?$to");

        is("$r->{code} " . @{$r->{requests}}, '47 1', "to $to");
        like($r->{err}, qr!"$to" must begin with https!, 'why');
    }

    done_testing();
}


sub repetitions {
    my @fast = ('--retry-delay', 0.01);

    repeated("the status $_", 3, '--retry', 2, @fast, "fail/2/$_/%")
        for 408, 429, 500, 502, 503, 504;
    repeated('once too often', 2, '--retry', 1, @fast, 'fail/9/503/%');
    repeated('not at all', 1, 'fail/9/503/%');
    repeated('another status', 1, '--retry', 2, @fast, 'fail/9/404/%');
    repeated('a file for output', 2, '--retry', 2, @fast, '-o', 'out',
             'fail/1/503/%');
    is($t->read_file('atls/out'), "finally\n", 'only the last response');

    my $began = time;
    repeated('Retry-After', 2, '--retry', 2, @fast, 'fail/1/503/%?after=3');
    cmp_ok(time - $began, '>=', 2, 'which is the delay');

    $began = time;
    repeated('delays', 3, '--retry', 2, 'fail/2/503/%');
    cmp_ok(time - $began, '>=', 2, 'of 1 and 2 seconds');

    my $r = repeated('--retry-max-time', 1, '--retry', 2, '--retry-max-time', 5,
                     'fail/1/503/%?after=100');
    is("$r->{out}$r->{err}", "not yet\n", 'output');

    $r = repeated('messages', 2, '--retry', 2, @fast, 'fail/1/503/%');
    is($r->{err}, "atls: retrying in 0.01 s, 1 left\n", 'a line of each');

    # the delays of curl are whole seconds

    repeated_by_both(@$_, 'fail/1/503/%')
        for [ '-f' ], [ '-d', 'x' ], [ '-T', 'text' ];
    repeated_by_both('-L', 'move/307?/fail/1/503/%');

    done_testing();
}


# The path has a new name for each call.  The backend receives that many
# requests.

sub repeated {
    my ($name, $times, @args) = @_;

    my $path = pop @args;
    my $id = 'n' . $n++;
    my $r = $t->run_one('atls', @args, "$site/" . $path =~ s/%/$id/r);

    is(scalar @{$r->{requests}}, $times, $name);

    return $r;
}


sub repeated_by_both {
    my (@args) = @_;

    my $path = pop @args;
    my $id = 'n' . $n++;
    my %requests;

    for my $program (qw( atls curl )) {
        my $to = $path =~ s/%/$program$id/r;
        my $r = $t->run_one($program, '--retry', 2, '--retry-delay', 1, @args,
                            "$site/$to");

        like($r->{out}, qr/^finally$/m, "$program: @args");
        $requests{$program} = join "\n", "exit $r->{code}", $r->{out},
                                   map { s/$program$id//r } @{$r->{requests}};
    }

    is($requests{atls}, $requests{curl}, 'the same requests');
}


sub repeated_errors {
    my @fast = ('--retry', 2, '--retry-delay', 0.01);
    my $nobody = 'https://localhost:1/';
    my $lines = sub { scalar(() = $_[0]{err} =~ /^atls: retrying /mg) };

    my $r = $t->run_one('atls', @fast, '--via', $nobody, $site);
    is("$r->{code} " . $lines->($r), '7 0', 'connection refused');

    $r = $t->run_one('atls', @fast, '--retry-connrefused', '--via', $nobody,
                  $site);
    is("$r->{code} " . $lines->($r), '7 2', '--retry-connrefused');

    $r = $t->run_one('atls', @fast, '--via', $t->endpoint('/status/503'), $site);
    is("$r->{code} " . $lines->($r), '8 2', 'the endpoint returns 503');

    $r = $t->run_one('atls', @fast, '--via', $t->endpoint('/status/404'), $site);
    is("$r->{code} " . $lines->($r), '8 0', 'the endpoint returns 404');

    $r = $t->run_one('atls', @fast, '--retry-all-errors', '--via',
                  $t->endpoint('/status/404'), $site);
    is("$r->{code} " . $lines->($r), '8 2', '--retry-all-errors');

    $r = $t->run_one('atls', @fast, '--retry-all-errors', "$site/status/404");
    is("$r->{code} " . $lines->($r), '0 0', 'which 404 is not');

    $r = $t->run_one('atls', @fast, '-f', '--retry-all-errors',
                  "$site/status/404");
    is("$r->{code} " . $lines->($r), '22 2', 'but with -f it is');

    # stdin cannot be read again

    $r = $t->run_one('atls', @fast, '-T', '-', "$site/fail/1/503/stdin");
    is("$r->{code} " . $lines->($r), '0 1', 'a file on stdin');

    is($t->run_one('atls', @$_, $site)->{code}, 2, "@$_")
        for [ '--retry', 'x' ], [ '--retry', -1 ], [ '--retry-delay', 'x' ];

    done_testing();
}
