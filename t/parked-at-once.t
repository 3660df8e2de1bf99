# A parked request is closed in favour of a newer one, and the next POST of its
# session is processed before the worker has done so: the session ends.

use strict;
use warnings;

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_connect send_all );
use Test::Atls::Response qw( parse_responses );

use constant {
    CONNECTIONS => 128,
    PARKED      => 32,          # a quarter of the connections
};

my $t = Test::Atls->new(workers => 1, client => { keepalive => 0 });

$t->write_http(<<"EOC", events => "worker_connections @{[ CONNECTIONS ]};");
%%CERTIFICATE%%

# for two pipelined POSTs

client_header_buffer_size  16k;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "answered \$uri\\n";
    }
}
EOC

$t->run();

my ($worker) = $t->workers();
my ($pair, $single) = map { kept_alive() } 1 .. 2;
my ($first, $second) = map { $t->established() } 1 .. 2;
my @waiting = map { $t->established() } 1 .. PARKED;

$_->exchange(part($_)) for @waiting;

# In one iteration of the event loop, the worker parks two requests.  The first
# one closes $waiting[0]; it is followed on the same connection by the next part
# of $waiting[1], which the second one closes.

my $posts = $first->format_post(part($first))
            . $waiting[1]->format_post(rest($waiting[1]));

$t->suspend_workers($worker);
send_all($pair, $posts);
send_all($single, $second->format_post(part($second)));
kill 'CONT', $worker;

my @r = answers($pair, 2);

is($r[0] && $r[0]->status(), 200, 'a request that is to wait');
is($r[1] && $r[1]->status(), 200, 'the rest of one that is closed');

$waiting[1]->tls_in($r[1]->body()) if $r[1];
$waiting[1]->read_plain();
ok($waiting[1]->closed(), 'its session ends');

# all parked requests are replaced

my @next = map { $t->established() } 1 .. 2 * PARKED;

$_->exchange(part($_)) for @next;

is(join('', map { answer($_) } @next[PARKED .. $#next]),
   "answered /\n" x PARKED, 'others go on');
is(($t->workers())[0], $worker, 'and so does the worker');

$t->done_testing();


# The parts of a request, a record each.

sub part {
    my ($c) = @_;

    $c->write_plain("GET / HTTP/1.1\r\nHost: local");

    return $c->tls_out();
}


sub rest {
    my ($c) = @_;

    $c->write_plain("host\r\nX-Unfinished: yes\r\n");

    return $c->tls_out();
}


sub answer {
    my ($c) = @_;

    my ($r) = parse_responses($c->request("host\r\n\r\n"), 'GET');

    return $r ? $r->body() : 'no answer';
}


# An idle connection that the worker has accepted.

sub kept_alive {
    my $s = http_connect($t->port(0));

    send_all($s, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    answers($s, 1);

    return $s;
}


sub answers {
    my ($s, $n) = @_;

    my $got = '';
    my @r;

    while (@r < $n || !$r[-1]->done()) {
        sysread $s, $got, 65536, length $got or last;
        @r = parse_responses($got, ('POST') x $n);
    }

    return @r;
}
