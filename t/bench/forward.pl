#!/usr/bin/perl

# Measures the CPU time of atls forward for a request, and that of stunnel in
# client mode for the same request over TLS.  Both keep their connections.
#
#     perl -I t/lib t/bench/forward.pl build/atls [-q]
#
# Each line of the output is a name, the number of connections, and the CPU time
# of a request in microseconds.

use strict;
use warnings;

use IO::Socket::INET;
use Socket qw( IPPROTO_TCP TCP_NODELAY );
use Time::HiRes qw( clock_gettime );

use Test::Atls;


my $atls = shift or die "usage: forward.pl build/atls [-q]\n";

my $quick = @ARGV && $ARGV[0] eq '-q';
my $rounds = $quick ? 5 : 25;
my $requests = $quick ? 400 : 1600;
my $request = "GET /page HTTP/1.1\r\nHost: localhost\r\n"
              . "User-Agent: bench\r\nAccept: */*\r\n\r\n";

my $t = Test::Atls->new(workers => 1);

$t->make_cert('localhost');
$t->write_file('page', 'x' x 1000);
$t->write_conf(<<'EOC');
%%GLOBALS%%

events {
}

http {
    %%GLOBALS_HTTP%%

    access_log            off;
    keepalive_requests    1000000;
    keepalive_timeout     1h;

    ssl_certificate       %%TESTDIR%%/localhost.crt;
    ssl_certificate_key   %%TESTDIR%%/localhost.key;
    atls_certificate      %%TESTDIR%%/localhost.crt;
    atls_certificate_key  %%TESTDIR%%/localhost.key;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        listen       127.0.0.1:%%PORT_1%% ssl;
        server_name  localhost;
        root         %%TESTDIR%%;

        location = /.well-known/atls {
            atls  on;
        }
    }
}
EOC

$t->run();

my $via = 'http://127.0.0.1:' . $t->port(0) . '/.well-known/atls';

my %pids = (forward => forward(), stunnel => stunnel());
my %ports = (forward => $t->port(2), stunnel => $t->port(3));

for my $n (1, 8) {
    my %sockets;

    for my $name (keys %ports) {
        $sockets{$name} = [ map { connection($ports{$name}) } 1 .. $n ];
    }

    # handshakes are not counted

    exchange($_) for values %sockets;

    for (1 .. $rounds) {
        for my $name (sort keys %sockets) {
            my $began = cpu($pids{$name});

            exchange($sockets{$name}) for 1 .. $requests / $n;

            printf "%s\t%d\t%.2f\n", $name, $n,
                1_000_000 * (cpu($pids{$name}) - $began) / $requests;
        }
    }
}

$t->stop(signal => 'TERM');
die map { "nginx: $_\n" } $t->faults() if $t->faults();


sub forward {
    return start($t->port(2), $atls, 'forward', '-s',
        '--listen', '127.0.0.1:' . $t->port(2),
        '--cacert', $t->path('localhost.crt'),
        '--via', $via, 'https://localhost');
}


sub stunnel {
    return start($t->port(3), 'stunnel', $t->write_file('stunnel.conf', <<"EOC"));
foreground = yes
pid =
debug = 3

[https]
client = yes
accept = 127.0.0.1:@{[ $t->port(3) ]}
connect = 127.0.0.1:@{[ $t->port(1) ]}
CAfile = @{[ $t->path('localhost.crt') ]}
verifyChain = yes
checkHost = localhost
EOC
}


sub start {
    my ($port, @command) = @_;

    return $t->run_daemon(sub { exec @command or die "$command[0]: $!\n" },
                          port => $port);
}


sub connection {
    my ($port) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or die "no connection to port $port: $@\n";

    setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;

    return $s;
}


# A request on each connection, and then the responses.

sub exchange {
    my ($sockets) = @_;

    for my $s (@$sockets) {
        syswrite($s, $request) == length $request or die "no request: $!\n";
    }

    for my $s (@$sockets) {
        my $got = '';

        until ($got =~ /\r\n\r\nx{1000}\z/) {
            sysread $s, $got, 65536, length $got or die "no response: $got\n";
        }

        $got =~ /^HTTP\/1.1 200 / or die "not served: $got\n";
    }
}


# The CPU time of a process: its clock, see clock_getcpuclockid(3).

sub cpu {
    my ($pid) = @_;

    return clock_gettime((~$pid << 3) | 2);
}
