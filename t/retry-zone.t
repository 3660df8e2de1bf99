#!/usr/bin/perl

# In a zone that is full, the responses that are kept for repeated POSTs are
# dropped, and no session is; also if all worker processes use it at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;

use Test::Atls;
use Test::Atls::Retry qw( again opened record );

my $CLIENTS = 4;
my $EACH = 20;          # sessions
my $GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

my %full = map { $_ => fill($_) } 0, '4k';

cmp_ok($full{0}{sessions}, '>', 100, "$full{0}{sessions} sessions fit");
is($full{'4k'}{sessions}, $full{0}{sessions}, 'as many with kept responses');
is($full{0}{kept}, 0, 'none is kept if that is off');
cmp_ok($full{'4k'}{kept}, '<', $full{'4k'}{sessions} / 2, 'few responses fit');
cmp_ok($full{'4k'}{kept}, '>', 0, 'but some of them');

hellos();
too_large();

my %got = at_once();

is(join(' ', grep { !/^(?:served|same|dropped)$/ } sort keys %got), '',
   'at once: no session is lost, and no response is wrong');
is($got{served}, $CLIENTS * $EACH * 2, 'at once: all are served');
ok($got{$_}, "at once: $_ " . ($got{$_} || 0)) for qw( same dropped );

done_testing();


sub server {
    my ($workers, $buffer) = @_;

    my $t = Test::Atls->new(workers => $workers);

    $t->write_http(<<"EOC");
atls_zone full:128k;
atls_retry_buffer $buffer;

%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "inner\n";
    }

    location = /huge {
        root %%TESTDIR%%;
    }

    location = /large {
        return 200 "@{[ 'large' x 600 ]} \$atls_session_id\n";
    }
}
EOC

    $t->run();

    return $t;
}


# The number of sessions in a full zone, and of responses that are kept.

sub fill {
    my ($buffer) = @_;

    my $t = server(1, $buffer);

    my @all = map {
        my $c = $t->established();
        my $r = $c->get('/');

        $r && $r->body() eq "inner\n" ? $c : ();
    } 1 .. 240;

    my @there = grep { $_->post('')->status() == 200 } @all;
    my $kept = 0;

    # the order of use remains

    for my $c (@there) {
        $c->write_plain($GET);

        my $record = $c->tls_out();
        my $r = $c->post($record);
        my $again = $c->post($record);

        $kept++ if $again->status() == 200 && $again->body() eq $r->body();
    }

    my %result = (sessions => scalar @there, kept => $kept);

    # each has just been kept; those of the others were dropped for it

    if ($kept) {
        my @records = map { $_->write_plain($GET); $_->tls_out() } @there;

        $there[$_]->post($records[$_]) for 0 .. $#there;
        $result{kept} = grep {
            $there[$_]->post($records[$_])->status() == 200
        } 0 .. $#there;
    }

    @all = @there = ();
    $t->stop();

    return \%result;
}


# Responses in handshakes, which anybody can start, are dropped before others.

sub hellos {
    my $t = server(1, '4k');
    my @c = map { $t->established() } 1 .. $EACH;
    my @records = map { record($_, '/large') } @c;
    my @first = map { again($c[$_], $records[$_]) } 0 .. $#c;

    for (1 .. 100) {
        my $c = $t->client(keepalive => 0);

        $c->handshake_step();
        $c->post($c->tls_out());
    }

    is(scalar(grep { again($c[$_], $records[$_]) eq $first[$_] } 0 .. $#c),
       $EACH, 'ClientHellos: all other responses are kept');
    $t->stop();
}


# A response that is larger than the zone is not kept, but all others are.

sub too_large {
    my $t = server(1, '1m');
    my @c = map { $t->established() } 1 .. $EACH;
    my $c = pop @c;

    $t->write_file('huge', 'x' x 200_000);

    my @records = map { record($_, '/large') } @c;
    my @first = map { again($c[$_], $records[$_]) } 0 .. $#c;
    my $record = record($c, '/huge');

    like(opened($c, again($c, $record)), qr/x{1000}\z/, 'too large: response');
    is(again($c, $record), '410 answer-lost', 'too large: not kept');
    is(scalar(grep { again($c[$_], $records[$_]) eq $first[$_] } 0 .. $#c),
       $EACH - 1, 'too large: all other responses are kept');
    $t->stop();
}


# Many clients send all their POSTs, and then all of them again.

sub at_once {
    my $t = server(4, '4k');
    my (@pipes, @pids, %sum);

    for (1 .. $CLIENTS) {
        pipe my $in, my $out or die "pipe: $!\n";
        push @pipes, $in;

        my $pid = fork();
        push @pids, $pid;
        next if $pid;

        my %got = client($t);

        syswrite $out, join ' ', %got;
        POSIX::_exit(0);
    }

    for my $in (@pipes) {
        my %got = split ' ', scalar <$in>;

        $sum{$_} += $got{$_} for keys %got;
    }

    waitpid $_, 0 for @pids;
    $t->stop();

    return %sum;
}


sub client {
    my ($t) = @_;

    my @c = map { $t->established() } 1 .. $EACH;
    my %got;

    for (1 .. 2) {
        my @records = map { record($_, '/large') } @c;
        my @first = map { again($c[$_], $records[$_]) } 0 .. $#c;

        for (reverse 0 .. $#c) {
            my $second = again($c[$_], $records[$_]);

            $got{$second eq $first[$_] ? 'same'
                 : $second eq '409 not-next' ? 'dropped'
                 : substr $second, 0, 20}++;
            $got{opened($c[$_], $first[$_]) =~ /large/ ? 'served' : 'lost'}++;
        }
    }

    return %got;
}
