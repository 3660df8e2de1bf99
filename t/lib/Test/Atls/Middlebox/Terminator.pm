package Test::Atls::Middlebox::Terminator;

# A middlebox that clients connect to as a server.  It forwards plain HTTP
# through a relay, which records the dump.

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


# If messages were not concurrent.

sub messages { map { $_->[1] } $_[0]{relay}->traffic() }


sub dump { join '', $_[0]->messages() }


1;
