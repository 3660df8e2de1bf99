#!/usr/bin/perl

# atls_status: TLS. Handshakes by resumption, early data, KeyUpdates, records
# that are refused by reason, alerts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Forge;
use Test::Atls::Forge12;
use Test::Atls::Status qw( added status total );

my $KEY = '11' x 16;
my $APPLICATION_DATA = 23;
my $ALERT = 21;
my $HANDSHAKE = 22;

my $t = Test::Atls->new(client => { keepalive => 0 });

$t->make_cert('client');
$t->write_file('psk', "device:$KEY\n");

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_handshake_timeout 10m;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /early {
        atls on;
        atls_early_data on;
    }

    location = /psk {
        atls on;
        atls_psk_file %%TESTDIR%%/psk;
    }

    location = /ok {
        return 200 ok;
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->run();

resumption();
early_data();
key_updates();
alerts();
refused($_, forger()) for reasons();
refused($_, forger12()) for reasons12();

my $s = status($t);
my $finished = $s->{handshakes_total}{finished};

is(total($s->{"handshake_${_}_total"}), $finished, "$_: all handshakes")
    for qw( protocols ciphers groups resumptions );
is($s->{handshake_duration_seconds}{count}, $finished, 'and in the histogram');

# two more are those of DTLS, see dtls-records.t

is($s->{sessions_ended_total}{'record-refused'},
   total($s->{records_refused_total}), 'each refusal has ended a session');
is_deeply([ grep { !/epoch|repeated/ && !$s->{records_refused_total}{$_} }
            keys %{ $s->{records_refused_total} } ], [],
          'there are no other reasons');

$t->done_testing();


sub client {
    my ($stack, %args) = @_;

    my $c = $t->stack($stack, protocol => 'TLSv1.3', %args);
    $c->handshake() or diag($c->error());

    return $c;
}


sub resumption {
    for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
        my ($first, $more) = added($t, sub {
            my $c = client('openssl', protocol => $protocol);
            $c->get('/ok');
            client('openssl', protocol => $protocol,
                   session => $c->session())->get('/ok');
        }, qw( handshake_resumptions_total handshake_protocols_total ));

        is_deeply($first, { none => 1, ticket => 1 }, "$protocol: a ticket");
        is_deeply($more, { $protocol => 2 }, "$protocol: counted as such");
    }

    my ($resumptions, $groups) = added($t, sub {
        $t->client(uri => '/psk', protocol => 'TLSv1.2', ciphers => 'PSK',
                   psk => [ 'device', $KEY ])->handshake();
    }, qw( handshake_resumptions_total handshake_groups_total ));

    is_deeply($resumptions, { psk => 1 }, 'a pre-shared key');
    is(total($groups), 1, 'its group, or none');
}


sub early_data {
    my $c = client('gnutls', uri => '/early');
    $c->get('/ok');

    my @early = (session => $c->session(), early => $c->format_get('/ok'));

    my ($result, $requests, $posts) = added($t,
        sub { client('gnutls', uri => '/early', @early)->get('/ok') },
        qw( handshake_early_data_total requests_total posts_total ));

    is_deeply($result, { accepted => 1 }, 'early data');
    is_deeply($requests, { '2xx' => 2 }, 'its request, and another one');
    is_deeply($posts, { served => { 200 => 2 } }, 'their POSTs');

    ($result, $requests) = added($t,
        sub { client('gnutls', uri => '/early', @early)->get('/ok') },
        qw( handshake_early_data_total requests_total ));

    is_deeply($result, { refused => 1 }, 'sent twice');
    is_deeply($requests, { '2xx' => 1 }, 'not served');

    ($result) = added($t, sub { client('gnutls', uri => '/early')->get('/ok') },
                      'handshake_early_data_total');

    is_deeply($result, { }, 'none');
}


sub key_updates {
    my $c = client('openssl');

    my ($updates, $posts, $records) = added($t, sub {
        $c->key_update(0) for 1 .. 3;
        $c->flush();
        $c->key_update(1);
        $c->flush();
    }, qw( key_updates_total posts_total records_total ));

    is_deeply($updates, { in => 4, out => 1 }, 'KeyUpdates');
    is_deeply($posts, { idle => { 200 => 2 } }, 'their POSTs');
    is_deeply($records, { in => 4, out => 1 }, 'their records');
}


