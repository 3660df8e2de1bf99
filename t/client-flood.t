#!/usr/bin/perl

# A service that makes its clients respond endlessly (t/bin/flood_server.c): the
# data that the command collects for the next POST is bounded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Command;

use constant TIMES => 20_000;           # same as in the server

my $t = Test::Atls->new();

$t->make_cert('localhost');

my $atls = Test::Atls::Command->new($t);
my $server = $atls->lib()->compile('flood_server');
my $port = $t->port(0);

$t->run_daemon(sub {
    exec $server, $port, $t->path('localhost.crt'), $t->path('localhost.key'),
         $t->path('posts') or die "$server: $!\n";
}, port => $port);

# the exit code, the number of POSTs, a message

my @cases = (
    [ 'nothing',          0,  3 ],
    [ 'few-updates',      0,  3 ],
    [ 'updates',          56, 3, qr/too many responses requested/ ],
    [ 'requests',         56, 4, qr/too many responses requested/ ],
    [ 'updates-in-a-row', 56, 3, qr/too many (?:responses|key updates)/ ],
    [ 'tickets',          56, 2, qr/too many session tickets/ ],
);

for (@cases) {
    my ($kind, $code, $n, $text) = @$_;

    my $r = $atls->run('--cacert', $t->path('localhost.crt'), '--via',
                       "http://127.0.0.1:$port/$kind", 'https://localhost/');

    is($r->{code}, $code, $kind) or diag($r->{err});
    like($r->{err}, $text, 'it is said') if $text;
    is($r->{out}, 'x' x TIMES, 'the answer') unless $code;

    # collected data would be sent in the last POST

    my @posts;
    ok($t->wait_for(sub { (@posts = posts($kind)) >= $n }), "$n POSTs");
    my ($largest) = sort { $b <=> $a } @posts;
    cmp_ok($largest, '<', 65536, 'no large POST');
}

$t->done_testing();


sub posts {
    my ($kind) = @_;

    return () unless -e $t->path('posts');
    return $t->read_file('posts') =~ m!^/$kind (\d+)!mg;
}
