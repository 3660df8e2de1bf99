package Test::Atls::Validator;

# A plain HTTP/1.x proxy between clients and an endpoint.  It passes data
# unchanged and checks that each response conforms to docs/protocol.md.  It has
# no keys, and sees the same as a middlebox.
#
#     my $v = Test::Atls::Validator->start($t, $t->port(1), $t->port(0),
#                 endpoints => { '/.well-known/atls' => {} });
#     ... clients of port 1 ...
#     is($v->report(), '', 'conforms to the page');
#
# Options of an endpoint: path => cookie path (default: the URI), name => cookie
# name, tracking => 'location' or 'both', limit => maximum body size, raw => 1, psk => 1, handshake_timeout and
# session_timeout => seconds, tickets => 0.  violations() and report() return
# the violations found since the last call, with the response and the sentence
# of the page.  applied() returns how often each rule was checked.  The rules
# are in Test::Atls::Validator::Rules.
#
# A session may disappear if it is evicted, a worker process crashes, or a
# timeout expires.  The proxy only knows the timeouts, and reports other cases
# as violations.

use strict;
use warnings;

use Errno qw( EAGAIN EINTR );
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use Socket qw( IPPROTO_TCP TCP_NODELAY );
use Time::HiRes qw( time );

use Test::Atls::Validator::Check;
use Test::Atls::Validator::Message;
use Test::Atls::Validator::Rules qw( %RULES );

use constant PIECE => 65536;


sub start {
    my ($class, $t, $port, $to, %args) = @_;

    my $self = bless { t => $t, port => $port, to => $to,
                       control => $t->path("validator-$port.sock"),
                       check => Test::Atls::Validator::Check->new(%args) },
                     $class;

    $self->{pid} = $t->run_daemon(sub { $self->_serve() }, port => $port);

    return $self;
}


sub port { $_[0]{port} }


sub stop {
    my ($self) = @_;

    $self->{t}->stop_daemon(delete $self->{pid}) if $self->{pid};
}


sub violations {
    my ($self) = @_;

    return map { { %$_, sentence => $RULES{$_->{rule}} } }
           @{$self->_ask('violations')};
}


# The same for people; '' if there are none.

sub report {
    my ($self) = @_;

    return join "\n", map { "$_->{rule}: $_->{what}\n  ($_->{sentence})" }
                      $self->violations();
}


sub applied { %{$_[0]->_ask('applied')} }


sub _ask {
    my ($self, $what) = @_;

    my $s = IO::Socket::UNIX->new(Peer => $self->{control})
        or die "validator: $!\n";

    syswrite $s, "$what\n";

    local $/;

    return decode_json(readline $s);
}


sub _serve {
    my ($self) = @_;

    local $SIG{PIPE} = 'IGNORE';

    $self->{control_listen} = IO::Socket::UNIX->new(
        Local => $self->{control}, Listen => 16) or die "validator: $!\n";
    $self->{listen} = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                            LocalPort => $self->{port},
                                            Listen => 64, ReuseAddr => 1)
        or die "validator: $!\n";

    $self->{ends} = {};
    $self->{readers} = IO::Select->new($self->{control_listen},
                                       $self->{listen});
    $self->{writers} = IO::Select->new();

    $self->_turn() while 1;
}


# Data of the server are processed first: a client reacts to them, and its next
# POST must not be processed before the end of the last one.

sub _turn {
    my ($self) = @_;

    my ($readable, $writable) = IO::Select->select($self->{readers},
                                                   $self->{writers}, undef);
    my @ends = grep { $_ } map { $self->{ends}{$_} } @{$readable || []};

    $self->_write($_) for grep { $_ } map { $self->{ends}{$_} }
                          @{$writable || []};
    $self->_read($_) for grep { $_->{is_server} } @ends;
    $self->_read($_) for grep { !$_->{is_server} } @ends;

    for my $s (@{$readable || []}) {
        $self->_accept() if $s == $self->{listen};
        $self->_control() if $s == $self->{control_listen};
    }
}


