#!/usr/bin/perl

# atls gateway with other clients of CoAP: libcoap's coap-client, with and
# without DTLS, aiocoap of Python and coap of Node.js, if they are installed; with
# the TLS of OpenSSL, GnuTLS, Python and Node.js.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Gateway;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Port qw( free_port );
use Test::Atls::Program qw( run_program );
use Test::Atls::Stack;

use constant { KEY => 'a secret of the device', ATLS => '.well-known/atls' };

my $t = Test::Atls::Gateway->new(san => 'DNS:localhost, DNS:one, DNS:two');
my $backend = $t->backend();

$t->make_cert('device', ca => 'ca', subject => '/CN=device');
$t->make_cert('other', is_ca => 1);

# a message that is lost twice takes most of the 10 seconds that a handshake has
# by default

$t->serve_located(<<'EOC', http => 'atls_handshake_timeout 5m;');
location /one {
    atls on;
    atls_session_tracking location;
    return 200 "one\n";
}
EOC

$t->write_file('keys', "# devices\n\ndevice:" . unpack('H*', KEY) . "\r\n"
                       . "other:device:" . unpack('H*', 'x' . KEY) . "\n");

my ($plain, $secure) = map { free_port() } 1 .. 2;
my @listen = ('-l', "coap://127.0.0.1:$plain", '-l',
              "coaps://127.0.0.1:$secure");
my @cert = map { ("--$_->[0]", $t->path($_->[1])) }
           [ cert => 'localhost.crt' ], [ key => 'localhost.key' ];
my @psk = ('-u', 'device', '-k', KEY);

my $g = $t->gateway(@listen, '--psk-file', $t->path('keys'), @cert);

subtest('coap-client' => \&with_client);
subtest('loss' => \&with_loss);
subtest('pre-shared keys' => \&with_psk);
subtest('certificates' => \&with_cert);
subtest('the name of DTLS' => \&with_name);
subtest('IPv6' => \&with_ipv6);
subtest('GnuTLS' => \&with_gnutls);
subtest('Python' => \&with_python);
subtest('aiocoap' => \&with_aiocoap);
subtest('Node.js' => \&with_node);

is($g->stop()->{code}, 0, 'exit code');

$t->done_testing();


# A device whose POSTs are sent by a program.  Arguments are those of the
# program, with the path at the end.

sub device {
    my ($program, $url, @args) = @_;

    my $d = $t->device($g, sni => $url =~ /localhost/ ? '' : 'localhost');

    $d->{program} = [ $program, @args ];
    $d->{url} = $url;

    return bless $d, 'Device';
}


package Device {
    use parent -norequire, 'Test::Atls::Device';

    # The log of the program has the response.

    sub post {
        my ($self, $bytes) = @_;

        my $n = ++$self->{n};
        my $lost = $self->{lost};
        my $in = $t->write_file("device.$n.in", $bytes);
        my $out = $t->path("device.$n.out");
        my @args = (@{$self->{program}}, '-v', 7, '-m', 'post', '-t', 65000,
                    '-o', $out, $bytes ne '' ? ('-f', $in) : (),
                    $lost ? ('-l', $lost->[$n % @$lost]) : ());

        unlink $out;

        my $r = main::run_program($t, @args, $self->{url} . '/' . join '/',
                                  @{$self->{path}});
        my @lines = grep { / c:[245]\.\d\d / && !/ c:2\.31 | Echo:/ }
                    split /\n/, "$r->{out}$r->{err}";
        my ($code) = map { / c:(\S+) / } @lines;

        $self->{lines} = \@lines;
        $self->{all} = "$r->{out}$r->{err}";
        push @{$self->{codes}}, $code || 'none';

        my @path = map { /Location-Path:([^,\s]+)/g } @lines ? $lines[0] : ();
        $self->{path} = \@path if @path;

        my $payload = -e $out ? $t->read_file($out) : '';

        return { code => $code || 'none', payload => $payload, options => [] };
    }
}


package main;

# libcoap's client loses blocks of a response that does not come with the
# acknowledgement, which the gateway sends after 1.5 s.

sub use_session {
    my (@args) = @_;

    for (1 .. 5) {
        return if use_device(device(@args));
        note('blocks were lost');
    }

    fail('each response is late');
}


