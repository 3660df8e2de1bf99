#!/usr/bin/perl

# atls --via coaps://: the command through a gateway with DTLS, with pre-shared
# keys and certificates.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Gateway;
use Test::Atls::LocalServer qw( next_answer summary );
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Port qw( free_port );
use Test::Atls::Slow qw( patience );

use constant { KEY => '00112233445566778899aabbccddeeff', SIZE => 20_000 };

my $t = Test::Atls::Gateway->new();
my $backend = $t->backend();

$t->make_cert('device', ca => 'ca', subject => '/CN=device');
$t->make_cert('other', is_ca => 1);
$t->write_file('both', join '', map { $t->read_file($t->path("device.$_")) }
                                    qw( crt key ));
$t->write_file('keys', 'device:1:' . KEY . "\n");
$t->write_file('key', 'device:1:' . KEY . "\n");

$t->serve_located();

my @cert = map { ("--$_->[0]", $t->path($_->[1])) }
           [ cert => 'localhost.crt' ], [ key => 'localhost.key' ];
my @psk = ('--via-psk', 'device:1:' . KEY);
my @patient = ('--connect-timeout', patience());    # a handshake may take long
my $port = free_port();
my $g = $t->gateway('-l', "coaps://127.0.0.1:$port", '--psk-file',
                    $t->path('keys'), @cert);

subtest('pre-shared keys' => \&with_psk);
subtest('certificates' => \&with_cert);
subtest('atls forward' => \&forward);

is($g->stop()->{code}, 0, 'exit code');

$t->done_testing();


# Runs the command through a gateway.

sub via {
    my ($host, @args) = @_;

    return $t->command()->run($t->trust(), @patient, '--via', uri($host),
                              @args);
}


sub uri {
    my ($host) = @_;

    return $t->gateway_uri($g, scheme => 'coaps', host => $host,
                           port => $port);
}


sub with_psk {
    my $r = via('127.0.0.1', @psk, 'https://localhost/exact');
    is("$r->{code} $r->{out}", "0 exactly\n", 'a request') or diag($r->{err});

    $r = via('localhost', '--via-psk', '@' . $t->path('key'), '-d',
             pattern(SIZE), 'https://localhost/body');
    ok($r->{code} == 0 && $r->{out} eq pattern(SIZE), 'blocks both ways')
        or diag($r->{err});
    is($t->metric($g, 'challenges_total'), 0, 'no Echo');

    $r = via('127.0.0.1', '--via-psk', 'nobody:' . KEY, 'https://localhost/');
    is("$r->{code} $r->{out}", '35 ', 'an unknown identity');
    like($r->{err}, qr/the DTLS handshake failed with 127\.0\.0\.1, port $port$/m,
         'a message');

    # records that cannot be decrypted are discarded: RFC 6347, section 4.1.2.7

    $r = via('127.0.0.1', '--connect-timeout', 3, '--via-psk',
             'device:1:' . KEY =~ tr/0/1/r, 'https://localhost/');
    is("$r->{code} $r->{out}", '28 ', 'another key');
    is(join(' ', map { $_->{uri} } $backend->requests()), '/body',
       'no other request');

    done_testing();
}


sub with_cert {
    my $r = via('127.0.0.1', 'https://localhost/exact');
    is("$r->{code} $r->{out}", "0 exactly\n", 'of the gateway only')
        or diag($r->{err});

    # certificates of devices

    my $any = $port;
    $port = free_port();
    my $verify = $t->gateway('-l', "coaps://127.0.0.1:$port", @cert, '--cacert',
                             $t->path('ca.crt'));

    for ([ '--via-cert', $t->path('device.crt'), '--via-key',
           $t->path('device.key') ], [ '--via-cert', $t->path('both') ])
    {
        $r = via('localhost', @$_, 'https://localhost/exact');
        is("$r->{code} $r->{out}", "0 exactly\n", 'of a device')
            or diag($r->{err});
    }

    $r = via('localhost', 'https://localhost/exact');
    is("$r->{code} $r->{out}", '35 ', 'none');

    $r = via('localhost', '--via-cert', $t->path('other.crt'), '--via-key',
             $t->path('other.key'), 'https://localhost/exact');
    is("$r->{code} $r->{out}", '35 ', 'of another CA');
    like($r->{err}, qr/the DTLS handshake failed/, 'a message');

    $r = via('localhost', @psk, 'https://localhost/exact');
    is("$r->{code} $r->{out}", '35 ', 'a pre-shared key');

    is($verify->stop()->{code}, 0, 'exit code');
    $port = $any;

    # there is no DTLS

    my $plain = $t->gateway();
    $r = $t->command()->run('--connect-timeout', 3, '--via',
                            $t->gateway_uri($plain, scheme => 'coaps'),
                            'https://localhost/');
    is("$r->{code} $r->{out}", '28 ', 'a gateway without DTLS');
    is($plain->stop()->{code}, 0, 'exit code');

    done_testing();
}


# Several sessions of DTLS at a time, in threads.

sub forward {
    my $f = $t->forward(uri('127.0.0.1'), @psk, @patient, '--sessions', 8);
    my $request = "POST /body\nContent-Length: 9000\n\n" . pattern(9000);

    my @open = map { $f->connect($request) } 1 .. 8;
    is(join('', map { summary(next_answer($_, 'POST')) } @open),
       ('200 ' . pattern(9000)) x @open, 'several at a time');

    # the gateway is restarted: another session of DTLS

    is($g->stop()->{code}, 0, 'exit code');
    $g = $t->gateway('-l', "coaps://127.0.0.1:$port", '--psk-file',
                     $t->path('keys'));

    is(summary($f->ask('GET /exact')), "200 exactly\n",
       'the gateway is restarted') for 1 .. 3;
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}
