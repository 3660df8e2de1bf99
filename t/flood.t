# Floods: ClientHellos by the thousand that nobody means to finish, POSTs that
# come byte by byte, sessions that never send again.  Whoever has a session
# sees nothing of it, memory stays bounded, and all of it is given back.

use strict;
use warnings;

use MIME::Base64 qw( decode_base64url );
use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Response;
use Test::Atls::Slow qw( patience slow );


my $slow = $ENV{TEST_NGINX_SLOW} || 1;      # with valgrind: less of all

my $HELLOS = $slow > 1 ? 600 : 10_000;
my $FEWER = $slow > 1 ? 600 : 2000;
my $WORKERS = 4;
my $MAX = 50;                       # handshakes in each of them
my $DRIPS = $slow > 1 ? 40 : 200;
my $IDLE = 60;

my $HANDSHAKE_TIMEOUT = 4 * slow();
my $BODY_TIMEOUT = 2 * slow();

my $AT_ONCE = 25;                   # connections, with so many POSTs each
my $PIPELINED = 20;

my $TYPE = 'application/atls+octet-stream';

# "reuseport": so that each worker has its share of the connections

my $conf = http_conf(<<'EOC', events => 'worker_connections 2048;');
atls_zone             flooded:%%SIZE%%;
atls_max_handshakes   %%MAX%%;

%%CERTIFICATE%%

atls_handshake_timeout  %%HANDSHAKE_TIMEOUT%%s;

server {
    listen       127.0.0.1:%%PORT_0%% reuseport;

    location /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "inner $pid";
    }
}

server {
    listen       127.0.0.1:%%PORT_1%% reuseport;

    client_body_timeout  %%BODY_TIMEOUT%%s;

    location /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "inner $pid";
    }
}

server {
    listen       127.0.0.1:%%PORT_2%% reuseport;

    location /.well-known/atls {
        atls on;
        atls_session_timeout  %%SESSION_TIMEOUT%%s;
    }

    location / {
        return 200 "inner $pid";
    }
}
EOC

my $hello = do {
    my $c = Test::Atls::Client->new(port => 0);

    $c->handshake_step();
    $c->tls_out();
};

my $addresses = 0;
my $t;


# more handshakes than there may be

$t = start(SIZE => '10m', MAX => $MAX);

my @witnesses = witnesses();

# so that each worker has done something before

unserved() for 1 .. 10;

my @memory = memory();

for my $n (1, 2) {
    my $flood = flood($HELLOS);
    my %status = %{$flood->{status}};
    my $before = join ' ', @memory;
    my @now = memory();

    diag(sprintf '%d ClientHellos in %.1f s', $HELLOS, $flood->{seconds})
        if $ENV{TEST_VERBOSE};

    is(join(' ', sort keys %status), '200 503', "flood $n: how it is answered");

    SKIP: {
        skip 'some were given up in time for others', 1
            if $flood->{seconds} >= $HANDSHAKE_TIMEOUT;

        is($status{200}, $WORKERS * $MAX, "flood $n: as many as there may be");
    }

    is($flood->{retry}, $status{503}, "flood $n: Retry-After");
    is($flood->{cookies}, $status{200}, "flood $n: others get no cookie");
    is($flood->{failed}, '', "flood $n: the sessions go on");

    # 60 KB a handshake; the second time what the first one took is there

    SKIP: {
        skip 'not the usual memory', 1 if $slow > 1;

        my $bound = $n == 1 ? $MAX * 60 + 512 : 512;
        my ($most) = sort { $b <=> $a }
                     map { $now[$_] - $memory[$_] } 0 .. $#now;

        cmp_ok($most, '<=', $bound, "flood $n: memory stays bounded")
            or diag("KB before: $before, after: @now");
        diag("KB before: $before, after: @now") if $ENV{TEST_VERBOSE};
    }

    @memory = @now;

    SKIP: {
        skip 'some may have waited in vain', 1
            if time - $flood->{began} >= $HANDSHAKE_TIMEOUT - 1;

        is(waiting($flood), "200 x $status{200}",
           "flood $n: the half-open sessions wait");
    }

    ok(forgotten(), "flood $n: and are gone in time");

    my @new = grep { $_->handshake() } map { client() } 1 .. 5 * $WORKERS;

    is(scalar @new, 5 * $WORKERS, "flood $n: there is room for handshakes");
}


