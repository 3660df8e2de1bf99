#!/usr/bin/perl

# atls --dtls, for one request and in atls forward.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Test::Atls::Http qw( send_all );
use Test::Atls::Outer;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Serve qw( read_request );
use Test::Atls::Site;
use Test::Atls::Udp qw( dtls_records );

my $KEY = '00112233445566778899aabbccddeeff';

my $t = Test::Atls::Site->new(workers => 2);
my $backend = $t->backend();

$t->make_cert('device', ca => 'ca');
$t->write_file('keys', "device:$KEY\n");

my $log = q{ log_format outer '$request_method $status $atls_post_session';
             client_max_body_size 0; };

$t->serve(<<'EOC', http => $log, endpoint => <<'EOE');
location = /tls {
    atls on;
}

location /uri/ {
    atls on;
    atls_protocols DTLSv1.2;
    atls_session_tracking location;
}

location = /psk {
    atls on;
    atls_protocols DTLSv1.2;
    atls_psk_file %%TESTDIR%%/keys;
    atls_ciphers PSK+AESCCM8:@SECLEVEL=0;
}

location = /verified {
    atls on;
    atls_protocols DTLSv1.2;
    atls_client_certificate %%TESTDIR%%/ca.crt;
    atls_verify_client on;
}

location = /short {
    atls on;
    atls_protocols DTLSv1.2;
    atls_session_timeout 1s;
}

location = /id {
    return 200 "$atls_session_id $atls_protocol $atls_cipher $atls_session_reused $atls_client_s_dn\n";
}
EOC
    atls_protocols TLSv1.2 TLSv1.3 DTLSv1.2;
    access_log %%TESTDIR%%/outer.log outer;
EOE

path($t->port(2));

my $site = 'https://localhost';
my @dtls = ('--dtls');

subtest('a request' => \&request);
subtest('requests of a session' => \&session);
subtest('bodies' => \&bodies);
subtest('endpoints' => \&endpoints);
subtest('refused' => \&refused);
subtest('lost' => \&lost);
subtest('changed' => \&changed);
subtest('forward' => \&forward);
subtest('options' => \&options);

$t->done_testing();


sub request {
    my $r = $t->atls(@dtls, "$site/exact");

    is($r->{code}, 0, 'exit code');
    is($r->{out}, "exactly\n", 'body');
    is($r->{err}, '', 'no message');

    $r = $t->atls(@dtls, '-v', '-i', "$site/exact");

    like($r->{out}, qr!^HTTP/1.1 200 OK\r\n.*X-One: 1\r\n!s, 'header');
    like($r->{err}, qr/inner TLS: DTLSv1.2, ECDHE-/, 'version');
}


sub session {
    my $r = $t->atls(@dtls, "$site/id", "$site/id", "$site/id");
    my @ids = $r->{out} =~ /^(\w+) DTLSv1.2 ECDHE/mg;

    is($r->{code}, 0, 'exit code') or diag($r->{err});
    is(scalar @ids, 3, 'three responses');
    is($ids[0], $ids[2], 'one session');

    my @file = ('--session-file', $t->path('sessions'));

    $t->atls(@dtls, @file, "$site/id");
    $r = $t->atls(@dtls, @file, "$site/id");
    like($r->{out}, qr/ DTLSv1.2 \S+ r /, 'resumed');
    $r = $t->atls(@dtls, @file, "$site/id");
    like($r->{out}, qr/ DTLSv1.2 \S+ r /, 'again');
    $r = $t->atls(@file, "$site/id");
    like($r->{out}, qr/ TLSv1.3 \S+ \. /, 'not with TLS');
}


