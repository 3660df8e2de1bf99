#!/usr/bin/perl

# Sessions end when their time has expired, or when their client is no longer
# allowed.  A request in progress is finished, also in a worker with the old
# configuration, before the session ends.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Authority;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new(workers => 2);

my $ca = Test::Atls::Authority->new($t, 'ca');
$ca->issue('alice', subject => '/CN=Alice');
$ca->issue('bob', subject => '/CN=Bob');
$ca->crl('ca.crl');

my %keys = (alice => '11' x 32, bob => '22' x 32);

sub conf {
    my ($verify) = @_;

    $t->write_http(<<"EOC");
server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    %%CERTIFICATE%%

    add_header X-Pid \$pid always;

    location = /short {
        atls on;
        atls_session_lifetime 3s;
    }

    location = /idle {
        atls on;
        atls_session_timeout 3s;
    }

    location = /kept {
        atls on;
        atls_session_timeout 2s;
    }

    location = /psk {
        atls on;
        atls_psk_file %%TESTDIR%%/psk;
    }

    location = /cert {
        atls on;
        atls_verify_client on;
        atls_client_certificate %%TESTDIR%%/ca.crt;
        atls_crl %%TESTDIR%%/ca.crl;
    }

    location = /changed {
        atls on;
        $verify
    }

    location / {
        return 200 "answered \$uri\\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name other.example;

    %%CERTIFICATE%%

    location = /changed {
        atls on;
        $verify
    }

    location / {
        return 200 "other \$uri\\n";
    }
}
EOC
}

psks('alice', 'bob');
conf('');

$t->run();

lifetime();
idle();
kept_alive();
open_post();
policies();

$t->done_testing();


sub psks {
    $t->write_file('psk', join '', map { "$_:$keys{$_}\n" } @_);
}


sub client {
    my ($uri, %args) = @_;

    return $t->established(keepalive => 0, uri => $uri, %args);
}


sub psk_client {
    my ($name) = @_;

    return client('/psk', protocol => 'TLSv1.2', ciphers => 'PSK',
                  psk => [ $name, $keys{$name} ]);
}


sub cert_client {
    my ($name) = @_;

    return client('/cert', cert => $t->path("$name.crt"),
                  key => $t->path("$name.key"));
}


# Completes a request and begins another one.  Returns the response body, or ''.

sub step {
    my ($c, $n, $host) = @_;

    $host ||= 'localhost';

    my $plain = $c->request($n ? "st: $host\r\n\r\nGET /$n HTTP/1.1\r\nHo"
                               : "GET /0 HTTP/1.1\r\nHo");
    my ($r) = parse_responses($plain, 'GET');

    return $r ? $r->body() =~ s/\n//r : '';
}


# with a request in progress at any time

sub lifetime {
    my $began = time;
    my $c = client('/short');
    my $cookie = $c->cookie();
    my ($n, $last) = (0, '');

    step($c, $n++);

    until ($c->closed() || $c->error() || time - $began > 60) {
        sleep 0.2;
        $last = step($c, $n++) || $last;
    }

    like($last, qr/answered/, 'lifetime: requests are answered');
    ok($c->closed(), 'lifetime: the session ends');
    is($c->error(), '', 'lifetime: in order');
    cmp_ok(time - $began, '>', 1.9, 'lifetime: not before');

    my $r = $c->post("\x17\x03\x03\x00\x20" . 'x' x 32,
                     cookie => "atls=$cookie");
    is($r->status(), 410, 'lifetime: it is not known any more');
}


sub idle {
    my $c = client('/idle');

    step($c, 0);
    sleep 4;

    is(step($c, 1), 'answered /0', 'idle: the request in progress ends');
    ok($c->closed(), 'idle: the session does');
}


# Someone on the path has the cookie, but no keys.  Empty POSTs, the beginning
# of a record, and ClientHellos do not count as use of the session.

sub kept_alive {
    my %posts = (
        'nothing' => sub { '' },
        'a byte' => sub { "\x17" },
        'a ClientHello' => sub {
            my $c = $t->client();
            $c->handshake_step();
            return $c->tls_out();
        },
    );

    for my $name (sort keys %posts) {
        my $c = client('/kept');
        my $cookie = $c->cookie();
        my $began = time;

        do {
            sleep 0.2;
            $c->post($posts{$name}->(), cookie => "atls=$cookie");
        } until time - $began > 3.5;

        my $r = $c->post('', cookie => "atls=$cookie");
        is($r && $r->status(), 410, "idle: not kept alive by $name");
    }
}


# a POST that is not finished, with one request after another

sub open_post {
    my $c = client('/short');
    my $s = http_connect($t->port(0));
    my $r = Test::Atls::Response->new(method => 'POST',
                                      on_body => sub { $c->tls_in($_[0]) });
    my $began = time;
    my ($sent, $got, $ended) = (0, '', 0);

    send_all($s, "POST /short HTTP/1.1\r\nHost: localhost\r\n"
                 . "Content-Type: application/atls+octet-stream\r\n"
                 . 'Cookie: atls=' . $c->cookie() . "\r\n"
                 . "Transfer-Encoding: chunked\r\n\r\n");

    until ($ended || time - $began > 60) {
        $c->write_plain('GET /' . $sent++ . " HTTP/1.1\r\n"
                        . "Host: localhost\r\n\r\n");
        my $bytes = $c->tls_out();
        send_all($s, sprintf("%x\r\n%s\r\n", length $bytes, $bytes));

        sleep 0.2;

        while (readable($s, 0)) {
            $ended = 1, last unless sysread $s, my $buf, 65536;
            $r->feed($buf);
        }

        $got .= $c->read_plain();
        $ended ||= $c->closed();
    }

    my @r = parse_responses($got, 'GET');
    cmp_ok(scalar @r, '>', 1, 'open POST: requests are answered');
    ok($c->closed(), 'open POST: until the time of the session is up');
}


# Changes by a reload also apply to sessions with a request in a worker with the
# old configuration.

sub policies {
    my %c = (
        'a key is withdrawn' => psk_client('alice'),
        'a certificate is revoked' => cert_client('alice'),
        'certificates are asked for' => client('/changed'),
        'certificates are asked for by name' =>
            client('/changed', sni => 'other.example'),
    );
    my %host = ('certificates are asked for by name' => 'other.example');
    my $bob = psk_client('bob');

    step($_, 0) for values %c, $bob;

    psks('bob');
    $ca->revoke('alice');
    $ca->crl('ca.crl');
    conf('atls_verify_client on;'
         . ' atls_client_certificate %%TESTDIR%%/ca.crt;');
    $t->reload() or die "reload refused\n";

    for my $name (sort keys %c) {
        my ($c, $cookie) = ($c{$name}, $c{$name}->cookie());

        like(step($c, 1, $host{$name}), qr!^(?:answered|other) /0$!,
             "$name: the request in progress ends");
        ok($c->closed(), "$name: the session does");
        is($c->error(), '', "$name: in order");

        my $r = $c->post("\x17\x03\x03\x00\x20" . 'x' x 32,
                         cookie => "atls=$cookie");
        is($r && $r->status(), 410, "$name: it is not known any more");
    }

    # the key still exists, and the request ends with the POST

    my ($r) = parse_responses($bob->request("st: localhost\r\n\r\n"), 'GET');
    my $next = $bob->get('/next');

    is($r && $r->body(), "answered /0\n", 'a key stays: the request ends');
    is($next && $next->body(), "answered /next\n",
       'a key stays: the session goes on');
}
