#!/usr/bin/perl

# The command atls with the module: TLS versions, trusted certificates and
# pinned keys, with options as in curl.  Files that cannot be used have the exit
# codes of curl, which is run against the same server.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Site;

use constant TLS => 2;          # port

my $t = Test::Atls::Site->new();

$t->make_cert('other', is_ca => 1);
$t->make_cert('client', ca => 'ca');
$t->make_cert('locked', ca => 'ca', password => 'sesame');

$t->serve(<<'EOC', servers => <<'EOC2');
location = /new {
    atls on;
    atls_protocols TLSv1.3;
}

location = /old {
    atls on;
    atls_protocols TLSv1.2;
}

location = /info {
    return 200 "$atls_protocol$atls_session_reused";
}
EOC
server {
    listen 127.0.0.1:%%PORT_2%% ssl;
    ssl_certificate %%TESTDIR%%/localhost.crt;
    ssl_certificate_key %%TESTDIR%%/localhost.key;
    ssl_protocols TLSv1.2 TLSv1.3;

    location / {
        return 200 $ssl_protocol;
    }
}
EOC2

my $atls = $t->command();
my $site = 'https://localhost';
my @trust = $t->trust();
my @https = ('--resolve', 'localhost:' . $t->port(TLS) . ':127.0.0.1',
             $site . ':' . $t->port(TLS) . '/');
my $r;

directory('hashed', 'ca');
directory('hashed-other', 'other');

subtest('TLS versions' => \&versions);
subtest('directories of trusted certificates' => \&directories);
subtest('pinned keys' => \&pinned);
subtest('pinned keys and sessions' => \&pinned_sessions);
subtest('exit codes of curl' => \&codes);

$t->done_testing();


sub directory {
    my ($name, $ca) = @_;

    $t->write_file("$name/ca.pem", $t->read_file("$ca.crt"));
    system('openssl', 'rehash', $t->path($name)) == 0 or die "rehash: $?\n";
}


sub result {
    my ($name, $expected, @args) = @_;

    $r = $atls->run(@args);
    is("$r->{code} $r->{out}", $expected, $name) or diag($r->{err});
}


sub versions {
    my @cases = (
        [ 'TLSv1.3' ],
        [ 'TLSv1.3', '--tlsv1.2' ],
        [ 'TLSv1.3', '--tlsv1.3' ],
        [ 'TLSv1.2', '--tls-max', '1.2' ],
        [ 'TLSv1.2', '--tlsv1.3', '--tlsv1.2', '--tls-max', '1.2' ],
        [ 'TLSv1.3', '--tls-max', '1.3' ],
        [ 'TLSv1.3', '--tls-max', '1.2', '--tls-max', 'default' ],
    );

    for (@cases) {
        my ($protocol, @args) = @$_;

        result("@args", "0 $protocol.", $t->via(), @trust, @args,
               "$site/info");
        result("plain HTTPS: @args", "0 $protocol", '--fallback', @trust,
               @args, @https);
    }

    result('not in the service: 1.2', '35 ', $t->via('/new'), @trust,
           '--tls-max', '1.2', $site);
    result('not in the service: 1.3', '35 ', $t->via('/old'), @trust,
           '--tlsv1.3', $site);
    result('no version', '2 ', '--tlsv1.3', '--tls-max', '1.2', $site);
    result("--tls-max $_", '2 ', '--tls-max', $_, $site)
        for '1.1', '', 'TLSv1.2';

    done_testing();
}


sub directories {
    my ($good, $other) = map { $t->path($_) } qw( hashed hashed-other );
    my @via = $t->via();
    my @ca = ('--cacert', $t->path('other.crt'));

    result('--capath', '0 TLSv1.3.', @via, '--capath', $good, "$site/info");
    result('another', '60 ', @via, '--capath', $other, "$site/info");
    result('with --cacert', '0 TLSv1.3.', @via, @ca, '--capath', $good,
           "$site/info");
    result('only --cacert', '60 ', @via, @ca, "$site/info");

    # each of them replaces the system's

    result('not the environment', '60 ', @via, '--capath', $other,
           "$site/info", { env => { SSL_CERT_FILE => $t->path('ca.crt') } });

    result('plain HTTPS', '0 TLSv1.3', '--fallback', '--capath', $good, @https);
    result('plain HTTPS: another', '60 ', '--fallback', '--capath', $other,
           '--via', $t->endpoint(), $https[2]);
    result('plain HTTPS: not the environment', '60 ', '--fallback', '--capath',
           $other, '--via', $t->endpoint(), $https[2],
           { env => { SSL_CERT_FILE => $t->path('ca.crt') } });

    done_testing();
}


# The key of a certificate, as a file and as a digest.

sub key {
    my ($name) = @_;

    my $pem = $t->path("$name.pub");
    my $der = $t->path("$name.der");

    system("openssl x509 -in $t->{dir}/$name.crt -noout -pubkey >$pem && "
           . "openssl pkey -pubin -in $pem -outform DER -out $der") == 0
        or die "no key of $name\n";


    chomp(my $digest = `openssl dgst -sha256 -binary $der | openssl base64 -A`);

    return ($pem, $der, "sha256//$digest");
}


