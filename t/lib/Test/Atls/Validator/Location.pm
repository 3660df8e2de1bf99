package Test::Atls::Validator::Location;

# URIs of sessions, for Test::Atls::Validator: the endpoint and the name in the
# URI of a POST, and the checks of Location.  A base class of
# Test::Atls::Validator::Check.

use strict;
use warnings;


# The endpoint of a URI.  Below one whose sessions have URIs, the rest of the
# URI names a session, existing or not; $ex->{name} is undefined otherwise.

sub find_endpoint {
    my ($self, $ex, $uri) = @_;

    my $endpoints = $self->{endpoints};

    return $ex->{endpoint} = $endpoints->{$uri} if $endpoints->{$uri};

    for my $e (values %$endpoints) {
        next if $e->{tracking} eq 'cookie';
        next unless $uri =~ m!^\Q$e->{uri}\E/(.*)!s;

        $ex->{endpoint} = $e;
        $ex->{name} = $1 if $1 ne '';
    }
}


# A 201 is like a 200 for all other checks.

sub take_created {
    my ($self, $ex) = @_;

    my $e = $ex->{endpoint};

    ($ex->{location}) = map { $_->[1] } grep { $_->[0] eq 'location' }
                        @{$ex->{response}{headers}};

    return unless $e && $e->{tracking} ne 'cookie' && $ex->{status} == 201;

    $ex->{created} = 1;
    $ex->{status} = 200;
}


# The identifier in Location.

sub location_name {
    my ($self, $ex) = @_;

    return undef unless $ex->{created} && defined $ex->{location};

    return $ex->{location} =~ m!^\Q$ex->{endpoint}{uri}\E/([^/?]+)\z! ? $1
                                                                    : undef;
}


sub judge_location {
    my ($self, $ex) = @_;

    my ($e, $location) = @$ex{qw( endpoint location )};

    return if $ex->{status} =~ /^3/;

    my $first = $ex->{created} || $ex->{begins} ? 1 : 0;

    $self->check($ex, 'location-later', $ex->{created} || !defined $location,
                 'Location with another status');

    return if $e->{tracking} eq 'cookie';

    $self->check($ex, 'location-only', !@{$ex->{cookies_set}},
                 'a cookie, too') if $e->{tracking} eq 'location';

    return unless $first;

    $self->check($ex, 'location-first', $ex->{created}, 'a cookie only')
        or return;
    $self->check($ex, 'location-later', $ex->{begins},
                 'a 201 that begins no session') if defined $location;

    my $name = $self->location_name($ex);

    $self->check($ex, 'location-value', defined $name && length $name >= 16,
                 $location // 'no Location') or return;

    my @values = map { $_->{value} } grep { !$_->{expired} }
                 @{$ex->{cookies_set}};

    $self->check($ex, 'location-value', !grep({ $_ ne $name } @values),
                 'another value than that of the cookie');
}


# The rules for the responses to first POSTs.

sub first_rule {
    my ($self, $ex, $what) = @_;

    return ($ex->{endpoint}{tracking} eq 'location' ? 'location-' : 'cookie-')
           . $what;
}


1;
