#!/usr/bin/perl

# atls gateway: what a gateway knows, and what it need not know.  Restarts,
# several gateways, clients that ignore Location-Path, several services.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Coap qw( CON MAX_AGE URI_HOST URI_PATH BLOCK1 BLOCK2
                         option options uint );
use Test::Atls::Gateway;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Port qw( free_port );

use constant WAIT => 60;

my $t = Test::Atls::Gateway->new(san => 'DNS:localhost, DNS:one, DNS:two');
my $backend = $t->backend();

$t->serve_located(<<'EOC', http => 'atls_protocols TLSv1.2 TLSv1.3 DTLSv1.2;');
location /retry {
    atls on;
    atls_session_tracking location;
    atls_ecdh_curve prime256v1;
}

location /one {
    atls on;
    atls_session_tracking location;
    return 200 "one\n";
}

location /two/endpoint {
    atls on;
    atls_session_tracking both;
    return 200 "two\n";
}
EOC

subtest('a restart' => \&restart);
subtest('two gateways' => \&two);
subtest('without Location-Path' => \&by_source);
subtest('without Location-Path, HelloRetryRequest' => \&retry_request);
subtest('several services' => \&services);
subtest('graceful stop' => \&graceful);

$t->done_testing();


sub restart {
    my @listen = ('--listen', 'coap://127.0.0.1:' . free_port());
    my $g = $t->gateway(@listen);
    my $d = $t->device($g);

    ok($d->handshake(), 'handshake') or diag($d->error());
    ok($d->get('/before'), 'a request');

    for my $signal (qw( TERM KILL )) {
        $g->stop($signal);
        $g = $t->gateway(@listen);
        ok($d->get("/after/$signal"), "after SIG$signal") or diag($d->error());
    }

    is($d->get('/big?size=50000')->body(), pattern(50_000), 'blocks');
    is(join(' ', map { $_->{uri} } $backend->requests()),
       '/before /after/TERM /after/KILL /big?size=50000',
       'each is processed once');

    # in the middle of a handshake

    my $half = $t->device($g);
    my $m = $half->post($half->tls_hello());
    $half->tls_in($m->{payload});
    $g->stop('KILL');
    $g = $t->gateway(@listen);
    ok($half->handshake(), 'in a handshake') or diag($half->error());
    ok($half->get('/exact'), 'a request');

    # in the middle of a body, or of a response: it is sent again

    $d->coap()->ask(code => '0.02', payload => 'x' x 1024, options =>
                    [ (map { [ URI_PATH, $_ ] } @{$d->path()}),
                      [ BLOCK1, "\x0e" ] ]);
    $g->stop('KILL');
    $g = $t->gateway(@listen);
    my @path = map { [ URI_PATH, $_ ] } @{$d->path()};
    is($d->coap()->ask(code => '0.02', payload => 'x', options =>
                       [ @path, [ BLOCK1, "\x16" ] ])->{code}, '4.08',
       'the rest of a body');
    is($d->coap()->ask(code => '0.02', options =>
                       [ @path, [ BLOCK2, "\x16" ] ])->{code}, '4.08',
       'of a response');
    ok($d->get('/exact'), 'the session lives') or diag($d->error());

    is($g->stop()->{code}, 0, 'exit code');
    $backend->forget();
    done_testing();
}


# A session does not belong to a gateway.

sub two {
    my @g = map { $t->gateway() } 1 .. 2;
    my $d = $t->device($g[0]);
    my $turn = 0;
    my $post = $d->can('post');

    {
        no warnings 'redefine';
        local *Test::Atls::Device::post = sub {
            $d->coap()->to($g[++$turn % 2]->port());
            return $post->(@_);
        };

        ok($d->handshake(), 'handshake') or diag($d->error());
        $d->get("/$_") for 1 .. 10;
        is($d->get('/big?size=30000')->body(), pattern(30_000), 'blocks');
    }

    is($d->error(), '', 'no error');
    is(join(' ', map { $_->{uri} } $backend->requests()),
       join(' ', (map { "/$_" } 1 .. 10), '/big?size=30000'), 'in order');

    my @n = map { $t->metric($_, 'forwarded_total') } @g;
    cmp_ok($n[0] - $n[1], '<=', 1, 'alternating');
    is($_->stop()->{code}, 0, 'exit code') for @g;

    $backend->forget();
    done_testing();
}


