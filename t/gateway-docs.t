#!/usr/bin/perl

# docs/coap.md: its configuration and commands, and the messages that it shows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Coap qw( CON ECHO FORMAT LOCATION URI_PATH decode option
                         options uint );
use Test::Atls::Docs;
use Test::Atls::Gateway;
use Test::Atls::LocalServer;
use Test::Atls::Port qw( free_port );
use Test::Atls::Program qw( run_program );

my $t = Test::Atls::Gateway->new();
my ($conf) = map { $_->{text} } grep { $_->{file} eq 'coap.md' }
             blocks('nginx');

$conf =~ s!listen 80;!listen 127.0.0.1:@{[ $t->port(0) ]};!;
$conf =~ s!/etc/nginx/certs!@{[ $t->path('.') ]}!g;

# inner requests go to the backend

$conf =~ s!^\}!    location / { proxy_pass http://127.0.0.1:%%PORT_1%%; }\n}!m;

$t->write_http($conf);
$t->write_file('devices', "device:00112233\n");
$t->run();

my @commands = map { split /\n/, $_->{text} }
               grep { $_->{file} eq 'coap.md' } blocks('sh');
my $port = free_port();
my ($g, $started);

subtest('commands' => \&commands);
subtest('a device' => \&device);
subtest('messages' => \&messages);
subtest('options of the unit' => \&unit);

is($g->stop()->{code}, 0, 'exit code');

$t->done_testing();


sub commands {
    is(@commands, 5, 'commands');

    my ($run, $use) = @commands;
    my $secure = free_port();
    my $metrics = free_port();

    $run =~ s!coap://\[::\]!coap://127.0.0.1:$port!;
    $run =~ s!coaps://\[::\]!coaps://127.0.0.1:$secure!;
    $run =~ s!/etc/atls/devices!@{[ $t->path('devices') ]}!;
    $run =~ s!9101!$metrics!;
    $run =~ s!api\.example\.com!localhost:@{[ $t->port(0) ]}!;

    my (undef, $command, @args) = split ' ', $run;

    $g = Test::Atls::LocalServer->start($t->command(), $command, @args);
    $t->metrics_at($g, $metrics);
    is($t->metric($g, 'requests_total'), 0, 'metrics');

    $t->write_file('flight', $t->device($g, gateway => $port)->tls_hello());
    $use =~ s!localhost!127.0.0.1:$port!;

    my $r = run_program($t, 'sh', '-c', "cd @{[ $t->path('.') ]} && $use");
    is($r->{code}, 0, 'coap-client') or diag($r->{err});
    like($t->read_file('answer'), qr/^\x16\x03\x03/, 'the response');

    # the command itself

    (undef, @args) = split ' ', $commands[2];

    s!coap://localhost!coap://127.0.0.1:$port!,
    s!/etc/nginx/certs/localhost!@{[ $t->path('ca') ]}!,
    s!api\.example\.com!localhost! for @args;

    $r = $t->command()->run(@args);
    like("$r->{code} $r->{out}", qr/^0 GET /, 'atls') or diag($r->{err});

    done_testing();
}


# The last two commands.

sub device {
    SKIP: {
        skip 'no mbedTLS', 1
            if system 'echo "#include <mbedtls/ssl.h>" | cc -E - >/dev/null 2>&1';

        my ($compile, $use) = @commands[3, 4];
        my $source = Test::Atls::root() . '/docs/examples/coap-device.c';

        $compile =~ s!coap-device\.c!$source!;
        $compile =~ s!^cc !cc -Wall -Wextra -Werror !;
        $use =~ s!localhost 5683!127.0.0.1 $port!;
        $use =~ s!api\.example\.com /!localhost /device!;

        my $dir = $t->path('.');
        my $r = run_program($t, 'sh', '-c', "cd $dir && $compile && $use");

        is($r->{code}, 0, 'a request') or diag($r->{err});
        like($r->{out}, qr!^HTTP/1\.1 200 OK\r\n.*\r\n\r\nGET /device !s,
             'its response');

        $use =~ s!/device!/big?size=50000!;
        $r = run_program($t, 'sh', '-c', "cd $dir && $use");
        is(length $r->{out} =~ s/.*?\r\n\r\n//sr, 50_000, 'a large one')
            or diag($r->{err});
    }

    done_testing();
}


# Bytes of the messages: lines with hex, and a comment after two blanks.

sub messages {
    my @blocks = grep { $_->{file} eq 'coap.md'
                        && $_->{heading} eq 'A request, byte by byte' }
                 blocks();
    my @texts = map {
        join '', map { pack 'H*', s/ (?: |\.\.\.).*//r =~ s/ //gr }
                 map { s/^ +//r =~ s/ \.\.\.//r } split /\n/, $_->{text}
    } @blocks;

    is(@texts, 3, 'messages');

    my ($request, $challenge, $response) = map { decode($_) } @texts;

    is("$request->{type} $request->{code}", CON . ' 0.02', 'a request');
    is(join('/', options($request, URI_PATH)), '.well-known/atls', 'Uri-Path');
    is(uint(option($request, FORMAT)), 65000, 'Content-Format');
    is($request->{payload}, "\x16\x03\x01", 'payload');

    # it is sent with a whole ClientHello; from another source, if it takes so
    # long that the response is separate

    my ($first, $m);

    for (1 .. 5) {
        my $c = Test::Atls::Coap->new(port => $port);
        my $hello = $t->device($g, gateway => $port)->tls_hello();

        $c->send_bytes($texts[0] . substr $hello, 3);
        $first = $c->receive(60);

        my $echo = [ ECHO, option($first, ECHO) ];

        $c->send_message(%$request, mid => $request->{mid} + 1,
                         payload => $hello,
                         options => [ @{$request->{options}}, $echo ]);
        $m = $c->receive(60);
        last if $m->{code} ne '0.00';
    }

    is_like($first, $challenge, 'the first response');
    is(length option($first, ECHO), length option($challenge, ECHO), 'Echo');
    is($first->{size}, 18 + length $first->{token},
       'its size, as the page says');
    is_like($m, $response, 'the second one');
    is_deeply([ map { length } options($m, LOCATION) ],
              [ map { length } options($response, LOCATION) ],
              'Location-Path');
    is(uint(option($m, FORMAT)), uint(option($response, FORMAT)),
       'Content-Format');
    is(substr($m->{payload}, 0, 3), $response->{payload}, 'payload');

    done_testing();
}


sub is_like {
    my ($got, $expected, $name) = @_;

    is_deeply([ @$got{qw( type code mid token )} ],
              [ @$expected{qw( type code mid token )} ], $name);
    is(join(' ', map { $_->[0] } @{$got->{options}}),
       join(' ', map { $_->[0] } @{$expected->{options}}), 'its options');
}


# The file of -K.

sub unit {
    my ($text) = map { $_->{text} }
                 grep { $_->{file} eq 'coap.md' && $_->{text} =~ /^listen = / }
                 blocks();

    my $other = free_port();
    $text =~ s!coap://\[::\]!coap://127.0.0.1:$other!;
    $t->write_file('gateway.conf', $text);

    my $s = Test::Atls::LocalServer->start($t->command(), 'gateway', '--listen',
                                           'coap://127.0.0.1:' . free_port(),
                                           '-K', $t->path('gateway.conf'));
    ok($t->wait_for(sub { $s->stderr() =~ /:$other$/m }), 'listens');
    is($s->stop()->{code}, 0, 'exit code');

    my $unit = $t->read_file(Test::Atls::root()
                             . '/tools/atls-gateway.service.in');
    like($unit, qr!^ExecStart=\@PREFIX\@/bin/atls-gateway -K %d/options$!m,
         'the unit');

    done_testing();
}
