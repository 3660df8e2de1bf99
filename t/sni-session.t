#!/usr/bin/perl

# Server names and sessions: resumption, ALPN, protocols, malformed names,
# reloads.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Names;
use Test::Atls::Stack qw( @STACKS );

# malformed server_name extensions, and the alert

use constant { ILLEGAL_PARAMETER => 47, DECODE_ERROR => 50,
               PROTOCOL_VERSION => 70, NO_APPLICATION_PROTOCOL => 120 };

my @MALFORMED = (
    [ 'empty', '', DECODE_ERROR ],
    [ 'half a length', "\0", DECODE_ERROR ],
    [ 'an empty list', pack('n', 0), DECODE_ERROR ],
    [ 'no name', pack('n C n', 3, 0, 0), DECODE_ERROR ],
    [ 'a list too long', pack('n C n/a', 13, 0, 'b.example'), DECODE_ERROR ],
    [ 'a list too short', pack('n C n/a', 11, 0, 'b.example'), DECODE_ERROR ],
    [ 'a name too long', pack('n C n a*', 12, 0, 10, 'b.example'),
      DECODE_ERROR ],
    [ 'a name too short', pack('n C n a*', 12, 0, 8, 'b.example'),
      DECODE_ERROR ],
    [ 'a name of 64 KB', pack('n C n a*', 12, 0, 65535, 'b.example'),
      DECODE_ERROR ],
    [ 'another type', pack('n C n/a', 12, 1, 'b.example'), DECODE_ERROR ],
    [ 'two names', pack('n C n/a C n/a', 24, 0, 'b.example', 0, 'a.example'),
      DECODE_ERROR ],
    [ 'a null character', pack('n C n/a', 12, 0, "b.exampl\0"),
      DECODE_ERROR ],
    [ 'a name of 256 bytes', pack('n C n/a', 259, 0, 'x' x 256),
      DECODE_ERROR ],
    [ 'two of it', undef, ILLEGAL_PARAMETER ],
);

my @kept;

for my $stack (@STACKS) {
    for my $protocol (@PROTOCOLS) {
        my $on = { name => "$stack, $protocol", stack => $stack,
                   protocol => $protocol };

        resumed($on);
        alpn($on);

        push @kept, $on;
    }

    protocols($stack);
    hello_retry($stack);
    outer_http2($stack);
}

malformed(@$_) for @MALFORMED;

is(client({ stack => 'openssl' }, sni => 'b.example')->get('/')->status(), 200,
   'after all that, a well-formed name');
like($t->read_file('error.log'), qr/\[info\] .*client sent invalid server name/,
     'the log says so');

reloaded();

$t->done_testing();


# A ticket is accepted by the server that has issued it.

sub resumed {
    my ($on) = @_;

    my %of = (b => ticket($on, sni => 'b.example'),
              verify => ticket($on, sni => 'verify.example', who => 'alice'));

    # ticket of, SNI, client certificate, the response and the session

    for ([ b => 'b.example', '', 'b|b.example|r NONE' ],
         [ b => 'a.example', '', 'a|a.example|. NONE' ],
         [ b => 'verify.example', '', 400 ],
         [ b => 'verify.example', 'alice',
           'verify|verify.example|. SUCCESS' ],
         [ verify => 'verify.example', '', 'verify|verify.example|r SUCCESS' ],
         [ verify => 'b.example', 'alice', 'b|b.example|. NONE' ],
         [ verify => 'optional.example', '',
           'optional|optional.example|. NONE' ])
    {
        my ($ticket, $sni, $who, $expected) = @$_;
        my $c = client($on, sni => $sni, who => $who,
                       session => $of{$ticket});

        is(said($c, get($sni), 3), $expected,
           "$on->{name}, a ticket of $ticket, SNI '$sni', "
           . "certificate '$who'");
    }
}


sub ticket {
    my ($on, %args) = @_;

    my $c = client($on, %args);

    said($c, get($args{sni}));

    return $c->session();
}


sub alpn {
    my ($on) = @_;

    my $name = "$on->{name}, ALPN";

    for ([ [ 'http/1.1' ], 'http/1.1' ], [ [ 'h2', 'http/1.1' ], 'http/1.1' ],
         [ undef, undef ])
    {
        my ($offered, $chosen) = @$_;
        my $c = client($on, sni => 'b.example',
                       $offered ? (alpn => $offered) : ());

        is($c->alpn(), $chosen, "$name: of " . join ' ', @{$offered || []});
    }

    my $c = client($on, sni => 'b.example', alpn => [ 'h2' ]);
    is($c->alert(), NO_APPLICATION_PROTOCOL, "$name: nothing in common");

    raw($on, $name);
}


# With a raw payload, ALPN is not used, but clients are verified.

sub raw {
    my ($on, $name) = @_;

    my $c = client($on, uri => '/raw', sni => 'b.example', alpn => [ 'h2' ]);

    is($c->alpn(), undef, "$name, raw: none");
    is($c->request("\0\1\2"), "\0\1\2", "$name, raw: the payload");

    $c = client($on, uri => '/raw', sni => 'verify.example');
    is($c->request("\0\1\2"), '', "$name, raw: no certificate");
    is($c->last_response()->status(), 502, "$name, raw: no certificate: 502");

    $c = client($on, uri => '/raw', sni => 'verify.example', who => 'alice');
    is($c->request("\0\1\2"), "\0\1\2", "$name, raw: a certificate");
    is($c->last_response()->status(), 200, "$name, raw: a certificate: 200");
}


# Protocols and ciphers of the server selected by SNI.

