#!/usr/bin/perl

# libatls with the module: verification, protocols, the outer connection,
# proxies, resumption.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::ConnectProxy;
use Test::Atls::Lib;
use Test::Atls::LibSite;
use Test::Atls::Port qw( free_port );

my $t = Test::Atls::LibSite->new();
my $port = $t->port(0);
my $target = 'https://localhost';
my $endpoint = $t->endpoint(0);
my @trust = (ENDPOINT => $endpoint, CA_FILE => $t->path('ca.crt'));

$t->make_cert('proxy', ca => 'other', san => 'IP:127.0.0.1');
$t->run();

my $lib = Test::Atls::Lib->new($t);
my $program = $lib->compile('client_lib');
my $c = $lib->start($program);
my $r;

# first, as some workers have not made a ticket yet

subtest('resumption' => \&resumption);
subtest('new ticket keys' => \&new_keys);
subtest('certificates' => \&certificates);
subtest('protocols' => \&protocols);
subtest('the outer connection' => \&outer);
subtest('a transfer' => \&transfer);

is($c->end(), 0, 'exit status');

$t->done_testing();


sub certificates {
    my %paths = (wrong => 1, expired => 2);

    $c->client($target, ENDPOINT => $endpoint,
               CA_FILE => $t->path('other.crt'));
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'CERTIFICATE', "another CA: $r->{text}");
    like($r->{text}, qr/issuer/, 'the reason');
    is($r->{seen}, 0, 'nothing delivered');

    my $info = $c->command('session');
    cmp_ok($info->{verify}, '>', 0, 'verify result');
    is($info->{certificate_subject}, 'CN=localhost', 'what was seen');
    is($info->{open}, 0, 'not open');

    $c->client($target, ENDPOINT => $endpoint);
    is($c->name($c->go('GET', '/echo')), 'CERTIFICATE', 'system trust');

    $c->client($target, @trust, ENDPOINT => $t->endpoint(1));
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'CERTIFICATE', "another name: $r->{text}");
    like($r->{text}, qr/hostname mismatch/i, 'the reason');

    $c->client('https://example.com', @trust, ENDPOINT => $t->endpoint(1));
    is($c->go('GET', '/echo')->{status}, 200, 'asked for by that name');

    $c->client($target, @trust, ENDPOINT => $t->endpoint(2));
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'CERTIFICATE', "expired: $r->{text}");
    like($r->{text}, qr/expired/, 'the reason');

    $c->client("https://127.0.0.1", @trust);
    is($c->go('GET', '/echo')->{status}, 200, 'an address');

    $c->client("https://127.0.0.2", @trust);
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'CERTIFICATE', "another address: $r->{text}");

    my $dir = $t->path('cadir');
    mkdir $dir;
    system("cp '$t->{dir}/ca.crt' $dir/ca.pem && openssl rehash $dir") == 0
        or die "rehash\n";

    $c->client($target, ENDPOINT => $endpoint, CA_DIR => $dir);
    is($c->go('GET', '/echo')->{status}, 200, 'CA directory');

    $c->client($target, ENDPOINT => $endpoint,
               CA_FILE => $t->path('localhost.crt'));
    is($c->go('GET', '/echo')->{status}, 200, 'the certificate itself');

    done_testing();
}


