# Descriptors of the master for mailboxes between workers: there are no more
# than necessary, and those that core needs are left.  Without mailboxes, only
# some POSTs cannot be relayed.

use strict;
use warnings;

use Errno qw( EPERM );
use Socket qw( AF_UNIX SOCK_DGRAM pack_sockaddr_un );
use Test::More;

use Test::Atls;
use Test::Atls::Elsewhere qw( connect_to descriptors post_to sockets );
use Test::Atls::Http qw( read_response );
use Test::Atls::Process qw( alive asleep );
use Test::Atls::Status qw( status );


my $MANY = 128;
my $LIMIT = 1024;           # default of a service

my $RELOADS = 9;
my $LINGERING = 16;         # workers of each configuration

my $ROUNDS = 30;

plan(skip_all => 'valgrind has a limit of its own')
    if ($ENV{TEST_NGINX_WRAPPER} || '') =~ /valgrind/;
plan(skip_all => 'prlimit is needed') if system('prlimit >/dev/null 2>&1');

my $CONF = http_conf(<<'EOC');
%%CERTIFICATE%%
atls_handshake_timeout  10m;

send_timeout            1h;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /.well-known/atls {
        atls on;
        add_header  X-Pid $pid always;
    }

    location = /large {
    }

    location = /status {
        atls_status;
    }

    location / {
        return 200 "$uri $pid";
    }
}
EOC

my $WITHOUT = $CONF =~ s/^ *(?:atls|%%CERTIFICATE).*\n//mgr
              =~ s/^%%GLOBALS%%$/%%BARE%%/mr;

my $t = Test::Atls->new(workers => $MANY, client => { keepalive => 0 });

$t->write_file('large', 'x' x (16 << 20));
$t->write_conf($CONF);

{
    local $ENV{TEST_NGINX_WRAPPER} = join ' ', "prlimit --nofile=$LIMIT",
                                          $ENV{TEST_NGINX_WRAPPER} || ();
    $t->run();
}

is(relayed(3), 3, "$MANY workers");
is(status($t)->{workers}, $MANY, '... which are counted');

is(configured($_) && relayed(3), 3, "a reload to $_ workers")
    for 4, $MANY, 4;

configured(4);
cmp_ok(descriptors($t->pid()), '<', 50, 'descriptors are given back');

lingering();
configured(4);
nobody_else();
in_want();
refused();
in_and_out();

$t->done_testing();


# Workers of many configurations that cannot quit yet.

sub lingering {
    my ($reloaded, @old, @downloads) = (0);

    configured($LINGERING);
    configured($LINGERING);
    limit(600);

    my $before = descriptors($t->pid());

    for (1 .. $RELOADS) {
        my @workers = $t->workers();

        push @old, @workers;
        push @downloads, map {
            connect_to($t, $_, "GET /large HTTP/1.0\r\n\r\n",
                       port => $t->port(0))
        } @workers;

        last unless $t->reload();
        $reloaded++;
    }

    is($reloaded, $RELOADS, 'downloads that linger: reloads');
    is(scalar(grep { alive($_) } @old), @old, 'downloads that linger: workers');
    is(relayed(3), 3, 'downloads that linger: POSTs are relayed');

    @downloads = ();
    $t->wait_for(sub { !grep { alive($_) } @old }, 30);
    configured($LINGERING);

    ok($t->wait_for(sub { descriptors($t->pid()) <= $before }),
       'downloads that linger: descriptors are given back')
        or diag(descriptors($t->pid()) . ", before: $before");

    limit($LIMIT);
}


# Names of mailboxes are visible to other processes.

sub nobody_else {
    my %inode = map { /(\d+)/ => 1 } sockets($t->pid());
    my @names = map { my @f = split; $inode{$f[6]} && $f[7] ? $f[7] : () }
                split /\n/, $t->read_file('/proc/net/unix');
    my %errors;

    for (@names) {
        socket my $s, AF_UNIX, SOCK_DGRAM, 0 or die "socket: $!\n";
        my $sent = send $s, 'mail', 0, pack_sockaddr_un(s/^@/\0/r);
        $errors{defined $sent ? 'sent' : $! == EPERM ? 'refused' : "$!"} = 1;
    }

    is(scalar(grep { !/^@/ } @names), 0, 'mailboxes are in no file system');
    is(join(' ', keys %errors), @names ? 'refused' : '',
       'nobody else can send to them');
    is(relayed(3), 3, 'POSTs are relayed');
}


# There are enough descriptors for workers and connections only.

