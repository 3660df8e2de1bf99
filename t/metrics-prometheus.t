#!/usr/bin/perl

# atls_status for Prometheus: its formats, promtool, and a real scrape.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use HTTP::Tiny;
use IPC::Open3 qw( open3 );
use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Program qw( find_program );
use Test::Atls::Slow qw( patience );
use Test::Atls::Status qw( metrics status );

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

    location = /status {
        atls_status;
    }
}
EOC

$t->run();

$t->established()->get('/ok') for 1 .. 3;


# methods and formats

my $url = 'http://127.0.0.1:' . $t->port(0) . '/status';
my $http = HTTP::Tiny->new(proxy => undef, timeout => patience());
my $text = 'text/plain; version=0.0.4; charset=utf-8';

my %types = (
    ''                    => $text,
    '*/*'                 => $text,
    'application/json'    => 'application/json',
    'Application/JSON;q=1, text/plain;q=0.5' => 'application/json',
    'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' => $text,
);

for my $accept (sort keys %types) {
    my $r = $http->get($url, { headers => { Accept => $accept } });

    is($r->{headers}{'content-type'}, $types{$accept}, "Accept: $accept");
    is($r->{headers}{'cache-control'}, 'no-store', '... not stored');
}

is($http->get("$url?format=json", { headers => { Accept => 'text/plain' } })
        ->{headers}{'content-type'}, 'application/json',
   'the argument is preferred');
is($http->get("$url?format=xml")->{status}, 400, 'an unknown format');
like($t->read_log('error.log'), qr/\[info\] .* unknown format "xml", client/,
     '... in the log');
is($http->post($url)->{status}, 405, 'POST');

my $head = $http->head("$url?format=prometheus");

is($head->{status}, 200, 'HEAD');
cmp_ok($head->{headers}{'content-length'}, '>', 1000, 'its length');
is($head->{content} // '', '', 'no body');


# both formats have the same metrics, of these types

my $metrics = metrics($t);
my $json = status($t);
my %type = $metrics =~ /^# TYPE nginx_atls_(\w+) (\w+)$/mg;

is_deeply([ sort keys %type ], [ sort keys %$json ], 'the same in JSON');
like($metrics, qr/^nginx_atls_requests_total\{status="2xx"\} 3$/m, 'a value');
like($metrics, qr/^nginx_atls_handshake_duration_seconds_count 3$/m,
     'a histogram');


SKIP: {
    skip 'Prometheus is not installed', 5 unless find_program('promtool');

    my ($status, $out) = run_with($metrics, qw( promtool check metrics ));

    is("$status$out", '0', 'promtool check metrics');

    $t->write_file('prometheus.yml', <<"EOC");
global:
  scrape_interval: 1s

scrape_configs:
  - job_name: nginx
    metrics_path: /status
    static_configs:
      - targets: ['127.0.0.1:@{[ $t->port(0) ]}']
EOC

    my $port = $t->port(1);

    my $pid = $t->run_daemon(sub {
        open STDOUT, '>', $t->path('prometheus.log');
        open STDERR, '>&', \*STDOUT;

        exec 'prometheus', '--config.file', $t->path('prometheus.yml'),
             '--storage.tsdb.path', $t->path('prometheus'),
             '--web.listen-address', "127.0.0.1:$port";
    }, port => $port);

    is(query($port, 'nginx_atls_requests_total{status="2xx"}', 3), 3,
       'a query');
    is(query($port, 'sum(nginx_atls_posts_total)', 9), 9, 'a sum');
    is(query($port, 'nginx_atls_sessions{state="idle"}', 3), 3, 'a gauge');

    $t->established()->get('/ok');

    is(query($port, 'nginx_atls_requests_total{status="2xx"}', 4), 4,
       'the next scrape');

    $t->stop_daemon($pid);
}

$t->done_testing();


# Queries until the value is there.

sub query {
    my ($port, $query, $wanted) = @_;

    my $value = '';
    my $form = $http->www_form_urlencode({ query => $query });

    $t->wait_for(sub {
        my $r = $http->get("http://127.0.0.1:$port/api/v1/query?$form");
        return unless $r->{success};

        my $result = decode_json($r->{content})->{data}{result}[0];
        $value = $result ? $result->{value}[1] : '';

        return $value eq $wanted;
    }, 60);

    return $value;
}


sub run_with {
    my ($input, @command) = @_;

    my $pid = open3(my $in, my $out, undef, @command);

    print $in $input;
    close $in;

    my $text = do { local $/; <$out> };
    waitpid $pid, 0;

    return ($? >> 8, $text);
}
