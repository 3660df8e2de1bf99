# Sessions on several machines, with a store: each POST of a session is sent to
# the next machine.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;


my $SESSIONS = $ENV{ATLS_STORE_SESSIONS} || 20;
my $posts;

Test::Atls::Cluster->require_redis();

for my $mode (qw( lazy each )) {
    for my $tracking (qw( cookie location )) {
        subtest "$mode, $tracking" => sub { machines($mode, $tracking) };
    }
}

done_testing();


sub machines {
    my ($mode, $tracking) = @_;

    my $cluster = Test::Atls::Cluster->new(
        nodes => 3, mode => $mode,
        location => "atls_session_tracking $tracking;",
        http => 'proxy_http_version 1.1;',
        inner => <<'EOC',
location / { return 200 "$remote_addr $request_body_file ok"; }

location /upload {
    client_max_body_size 0;
    proxy_pass  http://127.0.0.1:%%PORT_0%%/sink;
}

location /sink {
    client_max_body_size 0;
    proxy_pass  http://127.0.0.1:%%PORT_0%%/length;
}

location /length { return 200 "$content_length"; }
EOC
    )->run();

    every_post_elsewhere($cluster);
    split_handshakes($cluster);
    uploads($cluster);
    retries($cluster, $mode);

    my @nodes = $cluster->nodes();
    my $lines = join '', map { $_->read_log('outer.log') } @nodes;

    # each of them at the machine that the client has reached

    is(scalar(split /\n/, $lines), $posts, "$posts POSTs are logged once");

    is(scalar(grep { !/^127\.0\.[\d.]+ 20[01] / } split /\n/, $lines), 0,
       'no POST has failed');

    $cluster->done_testing();
}


# The client's address is that of its own connection, wherever it is served.

sub every_post_elsewhere {
    my ($cluster) = @_;

    my ($failed, $n) = ('', 0);

    $posts = 0;

    for my $i (1 .. $SESSIONS) {
        my $from = '127.0.' . int($i / 250) . '.' . (1 + $i % 250);
        my $c = $cluster->client($n++ % 3, local => $from,
                                 protocol => $i % 2 ? 'TLSv1.3' : 'TLSv1.2');

        $c->handshake() or $failed .= "$i: " . $c->error() . "\n" and next;

        for (1 .. 4) {
            my $body = $cluster->get($c, $n++ % 3);
            $failed .= "$i: $body\n" if $body !~ /^\Q$from\E .*ok$/;
        }

        $posts += $c->posts();
    }

    is($failed, '', 'each POST to the next machine');
}


sub split_handshakes {
    my ($cluster) = @_;

    my $failed = '';

    for my $i (1 .. 6) {
        my $c = $cluster->client($i % 3, protocol => $i % 2 ? 'TLSv1.3'
                                                            : 'TLSv1.2');
        my $n = $i;

        for (1 .. 10) {
            my $done = $c->handshake_step();
            my $flight = $c->tls_out();

            for my $piece ($flight =~ /.{1,150}/gs) {
                $c->exchange($piece) or $failed .= "$i: " . $c->error() . "\n";
                $cluster->move($c, ++$n % 3);
            }

            last if $done || $failed;
        }

        my $body = $cluster->get($c, $n % 3);
        $failed .= "$i: $body\n" if $body !~ /ok$/;
        $posts += $c->posts();
    }

    is($failed, '', 'handshakes split over machines');
}


# An unfinished request stays at a machine.

sub uploads {
    my ($cluster) = @_;

    my $failed = '';

    for my $i (0 .. 2) {
        my $c = $cluster->established($i);
        my $n = $i;

        $c->write_plain("POST /upload HTTP/1.1\r\nHost: localhost\r\n"
                        . "Content-Length: 100000\r\n\r\n");

        for (1 .. 5) {
            $cluster->move($c, ++$n % 3);
            $c->write_plain('x' x 20000);
            $c->exchange($c->tls_out()) or $failed .= $c->error() . "\n";
        }

        my $plain = $c->read_plain();
        $failed .= "$i: $plain\n" if $plain !~ m!^HTTP/1.1 200 !;

        my $body = $cluster->get($c, ++$n % 3);
        $failed .= "$i: $body\n" if $body !~ /ok$/;
        $posts += $c->posts();
    }

    is($failed, '', 'uploads split over machines');
}


# A POST that is sent to another machine again gets the same response.

sub retries {
    my ($cluster) = @_;

    my $failed = '';

    for my $i (0 .. 2) {
        my $c = $cluster->established($i);

        $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

        my $record = $c->tls_out();
        my %bodies;

        for my $n (0 .. 3) {
            $cluster->move($c, ($i + $n) % 3);

            my $r = $c->post($record);
            $bodies{$r ? $r->status() . $r->body() : 'none'}++;
        }

        $failed .= "$i: " . join(', ', map { length } keys %bodies) . "\n"
            if keys %bodies != 1 || grep { !/^200./s } keys %bodies;
        $posts += $c->posts();
    }

    is($failed, '', 'POSTs that are sent again');
}
