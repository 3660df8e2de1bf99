#!/usr/bin/perl

# atls doctor through real middleboxes, those of t/middlebox.t: what it finds is
# what they do, and what docs/deployment.md has.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Command;
use Test::Atls::Middlebox;

my $t = Test::Atls->new();

my ($listen_h2, $http2) = $t->http2();

$t->make_cert('ca', is_ca => 1, subject => '/CN=Inner CA');
$t->make_cert('localhost', ca => 'ca');
$t->make_cert('outer-ca', is_ca => 1, subject => '/CN=Outer CA');
$t->make_cert('outer', ca => 'outer-ca', san => 'DNS:localhost');
$t->write_file('both', join '', map { $t->read_file("$_.crt") }
                                qw( ca outer-ca ));

$t->write_http(<<"EOC");
%%SSL_CERTIFICATE_outer%%
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%% ssl $listen_h2;
    listen 127.0.0.1:%%PORT_1%%;
    $http2

    location = /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_2%%;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(2));
my $atls = Test::Atls::Command->new($t);
my $https = 'https://localhost:' . $t->port(0);
my $http = 'http://127.0.0.1:' . $t->port(1) . '/.well-known/atls';
my $trust = $t->path('outer-ca.crt');

# bodies are passed when they are complete; it is not known about responses

my @BUFFERED = ('requests limit', 'responses skipped');

finds('none', 0, [ ], 'issued by CN=Outer CA');

through('mitmproxy', { trust => $trust }, 4, [ 'certificate note', @BUFFERED ],
        'intercepted by mitmproxy');
through('squid', { trust => $trust, scanner => $t->port(10) }, 4,
        [ 'certificate note', 'headers note', @BUFFERED ],
        'intercepted by Squid', 'Via: 1.1 middlebox ');
through('squid', { name => 'tunnel', bump => 0, scanner => $t->port(11) }, 0,
        [ ], 'issued by CN=Outer CA');
through('squid', { name => 'forward', bump => 0, scanner => $t->port(12),
                   via => $http }, 4,
        [ 'certificate note', 'headers note', @BUFFERED ], 'not encrypted');
through('haproxy', { to => $t->port(1), tap => $t->port(13) }, 0,
        [ 'certificate note' ], 'Middlebox CA of haproxy');
through('nginx', { to => $t->port(1), tap => $t->port(14) }, 4,
        [ 'certificate note', @BUFFERED ], 'Middlebox CA of nginx');

$t->done_testing();


# By way of a forward proxy, or of a terminator.

sub through {
    my ($kind, $args, $code, $found, @texts) = @_;

    my $name = $args->{name} || $kind;

    SKIP: {
        my $why = Test::Atls::Middlebox->missing($kind);
        skip "$kind: $why", 1 if $why;

        my $m = eval { Test::Atls::Middlebox->start($t, $kind, %$args,
                                                    port => $t->port(20)) };
        ok($m, "$name runs") or diag($@), return;

        finds($name, $code, $found, @texts,
              { args => $args->{to}
                        ? [ '--via', 'https://localhost:' . $m->port()
                                     . '/.well-known/atls' ]
                        : [ '-x', 'http://127.0.0.1:' . $m->port(),
                            $args->{via} ? ('--via', $args->{via}) : () ] });
        $m->stop();
    }
}


# Checks that are not ok, and texts of others.

sub finds {
    my ($name, $code, $found, @texts) = @_;

    my $options = ref $texts[-1] ? pop @texts : { args => [] };
    my $r = $atls->run('doctor', '--json', '--wait', 0,
                       '--cacert', $t->path('both'), @{$options->{args}},
                       "$https/echo");
    my $json = eval { decode_json($r->{out}) } || { checks => [] };

    is(join(', ', map { "$_->{check} $_->{result}" }
                  grep { $_->{result} ne 'ok' } @{$json->{checks}}),
       join(', ', @$found), "$name: what is found")
        or diag($r->{out}, $r->{err});
    is($r->{code}, $code, "$name: exit code");
    like($r->{out}, qr/\Q$_\E/, "$name: $_") for @texts;
}
