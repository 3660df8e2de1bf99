#!/usr/bin/perl

# Text of peers that the command prints on a terminal has no control characters
# (C0, and C1 as one byte or in UTF-8), and no characters that change the
# direction of text.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Encode qw( decode );
use Test::More;

use Test::Atls;
use Test::Atls::Command;
use Test::Atls::LocalServer;

my $EVIL = "\x9b2J \xc2\x9b2J \xe2\x80\xae";
my $GOOD = "\xe2\x80\x9cgood\xe2\x80\x9d";

my $t = Test::Atls->new();

$t->make_cert('localhost', subject => '/CN=localhost/O=' . "\x9b2J\xfc");
$t->write_http(<<"EOC");
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%% ssl;

    add_header X-Evil "$EVIL $GOOD";

    location = /.well-known/atls { atls on; }
    location / { return 200 "\$http_atls_outer_certificate\\n"; }
}
EOC

$t->run();

my $port = $t->port(1);

$t->run_daemon(sub {
    exec 'python3', "$FindBin::Bin/bin/evil_server.py", $port,
         $t->path('localhost.crt'), $t->path('localhost.key'),
         $t->path('requests') or die "python3: $!\n";
}, port => $port);

my $atls = Test::Atls::Command->new($t);
my @trust = ('--cacert', $t->path('localhost.crt'));
my $url = 'https://localhost:' . $t->port(0) . '/';
my $r;

subtest('a service' => \&service);
subtest('an endpoint' => \&endpoint);
subtest('a header on a terminal' => \&header);
subtest('logs' => \&logs);

$t->done_testing();


sub clean {
    my ($text, $name) = @_;

    my $chars = eval { decode('UTF-8', my $copy = $text, Encode::FB_CROAK) };

    ok(defined $chars, "$name: UTF-8");
    $chars = decode('UTF-8', $text) unless defined $chars;
    unlike($chars, qr/(?![\n\r])\p{Cc}|[\x{2028}-\x{202e}\x{2066}-\x{2069}]/,
           "$name: no orders") or diag(explain($text));
}


sub via {
    my ($path, @args) = @_;

    $r = $atls->run(@trust, '--via', "http://127.0.0.1:$port/$path", @args,
                    'https://localhost/');
}


sub service {
    for my $way ([], [ '--fallback' ]) {
        $r = $atls->run(@trust, @$way, '-v', '-i', '--report-middlebox', $url);
        is($r->{code}, 0, "@$way -v") or diag($r->{err});
        clean($r->{err}, 'stderr');
        like($r->{err}, qr/^< X-Evil: .*$GOOD$/m, 'the header, inside');
        like($r->{out}, qr/^X-Evil: $EVIL $GOOD\r$/m, 'as it is, in a file');
        like($r->{err}, qr/^\* service: certificate of .*O=/m, 'a certificate')
            unless @$way;
    }

    via('inner/c1', '-v');
    is($r->{out}, 'hello', 'a reason');
    clean($r->{err}, 'stderr');
    like($r->{err}, qr/^< X-Good: $GOOD$/m, 'what is good is left');

    done_testing();
}


sub endpoint {
    for my $what (qw( detail type redirect raw )) {
        for my $verbose ('-S', '-v') {
            via("c1/$what", $verbose);
            is($r->{code}, 8, "$what, $verbose") or diag($r->{err});
            clean($r->{err}, 'stderr');
        }

        like($r->{err}, qr/$GOOD/, 'what is good is left');
    }

    done_testing();
}


# Output to a file is not modified.

sub header {
    via('inner/c1', '-i');
    like($r->{out}, qr/^X-One: \x9b2J\x9d0;title\x9c\r$/m, 'a file');

    my $command = join ' ', map { "'$_'" } $atls->lib()->command_line(
                  $atls->program(), @trust, '--via',
                  "http://127.0.0.1:$port/inner/c1", '-i',
                  'https://localhost/');
    my $dir = $t->dir();

    open my $fh, '-|', "cd $dir && exec script -qec \"$command\" /dev/null"
                       . ' </dev/null' or die "script: $!\n";
    my $shown = join '', <$fh>;

    like($shown, qr/^X-Good: $GOOD\r+$/m, 'a terminal') or diag($shown);
    like($shown, qr/^hello/m, 'the body');
    clean($shown, 'terminal');

    done_testing();
}


sub logs {
    my $f = Test::Atls::LocalServer->start($atls, 'forward', '-v', @trust,
                                           '--no-check', '--via',
                                           "http://127.0.0.1:$port/c1/detail",
                                           'https://localhost');

    is($f->ask('GET /')->status(), 502, 'forward');
    $f->wait_for_log(qr/ 502 /);
    clean(join("\n", $f->log()), 'log');
    like(join("\n", $f->log()), qr/$GOOD/, 'what is good is left');
    clean($f->stderr(), 'stderr');
    $f->stop();

    my $p = Test::Atls::LocalServer->start($atls, 'tunnel', '-v', '--via',
                                           "http://127.0.0.1:$port/c1/detail",
                                           'https://localhost');

    my $s = $p->connect();
    syswrite $s, "\x16\x03\x01\x00\x01\x00";
    ok($p->wait_for_log(qr/ 1 POST, /), 'end of the tunnel');
    clean(join("\n", $p->log()), 'log');
    clean($p->stderr(), 'stderr');
    $p->stop();

    done_testing();
}
