#!/usr/bin/perl

# Responses of the endpoint conform to docs/protocol.md, with clients of all
# kinds: versions of TLS and of outer HTTP, handshakes, early data, the command.
#
# t/validate-statuses.t does this for responses of all statuses, t/validator.t
# tests the validator.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Command;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::LocalServer;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Slow qw( patience );
use Test::Atls::Stack;
use Test::Atls::Validator::Rules qw( %RULES );
use Test::Atls::Validator::Site;

use constant LARGE => 3_000_000;

words();
sessions();
located();
bodies();
command();

is_complete();

$t->done_testing();


# The sentences of the rules are on the page.

sub words {
    open my $fh, '<', "$FindBin::Bin/../docs/protocol.md"
        or die "protocol.md: $!\n";
    my $page = join('', <$fh>) =~ s/\s+/ /gr;

    is(join(', ', grep { index($page, $RULES{$_}) < 0 } sort keys %RULES), '',
       'the rules are those of docs/protocol.md');
}


# Clients with both versions of TLS and different outer HTTP.

sub sessions {
    for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
        for my $http (qw( http11 http10 http11-chunked )) {
            my $c = client(protocol => $protocol, outer => $http,
                           alpn => [ 'h2', 'http/1.1' ]);

            ok($c->handshake(), "$protocol, $http: handshake");
            is(eval { $c->get('/ok')->body() }, 'hello',
               "$protocol, $http: a request");
            upload($c, "$protocol, $http");
            is(status($c->post('')), 200, "$protocol, $http: an empty POST");
            is(eval { length $c->get('/big?size=50000&chunked=1')->body() },
               50_000, "$protocol, $http: a larger response");
            my $cookie = cookie($c);

            $c->close_notify();
            is(status(answer(outer(), 'x', Cookie => $cookie)), 410,
               "$protocol, $http: after the end");
            is_valid("$protocol, $http");

            $c = client(protocol => $protocol, outer => $http,
                        session => $c->session());
            ok($c->handshake(), "$protocol, $http: resuming");
            is(eval { $c->get('/last')->body() }, 'the last one',
               "$protocol, $http: the last request");
            is_valid("$protocol, $http, resumed");
        }
    }
}


# Sessions with URIs, and with both.

sub located {
    for my $uri ('/located', '/both', '/located/', '/both/x') {
        for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
            my $c = client(protocol => $protocol, uri => $uri, alpn => [ 'h2',
                           'http/1.1' ]);

            ok($c->handshake(split => 100), "$uri, $protocol: handshake");
            is(eval { $c->get('/ok')->body() }, 'hello',
               "$uri, $protocol: a request");
            is(status($c->post('')), 200, "$uri, $protocol: an empty POST");
            $c->close_notify();
            is(status($c->post('x')), 410, "$uri, $protocol: after the end");

            $c = client(protocol => $protocol, uri => $uri,
                        ciphers => 'AES128-SHA', groups => 'brainpoolP256r1');
            ok(!$c->handshake(), "$uri, $protocol: refused");
            is_valid("$uri, $protocol");
        }
    }
}


# An inner request of many records in several POSTs.

sub upload {
    my ($c, $name) = @_;

    my $left = 10;
    my $answer = $c->upload("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                            . "Content-Length: 100000\r\n\r\n",
                            sub { $left-- ? 'x' x 10_000 : undef },
                            post_size => 30_000);

    like($answer, qr/xxx\z/, "$name: an upload");
}


# Bodies with parts of records, refused handshakes, and less usual messages.

sub bodies {
    for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
        my @args = (protocol => $protocol);

        in_pieces(@args);
        refused_hellos(@args);
        refused_servers(@args);
        limited_fragments(@args);
    }

    retry();
    renegotiation();
    early_data();
    cut_response();
    pipelined();
}


sub in_pieces {
    my $c = client(@_);

    # headers and contents of records are cut; with TLS 1.2, these are three.
    # The time of a handshake is limited, so there are not many pieces.

    ok($c->handshake(split => [ 1, 3, 2, 20, 30, 20, 7 ]),
       "@_: a handshake in pieces")
        or diag($c->error());
    $c->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ok($c->exchange($c->tls_out(), split => [ 1, 3, 2, 20 ]),
       "@_: a request in pieces");
    like($c->read_plain(), qr/hello/, "@_: is answered");

    # a ClientHello on an established session

    is(status($c->post(first_flight(@_))), 200, "@_: a ClientHello in between");
    is_valid("@_ in pieces");
}


sub refused_hellos {
    my @args = @_;

    my %refused = (
        120 => [ alpn => [ 'h2', 'spdy/3' ] ],
        50  => [ sni => 'a/b' ],
        40  => [ protocol => 'TLSv1.2',
                 ciphers => 'ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA' ],
    );

    for my $alert (sort keys %refused) {
        my $c = client(@args, @{$refused{$alert}});

        $c->handshake();
        is(join(' ', $c->alerts()), $alert, "@args: alert $alert");
        is_valid("@args: alert $alert");
    }
}


# The client sends a fatal alert.

