package Test::Atls::ClientCert;

# Servers with client certificate verification, over ATLS and over HTTPS.
#
#     use Test::Atls::ClientCert;             # $t runs
#     my $c = client({ stack => 'gnutls', protocol => 'TLSv1.3' }, 'on',
#                    'alice');                # at /on, with alice's certificate
#     is(session($c), '200 . SUCCESS CN=alice', 'she is known');

use strict;
use warnings;

use Digest::MD5 qw( md5_hex );
use Exporter qw( import );
use MIME::Base64 qw( decode_base64 );

use Test::Atls;
use Test::Atls::Authority;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( parse_responses );

our @EXPORT = qw(
    @PROTOCOLS $t $ca POSTS make_certificates names make_chain append
    configure directives endpoint https_server brief identity client https
    port_of logged outcome session everywhere der
);

use constant POSTS => 20;               # enough for all workers

our @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

# Each has a location, and an HTTPS server.  %s is atls or ssl.

my %POLICIES = (
    on             => '%s_verify_client on;',
    optional       => '%s_verify_client optional;',
    optional_no_ca => '%s_verify_client optional_no_ca;',
    no_ca_crl      => '%s_verify_client optional_no_ca;
                       %s_crl %%TESTDIR%%/ca.crl;',
    off            => '%s_verify_client off;',
    depth1         => '%s_verify_client on; %s_verify_depth 1;',
    depth2         => '%s_verify_client on; %s_verify_depth 2;',
    crl            => '%s_verify_client on; %s_crl %%TESTDIR%%/ca.crl;',
    trusted        => '%s_verify_client on;
                       %s_client_certificate %%TESTDIR%%/other.crt;
                       %s_trusted_certificate %%TESTDIR%%/ca.crt;',
);

my @POLICIES = sort keys %POLICIES;
my $FIRST_PORT = 10;

my @VARIABLES = qw( verify s_dn i_dn serial fingerprint v_start v_end cert
                    escaped_cert );

our $t = Test::Atls->new();
our $ca = make_certificates();

configure();

$t->run();

Test::Atls::Backend->start($t, $t->port(2));


# Client certificates, and a list of revoked ones.  The chain of "two" has three
# certificates, that of "one" two.

sub make_certificates {

    # subjects are UTF-8; Test::Atls::Cert does not overwrite this file

    $t->write_file('openssl.conf', <<'EOC');
[ req ]
distinguished_name = dn
prompt = no
utf8 = yes
string_mask = utf8only
[ dn ]
EOC

    $t->make_cert('stranger');
    $t->make_cert('other', is_ca => 1);

    my $ca = Test::Atls::Authority->new($t, 'ca');

    $ca->issue($_) for qw( alice bob carol );
    $ca->issue('fancy', subject => '/C=DE/O=Müller, "Söhne" \\+ <Co>;'
                                   . '/OU=a=b,c\\\\d/CN=Ж \'x\'  #1');
    $ca->issue('large', san => names(260));
    $ca->issue('huge', san => names(600));

    make_chain();

    $ca->revoke('bob');
    $ca->crl('ca.crl');

    return $ca;
}


sub names {
    my ($n) = @_;

    return join ',', map { "DNS:host-$_.certificates.example" } 1 .. $n;
}


sub make_chain {
    $t->make_cert('inter1', ca => 'ca', is_ca => 1);
    $t->make_cert('inter2', ca => 'inter1', is_ca => 1);
    $t->make_cert('one', ca => 'inter1');
    $t->make_cert('two', ca => 'inter2');

    append('one.crt', 'inter1.crt');
    append('two.crt', 'inter2.crt', 'inter1.crt');
}


sub append {
    my ($file, @others) = @_;

    $t->write_file($file, join '', map { $t->read_file($_) } $file, @others);
}


# The configuration.

