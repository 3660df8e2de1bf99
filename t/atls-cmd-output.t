#!/usr/bin/perl

# The atls command with the module: where the response is written to, and what
# is printed about it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use Test::More;
use Time::HiRes qw( time );

use Test::Atls::Pattern qw( pattern );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience );


my $t = Test::Atls::Site->new();

$t->write_file('limited', pattern(30_000));

$t->serve(<<'EOC', http => 'client_max_body_size 0;');
location = /limited {
    limit_rate 10k;
    alias %%TESTDIR%%/limited;
}
EOC

my $atls = $t->command();
my $site = 'https://localhost';
my @common = ($t->via(), $t->trust());
my $r;

subtest('output' => \&output);
subtest('silence' => \&silence);
subtest('write-out' => \&write_out);
subtest('progress' => \&progress) unless $ENV{TEST_VALGRIND};
subtest('as it is received' => \&unbuffered);
subtest('closed pipe' => \&closed_pipe);

$t->done_testing();


sub output {
    my $header = qr{\AHTTP/1\.1\ 200\ OK\r\n
                    (?:[\w-]+:\ [^\r\n]*\r\n)*?
                    X-One:\ 1\r\nX-Two:\ two\ \ words\r\n\r\n}x;

    $r = $t->atls("$site/exact");
    is("$r->{code} $r->{out}", "0 exactly\n", 'stdout');

    $r = $t->atls('-o', 'out', "$site/exact");
    is("$r->{code} $r->{out}", '0 ', '-o: nothing on stdout');
    is($t->read_file('out'), "exactly\n", '-o: the file');

    $r = $t->atls('-o', '-', "$site/exact");
    is($r->{out}, "exactly\n", '-o -');

    is($t->atls('-O', "$site/exact?a=b/c")->{code}, 0, '-O');
    is($t->read_file('exact'), "exactly\n", '-O: the file');

    $r = $t->atls('-O', "$site/dir/");
    is($r->{code}, 23, '-O: no name');

    $r = $t->atls('-i', "$site/exact");
    like($r->{out}, qr/${header}exactly\n\z/, '-i');

    $r = $t->atls('-i', '-o', 'out', "$site/exact");
    like($t->read_file('out'), qr/${header}exactly\n\z/, '-i -o');
    is($r->{out}, '', 'nothing on stdout');

    $r = $t->atls('-I', "$site/exact");
    like($r->{out}, qr/$header\z/, '-I');
    is($r->{code}, 0, '-I: exit code');

    $r = $t->atls('-i', "$site/status?code=204");
    like($r->{out}, qr/\AHTTP\/1\.1 204 \S.*\r\n\r\n\z/s, '-i: no body');

    unlink $t->path('out');
    $r = $t->atls('-o', 'out', "$site/status?code=204");
    ok(-e $t->path('out') && -z _, 'an empty file');

    $r = $t->atls("$site/chunked");
    is($r->{out}, "one\ntwo\nthree\n", 'chunked');

    $r = $t->atls("$site/eof");
    is($r->{out}, "until the end\n", 'until the end');

    # -f

    $t->write_file('out', 'old');

    for my $code (400, 404, 500) {
        $r = $t->atls('-f', '-i', '-o', 'out', "$site/status?code=$code");
        is("$r->{code} $r->{out}", '22 ', "-f: $code");
        like($r->{err}, qr/^atls: \(22\) .*$code$/, 'it says so');
    }

    is($t->read_file('out'), 'old', '-f: no output');

    $r = $t->atls("$site/status?code=404");
    is("$r->{code} $r->{out}", "0 status 404\n", 'without -f');
    $r = $t->atls('-f', "$site/status?code=302");
    is("$r->{code} $r->{out}", "0 status 302\n", '-f: 302, not followed');

    # files that cannot be written

    for my $bad ('/nonexistent/out', $t->dir(), '/dev/full') {
        $r = $t->atls('-o', $bad, "$site/exact");
        is($r->{code}, 23, "-o $bad") or diag($r->{out});
        like($r->{err}, qr/^atls: \(23\) cannot write to "\Q$bad\E": \w/,
             'it says so');
    }

    done_testing();
}


sub silence {
    my @bad = ('-f', "$site/status?code=404");

    is($t->atls('-s', @bad)->{err}, '', '-s');
    like($t->atls('-s', '-S', @bad)->{err}, qr/^atls: \(22\)/, '-sS');
    like($t->atls('-sS', '-f', $bad[1])->{err}, qr/^atls: \(22\)/,
         'in one word');
    is($t->atls('-s', @bad)->{code}, 22, 'the exit code is the same');
    like($t->atls('-s')->{err}, qr/no URL/, 'wrong usage is said anyway');

    done_testing();
}


