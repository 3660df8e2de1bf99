package Test::Atls::Compare;

# Sends the same request over ATLS and over TLS to the same nginx, and compares
# the responses, except for Date.
#
#     my $compare = Test::Atls::Compare->new($t, atls => $t->port(0),
#                                                tls => $t->port(1));
#     $compare->same('a file', request('GET', '/file'), md5 => '...');
#
# same() is one test.  After several requests over ATLS without a response,
# further tests fail without sending a request, since each would time out.

use strict;
use warnings;

use Compress::Zlib ();
use Digest::MD5;
use Exporter qw( import );
use Test::More ();
use Time::HiRes qw( time );

use Test::Atls::Client;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Response;
use Test::Atls::Slow qw( slow );

our @EXPORT_OK = qw( request );

use constant PATIENCE => 3;     # requests without a response

my $SLOW = slow();


# Arguments: ports atls and tls; client => { } for Test::Atls::Client; timeout
# => seconds without data.

sub new {
    my ($class, $t, %args) = @_;

    return bless { t => $t, client => {}, timeout => 10, silent => 0, %args },
                 $class;
}


# request('GET', '/uri', { name => value }, $body)

sub request {
    my ($method, $uri, $headers, $body) = @_;

    my %headers = (Host => 'localhost', %{$headers || {}});

    $headers{'Content-Length'} = length $body
        if defined $body && !$headers{'Transfer-Encoding'}
           && !defined $headers{'Content-Length'};

    return "$method $uri HTTP/1.1\r\n"
           . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
           . "\r\n" . (defined $body ? $body : '');
}


# same($name, $request, ...):
#
# late => sub     runs when the request was sent and before anything is read
# md5 =>          of the body
# except => [ ]   headers that are not compared
# boundary => 1   the body is multipart/byteranges: its boundary is a number
#                 that nginx counts up
#
# Returns what came through ATLS: { status, headers, length, md5, whole }.

sub same {
    my ($self, $name, $request, %args) = @_;

    if ($self->{silent} >= PATIENCE) {
        Test::More::fail("$name: not asked, as others were not answered");
        return {};
    }

    my ($atls, $tls) = map { $self->$_($request, \%args) } qw( _atls _tls );

    $self->{silent}++ unless $atls->{whole} || !$tls->{whole};
    $tls->{md5} = $args{md5} if $args{md5};

    Test::More::is(_text($atls, \%args), _text($tls, \%args), $name);

    return $atls;
}


# The parts that are compared.

sub _text {
    my ($answer, $args) = @_;

    return "no answer\n" unless defined $answer->{status};

    my %except = map { lc $_ => 1 } 'Date', @{$args->{except} || []};
    my @headers = map { "$_->[0]: $_->[1]\n" }
                  grep { !$except{lc $_->[0]} } @{$answer->{headers}};
    my $text = join '', "$answer->{status}\n", @headers,
                    "length $answer->{length}\n", "md5 $answer->{md5}\n",
                    $answer->{whole} ? '' : "not whole\n";

    $text =~ s/(boundary=)\d+/$1/g;

    return $text;
}


# over ATLS: each POST has a connection of its own, and is received by any
# worker

sub _atls {
    my ($self, $request, $args) = @_;

    my ($r, $answer) = _answer($request, $args);
    my $c = $self->{session} ||= $self->_client();

    $c->write_plain($request);

    _in_time(sub {
        $c->post_send($c->tls_out());
        $args->{late}->() if $args->{late};

        $c->post_receive(on_body => sub {
            $c->tls_in($_[0]);
            $c->read_plain(sub { $r->feed($_[0]) });
        });
    }, $self->{timeout});

    $r->eof() if $c->closed();
    delete $self->{session}
        if !$r->done() || !$r->keep_alive() || $c->closed() || $c->error();

    return $answer->();
}


sub _client {
    my ($self) = @_;

    my $c = Test::Atls::Client->new(port => $self->{atls}, keepalive => 0,
                                    timeout => $self->{timeout},
                                    %{$self->{client}});

    $c->handshake() or die $c->error() . "\n";

    return $c;
}


# over TLS

sub _tls {
    my ($self, $request, $args) = @_;

    my ($r, $answer) = _answer($request, $args);
    my $s = delete $self->{socket};

    # the system enlarges the buffers of a connection in use: nginx might send
    # more to a late reader than to one with a new connection

    $s = http_connect($self->{tls}, tls => 1)
        if !$s || $args->{late} || readable($s, 0);

    _in_time(sub {
        send_all($s, $request);
        $args->{late}->() if $args->{late};

        until ($r->done()) {
            my $n;
            $n = $s->sysread(my $bytes, 65536)
                if readable($s, $self->{timeout} * $SLOW);
            $n or $r->eof(), last;
            $r->feed($bytes);
        }
    }, $self->{timeout});

    $self->{socket} = $s if $r->done() && $r->keep_alive();

    return $answer->();
}


# Limits the time, including that for sending.

sub _in_time {
    my ($code, $timeout) = @_;

    local $SIG{ALRM} = sub { die "time is over\n" };

    alarm 6 * $timeout * $SLOW;
    eval { $code->() };
    alarm 0;

    die $@ if $@ && $@ ne "time is over\n";
}


# A response parser, and a function that returns the result.  Compressed bodies
# are compared after decompression.

sub _answer {
    my ($request, $args) = @_;

    my ($method) = $request =~ /^(\S+)/;
    my $md5 = Digest::MD5->new();
    my $length = 0;
    my ($r, $inflate);

    my $take = sub {
        my ($piece) = @_;

        $piece =~ s/^--\d{20}/--/mg if $args->{boundary};
        $length += length $piece;
        $md5->add($piece);
    };

    $r = Test::Atls::Response->new(method => $method, on_body => sub {
        my ($piece) = @_;

        if (($r->header('Content-Encoding') || '') eq 'gzip') {
            $inflate ||= Compress::Zlib::inflateInit(
                -WindowBits => Compress::Zlib::WANT_GZIP());
            ($piece) = $inflate->inflate($piece);
        }

        $take->($piece) if defined $piece;
    });

    return ($r, sub { {
        status => $r->status(), headers => $r->{headers}, length => $length,
        md5 => $md5->hexdigest(), whole => $r->done(),
    } });
}


1;
