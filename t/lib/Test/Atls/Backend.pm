package Test::Atls::Backend;

# A backend: a small HTTP/1.1 server with keep-alive and a process for each
# connection.
#
#     my $b = Test::Atls::Backend->start($t, $t->port(1));
#     ... $b->requests() ...
#
# GET /echo (and any other URI)     the request received: request line, headers,
#                   empty line, and "length N" and "md5 ..." of the body
#     /body         the request body, with its Content-Type
#     /chunked      three chunks: "one\n", "two\n", "three\n"
#     /big?size=N   N bytes of Test::Atls::Pattern; ranges work;
#                   &chunked=1 without a Content-Length
#     /slow?n=3&delay=0.1       n lines "line i\n", chunked, with delays
#     /wait?delay=3 "waited\n", after a delay
#     /etag         304 if If-None-Match is "v1", else 200
#     /status?code=N            this status; a 3xx has a Location
#     /headers?n=N&size=N       many or long headers
#     /cookie       two Set-Cookie headers
#     /accel?to=URI an X-Accel-Redirect to the URI
#     /location?to=URI          a 302 to the URI
#     /eof          a body without a length, ended by closing the connection
#     /die          half of the Content-Length, then the connection is closed
#     /hang         no response until the client closes the connection
#     /early        "early\n", before the request body is received

use strict;
use warnings;

use Digest::MD5;
use Fcntl qw( :flock );
use JSON::PP qw( decode_json encode_json );
use POSIX ();
use Test::More ();
use Time::HiRes qw( sleep time );

use Test::Atls::Pattern qw( pattern );
use Test::Atls::Serve qw( serve );

my %ROUTES = map { $_ => __PACKAGE__->can("_answer_$_") }
             qw( body chunked big slow wait etag status headers cookie accel
                 location eof die hang );

$ROUTES{early} = sub { 1 };         # the response has been sent


sub start {
    my ($class, $t, $port) = @_;

    my $self = bless { port => $port, log => $t->path("backend-$port.log") },
                     $class;

    $self->{pid} = $t->run_daemon(sub { $self->_serve() }, port => $port);

    return $self;
}


sub pid { $_[0]{pid} }


# Requests received: { method, uri, version, headers => [ [ name, value ] ],
# length, md5, connection, first (the first 4096 bytes of the body), aborted }.

sub requests {
    my ($self) = @_;

    open my $fh, '<:raw', $self->{log} or return ();

    # the last line may be incomplete: it is being written

    return map { decode_json($_) } grep { /\n\z/ } <$fh>;
}


# How often each URI was requested.

sub times {
    my ($self) = @_;

    my %times;

    $times{$_->{uri}}++ for $self->requests();

    return %times;
}


# The only request since the last call, with its headers also as a hash.

sub request {
    my ($self) = @_;

    my ($request, @more) = $self->requests();

    Test::More::fail('there is more than one request') if @more;
    $self->forget();
    $request ||= { headers => [], method => 'none', uri => '' };
    $request->{h} = { map { lc $_->[0] => $_->[1] } @{$request->{headers}} };

    return $request;
}


sub forget {
    my ($self) = @_;

    truncate $self->{log}, 0;
}


sub _serve {
    my ($self) = @_;

    local $SIG{PIPE} = 'IGNORE';

    serve($self->{port}, sub { $self->_connection($_[0], $_[1] + 1) });
}


sub _connection {
    my ($self, $s, $n) = @_;

    my $in = { socket => $s, buf => '' };

    while (my $request = _read_head($in)) {
        $request->{connection} = $n;
        _answer_early($s) if $request->{uri} =~ m!^/early!;
        my $whole = _read_body($in, $request);

        $request->{aborted} = 1 unless $whole;
        $self->_record($request);
        last unless $whole && _answer($s, $request);
    }
}


sub _record {
    my ($self, $request) = @_;

    my %what = map { $_ => $request->{$_} } grep { $_ ne 'body' }
               keys %$request;

    open my $fh, '>>:raw', $self->{log} or die "$self->{log}: $!\n";
    flock $fh, LOCK_EX;
    syswrite $fh, encode_json(\%what) . "\n";
}


# reading requests

sub _fill {
    my ($in) = @_;

    return sysread $in->{socket}, $in->{buf}, 65536, length $in->{buf};
}


