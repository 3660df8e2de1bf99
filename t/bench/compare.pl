#!/usr/bin/perl

# Compares HTTP, HTTPS, ATLS, ATLS over HTTPS, and exported keys of one session,
# in turn, with an nginx with two workers and a backend.
#
#     perl -I t/lib t/bench/compare.pl DIR [options]
#
#     -q          quick
#     -o regexp   measurements with matching names only
#     -k n        number of rounds
#
# DIR has the programs built from load.c and backend.c.
#
# The assignment of processes to processors affects the results most: waking a
# process on another, idle processor may take longer than the work of nginx.
# Therefore it is fixed, unless all processors are busy anyway.
#
# Each round prints lines with a name, a number, and a value.  The name consists
# of the operation, the mode, and the unit; "cpu" is the CPU time of nginx per
# operation, in microseconds.

use strict;
use warnings;

use Getopt::Std qw( getopts );
use IPC::Open2 qw( open2 );
use Test::Atls;
use Test::Atls::Port qw( free_port );
use Test::Atls::Process qw( spawn );


my $dir = shift or die "compare.pl DIR [-q] [-o regexp] [-k rounds]\n";

getopts('qo:k:', \my %opt) or exit 2;

my $quick = $opt{q};
my $only = $opt{o} || '.';
my $rounds = $opt{k} || ($quick ? 1 : 5);

my $MB = 1024 * 1024;

my @ALL = qw( http https atls atlss );
my @TLS = qw( https atls atlss );

# Each row: the operation; a number that distinguishes rows with the same name;
# modes; placement: all on one processor, nginx apart from the others, or
# anywhere; number of operations, and the number with -q; options of load.

my @WORK = (
    [ 'small request', 1, \@ALL, 'one', 10000, 2000, qw( -u 200 -w 500 ) ],
    [ 'small request', 32, [ @ALL, 'keys' ], 'any', 30000, 4000,
      qw( -u 200 -w 1000 -c 32 ) ],

    (map { my ($name, $type, $kind) = @$_;
        [ "new session, $name", $type, [ qw( https atls atls-new ) ], 'any',
          1500, 150, qw( -w 50 -c 4 -u 200 -s ), $kind ]
    } [ 'full', 256, 'full' ], [ 'full', 2048, 'full' ],
      [ 'resumed', 256, 'resumed' ], [ '0-RTT', 256, 'early' ]),

    [ 'download', 16384, \@ALL, 'any', 10000, 1000,
      qw( -w 100 -c 8 -g /bytes/16384 ) ],
    [ 'download', $MB, \@ALL, 'apart', 300, 20, qw( -w 5 -g ), "/bytes/$MB" ],
    [ 'download', 256 * $MB, \@ALL, 'apart', 2, 1, '-g',
      '/bytes/' . 256 * $MB ],
    [ 'upload', 64 * $MB, \@ALL, 'apart', 4, 1, '-u', 64 * $MB ],
);

my @cpus = cpus();
my ($backend, $backend_pid);
my $t = Test::Atls->new(workers => 2, log_level => 'notice');

configure();

for my $round (1 .. $rounds) {

    if ('idle' =~ /$only/) {
        idle('idle connection, https', 'https');
        idle('idle connection, atls', 'atls');
        idle('idle session, atls', 'atls', '-d');
    }

    $t->run();
    work($round, @$_) for grep { $_->[0] =~ /$only/ } @WORK;
    stop();
}


# Each key type has a pair of ports.

