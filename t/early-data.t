#!/usr/bin/perl

# Early data: a client that resumes sends a request with its ClientHello, and
# one POST brings the response.  Each ticket is good for that once, whoever has
# it; whatever becomes of early data, the handshake goes on.
#
# Every POST has a connection of its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( readable send_all );
use Test::Atls::Outer;
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Slow qw( patience slow );
use Test::Atls::Stack qw( @STACKS );

my $TYPE = 'application/atls+octet-stream';
my $SLOW = slow();

my $WORKERS = 4;
my $PARALLEL = 8;
my $HANDSHAKE = 2 * $SLOW;          # timeouts, in seconds
my $SHORT = 1 * $SLOW;
my $RECORD = 16384;                 # as much early data as there may be

# "reuseport": so that each worker has its share of the connections.  The first
# POST of a session has no cookie.

my $conf = http_conf(<<'EOC');
log_format outer '$pid "$http_cookie" $upstream_addr';

%%HTTP%%

atls_certificate %%CERTIFICATES%%/localhost.crt;
atls_certificate_key %%CERTIFICATES%%/localhost.key;
atls_handshake_timeout %%HANDSHAKE%%s;

atls_early_data on;

proxy_set_header Early-Data $atls_early_data;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    server_name localhost;

    access_log %%TESTDIR%%/outer.log outer;

    location = /.well-known/atls {
        atls on;
    }

    location = /pinned {
        atls on;
        atls_buffer_size 1k;
        atls_conf_command RecordPadding 4096;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /no-lingering {
        atls on;
        lingering_close off;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/body;
    }

    location = /raw-refused {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/status?code=403;
    }

    location = /off {
        atls on;
        atls_early_data off;
    }

    location = /short {
        atls on;
        atls_handshake_timeout %%SHORT%%s;
        error_log %%TESTDIR%%/short.log info;
    }

    location = /p384 {
        atls on;
        atls_ecdh_curve secp384r1;
    }

    location = /clients {
        atls on;
        atls_verify_client on;
        atls_client_certificate %%CERTIFICATES%%/client.crt;
    }

    location / {
        access_log off;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /unbuffered {
        access_log off;
        proxy_request_buffering off;
        proxy_http_version 1.1;
        proxy_pass http://127.0.0.1:%%PORT_1%%/body;
    }

    location = /careful {
        access_log off;
        proxy_pass http://127.0.0.1:%%PORT_2%%;
    }

    location = /down {
        access_log off;
        proxy_pass http://127.0.0.1:%%PORT_3%%;
    }

    location = /gate {
        access_log off;
        proxy_pass http://127.0.0.1:%%PORT_5%%;
    }

    location = /here {
        access_log off;
        return 200 "early $atls_early_data
reused $atls_session_reused
requests $atls_session_requests
name $atls_server_name
client $atls_client_verify $atls_client_s_dn
";
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name off.test;

    atls_early_data off;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "early $atls_early_data\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name other.test;

    atls_early_data off;

    location = /.well-known/atls {
        atls on;
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name on.test;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "early $atls_early_data\n";
    }
}

# a backend that knows RFC 8470

server {
    listen 127.0.0.1:%%PORT_2%%;

    location / {
        if ($http_early_data = 1) {
            return 425 "too early\n";
        }

        return 200 "not too early\n";
    }
}
EOC

my $t = Test::Atls->new(workers => $WORKERS);

$t->make_cert($_) for qw( localhost client );
$t->write_file('ticket.key', 'k' x 80);
configure($t);
$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));

# a backend that answers when this test wants it to

my $gate = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128,
                                 LocalPort => $t->port(5), ReuseAddr => 1,
                                 Timeout => patience())
    or die "gate: $!\n";

for my $stack (@STACKS) {
    first_flight("$stack, routed", $stack);
    first_flight("$stack, pinned", $stack, uri => '/pinned');
    too_early($stack);
    kinds($stack);
    streamed($stack);
    several($stack);
    connection_close($stack);
    unfinished($stack);
    raw($stack);
    refused($stack);
    names($stack);
    known_client($stack);
    hello_retry($stack) if $stack eq 'openssl';
    tls12($stack);
    once($stack);
    at_once($stack);
    replayed($stack);
    in_pieces($stack);
    broken($stack);
    aborted($stack);
}

more_early_data();
nothing_more();
too_much();
left_alone();
any_worker();
reloads();
key_files();
crowded();
bad_configuration();

