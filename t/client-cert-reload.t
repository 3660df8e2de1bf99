#!/usr/bin/perl

# Client certificates: too large ones, reloads, a small zone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::ClientCert;
use Test::Atls::Stack qw( @STACKS );

use constant {
    HANDSHAKES => ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 100 : 500,
                            # in the smallest zone
    FIT        => 20,       # sessions that fit in it
};

my @kept;

for my $stack (@STACKS) {
    for my $protocol (@PROTOCOLS) {
        my $on = { name => "$stack, $protocol", stack => $stack,
                   protocol => $protocol };

        too_large($on);

        push @kept, $on;
    }
}

reloaded();
small_zone();

$t->done_testing();


# A certificate of more than 16 KB is refused, without other effects.

sub too_large {
    my ($on) = @_;

    my $c = client($on, 'on', 'huge');
    my $r = $c->last_response();

    isnt($c->error(), '', "$on->{name}: too large a certificate");
    is($r && $r->status(), 500, "$on->{name}: the POST fails");
    is($c->cookie(), undef, "$on->{name}: no session");

    my @said = $t->read_file('error.log')
               =~ /too large certificate: \d+ bytes/g;
    is(scalar @said, @kept + 1, "$on->{name}: the log says so");

    is(session(client($on, 'on', 'alice')), '200 . SUCCESS CN=alice',
       "$on->{name}: others go on");
}


# A reload ends the sessions of clients that must be verified again.

sub reloaded {
    keep($_) for @kept;

    ok($t->reload(), 'reload');
    is_deeply(outcomes($_), { map { $_ => 200 } keys %{$_->{clients}} },
              "$_->{name}: the same configuration keeps all sessions")
        for @kept;

    $ca->revoke('carol');
    $ca->crl('ca.crl');
    configure(CHANGING => 'on');

    ok($t->reload(), 'reload with another list, and more to be verified');

    after_change($_) for @kept;

    $t->wait_for_log(qr/must be verified again/);
    like($t->read_file('error.log'),
         qr/\[info\] .*session refused: the client must be verified again/,
         'the log says why sessions end');
}


sub keep {
    my ($on) = @_;

    for ([ crl => 'alice' ], [ crl => 'carol' ], [ on => 'carol' ],
         [ changing => 'alice' ], [ changing => '' ])
    {
        my $c = $on->{clients}{"@$_"} = client($on, @$_);

        $c->get('/session');
        $on->{tickets}{"@$_"} = $c->session();
    }
}


sub outcomes {
    my ($on) = @_;

    my $clients = $on->{clients};

    return { map { $_ => outcome($clients->{$_}, '/session') } keys %$clients };
}


sub after_change {
    my ($on) = @_;

    my $name = "$on->{name}, other rules";

    is_deeply(outcomes($on), { 'crl alice' => 'POST: 410',
                               'crl carol' => 'POST: 410',
                               'on carol' => 200,
                               'changing alice' => 'POST: 410',
                               'changing ' => 'POST: 410' },
              "$name: sessions");
    is_deeply([ map { $on->{clients}{$_}->cookie() } 'crl alice', 'changing ' ],
              [ undef, undef ], "$name: cookies expire");

    # policy, certificate, policy and certificate of the ticket

    for ([ crl => 'carol', '', 400 ],
         [ crl => 'carol', 'crl carol', 400 ],
         [ crl => '', 'crl carol', 400 ],
         [ crl => '', 'crl alice', 400 ],
         [ crl => 'alice', 'crl alice', '. SUCCESS CN=alice' ],
         [ on => '', 'on carol', 'r SUCCESS CN=carol' ],
         [ changing => '', '', 400 ],
         [ changing => '', 'changing ', 400 ],
         [ changing => 'alice', 'changing alice', '. SUCCESS CN=alice' ])
    {
        my ($policy, $who, $of, $expected) = @$_;
        my $c = client($on, $policy, $who, $of ne ''
                       ? (session => $on->{tickets}{$of}) : ());

        my $case = "$name: $policy, '$who', ticket of '$of'";

        if ($expected eq '400') {
            is(outcome($c, '/session'), 400, $case);
        } else {
            is(session($c), "200 $expected", $case);
        }
    }
}


# Certificates of clients do not fill the zone, however their sessions end.

sub small_zone {
    configure(ZONE => '64k');
    ok($t->reload(), 'a zone of 64k');

    my @who = map { { identity($_) } } qw( alice fancy large );
    my $first = small('on', $who[0]);
    my $good = 0;

    for my $n (1 .. HANDSHAKES) {
        my $c = small('on', $who[$n % 3]);

        $good += outcome($c, '/session') eq '200';
        $c->close_notify() if $n % 4 == 0;
    }

    is($good, HANDSHAKES, 'many handshakes with certificates');
    is(outcome($first, '/session'), 'POST: 410', 'the first one had to go');
    is(fill('on', $who[0]), FIT, 'as many fit in as ever');

    my @brief = map { small('brief', $who[$_ % 3]) } 1 .. FIT;
    ok($t->wait_for(sub { outcome($brief[-1], '/session') ne '200' }),
       'many have expired');
    is(fill('on', $who[0]), FIT, 'as many fit in after them');

    unlike($t->read_file('error.log'), qr/has no memory|is full/,
           'there was always room');
}


sub small {
    my ($policy, $identity) = @_;

    my $c = $t->client(uri => "/$policy", %$identity);
    $c->handshake();

    return $c;
}


# The number of FIT sessions that exist at the same time.

sub fill {
    my ($policy, $identity) = @_;

    my @c = map { small($policy, $identity) } 1 .. FIT;

    return scalar grep { outcome($_, '/session') eq '200' } @c;
}
