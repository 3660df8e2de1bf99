#!/usr/bin/perl

# The atls command with the module: TLS options, sessions, exporters.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw( decode_base64 );
use Test::More;

use Test::Atls::Site;

my $t = Test::Atls::Site->new();

$t->make_cert('client', ca => 'ca');
$t->make_cert('locked', ca => 'ca', password => 'sesame');
$t->write_file('psk', "device:1:00112233445566778899aabbccddeeff\n");

$t->serve(<<'EOC', endpoint => 'atls_early_data on;');
location = /late {
    atls on;
}

location = /verify {
    atls on;
    atls_verify_client on;
    atls_client_certificate %%TESTDIR%%/ca.crt;
}

location = /psk {
    atls on;
    atls_psk_file %%TESTDIR%%/psk;
    atls_ciphers ECDHE+AESGCM:PSK+AESGCM;
}

location = /info {
    add_header X-Early $atls_early_data;
    return 200 "protocol=$atls_protocol
cipher=$atls_cipher
sni=$atls_server_name
reused=$atls_session_reused
early=$atls_early_data
dn=$atls_client_s_dn
psk=$atls_psk_identity
exporter=$atls_exporter
";
}
EOC

my $atls = $t->command();
my $site = 'https://localhost';
my $r;

subtest('protocols and ciphers' => \&protocols);
subtest('client certificates' => \&client_certificates);
subtest('pre-shared keys' => \&pre_shared_keys);
subtest('session file' => \&session_file);
subtest('early data' => \&early_data);
subtest('exporter' => \&exporter);

$t->done_testing();


# Variables of the session in the service: protocol, cipher, ...

sub info {
    $r = $t->atls(@_, "$site/info");

    return { $r->{out} =~ /^(\w+)=(.*)$/mg };
}


sub protocols {
    my $info = info();
    is("$r->{code} $info->{protocol} $info->{sni}", '0 TLSv1.3 localhost',
       'TLS 1.3');

    $info = info('--tls-max=1.2');
    is("$r->{code} $info->{protocol}", '0 TLSv1.2', '--tls-max=1.2');

    my @cases = (
        [ 'ECDHE-ECDSA-AES256-GCM-SHA384', '--tls-max=1.2' ],
        [ 'ECDHE-ECDSA-CHACHA20-POLY1305', '--tls-max=1.2' ],
        [ 'TLS_AES_128_GCM_SHA256' ],
        [ 'TLS_CHACHA20_POLY1305_SHA256' ],
    );

    for (@cases) {
        my ($cipher, @args) = @$_;
        $info = info('--ciphers', $cipher, @args);
        is("$r->{code} $info->{cipher}", "0 $cipher", $cipher);
    }

    my $both = "$cases[1][0]:$cases[3][0]";
    is(info('--ciphers', $both)->{cipher}, $cases[3][0], 'both, TLS 1.3');
    is(info('--ciphers', $both, '--tls-max=1.2')->{cipher}, $cases[1][0],
       'both, TLS 1.2');

    $r = $t->atls('--tls-max=1.2', '--ciphers', 'AES128-SHA', $site);
    is($r->{code}, 35, 'one that the service does not have');
    like($r->{err}, qr/^atls: \(35\) .*handshake failure/, 'its alert');

    for my $bad ([ 'NONE', 59 ], [ 'TLS_NONE', 59 ], [ '', 2 ], [ ':', 2 ]) {
        my ($list, $code) = @$bad;
        is($t->atls('--ciphers', $list, $site)->{code}, $code, "bad: '$list'");
    }

    done_testing();
}


