#!/usr/bin/perl

# atls gateway: messages that come twice, that are lost, that are in blocks, or
# that are not well-formed, and Echo.  Other limits: t/gateway-sources.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Coap qw( CON NON ACK BLOCK1 BLOCK2 ECHO MAX_AGE SIZE1
                         URI_PATH encode option options uint );
use Test::Atls::Gateway;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Slow qw( slow );

use constant { QUIET => 0.5, WAIT => 60 };

my @PATH = map { [ URI_PATH, $_ ] } '.well-known', 'atls';
my $SEED = $ENV{TEST_SEED} || time;

srand $SEED;

my $t = Test::Atls::Gateway->new();
my $backend = $t->backend();

# on a busy machine, handshakes take long; those that are given up are not waited
# for at the end

$t->serve_located('', main => 'worker_shutdown_timeout 1s;',
                  http => 'atls_handshake_timeout 5m;',
                  backend => 'proxy_ignore_client_abort on;
                                  proxy_read_timeout 10m;');

my $g = $t->gateway();

subtest('duplicates' => \&duplicates);
subtest('duplicates while it is in progress' => \&in_progress);
subtest('duplicates of Non-confirmable messages' => \&non_confirmable);
subtest('the same bytes in another message' => \&again);
subtest('loss' => \&loss);
subtest('Echo' => \&echo);
subtest('Echo with blocks' => \&echo_blocks);
subtest('blocks of requests' => \&block1);
subtest('blocks of responses' => \&block2);
subtest('malformed messages' => \&malformed);
subtest('limits' => \&limits);

is($g->stop()->{code}, 0, 'exit code');

$t->done_testing();


# A device with an established session, and a source that is verified.

sub established {
    my (%args) = @_;

    my $d = $t->device(delete $args{gateway} || $g, %args);

    $d->handshake() or die 'no session: ' . $d->error() . "\n";
    $backend->forget();

    return $d;
}


# A message with a request, which is not sent.

sub message {
    my ($d, $uri, %args) = @_;

    $d->write_plain("GET $uri HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my $c = $d->coap();

    return encode(type => CON, code => '0.02', mid => $c->next_mid(),
                  token => $c->next_token(), payload => $d->tls_out(),
                  options => [ map { [ URI_PATH, $_ ] } @{$d->path()} ],
                  %args);
}


# The response to a message, which is separate if it takes long.

sub response {
    my ($c) = @_;

    my $m = $c->receive(WAIT);

    $m = $c->receive(WAIT) while $m && $m->{code} eq '0.00';
    $c->acknowledge($m) if $m && $m->{type} == CON;

    return $m;
}


sub uris { return join ' ', map { $_->{uri} } $backend->requests() }


sub duplicates {
    my $d = established();
    my $c = $d->coap();
    my $m = message($d, '/one');
    my $before = $t->metric($g, 'forwarded_total');

    $c->send_bytes($m);
    my $first = response($c);
    is($first->{code}, '2.04', 'a request');

    my $same = 0;

    for (1 .. 5) {
        $c->send_bytes($m);
        my $again = $c->receive(WAIT);
        $same += $again->{payload} eq $first->{payload}
                 && $again->{mid} == $first->{mid};
    }

    is($same, 5, 'the same response, five times') if $first->{type} == ACK;

    $d->tls_in($first->{payload});
    like($d->read_plain(), qr/^HTTP.*GET \/one/s, 'it is valid');

    # duplicates of an older message

    my $next = message($d, '/two');
    $c->send_bytes($next);
    response($c);
    $c->send_bytes($m);
    is($c->receive(WAIT)->{payload}, $first->{payload}, 'of an older one')
        if $first->{type} == ACK;

    is(uris(), '/one /two', 'each is processed once');
    is($t->metric($g, 'forwarded_total') - $before, 2, 'and forwarded once');

    # another source with the same message ID

    my $other = established(coap => { mid => $c->{mid} - 10 });
    ok($other->get('/three'), 'another source');
    is(uris(), '/three', 'is another one');

    done_testing();
}


sub in_progress {
    my $d = established();
    my $c = $d->coap();
    my $m = message($d, '/slow?n=1&delay=2');

    $c->send_bytes($m);
    $c->send_bytes($m);

    my $ack = $c->receive(WAIT);
    is($ack->{code}, '0.00', 'an acknowledgement at once');

    $c->send_bytes($m) for 1 .. 3;

    my (@acks, $response);

    while (my $r = $c->receive(WAIT)) {
        if ($r->{code} eq '0.00') { push @acks, $r; next }
        $response = $r;
        last;
    }

    $c->acknowledge($response);
    is($response->{type}, CON, 'a separate response');
    is(scalar(grep { $_->{type} == ACK } @acks), 3, 'acknowledged again');
    is(uris(), '/slow?n=1&delay=2', 'processed once');

    # after the response was sent

    $c->send_bytes($m);
    my $r = $c->receive(WAIT);
    is("$r->{type} $r->{code}", ACK . ' 0.00', 'and again');
    is(uris(), '/slow?n=1&delay=2', 'still once');

    done_testing();
}


sub non_confirmable {
    my $d = established(coap => { type => NON });
    my $c = $d->coap();
    my $m = message($d, '/non', type => NON);

    $c->send_bytes($m);
    is($c->receive(WAIT)->{type}, NON, 'a response');
    $c->send_bytes($m);
    ok(!$c->receive(QUIET), 'none to the second');
    is(uris(), '/non', 'processed once');

    done_testing();
}


# A device that gets no response, or not in time, sends the same bytes again.

sub again {
    my $limit = 2 * slow();
    my $hasty = $t->gateway('-m', $limit);
    my $d = established(gateway => $hasty);
    my $c = $d->coap();

    for (
        [ '/body?1', qr/^2\.04$/ ],
        [ '/wait?delay=' . 2 * $limit, qr/^5\.04$/ ],
    ) {
        my ($uri, $first) = @$_;

        $backend->forget();
        $d->write_plain("GET $uri HTTP/1.1\r\nHost: localhost\r\n\r\n");

        my $bytes = $d->tls_out();
        my @got = $c->request('POST', $d->path(), $bytes);

        like($got[0]{code}, $first, "$uri: the first response");

        for (1 .. 20) {
            push @got, $c->request('POST', $d->path(), $bytes);
            last if $got[-1]{code} eq '2.04';
        }

        is($got[-1]{code}, '2.04', 'the same bytes in another message');
        is($got[-1]{payload}, $got[0]{payload}, 'the same response')
            if @got == 2 && $got[0]{code} eq '2.04';
        $d->tls_in($got[-1]{payload});
        like($d->read_plain(), qr!^HTTP/1.1 200 !, 'it is valid');
        is(uris(), $uri, 'processed once');
    }

    is($hasty->stop()->{code}, 0, 'exit code');
    done_testing();
}


# Every request is executed once, and sessions live.

sub loss {
    diag("TEST_SEED=$SEED") if $ENV{TEST_SEED};
    note("TEST_SEED=$SEED");

    for my $type (CON) {
        my $d = established();
        $d->coap()->{loss} = 0.2;
        $d->coap()->{retry} = 0.3;

        my @expected;
        my $good = 0;

        for my $n (1 .. 25) {
            my $r = $d->get("/lossy/$n") or last;
            $good += $r->body() =~ m!^GET /lossy/$n !;
            push @expected, "/lossy/$n";
        }

        is($good, 25, 'responses') or diag($d->error() . " TEST_SEED=$SEED");
        is(uris(), "@expected", 'each is processed once');

        my $r = $d->http("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                         . "Content-Length: 20000\r\n\r\n" . pattern(20000));
        ok($r && $r->body() eq pattern(20000), 'blocks');
    }

    cmp_ok($t->metric($g, 'duplicates_total'), '>', 10, 'duplicates');

    done_testing();
}


# RFC 9175, section 2.

sub echo {
    my $before = $t->metric($g, 'forwarded_total');
    my $hello = $t->device($g)->tls_hello();
    my $c = Test::Atls::Coap->new(port => $g->port(), echo => 0);

    my $m = $c->ask(code => '0.02', options => [ @PATH ], payload => $hello);
    my $echo = option($m, ECHO);
    is($m->{code}, '4.01', 'a new source');
    ok(defined $echo, 'an Echo option');
    cmp_ok($m->{size}, '<=', 24, 'a short response');

    my $get = $c->ask(code => '0.01', options => [ @PATH ]);
    is($get->{code}, '4.01', 'a GET');
    is($c->ask(code => '0.01', options => [ [ URI_PATH, 'x' ] ])->{code},
       '4.01', 'a path that does not exist');
    ok(!(grep { / 4\.01, / } $g->log()), 'there is no line for these');

    # values that are not its own

    my $other = Test::Atls::Coap->new(port => $g->port(), echo => 0);

    my @wrong = ('', 'x', 'x' x 12, 'x' x 40, substr($echo, 0, 11),
                 $echo ^ ("\0" x 11 . "\x01"), $echo ^ "\x01", $echo . 'x');

    is($c->ask(code => '0.02', payload => $hello,
               options => [ @PATH, [ ECHO, $_ ] ])->{code}, '4.01',
       'not ' . unpack('H*', $_)) for @wrong;
    is($other->ask(code => '0.02', payload => $hello,
                   options => [ @PATH, [ ECHO, $echo ] ])->{code}, '4.01',
       'that of another source');

    is($t->metric($g, 'forwarded_total'), $before, 'nothing was forwarded');

    is($c->ask(code => '0.02', payload => $hello,
               options => [ @PATH, [ ECHO, $echo ] ])->{code}, '2.01',
       'its own');
    is($c->ask(code => '0.02', payload => $t->device($g)->tls_hello(),
               options => [ @PATH ])->{code}, '2.01', 'once is enough');

    done_testing();
}


sub echo_blocks {
    my $d = $t->device($g, coap => { szx => 2 });

    ok($d->handshake(), 'with Echo in the first block') or diag($d->error());

    # nothing is kept for a source that is not verified

    my $memory = $t->metric($g, 'memory_bytes');
    my $c = Test::Atls::Coap->new(port => $g->port(), echo => 0);

    $c->ask(code => '0.02', payload => 'x' x 1024,
            options => [ @PATH, [ BLOCK1, Test::Atls::Coap::block($_, 1, 6) ] ])
        for 0 .. 2;

    cmp_ok($t->metric($g, 'memory_bytes') - $memory, '<', 1024, 'no blocks');

    done_testing();
}


sub put_block {
    my ($c, $path, $num, $more, $payload, @options) = @_;

    my $block = Test::Atls::Coap::block($num, $more, 0);

    return $c->ask(code => '0.02', payload => $payload,
                   options => [ (map { [ URI_PATH, $_ ] } @$path),
                                [ BLOCK1, $block ], @options ]);
}


# RFC 7959, section 2.5.

sub block1 {
    my $d = established();
    my $c = $d->coap();
    my @path = @{$d->path()};
    my @a = map { chr(65 + $_) x 16 } 0 .. 3;

    # a body that is abandoned, and another one without a Request-Tag

    is(put_block($c, \@path, 0, 1, $a[0])->{code}, '2.31', 'a block');
    is(uint(option(put_block($c, \@path, 1, 1, $a[1]), BLOCK1)), 1 << 4 | 8,
       'Block1');

    $d->write_plain("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $c->{szx} = 0;
    my $m = $c->request('POST', \@path, $d->tls_out());
    is($m->{code}, '2.04', 'another body');
    $d->tls_in($m->{payload});
    is(uris(), '/a', 'is not mixed with it');
    ok(defined option($m, BLOCK1), 'Block1 in the final response');

    # gaps, and blocks that are sent again

    put_block($c, \@path, 0, 1, $a[0]);
    is(put_block($c, \@path, 0, 1, $a[0])->{code}, '2.31', 'the first again');
    put_block($c, \@path, 1, 1, $a[1]);
    is(put_block($c, \@path, 1, 1, $a[1])->{code}, '2.31', 'one again');
    is(put_block($c, \@path, 3, 1, $a[3])->{code}, '4.08', 'one is missing');
    is(put_block($c, \@path, 2, 1, $a[2])->{code}, '2.31', 'it may come later');
    is(put_block($c, \@path, 1, 1, $a[2])->{code}, '4.08', 'another content');
    is(put_block($c, \@path, 7, 0, 'x')->{code}, '4.08', 'a final one');
    is(put_block($c, [ @path[0, 1], 'y' ], 2, 0, 'x')->{code}, '4.08',
       'of another path');

    # two at a time, with Request-Tag

    my @tags = map { [ 292, $_ ] } 'a', 'b';

    put_block($c, \@path, 0, 1, $a[0], $tags[0]);
    put_block($c, \@path, 0, 1, $a[0], $tags[1]);
    is(put_block($c, \@path, 1, 1, $a[1], $tags[0])->{code}, '2.31', 'one');
    is(put_block($c, \@path, 2, 1, $a[2], $tags[1])->{code}, '4.08',
       'is not the other');

    # blocks that are not valid

    is(put_block($c, \@path, 0, 1, 'x' x 15)->{code}, '4.00', 'too short');
    is(put_block($c, \@path, 0, 1, 'x' x 17)->{code}, '4.00', 'too long');
    is($c->ask(code => '0.02', payload => 'x', options =>
               [ @PATH, [ BLOCK1, "\x07" ] ])->{code}, '4.00', 'size 7');

    ok($d->get('/b'), 'the session lives');
    is(uris(), '/a /b', 'and has had these requests');

    done_testing();
}


sub block2 {
    my $d = established();
    my $c = $d->coap();

    my $get = sub {
        my ($num, $szx) = @_;

        return $c->ask(code => '0.02', options =>
                       [ (map { [ URI_PATH, $_ ] } @{$d->path()}),
                         [ BLOCK2, Test::Atls::Coap::block($num, 0, $szx) ] ]);
    };

    is($get->(1, 6)->{code}, '4.08', 'there is no response yet');

    $d->write_plain("GET /big?size=5000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    my $first = $c->ask(code => '0.02', payload => $d->tls_out(), options =>
                        [ map { [ URI_PATH, $_ ] } @{$d->path()} ]);
    my $etag = option($first, 4);

    my @again = map { $get->(2, 6)->{payload} } 1 .. 2;
    is(length $again[0], 1024, 'a block in the middle');
    is($again[1], $again[0], 'again');
    is($get->(4, 5)->{payload}, substr($again[0], 0, 512), 'a smaller size');
    is(option($get->(1, 6), 4), $etag, 'ETag');
    is($get->(200, 6)->{code}, '4.08', 'beyond the end');
    is($get->(1, 7)->{code}, '4.00', 'size 7');

    my $body = $first->{payload} . join '', map { $get->($_, 6)->{payload} }
                                                1 .. 5;
    $d->tls_in($body);
    like($d->read_plain(), qr/\r\n\r\n\Q${\pattern(5000)}\E$/, 'all of it');
    is(uris(), '/big?size=5000', 'one request');

    # Location-Path is in the first block only

    my $hello = $c->ask(code => '0.02', payload => $t->device($g)->tls_hello(),
                        options => [ @PATH, [ BLOCK2, "\x02" ] ]);
    is(scalar(options($hello, 8)), 3, 'Location-Path in the first block');
    my $second = $c->ask(code => '0.02',
                         options => [ @PATH, [ BLOCK2, "\x12" ] ]);
    is(length $second->{payload}, 64, 'the second');
    ok(!options($second, 8), 'is without');

    # a following response replaces it

    ok($d->get('/big?size=3000'), 'another one');
    isnt(option($d->last_response(), 4), $etag, 'another ETag');

    done_testing();
}


sub malformed {
    my $d = established();
    my $c = $d->coap();
    my @ends = ('', "\x40", "\x40\x02", "\x40\x02\x00");

    my @bytes = (
        @ends,
        "\x00\x02\x00\x01",                     # version 0
        "\xc0\x02\x00\x01",                     # version 3
        "\x49\x02\x00\x02xxxxxxxxx",            # the length of the token
        "\x44\x02\x00\x03x",                    # a truncated token
        "\x40\x02\x00\x04\xff",                 # a marker without a payload
        "\x40\x02\x00\x05\xb5x",                # a truncated option
        "\x40\x02\x00\x06\xf0x",                # a reserved delta
        "\x40\x02\x00\x07\xef\xff\xff",         # a truncated delta
        "\x40\x02\x00\x08\xdd\xff\xff\xff",
        "\x40\x1f\x00\x09",                     # an unknown method
        "\x40\xe1\x00\x0a",                     # a signal of TCP
        "\x40\x45\x00\x0b",                     # a response
        "\x60\x45\x00\x0c",
        "\x70\x00\x00\x0d",                     # Reset
        "\x60\x00\x00\x0e",                     # an acknowledgement
        "\x40\x00\x00\x0fx",                    # empty, but not so
        "\xff" x 1400, "\0" x 1400,
        "\x40\x02\x00\x10\xff" . 'x' x 1468,    # longer than the buffer
        "\x40\x02\x00\x11\xff" . 'x' x 8000,
        "\x40\x02\x00\x11\xff" . 'x' x 60000,
    );

    my $before = $t->metric($g, 'forwarded_total');
    $c->send_bytes($_) for @bytes;
    while ($c->receive(QUIET)) { }

    is($t->metric($g, 'forwarded_total'), $before, 'nothing is forwarded');
    ok($d->get('/after'), 'the session lives') or diag($d->error());

    # options

    my @options = (
        [ 4.02, 9, 'x' ],                       # critical
        [ 4.02, 65001, '' ],
        [ 0.00, 3, 'x' x 300 ],                 # Uri-Host: Reset
        [ 0.00, 27, "\0\0\0\0" ],              # Block1
        [ 5.05, 35, 'coap://x/' ],              # Proxy-Uri
    );

    for (@options) {
        my ($code, $number, $value) = @$_;

        my $m = $c->ask(code => '0.02', payload => 'x',
                        options => [ @PATH, [ $number, $value ] ]);
        is($m && $m->{code}, sprintf('%.2f', $code), "option $number");
    }

    done_testing();
}


sub limits {
    my $small = $t->gateway('--max-body', 2000, '--max-memory', '20k',
                            '--max-requests', 1);
    my $d = established(gateway => $small);
    my $c = $d->coap();
    my @path = @{$d->path()};

    # of a body

    $c->{szx} = 6;
    my $m = $c->request('POST', \@path, 'x' x 2001);
    is($m->{code}, '4.13', '--max-body');
    is(uint(option($m, SIZE1)), 2000, 'Size1');

    # of requests in progress

    my $slow = message($d, '/slow?n=1&delay=3');
    my $other = established(gateway => $small);
    $c->send_bytes($slow);
    ok($t->wait_for(sub { $t->metric($small, 'posts') }, WAIT), 'a request');
    $m = $other->post('');
    is($m->{code}, '5.03', '--max-requests');
    is(uint(option($m, MAX_AGE)), 5, 'Max-Age');
    ok($t->wait_for(sub { !$t->metric($small, 'posts') }, WAIT), 'later');
    is($other->post('')->{code}, '2.04', 'there is room again');

    # of memory: bodies that are not complete

    my @more = map { Test::Atls::Coap->new(port => $small->port()) } 1 .. 12;
    my %codes;

    for (@more) {
        $m = $_->ask(code => '0.02', payload => 'x' x 1024, options =>
                     [ @PATH, [ BLOCK1, "\x0e" ] ]);
        $codes{$m->{code}}++;
    }

    is(join(' ', sort keys %codes), '2.31 5.03', '--max-memory');
    cmp_ok($t->metric($small, 'memory_bytes'), '<', 20_000, 'memory');

    is($small->stop()->{code}, 0, 'exit code');
    done_testing();
}
