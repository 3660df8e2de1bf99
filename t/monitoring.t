#!/usr/bin/perl

# docs/monitoring: the dashboard and the rules use metrics, labels and values
# that exist; each panel has values, in a Prometheus with the configuration of
# the page; each alert is described there, and fires when it should.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use HTTP::Tiny;
use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Docs;
use Test::Atls::Program qw( find_program );
use Test::Atls::Slow qw( patience );
use Test::Atls::Status qw( metrics );

my $root = Test::Atls::root();
my $dashboard = decode_json(slurp("$root/docs/monitoring/"
                                  . 'nginx-atls.dashboard.json'));
my $rules = slurp("$root/docs/monitoring/nginx-atls.rules.yml");
my $page = slurp("$root/docs/monitoring.md");

my @panels = @{ $dashboard->{panels} };
my @queries = map { @{ $_->{targets} || [] } } @panels;
my @variables = @{ $dashboard->{templating}{list} };

my $http = HTTP::Tiny->new(proxy => undef, timeout => patience());
my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location /ok {
        return 200 ok;
    }

    location = /atls-status {
        atls_status;
    }
}
EOC

$t->run();

traffic();

dashboard();
names();
alerts();

SKIP: {
    skip 'Prometheus is not installed', 1 unless find_program('promtool');

    promtool();
    prometheus();
}

$t->done_testing();


# All kinds of metrics have values: also POSTs that fail, and alerts.

sub traffic {
    $t->established()->get('/ok') for 1 .. 3;
    $t->established()->close_notify();
    $t->established()->exchange("\x17\x03\x03\x00\x20" . 'x' x 32);

    http_raw($t->port(0), "GET /.well-known/atls HTTP/1.0\r\n\r\n");
}


