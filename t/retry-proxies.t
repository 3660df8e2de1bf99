#!/usr/bin/perl

# Programs that repeat POSTs by themselves: nginx with proxy_next_upstream,
# haproxy with retry-on, and libcurl, if a kept connection was closed.  Each
# request is executed once, and no session is lost.  ATLS_LOSSY is the number of
# requests, ATLS_SEED the seed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Lossy;
use Test::Atls::Middlebox;
use Test::Atls::Response qw( parse_responses );

my $N = $ENV{ATLS_LOSSY} || 60;
my $SEED = $ENV{ATLS_SEED} || 7;
my $EACH = 30;          # requests in a session
my $RETRIES = 20;

my $t = Test::Atls->new(workers => 2);

my @servers = ('server 127.0.0.1:%%PORT_2%% max_fails=0;') x $RETRIES;

$t->write_http(<<"EOC");
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}

upstream lossy {
    @servers
    keepalive 4;
}

server {
    listen 127.0.0.1:%%PORT_3%%;

    location / {
        proxy_pass http://lossy;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_next_upstream error timeout non_idempotent;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my $lossy = Test::Atls::Lossy->start($t, $t->port(2), $t->port(0),
                                     seed => $SEED);
my $kept = Test::Atls::Lossy->start($t, $t->port(4), $t->port(0),
                                    seed => $SEED, kept => 1);

tested('nginx', $lossy, sub { requests($_[0], port => $t->port(3)) });

my $haproxy = Test::Atls::Middlebox->start($t, 'haproxy', port => $t->port(5),
                                           tap => $t->port(6),
                                           to => $t->port(2), more => <<"EOC");
    retries $RETRIES
    retry-on all-retryable-errors
EOC

tested('haproxy', $lossy,
       sub { requests($_[0], $haproxy->route(), tls => 1) });

tested('libcurl', $kept, \&curl);

$t->done_testing();


# $send->(\@uris) sends requests in one session, and returns responses.

sub tested {
    my ($name, $path, $send) = @_;

    my %before = map { $_ => $path->losses($_) } qw( request response );
    my @uris = map { "/echo?$name-$_" } 1 .. $N;
    my @wrong;

    $backend->forget();

    for (my @rest = @uris; my @part = splice @rest, 0, $EACH; ) {
        my @responses = $send->(\@part);

        push @wrong, map { $part[$_] } grep {
            ($responses[$_] || '') !~ /^POST \Q$part[$_]\E /
        } 0 .. $#part;
    }

    is("@wrong", '', "$name, $N requests, seed $SEED: all are answered");

    my %executed = $backend->times();

    is(join(' ', grep { ($executed{$_} || 0) != 1 } @uris), '',
       "$name: each is executed once");

    cmp_ok($path->losses($_), '>', $before{$_}, "$name: lost: $_")
        for qw( request response );
}


sub requests {
    my ($uris, @args) = @_;

    my $c = $t->client(@args);

    $c->handshake() or return ('no handshake: ' . $c->error()) x @$uris;

    return map { $c->exchange(post($c, $_)); body($c) } @$uris;
}


# The records of a request.

sub post {
    my ($c, $uri) = @_;

    $c->write_plain("POST $uri HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 4\r\n\r\nbody");

    return $c->tls_out();
}


sub body {
    my ($c) = @_;

    my ($r) = parse_responses($c->read_plain(), 'POST');

    return $r ? $r->body() : $c->error();
}


# Requests do not depend on responses, so one command sends all of them.

sub curl {
    my ($uris) = @_;

    my $c = $t->established();
    my $url = 'http://127.0.0.1:' . $t->port(4) . '/.well-known/atls';
    my @command = ('curl', '--disable');

    for my $n (0 .. $#$uris) {
        my $file = $t->write_file("post-$n", post($c, $uris->[$n]));

        push @command, ('--next') x ($n > 0), qw( -sS --noproxy * ),
                       '--data-binary', "\@$file", '-o', "$file.out",
                       '-H', "Content-Type: $c->{type}",
                       '-H', 'Cookie: atls=' . $c->cookie(), $url;
    }

    system(@command) == 0 or diag("curl: $?");

    return map {
        $c->tls_in($t->read_file("post-$_.out"));
        body($c);
    } 0 .. $#$uris;
}
