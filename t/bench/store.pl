#!/usr/bin/perl

# Measures the cost of a store: the time from the first byte of a POST with a
# small request to the last byte of its response, without a store, with "lazy"
# at the machine of the session and at another one, and with "each", in turn.
# All machines, and the store, are on this one.
#
#     perl -I t/lib t/bench/store.pl [-q]         -q: quick
#
# Each line of the output is a name, 1, and a time in microseconds.

use strict;
use warnings;

use IO::Socket::INET;
use List::Util qw( shuffle );
use Socket qw( IPPROTO_TCP TCP_NODELAY );
use Time::HiRes qw( clock_gettime CLOCK_MONOTONIC );

use Test::Atls;
use Test::Atls::Cluster;
use Test::Atls::Program qw( find_program );


my $quick = @ARGV && $ARGV[0] eq '-q';
my $posts = $quick ? 500 : 5000;

my $REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

exit 0 unless find_program(Test::Atls::Cluster->redis_server());

my $alone = Test::Atls->new(workers => 1);

$alone->write_http(<<'EOC')->run();
%%CERTIFICATE%%
keepalive_requests  1000000;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /atls {
        atls        on;
        access_log  %%TESTDIR%%/outer.log;
    }

    location / {
        return 200 "127.0.0.1 node0";
    }
}
EOC

# "home" processes no other POSTs: what follows a response would delay the next

my %clusters = map {
    my ($name, $mode) = @$_;
    $name => Test::Atls::Cluster->new(nodes => 2, workers => 1, mode => $mode,
                                      http => 'keepalive_requests 1000000;')
                                ->run()
} [ 'home', 'lazy' ], [ 'lazy', 'lazy' ], [ 'each', 'each' ];

my @ways = (
    [ 'no store', $alone, $alone ],
    [ 'lazy, at home', ($clusters{home}->node(0)) x 2 ],
    [ 'lazy, elsewhere', map { $clusters{lazy}->node($_) } 0, 1 ],
    [ 'each', ($clusters{each}->node(0)) x 2 ],
);

for (@ways) {
    my ($name, $home, $machine) = @$_;
    my $c = $home->client(uri => '/atls');

    $c->handshake() or die "$name: no handshake: " . $c->error() . "\n";

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $machine->port(0))
        or die "no connection: $!\n";

    setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
    push @$_, $c, $s, [];
}

for my $n (1 .. $posts + 50) {
    for (shuffle @ways) {
        my ($name, undef, undef, $c, $s, $times) = @$_;
        my $time = exchange($name, $c, $s);

        push @$times, $time if $n > 50;
    }
}

for (@ways) {
    my @times = sort { $a <=> $b } @{$_->[5]};

    printf "%s\t1\t%.1f\n", $_->[0], $times[@times / 2];
    printf "%s, 1st quartile\t1\t%.1f\n", $_->[0], $times[@times / 4];
    printf "%s, 99 of 100\t1\t%.1f\n", $_->[0], $times[@times * 0.99];
}

for ($alone, map { $_->nodes() } values %clusters) {
    $_->stop();
    die map { "nginx: $_\n" } $_->faults() if $_->faults();
}

$_->stop_redis() for values %clusters;


sub exchange {
    my ($name, $c, $s) = @_;

    $c->write_plain($REQUEST);

    my $post = $c->format_post($c->tls_out(), Connection => 'keep-alive');
    my $began = clock_gettime(CLOCK_MONOTONIC);

    syswrite($s, $post) == length $post or die "$name: not sent\n";

    my $answer = receive($s);
    my $time = clock_gettime(CLOCK_MONOTONIC) - $began;

    $answer =~ s{\AHTTP/1\.1 200 .*?\r\n\r\n}{}s
        or die "$name: not what was expected:\n$answer\n";

    $c->tls_in($answer);
    $c->read_plain() =~ /127\.0\.0\.1 node0\z/
        or die "$name: not what was expected\n";

    return $time * 1e6;
}


# Returns a complete response, with Content-Length or chunked.

sub receive {
    my ($s) = @_;

    my $got = '';

    for ( ;; ) {
        sysread $s, $got, 65536, length $got or die "connection lost\n";

        my $head = index $got, "\r\n\r\n";

        next if $head < 0;

        if ($got =~ /^Content-Length: (\d+)\r$/mi) {
            return $got if length $got >= $1 + 4 + $head;
            next;
        }

        return unchunked($got, $head + 4) if $got =~ /\r\n0\r\n\r\n\z/;
    }
}


sub unchunked {
    my ($got, $at) = @_;

    my $body = '';

    while (substr($got, $at) =~ /\A([0-9a-f]+)\r\n/i) {
        $body .= substr $got, $at + length($1) + 2, hex $1;
        $at += length($1) + hex($1) + 4;
    }

    return $got =~ s/\r\n\r\n.*/\r\n\r\n/sr . $body;
}
