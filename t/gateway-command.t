#!/usr/bin/perl

# atls gateway: the command line.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Copy qw( copy );
use IO::Socket::INET;
use Test::More;

use Test::Atls::Command;
use Test::Atls::Gateway;
use Test::Atls::Port qw( free_port );
use Test::Atls::Process qw( wait_exit );
use Test::Atls::Slow qw( patience );

my $t = Test::Atls::Gateway->new();

$t->serve_located();

my $atls = $t->command();
my @l = ('-l', 'coap://127.0.0.1:' . free_port());
my @s = ('-l', 'coaps://127.0.0.1:' . free_port());
my @to = ('--to', $t->endpoint('/located/'));

subtest('errors' => \&errors);
subtest('files' => \&files);
subtest('help' => \&help);
subtest('without the program' => \&without);
subtest('a configuration file' => \&config);
subtest('-s, -v' => \&messages);
subtest('closed descriptors, signals' => \&closed);

$t->done_testing();


sub errors {
    my @cases = (
        [ 2, '--listen is required', @to ],
        [ 2, '--to is required', @l ],
        [ 2, 'unexpected argument', @l, @to, 'https://localhost' ],
        [ 2, 'coaps requires --psk-file or --cert', @s, @to ],
        [ 2, '--key requires --cert', @l, @to, '--key', 'x' ],
        [ 2, '--cacert requires --cert', @l, @to, '--cacert', 'x' ],
        [ 2, '--listen must be', '-l', '5683', @to ],
        [ 2, '--listen must be', '-l', 'http://localhost', @to ],
        [ 2, '--listen must be', '-l', 'coap://localhost/x', @to ],
        [ 2, '--listen must be', '-l', 'coap+tcp://localhost', @to ],
        [ 6, 'cannot resolve', '-l', 'coap://no-such.invalid', @to ],
        [ 7, 'cannot listen', '-l', 'coap://192.0.2.1', @to ],
        [ 2, 'URL or NAME=URL', @l, '--to', 'localhost' ],
        [ 2, 'URL or NAME=URL', @l, '--to', '=http://localhost' ],
        [ 2, 'URL or NAME=URL', @l, '--to', 'a/b=http://localhost' ],
        [ 3, 'not an http or https', @l, '--to', 'x=ftp://localhost' ],
        [ 3, 'not an http or https', @l, '--to', 'http://localhost/?x' ],
        [ 3, 'not an http or https', @l, '--to', 'http://localhost/#x' ],
        [ 2, 'more than one --to has no name', @l, @to, @to ],
        [ 2, 'the same name twice', @l, '--to', 'x=http://a', '--to',
          'X=http://b' ],
        [ 2, 'must be from 16 to 1024', @l, @to, '--block-size', 15 ],
        [ 2, 'must be from 16 to 1024', @l, @to, '--block-size', '2k' ],
        [ 2, 'number from 0 to 65535', @l, @to, '--content-format', 65536 ],
        [ 2, 'limits must not be 0', @l, @to, '--max-sources', 0 ],
        [ 2, 'limits must not be 0', @l, @to, '--max-requests', 0 ],
        [ 2, 'limits must not be 0', @l, @to, '--max-body', 0 ],
        [ 2, 'not be larger than 1G', @l, @to, '--max-body', '2G' ],
        [ 2, 'not be larger than 1G', @l, @to, '--source-rate', '2G' ],
        [ 2, 'must be PORT', @l, @to, '--metrics', 'x' ],
        [ 2, 'not an option of', @l, @to, '--early-data' ],
        [ 2, 'unknown option', @l, @to, '--other' ],
    );

    for (@cases) {
        my ($code, $text, @args) = @$_;

        my $r = $atls->run('gateway', @args);
        is("$r->{code} $r->{out}", "$code ", "@args");
        like($r->{err}, qr/^atls: \($code\) [^\n]*\Q$text\E[^\n]*\n\z/m, $text);
    }

    # a port that is in use

    my $busy = free_port();
    my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1',
                                  LocalPort => $busy);
    my $r = $atls->run('gateway', '-l', "coap://127.0.0.1:$busy", @to);
    is($r->{code}, 7, 'in use');
    like($r->{err}, qr/cannot listen on .*:$busy: .* in use/, 'and why');

    done_testing();
}


