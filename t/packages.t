#!/usr/bin/perl

# The source archive: the same files result in the same archive, with and
# without git, and it can be built.  Files for packages and CI, by the linters
# that are installed.  The packages are tested by "make test-packages".

use strict;
use warnings;

use Cwd qw( abs_path );
use File::Temp qw( tempdir );
use FindBin;

use Test::More;

my $root = abs_path("$FindBin::Bin/..");
my $dir = tempdir('atls-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);

# variables of a make that runs this test

delete @ENV{qw( MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES BUILD OUT NGINX_SRC )};

plan skip_all => 'nothing here depends on how nginx runs'
    if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};

my ($version) = run("$root/tools/version.sh") =~ /^(.*)$/;
my $name = "ngx_http_atls_module-$version";

like($version, qr/^\d+\.\d+\.\d+$/, 'version');

archive();
again();
build();
unit();
spec();
links();
linters();
ci();

done_testing();


sub run {
    my ($command) = @_;

    my $out = `( $command ) 2>&1 </dev/null`;

    is($?, 0, $command =~ s/\Q$dir\E/DIR/gr =~ s/\Q$root\E/ROOT/gr)
        or diag($out);

    return $out;
}


# Of a copy, since the tree may be changed by others.

sub archive {
    run("mkdir $dir/tree && tar -C $root --exclude=./build --exclude=./.git"
        . " -cf - . | tar -C $dir/tree -xf -");

    like(run("make -C $dir/tree --no-print-directory dist"),
         qr{^build/dist/\Q$name\E\.tar\.gz$}m, 'name');

    my @files = split /\n/, run("tar -tf $dir/tree/build/dist/$name.tar.gz");

    is(join(' ', grep { !m{^\Q$name\E/} } @files), '', 'in one directory');
    is(join(' ', grep { m{^\Q$name\E/(?:build/|\.)} } @files), '',
       'no hidden files');

    for my $file (qw( Makefile config ngx_http_atls_module.c README.md LICENSE
                      src/client/lib/atls.h debian/rules docs/atls.1
                      t/packages.t t/conf/debian-12/nginx.conf ))
    {
        ok((grep { $_ eq "$name/$file" } @files), $file);
    }
}


# From the unpacked archive, at another time, with another umask and in another
# time zone.

sub again {
    run("mkdir $dir/new && cd $dir/new"
        . " && umask 077 && tar -xmf $dir/tree/build/dist/$name.tar.gz"
        . " && TZ=Asia/Tokyo make -C $name --no-print-directory dist"
        . " && cmp $name/build/dist/$name.tar.gz"
        . " $dir/tree/build/dist/$name.tar.gz");

    SKIP: {
        skip 'no git', 1 if system('git --version >/dev/null 2>&1');

        run("cd $dir/new/$name && git init -q . && echo x >ignored.o"
            . " && echo '*.o' >>.git/info/exclude && git add Makefile"
            . ' && make --no-print-directory dist'
            . " && cmp build/dist/$name.tar.gz"
            . " $dir/tree/build/dist/$name.tar.gz");
    }
}


# Without optimization, and without _FORTIFY_SOURCE, which requires it.

sub build {
    run("rm -rf $dir/tree $dir/new/$name/.git && cd $dir/new/$name"
        . " && make CFLAGS=-O0");
    ok(-e "$dir/new/$name/build/$_", $_)
        for qw( atls ngx_http_atls_module.so );

    is(run("$dir/new/$name/build/atls --version"), "atls $version\n",
       'the version');
}


# The units have a program that exists, and no manual page.

