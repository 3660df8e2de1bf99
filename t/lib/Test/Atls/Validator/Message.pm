package Test::Atls::Validator::Message;

# A parser for the HTTP/1.x messages of one direction of a connection:
#
#     my $m = Test::Atls::Validator::Message->new(
#         head  => sub ($head) { ... },     # { first, headers, framing }
#         body  => sub ($bytes) { ... },    # without chunk framing
#         chunk => sub ($size) { ... },     # start of a chunk; optional
#         end   => sub { ... },
#         bad   => sub ($why) { ... },      # error: parsing stops
#         method => sub { ... },            # for responses: the request method,
#                                           # or undef if there is no request
#     );
#     $m->feed($bytes);
#     $m->eof();

use strict;
use warnings;


sub new {
    my ($class, %args) = @_;

    return bless { %args, buf => '', state => 'head' }, $class;
}


sub feed {
    my ($self, $bytes) = @_;

    $self->{buf} .= $bytes;

    while ($self->{state} ne 'bad' && length $self->{buf}) {
        my $read = "_read_$self->{state}";

        $self->$read() or last;
    }
}


sub eof {
    my ($self) = @_;

    return if $self->{state} eq 'bad';
    return $self->_end() if $self->{state} eq 'close';

    $self->_bad('ends too early') if $self->{state} ne 'head'
                                     || length $self->{buf};
}


sub is_idle { $_[0]{state} eq 'head' && $_[0]{buf} eq '' }


sub _bad {
    my ($self, $why) = @_;

    my $in_body = $self->{state} ne 'head';

    $self->{state} = 'bad';
    $self->{bad}->($why, $in_body);
}


sub _end {
    my ($self) = @_;

    $self->{state} = 'head';
    $self->{end}->();

    return 1;
}


sub _read_head {
    my ($self) = @_;

    return $self->_bad('nobody has asked')
        if $self->{method} && !defined $self->{method}->();

    $self->{buf} =~ s/^(.*?\r?\n)\r?\n//s or return 0;

    my ($first, @lines) = split /\r?\n/, $1;
    my @headers;

    for (@lines) {
        /^([!#\$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\z/s
            or return $self->_bad("a header: $_");
        push @headers, [ lc $1, $2 ];
    }

    my $head = { first => $first, headers => \@headers };

    return $self->_bad("a first line: $first") unless $self->_framing($head);

    $self->{state} = $head->{framing} eq 'none' ? 'head' : $head->{framing};
    $self->{head}->($head);
    $self->{end}->() if $head->{framing} eq 'none' && !$head->{interim};

    return 1;
}


# How the body is framed: none, length, chunk, close.

sub _framing {
    my ($self, $head) = @_;

    my %h = map { @$_ } @{$head->{headers}};
    my $chunked = lc($h{'transfer-encoding'} || '') eq 'chunked';
    my $length = $h{'content-length'};
    my $none = 0;

    if ($self->{method}) {
        $head->{first} =~ m!^HTTP/(1\.[01]) (\d{3})(?: |\z)! or return 0;
        @$head{qw( version status )} = ($1, $2);
        $head->{interim} = $2 < 200;
        $none = $2 < 200 || $2 == 204 || $2 == 304
                || $self->{method}->() eq 'HEAD';

    } else {
        $head->{first} =~ m!^(\S+) (\S+) HTTP/(1\.[01])\z! or return 0;
        @$head{qw( method uri version )} = ($1, $2, $3);
        $none = !$chunked && !$length;
    }

    return 0 if defined $length && $length !~ /^\d+\z/;

    $head->{framing} = $none ? 'none' : $chunked ? 'chunk'
                       : !defined $length ? 'close'
                       : $length ? 'length' : 'none';
    $self->{left} = $length;

    return 1;
}


sub _read_length {
    my ($self) = @_;

    $self->_take();

    return $self->{left} ? 1 : $self->_end();
}


sub _take {
    my ($self) = @_;

    my $bytes = substr $self->{buf}, 0, $self->{left}, '';

    $self->{left} -= length $bytes;
    $self->{body}->($bytes);
}


sub _read_close {
    my ($self) = @_;

    $self->{body}->($self->{buf});
    $self->{buf} = '';

    return 0;
}


sub _read_chunk {
    my ($self) = @_;

    return 0 if $self->{buf} !~ /\n/ && length $self->{buf} < 100;

    $self->{buf} =~ s/^([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n//
        or return $self->_bad('no size of a chunk');

    $self->{left} = hex $1;
    $self->{state} = $self->{left} ? 'data' : 'trailer';
    $self->{chunk}->($self->{left}) if $self->{chunk};

    return 1;
}


sub _read_data {
    my ($self) = @_;

    $self->_take();
    $self->{state} = 'after' unless $self->{left};

    return 1;
}


sub _read_after {
    my ($self) = @_;

    return 0 if $self->{buf} =~ /^\r?\z/;

    $self->{buf} =~ s/^\r?\n// or return $self->_bad('a chunk without an end');
    $self->{state} = 'chunk';

    return 1;
}


sub _read_trailer {
    my ($self) = @_;

    $self->{buf} =~ s/^(?:[^\r\n]+\r?\n)*\r?\n// or return 0;

    return $self->_end();
}


1;
