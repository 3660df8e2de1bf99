# Sessions do not belong to workers: they survive reloads and the death of
# workers.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Process qw( alive wait_exit );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience );


my $CLIENTS = 6;
my $MANY = ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 10 : 100;
my $RELOADS = ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 2 : 5;

my $t = Test::Atls->new(workers => 4);

my $port = $t->port(1);
Test::Atls::Backend->start($t, $port);

$t->write_http(<<"EOC");
%%CERTIFICATE%%

upstream backend {
    server 127.0.0.1:$port;
    keepalive 4;
}

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /.well-known/atls {
        atls on;
    }

    location = /pid {
        return 200 \$pid;
    }

    location / {
        proxy_pass          http://backend;
        proxy_http_version  1.1;
        proxy_set_header    Connection "";
    }
}
EOC

$t->run();


# reloads under load: single requests, slow and pipelined ones

{
    my @pids = map { traffic($_) } 1 .. $CLIENTS;

    $t->wait_for(sub { @{[ glob $t->path('ready-*') ]} == $CLIENTS }, 30);

    my $reloaded = grep { sleep 0.3; $t->reload() } 1 .. $RELOADS;

    is($reloaded, $RELOADS, 'reloads');

    $t->write_file('stop', '');

    my @failed = grep { wait_exit($_, 5 * patience()) != 0 } @pids;

    is(scalar @failed, 0, 'no request failed')
        or diag(map { $t->read_file($_) } map { "failed-$_" } 1 .. $CLIENTS);
}


# an idle worker is killed

{
    my $c = client();
    my %before = map { $_ => 1 } $t->workers();

    my ($victim) = grep { $_ != pid($c) } keys %before;

    # logged by nginx at this level

    $t->allow_kills();
    kill 'KILL', $victim;

    $t->wait_for(sub { grep { !$before{$_} } $t->workers() }, 10);

    my %served;
    my $ok = 0;

    for (1 .. 40) {
        my $pid = pid($c);
        $served{$pid}++;
        $ok++ if $pid;
    }

    # on a busy machine, one worker may accept all connections

    for (my $n = 0; keys %served < 2 && $n < 2000; $n++) {
        $served{pid($c)}++;
    }

    is($ok, 40, 'the session goes on');
    ok(!$served{$victim}, 'not in the worker that died');
    cmp_ok(scalar keys %served, '>', 1, 'in several others');
}


# descriptors after many reloads

{
    my $c = client();

    reload_fully();
    my $first = descriptors();

    reload_fully() for 1 .. $MANY;

    # a starting worker has some temporary descriptors

    ok($t->wait_for(sub { descriptors() <= $first }, 10),
       'no descriptors are left open');
    ok(pid($c), 'the session goes on');
}

$t->done_testing();


# The master keeps mailboxes of old workers until they have exited.

sub reload_fully {
    my @old = $t->workers();

    $t->reload();
    $t->wait_for(sub { !grep { alive($_) } @old }, 10);
}


sub client {
    my $c = $t->client(timeout => 30);

    $c->handshake() or diag($c->error());

    # each POST over a new connection from now on

    $c->http_client()->close();
    $c->http_client()->{keepalive} = 0;

    return $c;
}


sub pid {
    my ($c) = @_;

    my $r = $c->get('/pid');

    return $r && $r->status() == 200 ? $r->body() : 0;
}


# A client process that runs until it is told to stop.  Its exit status is 0 if
# there was no error.

sub traffic {
    my ($n) = @_;

    my $pid = fork();
    return $pid if $pid;

    my $error = eval { run_traffic($n) } || $@ || '';

    $t->write_file("failed-$n", $error) if $error;
    POSIX::_exit($error ? 1 : 0);
}


sub run_traffic {
    my ($n) = @_;

    my $c = client();
    my $rounds = 0;

    until (-e $t->path('stop')) {
        my $r = $c->get('/echo');
        return "echo: " . what($c, $r) if !$r || $r->status() != 200;

        $r = $c->get('/slow?n=2&delay=0.05');
        return "slow: " . what($c, $r)
            if !$r || $r->body() ne "line 1\nline 2\n";

        my $plain = $c->request(join '', map {
            "GET /echo?$_ HTTP/1.1\r\nHost: localhost\r\n\r\n"
        } 1 .. 10);

        my @r = parse_responses($plain);
        return "pipelined: " . what($c, @r)
            if @r != 10 || grep { $_->status() != 200 } @r;

        $t->write_file("ready-$n", '') unless $rounds++;
    }

    return '';
}


sub what {
    my ($c, @responses) = @_;

    return join "\n", $c->error(), $c->closed() ? 'closed' : 'open',
                      map { $_ ? ($_->head(), $_->body()) : 'none' }
                          @responses, $c->last_response();
}


sub descriptors {
    my $n = 0;

    for my $pid ($t->pid(), $t->workers()) {
        $n += grep { !/\.\.?$/ } glob "/proc/$pid/fd/*";
    }

    return $n;
}
