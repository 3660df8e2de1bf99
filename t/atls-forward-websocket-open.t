#!/usr/bin/perl

# WebSocket in atls forward: in one open POST if the path passes it and its
# response at the same time, otherwise with polls.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls::Site;
use Test::Atls::WebSocket;

my $MESSAGES = 30;
my $FEW = 8;            # POSTs, with the handshake
my $LONG = 27;          # seconds: an open POST ends before
my $TRIAL = 1;          # the same: until its response has begun

my $t = Test::Atls::Site->new(workers => 2);
my $proxy = 'proxy_pass http://127.0.0.1:%%PORT_0%%; proxy_http_version 1.1;';

$t->serve(<<'EOC', endpoint => <<'EOE', http => <<'EOH', servers => <<"EOS");
location = /tls12 {
    atls on;
    atls_protocols TLSv1.2;
    atls_poll_timeout 30s;
    access_log %%TESTDIR%%/posts.log post;
}

location ~ ^/(echo|push|late|held)$ {
    proxy_pass http://127.0.0.1:%%PORT_2%%;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
}
EOC
atls_poll_timeout 30s;
access_log %%TESTDIR%%/posts.log post;
EOE
log_format post '$status $atls_post';
EOH
server {
    listen 127.0.0.1:%%PORT_3%%;

    location / {
        $proxy
        proxy_request_buffering off;
        proxy_buffering off;
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;

    location / {
        $proxy
        proxy_buffering off;
    }
}

server {
    listen 127.0.0.1:%%PORT_5%%;

    location / {
        $proxy
        proxy_request_buffering off;
    }
}

server {
    listen 127.0.0.1:%%PORT_6%%;

    if (\$http_transfer_encoding) {
        return 411;
    }

    location / {
        $proxy
    }
}
EOS

Test::Atls::WebSocket->serve($t, $t->port(2));

my ($forward, $name, $n);

for my $path ('/.well-known/atls', '/tls12') {
    for ([ 0, 'direct', 1 ], [ 3, 'a proxy without buffers', 1 ],
         [ 4, 'requests are stored', 0 ], [ 5, 'a buffer for responses', 1 ],
         [ 6, 'refused', 0 ])
    {
        my ($port, $what, $open) = @$_;

        $name = "$path, $what";
        $forward = $t->forward('http://127.0.0.1:' . $t->port($port) . $path);
        messages($open, $path);
        is($forward->stop()->{code}, 0, "$name: the end");
    }
}

stopped();
idle();
dies();

$t->done_testing();


sub connected {
    my ($uri) = @_;

    my $ws = Test::Atls::WebSocket->connect($forward->port(),
                                            "$uri" . ($uri =~ /\?/ ? '&' : '?')
                                            . 'id=' . ++$n);

    ok($ws->accepted(), "$name: accepted") or diag($ws->head());

    return $ws;
}


sub gets {
    my ($ws, $type, $bytes, $what) = @_;

    my ($type2, $bytes2) = $ws->receive();

    ok(defined $type2 && $type2 eq $type && $bytes2 eq $bytes, "$name: $what");
}


sub closes {
    my ($ws) = @_;

    $ws->send(close => pack 'n', 1000);
    gets($ws, close => pack('n', 1000), 'the close frame');
    ok($ws->ended(), "$name: the end");
}


sub posts { return scalar(() = $t->read_log('posts.log') =~ /\n/g) }


# The response to an open POST has to begin within a second.  On a busy machine,
# it may take longer, and then the path is tried with another connection.

sub messages {
    my ($open, $path) = @_;

    my $posts = talk($path);

    $posts = talk($path) if $open && $posts > $FEW;

    $open ? cmp_ok($posts, '<=', $FEW, "$name: few POSTs")
          : cmp_ok($posts, '>', 2 * $FEW, "$name: many POSTs");
}


# Messages of both sides.  Returns the number of POSTs.

sub talk {
    my ($path) = @_;

    # with TLS 1.2, the path can only be tried with data: each message before
    # them is the response to a poll

    my $late = $t->path('late');
    my $uri = $path =~ /tls12/ ? '/late' : '/push';

    unlink $late;

    my $before = posts();
    my $ws = connected("$uri?n=$MESSAGES&ms=50");
    my $got = 0;

    $ws->send(text => 'first');
    $t->write_file(late => '');

    while ($got < $MESSAGES) {
        my ($type, $text) = $ws->receive() or last;
        last if $text ne ++$got;
    }

    is($got, $MESSAGES, "$name: messages of the server");
    gets($ws, text => 'first', 'echo of the first');
    echoes($ws);
    closes($ws);

    return posts() - $before;
}


sub echoes {
    my ($ws) = @_;

    for (1 .. $MESSAGES) {
        $ws->send(text => "message $_");
        my ($type, $text) = $ws->receive() or last;
        next if $text eq "message $_";
        is($text, "message $_", "$name: an echo");
        last;
    }
}


# The response begins while the command is stopped, for longer than a trial.

sub stopped {
    $name = 'stopped';
    $forward = $t->forward('/tls12');

    my ($before, $ws);
    my $late = $t->path('late');

    # another time if this machine is so slow that the trial may be over

    for (1 .. 10) {
        unlink $late;
        $before = posts();
        $ws = connected('/held');

        my $began = time;
        my $held = $t->path("held-$n");

        $ws->send(text => 'first');
        $t->wait_for(sub { -e $held });
        $forward->signal('STOP');

        my $trial = time - $began < $TRIAL;

        $t->write_file(late => '');
        ok($t->wait_for(sub { !-e $held }), "$name: a message of the server");
        posts();                        # nginx has passed it
        sleep($TRIAL + 0.2);
        $forward->signal('CONT');
        last if $trial;
        $ws->close();
    }

    gets($ws, text => 'held', 'the message');
    gets($ws, text => 'first', 'echo of the first');
    echoes($ws);
    closes($ws);
    cmp_ok(posts() - $before, '<=', $FEW, "$name: few POSTs");
    $forward->stop();
}


# The next POST follows.

sub idle {
    $name = 'idle';
    $forward = $t->forward();

    my $ws = connected('/echo');

    for (1, 2) {
        $ws->send(text => "message $_");
        gets($ws, text => "message $_", "message $_");
        sleep($LONG) if $_ == 1;
    }

    closes($ws);
    $forward->stop();
}


# The response has begun: nothing is sent again.

sub dies {
    $name = 'a worker dies';
    $t->allow_kills();
    $forward = $t->forward();

    my $ws = connected('/echo');

    $ws->send(text => 'message');
    gets($ws, text => 'message', 'echo');
    kill 'KILL', $_ for $t->workers();
    ok(!$ws->receive(), "$name: the connection ends");
    unlike($t->read_log('posts.log'), qr/retried|answer-lost/,
           "$name: nothing is sent again");
    $forward->stop();
}
