#!/usr/bin/perl

# Messages of one session at once, in any worker and in any order: each is
# served once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use List::Util qw( shuffle );
use Test::More;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Http qw( read_response send_all );
use Test::Atls::Message;
use Test::Atls::Serve qw( serve_together );

my $N = 32;

my $t = Test::Atls->new();

# on a busy machine, a handshake may take long

$t->write_http(<<'EOC');
%%CERTIFICATE%%
atls_handshake_timeout 5m;

log_format inner "$request_uri $status";

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    access_log %%TESTDIR%%/access.log inner;

    location /.well-known/atls {
        atls on;
        atls_exported_keys on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_set_header X-Pid $pid;
    }

    location /pid {
        return 200 $pid;
    }
}
EOC

$t->run();
$t->allow_kills();

# the service answers when it is told to

my $go = $t->path('go');

$t->run_daemon(sub { serve_together($t->port(1), \&service) },
               port => $t->port(1));

srand 5;

for my $protocol (qw( TLSv1.3 TLSv1.2 )) {
    at_once($protocol);
    same($protocol);
    beside_a_post($protocol);
    forged($protocol);
    in_any_order($protocol);
    crash($protocol);
}

$t->done_testing();


sub request {
    return Test::Atls::Client::format_request('GET', $_[0], '');
}


sub messages {
    my ($protocol) = @_;

    return Test::Atls::Message->new($t->established(protocol => $protocol,
                                                    keepalive => 0));
}


# Answers all requests that wait when the file is there.

sub service {
    my @waiting = @_;

    for (grep { !$_->{seen}++ } @waiting) {
        my ($uri) = $_->{head} =~ /^GET (\S+)/;
        my ($pid) = $_->{head} =~ /^X-Pid: (\d+)/m;

        open my $fh, '>>', $t->path('requests') or die;
        syswrite $fh, "$uri $pid\n";
    }

    return () unless -e $go;

    send_all($_->{socket}, "HTTP/1.0 200 OK\r\n\r\nanswer\n") for @waiting;

    return @waiting;
}


# The requests that the service has received: URI and worker.

sub requests {
    my @lines = split /\n/, $t->read_file('requests');

    return @lines;
}


sub start {
    unlink $go;
    $t->write_file('requests', '');
}


sub at_once {
    my ($protocol) = @_;

    my $m = messages($protocol);

    start();

    my @posts = map { $m->post_send($m->seal(request("/$_"), number => $_)) }
                shuffle 1 .. $N;

    ok($t->wait_for(sub { requests() == $N }),
       "$protocol: $N requests of a session at once");

    my %workers = map { /(\d+)$/; $1 => 1 } requests();
    cmp_ok(scalar keys %workers, '>', 1, "$protocol: in several workers");

    $t->write_file('go', '');

    my %got;

    for my $http (@posts) {
        my $r = $http->receive();
        my ($number) = unpack('x20 C/a', $r->body()) =~ /\.(\d+)\z/;
        my ($plain, $whole) = $m->open($r->body(), $number);

        $got{$number}++ if $whole && $plain =~ /answer\n/;
        $http->close();
    }

    is(join(' ', sort { $a <=> $b } keys %got), join(' ', 1 .. $N),
       "$protocol: all have their response");
}


# The same message many times at once is served once.

sub same {
    my ($protocol) = @_;

    my $m = messages($protocol);
    my $message = $m->seal(request('/same'), number => 1);

    start();

    # the others are answered while the first one is in progress

    my @posts = map { $m->post_send($message) } 1 .. $N;
    my $select = IO::Select->new(map { $_->{socket} } @posts);
    my $refused = 0;

    $t->wait_for(sub {
        for my $s ($select->can_read(0.1)) {
            my $r = read_response($s);

            $refused++ if $r && $r->status() == 409
                          && $r->body() =~ /message-repeated/;
            $select->remove($s);
        }

        return $refused == $N - 1;
    });

    $t->wait_for(sub { requests() > 0 });

    is($refused, $N - 1, "$protocol: repeated at once, refused");
    is(scalar requests(), 1, "$protocol: one is served");

    $t->write_file('go', '');

    my ($s) = $select->handles();
    my $r = $s && read_response($s);

    is($r && $r->status(), 200, "$protocol: and gets its response");
    $_->close() for @posts;
}


# A POST with records has taken the session.

sub beside_a_post {
    my ($protocol) = @_;

    my $m = messages($protocol);
    my $c = $m->{client};

    start();
    $c->write_plain(request('/records'));
    $c->post_send($c->tls_out());
    $t->wait_for(sub { requests() == 1 });

    my $r = $m->get('/pid');
    is($r && $r->status(), 200, "$protocol: beside a POST with records");

    my $message = $m->seal(request('/pid'), number => 50);
    is($m->post($message)->status(), 200, "$protocol: another one");
    is($m->post($message)->status(), 409, "$protocol: again");

    $t->write_file('go', '');
    $c->_accept($c->post_receive());
    like($c->read_plain(), qr/answer\n/, "$protocol: the POST has its response");

    is($m->post($message)->status(), 409, "$protocol: again, afterwards");
}


# Whoever has no key does not use up numbers.

sub forged {
    my ($protocol) = @_;

    my $m = messages($protocol);
    my @forged = map { $m->seal(request('/forged'), number => $_,
                                key => 'k' x 32) } 1 .. $N;

    $t->write_file('requests', '');

    my @posts = map { $m->post_send($_) } @forged;
    my %statuses;

    $statuses{$_->receive()->status()}++, $_->close() for @posts;
    is_deeply(\%statuses, { 400 => $N }, "$protocol: forged messages");

    my @served = grep { ($m->exchange(request('/pid'), number => $_) // '')
                        =~ / 200 / } 1 .. $N;
    is(scalar @served, $N, "$protocol: their numbers are not used");
    is(scalar requests(), 0, "$protocol: none was passed on");
}


# Numbers within the window, in any order.

sub in_any_order {
    my ($protocol) = @_;

    my $m = messages($protocol);
    my $got = 0;

    for my $from (map { $_ * 64 } 0 .. 2) {
        for my $number (shuffle $from .. $from + 63) {
            $got += ($m->exchange(request('/pid'), number => $number) // '')
                    =~ / 200 /;
        }
    }

    is($got, 3 * 64, "$protocol: numbers in any order");

    for my $number (64, 128, 191) {
        $m->exchange(request('/pid'), number => $number);
        is($m->error(), '409 message-repeated', "$protocol: $number again");
    }
}


# A worker that dies has not taken the session, and numbers stay used.

sub crash {
    my ($protocol) = @_;

    my $m = messages($protocol);
    my $message = $m->seal(request('/crash'), number => 7);

    start();

    my $http = $m->post_send($message);

    $t->wait_for(sub { requests() == 1 });

    my ($pid) = (requests())[0] =~ /(\d+)$/;
    my @before = $t->workers();

    kill 'KILL', $pid;
    $t->wait_for(sub {
        my @now = $t->workers();
        !grep({ $_ == $pid } @now) && @now == @before;
    });

    my $lost = $http->receive();
    is($lost && $lost->status(), undef,
       "$protocol: the request in a killed worker");
    $http->close();

    $m->receive($m->post($message), 7);
    is($m->error(), '409 message-repeated', "$protocol: its number is used");

    my $answer = $m->exchange(request('/pid'), number => 8);
    like($answer, qr/ 200 /, "$protocol: the session goes on");

    my $r = $m->{client}->get('/pid');
    is($r && $r->status(), 200, "$protocol: also with records");
}
