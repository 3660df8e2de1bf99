#!/usr/bin/perl

# tools/deps.sh and tools/apt-install.sh: what the demonstration requires and no
# more; what is installed, and how large it is, is said before; services are
# neither started nor enabled, and nothing is left.

use strict;
use warnings;

use Cwd qw( abs_path );
use File::Basename qw( dirname );
use File::Path qw( make_path remove_tree );
use File::Temp qw( tempdir );
use FindBin;

use Test::More;

my $root = abs_path("$FindBin::Bin/..");
my $dir = tempdir('atls-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
my $tree = "$dir/tree";
my $log = "$dir/log";

plan skip_all => 'nothing here depends on how nginx runs'
    if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};

delete $ENV{NGINX_SRC};

spew("$tree/tools/deps.sh", slurp("$root/tools/deps.sh"));
chmod 0755, "$tree/tools/deps.sh";

program("$tree/bin/id", 'echo 0');
program("$tree/bin/dpkg-query", "cat $dir/status 2>/dev/null");
program("$tree/bin/apt-cache", <<'EOC');
shift

for package; do
    [ $package != fish ] || exit 100
    printf 'Package: x\nSize: 2000000\nInstalled-Size: 7000\n'
done
EOC

subtest('the demonstration' => \&demo);
subtest('the tests' => \&tests);
subtest('package lists' => \&lists);
subtest('without root' => \&without_root);

SKIP: {
    skip 'not root, no namespaces, or no systemd', 3
        if $> || system('unshare --mount true 2>/dev/null')
           || ! -d '/lib/systemd/system';

    subtest('services' => \&services);
    subtest('an existing policy' => \&existing_policy);
    subtest('failure' => \&failure);
}

done_testing();


sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or return '';
    local $/;
    return scalar <$fh>;
}


sub spew {
    my ($path, $text) = @_;

    make_path(dirname($path));
    open my $fh, '>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
}


sub program {
    my ($path, $text) = @_;

    spew($path, "#!/bin/sh\n$text\n");
    chmod 0755, $path;
}


# apt-get -s has packages for the first names and one more; "update" succeeds.

sub apt_get {
    my ($code) = @_;

    program("$tree/bin/apt-get", <<"EOC");
echo "apt-get \$*" >>$log
$code

case " \$* " in
*' update '*) touch $dir/updated; exit ;;
esac

echo 'Inst gcc (4:12.2.0-3 Debian:12.11/stable [amd64])'
echo 'Inst libssl3 [3.0.1-1] (3.0.2-1 Debian:12.11/stable [amd64]) []'
echo 'Conf gcc (4:12.2.0-3 Debian:12.11/stable [amd64])'
EOC
}


sub apt_install {
    my ($code) = @_;

    program("$tree/tools/apt-install.sh",
            "echo \"installing: \$*\"\necho install \$* >>$log\n$code");
}


# The exit status, the output, and commands that were run.

sub deps {
    my (@args) = @_;

    local $ENV{PATH} = "$tree/bin:$ENV{PATH}";

    unlink $log, "$dir/updated";
    my $out = `cd $tree && tools/deps.sh @args 2>&1`;

    return ($? >> 8, $out, slurp($log));
}


sub demo {
    apt_get('');
    apt_install('');

    my ($status, $out, $run) = deps('demo');
    my ($packages) = $run =~ /^install (.*)$/m;

    is($status, 0, 'exit status') or diag($out);
    like(" $packages ", qr/ $_ /, $_)
        for qw( gcc make nginx libcurl4-openssl-dev libnet-ssleay-perl );
    unlike($packages, qr/jdk|node|squid|prometheus|nginx-dev|wolfssl|python/,
           'nothing for other tests');
    unlike($run, qr/update/, 'package lists are not updated');

    my ($before) = $out =~ /\A(.*?)^installing: /ms;

    is(join(' ', $before =~ /^deps: installing (.*?)\ndeps:/s) =~ s/\s+/ /gr,
       $packages, 'the names are said before');
    like($before, qr/^deps:\ with\ dependencies\ 2\ packages,\ 4\.0\ MB\ to
                     \ download,\ 14\.0\ MB\ on\ disk$/mx, 'the sizes, too');
    is(join("\n", grep { length > 80 } split /\n/, $before), '', 'short lines');

    local $ENV{NGINX_SRC} = '/src';
    unlike((deps('demo'))[2], qr/^install .*\bnginx\b/m, 'with NGINX_SRC');

    spew("$dir/status", 'installed');
    is(join(' ', deps('demo')), '0  ', 'nothing is missing');
    unlink "$dir/status";
}


sub tests {
    program("$tree/bin/npm", "echo npm \$* >>$log; exit 1");

    my ($status, $out, $run) = deps('');

    is($status, 0, 'exit status') or diag($out);
    like($run, qr/^install gcc .* default-jdk-headless\b/m, 'default');
    like($run, qr/^npm install .* http_ece\@[\d.]+$/m, 'of npm');
    like($out, qr/^deps: cannot install http_ece\S+ some tests are skipped$/m,
         'which are not required');

    make_path(map { "$tree/build/npm/node_modules/$_" } qw( http_ece koffi
                                                            coap ));
    unlike((deps(''))[2], qr/npm install/, 'installed before');

    is((deps('valgrind'))[2] =~ /^(install .*)/m ? $1 : '', 'install valgrind',
       'a package');
}


