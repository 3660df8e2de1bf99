#!/usr/bin/perl

# libatls with optional features of a server: client certificates, pre-shared
# keys, early data.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Lib;

my $t = Test::Atls->new(workers => 4);

$t->make_cert('ca', is_ca => 1);
$t->make_cert('localhost', ca => 'ca');
$t->make_cert('client', ca => 'ca');
$t->make_cert('locked', ca => 'ca', password => 'open sesame');
$t->make_cert('stranger');

my $key = '000102030405060708090a0b0c0d0e0f';

$t->write_file('keys', "me:$key\n");

$t->write_http(<<'EOC');
%%CERTIFICATE%%

map "$atls_early_data $request_uri" $too_early {
    "1 /too-early" 1;
}

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /certificate {
        atls on;
        atls_client_certificate %%TESTDIR%%/ca.crt;
        atls_verify_client on;
        return 200 "$atls_client_verify $atls_client_s_dn";
    }

    location /psk {
        atls on;
        atls_psk_file %%TESTDIR%%/keys;
        return 200 "$atls_protocol";
    }

    location /early {
        atls on;
        atls_early_data on;

        if ($too_early) {
            return 425;
        }

        return 200 "early=$atls_early_data reused=$atls_session_reused";
    }

    location /exporter {
        atls on;
        return 200 $atls_exporter;
    }
}
EOC

$t->run();

my $lib = Test::Atls::Lib->new($t);
my $c = $lib->start($lib->compile('client_lib'));
my $r;

subtest('client certificates' => \&certificates);
subtest('pre-shared keys' => \&keys);
subtest('early data' => \&early);
subtest('exporter' => \&exporter);

is($c->end(), 0, 'exit status');

$t->done_testing();


sub client {
    my ($path, %args) = @_;

    $c->client('https://localhost', CA_FILE => $t->path('ca.crt'),
               ENDPOINT => 'http://127.0.0.1:' . $t->port(0) . $path, %args);
}


sub cert {
    my ($name) = @_;

    return (CERT_FILE => $t->path("$name.crt"),
            KEY_FILE => $t->path("$name.key"));
}


sub certificates {
    my $both = $t->write_file('both', $t->read_file('client.crt')
                                      . $t->read_file('client.key'));

    for my $protocol (qw( TLSv1.2 TLSv1.3 )) {
        my @args = ('/certificate', MIN_PROTOCOL => $protocol,
                    MAX_PROTOCOL => $protocol);

        client(@args, cert('client'));
        $r = $c->go('GET', '/');
        is($r->{body}, 'SUCCESS CN=client', "$protocol: certificate")
            or diag($r->{text});

        client(@args, CERT_FILE => $both);
        is($c->go('GET', '/')->{body}, 'SUCCESS CN=client', 'one file');

        client(@args, cert('locked'), KEY_PASSPHRASE => 'open sesame');
        is($c->go('GET', '/')->{body}, 'SUCCESS CN=locked', 'passphrase');

        client(@args);
        $r = $c->go('GET', '/');
        isnt("$r->{error} $r->{status}", '0 200', 'none');
        note("$r->{status} $r->{text}");
    }

    client('/certificate', cert('locked'));
    is($c->name($c->go('GET', '/')), 'IDENTITY', 'no passphrase');
    client('/certificate', cert('locked'), KEY_PASSPHRASE => 'open');
    is($c->name($c->go('GET', '/')), 'IDENTITY', 'wrong passphrase');
    client('/certificate', cert('client'), KEY_FILE => $t->path('ca.key'));
    is($c->name($c->go('GET', '/')), 'IDENTITY', 'key of another');

    done_testing();
}


