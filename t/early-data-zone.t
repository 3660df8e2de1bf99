#!/usr/bin/perl

# Early data with a response that is read slowly: the session counts as
# established in the zone, and has its place in it when the handshake is
# finished in the same POST.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Http qw( http_connect send_all );
use Test::Atls::Response;
use Test::Atls::Slow qw( patience slow );
use Test::Atls::Status qw( reading status total );

use constant {
    SIZE    => 16 << 20,        # more than socket buffers can hold
    TIMEOUT => 3 * slow(),
    MANY    => 500,             # more than a zone of 32k can hold
};

my $t = Test::Atls->new(workers => 1);

$t->write_file('big', 'x' x SIZE);

$t->write_http(<<"EOC");
%%CERTIFICATE%%
atls_zone small:32k;
atls_early_data on;
atls_handshake_timeout @{[ TIMEOUT ]}s;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;
    client_body_timeout 600s;
    send_timeout 600s;

    location = /.well-known/atls {
        atls on;
    }

    location = /big {
        alias %%TESTDIR%%/big;
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->run();

my $first = stack();
$first->handshake() or die $first->error() . "\n";
$first->get('/');

# a POST that does not end

my $c = stack(session => $first->session(), early =>
              Test::Atls::Client::format_request('GET', '/big', ''));
$c->handshake_step();

my $flight = chunk($c->tls_out());
my $head = $c->format_post('');
my $s = http_connect($t->port(0));

$head =~ s/Content-Length: 0/Transfer-Encoding: chunked/ or die;
send_all($s, $head . $flight);

ok($t->wait_for(sub { reading($t)->{sessions}{busy} }, patience()),
   'counts as established');

my @idle;

while (@idle < MANY && !evicted()) {
    push @idle, $t->established(keepalive => 0);
}

is(evicted(), 1, 'the zone is full');
ok(finish(), 'the response comes to its end');
is(evicted(), 1, 'the session has its place already');

my $r = $c->get('/status');

is($r && $r->status(), 200, 'and goes on') or diag($c->error());

$t->done_testing();


sub stack {
    return $t->stack('openssl', protocol => 'TLSv1.3', keepalive => 0, @_);
}


sub chunk { sprintf "%x\r\n%s\r\n", length $_[0], $_[0] }


sub evicted { total(status($t)->{sessions_evicted_total}) }


# Reads the response, then sends the last flight in the same POST.

sub finish {
    my $plain = 0;
    my $r = Test::Atls::Response->new(method => 'POST', on_body => sub {
        $c->tls_in($_[0]);
        $c->handshake_step() unless $plain;
        $plain += length $c->read_plain();
    });

    until ($r->done()) {
        my $before = $plain;

        sysread $s, my $bytes, 65536 or last;
        $r->feed($bytes);

        send_all($s, chunk($c->tls_out()) . "0\r\n\r\n")
            if $before <= SIZE && $plain > SIZE;
    }

    $c->_store_cookie($_) for $r->header('Set-Cookie');

    return $r->done() && $plain > SIZE;
}
