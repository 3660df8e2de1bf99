#!/usr/bin/perl

# atls forward when the address of the endpoint can no longer be reached: the
# next POST is sent to another address, and the session continues.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Site;

my $t = Test::Atls::Site->new();

configure('127.0.0.1');
$t->run();

my $host = 'endpoint.example:' . $t->port(2);
my $forward = $t->forward("http://$host/.well-known/atls", '--sessions', 1,
                          '--resolve', "$host:127.0.0.1,[::1]");

my $session = ask();

like($session, qr/^\w+ 1$/, 'a request');
is(ask(), $session =~ s/1$/2/r, 'in a session');
is(network(), '127.0.0.1', 'at the first address');

# nginx closes the connections, and refuses others

configure('[::1]');
ok($t->reload(), 'the address is gone');
is(ask(), $session =~ s/1$/3/r, 'the session continues');
is(network(), '::1', 'at the second address');

configure('127.0.0.1');
ok($t->reload(), 'another change');
is(ask(), $session =~ s/1$/4/r, 'the session continues again');
is(network(), '127.0.0.1', 'at the first address');

$t->done_testing();


# The endpoint is behind a proxy with this address.

sub configure {
    my ($address) = @_;

    $t->write_http(<<"EOC");
log_format network '\$server_addr';
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "\$atls_session_id \$atls_session_requests\\n";
    }
}

server {
    listen $address:%%PORT_2%%;
    access_log %%TESTDIR%%/network.log network;

    location / {
        proxy_pass http://127.0.0.1:%%PORT_0%%;
    }
}
EOC
}


sub ask {
    my $r = $forward->ask('GET /');

    return $r ? $r->body() =~ s/\n//r : 'no response';
}


sub network { return ($t->read_log('network.log') =~ /(.+)/g)[-1] }
