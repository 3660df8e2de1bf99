package Test::Atls::LibSite;

# Servers for tests of libatls: a Test::Atls with a certificate authority, a
# backend, and endpoints on ports 0 to 6.
#
#     my $t = Test::Atls::LibSite->new();
#     $t->run();
#     my @trust = (ENDPOINT => $t->endpoint(0), CA_FILE => $t->path('ca.crt'));
#
#     port    certificate    outer connection
#     0       localhost
#     1       wrong
#     2       expired
#     3       localhost      TLS, HTTP/2; the certificate is not trusted
#     4       localhost      TLS
#     5       localhost      HTTP/2 without TLS
#     6       localhost      timeouts of sessions and connections of 1 second

use strict;
use warnings;

use Digest::SHA qw( sha256_hex );

use Test::Atls::Backend;

use parent 'Test::Atls';


sub new {
    my ($class, %args) = @_;

    my $self = $class->SUPER::new(%args);

    $self->make_cert('ca', is_ca => 1);
    $self->make_cert('other', is_ca => 1);
    $self->make_cert('localhost', ca => 'ca',
                     san => 'DNS:localhost,IP:127.0.0.1');
    $self->make_cert('wrong', ca => 'ca', san => 'DNS:example.com');
    $self->make_cert('outer', san => 'DNS:localhost');
    $self->_expired_cert('expired');

    $self->{backend} = Test::Atls::Backend->start($self, $self->port(9));
    $self->write_conf($self->conf('2m'));

    return $self;
}


sub backend { $_[0]{backend} }


sub endpoint {
    my ($self, $n, $scheme, $host) = @_;

    return ($scheme || 'http') . '://' . ($host || '127.0.0.1') . ':'
           . $self->port($n) . '/.well-known/atls';
}


sub fingerprint {
    my ($self, $name) = @_;

    my $der = `openssl x509 -in '$self->{dir}/$name.crt' -outform DER`;

    return sha256_hex($der);
}


# The configuration with this size of the zone.

sub conf {
    my ($self, $zone) = @_;

    my $backend = 'http://127.0.0.1:' . $self->port(9);
    my $inside = <<"EOC";
        location /refused {
            client_max_body_size 1k;
            proxy_pass $backend;
        }

        location /atls {
            return 200 "\$atls_protocol \$http_user_agent \$http_x_outer";
        }

        location / {
            proxy_pass $backend;
            proxy_http_version 1.1;
            proxy_set_header Host \$http_host;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
        }
EOC

    my $servers = '';

    my @servers = (
        [ 0, '',          'localhost' ],
        [ 1, '',          'wrong' ],
        [ 2, '',          'expired' ],
        [ 3, 'ssl http2', 'localhost', 'outer' ],
        [ 4, 'ssl',       'localhost', 'localhost' ],
        [ 5, 'http2',     'localhost' ],
        [ 6, '',          'localhost', undef,
          'atls_session_timeout 1s; keepalive_timeout 1s;' ],
    );

    for (@servers) {
        my ($n, $how, $name, $outer, $more) = @$_;

        my $ssl = $outer ? "ssl_certificate %%TESTDIR%%/$outer.crt;"
                           . "ssl_certificate_key %%TESTDIR%%/$outer.key;" : '';
        $more ||= '';

        $servers .= <<"EOC";
    server {
        listen 127.0.0.1:%%PORT_$n%% $how;
        $ssl
        $more

        location /.well-known/atls {
            atls on;
            atls_certificate %%TESTDIR%%/$name.crt;
            atls_certificate_key %%TESTDIR%%/$name.key;
            access_log %%TESTDIR%%/outer.log outer;
        }

$inside
    }
EOC
    }

    return Test::Atls::http_conf(<<"EOC");
log_format outer 'ua=\$http_user_agent x=\$http_x_outer '
                 'type=\$http_content_type';

atls_zone atls:$zone;
client_max_body_size 0;

$servers
EOC
}


# Only "openssl ca" has an option for the dates.

sub _expired_cert {
    my ($self, $name) = @_;

    my $dir = $self->dir();

    $self->make_cert($name, san => 'DNS:localhost');
    $self->write_file('ext', "subjectAltName=DNS:localhost\n");
    $self->write_file('index', '');
    $self->write_file('serial', "07\n");
    $self->write_file('ca.conf', <<'EOC');
[ ca ]
default_ca = this
[ this ]
database = index
serial = serial
new_certs_dir = .
policy = any
default_md = sha256
[ any ]
commonName = supplied
EOC

    my $command = "cd $dir && { openssl req -new -key $name.key"
                  . " -subj /CN=localhost -config openssl.conf"
                  . " -out $name.csr && openssl ca -batch -config ca.conf"
                  . " -cert ca.crt -keyfile ca.key -in $name.csr"
                  . " -startdate 20200101000000Z -enddate 20210101000000Z"
                  . " -extfile ext -notext -out $name.crt; }"
                  . " >openssl.out 2>&1 </dev/null";

    system($command) == 0 or die "$command\n", $self->read_file('openssl.out');
}


1;
