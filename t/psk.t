#!/usr/bin/perl

# Pre-shared keys with TLS 1.3 and 1.2, at endpoints with and without
# certificates.  Keys are never logged.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Psk;
use Test::Atls::Stack qw( @STACKS );

my $logged = 0;         # sessions with a UTF-8 identity

# An incorrect key makes the binder invalid, for which the alert depends on the
# OpenSSL version.  With TLS 1.2, the Finished cannot be decrypted.

my %WRONG = ('TLSv1.3' => qr/^(?:47|51)$/, 'TLSv1.2' => qr/^20$/);

for my $stack (@STACKS) {
    served($stack, $_) for @PROTOCOLS;
    identities($stack, $_) for @PROTOCOLS;
    unknown($stack);
    wrong_key($stack, $_) for @PROTOCOLS;
    without_certificate($stack, $_) for @PROTOCOLS;
    beside_certificates($stack, $_) for @PROTOCOLS;
    tickets($stack);
    many($stack, $_) for @PROTOCOLS;
    servers($stack, $_) for @PROTOCOLS;
}

no_keys_logged();
unknown_not_logged();

$t->done_testing();


# Each POST has a connection of its own, and is received by any worker.

sub served {
    my ($stack, $protocol) = @_;

    my $name = "$stack, $protocol";

    for my $uri (qw( /default /both )) {
        my $c = client($stack, $uri, protocol => $protocol, @WITH_PSK);

        ok($c->handshake(), "$name, $uri: handshake") or diag($c->error());

        # the server has a certificate with RSA_PSK

        is($c->server_cert(), '', "$name, $uri: no certificate")
            unless $protocol eq 'TLSv1.2' && $uri eq '/both';
        is(seen($c), "$protocol|" . $c->cipher() . '|PSK|device|.',
           "$name, $uri: what the server saw");

        my ($right, %workers) = (0);

        for (1 .. 20) {
            my $r = $c->get('/') or last;

            $right++ if $r->body() =~ /\|PSK\|device\|\.$/;
            $workers{$r->header('X-Worker')}++;
        }

        is($right, 20, "$name, $uri: requests");
        cmp_ok(scalar keys %workers, '>', 1, "$name, $uri: any worker has it");

        my $cookie = $c->cookie();
        $c->close();
        gone($c, $cookie, "$name, $uri, closed");
    }

    # the same endpoint without a key

    my $c = client($stack, '/default', protocol => $protocol);
    ok($c->handshake(), "$name: a certificate") or diag($c->error());
    is(seen($c), "$protocol|" . $c->cipher() . '|NONE||.',
       "$name: and nothing else");
}


sub identities {
    my ($stack, $protocol) = @_;

    for my $identity (@IDENTITIES) {
        my $c = client($stack, '/only', protocol => $protocol,
                       psk => [ $identity, $KEY ]);
        my $name = "$stack, $protocol, '$identity'";

        ok($c->handshake(), $name) or diag($c->error());
        is((split /\|/, seen($c))[3], $identity, "$name: seen");
    }

    $logged++;
    ok($t->wait_for(sub {
           my $log = $t->read_file('access.log');
           my $n = () = $log =~ /^PSK d\\xC3\\xA9j\\xC3\\xA0 vu$/mg;
           return $n == $logged;
       }), "$stack, $protocol: logged");

    # unknown identities that are similar to known ones

    my $n = 0;

    for my $identity ('devic', 'device:', 'Device', '# devices', 'x' x 129,
                      'x' x 127, "device:$KEY")
    {
        my $c = client($stack, '/only', protocol => $protocol,
                       psk => [ $identity, $KEY ]);
        $n++ if $c->handshake();
    }

    is($n, 0, "$stack, $protocol: no other identity");
}


# With TLS 1.3, the server uses its certificate instead, if it has one.

sub unknown {
    my ($stack) = @_;

    my @psk = (psk => [ 'nobody', $KEY ]);
    my $c = client($stack, '/default', protocol => 'TLSv1.3', @psk);

    ok($c->handshake(), "$stack, TLSv1.3: unknown") or diag($c->error());
    is($c->server_cert(), '/CN=localhost by /CN=localhost',
       "$stack, TLSv1.3: unknown: a certificate");
    is(seen($c), 'TLSv1.3|' . $c->cipher() . '|NONE||.',
       "$stack, TLSv1.3: unknown: nobody");

    # without a certificate

    is_refused("$stack, TLSv1.3, unknown, no certificate", qr/^40$/, $stack,
               '/only', protocol => 'TLSv1.3', @psk);

    is_refused("$stack, TLSv1.2, unknown", qr/^115$/, $stack, '/default',
               protocol => 'TLSv1.2', @psk);
    is_refused("$stack, TLSv1.2, unknown, no certificate", qr/^115$/, $stack,
               '/only', protocol => 'TLSv1.2', @psk);
}


sub wrong_key {
    my ($stack, $protocol) = @_;

    for my $key ($KEY =~ s/cc$/cd/r, $KEY . '00', substr $KEY, 2) {
        is_refused("$stack, $protocol, wrong key", $WRONG{$protocol}, $stack,
                   '/default', protocol => $protocol,
                   psk => [ 'device', $key ]);
    }
}


sub without_certificate {
    my ($stack, $protocol) = @_;

    my $name = "$stack, $protocol, without a certificate";

    is_served($name, qr/^$protocol\|[^|]+\|PSK\|device\|\.$/, $stack, '/only',
              protocol => $protocol, @WITH_PSK);
    is_refused("$name, without a key", qr/^40$/, $stack, '/only',
               protocol => $protocol);
}


