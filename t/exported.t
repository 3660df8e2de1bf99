#!/usr/bin/perl

# Requests with exported keys: each POST is a message with a whole request, and
# is served like any other inner request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use IO::Socket::INET;
use Socket qw( SHUT_WR );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( read_all readable );
use Test::Atls::Message;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience );

my $t = Test::Atls->new();
my $h2 = $t->has_option('http_v2_module');
my $file = pattern(1_000_000);

$t->write_file('file', $file);

# on a busy machine, a handshake may take long

$t->write_http(<<'EOC' =~ s/%%HTTP2%%/$h2 ? 'listen 127.0.0.1:%%PORT_2%% http2;' : ''/er);
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%

atls_exported_keys on;
atls_handshake_timeout 5m;
gzip on;
gzip_types *;
gzip_min_length 1;

log_format inner '$atls $request $status $atls_session_requests $remote_addr';
log_format outer '$atls_post $atls_post_named $atls_post_session '
                 '$atls_post_records_in $atls_post_bytes_in $status';

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_3%% ssl;
    %%HTTP2%%
    server_name localhost;

    client_max_body_size 2m;
    access_log %%TESTDIR%%/access.log inner;

    location /.well-known/atls {
        atls on;
        atls_session_tracking both;
        keepalive_timeout 0;
        access_log %%TESTDIR%%/outer.log outer;
    }

    location /uri {
        atls on;
        atls_session_tracking location;
    }

    location /small {
        atls on;
        atls_buffer_size 1000;
    }

    location /pinned {
        atls on;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_set_header X-Requests $atls_session_requests;
    }

    location = /variables {
        return 200 "$atls|$atls_protocol|$atls_cipher|$atls_server_name|$atls_exporter|$atls_session_id|$atls_session_requests|$atls_early_data|$scheme|$https|$host|$remote_addr";
    }

    location /file {
        gzip off;
    }

    location = /none {
        return 444;
    }

    location /missing/ { }

    location = /redirect {
        return 302 /elsewhere;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_request_buffering off;
    }

    location /stream {
        proxy_pass http://127.0.0.1:%%PORT_4%%;
        proxy_buffering off;
    }

    location /upgrade {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my $go = $t->path('go');

$t->run_daemon(\&stream_server, port => $t->port(4));

for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
    my $c = $t->established(protocol => $protocol);
    my $m = Test::Atls::Message->new($c);

    variables($m, $protocol);
    methods($m, $protocol);
    records($m, $protocol);
    bodies($m, $protocol);
    one_request($m, $protocol);
    beside_records($c, $m, $protocol);
}

names();
outer_versions();
buffer_size();
streaming();
logs();
page();

$t->done_testing();


sub client { Test::Atls::Message->new($t->established(@_)) }


sub variables {
    my ($m, $name) = @_;

    my $c = $m->{client};
    my $r = $c->get('/variables');
    my @records = split /\|/, $r->body();

    $r = $m->get('/variables') or return fail("$name: " . $m->error());
    my @message = split /\|/, $r->body();

    is($message[0], 'on', "$name: \$atls");
    is($message[6], 2, "$name: \$atls_session_requests");

    $message[6]--;
    is("@message", "@records", "$name: the variables of a request in records");

    my $outer = $m->last_response();

    is($outer->header('Content-Type'), 'message/http', "$name: media type");
    is($outer->header('Content-Encoding'), 'aes128gcm', "$name: coding");
    is($outer->header('Cache-Control'), 'no-store', "$name: not cached");
    ok($outer->header('Content-Length'), "$name: the length is known");

    my ($plain) = $m->open($outer->body(), 0);
    cmp_ok(length $outer->body(), '==',
           21 + length($m->id() . '.0') + length($plain) + 17,
           "$name: a single record without padding");
}


