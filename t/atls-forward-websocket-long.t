#!/usr/bin/perl

# WebSocket in atls forward, and atls tunnel: connections that outlive the cookie
# of their session, also if the command does not run for a while, and programs
# that do not read.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls::Site;
use Test::Atls::Slow qw( slow );
use Test::Atls::WebSocket;

my $SHORT = 3 + slow();         # seconds
my $MESSAGES = 20;

# of an age, half is left when an open POST is ended, after 25 seconds at most

my %AGE = (polls => $SHORT, open => 2 * $SHORT, tls12 => 2 * $SHORT,
           tunnel => 2 * $SHORT, stopped => 24);

my $t = Test::Atls::Site->new(workers => 2);

my $short = <<"EOC";
    atls on;
    atls_poll_timeout 1s;
    atls_session_lifetime 1s;
EOC

# polls without records: the age of the cookie is the rest of the lifetime first

my $empty = <<"EOC";
    atls on;
    atls_poll_timeout 1s;
    atls_session_lifetime $AGE{tunnel}s;
    atls_session_timeout ${SHORT}s;
EOC

# without open POSTs, there are polls

$t->serve(<<"EOC", http => <<'EOH');
if (\$refused) {
    return 411;
}

location = /polls {
    $short
    atls_session_timeout $AGE{polls}s;
    access_log %%TESTDIR%%/polls.log post;
}

location = /open {
    $short
    atls_session_timeout $AGE{open}s;
    access_log %%TESTDIR%%/open.log post;
}

location = /tls12 {
    $empty
    atls_protocols TLSv1.2;
    access_log %%TESTDIR%%/tls12.log post;
}

location = /tunnel {
    $empty
    access_log %%TESTDIR%%/tunnel.log post;
}

location = /stopped {
    $short
    atls_session_timeout $AGE{stopped}s;
}

location = /waits {
    atls on;
    atls_poll_timeout 30s;
}

location ~ ^/(push|flood)\$ {
    proxy_pass http://127.0.0.1:%%PORT_2%%;
    proxy_http_version 1.1;
    proxy_set_header Upgrade \$http_upgrade;
    proxy_set_header Connection upgrade;
}
EOC
map $uri$http_transfer_encoding $refused {
    /pollschunked 1;
}

log_format post '$atls_post $sent_http_set_cookie';
EOH

my $backend = Test::Atls::WebSocket->serve($t, $t->port(2));

subtest("a cookie that expires, $_" => \&cookie, $_)
    for 'polls', 'open', 'tls12', 'tunnel';
subtest('a command that does not run' => \&stopped);
subtest('a program that does not read' => \&unread);

$t->done_testing();


# The responses to polls set it again, and data are sent afterwards.  An open
# POST is ended for it.

sub cookie {
    my ($path) = @_;

    my $tunnel = $path eq 'tunnel';
    my $forward = $tunnel ? $t->tunnel("/$path", '--poll')
                          : $t->forward("/$path");
    my $ms = int 1500 * $AGE{$path} / $MESSAGES;
    my $uri = "/push?n=$MESSAGES&ms=$ms&id=$path";
    my $ws = Test::Atls::WebSocket->connect($forward->port(), $uri,
                                            $tunnel ? (tls => 1) : ());

    ok($ws->accepted(), 'accepted') or diag($ws->head());

    is(join(' ', $ws->receive()), "text $_", "message $_") for 1 .. $MESSAGES;

    $ws->send(text => 'and you?');
    is(join(' ', $ws->receive()), 'text and you?', 'echo');
    $ws->send(close => pack 'n', 1000);
    is($backend->ended($uri), 'closed after 1', 'the end');

    is($forward->stop()->{code}, 0, 'exit code');
    my @set = $t->read_log("$path.log")
              =~ /^(?:handshake|parked|served) (atls=[\w-])/mg;
    cmp_ok(@set, '>', 1, 'the cookie was set again');
    unlike($t->read_file("$path.log"), qr/no-cookie|empty-body/,
           'and always sent');

    done_testing();
}


# Another time if this machine is so slow that the open POST was not ended before
# the command was stopped.

sub stopped {
    my $kept;

    for (1 .. 3) {
        last if $kept = goes_on();
    }

    ok($kept, 'it goes on with the cookie');

    done_testing();
}


# The command does not run while the first open POST has to be ended, unless half
# of the time of its cookie is left for it.

sub goes_on {
    my $forward = $t->forward('/stopped');
    my $ws = Test::Atls::WebSocket->connect($forward->port(), '/push?n=0&ms=0');
    my $age = $AGE{stopped};

    ok($ws->accepted(), 'accepted') or diag($ws->head());
    $ws->send(text => 'before');
    is(join(' ', $ws->receive()), 'text before', 'echo');

    my $began = time;           # the cookie is as old, at least

    pause($began + 0.75 * $age);
    $forward->signal('STOP');
    pause($began + $age + 1.5);
    $forward->signal('CONT');

    $ws->send(text => 'after');

    my $kept = join(' ', $ws->receive()) eq 'text after';

    $ws->close();
    $forward->stop();

    return $kept;
}


sub pause {
    my ($until) = @_;

    my $left = $until - time;

    sleep $left if $left > 0;
}


# The command can be stopped nevertheless.

sub unread {
    my $forward = $t->forward('/waits');
    my $ws = Test::Atls::WebSocket->connect($forward->port(),
                                            '/flood?n=256&size=65536');

    ok($ws->accepted(), 'accepted') or diag($ws->head());
    ok($ws->receive(), 'a message');

    $forward->signal('TERM');
    ok($forward->wait_for_end(), 'it stops');
    is($forward->end()->{code}, 0, 'exit code');
    $ws->close();

    done_testing();
}
