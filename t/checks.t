#!/usr/bin/perl

# The order of checks of a POST; and statuses after which the same records can
# be sent again, in all states of the session, with and without a relay, and
# with and without "100 Continue".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience );

my $TYPE = 'application/atls+octet-stream';
my $UNKNOWN = 'A' x 24;
my $ROUNDS = 3;         # so that some are relayed

my $t = Test::Atls->new(workers => 3,
                        client => { uri => '/atls', keepalive => 0 });

$t->write_file('passwords', "user:{PLAIN}secret\n");

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /atls {
        atls on;
        client_max_body_size 10k;
        add_header X-Upstream $upstream_addr always;
    }

    location = /other {
        atls on;
    }

    location = /closed {
        atls on;
        client_max_body_size 10k;
        auth_basic closed;
        auth_basic_user_file %%TESTDIR%%/passwords;
    }

    location / {
        return 200 "inner\n";
    }
}
EOC

# errors, and what causes them; the status

my %VAIN = (
    'another method' => [ 405, method => 'PUT' ],
    'another media type' => [ 415, type => 'text/plain' ],
    'too much' => [ 413, more => 'x' x 10240 ],
    "another endpoint" => [ 410, uri => '/other' ],
    'a foreign record' => [ 409, before => "\x17\x03\x03\0\x20" . 'x' x 32 ],
);

# if two things are wrong, which one is reported

my @ORDER = (
    [ 'length, method, type'    => 413, method => 'PUT', type => 'text/plain',
                                   body => 'x' x 10241 ],
    [ 'length, access'          => 413, uri => '/closed', body => 'x' x 10241 ],
    [ 'access, method'          => 401, uri => '/closed', method => 'PUT' ],
    [ 'method, type, cookie'    => 405, method => 'PUT', type => 'text/plain',
                                   cookie => $UNKNOWN ],
    [ 'type, cookie'            => 415, type => 'text/plain',
                                   cookie => $UNKNOWN ],
    [ 'type, body'              => 415, type => 'text/plain',
                                   body => "no TLS\r\n" ],
    [ 'cookie, body'            => 410, cookie => $UNKNOWN,
                                   body => "no TLS\r\n" ],
    [ 'body'                    => 400, body => "no TLS\r\n" ],
);

my %SESSIONS = (
    'half-open' => \&half_open,
    'idle' => \&idle,
    'in a request' => \&resident,
);

$t->run();

my $relayed = 0;

for my $expect (0, 1) {
    order($expect, @$_) for @ORDER;

    for my $session (sort keys %SESSIONS) {
        for my $vain (sort keys %VAIN) {
            next if $session eq 'half-open' && $vain eq 'a foreign record';

            again($expect, $session, $vain) for 1 .. $ROUNDS;
        }
    }
}

cmp_ok($relayed, '>', 0, 'some of them were relayed');

$t->done_testing();


# Sends a request, and returns the response.

sub request {
    my (%args) = @_;

    my $s = http_connect($t->port(0));
    my $body = $args{body};
    my $wait = $args{expect} && $body ne '';

    send_all($s, join "\r\n",
        ($args{method} || 'POST') . ' ' . ($args{uri} || '/atls')
        . ' HTTP/1.1', 'Host: localhost',
        'Content-Type: ' . ($args{type} || $TYPE),
        $args{cookie} ? "Cookie: atls=$args{cookie}" : 'X: y',
        $wait ? 'Expect: 100-continue' : 'X: y',
        'Content-Length: ' . length $body, '', $wait ? '' : $body);

    return answer($s, $wait ? $body : '');
}


sub answer {
    my ($s, $body) = @_;

    my $got = '';
    my $r = Test::Atls::Response->new(method => 'POST');

    while (!$r->done() && readable($s, patience())
           && $s->sysread($got, 65536, length $got))
    {
        if ($body ne '' && $got =~ s!^HTTP/1.1 100 [^\r]*\r\n\r\n!!) {
            send_all($s, $body);
            $body = '';
        }

        next if $got eq '';
        $r->feed($got);
        $got = '';
    }

    return $r;
}


sub order {
    my ($expect, $name, $status, %args) = @_;

    my $r = request(body => 'a body', expect => $expect, %args);

    is($r->status(), $status, "$name, expect:$expect");
}


# Return a session, and the bytes of its next POST.

sub half_open {
    my $c = $t->client();

    $c->handshake_step();
    $c->exchange($c->tls_out());
    $c->handshake_step();
    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    return ($c, $c->tls_out());
}


sub idle {
    my $c = $t->client();

    $c->handshake() or die $c->error() . "\n";
    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    return ($c, $c->tls_out());
}


sub resident {
    my $c = $t->client();

    $c->handshake() or die $c->error() . "\n";
    $c->request("GET / HTTP/1.1\r\n");
    $c->write_plain("Host: localhost\r\n\r\n");

    return ($c, $c->tls_out());
}


# A POST that is refused, and then the same bytes again.  Two tests.

sub again {
    my ($expect, $session, $vain) = @_;

    my ($c, $bytes) = $SESSIONS{$session}->();
    my ($status, %args) = @{$VAIN{$vain}};
    my $name = "$session, $vain, expect:$expect";
    my $cookie = $c->cookie();
    my $body = ($args{before} || '') . $bytes . ($args{more} || '');

    my $r = request(%args, body => $body, expect => $expect,
                    cookie => $cookie);

    is($r->status() . ' ' . ($r->header('Set-Cookie') || ''), "$status ",
       "$name: in vain");

    $r = request(body => $bytes, expect => $expect, cookie => $cookie);
    $relayed++ if $r->header('X-Upstream');
    $c->tls_in($r->body());

    my ($inner) = parse_responses($c->read_plain());

    is($r->status() == 200 && $inner ? $inner->body() : $r->status(),
       "inner\n", "$name: and again");
}
