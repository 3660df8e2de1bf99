package Test::Atls::WebSocket;

# WebSocket (RFC 6455): a client, and a backend.
#
#     my $backend = Test::Atls::WebSocket->serve($t, $t->port(1));
#     my $ws = Test::Atls::WebSocket->connect($port, '/echo', %headers,
#                      tls => 1, early => text that is sent with the request);
#     $ws->send(text => 'hello');
#     is_deeply([ $ws->receive() ], [ text => 'hello' ], 'echo');
#
# Messages are of one frame.  Paths of the backend:
#
#     /echo             returns messages
#     /push?n=N&ms=MS   sends "1", "2", ... N in intervals, then as /echo
#     /flood?n=N&size=S sends N messages of S bytes, then as /echo
#     /late?n=N&ms=MS   does nothing until a file "late" exists, then as /push,
#                       or as /echo without arguments
#     /held?id=N        as /late, then sends "held"; from the first message that
#                       it gets to this one, there is a file "held-N"; with
#                       &n=N, this is sent N times, in one message
#     /ping             sends a ping at first, and as text what its pong has
#     /refuse           403
#     /other?to=NAME    101, but to this protocol, or to none
#     /bye              closes with 4000 and "bye" after the first message

use strict;
use warnings;

use Digest::SHA qw( sha1_base64 );
use Time::HiRes qw( sleep time );

use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Serve ();
use Test::Atls::Slow qw( patience );

my %OPCODES = (text => 1, binary => 2, close => 8, ping => 9, pong => 10);
my %NAMES = reverse %OPCODES;

my $PATIENCE = patience();


# The response is $ws->head(); without an upgrade, no messages follow.

sub connect {
    my ($class, $port, $uri, %headers) = @_;

    my $tls = delete $headers{tls};
    my $self = bless { socket => http_connect($port, tls => $tls), in => '',
                       mask => 1 }, $class;
    my %all = (Host => 'localhost', Upgrade => 'websocket',
               Connection => 'keep-alive, Upgrade',
               'Sec-WebSocket-Version' => 13,
               'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==', %headers);
    my $early = delete $all{early} || '';

    send_all($self->{socket}, join("\r\n", "GET $uri HTTP/1.1",
                                   (map { "$_: $all{$_}" } sort keys %all),
                                   '', '')
                              . ($early ne '' ? frame(text => $early, 1) : ''));

    $self->{head} = $self->_head();

    return $self;
}


sub _head {
    my ($self) = @_;

    until ($self->{in} =~ /\r\n\r\n/) {
        $self->_read($PATIENCE) or return '';
    }

    (my $head, $self->{in}) = split /(?<=\r\n\r\n)/, $self->{in}, 2;
    $self->{in} = '' unless defined $self->{in};

    return $head;
}


sub head { $_[0]{head} }


# Whether the key was answered, see RFC 6455, section 1.3.

sub accepted {
    my ($self) = @_;

    return $self->{head} =~ m!\AHTTP/1\.1 101 !
           && $self->{head} =~ /^Upgrade: websocket\r$/mi
           && $self->{head} =~ /^Connection: upgrade\r$/mi
           && $self->{head}
              =~ m!^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$!m;
}


sub socket { $_[0]{socket} }


sub send {
    my ($self, $type, $bytes) = @_;

    return send_all($self->{socket}, frame($type, $bytes, $self->{mask}));
}


sub frame {
    my ($type, $bytes, $masked) = @_;

    my $n = length $bytes;
    my $mask = $masked ? 0x80 : 0;
    my $head = pack 'C', 0x80 | $OPCODES{$type};

    $head .= $n < 126 ? pack('C', $mask | $n)
             : $n < 65536 ? pack('Cn', $mask | 126, $n)
             : pack('CQ>', $mask | 127, $n);

    return $head . $bytes unless $masked;

    my $key = pack 'N', int rand 2 ** 32;

    return $head . $key . ($bytes ^ substr $key x ($n / 4 + 1), 0, $n);
}


# The next message: its type and content; nothing if the connection has ended,
# or there is none in time.

sub receive {
    my ($self, $seconds) = @_;

    my $until = time + ($seconds || $PATIENCE);
    my @message;

    until (@message = $self->_parse()) {
        my $left = $until - time;
        return () unless $left > 0 && $self->_read($left);
    }

    return @message;
}


sub _read {
    my ($self, $seconds) = @_;

    return 0 unless readable($self->{socket}, $seconds);

    return $self->{socket}->sysread($self->{in}, 262144, length $self->{in});
}


