# Many clients with complete sessions, each POST over a new connection: without
# other events, while nginx is reloaded, and while workers are killed.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Process qw( alive wait_exit );
use Test::Atls::Slow qw( patience slow );


my $slow = $ENV{TEST_NGINX_SLOW} || 1;

# for each of the three parts, with 5 requests each

my $SESSIONS = $ENV{TEST_NGINX_SESSIONS}
               || ($slow > 5 ? 64 : $slow > 1 ? 640 : 2000);
my $CLIENTS = 32;
my $REQUESTS = 5;

# a backend that is not reloaded

my $backend = Test::Atls->new(workers => 1);

$backend->write_http(<<'EOC');
server {
    listen 127.0.0.1:%%PORT_0%%;
    return 200 "$request_method $request_uri $content_length\n";
}
EOC

my $port = $backend->port(0);
my $timeout = 5 * slow();
my $patience = 10 * slow();

my $t = Test::Atls->new(workers => 8);

$t->write_http(<<"EOC");
%%CERTIFICATE%%

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    # for requests that were cut by the client

    client_header_timeout  $timeout;
    client_body_timeout    $timeout;

    atls_handshake_timeout  $patience;

    location /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass http://127.0.0.1:$port;
    }
}
EOC

$backend->run();
$t->run();


# without other events

{
    my @pids = clients('calm');
    my @results = results('calm', @pids);

    is(total('sessions', @results), $SESSIONS, 'sessions');
    is(failures(@results), '', 'not one failure');
}


# reloads, at most one a second

{
    my @pids = clients('reloads');
    my $reloads = 0;

    while (running(@pids)) {
        my $began = time;

        $reloads++ if $t->reload();
        sleep 0.05 while running(@pids) && time - $began < 1;
    }

    my @results = results('reloads', @pids);

    is(total('sessions', @results), $SESSIONS, 'reloads: sessions');
    is(failures(@results), '', 'reloads: not one failure');
    cmp_ok($reloads, '>', 0, 'reloads: there were some');
}


# a worker is killed each second

{
    $t->allow_kills();

    my @pids = clients('kills');
    my $kills = 0;

    while (running(@pids)) {
        my @workers = $t->workers();

        $kills++ if kill 'KILL', $workers[rand @workers];
        for (my $until = time + 1; running(@pids) && time < $until; ) {
            sleep 0.05;
        }
    }

    my @results = results('kills', @pids);
    my @failed = map { @{$_->{failed}} } @results;

    is(total('sessions', @results), $SESSIONS, 'kills: sessions');
    cmp_ok($kills, '>', 0, 'kills: there were some');

    # a client has at most one POST in progress

    cmp_ok(scalar @failed, '<=', $CLIENTS * $kills,
           'kills: what was in progress has failed')
        or diag($kills . ' kills, ' . @failed . ' failures');
    is(join("\n", grep { !/^(?:handshake|request): (?:lost|410) / } @failed),
       '', 'kills: each is told, or its connection is lost');
    is(join("\n", grep { / (\d+\.\d+) s$/ && $1 > 5 * slow() } @failed), '',
       'kills: quickly');

    diag(scalar(@failed) . " sessions of $SESSIONS lost with $kills workers")
        if $ENV{TEST_VERBOSE};

    $t->wait_for(sub { 8 == $t->workers() }, 10);
    is(session(Test::Atls::Client->new(client()), 0), '',
       'kills: all is well afterwards');
}

$t->done_testing();


# Starts the client processes of a part.  Each writes its results to a file.

sub clients {
    my ($part) = @_;

    return map {
        my $n = $_;
        my $share = int($SESSIONS * ($n + 1) / $CLIENTS)
                    - int($SESSIONS * $n / $CLIENTS);

        $t->run_daemon(sub { run_client("$part-$n", $share, $part) });
    } 0 .. $CLIENTS - 1;
}


# Completes the number of sessions, whatever fails.

sub run_client {
    my ($name, $sessions, $part) = @_;

    my ($done, @failed) = (0);

    while ($done < $sessions) {
        my $c = Test::Atls::Client->new(client());
        my $error = session($c, $done);

        if ($error eq '') {
            $done++;
            next;
        }

        push @failed, sprintf '%s, %.3f s', $error, time - $c->{began};
        last if $part ne 'kills' || @failed > 100;
    }

    $t->write_file("done-$name", join "\n", $done, @failed);
}


sub client {
    return (port => $t->port(0), keepalive => 0, timeout => 20);
}


# A handshake, in some sessions with cut flights, and requests, some of them
# cut.  Returns errors.

sub session {
    my ($c, $n) = @_;

    $c->{began} = time;

    eval { $c->handshake($n % 2 ? (split => 150) : ()) }
        or return 'handshake: ' . what($c);

    for my $i (1 .. $REQUESTS) {
        my $body = 'x' x (100 * $i);
        my $request = Test::Atls::Client::format_request('POST', "/$n/$i",
                                                         $body);
        my $plain = '';

        # every second request in three POSTs

        for my $piece ($i % 2 ? $request : unpack '(a97)3a*', $request) {
            next if $piece eq '';
            $c->{began} = time;
            $c->write_plain($piece);
            eval { $c->exchange($c->tls_out()) }
                or return 'request: ' . what($c);
            $plain .= $c->read_plain();
        }

        my ($r) = eval { Test::Atls::Response::parse_responses($plain) };

        return "request: answered '$plain'" . what($c)
            if !$r || $r->status() != 200
               || $r->body() ne "POST /$n/$i " . length($body) . "\n";
    }

    return '';
}


sub what {
    my ($c) = @_;

    my $r = $c->last_response();

    return "lost ($@)" =~ s/\n//gr if $@ || !$r;

    return $r->status() . ' ' . $c->error();
}


sub running {
    my (@pids) = @_;

    return scalar grep { alive($_) } @pids;
}


sub results {
    my ($part, @pids) = @_;

    for my $pid (@pids) {
        wait_exit($pid, 5 * patience());
        $t->stop_daemon($pid);
    }

    return map {
        my ($done, @failed) = split /\n/, $t->read_file("done-$part-$_");
        { sessions => $done || 0, failed => \@failed };
    } 0 .. $CLIENTS - 1;
}


sub total {
    my ($what, @results) = @_;

    my $sum = 0;
    $sum += $_->{$what} for @results;

    return $sum;
}


sub failures {
    my (@results) = @_;

    return join "\n", map { @{$_->{failed}} } @results;
}
