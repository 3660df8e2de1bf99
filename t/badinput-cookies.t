#!/usr/bin/perl

# Invalid cookies.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::BadInput;

{
    my $c = $t->established();
    my $cookie = $c->cookie();

    $c->write_plain($get);
    my $record = $c->tls_out();

    my %cookies = (
        'of another value'      => 'A' x 24,
        'empty'                 => '',
        'too short'             => substr($cookie, 0, 21),
        'too long'              => "${cookie}A",
        'much too long'         => 'A' x 8000,
        'with bad characters'   => '!' x 24,
        'with high bytes'       => "\xff" x 24,
        'with a quote'          => "\"$cookie",
        'with one of them wrong' => flip($cookie, 5, 0),
        'in hex'                => unpack('H*', $cookie),
    );

    for my $name (sort keys %cookies) {
        my $r = $c->post($record, cookie => "atls=$cookies{$name}");

        is($r->status(), 410, "a cookie $name");
        like($r->header('Set-Cookie'), qr/Max-Age=0/, 'expires');
    }

    my %headers = (
        'another name'          => "btls=$cookie",
        'a longer name'         => "xatls=$cookie",
        'no value'              => 'atls',
        'nothing'               => ';;;=;; =',
        'many'                  => join('; ', map { "c$_=v" } 1 .. 1000),
    );

    for my $name (sort keys %headers) {
        my $r = $c->post($record, cookie => $headers{$name});

        is($r->status(), 410, "a Cookie header: $name");
        is($r->header('Set-Cookie'), undef, 'no cookie expires');
    }

    # with each bit inverted

    my $n = 0;

    for my $at (0 .. 20) {
        for my $bit (0 .. 6) {
            $n++ if $c->post($record, cookie => 'atls='
                             . flip($cookie, $at, $bit))->status() == 200;
        }
    }

    is($n, 0, 'a cookie with an inverted bit');

    $c->cookie($cookie);
    $c->exchange($record, cookie => "a=b; atls=$cookie; c=d");
    like($c->read_plain(), qr/inner/, 'the right cookie, among other ones');

    my $many = join('; ', map { "c$_=v" } 1 .. 500) . "; atls=$cookie";

    $c->write_plain($get);
    $c->exchange($c->tls_out(), cookie => $many);
    like($c->read_plain(), qr/inner/, 'among many other ones');
}

others_go_on('cookies');
same_workers();

$t->done_testing();
