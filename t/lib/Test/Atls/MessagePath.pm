package Test::Atls::MessagePath;

# Somebody on the path who changes messages, requests with exported keys, and
# the responses to them; other POSTs are passed on unchanged.
#
#     my $path = Test::Atls::MessagePath->start($t, $port, $t->port(0));
#     $path->does('flip-response', at => -1);     # all messages
#     $path->does('answer', status => 410, times => 1);
#     is($path->messages(), 1, 'messages of the client');
#
# nothing
# answer        own response: status => , problem => ; late => 1: the message is
#               passed on before
# hold          passes the message on after release()
# no-answer     closes the connection when the message was passed on
# twice         passes the message on twice, returns the second response
# previous      the response to the previous message
# flip-request, flip-response     changes the byte at => position
# cut-request, cut-response       leaves at => bytes; negative: removes them.
#               short => 1: the connection is closed before the end
# more          adds more => bytes to the response
# header        rs => , keyid => in the header of the response
# records       change => the name of a change of records, see %CHANGES
# field         field => , value => of a header of the response
#
# times => so often; then, messages are passed on.

use strict;
use warnings;

use JSON::PP qw( decode_json encode_json );

use Test::Atls::Http qw( http_connect read_response send_all );
use Test::Atls::Serve qw( read_request serve );

my %CHANGES = (
    swapped   => sub { @_[1, 0, 2 .. $#_] },
    repeated  => sub { @_[0, 0 .. $#_] },
    removed   => sub { @_[0, 2 .. $#_] },
    first     => sub { $_[0] },
    last      => sub { $_[-1] },
    last_only => sub { @_[1 .. $#_] },
);


sub start {
    my ($class, $t, $port, $to) = @_;

    my $self = bless { t => $t, port => $port, to => $to,
                       map { $_ => $t->path("path-$port.$_") }
                           qw( what log previous released ) }, $class;

    $self->does('nothing');
    $t->run_daemon(sub { $self->_serve() }, port => $port);

    return $self;
}


sub does {
    my ($self, $what, %args) = @_;

    unlink @$self{qw( log previous released )};
    $self->{t}->write_file("$self->{what}.new",
                           encode_json({ what => $what, at => 0, times => 1e9,
                                         %args }));
    rename "$self->{what}.new", $self->{what} or die "$self->{what}: $!\n";
}


sub release { $_[0]{t}->write_file($_[0]{released}, '') }


# The messages that the client has sent, and those that were passed on.

sub messages { $_[0]->_logged('message') }
sub passed { $_[0]->_logged('passed') }


sub _logged {
    my ($self, $what) = @_;

    return -e $self->{log}
           ? scalar(() = $self->{t}->read_file($self->{log}) =~ /^$what$/mg)
           : 0;
}


sub endpoint {
    my ($self, $path) = @_;

    return "http://127.0.0.1:$self->{port}" . ($path || '/.well-known/atls');
}


sub _serve {
    my ($self) = @_;

    local $SIG{PIPE} = 'IGNORE';

    serve($self->{port}, sub { 1 while $self->_post($_[0]) });
}


# Returns false if the connection is to be closed.

sub _post {
    my ($self, $client) = @_;

    my ($head, $body) = read_request($client) or return 0;
    my $act = decode_json($self->{t}->read_file($self->{what}));

    if ($head !~ m!^Content-Type: message/http\r$!mi) {
        return send_all($client, $self->_bytes($self->_pass($head, $body)));
    }

    $self->_say('message');

    $act->{what} = 'nothing' if $self->messages() > $act->{times};

    return $self->_meddle($client, $act, $head, $body);
}


sub _meddle {
    my ($self, $client, $act, $head, $body) = @_;

    my ($what, $at) = @$act{qw( what at )};

    if ($what eq 'answer') {
        $self->_pass($head, $body) if $act->{late};
        return send_all($client, _answer($act));
    }

    $self->{t}->wait_for(sub { -e $self->{released} }) if $what eq 'hold';
    substr($body, $at, 1) ^= "\1" if $what eq 'flip-request';
    $body = substr $body, 0, $at if $what eq 'cut-request';

    my ($fields, $data) = $self->_pass($head, $body);

    ($fields, $data) = $self->_pass($head, $body) if $what eq 'twice';

    return 0 if $what eq 'no-answer';

    $data = $self->_previous($data) if $what eq 'previous';

    if ($fields =~ / 200 /) {
        substr($data, $at, 1) ^= "\1" if $what eq 'flip-response';
        $data .= $act->{more} if $what eq 'more';
        $data = _header($data, $act) if $what eq 'header';
        $data = _records($data, $act->{change}) if $what eq 'records';
        $fields =~ s/^\Q$act->{field}\E: .*/$act->{field}: $act->{value}/m
            if $what eq 'field';
    }

    my $whole = $self->_bytes($fields, $data);

    if ($what eq 'cut-response') {
        my $rest = substr $data, 0, $at;
        my $bytes = $self->_bytes($fields, $rest);

        $bytes = substr $whole, 0, length($whole) - length($data)
                                   + length $rest if $act->{short};
        return send_all($client, $bytes) && !$act->{short};
    }

    return send_all($client, $whole);
}


sub _say {
    my ($self, $what) = @_;

    open my $fh, '>>', $self->{log} or die "$self->{log}: $!\n";
    syswrite $fh, "$what\n";
}


# The header and the body of the response of the server.

sub _pass {
    my ($self, $head, $body) = @_;

    my $s = http_connect($self->{to});

    $self->_say('passed') if $head =~ m!^Content-Type: message/http\r$!mi;
    send_all($s, $head =~ s/^Content-Length: \d+/'Content-Length: '
                                                 . length $body/mier . $body);

    my $r = read_response($s) or die "no response\n";

    return ($r->head(), $r->body());
}


sub _bytes {
    my ($self, $fields, $data) = @_;

    $fields =~ s/^(?:Transfer-Encoding|Content-Length|Connection): .*\n//mig;
    $fields =~ s/(?:\r\n)*\z/\r\n/;

    return "${fields}Content-Length: " . length($data) . "\r\n\r\n$data";
}


sub _answer {
    my ($act) = @_;

    my $problem = $act->{problem} ? qq({"type":"tag:atls,2026:$act->{problem}",)
                                    . qq("title":"forged"}) : '';

    return "HTTP/1.1 $act->{status} Forged\r\nContent-Length: "
           . length($problem) . "\r\nContent-Type: application/problem+json\r\n"
           . "\r\n$problem";
}


sub _previous {
    my ($self, $data) = @_;

    my $previous = -e $self->{previous}
                   ? $self->{t}->read_file($self->{previous}) : $data;

    $self->{t}->write_file($self->{previous}, $data);

    return $previous;
}


sub _header {
    my ($data, $act) = @_;

    my ($salt, $size, $keyid, $rest) = unpack 'a16 N C/a a*', $data;

    return pack('a16 N C/a', $salt, $act->{rs} // $size, $act->{keyid} // $keyid)
           . $rest;
}


sub _records {
    my ($data, $change) = @_;

    my ($salt, $size, $keyid, $rest) = unpack 'a16 N C/a a*', $data;

    return pack('a16 N C/a', $salt, $size, $keyid)
           . join '', $CHANGES{$change}->(unpack "(a$size)*", $rest);
}


1;
