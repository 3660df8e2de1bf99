#!/usr/bin/perl

# docs/monitoring.md: what is logged at each level and where, the access logs,
# and "traceparent".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Cert;
use Test::Atls::Command;
use Test::Atls::Docs;
use Test::Atls::DocsSite;
use Test::Atls::Http qw( http_raw );

my @LEVELS = qw( error warn notice info );

# lines and their levels; about the zone, or about a request

my %ZONE = (
    'is too small, sessions evicted: '   => 'warn',
    'POSTs for sessions of another zone' => 'notice',
);

my %REQUEST = (
    'access forbidden by "atls_required"'       => 'error',
    'atls handshake failed'                     => 'info',
    'atls record refused'                       => 'info',
    'atls session belongs to another zone'      => 'info',
    'ended: evicted,'                           => 'info',
);

my $t = Test::Atls::DocsSite->new();

Test::Atls::Cert::make($t->path('certs'), 'localhost');

levels();
both_kinds();
failures();
traces();

$t->done_testing();


# The configuration of the page, and logs with other levels in the same places.

sub levels {
    my $conf = block('nginx', 'monitoring.md', 'Levels');

    $conf =~ s/^http \{/http {\n    atls_zone small:32k;/m;
    $conf =~ s{^( *)error_log .*}{$& . others($1 ? 'server' : 'main')}gme;

    my $old;

    $t->serve($conf, sub { $old = $t->established() });
    $t->serve($conf, sub { faults($old) });

    for my $level (@LEVELS) {
        logged("main-$level.log", $level, \%ZONE);
        logged("server-$level.log", $level, \%REQUEST);
    }

    logged('error.log', 'notice', \%ZONE);
    logged('atls.log', 'info', \%REQUEST);

    is_deeply([ documented() ], \@LEVELS, 'levels of the page');
}


sub others {
    my ($where) = @_;

    return join '', map { "\nerror_log /var/log/nginx/$where-$_.log $_;" }
                    @LEVELS;
}


sub faults {
    my ($old) = @_;

    $old->exchange("\x17\x03\x03\x00\x20" . 'x' x 32);

    my $c = $t->established();

    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $c->exchange($c->tls_out() . "\x17\x03\x03\x00\x20" . 'x' x 32);
    $t->client(protocol => 'TLSv1.1', ciphers => 'ALL:@SECLEVEL=0')
        ->handshake();
    http_raw($t->port(0), "GET / HTTP/1.0\r\n\r\n");

    $t->established() for 1 .. 60;

    # those about the zone are logged once a second

    $t->wait_for_log(quotemeta) for keys %ZONE;
}


# A log has all lines up to its level, and no others.

sub logged {
    my ($name, $level, $expected) = @_;

    my %rank = map { $LEVELS[$_] => $_ } 0 .. $#LEVELS;
    my $log = $t->read_file("log/$name");

    for my $line (sort keys %ZONE, keys %REQUEST) {
        my $of = $expected->{$line};

        if ($of && $rank{$of} <= $rank{$level}) {
            like($log, qr/\[$of\] .*\Q$line\E/, "$name: $line");

        } else {
            unlike($log, qr/\Q$line\E/, "$name: not $line");
        }
    }
}


sub documented {
    my %sections = sections('monitoring.md');
    my %known = map { $_ => 1 } @LEVELS;

    return grep { $known{$_} } $sections{Levels} =~ /^\| `(\w+)` \|/mg;
}


# The lines of a file in the directory of logs.

sub lines {
    my ($name) = @_;

    return split /\n/, $t->read_log("log/$name");
}


sub both_kinds {
    my $conf = block('nginx', 'monitoring.md', 'Access logs');

    $t->serve($conf, sub {
        $t->established()->get('/readings');

        my @lines = lines('access.log');
        my ($id) = $lines[2] =~ / ([0-9a-f]{32}) - /;
        my $post = '"POST /.well-known/atls HTTP/1.1" 200 \d+';

        http_raw($t->port(0), "GET /.well-known/atls HTTP/1.0\r\n\r\n");
        push @lines, (lines('access.log'))[-1];

        is(scalar @lines, 5, 'three POSTs, a request, and no POST');
        like($lines[0], qr{ $post $id handshake 0/0 0/0 [\d.]+$}, 'handshake');
        like($lines[1], qr{ $post $id opened 0/0 0/0 [\d.]+$}, 'its end');
        like($lines[2],
             qr{ "GET /readings HTTP/1.1" 200 \d+ $id - -/- -/- [\d.]+$},
             'the request');
        like($lines[3], qr{ $post $id served 1/1 \d+/\d+ [\d.]+$}, 'its POST');
        like($lines[4], qr{ 405 \d+ - method -/- -/- [\d.]+$}, 'no session');
    });
}


sub failures {
    my $conf = block('nginx', 'monitoring.md', 'Access logs', 1);

    $t->serve($conf, sub {
        my $c = $t->established();

        $c->get('/readings');
        $c->exchange("\x17\x03\x03\x00\x20" . 'x' x 32);
        $t->established()->close_notify();

        my @lines = lines('atls-failed.log');

        for ('GET /', 'GET /.well-known/atls', 'POST /.well-known/atls') {
            http_raw($t->port(0), "$_ HTTP/1.0\r\n\r\n");
            @lines = lines('atls-failed.log');
        }

        is(scalar @lines, 3, 'what is not logged');
        like($lines[0], qr/\] 409 not-next [0-9a-f]{32} "/, 'a record');
        like($lines[1], qr/\] 405 method - "/, 'a method');
        like($lines[2], qr/\] 415 media-type - "/, 'a media type');
    });
}


# The header inside and that outside.

sub traces {
    my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    my ($in, $out) = map { "00-$trace-$_-01" } '00f067aa0ba902b7',
                                               '53995c3f42cd8ad8';
    my $atls = Test::Atls::Command->new($t);

    $t->serve(block('nginx', 'monitoring.md', 'Tracing'), sub {
        my @args = ('--cacert', $t->path('certs/localhost.crt'), '--via',
                    'http://localhost:' . $t->port(0) . '/.well-known/atls',
                    'https://localhost/');

        like($atls->run(@args, '-H', "traceparent: $in", '--via-header',
                        "traceparent: $out")->{out},
             qr/^traceparent: $in\r?$/mi, 'the service gets that inside');

        my @lines = lines('trace.log');
        my ($id) = $lines[0] =~ / ([0-9a-f]{32}) handshake /;
        my ($request, @others) = grep { /"GET / } @lines;

        like($request, qr/ 200 $in $id /, 'the request');
        is(scalar @others, 0, '... is one');
        is(scalar(grep { / 200 $out $id \w+ / } @lines), @lines - 1,
           'POSTs have that outside');

        like($atls->run(@args, '--via-header', "traceparent: $out")->{out},
             qr/^traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r?$/mi,
             'a new one');

        ($request, @others) = grep { /"GET / } lines('trace.log');

        like($others[0], qr/ 200 00-([0-9a-f]{16})[0-9a-f]{16}-\g1-01 /,
             '... which is logged');
        unlike($others[0], qr/$trace/, 'not that of the POST');
    });
}
