#!/usr/bin/perl

# Post-quantum key exchange and signatures, which OpenSSL has since 3.5: ML-KEM,
# by default combined with X25519, and ML-DSA.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Command;
use Test::Atls::Stack;

my $HYBRID = 'X25519MLKEM768';
my @HYBRIDS = ($HYBRID, 'SecP256r1MLKEM768', 'SecP384r1MLKEM1024');
my @KEMS = qw( MLKEM512 MLKEM768 MLKEM1024 );
my @SIGNATURES = qw( ML-DSA-44 ML-DSA-65 ML-DSA-87 );

my $t = Test::Atls->new(workers => 4);

plan(skip_all => 'OpenSSL has no ML-KEM before 3.5')
    unless $t->has_openssl('3.5');

$t->make_cert("ca-$_", is_ca => 1, type => $_) for @SIGNATURES;
$t->make_cert($_, type => $_, ca => "ca-$_", san => 'DNS:localhost')
    for @SIGNATURES;
$t->make_cert("client-$_", type => $_, ca => "ca-$_") for @SIGNATURES;
$t->write_file('ticket.key', 'k' x 80);

my $info = join '', map { "$_ \$$_\\n" }
           qw( pid atls_protocol atls_curve atls_session_reused atls_early_data
               atls_client_verify atls_client_s_dn atls_client_fingerprint );

my $locations = join '', (map { <<"EOC" } @HYBRIDS, @KEMS),
        location = /$_ {
            atls on;
            atls_ecdh_curve $_;
            return 200 "$info";
        }
EOC
    (map { <<"EOC" } @SIGNATURES);
        location = /$_ {
            atls on;
            atls_certificate %%TESTDIR%%/$_.crt;
            atls_certificate_key %%TESTDIR%%/$_.key;
            return 200 "$info";
        }

        location = /both-$_ {
            atls on;
            atls_certificate %%TESTDIR%%/$_.crt;
            atls_certificate_key %%TESTDIR%%/$_.key;
            atls_certificate %%TESTDIR%%/localhost.crt;
            atls_certificate_key %%TESTDIR%%/localhost.key;
            return 200 "$info";
        }

        location = /client-$_ {
            atls on;
            atls_verify_client on;
            atls_client_certificate %%TESTDIR%%/ca-$_.crt;
            return 200 "$info";
        }
EOC

$t->write_http(<<"EOC");
%%CERTIFICATE%%
atls_session_ticket_key ticket.key;
atls_early_data on;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location = /.well-known/atls {
        atls on;
        return 200 "$info";
    }

    location = /classic {
        atls on;
        atls_ecdh_curve X25519:prime256v1;
        return 200 "$info";
    }

$locations
}
EOC

$t->run();


# Variables of the session, or the error.

sub info {
    my ($c) = @_;

    $c->handshake() or return { error => $c->error() };

    return told($c->get('/'));
}


sub told {
    my ($r) = @_;

    return { error => 'no response' } unless $r;
    return { error => $r->status() } unless $r->status() == 200;
    return { error => '', $r->body() =~ /^(\w+) (.*)$/mg };
}


sub is_curve {
    my ($c, $curve, $name) = @_;

    my $info = info($c);

    is($info->{error}, '', "$name: served");
    is($info->{atls_curve}, $curve, "$name: group");

    return $info;
}


# groups

{
    is_curve($t->client(), $HYBRID, 'by default');
    is_curve($t->client(uri => '/classic'), 'X25519',
             'the server has others only');
    is_curve($t->client(groups => 'X25519'), 'X25519', 'the client has');
    is_curve($t->client(protocol => 'TLSv1.2'), 'X25519', 'TLS 1.2');

    for my $group (@HYBRIDS, @KEMS) {
        my $c = $t->client(uri => "/$group", groups => $group);

        is_curve($c, $group, $group);
        is($c->posts(), 3, "$group: two POSTs for the handshake");

        # the key share is in the second ClientHello

        $c = $t->client(uri => "/$group", groups => "P-521:$group");
        is_curve($c, $group, "$group, HelloRetryRequest");
        is($c->posts(), 4, "$group: three POSTs for the handshake");

        for my $split (1000, 100) {
            $c = $t->client(uri => "/$group", groups => "P-521:$group");
            $c->handshake(split => $split);
            is_curve($c, $group, "$group, HelloRetryRequest, POSTs of $split");
        }

        my $refused = $t->client(uri => "/$group", groups => 'X25519');
        ok(!$refused->handshake(), "$group: a client without it");
        is(join(' ', $refused->alerts()), 40, "$group: gets an alert");
    }
}

# any worker can serve the session

for my $group (@HYBRIDS, @KEMS) {
    my $c = $t->client(uri => "/$group", groups => $group);
    my %pids;

    $c->handshake() or diag($c->error());

    $t->wait_for(sub {
        $c->http_client()->close();

        my $info = told($c->get('/'));

        $pids{$info->{pid}}++ if ($info->{atls_curve} || '') eq $group;
        return keys %pids == 4 || $info->{error} ne '';
    }, 20);

    is(scalar(keys %pids), 4, "$group: any worker serves it");
}

