#!/usr/bin/perl

# WebSocket in atls forward and atls tunnel --poll with other clients: ws of
# npm, and websockets of Python.  Many messages, and those of a server that
# sends in intervals.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Program qw( run_program );
use Test::Atls::Site;
use Test::Atls::WebSocket;

my $MESSAGES = 10_000;
my ($PUSHED, $MS) = (30, 100);

# Debian's packages, beside other installations

my %CLIENTS = (
    'ws of npm'            => [ 'node', "$FindBin::Bin/bin/websocket.js" ],
    'websockets of Python' => [ '/usr/bin/python3',
                                "$FindBin::Bin/bin/websocket.py" ],
);

my %ENV = (NODE_PATH => join ':', grep { defined && $_ ne '' }
                             $ENV{NODE_PATH}, '/usr/share/nodejs');

my $t = Test::Atls::Site->new(workers => 2);

$t->serve(<<'EOC', endpoint => 'atls_poll_timeout 30s;');
location = /tls12 {
    atls on;
    atls_protocols TLSv1.2;
    atls_poll_timeout 30s;
}

location ~ ^/(echo|push)$ {
    proxy_pass http://127.0.0.1:%%PORT_2%%;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
}
EOC

Test::Atls::WebSocket->serve($t, $t->port(2));

my $forward = $t->forward();
my $tls12 = $t->forward('/tls12');
my $tunnel = $t->tunnel('--poll');

for my $name (sort keys %CLIENTS) {
    my $forwarded = 'ws://127.0.0.1:';

    talks("$name, forward", $CLIENTS{$name}, $forwarded . $forward->port());
    talks("$name, forward, TLS 1.2", $CLIENTS{$name},
          $forwarded . $tls12->port());
    talks("$name, tunnel", $CLIENTS{$name},
          'wss://localhost:' . $tunnel->port(), $t->path('ca.crt'));
}

is($_->stop()->{code}, 0, 'the end') for $forward, $tls12, $tunnel;

$t->done_testing();


sub talks {
    my ($what, $command, $url, @ca) = @_;

    my $r = run_program($t, @$command, $url, $MESSAGES, $PUSHED, $MS, @ca,
                        { env => \%ENV });

    is($r->{code}, 0, "$what: exit code") or diag($r->{err});
    is($r->{out}, "echo $MESSAGES 1000\npush $PUSHED 1000\npong there? 1001\n",
       "$what: messages");
}
