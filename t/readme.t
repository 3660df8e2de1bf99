#!/usr/bin/perl

# The README: its files and commands work with the configurations of Debian and
# nginx.org.  Only paths and ports are changed.  "make test-readme" runs them
# unchanged, in a new system.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Command;
use Test::Atls::Docs;
use Test::Atls::Program qw( run_program );
use Test::Atls::Stock;

my $root = Test::Atls::root();
my @blocks = grep { $_->{file} eq 'README.md' } blocks();

# commands that are run elsewhere

my @ELSEWHERE = (
    qr{^apt-get (?:update|install [\w./* -]+)$},
    qr/^make(?: demo| install| deb)?$/,
    qr/^ln -s \S+ \S+$/,
    qr/^nginx -t$/,
    qr/^service nginx restart$/,
);

subtest('script' => \&script);
subtest($_ => \&readme, $_) for @Test::Atls::Stock::NAMES;

done_testing();


# The script for "make test-readme" has all blocks.

sub script {
    my $script = join '', map { scalar `$root/tools/readme.pl $_ 2>&1` }
                          qw( demo install packages use );

    is($?, 0, 'tools/readme.pl') or diag($script);

    for my $block (grep { $_->{lang} =~ /^(?:sh|nginx|text)$/ } @blocks) {
        like($script, qr/\n\Q$block->{text}\E/, "line $block->{line}");
    }

    open my $sh, '|-', 'sh -n' or die "sh: $!\n";
    print $sh $script;
    ok(close $sh, 'syntax');
}


sub readme {
    my ($stock) = @_;

    my $t = Test::Atls::Stock->new($stock, block => '');
    my $atls = Test::Atls::Command->new($t);
    my @out;

    $t->write_file($t->html() . '/index.html', "<p>welcome</p>\n");
    prepare($t);
    $t->run();

    for my $block (@blocks) {
        if ($block->{lang} eq 'sh') {
            push @out, client($t, $atls, $block->{text});

        } elsif ($block->{lang} eq 'text') {
            is(shift @out, $block->{text}, "output in line $block->{line}");
        }
    }

    is(join('', @out), "<p>welcome</p>\n" x 2, 'the service, and the site');
    is(run_program($t, qw( curl -sS --cacert ),
                   $t->path('etc/nginx/certs/localhost.crt'),
                   'https://localhost:' . $t->port(3) . '/')->{out},
       "<p>welcome</p>\n", 'the site over HTTPS');
    like(http_raw($t->port(1), "GET /private/ HTTP/1.0\r\n\r\n"),
         qr{\AHTTP/1\.1 403 }, 'without ATLS');

    $t->finish();
    done_testing();
}


# The default site listens on port(0).

sub localized {
    my ($t, $text) = @_;

    my @port = map { $t->port($_) } 0 .. 3;

    $text =~ s{/etc/nginx/}{$t->path('etc/nginx/')}ge;
    $text =~ s{\blisten( +)808([01]);}{listen${1}127.0.0.1:$port[$2 + 1];}g;
    $text =~ s{\blisten( +)443 ssl;}{listen${1}127.0.0.1:$port[3] ssl;}g;
    $text =~ s{\b127\.0\.0\.1:80;}{127.0.0.1:$port[0];}g;
    $text =~ s{\blocalhost:808([01])/}{localhost:$port[$1 + 1]/}g
        or $text =~ s{\bhttps://localhost/}{https://localhost:$port[3]/}g;

    return $text;
}


# Creates the files, and the certificate.

sub prepare {
    my ($t) = @_;

    for my $block (@blocks) {
        if ($block->{lang} eq 'nginx') {
            my ($file) = $block->{text} =~ m!\A# /(\S+)\n!;
            $t->write_file($file, localized($t, $block->{text}));
        }

        next unless $block->{lang} eq 'sh';

        for my $command (split /\n/, $block->{text}) {
            next if $command =~ /^atls / || grep { $command =~ $_ } @ELSEWHERE;

            like($command, qr/^(?:mkdir|openssl) /, $command);

            my $run = localized($t, $command);
            my $out = `{ $run; } 2>&1 </dev/null`;
            is($?, 0, 'exit status') or diag($out);
        }
    }
}


# Runs the last command of the client in a block, if any.  Returns its output.

sub client {
    my ($t, $atls, $text) = @_;

    my ($args) = $text =~ /.*^atls (.*)$/ms or return;
    my $r = $atls->run(split ' ', localized($t, $args));

    is($r->{code}, 0, "atls $args") or diag($r->{err});

    return $r->{out};
}
