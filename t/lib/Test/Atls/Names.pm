package Test::Atls::Names;

# Servers with several names, for tests of SNI.
#
#     use Test::Atls::Names;                  # $t runs
#     my $c = client({ stack => 'gnutls', protocol => 'TLSv1.3' },
#                    sni => 'b.example');
#     is(said($c, get('b.example')), 'b', 'a name');

use strict;
use warnings;

use Exporter qw( import );

use Test::Atls;
use Test::Atls::Authority;
use Test::Atls::Backend;
use Test::Atls::Client;

our @EXPORT = qw(
    @PROTOCOLS $t $has_h2 make_certificates configure servers server who
    certificate verifying client said get
);

our @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

our $t = Test::Atls->new();

our $has_h2 = $t->has_option('http_v2_module');
my ($listen_h2, $http2) = $t->http2();

make_certificates();
configure();

$t->run();

Test::Atls::Backend->start($t, $t->port(2));


sub make_certificates {
    $t->make_cert($_) for qw( a b c c-endpoint wild re verify h1 h2 stranger );

    my $ca = Test::Atls::Authority->new($t, 'ca');

    $ca->issue('alice');
    $ca->crl('ca.crl');
}


# The configuration: the first server has endpoints for all names, except for
# "c" with its own.

sub configure {
    my (@names) = @_ ? @_ : qw( b verify );

    my %servers = servers();
    my %http2 = (LISTEN_H2 => $listen_h2, HTTP2 => $http2);
    my $conf = http_conf(<<'EOC');
%%HTTP2%%

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    server_name a.example alias.example;

%%CERT_a%%

    location = /atls {
        atls on;
    }

    location = /mixed {
        atls on;
    }

    location = /pinned {
        atls on;
        return 200 "pinned a\n";
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_2%%/body;
    }

    location / {
        return 200 "%%WHO:a%%";
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name c.example;

%%CERT_c%%

    location = /atls {
        atls on;
%%CERT_c-endpoint%%
    }

    location = /mixed {
        atls on;
        return 200 "mixed c\n";
    }

    location = /pinned {
        atls on;
        return 200 "pinned c\n";
    }

    location / {
        return 200 "%%WHO:c%%";
    }
}

%%SERVERS%%
server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name old.example;
    atls_protocols TLSv1.2;

%%CERT_a%%

    location = /atls {
        atls on;
    }

    location / {
        return 200 "$atls_protocol $atls_cipher";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name new.example;
    atls_protocols TLSv1.3;

%%CERT_b%%

    location / {
        return 200 "$atls_protocol";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;
    server_name both.example;
    atls_ciphers ECDHE-ECDSA-CHACHA20-POLY1305;

%%CERT_c%%

    location / {
        return 200 "$atls_protocol $atls_cipher";
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name strict.example;

%%CERT_verify%%
%%VERIFY%%

    location = /atls {
        atls on;
    }

    location / {
        return 200 "%%WHO:strict%%";
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name same.example;

%%VERIFY%%

    location / {
        return 200 "%%WHO:same%%";
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name stricter.example;
    atls_crl %%TESTDIR%%/ca.crl;

%%VERIFY%%

    location / {
        return 200 "%%WHO:stricter%%";
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name nobody.example;
    atls_verify_client on;

    location / {
        return 200 "%%WHO:nobody%%";
    }
}

server {
    listen 127.0.0.1:%%PORT_3%%;
    listen 127.0.0.1:%%PORT_5%% %%LISTEN_H2%%;
    server_name h1.example;
    atls_ecdh_curve secp384r1;

%%CERT_h1%%

    location = /atls {
        atls on;
    }
}

server {
    listen 127.0.0.1:%%PORT_3%%;
    listen 127.0.0.1:%%PORT_5%%;
    server_name h2.example;

%%CERT_h2%%

    location / {
        return 200 "h2 $atls_server_name $atls_curve";
    }
}
EOC

    $conf =~ s/%%SERVERS%%/join '', map { $servers{$_} } @names, 'always'/e;
    $conf =~ s/%%(LISTEN_H2|HTTP2)%%/$http2{$1}/g;
    $conf =~ s/%%VERIFY%%\n/verifying('on')/ge;
    $conf =~ s/%%CERT_([\w-]+)%%/certificate($1)/ge;
    $conf =~ s/%%WHO:(.*?)%%/who($1)/ge;

    $t->write_conf($conf);
}


# Servers without an endpoint.

sub servers {
    my $verify = verifying('on');

    return (
        b => server('b.example www.b.example', 'b', certificate('b')),
        verify => server('verify.example', 'verify', certificate('verify'),
                         $verify),
        late => server('late.example', 'late', certificate('b'), $verify),
        always => join('', server('*.wild.example', 'wild',
                                  certificate('wild')),
                           server('~^(?<x>.+)\.re\.example$', 're $x',
                                  certificate('re')),
                           server('optional.example', 'optional',
                                  certificate('verify'),
                                  verifying('optional')),
                           server('bare.example', 'bare'),
                           server('bare-verify.example', 'bare-verify',
                                  $verify)),
    );
}


sub server {
    my ($names, $text, @directives) = @_;

    my $who = who($text);

    return <<"EOC";
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name $names;

@directives
        location / {
            return 200 "$who";
        }
    }

EOC
}


# The response: name of the server, variables of the session, pid.

sub who {
    my ($text) = @_;

    return "$text\\n\$atls_server_name\\n\$atls_session_reused "
           . "\$atls_client_verify\\n\$pid\\n";
}


sub certificate {
    my ($name) = @_;

    return "        atls_certificate %%TESTDIR%%/$name.crt;\n"
           . "        atls_certificate_key %%TESTDIR%%/$name.key;\n";
}


sub verifying {
    my ($how) = @_;

    return "        atls_verify_client $how;\n"
           . "        atls_client_certificate %%TESTDIR%%/ca.crt;\n";
}


sub client {
    my ($on, %args) = @_;

    my $who = delete $args{who};

    @args{qw( cert key )} = ($t->path("$who.crt"), $t->path("$who.key"))
        if defined $who && $who ne '';

    my $c = $t->stack($on->{stack}, protocol => $on->{protocol}, uri => '/atls',
                      keepalive => 0, %args);

    $c->handshake();

    return $c;
}


# The first lines of a response, joined; or another status, which may be that of
# the POST.

sub said {
    my ($c, $request, $lines) = @_;

    my $r = $c->http($request);

    if (!$r) {
        $r = $c->last_response() or return 'no answer';
        return 'POST: ' . $r->status();
    }

    return $r->status() if $r->status() != 200;
    return join '|', (split /\n/, $r->body())[0 .. ($lines || 1) - 1];
}


sub get {
    my ($host) = @_;

    return Test::Atls::Client::format_request('GET', '/', '', Host => $host);
}


1;
