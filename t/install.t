#!/usr/bin/perl

# make help, make module, make client, make install and make uninstall: each
# needs its own dependencies only; nginx is asked where the module is installed,
# and whether it can load it; the next command is printed and works; nothing is
# left.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cwd qw( abs_path );
use File::Basename qw( dirname );
use File::Find qw( find );
use File::Path qw( make_path );
use File::Temp qw( tempdir );

use Test::More;

use Test::Atls;

my $root = Test::Atls::root();
my $module = Test::Atls::module();
my $nginx = Test::Atls::binary();
my $build = dirname($module);
my $name = 'ngx_http_atls_module.so';
my $dir = tempdir('atls-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);

# the module would be built for the installed nginx

plan skip_all => 'built for another nginx'
    if $ENV{NGINX_SRC} || $ENV{NGINX_OPTIONS};

# what a make that runs this test has set is not for others

delete @ENV{qw( MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES BUILD OUT DESTDIR
                PREFIX LIBDIR MANDIR NGINX_BINARY NGINX_SRC NGINX_OPTIONS )};

plan skip_all => 'nothing here depends on how nginx runs'
    if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};
plan skip_all => "$build is not built by make"
    unless $module ne '' && -e "$build/flags";

subtest('make help' => \&help);
subtest('dependencies' => \&dependencies);
subtest('DESTDIR' => \&destdir);
subtest('ldconfig' => \&ldconfig);
subtest('modules-enabled' => \&modules_enabled);
subtest('nginx.conf' => \&nginx_conf);
subtest('another nginx' => \&another_nginx);

done_testing();


sub slurp {
    my ($path) = @_;

    open my $fh, '<:raw', $path or return '';
    local $/;
    return scalar <$fh>;
}


sub spew {
    my ($path, $text) = @_;

    make_path(dirname($path));
    open my $fh, '>:raw', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";

    return $path;
}


sub program {
    my ($path, $text) = @_;

    chmod 0755, spew($path, "#!/bin/sh\n$text\n");

    return $path;
}


# The exit status and the output of a command.

sub run {
    my ($command, %env) = @_;

    local @ENV{keys %env} = values %env;
    my $out = `cd $root && { $command; } 2>&1 </dev/null`;

    return ($? >> 8, $out);
}


# Files and links below a directory.

sub files {
    my ($top) = @_;

    my @files;

    find(sub {
        push @files, $File::Find::name =~ s!^\Q$top\E!!r if -l || -f;
    }, $top);

    return join "\n", sort @files;
}


sub help {
    my ($status, $out) = run('make help');
    my @targets = map { split } slurp("$root/Makefile") =~ /^\.PHONY:(.*)$/mg;

    is($status, 0, 'make help') or diag($out);
    is(join("\n", sort $out =~ /^([\w-]+) /mg), join("\n", sort @targets),
       'each target has a line');
    is(join("\n", grep { length > 80 } split /\n/, $out), '', 'a short one');
}


# Without pkg-config and libcurl, the module can be built, and nothing is said;
# the client says what is missing.  The client does not need nginx.

sub dependencies {
    my $path = dirname(program("$dir/none/pkg-config",
                               'echo "$0: not found" >&2; exit 127'));
    my %env = (PATH => "$path:$ENV{PATH}");
    my ($status, $out) = run("make BUILD=$build module", %env);

    is($status, 0, 'the module without pkg-config') or diag($out);
    unlike($out . (run('make help', %env))[1], qr/pkg-config: not found/,
           'which is not mentioned');

    ($status, $out) = run("make BUILD=$dir/client client", %env);
    isnt($status, 0, 'the client without pkg-config');
    like($out, qr/^The\ client\ requires\ pkg-config,\ libcurl\ .*
                  \ libcurl4-openssl-dev\ .*\ make\ module\.$/xm,
         'what to install');

    ($status, $out) = run('make -n client');
    is($status, 0, 'make -n client') or diag($out);
    unlike($out, qr/build\.sh|nginx/, 'the client without nginx');
}


