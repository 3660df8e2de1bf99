#!/usr/bin/perl

# Pre-shared keys: those of TLS 1.3 and the suites of TLS 1.2, at endpoints with
# and without certificates; files that change, and files that are wrong.  No key
# is ever in a log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw( encode_base64 );
use Test::More;

use Test::Atls;
use Test::Atls::Stack qw( @STACKS );

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

# what a key in a log would be found by

my $MARK = 'c0ffee';
my $KEY = $MARK . '00112233445566778899aabbcc';

# identities may be anything that has no null byte, and end at the last colon

my @IDENTITIES = ('device', 'urn:dev:mac:0024befffe804ff1', 'a b',
                  "d\xc3\xa9j\xc3\xa0 vu", ':', '.', 'x' x 128);

# The binder is wrong, for which OpenSSL 3.0 and later ones have different alerts;
# the Finished can't be read.

my %WRONG = ('TLSv1.3' => qr/^(?:47|51)$/, 'TLSv1.2' => qr/^20$/);

my @WITH_PSK = (psk => [ 'device', $KEY ]);

# the names of OpenSSL, and what GnuTLS takes them for

my @SUITES = (
    [ 'PSK-AES128-GCM-SHA256',         'PSK',       'AES-128-GCM' ],
    [ 'PSK-AES256-GCM-SHA384',         'PSK',       'AES-256-GCM' ],
    [ 'PSK-CHACHA20-POLY1305',         'PSK',       'CHACHA20-POLY1305' ],
    [ 'PSK-AES128-CCM',                'PSK',       'AES-128-CCM' ],
    [ 'PSK-AES128-CCM8',               'PSK',       'AES-128-CCM-8' ],
    [ 'ECDHE-PSK-CHACHA20-POLY1305',   'ECDHE-PSK', 'CHACHA20-POLY1305' ],
    [ 'DHE-PSK-AES128-GCM-SHA256',     'DHE-PSK',   'AES-128-GCM' ],
    [ 'DHE-PSK-CHACHA20-POLY1305',     'DHE-PSK',   'CHACHA20-POLY1305' ],
    [ 'DHE-PSK-AES128-CCM8',           'DHE-PSK',   'AES-128-CCM-8' ],
    [ 'RSA-PSK-AES128-GCM-SHA256',     'RSA-PSK',   'AES-128-GCM' ],
);

my $t = Test::Atls->new(log_level => 'debug');
my $logged = 0;         # of the access log

$t->make_cert('localhost', type => 'rsa');
$t->make_cert('client');

$t->write_file('psk', join '', "# devices\r\n\r\n",
                               map { "$_:$KEY\r\n" } @IDENTITIES);
$t->write_file('many', join '', map { device($_) . "\n" } 1 .. 10_000);
$t->write_file('a', "device:${MARK}aa" . '00' x 12 . "\n");
$t->write_file('b', "device:${MARK}bb" . '00' x 12);

$t->write_file('dhparam.pem', <<'EOC');
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
EOC

# OpenSSL 3.2 has put the suites with a short tag on level 0

my $conf = http_conf(<<'EOC');
log_format psk '$atls_client_verify $atls_psk_identity';

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    atls_psk_file psk;
    atls_dhparam dhparam.pem;
    atls_conf_command Ciphersuites TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256;

    location = /both {
        atls on;
        %%CERTIFICATE%%
        atls_ciphers ECDHE+AESGCM:PSK+AESGCM:PSK+CHACHA20:PSK+AESCCM:PSK+AESCCM8:@SECLEVEL=0;
    }

    location = /default {
        atls on;
        %%CERTIFICATE%%
    }

    location = /only {
        atls on;
    }

    location = /verify {
        atls on;
        %%CERTIFICATE%%
        atls_verify_client on;
        atls_client_certificate client.crt;
    }

    location = /retry {
        atls on;
        atls_ecdh_curve secp384r1;
    }

    location = /many {
        atls on;
        atls_psk_file many;
    }

    location / {
        access_log %%TESTDIR%%/access.log psk;
        add_header X-Worker $pid;
        return 200 "$atls_protocol|$atls_cipher|$atls_client_verify|$atls_psk_identity|$atls_session_reused";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name default.example;

    %%CERTIFICATE%%

    location = /.well-known/atls {
        atls on;
        return 200 "default|$atls_client_verify|$atls_psk_identity";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name a.example;

    atls_psk_file a;

    location = /.well-known/atls {
        atls on;
        return 200 "a|$atls_client_verify|$atls_psk_identity";
    }
}

# keys, and the endpoint of the default server

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name b.example;

    atls_psk_file b;
}
EOC

$t->write_conf($conf)->run();

