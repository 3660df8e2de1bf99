#!/usr/bin/perl

# A client written from docs/protocol.md alone, interop/from_page.py, with the
# module: the page contains all that is required.  The checks are those of
# interop/from_page_cases.py.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Slow qw( patience );
use Test::Atls::Validator;

# without proxies

delete $ENV{$_} for grep { /_proxy$/i } keys %ENV;

my @ca = (is_ca => 1, ext => [ 'keyUsage=critical,keyCertSign,cRLSign' ]);

my $t = Test::Atls->new();
my $busy = Test::Atls->new(workers => 1);

$t->make_cert('ca', @ca);
$t->make_cert('service', ca => 'ca', subject => '/CN=service',
              san => 'DNS:localhost');

server($t, <<'EOC');

    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_2%% ssl;
        server_name localhost;

        ssl_certificate service.crt;
        ssl_certificate_key service.key;

        client_max_body_size 100k;

        # a handshake may have a POST for each byte

        atls_handshake_timeout 60s;

        location = /.well-known/atls {
            atls on;
        }

        location = /other {
            atls on;
        }

        location /located {
            atls on;
            atls_session_tracking location;
        }

        location /both {
            atls on;
            atls_session_tracking both;
        }

        # not the group that Python has a key share for

        location = /p384 {
            atls on;
            atls_ecdh_curve secp384r1;
        }

        location = /short {
            atls on;
            atls_session_timeout 3s;
        }

        location = /hurry {
            atls on;
            atls_handshake_timeout 1s;
        }

        location = /verified {
            atls on;
            atls_verify_client on;
            atls_client_certificate ca.crt;
        }

        location = /raw {
            atls on;
            atls_payload raw;
            proxy_pass http://127.0.0.1:%%PORT_1%%/body;
        }

        location = /refused {
            atls on;
            atls_payload raw;
            return 500;
        }

        location = /forbidden {
            atls on;
            deny all;
        }

        location = / {
            return 200 "hello\n";
        }

        location = /last {
            keepalive_timeout 0;
            return 200 "last\n";
        }

        location = /limited {
            client_max_body_size 1k;
            proxy_pass http://127.0.0.1:%%PORT_1%%;
        }

        location /early/ {
            client_max_body_size 1m;
            proxy_pass http://127.0.0.1:%%PORT_1%%;
            proxy_request_buffering off;
            proxy_http_version 1.1;
        }

        location /service/ {
            client_max_body_size 1m;
            proxy_pass http://127.0.0.1:%%PORT_1%%/;
            proxy_http_version 1.1;
        }
    }
EOC

server($busy, <<'EOC');

    atls_max_handshakes 1;

    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name localhost;

        location = /.well-known/atls {
            atls on;
        }

        location = / {
            return 200 "hello\n";
        }
    }
EOC

Test::Atls::Backend->start($t, $t->port(1));

# between the client and nginx, the validator checks responses

my $v = validator($t, $t->port(3),
    '/short' => { session_timeout => 3 },
    '/hurry' => { handshake_timeout => 1 },
    '/raw' => { raw => 1 }, '/refused' => { raw => 1 },
    '/located' => { tracking => 'location' }, '/both' => { tracking => 'both' },
    map { $_ => {} } qw( /other /p384 /verified /forbidden ));
my $busy_v = validator($busy, $t->port(4));

cases();

is($v->report(), '', 'by the page');
is($busy_v->report(), '', 'by the page, with no room');

$busy->finish();
$t->done_testing();


sub server {
    my ($self, $servers) = @_;

    my $certs = $t->dir();

    $self->write_conf(<<"EOC");
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%

    atls_certificate $certs/service.crt;
    atls_certificate_key $certs/service.key;
$servers}
EOC

    $self->run();
}


sub validator {
    my ($self, $port, %endpoints) = @_;

    my $uri = '/.well-known/atls';

    my %all = $self == $t ? (limit => 100 * 1024, handshake_timeout => 60) : ();

    %endpoints = map { $_ => { %all, %{$endpoints{$_} || {}} } }
                 $uri, keys %endpoints;

    return Test::Atls::Validator->start($self, $port, $self->port(0),
                                        endpoints => \%endpoints);
}


# Each line of the output is a check.

sub cases {
    my @command = ('timeout', 20 * patience(), 'python3',
                   "$FindBin::Bin/interop/from_page_cases.py", $v->port(),
                   $busy_v->port(), $t->port(2), $t->path('ca.crt'),
                   patience());

    local $ENV{PYTHONDONTWRITEBYTECODE} = 1;

    open my $fh, '-|', @command or die "python3: $!\n";

    while (<$fh>) {
        chomp;
        my ($not, $name) = /^(not )?ok (.*?)\s*$/ or next;
        ok(!$not, $name);
    }

    close $fh;
    is($?, 0, 'all cases were run');
}