sub use_device {
    my ($d) = @_;

    my $done = $d->handshake();
    return 0 if lost_blocks($d);

    ok($done, 'handshake') or diag($d->error(), $d->{all});
    like(join(' ', $d->codes()), qr/^2\.01( 2\.04)+$/, 'codes');

    my $r = $d->get('/exact');
    return 0 if lost_blocks($d);

    is($r && $r->body(), "exactly\n", 'a request');

    $r = $d->get('/big?size=20000');
    return 0 if lost_blocks($d);

    ok($r && $r->body() eq pattern(20_000), 'blocks of a response')
        or diag($d->{all});

    $r = $d->http("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                  . "Content-Length: 20000\r\n\r\n" . pattern(20_000));
    return 0 if lost_blocks($d);

    ok($r && $r->body() eq pattern(20_000), 'and of a request')
        or diag($d->{all});

    return 1;
}


# In its last POST.

sub lost_blocks { $_[0]{all} =~ /large body receive internal issue/ }


sub with_client {
    my $url = "coap://127.0.0.1:$plain";

    use_session('coap-client-notls', $url);
    note('Non-confirmable');
    use_session('coap-client-notls', $url, '-N');
    note('small blocks');
    use_session('coap-client-notls', $url, '-b', 64);
    note('a single body');
    use_session('coap-client-notls', $url, '-L', 3);

    done_testing();
}


# -l: the client loses datagrams that it sends, here the first one, the second
# one, which has the Echo option, and both.

sub with_loss {
    my $d = device('coap-client-notls', "coap://127.0.0.1:$plain");

    $d->{lost} = [ '1', '2', '1,3' ];

    $backend->forget();
    ok($d->handshake(), 'handshake') or diag($d->error(), $d->{all});
    $d->get("/lossy/$_") for 1 .. 5;

    is($d->error(), '', 'no error');
    is(join(' ', map { $_->{uri} } $backend->requests()),
       join(' ', map { "/lossy/$_" } 1 .. 5), 'each is processed once');

    done_testing();
}


sub with_psk {
    my $url = "coaps://127.0.0.1:$secure";

    use_session('coap-client-openssl', $url, @psk);
    use_session('coap-client-gnutls', $url, '-u', 'other:device',
                '-k', 'x' . KEY);

    is($t->metric($g, 'challenges_total'), challenges(), 'no Echo');

    closing();

    my $d = device('coap-client-openssl', $url, '-u', 'unknown', '-k', KEY,
                   '-B', 5);
    $d->handshake();
    is($d->error(), 'none', 'an unknown device');
    ok($g->wait_for_log(qr/^127\.0\.0\.1:\d+ DTLS failed$/), 'log');
    is($t->metric($g, 'dtls_errors_total'), 1, 'metrics');

    $d = device('coap-client-openssl', $url, '-u', 'device', '-k', 'other',
                '-B', 3);
    $d->handshake();
    is($d->error(), 'none', 'another key');

    done_testing();
}


# A device that closes its DTLS session before the response: libcoap would begin
# another one as a client, and keep the response until then.

sub closing {
    my ($plain_port, $port) = map { free_port() } 1 .. 2;
    my $logging = $t->gateway('-v', '-l', "coap://127.0.0.1:$plain_port", '-l',
                              "coaps://127.0.0.1:$port", '--psk-file',
                              $t->path('keys'));
    my $d = device('coap-client-openssl', "coaps://127.0.0.1:$port", @psk);

    ok($d->handshake(), 'a session') or diag($d->{all});
    push @{$d->{program}}, '-B', 1;
    $d->get('/slow?n=1&delay=3');
    is($d->error(), 'none', 'a device that does not wait');
    ok($t->wait_for(sub { !$t->metric($logging, 'posts') }, 60),
       'the response');

    my $r = $logging->stop();
    is($r->{code}, 0, 'exit code');
    like($r->{err}, qr/session disconnected/, 'the session was closed');
    unlike($r->{err}, qr/: delayed/, 'nothing is sent any more');

    return;
}


# Each source without DTLS needs one.

{
    my $before;

    sub challenges {
        $before = $t->metric($g, 'challenges_total') unless defined $before;
        return $before;
    }
}


sub with_cert {
    my $url = "coaps://localhost:$secure";
    my @trust = ('-R', $t->path('ca.crt'));

    use_session('coap-client-openssl', $url, @trust);

    my $d = device('coap-client-openssl', $url, '-R', $t->path('other.crt'),
                   '-B', 5);
    $d->handshake();
    is($d->error(), 'none', 'another CA');

    # certificates of devices

    my ($plain_port, $port) = map { free_port() } 1 .. 2;
    my $verify = $t->gateway('-l', "coap://127.0.0.1:$plain_port",
                             '-l', "coaps://127.0.0.1:$port", @cert,
                             '--cacert', $t->path('ca.crt'));
    my @device = ('-c', $t->path('device.crt'), '-j', $t->path('device.key'));

    $url = "coaps://localhost:$port";
    $d = device('coap-client-openssl', $url, @trust, @device);
    ok($d->handshake(), 'a device with a certificate') or diag($d->{all});

    for ([ ], [ '-c', $t->path('other.crt'), '-j', $t->path('other.key') ]) {
        $d = device('coap-client-openssl', $url, @trust, '-B', 5, @$_);
        $d->handshake();
        is($d->error(), 'none', @$_ ? 'of another CA' : 'without one');
    }

    is($verify->stop()->{code}, 0, 'exit code');

    done_testing();
}


# The name in the DTLS handshake is the default of Uri-Host; -U: no Uri-Host.

sub with_name {
    my ($plain_port, $port) = map { free_port() } 1 .. 2;
    my $named = $t->gateway('-l', "coap://127.0.0.1:$plain_port", '-l',
                            "coaps://127.0.0.1:$port", @cert,
                            '--to', 'localhost=' . $t->endpoint('/one/'));

    for ([ ], [ '-U' ]) {
        my $d = device('coap-client-openssl', "coaps://localhost:$port",
                       '-R', $t->path('ca.crt'), @$_);
        ok($d->handshake(), "a name @$_") or diag($d->{all});
        my $r = $d->get('/');
        is($r && $r->body(), "one\n", 'a request');
    }

    is($named->stop()->{code}, 0, 'exit code');

    done_testing();
}


sub with_ipv6 {
    my $port = free_port();
    my $any = $t->gateway('-l', "coap://[::]:$port");

    for my $host ('127.0.0.1', '[::1]') {
        my $d = device('coap-client-notls', "coap://$host:$port");
        ok($d->handshake(), "coap://[::]: $host") or diag($d->{all});
    }

    is($any->stop()->{code}, 0, 'exit code');

    done_testing();
}


# Another TLS library: methods of Device are found before those of Stack.

package StackDevice {
    use mro 'c3';
    use parent -norequire, qw( Test::Atls::Device Test::Atls::Stack );
}


package StackProgram {
    use mro 'c3';
    use parent -norequire, qw( Device StackDevice );
}


sub with_gnutls {
    for my $protocol ('TLSv1.2', 'TLSv1.3') {
        for ([ ], [ 'coap-client-notls', "coap://127.0.0.1:$plain" ],
             [ 'coap-client-openssl', "coaps://127.0.0.1:$secure", @psk ])
        {
            my ($program, $url, @args) = @$_;
            my $d = StackDevice->new('gnutls', gateway => $plain,
                                     protocol => $protocol,
                                     ca => $t->path('ca.crt'));

            $d = carried($d, $program, $url, @args) if $program;

            ok($d->handshake(), "$protocol, " . ($program || 'a socket'))
                or diag($d->error(), $d->{all});
            my $r = $d->get('/big?size=20000');
            ok($r && $r->body() eq pattern(20_000), 'a request');
        }
    }

    done_testing();
}


sub carried {
    my ($d, $program, $url, @args) = @_;

    $d->{program} = [ $program, @args ];
    $d->{url} = $url;

    return bless $d, 'StackProgram';
}


sub with_python {
    for ([ "coap://127.0.0.1:$plain" ],
         [ "coap://127.0.0.1:$plain", '-l', '20%' ],
         [ "coaps://127.0.0.1:$secure", @psk ])
    {
        my ($url, @args) = @$_;
        my $r = run_program($t, 'python3', "$FindBin::Bin/bin/coap_device.py",
                            $url, $t->path('ca.crt'), $t->path('.'), @args);

        is("$r->{code} $r->{out}", "0 exactly\n", "$url @args")
            or diag($r->{err});
    }

    done_testing();
}


# udp6, since the package does not depend on what all transports need.

sub with_aiocoap {
    SKIP: {
        skip 'no aiocoap', 1
            if system q{python3 -c 'import aiocoap' 2>/dev/null};

        my $body = pattern(20_000);
        my %requests = (
            'GET /exact' => '', 'GET /big?size=20000' => '',
            'POST /body' => 'Content-Length: ' . length($body) . "\r\n\r\n$body"
        );

        for my $request (sort keys %requests) {
            my $file = $t->write_file('request', "$request HTTP/1.1\r\n"
                                      . "Host: localhost\r\n"
                                      . ($requests{$request} || "\r\n"));
            my $r = run_program($t, 'python3',
                                "$FindBin::Bin/bin/aiocoap_device.py",
                                "coap://127.0.0.1:$plain", $t->path('ca.crt'),
                                $file,
                                { env => { AIOCOAP_CLIENT_TRANSPORT => 'udp6' }
                                });

            is($r->{code}, 0, $request) or diag($r->{err});
            ok($r->{out} eq ($request =~ /exact/ ? "exactly\n" : $body),
               'the response');
        }
    }

    done_testing();
}


sub with_node {
    SKIP: {
        local $ENV{NODE_PATH} = join ':', grep { defined }
            $ENV{NODE_PATH}, Test::Atls::root() . '/build/npm/node_modules';

        skip 'no coap for Node.js', 1
            if system q{node -e "require('coap')" 2>/dev/null};

        my $rated = $t->gateway('--source-rate', '1M');
        my $r = run_program($t, 'node', "$FindBin::Bin/bin/coap_device.js",
                            $rated->port(), $t->path('ca.crt'));
        is("$r->{code} $r->{out}", "0 exactly\n", 'a session')
            or diag($r->{err});
        is($rated->stop()->{code}, 0, 'exit code');
    }

    done_testing();
}
