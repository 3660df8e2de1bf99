#!/usr/bin/perl

# Measures the cost of counting for atls_status, of keeping responses for
# retries, and of a store at the machine of the session: instructions of a small
# request, in a worker process and its libraries, with the module, with a copy
# that does not count, with atls_retry_buffer 0, and with atls_store.  The costs
# are too small to be measured by time.
#
#     perl -I t/lib t/bench/count.pl DIR [-q]     DIR: for the copy; -q: quick
#
# Each line of the output is a name, 1, and a number of instructions.

use strict;
use warnings;

use Cwd qw( abs_path );
use File::Basename qw( dirname );
use File::Path qw( make_path );

use Test::Atls;
use Test::Atls::Client;


my $dir = shift or die "count.pl DIR [-q]\n";
my $quick = @ARGV && $ARGV[0] eq '-q';

my $root = Test::Atls::root();
my $module = Test::Atls::module();
my $tree = dirname($module) . '/nginx';

# A handshake, and everything else that is not repeated, is not included.

my @REQUESTS = $quick ? (5, 25) : (50, 250);

# Neither are timers, as their number depends on the time: only the functions
# that process a POST of a keep-alive connection are, without the event loop.

my @COLLECTED = qw( ngx_http_keepalive_handler ngx_http_atls_post_event );

make_path($dir);
$dir = abs_path($dir);

# The session does not leave its machine, so the store is not needed.

my $STORE = <<'EOC';
atls_node       a 127.0.0.1:%%PORT_1%%;
atls_store      redis://127.0.0.1:%%PORT_2%% lazy;
atls_store_key  %%TESTDIR%%/store.key;

server {
    listen       127.0.0.1:%%PORT_1%% ssl;
    server_name  a;

    %%SSL_CERTIFICATE%%
    ssl_client_certificate  %%TESTDIR%%/localhost.crt;
    ssl_verify_client       on;

    location / {
        atls_peer  on;
    }
}
EOC

my $hiredis = `ldd '$module'` =~ /hiredis/;

print join("\t", @$_), "\n"
    for [ 'counted', 1, instructions($module) ],
        [ 'not counted', 1, instructions(copy()) ],
        [ 'no retries', 1, instructions($module, 'atls_retry_buffer 0;') ],
        $hiredis ? [ 'lazy', 1, instructions($module, $STORE) ] : ();


# The difference of two runs, for each request.

sub instructions {
    my ($tested, $directives) = @_;

    my ($few, $many) = map { run($tested, $_, $directives || '') } @REQUESTS;

    return sprintf '%.0f', ($many - $few) / ($REQUESTS[1] - $REQUESTS[0]);
}


sub run {
    my ($tested, $n, $directives) = @_;

    my $t = Test::Atls->new(workers => 1);
    my $out = $t->path('callgrind');

    local $ENV{TEST_NGINX_MODULE} = $tested;
    local $ENV{TEST_NGINX_WRAPPER}
        = join ' ', qw( valgrind -q --tool=callgrind ),
               "--callgrind-out-file=$out.%p",
               map { "--toggle-collect=$_" } @COLLECTED;

    $t->write_file('store.key', 'x' x 32);
    $t->write_http(<<"EOC")->run();
%%CERTIFICATE%%
keepalive_requests 10000;
$directives

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "0123456789";
    }
}
EOC

    my ($worker) = $t->workers();
    my $c = $t->established();

    for (1 .. $n) {
        my $r = $c->get('/');
        die 'no response: ', $c->error(), "\n" if !$r || $r->status() != 200;
    }

    $t->stop();
    die map { "nginx: $_\n" } $t->faults() if $t->faults();

    my ($sum) = $t->read_file("callgrind.$worker")
                =~ /^(?:totals|summary): (\d+)/m
        or die "callgrind has written nothing\n";

    return $sum;
}


# Builds a module in which nothing is counted, with the commands of nginx's
# Makefile.

sub copy {
    my $steps = `make -C '$tree' -n -B -f objs/Makefile modules 2>&1`
                =~ s/\\\n//gr;
    my @commands = grep { m!\bobjs/addon/\S+\.o\b! } split /\n/, $steps;

    die "no commands for the module\n" unless @commands > 10;

    system("cp -r '$root/src' '$root/ngx_http_atls_module.c' '$dir/'") == 0
        or die "can't copy the sources\n";

    edit('src/table/ngx_http_atls_counters.h',
         qr/\(ngx_http_atls_process\.counters->member\+\+\)/ => '((void) 0)',
         qr/\(ngx_http_atls_process\.counters->member \+?= \(n\)\)/
             => '((void) (n))');
    edit('src/table/ngx_http_atls_counters.c',
         qr/^ngx_http_atls_count_(?:time|key)\(.*\n?.*\)\n\{\K/m
             => ' return;');
    edit('src/outer/ngx_http_atls_outcome.c',
         qr/^ngx_http_atls_outcome_count\(void \*data\)\n\{\K/m
             => ' return;');

    for (@commands) {
        s!\Q$root\E/(src\b|ngx_http_atls_module\.c)!$dir/$1!g;
        s!\bobjs/addon/!$dir/objs/!g;
        s!\bobjs/(ngx_http_atls_module\.so)\b!$dir/$1!g;
        s! -c ! -w -c !;

        make_path(dirname($_)) for m!(\Q$dir\E/objs/\S+\.o)!g;
        system("cd '$tree' && $_") == 0 or die "can't build the copy\n";
    }

    return "$dir/ngx_http_atls_module.so";
}


# Replaces each pattern wherever it occurs.

sub edit {
    my ($file, @pairs) = @_;

    open my $in, '<', "$dir/$file" or die "$dir/$file: $!\n";
    my $text = do { local $/; <$in> };

    while (my ($pattern, $by) = splice @pairs, 0, 2) {
        $text =~ s/$pattern/$by/g or die "$file has no $pattern\n";
    }

    open my $out, '>', "$dir/$file" or die "$dir/$file: $!\n";
    print $out $text;
    close $out or die "$dir/$file: $!\n";
}
