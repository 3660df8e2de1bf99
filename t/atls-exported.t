#!/usr/bin/perl

# atls --exported-keys, for one request and in atls forward.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Http qw( send_all );
use Test::Atls::LocalServer qw( message next_answer );
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Serve qw( serve_together );
use Test::Atls::Site;
use Test::Atls::Slow qw( patience );

my $PATIENCE = patience();
my $TOGETHER = 8;

my $t = Test::Atls::Site->new(workers => 2);
my $backend = $t->backend();

my $log = q{ log_format outer '$request_method $status $content_type '
                              '$atls_post_session'; client_max_body_size 0; };

$t->serve(<<'EOC', http => $log, endpoint => <<'EOE');
location = /off {
    atls on;
}

location = /weak {
    atls on;
    atls_exported_keys on;
    atls_protocols TLSv1.2;
    atls_ciphers ECDHE-ECDSA-AES128-CCM8:ECDHE-RSA-AES128-GCM-SHA256;
}

location /uri/ {
    atls on;
    atls_exported_keys on;
    atls_session_tracking location;
}

location = /12 {
    atls on;
    atls_exported_keys on;
    atls_protocols TLSv1.2;
}

location = /short {
    atls on;
    atls_exported_keys on;
    atls_session_timeout 1s;
}

location = /id {
    return 200 "$atls_session_id $atls_protocol\n";
}

location = /together {
    proxy_pass http://127.0.0.1:%%PORT_3%%;
}
EOC
    atls_exported_keys on;
    access_log %%TESTDIR%%/outer.log outer;
EOE

my $site = 'https://localhost';
my @keys = ('--exported-keys');

subtest('a request' => \&request);
subtest('requests of a session' => \&session);
subtest('bodies' => \&bodies);
subtest('ends' => \&ends);
subtest('endpoints' => \&endpoints);
subtest('refused' => \&refused);
subtest('forward' => \&forward);
subtest('options' => \&options);

$t->done_testing();


sub posts {
    my ($n) = @_;

    my @lines;

    $t->wait_for(sub {
        @lines = $t->read_log('outer.log') =~ /^(POST \d+ \S+)/mg;
        return @lines >= $n;
    }, $PATIENCE);

    return @lines;
}


sub request {
    my $r = $t->atls(@keys, "$site/exact");

    is($r->{code}, 0, 'exit code');
    is($r->{out}, "exactly\n", 'body');
    is($r->{err}, '', 'no message');

    my @posts = posts(4);

    is(scalar grep({ $_ eq 'POST 200 message/http' } @posts), 1, 'a message')
        or diag("@posts");

    $r = $t->atls(@keys, '-i', "$site/exact");

    like($r->{out}, qr!^HTTP/1.1 200 OK\r\n.*X-One: 1\r\n!s, 'header');
}


sub session {
    my $r = $t->atls(@keys, "$site/id", "$site/id", "$site/id");
    my @ids = $r->{out} =~ /^(\w+) TLSv1.3$/mg;

    is($r->{code}, 0, 'exit code') or diag($r->{err});
    is(scalar @ids, 3, 'three responses');
    is($ids[0], $ids[2], 'one session');
}


sub bodies {
    my $body = pattern(300_000);

    $t->write_file('body', $body);

    my $r = $t->atls(@keys, '--data-binary', '@' . $t->path('body'),
                     "$site/body");

    is($r->{code}, 0, 'sent') or diag($r->{err});
    ok($r->{out} eq $body, 'and received');

    $r = $t->atls(@keys, '-I', "$site/big?size=5000");
    like($r->{out}, qr/^Content-Length: 5000\r$/mi, 'HEAD');

    $r = $t->atls(@keys, "$site/chunked");
    is($r->{out}, "one\ntwo\nthree\n", 'chunked');

    $r = $t->atls(@keys, '--post-size', '1k', '--data-binary',
                  '@' . $t->path('body'), "$site/body");
    is($r->{code}, 2, 'larger than a POST');
    like($r->{err}, qr/limited to the size of a POST, 1024 bytes/, 'message');
}


sub ends {
    my $r = $t->atls(@keys, "$site/eof");

    is($r->{code}, 0, 'a response ended by the connection') or diag($r->{err});

    $r = $t->atls(@keys, "$site/die");
    isnt($r->{code}, 0, 'a response that is cut');
}


sub endpoints {
    for my $path (qw( /12 /uri/ )) {
        my $r = $t->atls($path, @keys, "$site/id", "$site/id");

        is($r->{code}, 0, $path) or diag($r->{err});
        like($r->{out}, qr/^(\w+ TLSv1..)\n\1\n\z/, "$path: one session");
    }
}


sub refused {
    my $r = $t->atls('/off', @keys, "$site/id");

    isnt($r->{code}, 0, 'not enabled');
    isnt($r->{err}, '', 'message');

    $r = $t->atls('/weak', @keys, '--ciphers', 'ECDHE-ECDSA-AES128-CCM8',
                  '--tls-max', '1.2', "$site/id");
    isnt($r->{code}, 0, 'a weak suite');

    $backend->forget();
    $r = $t->atls(@keys, '-w', '%{http_code}', '-H', 'Connection: upgrade',
                  '-H', 'Upgrade: x', "$site/body");
    like($r->{out}, qr/501\z/, 'an upgrade');
    is(scalar $backend->requests(), 0, 'does not reach the backend');
}


# Answers when all requests are there.

sub together {
    return () if @_ < $TOGETHER;

    send_all($_->{socket}, "HTTP/1.0 200 OK\r\n\r\ntogether\n") for @_;

    return @_;
}


sub forward {
    $t->run_daemon(sub { serve_together($t->port(3), \&together) },
                   port => $t->port(3));

    my $f = $t->forward(@keys, '--sessions', $TOGETHER);
    my @connections = map { $f->connect() } 1 .. $TOGETHER;

    send_all($_, message('GET /together')) for @connections;

    my @answers = map { next_answer($_) } @connections;

    is(scalar grep({ $_->body() eq "together\n" } @answers), $TOGETHER,
       'requests at once');

    my %ids = map { $f->ask('GET /id')->body() => 1 } 1 .. 4;

    is(scalar keys %ids, 1, 'one session');

    $f->stop();

    $f = $t->forward('/short', @keys);

    my $first = $f->ask('GET /id')->body();

    sleep(3);

    my $second = $f->ask('GET /id')->body();

    like($second, qr/^\w+ TLSv1.3$/, 'after the timeout');
    isnt($second, $first, 'another session');

    my $r = $f->ask("GET /id\nConnection: upgrade\nUpgrade: websocket");

    is($r->status(), 501, 'WebSocket');

    $f->stop();
}


sub options {
    my $atls = $t->command();

    my $r = $atls->run(@keys, '--early-data', '--session-file',
                       $t->path('sessions'), "$site/");
    is($r->{code}, 2, 'early data');
    like($r->{err}, qr/--early-data and --exported-keys are mutually exclusive/,
         'message');

    $r = $atls->run(@keys, '--via', 'coap://127.0.0.1', "$site/");
    is($r->{code}, 2, 'CoAP');
    like($r->{err}, qr/--exported-keys cannot be used with CoAP/, 'message');
}
