#!/usr/bin/perl

# Inner requests that span POSTs, cut anywhere, in any worker.
#
# See t/spanning-ends.t for the end of requests, and t/spanning-workers.t for
# reloads and killed workers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls::Pattern qw( pattern );
use Test::Atls::Relay;
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Spanning;

my $recorder = Test::Atls::Relay->start($t, $t->port(2), $t->port(1));

my $recorded = 0;

my %REQUESTS = (
    'counted'    => "POST /body HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 5\r\n\r\nhello",
    'chunked'    => "POST /body HTTP/1.1\r\nHost: localhost\r\n"
                    . "Transfer-Encoding: chunked\r\n\r\n"
                    . "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    'unbuffered' => "POST /unbuffered/body HTTP/1.1\r\nHost: localhost\r\n"
                    . "Transfer-Encoding: chunked\r\n\r\n"
                    . "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
);

my %MODES = (
    'TLSv1.3, one connection'   => { keepalive => 1 },
    'TLSv1.3, many connections' => { keepalive => 0 },
    'TLSv1.2, many connections' => { keepalive => 0, protocol => 'TLSv1.2' },
);

each_byte();
each_cut();
cut_records();
same_requests();
expecting();
answered_before();
pipelined();
logs();
early_answer();
conflicts();

$t->done_testing();


# each byte of a request is a record and a POST

