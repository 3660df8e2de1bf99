package Test::Atls::Client;

# An ATLS client based on Net::SSLeay: TLS records are sent in POSTs.  It shares
# no code with the module.
#
#     my $c = Test::Atls::Client->new(port => $t->port(0));
#     $c->handshake() or diag($c->error());
#     my $r = $c->get('/');                   # a Test::Atls::Response
#
# Test::Atls::Stack has the same interface and uses other TLS libraries.

use strict;
use warnings;

use Time::HiRes qw( sleep time );

use Test::Atls::Http qw( http_connect read_response send_all );
use Test::Atls::Outer;
use Test::Atls::OuterCurl;
use Test::Atls::Response qw( parse_responses );

use parent 'Test::Atls::SSLeay';

use constant MEDIA_TYPE => 'application/atls+octet-stream';

my @OUTER = qw( port host uri tls keepalive timeout host_header method local
                proxy first );


# new(port => , ...):
#
# outer:  uri => '/.well-known/atls', outer => 'http11' | 'http10' |
#         'http11-chunked' | 'h2' | 'h3', tls => 1, keepalive => 0 for a TCP
#         connection for each POST, type => media type, headers => { ... },
#         host_header => 'localhost', local => source address, timeout => 60,
#         proxy => port of one that speaks CONNECT, first => bytes before all
#         others; over HTTP/2, a PROXY protocol header whatever they are;
#         number => 7 for a header with each POST: "X-Number: 7.1", then 7.2
# inner:  protocol => 'TLSv1.3' (both bounds; or min => , max => ),
#         ciphers => TLS 1.2 list, ciphersuites => TLS 1.3 list, groups => ,
#         sni => 'localhost' ('' for none), alpn => [ ... ], cert => , key => ,
#         ca => file (then the server is verified), session => of another
#         client, psk => [ identity, hex key ], setup => sub ($ctx, $ssl)

sub new {
    my ($class, %args) = @_;

    my $self = bless {
        uri     => '/.well-known/atls',
        outer   => 'http11',
        type    => MEDIA_TYPE,
        headers => {},
        sni     => 'localhost',
        cookies => {},
        alerts  => [],
        plain   => '',
        error   => '',
        %args,
    }, $class;

    $self->_make_outer();
    $self->_make_tls();

    return $self;
}


sub _make_outer {
    my ($self) = @_;

    my $class = $self->{outer} =~ /^h[23]$/ ? 'Test::Atls::OuterCurl'
                                            : 'Test::Atls::Outer';
    my %args = map { $_ => $self->{$_} } grep { defined $self->{$_} } @OUTER;

    $self->{http} = $class->new(%args, version => $self->{outer});
}


# move(port => , ...) continues on another outer connection, with arguments of
# new(); by default, with the same URI, over HTTP/1.1 without TLS.

sub move {
    my ($self, %args) = @_;

    my $uri = $args{uri} // $self->{http}{uri};

    delete @$self{qw( tls keepalive host host_header )};
    %$self = (%$self, outer => 'http11', keepalive => 0, %args);

    $self->_make_outer();
    $self->{http}{uri} = $uri;
}


# Sends close_notify alone.  Returns the response.

sub close_notify {
    my ($self) = @_;

    $self->tls_shutdown();

    return $self->exchange($self->tls_out());
}


# HTTP

# post($bytes, type => , headers => { }, cookie => value or '' for none, on_body
# => sub): returns the outer response, a Test::Atls::Response, or undef.

sub post {
    my ($self, $bytes, %args) = @_;

    $self->post_send($bytes, %args);

    return $self->post_receive(%args);
}


# post() in two steps.

sub post_send {
    my ($self, $bytes, %args) = @_;

    my $cookie = exists $args{cookie} ? $args{cookie} : $self->_cookies();
    my $n = ++$self->{posts};
    my $number = $self->{number};

    $self->{http}->send($bytes, {
        'Content-Type' => exists $args{type} ? $args{type} : $self->{type},
        $cookie ne '' ? (Cookie => $cookie) : (),
        defined $number ? ('X-Number' => "$number.$n") : (),
        %{$self->{headers}}, %{$args{headers} || {}},
    });
}


