package Test::Atls::Echo;

# A backend for upgraded connections: sends HTTP/1.1 101, and then echoes data.
#
#     my $echo = Test::Atls::Echo->start($t, $t->port(1));
#     ... $echo->ended('/echo?1') ...
#
# GET /echo         echoes data until the client closes its output
#     /hello        the same, after "hello\n" in the same packet as the 101
#     /late         the same, after "late\n", once a file "late" exists
#     /last?size=N  closes the connection after N bytes
#     /last/late    closes it once there is a file "late"
#     /refuse       403, no upgrade
#
# The rest of the URI is used to identify connections.

use strict;
use warnings;

use Digest::MD5;
use Fcntl qw( :flock );
use JSON::PP qw( decode_json encode_json );
use Test::Atls::Http qw( send_all );
use Test::Atls::Serve qw( serve );


sub start {
    my ($class, $t, $port) = @_;

    my $self = bless { t => $t, log => $t->path("echo-$port.log") }, $class;

    $t->run_daemon(sub { $self->_serve($port) }, port => $port);

    return $self;
}


# How the connection with this URI was closed: { length, md5, how => 'closed' by
# nginx, 'done' or 'reset' }; nothing if it was not closed in time.

sub ended {
    my ($self, $uri, $seconds) = @_;

    my $found;

    $self->{t}->wait_for(sub {
        ($found) = grep { $_->{uri} eq $uri } $self->_records();
        return $found;
    }, $seconds);

    return $found;
}


sub _records {
    my ($self) = @_;

    open my $fh, '<:raw', $self->{log} or return ();

    return map { decode_json($_) } grep { /\n\z/ } <$fh>;
}


sub _serve {
    my ($self, $port) = @_;

    local $SIG{PIPE} = 'IGNORE';

    serve($port, sub { $self->_connection($_[0]) });
}


sub _connection {
    my ($self, $s) = @_;

    my $head = '';

    until ($head =~ s/\r\n\r\n//) {
        sysread $s, $head, 65536, length $head or return;
    }

    my ($uri) = $head =~ /^\S+ (\S+)/;

    if ($uri =~ m!^/refuse! || $head !~ /^Upgrade: echo\r?$/m) {
        send_all($s, "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n"
                     . "Connection: close\r\n\r\nno!\n");
        return;
    }

    send_all($s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n"
                 . "Connection: upgrade\r\n\r\n"
                 . ($uri =~ m!^/hello! ? "hello\n" : ''));

    $self->_late($s, $uri =~ m!^/late! ? "late\n" : '')
        if $uri =~ m!^/(?:last/)?late!;
    return if $uri =~ m!^/last/late!;
    $self->_echo($s, $uri);
}


sub _late {
    my ($self, $s, $bytes) = @_;

    my $t = $self->{t};

    $t->wait_for(sub { -e $t->path('late') });
    send_all($s, $bytes);
}


sub _echo {
    my ($self, $s, $uri) = @_;

    my ($left) = $uri =~ m!^/last\?size=(\d+)!;
    my $md5 = Digest::MD5->new();
    my ($length, $how) = (0, 'done');

    while (!defined $left || $length < $left) {
        my $n = sysread $s, my $bytes, 65536;

        if (!$n) {
            $how = defined $n ? 'closed' : 'reset';
            last;
        }

        $length += $n;
        $md5->add($bytes);
        send_all($s, $bytes);
    }

    $self->_record(uri => $uri, length => $length, md5 => $md5->hexdigest(),
                   how => $how);
}


sub _record {
    my ($self, %what) = @_;

    open my $fh, '>>:raw', $self->{log} or die "$self->{log}: $!\n";
    flock $fh, LOCK_EX;
    syswrite $fh, encode_json(\%what) . "\n";
}


1;
