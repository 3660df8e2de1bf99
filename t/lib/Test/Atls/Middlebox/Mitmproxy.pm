package Test::Atls::Middlebox::Mitmproxy;

# mitmdump, as a forward proxy.  Its log is the text that it prints of each
# exchange, its dump the file of flows.
#
#     lines => 4        how much of each body is printed
#     modify => [ '/filter/regex/replacement', ... ]    changes bodies

use strict;
use warnings;

use parent 'Test::Atls::Middlebox';


sub program { qw( mitmdump mitmproxy ) }


# Why it can't be installed, if that is so.

sub unavailable {
    my ($self) = @_;

    open my $fh, '<', '/etc/os-release' or return '';

    return grep({ /^VERSION_CODENAME=trixie$/ } <$fh>)
           ? 'Debian 13 has no mitmproxy' : '';
}


sub prepare {
    my ($self, $program) = @_;

    my $t = $self->{t};

    # the name under which it looks for its authority

    $t->write_file($self->path('mitmproxy-ca.pem'),
                   $self->read_file('ca.key') . $self->read_file('ca.crt'));

    my %options = (
        confdir => $self->{dir},
        flow_detail => 3,
        termlog_verbosity => 'warn',
        onboarding => 'false',
        ssl_verify_upstream_trusted_ca => $self->{trust},
        content_view_lines_cutoff => $self->{lines} || 512,
    );

    return ($program, '--listen-host', '127.0.0.1', '-p', $self->{port},
            '-w', $self->path('flows'),
            (map { ('--modify-body', $_) } @{$self->{modify} || []}),
            map { ('--set', "$_=$options{$_}") } sort keys %options);
}


sub speaks_h2 { 1 }


sub log { $_[0]->read_file('out') }
sub dump { $_[0]->read_file('flows') }


# The flows, once it is stopped: they are dictionaries as tnetstrings.

sub exchanges {
    my ($self) = @_;

    my $rest = $self->dump();
    my @exchanges;

    while ($rest ne '') {
        my ($request, $response) = @{_value(\$rest)}{qw( request response )};

        push @exchanges, [
            "$request->{method} $request->{path} $request->{http_version}\r\n"
                . _message($request),
            "$response->{http_version} $response->{status_code}"
                . " $response->{reason}\r\n" . _message($response),
        ];
    }

    return @exchanges;
}


sub _message {
    my ($message) = @_;

    return join('', map { "$_->[0]: $_->[1]\r\n" } @{$message->{headers}})
           . "\r\n$message->{content}";
}


# Takes a value off the string: its length, its bytes, its type.

sub _value {
    my ($string) = @_;

    $$string =~ s/\A(\d+):// or die "not a tnetstring\n";

    my $bytes = substr $$string, 0, $1, '';
    my $type = substr $$string, 0, 1, '';

    return $type eq '~' ? undef : $bytes unless $type =~ /[\]}]/;

    my @values;
    push @values, _value(\$bytes) while $bytes ne '';

    return $type eq '}' ? { @values } : \@values;
}


1;