# Waits until the input matches.  Removes the match, and returns $1.

sub _take {
    my ($in, $re) = @_;

    for ( ;; ) {
        return $1 if $in->{buf} =~ s/$re//;
        _fill($in) or return undef;
    }
}


sub _read_head {
    my ($in) = @_;

    my $head = _take($in, qr/\A(.*?\r\n)\r\n/s);
    return undef unless defined $head;

    my ($line, @lines) = split /\r\n/, $head;
    my ($method, $uri, $version) = split ' ', $line;
    my @headers = map { [ /^([^:]*):\s*(.*)$/ ] } @lines;

    return {
        method  => $method,
        uri     => $uri,
        version => $version,
        headers => \@headers,
        line    => $line,
    };
}


sub _header {
    my ($request, $name) = @_;

    my ($value) = map { $_->[1] } grep { lc $_->[0] eq $name }
                  @{$request->{headers}};

    return defined $value ? $value : '';
}


sub _read_body {
    my ($in, $request) = @_;

    my $md5 = Digest::MD5->new();
    my $keep = $request->{uri} =~ m!^/body! ? ~0 : 4096;
    my ($length, $body) = (0, '');

    my $take = sub {
        my ($piece) = @_;
        $md5->add($piece);
        $length += length $piece;
        $body .= substr $piece, 0, $keep - length $body if length $body < $keep;
    };

    my $whole = lc _header($request, 'transfer-encoding') eq 'chunked'
        ? _read_chunks($in, $take)
        : _read_counted($in, _header($request, 'content-length') || 0, $take);

    @$request{qw( length md5 body )} = ($length, $md5->hexdigest(), $body);
    $request->{first} = substr $body, 0, 4096;
    utf8::upgrade($request->{first});

    return $whole;
}


sub _read_counted {
    my ($in, $left, $take) = @_;

    while ($left) {
        $in->{buf} ne '' || _fill($in) || return 0;
        my $piece = substr $in->{buf}, 0,
                           $left < length $in->{buf} ? $left
                                                     : length $in->{buf}, '';
        $left -= length $piece;
        $take->($piece);
    }

    return 1;
}


sub _read_chunks {
    my ($in, $take) = @_;

    for ( ;; ) {
        my $size = _take($in, qr/\A([0-9a-fA-F]+)[^\n]*\n/);
        return 0 unless defined $size;

        _read_counted($in, hex $size, $take) or return 0;
        return 0 unless defined _take($in, qr/\A(\r\n)/);
        return 1 unless hex $size;
    }
}


# sending responses; each function returns whether the connection is kept

sub _answer {
    my ($s, $request) = @_;

    my ($name, $query) = $request->{uri} =~ m!^/(\w*)[^?]*\??(.*)!;
    my %args = map { split /=/, $_, 2 } grep { /=/ } split /&/, $query;
    my $route = $ROUTES{$name || ''} || \&_answer_echo;

    return $route->($s, $request, \%args)
           && _header($request, 'connection') !~ /close/i
           && $request->{version} ne 'HTTP/1.0';
}


sub _send {
    my ($s, $bytes) = @_;

    while ($bytes ne '') {
        my $n = syswrite $s, $bytes;
        POSIX::_exit(0) unless $n;
        substr $bytes, 0, $n, '';
    }

    return 1;
}


sub _reply {
    my ($s, $request, $status, $body, @headers) = @_;

    my $head = join "\r\n", "HTTP/1.1 $status", 'Server: backend', @headers,
                    'Content-Length: ' . length $body, '', '';

    return _send($s, $request->{method} eq 'HEAD' ? $head : $head . $body);
}


sub _start_chunked {
    my ($s, @headers) = @_;

    _send($s, join "\r\n", 'HTTP/1.1 200 OK', 'Content-Type: text/plain',
              @headers, 'Transfer-Encoding: chunked', '', '');
}


sub _chunk {
    my ($s, $bytes) = @_;

    return _send($s, sprintf "%x\r\n%s\r\n", length $bytes, $bytes);
}


sub _answer_echo {
    my ($s, $request) = @_;

    my $text = join "\n", $request->{line},
                    (map { "$_->[0]: $_->[1]" } @{$request->{headers}}), '',
                    "length $request->{length}", "md5 $request->{md5}", '';

    return _reply($s, $request, '200 OK', $text, 'Content-Type: text/plain');
}


