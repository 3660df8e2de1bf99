#!/usr/bin/perl

# Real programs between client and server: proxies that intercept TLS with a CA
# that the client does not trust, a proxy that does not, and proxies that
# terminate TLS and forward requests over pooled connections.  They see POSTs,
# but no inner data; of a request over plain HTTPS, they see everything.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( http_connect );
use Test::Atls::Middlebox;
use Test::Atls::Outer;
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Stack qw( @STACKS );

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );
my $ENDPOINT = '/.well-known/atls';
my $MEDIA_TYPE = 'application/atls+octet-stream';

# data that only the client and the server may see, and data of a control
# request that a middlebox must see; with parts of large bodies

my %SECRET = marks('secret', pattern(24, 8 * 5000));
my %CONTROL = marks('control', pattern(24));

my $t = Test::Atls->new();

my $h2 = $t->has_option('http_v2_module');
my ($listen_h2, $http2) = $t->http2();

$t->make_cert('ca', is_ca => 1, subject => '/CN=Inner CA');
$t->make_cert('localhost', ca => 'ca');
$t->make_cert('outer-ca', is_ca => 1, subject => '/CN=Outer CA');
$t->make_cert('outer', ca => 'outer-ca', san => 'DNS:localhost,IP:127.0.0.1');

$t->write_http(<<"EOC");
log_format posts '\$connection \$cookie_atls \$status';

%%SSL_CERTIFICATE_outer%%
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%% ssl $listen_h2;
    listen 127.0.0.1:%%PORT_1%%;
    $http2
    server_name localhost;

    location = $ENDPOINT {
        atls on;
        access_log %%TESTDIR%%/posts.log posts;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_2%%;
        add_header X-Answer answer-to-\$http_x_marker;
    }
}
EOC

my $https = $t->port(0);
my $http = $t->port(1);
my $trust = $t->path('outer-ca.crt');

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(2));

# mitmproxy also modifies sixteen bytes of the first record, if a header asks
# for it

my @tamper = map { "|$_|(?<=\\A\\x17\\x03\\x03..).{16}|0123456789abcdef" }
             ('~q & ~hq "X-Tamper: request"', '~s & ~hq "X-Tamper: answer"');

subtest('mitmproxy', \&intercepting, 'mitmproxy', trust => $trust, lines => 4,
        modify => \@tamper);
subtest('squid', \&intercepting, 'squid', trust => $trust,
        scanner => $t->port(10));
subtest('haproxy', \&terminating, 'haproxy', to => $http, tap => $t->port(11));
subtest('nginx', \&terminating, 'nginx', to => $http, tap => $t->port(12));
subtest('forward proxy, CONNECT', \&tunnel);
subtest('forward proxy, HTTP', \&forward);

$t->done_testing();


sub marks {
    my ($word, $piece) = @_;

    return (path => "path-$word", header => "header-$word",
            body => "body-$word", answer => "answer-to-header-$word",
            pattern => $piece);
}


sub intercepting {
    my ($kind, %args) = @_;

    my $m = Test::Atls::Middlebox->start_or_skip($t, $kind, %args,
        port => $t->port(20)) or return;
    my %outer = (tls => 1, $m->route($https),
                 host_header => "localhost:$https");

    control($m, %outer);
    sessions($m, %outer);
    shared($m, %outer);
    tampered($m, %outer) if $args{modify};
    seen($m);
}


sub terminating {
    my ($kind, %args) = @_;

    my $m = Test::Atls::Middlebox->start_or_skip($t, $kind, %args,
        port => $t->port(21)) or return;
    my %outer = (tls => 1, $m->route());

    control($m, %outer);
    sessions($m, %outer);
    pooled($m, %outer);
    seen($m);
}


# The control request over plain HTTPS or HTTP.

sub control {
    my ($m, %outer) = @_;

    my $o = Test::Atls::Outer->new(%outer, uri => ($outer{uri} || '')
                                                  . "/body/$CONTROL{path}");
    my $body = "$CONTROL{body}\n$CONTROL{pattern}";
    my $r = $o->post($body, { 'X-Marker' => $CONTROL{header} });

    is($r && $r->body(), $body, 'the control request');
    is($r && $r->header('X-Answer'), $CONTROL{answer}, 'header of its answer');
}


sub sessions {
    my ($m, %outer) = @_;

    certificate($m, %outer);

    for my $stack (@STACKS) {
        for my $protocol (@PROTOCOLS) {
            my @c = ($stack, %outer, protocol => $protocol);

            session("$stack, $protocol, new connections", @c, keepalive => 0);
            session("$stack, $protocol, keep-alive", @c);
        }

        session("$stack, chunked", $stack, %outer, outer => 'http11-chunked');
        session("$stack, HTTP/2", $stack, %outer, outer => 'h2')
            if $m->speaks_h2() && $h2;
    }

    refused(%outer);
}