$t->done_testing();


# One POST is all that it takes.

sub first_flight {
    my ($name, $stack, %args) = @_;

    my $session = session($stack, %args);
    my $c = early($stack, $session, get('/echo?1'), %args);
    my $r = $c->early_response();

    is($c->early_status(), 'accepted', "$name: early data")
        or diag($c->error());
    is($c->posts(), 1, "$name: a POST");
    is(seen($r), 'GET /echo?1, Early-Data: 1', "$name: a response");
    is(seen($c->get('/echo?2')), 'GET /echo?2', "$name: the next one");
    is($c->posts(), 2, "$name: another POST");

    $c->key_update(1);
    is(seen($c->get('/echo?key')), 'GET /echo?key', "$name: and another key");

    # the ticket that comes of it is good for the same

    $c = early($stack, $c->session(), get('/echo?3'), %args);
    is(seen($c->early_response()), 'GET /echo?3, Early-Data: 1',
       "$name: and again");
}


sub too_early {
    my ($stack) = @_;

    my $c = early($stack, session($stack), get('/careful'));

    is(status($c->early_response()), 425, "$stack: too early for a backend");
    is(status($c->get('/careful')), 200, "$stack: then it is not");

    $c = early($stack, session($stack), get('/here'));
    my @names = qw( early reused requests name );

    is(variables($c->early_response(), @names), '1 r 1 localhost',
       "$stack: variables");
    is(variables($c->get('/here'), @names), ' r 2 localhost',
       "$stack: and those of the next request");
}


# Other requests, and other answers.

sub kinds {
    my ($stack) = @_;

    my $body = pattern(10_000);
    my @kinds = (
        [ 'HEAD', 'HEAD', '/echo', '', 200, 0 ],
        [ 'a body', 'POST', '/body', $body, 200, 10_000 ],
        [ 'unbuffered', 'POST', '/unbuffered', $body, 200, 10_000 ],
        [ 'nothing there', 'GET', '/status?code=404', '', 404, 11 ],
        [ 'nobody there', 'GET', '/down', '', 502 ],
        [ 'a bad request', "G\@T", '/', '', 400 ],
        [ 'a large answer', 'GET', '/big?size=1000000', '', 200, 1_000_000 ],
        [ 'in chunks', 'GET', '/big?size=300000&chunked=1', '', 200, 300_000 ],
        [ 'small records', 'GET', '/big?size=300000', '', 200, 300_000,
          uri => '/pinned' ],
    );

    for my $kind (@kinds) {
        my ($name, $method, $uri, $sent, $status, $length, @args) = @$kind;

        my $c = early($stack, session($stack), request($method, $uri, $sent),
                      @args);
        my $r = $c->early_response();
        my $got = status($r);

        $length = $r->length() if $r && !defined $length;
        is($r ? "$got " . $r->length() : $got, "$status $length",
           "$stack, $name: early response") or diag($c->error());

        is(md5_hex($r->body()), pattern_md5($length), "$stack, $name: as sent")
            if $length > 1000;

        if ($status == 400) {
            ended("$stack, $name", $c);
        } else {
            is(status($c->get('/echo')), 200, "$stack, $name: goes on");
        }
    }
}


# What a backend sends slowly comes as it is sent.

sub streamed {
    my ($stack) = @_;

    my $c = client($stack, session => session($stack), early => get('/gate'));
    my $plain = '';

    $c->handshake_step();
    $c->post_send($c->tls_out());

    my $s = gate("X-Accel-Buffering: no\r\nContent-Length: 10\r\n\r\nfirst");

    $c->post_receive(on_body => sub {
        $c->tls_in($_[0]);
        $c->handshake_step() if $c->state() eq 'waiting';
        $c->early_status();         # whatever makes it read
        $plain .= $c->read_plain();

        if ($s && $plain =~ /first/) {
            send_all($s, 'last.');
            close $s;
            undef $s;
        }
    });

    like($plain, qr/\r\n\r\nfirstlast\.$/, "$stack: an answer is streamed");
    is(here($c), ' r 2', "$stack: it goes on");
}


# Begins the answer to a request at the gate.

sub gate {
    my ($rest) = @_;

    my $s = $gate->accept() or die "nobody is at the gate\n";

    return answer_gate($s, $rest);
}


