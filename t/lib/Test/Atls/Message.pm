package Test::Atls::Message;

# Requests with exported keys: the messages of a session (message/http,
# aes128gcm).  It shares no code with the module; AES-GCM is done by t/bin/gcm.c.
#
#     my $m = Test::Atls::Message->new($t->established());
#     my $r = $m->get('/');                   # a Test::Atls::Response
#     $m->error()                             # why there is none
#
#     my $r = $m->post($m->seal("GET / HTTP/1.1\r\n...", number => 7));
#     my ($plain, $whole) = $m->open($r->body(), 7);

use strict;
use warnings;

use Cwd qw( abs_path );
use Digest::SHA qw( hmac_sha256 );
use File::Basename qw( dirname );
use File::Temp qw( tempdir );
use IPC::Open2 qw( open2 );
use Net::SSLeay;

use Test::Atls::Client;
use Test::Atls::Outer;
use Test::Atls::Response qw( parse_responses );

use constant {
    TYPE   => 'message/http',
    CODING => 'aes128gcm',
    LABEL  => 'application-layer-tls',
    SIZE   => 4096,
};

my ($SOURCE) = map { abs_path(dirname(__FILE__) . "/../../../bin/$_") } 'gcm.c';
my %gcm;


# new($client, %args): a Test::Atls::Client, or a Test::Atls::Stack, whose
# handshake is finished.  Arguments: those of Test::Atls::Outer; size => record
# size; number => the first one.

sub new {
    my ($class, $client, %args) = @_;

    my $http = $client->http_client();

    return bless {
        client => $client,
        number => 0,
        size   => SIZE,
        error  => '',
        outer  => { port => $http->{port}, uri => $http->{uri},
                    ($http->{tls} ? (tls => 1) : ()), %args },
        %args,
    }, $class;
}


# The identifier of the session: of its URI, or else its cookie.

