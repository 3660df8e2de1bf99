#!/usr/bin/perl

# Client certificates: verification and variables, in every worker and after a
# resumption.  For reloads, see t/client-cert-reload.t.  The reference is the
# same nginx with HTTPS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use MIME::Base64 qw( decode_base64 );
use Test::More;

use Test::Atls::ClientCert;
use Test::Atls::Stack qw( @STACKS );

# Policy, client, status, $atls_client_verify.  The chains of "one" and "two"
# have one and two intermediate certificates.

my $SELF_SIGNED = qr/^FAILED:self.signed certificate$/;

# messages of OpenSSL depend on where it stops

my $TOO_LONG = qr/^FAILED:(?:unable to get .*issuer|certificate chain too)/;

my @CASES = (
    [ on => '', 400, qr/^NONE$/ ],
    [ on => 'alice', 200, qr/^SUCCESS$/ ],
    [ on => 'stranger', 400, $SELF_SIGNED ],

    [ optional => '', 200, qr/^NONE$/ ],
    [ optional => 'alice', 200, qr/^SUCCESS$/ ],
    [ optional => 'stranger', 400, $SELF_SIGNED ],

    # only an unknown issuer is ignored

    [ optional_no_ca => '', 200, qr/^NONE$/ ],
    [ optional_no_ca => 'alice', 200, qr/^SUCCESS$/ ],
    [ optional_no_ca => 'stranger', 200, $SELF_SIGNED ],
    [ no_ca_crl => 'alice', 200, qr/^SUCCESS$/ ],
    [ no_ca_crl => 'bob', 400, qr/^FAILED:certificate revoked$/ ],

    # no certificate is requested

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

# Clients whose variables are all compared.

my @NAMED = qw( alice fancy large );

my %references = map { ("@$_[0, 1]" => reference(@$_)) } @CASES;

for my $stack (@STACKS) {
    for my $protocol (@PROTOCOLS) {
        my $on = { name => "$stack, $protocol", stack => $stack,
                   protocol => $protocol };

        verified($on, @$_) for @CASES;
        described($on, $_) for @NAMED;
        passed_on($on);
        error_pages($on);
        resumed($on);
    }
}

$t->done_testing();


# The expected values are those of HTTPS.

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


# The certificate is passed to a backend.  A client that is known only by
# atls_trusted_certificate.

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


# The ticket contains the client's identity; there is no certificate on
# resumption.

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

        # with TLS 1.2, the ticket may be used again

        $session = $c->session() || $session;
    }

    not_laundered($on, $name);
}


sub ticket {
    my ($on, $policy, $who, $name) = @_;

    my $c = client($on, $policy, $who);
    my $r = $c->get('/session');        # receives TLS 1.3 tickets

    isnt($c->session(), '', "$name: a ticket of $policy, '$who'");

    return $c->session();
}


# A ticket is not accepted with another policy, and a failed verification
# remains failed.

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
