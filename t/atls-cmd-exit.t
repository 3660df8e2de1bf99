#!/usr/bin/perl

# The atls command with the module: exit codes and timeouts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Test::Atls::Port qw( free_port );
use Test::Atls::Process qw( wait_exit );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience );


my $t = Test::Atls::Site->new();

$t->make_cert('other', is_ca => 1);
$t->make_cert('wrong', ca => 'ca', san => 'DNS:example.com');

# a TLS service without HTTP

my $raw = <<'EOC';
server {
    listen 127.0.0.1:%%PORT_2%%;

    location = /.well-known/atls {
        atls on;
        atls_payload raw;
        return 200 "no HTTP at all\r\n";
    }
}
EOC

$t->serve(<<'EOC', servers => $raw);
location = /wrong {
    atls on;
    %%CERTIFICATE_wrong%%
}

# for abandoned handshakes: workers that quit wait for their timeout

location = /impatient {
    atls on;
    atls_handshake_timeout 1s;
}

location = /json {
    default_type application/json;
    return 200 '{}';
}

location = /moved {
    return 302 http://127.0.0.1:%%PORT_0%%/.well-known/atls;
}
EOC

my $atls = $t->command();
my $site = 'https://localhost';
my $endpoint = 'http://127.0.0.1:' . $t->port(0);
my @via = $t->via();
my @common = (@via, $t->trust());
my $r;

subtest('exit codes' => \&exit_codes);
subtest('time' => \&time_limits);

$t->done_testing();


sub exit_codes {
    my $nobody = 'http://127.0.0.1:' . free_port() . '/';
    my $advice = qr/(?:atls: [A-Z][^\n]*\n)?/;

    my @cases = (
        [ 1,  [ 'http://localhost/' ],                  'must begin with' ],
        [ 1,  [ 'ftp://localhost/' ],                   'must begin with' ],
        [ 2,  [ '--via', 'ftp://localhost/', $site ],   '' ],
        [ 2,  [ '--via', 'a b', $site ],                '' ],
        [ 3,  [ 'https://' ],                           'invalid URL' ],
        [ 3,  [ 'https://local host/' ],                'invalid URL' ],
        [ 3,  [ 'https://localhost:99999/' ],           'invalid URL' ],
        [ 5,  [ '-x', 'http://no-such.invalid', $site ], 'no-such.invalid' ],
        [ 6,  [ '--via', 'http://no-such.invalid/', $site ],
                                                        'no-such.invalid' ],
        [ 7,  [ '--via', $nobody, $site ],              'connect' ],
        [ 7,  [ '-x', $nobody, $site ],                 'connect' ],
        [ 8,  [ '--via', "$endpoint/json", $site ],     'application/json' ],
        [ 8,  [ '--via', "$endpoint/status?code=404", $site ],
                                                        'returned 404' ],
        [ 8,  [ '--via', "$endpoint/status?code=503", $site ],
                                                        'returned 503' ],
        [ 8,  [ '--via', "$endpoint/moved", $site ],    'redirected' ],
        [ 8,  [ '--via', 'http://127.0.0.1:' . $t->port(2)
                         . '/.well-known/atls', $site ], 'HTTP' ],
        [ 18, [ "$site/die" ],                          'ended within' ],
        [ 35, [ '--via', 'https://127.0.0.1:' . $t->port(0), $site ],
                                                        'outer TLS' ],
        [ 60, [ '--via', "$endpoint/wrong", $site ],    'ostname mismatch' ],
        [ 60, [ '--cacert', $t->path('other.crt'), $site ], 'issuer' ],
        [ 60, [ 'https://127.0.0.2/' ],                 'IP address mismatch' ],
    );

    for (@cases) {
        my ($code, $args, $text) = @$_;
        my @args = map { s/\Q$t->{dir}\E.//r } @$args;

        $r = $t->atls(@$args);
        is("$r->{code} $r->{out}",
           $code == 18 ? "18 $r->{out}" : "$code ", "@args");
        like($r->{err}, qr/\Aatls: \($code\) [^\n]*$text[^\n]*\n$advice\z/,
             'what is wrong');
    }

    $r = $atls->run(@via, "$site/echo");
    is($r->{code}, 60, 'the system\'s trust');
    like($r->{err}, qr/^atls: If the CA .* --cacert/m, 'what to do');
    $r = $atls->run(@via, "$site/exact",
                    { env => { SSL_CERT_FILE => $t->path('ca.crt') } });
    is("$r->{code} $r->{out}", "0 exactly\n", 'that of the environment');

    # without a proxy, at the default endpoint

    $r = $atls->run('--cacert', $t->path('ca.crt'),
                    'https://127.0.0.1:' . free_port() . '/');
    is($r->{code}, 7, 'nobody at the default endpoint');

    broken_peers();
    done_testing();
}


# Endpoints that close the connection before or within a response.

sub broken_peers {
    my $port = $t->port(5);

    $t->run_daemon(sub { broken($port) }, port => $port);

    for my $case ([ 'nothing', 52 ], [ 'half', 56 ], [ 'reset', 56 ]) {
        my ($name, $code) = @$case;

        $r = $atls->run('--via', "http://127.0.0.1:$port/$name",
                        '--cacert', $t->path('ca.crt'), $site);
        is($r->{code}, $code, "an endpoint that sends $name")
            or diag($r->{err});
    }
}


sub broken {
    my ($port) = @_;

    my %answers = (
        nothing => '',
        half    => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"
                   . "Content-Type: application/atls+octet-stream\r\n\r\n"
                   . "\x16\x03\x03",
        reset   => 'HTTP/1.1 200 OK',
    );

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5,
                                       LocalPort => $port, ReuseAddr => 1)
        or die "broken: $!\n";

    while (my $s = $listen->accept()) {
        my $head = '';

        while ($head !~ /\r\n\r\n./s) {
            sysread $s, $head, 65536, length $head or last;
        }

        my ($name) = $head =~ m!^POST /(\w+)! or next;
        syswrite $s, $answers{$name};
        setsockopt $s, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
                   pack 'ii', 1, 0 if $name eq 'reset';
        close $s;
    }
}


sub time_limits {
    $r = $t->atls('-m', '0.3', "$site/hang");
    is($r->{code}, 28, '-m');
    like($r->{err}, qr/\Aatls: \(28\) [^\n]*\n\z/, 'one line');

    my $p = $atls->start(@common, '--via', "$endpoint/impatient", '-m', '0.5',
                         '-T', '-', "$site/echo", { stdin => 'pipe' });
    is((wait_exit($p->{pid}, patience()) // 0) >> 8, 28, 'nothing on stdin');
    close $p->{in};

    is($t->atls('-m', 0, "$site/exact")->{code}, 0, '-m 0: none');
    is($t->atls('-m', 60, '--connect-timeout', 60, "$site/exact")->{code}, 0,
       'enough');

    # 192.0.2.0/24 is not used; the network may report this, or not

    my $nobody = '192.0.2.1';
    $r = $atls->run('--connect-timeout', '0.3', "https://$nobody/");
    like($r->{code}, qr/^(?:28|7)$/, '--connect-timeout');

    is($t->atls('-m', $_, $site)->{code}, 2, "-m $_")
        for qw( x -1 1x nan inf 99999999999 ), '';

    done_testing();
}
