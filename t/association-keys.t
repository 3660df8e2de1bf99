#!/usr/bin/perl

# Associations: key files and their rotation, restarts, changes of the client
# verification, expiry.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Association;
use Test::Atls::Authority;

my $t = Test::Atls->new();
my $ca = Test::Atls::Authority->new($t, 'ca');

$ca->issue('alice');
$ca->issue('short', days => 1);
$ca->crl('ca.crl');

$t->write_file("key$_", chr(ord('a') + $_) x 80) for 1 .. 3;

my @VERIFY = ('atls_verify_client optional;',
              'atls_client_certificate %%TESTDIR%%/ca.crt;');

configure(@VERIFY);
$t->run();

subtest('random keys' => \&random_keys);
subtest('key files' => \&key_files);
subtest('client verification' => \&verification);
subtest('expiry' => \&expiry);

$t->done_testing();


sub configure {
    my $directives = join "\n", @_;
    my $short = 'location = /short { atls on; atls_association 5s reuse; }';

    $t->write_http(endpoints(other => $short) . <<"EOC"
$directives

# selected by SNI, without an endpoint

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name other.example;
}

# the server with the directive is not the default server

server {
    listen 127.0.0.1:%%PORT_1%% ssl;
    server_name default.example;
    return 200 default;
}

EOC
        . accepting(1, '$atls_association $atls_client_s_dn')
        . accepting(1, '$atls_association other', name => 'other.example'));
}


sub reconfigure {
    configure(@_);
    ok($t->reload(), 'reload');
}


sub restart {
    configure(@_);
    $t->stop();
    $t->run();
}


sub keys_of {
    return map { "atls_session_ticket_key %%TESTDIR%%/key$_;" } @_;
}


sub association {
    my ($uri, $who, @args) = @_;

    my $file = $t->path($who || 'none');

    return obtain($t, uri => $uri || '/.well-known/atls', protocol => 'TLSv1.3',
                  $who ? (cert => "$file.crt", key => "$file.key") : (), @args);
}


sub used {
    my ($a, $name) = @_;

    return direct($t, $t->port(1), $a, $name ? (sni => $name, host => $name)
                                             : ())->{body};
}


sub random_keys {
    my @a = map { association('/reuse') } 1 .. 2;

    is(used($a[0]), 'on ', 'accepted');

    reconfigure(@VERIFY);
    is(used($a[1]), 'on ', 'after a reload');

    restart(@VERIFY);
    is(used($a[1]), ' ', 'not after a restart');
}


sub key_files {
    reconfigure(@VERIFY, keys_of(1));

    my ($once, $another, $reuse) = (association(), association(),
                                    association('/reuse'));

    is(used($once), 'on ', 'for one use');
    is(used($once), ' ', 'not used again');
    is(used($reuse), 'on ', 'reusable');

    my @name = 'other.example';

    is(used(association('/reuse', undef, sni => @name), @name), 'on other',
       'another server than that of the endpoint');

    restart(@VERIFY, keys_of(1));
    association() for 1 .. 5;           # with the same numbers
    is(used($once), ' ', 'a restart: not used again');
    is(used($another), ' ', 'nobody knows whether another was used');
    is(used($reuse), 'on ', 'reusable: accepted');

    reconfigure(@VERIFY, keys_of(2, 1));

    my $new = association('/reuse');

    is(used($reuse), 'on ', 'the previous key');
    is(used($new), 'on ', 'the new key');

    reconfigure(@VERIFY, keys_of(2));
    is(used($reuse), ' ', 'without the previous key');
    is(used($new), 'on ', 'the other one is still accepted');

    reconfigure(@VERIFY, keys_of(3));
    is(used($new), ' ', 'all are revoked');
}


# A policy that was changed: nobody is accepted by the old one.

sub verification {
    my $crl = 'atls_crl %%TESTDIR%%/ca.crl;';
    my @keys = keys_of(3);

    reconfigure(@VERIFY, $crl, @keys);

    my ($alice, $none) = (association('/reuse', 'alice'),
                          association('/reuse'));

    is(used($alice), 'on CN=alice', 'a client');
    is(used($none), 'on ', 'without a certificate');

    $ca->revoke('alice');
    $ca->crl('ca.crl');
    reconfigure(@VERIFY, $crl, @keys);
    is(used($alice), ' ', 'another revocation list');

    $none = association('/reuse');
    is(used($none), 'on ', 'accepted by it');

    reconfigure('atls_verify_client on;', $VERIFY[1], $crl, @keys);
    is(used($none), ' ', 'a certificate is required now');

    reconfigure(@keys);

    $none = association('/reuse');
    is(used($none), 'on ', 'no verification');

    reconfigure(@VERIFY, @keys);
    is(used($none), ' ', 'verification');
}


sub expiry {
    my $a = association('/short');

    # on a slow machine, it may have expired before

    my $body = used($a);
    ok($body eq 'on ' || time() >= $a->{expires}, 'accepted');
    $t->wait_for(sub { time() > $a->{expires} }, 30);
    is(used($a), ' ', 'expired');

    $a = association('/reuse', 'short');
    cmp_ok($a->{expires} - time(), '<', 86400 + 60,
           'not longer than the certificate');
}
