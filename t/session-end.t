#!/usr/bin/perl

# A line at "info" for the end of each session, bounded; evictions at "warn",
# once a minute; variables of outer POSTs in the access log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 ();
use Test::More;
use Time::Local qw( timelocal );

use Test::Atls;
use Test::Atls::Status qw( status total );

my $t = Test::Atls->new();

my $small = http_conf(<<'EOC');
atls_session_timeout %%TIMEOUT%%;
atls_zone small:32k;
%%CERTIFICATE%%

log_format  posts  '$atls_post $status $atls_post_records_in/'
                   '$atls_post_records_out $atls_post_bytes_in/'
                   '$atls_post_bytes_out $atls_post_session "$http_x_test"';

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
        client_max_body_size 100k;
        access_log %%TESTDIR%%/posts.log posts;
    }

    location /ok {
        return 200 "$atls_session_id $atls_post.";
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->write_conf($small =~ s/%%TIMEOUT%%/10m/r)->run();


# outer POSTs

my $c = $t->client(headers => { 'X-Test' => 'a' });
$c->handshake();

my ($id) = $c->get('/ok')->body() =~ /^([0-9a-f]{32}) \.$/;
ok($id, 'not set in inner requests');

# the hash is no identifier

my $cookie = MIME::Base64::decode_base64url($c->cookie());

is($t->client(headers => { 'X-Test' => 'a' })
     ->post('', cookie => 'atls=' . MIME::Base64::encode_base64url(
                                pack('H*', $id) . substr $cookie, 16))
     ->status(), 410, 'a cookie made of the hash is unknown');
is($c->get('/ok')->status(), 200, 'the session goes on');

$c->close_notify();

# in any order, since they are logged by four workers

my $lines = join "\n", posts('a');
my ($in, $out) = $lines =~ m!^served 200 1/1 (\d+)/(\d+) $id!m;

is(scalar(() = $lines =~ /"a"$/mg), 6, 'a line for each POST');
like($lines, qr!^handshake 200 0/0 0/0 $id !m, 'the first flight');
like($lines, qr!^opened 200 0/0 0/0 $id !m, 'the end of the handshake');
cmp_ok($in // 0, '>', 30, 'a request: plaintext');
cmp_ok($out // 0, '>', 100, 'and that of the response');
like($lines, qr!^session-(?:foreign|unknown) 410 -/- -/- - !m,
     'not its session');
like($lines, qr!^closed 200 1/1 0/0 $id !m, 'close_notify');

http_raw($t->port(0), "POST /.well-known/atls HTTP/1.0\r\nX-Test: b\r\n"
         . "Content-Length: 200000\r\n\r\n");
posts('b');
http_raw($t->port(0), "GET /.well-known/atls HTTP/1.0\r\nX-Test: b\r\n\r\n");

is(join("\n", sort(posts('b'))), qq(method 405 -/- -/- - "b"\n)
                                 . q(nginx 413 -/- -/- - "b"), 'errors');


# ends of sessions

my $numbers = qr/age:\d+\.\d{3}, requests:2, in:\d+, out:\d+, suite:TLS_\w+/;
my $end = qr/\[info\] .*atls session $id ended: close-notify, $numbers/;

ok($t->wait_for_log($end), 'the end of a session');
like($t->read_file('error.log'), qr/$end, client: 127\.0\.0\.1/,
     'with its client');


# evictions

$t->established() for 1 .. 60;

my $evicted = qr/\[warn\] .*"small" is too small, sessions evicted: /;

ok($t->wait_for_log(qr/$evicted.*; entries in use: \d+ of \d+/),
   'a zone that is too small');
ok($t->wait_for_log(qr/ended: evicted,/), 'a session that was evicted');

$t->established() for 1 .. 10;

# the next report would be logged when expired sessions are removed

$t->write_conf($small =~ s/%%TIMEOUT%%/1s/r)->reload();

ok(swept(), 'a timeout');
swept();
like($t->read_file('error.log'), qr/ended: idle-timeout,/, 'its line');

my @times = map { timelocal($6, $5, $4, $3, $2 - 1, $1)
                  if m!^(\d+)/(\d+)/(\d+) (\d+):(\d+):(\d+)! }
            grep { /is too small/ } split /\n/, $t->read_file('error.log');

is_deeply([ grep { $times[$_] - $times[$_ - 1] < 59 } 1 .. $#times ], [],
          'once a minute');


# many at once: after a reload, all sessions are expired

my $many = Test::Atls->new(workers => 1);

my $conf = http_conf(<<'EOC', main => 'worker_shutdown_timeout 1s;');
%%CERTIFICATE%%
atls_handshake_timeout 10m;
atls_session_timeout %%TIMEOUT%%;

server {
    listen 127.0.0.1:%%PORT_0%%;
    location /.well-known/atls { atls on; }
}
EOC

$many->write_conf($conf =~ s/%%TIMEOUT%%/10m/r)->run();
$many->established() for 1 .. 130;

$many->write_conf($conf =~ s/%%TIMEOUT%%/1s/r)->reload();

ok($many->wait_for_log(qr/\[info\] .*atls sessions ended, not logged: 30$/m),
   'not all of many are logged');
is(scalar(() = $many->read_file('error.log') =~ /ended: idle-timeout,/g), 100,
   'but 100 in a second');

my ($old) = $many->workers();

$many->half_open() for 1 .. 60;
$many->reload();
$many->wait_for_log(qr/worker process $old exited/);

is(scalar(() = $many->read_file('error.log') =~ /ended: shutdown,/g), 50,
   '... and less of handshakes');

$many->finish();
$t->done_testing();


sub swept {
    $t->established();

    return $t->wait_for(sub { total(status($t)->{sessions}) == 0 });
}


# Lines of the access log, with a value of X-Test.

sub posts {
    my ($test) = @_;

    return grep { /"$test"$/ } split /\n/, $t->read_log('posts.log');
}