sub write_out {
    my $format = 'a\tb %{http_code} %{size_download} %{atls}\n%%{x} %{no} %{';

    $r = $t->atls('-o', 'out', '-w', $format, "$site/exact");
    is("$r->{code} $r->{out}", "0 a\tb 200 8 on\n%{x}  %{", 'variables');

    $r = $t->atls('-w', ' %{time_total}\n', "$site/exact", "$site/exact");
    like($r->{out}, qr/\A(?:exactly\n \d+\.\d{6}\n){2}\z/, 'for each URL');

    $r = $t->atls('-w', '%{http_code}', '-f', "$site/status?code=404");
    is("$r->{code} $r->{out}", '22 404', 'of a failure');

    $r = $t->atls('-w', '%{http_code}', '-m', '0.5', "$site/hang");
    is("$r->{code} $r->{out}", '28 000', 'no answer at all');

    done_testing();
}


# The progress meter on a terminal.  Commands run in parallel.

sub progress {
    my $slow_url = "$site/slow?n=7&delay=0.2";

    my @cases = (
        [ 'bytes', [ '-o', 'a', $slow_url ],
          qr{\rreceived\ +\d+\ +\d+/s\ +0:\d\d\ .*
             \rreceived\ +49\ +\d+/s\ +0:\d\d\ \r?\n\z}xs ],
        [ 'a bar', [ '-o', 'b', "$site/limited" ],
          qr{\rreceived\ +\d\d%\ \[[#]+\ +\]\ +[\d.]+k\ +[\d.]+k/s\ +0:\d\d\ .*
             \rreceived\ 100%\ \[[#]{30}\]\ +29k\ .*\n\z}xs ],
        [ 'an upload', [ '-o', 'c', '-T', slow_file(), "$site/echo" ],
          qr{\rsent\ +\d+\ +\d+/s}x ],
        [ 'not with -s', [ '-s', '-o', 'd', $slow_url ], qr/\A\z/ ],
        [ 'not with --no-progress-meter',
          [ '--no-progress-meter', '-o', 'e', $slow_url ], qr/\A\z/ ],
        [ 'not if the answer is shown', [ $slow_url ],
          qr/\Aline 1\r\n(?:line \d\r\n){6}\z/ ],
    );

    my $p = $atls->start(@common, '-o', 'f', $slow_url);
    my @running = map { terminal(@{$_->[1]}) } @cases;

    for (@cases) {
        my $fh = shift @running;
        like(join('', <$fh>), $_->[2], $_->[0]);
    }

    is($atls->finish($p)->{err}, '', 'not without a terminal');

    my $began = time;
    my $fh = terminal('-o', 'out', "$site/exact");
    my $said = join '', <$fh>;
    ok($said eq '' || time - $began > 0.9, 'not of a moment');

    done_testing();
}


# Runs a command on a terminal; its output can be read.

sub terminal {
    my (@args) = @_;

    my $command = join ' ', map { "'$_'" } $atls->lib()->command_line(
                  $atls->program(), @common, @args);
    my $dir = $t->dir();

    open my $fh, '-|', "cd $dir && exec script -qec \"$command\" /dev/null"
                       . ' </dev/null' or die "script: $!\n";

    return $fh;
}


# A named pipe that is written slowly.

sub slow_file {
    my $path = $t->path('fifo');

    require POSIX;
    POSIX::mkfifo($path, 0600) or die "mkfifo: $!\n";
    $t->run_daemon(sub {
        open my $fh, '>', $path or die "fifo: $!\n";
        for (1 .. 8) {
            syswrite $fh, "line $_\n";
            select undef, undef, undef, 0.2;
        }
    });

    return $path;
}


# The second line does not come.

sub unbuffered {
    for ([], [ '-N' ]) {
        my $p = $atls->start(@common, @$_, "$site/slow?n=2&delay=1000",
                             { stdout => 'pipe' });
        my $some = '';

        sysread $p->{out}, $some, 100
            if IO::Select->new($p->{out})->can_read(patience());
        is($some, "line 1\n", "the first line, options: @$_");
        kill 'TERM', $p->{pid};
        is($atls->finish($p)->{code}, 'signal 15', 'it was not the end');
    }

    done_testing();
}


# The reader of stdout has closed it.

sub closed_pipe {
    my $p = $atls->start(@common, "$site/big?size=100000000",
                         { stdout => 'pipe' });

    read $p->{out}, my $some, 10;
    is($some, pattern(10), 'something');
    close delete $p->{out};

    $r = $atls->finish($p);
    is("$r->{code} $r->{err}", '23 ', 'quietly');

    done_testing();
}
