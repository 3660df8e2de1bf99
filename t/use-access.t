#!/usr/bin/perl

# Limits and access by variables: limit_req_zone, map, if, auth_request and
# atls_required.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw( sha1_hex );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Identity;
use Test::Atls::Stack qw( @STACKS );

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

my $conf = http_conf(<<'EOC');
include clients.conf;
atls_early_data on;

map $atls_client_fingerprint $role {
    %%ANN%%  admin;
    %%BOB%%  user;
    default  nobody;
}

map "$atls_client_verify:$atls_psk_identity:$atls_protocol" $may {
    "SUCCESS::TLSv1.3"     yes;
    "PSK:device:TLSv1.3"   yes;
    default                no;
}

limit_req_zone $atls_session_id zone=session:1m rate=1r/m;
limit_req_zone $atls_client_fingerprint zone=client:1m rate=1r/m;
limit_req_zone $atls_session_id zone=pinned:1m rate=1r/m;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location /.well-known/atls {
        atls on;
    }

    location = /limited/session {
        limit_req zone=session burst=1 nodelay;
        limit_req_status 429;
    }

    location = /limited/client {
        limit_req zone=client burst=1 nodelay;
    }

    location = /pinned {
        atls on;
        atls_cookie pinned;
        limit_req zone=pinned burst=1 nodelay;
        limit_req_status 429;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /required {
        atls_required on;
        return 200 "inside";
    }

    location = /verified {
        if ($atls_client_verify != SUCCESS) {
            return 403;
        }

        return 200 $atls_client_s_dn;
    }

    location = /admin {
        if ($role != admin) {
            return 403;
        }

        return 200 $role;
    }

    location = /may {
        if ($may = no) {
            return 403;
        }

        return 200 $may;
    }

    location = /first {
        if ($atls_early_data) {
            return 425;
        }

        if ($atls_session_reused = r) {
            return 200 again;
        }

        return 200 first;
    }

    %%AUTH%%
}
EOC

my $auth = <<'EOC';
location = /asked {
        auth_request /answer;
        proxy_pass http://127.0.0.1:%%PORT_1%%/;
    }

    location = /answer {
        internal;

        if ($atls_psk_identity = device) {
            return 204;
        }

        return 403;
    }
EOC

$auth = '' unless $t->has_option('http_auth_request_module');

my %parts = (
    ANN  => fingerprint('ann'),
    BOB  => fingerprint('bob'),
    AUTH => $auth,
);

$conf =~ s/%%$_%%/$parts{$_}/g for keys %parts;

$t->write_conf($conf);
$t->write_file("limited/$_", "$_\n") for qw( session client );
$t->run();

Test::Atls::Backend->start($t, $t->port(1));

for my $stack (@STACKS) {

    for my $protocol (@PROTOCOLS) {
        limits($stack, $protocol);
        decisions($stack, $protocol);
    }

    early($stack);
}

outside();

$t->done_testing();


# Two requests are allowed, for each session and for each client certificate.

sub limits {
    my ($stack, $protocol) = @_;

    my $name = "$stack, $protocol";
    my ($one, $two) = map { client($stack, protocol => $protocol) } 1 .. 2;

    is(statuses($one, '/limited/session', 5), '200 200 429 429 429',
       "$name: a session is limited");
    is(statuses($two, '/limited/session', 3), '200 200 429',
       "$name: another one is not, until it is");

    # requests without ATLS are not counted

    my @plain = map { plain('/limited/session')->status() } 1 .. 4;
    is("@plain", '200 200 200 200', "$name: nothing else is limited");

    # decrypted requests are counted, not POSTs

    my $pinned = client($stack, protocol => $protocol, uri => '/pinned');
    is(statuses($pinned, '/', 4), '200 200 429 429',
       "$name: requests of an endpoint");
    is($pinned->error(), '', "$name: all POSTs are served");

    # a certificate is counted in all sessions; once for this file

    return if $stack ne $STACKS[0] || $protocol ne $PROTOCOLS[0];

    my ($ann, $again, $bob) = map { client($stack, protocol => $protocol,
                                           certificate_of($_)) }
                              'ann', 'ann', 'bob';

    is(statuses($ann, '/limited/client', 1)
       . ' ' . statuses($again, '/limited/client', 2)
       . ' ' . statuses($ann, '/limited/client', 1), '200 200 503 503',
       'a client is limited in all its sessions');
    is(statuses($bob, '/limited/client', 1), '200', 'another one is not');
    is(statuses($one, '/limited/client', 4), '200 200 200 200',
       'nor is one without a certificate');
}


sub decisions {
    my ($stack, $protocol) = @_;

    my $name = "$stack, $protocol";
    my $new = $protocol eq 'TLSv1.3';
    my %clients = (
        nobody => client($stack, protocol => $protocol),
        ann    => client($stack, protocol => $protocol, certificate_of('ann')),
        bob    => client($stack, protocol => $protocol, certificate_of('bob')),
        device => client($stack, protocol => $protocol,
                         psk_of($stack, $protocol)),
    );

    my %expected = (
        '/required' => { map { $_ => 'inside' } keys %clients },
        '/verified' => { nobody => 403, ann => 'O=Clients,CN=ann',
                         bob => 'O=Clients,CN=bob', device => 403 },
        '/admin'    => { nobody => 403, ann => 'admin', bob => 403,
                         device => 403 },
        '/may'      => { nobody => 403, map { $_ => $new ? 'yes' : 403 }
                                        qw( ann bob device ) },
    );

    $expected{'/asked'} = { nobody => 403, ann => 403, bob => 403,
                            device => 'length 0' } if $auth ne '';

    for my $uri (sort keys %expected) {
        for my $who (sort keys %clients) {
            my $r = $clients{$who}->get($uri, 'X-Atls-Client-Verify', 'SUCCESS',
                                        'X-Atls-Psk-Identity' => 'device');
            my $answer = !$r ? $clients{$who}->error()
                         : $r->status() == 200 ? $r->body() : $r->status();

            like($answer, qr/^\Q$expected{$uri}{$who}\E$/m,
                 "$name: $uri for $who");
        }

        is(plain($uri)->status(), 403, "$name: $uri for none of them");
    }
}


# A resumed session is detected, and early data is refused.

sub early {
    my ($stack) = @_;

    my $c = client($stack, protocol => 'TLSv1.3');
    is($c->get('/first')->body(), 'first', "$stack: no early data");

    my $next = $t->stack($stack, keepalive => 0, protocol => 'TLSv1.3',
                         session => $c->session(),
                         early => $c->format_get('/first'));

    ok($next->handshake() && $next->early_status() eq 'accepted',
       "$stack: early data for /first") or diag($next->error());

    my $r = $next->early_response();

    is($r && $r->status(), 425, "$stack: too early");
    is($next->get('/first')->body(), 'again', "$stack: not too early");
}


sub outside {
    is(plain('/first')->body(), 'first', 'outside: if and else');
    is(plain('/first', forged())->body(), 'first',
       'outside, forged: if and else');
}


sub statuses {
    my ($c, $uri, $n) = @_;

    return join ' ', map { my $r = $c->get($uri);
                           $r ? $r->status() : $c->error() } 1 .. $n;
}


sub fingerprint {
    my ($name) = @_;

    my $path = $t->path("$name.crt");

    return sha1_hex(scalar `openssl x509 -in '$path' -outform DER`);
}
