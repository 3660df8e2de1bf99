# A binary upgrade by USR2 under load, as described in docs/deployment.md.  The
# new binary has another zone: each session is lost once, and no other request
# fails.  The same for an upgrade that is undone.  If the new binary cannot
# start, nothing is lost.

use strict;
use warnings;

use List::Util qw( sum );
use POSIX ();
use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls::Client;
use Test::Atls::Daemon;
use Test::Atls::Process qw( alive );
use Test::Atls::Slow qw( patience );


plan(skip_all => 'nginx would start its new binary without the wrapper')
    if $ENV{TEST_NGINX_WRAPPER};

my $CLIENTS = 6;
my $PORTS = 2;

my $t = Test::Atls::Daemon->new(workers => 3);

my %commands = commands('docs/deployment.md', 'Binary upgrades');

$t->write_file('ticket.key', join '', map { chr } 1 .. 80);

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_session_ticket_key  %%TESTDIR%%/ticket.key;

server {
    listen       127.0.0.1:%%PORT_0%%;
    listen       127.0.0.1:%%PORT_1%% reuseport;
    server_name  localhost;

    location /.well-known/atls {
        atls on;
    }

    location / {
        return 200 $pid;
    }
}
EOC

$t->run();

my $first = $t->pid();
my %descriptors = descriptors($first);
my $sleeper = client(0);

my @clients = map { my $n = $_; $t->run_daemon(sub { run_client($n) }) }
              1 .. $CLIENTS;

is($sleeper->get('/')->status(), 200, 'a session that waits');
all_have(requests => 1, 'all clients have sessions');


# a session that has ended is not reported as one of another zone

{
    my $c = client(0);
    my $cookie = $c->cookie();

    $c->close_notify();

    is($c->post('x' x 32, cookie => "atls=$cookie")->status(), 410,
       'a session that has ended');
    ok($t->wait_for_log(qr/atls unknown session/), 'is not known');
    unlike($t->read_file('error.log'), qr/another zone/, 'and that is all');
}


# the new binary does not start, and the old one continues

{
    my @old = $t->workers();
    my $conf = $t->read_file('nginx.conf');

    $t->allow_log(qr/\[emerg\] .*unknown directive "no_such_directive"/,
                  qr/new binary process \d+ exited with code 1$/);
    $t->write_file('nginx.conf', "no_such_directive;\n$conf");

    steps('begin', sub { $_ !~ /^nginx -t/ });

    ok($t->wait_for(sub {
           my @new = $t->workers($first);
           return @new == 3 && !grep { alive($_) } @old;
       }),
       'the new binary does not start: new workers of the old one');

    $t->write_file('nginx.conf', $conf);

    all_have(requests => 5, 'all go on');
    is(join(' ', state('lost')), join(' ', (0) x $CLIENTS),
       'no session was lost');
}


# an upgrade

{
    steps('begin');

    ok($t->wait_for(sub { $t->upgraded() }), 'upgrade: the new binary runs');

    my $new = $t->pid();

    steps('end');

    ok($t->wait_for(sub { !alive($first) && !$t->old_pid() }),
       'the old master ends');

    all_have(lost => 1, 'all sessions are lost');
    all_have(requests => 5, 'all go on');
    logged('the log says so');

    my %now = descriptors($new);

    $t->wait_for(sub {
        %now = descriptors($new);
        return join(' ', %now{sort keys %now})
               eq join(' ', %descriptors{sort keys %descriptors});
    });

    is_deeply(\%now, \%descriptors, 'the new master has no other descriptors');
}


# another upgrade, which is undone

{
    my $old = $t->pid();

    $sleeper = client(0);

    steps('begin');

    ok($t->wait_for(sub { $t->upgraded() }), 'another upgrade');

    my $new = $t->pid();

    all_have(lost => 2, 'all sessions are lost');
    all_have(requests => 5, 'all go on');
    logged('the log says so');

    steps('back');

    ok($t->wait_for(sub { !alive($new) && !$t->old_pid() }),
       'taken back: the new master ends');
    is($t->pid(), $old, 'the old one is there');

    all_have(lost => 3, 'all sessions are lost, the third time');
    all_have(requests => 5, 'all go on');
    is($sleeper->get('/')->status(), 200, 'a session of before goes on');
    is(join(' ', state('resumed')), join(' ', (3) x $CLIENTS),
       'all of the new sessions were resumed ones');
}


# both binaries accept connections: sessions are lost again and again

{
    my $old = $t->pid();

    $t->signal('USR2');

    ok($t->wait_for(sub { sum(state('lost')) >= 6 * $CLIENTS }),
       'as long as both accept, sessions are lost');

    kill 'QUIT', $t->old_pid();

    ok($t->wait_for(sub { !alive($old) && !$t->old_pid() }), 'until one ends');

    my %lines = lines();

    is((grep { @{$lines{$_}} > 2 } keys %lines), 0,
       'lines at most once a second, of each');
}


