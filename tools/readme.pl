#!/usr/bin/perl

# Prints the commands of README.md as a shell script, see tools/test-system.sh.
#
#     tools/readme.pl demo        up to the block with "make demo"
#     tools/readme.pl install     from there up to the one with "make install"
#     tools/readme.pl packages    the one with "make deb"
#     tools/readme.pl use         the remaining ones
#
# Blocks of "sh" are run as they are.  Those of "nginx" are written to the file
# named in the first line, a comment.  A block of "text" is the output of the
# preceding command.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../t/lib";

use Test::Atls::Docs;

my @blocks = grep { $_->{file} eq 'README.md'
                    && $_->{lang} =~ /^(?:sh|nginx|text)$/ } blocks();
my $demo = last_with(qr/^make demo$/m);
my $install = last_with(qr/^make install$/m);
my $packages = last_with(qr/^make deb$/m);
my %parts = (demo     => [ 0 .. $demo ],
             install  => [ $demo + 1 .. $install ],
             packages => [ $install + 1 .. $packages ],
             use      => [ $packages + 1 .. $#blocks ]);

my $part = $parts{shift // ''}
    or die "usage: readme.pl demo|install|packages|use\n";

print "set -e\n";
print "echo '== README.md:$_->{line}'\n", script($_) for @blocks[@$part];


sub last_with {
    my ($re) = @_;

    my ($n) = grep { $blocks[$_]{text} =~ $re } reverse 0 .. $#blocks;

    return $n // die "README.md has no $re\n";
}


sub script {
    my ($block) = @_;

    my $text = $block->{text};

    if ($block->{lang} eq 'sh') {
        return "cat >/tmp/commands <<'EOF'\n${text}EOF\n"
               . "sh -ex /tmp/commands >/tmp/out 2>&1 </dev/null"
               . " || { cat /tmp/out; exit 1; }\ncat /tmp/out\n";
    }

    if ($block->{lang} eq 'text') {
        my $lines = $text =~ tr/\n//;

        return "cat >/tmp/expected <<'EOF'\n${text}EOF\n"
               . "tail -n $lines /tmp/out | diff /tmp/expected -\n";
    }

    my ($file) = $text =~ m!\A# (/\S+)\n! or
        die "README.md:$block->{line}: the block has no file name\n";

    return "cat >$file <<'EOF'\n${text}EOF\n";
}