# The outer certificate is that of the middlebox.

sub certificate {
    my ($m, %outer) = @_;

    my $s = http_connect($outer{port}, %outer, alpn => [ 'h2', 'http/1.1' ]);

    is($s->peer_certificate('issuer'), '/CN=' . $m->issuer(),
       'who has issued the outer certificate');
    is($s->alpn_selected() || '', $m->speaks_h2() && $h2 ? 'h2' : 'http/1.1',
       'what is spoken over it') if $m->speaks_h2();
}


sub session {
    my ($name, $stack, %outer) = @_;

    subtest($name => sub {
        my $c = client($stack, %outer);

        ok($c->handshake(), 'handshake') or diag($c->error());
        is($c->server_cert(), '/CN=localhost by /CN=Inner CA',
           'the inner certificate');

        get($c);
        post($c);
        large($c);

        is($c->last_response()->version(),
           ($outer{outer} || '') eq 'h2' ? '2.0' : '1.1', 'version of HTTP');

        my $r = $c->close();
        is($r && $r->status(), 200, 'close_notify');
        is($c->cookie(), undef, 'no cookie any more');
    });
}


sub get {
    my ($c) = @_;

    my $r = $c->get("/$SECRET{path}", 'X-Marker' => $SECRET{header});

    like($r ? $r->body() : $c->error(),
         qr!^GET /$SECRET{path} .*^X-Marker: $SECRET{header}\r?$!ms, 'GET');
    is($r && $r->header('X-Answer'), $SECRET{answer}, 'header of the answer');
}


sub post {
    my ($c) = @_;

    my $body = "$SECRET{body} " x 10;
    my $r = $c->http(Test::Atls::Client::format_request(
                         'POST', "/body/$SECRET{path}", $body));

    is($r ? $r->body() : $c->error(), $body, 'POST');
}


sub large {
    my ($c) = @_;

    my $r = $c->get('/big?size=1048576');
    is($r ? md5_hex($r->body()) : $c->error(), pattern_md5(1 << 20),
       'a large answer');

    my $body = pattern(100_000);
    $r = $c->http(Test::Atls::Client::format_request('POST', '/body', $body));
    is($r ? md5_hex($r->body()) : $c->error(), md5_hex($body),
       'a large request');
}


# Other statuses are returned by the module.

sub refused {
    my (%outer) = @_;

    my $c = client($STACKS[0], %outer);
    my $r = $c->post("\x17\x03\x03\x00\x20" . 'x' x 32,
                     cookie => 'atls=' . 'x' x 24);

    is($r && $r->status(), 410, 'a session that is not known');
    is($r && $r->header('Content-Type'), 'application/problem+json',
       'type of the answer');
    like($r ? $r->body() : '', qr/"status":410/, 'its body');
}


# Two sessions alternate over one connection of the client.

sub shared {
    my ($m, %outer) = @_;

    my @c = pair(%outer);
    my $o = $c[1]{http} = $c[0]->http_client();

    flight($c[0]);
    my $socket = $o->{socket};
    interleaved(@c);

    is($o->{socket}, $socket, 'over one connection');
}


# Each POST is received over a new connection and forwarded over a pooled one.
# Then two POSTs at the same time, with the responses in reverse order.

sub pooled {
    my ($m, %outer) = @_;

    my @c = pair(%outer, keepalive => 0);
    my $before = () = posts();

    interleaved(@c);

    my $sent = $c[0]->posts() + $c[1]->posts();
    $t->wait_for(sub { posts() >= $before + $sent });

    my @posts = posts();
    my %cookies;
    $cookies{$_->[0]}{$_->[1]}++ for splice @posts, $before;

    is(scalar(grep { keys %$_ > 2 } values %cookies), 1,
       'one pooled connection carries both sessions, and their beginnings');
    cmp_ok(scalar keys %cookies, '<', $sent / 4, 'of few connections');

    for (1 .. 3) {
        send_request($_, $c[$_]) for 0, 1;
        is(answer_to($c[$_]), "n=$_", 'two POSTs at once') for 1, 0;
    }
}


sub pair {
    my (%outer) = @_;

    return map { client($STACKS[$_], %outer, protocol => $PROTOCOLS[$_]) } 0, 1;
}


sub interleaved {
    my @c = @_;
    my @left = @c;

    while (@left) {
        @left = grep { !flight($_) } @left;
    }

    my $right = 0;

    for (1 .. 10) {
        for my $n (0, 1) {
            send_request($n, $c[$n]);
            $right++ if answer_to($c[$n]) eq "n=$n";
        }
    }

    is($right, 20, 'two sessions take turns');
    is(join(' ', map { $_->error() } @c), ' ', 'without errors');
}


