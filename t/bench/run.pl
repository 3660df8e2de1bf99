#!/usr/bin/perl

# What things cost, as a table and as build/bench.json.
#
#     make bench                  about two minutes, once nginx is built
#     make bench QUICK=1          half a minute
#
# Programs in this directory measure and write lines of a name, a number and a
# value; here they are put together.  Of several rounds, the median counts.

use strict;
use warnings;

use File::Spec;
use JSON::PP;

use Test::Atls;


my $root = Test::Atls::root();
my $build = $ENV{BUILD} || "$root/build";
my @quick = $ENV{QUICK} ? '-q' : ();

my @SIZES = (1000, 100_000, 1_000_000);
my @PROCS = (1, 2, 4, 8);

my %results;        # { name }{ number } = [ values ]

run('table', "$build/bench/table", @quick);
run('relay', $^X, '-I', "$root/t/lib", "$root/t/bench/relay.pl", @quick);

my %machine = machine();

print_machine();
print_table();
print_zone();
print_contention();
print_relay();
write_json("$build/bench.json");


sub run {
    my ($group, @command) = @_;

    print STDERR "bench: $group\n";

    open my $fh, '-|', @command or die "$command[0]: $!\n";

    while (<$fh>) {
        my ($name, $number, $value) = /^([^\t]+)\t(\d+)\t(-?[\d.]+)$/
            or die "bench: $group says: $_";

        push @{$results{"$group: $name"}{$number}}, $value;
    }

    close $fh or die "bench: $group failed\n";
}


sub median {
    my ($name, $number) = @_;

    my $values = $results{$name}{$number} or die "bench: no $name, $number\n";

    return (sort { $a <=> $b } @$values)[$#$values / 2];
}


# output

sub heading { print "\n$_[0]\n\n" }


sub row { print '| ', join(' | ', @_), " |\n" }


sub rule { print '| ---', ' | ---:' x ($_[0] - 1), " |\n" }


sub print_machine {
    print "$machine{cpu}, $machine{cores} cores, $machine{system}\n",
          "$machine{nginx}, $machine{openssl}, $machine{cc}\n";
}


sub print_table {
    heading('Table of sessions, nanoseconds an operation');
    row('sessions', '1 thousand', '100 thousand', '1 million', 'ratio');
    rule(5);

    for my $name ('take and put', 'take and put, 1000 of them',
                  'find an unknown id', 'create, establish and put',
                  'random id', 'take and remove', 'expire',
                  'create in a full zone', 'keep a record',
                  'keep a record, 7 of 10 gone',
                  'keep a record in a full zone')
    {
        my @ns = map { median("table: $name", $_) } @SIZES;

        row($name, map({ sprintf '%.0f', $_ } @ns),
            sprintf '%.1f', $ns[2] / $ns[0]);
    }
}


sub print_zone {
    my ($size) = keys %{$results{'table: capacity'}};

    heading('The zone');
    row('', 'value');
    rule(2);
    row('bytes of a session\'s structure', median('table: structure', 1) + 0);
    row('sessions in 512 MB', median('table: capacity', $size) + 0);
    row('bytes of the zone a session', median('table: bytes', $size) + 0);
    row('ns for each of the first 1,000,000, page faults included',
        sprintf '%.0f', median('table: first fill', $SIZES[2]));
    row('sessions expired at most in a sweep',
        sprintf '%.0f', median('table: expired in a sweep', $SIZES[2]));
    row('records kept in a full zone, of 8',
        median('table: records kept in a full zone, of 8', $SIZES[2]) + 0);
    row('sessions pushed out for each',
        median('table: sessions pushed out for each', $SIZES[2]) + 0);
}


sub print_contention {
    heading('Several processes on one table, take and put');
    row('processes', @PROCS);
    rule(1 + @PROCS);

    for my $work (0, 20000) {
        my $what = $work ? sprintf('about %d us of work', $work / 1000)
                         : 'nothing else';

        row("$what between: CPU ns an operation",
            map { sprintf '%.0f', median("table: contention, $work ns of work",
                                         $_) } @PROCS);
        row("$what between: operations a second, in all",
            map { sprintf '%.0f', median("table: rate, $work ns of work", $_) }
            @PROCS);
    }
}


sub print_relay {
    heading('A POST to the worker that the inner request is in, and to'
            . ' another, microseconds');
    row('bytes of the inner body', 'local', 'quartiles', 'relayed',
        'quartiles', 'added');
    rule(6);

    for my $size (sort { $a <=> $b } keys %{$results{'relay: added'}}) {
        my @columns;

        for my $name (qw( local relayed )) {
            push @columns, median("relay: $name", $size),
                 join ' - ', map { median("relay: $name, $_ quartile", $size) }
                             qw( 1st 3rd );
        }

        row($size || 'none, an empty POST', @columns,
            median('relay: added', $size));
    }
}


sub machine {
    my ($cpu) = slurp('/proc/cpuinfo') =~ /^model name\s*: (.*)$/m;
    my $cores = () = slurp('/proc/cpuinfo') =~ /^processor\s*:/mg;
    my $binary = Test::Atls::binary();
    my ($nginx) = `$binary -V 2>&1` =~ m!(nginx/[\d.]+)!;
    my ($cc) = `@{[ $ENV{CC} || 'cc' ]} --version` =~ /^(.*)$/m;

    chomp(my $openssl = `openssl version`);
    chomp(my $system = `uname -sr`);

    return (cpu => $cpu || `uname -m` =~ s/\n//r, cores => $cores,
            system => $system, nginx => $nginx,
            openssl => $openssl =~ s/ +\(.*//r, cc => $cc);
}


sub slurp {
    my ($file) = @_;

    open my $fh, '<', $file or return '';
    local $/;

    return scalar <$fh>;
}


sub write_json {
    my ($file) = @_;

    my $json = JSON::PP->new()->canonical()->pretty();
    my %medians;

    for my $name (keys %results) {
        $medians{$name}{$_} = median($name, $_) + 0
            for keys %{$results{$name}};
    }

    $_ = [ map { $_ + 0 } @$_ ] for map { values %$_ } values %results;

    open my $fh, '>', $file or die "$file: $!\n";
    print $fh $json->encode({ machine => \%machine,
                              quick => $ENV{QUICK} ? 1 : 0,
                              medians => \%medians, rounds => \%results });
    close $fh or die "$file: $!\n";

    print "\n", File::Spec->abs2rel($file), "\n";
}
