#!/usr/bin/perl

# A middlebox that passes a request on, and then makes the client believe that
# it did not: exit codes and statuses do not say so, and POSTs run once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use IO::Socket::SSL;
use Test::More;

use Test::Atls::Middlebox;
use Test::Atls::Port qw( free_port );
use Test::Atls::Program qw( run_program );
use Test::Atls::Site;

my $t = Test::Atls::Site->new(workers => 2);
my $backend = $t->backend();

my $https = <<'EOC';
server {
    listen 127.0.0.1:%%PORT_2%% ssl;
    %%SSL_CERTIFICATE_localhost%%

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$t->serve('', servers => $https);
$t->make_cert('evil', san => 'DNS:localhost');

my $doubt = qr/; the request may or may not have been processed$/m;
my $m = Test::Atls::Middlebox->start($t, 'meddler', to => $t->port(0),
                                     first => 20,
                                     what => [ qw( no-http=2 busy=2 ) ]);

subtest('not HTTP' => \&no_http);
subtest('503 of atls forward' => \&busy);
subtest('--fallback' => \&fallback);

$t->done_testing();


sub no_http {
    my $r = $t->command()->run($t->trust(), '--via', $m->endpoint('no-http=2'),
                               '-d', 'x', 'https://localhost/body');

    is("$r->{code} $r->{out}", '56 ', 'exit code');
    like($r->{err}, $doubt, 'what it says');
    is(scalar(() = $backend->requests()), 1, 'requests');
    $backend->forget();

    done_testing();
}


# Many programs repeat a request after a 503.

sub busy {
    my $f = $t->forward($m->endpoint('busy=2'));
    my $r = run_program($t, 'curl', '-sS', '--retry', 2, '-d', 'x', '-w',
                        '%{http_code}', '--retry-max-time', 1,
                        'http://127.0.0.1:' . $f->port() . '/body');

    ok($backend->requests(), 'a request');
    $backend->forget();
    ok($f->wait_for_log(qr/ 502 .*$doubt/), 'its line') or diag(join "\n", $f->log());
    unlike(join("\n", $f->log()), qr! /body 503 !, 'no 503');
    $f->stop();

    done_testing();
}


# The connection of the first URL is kept.  It is closed when the second request
# has arrived.

sub fallback {
    my $site = 'https://localhost';

    for (
        [ 'nothing else',        'POST', 52, 1 ],
        [ 'nobody listens',      'POST', 52, 1, 'closed' ],
        [ 'another certificate', 'POST', 52, 1, 'evil' ],
        [ 'GET, nobody listens', 'GET',  56, 1, 'closed' ],
        [ 'GET, nothing else',   'GET',  0,  2 ],
    ) {
        my ($name, $method, $code, $requests, $then) = @$_;
        my $port = free_port();
        my $pid = $t->run_daemon(sub { cut($port, $then || '') },
                                 port => $port);
        my $urls = "$site:$port";

        $backend->forget();
        my $r = $t->command()->run('--fallback', $t->trust(), '--via',
                                   $t->endpoint(), '-m', 20, '-X', $method,
                                   "$urls/status?code=201", "$urls/body?second");
        my @got = grep { /second/ } map { $_->{uri} } $backend->requests();

        # newer versions of libcurl return 56 for 52

        is($r->{code} == 56 ? $code : $r->{code}, $code, "$name: exit code")
            or diag($r->{err});
        is(scalar @got, $requests, "$name: requests");
        $t->stop_daemon($pid);
    }

    $backend->forget();
    done_testing();
}


# Passes connections on.  One is closed with the second request: its response is
# discarded.  Then there is another certificate, or no listener.

sub cut {
    my ($port, $then) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5,
                                       LocalPort => $port, ReuseAddr => 1)
        or die "cut: $!\n";
    my $select = IO::Select->new($listen);
    my (%other, $done);

    for ( ;; ) {
        for my $from ($select->can_read()) {

            if ($from == $listen) {
                my $client = $listen->accept() or next;
                $done && $then eq 'evil' ? evil($client)
                                         : pair($select, \%other, $client);
                next;
            }

            my $to = $other{$from} or next;
            my $got = sysread $from, my $bytes, 65536;

            # the response to the second request; it may have a connection of
            # its own

            my $cuts = !$done && $got && $from->peerport() == $t->port(2)
                       && second();

            if ($got && !$cuts) {
                syswrite $to, $bytes;
                next;
            }

            if ($cuts) {
                $done = 1;
                $select->remove($listen), close $listen if $then eq 'closed';
            }

            $select->remove($from, $to);
            delete @other{$from, $to};
            close $_ for $from, $to;
        }
    }
}


sub second { scalar grep { $_->{uri} =~ /second/ } $backend->requests() }


sub pair {
    my ($select, $other, $client) = @_;

    my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $t->port(2))
        or die "pair: $!\n";

    $select->add($client, $server);
    @$other{$client, $server} = ($server, $client);
}


sub evil {
    my ($client) = @_;

    IO::Socket::SSL->start_SSL($client, SSL_server => 1,
                               SSL_cert_file => $t->path('evil.crt'),
                               SSL_key_file => $t->path('evil.key'));
}
