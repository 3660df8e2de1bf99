# A POST is relayed to another worker completely, even if there are responses
# meanwhile: to pipelined requests, early responses, 100 Continue.

use strict;
use warnings;

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Elsewhere qw( connect_to more_sockets sockets with_only );
use Test::Atls::Http qw( send_all );
use Test::Atls::OuterCurl;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience );


my $SIZE = 3 << 20;
my $LARGE = ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 4 << 20 : 30 << 20;
my $PATIENCE = patience();

my $t = Test::Atls->new(workers => 3);


Test::Atls::Backend->start($t, $t->port(3));

my $h2 = $t->has_option('http_v2_module');
my $listen_h2 = $h2 ? "listen 127.0.0.1:@{[ $t->port(2) ]} http2;" : '';

# the outer response has the worker, and whether the POST was relayed

$t->write_http(<<"EOC");
client_max_body_size  64m;

%%CERTIFICATE%%

server {
    listen       127.0.0.1:%%PORT_0%%;
    listen       127.0.0.1:%%PORT_1%% ssl;
    $listen_h2
    server_name  localhost;

    %%SSL_CERTIFICATE%%

    location /.well-known/atls {
        atls on;
        add_header  X-Pid \$pid always;
        add_header  X-Upstream \$upstream_addr always;
    }

    location / {
        proxy_pass               http://127.0.0.1:%%PORT_3%%;
        proxy_http_version       1.1;
        proxy_set_header         Connection "";
        proxy_request_buffering  off;
    }

    location = /refused {
        return 403 "refused\\n";
    }
}
EOC

my $body = pattern($SIZE);
my $md5 = md5_hex($body);

# requests, and the expected responses

my $get = [ request('GET', '/echo', ''), qr/^GET .*\nlength 0\n/s ];
my $put = [ request('PUT', '/put', $body), qr/^PUT .*\nmd5 $md5\n/s ];

my %requests = (
    'pipelined' => [ $get, $put, $get ],
    'refused' => [ [ request('PUT', '/refused', $body), qr/^refused$/ ], $get ],
    '100 Continue' => [
        [ request('PUT', '/put', $body, 'Expect: 100-continue'),
          qr/\nmd5 $md5\n/ ], $get ],
    'the body only' => [ $put ],

    # the connection is closed, as with HTTPS

    'answered early' => [
        [ request('PUT', '/early', $body), qr/^early$/ ] ],
);

my @outer = ('HTTP/1.0', 'HTTP/1.1', 'chunked', 'TLS', $h2 ? 'HTTP/2' : ());

$t->run();


is(relayed('HTTP/1.1', $requests{$_}), '', $_) for sort keys %requests;
is(relayed($_, $requests{pipelined}), '', "pipelined, $_") for @outer;
is(large(), '', 'much, both ways');

$t->done_testing();


sub request {
    my ($method, $uri, $body, @headers) = @_;

    return join "\r\n", "$method $uri HTTP/1.1", 'Host: localhost', @headers,
                $body ne '' ? 'Content-Length: ' . length $body : (), '', $body;
}


# Relays the rest of a request to the worker that has begun it.  Returns an
# error.

sub relayed {
    my ($outer, $requests) = @_;

    my ($c, $owner) = parked() or return 'handshake';
    my $bytes = rest($c, $requests);

    my $o = $outer eq 'HTTP/2' ? post_http2($c, $owner, $bytes)
                               : post($c, $owner, $outer, $bytes);

    return 'no answer' unless $o && $o->done();
    return $o->status() . ' ' . $o->body() unless $o->status() == 200;
    return 'no relay' unless $o->header('X-Pid') != $owner
                             && $o->header('X-Upstream') eq 'another worker';

    return compare($c->read_plain(), $requests);
}


# Begins a request.  The session is then in the worker that has received it.

