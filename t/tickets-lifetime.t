#!/usr/bin/perl

# Lifetimes of session tickets, and the rotation of their keys.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Tickets;

# for lifetimes() and rest(), which wait until a lifetime has passed

my %began = sessions($t);
my $began = time;

lifetime_hints();

my %rest = map { $_ => client($_, session => $began{$_}, uri => '/rest') }
           @CLIENTS;
my $resumed = join '', map { reused($rest{$_}) } @CLIENTS;

rotation();
lifetimes($_) for @CLIENTS;
rest();
no_failures();

$t->done_testing();


# The lifetime of tickets, as printed by OpenSSL.

sub lifetime_hints {
    my %expected = ('/.well-known/atls' => 86400, '/short' => $SHORT,
                    '/long' => 604800);

    for my $uri (sort keys %expected) {
        my $c = client('openssl, TLSv1.3', uri => $uri);
        reused($c);

        my $file = $t->write_file('session', $c->session());
        my $text = `openssl sess_id -inform DER -in $file -noout -text`;

        my ($hint) = $text =~ /lifetime hint: (\d+)/;
        is($hint, $expected{$uri}, "$uri: the lifetime hint");
    }
}


# Keys of the zone are rotated.  A key is used for new tickets for about one
# lifetime of tickets, and accepted for another one.  Tickets contain its name.

sub rotation {

    # about twice as long as it takes

    my $lasts = $SHORT + int(2 * seconds(sub { all_reused($t, {}, sessions($t))
                                               for 1 .. 4 }));

    $lasts *= 2 until rotated($lasts);
}


# Returns false if the tickets may have expired meanwhile.

sub rotated {
    my ($lasts) = @_;

    my $r = Test::Atls->new(workers => $WORKERS);
    my (%names, %sessions, %before, $first, @began);

    configure($r, HTTP => "atls_session_lifetime ${lasts}s;");
    $r->run();

    $r->wait_for(sub {
        %before = %sessions;
        push @began, time;
        %sessions = sessions($r);

        $names{substr ticket($_, $sessions{$_}), 0, 16} = 1 for @CLIENTS;
        $first ||= keys %names;
        return keys %names > 1;
    }, 4 * $lasts);

    my $new = join '', map { all_reused($r, {}, %sessions) } 1 .. 3;
    my $previous = all_reused($r, \my %renewed, %before);
    my $seconds = time - $began[@began > 1 ? -2 : -1];

    $r->finish();

    return 0 if $seconds >= $lasts - 1;

    is($first, 1, 'the first key is used for several tickets');
    is(scalar keys %names, 2, 'keys are rotated');
    is($new, 'r' x (3 * @CLIENTS), 'tickets of the new key');
    is($previous, 'r' x @CLIENTS, 'tickets of the previous key');
    is(join('', map { $renewed{$_}->tickets() } @CLIENTS), '1' x @CLIENTS,
       'are replaced');

    return 1;
}


sub seconds {
    my ($code) = @_;

    my $began = time;
    $code->();

    return time - $began;
}


# The lifetime begins with the full handshake, and is not extended by new
# tickets.

sub lifetimes {
    my ($who) = @_;

    my $c = client($who, session => $began{$who});
    is(reused($c), 'r', "$who: resumed");
    my $session = $c->session() || $began{$who};

    sleep 0.05 until time >= $began + $SHORT + 1;

    is(reused(client($who, session => $session, uri => '/short')), '.',
       "$who: older than the lifetime of another endpoint");
    is(reused(client($who, session => $session)), 'r',
       "$who: not older than that of this endpoint");

    # on a busy machine, one may be too old as well

    ok($t->wait_for(sub {
        reused(client($who, session => session($who), uri => '/short')) eq 'r'
    }), "$who: a younger one, at the former endpoint");
}


# Nor by resumed sessions.

sub rest {
    SKIP: {
        skip 'the above took too long', 1 if $resumed =~ /\./;

        sleep 0.05 until time >= $began + $REST + 1;

        my @statuses = map {
            $rest{$_}->get('/');
            $rest{$_}->last_response()->status();
        } @CLIENTS;

        is("@statuses", '410 410 410 410', 'resumed sessions have ended');
    }
}
