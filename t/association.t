#!/usr/bin/perl

# Associations: obtained in a session, accepted later by an ordinary TLS server.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Association;
use Test::Atls::Authority;
use Test::Atls::Stack qw( @STACKS );

my $t = Test::Atls->new(log_level => 'debug');
my $ca = Test::Atls::Authority->new($t, 'ca');

$ca->issue($_) for qw( alice bob );

$t->write_file('psk', "device:c0ffee00112233445566778899aabbcc\n");

$t->write_http(<<'EOC');
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%
ssl_protocols TLSv1.2 TLSv1.3;

atls_association 30d;
atls_verify_client optional;
atls_client_certificate %%TESTDIR%%/ca.crt;
atls_psk_file %%TESTDIR%%/psk;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location = /.well-known/atls {
        atls on;
    }

    location = /reuse {
        atls on;
        atls_association 1h reuse;
    }

    location = /off {
        atls on;
        atls_association off;
    }

    location / {
        return 200 "inner $atls_client_s_dn";
    }

    location = /.well-known/atls-association {
        error_page 404 /;
    }
}

server {
    listen 127.0.0.1:%%PORT_1%% ssl;
    server_name localhost;
    atls_association_accept on;

    location / {
        return 200 "$ssl_protocol|$atls$atls_association|$atls_client_verify|$atls_client_s_dn|$atls_client_i_dn|$atls_client_serial|$atls_client_fingerprint|$atls_client_v_start|$atls_client_v_end|$atls_psk_identity";
    }

    location = /cert {
        return 200 "$atls_client_cert_rfc9440";
    }

    location = /required {
        atls_required on;
        return 200 "required";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%% ssl;
    server_name other.example;
    atls_association_accept on;

    location / {
        return 200 "other $atls_client_s_dn";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%% ssl;
    server_name off.example;

    location / {
        return 200 "off $atls_client_s_dn";
    }
}

server {
    listen 127.0.0.1:%%PORT_2%% ssl;
    server_name localhost;

    location / {
        return 200 "plain $atls_association$atls_client_s_dn";
    }
}
EOC

$t->run();

# of the handshake without the key, as with a ticket of core

$t->allow_log(qr/binder does not verify/);

my %secrets;            # keys that must not be logged

for my $stack (@STACKS) {
    obtained($stack);
    identified($stack);
    once($stack);
    reused($stack);
}

refused();
other_servers();
not_with_psk_only();
no_keys_logged();

$t->done_testing();


sub session {
    my ($stack, %args) = @_;

    my $c = $t->stack($stack, protocol => 'TLSv1.3', %args);

    $c->handshake() or diag($c->error());

    return $c;
}


sub association {
    my $a = prepare(session(@_));

    $secrets{$a->{key}} = 1 if $a;

    return $a;
}


sub obtained {
    my ($stack) = @_;

    my $c = session($stack);
    my $now = time();
    my $r = ask($c);

    is($r->status(), 200, "$stack: an association");
    is($r->header('Content-Type'), 'application/json', "$stack: type");
    is($r->header('Cache-Control'), 'no-store', "$stack: not stored");

    my ($a, $b) = (prepare($c), prepare($c));

    ok($a && $b, "$stack: two more");
    cmp_ok(abs($a->{expires} - $now - 30 * 86400), '<', 60, "$stack: expires");
    is($a->{reusable}, 'false', "$stack: for one use");
    isnt($a->{key}, $b->{key}, "$stack: another key");
    isnt($a->{identity}, $b->{identity}, "$stack: another identity");

    $r = ask($c, 'GET');
    is($r->status() . ' ' . $r->header('Allow'), '405 POST', "$stack: GET");
    is(ask($c)->status(), 200, "$stack: the session goes on");
    is($c->get('/')->body(), 'inner ', "$stack: other requests");

    $r = ask(session($stack, uri => '/off'));
    is($r->status(), 404, "$stack: off");

    my $old = session($stack, protocol => 'TLSv1.2');
    ok(prepare($old), "$stack: a session of TLS 1.2");
}


# The variables are those of a session.

sub identified {
    my ($stack) = @_;

    my $file = $t->path('alice');
    my @alice = (cert => "$file.crt", key => "$file.key");

    for my $program (qw( openssl gnutls )) {
        my @with = (gnutls => $program eq 'gnutls');
        my $name = "$stack, $program";

        my $r = direct($t, $t->port(1), association($stack), @with);

        is($r->{status}, 200, "$name: anonymous") or diag($r->{out}, $r->{err});
        is($r->{body}, 'TLSv1.3|on|NONE|||||||', "$name: variables");

        $r = direct($t, $t->port(1), association($stack, @alice), @with);

        like($r->{body}, qr/^TLSv1\.3\|on\|SUCCESS\|CN=alice\|CN=ca
                            \|[0-9A-F]+\|[0-9a-f]{40}\|[^|]+GMT\|[^|]+GMT\|$/x,
             "$name: a client with a certificate");

        $r = direct($t, $t->port(1), association($stack, @alice), @with,
                    uri => '/cert');
        like($r->{body}, qr/^:[A-Za-z0-9+\/=]+:$/, "$name: its certificate");

        $r = direct($t, $t->port(1), association($stack), @with,
                    uri => '/required');
        is($r->{status}, 403, "$name: this is not ATLS");
    }
}


sub once {
    my ($stack) = @_;

    my $a = association($stack);

    is(direct($t, $t->port(1), $a)->{psk}, 1, "$stack: used once");

    my $r = direct($t, $t->port(1), $a);

    is($r->{psk}, 0, "$stack: not a second time");
    like($r->{body}, qr/^TLSv1\.3\|\|\|/, "$stack: the certificate is used");
}


sub reused {
    my ($stack) = @_;

    my $c = session($stack, uri => '/reuse');
    my $a = prepare($c);

    is($a->{reusable}, 'true', "$stack: reusable");
    is(direct($t, $t->port(1), $a)->{psk}, 1, "$stack: use $_") for 1 .. 5;

    ok($t->reload(), "$stack: reload");
    is(direct($t, $t->port(1), $a)->{psk}, 1, "$stack: after a reload");
}


# Nobody without the key.

sub refused {
    my $a = association('openssl');

    my $r = direct($t, $t->port(1), { %$a, key => '00' x 32 });
    is($r->{status}, 0, 'another key: the handshake fails');

    is(direct($t, $t->port(1), $a)->{psk}, 1, 'it was not used up');

    $a = association('openssl');

    for my $at (0, 5, 20, 40, 100, length($a->{identity}) - 3) {
        my $identity = $a->{identity};
        substr($identity, $at, 1) =~ tr/A-Za-z0-9_\-/B-Za-z0-9_\-A/;

        $r = direct($t, $t->port(1), { %$a, identity => $identity });
        is("$r->{psk} $r->{status}", '0 200', "a changed identity, $at");
    }

    for my $identity ('x', 'A' x 300, substr($a->{identity}, 0, 60),
                      $a->{identity} . 'AAAA')
    {
        $r = direct($t, $t->port(1), { %$a, identity => $identity });
        is("$r->{psk} $r->{status}", '0 200',
           'an identity of ' . length $identity);
    }

    is(direct($t, $t->port(1), $a)->{psk}, 1, 'it was not used up');
}


sub other_servers {
    my $a = association('openssl', uri => '/reuse');

    my $r = direct($t, $t->port(2), $a);
    is("$r->{psk} $r->{body}", '0 plain ', 'a server without the directive');

    $r = direct($t, $t->port(1), $a, sni => 'other.example',
                host => 'other.example');
    is("$r->{psk} $r->{body}", '0 other ', 'an association of another name');

    $r = direct($t, $t->port(1), $a, sni => 'off.example',
                host => 'off.example');
    is("$r->{psk} $r->{body}", '0 off ', 'no other server without it');

    $r = direct($t, $t->port(1), $a, sni => '');
    is($r->{psk}, 0, 'no name');

    for my $host (qw( other.example off.example )) {
        $r = direct($t, $t->port(1), $a, host => $host);
        is("$r->{psk} $r->{status}", '1 421', "a request for $host");
    }

    $r = direct($t, $t->port(1), association('openssl', uri => '/reuse',
                                             sni => 'OTHER.example'),
                sni => 'other.example', host => 'other.example');
    is("$r->{psk} $r->{body}", '1 other ', 'the name in another case');
}


sub not_with_psk_only {
    my $a = association('openssl', psk => [ 'device', 'c0ffee00112233445566778'
                                                      . '899aabbcc' ]);

    like(direct($t, $t->port(1), $a)->{body},
         qr/^TLSv1\.3\|on\|PSK\|\|\|\|\|\|\|device$/,
         'a client with a pre-shared key');
}


sub no_keys_logged {
    $t->stop();

    my $log = $t->read_file('error.log');
    my @logged = grep { $log =~ /$_/i } keys %secrets;

    ok(keys %secrets > 5, 'keys');
    is(scalar @logged, 0, 'no key is logged');
}
