#!/usr/bin/perl

# Associations in TLS 1.2: one suite, and a key of its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Net::SSLeay;
use Test::More;
use version;

use Test::Atls;
use Test::Atls::Association;

my $t = Test::Atls->new(log_level => 'info');
my ($h2, $http2) = $t->http2();

my $SUITE = 'ECDHE-PSK-CHACHA20-POLY1305';
my $TLS12 = "$http2 ssl_protocols TLSv1.2; keepalive_requests 1;";
my $VERIFY = "$TLS12 ssl_client_certificate %%TESTDIR%%/localhost.crt; "
             . 'ssl_verify_client';
my $RESPONSE = '[$ssl_protocol|$ssl_cipher|$ssl_session_reused|'
               . '$atls_association|$atls_client_verify|$atls_psk_identity|'
               . '$server_protocol]';

$t->write_file('psk', "device:c0ffee00112233445566778899aabbcc\n");

$t->write_http(<<'EOC'
atls_verify_client optional;
atls_client_certificate %%TESTDIR%%/localhost.crt;
atls_psk_file %%TESTDIR%%/psk;
ssl_session_cache builtin;
log_format association "$request_method '$atls_association'";
EOC
    . endpoints()
    . accepting(1, $RESPONSE, listen => "ssl $h2", other => $TLS12)
    . accepting(1, '[other]', name => 'other.example', listen => "ssl $h2",
                other => "$TLS12 access_log %%TESTDIR%%/access.log "
                         . 'association; lingering_close off;')
    . accepting(2, $RESPONSE)
    . accepting(3, 'verified', other => "$VERIFY on;")
    . accepting(4, '[$atls_association|$ssl_client_verify]',
                other => "$VERIFY optional;")
    . accepting(5, 'no suite',
                other => "$TLS12 ssl_ciphers aRSA:aECDSA:!CHACHA20;")
    . accepting(5, '$ssl_cipher', name => 'other.example',
                other => "$TLS12 ssl_ciphers CHACHA20;")
    . accepting(6, '[$atls_association]',
                other => "$TLS12 ssl_conf_command Options "
                         . '-ExtendedMasterSecret;')
    . <<"EOC");
server {
    listen 127.0.0.1:%%PORT_1%% ssl $h2;
    server_name off.example;
    $TLS12
    return 200 off;
}
EOC

$t->run();

subtest('accepted' => \&accepted);
subtest('single use' => \&once);
subtest('keys' => \&keys_of_versions);
subtest('nobody without the key' => \&refused);
subtest('suites' => \&suites);
subtest('servers' => \&servers);
subtest('resumption' => \&resumption);
subtest('client certificates' => \&verified);
subtest('HTTP/2' => \&over_http2);
subtest('errors' => \&broken);

$t->done_testing();


sub used {
    return direct($t, $t->port(1), @_, tls12 => 1);
}


sub failed {
    my ($r, $name) = @_;

    is("$r->{status} $r->{body}", '0 ', "$name: the handshake fails")
        or diag($r->{out});
}


