#!/usr/bin/perl

# Core dumps of workers contain neither the zone with the keys of sessions, nor
# the keys of tickets.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX qw( _SC_PAGESIZE sysconf );
use Test::More;

use Test::Atls;

plan(skip_all => 'MADV_DONTDUMP is seen in /proc of Linux')
    unless -r '/proc/self/smaps';

my $page = sysconf(_SC_PAGESIZE) / 1024;

my $conf = http_conf(<<'EOC');
atls_zone zone:%%SIZE%%k;
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location / {
        atls on;
        return 200 inner;
    }
}
EOC

my $t = Test::Atls->new(workers => 2);

# sizes that no other mapping has

zone(3052);
$t->run();
is_left_out(3052, 'start');

$t->reload();
is_left_out(3052, 'the zone is kept');

zone(3072);
$t->reload();
is_left_out(3072, 'another zone');

$t->allow_kills();
kill 'KILL', my @old = $t->workers();
$t->wait_for(sub { my %old = map { $_ => 1 } @old;
                   2 == grep { !$old{$_} } $t->workers() });
is_left_out(3072, 'other processes');

$t->done_testing();


sub zone {
    my ($size) = @_;

    $t->write_conf($conf =~ s/%%SIZE%%/$size/r);
}


sub is_left_out {
    my ($size, $name) = @_;

    my $c = $t->client(uri => '/');
    ok($c->handshake(), "$name: a session") or diag($c->error());

    my ($zones, $pages);

    # a process that has just been started has no page yet

    $t->wait_for(sub {
        my @maps = map { [ maps($_) ] } $t->workers();

        $zones = grep { $_->{size} == $size && $_->{shared} } map { @$_ } @maps;
        $pages = grep { (grep { $_->{size} == $size } @$_)
                        && (grep { $_->{size} == $page && !$_->{shared} } @$_) }
                 @maps;

        return $zones == 2 && $pages == 2;
    });

    is($zones, 2, "$name: the zone, in each worker");
    is($pages, 2, "$name: and a page for keys");
}


# Mappings that are excluded.  Sizes are in kilobytes.

sub maps {
    my ($pid) = @_;

    my @maps;

    open my $fh, '<', "/proc/$pid/smaps" or die "smaps: $!\n";

    while (my $line = <$fh>) {
        push @maps, { shared => $1 eq 's' } if $line =~ /^\w+-\w+ ...(.) /;
        $maps[-1]{size} = $1 if $line =~ /^Size: +(\d+) kB/;
        $maps[-1]{left_out} = 1 if $line =~ /^VmFlags:.* dd\b/;
    }

    return grep { $_->{left_out} } @maps;
}
