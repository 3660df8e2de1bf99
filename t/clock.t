#!/usr/bin/perl

# The system time is set an hour forward and back: the lifetimes and timeouts of
# sessions are not affected.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Clock;
use Test::Atls::Slow qw( slow );
use Test::Atls::Status qw( status );

my $HOUR = 3600;
my $SHORT = 2 * slow();
my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

my $conf = http_conf(<<'EOC');
atls_zone small:32k;
%%CERTIFICATE%%
atls_session_lifetime %%LIFETIME%%s;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location /.well-known/atls {
        atls on;
    }

    location /idle {
        atls on;
        atls_session_timeout %%SHORT%%s;
    }

    location /lifetime {
        atls on;
        atls_session_lifetime %%SHORT%%s;
    }

    location = /status {
        atls_status;
    }

    location / {
        return 200 "$atls_session_time $atls_session_reused $time_local";
    }
}
EOC

my $t = Test::Atls->new();
my $short = Test::Atls->new();      # with a short lifetime for all endpoints
my $clock = Test::Atls::Clock->new($t);

configure($t, 86400);
configure($short, 2 * $SHORT);

$clock->with(sub { $_->run() for $t, $short });

forward();
back();
tickets($_) for @PROTOCOLS;
sweep();
rotation();

$short->finish();

$t->done_testing();


sub configure {
    my ($instance, $lifetime) = @_;

    my %values = (LIFETIME => $lifetime, SHORT => $SHORT);

    $instance->make_cert('localhost');
    $instance->write_conf($conf =~ s/%%(\w+)%%/$values{$1} \/\/ "%%$1%%"/egr);
}


# Sessions are not considered idle for an hour.

sub forward {
    my @clients = map { $t->established() } 1 .. 4;
    my ($day) = seen($clients[0]);

    $clock->set($HOUR);

    my @seen = map { [ seen($_) ] } @clients;

    is(scalar(grep { @$_ } @seen), 4, 'forward: sessions go on');
    is(scalar(grep { @$_ && $_->[1] < $HOUR } @seen), 4,
       'forward: $atls_session_time is how old they are');
    isnt($seen[0][0], $day, 'forward: another time of day');
}


# Ended sessions do not exist again, and other sessions still end.

sub back {
    my $began = time;
    my ($c, $idle, $lifetime) = map { $t->established(uri => $_) }
                                '/.well-known/atls', '/idle', '/lifetime';
    my $made = time;

    $clock->set(0);

    ok(seen($idle), 'back: a session goes on');

    # the time of the last use seems to be in the future

    sleep 0.1 until time >= $made + $SHORT + 1;
    my $least = time - $made;
    my @seen = seen($c);

    cmp_ok(@seen && $seen[1], '>=', $least - 0.01,
           'back: $atls_session_time is how old it is');
    cmp_ok(@seen && $seen[1], '<=', time - $began + 0.01, 'to the fraction');
    ok($seen[0], 'back: others have more time');

    over($lifetime, 'back: atls_session_lifetime');

    # a session that was used at the later time only

    my $forward = $t->established(uri => '/idle');
    seen($forward);
    $clock->set(-$HOUR);
    $made = time;
    sleep 0.1 until time >= $made + $SHORT + 1;
    over($forward, 'back: atls_session_timeout');

    seen($c);
    $clock->set(0);
    ok(seen($c), 'and forward again: it goes on');
}


sub over {
    my ($c, $name) = @_;

    $c->get('/');
    is($c->last_response()->status(), 410, $name);
}


# Tickets use the system time, since they may be from another server.  If a
# ticket seems to be an hour in the future, there is a full handshake.

sub tickets {
    my ($protocol) = @_;

    my $c = stack($protocol);
    is(reused($c), '.', "$protocol: a full handshake");
    my $session = $c->session();

    $clock->set($HOUR);
    is(reused(stack($protocol, session => $session)), 'r',
       "$protocol, forward: resumed");

    $c = stack($protocol);
    is(reused($c), '.', "$protocol, forward: a full handshake");
    my $future = $c->session();

    $clock->set(0);
    is(reused(stack($protocol, session => $future)), '.',
       "$protocol, back: a full handshake");
    is(reused(stack($protocol, session => $session)), 'r',
       "$protocol, back: one of before is resumed");
}


# Expired sessions are removed without requests for them.

sub sweep {
    my $full = qr/atls_zone "small" is too small, sessions evicted/;

    $clock->set($HOUR);
    ok($short->wait_for(sub {
        $t->established(port => $short->port(0));
        $short->read_file('error.log') =~ $full;
    }), 'a zone that is full');

    $clock->set(0);

    ok($short->wait_for(sub { status($short)->{sessions}{idle} == 0 }, 30),
       'back: sessions are swept');
}


# Keys of tickets are rotated by a time that is not affected.

sub rotation {
    my (%names, %later);

    my $name = sub {
        my $c = stack('TLSv1.3', port => $short->port(0));
        reused($c);

        return substr stack('TLSv1.3', session => $c->session())
                      ->offered_ticket(), 0, 16;
    };

    $clock->set($HOUR);
    $names{$name->()} = 1;
    $clock->set(0);

    ok($short->wait_for(sub { $names{$name->()} = 1; keys %names > 2 }),
       'back: keys change by themselves');
}


sub seen {
    my ($c) = @_;

    my $r = $c->get('/');

    return $r ? (split ' ', $r->body(), 3)[2, 0, 1] : ();
}


sub stack {
    my ($protocol, %args) = @_;

    return $t->stack('openssl', protocol => $protocol, keepalive => 0, %args);
}


# Whether a session was resumed; or the error.

sub reused {
    my ($c) = @_;

    return $c->error() unless $c->handshake();

    return (seen($c))[2];
}
