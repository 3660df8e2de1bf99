#!/usr/bin/perl

# The atls command with the module: connections.  Proxies, middleboxes, plain
# HTTPS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw( sha256 sha256_hex );
use MIME::Base64 qw( encode_base64 );
use Test::More;

use Test::Atls;
use Test::Atls::ConnectProxy;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Port qw( free_port );
use Test::Atls::Site;

use constant {
    PLAIN     => 0,         # ports: without outer TLS
    BACKEND   => 1,
    MIDDLEBOX => 2,         # a certificate that is not trusted
    TRUSTED   => 3,         # certificate of the service
    MISNAMED  => 4,         # certificate of another name
    PROXY     => 5,
};

my $t = Test::Atls::Site->new(workers => 4);

$t->make_cert('misnamed', ca => 'ca', san => 'DNS:example.com');
$t->make_cert('middlebox', san => 'DNS:localhost',
              subject => '/O=M\xfcller, Inc./CN=a "box"' =~ s/\\xfc/\xfc/r);
$t->make_cert('client', ca => 'ca');
$t->write_file('psk', "device:1:00112233445566778899aabbccddeeff\n");

my $backend = $t->backend();

$t->write_conf(conf());
$t->run();

my $proxy = Test::Atls::ConnectProxy->start($t, $t->port(PROXY));

my $atls = $t->command();
my $site = 'https://localhost';
my @trust = $t->trust();
my $r;

subtest('verbose' => \&verbose);
subtest('proxy' => \&through_proxy);
subtest('report of the middlebox' => \&report);
subtest('fallback: nobody in the middle' => \&fallback_https);
subtest('fallback: somebody in the middle' => \&fallback_atls);
subtest('fallback: neither' => \&fallback_neither);

$t->done_testing();


sub verbose {
    my $middlebox = sha256_hex(der('middlebox'));
    my $service = sha256_hex(der('localhost'));

    $r = $atls->run(@trust, '-v', '-u', 'name:sesame', '-H', 'Cookie: sesame',
                    site(MIDDLEBOX) . '/echo');

    is($r->{code}, 0, 'a request');
    like($r->{out}, qr/^Authorization: Basic /m, 'sent as a whole');

    for (qr/^outer\* .*\Q$middlebox\E$/m,
         qr/^\* .*\Q$service\E$/m,
         qr!^outer> POST /.well-known/atls HTTP/1!m,
         qr!^outer< HTTP/1.1 200 !m,
         qr!^> GET /echo HTTP/1\.1$!m,
         qr!^< HTTP/1\.1 200 OK$!m,
         qr/^\* transport: certificate of CN=a \\"box\\",O=M/m,
         qr/^\* transport: SHA-256 \Q$middlebox\E$/m,
         qr/^\* transport: self.signed certificate$/m,
         qr/^\* service: TLSv1\.3, TLS_AES/m,
         qr/^\* service: certificate of CN=localhost$/m,
         qr/^\* service: issued by CN=ca$/m,
         qr/^\* service: SHA-256 \Q$service\E$/m,
         qr/^\* service: verified$/m)
    {
        like($r->{err}, $_, $_);
    }

    my $secret = encode_base64('name:sesame', '');
    unlike($r->{err}, qr/sesame|\Q$secret\E/, 'no secrets');

    $r = $atls->run(@trust, '-v', site(TRUSTED) . '/info');
    like($r->{err}, qr/^\* transport: trusted$/m, 'a good one outside');

    $r = $t->atls('-v', "$site/info");
    like($r->{err}, qr/^\* transport: no certificate$/m, 'none outside');

    $r = $t->atls('/psk', '-v', '--psk', '@' . $t->path('psk'), $site);
    like($r->{err},
         qr/^\* service: .* authenticated by the pre-shared key$/m, 'psk');

    $r = $atls->run('-v', site(MIDDLEBOX));
    is($r->{code}, 60, 'a service that is not trusted');
    like($r->{err}, qr/^\* service: SHA-256 \Q$service\E$/m, 'its certificate');
    like($r->{err}, qr/^\* service: unable to get .*issuer/m, 'why');

    done_testing();
}


