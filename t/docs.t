#!/usr/bin/perl

# Configurations and commands of the documentation: all configurations are
# valid, the main ones do what the text says, and the commands are run.
#
# See Test::Atls::DocsSite about what is replaced in configurations.
#
# t/readme.t runs the commands of the README, t/hacking.t those of hacking.md,
# t/gateway-docs.t those of coap.md.
# t/docs-lists.t compares lists with the sources, t/docs-flights.t is about the
# examples of the protocol, t/docs-logs.t about logs and traces.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Authority;
use Test::Atls::Command;
use Test::Atls::Docs;
use Test::Atls::DocsSite;
use Test::Atls::LocalServer;
use Test::Atls::Port qw( free_port );
use Test::Atls::Program qw( run_program );
use Test::Atls::Stack;


# commands that are not run here, with the reason

my %ELSEWHERE = (
    'make check'    => 'make test does it',
    'make test'     => 'this is it',
    'make install NGINX_SRC=/usr/src/nginx-1.28.0' => 't/install.t does it',
    'make NGINX_SRC=/usr/src/nginx-1.28.0'         => 'test-asan, test-matrix',
    'make static NGINX_SRC=/usr/src/nginx-1.28.0'  => 'the same, and STATIC',
    'make deb'      => 'make test-packages does it, and what follows',
    'apt-get install ./build/deb/libnginx-mod-http-atls_*.deb '
        . './build/deb/atls_*.deb' => 'the same',
    './configure --with-compat --with-http_ssl_module '
        . '--add-dynamic-module=/usr/src/ngx_http_atls_module'
                    => 'tools/build.sh does',
    'curl http://127.0.0.1:8080/atls-status' => 't/metrics-prometheus.t does',
    "curl 'http://127.0.0.1:8080/atls-status?format=json'" => 'the same',
);

# commands of the client, with their places, and those that were run

my (@client_commands, %client_run);

my $root = Test::Atls::root();

my $t = Test::Atls::DocsSite->new();
my $backend = $t->backend();
my $atls = Test::Atls::Command->new($t);

commands();
other_certs();
configurations();
readme_server();
client_certificate();
raw_payload();
real_addresses();
who_the_client_is();
reported();
server_names();
early_data();
associations();
client_commands();

$t->done_testing();


