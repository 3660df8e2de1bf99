#!/usr/bin/perl

# atls_status: associations issued, and connections that offer one, by result;
# and a server that accepts associations without counters.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Association;
use Test::Atls::Status qw( added );

my $t = Test::Atls->new(workers => 2);

$t->write_file($_, $_ x 20) for qw( key1 key2 );

my $KEY = "atls_session_ticket_key %%TESTDIR%%/key1;\n";
my $VERIFY = 'atls_verify_client optional; '
             . 'atls_client_certificate %%TESTDIR%%/localhost.crt;';

$t->write_http($KEY . endpoints(other => <<'EOC')
    location = /short {
        atls on;
        atls_association 1s reuse;
    }

    location = /status {
        atls_status;
    }
EOC
    . "ssl_session_cache builtin;\n"
    . accepting(1, 'on')
    . accepting(1, 'other', name => 'other.example')
    . accepting(2, 'on', other => 'ssl_ecdh_curve secp384r1;')
    . accepting(3, 'on', other => $VERIFY)
    . accepting(4, 'on', other => $KEY =~ s/key1/key2/r)
    . accepting(5, 'on', other => 'ssl_conf_command Ciphersuites '
                                  . 'TLS_AES_256_GCM_SHA384;')
    . accepting(6, 'on', other => 'ssl_protocols TLSv1.2;'));

$t->run();

# of handshakes without the key

$t->allow_log(qr/binder does not verify|bad record mac/);

my ($once, $r);
my ($issued) = added($t, sub { $once = obtain($t) }, 'associations_total');

is_deeply($issued, { issued => 1 }, 'issued');

my $reuse = obtain($t, uri => '/reuse');

accepted();
refused();
not_counted();
no_counters();

$t->done_testing();


# Offers an association: whether it is used, the status, and what is counted.

sub offer {
    my ($port, $a, @args) = @_;

    my ($counted) = added($t, sub {
        $r = direct($t, $t->port($port), $a, @args);
    }, 'associations_total');

    return join ' ', $r->{psk}, $r->{status},
                     map { "$_:$counted->{$_}" } sort keys %$counted;
}


sub accepted {
    my $request = "GET / HTTP/1.1\r\nHost: localhost\r\n";

    is(offer(1, $once), '1 200 accepted:1', 'accepted');
    is(offer(1, $reuse, request => "$request\r\n${request}"
                                   . "Connection: close\r\n\r\n"),
       '1 200 accepted:1', 'a connection with two requests');
    is(scalar(() = $r->{out} =~ m!HTTP/1\.1 200!g), 2, '... both are served');

    is(offer(2, $reuse, retry()), '1 200 accepted:1', 'HelloRetryRequest');
    is(hellos(), 2, '... two ClientHellos');
    like(offer(6, $reuse, tls12 => 1), qr/200 accepted:1/, 'TLS 1.2');
}


sub refused {
    is(offer(1, $once), '0 200 already-used:1', 'used before');
    is(offer(2, $once, retry()), '0 200 already-used:1', 'HelloRetryRequest');
    is(hellos(), 2, '... two ClientHellos');
    like(offer(6, $once, tls12 => 1), qr/ 0 already-used:1/, 'TLS 1.2');

    my @host = (host => 'other.example');

    is(offer(1, $reuse, @host, sni => 'other.example'), '0 200 other-server:1',
       'another server name');
    is(offer(1, $reuse, @host), '1 421 other-server:1',
       'a request for another server');

    is(offer(3, $reuse), '0 200 policy:1', 'another verification');
    is(offer(4, $reuse), '0 200 unknown-key:1', 'another key file');
    is(offer(1, changed()), '0 200 unknown-key:1', 'a changed identity');
    is(offer(5, $reuse), '0 200 cipher-suite:1', 'no suite with SHA-256');

    my $short = obtain($t, uri => '/short');

    $t->wait_for(sub { time() > $short->{expires} });
    is(offer(1, $short), '0 200 expired:1', 'expired');
}


# A HelloRetryRequest, and the messages in the output.  If its suite is not that
# of the key, s_client fails.

sub retry {
    return (options => [ '-groups', 'X25519:secp384r1', '-msg',
                         '-ciphersuites', 'TLS_AES_128_GCM_SHA256' ]);
}


sub hellos {
    return scalar(() = $r->{out} =~ />>> .*ClientHello/g);
}


sub changed {
    my $identity = $reuse->{identity};

    substr($identity, 100, 1) =~ tr/A-Za-z0-9_\-/B-Za-z0-9_\-A/;

    return { %$reuse, identity => $identity };
}


# Tickets are offered in the same extension as associations.

sub not_counted {
    my $file = $t->path('session');

    is(offer(1, undef, options => [ '-sess_out', $file ]), '0 200',
       'without an association');
    is(offer(1, undef, options => [ '-sess_in', $file ]), '1 200', 'a ticket');
    is(offer(1, { %$reuse, identity => 'device' }), '0 200',
       'the identity of something else');
    like(offer(1, { %$reuse, key => '00' x 32 }), qr/^\d 0$/,
         'without the key');
}


# Without endpoints and atls_status.

sub no_counters {
    $t->write_http($KEY . <<'EOC' . accepting(1, '$atls_association'));
%%SSL_CERTIFICATE%%
ssl_protocols TLSv1.2 TLSv1.3;
EOC

    ok($t->reload(), 'a server that only accepts associations');
    is(direct($t, $t->port(1), $reuse)->{body}, 'on', '... accepted');

    $r = direct($t, $t->port(1), changed());
    is("$r->{psk} $r->{status}", '0 200', '... refused');
}
