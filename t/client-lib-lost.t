#!/usr/bin/perl

# libatls with the module: lost sessions, debug lines.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Lib;
use Test::Atls::LibSite;
use Test::Atls::Pattern qw( pattern );

my $t = Test::Atls::LibSite->new();
my $backend = $t->backend();
my $target = 'https://localhost';
my $endpoint = $t->endpoint(0);
my @trust = (ENDPOINT => $endpoint, CA_FILE => $t->path('ca.crt'));

$t->write_file('body', pattern(100_000));
$t->run();

my $lib = Test::Atls::Lib->new($t);
my $program = $lib->compile('client_lib');
my $c = $lib->start($program);
my $r;

subtest('lost sessions' => \&lost);
subtest('debug lines' => \&debug_lines);

is($c->end(), 0, 'exit status');

$t->done_testing();


# After a change of its size, the zone is empty, and sessions get 410.

sub lost {
    my $size = 2;

    my %cases = (
        'GET'               => [ 'GET', '/echo' ],
        'HEAD'              => [ 'HEAD', '/echo' ],
        'DELETE'            => [ 'DELETE', '/echo' ],
        'PUT'               => [ 'PUT', '/echo', body => 'bytes 1000' ],
        'PUT, read'         => [ 'PUT', '/echo', body => 'read 1000' ],
        'PUT, file'         => [ 'PUT', '/echo', body => 'file '
                                           . $t->path('body') ],
        'PUT, fd'           => [ 'PUT', '/echo', body => 'fd '
                                           . $t->path('body') ],
        'POST'              => [ 'POST', '/echo', body => 'bytes 1000' ],
        'POST, empty'       => [ 'POST', '/echo' ],
        'PATCH'             => [ 'PATCH', '/echo', body => 'bytes 1000' ],
        'PUT, no rewind'    => [ 'PUT', '/echo', body => 'norewind 1000' ],
    );

    my %clients;

    for my $name (keys %cases) {
        my $p = $clients{$name} = $lib->start($program);
        $p->client($target, @trust);
        $p->go('GET', '/echo');
    }

    $t->write_conf($t->conf('3m'));
    ok($t->reload(), 'the zone is another one');

    for my $name (sort keys %cases) {
        my $p = $clients{$name};

        $backend->forget();
        $r = $p->go(@{$cases{$name}});

        is($p->name($r), 'OK', $name) or diag($r->{text});
        is(scalar(() = $backend->requests()), 1, 'once');
        is($p->go('GET', '/echo')->{status}, 200, 'and the client goes on');
        is($p->end(), 0, 'exit status');
    }

    # after a restart of nginx, connections are closed, too

    $c->client($target, @trust);
    $c->go('GET', '/echo');
    $t->stop();
    is($c->name($c->go('GET', '/echo')), 'CONNECT', 'no server');
    $t->run();
    is($c->go('GET', '/echo')->{status}, 200, 'and again');

    $t->stop()->run();
    is($c->go('GET', '/echo')->{status}, 200, 'restarted: GET');
    $t->stop()->run();
    is($c->go('POST', '/echo')->{status}, 200, 'restarted: POST');

    # the server closes idle connections, with or without close_notify

    $c->client($target, @trust, ENDPOINT => $t->endpoint(6));
    is($c->go('GET', '/echo')->{status}, 200, 'short sessions');
    sleep 3;
    is($c->go('GET', '/echo')->{status}, 200, 'again');
    sleep 3;
    is($c->go('POST', '/echo')->{status}, 200, 'POST');

    done_testing();
}


sub debug_lines {
    my $log = $t->path('debug');
    my $p = $lib->start($program);

    $p->command("debug $log");
    $p->client($target, @trust,
               ENDPOINT => $t->endpoint(3, 'https', 'localhost'));
    $p->go('GET', '/cookie', header => [ Authorization => 'Basic c2VjcmV0',
                                         Cookie => 'sweet=c2VjcmV0' ]);
    $p->go('GET', '/cookie');
    is($p->end(), 0, 'exit status');

    my $lines = $t->read_file('debug');
    my $outer = $t->fingerprint('outer');
    my $inner = $t->fingerprint('localhost');

    like($lines, qr/^0 outer certificate 0: subject CN=outer; .* \Q$outer\E$/m,
         'outer certificate');
    like($lines, qr/^0 outer certificate verification, ignored: self.signed/m,
         'its verification');
    like($lines, qr/^0 POST 2: \d+ bytes$/m, 'POSTs');
    like($lines, qr!^1 POST /.well-known/atls HTTP/!m, 'outer request');
    like($lines, qr!^2 HTTP/[\d.]+ 200!m, 'outer answer');
    like($lines, qr/^3 inner TLS: TLSv1.3, TLS_/m, 'inner protocol');
    like($lines, qr/^3 inner certificate: subject CN=localhost; .*\Q$inner\E$/m,
         'inner certificate');
    like($lines, qr!^4 GET /cookie HTTP/1.1$!m, 'inner request');
    like($lines, qr!^5 HTTP/1.1 200 OK$!m, 'inner answer');
    like($lines, qr/^4 Authorization: \[not shown\]$/m, 'no credentials');
    like($lines, qr/^5 Set-Cookie: \[not shown\]$/m, 'no cookies');
    unlike($lines, qr/c2VjcmV0|a=1|atls=[\w-]{4}/, 'really none');

    done_testing();
}
