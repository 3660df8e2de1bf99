#!/usr/bin/perl

# Client certificates: who is let in, and what the variables say of whom: on
# every worker, after a reload, after a resumption.  The reference is what the
# same nginx does and says over HTTPS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use MIME::Base64 qw( decode_base64 );
use Test::More;

use Test::Atls;
use Test::Atls::Authority;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( parse_responses );
use Test::Atls::Stack qw( @STACKS );

use constant {
    POSTS      => 20,       # to all workers
    HANDSHAKES => ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 100 : 500,
                            # in the smallest zone
    FIT        => 20,       # sessions that have room in it
};

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

# A location each, and a server of HTTPS: %s is atls or ssl.

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

# Policy, client, status, $atls_client_verify.  "one" and "two" are as many
# certificates away from the authority.

my $SELF_SIGNED = qr/^FAILED:self.signed certificate$/;

# OpenSSL looks no further than it may

my $TOO_LONG = qr/^FAILED:(?:unable to get .*issuer|certificate chain too)/;

my @CASES = (
    [ on => '', 400, qr/^NONE$/ ],
    [ on => 'alice', 200, qr/^SUCCESS$/ ],
    [ on => 'stranger', 400, $SELF_SIGNED ],

    [ optional => '', 200, qr/^NONE$/ ],
    [ optional => 'alice', 200, qr/^SUCCESS$/ ],
    [ optional => 'stranger', 400, $SELF_SIGNED ],

    # an unknown issuer is all that is forgiven

    [ optional_no_ca => '', 200, qr/^NONE$/ ],
    [ optional_no_ca => 'alice', 200, qr/^SUCCESS$/ ],
    [ optional_no_ca => 'stranger', 200, $SELF_SIGNED ],
    [ no_ca_crl => 'alice', 200, qr/^SUCCESS$/ ],
    [ no_ca_crl => 'bob', 400, qr/^FAILED:certificate revoked$/ ],

    # nobody is asked

    [ off => '', 200, qr/^NONE$/ ],
    [ off => 'alice', 200, qr/^NONE$/ ],

    [ depth1 => 'one', 200, qr/^SUCCESS$/ ],
    [ depth1 => 'two', 400, $TOO_LONG ],
    [ depth2 => 'two', 200, qr/^SUCCESS$/ ],

    [ crl => 'alice', 200, qr/^SUCCESS$/ ],
    [ crl => 'bob', 400, qr/^FAILED:certificate revoked$/ ],
    [ on => 'bob', 200, qr/^SUCCESS$/ ],

    [ trusted => '', 400, qr/^NONE$/ ],
    [ trusted => 'alice', 200, qr/^SUCCESS$/ ],
    [ trusted => 'stranger', 400, $SELF_SIGNED ],
);

# Those of whom all is compared.

my @NAMED = qw( alice fancy large );

my @VARIABLES = qw( verify s_dn i_dn serial fingerprint v_start v_end cert
                    escaped_cert );

my $t = Test::Atls->new();
my $ca = make_certificates();

configure();

$t->run();

Test::Atls::Backend->start($t, $t->port(2));

my %references = map { ("@$_[0, 1]" => reference(@$_)) } @CASES;
my @kept;

for my $stack (@STACKS) {
    for my $protocol (@PROTOCOLS) {
        my $on = { name => "$stack, $protocol", stack => $stack,
                   protocol => $protocol };

        verified($on, @$_) for @CASES;
        described($on, $_) for @NAMED;
        passed_on($on);
        error_pages($on);
        too_large($on);
        resumed($on);

        push @kept, $on;
    }
}

reloaded();
small_zone();

$t->done_testing();


# Certificates of clients, and a list of those that are taken back.  "two" is a
# chain of three certificates, "one" of two.

