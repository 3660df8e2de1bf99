package Test::Atls::Status;

# Readings of atls_status.

use strict;
use warnings;

use Exporter qw( import );
use JSON::PP qw( decode_json );

use Test::Atls::Http qw( http_raw );

our @EXPORT_OK = qw( metrics reading status total );


# Counting is done when a request ends, after its response: waits until all
# workers are idle.

sub status {
    my ($t, $uri) = @_;

    $t->read_log('error.log');

    return reading($t, $uri);
}


# The same without waiting.

sub reading {
    my ($t, $uri) = @_;

    my $response = _get($t, ($uri || '/status') . '?format=json');

    return decode_json($response =~ s/^.*?\r\n\r\n//sr);
}


# The text for Prometheus.

sub metrics {
    my ($t, $uri) = @_;

    $t->read_log('error.log');

    return _get($t, ($uri || '/status') . '?format=prometheus')
           =~ s/^.*?\r\n\r\n//sr;
}


sub _get {
    my ($t, $uri) = @_;

    return http_raw($t->port(0), "GET $uri HTTP/1.0\r\n\r\n");
}


# The sum of the values of a metric.

sub total {
    my ($values) = @_;

    my $n = 0;
    $n += ref $_ ? total($_) : $_ for values %$values;

    return $n;
}


1;
