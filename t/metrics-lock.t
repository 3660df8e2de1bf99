#!/usr/bin/perl

# A worker process that starts does not need the lock of the zone of counters:
# it would wait if another one has died in the slab allocator.  The zone is
# locked from outside, for ever.

use strict;
use warnings;

use Config;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Status qw( status );

plan(skip_all => 'the lock is written as on Linux on x86-64')
    unless $^O eq 'linux' && $Config{archname} =~ /^x86_64/;

my $t = Test::Atls->new(workers => 2);

my $http = <<'EOC';
%%CERTIFICATE%%
atls_zone small:1m;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /ok {
        return 200 ok;
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->write_http($http)->run();
$t->established()->get('/ok');

ok(lock_counters(), 'the zone is locked');

$t->{workers} = 6;
$t->write_http($http);

ok($t->reload(), 'more workers');
is(status($t)->{workers}, 6, '... are there');

$t->established()->get('/ok') for 1 .. 5;
is(status($t)->{requests_total}{'2xx'}, 6, '... and count');

$t->done_testing();


# The zone is the largest one.  It begins with the word of its lock, which is
# the pid of the process that has it.

sub lock_counters {
    my ($size, $start) = (0);

    no warnings 'portable';         # of hex()

    for (split /\n/, $t->read_file('/proc/' . $t->pid() . '/maps')) {
        my ($from, $to) = /^(\w+)-(\w+) rw-s / or next;
        my $length = hex($to) - hex($from);

        ($size, $start) = ($length, hex $from) if $length > $size;
    }

    open my $memory, '+<:raw', '/proc/' . $t->pid() . '/mem' or return 0;

    sysseek $memory, $start, 0;
    sysread $memory, my $lock, 8;

    return 0 if $lock ne "\0" x 8;

    sysseek $memory, $start, 0;

    return syswrite($memory, pack 'Q', 1) == 8;
}
