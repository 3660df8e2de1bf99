#!/usr/bin/perl

# Runs the benchmarks.  The results are printed as a table and written to
# build/bench.json; the most important ones are drawn in build/bench.svg.
#
#     make bench                  about six minutes, once nginx is built
#     make bench QUICK=1          less than one
#
# Programs in this directory print lines with a name, a number and a value.  If
# there are several rounds, the median is used.

use strict;
use warnings;

use File::Spec;
use JSON::PP;

use Test::Atls;


my $root = Test::Atls::root();
my $build = $ENV{BUILD} || "$root/build";
my @quick = $ENV{QUICK} ? '-q' : ();

my @SIZES = (1000, 100_000, 1_000_000);
my @PROCS = (1, 2, 4, 8, 16);
my $MB = 1024 * 1024;

# Limits for the cost of ATLS relative to HTTPS.  A row has a title, the name
# and number of the measurement, the value to compare, and the limit.

my @TARGETS = (
    [ 'small request, 1 connection', 'small request', 1, 'cpu', 1.1 ],
    [ 'small request, 32 connections', 'small request', 32, 'cpu', 1.1 ],
    [ '99th percentile, 32 connections', 'small request', 32, 'p99', 1.2 ],
    [ 'new session, P-256', 'new session, full', 256, 'cpu', 0.7 ],
    [ 'new session, RSA-2048', 'new session, full', 2048, 'cpu', 0.7 ],
    [ 'new session, resumed', 'new session, resumed', 256, 'cpu' ],
    [ 'new session, 0-RTT', 'new session, 0-RTT', 256, 'cpu' ],
    [ 'download, 16 KB', 'download', 16384, 'cpu', 1.05 ],
    [ 'download, 1 MB', 'download', $MB, 'cpu' ],
    [ 'download, 256 MB', 'download', 256 * $MB, 'cpu', 1.0 ],
    [ 'upload, 64 MB', 'upload', 64 * $MB, 'cpu' ],
);

my $FORWARD = 1.2;          # limit for atls forward, relative to stunnel
my $COUNTING = 1.01;        # limit for the cost of counting,
my $RETRIES = 1.03;         # and of keeping responses for retries
my $LAZY = 1.02;            # limit for a POST at the machine of its session

my %results;        # { name }{ number } = [ values ]

my @perl = ($^X, '-I', "$root/t/lib");

$ENV{MALLOC_PERTURB_} = 0;      # see Test::Atls

run('compare', @perl, "$root/t/bench/compare.pl", "$build/bench", @quick);
run('handshake', "$build/bench/handshake", @quick);
run('table', "$build/bench/table", @quick);
run('relay', @perl, "$root/t/bench/relay.pl", @quick);
run('store', @perl, "$root/t/bench/store.pl", @quick);
run('forward', @perl, "$root/t/bench/forward.pl", "$build/atls", @quick);
run('reload', @perl, "$root/t/bench/reload.pl", "$build/bench/fill", @quick);
run('count', @perl, "$root/t/bench/count.pl", "$build/bench/uncounted", @quick);

my %machine = machine();

print_machine();
print_targets();
print_requests();
print_exported();
print_sessions();
print_handshakes();
print_transfers();
print_idle();
print_table();
print_zone();
print_locks();
print_contention();
print_relay();
print_store();
print_forward();
print_reload();
print_count();
write_json("$build/bench.json");
write_svg("$build/bench.svg");


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


# Returns the median and the range of the values of all rounds.

sub spread {
    my ($name, $number, $digits) = @_;

    my @values = sort { $a <=> $b } @{$results{$name}{$number}};
    my $format = "%.${digits}f";

    return sprintf $format, $values[0] if @values == 1;
    return sprintf "$format ($format - $format)", median($name, $number),
                   @values[0, -1];
}


sub compare {
    my ($name, $mode, $what, $number) = @_;

    return median("compare: $name, $mode, $what", $number);
}


# Returns the ratio of ATLS to HTTPS.

sub ratio {
    my ($name, $what, $number, $mode) = @_;

    return median_ratio(map { $results{"compare: $name, $_, $what"}{$number} }
                        $mode || 'atls', 'https');
}


# The median of the ratios of each round, since temporary load affects both
# values of a round.

