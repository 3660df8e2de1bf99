package Test::Atls::Http3;

# Sites with HTTP/3, and a proxy with which any client uses it: all POSTs of all
# clients are streams of one connection (t/bin/h3_proxy.py, with aioquic).
#
#     plan(skip_all => 'no HTTP/3') unless Test::Atls::Http3::nginx($t);
#
#     $t->write_http(Test::Atls::Http3::site($servers));
#
#     my $proxy = Test::Atls::Http3->new($t, $t->port(0), '127.0.0.1');
#     my $c = $t->client(port => $proxy->port());
#     $proxy->control('close');

use strict;
use warnings;

use Digest::MD5 qw( md5_hex );
use FindBin;
use Test::More;

use Test::Atls::Client;
use Test::Atls::Http qw( http_raw );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Port qw( free_port );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( slow );


sub nginx { $_[0]->has_option('http_v3_module') }
sub aioquic { system('python3 -c "import aioquic" 2>/dev/null') == 0 }


# The endpoint, a raw one, and services of a Test::Atls::Backend on port 9.  If
# the end of a connection is lost, a worker waits for it.

sub site {
    my ($servers) = @_;

    my $idle = sprintf '%dms', 60_000 * slow();

    return <<"EOC";
%%SSL_CERTIFICATE%%
%%CERTIFICATE%%

client_max_body_size 0;
keepalive_timeout $idle;

log_format outer '\$status \$server_protocol \$remote_port \$pid';
log_format inner '\$status \$request_uri \$request_completion';

$servers
EOC
}


sub locations {
    return <<'EOC';
location /.well-known/atls {
    atls on;
    access_log %%TESTDIR%%/outer.log outer;
}

location /raw {
    atls on;
    atls_payload raw;
    proxy_pass http://127.0.0.1:%%PORT_9%%/body;
}

location / {
    proxy_pass http://127.0.0.1:%%PORT_9%%;
    proxy_http_version 1.1;
    proxy_request_buffering off;
    access_log %%TESTDIR%%/inner.log inner;
}

location /goes-on {
    proxy_pass http://127.0.0.1:%%PORT_9%%/wait;
    proxy_ignore_client_abort on;
}

location /forbidden {
    return 403 "no\n";
}

location /about {
    return 200 "$remote_addr:$remote_port $server_addr $server_port $scheme|";
}

location /who {
    return 200 "$server_name $pid|";
}
EOC
}


sub new {
    my ($class, $t, $port, $address) = @_;

    my $listen = free_port();

    $t->run_daemon([ 'python3', "$FindBin::Bin/bin/h3_proxy.py", $listen, $port,
                     $address ], port => $listen);

    return bless { port => $listen }, $class;
}


sub port { $_[0]{port} }


# What t/bin/h3_proxy.py can be asked for.

sub control {
    my ($self, $what) = @_;

    return http_raw($self->{port}, "GET /-/$what HTTP/1.1\r\nHost: x\r\n\r\n",
                    answers => 1);
}


sub request { return Test::Atls::Client::format_request(@_) }


# Handshake, GET, POST, a large response, several requests in one POST.

sub exchanges {
    my ($t, %args) = @_;

    my $c = $t->client(%args);

    ok($c->handshake(), 'handshake') or diag($c->error());
    is($c->last_response()->header('Content-Type'),
       'application/atls+octet-stream', 'media type');
    is($c->last_response()->header('Cache-Control'), 'no-store',
       'Cache-Control');
    like($c->set_cookie(), qr/; HttpOnly; Max-Age=\d+; Secure$/, 'cookie');

    my $r = $c->get('/echo', 'X-Test' => 'inside');

    is($r && $r->status(), 200, 'GET');
    like($r ? $r->body() : '', qr/^X-Test: inside$/m, 'what the backend saw');

    my $body = pattern(100_000);

    $r = $c->http(request('POST', '/body', $body));
    is($r && md5_hex($r->body()), md5_hex($body), 'POST');

    $r = $c->get('/big?size=1048576');
    is($r && md5_hex($r->body()), pattern_md5(1048576), '1 MB');

    my @responses = parse_responses($c->request(join '', map {
                        request('GET', "/echo?n=$_", '')
                    } 1 .. 3));

    is(join(' ', map { $_->body() =~ /n=(\d)/ } @responses), '1 2 3',
       'three requests in one POST');
    is($c->error(), '', 'no error');
}


# An upload of so many bytes to /echo, in one POST unless the client's "outer"
# says otherwise.  Returns the responses.

sub upload {
    my ($c, $size, %args) = @_;

    my $at = 0;
    my $uri = $args{uri} || '/echo';

    return $c->upload("POST $uri HTTP/1.1\r\nHost: localhost\r\n"
                      . "Content-Length: $size\r\n\r\n", sub {
        return undef if $at >= $size;
        $args{at}->($at) if $args{at};

        my $left = $size - $at;
        my $piece = pattern($left < 262144 ? $left : 262144, $at);

        $at += length $piece;
        return $piece;
    });
}


1;