sub bodies {
    my $body = pattern(300_000);

    $t->write_file('body', $body);

    my $r = $t->atls(@dtls, '--data-binary', '@' . $t->path('body'),
                     "$site/body", "$site/body");

    is($r->{code}, 0, 'sent') or diag($r->{err});
    ok($r->{out} eq $body x 2, 'and received');

    $r = $t->atls(@dtls, '-I', "$site/big?size=5000");
    like($r->{out}, qr/^Content-Length: 5000\r$/mi, 'HEAD');

    $r = $t->atls(@dtls, '-T', '-', "$site/body", { stdin => $body });
    ok($r->{out} eq $body, 'a body of unknown length');

    for my $uri (qw( /chunked /eof )) {
        $r = $t->atls(@dtls, "$site$uri");
        is($r->{code}, 0, $uri) or diag($r->{err});
    }

    $r = $t->atls(@dtls, "$site/die");
    isnt($r->{code}, 0, 'a response that is cut');

    $r = $t->atls(@dtls, '--post-size', '1k', '--data-binary',
                  '@' . $t->path('body'), "$site/body");
    is($r->{code}, 2, 'larger than a POST');
    like($r->{err}, qr/DTLS is limited to the size of a POST, 1024 bytes/,
         'message');
}


sub endpoints {
    my $r = $t->atls('/uri/', @dtls, "$site/id", "$site/id");
    like($r->{out}, qr/^(\w+ DTLSv1.2 .*\n)\1\z/, 'a URI of the session');

    my @psk = ('--psk', "device:$KEY", '--ciphers',
               'PSK-AES128-CCM8:@SECLEVEL=0');

    $r = $t->atls('/psk', @dtls, @psk, "$site/id", "$site/id");
    like($r->{out}, qr/^(\w+ DTLSv1.2 PSK-AES128-CCM8 .*\n)\1\z/,
         'pre-shared key, CCM-8') or diag($r->{err});

    $r = $t->atls('/verified', @dtls, '--cert', $t->path('device.crt'),
                  '--key', $t->path('device.key'), "$site/id");
    like($r->{out}, qr/ CN=device$/, 'client certificate') or diag($r->{err});
}


sub refused {
    my $r = $t->atls('/tls', @dtls, "$site/id");

    isnt($r->{code}, 0, 'not enabled');
    isnt($r->{err}, '', 'message');

    $r = $t->command()->run($t->via(), @dtls, "$site/id");
    is($r->{code}, 60, 'a certificate that is not trusted');

    $r = $t->atls(@dtls, '--resolve', 'other.example:443:127.0.0.1',
                  'https://other.example/id');
    is($r->{code}, 60, 'another name');

    $backend->forget();
    $r = $t->atls(@dtls, '-w', '%{http_code}', '-H', 'Connection: upgrade',
                  '-H', 'Upgrade: x', "$site/body");
    like($r->{out}, qr/501\z/, 'an upgrade');
    is(scalar $backend->requests(), 0, 'does not reach the backend');
}


# POSTs, or their responses: of the handshake, and of the request.

sub lost {
    for my $n (1 .. 3) {
        for my $what (qw( never lose empty )) {
            my $r = changed_by("$what:$n", "$site/id");

            is($r->{code}, 0, "GET, $what $n") or diag($r->{err});
        }
    }

    for my $what (qw( lose empty )) {
        $backend->forget();

        my $r = changed_by("$what:3", '-d', 'x', "$site/body?$what");

        isnt($r->{code}, 0, "POST, $what");
        is($r->{out}, '', "POST, $what: no response");
        is(scalar $backend->requests(), 1, "POST, $what: not repeated");
    }

    for my $n (1 .. 2) {
        my $r = changed_by("twice:$n", "$site/id");
        is($r->{code}, 0, "records of the handshake twice, $n")
            or diag($r->{err});
    }

    my $r = changed_by('never:2:99', "$site/id");
    isnt($r->{code}, 0, 'each flight is lost');
    isnt($r->{err}, '', 'message');
}


# Records of a response.

sub changed {
    my $r = changed_by('twice:3', "$site/big?size=5000");
    is($r->{out}, pattern(5000), 'all of them twice') or diag($r->{err});

    for my $what (qw( first second last swap )) {
        $r = changed_by("$what:3", "$site/chunked", "$site/big?size=5000");

        isnt($r->{code}, 0, $what);
        isnt($r->{err}, '', "$what: message");

        # chunks may come in one record; the other request has a new session

        $r->{out} =~ s/\Q@{[ pattern(5000) ]}\E\z//;
        is(substr("one\ntwo\nthree\n", 0, length $r->{out}), $r->{out},
           "$what: nothing after it");
    }

    # data that would be valid without the record

    $r = changed_by('second:3', "$site/slow?n=5&delay=0.5");
    is($r->{code}, 56, 'one of several chunks');
    like($r->{err}, qr/missing or reordered/, 'message');
}