sub accepted {
    # a client of TLS 1.2 with a pre-shared key crashes in 3.7

    my ($gnutls_version) = `gnutls-cli --version` =~ /([\d.]+)/;
    my $gnutls_crashes = version->parse($gnutls_version) < '3.8';

    for my $gnutls (0, $gnutls_crashes ? () : 1) {
        my $program = $gnutls ? 'gnutls-cli' : 's_client';
        my $r = used(obtain($t), gnutls => $gnutls);

        is($r->{body}, "[TLSv1.2|$SUITE|.|on|NONE||HTTP/1.1]", $program)
            or diag($r->{out}, $r->{err});
        unlike($r->{out}, qr/BEGIN CERT|- Certificate\[/,
               "$program: no certificate");
    }

    my $r = used(obtain($t, psk => [ 'device', 'c0ffee001122334455667788'
                                               . '99aabbcc' ]));

    is($r->{body}, "[TLSv1.2|$SUITE|.|on|PSK|device|HTTP/1.1]",
       'the client of the session');
}


sub once {
    my $a = obtain($t);

    is(used($a)->{status}, 200, 'used once');
    failed(used($a), 'a second time');
    is(direct($t, $t->port(2), $a)->{psk}, 0, 'nor in TLS 1.3');

    $a = obtain($t);

    is(direct($t, $t->port(2), $a)->{psk}, 1, 'used in TLS 1.3');
    failed(used($a), 'then in TLS 1.2');

    $a = obtain($t, uri => '/reuse');

    is(used($a)->{status}, 200, "reused, $_") for 1 .. 3;

    my $r = used($a, host => 'other.example');

    is($r->{status}, 421, 'a request for another server');
}


# The keys of both versions are not interchangeable.

sub keys_of_versions {
    my $a = obtain($t, uri => '/reuse');
    my @suite = (options => [ '-cipher', $SUITE ]);

    failed(direct($t, $t->port(1), $a,
                  options => [ '-tls1_2', '-cipher', $SUITE ]),
           'the key of TLS 1.3 in TLS 1.2');

    my $r = direct($t, $t->port(2), $a, @suite);

    is("$r->{psk} $r->{status}", '1 200', 'TLS 1.3, with the suite');
    like($r->{body}, qr/^\[TLSv1\.3\|.*\|on\|NONE\|/, 'accepted');

    $r = direct($t, $t->port(2), { %$a, identity => 'x' }, @suite);

    is("$r->{psk} $r->{status}", '0 200',
       'TLS 1.3, another identity: a certificate');

    $t->allow_log(qr/binder does not verify/);
    failed(direct($t, $t->port(2), tls12($a), @suite),
           'the key of TLS 1.2 in TLS 1.3');

    is(used($a)->{status}, 200, 'TLS 1.2');
    is(direct($t, $t->port(2), $a, tls12 => 1)->{status}, 200,
       'TLS 1.2 of a client, at a server with both');
}


# Faults of the client are logged at the info level.

# With OpenSSL 3.2 and later, old versions of nginx log it as critical.

sub refused {
    $t->allow_log(qr/bad record mac/);

    my $a = obtain($t);
    my $identity = $a->{identity};

    failed(used({ %$a, key => '00' x 32 }), 'another key');

    for my $at (0, 5, 20, 40, 100, length($identity) - 3) {
        my $other = $identity;
        substr($other, $at, 1) =~ tr/A-Za-z0-9_\-/B-Za-z0-9_\-A/;

        failed(used({ %$a, identity => $other }), "a changed identity, $at");
    }

    for my $other ('x', 'A' x 250, substr($identity, 0, 60)) {
        failed(used({ %$a, identity => $other }),
               'an identity of ' . length $other);
    }

    failed(used($a, gnutls => 1, priority => ':%NO_SESSION_HASH'),
           'no extended master secret');

    is(used($a)->{status}, 200, 'it was not used up');

    like($t->read_file('error.log'), qr/bad record mac/, 'logged');
}


sub suites {
    my $a = obtain($t, uri => '/reuse');

    for my $suite (qw( PSK-AES128-GCM-SHA256 DHE-PSK-CHACHA20-POLY1305
                       RSA-PSK-CHACHA20-POLY1305 PSK-CHACHA20-POLY1305
                       ECDHE-PSK-AES256-CBC-SHA384 ), 'kPSK:kECDHEPSK')
    {
        failed(used($a, options => [ '-cipher', $suite ]), $suite);
    }

    my $certificate = qr/^\[TLSv1\.2\|ECDHE-(RSA|ECDSA)-\S+\|\.\|\|\|\|HTTP/;

    for my $suites ("$SUITE:aRSA:aECDSA", 'DEFAULT') {
        like(used($a, options => [ '-cipher', $suites ])->{body}, $certificate,
             "$suites: a certificate");
    }

    like(direct($t, $t->port(1))->{body}, $certificate, 'a client without it');
    failed(direct($t, $t->port(5), $a, tls12 => 1), 'ssl_ciphers without it');
    is(direct($t, $t->port(5))->{status}, 200, 'other clients');

    my $r = direct($t, $t->port(6), $a, tls12 => 1);

    is($r->{body}, '[]', 'a server without extended master secret');
}


sub servers {
    my $a = obtain($t, uri => '/reuse');

    for my $name (qw( other.example off.example ), '') {
        failed(used($a, sni => $name, host => $name || 'localhost'),
               "server name \"$name\"");
    }

    my $r = used(obtain($t, sni => 'OTHER.example'), sni => 'other.example',
                 host => 'other.example');

    is($r->{body}, '[other]', 'its own');

    # The association is offered for TLS 1.3 as well.  The suites of TLS 1.2 are
    # those of the server, not of the default server.

    $a = tls12(obtain($t, uri => '/reuse', sni => 'other.example'));

    for ($SUITE, 'aRSA+CHACHA20:aECDSA+CHACHA20') {
        $r = direct($t, $t->port(5), $a, sni => 'other.example',
                    host => 'other.example', options => [ '-cipher', $_ ]);

        like($r->{body}, qr/^ECDHE-.*CHACHA20/, "not the default server: $_");
    }
}


sub resumption {
    my $a = obtain($t, uri => '/reuse');
    my $session = $t->path('session');
    my $r = used($a, options => [ '-sess_out', $session ]);

    like($r->{body}, qr/\|$SUITE\|\.\|on\|/, 'the key is used');
    unlike($r->{out}, qr/TLS session ticket:|Session-ID: \w/,
           'neither a ticket nor a session id');
    ok(!-e $session, 'no session to resume');

    my @with = ([ '-sess_out', $session ], [ '-sess_in', $session ]);
    my @reused = map { (direct($t, $t->port(1), undef, options => $_)->{body}
                        =~ /^\[TLSv1\.2\|[^|]+\|(.)\|/)[0] } @with;

    is("@reused", '. r', 'other sessions are resumed');
}


sub verified {
    my $a = obtain($t, uri => '/reuse');
    my $r = direct($t, $t->port(3), $a, tls12 => 1);

    is($r->{status}, 400, 'ssl_verify_client is not met');
    is(direct($t, $t->port(4), $a, tls12 => 1)->{body}, '[on|NONE]',
       'an optional certificate');
}


sub over_http2 {
    plan(skip_all => 'no HTTP/2') if !$t->has_option('http_v2_module');

    my $headers = "\x82\x87\x84\x41" . pack('C/a*', 'localhost');
    my $r = used(obtain($t), options => [ '-alpn', 'h2' ],
                 request => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                            . "\0\0\0\x04\0\0\0\0\0"
                            . pack('CnCCN', 0, length $headers, 1, 5, 1)
                            . $headers);

    like($r->{out}, qr/\Q|$SUITE|.|on|NONE||HTTP\/2.0]/, 'accepted');
}


# A record that is not authentic, in the body of a request.

sub broken {
    $t->allow_log(qr/bad record mac/);

    my $a = tls12(obtain($t, sni => 'other.example'));
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $t->port(1))
        or die "connect: $!\n";
    my $ctx = Net::SSLeay::CTX_new();

    Net::SSLeay::CTX_set_cipher_list($ctx, $SUITE);
    Net::SSLeay::CTX_set_psk_client_callback($ctx,
                                             sub { @$a{qw( identity key )} });

    my $ssl = Net::SSLeay::new($ctx);

    Net::SSLeay::set_tlsext_host_name($ssl, 'other.example');
    Net::SSLeay::set_fd($ssl, fileno $socket);
    is(Net::SSLeay::connect($ssl), 1, 'the handshake');
    Net::SSLeay::write($ssl, "POST / HTTP/1.1\r\nHost: other.example\r\n"
                             . "Content-Length: 2\r\n\r\nx");
    like(Net::SSLeay::read($ssl), qr!^HTTP/1\.1 200 !, 'accepted');
    syswrite $socket, pack('Cnn/a*', 23, 0x0303, 'x' x 32);

    my $logged = '';

    $t->wait_for(sub {
        ($logged) = $t->read_file('access.log') =~ /^(POST .*)/m;
    });
    is($logged, "POST 'on'", 'logged as that of the client');

    Net::SSLeay::free($ssl);
    Net::SSLeay::CTX_free($ctx);
}
