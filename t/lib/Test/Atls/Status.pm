package Test::Atls::Status;

# Readings of atls_status.

use strict;
use warnings;

use Exporter qw( import );
use JSON::PP qw( decode_json );

use Test::Atls::Http qw( http_raw );

our @EXPORT_OK = qw( added metrics reading status total );


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


# The changes of some metrics by a function: numbers, or hashes of those that
# have changed.

sub added {
    my ($t, $code, @names) = @_;

    my $before = status($t);
    $code->();
    my $after = status($t);

    return map { _difference($before->{$_}, $after->{$_}) } @names;
}


sub _difference {
    my ($before, $after) = @_;

    return $after - ($before || 0) unless ref $after;

    my %more = map { $_ => _difference($before->{$_}, $after->{$_}) }
               keys %$after;

    return { map { $_ => $more{$_} }
             grep { ref $more{$_} ? %{ $more{$_} } : $more{$_} } keys %more };
}


1;