for my $stack (@STACKS) {
    served($stack, $_) for @PROTOCOLS;
    suites_tls13($stack);
    suites_tls12($stack);
    identities($stack, $_) for @PROTOCOLS;
    unknown($stack);
    wrong_key($stack, $_) for @PROTOCOLS;
    without_certificate($stack, $_) for @PROTOCOLS;
    beside_certificates($stack, $_) for @PROTOCOLS;
    tickets($stack);
    many($stack, $_) for @PROTOCOLS;
    servers($stack, $_) for @PROTOCOLS;
}

reloads();
bad_files();
no_keys_logged();

$t->done_testing();


# A connection for each POST: any of the workers.

sub served {
    my ($stack, $protocol) = @_;

    my $name = "$stack, $protocol";

    for my $uri (qw( /default /both )) {
        my $c = client($stack, $uri, protocol => $protocol, @WITH_PSK);

        ok($c->handshake(), "$name, $uri: handshake") or diag($c->error());

        # with RSA_PSK there is one

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


# Keys are of SHA-256, which a client may not like best.

sub suites_tls13 {
    my ($stack) = @_;

    my ($sha384, $sha256) = qw( TLS_AES_256_GCM_SHA384
                                TLS_AES_128_GCM_SHA256 );

    for my $suite ($sha256, qw( TLS_CHACHA20_POLY1305_SHA256
                                TLS_AES_128_CCM_SHA256
                                TLS_AES_128_CCM_8_SHA256 ))
    {
        is_served("$stack, $suite", "TLSv1.3|$suite|PSK|device|.",
                  $stack, '/both', ciphersuites => $suite,
                  ciphers_of($stack), protocol => 'TLSv1.3', @WITH_PSK);
    }

    is_served("$stack, SHA-384 first", "TLSv1.3|$sha256|PSK|device|.",
              $stack, '/both', protocol => 'TLSv1.3',
              ciphersuites => "$sha384:$sha256", @WITH_PSK);

    is_served("$stack, SHA-384 only", "TLSv1.3|$sha384|NONE||.",
              $stack, '/both', protocol => 'TLSv1.3',
              ciphersuites => $sha384, @WITH_PSK);

    # asked for another key share, the client sends another binder

    my $c = is_served("$stack, HelloRetryRequest",
                      "TLSv1.3|$sha256|PSK|device|.", $stack, '/retry',
                      protocol => 'TLSv1.3', groups => 'P-256:P-384',
                      ciphersuites => "$sha384:$sha256", @WITH_PSK);
    is($c->posts(), 4, "$stack, HelloRetryRequest: a POST more");

    # of somebody that the server does not know, nothing is held against it

    is_served("$stack, SHA-384 first, unknown", "TLSv1.3|$sha384|NONE||.",
              $stack, '/both', protocol => 'TLSv1.3',
              ciphersuites => "$sha384:$sha256", psk => [ 'nobody', $KEY ]);
}


sub suites_tls12 {
    my ($stack) = @_;

    for my $case (@SUITES) {
        my ($suite, $kx, $cipher) = @$case;

        my @suite = $stack eq 'openssl'
            ? (ciphers => "$suite:\@SECLEVEL=0")
            : (priority => "NORMAL:-KX-ALL:+$kx:-CIPHER-ALL:+$cipher");

        my $c = is_served("$stack, $suite", "TLSv1.2|$suite|PSK|device|.",
                          $stack, '/both', protocol => 'TLSv1.2', @suite,
                          @WITH_PSK);

        my $right = grep { seen($c) =~ /\|PSK\|device\|/ } 1 .. 4;
        is($right, 4, "$stack, $suite: from any worker");
    }
}


sub ciphers_of {
    my ($stack) = @_;

    return $stack eq 'openssl' ? (ciphers => 'ALL:@SECLEVEL=0') : ();
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

    # what is like one of them is none

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


# In TLS 1.3 the client hears of it by the certificate.

sub unknown {
    my ($stack) = @_;

    my @psk = (psk => [ 'nobody', $KEY ]);
    my $c = client($stack, '/default', protocol => 'TLSv1.3', @psk);

    ok($c->handshake(), "$stack, TLSv1.3: unknown") or diag($c->error());
    is($c->server_cert(), '/CN=localhost by /CN=localhost',
       "$stack, TLSv1.3: unknown: a certificate");
    is(seen($c), 'TLSv1.3|' . $c->cipher() . '|NONE||.',
       "$stack, TLSv1.3: unknown: nobody");

    # there is none

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


# Either will do where clients are verified, none will not.

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

    # a key that nobody knows is none

    $c = client($stack, '/verify', protocol => $protocol,
                psk => [ 'nobody', $KEY ]);
    $c->handshake();
    $r = $c->get('/');
    is($r && $r->status(), 400, "$name: an unknown key: refused");
}


# A key is as fast as a ticket, and can be taken back.

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

    # a certificate's, offered before the key: it is good if it is of the suite
    # that is chosen, which is one for keys

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


sub device {
    my ($n) = @_;

    return sprintf "urn:dev:%d:%s%026x", $n, $MARK, $n;
}


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


# The keys are those of the server that the client asks for.

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

    # the default server has none, and nothing else for this client in TLS 1.2

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


# A key that is gone from its file, or is another one, ends its sessions.

sub reloads {
    my $other = $KEY =~ s/cc$/dd/r;

    $t->write_file('psk', "stays:$KEY\nleaves:$KEY\nchanges:$KEY\n");
    ok($t->reload(), 'reload');

    my @clients = map { my $stack = $_; map { $stack->($_) } @PROTOCOLS }
                  map { my $stack = $_; sub { sessions($stack, $_[0]) } }
                  @STACKS;

    $t->write_file('psk', "first:$other\nstays:$KEY\nchanges:$other\n");
    ok($t->reload(), 'reload with other keys');

    for my $client (@clients) {
        my ($name, $identity, $c) = @$client;

        if ($identity eq 'stays' || $identity eq 'certificate') {
            like(seen($c), $identity eq 'stays' ? qr/\|PSK\|stays\|/
                                                : qr/\|NONE\|\|/,
                 "$name goes on");
            next;
        }

        $c->write_plain($c->format_get('/'));
        my $r = $c->post($c->tls_out());
        is($r && $r->status(), 410, "$name is gone");
    }

    for my $stack (@STACKS) {
        for my $protocol (@PROTOCOLS) {
            my @args = ($stack, '/only', protocol => $protocol);

            is_served("$stack, $protocol, the new key",
                      qr/\|PSK\|changes\|/, @args,
                      psk => [ 'changes', $other ]);
            is_refused("$stack, $protocol, the old key", undef, @args,
                       psk => [ 'changes', $KEY ]);
            is_refused("$stack, $protocol, no key any more", undef, @args,
                       psk => [ 'leaves', $KEY ]);
        }
    }

    # a file that is wrong changes nothing

    $t->write_file('psk', "stays:$MARK\nx\n");
    $t->allow_log(qr/\[emerg\].*invalid line 2/);
    ok(!$t->reload(), 'a reload that is refused');

    my @stay = grep { $_->[1] eq 'stays' } @clients;
    is(scalar(grep { seen($_->[2]) =~ /\|PSK\|stays\|/ } @stay), scalar @stay,
       'and changes nothing');
}


sub sessions {
    my ($stack, $protocol) = @_;

    my @sessions;

    for my $identity (qw( stays leaves changes certificate )) {
        my $name = "$stack, $protocol: '$identity'";
        my $c = client($stack, '/default', protocol => $protocol,
                       $identity eq 'certificate'
                       ? () : (psk => [ $identity, $KEY ]));

        ok($c->handshake(), $name) or diag($c->error());
        like(seen($c), $identity eq 'certificate' ? qr/\|NONE\|\|/
                                                  : qr/\|PSK\|$identity\|/,
             "$name is served");
        push @sessions, [ $name, $identity, $c ];
    }

    return @sessions;
}


# What nginx -t says of files that are no good: where, and why, and no more.

sub bad_files {
    my $good = "good:$KEY\n";

    my @bad = (
        [ 'no colon',          "$good$MARK$KEY\n", 2, 'no colon' ],
        [ 'no identity',       "$good\n:$KEY\n", 3, 'identity must be' ],
        [ 'a long identity',   'i' x 129 . ":$KEY", 1, 'identity must be' ],
        [ 'a null byte',       "a\0b:$KEY", 1, 'null byte' ],
        [ 'no key',            "$good#\nx:\n", 3, 'key must be' ],
        [ 'half a byte',       "$good\r\nx:${KEY}0\n", 3, 'key must be' ],
        [ 'a long key',        "x:$MARK" . '00' x 254 . "\n", 1, 'key must be' ],
        [ 'no digits',         "x:${KEY}0g\n", 1, 'not hexadecimal' ],
        [ 'a space before',    "x: 0$KEY\n", 1, 'not hexadecimal' ],
        [ 'a space behind',    "x:${KEY}0 \n", 1, 'not hexadecimal' ],
        [ 'a prefix',          "x:0x$KEY\n", 1, 'not hexadecimal' ],
        [ 'key and identity',  "$KEY:device\n", 1, 'not hexadecimal' ],
        [ 'an identity twice', "${good}x:$KEY\ngood:${KEY}00\n", 3,
                               'duplicate identity of line 1' ],
        [ 'a line twice',      $good x 2, 2, 'duplicate identity of line 1' ],
    );

    for my $case (@bad) {
        my ($name, $content, $line, $reason) = @$case;

        my $path = $t->write_file('bad', $content);
        my $said = refused('bad');

        like($said, qr/\[emerg\].* invalid\ line\ $line\ in\ "\Q$path\E":
                       \ .*\Q$reason\E.*\ in\ \S+config-test\.conf:\d+$/mx,
             "$name: line $line");
        unlike($said, qr/$MARK/i, "$name: no key is said");
    }

    my $path = $t->write_file('bad', '');
    like(refused('bad'), qr/no keys in "\Q$path\E" in \S+:\d+$/m,
         'an empty file');
    $t->write_file('bad', "# $KEY\r\n\r\n\n");
    like(refused('bad'), qr/no keys in "\Q$path\E" in \S+:\d+$/m,
         'only comments');
    unlike(refused('bad'), qr/$MARK/i, 'of which nothing is said');

    like(refused('missing'), qr/"\Q@{[ $t->path('missing') ]}\E" failed \(2: /,
         'no file');
    like(refused($t->dir()), qr/"\Q@{[ $t->dir() ]}\E" is not a regular file/,
         'a directory');
    like(refused('/dev/zero'), qr!"/dev/zero" is not a regular file!,
         'a device');

    # short keys are for tests

    $t->write_file('weak', "one:$MARK\ntwo:$KEY\n");
    is(refused('weak'), '', 'a short key');
    like($t->read_file('config-test.out') . $t->read_file('config-test.log'),
         qr/\[warn\].* 1 of 2 keys in \S+ are shorter than 16 bytes/,
         'is warned of');
}


# What is said, and where all is logged.

sub refused {
    my ($file) = @_;

    my $error = $t->config_error(http_conf(<<"EOC"));
server {
    listen 127.0.0.1:%%PORT_0%%;
    atls_psk_file $file;
}
EOC

    return $error eq '' ? '' : $error . $t->read_file('config-test.log');
}


sub no_keys_logged {
    $t->stop();

    my $log = $t->read_file('error.log') . $t->read_file('access.log')
              . $t->read_file('stderr');

    # an identity that is one key too long was offered by a client

    my $offered = () = $log =~ /device:\Q$KEY\E/g;
    is($offered, 0, 'identities that are unknown are not logged');

    unlike($log, qr/$MARK/i, 'no key in hexadecimal');
    unlike($log, qr/\Q@{[ pack 'H*', $MARK ]}\E/, 'none in bytes');
    unlike($log, qr/\Q@{[ encode_base64(pack('H*', $MARK), '') ]}\E/,
           'none in base64');
    like($log, qr/\[debug\]/, 'at level debug') if $t->has_option('debug');
}


sub is_served {
    my ($name, $expected, $stack, $uri, @args) = @_;

    my $c = client($stack, $uri, @args);

    ok($c->handshake(), "$name: handshake") or diag($c->error());

    if (ref $expected) {
        like(seen($c), $expected, "$name: served");
    } else {
        is(seen($c), $expected, "$name: served");
    }

    return $c;
}


sub is_refused {
    my ($name, $alert, $stack, $uri, @args) = @_;

    my $c = client($stack, $uri, @args);
    my $cookie;

    # the cookie of the first flight is the one that is gone

    $c->handshake_step();
    $c->exchange($c->tls_out());
    $cookie = $c->cookie();

    ok(!$c->handshake() && $c->state() eq 'failed', "$name: refused");
    like($c->alert(), $alert, "$name: alert") if defined $alert;
    is($c->cookie(), undef, "$name: no session");
    gone($c, $cookie, $name) if defined $cookie;
}


sub gone {
    my ($c, $cookie, $name) = @_;

    my $r = $c->post("\x17\x03\x03\x00\x20" . 'x' x 32,
                     cookie => "atls=$cookie");

    is($r && $r->status(), 410, "$name: the session is gone");
}


sub seen {
    my ($c) = @_;

    my $r = $c->get('/');

    return $r ? $r->body() : $c->error();
}


# In TLS 1.2 clients would rather have a certificate: those with a key are told
# to have nothing else.

sub client {
    my ($stack, $uri, %args) = @_;

    my $suites = $stack eq 'openssl' ? 'ciphers' : 'priority';

    $args{$suites} ||= $stack eq 'openssl' ? 'PSK' : 'NORMAL:-KX-ALL'
        if $args{psk} && $args{protocol} eq 'TLSv1.2';

    return $t->stack($stack, uri => $uri, keepalive => 0, %args);
}
