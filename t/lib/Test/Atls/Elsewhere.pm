package Test::Atls::Elsewhere;

# Connections to a specific worker process: the other workers are stopped until
# it has accepted the connection.
#
#     my $s = connect_to($t, $pid, 'GET / HTTP/1.1', port => ..., tls => 1);
#
# Sends bytes and returns the socket after the worker has received all of them.
#
#     my $s = post_to($t, $pid, $client);
#     my $r = read_response($s);              # of Test::Atls::Http
#
# Sends a POST with the client's pending output, or with some bytes.

use strict;
use warnings;

use Exporter qw( import );

use Test::Atls::Http qw( http_connect send_all );
use Test::Atls::Process qw( asleep );

our @EXPORT_OK = qw(
    connect_to descriptors more_sockets post_to sockets with_only
);


sub connect_to {
    my ($t, $pid, $bytes, %args) = @_;

    my $s;

    with_only($t, $pid, sub {
        my @before = sockets($pid);

        $s = http_connect($args{port}, %args);
        send_all($s, $bytes);

        $t->wait_for(sub { more_sockets($pid, \@before) && asleep($pid) }, 30);
    });

    return $s;
}


sub post_to {
    my ($t, $pid, $c, $bytes) = @_;

    $bytes //= $c->tls_out();

    my $s = connect_to($t, $pid, "POST /.well-known/atls HTTP/1.1\r\n",
                       port => $t->port(0));

    send_all($s, join "\r\n", 'Host: localhost', 'Connection: close',
                 'Content-Type: application/atls+octet-stream',
                 'Cookie: atls=' . $c->cookie(),
                 'Content-Length: ' . length $bytes, '', $bytes);

    return $s;
}


# Runs a function while all workers but one are stopped.

sub with_only {
    my ($t, $pid, $code) = @_;

    my @others = grep { $_ != $pid } $t->workers();

    $t->suspend_workers(@others);
    $code->();

    kill 'CONT', @others;
}


# The number of sockets of a process that are not in a list.

sub more_sockets {
    my ($pid, $sockets) = @_;

    my %known = map { $_ => 1 } @$sockets;

    return scalar grep { !$known{$_} } sockets($pid);
}


sub sockets {
    my ($pid) = @_;

    return grep { defined && /^socket:/ }
           map { readlink "/proc/$pid/fd/$_" } descriptors($pid);
}


# The numbers of the descriptors of a process.

sub descriptors {
    my ($pid) = @_;

    opendir my $dir, "/proc/$pid/fd" or return;

    return grep { /^\d+$/ } readdir $dir;
}


1;
