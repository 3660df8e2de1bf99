#!/usr/bin/perl

# KeyUpdate with and without a request for an update by the server, alone and
# between requests, on new connections: all workers use the new keys.  Then
# updates by the server, when the limit of a key is reached.  For these, a copy
# of the module with a small limit is built.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use File::Basename qw( dirname );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Pattern qw( pattern_md5 );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Stack qw( @STACKS );

# any of the first records may be the first one of the key; the last one is for
# the KeyUpdate or the close_notify

my $LIMIT = 100;
my $RECORD = 512;

my $t = Test::Atls->new();

$t->make_cert('localhost');

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location /body {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location / {
        return 200 "$uri $atls_cipher";
    }
}
EOC

my @suites = qw( TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384
                 TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_CCM_SHA256 );

my @tls12 = qw( ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-CHACHA20-POLY1305
                ECDHE-ECDSA-AES128-CCM );

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

my ($c, $r);


for my $suite (@suites) {

    $c = client($suite);
    ok($c->handshake(), "$suite: handshake") or diag($c->error());
    is($c->get('/first')->body(), "/first $suite", "$suite: request");

    # alone, without a response

    $r = update($c, 0);
    is($r && length $r->body(), 0, "$suite: update");
    is($c->get('/second')->body(), "/second $suite", "$suite: request");
    is($c->updates(), 0, "$suite: no update of the server's");

    # alone, with an update by the server at once

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

    # the client responds to the server's update in its next request

    my $good = 0;

    for my $i (1 .. 10) {
        update($c, $i % 2);
        $r = $c->get("/$i") or last;
        $good++ if $r->body() eq "/$i $suite";
    }

    is($good, 10, "$suite: ten more");
    is($c->state(), 'established', "$suite: established");
}


# the number of updates in a row is limited in a POST

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

# with one POST for each, a client may poll

$c = client($suites[0]);
$c->handshake();
update($c, 0) for 1 .. 50;
is($c->get('/next')->body(), "/next $suites[0]", '50 POSTs');
is($c->state(), 'established', 'go on');


# with each record

for my $requested (0, 1) {
    every_record('openssl', $requested, 100);

    # GnuTLS accepts at most 8 a second, but sends any number

    every_record('gnutls', $requested, $requested ? 3 : 20);
}

gnutls();


# updates by the server

SKIP: {
    my $module = limited_module();

    skip('no build tree', 1 + @STACKS * (5 * @suites + 12 * @tls12))
        unless $module;

    my $limited = limited_server($module);

    for my $stack (@STACKS) {
        own_updates($limited, $stack, $_) for @suites;
        used_up($limited, $stack, $_) for @tls12;
    }

    $limited->finish();
}

$t->done_testing();


# A hundred records in one or two POSTs are a request and its body.

sub every_record {
    my ($stack, $requested, $posts) = @_;

    my $name = "$stack, " . ($requested ? 'requested' : 'not requested');
    my $client = client($suites[0], $stack);
    my $right = 0;

    $client->handshake() or diag($client->error());

    for my $i (1 .. $posts) {
        my @pieces = map { "$i.$_," } 1 .. 99;
        my $body = join '', @pieces;

        my $n = 0;

        for my $plain ("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                       . 'Content-Length: ' . length($body) . "\r\n\r\n",
                       @pieces)
        {
            $client->key_update($requested);
            $client->write_plain($plain);
            $client->flush() if ++$n == 50 && $i % 10 == 0;
        }

        $client->flush();

        my ($answer) = parse_responses($client->read_plain());
        $right++ if $answer && $answer->body() eq $body;
    }

    is($right, $posts, "$name: ${posts}00 records with an update each")
        or diag($client->error());
    is($client->state(), 'established', "$name: established");

    if ($requested) {
        cmp_ok($client->updates(), '>=', $posts, "$name: updates in return");
    } else {
        is($client->updates(), 0, "$name: no updates in return");
    }
}


# Updates alone, and in pieces, with the other stack.

sub gnutls {
    my $client = client($suites[0], 'gnutls');

    ok($client->handshake(), 'gnutls: handshake') or diag($client->error());

    for my $requested (0, 1) {
        my $before = $client->updates();

        update($client, $requested, split => 1);
        is($client->updates(), $before + $requested, 'gnutls: update by bytes');
        is($client->get('/after')->body(), "/after $suites[0]",
           'gnutls: request');
    }

    update($client, 0) for 1 .. 33;
    is($client->state(), 'established', 'gnutls: 33 in a row');
}


# Builds a module with a small limit: one file is compiled again, and linked
# with the other objects by the commands of nginx's Makefile.

sub limited_module {
    my $module = $t->module();
    my $tree = dirname($module) . '/nginx';

    return undef if $module eq '' || !-e "$tree/objs/Makefile";

    my $steps = `make -C '$tree' -n -B -f objs/Makefile modules 2>&1`
                =~ s/\\\n//gr;
    my ($compile) = $steps =~ /^(.* -c .*\btrl_cipher\.c)\s*$/m;
    my ($link) = $steps =~ /^(.* -o \s*objs\/ngx_http_atls_module\.so\s.*)$/m;

    my $object = $t->path('trl_cipher.o');
    my $limited = $t->path('ngx_http_atls_module.so');

    for ($compile, $link) {
        die "no commands for the module\n" unless defined;
        s/\bobjs\S*\/trl_cipher\.o\b/$object/;
        s/\bobjs\/ngx_http_atls_module\.so\b/$limited/;
    }

    system("cd '$tree' && $compile -DTRL_AEAD_LIMIT=$LIMIT && $link") == 0
        or die "can't build the module with a small limit\n";

    return $limited;
}


