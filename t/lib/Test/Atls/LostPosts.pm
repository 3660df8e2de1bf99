package Test::Atls::LostPosts;

# t/bin/lossy.py: a proxy that loses POSTs and responses.
#
#     my $lossy = Test::Atls::LostPosts->start($t, 'mute=3-9', $t->port(0), $port);
#     $lossy->endpoint()              the URL of the endpoint by way of it
#     $lossy->done()                  what was done: a list
#     $lossy->stop()

use strict;
use warnings;

use Test::Atls;


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


sub stop {
    my ($self) = @_;

    $self->{t}->stop_daemon($self->{pid});
}


1;
