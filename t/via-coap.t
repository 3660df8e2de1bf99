#!/usr/bin/perl

# atls --via coap://: the commands through a gateway.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use IO::Socket::SSL;
use Test::More;

use Test::Atls::Gateway;
use Test::Atls::Http qw( readable );
use Test::Atls::LocalServer qw( ask_tls summary );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Port qw( free_port );

use constant SIZE => 100_000;

# HTTP statuses at the gateway, and here

my @STATUSES = ([ 404, 502 ], [ 409, 409 ], [ 410, 404 ], [ 413, 413 ],
                [ 415, 415 ], [ 429, 429 ], [ 503, 503 ], [ 504, 504 ],
                [ 500, 502 ]);

my $t = Test::Atls::Gateway->new(workers => 4);
my $backend = $t->backend();

my $locations = <<'EOC' . join "\n", map { <<"EOS" } @STATUSES;
location = /reused {
    return 200 "$atls_session_reused $atls_session_requests\n";
}
EOC
location /status-$_->[0]/ {
    add_header Retry-After 7 always;
    return $_->[0];
}
EOS

# on a busy machine, handshakes take long; those that are given up are not waited
# for at the end

$t->serve_located($locations, main => 'worker_shutdown_timeout 1s;',
                  http => 'atls_protocols TLSv1.2 TLSv1.3 DTLSv1.2;
                           atls_handshake_timeout 5m;');

my $g = $t->gateway();

for (['--tls-max', '1.2'], ['--tls-max', '1.3'], ['--dtls']) {
    my @version = @$_;
    subtest("@version" => sub { requests(@version) });
}

subtest('large bodies' => \&large);
subtest('small blocks' => \&small);
subtest('separate responses' => \&separate);
subtest('names and addresses' => \&addresses);
subtest('resumption' => \&resumption);
subtest('lost sessions' => \&lost);
subtest('statuses' => \&statuses);
subtest('no gateway' => \&unreachable);
subtest('--retry' => \&retry);
subtest('errors' => \&errors);
subtest('-v' => \&verbose);
subtest('atls tunnel' => \&tunnel);

is($g->stop()->{code}, 0, 'exit code');

$t->done_testing();


# Runs the command through a gateway.

sub via {
    my (@args) = @_;

    return $t->command()->run($t->trust(), '--via', $t->gateway_uri($g), @args);
}


sub requests {
    my (@version) = @_;

    my $sessions = $t->metric($g, 'sessions_total');
    my $r = via(@version, '-i', 'https://localhost/exact');

    is("$r->{code} $r->{err}", '0 ', 'a request');
    like($r->{out}, qr!^HTTP/1.1 200 OK\r\n.*^X-One: 1\r\n.*\r\nexactly\n\z!ms,
         'its response');

    $r = via(@version, '-d', 'a body', 'https://localhost/body',
             'https://localhost/body');
    is("$r->{code} $r->{out}", '0 a bodya body', 'several requests')
        or diag($r->{err});

    $r = via(@version, '-I', 'https://localhost/exact');
    like("$r->{code} $r->{out}", qr!^0 HTTP/1.1 200 OK\r\n!, 'HEAD');

    $r = via(@version, '-f', 'https://localhost/status?code=404');
    is("$r->{code} $r->{out}", '22 ', 'a status of the service');

    is($t->metric($g, 'sessions_total'), $sessions + 4, 'sessions');

    done_testing();
}


sub large {
    $t->write_file('body', pattern(SIZE));

    my $r = via('https://localhost/big?size=' . SIZE);
    ok($r->{code} == 0 && $r->{out} eq pattern(SIZE), 'a response')
        or diag("$r->{code} $r->{err}");

    $r = via('-T', $t->path('body'), 'https://localhost/echo');
    like("$r->{code} $r->{out}", qr/^0 .*^md5 \Q${\pattern_md5(SIZE)}\E$/ms,
         'a request') or diag($r->{err});

    $r = via('--data-binary', '@' . $t->path('body'), 'https://localhost/body');
    ok($r->{code} == 0 && $r->{out} eq pattern(SIZE), 'both')
        or diag("$r->{code} $r->{err}");

    done_testing();
}


# The sizes of blocks that the client and the gateway want.

sub small {
    $t->write_file('body', pattern(5000));

    my $small = $t->gateway('--block-size', 64);
    my @cases = ([ $g, 1024, '--block-size', 1024 ],
                 [ $g, 32, '--block-size', 63 ], [ $small, 64 ]);

    for (@cases) {
        my ($to, $size, @args) = @$_;

        my $requests = $t->metric($to, 'requests_total');
        my $r = $t->command()->run($t->trust(), '--via', $t->gateway_uri($to),
                                   @args, '--data-binary',
                                   '@' . $t->path('body'),
                                   'https://localhost/body');
        ok($r->{code} == 0 && $r->{out} eq pattern(5000), "blocks of $size")
            or diag("$r->{code} $r->{err}");

        cmp_ok($t->metric($to, 'requests_total') - $requests, '>',
               2 * 5000 / $size, 'both ways');
    }

    is($small->stop()->{code}, 0, 'exit code');
    done_testing();
}


# libcoap before 4.3.5 discards those in blocks.

sub separate {
    my $r = via('https://localhost/wait?delay=3');
    is("$r->{code} $r->{out}", "0 waited\n", 'a separate response')
        or diag($r->{err});

    $r = via('-d', 'x' x 5000, 'https://localhost/wait?delay=3');
    is("$r->{code} $r->{out}", "0 waited\n", 'to a request in blocks')
        or diag($r->{err});

    $r = via('https://localhost/slow?delay=0.01&n=300');
    is("$r->{code} $r->{out}", '0 ' . join('', map { "line $_\n" } 1 .. 300),
       'in blocks') or diag($r->{err});

    done_testing();
}


# An address where nothing listens is not the last one.

sub addresses {
    my $r = $t->command()->run($t->trust(), '--via',
                               $t->gateway_uri($g, host => 'localhost'),
                               'https://localhost/exact');
    is("$r->{code} $r->{out}", "0 exactly\n", 'a name') or diag($r->{err});

    $r = $t->command()->run('-4', $t->trust(), '--via',
                            $t->gateway_uri($g, host => 'localhost'),
                            'https://localhost/exact');
    is("$r->{code} $r->{out}", "0 exactly\n", '-4') or diag($r->{err});

    $r = via('-6', 'https://localhost/exact');
    is($r->{code}, 6, '-6: there is no such address');
    like($r->{err}, qr/^atls: \(6\) .*Could not resolve host: 127\.0\.0\.1$/m,
         'a message');

    done_testing();
}


sub resumption {
    my @file = ('--session-file', $t->path('sessions'));

    is(via(@file, 'https://localhost/reused')->{out}, ". 1\n", 'a session');
    is(via(@file, 'https://localhost/reused')->{out}, "r 1\n", 'resumed');

    my $r = via(@file, '--early-data', 'https://localhost/reused');
    is("$r->{code} $r->{out}", "0 r 1\n", '--early-data');

    done_testing();
}


# 4.04 is 410 here: another session is opened.

sub lost {
    my $f = $t->forward($t->gateway_uri($g), '--sessions', 1, '--idle', 3600);

    is(summary($f->ask('GET /reused')), "200 . 1\n", 'atls forward');
    is(summary($f->ask('GET /reused')), "200 . 2\n", 'a session is kept');
    is($f->ask("GET /\nConnection: upgrade\nUpgrade: websocket")->status(), 501,
       'no WebSocket');

    $t->stop();
    $t->run();

    is(summary($f->ask('GET /reused')), "200 . 1\n", 'nginx is restarted');
    is($f->stop()->{code}, 0, 'exit code');

    # the path of the session is not that of the gateway

    $f = $t->forward($t->gateway_uri($g), '--sessions', 1, '--idle', 3600);
    is(summary($f->ask('GET /reused')), "200 . 1\n", 'another one');

    my @listen = ('-l', 'coap://127.0.0.1:' . $g->port());
    is($g->stop()->{code}, 0, 'the gateway is stopped');
    $g = $t->gateway(@listen);

    is(summary($f->ask('GET /reused')), "200 . 2\n", 'and started: the session'
                                                     . ' is the same');
    is($f->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub statuses {
    my $to = $t->gateway(map { ('--to', "s$_->[0]="
                                . $t->endpoint("/status-$_->[0]/")) }
                         @STATUSES);

    for (@STATUSES) {
        my ($status, $same) = @$_;

        my $r = $t->command()->run('--retry', 0, '--via', $t->gateway_uri($to),
                                   "https://s$status/");
        is("$r->{code} $r->{out}", '8 ', "HTTP $status");
        like($r->{err}, qr/^atls: \(8\) .*the endpoint returned $same\b/m,
             'a message');
        like($r->{err}, qr/\(try again later\)/, 'Max-Age')
            if $status == 429 || $status == 503;
    }

    my $r = $t->command()->run('--retry', 0, '--via', $t->gateway_uri($to),
                               'https://other/');
    is("$r->{code} $r->{out}", '8 ', 'no such service');
    like($r->{err}, qr/the endpoint returned 403/, 'a message');

    $r = $t->command()->run('--via', $t->gateway_uri($g) =~ s/atls$/other/r,
                            'https://localhost/');
    is("$r->{code} $r->{out}", '8 ', 'no such path');
    like($r->{err}, qr/the endpoint returned 404/, 'a message');

    is($to->stop()->{code}, 0, 'exit code');
    done_testing();
}


sub unreachable {
    my $port = free_port();
    my $uri = $t->gateway_uri($g, port => $port);
    my $atls = $t->command();

    my $r = $atls->run('--via', $uri, 'https://localhost/');
    is("$r->{code} $r->{out}", '7 ', 'nothing listens');
    like($r->{err}, qr/nothing listens at 127\.0\.0\.1, port $port$/m,
         'a message');

    $r = $atls->run('--via', $t->gateway_uri($g, host => 'no-such.invalid'),
                    'https://localhost/');
    is("$r->{code} $r->{out}", '6 ', 'an unknown name');
    like($r->{err}, qr/Could not resolve host: no-such\.invalid$/m,
         'a message');

    # nobody answers: the request is retransmitted

    my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1',
                                  LocalPort => $port) or die "bind: $@\n";
    my @args = ('--max-time', 8, 'https://localhost/');

    $r = $atls->run('--via', $uri, @args);
    is("$r->{code} $r->{out}", '28 ', 'no response');
    like($r->{err}, qr/no response from 127\.0\.0\.1, port $port|maximum time/,
         'a message');

    my %sent;
    $sent{$_}++ for datagrams($s);
    is(keys %sent, 1, 'one message');
    cmp_ok((values %sent)[0], '>=', 2, 'several times');

    done_testing();
}


sub datagrams {
    my ($s) = @_;

    my @got;

    while (readable($s, 0)) {
        $s->recv(my $bytes, 65536);
        push @got, $bytes;
    }

    return @got;
}


# The gateway is started while the command repeats its request.

sub retry {
    my $port = free_port();
    my $atls = $t->command();
    my $p = $atls->start($t->trust(), '--retry', 100, '--retry-delay', 1,
                         '--retry-connrefused', '--via',
                         $t->gateway_uri($g, port => $port),
                         'https://localhost/exact');

    ok($t->wait_for(sub { $t->read_file($p->{stderr}) =~ /retrying in/ }),
       'no gateway');

    my $later = $t->gateway('-l', "coap://127.0.0.1:$port");
    my $r = $atls->finish($p);
    is("$r->{code} $r->{out}", "0 exactly\n", '--retry') or diag($r->{err});
    is($later->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub errors {
    my $coaps = $t->gateway_uri($g, scheme => 'coaps');
    my @psk = ('--via-psk', 'device:00');

    my @cases = (
        [ 2, 'is not a coap or coaps URI', '--via', 'coap://' ],
        [ 2, 'is not a coap or coaps URI', '--via', 'coap://localhost/a?b' ],
        [ 2, 'is not an http or https URL', '--via', 'coap+tcp://localhost/' ],
        [ 2, 'require a coaps:// endpoint', '--via', $t->gateway_uri($g),
          @psk ],
        [ 2, 'require a coaps:// endpoint', @psk ],
        [ 2, 'require a coaps:// endpoint', '--via', $t->gateway_uri($g),
          '--via-cert', 'x' ],
        [ 2, 'mutually exclusive', '--via', $coaps, @psk, '--via-cert', 'x' ],
        [ 2, '--via-key requires --via-cert', '--via', $coaps, '--via-key',
          'x' ],
        [ 2, '--via-psk must be IDENTITY:KEY', '--via', $coaps, '--via-psk',
          'x' ],
        [ 2, 'must be in hex', '--via', $coaps, '--via-psk', 'x:y' ],
        [ 2, 'must be in hex', '--via', $coaps, '--via-psk', 'x:' ],
        [ 26, 'none', '--via', $coaps, '--via-psk', '@' . $t->path('none') ],
        [ 58, 'none', '--via', $coaps, '--via-cert', $t->path('none') ],
        [ 58, 'localhost.crt', '--via', $coaps, '--via-cert',
          $t->path('localhost.crt') ],
        [ 2, 'must be from 16 to 1024', '--block-size', 15 ],
        [ 2, 'number from 0 to 65535', '--content-format', 65536 ],
    );

    for (@cases) {
        my ($code, $text, @args) = @$_;

        my $r = $t->command()->run(@args, 'https://localhost/');
        is("$r->{code} $r->{out}", "$code ", "@args");
        like($r->{err}, qr/^atls: \($code\) [^\n]*\Q$text\E[^\n]*\n\z/m, $text);
    }

    my $r = $t->command()->run('tunnel', '-l', 0, '--poll', '--via',
                               $t->gateway_uri($g), 'https://localhost/');
    is($r->{code}, 2, 'atls tunnel --poll');
    like($r->{err}, qr/--poll cannot be used with CoAP/, 'a message');

    $r = $t->command()->run('doctor', '--via', $t->gateway_uri($g),
                               'https://localhost/');
    is($r->{code}, 2, 'atls doctor');
    like($r->{err}, qr/not with CoAP/, 'a message');

    # another Content-Format

    my $to = $t->gateway('--content-format', 65001);
    my @via = ($t->trust(), '--via', $t->gateway_uri($to));

    $r = $t->command()->run(@via, 'https://localhost/exact');
    is($r->{code}, 8, 'another Content-Format');
    like($r->{err}, qr/the endpoint returned 415/, 'a message');

    $r = $t->command()->run(@via, '--content-format', 65001,
                            'https://localhost/exact');
    is("$r->{code} $r->{out}", "0 exactly\n", 'the same');

    is($to->stop()->{code}, 0, 'exit code');
    done_testing();
}


sub verbose {
    my $r = via('-v', 'https://localhost/big?size=3000');

    like($r->{err}, qr/^.*CoAP POST: \d+ bytes$/m, 'a request');
    like($r->{err}, qr/^.*CoAP 2\.01: \d+ bytes/m, 'its response');
    like($r->{err}, qr/^.*CoAP POST: 0 bytes, for the next block$/m, 'a block');
    like($r->{err}, qr/^.*CoAP 2\.04: \d+ bytes$/m, 'another response');
    unlike($r->{err}, qr/well-known.atls.[\w-]{20}/, 'no path of a session');

    done_testing();
}


sub tunnel {
    my $tunnel = $t->tunnel($t->gateway_uri($g));
    my $s = IO::Socket::SSL->new(PeerAddr => '127.0.0.1',
                                 PeerPort => $tunnel->port(),
                                 SSL_hostname => 'localhost',
                                 SSL_ca_file => $t->path('ca.crt'))
            or die "no TLS: $IO::Socket::SSL::SSL_ERROR\n";

    is(summary(ask_tls($s, "GET /status?code=$_")), "$_ status $_\n",
       "status $_")
        for 200, 404;
    close $s;

    is($tunnel->stop()->{code}, 0, 'exit code');
    done_testing();
}
