#!/usr/bin/perl

# atls_status: why sessions end, for those that are not ended by a record.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( http_connect send_all );
use Test::Atls::Status qw( added reading status total );

my %KEYS = (alice => '11' x 16, bob => '22' x 16);

my $t = Test::Atls->new(workers => 2);

Test::Atls::Backend->start($t, $t->port(1));

my $conf = http_conf(<<'EOC', main => 'worker_shutdown_timeout 1s;');
%%CERTIFICATE%%
atls_handshake_timeout 10m;
atls_zone small:%%SIZE%%;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
        client_max_body_size 10k;
    }

    location = /short {
        atls on;
        atls_session_lifetime 2s;
    }

    location = /half {
        atls on;
        atls_handshake_timeout 1s;
    }

    location = /psk {
        atls on;
        atls_psk_file %%TESTDIR%%/psk;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /status {
        atls_status;
    }
}
EOC

psks('alice', 'bob');
$t->write_conf($conf =~ s/%%SIZE%%/1m/r)->run();

lifetime();
handshake_timeout();
cut_post();
cut_response();
too_large();
shutdown_timeout();
policy();
lost();
resized();
evicted();

my $s = status($t);

is(total($s->{sessions}),
   $s->{sessions_started_total} - total($s->{sessions_ended_total}),
   'sessions: started, less ended');

$t->done_testing();


sub psks {
    $t->write_file('psk', join '', map { "$_:$KEYS{$_}\n" } @_);
}


# The reasons of sessions that end while a function runs, or soon after.

sub ended {
    my ($code, @names) = @_;

    return added($t, sub {
        my $before = total(status($t)->{sessions_ended_total});

        $code->();

        $t->wait_for(sub {
            total(reading($t)->{sessions_ended_total}) > $before
        });
    }, 'sessions_ended_total', @names);
}


sub lifetime {
    my ($ended) = ended(sub { $t->established(uri => '/short') });

    is_deeply($ended, { lifetime => 1 }, 'lifetime');
}


sub handshake_timeout {
    my ($ended, $handshakes) = ended(sub { $t->half_open(uri => '/half') },
                                     'handshakes_total');

    is_deeply($ended, { 'handshake-timeout' => 1 }, 'a handshake');
    is_deeply($handshakes, { 'timed-out' => 1 }, 'timed out');
}


# While its request is processed.

sub cut_post {
    my $c = $t->established();

    my ($ended, $posts) = ended(sub {
        $c->write_plain("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n");

        my $bytes = $c->tls_out() . "\x17\3\3\1\0";
        my $s = http_connect($t->port(0));

        send_all($s, $c->format_post($bytes,
                                     'Content-Length' => 256 + length $bytes));
        $t->wait_for(sub { reading($t)->{sessions}{busy} == 1 });
        close $s;
    }, 'posts_total');

    is_deeply($ended, { 'post-cut' => 1 }, 'a POST is cut');
    is_deeply($posts, { nginx => { 400 => 1 } }, 'answered by nginx');
}


sub cut_response {
    my $c = $t->established();

    my ($ended, $posts) = ended(sub {
        $c->write_plain("GET /big?size=50000000 HTTP/1.1\r\n"
                        . "Host: localhost\r\n\r\n");

        my $s = http_connect($t->port(0));

        send_all($s, $c->format_post($c->tls_out()));
        $s->sysread(my $bytes, 1000);
        close $s;
    }, 'posts_total');

    is_deeply($ended, { 'response-cut' => 1 }, 'a response is cut');
    is_deeply($posts, { cut => { 200 => 1 } }, 'its POST');

    # the client knows that it is incomplete

    $c = $t->established();

    ($ended, $posts) = ended(sub { $c->get('/die') }, 'posts_total');

    is_deeply($ended, { 'inner-close' => 1 }, 'the service cuts it');
    is_deeply($posts, { served => { 200 => 1 } }, 'its POST');
}


# By the module or by core.  It is counted when the connection is closed, which
# is not at once: the client is still sending.

sub too_large {
    my $c = $t->established(outer => 'http11-chunked');

    my $refused = sub {
        my $posts = reading($t)->{posts_total};
        return $posts->{'too-large'}{413} || $posts->{nginx}{413};
    };

    $c->write_plain("GET / HTTP/1.1\r\nHo");

    my @pieces = ($c->tls_out(), "\x17\3\3\x40\0" . 'x' x 16379);

    my ($ended) = ended(sub {
        $c->post(sub {
            $t->wait_for(sub { reading($t)->{sessions}{busy} }) if @pieces == 1;
            return shift @pieces;
        });
        undef $c;
        $t->wait_for($refused);
    });

    is_deeply($ended, { 'post-cut' => 1 }, 'a POST is too large');
    is($refused->(), 1, 'its status');
}


sub shutdown_timeout {
    my $half = $t->half_open();

    my ($ended, $handshakes) = ended(sub { $t->reload() }, 'handshakes_total');

    is_deeply($ended, { shutdown => 1 }, 'a worker exits');
    is_deeply($handshakes, { aborted => 1 }, 'a handshake is aborted');
}


sub policy {
    my $c = $t->established(uri => '/psk', protocol => 'TLSv1.2',
                            ciphers => 'PSK', psk => [ 'alice', $KEYS{alice} ]);

    psks('bob');
    $t->reload();

    my ($ended, $posts) = ended(sub { $c->get('/echo') }, 'posts_total');

    is_deeply($ended, { policy => 1 }, 'a key is withdrawn');
    is_deeply($posts, { 'session-refused' => { 410 => 1 } }, 'its POST');
}


# A handshake, a part of a request, and a POST in progress.

sub lost {
    my @c = ($t->half_open(), $t->established(), $t->established());

    $t->allow_kills();
    $c[1]->request("GET / HTTP/1.1\r\nHo");
    $c[2]->write_plain("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n");

    my ($ended, $handshakes) = added($t, sub {
        $c[2]->post_send($c[2]->tls_out());
        $t->wait_for(sub { reading($t)->{sessions}{busy} == 1 });

        my @old = $t->workers();

        kill 'KILL', @old;
        $t->wait_for(sub {
            my %new = map { $_ => 1 } $t->workers();
            return %new && !grep { $new{$_} } @old;
        });

        $t->wait_for(sub { total(reading($t)->{sessions}) == 0 });
    }, qw( sessions_ended_total handshakes_total ));

    is_deeply($ended, { lost => 3 }, 'workers are killed');
    is_deeply($handshakes, { }, 'nobody is left to count the handshake');
}


# The sessions of a zone are lost with it, and so are their numbers.  Those of
# POSTs are not.

sub resized {
    my $before = status($t);

    $t->write_conf($conf =~ s/%%SIZE%%/32k/r)->reload();

    my $s = status($t);

    is($s->{sessions_started_total}, 0, 'a new zone');
    is(total($s->{posts_total}), total($before->{posts_total}),
       'the other counters are kept');
}


sub evicted {
    my ($ended, $evicted) = ended(sub {
        $t->established() for 1 .. 80;
    }, 'sessions_evicted_total');

    my $n = $ended->{evicted};

    cmp_ok($n, '>', 0, 'sessions are evicted');
    is_deeply($ended, { evicted => $n }, 'only these');
    is_deeply($evicted, { idle => $n }, 'they were idle');
    is(status($t)->{zone_entries}{session}, 80 - $n, 'the others are there');
}