# POSTs that come byte by byte

{
    # less than it takes to know what they are; more; flights of handshakes

    my @owners = map { established(port => $t->port(1), keepalive => 0) }
                 1 .. $DRIPS / 2;
    my $began = time;
    my @shaking = map { half_open(port => $t->port(1), keepalive => 0) }
                  1 .. $DRIPS / 10;
    my @little = splice @owners, @owners / 2;

    $_->write_plain(Test::Atls::Client::format_request('GET', '/', ''))
        for @owners, @little;
    $_->{unsent} = $_->tls_out() for @owners, @little, @shaking;

    my @drips = (
        (map { drip($_->{unsent}, 0, $_->cookie()) } @little),
        (map { drip($_->{unsent}, 6, $_->cookie()) } @owners),
        (map { drip($_->{unsent}, 6, $_->cookie()) } @shaking),
        (map { drip($hello, 20) } 1 .. $DRIPS / 2 - @shaking),
    );

    my $failed = '';
    my $pause = 0;

    for (1 .. 5) {
        my $from = time;

        sleep 0.2 * slow();
        send_all($_->{socket}, substr $_->{rest}, 0, 1, '') for @drips;
        $failed .= unserved();
        $pause = time - $from if $pause < time - $from;
    }

    is($failed, '', 'slow POSTs: other sessions go on');

    # unless all that has taken too long

    my ($from, @in_use) = (time, statuses(@shaking), statuses(@owners, @little));

    my $late = time - $began >= $HANDSHAKE_TIMEOUT - 1;
    my $paused = $pause + time - $from >= $BODY_TIMEOUT - 0.5;

    SKIP: {
        skip 'some handshakes were given up', 1 if $late || $paused;

        is($in_use[0], '409 x ' . @shaking,
           'slow POSTs: their own handshakes are in use');
    }

    SKIP: {
        skip 'some bodies were given up', 1 if $paused;

        is($in_use[1], '409 x ' . (@owners + @little),
           'slow POSTs: their own sessions, too');
    }

    my @open = grep { !readable($_->{socket}, 3 * $BODY_TIMEOUT) } @drips;

    is(scalar @open, 0, 'slow POSTs: nginx stops waiting');

    # of the handshakes too, before it is time for that

    my $flood = flood($FEWER);

    SKIP: {
        skip 'some were given up in time for others', 1
            if $flood->{seconds} >= $HANDSHAKE_TIMEOUT;

        is($flood->{status}{200}, $WORKERS * $MAX,
           'slow POSTs: none of their handshakes is left');
    }

    push @owners, @shaking unless $late || $paused;

    is(statuses(@owners), '410 x ' . @owners,
       'slow POSTs: a session that has lost bytes is gone');

    my @good = grep {
        $_->exchange($_->{unsent}) && $_->read_plain() =~ /inner/
    } @little;

    is(scalar @good, scalar @little, 'slow POSTs: one that has not goes on');
    is(unserved(), '', 'slow POSTs: so do the others');

    ok(forgotten(), 'slow POSTs: the last half-open sessions are gone');
}


is(unserved(), '', 'the sessions in use have seen all of it');

# how long it takes to make as many sessions as there will be idle ones

my $began = time;

established() for 1 .. $IDLE;

my $SESSION_TIMEOUT = int(2 * slow() + 2 * (time - $began));

undef @witnesses;
$t->finish();


# another one, whose zone is small

$t = start(SIZE => '64k', MAX => 20_000, SESSION_TIMEOUT => $SESSION_TIMEOUT);

# Sessions that never send again: a sweep wipes them, though nobody asks for
# them or for their memory.  All of them have to be made, and found, before.

SKIP: {
    my ($pid) = $t->workers();

    skip 'memory of another process', 6 unless shared_memory($pid);

    # and one that may be idle for longer

    my @idle = map { established(port => $t->port(2)) } 1 .. $IDLE;
    my $began = time;
    my $patient = established();

    is(found($pid, @idle), 2 * $IDLE, 'idle sessions: ids and keys are there');
    is(found($pid, $patient), 2, 'idle sessions: those of another one');

    ok($t->wait_for(sub { !found($pid, @idle) }, 3 * $SESSION_TIMEOUT),
       'idle sessions: wiped')
        or diag(found($pid, @idle) . ' left');
    cmp_ok(time - $began, '>', $SESSION_TIMEOUT - 1.5,
           'idle sessions: not early');

    is(found($pid, $patient), 2, 'idle sessions: not the other one');
    is(statuses(@idle), "410 x $IDLE", 'idle sessions: gone');
}