sub limited_server {
    my ($module) = @_;

    local $ENV{TEST_NGINX_MODULE} = $module;

    my $limited = Test::Atls->new();

    $limited->make_cert('localhost');
    $limited->write_http(<<"EOC")->run();
%%CERTIFICATE%%
atls_conf_command Ciphersuites @{[ join ':', @suites ]};
atls_buffer_size $RECORD;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location /big {
        proxy_pass http://127.0.0.1:@{[ $t->port(1) ]};
    }

    location / {
        return 200 "\$uri";
    }
}
EOC

    return $limited;
}


# In a large response, and in many small ones.

sub own_updates {
    my ($limited, $stack, $suite) = @_;

    my $name = "$stack, $suite";

    # GnuTLS accepts at most 8 a second

    my $size = $stack eq 'gnutls' ? 200_000 : 2_000_000;
    my $client = client($suite, $stack, $limited);

    $client->handshake() or diag($client->error());

    my $answer = $client->get("/big?size=$size");
    my $expected = int($size / $RECORD / $LIMIT);

    is($answer && md5_hex($answer->body()), pattern_md5($size),
       "$name: a large answer");
    cmp_ok($client->updates(), '>=', $expected,
           "$name: $expected updates or more");
    cmp_ok($client->updates(), '<=', int(1.1 * $expected) + 1,
           "$name: not many more");

    # each response is a record, possibly sent by another worker

    $client = client($suite, $stack, $limited);
    $client->handshake();

    my $n = 2.5 * $LIMIT;
    my $right = grep { my $r = $client->get("/$_");
                       $r && $r->body() eq "/$_" } 1 .. $n;

    is($right, $n, "$name: many answers");
    is($client->updates(), 2, "$name: two updates");
}


# TLS 1.2 has no KeyUpdate: the client needs a new session.

sub used_up {
    my ($limited, $stack, $suite) = @_;

    my $name = "$stack, $suite";
    my $client = tls12($limited, $stack, $suite);
    my $right = 0;

    ok($client->handshake(), "$name: handshake") or diag($client->error());

    my $cookie = $client->cookie();

    while ($right < $LIMIT) {
        my $answer = $client->get("/$right") or last;
        last if $answer->body() ne "/$right";
        $right++;
    }

    # the first record was the Finished, the last one is close_notify

    is($right, $LIMIT - 2, "$name: requests up to the limit");
    is($client->state(), 'closed', "$name: then close_notify");
    is($client->error(), '', "$name: no error");
    is($client->cookie(), undef, "$name: no session");

    my $answer = $client->post("\x17\x03\x03\x00\x20" . 'x' x 32,
                               cookie => "atls=$cookie");
    is($answer && $answer->status(), 410, "$name: no session any more");

    # the next session has the same limit, even if it resumes the last one

    $client = tls12($limited, $stack, $suite, session => $client->session());
    ok($client->handshake(), "$name: the client comes again");
    ok($client->resumed(), "$name: resumes");
    is($client->get('/again')->body(), '/again', "$name: a request");

    # a response that is too large for the key is cut by a fatal alert

    $client = tls12($limited, $stack, $suite);
    $client->handshake();
    $client->write_plain($client->format_get('/big?size=1000000'));
    $client->flush();

    my $plain = $client->read_plain();
    my ($head, $body) = $plain =~ /^(.*?\r\n\r\n)(.*)$/s;

    like($head, qr/^Content-Length: 1000000\r$/mi, "$name: a large answer");
    is(md5_hex($body), pattern_md5(length $body), "$name: is right");
    ok($client->state() eq 'failed'
       && length $plain <= ($LIMIT - 2) * $RECORD, "$name: up to the limit");
}


sub tls12 {
    my ($limited, $stack, $suite, @args) = @_;

    # suites supported by GnuTLS, by their names there

    my ($cipher) = $suite =~ /ECDSA-(.*)/;
    my %priorities = (
        'AES128-GCM-SHA256' => 'AES-128-GCM',
        'CHACHA20-POLY1305' => 'CHACHA20-POLY1305',
        'AES128-CCM'        => 'AES-128-CCM',
    );

    return $limited->stack($stack, keepalive => 0, protocol => 'TLSv1.2', @args,
                           $stack eq 'openssl'
                           ? (ciphers => $suite)
                           : (priority => "NORMAL:-CIPHER-ALL:"
                                          . "+$priorities{$cipher}"));
}


sub update {
    my ($client, $requested, %args) = @_;

    $client->key_update($requested);

    return $client->flush(%args);
}


# After the handshake, POSTs may be received by any worker.

sub client {
    my ($suite, $stack, $server) = @_;

    return Test::Atls::Stack->new($stack || 'openssl',
                                  port => ($server || $t)->port(0),
                                  keepalive => 0, protocol => 'TLSv1.3',
                                  ciphersuites => $suite);
}
