#!/usr/bin/perl

# Protocols in which the server speaks first, through atls tunnel: a greeting
# with a raw payload, and with --poll an upgraded connection.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::LocalServer qw( ask_tls summary );
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Serve qw( read_request serve );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience );
use Test::Atls::WebSocket;

my $WHILE = 0.5;        # seconds without data

my $t = Test::Atls::Site->new(workers => 2);

$t->serve(<<'EOC', endpoint => 'atls_poll_timeout 30s;');
location = /smtp {
    atls on;
    atls_payload raw;
    atls_poll_timeout 30s;
    keepalive_timeout 0;
    proxy_pass http://127.0.0.1:%%PORT_3%%;
}

location = /silent {
    atls on;
    atls_payload raw;
    keepalive_timeout 0;
    proxy_pass http://127.0.0.1:%%PORT_3%%;
}

location = /refused {
    atls on;
    atls_payload raw;
    atls_poll_timeout 30s;
    return 404;
}

location ~ ^/(echo|push|flood)$ {
    proxy_pass http://127.0.0.1:%%PORT_2%%;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
}
EOC

Test::Atls::WebSocket->serve($t, $t->port(2));
$t->run_daemon(\&smtp, port => $t->port(3));

greeting($_, '/smtp') for qw( TLSv1_3 TLSv1_2 );
no_greeting();
refused($_) for [], ['--poll'];
upgraded($_) for qw( TLSv1_3 TLSv1_2 );
without_poll();

$t->done_testing();


# A mail server behind HTTP: each message is a POST, and an empty one asks for
# the greeting.

sub smtp {
    serve($t->port(3), sub {
        my ($s) = @_;

        my ($head, $body) = read_request($s) or return;
        my $answer = $body eq '' ? "220 mail ready\r\n"
                     : $body =~ /^EHLO (\S+)/ ? "250 hello $1\r\n"
                     : $body =~ /^QUIT/ ? "221 bye\r\n" : "500 what?\r\n";

        send_all($s, "HTTP/1.0 200 OK\r\n\r\n$answer");
    });
}


sub tls {
    my ($tunnel, $version) = @_;

    my $s = http_connect($tunnel->port());

    require IO::Socket::SSL;
    IO::Socket::SSL->start_SSL($s, SSL_version => $version,
                               SSL_hostname => 'localhost',
                               SSL_verifycn_name => 'localhost',
                               SSL_ca_file => $t->path('ca.crt'))
        or die IO::Socket::SSL::errstr() . "\n";

    return $s;
}


sub line {
    my ($s) = @_;

    my $got = '';

    until ($got =~ /\n/) {
        readable($s, patience()) && $s->sysread($got, 4096, length $got)
            or last;
    }

    return $got;
}


sub greeting {
    my ($version, $path) = @_;

    my $tunnel = $t->tunnel($path);
    my $s = tls($tunnel, $version);

    is(line($s), "220 mail ready\r\n", "$version: the greeting comes first");
    send_all($s, "EHLO me\r\n");
    is(line($s), "250 hello me\r\n", "$version: an answer");
    send_all($s, "QUIT\r\n");
    is(line($s), "221 bye\r\n", "$version: the last one");
    $s->close();
    is($tunnel->stop()->{code}, 0, "$version: the end");
}


# Without atls_poll_timeout.

sub no_greeting {
    my $tunnel = $t->tunnel('/silent');
    my $s = tls($tunnel, 'TLSv1_3');

    send_all($s, "EHLO me\r\n");
    is(line($s), "250 hello me\r\n", 'off: no greeting');
    $s->close();
    $tunnel->stop();
}


# The service does not accept the message: the POST is not sent again.

sub refused {
    my ($args) = @_;

    my $what = "@$args refused";
    my $tunnel = $t->tunnel('/refused', @$args);
    my $s = tls($tunnel, 'TLSv1_3');

    is(line($s), '', "$what: no greeting");
    $s->close();
    like($tunnel->stop()->{out}, qr/ 502: the service did not accept the data$/m,
         "$what: the reason");
}


sub gets {
    my ($ws, $type, $bytes, $what) = @_;

    my ($type2, $bytes2) = $ws->receive();

    ok(defined $type2 && $type2 eq $type && $bytes2 eq $bytes, $what);
}


sub upgraded {
    my ($version) = @_;

    my $tunnel = $t->tunnel('--poll');
    my $ws = Test::Atls::WebSocket->connect($tunnel->port(),
                                            '/push?n=50&ms=20', tls => 1);

    ok($ws->accepted(), "$version: upgraded") or diag($ws->head());

    my $n = 0;

    while ($n < 50) {
        my ($type, $text) = $ws->receive() or last;
        last if $text ne ++$n;
    }

    is($n, 50, "$version: messages of the server");

    for my $size (10, 1 << 20) {
        $ws->send(binary => pattern($size));
        gets($ws, binary => pattern($size), "$version: echo of $size bytes");
    }

    $ws->send(close => pack('n', 1000));
    gets($ws, close => pack('n', 1000), "$version: the close frame");
    ok($ws->ended(), "$version: the end");

    $ws = Test::Atls::WebSocket->connect($tunnel->port(),
                                         '/flood?n=64&size=65536', tls => 1);
    select undef, undef, undef, $WHILE;

    for ($n = 0; $n < 64; $n++) {
        my ($type, $bytes) = $ws->receive() or last;
        last if $bytes ne pattern(65536, $n * 65536);
    }

    is($n, 64, "$version: a flood");
    $ws->close();

    # several requests in a session

    my $s = tls($tunnel, $version);

    for (1 .. 3) {
        is(summary(ask_tls($s, 'GET /exact')), "200 exactly\n",
           "$version: a request");
        select undef, undef, undef, 0.1;
    }

    $s->close();
    is($tunnel->stop()->{code}, 0, "$version: stopped");
}


# Messages wait for the client's next POST.

sub without_poll {
    my $tunnel = $t->tunnel();
    my $ws = Test::Atls::WebSocket->connect($tunnel->port(),
                                            '/push?n=1&ms=200', tls => 1);

    ok($ws->accepted(), 'without --poll: upgraded');
    ok(!$ws->receive($WHILE), 'without --poll: no message');

    # the backend may not have sent it yet

    my @message;

    $t->wait_for(sub {
        $ws->send(text => 'and?');
        return @message = $ws->receive(1);
    });

    is("@message", 'text 1', 'without --poll: it comes with the next data');
    $ws->close();
    $tunnel->stop();
}