sub destdir {
    my $dest = "$dir/dest";
    my $args = "BUILD=$build DESTDIR=$dest NGINX_BINARY=$nginx";
    my ($status, $out) = run("make $args install");

    is($status, 0, 'make install') or diag($out);
    like($out, qr/^installed \Q$dest\E\S+\/$name$/m, 'the module');
    unlike($out, qr/^next/m, 'no next command');

    my $files = files($dest);

    like($files, qr!^/\S+/modules/$name$!m, 'installed');
    like($files, qr!^/usr/local/$_$!m, $_)
        for qw( bin/atls include/atls.h lib/libatls.a lib/libatls.so
                lib/libatls.so.0 lib/pkgconfig/atls.pc share/man/man1/atls.1
                share/man/man3/libatls.3
                share/bash-completion/completions/atls
                lib/systemd/system/atls-forward@.service ),
            system('pkg-config --exists libcoap-3-openssl') == 0
            ? qw( bin/atls-gateway lib/systemd/system/atls-gateway.service )
            : ();

    # RPM's build would fail with files that are in no package

    my $spec = slurp("$root/tools/nginx-mod-http-atls.spec");

    like($spec, qr!^%\{_(?:bin|unit)dir\}/\Q$_\E$!m, "$_: in a package of RPM")
        for $files =~ m!^/usr/local/(?:bin|lib/systemd/system)/(\S+)$!mg;

    ($status, $out) = run("make $args uninstall");
    is($status, 0, 'make uninstall') or diag($out);
    is(files($dest), '', 'nothing is left');

    ($status, $out) = run("make $args uninstall");
    is($status, 0, 'a second time') or diag($out);
}


sub ldconfig {
    plan skip_all => 'only root runs it' if $>;

    my $path = dirname(program("$dir/ldconfig/ldconfig",
                               "echo run >>$dir/ldconfig/log"));
    my %env = (PATH => "$path:$ENV{PATH}");

    for my $target (qw( install-client uninstall )) {
        my $args = "BUILD=$build NGINX_BINARY=@{[ fake_nginx('none') ]}";

        run("make $args DESTDIR=$dir/dest $target", %env);
        is(slurp("$dir/ldconfig/log"), '', "$target with DESTDIR");

        my ($status, $out) = run("make $args PREFIX=$dir/prefix $target", %env);
        is($status, 0, $target) or diag($out);
        is(slurp("$dir/ldconfig/log"), "run\n", 'ldconfig is run');
        unlink "$dir/ldconfig/log";
    }

    is(files("$dir/prefix"), '', 'nothing is left');

    # the path in it depends on PREFIX

    unlink "$build/atls.pc";
}


# An nginx with paths in a directory of its own, and with other options.

sub fake_nginx {
    my ($where, %args) = @_;

    my $top = "$dir/$where";
    my $info = $args{info} || `$nginx -V 2>&1`;

    $info =~ s/ --(?:prefix|conf-path|modules-path)=\S+//g;
    $info =~ s/^(configure arguments:)/$1 --prefix=$top\/share $args{options}/m
        if $args{options};
    $info =~ s/^(configure arguments:)/$1 --prefix=$top/m unless $args{options};

    spew("$top/info", $info);
    make_path("$top/share", "$top/lib/modules", "$top/etc");

    return program("$top/nginx", "[ \"\$1\" != -V ] || exec cat $top/info >&2\n"
                                 . "exec $nginx \"\$@\"");
}


