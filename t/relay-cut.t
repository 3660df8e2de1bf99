# POSTs that are cut or invalid while they are relayed: the backend receives
# only the beginning of a request, and a session with lost data ends.

use strict;
use warnings;

use Digest::MD5 qw( md5_hex );
use Socket qw( SOL_SOCKET SO_LINGER );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Elsewhere qw( connect_to more_sockets sockets );
use Test::Atls::Http qw( read_response readable send_all );
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Process qw( asleep );
use Test::Atls::Slow qw( patience );


my $PATIENCE = patience();
my $SIZE = 200_000;
my $MAX = 400_000;

my $t = Test::Atls->new(workers => 2);

my $backend = Test::Atls::Backend->start($t, $t->port(1));

$t->write_http(<<"EOC");
client_max_body_size  $MAX;

%%CERTIFICATE%%

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /.well-known/atls {
        atls on;
        add_header  X-Pid \$pid always;
    }

    location / {
        client_max_body_size     0;

        proxy_pass               http://127.0.0.1:%%PORT_1%%;
        proxy_http_version       1.1;
        proxy_set_header         Connection "";
        proxy_request_buffering  off;
    }
}
EOC

# What is sent of the POST: functions that return it after the header, for a
# given body.

my $counted = sub {
    my ($n) = @_;

    return sub {
        my ($bytes) = @_;

        return 'Content-Length: ' . length($bytes) . "\r\n\r\n"
               . substr $bytes, 0, $n < 0 ? length($bytes) + $n : $n;
    };
};

my $chunks = sub {
    my ($end, $size) = @_;

    return sub {
        my ($bytes) = @_;

        return "Transfer-Encoding: chunked\r\n\r\n"
               . join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
                          unpack '(a8000)*', $bytes) . $end;
    };
};

my %WHAT = (
    'no body'               => $counted->(0),
    'a byte'                => $counted->(1),
    'a header of a record'  => $counted->(5),
    'half a record'         => $counted->(8_000),
    'some records'          => $counted->(100_000),
    'all but a byte'        => $counted->(-1),
    'no last chunk'         => $chunks->(''),
    'half a last chunk'     => $chunks->("0\r\n"),
    'no size of a chunk'    => $chunks->("zz\r\n"),
    'too large a chunk'     => $chunks->("7fffffffffffffffff\r\n"),
    'half a chunk'          => $chunks->("100\r\nx"),
    'larger than allowed'   => $chunks->(sprintf "%x\r\n%s\r\n0\r\n\r\n", $MAX,
                                         'x' x $MAX),
    'both lengths'          => sub {
        return "Transfer-Encoding: chunked\r\n" . $counted->(0)->($_[0]);
    },
);

my %HOW = (
    'closed'    => sub { close $_[0] },
    'reset'     => sub { setsockopt $_[0], SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
                         close $_[0] },
    'shut down' => sub { shutdown $_[0], 1 },
);

$t->run();

my %sockets = map { $_ => [ sockets($_) ] } $t->workers();
my $sent = pattern($SIZE);
my $number = 0;
my @cases;

for my $what (sort keys %WHAT) {
    for my $how (sort keys %HOW) {
        push @cases, cut($what, $how, $_) for 0, 1;
    }
}

# the backend has received the end of all requests

my %saw = map { $_->{uri} => $_ } $backend->requests();

is(wrong($_), '', $_->{name}) for @cases;

for my $elsewhere (0, 1) {
    my $where = $elsewhere ? 'relayed' : 'local';

    is(unread($elsewhere), 410, "an answer that is not read, $where");
}

is(tidy(), '', 'nothing is left behind');

$t->done_testing();


# Returns the response, and the state of the session.

sub cut {
    my ($what, $how, $elsewhere) = @_;

    my $uri = '/cut-' . ++$number;
    my ($c, $owner) = parked($uri, $SIZE);
    my $s = post($c, $owner, $elsewhere, $WHAT{$what});

    $HOW{$how}->($s);

    my $said = $how eq 'shut down' ? answer($s) : '';
    my $then = later($c);

    return { name => join(', ', $what, $how, $elsewhere ? 'relayed' : 'local'),
             uri => $uri, said => $said, then => $then,
             again => $then == 200 ? again($c) : '' };
}


# If the session goes on, the whole POST is processed.

sub again {
    my ($c) = @_;

    my $r = $c->exchange($c->{sent});

    return $r && $c->read_plain() =~ m!^HTTP/1.1 200 ! ? '' : 'not served';
}


sub wrong {
    my ($case) = @_;

    my $saw = $saw{$case->{uri}};
    my $lost = $case->{then} == 410;

    return "then $case->{then}" unless $lost || $case->{then} == 200;
    return "answered $case->{said}" if $case->{said} eq '200' && !$lost;
    return "then $case->{again}" if $case->{again};

    return '' unless $saw;
    return "the backend got $saw->{length} bytes"
        unless $saw->{md5} eq md5_hex(substr $sent, 0, $saw->{length});

    return $lost || !$saw->{aborted} ? '' : 'the session goes on';
}


sub answer {
    my $r = read_response($_[0]);

    return $r ? $r->status() : 'nothing';
}


# Sends the header of a request with a body.  The next POST contains the body.

sub parked {
    my ($uri, $size) = @_;

    my $c = $t->client(keepalive => 0);

    $c->handshake() or diag($c->error());
    $c->request("PUT $uri HTTP/1.1\r\nHost: localhost\r\n"
                . "Content-Length: $size\r\n");
    $c->write_plain("\r\n" . pattern($size));

    return ($c, $c->last_response()->header('X-Pid'));
}


sub post {
    my ($c, $owner, $elsewhere, $what) = @_;

    my ($pid) = grep { $elsewhere xor $_ == $owner } $t->workers();
    my $s = connect_to($t, $pid, "POST /.well-known/atls HTTP/1.1\r\n",
                       port => $t->port(0));

    send_all($s, join "\r\n", 'Host: localhost', 'Cookie: atls=' . $c->cookie(),
                 'Content-Type: application/atls+octet-stream',
                 $what->($c->{sent} = $c->tls_out()));

    return $s;
}


# The status of the session after the POST, when all workers are idle.

sub later {
    my ($c) = @_;

    my ($o, @workers) = (undef, $t->workers());

    # twice, since a worker may be woken up by another one after it was checked

    $t->wait_for(sub { !grep { !asleep($_) } @workers, @workers }, 30);

    $t->wait_for(sub {
        $o = $c->post('');
        return $o && $o->status() != 409;
    }, 30);

    my $then = $o ? $o->status() : 0;

    return $then == 200 && $c->{expired} ? 410 : $then;
}


sub unread {
    my ($elsewhere) = @_;

    my ($c, $owner) = parked('/big?size=20000000', 10);
    my $s = post($c, $owner, $elsewhere, $counted->(99999));

    readable($s, $PATIENCE) or return 'no answer';
    close $s;

    return later($c);
}


# Workers without new connections, except for a few to the backend.

sub tidy {
    my @more;

    $t->wait_for(sub {
        @more = grep { more_sockets($_, $sockets{$_}) > 5 } keys %sockets;
        return !@more;
    }, 30);

    return "@more";
}
