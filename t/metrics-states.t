#!/usr/bin/perl

# atls_status: sessions that are evicted, by state; entries of the zone, by use;
# inner requests, by class of status; places of identifiers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Message;
use Test::Atls::Status qw( added reading status );

my $t = Test::Atls->new(workers => 1, client => { keepalive => 0 });

# a large certificate that is not trusted

$t->make_cert('stranger', type => 'ec',
              san => join ',', map { "DNS:host$_." . 'x' x 50 . '.test' }
                               1 .. 20);

$t->write_http(<<'EOC', main => 'worker_shutdown_timeout 1s;');
%%CERTIFICATE%%
atls_zone states:32k;
atls_handshake_timeout 10m;
atls_client_certificate %%TESTDIR%%/localhost.crt;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
        atls_exported_keys on;
    }

    location = /strangers {
        atls on;
        atls_verify_client optional_no_ca;
    }

    location /located {
        atls on;
        atls_session_tracking location;
    }

    location /return/ {
        location /return/1 { return 101; }
        location /return/2 { return 204; }
        location /return/3 { return 301 /; }
        location /return/4 { return 404; }
        location /return/5 { return 502; }
        location /return/6 { return 600; }
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->run();

classes();
places();
entries();
evicted();

my $s = status($t);

for my $metric (qw( sessions_evicted_total posts_named_total requests_total )) {
    is_deeply([ grep { !$s->{$metric}{$_} } keys %{ $s->{$metric} } ], [],
              "$metric: each was counted");
}

$t->done_testing();


sub classes {
    my $c = $t->established();

    for my $class (1 .. 6) {
        my ($requests) = added($t, sub {
            $c->get("/return/$class");
        }, 'requests_total');

        is_deeply($requests, { $class > 5 ? 'other' : $class . 'xx' => 1 },
                  "a status of class $class");
    }
}


sub places {
    my ($named) = added($t, sub {
        $t->established(uri => '/located')->get('/return/2');
    }, 'posts_named_total');

    is_deeply($named, { none => 1, location => 2 }, 'URIs');

    ($named) = added($t, sub { $t->established()->get('/return/2') },
                     'posts_named_total');

    is_deeply($named, { none => 1, cookie => 2 }, 'cookies');

    my $m = Test::Atls::Message->new($t->established());

    ($named) = added($t, sub { $m->get('/return/2') }, 'posts_named_total');

    is_deeply($named, { keyid => 1 }, 'messages');
}


sub entries {
    my ($entries) = added($t, sub {
        $t->established(sni => join '.', ('x' x 50) x 4);
    }, 'zone_entries');

    is($entries->{session}, 1, 'a session');
    ok($entries->{name}, '... with a long name');
    ok($entries->{response}, '... and the last response');
    is($entries->{free},
       -$entries->{session} - $entries->{name} - $entries->{response},
       '... are not free');

    ($entries) = added($t, sub { stranger() }, 'zone_entries');
    ok($entries->{identity}, 'a client');

    ($entries) = added($t, sub { in_record() }, 'zone_entries');
    is($entries->{record}, 2, 'a part of a record');
}


sub stranger {
    return $t->established(uri => '/strangers',
                           cert => $t->path('stranger.crt'),
                           key => $t->path('stranger.key'));
}


sub in_record {
    $t->established()->post("\x17\3\3\x10\0" . 'x' x 600);
}


# Each is repeated until one of its kind is evicted.

sub evicted {
    my %begin = (
        'half-open' => sub { $t->half_open() },
        idle        => sub { $t->established() },
        'in-record' => sub { in_record() },
        unverified  => sub { stranger() },
        resident    => sub {
            $t->established()->request("GET /return/2 HTTP/1.1\r\nHo");
        },
    );

    for my $state (sort keys %begin) {
        my $n = sub { reading($t)->{sessions_evicted_total}{$state} };
        my $before = $n->();

        for (1 .. 200) {
            $begin{$state}->();
            last if $n->() > $before;
        }

        cmp_ok($n->(), '>', $before, "evicted: $state");
    }
}
