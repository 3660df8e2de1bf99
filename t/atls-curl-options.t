#!/usr/bin/perl

# Options of curl: the table in docs/clients.md has all options of the installed
# curl; those that are said to be in atls are, and the others result in an error
# message that recommends atls run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Command;

my $t = Test::Atls->new();
my $atls = Test::Atls::Command->new($t);
my $root = Test::Atls::root();

my ($page) = $t->read_file("$root/docs/clients.md")
             =~ /^### Options of curl\n(.*?)^## /ms;
my (%same, %other);             # of the page: name => letter

for my $row ($page =~ /^(\| `.*)$/mg) {
    my (undef, $options, $text) = split / *\| */, $row;
    my $kind = $text =~ /^the same\b/ ? \%same : \%other;

    $kind->{$1} = $2 // '' while $options =~ /`--([\w.-]+)`(?: \(`-(.)`\))?/g;
}

# of the programs

my %curl = names(scalar `curl --help all`);
my %atls = names($atls->run('--help')->{out});

subtest('curl' => \&curl);
subtest('the same' => \&same);
subtest('others' => \&others);
subtest('messages' => \&messages);

$t->done_testing();


sub names {
    my ($help) = @_;

    return map { /^ +(?:-(.), )?--([\w.-]+)/ ? ($2 => $1 // '') : () }
           split /\n/, $help;
}


sub curl {
    my @absent = grep { !exists $same{$_} && !exists $other{$_} } keys %curl;
    my %letters = map { $_ => 1 } values %same, values %other;

    cmp_ok(scalar keys %curl, '>', 200, 'options');
    is(join(' ', sort @absent), '', 'all are in the table');
    is(join(' ', grep { !$letters{$_} } sort grep { $_ ne '' } values %curl), '',
       'with their letters');

    done_testing();
}


sub same {
    is(join(' ', grep { !exists $atls{$_} } sort keys %same), '',
       'atls has these');
    is(join(' ', grep { exists $atls{$_} && $atls{$_} ne $same{$_} }
                 sort keys %same), '', 'with these letters');
    is(join(' ', grep { exists $atls{$_} && !exists $same{$_} }
                 sort keys %curl), '', 'and no others');

    done_testing();
}


# The table for the messages.

sub others {
    my $source = $t->read_file("$root/src/client/cmd/options/option_curl.c");
    my ($letters) = $source =~ /_letters\[\] = "(.*)";/;
    my ($names) = $source =~ /_names\[\] =\n(.*?);\n/s;

    delete $other{insecure};

    is(join(' ', sort split ' ', $names =~ s/"//gr), join(' ', sort keys %other),
       'names');
    is(join('', sort split //, $letters), join('', sort values %other),
       'letters');
    is(join(' ', grep { exists $atls{$_} } sort keys %other), '',
       'atls does not have these');

    done_testing();
}


sub messages {
    my ($command, $output) = $page =~ /^\$ (atls .*)\n(atls: .*)$/m;
    my (undef, @args) = split ' ', $command;

    is($atls->run(@args)->{err}, "$output\n", 'the example');

    for my $option ('--proxy-cacert', '--http2', '-0', '-:') {
        my $r = $atls->run($option, 'https://localhost/');

        is("$r->{code} $r->{err}", "2 atls: (2) unknown option: $option; try "
           . "atls run -- curl $option ...\n", $option);
    }

    unlike($atls->run($_, 'https://localhost/')->{err}, qr/try atls run/, $_)
        for '-k', '--insecure', '--nonsense', '--http', '-?', '--http2 http3';
    like($atls->run('-sSn', 'https://localhost/')->{err}, qr/option: -n; try/,
         'several letters');
    unlike($atls->run('forward', '-n', 'https://localhost/')->{err},
           qr/try atls run/, 'another command');

    done_testing();
}
