# A worker that is stopped or stuck does not process relayed POSTs.  They end by
# the timeouts of their endpoint, and are not served when the worker continues.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Elsewhere qw( post_to with_only );
use Test::Atls::Http qw( read_response readable );
use Test::Atls::Process qw( asleep );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience slow );


my $LARGE = 4 << 20;
my $TIMEOUT = 6 * (slow() > 4 ? 4 : slow());
my $LATER = $TIMEOUT + 2;

my $t = Test::Atls->new(workers => 2,
                        client => { keepalive => 0, timeout => patience() });

my $backend = Test::Atls::Backend->start($t, $t->port(1));

$t->write_http(<<"EOC");
%%CERTIFICATE%%
atls_handshake_timeout  ${TIMEOUT}s;

client_max_body_size    64m;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /.well-known/atls {
        atls on;
        add_header           X-Pid \$pid always;
        send_timeout         ${LATER}s;
        client_body_timeout  10m;
    }

    location / {
        proxy_pass          http://127.0.0.1:%%PORT_1%%;
        proxy_http_version  1.1;
        proxy_set_header    Connection "";

        # so that the backend is not told about aborted requests

        proxy_ignore_client_abort  on;
    }
}
EOC

$t->run();
$t->allow_kills();

stopped();
for_a_moment();
the_other_one();
in_a_response();
killed('killed');

is(scalar(grep { $_->{uri} =~ /never/ } $backend->requests()), 0,
   'nothing was served behind the back of its client');
unlike($t->read_file('error.log'), qr/exited on signal (?!9\b)/, 'no crash');

$t->stop();
without_locks();

$t->done_testing();


