#!/usr/bin/perl

# Requests that span several POSTs: reloads, and workers that are killed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls::Process qw( alive );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( slow );
use Test::Atls::Spanning;

my $slow = slow();

reloads();
generations();
worker_numbers();
killed();
killed_unseen();

$t->done_testing();


# unfinished requests continue after a reload

sub reloads {
    my @c = map { client() } 1 .. 8;
    my %old = map { $_ => 1 } $t->workers();

    answers($_, "POST /body HTTP/1.1\r\nHost: localhost\r\n"
                . "Content-Length: 10\r\n\r\n12345") for @c;

    $t->reload() for 1 .. 2;

    my $bad = '';

    for my $c (@c) {
        my @answers = answers($c, '678', '9', '0' . request('GET', '/return',
                                                            ''));
        my ($r, $next) = parse_responses($answers[2]);

        $bad .= "@answers\n" if $answers[0] ne '' || $answers[1] ne ''
            || !$r || $r->body() ne '1234567890'
            || !$next || $next->body() ne "returned\n";
    }

    is($bad, '', 'unfinished requests survive reloads');

    goes_on($c[0], 'after reloads');
    ok(!$old{last_worker($c[0])}, 'after reloads: in a new worker');

    ok($t->wait_for(sub { !grep { alive($_) } keys %old }, 5),
       'the old workers end with them');
}


# after several reloads

sub generations {
    my @c;

    for (1 .. 7) {
        my @new = map { client() } 1 .. 8;

        answers($_, "GET /return HT") for @new;
        push @c, @new;
        $t->reload();
    }

    my $bad = '';

    for my $c (@c) {
        my ($r) = parse_responses(answers($c, "TP/1.1\r\nHost: localhost\r\n"
                                              . "\r\n"));
        $bad .= $c->error() . "\n" if !$r || $r->body() ne "returned\n";
    }

    is($bad, '', 'many configurations at once');
    is(() = $t->read_file('error.log') =~ /no atls mailbox/g, 0,
       'a mailbox for each worker');
}


# also with fewer workers, or more

sub worker_numbers {
    my $conf = $t->read_file('nginx.conf');
    my $bad = '';

    for my $workers (2, 7, 4) {
        my $c = client();
        my $hs = $t->client(keepalive => 0);

        $hs->handshake_step();
        $hs->exchange($hs->tls_out());

        answers($c, "GET /return HT");

        $conf =~ s/^worker_processes \d+/worker_processes $workers/m;
        $t->write_file('nginx.conf', $conf);
        $t->reload();

        my ($r) = parse_responses(answers($c, "TP/1.1\r\nHost: localhost\r\n"
                                              . "\r\n"));
        $bad .= "request with $workers: " . $c->error()
            if !$r || $r->body() ne "returned\n";

        $bad .= "handshake with $workers: " . $hs->error()
            if !$hs->handshake() || !$hs->get('/return');

        $t->wait_for(sub { $workers == $t->workers() });
        $bad .= "$workers workers" if $workers != $t->workers();
    }

    is($bad, '', 'other numbers of workers');
}


# if a worker dies, only its unfinished requests are lost

sub killed {
    my @c = map { client() } 1 .. 16;
    my $body = "POST /body HTTP/1.1\r\nHost: localhost\r\n"
               . "Content-Length: 10\r\n\r\n12345";

    answers($_, $body) for @c;

    # determined now, since POSTs are logged after the response

    my @owners = map { last_worker($_) } @c;
    my $victim = $owners[0];
    my %before = map { $_ => 1 } $t->workers();

    $t->allow_kills();
    kill 'KILL', $victim;

    # with reuseport, connections wait for the new worker

    my $began = time;
    my $bad = '';
    my $lost = 0;

    for my $c (@c) {
        my $gone = shift @owners == $victim;
        my ($answer) = answers($c, '67890');

        $lost++ if $gone;
        next if $gone && $answer eq '410' && !defined $c->cookie();

        my ($r) = parse_responses($answer) if $answer =~ /^HTTP/;
        $bad .= "$answer\n" if $gone || !$r || $r->body() ne '1234567890';
    }

    is($bad, '', "unfinished requests of the other workers go on");
    cmp_ok($lost, '>', 0, 'those of one that died are gone, and it is said');
    cmp_ok(time - $began, '<', 5 * $slow, 'at once');
    $t->wait_for(sub { grep { !$before{$_} } $t->workers() }, 10);
}


# a worker that is not replaced dies, and receives a POST before this is noticed

sub killed_unseen {
    my $c = client();

    answers($c, "GET /return HT");
    my $victim = last_worker($c);

    $t->reload();
    kill 'STOP', $t->pid();
    kill 'KILL', $victim;
    $t->wait_for(sub { !alive($victim) });

    $c->write_plain("TP/1.1\r\nHost: localhost\r\n\r\n");
    $c->post_send($c->tls_out());
    sleep 0.2;

    my $began = time;
    kill 'CONT', $t->pid();

    my $r = $c->post_receive();
    is($r && $r->status(), 410, 'died unnoticed: it is said');
    cmp_ok(time - $began, '<', 3 * $slow, 'died unnoticed: soon');
}
