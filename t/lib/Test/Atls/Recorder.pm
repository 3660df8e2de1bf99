package Test::Atls::Recorder;

# A backend that records requests as they arrive, byte for byte; one connection
# at a time.
#
#     my $r = Test::Atls::Recorder->start($t, $t->port(1));
#     is(join('', $r->requests()), "GET / HTTP/1.1\r\n...", 'a request');
#     $r->forget();
#
# GET /...          "recorded\n"
#     /status/N     this status
#     /fail/K/N/ID  the status N for the first K requests, then 200; with
#                   ?after=S, Retry-After
#     /drop/K/ID    closes the connection for the first K requests, then 200
#     /move/N?URI   the status N with this Location, percent-decoded
#     /circle       a 302 to the same URI
#     /set?LINE     Set-Cookie, percent-decoded; several are separated by "&"
#     /set-move?LINE    the same, in a 302 to /
#     /bytes/N      N bytes of Test::Atls::Pattern; ranges work
#     /whole/N      the same, but Range is ignored
#     /gzip/KIND    a text, compressed: gzip, deflate, raw, gzip+gzip, identity,
#                   broken, cut, unknown
#     /body         the body of the request

use strict;
use warnings;

use Compress::Raw::Zlib;
use Compress::Zlib qw( compress memGzip );
use IO::Socket::INET;
use Test::Atls::Pattern qw( pattern );

my %ROUTES = map { $_ => __PACKAGE__->can('_answer_' . s/-/_/r) }
             qw( status fail drop move circle set set-move bytes whole gzip body );


sub start {
    my ($class, $t, $port) = @_;

    my $self = bless { t => $t, port => $port,
                       log => $t->path("recorder-$port.log") }, $class;

    $t->run_daemon(sub { $self->_serve() }, port => $port);

    return $self;
}


sub requests {
    my ($self) = @_;

    open my $fh, '<:raw', $self->{log} or return ();
    local $/;
    my $log = readline $fh;

    return defined $log ? unpack '(N/a*)*', $log : ();
}


sub forget { truncate $_[0]{log}, 0 }


sub _serve {
    my ($self) = @_;

    local $SIG{PIPE} = 'IGNORE';

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       LocalPort => $self->{port},
                                       Listen => 128, ReuseAddr => 1)
        or die "recorder: $!\n";

    while (1) {
        my $s = $listen->accept() or next;
        $self->_connection($s);
    }
}


sub _connection {
    my ($self, $s) = @_;

    my $buf = '';

    while (1) {
        my $request = _read($s, \$buf) or return;

        $self->_record($request->{bytes});

        my ($route, $rest) = $request->{uri} =~ m!^/([\w-]*)/?(.*)!s;
        my $code = $ROUTES{$route} || \&_answer_status;
        my $answer = $code->($self, $request, $route eq '' ? '' : $rest);

        return if $answer eq '';
        syswrite $s, $answer or return;
    }
}


# A request with a Content-Length.

sub _read {
    my ($s, $buf) = @_;

    while (index($$buf, "\r\n\r\n") < 0) {
        sysread $s, $$buf, 65536, length $$buf or return;
    }

    my $head = index($$buf, "\r\n\r\n") + 4;
    my ($method, $uri, $lines) = substr($$buf, 0, $head)
                                 =~ /^(\S+) (\S+) \S+\r\n(.*)/s or return;
    my $length = $lines =~ /^Content-Length: (\d+)\r$/mi ? $1 : 0;

    until (length $$buf >= $head + $length) {
        sysread $s, $$buf, 65536, length $$buf or return;
    }

    my $bytes = substr $$buf, 0, $head + $length, '';

    return { bytes => $bytes, method => $method, uri => $uri, head => $lines,
             body => substr $bytes, $head };
}


sub _record {
    my ($self, $bytes) = @_;

    open my $fh, '>>:raw', $self->{log} or die "$self->{log}: $!\n";
    syswrite $fh, pack 'N/a*', $bytes;
}


sub _reply {
    my ($request, $status, $body, @headers) = @_;

    return join "\r\n", "HTTP/1.1 $status Status", @headers,
                'Content-Length: ' . length $body, '',
                $request->{method} eq 'HEAD' ? '' : $body;
}


sub _decode { $_[0] =~ s/%([0-9a-f]{2})/chr hex $1/gier }


