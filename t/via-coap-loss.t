#!/usr/bin/perl

# atls --via coap://, with datagrams that are lost (20 %), doubled and reordered
# at random: no request is lost, or processed twice.  ATLS_LOSSY is the number of
# requests, ATLS_SEED the seed.  And the first POST of a session that is lost
# altogether, which takes more than a minute.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Datagrams;
use Test::Atls::Gateway;
use Test::Atls::LocalServer qw( next_answer summary );
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Slow qw( patience );

my $N = $ENV{ATLS_LOSSY} || 24;
my $SEED = $ENV{ATLS_SEED} || 17;
my $SESSIONS = 8;

# two POSTs of a handshake and one of a request, each of which is given up after
# 93 s, and sent again

my $LONG = 6 * 93 + patience();

my $t = Test::Atls::Gateway->new(workers => 4);
my $backend = $t->backend();

# Each retransmission takes seconds.  Handshakes that are given up are not waited
# for at the end.

$t->serve_located(undef, main => 'worker_shutdown_timeout 1s;',
                  http => 'atls_handshake_timeout 5m;',
                  backend => 'proxy_ignore_client_abort on;');

my $g = $t->gateway();
my $relay = Test::Atls::Datagrams->start($t, $g->port(), lost => 0.2,
                                         doubled => 0.1, late => 0.1,
                                         seed => $SEED);

my $deaf = Test::Atls::Datagrams->start($t, $g->port(), deaf => 1);
my $first = $t->command()->start($t->trust(), '-v', '--via',
                                 $t->gateway_uri($g, port => $deaf->port()),
                                 'https://localhost/exact');

subtest('atls forward' => \&forward);
subtest('blocks' => \&blocks);
subtest('the first POST is lost' => \&lost_first);

my %faults = $relay->seen();

ok($faults{$_}, "$_: " . ($faults{$_} || 0)) for qw( lost doubled late );
cmp_ok($t->metric($g, 'duplicates_total'), '>', 0, 'the gateway got duplicates');

is($g->stop()->{code}, 0, 'exit code');

$t->done_testing();


sub uri { $t->gateway_uri($g, port => $relay->port()) }


sub forward {
    my $f = $t->forward(uri(), '--sessions', $SESSIONS);
    my (@open, @bad);

    for my $i (1 .. $N) {
        push @open, [ $i, request($f, $i) ];
        push @bad, answered($f, @{shift @open}) if @open == $SESSIONS;
    }

    push @bad, map { answered($f, @$_) } @open;
    is($f->stop()->{code}, 0, 'exit code');
    are_processed(\@bad, $N);
}


sub request {
    my ($f, $i) = @_;

    my $body = pattern($i * 50, $i);

    return $f->connect("POST /body?$i\nContent-Length: " . length($body)
                       . "\n\n$body");
}


# CoAP gives up after five attempts, and the client after the second time.  If
# this is the first POST of a session, the request was not sent.

sub answered {
    my ($f, $i, $s) = @_;

    my $got = summary(next_answer($s, 'POST', $LONG));

    $got = summary(next_answer(request($f, $i), 'POST', $LONG))
        if $got =~ /^504 .*: no response from/;

    return $got eq '200 ' . pattern($i * 50, $i) ? () : substr $got, 0, 200;
}


# Each request was processed, once.

sub are_processed {
    my ($bad, $requests) = @_;

    my %times;

    $times{$_}++ for grep { m!^/body! } map { $_->{uri} } $backend->requests();

    is(join("\n", @$bad), '', "$requests requests, seed $SEED: none fails");
    is(scalar keys %times, $requests, 'each is processed');
    is(join(' ', grep { $times{$_} != 1 } sort keys %times), '', 'once');

    $backend->forget();
    done_testing();
}


sub blocks {
    $t->write_file('body', pattern(20_000));

    my $r = $t->command()->run($t->trust(), '--via', uri(), '--data-binary',
                               '@' . $t->path('body'),
                               'https://localhost/body');

    are_processed([ $r->{code} == 0 && $r->{out} eq pattern(20_000)
                    ? () : "$r->{code} $r->{err}" ], 1);
}


# It is repeated, from another port.

sub lost_first {
    my $again = qr/no response, sending the POST again .*: no response from/;
    my %sent;

    ok($t->wait_for(sub { $t->read_file($first->{stderr}) =~ $again }, 120),
       'it is lost');

    my $r = $t->command()->finish($first);

    $sent{$_}++ for @{{ $deaf->seen() }->{up}};

    is("$r->{code} $r->{out}", "0 exactly\n", 'a request') or diag($r->{err});
    is(scalar(grep { $_ == 5 } values %sent), 1, 'a message, five times');

    done_testing();
}