sub forward {
    my $f = $t->forward(@dtls, '--sessions', 1);
    my %ids = map { $f->ask('GET /id')->body() => 1 } 1 .. 4;

    is(scalar keys %ids, 1, 'one session');
    like((keys %ids)[0], qr/ DTLSv1.2 /, 'DTLS');
    is($f->ask("POST /body\nContent-Length: 5\n\nhello")->body(), 'hello',
       'body');

    my $r = $f->ask("GET /id\nConnection: upgrade\nUpgrade: websocket");
    is($r->status(), 501, 'WebSocket');

    $f->stop();

    $f = $t->forward('/short', @dtls);

    my $first = $f->ask('GET /id')->body();

    sleep(3);

    is($f->ask("POST /body\nContent-Length: 1\n\ny")->body(), 'y',
       'POST after the timeout');

    my $second = $f->ask('GET /id')->body();

    like($second, qr/^\w+ DTLSv1.2 /, 'after the timeout');
    isnt($second, $first, 'another session');

    $f->stop();
}


sub options {
    my $atls = $t->command();

    for (['--exported-keys'], ['--tlsv1.3'],
         ['--early-data', '--session-file', $t->path('sessions')])
    {
        my $r = $atls->run(@dtls, @$_, "$site/");

        is($r->{code}, 2, $_->[0]);
        like($r->{err}, qr/--dtls and $_->[0] are mutually exclusive/,
             "$_->[0]: message");
    }
}


# Runs the command through the proxy below, with a plan for it: what is done
# with the n-th POST: "never": it is not passed; "lose", "empty": the response
# is lost; others change the records of the response.

sub changed_by {
    my ($plan, @args) = @_;

    my $id = ++$t->{plan};

    return $t->command()->run('--via', 'http://127.0.0.1:' . $t->port(2)
                              . "/.well-known/atls?$plan,$id", $t->trust(),
                              @dtls, @args);
}


sub path {
    my ($port) = @_;

    my %change = (
        twice  => sub { map { ($_, $_) } @_ },
        first  => sub { @_[1 .. $#_] },
        second => sub { @_[0, 2 .. $#_] },
        last   => sub { @_[0 .. $#_ - 1] },
        swap   => sub { @_ > 1 ? @_[1, 0, 2 .. $#_] : () },
        empty  => sub { () },
    );

    my $serve = sub {
        my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                           LocalPort => $port, Listen => 64,
                                           ReuseAddr => 1) or die "path: $!\n";
        my %posts;

        while (my $client = $listen->accept()) {
            my ($head, $body) = read_request($client) or next;
            my ($plan, $what, $n, $last) =
                $head =~ /^POST \S+\?((\w+):(\d+)(?::(\d+))?,\d+) /;
            my $now = ++$posts{$plan};

            $what = '' if $now < $n || $now > ($last || $n);
            next if $what eq 'never';

            my ($cookie) = $head =~ /^Cookie: (.*)\r$/mi;
            my $outer = Test::Atls::Outer->new(port => $t->port(0),
                                               keepalive => 0,
                                               uri => '/.well-known/atls');
            my $r = $outer->post($body, {
                'Content-Type' => 'application/atls+octet-stream',
                Cookie => $cookie,
            });
            next if $what eq 'lose';

            my @records = dtls_records($r->body());
            @records = $change{$what}->(@records) if $change{$what};

            send_all($client, answer($r, join '', @records));
            close $client;
        }
    };

    $t->run_daemon($serve, port => $port);
}


sub answer {
    my ($r, $body) = @_;

    my $head = 'HTTP/1.1 ' . $r->status() . " x\r\nConnection: close\r\n"
               . 'Content-Length: ' . length($body) . "\r\n";

    for my $name ('Content-Type', 'Cache-Control', 'Set-Cookie') {
        my $value = $r->header($name);
        $head .= "$name: $value\r\n" if defined $value;
    }

    return "$head\r\n$body";
}
