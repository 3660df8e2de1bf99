#!/usr/bin/perl

# The demonstration of the JavaScript client, in Chromium.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Browser;
use Test::Atls::JsSite;

my $ROOT = Test::Atls::root();

plan(skip_all => 'build/js does not exist, see "make js"')
    unless -e "$ROOT/build/js/atls.wasm";
plan(skip_all => 'no Chromium') unless Test::Atls::Browser::program();

my $t = Test::Atls::JsSite->new(endpoint => '/.well-known/atls');

$t->run();

my $port = $t->port(5);
my @command = ('node', "$ROOT/src/client/js/demo/server.mjs",
               '--package', "$ROOT/build/js", '--host', 'localhost',
               '--to', 'http://127.0.0.1:' . $t->port(0),
               '--ca', $t->path('ca.crt'), '--port', $port);

$t->run_daemon(sub { { exec @command } die "node: $!\n" }, port => $port);

my $browser = Test::Atls::Browser->start($t);

$browser->open("http://127.0.0.1:$port/");
ok($browser->wait('!document.getElementById("send").disabled'), 'ready')
    or diag(join "\n", $browser->messages());

request('GET', '/info', '');
request('POST', '/body', 'a secret text');

my ($page, $middlebox) = map {
    $browser->value("document.getElementById('$_').textContent")
} qw( page middlebox );

like($page, qr/GET TLSv1\.3/, 'the page has a response');
like($page, qr/a secret text/, 'and another one');
like($middlebox, qr!POST /\.well-known/atls201, !, 'the middlebox has POSTs');
like($middlebox, qr!16 03 01 !, 'a ClientHello');
unlike($middlebox, qr/secret|TLSv1/, 'but no request');

is(scalar(grep { !/favicon/ } $browser->messages()), 0, 'the console');

$browser->screenshot($ENV{ATLS_SCREENSHOT}) if $ENV{ATLS_SCREENSHOT};

$t->done_testing();


sub request {
    my ($method, $path, $body) = @_;

    my $before = $browser->value(
                     'document.querySelectorAll("#page article").length');

    $browser->value("document.getElementById('method').value = '$method';"
                    . "document.getElementById('path').value = '$path';"
                    . "document.getElementById('body').value = '$body';"
                    . "document.getElementById('send').click(); 1");

    ok($browser->wait('document.querySelectorAll("#page article").length > '
                      . $before), "$method $path");
}
