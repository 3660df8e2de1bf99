#!/usr/bin/perl

# Associations and HelloRetryRequest: at servers which are not the default one,
# and with clients that offer something else in the second ClientHello.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Net::SSLeay;
use Test::More;

use Test::Atls;
use Test::Atls::Association;
use Test::Atls::Slow qw( patience );

my $t = Test::Atls->new();

$t->write_http(endpoints() . <<'EOC'
ssl_ecdh_curve secp384r1;
ssl_session_cache builtin;

server {
    listen 127.0.0.1:%%PORT_1%% ssl;
    server_name default.example;
    return 200 default;
}

EOC
    . accepting(1, '[$atls_association|$atls_client_verify]'));

$t->run();
$t->allow_log(qr/binder does not verify/);

my $a = obtain($t, uri => '/reuse');

my $r = direct($t, $t->port(1), $a,
               options => [ '-groups', 'X25519:secp384r1', '-msg' ]);

is($r->{psk}, 1, 'the key is used');
is($r->{body}, '[on|NONE]', 'accepted');
is(scalar(() = $r->{out} =~ />>> .*ClientHello/g), 2, 'two ClientHellos');

# the first ClientHello may be that of somebody else

like(changed($a->{key}, $a->{key}), qr/^reused .*\[on\|NONE\]$/s, 'the key');
is(changed($a->{key}, '01' x 32), 'failed', 'another key');
like(changed($a->{key}, ''), qr/^full .*\[\|\]$/s, 'no key');

$t->done_testing();


# A client with another key in each ClientHello.

sub changed {
    my @keys = @_;

    my $ctx = Net::SSLeay::CTX_new_with_method(Net::SSLeay::TLS_client_method());

    Net::SSLeay::CTX_set1_groups_list($ctx, 'X25519:P-384');
    Net::SSLeay::CTX_set_psk_client_callback($ctx, sub {
        return ($a->{identity}, @keys > 1 ? shift @keys : $keys[0]);
    });

    my $ssl = Net::SSLeay::new($ctx);
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $t->port(1),
                                       Timeout => patience())
        or return "connect() failed: $!";

    Net::SSLeay::set_fd($ssl, fileno $socket);
    Net::SSLeay::set_tlsext_host_name($ssl, 'localhost');

    my $text = 'failed';

    if (Net::SSLeay::connect($ssl) == 1) {
        $text = Net::SSLeay::session_reused($ssl) ? 'reused ' : 'full ';

        Net::SSLeay::write($ssl, "GET / HTTP/1.1\r\nHost: localhost\r\n"
                                 . "Connection: close\r\n\r\n");
        $text .= Net::SSLeay::ssl_read_all($ssl);
    }

    Net::SSLeay::free($ssl);
    Net::SSLeay::CTX_free($ctx);

    return $text;
}
