package Test::Atls::Clock;

# Changes the time of day for programs, also while they run.  Monotonic clocks
# are not changed.
#
#     my $clock = Test::Atls::Clock->new($t);
#     $clock->with(sub { $t->run() });        # or: env => { $clock->env() }
#     $clock->set(3600);                      # seconds from now

use strict;
use warnings;

sub new {
    my ($class, $t) = @_;

    my $self = bless { file => $t->path('shift_time'),
                       library => $t->path('shift_time.so') }, $class;

    my @cc = (split(' ', $ENV{CC} || 'cc'),
              qw( -shared -fPIC -D_GNU_SOURCE -O1 -Wall -Wextra -Werror ),
              $t->root() . '/t/bin/shift_time.c', '-o', $self->{library});

    system(@cc) == 0 or die "@cc failed\n";

    $self->set(0);

    return $self;
}


# Overwritten, since the file is mapped.

sub set {
    my ($self, $seconds) = @_;

    open my $fh, -e $self->{file} ? '+<:raw' : '>:raw', $self->{file}
        or die "$self->{file}: $!\n";
    syswrite $fh, pack 'q', int $seconds;
    close $fh or die "$self->{file}: $!\n";
}


# Environment of a program; a sanitizer must be the first library.

sub env {
    my ($self) = @_;

    return (LD_PRELOAD => $self->{library}, SHIFT_TIME => $self->{file},
            ASAN_OPTIONS => join ':', $ENV{ASAN_OPTIONS} || (),
                                 'exitcode=99:verify_asan_link_order=0');
}


sub with {
    my ($self, $code) = @_;

    my %env = $self->env();
    local @ENV{keys %env} = values %env;

    return $code->();
}


1;
