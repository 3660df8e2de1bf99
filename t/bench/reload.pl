#!/usr/bin/perl

# Measures a reload with many sessions in the table.
#
#     perl -I t/lib t/bench/reload.pl PROGRAM [-q]    -q: quick
#
# PROGRAM is an nginx with the module, built with fill.c.
#
# A client sends sequential requests in another session, on a new connection
# each, before the reload and until a new worker responds.
#
# Each line of the output is a name, a number of sessions, and milliseconds.

use strict;
use warnings;

use Time::HiRes qw( clock_gettime CLOCK_MONOTONIC );

use Test::Atls;
use Test::Atls::Client;


my $program = shift or die "reload.pl PROGRAM [-q]\n";
my $quick = @ARGV && $ARGV[0] eq '-q';

@ENV{qw( TEST_NGINX_BINARY TEST_NGINX_MODULE )} = ($program, '');

for my $n (1000, 1_000_000) {
    my $t = start($n);

    reload($t, $n) for 1 .. ($quick ? 1 : 3);

    $t->stop(signal => 'TERM');
    die map { "nginx: $_\n" } $t->faults() if $t->faults();
}


sub start {
    my ($n) = @_;

    my $t = Test::Atls->new(workers => 2);

    $t->make_cert('localhost');
    $t->write_file('fill', "$n\n");
    $t->write_conf(<<'EOC');
%%GLOBALS%%

env ATLS_BENCH_FILL=%%TESTDIR%%/fill;

events {
}

http {
    %%GLOBALS_HTTP%%

    atls_zone             bench:530m;
    atls_certificate      %%TESTDIR%%/localhost.crt;
    atls_certificate_key  %%TESTDIR%%/localhost.key;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location = /.well-known/atls {
            atls  on;
        }

        location / {
            return  200 $pid;
        }
    }
}
EOC

    $t->run();
    $t->wait_for_log(qr/filled: $n sessions/, 60) or die "not filled\n";

    return $t;
}


sub reload {
    my ($t, $n) = @_;

    my $c = Test::Atls::Client->new(port => $t->port(0), keepalive => 0);
    $c->handshake() or die 'no handshake: ' . $c->error() . "\n";

    my %old = map { $_ => 1 } $t->workers();
    my ($longest, $answered) = (0, 0);

    request($c) for 1 .. 20;

    my $cpu = cpu($t->pid());
    my $began = clock_gettime(CLOCK_MONOTONIC);

    $t->signal('HUP');

    until ($answered) {
        my $sent = clock_gettime(CLOCK_MONOTONIC);
        $answered = !$old{request($c)};

        my $took = clock_gettime(CLOCK_MONOTONIC) - $sent;
        $longest = $took if $took > $longest;
    }

    my $until = clock_gettime(CLOCK_MONOTONIC);

    $t->wait_for(sub { !grep { $old{$_} } $t->workers() }, 20)
        or die "the old workers do not leave\n";

    printf "%s\t%d\t%.2f\n", @$_
        for [ 'first response of a new worker', $n, 1000 * ($until - $began) ],
            [ 'longest request', $n, 1000 * $longest ],
            [ 'CPU time of the master', $n, (cpu($t->pid()) - $cpu) / 1e6 ];
}


# Sends a request in a session that exists before and after the reload.  Returns
# the worker.

sub request {
    my ($c) = @_;

    my ($pid) = $c->get('/')->{body} =~ /^(\d+)$/
        or die 'no answer: ' . $c->error() . "\n";

    return $pid;
}


sub cpu {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/schedstat" or die "schedstat: $!\n";
    my ($ns) = split ' ', <$fh>;

    return $ns;
}
