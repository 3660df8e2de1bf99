package Test::Atls::Relay;

# A relay: forwards TCP connections to another port and records the traffic.
#
#     my $relay = Test::Atls::Relay->start($t, $t->port(1), $t->port(0));
#     ... a client of port 1 ...
#     for ($relay->traffic()) { ... }
#
# late => seconds: so late is what the server sends after the first piece.

use strict;
use warnings;

use Fcntl qw( :flock );
use IO::Select;
use IO::Socket::INET;
use Socket qw( IPPROTO_TCP TCP_NODELAY );

use Test::Atls::Serve qw( serve );


sub start {
    my ($class, $t, $port, $to, %args) = @_;

    my $self = bless { port => $port, to => $to, %args,
                       log => $t->path("relay-$port.log") }, $class;

    $t->run_daemon(sub { $self->_serve() }, port => $port);

    return $self;
}


# Recorded data in order: [ '>' to the server or '<' from it, bytes ].
# Consecutive data in the same direction are joined.

sub traffic {
    my ($self) = @_;

    open my $fh, '<', $self->{log} or return ();

    my @pieces;

    while (my $line = <$fh>) {
        my ($way, $hex) = split ' ', $line;
        my $bytes = pack 'H*', $hex;

        if (@pieces && $pieces[-1][0] eq $way) {
            $pieces[-1][1] .= $bytes;
        } else {
            push @pieces, [ $way, $bytes ];
        }
    }

    return @pieces;
}


sub _serve {
    my ($self) = @_;

    serve($self->{port}, sub { $self->_connection($_[0]) });
}


sub _connection {
    my ($self, $client) = @_;

    my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $self->{to}) or return;
    my %other = ($client => $server, $server => $client);
    my %way = ($client => '>', $server => '<');
    my $select = IO::Select->new($client, $server);
    my $received = 0;

    setsockopt $server, IPPROTO_TCP, TCP_NODELAY, 1;

    for ( ;; ) {
        for my $s ($select->can_read()) {
            sysread $s, my $bytes, 65536 or return;
            $self->_record($way{$s}, $bytes);
            select undef, undef, undef, $self->{late}
                if $self->{late} && $s == $server && $received++ == 1;
            print { $other{$s} } $bytes;
            $other{$s}->flush();
        }
    }
}


sub _record {
    my ($self, $way, $bytes) = @_;

    open my $fh, '>>', $self->{log} or die "$self->{log}: $!\n";
    flock $fh, LOCK_EX;
    syswrite $fh, "$way " . unpack('H*', $bytes) . "\n";
}


1;
