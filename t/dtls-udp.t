#!/usr/bin/perl

# Clients of other programs over UDP: a gateway puts their datagrams into POSTs,
# and loses, repeats and delays some.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Process qw( spawn stop_process );
use Test::Atls::Udp;

my $KEY = '00112233445566778899aabbccddeeff';

my $t = Test::Atls->new();

$t->write_file('keys', "device:$KEY\n");

$t->write_http(<<'EOC');
%%CERTIFICATE%%

atls_protocols DTLSv1.2;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /psk {
        atls on;
        atls_psk_file %%TESTDIR%%/keys;
        atls_ciphers PSK+AESCCM8:PSK+AESGCM:@SECLEVEL=0;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_set_header X-Cipher $atls_cipher;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));

Test::Atls::Udp->start($t, $t->port(2), to => $t->port(0));
Test::Atls::Udp->start($t, $t->port(3), to => $t->port(0), lossy => 8);
Test::Atls::Udp->start($t, $t->port(4), to => $t->port(0), uri => '/psk');

# openssl s_client

my @VERIFY = ('-CAfile', $t->path('localhost.crt'), '-verify_return_error');

my ($out, $err) = talk(qr/^0000002/m, request('/big?size=30&n=1'),
                       s_client($t->port(2), @VERIFY));

like($out, qr/^HTTP.*^0000000\n0000001/ms, 's_client') or diag($err);
like($err, qr/verify return:1/, 'certificate');
is($backend->request()->{h}{'x-cipher'}, 'ECDHE-ECDSA-AES256-GCM-SHA384',
   'suite');

for my $suite (qw( PSK-AES128-CCM8 PSK-AES128-GCM-SHA256 )) {
    ($out) = talk(qr/^000$/m, request("/big?size=3&n=$suite"),
                  s_client($t->port(4), '-psk', $KEY, '-psk_identity',
                           'device', '-cipher', "$suite:\@SECLEVEL=0"));

    like($out, qr/^HTTP.*^000$/ms, "s_client, $suite");
}

# gnutls-cli

SKIP: {
    skip('no gnutls-cli', 1)
        unless grep { -x "$_/gnutls-cli" } split /:/, $ENV{PATH};

    ($out, $err) = talk(qr/^0000002/m, request('/big?size=30&n=gnutls'),
                        'gnutls-cli', '--udp', '--port', $t->port(2),
                        '--x509cafile', $t->path('localhost.crt'),
                        '--verify-hostname', 'localhost', '127.0.0.1');

    like($out, qr/^0000000\n0000001/m, 'gnutls-cli') or diag($err);
}

# with losses: a request, or its response, may be lost, but not served twice

for my $n (1 .. 6) {
    my $sent = 0;

    ($out, $err) = talk(qr/^0000248$/m,
                        sub { request("/big?size=1992&lossy=$n-" . $sent++) },
                        s_client($t->port(3), @VERIFY));

    like($out, qr/^0000248$/m, "session $n with losses") or diag($err);
}

my %served;
$served{$_->{uri}}++ for $backend->requests();

is((grep { $_ > 1 } values %served), 0, 'no request was served twice');

$t->done_testing();


sub s_client {
    my ($port, @args) = @_;

    return (qw( openssl s_client -dtls1_2 -quiet -timeout ),
            '-servername', 'localhost', '-connect', "127.0.0.1:$port", @args);
}


sub request {
    return "GET $_[0] HTTP/1.1\r\nHost: localhost\r\n\r\n";
}


# Runs a program until its output matches.  A request that is a function is
# called again as long as there is no response.

sub talk {
    my ($re, $request, @command) = @_;

    my ($out, $err) = map { $t->path("program.$_") } qw( out err );

    pipe my $in, my $to or die "pipe: $!\n";

    my $pid = spawn({ code => sub {
        close $to;
        open STDIN, '<&', $in;
        open STDOUT, '>', $out;
        open STDERR, '>', $err;
        exec @command;
    } });

    close $in;

    my $sent = 0;

    $t->wait_for(sub {
        return 1 if -e $out && $t->read_file('program.out') =~ $re;
        return 0 if $sent++ % 20;

        syswrite $to, ref $request ? $request->()
                                   : $sent == 1 ? $request : '';
        return 0;
    });

    stop_process($pid, 'TERM', 5);

    return map { $t->read_file("program.$_") } qw( out err );
}