sub unit {
    SKIP: {
        skip 'no systemd-analyze', 1
            if system('systemd-analyze --version >/dev/null 2>&1');

        my ($systemd) = `systemd-analyze --version` =~ /^systemd (\d+)/;

        for ([ 'atls-forward@.service', 'atls-forward@test.service' ],
             [ 'atls-gateway.service', 'atls-gateway.service' ])
        {
            my ($file, $instance) = @$_;
            my $unit = "$dir/$instance";

            run("make -C $root -s BUILD=$dir/unit $dir/unit/$file PREFIX=/usr"
                . " && sed -e 's|/usr/bin/atls[a-z-]*|/bin/true|'"
                . " -e /^Documentation=/d $dir/unit/$file >$unit");
            is(run("systemd-analyze verify $unit"), '', 'no warnings');

            run('systemd-analyze security --no-pager --offline=yes'
                . " --threshold=20 $unit") if $systemd >= 250;
        }
    }
}


# The packages for RPM have the libraries and the documentation of those for
# Debian.

sub spec {
    my $spec = slurp("$root/tools/nginx-mod-http-atls.spec");
    my $control = slurp("$root/debian/control");

    my %libraries = (
        'libcjson'         => 'libcjson',
        'libcoap3'         => 'libcoap-3-openssl',
        'libcurl4-openssl' => 'libcurl',
        'libhiredis'       => 'hiredis',
        'libssl'           => 'libssl',
        'zlib1g'           => 'zlib',
    );

    for my $library (sort keys %libraries) {
        like($control, qr/^ \Q$library\E-dev\b/m, "$library: Debian");
        like($spec, qr/^BuildRequires: +pkgconfig\(\Q$libraries{$library}\E\)/m,
             "$library: RPM");
    }

    for my $package (qw( atls atls-gateway libnginx-mod-http-atls )) {
        my ($files) = $package =~ /^libnginx/
                      ? $spec =~ /^%files\n(.*?)\n\n/ms
                      : $spec =~ /^%files -n \Q$package\E\n(.*?)\n\n/ms;
        my %has = map { $_ => 1 } map { split ' ' } $files =~ /^%doc (.*)/mg;

        for my $file (split ' ', slurp("$root/debian/$package.docs")) {
            ok($has{$file}, "$package: $file");
        }
    }
}


# The pages to which those of the packages have links are in a package, too, but
# for those about the sources.

sub links {
    my %pages = map { $_ => 1 } grep { /\.md$/ }
                map { split ' ', slurp($_) } glob "$root/debian/*.docs";

    for my $page (sort keys %pages) {
        my ($dir) = $page =~ m{^(.*/)?};
        my %to = map { ($dir // '') . $_ => 1 }
                 slurp("$root/$page") =~ m{\]\(([\w./-]+\.md)[#)]}g;

        is(join(' ', grep { !$pages{$_} && !m{^docs/(?:design|hacking)\.md$} }
                     map { s{^docs/\.\./}{}r } sort keys %to),
           '', "$page: its links");
    }
}


sub slurp {
    my ($file) = @_;

    open my $fh, '<', $file or die "$file: $!\n";
    local $/;

    return readline $fh;
}


sub linters {
    my $spec = "$root/tools/nginx-mod-http-atls.spec";
    my $ci = "$root/.github/workflows/ci.yml";

    my @commands = (
        "rpmspec -P $spec",
        "rpmlint $spec",
        map({ "$_ $root/docs/examples/Dockerfile" }
            qw( hadolint dockerfilelint )),
        -e $ci ? ("yamllint $ci", "actionlint $ci") : (),
        "shellcheck -x -S warning $root/tools/*.sh"
            . join('', map { " $root/debian/tests/$_" }
                       qw( gateway installed service )),
    );

    for my $command (@commands) {
        SKIP: {
            my ($program) = $command =~ /^(\S+)/;

            skip "no $program", 1 if system("command -v $program >/dev/null");
            run("cd $root && $command");
        }
    }
}


# The source archive does not have the file.

sub ci {
    SKIP: {
        open my $fh, '<', "$root/.github/workflows/ci.yml"
            or skip 'no CI file', 1;
        my @makes = map { /^ +- run: (make .*)$/ ? $1 : () } <$fh>;

        cmp_ok(scalar @makes, '>', 2, 'calls of make');

        for my $make (@makes) {
            run("make -n -C $root " . $make =~ s/^make |\$\{\{.*?\}\}//gr);
        }
    }
}
