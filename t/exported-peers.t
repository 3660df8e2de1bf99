#!/usr/bin/perl

# Requests with exported keys by others, written from docs/protocol.md: Python's
# cryptography, Node.js' crypto, http_ece of npm.  The keys are exported by
# OpenSSL, GnuTLS and Node.js.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use JSON::PP qw( decode_json encode_json );
use MIME::Base64 qw( decode_base64 encode_base64 );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Message;
use Test::Atls::MessagePath;
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience );

my $INTEROP = "$FindBin::Bin/interop";
my $MODULES = Test::Atls::root() . '/build/npm/node_modules';
my $LARGE = 1_000_000;

my %PEERS = (
    'cryptography' => { run => [ 'python3', "$INTEROP/message.py" ],
                        needs => 'python3 -c "import cryptography"' },
    'node'         => { run => [ 'node', "$INTEROP/message.mjs" ],
                        needs => 'node --version' },
    'http_ece'     => { run => [ 'node', "$INTEROP/message.mjs",
                                 "$MODULES/http_ece" ],
                        needs => "node -e 'require(\"$MODULES/http_ece\")'" },
);

my $t = Test::Atls->new();

# fetch() of Node.js has no proxies, but Python has

delete $ENV{$_} for grep { /_proxy$/i } keys %ENV;

