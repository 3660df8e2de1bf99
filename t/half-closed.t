#!/usr/bin/perl

# A client that half-closes its connection after a POST: responses that do not
# depend on a backend are complete, whatever their size; other requests are
# aborted, unless proxy_ignore_client_abort is on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Socket qw( SHUT_WR );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( http_connect read_all send_all );
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new(workers => 2);

$t->write_file('small', pattern(1000));
$t->write_file('large', pattern(5_000_000));

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;

    location = /.well-known/atls {
        atls on;
    }

    location = /return {
        return 200 "returned\n";
    }

    location /hang {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /patient {
        proxy_pass http://127.0.0.1:%%PORT_1%%/slow;
        proxy_ignore_client_abort on;
    }

    location / { }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));

for my $how ('with the POST', 'later') {
    my $at_once = $how ne 'later';

    is(answer('/return', $at_once), md5_hex("returned\n"),
       "$how: return");
    is(answer('/small', $at_once), md5_hex(pattern(1000)),
       "$how: a small file");
    is(answer('/large', $at_once), md5_hex(pattern(5_000_000)),
       "$how: a large file");
    is(answer('/patient?n=3', $at_once), md5_hex("line 1\nline 2\nline 3\n"),
       "$how: a backend that is waited for");

    is(answer('/missing', $at_once, 1), 404, "$how: an error");
    is(answer('/return', $at_once, 1), 200, "$how: return, again");
    is(answer('/small', $at_once, 1), 200, "$how: a small file, again");
    is(answer('/large', $at_once, 1), 200, "$how: a large file, again");

    my $before = gave_up();
    is(answer('/hang', $at_once), 'nothing', "$how: a backend that hangs");
    ok($t->wait_for(sub { gave_up() > $before }, 20),
       "$how: it is given up");
}

$t->done_testing();


sub gave_up {
    return scalar(() = $t->read_file('error.log')
                       =~ /prematurely closed connection, so upstream/g);
}


# The MD5 of the response body, or the status.

sub answer {
    my ($uri, $at_once, $status) = @_;

    my $c = $t->established(keepalive => 0);

    $c->write_plain(Test::Atls::Client::format_request('GET', $uri, ''));
    my $bytes = $c->tls_out();

    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post($bytes));

    $t->wait_for(sub { grep { $_->{line} =~ m!^GET /hang! }
                       $backend->requests() }, 20)
        if $uri eq '/hang' && !$at_once;

    shutdown $s, SHUT_WR;

    my $got = read_all($s);

    $backend->forget();

    my ($outer) = parse_responses($got, 'POST') or return 'nothing';
    $c->tls_in($outer->body());
    my ($r) = parse_responses($c->read_plain(), 'GET') or return 'nothing';

    return $status ? $r->status() : md5_hex($r->body());
}
