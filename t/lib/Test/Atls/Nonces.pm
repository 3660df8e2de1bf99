package Test::Atls::Nonces;

# All keys and nonces with which nginx seals records.
#
#     my $nonces = Test::Atls::Nonces->new($t);
#     $nonces->with(sub { $t->run() });
#     ok(!$nonces->reused());

use strict;
use warnings;

use Test::Atls::Preload;


sub new {
    my ($class, $t) = @_;

    return bless { library => Test::Atls::Preload->build($t, 'nonces'),
                   file => $t->path('nonces') }, $class;
}


sub with {
    my ($self, $code) = @_;

    return $self->{library}->with($code, NONCES => $self->{file});
}


# The pairs of a key and a nonce, and how often each has sealed a record.

sub pairs {
    my ($self) = @_;

    my %pairs;

    open my $fh, '<', $self->{file} or die "$self->{file}: $!\n";

    while (<$fh>) {
        my ($pair) = /^(\w+ \w+) \w+$/ or die "$self->{file}: $_\n";
        $pairs{$pair}++;
    }

    return \%pairs;
}


# Pairs that were used twice, even for the same plaintext.

sub reused {
    my ($self) = @_;

    my $pairs = $self->pairs();

    return grep { $pairs->{$_} > 1 } sort keys %$pairs;
}


1;
