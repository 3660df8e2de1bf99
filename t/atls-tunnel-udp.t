#!/usr/bin/perl

# atls tunnel --udp: any DTLS client through a local port.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::IP;
use Test::More;

use Test::Atls::Http qw( readable );
use Test::Atls::LocalServer;
use Test::Atls::Program qw( find_program run_program );
use Test::Atls::Response;
use Test::Atls::Site;
use Test::Atls::Slow qw( patience );
use Test::Atls::Stack;
use Test::Atls::Udp qw( dtls_records get s_client talk );

my $t = Test::Atls::Site->new();
my $backend = $t->backend();

my %more = (http     => q{ log_format outer '$request_method $uri $status'; },
            endpoint => 'atls_protocols TLSv1.3 DTLSv1.2;');

$t->serve(<<'EOC', %more);
location /resource/ {
    atls on;
    atls_protocols DTLSv1.2;
    atls_session_tracking location;
}

location = /busy {
    access_log %%TESTDIR%%/outer.log outer;
    return 503;
}
EOC

my $tunnel = $t->tunnel('--udp');

my $clients = 1 + 1 + 3;
my @VERIFY = ('-CAfile', $t->path('ca.crt'), '-verify_return_error');

# clients

my ($out, $err) = talk($t, qr/^0000002/m, get('/big?size=30'),
                       s_client($tunnel->port(), @VERIFY));
like($out, qr/^HTTP.*^0000000\n0000001/ms, 's_client') or diag($err);

SKIP: {
    skip('no gnutls-cli', 1) unless find_program('gnutls-cli');

    ($out, $err) = talk($t, qr/^0000002/m, get('/big?size=30'),
                        'gnutls-cli', '--udp', '--port', $tunnel->port(),
                        '--x509cafile', $t->path('ca.crt'),
                        '--verify-hostname', 'localhost', '127.0.0.1');
    like($out, qr/^0000000\n0000001/m, 'gnutls-cli') or diag($err);
    $clients++;
}

my $c = client($tunnel);

is(body($c, '/exact'), "exactly\n", 'another client');
is(body($c, '/exact'), "exactly\n", 'another request');
is(length body($c, '/big?size=50000'), 50000, 'response of many datagrams');

# several clients

my @clients = map { client($tunnel) } 1 .. 3;

for my $n (0 .. $#clients) {
    is(length body($clients[$n], "/big?size=$n"), $n, "client $n");
}

# what is no DTLS is not answered, and does no harm

my $s = $c->{udp};

$s->send($_) for 'garbage', 'x' x 60000;
is(body($c, '/exact'), "exactly\n", 'after garbage');

# all of these are there before the next POST

request($c, '/wait?delay=1');
$t->wait_for(sub { grep { $_->{uri} =~ /wait/ } $backend->requests() });
$s->send($_) for 'garbage', 'x' x 60000;
request($c, '/exact', 'garbage');
is(response($c), "waited\n", 'a POST in progress');
is(response($c), "exactly\n", 'after garbage in the meantime');

# sessions end, and others of the same address begin

$c->tls_shutdown();
$s->send($c->tls_out());
ok($t->wait_for(sub { $t->read_file('error.log') =~ /ended: close-notify/ }),
   'close_notify');

is(body(client($tunnel, $s), '/exact'), "exactly\n",
   'another session of the address');
is(body(client($tunnel, $s), '/exact'), "exactly\n",
   'and another one, without an end');

# the log

my $r = $tunnel->stop();

is($r->{code}, 0, 'stopped');

my $line = qr/^127\.0\.0\.1:\d+ \d+ POSTs, \d+ bytes sent, \d+ received,/m;

is(scalar(() = $r->{out} =~ /$line/g),
   $clients, 'a line for each client') or diag($r->{out});

# a session with a URI

$tunnel = $t->tunnel('/resource/', '--udp');
is(body(client($tunnel), '/exact'), "exactly\n", 'session with a URI');
$tunnel->stop();

# errors

$tunnel = $t->tunnel('/busy', '--udp');
$c = new_client();
$c->handshake_step();
$s = udp($tunnel);
$s->send($c->tls_out());
ok($t->wait_for(sub { $t->read_file('outer.log') =~ m!POST /busy 503! }),
   'a POST fails');
$r = $tunnel->stop();
like($r->{out}, qr/^\S+ 1 POST, \d+ bytes sent, 0 received, \S+ s: .*503/m,
     'logged');

$r = run_program($t, $t->command()->program(), 'tunnel', '--udp', '-l',
                 'unix:socket', 'https://localhost');
is($r->{code}, 2, 'no UNIX-domain socket');
like($r->{err}, qr/unix:socket/, 'message');

$t->done_testing();


sub new_client {
    return Test::Atls::Stack->new('openssl', port => $t->port(0),
                                  protocol => 'DTLSv1.2');
}


sub udp {
    my ($server) = @_;

    return IO::Socket::IP->new(PeerAddr => '127.0.0.1', Proto => 'udp',
                               PeerPort => $server->port()) || die "UDP: $!\n";
}


# A client with an established session, on a socket of its own.

sub client {
    my ($server, $udp) = @_;

    my $new = new_client();

    $new->{udp} = $udp || udp($server);

    until ($new->handshake_step()) {
        $new->{udp}->send($_) for dtls_records($new->tls_out());
        receive($new) or last;
    }

    $new->{udp}->send($_) for dtls_records($new->tls_out());

    is($new->{state}, 'established', 'handshake') or diag($new->error());

    return $new;
}


# The body of a response.

sub body {
    my ($client, $uri) = @_;

    request($client, $uri);

    return response($client);
}


# A request in a datagram, with something behind it.

sub request {
    my ($client, $uri, $behind) = @_;

    $client->write_plain(get($uri));
    $client->{udp}->send($client->tls_out() . ($behind || ''));
}


sub response {
    my ($client) = @_;

    my $r = Test::Atls::Response->new(method => 'GET');

    until ($r->done()) {
        receive($client) or last;
        $r->feed($client->read_plain());
    }

    return $r->body();
}


sub receive {
    my ($client) = @_;

    readable($client->{udp}, patience()) or return 0;
    $client->{udp}->recv(my $datagram, 65536);
    $client->tls_in($datagram);

    return 1;
}