sub post_receive {
    my ($self, %args) = @_;

    my $r = $self->{http}->receive(%args);

    $self->{last} = $r;
    if ($r) { $self->_store_cookie($_) for $r->header('Set-Cookie') }
    $self->_follow($r->header('Location')) if $r && $r->status() == 201;

    return $r;
}


# A POST on a connection of its own: begin_post() returns the socket; its
# arguments are those of format_post().  end_post() returns what the client gets,
# see decrypted().

sub begin_post {
    my ($self, $body, %headers) = @_;

    my $s = http_connect($self->{port}, host => $self->{host});

    send_all($s, $self->format_post($body, %headers));

    return $s;
}


sub end_post {
    my ($self, $s) = @_;

    return $self->decrypted(read_response($s));
}


# The status of a response and the decrypted data, as "200 hello".

sub decrypted {
    my ($self, $r) = @_;

    return 'no answer' unless $r;
    $self->tls_in($r->body()) if $r->status() < 300;

    return $r->status() . ' ' . $self->read_plain();
}


# The URI of the session, if it has one.  A proxy gets the whole URL.

sub _follow {
    my ($self, $location) = @_;

    return unless defined $location;

    my ($origin) = $self->{uri} =~ m{^(http://[^/]*)};

    $self->{location} = $location;
    $self->{http}{uri} = ($origin || '') . $location;
}


# The text of a POST, for tests that write it to a socket.  %headers replace
# others: for a part of a body, the Content-Length.

sub format_post {
    my ($self, $body, %headers) = @_;

    my $cookie = $self->_cookies();

    return format_request('POST', $self->{http}{uri}, $body,
                          'Content-Type' => $self->{type},
                          'Content-Length' => length $body,
                          $cookie ne '' ? (Cookie => $cookie) : (), %headers);
}


sub _cookies {
    my ($self) = @_;

    my %cookies = %{$self->{cookies}};

    return join '; ', map { "$_=$cookies{$_}" } sort keys %cookies;
}


sub _store_cookie {
    my ($self, $line) = @_;

    my ($name, $value, $attributes) = $line =~ /^\s*([^=;]+)=([^;]*)(.*)/
        or return;

    $self->{set_cookie} = $line;

    # an expiry date is in the past, as only the module sends one

    if ($attributes =~ /;\s*(?:max-age\s*=\s*(?:0|-)|expires\s*=)/i) {
        delete $self->{cookies}{$name};
        $self->{expired}++;
    } else {
        $self->{cookies}{$name} = $value;
    }
}


# Sends TLS output in POSTs (split => size or [ sizes ]), and processes the
# responses.  Returns the last response, or undef unless all have status 200 or
# 201 and the media type sent.

sub exchange {
    my ($self, $bytes, %args) = @_;

    my $r;

    for my $piece (_split($bytes, $args{split})) {
        $r = $self->post($piece, %args);
        return undef unless $self->_accept($r);
    }

    return $r;
}


sub _split {
    my ($bytes, $split) = @_;

    return $bytes unless $split;

    my @sizes = ref $split ? @$split : ();
    my @pieces;

    while ($bytes ne '') {
        my $n = @sizes ? shift @sizes : ref $split ? length $bytes : $split;
        push @pieces, substr $bytes, 0, $n, '';
    }

    return @pieces;
}


sub _accept {
    my ($self, $r) = @_;

    if (!$r) {
        $self->{error} ||= 'no answer';
        return 0;
    }

    if ($r->status() != 200 && $r->status() != 201) {
        $self->{error} ||= 'HTTP ' . $r->status();
        return 0;
    }

    my $type = $r->header('Content-Type') || '';
    my ($sent) = $self->{type} =~ /^([^;\s]+)/;

    if (lc $type ne lc $sent) {
        $self->{error} ||= "content type '$type'";
        return 0;
    }

    $self->tls_in($r->body());

    return 1;
}


# sessions

# handshake(split => size or [ sizes ] of each flight, hold => 1: the last
# flight is sent with the first request).  Returns true if TLS is established.

sub handshake {
    my ($self, %args) = @_;

    for (1 .. 10) {
        my $done = $self->handshake_step();

        return 0 if $self->{error} && !$self->tls_pending();
        return 1 if $done && $args{hold};

        my $flight = $self->tls_out();

        if ($flight eq '') {
            $self->{error} ||= 'the server sent nothing' unless $done;
            $self->read_plain() if $done;
            last;
        }

        $self->exchange($flight, %args) or return 0;

        if ($done) {
            $self->{plain} .= $self->read_plain();      # tickets, an alert
            last;
        }
    }

    return $self->{error} eq '' && !$self->{closed};
}


# request($plain, %args of exchange): returns the decrypted response.

sub request {
    my ($self, $plain, %args) = @_;

    $self->write_plain($plain);
    $self->exchange($self->tls_out(), %args);

    return $self->read_plain();
}


# A request over HTTP.  Returns its response.  get($uri, %headers).

sub http {
    my ($self, $request, %args) = @_;

    my ($method) = $request =~ /^(\S+)/;
    my ($r) = parse_responses($self->request($request, %args), $method);

    return $r;
}


sub get {
    my ($self, $uri, %headers) = @_;

    return $self->http(format_request('GET', $uri, '', %headers));
}


sub format_request {
    my ($method, $uri, $body, %headers) = @_;

    %headers = (Host => 'localhost',
                $body ne '' ? ('Content-Length' => length $body) : (),
                %headers);

    return "$method $uri HTTP/1.1\r\n"
           . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
           . "\r\n$body";
}


# download($request, sub ($piece) { ... }, rate => bytes a second): passes the
# decrypted body to the function as it is received.  Returns the inner response
# without its body, or undef if the outer response failed.

sub download {
    my ($self, $request, $cb, %args) = @_;

    my ($method) = $request =~ /^(\S+)/;
    my $inner = Test::Atls::Response->new(method => $method, on_body => $cb);
    my ($began, $got) = (time, 0);

    $self->write_plain($request);

    my $r = $self->post($self->tls_out(), on_body => sub {
        my ($bytes) = @_;

        $got += length $bytes;
        _pace($began, $got, $args{rate}) if $args{rate};

        $self->tls_in($bytes);
        $self->read_plain(sub { $inner->feed($_[0]) });
    });

    $self->{error} ||= 'the outer answer is not whole' unless $r;

    return $r && $r->status() == 200 ? $inner : undef;
}


sub _pace {
    my ($began, $bytes, $rate) = @_;

    my $wait = $began + $bytes / $rate - time;
    sleep $wait if $wait > 0;
}


# upload($head, sub { next piece of the body or undef }): one POST if outer is
# "http11-chunked" or "h2", otherwise one for each megabyte (post_size).  Pieces
# are sent unchanged: for a chunked inner body, the function has to add the
# framing.  Returns the decrypted responses.

sub upload {
    my ($self, $head, $next, %args) = @_;

    my $size = $args{post_size} || 1 << 20;

    $self->write_plain($head);

    if ($self->{outer} =~ /chunked|h[23]/) {
        my $r = $self->post(sub {
            my $ready = $self->tls_out();
            return $ready if $ready ne '';
            my $piece = $next->();
            return undef unless defined $piece;
            $self->write_plain($piece);
            return $self->tls_out();
        });
        $self->_accept($r);
        return $self->read_plain();
    }

    my $got = '';
    my $pending = '';

    for (my $more = 1; $more; ) {
        my $piece = $next->();

        $more = defined $piece;
        $self->write_plain($piece) if $more;
        $pending .= $self->tls_out();
        next if $more && length $pending < $size;

        $self->exchange($pending) or last;
        $pending = '';
        $got .= $self->read_plain();
    }

    return $got;
}


# state

sub error { $_[0]{error} }          # the first error, or ''
sub alerts { @{$_[0]{alerts}} }     # numbers of all alerts received
sub closed { $_[0]{closed} }        # close_notify was received
sub last_response { $_[0]{last} }   # the last outer response
sub set_cookie { $_[0]{set_cookie} }    # the last Set-Cookie header
sub posts { $_[0]{posts} || 0 }
sub number { $_[0]{number} }        # the part of X-Number before the dot
sub location { $_[0]{location} }    # the URI of the session, if it has one
sub http_client { $_[0]{http} }     # the Test::Atls::Outer


# The value of the session cookie; cookie($value) sets it.

sub cookie {
    my ($self, @value) = @_;

    my ($name) = sort keys %{$self->{cookies}};

    $self->{cookies}{$name || 'atls'} = $value[0] if @value;

    return defined $name ? $self->{cookies}{$name} : undef;
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $@);
    $self->{http}->close() if $self->{http};
    $self->_free_tls();
}


1;
