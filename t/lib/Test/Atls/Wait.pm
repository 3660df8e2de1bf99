package Test::Atls::Wait;

# Conditions that a test waits for.  The base class of Test::Atls.

use strict;
use warnings;

use IO::Socket::INET;
use Time::HiRes qw( sleep time );

use Test::Atls::Http qw( readable );
use Test::Atls::Process qw( asleep );
use Test::Atls::Slow qw( patience slow );


# Waits for a condition, without which the test fails: at least as long as it
# may take on a slow machine.

sub wait_for {
    my ($self, $condition, $seconds) = @_;

    my $limit = ($seconds || 0) * slow();
    my $until = time + ($limit > patience() ? $limit : patience());

    until ($condition->()) {

        if (time > $until) {
            print STDERR '# waited in vain at ', _place(), "\n";
            return 0;
        }

        sleep 0.01;
    }

    return 1;
}


# The line of the test.

sub _place {
    my ($n, @frame) = (0);

    do { @frame = caller $n++ } while @frame && $frame[1] !~ /\.t\z/;

    return @frame ? "$frame[1] line $frame[2]" : $0;
}


sub wait_for_port {
    my ($self, $port) = @_;

    $self->wait_for(sub {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
    }, 10) or die "nothing listens on port $port\n";
}


sub wait_for_log {
    my ($self, $re, $seconds) = @_;

    return $self->wait_for(sub { $self->read_file('error.log') =~ $re },
                           $seconds);
}


# The new lines of a log, at least $n: they are written after responses.

sub new_lines {
    my ($self, $name, $n) = @_;

    my $read = \$self->{read}{$name};
    my @lines;

    $self->wait_for(sub {
        @lines = split /\n/, substr $self->read_file($name), $$read || 0;
        return @lines >= $n;
    });

    $$read += 1 + length for @lines;

    return @lines;
}


# Stops workers while they wait for events: at another time, they may hold a
# lock that others wait for.

sub suspend_workers {
    my ($self, @pids) = @_;

    for my $pid (@pids) {
        $self->wait_for(sub { asleep($pid) });
        kill 'STOP', $pid;
        $self->wait_for(sub { Test::Atls::Process::state($pid) eq 'T' });
    }
}


# Begins a POST that holds a session, by a function that returns its socket.
# The POST that checks this, by a function that returns its status, may come
# first; then the other one is refused, and begun again.

sub hold_session {
    my ($self, $begin, $status) = @_;

    my $s;

    $self->wait_for(sub {
        $s = undef if $s && readable($s, 0);
        $s ||= $begin->();

        return $status->() == 409 && !readable($s, 0);
    }) or die "the session is not busy\n";

    return $s;
}


1;