sub make_certificates {

    # subjects are UTF-8; the harness makes this file only if there is none

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


# What a failure has room for: long values, certificates that is, by their hash.

sub brief {
    my ($who) = @_;

    my $long = qr/^(\w+=)(.{100,}?)(?=^\w+=|\z)/ms;

    return $who =~ s/$long/$1 . md5_hex($2) . "\n"/ger;
}


# Requests.  A client with no name has no certificate.

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


# What was said of the request: status and verification.

sub logged {
    my ($log, $case) = @_;

    my @said;

    $t->wait_for(sub {
        @said = $t->read_file($log) =~ /^\Q$case\E (\d+) (.*)$/m;
    });

    return @said;
}


# The status of the request, or that of the POST it was in.

sub outcome {
    my ($c, $uri) = @_;

    my $r = $c->get($uri);

    return $r->status() if $r;

    $r = $c->last_response();

    return $r ? 'POST: ' . $r->status() : 'no answer';
}


# One line, without what of it differs from worker to worker.

sub session {
    my ($c) = @_;

    my $r = $c->get('/session');

    return $r ? $r->status() . $r->body() =~ s/^\d+//r =~ s/\s+/ /gr : 'none';
}


# The same request by a connection each: how many workers have served it, and
# the different answers.

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


# What HTTPS does is what is expected of it.

sub reference {
    my ($policy, $who, $status, $verify) = @_;

    my $case = "https-$policy-$who";
    my $r = https(port_of($policy), $who, '/who', 'X-Case' => $case);
    my ($said, $verified) = logged('ssl.log', $case);

    is($said, $status, "HTTPS, $policy, '$who': status");
    like($verified, $verify, "HTTPS, $policy, '$who': verification");

    return brief($r->body());
}


sub verified {
    my ($on, $policy, $who, $status, $verify) = @_;

    my $name = "$on->{name}, $policy, '$who'";
    my $case = $name =~ s/\W+/-/gr;
    my $c = client($on, $policy, $who);
    my $r = $c->get('/who', 'X-Case' => $case);

    is($r ? $r->status() : $c->error(), $status, "$name: status");
    is(brief($r && $r->body()), $references{"$policy $who"},
       "$name: as over HTTPS");

    my ($said, $verified) = logged('atls.log', $case);

    is($said, $status, "$name: status in the log");
    like($verified, $verify, "$name: verification in the log");
    is(defined $c->cookie(), $status == 200, "$name: the session's fate");
}


# All variables, in all workers.

sub described {
    my ($on, $who) = @_;

    my $name = "$on->{name}, $who";
    my $c = client($on, 'on', $who);
    my ($workers, $answers) = everywhere($c, '/pid-and-who');

    $references{"on $who"} ||= brief(https(port_of('on'), $who, '/who')
                                         ->body());

    is_deeply($answers, { $references{"on $who"} => POSTS },
              "$name: variables are as those of HTTPS");
    cmp_ok($workers, '>', 1, "$name: in several workers");
    unlike($references{"on $who"}, qr/^\w+=$/m, "$name: there are all of them");

    my $r = $c->get('/rfc9440');
    my ($base64) = ($r ? $r->body() : '') =~ /^:([A-Za-z0-9+\/=]+):$/;
    is(md5_hex(decode_base64($base64 || '')), md5_hex(der($who)),
       "$name: RFC 9440");
}


# To a backend; and a client that only a trusted authority makes known.

sub passed_on {
    my ($on) = @_;

    my $c = client($on, 'optional_no_ca', 'stranger');
    my $r = $c->get('/echo');
    my $body = $r ? $r->body() : $c->error();
    my ($cert) = $body =~ /^Client-Cert: :(.*):$/m;

    like($body, qr/^X-Verify: FAILED:self.signed certificate$/m,
         "$on->{name}: the backend hears of a failure");
    is(md5_hex(decode_base64($cert || '')), md5_hex(der('stranger')),
       "$on->{name}: and of the certificate");

    $r = client($on, 'trusted_only', 'alice')->get('/echo');
    like($r && $r->body(), qr/^X-Verify: SUCCESS\r?\nX-Subject: CN=alice$/m,
         "$on->{name}: atls_trusted_certificate alone");
}


sub error_pages {
    my ($on) = @_;

    for ([ 'stranger', 403, qr/^failed: FAILED:self.signed certificate$/ ],
         [ '', 401, qr/^missing: NONE$/ ])
    {
        my ($who, $status, $text) = @$_;
        my $name = "$on->{name}, '$who': error_page";
        my $c = client($on, '.well-known/atls', $who, port => $t->port(1));
        my $r = $c->get('/');
        my $https = https($t->port(3), $who, '/');

        like($r && $r->body(), $text, "$name: text");
        is_deeply([ $r && ($r->status(), $r->body()), $status ],
                  [ $https->status(), $https->body(), $status ],
                  "$name: as over HTTPS");
    }
}


# A certificate of more than 16 KB is refused, and nothing else suffers.

sub too_large {
    my ($on) = @_;

    my $c = client($on, 'on', 'huge');
    my $r = $c->last_response();

    isnt($c->error(), '', "$on->{name}: too large a certificate");
    is($r && $r->status(), 500, "$on->{name}: the POST fails");
    is($c->cookie(), undef, "$on->{name}: no session");

    my @said = $t->read_file('error.log')
               =~ /too large certificate: \d+ bytes/g;
    is(scalar @said, @kept + 1, "$on->{name}: the log says so");

    is(session(client($on, 'on', 'alice')), '200 . SUCCESS CN=alice',
       "$on->{name}: others go on");
}


# Who the client is comes with the ticket; resuming, it has no certificate.

sub resumed {
    my ($on) = @_;

    my $name = "$on->{name}, resumed";
    my $session = ticket($on, 'on', 'large', $name);

    for my $generation (1, 2) {
        my $c = client($on, 'on', '', session => $session);

        is($c->resumed(), 1, "$name, $generation");
        is(session($c), '200 r SUCCESS CN=large', "$name, $generation: client");

        my ($workers, $answers) = everywhere($c, '/pid-and-who');
        is_deeply($answers, { $references{'on large'} => POSTS },
                  "$name, $generation: variables");
        cmp_ok($workers, '>', 1, "$name, $generation: in several workers");

        # TLS 1.2 may go on with the same one

        $session = $c->session() || $session;
    }

    not_laundered($on, $name);
}


sub ticket {
    my ($on, $policy, $who, $name) = @_;

    my $c = client($on, $policy, $who);
    my $r = $c->get('/session');        # TLS 1.3's tickets come with it

    isnt($c->session(), '', "$name: a ticket of $policy, '$who'");

    return $c->session();
}


# Another policy takes another handshake, and a failure stays one.

sub not_laundered {
    my ($on, $name) = @_;

    my $session = ticket($on, 'optional_no_ca', 'stranger', $name);
    my $c = client($on, 'optional_no_ca', '', session => $session);

    like(session($c), qr/^200 r FAILED:self.signed certificate CN=stranger$/,
         "$name: a failed verification stays one");

    $c = client($on, 'on', '', session => $session);
    is(outcome($c, '/session'), 400, "$name: a ticket of another policy");

    $c = client($on, 'on', 'alice', session => $session);
    is(session($c), '200 . SUCCESS CN=alice',
       "$name: a ticket of another policy, but a certificate");

    for ([ 'off', '' ], [ 'on', '' ], [ 'on', 'stranger' ]) {
        my ($policy, $who) = @$_;

        $session = ticket($on, $policy, $who, $name);
        $c = client($on, 'on', '', session => $session);
        is(outcome($c, '/session'), 400,
           "$name: a ticket of $policy, '$who' is none of on");
    }
}


# A reload ends the sessions of clients that would have to be asked again.

sub reloaded {
    keep($_) for @kept;

    ok($t->reload(), 'reload');
    is_deeply(outcomes($_), { map { $_ => 200 } keys %{$_->{clients}} },
              "$_->{name}: the same configuration keeps all sessions")
        for @kept;

    $ca->revoke('carol');
    $ca->crl('ca.crl');
    configure(CHANGING => 'on');

    ok($t->reload(), 'reload with another list, and more to be verified');

    after_change($_) for @kept;

    $t->wait_for_log(qr/must be verified again/);
    like($t->read_file('error.log'),
         qr/\[info\] .*session closed: the client must be verified again/,
         'the log says why sessions end');
}


sub keep {
    my ($on) = @_;

    for ([ crl => 'alice' ], [ crl => 'carol' ], [ on => 'carol' ],
         [ changing => 'alice' ], [ changing => '' ])
    {
        my $c = $on->{clients}{"@$_"} = client($on, @$_);

        $c->get('/session');
        $on->{tickets}{"@$_"} = $c->session();
    }
}


sub outcomes {
    my ($on) = @_;

    my $clients = $on->{clients};

    return { map { $_ => outcome($clients->{$_}, '/session') } keys %$clients };
}


sub after_change {
    my ($on) = @_;

    my $name = "$on->{name}, other rules";

    is_deeply(outcomes($on), { 'crl alice' => 'POST: 410',
                               'crl carol' => 'POST: 410',
                               'on carol' => 200,
                               'changing alice' => 'POST: 410',
                               'changing ' => 'POST: 410' },
              "$name: sessions");
    is_deeply([ map { $on->{clients}{$_}->cookie() } 'crl alice', 'changing ' ],
              [ undef, undef ], "$name: cookies expire");

    # policy, certificate, ticket of

    for ([ crl => 'carol', '', 400 ],
         [ crl => 'carol', 'crl carol', 400 ],
         [ crl => '', 'crl carol', 400 ],
         [ crl => '', 'crl alice', 400 ],
         [ crl => 'alice', 'crl alice', '. SUCCESS CN=alice' ],
         [ on => '', 'on carol', 'r SUCCESS CN=carol' ],
         [ changing => '', '', 400 ],
         [ changing => '', 'changing ', 400 ],
         [ changing => 'alice', 'changing alice', '. SUCCESS CN=alice' ])
    {
        my ($policy, $who, $of, $expected) = @$_;
        my $c = client($on, $policy, $who, $of ne ''
                       ? (session => $on->{tickets}{$of}) : ());

        my $case = "$name: $policy, '$who', ticket of '$of'";

        if ($expected eq '400') {
            is(outcome($c, '/session'), 400, $case);
        } else {
            is(session($c), "200 $expected", $case);
        }
    }
}


# What is kept of clients does not fill the zone, however their sessions end.

sub small_zone {
    configure(ZONE => '64k');
    ok($t->reload(), 'a zone of 64k');

    my @who = map { { identity($_) } } qw( alice fancy large );
    my $first = small('on', $who[0]);
    my $good = 0;

    for my $n (1 .. HANDSHAKES) {
        my $c = small('on', $who[$n % 3]);

        $good += outcome($c, '/session') eq '200';
        $c->close_notify() if $n % 4 == 0;
    }

    is($good, HANDSHAKES, 'many handshakes with certificates');
    is(outcome($first, '/session'), 'POST: 410', 'the first one had to go');
    is(fill('on', $who[0]), FIT, 'as many fit in as ever');

    my @brief = map { small('brief', $who[$_ % 3]) } 1 .. FIT;
    ok($t->wait_for(sub { outcome($brief[-1], '/session') ne '200' }),
       'many have expired');
    is(fill('on', $who[0]), FIT, 'as many fit in after them');

    unlike($t->read_file('error.log'), qr/has no memory|is full/,
           'there was always room');
}


sub small {
    my ($policy, $identity) = @_;

    my $c = $t->client(uri => "/$policy", %$identity);
    $c->handshake();

    return $c;
}


# Of as many sessions, those that work while all of them are there.

sub fill {
    my ($policy, $identity) = @_;

    my @c = map { small($policy, $identity) } 1 .. FIT;

    return scalar grep { outcome($_, '/session') eq '200' } @c;
}
