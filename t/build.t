#!/usr/bin/perl

# A copy of a built tree builds its own files, and not those of the original.
# The source of nginx is the newest one available; headers are those of the
# installed nginx.

use strict;
use warnings;

use Cwd qw( abs_path );
use File::Temp qw( tempdir );
use FindBin;

use Test::More;

my $root = abs_path("$FindBin::Bin/..");
my $dir = tempdir('atls-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);

# variables set by the make that runs this test are not for other trees

delete @ENV{qw( MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES BUILD OUT )};

plan skip_all => 'nothing here depends on how nginx runs'
    if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};

plan tests => 23;


sub file {
    my ($path, $content) = @_;

    if (defined $content) {
        open my $fh, '>', $path or die "$path: $!\n";
        print $fh $content;
        close $fh or die "$path: $!\n";
    }

    open my $fh, '<:raw', $path or return '';
    local $/;
    return scalar <$fh>;
}


# The exit status and the output.

sub run {
    my ($command) = @_;

    my $out = `( $command ) 2>&1`;

    return ($? >> 8, $out);
}


# Like cp -r: files have the current time.

sub copy_tree {
    my ($to, @without) = @_;

    my $without = join ' ', map { "--exclude=./$_" } '.git', @without;

    mkdir $to or die "$to: $!\n";
    my ($status, $out) = run("tar -C $root $without -cf - ."
                             . " | tar -C $to -xmf -");
    die $out if $status;
}


# a modified copy of a built tree

SKIP: {
    skip 'another nginx was built, too', 7 if $ENV{NGINX_SRC};
    skip 'build/ is not built', 7 unless -e "$root/build/fingerprint"
                                         && -e "$root/build/atls";

    my $copy = "$dir/copy";

    copy_tree($copy, map { "build/$_" } qw( source matrix static asan bench ));

    for my $name ('src/outer/ngx_http_atls_handler.c',
                  'src/client/lib/target.c')
    {
        my $text = file("$copy/$name");
        file("$copy/$name",
             $text . "\nextern const char atls_copied[];\n"
             . "const char atls_copied[] = \"built in the copy\";\n");

        # an old time is not relevant, either

        utime 1, 1, "$copy/$name";
    }

    my @built = qw( build/ngx_http_atls_module.so build/atls );
    my ($status, $out) = run("make -C $copy all");

    is($status, 0, 'a copy of a built tree builds') or diag($out);
    ok(file("$copy/$_") =~ /built in the copy/, "$_ is that of the copy")
        for @built;

    unlike(file("$copy/build/nginx/objs/Makefile"), qr/\Q$root\E\//,
           'nothing of the old tree is built');

    ($status, $out) = run("make -C $copy all");
    unlike($out, qr/configuring| -c /, 'once is enough');

    # the page of atls_status is compiled, too

    file("$copy/src/page/status.js",
         file("$copy/src/page/status.js") . "/* built in the copy, too */\n");
    run("make -C $copy module");
    ok(file("$copy/$built[0]") =~ m!/\* built in the copy, too \*/!,
       'a changed page is built');

    # the client is rebuilt with other flags, too

    ($status, $out) = run("make -C $copy -n CFLAGS='-O2 -DOTHER' build/atls");
    like($out, qr/-DOTHER.* -c .*target\.c/, 'other flags build it again');
}


# tools/page.sh

{
    my $tree = "$dir/page";

    system("mkdir -p $tree/src && cp -r $root/src/page $tree/src"
           . " && cp -r $root/tools $tree") == 0 or die "cp failed\n";

    # all characters that are special in C

    my $text = q{/* "'\\n??=%s#{}$(`x`) */};

    file("$tree/src/page/texts.js", "$text\n");

    my ($status, $out) = run("$tree/tools/page.sh");
    my ($c) = $out =~ /(ngx_string\(.*\))/s;

    is($status, 0, 'a page');
    is(compiled($c), $text, 'its text in C');

    file("$tree/src/page/texts.js", qq{"a </script> in a string"\n});
    ($status, $out) = run("$tree/tools/page.sh");

    is($status, 1, 'an end of the script in the script');
    like($out, qr!a </script> in a string!, '... is shown');
}


# What a compiler makes of the strings: the line with /* "...

