#!/usr/bin/perl

# docs/monitoring.md and docs/variables.md have all metrics, with their types
# and labels, all reasons for the end of a session, all results of associations,
# and all outcomes of POSTs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Docs;
use Test::Atls::Status qw( metrics status );

my $root = Test::Atls::root();
my $t = Test::Atls->new(workers => 1);

$t->write_http(<<'EOC');
server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /status {
        atls_status;
    }
}
EOC

$t->run();

my $metrics = metrics($t);
my $json = status($t);

my %sections = sections('monitoring.md');
my %types = $metrics =~ /^# TYPE nginx_atls_(\w+) (\w+)$/mg;
my %labels;

push @{ $labels{$1} }, $2 =~ /(\w+)="/g
    while $metrics =~ /^nginx_atls_(\w+)\{(.*)\}/mg;

my %documented;

for my $row ($sections{Metrics} =~ /^\| (`.*) \|$/mg) {
    my ($name, $type, $labels) = map { s/`//gr } split / \| ?/, $row;

    $documented{$name} = $type;

    # counters of numbers that have not occurred have no values

    next if $type eq 'histogram' || !$labels{$name};

    my %has = map { $_ => 1 } @{ $labels{$name} };
    is(join(', ', sort keys %has), join(', ', sort split /, /, $labels),
       "labels of $name");
}

is_deeply(\%documented, \%types, 'metrics');

is_deeply([ sort $sections{'Ends of sessions'} =~ /^\| `([\w-]+)` \|/mg ],
          [ sort keys %{ $json->{sessions_ended_total} } ],
          'ends of sessions');

is_deeply([ sort $sections{Associations} =~ /^\| `([\w-]+)` \|/mg ],
          [ sort keys %{ $json->{associations_total} } ],
          'results of associations');

my %variables = sections('variables.md');
my %problems = map { $_ => 1 }
               slurp("$root/src/stream/ngx_http_atls_problem.c")
               =~ /problem_(?:known|body)\("([\w-]+)"/g;

my @outcomes = grep { !$problems{$_} } keys %{ $json->{posts_total} };

is_deeply([ sort $variables{'$atls_post'} =~ /^\| `([\w-]+)` \|/mg ],
          [ sort @outcomes, 'nginx' ], 'outcomes of POSTs');

$t->done_testing();