sub protocols {
    for my $protocol (qw( TLSv1.2 TLSv1.3 )) {
        $c->client($target, @trust, MIN_PROTOCOL => $protocol,
                   MAX_PROTOCOL => $protocol);
        is($c->go('GET', '/echo')->{status}, 200, $protocol);

        my $info = $c->command('session');
        is($info->{protocol}, $protocol, 'it is that');
        is("$info->{resumed} $info->{psk} $info->{early} $info->{verify}",
           '0 0 0 0', 'nothing special');
        is($info->{certificate_sha256}, $t->fingerprint('localhost'),
           'certificate');
        is($info->{certificate_der}, 1, 'DER');
        is("$info->{certificate_subject} $info->{certificate_issuer}",
           'CN=localhost CN=ca', 'names');
    }

    $c->client($target, @trust, CIPHERSUITES => 'TLS_CHACHA20_POLY1305_SHA256',
               GROUPS => 'P-384');
    $c->go('GET', '/echo');
    is($c->command('session')->{cipher}, 'TLS_CHACHA20_POLY1305_SHA256',
       'cipher suite');

    $c->client($target, @trust, MAX_PROTOCOL => 'TLSv1.2',
               CIPHERS => 'ECDHE-ECDSA-AES256-GCM-SHA384');
    $c->go('GET', '/echo');
    is($c->command('session')->{cipher}, 'ECDHE-ECDSA-AES256-GCM-SHA384',
       'cipher');

    $c->client($target, @trust, MAX_PROTOCOL => 'TLSv1.2',
               CIPHERS => 'AES128-SHA');
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'TLS', "refused: $r->{text}");
    like($r->{text}, qr/handshake failure/, 'the alert');

    for my $none ('aNULL:@SECLEVEL=0', 'eNULL:@SECLEVEL=0') {
        $c->client($target, @trust, MAX_PROTOCOL => 'TLSv1.2',
                   CIPHERS => $none);
        is($c->name($c->go('GET', '/echo')), 'CIPHERS', "never $none");
    }

    done_testing();
}


sub outer {
    # outer TLS with a self-signed certificate

    my @tls = (@trust, ENDPOINT => $t->endpoint(3, 'https', 'localhost'));

    for my $http (qw( 1.0 1.1 2 )) {
        $c->client($target, @tls, OUTER_HTTP => $http);
        $r = $c->go('GET', '/echo');
        is($r->{status}, 200, "HTTP/$http over TLS") or diag($r->{text});
        is($c->go('GET', '/echo')->{status}, 200, 'again');

        my $info = $c->command('outer');
        is($info->{http}, $http eq '1.0' ? '1.1' : $http, 'version')
            if $http ne '1.0';
        is($info->{status}, 200, 'outer status');
        is($info->{chain}, 1, 'outer certificate');
        is($info->{certificate_subject}, 'CN=outer', 'outer subject');
        is($info->{certificate_sha256}, $t->fingerprint('outer'),
           'outer fingerprint');
        cmp_ok($info->{verify}, '>', 0, "not trusted: $info->{verify_text}");
    }

    $c->client($target, @trust,
               ENDPOINT => $t->endpoint(4, 'https', 'localhost'));
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'an outer certificate that can be trusted')
        or diag($r->{text});
    is($c->command('outer')->{verify}, 0, 'is');

    $c->client($target, @trust,
               ENDPOINT => $t->endpoint(4, 'https', '127.0.0.1'));
    $c->go('GET', '/echo');
    is($c->command('outer')->{verify}, 0, 'by its address, too');

    $c->client($target, @trust, OUTER_HTTP => '2-direct',
               ENDPOINT => $t->endpoint(5));
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'HTTP/2 without TLS') or diag($r->{text});
    is($c->command('outer')->{http}, '2', 'version');
    is($c->command('outer')->{chain}, 0, 'no certificate');

    # the default endpoint

    $c->client('https://localhost:' . $t->port(4),
               CA_FILE => $t->path('ca.crt'));
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'default endpoint') or diag($r->{text});
    like($r->{body}, qr/^Host: localhost:\d+$/m, 'Host has the port');

    # headers

    $c->client($target, @trust, USER_AGENT => 'tester/1');
    $c->command('outer-header X-Outer: yes');
    $r = $c->go('GET', '/atls');
    is($r->{status}, 200, 'headers');
    my $log = $t->read_log('outer.log');
    like($log, qr/ua=tester\/1 x=yes type=application\/atls\+octet-stream/,
         'outer headers');
    unlike($r->{body}, qr/tester|X-Outer/, 'not inside');

    # no server

    my $nobody = free_port();
    $c->client($target, @trust, ENDPOINT => "http://127.0.0.1:$nobody/");
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'CONNECT', "no server: $r->{text}");

    $c->client($target, @trust, ENDPOINT => "http://no-such.invalid/");
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'RESOLVE', "no such name: $r->{text}");

    $c->client($target, @trust, ENDPOINT => "https://127.0.0.1:$port/");
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'OUTER_TLS', "no TLS: $r->{text}");

    # proxies

    $c->client($target, @trust, PROXY => "http://127.0.0.1:$nobody");
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'PROXY', "no proxy: $r->{text}");

    $c->client($target, @trust, PROXY => "http://no-such.invalid");
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'PROXY', "no such proxy: $r->{text}");

    proxies();

    done_testing();
}


