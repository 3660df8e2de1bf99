#!/usr/bin/perl

# libatls with sessions that were idle: those that have expired, or were lost
# with a restart, cost no request, also behind middleboxes that remove Max-Age
# from the cookie, or reject empty POSTs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Clock;
use Test::Atls::Lib;
use Test::Atls::Site;
use Test::Atls::Slow qw( slow );

my $SHORT = 2 * slow();
my $SURE = 2;               # seconds for which a session is not probed

# ports of the middleboxes

my ($WITHOUT_AGE, $WITHOUT_EMPTY, $OVERLOADED) = (0, 1, 2);

my $t = Test::Atls::Site->new(workers => 3);
my $front = Test::Atls->new(workers => 1);
my $backend = $t->backend();

$t->serve(<<"EOC", http => q(log_format outer '$uri $status $content_length';));
location = /short {
    atls on;
    atls_session_timeout ${SHORT}s;
    keepalive_timeout 1h;
    access_log %%TESTDIR%%/outer.log outer;
}

location = /long {
    atls on;
    keepalive_timeout 1h;
    access_log %%TESTDIR%%/outer.log outer;
}

location = /session {
    return 200 "\$atls_session_id \$atls_session_reused";
}
EOC

# middleboxes

$front->write_http(<<'EOC' =~ s/%%TO%%/$t->port(0)/gre);
map $upstream_http_set_cookie $without {
    "~^(?<before>.+); Max-Age=[1-9][0-9]*(?<after>.*)$"  $before$after;
    default                                $upstream_http_set_cookie;
}

keepalive_timeout 1h;
proxy_http_version 1.1;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location / {
        proxy_hide_header Set-Cookie;
        add_header Set-Cookie $without always;
        proxy_pass http://127.0.0.1:%%TO%%;
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;

    location / {
        if ($http_content_length = 0) {
            return 411;
        }

        proxy_pass http://127.0.0.1:%%TO%%;
    }
}

server {
    listen 127.0.0.1:%%PORT_2%%;

    location / {
        set $test $http_content_length;

        if (-f %%TESTDIR%%/overloaded) {
            set $test "$test overloaded";
        }

        if (-f %%TESTDIR%%/broken) {
            set $test "$test broken";
        }

        default_type application/problem+json;

        if ($test = "0 overloaded") {
            return 503 '{ "type": "tag:atls,2026:zone-full" }';
        }

        if ($test = "0 broken") {
            return 503;
        }

        proxy_pass http://127.0.0.1:%%TO%%;
    }
}
EOC

$front->run();

my $clock = Test::Atls::Clock->new($t);
my $lib = Test::Atls::Lib->new($t);
my $program = $lib->compile('client_lib');
my ($c, $n) = (undef, 0);

subtest('a session that has expired' => \&expired);
subtest('without Max-Age' => \&without_age);
subtest('without empty POSTs' => \&without_empty);
subtest('a restart behind a middlebox' => \&restarted);
subtest('an overloaded server' => \&overloaded);
subtest('a response that outlives the cookie' => \&long_response);
subtest('another time of day' => \&other_time);
subtest('requests with a probe' => \&probed);

$front->finish();
$t->done_testing();


# A client with a session, through the middlebox at a port of $front, if any.

sub start {
    my ($path, $middlebox, %env) = @_;

    my $port = defined $middlebox ? $front->port($middlebox) : $t->port(0);

    $t->write_file('debug', '');
    $c = $lib->start($program, %env);
    $c->command('debug ' . $t->path('debug'));
    $c->client('https://localhost', CA_FILE => $t->path('ca.crt'),
               ENDPOINT => "http://127.0.0.1:$port$path");
    served();
    truncate $t->path('outer.log'), 0;
}


sub end {
    is($c->end(), 0, 'exit status');
    done_testing();
}


# A POST is answered, and processed once.

sub served {
    my ($name) = @_;

    my $path = '/echo?' . ++$n;

    $backend->forget();
    my $r = $c->go('POST', $path, body => 'bytes 100');

    is($c->name($r), 'OK', $name || 'a POST') or diag($r->{text});
    is(join(' ', map { $_->{uri} } $backend->requests()), $path, 'once');
}


sub lost { return scalar(() = $t->read_log('outer.log') =~ / 410 /g) }


