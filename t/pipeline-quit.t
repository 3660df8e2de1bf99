#!/usr/bin/perl

# Many requests in one POST, whose worker is told to quit: all of them are
# answered, without additional memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Process qw( spawn wait_exit );

use constant { REQUESTS => 5_000, KILOBYTES => 16_384 };

my $t = Test::Atls->new(workers => 1);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
        return 200 x;
    }
}
EOC

$t->run();

my $request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
my ($worker) = $t->workers();


# the peak memory of the worker, in kilobytes

sub peak { return $t->read_file("/proc/$worker/status") =~ /^VmHWM:\s+(\d+)/m }


my $c = $t->established();

$c->write_plain($request);
my $first = $c->tls_out();

$c->write_plain($request x REQUESTS);
my $rest = $c->tls_out();

my $s = $c->http_client()->{socket} = http_connect($t->port(0));

send_all($s, $c->format_post($first,
                             'Content-Length' => length $first . $rest));

ok(readable($s, 30), 'the first request is answered');

my ($before) = peak();

ok($t->reload(), 'reload');
$t->wait_for(sub { $t->read_file("/proc/$worker/cmdline") =~ /shutting down/ },
             30);

# a client that does not read would not get more responses

my $sender = spawn({ code => sub { send_all($s, $rest) } });

my $after = $before;
my $body = '';

$c->post_receive(timeout => 60, on_body => sub {
    $body .= $_[0];
    ($after) = peak();
});

wait_exit($sender, 30);

$c->tls_in($body);
my $answered = () = $c->read_plain() =~ m!HTTP/1.1 200!g;

is($answered, REQUESTS + 1, 'so are all others');

SKIP: {
    skip 'memory that is given back is kept', 1
        if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};

    cmp_ok($after - $before, '<', KILOBYTES, 'without more memory');
}

$t->done_testing();