sub answer_gate {
    my ($s, $rest) = @_;

    my $head = '';

    until ($head =~ /\r\n\r\n/) {
        sysread $s, $head, 1000, length $head or last;
    }

    send_all($s, "HTTP/1.1 200 OK\r\n$rest");

    return $s;
}


# Pipelined requests.

sub several {
    my ($stack) = @_;

    my $c = early($stack, session($stack), join '', map { get("/echo?$_") }
                                                    1 .. 3);
    my @r = $c->early_responses();

    is(join(', ', map { seen($_) } @r),
       join(', ', map { "GET /echo?$_, Early-Data: 1" } 1 .. 3),
       "$stack: pipelined requests");
    is($c->posts(), 1, "$stack: in a POST");
    is(status($c->get('/here')), 200, "$stack: it goes on");
}


# The last response ends the session; TLS says so as soon as it can.

sub connection_close {
    my ($stack) = @_;

    my $c = early($stack, session($stack),
                  request('GET', '/echo?1', '', Connection => 'close'));
    my $r = $c->early_response();

    is($r && $r->header('Connection'), 'close', "$stack: the last response");
    ended("$stack, the last response", $c);
}


# A session ends with what is sent next, which is not served.

sub ended {
    my ($name, $c) = @_;

    my $cookie = $c->cookie();
    my $before = served('/echo?ended');

    is($c->request(get('/echo?ended')), '', "$name: no more of it");
    is($c->state(), 'closed', "$name: close_notify") or diag($c->error());
    is($c->cookie(), undef, "$name: no cookie");
    gone($c, $cookie, "$name: gone");
    is(served('/echo?ended'), $before, "$name: no other response");
}


sub gone {
    my ($c, $cookie, $name) = @_;

    is(status($c->post("\x17\x03\x03\x00\x20" . 'x' x 32,
                       cookie => "atls=$cookie")), 410, $name);
}


# A request that begins in early data ends when the rest of it has come.

sub unfinished {
    my ($stack) = @_;

    my $body = pattern(100_000);

    for my $uri ('/body', '/unbuffered') {
        my $post = request('POST', $uri, $body);

        for my $size (10, 60, 15_000) {
            my $name = "$stack, $uri, $size bytes";
            my $c = early($stack, session($stack), substr $post, 0, $size);

            is($c->early_status(), 'accepted', "$name: early data");
            is($c->early_response(), undef, "$name: no response yet");

            my $r = $c->http(substr $post, $size);

            is($r && md5_hex($r->body()), md5_hex($body), "$name: response")
                or diag($c->error());
            is($c->posts(), 2, "$name: POSTs");

            # passed on when it is complete, unless it is passed on at once

            is(early_header(), $uri eq '/body' || $size < 100 ? '' : 1,
               "$name: Early-Data");
        }
    }
}


# Of the last request that the backend has served.

sub early_header {
    my ($last) = reverse $backend->requests();
    my ($early) = map { $_->[1] } grep { $_->[0] eq 'Early-Data' }
                  @{$last->{headers}};

    return defined $early ? $early : '';
}


sub raw {
    my ($stack) = @_;

    my $c = early($stack, session($stack, uri => '/raw', raw => 1), 'early',
                  uri => '/raw');

    is($c->read_plain(), 'early', "$stack, raw: answered");
    is($c->posts(), 1, "$stack, raw: in a POST");
    is($c->request('more'), 'more', "$stack, raw: it goes on");

    $c = client($stack, session => session($stack, uri => '/raw', raw => 1),
                early => 'early', uri => '/raw-refused');
    $c->handshake_step();

    my $r = $c->post($c->tls_out());
    is(status($r), 502, "$stack, raw: a request that is refused");
    $c->tls_in($r->body());
    ok($c->handshake(), "$stack, raw: the handshake goes on");
    is($c->read_plain(), '', "$stack, raw: with no answer");
    is(status($c->post($c->tls_out())), 200, "$stack, raw: to its end");
}


# Where it is off, and that is where nobody has said "on", tickets do not allow
# it, and those that do are of no use.

sub refused {
    my ($stack) = @_;

    my $c = early($stack, session($stack, uri => '/off'), get('/echo'));

    # GnuTLS sends it all the same

    isnt($c->early_status(), 'accepted', "$stack, off: not allowed");
    is(here($c), ' r 1', "$stack, off: and are as good as others");

    $c = early($stack, session($stack), get("/echo?refused-$stack"),
               uri => '/off');

    is($c->early_status(), 'rejected', "$stack, off: refused");
    is($c->early_response(), undef, "$stack, off: not answered");
    is(here($c), ' r 1', "$stack, off: the session is resumed");
    is(served("/echo?refused-$stack"), 0, "$stack, off: it was not served");
}


