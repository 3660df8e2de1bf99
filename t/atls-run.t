#!/usr/bin/perl

# atls run: the program runs as without it, except for its proxy.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64;
use Test::More;

use Test::Atls::Http qw( http_connect send_all );
use Test::Atls::LocalServer qw( message next_answer );
use Test::Atls::Program qw( run_program );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience );

my $PATIENCE = patience();
my $NOBODY = 65534;

my $t = Test::Atls::Site->new(san => 'DNS:api.test');

$t->serve(<<'EOC');
location = /info {
    return 200 "$atls $host\n";
}

location = /none {
    return 404;
}
EOC

my $atls = $t->command();
my @run = ('run', '--map', 'api.test=' . $t->endpoint(),
           '--map', 'none.test=' . $t->endpoint('/none'));
my @curl = ('curl', '-sS', '--cacert', $t->path('ca.crt'));

# A program that prints its proxy, and then copies its input.

my $waits = '$| = 1; print "$ENV{https_proxy}\n"; print while <STDIN>; exit 7';

# they are ignored if the test was started in the background by a shell

$SIG{$_} = 'DEFAULT' for qw( HUP INT QUIT );

subtest('a program' => \&program);
subtest('its environment' => \&environment);
subtest('how it ends' => \&ends);
subtest('signals' => \&signals);
subtest('terminal' => \&terminal);
subtest('who may use the proxy' => \&access);
subtest('what goes wrong' => \&failures);
subtest('what it leaves behind' => \&left_behind);
subtest('command line' => \&command_line);

$t->done_testing();


sub program {
    my $r = $atls->run(@run, '--', @curl, 'https://api.test/info');
    is("$r->{code} $r->{out}$r->{err}", "0 on api.test\n", 'a request');

    $r = $atls->run(@run, @curl, '-F', 'file=@' . $t->path('ca.crt'),
                    'https://api.test/body');
    like($r->{out}, qr/filename="ca.crt".*BEGIN CERTIFICATE/s,
         'without --, its options are its own');

    $r = $atls->run(@run, 'cat', { stdin => 'some text' });
    is("$r->{code} $r->{out}$r->{err}", '0 some text', 'stdin');

    $t->backend()->forget();
    done_testing();
}


# Only the proxy differs: other variables, descriptors, signals, limits and the
# process group are the same.

