package Test::Atls::Datagrams;

# A relay for UDP on 127.0.0.1, with a socket for each client, that records
# datagrams.  With lost => 0.2, doubled => 0.1, late => 0.1 they are lost, sent
# twice, or sent after the next one, with these probabilities in both
# directions; random numbers begin with seed => 1.  Of ten in a row, at most four
# are lost, so that one of a message and its four repetitions is acknowledged.
# With deaf => 1, all that the first client sends is lost.
#
#     my $relay = Test::Atls::Datagrams->start($t, $g->port(), lost => 0.2);
#     my $uri = $t->gateway_uri($g, port => $relay->port());
#     my %seen = $relay->seen();      # since the last call: up => [ bytes ],
#                                     # down => [ bytes ], lost => 7, ...

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;

use constant PAUSE => 0.05;         # seconds, until what is late is sent


sub start {
    my ($class, $t, $to, %args) = @_;

    my $self = bless { to => $to, lost => 0, doubled => 0, late => 0,
                       deaf => 0, seed => 1, read => 0, socket => {},
                       client => {}, fates => [], %args }, $class;

    $self->{listen} = IO::Socket::INET->new(Proto => 'udp',
                                            LocalAddr => '127.0.0.1')
                      or die "bind: $@\n";
    $self->{log} = $t->path('datagrams.' . $self->port());

    open my $log, '>', $self->{log} or die "$self->{log}: $!\n";
    $log->autoflush(1);

    $t->run_daemon(sub { $self->_run($log) });

    return $self;
}


sub port { $_[0]{listen}->sockport() }


sub seen {
    my ($self) = @_;

    my %seen = (up => [], down => []);

    open my $log, '<', $self->{log} or die "$self->{log}: $!\n";
    seek $log, $self->{read}, 0;

    while (my $line = <$log>) {
        my ($direction, $hex, $fate) = split ' ', $line;

        push @{$seen{$direction}}, pack 'H*', $hex;
        $seen{$fate}++;
    }

    $self->{read} = tell $log;

    return %seen;
}


sub _run {
    my ($self, $log) = @_;

    my $select = IO::Select->new($self->{listen});
    my @late;

    srand $self->{seed};

    for ( ;; ) {
        my @ready = $select->can_read(@late ? PAUSE : undef);

        # a datagram that is late is sent after the next one, or a pause

        my @send = @ready ? () : splice @late;

        for my $s (@ready) {
            my $peer = $s->recv(my $bytes, 65536);
            next unless defined $peer;

            my $up = $s == $self->{listen};
            my $send = $up ? $self->_up($select, $peer, $bytes)
                       : $self->_down($s, $bytes);
            my $fate = $up && $self->{deaf} && $peer eq $self->{first}
                       ? 'lost' : $self->_fate();

            printf {$log} "%s %s %s\n", $up ? 'up' : 'down',
                          unpack('H*', $bytes), $fate;

            push @late, $send if $fate eq 'late';
            push @send, ($send) x ($fate eq 'doubled' ? 2 : 1), splice @late
                if $fate =~ /^(?:passed|doubled)$/;
        }

        $_->() for @send;
    }
}


sub _up {
    my ($self, $select, $peer, $bytes) = @_;

    if (!$self->{socket}{$peer}) {
        my $s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1',
                                      PeerPort => $self->{to})
                or die "connect: $@\n";

        $self->{socket}{$peer} = $s;
        $self->{client}{$s} = $peer;
        $self->{first} = $peer unless defined $self->{first};
        $select->add($s);
    }

    my $s = $self->{socket}{$peer};

    return sub { $s->send($bytes) };
}


sub _down {
    my ($self, $s, $bytes) = @_;

    my $client = $self->{client}{$s};

    return sub { $self->{listen}->send($bytes, 0, $client) };
}


sub _fate {
    my ($self) = @_;

    my $fates = $self->{fates};
    my $fate = $self->_random();

    $fate = 'passed' if (grep { $_ eq 'lost' } $fate, @$fates) > 4;

    push @$fates, $fate;
    shift @$fates if @$fates > 9;

    return $fate;
}


sub _random {
    my ($self) = @_;

    my $chance = rand;

    for my $fate (qw( lost doubled late )) {
        return $fate if $chance < $self->{$fate};
        $chance -= $self->{$fate};
    }

    return 'passed';
}


1;