# The server that the client names is the one that counts.

sub names {
    my ($stack) = @_;

    # OpenSSL sends early data with another name than the session's only if
    # that has had none

    my $c = early($stack, session($stack, sni => ''),
                  request('GET', '/', '', Host => 'off.test'),
                  sni => 'off.test');

    is($c->early_status(), 'rejected', "$stack: off for a name");
    ok($c->resumed(), "$stack: which resumes");
    is(early_seen($c->get('/', Host => 'off.test')), '',
       "$stack: off for a name: then served");

    my @on = (port => $t->port(4), sni => 'on.test');

    $c = client($stack, @on);
    $c->handshake();
    $c->get('/', Host => 'on.test');
    $c = early($stack, $c->session(),
               request('GET', '/', '', Host => 'on.test'), @on);

    is($c->early_status(), 'accepted', "$stack: on for a name");
    is(early_seen($c->early_response()), 1, "$stack: on for a name: served");

    $c = client($stack, port => $t->port(4), sni => 'other.test',
                session => $c->session());
    $c->handshake();
    is(early_seen($c->get('/', Host => 'on.test')), undef,
       "$stack: off for others");
}


sub early_seen {
    my ($r) = @_;

    return $r && $r->body() =~ /^early (.*)$/m ? $1 : undef;
}


# Who a client is, its ticket says.

sub known_client {
    my ($stack) = @_;

    my @known = (uri => '/clients', cert => $t->path('client.crt'),
                 key => $t->path('client.key'));
    my $c = early($stack, session($stack, @known), get('/here'), @known);

    for my $r ($c->early_response(), $c->get('/here')) {
        my ($client) = $r ? $r->body() =~ /^client (.*)$/m : ();

        is($client, 'SUCCESS CN=client', "$stack: a client with a certificate");
    }

    # a ticket of somebody who has none

    $c = early($stack, session($stack), get("/echo?nobody-$stack"),
               uri => '/clients');
    is($c->early_status(), 'rejected', "$stack: a client without");
    is(served("/echo?nobody-$stack"), 0, "$stack: is not served");
}


# The server wants another key share than the client has sent.  GnuTLS 3.7 has
# its second ClientHello encrypted then, as if it were early data.

sub hello_retry {
    my ($stack) = @_;

    my $c = early($stack, session($stack, uri => '/p384', groups => 'P-384'),
                  get("/echo?retry-$stack"), uri => '/p384',
                  groups => 'X25519:P-256:P-384');

    is($c->posts(), 2, "$stack: HelloRetryRequest");
    is($c->early_status(), 'rejected', "$stack: no early data with that");
    is(here($c), ' r 1', "$stack: the session is resumed");
    is(served("/echo?retry-$stack"), 0, "$stack: it was not served");
}


sub tls12 {
    my ($stack) = @_;

    my @tls12 = (protocol => 'TLSv1.2');
    my $c = early($stack, session($stack, @tls12), get("/echo?tls12-$stack"),
                  @tls12);

    isnt($c->early_status(), 'accepted', "$stack: no early data in TLS 1.2");
    is(here($c), ' r 1', "$stack: TLS 1.2 resumes");
    is(served("/echo?tls12-$stack"), 0, "$stack: it was not served");
}


# A ticket that has been used goes on to resume, in whatever worker.

sub once {
    my ($stack) = @_;

    my $session = session($stack);
    my $c = early($stack, $session, get("/echo?once-$stack"));

    is($c->early_status(), 'accepted', "$stack: once");

    my $failed = 0;

    for (1 .. 3 * $WORKERS) {
        $c = early($stack, $session, get("/echo?once-$stack"));
        $failed++ if $c->early_status() ne 'rejected' || here($c) ne ' r 1';
    }

    is($failed, 0, "$stack: not again");
    is(served("/echo?once-$stack"), 1, "$stack: it was served once");
}


# Who comes first is not known before.

