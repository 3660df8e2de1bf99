#!/usr/bin/perl

# POSTs of a DTLS session at once, in any worker: each is answered by itself,
# and no number of a record is used twice, even if workers die.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Http qw( send_all );
use Test::Atls::Nonces;
use Test::Atls::Pattern qw( pattern );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Retry qw( outer record );
use Test::Atls::Serve qw( serve_together );
use Test::Atls::Stack;
use Test::Atls::Udp qw( dtls_records );

my $N = 24;
my $SIZE = 20000;

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

atls_protocols DTLSv1.2;
atls_handshake_timeout 60s;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_buffering off;
        add_header X-Worker $pid;
    }
}
EOC

my $nonces = Test::Atls::Nonces->new($t);
$nonces->with(sub { $t->run() });

$t->run_daemon(sub { serve_together($t->port(1), \&service) },
               port => $t->port(1));

for my $suite (qw( ECDHE-ECDSA-AES128-GCM-SHA256
                   ECDHE-ECDSA-CHACHA20-POLY1305 ))
{
    at_once($suite);
}

crash();

is(join(' ', $nonces->reused()), '', 'no nonce was used twice');
cmp_ok(scalar keys %{ $nonces->pairs() }, '>', 2 * $N * $SIZE / 1232,
       'of all records');

$t->done_testing();


sub at_once {
    my ($suite) = @_;

    my $c = client($suite);
    my @posts = map { post($c, "/$SIZE?$_") } 1 .. $N;
    my @answers = map { answer($_) } @posts;

    is(scalar(grep { $_->status() == 200 } @answers), $N, "$suite: answers");

    my @responses = opened($c, $suite, @answers);

    is(scalar(grep { $_->body() eq pattern($SIZE) } @responses), $N,
       "$suite: all responses are whole");

    my %workers = map { $_->header('X-Worker') => 1 } @responses;
    cmp_ok(scalar keys %workers, '>', 1, "$suite: served by several workers");

    is(answer(post($c, '/1'))->status(), 200, "$suite: the session goes on");
}


# A worker dies while it sends.  Its numbers are not used again.

sub crash {
    my $c = client('ECDHE-ECDSA-AES128-GCM-SHA256');
    my @posts = map { post($c, "/$SIZE?hang$_") } 1 .. 2 * $N;
    my %began;

    # some records of each have been sent

    for my $http (@posts) {
        my $got = '';

        until ($got =~ /\r\n\r\n.{2000}/s) {
            sysread $http->{socket}, $got, 4096, length $got or last;
        }

        $began{$http} = $got;
    }

    my ($victim) = $t->workers();

    $t->allow_kills();
    kill 'KILL', $victim;
    $t->wait_for(sub { !grep { $_ == $victim } $t->workers() });

    my $answer = answer(post($c, '/1'));
    is($answer->status(), 200, 'a worker has died');

    my @numbers = map { /\x17\xfe\xfd\0\1(.{6})/sg } values %began;
    my %used = map { $_ => 1 } @numbers;

    is(scalar keys %used, scalar @numbers, 'numbers that were seen');
    is((grep { $used{$_->[0]} } records($answer)), 0, 'are not used again');

    my ($r) = opened($c, 'after that', $answer);
    is($r->body(), pattern(1), 'response');
}


sub client {
    my ($suite) = @_;

    my $c = Test::Atls::Stack->new('openssl', port => $t->port(0),
                                   keepalive => 0, protocol => 'DTLSv1.2',
                                   ciphers => $suite);

    ok($c->handshake(), $suite) or diag($c->error());

    return $c;
}


# Begins a POST on a connection of its own.

sub post {
    my ($c, $uri) = @_;

    return outer($c, record($c, $uri));
}


sub answer {
    my ($http) = @_;

    return $http->receive() || die "no answer\n";
}


# The number and the bytes of each record.

sub records {
    return map { [ substr($_, 5, 6), $_ ] } dtls_records($_[0]->body());
}


# The responses.  The client gets all records in their order, as its window is
# smaller than a response.

sub opened {
    my ($c, $name, @answers) = @_;

    my @records = map {
        my $n = $_;
        map { [ @$_, $n ] } records($answers[$n]);
    } 0 .. $#answers;

    my %numbers = map { $_->[0] => 1 } @records;
    my @plain = ('') x @answers;

    is(scalar keys %numbers, scalar @records,
       "$name: all numbers are different");

    for (sort { $a->[0] cmp $b->[0] } @records) {
        $c->tls_in($_->[1]);
        $plain[$_->[2]] .= $c->read_plain();
    }

    return map { parse_responses($_, 'GET') } @plain;
}


# Answers /SIZE when N requests wait; /1 at once; for ?hang, also at once, all
# but the last byte.

sub service {
    my @waiting = grep { !$_->{begun} } @_;
    my @alone = grep { $_->{head} =~ m!^GET /(?:1 |\d+\?hang)! } @waiting;
    my @ready = @waiting >= $N ? @waiting : @alone;

    for (@ready) {
        my ($size, $hang) = $_->{head} =~ m!^GET /(\d+)(?:\?(hang))?!;

        send_all($_->{socket},
                 "HTTP/1.0 200 OK\r\nContent-Length: $size\r\n\r\n"
                 . pattern($size - ($hang ? 1 : 0)));
        $_->{begun} = $hang;
    }

    return grep { !$_->{begun} } @ready;
}