sub dashboard {
    my %seen;
    my @twice = grep { $seen{$_}++ } map { $_->{id} } @panels;

    cmp_ok(scalar @panels, '>', 20, 'panels');
    is("@twice", '', 'each panel has its own id');
    is(join(', ', overlapping()), '', 'panels do not overlap');

    is($variables[0]{type}, 'datasource', 'the data source is a variable');
    is($variables[0]{query}, 'prometheus', '... of Prometheus');

    my %sources = map { $_->{datasource}{uid} => 1 }
                  (grep { $_->{type} ne 'row' } @panels), @queries,
                  @variables[1 .. $#variables];

    is(join(' ', keys %sources), "\${$variables[0]{name}}",
       '... which all panels use');

    is(join(', ', map { $_->{title} } grep { $_->{type} ne 'row'
                                             && !$_->{description} } @panels),
       '', 'each panel has a description');
}


sub overlapping {
    my (%taken, @bad);

    for my $panel (@panels) {
        my ($x, $y, $w, $h) = @{ $panel->{gridPos} }{qw( x y w h )};

        push @bad, $panel->{title} if $x + $w > 24;

        for my $column ($x .. $x + $w - 1) {
            push @bad, $panel->{title}
                if grep { $taken{"$column $_"}++ } $y .. $y + $h - 1;
        }
    }

    return @bad;
}


# Metrics, their labels, and values of labels, as they are used and as they are
# in a scrape.  Values of alternatives are all checked.

sub names {
    my $metrics = metrics($t, '/atls-status');
    my %types = $metrics =~ /^# TYPE (\w+) (\w+)$/mg;
    my %labels;

    $labels{$1}{$2}{$3} = 1
        while $metrics =~ /^(\w+)\{(?:\w+="[^"]*",)*(\w+)="([^"]*)"/mg;
    $labels{$1}{$2}{$3} = 1 while $metrics =~ /^(\w+)\{(\w+)="([^"]*)"/mg;

    my %from = ('the dashboard' => join("\n", map { $_->{expr} } @queries)
                                   . "\n"
                                   . join("\n", map { $_->{definition} || '' }
                                                @variables),
                'the rules'     => $rules);

    for my $where (sort keys %from) {
        my (%used, %wrong);

        while ($from{$where} =~ /(?<![\w:])(nginx_atls_\w+)(?:\{(.*?)\})?/g) {
            my ($name, $matchers) = ($1, $2 || '');

            $used{$name} = 1;
            $wrong{$name} = 1
                unless $types{$name =~ s/_(?:bucket|sum|count)$//r};

            for ($matchers =~ /(\w+[!=]~?="?[^"]*"|\w+[!=]~"[^"]*")/g) {
                my ($label, $value) = /^(\w+)[!=~]+"(.*)"$/;
                next if $label =~ /^(?:job|instance)$/;

                for my $one (split /\|/, $value) {
                    $wrong{"$name\{$label=$one\}"} = 1
                        unless $labels{$name}{$label}{$one};
                }
            }
        }

        cmp_ok(scalar keys %used, '>', 5, "$where: metrics");
        is(join("\n", sort keys %wrong), '', '... which exist');
    }

    my @unused = grep { $from{'the dashboard'} !~ /\b$_(?:_bucket)?\b/ }
                 sort keys %types;

    is("@unused", '', 'all metrics are in the dashboard');
}


# The page has all alerts, with their severity, and all recorded values.

sub alerts {
    my @alerts = $rules =~ /^ +- alert: (\w+)$/mg;
    my @records = $rules =~ /^ +- record: (\S+)$/mg;
    my %sections = sections('monitoring.md');
    my %tested = tested();

    cmp_ok(scalar @alerts, '>', 8, 'alerts');
    is(join(' ', sort grep { /^Atls/ } keys %sections),
       join(' ', sort @alerts), 'sections of alerts');
    is(join(' ', $page =~ /^\| `(instance[\w:]+)` \|/mg), "@records",
       'recorded values');

    for my $alert (@alerts) {
        my ($text) = $rules =~ /^ +- alert: $alert\n(.*?)(?=^ +- alert:|\z)/ms;
        my ($severity) = $text =~ /severity: (\w+)/;
        my ($runbook, $anchor) = $text =~ /runbook: (\S+)#(\S+)/;

        like($sections{$alert}, qr/^\u$severity: /m, "$alert: its severity");
        is($anchor, lc $alert, '... its section');
        ok(has_heading("$root/$runbook", $anchor), '... which is there');
        is($tested{$alert}, 'both', '... fires, and does not fire');
    }
}


# Whether the test of the rules expects an alert: 'yes', 'no', 'both'.

sub tested {
    my %tested;
    my $tests = slurp("$root/t/monitoring-rules.yml");

    for my $test (split /^(?= +- alertname:)/m, $tests) {
        my ($alert) = $test =~ /alertname: (\w+)/ or next;
        my $fires = $test =~ /exp_alerts: \[\]/ ? 'no' : 'yes';

        $tested{$alert} = ($tested{$alert} // $fires) eq $fires ? $fires
                                                                : 'both';
    }

    return %tested;
}


sub promtool {
    for ([ check => 'docs/monitoring/nginx-atls.rules.yml' ],
         [ test => 't/monitoring-rules.yml' ])
    {
        my ($what, $file) = @$_;
        my $out = `promtool $what rules $root/$file 2>&1`;

        is($?, 0, "promtool $what rules") or diag($out);
    }
}


# A Prometheus with the configuration of the page.

sub prometheus {
    my $nginx = $t->port(0);
    my $port = $t->port(1);
    my $conf = block('yaml', 'monitoring.md', 'Monitoring');

    $conf =~ s{/etc/prometheus/}{$root/docs/monitoring/};
    $conf =~ s/\b8080\b/$nginx/;

    $t->write_file('prometheus.yml', "global:\n  scrape_interval: 1s\n"
                                     . "  evaluation_interval: 1s\n$conf");

    my $pid = $t->run_daemon(sub {
        open STDOUT, '>', $t->path('prometheus.log');
        open STDERR, '>&', \*STDOUT;

        exec 'prometheus', '--config.file', $t->path('prometheus.yml'),
             '--storage.tsdb.path', $t->path('prometheus'),
             '--web.listen-address', "127.0.0.1:$port";
    }, port => $port);

    loaded($port);

    for my $panel (@panels) {
        panel($port, $panel->{title}, $_) for @{ $panel->{targets} || [] };
    }

    $t->stop_daemon($pid);
}


# All rules are evaluated, and no alert fires.

sub loaded {
    my ($port) = @_;

    my @rules;

    $t->wait_for(sub {
        my $data = api($port, 'rules') or return;

        @rules = map { @{ $_->{rules} } } @{ $data->{groups} };

        return @rules && !grep { $_->{health} eq 'unknown' } @rules;
    }, 60);

    is(scalar @rules, scalar(() = $rules =~ /^ +- (?:alert|record):/mg),
       'all rules');
    is(join(' ', map { $_->{name} } grep { $_->{health} ne 'ok' } @rules), '',
       'they are evaluated');
    is(join(' ', map { $_->{name} } grep { ($_->{state} || '') eq 'firing' }
                                    @rules), '', 'no alert');
}


# A query has results, with the labels of its legend.  What did not occur is not
# shown, but has a value.

sub panel {
    my ($port, $title, $target) = @_;

    my $expr = $target->{expr};
    my @result;

    $expr =~ s/ > 0$//;
    $expr =~ s/\$__rate_interval\b/1m/g;
    $expr =~ s/\$job\b/nginx/g;
    $expr =~ s/\$instance\b/.*/g;

    $t->wait_for(sub {
        my $data = api($port, 'query', query => $expr) or return;

        @result = @{ $data->{result} };

        return scalar @result;
    }, 60);

    my @labels = $target->{legendFormat} =~ /\{\{(\w+)\}\}/g;
    my @bad = grep { !@result || grep { !defined $_ } @{ $_->{metric} }{@labels} }
              @result ? @result : $expr;

    is(scalar @bad, 0, "$title: $target->{legendFormat}") or diag($expr);
}


sub api {
    my ($port, $what, @query) = @_;

    my $form = $http->www_form_urlencode(\@query);
    my $r = $http->get("http://127.0.0.1:$port/api/v1/$what?$form");

    return $r->{success} ? decode_json($r->{content})->{data} : undef;
}
