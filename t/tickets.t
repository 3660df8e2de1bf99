#!/usr/bin/perl

# Session tickets: resumption in any worker and at other endpoints, invalid
# tickets.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Client;
use Test::Atls::Stack qw( @STACKS );
use Test::Atls::Tickets;

my $MANY = 16;                      # resumptions of each client

in_every_worker();
resumed($_) for @CLIENTS;
of_endpoints($_) for @CLIENTS;
switched_off($_) for @CLIENTS;
modified($_) for @CLIENTS;
one_ticket($_) for @STACKS;
early_data($_) for @STACKS;
no_failures();

$t->done_testing();


# Workers accept the tickets of each other.

sub in_every_worker {
    for my $who (@CLIENTS) {
        my $session = session($who);
        my $reused = '';

        for (1 .. $MANY) {
            my $c = client($who, session => $session);

            $reused .= reused($c);

            # with TLS 1.2, there is no new ticket

            $session = $c->session() || $session;
        }

        is($reused, 'r' x $MANY, "$who: resumed again and again");
    }

    my %pids = map { $_ => 1 } $t->read_log('outer.log') =~ /^(\d+) "-"$/mg;

    is(scalar keys %pids, $WORKERS, 'in all of the workers');
}


# The variables of a resumed session are the same, except for its id.

sub resumed {
    my ($who) = @_;

    my $first = client($who, alpn => [ 'http/1.1' ]);
    my %full = seen($first);

    is($full{reused}, '.', "$who: a full handshake");

    my $c = client($who, alpn => [ 'http/1.1' ], session => $first->session());
    my %seen = seen($c);

    is($seen{reused}, 'r', "$who: resumed");
    ok($c->resumed(), "$who: for the client, too");

    my @same = qw( protocol cipher curve name alpn requests );

    is(join(' ', map { $_ || 'none' } @seen{@same}),
       join(' ', map { $_ || 'none' } @full{@same}),
       "$who: with the same variables");
    isnt($seen{id}, $full{id}, "$who: except for the id");

    %seen = seen($c);
    is("$seen{reused} $seen{requests}", 'r 2', "$who: the next request");
}


# A ticket is accepted by endpoints with the same requirements on clients.

sub of_endpoints {
    my ($who) = @_;

    my $anonymous = session($who);
    my $c = client($who, uri => '/clients', cert => $t->path('client.crt'),
                   key => $t->path('client.key'));

    is(reused($c), '.', "$who: a client with a certificate");

    my $known = $c->session();
    my @places = (
        [ 'r', 'once more', $anonymous ],
        [ 'r', 'another endpoint', $anonymous, uri => '/again' ],
        [ 'r', 'another server', $anonymous, port => $t->port(1) ],
        [ 'r', 'a verified client', $known, uri => '/clients' ],
        [ '.', 'an unverified client', $anonymous, uri => '/clients' ],
        [ '.', 'a certificate that is not requested', $known ],
    );

    for my $place (@places) {
        my ($expected, $name, $session, @args) = @$place;

        is(reused(client($who, session => $session, @args)), $expected,
           "$who: $name");
    }
}


sub switched_off {
    my ($who) = @_;

    my $c = client($who, uri => '/off');

    is(reused($c), '.', "$who, off: a full handshake");
    is($c->tickets(), 0, "$who, off: no ticket");

    # GnuTLS also has a TLS 1.2 session without a ticket

    my $session = $c->session();

    is($session eq '' ? '.' : reused(client($who, session => $session)), '.',
       "$who, off: nothing to resume");

    $c = client($who, uri => '/off', session => session($who));
    is(reused($c) . $c->tickets(), '.0',
       "$who, off: other tickets are not accepted");
}


# An invalid ticket is ignored.

sub modified {
    my ($who) = @_;

    my $session = session($who);
    my $ticket = ticket($who, $session);

    # a ticket consists of a key name, an IV, ciphertext and a MAC

    my %wrong = (
        'another name' => flipped($ticket, 0),
        'another IV' => flipped($ticket, 16),
        'another ciphertext' => flipped($ticket, 40),
        'another MAC' => flipped($ticket, length($ticket) - 1),
        'zeros' => "\0" x length $ticket,
    );

    for my $what (sort keys %wrong) {
        my $copy = $session;

        substr $copy, index($copy, $ticket), length $ticket, $wrong{$what};

        my $c = client($who, session => $copy);

        is(join(' ', reused($c), $c->tickets(), $c->alerts()), '. 1',
           "$who: $what");
    }
}


sub flipped {
    my ($bytes, $at) = @_;

    substr($bytes, $at, 1) ^= "\x10";

    return $bytes;
}


# There is a new ticket on resumption with TLS 1.3, but not with TLS 1.2.

sub one_ticket {
    my ($stack) = @_;

    my %expected = ('TLSv1.3' => '1 1', 'TLSv1.2' => '1 0');

    for my $protocol (@PROTOCOLS) {
        my $full = client("$stack, $protocol");
        $full->handshake();
        $full->get('/') for 1 .. 3;

        my $c = client("$stack, $protocol", session => $full->session());
        $c->handshake();
        $c->get('/') for 1 .. 3;

        is($full->tickets() . ' ' . $c->tickets(), $expected{$protocol},
           "$stack, $protocol: tickets of a handshake and a resumption");
    }
}


# Early data is not accepted, as atls_early_data is off.  Clients send it
# nevertheless: GnuTLS by default, OpenSSL by "max_early".

sub early_data {
    my ($stack) = @_;

    my $who = "$stack, TLSv1.3";
    my $early = Test::Atls::Client::format_request('GET', '/', '');
    my @args = (session => session($who), early => $early);

    push @args, max_early => 16384 if $stack eq 'openssl';

    my $c = client($who, @args);

    is(reused($c), 'r', "$who, early data: resumed");
    isnt($c->early_status(), 'accepted', "$who, early data: refused");
}
