#!/usr/bin/perl

# Prints the completions of the atls command for a shell:
#
#     generate.pl bash|zsh|fish ATLS
#
# Commands and options are those in the output of ATLS --help.  What is
# completed after an option depends on the name of its value:
#
#     FILE            a file
#     DIR             a directory
#     METHOD          a method
#     others          a file after "@", if the help has "@FILE"
#
# In SHELL.in, @name@ is replaced by the result of SHELL_name().

use strict;
use warnings;

use File::Basename qw( dirname );

my $METHODS = 'GET HEAD POST PUT PATCH DELETE OPTIONS';

my ($shell, $atls) = @ARGV;

die "usage: generate.pl bash|zsh|fish ATLS\n"
    unless @ARGV == 2 && $shell =~ /^(?:bash|zsh|fish)$/;

my @commands = map { command($_) } 'fetch', help() =~ /^ +atls (\w+) --help$/mg;

print slurp(dirname($0) . "/$shell.in")
      =~ s/\@([a-z_]+)\@/main->can("${shell}_$1")->()/egr;


sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or die "$path: $!\n";
    local $/;
    return <$fh>;
}


sub help {
    my @command = ($atls, @_, '--help');

    open my $fh, '-|', @command or die "@command: $!\n";
    local $/;
    my $text = <$fh>;
    close $fh or die "@command failed\n";

    return $text;
}


# The text between the usage and the options, without a second sentence.

sub command {
    my ($name) = @_;

    my $help = help($name);
    my (undef, $about) = split /\n\n/, $help;
    my @options = map { option($_) } grep { /^  +-/ } split /\n/, $help;

    $about =~ s/\s+/ /g;
    $about =~ s/[.:](?: .*|$)//;

    return { name => $name, about => $about, options => \@options };
}


# An option and its value are separated by one space, the help by more.

sub option {
    my ($line) = @_;

    $line =~ /^\ \ (?:-([\w\#]),|\ \ \ )\ --([\w.-]+)(?:\ (\S+))?\ \ +(\S.*)$/x
        or die "unexpected line of --help: $line\n";

    my %option = (letter => $1, name => $2, arg => $3, help => $4);

    $option{kind} = !defined $option{arg} ? 'flag'
                    : $option{arg} =~ /^(FILE|DIR|METHOD)\b/ ? lc $1
                    : $option{help} =~ /\@FILE/ ? 'at'
                    : 'text';

    return \%option;
}


sub names {
    my ($option) = @_;

    return defined $option->{letter} ? "-$option->{letter}" : (),
           "--$option->{name}";
}


# Escapes characters with backslashes, and quotes a string.

sub quote {
    my ($text, $special) = @_;

    $text =~ s/[$special]/\\$&/g if $special;

    return "'" . $text =~ s/'/'\\''/gr . "'";
}


# bash

sub bash_commands { join ' ', map { $_->{name} } @commands }
sub bash_methods { $METHODS }
sub bash_file { bash_pattern('file') }
sub bash_dir { bash_pattern('dir') }
sub bash_method { bash_pattern('method') }
sub bash_at { bash_pattern('at') }
sub bash_text { bash_pattern('text') }


# A pattern for all commands; one that matches nothing if there is no option.

sub bash_pattern {
    my ($kind) = @_;

    my %names = map { $_ => 1 } map { names($_) } grep { $_->{kind} eq $kind }
                map { @{ $_->{options} } } @commands;

    return join(' | ', sort keys %names) || '/';
}


# The default command is the last one.

sub bash_options {
    return join "\n", map {
        '    ' . ($_ == $commands[0] ? '*' : $_->{name}) . ")\n        options='"
        . join(' ', map { names($_) } @{ $_->{options} }) . "' ;;"
    } reverse @commands;
}


# zsh

sub zsh_commands {
    return join "\n", map {
        '        ' . quote("$_->{name}:$_->{about}")
    } @commands;
}


sub zsh_names { join '|', map { $_->{name} } @commands }


sub zsh_options {
    return join "\n", map {
        "    $_->{name})\n        options=(\n"
        . join('', map { zsh_option($_) } @{ $_->{options} })
        . '        ) ;;'
    } @commands;
}


# "*" allows an option several times.  After -x+, the value may be a part of the
# same word; after --xxx=, too.

sub zsh_option {
    my ($option) = @_;

    my %actions = (file => '_files', dir => '_files -/', at => '_atls_at',
                   method => "($METHODS)", text => ' ');

    my $help = $option->{help} =~ s/[\[\]\\:]/\\$&/gr;
    my $value = '';

    if ($option->{kind} ne 'flag') {
        $value = ':' . $option->{arg} =~ s/:/\\:/gr
                 . ":$actions{$option->{kind}}";
    }

    return join '', map {
        my $name = $value eq '' ? $_ : /^--/ ? "$_=" : "$_+";
        '            ' . quote("*$name\[$help]$value") . "\n"
    } names($option);
}


# fish

sub fish_names { join ' ', map { $_->{name} } @commands }


sub fish_commands {
    return join "\n", map {
        "complete -c atls -n __atls_first -a $_->{name} -d "
        . quote($_->{about}, '\\\\')
    } @commands;
}


sub fish_options {
    return join "\n", map {
        my $command = $_->{name};
        map { fish_option($command, $_) } @{ $_->{options} }
    } @commands;
}


sub fish_option {
    my ($command, $option) = @_;

    my %values = (flag => '', file => ' -rF',
                  dir => " -xa '(__fish_complete_directories)'",
                  at => " -xa '(__atls_at)'", method => " -xa '$METHODS'",
                  text => ' -x');

    my $letter = $option->{letter} ? " -s '$option->{letter}'" : '';

    return "complete -c atls -n '__atls_is $command'$letter -l $option->{name}"
           . "$values{$option->{kind}} -d " . quote($option->{help}, '\\\\');
}