# resumption, and early data

for my $group ($HYBRID, 'MLKEM1024') {
    my @args = ('openssl', port => $t->port(0), groups => $group,
                uri => "/$group");
    my $c = Test::Atls::Stack->new(@args);

    is_curve($c, $group, "$group, to be resumed");

    my $session = $c->session();

    $c = Test::Atls::Stack->new(@args, session => $session);
    is(is_curve($c, $group, "$group, resumed")->{atls_session_reused}, 'r',
       "$group: it is");

    $session = $c->session();

    $c = Test::Atls::Stack->new(@args, session => $session,
                                early => $c->format_get('/'));
    ok($c->handshake(), "$group, early data") or diag($c->error());

    my $early = told($c->early_response());

    is("@{$early}{qw( error atls_early_data atls_curve )}", " 1 $group",
       "$group: a response to it");

    my $after = told($c->get('/'));

    is("@{$after}{qw( error atls_early_data atls_curve )}", "  $group",
       "$group: and one after it");
    is($c->posts(), 2, "$group: in two POSTs");
}

# signatures

for my $type (@SIGNATURES) {
    my $ca = $t->path("ca-$type.crt");

    is_curve($t->client(uri => "/$type", ca => $ca), $HYBRID, $type);

    my $c = $t->client(uri => "/$type", ca => $ca);
    $c->handshake(split => 1000) or diag($c->error());
    is(told($c->get('/'))->{error}, '', "$type: POSTs of 1000");

    $c = $t->client(uri => "/both-$type", ca => $ca);
    is(info($c)->{error}, '', "$type or ECDSA: the first one");
    like($c->server_cert(), qr/$type/, "$type or ECDSA: is in use");

    $c = $t->client(uri => "/both-$type", protocol => 'TLSv1.2',
                    ca => $t->path('localhost.crt'));
    is(info($c)->{atls_protocol}, 'TLSv1.2', "$type or ECDSA: TLS 1.2");
    like($c->server_cert(), qr/localhost/, "$type or ECDSA: is the other");

    $c = $t->client(uri => "/$type", protocol => 'TLSv1.2');
    ok(!$c->handshake(), "$type alone: no TLS 1.2");

    # client certificates, which are stored with the session

    $c = $t->client(uri => "/client-$type",
                    cert => $t->path("client-$type.crt"),
                    key => $t->path("client-$type.key"));

    my $info = info($c);
    my $sha1 = `openssl x509 -noout -fingerprint -sha1 -in @{[
                   $t->path("client-$type.crt") ]}`;

    is($info->{atls_client_verify}, 'SUCCESS', "a client's $type");
    is($info->{atls_client_s_dn}, "CN=client-$type", 'its name');
    is($info->{atls_client_fingerprint},
       lc(($sha1 =~ /=(.*)/)[0]) =~ s/://gr, 'and what is kept of it');

    $c->http_client()->close();
    is(told($c->get('/'))->{atls_client_verify}, 'SUCCESS', 'later, too');
}

# the command

{
    my $atls = Test::Atls::Command->new($t);

    for my $type (@SIGNATURES) {
        my $r = $atls->run('-v', '--cacert', $t->path("ca-$type.crt"), '--via',
                           'http://127.0.0.1:' . $t->port(0) . "/$type",
                           'https://localhost/');

        is($r->{code}, 0, "atls, $type") or diag($r->{err});
        like($r->{out}, qr/^atls_curve $HYBRID$/m, "atls, $type: group");
        like($r->{err}, qr/certificate of .*$type.*verified/s,
             "atls, $type: verified");
    }
}

# configuration: existing names and an unknown one

for my $list (@HYBRIDS, @KEMS, "$HYBRID:X25519") {
    is($t->config_error(config($list)), '', "atls_ecdh_curve $list");
}

like($t->config_error(config('X25519MLKEM769')), qr/X25519MLKEM769/,
     'atls_ecdh_curve of no group');

for my $suite (qw( TLS_SHA256_SHA256 TLS_SHA384_SHA384 )) {
    like($t->config_error(config("X25519; atls_conf_command Ciphersuites $suite")),
         qr/cipher "$suite" is not supported/, "no encryption: $suite");
}


sub config {
    my ($list) = @_;

    return <<"EOC";
%%GLOBALS%%
events { }
http {
    %%GLOBALS_HTTP%%
    server {
        listen 127.0.0.1:%%PORT_1%%;
        location / {
            atls on;
            atls_certificate %%TESTDIR%%/localhost.crt;
            atls_certificate_key %%TESTDIR%%/localhost.key;
            atls_ecdh_curve $list;
        }
    }
}
EOC
}

$t->done_testing();
