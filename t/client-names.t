#!/usr/bin/perl

# Verification of host names: the host of the URL is compared with the names of
# the certificate.  A host with an empty label, which OpenSSL would match as a
# suffix, is invalid; the CN of the subject is not used.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Command;
use Test::Atls::LocalServer;

use constant { PLAIN => 0, CN => 1, GOOD => 2 };

my $t = Test::Atls->new();

$t->make_cert('ca', is_ca => 1);
$t->make_cert('good', ca => 'ca', san => 'DNS:localhost');
$t->make_cert('sub', ca => 'ca', san => 'DNS:www.localhost,DNS:*.localhost');
$t->make_cert('cn', ca => 'ca', subject => '/CN=localhost',
              san => 'email:root@localhost');
$t->make_cert('cn_ip', ca => 'ca', subject => '/CN=127.0.0.1',
              san => 'email:root@localhost');
$t->make_cert('both', ca => 'ca', subject => '/CN=localhost',
              san => 'DNS:example.com');

my $locations = join '', map { <<"EOC" } qw( good sub cn cn_ip both );
        location = /$_ {
            atls on;
            atls_certificate %%TESTDIR%%/$_.crt;
            atls_certificate_key %%TESTDIR%%/$_.key;
        }
EOC

my $servers = join '', map { <<"EOC" } [ PLAIN ], [ CN, 'cn' ], [ GOOD, 'good' ];
    server {
        listen 127.0.0.1:%%PORT_$_->[0]%% @{[ $_->[1] ? 'ssl' : '' ]};
        @{[ $_->[1] ? "ssl_certificate %%TESTDIR%%/$_->[1].crt;
                       ssl_certificate_key %%TESTDIR%%/$_->[1].key;" : '' ]}

        location = /.well-known/atls {
            atls on;
            atls_certificate %%TESTDIR%%/good.crt;
            atls_certificate_key %%TESTDIR%%/good.key;
        }

$locations
        location / {
            return 200 "\$atls \$http_atls_outer_certificate\\n";
        }
    }
EOC

$t->write_http(<<"EOC");
$servers
EOC

$t->run();

my $atls = Test::Atls::Command->new($t);
my @trust = ('--cacert', $t->path('ca.crt'));
my $r;

subtest('empty labels' => \&labels);
subtest('empty labels elsewhere' => \&elsewhere);
subtest('a subject is no name' => \&subjects);
subtest('nor is it outside' => \&fallback);

$t->done_testing();


sub via {
    my ($path, @args) = @_;

    $r = $atls->run('--via', 'http://127.0.0.1:' . $t->port(PLAIN) . "/$path",
                    @trust, @args);
    return $r->{code};
}


sub labels {
    is(via('sub', 'https://www.localhost/'), 0, 'a name')
        or diag($r->{err});
    is(via('sub', 'https://www.localhost./'), 0, 'with a dot at its end');
    is(via('sub', 'https://localhost/'), 60, 'not the domain');

    for my $host (qw( .localhost ..localhost www..localhost .www.localhost
                      localhost.. www.localhost.. . .. .%77ww.localhost ),
                  'a' x 64 . '.localhost')
    {
        is(via('sub', $_), 3, "$_: refused")
            for "https://$host/", "https://$host:443/", $host;
        is(via('sub', '--fallback', "https://$host/"), 3, 'with --fallback');
    }

    done_testing();
}


sub elsewhere {
    my $port = $t->port(GOOD);

    for my $command (qw( forward tunnel )) {
        $r = $atls->run($command, '-l', '127.0.0.1:0', 'https://.localhost/');
        is($r->{code}, 3, $command);
        $r = $atls->run($command, '-l', '127.0.0.1:0', '--via',
                        "https://.localhost:$port/", 'https://localhost');
        is($r->{code}, 2, "$command --via");
    }

    $r = $atls->run(@trust, '--via', "https://.localhost:$port/good",
                    'https://localhost/');
    is($r->{code}, 2, '--via');
    like($r->{err}, qr/no host in/, 'which is said');

    $r = $atls->run(@trust, '--via', "localhost:$port", 'https://localhost/');
    is($r->{code}, 2, '--via without a scheme');
    like($r->{err}, qr/is not an http or https URL/, 'which is another message');

    my $c = $atls->lib()->start($atls->lib()->compile('client_lib'));

    is($c->name($c->client($_)), 'USAGE', "the library's target: $_")
        for 'https://.localhost', 'https://a..localhost', 'https://localhost..';

    $c->client('https://localhost', ENDPOINT => 'http://.localhost:1/');
    is($c->name($c->go('GET', '/')), 'USAGE', 'its endpoint');
    is($c->end(), 0, 'the program ends well');

    done_testing();
}


sub subjects {
    is(via('good', 'https://localhost/'), 0, 'a name');

    for my $path (qw( cn both )) {
        is(via($path, 'https://localhost/'), 60, "$path: not the subject's");
        like($r->{err}, qr/hostname mismatch/, 'which is said');
    }

    is(via('cn_ip', 'https://127.0.0.1/'), 60, 'nor an address');

    done_testing();
}


# The outer certificate is verified in the same way.

sub fallback {
    my @args = (@trust, '--fallback', '-w', '%{atls}');

    for ([ GOOD, 'off', 1 ], [ CN, 'on', 0 ]) {
        my ($n, $way, $verified) = @$_;
        my $url = 'https://localhost:' . $t->port($n);

        $r = $atls->run(@args, "$url/");
        is("$r->{code} " . (split ' ', $r->{out})[-1], "0 $way",
           "$url: --fallback") or diag($r->{err});

        $r = $atls->run(@trust, '--report-middlebox', "$url/");
        like($r->{out}, qr/^on .*verified=\?$verified$/, 'what is reported');
    }

    done_testing();
}