sub parked {
    my $c = $t->client(keepalive => 0);

    $c->handshake() or return ();
    $c->request('GET /start HTTP/1.1');
    diag($c->error()) if $c->error();

    return ($c, $c->last_response()->header('X-Pid'));
}


sub other {
    my ($owner) = @_;

    return (grep { $_ != $owner } $t->workers())[0];
}


sub rest {
    my ($c, $requests) = @_;

    $c->write_plain("\r\nHost: localhost\r\n\r\n"
                    . join '', map { $_->[0] } @$requests);

    return $c->tls_out();
}


sub compare {
    my ($plain, $requests) = @_;

    my ($first, @answers) = parse_responses($plain);

    return 'the answer to what was begun'
        unless $first && $first->body() =~ /^GET \/start /;
    return @answers . ' answers' unless @answers == @$requests;

    for my $i (0 .. $#answers) {
        return "answer $i" unless $answers[$i]->done()
                                  && $answers[$i]->body() =~ $requests->[$i][1];
    }

    return '';
}


# Large responses do not fit in buffers, and are read while the POST is sent.

sub post {
    my ($c, $owner, $outer, $bytes) = @_;

    my $tls = $outer eq 'TLS';
    my $version = $outer eq 'HTTP/1.0' ? '1.0' : '1.1';
    my $s = connect_to($t, other($owner),
                       "POST /.well-known/atls HTTP/$version\r\n",
                       port => $t->port($tls ? 1 : 0), tls => $tls);
    my $o = Test::Atls::Response->new(on_body => sub { $c->tls_in($_[0]) });

    my $length = 'Content-Length: ' . length $bytes;

    if ($outer eq 'chunked') {
        $length = 'Transfer-Encoding: chunked';
        $bytes = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
                              unpack('(a50000)*', $bytes), '';
    }

    my $out = join "\r\n", 'Host: localhost',
                   'Content-Type: application/atls+octet-stream',
                   'Cookie: atls=' . $c->cookie(), $length, '', $bytes;

    if ($tls) {
        send_all($s, $out);
        $out = '';
    }

    $s->blocking(0);
    transfer($s, $out, $o);
    $o->eof();

    return $o;
}


sub transfer {
    my ($s, $out, $o) = @_;

    my $at = 0;

    until ($o->done()) {
        vec(my $set = '', fileno $s, 1) = 1;
        my $write = $at < length $out ? $set : '';

        unless ($s->can('pending') && $s->pending()) {
            select(my $read = $set, $write, undef, $PATIENCE) or last;
        }

        $at += $s->syswrite($out, 1 << 18, $at) || 0 if $write =~ /[^\0]/;

        my $n = $s->sysread(my $buf, 1 << 18);

        $o->feed($buf) if $n;
        last if defined $n && $n == 0;
    }
}


# Each POST has its own connection, by curl.  The rest is sent when a worker has
# begun to relay it.

sub post_http2 {
    my ($c, $owner, $bytes) = @_;

    my $h2 = Test::Atls::OuterCurl->new(port => $t->port(2), version => 'h2',
                                        uri => '/.well-known/atls');

    my $other = other($owner);

    with_only($t, $other, sub {
        my @before = sockets($other);

        $h2->send($bytes, { 'Content-Type' => 'application/atls+octet-stream',
                            Cookie => 'atls=' . $c->cookie() });

        $t->wait_for(sub { more_sockets($other, \@before) >= 2 });
    });

    return $h2->receive(on_body => sub { $c->tls_in($_[0]) });
}


sub large {
    my $big = pattern($LARGE);
    my $big_md5 = md5_hex($big);

    return relayed('HTTP/1.1', [
        [ request('GET', "/big?size=$LARGE", ''), qr/\A\Q$big\E\z/ ],
        [ request('PUT', '/put', $big), qr/\nmd5 $big_md5\n/ ],
        [ request('GET', "/big?size=$LARGE&chunked=1", ''), qr/\A\Q$big\E\z/ ],
        $get,
    ]);
}
