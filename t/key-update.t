#!/usr/bin/perl

# KeyUpdate, with and without a request for the server's own, alone and among
# requests, on new connections: any worker has to have the keys.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Stack;

my $t = Test::Atls->new();

$t->make_cert('localhost');

$t->write_conf(<<'EOC');
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%

    atls_certificate %%TESTDIR%%/localhost.crt;
    atls_certificate_key %%TESTDIR%%/localhost.key;
    atls_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256;

    server {
        listen 127.0.0.1:%%PORT_0%%;

        location /.well-known/atls {
            atls on;
        }

        location / {
            return 200 "$uri $atls_cipher";
        }
    }
}
EOC

my @suites = qw( TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384
                 TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_CCM_SHA256 );

$t->plan(20 * @suites + 9)->run();

my ($c, $r);


for my $suite (@suites) {

    $c = client($suite);
    ok($c->handshake(), "$suite: handshake") or diag($c->error());
    is($c->get('/first')->body(), "/first $suite", "$suite: request");

    # alone; nothing is owed for it

    $r = update($c, 0);
    is($r && length $r->body(), 0, "$suite: update");
    is($c->get('/second')->body(), "/second $suite", "$suite: request");
    is($c->updates(), 0, "$suite: no update of the server's");

    # alone; the server's own is owed, at once

    $r = update($c, 1);
    isnt($r && $r->body(), '', "$suite: update with a request");
    is($c->updates(), 1, "$suite: the server's update");
    is($c->get('/third')->body(), "/third $suite", "$suite: request");

    # before, between and after requests in one POST

    for my $requested (0, 1) {
        my $before = $c->updates();

        $c->key_update($requested);
        $c->write_plain($c->format_get('/a'));
        $c->key_update($requested);
        $c->write_plain($c->format_get('/b'));
        $c->key_update($requested);

        $r = $c->flush();
        my @r = parse_responses($c->read_plain());

        is(join(', ', map { $_->body() } @r), "/a $suite, /b $suite",
           "$suite: among requests");

        if ($requested) {
            cmp_ok($c->updates(), '>', $before, "$suite: updates in return");
        } else {
            is($c->updates(), $before, "$suite: no updates in return");
        }

        is($c->get('/after')->body(), "/after $suite", "$suite: request");
    }

    # cut at every byte

    for my $requested (0, 1) {
        my $before = $c->updates();

        update($c, $requested, split => 1);
        is($c->updates(), $before + $requested, "$suite: update by bytes");
        is($c->get('/after')->body(), "/after $suite", "$suite: request");
    }

    # the client's answer to the server's update goes with its next request

    my $good = 0;

    for my $i (1 .. 10) {
        update($c, $i % 2);
        $r = $c->get("/$i") or last;
        $good++ if $r->body() eq "/$i $suite";
    }

    is($good, 10, "$suite: ten more");
    is($c->state(), 'established', "$suite: established");
}


# no end of them is not a use of a session

$c = client($suites[0]);
$c->handshake();
$c->key_update(0) for 1 .. 32;
$r = $c->flush();
is($r && length $r->body(), 0, '32 in a row');
is($c->get('/next')->body(), "/next $suites[0]", 'request');

$c->key_update(0) for 1 .. 33;
$r = $c->flush();
is($r && $r->status(), 200, '33 in a row');
is($c->state(), 'failed', 'an alert');
is($c->cookie(), undef, 'the end of the session');

# over POSTs it is the same, and data between them makes them good

$c = client($suites[0]);
$c->handshake();
update($c, 0) for 1 .. 32;
is($c->get('/next')->body(), "/next $suites[0]", '32 POSTs');
is($c->state(), 'established', 'go on');

update($c, 0) for 1 .. 33;
is($c->state(), 'failed', '33 POSTs: an alert');
is($c->cookie(), undef, 'and the end of the session');


sub update {
    my ($client, $requested, %args) = @_;

    $client->key_update($requested);

    return $client->flush(%args);
}


# Any worker may have it once the handshake is done.

sub client {
    my ($suite) = @_;

    return Test::Atls::Stack->new('openssl', port => $t->port(0),
                                  keepalive => 0, protocol => 'TLSv1.3',
                                  ciphersuites => $suite);
}
