#!/usr/bin/perl

# A reload with shorter times applies to existing sessions; one with longer
# times applies to new sessions.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( slow );
use Test::Atls::Status qw( status );

my $SHORT = 2 * slow();
my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

my $conf = http_conf(<<'EOC');
atls_zone small:32k;
%%CERTIFICATE%%

client_body_timeout 10m;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location /.well-known/atls {
        atls on;
        atls_session_timeout %%TIMEOUT%%;
        atls_session_lifetime %%LIFETIME%%;
    }

    location /other {
        atls on;
    }

    location = /status {
        atls_status;
    }

    location / {
        return 200 "$atls_session_reused";
    }

    location /echo {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

my $t = Test::Atls->new();

Test::Atls::Backend->start($t, $t->port(1));

configure();
$t->run();

timeout();
lifetime();
request();
swept();
longer();

$t->done_testing();


# Sessions that were idle before the reload, and after it.

sub timeout {
    my ($before, $then, $other) = (client(), client(), client(uri => '/other'));

    rest($SHORT);
    $then->get('/');
    configure(TIMEOUT => "${SHORT}s");
    $t->reload();

    over($before, 'timeout: before the reload');
    rest($SHORT);
    over($then, 'timeout: after the reload');
    is($other->get('/')->body(), '.', 'timeout: elsewhere');

    configure();
    $t->reload();
}


# The lifetime begins with the full handshake, also for resumed sessions.

sub lifetime {
    my %sessions = map { $_ => stack($_)->session() } @PROTOCOLS;
    my %full = map { $_ => client(protocol => $_) } @PROTOCOLS;

    rest($SHORT);

    my %resumed = map { $_ => stack($_, session => $sessions{$_}) } @PROTOCOLS;

    configure(LIFETIME => "${SHORT}s");
    $t->reload();

    for my $protocol (@PROTOCOLS) {
        over($full{$protocol}, "lifetime, $protocol: over");
        over($resumed{$protocol}, "lifetime, $protocol: as that of a ticket");
    }

    configure();
    $t->reload();
}


# A request in progress is finished by its worker, with the old configuration.

sub request {
    my $c = half_sent();

    rest($SHORT);
    configure(LIFETIME => "${SHORT}s");
    $t->reload();

    is(sent($c), 200, 'a request in progress is answered');
    ok($c->closed(), 'and is the last one');

    configure();
    $t->reload();
}


# Expired sessions are removed without requests for them.

sub swept {
    my $full = qr/atls_zone "small" is too small, sessions evicted/;

    ok($t->wait_for(sub { client(); $t->read_file('error.log') =~ $full }),
       'a zone that is full');

    configure(TIMEOUT => "${SHORT}s");
    $t->reload();

    ok($t->wait_for(sub { status($t)->{sessions}{idle} == 0 }, 30),
       'sessions are swept');
}


sub longer {
    my $long = 3 * $SHORT;

    configure(TIMEOUT => "${SHORT}s");
    $t->reload();

    my $before = client();

    configure(TIMEOUT => "${long}s");
    $t->reload();

    my $after = client();

    rest($SHORT);
    over($before, 'longer: those of before');

    SKIP: {
        my $r = $after->get('/');

        skip 'it has taken too long', 1 if !$r && time > $after->{made} + $long;

        is($r && $r->body(), '.', 'longer: others');
    }

    # workers that quit use the old configuration, but not for sessions with the
    # new one

    my $stays = half_sent();

    configure();
    $t->reload();
    $after = client();

    rest($long);
    is($after->get('/')->body(), '.', 'longer: with a worker that quits');
    is(sent($stays), 200, 'which ends what it has begun');
}


# Sends the first half of a request; the rest.

sub half_sent {
    my $c = client();

    $c->write_plain("POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 10\r\n\r\nhello");
    $c->exchange($c->tls_out());

    return $c;
}


sub sent {
    my ($c) = @_;

    $c->write_plain('world');
    $c->exchange($c->tls_out());

    my ($r) = parse_responses($c->read_plain(), 'POST');

    return $r && $r->status();
}


sub rest {
    my ($seconds) = @_;

    my $until = time + $seconds + 1;

    sleep 0.1 while time < $until;
}


sub over {
    my ($c, $name) = @_;

    $c->get('/');
    is($c->last_response()->status(), 410, $name);
}


sub configure {
    my %values = (TIMEOUT => '10m', LIFETIME => '24h', @_);

    $t->write_conf($conf =~ s/%%(TIMEOUT|LIFETIME)%%/$values{$1}/gr);
}


sub client {
    my $c = $t->established(keepalive => 0, @_);
    $c->{made} = time;

    return $c;
}


# A client that has received its ticket.

sub stack {
    my ($protocol, %args) = @_;

    my $c = $t->stack('openssl', protocol => $protocol, keepalive => 0, %args);

    $c->handshake() or die 'no handshake: ' . $c->error() . "\n";

    my $r = $c->get('/');
    my $reused = $r ? $r->body() : $c->error();

    die "reused: $reused\n" if $reused ne ($args{session} ? 'r' : '.');

    return $c;
}
