#!/usr/bin/perl

# atls doctor: it finds what a middlebox does, and nothing else; on a path
# without one, it finds nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw( decode_json );
use Test::More;

use Test::Atls::Middlebox;
use Test::Atls::Port qw( free_port );
use Test::Atls::Site;
use Test::Atls::Slow qw( slow );

my $ROOT = Test::Atls::root();
my @TLS12 = qw( --tls-max 1.2 );
my @CLEAN = qw( connection endpoint cookie connections bodies repetition service
                certificate request splitting headers compression caching
                requests responses timeouts idle size );

my $t = Test::Atls::Site->new(workers => 2);
my $other = Test::Atls->new(workers => 1);

$t->make_cert('other', is_ca => 1);
$t->write_file('psk', "device:00112233445566778899aabbccddeeff\n");
$other->make_cert('localhost');

$other->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    location /.well-known/atls { atls on; }
}
EOC

$t->serve(<<'EOC', servers => <<'EOC');
location = /psk {
    atls on;
    atls_psk_file %%TESTDIR%%/psk;
}

location = /impatient {
    atls on;
    atls_handshake_timeout 1ms;
}

location = /raw {
    atls on;
    atls_payload raw;
    return 200 "no HTTP at all\r\n";
}

location = /closes {
    atls on;
    return 204;
    keepalive_timeout 0;
}