sub at_once {
    my ($stack) = @_;

    my $session = session($stack);
    my @clients = map {
        client($stack, session => $session,
               early => get("/echo?at-once-$stack"))
    } 1 .. $PARALLEL;

    $_->handshake_step() for @clients;
    $_->post_send($_->tls_out()) for @clients;
    answered($_) for @clients;

    my $resumed = grep { $_->handshake() && here($_) =~ / r / } @clients;
    my @accepted = grep { $_->early_status() eq 'accepted' } @clients;

    is(scalar @accepted, 1, "$stack: one of many at once");
    is($resumed, $PARALLEL, "$stack: all of them resume");
    is(served("/echo?at-once-$stack"), 1, "$stack: it was served once");
}


# Somebody else sends the same bytes, after the client and before.

sub replayed {
    my ($stack) = @_;

    for my $when ('after', 'before') {
        my $uri = "/echo?replayed-$when-$stack";
        my $c = client($stack, session => session($stack), early => get($uri));

        $c->handshake_step();
        my $bytes = $c->tls_out();

        $c->post($bytes) if $when eq 'after';

        my @others = map { outer() } 1 .. $PARALLEL;

        $_->send($bytes, { 'Content-Type' => $TYPE }) for @others;
        my @answers = map { $_->receive() } @others;

        $c->tls_in(($when eq 'after' ? $c->last_response()
                                     : $c->post($bytes))->body());
        $c->handshake();

        is(join(' ', map { status($_) } @answers),
           join(' ', (200) x $PARALLEL), "$stack, replayed $when: answers");
        is($c->early_status(), $when eq 'after' ? 'accepted' : 'rejected',
           "$stack, replayed $when: the client");
        is(here($c), $when eq 'after' ? ' r 2' : ' r 1',
           "$stack, replayed $when: goes on");
        is(served($uri), 1, "$stack, replayed $when: it was served once");
    }
}


sub outer {
    return Test::Atls::Outer->new(port => $t->port(0), keepalive => 0,
                                  uri => '/.well-known/atls', @_);
}


# A ClientHello and early data in any number of POSTs.

sub in_pieces {
    my ($stack) = @_;

    for my $size (100, 333) {
        my $c = client($stack, session => session($stack),
                       early => get('/echo'));

        ok($c->handshake(split => $size), "$stack, pieces of $size bytes")
            or diag($c->error());
        is(seen($c->early_response()), 'GET /echo, Early-Data: 1',
           "$stack, pieces of $size bytes: response");
        is(here($c), ' r 2', "$stack, pieces of $size bytes: goes on");
    }
}


# What follows early data is no handshake.

sub broken {
    my ($stack) = @_;

    my $garbage = "\x17\x03\x03\x00\x20" . 'x' x 32;
    my %requests = (
        'a request' => get('/echo'),
        'a part of it' => substr(get('/echo'), 0, 20),
        'no body' => request('POST', '/body', 'x' x 1000) =~ s/x+$//r,
        'a body that nobody wants' =>
            request('POST', '/here', 'x' x 1000) =~ s/x+$/x/r,
        'unbuffered' => request('POST', '/unbuffered', 'x' x 1000) =~ s/x+$/x/r,
    );

    for my $what (sort keys %requests) {

        for my $at_once (0, 1) {
            my $name = "$stack, broken, $what" . ($at_once ? ', at once' : '');
            my $c = client($stack, session => session($stack),
                           early => $requests{$what});

            $c->handshake_step();
            my $flight = $c->tls_out();

            $c->exchange($at_once ? $flight . $garbage : $flight);
            my $cookie = $c->cookie();
            my $r = $at_once ? $c->last_response()
                             : $c->post($garbage);

            $c->tls_in($r->body());
            $c->handshake_step();
            is(join(' ', $c->alerts()), 20, "$name: an alert");
            is($c->cookie(), undef, "$name: no cookie");
            gone($c, $cookie, "$name: gone") if $cookie;
        }
    }
}


# The client leaves while it is being answered.

sub aborted {
    my ($stack) = @_;

    my $c = client($stack, session => session($stack),
                   early => get('/slow?n=100&delay=0.1'));

    $c->handshake_step();
    $c->post_send($c->tls_out());

    my $head = '';
    my $s = $c->http_client()->{socket};

    until ($head =~ /\r\n\r\n/) {
        sysread $s, $head, 1000, length $head or last;
    }

    $c->http_client()->close();

    my ($cookie) = $head =~ /^Set-Cookie: atls=([^;]+)/m;

    ok($t->wait_for(sub {
        status($c->post('x' x 32, cookie => "atls=$cookie")) == 410;
    }), "$stack: a client that leaves takes its session with it");
}


