#!/usr/bin/perl

# nginx's module for OpenTelemetry: spans of POSTs and of inner requests, with
# the configuration of docs/monitoring.md.  The module is that in the directory
# of nginx's modules, or TEST_NGINX_OTEL.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls::Cert;
use Test::Atls::Docs;
use Test::Atls::DocsSite;

# contexts of the client: outside, and of its requests

my $OUTSIDE = '00-' . 'a' x 32 . '-' . 'b' x 16 . '-01';
my $INSIDE = '00-' . 'c' x 32 . '-' . 'd' x 16 . '-01';

# of six handshakes and two requests

my $POSTS = 6 * 2 + 2;

my $t = Test::Atls::DocsSite->new(
    workers => 3,
    client  => { headers => { traceparent => $OUTSIDE }, keepalive => 0 });

my $module = otel_module();

plan skip_all => "nginx's module for OpenTelemetry is not installed"
    unless -e $module;
plan skip_all => 'grpc for Python is not installed'
    if system("python3 -c 'import grpc, opentelemetry.proto.collector'"
              . ' >/dev/null 2>&1');

Test::Atls::Cert::make($t->path('certs'), 'localhost');

# the order of the modules makes no difference

for my $order (qw( before after )) {
    spans($order, served($order, block('', 'monitoring.md', 'OpenTelemetry'),
                         $POSTS + 2));
}

my $conf = block('', 'monitoring.md', 'OpenTelemetry');

$conf =~ s/(otel_trace +)on;/$1\$atls;/ or die "tracing is not on\n";

is(join(' ', sort map { $_->{name} } served('after', $conf, 2)), '/ /',
   'otel_trace $atls: inner requests only');

$t->done_testing();


sub otel_module {
    return $ENV{TEST_NGINX_OTEL} if $ENV{TEST_NGINX_OTEL};

    my ($dir) = $t->nginx_info() =~ /--modules-path=(\S+)/;

    return ($dir // '') . '/ngx_otel_module.so';
}


# Makes requests, and returns the spans that a collector gets, when there are as
# many as expected.

sub served {
    my ($order, $text, $expected) = @_;

    my $port = $t->port(4);
    my $file = $t->path("spans-$port");

    unlink $file;

    my $collector = $t->run_daemon(sub {
        open STDERR, '>', $t->path('collector.log');
        exec 'python3', "$FindBin::Bin/bin/otel-collector.py", $port, $file;
    }, port => $port);

    $text =~ s/^load_module .*\n//m;
    $text =~ s/127\.0\.0\.1:4317;/127.0.0.1:$port;\ninterval 1s;/;
    $text = $t->whole($text);
    $text = $order eq 'before' ? "load_module $module;\n$text"
                               : $text =~ s/^events/load_module $module;\n$&/mr;

    $t->write_conf($text)->run();
    $t->backend()->forget();

    # some POSTs of handshakes are relayed

    my $c = $t->established();
    $t->established() for 1 .. 5;

    $c->get('/with', traceparent => $INSIDE);
    $c->get('/without');

    my $spans = sub { split /\n/, $t->read_file("spans-$port") };

    $t->wait_for(sub { $spans->() >= $expected });
    $t->stop();
    $t->stop_daemon($collector);

    return map { decode_json($_) } $spans->();
}


sub spans {
    my ($order, @spans) = @_;

    my @posts = grep { $_->{name} eq '/.well-known/atls' } @spans;
    my %inner = map { $_->{attributes}{'http.target'} => $_ }
                grep { $_->{name} eq '/' } @spans;
    my %got = map { $_->{uri} => traceparent($_) } $t->backend()->requests();
    my ($with, $without) = @inner{qw( /with /without )};

    is(scalar @posts, $POSTS, "otel loaded $order: a span for each POST");
    is(scalar(grep { "00-$_->{trace}-$_->{parent}-01" eq $OUTSIDE } @posts),
       scalar @posts, 'their parent is that outside');

    is(scalar keys %inner, 2, 'a span for each inner request');
    is("00-$with->{trace}-$with->{parent}-01", $INSIDE,
       'its parent is that inside');
    is($got{'/with'}, "00-$with->{trace}-$with->{span}-01",
       'the service gets the span');

    is($without->{parent}, '', 'a new trace');
    is($got{'/without'}, "00-$without->{trace}-$without->{span}-01",
       '... for the service');
    unlike($without->{trace}, qr/^(?:a{32}|c{32})$/, '... of its own');

    my $session = $with->{attributes}{'atls.session'};

    like($session, qr/^[0-9a-f]{32}$/, 'the session');
    is(scalar(grep { $_->{attributes}{'atls.session'} eq $session } @posts), 4,
       '... which its POSTs have');
    is($with->{attributes}{'http.scheme'}, 'http', 'the scheme');
}


sub traceparent {
    my ($request) = @_;

    my ($header) = grep { lc $_->[0] eq 'traceparent' }
                   @{ $request->{headers} };

    return $header->[1];
}