sub compiled {
    my ($strings) = @_;

    file("$dir/page.c", <<"EOC");
#include <stdio.h>
#define ngx_string(s) s
const char *parts[] = { $strings };
int main(void) { fputs(parts[3], stdout); return 0; }
EOC

    my ($status, $out) = run("cc -Wall -Werror -o $dir/page.out $dir/page.c"
                             . " && $dir/page.out");

    return $out =~ m!^(/\* ".*)$!m ? $1 : $out;
}


# tools/debian-source.sh with repositories that list missing files

sub nginx_source {
    my ($name, $listed, $there) = @_;

    my $tree = "$dir/$name";
    my %there = map { $_ => 1 } @$there;

    mkdir $_ for $tree, "$tree/tools", "$tree/bin";
    file("$tree/tools/$_", file("$root/tools/$_"))
        for qw( debian-source.sh deps.sh );

    my %commands = (
        'dpkg-query' => 'echo installed',
        'apt-cache'  => join('; ', map { "echo Package: nginx; "
                                         . "echo Version: $_" } @$listed),
        'apt-get'    => join("\n", 'for last; do :; done', 'case $last in',
                             'update) ;;',
                             (map { "nginx=$_) mkdir nginx-$_ ;;" } @$there),
                             'nginx=*) : >nginx_1.orig.tar.gz; exit 100 ;;',
                             'esac'),
    );

    for my $command (keys %commands) {
        file("$tree/bin/$command", "#!/bin/sh\n$commands{$command}\n");
    }

    chmod 0755, glob("$tree/bin/*"), glob("$tree/tools/*");

    my ($status, $out) = run("cd $tree"
                             . " && PATH=$tree/bin:\$PATH"
                             . ' tools/debian-source.sh nginx 2>said');

    return ($status, $out, file("$tree/said"));
}


{
    my ($status, $out, $said) = nginx_source('newest', [ '1.9-1', '1.10-1' ],
                                             [ '1.9-1', '1.10-1' ]);

    like($out, qr!/nginx-1\.10-1\n\z!, 'the newest source');

    ($status, $out, $said) = nginx_source('second',
                                          [ '1.9-1', '1.10-10', '1.10-9' ],
                                          [ '1.9-1', '1.10-9' ]);

    is($status, 0, 'the newest source that is there');
    like($out, qr!\A\S+/build/source/nginx-1\.10-9\n\z!, 'and nothing else');
    like($said, qr/does not have the source of nginx 1\.10-10$/m,
         'it says what is not there');
    like($said, qr/^debian-source: nginx 1\.10-9$/m, 'and what it takes');

    ($status, $out) = nginx_source('none', [ '1.9-1' ], []);

    isnt($status, 0, 'no source is a failure');
}


# tools/nginx-headers.sh with an nginx, its package, and nginx-dev packages

sub nginx_headers {
    my ($name, $version, $package, @there) = @_;

    my $tree = "$dir/$name";
    my $src = 'usr/share/nginx/src';

    mkdir $_ for $tree, "$tree/tools", "$tree/bin";
    file("$tree/tools/nginx-headers.sh", file("$root/tools/nginx-headers.sh"));

    my %commands = (
        'nginx'      => "echo nginx version: nginx/$version >&2",
        'dpkg-query' => "echo $package",
        'apt-cache'  => join('; ', map { "echo Version: $_" } @there),
        'apt-get'    => join("\n", 'for last; do :; done', 'case $last in',
                             map({ "nginx-dev=$_) echo $_ >nginx-dev_1.deb;;" }
                                 @there),
                             '*) exit 100 ;;', 'esac'),
        'dpkg-deb'   => "mkdir -p $src/src/core\n"
                        . "sed 's/\\(.*\\)-.*/#define NGINX_VERSION \"\\1\"/'"
                        . " \$2 >$src/src/core/nginx.h",
    );

    file("$tree/bin/$_", "#!/bin/sh\n$commands{$_}\n") for keys %commands;
    chmod 0755, glob("$tree/bin/*"), glob("$tree/tools/*");

    my ($status, $out) = run("cd $tree && PATH=$tree/bin:\$PATH"
                             . ' tools/nginx-headers.sh');

    return ($status, $out, file("$tree/build/nginx-dev/nginx-dev_1.deb"));
}


{
    my @there = ('1.9.8-2', '1.9.7-1');
    my ($status, $out, $deb) = nginx_headers('headers', '1.9.7', '1.9.7-1',
                                             @there);

    like($out, qr!\A\S+/headers/build/nginx-dev/usr/share/nginx/src\n\z!,
         'the directory of headers');
    is($deb, "1.9.7-1\n", 'those of the installed package');

    # nginx was upgraded, the headers were not

    ($status, $out, $deb) = nginx_headers('headers', '1.9.8', '1.9.8-1',
                                          @there);
    is("$status $deb", "0 1.9.8-2\n", 'another build of the same version');

    ($status, $out) = nginx_headers('headers', '1.9.8', '1.9.8-1');
    is($status, 0, 'the same again');

    ($status, $out) = nginx_headers('headers', '1.9.9', '1.9.9-1', @there);
    is($status, 1, 'no headers of this version');
    like($out, qr/^nginx-headers: nginx-dev of the installed nginx, 1\.9\.9,/,
         'what is missing');
}
