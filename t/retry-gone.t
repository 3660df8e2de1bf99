#!/usr/bin/perl

# Clients that are gone while their POSTs wait for a session, over all versions
# of HTTP, and while their requests go on without them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Socket qw( SOL_SOCKET SO_LINGER );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Http2Stream;
use Test::Atls::OuterCurl;
use Test::Atls::Retry qw( again opened record );

my $t = Test::Atls->new(workers => 2);
my $h2 = $t->has_option('http_v2_module');
my $h3 = $t->has_option('http_v3_module')
         && Test::Atls::OuterCurl::has_http3();
my ($listen_h2, $http2) = $t->http2();
my $quic = $h3 ? 'listen 127.0.0.1:%%PORT_4%% quic reuseport;' : '';

$t->make_cert('localhost');

$t->write_http(<<"EOC");
%%CERTIFICATE%%
ssl_certificate localhost.crt;
ssl_certificate_key localhost.key;

log_format gone "\$status \$http_x_which";

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_2%% $listen_h2;
    listen 127.0.0.1:%%PORT_3%% ssl;
    $quic
    $http2

    location = /atls {
        atls on;
        access_log %%TESTDIR%%/gone.log gone;
    }

    location = /hang {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location / {
        access_log %%TESTDIR%%/gone.log gone;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_ignore_client_abort on;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));

for my $cut (0, 1) {
    for my $reset (0, 1) {
        waiting($cut, $reset);
        waiting($cut, $reset, tls => 1, port => $t->port(3));
        waiting_http2($cut, $reset) if $h2;
    }
}

if ($h3) {
    waiting_http3();
    goes_on_http3();
}

goes_on();
goes_on_tls();

$t->done_testing();


sub established {
    my $c = $t->client(uri => '/atls', keepalive => 0, @_);

    $c->handshake() or die $c->error() . "\n";
    $backend->forget();

    return $c;
}


sub requests { scalar $backend->requests() }


# A POST in progress, and its bytes.

sub in_progress {
    my $c = established();
    my $record = record($c, '/hang');

    $c->post_send($record);
    $t->wait_for(sub { requests() });

    return ($c, $record);
}


# Whether the end of a POST was noticed before that of the first one.  If the
# client is gone before the POST waits, core finds its body incomplete.

sub noticed {
    my ($c, $name) = @_;

    my $re = qr/^4(?:99|00) \Q$name\E$/m;

    ok($t->wait_for(sub { $t->read_file('gone.log') =~ $re }),
       "$name: noticed");
    ok(!readable($c->http_client()->{socket}, 0),
       "$name: the first POST is in progress");
    is(requests(), 1, "$name: one request");
}


sub reset_connection {
    my ($s) = @_;

    setsockopt $s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
}


sub headers {
    my ($c, $name) = @_;

    return ('Content-Type' => $c->{type}, Cookie => 'atls=' . $c->cookie(),
            'X-Which' => $name);
}


sub waiting {
    my ($cut, $reset, %args) = @_;

    my ($c, $record) = in_progress();
    my $name = join ' ', $args{tls} ? 'TLS' : 'HTTP/1.1', $cut ? 'cut' : 'whole',
                     $reset ? 'reset' : 'closed';
    my $s = http_connect($args{port} || $t->port(0), %args);
    my $body = $cut ? substr $record, 0, -1 : $record;

    send_all($s, $c->format_post($body, 'Content-Length' => length $record,
                                 'X-Which' => $name));

    # with TLS, there are tickets

    ok(!readable($s, 0.1), "$name: waits") unless $args{tls};

    # close() of a TLS connection sends an alert

    reset_connection($s) if $reset;
    $s->close();

    noticed($c, $name);
}


sub waiting_http2 {
    my ($cut, $reset) = @_;

    my ($c, $record) = in_progress();
    my $name = join ' ', 'HTTP/2', $cut ? 'cut' : 'whole',
                     $reset ? 'reset' : 'closed';
    my $s = Test::Atls::Http2Stream->new($t->port(2), '/atls',
                                         headers($c, $name));

    $s->data($cut ? substr $record, 0, -1 : $record, !$cut);

    while (readable($s->socket(), 0.1)) {
        $s->feed(sub { });
    }

    ok(!$s->over(), "$name: waits");

    # RST_STREAM with CANCEL, RFC 9113, section 6.4

    send_all($s->socket(), pack 'NCNN', 4 << 8 | 3, 0, 1, 8) if $reset;
    close $s->socket() unless $reset;

    noticed($c, $name);
}


# curl cancels the POST, but not the other request in the same connection.

sub waiting_http3 {
    my ($c, $record) = in_progress();
    my $name = 'HTTP/3';
    my %headers = headers($c, $name);
    my $url = 'https://127.0.0.1:' . $t->port(4);
    my $body = $t->write_file('record', $record);
    my @common = qw( --http3-only --silent --insecure );

    my $pid = open my $out, '-|', 'curl', '--parallel', @common,
                   '-H', 'X-Which: other', "$url/wait?delay=6", '--next',
                   @common, '--max-time', 2, '--data-binary', "\@$body",
                   (map { ('-H', "$_: $headers{$_}") } sort keys %headers),
                   "$url/atls"
        or die "curl: $!\n";

    ok($t->wait_for(sub { $t->read_file('gone.log') =~ /^499 \Q$name\E$/m }),
       "$name: noticed");
    unlike($t->read_file('gone.log'), qr/ other$/m,
           "$name: in the same connection");
    is(join('', <$out>), "waited\n", "$name: which goes on");
}


# curl closes the connection.

sub goes_on_http3 {
    my $c = established();
    my $record = record($c, '/slow?n=4&delay=1');
    my %headers = headers($c, 'HTTP/3, goes on');
    my $body = $t->write_file('record', $record);

    system('curl', qw( --http3-only --silent --insecure --max-time 2 --output ),
           $t->path('response'), '--data-binary', "\@$body",
           (map { ('-H', "$_: $headers{$_}") } sort keys %headers),
           'https://127.0.0.1:' . $t->port(4) . '/atls');
    is($? >> 8, 28, 'goes on, HTTP/3: curl has closed the connection');

    like(opened($c, again($c, $record)), qr/line 3/,
         'goes on, HTTP/3: the response');
    is(requests(), 1, 'goes on, HTTP/3: one request');
}


# Data that were not read before a reset do not hide it.

sub goes_on {
    my $c = established();
    my $record = record($c, '/slow?n=2&delay=0.4');
    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post($record));
    $t->wait_for(sub { requests() });
    send_all($s, $c->format_post($record));
    reset_connection($s);
    close $s;

    like(opened($c, again($c, $record)), qr/line 2/,
         'goes on, with another request: the response');
    is(requests(), 1, 'goes on, with another request: one request');
}


# The alert of the client's TLS is such data.  Since the client has not read all
# of the response, its system resets the connection.

sub goes_on_tls {
    my $c = established();
    my $record = record($c, '/slow?n=3&delay=0.4');
    my $s = http_connect($t->port(3), tls => 1);

    send_all($s, $c->format_post($record));
    $t->wait_for(sub { requests() });
    ok(readable($s, 10), 'goes on, TLS: the response begins');
    $s->close();

    like(opened($c, again($c, $record)), qr/line 3/,
         'goes on, TLS: the response');
    is(requests(), 1, 'goes on, TLS: one request');
}
