#!/usr/bin/perl

# What carries the sessions: HTTP/3, by curl with a connection for each POST,
# and by aioquic with one for all of them (t/bin/h3_proxy.py).

use strict;
use warnings;

use Digest::MD5 qw( md5_hex );
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::IP;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( http_connect http_raw parse_responses send_all );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Port qw( free_port );

my $type = 'application/atls+octet-stream';
my $large = 30 << 20;

my $t = Test::Atls->new();

plan skip_all => 'no http_v3_module'
    unless $t->has_option('http_v3_module');

my $curl = `curl --version 2>/dev/null` =~ /\bHTTP3\b/;
my $aioquic = `python3 -c 'import aioquic; print(1)' 2>/dev/null`;

plan skip_all => 'neither curl with HTTP/3 nor aioquic'
    unless $curl || $aioquic;

my $has_ipv6 = IO::Socket::IP->new(LocalAddr => '::1', LocalPort => 0,
                                   Listen => 1);
my $ipv6 = $has_ipv6 ? 'listen [::1]:%%PORT_1%% quic reuseport;' : '';

my $http = <<"EOC";
    ssl_certificate localhost.crt;
    ssl_certificate_key localhost.key;
    atls_certificate localhost.crt;
    atls_certificate_key localhost.key;

    client_max_body_size 0;
    keepalive_timeout 600s;

    log_format outer '\$status \$server_protocol \$remote_port \$pid';
    log_format inner '\$status \$request \$request_completion';
EOC

my $locations = <<'EOC';
location /.well-known/atls {
    atls on;
    access_log %%TESTDIR%%/outer.log outer;
}

location / {
    proxy_pass http://127.0.0.1:%%PORT_9%%;
    proxy_http_version 1.1;
    proxy_request_buffering off;
    access_log %%TESTDIR%%/inner.log inner;
}

location /raw {
    atls on;
    atls_payload raw;
    proxy_pass http://127.0.0.1:%%PORT_9%%/body;
}

location /forbidden {
    return 403 "no\n";
}

location /about {
    return 200 "$remote_addr:$remote_port $server_addr $server_port $scheme|";
}

location /who {
    return 200 "$server_name $pid|";
}
EOC

# the same port of TCP has other servers than that of UDP

$t->make_cert('localhost');
$t->make_cert('other');
$t->write_file('locations.conf', $t->expand($locations));
$t->write_conf(<<"EOC");
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%
$http

    server {
        listen 127.0.0.1:%%PORT_0%% ssl;
        server_name tcp;
        include locations.conf;
    }

    server {
        listen 127.0.0.1:%%PORT_2%% ssl;
        listen 127.0.0.1:%%PORT_0%% quic reuseport;
        listen %%PORT_1%% quic reuseport;
        $ipv6
        server_name localhost;
        include locations.conf;
    }

    server {
        listen 127.0.0.1:%%PORT_0%% quic;
        listen %%PORT_1%% quic;
        server_name other;
        atls_certificate other.crt;
        atls_certificate_key other.key;
        include locations.conf;
    }
}
EOC

my $backend = Test::Atls::Backend->start($t, $t->port(9));

$t->run();


sub client {
    my $c = Test::Atls::Client->new(@_);

    return $c if $c->handshake();
    diag($c->error());

    return undef;
}


sub request {
    return Test::Atls::Client::format_request(@_);
}


# handshake, GET, POST, a large answer, several requests in one POST

