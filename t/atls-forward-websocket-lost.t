#!/usr/bin/perl

# WebSocket in atls forward on paths that lose POSTs and responses: the client
# sends them again, as often as --retry says, and no message is lost, or received
# twice.  ATLS_MESSAGES is the number of messages.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( time );

use Test::Atls::LostPosts;
use Test::Atls::Site;
use Test::Atls::WebSocket;

my $MESSAGES = $ENV{ATLS_MESSAGES} || 40;

my $t = Test::Atls::Site->new(workers => 2);

my $endpoint = <<'EOC';
    atls_poll_timeout 30s;
    access_log %%TESTDIR%%/posts.log post;
EOC

$t->serve(<<"EOC" . <<'EOL', endpoint => $endpoint, http => <<'EOH');
location = /tls12 {
    atls on;
    atls_protocols TLSv1.2;
$endpoint
}
EOC
location ~ ^/(echo|push|late|ping)$ {
    proxy_pass http://127.0.0.1:%%PORT_2%%;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
}
EOL
log_format post '$atls_post';
EOH

my $backend = Test::Atls::WebSocket->serve($t, $t->port(2));
my ($forward, $lossy, $path, $name, $n);
my @retry = ('--retry', 30);
my $port = 10;
my $logged = 0;

# The POST with the first poll.  Before it, there are those of the handshake,
# which has one more with TLS 1.2, and with TLS 1.3 the one that was refused as an
# open POST.

my $first = 4;

for (1 .. 3) {
    $name = "random $_";
    random($_);
}

for ([ '', 'TLS 1.3' ], [ '/tls12', 'TLS 1.2' ]) {
    ($path, $name) = @$_;

    poll_lost();
    output_lost() if $path eq '';
    empty_lost();
    poll_past() if $path eq '';
    posts_silent($_, $first) for 'silent', 'deaf';
}

($path, $name) = ('', 'TLS 1.3');
posts_silent($_, $first - 1) for 'silent', 'deaf';

@retry = ('--retry', 0);
ends_after('cut=99-99', 0, 1);
ends_after("cut=$first-99", 1);
@retry = ('--retry', 2);
ends_after("cut=$first-" . ($first + 1), 2, 1);
ends_after("cut=$first-99", 3);
@retry = ();
cmp_ok(ends_after("cut=$first-99", 6), '>=', 6, "$name: seconds");
cmp_ok(ends_after("soon=$first-$first", 1, 1), '>=', 1, "$name: seconds");
ends_after("later=$first-99", 1);

($path, $name) = ('/tls12', 'TLS 1.2');
@retry = ('--retry', 2);
ends_after("cut=$first-99", 3);

# sessions of connections that have ended: nginx does not wait for the backend

$t->stop_daemons();
$t->done_testing();


# A path, with atls forward and a connection over it.

sub through {
    my ($mode, $uri, @seed) = @_;

    $lossy = Test::Atls::LostPosts->start($t, $mode, $t->port(0),
                                          $t->port(++$port), @seed);
    $forward = $t->forward($lossy->endpoint($path), @retry);

    return connected($uri);
}


sub connected {
    my ($uri) = @_;

    $uri .= ($uri =~ /\?/ ? '&' : '?') . 'id=' . ++$n;

    my $ws = Test::Atls::WebSocket->connect($forward->port(), $uri);

    ok($ws->accepted(), "$name: accepted") or diag($ws->head());
    $ws->{uri} = $uri;

    return $ws;
}


sub gets {
    my ($ws, $type, $bytes, $what) = @_;

    my ($type2, $bytes2) = $ws->receive();

    ok(defined $type2 && $type2 eq $type && $bytes2 eq $bytes, "$name: $what")
        or diag(defined $type2 ? "$type2: $bytes2" : 'nothing',
                "\n", map { "$_\n" } $lossy->done());
}


sub closes {
    my ($ws, $messages) = @_;

    $ws->send(close => pack 'n', 1000);
    gets($ws, close => pack('n', 1000), 'the close frame');
    is($backend->ended($ws->{uri}), "closed after $messages",
       "$name: at the backend");
}


# The last response of a session is not kept.

sub ends {
    my ($ws, $messages) = @_;

    $ws->send(close => pack 'n', 1000);
    is($backend->ended($ws->{uri}), "closed after $messages",
       "$name: at the backend");
    $ws->close();
}


# The server sends a response again only if it has received the POST, and not
# after data that were answered.

sub done {
    my ($retried) = (@_, '[1-9]\d*');

    is($forward->stop()->{code}, 0, "$name: the end");
    $lossy->stop();

    my @posts = split /\n/, substr $t->read_log('posts.log'), $logged;

    $logged += length join '', map { "$_\n" } @posts;

    my @same = grep { $_ eq 'retried' } @posts;

    like(scalar @same, qr/^$retried$/, "$name: POSTs sent again");
    is(join(' ', grep { /refused|lost|error|nginx/ } @posts), '',
       "$name: no session is lost");
}