sub keys {
    my @psk = (PSK_IDENTITY => 'me', PSK_KEY => $key);
    my $dir = $t->path('psk-sessions');

    for my $protocol (qw( TLSv1.2 TLSv1.3 )) {
        my @args = ('/psk', MIN_PROTOCOL => $protocol,
                    MAX_PROTOCOL => $protocol);

        # no certificate is trusted: the server is authenticated by the key

        client(@args, @psk, CA_FILE => $t->path('stranger.crt'));
        $r = $c->go('GET', '/');
        is($r->{body}, $protocol, "$protocol: key") or diag($r->{text});

        my $info = $c->command('session');
        is("$info->{psk} $info->{resumed} $info->{verify}", '1 0 -1',
           'no certificate, not resumed');
        is($info->{certificate_subject}, undef, 'really none');

        client(@args, PSK_IDENTITY => 'me', PSK_KEY => "ff$key");
        $r = $c->go('GET', '/');
        is($c->name($r), 'TLS', "wrong key: $r->{text}");

        # an unknown identity: the server uses its certificate

        client(@args, PSK_IDENTITY => 'you', PSK_KEY => $key,
               CA_FILE => $t->path('stranger.crt'));
        $r = $c->go('GET', '/');
        isnt($c->name($r), 'OK', "another name: $r->{text}");
    }

    client('/early', @psk);
    is($c->go('GET', '/')->{status}, 200, 'a server without keys');
    is($c->command('session')->{psk}, 0, 'has a certificate');

    client('/early', @psk, CA_FILE => $t->path('stranger.crt'));
    is($c->name($c->go('GET', '/')), 'CERTIFICATE', 'that is verified');

    # tickets of a server with keys and a certificate

    $c->command("store $dir");

    for (1 .. 2) {
        client('/early', @psk);
        $c->go('GET', '/');
    }

    my $info = $c->command('session');
    is("$info->{psk} $info->{resumed}", '0 1', 'resumed, by its certificate');
    $c->command('store ');

    done_testing();
}


sub early {
    my $dir = $t->path('early-sessions');
    my @args = ('/early', EARLY_DATA => 1);

    $c->command("store $dir");

    client(@args);
    $r = $c->go('GET', '/');
    is($r->{body}, 'early= reused=.', 'first') or diag($r->{text});
    is($c->command('session')->{early}, 0, 'none was sent');

    for my $method (qw( GET HEAD OPTIONS GET )) {
        client(@args);
        $r = $c->go($method, '/');
        is("$r->{error} $r->{status}", '0 200', "$method: early")
            or diag($r->{text});
        is($r->{body}, 'early=1 reused=r', 'the server says so')
            if $method eq 'GET';

        my $info = $c->command('session');
        is("$info->{early} $info->{resumed} $info->{open}", '1 1 1',
           'so does the client');

        my $posts = $c->command('outer')->{posts};
        note("$posts POSTs");
        is($c->go('GET', '/')->{body}, 'early= reused=r', 'and then no more');
        is($c->command('outer')->{posts}, $posts + 1, 'with one POST');
    }

    for my $method (qw( POST PUT DELETE )) {
        client(@args);
        $r = $c->go($method, '/', $method eq 'POST' ? (body => 'bytes 5') : ());
        is($r->{body}, 'early= reused=r', "$method: never early");
    }

    client('/early');
    is($c->go('GET', '/')->{body}, 'early= reused=r', 'not unless asked to');

    client(@args);
    $r = $c->go('GET', '/too-early');
    is("$r->{error} $r->{status} $r->{seen}", '0 200 200', '425, repeated')
        or diag($r->{text});
    is($r->{body}, 'early= reused=r', 'not early then');
    is($r->{headers} > 0, 1, 'one answer is delivered');

    client('/early', EARLY_DATA => 1, HEADER_SIZE => 60000);
    $r = $c->go('GET', '/', header => [ 'X' => 'x' x 20000 ]);
    is($r->{status}, 400, 'too large to be early: nginx does not like it')
        or diag($r->{text});

    # after a restart, the server does not accept the tickets

    client(@args);
    $c->go('GET', '/');
    $t->stop()->run();

    client(@args);
    $r = $c->go('GET', '/');
    is("$r->{error} $r->{body}", '0 early= reused=.', 'rejected, sent again')
        or diag($r->{text});
    is($c->command('session')->{early}, 2, 'the client says so');

    $c->command('store ');

    done_testing();
}


# RFC 9266.  The server returns it in base64.

sub exporter {
    require MIME::Base64;

    for my $protocol (qw( TLSv1.2 TLSv1.3 )) {
        client('/exporter', MAX_PROTOCOL => $protocol);
        $r = $c->go('GET', '/');
        is(unpack('H*', MIME::Base64::decode_base64($r->{body})),
           $c->command('export 32 EXPORTER-Channel-Binding')->{key},
           "$protocol: channel binding");
    }

    done_testing();
}
