package Test::Atls::FalseStore;

# A store that is not what it should be: between a machine and a Redis server,
# with answers of its own.
#
#     my $store = Test::Atls::FalseStore->new($t, $port_of_redis);
#     $store->port();
#     $store->answer(":1\r\n");       # to each take, from now on
#     $store->answer('again');        # each take gets the same, if it was a state
#     $store->answer('');             # the answers of the Redis server
#     $store->put("-ERR x\r\n");      # to each put, which is executed
#
#     $store->answer("shifted:1\r\n");    # to the next take, which is executed:
#                                     # from then on, each command gets the
#                                     # answer to the one before, until the
#                                     # connection ends; put() does the same
#
#     $store->answer('held');         # nothing is passed after a take, until
#     $store->release();              # this, once for each of them
#     $store->answer('crossed');      # the second take is executed after the
#     $store->release();              # put of the first one, whose answer is
#                                     # held until this
#     $store->takes();                # since the last answer()
#
# Commands and answers are passed one after the other; "<pause>" in an answer is
# a pause.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw( sleep time );

use Test::Atls::Slow qw( patience );


sub new {
    my ($class, $t, $redis) = @_;

    my $self = bless { t => $t, file => $t->path('false-store') }, $class;

    my $listen = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1',
                                       ReuseAddr => 1)
        or die "listen: $!\n";

    $self->{port} = $listen->sockport();
    $self->answer('');
    $self->put('');
    $t->run_daemon(sub { $self->_run($listen, $redis) });

    return $self;
}


sub port { $_[0]{port} }


sub put { _write("$_[0]{file}-put", $_[1]) }
sub takes { -s "$_[0]{file}-takes" || 0 }


sub answer {
    my ($self, $answer) = @_;

    unlink "$self->{file}-takes", "$self->{file}-released";
    _write($self->{file}, $answer);
}


sub release { _append("$_[0]{file}-released") }


sub _append {
    open my $fh, '>>', $_[0] or die "$_[0]: $!\n";
    print $fh '.';
    close $fh;
}


# Until there were $n releases.

sub _wait {
    my ($self, $n) = @_;

    my $end = time + patience();

    sleep 0.01 while time < $end && (-s "$self->{file}-released" || 0) < $n;
}


sub _write {
    my ($file, $answer) = @_;

    open my $fh, '>:raw', "$file.new" or die "$file: $!\n";
    print $fh $answer;
    close $fh;
    rename "$file.new", $file;
}


sub _run {
    my ($self, $listen, $redis) = @_;

    my $select = $self->{select} = IO::Select->new($listen);
    my %server;

    $SIG{PIPE} = 'IGNORE';

    while (1) {
        for my $s ($select->can_read()) {
            if ($s == $listen) {
                my $c = $listen->accept() or next;

                $server{$c} = IO::Socket::INET->new(
                    PeerAddr => '127.0.0.1', PeerPort => $redis) or next;
                $select->add($c);

            } elsif (!$self->_command($s, $server{$s})) {
                $select->remove($s);
                delete $server{$s};
                delete $self->{next}{$s};
                close $s;
            }
        }
    }
}


# Commands arrive one by one: what is left in the buffer is waited for.

sub _command {
    my ($self, $client, $server) = @_;

    do {
        my $command = _read($client) // return 0;
        my $answer = $self->_answer($client, $server, $command) // return 0;

        _send($client, $_) for split /(<pause>)/, $answer;
        return 1 unless $self->{select}->exists($client);
    } while ($client->blocking(0), _buffered($client));

    return 1;
}


sub _send {
    my ($client, $answer) = @_;

    return sleep 0.2 if $answer eq '<pause>';

    print $client $answer;
    $client->flush();
}


# Whether there is more in the buffer of the file handle.

sub _buffered {
    my ($client) = @_;

    my $c = $client->getc();

    $client->ungetc(ord $c) if defined $c;
    $client->blocking(1);

    return defined $c;
}


sub _answer {
    my ($self, $client, $server, $command) = @_;

    return $self->_shifted($client, $server, $command)
        if defined $self->{next}{$client};

    my ($n) = $command =~ /^\*(\d)\r\n.*\nEVAL/s;
    my $false = !$n ? '' : $n == 5 ? _false($self->{file})
                : $n == 7 ? _false("$self->{file}-put") : '';

    _append("$self->{file}-takes") if $n && $n == 5;

    return $self->_crossed($client, $server, $command, $n)
        if $n && $n != 6 && _false($self->{file}) eq 'crossed';

    if ($false =~ s/^shifted//) {
        $self->{next}{$client} = $false;
        return $self->_shifted($client, $server, $command);
    }

    return $false if $n && $n == 5 && $false !~ /^(again|held|)\z/;

    my $answer = _exchange($server, $command) // return undef;

    if ($false eq 'again') {
        $self->{state} = $answer if $answer =~ /^\*2\r\n\$\d{3}/;
        $answer = $self->{state} // $answer;

    } elsif ($false eq 'held') {
        $self->_wait($self->takes());

    } elsif ($false ne '') {
        $answer = $false;
    }

    return $answer;
}


sub _shifted {
    my ($self, $client, $server, $command) = @_;

    my $answer = $self->{next}{$client};

    $self->{next}{$client} = _exchange($server, $command);

    return $answer;
}


sub _exchange {
    my ($server, $command) = @_;

    print $server $command;
    $server->flush();

    return _read($server);
}


# A client of which nothing is passed for a while is not read from.

sub _crossed {
    my ($self, $client, $server, $command, $n) = @_;

    my $first = $self->{first};

    if ($n == 5 && $self->takes() == 1) {
        $self->{select}->remove($client);
        $self->{first} = [ $client, _exchange($server, $command) ];
        return '';
    }

    if ($n == 5) {
        $self->{select}->remove($client);
        $self->{second} = [ $client, $server, $command ];

        _send(@$first);
        $self->{select}->add($first->[0]);
        return '';
    }

    my $answer = _exchange($server, $command);
    my ($other, @take) = @{delete $self->{second} || return $answer};

    _send($other, _exchange(@take));
    $self->{select}->add($other);
    $self->_wait(1);

    return $answer;
}


sub _false {
    my ($file) = @_;

    open my $fh, '<:raw', $file or die "$file: $!\n";

    return join '', <$fh>;
}


# An answer or a command, as it is.

sub _read {
    my ($s) = @_;

    my $line = <$s> // return undef;
    my ($type, $n) = $line =~ /^([*\$])(-?\d+)/ or return $line;

    return $line if $n < 0;

    if ($type eq '$') {
        read $s, my $data, $n + 2;
        return $line . $data;
    }

    $line .= _read($s) // return undef for 1 .. $n;

    return $line;
}


1;