# The times of the second one are 0: nothing is opened.

sub transfer {
    $c->client($target, @trust, ENDPOINT => $t->endpoint(3, 'https',
                                                         'localhost'));
    is($c->command('transfer')->{connections}, 0, 'none yet');
    $c->go('GET', '/echo');

    my $info = $c->command('transfer');
    my @times = map { $info->{$_} } qw( name_lookup connect handshake );

    cmp_ok($times[0], '>', 0, 'time');
    is("@times", join(' ', sort { $a <=> $b } @times), 'in this order');
    is("$info->{connections} $info->{local_ip} $info->{remote_ip} "
       . "$info->{remote_port} $info->{connect_status}",
       '1 127.0.0.1 127.0.0.1 ' . $t->port(3) . ' 0', 'the connection');
    is($info->{header_size}, length "GET /echo HTTP/1.1\r\n"
                                    . "Host: localhost\r\n\r\n",
       'the size of the header');

    $c->go('GET', '/echo');
    $info = $c->command('transfer');

    is(join(' ', map { $info->{$_} } qw( connections connect handshake )),
       '0 0 0', 'the same connection and session');

    done_testing();
}


sub proxies {
    my $server = Test::Atls::ConnectProxy->start($t, $t->port(20));

    my @tls = (@trust, ENDPOINT => $t->endpoint(3, 'https', 'localhost'));
    my @proxy = (PROXY => $server->url());

    $c->client($target, @tls, @proxy);
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'PROXY', "no credentials: $r->{text}");

    $c->client($target, @tls, @proxy, PROXY_USER => 'me:wrong');
    is($c->name($c->go('GET', '/echo')), 'PROXY', 'wrong ones');

    $c->client($target, @tls, @proxy, PROXY_USER => 'me:secret');
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'through a proxy') or diag($r->{text});
    is($c->go('GET', '/echo')->{status}, 200, 'again');

    my $p = $lib->start($program,
                        https_proxy => $server->url('me:secret'),
                        no_proxy => '');
    $p->client($target, @tls);
    is($p->go('GET', '/echo')->{status}, 200, 'of the environment');
    is($p->end(), 0, 'exit status');

    $p = $lib->start($program, https_proxy => $server->url(),
                     no_proxy => 'localhost');
    $p->client($target, @tls);
    is($p->go('GET', '/echo')->{status}, 200, 'not for this host');
    is($p->end(), 0, 'exit status');

    $p = $lib->start($program, https_proxy => $server->url(),
                     no_proxy => '');
    $p->client($target, @tls);
    is($p->name($p->go('GET', '/echo')), 'PROXY', 'it is used');
    is($p->end(), 0, 'exit status');

    # TLS with the proxy is independent of TLS with the endpoint

    my $over_tls = Test::Atls::ConnectProxy->start($t, $t->port(21),
                                                   cert => 'proxy');
    @proxy = (PROXY => $over_tls->url(), PROXY_USER => 'me:secret');

    $c->client($target, @tls, @proxy, PROXY_CA_FILE => $t->path('other.crt'));
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'a proxy spoken to over TLS') or diag($r->{text});
    is($c->command('outer')->{certificate_subject}, 'CN=outer',
       'not its certificate');

    $c->client($target, @tls, @proxy, PROXY_CA_FILE => $t->path('ca.crt'));
    $r = $c->go('GET', '/echo');
    is($c->name($r), 'PROXY', "it is verified: $r->{text}");
    is($c->command('outer')->{chain}, 0, 'nobody else was seen');

    # the proxy and the endpoint have the same address

    $c->client($target, @trust, @proxy, PROXY_CA_FILE => $t->path('other.crt'),
               ENDPOINT => $t->endpoint(3, 'https', '127.0.0.1'));
    $r = $c->go('GET', '/echo');
    is($r->{status}, 200, 'addresses') or diag($r->{text});
    is($c->command('outer')->{certificate_subject}, 'CN=outer',
       'not its certificate');

    $c->client($target, @trust, @proxy, PROXY_CA_FILE => $t->path('other.crt'),
               PROXY_USER => 'me:wrong',
               ENDPOINT => $t->endpoint(3, 'https', '127.0.0.1'));
    is($c->name($c->go('GET', '/echo')), 'PROXY', 'wrong credentials');
    is($c->command('outer')->{chain}, 0, 'nobody was seen');

    my $log = $server->log() . $over_tls->log();
    like($log, qr/^CONNECT localhost:/m, 'the proxy made a tunnel');
    unlike($log, qr/X-Outer|octet-stream|Cookie/, 'and saw nothing else');
}


