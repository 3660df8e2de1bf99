package Test::Atls::Middlebox::Mitmproxy;

# mitmdump, as a forward proxy.  log() is its output; a mitmproxy script writes
# the dump.
#
#     lines => 4        lines of each body to print
#     modify => [ '/filter/regex/replacement', ... ]    changes bodies

use strict;
use warnings;

use parent 'Test::Atls::Middlebox';

# messages, each preceded by a line with its length

my $DUMP = <<'EOS';
import os

PATH = os.path.join(os.path.dirname(__file__), "dump")


def write(line, message):
    header = b"".join(b"%s: %s\r\n" % f for f in message.headers.fields)
    whole = line.encode() + b"\r\n" + header + b"\r\n" + message.raw_content
    with open(PATH, "ab") as file:
        file.write(b"%d\n%s" % (len(whole), whole))


def request(flow):
    r = flow.request
    write(f"{r.method} {r.path} {r.http_version}", r)


def response(flow):
    r = flow.response
    write(f"{r.http_version} {r.status_code} {r.reason}", r)
EOS


sub program { qw( mitmdump mitmproxy ) }


# Why it cannot be installed on this system; otherwise ''.

sub unavailable {
    my ($self) = @_;

    open my $fh, '<', '/etc/os-release' or return '';

    return grep({ /^VERSION_CODENAME=trixie$/ } <$fh>)
           ? 'Debian 13 has no mitmproxy' : '';
}


sub prepare {
    my ($self, $program) = @_;

    my $t = $self->{t};

    # the file name that mitmproxy uses for its CA

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
            '-s', $t->write_file($self->path('dump.py'), $DUMP),
            (map { ('--modify-body', $_) } @{$self->{modify} || []}),
            map { ('--set', "$_=$options{$_}") } sort keys %options);
}


sub speaks_h2 { 1 }


sub log { $_[0]->read_file('out') }
sub dump { $_[0]->read_file('dump') }


sub messages {
    my ($self) = @_;

    my $rest = $self->dump();
    my @messages;

    while ($rest =~ s/\A(\d+)\n//) {
        push @messages, substr $rest, 0, $1, '';
    }

    return @messages;
}


1;
