# Inner requests that span POSTs: whatever is cut, wherever, and whichever
# workers the POSTs reach.

use strict;
use warnings;

use Digest::MD5;
use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Process qw( alive );
use Test::Atls::Relay;
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience slow );


my $MB = 1 << 20;

my $slow = slow();
my $upload = ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 16 : 256;

my $t = Test::Atls->new(workers => 4);


# "reuseport": so that connections are spread over the workers however idle
# they are

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format  outer  '$http_x_number $request_method $status $pid';
log_format  inner  '$atls $request_method $request_uri $status $pid';

proxy_http_version  1.1;
proxy_set_header    Connection "";
proxy_set_header    Host       $host;

client_max_body_size  0;

server {
    listen       127.0.0.1:%%PORT_0%% reuseport;
    server_name  localhost;

    access_log  %%TESTDIR%%/inner.log inner;

    location /.well-known/atls {
        atls on;
        access_log  %%TESTDIR%%/outer.log outer;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /unbuffered/ {
        proxy_request_buffering  off;
        proxy_buffering          off;
        proxy_pass http://127.0.0.1:%%PORT_1%%/;
    }

    location /recorded/ {
        proxy_pass http://127.0.0.1:%%PORT_2%%/;
    }

    location /return {
        return 200 "returned\n";
    }

    location /missing {
        root %%TESTDIR%%;
    }

    location /impatient {
        client_body_timeout  1s;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}

server {
    listen       127.0.0.1:%%PORT_3%% reuseport;
    server_name  localhost;

    client_header_timeout  1s;
    access_log             %%TESTDIR%%/inner.log inner;

    location /.well-known/atls {
        atls on;
        access_log  %%TESTDIR%%/outer.log outer;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}

server {
    listen       127.0.0.1:%%PORT_4%%;
    server_name  localhost;

    location / {
        stub_status;
    }
}
EOC

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my $recorder = Test::Atls::Relay->start($t, $t->port(2), $t->port(1));

my $number = 0;
my $recorded = 0;

my %REQUESTS = (
    'counted'    => "POST /body HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 5\r\n\r\nhello",
    'chunked'    => "POST /body HTTP/1.1\r\nHost: localhost\r\n"
                    . "Transfer-Encoding: chunked\r\n\r\n"
                    . "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    'unbuffered' => "POST /unbuffered/body HTTP/1.1\r\nHost: localhost\r\n"
                    . "Transfer-Encoding: chunked\r\n\r\n"
                    . "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
);

my %MODES = (
    'TLSv1.3, one connection'   => { keepalive => 1 },
    'TLSv1.3, many connections' => { keepalive => 0 },
    'TLSv1.2, many connections' => { keepalive => 0, protocol => 'TLSv1.2' },
);

$t->run();

each_byte();
each_cut();
cut_records();
same_requests();
expecting();
answered_before();
pipelined();
logs();
timeouts();
slow_post();
early_answer();
conflicts();
client_closes();
never_back();
large_upload();
large_answers();
reloads();
generations();
worker_numbers();
killed();
killed_unseen();

$t->done_testing();


sub client {
    my (%args) = @_;

    my $c = $t->client(keepalive => 0, timeout => 30,
                       headers => { 'X-Number' => ++$number }, %args);

    $c->handshake() or diag('handshake: ' . $c->error());

    return $c;
}


# Each piece of plaintext in a POST of its own: what is answered to each, or
# its status if it is not 200.

sub answers {
    my ($c, @pieces) = @_;

    my @answers;

    for my $piece (@pieces) {
        $c->write_plain($piece);
        $c->exchange($c->tls_out());

        my $r = $c->last_response();

        push @answers, !$r ? 'none' : $r->status() != 200 ? $r->status()
                       : $c->read_plain();
    }

    return @answers;
}


sub request {
    return Test::Atls::Client::format_request(@_);
}


sub goes_on {
    my ($c, $name) = @_;

    my $r = $c->get('/return');

    is($r && $r->body(), "returned\n", "$name: the session goes on");
}


# An orderly end, told to the client, after which there is no session.

sub ended {
    my ($c, $cookie, $name) = @_;

    ok($c->closed(), "$name: close_notify");
    like($c->set_cookie(), qr/^atls=;.*; Max-Age=0/, "$name: expired cookie");
    is($c->post("\x17\x03\x03\x00\x20" . 'x' x 32, cookie => "atls=$cookie")
         ->status(), 410, "$name: the session is gone");
}


# The worker that a client's last POST was accepted by.

sub last_worker {
    my ($c) = @_;

    my $n = $c->{headers}{'X-Number'};
    my @pids;

    $t->wait_for(sub {
        @pids = $t->read_file('outer.log') =~ /^$n POST \d+ (\d+)$/mg;
        return @pids >= $c->posts();
    });

    return $pids[-1];
}


sub inner_logged {
    my ($uri) = @_;

    my $status;

    $t->wait_for(sub {
        ($status) = $t->read_file('inner.log') =~ /^on \w+ \Q$uri\E (\d+) /m;
    });

    return $status;
}


# every byte of a request is a record and a POST

sub each_byte {
    for my $mode (sort keys %MODES) {
        my $c = client(%{$MODES{$mode}});

        for my $name (sort keys %REQUESTS) {
            my @answers = answers($c, split //, $REQUESTS{$name});

            my ($r) = parse_responses(pop @answers);
            is($r && $r->body(), 'hello', "$mode, $name, each byte: answer");
            is(join('', @answers), '', "$mode, $name, each byte: no other");
        }

        goes_on($c, "$mode, each byte");
    }
}


# two POSTs, cut at every byte

sub each_cut {
    for my $name (sort keys %REQUESTS) {
        my $request = $REQUESTS{$name};
        my $c = client();
        my $bad = '';

        for my $at (1 .. length($request) - 1) {
            my ($none, $answer) = answers($c, substr($request, 0, $at),
                                              substr($request, $at));
            my ($r) = parse_responses($answer);

            $bad .= " $at" if $none ne '' || !$r || $r->body() ne 'hello';
        }

        is($bad, '', "$name, cut at every byte");
    }
}


# the records are cut too, at other bytes

sub cut_records {
    for my $mode (sort keys %MODES) {
        my $c = client(%{$MODES{$mode}});
        my $bad = '';

        for my $size (1, 2, 5, 7, 13, 29, 53, 89) {
            my $bytes = '';

            for my $piece (unpack '(a17)*', $REQUESTS{'counted'}) {
                $c->write_plain($piece);
                $bytes .= $c->tls_out();
            }

            $c->exchange($bytes, split => $size);

            my ($r) = parse_responses($c->read_plain());
            $bad .= " $size" if !$r || $r->body() ne 'hello';
        }

        is($bad, '', "$mode: cut records of a cut request");
        is($c->error(), '', "$mode: cut records of a cut request: no error");
    }
}


# to the backend it is all the same

sub same_requests {
    my @requests = map { s!POST /(?:unbuffered/)?!POST /recorded/!r }
                   @REQUESTS{sort keys %REQUESTS};

    my $whole = client(keepalive => 1);
    $whole->request($_) for @requests;
    my @whole = sent();

    my $local = client(keepalive => 1);
    answers($local, split //) for @requests;
    my @local = sent();

    my $relayed = client();
    answers($relayed, split //) for @requests;
    my @relayed = sent();

    is(scalar @whole, @requests, 'requests at the backend');
    is_deeply(\@local, \@whole, 'the same bytes for cut ones');
    is_deeply(\@relayed, \@whole, 'the same bytes for relayed ones');
}


# What was recorded since the last call.

sub sent {
    my @all = map { $_->[1] } grep { $_->[0] eq '>' } $recorder->traffic();
    my @new = @all[$recorded .. $#all];

    $recorded = @all;

    return @new;
}


# "Expect: 100-continue"

sub expecting {
    for my $uri (qw( /body /unbuffered/body )) {
        my $c = client();

        my ($continue, $answer) = answers($c,
            "POST $uri HTTP/1.1\r\nHost: localhost\r\n"
            . "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 'hello');

        is($continue, "HTTP/1.1 100 Continue\r\n\r\n",
           "Expect, $uri: told to go on in the same POST");

        my ($r) = parse_responses($answer);
        is($r && $r->body(), 'hello', "Expect, $uri: answer");
        goes_on($c, "Expect, $uri");
    }
}


# who does not want the body has answered before

sub answered_before {
    my %status = ('/return' => 200, '/missing' => 404);

    for my $uri (sort keys %status) {
        my $c = client();
        my $first = "POST $uri HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 50000\r\n\r\n";

        my @answers = answers($c, $first, pattern(20_000),
                              pattern(30_000) . request('GET', '/return', ''));

        my ($r) = parse_responses($answers[0]);
        is($r && $r->status(), $status{$uri}, "$uri: answered");
        is($answers[1], '', "$uri: nothing for some of the body");

        ($r) = parse_responses($answers[2]);
        is($r && $r->body(), "returned\n", "$uri: next request");
        goes_on($c, $uri);
    }
}


# others are before the one that is cut, and behind it

sub pipelined {
    my $c = client();
    my $requests = request('GET', '/return', '') x 3 . $REQUESTS{'counted'};
    my $bad = '';

    for my $cut (1, 3, 8, 40, 60) {
        my ($first, $second) = map { join ' ', map { $_->body() }
                                                   parse_responses($_) }
            answers($c, substr($requests, 0, -$cut),
                        substr($requests, -$cut) . $requests);

        $bad .= " $cut" if $first ne join(' ', ("returned\n") x 3)
            || $second ne join(' ', 'hello', ("returned\n") x 3, 'hello');
    }

    is($bad, '', 'pipelined requests, the last one cut');
}


# a line for each POST, a line for each request

sub logs {
    for my $keepalive (1, 0) {
        my $mode = $keepalive ? 'local' : 'relayed';
        my $c = client(keepalive => $keepalive);
        my $n = $c->{headers}{'X-Number'};
        my $uri = "/body?$mode";

        answers($c, split //, "POST $uri HTTP/1.1\r\nHost: localhost\r\n"
                              . "Content-Length: 5\r\n\r\nhello");
        goes_on($c, $mode);
        last_worker($c);

        my @outer = $t->read_log('outer.log') =~ /^$n (.*) \d+$/mg;
        is(scalar @outer, $c->posts(), "$mode: one line a POST");
        is(scalar(grep { $_ ne 'POST 200' } @outer), 0, "$mode: all 200");

        my @inner = $t->read_log('inner.log') =~ /^(.*) \Q$uri\E (.*) \d+$/mg;
        is("@inner", 'on POST 200', "$mode: one line a request");
    }
}


# nginx's timeouts between two POSTs

sub timeouts {
    my %clients = (
        'body'   => [ $t->port(0), "POST /impatient HTTP/1.1\r\n"
                                   . "Host: localhost\r\n"
                                   . "Content-Length: 50\r\n\r\nhello" ],
        'header' => [ $t->port(3), "GET /header-timeout HTTP/1.1\r\nHost: l" ],
    );

    my %c;

    for my $name (sort keys %clients) {
        my ($port, $request) = @{$clients{$name}};

        $c{$name} = client(port => $port);
        is(join('', answers($c{$name}, $request)), '', "$name: unfinished");
    }

    is(inner_logged('/impatient'), 408, 'body: timeout');
    is(inner_logged('/header-timeout'), 408, 'header: timeout');

    for my $name (sort keys %clients) {
        my $c = $c{$name};
        my $cookie = $c->cookie();
        my $began = time;

        is(join('', answers($c, 'more')), '', "$name, timed out: no answer");
        cmp_ok(time - $began, '<', 1 * $slow, "$name, timed out: at once");
        ended($c, $cookie, "$name, timed out");
    }
}


# the timeout comes while the next POST is there, but has said nothing yet

sub slow_post {
    my $c = client(port => $t->port(3));
    my $cookie = $c->cookie();

    answers($c, "GET /slow-post HTTP/1.1\r\nHost: l");

    $c->write_plain("ocalhost\r\n\r\n");
    my $record = $c->tls_out();
    my $s = http_connect($t->port(3));

    send_all($s, join "\r\n", 'POST /.well-known/atls HTTP/1.1',
             'Host: localhost', 'Connection: close',
             'Content-Type: application/atls+octet-stream',
             "Cookie: atls=$cookie", 'Content-Length: ' . length $record,
             '', '');
    ok(!readable($s, 0.3), 'a POST without its body waits');

    is($c->post('x' x 50)->status(), 409, 'and is in the way of others');
    is(inner_logged('/slow-post'), 408, 'timeout during a POST');

    send_all($s, $record);

    my $r = Test::Atls::Response->new(method => 'POST');
    while (!$r->done() && readable($s, patience())) {
        sysread $s, my $bytes, 65536 or last;
        $r->feed($bytes);
    }

    is($r->status(), 200, 'timeout during a POST: answered');
    $c->tls_in($r->body());
    is($c->read_plain(), '', 'timeout during a POST: nothing inside');
    ok($c->closed(), 'timeout during a POST: close_notify');
}


# what is answered between two POSTs waits for the second

sub early_answer {
    my $c = client();

    my @answers = answers($c, "POST /unbuffered/early HTTP/1.1\r\n"
                              . "Host: localhost\r\nContent-Length: 10\r\n"
                              . "\r\n12345");
    sleep 0.3 * $slow;
    push @answers, answers($c, '6789') if $answers[0] eq '';

    my ($r) = parse_responses(join '', @answers);
    is($r && $r->body(), "early\n", 'answer before the end of the request');
    is($c->last_response()->status(), 200, 'the POST is fine');
}


# one POST of a session at a time

sub conflicts {
    my $c = client();
    my $cookie = $c->cookie();
    my @type = ('Content-Type' => 'application/atls+octet-stream');

    answers($c, "GET /slow?n=3&delay=0.2 HTTP/1.1\r\nHost: localhost\r\n");

    $c->write_plain("\r\n");
    $c->post_send($c->tls_out());
    sleep 0.1;

    my @status = map {
        my $o = Test::Atls::Outer->new(port => $t->port(0), keepalive => 0,
                                       uri => '/.well-known/atls');
        $o->post('x' x 50, { @type, Cookie => "atls=$cookie" })->status();
    } 1 .. 8;

    is("@status", join(' ', (409) x 8), 'one POST at a time');

    my $r = $c->post_receive();
    $c->tls_in($r->body());
    ($r) = parse_responses($c->read_plain());
    is($r && $r->body(), "line 1\nline 2\nline 3\n",
       'one POST at a time: the first is not disturbed');
    goes_on($c, 'one POST at a time');
}


# the client ends the session with an unfinished request in it

sub client_closes {
    $backend->forget();

    for my $uri (qw( /body /unbuffered/closes )) {
        my $c = client();
        my $cookie = $c->cookie();

        answers($c, "POST $uri HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 50\r\n\r\nhello");

        is($c->close_notify()->status(), 200, "client closes, $uri: answer");
        is($c->read_plain(), '', "client closes, $uri: no inner one");
        ended($c, $cookie, "client closes, $uri");
    }

    my @aborted;

    ok($t->wait_for(sub {
        @aborted = grep { $_->{uri} eq '/closes' && $_->{aborted} }
                   $backend->requests();
    }), 'client closes: the backend knows');
}


# nothing is left of requests whose clients never come back

sub never_back {
    my $before = active();
    my @c = map { client(port => $t->port(3)) } 1 .. 20;

    answers($_, "GET /never HTTP/1.1\r\nHost: l") for @c;

    # those that were there before may be gone by now

    cmp_ok(active(), '>=', 20, 'unfinished requests are kept');
    ok($t->wait_for(sub { active() <= $before }, 10),
       'unfinished requests are freed in time');

    my @workers = $t->workers();

    $t->reload();
    ok($t->wait_for(sub { !grep { alive($_) } @workers }, 5),
       'no worker waits for them');
}


sub active {
    my ($n) = http_raw($t->port(4), "GET / HTTP/1.0\r\n\r\n")
              =~ /^Active connections: (\d+)/m;

    return $n;
}


# a large request in many POSTs

sub large_upload {
    $backend->forget();

    # what the workers need once, they have after this

    upload($_, 8) for 'warm-up-1', 'warm-up-2';

    my $before = memory();
    my $peak = 0;
    my $answer = upload('large', $upload, sub {
        my $now = memory();
        $peak = $now if $now > $peak;
    });

    my ($r) = parse_responses($answer);
    is($r && $r->status(), 200, 'upload');

    my ($request) = grep { $_->{uri} eq '/large' } $backend->requests();
    is($request->{length}, $upload * $MB, 'upload: length');
    is($request->{md5}, pattern_md5($upload * $MB), 'upload: checksum');

    SKIP: {
        skip 'memory is not nginx\'s own here', 1 if $slow > 1;

        cmp_ok($peak - $before, '<', 4 * 1024, 'upload: memory is constant')
            or diag("from $before to $peak kB");
    }
}


sub upload {
    my ($name, $megabytes, $watch) = @_;

    my $c = client();
    my $sent = 0;
    my $size = $megabytes * $MB;

    my $answer = $c->upload(
        "PUT /unbuffered/$name HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Length: $size\r\n\r\n",
        sub {
            $watch->() if $watch && $sent % (8 * $MB) == 0;
            return undef if $sent == $size;
            my $piece = pattern(65536, $sent);
            $sent += length $piece;
            return $piece;
        });

    diag("$name: " . $c->error()) if $c->error();

    return $answer;
}


# answers that pass two workers, to clients slower than the backend

sub large_answers {
    my ($peak, $relayed) = (0, 0);
    my $size = 8 * $MB;
    my $before;

    for my $n (1 .. 6) {
        my $c = client();
        my ($got, $md5) = (0, Digest::MD5->new());
        my $uri = "/big?size=$size&n=$n";

        answers($c, "GET $uri HT");

        my $r = $c->download("TP/1.1\r\nHost: localhost\r\n\r\n", sub {
            $md5->add($_[0]);
            $got += length $_[0];
            if ($n > 2 && $got % $MB < length $_[0]) {
                my $now = memory();
                $peak = $now if $now > $peak;
            }
        }, rate => 24 * $MB);

        is($md5->hexdigest(), pattern_md5($size), "large answer $n");

        my $pid;
        $t->wait_for(sub {
            ($pid) = $t->read_file('inner.log') =~ /\Q$uri\E 200 (\d+)$/m;
        });
        $relayed++ if $pid != last_worker($c);

        $before = memory() if $n == 2;
    }

    cmp_ok($relayed, '>', 0, 'large answers: from another worker');

    SKIP: {
        skip 'memory is not nginx\'s own here', 1 if $slow > 1;

        cmp_ok($peak - $before, '<', 4 * 1024, 'large answers: in no memory')
            or diag("from $before to $peak kB");
    }
}


# of all workers, in kB

sub memory {
    my $sum = 0;

    for my $pid ($t->workers()) {
        open my $f, '<', "/proc/$pid/status" or next;
        $sum += $_ for map { /^RssAnon:\s+(\d+)/ ? $1 : () } <$f>;
    }

    return $sum;
}


# unfinished requests outlive the configuration that they began in

sub reloads {
    my @c = map { client() } 1 .. 8;
    my %old = map { $_ => 1 } $t->workers();

    answers($_, "POST /body HTTP/1.1\r\nHost: localhost\r\n"
                . "Content-Length: 10\r\n\r\n12345") for @c;

    $t->reload() for 1 .. 2;

    my $bad = '';

    for my $c (@c) {
        my @answers = answers($c, '678', '9', '0' . request('GET', '/return',
                                                            ''));
        my ($r, $next) = parse_responses($answers[2]);

        $bad .= "@answers\n" if $answers[0] ne '' || $answers[1] ne ''
            || !$r || $r->body() ne '1234567890'
            || !$next || $next->body() ne "returned\n";
    }

    is($bad, '', 'unfinished requests survive reloads');

    goes_on($c[0], 'after reloads');
    ok(!$old{last_worker($c[0])}, 'after reloads: in a new worker');

    ok($t->wait_for(sub { !grep { alive($_) } keys %old }, 5),
       'the old workers end with them');
}


# however many configurations ago that was

sub generations {
    my @c;

    for (1 .. 7) {
        my @new = map { client() } 1 .. 8;

        answers($_, "GET /return HT") for @new;
        push @c, @new;
        $t->reload();
    }

    my $bad = '';

    for my $c (@c) {
        my ($r) = parse_responses(answers($c, "TP/1.1\r\nHost: localhost\r\n"
                                              . "\r\n"));
        $bad .= $c->error() . "\n" if !$r || $r->body() ne "returned\n";
    }

    is($bad, '', 'many configurations at once');
    is(() = $t->read_file('error.log') =~ /no atls mailbox/g, 0,
       'a mailbox for each worker');
}


# also if there are fewer workers than before, or more

sub worker_numbers {
    my $conf = $t->read_file('nginx.conf');
    my $bad = '';

    for my $workers (2, 7, 4) {
        my $c = client();
        my $hs = $t->client(keepalive => 0);

        $hs->handshake_step();
        $hs->exchange($hs->tls_out());

        answers($c, "GET /return HT");

        $conf =~ s/^worker_processes \d+/worker_processes $workers/m;
        $t->write_file('nginx.conf', $conf);
        $t->reload();

        my ($r) = parse_responses(answers($c, "TP/1.1\r\nHost: localhost\r\n"
                                              . "\r\n"));
        $bad .= "request with $workers: " . $c->error()
            if !$r || $r->body() ne "returned\n";

        $bad .= "handshake with $workers: " . $hs->error()
            if !$hs->handshake() || !$hs->get('/return');

        $t->wait_for(sub { $workers == $t->workers() });
        $bad .= "$workers workers" if $workers != $t->workers();
    }

    is($bad, '', 'other numbers of workers');
}


# a worker dies with its unfinished requests, and with nothing else

sub killed {
    my @c = map { client() } 1 .. 16;
    my $body = "POST /body HTTP/1.1\r\nHost: localhost\r\n"
               . "Content-Length: 10\r\n\r\n12345";

    answers($_, $body) for @c;

    # asked before: what a worker has answered, it logs a moment later

    my @owners = map { last_worker($_) } @c;
    my $victim = $owners[0];
    my %before = map { $_ => 1 } $t->workers();

    $t->allow_kills();
    kill 'KILL', $victim;

    # until there is a new one, connections wait for it, with "reuseport"

    my $began = time;
    my $bad = '';
    my $lost = 0;

    for my $c (@c) {
        my $gone = shift @owners == $victim;
        my ($answer) = answers($c, '67890');

        $lost++ if $gone;
        next if $gone && $answer eq '410' && !defined $c->cookie();

        my ($r) = parse_responses($answer) if $answer =~ /^HTTP/;
        $bad .= "$answer\n" if $gone || !$r || $r->body() ne '1234567890';
    }

    is($bad, '', "unfinished requests of the other workers go on");
    cmp_ok($lost, '>', 0, 'those of one that died are gone, and it is said');
    cmp_ok(time - $began, '<', 5 * $slow, 'at once');
    $t->wait_for(sub { grep { !$before{$_} } $t->workers() }, 10);
}


# a worker that is not replaced dies, and the POST is sent to it before anybody
# has noticed

sub killed_unseen {
    my $c = client();

    answers($c, "GET /return HT");
    my $victim = last_worker($c);

    $t->reload();
    kill 'STOP', $t->pid();
    kill 'KILL', $victim;
    $t->wait_for(sub { !alive($victim) });

    $c->write_plain("TP/1.1\r\nHost: localhost\r\n\r\n");
    $c->post_send($c->tls_out());
    sleep 0.2;

    my $began = time;
    kill 'CONT', $t->pid();

    my $r = $c->post_receive();
    is($r && $r->status(), 410, 'died unnoticed: it is said');
    cmp_ok(time - $began, '<', 3 * $slow, 'died unnoticed: soon');
}
