#!/usr/bin/perl

# The module builds without hiredis.  Then the directives for several machines
# are refused with a message, and everything else is there.

use strict;
use warnings;

use Cwd qw( abs_path );
use File::Temp qw( tempdir );
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;


my $root = abs_path("$FindBin::Bin/..");
my $dir = tempdir('atls-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
my $module = "$dir/build/ngx_http_atls_module.so";

# variables set by the make that runs this test are not for another build

delete @ENV{qw( MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES BUILD OUT )};

plan skip_all => 'nothing here depends on how nginx runs'
    if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};
plan skip_all => 'another nginx was built, too' if $ENV{NGINX_SRC};
plan skip_all => 'a static module' if Test::Atls::module() eq '';

plan tests => 12;


# The compiler finds these headers instead of those of hiredis, if it is there.

sub hide_hiredis {
    mkdir "$dir/hiredis";

    for my $name (qw( hiredis.h async.h )) {
        open my $fh, '>', "$dir/hiredis/$name" or die "$name: $!\n";
        print $fh "#error no hiredis\n";
        close $fh;
    }

    $ENV{CPATH} = $dir;
}


hide_hiredis();

my $out = `cd $root && OUT=$dir/build CFLAGS=-O0 nice tools/build.sh 2>&1`;

is($?, 0, 'a build without hiredis') or diag($out);
ok(-e $module, '... of the module');

my $log = `cat $dir/build/configure.log`;

like($log, qr/^checking for hiredis \.\.\. not found$/m, '... as configured');
unlike(`ldd $module`, qr/hiredis/, '... and linked');

$ENV{TEST_NGINX_MODULE} = $module;
my $t = Test::Atls->new();

my $inner = $t->write_inner()->read_file('nginx.conf');

sub conf { $inner =~ s/^http \{\n/http {\n$_[0]\n/mr }

$t->write_file('store.key', 'x' x 32);

my $node = 'atls_node a 127.0.0.1:1;';
my $key = 'atls_store_key ' . $t->path('store.key') . ';';
my $message = '"atls_store" directive is not supported: '
              . 'the module was built without hiredis';

is($t->config_error(conf('')), '', 'no store');

for my $url ('redis://127.0.0.1', 'redis://unix:/s each', 'anything') {
    like($t->config_error(conf("$node atls_store $url; $key")),
         qr/$message in .*config-test\.conf:\d+$/m, "atls_store $url");
}

like($t->config_error(conf("$node $key")), qr/"atls_store" is missing/,
     'no atls_store');

$t->run();

my $c = $t->client();

ok($c->handshake(), 'a handshake') or diag($c->error());
is($c->get('/')->body(), "inner\n", '... and a request');

$t->stop();
unlike($t->read_file('error.log'), qr/\[(?:error|crit|alert|emerg)\]/,
       'no errors');
