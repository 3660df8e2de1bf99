#!/usr/bin/perl

# docs/troubleshooting.md has all messages of the module, with their levels, and
# no others; and all reasons of refused records.

use strict;
use warnings;

use File::Find qw( find );
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Docs;

my $root = Test::Atls::root();

# functions that log, and the number of the argument that is the message

my %FORMAT = (ngx_log_error => 3, ngx_conf_log_error => 3, ngx_ssl_error => 3,
              ngx_http_atls_note_log => 4, ngx_http_atls_session_full => 1);

my %PREFIX = (ngx_http_atls_session_full => 'atls_zone "..." ');
my %LEVEL = (ngx_http_atls_session_full => 'NGX_LOG_ERR');

# core's names of system functions, and of levels

my %NAMES = (ngx_open_file_n => 'open()', ngx_close_file_n => 'close()',
             ngx_fd_info_n => 'fstat()', ngx_read_fd_n => 'read()',
             ngx_nonblocking_n => 'ioctl(FIONBIO)',
             ngx_close_socket_n => 'close() socket',
             ngx_regex_exec_n => 'pcre2_match()');

my %levels = (emerg => 'emerg', alert => 'alert', err => 'error',
              warn => 'warn', notice => 'notice', info => 'info');

my @files = sources();
my (%logged, %documented);

logged($_) for @files;

my ($page) = slurp("$root/docs/troubleshooting.md")
             =~ /^## Messages of the module\n(.*?)(?=^## |\z)/ms;

for my $section (split /^### /m, $page // '') {
    my ($level) = $section =~ /\A(\w+)\n/ or next;

    for my $row ($section =~ /^\| (`.*)/mg) {
        my ($cell) = split / \| /, $row;

        $documented{"$level: $_"}++ for $cell =~ /`([^`]+)`/g;
    }
}

cmp_ok(scalar keys %logged, '>', 100, 'messages in the sources');
is(join("\n", grep { !$documented{$_} } sort keys %logged), '',
   'all of them are on the page');
is(join("\n", grep { !$logged{$_} } sort keys %documented), '',
   'the page has no others');
is(join("\n", grep { $documented{$_} > 1 } sort keys %documented), '',
   'each of them once');

my ($table) = slurp("$root/src/core/trl_channel.c")
              =~ /trl_errors\[TRL_ERRORS\] = \{(.*?)\};/s;
my ($refused) = $table =~ /(.*"fatal alert received")/s;
my ($reasons) = $page =~ /^### Reasons of refused records\n(.*)/ms;

is(join("\n", sort map { /`([^`]+)`/g } $reasons =~ /^\| (`.*?) \| /mg),
   join("\n", sort $refused =~ /"([^"]+)"/g), 'reasons of refused records');

done_testing();


sub sources {
    my @found = "$root/ngx_http_atls_module.c";

    find({ no_chdir => 1, wanted => sub {
        $File::Find::prune = 1 if m!/src/client$!;
        push @found, $_ if /\.c$/;
    } }, "$root/src");

    return @found;
}


sub logged {
    my ($file) = @_;

    my $text = slurp($file) =~ s!/\*.*?\*/!!gsr;
    my $functions = join '|', sort keys %FORMAT;
    my $string = qr/"(?:[^"\\]|\\.)*"/;

    while ($text =~ /\b($functions)(\((?:[^()"]++|$string|(?2))*+\));/g) {
        my ($function, $args) = ($1, $2);
        my @args = split_args($args =~ s/\A\(|\)\z//gr);
        my $message = message($args[$FORMAT{$function}]);

        # functions that log the messages of others

        next if !defined $message || $message =~ /\A(?:atls_zone\ "\.\.\."\ )?
                                                  \.\.\.(?:\ in\ .*)?\z/x;

        add($PREFIX{$function}, $message,
            ($LEVEL{$function} || $args[0]) =~ /NGX_LOG_([A-Z]+)/g);
    }

    # errors of directives, to which core adds the name

    add('"..." directive ', $_, 'EMERG')
        for $text =~ /\breturn "((?:is|does|must) [^"]+)";/g;
}


sub add {
    my ($prefix, $message, @levels) = @_;

    $logged{"$levels{lc $_}: " . ($prefix // '') . $message} = 1 for @levels;
}


# Arguments, which are separated by commas outside parentheses and strings.

sub split_args {
    my ($text) = @_;

    my $string = qr/"(?:[^"\\]|\\.)*"/;
    my @args = ('');

    while ($text =~ /\G($string|(\((?:[^()"]++|$string|(?2))*+\))|,|[^,"(]+)/g) {
        my $token = $1;

        if ($token eq ',') { push @args, '' } else { $args[-1] .= $token }
    }

    return @args;
}


# The text of a format: literals and names, with three dots for values.

sub message {
    my ($arg) = @_;

    return undef unless defined $arg && $arg =~ /"/;

    my $text = join '', map { /\A"(.*)"\z/s ? $1 : $NAMES{$_} // '' }
                        $arg =~ /("(?:[^"\\]|\\.)*"|\bngx_\w+_n\b)/g;

    $text =~ s/\\"/"/g;
    $text =~ s/%(?:\*s|[.\d]*[uxX]?[a-zA-Z])/.../g;

    return $text =~ s/\.{7}/.../gr;
}