sub site { return 'https://localhost:' . $t->port($_[0]) }


sub der {
    my ($name) = @_;

    return scalar `openssl x509 -in '$t->{dir}/$name.crt' -outform DER`;
}


sub through_proxy {
    my @proxy = ('-x', $proxy->url());
    my $url = site(MIDDLEBOX) . '/info';

    $r = $atls->run(@trust, @proxy, $url);
    is($r->{code}, 97, 'no credentials') or diag($r->{err});

    $proxy[1] =~ s!//!//me:secret@!;
    $r = $atls->run(@trust, @proxy, $url);
    like($r->{out}, qr/^protocol=TLSv1.3$/m, 'through a proxy')
        or diag($r->{err});

    $r = $atls->run(@trust, $url, { env => { https_proxy => $proxy[1] } });
    is($r->{code}, 0, 'that of the environment');

    $r = $atls->run(@trust, '-x', '', $url,
                    { env => { https_proxy => 'http://no-such.invalid' } });
    is($r->{code}, 0, 'no proxy, whatever the environment says');

    my $log = $proxy->log();
    my @tunnels = $log =~ /^CONNECT localhost:\d+ HTTP/mg;
    cmp_ok(scalar @tunnels, '>=', 3, 'tunnels');
    unlike($log, qr/known|info/, 'and nothing else was seen');

    done_testing();
}


sub report {
    my $sha256 = encode_base64(sha256(der('middlebox')), '');

    $backend->forget();
    $r = $atls->run(@trust, '--report-middlebox', site(MIDDLEBOX) . '/echo',
                    site(MIDDLEBOX) . '/echo');
    is($r->{code}, 0, 'two requests');

    # in the syntax of RFC 9651, names in that of RFC 4514

    my $name = '"CN=a \\\\\"box\\\\\",O=M\\\\C3\\\\BCller\\\\, Inc."';
    my $value = "sha-256=:$sha256:, subject=$name, issuer=$name, verified=?0";

    is($_, $value, 'the service knows of the middlebox') for reported(2);

    $sha256 = encode_base64(sha256(der('localhost')), '');
    $atls->run(@trust, '--report-middlebox', site(TRUSTED) . '/echo');
    is((reported(1))[0], "sha-256=:$sha256:, subject=\"CN=localhost\", "
                         . 'issuer="CN=ca", verified=?1', 'there is none');

    $t->atls('--report-middlebox', "$site/echo");
    is((reported(1))[0], 'verified=?0', 'no certificate at all');

    $t->atls("$site/echo");
    is((reported(1))[0], '', 'not without the option');

    done_testing();
}


sub reported {
    my ($n) = @_;

    my @requests = $backend->requests();
    is(@requests, $n, 'requests');
    $backend->forget();

    return map {
        join '|', map { $_->[1] } grep { $_->[0] eq 'ATLS-Outer-Certificate' }
                  @{$_->{headers}}
    } @requests;
}


# Everything is the same as over ATLS.