# more half-open sessions than the zone can hold

@witnesses = witnesses();

{
    my @few = map { established() } 1 .. 10;
    my $flood = flood($HELLOS);

    is($flood->{failed}, '', 'a zone that is too small: the sessions go on');
    is(join(' ', keys %{$flood->{status}}), '200',
       'a zone that is too small: of half-open ones there is always one to go');
    is(statuses(@few), '200 x 10', 'a zone that is too small: none is lost');
    ok(forgotten(), 'a zone that is too small: half-open sessions end');
}


# now it is full of sessions that are idle, all but the ones in use

{
    my @all = map { unserved() if $_ % 10 == 0; established() } 1 .. 200;
    my @alive = reverse grep { alive($_) } reverse @all;

    cmp_ok(scalar @alive, '<', 200, 'a full zone');
    is(unserved(), '', 'a full zone: the sessions in use are there');

    my $flood = flood($FEWER);

    is($flood->{failed}, '', 'a full zone: the sessions in use go on');

    # they have room of their own, whatever comes

    my @left = grep { alive($_) } @alive;

    my $lost = @alive - @left;
    is($lost, 0, 'a full zone: none of the idle ones is lost');
    ok(forgotten(), 'a full zone: half-open sessions end');

    is(unserved(), '', 'a full zone: the sessions in use have seen nothing');
}


$t->done_testing();


# An nginx with that configuration.

sub start {
    my (%set) = @_;

    my $t = Test::Atls->new(workers => $WORKERS);

    %set = (HANDSHAKE_TIMEOUT => $HANDSHAKE_TIMEOUT,
            BODY_TIMEOUT => $BODY_TIMEOUT,
            SESSION_TIMEOUT => 10, %set);

    my $text = $conf;

    $text =~ s/%%$_%%/$set{$_}/g for keys %set;

    $t->write_conf($text)->run();

    return $t;
}


# clients

sub client {
    my ($secret, $c);

    # the secret of what the client sends

    $c = $t->client(@_,
        setup => sub {
            my ($ctx) = @_;

            Net::SSLeay::CTX_set_keylog_callback($ctx, sub {
                $secret = pack 'H*', $1
                    if $_[1] =~ /^CLIENT_TRAFFIC_SECRET_0 \S+ (\S+)/;
            });
        });

    $c->{secret} = \$secret;

    return $c;
}


sub established {
    my $c = client(@_);

    $c->handshake() or die 'no handshake: ' . $c->error() . "\n";

    return $c;
}


# Its second flight is there to be sent.

sub half_open {
    my $c = client(@_);

    $c->handshake_step();
    $c->exchange($c->tls_out()) or die $c->error() . "\n";
    $c->handshake_step();

    return $c;
}


sub witnesses {
    return map { (established(protocol => $_),
                  established(protocol => $_, keepalive => 0)) }
               'TLSv1.3', 'TLSv1.2';
}


# Whether a session is there; it then is the last one used.

sub alive {
    my ($c) = @_;

    my $r = $c->get('/');

    return $r && $r->body() =~ /^inner/;
}


# Which of the witnesses are not.

sub unserved {
    return join '', map { alive($_) ? '' : $_->error() . "\n" } @witnesses;
}


# The answers to an empty POST of each.

sub statuses {
    my %n;

    $n{$_->post('')->status()}++ for @_;

    return join ', ', map { "$_ x $n{$_}" } sort keys %n;
}


sub request {
    my ($body, $cookie) = @_;

    return join "\r\n", 'POST /.well-known/atls HTTP/1.1', 'Host: localhost',
                defined $cookie ? "Cookie: atls=$cookie" : (),
                "Content-Type: $TYPE", 'Content-Length: ' . length $body, '',
                $body;
}


# A POST that has begun.

sub drip {
    my ($body, $n, $cookie) = @_;

    my $s = http_connect($t->port(1));
    my $request = request($body, $cookie);

    send_all($s, substr $request, 0, length($request) - length($body) + $n, '');

    return { socket => $s, rest => $request };
}


# The flood: that many ClientHellos, each connection from another address, and
# between them a request in each of the sessions in use.

