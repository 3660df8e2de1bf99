package Test::Atls::Flood;

# Servers for tests of floods, the sessions that are in use meanwhile, and a
# flood of ClientHellos.
#
#     use Test::Atls::Flood;
#     start(SIZE => '10m', MAX => $MAX);      # $t runs
#     open_sessions();
#     my $flood = flood($HELLOS);
#     is($flood->{failed}, '', 'sessions in use');
#     ok(forgotten(), 'the half-open sessions have ended');

use strict;
use warnings;

use Exporter qw( import );
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Response;
use Test::Atls::Slow qw( patience slow );

our @EXPORT = qw(
    $HELLOS $FEWER $WORKERS $MAX $HANDSHAKE_TIMEOUT $BODY_TIMEOUT $t $hello
    start open_sessions alive unserved statuses request flood waiting forgotten
);

my $slow = $ENV{TEST_NGINX_SLOW} || 1;      # with valgrind: fewer of all

our $HELLOS = $slow > 1 ? 600 : 10_000;
our $FEWER = $slow > 1 ? 600 : 2000;
our $WORKERS = 4;
our $MAX = 50;                      # handshakes in each worker

our $HANDSHAKE_TIMEOUT = 4 * slow();
our $BODY_TIMEOUT = 2 * slow();

my $AT_ONCE = 25;                   # connections of a flood
my $PIPELINED = 20;                 # POSTs of each

my $TYPE = 'application/atls+octet-stream';

# With reuseport, connections are distributed among all workers.

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

our $t;

our $hello = do {
    my $c = Test::Atls::Client->new(port => 0);

    $c->handshake_step();
    $c->tls_out();
};

my @sessions;
my $addresses = 0;
my $last;                           # flood


# Starts nginx with values of the placeholders.

sub start {
    my (%set) = @_;

    %set = (HANDSHAKE_TIMEOUT => $HANDSHAKE_TIMEOUT,
            BODY_TIMEOUT => $BODY_TIMEOUT,
            SESSION_TIMEOUT => 10, %set);

    my $text = $conf;

    $text =~ s/%%$_%%/$set{$_}/g for keys %set;

    $t = Test::Atls->new(workers => $WORKERS);
    $t->write_conf($text)->run();
}


# The sessions in use.

sub open_sessions {
    @sessions = map { ($t->established(protocol => $_),
                       $t->established(protocol => $_, keepalive => 0)) }
                    'TLSv1.3', 'TLSv1.2';
}


# Whether a session exists.  If so, it becomes the most recently used one.

sub alive {
    my ($c) = @_;

    my $r = $c->get('/');

    return $r && $r->body() =~ /^inner/;
}


# Sends a request in each of the sessions in use.  Returns errors.

sub unserved {
    return join '', map { alive($_) ? '' : $_->error() . "\n" } @sessions;
}


# Statuses of an empty POST in each session, with their number.

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


# Sends $n ClientHellos, each connection from another address, and requests in
# the sessions in use in between.

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

            # if the body of a POST was not received yet, the connection may be
            # closed after the response

            $peer->{left} -= @answers;
            push @todo, $peer if $peer->{left};
        }
    }

    $flood{seconds} = time - $flood{began};
    $last = \%flood;

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


# Statuses of an empty POST in each half-open session of a flood.

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


# Waits until the half-open sessions of the last flood have ended.

sub forgotten {
    return $t->wait_for(sub {
        sleep 0.2;
        waiting($last) =~ /^410 expired x \d+$/;
    }, 3 * $HANDSHAKE_TIMEOUT);
}


1;
