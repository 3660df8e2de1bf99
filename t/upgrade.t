#!/usr/bin/perl

# An upgraded connection in a session (101, as for WebSocket) is a tunnel to the
# backend: in both directions within an open POST, and alternating with complete
# POSTs.  If a side closes it, the other one is told soon.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;
use Time::HiRes qw( time );

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Duplex;
use Test::Atls::Echo;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Process qw( alive );
use Test::Atls::Slow qw( patience );

my $t = Test::Atls->new();
my $MB = 1 << 20;
my $slow = $ENV{TEST_NGINX_SLOW} || 1;
my $large = $slow > 1 ? 2 * $MB : 16 * $MB;

# timeouts of nginx do not expire

my $patience = patience();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format inner '$atls $request_uri $status "$upstream_addr"';
client_body_timeout 600s;
client_header_timeout 600s;
lingering_time 600s;
lingering_timeout 600s;
send_timeout 600s;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    listen 127.0.0.1:%%PORT_2%% http2;
    access_log %%TESTDIR%%/access.log inner;

    location /.well-known/atls {
        atls on;
        client_max_body_size 0;
    }

    location /impatient {
        atls on;
        client_body_timeout 1s;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_read_timeout 600s;
        proxy_send_timeout 600s;
    }

    location /text {
        return 200 "text\n";
    }
}
EOC

my @protocols = qw( TLSv1.3 TLSv1.2 );
my @outer = qw( http11 h2 );

$t->run();

my $echo = Test::Atls::Echo->start($t, $t->port(1));
my ($protocol, $outer, $name, $c, $d, $uri);
my $n = 0;

for (@protocols) {
    $protocol = $_;

    for (@outer) {
        $outer = $_;
        $name = "$protocol, $outer";

        open_post();
        open_post_without_upgrade();
    }

    $outer = 'http11';
    $name = $protocol;
    whole_posts();
}

$protocol = 'TLSv1.3';
$outer = 'http11';
silent();
relayed();
reloaded();
worker_dies();
undef $d;

$t->done_testing();


sub client {
    $c = Test::Atls::Client->new(port => $t->port($outer eq 'h2' ? 2 : 0),
                                 protocol => $protocol, outer => $outer,
                                 keepalive => 0, timeout => $patience, @_);

    $c->handshake() or die $c->error() . "\n";
}


sub upgrade {
    my ($path) = @_;

    $uri = $path . ($path =~ /\?/ ? '&' : '?') . 'n=' . ++$n;

    return "GET $uri HTTP/1.1\r\nHost: localhost\r\nUpgrade: echo\r\n"
           . "Connection: upgrade\r\n\r\n";
}


# A connection that is upgraded in an open POST.

sub connected {
    my ($path, $what) = @_;

    client();
    $d = Test::Atls::Duplex->new($c);
    $d->send(upgrade($path));

    ok($d->expect(qr!\AHTTP/1\.1 101 .*?\r\n\r\n!s), "$name, $what: 101")
        or diag($d->plain());

    $d->{plain} =~ s/\A.*?\r\n\r\n//s;
}


sub echoed {
    my ($bytes, $what) = @_;

    $d->forget();
    $d->send($bytes);
    $d->expect_length(length $bytes);

    is($d->plain(), $bytes, "$name, $what: echo");
}


# The backend has received the end of the data.

sub backend_ended {
    my ($what, $length, $how) = @_;

    my $end = $echo->ended($uri, $patience);

    $how ||= 'closed';

    like($end && "$end->{how} after $end->{length}",
         qr/^(?:$how) after $length$/, "$name, $what: at the backend");
}


# The session and the open POST, if any, have ended.

sub session_ended {
    my ($what) = @_;

    ok($d->expect_end(), "$name, $what: the answer ends");
    ok($c->closed(), "$name, $what: close_notify");
    is($c->error(), '', "$name, $what: no error");
}