{
    $t->write_file('stop', '');
    $t->wait_for(sub { !grep { alive($_) } @clients });

    is(join('', map { $t->read_file("failed-$_") } 1 .. $CLIENTS), '',
       'nothing else has failed');
}

$t->done_testing();


# Three blocks of commands of a page.

sub commands {
    my ($file, $heading) = @_;

    my $text = $t->read_file(Test::Atls::root() . "/$file");

    my ($section) = $text =~ /^##+ \Q$heading\E\n(.*?)(?=^##|\z)/ms
        or die "$file: no $heading\n";

    my @blocks = $section =~ /^```sh\n(.*?)^```$/msg;
    my %commands;

    @commands{qw( begin end back )} = map { [ split /\n/ ] } @blocks;

    return %commands;
}


# Instead of sleeping, waits until workers have received the signal.

sub steps {
    my ($name, $wanted) = @_;

    my @told;

    for (@{$commands{$name}}) {
        next if $wanted && !$wanted->();

        if (/^sleep /) {
            $t->wait_for_log(qr/ $_#$_: gracefully shutting down/) for @told;
            next;
        }

        @told = $t->workers();
        system(here($_)) == 0 or diag("$_: $?");
    }
}


sub here {
    my ($command) = @_;

    my ($dir, $binary) = ($t->dir(), $t->binary());

    $command =~ s{/run/nginx\.pid}{$dir/nginx.pid}g;
    $command =~ s{^nginx }{$binary -q -p $dir/ -c $dir/nginx.conf };

    return $command;
}


# Clients that send one request after another.  Each POST has a connection of
# its own.

sub client {
    my ($n, %args) = @_;

    my $c = Test::Atls::Client->new(port => $t->port($n % $PORTS),
                                    keepalive => 0, timeout => patience(),
                                    %args);
    $c->handshake();

    return $c;
}


sub run_client {
    my ($n) = @_;

    my %state = (requests => 0, lost => 0, resumed => 0);
    my $c = client($n);

    until (-e $t->path('stop')) {
        my $r = $c->error() eq '' && $c->get('/');

        if ($r && $r->status() == 200) {
            $state{requests}++;

        } else {
            my $outer = $c->last_response();
            my $status = $outer ? $outer->status() : 'none';

            if ($status ne '410' || $c->alerts()) {
                $t->write_file("failed-$n", "client $n: " . $c->error()
                                            . ", status $status\n");
                return;
            }

            $state{lost}++;
            $c = client($n, session => $c->session());
            $state{resumed} += $c->reused() ? 1 : 0;
        }

        write_state($n, \%state);
        sleep 0.02;
    }
}


sub write_state {
    my ($n, $state) = @_;

    $t->write_file("state-$n.new", join ' ', %$state);
    rename $t->path("state-$n.new"), $t->path("state-$n");
}


# A counter of each client.

sub state {
    my ($name) = @_;

    return map {
        my %state = split / /, $t->read_file("state-$_");
        $state{$name} || 0;
    } 1 .. $CLIENTS;
}


# Waits until each client has lost this many sessions, and checks that none has
# lost more; or until each client has sent this many more requests.

sub all_have {
    my ($name, $number, $what) = @_;

    my @now = state($name);
    my @limits = map { $name eq 'lost' ? $number : $_ + $number } @now;

    $t->wait_for(sub {
        @now = state($name);
        return !grep { $now[$_] < $limits[$_] } 0 .. $#now;
    });

    return is(join(' ', @now), join(' ', @limits), $what) if $name eq 'lost';

    ok(!(grep { $now[$_] < $limits[$_] } 0 .. $#now), $what)
        or diag("@now, not @limits", map { $t->read_file("failed-$_") }
                                         1 .. $CLIENTS);
}


# Messages are logged at most once a second, with the number of POSTs for lost
# sessions.

sub logged {
    my ($what) = @_;

    my $losses = sum(state('lost'));
    my %lines;

    $t->wait_for(sub {
        %lines = lines();
        return sum(0, map { @$_ } values %lines) >= $losses;
    });

    is(sum(0, map { @$_ } values %lines), $losses, $what);
    is((grep { @{$lines{$_}} > 1 } keys %lines), 0, 'at most once a second');
}


# The numbers in these messages, by second.

sub lines {
    my $re = qr/^\S+ (\S+) \[notice\] .*: (\d+) POSTs for sessions of /m;
    my $log = $t->read_file('error.log');
    my %lines;

    while ($log =~ /$re/g) { push @{$lines{$1}}, $2 }

    return %lines;
}


# Open descriptors of a process, by name without digits.

sub descriptors {
    my ($pid) = @_;

    my %count;

    for my $fd (glob "/proc/$pid/fd/*") {
        my $name = readlink $fd or next;
        $count{$name =~ s/\d+//gr}++;
    }

    return %count;
}