sub environment {
    my %env = (no_proxy => 'a', NO_PROXY => 'b', http_proxy => 'http://c',
               https_proxy => 'http://d', OTHER => 'e',
               all_proxy => 'http://f', auto_proxy => 'http://g');
    my @env = ('env', '-u', 'PWD');

    my ($plain, $under) = map { { map { split /=/, $_, 2 } split /\n/,
                                      $_->{out} } }
                          run_program($t, @env, { env => \%env }),
                          $atls->run(@run, @env, { env => \%env });

    my $proxy = delete $under->{https_proxy};
    like($proxy, qr!^http://atls:[\da-f]{32}\@127\.0\.0\.1:\d+$!, 'the proxy');
    is(delete $under->{HTTPS_PROXY}, $proxy, 'by both names');
    delete @$plain{qw( https_proxy no_proxy NO_PROXY all_proxy auto_proxy )};
    delete @$_{qw( ASAN_OPTIONS UBSAN_OPTIONS LD_LIBRARY_PATH )}
        for $plain, $under;
    is_deeply($under, $plain, 'all others are the same');

    isnt($atls->run(@run, 'printenv', 'https_proxy')->{out}, "$proxy\n",
         'another one each time');

    # for some programs, it would take precedence

    my $r = $atls->run(@run, 'sh', '-c', 'echo $http_proxy $ALL_PROXY',
                       { env => { ALL_PROXY => 'http://f' } });
    is($r->{out}, "http://f\n", 'ALL_PROXY');

    for ([ 'signals', 'grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status' ],
         [ 'descriptors', 'sh', '-c', 'cd /proc/self/fd && echo *' ],
         [ 'limits', 'cat', '/proc/self/limits' ])
    {
        my ($name, @command) = @$_;
        my $all = "trap '' HUP USR1; exec \"\$@\"";

        is($atls->run(@run, @command)->{out}, run_program($t, @command)->{out},
           $name);
        is(run_program($t, 'sh', '-c', $all, 'sh', $atls->program(), @run,
                       @command)->{out},
           run_program($t, 'sh', '-c', $all, 'sh', @command)->{out},
           "$name, some of them ignored");
    }

    my $p = $atls->start(@run, 'perl', '-e', 'print getpgrp');
    is($atls->finish($p)->{out}, getpgrp, 'process group');

    done_testing();
}


sub ends {
    for (0, 1, 42, 255) {
        is($atls->run(@run, 'sh', '-c', "exit $_")->{code}, $_, "code $_");
    }

    for (qw( TERM KILL SEGV PIPE USR1 ALRM )) {
        my $r = run_program($t, 'sh', '-c', "kill -$_ \$\$");
        is($atls->run(@run, 'sh', '-c', "kill -$_ \$\$")->{code}, $r->{code},
           "signal $_");
    }

    # the process may have other children, from before exec

    my $r = run_program($t, 'sh', '-c', 'sleep 0.1 & exec "$@"', 'sh',
                        $atls->program(), @run, 'sh', '-c',
                        'sleep 0.5; exit 3');
    is($r->{code}, 3, 'another child ends before it');

    done_testing();
}


# Starts a program in Perl, which prints a line when it is ready.

sub start {
    my ($code, @args) = @_;

    my $p = $atls->start(@run, @args, 'perl', '-e', $code,
                         { stdin => 'pipe', stdout => 'pipe' });

    return ($p, scalar readline $p->{out});
}


sub signals {
    my $code = '$| = 1; for my $s (qw( HUP INT QUIT USR1 USR2 ALRM TERM )) {'
               . ' $SIG{$s} = sub { print "$s\n"; exit 9 if $s eq "TERM" } }'
               . ' print "ready\n"; sleep 1 while 1';
    my ($p) = start($code);

    for (qw( HUP INT QUIT USR1 USR2 ALRM TERM )) {
        kill $_, $p->{pid};
        is(readline $p->{out}, "$_\n", $_);
    }
    is($atls->finish($p)->{code}, 9, 'it ends as it likes');

    ($p) = start('$| = 1; print "ready\n"; sleep 1 while 1');
    kill 'INT', $p->{pid};
    is($atls->finish($p)->{code}, 'signal 2', 'or by the signal');

    done_testing();
}


# Ctrl-C sends a signal to the process group, which includes the program: it
# must not be forwarded.  A shell would wait between it and script: some end by
# the signal of Ctrl-C when the program has ended.

sub terminal {

    # Perl handles a signal before it reads, or while it reads: one that comes
    # in between is not noticed until there is something to read

    my $code = '$| = 1; $SIG{INT} = sub { $n++; print "int\n" };'
               . ' print "ready\n"; do { vec($in, 0, 1) = 1;'
               . ' $_ = select($in, undef, undef, 0.1) > 0 ? <STDIN> : "" }'
               . ' until /quit/;'
               . ' print "$n times\n"; kill "TERM", $$';
    my $log = $t->path('terminal');
    my $command = $t->write_file('command', 'exec '
                                 . join(' ', $atls->program(), @run)
                                 . " perl -e '$code'\n");

    open my $in, '|-', "script -qefc 'exec sh $command' $log >/dev/null"
        or die "script: $!\n";
    $in->autoflush(1);

    for ([ qr/ready/, "\x03" ], [ qr/int/, "quit\n" ]) {
        my ($prompt, $keys) = @$_;
        ok($t->wait_for(sub { $t->read_file('terminal') =~ $prompt },
                        $PATIENCE), "$prompt");
        print $in $keys;
    }

    ok($t->wait_for(sub { $t->read_file('terminal') =~ /times/ }, $PATIENCE),
       'its end');
    close $in;
    is($? >> 8, 128 + 15, 'ends by a signal');
    like($t->read_file('terminal'), qr/^1 times\r$/m, 'one signal');

    done_testing();
}


sub access {
    my ($p, $line) = start($waits);
    my ($credentials, $port) = $line =~ m!//(.*?)\@127\.0\.0\.1:(\d+)$!;
    my $right = encode_base64($credentials, '');
    my $s = http_connect($port);

    like(connects($s), qr/^502 none\.test does not/, 'the same user');

    SKIP: {
        skip 'nobody else', 8 if $>;

        # the user of a socket is the one that created it

        {
            local $> = $NOBODY;
            $s = http_connect($port);
        }

        for ('', "Bearer $right", 'Basic ' . encode_base64('atls:', ''),
             "Basic $right=", 'Basic ' . substr($right, 0, -4), 'Basic')
        {
            like(connects($s, $_), qr/^407 .* required/, "another: '$_'");
        }

        send_all($s, message('GET http://none.test/'));
        is(next_answer($s)->header('Proxy-Authenticate'),
           'Basic realm="atls"', 'what is asked for');

        like(connects($s, "basic  $right"), qr/^502 none\.test does not/,
             'another with the credentials, on the same connection');
    }

    print {$p->{in}} "end\n";
    my $r = $atls->finish($p);
    is("$r->{code} $r->{out}", "7 end\n", 'exit code');
    like($r->{err}, qr/^atls: none\.test:443: the credentials of atls run are/m,
         'what it says') unless $>;

    done_testing();
}


# The answer to CONNECT on a connection.

sub connects {
    my ($s, $authorization) = @_;

    send_all($s, message("CONNECT none.test:443\nHost: none.test"
                         . ($authorization
                            ? "\nProxy-Authorization: $authorization" : '')));
    my $r = next_answer($s);

    return $r->status() . ' ' . $r->reason();
}


sub failures {
    my @get = (@curl, 'https://none.test/');
    my $text = 'none.test:443: none.test does not support ATLS: the endpoint'
               . ' returned 404';

    my $r = $atls->run(@run, @get);
    like("$r->{code} $r->{out}", qr/^(?:56|7) $/, 'a host without ATLS');
    like($r->{err}, qr/^atls: \Q$text\E$/m, 'why');
    like($r->{err}, qr/^curl: /m, 'what curl says');

    $r = $atls->run(@run, '-s', @get);
    unlike($r->{err}, qr/^atls: /m, '-s');
    $r = $atls->run(@run, '-sS', @get);
    like($r->{err}, qr/^atls: \Q$text\E$/m, '-sS');
    $r = $atls->run(@run, '-v', @curl, 'https://api.test/info');
    like($r->{err}, qr/^127\.0\.0\.1:\d+ outer> POST /m, '-v');
    is($r->{out}, "on api.test\n", 'the output is as without');

    $r = $atls->run(@run, '--direct', @curl, '-p', '-x', '',
                    'http://127.0.0.1:' . $t->port(0) . '/status?code=201');
    is($r->{out}, "status 201\n", 'what the program does without the proxy');

    done_testing();
}


# A background process with an open connection, which is closed when the program
# has ended.

sub left_behind {
    my $log = $t->path('background');
    my $p = $atls->start(@run, 'sh', '-c', "@curl -o /dev/null -N"
                         . " 'https://api.test/slow?n=1000000&delay=0.01'"
                         . " >$log 2>&1 & sleep 1; exit 4");

    is($atls->finish($p)->{code}, 4, 'is not waited for');
    ok($t->wait_for(sub { $t->read_file('background') =~ /^curl: /m },
                    $PATIENCE), 'and fails');

    done_testing();
}


sub command_line {
    my @cases = (
        [ 125, '\(2\) no program specified' ],
        [ 125, '\(2\) no program specified', '--' ],
        [ 125, '\(2\) unknown option.*see atls run --help', '-k', 'true' ],
        [ 125, '\(2\) -.* is not an option of atls run', '-l', '0', 'true' ],
        [ 125, '\(2\) -.* is not an option of atls run', '--via', 'https://a/', 'true' ],
        [ 125, '\(2\) .*must be HOST=URL', '--map', 'a', 'true' ],
        [ 126, '\(126\) cannot run "/": Permission denied', '/' ],
        [ 127, '\(127\) cannot run "no such": No such file', 'no such' ],
        [ 127, '\(127\) cannot run "": No such file', '' ],
    );

    for (@cases) {
        my ($code, $text, @args) = @$_;

        my $r = $atls->run('run', @args);
        is("$r->{code} $r->{out}", "$code ", "@args");
        like($r->{err}, qr/\Aatls: $text[^\n]*\n\z/, $text);
    }

    my $r = $atls->run('run', '--help');
    like("$r->{code} $r->{out}", qr/\A0 Usage: atls run /, '--help');
    is($atls->run('run', '-h')->{out}, $r->{out}, '-h');
    unlike($atls->run('run', '--', 'true', '-h')->{out}, qr/Usage: atls/,
           'not that of the program');

    done_testing();
}