sub open_post {
    # alternating

    connected('/echo', 'turns');
    echoed("turn $_\n", "turn $_") for 1 .. 3;

    # the client sends close_notify in an open POST

    $d->close_notify();
    session_ended('client closes');
    backend_ended('client closes', 21);

    # ... and ends the POST

    connected('/echo', 'client closes all');
    $d->send('last words');
    $d->close_notify();
    $d->finish();
    session_ended('client closes all');

    # data in return may be too late, for a closed connection

    backend_ended('client closes all', 10, 'closed|reset');

    # the backend closes the connection

    connected('/last?size=100', 'backend closes');
    echoed('x' x 40, 'backend closes');
    echoed('x' x 60, 'backend closes, last');
    session_ended('backend closes');
    backend_ended('backend closes', 100, 'done');

    # the client closes the connection

    connected('/echo', 'client is gone');
    echoed('here I am', 'client is gone');
    $d->cut();
    backend_ended('client is gone', 9);

    # the backend sends first; the client sends before the 101

    connected('/hello', 'hello');
    ok($d->expect(qr/^hello$/m), "$name, hello: it comes");
    $d->cut();
    backend_ended('hello', 0);

    client();
    $d = Test::Atls::Duplex->new($c);
    $d->send(upgrade('/echo') . 'early words');
    ok($d->expect(qr/\r\n\r\nearly words\z/), "$name, early: echo");
    $d->cut();
    backend_ended('early', 11);

    # much data in both directions

    connected('/echo', 'large');
    is(large(), md5_hex(pattern($large)), "$name, large: echo");
    $d->close_notify();
    session_ended('large');
    backend_ended('large', $large);

    # not upgraded

    client();
    $d = Test::Atls::Duplex->new($c);
    $d->send(upgrade('/refuse'));
    ok($d->expect(qr{\AHTTP/1\.1 403 .*\r\n\r\nno!\n\z}s), "$name, refused");
    $d->forget();
    $d->send("GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ok($d->expect(qr/\r\n\r\ntext\n\z/), "$name, refused: the session goes on");
    $d->cut();
}


# As fast as the peer reads.  Returned data are not stored.

sub large {
    my $md5 = Digest::MD5->new();
    my ($sent, $got) = (0, 0);
    my $until = time + 6 * $patience;

    while ($got < $large && time < $until) {

        # no more unread data than buffers can hold

        if ($sent < $large && $sent - $got < 256 * 1024) {
            $d->send(pattern(65536, $sent)) or last;
            $sent += 65536;
        } else {
            $d->read(0.1) or last;
        }

        $md5->add($d->plain());
        $got += length $d->plain();
        $d->forget();
    }

    return $md5->hexdigest();
}


# Without an upgrade, the session ends without waiting for the end of the POST.

sub open_post_without_upgrade {
    for my $what ('closes', 'is an old one') {
        client();
        $d = Test::Atls::Duplex->new($c);
        $d->send($what eq 'closes'
                 ? "GET /text HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                 : "GET /text HTTP/1.0\r\n\r\n");
        ok($d->expect(qr/\r\n\r\ntext\n\z/), "$name, request $what: answer");
        session_ended("request $what");
    }
}


# complete POSTs

sub whole_posts {
    my ($got, $answer);

    # a request and close_notify in one POST

    client();
    $c->write_plain(upgrade('/echo'));
    $c->tls_shutdown();
    ok($c->exchange($c->tls_out()), "$name, at once: an answer");
    $c->read_plain();
    ok($c->closed(), "$name, at once: close_notify");
    backend_ended('at once', 0);

    # with data, which are returned before the end

    client();
    $c->write_plain(upgrade('/last?size=4') . 'word');
    $answer = $c->exchange($c->tls_out());
    ok($answer, "$name, words: an answer");
    $got = $c->read_plain();
    $got .= polled(sub { $c->closed() });
    like($got, qr!^HTTP/1\.1 101 .*\r\n\r\nword\z!s, "$name, words: echo");
    ok($c->closed(), "$name, words: close_notify");
    backend_ended('words', 4, 'done');

    # a tunnel over several POSTs, alternating

    client();
    like(by_turns(upgrade('/echo')), qr!^HTTP/1\.1 101 .*\r\n\r\n\z!s,
         "$name, several: 101");

    for my $turn (1 .. 3) {
        is(by_turns("turn $turn\n"), "turn $turn\n",
           "$name, several: turn $turn");
    }

    ok($c->close_notify(), "$name, several: an answer to close_notify");
    $c->read_plain();
    ok($c->closed(), "$name, several: close_notify");
    is($c->error(), '', "$name, several: no error");
    backend_ended('several', 21);

    # much data in one POST

    client();
    $got = $c->request(upgrade("/last?size=$MB") . pattern($MB));
    $got .= polled(sub { $c->closed() });
    $got =~ s/\A.*?\r\n\r\n//s;
    is(md5_hex($got), md5_hex(pattern($MB)), "$name, large in one: echo");
    ok($c->closed(), "$name, large in one: close_notify");
    backend_ended('large in one', $MB, 'done');

    # if the client does not return, the backend is closed by a timeout

    client();
    $c->request(upgrade('/echo'));
    $c->http_client()->close();
    is($c->post("\x17\x03\x03\x00\x20" . 'x' x 32)->status(), 409,
       "$name, broken record: not the next one");
    ok($c->close_notify(), "$name, broken record: close_notify");
    backend_ended('broken record', 0);
}


# Sends empty POSTs until the output is received.

sub polled {
    my ($enough) = @_;

    my $got = '';
    my $until = time + $patience;

    until ($enough->($got) || time > $until) {
        $c->exchange('') or last;
        $got .= $c->read_plain();
        select undef, undef, undef, 0.02;
    }

    return $got;
}


# A client that sends nothing until the timeout.

sub silent {
    client(uri => '/impatient');
    $d = Test::Atls::Duplex->new($c);
    $d->send(upgrade('/echo'));
    ok($d->expect(qr/\r\n\r\n/), 'silent: 101');
    backend_ended('silent', 0);
}


# The open POST is relayed to the worker with the connection.

sub relayed {
    my $relays = sub {
        return scalar(() = $t->read_file('access.log') =~ /"another worker"/g);
    };
    my $was = $relays->();
    my $more = 0;

    # some of these are relayed, by chance

    for (my $i = 1; $i <= 6 || !$more && $i <= 60; $i++) {
        $name = "another worker, $i";
        client();

        my $request = upgrade($i % 2 ? '/echo' : '/last?size=300000');
        $c->request(substr $request, 0, 10);

        $d = Test::Atls::Duplex->new($c);
        $d->send(substr $request, 10);
        ok($d->expect(qr!\AHTTP/1\.1 101 .*?\r\n\r\n!s), "$name: 101");
        $d->{plain} =~ s/\A.*?\r\n\r\n//s;
        echoed(pattern(300_000), 'several records');

        if ($i == 1) {
            $d->cut();
        } else {
            $d->close_notify() if $i % 2;
            session_ended('end');
        }

        backend_ended('end', 300_000, $i % 2 ? 'closed' : 'done');

        $t->read_log('access.log');
        $more = $relays->() - $was;
    }

    cmp_ok($more, '>', 0, 'some were relayed');
}


# A worker that quits keeps upgraded connections, as with HTTPS.

sub reloaded {
    my %workers;

    $name = 'reload';
    connected('/echo', 'open POST');
    echoed('before', 'before');

    %workers = map { $_ => 1 } $t->workers();
    $t->reload();
    $workers{$_} = 1 for $t->workers();

    echoed('after', 'after');
    $d->close_notify();
    session_ended('open POST');
    backend_ended('open POST', 11);
    $d->cut();

    # alternating POSTs reach the worker with the connection

    client();
    by_turns(upgrade('/echo'));
    $t->reload();
    is(by_turns("after\n"), "after\n", 'reload, several POSTs: echo');
    $c->close_notify();
    $c->read_plain();
    ok($c->closed(), 'reload, several POSTs: close_notify');
    backend_ended('several POSTs', 6);

    ok($t->wait_for(sub { !grep { alive($_) } keys %workers }, 20),
       'reload: old workers end');
}


# Sends a POST, and empty POSTs until an empty line, or a line, is received.

sub by_turns {
    my ($bytes) = @_;

    my $got = $c->request($bytes);
    my $enough = $bytes =~ /\r\n\r\n\z/ ? qr/\r\n\r\n/ : qr/\n/;

    return $got . ($got =~ $enough ? ''
                                   : polled(sub { "$got$_[0]" =~ $enough }));
}


sub worker_dies {
    $t->allow_log(qr/exited on signal 9/);
    $name = 'death';

    # between two POSTs

    client();
    by_turns(upgrade('/echo'));
    kill 'KILL', $_ for $t->workers();
    backend_ended('several POSTs', 0);
    ok($t->wait_for(sub { $t->workers() == 4 }, 20), 'death: new workers');
    is($c->post('')->status(), 410, 'death, several POSTs: no session');

    # within an open POST

    connected('/echo', 'open POST');
    echoed('before', 'before');

    kill 'KILL', $_ for $t->workers();

    ok(!$d->expect_end(), 'death: the answer breaks off');
    backend_ended('open POST', 6, 'closed');
}