sub test_outer {
    my ($name, %args) = @_;

    my $c = client(%args);

    ok($c, "$name: handshake") or return;

    is($c->last_response()->header('Content-Type'), $type,
       "$name: media type");
    is($c->last_response()->header('Cache-Control'), 'no-store',
       "$name: Cache-Control");
    like($c->set_cookie(), qr/; HttpOnly; Secure$/, "$name: cookie");

    my $r = $c->get('/echo', 'X-Test' => 'inside');

    is($r && $r->status(), 200, "$name: GET");
    like($r ? $r->body() : '', qr/^X-Test: inside$/m,
         "$name: what the backend saw");

    my $body = pattern(100_000);

    $r = $c->http(request('POST', '/body', $body));
    is($r && md5_hex($r->body()), md5_hex($body), "$name: POST");

    $r = $c->get('/big?size=1048576');
    is($r && md5_hex($r->body()), pattern_md5(1048576), "$name: 1 MB");

    my @answers = parse_responses($c->request(join '', map {
                      request('GET', "/echo?n=$_", '')
                  } 1 .. 3));

    is(join(' ', map { $_->body() =~ /n=(\d)/ } @answers), '1 2 3',
       "$name: three requests in one POST");
    is($c->error(), '', "$name: no error");

    return $c;
}


# an upload of so many bytes in one POST

sub upload {
    my ($c, $size, %args) = @_;

    my $at = 0;
    my $host = $args{host} || 'localhost';
    my $uri = $args{uri} || '/echo';

    return $c->upload("POST $uri HTTP/1.1\r\nHost: $host\r\n"
                      . "Content-Length: $size\r\n\r\n", sub {
        return undef if $at >= $size;
        $args{at}->($at) if $args{at};
        my $piece = pattern($size - $at < 262144 ? $size - $at : 262144, $at);
        $at += length $piece;
        return $piece;
    });
}


sub outer_log { split /\n/, $t->read_log('outer.log') }
sub forget_log { open my $fh, '>', $t->path('outer.log') }


SKIP: {
    skip 'curl has no HTTP/3', 1 unless $curl;

    my @args = (port => $t->port(0), outer => 'h3', tls => 1);

    test_outer("curl, $_ inside", @args, protocol => $_)
        for 'TLSv1.3', 'TLSv1.2';

    my @protocols = map { (split ' ')[1] } outer_log();

    is(join(' ', grep { $_ ne 'HTTP/3.0' } @protocols), '', 'all by HTTP/3');

    # each POST comes to a worker by chance: the pieces of a handshake, of a
    # record and of a request, too, have to get to the one that has the others

    for my $n (1 .. 4) {
        my $c = Test::Atls::Client->new(@args);

        ok($c->handshake(split => 150), "handshake $n in pieces")
            or diag($c->error());

        my $r = $c->http(request('POST', '/body', 'x' x 3000), split => 1000);

        is($r && $r->body(), 'x' x 3000, 'and a request');
    }

    # what has an address by the packet only, and what has another family

    my $c = client(@args, port => $t->port(1));
    like($c->get('/about')->body(), qr/^127\.0\.0\.1:\d+ 127\.0\.0\.1 \d+ https/,
         'a wildcard: addresses') if ok($c, 'a wildcard');

    # a server that this UDP port has and the TCP port has not: the worker that
    # begins to serve such a session has been relayed it, three times of four

    my $served = 0;

    for (1 .. 8) {
        my $c = Test::Atls::Client->new(@args, sni => 'other',
                                        ca => $t->path('other.crt'));

        $c->handshake(split => 150, hold => 1) or diag($c->error());
        my $r = $c->get('/who', Host => 'other');

        if ($r && $r->body() =~ /^other \d+\|/) {
            $served++;
        } else {
            diag($r ? $r->body() : $c->error());
        }
    }

    is($served, 8, 'a server of UDP only');

    # large bodies

    $c = client(@args);
    my $md5 = Digest::MD5->new();

    my $r = $c->download(request('GET', "/big?size=$large", ''),
                         sub { $md5->add($_[0]) });

    is($r && $r->length(), $large, 'a large download');
    is($md5->hexdigest(), pattern_md5($large), 'its bytes');

    like(upload($c, $large), qr/^length $large\nmd5 @{[ pattern_md5($large) ]}/m,
         'a large upload');

    # a late reader

    $md5 = Digest::MD5->new();
    $r = $c->download(request('GET', '/big?size=3000000', ''),
                      sub { $md5->add($_[0]) }, rate => 2_000_000);
    is($md5->hexdigest(), pattern_md5(3_000_000), 'a slow download');

    # raw

    $c = client(@args, uri => '/raw');
    is($c->request('plain bytes'), 'plain bytes', 'atls_payload raw');

    # errors

    $c = client(@args);
    $c->write_plain('x' x 500_000);

    is($c->post($c->tls_out(), type => 'text/plain')->status(), 415,
       'another media type');

    $c = Test::Atls::Client->new(@args);
    is($c->post('x' x 5000)->status(), 400, 'no TLS');
    is($c->post('')->status(), 400, 'no body');
}