sub _answer_body {
    my ($s, $request) = @_;

    return _reply($s, $request, '200 OK', $request->{body},
                  'Content-Type: ' . (_header($request, 'content-type')
                                      || 'application/octet-stream'));
}


sub _answer_chunked {
    my ($s, $request) = @_;

    _start_chunked($s);
    return 1 if $request->{method} eq 'HEAD';
    _chunk($s, $_) for "one\n", "two\n", "three\n", '';

    return 1;
}


sub _answer_big {
    my ($s, $request, $args) = @_;

    my $size = $args->{size} || 0;
    my ($from, $to) = (0, $size - 1);

    if ($args->{chunked}) {
        _start_chunked($s);
        for (my $at = 0; $at < $size; $at += 65536) {
            my $left = $size - $at;
            _chunk($s, pattern($left < 65536 ? $left : 65536, $at));
        }
        return _chunk($s, '');
    }

    my @head = ('HTTP/1.1 200 OK', 'Accept-Ranges: bytes');

    if (_header($request, 'range') =~ /^bytes=(\d+)-(\d*)$/) {
        $from = $1;
        $to = $2 if $2 ne '' && $2 < $to;
        @head = ('HTTP/1.1 206 Partial Content',
                 "Content-Range: bytes $from-$to/$size");
    }

    _send($s, join "\r\n", @head, 'Content-Type: application/octet-stream',
              'Content-Length: ' . ($to - $from + 1), '', '');
    return 1 if $request->{method} eq 'HEAD';

    for (my $at = $from; $at <= $to; $at += 1 << 20) {
        my $left = $to - $at + 1;
        _send($s, pattern($left < 1 << 20 ? $left : 1 << 20, $at));
    }

    return 1;
}


sub _answer_slow {
    my ($s, $request, $args) = @_;

    _start_chunked($s, 'X-Accel-Buffering: no');

    for my $i (1 .. $args->{n} || 3) {
        _chunk($s, "line $i\n");
        sleep $args->{delay} || 0.1;
    }

    return _chunk($s, '');
}


sub _answer_wait {
    my ($s, $request, $args) = @_;

    sleep $args->{delay};

    return _reply($s, $request, '200 OK', "waited\n");
}


sub _answer_etag {
    my ($s, $request) = @_;

    return _send($s, "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n")
        if _header($request, 'if-none-match') eq '"v1"';

    return _reply($s, $request, '200 OK', "version one\n", 'ETag: "v1"');
}


sub _answer_status {
    my ($s, $request, $args) = @_;

    my $code = $args->{code} || 200;

    return _send($s, "HTTP/1.1 $code Some\r\n\r\n") if $code =~ /^(204|304)$/;

    return _reply($s, $request, "$code Some", "status $code\n",
                  $code =~ /^3/ ? "Location: http://localhost/elsewhere" : ());
}


sub _answer_headers {
    my ($s, $request, $args) = @_;

    my $value = 'v' x ($args->{size} || 10);

    return _reply($s, $request, '200 OK', "headers\n",
                  map { "X-Header-$_: $value" } 1 .. $args->{n} || 1);
}


sub _answer_cookie {
    my ($s, $request) = @_;

    return _reply($s, $request, '200 OK', "cookies\n",
                  'Set-Cookie: a=1; Path=/', 'Set-Cookie: b=2; Path=/');
}


sub _answer_accel {
    my ($s, $request, $args) = @_;

    return _reply($s, $request, '200 OK', "redirected\n",
                  "X-Accel-Redirect: $args->{to}");
}


sub _answer_location {
    my ($s, $request, $args) = @_;

    return _reply($s, $request, '302 Found', "there\n",
                  "Location: $args->{to}");
}


sub _answer_eof {
    my ($s) = @_;

    _send($s, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end\n");

    return 0;
}


sub _answer_die {
    my ($s) = @_;

    _send($s, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
              . pattern(50000));

    return 0;
}


sub _answer_early {
    my ($s) = @_;

    return _send($s, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nearly\n");
}


sub _answer_hang {
    my ($s) = @_;

    sysread $s, my $buf, 1;

    return 0;
}


1;
