#!/usr/bin/perl

# TLS 1.2: renegotiation is refused by an alert, as over HTTPS, and the session
# continues (RFC 5246, section 7.2.2).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Net::SSLeay;
use Test::More;

use Test::Atls;
use Test::Atls::Forge12;

use constant { ALERT => 21, HANDSHAKE => 22, DATA => 23 };

use constant {
    REFUSED    => '15:0164',        # a warning, no_renegotiation
    UNEXPECTED => '15:020a',
    TOO_LONG   => '15:022f',
    CLOSED     => '15:0100',
};

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "inner $request_uri\n";
    }
}
EOC

$t->run();

my $hello = "\1\0\0\x29\3\3" . 'r' x 32 . "\0\0\2\xcc\xa9\1\0";


# Returns an established session whose records are made by Forge12.

sub session {
    my $forge = Test::Atls::Forge12->new();

    return ($forge->established($t), $forge);
}


sub get {
    my ($uri) = @_;

    return [ DATA, "GET $uri HTTP/1.1\r\nHost: localhost\r\n\r\n" ];
}


# Sends records in a POST.  Returns alerts as type:hex and inner response
# bodies, or the outer status.

sub answer {
    my ($c, $forge, @records) = @_;

    my $r = $c->post(join '', map { $forge->record(@$_) } @records);

    return 'nothing' unless $r;
    return $r->status() unless $r->status() == 200;

    return join ' ', map {
        my ($type, $content) = @$_;

        $type == DATA ? $content =~ /(inner \S+)/g
                      : sprintf '%x:%s', $type, unpack 'H*', $content;
    } $forge->answer($r->body());
}


{
    my ($c, $forge) = session();
    my $cookie = $c->cookie();

    is(answer($c, $forge, [ HANDSHAKE, $hello ]), REFUSED, 'a ClientHello');
    is(answer($c, $forge, get('/1')), 'inner /1', 'the session goes on');
    is(answer($c, $forge, get('/2'), [ HANDSHAKE, $hello ]),
       'inner /2 ' . REFUSED, 'a ClientHello behind a request');
    is(answer($c, $forge, [ HANDSHAKE, $hello ], get('/3')),
       REFUSED . ' inner /3', 'and before one');
    is(answer($c, $forge, [ HANDSHAKE, $hello ], [ HANDSHAKE, $hello ],
              [ HANDSHAKE, $hello . $hello ]),
       REFUSED, 'several, and one answer');
    is(answer($c, $forge, [ HANDSHAKE, "\1\0\0\0" ]), REFUSED, 'an empty one');

    # in parts

    is(answer($c, $forge, map { [ HANDSHAKE, $_ ] } split //, $hello),
       REFUSED, 'in records of a byte');

    my @pieces = unpack '(a5)*', $hello;
    my $last = pop @pieces;

    is(answer($c, $forge, [ HANDSHAKE, $_ ]), '', 'a piece in a POST')
        for @pieces;
    is(answer($c, $forge, [ HANDSHAKE, $last ]), REFUSED, 'the last one');

    is(answer($c, $forge, [ HANDSHAKE, "\1\2\1\x44" . 'x' x 1000 ]), '',
       'a long one');
    is(answer($c, $forge, [ HANDSHAKE, 'x' x 10396 ],
              map { [ HANDSHAKE, 'x' x 10000 ] } 1 .. 12),
       REFUSED, 'to its end');

    # within a request

    is(answer($c, $forge, [ DATA, "GET /4 HTTP/1.1\r\n" ]), '',
       'half a request');
    is(answer($c, $forge, [ HANDSHAKE, $hello ]), REFUSED, 'a ClientHello');
    is(answer($c, $forge, [ DATA, "Host: localhost\r\n\r\n" ]), 'inner /4',
       'the other half');

    is($c->cookie(), $cookie, 'it has been one session');
    is(answer($c, $forge, [ HANDSHAKE, $hello ], [ ALERT, "\1\0" ]),
       CLOSED, 'close_notify behind a ClientHello');
    is($c->cookie(), undef, 'ends it');
}

# invalid messages, which end the session

my %refused = map {
    ("message $_", [ [ [ HANDSHAKE, chr($_) . "\0\0\0" ] ], UNEXPECTED ])
} 0, 2, 11, 16, 20, 24, 99;

$refused{'a byte of another message'} = [ [ [ HANDSHAKE, "\x0b" ] ],
                                          UNEXPECTED ];
$refused{'another message behind it'} = [ [ [ HANDSHAKE, "$hello\x10" ] ],
                                          UNEXPECTED ];
$refused{'data inside of it'} = [ [ [ HANDSHAKE, substr $hello, 0, 9 ],
                                    get('/') ], UNEXPECTED ];
$refused{'data inside of its header'} = [ [ [ HANDSHAKE, "\1" ], get('/') ],
                                          UNEXPECTED ];
$refused{'too long a one'} = [ [ [ HANDSHAKE, "\1\xff\xff\xff" ] ], TOO_LONG ];
$refused{'an empty record'} = [ [ [ HANDSHAKE, '' ] ], UNEXPECTED ];
$refused{'many of them'} = [ [ map { [ HANDSHAKE, $hello ] } 1 .. 100 ],
                             UNEXPECTED ];

for my $name (sort keys %refused) {
    my ($records, $alert) = @{$refused{$name}};
    my ($c, $forge) = session();

    is(answer($c, $forge, @$records), $alert, $name);
    is($c->cookie(), undef, "$name: the session is gone");
}

# many, each in a POST, and many with requests in between

{
    my ($c, $forge) = session();
    my $n = 0;

    for (1 .. 50) {
        $n++;
        answer($c, $forge, [ HANDSHAKE, $hello ]) eq REFUSED or last;
    }

    is($n, 50, 'many of them, a POST each');

    ($c, $forge) = session();

    is(join(' ', map { (answer($c, $forge, [ HANDSHAKE, $hello ]),
                        answer($c, $forge, get("/$_"))) } 1 .. 40),
       join(' ', map { REFUSED . " inner /$_" } 1 .. 40),
       'many between requests');
}

# OpenSSL as the client ends the session.

for my $cipher ('ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-CCM',
                'ECDHE-ECDSA-CHACHA20-POLY1305')
{
    my $c = $t->client(protocol => 'TLSv1.2', ciphers => $cipher);

    $c->handshake() or diag($c->error());
    my $cookie = $c->cookie();

    Net::SSLeay::renegotiate($c->ssl());
    Net::SSLeay::do_handshake($c->ssl());
    $c->exchange($c->tls_out());
    Net::SSLeay::do_handshake($c->ssl());

    is(join(' ', $c->alerts()), 100, "$cipher: no_renegotiation");
    is($c->cookie(), $cookie, 'the session is there');
    is($c->post($c->tls_out())->status(), 200, 'until the client ends it');
    is($c->cookie(), undef, 'by an alert');
}

$t->done_testing();
