package Test::Atls::Device;

# A Test::Atls::Client over CoAP: its TLS records are sent to a gateway.
#
#     my $d = Test::Atls::Device->new(gateway => $port);
#     $d->handshake() or diag($d->error());
#     my $r = $d->get('/');                   # a Test::Atls::Response
#     my @codes = $d->codes();                # '2.01', '2.04', ...
#
# coap => { ... } are arguments of Test::Atls::Coap, options => [ ... ] of its
# requests.  follow => 0: Location-Path is ignored.

use strict;
use warnings;

use Test::Atls::Coap qw( LOCATION options );

use parent 'Test::Atls::Client';


sub _make_outer {
    my ($self) = @_;

    $self->{follow} = 1 unless defined $self->{follow};
    $self->{path} = [ '.well-known', 'atls' ];
    $self->{coap} = Test::Atls::Coap->new(port => $self->{gateway},
                                          %{$self->{coap} || {}});
}


# Returns a message.

sub post {
    my ($self, $bytes, %args) = @_;

    my $m = $self->{coap}->request($args{method} || 'POST', $self->{path},
                                   $bytes, options => $self->{options});

    push @{$self->{codes}}, $m ? $m->{code} : 'none';
    $self->{last} = $m;

    $self->{path} = [ options($m, LOCATION) ]
        if $m && $m->{code} eq '2.01' && $self->{follow};

    return $m;
}


sub _accept {
    my ($self, $m) = @_;

    my $code = $m ? $m->{code} : 'no answer';

    if ($code ne '2.01' && $code ne '2.04') {
        $self->{error} ||= $code;
        return 0;
    }

    $self->tls_in($m->{payload});

    return 1;
}


# The first flight, which fits into one datagram: the key share of a post-quantum
# group, which newer versions of OpenSSL send, does not.

sub tls_hello {
    my ($self) = @_;

    Net::SSLeay::set1_groups_list($self->{ssl}, 'X25519');
    $self->handshake_step();

    return $self->tls_out();
}


sub coap { $_[0]{coap} }
sub path { $_[0]{path} }
sub codes { @{$_[0]{codes} || []} }
sub http_client { return undef }


1;