# OpenSSL sends more of it while it waits for the server.

sub more_early_data {
    my $body = pattern(10_000);
    my $post = request('POST', '/body', $body);
    my $here = get('/here');
    my (@accepted, @right);

    for (1 .. 2 * $WORKERS) {
        my $c = client('openssl', session => session('openssl'),
                       early => substr $post, 0, 5000);

        $c->handshake_step();
        $c->exchange($c->tls_out());
        $c->write_early($_) for substr($post, 5000) . $here, $here;
        $c->exchange($c->tls_out());
        $c->handshake();

        my @r = $c->early_responses();

        push @accepted, $c->early_status() . $c->posts();
        push @right, join ' ', md5_hex($r[0]->body()) eq md5_hex($body),
                               map { early_seen($_) || 0 } @r[1, 2],
                               early_seen($c->get('/here'));
    }

    is("@accepted", join(' ', ('accepted2') x (2 * $WORKERS)),
       'early data of two POSTs');
    is("@right", join(' ', ('1 1 1 0') x (2 * $WORKERS)),
       'requests of two POSTs');
}


# A response that is the last one, and more that comes with its request or
# behind it.

sub nothing_more {
    my $get = request('GET', '/echo?last', '', Connection => 'close');

    for my $uri ('/.well-known/atls', '/no-lingering') {
        my $c = client('openssl', session => session('openssl'), uri => $uri,
                       early => substr $get, 0, 10);

        $c->handshake_step();
        $c->exchange($c->tls_out());
        $c->write_early(substr($get, 10) . get('/echo?ended'));
        $c->write_early(get('/echo?ended'));
        $c->handshake_step();
        $c->write_plain(get('/echo?ended'));
        $c->exchange($c->tls_out());

        my @r = $c->early_responses();

        is(join(', ', map { seen($_) } @r), 'GET /echo?last, Early-Data: 1',
           "$uri, at once: the last response");
        is($c->state(), 'closed', "$uri, at once: close_notify");
        is($c->cookie(), undef, "$uri, at once: no cookie");
        is($c->posts(), 2, "$uri, at once: POSTs");

        $c = client('openssl', session => session('openssl'), uri => $uri,
                    early => $get);
        $c->handshake_step();
        $c->exchange($c->tls_out());
        $c->write_early(get('/echo?ended'));
        $c->exchange($c->tls_out());
        $c->handshake();

        is(join(', ', map { seen($_) } $c->early_responses()),
           'GET /echo?last, Early-Data: 1', "$uri: the last response");
        ended($uri, $c);
    }
}


# More than the server has allowed, whether it would be accepted or not.

sub too_much {
    my $session = session('openssl');
    my $post = request('POST', '/body', pattern(3 * $RECORD));

    for my $what ('too much', 'too much, refused') {
        my $c = client('openssl', session => $session, max_early => 100_000,
                       early => substr $post, 0, 2 * $RECORD);

        ok(!$c->handshake(), "$what: the handshake fails");
        is(join(' ', $c->alerts()), 10, "$what: an alert");
        is($c->cookie(), undef, "$what: no session");
    }
}


# A client has its time for a handshake, but for that of its early requests.

sub left_alone {
    my $began = time;
    my @early = map { client($_, session => session($_), uri => '/short',
                             early => get('/gate')) } @STACKS;

    $_->handshake_step() for @early;
    $_->post_send($_->tls_out()) for @early;

    my $post = request('POST', '/body', 'x' x 100);
    my @left;

    for my $stack (@STACKS) {
        for my $data (get('/echo'), substr($post, 0, -10),
                      substr($post, 0, 10))
        {
            push @left, early($stack, session($stack), $data,
                              uri => '/short');
        }
    }

    my @cookies = map { $_->cookie() } @left;

    $t->wait_for(sub {
        @left == grep { /handshake timed out/ }
                 split /\n/, $t->read_file('short.log');
    });

    gone($left[$_], $cookies[$_], "client $_ is given up") for 0 .. $#left;

    # the answer comes as the time is about to end once more

    wait_until($began + 1.7 * $SHORT);
    gate("Content-Length: 5\r\n\r\nopen\n") for @early;
    answered($_) for @early;
    wait_until($began + 2.2 * $SHORT);

    for my $c (@early) {
        my $stack = $c->stack();

        $c->handshake();

        my $r = $c->early_response();

        is($r && $r->body(), "open\n", "$stack: but not one that waits");
        is(here($c), ' r 2', "$stack: it goes on");
    }
}