# one connection for many sessions

sub proxy {
    my ($t, $port, @args) = @_;

    my $listen = $t->port("1$port");

    $t->run_daemon(sub {
        exec 'python3', "$FindBin::Bin/bin/h3_proxy.py", $listen,
             $t->port($port), @args;
    }, port => $listen);

    return $listen;
}


sub control {
    my ($port, $what) = @_;

    return http_raw($port, "GET /-/$what HTTP/1.1\r\nHost: x\r\n\r\n",
                    answers => 1);
}


SKIP: {
    skip 'no aioquic', 1 unless $aioquic;

    my $port = proxy($t, 0);
    my @args = (port => $port, outer => 'http11-chunked');

    forget_log();
    test_outer("aioquic, $_ inside", @args, protocol => $_)
        for 'TLSv1.3', 'TLSv1.2';

    # many sessions, all of whose POSTs are in progress at the same time

    my @clients = map { Test::Atls::Client->new(@args) } 1 .. 20;

    for (1 .. 2) {
        my @flights = map { $_->handshake_step(); $_->tls_out() } @clients;

        $clients[$_]->post_send($flights[$_]) for 0 .. $#clients;
        $_->tls_in($_->post_receive()->body()) for @clients;
    }

    for my $n (0 .. $#clients) {
        $clients[$n]->write_plain(request('GET', "/slow?session=$n", ''));
        $clients[$n]->post_send($clients[$n]->tls_out());
    }

    my $answered = grep {
        $_->tls_in($_->post_receive()->body());
        $_->read_plain() =~ /line 3/;
    } @clients;

    is($answered, 20, '20 sessions at once');

    my %connections = map { (split ' ')[2] => 1 } outer_log();
    is(keys %connections, 1, 'on one connection');

    # bodies both ways at the same time

    my $c = client(@args);
    my $r = $c->http(request('POST', '/body', pattern(3_000_000)));
    is($r && md5_hex($r->body()), pattern_md5(3_000_000), 'a body back');

    # an answer before the body

    $c = client(@args, outer => 'http11');
    $r = upload($c, 1_000_000, uri => '/forbidden');
    like($r, qr/^HTTP\/1.1 403/, 'an early answer');

    # a client that leaves in the middle of an answer, or before it

    for my $uri ('/big?size=100000000', '/hang') {
        $backend->forget();
        $c = client(@args);
        $c->write_plain(request('GET', $uri, ''));
        $c->post_send($c->tls_out());
        ok($t->wait_for(sub { $backend->requests() }), "$uri: begins");
        $c->http_client()->close();

        ok($t->wait_for(sub {
            $t->read_file('inner.log') =~ m!^\d+ GET \Q$uri\E HTTP/1.1 $!m
        }), "$uri: ends with the client");
    }

    # one that wants no more, but says nothing of what it sends

    for my $uri ('/big?size=100000001', '/hang?stop') {
        $backend->forget();
        $c = client(@args);
        $c->write_plain(request('GET', $uri, ''));
        $c->post_send($c->tls_out());
        ok($t->wait_for(sub { $backend->requests() }), "$uri: begins");
        control($port, 'stop');

        ok($t->wait_for(sub {
            $t->read_file('inner.log') =~ m!^\d+ GET \Q$uri\E HTTP/1.1 $!m
        }), "$uri: ends with STOP_SENDING");
    }

    # and in the middle of an upload

    $backend->forget();
    $c = client(@args);
    $c->write_plain("POST /body?cut HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 100000\r\n\r\n" . 'x' x 50000);
    my $record = $c->tls_out();
    my $s = http_connect($port);

    send_all($s, join "\r\n", 'POST /.well-known/atls HTTP/1.1',
                 'Host: localhost', "Content-Type: $type",
                 'Cookie: atls=' . $c->cookie(), 'Content-Length: 60000', '',
                 substr $record, 0, 40000);
    ok($t->wait_for(sub { -s $t->path("backend-" . $t->port(9) . ".log")
                          || $t->read_file('error.log') =~ /./ }), 'an upload');
    close $s;
    ok($t->wait_for(sub {
        $t->read_file('inner.log') =~ m!^\d+ POST /body\?cut HTTP/1.1 $!m
    }), 'a cut upload ends');

    # by turns with HTTP/1.1, in the middle of requests, too

    $c = client(@args);
    my %http = (3 => $c->http_client(),
                1 => Test::Atls::Client->new(port => $t->port(2), tls => 1)
                     ->http_client());
    my $turns = '';

    for my $n (1 .. 10) {
        $c->{http} = $http{1};
        $c->write_plain("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                        . "Content-Length: 4\r\n\r\n");
        $c->exchange($c->tls_out());
        $c->{http} = $http{3};
        $r = $c->http("body");
        $turns .= $r ? $r->body() : $c->error();
    }

    is($turns, 'body' x 10, 'HTTP/1.1 and HTTP/3 by turns');

    # over a reload

    $c = client(@args);
    my $started = client(@args);

    $started->write_plain("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                          . "Content-Length: 10\r\n\r\n01234");
    $started->exchange($started->tls_out());

    $t->reload();

    control($port, 'close');
    $r = $c->get('/who');
    like($r && $r->body(), qr/^localhost \d+\|$/, 'a session over a reload');

    $r = $started->http('56789');
    is($r && $r->body(), '0123456789', 'a request over a reload');

    # IPv6

    SKIP: {
        skip 'no ::1', 1 unless $has_ipv6;

        my $port = proxy($t, 1, '::1');
        my $c = client(port => $port, outer => 'http11');

        like($c && $c->get('/about')->body(), qr/^::1:\d+ ::1 \d+ https\|$/,
             'IPv6');
    }
}

$t->finish();


# A client whose address changes.  Its packets get to the worker that has the
# connection by "quic_bpf", or if there is only one.

SKIP: {
    skip 'no aioquic', 1 unless $aioquic;

    my $t = Test::Atls->new(workers => 1);

    $t->make_cert('localhost');
    $t->write_file('locations.conf', $t->expand($locations));
    $t->write_conf(<<"EOC");
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%
$http

    server {
        listen 127.0.0.1:%%PORT_0%% quic;
        include locations.conf;
    }
}
EOC

    my $backend = Test::Atls::Backend->start($t, $t->port(9));

    $t->run();

    my $port = proxy($t, 0);
    my $c = client(port => $port, outer => 'http11-chunked');

    # nginx knows two paths of a connection: the next one is of another

    for my $how (qw( rebind migrate )) {
        my ($before) = $c->get('/about')->body() =~ /:(\d+)/;

        control($port, $how);

        my ($after) = $c->get('/about')->body() =~ /:(\d+)/;
        ok($after && $after != $before, "$how between two POSTs: \$remote_port");

        control($port, 'close');
        my $got = upload($c, 2_000_000, at => sub {
            control($port, $how) if $_[0] == 262144 * 4;
        });
        like($got, qr/^length 2000000\nmd5 @{[ pattern_md5(2_000_000) ]}/m,
             "$how in an upload");

        control($port, 'close');
        $c->write_plain(request('GET', '/slow?n=20', ''));
        $c->post_send($c->tls_out());

        my ($pieces, $plain) = (0, '');

        $c->post_receive(on_body => sub {
            control($port, $how) if ++$pieces == 3;
            $c->tls_in($_[0]);
            $plain .= $c->read_plain();
        });
        like($plain, qr/line 20\n/, "$how in a response") or diag($c->error());

        control($port, 'close');
    }

    $t->finish();
}

done_testing();
