#!/usr/bin/perl

# atls --exported-keys with somebody on the path: a response is authentic up to
# where it is passed on, and complete if the exit code is 0.  A request that is
# not idempotent is processed at most once, others at most twice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Http qw( send_all );
use Test::Atls::LocalServer qw( message next_answer );
use Test::Atls::MessagePath;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Site;

my $SIZE = 20_000;
my $LOST = 56;
my $site = 'https://localhost';

my $t = Test::Atls::Site->new(workers => 2);
my $backend = $t->backend();

$t->serve(<<'EOC', endpoint => 'atls_exported_keys on;');
location = /short {
    atls on;
    atls_exported_keys on;
    atls_session_timeout 3s;
}

location = /id {
    return 200 "$atls_session_id";
}
EOC

my $path = Test::Atls::MessagePath->start($t, $t->port(2), $t->port(0));

subtest('answers of the path' => \&answers);
subtest('messages' => \&messages);
subtest('responses' => \&responses);
subtest('records' => \&records);
subtest('what atls says' => \&says);
subtest('an idle session' => \&idle);
subtest('forward' => \&forward);
subtest('a late message' => \&late);

$t->done_testing();


# Sends a request while the path does something.

sub request {
    my ($does, @args) = @_;

    $path->does(@$does);
    $backend->forget();

    my $r = $t->command()->run($t->trust(), '--via', $path->endpoint(),
                               '--exported-keys', @args);

    $r->{requests} = scalar(my @requests = $backend->requests());

    return $r;
}


# A POST and a GET request: the exit code, and the most that is processed.

