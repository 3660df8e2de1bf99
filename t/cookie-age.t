#!/usr/bin/perl

# Max-Age of the cookie: as long as the session may be idle.  It comes again in
# time, so that a client that goes by it has its session while there is one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Echo;
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( slow );

my $SHORT = 4 * slow();
my $HANDSHAKE = 10 * $SHORT;
my $LIFETIME = 300;
my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

my $conf = http_conf(<<'EOC');
%%CERTIFICATE%%

client_body_timeout 10m;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location /.well-known/atls {
        atls on;
        atls_session_timeout %%TIMEOUT%%;
    }

    location /short {
        atls on;
        atls_session_timeout %%SHORT%%s;
    }

    location /hour {
        atls on;
        atls_session_timeout 1h;
    }

    location /minutes {
        atls on;
        atls_session_timeout 3m;
    }

    location /handshake {
        atls on;
        atls_handshake_timeout %%HANDSHAKE%%s;
        atls_session_timeout %%SHORT%%s;
    }

    location /soon {
        atls on;
        atls_handshake_timeout 5s;
        atls_session_lifetime 5s;
        atls_session_timeout 1h;
    }

    location /lifetime {
        atls on;
        atls_session_lifetime %%LIFETIME%%s;
        atls_session_ticket_key %%TESTDIR%%/key;
    }

    location /upgraded {
        atls on;
        atls_session_lifetime %%SHORT%%s;
        atls_session_timeout %%SHORT%%s;
    }

    location / {
        return 200 "$atls_session_reused";
    }

    location /echo {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /upgrade/ {
        proxy_pass http://127.0.0.1:%%PORT_2%%/;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
    }
}
EOC

my $t = Test::Atls->new();

Test::Atls::Backend->start($t, $t->port(1));
Test::Atls::Echo->start($t, $t->port(2));

$t->write_file('key', 'k' x 80);
configure('10m');
$t->run();

for (@PROTOCOLS) {
    at_first($_);
    unfinished($_);
    lifetime($_);
    upgraded($_);
}

handshake_time();
in_time();
not_by_polls();
reloaded();

$t->done_testing();


# handshake_timeout is longer than the time of an idle session.

sub handshake_time {
    my ($first, @later) = ages('/handshake', 'TLSv1.3');

    near($first, $HANDSHAKE, 'a handshake has its time');
    near($later[-1], $SHORT, 'and an idle session its own');
    is((ages('/soon', 'TLSv1.3'))[0], 5, 'a time of seconds, and not of hours');
}


sub at_first {
    my ($protocol) = @_;

    my @ages = ages('/hour', $protocol);
    my $c = client('/hour', protocol => $protocol);

    near((ages('/.well-known/atls', $protocol))[0], 600, "$protocol: as long");
    near(shift @ages, 3600, "$protocol: with the first flight");
    is("@ages", join(' ', ('-') x @ages), "$protocol: only there");
    $c->handshake();
    $c->get('/') for 1 .. 3;
    is(scalar(grep { $_ ne '-' } @{$c->{ages}}), 1, "$protocol: once");
}


# Two POSTs for a request may have as much time in between as the server gives
# them, and no more than once is said what both sides know.

sub unfinished {
    my ($protocol) = @_;

    for my $try (1 .. 4) {
        my $c = client('/minutes', protocol => $protocol);

        $c->handshake();
        $c->request("POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 30\r\n\r\n0123456789");
        near($c->{ages}[-1], 86400, "$protocol: in a request");
        $c->request('0123456789');
        is($c->{ages}[-1], '-', "$protocol: in the same request");
        $c->request('');
        is($c->{ages}[-1], '-', "$protocol: a poll");

        my ($r) = parse_responses($c->request('0123456789'));

        is($r && $r->status(), 200, "$protocol: the request is answered");
        near($c->{ages}[-1], 180, "$protocol: behind a request");
    }
}


# No longer than the session is to live, resumed or not.

sub lifetime {
    my ($protocol) = @_;

    my $c = client('/lifetime', protocol => $protocol);
    my $began = time;

    $c->handshake();
    near($c->{ages}[0], $LIFETIME, "$protocol: lifetime");
    $c->get('/');
    sleep 1.1;

    my $resumed = client('/lifetime', protocol => $protocol,
                         session => $c->session());

    $resumed->handshake();
    is($resumed->get('/')->body(), 'r', "$protocol: resumed");

    my ($age) = grep { $_ ne '-' } reverse @{$resumed->{ages}};

    cmp_ok($age, '<=', $LIFETIME - 1, "$protocol: what is left of it");
    cmp_ok($age, '>=', $LIFETIME - (time - $began) - 1, "$protocol: all of it");
}


# An upgraded connection goes on after the lifetime.  Its client has the cookie
# for as long as it polls, even if somebody else does, too.