sub each_byte {
    for my $mode (sort keys %MODES) {
        my $c = client(%{$MODES{$mode}});

        for my $name (sort keys %REQUESTS) {
            my @answers = answers($c, split //, $REQUESTS{$name});

            my ($r) = parse_responses(pop @answers);
            is($r && $r->body(), 'hello', "$mode, $name, each byte: answer");
            is(join('', @answers), '', "$mode, $name, each byte: no other");
        }

        goes_on($c, "$mode, each byte");
    }
}


# two POSTs, cut at each byte

sub each_cut {
    for my $name (sort keys %REQUESTS) {
        my $request = $REQUESTS{$name};
        my $c = client();
        my $bad = '';

        for my $at (1 .. length($request) - 1) {
            my ($none, $answer) = answers($c, substr($request, 0, $at),
                                              substr($request, $at));
            my ($r) = parse_responses($answer);

            $bad .= " $at" if $none ne '' || !$r || $r->body() ne 'hello';
        }

        is($bad, '', "$name, cut at every byte");
    }
}


# the records are cut as well, at other bytes

sub cut_records {
    for my $mode (sort keys %MODES) {
        my $c = client(%{$MODES{$mode}});
        my $bad = '';

        for my $size (1, 2, 5, 7, 13, 29, 53, 89) {
            my $bytes = '';

            for my $piece (unpack '(a17)*', $REQUESTS{'counted'}) {
                $c->write_plain($piece);
                $bytes .= $c->tls_out();
            }

            $c->exchange($bytes, split => $size);

            my ($r) = parse_responses($c->read_plain());
            $bad .= " $size" if !$r || $r->body() ne 'hello';
        }

        is($bad, '', "$mode: cut records of a cut request");
        is($c->error(), '', "$mode: cut records of a cut request: no error");
    }
}


# the backend receives the same request

sub same_requests {
    my @requests = map { s!POST /(?:unbuffered/)?!POST /recorded/!r }
                   @REQUESTS{sort keys %REQUESTS};

    my $whole = client(keepalive => 1);
    $whole->request($_) for @requests;
    my @whole = sent();

    my $local = client(keepalive => 1);
    answers($local, split //) for @requests;
    my @local = sent();

    my $relayed = client();
    answers($relayed, split //) for @requests;
    my @relayed = sent();

    is(scalar @whole, @requests, 'requests at the backend');
    is_deeply(\@local, \@whole, 'the same bytes for cut ones');
    is_deeply(\@relayed, \@whole, 'the same bytes for relayed ones');
}


# Returns what was recorded since the last call.

sub sent {
    my @all = map { $_->[1] } grep { $_->[0] eq '>' } $recorder->traffic();
    my @new = @all[$recorded .. $#all];

    $recorded = @all;

    return @new;
}


# "Expect: 100-continue"

sub expecting {
    for my $uri (qw( /body /unbuffered/body )) {
        my $c = client();

        my ($continue, $answer) = answers($c,
            "POST $uri HTTP/1.1\r\nHost: localhost\r\n"
            . "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 'hello');

        is($continue, "HTTP/1.1 100 Continue\r\n\r\n",
           "Expect, $uri: told to go on in the same POST");

        my ($r) = parse_responses($answer);
        is($r && $r->body(), 'hello', "Expect, $uri: answer");
        goes_on($c, "Expect, $uri");
    }
}


# responses before the end of the body

sub answered_before {
    my %status = ('/return' => 200, '/missing' => 404);

    for my $uri (sort keys %status) {
        my $c = client();
        my $first = "POST $uri HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 50000\r\n\r\n";

        my @answers = answers($c, $first, pattern(20_000),
                              pattern(30_000) . request('GET', '/return', ''));

        my ($r) = parse_responses($answers[0]);
        is($r && $r->status(), $status{$uri}, "$uri: answered");
        is($answers[1], '', "$uri: nothing for some of the body");

        ($r) = parse_responses($answers[2]);
        is($r && $r->body(), "returned\n", "$uri: next request");
        goes_on($c, $uri);
    }
}


# with other requests before and after the one that is cut

sub pipelined {
    my $c = client();
    my $requests = request('GET', '/return', '') x 3 . $REQUESTS{'counted'};
    my $bad = '';

    for my $cut (1, 3, 8, 40, 60) {
        my ($first, $second) = map { join ' ', map { $_->body() }
                                                   parse_responses($_) }
            answers($c, substr($requests, 0, -$cut),
                        substr($requests, -$cut) . $requests);

        $bad .= " $cut" if $first ne join(' ', ("returned\n") x 3)
            || $second ne join(' ', 'hello', ("returned\n") x 3, 'hello');
    }

    is($bad, '', 'pipelined requests, the last one cut');
}


# a line for each POST, and for each request

sub logs {
    for my $keepalive (1, 0) {
        my $mode = $keepalive ? 'local' : 'relayed';
        my $c = client(keepalive => $keepalive);
        my $n = $c->number();
        my $uri = "/body?$mode";

        answers($c, split //, "POST $uri HTTP/1.1\r\nHost: localhost\r\n"
                              . "Content-Length: 5\r\n\r\nhello");
        goes_on($c, $mode);
        last_worker($c);

        my @outer = $t->read_log('outer.log') =~ /^$n\.\d+ (.*) \d+$/mg;
        is(scalar @outer, $c->posts(), "$mode: one line a POST");
        is(scalar(grep { $_ ne 'POST 200' } @outer), 0, "$mode: all 200");

        my @inner = $t->read_log('inner.log') =~ /^(.*) \Q$uri\E (.*) \d+$/mg;
        is("@inner", 'on POST 200', "$mode: one line a request");
    }
}


# a response between two POSTs is sent with the second one, or a later one if it
# has not come yet

sub early_answer {
    my $c = client();
    my ($got) = answers($c, "POST /unbuffered/early HTTP/1.1\r\n"
                            . "Host: localhost\r\nContent-Length: 2000\r\n"
                            . "\r\n12345");

    $t->wait_for(sub {
        $got .= (answers($c, '6'))[0] if $got !~ /\nearly\n\z/;
        return $got =~ /\nearly\n\z/ || $c->error() ne '';
    });

    my ($r) = parse_responses($got);
    is($r && $r->body(), "early\n", 'answer before the end of the request');
    is($c->last_response()->status(), 200, 'the POST is fine');
}


# one POST of a session at a time

sub conflicts {
    my $c = client();
    my $cookie = $c->cookie();
    my @type = ('Content-Type' => 'application/atls+octet-stream');

    answers($c, "GET /slow?n=3&delay=0.2 HTTP/1.1\r\nHost: localhost\r\n");

    $c->write_plain("\r\n");
    $c->post_send($c->tls_out());
    sleep 0.1;

    my @status = map {
        my $o = Test::Atls::Outer->new(port => $t->port(0), keepalive => 0,
                                       uri => '/.well-known/atls');
        $o->post('x' x 50, { @type, Cookie => "atls=$cookie" })->status();
    } 1 .. 8;

    is("@status", join(' ', (409) x 8), 'one POST at a time');

    my $r = $c->post_receive();
    $c->tls_in($r->body());
    ($r) = parse_responses($c->read_plain());
    is($r && $r->body(), "line 1\nline 2\nline 3\n",
       'one POST at a time: the first is not disturbed');
    goes_on($c, 'one POST at a time');
}
