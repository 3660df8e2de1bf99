#!/usr/bin/perl

# The PROXY protocol with POSTs: an inner request has the addresses of the POST
# in which its header ends, in any worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Response qw( parse_responses );

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );
my $ROUNDS = 16;

my $t = Test::Atls->new();

my $h2 = $t->has_option('http_v2_module');
my $realip = $t->has_option('http_realip_module');
my $tlvs = $t->has_version('1.23.2');

my %conf = (
    HTTP2  => !$h2 ? '' : $t->has_version('1.25.1') ? 'http2 on;' : '',
    H2     => $h2 && !$t->has_version('1.25.1') ? 'http2' : '',
    TLV    => $tlvs ? '$proxy_protocol_tlv_unique_id' : '',
    REALIP => !$realip ? '' : 'set_real_ip_from 127.0.0.0/8; '
                              . 'real_ip_header proxy_protocol;',
);

$t->write_http(<<'EOC' =~ s/%%(HTTP2|H2|TLV|REALIP)%%/$conf{$1}/gr);
log_format outer '$proxy_protocol_addr $proxy_protocol_port '
                 '$proxy_protocol_server_addr $proxy_protocol_server_port '
                 '$upstream_addr';
log_format inner '$status $proxy_protocol_addr $proxy_protocol_port';

%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%% proxy_protocol reuseport;
    listen 127.0.0.1:%%PORT_1%% proxy_protocol ssl;
    listen 127.0.0.1:%%PORT_2%% proxy_protocol %%H2%%;
    listen 127.0.0.1:%%PORT_3%%;
    server_name localhost;
    %%HTTP2%%

    %%SSL_CERTIFICATE%%

    access_log %%TESTDIR%%/inner.log inner;

    location /.well-known/atls {
        atls on;
        access_log %%TESTDIR%%/outer.log outer;
    }

    location / {
        return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port %%TLV%%";
    }

    location /echo {
        add_header X-Proxied "$proxy_protocol_addr $proxy_protocol_port";
        proxy_pass http://127.0.0.1:%%PORT_4%%;
        proxy_request_buffering off;
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name real.test;
    %%REALIP%%

    location / {
        return 200 "$remote_addr $remote_port";
    }
}
EOC

$t->run();

Test::Atls::Backend->start($t, $t->port(4));

my $ONE = "PROXY TCP4 192.0.2.1 198.51.100.1 1111 443\r\n";
my $TWO = "PROXY TCP4 203.0.113.22 198.51.100.2 2222 8443\r\n";
my $SIX = "PROXY TCP6 2001:db8::6 2001:db8::7 6666 443\r\n";
my $GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

for my $protocol (@PROTOCOLS) {
    values_of($protocol);
    spanning($protocol);
}

other_outers();
relayed();
real_ip();

$t->done_testing();


sub values_of {
    my ($protocol) = @_;

    my $c = client(protocol => $protocol, first => $ONE);

    is(said($c), '192.0.2.1 1111 198.51.100.1 443 ', "$protocol: version 1");

    from($c, $SIX);
    is(said($c), '2001:db8::6 6666 2001:db8::7 443 ', "$protocol: IPv6");

    from($c, "PROXY UNKNOWN\r\n");
    is(said($c), '    ', "$protocol: nothing is known");

    # a TLV of the maximum length

    my $id = join '', map { chr(97 + $_ % 26) } 1 .. 128;

    from($c, version2($id));
    is(said($c), '192.0.2.33 3333 198.51.100.3 443 ' . ($tlvs ? $id : ''),
       "$protocol: version 2");
}


# A request in POSTs from different clients.

sub spanning {
    my ($protocol) = @_;

    my $c = client(protocol => $protocol, first => $ONE);

    # the header, then the body followed by another request

    $c->write_plain("POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 10\r\n\r\nhello");
    $c->exchange($c->tls_out());
    from($c, $TWO);
    $c->write_plain("world$GET");
    $c->exchange($c->tls_out());

    my @r = parse_responses($c->read_plain(), qw( POST GET ));

    is(@r && $r[0]->header('X-Proxied'), '192.0.2.1 1111',
       "$protocol: a body in two POSTs");
    is(@r > 1 && $r[1]->body(), '203.0.113.22 2222 198.51.100.2 8443 ',
       "$protocol: the next request");

    # a header in two POSTs

    from($c, $ONE);
    $c->write_plain(substr $GET, 0, 10);
    $c->exchange($c->tls_out());
    from($c, $TWO);
    $c->write_plain(substr $GET, 10);
    $c->exchange($c->tls_out());

    @r = parse_responses($c->read_plain());
    is(@r && $r[0]->body(), '203.0.113.22 2222 198.51.100.2 8443 ',
       "$protocol: a header in two POSTs");
}