sub pinned {
    my @good = key('localhost');
    my @bad = key('client');
    my @via = ($t->via(), @trust);

    for (@good, "$bad[2];$good[2]", "$good[2];$bad[2]") {
        my $name = s/\Q$t->{dir}\E.//r;

        result($name, '0 TLSv1.3.', @via, '--pinnedpubkey', $_, "$site/info");
        result("plain HTTPS: $name", '0 TLSv1.3', '--fallback', @trust,
               '--pinnedpubkey', $_, @https);
    }

    for (@bad, "$bad[2];$bad[2]") {
        my $name = s/\Q$t->{dir}\E.//r;

        result("wrong: $name", '90 ', @via, '--pinnedpubkey', $_,
               "$site/info");
        like($r->{err}, qr/not a pinned one; .* subject CN=localhost/, 'why');
        result("plain HTTPS: wrong: $name", '90 ', '--fallback', @trust,
               '--pinnedpubkey', $_, @https);
    }

    result('the certificate must be trusted', '60 ', $t->via(),
           '--pinnedpubkey', $good[2], "$site/info");

    my $short = substr $good[2], 0, -2;

    result("invalid: '$_'", '90 ', @via, '--pinnedpubkey', $_, "$site/info")
        for '', '/nonexistent', $t->path('ca.key'), 'sha256//', "$good[2];",
            "$good[2];x", $short, "$good[2]AAAA", $good[2] =~ s/=$/A/r,
            $good[2] =~ s/.=$/==/r, $good[2] =~ s{//.}{//}r;
    result('with --psk', '2 ', @via, '--pinnedpubkey', $good[2], '--psk',
           'a:00', "$site/info");

    my $f = $t->forward('--pinnedpubkey', $bad[2]);
    is($f->ask('GET /info')->status(), 502, 'forward');
    is($f->stop()->{code}, 0, 'exit status');

    done_testing();
}


# A session is not resumed if its certificate has another key.

sub pinned_sessions {
    my ($good, $bad) = map { (key($_))[2] } qw( localhost client );
    my @args = ($t->via(), @trust, '--session-file', $t->path('sessions'));

    result('a session', '0 TLSv1.3.', @args, "$site/info");
    result('resumed', '0 TLSv1.3r', @args, '--pinnedpubkey', $good,
           "$site/info");
    result('not resumed', '90 ', @args, '--pinnedpubkey', $bad, "$site/info");

    done_testing();
}


sub codes {
    my ($crt, $key) = map { $t->path($_) } qw( client.crt client.key );
    my @locked = ('--cert', $t->path('locked.crt'),
                  '--key', $t->path('locked.key'));
    my $empty = $t->write_file('empty', '');
    my $wrong = (key('client'))[2];

    my @cases = (
        [ 58, '--cert', '/nonexistent' ],
        [ 58, '--cert', $empty ],
        [ 58, '--cert', $crt, '--key', '/nonexistent' ],
        [ 58, '--cert', $crt, '--key', $empty ],
        [ 58, '--cert', $crt, '--key', $t->path('ca.key') ],
        [ 58, '--cert', $crt ],
        [ 58, @locked, '--pass', 'wrong' ],
        [ 58, '--cert', $t->path('locked.crt') . ':wrong', @locked[2, 3] ],
        [ 59, '--ciphers', 'NONE' ],
        [ 77, '--cacert', '/nonexistent' ],
        [ 77, '--cacert', $empty ],
        [ 90, '--pinnedpubkey', $wrong ],
        [ 90, '--pinnedpubkey', '/nonexistent' ],
        [ 90, '--pinnedpubkey', 'sha256//x' ],
        [ 35, '--tls-max', '1.2', '--ciphers', 'AES128-SHA' ],
        [ 60, '--cacert', $t->path('other.crt') ],
    );

    for (@cases) {
        my ($code, @args) = @$_;
        my $name = join(' ', @args) =~ s/\Q$t->{dir}\E.//gr;
        my @command = ('curl', '-s', '-o', '/dev/null', @trust, @args, @https);

        my $curl = system(@command) >> 8;

        # codes of libcurl 8.23

        my $other = $curl == 43 && $code == 58 ? 43 : $code;

        ok($curl == $other || $curl == 2 && $code == 77, "curl $name")
            or diag($curl);
        result("atls $name", "$code ", $t->via(), @trust, @args, $site);
        like($r->{err}, qr/\Aatls: \($code\) [^\n]+\n(?:atls: If [^\n]+\n)?\z/,
             'one line, and perhaps advice');
        like($r->{err}, qr/: No such file or directory$/, 'why')
            if $args[-1] eq '/nonexistent';
        like($r->{err}, qr/see --key: /, 'no key') if "@args" eq "--cert $crt";
        like($r->{err}, qr/pinned key verification failed: invalid list/,
             'no digest') if $args[-1] eq 'sha256//x';
        result("plain HTTPS: $name", "$other ", '--fallback', @trust, @args,
               '--via', $t->endpoint(), @https);
    }

    # a passphrase after the name of the file

    my $both = $t->write_file('both:a\\b', $t->read_file('locked.crt')
                                           . $t->read_file('locked.key'));
    my $escaped = $both =~ s/([:\\])/\\$1/gr . ':sesame';

    is(system('curl', '-s', '-o', '/dev/null', @trust, '-E', $escaped, @https),
       0, 'curl -E FILE:PHRASE');
    result('atls -E FILE:PHRASE', '0 TLSv1.3.', $t->via(), @trust, '-E',
           $escaped, "$site/info");

    # curl does not report it

    result('--capath', '77 ', $t->via(), '--capath', '/nonexistent', $site);

    done_testing();
}
