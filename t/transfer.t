# Large transfers are complete, streamed, and use constant memory.

use strict;
use warnings;

use Digest::MD5;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( send_all );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Serve qw( read_request serve );


my $MB = 1 << 20;

# with valgrind or a sanitizer, smaller ones

my $slow = $ENV{TEST_NGINX_SLOW} || 1;
my $download = $slow > 1 ? 64 * $MB : 1024 * $MB;
my $upload = $slow > 1 ? 16 * $MB : 256 * $MB;

my $t = Test::Atls->new(workers => 1);

my $port = $t->port(1);
my $backend = Test::Atls::Backend->start($t, $port);

$t->write_http(<<"EOC");
%%CERTIFICATE%%

client_max_body_size  0;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass               http://127.0.0.1:$port;
        proxy_http_version       1.1;
        proxy_request_buffering  off;
        proxy_max_temp_file_size 0;
    }

    location = /in-turn {
        proxy_pass          http://127.0.0.1:%%PORT_2%%;
        proxy_http_version  1.1;
    }
}
EOC

$t->run();


# a download by a client that is slower than the backend

{
    my $c = client();

    # allocates memory that is reused

    fetch($c, 4 * $MB);

    my ($before) = memory();
    my $peak = 0;
    my $got = 0;
    my $early;
    my $md5 = Digest::MD5->new();

    # TEST_NGINX_LONG: the full size, which takes 100 seconds

    my $size = $slow > 1 || $ENV{TEST_NGINX_LONG} ? $download : 100 * $MB;

    my $r = $c->download(get("/big?size=$size"), sub {
        $md5->add($_[0]);
        $got += length $_[0];

        if ($got > $size / 2 && !$peak || $got == $size) {
            my ($now) = memory();
            $peak = $now if $now > $peak;
        }
    }, rate => 10 * $MB);

    is($r && $r->status(), 200, 'slow download');
    is($got, $size, 'slow download: length');
    is($md5->hexdigest(), pattern_md5($size), 'slow download: checksum');

    SKIP: {
        skip 'memory is not nginx\'s own here', 1 if $slow > 1;

        cmp_ok($peak - $before, '<', 4 * 1024, 'memory is constant')
            or diag("from $before to $peak kB");
    }

    is(text($c, '/echo'), 200, 'the session goes on');
}

{
    my $c = client();
    my ($before) = memory();
    my ($r, $got, $md5) = fetch($c, $download);
    my ($after) = memory();

    is($r && $r->status(), 200, 'large download');
    is($got, $download, 'large download: length');
    is($md5, pattern_md5($download), 'large download: checksum');

    SKIP: {
        skip 'memory is not nginx\'s own here', 1 if $slow > 1;

        cmp_ok($after - $before, '<', 4 * 1024, 'memory is constant')
            or diag("from $before to $after kB");
    }
}

# the response begins before that of the backend ends

{
    $t->run_daemon(sub { serve($t->port(2), \&in_turn) }, port => $t->port(2));

    my $c = client();
    my $got = '';

    my $r = $c->download(get('/in-turn'), sub {
        $got .= $_[0];
        $t->write_file('received-' . ($got =~ tr/\n//), '');
    });

    is($r && $r->status(), 200, 'streaming');
    is($got, "line 1\nline 2\nline 3\n", 'lines come as they are made');
}

# an upload in one POST

for my $outer ('http11-chunked', 'http11') {
    my $c = client(outer => $outer);
    my $size = $outer eq 'http11' ? 8 * $MB : $upload;

    my $answer = $outer eq 'http11' ? upload_whole($c, $size)
                                    : upload_stream($c, $size);

    my ($status) = $answer =~ m{^HTTP/1.1 (\d+)};
    is($status, 200, "upload, $outer");

    my ($request) = grep { $_->{method} eq 'PUT' } $backend->requests();
    is($request->{length}, $size, "upload, $outer: length");
    is($request->{md5}, pattern_md5($size), "upload, $outer: checksum");

    $backend->forget();
}

$t->done_testing();


# A backend that sends each line when the one before it was received.

sub in_turn {
    my ($s) = @_;

    my ($head) = read_request($s) or return;
    send_all($s, "HTTP/1.1 200 OK\r\nX-Accel-Buffering: no\r\n"
                 . "Connection: close\r\n\r\nline 1\n");

    for my $n (1, 2) {
        $t->wait_for(sub { -e $t->path("received-$n") }) or return;
        send_all($s, 'line ' . ($n + 1) . "\n");
    }
}


sub client {
    my (%args) = @_;

    my $c = $t->client(timeout => 120, %args);
    $c->handshake() or diag($c->error());

    return $c;
}


sub get { "GET $_[0] HTTP/1.1\r\nHost: localhost\r\n\r\n" }


sub text {
    my ($c, $uri) = @_;

    my $r = $c->get($uri);

    return $r ? $r->status() : 'no answer';
}


sub fetch {
    my ($c, $size) = @_;

    my $got = 0;
    my $md5 = Digest::MD5->new();

    my $r = $c->download(get("/big?size=$size"), sub {
        $md5->add($_[0]);
        $got += length $_[0];
    });

    return ($r, $got, $md5->hexdigest());
}


sub upload_head {
    my ($size) = @_;

    return "PUT /echo HTTP/1.1\r\nHost: localhost\r\n"
           . "Content-Length: $size\r\n\r\n";
}


sub upload_stream {
    my ($c, $size) = @_;

    my $at = 0;

    return $c->upload(upload_head($size), sub {
        return undef if $at == $size;
        my $n = $size - $at < 65536 ? $size - $at : 65536;
        my $piece = pattern($n, $at);
        $at += $n;
        return $piece;
    });
}


sub upload_whole {
    my ($c, $size) = @_;

    return $c->request(upload_head($size) . pattern($size));
}


# resident memory of the worker in kB

sub memory {
    my ($pid) = $t->workers();

    open my $f, '<', "/proc/$pid/status" or return 0;

    return map { /^RssAnon:\s+(\d+)/ ? $1 : () } <$f>;
}
