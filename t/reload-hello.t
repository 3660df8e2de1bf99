#!/usr/bin/perl

# A worker that quits, with an unfinished request of a session, does not begin
# other sessions for relayed POSTs, as its configuration has been replaced.
# Otherwise, a client that is no longer allowed could continue forever from one
# session to the next.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new(workers => 1);

my %keys = (alice => '11' x 32, bob => '22' x 32);

psks('alice', 'bob');

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_psk_file %%TESTDIR%%/psk;

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "$pid $atls_client_verify\n";
    }
}
EOC

$t->run();

reloaded('withdrawn', 'bob');
psks('alice', 'bob');
$t->reload();
reloaded('still known', 'alice', 'bob');

$t->done_testing();


sub psks {
    $t->write_file('psk', join '', map { "$_:$keys{$_}\n" } @_);
}


sub client {
    return $t->client(keepalive => 0, psk => [ 'alice', $keys{alice} ]);
}


sub reloaded {
    my ($name, @psks) = @_;

    my ($old) = $t->workers();
    my $c = client();

    $c->handshake() or die $c->error() . "\n";
    is($c->request("GET / HTTP/1.1\r\nHost:"), '',
       "$name: in the middle of a request");

    psks(@psks);
    $t->signal('HUP');
    $t->wait_for_log(qr/ $old#\d+: gracefully shutting down/, 60)
        or die "reload: the worker is not told to quit\n";

    my $next = client();
    $next->handshake_step();

    my $r = $next->post($next->tls_out(), cookie => 'atls=' . $c->cookie());
    is($r->status(), 410, "$name: a ClientHello to the earlier worker");
    like($r->header('Set-Cookie'), qr/^atls=;.* Max-Age=0/,
         "$name: the next one comes without the cookie");

    # the session is not affected by POSTs of others

    ($r) = parse_responses($c->request(" localhost\r\n\r\n"));
    is($r && $r->body(), "$old PSK\n", "$name: the rest of the request");

    ok($t->wait_for(sub { !kill 0, $old }, 60), "$name: the worker ends");
}