sub resumption {
    my $dir = $t->path('sessions');

    $c->command("store $dir");

    for my $protocol (qw( TLSv1.2 TLSv1.3 )) {
        my @args = ($target, @trust, MIN_PROTOCOL => $protocol,
                    MAX_PROTOCOL => $protocol);

        $c->client(@args);
        is($c->go('GET', '/echo')->{status}, 200, "$protocol: first");
        is($c->command('session')->{resumed}, 0, 'not resumed');

        my $kept = () = glob "$dir/*";
        cmp_ok($kept, '>', 0, 'tickets are kept');

        for my $time (1 .. 4) {
            $c->client(@args);
            is($c->go('GET', '/echo')->{status}, 200, "$protocol: again");
            my $info = $c->command('session');
            is("$info->{resumed} $info->{psk}", '1 0', 'resumed');
            is($info->{certificate_subject}, 'CN=localhost', 'certificate');
        }

        my @files = glob "$dir/*";
        cmp_ok(scalar @files, '<=', 4, 'not all of them');
        is(sprintf('%o', (stat $files[0])[2] & 07777), '600', 'mode');

        # sessions of other trusted CAs are stored separately

        $c->client(@args, CA_FILE => $t->path('localhost.crt'));
        is($c->go('GET', '/echo')->{status}, 200, 'other trust');
        is($c->command('session')->{resumed}, 0, 'not resumed');

        unlink glob "$dir/*";
    }

    is(sprintf('%o', (stat $dir)[2] & 07777), '700', 'mode of the directory');

    # invalid files are ignored

    $c->client($target, @trust);
    $c->go('GET', '/echo');

    for (glob "$dir/*") {
        open my $fh, '>', $_;
        print $fh 'x' x 100;
    }

    $c->client($target, @trust);
    is($c->go('GET', '/echo')->{status}, 200, 'rubbish in the store');
    is($c->command('session')->{resumed}, 0, 'not resumed');

    is($c->command('store /nonexistent/dir')->{error}, 1, 'no parent');
    $c->command('store ');

    $c->client($target, @trust);
    is($c->go('GET', '/echo')->{status}, 200, 'without a store');
    is($c->command('session')->{resumed}, 0, 'not resumed');

    done_testing();
}


# If the keys of tickets change, a resumed session gets a new ticket, with the
# time of the full handshake.

sub new_keys {
    my $dir = $t->path('renewed');
    my $conf = $t->conf('2m');

    for my $name (qw( old new )) {
        $t->write_file("$name.key", join '', map { chr int rand 256 } 1 .. 80);
    }

    $c->command("store $dir");

    for my $protocol (qw( TLSv1.2 TLSv1.3 )) {
        my @args = ($target, @trust, MIN_PROTOCOL => $protocol,
                    MAX_PROTOCOL => $protocol);
        my $began;

        for ([ '0', 'old' ], [ '1', 'new', 'old' ], [ '1', 'new' ],
             [ '1', 'new' ])
        {
            my ($resumed, @names) = @$_;

            my $keys = join '', map {
                'atls_session_ticket_key ' . $t->path("$_.key") . ";\n"
            } @names;

            $t->write_conf($conf =~ s/^(?=atls_zone )/$keys/mr);
            $t->reload();

            $c->client(@args);
            is($c->go('GET', '/echo')->{status}, 200, "$protocol: @names");
            is($c->command('session')->{resumed}, $resumed, 'resumed');

            # the time of the full handshake, see resume.c

            my ($time) = $t->read_file('renewed/sessions')
                         =~ /^41544c31([0-9a-f]{16})/m;
            $began ||= $time;
            is($time, $began, 'since the same time');

            sleep 1 if !$resumed;
        }

        unlink glob "$dir/*";
    }

    $c->command('store ');
    $t->write_conf($conf);
    $t->reload();

    done_testing();
}