# Sends a flight of a handshake.  Returns true if it was the last one.

sub flight {
    my ($c) = @_;

    my $done = $c->handshake_step();
    my $bytes = $c->tls_out();

    $c->exchange($bytes) or return 1 if $bytes ne '';

    return $done || $c->error() ne '';
}


sub send_request {
    my ($n, $c) = @_;

    $c->write_plain($c->format_get("/?n=$n"));
    $c->post_send($c->tls_out());
}


sub answer_to {
    my ($c) = @_;

    my $r = $c->post_receive() or return 'no answer';

    $c->tls_in($r->body());

    return $c->read_plain() =~ m!^GET /\?(n=\d) !m ? $1 : $c->error();
}


# A modified POST is refused, and a modified response by the client.

sub tampered {
    my ($m, %outer) = @_;

    for my $stack (@STACKS) {
        for my $protocol (@PROTOCOLS) {
            my $name = "$stack, $protocol";
            my @c = map { client($stack, %outer, protocol => $protocol) } 1, 2;

            ok($_->handshake() && $_->get('/'), "$name: a session") for @c;
            $backend->forget();

            is(tamper($c[0], 'request'), undef, "$name: changed on its way");
            is($c[0]->error(), 'HTTP 409', "$name: refused");
            isnt($c[0]->cookie(), undef, "$name: the session is unchanged");
            is(scalar $backend->requests(), 0, "$name: the backend is spared");

            is(tamper($c[1], 'answer'), undef, "$name: its answer changed");
            isnt($c[1]->error(), '', "$name: the client refuses it");
        }
    }
}


sub tamper {
    my ($c, $what) = @_;

    return $c->http($c->format_get('/tampered'),
                    headers => { 'X-Tamper' => $what });
}


# Through a proxy without TLS interception: the certificate is that of nginx,
# and the proxy sees only the address.

sub tunnel {
    my $m = Test::Atls::Middlebox->start_or_skip($t, 'squid', bump => 0,
        name => 'tunnel', port => $t->port(22), scanner => $t->port(13))
        or return;
    my %outer = (tls => 1, $m->route($https));
    my $s = http_connect($https, %outer);

    is($s->peer_certificate('issuer'), '/CN=Outer CA',
       'who has issued the outer certificate');
    close $s;

    session("$STACKS[0], new connections", $STACKS[0], %outer, keepalive => 0);
    session("$STACKS[1], keep-alive", $STACKS[1], %outer);
    session("$STACKS[0], HTTP/2", $STACKS[0], %outer, outer => 'h2') if $h2;

    $m->stop();

    like($m->log(), qr/^CONNECT 127\.0\.0\.1:$https 200 /m,
         'its log has CONNECT');
    unlike($m->log(), qr/POST/, 'and no POST');
    hidden($m);
}


# The same, with an outer connection over plain HTTP.

sub forward {
    my $m = Test::Atls::Middlebox->start_or_skip($t, 'squid', bump => 0,
        name => 'forward', port => $t->port(23), scanner => $t->port(14))
        or return;
    my %outer = (port => $m->port());
    my $server = "http://127.0.0.1:$http";

    control($m, %outer, uri => $server);

    $outer{uri} = $server . $ENDPOINT;
    session("$STACKS[0], new connections", $STACKS[0], %outer, keepalive => 0);
    session("$STACKS[1], keep-alive", $STACKS[1], %outer);
    refused(%outer);
    shared($m, %outer);
    seen($m);
}


# Log and dump of the middlebox.

sub seen {
    my ($m) = @_;

    $m->stop();

    my $log = $m->log();
    my $dump = $m->dump();

    like($log, qr!POST \S*\Q$ENDPOINT\E!, 'its log has the POST');
    like($log, qr!\Q$MEDIA_TYPE\E!, 'and the media type');
    ok(index($dump, $MEDIA_TYPE) >= 0, 'its dump has the media type');
    ok($dump =~ /[\x14-\x17]\x03\x03/, 'and records');
    is(join(' ', grep { index($dump, $_) < 0 } values %CONTROL), '',
       'and the control request');
    hidden($m);
}


sub hidden {
    my ($m) = @_;

    my $all = $m->everything();

    cmp_ok(length $all, '>', 100, 'it has seen something');
    is(join(' ', grep { index($all, $_) >= 0 } values %SECRET), '',
       'but none of the plaintext');
}


sub posts { map { [ split ' ' ] } split /\n/, $t->read_file('posts.log') }


sub client {
    my ($stack, %args) = @_;

    return Test::Atls::Stack->new($stack, ca => $t->path('ca.crt'), %args);
}