sub modules_enabled {
    my $top = "$dir/debian";
    my $fake = fake_nginx('debian', options => "--modules-path=$top/lib/modules"
                                            . " --conf-path=$top/etc/conf");
    my $install = "NGINX_BINARY=$fake OUT=$build tools/install.sh";
    my $snippet = "$top/share/modules-available/mod-http-atls.conf";
    my $link = "$top/etc/modules-enabled/50-mod-http-atls.conf";

    symlink '../lib/modules', "$top/share/modules";
    spew("$top/etc/conf", "pid $top/pid;\n"
                          . "include $top/etc/modules-enabled/*.conf;\n"
                          . "events {\n}\nhttp {\natls_zone atls:1m;\n}\n");
    make_path(dirname($link));

    my ($status, $out) = run("$install install");

    is($status, 0, 'install') or diag($out);
    ok(-e "$top/lib/modules/$name", 'the module');
    is(slurp($snippet), "load_module modules/$name;\n", 'modules-available');

    my ($next) = $out =~ /^next: (.*)$/m;
    is($next, "ln -s $snippet $link", 'the next command');

    my $test = "$nginx -t -q -e stderr -p $top/share -c $top/etc/conf";

    isnt((run($test))[0], 0, 'nginx without the module');
    is((run($next))[0], 0, 'the next command works');
    ($status, $out) = run($test);
    is($status, 0, 'nginx with the module') or diag($out);

    like((run("$install install"))[1], qr/^next: restart nginx$/m, 'again');

    ($status, $out) = run("$install remove");
    is($status, 0, 'remove') or diag($out);
    unlink "$top/pid";
    is(files($top), "/etc/conf\n/info\n/nginx\n/share/modules",
       'nothing is left, nor a link to nothing');
}


# Without modules-enabled, as in the packages of nginx.org.  If "modules" in the
# prefix is another directory, the path is absolute.

sub nginx_conf {
    my $top = "$dir/org";
    my $fake = fake_nginx('org', options => "--modules-path=$top/lib/modules"
                                            . " --conf-path=$top/etc/conf");
    my $install = "NGINX_BINARY=$fake OUT=$build tools/install.sh install";

    spew("$top/etc/conf", "events {\n}\n");

    my $next = "next: add to the beginning of $top/etc/conf:\nload_module";
    my ($status, $out) = run($install);

    is($status, 0, 'install') or diag($out);
    like($out, qr!^\Q$next $top/lib/modules/$name;\E\n\z!m, 'an absolute path');

    symlink '../lib/modules', "$top/share/modules";
    like((run($install))[1], qr!^\Q$next modules/$name;\E\n\z!m,
         'a relative path');

    $fake = fake_nginx('own');
    ($status, $out) = run("NGINX_BINARY=$fake OUT=$build tools/install.sh"
                          . ' install');
    is($status, 0, 'the defaults of nginx') or diag($out);
    like($out, qr!^next: add .* \Q$dir/own/conf/nginx.conf\E:$!m, 'nginx.conf');
    ok(-e "$dir/own/modules/$name", 'the module');
}


# nginx refuses a module with another signature.

sub another_nginx {
    my $out_dir = "$dir/misfit";
    my $info = `$nginx -V 2>&1`;
    my $so = slurp($module);

    $so =~ s/\b(\d,\d,\d,[01]{30,})([01])\b/$1 . (1 - $2)/e
        or die "the module has no signature\n";
    spew("$out_dir/$name", $so);
    spew("$out_dir/nginx-binary", "$nginx\n");
    symlink abs_path("$build/nginx"), "$out_dir/nginx";

    my $misfit = sub {
        my ($where, $text) = @_;

        my $fake = fake_nginx($where, info => $text);
        my ($status, $out) = run("NGINX_BINARY=$fake OUT=$out_dir"
                                 . ' tools/install.sh install');

        is($status, 1, "$where: not installed");
        like($out, qr/^install: module "\S+" is not binary compatible$/m,
             'the message of nginx');
        ok(!-e "$dir/$where/modules/$name", 'nothing is installed');

        return $out;
    };

    like($misfit->('options', $info),
         qr/^install: build the module with the configure arguments of /m,
         'how to build it');

    like($misfit->('compat', $info =~ s/ --with-compat//r),
         qr/^install: \S+ was built without --with-compat$/m, '--with-compat');

    like($misfit->('version', $info =~ s/(version: \S+?\/)\S+/${1}9.8.7/r),
         qr/^install: \S+ is version 9\.8\.7, but the module was built for \d/m,
         'the version');

    my ($status, $out) = run("OUT=$build NGINX_BINARY=$dir/nothing"
                             . ' tools/install.sh install');
    is($status, 1, 'no nginx');
    is($out, "install: $dir/nothing cannot be run\n", 'which one');
}