sub alerts {
    my @names = qw( alerts_total handshakes_total sessions_ended_total );

    # the client does not trust the server

    my ($alerts, $handshakes, $ended) = added($t,
        sub { $t->client(ca => $t->path('client.crt'))->handshake() }, @names);

    is_deeply($alerts, { in => { unknown_ca => 1 } }, 'an alert received');
    is_deeply($handshakes, { failed => 1 }, 'the handshake');
    is_deeply($ended, { 'handshake-failed' => 1 }, 'the session');

    # in an established session

    my %names = (80 => 'internal_error', 109 => 'missing_extension',
                 116 => 'certificate_required', 200 => 'other');

    # numbers without a name take no room from others

    for (1 .. 9, 150 .. 200) {
        my ($c, $forge) = forger();
        $c->exchange($forge->record($ALERT, pack 'CC', 2, $_));
    }

    for my $number (sort keys %names) {
        my ($c, $forge) = forger();
        my $name = $names{$number};
        my $posts;

        ($alerts, $ended, $posts) = added($t,
            sub { $c->exchange($forge->record($ALERT, pack 'CC', 2, $number)) },
            qw( alerts_total sessions_ended_total posts_total ));

        is_deeply($alerts, { in => { $name => 1 } }, "alert $name");
        is_deeply($ended, { alert => 1 }, "$name: ends the session");
        is_deeply($posts, { alert => { 200 => 1 } }, "$name: its POST");
    }
}


sub forger {
    my $forge = Test::Atls::Forge->new();
    my $c = $t->client($forge->client_args());

    $c->handshake() or diag($c->error());

    return ($c, $forge);
}


# TLS 1.2 has reasons of its own.

sub forger12 {
    my $forge = Test::Atls::Forge12->new();

    return ($forge->established($t), $forge);
}


sub reasons12 {
    return (
        [ 'unknown alert level' => sub { $_[0]->record($ALERT, "\3\x50") } ],
        [ 'ClientHello too long' => sub {
              $_[0]->record($HANDSHAKE, "\1\xff\xff\xff")
          } ],
    );
}


# Reasons, with functions that return records.

sub reasons {
    my $junk = 'x' x 32;

    # a POST whose first record is not authentic is not refused for a reason

    my $after = sub {
        my ($bytes) = @_;

        return sub { $_[0]->record($APPLICATION_DATA, '') . $bytes };
    };

    return (
        [ 'unexpected record type' => $after->("\x16\3\3\0\x20$junk") ],
        [ 'invalid record version' => $after->("\x17\2\3\0\x20$junk") ],
        [ 'record too long' => $after->("\x17\3\3\xff\xff") ],
        [ 'bad record MAC' => $after->("\x17\3\3\0\x20$junk") ],
        [ 'plaintext too long' => sub {
              $_[0]->record($APPLICATION_DATA, 'x' x 16385)
          } ],
        [ 'unexpected inner content type' => sub { $_[0]->record(20, "\1") } ],
        [ 'record inside a handshake message' => sub {
              $_[0]->record($HANDSHAKE, "\x18\0")
              . $_[0]->record($APPLICATION_DATA, 'x')
          } ],
        [ 'too many records without data' => sub {
              join '', map { $_[0]->record($APPLICATION_DATA, '') } 1 .. 100
          } ],
        [ 'empty alert' => sub { $_[0]->record($ALERT, '') } ],
        [ 'malformed alert' => sub { $_[0]->record($ALERT, "\1\0\0") } ],
        [ 'empty handshake record' => sub { $_[0]->record($HANDSHAKE, '') } ],
        [ 'unexpected handshake message' => sub {
              $_[0]->record($HANDSHAKE, "\4\0\0\1\0")
          } ],
        [ 'too many messages without data' => sub {
              join '', map { updates($_[0]) } 1 .. 33
          } ],
        [ 'malformed KeyUpdate' => sub {
              $_[0]->record($HANDSHAKE, "\x18\0\0\1\2")
          } ],
        [ 'data after KeyUpdate' => sub {
              $_[0]->record($HANDSHAKE, "\x18\0\0\1\0x")
          } ],
    );
}


sub updates {
    my ($forge) = @_;

    my $record = $forge->record($HANDSHAKE, "\x18\0\0\1\0");
    $forge->update();

    return $record;
}


sub refused {
    my ($case, $c, $forge) = @_;

    my ($reason, $records) = @$case;
    my ($refused, $ended, $posts, $alerts) = added($t,
        sub { $c->exchange($records->($forge)) },
        qw( records_refused_total sessions_ended_total posts_total
            alerts_total ));

    is_deeply($refused, { $reason => 1 }, $reason);
    is_deeply($ended, { 'record-refused' => 1 }, "$reason: the session");
    is_deeply($posts, { 'record-refused' => { 200 => 1 } },
              "$reason: the POST");
    is(total($alerts), 1, "$reason: an alert");
}
