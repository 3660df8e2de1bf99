# An unbuffered body: nginx notices its end in any case.

use strict;
use warnings;

use IO::Socket::INET;
use Net::SSLeay;
use Socket qw( IPPROTO_TCP TCP_NODELAY );
use Test::More;

use Test::Atls;
use Test::Atls::Http qw( readable send_all );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience );


my $PATIENCE = patience();

my $t = Test::Atls->new(workers => 1);


# the backend is in this process, which controls the order of events

my $backend = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
    or die "no socket: $!\n";
my $port = $backend->sockport();

# if the end is missed, this is noticed when an idle connection is closed

$t->write_http(<<"EOC");
keepalive_timeout     1h;

%%CERTIFICATE%%

server {
    listen       127.0.0.1:%%PORT_0%%;
    listen       127.0.0.1:%%PORT_1%% ssl;
    server_name  localhost;

    %%SSL_CERTIFICATE%%

    location /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass               http://127.0.0.1:$port;
        proxy_http_version       1.1;
        proxy_request_buffering  off;
    }
}
EOC

$t->run();

my $tls = Net::SSLeay::CTX_new() or die "no context\n";

for my $rest (1, 5, 20_000) {
    upload('HTTP', $rest);
    upload('HTTPS', $rest);
}

Net::SSLeay::CTX_free($tls);

$t->done_testing();


# The last bytes of the body and a part of the response are received at the same
# time: the latter makes the worker read the former.  With outer HTTPS, the
# bytes are read; otherwise, nginx has not processed their event yet.

sub upload {
    my ($outside, $rest) = @_;

    my $name = "$outside, $rest bytes are left";
    my $c = $t->client();

    $c->handshake() or diag($c->error());

    my ($begin, $end) = map { $c->write_plain($_); $c->tls_out() }
        "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        . (1000 + $rest) . "\r\n\r\n" . 'x' x 1000, 'y' x $rest;

    my $outer = outer($outside);

    outer_send($outer, $c->format_post($begin, 'Content-Length' =>
                                               length $begin . $end));

    my $upstream = $backend->accept();
    my $got = take($upstream, '', qr/x{1000}/);

    my ($worker) = $t->workers();

    $t->suspend_workers($worker);

    send_all($upstream, "HTTP/1.1 200 OK\r\n");
    outer_send($outer, $end);
    kill 'CONT', $worker;

    my $y = 'y' x $rest;

    like(take($upstream, $got, qr/$y$/), qr/x{1000}$y$/,
         "$name: the backend has all");
    send_all($upstream, "Content-Length: 2\r\n\r\nok");

    my $r = outer_response($outer);

    ok($r->done(), "$name: the POST ends");

    $c->tls_in($r->body());
    my ($inner) = parse_responses($c->read_plain());
    is($inner && $inner->body(), 'ok', "$name: answer");

    Net::SSLeay::free($outer->{ssl}) if $outer->{ssl};
}


# Opens a blocking connection.

sub outer {
    my ($outside) = @_;

    my $https = $outside eq 'HTTPS';
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $t->port($https ? 1 : 0))
        or die "no connection: $!\n";

    setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;

    return { socket => $s } unless $https;

    my $ssl = Net::SSLeay::new($tls);

    Net::SSLeay::set_fd($ssl, fileno $s);
    Net::SSLeay::connect($ssl) == 1 or die "no TLS\n";

    return { socket => $s, ssl => $ssl };
}


sub outer_send {
    my ($outer, $bytes) = @_;

    return send_all($outer->{socket}, $bytes) unless $outer->{ssl};

    Net::SSLeay::ssl_write_all($outer->{ssl}, $bytes) or die "can't send\n";
}


sub outer_response {
    my ($outer) = @_;

    my $r = Test::Atls::Response->new(method => 'POST');

    while (!$r->done() && ($outer->{ssl} && Net::SSLeay::pending($outer->{ssl})
                           || readable($outer->{socket}, $PATIENCE)))
    {
        my $bytes = '';

        if ($outer->{ssl}) {
            $bytes = Net::SSLeay::read($outer->{ssl}) // '';

        } else {
            sysread $outer->{socket}, $bytes, 65536;
        }

        last if $bytes eq '';
        $r->feed($bytes);
    }

    return $r;
}


# Reads until the data match.

sub take {
    my ($s, $got, $want) = @_;

    while ($got !~ $want && readable($s, $PATIENCE)) {
        sysread $s, $got, 65536, length $got or last;
    }

    return $got;
}
