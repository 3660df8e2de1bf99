package Test::Atls::Docs;

# The pages of the documentation, for tests.
#
#     my @conf = map { $_->{text} } blocks('nginx');
#     my $conf = block('nginx', 'README.md', 'Configuration', 1);
#     my %text = sections('variables.md');    # by heading

use strict;
use warnings;

use Exporter qw( import );
use File::Basename qw( basename );

use Test::Atls;

our @EXPORT = qw( pages blocks block sections has_heading slurp );

my $root = Test::Atls::root();
my @blocks;


sub pages {
    return ("$root/README.md", "$root/CONTRIBUTING.md",
            sort glob "$root/docs/*.md");
}


# All code blocks, or those of a language: { file, line, lang, heading, text }.

sub blocks {
    my ($lang) = @_;

    @blocks = map { _blocks($_) } pages() unless @blocks;

    return grep { !defined $lang || $_->{lang} eq $lang } @blocks;
}


# The text of one block: the $n-th one below a heading.

sub block {
    my ($lang, $file, $heading, $n) = @_;

    my @found = grep { $_->{file} eq $file && $_->{heading} eq $heading }
                blocks($lang);

    return $found[$n || 0]{text} || die "no $lang in $file, $heading\n";
}


sub _blocks {
    my ($file) = @_;

    my (@found, $block);
    my $heading = '';
    my $n = 0;

    for (split /\n/, slurp($file)) {
        $n++;

        if ($block && /^```$/) {
            push @found, $block;
            undef $block;

        } elsif ($block) {
            $block->{text} .= "$_\n";

        } elsif (/^```(\w*)$/) {
            $block = { file => basename($file), line => $n, lang => $1,
                       heading => $heading, text => '' };

        } elsif (/^#+ (.*)/) {
            $heading = $1;
        }
    }

    die "$file: a block is not closed\n" if $block;

    return @found;
}


sub sections {
    my ($file) = @_;

    return map { /\A#+ ([^\n]*)\n(.*)\z/s ? ($1 => $2) : () }
           split /^(?=#+ )/m, slurp("$root/docs/$file");
}


# Whether a file has a heading with this anchor.

sub has_heading {
    my ($file, $anchor) = @_;

    return grep { $_ eq $anchor }
           map { lc s/[^\w -]//gr =~ s/ /-/gr } slurp($file) =~ /^#+ (.*)$/mg;
}


sub slurp {
    my ($file) = @_;

    open my $fh, '<', $file or die "$file: $!\n";
    local $/;

    return scalar <$fh>;
}


1;
