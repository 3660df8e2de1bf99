#!/usr/bin/perl

# Lines of the error log about long values that a client has sent: they have the
# address of the client nevertheless.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_raw );

my $TYPE = 'application/atls+octet-stream';
my $LONG = 5000;

my $t = Test::Atls->new(workers => 1);

$t->write_inner();
$t->run();

my %values = (
    'method'           => [ 'X' x $LONG, undef, undef ],
    'media type'       => [ 'POST', 'x/' . 'y' x $LONG, undef ],
    'Content-Encoding' => [ 'POST', $TYPE, 'x' x $LONG ],
);

for my $name (sort keys %values) {
    my ($method, $type, $encoding) = @{ $values{$name} };

    my $from = length $t->read_log('error.log');

    http_raw($t->port(0), join "\r\n", "$method /.well-known/atls HTTP/1.1",
             'Host: localhost', 'Connection: close',
             $type ? "Content-Type: $type" : (),
             $encoding ? "Content-Encoding: $encoding" : (),
             'Content-Length: 8', '', 'no TLS\r\n');

    my ($line) = substr($t->read_log('error.log'), $from)
                 =~ /^(.* client sent .*\Q$name\E.*)$/m;

    like($line, qr/"[Xxy\/]{50,200}"/, "$name: a part of it");
    like($line, qr/, client: 127\.0\.0\.1, /, '... and the client');
}

$t->done_testing();