location = /json {
    default_type application/json;
    return 200 '{}';
}
EOC
server {
    listen 127.0.0.1:%%PORT_2%% ssl;
    %%SSL_CERTIFICATE_localhost%%

    location = /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$other->run();

my $scattered = 'scattered=' . $other->port(0);
my $sample = 'tls,buffer-responses,limit=200000';

# longer than any other POST takes

my $cut = 2 * slow();
my $slow = "slow=$cut";

# more than a ClientHello, which is longer with a post-quantum group

my $small = 'limit=' . ($t->has_openssl('3.5') ? 2000 : 700);

# What a middlebox does: the exit code, and the checks that are not ok.

my %cases = (
    'nothing'          => [ 0 ],
    'tls'              => [ 0, 'certificate note' ],
    'via'              => [ 0, 'headers note' ],
    'idle=1'           => [ 0, 'idle note' ],
    'limit=200000'     => [ 4, 'size limit' ],
    $small             => [ 4, 'size limit' ],
    $slow              => [ 4, 'timeouts limit' ],
    'buffer-responses' => [ 4, 'responses limit' ],
    'buffer-requests'  => [ 4, 'requests limit', 'responses skipped' ],
    $sample            => [ 4, 'certificate note', 'responses limit',
                            'size limit' ],

    'page'             => [ 8, 'endpoint page' ],
    'login'            => [ 8, 'endpoint page' ],
    'portal'           => [ 8, 'endpoint redirect' ],
    'blocked'          => [ 8, 'endpoint refused' ],
    'bad-gateway'      => [ 8, 'endpoint gateway' ],
    'gateway-timeout=3' => [ 8, 'endpoint gateway-timeout' ],
    'gateway-timeout=9' => [ 8, 'endpoint gateway-timeout' ],
    'get'              => [ 8, 'endpoint method' ],
    'request-type'     => [ 8, 'endpoint media-type' ],
    'media-type'       => [ 8, 'endpoint media-type' ],
    'limit=100'        => [ 8, 'size too-large' ],
    'no-set-cookie'    => [ 8, 'cookie no-set-cookie' ],
    'no-cookie'        => [ 8, 'cookie no-cookie' ],
    'cookie-path'      => [ 8, 'cookie cookie-scope' ],
    $scattered         => [ 8, 'connections fault' ],
    'gzip-response'    => [ 8, 'compression compressed' ],
    'gzip-request'     => [ 8, 'bodies changed' ],
    'no-request-body'  => [ 8, 'bodies no-body' ],
    'repeat-first'     => [ 4, 'requests limit', 'responses skipped' ],
    'repeat'           => [ 4, 'requests limit', 'responses skipped' ],
    'change-request'   => [ 35, 'bodies changed' ],
    'change-response'  => [ 35, 'bodies changed' ],
    'no-response-body' => [ 35, 'bodies no-body' ],
    'half-response'    => [ 35, 'bodies no-body' ],
    'cache'            => [ 35, 'caching cached' ],
    'cache-all'        => [ 35, 'caching cached' ],
);

my @what = sort keys %cases;
my $later = 'later=' . 3 * slow();
my $m = Test::Atls::Middlebox->start($t, 'meddler', to => $t->port(0),
                                     first => 20, what => [ @what, $later ]);

subtest('middleboxes' => sub {
    middlebox($_) for @what;
    done_testing();
});

subtest('TLS 1.2' => \&tls12);
subtest('no middlebox' => \&none);
subtest('no endpoint' => \&no_endpoint);
subtest('the service' => \&service);
subtest('lines' => \&lines);
subtest('command line' => \&command_line);
subtest('documentation' => \&documentation);

$other->error_log_ok('the other machine');
$t->done_testing();


# The result of atls doctor --json as a hash.

sub doctor {
    my ($endpoint, @args) = @_;

    my $r = $t->command()->run('doctor', '--json', '--wait', 0, $t->trust(),
                               '--via', $endpoint, @args,
                               'https://localhost/echo');
    my $json = eval { decode_json($r->{out}) } || { checks => [] };

    diag($r->{out}, $r->{err}) if $r->{err} ne '';

    return { %$json, exit => $r->{code}, out => $r->{out} };
}


# Checks that are not ok: "NAME RESULT", or "NAME FAULT".

sub found {
    my ($r) = @_;

    return map { "$_->{check} " . ($_->{fault} || $_->{result}) }
           grep { $_->{result} ne 'ok' } @{$r->{checks}};
}


# Plain HTTP is found, too, if it gets so far.

sub middlebox {
    my ($what) = @_;

    my ($code, @found) = @{$cases{$what}};
    my @wait = $what eq $slow ? ('--wait', 2 * $cut) : ();
    my $r = doctor($m->endpoint($what), @wait);

    is(join(', ', grep { $_ ne 'certificate note' || $what =~ /tls/ } found($r)),
       join(', ', @found), $what) or diag($r->{out});
    is("$r->{exit} $r->{code}", "$code $code", "$what: exit code");
    is($r->{verdict}, $code == 0 ? 'ATLS works'
                      : $code == 4 ? 'ATLS works, with limits'
                      : 'ATLS does not work', "$what: verdict");

    my @faults = grep { $_->{result} =~ /fault|limit/ } @{$r->{checks}};

    like($_->{advice}, qr/^[A-Z].*\.$/, "$what: advice") for @faults;
    is(join(' ', map { $_->{check} } @{$r->{checks}}), "@CLEAN",
       "$what: all checks") if $code == 0 || $code == 4;
}


sub tls12 {
    for my $what ('nothing', 'repeat', 'repeat-first', 'cache-all', 'no-cookie')
    {
        my $r = doctor($m->endpoint($what), @TLS12);
        my (undef, @found) = @{$cases{$what}};

        push @found, 'size skipped' if $what =~ /nothing|repeat/;
        is(join(', ', grep { $_ ne 'certificate note' } found($r)),
           join(', ', @found), $what) or diag($r->{out});
    }

    done_testing();
}


# TLS outside, whose certificate is the service's own; new connections.

sub none {
    my $r = doctor('https://localhost:' . $t->port(2) . '/.well-known/atls');

    is(join(', ', found($r)), '', 'nothing is found') or diag($r->{out});
    is($r->{exit}, 0, 'exit code');
    like($r->{out}, qr/that of the service/, 'its certificate');

    $r = doctor($t->endpoint());
    is(join(', ', found($r)), 'certificate note, idle note',
       'plain HTTP, without keep-alive');

    $r = doctor($t->endpoint('/psk'), '--psk', '@' . $t->path('psk'));
    is($r->{exit}, 0, 'a pre-shared key');
    like($r->{out}, qr/authenticated by the pre-shared key/, 'is used');

    done_testing();
}


sub no_endpoint {
    my $nobody = 'http://127.0.0.1:' . free_port() . '/';

    my @cases = (
        [ 6,  'connection fault', 'http://no-such.invalid/' ],
        [ 7,  'connection fault', $nobody ],
        [ 97, 'connection fault', $t->endpoint(), '-x', $nobody ],
        [ 35, 'connection fault', $t->endpoint() =~ s/^http/https/r ],
        [ 8,  'endpoint no-endpoint', $t->endpoint('/status?code=404') ],
        [ 8,  'endpoint no-endpoint', $t->endpoint('/json') ],
        [ 60, 'service untrusted', $t->endpoint(), '--cacert',
          $t->path('other.crt') ],
    );

    for (@cases) {
        my ($code, $found, @args) = @$_;
        my $r = doctor(@args);

        is("$r->{exit} " . join(', ', found($r)), "$code $found", "@args")
            or diag($r->{out});
    }

    done_testing();
}


# A service that closes sessions, or does not use HTTP.

sub service {
    my $r = doctor($t->endpoint('/closes'));
    is(join(', ', found($r)), 'certificate note, timeouts skipped, idle note',
       'sessions are closed') or diag($r->{out});

    $r = doctor($m->endpoint($later, '/closes'));
    is(join(', ', found($r)), 'certificate note, timeouts skipped',
       'also if this is noticed late') or diag($r->{out});

    $r = doctor($t->endpoint('/impatient'));
    is("$r->{exit} " . join(', ', grep { !/certif/ } found($r)),
       '8 service fault', 'a slow handshake') or diag($r->{out});
    like($r->{out}, qr/before the handshake: it took too long/, 'the reason');

    $r = doctor($t->endpoint('/raw'));
    is("$r->{exit} " . join(', ', grep { !/certif/ } found($r)),
       '8 request fault', 'no HTTP') or diag($r->{out});

    # what the service gets

    $t->backend()->forget();
    doctor($t->endpoint());

    my @requests = map { "$_->{method} $_->{uri}" } $t->backend()->requests();

    is(join(', ', grep { $_ ne 'HEAD /echo' } @requests), '', 'only HEAD');
    is(scalar @requests, 5, 'a few');

    done_testing();
}


sub lines {
    my @args = ('doctor', '--wait', 0, $t->trust(), '--via');
    my $r = $t->command()->run(@args, $m->endpoint('limit=200000'), '-v',
                               'https://localhost/echo');

    is(join(' ', $r->{out} =~ /^(\S+) +(?:ok|note|limit|fault)  /mg),
       "@CLEAN verdict", 'a line for each check, and the verdict');
    like($r->{out}, qr/^size +limit +POSTs of \d+ bytes pass, of \d+ do not/m,
         'a limit');
    like($r->{out}, qr/^ +Increase the limit .*, or use --post-size \d+\.$/m,
         'advice');
    like($r->{out}, qr/^verdict +limit +ATLS works, with limits\n\z/m,
         'the verdict');
    like($r->{err}, qr/^outer> POST /m, '-v');

    # the advice is good

    my ($size) = $r->{out} =~ /--post-size (\d+)/;
    my $body = $t->write_file('body', 'x' x 300_000);

    $r = $t->command()->run($t->trust(), '--via', $m->endpoint('limit=200000'),
                            '-T', $body, '--post-size', $size,
                            'https://localhost/body');
    is("$r->{code} " . length $r->{out}, '0 300000', 'it helps');

    done_testing();
}


sub command_line {
    my @cases = (
        [ 2, 'no URL specified' ],
        [ 2, 'only one URL is allowed', 'https://a', 'https://b' ],
        [ 2, 'invalid number of seconds', '--wait', 'x', 'https://a' ],
        [ 1, 'must begin with', 'http://localhost/' ],
        [ 3, 'must not have credentials', 'https://a:b@localhost/' ],
        [ 2, 'not an option of', '-d', 'x', 'https://a' ],
        [ 2, 'not an http or https URL', '--via', 'ftp://a/', 'https://a' ],
        [ 77, 'nonexistent', '--cacert', '/nonexistent', 'https://a' ],
    );

    for (@cases) {
        my ($code, $text, @args) = @$_;
        my $r = $t->command()->run('doctor', @args);

        is("$r->{code} $r->{out}", "$code ", "@args");
        like($r->{err}, qr/\Aatls: \($code\) [^\n]*$text[^\n]*\n\z/, $text);
    }

    done_testing();
}


# The example and the table of docs/troubleshooting.md.

sub documentation {
    my $page = $t->read_file("$ROOT/docs/troubleshooting.md");
    my ($example) = $page =~ /^\$ atls doctor .*\n((?:\S.*\n| +.*\n)+)```/m;
    my ($table) = $page =~ /^\| check \|.*\n\|[- |]+\n((?:\|.*\n)+)/m;

    my $r = $t->command()->run('doctor', '--wait', 0, $t->trust(), '--via',
                               $m->endpoint($sample), 'https://localhost/echo');

    is(columns($example), columns($r->{out}), 'the example');

    # "location" is instead of "cookie", see t/tracking-client.t

    is(join(' ', grep { $_ ne 'location' } $table =~ /^\| `(\w+)` \|/mg),
       "@CLEAN", 'the table');

    done_testing();
}


sub columns { join "\n", $_[0] =~ /^(\w+ +\w+)  /mg }
