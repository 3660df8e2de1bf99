package Test::Atls::Response;

# An HTTP/1.x response, parsed as it arrives.
#
#     my $r = Test::Atls::Response->new(method => 'GET', on_body => sub { });
#     $r->feed($bytes) until $r->done();      # further data: $r->rest()
#
# With on_body, pieces of the body are passed to the callback and not stored.

use strict;
use warnings;

use Exporter qw( import );

our @EXPORT_OK = qw( parse_responses );


sub new {
    my ($class, %args) = @_;

    return bless {
        method  => $args{method} || 'GET',
        on_body => $args{on_body},
        buf     => '',
        state   => 'head',
        interim => [],
        headers => [],
        body    => '',
        length  => 0,           # received part of the body
    }, $class;
}


sub version { $_[0]{version} }
sub status  { $_[0]{status} }
sub reason  { $_[0]{reason} }
sub head    { $_[0]{head} }
sub body    { $_[0]{body} }
sub length  { $_[0]{length} }
sub interim { $_[0]{interim} }      # statuses of 1xx responses
sub rest    { $_[0]{buf} }
sub done    { $_[0]{state} eq 'done' }


# The value of a header; in list context all of them.

sub header {
    my ($self, $name) = @_;

    my @values = map { $_->[1] } grep { lc $_->[0] eq lc $name }
                 @{$self->{headers}};

    return wantarray ? @values : $values[0];
}


sub keep_alive {
    my ($self) = @_;

    my $connection = lc($self->header('Connection') || '');

    return 0 if $self->{until_eof};
    return $connection =~ /keep-alive/ if $self->{version} eq '1.0';
    return $connection !~ /close/;
}


sub feed {
    my ($self, $bytes) = @_;

    $self->{buf} .= $bytes;

    while ($self->{state} ne 'done') {
        my $step = '_' . $self->{state};
        last unless $self->$step();
    }

    return $self->done();
}


# The connection was closed.  Returns whether the response is complete.

sub eof {
    my ($self) = @_;

    $self->{state} = 'done' if $self->{state} eq 'until_eof';

    return $self->done();
}


sub _head {
    my ($self) = @_;

    $self->{buf} =~ s/\A(.*?\r?\n)\r?\n//s or return 0;
    $self->{head} = $1;

    my ($line, @lines) = split /\r?\n/, $self->{head};

    $line =~ m!^HTTP/(\d\.\d) (\d{3}) ?(.*)$!
        or die "not an HTTP response: $line\n";
    @$self{qw( version status reason )} = ($1, $2, $3);

    if ($self->{status} < 200 && $self->{status} != 101) {
        push @{$self->{interim}}, $self->{status};
        return 1;
    }

    $self->{headers} = [ map { [ /^([^:]+):\s*(.*?)\s*$/ ] } @lines ];
    $self->_framing();

    return 1;
}


sub _framing {
    my ($self) = @_;

    my $length = $self->header('Content-Length');

    if ($self->{method} eq 'HEAD' || $self->{status} =~ /^(204|304)$/) {
        $self->{state} = 'done';

    } elsif (lc($self->header('Transfer-Encoding') || '') eq 'chunked') {
        $self->{state} = 'chunk';

    } elsif (defined $length) {
        $self->{left} = $length;
        $self->{state} = $length ? 'counted' : 'done';

    } else {
        $self->{until_eof} = 1;
        $self->{state} = 'until_eof';
    }
}


sub _body {
    my ($self, $max) = @_;

    my $n = CORE::length $self->{buf};
    my $piece;

    if (!defined $max || $n <= $max) {
        $piece = $self->{buf};
        $self->{buf} = '';
    } else {
        $n = $max;
        $piece = substr $self->{buf}, 0, $n, '';
    }

    $self->{length} += $n;
    if ($self->{on_body}) {
        $self->{on_body}->($piece);
    } else {
        $self->{body} .= $piece;
    }

    return $n;
}


sub _until_eof {
    my ($self) = @_;

    $self->_body() if $self->{buf} ne '';

    return 0;
}


sub _counted {
    my ($self) = @_;

    return 0 if $self->{buf} eq '';
    $self->{left} -= $self->_body($self->{left});
    $self->{state} = 'done' unless $self->{left};

    return 1;
}


sub _chunk {
    my ($self) = @_;

    $self->{buf} =~ s/\A([0-9a-fA-F]+)[^\n]*\n// or return 0;
    $self->{left} = hex $1;
    $self->{state} = $self->{left} ? 'chunk_data' : 'trailer';

    return 1;
}


sub _chunk_data {
    my ($self) = @_;

    return 0 if $self->{buf} eq '';
    $self->{left} -= $self->_body($self->{left});
    $self->{state} = 'chunk_end' unless $self->{left};

    return 1;
}


sub _chunk_end {
    my ($self) = @_;

    $self->{buf} =~ s/\A\r?\n// or return 0;
    $self->{state} = 'chunk';

    return 1;
}


sub _trailer {
    my ($self) = @_;

    $self->{buf} =~ s/\A(.*)\r?\n// or return 0;
    $self->{state} = 'done' if $1 eq '' || $1 eq "\r";

    return 1;
}


# Parses all responses of a string that ends with the connection.  The methods
# of requests can be passed, otherwise they are GET.  An incomplete response is
# the last one, with done() false.

sub parse_responses {
    my ($bytes, @methods) = @_;

    my @responses;

    while ($bytes ne '') {
        my $r = __PACKAGE__->new(method => shift @methods);

        push @responses, $r;
        $r->feed($bytes) || $r->eof() || last;
        $bytes = $r->rest();
    }

    return @responses;
}


1;