sub flood {
    my ($n) = @_;

    my %flood = (status => {}, retry => 0, cookies => 0, failed => '',
                 ids => [], began => time);
    my @todo = map { { left => $PIPELINED, local => address() } }
               1 .. $n / $PIPELINED;

    while (@todo) {
        my @batch = splice @todo, 0, $AT_ONCE;

        for my $peer (@batch) {
            $peer->{socket} = http_connect($t->port(0),
                                           local => $peer->{local});
            send_all($peer->{socket}, request($hello) x $peer->{left});
        }

        $flood{failed} .= unserved();

        for my $peer (@batch) {
            my @answers = answers($peer->{socket}, $peer->{left});

            die "no answer\n" unless @answers;
            count(\%flood, $_) for @answers;

            # a POST whose body is not there yet may be answered with a
            # connection that closes

            $peer->{left} -= @answers;
            push @todo, $peer if $peer->{left};
        }
    }

    $flood{seconds} = time - $flood{began};
    $t->{flood} = \%flood;

    return \%flood;
}


sub address {
    $addresses++;

    return sprintf '127.%d.%d.%d', 1 + $addresses / 62_500,
                   $addresses / 250 % 250, 2 + $addresses % 250;
}


sub answers {
    my ($s, $n) = @_;

    my @answers;
    my $r = Test::Atls::Response->new();

    while (@answers < $n) {

        if (!$r->done()) {
            readable($s, patience()) && sysread $s, my $bytes, 65536 or last;
            $r->feed($bytes);
            next;
        }

        push @answers, $r;
        last unless $r->keep_alive();

        my $rest = $r->rest();

        $r = Test::Atls::Response->new();
        $r->feed($rest);
    }

    return @answers;
}


sub count {
    my ($flood, $r) = @_;

    $flood->{status}{$r->status()}++;
    $flood->{retry}++ if ($r->header('Retry-After') || '') =~ /^[1-9]\d*$/;

    my ($id) = ($r->header('Set-Cookie') || '') =~ /^atls=([^;]+);/ or return;

    $flood->{cookies}++;
    push @{$flood->{ids}}, $id;
}


# What the half-open sessions of a flood are answered to a POST of nothing.

sub waiting {
    my ($flood) = @_;

    my @ids = @{$flood->{ids}};
    my %n;

    @ids = @ids[-200 .. -1] if @ids > 200;

    while (my @some = splice @ids, 0, $PIPELINED) {
        my $s = http_connect($t->port(0), local => address());

        send_all($s, join '', map { request('', $_) } @some);

        for my $r (answers($s, scalar @some)) {
            my $expired = ($r->header('Set-Cookie') || '') =~ /Max-Age=0/;

            $n{$r->status() . ($expired ? ' expired' : '')}++;
        }
    }

    return join ', ', map { "$_ x $n{$_}" } sort keys %n;
}


# Waits for the end of the last flood's.

sub forgotten {
    return $t->wait_for(sub {
        sleep 0.2;
        waiting($t->{flood}) =~ /^410 expired x \d+$/;
    }, 3 * $HANDSHAKE_TIMEOUT);
}


# memory, in KB, of each worker

sub memory {
    return map {
        my ($kb) = slurp("/proc/$_/status") =~ /^RssAnon:\s+(\d+) kB/m;
        $kb;
    } $t->workers();
}


sub slurp {
    my ($path) = @_;

    open my $fh, '<:raw', $path or return '';
    local $/;

    return scalar <$fh>;
}


# What a worker shares with the others.

sub shared_memory {
    my ($pid) = @_;

    no warnings 'portable';

    open my $fh, '<:raw', "/proc/$pid/mem" or return '';

    return join '', map {
        my ($from, $to) = /^([0-9a-f]+)-([0-9a-f]+) rw-s .*zero/
            ? (hex $1, hex $2) : (0, 0);
        my $bytes = '';

        if ($to) {
            sysseek $fh, $from, 0;
            sysread $fh, $bytes, $to - $from;
        }

        $bytes;
    } split /\n/, slurp("/proc/$pid/maps");
}


# How many of the clients' ids and secrets are in it.

sub found {
    my ($pid, @clients) = @_;

    my $memory = shared_memory($pid);

    return scalar grep { index($memory, $_) >= 0 }
                  map { (substr(decode_base64url($_->{cookies}{atls}), 0, 16),
                         ${$_->{secret}}) } @clients;
}