sub _parse {
    my ($self) = @_;

    my ($first, $second) = unpack 'CC', $self->{in};
    my ($n, $at) = (($second || 0) & 0x7f, 2);

    return () unless defined $second;

    if ($n > 125) {
        my $more = $n == 126 ? 2 : 8;
        return () if length $self->{in} < 2 + $more;
        $n = unpack $more == 2 ? 'n' : 'Q>', substr $self->{in}, 2, $more;
        $at += $more;
    }

    $at += 4 if $second & 0x80;
    return () if length $self->{in} < $at + $n;

    die sprintf "WebSocket: byte %02x\n", $first
        unless $first & 0x80 && !($first & 0x70) && $NAMES{$first & 15};
    die "WebSocket: mask\n" if !($second & 0x80) != !$self->{masked};

    my $key = substr $self->{in}, $at - 4, 4;
    my $bytes = substr $self->{in}, $at, $n;

    substr $self->{in}, 0, $at + $n, '';
    $bytes ^= substr $key x ($n / 4 + 1), 0, $n if $second & 0x80;

    return ($NAMES{$first & 15}, $bytes);
}


# Whether the other side has closed the connection; messages are an error.

sub ended {
    my ($self) = @_;

    return $self->{in} eq '' && readable($self->{socket}, $PATIENCE)
           && !$self->{socket}->sysread(my $bytes, 1);
}


sub close { close $_[0]{socket} }


sub serve {
    my ($class, $t, $port) = @_;

    my $log = $t->path("websocket-$port.log");

    $t->run_daemon(sub { _serve($t, $port, $log) }, port => $port);

    return bless { t => $t, log => $log }, "${class}::Backend";
}


sub _serve {
    my ($t, $port, $log) = @_;

    local $SIG{PIPE} = 'IGNORE';

    Test::Atls::Serve::serve($port, sub {
        my ($s) = @_;

        my $self = bless { socket => $s, in => '', masked => 1, t => $t },
                         __PACKAGE__;
        my ($uri, $how) = eval { $self->_connection() };

        open my $fh, '>>', $log;
        syswrite $fh, ($uri || '-') . ' ' . ($how || "error: $@") . "\n";
    });
}


sub _connection {
    my ($self) = @_;

    my $head = $self->_head() or return;
    my ($uri) = $head =~ /^GET (\S+)/;
    my ($key) = $head =~ /^Sec-WebSocket-Key: (\S+)\r$/m;

    if ($uri =~ m!^/refuse! || !$key || $head !~ /^Upgrade: websocket\r$/m) {
        send_all($self->{socket}, "HTTP/1.1 403 Forbidden\r\n"
                                  . "Content-Length: 4\r\n"
                                  . "Connection: close\r\n\r\nno!\n");
        return ($uri, 'refused');
    }

    if ($uri =~ m!^/other(?:\?to=(\w+))?!) {
        send_all($self->{socket}, "HTTP/1.1 101 Switching Protocols\r\n"
                                  . ($1 ? "Upgrade: $1\r\n" : '')
                                  . "Connection: Upgrade\r\n\r\nhello");
        return ($uri, $self->ended() ? 'ended' : 'data');
    }

    send_all($self->{socket}, "HTTP/1.1 101 Switching Protocols\r\n"
             . "Upgrade: websocket\r\nConnection: Upgrade\r\n"
             . 'Sec-WebSocket-Accept: '
             . sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
             . "=\r\n\r\n");

    return ($uri, $self->_messages($uri));
}


sub _messages {
    my ($self, $uri) = @_;

    my %args = $uri =~ /(\w+)=(\d+)/g;
    my $t = $self->{t};

    my $held = $uri =~ m!^/held! ? "held-$args{id}" : '';

    $t->write_file($held, '') if $held && readable($self->{socket}, $PATIENCE);
    $t->wait_for(sub { -e $t->path('late') }) if $held || $uri =~ m!^/late!;
    unlink $t->path($held)
        if $held && $self->send(text => 'held' x ($args{n} || 1));

    if (defined $args{ms}) {
        for (1 .. $args{n}) {
            sleep $args{ms} / 1000;
            $self->send(text => $_) or return "gone at $_";
        }
    }

    $self->send(binary => pattern($args{size}, $_ * $args{size}))
        for $uri =~ m!^/flood! ? 0 .. $args{n} - 1 : ();

    $self->send(ping => 'are you there?') if $uri =~ m!^/ping!;

    for (my $n = 0; ; $n++) {
        my ($type, $bytes) = $self->receive(3600) or return "cut after $n";

        if ($type eq 'close') {
            $self->send(close => $bytes);
            return "closed after $n";
        }

        return "closes after $n"
            if $uri =~ m!^/bye!
               && $self->send(close => pack('n', 4000) . 'bye');

        $self->send($type eq 'ping' ? 'pong' : $type eq 'pong' ? 'text' : $type,
                    $bytes);
    }
}


package Test::Atls::WebSocket::Backend;

# How the connection with this URI has ended, for example "closed after 3".

sub ended {
    my ($self, $uri) = @_;

    my $how;

    $self->{t}->wait_for(sub {
        my $log = -e $self->{log} ? $self->{t}->read_file("$self->{log}") : '';
        ($how) = $log =~ /^\Q$uri\E (.*)$/m;
        return defined $how;
    });

    return $how;
}


1;
