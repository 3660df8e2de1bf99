#!/usr/bin/perl

# A ClientHello with the cookie of an existing session, from a client that has
# lost its state, or from someone on the path with the cookie but without keys:
# it begins another session, and the existing one is not affected, in any state.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Http qw(
    http_connect parse_responses read_response send_all
);

my $TYPE = 'application/atls+octet-stream';
my $GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

# so that handshakes and unfinished requests are in another worker

my $t = Test::Atls->new(workers => 3);

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_ecdh_curve prime256v1;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /atls {
        atls on;
    }

    location = /other {
        atls on;
    }

    location = /short {
        atls on;
        atls_session_timeout 3s;
    }

    location / {
        return 200 "inner\n";
    }
}
EOC

# name => begins a session in this state; continues it

my @STATES = (
    [ 'half-open' => \&half_open, \&handshakes ],
    [ 'half-open, in a record' => \&half_open_in_record, \&rest ],
    [ 'half-open, busy' => \&busy_half_open, \&busy_ends ],
    [ 'idle' => \&idle, \&requests ],
    [ 'idle, in a record' => \&idle_in_record, \&rest ],
    [ 'idle, a byte of a record' => \&idle_byte, \&rest ],
    [ 'in a request' => \&resident, \&rest_of_request ],
    [ 'in a record and a request' => \&resident_in_record, \&rest ],
    [ 'busy' => \&busy, \&busy_ends ],
    [ 'busy, in a request' => \&busy_resident, \&busy_ends ],
    [ "another endpoint's" => \&of_another, \&requests ],
);

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );
my $ROUNDS = 3;         # so that some are relayed

$t->run();

my $protocol;

for (@PROTOCOLS) {
    $protocol = $_;

    for (1 .. $ROUNDS) {
        state(@$_) for @STATES;
    }

    unfinished();
    expired();
}

retried();
quitting();

$t->done_testing();


sub client {
    my (%args) = @_;

    return $t->client(uri => '/atls', groups => 'P-256', keepalive => 0,
                      $protocol ? (protocol => $protocol) : (), %args);
}


sub established {
    my $c = client(@_);

    $c->handshake() or die $c->error() . "\n";

    return $c;
}


# A ClientHello with the session's cookie.  Five tests.

sub state {
    my ($name, $begin, $go_on) = @_;

    my $c = $begin->();
    my $cookie = $c->cookie();
    my $other = client();

    $name = "$protocol, $name";

    $other->cookie($cookie);
    $other->handshake_step();

    my $r = $other->exchange($other->tls_out());

    ok($r, "$name: a ClientHello") or diag($other->error());
    like(join(' ', $r ? $r->header('Set-Cookie') : ()),
         qr/^atls=(?!\Q$cookie\E)[\w-]{22,};(?!.*Max-Age=0)/,
         "$name: another session");
    ok($other->handshake(), "$name: its handshake") or diag($other->error());
    is(body($other->get('/')), "inner\n", "$name: its request");

    is($go_on->($c), "inner\n", "$name: the first session goes on");
}


sub body {
    my ($r) = @_;

    return $r ? $r->body() : 'nothing';
}


# states, and how a session continues in them: the response


sub half_open {
    my $c = client();

    $c->handshake_step();
    $c->exchange($c->tls_out());

    return $c;
}


sub handshakes {
    my ($c) = @_;

    $c->handshake() or return $c->error();

    return body($c->get('/'));
}


# Sends the second flight with a part of a request.

sub half_open_in_record {
    my $c = half_open();

    $c->handshake_step();
    $c->{rest} = $c->tls_out();
    $c->exchange(substr $c->{rest}, 0, 20, '');
    $c->{get} = 1;

    return $c;
}


sub idle { established() }


sub requests {
    my ($c) = @_;

    return body($c->get('/'));
}


sub idle_in_record {
    my $c = established();

    $c->write_plain($GET);
    $c->{rest} = $c->tls_out();
    $c->exchange(substr $c->{rest}, 0, 20, '');

    return $c;
}


sub idle_byte {
    my $c = established();

    $c->write_plain($GET);
    $c->{rest} = $c->tls_out();
    $c->exchange(substr $c->{rest}, 0, 1, '');

    return $c;
}


sub rest {
    my ($c) = @_;

    $c->exchange(delete $c->{rest});

    if ($c->{get}) {
        $c->handshake_step();
        return body($c->get('/'));
    }

    return answer($c);
}


sub answer {
    my ($c) = @_;

    my ($r) = parse_responses($c->read_plain());

    return body($r);
}


sub resident {
    my $c = established();

    $c->request(substr $GET, 0, 20);

    return $c;
}


sub rest_of_request {
    my ($c) = @_;

    $c->write_plain(substr $GET, 20);
    $c->exchange($c->tls_out());

    return answer($c);
}