sub in_want {
    my $c = $t->client();

    $c->handshake() or diag($c->error());

    leave(60);
    $t->allow_log(qr/atls mailboxes could not be created/);

    ok(configured(8), 'no descriptors: the configuration is reloaded');
    is(scalar($t->workers()), 8, 'no descriptors: all workers are there');
    like($t->read_file('error.log'),
         qr/\[alert\] .* \d+ of 24 atls mailboxes could not be created, .*410 \(\d+:/,
         'no descriptors: the log says so');

    is($c->get('/')->status(), 200, 'no descriptors: sessions go on');

    my $before = status($t)->{relays_total}{'no-mailbox'};
    my ($shaking, $r, $whose) = finished_elsewhere();

    is($r && $r->status(), 410, 'no descriptors: no handshake elsewhere');
    like($r && $r->header('Set-Cookie'), qr/^atls=;.*Max-Age=0/,
         'no descriptors: its cookie expires');
    is(status($t)->{relays_total}{'no-mailbox'}, $before + 1,
       'no descriptors: counted as such');

    # a new session, with the cookie of one in a worker that cannot be reached

    my ($begun, $owner) = half_open();
    my ($other) = grep { $_ != $owner } $t->workers();
    my $new = $t->client();

    $new->handshake_step();
    $new->{cookies}{atls} = $begun->cookie();
    $r = read_response(post_to($t, $other, $new));
    is($r && $r->status(), 200, 'no descriptors: a new session');

    # workers that quit wait for handshakes

    ($new->{cookies}{atls}) = $r->header('Set-Cookie') =~ /^atls=([^;]+)/ if $r;

    give_up($whose, $shaking);
    give_up($owner, $begun);
    give_up($other, $new);

    limit($LIMIT);
    configured(4);
    is(relayed(3), 3, 'enough of them again');
}


# A refused configuration does not change the number of descriptors.

sub refused {
    my @before = descriptors($t->pid());

    $t->allow_log(qr/unknown directive "nothing"/);
    $t->write_conf($CONF =~ s/^http/nothing;\nhttp/mr);
    ok(!$t->reload(), 'a refused configuration');
    $t->wait_for(sub { asleep($t->pid()) });
    is(scalar(descriptors($t->pid())), @before,
       'a refused configuration: descriptors');
    is(relayed(3), 3, 'a refused configuration: POSTs are relayed');
}


# The module is unloaded and loaded again.

sub in_and_out {
    configured(4);

    my ($descriptors, $mappings) = held();

    for (1 .. $ROUNDS) {
        $t->write_conf($WITHOUT =~ s/%%BARE%%/bare()/er);
        last unless $t->reload();
        last unless configured(4);
    }

    my @now = held();

    is($now[0], $descriptors, "in and out $ROUNDS times: descriptors");
    is($now[1], $mappings, "in and out $ROUNDS times: shared memory");
    is(relayed(3), 3, "in and out $ROUNDS times: POSTs are relayed");
}


sub held {
    return (scalar(descriptors($t->pid())),
            scalar(() = $t->read_file('/proc/' . $t->pid() . '/maps')
                        =~ /^\S+ rw-s/mg));
}


sub bare { return $t->expand('%%GLOBALS%%') =~ s/^load_module .*\n//mr }


# Returns when the old workers have exited and the master is idle.

sub configured {
    my ($workers) = @_;

    my @old = $t->workers();

    $t->{workers} = $workers;
    $t->write_conf($CONF);

    return $t->reload()
           && $t->wait_for(sub { $t->workers() == $workers
                                 && !grep { -d "/proc/$_" } @old }, 30)
           && $t->wait_for(sub { asleep($t->pid()) });
}


sub limit {
    my ($n) = @_;

    system('prlimit', '--pid', $t->pid(), "--nofile=$n:") == 0
        or die "prlimit failed\n";
}


# Sets a limit for $n more descriptors.

sub leave {
    my ($n) = @_;

    my %used = map { $_ => 1 } descriptors($t->pid());
    my $limit = 0;

    $n -= !$used{$limit++} while $n;
    limit($limit);
}


# The number of handshakes that are finished by a POST to another worker.

sub relayed {
    my ($n) = @_;

    return scalar grep {
        my ($c, $r) = finished_elsewhere();

        $r && $r->status() == 200 && !$c->closed() && !$c->error();
    } 1 .. $n;
}


sub finished_elsewhere {
    my ($c, $owner) = half_open();
    my @others = grep { $_ != $owner } $t->workers();

    $c->handshake_step();

    my $r = read_response(post_to($t, $others[rand @others], $c));

    if ($r && $r->status() == 200) {
        $c->tls_in($r->body());
        $c->read_plain();
    }

    return ($c, $r, $owner);
}


# Ends a handshake by an alert.

sub give_up {
    my ($owner, $c) = @_;

    return read_response(post_to($t, $owner, $c,
                                 "\x15\x03\x03\x00\x02\x02\x50"));
}


# A client with a half-open session, and its worker.

sub half_open {
    my $c = $t->client();

    $c->handshake_step();
    $c->exchange($c->tls_out()) or die $c->error() . "\n";

    return ($c, $c->last_response()->header('X-Pid'));
}