sub upgraded {
    my ($protocol) = @_;

    my $other = client('/upgraded');
    my ($c, $got);

    # another session, if the lifetime was over before the request

    for (1 .. 5) {
        $c = client('/upgraded', protocol => $protocol);
        $c->handshake();
        $got = $c->request("GET /upgrade/echo HTTP/1.1\r\nHost: localhost\r\n"
                           . "Upgrade: echo\r\nConnection: upgrade\r\n\r\n");
        last if $got ne '';
    }

    like($got, qr!\AHTTP/1\.1 101 !, "$protocol: upgraded");

    my ($bad, $late, $last) = (0, 0, time);
    my $end = $last + 4 * $SHORT;

    while ($last < $end) {
        sleep 0.3;
        $other->post('', cookie => 'atls=' . $c->cookie());

        my $now = time;

        $late++ if $now > $c->{until} && $now - $last < $SHORT - 1;
        $bad++ if $c->post('')->status() != 200;
        $last = $now;
    }

    is("$bad $late", '0 0', "$protocol: polls have a cookie")
        or diag("ages: @{$c->{ages}}");
    near((grep { $_ ne '-' } @{$c->{ages}})[-1], $SHORT,
         "$protocol: for the next ones");

    $c->close_notify();
}


# Whoever drops the cookie when its time is over still has one when it is about
# to use the session, until a second before its end: Max-Age is in seconds.

sub in_time {
    my $end = time + 4 * $SHORT;
    my $c = client('/short');
    my ($n, $late, $bad, $last) = (0, 0, 0, time);

    $c->handshake();

    while (time < $end) {
        sleep 0.1 + rand($SHORT - 2);

        my $now = time;

        $n++;
        $late++ if $now > $c->{until} && $now - $last < $SHORT - 1;

        my $r = $c->get('/');

        if (!$r || $r->status() != 200) {

            # this process may not have run for so long that the session ended

            $bad++ if time - $last < $SHORT - 1;
            $c = client('/short');
            $c->handshake();
            $now = time;
        }

        $last = $now;
    }

    is("$bad $late", '0 0', 'a cookie as long as there is a session')
        or diag("of $n, ages: @{$c->{ages}}");

    # not with each response

    $c = client('/.well-known/atls');
    my $began = time;
    $c->handshake();
    $n = 0;

    while ($n < 20) {
        $c->get('/');
        sleep 0.1;
        $n++;
    }

    cmp_ok(scalar(grep { $_ ne '-' } @{$c->{ages}}), '<=',
           1 + (time - $began) / 10, 'and no more of them');
}


# They are no use of the session.

sub not_by_polls {
    my $c = client('/short');

    $c->handshake();
    $c->{ages} = [];
    my $until = time + $SHORT;
    my $status;

    do {
        sleep 0.3;
        my $r = $c->post('');
        $status = $r->status();
    } while ($status == 200 && time < $until + 10 * $SHORT);

    is($status, 410, 'polls do not prolong a session');
    is(pop @{$c->{ages}}, 0, 'the cookie expires');
    is(join('', grep { $_ ne '-' } @{$c->{ages}}), '', 'nor its cookie');
}


# What is new applies to those that are there, if it is less.

sub reloaded {
    my @clients = map { client('/.well-known/atls') } 1 .. 4;

    $_->handshake() for @clients;

    configure('3m');
    $t->reload();

    for my $c (@clients) {
        $c->get('/');
        is($c->{ages}[-1], 180, 'a shorter time');
    }

    configure('10m');
    $t->reload();

    for my $c (@clients) {
        $c->get('/');
        is($c->{ages}[-1], 600, 'that of before again');
    }
}


sub configure {
    my ($timeout) = @_;

    my %values = (TIMEOUT => $timeout, SHORT => $SHORT,
                  HANDSHAKE => $HANDSHAKE, LIFETIME => $LIFETIME);

    $t->make_cert('localhost');
    $t->write_conf($conf =~ s/%%(\w+)%%/$values{$1} \/\/ "%%$1%%"/egr);
}


# The next POST is for another worker process, maybe.

sub client {
    my ($uri, %args) = @_;

    return bless $t->client(uri => $uri, keepalive => 0, %args), 'Jar';
}


# What the responses of a handshake say.

sub ages {
    my ($uri, $protocol) = @_;

    my $c = client($uri, protocol => $protocol);

    $c->handshake() or return $c->error();

    return @{$c->{ages}};
}


# In whole seconds, and after some time.

sub near {
    my ($age, $expected, $name) = @_;

    ok($age ne '-' && $age <= $expected && $age >= $expected - 2 * slow(),
       $name)
        or diag("$age, not $expected");
}


# ages: that of each response, '-' if it has no cookie; until: when a client
# drops it.

package Jar;

use parent -norequire, 'Test::Atls::Client';


sub post_receive {
    my ($self, @args) = @_;

    my $r = $self->SUPER::post_receive(@args) or return;
    my @cookies = $r->header('Set-Cookie');
    my ($age) = "@cookies" =~ /^atls=[^ ]*; .*Max-Age=(\d+)$/;

    $self->{until} = Time::HiRes::time() + $age if defined $age;
    push @{$self->{ages}}, @cookies ? $age // "@cookies" : '-';

    return $r;
}
