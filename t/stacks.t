#!/usr/bin/perl

# Clients with other TLS stacks, with TLS 1.3 and 1.2: each POST has a
# connection of its own, and is received by any worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Stack qw( @STACKS );

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

my $t = Test::Atls->new();

$t->make_cert('ca', is_ca => 1);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /tls12 {
        atls on;
        atls_protocols TLSv1.2;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_set_header X-Protocol $atls_protocol;
        proxy_set_header X-Cipher $atls_cipher;
        proxy_set_header X-Name $atls_server_name;
    }
}
EOC

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

for my $stack (@STACKS) {

    for my $protocol (@PROTOCOLS) {
        my $name = "$stack, $protocol";

        my $session = served($name, $stack, $protocol);
        resumed($name, $stack, $protocol, $session);
        in_pieces($name, $stack, $protocol);
        untrusted($name, $stack, $protocol);
    }

    nothing_in_common($stack);
}

$t->done_testing();


sub served {
    my ($name, $stack, $protocol) = @_;

    my $c = client($stack, protocol => $protocol,
                   ca => $t->path('localhost.crt'), alpn => [ 'http/1.1' ]);

    ok($c->handshake(), "$name: handshake") or diag($c->error());
    is($c->state(), 'established', "$name: state");
    is($c->protocol(), $protocol, "$name: protocol");
    is($c->server_cert(), '/CN=localhost by /CN=localhost',
       "$name: the server's certificate");
    ok(!$c->resumed(), "$name: not resumed");

    my $cipher = $c->cipher();
    my $r = $c->get('/echo');
    my @seen = $r ? $r->body() =~ /^X-\w+: (\S+)$/mg : $c->error();
    is("@seen", "$protocol $cipher localhost", "$name: what the server saw");

    my @r = $c->responses(join '', map { $c->format_get("/$_") } 1 .. 3);
    is(join(' ', map { $_->body() =~ /^(GET \S+)/ } @r), 'GET /1 GET /2 GET /3',
       "$name: pipelined requests");

    $r = $c->get('/big?size=1000000');
    is($r ? $r->length() : $c->error(), 1_000_000, "$name: a large answer");
    is($r && md5_hex($r->body()), pattern_md5(1_000_000),
       "$name: is as it was sent");

    upload($c, $name, 100_000);

    # a record for each, in any worker

    my $right = 0;
    for my $i (1 .. 20) {
        $r = $c->get("/$i");
        $right++ if $r && $r->body() =~ m!^GET /$i !;
    }
    is($right, 20, "$name: requests");

    exporters($c, $name);

    # TLS 1.3 tickets were sent with the responses

    my $session = $c->session();
    isnt($session, '', "$name: a session to resume");
    cmp_ok($c->tickets(), '>', 0, "$name: from a ticket");

    my $cookie = $c->cookie();
    $r = $c->close();
    is($r && $r->status(), 200, "$name: close_notify");
    is($c->cookie(), undef, "$name: no cookie any more");
    gone($c, $name, $cookie);

    return $session;
}


sub upload {
    my ($c, $name, $size) = @_;

    my $body = pattern($size);
    my $r = $c->http(Test::Atls::Client::format_request('POST', '/body',
                                                        $body));

    is($r ? $r->length() : $c->error(), $size, "$name: a large request");
    is($r && md5_hex($r->body()), md5_hex($body),
       "$name: is as it was sent");
}


# The channel binding of the stack is the exporter of RFC 9266, with an empty
# context.  With TLS 1.2, this differs from no context.

sub exporters {
    my ($c, $name) = @_;

    my @label = ('EXPORTER-Channel-Binding', 32);
    my $binding = $c->channel_binding();

    is(length $binding, 64, "$name: channel binding") or return;
    is($c->export(@label, ''), $binding, "$name: is an exported value");
    is($c->export(@label) eq $binding, $c->protocol() eq 'TLSv1.3',
       "$name: whose context counts");
    isnt($c->export(@label, 'other'), $binding, "$name: as does another one");

    note("$name: tls-exporter $binding");
}


sub resumed {
    my ($name, $stack, $protocol, $session) = @_;

    my $c = client($stack, protocol => $protocol, session => $session,
                   alpn => [ 'http/1.1' ]);

    ok($c->handshake(), "$name: resuming") or diag($c->error());
    ok($c->resumed(), "$name: resumed");

    my $r = $c->get('/echo');
    like($r ? $r->body() : $c->error(), qr!^GET /echo !,
         "$name: resumed: request");
}


# A flight or a request in several POSTs.

sub in_pieces {
    my ($name, $stack, $protocol) = @_;

    my $c = client($stack, protocol => $protocol, keepalive => 1);

    ok($c->handshake(split => 7), "$name: handshake in pieces")
        or diag($c->error());

    my $r = $c->http($c->format_get('/echo'), split => 7);
    like($r ? $r->body() : $c->error(), qr!^GET /echo !,
         "$name: a request in pieces");
}


# The client refuses the certificate: its alert ends the session.

sub untrusted {
    my ($name, $stack, $protocol) = @_;

    my $c = client($stack, protocol => $protocol, ca => $t->path('ca.crt'));

    $c->handshake_step();
    $c->exchange($c->tls_out());
    my $cookie = $c->cookie();

    ok(!$c->handshake(), "$name: an untrusted certificate");
    is($c->state(), 'failed', "$name: the client fails");
    like($c->error(), qr/certificate/i, "$name: says why");
    is($c->posts(), 2, "$name: and sends an alert");
    is($c->cookie(), undef, "$name: to a session that ends");
    gone($c, "$name, untrusted", $cookie);
}


# The response to the first flight is an alert.

sub nothing_in_common {
    my ($stack) = @_;

    my $c = client($stack, protocol => 'TLSv1.3', uri => '/tls12');

    ok(!$c->handshake(), "$stack: no version in common");
    is($c->posts(), 1, "$stack: after one POST");
    is(join(' ', $c->alerts()), '70', "$stack: the client has the alert");
    is($c->cookie(), undef, "$stack: no session");
}


sub gone {
    my ($c, $name, $cookie) = @_;

    my $r = $c->post("\x17\x03\x03\x00\x20" . 'x' x 32,
                     cookie => "atls=$cookie");

    is($r && $r->status(), 410, "$name: no session any more");
}


sub client {
    my ($stack, %args) = @_;

    return $t->stack($stack, keepalive => 0, %args);
}
