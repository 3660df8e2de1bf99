#!/usr/bin/perl

# What a device needs, as in docs/coap.md: datagrams and bytes between it and a
# gateway, and memory.  With the versions of libraries that the page names, its
# tables are what is measured; the lengths of ECDSA signatures vary.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw( sum0 );
use Test::More;

use Test::Atls::Coap qw( decode );
use Test::Atls::Datagrams;
use Test::Atls::Docs;
use Test::Atls::Gateway;
use Test::Atls::Preload;
use Test::Atls::Program qw( run_program );

use constant {
    KEY    => '00112233445566778899aabbccddeeff',
    CCM    => 24,               # bytes by which a record is longer than its
    CCM_8  => 16,               # plaintext: a part of the nonce, and the tag
    BYTES  => 16,               # by which signatures may differ
    MEMORY => 0.1,              # by which memory may differ
};

my $t = Test::Atls::Gateway->new();

plan(skip_all => 'no mbedTLS')
    if system 'echo "#include <mbedtls/ssl.h>" | cc -E - >/dev/null 2>&1';

$t->write_file('psk', 'device:' . KEY . "\n");
$t->serve_located(<<'EOC', http => <<'EOC_HTTP');
atls_early_data on;

location /psk {
    atls on;
    atls_session_tracking location;
    atls_psk_file psk;
    atls_ciphers kPSK+AESCCM8:@SECLEVEL=0;
}

location = /reading {
    access_log early.log early;
    return 200 "ok\n";
}
EOC
server_tokens off;
log_format early '$atls_early_data';
EOC_HTTP

# --source-rate: no Echo

my $g = $t->gateway('--source-rate', '1M');
my $asking = $t->gateway();
my $psk = $t->gateway('--source-rate', '1M', '--to', $t->endpoint('/psk/'));

my ($relay, $asking_relay, $psk_relay) =
    map { Test::Atls::Datagrams->start($t, $_->port()) } $g, $asking, $psk;

# one group, as devices have it

my $openssl = $t->write_file('openssl.cnf', <<'EOC');
openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
Groups = P-256
EOC

my $device = $t->path('device');
my @ca = ('-c', $t->path('ca.crt'));
my @key = ('-k', 'device:' . KEY);
my @ticket = ('-s', $t->path('ticket'));
my @libraries = libraries();
my ($documented, @tables) = documented();
my $same = "@libraries" eq $documented;

note("libraries: @libraries; docs/coap.md: $documented");

my (%measured, %memory);

subtest('records' => \&records);
subtest('a device' => \&device);
subtest('TLS 1.3' => \&command);
subtest('docs/coap.md: datagrams' => \&datagrams);
subtest('docs/coap.md: memory' => \&memory);

is($_->stop()->{code}, 0, 'exit code') for $g, $asking, $psk;

$t->done_testing();


# The versions that the page names.

sub libraries {
    my $source = $t->write_file('versions.c', <<'EOC');
#include <stdio.h>
#include <mbedtls/version.h>
#include <openssl/opensslv.h>

int
main(void)
{
    printf("mbedTLS %d.%d OpenSSL %d.%d", MBEDTLS_VERSION_MAJOR,
           MBEDTLS_VERSION_MINOR, OPENSSL_VERSION_MAJOR, OPENSSL_VERSION_MINOR);
    return 0;
}
EOC
    my $program = $t->path('versions');
    my $r = run_program($t, 'sh', '-c', "cc -o $program $source && $program");

    is($r->{code}, 0, 'versions') or diag($r->{err});

    return split ' ', $r->{out};
}


# The versions, and the two tables: { name => [ numbers ] }.