sub id {
    my ($self) = @_;

    my $client = $self->{client};
    my ($segment) = ($client->location() // '') =~ m!([^/]+)\z!;

    return $self->{id} // $segment // $client->cookie();
}


# A request over HTTP.  get($uri, %headers); http($request, %args of send()).

sub get {
    my ($self, $uri, %headers) = @_;

    return $self->http(Test::Atls::Client::format_request('GET', $uri, '',
                                                          %headers));
}


sub http {
    my ($self, $request, %args) = @_;

    my ($method) = $request =~ /^(\S+)/;
    my $number = $args{number} // $self->next_number();
    my $plain = $self->exchange($request, %args, number => $number);

    return undef unless defined $plain;

    my ($r) = parse_responses($plain, $method);

    $self->{error} = 'no response' unless $r;

    return $r;
}


sub next_number { $_[0]{number}++ }
sub error { $_[0]{error} }
sub last_response { $_[0]{last} }       # the outer one


# Sends a request and returns the plaintext of the response.

sub exchange {
    my ($self, $request, %args) = @_;

    $args{number} //= $self->next_number();

    my $r = $self->post($self->seal($request, %args), %args);

    return $self->receive($r, $args{number});
}


sub receive {
    my ($self, $r, $number) = @_;

    $self->{last} = $r;
    $self->{error} = '';

    if (!$r) {
        $self->{error} = 'no answer';
        return undef;
    }

    if ($r->status() != 200) {
        my ($type) = $r->body() =~ /"type":"tag:atls,2026:([^"]*)"/;
        $self->{error} = $r->status() . ($type ? " $type" : '');
        return undef;
    }

    if (($r->header('Content-Type') // '') ne TYPE
        || ($r->header('Content-Encoding') // '') ne CODING)
    {
        $self->{error} = 'not a message';
        return undef;
    }

    my ($plain, $whole) = $self->open($r->body(), $number);

    $self->{error} = $whole ? '' : defined $plain ? 'cut' : 'not authentic';

    return $plain;
}


# post($bytes or coderef, %args of the Test::Atls::Outer, headers => { }): a POST
# on a connection of its own.  post_send() returns the connection.

sub post {
    my ($self, $body, %args) = @_;

    my $http = $self->post_send($body, %args);
    my $r = $http->receive(%args);

    $http->close();
    if ($r) {
        $self->{client}->_store_cookie($_) for $r->header('Set-Cookie');
    }

    return $r;
}


sub post_send {
    my ($self, $body, %args) = @_;

    my $http = Test::Atls::Outer->new(%{$self->{outer}}, keepalive => 0,
                 map { defined $args{$_} ? ($_ => $args{$_}) : () }
                     qw( port uri version tls timeout ));

    $http->send($body, { 'Content-Type' => TYPE, 'Content-Encoding' => CODING,
                         %{$args{headers} || {}} });

    return $http;
}


# Makes a message.  Arguments: number; size; salt; id; keyid => instead of
# "id.number"; kind => 1 (request) or 2 (response); records => [ plaintexts of
# the records, with delimiter and padding ]; piece => most bytes in a record.

sub seal {
    my ($self, $plain, %args) = @_;

    my $size = $args{size} // $self->{size};
    my $number = $args{number} // $self->next_number();
    my $salt = $args{salt} // join '', map { chr int rand 256 } 1 .. 16;
    my $keyid = $args{keyid} // ($args{id} // $self->id()) . ".$number";
    my $key = $args{key} // $self->key($args{kind} // 1, $number);
    my @records = @{$args{records} || records($plain, $size, $args{piece})};

    my $message = header($salt, $size, $keyid);
    my $seq = 0;

    $message .= gcm('seal', derive($key, $salt, $seq++), $_) for @records;

    return $message;
}


sub header {
    my ($salt, $size, $keyid) = @_;

    return $salt . pack('N C/a', $size, $keyid);
}


# The plaintexts of records: all but the last one are padded to the size.

sub records {
    my ($plain, $size, $piece) = @_;

    my $room = $size - 17;
    my $most = $piece || $room;
    my @records;

    while (length $plain > $most) {
        my $data = substr $plain, 0, $most, '';
        push @records, "$data\1" . "\0" x ($room - length $data);
    }

    return [ @records, "$plain\2" ];
}


# open($message, $number): the plaintext up to the first record that is not
# authentic, undef without any; and whether the message is complete.

sub open {
    my ($self, $message, $number, $kind) = @_;

    my ($plain, $whole, $sizes) = $self->open_records($message, $number, $kind);

    return ($plain, $whole);
}


sub open_records {
    my ($self, $message, $number, $kind) = @_;

    my ($salt, $size, $keyid, $rest) = eval { unpack 'a16 N C/a a*', $message };

    return (undef, 0, []) unless defined $rest
                                 && $keyid eq $self->id() . ".$number";

    my $key = $self->key($kind // 2, $number);
    my ($plain, $seq, $whole, @sizes) = (undef, 0, 0);

    $self->{answer_size} = $size;

    while ($rest ne '' && !$whole) {
        my $record = substr $rest, 0, $size, '';
        my $data = gcm('open', derive($key, $salt, $seq++), $record);

        last unless defined $data && $data =~ s/([\1\2])\0*\z//;
        last if $1 eq "\1" && length $record != $size;

        $whole = $1 eq "\2";
        $plain .= $data;
        push @sizes, length $data;
    }

    return ($plain, $whole && $rest eq '', \@sizes);
}


# TLS-Exporter: one byte, and the number in 8 bytes.

sub key {
    my ($self, $kind, $number) = @_;

    return pack 'H*', $self->{client}->export(LABEL, 32,
                                              pack('C Q>', $kind, $number));
}


# RFC 8188, section 2.2: the key, and the nonce of a record.

sub derive {
    my ($ikm, $salt, $seq) = @_;

    my $prk = hmac_sha256($ikm, $salt);
    my ($key, $nonce) = map { hmac_sha256("Content-Encoding: $_\0\1", $prk) }
                            CODING, 'nonce';

    return (substr($key, 0, 16),
            substr($nonce, 0, 12) ^ pack('x4 Q>', $seq));
}


sub gcm {
    my ($command, @bytes) = @_;

    _start() unless ($gcm{owner} // 0) == $$;

    print {$gcm{in}} join(' ', $command, map { unpack 'H*', $_ } @bytes), "\n";

    my $line = readline $gcm{out};

    die "gcm has exited\n" unless defined $line;
    chomp $line;

    return $line eq '-' ? undef : pack 'H*', $line;
}


# Compiled once for each test.  A child process has its own.

sub _start {
    if (!$gcm{program}) {
        $gcm{dir} = tempdir('atls-gcm-XXXXXX', TMPDIR => 1, CLEANUP => 1);
        $gcm{program} = "$gcm{dir}/gcm";

        my @cc = (split(' ', $ENV{CC} || 'cc'), qw( -O1 -Wall -Wextra -Werror ),
                  $SOURCE, '-o', $gcm{program}, '-lcrypto');

        system(@cc) == 0 or die "@cc failed\n";
    }

    $gcm{pid} = open2($gcm{out}, $gcm{in}, $gcm{program});
    $gcm{owner} = $$;
    $gcm{in}->autoflush(1);
}


END {
    if (($gcm{owner} // 0) == $$) {
        local $?;
        close $gcm{in};
        waitpid $gcm{pid}, 0;
    }
}


1;
