#!/usr/bin/perl

# A path that loses, cuts, doubles and delays POSTs and responses at random: a
# client that sends each POST again until it has the response loses no session,
# and each request is executed once.  No nonce is used twice, nothing is left in
# the zone, and the workers do not grow.  ATLS_LOSSY is the number of requests,
# ATLS_SEED the seed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( http_connect readable send_all );
use Test::Atls::Nonces;
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience );
use Test::Atls::Status qw( status );

my $N = $ENV{ATLS_LOSSY} || 300;
my $SEED = $ENV{ATLS_SEED} || 11;
my $EACH = 50;          # requests in a session

my $t = Test::Atls->new(workers => 3);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /atls {
        atls on;
    }

    location = /status {
        atls_status;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_ignore_client_abort on;
    }
}
EOC

my $nonces = Test::Atls::Nonces->new($t);

$nonces->with(sub { $t->run() });

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my (%faults, @wrong);

srand $SEED;

my $sessions = 0;
my ($c, $established, @pages, $memory);

for my $id (1 .. $N) {
    if ($id % $EACH == 1) {
        push @pages, pages() if $c;
        $memory = memory() if $id > $N / 4 && !$memory;
        $c = handshake($sessions++ % 2 ? 'TLSv1.2' : 'TLSv1.3');
    }

    my $size = int rand 2000;
    my @parts = parts("POST /body?id=$id HTTP/1.1\r\nHost: localhost\r\n"
                      . "Content-Length: $size\r\n\r\n" . 'x' x $size);
    my $plain = '';

    for my $part (@parts) {
        $c->write_plain($part);
        $plain .= exchange($c, $c->tls_out());
    }

    my ($r) = parse_responses($plain, 'POST');

    push @wrong, "$id: " . ($r ? $r->status() : 'none') . ' ' . $c->error()
        unless $r && $r->body() eq 'x' x $size;
}

is("@wrong[0 .. ($#wrong < 4 ? $#wrong : 4)]", '',
   "$N requests, seed $SEED: all are answered");

my %executed = $backend->times();

is(scalar(keys %executed), $N, 'all are executed');
is(join(' ', grep { $executed{$_} != 1 } sort keys %executed), '',
   'and only once');

push @pages, pages();
cmp_ok($pages[-1], '<=', $pages[0] + 2,
       'the zone uses as many pages as after a session');

cmp_ok(memory() - $memory, '<=', 1024,
       "memory of the workers does not grow, from $memory KB")
    unless $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND};

cmp_ok(scalar(keys %{$nonces->pairs()}), '>', $N, 'records are sealed');
is(join(' ', $nonces->reused()), '', 'no nonce is used twice');

note("$_: $faults{$_}") for sort keys %faults;
ok($faults{$_}, "there were faults: $_")
    for qw( cut-request cut-response doubled lost late );

$t->done_testing();


# Kilobytes of the workers, without what they share.

sub memory {
    my $sum = 0;

    for my $pid ($t->workers()) {
        open my $fh, '<', "/proc/$pid/status" or die "worker $pid: $!\n";
        $sum += $_ for map { /^RssAnon:\s+(\d+) kB/ ? $1 : () } <$fh>;
    }

    return $sum;
}


# Ends the session.  Returns the number of pages that the zone has ever used.

sub pages {
    $c->close_notify();

    my $status = status($t);
    my $used = $status->{zone_entries};

    push @wrong, map { "$used->{$_} entries: $_" }
                 grep { $_ ne 'free' && $used->{$_} } sort keys %$used;

    return $status->{zone_pages}{used};
}


sub handshake {
    my ($protocol) = @_;

    my $c = $t->client(uri => '/atls', keepalive => 0, protocol => $protocol);

    # a flight that is cut ends a handshake: nothing of it is authenticated

    $established = 0;

    $c->handshake_step();
    $c->exchange($c->tls_out());

    until ($c->handshake_step()) { exchange($c, $c->tls_out()) }

    exchange($c, $c->tls_out()) if $protocol eq 'TLSv1.3';

    $established = 1;

    return $c;
}


sub parts {
    my ($bytes) = @_;

    return $bytes if rand() < 0.7;

    my $at = 1 + int rand(length($bytes) - 1);

    return (substr($bytes, 0, $at), substr $bytes, $at);
}


# Sends a POST until its response is complete.

sub exchange {
    my ($c, $bytes) = @_;

    my $r;

    for (1 .. 50) {
        $r = attempt($c, $c->format_post($bytes)) and last;
    }

    if (!$r || $r->status() != 200) {
        push @wrong, $r ? $r->status() . ' ' . $r->body() : 'no response';
        return '';
    }

    $c->tls_in($r->body());

    return $c->read_plain();
}


# Returns the response, or undef if it was lost.

sub attempt {
    my ($c, $post) = @_;

    my $s = http_connect($t->port(0));
    my $fault = (qw( none none none cut-request cut-response doubled lost
                     late ))[rand 8];
    my $other;

    $fault = 'none' if $fault eq 'cut-request' && !$established;
    $faults{$fault}++;

    if ($fault eq 'cut-request') {
        send_all($s, substr $post, 0, rand length $post);
        sleep rand 0.01;
        close $s;
        return undef;
    }

    send_all($s, $post);

    if ($fault eq 'lost') {
        sleep rand 0.01;
        close $s;
        return undef;
    }

    if ($fault eq 'doubled') {
        $other = http_connect($t->port(0));
        send_all($other, $post);
    }

    sleep rand 0.05 if $fault eq 'late';

    my $r = receive($s, $fault eq 'cut-response' ? rand 400 : undef);

    if ($other) {
        my $second = receive($other);

        my @got = map { $_ ? $_->status() . ' ' . unpack 'H40', $_->body()
                           : 'none' } $r, $second;

        push @wrong, "another response to the same POST: @got"
            unless $r && $second && $r->body() eq $second->body();
    }

    return $r;
}


sub receive {
    my ($s, $limit) = @_;

    my $r = Test::Atls::Response->new(method => 'POST');

    until ($r->done()) {
        readable($s, patience())
            && sysread $s, my $buf, defined $limit ? 1 + $limit : 65536
            or return undef;
        return undef if defined $limit && ($limit -= length $buf) < 0;
        $r->feed($buf);
    }

    return $r;
}