sub methods {
    my ($m, $name) = @_;

    my $r = $m->http(Test::Atls::Client::format_request('HEAD', '/file', ''));
    ok($r && $r->status() == 200 && $r->body() eq ''
       && $r->header('Content-Length') == length $file, "$name: HEAD");

    $r = $m->get('/missing/x');
    is($r && $r->status(), 404, "$name: 404");

    $r = $m->get('/redirect');
    is($r && $r->header('Location'), '/elsewhere', "$name: redirect");

    $r = $m->get('/file', Range => 'bytes=10-19');
    is($r && $r->status() . $r->body(), '206' . substr($file, 10, 10),
       "$name: range");

    $r = $m->http("GET / HTTP/1.1\r\n\r\n");
    is($r && $r->status(), 400, "$name: no Host");

    $r = $m->http("nonsense\r\n\r\n");
    is($r && $r->status(), 400, "$name: nonsense");

    $r = $m->http("GET /variables HTTP/1.0\r\nHost: localhost\r\n\r\n");
    is($r && $r->status(), 200, "$name: HTTP/1.0");

    is($m->exchange("GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n"), '',
       "$name: 444: an empty message");
    is($m->error(), '', "$name: which is complete");

    is($m->exchange(''), '', "$name: an empty message gets an empty one");
    is($m->error(), '', "$name: which is complete, too");

    $r = $m->get('/upgrade', Upgrade => 'websocket', Connection => 'upgrade');
    is($r && $r->status(), 501, "$name: an upgrade is refused");

    # as over TCP

    $r = $m->get('/die');
    ok($r && !$r->done() && $m->error() eq '',
       "$name: a response that is cut by the backend");

    cut($m, $name);
}


# The client closes its side of the connection within a response.  Somebody on
# the path can do that, too: the last record is missing.

sub cut {
    my ($m, $name) = @_;

    my $number = $m->next_number();
    my $get = Test::Atls::Client::format_request('GET', '/slow?n=1000', '');
    my $http = $m->post_send($m->seal($get, number => $number));
    my $s = $http->{socket};
    my $got = '';

    # more than the header: a record

    while ($got !~ /\r\n\r\n.{100}/s) {
        sysread $s, $got, 65536, length $got or last;
    }

    shutdown $s, SHUT_WR;

    my ($r) = parse_responses($got . read_all($s), 'POST');
    my ($plain, $whole) = $m->open($r->body(), $number);

    like($plain, qr!^HTTP/1\.1 200 !, "$name: a response that begins");
    ok(!$whole, "$name: and is cut");
}


# Records of any size, with any padding.

sub records {
    my ($m, $name) = @_;

    my $get = Test::Atls::Client::format_request('GET', '/', '');

    for my $size (18, 19, 100, 4096, 16401) {
        my $r = $m->http($get, size => $size);
        is($r && $r->status(), 200, "$name: record size $size");
        is($m->{answer_size}, $size < 529 ? 529 : $size,
           "$name: that of the response");
    }

    my $r = $m->http($get, size => 50, piece => 7);
    is($r && $r->status(), 200, "$name: padded records");

    my @records = ("\1" . "\0" x 83, @{Test::Atls::Message::records($get, 100)});
    $r = $m->http($get, size => 100, records => \@records);
    is($r && $r->status(), 200, "$name: a record without data");

    $records[-1] =~ s/\x02\z/\x01/;
    $records[-1] .= "\0" x (84 - length $records[-1]);
    $r = $m->http($get, size => 100, records => [ @records, "\2" ]);
    is($r && $r->status(), 200, "$name: the last one without data");

    $r = $m->http($get, size => 16401, records => [ "$get\2" . "\0" x 16000 ]);
    is($r && $r->status(), 200, "$name: a padded last one");
}


