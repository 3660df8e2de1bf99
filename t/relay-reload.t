# A relayed POST continues when one of the workers quits, and ends at once when
# one dies.

use strict;
use warnings;

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Elsewhere qw( connect_to );
use Test::Atls::Http qw( readable send_all );
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience );


my $SIZE = 8 << 20;
my $PATIENCE = patience();

my $t = Test::Atls->new(workers => 2);


Test::Atls::Backend->start($t, $t->port(1));

$t->write_http(<<'EOC');
client_max_body_size  64m;

%%CERTIFICATE%%

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /.well-known/atls {
        atls on;
        add_header  X-Pid $pid always;
    }

    location / {
        proxy_pass               http://127.0.0.1:%%PORT_1%%;
        proxy_http_version       1.1;
        proxy_set_header         Connection "";
        proxy_request_buffering  off;
    }
}
EOC

# events of a worker: the first pid is that of the worker that serves the POST,
# the second one that of the worker that relays it

my %EVENTS = (
    'reload'            => sub { $t->reload() },
    'the server quits'  => sub { leaves('QUIT', $_[0]) },
    'the relay quits'   => sub { leaves('QUIT', $_[1]) },
);

my %DEATHS = (
    'the server dies'   => sub { leaves('KILL', $_[0]) },
    'the relay dies'    => sub { leaves('KILL', $_[1]) },
);

$t->run();

$t->allow_log(qr/exited on signal 9/);

my $body = pattern($SIZE);
my $put = "PUT /put HTTP/1.1\r\nHost: localhost\r\nContent-Length: $SIZE\r\n\r\n"
          . $body;
my $get = "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n";
my $big = "GET /big?size=$SIZE HTTP/1.1\r\nHost: localhost\r\n\r\n";

for my $what (sort keys %EVENTS) {
    my ($c, @answers) = half_sent($EVENTS{$what}, $put . $get);

    is(said(@answers), "md5 @{[ md5_hex($body) ]}, length 0", "upload, $what");
    ok($c->error() eq '' && !$c->closed(), "upload, $what: the session");
    goes_on($c, "upload, $what");

    ($c, @answers) = half_read($EVENTS{$what}, $big . $get);

    ok(@answers == 2 && $answers[0]->body() eq $body, "download, $what");
    is(said($answers[1]), 'length 0', "download, $what: the next one");
    goes_on($c, "download, $what");
}

for my $what (sort keys %DEATHS) {
    my ($c, @answers) = half_sent($DEATHS{$what}, $put . $get);

    is(scalar(grep { $_->done() } @answers), 0, $what);
}

$t->done_testing();


# A worker that quits is replaced only after it has exited.

sub leaves {
    my ($signal, $pid) = @_;

    kill $signal, $pid;
    $t->wait_for(sub { !grep { $_ == $pid } $t->workers() }, 30);
}


# The event occurs when half of the POST was sent.

sub half_sent {
    my ($event, $requests) = @_;

    my ($c, $s, $owner, $other, $bytes) = relayed($requests);
    my $half = length($bytes) / 2;

    send_all($s, substr $bytes, 0, $half);
    $event->($owner, $other);
    send_all($s, substr $bytes, $half);

    return ($c, answers($c, response($c, $s)));
}


# The event occurs when half of the response was read.

sub half_read {
    my ($event, $requests) = @_;

    my ($c, $s, $owner, $other, $bytes) = relayed($requests);
    my $o = Test::Atls::Response->new(on_body => sub { $c->tls_in($_[0]) });

    send_all($s, $bytes);
    response($c, $s, $o, $SIZE / 2);
    $event->($owner, $other);

    return ($c, answers($c, response($c, $s, $o)));
}


sub relayed {
    my ($requests) = @_;

    $t->wait_for(sub { $t->workers() == 2 }, 30);

    my $c = $t->client(keepalive => 0);

    $c->handshake() or diag($c->error());
    $c->request('GET /start HTTP/1.1');

    my $owner = $c->last_response()->header('X-Pid');
    my ($other) = grep { $_ != $owner } $t->workers();

    $c->write_plain("\r\nHost: localhost\r\n\r\n$requests");

    my $bytes = $c->tls_out();
    my $s = connect_to($t, $other, "POST /.well-known/atls HTTP/1.1\r\n",
                       port => $t->port(0));

    send_all($s, join "\r\n", 'Host: localhost', 'Cookie: atls=' . $c->cookie(),
                 'Content-Type: application/atls+octet-stream',
                 'Content-Length: ' . length $bytes, '', '');

    return ($c, $s, $owner, $other, $bytes);
}


sub response {
    my ($c, $s, $o, $size) = @_;

    $o ||= Test::Atls::Response->new(on_body => sub { $c->tls_in($_[0]) });

    until ($o->done() || $size && $o->length() > $size) {
        my $n;

        $n = $s->sysread(my $buf, 65536) if readable($s, $PATIENCE);
        $n ? $o->feed($buf) : last;
    }

    return $o;
}


# Returns the responses without that to the first request.

sub answers {
    my ($c, $o) = @_;

    return () unless $o->done() && $o->status() == 200;

    my ($first, @answers) = parse_responses($c->read_plain());

    return @answers;
}


sub said {
    return join ', ', map { $_ && $_->done()
                            && $_->body() =~ /(length 0|md5 .*)/ ? $1 : '?' }
                          @_;
}


sub goes_on {
    my ($c, $name) = @_;

    my $r = $c->get('/echo');

    like($r ? $r->body() : $c->error(), qr/length 0/,
         "$name: another request");
}
