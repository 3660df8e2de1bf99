# A zone that is full of idle sessions, like that of a busy server: new
# handshakes are accepted, up to their share.  ClientHellos, unfinished records,
# and unverified certificates evict only entries of their own kind.

use strict;
use warnings;

use Test::More;

use Test::Atls;


my $MAX = 20;                       # handshakes at the same time
my $FLOOD = 400;
my $RECORD = 16_000;

my $t = Test::Atls->new(workers => 2);


# a large certificate that is not trusted

$t->make_cert('stranger', type => 'ec',
              san => join ',', map { "DNS:host$_." . 'x' x 50 . '.test' }
                               1 .. 100);

$t->write_http(<<'EOC');
atls_zone  full:256k;

%%CERTIFICATE%%

atls_client_certificate  %%TESTDIR%%/localhost.crt;
atls_verify_client       optional_no_ca;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "inner\n";
    }
}
EOC

$t->run();


# all of the zone, except for reserved entries, is used by idle sessions

my @idle = map { $t->established() } 1 .. 500;

@idle = reverse grep { served($_) } reverse @idle;

my $n = @idle;

cmp_ok($n, '<', 450, "the zone is full with $n sessions");
cmp_ok($n, '>', 300, 'which is most of it');

served($_) for @idle;               # sets their order


# handshakes

is(at_once($MAX), $MAX, 'handshakes at the same time');
is(lost($MAX), 0, 'each takes the place of the longest idle');
is(at_once($MAX), $MAX, 'and more of them');
is(lost($MAX), 0, 'likewise');

my $slow = $t->half_open();

$t->half_open() for 1 .. $MAX;
ok($slow->handshake(), 'a slow one, with others between');
is(lost(1), 0, 'it goes on');


# a flood of ClientHellos

$t->half_open() for 1 .. $FLOOD;
is(lost(0), 0, 'ClientHellos push out no session');


# Unfinished records, 34 times as large as a session.  The oldest one is evicted
# for the next one; their sessions evict idle ones as usual.

my @cut = map { cut() } 1 .. 6;

is(lost(6), 0, 'records that do not end push out no session');

my $last = $cut[-1];

ok(finish($last), 'the last of them goes on');
ok(!finish($cut[0]), 'the first one does not');
is($cut[0]->last_response()->status(), 410, 'its session is gone');


# certificates

my @strangers = map {
    $t->established(cert => $t->path('stranger.crt'),
                    key  => $t->path('stranger.key'))
} 1 .. 30;

my $left = grep { served($_) } @idle;

cmp_ok($left, '>=', int($n / 2), 'certificates that nobody has verified');
cmp_ok(scalar(grep { served($_) } @strangers), '<', 30,
       'make room for each other');


# messages

$t->wait_for_log(qr/evicted: .* [1-9]\d* of unverified clients/);

my @lines = $t->read_file('error.log')
    =~ /^(\S+ \S+) \[warn\] .*atls_zone "full" is too small.* evicted: /mg;
my %seconds = map { $_ => 1 } @lines;

cmp_ok(scalar @lines, '>', 0, 'the log says what was pushed out');
is(scalar @lines, scalar keys %seconds, 'at most once a second');

$t->done_testing();


# The number of handshakes that succeed if all begin before the first one is
# finished.

sub at_once {
    my ($count) = @_;

    my @c = map { $t->half_open() } 1 .. $count;

    return scalar grep { $_->handshake() } @c;
}


# The number of other sessions that were evicted, if the longest idle ones were
# expected to be.

sub lost {
    my ($count) = @_;

    splice @idle, 0, $count;

    return scalar grep { !served($_) } @idle;
}


sub served {
    my ($c) = @_;

    my $r = $c->get('/');

    return $r && $r->body() eq "inner\n";
}


# A session with an unfinished record.

sub cut {
    my $c = $t->established();

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                    . ("X: " . 'x' x 1000 . "\r\n") x ($RECORD / 1005)
                    . "\r\n");
    $c->{rest} = $c->tls_out();

    my $r = $c->post(substr $c->{rest}, 0, -10, '');

    $r && $r->status() == 200 or die "a part of a record is refused\n";

    return $c;
}


sub finish {
    my ($c) = @_;

    my $r = $c->post($c->{rest}) or return 0;

    $c->tls_in($r->body()) if $r->status() == 200;

    return $r->status() == 200 && $c->read_plain() ne '';
}