sub other_outers {
    my $c = client(port => $t->port(1), tls => 1, first => $ONE);

    is(said($c), '192.0.2.1 1111 198.51.100.1 443 ', 'over TLS');

    # if the header cannot be parsed, the first addresses are used

    $c = client(first => $ONE);
    $c->write_plain("POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 10\r\n\r\nhello");
    $c->exchange($c->tls_out());
    from($c, $TWO);
    $c->write_plain("worldG\0T\r\n\r\n");
    $c->exchange($c->tls_out());
    $c->read_plain();
    like($t->read_log('inner.log'), qr/^400 192\.0\.2\.1 1111$/m,
         'a request that is none');

    $c = client(port => $t->port(3), first => undef);
    is(said($c), '    ', 'without');

    SKIP: {
        skip 'no HTTP/2', 1 unless $h2;

        $t->read_log('outer.log');
        $c = client(port => $t->port(2), outer => 'h2', first => 1);

        my $said = said($c);
        my @lines = $t->read_log('outer.log')
                    =~ /^(127\.0\.0\.1 \d+ \S+ \d+) -$/mg;

        is($said, ($lines[-1] || 'none') . ' ', 'over HTTP/2');
    }
}


# POSTs of a handshake or request in another worker.

sub relayed {
    my ($good, $n) = (0, 0);
    my $from = length $t->read_log('outer.log');

    for my $round (1 .. $ROUNDS) {
        my $c = client();

        from($c, $ONE);
        $c->write_plain("POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                        . "Content-Length: 10\r\n\r\nhello");
        $c->exchange($c->tls_out());

        my $id = "id-$round-" . 'x' x 100;

        from($c, $round % 2 ? version2($id) : $TWO);
        $c->write_plain("world$GET");
        $c->exchange($c->tls_out());

        my @r = parse_responses($c->read_plain(), qw( POST GET ));
        my $expected = $round % 2 ? '192.0.2.33 3333 198.51.100.3 443 '
                                    . ($tlvs ? $id : '')
                                  : '203.0.113.22 2222 198.51.100.2 8443 ';

        $n++ if @r && $r[0]->header('X-Proxied') eq '192.0.2.1 1111';
        $good++ if @r > 1 && $r[1]->body() eq $expected;
    }

    is($n, $ROUNDS, 'relayed: requests that have begun before');
    is($good, $ROUNDS, 'relayed: the next ones');

    my @relayed = substr($t->read_log('outer.log'), $from)
                  =~ /^(.*) another worker$/mg;

    cmp_ok(scalar @relayed, '>', 0, 'relayed: some were');
    is(scalar(grep { !/^[\d.]+ \d+ [\d.]+ \d+$/ } @relayed), 0,
       'relayed: and logged');
}


# The realip module, for inner requests only.

sub real_ip {
    SKIP: {
        skip 'no realip module', 3 unless $realip;

        my $c = client(first => $ONE, sni => '');

        is($c->get('/', Host => 'real.test')->body(), '192.0.2.1 1111',
           'realip');
        from($c, $TWO);
        is($c->get('/', Host => 'real.test')->body(), '203.0.113.22 2222',
           'realip, another POST');
        from($c, $SIX);
        is($c->get('/', Host => 'real.test')->body(), '2001:db8::6 6666',
           'realip, IPv6');
    }
}


sub client {
    return $t->established(keepalive => 0, first => $ONE, @_);
}


# Sets the PROXY protocol header of the next POSTs.

sub from {
    my ($c, $header) = @_;

    $c->http_client()->{first} = $header;
}


sub said {
    my ($c) = @_;

    my $r = $c->get('/');

    return $r ? $r->body() : $c->error();
}


# Version 2, from 192.0.2.33, with a unique id.

sub version2 {
    my ($id) = @_;

    my $rest = pack 'C4 C4 n n C n/a', 192, 0, 2, 33, 198, 51, 100, 3, 3333,
                    443, 5, $id;

    return "\r\n\r\n\0\r\nQUIT\n\x21\x11" . pack('n', length $rest) . $rest;
}