sub bodies {
    my ($m, $name) = @_;

    my $r = $m->get('/file');
    ok($r && $r->body() eq $file, "$name: a file") or diag($m->error());

    my ($plain, $whole, $sizes) = $m->open_records($m->last_response()->body(),
                                                   $m->{number} - 1);
    my %sizes = map { $_ => 1 } @$sizes[0 .. $#$sizes - 1];
    is(join(' ', keys %sizes), 4079, "$name: in full records");

    $r = $m->get('/big?size=300000&chunked=1');
    ok($r && $r->body() eq pattern(300000), "$name: a chunked response");

    $r = $m->get('/eof');
    ok($r && $r->status() == 200 && $r->body() ne '',
       "$name: a response without a length");

    for my $size (1, 5000, 1_000_000) {
        my $body = pattern($size);

        $r = $m->http(Test::Atls::Client::format_request('POST', '/echo',
                                                         $body));
        like($r && $r->body(), qr/^length $size\nmd5 \Q${\md5_hex($body)}\E/m,
             "$name: a request body of $size bytes");
    }

    $r = $m->http("POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                  . "Transfer-Encoding: chunked\r\n\r\n"
                  . "4\r\nbody\r\n0\r\n\r\n");
    like($r && $r->body(), qr/^length 4$/m, "$name: a chunked request body");

    $r = $m->http("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                  . "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nbody");
    is($r && "@{$r->interim()} " . $r->body(), '100 body',
       "$name: 100 Continue");

    $r = $m->http(Test::Atls::Client::format_request('POST', '/echo',
                                                     'x' x (2 << 20)));
    is($m->error(), '413', "$name: a POST that is too large");

    $r = $m->http("POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                  . "Content-Length: 3000000\r\n\r\n");
    is($r && $r->status(), 413, "$name: a request body that is too large");
}


# What follows the request in a message is not a request.

sub one_request {
    my ($m, $name) = @_;

    my $get = Test::Atls::Client::format_request('GET', '/variables', '');

    $t->read_log('access.log');
    my $before = () = $t->read_file('access.log') =~ m!/variables!g;

    my $r = $m->http($get . $get);
    is($r && $r->status(), 200, "$name: two requests in a message");
    is($r && $r->header('Connection'), 'close', "$name: the first one is last");

    my ($plain) = $m->open($m->last_response()->body(), $m->{number} - 1);
    is(scalar(parse_responses($plain)), 1, "$name: one response");

    my $after = () = $t->read_log('access.log') =~ m!/variables!g;
    is($after, $before + 1, "$name: one request was served");
}


# Both can be used in a session, also at once.

sub beside_records {
    my ($c, $m, $name) = @_;

    my $r = $c->get('/variables');
    is($r && $r->status(), 200, "$name: records of the same session");

    $c->write_plain("POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 4\r\n\r\nbo");
    $c->exchange($c->tls_out());

    $r = $m->get('/variables');
    is($r && $r->status(), 200, "$name: while a request is parked");

    $r = $c->http('dy');
    like($r && $r->body(), qr/^length 4$/m, "$name: which goes on");

    $c->close_notify();
    $m->get('/variables');
    is($m->error(), '410 session-unknown', "$name: close_notify ends both");
}


# The keyid names the session, whatever the URI and the cookie are.

sub names {
    my $m = client(uri => '/uri');
    my $id = $m->id();

    like($m->{outer}{uri}, qr!^/uri/\Q$id\E\z!, 'a session with a URI');

    for my $uri ("/uri/$id", '/uri', '/uri/', '/uri/AAAAAAAAAAAAAAAAAAAAAAAA') {
        my $get = Test::Atls::Client::format_request('GET', '/', '');
        my $r = $m->http($get, uri => $uri);

        is($r && $r->status(), 200, "a POST to $uri") or diag($m->error());
    }

    my ($one, $two) = (client(), client());
    my $cookie = 'atls=' . $two->id();
    my $get = Test::Atls::Client::format_request('GET', '/variables', '');
    my $r = $one->http($get, headers => { Cookie => $cookie });

    is($r && (split /\|/, $r->body())[6], 1, "with another session's cookie");
    is($one->last_response()->header('Set-Cookie'), undef,
       'which is not renewed');

    $r = $two->get('/variables');
    is($r && (split /\|/, $r->body())[6], 1, "the other one isn't used");

    $one->{client}->close_notify();
    $one->http($get, headers => { Cookie => $cookie });
    is($one->error(), '410 session-unknown', 'an unknown session');
    is($one->last_response()->header('Set-Cookie'), undef,
       "another session's cookie does not expire");

    my $own = 'atls=' . $one->id();
    $one->http($get, headers => { Cookie => $own });
    like($one->last_response()->header('Set-Cookie'),
         qr/^atls=;.*Max-Age=0/, 'its own one does');

    $m = client(uri => '/pinned');
    $r = $m->get('/any');
    is($r && $r->status(), 200, 'a pinned endpoint');
}


sub outer_versions {
    my $get = Test::Atls::Client::format_request('POST', '/echo', pattern(9999));

    for my $version (qw( http10 http11 http11-chunked )) {
        my $m = client();

        for (1 .. 2) {
            my $r = $m->http($get, version => $version);
            like($r && $r->body(), qr/^length 9999$/m, "over $version")
                or diag($m->error());
        }
    }

    my $m = client();
    my $r = $m->http($get, tls => 1, port => $t->port(3));
    like($r && $r->body(), qr/^length 9999$/m, 'over TLS');

    SKIP: {
        skip 'no HTTP/2', 1 unless $h2;

        require Test::Atls::OuterCurl;

        my $number = $m->next_number();
        my $http = Test::Atls::OuterCurl->new(%{$m->{outer}}, version => 'h2',
                                              port => $t->port(2));
        my $o = $http->post($m->seal($get, number => $number),
                            { 'Content-Type' => 'message/http',
                              'Content-Encoding' => 'aes128gcm' });
        my ($plain) = $m->open($o ? $o->body() : '', $number);

        like($plain, qr/^length 9999$/m, 'over HTTP/2');
        $http->close();
    }
}


sub buffer_size {
    my $m = client(uri => '/small');

    for my $size (100, 800, 16401) {
        my $get = Test::Atls::Client::format_request('GET', '/file', '');
        my $r = $m->http($get, size => $size);

        ok($r && $r->body() eq $file, "atls_buffer_size, size $size");
        is($m->{answer_size}, $size < 529 ? 529 : $size > 1017 ? 1017 : $size,
           'the size of its records');
    }
}


# A part of a response, and of a request body, is passed on as soon as it is
# there.

sub stream_server {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       LocalPort => $t->port(4), Listen => 5,
                                       ReuseAddr => 1) or die "listen: $!\n";

    while (my $s = $listen->accept()) {
        my $head = '';

        while ($head !~ /\r\n\r\n/) {
            sysread $s, $head, 4096, length $head or last;
        }

        next if $head eq '';

        syswrite $s, "HTTP/1.0 200 OK\r\n\r\nfirst\n";
        $t->wait_for(sub { -e $go });
        syswrite $s, "second\n";
        close $s;
    }
}


sub streaming {
    my $m = client();
    my $number = $m->next_number();
    my $got = '';

    my $r = $m->post($m->seal(Test::Atls::Client::format_request(
                                  'GET', '/stream', ''), number => $number),
                     on_body => sub {
                         $got .= $_[0];
                         my ($plain, $whole) = $m->open($got, $number);

                         return if -e $go || ($plain // '') !~ /first\n/;
                         ok(!$whole, 'a part of a response');
                         $t->write_file('go', '');
                     });

    my ($plain, $whole) = $m->open($got, $number);

    ok($r && $whole && $plain =~ /first\n.*second\n/s, 'and the rest of it');

    # the backend responds before the end of the body

    $number = $m->next_number();
    my $request = $m->seal("POST /early HTTP/1.1\r\nHost: localhost\r\n"
                           . "Content-Length: 10000\r\n\r\n" . 'x' x 10000,
                           number => $number, size => 1000);
    my $http = $m->post_send(substr($request, 0, 5000),
                             headers => { 'Content-Length' => length $request });

    my $s = $http->{socket};
    my $answer = '';

    ok(readable($s, patience()),
       'a response before the end of the request');
    sysread $s, $answer, 65536;
    like($answer, qr!^HTTP/1.1 200 !, 'its status');
    $http->close();
}


# The example of docs/protocol.md.

sub page {
    open my $fh, '<', $t->root() . '/docs/protocol.md' or die "$!\n";
    my ($block) = join('', <$fh>) =~ /^(IKM  .*?)^```/ms;

    my %have = map { $_ => $block =~ /^$_ +((?:[0-9a-f]+\s+)+)/m
                           ? pack('H*', $1 =~ s/\s+//gr) : '' }
               qw( IKM salt CEK nonce plaintext message );
    my ($key, $nonce) = Test::Atls::Message::derive(@have{qw( IKM salt )}, 0);

    is(unpack('H*', $key), unpack('H*', $have{CEK}), 'the page: CEK');
    is(unpack('H*', $nonce), unpack('H*', $have{nonce}), 'the page: nonce');

    my $message = Test::Atls::Message::header($have{salt}, 4096,
                                              'vGO9HdeKv3C4DGnoafspTwJx.7')
                  . Test::Atls::Message::gcm('seal', $key, $nonce,
                                             $have{plaintext});

    is(unpack('H*', $message), unpack('H*', $have{message}),
       'the page: message');
}


sub logs {
    my $outer = $t->read_log('outer.log');
    my $inner = $t->read_file('access.log');

    like($outer, qr/^served keyid [0-9a-f]{32} 1 \d+ 200$/m, 'outer log');
    like($outer, qr/^idle keyid [0-9a-f]{32} 1 0 200$/m, 'an empty message');
    like($outer, qr/^cut keyid [0-9a-f]{32} 1 \d+ 200$/m, 'a cut response');
    like($inner, qr!^on GET /redirect HTTP/1.1 302 \d+ 127.0.0.1$!m,
         'inner log');
}
