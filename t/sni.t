#!/usr/bin/perl

# Server names: SNI selects the certificate and client verification, as over
# HTTPS, and this cannot be bypassed by Host.  See also t/sni-session.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Names;
use Test::Atls::Stack qw( @STACKS );

# SNI, the certificate, the server

my @NAMES = (
    [ '', 'a', 'a' ],
    [ 'a.example', 'a', 'a' ],
    [ 'unknown.example', 'a', 'a' ],
    [ 'b.example', 'b', 'b' ],
    [ 'www.b.example', 'b', 'b' ],
    [ 'B.Example', 'b', 'b' ],
    [ 'b.example.', 'b', 'b' ],
    [ 'x.wild.example', 'wild', 'wild' ],
    [ 'x.y.wild.example', 'wild', 'wild' ],
    [ 'wild.example', 'a', 'a' ],
    [ 'some.re.example', 're', 're some' ],
    [ 'c.example', 'c-endpoint', 'c' ],         # an endpoint with this name
    [ 'bare.example', 'a', 'bare' ],            # no certificate
);

# SNI, client certificate, Host: the response

my @RULES = (

    # the server selected by SNI, with any of its names

    [ 'b.example', '', 'b.example', 'b' ],
    [ 'b.example', '', 'www.b.example', 'b' ],
    [ 'www.b.example', '', 'b.example:8080', 'b' ],
    [ 'b.example', '', 'nobody.example', 'b' ],
    [ 'b.example', '', 'B.EXAMPLE.', 'b' ],
    [ 'x.wild.example', '', 'y.wild.example', 'wild' ],
    [ 'some.re.example', '', 'other.re.example', 're other' ],

    # other servers

    [ 'b.example', '', 'a.example', 421 ],
    [ 'b.example', '', 'c.example', 421 ],
    [ 'b.example', '', 'bare.example', 421 ],
    [ 'b.example', '', 'verify.example', 421 ],
    [ 'a.example', '', 'b.example', 421 ],
    [ 'c.example', '', 'a.example', 421 ],
    [ 'bare.example', '', 'a.example', 421 ],
    [ 'x.wild.example', '', 'some.re.example', 421 ],
    [ 'some.re.example', '', 'x.wild.example', 421 ],

    # without SNI, any server except those that verify clients

    [ '', '', 'a.example', 'a' ],
    [ '', '', 'b.example', 'b' ],
    [ '', '', 'some.re.example', 're some' ],
    [ '', '', 'bare.example', 'bare' ],
    [ '', '', 'nobody.example', 'a' ],
    [ 'unknown.example', '', 'b.example', 'b' ],
    [ 'unknown.example', '', 'c.example', 'c' ],

    [ '', '', 'verify.example', 421 ],
    [ '', 'alice', 'verify.example', 421 ],
    [ 'unknown.example', 'alice', 'verify.example', 421 ],
    [ 'unknown.example', '', 'optional.example', 421 ],
    [ '', '', 'bare-verify.example', 421 ],
    [ 'bare-verify.example', '', 'bare-verify.example', 421 ],
    [ 'bare-verify.example', '', 'a.example', 421 ],

    # servers that verify clients, with SNI

    [ 'verify.example', '', 'verify.example', 400 ],
    [ 'verify.example', 'stranger', 'verify.example', 400 ],
    [ 'verify.example', 'alice', 'verify.example', 'verify' ],
    [ 'verify.example', 'alice', 'b.example', 421 ],
    [ 'verify.example', '', 'b.example', 400 ],
    [ 'optional.example', '', 'optional.example', 'optional' ],
    [ 'optional.example', 'stranger', 'optional.example', 400 ],
    [ 'optional.example', '', 'verify.example', 421 ],
);

# Servers without a certificate of their own, with the same directives for
# client verification as the endpoint, or others.

my @INHERITED = (
    [ '', '', 'strict.example', 400 ],
    [ '', '', 'same.example', 400 ],
    [ 'same.example', '', 'same.example', 400 ],
    [ '', 'alice', 'strict.example', 'strict' ],
    [ '', 'alice', 'same.example', 'same' ],
    [ '', 'alice', 'stricter.example', 421 ],
    [ '', 'alice', 'nobody.example', 421 ],
    [ 'same.example', 'alice', 'same.example', 'same' ],
    [ 'same.example', 'alice', 'strict.example', 421 ],
    [ 'stricter.example', 'alice', 'stricter.example', 421 ],
    [ 'nobody.example', 'alice', 'nobody.example', 421 ],
);

# URI, SNI, client certificate, Host: the response

