#!/usr/bin/perl

# atls_cors: the headers occur once if POSTs are relayed, between worker
# processes and between machines; over HTTP/2 and TLS; in the stock
# configurations; and with 503.

use strict;
use warnings;

use Test::More;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Cluster;
use Test::Atls::Stock;

my $APP = 'https://app.example.com';
my $WHOLE = "$APP|Location, Retry-After|Origin";

subtest('worker processes', \&workers);
subtest('HTTP/2 and TLS', \&http2);
subtest('machines', \&machines);
subtest('full', \&full);

for my $name (@Test::Atls::Stock::NAMES) {
    subtest("stock configuration: $name", \&stock, $name);
}

done_testing();


# The values of the three headers of a response, all of them.

sub cors {
    my ($r) = @_;

    return join '|', map { join ' and ', $r->header($_) }
                     qw( Access-Control-Allow-Origin
                         Access-Control-Expose-Headers Vary );
}


sub conf {
    my ($listen, $http2) = @_;

    return <<"EOC";
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%

log_format posts '\$pid \$atls_post_session';

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%% ssl $listen;
    $http2

    location /.well-known/atls {
        atls on;
        atls_session_tracking location;
        atls_cors $APP;
        access_log %%TESTDIR%%/posts.log posts;
    }

    location / {
        return 200 "\$pid\\n";
    }
}
EOC
}


# A half-open session, and one with an unfinished request, belong to a worker
# process; POSTs with a ClientHello reach any.

sub workers {
    my $t = Test::Atls->new(workers => 4);
    my (%seen, %pids);

    $t->write_http(conf('', ''));
    $t->run();

    for my $n (1 .. 12) {
        my $c = $t->client(keepalive => 0, headers => { Origin => $APP });

        for my $step (1 .. 10) {
            my $done = $c->handshake_step();
            my $flight = $c->tls_out();

            for my $piece ($flight =~ /.{1,400}/gs) {
                $c->exchange($piece) or die $c->error() . "\n";
                $seen{cors($c->last_response())}++;
            }

            last if $done;
        }

        $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n");

        for my $rest ("X-A: b\r\n", "X-B: c\r\n", "\r\n") {
            $c->exchange($c->tls_out()) or die $c->error() . "\n";
            $seen{cors($c->last_response())}++;
            $c->write_plain($rest);
        }

        $c->exchange($c->tls_out());
        like($c->read_plain(), qr/^HTTP\/1.1 200 /, "session $n: a response");
    }

    is(join("\n", sort keys %seen), $WHOLE, 'all POSTs');

    # a session whose POSTs were received by more than one process was relayed

    for my $line (split /\n/, $t->read_log('posts.log')) {
        my ($pid, $session) = split / /, $line;
        $pids{$session}{$pid}++;
    }

    cmp_ok(scalar(grep { keys %$_ > 1 } values %pids), '>', 0, 'relayed');

    $t->done_testing();
}


sub http2 {
    my $t = Test::Atls->new();
    my ($listen, $http2) = $t->http2();
    my %seen;

    plan(skip_all => 'no HTTP/2') unless $listen || $http2;

    $t->write_http(conf($listen, $http2));
    $t->run();

    for my $args ({ tls => 1, port => $t->port(1) },
                  { tls => 1, port => $t->port(1), outer => 'h2' })
    {
        my $c = $t->client(headers => { Origin => $APP }, %$args);

        $c->handshake_step();
        $c->exchange($c->tls_out()) or die $c->error() . "\n";
        is($c->last_response()->status(), 201, 'the first response');
        $seen{cors($c->last_response())}++;

        ok($c->handshake(), 'handshake') or diag($c->error());

        for (1 .. 3) {
            ok($c->get('/'), 'a request');
            $seen{cors($c->last_response())}++;
        }
    }

    is(join("\n", sort keys %seen), $WHOLE, 'all POSTs');

    my $c = $t->client(tls => 1, port => $t->port(1), outer => 'h2',
                       method => 'OPTIONS', headers => {
                           Origin => $APP,
                           'Access-Control-Request-Method' => 'POST' });
    my $r = $c->post('');

    is($r->status(), 204, 'preflight over HTTP/2');
    is(cors($r), $WHOLE, 'its headers');

    $t->done_testing();
}


# Each POST is sent to another machine than the one before.

sub machines {
    Test::Atls::Cluster->require_redis();

    my $cluster = Test::Atls::Cluster->new(
        nodes => 2, http => "atls_session_tracking location; atls_cors $APP;");
    my %seen;

    $cluster->run();

    for my $n (0 .. 3) {
        my $c = $cluster->client($n % 2, headers => { Origin => $APP });

        $c->handshake() or die $c->error() . "\n";

        for my $to (1 .. 4) {
            like($cluster->get($c, ($n + $to) % 2), qr/ node\d$/, 'a response');
            $seen{cors($c->last_response())}++;
        }
    }

    is(join("\n", sort keys %seen), $WHOLE, 'all POSTs');

    $cluster->done_testing();
}


# A page has to see that it should try again later.

sub full {
    my $t = Test::Atls->new(workers => 1);

    $t->write_http('atls_max_handshakes 1;' . conf('', ''));
    $t->run();

    my $first = $t->half_open();
    my $c = $t->client(headers => { Origin => $APP });

    $c->handshake_step();
    my $r = $c->post($c->tls_out());

    is($r->status(), 503, 'too many handshakes');
    is($r->header('Retry-After'), 1, 'Retry-After');
    is(cors($r), $WHOLE, 'its headers');

    $t->done_testing();
}


sub stock {
    my ($name) = @_;

    my $t = Test::Atls::Stock->new($name, block => <<"EOC");
    location /.well-known/atls {
        atls on;
        atls_session_tracking location;
        atls_cors $APP;
        atls_certificate %%TESTDIR%%/localhost.crt;
        atls_certificate_key %%TESTDIR%%/localhost.key;
    }
EOC

    $t->make_cert('localhost', type => 'ec');
    $t->write_file($t->html() . '/index.html', "<p>welcome</p>\n" x 1000);
    $t->run();

    my %headers = (Origin => $APP, 'Accept-Encoding' => 'gzip');
    my $r = $t->client(method => 'OPTIONS', headers => {
                %headers, 'Access-Control-Request-Method' => 'POST' })
            ->post('', type => 'text/plain');

    is($r->status(), 204, 'preflight');
    is(cors($r), $WHOLE, 'its headers');

    my $c = $t->established(headers => \%headers);

    is(cors($c->last_response()), $WHOLE, 'handshake');
    like($c->get('/')->body(), qr/welcome/, 'a request');
    is(cors($c->last_response()), $WHOLE, 'its headers');

    $t->done_testing();
}
