package Test::Atls::Validator::Site;

# Servers behind a Test::Atls::Validator, for tests that the responses of
# endpoints conform to docs/protocol.md.
#
#     use Test::Atls::Validator::Site;        # $t runs, $v is the validator
#     my $c = established();
#     is(status($c->post('')), 200, 'an empty POST');
#     is_valid('empty POSTs');                # since the last call
#     is_complete();
#     $t->done_testing();
#
# is_complete() is called at the end of each file.  It fails if a rule was not
# applied, except rules that another file has to apply, see %ONLY.

use strict;
use warnings;

use Exporter qw( import );
use File::Basename qw( basename );
use FindBin;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Outer;
use Test::Atls::Slow qw( slow );
use Test::Atls::Validator;
use Test::Atls::Validator::Rules qw( %RULES );

our @EXPORT = qw(
    $t $v $TYPE $URI $HANDSHAKES $TIMEOUT is_valid is_complete client
    established outer answer status first_flight cookie chunk
);

our $TYPE = 'application/atls+octet-stream';
our $URI = '/.well-known/atls';
our $HANDSHAKES = 30;           # of a worker process
our $TIMEOUT = 2 * slow();      # of handshakes at /hasty, in seconds

# rules applied by violations only, and by a failure of the server

my @NEVER = qw( end-fatal nothing-by-itself problem-500 );

# rules that only one of the files has to apply

my %ONLY = (
    'validate.t' => [ qw(
        alpn alpn-none close-notify fragment hello-pieces hello-second
        server-name suite-none
    ) ],
    'validate-statuses.t' => [ qw(
        busy problem-413 problem-502 problem-foreign problem-no-cookie
        problem-no-location
        status-405 status-409 status-409-next status-413 status-413-expired
        status-413-first status-415 status-502 status-503 status-own
        too-large-begun
    ) ],
);

my $conf = http_conf(<<'EOC');
%%CERTIFICATE_service%%
atls_early_data on;
atls_max_handshakes %%HANDSHAKES%%;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

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

    location = /limited {
        atls on;
        client_max_body_size 20k;
    }

    location = /hasty {
        atls on;
        atls_handshake_timeout %%TIMEOUT%%s;
    }

    location = /retry {
        atls on;
        atls_ecdh_curve secp384r1;
    }

    location = /closed {
        atls on;
        deny all;
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/body;
    }

    location = /raw-refused {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/status?code=404;
    }

    location = /ok {
        return 200 "hello";
    }

    location = /last {
        keepalive_timeout 0;
        return 200 "the last one";
    }

    location = /large {
        keepalive_timeout 0;
    }

    location /refused {
        return 404;
    }

    location / {
        client_max_body_size 0;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_request_buffering off;
    }
}
EOC

my %values = (HANDSHAKES => $HANDSHAKES, TIMEOUT => $TIMEOUT);

our $t = Test::Atls->new(workers => 3);

delete $ENV{$_} for grep { /_proxy$/i } keys %ENV;

$t->make_cert('ca', is_ca => 1, ext => [ 'keyUsage=critical,keyCertSign' ]);
$t->make_cert('service', ca => 'ca', subject => '/CN=service',
              san => 'DNS:localhost');
$t->make_cert('other', is_ca => 1);
$t->write_conf($conf =~ s/%%(HANDSHAKES|TIMEOUT)%%/$values{$1}/gr);
$t->run();

Test::Atls::Backend->start($t, $t->port(1));

our $v = Test::Atls::Validator->start($t, $t->port(2), $t->port(0),
    endpoints => {
        $URI           => {},
        '/other'       => {},
        '/located'     => { tracking => 'location' },
        '/both'        => { tracking => 'both' },
        '/limited'     => { limit => 20 * 1024 },
        '/hasty'       => { handshake_timeout => $TIMEOUT },
        '/retry'       => {},
        '/closed'      => {},
        '/raw'         => { raw => 1 },
        '/raw-refused' => { raw => 1 },
    });


# There were no violations since the last call.

sub is_valid {
    my ($name) = @_;

    is($v->report(), '', "$name: by the page");
}


sub is_complete {
    my $own = $ONLY{basename($0)} or die "$0 has no rules in %ONLY\n";
    my %rules = %RULES;
    my %applied = $v->applied();

    delete @rules{@NEVER, map { @$_ } values %ONLY};

    is(join(' ', grep { !$applied{$_} } sort keys %rules, @$own), '',
       'each rule was applied');
    is(join(' ', grep { !_calls_is_complete($_) } sort keys %ONLY), '',
       'each file of %ONLY verifies this');
}


sub _calls_is_complete {
    my ($file) = @_;

    open my $fh, '<', "$FindBin::Bin/$file" or return 0;

    return scalar grep { /^is_complete\(\);$/ } <$fh>;
}


sub client { return Test::Atls::Client->new(port => $v->port(), @_) }


sub outer { return Test::Atls::Outer->new(port => $v->port(), uri => $URI, @_) }


sub status {
    my ($r) = @_;

    return $r ? $r->status() : 'none';
}


# answer($outer, $body, header => value, ...): the response to a POST.

sub answer {
    my ($outer, $body, %headers) = @_;

    return $outer->post($body, { 'Content-Type' => $TYPE, %headers });
}


sub first_flight {
    my $c = client(@_);

    $c->handshake_step();

    return $c->tls_out();
}


sub cookie {
    my ($c) = @_;

    return 'atls=' . $c->cookie();
}


sub established {
    my $c = client(@_);

    ok($c->handshake(), 'a session') or diag($c->error());

    return $c;
}


sub chunk {
    my ($bytes) = @_;

    return sprintf "%x\r\n%s\r\n", length $bytes, $bytes;
}


1;
