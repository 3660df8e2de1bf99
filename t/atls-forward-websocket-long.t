#!/usr/bin/perl

# WebSocket in atls forward: connections that outlive the cookie of their
# session, and programs that do not read.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Site;
use Test::Atls::Slow qw( slow );
use Test::Atls::WebSocket;

my $SHORT = 3 + slow();         # seconds
my $MESSAGES = 20;

# of an age, a tenth is left when an open POST is ended

my %AGE = (polls => $SHORT, open => 4 * $SHORT);

my $t = Test::Atls::Site->new(workers => 2);

my $short = <<"EOC";
    atls on;
    atls_poll_timeout 1s;
    atls_session_lifetime 1s;
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

subtest("a cookie that expires, $_" => \&cookie, $_) for 'polls', 'open';
subtest('a program that does not read' => \&unread);

$t->done_testing();


# The responses to polls set it again, and data are sent afterwards.  An open
# POST is ended for it.

sub cookie {
    my ($path) = @_;

    my $forward = $t->forward("/$path");
    my $ms = int 1500 * $AGE{$path} / $MESSAGES;
    my $uri = "/push?n=$MESSAGES&ms=$ms&id=$path";
    my $ws = Test::Atls::WebSocket->connect($forward->port(), $uri);

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
    unlike($t->read_file("$path.log"), qr/no-cookie/, 'and always sent');

    done_testing();
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
