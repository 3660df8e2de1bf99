#!/usr/bin/perl

# nginx is reloaded before the last POST of a handshake, which contains the
# beginning of a request, too.  The worker of the handshake serves the request,
# and the session continues in a new one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new(workers => 1);

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_handshake_timeout  2m;
atls_early_data         on;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "$request_method $pid\n";
    }
}
EOC

$t->run();

my $first = client();
$first->handshake() && $first->get('/') or die $first->error() . "\n";

reloaded('handshake', client());
reloaded('early data',
         client(session => $first->session(),
                early => "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));

$t->done_testing();


sub client {
    return $t->stack('openssl', keepalive => 0, protocol => 'TLSv1.3', @_);
}


sub reloaded {
    my ($name, $c) = @_;

    my ($old) = $t->workers();

    $c->handshake(hold => 1) or diag($c->error());

    my $early = $c->read_plain();
    my $new = successor($old);

    is($early ne '', $name eq 'early data', "$name: answer to early data");

    $c->write_plain("PUT /put HTTP/1.1\r\nHo");
    is($c->exchange($c->tls_out()) && $c->read_plain(), '',
       "$name: no answer to a part of a request");

    my ($r) = parse_responses($c->request("st: localhost\r\n\r\n"));
    is($r && $r->body(), "PUT $old\n", "$name: the answer");

    $r = $c->get('/next');
    is($r && $r->body(), "GET $new\n", "$name: another request");

    is($c->error(), '', "$name: no error");
}


# The old worker waits for the handshake.

sub successor {
    my ($old) = @_;

    my $new;

    $t->signal('HUP');
    $t->wait_for(sub { ($new) = $t->workers(); $new && $new != $old }, 60)
        or die "reload: there is no new worker\n";

    return $new;
}
