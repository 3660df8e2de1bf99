#!/usr/bin/perl

# OCSP stapling, with a file and with a responder.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use MIME::Base64 qw( decode_base64 );
use Test::More;

use Test::Atls;
use Test::Atls::Authority;
use Test::Atls::Http qw( send_all );
use Test::Atls::Stack qw( @STACKS );

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

# location, SNI, the stapled file

my @STAPLED = (
    [ 'server', '', 'server.ocsp' ],
    [ 'server', 'a.example', 'server.ocsp' ],
    [ 'endpoint', '', 'endpoint.ocsp' ],
    [ 'off', '', '' ],
    [ 'server', 'b.example', 'other.ocsp' ],
    [ 'off', 'b.example', 'other.ocsp' ],
    [ 'server', 'c.example', '' ],
);

# location, response of its responder, port, error message; nothing is stapled

my @REFUSED = (
    [ 'revoked', 'revoked.ocsp', 3,
      qr/certificate status "revoked" in the OCSP response/ ],
    [ 'forged', 'forged.ocsp', 4, qr/OCSP_basic_verify\(\) failed/ ],
    [ 'garbage', 'garbage', 5, qr/d2i_OCSP_RESPONSE\(\) failed/ ],
    [ 'down', '', 6, qr/\(111: .* requesting certificate status/ ],
);

my $t = Test::Atls->new();

make_certificates();
write_configuration();

$t->run();

responder(2, 'fetched.ocsp');
responder($_->[2], $_->[1]) for grep { $_->[1] ne '' } @REFUSED;

for my $stack (@STACKS) {
    for my $protocol (@PROTOCOLS) {
        my $on = { name => "$stack, $protocol", stack => $stack,
                   protocol => $protocol };

        stapled($on, @$_) for @STAPLED;
        resumed($on);
        fetched($on, 'fetched', 'fetched.ocsp');
        fetched($on, 'trusting', 'forged.ocsp');
    }
}

requested();
not_asked();
refused(@$_) for @REFUSED;

bad_file('missing', 'missing.ocsp', 'server');
bad_file('empty', 'empty', 'server');
bad_file('garbage', 'garbage', 'server');
bad_file('garbage', 'garbage', 'location');

$t->done_testing();


sub make_certificates {
    my $ca = Test::Atls::Authority->new($t, 'ca');

    $t->make_cert('impostor', is_ca => 1);
    $t->write_file('garbage', 'no OCSP response' x 10);
    $t->write_file('empty', '');

    for (qw( server endpoint other fetched )) {
        $ca->issue($_);
        $ca->ocsp_response($_, "$_.ocsp");
    }

    $ca->ocsp_response('fetched', 'forged.ocsp', signer => 'impostor');

    $ca->revoke('fetched');
    $ca->ocsp_response('fetched', 'revoked.ocsp');
}


sub certificate {
    my ($name) = @_;

    return "atls_certificate %%TESTDIR%%/$name.crt;\n"
           . "            atls_certificate_key %%TESTDIR%%/$name.key;\n";
}


# A location with a responder.

sub asking {
    my ($name, $port, $verify) = @_;

    my $certificate = certificate('fetched');

    return <<"EOC";
        location = /$name {
            $certificate
            atls on;
            atls_stapling on;
            atls_stapling_file "";
            atls_stapling_responder http://127.0.0.1:%%PORT_$port%%/ocsp;
            atls_stapling_verify $verify;
            atls_trusted_certificate %%TESTDIR%%/ca.crt;
        }

EOC
}


sub write_configuration {
    my $conf = http_conf(<<'EOC');
server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    server_name a.example;

    %%CERT_server%%
    atls_stapling on;
    atls_stapling_file %%TESTDIR%%/server.ocsp;

    location = /server {
        atls on;
    }

    location = /endpoint {
        atls on;
        %%CERT_endpoint%%
        atls_stapling_file %%TESTDIR%%/endpoint.ocsp;
    }

    location = /off {
        atls on;
        atls_stapling off;
    }

%%ASKING%%
    location / {
        return 200 "$atls_session_reused $pid";
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name b.example;

    %%CERT_other%%
    atls_stapling on;
    atls_stapling_file %%TESTDIR%%/other.ocsp;

    location / {
        return 200 "$atls_session_reused $pid";
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name c.example;

    %%CERT_other%%

    location / {
        return 200 "$atls_session_reused $pid";
    }
}
EOC

    my $asking = join '', asking('fetched', 2, 'on'),
                      asking('trusting', 4, 'off'),
                      map { asking($_->[0], $_->[2], 'on') } @REFUSED;

    $conf =~ s/%%ASKING%%/$asking/;
    $conf =~ s/%%CERT_(\w+)%%/certificate($1)/ge;

    $t->write_conf($conf);
}


# Responds with a file, and logs requests.

sub responder {
    my ($n, $file) = @_;

    my $port = $t->port($n);
    my $response = $t->read_file($file);

    $t->run_daemon(sub { respond($port, $response) }, port => $port);
}


sub respond {
    my ($port, $response) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       LocalPort => $port, Listen => 16,
                                       ReuseAddr => 1)
        or die "responder: $!\n";

    while (my $s = $listen->accept()) {
        my $request = '';

        until ($request =~ /\r\n\r\n/) {
            sysread $s, $request, 4096, length $request or last;
        }

        # wait_for_port() sends no request

        if ($request ne '') {
            open my $log, '>>', $t->path("responder-$port.log") or die;
            syswrite $log, $request;

            send_all($s, "HTTP/1.0 200 OK\r\n"
                         . "Content-Type: application/ocsp-response\r\n"
                         . 'Content-Length: ' . length($response)
                         . "\r\n\r\n$response");
        }

        close $s;
    }
}


sub client {
    my ($on, $location, %args) = @_;

    my $c = $t->stack($on->{stack}, protocol => $on->{protocol}, sni => '',
                      uri => "/$location", keepalive => 0, ocsp => 1, %args);
    $c->handshake();

    return $c;
}


# Length and end of the bytes: short enough for a failure message.

sub brief {
    my ($bytes) = @_;

    return length($bytes) . ' ' . unpack 'H64', substr $bytes, -32;
}


sub said {
    my ($c, $host) = @_;

    my $r = $c->get('/', Host => $host || 'a.example');

    return $r ? $r->body() =~ s/ .*//r : $c->error();
}


sub stapled {
    my ($on, $location, $sni, $file) = @_;

    my $name = "$on->{name}, /$location, SNI '$sni'";
    my $c = client($on, $location, sni => $sni);

    is($c->error(), '', "$name: handshake");
    is(brief($c->ocsp_response()), brief($file eq '' ? ''
                                                     : $t->read_file($file)),
       "$name: status");
    is(said($c, $sni), '.', "$name: a request");
}


sub resumed {
    my ($on) = @_;

    my $c = client($on, 'server');

    said($c);
    $c = client($on, 'server', session => $c->session());

    is($c->error(), '', "$on->{name}, resumed: handshake");
    is($c->resumed(), 1, "$on->{name}, resumed");
    is(said($c), 'r', "$on->{name}, resumed: a request");
}


# The first handshake of a worker starts a request and does not wait for it.
# Without atls_stapling_verify, the response is not verified.

sub fetched {
    my ($on, $location, $file) = @_;

    my $name = "$on->{name}, /$location";
    my $c;

    ok($t->wait_for(sub {
           $c = client($on, $location);
           return $c->error() ne '' || $c->ocsp_response() ne '';
       }, 10), "$name: there is a status in the end");
    is(brief($c->ocsp_response()), brief($t->read_file($file)),
       "$name: what the responder has said");
}


sub requested {
    my $log = $t->read_file('responder-' . $t->port(2) . '.log');
    my ($uri) = $log =~ m!^GET (\S+) HTTP/1\.0\r\nHost: 127\.0\.0\.1!;
    my ($base64) = ($uri || '') =~ m!^/ocsp/(.*)!;

    $base64 =~ s/%(..)/chr hex $1/ge if $base64;
    is(brief(decode_base64($base64 || '')),
       brief($t->read_file('fetched.ocspreq')), 'responder: its request');

    # one request for each worker, while the response is valid

    cmp_ok(scalar(() = $log =~ /^GET /mg), '<=', 4, 'responder: requests');
}


sub not_asked {
    my $c = client({ stack => 'openssl' }, 'server', ocsp => undef);

    is($c->ocsp_response(), '', 'a client that does not ask');
}


sub refused {
    my ($location, $file, $port, $said) = @_;

    my $on = { stack => 'openssl' };

    is(client($on, $location)->error(), '', "$location: handshake");
    ok($t->wait_for_log($said, 10), "$location: the log says why");
    is(join('', map { client($on, $location)->ocsp_response() } 1 .. 10), '',
       "$location: no status");
}


# A file that cannot be used, and the expected message.

sub bad_file {
    my ($name, $file, $where) = @_;

    my $directives = <<"EOC";
        atls_stapling on;
        atls_stapling_file %%TESTDIR%%/$file;
EOC
    my ($server, $location) = $where eq 'server' ? ($directives, '')
                                                 : ('', $directives);
    my $certificate = certificate('server');
    my $error = $t->config_error(http_conf(<<"EOC"));
$certificate

server {
    listen 127.0.0.1:%%PORT_0%%;

$server
    location /atls {
        atls on;
$location
    }
}
EOC

    my @lines = split /\n/, $t->read_file('config-test.conf');
    my ($line) = grep { $lines[$_ - 1] =~ /stapling_file/ } 1 .. @lines;

    $name = "$name file in a $where";
    like($error, qr/\[emerg\]/, "$name: refused");
    like($error, qr!/\Q$file\E"!, "$name: which one");
    like($error, qr/invalid "atls_stapling_file" directive in \S+:$line$/m,
         "$name: where");
}