# responses

sub _answer_status {
    my ($self, $request, $rest) = @_;

    my $status = $rest =~ /^(\d{3})\b/ ? $1 : 200;

    return _reply($request, $status,
                  $status == 204 || $status == 304 ? '' : "recorded\n",
                  'Content-Type: text/plain', 'X-One: 1', 'X-Two: two  words');
}


sub _answer_fail {
    my ($self, $request, $rest) = @_;

    my ($times, $status, $id, $after) =
        $rest =~ m!^(\d+)/(\d+)/(\w+)(?:\?after=(.*))?$!;

    return ++$self->{count}{$id} > $times
           ? _reply($request, 200, "finally\n")
           : _reply($request, $status, "not yet\n",
                    defined $after ? 'Retry-After: ' . _decode($after) : ());
}


sub _answer_drop {
    my ($self, $request, $rest) = @_;

    my ($times, $id) = $rest =~ m!^(\d+)/(\w+)!;

    return ++$self->{count}{$id} > $times ? _reply($request, 200, "finally\n")
                                          : '';
}


sub _answer_move {
    my ($self, $request, $rest) = @_;

    my ($status, $to) = $rest =~ /^(\d+)\?(.*)$/
        or return _answer_status(@_);

    return _reply($request, $status, "elsewhere\n",
                  'Location: ' . _decode($to));
}


sub _answer_circle {
    my ($self, $request) = @_;

    return _reply($request, 302, "elsewhere\n", "Location: $request->{uri}");
}


sub _answer_set {
    my ($self, $request, $rest) = @_;

    return _reply($request, 200, "set\n", _cookies($rest));
}


sub _answer_set_move {
    my ($self, $request, $rest) = @_;

    return _reply($request, 302, "set\n", _cookies($rest), 'Location: /');
}


# The path may have more parts, for the default path of cookies.

sub _cookies {
    my ($rest) = @_;

    return map { 'Set-Cookie: ' . _decode($_) } split /&/, $rest =~ s/^.*?\?//r;
}


sub _answer_bytes {
    my ($self, $request, $size) = @_;

    my $bytes = pattern($size);
    my ($from, $to) = $request->{head} =~ /^Range: bytes=(\d*)-(\d*)\r$/mi
        or return _reply($request, 200, $bytes, 'Accept-Ranges: bytes');

    ($from, $to) = ($size - $to, $size - 1) if $from eq '';
    $to = $size - 1 if $to eq '' || $to >= $size;

    return _reply($request, 416, "out of range\n",
                  "Content-Range: bytes */$size") if $from > $to;
    return _reply($request, 206, substr($bytes, $from, $to - $from + 1),
                  "Content-Range: bytes $from-$to/$size");
}


sub _answer_whole {
    my ($self, $request, $size) = @_;

    return _reply($request, 200, pattern($size));
}


sub _answer_gzip {
    my ($self, $request, $kind) = @_;

    my $text = join '', map { "line $_\n" } 1 .. 5000;
    my %bodies = (
        gzip        => [ 'gzip', memGzip($text) ],
        'x-gzip'    => [ 'x-gzip', memGzip($text) ],
        deflate     => [ 'deflate', compress($text) ],
        raw         => [ 'deflate', _raw($text) ],
        'gzip+gzip' => [ 'gzip, gzip', memGzip(memGzip($text)) ],
        mixed       => [ 'deflate, GZIP', memGzip(compress($text)) ],
        identity    => [ 'identity', $text ],
        broken      => [ 'gzip', 'this is not gzip' ],
        cut         => [ 'gzip', substr memGzip($text), 0, 5000 ],
        more        => [ 'gzip', memGzip($text) . 'and more' ],
        unknown     => [ 'unheard-of', $text ],
        empty       => [ 'gzip', '' ],
    );

    my ($coding, $body) = @{$bodies{$kind}};

    return _reply($request, 200, $body, "Content-Encoding: $coding");
}


sub _raw {
    my ($text) = @_;

    my $deflate = Compress::Raw::Zlib::Deflate->new(-WindowBits => -MAX_WBITS);
    my ($out, $end) = ('', '');

    $deflate->deflate($text, $out);
    $deflate->flush($end);

    return $out . $end;
}


sub _answer_body {
    my ($self, $request) = @_;

    return _reply($request, 200, $request->{body});
}


1;