sub commands {
    my $dir = $t->path('.');
    my $certificate = $t->localized(block('sh', 'README.md',
                                          'Configuration', 0));

    is(system("{ $certificate } >$dir/command.out 2>&1"), 0, 'a certificate')
        or diag($t->read_file('command.out'));

    for my $block (grep { $_->{file} !~ /^(?:README|hacking|coap)\.md$/ }
                   blocks('sh'))
    {
        for my $command (split /\n/, $block->{text}) {
            my $where = "$block->{file}:$block->{line}: $command";

            if ($block->{heading} eq 'Binary upgrades') {
                ok(-e "$root/t/binary-upgrade.t", "$where: tested there");

            } elsif ($ELSEWHERE{$command}) {
                target_exists($command, $where);

            } elsif ($command =~ /^(?:\(umask 077; )?(?:openssl|echo) /) {
                my $run = $t->localized($command);
                is(system("cd $dir && { $run; } >command.out 2>&1"), 0, $where)
                    or diag($t->read_file('command.out'));

            } elsif ($command =~ /^(?:atls|curl) /) {
                push @client_commands, [ $command, $where ];

            } else {
                fail("$where: nobody checks it");
            }
        }
    }

    for my $secret (qw( psk ticket.key )) {
        my $mode = (stat $t->path("certs/$secret"))[2] & 0777;
        is(sprintf('%04o', $mode), '0600', "$secret is for its owner only");
    }
}


sub target_exists {
    my ($command, $where) = @_;

    my ($target) = $command =~ /^make(?: +([a-z]+)\b(?!=))?/ or return;

    $target ||= 'all';
    like(slurp("$root/Makefile"), qr/^$target:/m, $where);
}


# Files that are not created by commands of the pages.

sub other_certs {
    my $certs = $t->path('certs');

    Test::Atls::Cert::make($certs, "localhost.$_->[0]", type => $_->[1],
                           san => 'DNS:localhost')
        for [ 'rsa', 'rsa' ], [ 'ecdsa', 'ec' ];

    my $ca = Test::Atls::Authority->new($t, 'certs/ca', subject => '/CN=ca');

    $ca->issue('certs/alice', subject => '/CN=Alice');
    $ca->crl('certs/ca.crl');

    $t->write_file('certs/ticket.previous.key', 'x' x 80);
    $t->write_file('certs/passwords', "secret\n");
    $t->write_file('certs/htpasswd', "name:{PLAIN}secret\n");

    system("openssl pkey -in $certs/localhost.key -aes256 -passout pass:secret"
           . " -out $certs/localhost.encrypted.key") == 0
        or die "no encrypted key\n";
}


sub configurations {
    for my $block (blocks('nginx')) {
        is($t->config_error($t->whole($block->{text})), '',
           "$block->{file}:$block->{line}: nginx -t");
    }
}


sub client {
    my (%args) = @_;

    my $c = $t->client(%args, ca => $t->path('certs/localhost.crt'));

    ok($c->handshake(), 'handshake') or diag($c->error());

    return $c;
}


# The second command uses the association of the first one.

sub associations {
    $t->serve(block('nginx', 'directives.md', 'Associations'), sub {
        my @r = map {
            my ($args) = /^atls (.*)$/;
            $client_run{$_}++;
            $atls->run((split ' ', $t->localized($args)), '-v');
        } split /\n/, block('sh', 'clients.md', 'The command', 1);

        is($r[0]{code}, 0, 'atls prepare') or diag($r[0]{err});
        like($r[1]{out}, qr/^GET \/readings /, '--direct')
            or diag($r[1]{err});
        like($r[1]{err}, qr/direct: using the association/, 'without ATLS');
    });
}


# Runs a command of a page, and returns its output.

sub run_client {
    my ($file, $heading, $n) = @_;
    my ($args) = block('sh', $file, $heading, $n) =~ /^atls (.*)$/m;

    $client_run{"atls $args"}++;

    return $atls->run(split ' ', $t->localized($args))->{out};
}


# The output of a program that uses the proxy.

sub run_proxy {
    my $port = free_port();
    my @commands = split /\n/, block('sh', 'clients.md', 'atls proxy');
    my ($start, $use) = map {
        [ split ' ', $t->localized(s/\b3128\b/$port/r) ]
    } @commands;

    $client_run{$_}++ for @commands;

    my $proxy = Test::Atls::LocalServer->start($atls, @$start[1 .. $#$start]);
    my $r = run_program($t, @$use);
    is($proxy->stop()->{code}, 0, 'the proxy');

    return $r->{out};
}


sub client_commands {
    ok($client_run{$_->[0]}, "$_->[1]: was run") for @client_commands;
}


# The example of libatls is compiled as it is.

sub run_example {
    my $build = $atls->lib()->build();
    my $source = $t->write_file('example.c',
                                block('c', 'clients.md', 'libatls'));
    my $program = $t->path('example');
    my $cc = $ENV{CC} || 'cc';
    my $asan = $ENV{TEST_ASAN} ? '-fsanitize=address,undefined' : '';

    is(system("$cc -std=c99 -Wall -Wextra -Werror $asan -I$root/src/client/lib"
              . " -o $program $source $build/libatls.a"
              . ' $(pkg-config --libs libcurl libssl libcrypto libcjson)'
              . " >$program.err 2>&1"), 0, 'the example is compiled')
        or diag($t->read_file('example.err'));

    # no proxies

    local %ENV = map { $_ => $ENV{$_} } grep { !/_proxy$/i } keys %ENV;

    return `$program https://localhost @{[ $t->localized(
                'http://localhost:8080/.well-known/atls'
                . ' /etc/nginx/certs/localhost.crt') ]} 2>&1`;
}


# Commands of other pages use the server of the README, here with the backend.

sub readme_server {
    my $conf = block('nginx', 'README.md', 'Configuration', 0);

    $conf =~ s{return 200 "private.*;}
              {proxy_pass http://127.0.0.1:9000;
               proxy_set_header X-ATLS-Session \$atls_session_id;}
        or die "README.md has no private location\n";

    $t->serve($conf, sub {
        my $posted = run_client('clients.md', 'The command');

        like($posted, qr{\AHTTP/1\.1 200 .*^POST /private/readings HTTP/}ms,
             'the client, with data');
        like($posted, qr/^Content-Length: 8\r?$/m, 'all of it');

        like(run_client('clients.md', 'Certificates and keys'),
             qr{^GET /private/ HTTP/}m, 'a pinned key');
        like(run_client('clients.md', 'atls run'),
             qr{^POST /private/readings HTTP/}m, 'a program');
        like(run_proxy(), qr/^X-ATLS-Session: [\da-f]{32}\r?$/m,
             'by way of a proxy');
        like(run_client('clients.md', 'atls doctor'),
             qr/^verdict +ok +ATLS works$/m, 'nothing is found');

        my $example = run_example();

        like($example, qr/^status 200$/m, 'the example of libatls');
        like($example, qr/^X-ATLS-Session: [\da-f]{32}\r?$/m, 'its response');
    });
}


sub client_certificate {
    my @where = ('clients.md', 'Certificates and keys');

    $t->serve(block('nginx', @where), sub {
        is(run_client(@where, 3), "for CN=device-1\n", 'a client certificate');
    });
}


sub raw_payload {
    my $conf = block('nginx', 'directives.md', 'atls_payload');

    $t->serve($conf =~ s{/\.well-known/atls}{/body}r, sub {
        my $c = client(uri => '/body');

        is($c->request('no HTTP at all'), 'no HTTP at all', 'raw payload');

        my ($request) = $backend->requests();
        is("$request->{method} $request->{uri}", 'POST /body',
           'the request made of it');
    });
}


sub real_addresses {
    my $conf = block('nginx', 'deployment.md', 'Addresses of clients', 0);

    $conf =~ s{192\.0\.2\.0/24}{127.0.0.1};
    $conf =~ s/(proxy_pass .*)/$1\nproxy_set_header X-Address \$remote_addr;/;

    $t->serve($conf, sub {
        my $c = client(headers => { 'X-Forwarded-For' => '203.0.113.7' });

        like($c->get('/', 'X-Forwarded-For' => '203.0.113.8')->body(),
             qr/^X-Address: 203\.0\.113\.7$/m, 'the address said outside');

        # this is the reason for the warning

        $c = client();
        like($c->get('/', 'X-Forwarded-For' => '203.0.113.8')->body(),
             qr/^X-Address: 203\.0\.113\.8$/m, 'the address said inside');
    });
}


# Headers that nginx sets are not taken from the client, even if their variables
# are empty.

sub who_the_client_is {
    my $conf = block('nginx', 'deployment.md', 'Client identity');
    my @told = $conf =~ /proxy_set_header +(\S+) +\$atls_/g;
    my ($psk) = $t->read_file('certs/psk') =~ /^device-1:(\w+)$/m;

    $t->serve($conf, sub {
        my %headers = map { $_ => 'forged' } @told;
        my $none = client()->get('/', %headers)->body();

        unlike($none, qr/forged/, 'nothing forged, of an anonymous client');
        like($none, qr/^X-Client-Verify: NONE\r?$/m, 'which has no name');

        my $alice = client(alice())->get('/', %headers)->body();

        unlike($alice, qr/forged/, 'nothing forged, of one with a certificate');
        like($alice, qr/^X-Client-DN: CN=Alice\r?$/m, 'its name');
        like($alice, qr/^Client-Cert: :[\w+\/=]+:\r?$/m, 'its certificate');

        my $c = $t->stack('openssl', psk => [ 'device-1', $psk ]);
        $c->handshake();
        my $device = $c->get('/', %headers)->body();

        unlike($device, qr/forged/, 'nothing forged, of one with a key');
        like($device, qr/^X-Client-PSK: device-1\r?$/m, 'its identity');
    });
}


# Reports are accepted with decrypted requests only.

sub reported {
    $t->serve(block('nginx', 'security.md', 'Middlebox reports'), sub {
        my $name = 'ATLS-Outer-Certificate';

        like(client()->get('/', $name => 'verified=?0')->body(),
             qr/^$name: verified=\?0\r?$/m, 'a report from inside');

        my $outside = http_raw($t->port(0), "GET / HTTP/1.0\r\n"
                                            . "$name: verified=?0\r\n\r\n");

        like($outside, qr{^GET / HTTP/}m, 'a request without ATLS');
        unlike($outside, qr/$name|verified/i, 'has none');
    });
}


sub alice {
    return (cert => $t->path('certs/alice.crt'),
            key => $t->path('certs/alice.key'));
}


# Two servers of an endpoint; the second one requests certificates.

sub server_names {
    $t->serve(block('nginx', 'directives.md', 'Server names'), sub {
        my @host = (Host => 'members.localhost');
        my $c = $t->client();

        $c->handshake();
        is($c->get('/', @host)->status(), 421, 'another server than by SNI');

        $c = $t->client(sni => '', alice());
        $c->handshake();
        is($c->get('/', @host)->status(), 421, 'without SNI');

        $c = $t->client(sni => $host[1]);
        $c->handshake();
        is($c->get('/', @host)->status(), 400, 'with SNI, no certificate');

        $c = $t->client(sni => $host[1], alice());
        $c->handshake();
        like($c->get('/', @host)->body(), qr/^X-Client: CN=Alice\r?$/m,
             'with both');
    });
}


# A request that is accepted as early data, and one that is refused.

sub early_data {
    $t->serve(block('nginx', 'directives.md', 'atls_early_data'), sub {
        my @args = ('openssl', port => $t->port(0), protocol => 'TLSv1.3');

        for ([ GET => 200 ], [ POST => 425 ]) {
            my ($method, $status) = @$_;

            my $c = Test::Atls::Stack->new(@args);
            $c->handshake();
            $c->get('/');

            $c = Test::Atls::Stack->new(
                @args, session => $c->session(),
                early => "$method / HTTP/1.1\r\nHost: localhost\r\n"
                         . "Content-Length: 0\r\n\r\n");
            $c->handshake();

            my $r = $c->early_response();
            is($r->status(), $status, "$method as early data");
            like($r->body(), qr/^Early-Data: 1\r?$/m, 'the service is told')
                if $status == 200;

            # complete the handshake, nginx would wait for it

            is($c->get('/')->status(), 200, 'and after it');
        }
    });
}