sub configure {
    my (%set) = (ZONE => '1m', CHANGING => 'off', @_);

    my $who = join '', map { "$_=\$%s_client_$_\\n" } @VARIABLES;
    my $conf = http_conf(<<'EOC');
log_format atls '$http_x_case $status $atls_client_verify';
log_format ssl '$http_x_case $status $ssl_client_verify';

atls_zone clients:%%ZONE%%;

%%CERTIFICATE%%
atls_client_certificate %%TESTDIR%%/ca.crt;

%%SSL_CERTIFICATE%%
ssl_client_certificate %%TESTDIR%%/ca.crt;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    access_log %%TESTDIR%%/atls.log atls;

%%ENDPOINTS%%
    location = /trusted_only {
        atls on;
        atls_verify_client on;
        atls_client_certificate "";
        atls_trusted_certificate %%TESTDIR%%/ca.crt;
    }

    location = /changing {
        atls on;
        atls_verify_client %%CHANGING%%;
    }

    location = /brief {
        atls on;
        atls_verify_client on;
        atls_session_lifetime 1s;
    }

    location = /who {
        return 200 "%%WHO_ATLS%%";
    }

    location = /session {
        return 200 "$pid $atls_session_reused $atls_client_verify
                    $atls_client_s_dn";
    }

    location = /pid-and-who {
        return 200 "$pid %%WHO_ATLS%%";
    }

    location = /rfc9440 {
        return 200 $atls_client_cert_rfc9440;
    }

    location = /echo {
        proxy_pass http://127.0.0.1:%%PORT_2%%;
        proxy_set_header X-Verify $atls_client_verify;
        proxy_set_header X-Subject $atls_client_s_dn;
        proxy_set_header Client-Cert $atls_client_cert_rfc9440;
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;

    atls_verify_client on;

    location = /.well-known/atls {
        atls on;
    }

    error_page 495 =403 /failed;
    error_page 496 =401 /missing;

    location = /failed {
        return 200 "failed: $atls_client_verify";
    }

    location = /missing {
        return 200 "missing: $atls_client_verify";
    }
}

server {
    listen 127.0.0.1:%%PORT_3%% ssl;

    ssl_verify_client on;

    error_page 495 =403 /failed;
    error_page 496 =401 /missing;

    location = /failed {
        return 200 "failed: $ssl_client_verify";
    }

    location = /missing {
        return 200 "missing: $ssl_client_verify";
    }
}

%%SERVERS%%
EOC

    $set{ENDPOINTS} = join '', map { endpoint($_) } @POLICIES;
    $set{SERVERS} = join '', map { https_server($_, $who) } 0 .. $#POLICIES;
    $set{WHO_ATLS} = $who =~ s/%s/atls/gr;

    $conf =~ s/%%$_%%/$set{$_}/g for keys %set;
    $t->write_conf($conf);
}


sub directives {
    my ($policy, $prefix) = @_;

    return $POLICIES{$policy} =~ s/%s/$prefix/gr;
}


sub endpoint {
    my ($policy) = @_;

    my $directives = directives($policy, 'atls');

    return <<"EOC";
        location = /$policy {
            atls on;
            $directives
        }

EOC
}


sub https_server {
    my ($n, $who) = @_;

    my $port = $FIRST_PORT + $n;
    my $directives = directives($POLICIES[$n], 'ssl');

    $who =~ s/%s/ssl/g;

    return <<"EOC";
    server {
        listen 127.0.0.1:%%PORT_$port%% ssl;

        access_log %%TESTDIR%%/ssl.log ssl;

        $directives

        location = /who {
            return 200 "$who";
        }
    }

EOC
}


# Replaces long values, such as certificates, by their MD5, for failure
# messages.

sub brief {
    my ($who) = @_;

    my $long = qr/^(\w+=)(.{100,}?)(?=^\w+=|\z)/ms;

    return $who =~ s/$long/$1 . md5_hex($2) . "\n"/ger;
}


# requests; a client without a name has no certificate

sub identity {
    my ($who) = @_;

    return () if $who eq '';
    return (cert => $t->path("$who.crt"), key => $t->path("$who.key"));
}


sub client {
    my ($on, $policy, $who, %args) = @_;

    my $c = $t->stack($on->{stack}, protocol => $on->{protocol},
                      uri => "/$policy", keepalive => 0, identity($who), %args);

    $c->handshake();

    return $c;
}


sub https {
    my ($port, $who, $uri, %headers) = @_;

    my $request = Test::Atls::Client::format_request('GET', $uri, '',
                                                     %headers);
    my ($r) = parse_responses(http_raw($port, $request, answers => 1, tls => 1,
                                       identity($who)));

    return $r;
}


sub port_of {
    my ($policy) = @_;

    my ($n) = grep { $POLICIES[$_] eq $policy } 0 .. $#POLICIES;

    return $t->port($FIRST_PORT + $n);
}


# The status and the verification result in the log.

sub logged {
    my ($log, $case) = @_;

    my @said;

    $t->wait_for(sub {
        @said = $t->read_file($log) =~ /^\Q$case\E (\d+) (.*)$/m;
    });

    return @said;
}


# The status of the request, or that of its POST.

sub outcome {
    my ($c, $uri) = @_;

    my $r = $c->get($uri);

    return $r->status() if $r;

    $r = $c->last_response();

    return $r ? 'POST: ' . $r->status() : 'no answer';
}


# The response in one line, without the pid of the worker.

sub session {
    my ($c) = @_;

    my $r = $c->get('/session');

    return $r ? $r->status() . $r->body() =~ s/^\d+//r =~ s/\s+/ /gr : 'none';
}


# Sends a request over several connections.  Returns the number of workers, and
# the different responses.

sub everywhere {
    my ($c, $uri) = @_;

    my (%workers, %answers);

    for (1 .. POSTS) {
        my $r = $c->get($uri);
        my ($pid, $answer) = $r ? $r->body() =~ /^(\d+) (.*)/s : ('', '');

        $workers{$pid}++;
        $answers{brief($answer)}++;
    }

    return (scalar keys %workers, \%answers);
}


sub der {
    my ($who) = @_;

    my ($pem) = $t->read_file("$who.crt") =~ /BEGIN CERTIFICATE-+\n(.*?)-+END/s;

    return decode_base64($pem);
}


1;
