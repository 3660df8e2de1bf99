package Test::Atls::LostPosts;

# t/bin/lossy.py: a proxy that loses, delays and refuses POSTs and responses.
#
#     my $lossy = Test::Atls::LostPosts->start($t, 'mute=3-9', $t->port(0), $port);
#     $lossy->endpoint()              the URL of the endpoint by way of it
#     $lossy->done()                  what was done: a list
#     $lossy->wait_for('passed', 2)   waits until it was done so often
#     $lossy->release()               passes on what is held
#     $lossy->stop()

use strict;
use warnings;

use Test::Atls;
use Test::Atls::Slow qw( patience );


sub start {
    my ($class, $t, $mode, $to, $port, @seed) = @_;

    my $self = bless { t => $t, port => $port,
                       out => $t->path('lossy-' . $mode =~ s/\W+/-/r) },
                     $class;
    my $program = Test::Atls::root() . '/t/bin/lossy.py';

    $self->{pid} = $t->run_daemon(sub {
        open STDOUT, '>', $self->{out} or die "$self->{out}: $!\n";
        { exec 'python3', $program, $port, $to, $mode, @seed }
        die "python3: $!\n";
    }, port => $port);

    return $self;
}


sub endpoint {
    my ($self, $path) = @_;

    return "http://127.0.0.1:$self->{port}" . ($path || '/.well-known/atls');
}


sub done { return split /\n/, $_[0]{t}->read_file($_[0]{out}) }


sub wait_for {
    my ($self, $what, $times) = @_;

    return $self->{t}->wait_for(sub {
        return $times <= grep { $_ eq $what } $self->done();
    }, patience());
}


sub release { kill USR1 => $_[0]{pid} }


sub stop {
    my ($self) = @_;

    $self->{t}->stop_daemon($self->{pid});
}


1;