sub documented {
    my $page = $t->read_file(Test::Atls::root() . '/docs/coap.md');
    my ($section) = $page =~ /^## A device's budget\n(.*?)^## /ms;

    $section = '' unless defined $section;

    my ($versions) = $section =~ /\((mbedTLS \S+), (OpenSSL \d\.\d)/
                     ? "$1 $2" : '';
    my @tables;

    for (split /\n\n+/, $section) {
        next unless /^\|/;

        my (undef, undef, @rows) = split /\n/;
        push @tables, { map {
            my (undef, $name, @cells) = split / *\| */;
            $name => [ map { s/[ ,]//gr } @cells ];
        } @rows };
    }

    return ($versions, @tables);
}


# What a program costs: POSTs, datagrams, bytes sent, bytes received.

sub measure {
    my ($gateway, $relay, $code) = @_;

    $relay->seen();

    my $before = $t->metric($gateway, 'forwarded_total');
    my $r = $code->();
    my $posts = $t->metric($gateway, 'forwarded_total') - $before;
    my %seen = $relay->seen();

    $r->{seen} = \%seen;
    $r->{cost} = [ $posts, @{$seen{up}} + @{$seen{down}},
                   map { sum0(map { length } @{$seen{$_}}) } qw( up down ) ];

    return $r;
}


sub run_device {
    my ($gateway, $relay, $uri, @args) = @_;

    return measure($gateway, $relay, sub {
        run_program($t, $device, @args, '127.0.0.1', $relay->port(),
                    'localhost', $uri);
    });
}


# No record of the service is larger than the device wants.

sub records {
    my $source = Test::Atls::root() . '/docs/examples/coap-device.c';
    my $r = run_program($t, 'cc', qw( -O2 -Wall -Wextra -Werror -o ), $device,
                        $source, qw( -lcoap-3-notls -lmbedtls -lmbedx509
                                     -lmbedcrypto ));

    is($r->{code}, 0, 'compiled') or diag($r->{err});

    for my $size (512, 1024, 2048, 4096) {
        for ([ CCM, $g, $relay, @ca ], [ CCM_8, $psk, $psk_relay, @key ]) {
            my ($overhead, $gateway, $from, @args) = @$_;

            $r = run_device($gateway, $from, '/big?size=20000', '-m', $size,
                            @args);

            is($r->{code}, 0, "-m $size $args[0]") or diag($r->{err});
            is(length $r->{out} =~ s/.*?\r\n\r\n//sr, 20_000, 'the response');
            is(largest(@{$r->{seen}{down}}) - $overhead, $size,
               'the largest record');
        }
    }

    done_testing();
}


# The largest record with data in the payloads of datagrams.

sub largest {
    my (@datagrams) = @_;

    my ($stream, %known) = ('');

    for (map { decode($_) } @datagrams) {
        $stream .= $_->{payload} unless $known{$_->{mid}}++;
    }

    my $most = 0;

    while ($stream =~ /\G(.)\x03\x03(..)/gcs) {
        my ($type, $length) = (ord $1, unpack 'n', $2);

        $most = $length if $type == 23 && $length > $most;
        pos($stream) += $length;
    }

    return $most;
}


# A name in the page is that of one or more runs; the last one counts.

sub device {
    my %runs = (
        'certificate' => [ $g, $relay, @ca ],
        'certificate, with Echo' => [ $asking, $asking_relay, @ca ],
        'certificate, resumed' => [ $g, $relay, @ca, @ticket ],
        'raw key' => [ $psk, $psk_relay, @key ],
    );

    run_device($g, $relay, '/reading', @ca, @ticket);       # gets the ticket

    for my $name (sort keys %runs) {
        my ($gateway, $from, @args) = @{$runs{$name}};

        for my $n (1, 2) {
            my $r = run_device($gateway, $from, '/reading', '-n', $n, @args);

            is($r->{code}, 0, "$name, $n") or diag($r->{err});
            is(() = $r->{out} =~ /^ok$/mg, $n, 'responses');

            my $first = $measured{$name};
            $measured{$name} = $r->{cost} if $n == 1;
            $measured{"$name: another request"} =
                [ map { $r->{cost}[$_] - $first->[$_] } 0 .. 3 ] if $n == 2;
        }
    }

    done_testing();
}


# TLS 1.3, of OpenSSL: the atls command, with as short a request.

sub command {
    my @short = ('--tlsv1.3', '--content-format', 65000, '-H', 'User-Agent:',
                 '-H', 'Accept:', '-H', 'Connection: close', $t->trust());
    my @stored = ('--session-file', $t->path('stored'));

    my %runs = (
        'TLS 1.3, certificate' => [ $g, $relay ],
        'TLS 1.3, raw key' => [ $psk, $psk_relay, '--psk', 'device:' . KEY ],
        'TLS 1.3, resumed' => [ $g, $relay, @stored ],
        'TLS 1.3, early data' => [ $g, $relay, @stored, '--early-data' ],
    );

    # gets the ticket

    atls($g, $relay, @short, @stored);

    for my $name (sort keys %runs) {
        my ($gateway, $from, @args) = @{$runs{$name}};
        my $r = atls($gateway, $from, @short, @args);

        is("$r->{code} $r->{out}", "0 ok\n", $name) or diag($r->{err});
        $measured{$name} = $r->{cost};
    }

    $t->wait_for(sub { $t->read_log('early.log') =~ /\d/ });
    is(join('', $t->read_log('early.log') =~ /\d/g), 1, 'early data');

    done_testing();
}


sub atls {
    my ($gateway, $from, @args) = @_;

    my $uri = $t->gateway_uri($gateway, port => $from->port());

    return measure($gateway, $from, sub {
        $t->command()->run('--via', $uri, @args, 'https://localhost/reading',
                           { env => { OPENSSL_CONF => $openssl } });
    });
}


sub datagrams {
    my $table = $tables[0] || {};

    note(join ' | ', $_, @{$measured{$_}}) for sort keys %measured;
    is(join("\n", sort keys %$table), join("\n", sort grep { kept($_) }
                                           keys %measured), 'rows');

    for my $name (sort keys %$table) {
        my ($page, $seen) = ($table->{$name}, $measured{$name} || []);

        is($seen->[0], $page->[0], "$name: POSTs");
        next unless $same;

        is($seen->[1], $page->[1], "$name: datagrams");
        cmp_ok(abs($seen->[$_] - $page->[$_]), '<=', BYTES,
               "$name: bytes $seen->[$_], $page->[$_]") for 2, 3;
    }

    done_testing();
}


# Later requests of a session cost the same, however it was begun.

sub kept {
    my ($name) = @_;

    return $name !~ /another request/ || $name =~ /^(?:certificate|raw key):/;
}


sub memory {
    my $preload = Test::Atls::Preload->build($t, 'heap');
    my %env = ($preload->env(HEAP_REPORT => $t->path('heap')),
               LD_BIND_NOW => 1);
    my $table = $tables[1] || {};
    my %runs = ('certificate' => [ $g, $relay, @ca ],
                'certificate, resumed' => [ $g, $relay, @ca, @ticket ],
                'raw key' => [ $psk, $psk_relay, @key ]);
    my $static = static();

    for my $name (sort keys %runs) {
        my ($gateway, $from, @args) = @{$runs{$name}};
        my $r;

        {
            local @ENV{keys %env} = values %env;
            $r = run_device($gateway, $from, '/reading', @args);
        }

        is($r->{code}, 0, $name) or diag($r->{err});

        my ($mbed, $records, $coap, $stack) =
            $t->read_file($t->path('heap')) =~
            /^mbed (\d+) (\d+)\ncoap (\d+) \d+\nstack (\d+)$/;

        # in pieces of 16 KB: the two buffers for records

        $memory{$name} = [ $mbed - $records, $records, $coap, $static, $stack ];
    }

    note(join ' | ', $_, @{$memory{$_}}) for sort keys %memory;
    is(join("\n", sort keys %$table), join("\n", sort keys %memory), 'rows');

    for my $name (sort keys %$table) {
        my ($page, $seen) = ($table->{$name}, $memory{$name} || []);

        for (0 .. 4) {
            last unless $same;
            cmp_ok(abs($seen->[$_] - $page->[$_]), '<=',
                   MEMORY * $page->[$_], "$name: $seen->[$_], $page->[$_]");
        }
    }

    done_testing();
}


# Variables of the device.

sub static {
    my $object = $t->path('device.o');
    my $source = Test::Atls::root() . '/docs/examples/coap-device.c';
    my $r = run_program($t, 'sh', '-c', "cc -O2 -c -o $object $source"
                                        . " && size $object");
    my (undef, $data, $bss) = split ' ', (split /\n/, $r->{out})[1];

    return $data + $bss;
}
