#!/usr/bin/perl

# Early data that is sent to another listening socket than its ClientHello,
# where SNI selects another server: it is served by the server that has accepted
# the client, and the session ends there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Authority;
use Test::Atls::Outer;

my $t = Test::Atls->new(workers => 1);

my $ours = Test::Atls::Authority->new($t, 'ours');
my $theirs = Test::Atls::Authority->new($t, 'theirs');

$ours->issue('client');

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_early_data on;
atls_verify_client on;

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%%;
    server_name a.example;

    atls_client_certificate %%TESTDIR%%/ours.crt;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 404;
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name b.example;

    atls_client_certificate %%TESTDIR%%/theirs.crt;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "for theirs";
    }
}
EOC

$t->run();


# all early data is sent there

my $c = client(session => session(), early => request('b.example'));

$c->handshake_step();

my $flight = $c->tls_out();
my $hello = substr $flight, 0, 5 + unpack('n', substr $flight, 3, 2), '';

post($c, $hello, 'ClientHello');
elsewhere($c);
post($c, $flight, 'early data');
$c->handshake_step();

is($c->early_status(), 'accepted', 'it is accepted');
unlike($c->read_plain(), qr/for theirs/,
       'it is not for a server that lets others in');

$c->post($c->tls_out());


# the end of the header is sent there, and so is the end of the handshake, when
# the client of the session is not accepted there

$c = client(session => session(),
            early => "POST / HTTP/1.1\r\nHost: a.example\r\n");

$c->handshake_step();

my $begin = $c->tls_out();

$c->write_early("Content-Length: 10\r\n\r\n12345");

my $rest = $c->tls_out();

post($c, $begin, 'the beginning of a request');
$c->handshake_step();
elsewhere($c);
post($c, $rest . $c->tls_out(), 'its end, and that of the handshake');

my $plain = $c->read_plain();

like($plain, qr!^HTTP/1.1 404 !, 'the request is served where it began');

$t->done_testing();


sub client {
    return $t->stack('openssl', protocol => 'TLSv1.3', sni => 'b.example',
                     host_header => 'a.example', cert => $t->path('client.crt'),
                     key => $t->path('client.key'), @_);
}


# A ticket is valid for early data once.

sub session {
    my $c = client();

    $c->handshake() or die $c->error() . "\n";
    $c->get('/');

    return $c->session();
}


sub request {
    my ($host) = @_;

    return Test::Atls::Client::format_request('GET', '/', '', Host => $host);
}


sub elsewhere {
    my ($c) = @_;

    $c->{http} = Test::Atls::Outer->new(port => $t->port(1),
                                        host_header => 'a.example',
                                        uri => '/.well-known/atls',
                                        version => 'http11');
}


sub post {
    my ($c, $bytes, $name) = @_;

    my $r = $c->post($bytes);

    is($r && $r->status(), 200, $name);
    $c->tls_in($r->body()) if $r;
}
