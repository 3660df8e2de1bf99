#!/usr/bin/perl

# atls --via coap://, with datagrams that are lost, doubled and reordered at
# random: no request is lost, or processed twice.  ATLS_LOSSY is the number of
# requests, ATLS_SEED the seed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use Test::More;

use Test::Atls::Gateway;
use Test::Atls::LocalServer qw( next_answer summary );
use Test::Atls::Pattern qw( pattern );

use constant { LOST => 0.1, DOUBLED => 0.1, LATE => 0.1 };

my $N = $ENV{ATLS_LOSSY} || 32;
my $SEED = $ENV{ATLS_SEED} || 17;
my $SESSIONS = 8;

my $t = Test::Atls::Gateway->new(workers => 4);
my $backend = $t->backend();

# each retransmission takes seconds

$t->serve_located(undef, http => 'atls_handshake_timeout 5m;',
                  backend => 'proxy_ignore_client_abort on;');

my $g = $t->gateway();
my $listen = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1')
             or die "bind: $@\n";

$t->run_daemon(sub { relay($g->port()) });

subtest('atls forward' => \&forward);
subtest('blocks' => \&blocks);

my %faults;

$faults{$_}++ for split /\n/, $t->read_file($t->path('faults'));
ok($faults{$_}, "$_: " . ($faults{$_} || 0)) for qw( lost doubled late );
cmp_ok($t->metric($g, 'duplicates_total'), '>', 0, 'the gateway got duplicates');

is($g->stop()->{code}, 0, 'exit code');

$t->done_testing();


# Passes datagrams, with a socket for each client.

sub relay {
    my ($to) = @_;

    my $select = IO::Select->new($listen);
    my (%socket, %client, @late);

    open my $log, '>', $t->path('faults') or die "faults: $!\n";
    $log->autoflush(1);
    srand $SEED;

    for ( ;; ) {
        my @ready = $select->can_read(@late ? 0.05 : undef);

        # a datagram that is late is sent after the next one, or a pause

        my @send = @ready ? () : splice @late;

        for my $s (@ready) {
            my $peer = $s->recv(my $bytes, 65536);
            next unless defined $peer;

            my $send;

            if ($s == $listen) {
                if (!$socket{$peer}) {
                    $socket{$peer} = IO::Socket::INET->new(
                        Proto => 'udp', PeerAddr => '127.0.0.1',
                        PeerPort => $to) or die "connect: $@\n";
                    $client{$socket{$peer}} = $peer;
                    $select->add($socket{$peer});
                }

                my $out = $socket{$peer};
                $send = sub { $out->send($bytes) };

            } else {
                my $client = $client{$s};
                $send = sub { $listen->send($bytes, 0, $client) };
            }

            my $chance = rand;

            if ($chance < LOST) {
                print {$log} "lost\n";

            } elsif ($chance < LOST + DOUBLED) {
                print {$log} "doubled\n";
                push @send, $send, $send, splice @late;

            } elsif ($chance < LOST + DOUBLED + LATE) {
                print {$log} "late\n";
                push @late, $send;

            } else {
                push @send, $send, splice @late;
            }
        }

        $_->() for @send;
    }
}


sub uri { $t->gateway_uri($g, port => $listen->sockport()) }


sub forward {
    my $f = $t->forward(uri(), '--sessions', $SESSIONS);
    my (@open, @bad);

    for my $i (1 .. $N) {
        my $body = pattern($i * 50, $i);

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


# Each request was processed, once.

sub are_processed {
    my ($bad, $requests) = @_;

    my %times;

    $times{$_->{uri}}++ for $backend->requests();

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
