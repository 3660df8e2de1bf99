#!/usr/bin/perl

# Passwords in URLs are not shown: in messages, in -v, in the report of atls
# doctor, in responses of servers, and in the process list.  Closed standard
# streams do not become connections.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::LocalServer;
use Test::Atls::Port qw( free_port );
use Test::Atls::Process qw( wait_exit );
use Test::Atls::Program qw( run_program );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience );

my $SECRET = 's3cret';

my $MOVED = qr!Location http://\*+\@127!;

my $t = Test::Atls::Site->new(workers => 2);

$t->serve(<<"EOC");
location = /moved {
    return 302 http://bob:$SECRET\@127.0.0.1/elsewhere;
}
EOC

my $atls = $t->command();
my $site = 'https://localhost/exact';

subtest('messages' => \&messages);
subtest('the process list' => \&process_list);
subtest('closed streams' => \&closed);

$t->done_testing();


# A URL with credentials, of an endpoint or a proxy.

sub secret {
    my ($path, $scheme) = @_;

    return ($scheme || 'http') . "://bob:$SECRET\@127.0.0.1:" . $t->port(0)
           . $path;
}


sub messages {
    my $proxy = secret('');

    my @cases = (
        [ 'a redirect', 8, $MOVED, '--via',
          secret('/moved'), $site ],
        [ 'a proxy of another scheme', qr/^(?:7|97)$/, qr!bad://\*+\@127!,
          '-x', secret('', 'bad'), '--via', 'http://other.test/', $site ],
        [ 'a proxy of the environment', qr/^\d+$/, qr!http://\*+\@127!, '-v',
          '--via', 'http://other.test/', $site,
          { env => { http_proxy => $proxy } } ],
        [ 'an invalid endpoint', 2, qr!ftp://\*+\@127!, '--via',
          secret('/', 'ftp'), $site ],
        [ 'the report', 8, qr!"http://\*+\@127!, 'doctor', '--json', '--via',
          secret('/moved'), $site ],
    );

    for (@cases) {
        my ($name, $code, $text, @args) = @$_;

        my $r = $atls->run(@args);
        like($r->{code}, ref $code ? $code : qr/^$code$/, $name);
        like("$r->{out}$r->{err}", $text, 'what it says');
        unlike("$r->{out}$r->{err}", qr/$SECRET/, 'without the password');
    }

    my $f = Test::Atls::LocalServer->start($atls, 'forward', '--no-check',
                                           '--via', secret('/moved'),
                                           'https://localhost');
    my $r = $f->ask('GET /');
    like($r->body(), $MOVED, 'a response of atls forward');
    unlike(join("\n", $r->body(), $f->log(1)), qr/$SECRET/,
           'without the password');
    $f->stop();

    my $p = $t->proxy('--map', 'a.test=' . secret('/moved'));
    $r = $p->ask('CONNECT a.test:443');
    like($r->reason(), $MOVED, 'one of atls proxy');
    unlike(join("\n", $r->reason(), $r->body(), $p->log(1)), qr/$SECRET/,
           'without the password');
    $p->stop();

    done_testing();
}


# Arguments of a program are its own.

sub process_list {
    my $url = "https://bob:$SECRET\@localhost";

    for ([ 'tunnel', '-l', 0, '--via', secret('/x'), 'https://localhost' ],
         [ 'proxy', '-l', 0, '--map', 'a.test=' . secret('/x') ],
         [ '--via', secret('/.well-known/atls'), $t->trust(),
           "$url/hang" ])
    {
        my $p = $atls->start(@$_);
        my $seen = '';

        ok($t->wait_for(sub {
            $seen = $t->read_file("/proc/$p->{pid}/cmdline");
            $seen =~ /\*\@/ && $seen !~ /$SECRET/;
        }), $_->[0]) or diag($seen =~ tr/\0/ /r);

        kill 'TERM', $p->{pid};
        $atls->finish($p);
    }

    my $r = $atls->run('run', 'echo', $url);
    is($r->{out}, "$url\n", 'arguments of a program');

    $t->backend()->forget();
    done_testing();
}


# For each of the first three descriptors, as a shell closes them.

sub closed {
    my $log = $t->path('forward.log');

    for my $streams ('<&- >&- 2>&-', '>&- 2>&-', '2>&-') {
        my $port = free_port();
        my $pid = $t->run_daemon(
            [ 'sh', '-c', "exec \"\$@\" $streams", 'sh', $atls->program(),
              'forward', '-l', $port, '--no-check', $t->via(), $t->trust(),
              'https://localhost' ], port => $port, stderr => $log);
        my $r = run_program($t, 'curl', '-s', "http://127.0.0.1:$port/exact");
        is($r->{out}, "exactly\n", "$streams: a request");

        my @closed = sort $streams =~ /([<2])/g, $streams =~ /(?<!2)(>)/g;
        my @files = map { readlink "/proc/$pid/fd/$_" }
                    map { { '<' => 0, '>' => 1, 2 => 2 }->{$_} } @closed;
        is("@files", join(' ', map { '/dev/null' } @closed), 'no connections');

        kill 'TERM', $pid;
        is(wait_exit($pid, patience()), 0, 'exit code');
        like($t->read_file('forward.log'),
             $streams eq '2>&-' ? qr!^\S+ GET /exact 200 .*\n\z! : qr/^\z/,
             'the log');
    }

    # output fails as it does without this

    my $r = run_program($t, 'sh', '-c', 'exec "$@" >&-', 'sh',
                        $atls->program(), $t->via(), $t->trust(), $site);
    is($r->{code}, 23, 'stdout is closed');
    like($r->{err}, qr/cannot write to stdout: Bad file descriptor$/m,
         'what it says');

    $r = run_program($t, 'sh', '-c', 'exec "$@" <&-', 'sh', $atls->program(),
                     'run', 'sh', '-c', 'test -e /proc/$$/fd/0');
    is($r->{code}, 1, 'stdin of a program is closed, too');

    done_testing();
}
