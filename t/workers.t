# Configuration changes with existing sessions: more workers and fewer, another
# zone, a location that is removed for a while.

use strict;
use warnings;

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Process qw( alive wait_exit );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience slow );


my $slow = $ENV{TEST_NGINX_SLOW} || 1;

my @WORKERS = $slow > 1 ? (2, 6) : (2, 6, 1, 4);    # previously 4
my $CLIENTS = 4;
my $EACH = 6;
my $TIMEOUT = 10 * slow();      # a reload takes less

my $location = <<'EOC';
        location /.well-known/atls {
            atls on;
        }
EOC

my $conf = http_conf(<<'EOC');
atls_zone               changing:%%SIZE%%;
atls_handshake_timeout  %%TIMEOUT%%s;

%%CERTIFICATE%%

server {
    listen  127.0.0.1:%%PORT_0%%;
    %%LISTEN%%

    client_body_timeout  %%TIMEOUT%%s;

%%LOCATION%%
    location = /inner {
        return 200 "inner\n";
    }

    location = /body {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /slow {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

my $t = Test::Atls->new(workers => 4,
                        client => { keepalive => 0, timeout => 20 });
my %set = (SIZE => '1m', LISTEN => '', LOCATION => $location,
           TIMEOUT => $TIMEOUT);

configure();

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));


# the number of workers changes, with complete sessions of some clients, and
# sessions that begin before the change

{
    my @pids = map { my $n = $_; $t->run_daemon(sub { traffic($n) }) }
               1 .. $CLIENTS;

    $t->wait_for(sub { @{[ glob $t->path('ready-*') ]} == $CLIENTS }, 30);

    for my $workers (@WORKERS) {
        my @established = map { $t->established() } 1 .. $EACH;
        my @shaking = map { $t->half_open() } 1 .. $EACH;
        my @unfinished = map { unfinished() } 1 .. $EACH;

        ok(change(sub {
               is(good(map { finish_handshake($_) } @shaking), $EACH,
                  "$workers workers: handshakes are finished");
               is(good(map { finish_request($_) } @unfinished), $EACH,
                  "$workers workers: requests are finished");
           }, workers => $workers), "$workers workers");

        is(good(@established, @shaking, @unfinished), 3 * $EACH,
           "$workers workers: the sessions go on");

        sleep 0.3;
    }

    $t->write_file('stop', '');

    my @failed = grep { wait_exit($_, 5 * patience()) != 0 } @pids;

    is(scalar @failed, 0, 'workers come and go: nothing fails')
        or diag(map { $t->read_file("failed-$_") } 1 .. $CLIENTS);

    my $sessions = 0;
    $sessions += $t->read_file("done-$_") || 0 for 1 .. $CLIENTS;
    cmp_ok($sessions, '>', 2 * $CLIENTS,
           "workers come and go: $sessions sessions");
}


# a zone of another size is a new zone

{
    my @established = map { $t->established() } 1 .. $EACH;
    my $shaking = $t->half_open();
    my $unfinished = unfinished();
    my $busy = $t->established();

    # a request in a worker that quits

    $busy->write_plain(Test::Atls::Client::format_request(
        'GET', '/slow?n=2&delay=1', ''));
    $busy->post_send($busy->tls_out());
    $t->wait_for(sub { grep { $_->{uri} =~ /slow/ } $backend->requests() });

    my @cookies = map { $_->cookie() } @established, $shaking, $unfinished;

    ok(change(sub {
           $_->get('/inner') for @established;
           finish_handshake($shaking);
           finish_request($unfinished);
       }, SIZE => '2m'), 'a larger zone');

    my @all = (@established, $shaking, $unfinished);

    is(join(' ', map { $_->last_response()->status() } @all),
       join(' ', (410) x @all), 'a larger zone: sessions are lost');
    is(scalar(grep {
           ($_->set_cookie() || '')
               =~ m!^atls=; Path=/\.well-known/atls; HttpOnly; Max-Age=0$!
       } @all), scalar @all, 'a larger zone: their cookies expire');

    my $r = $busy->post_receive();

    $busy->tls_in($r ? $r->body() : '');
    ($r) = parse_responses($busy->read_plain());
    is($r && $r->body(), "line 1\nline 2\n",
       'a larger zone: what was in progress has come to its end');
    ok(!$busy->get('/inner'), 'a larger zone: and then its session too');
    is($busy->last_response()->status(), 410, 'a larger zone: as the others');

    is(lost(), 1, 'a larger zone: the log says so, once');
    like($t->read_file('error.log'),
         qr/\[notice\] .*atls_zone "changing" .*lost/,
         'a larger zone: a notice');

    my @new = map { $t->established() } 1 .. $EACH;

    is(good(@new), $EACH, 'a larger zone: new sessions');
    is(scalar(grep { my $c = $_; grep { $_ eq $c } @cookies }
              map { $_->cookie() } @new), 0, 'a larger zone: with new ids');


    ok(change(), 'the same zone');
    is(good(@new), $EACH, 'the same zone: the sessions go on');
    is(lost(), 1, 'the same zone: nothing is lost');


    ok(change(sub { $_->get('/inner') for @new }, SIZE => '64k'),
       'a smaller zone');
    is(join(' ', map { $_->last_response()->status() } @new),
       join(' ', (410) x @new), 'a smaller zone: sessions are lost');
    is(lost(), 2, 'a smaller zone: the log says so');
    is(good(map { $t->established() } 1 .. $EACH), $EACH,
       'a smaller zone: new sessions');

    # a refused configuration changes nothing

    my $c = $t->established();

    $t->allow_log(qr/zone "changing:1k" is too small/);
    configure(SIZE => '1k');
    ok(!$t->reload(), 'a zone that is refused');
    is(good($c), 1, 'a zone that is refused: the sessions go on');

    # so does one that fails after the zone was created

    my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1,
                                      LocalPort => $t->port(2));

    $t->allow_log(qr/bind\(\) to .* failed|still could not bind/);
    configure(SIZE => '2m', LISTEN => 'listen 127.0.0.1:%%PORT_2%%;');
    $t->signal('HUP');

    ok($t->wait_for_log(qr/still could not bind/, 10),
       'a port that is refused');
    is(good($c), 1, 'a port that is refused: the sessions go on');
    is(lost(), 2, 'a port that is refused: nothing is lost');

    configure(SIZE => '64k', LISTEN => '');
}


