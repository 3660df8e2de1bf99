#!/usr/bin/perl

# atls tunnel and atls proxy: idle connections of clients are closed when their
# session is lost with a restart of nginx, or has expired, and only then.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( time );

use Test::Atls::Http qw( http_connect readable );
use Test::Atls::LocalServer qw( ask_tls connection_end );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience slow );

my $SHORT = 3 * slow();

my $t = Test::Atls::Site->new(workers => 2);

# the server keeps outer connections, or closes idle ones

my $log = 'access_log %%TESTDIR%%/outer.log outer;';

$t->serve(<<"EOC", http => q(log_format outer '$uri $status $content_length';));
location = /kept {
    atls on;
    keepalive_timeout 1h;
    $log
}

location = /closed {
    atls on;
    keepalive_timeout 1s;
    $log
}

location = /short {
    atls on;
    atls_session_timeout ${SHORT}s;
    keepalive_timeout 1h;
    $log
}

location = /info {
    keepalive_timeout 1h;
    return 200 "\$atls_session_id\\n";
}
EOC

for my $command (qw( tunnel proxy )) {
    subtest("$command: a restart" => \&restart, $command);
    subtest("$command: connections that are closed" => \&closed, $command);
    subtest("$command: a session that expires" => \&expired, $command);
}

$t->done_testing();


# Starts the server, and opens connections of clients.

sub start {
    my ($command, $path, $n) = @_;

    my $server = $command eq 'proxy'
                 ? $t->proxy('--map', 'localhost=' . $t->endpoint($path))
                 : $t->tunnel($path);

    truncate $t->path('outer.log'), 0;

    return $server, map { client($command, $server) } 1 .. $n;
}


sub client {
    my ($command, $server) = @_;

    return $command eq 'proxy'
           ? http_connect(443, proxy => $server->port(), host => 'localhost',
                          tls => 1)
           : http_connect($server->port(), tls => 1);
}


# How it ends for the operating system: close_notify cannot be expected.

sub end_of {
    my ($s) = @_;

    open my $raw, '+<&=', fileno $s or die "fdopen: $!\n";

    return connection_end($raw);
}


sub info { return ask_tls($_[0], 'GET /info')->body() }


sub empty_posts { return scalar(() = $t->read_log('outer.log') =~ / 200 0$/mg) }


sub restart {
    my ($command) = @_;

    my ($server, @open) = start($command, '/kept', 3);

    like(info($_), qr/^\w+$/, 'a request') for @open;
    $t->stop()->run();
    is(end_of($_), 'closed', 'closed without another one') for @open;

    ok($server->wait_for_log(qr/ s: \S/), 'and why');
    like(info(client($command, $server)), qr/^\w+$/, 'a new connection');
    is($server->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub closed {
    my ($command) = @_;

    my ($server, $s) = start($command, '/closed', 1);
    my $id = info($s);

    ok($t->wait_for(sub { empty_posts() >= 2 }, patience()), 'empty POSTs');
    is(info($s), $id, 'the session is kept');
    is($server->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub expired {
    my ($command) = @_;

    my ($server, $s, $unused) = start($command, '/short', 2);
    my ($began, $id) = (time, info($s));

    # a session that is used does not expire

    my %ids = ($id => 1);

    while (time < $began + 1.5 * $SHORT && !readable($s, 0.5)) {
        $ids{info($s)} = 1;
    }

    is(join(' ', keys %ids), $id, 'a session that is used');
    is(end_of($unused), 'closed', 'the other one is closed');
    is(end_of($s), 'closed', 'and the first one when it is idle');
    ok($server->wait_for_log(qr/: the session has expired$/), 'which is said');
    unlike($t->read_log('outer.log'), qr/ 410 /, 'the server did not');
    is($server->stop()->{code}, 0, 'exit code');

    done_testing();
}