sub debug { return $t->read_file('debug') }


# A device that is idle for longer than its sessions.

sub expired {
    start('/short');

    for (1 .. 3) {
        sleep $SHORT + 0.5;
        served();
    }

    is(lost(), 0, 'no POST for a session that is lost');
    is(scalar(() = debug() =~ /session expired, opening a new one/g), 3,
       'since its time was known');

    end();
}


sub without_age {
    start('/short', $WITHOUT_AGE);

    for (1 .. 2) {
        sleep $SHORT + 0.5;
        sleep $SURE if $SHORT < $SURE;
        served();
    }

    is(lost(), 2, 'an empty POST finds it lost');
    unlike(debug(), qr/session expired/, 'its time is unknown');
    is(scalar(() = debug() =~ /session lost, opening a new one: .*410/g), 2,
       'which is said');

    end();
}


sub without_empty {
    start('/long', $WITHOUT_EMPTY);

    my ($first) = split ' ', session();

    sleep $SURE + 0.5;
    served();
    isnt((split ' ', session())[0], $first, 'in a new session');
    like(debug(), qr/session lost, opening a new one: .*411/, 'of this reason');

    end();
}


sub session {
    return $c->command('save') && $c->go('GET', '/session')->{body};
}


sub restarted {
    start('/long', $WITHOUT_AGE);
    sleep $SURE + 0.5;
    $t->stop()->run();
    served();
    is(lost(), 1, 'found lost');
    like(debug(), qr/session lost, .*: Session of another machine, or from be/,
         'of this reason');

    # without a middlebox, the closed connection tells

    start('/long');
    $t->stop()->run();
    served('at once');

    end();
}


sub overloaded {
    start('/long', $OVERLOADED);

    my ($first) = split ' ', session();

    sleep $SURE + 0.5;
    $backend->forget();
    $front->write_file('overloaded', '');
    is($c->name($c->go('POST', '/echo')), 'OUTER_STATUS', 'a POST');
    is($c->command('outer')->{status}, 503, 'the status');
    is(scalar $backend->requests(), 0, 'it was not sent');

    unlink $front->path('overloaded');
    served('another one');
    is((split ' ', session())[0], $first, 'in the same session');

    # a middlebox cannot say anything about the session

    sleep $SURE + 0.5;
    $front->write_file('broken', '');
    served('status 503 of a middlebox');
    isnt((split ' ', session())[0], $first, 'in another session');
    unlink $front->path('broken');

    end();
}


# Its header comes before its end, when the cookie has expired.

sub long_response {
    start('/short');

    my $delay = ($SHORT + 1) / 4;

    is($c->go('GET', "/slow?n=5&delay=$delay")->{status}, 200, 'a response');
    served('a POST after it');
    is(lost(), 0, 'no session is lost');

    end();
}


# libcurl goes by it.

sub other_time {
    start('/long', undef, $clock->env());

    for my $seconds (3600, -3600, 0) {
        $clock->set($seconds);
        served("by $seconds seconds");
    }

    is(lost(), 0, 'no session is lost');

    end();
}


sub probed {
    start('/long');

    my @requests = (
        [ 1, 'GET' ],
        [ 1, 'PUT',    body => 'bytes 10' ],
        [ 1, 'PUT',    body => 'read 10' ],
        [ 1, 'DELETE' ],
        [ 2, 'POST',   body => 'bytes 10' ],
        [ 2, 'PATCH',  body => 'bytes 10' ],
        [ 2, 'PUT',    body => 'norewind 10' ],
    );

    for (@requests) {
        my ($posts, $method, @body) = @$_;

        sleep $SURE + 0.2;
        is(count($method, @body), $posts, "$method @body");
    }

    # soon after another one

    my ($n, $began);

    for (1 .. 20) {
        count('GET');
        $began = time;
        $n = count('POST');
        last if time < $began + 1;
    }

    SKIP: {
        skip 'too slow', 1 if time >= $began + 1;
        is($n, 1, 'a POST soon after another request');
    }

    end();
}


# The number of POSTs for a request.

sub count {
    my ($method, @body) = @_;

    my $before = $c->command('outer')->{posts};

    $c->go($method, '/echo', @body);

    return $c->command('outer')->{posts} - $before;
}