sub stopped {
    my ($owner, $other) = $t->workers();
    my ($idle, $half, $again, $short, $long);

    with_only($t, $owner, sub {
        $idle = $t->established();
        ($half, $again) = ($t->half_open(), $t->half_open());
        $short = unfinished('/never-short', 10);
        $long = unfinished('/never-long', $LARGE);
    });

    $t->suspend_workers($owner);

    $_->handshake_step() for $half, $again;
    $half->write_plain("GET /never-half HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $short->write_plain('x' x 10);
    $long->write_plain('x' x $LARGE);

    # this one waits until all buffers are full

    my $idles = get($idle);

    $_->post_send($_->tls_out()) for $half, $short, $long;

    my %r = (half => $half->post_receive(), short => $short->post_receive(),
             long => $long->post_receive());
    my %what = (half => 'a handshake', short => 'a request',
                long => 'a large body');

    for my $which (sort keys %r) {
        my $r = $r{$which};

        is($r && $r->status(), 410, "stopped: $what{$which}");
        like($r && $r->header('Set-Cookie'), qr/^atls=;.*Max-Age=0/,
             "stopped: $what{$which}: the cookie expires");
    }

    is($idles, 200, 'stopped: another session goes on');

    my @lines = $t->read_file('error.log')
        =~ /\[error\] .* no response from worker process $owner for (\d+) milliseconds/g;

    is(scalar @lines, 3, 'stopped: a line for each POST');
    is(scalar(grep { $_ < 1000 * $TIMEOUT || $_ > 3000 * $LATER } @lines), 0,
       'stopped: with the time');

    # the other workers know that it does not respond

    my $began = time;
    my $r = $again->post($again->tls_out());

    is($r && $r->status(), 410, 'stopped: another POST');
    cmp_ok(time - $began, '<', $TIMEOUT, 'stopped: at once');
    is(get($idle), 200, 'stopped: the session still goes on');

    kill 'CONT', $owner;
    $t->wait_for(sub { asleep($owner) });

    with_only($t, $owner, sub {
        is(get($idle), 200, 'it goes on: a session from before');
        is(get($t->established()), 200, 'it goes on: a new one');
    });

    ok($t->wait_for_log(qr/relayed POST was abandoned before being processed/),
       'it goes on: POSTs are there');
    is(scalar(grep { $_->{uri} =~ /never/ } $backend->requests()), 0,
       'it goes on: with nothing that was given up');
}


# Stopped for less than the timeout.

sub for_a_moment {
    my ($owner) = $t->workers();
    my $c;

    with_only($t, $owner, sub { $c = unfinished('/body', 10) });

    $t->suspend_workers($owner);
    $c->write_plain('x' x 10);
    $c->post_send($c->tls_out());
    sleep 2;
    kill 'CONT', $owner;

    is(said($c, $c->post_receive()), '200 xxxxxxxxxx', 'for a moment');
}


# The relaying worker has not received anything for a while.

sub the_other_one {
    my ($owner, $other) = $t->workers();
    my $c;

    with_only($t, $owner, sub {
        $c = unfinished('/slow?n=1&delay=' . 2 * $LATER, 10);
    });

    $c->write_plain('x' x 10);
    my $s = post_to($t, $other, $c);

    $t->wait_for(sub { asleep($other) && asleep($owner) });
    $t->suspend_workers($other);
    sleep $LATER + 2;
    kill 'CONT', $other;

    is(said($c, read_response($s)), "200 line 1\n", 'the one that relays');
}


# A response that has begun cannot be revoked.

sub in_a_response {
    my ($owner, $other) = $t->workers();
    my $c;

    with_only($t, $owner, sub { $c = unfinished('/big?size=50000000', 10) });

    $c->write_plain('x' x 10);
    my $s = post_to($t, $other, $c);
    my $r = Test::Atls::Response->new(on_body => sub { });

    $r->feed(some($s)) until $r->length();
    $t->suspend_workers($owner);

    # the data already sent

    my $end;

    until (defined $end) {
        my $bytes = some($s);
        defined $bytes && $bytes ne '' ? $r->feed($bytes) : ($end = $bytes // 0);
    }

    is($end, '', 'in a response: it ends');
    ok(!$r->done(), 'in a response: not as if it were whole');
    like($t->read_file('error.log'),
         qr/(?:from worker process $owner for .*\n[^\0]*){4}/,
         'in a response: the log says why');

    kill 'CONT', $owner;
    $t->wait_for(sub { asleep($owner) });
}


# The master has not noticed yet that the worker is dead.

sub killed {
    my ($name) = @_;

    my ($owner, $other) = $t->workers();
    my $c;

    with_only($t, $owner, sub { $c = unfinished('/never', 10) });

    kill 'STOP', $t->pid();
    kill 'KILL', $owner;
    $t->wait_for(sub { Test::Atls::Process::state($owner) eq 'Z' });

    my $began = time;

    $c->write_plain('x' x 10);
    $c->post_send($c->tls_out());

    my $r = $c->post_receive();
    my $took = time - $began;

    kill 'CONT', $t->pid();
    $t->wait_for(sub { grep { $_ != $owner && $_ != $other } $t->workers() });

    is($r && $r->status(), 410, $name);

    return $took;
}


# Without locks, the pid of a worker exists until the master has noticed its
# death.

sub without_locks {
    my $library = $t->path('no_memfd.so');
    my @cc = (split(' ', $ENV{CC} || 'cc'), qw( -shared -fPIC -O1 ),
              $t->root() . '/t/bin/no_memfd.c', '-o', $library);

    system(@cc) == 0 or die "@cc failed\n";

    {
        local $ENV{LD_PRELOAD} = $library;
        local $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} || (),
                                             'verify_asan_link_order=0';
        $t->run();
    }

    like($t->read_file('error.log'), qr/memfd for "atls" failed/, 'without locks');
    killed('without locks: killed');
}


# Sends the header of a request.

sub unfinished {
    my ($uri, $size) = @_;

    my $c = $t->established();

    $c->request("PUT $uri HTTP/1.1\r\nHost: localhost\r\n"
                . "Content-Length: $size\r\n\r\n");

    return $c;
}


sub get {
    my ($c) = @_;

    my $r = $c->get('/echo');

    return $r ? $r->status() : $c->error();
}


sub said {
    my ($c, $r) = @_;

    return 'nothing' unless $r;
    return $r->status() if $r->status() != 200;

    $c->tls_in($r->body());
    ($r) = parse_responses($c->read_plain());

    return $r ? $r->status() . ' ' . $r->body() : 'nothing inside';
}


# Returns the next bytes, '' at the end, or undef after a timeout.

sub some {
    my ($s) = @_;

    return undef unless readable($s, patience());

    my $n = $s->sysread(my $bytes, 65536);

    return $n ? $bytes : '';
}
