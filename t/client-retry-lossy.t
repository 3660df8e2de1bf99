#!/usr/bin/perl

# A path that loses, cuts, doubles and delays POSTs and responses at random, or
# answers with error statuses: the clients that come with the module lose no
# request, and none is processed twice.  ATLS_LOSSY is the number of requests,
# ATLS_SEED the seed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Http qw( http_connect );
use Test::Atls::LocalServer qw( ask_tls next_answer summary );
use Test::Atls::LostPosts;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Site;

my $N = $ENV{ATLS_LOSSY} || 200;
my $SEED = $ENV{ATLS_SEED} || 11;
my $SESSIONS = 8;
my @RETRY = ('--retry', 14);

my $t = Test::Atls::Site->new(workers => 3);
my $backend = $t->backend();

# connections are kept

$t->serve(<<'EOC', backend => 'proxy_ignore_client_abort on;');
location = /kept {
    atls on;
}
EOC

my $port = 2;
my $lossy;
my %faults;

subtest('atls forward' => \&forward);
subtest('atls' => \&atls);
subtest('atls -T -' => \&piped);
subtest('atls tunnel' => \&tunnel);

$faults{$_}++ for $lossy->done();

for ('passed', 'lost', 'unanswered', 'cut', 'doubled', 'late', 'again later',
     'status before', 'status after')
{
    ok($faults{$_}, "$_: " . ($faults{$_} || 0));
}

is(join("\n", grep { /^not the same/ } keys %faults), '',
   'the response to the same POST is the same');

$t->done_testing();


sub lossy {
    if ($lossy) {
        $faults{$_}++ for $lossy->done();
        $lossy->stop();
    }

    $backend->forget();

    return $lossy = Test::Atls::LostPosts->start($t, 'random', $t->port(0),
                                             $t->port($port++), $SEED);
}


# Each request was processed, once.

sub are_processed {
    my ($bad, $requests) = @_;

    my %times = $backend->times();

    is(join("\n", @$bad), '', "$requests requests, seed $SEED: none fails");
    is(scalar keys %times, $requests, 'each is processed');
    is(join(' ', grep { $times{$_} != 1 } sort keys %times), '', 'once');

    done_testing();
}


# With bodies of one or several POSTs, some of which come in pieces.

sub forward {
    lossy();

    my $f = $t->forward($lossy->endpoint('/kept'), '--sessions', $SESSIONS,
                        '--post-size', '1k', @RETRY);
    my (@open, @bad);

    srand $SEED;

    for my $i (1 .. $N) {
        my $body = pattern(int rand($i % 3 ? 300 : 3000), $i);

        push @open, [ $body, $f->connect("POST /body?$i\nContent-Length: "
                                         . length($body) . "\n\n$body") ];
        push @bad, answered(@{shift @open}) if @open == $SESSIONS;
    }

    push @bad, map { answered(@$_) } @open;
    is($f->stop()->{code}, 0, 'exit code');
    are_processed(\@bad, $N);
}


sub answered {
    my ($body, $s) = @_;

    my $got = summary(next_answer($s, 'POST'));

    return $got eq "200 $body" ? () : substr $got, 0, 200;
}


# Some requests in each session.

sub atls {
    lossy();

    my ($i, @bad) = (0);

    for (1 .. $N / 10) {
        my @urls = map { 'https://localhost/body?' . ++$i } 1 .. 5;
        my $r = $t->command()->run($t->trust(), '--via', $lossy->endpoint('/kept'),
                                   @RETRY, '-d', 'body', @urls);

        push @bad, "$r->{code} $r->{err}"
            unless "$r->{code} $r->{out}" eq '0 ' . 'body' x @urls;
    }

    are_processed(\@bad, $i);
}


# What is written to a pipe is sent as it is read.

sub piped {
    lossy();

    my (@bad, $n);

    for my $i (1 .. 5) {
        my $p = $t->command()->start($t->trust(), '--via', $lossy->endpoint('/kept'),
                                     @RETRY, '-T', '-', '-X', 'POST',
                                     "https://localhost/body?$i",
                                     { stdin => 'pipe' });

        for my $piece (1 .. 5) {
            print {$p->{in}} "piece $piece\n";
            select undef, undef, undef, 0.2;
        }

        my $r = $t->command()->finish($p);

        push @bad, "$r->{code} $r->{err}"
            unless "$r->{code} $r->{out}"
                   eq '0 ' . join '', map { "piece $_\n" } 1 .. 5;
        $n++;
    }

    are_processed(\@bad, $n);
}


sub tunnel {
    lossy();

    my $f = $t->tunnel($lossy->endpoint('/kept'), @RETRY);
    my ($i, @bad) = (0);

    for (1 .. 10) {
        my $s = http_connect($f->port(), tls => 1);

        for (1 .. $N / 20) {
            my $got = summary(ask_tls($s, 'POST /body?' . ++$i
                                          . "\nContent-Length: 4\n\nbody"));
            push @bad, $got unless $got eq '200 body';
        }
    }

    is($f->stop()->{code}, 0, 'exit code');
    are_processed(\@bad, $i);
}
