# A POST that cannot be relayed, because a worker has no connections or
# descriptors, or because its mailbox is full, is answered with 503.  The
# session is not affected, and the same POST succeeds later.

use strict;
use warnings;

use IO::Select;
use Test::More;

use Test::Atls;
use Test::Atls::Elsewhere qw(
    connect_to descriptors more_sockets sockets with_only
);
use Test::Atls::Http qw( http_connect read_response readable send_all );
use Test::Atls::Process qw( asleep );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Status qw( added );


my $t = Test::Atls->new(workers => 2);


configure(64);

my @WHAT = ('connections', 'descriptors');

$t->run();

# logged by nginx at this level

$t->allow_log(qr/worker_connections are not enough/);

for my $what (@WHAT) {
    short($what, 'the one that serves', sub { $_[0] }, 'passed');
    short($what, 'the one that relays', sub { $_[1] }, 'no-connection');
}

configure(4096);
$t->reload();

full();

$t->done_testing();


sub configure {
    my ($connections) = @_;

    $t->write_http(<<"EOC", events => "worker_connections $connections;");
%%CERTIFICATE%%

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /.well-known/atls {
        atls on;
        add_header  X-Pid \$pid always;
    }

    location = /status {
        atls_status;
    }

    location / {
        return 200 "\$uri \$pid";
    }
}
EOC
}


# The rest of a request is sent to the other worker, while one of the workers
# lacks something.  The refused POST is counted with this result.

sub short {
    my ($what, $whose, $which, $result) = @_;

    my ($c, $owner) = parked();
    my ($other) = grep { $_ != $owner } $t->workers();
    my ($begin, $end) = rest($c);

    my $s = connect_to($t, $other, $begin, port => $t->port(0));
    my $worker = $which->($owner, $other);

    my ($posts, $relays) = added($t, sub {
        my $give_back = $what eq 'connections' ? take_connections($worker)
                                               : take_descriptors($worker);

        refused(answer($s, $end), "$what, $whose");
        close $s;
        $give_back->();
    }, qw( posts_total relays_total ));

    is_deeply($posts, { 'too-few-connections' => { 503 => 1 } },
              "$what, $whose: counted");
    is_deeply($relays, { $result => 1 }, "$what, $whose: the relay");

    $s = connect_to($t, $other, $begin, port => $t->port(0));
    served($c, answer($s, $end), $owner, "$what, $whose");
}


sub refused {
    my ($o, $name) = @_;

    is($o && $o->status(), 503, "$name: status");
    is($o && $o->header('Retry-After'), 1, "$name: to be tried again");
    is($o && $o->header('Set-Cookie'), undef, "$name: the cookie is not");
}


sub served {
    my ($c, $o, $owner, $name) = @_;

    my $r;

    if ($o && $o->status() == 200) {
        $c->tls_in($o->body());
        ($r) = parse_responses($c->read_plain());
    }

    is($r && $r->body(), "/start $owner", "$name: later");
}


sub parked {
    my $c = $t->client(keepalive => 0);

    $c->handshake() or diag($c->error());
    $c->request('GET /start HTTP/1.1');

    return ($c, $c->last_response()->header('X-Pid'));
}


# The POST with the rest, in two parts: a connection is not closed to make room
# for others while it is in the header.

sub rest {
    my ($c) = @_;

    $c->write_plain("\r\nHost: localhost\r\n\r\n");

    my $bytes = $c->tls_out();

    return "POST /.well-known/atls HTTP/1.1\r\nHost: localhost\r\n",
           join "\r\n", 'Content-Type: application/atls+octet-stream',
                'Connection: close', 'Cookie: atls=' . $c->cookie(),
                'Content-Length: ' . length $bytes, '', $bytes;
}


sub answer {
    my ($s, $bytes) = @_;

    send_all($s, $bytes);

    return read_response($s);
}


# Opens connections with unfinished requests until one is refused.

sub take_connections {
    my ($pid) = @_;

    return take($pid, 1000);
}


# The same until all descriptors are used.

sub take_descriptors {
    my ($pid) = @_;

    my ($limit) = $t->read_file("/proc/$pid/limits")
                  =~ /^Max open files\s+(\d+)/m;
    my ($last) = sort { $b <=> $a } descriptors($pid);

    set_limit($pid, $last + 3);
    my $give_back = take($pid, $last + 3);

    return sub {
        set_limit($pid, $limit);
        $give_back->();
    };
}


sub take {
    my ($pid, $limit) = @_;

    my @taken;
    my $before = descriptors($pid);

    with_only($t, $pid, sub {
        while (descriptors($pid) < $limit) {
            my @before = sockets($pid);
            my $s = http_connect($t->port(0));

            send_all($s, "GET / HTTP/1.1\r\nHost: localhost\r\n");
            $t->wait_for(sub { readable($s, 0)
                               || more_sockets($pid, \@before)
                                  && asleep($pid) }, 30);

            last if readable($s, 0);
            push @taken, $s;
        }
    });

    return sub {
        @taken = ();
        $t->wait_for(sub { descriptors($pid) <= $before && asleep($pid) }, 30);
    };
}


sub set_limit {
    my ($pid, $limit) = @_;

    system('prlimit', '--pid', $pid, "--nofile=$limit:") == 0
        or die "prlimit failed\n";
}


# While the serving worker does not read its mailbox, POSTs wait until it is
# full.  They are all the same, so one of them is served.

sub full {
    my ($c, $owner) = parked();
    my ($other) = grep { $_ != $owner } $t->workers();
    my $post = join '', rest($c);

    my $waiting = IO::Select->new();
    my $o;

    with_only($t, $other, sub {
        for (1 .. 4000) {
            my $s = http_connect($t->port(0));

            send_all($s, $post);
            $waiting->add($s);

            my ($refused) = $waiting->can_read(0) or next;

            $waiting->remove($refused);
            $o = answer($refused, '');
            last;
        }
    });

    refused($o, 'mailbox');

    my @answers = map { answer($_, '') } $waiting->handles();
    my ($served) = grep { $_ && $_->status() == 200 } @answers;

    is(scalar(grep { $_ } @answers), $waiting->count(), 'mailbox: the others');
    served($c, $served, $owner, 'mailbox');
}
