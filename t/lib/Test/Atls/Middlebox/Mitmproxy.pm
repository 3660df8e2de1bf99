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


1;