$t->make_cert('ca', is_ca => 1, ext => [ 'keyUsage=critical,keyCertSign,cRLSign' ]);
$t->make_cert('localhost', ca => 'ca', san => 'DNS:localhost');

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;
    client_max_body_size 10m;

    location = /.well-known/atls {
        atls on;
        atls_exported_keys on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_set_header X-Requests $atls_session_requests;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my $path = Test::Atls::MessagePath->start($t, $t->port(2), $t->port(0));
my %sessions = sessions();

for my $name (sort keys %PEERS) {
    SKIP: {
        skip "$name is not installed", 1
            if system("$PEERS{$name}{needs} >/dev/null 2>&1") != 0;

        for my $session (sort keys %sessions) {
            served($name, $session);
            at_once($name, $session);
        }

        refused($name);
        meddled($name);
    }
}

own_session($_) for qw( TLSv1.3 TLSv1.2 );

$t->done_testing();


# Sessions of two TLS stacks, by name.

sub sessions {
    my %of = (openssl => sub { $t->established(keepalive => 0, @_) },
              gnutls => sub {
                  my $c = $t->stack('gnutls', keepalive => 0, @_);
                  $c->handshake() or die 'gnutls: ', $c->error(), "\n";
                  return $c;
              });

    return map {
        my $stack = $_;
        map { ("$stack, $_" => Test::Atls::Message->new(
                                   $of{$stack}->(protocol => $_))) }
            qw( TLSv1.3 TLSv1.2 );
    } keys %of;
}


sub keyed {
    my ($m, $plain, %args) = @_;

    my $number = $m->next_number();

    return { keyid => $m->id() . ".$number", size => 4096,
             plain => encode_base64($plain, ''),
             request_key => unpack('H*', $m->key(1, $number)),
             response_key => unpack('H*', $m->key(2, $number)), %args };
}


# Runs a peer.  Returns a list of responses, or errors.

sub run {
    my ($name, $what, $port) = @_;

    my $file = $t->write_file('peer.json', encode_json({
        url => 'http://127.0.0.1:' . ($port || $t->port(0))
               . '/.well-known/atls', %$what }));
    my $out = $t->path('peer.out');
    my $err = $t->path('peer.err');
    my $command = join ' ', map { "'$_'" } 'timeout', patience(),
                            @{$PEERS{$name}{run}};

    system("$command <$file >$out 2>$err") == 0
        or diag("$name: ", $t->read_file($err));

    my $answers = eval { decode_json($t->read_file($out)) } || [];

    return map { $_->{error} // decode_base64($_->{plain}) } @$answers;
}


sub request { Test::Atls::Client::format_request(@_) }


sub served {
    my ($name, $session) = @_;

    my $m = $sessions{$session};
    my $body = pattern(100_000);
    my @requests = (
        (map { keyed($m, request('GET', "/echo?$_", ''), size => $_) }
             18, 4096, 16401),
        (map { keyed($m, request('POST', '/echo', $body), size => $_) }
             100, 4096, 16401),
        keyed($m, request('GET', "/big?size=$LARGE", '')),
        keyed($m, request('GET', '/big?size=50000&chunked=1', ''), size => 600),
        keyed($m, ''));

    my @got = run($name, { requests => \@requests });

    for my $size (18, 4096, 16401) {
        like(shift @got, qr!\AHTTP/1\.1 200 .*GET /echo\?$size HTTP!s,
             "$name, $session: a request with a size of $size");
    }

    for my $size (100, 4096, 16401) {
        my $md5 = md5_hex($body);
        like(shift @got, qr/length 100000\nmd5 $md5/,
             "$name, $session: a body with a size of $size");
    }

    my ($large) = parse_responses(shift @got, 'GET');
    is($large && md5_hex($large->body()), pattern_md5($LARGE),
       "$name, $session: a large response");

    my ($chunked) = parse_responses(shift @got, 'GET');
    is($chunked && $chunked->body(), pattern(50000),
       "$name, $session: a chunked response");

    is(shift @got, '', "$name, $session: an empty message");
}


sub at_once {
    my ($name, $session) = @_;

    my @got = run($name, { requests => [
        map { keyed($sessions{$session}, request('GET', "/echo?$_", '')) }
            1 .. 32 ] });

    is(scalar(grep { $got[$_ - 1] =~ m!^GET /echo\?$_ !m } 1 .. 32), 32,
       "$name, $session: 32 requests at once");
}


sub refused {
    my ($name) = @_;

    my $m = $sessions{'openssl, TLSv1.3'};
    my $one = keyed($m, request('GET', '/echo', ''));
    my $other = keyed($m, request('GET', '/echo', ''));
    my $keyid = $other->{keyid};

    run($name, { requests => [ $one ] });
    is((run($name, { requests => [ $one ] }))[0], 'message-repeated',
       "$name: a number again");

    $other->{keyid} = $one->{keyid};
    is((run($name, { requests => [ $other ] }))[0], 'message-refused',
       "$name: the key of another number");

    @$other{qw( keyid response_key )} = ($keyid, '00' x 32);
    unlike((run($name, { requests => [ $other ] }))[0], qr/^HTTP/,
           "$name: a response with another key");
}


# Responses that are changed or cut are noticed.

sub meddled {
    my ($name) = @_;

    my $m = $sessions{'openssl, TLSv1.3'};

    for ([ 'flip-response', at => -1 ], [ 'cut-response', at => -1 ],
         [ 'records', change => 'swapped' ], [ 'records', change => 'first' ],
         [ 'records', change => 'removed' ], [ 'records', change => 'repeated' ],
         [ 'more', more => 'x' ], [ 'header', keyid => 'x' ], [ 'nothing' ])
    {
        $path->does(@$_);

        my ($got) = run($name, { requests => [
            keyed($m, request('GET', '/big?size=20000', '')) ] }, $t->port(2));

        $_->[0] eq 'nothing'
            ? like($got, qr/^HTTP/, "$name: unchanged")
            : unlike($got, qr/^HTTP/, "$name: @$_");
    }
}


# Node.js for all of it.

sub own_session {
    my ($protocol) = @_;

    SKIP: {
        skip 'node is not installed', 1
            if system("$PEERS{node}{needs} >/dev/null 2>&1") != 0;

        my @got = run('node', {
            ca => $t->read_file('ca.crt'), protocol => $protocol,
            requests => [ map { { size => 4096, plain => encode_base64(
                              request('GET', "/echo?$_", ''), '') } } 1 .. 32 ],
        });
        my %requests = map { /^X-Requests: (\d+)$/m; $1 => 1 } @got;

        is(scalar(grep { $got[$_ - 1] =~ m!^GET /echo\?$_ !m } 1 .. 32), 32,
           "node, $protocol: 32 requests at once");
        is(scalar keys %requests, 32, "node, $protocol: of a session");
    }
}
