package Test::Atls::LocalServer;

# Runs atls forward, atls tunnel and atls proxy.
#
#     my $s = Test::Atls::LocalServer->start($atls, 'forward', @args);
#     my $r = $s->ask("POST /echo\nContent-Length: 2\n\nhi");
#     is(summary($r), '200 ...', 'a request');
#     my @lines = $s->log();
#     $r = $s->stop();                        # { code, out, err }

use strict;
use warnings;

use Exporter qw( import );
use Socket qw( MSG_PEEK );

use Test::Atls::Http qw( http_connect http_raw parse_responses readable
                         send_all );
use Test::Atls::Process qw( alive asleep );
use Test::Atls::Slow qw( patience );

our @EXPORT_OK = qw( ask_tls connection_end message next_answer summary );

my $PATIENCE = patience();


# Listens on a free port, unless the arguments contain --listen or --services.

sub start {
    my ($class, $atls, $command, @args) = @_;

    my $self = bless { atls => $atls, t => $atls->{t}, owner => $$ }, $class;

    unshift @args, '--listen', '127.0.0.1:0'
        unless grep { /^(?:-l|--listen|--services)/ } @args;

    $self->{p} = $atls->start($command, @args);

    $self->{t}->wait_for(sub { $self->_listens() || $self->_ended() },
                         $PATIENCE);
    die "atls $command does not listen: " . $self->stderr() . "\n"
        unless $self->{port} || $self->{path};

    return $self;
}


sub _listens {
    my ($self) = @_;

    ($self->{path}, $self->{port}) = $self->stderr()
        =~ /^atls: listening on (?:unix:(\S+)|\S+:(\d+))$/m;

    return $self->{path} || $self->{port};
}


# Does not reap the process.

sub _ended {
    my ($self) = @_;

    return !alive($self->pid());
}


sub port { $_[0]{port} }
sub pid { $_[0]{p}{pid} }
sub stderr { $_[0]{t}->read_file($_[0]{p}{stderr}) }
sub memory { return $_[0]{atls}->memory($_[0]{p}) }


# Messages except "listening on".

sub said { return $_[0]->stderr() =~ s/^atls: listening on .*\n//mr }


# Lines of the log.  Waits for so many, if a number is given: a request is logged
# after its response.  Lines of different connections are in any order.

sub log {
    my ($self, $number) = @_;

    $self->{t}->wait_for(sub { $self->log() >= $number }, $PATIENCE)
        if $number;

    return split /\n/, $self->{t}->read_file($self->{p}{stdout});
}


# Waits for a line of the log.

sub wait_for_log {
    my ($self, $re) = @_;

    return $self->{t}->wait_for(sub { grep { /$re/ } $self->log() }, $PATIENCE);
}


# requests

# Opens a connection, and sends a request, if any.

sub connect {
    my ($self, $request) = @_;

    my $s = http_connect($self->{port});

    send_all($s, message($request)) if defined $request;

    return $s;
}


# Sends a request over a new connection.  Returns the response.  Arguments are
# those of http_raw().

sub ask {
    my ($self, $request, %args) = @_;

    my ($method) = $request =~ /^(\S+)/;
    my $bytes = http_raw($self->{port}, message($request),
                         answers => [ $method ], timeout => $PATIENCE, %args);
    my ($r) = parse_responses($bytes, $method);

    return $r;
}


# Returns a request for "GET /" with header lines, and a body after an empty
# line.

sub message {
    my ($text) = @_;

    my ($head, $body) = split /\n\n/, $text, 2;
    my ($line, @lines) = split /\n/, $head;

    $line .= ' HTTP/1.1' unless $line =~ m! HTTP/!;
    unshift @lines, 'Host: localhost'
        if $line =~ /1\.1$/ && !grep { /^Host:/i } @lines;

    return join("\r\n", $line, @lines, '', '') . (defined $body ? $body : '');
}


# Status and body of a response.

sub summary {
    my ($r) = @_;

    return 'nothing' unless $r;
    return 'half' unless $r->done();
    return $r->status() . ' ' . $r->body();
}


# The next response on a connection, without following data.  The limit is the
# time without any data, in seconds.

sub next_answer {
    my ($s, $method, $limit) = @_;

    my $r = Test::Atls::Response->new(method => $method || 'GET');

    until ($r->done()) {
        readable($s, $limit || $PATIENCE)
            && defined recv $s, my $seen, 1 << 18, MSG_PEEK
            or last;
        $r->feed($seen);
        sysread $s, $seen, length($seen) - ($r->done() ? length $r->rest() : 0)
            or last;
    }

    return $r;
}


# Sends a request on a TLS connection, and returns the response.

sub ask_tls {
    my ($s, $request) = @_;

    my $r = Test::Atls::Response->new();

    send_all($s, message($request));

    until ($r->done()) {
        readable($s, $PATIENCE) && $s->sysread(my $bytes, 65536) or last;
        $r->feed($bytes);
    }

    return $r;
}


# Discards remaining data.  Returns how the connection ends: "closed", "reset"
# or "open".

sub connection_end {
    my ($s) = @_;

    while (readable($s, $PATIENCE)) {
        my $n = $s->sysread(my $bytes, 1 << 18);
        return 'reset' unless defined $n;
        return 'closed' unless $n;
    }

    return 'open';
}


# The number of threads.

sub threads { return $_[0]->_list('task') || 0 }
sub files { return $_[0]->_list('fd') || 0 }


sub _list {
    my ($self, $what) = @_;

    opendir my $dir, '/proc/' . $self->pid() . "/$what" or return ();

    return grep { /^\d/ } readdir $dir;
}


# Whether there are so many threads, all of which wait for events.

sub all_wait {
    my ($self, $threads) = @_;

    my @asleep = grep { asleep($self->pid() . "/task/$_") }
                 $self->_list('task');

    return @asleep == $threads && $self->threads() == $threads;
}


# Waits until there are so many threads, by default any number, all of which
# wait for events: a program that listens may not have started yet, and a client
# may still be in progress after its response.  Returns the numbers of threads
# and descriptors.

sub at_rest {
    my ($self, $threads) = @_;

    $self->{t}->wait_for(sub {
        $self->all_wait($threads || $self->threads())
    }, $PATIENCE);

    return ($self->threads(), $self->files());
}


sub signal {
    my ($self, $signal) = @_;

    kill $signal, $self->pid();
}


# Whether it exits by itself.

sub wait_for_end {
    my ($self) = @_;

    return $self->{t}->wait_for(sub { $self->_ended() }, $PATIENCE);
}


sub stop {
    my ($self, $signal) = @_;

    $self->signal($signal || 'TERM');

    return $self->end();
}


sub end {
    my ($self) = @_;

    return $self->{atls}->finish(delete $self->{p});
}


sub DESTROY {
    my ($self) = @_;

    return unless $self->{p} && $self->{owner} == $$;

    local $?;
    kill 'KILL', $self->pid();
    waitpid $self->pid(), 0;
}


1;