sub fallback_https {
    my $base = site(TRUSTED);
    my @args = (@trust, '--fallback');

    my $from = length $t->read_log('seen.log');

    $r = $atls->run(@args, '-w', '%{http_code} %{atls}', "$base/info");
    like($r->{out}, qr/^atls=$/m, 'plain HTTPS') or diag($r->{err});
    like($r->{out}, qr/^200 off\z/m, '-w');
    $t->wait_for(sub { length $t->read_file('seen.log') > $from });
    is(substr($t->read_file('seen.log'), $from), "GET /info HTTP/1.1 atls=-\n",
       'and not a POST');

    same($base, @$_) for (
        [ '/echo' ],
        [ '-i', '/exact' ],
        [ '-I', '/exact' ],
        [ '-d', 'some=data', '/echo' ],
        [ '-X', 'DELETE', '-H', 'X-One: 1', '-H', 'X-Empty;', '/echo' ],
        [ '-H', 'Accept:', '-A', '', '/echo' ],
        [ '-H', 'Content-Type:', '-d', 'x', '/echo' ],
        [ '-d', '', '-X', 'PUT', '/echo' ],
        [ '-T', $t->path('ca.crt'), '/echo' ],
        [ '-T', $t->path('ca.crt'), '/dir/' ],
        [ '-T', '/dev/null', '/echo' ],
        [ '-u', 'a:b', '/echo' ],
        [ '-f', '/status?code=404' ],
        [ '/status?code=302' ],
        [ '-i', '/status?code=204' ],
        [ '/chunked' ],
        [ '/big?size=300000' ],
    );

    $r = $atls->run(@args, '-T', '-', "$base/body", { stdin => pattern(9999) });
    is($r->{out}, pattern(9999), 'stdin');

    $r = $atls->run(@args, "$base/exact", "$base/exact");
    is($r->{out}, "exactly\n" x 2, 'several URLs');

    $r = $atls->run(@args, '--cert', $t->path('client.crt'),
                    '--key', $t->path('client.key'), "$base/info");
    like($r->{out}, qr/^ssl_dn=CN=client$/m, 'client certificate');

    $r = $atls->run(@args, '--tls-max=1.2', '--ciphers',
                    'ECDHE-ECDSA-AES256-GCM-SHA384', "$base/info");
    like($r->{out}, qr/^ssl=TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384$/m,
         'protocol and cipher');

    $r = $atls->run('--fallback', "$base/info",
                    { env => { SSL_CERT_FILE => $t->path('ca.crt') } });
    like($r->{out}, qr/^atls=$/m, 'trust of the environment');

    $r = $atls->run(@args, '-x', $proxy->url('me:secret'), "$base/info");
    like($r->{out}, qr/^atls=$/m, 'through a proxy');

    $r = $atls->run(@args, '-v', '-u', 'name:sesame', "$base/info");
    like($r->{err}, qr/^\* fallback: using plain HTTPS, .* is valid$/m, '-v');
    like($r->{err}, qr/^> Authorization: \[not shown\]$/m, 'no secrets');

    $r = $atls->run(@args, '-m', '0.3', "$base/hang");
    is($r->{code}, 28, '-m');
    $r = $atls->run(@args, "$base/die");
    is($r->{code}, 18, 'half an answer');
    $r = $atls->run(@args, "$base/bad-header");
    is($r->{code}, 8, 'a bad header line');
    $r = $atls->run(@trust, "$base/bad-header");
    is($r->{code}, 8, 'the same by ATLS');
    $r = $atls->run(@args, '-o', '/dev/full', "$base/exact");
    is($r->{code}, 23, 'nowhere to write');
    $r = $atls->run(@args, '-T', '/nonexistent', "$base/exact");
    is($r->{code}, 26, 'nothing to read');

    done_testing();
}


# Responses to a request are the same over ATLS and HTTPS, except for some
# headers.

sub same {
    my ($base, @args) = @_;

    my $path = pop @args;
    my $https = $atls->run(@trust, '--fallback', @args, "$base$path");
    my $inside = $atls->run(@trust, @args, "$base$path");

    is(comparable($https), comparable($inside),
       join ' ', grep { !/ca.crt/ } @args, $path);
}


sub comparable {
    my ($result) = @_;

    my $text = "$result->{code}\n$result->{err}\n$result->{out}";

    $text =~ s/^(?:Date|Connection|Server): .*\n//mg;

    return $text;
}


sub fallback_atls {
    my @args = (@trust, '--fallback');

    for my $n (MIDDLEBOX, MISNAMED) {
        my $base = site($n);

        # the middlebox sees only the outer request

        my $from = length $t->read_log('seen.log');

        $r = $atls->run(@args, '-w', '%{http_code} %{atls}', "$base/info");
        like($r->{out}, qr/^atls=on$/m, 'ATLS') or diag($r->{err});
        like($r->{out}, qr/^200 on\z/m, '-w');
        is($r->{err}, '', 'nothing is said');

        $r = $atls->run(@args, '-d', 'secret=1', "$base/body");
        is($r->{out}, 'secret=1', 'data');

        $r = $atls->run(@args, '-T', '-', "$base/body",
                        { stdin => pattern(9999) });
        is($r->{out}, pattern(9999), 'stdin');

        $r = $atls->run(@args, "$base/exact", "$base/exact");
        is($r->{out}, "exactly\n" x 2, 'several URLs');

        $r = $atls->run(@args, '--report-middlebox', "$base/echo");
        like($r->{out}, qr/^ATLS-Outer-Certificate: sha-256=:.*verified=\?0$/m,
             'report of the middlebox');

        my @seen = grep { !/ atls=on$/ }
                   split /\n/, substr $t->read_log('seen.log'), $from;
        cmp_ok(scalar @seen, '>', 5, 'requests were seen');
        is(scalar(grep { !m!^POST /.well-known/atls ! } @seen), 0,
           'not one that is not ATLS\'s') or diag("@seen");
    }

    $r = $atls->run(@args, '-v', site(MIDDLEBOX) . '/info');
    like($r->{err},
         qr/^\* fallback: using ATLS, .*is not valid: .*self.signed/m,
         '-v');

    done_testing();
}


