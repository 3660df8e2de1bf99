#!/usr/bin/perl

# atls proxy --direct: hosts without ATLS, also if the outer connection uses
# another proxy.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls::Http qw( http_connect http_raw send_all );
use Test::Atls::LocalServer qw( ask_tls connection_end message summary );
use Test::Atls::Pattern qw( pattern_md5 );
use Test::Atls::Port qw( free_port );
use Test::Atls::Program qw( run_program );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience );

use constant MB => 1 << 20;

my $PATIENCE = patience();

my $t = Test::Atls::Site->new();

$t->make_cert('outer-ca', is_ca => 1);
$t->make_cert('outer', ca => 'outer-ca', san => 'DNS:localhost');

# A service with the default endpoint, a site without ATLS, and one that is
# unavailable.

my $servers = <<'EOC';
%%SSL_CERTIFICATE_outer%%

server {
    listen 127.0.0.1:%%PORT_2%% ssl;
    server_name localhost;

    location = /.well-known/atls {
        atls on;
    }

    location = /info {
        return 200 "$atls_session_id $atls_protocol $atls_server_name $host\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_3%% ssl;
    client_max_body_size 0;

    location = /.well-known/atls {
        return 404;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_request_buffering off;
    }
}

server {
    listen 127.0.0.1:%%PORT_4%% ssl;
    return 503;
}
EOC

$t->serve(<<'EOC', servers => $servers);
location = /none {
    return 404;
}

# nginx aborts requests of half-closed connections otherwise

location = /slow {
    proxy_pass http://127.0.0.1:%%PORT_1%%;
    proxy_ignore_client_abort on;
}
EOC

my ($https, $none, $down) = map { $t->port($_) } 2 .. 4;
my @maps = ('--map', 'none.test=' . $t->endpoint('/none'));

subtest('direct' => \&direct);
subtest('proxy of a proxy' => \&chained);

$t->done_testing();


sub curl {
    my ($p, @args) = @_;

    return run_program($t, 'curl', '-sS', '--cacert', $t->path('ca.crt'),
                       '-x', 'http://127.0.0.1:' . $p->port(), @args);
}


# A TLS connection through a proxy, to the service or to another port.

sub tls {
    my ($p, $to) = @_;

    return http_connect($to || $https, tls => 1, host => 'localhost',
                        proxy => $p->port());
}


sub direct {
    my $p = $t->proxy('--direct', @maps);
    my $site = "https://localhost:$none";
    my @trust = ('--cacert', $t->path('outer-ca.crt'));

    my $r = curl($p, @trust, "$site/status?code=201");
    is($r->{out}, "status 201\n", 'a host without ATLS') or diag($r->{err});

    $r = curl($p, @trust, '-o', $t->path('large'), "$site/big?size=" . 5 * MB);
    is(md5_hex($t->read_file('large')), pattern_md5(5 * MB), 'download');
    $r = curl($p, @trust, '-T', $t->path('large'), "$site/echo");
    like($r->{out}, qr/^md5 \Q${\pattern_md5(5 * MB)}\E$/m, 'upload');

    is(curl($p, "$site/")->{code}, 60, 'curl verifies its certificate');
    like(curl($p, "https://localhost:$https/info")->{out},
         qr/^\w+ TLSv1\.3 localhost/, 'one with ATLS is not');

    # without TLS; the client closes its output first

    my $http = $t->port(0);
    my $got = http_raw($p->port(), message("CONNECT localhost:$http")
                       . message("GET /slow?n=3&delay=0.1\nConnection: close"),
                       shut => 1, timeout => $PATIENCE);
    like($got, qr/\AHTTP\/1\.1 200 .*\r\n\r\nHTTP\/1\.1 200 .*line 3\n/s,
         'no TLS, half closed');

    # failures that do not show that there is no ATLS, and a mapped host

    is($p->ask("CONNECT localhost:$down")->status(), 502, 'one that is down');
    is($p->ask('CONNECT none.test:443')->reason(),
       'none.test does not support ATLS: the endpoint returned 404',
       'one that is mapped');
    like($p->ask('CONNECT localhost:' . free_port())->reason(),
         qr/^cannot connect to the endpoint: /, 'one that is not there');

    # a client disconnects

    my $s = tls($p, $none);
    my $port = $s->sockport();
    send_all($s, message('GET /big?size=100000000'));
    $s->sysread(my $some, 1000);
    $s->close(SSL_no_shutdown => 1);
    ok($p->wait_for_log(qr/:$port .* direct, /), 'the client leaves');

    $s = tls($p, $none);
    is(summary(ask_tls($s, 'GET /status?code=201')), "201 status 201\n",
       'a connection');
    $p->signal('TERM');
    is(connection_end($s), 'closed', 'is closed when it is idle');
    undef $s;

    $r = $p->end();
    is($r->{code}, 0, 'exit code');
    like($r->{out}, qr/^\S+\ localhost:$none\ direct,\ \d+\ bytes\ sent,
                       \ 5\d{6}\ received,\ \d+\.\d{3}\ s$/mx, 'log');

    done_testing();
}


# The outer connection uses another proxy: a second atls proxy.

sub chained {
    my $next = $t->proxy('--direct');
    my $http = 'http://127.0.0.1:' . $next->port();

    for ([ '-x', $http ], [ { env => { https_proxy => $http } } ],
         [ { env => { ALL_PROXY => $http } } ])
    {
        my $env = ref $_->[-1] ? pop @$_ : {};
        my $p = $t->proxy('--direct', '-v', @$_, $env);

        like(curl($p, "https://localhost:$https/info")->{out},
             qr/^\w+ TLSv1\.3 localhost/, 'with ATLS');
        is(curl($p, '--cacert', $t->path('outer-ca.crt'),
                "https://localhost:$none/status?code=201")->{out},
           "status 201\n", 'without');
        like($p->ask('CONNECT no-such.invalid:443')->reason(),
             qr/proxy failure/, 'what the other one refuses');

        my $r = $p->stop();
        is($r->{code}, 0, 'exit code');
        like($r->{err}, qr/^127\.0\.0\.1:\d+ outer> CONNECT localhost:$none /m,
             'log');
    }

    is($next->stop()->{code}, 0, 'exit code');
    done_testing();
}
