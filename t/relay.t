# Each POST of a handshake may be received by another worker, and is relayed to
# the worker that has begun the handshake.

use strict;
use warnings;

use Test::More;

use Test::Atls;


my $t = Test::Atls->new(workers => 4, client => { keepalive => 0 });

$t->make_cert('rsa', type => 'rsa');

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format  outer  '$remote_addr $request_method $uri $status '
                   '$http_x_number $pid';
log_format  inner  '$remote_addr $request_method $uri $status '
                   '$http_x_number';

map $request_method $counted {
    POST  $binary_remote_addr;
}

server {
    listen       127.0.0.1:%%PORT_0%%;
    listen       127.0.0.1:%%PORT_1%% ssl;
    server_name  localhost;

    %%SSL_CERTIFICATE_rsa%%

    location /.well-known/atls {
        atls on;
        access_log  %%TESTDIR%%/outer.log outer;
        add_header  X-Added yes always;
    }

    location / {
        access_log  %%TESTDIR%%/inner.log inner;
        return 200 "$remote_addr $server_name $pid";
    }
}

server {
    listen       127.0.0.1:%%PORT_0%%;
    listen       127.0.0.1:%%PORT_1%% ssl;
    server_name  other.example;

    %%SSL_CERTIFICATE_rsa%%

    location / {
        return 200 "$remote_addr $server_name $pid";
    }
}
EOC

my $MODES = 5;
my $EACH = 30;

$t->run();


# each POST over a new connection

my %modes = (
    'HTTP/1.1'            => { },
    'HTTP/1.1 chunked'    => { outer => 'http11-chunked' },
    'HTTP/1.0'            => { outer => 'http10' },
    'TLS outside'         => { tls => 1, port => $t->port(1) },
    'TLSv1.2'             => { protocol => 'TLSv1.2' },
);

for my $mode (sort keys %modes) {
    my $failed = '';

    for my $n (1 .. $EACH) {
        my $c = $t->client(%{$modes{$mode}});

        if (!$c->handshake()) {
            $failed .= "$n: handshake: " . $c->error() . "\n";
            next;
        }

        my $r = $c->get('/');
        $failed .= "$n: request: " . $c->error() . "\n"
            if !$r || $r->body() !~ /^127\.0\.0\.1 localhost \d+$/;
    }

    is($failed, '', $mode);
}


# the flight that ends the handshake contains the request, and only the response
# shows that it was relayed

{
    my (%hosts, %seen, @bad);

    for my $n (1 .. $EACH) {
        my $c = $t->client(local => '127.0.0.2', sni => 'other.example',
                           headers => { 'X-Number' => $n });

        $c->handshake(hold => 1);

        my $r = $c->http("GET /last HTTP/1.1\r\nHost: other.example\r\n"
                         . "X-Number: $n\r\n\r\n");

        my $o = $c->last_response();

        push @bad, $n . $c->error()
            if !$r || $r->body() !~ /^127\.0\.0\.2 other.example (\d+)$/;
        push @bad, "$n headers" if $o->header('X-Added') ne 'yes'
            || (() = $o->header('X-Added')) != 1
            || $o->header('Cache-Control') ne 'no-store'
            || (() = $o->header('Cache-Control')) != 1
            || $o->header('Content-Type') ne 'application/atls+octet-stream';
    }

    is("@bad", '', 'request with the last flight');

    $t->wait_for(sub {
        @{[ $t->read_file('outer.log') =~ /^127\.0\.0\.2 /mg ]} >= 2 * $EACH
    }, 5);

    my @lines = $t->read_log('outer.log') =~ /^(127\.0\.0\.2 .*)$/mg;
    my %pids = map { /(\d+)$/ ? ($1 => 1) : () } @lines;

    is(scalar @lines, 2 * $EACH, 'a log line for each POST');
    is(scalar(grep { !/ POST \S+ 200 / } @lines), 0, 'all of them 200');
    cmp_ok(scalar keys %pids, '>', 1, 'more than one worker was there');
}

# an alert is relayed, too

{
    my $failed = 0;

    for (1 .. $EACH) {
        my $c = $t->client();

        $c->handshake_step();
        $c->exchange($c->tls_out());
        $c->post("\x17\x03\x03\x00\x20" . 'x' x 32);

        my $o = $c->last_response();
        $failed++ if $o->status() != 200 || !$c->{expired}
                     || length $o->body() == 0;
    }

    is($failed, 0, 'alert and expired cookie');
}


# the worker of a handshake dies: the client is told at once

{
    my $c = $t->client();

    $c->handshake_step();
    $c->exchange($c->tls_out());
    $c->handshake_step();

    my @workers = $t->workers();
    my %before = map { $_ => 1 } @workers;

    $t->allow_kills();
    kill 'KILL', @workers;

    $t->wait_for(sub { 4 == grep { !$before{$_} } $t->workers() }, 10);

    my $o = $c->post($c->tls_out());

    is($o && $o->status(), 410, 'handshake is lost');
    ok($c->{expired}, 'the cookie is expired');
}

$t->done_testing();