sub resident_in_record {
    my $c = resident();

    $c->write_plain(substr $GET, 20);
    $c->{rest} = $c->tls_out();
    $c->exchange(substr $c->{rest}, 0, 20, '');

    return $c;
}


# Begins a POST, and sends some of its bytes: after its first record, an
# established session is in use.

sub begin_post {
    my ($c, $first, $bytes) = @_;

    my $n = length($first) + 20;

    $bytes = $first . $bytes;

    my $begin = join "\r\n", 'POST /atls HTTP/1.1', 'Host: localhost',
                     "Content-Type: $TYPE", 'Cookie: atls=' . $c->cookie(),
                     'Content-Length: ' . length $bytes, '',
                     substr $bytes, 0, $n;
    my $s = $t->hold_session(sub {
        my $s = http_connect($t->port(0));

        send_all($s, $begin);
        return $s;
    }, sub {
        my $r = client()->post('', cookie => 'atls=' . $c->cookie());

        return $r ? $r->status() : 0;
    });

    $c->{socket} = $s;
    $c->{rest} = substr $bytes, $n;

    return $c;
}


sub busy {
    my $c = established();

    return begin_post($c, records($c, substr($GET, 0, 10), substr $GET, 10));
}


sub busy_resident {
    my $c = resident();

    return begin_post($c, records($c, substr($GET, 20, 5), substr $GET, 25));
}


sub records {
    my ($c, @plain) = @_;

    return map { $c->write_plain($_); $c->tls_out() } @plain;
}


sub busy_half_open {
    my $c = half_open();

    $c->handshake_step();
    $c->{get} = 1;

    return begin_post($c, '', $c->tls_out());
}


sub busy_ends {
    my ($c) = @_;

    my $s = delete $c->{socket};

    send_all($s, delete $c->{rest});

    my $r = read_response($s);

    return $r->status() . $r->body() if $r->status() != 200;

    $c->tls_in($r->body());

    if ($c->{get}) {
        $c->handshake_step();
        return body($c->get('/'));
    }

    return answer($c);
}


sub of_another { established(uri => '/other') }


# an incomplete ClientHello belongs to its session

sub unfinished {
    my $c = client();

    $c->handshake_step();

    my $hello = $c->tls_out();

    ok($c->exchange(substr $hello, 0, 100), "$protocol: a part of one");

    my $cookie = $c->cookie();

    ok($c->exchange(substr $hello, 100), "$protocol: the rest");
    is($c->cookie() . handshakes($c), "${cookie}inner\n",
       "$protocol: are one session");
}


sub expired {
    my $c = established(uri => '/short');
    my $cookie = $c->cookie();

    ok($t->wait_for(sub {
           client(uri => '/short')->post('', cookie => "atls=$cookie")
                                  ->status() == 410
       }), "$protocol: a session expires");

    my $other = client(uri => '/short');

    $other->cookie($cookie);
    ok($other->handshake(), "$protocol, expired: a ClientHello")
        or diag($other->error());
    isnt($other->cookie(), $cookie, "$protocol, expired: another session");
    is(requests($other), "inner\n", "$protocol, expired: its request");
    is($c->post('')->status(), 410, "$protocol, expired: it is no more");
}


# The second ClientHello after a HelloRetryRequest belongs to the session.

sub retried {
    undef $protocol;

    my $c = client(groups => 'X25519:P-256', protocol => 'TLSv1.3');

    $c->handshake_step();

    my $r = $c->exchange($c->tls_out());
    my $cookie = $c->cookie();

    like($r->body(), qr/\A\x16\x03\x03..\x02...\x03\x03\xcf\x21\xad\x74/s,
         'HelloRetryRequest');

    ok(!$c->handshake_step(), 'not finished');
    my $hello = $c->tls_out();
    like($hello, qr/\x16\x03\x03..\x01/s, 'another ClientHello');

    $c->exchange($hello, split => 50);
    is($c->cookie(), $cookie, 'is the same session');
    is(handshakes($c), "inner\n", 'which goes on');
}


# A worker that quits, but is kept by an unfinished request, does not begin
# sessions: otherwise, it could be kept forever.

sub quitting {
    my $c = resident();
    my $cookie = $c->cookie();

    $t->reload() or die "reload refused\n";

    my $other = client();

    $other->cookie($cookie);
    $other->handshake_step();

    my $r = $other->post($other->tls_out());

    is($r && $r->status(), 410, 'a worker that quits begins no session');
    is($other->cookie(), undef, 'and the cookie does not lead there any more');
    ok(client()->handshake(), 'without the cookie there is one');
    is(rest_of_request($c), "inner\n", 'what was there goes on');
}
