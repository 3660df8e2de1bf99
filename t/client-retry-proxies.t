#!/usr/bin/perl

# Proxies that answer with 502 and 504, or repeat POSTs themselves: nginx and
# haproxy.  Each request is processed once, and none fails.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::LocalServer qw( next_answer summary );
use Test::Atls::LostPosts;
use Test::Atls::Site;

my $N = 40;
my $SESSIONS = 4;
my $SEED = $ENV{ATLS_SEED} || 11;

my $t = Test::Atls::Site->new(workers => 2);
my $front = Test::Atls->new(workers => 1);
my $backend = $t->backend();

$t->serve('', backend => 'proxy_ignore_client_abort on;');

my ($lossy_port, @haproxy) = map { $t->port($_) } 2 .. 4;
my $lossy = Test::Atls::LostPosts->start($t, 'random', $t->port(0), $lossy_port,
                                     $SEED);

$front->write_http(<<'EOC' =~ s/%%LOSSY%%/$lossy_port/gr
proxy_http_version 1.1;

upstream repeated {
    server 127.0.0.1:%%LOSSY%% max_fails=0;
    server 127.0.0.1:%%LOSSY%% max_fails=0;
}

server {
    listen 127.0.0.1:%%PORT_0%%;

    location / {
        proxy_pass http://127.0.0.1:%%TO%%;
        proxy_read_timeout 1s;
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;

    location / {
        proxy_pass http://127.0.0.1:%%LOSSY%%;
    }
}

server {
    listen 127.0.0.1:%%PORT_2%%;

    location / {
        proxy_pass http://repeated;
        proxy_next_upstream error timeout invalid_header http_502 http_503
                            http_504 non_idempotent;
    }
}
EOC
    =~ s/%%TO%%/$t->port(0)/gre);

$front->run();

my $conf = $t->write_file('haproxy.conf', <<"EOC");
defaults
    mode http
    timeout connect 5s
    timeout client 100s
    timeout server 1s

frontend slow
    bind 127.0.0.1:$haproxy[0]
    default_backend slow

backend slow
    server endpoint 127.0.0.1:@{[ $t->port(0) ]}

frontend repeated
    bind 127.0.0.1:$haproxy[1]
    default_backend repeated

backend repeated
    retries 3
    retry-on all-retryable-errors
    server endpoint 127.0.0.1:$lossy_port
EOC

$t->run_daemon(sub {
    open STDERR, '>', $t->path('haproxy.log') or die "haproxy.log: $!\n";
    open STDOUT, '>&', \*STDERR;
    { exec 'haproxy', '-f', $conf }
    { exec '/usr/sbin/haproxy', '-f', $conf }
    die "haproxy: $!\n";
}, port => $haproxy[0]);

my $f;

subtest("$_->[0] does not wait" => \&slow, @$_)
    for [ nginx => $front->port(0) ], [ haproxy => $haproxy[0] ];

subtest("$_->[0]" => \&lossy, @$_)
    for [ 'nginx, errors' => $front->port(1) ],
        [ 'nginx repeats POSTs' => $front->port(2) ],
        [ 'haproxy repeats POSTs' => $haproxy[1] ];

for my $what ('lost', 'unanswered', 'cut', 'doubled', 'status after') {
    ok((grep { $_ eq $what } $lossy->done()), "there were faults: $what");
}

$front->allow_log(qr/\[error\] /);
$front->finish();
$t->done_testing();


sub start {
    my ($port) = @_;

    $backend->forget();
    $f = $t->forward("http://127.0.0.1:$port/.well-known/atls", '--sessions',
                     $SESSIONS, '--retry', 14);
}


sub are_processed {
    my ($requests) = @_;

    my %times = $backend->times();

    is(scalar keys %times, $requests, 'each is processed');
    is(join(' ', grep { $times{$_} != 1 } sort keys %times), '', 'once');
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


# A 504 while the request is in progress.

sub slow {
    my (undef, $port) = @_;

    start($port);
    is(summary($f->ask("POST /wait?delay=3\nContent-Length: 4\n\nbody")),
       "200 waited\n", 'a response after several 504');
    are_processed(1);
}


sub lossy {
    my (undef, $port) = @_;

    start($port);

    my (@open, @bad);

    for my $i (1 .. $N) {
        push @open, $f->connect("POST /body?$i\nContent-Length: 4\n\nbody");
        push @bad, answered(shift @open) if @open == $SESSIONS;
    }

    push @bad, map { answered($_) } @open;
    is(join("\n", @bad), '', 'none fails');
    are_processed($N);
}


sub answered {
    my ($s) = @_;

    my $got = summary(next_answer($s, 'POST'));

    return $got eq '200 body' ? () : $got;
}
