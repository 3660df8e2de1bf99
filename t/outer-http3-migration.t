#!/usr/bin/perl

# The outer connection: HTTP/3, with a client whose address changes.  Packets
# from the new one reach the worker with the connection if there is only one, or
# with "quic_bpf".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http3;
use Test::Atls::Pattern qw( pattern_md5 );

use constant SIZE => 2_000_000;

my $t = Test::Atls->new(workers => 1);

plan(skip_all => 'no HTTP/3')
    unless Test::Atls::Http3::nginx($t) && Test::Atls::Http3::aioquic();

$t->write_file('locations.conf', $t->expand(Test::Atls::Http3::locations()));
$t->write_http(Test::Atls::Http3::site(<<'EOC'));
server {
    listen 127.0.0.1:%%PORT_0%% quic;
    include locations.conf;
}
EOC

Test::Atls::Backend->start($t, $t->port(9));
$t->run();

my $proxy = Test::Atls::Http3->new($t, $t->port(0), '127.0.0.1');
my $c = $t->established(port => $proxy->port(), outer => 'http11-chunked');

# nginx knows two paths of a connection: each change needs a new connection

for my $how (qw( rebind migrate )) {
    subtest $how => sub {
        between($how);
        $proxy->control('close');
        in_upload($how);
        $proxy->control('close');
        in_response($how);
        $proxy->control('close');
    };
}

$t->done_testing();


sub between {
    my ($how) = @_;

    my ($before) = $c->get('/about')->body() =~ /:(\d+)/;

    $proxy->control($how);

    my ($after) = $c->get('/about')->body() =~ /:(\d+)/;

    ok($after && $after != $before, 'between two POSTs: $remote_port');
}


sub in_upload {
    my ($how) = @_;

    my $got = Test::Atls::Http3::upload($c, SIZE, at => sub {
        $proxy->control($how) if $_[0] == 4 * 262144;
    });

    my $expected = 'length ' . SIZE . "\nmd5 " . pattern_md5(SIZE);

    like($got, qr/^$expected/m, 'in an upload');
}


sub in_response {
    my ($how) = @_;

    my ($pieces, $plain) = (0, '');

    $c->write_plain(Test::Atls::Http3::request('GET', '/slow?n=20', ''));
    $c->post_send($c->tls_out());

    $c->post_receive(on_body => sub {
        $proxy->control($how) if ++$pieces == 3;
        $c->tls_in($_[0]);
        $plain .= $c->read_plain();
    });

    like($plain, qr/line 20\n/, 'in a response') or diag($c->error());
}
