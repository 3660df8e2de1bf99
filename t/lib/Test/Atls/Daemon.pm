package Test::Atls::Daemon;

# An nginx that runs as a daemon, for upgrades of the binary:
#
#     my $t = Test::Atls::Daemon->new(workers => 4);
#     ... as with Test::Atls ...
#     $t->run();
#     $t->signal('USR2');
#     $t->wait_for(sub { $t->upgraded() });
#     kill 'QUIT', $t->old_pid();
#
# pid() and functions for workers refer to the master process of nginx.pid.
# old_pid() is the master process of nginx.pid.oldbin, or 0.  None of the
# processes are children of the test.

use strict;
use warnings;

use parent 'Test::Atls';

use Test::Atls::Process qw( alive parent_of wait_exit );
use Test::Atls::Slow qw( patience );


sub _globals {
    my ($self, %args) = @_;

    # variables that the new binary receives, too

    my $env = join '', map { "env $_;\n" }
              qw( ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS );

    return $self->SUPER::_globals(%args)
           =~ s/^daemon off;\n/daemon on;\n$env/mr;
}


# The started process exits when the daemon runs.  A binary that cannot start
# does not free its configuration.

sub _start_nginx {
    my ($self, @args) = @_;

    my $options = ref $args[-1] ? pop @args : {};
    my $pid = $self->SUPER::_start_nginx(@args, { %$options, leaks => 1 });

    return $pid if $args[0] eq '-t';

    push @{$self->{groups}}, $pid;
    wait_exit($pid, patience());
    $self->wait_for(sub { $self->_read_pid('nginx.pid') });

    my $master = $self->_read_pid('nginx.pid') || undef;

    push @{$self->{groups}}, $master if $master;

    return $master;
}


sub _read_pid {
    my ($self, $name) = @_;

    my ($pid) = $self->read_file($name) =~ /^(\d+)$/m;

    return $pid || 0;
}


sub _died {
    my ($self) = @_;

    return !$self->{pid} || !alive($self->{pid});
}


sub pid {
    my ($self) = @_;

    my $pid = $self->_read_pid('nginx.pid');

    $self->{pid} = $pid if $pid;

    return $self->{pid};
}


sub old_pid { $_[0]->_read_pid('nginx.pid.oldbin') }


sub signal {
    my ($self, $signal) = @_;

    $self->pid();

    return $self->SUPER::signal($signal);
}


sub workers {
    my ($self, $master) = @_;

    $self->pid() unless $master;
    local $self->{pid} = $master if $master;

    return $self->SUPER::workers();
}


sub _is_ours {
    my ($self, $pid) = @_;

    return parent_of($pid) == $self->{pid};
}


# Whether there is a new master process with all of its workers.

sub upgraded {
    my ($self) = @_;

    my ($old, $new) = ($self->old_pid(), $self->_read_pid('nginx.pid'));

    return $old && $new && $new != $old
           && $self->workers($new) == $self->{workers};
}


sub stop {
    my ($self, %args) = @_;

    for my $pid ($self->old_pid(), $self->{pid} ? $self->pid() : ()) {
        next unless $pid && alive($pid);

        kill $args{signal} || 'QUIT', $pid;
        next if $self->wait_for(sub { !alive($pid) });

        $self->add_fault("nginx $pid had to be killed");
        kill 'KILL', $pid;
    }

    delete $self->{pid};

    return $self->SUPER::stop(%args);
}


1;
