#!/usr/bin/perl

# atls gateway: what it does, and keeps, for sources: addresses that may be
# forged, a flood of them, and devices that acknowledge nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( time );

use Test::Atls::Coap qw( CON NON BLOCK1 BLOCK2 MAX_AGE URI_HOST URI_PATH option
                         uint );
use Test::Atls::Gateway;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Port qw( free_port );
use Test::Atls::Slow qw( patience );

use constant { QUIET => 0.5, CONFIRMS => 64, RATE => 200 };

my @PATH = map { [ URI_PATH, $_ ] } '.well-known', 'atls';

my $t = Test::Atls::Gateway->new();

$t->backend();

# on a busy machine, handshakes take long; those that are given up are not waited
# for at the end

$t->serve_located(<<'EOC', http => 'atls_handshake_timeout 5m;',
location /late/ {
    proxy_pass http://127.0.0.1:%%PORT_1%%/wait?delay=3;
}

location /held/ {
    proxy_pass http://127.0.0.1:%%PORT_1%%/hang;
    proxy_read_timeout 10m;
}
EOC
                  main => 'worker_shutdown_timeout 1s;');

subtest('a rate instead of Echo' => \&rate);
subtest('addresses that are not verified' => \&flood);
subtest('--max-sources' => \&sources);
subtest('requests of an address, and to a service' => \&requests);
subtest('bodies of an address' => \&bodies);
subtest('a response for which there is no memory' => \&memory);
subtest('a socket for IPv4 and IPv6' => \&dual_stack);
subtest('responses that are not acknowledged' => \&confirms);

$t->done_testing();


# The bytes that a source may get in some time, at first those of 10 seconds, and
# the rest of the last response, a block.

sub allowed { RATE * (10 + $_[0]) + 1200 }


sub rate {
    my $slow = $t->gateway('--source-rate', RATE);
    my $c = Test::Atls::Coap->new(port => $slow->port(), echo => 0);
    my ($hello) = map { $t->device($slow)->tls_hello() } 1;
    my ($answers, $bytes, $began) = (0, 0, time);

    for (1 .. 20) {
        $c->send_message(type => CON, code => '0.02', mid => $c->next_mid(),
                         token => '', options => [ @PATH ], payload => $hello);
        my $m = $c->receive(2) or next;
        $answers++;
        $bytes += $m->{size};
    }

    cmp_ok($answers, '>=', 2, 'responses without Echo');
    cmp_ok($bytes, '<=', allowed(time - $began), 'but not more than the rate');
    cmp_ok($t->metric($slow, 'limited_total'), '>', 0, 'which are counted');

    # a request without a response is not one that was received before; right
    # after a response, there is not enough for another one

    for (1 .. 20) {
        $c->send_message(type => CON, code => '0.02', mid => $c->next_mid(),
                         token => '', options => [ @PATH ], payload => $hello);
        last if $c->receive(2);
    }

    my $m = { type => CON, code => '0.02', mid => $c->next_mid(), token => 'x',
              options => [ @PATH ], payload => $hello };
    $c->send_message(%$m) for 1 .. 2;
    ok(!$c->receive(QUIET), 'nor to duplicates');

    # duplicates of a request that has got a response

    for (1 .. 20) {
        $m->{mid} = $c->next_mid();
        $c->send_message(%$m);
        last if $c->receive(2);
    }

    ($bytes, $began) = (0, time);

    for (1 .. 30) {
        $c->send_message(%$m);

        while (my $again = $c->receive(0.05)) { $bytes += $again->{size} }
    }

    cmp_ok($bytes, '<=', allowed(time - $began),
           'nor to duplicates of one with a response');

    is($slow->stop()->{code}, 0, 'exit code');

    my $fast = $t->gateway('--source-rate', '1M');
    my $d = $t->device($fast);
    ok($d->handshake(), 'a higher rate');
    is($t->metric($fast, 'challenges_total'), 0, 'no Echo');
    is($fast->stop()->{code}, 0, 'exit code');

    done_testing();
}


# They do not cost a device anything.

