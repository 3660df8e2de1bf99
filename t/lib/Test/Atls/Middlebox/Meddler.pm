package Test::Atls::Middlebox::Meddler;

# t/bin/meddler.py: proxies that do to POSTs what middleboxes do, each on a port
# of its own.  log() has a line for each request and response.
#
#     to => port of the HTTP server
#     what => [ 'no-cookie', ... ]      what they do, see there
#     first => number of the first one's port
#
#     $m->endpoint('no-cookie')         the URL of an endpoint by way of it

use strict;
use warnings;

use parent 'Test::Atls::Middlebox';


sub program { qw( python3 python3 ) }


sub prepare {
    my ($self, $program) = @_;

    my $n = $self->{first};

    $self->make_server_cert();
    $self->{ports} = { map { $_ => $self->{t}->port($n++) } @{$self->{what}} };
    $self->{port} = $self->{ports}{$self->{what}[0]};

    return ($program, Test::Atls::root() . '/t/bin/meddler.py',
            (map { $self->path("localhost.$_") } qw( crt key )), $self->{to},
            map { ($self->{ports}{$_}, $_) } @{$self->{what}});
}


sub endpoint {
    my ($self, $what, $path) = @_;

    my $port = $self->{ports}{$what} or die "no $what\n";

    return ($what =~ /\btls\b/ ? 'https://localhost' : 'http://127.0.0.1')
           . ":$port" . ($path || '/.well-known/atls');
}


sub log { $_[0]->read_file('out') }
sub dump { '' }


1;
