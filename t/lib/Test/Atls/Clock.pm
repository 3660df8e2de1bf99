package Test::Atls::Clock;

# Changes the time of day for programs, also while they run.  Monotonic clocks
# are not changed.
#
#     my $clock = Test::Atls::Clock->new($t);
#     $clock->with(sub { $t->run() });        # or: env => { $clock->env() }
#     $clock->set(3600);                      # seconds from now

use strict;
use warnings;

use Test::Atls::Preload;


sub new {
    my ($class, $t) = @_;

    my $self = bless { file => $t->path('shift_time'),
                       library => Test::Atls::Preload->build($t,
                                                             'shift_time') },
                     $class;

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


# Environment of a program.

sub env {
    my ($self) = @_;

    return $self->{library}->env(SHIFT_TIME => $self->{file});
}


sub with {
    my ($self, $code) = @_;

    return $self->{library}->with($code, SHIFT_TIME => $self->{file});
}


1;