# In turn, and messages of the server alone.

sub random {
    my ($seed) = @_;

    $path = '';

    my $ws = through('random', '/echo', $seed);

    for my $i (1 .. $MESSAGES) {
        $ws->send(text => "message $i");
        my ($type, $bytes) = $ws->receive() or last;
        next if $bytes eq "message $i";
        is($bytes, "message $i", "$name: a message");
        last;
    }

    ends($ws, $MESSAGES);

    $ws = connected("/push?n=$MESSAGES&ms=20");

    my ($got, $type, $bytes) = (0);

    while ($got < $MESSAGES) {
        ($type, $bytes) = $ws->receive() or last;
        last if $bytes ne ++$got;
    }

    is($got, $MESSAGES, "$name: all messages of the server");
    ends($ws, 0);

    my %what = map { $_ => 1 } $lossy->done();

    ok(!grep({ /^not the same/ } keys %what), "$name: the same response again");
    cmp_ok(keys %what, '>', 5, "$name: @{[ sort keys %what ]}");
    done();
}


# The response to the first poll, or to data that are sent at the same time.

sub poll_lost {
    $name =~ s/,.*|$/, lost/;

    my $ws = through("mute=$first-$first", '/echo');

    $ws->send(text => 'hello');

    gets($ws, text => 'hello', 'echo');
    closes($ws, 1);
    done($path eq '' ? '[01]' : 0);
}


# The response to a poll with a message.

sub output_lost {
    $name =~ s/,.*|$/, output/;

    for my $mode ('mute', 'cut', 'half') {
        $name =~ s/(, output).*/$1, $mode/;

        my $ws = through("$mode=$first-" . ($first + 1), '/late?n=3&ms=200');

        sends();
        gets($ws, text => $_, "message $_") for 1 .. 3;
        unlink $t->path('late');
        closes($ws, 0);
        done(2);
    }
}


# The response to a poll without output, which was ended by data.

sub empty_lost {
    $name =~ s/,.*|$/, empty/;

    my $ws = through("mute=$first-$first", '/late');

    passes('waits');
    $ws->send(text => 'hello');
    $t->write_file('late', '');
    gets($ws, text => 'hello', 'echo');
    unlink $t->path('late');
    closes($ws, 1);
    done(0);
}


# The session ends with the response to data, before a poll whose response was
# lost is sent again: that gets a 410.

sub poll_past {
    $name =~ s/,.*|$/, past/;

    my $ws = through("past=$first-$first", '/late');

    passes('waits');
    $ws->send(text => 'hello');
    passes('past');
    $t->write_file('late', '');
    gets($ws, text => 'hello', 'echo');
    unlink $t->path('late');
    closes($ws, 1);
    done(0);
}


sub passes {
    my ($what) = @_;

    $lossy->wait_for($what, 1);
}


# Nothing tells that a poll, or its response, is lost, but data need it.

sub posts_silent {
    my ($mode, $post) = @_;

    $name =~ s/,.*|$/, $mode/;

    my $ws = through("$mode=$post-$post", '/echo');

    passes($mode eq 'deaf' ? $mode : 'waits');
    $ws->send(text => 'hello');
    gets($ws, text => 'hello', 'echo');
    closes($ws, 1);
    is(grep({ $_ eq $mode } $lossy->done()), 1, "$name: once");
    done($mode eq 'silent' && $post < $first ? 1 : 0);
}


# Makes the server send: the POSTs before the first poll are answered.

sub sends {
    $t->wait_for(sub { ($lossy->done()) >= $first + ($path eq '') - 1 });
    $t->write_file('late', '');
}


# The response to the first poll is lost several times.  Returns how long the
# poll took.

sub ends_after {
    my ($mode, $lost, $goes_on) = @_;

    $name =~ s/,.*|$/, $mode @retry/;

    my $ws = through($mode, '/late?n=1&ms=0');

    sends();

    my $began = time;

    if ($goes_on) {
        gets($ws, text => 1, 'a message');

    } else {
        is(join(' ', $ws->receive()), '', "$name: the connection ends");
        like(($forward->log(1))[0], qr/ 101 .*: \S/, "$name: the log");
    }

    my $seconds = time - $began;

    unlink $t->path('late');

    is(scalar(grep { $mode =~ /^$_=/ } $lossy->done()), $lost,
       "$name: so many are lost");
    $ws->close();
    $forward->stop();
    $lossy->stop();
    $logged = length $t->read_log('posts.log');

    return $seconds;
}