# a location is removed for a while

{
    my @established = map { $t->established() } 1 .. $EACH;

    change(undef, LOCATION => '');

    is(join(' ', map { $_->post('')->status() } @established),
       join(' ', (404) x $EACH), 'no location');
    is(scalar(grep { $_->last_response()->header('Set-Cookie') } @established),
       0, 'no location: the cookies stay');

    ok(change(undef, LOCATION => $location), 'the location is back');
    is(good(@established), $EACH, 'the location is back: the sessions go on');
    is(lost(), 2, 'the location is back: nothing is lost');
}

$t->done_testing();


# configurations

sub configure {
    %set = (%set, @_);

    my $text = $conf;

    $text =~ s/%%$_%%/$set{$_}/g for keys %set;
    $t->{workers} = $set{workers} if $set{workers};
    $t->write_conf($text);
}


# Reloads nginx with a changed configuration.  A function is called when there
# are new workers, before the old ones can quit.  Returns whether they do
# afterwards.

sub change {
    my ($between, %changes) = @_;

    my @old = $t->workers();
    my %old = map { $_ => 1 } @old;

    configure(%changes);
    $t->signal('HUP');

    $t->wait_for(sub {
        my @new = grep { !$old{$_} } $t->workers();
        return @new == $t->{workers} && !grep { $old{$_} } $t->workers();
    }, 20) or return 0;

    $between->() if $between;

    return $t->wait_for(sub { !grep { alive($_) } @old }, 20)
           && $t->workers() == $t->{workers};
}


# The number of zones that were lost.

sub lost {
    return scalar(() = $t->read_file('error.log')
                       =~ /atls_zone "[^"]+".*lost/g);
}


sub finish_handshake {
    my ($c) = @_;

    $c->handshake();

    return $c;
}


# Completes a request.

sub unfinished {
    my $c = $t->established();

    $c->request("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                . "Content-Length: 10\r\n\r\n12345");

    return $c;
}


sub finish_request {
    my ($c) = @_;

    my ($r) = parse_responses($c->request('67890'));

    $c->{error} ||= 'no answer' unless $r && $r->body() eq '1234567890';

    return $c;
}


# The number of sessions without errors.

sub good {
    return scalar grep {
        my $r = $_->error() eq '' && $_->get('/inner');
        $r && $r->body() eq "inner\n" or diag($_->error()), 0;
    } @_;
}


# A client process with sessions until it is told to stop.

sub traffic {
    my ($n) = @_;

    my $sessions = 0;
    my $kept = $t->established();

    until (-e $t->path('stop')) {
        my $error = eval { run_session($kept) } // $@;

        if ($error) {
            $t->write_file("failed-$n", "$sessions: $error\n");
            die $error;
        }

        $t->write_file("ready-$n", '') unless $sessions++;
        sleep 0.02;
    }

    $t->write_file("done-$n", $sessions);
}


sub run_session {
    my ($kept) = @_;

    my $c = $t->client();

    $c->handshake(split => 120) or return 'handshake: ' . $c->error();

    for my $client ($c, $kept) {
        my $r = $client->get('/inner');

        return 'get: ' . $client->error() if !$r || $r->body() ne "inner\n";
    }

    my $plain = '';

    for my $piece ("POST /body HTTP/1.1\r\nHost: local",
                   "host\r\nContent-Length: 10\r\n\r\n123", '4567', '890')
    {
        $plain .= $c->request($piece);
        return 'request: ' . $c->error() if $c->error();
        sleep 0.02;
    }

    my ($r) = parse_responses($plain);

    return "request: '$plain'" if !$r || $r->body() ne '1234567890';

    $c->close_notify() or return 'close: ' . $c->error();

    return '';
}
