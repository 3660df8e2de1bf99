#!/usr/bin/perl

# Prints the manual page libatls(3), made of the header of libatls and the date
# of the last release:
#
#     libatls-manual.pl src/client/lib/atls.h debian/changelog
#
# A comment belongs to the declarations that follow it; a comment on one line
# without punctuation is the title of a section.  In an enum or a structure, a
# comment belongs to the member before it if it begins on its line, and to the
# members after it otherwise.  In the first comment of the header, indented
# lines are code, and a word with a period at the beginning of a paragraph is
# the title of a section.

use strict;
use warnings;

die "usage: libatls-manual.pl HEADER CHANGELOG\n" unless @ARGV == 2;

my ($header, $changelog) = map { slurp($_) } @ARGV;
my ($version) = $header =~ /^#define ATLS_VERSION +"(.*)"$/m;
my $date = date($changelog);

# lines that are not for readers

$header =~ s/^#(?:if|endif|else|include|define ATLS_(?:API|H_|VERSION)).*\n//mg;
$header =~ s/^(?:extern "C" \{|\})\n//mg;

my ($introduction, $declarations) = $header =~ m!\A\s*/\*(.*?)\*/(.*)\z!s;

print <<"END", synopsis(), introduction(), description(), <<'END';
.Dd $date
.Dt LIBATLS 3
.Os ngx_http_atls_module $version
.Sh NAME
.Nm libatls
.Nd client library for Application-Layer TLS
.Sh SYNOPSIS
.In atls.h
END
.Sh SEE ALSO
.Xr atls 1 ,
.Xr libcurl 3
END


sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or die "$path: $!\n";
    local $/;
    return <$fh>;
}


# "Sat, 28 Nov 2026 18:00:00 +0000" is "November 28, 2026".

sub date {
    my ($changelog) = @_;

    my ($day, $month, $year) =
        $changelog =~ /^ -- .*>  \w+, +(\d+) (\w+) (\d+) /m
        or die "no date\n";
    my ($name) = grep { /^$month/ } qw( January February March April May June
        July August September October November December );

    return "$name " . int($day) . ", $year";
}


sub synopsis {
    my $out = '';

    while ($declarations =~ /^ATLS_API (.*?[ *])(\w+)\((.*?)\);/msg) {
        my ($type, $name, $args) = ($1, $2, $3);

        $out .= ".Ft $type\n" =~ s/ +$//mr . ".Fo $name\n"
                . join('', map { '.Fa "' . one_line($_) . "\"\n" }
                           split /,\s*/, $args)
                . ".Fc\n";
    }

    return $out;
}


sub introduction {
    my $out = ".Sh DESCRIPTION\n";

    for my $part (split /\n(?: \*\n)+/, $introduction) {
        $part =~ s/^ \* ?//mg;

        if ($part =~ s/^    //mg) {
            $out .= ".Bd -literal -offset indent\n" . escape("$part\n")
                    . ".Ed\n";
        } elsif ($part =~ s/\A(\w+)\.  //) {
            $out .= ".Ss $1\n" . text($part);
        } else {
            $out .= ".Pp\n" . text($part);
        }
    }

    # the parts of an example are one

    $out =~ s/^\.Ed\n\.Bd .*$//mg;

    return $out =~ s/\.Pp\nlibatls:/.Nm\nis/r;
}


# A comment, and the declarations until the next one.

sub description {
    my $out = '';

    for my $part (split m!^(?=/\*)!m, $declarations) {
        my ($comment, $rest) = $part =~ m!\A/\*(.*?)\*/\n(.*)\z!s or next;

        if ($comment =~ /\A [\w ]+ \z/) {
            $out .= '.Ss' . $comment =~ s/ \z/\n/r;
            $comment = '';
        }

        $out .= items($comment, $rest);
    }

    # adjacent lists are one, and titles do not need a break

    $out =~ s/^\.El\n\.Bl .*\n//mg;

    return $out =~ s/^(\.Ss .*\n)\.Pp\n/$1/mgr;
}


# Functions, types and constants are items of a list with the description, which
# enums and structures follow.

sub items {
    my ($comment, $declarations) = @_;

    my $text = $comment =~ /\S/ ? paragraphs($comment) : '';
    my ($out, $items, @functions) = ('', '');

    my $flush = sub {
        $items .= '.It ' . join(' , ', map { "Fn $_" } @functions) . "\n"
            if @functions;
        $out .= $items ne '' ? list("$items$text") : $text && ".Pp\n$text";
        ($items, $text, @functions) = ('', '');
    };

    while ($declarations =~ m!^(?: \#define\ (\w+)\ +\S+(?:\ +/\*(.*?)\*/)?
                                 | typedef\ enum\ \{\n(.*?)^\}\ (\w+);
                                 | typedef\ struct\ \{\n(.*?)^\}\ (\w+);
                                 | ATLS_API\ [^;(]*?(\w+)\([^;]*;
                                 | (typedef\ [^;{]*\)\([^;]*);)!xmsg)
    {
        my ($constant, $note, $enum, $enum_type, $struct, $struct_type,
            $function, $pointer) = ($1, $2, $3, $4, $5, $6, $7, $8);

        if (defined $enum) {
            $flush->();
            $out .= members($enum_type, $enum, '(\w+)(?: = -?\d+)?,?', 'Dv');

        } elsif (defined $struct) {
            $flush->();
            $out .= members($struct_type, $struct, '([^;/]+);', 'Va');

        } elsif (defined $constant) {
            $items .= ".It Dv $constant\n" . ($note ? text($note) : '');

        } elsif (defined $pointer) {
            $items .= '.It Vt "' . one_line($pointer) . "\"\n";

        } else {
            push @functions, $function;
        }
    }

    $flush->();

    return $out;
}


# Members match the pattern.

sub members {
    my ($type, $body, $pattern, $macro) = @_;

    my ($out, $items) = (".Pp\n.Vt $type :\n", '');

    while ($body =~ m!\G(\s*)(?:/\*(.*?)\*/|$pattern)!sgc) {
        my ($space, $comment, $member) = ($1, $2, $3);

        if (defined $member) {
            $items .= ".It $macro \"" . one_line($member) . "\"\n";

        } elsif ($space !~ /\n/) {
            $items .= text($comment);

        } else {
            $comment =~ s/^ (\w)([^.]*?) ?$/ \u$1$2:/;
            $out .= list($items) . ".Pp\n" . paragraphs($comment);
            $items = '';
        }
    }

    return $out . list($items);
}


sub one_line {
    my ($declaration) = @_;

    return $declaration =~ s/\s+/ /gr =~ s/\* +/*/gr;
}


sub list {
    my ($items) = @_;

    return $items eq '' ? ''
           : ".Bl -tag -width indent\n$items.El\n";
}


sub paragraphs {
    my ($comment) = @_;

    return join ".Pp\n", map { text($_) }
                         split /\n\n+/, $comment =~ s/^ *\* ?//mgr;
}


# A line for each sentence.

sub text {
    my ($words) = @_;

    $words =~ s/^\s+|\s+$//g;
    $words =~ s/(?<=\.)\n/  /g;
    $words =~ s/\s*\n[ *]*/ /g;

    return escape(join("\n", split /(?<=\.)  +/, $words) . "\n");
}


sub escape {
    my ($text) = @_;

    return $text =~ s/\\/\\e/gr =~ s/^(?=[.'])/\\&/mgr;
}
