#!/usr/bin/perl

# curl over TLS and atls over ATLS, with the same options: -w, -K, -#, and
# compressed responses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls::CurlSite;

my $t = Test::Atls::CurlSite->new();
my $site = 'https://localhost';

$t->write('text', "some text\n");

subtest('variables' => \&variables);
subtest('other output of -w' => \&write_out);
subtest('JSON' => \&json);
subtest('times' => \&times);
subtest('compressed responses' => \&compressed);
subtest('broken responses' => \&broken);
subtest('files with options' => \&config);
subtest('errors in them' => \&config_errors);
subtest('the progress bar' => \&bar);

$t->done_testing();


sub same {
    my ($args, %options) = @_;

    $t->same(join(' ', @$args), @$args, \%options);
}


sub variables {
    my $format = join '|', (map { "%{$_}" } qw(
        http_code response_code content_type size_download size_header
        size_request size_upload num_headers num_redirects redirect_url url
        url_effective urlnum method exitcode filename_effective http_version
        ssl_verify_result http_connect num_connects ftp_entry_path referer
        proxy_ssl_verify_result )), '%header{x-two}', '%header{none}', '\n';

    $t->write('format', $format);

    $t->same(join(' ', grep { !ref } @$_), '-w', '@format', @$_)
        for [ "$site/a?b#c", "$site/b" ], [ '-o', 'out', $site ],
            [ '-G', '-d', 'x=y', "$site/?a" ],
            [ '-L', "$site/move/302?/x" ], [ "$site/move/302?x%20y" ],
            [ '-i', '-r', '0-9', "$site/whole/10", { edit => \&no_date } ];

    # newer versions of curl count other bytes of an upload

    same([ '-w', '@format', '-T', 'text', '-H', 'Expect:', "$site/dir/" ])
        if $t->curl_before('8.0');

    same([ '-f', '-w', $format, "$site/status/404" ], code => 22);

    # newer versions of curl do not add the body to size_request

    same([ '-d', 'abc', '-w', '%{size_upload} %{method}', $site ]);

    my $r = $t->run_one('atls', '-d', 'abc', '-w', '%{size_request}', $site);
    is($r->{out}, "recorded\n" . length $r->{requests}[0], 'size_request');

    my $scheme = $t->run_one('atls', '-o', 'out', '-w', '%{scheme} %{atls}',
                             $site);
    is($scheme->{out}, 'HTTPS on', 'scheme, and one of atls alone');

    done_testing();
}