sub configure {
    $t->make_cert('localhost');
    $t->make_cert('rsa', type => 'rsa');

    $backend = free_port();
    $backend_pid = $t->run_daemon(sub { exec "$dir/backend", $backend },
                                  port => $backend);

    $t->write_conf(<<'EOC' =~ s/%%BACKEND%%/$backend/r);
%%GLOBALS%%

worker_rlimit_nofile  8192;

events {
    worker_connections  4096;
}

http {
    %%GLOBALS_HTTP%%

    keepalive_requests        10000000;
    client_max_body_size      0;

    ssl_protocols             TLSv1.3;
    ssl_early_data            on;

    atls_zone                 bench:64m;
    atls_protocols            TLSv1.3;
    atls_early_data           on;

    upstream backend {
        server              127.0.0.1:%%BACKEND%%;
        keepalive           64;
        keepalive_requests  10000000;
    }

    proxy_http_version        1.1;
    proxy_set_header          Connection "";
    proxy_request_buffering   off;
    proxy_max_temp_file_size  0;

    server {
        listen                127.0.0.1:%%PORT_0%%;
        listen                127.0.0.1:%%PORT_1%% ssl;
        server_name           localhost;

        ssl_certificate       %%TESTDIR%%/localhost.crt;
        ssl_certificate_key   %%TESTDIR%%/localhost.key;
        atls_certificate      %%TESTDIR%%/localhost.crt;
        atls_certificate_key  %%TESTDIR%%/localhost.key;

        location = /.well-known/atls {
            atls                on;
            atls_exported_keys  on;
        }

        location / {
            proxy_pass  http://backend;
        }
    }

    server {
        listen                127.0.0.1:%%PORT_2%%;
        listen                127.0.0.1:%%PORT_3%% ssl;
        server_name           localhost;

        ssl_certificate       %%TESTDIR%%/rsa.crt;
        ssl_certificate_key   %%TESTDIR%%/rsa.key;
        atls_certificate      %%TESTDIR%%/rsa.crt;
        atls_certificate_key  %%TESTDIR%%/rsa.key;

        location = /.well-known/atls {
            atls  on;
        }

        location / {
            proxy_pass  http://backend;
        }
    }
}
EOC
}


# Each round begins with another mode.

sub work {
    my ($round, $name, $number, $modes, $where, $ops, $quick_ops, @options)
        = @_;

    my @others = place($where);
    my @modes = @$modes;
    push @modes, splice @modes, 0, $round % @modes;

    for my $mode (@modes) {
        my ($way, $new) = split /-/, $mode;
        my $port = ($way =~ /^(?:https|atlss)$/ ? 1 : 0)
                   + ($number == 2048 ? 2 : 0);

        my @command = (@others, "$dir/load", $way, $t->port($port), @options,
                       '-n', $quick ? $quick_ops : $ops,
                       '-p', join(',', $t->workers()), $new ? '-r' : ());

        open my $fh, '-|', @command or die "load: $!\n";

        while (my $line = <$fh>) {
            my ($what, $value) = $line =~ /^(\w+) ([\d.]+)$/
                or die "load says: $line";
            print "$name, $mode, $what\t$number\t$value\n";
        }

        close $fh or die "load failed: @command\n";
    }
}


# Assigns the workers to processors.  Returns the command that does so for a
# client.

sub place {
    my ($where) = @_;

    my ($nginx, $others) = (\@cpus, \@cpus);

    ($nginx, $others) = ([ $cpus[0] ], [ $cpus[0] ]) if $where eq 'one';
    ($nginx, $others) = ([ $cpus[0] ], [ @cpus[1 .. $#cpus] ])
        if $where eq 'apart' && @cpus > 1;

    taskset($nginx, $_) for $t->workers();
    taskset($others, $backend_pid);

    return (qw( taskset -c ), join ',', @$others);
}


sub taskset {
    my ($list, $pid) = @_;

    my $cpus = join ',', @$list;

    `taskset -pc $cpus $pid` ne '' or die "taskset failed\n";
}


# Processors available to this process.

sub cpus {
    my ($list) = `taskset -pc $$` =~ /: ([\d,-]+)$/ or die "taskset failed\n";

    return map { /(\d+)-(\d+)/ ? $1 .. $2 : $_ } split /,/, $list;
}


# Memory of idle sessions in the workers, with and without their connections:
# the difference for a thousand more sessions.

sub idle {
    my ($name, @options) = @_;

    my ($few, $many) = $quick ? (100, 500) : (200, 1200);
    my $more = grow($many, @options) - grow($few, @options);

    printf "$name, bytes\t1\t%.0f\n", 1024 * $more / ($many - $few);
}


# Growth of new workers, in kilobytes.

sub grow {
    my ($n, $mode, @options) = @_;

    $t->run();

    my $before = memory();
    my $pid = open2(my $out, my $in, "$dir/load", $mode,
                    $t->port($mode eq 'https'), '-c', $n, '-i', @options);

    <$out> eq "ready\n" or die "load failed\n";

    # the workers may not have noticed the closed connections yet

    select undef, undef, undef, 0.2;

    my $more = memory() - $before;

    close $in;
    waitpid $pid, 0;

    stop();

    return $more;
}


# Memory of the workers without shared zones, in kilobytes.

sub memory {
    my $sum = 0;

    for my $pid ($t->workers()) {
        my ($kb) = $t->read_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m
            or die "no memory of $pid\n";
        $sum += $kb;
    }

    return $sum;
}


sub stop {
    $t->stop(signal => 'TERM');
    die map { "nginx: $_\n" } $t->faults() if $t->faults();
}