sub flood {
    my $g = $t->gateway('--max-sources', 5);
    my $d = $t->device($g);
    my $c = $d->coap();

    ok($d->handshake(), 'a session') or diag($d->error());

    $d->write_plain("GET /big?size=5000 HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my @path = map { [ URI_PATH, $_ ] } @{$d->path()};
    my $body = $c->ask(code => '0.02', payload => $d->tls_out(),
                       options => [ @path ])->{payload};
    is(length $body, 1024, 'the first block of a response');

    my @others = map { Test::Atls::Coap->new(port => $g->port(), echo => 0) }
                     1 .. 20;

    is(join(' ', map { $_->ask(code => '0.01', options => [ @PATH ])->{code} }
                     @others),
       join(' ', ('4.01') x 20), 'others, that are not verified');
    cmp_ok($t->metric($g, 'sources'), '<=', 7, 'which are forgotten');

    for my $n (1 .. 5) {
        my $block = Test::Atls::Coap::block($n, 0, 6);
        my $m = $c->ask(code => '0.02', options => [ @path,
                                                     [ BLOCK2, $block ] ]);
        is($m->{code}, '2.04', "block $n");
        $body .= $m->{payload};
    }

    $d->tls_in($body);
    like($d->read_plain(), qr/\r\n\r\n\Q${\pattern(5000)}\E$/, 'all of it');
    is($g->stop()->{code}, 0, 'exit code');

    done_testing();
}


# Those that were idle for the longest time are forgotten, but those of an
# address do not replace others.

sub sources {
    my $g = $t->gateway('--max-sources', 5);
    my $other = $t->device($g, coap => { local => '127.0.0.2' });
    my @d = map { $t->device($g) } 1 .. 3;

    ok($_->handshake(), 'a session') for $other, @d;

    my @others = map { Test::Atls::Coap->new(port => $g->port()) } 1 .. 15;

    is(join(' ', map { $_->request('GET', [ 'x' ])->{code} } @others),
       join(' ', ('4.04') x 15), 'others');
    cmp_ok($t->metric($g, 'sources'), '<=', 11, 'five, and as many idle ones');

    my $verified = $t->metric($g, 'verified_total');

    ok($_->get('/exact'), 'the session lives') for @d;
    is($t->metric($g, 'verified_total') - $verified, 3,
       'the address is verified again');
    ok($other->get('/exact'), 'another address');
    is($t->metric($g, 'verified_total') - $verified, 3, 'is not');

    is($g->stop()->{code}, 0, 'exit code');
    done_testing();
}


# An address has half of the requests, whatever its ports, and so has each of two
# services, whatever the addresses.

sub requests {
    my $g = $t->gateway('--max-requests', 4, '-m', 600,
                        '--to', 'held=' . $t->endpoint('/held/'),
                        '--to', $t->endpoint('/located/'));
    my @c = map { Test::Atls::Coap->new(port => $g->port(), local => $_) }
                ('127.0.0.1') x 3, '127.0.0.2';

    is($_->request('GET', [ 'x' ])->{code}, '4.04', 'a source') for @c;

    my %held = (type => CON, code => '0.02', payload => 'x',
                options => [ @PATH, [ URI_HOST, 'held' ] ]);

    $_->send_message(%held, mid => $_->next_mid(), token => 'x') for @c[0, 1];
    ok($t->wait_for(sub { $t->metric($g, 'posts') == 2 }, patience()),
       'requests in progress');

    my $m = $c[2]->ask(%held);
    is($m->{code}, '5.03', 'another one of the address');
    is(uint(option($m, MAX_AGE)), 5, 'Max-Age');
    ok($g->wait_for_log(qr/ 5\.03, .*: too many requests of this address/),
       'log');

    $m = $c[3]->ask(%held);
    is($m->{code}, '5.03', 'another one to the service');
    ok($g->wait_for_log(qr/ 5\.03, .*: too many requests to this service/),
       'log');

    my $d = $t->device($g, coap => { local => '127.0.0.2' });
    ok($d->handshake(), 'another address, another service')
        or diag($d->error());
    ok($d->get('/exact'), 'a request');

    is($t->metric($g, 'shared_total'), 2, 'metrics');
    is($t->metric($g, 'refused_total'), 2 + @c, 'all that were refused');

    $g->stop('KILL');
    done_testing();
}


# Bodies that are not complete.

sub bodies {
    my $g = $t->gateway('--max-body', 2000, '--max-memory', '20k');
    my %block = (code => '0.02', payload => 'x' x 1024,
                 options => [ @PATH, [ BLOCK1, "\x0e" ] ]);
    my %codes;

    $codes{Test::Atls::Coap->new(port => $g->port())->ask(%block)->{code}}++
        for 1 .. 30;

    is(join(' ', sort keys %codes), '2.31 5.03', 'an address');

    my $c = Test::Atls::Coap->new(port => $g->port(), local => '127.0.0.2');
    is($c->ask(%block)->{code}, '2.31', 'another one');
    is($t->metric($g, 'shared_total'), $codes{'5.03'}, 'metrics');

    is($g->stop()->{code}, 0, 'exit code');
    done_testing();
}


# It is not too large: later, there may be room for it.

sub memory {
    my $g = $t->gateway('--max-memory', '30k');
    my $d = $t->device($g);

    ok($d->handshake(), 'a session') or diag($d->error());

    $d->write_plain("GET /big?size=20000 HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my $m = $d->coap()->ask(code => '0.02', payload => $d->tls_out(),
                            options => [ map { [ URI_PATH, $_ ] }
                                             @{$d->path()} ]);
    is($m->{code}, '5.03', 'a response');
    is(uint(option($m, MAX_AGE)), 5, 'Max-Age');
    ok($g->wait_for_log(qr/ 5\.03, .*: no memory for the response/), 'log');

    is($g->stop()->{code}, 0, 'exit code');
    done_testing();
}


# Clients with IPv4 have addresses of IPv6 there, but are not one network.

sub dual_stack {
    my $g = $t->gateway('--max-requests', 2, '-m', 600,
                        '--listen', 'coap://[::]:' . free_port(),
                        '--to', $t->endpoint('/held/'));
    my %held = (type => CON, code => '0.02', payload => 'x',
                options => [ @PATH ]);
    my @hosts = ([ '127.0.0.1' ], [ '127.0.0.1' ],
                 [ '127.0.0.1', '127.0.0.2' ], [ '::1' ]);
    my @c = map { Test::Atls::Coap->new(port => $g->port(), host => $_->[0],
                                        local => $_->[1]) } @hosts;

    is($_->request('GET', [ 'x' ])->{code}, '4.04', 'a source') for @c;

    $c[0]->send_message(%held, mid => $c[0]->next_mid(), token => 'x');
    ok($t->wait_for(sub { $t->metric($g, 'posts') == 1 }, patience()),
       'a request in progress');

    is($c[1]->ask(%held)->{code}, '5.03', 'another one of the address');
    ok($g->wait_for_log(qr/ 5\.03, .*: too many requests of this address/),
       'log');

    $c[2]->send_message(%held, mid => $c[2]->next_mid(), token => 'x');
    ok($t->wait_for(sub { $t->metric($g, 'posts') == 2 }, patience()),
       'another address');

    is($c[3]->ask(%held)->{code}, '5.03', 'the limit');
    is($t->metric($g, 'shared_total'), 1, 'which is that of all');

    $g->stop('KILL');
    done_testing();
}


# Their number is limited, and none has to wait until another one is given up.

sub confirms {
    my $g = $t->gateway('--to', 'late=' . $t->endpoint('/late/'));
    my $c = Test::Atls::Coap->new(port => $g->port());
    my $n = CONFIRMS + 6;

    is($c->request('GET', [ 'x' ])->{code}, '4.04', 'a source');

    $c->send_message(type => CON, code => '0.02', mid => $c->next_mid(),
                     token => pack('n', $_), payload => 'x' x 100,
                     options => [ @PATH, [ URI_HOST, 'late' ] ])
        for 1 .. $n;

    my $until = time + patience();
    my %got;

    while (keys %got < $n && (my $m = $c->receive($until - time))) {
        $got{$m->{token}} = $m if $m->{code} eq '5.02';
    }

    my @confirmable = grep { $_->{type} == CON } values %got;

    is(keys %got, $n, 'responses');
    is(scalar @confirmable, CONFIRMS, 'Confirmable ones');
    is(scalar(grep { $_->{type} == NON } values %got), 6, 'and the others');
    cmp_ok($t->metric($g, 'memory_bytes'), '>', CONFIRMS * 512, 'memory');

    $c->acknowledge($_) for @confirmable;
    is($g->stop()->{code}, 0, 'exit code');

    done_testing();
}