sub no_date { s/^Date: .*\r?\n//mg }


sub write_out {
    same([ '-w', 'a%{nonsense}b%%c\\\\d\\te\\q\\nf%{unclosed',
           $site ]);
    same([ '-w', '%header{unclosed %x %', $site ]);
    same([ '-w', '%{onerror}no', $site, '-o', 'out' ]);
    same([ '-w', '@text', $site ]);
    same([ '-w', '@-', $site ], stdin => "%{method}\r\n\\n");
    is($t->run_one('atls', '-w', '@none', $site)->{code}, 26, 'no file');

    for my $name (qw( atls curl )) {
        my $r = $t->run_one($name, '-w', '1%{stderr}2%{stdout}3%{none}', $site);

        is("$r->{out}|$r->{err}", "recorded\n13|2$name: unknown --write-out "
                                  . "variable: 'none'\n", "$name: stderr");
    }

    my $r = $t->run_one('atls', '-s', '-f', '-w', '%{onerror}%{errormsg}',
                        "$site/status/404");
    is("$r->{code} $r->{out}$r->{err}", '22 the service returned 404',
       'errormsg with -s');

    done_testing();
}


# Newer versions of curl have more members.

sub json {
    my %own = map { $_ => 1 } qw( atls curl_version scheme local_port
                                  remote_port speed_download speed_upload );

    for my $url ("$site/", "$site/move/302?/\"") {
        my $both = $t->both('-o', 'out', '-w', '%{json}', $url);
        my ($atls, $curl) = map { decode_json($both->{$_}{out}) }
                            qw( atls curl );
        my @names = grep { !$own{$_} && !/^time_/ } keys %$atls;

        is_deeply({ map { $_ => $atls->{$_} } @names },
                  { map { $_ => $curl->{$_} } @names }, "JSON: $url");
        is(join(' ', grep { !exists $curl->{$_} } sort keys %$atls), 'atls',
           'the other members');
        like($both->{atls}{out}, qr/"time_total":\d+\.\d{6},/, 'times');
    }

    same([ '-w', '%{header_json}', set(), $site ],
         edit => sub { s/"date":.*?\n//g });

    done_testing();
}


sub set { "$site/set?a=1&b=%22\\2" }


sub times {
    my @names = map { "time_$_" } qw( namelookup connect appconnect pretransfer
                                      starttransfer total );
    my @args = ('-o', 'out', '-w', join(' ', map { "%{$_}" } @names) . '\n');

    for my $name (qw( atls curl )) {
        my $r = $t->run_one($name, @args, $site, '-o', 'out', $site);
        my @lines = split /\n/, $r->{out};
        my @first = split / /, $lines[0];
        my @second = split / /, $lines[1];

        is(scalar(grep { /\A\d+\.\d{6}\z/ } @first, @second), 12, "$name: times");
        is("@first", join(' ', sort { $a <=> $b } @first), 'in this order')
            or diag($lines[0]);
        is($second[2], '0.000000', 'the second request is in the same session');
    }

    my $r = $t->run_one('atls', '-L', '-o', 'out', '-w',
                        '%{time_redirect} %{time_total} %{num_connects} '
                        . '%{local_ip} %{remote_ip} %{remote_port}',
                        "$site/move/302?/");
    my ($redirect, $total, @rest) = split / /, $r->{out};

    ok($redirect > 0 && $redirect < $total, 'time_redirect') or diag($r->{out});
    is("@rest", '1 127.0.0.1 127.0.0.1 ' . $t->port(0), 'the connection');

    done_testing();
}


sub compressed {
    my $edit = sub { s/^(Accept-Encoding: deflate, gzip).*\r$/$1\r/mg };

    same([ '--compressed', "$site/gzip/$_" ], edit => $edit)
        for qw( gzip x-gzip deflate raw gzip+gzip mixed identity empty );

    same([ '--compressed', '-i', '-w', '%{size_download}', "$site/gzip/gzip" ],
         edit => sub { $edit->(); no_date() });
    same([ '--compressed', '-H', 'Accept-Encoding: gzip', '-b', 'a=b', '-u',
           'a:b', "$site/gzip/gzip" ]);
    same([ '--compressed', '--json', '1', "$site/gzip/gzip" ], edit => $edit);
    same([ '--compressed', '-I', "$site/gzip/gzip" ], out => 0, edit => $edit);
    same([ "$site/gzip/gzip" ]);
    same([ '--compressed', '-o', 'out', "$site/gzip/gzip" ], edit => $edit,
         files => [ 'out' ]);

    done_testing();
}


# Versions of curl differ for the last two.

sub broken {
    my %cases = (broken => 61, unknown => 61, more => 23, cut => 61);

    for (sort keys %cases) {
        my $r = $t->run_one('atls', '--compressed', "$site/gzip/$_");

        is($r->{code}, $cases{$_}, $_);
        like($r->{err}, qr/cannot decode the response: /, 'why');
    }

    is($t->run_one('curl', '--compressed', "$site/gzip/$_")->{code}, 61,
       "curl: $_") for qw( broken unknown );

    done_testing();
}


sub config {
    $t->write('options', <<"EOF");
# a comment
   # another
url = "$site/a"
-H "X-One: a\\tb\\"c\\\\d\\z"
--header "X-Two: 2" # comment
header: X-Three:3
\theader=X-Four:4

  user-agent = "other"
data = "x=y"
data "more"
request PUT
-b a=b
compressed
EOF
    $t->write('urls', "url = $site/b\nurl=\"$site/c\"\nsilent\n");

    my $edit = sub { s/^(Accept-Encoding: deflate, gzip).*\r$/$1\r/mg };

    if ($t->curl_before('8.0')) {
        same([ '-K', 'options' ], edit => $edit);
        same([ '-K', 'options', '-K', 'urls', "$site/d" ], edit => $edit);
    }

    same([ '-sK', 'urls', '-X', 'DELETE', '-A', 'last' ]);
    same([ '-A', 'first', '--config', '-' ],
         stdin => "url=$site\nuser-agent=second\nconfig=urls");
    same([ '-K', 'none', $site ], code => 26);

    # no file is read by default

    $t->write_file('atls/.curlrc', "header = \"X-Default: 1\"\n");

    my $r = $t->run_one('atls', $site);
    unlike($r->{requests}[0], qr/X-Default/, '.curlrc');

    done_testing();
}


# As in newer versions of curl; older ones only print a warning.

sub config_errors {
    my %cases = (
        'unknown = 1'           => 'unknown option, .*: --unknown; see',
        'header'                => 'missing value for --header',
        '-H'                    => 'missing value for -H',
        'header = "x'           => 'missing closing quotation mark',
        'silent = 1'            => 'unexpected value: --silent',
        '-s 1'                  => 'unexpected value: -s',
        'max-time = x'          => 'invalid number of seconds "x"',
        'config = bad'          => 'more than 10 files of -K in each other',
        'config = none'         => 'cannot open "none"',
    );

    for (sort keys %cases) {
        $t->write('bad', "# comment\n\n$_\n");

        my $r = $t->run_one('atls', '-K', 'bad', $site);

        is($r->{code}, /none/ ? 26 : 2, $_);
        like($r->{err}, qr/\(\d+\) $cases{$_}/, 'the error');
        like($r->{err}, qr/invalid line 3 in "bad"$/m, 'the line');
        is(scalar @{$r->{requests}}, 0, 'no request');
    }

    $t->write('bad', "silent\n\0url = $site\n");
    is($t->run_one('atls', '-K', 'bad', $site)->{code}, 2, 'a null character');

    $t->write('bad', "header = X-One: 1\nurl = $site\n");

    my $r = $t->run_one('atls', '-K', 'bad');
    is($r->{code}, 0, 'a blank in a value');
    like($r->{err}, qr/^atls: bad:1: the value of "header" ends at a blank/,
         'a warning');

    done_testing();
}


# What is shown at the end, after other states.

sub bar {
    for my $case ([ "$site/whole/100000" ], [ '-T', 'text', $site ], [ $site ],
                  [ '-d', 'abc', "$site/status/204" ])
    {
        my %last;

        for my $name (qw( atls curl )) {
            my $r = $t->run_one($name, ($name eq 'curl' ? '--no-silent' : ()),
                                '-#', '-N', '-o', 'out', @$case);

            ($last{$name}) = $r->{err} =~ /([^\r]*)\z/;
        }

        is($last{atls}, $last{curl}, "@$case");
    }

    is($t->run_one('atls', '-#', @$_, '-o', 'out', $site)->{err}, '', "@$_")
        for [ '-s' ], [ '--no-progress-meter' ];
    like($t->run_one('atls', '--no-progress-meter', '-f', "$site/status/404")
           ->{err}, qr/^atls: \(22\)/, 'but error messages');

    done_testing();
}