sub wait_until {
    my ($time) = @_;

    my $left = $time - time;
    sleep $left if $left > 0;
}


# Each POST has a connection: most of those that go on with a handshake have
# been at another worker.

sub any_worker {
    my @lines = $t->read_log('outer.log') =~ /^\d+ "(?:-|atls=.*)" .*$/mg;
    my %pids = map { /^(\d+)/ ? ($1 => 1) : () } grep { /"-"/ } @lines;
    my @relayed = grep { /another worker/ } @lines;

    is(scalar keys %pids, $WORKERS, 'handshakes in each of the workers');
    cmp_ok(scalar @relayed, '>', @lines / 10, 'POSTs at others');
}


# A handshake ends in the worker that it began in.

sub reloads {
    my $post = request('POST', '/body', 'x' x 100);

    for my $stack (@STACKS) {
        my @sessions = map { session($stack) } 1 .. 3;
        my $c = early($stack, $sessions[0], get('/echo'));
        my $half = early($stack, $sessions[1], substr $post, 0, -10);

        $t->reload();

        is(here($c), ' r 2', "$stack: a reload in a handshake");
        is(status($half->http(substr $post, -10)), 200,
           "$stack: a reload in a request");

        $c = early($stack, $sessions[0], get('/echo'));
        is($c->early_status() . here($c), 'rejected r 1',
           "$stack: a used ticket, after a reload");

        $c = early($stack, $sessions[2], get('/echo'));
        is($c->early_status() . here($c), 'accepted r 2',
           "$stack: another one, after a reload");
    }
}


# Key files tell nobody what has been used.

sub key_files {
    my @keys = (HTTP => 'atls_session_ticket_key '
                        . $t->path('ticket.key') . ';');

    configure($t, @keys);
    $t->reload();

    # of another server

    my $other = Test::Atls->new(workers => 1);
    configure($other, @keys);
    $other->run();

    # some of its tickets have numbers that here have not been used

    my @sessions = map { session('openssl', port => $other->port(0)) } 1 .. 6;
    my @early = map { early('openssl', $_, get('/echo')) } @sessions;

    is(join(' ', map { $_->early_status() . here($_) } @early),
       join(' ', ('rejected r 1') x @early), 'tickets of another server');

    no_early_data('of another server',
                  map { $_ => session($_, port => $other->port(0)) } @STACKS);
    $other->finish();

    # Of the same one, before a restart.  Workers that are to quit need not
    # wait for the rest of a request for longer than for that of a handshake.

    my %sessions = map { $_ => session($_) } @STACKS;

    early($_, session($_), substr(get('/echo'), 0, 20), uri => '/short')
        for @STACKS;

    $t->stop();
    $t->run();

    no_early_data('after a restart', %sessions);
}


# Early data is refused, and the next ticket is good for it.

sub no_early_data {
    my ($name, %sessions) = @_;

    for my $stack (@STACKS) {
        my $c = early($stack, $sessions{$stack}, get('/echo?no-early-data'));

        is($c->early_status() . here($c), 'rejected r 1',
           "$stack: a ticket $name");

        $c = early($stack, $c->session(), get('/echo'));
        is($c->early_status() . here($c), 'accepted r 2',
           "$stack: the next ticket");
    }

    is(served('/echo?no-early-data'), 0, "$name: it was not served");
}


# In a zone that is too small for all, who does not go on with a handshake makes
# room for others, and who is being answered does not.

