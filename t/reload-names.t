#!/usr/bin/perl

# A reload with another name for the zone or the cookie loses sessions, which is
# logged.  Clients receive 410, and begin new sessions.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

my $conf = http_conf(<<'EOC');
atls_zone %%ZONE%%;
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location /.well-known/atls {
        atls on;
        atls_cookie %%COOKIE%%;
    }

    location /other {
        atls on;
        atls_cookie other;
    }

    location / {
        return 200 ok;
    }
}
EOC

my $LOST = qr/\[notice\].*its sessions are lost/;

my $t = Test::Atls->new(client => { keepalive => 0 });

configure();

$t->run();

# nothing is lost at startup, or without changes

my $c = $t->established();

unlike($t->read_file('error.log'), $LOST, 'start');
$t->reload();
unlike($t->read_file('error.log'), $LOST, 'the same names');
is($c->get('/')->body(), 'ok', 'the same names: a session goes on');


cookies();
zones();

$t->done_testing();


sub cookies {
    my %clients = map { $_ => $t->established(protocol => $_) } @PROTOCOLS;
    my %half = map { $_ => $t->half_open(protocol => $_) } @PROTOCOLS;
    my $other = $t->established(uri => '/other');

    configure(COOKIE => 'new');
    is(lost(),
       'atls_cookie "atls" of location "/.well-known/atls" in server '
       . '"localhost" renamed to "new", its sessions are lost', 'cookie');
    is($other->get('/')->body(), 'ok', 'cookie: another location');

    for my $protocol (@PROTOCOLS) {
        $c = $clients{$protocol};

        is($c->get('/'), undef, "cookie, $protocol: a record");
        begins_anew($c, "cookie, $protocol", 'none');

        $c = $half{$protocol};

        $c->handshake_step();
        is($c->post($c->tls_out())->status(), 410,
           "cookie, $protocol: the end of a handshake");
        is($c->last_response()->header('Content-Type'),
           'application/problem+json', "cookie, $protocol: it is told");

        $c = $t->established(protocol => $protocol);
        ok($c->set_cookie() =~ /^new=/, "cookie, $protocol: the new one");
        is($c->get('/')->body(), 'ok', "cookie, $protocol: a new session");
    }
}


# The cookie of an old session is unknown, or has another name.

sub begins_anew {
    my ($c, $name, $expired) = @_;

    my $r = $c->last_response();

    is($r->status(), 410, "$name: 410");
    is($r->header('Content-Type'), 'application/problem+json',
       "$name: it is told");
    like($r->header('Set-Cookie') || 'none', $expired
         ? qr/^$expired$/ : qr/^\w+=;.*Max-Age=0/, "$name: an expired cookie");
    unlike($r->body(), qr/^\x15/, "$name: no alert");

    my $again = $t->established(cookies => $c->{cookies},
                                protocol => $c->{protocol});

    ok($again->cookie(), "$name: a new session");
    is($again->get('/')->body(), 'ok', "$name: goes on");
}


sub zones {
    my $before = $t->established();

    configure(COOKIE => 'new', ZONE => 'another:1m');
    is(lost(), 'atls_zone "small" renamed to "another", its sessions are lost',
       'zone');
    is($before->get('/'), undef, 'zone: a session');
    is($before->last_response()->status(), 410, 'zone: 410');
    is($t->established()->get('/')->body(), 'ok', 'zone: a new session');
}


sub configure {
    my %values = (ZONE => 'small:1m', COOKIE => 'atls', @_);

    $t->write_conf($conf =~ s/%%(ZONE|COOKIE)%%/$values{$1}/gr);
}


# Reloads nginx.  Returns the messages about lost sessions.

sub lost {
    my $from = length $t->read_file('error.log');

    $t->reload();

    return join '; ', substr($t->read_file('error.log'), $from)
                      =~ /\[notice\] \S+ (.*its sessions are lost)$/mg;
}
