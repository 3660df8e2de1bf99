#!/usr/bin/perl

# The completions of bash, zsh and fish: they have the options of --help, and
# the shells complete with them what is typed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Command;
use Test::Atls::Program qw( find_program );
use Test::Atls::Slow qw( patience );

my $PROMPT = '<prompt>';
my $DONE = '<done>';
my $BASH_COMPLETION = '/usr/share/bash-completion/bash_completion';

# What is typed, and the words that atls gets.  An x shows where the shell puts
# the next character.

my @TYPED = (
    [ "atls forw\t",                    'forward' ],
    [ "atls --report\t",                '--report-middlebox' ],
    [ "atls fetch --report\t",          'fetch --report-middlebox' ],
    [ "atls forward --report\tx",       'forward --reportx' ],
    [ "atls forward --any-\t",          'forward --any-host' ],
    [ "atls --any\tx",                  '--anyx' ],
    [ "atls tunnel --connect-ti\tx",    'tunnel --connect-timeout x' ],
    [ "atls -o ou\t",                   '-o output.txt' ],
    [ "atls --output ou\t",             '--output output.txt' ],
    [ "atls --output=ou\t",             '--output=output.txt' ],
    [ "atls -d \@ou\t",                 '-d @output.txt' ],
    [ "atls --data=\@ou\t",             '--data=@output.txt' ],
    [ "atls -d ou\tx",                  '-d oux' ],
    [ "atls -d \@dir\tin\t",            '-d @directory/inside' ],
    [ "atls -o dir\tin\t",              '-o directory/inside' ],
    [ "atls -X DEL\t",                  '-X DELETE' ],
    [ "atls -u a:b --fall\t",           '-u a:b --fallback' ],
);

my @TYPED_ODD = (
    [ "atls --plac\tdir\tou\tx",        '--place directory/oux' ],
    [ "atls --quoted-\tx",              '--quoted-and-long-option x' ],
);

my %TYPE = (bash => \&type_bash, zsh => \&type_zsh, fish => \&type_fish);

my $t = Test::Atls->new();
my $atls = Test::Atls::Command->new($t);
my $generate = Test::Atls::root() . '/tools/completion/generate.pl';

$t->write_file('work/output.txt', '');
$t->write_file('work/directory/inside', '');

# a program with help that shells could take for their own

my $odd = $t->write_file('odd', <<'EOF');
#!/bin/sh
cat <<\END
Usage: atls [option ...] URL

Sends requests: it's "quoted", $odd [and] `so` \on.  Not all.

      --place DIR                it's a "directory"
      --quoted                   $it's [one]: `a` \b "c" (d) {e} %f
      --quoted-and-long-option [NAME:]VALUE  a [value]
END
EOF

chmod 0755, $odd;

for my $shell (qw( bash zsh fish )) {
    SKIP: {
        skip "no $shell", 1 unless find_program($shell);
        skip 'no bash-completion', 1
            if $shell eq 'bash' && !-e $BASH_COMPLETION;

        subtest($shell => sub { completions($shell) });
    }
}

$t->done_testing();


sub completions {
    my ($shell) = @_;

    my $file = generate($shell, $atls->program());
    my $odd_file = generate($shell, $odd);

    my @commands = $atls->run('--help')->{out} =~ /^ +atls (\w+) --help$/mg;

    for my $command ('fetch', @commands) {
        my @help = $atls->run($command, '--help')->{out}
                   =~ /^  (?:-[\w#],|   ) (--[\w.-]+)/mg;
        my ($out) = $TYPE{$shell}->($file, "atls $command --\t\t");
        my %offered = map { $_ => 1 } $out =~ /(?<![\w-])--\w[\w.-]*/g;

        cmp_ok(scalar @help, '>', 5, "$command has options");
        is(join(' ', sort keys %offered), join(' ', sort @help),
           "$command: options");
    }

    typed($shell, $file, @TYPED);
    typed($shell, $odd_file, @TYPED_ODD);

    done_testing();
}


sub generate {
    my ($shell, $program) = @_;

    my $text = `$^X $generate $shell $program`;
    is($?, 0, "generated for $program");

    return $t->write_file($program eq $odd ? '_odd' : '_atls', $text);
}


sub typed {
    my ($shell, $file, @cases) = @_;

    my @outs = $TYPE{$shell}->($file, map { $_->[0] } @cases);

    for my $case (@cases) {
        my ($line, $words) = @$case;
        my $out = shift @outs // 'nothing';
        my @got = $out =~ /\[([^][]*)\]/g;

        # zsh writes "=" after a completed option with a value

        is("@got" =~ s/(?:^| )--[\w.-]+\K=/ /gr, $words =~ s/=/ /gr,
           "$shell: " . $line =~ s/\t/<TAB>/gr) or diag($out);
    }
}


# Each of these returns what the shell writes for each line, which includes the
# words that atls gets, in brackets.

sub type_bash {
    my ($file, @lines) = @_;

    my $rc = $t->write_file('bashrc', <<"EOF");
. $BASH_COMPLETION
. $file
atls() { printf '[%s]' "\$@"; printf '<%s>' done; }
bind 'set completion-query-items 0'
bind 'set page-completions off'
bind 'set bell-style none'
PS1='$PROMPT'
EOF

    return type_keys("bash --noprofile --rcfile $rc -i", @lines);
}


sub type_zsh {
    my ($file, @lines) = @_;

    $t->write_file('zsh/_atls', $t->read_file($file));
    $t->write_file('zsh/.zshrc', <<"EOF");
fpath=( @{[ $t->path('zsh') ]} \$fpath )
autoload -Uz compinit
compinit -u -D
atls() { printf '[%s]' "\$@"; printf '<%s>' done; }
LISTMAX=0
PS1='$PROMPT'
EOF

    return type_keys('env ZDOTDIR=' . $t->path('zsh') . ' zsh -i', @lines);
}


sub type_keys {
    my ($command, @lines) = @_;

    my $keys = $t->write_file('keys', join '', map { "$_\n" } @lines);
    my $typed = $t->path('typed');

    system('cd ' . $t->path('work') . ' && TERM=dumb python3'
           . " $FindBin::Bin/bin/type_keys.py '$PROMPT' '$DONE'"
           . ' ' . patience() . " $command <$keys >$typed 2>&1") == 0
        or diag($t->read_file($typed));

    return split /\Q$DONE\E/, $t->read_file($typed);
}


# fish has a command that returns completions.  The only one is inserted.

sub type_fish {
    my ($file, @lines) = @_;

    return map { fish_line($file, $_) } @lines;
}


sub fish_line {
    my ($file, $line) = @_;

    my ($last, @parts) = reverse split /\t/, $line, -1;
    my $typed = '';
    my $out = '';

    for my $part (reverse @parts) {
        $typed .= $part;

        my $code = "source $file; complete -C '$typed'";
        my $offered = 'cd ' . $t->path('work') . " && fish -N -c \"$code\" 2>&1";
        my @offered = map { s/\t.*//sr } split /\n/, `$offered`;

        $out .= join "\n", @offered, '';
        next if @offered != 1;

        $typed =~ s/\S*\z/$offered[0]/;
        $typed .= ' ' unless $typed =~ /\/\z/;
    }

    return $out . join '', map { "[$_]" } grep { $_ ne 'atls' }
                           split ' ', "$typed$last";
}
