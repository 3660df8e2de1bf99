#!/usr/bin/perl

# atls_status: each reason of posts_total is counted, once, and is the value of
# $atls_post in the access log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Elsewhere qw( more_sockets sockets );
use Test::Atls::Forge;
use Test::Atls::Http qw( http_connect http_raw readable send_all );
use Test::Atls::Process qw( asleep );
use Test::Atls::Message;
use Test::Atls::Status qw( added reading status total );

my $ALERT = 21;
my $RECORD = "\x17\3\3\0\x20" . 'x' x 32;
my $TYPE = 'application/atls+octet-stream';

my %ELSEWHERE = (cut => 'metrics-ends.t',
                 'internal-error' => 'metrics-limits.t',
                 'half-open' => 'exported-refused.t',
                 'store-unreachable' => 'store-faults.t');

my %counted;
my $t = Test::Atls->new(workers => 1, client => { keepalive => 0 });

my $conf = http_conf(<<'EOC', events => 'worker_connections 64;');
%%CERTIFICATE%%
atls_handshake_timeout 10m;
atls_max_handshakes 2;
atls_zone posts:32k;

log_format  posts  '$atls_post $status';

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
        access_log %%TESTDIR%%/posts.log posts;
        client_max_body_size 20k;
        %%VERIFY%%
    }

    location = /other {
        atls on;
        access_log %%TESTDIR%%/posts.log posts;
        atls_handshake_timeout 1s;
    }

    location = /keys {
        atls on;
        access_log %%TESTDIR%%/posts.log posts;
        atls_exported_keys on;
        atls_ciphers ECDHE+AESGCM:ECDHE+AESCCM8:@SECLEVEL=0;
    }

    location /located {
        atls on;
        access_log %%TESTDIR%%/posts.log posts;
        atls_session_tracking location;
        atls_retry_buffer 100;
    }

    location = /raw {
        atls on;
        access_log %%TESTDIR%%/posts.log posts if=$atls_post;
        atls_payload raw;
        return 404;
    }

    location = /ok {
        return 200 ok;
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->write_conf($conf =~ s/%%VERIFY%%//r)->run();

requests();
handshakes();
sessions();
records();
messages();
unknown();
too_many();
full();
refused();
lost();
too_few();

my $s = status($t);

is_deeply([ grep { !$counted{$_} && !$ELSEWHERE{$_} }
            keys %{ $s->{posts_total} } ], [], 'all reasons were counted');
is($s->{post_duration_seconds}{count}, total($s->{posts_total}),
   'POSTs: by reason, in the histogram');
is(total($s->{posts_named_total}), total($s->{posts_total}),
   'by the place of the identifier');

for (sort keys %ELSEWHERE) {
    like($t->read_file("$FindBin::Bin/$ELSEWHERE{$_}"), qr/\b$_\b/,
         "$_ is in $ELSEWHERE{$_}");
}

$t->done_testing();


# What a function adds to posts_total, as "reason status", is what it adds to
# the access log.

sub counts {
    my ($code, @expected) = @_;

    my $before = () = $t->read_log('posts.log') =~ /\n/g;
    my ($posts) = added($t, $code, 'posts_total');
    my @lines = split /\n/, $t->read_log('posts.log');
    my @posts;

    for my $reason (keys %$posts) {
        my $n = $posts->{$reason};

        push @posts, map { ("$reason $_") x $n->{$_} } keys %$n;
        $counted{$reason} = 1;
    }

    is_deeply([ sort @posts ], [ sort @expected ], $expected[0]);
    is_deeply([ sort splice @lines, $before ], [ sort @expected ],
              '... in the access log');
}


sub requests {
    my $post = sub {
        my ($body, %headers) = @_;

        $headers{'Content-Length'} //= length $body unless
            $headers{'Transfer-Encoding'};

        http_raw($t->port(0), "POST /.well-known/atls HTTP/1.1\r\n"
                 . "Host: localhost\r\nConnection: close\r\n"
                 . join('', map { "$_: $headers{$_}\r\n" } keys %headers)
                 . "\r\n$body");
    };

    my @type = ('Content-Type' => $TYPE);
    my @chunked = (@type, 'Transfer-Encoding' => 'chunked');
    my $large = "\x16\3\1\x40\0\1" . 'x' x 30_000;

    counts(sub {
        http_raw($t->port(0), "GET /.well-known/atls HTTP/1.0\r\n\r\n");
    }, 'method 405');
    counts(sub { $post->('x') }, 'media-type 415');
    counts(sub { $post->('', @type) }, 'empty-body 400');
    counts(sub { $post->('no TLS', @type) }, 'not-tls 400');
    counts(sub { $post->("no chunk\r\n", @chunked) }, 'unreadable-body 400');
    counts(sub { $post->('x' x 30_000, @type) }, 'nginx 413');
    counts(sub { $post->(sprintf("%x\r\n%s\r\n0\r\n\r\n", length $large,
                                 $large), @chunked) }, 'too-large 413');
}


sub handshakes {
    my $c = $t->client();
    my $step = sub {
        $c->handshake_step();
        $c->exchange($c->tls_out());
    };

    counts($step, 'handshake 200');
    counts($step, 'opened 200');
    counts(sub {
        $t->client(protocol => 'TLSv1.1', ciphers => 'ALL:@SECLEVEL=0')
          ->handshake();
    }, 'handshake-failed 200');

    my $slow = $t->client(uri => '/other');
    my $s;

    $slow->handshake_step();

    counts(sub {
        $s = part($slow, substr $slow->tls_out(), 0, 50);
        $t->wait_for(sub { readable($s, 0) });
        close $s;
    }, 'handshake-timeout 410');
}


# A POST whose body is not complete.

sub part {
    my ($c, $bytes) = @_;

    my $s = http_connect($t->port(0));

    send_all($s, $c->format_post($bytes, 'Content-Length' => 1000));

    return $s;
}


sub sessions {
    my $c = $t->established();
    my $cookie = 'atls=' . $c->cookie();

    counts(sub { $c->get('/ok') }, 'served 200');
    counts(sub { $c->post('') }, 'idle 200');
    counts(sub { $c->request("GET /ok HTTP/1.1\r\nHo") }, 'parked 200');
    counts(sub { $c->request("st: localhost\r\n\r\n") }, 'served 200');
    $c->write_plain("GET /ok HTTP/1.1\r\nHo");

    my $record = $c->tls_out();

    counts(sub {
        my $s = part($c, $record);

        $t->wait_for(sub { reading($t)->{sessions}{busy} });
        $c->post('', cookie => $cookie);
        send_all($s, 'x' x (1000 - length $record));
        $t->wait_for(sub { readable($s, 0) });
        close $s;
    }, 'session-busy 409', 'record-refused 200');

    $c = $t->established();
    $cookie = 'atls=' . $c->cookie();

    counts(sub { $c->close_notify() }, 'closed 200');
    counts(sub { $c->post('', cookie => $cookie) }, 'session-unknown 410');
}


sub records {
    my $forge = Test::Atls::Forge->new();
    my $c = $t->established($forge->client_args());

    counts(sub { $c->exchange($forge->record($ALERT, "\2\x50")) }, 'alert 200');

    $c = $t->established();

    counts(sub { $c->post($RECORD) }, 'not-next 409');

    for (['/.well-known/atls', 'retried 200'],
         ['/located', 'answer-lost 410'])
    {
        my ($uri, $expected) = @$_;

        $c = $t->established(uri => $uri);
        $c->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");

        my $record = $c->tls_out();

        $c->post($record);
        counts(sub { $c->post($record) }, $expected);
    }

    $c = $t->established(uri => '/raw');

    counts(sub {
        $c->write_plain('data');
        $c->post($c->tls_out());
    }, 'payload-refused 502');
}


# Sessions of elsewhere, or of nowhere.

sub messages {
    my $get = "GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n";
    my $c = $t->established(uri => '/keys');
    my $m = Test::Atls::Message->new($c);
    my $message = $m->seal($get, number => 1);

    counts(sub { $m->post($message) for 1, 2 }, 'served 200',
           'message-repeated 409');
    counts(sub { $m->post(substr $m->seal($get, number => 2), 0, -1) },
           'message-refused 400');
    counts(sub { $m->post($message, headers => { 'Content-Encoding' => 'x' }) },
           'content-coding 415');

    $m = Test::Atls::Message->new(
        $t->established(uri => '/keys', protocol => 'TLSv1.2',
                        ciphers => 'ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0'));

    counts(sub { $m->post($m->seal($get)) }, 'keys-refused 403');
}


sub unknown {
    my $cookie = 'atls=' . $t->established()->cookie();

    counts(sub {
        $t->client(uri => '/other')->post($RECORD, cookie => $cookie);
    }, 'session-elsewhere 410');
    counts(sub {
        $t->client()->post($RECORD, cookie => 'atls=' . 'A' x 24);
    }, 'session-foreign 410');
    counts(sub { $t->client()->post($RECORD) }, 'no-cookie 410');
    counts(sub { $t->client(uri => '/located')->post($RECORD) },
           'no-location 410');
}


sub too_many {
    my @c = map { $t->half_open() } 1 .. 2;

    counts(sub {
        my $c = $t->client();

        $c->handshake_step();
        $c->exchange($c->tls_out());
    }, 'too-many-handshakes 503');

    $_->handshake() for @c;
}


# A part of a record for which there is no room: idle sessions are not evicted
# for it.

sub full {
    $t->established() for 1 .. 60;

    my $c = $t->established();
    my $ended;

    counts(sub {
        ($ended) = added($t, sub {
            $c->post("\x17\3\3\x40\0" . 'x' x 16_000);
        }, 'sessions_ended_total');
    }, 'zone-full 503');

    is_deeply($ended, {}, '... and its session goes on');
}


# Clients must have a certificate from now on.

sub refused {
    my $c = $t->established();

    $t->write_conf($conf =~ s!%%VERIFY%%!
        atls_verify_client on;
        atls_client_certificate %%TESTDIR%%/localhost.crt;!r)->reload();

    counts(sub { $c->get('/ok') }, 'session-refused 410');
}


sub lost {
    my $c = $t->half_open(uri => '/located');
    my ($old) = $t->workers();

    $t->allow_kills();
    kill 'KILL', $old;
    $t->wait_for(sub { my ($new) = $t->workers(); $new && $new != $old });

    counts(sub { $c->post($RECORD) }, 'session-lost 410');
}


# A request without a connection: others are in their headers, so that they are
# not closed to make room.

sub too_few {
    my $c = $t->established(uri => '/located');
    my ($worker) = $t->workers();
    my @others;

    $c->write_plain("GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my $s = http_connect($t->port(0));
    my ($head, $rest) = $c->format_post($c->tls_out()) =~ /^(.*?\r\n)(.*)/s;

    send_all($s, $head);
    $t->allow_log(qr/worker_connections are not enough/);

    counts(sub {
        for (1 .. 100) {
            my @before = sockets($worker);
            my $other = http_connect($t->port(0));

            send_all($other, "GET / HTTP/1.1\r\n");
            $t->wait_for(sub { readable($other, 0)
                               || more_sockets($worker, \@before)
                                  && asleep($worker) });
            last if readable($other, 0);
            push @others, $other;
        }

        send_all($s, $rest);
        $t->wait_for(sub { readable($s, 0) });
        close $s;
        @others = ();
        $t->wait_for(sub { eval { reading($t) } });
    }, 'too-few-connections 503');
}