sub median_ratio {
    my ($values, $others) = @_;

    my @ratios = sort { $a <=> $b } map { $values->[$_] / $others->[$_] }
                                    0 .. $#$values;

    return $ratios[$#ratios / 2];
}


# output

sub heading { print "\n$_[0]\n\n" }


sub row { print '| ', join(' | ', @_), " |\n" }


sub rule { print '| ---', ' | ---:' x ($_[0] - 1), " |\n" }


sub print_machine {
    print "$machine{cpu}, $machine{cores} cores, $machine{system}\n",
          "$machine{nginx}, $machine{openssl}, $machine{cc}\n";
}


sub print_targets {
    heading('ATLS over HTTP relative to HTTPS: CPU time of nginx, or latency');
    row('', 'ratio', 'target', '');
    rule(4);

    for my $target (@TARGETS) {
        my ($title, $name, $number, $what, $limit) = @$target;
        my $ratio = ratio($name, $what, $number);

        row($title, sprintf('%.2f', $ratio),
            $limit ? sprintf('%.2f', $limit) : '',
            !$limit ? '' : sprintf('%.2f', $ratio) <= $limit ? 'met' : 'not met');
    }
}


# Rows of one measurement, one for each mode.

sub print_modes {
    my ($title, $name, $number, @columns) = @_;

    for my $mode (qw( http https atls atls-new atlss keys )) {
        next unless $results{"compare: $name, $mode, cpu"}{$number};

        row($title, {
                http => 'HTTP', https => 'HTTPS', atls => 'ATLS',
                'atls-new' => 'ATLS, new connection',
                atlss => 'ATLS over HTTPS',
                keys => 'ATLS, exported keys of one session',
            }->{$mode},
            (map { spread("compare: $name, $mode, $_->[0]", $number, $_->[1]) }
             @columns),
            sprintf '%.2f', ratio($name, 'cpu', $number, $mode));
    }
}


sub print_requests {
    heading('Small requests: 200 bytes in the request, 100 in the response');
    row('connections', '', 'nginx CPU, us/request', 'requests/s',
        'median, us', '99th percentile, us', 'CPU relative to HTTPS');
    rule(7);

    print_modes($_, 'small request', $_, [ cpu => 1 ], [ rate => 0 ],
                [ p50 => 0 ], [ p99 => 0 ]) for 1, 32;
}


# Requests at once: records require a session for each of them.

sub print_exported {
    my ($records, $messages) = map { median("count: $_", 1) }
                               'counted', 'exported keys';

    heading('Exported keys: instructions of a small request');
    row('with exported keys', 'with records', 'ratio');
    rule(3);
    row($messages, $records, sprintf '%.2f', $messages / $records);

    heading('Exported keys: 32 requests at once in one session, CPU of nginx');
    row('relative to', 'ratio');
    rule(2);

    for (['records, in 32 sessions', 'atls'], ['HTTPS, on 32 connections', 'https'])
    {
        my ($title, $mode) = @$_;

        row($title, sprintf '%.2f', median_ratio(
            map { $results{"compare: small request, $_, cpu"}{32} }
                'keys', $mode));
    }
}


sub print_sessions {
    heading('New sessions, each with a small request');
    row('handshake', '', 'nginx CPU, us/session', 'sessions/s',
        'CPU relative to HTTPS');
    rule(5);

    print_modes(@$_, [ cpu => 0 ], [ rate => 0 ])
        for [ 'full, P-256', 'new session, full', 256 ],
            [ 'full, RSA-2048', 'new session, full', 2048 ],
            [ 'resumed', 'new session, resumed', 256 ],
            [ '0-RTT', 'new session, 0-RTT', 256 ];
}


sub print_handshakes {
    heading('Server side of a full handshake in OpenSSL, in memory');
    row('', 'CPU, us', 'relative to nginx with HTTPS');
    rule(3);

    for my $key ([ 256, 'P-256' ], [ 2048, 'RSA-2048' ]) {
        my ($bits, $title) = @$key;
        my $https = compare('new session, full', 'https', 'cpu', $bits);

        row("$title, $_->[1]", spread("handshake: $_->[0]", $bits, 0),
            sprintf '%.2f', median("handshake: $_->[0]", $bits) / $https)
            for [ 'alone', 'as for HTTPS' ],
                [ 'logged', 'with the secrets for ATLS' ];
    }
}


sub print_transfers {
    heading('Large responses and requests');
    row('', '', 'nginx CPU, us', 'MB/s', 'CPU relative to HTTPS');
    rule(5);

    print_modes(@$_, [ cpu => 0 ], [ mbytes => 0 ])
        for [ 'download, 16 KB', 'download', 16384 ],
            [ 'download, 1 MB', 'download', $MB ],
            [ 'download, 256 MB', 'download', 256 * $MB ],
            [ 'upload, 64 MB', 'upload', 64 * $MB ];
}


sub print_idle {
    my ($size) = keys %{$results{'table: capacity'}};

    heading('Memory of an idle session');
    row('', 'bytes');
    rule(2);
    row('ATLS: zone', sprintf '%.0f', median('table: bytes', $size));
    row('ATLS: worker, without a connection',
        spread('compare: idle session, atls, bytes', 1, 0));
    row('ATLS: worker, with an HTTP connection',
        spread('compare: idle connection, atls, bytes', 1, 0));
    row('HTTPS: worker, with its connection',
        spread('compare: idle connection, https, bytes', 1, 0));
}


sub print_reload {
    heading('Reload, by the number of sessions, in milliseconds');
    row('sessions', '1 thousand', '1 million');
    rule(3);
    my @names = ('first response of a new worker', 'longest request',
                 'CPU time of the master');
    for my $name (@names) {
        row($name, map { spread("reload: $name", $_, 1) } 1000, 1_000_000);
    }
}


sub print_count {
    heading('Instructions of a small request');
    row('', 'with', 'without', 'ratio', 'target', '');
    rule(6);

    for ([ 'counting for atls_status', 'counted', 'not counted', $COUNTING ],
         [ 'keeping responses for retries', 'counted', 'no retries',
           $RETRIES ],
         [ 'a store, lazy, at home', 'lazy', 'counted', $LAZY ])
    {
        my ($what, $with, $without, $limit) = @$_;

        # without hiredis, there is no store

        next unless $results{"count: $with"};

        my @n = map { median("count: $_", 1) } $with, $without;
        my $ratio = $n[0] / $n[1];

        row($what, @n, sprintf('%.3f', $ratio), sprintf('%.3f', $limit),
            $ratio <= $limit ? 'met' : 'not met');
    }
}


sub print_table {
    heading('Session table, in nanoseconds per operation');
    row('sessions', '1 thousand', '100 thousand', '1 million', 'ratio');
    rule(5);

    for my $name ('take and put', 'take and put, 1000 sessions',
                  'find an unknown id', 'create, establish and put',
                  'random id', 'take and remove', 'expire',
                  'create in a full zone', 'store a record',
                  'store a record, 70% dropped',
                  'store a record in a full zone')
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
    row('size of a session, bytes', median('table: structure', 1) + 0);
    row('capacity of 512 MB, sessions', median('table: capacity', $size) + 0);
    row('zone memory per session, bytes', median('table: bytes', $size) + 0);
    row('the first 1,000,000 sessions, with page faults, ns/session',
        sprintf '%.0f', median('table: first fill', $SIZES[2]));
    row('sessions expired per sweep',
        sprintf '%.0f', median('table: expired in a sweep', $SIZES[2]));
    row('records stored in a full zone, of 8',
        median('table: records stored in a full zone, of 8', $SIZES[2]) + 0);
    row('sessions evicted per record',
        median('table: sessions evicted per record', $SIZES[2]) + 0);
}


sub print_locks {
    heading('Locks of the session table');
    row('', 'shard', 'held, ns', 'zone', 'held, ns');
    rule(5);

    for my $name ('take', 'put', 'put with a response',
                  'put with a longer response', 'create', 'establish',
                  'remove', 'store a record')
    {
        row($name, map { sprintf '%.0f', median("table: $name: $_", $SIZES[1]) }
                   'locks of a shard', 'lock of a shard held',
                   'locks of a zone', 'lock of a zone held');
    }
}


sub print_contention {
    heading('Take and put by several processes');
    row('processes', @PROCS);
    rule(1 + @PROCS);

    for my $work (0, 20000) {
        my $what = $work ? sprintf('about %d us of work', $work / 1000)
                         : 'no work';

        row("$what in between: CPU, ns/operation",
            map { sprintf '%.0f', median("table: contention, $work ns of work",
                                         $_) } @PROCS);
        row("$what in between: total operations/s",
            map { sprintf '%.0f', median("table: rate, $work ns of work", $_) }
            @PROCS);
        row("$what in between: locks not free, of a million operations",
            map { sprintf '%.0f', median("table: waits, $work ns of work", $_) }
            @PROCS);
        row("$what in between: times asleep, of a million operations",
            map { sprintf '%.0f', median("table: sleeps, $work ns of work", $_) }
            @PROCS);
    }
}


sub print_relay {
    heading('POSTs received by the worker of the inner request, and by another'
            . ' one, in microseconds');
    row('inner body, bytes', 'local', 'quartiles', 'relayed',
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


# Without redis-server, there are no results.

sub print_store {
    return unless $results{'store: no store'};

    heading('POSTs with a small request and a store, in microseconds');
    row('', 'median', '1st quartile', '99 of 100', 'ratio', 'target', '');
    rule(7);

    for my $name ('no store', 'lazy, at home', 'lazy, elsewhere', 'each') {
        my @times = map { median("store: $name$_", 1) }
                    '', ', 1st quartile', ', 99 of 100';
        my $ratio = $times[0] / median('store: no store', 1);
        my $limited = ($name eq 'lazy, at home');

        row($name, @times, sprintf('%.2f', $ratio), $limited ? $LAZY : '',
            !$limited ? '' : $ratio <= $LAZY ? 'met' : 'not met');
    }
}


sub print_forward {
    heading('CPU time of a request in the client, in microseconds: atls'
            . ' forward, and stunnel with TLS');
    row('connections', 'forward', 'stunnel', 'ratio', 'target', '');
    rule(6);

    for my $n (sort { $a <=> $b } keys %{$results{'forward: forward'}}) {
        my $ratio = sprintf '%.2f',
                    median_ratio(map { $results{"forward: $_"}{$n} }
                                 qw( forward stunnel ));

        row($n, map({ spread("forward: $_", $n, 1) } qw( forward stunnel )),
            $ratio, sprintf('%.2f', $FORWARD),
            $ratio <= $FORWARD ? 'met' : 'not met');
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


# Bars show the cost of ATLS relative to HTTPS, which is the line at 1; marks
# show the limits.  The colours are readable on white and on black.

sub write_svg {
    my ($file) = @_;

    my ($left, $scale, $step) = (230, 240, 28);
    my $line = $left + $scale;
    my $y = 40;
    my $bars = '';

    for my $target (@TARGETS) {
        my ($title, $name, $number, $what, $limit) = @$target;
        my $ratio = ratio($name, $what, $number);
        my $width = $ratio * $scale;

        $width = 1.6 * $scale if $width > 1.6 * $scale;

        $bars .= sprintf qq{<text x="%d" y="%d" text-anchor="end">%s</text>\n},
                         $left - 10, $y + 13, $title;
        $bars .= sprintf qq{<rect x="%d" y="%d" width="%.0f" height="18" }
                         . qq{fill="%s"/>\n}, $left, $y, $width,
                         !$limit || sprintf('%.2f', $ratio) <= $limit
                         ? '#2f8f6f' : '#c77d1e';
        $bars .= sprintf qq{<text x="%.0f" y="%d">%.2f</text>\n},
                         $left + $width + 6, $y + 13, $ratio;
        $bars .= sprintf qq{<path d="M%.0f %dv22" stroke="#888" }
                         . qq{stroke-width="3"/>\n},
                         $left + $limit * $scale, $y - 2 if $limit;

        $y += $step;
    }

    open my $fh, '>', $file or die "$file: $!\n";
    print $fh <<"EOS";
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 @{[ $y + 16 ]}"
     font-family="sans-serif" font-size="13" fill="#888">
<title>Cost of ATLS over HTTP, relative to HTTPS</title>
<text x="$line" y="18" text-anchor="middle">HTTPS = 1</text>
<path d="M$line 26v@{[ $y - 26 ]}" stroke="#888" stroke-dasharray="4 3"/>
$bars<text x="$left" y="@{[ $y + 10 ]}" font-size="11">CPU time of nginx, or
latency for the percentile; a grey mark is a target</text>
</svg>
EOS
    close $fh or die "$file: $!\n";

    print File::Spec->abs2rel($file), "\n";
}
