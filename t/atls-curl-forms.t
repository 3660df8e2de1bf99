#!/usr/bin/perl

# curl over TLS and atls over ATLS, with the same forms: the same requests
# arrive at the backend, but for the random part of the boundary.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX qw( mkfifo );
use Test::More;

use Test::Atls::CurlSite;
use Test::Atls::Pattern qw( pattern );

my $t = Test::Atls::CurlSite->new();
my $site = 'https://localhost';

$t->write('text.txt', "one\r\ntwo\n\0three\n");
$t->write('page.html', "<p>\xfc</p>\n");
$t->write('none', '');
$t->write('a;b,c "d"', "odd\n");
$t->write('large', pattern(3_000_000));
$t->write('headers', "# two\nX-One: 1  \r\n\r\nX-Two: a\n  b\n");

subtest('texts' => \&texts);
subtest('files' => \&files);
subtest('stdin' => \&stdin);
subtest('attributes' => \&attributes);
subtest('with other options' => \&others);
subtest('errors' => \&errors);

$t->done_testing();


# Options, and further ones of same().

sub same {
    my ($args, %options) = @_;

    $t->same(join(' ', @$args), '-H', 'Expect:', @$args,
             { edit => \&same_boundary, %options });
}


# A boundary may be that of parts in a part, too.

sub same_boundary {
    my ($n, %names) = 0;

    s/(-{24}\w{16,22})/'boundary-' . ($names{$1} ||= ++$n)/ge;
}


# One option for each field.

sub form {
    my ($fields, %options) = @_;

    same([ (map { ('-F', $_) } @$fields), "$site/" ], %options);
}


sub texts {
    form([ 'a=b' ]);
    form([ 'a=b', 'a=', '=b', 'a=b=c', 'a= b c ', 'a="b;c"',
           'a="b\\"c\\\\d\\e"', 'a="b', "a=\xc3\xbc", 'a"b\\=c', 'a="b" c',
           "a=b\r\nc" ]);
    same([ (map { ('--form-string', $_) } 'a=@text.txt', 'a=<text.txt',
            'a=b;type=c', 'a="b"', 'a='), '-F', 'b=c', $site ]);

    done_testing();
}


sub files {
    form([ map { "a=\@$_" } 'text.txt', 'page.html', 'none', './text.txt',
                            '"a;b,c \\"d\\""', 'text.txt,page.html',
                            ' text.txt , none , page.html' ]);
    form([ map { "a=<$_" } 'text.txt', 'none', '"a;b,c \\"d\\""' ]);
    form([ 'a=@large' ]);

    done_testing();
}


sub stdin {
    form([ $_ ], stdin => "one\ntwo\0")
        for 'a=@-', 'a=<-', 'a=@-;filename=x.html', 'a=@-,text.txt';
    form([ 'a=@-' ], stdin => '');

    # a pipe has no size: nginx collects the chunks

    for my $program (qw( atls curl )) {
        mkfifo $t->path("$program/fifo"), 0600 or die "fifo: $!\n";
        $t->run_daemon(sub {
            open my $fh, '>', $t->path("$program/fifo") or die "fifo: $!\n";
            print $fh pattern(200_000);
        });
    }

    form([ 'a=b', 'c=@fifo' ]);

    done_testing();
}


sub attributes {
    form([ map { "a=$_" }
           'b;type=text/x', 'b;type=text/x; charset=utf-8', 'b ; type=x/y ',
           '@text.txt;type=x/y', '@text.txt;filename=other.html',
           '@text.txt;filename="o;t,h\\"er";type=x/y',
           '@text.txt;type=a/b; c=d;filename=e', '@none;type=a/b,text.txt',
           '@text.txt;filename=a,page.html;filename=b', '<text.txt;type=x/y',
           'b;filename=c', 'b;unknown=c' ]);
    form([ map { "a=$_" }
           'b;headers="X-One: 1"', 'b;headers=X-One: 1;headers="X-Two: 2"',
           'b;headers=@headers', '@text.txt;headers=@headers;type=x/y' ]);
    form([ map { "a=$_" } 'b;encoder=base64', '@page.html;encoder=8bit',
                          '@large;encoder=base64' ]);

    # the size is unknown

    form([ 'a=@page.html;encoder=quoted-printable' ]);

    done_testing();
}


sub others {
    same([ '-F', 'a=b', '-X', 'PUT', $site ]);
    same([ '-F', 'a=b', '-r', '0-4', $site ]);
    same([ '-F', 'a=b', '-H', 'X: 1', '-u', 'me:secret', $site ]);
    same([ '-F', 'a=b', '-H', "Content-Type:$_", $site ])
        for ' multipart/x', ' multipart/x; y=z';
    same([ '-F', 'a=@text.txt', $site, "$site/b" ]);
    same([ '-L', '-F', 'a=@text.txt', "$site/move/307?/" ]);
    same([ '-L', '-F', 'a=@text.txt', "$site/move/302?/" ],
         edit => sub { same_boundary(); s/^Content-Length: 0\r\n//mg });

    my $r = sent('--retry', 1, '--retry-delay', 0.01, "$site/fail/1/503/form");
    is($r->{requests}[1], $r->{requests}[0], '--retry');

    my $url = 'https://localhost:' . $t->port(2) . '/';
    my @bodies = map { $_->{requests}[0] =~ s/^.*?\r\n\r\n//sr }
                 sent($url), sent('--fallback', $url);

    like($bodies[0], qr/filename="text.txt"/, 'over ATLS');
    is($bodies[1], $bodies[0], '--fallback');

    done_testing();
}


sub sent {
    my $r = $t->run_one('atls', '-F', 'a=@text.txt', @_);

    is($r->{code}, 0, "@_") or diag($r->{err});
    $r->{requests} = [ map { same_boundary(); $_ } @{$r->{requests}} ];

    return $r;
}


sub errors {
    form([ 'a=@absent' ], code => 26);
    form([ 'a=<absent' ], code => 26);
    form([ "a=\@page.html;encoder=7bit" ], code => 26);

    my %errors = (
        'a'                 => 'invalid field "a", must be NAME=VALUE',
        '=(;type=x/y'       => 'nested parts are not supported in -F',
        '=)'                => 'nested parts are not supported in -F',
        'a=b;encoder=c'     => 'unknown encoder "c"',
    );

    for my $field (sort keys %errors) {
        my $r = $t->run_one('atls', '-F', $field, $site);

        is($r->{code}, 2, "-F '$field'");
        like($r->{err}, qr/\Q$errors{$field}\E/, 'why');
    }

    is($t->run_one('atls', '-F', 'a=b', @$_, $site)->{code}, 2, "-F and $_->[0]")
        for [ '-d', 'x' ], [ '-T', 'none' ], [ '-I' ], [ '-C', 5 ];

    done_testing();
}