sub fallback_neither {
    my $nobody = free_port();

    $r = $atls->run('--fallback', site(TRUSTED));
    is($r->{code}, 60, 'neither is trusted');

    $r = $atls->run(@trust, '--fallback', "https://localhost:$nobody/");
    is($r->{code}, 7, 'nobody there');
    like($r->{err}, qr/\Aatls: \(7\) [^\n]*\n\z/, 'is said once');

    $r = $atls->run(@trust, '--fallback', 'https://no-such.invalid/');
    is($r->{code}, 6, 'no such name');

    $r = $atls->run(@trust, '--fallback',
                    'https://localhost:' . $t->port(PLAIN) . '/');
    is($r->{code}, 35, 'no TLS');

    # a middlebox does not affect the trust in a service

    $r = $atls->run('--cacert', $t->path('client.crt'), '--fallback',
                    site(MIDDLEBOX) . '/info');
    is($r->{code}, 60, 'inside, somebody else');

    is($atls->run(@trust, '--fallback', @$_, $site)->{code}, 2, "@$_")
        for [ '--psk', 'a:00' ], [ '--export', 'a:32' ];

    done_testing();
}


sub conf {
    my $backend_port = $t->port(BACKEND);

    my $inside = <<"EOC";
        location = /info {
            return 200 "atls=\$atls
protocol=\$atls_protocol
ssl=\$ssl_protocol \$ssl_cipher
ssl_dn=\$ssl_client_s_dn
";
        }

        location = /exact {
            add_header X-One 1;
            default_type text/plain;
            return 200 "exactly\\n";
        }

        location = /bad-header {
            add_header "No Token" 1;
            return 200 "exactly\\n";
        }

        location / {
            proxy_pass http://127.0.0.1:$backend_port;
            proxy_http_version 1.1;
            proxy_set_header Host \$http_host;
            proxy_set_header Connection "";
        }
EOC

    my $servers = join '', map { server($_, $inside) }
                  [ PLAIN,     '' ],
                  [ MIDDLEBOX, 'middlebox' ],
                  [ TRUSTED,   'localhost' ],
                  [ MISNAMED,  'misnamed' ];

    return http_conf(<<"EOC");
log_format seen '\$request atls=\$atls';

%%CERTIFICATE%%
client_max_body_size 0;

$servers
EOC
}


sub server {
    my ($what, $inside) = @_;
    my ($n, $name) = @$what;

    my $listen = $name ? 'ssl' : '';
    my $ssl = $name ? <<"EOC" : '';
        ssl_certificate %%TESTDIR%%/$name.crt;
        ssl_certificate_key %%TESTDIR%%/$name.key;
        ssl_verify_client optional;
        ssl_client_certificate %%TESTDIR%%/ca.crt;
EOC

    return <<"EOC";
    server {
        listen 127.0.0.1:%%PORT_$n%% $listen;
        access_log %%TESTDIR%%/seen.log seen;
$ssl
        # a connection for each POST, which may be accepted by another worker

        location = /.well-known/atls {
            atls on;
            atls_early_data on;
            keepalive_timeout 0;
        }

        location = /psk {
            atls on;
            atls_psk_file %%TESTDIR%%/psk;
            atls_ciphers ECDHE+AESGCM:PSK+AESGCM;
        }

$inside
    }
EOC
}
