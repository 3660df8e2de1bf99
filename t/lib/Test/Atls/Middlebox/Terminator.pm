package Test::Atls::Middlebox::Terminator;

# A middlebox that clients take for the server.  What it passes on is plain HTTP
# and goes through a tap: that is its dump.

use strict;
use warnings;

use Test::Atls::Relay;

use parent 'Test::Atls::Middlebox';


sub start_tap {
    my ($self) = @_;

    $self->{relay} = Test::Atls::Relay->start($self->{t}, $self->{tap},
                                              $self->{to});
}


sub route { (port => $_[0]{port}) }


# If they do not overlap.

sub exchanges {
    my ($self) = @_;

    my @messages = map { $_->[1] } $self->{relay}->traffic();

    return map { [ @messages[2 * $_, 2 * $_ + 1] ] } 0 .. @messages / 2 - 1;
}


sub dump {
    my ($self) = @_;

    return join '', map { $_->[1] } $self->{relay}->traffic();
}


1;