sub client_certificates {
    my @verify = '/verify';
    my ($crt, $key) = map { $t->path($_) } qw( client.crt client.key );

    is(info(@verify, '--cert', $crt, '--key', $key)->{dn}, 'CN=client',
       'certificate and key');

    my $both = $t->write_file('both', $t->read_file('client.crt')
                                      . $t->read_file('client.key'));
    is(info(@verify, '-E', $both)->{dn}, 'CN=client', 'in one file');

    my @locked = ('--cert', $t->path('locked.crt'),
                  '--key', $t->path('locked.key'));
    is(info(@verify, @locked, '--pass', 'sesame')->{dn}, 'CN=locked', '--pass');

    is($t->atls(@verify, @locked, '--pass', 'wrong', $site)->{code}, 58,
       'a wrong one');
    is($t->atls(@verify, @locked, $site)->{code}, 58, 'none, and nobody asks');

    $r = $t->atls(@verify, '-f', "$site/info");
    is($r->{code}, 22, 'no certificate: 400');

    is($t->atls('--key', $key, $site)->{code}, 2, 'a key alone');

    done_testing();
}


sub pre_shared_keys {
    my $key = '00112233445566778899aabbccddeeff';
    my @psk = ('/psk', '--psk', "device:1:$key");

    my $info = info(@psk);
    is("$r->{code} $info->{psk} $info->{protocol}", '0 device:1 TLSv1.3',
       '--psk') or diag($r->{err});

    $info = info(@psk, '--tls-max=1.2', '--ciphers', 'PSK-AES128-GCM-SHA256');
    is("$info->{psk} $info->{protocol} $info->{cipher}",
       'device:1 TLSv1.2 PSK-AES128-GCM-SHA256', 'TLS 1.2')
        or diag($r->{err});

    is(info('/psk', '--psk', '@' . $t->path('psk'))->{psk}, 'device:1',
       'of a file');

    is($t->atls('/psk', '--psk', 'device:1:' . 'ff' x 16, $site)->{code}, 35,
       'another key');

    $info = info('/psk', '--psk', "nobody:$key");
    is("$r->{code} $info->{psk}", '0 ', 'nobody\'s: by the certificate');
    $r = $atls->run($t->via('/psk'), '--psk', "nobody:$key", $site);
    is($r->{code}, 60, 'which has to be trusted');

    is($t->atls('--psk', $_, $site)->{code}, 2, "bad: $_")
        for 'alone', 'name:xyz', 'name:';
    is($t->atls('--psk', '@/nonexistent', $site)->{code}, 26, 'no file');

    done_testing();
}


sub session_file {
    my $file = $t->path('sessions');
    my @file = ('--session-file', $file);

    for my $protocol ('TLSv1.3', 'TLSv1.2') {
        my @args = (@file, $protocol eq 'TLSv1.2' ? '--tls-max=1.2' : ());

        is(info(@args)->{reused}, '.', "$protocol: a new session");
        is($r->{err}, '', 'nothing is said');
        is(sprintf('%o', (stat $file)[2] & 07777), '600', 'mode of the file');

        for (1 .. 5) {
            is(info(@args)->{reused}, 'r', "$protocol: resumed")
                or diag($r->{err});
        }
    }

    # a session is not used twice

    my @running = map {
        $atls->start($t->via(), $t->trust(), @file, "$site/info")
    } 1 .. 12;
    my @results = map { $atls->finish($_) } @running;
    is(scalar(grep { $_->{code} == 0 } @results), 12, 'a dozen at a time');

    my %kept;
    $kept{$_}++ for $t->read_file('sessions') =~ /^\w+ (https:.*)$/mg;
    is(scalar(grep { $_ > 4 } values %kept), 0, 'four are kept, not more');
    is(info(@file)->{reused}, 'r', 'and the file is as it should be');

    is(info(@file, '--cert', $t->path('client.crt'),
            '--key', $t->path('client.key'))->{reused}, '.',
       'not by somebody else');

    is(info()->{reused}, '.', 'not without the file');

    bad_session_files($file, @file);
    done_testing();
}


