#!/usr/bin/perl

# Measures the cost of relaying a POST to the worker process that has its inner
# request: the time from the first byte of the POST to the last byte of its
# response, for relayed POSTs and for others, in turn.
#
#     perl -I t/lib t/bench/relay.pl [-q]         -q: quick
#
# One of two workers has an inner request with a long body.  POSTs with pieces
# of the body are sent on two connections, one to each worker.
#
# Each line of the output is a name, a number of bytes, and a value, by default
# a time in microseconds.

use strict;
use warnings;

use IO::Socket::INET;
use List::Util qw( shuffle );
use Socket qw( IPPROTO_TCP TCP_NODELAY );
use Time::HiRes qw( clock_gettime CLOCK_MONOTONIC );

use Test::Atls;
use Test::Atls::Client;


my $quick = @ARGV && $ARGV[0] eq '-q';
my $posts = $quick ? 500 : 5000;
my @sizes = (0, 16, 16_000);

my $t = Test::Atls->new(workers => 2);

$t->make_cert('localhost');
$t->write_conf(<<'EOC');
%%GLOBALS%%

events {
}

http {
    %%GLOBALS_HTTP%%

    atls_certificate      %%TESTDIR%%/localhost.crt;
    atls_certificate_key  %%TESTDIR%%/localhost.key;

    keepalive_requests    1000000;
    client_max_body_size  4g;

    log_format  posts  '$pid $status "$upstream_addr"';

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location = /.well-known/atls {
            atls        on;
            access_log  %%TESTDIR%%/posts.log posts;
        }

        location = /pid {
            return 200 $pid;
        }

        location / {
            proxy_pass               http://127.0.0.1:%%PORT_0%%/pid;
            client_body_buffer_size  256m;      # no temporary file
        }
    }
}
EOC

$t->run();

my %sockets = sockets();
my ($local, $other) = sort keys %sockets;

measure($_) for @sizes;

# without waiting for unfinished inner requests

$t->stop(signal => 'TERM');
die map { "nginx: $_\n" } $t->faults() if $t->faults();


# A connection to each worker, by pid.

sub sockets {
    my %found;

    for (1 .. 1000) {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                      PeerPort => $t->port(0))
            or die "no connection: $!\n";

        setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
        send_all($s, "GET /pid HTTP/1.1\r\nHost: localhost\r\n\r\n");

        my ($pid) = receive($s) =~ /(\d+)\z/ or die "no pid\n";
        $found{$pid} ||= $s;

        return %found if keys %found == 2;
    }

    die "one worker takes all connections\n";
}


sub measure {
    my ($size) = @_;

    my ($c, $cookie) = begin();
    my %times = ($local => [], $other => []);
    my $log = length $t->read_file('posts.log');

    for my $n (1 .. $posts + 50) {
        for my $pid (shuffle $local, $other) {
            my $time = exchange($c, $cookie, $sockets{$pid}, $size);

            push @{$times{$pid}}, $time if $n > 50;
        }
    }

    check_log(substr $t->read_file('posts.log'), $log);

    say_times('local', $size, @{$times{$local}});
    say_times('relayed', $size, @{$times{$other}});

    my $added = median(@{$times{$other}}) - median(@{$times{$local}});
    printf "added\t%d\t%.1f\n", $size, $added;
}


# A session with an inner request with a long body.

sub begin {
    my $c = Test::Atls::Client->new(port => $t->port(0));

    $c->{http}{socket} = $sockets{$local};
    $c->handshake() or die 'no handshake: ' . $c->error() . "\n";

    $c->write_plain("POST / HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 4000000000\r\n\r\n");
    $c->exchange($c->tls_out()) or die 'no request: ' . $c->error() . "\n";

    # so that it is not closed with the client

    delete $c->{http}{socket};

    return ($c, $c->cookie());
}


sub exchange {
    my ($c, $cookie, $s, $size) = @_;

    $c->write_plain('x' x $size) if $size;

    my $body = $c->tls_out();
    my $post = "POST /.well-known/atls HTTP/1.1\r\nHost: localhost\r\n"
               . "Content-Type: application/atls+octet-stream\r\n"
               . "Cookie: atls=$cookie\r\n"
               . 'Content-Length: ' . length($body) . "\r\n\r\n$body";

    my $began = clock_gettime(CLOCK_MONOTONIC);

    send_all($s, $post);
    my $answer = receive($s);

    my $time = clock_gettime(CLOCK_MONOTONIC) - $began;

    die "not what was expected:\n$answer\n"
        if $answer !~ m{\AHTTP/1\.1 200 .*\r\n\r\n\z}s;

    return $time * 1e6;
}


# Checks that all relayed POSTs, and no others, were relayed.

sub check_log {
    my ($log) = @_;

    my %wrong;

    for (split /\n/, $log) {
        my ($pid, $status, $to) = /^(\d+) (\d+) "(.*)"$/ or next;

        $wrong{$_}++ if $status != 200 || ($to eq '-') != ($pid == $local);
    }

    die map { "not what was expected: $_\n" } sort keys %wrong if %wrong;
}


sub send_all {
    my ($s, $bytes) = @_;

    while ($bytes ne '') {
        my $n = syswrite $s, $bytes or die "connection lost: $!\n";
        substr $bytes, 0, $n, '';
    }
}


# Returns a complete response, with Content-Length.

sub receive {
    my ($s) = @_;

    my $got = '';

    for ( ;; ) {
        sysread $s, $got, 65536, length $got or die "connection lost\n";

        return $got if $got =~ /\r\n\r\n/
                       && $got =~ /^Content-Length: (\d+)\r$/mi
                       && length $got >= $1 + 4 + index $got, "\r\n\r\n";
    }
}


sub say_times {
    my ($name, $size, @times) = @_;

    printf "%s\t%d\t%.1f\n", @$_
        for [ $name, $size, median(@times) ],
            [ "$name, 1st quartile", $size, quantile(0.25, @times) ],
            [ "$name, 3rd quartile", $size, quantile(0.75, @times) ],
            [ "$name, 99 of 100", $size, quantile(0.99, @times) ];
}


sub median { quantile(0.5, @_) }


sub quantile {
    my ($q, @values) = @_;

    return (sort { $a <=> $b } @values)[$q * $#values];
}
