package Test::Atls::Preload;

# Libraries for LD_PRELOAD, from t/bin.
#
#     my $library = Test::Atls::Preload->build($t, 'shift_time');
#     $library->with(sub { $t->run() }, SHIFT_TIME => $file);

use strict;
use warnings;


sub build {
    my ($class, $t, $name) = @_;

    my $self = bless { library => $t->path("$name.so") }, $class;

    my @cc = (split(' ', $ENV{CC} || 'cc'),
              qw( -shared -fPIC -D_GNU_SOURCE -O1 -Wall -Wextra -Werror ),
              $t->root() . "/t/bin/$name.c", '-o', $self->{library});

    system(@cc) == 0 or die "@cc failed\n";

    return $self;
}


# Environment of a program; a sanitizer must be the first library.

sub env {
    my ($self, %env) = @_;

    return (LD_PRELOAD => $self->{library}, %env,
            ASAN_OPTIONS => join ':', $ENV{ASAN_OPTIONS} || (),
                                 'exitcode=99:verify_asan_link_order=0');
}


sub with {
    my ($self, $code, %env) = @_;

    %env = $self->env(%env);
    local @ENV{keys %env} = values %env;

    return $code->();
}


1;