sub bad_session_files {
    my ($file, @file) = @_;

    my $good = $t->read_file('sessions');

    # invalid lines, and a truncated session

    for my $damage (sub { s/^[0-9a-f]{20}/00000000000000000000/mg },
                    sub { $_ = substr $_, 0, length($_) - 300 },
                    sub { s/^[0-9a-f]+ /x /mg; s/$/\n\n\n\0/ },
                    sub { $_ = '' })
    {
        local $_ = $good;
        $damage->();
        $t->write_file('sessions', $_);
        is(info(@file)->{protocol}, 'TLSv1.3', 'damaged') or diag($r->{err});
        is(info(@file)->{reused}, 'r', 'and mended');
    }

    chmod 0644, $file;
    $r = $t->atls(@file, "$site/info");
    is("$r->{code} $r->{out}", '2 ', 'others may read it');
    like($r->{err}, qr/chmod 600/, 'it says what to do');
    chmod 0600, $file;

    my $other = $t->write_file('thesis', 'Very important');
    chmod 0600, $other;
    $r = $t->atls('--session-file', $other, "$site/info");
    is($r->{code}, 2, 'another file');
    is($t->read_file('thesis'), 'Very important', 'is left alone');

    is($t->atls('--session-file', $_, $site)->{code}, 2, "bad: $_")
        for $t->dir(), '/nonexistent/file', '/dev/null';
}


sub early_data {
    my @file = ('--session-file', $t->path('early'));

    is(info(@file, '--early-data')->{early}, '', 'no session, no early data');

    my $info = info(@file, '--early-data');
    is("$info->{early} $info->{reused}", '1 r', 'early data');

    is(info(@file)->{early}, '', 'not without the option');

    $r = $t->atls(@file, '--early-data', '-d', 'x', "$site/info");
    like($r->{out}, qr/^early=$/m, 'not of a POST');

    $r = $t->atls(@file, '--early-data', '-I', "$site/info");
    like($r->{out}, qr/^X-Early: 1\r$/m, 'HEAD');

    # the service does not allow early data

    $info = info('/late', @file, '--early-data');
    $info = info('/late', @file, '--early-data');
    is("$info->{early} $info->{reused}", ' r', 'not where it is off');

    # after a restart, the server does not accept the tickets in the file

    for ([ '--early-data' ], [ '-d', 'x' ]) {
        info(@file);
        $t->stop()->run();
        $info = info(@file, @$_);
        is("$info->{early} $info->{reused}", ' .', "restarted: @$_");
    }

    is($t->atls('--early-data', $site)->{code}, 2, 'not without a file');
    is($t->atls(@file, '--early-data', '--report-middlebox', $site)->{code}, 2,
       'not with --report-middlebox');

    done_testing();
}


sub exporter {
    my @export = ('--export', 'EXPORTER-Channel-Binding:32');
    my @file = ('--session-file', $t->path('exports'));

    for my $args ([], [ '--tls-max=1.2' ], [ @file ], [ @file ],
                  [ @file, '--early-data' ], [ '-H', 'Connection: close' ])
    {
        my $info = info(@$args, @export);
        my $hex = unpack 'H*', decode_base64($info->{exporter});

        # the variable is empty during the handshake

        $hex = qr/[0-9a-f]{64}/ if $info->{early};

        like($r->{err}, qr/\AEXPORTER-Channel-Binding $hex\n\z/,
             'the service has the same: '
             . join ' ', grep { !m!^/! } @$args);
    }

    $r = $t->atls('--export', 'EXPORTER-a:b:5', "$site/info");
    like($r->{err}, qr/\AEXPORTER-a:b [0-9a-f]{10}\n\z/,
         'a label with a colon');

    $r = $t->atls(@export, "$site/info", "$site/info");
    my @keys = $r->{err} =~ / (\w{64})$/mg;
    is($keys[0], $keys[1], 'once for each URL, the same in a session');

    is($t->atls('--export', $_, $site)->{code}, 2, "bad: $_")
        for qw( label label: :32 label:0 label:x label:99999 label:-1 );

    done_testing();
}