sub crowded {
    my $small = Test::Atls->new(workers => $WORKERS);
    my @port = (port => $small->port(0));

    $small->{ports}{$_} = $t->port($_) for 1, 5;
    configure($small, HANDSHAKE => 5 * $SLOW, HTTP => "atls_zone small:32k;
                               client_header_timeout ${SHORT}s;
                               client_body_timeout ${SHORT}s;");
    $small->run();

    my @halves = map {
        early($_, session($_, @port), substr(get('/echo'), 0, 20), @port)
    } @STACKS;

    is(crowd(60, @port), 200, 'a crowd of ClientHellos');
    gone($_, $_->cookie(), $_->stack() . ': who does not go on is pushed out')
        for @halves;

    my @clients = map {
        client($_, @port, session => session($_, @port), early => get('/gate'))
    } (@STACKS) x 20;

    $_->handshake_step() for @clients;
    $_->post_send($_->tls_out()) for @clients;

    my $n = @clients;
    my @at_gate;
    $t->wait_for(sub {
        push @at_gate, scalar $gate->accept() while readable($gate, 0);
        $n = grep { !readable($_->http_client()->{socket}, 0) } @clients;
        return $n == @at_gate;
    });

    is(crowd(20, @port), 503, 'the zone is full');

    answer_gate($_, "Content-Length: 5\r\n\r\nopen\n") for @at_gate;
    answered($_) for @clients;

    my @served = grep { status($_->last_response()) == 200 } @clients;

    is(scalar @served, $n, 'who was in it is served');
    $_->handshake() for @served;

    my @answers = map { my $r = $_->early_response(); $r ? $r->body() : 'none' }
                  @served;

    is(join('', @answers), "open\n" x @served, 'with an answer');
    is(join(' ', map { here($_) } @served),
       join(' ', (' r 2') x @served), 'and goes on');

    $small->finish();
}


# The statuses of many who begin a handshake.

sub crowd {
    my ($n, @args) = @_;

    my $hello = hello();
    my %statuses = map {
        my $r = outer(@args)->post($hello, { 'Content-Type' => $TYPE });
        status($r) => 1
    } 1 .. $n;

    return join ' ', sort keys %statuses;
}


sub hello {
    my $c = client('openssl');

    $c->handshake_step();

    return $c->tls_out();
}


sub bad_configuration {
    my $conf = <<'EOC';
%%GLOBALS%%
events { }
http {
    %%GLOBALS_HTTP%%
    atls_certificate localhost.crt;
    atls_certificate_key localhost.key;
    atls_early_data on;
    atls_session_tickets off;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            atls on;
        }
    }
}
EOC

    is($t->config_error($conf), '', 'early data without tickets: no error');
    like($t->read_file('config-test.out'),
         qr/\[warn\].*"atls_early_data" ignored.*"atls_session_tickets"/,
         'but a warning');
}


# What is above is made of

sub configure {
    my ($instance, %args) = @_;

    my %values = (HTTP => '', HANDSHAKE => $HANDSHAKE, SHORT => $SHORT,
                  CERTIFICATES => $t->dir(), %args);

    $instance->write_conf(
        $conf =~ s/%%([A-Z]+)%%/$values{$1} \/\/ "%%$1%%"/egr);
}


sub client {
    my ($stack, %args) = @_;

    return $t->stack($stack, protocol => 'TLSv1.3', keepalive => 0, %args);
}


# One that has sent early data, and has been answered.

sub early {
    my ($stack, $session, $data, %args) = @_;

    my $c = client($stack, session => $session, early => $data, %args);
    $c->handshake();

    return $c;
}


# What the other half of a POST brings.

sub answered {
    my ($c) = @_;

    my $r = $c->post_receive();

    $c->tls_in($r->body()) if $r;
}


# A session to be resumed.

sub session {
    my ($stack, %args) = @_;

    my $raw = delete $args{raw};
    my $c = client($stack, %args);

    $c->handshake() && ($raw ? $c->request('raw') : $c->get('/here'));
    my $session = $c->session();

    die "$stack: no session: ", $c->error(), "\n" if $session eq '';

    return $session;
}


# What the server says of a request: early data, reused, its number.

sub here {
    my ($c) = @_;

    $c->early_responses();          # if nobody has asked for them

    my $r = $c->get('/here');

    return status($r) eq '200' ? variables($r, qw( early reused requests ))
                               : $c->error() || status($r);
}


sub variables {
    my ($r, @names) = @_;

    my %seen = $r ? $r->body() =~ /^(\w+) (.*)$/mg : ();

    return join ' ', map { defined $seen{$_} ? $seen{$_} : 'none' } @names;
}


# How often the backend has served it.

sub served {
    my ($uri) = @_;

    return scalar grep { $_->{uri} eq $uri } $backend->requests();
}


sub request { Test::Atls::Client::format_request(@_) }
sub get { request('GET', $_[0], '') }
sub status { $_[0] ? $_[0]->status() : 'none' }


# What the backend has seen of a request.

sub seen {
    my ($r) = @_;

    return 'none' unless $r;

    my ($line) = $r->body() =~ m!^(\S+ \S+) HTTP!;
    my @early = $r->body() =~ /^(Early-Data: .*)$/mg;

    return join ', ', $line || $r->body(), @early;
}
