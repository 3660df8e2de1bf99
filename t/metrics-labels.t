#!/usr/bin/perl

# atls_status: the number of labels is limited, whatever a service responds, and
# no label occurs twice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Elsewhere qw( with_only );
use Test::Atls::Http qw( http_raw );
use Test::Atls::Status qw( metrics status total );

my $LABELS = 31;            # of each worker, and of all; and "other"

my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
        deny all;
        error_page 403 = @backend;
    }

    location @backend {
        rewrite ^ /status break;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

my ($first, $second) = $t->workers();

with_only($t, $first, sub { answered($_) for 520 .. 559 });

my $statuses = status($t)->{posts_total}{nginx};

is(scalar keys %$statuses, $LABELS + 1, 'a worker: labels');
is($statuses->{520}, 1, '... a status');
is($statuses->{other}, 40 - $LABELS, '... others');

# those that have a label in one worker may be others in all

with_only($t, $second, sub { answered($_) for 560 .. 590, 560 .. 562 });

$statuses = status($t)->{posts_total}{nginx};

is(scalar keys %$statuses, $LABELS + 1, 'both: labels');
is(total($statuses), 40 + 31 + 3, '... all are counted');
like($statuses->{other}, qr/^4[03]$/, '... those of one worker as others');

my %seen;

is_deeply([ grep { $seen{$_}++ } metrics($t) =~ /^(nginx_.*) \S+$/mg ], [],
          '... none of them twice');

$t->reload();

is_deeply(status($t)->{posts_total}{nginx}, $statuses, '... after a reload');

$t->done_testing();


sub answered {
    my ($status) = @_;

    http_raw($t->port(0), "GET /.well-known/atls?code=$status HTTP/1.0\r\n\r\n")
        =~ m!^HTTP/1.1 $status ! or die "not answered with $status\n";
}