# If clients are verified, a client needs a key or a certificate.

sub beside_certificates {
    my ($stack, $protocol) = @_;

    my $name = "$stack, $protocol, verified";
    my @cert = (cert => $t->path('client.crt'), key => $t->path('client.key'));

    is_served("$name: a key", qr/\|PSK\|device\|\.$/, $stack, '/verify',
              protocol => $protocol, @WITH_PSK);
    is_served("$name: a certificate", qr/\|SUCCESS\|\|\.$/, $stack, '/verify',
              protocol => $protocol, @cert);
    is_served("$name: both", qr/\|PSK\|device\|\.$/, $stack, '/verify',
              protocol => $protocol, @cert, @WITH_PSK);

    my $c = client($stack, '/verify', protocol => $protocol);
    ok($c->handshake(), "$name: neither") or diag($c->error());
    my $r = $c->get('/');
    is($r && $r->status(), 400, "$name: neither: refused");

    return if $protocol eq 'TLSv1.2';

    # an unknown identity

    $c = client($stack, '/verify', protocol => $protocol,
                psk => [ 'nobody', $KEY ]);
    $c->handshake();
    $r = $c->get('/');
    is($r && $r->status(), 400, "$name: an unknown key: refused");
}


# A session with a key has no ticket: a handshake with the key is as fast, and
# the key can be revoked.

sub tickets {
    my ($stack) = @_;

    my $c = client($stack, '/default', protocol => 'TLSv1.3', @WITH_PSK);
    $c->handshake();
    seen($c);
    is($c->tickets(), 0, "$stack, TLSv1.3: no ticket");

    $c = client($stack, '/default', protocol => 'TLSv1.2', @WITH_PSK);
    $c->handshake();
    seen($c);
    my $session = $c->session();

    SKIP: {
        skip("$stack has no session", 3) if $session eq '';

        $c = client($stack, '/default', protocol => 'TLSv1.2', @WITH_PSK,
                    session => $session);
        ok($c->handshake(), "$stack, TLSv1.2: again") or diag($c->error());
        ok(!$c->resumed(), "$stack, TLSv1.2: not resumed");
        like(seen($c), qr/\|PSK\|device\|\.$/, "$stack, TLSv1.2: by its key");
    }

    # A ticket of a session with a certificate, offered before the key.  It is
    # accepted if it is of the selected suite; the suites of keys are preferred.

    for my $case ([ 'TLS_AES_128_GCM_SHA256', qr/\|NONE\|\|r$/ ],
                  [ 'TLS_AES_256_GCM_SHA384', qr/\|PSK\|device\|\.$/ ])
    {
        my ($suite, $seen) = @$case;

        $c = client($stack, '/default', protocol => 'TLSv1.3',
                    ciphersuites => $suite);
        $c->handshake();
        seen($c);

        is_served("$stack, a key and a ticket of $suite", $seen,
                  $stack, '/default', protocol => 'TLSv1.3', @WITH_PSK,
                  session => $c->session());
    }
}


# A file with many keys.

sub many {
    my ($stack, $protocol) = @_;

    for my $n (1, 5_000, 10_000) {
        my ($identity, $key) = device($n) =~ /(.*):(.*)/;

        is_served("$stack, $protocol, one of many: $n",
                  qr/\|PSK\|\Q$identity\E\|\.$/, $stack, '/many',
                  protocol => $protocol, psk => [ $identity, $key ]);
    }

    my ($key) = device(1) =~ /:(\w+)$/;
    is_refused("$stack, $protocol, another's key", $WRONG{$protocol}, $stack,
               '/many', protocol => $protocol, psk => [ 'urn:dev:2', $key ]);
}


# The keys are those of the server selected by SNI.

sub servers {
    my ($stack, $protocol) = @_;

    my %psk = map { $_ => [ 'device', "$MARK$_$_" . '00' x 12 ] } qw( a b );
    my @other = (port => $t->port(1), protocol => $protocol);

    for my $own (qw( a b )) {
        my $other = $own eq 'a' ? 'b' : 'a';
        my $name = "$stack, $protocol, $own.example";
        my $c = client($stack, '/.well-known/atls', @other,
                       sni => "$own.example", psk => $psk{$own});

        ok($c->handshake(), $name) or diag($c->error());

        my $r = $c->get('/', Host => "$own.example");
        is($r && $r->body(), ($own eq 'a' ? 'a' : 'default') . '|PSK|device',
           "$name: the key's owner");

        is_refused("$name, another one's key", $WRONG{$protocol}, $stack,
                   '/.well-known/atls', @other, sni => "$own.example",
                   psk => $psk{$other});
    }

    # the default server has no keys, and the TLS 1.2 client offers only suites
    # with keys

    if ($protocol eq 'TLSv1.2') {
        is_refused("$stack, $protocol, default server", qr/^40$/, $stack,
                   '/.well-known/atls', @other, psk => $psk{a});
        return;
    }

    my $c = client($stack, '/.well-known/atls', @other, psk => $psk{a});
    ok($c->handshake(), "$stack, $protocol, default server")
        or diag($c->error());
    my $r = $c->get('/');
    is($r && $r->body(), 'default|NONE|', "$stack, $protocol: has no keys");
}


# One of the unknown identities contains a key.

sub unknown_not_logged {
    my $log = $t->read_file('error.log') . $t->read_file('access.log');
    my $offered = () = $log =~ /device:\Q$KEY\E/g;

    is($offered, 0, 'unknown identities are not logged');
}
