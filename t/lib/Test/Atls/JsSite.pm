package Test::Atls::JsSite;

# The servers for tests of the JavaScript client, and its options.
#
#     my $t = Test::Atls::JsSite->new();
#     $t->run();
#     my $options = $t->options(base => 'https://127.0.0.1:' . $t->port(2));
#     $t->cases($package);                    # those of Node.js
#
#     port 0      the endpoints: /atls, or another one; /other, for other
#                 origins only; /short, with sessions of five seconds; /client,
#                 which requires a client certificate
#     port 1      the pages: the package in /atls, the directory "pages", and
#                 /results, whose bodies are in results.log
#     port 2      as port 0, over TLS
#     port 9      the backend

use strict;
use warnings;

use JSON::PP qw( encode_json );
use Test::More ();

use Test::Atls::Backend;
use Test::Atls::JsPackage qw( js_cases );
use Test::Atls::Pattern qw( pattern );

use parent 'Test::Atls';

use constant LARGE => 10 << 20;


sub new {
    my ($class, %args) = @_;

    my $self = $class->SUPER::new(%args);
    my $root = Test::Atls::root();
    my $endpoint = $args{endpoint} || '/atls';

    $self->make_cert('ca', is_ca => 1);
    $self->make_cert('wrong', is_ca => 1);
    $self->make_cert('localhost', ca => 'ca', san => 'DNS:localhost');
    $self->make_cert('outer', san => 'DNS:localhost,IP:127.0.0.1');
    $self->_make_client();

    $self->{backend} = Test::Atls::Backend->start($self, $self->port(9));

    $self->write_http(<<"EOC");
%%CERTIFICATE%%

%%SSL_CERTIFICATE_outer%%

log_format  outer    '\$request_method \$status \$http_origin';
log_format  results  escape=none '\$request_body';

types {
    text/html        html;
    text/css         css;
    text/javascript  js mjs;
    application/wasm wasm;
}

server {
    listen  127.0.0.1:%%PORT_1%%;
    root    %%TESTDIR%%/pages;

    client_body_buffer_size 1m;

    location /atls/ { alias $root/build/js/; }
    location /js/ { alias $root/t/js/; }

    location = /results {
        access_log %%TESTDIR%%/results.log results;
        proxy_pass http://127.0.0.1:%%PORT_9%%;
    }
}

server {
    listen       127.0.0.1:%%PORT_0%%;
    listen       127.0.0.1:%%PORT_2%% ssl;
    server_name  localhost;
    client_max_body_size 0;

    atls_session_tracking  location;
    atls_cors              http://localhost:%%PORT_1%%;

    location ^~ $endpoint {
        atls on;
        client_max_body_size 1m;
        access_log %%TESTDIR%%/outer.log outer;
    }

    location /other {
        atls on;
        atls_session_tracking cookie;
        atls_cors off;
    }

    location /short {
        atls on;
        atls_session_timeout 5s;
    }

    location /client {
        atls on;
        atls_verify_client on;
        atls_client_certificate %%TESTDIR%%/ca.crt;
    }

    location = /who {
        return 200 "\$atls_client_verify \$atls_client_s_dn";
    }

    location /info {
        add_header X-Answer yes;
        return 200
            "\$request_method \$atls_protocol \$atls_session_requests \$atls_session_reused";
    }

    location = /none { return 204; }
    location = /json { return 200 '{"number":7}'; }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_9%%;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_request_buffering off;
    }
}
EOC

    return $self;
}


# base => 'http://127.0.0.1:1234' of a middlebox

sub options {
    my ($self, %args) = @_;

    my $base = delete $args{base} || 'http://127.0.0.1:' . $self->port(0);

    return { via => "$base/atls", other => "$base/other",
             short => "$base/short", verified => "$base/client",
             host => 'localhost', ca => $self->read_file('ca.crt'),
             wrong => $self->read_file('wrong.crt'),
             identity => { cert => $self->read_file('alice.crt')
                                   . $self->read_file('inter.crt'),
                           key => $self->read_file('alice.enc'),
                           passphrase => 'secret' },
             plain => $self->read_file('alice.crt')
                      . $self->read_file('inter.crt')
                      . $self->read_file('alice.key'),
             large => LARGE, sum => _sum(), %args };
}


# A certificate with a chain, and its key, with a passphrase.  The module has no
# DES, which is the default of "openssl req".

sub _make_client {
    my ($self) = @_;

    $self->make_cert('inter', ca => 'ca', is_ca => 1);
    $self->make_cert('alice', ca => 'inter');

    system('openssl', 'pkey', '-in', $self->path('alice.key'), '-aes256',
           '-passout', 'pass:secret', '-out', $self->path('alice.enc')) == 0
        or die "alice.key\n";
}


# Runs the cases of a package in Node.js.

sub cases {
    my ($self, $package) = @_;

    my $options = $self->write_file('options.json',
                                    encode_json($self->options()));

    js_cases($self, 'node.mjs', 53, $package, $options);
    $self->{backend}->forget();
    js_cases($self, 'lost.mjs', 9, $package, $options);

    # the backend has received each request once, although POSTs were repeated

    my %n;

    $n{$_->{first}}++ for grep { $_->{uri} eq '/body' }
                          $self->{backend}->requests();

    Test::More::is(
        join(' ', map { "$_:$n{$_}" } sort keys %n),
        join(' ', map { my $fault = $_; map { "$fault $_:1" } 0 .. 2 }
                      qw( 502 503 half request response )),
        'each request was received once');
}


# The hash that cases.js computes.

sub _sum {
    my $hash = 0;

    use integer;

    $hash = ($hash * 31 + $_) & 0xffffffff
        for unpack 'C*', pattern(LARGE);

    return $hash;
}


1;