# POSTs to the endpoint with one record each, and GETs.

sub by_source {
    my $g = $t->gateway();
    my $d = $t->device($g, follow => 0, coap => { format => 0 });

    ok($d->handshake(), 'handshake') or diag($d->error());
    is($d->get('/exact')->body(), "exactly\n", 'a request');
    is("@{$d->path()}", '.well-known atls', 'always the same path');

    # a GET is an empty POST

    my $m = $d->coap()->request('GET', $d->path());
    is("$m->{code} $m->{payload}", '2.04 ', 'GET');

    # a response that is read by GETs

    $d->write_plain("GET /big?size=3000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $d->tls_in($d->post($d->tls_out())->{payload});
    like($d->read_plain(), qr/\Q${\pattern(3000)}\E$/, 'blocks');

    # another session of the same source, and another source

    my $again = $t->device($g, follow => 0);
    $again->{coap} = $d->coap();
    ok($again->handshake(), 'another session') or diag($again->error());
    ok($again->get('/exact'), 'a request');

    my $other = $t->device($g, follow => 0);
    $other->handshake();
    ok($other->get('/exact'), 'another source');
    ok($again->get('/exact'), 'has another session');

    # the end

    is($other->close_notify()->{code}, '2.04', 'close_notify');
    is($other->coap()->request('GET', $other->path())->{code}, '4.04',
       'afterwards');
    is($other->coap()->request('GET', $other->path())->{code}, '4.04',
       'the gateway has forgotten it');
    ok($g->wait_for_log(qr/GET, .* 4\.04, .*: no session of this source$/),
       'as the log says');

    # a source without a session

    my $none = $t->device($g, follow => 0);
    is($none->post("\x17\x03\x03\0\x10" . 'x' x 16)->{code}, '4.04',
       'none: records');

    is($g->stop()->{code}, 0, 'exit code');
    done_testing();
}


# The second ClientHello belongs to the session, with and without a record for
# middleboxes before it (RFC 8446, appendix D.4).

sub retry_request {
    my $g = $t->gateway('--to', $t->endpoint('/retry/'));

    for ([ 0, 0 ], [ 0, 1 ], [ 1, 0 ]) {
        my ($follow, $compatible) = @$_;

        my $d = $t->device($g, follow => $follow, protocol => 'TLSv1.3',
                           groups => 'X25519:P-256');
        my $post = $d->can('post');

        no warnings 'redefine';
        local *Test::Atls::Device::post = sub {
            my ($self, $bytes) = @_;

            $bytes =~ s/^\x14\x03\x03\0\x01\x01// unless $compatible;
            return $self->$post($bytes);
        };

        ok($d->handshake(), "follow $follow") or diag($d->error());
        is(scalar($d->codes()), 3, 'a second ClientHello');
        ok($d->get('/exact'), 'a request');
    }

    is($t->metric($g, 'sessions_total'), 3, 'sessions');

    is($g->stop()->{code}, 0, 'exit code');
    done_testing();
}


# By the name in the ClientHello, by Uri-Host, or the default.

sub services {
    my @named = ('--to', 'one=' . $t->endpoint('/one/'),
                 '--to', 'two=' . $t->endpoint('/two/endpoint/'));
    my $g = $t->gateway(@named);

    my @cases = (
        [ 'one', undef, 'one' ], [ 'two', undef, 'two' ],
        [ 'TWO', undef, 'two' ], [ '', 'one', 'one' ], [ '', 'two', 'two' ],
        [ 'one', 'two', 'one' ], [ 'other', undef, undef ],
        [ 'other', 'one', undef ], [ '', 'other', undef ], [ '', undef, undef ],
    );

    for (@cases) {
        my ($sni, $host, $expected) = @$_;

        my $name = 'SNI ' . ($sni || '-') . ', Uri-Host ' . ($host || '-');
        my $d = $t->device($g, sni => $sni,
                           options => [ $host ? [ URI_HOST, $host ] : () ]);

        if (!$expected) {
            $d->handshake();
            is($d->error(), '4.03', $name);
            next;
        }

        ok($d->handshake(), $name) or diag($d->error());
        is($d->path()->[2], $expected, 'the name is in Location-Path');
        my $r = $d->get('/');
        is($r && $r->body(), "$expected\n", 'a request');
    }

    # the ClientHello of DTLS

    for my $name (qw( one two )) {
        my $r = $t->command()->run($t->trust(), '--dtls', '--via',
                                   $t->gateway_uri($g), "https://$name/");
        is("$r->{code} $r->{out}", "0 $name\n", "DTLS: $name")
            or diag($r->{err});
    }

    # the path decides, not the host

    my $d = $t->device($g, sni => 'one');
    $d->handshake();
    $d->{options} = [ [ URI_HOST, 'two' ] ];
    is($d->get('/')->body(), "one\n", 'a session');
    $d->{path}[2] = 'two';
    is($d->post('x')->{code}, '4.04', 'a session of another service');
    $d->{path}[2] = 'three';
    is($d->post('x')->{code}, '4.04', 'an unknown service');
    $d->{path} = [ @{$d->path()}[0, 1], 'one' ];
    is($d->post('x')->{code}, '4.04', 'no session');
    is($g->stop()->{code}, 0, 'exit code');

    # with a default

    $g = $t->gateway(@named, '--to', $t->endpoint('/located/'));
    $d = $t->device($g, sni => 'localhost');
    ok($d->handshake(), 'the default') or diag($d->error());
    is($d->get('/exact')->body(), "exactly\n", 'a request');
    is(@{$d->path()}, 3, 'no name in Location-Path');
    $d = $t->device($g, sni => 'two');
    $d->handshake();
    is($d->get('/')->body(), "two\n", 'another one');
    is($g->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub graceful {
    my $g = $t->gateway();
    my ($slow, $other, $reader) = map { my $d = $t->device($g);
                                        $d->handshake();
                                        $d } 1 .. 3;

    # a request in progress, and a response that is not read to its end

    $slow->write_plain("GET /slow?n=1&delay=4 HTTP/1.1\r\n"
                       . "Host: localhost\r\n\r\n");
    $reader->write_plain("GET /big?size=3000 HTTP/1.1\r\n"
                         . "Host: localhost\r\n\r\n");

    my @messages = map {
        { type => CON, code => '0.02', mid => $_->coap()->next_mid(),
          token => 'x', payload => $_->tls_out(),
          options => [ map { [ URI_PATH, $_ ] } @{$_->path()} ] }
    } $slow, $reader;

    my $first = $reader->coap()->ask(%{$messages[1]});
    $slow->coap()->send_message(%{$messages[0]});
    is($slow->coap()->receive(WAIT)->{code}, '0.00', 'in progress');

    $g->signal('TERM');

    my $m;
    $t->wait_for(sub {
        $m = $other->post('');
        $m && $m->{code} eq '5.03';
    }, WAIT);

    is($m->{code}, '5.03', 'nothing new');
    is(uint(option($m, MAX_AGE)), 10, 'Max-Age');

    $m = $slow->coap()->receive(WAIT);
    $slow->coap()->acknowledge($m);
    $slow->tls_in($m->{payload});
    like($slow->read_plain(), qr/line 1/, 'the response');

    my $rest = $reader->coap()->_rest('0.02', $messages[1]{options}, $first);
    $reader->tls_in($rest->{payload});
    like($reader->read_plain(), qr/\Q${\pattern(3000)}\E$/, 'all blocks');

    my $r = $g->end();
    is($r->{code}, 0, 'exit code');
    like($r->{out}, qr/ 5\.03, .*: stopping$/m, 'log');

    done_testing();
}
