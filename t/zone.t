#!/usr/bin/perl

# A full zone: half-open sessions evict half-open ones, established sessions
# evict the longest idle one, and busy sessions are never evicted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Response qw( parse_responses );

my $delay = 3 * ($ENV{TEST_NGINX_SLOW} || 1);

my $t = Test::Atls->new();

# some handshakes are not finished

my $conf = http_conf(<<'EOC', main => 'worker_shutdown_timeout 1s;');
atls_zone small:%%SIZE%%;
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location / {
        return 200 ok;
    }

    location /slow {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

like($t->config_error($conf =~ s/%%SIZE%%/16k/r), qr/zone "small:16k" is too small/,
     'a zone that is too small');
like($t->config_error($conf =~ s/small:%%SIZE%%/small/r), qr/\[emerg\]/,
     'a zone without a size');

$t->write_conf($conf =~ s/%%SIZE%%/32k/r)->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my ($c, $r);


# the number of sessions that fit: of more, the last ones remain

my @all = map { $t->established() } 1 .. 60;
my @alive = reverse grep { alive($_) } reverse @all;
my $n = @alive;

cmp_ok($n, '<', 60, "the zone has room for $n sessions");
cmp_ok($n, '>', 10, 'and for some');
is_deeply([ map { name($_) } @alive ],
          [ map { name($_) } @all[60 - $n .. 59] ], 'the last ones are left');
is($all[0]->last_response()->status(), 410, 'of the others there is nothing');


# the longest idle one is evicted, regardless of its age; sets their order

alive($_) for @alive;
alive($alive[0]);

my $new = $t->established();
is(dead(@alive), '1', 'the longest idle goes');
ok(alive($new), 'the new one is there');

$alive[1] = $new;


# half-open sessions do not evict established ones, and vice versa

my @half = map { $t->half_open() } 1 .. 3;

is(dead(@alive), '', 'half-open sessions have room of their own');

$new = $t->established();
is(dead(@alive), '0', 'a new one takes the place of the longest idle');
push @alive, $new;
shift @alive;
alive($new);

is(scalar(grep { $_->handshake() } @half), 3, 'not that of half-open ones');
is(dead(@alive), '0 1 2', 'until they are established');
splice @alive, 0, 3, @half;

# regardless of their number

@half = map { $t->half_open() } 1 .. 3 * $n;
is(dead(@alive), '', 'a flood of half-open sessions');

ok(!$half[0]->handshake(), 'the first one of it');
is($half[0]->last_response()->status(), 410, 'it is gone');
ok($half[-1]->handshake(), 'the last one of it');
is(dead(@alive), '0', 'takes the place of the longest idle');


# if all sessions are busy, there is no room

@alive = map { $t->established() } 1 .. $n;
$backend->forget();

for my $c (@alive) {
    $c->write_plain(Test::Atls::Client::format_request(
        'GET', "/slow?n=2&delay=$delay", ''));
    $c->post_send($c->tls_out());
}

ok($t->wait_for(sub { $n == (() = $backend->requests()) }), "$n busy sessions");

my @status;

for (1 .. 5) {
    $c = $t->half_open();
    $c->handshake();
    $r = $c->last_response();
    push @status, $r->status();
}

is(join(' ', @status), join(' ', (503) x 5), 'no room for more');
like($r->header('Retry-After') || '', qr/^[1-9]\d*$/, 'Retry-After');
is($r->header('Content-Type'), 'application/problem+json', 'problem+json');
like($r->header('Set-Cookie'), qr/Max-Age=0/, 'the cookie expires');

my @lines = $t->read_file('error.log')
    =~ /^(\S+ \S+) \[error\].*atls_zone "small" is full/mg;
my %seconds = map { $_ => 1 } @lines;

cmp_ok(scalar @lines, '>', 0, 'it is in the log');
is(scalar @lines, scalar keys %seconds, 'at most once a second');

my $whole = 0;

for my $c (@alive) {
    $r = $c->post_receive() or next;
    $c->tls_in($r->body());
    ($r) = parse_responses($c->read_plain());
    $whole++ if $r && $r->body() eq "line 1\nline 2\n";
}

is($whole, $n, 'no busy session was lost');
ok($t->established(), 'now there is room');

$t->done_testing();


# Whether a session exists.  If so, it becomes the most recently used one.

sub alive {
    my ($c) = @_;

    my $r = $c->get('/');

    return $r && $r->body() eq 'ok';
}


# The indices of sessions that do not exist.

sub dead {
    return join ' ', grep { !alive($_[$_]) } 0 .. $#_;
}


sub name { $_[0]->{ssl} }
