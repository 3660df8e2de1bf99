package Test::Atls::Inner;

# Clients and a backend, for tests of how nginx serves decrypted requests.
#
#     use Test::Atls::Inner;                  # the backend is on port 9
#     $t->write_http(...)->run();
#     my $c = client(0, '/atls');             # of port 0
#     $c->get('/a');
#     is(seen(), 'GET /a', 'the last request of the backend');

use strict;
use warnings;

use Exporter qw( import );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;

our @EXPORT = qw( $t $backend client request seen log_lines );

our $t = Test::Atls->new();
our $backend = Test::Atls::Backend->start($t, $t->port(9));


sub client {
    my ($port, $uri, %args) = @_;

    my $c = $t->client(port => $t->port($port), uri => $uri, %args);

    ok($c->handshake(), "$uri: handshake") or diag($c->error());
    $backend->forget();

    return $c;
}


sub request {
    return Test::Atls::Client::format_request(@_);
}


# The last request of the backend, without the version of HTTP.

sub seen {
    my $last = ($backend->requests())[-1] || return '';

    return $last->{line} =~ s! HTTP/1\.\d$!!r;
}


# The lines of a log, at least $n.

sub log_lines {
    my ($name, $n) = @_;

    my @lines;

    $t->wait_for(sub { (@lines = split /\n/, $t->read_file($name)) >= $n });

    return @lines;
}


1;
