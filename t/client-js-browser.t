#!/usr/bin/perl

# The JavaScript client in Chromium and Firefox: the page, the endpoint and the
# service have different origins, and mitmproxy terminates the outer TLS.  For
# Node.js, see t/client-js.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json encode_json );
use Test::More;

use Test::Atls;
use Test::Atls::Browser;
use Test::Atls::Firefox;
use Test::Atls::JsSite;
use Test::Atls::Middlebox;

my $PACKAGE = Test::Atls::root() . '/build/js';

plan(skip_all => 'build/js does not exist, see "make js"')
    unless -e "$PACKAGE/atls.wasm";
plan(skip_all => Test::Atls::Middlebox->missing('mitmproxy'))
    if Test::Atls::Middlebox->missing('mitmproxy');

my %BROWSERS = (Chromium => \&chromium, Firefox => \&firefox);
my %PROGRAMS = (Chromium => Test::Atls::Browser::program(),
                Firefox => Test::Atls::Firefox::program());

for my $name (sort keys %BROWSERS) {
    SKIP: {
        skip "$name is not installed", 1 unless $PROGRAMS{$name};
        subtest($name, \&browser, $name);
    }
}

done_testing();


sub browser {
    my ($name) = @_;

    my $t = Test::Atls::JsSite->new();

    $t->run();

    my $middlebox = Test::Atls::Middlebox->start($t, 'mitmproxy',
                        port => $t->port(3), trust => $t->path('outer.crt'));

    $t->write_file('pages/options.json', encode_json($t->options(
        base => 'https://127.0.0.1:' . $t->port(2), browser => 1)));

    my $url = 'http://localhost:' . $t->port(1) . '/js/page.html';

    $BROWSERS{$name}->($t, $middlebox, $url);

    my ($line) = split /\n/, $t->read_file('results.log');
    my $results = eval { decode_json($line) } || [];

    cmp_ok(scalar @$results, '>=', 53, 'the number of cases');
    is($_->{got}, $_->{expected}, $_->{name}) for @$results;

    # the middlebox has seen the POSTs, and not the requests

    my $outer = $t->read_log('outer.log');
    my $origin = 'http://localhost:' . $t->port(1);
    my $seen = $middlebox->dump();

    like($outer, qr/^OPTIONS 204 \Q$origin\E$/m, 'a preflight request');
    like($outer, qr/^POST 201 \Q$origin\E$/m, 'a session of the page');
    ok($seen =~ m!atls\+octet-stream!, 'the middlebox has seen POSTs');
    ok($seen !~ m!name="field"|/big\?size|GET /info|X-Answer!,
       'but no requests');

    $t->done_testing();
}


sub chromium {
    my ($t, $middlebox, $url) = @_;

    my $browser = Test::Atls::Browser->start($t,
                      '--proxy-server=127.0.0.1:' . $middlebox->port(),
                      '--proxy-bypass-list=<-loopback>;localhost',
                      '--ignore-certificate-errors');

    $browser->open($url);

    ok($t->wait_for(sub { $browser->value('document.title') eq 'done' }, 300),
       'done') or diag(join "\n", $browser->messages());
}


sub firefox {
    my ($t, $middlebox, $url) = @_;

    Test::Atls::Firefox->start($t, $url, proxy => $middlebox->port(),
                               ca => $middlebox->ca());

    ok($t->wait_for(sub { $t->read_file('results.log') =~ /\n/ }, 300), 'done');
}
