#!/usr/bin/perl

# A handshake with DTLS is finished in one worker.  Until it has put the session
# back, records of the client's new keys wait, even if other workers get them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Preload;
use Test::Atls::Response;
use Test::Atls::Slow qw( patience );

my $WHILE = 0.5;        # seconds without an answer

my $t = Test::Atls->new(workers => 2, log_level => 'debug');

plan(skip_all => 'nothing can be preloaded')
    if $ENV{TEST_NGINX_WRAPPER} || `ldd @{[ $t->binary() ]}` =~ /asan/;
plan(skip_all => 'nginx has no debug log') unless $t->has_option('debug');

$t->write_http(<<'EOC', main => 'env LD_PRELOAD; env ATLS_WAIT_ESTABLISHED;');
%%CERTIFICATE%%

atls_protocols DTLSv1.2;
atls_handshake_timeout 600s;

server {
    listen 127.0.0.1:%%PORT_0%%;
    client_body_timeout 600s;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 answered;
    }
}
EOC

Test::Atls::Preload->build($t, 'wait_established')
    ->with(sub { $t->run() }, ATLS_WAIT_ESTABLISHED => $t->path('wait'));

my $first = client();
ok($first->handshake(), 'a session') or diag($first->error());

# the last message of an abbreviated handshake is the client's

my $c = client(session => $first->session());
$c->handshake_step();
$c->exchange($c->tls_out());
ok($c->handshake_step() && $c->resumed(), 'resumed') or diag($c->error());

my $finished = $c->tls_out();
$c->tls_shutdown();
my $closed = $c->tls_out();

my $lines = established();

$t->write_file('wait', '');

my $a = begin($finished);
$t->wait_for(sub { established() > $lines }, patience());

my $b = begin($closed);
ok(!readable($b, $WHILE), 'close_notify waits');
unlink $t->path('wait');

is(status($a), 200, 'the handshake is finished');
is(status($b), 200, 'close_notify');
is($c->post('')->status(), 410, 'the session has ended');

$t->done_testing();


sub client {
    return $t->stack('openssl', protocol => 'DTLSv1.2', keepalive => 0, @_);
}


sub established {
    return scalar(() = $t->read_file('error.log') =~ / establish, lifetime:/g);
}


# A POST in progress.

sub begin {
    my ($bytes) = @_;

    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post($bytes));

    return $s;
}


sub status {
    my ($s) = @_;

    my $r = Test::Atls::Response->new(method => 'POST');

    until ($r->done()) {
        my $got = readable($s, patience()) && sysread $s, my $bytes, 65536;
        return 'no answer' unless $got;
        $r->feed($bytes);
    }

    return $r->status();
}
