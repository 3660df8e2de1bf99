# A worker that quits is killed, and not replaced.  Its sessions are released,
# also if a client uses one of them before this was noticed.

use strict;
use warnings;

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_connect send_all );
use Test::Atls::Process qw( alive );


my $t = Test::Atls->new(workers => 1);

$t->write_http(<<'EOC');
atls_zone  small:32k;

%%CERTIFICATE%%

# a worker that quits waits for handshakes

atls_handshake_timeout  10m;
client_body_timeout     10m;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location = /.well-known/atls {
        atls on;
    }
}
EOC

$t->run();
$t->allow_kills();

# all handshakes that are possible, each with a POST in progress

my $all = room();
my ($old) = $t->workers();
my @c = map { half_open() } 1 .. $all;

$_->{unfinished} = unfinished($_) for @c;
$t->wait_for(sub { !grep { $_->post('')->status() != 409 } @c });

is(room(), 0, 'a worker has all handshakes');

$t->signal('HUP');
$t->wait_for(sub {
    my @new = $t->workers();
    return @new == 1 && $new[0] != $old;
}, 20);

kill 'KILL', $old;
$t->wait_for(sub { !alive($old) });

is($c[0]->post('')->status(), 410, 'it is killed: one of them is gone');

my $now;

$t->wait_for(sub { ($now = room()) == $all }, 20);
is($now, $all, 'and so are the others');

# without waiting for unfinished handshakes

$t->stop(signal => 'TERM');

$t->done_testing();


sub half_open {
    my $c = $t->client(keepalive => 0);

    $c->handshake_step();

    return $c->exchange($c->tls_out()) ? $c : undef;
}


# The number of possible handshakes.

sub room {
    my @half_open = grep { defined } map { half_open() } 1 .. 20;

    return scalar grep { $_->post('')->status() == 200 } @half_open;
}


# A POST that is not finished, with the beginning of the next flight.

sub unfinished {
    my ($c) = @_;

    my $s = http_connect($t->port(0));

    $c->handshake_step();
    send_all($s, $c->format_post(substr($c->tls_out(), 0, 20),
                                 'Content-Length' => 1000));

    return $s;
}