sub lists {
    apt_get("[ -e $dir/updated ] || [ \$1 = -qq -o \$1 = update ] || exit 100");

    my ($status, $out, $run) = deps('gcc', 'fish');

    is($status, 0, 'no lists') or diag($out);
    like($out, qr/^deps: updating the package lists$/m, 'they are updated');
    like($out, qr/^deps: no package fish in this release$/m, 'one is unknown');
    like($run, qr/^install gcc$/m, 'the other one is installed');

    apt_get('');
    apt_install("[ -e $dir/updated ] || exit 1");
    ($status, $out, $run) = deps('gcc');
    is($status, 0, 'old lists') or diag($out);
    like($run, qr/^install gcc\napt-get update.*\ninstall gcc$/m, 'again');

    apt_install('exit 1');
    isnt((deps('gcc'))[0], 0, 'it fails again');
    apt_install('');
}


sub without_root {
    local $ENV{PATH} = "$tree/bin:/nothing";

    program("$tree/bin/id", 'echo 1000');
    symlink "/bin/$_", "$tree/bin/$_"
        for qw( bash sh env cat dirname sed awk fold grep touch );

    unlink $log;
    my $out = `cd $tree && /bin/bash tools/deps.sh gcc 2>&1`;

    isnt($?, 0, 'exit status');
    like($out, qr!^deps: run as root: tools/apt-install\.sh gcc$!m, 'why');

    program("$tree/bin/sudo", "echo sudo >>$log\nexec \"\$@\"");
    $out = `cd $tree && /bin/bash tools/deps.sh gcc 2>&1`;
    is($?, 0, 'with sudo') or diag($out);
    like(slurp($log), qr/^sudo\ninstall gcc$/m, 'it is used');
}


# apt-install.sh with directories of its own for /etc and others.  apt-get asks the
# policy as maintainer scripts do, for a new and an existing service.

sub apt {
    my ($code, $policy) = @_;

    machine($policy);

    return run_apt($code);
}


sub machine {
    my ($policy) = @_;

    remove_tree(map { "$dir/$_" } qw( etc sbin systemd ));
    make_path(map { "$dir/etc/$_" }
                  qw( init.d systemd/system ));
    spew("$dir/etc/init.d/$_", '') for qw( old haproxy );
    spew("$dir/systemd/other.service", '');
    make_path("$dir/sbin");
    program("$dir/sbin/policy-rc.d", $policy) if $policy;
}


sub run_apt {
    my ($code) = @_;

    program("$dir/apt/$_", "echo $_ \$* >>$log")
        for qw( update-rc.d deb-systemd-helper );
    program("$dir/apt/apt-get", <<"EOC");
for package; do :; done
echo "apt-get \$*" >>$log
echo 'dlstatus:1:50.1:Retrieving file 1 of 2' >&3
echo 'pmstatus:x:40.0:Unpacking x' >&3

for service in new nginx old other.service; do
    s=0
    /usr/sbin/policy-rc.d --quiet \$service '(start)' || s=\$?
    echo "\$service \$s" >>$log
done

touch /etc/init.d/new /etc/init.d/nginx \\
      /lib/systemd/system/prometheus.service
$code
EOC

    unlink $log;
    my $out = `cd $root && unshare --mount sh -euc '
                   mount --bind $dir/etc /etc
                   mount --bind $dir/sbin /usr/sbin
                   mount --bind $dir/systemd /lib/systemd/system
                   PATH=$dir/apt:/usr/bin:/bin
                   exec tools/apt-install.sh x' 2>&1`;

    return ($? >> 8, $out, slurp($log));
}


sub services {
    my ($status, $out, $run) = apt('');

    is($status, 0, 'exit status') or diag($out);
    like($run, qr/^apt-get install -y .*--no-remove --no-install-recommends/m,
         'apt-get');
    like($run, qr/^new 101\nnginx 101$/m, 'new services are not started');
    like($run, qr/^old 0\nother\.service 0$/m, 'others are');
    is(join("\n", $run =~ /^.* disable\b.*$/mg), "update-rc.d nginx disable\n"
       . "deb-systemd-helper disable nginx.service\n"
       . 'deb-systemd-helper disable prometheus.service',
       'nginx and Prometheus are disabled');
    like($out, qr/^downloading, 40%\ninstalling, 40%$/m, 'progress');
    like($out, qr/^nginx is not started, nor will it be at boot$/m, 'said');
    ok(!-e "$dir/sbin/policy-rc.d", 'nothing is left');
}


sub existing_policy {
    my $policy = 'echo "policy $*" >>' . "$log\nexit 101";
    my ($status, $out, $run) = apt('', $policy);

    is($status, 0, 'exit status') or diag($out);
    like($run, qr/^policy --quiet old \(start\)\nold 101$/m, 'it decides');
    unlike($run, qr/policy --quiet new/, 'not for the new service');
    is(slurp("$dir/sbin/policy-rc.d"), "#!/bin/sh\n$policy\n", 'it is back');
    ok(!-e "$dir/sbin/policy-rc.d.atls-saved", 'nothing else is left');
}


sub failure {
    my ($status, $out, $run) = apt('echo it is broken; exit 100');

    is($status, 1, 'exit status');
    like($out, qr/^it is broken$/m, 'why');
    like($run, qr/^update-rc.d nginx disable$/m, 'the service is disabled');
    ok(!-e "$dir/sbin/policy-rc.d", 'nothing is left');

    # killed: what is left has no effect, and the next run removes it

    my $policy = "$dir/sbin/policy-rc.d";

    apt('kill -KILL $(cut -d " " -f 4 /proc/$PPID/stat)', 'exit 7');
    ok(-e "$policy.atls-saved", 'it was killed');
    is(system('unshare', '--mount', 'sh', '-c',
              "mount --bind $dir/sbin /usr/sbin; $policy new start") >> 8, 7,
       'the existing policy decides');
    is((run_apt(''))[0], 0, 'the next run');
    is(slurp($policy), "#!/bin/sh\nexit 7\n", 'the existing policy is back');
}