sub both {
    my ($does, %expected) = @_;

    my $name = join ' ', map { substr $_, 0, 20 } @$does;
    my $r = request($does, '-d', 'body', "$site/body");

    is($r->{code}, $expected{code}, "$name: POST") or diag($r->{err});
    is($r->{out}, $expected{code} ? '' : 'body', "$name: POST, the body");
    is($r->{requests}, $expected{passed}, "$name: POST, requests");
    is($path->messages(), 1, "$name: POST, messages") if !$expected{again};

    $r = request($does, "$site/exact");
    is($r->{code}, $expected{get} // $expected{code}, "$name: GET")
        or diag($r->{err});
    is($r->{out}, $r->{code} ? '' : "exactly\n", "$name: GET, the body");
    cmp_ok($path->messages(), '<=', $expected{tries} // 1,
           "$name: GET, messages");
}


sub answers {
    both([ 'nothing' ], code => 0, passed => 1);

    for my $late (0, 1) {
        for my $status (409, 410) {
            my @does = ('answer', status => $status, late => $late);

            # a GET request is repeated once, with another number

            both(\@does, code => $LOST, passed => $late, tries => 2);
            both([ @does, times => 1 ], code => $LOST, passed => $late,
                 get => 0, tries => 2);
        }

        both([ 'answer', status => $_, late => $late ], code => $LOST,
             passed => $late) for 200, 204, 400, 403, 415, 503;
    }

    # libcurl sends a POST again if its kept connection was closed; the server
    # refuses it

    both([ 'no-answer' ], code => $LOST, passed => 1, again => 1, tries => 3);
    both([ 'no-answer', times => 1 ], code => $LOST, passed => 1, again => 1,
         get => 0, tries => 3);

    done_testing();
}


sub messages {
    both([ 'twice' ], code => $LOST, passed => 1, tries => 2);

    # salt, identifier, tag

    both([ 'flip-request', at => $_ ], code => $LOST, passed => 0, tries => 2)
        for 0, 25, -1;
    both([ 'cut-request', at => $_ ], code => $LOST, passed => 0)
        for -1, -17, 60, 1;

    # the record size is not authentic

    both([ 'flip-request', at => 19 ], code => 0, passed => 1);

    done_testing();
}


sub responses {
    both([ 'flip-response', at => $_ ], code => $LOST, passed => 1)
        for 0, 15, 16, 20, 21, 25, 60, -1;
    both([ 'header', rs => $_ ], code => $LOST, passed => 1)
        for 0, 1, 17, 18, 16402, 0xffffffff;
    both([ 'header', keyid => $_ ], code => $LOST, passed => 1)
        for '', 'x', 'x' x 255;
    both([ 'more', more => 'x' x $_ ], code => $LOST, passed => 1) for 1, 9000;
    both([ 'field', field => 'Content-Type', value => 'text/html' ],
         code => $LOST, passed => 1);
    both([ 'field', field => 'Content-Encoding', value => 'gzip' ],
         code => $LOST, passed => 1);

    both([ 'cut-response', at => -1 ], code => $LOST, passed => 1);
    both([ 'cut-response', at => $_ ], code => 52, passed => 1) for 0, 20, 47;
    both([ 'cut-response', at => $_, short => 1 ], code => $LOST, passed => 1,
         tries => 2) for 0, 47, -1;

    # the response to another message

    my $r = request([ 'previous' ], map { "$site/body?$_" } 1, 2);

    is($r->{code}, $LOST, 'the previous response') or diag($r->{err});
    like($r->{err}, qr/the response is not the one to the request/,
         'the previous response: message');

    done_testing();
}


# A response of several records: their number depends on when data come.

sub records {
    my $big = "$site/big?size=$SIZE";
    my $body = pattern($SIZE);

    my @changes = qw( swapped repeated removed first last last_only );

    for ((map { [ 'records', change => $_ ] } @changes),
         (map { [ 'flip-response', at => $_ ] } 1000, 9000, -1),
         (map { [ 'cut-response', at => $_ ] } 5000, -1, -17, -100),
         (map { [ 'cut-response', at => $_, short => 1 ] } 5000, -1),
         [ 'more', more => 'x' ])
    {
        my $r = request($_, $big);

        ok($r->{code} == $LOST || $r->{code} == 18, "@$_: exit code")
            or diag("$r->{code}: $r->{err}");
        is($r->{out}, substr($body, 0, length $r->{out}),
           "@$_: what is authentic");
        is($path->messages(), 1, "@$_: messages");
    }

    done_testing();
}


# Problems, as from an endpoint.

sub says {
    my %problems = (
        'message-refused'  => [ 400, qr/filters that change/ ],
        'content-coding'   => [ 415, qr/filters that change/ ],
        'keys-refused'     => [ 403, qr/set atls_exported_keys/ ],
        'media-type'       => [ 415, qr/set atls_exported_keys/ ],
        'message-repeated' => [ 409, qr/Proxies must not repeat POSTs/ ],
    );

    for my $problem (sort keys %problems) {
        my ($status, $advice) = @{$problems{$problem}};
        my $r = request([ 'answer', status => $status, problem => $problem ],
                        '-d', 'x', "$site/echo");

        like($r->{err}, qr/returned $status/, "$problem: status");
        like($r->{err}, qr/^atls: (?!\().*$advice/m, "$problem: advice");
    }

    done_testing();
}


# An empty message precedes a request that is not idempotent.  Nobody but the
# server can answer it.

sub idle {
    my $send = sub {
        my ($does, $endpoint) = @_;

        my $f = $t->forward($path->endpoint($endpoint), '--exported-keys');

        $path->does('nothing');
        $f->ask('GET /exact');
        sleep(3);
        $path->does(@$does);
        $backend->forget();

        my $r = $f->ask("POST /body\nContent-Length: 4\n\nbody");
        my $requests = () = $backend->requests();

        $f->stop();

        return ($r->status() . ' ' . $r->body()) . " $requests";
    };

    is($send->([ 'nothing' ]), '200 body 1', 'the session exists');
    is($path->messages(), 2, 'it was asked');

    is($send->([ 'nothing' ], '/short'), '200 body 1', 'it has expired');
    is($path->messages(), 1, 'which the client knows');

    is($send->([ 'answer', status => 410, times => 1 ]), '200 body 1',
       'somebody says that it does not');

    like($send->([ 'answer', status => 200, times => 1 ]), qr/^502 .* 0$/s,
         'somebody says that it does');
    is($path->messages(), 1, 'nothing else is sent');

    like($send->([ 'cut-response', at => 0, times => 1 ]), qr/^502 .* 0$/s,
         'without a record');

    done_testing();
}


sub forward {
    my $f = $t->forward($path->endpoint(), '--exported-keys');

    for my $status (409, 410) {
        for my $late (0, 1) {
            my @does = ('answer', status => $status, late => $late, times => 1);

            $path->does(@does);
            $backend->forget();
            my $r = $f->ask("POST /body\nContent-Length: 4\n\nbody");
            my $requests = () = $backend->requests();

            is($r->status(), 502, "@does: POST");
            is($requests, $late, "@does: POST, requests");

            $path->does(@does);
            $r = $f->ask('GET /exact');
            is($r->status(), 200, "@does: GET");
        }
    }

    $path->does('cut-response', at => -1, short => 1);

    my $r = $f->ask("GET /big?size=$SIZE");

    ok(!$r || $r->status() == 502 || !$r->done(), 'a cut response');

    $f->stop();
    done_testing();
}


# A message that arrives after many others is accepted: the client does not send
# numbers that leave it behind the window, but opens another session.

sub late {
    my $f = $t->forward($path->endpoint(), '--exported-keys', '--sessions', 4);
    my $late = $f->connect();

    my $first = $f->ask('GET /id')->body();

    $path->does('hold', times => 1);
    $backend->forget();
    send_all($late, message("POST /body\nContent-Length: 4\n\nbody"));
    $t->wait_for(sub { $path->messages() });

    my $got = grep { $f->ask("GET /id?$_")->status() == 200 } 1 .. 100;
    my $second = $f->ask('GET /id')->body();
    my $before = () = $backend->requests();

    is($got, 100, 'a hundred other requests');
    is($before, 0, 'before it arrives');
    isnt($second, $first, 'another session was opened');
    is($f->ask('GET /id')->body(), $second, 'once');
    $path->release();

    my $r = next_answer($late);
    is($r && $r->status() . $r->body(), '200body', 'and then, its response');

    $f->stop();
    done_testing();
}
