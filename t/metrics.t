#!/usr/bin/perl

# atls_status: what is counted, exactly, with known traffic and four workers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Status qw( status total );

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_early_data on;
proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:64k;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
        client_max_body_size 10k;
    }

    location /twice {
        atls on;
        deny all;
        error_page 403 /.well-known/atls;
    }

    location /ok {
        return 200 ok;
    }

    location /missing {
        return 404;
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->run();

my $s = status($t);

is(total($s->{sessions}), 0, 'no sessions');
is($s->{sessions_started_total}, 0, 'none started');
is($s->{workers}, 4, 'workers, without the cache manager');


# sessions, handshakes, POSTs and requests

my @c = map { $t->established() } 1 .. 8;

$_->get('/ok') for @c;
$c[0]->get('/missing');

$s = status($t);

is($s->{sessions}{idle}, 8, 'idle sessions');
is($s->{sessions_started_total}, 8, 'started');
is($s->{handshakes_total}{finished}, 8, 'finished handshakes');
is($s->{handshake_duration_seconds}{count}, 8, 'in the histogram');
is_deeply($s->{handshake_protocols_total}, { 'TLSv1.3' => 8 }, 'protocol');
is(total($s->{handshake_ciphers_total}), 8, 'suites');
is(total($s->{handshake_groups_total}), 8, 'groups');
is($s->{handshake_resumptions_total}{none}, 8, 'none resumed');
is_deeply($s->{requests_total}, { other => 0, '1xx' => 0, '2xx' => 8,
                                  '3xx' => 0, '4xx' => 1, '5xx' => 0 },
          'requests by class');
is($s->{posts_total}{handshake}{200}, 8, 'POSTs with a flight');
is($s->{posts_total}{opened}{200}, 8, 'POSTs that finished a handshake');
is($s->{posts_total}{served}{200}, 9, 'POSTs with requests');
is($s->{post_duration_seconds}{count}, 25, 'all in the histogram');
is(total($s->{relays_total}), $s->{relays_total}{passed}, 'relays passed');
is($s->{handshakes_in_progress}, 0, 'no handshakes in progress');
is($s->{records_total}{in}, 9, 'records in');
cmp_ok($s->{plaintext_bytes_total}{in}, '>', 9 * 20, 'plaintext');
cmp_ok($s->{ciphertext_bytes_total}{in}, '>', $s->{plaintext_bytes_total}{in},
       'ciphertext');


# how sessions end

$c[1]->close_notify();
$c[2]->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");
$c[2]->exchange($c[2]->tls_out() . "\x17\x03\x03\x00\x20" . 'x' x 32);
$c[4]->post("\x17\x03\x03\x00\x20" . 'x' x 32);
$c[3]->get('/ok', Connection => 'close');

$s = status($t);

is($s->{sessions_ended_total}{'close-notify'}, 1, 'closed by the client');
is($s->{posts_total}{closed}{200}, 1, 'its POST');
is($s->{sessions_ended_total}{'record-refused'}, 1, 'a bad record');
is($s->{posts_total}{'record-refused'}{200}, 1, 'its POST');
is($s->{records_refused_total}{'bad record MAC'}, 1, 'its reason');
is($s->{alerts_total}{out}{bad_record_mac}, 1, 'its alert');
is($s->{posts_total}{'not-next'}{409}, 1, 'a foreign POST');
is($s->{sessions_ended_total}{'inner-close'}, 1, 'closed by the service');
is($s->{alerts_total}{in}{close_notify}, 1, 'close_notify received');
is($s->{alerts_total}{out}{close_notify}, 2, 'close_notify sent');
is($s->{sessions}{idle}, 5, 'the others are left');


# handshakes

my $half = $t->half_open();

$s = status($t);
is($s->{sessions}{'half-open'}, 1, 'half-open');
is($s->{handshakes_in_progress}, 1, 'in progress');

my $bad = $t->client(protocol => 'TLSv1.1', ciphers => 'ALL:@SECLEVEL=0');
$bad->handshake();

$s = status($t);
is($s->{handshakes_total}{failed}, 1, 'a handshake that fails');
is($s->{alerts_total}{out}{protocol_version}, 1, 'its alert');
is($s->{sessions_ended_total}{'handshake-failed'}, 1, 'its session');
is($s->{posts_total}{'handshake-failed'}{200}, 1, 'its POST');


# errors: problems, and responses of nginx itself

http_raw($t->port(0), "GET /.well-known/atls HTTP/1.0\r\n\r\n");
http_raw($t->port(0), "POST /.well-known/atls HTTP/1.0\r\n"
                      . "Content-Length: 1\r\n\r\nx");
http_raw($t->port(0), "POST /.well-known/atls HTTP/1.0\r\n"
                      . "Content-Length: 20000\r\n\r\n");

$s = status($t);
is($s->{posts_total}{method}{405}, 1, 'a wrong method');
is($s->{posts_total}{'media-type'}{415}, 1, 'a wrong media type');
is($s->{posts_total}{nginx}{413}, 1, 'a body that is too large');

my $posts = total($s->{posts_total});
http_raw($t->port(0), "GET /twice HTTP/1.0\r\n\r\n");

$s = status($t);
is(total($s->{posts_total}), $posts + 1, 'redirected to another endpoint');
is($s->{posts_total}{method}{405}, 2, 'counted there');

# sums

is(total($s->{sessions}),
   $s->{sessions_started_total} - total($s->{sessions_ended_total}),
   'sessions: started, less ended');
is($s->{post_duration_seconds}{count}, total($s->{posts_total}),
   'POSTs: by reason, in the histogram');

$t->done_testing();
