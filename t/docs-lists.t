#!/usr/bin/perl

# Lists in the documentation are complete: directives, variables, the tables for
# HTTPS, problem types, links.  Names in examples are unique.

use strict;
use warnings;

use File::Basename qw( basename dirname );
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Docs;

my $root = Test::Atls::root();

directives();
variables();
https();
problems();
names();
links();

done_testing();



# Each directive has a section with its contexts; there are no other sections.

sub directives {
    my ($table) = slurp("$root/ngx_http_atls_module.c")
                  =~ /^(static ngx_command_t .*?^\};)/ms;
    my %contexts = $table =~ /ngx_string\("(\w+)"\),\s*([A-Z_|0-9]+),/g;
    my %sections = sections('directives.md');

    is(join(' ', sort grep { /^atls/ } keys %sections),
       join(' ', sort keys %contexts), 'directives');

    for my $name (sort keys %contexts) {
        my $flags = $contexts{$name};
        my $context = join ', ', $flags =~ /MAIN_CONF/ ? 'http' : (),
                                 $flags =~ /SRV_CONF/ ? 'server' : (),
                                 $flags =~ /LOC_CONF/ ? 'location' : ();
        my $text = $sections{$name} || '';

        like($text, qr/^\| Syntax: \| \*\*$name\*\*(?: .*)?;/m,
             "$name: syntax");
        like($text, qr/^\| Default: \| (?:-|$name .*;) \|$/m,
             "$name: default");
        like($text, qr/^\| Context: \| $context \|$/m, "$name: context");
    }
}


sub variables {
    my %sections = sections('variables.md');

    is(join(' ', sort map { s/\$// ? $_ : () } keys %sections),
       join(' ', sort map { s/\$//r } our_variables()), 'variables');
}


sub our_variables {
    my ($table) = slurp("$root/src/inner/ngx_http_atls_variables.c")
                  =~ /^(static ngx_http_atls_variable_t .*?^\};)/ms;
    my ($client) = slurp("$root/src/inner/ngx_http_atls_variables.c")
                   =~ /^(static ngx_http_atls_client_variable_t .*?^\};)/ms;
    my ($exporter) = slurp("$root/src/inner/ngx_http_atls_export.c")
                     =~ /exporter_name = (.*);/;

    my ($outer) = slurp("$root/src/outer/ngx_http_atls_outcome.c")
                  =~ /^(static ngx_http_atls_outcome_variable_t .*?^\};)/ms;

    return map { "\$$_" } "$table$client$exporter$outer"
                           =~ /ngx_string\("(\w+)"\)/g;
}


sub our_directives {
    my ($table) = slurp("$root/ngx_http_atls_module.c")
                  =~ /^(static ngx_command_t .*?^\};)/ms;

    return $table =~ /ngx_string\("(\w+)"\),\s*[A-Z_]/g;
}


# The tables in docs/https.md contain all directives and variables of the
# module, and all those of nginx for HTTPS.

sub https {
    my $text = slurp("$root/docs/https.md");
    my ($tables) = $text =~ /^(## Directives.*?)^## Statuses/ms;
    my %ours = map { $_ => 1 } our_directives(), our_variables();
    my %named = map { $_ => 1 } $tables =~ /`(\$?atls\w*)`/g;
    my %https = map { $_ => 1 } $tables =~ /^\| `(\$?ssl\w*)` \|/mg;

    is(join(' ', sort keys %named), join(' ', sort keys %ours),
       'https.md: directives and variables of the module');

    my @rows = $tables =~ /^\| `(\$?)ssl\w*` \| (?:none|`\1atls\w*`) \| /mg;
    is(scalar @rows, scalar keys %https, 'https.md: rows');

    my @missing = grep { !$https{$_} && !$https{"\$$_"} } nginx_https();
    is("@missing", '', 'https.md: directives and variables of nginx');
}


# Names from the source, if nginx was built with the module, or from the binary.
# There, a name may be stored as the end of a longer one.

sub nginx_https {
    my $file = dirname(Test::Atls::module())
               . '/nginx/src/http/modules/ngx_http_ssl_module.c';

    if (-e $file) {
        my ($commands, $vars) = map { slurp($file) =~ /^static $_ .*?^\};/ms
                                      ? $& : '' }
                                'ngx_command_t', 'ngx_http_variable_t';

        return $commands =~ /ngx_string\("(ssl\w*)"\)/g,
               map { "\$$_" } $vars =~ /ngx_string\("(ssl\w*)"\)/g;
    }

    my %others = map { $_ => 1 }    # of the core, mail and stream modules
                 qw( ssl_engine ssl_object_cache_inheritable ssl_alpn
                     ssl_handshake_timeout ssl_preread );
    my @names = slurp(Test::Atls::binary()) =~ /\0(ssl(?:_[a-z\d]+)*)(?=\0)/g;

    return grep { !$others{$_} && !/^ssl_preread_/ } @names;
}


# Types of problem documents, as "STATUS NAME".

sub problems {
    my %sections = sections('protocol.md');
    my @said;

    for ($sections{'Problem documents'} =~ /^\| `(\d+`.*) \|$/mg) {
        my ($status, @names) = /(\w[\w-]*)(?=`)/g;
        push @said, map { "$status $_" } @names;
    }

    my @made = slurp("$root/src/stream/ngx_http_atls_problem.c")
               =~ /problem_known\("([\w-]+)",\s+"[^"]+", (\d+),/g;
    my @pairs;

    push @pairs, join ' ', reverse splice @made, 0, 2 while @made;

    cmp_ok(scalar @pairs, '>', 10, 'types of problems');
    is(join("\n", sort @said), join("\n", sort @pairs),
       'protocol.md: types of problems');
}


# Examples of several pages can be used together.

sub names {
    my %named;

    for my $block (blocks('nginx')) {
        push @{ $named{$1} }, "$block->{file}:$block->{line}"
            while $block->{text} =~ /(?:^log_format +|_zone .*\bzone=)(\w+)/mg;
    }

    cmp_ok(scalar keys %named, '>=', 5, 'formats of logs, and zones');
    is(join("\n", map { @$_ } grep { @$_ > 1 } values %named), '',
       '... are unique');
}


# Links to files and to headings.

sub links {
    my @broken;

    for my $file (pages()) {
        my $text = slurp($file) =~ s/^```.*?^```$//msgr;

        for my $link ($text =~ /\]\(([^)\s]+)\)/g) {
            next if $link =~ /^https?:/;

            my ($to, $anchor) = split /#/, $link;
            my $path = $to ne '' ? dirname($file) . "/$to" : $file;

            push @broken, "$file: $link"
                unless -e $path && (!$anchor || has_heading($path, $anchor));
        }
    }

    is(join("\n", @broken), '', 'links');

    my $readme = slurp("$root/README.md");
    my @unlisted = grep { $readme !~ /\(\Q$_\E\)/ }
                   map { 'docs/' . basename($_) } glob "$root/docs/*.{md,1}";

    is("@unlisted", '', 'README.md has all pages');
}