my @PINNED = (
    [ '/pinned', '', '', 'a.example', 'pinned a' ],
    [ '/pinned', '', '', 'b.example', 'pinned a' ],
    [ '/pinned', '', 'alice', 'verify.example', 421 ],
    [ '/pinned', 'a.example', '', 'a.example', 'pinned a' ],
    [ '/pinned', 'a.example', '', 'c.example', 421 ],
    [ '/pinned', 'b.example', '', 'b.example', 'pinned a' ],
    [ '/pinned', 'b.example', '', 'a.example', 421 ],
    [ '/pinned', 'c.example', '', 'c.example', 'pinned c' ],
    [ '/pinned', 'c.example', '', 'nobody.example', 'pinned c' ],
    [ '/pinned', 'c.example', '', 'a.example', 421 ],
    [ '/pinned', 'verify.example', '', 'verify.example', 400 ],
    [ '/pinned', 'verify.example', 'alice', 'verify.example', 'pinned a' ],

    # pinned in one server only

    [ '/mixed', 'a.example', '', 'a.example', 'a' ],
    [ '/mixed', 'c.example', '', 'c.example', 'mixed c' ],
);

my $LONG = join('.', 'x' x 60, 'y' x 60) . '.wild.example';

for my $stack (@STACKS) {
    for my $protocol (@PROTOCOLS) {
        my $on = { name => "$stack, $protocol", stack => $stack,
                   protocol => $protocol };

        picked($on, @$_) for @NAMES;
        long_name($on);
        ruled($on, 0, @RULES);
        ruled($on, 4, @INHERITED);
        requests($on);
        pinned($on);
    }
}

$t->done_testing();


sub picked {
    my ($on, $sni, $cert, $server) = @_;

    my $name = "$on->{name}, SNI '$sni'";
    my $c = client($on, sni => $sni);

    is($c->error(), '', "$name: handshake");
    is($c->server_cert(), "/CN=$cert by /CN=$cert", "$name: certificate");

    my $r = $c->http(get($sni || 'a.example'));
    my ($text, $said) = $r ? split /\n/, $r->body() : '';

    is($text, $server, "$name: server");

    # GnuTLS sends names as in DNS

    like($said, qr/^\Q$sni\E$/i, "$name: the name, as it was sent");
}


# A name that is too long for the session's fixed size is known to all workers.

sub long_name {
    my ($on) = @_;

    my $c = client($on, sni => $LONG);
    my (%answers, %workers);

    for (1 .. 20) {
        my ($server, $sni, $session, $pid) = split /\|/,
                                             said($c, get($LONG), 4);

        $answers{"$server $sni"}++;
        $workers{$pid}++;
    }

    is_deeply(\%answers, { "wild $LONG" => 20 },
              "$on->{name}, a long name: it is known");
    cmp_ok(scalar keys %workers, '>', 1, "$on->{name}, a long name: anywhere");

    # the outer Host selects the endpoint, as for any request

    $c = client($on, sni => '', host_header => 'c.example');
    is($c->server_cert(), '/CN=c-endpoint by /CN=c-endpoint',
       "$on->{name}: an endpoint by the outer Host");
    is(said($c, get('nobody.example')), 'c',
       "$on->{name}: whose server is the default");
}


# All requests with the same SNI are in one session, which continues after a
# 421.

sub ruled {
    my ($on, $port, @rules) = @_;

    my %clients;

    for (@rules) {
        my ($sni, $who, $host, $expected) = @$_;
        my $c = \$clients{"$sni $who"};

        $$c = client($on, port => $t->port($port), sni => $sni, who => $who)
            unless $$c && $$c->cookie();

        is(said($$c, get($host)), $expected,
           "$on->{name}, SNI '$sni', certificate '$who', Host '$host'");
    }
}


# Other ways to specify a server, or none.

sub requests {
    my ($on) = @_;

    my $absolute = "GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n";
    my $none = "GET / HTTP/1.0\r\n\r\n";
    my $empty = "GET / HTTP/1.1\r\nHost:\r\n\r\n";

    for ([ '', $none, 'a' ], [ 'b.example', $none, 'b' ],
         [ 'b.example', sprintf($absolute, 'b.example', 'a.example'), 'b' ],
         [ 'b.example', sprintf($absolute, 'a.example', 'b.example'), 421 ],
         [ '', sprintf($absolute, 'b.example', 'a.example'), 'b' ],
         [ '', sprintf($absolute, 'verify.example', 'a.example'), 421 ],
         [ 'b.example', "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n", 421 ])
    {
        my ($sni, $request, $expected) = @$_;

        is(said(client($on, sni => $sni), $request), $expected,
           "$on->{name}, SNI '$sni': " . $request =~ s/\r\n/ /gr);
    }

    # each for another server

    my @r = client($on, sni => '')->responses(
                join '', map { get($_) } qw( b.example verify.example
                                             a.example ));
    is(join(' ', map { $_->status() == 200 ? $_->body() =~ /(.*)/
                                           : $_->status() } @r), 'b 421 a',
       "$on->{name}: pipelined requests");
}


sub pinned {
    my ($on) = @_;

    for (@PINNED) {
        my ($uri, $sni, $who, $host, $expected) = @$_;
        my $c = client($on, uri => $uri, sni => $sni, who => $who);

        is(said($c, get($host)), $expected,
           "$on->{name}, $uri, SNI '$sni', certificate '$who', Host '$host'");
    }
}