sub _control {
    my ($self) = @_;

    my $s = $self->{control_listen}->accept() or return;
    my $what = readline $s;

    print $s encode_json($what =~ /applied/ ? $self->{check}->applied()
                                            : $self->{check}->violations());
}


# Two sockets: data read from one of them are written to the other one.

sub _accept {
    my ($self) = @_;

    my $client = $self->{listen}->accept() or return;
    my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $self->{to}) or return;
    my $c = { socket => $client, out => '', is_server => 0 };
    my $s = { socket => $server, out => '', is_server => 1 };

    ($c->{other}, $s->{other}) = ($s, $c);

    for my $end ($c, $s) {
        $end->{socket}->blocking(0);
        setsockopt $end->{socket}, IPPROTO_TCP, TCP_NODELAY, 1;
        $self->{ends}{$end->{socket}} = $end;
        $self->{readers}->add($end->{socket});
    }

    $self->_watch($c, $s);
}


# Messages of both directions, for the checks.

sub _watch {
    my ($self, $c, $s) = @_;

    my $check = $self->{check};
    my $connection = $check->connection();

    $c->{message} = Test::Atls::Validator::Message->new(
        head  => sub { $check->request($connection, @_) },
        body  => sub { $check->request_body($connection, @_) },
        chunk => sub { $check->request_chunk($connection, @_) },
        end   => sub { $check->request_end($connection) },
        bad   => sub { $check->request_bad($connection, @_) },
    );
    $s->{message} = Test::Atls::Validator::Message->new(
        method => sub { $check->method($connection) },
        head   => sub { $check->response($connection, @_) },
        body   => sub { $check->response_body($connection, @_) },
        end    => sub { $check->response_end($connection) },
        bad    => sub { $check->response_bad($connection, @_) },
    );

    $c->{closed} = sub { $check->client_closed($connection) };
    $s->{closed} = sub { $check->server_closed($connection) };
}


sub _read {
    my ($self, $end) = @_;

    $end->{socket} or return;

    my $n = sysread $end->{socket}, my $bytes, PIECE;

    return if !defined $n && ($! == EAGAIN || $! == EINTR);

    if (!$n) {
        $self->{readers}->remove($end->{socket});
        $end->{eof} = 1;
        $end->{message}->eof();
        $end->{closed}->();
        $self->_reset($end) unless defined $n;
        return $self->_write($end->{other});
    }

    $end->{message}->feed($bytes);
    $end->{other}{out} .= $bytes;
    $self->_write($end->{other});
}


sub _write {
    my ($self, $end) = @_;

    $end->{socket} or return;
    $end->{out} = '' if $end->{broken};

    while (length $end->{out}) {
        my $n = syswrite $end->{socket}, $end->{out}, PIECE;

        if (!defined $n) {
            last if $! == EAGAIN || $! == EINTR;
            $self->_reset($end);
            last;
        }

        substr $end->{out}, 0, $n, '';
    }

    if (length $end->{out}) {
        $self->{writers}->add($end->{socket});
        return;
    }

    $self->{writers}->remove($end->{socket});

    if ($end->{other}{eof} && !$end->{shut}++) {
        shutdown $end->{socket}, 1;
    }

    $self->_close($end) if $end->{eof} && $end->{other}{eof};
}


# The peer does not read any more.

sub _reset {
    my ($self, $end) = @_;

    $end->{out} = '';
    $end->{broken} = 1;
    $end->{message}{state} = 'bad';
    $end->{closed}->() unless $end->{eof}++;
    $self->{readers}->remove($end->{socket});
}


sub _close {
    my ($self, $end) = @_;

    return if length $end->{other}{out};

    my @both = ($end, $end->{other});

    for my $e (@both) {
        my $s = delete $e->{socket} or next;

        $self->{readers}->remove($s);
        $self->{writers}->remove($s);
        delete $self->{ends}{$s};
        close $s;
        %$e = (out => '', broken => 1);
    }
}


1;
