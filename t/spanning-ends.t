#!/usr/bin/perl

# Requests that span several POSTs: timeouts, clients that close the session,
# large bodies.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5;
use List::Util qw( min );
use Test::More;
use Time::HiRes qw( time );

use Test::Atls;
use Test::Atls::Http qw( readable send_all );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Process qw( alive );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( slow );
use Test::Atls::Spanning;

my $MB = 1 << 20;
my $TRIES = 3;          # of which one is not delayed by other processes

my $slow = slow();
my $upload = ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 16 : 256;

timeouts();
slow_post();
client_closes();
never_back();
large_upload();
large_answers();

$t->done_testing();


# The session has ended with close_notify.

sub ended {
    my ($c, $cookie, $name) = @_;

    ok($c->closed(), "$name: close_notify");
    like($c->set_cookie(), qr/^atls=;.*; Max-Age=0/, "$name: expired cookie");
    is($c->post("\x17\x03\x03\x00\x20" . 'x' x 32, cookie => "atls=$cookie")
         ->status(), 410, "$name: the session is gone");
}


# The statuses of so many requests, by default one.

sub inner_logged {
    my ($uri, $n) = @_;

    my @statuses;

    $t->wait_for(sub {
        @statuses = $t->read_file('inner.log') =~ /^on \w+ \Q$uri\E (\d+) /mg;
        return @statuses >= ($n || 1);
    });

    return join ' ', @statuses;
}


# timeouts of nginx between two POSTs

sub timeouts {
    my %clients = (
        'body'   => [ $t->port(0), "POST /impatient HTTP/1.1\r\n"
                                   . "Host: localhost\r\n"
                                   . "Content-Length: 50\r\n\r\nhello" ],
        'header' => [ $t->port(3), "GET /header-timeout HTTP/1.1\r\nHost: l" ],
    );

    my %c;

    for my $name ((sort keys %clients) x $TRIES) {
        my ($port, $request) = @{$clients{$name}};
        my $c = client(port => $port);

        is(join('', answers($c, $request)), '', "$name: unfinished");
        push @{$c{$name}}, $c;
    }

    my $all = join ' ', (408) x $TRIES;

    is(inner_logged('/impatient', $TRIES), $all, 'body: timeout');
    is(inner_logged('/header-timeout', $TRIES), $all, 'header: timeout');

    for my $name (sort keys %clients) {
        my @times;

        for my $c (@{$c{$name}}) {
            my $cookie = $c->cookie();
            my $began = time;

            my $answer = join '', answers($c, 'more');

            push @times, time - $began;
            is($answer, '', "$name, timed out: no answer");
            ended($c, $cookie, "$name, timed out");
        }

        cmp_ok(min(@times), '<', 1 * $slow, "$name, timed out: at once");
    }
}


# the timeout expires while the next POST has sent only its header

sub slow_post {
    my $c = client(port => $t->port(3));
    my $cookie = $c->cookie();

    answers($c, "GET /slow-post HTTP/1.1\r\nHost: l");

    $c->write_plain("ocalhost\r\n\r\n");
    my $record = $c->tls_out();
    my $s = $c->begin_post('', 'Content-Length' => length $record,
                           Connection => 'close');

    ok(!readable($s, 0.3), 'a POST without its body waits');

    is($c->post('x' x 50)->status(), 409, 'and is not in the way of others');
    is(inner_logged('/slow-post'), 408, 'timeout during a POST');

    send_all($s, $record);

    is($c->end_post($s), '200 ',
       'timeout during a POST: answered, nothing inside');
    ok($c->closed(), 'timeout during a POST: close_notify');
}


# the client closes the session with an unfinished request

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


# requests whose clients do not return are freed

sub never_back {
    my $before = active();
    my @c = map { client(port => $t->port(3)) } 1 .. 20;

    answers($_, "GET /never HTTP/1.1\r\nHost: l") for @c;

    # connections from before may have been closed meanwhile

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

    # allocates memory that is reused

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


# relayed responses, to clients that are slower than the backend

sub large_answers {
    my ($peak, $relayed) = (0, 0);
    my $size = 8 * $MB;
    my $before;

    # by chance, it is always the same worker

    for (my $n = 1; $n <= 6 || !$relayed && $n <= 20; $n++) {
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


# memory of all workers in kB

sub memory {
    my $sum = 0;

    for my $pid ($t->workers()) {
        open my $f, '<', "/proc/$pid/status" or next;
        $sum += $_ for map { /^RssAnon:\s+(\d+)/ ? $1 : () } <$f>;
    }

    return $sum;
}