sub refused_servers {
    my $c = client(@_, ca => $t->path('other.crt'));

    $c->handshake();
    ok($c->error(), "@_: a client that does not trust the server");
    $c->exchange($c->tls_out());
    is_valid("@_: a client that does not trust the server");
}


sub limited_fragments {
    my $hello = with_extension(first_flight(@_), 1, "\x01");
    my $r = answer(outer(), $hello);

    is(status($r), 200, "@_: short fragments");
    is_valid("@_: short fragments");
}


sub with_extension {
    my ($hello, $type, $data) = @_;

    my $more = pack 'n n/a', $type, $data;
    my ($head, $id, $suites, $methods, $extensions) =
        unpack 'x9 a34 C/a n/a C/a n/a', $hello;
    my $body = pack 'a34 C/a n/a C/a n/a', $head, $id, $suites, $methods,
                    $more . $extensions;

    return pack 'H6 n/a', '160301', pack 'C C n a*', 1, 0, length $body, $body;
}


sub retry {
    for my $split (0, 50) {
        my $c = client(uri => '/retry', protocol => 'TLSv1.3',
                       groups => 'P-256:P-384');

        ok($c->handshake($split ? (split => $split) : ()),
           'HelloRetryRequest');
        is(eval { $c->get('/ok')->body() }, 'hello', 'and a request');
        is_valid('HelloRetryRequest');
    }
}


sub renegotiation {
    my $c = established(protocol => 'TLSv1.2');

    Net::SSLeay::renegotiate($c->ssl());
    $c->handshake_step();
    is(status($c->post($c->tls_out())), 200, 'renegotiation');
    is(status($c->post('')), 200, 'and goes on');
    is_valid('renegotiation');
}


sub early_data {
    my $stack = 'openssl';
    my $c = Test::Atls::Stack->new($stack, port => $v->port());

    ok($c->handshake(), 'before early data');
    $c->get('/ok');
    $c->key_update(1);
    is(eval { $c->get('/ok')->body() }, 'hello', 'after a KeyUpdate');

    my @args = (port => $v->port(), session => $c->session(),
                early => $c->format_get('/ok'));

    for my $accepted (1, 0) {
        my $d = Test::Atls::Stack->new($stack, @args);

        ok($d->handshake(), "early data, $accepted");
        is(eval { $d->early_response()->body() }, 'hello', 'and its answer')
            if $accepted;
        is(eval { $d->get('/ok')->body() }, 'hello', 'and a request');
        $d->close_notify();
        is_valid("early data, $accepted");
    }
}


sub cut_response {
    my $c = established();
    my $cookie = cookie($c);

    $c->write_plain("GET /slow?n=3&delay=0.5 HTTP/1.1\r\n"
                    . "Host: localhost\r\n\r\n");
    $c->post_send($c->tls_out());
    readable($c->http_client()->{socket}, patience());
    $c->http_client()->close();

    my $outer = outer();

    ok($t->wait_for(sub {
        status(answer($outer, '', Cookie => $cookie)) ne '409'
    }), 'a cut response');
    is_valid('a cut response');
}


# POSTs of two sessions on one connection.

sub pipelined {
    my @clients = (established(), established());
    my $s = http_connect($v->port());

    send_all($s, join '', map {
        $_->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");
        $_->format_post($_->tls_out());
    } @clients);

    my $answers = '';

    while ((() = $answers =~ /HTTP\/1/g) < 2 && readable($s, patience())) {
        sysread $s, $answers, 4096, length $answers or last;
    }

    is(() = $answers =~ /HTTP\/1.1 200/g, 2, 'pipelined POSTs');
    is_valid('pipelined POSTs');
}


# The atls command.

sub command {
    my $atls = Test::Atls::Command->new($t);
    my @via = ('--via', 'http://127.0.0.1:' . $v->port() . $URI, '--cacert',
               $t->path('ca.crt'));
    my $site = 'https://localhost';

    $t->write_file('upload', pattern(200_000));
    $t->write_file('large', pattern(LARGE));

    my @tickets = ('--early-data', '--session-file', $t->path('tickets'));

    for (1, 2) {
        my $r = $atls->run(@via, @tickets, "$site/ok", "$site/ok");

        is($r->{out}, 'hello' x 2, "atls: requests, $_") or diag($r->{err});
    }

    my $r = $atls->run(@via, '-T', $t->path('upload'), "$site/body");

    is($r->{out}, pattern(200_000), 'atls: an upload') or diag($r->{err});
    is(length $atls->run(@via, "$site/large")->{out}, LARGE,
       'atls: a large one');
    is($atls->run(@via, '--tls-max=1.2', "$site/ok")->{out}, 'hello',
       'atls: TLS 1.2');
    is_valid('atls');

    my $forward = Test::Atls::LocalServer->start($atls, 'forward', @via, $site);

    for (1 .. 3) {
        my $r = $forward->ask("POST /body\nContent-Length: 5\n\nhello");

        is($r && $r->body(), 'hello', 'atls forward');
    }

    is($forward->stop()->{code}, 0, 'atls forward: its end');
    is_valid('atls forward');
}