sub files {
    my @keys = ('', "# none\n", "device\n", ":00\n", "device:\n", "device:0\n",
                "device:0x\n", "device:00\n\nother:zz\n");

    for (@keys) {
        $t->write_file('keys', $_);
        my $r = $atls->run('gateway', @s, @to, '--psk-file', $t->path('keys'));
        my $name = s/\n/\\n/gr;

        is($r->{code}, 58, "keys: $name");
        like($r->{err}, /other/ ? qr/keys:3 must be IDENTITY:KEY/
                        : /^(?:#.*)?$/ ? qr/has no keys/
                        : qr/keys:1 must be IDENTITY:KEY/, 'and why');
        unlike($r->{err}, qr/device/, 'without its content');
    }

    my $r = $atls->run('gateway', @s, @to, '--psk-file', $t->path('none'));
    is($r->{code}, 26, 'no file of keys');

    $r = $atls->run('gateway', @s, @to, '--cert', $t->path('none'));
    is($r->{code}, 58, 'no certificate');
    $r = $atls->run('gateway', @s, @to, '--cert', $t->path('localhost.crt'));
    is($r->{code}, 58, 'no private key');
    $r = $atls->run('gateway', @s, @to, '--cert', $t->path('localhost.crt'),
                    '--key', $t->path('localhost.key'),
                    '--cacert', $t->path('none'));
    is($r->{code}, 77, 'no CA');

    done_testing();
}


sub help {
    my $r = $atls->run('gateway', '--help');

    is($r->{code}, 0, '--help');
    like($r->{out}, qr/^Usage: atls gateway /, 'usage');
    is($atls->run('gateway', '-V')->{out}, $atls->run('-V')->{out},
       '--version');

    done_testing();
}


# A directory with the command only.

sub without {
    mkdir $t->path('bin');
    copy($atls->program(), $t->path('bin/atls')) or die "copy: $!\n";
    chmod 0755, $t->path('bin/atls');

    my $alone = Test::Atls::Command->new($t, program => $t->path('bin/atls'));
    my $r = $alone->run('gateway', @l, @to);

    is($r->{code}, 127, 'exit code');
    is($r->{err}, "atls: (127) atls-gateway is not installed\n", 'message');
    like($alone->run('gateway', '--help')->{out}, qr/^Usage: atls gateway /,
         '--help');
    is($alone->run('gateway', @l)->{code}, 2, 'an error');

    $t->write_file('bin/atls-gateway', '');
    $r = $alone->run('gateway', @l, @to);
    is($r->{code}, 126, 'a program that cannot be run');

    done_testing();
}


sub config {
    $t->write_file('options', "# a comment\nlisten = $l[1]\nto: $to[1]\n"
                              . "--block-size 128\n");
    my $s = $atls->start('gateway', '-K', $t->path('options'));

    ok($t->wait_for(sub {
        $t->read_file($s->{stderr}) =~ /^atls: listening on \Q$l[1]\E$/m
    }, 60), '-K');

    kill 'TERM', $s->{pid};
    is($atls->finish($s)->{code}, 0, 'exit code');

    done_testing();
}


# The log must not be sent on a connection, and a connection that is closed is
# not the end.  The last is for the program without the command, too.

sub closed {
    my $gateway = $atls->program() . '-gateway';

    for my $start ($atls->program() . ' gateway', $gateway) {
        my $port = free_port();
        my $pid = $t->run_daemon([ 'sh', '-c', "exec $start -l "
                                   . "coap://127.0.0.1:$port @to <&- >&- 2>&-" ]);
        my $d = Test::Atls::Device->new(gateway => $port,
                                        ca => $t->path('ca.crt'));

        ok($t->wait_for(sub { $d->coap()->ask(code => '0.01') }, 60), 'starts');
        is(join(' ', map { readlink "/proc/$pid/fd/$_" } 0 .. 2),
           '/dev/null /dev/null /dev/null', 'descriptors');
        ok($d->handshake(), 'a session') or diag($d->error());

        my ($ignored) = $t->read_file("/proc/$pid/status")
                        =~ /^SigIgn:\s+(\w+)$/m;
        ok(hex(substr $ignored, -8) & 1 << 12, 'SIGPIPE is ignored');

        kill 'TERM', $pid;
        is(wait_exit($pid, patience()), 0, 'exit code');
    }

    done_testing();
}


sub messages {
    my $port = free_port();
    my $s = $atls->start('gateway', '-s', '-l', "coap://127.0.0.1:$port", @to);
    my $d = Test::Atls::Device->new(gateway => $port,
                                    ca => $t->path('ca.crt'));

    ok($t->wait_for(sub { $d->coap()->ask(code => '0.01') }, 60), '-s');
    ok($d->handshake(), 'a session') or diag($d->error());
    kill 'TERM', $s->{pid};
    my $r = $atls->finish($s);
    is("$r->{code} $r->{out}$r->{err}", '0 ', 'nothing is printed');

    my $g = $t->gateway('-v');
    ok($t->device($g)->handshake(), '-v');
    like($t->read_file('/proc/' . $g->pid() . '/limits'),
         qr/^Max open files +(\d+) +\1 /m, 'open files');
    $r = $g->stop();
    like($r->{err}, qr/c:POST.*Uri-Path:atls/, 'messages of CoAP');
    like($r->{err}, qr!^outer> POST /located/ !m, 'of HTTP');

    done_testing();
}