sub protocols {
    my ($stack) = @_;

    my @both = (min => 'TLSv1.2', max => 'TLSv1.3');

    # SNI, versions of the client, the response or the alert

    for ([ '', [ @both ], qr/^TLSv1.2 ECDHE-ECDSA-\S+$/ ],
         [ '', [ protocol => 'TLSv1.3' ], PROTOCOL_VERSION ],
         [ 'new.example', [ @both ], qr/^TLSv1.3$/ ],
         [ 'new.example', [ protocol => 'TLSv1.2' ], PROTOCOL_VERSION ],
         [ 'both.example', [ @both ], qr/^TLSv1.3 TLS_\S+$/ ],
         [ 'both.example', [ protocol => 'TLSv1.2' ],
           qr/^TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305$/ ])
    {
        my ($sni, $versions, $expected) = @$_;
        my $c = client({ stack => $stack }, port => $t->port(1), sni => $sni,
                       @$versions);
        my $name = "$stack, SNI '$sni', versions @$versions";

        if (ref $expected) {
            like(said($c, get($sni || 'old.example')), $expected, $name);
        } else {
            is($c->alert(), $expected, $name);
        }
    }
}


# There are two ClientHellos.

sub hello_retry {
    my ($stack) = @_;

    my $c = client({ stack => $stack, protocol => 'TLSv1.3' },
                   port => $t->port(3), sni => 'h2.example',
                   groups => 'P-256:P-384');
    my $name = "$stack, HelloRetryRequest";

    is($c->posts(), 3, "$name: a round trip more") or diag($c->error());
    is($c->server_cert(), '/CN=h2 by /CN=h2', "$name: certificate");
    is(said($c, get('h2.example')), 'h2 h2.example secp384r1', "$name: server");
    is(said($c, get('h1.example')), 421, "$name: and no other");
}


# Names are looked up among those of the listening address, also for an HTTP/2
# stream.

sub outer_http2 {
    my ($stack) = @_;

    my $name = "$stack, over HTTP/2";

    SKIP: {
        skip 'no http_v2_module', 3 unless $has_h2;

        my $c = client({ stack => $stack }, port => $t->port(5), outer => 'h2',
                       sni => 'h2.example', groups => 'P-384');

        is($c->server_cert(), '/CN=h2 by /CN=h2', "$name: certificate");
        like(said($c, get('h2.example')), qr/^h2 h2.example/, "$name: server");
        is(said($c, get('h1.example')), 421, "$name: and no other");
    }
}


# Sends a ClientHello with this server_name extension, or with two of them.

sub malformed {
    my ($name, $body, $alert) = @_;

    my $c = $t->client(uri => '/atls', sni => 'b.example');

    $c->handshake_step();

    my $r = $c->post(forge($c->tls_out(), $body));

    is($r && $r->status(), 200, "SNI, $name: status");
    is(unpack('H*', $r ? $r->body() =~ s/^(.)..(.*)/$1$2/sr : ''),
       unpack('H*', pack 'C n C2', 21, 2, 2, $alert), "SNI, $name: alert");
    is($c->cookie(), undef, "SNI, $name: no session");
}


sub forge {
    my ($hello, $body) = @_;

    my ($start, $extensions) =
        unpack 'x9 a34 X34 x34 C/x n/x C/x n/a', $hello;
    my $length = length($hello) - 9 - 2 - length $extensions;

    $start = substr $hello, 9, $length;

    my $all = '';

    while ($extensions ne '') {
        my ($type, $data) = unpack 'n n/a', $extensions;

        substr $extensions, 0, 4 + length $data, '';
        $data = $body if $type == 0 && defined $body;
        $all .= pack 'n n/a', $type, $data;
        $all .= pack 'n n/a', $type, $data if $type == 0 && !defined $body;
    }

    $start .= pack 'n/a', $all;

    return pack 'C n n/a', 22, 0x0301,
                pack('C C n', 1, 0, length $start) . $start;
}


# Servers are added and removed by reloads.

sub reloaded {
    keep($_) for @kept;

    configure('late');
    ok($t->reload(), 'reload with other servers');

    after_change($_) for @kept;
}


sub keep {
    my ($on) = @_;

    my %of = (b => [ 'b.example' ], verify => [ 'verify.example', 'alice' ],
              late => [ 'late.example', 'alice' ], c => [ 'c.example' ]);

    for (keys %of) {
        my ($sni, $who) = @{$of{$_}};
        my $c = $on->{clients}{$_} = client($on, sni => $sni, who => $who);

        said($c, get($sni));
        $on->{tickets}{$_} = $c->session();
    }
}


sub after_change {
    my ($on) = @_;

    my $name = "$on->{name}, other servers";
    my $c = $on->{clients};

    # the requirements of "b" were those of the endpoint's server

    is(said($c->{b}, get('b.example')), 421, "$name: one that is gone");
    is(said($c->{b}, get('a.example')), 'POST: 410',
       "$name: its sessions have ended");
    is(said($c->{verify}, get('verify.example')), 'POST: 410',
       "$name: one that has verified its clients");
    is(said($c->{late}, get('a.example')), 'POST: 410',
       "$name: one that does so now");
    is(said($c->{c}, get('c.example')), 'c', "$name: one that stays");

    for ([ b => 'b.example', '', 'a|b.example|. NONE' ],
         [ verify => 'verify.example', 'alice', 'a|verify.example|. NONE' ],
         [ late => 'late.example', '', 400 ],
         [ late => 'late.example', 'alice', 'late|late.example|. SUCCESS' ],
         [ c => 'c.example', '', 'c|c.example|r NONE' ])
    {
        my ($ticket, $sni, $who, $expected) = @$_;
        my $resumed = client($on, sni => $sni, who => $who,
                             session => $on->{tickets}{$ticket});

        is(said($resumed, get($sni), 3), $expected,
           "$name: a ticket of $ticket, certificate '$who'");
    }
}
