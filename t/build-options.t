#!/usr/bin/perl

# The module compiles without warnings for an nginx without some options of the
# installed one.

use strict;
use warnings;

use Cwd qw( abs_path );
use FindBin;

use Test::More;

my $root = abs_path("$FindBin::Bin/..");
my $tree = "$root/build/nginx";

plan skip_all => 'nothing here depends on how nginx runs'
    if $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};

plan skip_all => 'build/ is not built' unless -e "$tree/objs/Makefile";

# nginx headers can be overridden on the command line

my @options = (
    [ 'NGX_DEBUG' ],
    [ 'NGX_PCRE' ],
    [ 'NGX_HAVE_INET6', 'NGX_STAT_STUB', 'NGX_THREADS' ],
    [ 'NGX_HTTP_V2', 'NGX_HTTP_V3', 'NGX_HTTP_DAV', 'NGX_HTTP_CACHE' ],
);

plan tests => @options + 1;


my $makefile = slurp("$tree/objs/Makefile");
my @sources = slurp("$root/config") =~ m!\$ngx_addon_dir/(\S+\.c)\b!g;


sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or die "$path: $!\n";
    local $/;
    return <$fh>;
}


# A variable of nginx's Makefile, which may have several lines.

sub variable {
    my ($name) = @_;

    my ($value) = $makefile =~ /^\Q$name\E\s*=\s*((?:.*\\\n)*.*)$/m
        or die "no $name in objs/Makefile\n";

    return $value =~ s/\\\n//gr;
}


sub compile {
    my (@without) = @_;

    my $command = join ' ', "cd $tree &&", variable('CC'), variable('CFLAGS'),
                  '-fsyntax-only', variable('ALL_INCS'),
                  map({ "-D$_=0" } @without), map { "$root/$_" } @sources;

    my $out = `$command 2>&1`;
    my $name = @without ? 'without ' . join(', ', @without) : 'as it is';

    is($?, 0, $name) or diag($out);
}


compile();
compile(@$_) for @options;
