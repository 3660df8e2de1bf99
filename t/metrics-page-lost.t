#!/usr/bin/perl

# The page of atls_status while nginx is stopped, after a restart, if sessions
# are counted again, and without access.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Browser;

plan skip_all => 'Chromium is not installed'
    unless Test::Atls::Browser->program();

my $t = Test::Atls->new(workers => 2);

sub configure {
    my ($zone, $access) = @_;

    $t->write_http(<<"EOC");
%%CERTIFICATE%%

atls_zone atls:$zone;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location = /status {
        atls_status;
        $access
    }
}
EOC
}


configure('1m', '');
$t->run();

my $b = Test::Atls::Browser->start($t);
my $state = "document.getElementById('state')";
my @clients = map { $t->established() } 1 .. 5;

$b->look();
$b->open('http://127.0.0.1:' . $t->port(0) . '/status?format=html');
ok($b->wait("$state.textContent === 'Live' && samples.length > 1"), 'live')
    or diag($b->value("$state.textContent"));

is($b->value('newest().data.handshakes_total.finished'), 5, 'handshakes');


# no sessions, fewer events

$t->stop();

ok($b->wait("$state.textContent.startsWith('Connection lost: nginx does not"
            . " respond. The numbers are those of ')"), 'lost')
    or diag($b->value("$state.textContent"));
is($b->value("$state.getAttribute('role')"), 'status', '... is announced');
is($b->value('document.title'), 'Lost: ATLS status', '... in the title');
cmp_ok($b->value("Number(getComputedStyle(document.querySelector("
                 . "'figure svg')).opacity)"), '<', 1,
       '... and old numbers look old');

# the browser itself reports failed requests

is_deeply([ grep { !/^network: / } $b->messages() ], [],
          'nothing else in the console');

$t->run();
@clients = map { $t->established() } 1 .. 2;

ok($b->wait("$state.textContent.startsWith('Live. nginx was restarted')"),
   'restarted') or diag($b->value("$state.textContent"));
ok($b->wait('newest().data.handshakes_total.finished === 2'
            . ' && !newest().restart'), 'counting again');
is($b->value('document.title'), 'ATLS status', 'the usual title');
is_deeply(negative(), [], 'no negative numbers');
is($b->value("document.querySelectorAll("
             . "'[data-chart=sessions] .restart').length"), 1,
   'a mark in the charts');
cmp_ok($b->value("document.querySelectorAll("
                 . "'[data-chart=sessions] .unknown').length"), '>=', 2,
       'the time that is not known, and that before the page was opened');


# a restart between two readings, and more events than before

my $first = $b->value('restarted');

$t->stop();
$t->run();
@clients = map { $t->established() } 1 .. 9;

ok($b->wait("restarted > $first"
            . ' && newest().data.handshakes_total.finished === 9'),
   'restarted again');

my $second = $b->value('restarted');

is($b->value("change(samples.find((s) => s.time === $second), 'posts_total')"),
   undef, 'its changes are not known');
is_deeply(negative(), [], 'no negative numbers');


# another zone: only sessions are counted again

configure('2m', '');
$t->reload();

ok($b->wait('newest().data.sessions_started_total === 0'), 'another zone');
is($b->value('newest().data.handshakes_total.finished'), 9,
   'handshakes are not counted again');
is($b->value('restarted'), $second, 'no restart');
is_deeply(negative(), [], 'no negative numbers');


# without access

$b->messages();
configure('2m', 'deny all;');
$t->reload();

ok($b->wait("$state.textContent.startsWith('Connection lost: nginx responds"
            . " with 403')"), 'no access')
    or diag($b->value("$state.textContent"));
is_deeply([ grep { !/^network: / } $b->messages() ], [],
          'nothing else in the console');


# a reader who has paused is not disturbed

$b->value("document.getElementById('pause').click()");
is($b->value("$state.textContent"), 'Paused', 'paused');

configure('2m', '');
$t->reload();
$b->value("document.getElementById('pause').click()");
ok($b->wait("$state.className === 'live'"), 'and back')
    or diag($b->value("$state.textContent"));

$t->done_testing();


# Values of charts below 0, and drawn outside of them.

sub negative {
    return $b->value(<<'EOJ');
samples.flatMap((s) => Object.values(s.values).flat())
    .filter((n) => n !== null && !(n >= 0))
EOJ
}
