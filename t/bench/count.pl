#!/usr/bin/perl

# Measures the cost of counting for atls_status, of keeping responses for
# retries, of a store at the machine of the session, and of exported keys:
# instructions of a small request, in a worker process and its libraries, with
# the module, with a copy that does not count, with atls_retry_buffer 0, with
# atls_store, and as a message.  Most of the costs are too small to be measured
# by time.
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
use Test::Atls::Message;


my $dir = shift or die "count.pl DIR [-q]\n";
my $quick = @ARGV && $ARGV[0] eq '-q';

my $root = Test::Atls::root();
my $module = Test::Atls::module();
my $tree = dirname($module) . '/nginx';

# A handshake, and everything else that is not repeated, is not included.

my @REQUESTS = $quick ? (5, 25) : (50, 250);

# The function that processes all events.  nginx may be without the names of
# static ones, which would not be found.

my $COLLECTED = 'ngx_process_events_and_timers';

# It calls this one.  Timers do not depend on requests, but on the time, which is
# long here: those of a store connect to it, and announce the machine.

my $EXCLUDED = 'ngx_event_expire_timers';

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
        $hiredis ? [ 'lazy', 1, instructions($module, $STORE) ] : (),
        [ 'exported keys', 1, instructions($module, 'atls_exported_keys on;',
                                           \&messages) ];


# The difference of two runs, for each request.

sub instructions {
    my ($tested, $directives, $requests) = @_;

    my ($few, $many) = map { run($tested, $directives || '',
                                 $requests || \&records, $_) } @REQUESTS;

    return sprintf '%.0f', ($many - $few) / ($REQUESTS[1] - $REQUESTS[0]);
}


sub run {
    my ($tested, $directives, $requests, $n) = @_;

    my $t = Test::Atls->new(workers => 1);
    my $out = $t->path('callgrind');

    local $ENV{TEST_NGINX_MODULE} = $tested;
    local $ENV{TEST_NGINX_WRAPPER}
        = join ' ', qw( valgrind -q --tool=callgrind ),
               "--callgrind-out-file=$out.%p",
               map { "--toggle-collect=$_" } $COLLECTED, $EXCLUDED;

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

    $requests->($t->established(), $n);
    $t->stop();
    die map { "nginx: $_\n" } $t->faults() if $t->faults();

    my ($sum) = $t->read_file("callgrind.$worker")
                =~ /^(?:totals|summary): (\d+)/m
        or die "callgrind has written nothing\n";

    return $sum;
}


sub records {
    my ($c, $n) = @_;

    for (1 .. $n) {
        my $r = $c->get('/');
        die 'no response: ', $c->error(), "\n" if !$r || $r->status() != 200;
    }
}


# On one connection, too.

sub messages {
    my ($c, $n) = @_;

    my $m = Test::Atls::Message->new($c);
    my $http = Test::Atls::Outer->new(%{$m->{outer}}, keepalive => 1);
    my $request = Test::Atls::Client::format_request('GET', '/', '');

    for my $number (1 .. $n) {
        $http->send($m->seal($request, number => $number, size => 16384 + 17),
                    { 'Content-Type' => 'message/http',
                      'Content-Encoding' => 'aes128gcm' });

        my $plain = $m->receive($http->receive(), $number);
        die 'no response: ', $m->error(), "\n"
            unless ($plain // '') =~ m!\AHTTP/1.1 200 !;
    }
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
