#!/usr/bin/perl

# Associations: connections that race for one, HelloRetryRequest, resumption,
# early data, HTTP/2, and a flood of identities.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IPC::Open2;
use MIME::Base64;
use Test::More;

use Test::Atls;
use Test::Atls::Association;
use Test::Atls::Http qw( readable );
use Test::Atls::Slow qw( patience );
use Test::Atls::Status qw( added );

my $t = Test::Atls->new(workers => 2);
my ($h2, $http2) = $t->http2();

my $verify = 'ssl_client_certificate %%TESTDIR%%/localhost.crt; '
             . 'ssl_verify_client';
my @listen = (listen => "ssl $h2");

my $status = 'location = /status { atls_status; }';

$t->write_http(endpoints(other => $status) . <<"EOC"
ssl_session_cache builtin;
ssl_early_data on;
keepalive_timeout 1s;
EOC
    . accepting(1, '[$server_protocol|$atls_association|$ssl_early_data]',
                @listen, other => "$http2 ssl_ecdh_curve secp384r1;")
    . accepting(1, '[other]', @listen, other => $http2, name => 'other.example')
    . accepting(2, 'verified',
                other => "$verify on; ssl_conf_command Options AllowNoDHEKEX;")
    . accepting(3, '[$atls_association|$ssl_client_verify]',
                other => "$verify optional;"));

$t->run();

subtest('race' => \&race);
subtest('HelloRetryRequest' => \&retry);
subtest('resumption' => \&resumption);
subtest('early data' => \&early);
subtest('HTTP/2' => \&over_http2);
subtest('modes and verification' => \&modes);

$t->done_testing();


# s_client with an association; the handshake is complete.

sub start {
    my ($a) = @_;

    my $pid = open2(my $out, my $in, 'openssl', 's_client', '-connect',
                    '127.0.0.1:' . $t->port(1), '-servername', 'localhost',
                    '-ign_eof', '-psk', $a->{key}, '-psk_identity',
                    $a->{identity});
    my $text = '';

    until ($text =~ /Verify return code/) {
        readable($out, patience()) && sysread($out, $text, 4096, length $text)
            or last;
    }

    return { pid => $pid, in => $in, out => $out, text => $text };
}


sub finish {
    my ($c) = @_;

    syswrite $c->{in}, "GET / HTTP/1.1\r\nHost: localhost\r\n"
                       . "Connection: close\r\n\r\n";

    while (readable($c->{out}, patience())) {
        sysread $c->{out}, $c->{text}, 4096, length $c->{text} or last;
    }

    kill 'TERM', $c->{pid};             # it ends by itself, in general
    waitpid $c->{pid}, 0;

    return $c->{text};
}


# Both handshakes use the key.  Requests of one connection are processed.

sub race {
    my $a = obtain($t);
    my ($counted) = added($t, sub { compete($a) }, 'associations_total');

    is_deeply($counted, { accepted => 1, 'already-used' => 3 },
              'connections are counted');
}


sub compete {
    my ($a) = @_;

    my @c = map { start($a) } 1 .. 3;

    is(scalar(grep { $_->{text} =~ /^Reused/m } @c), 3, 'three handshakes');

    my @status = map { finish($_) =~ m!HTTP/1.1 (\d+)! ? $1 : 0 } @c;

    is("@status", '200 421 421', 'one connection');
    is(direct($t, $t->port(1), $a)->{psk}, 0, 'used up');
}


sub retry {
    my $r = direct($t, $t->port(1), obtain($t),
                   options => [ '-groups', 'X25519:secp384r1', '-msg' ]);

    is($r->{psk}, 1, 'the key is used');
    is($r->{body}, '[HTTP/1.1|on|]', 'accepted');
    is(scalar(() = $r->{out} =~ />>> .*ClientHello/g), 2, 'two ClientHellos');
}


sub resumption {
    my $sess = $t->path('session');
    my $r = direct($t, $t->port(1), obtain($t),
                   options => [ '-sess_out', $sess ]);

    is($r->{psk}, 1, 'the key is used');
    unlike($r->{out}, qr/New Session Ticket/, 'no ticket');

    $r = direct($t, $t->port(1), undef, options => [ '-sess_out', $sess ]);
    like($r->{out}, qr/New Session Ticket/, 'a ticket without an association');

    $r = direct($t, $t->port(1), undef, options => [ '-sess_in', $sess ]);
    is("$r->{psk} $r->{body}", '1 [HTTP/1.1||]', 'resumed, as before');
}


# An external session with early data: the ASN.1 of OpenSSL.

sub early {
    my $a = obtain($t, uri => '/reuse');
    my $der = der(0x30, der(0x02, "\x01"), der(0x02, "\x03\x04"),
                  der(0x04, "\x13\x01"), der(0x04, ''),
                  der(0x04, pack 'H*', $a->{key}),
                  der(0xa1, der(0x02, pack 'N', time() - 10)),
                  der(0xa2, der(0x02, "\x00\xff\xff")),
                  der(0xaf, der(0x02, "\x40\x00")));

    $t->write_file('psk.pem', "-----BEGIN SSL SESSION PARAMETERS-----\n"
                              . encode_base64($der)
                              . "-----END SSL SESSION PARAMETERS-----\n");
    $t->write_file('early', "GET /early HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my $r = direct($t, $t->port(1), { %$a },
                   options => [ '-psk_session', $t->path('psk.pem'),
                                '-groups', 'secp384r1',
                                '-early_data', $t->path('early') ]);

    like($r->{out}, qr/Early data was rejected/, 'rejected');
    is("$r->{psk} $r->{body}", '1 [HTTP/1.1|on|]', 'the handshake goes on');
}


sub der {
    my ($tag, @content) = @_;

    my $content = join '', @content;
    my $n = length $content;

    return pack('CC', $tag, $n) . $content if $n < 128;
    return pack('CCn', $tag, 0x82, $n) . $content;
}


sub over_http2 {
    plan(skip_all => 'no HTTP/2') if !$t->has_option('http_v2_module');

    my $a = obtain($t, uri => '/reuse');

    for (qw( localhost other.example )) {
        my $headers = "\x82\x87\x84\x41" . pack('C/a*', $_);
        my $r = direct($t, $t->port(1), $a, options => [ '-alpn', 'h2' ],
                       request => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                  . "\0\0\0\x04\0\0\0\0\0"
                                  . pack('CnCCN', 0, length $headers, 1, 5, 1)
                                  . $headers);

        is($r->{psk}, 1, "$_: the key is used");
        like($r->{out}, qr/ALPN protocol: h2/, "$_: HTTP/2");
        $_ eq 'localhost' ? like($r->{out}, qr/\[HTTP\/2.0\|on\|\]/, 'accepted')
                          : like($r->{out}, qr/421 Misdirected/, 'misdirected');
    }
}


sub modes {
    my $a = obtain($t, uri => '/reuse');
    my $r = direct($t, $t->port(2), $a,
                   options => [ '-allow_no_dhe_kex', '-msg' ]);

    is($r->{psk}, 1, 'psk_ke is offered, too');
    like($r->{out}, qr/Server Temp Key|Negotiated TLS1\.3 group: \w/,
         'but there is a key exchange');
    is($r->{status}, 400, 'ssl_verify_client is not met');
    like($r->{body}, qr/No required SSL certificate/, 'without a certificate');

    is(direct($t, $t->port(3), $a)->{body}, '[on|NONE]',
       'an optional certificate');
}
