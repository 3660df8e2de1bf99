package Test::Atls::Validator::Samples;

# Responses of an endpoint, and TLS messages, for tests of
# Test::Atls::Validator.  Only the types of the messages are real.

use strict;
use warnings;

use Exporter qw( import );

our @EXPORT = qw(
    $TYPE $URI TLS12 TLS13 RETRY ok200 set_cookie expiry problem new_value
    record message server_hello client_hello flight12 flight13
);

use constant {
    TLS12 => 0xc02f,            # suites
    TLS13 => 0x1301,

    # RFC 8446, 4.1.3: the random of a HelloRetryRequest

    RETRY => pack('H*', 'cf21ad74e59a6111be1d8c021e65b891'
                        . 'c2a211167abb8c5e079e09e2c8a8339c'),
};

our $TYPE = 'application/atls+octet-stream';
our $URI = '/.well-known/atls';

my $cookies = 0;


# ok200($body, type => '...', status => '...', headers => '...',
#       cookie => value, attributes => '...', expires => 1)

sub ok200 {
    my ($body, %args) = @_;

    my $type = $args{type} || $TYPE;
    my $set = defined $args{cookie}
              ? set_cookie($args{cookie}, $args{attributes})
              : $args{expires} ? expiry() : '';

    return join "\r\n", 'HTTP/1.1 ' . ($args{status} || '200 OK'),
                "Content-Type: $type", 'Content-Length: ' . length $body,
                $set . ($args{headers} // "Cache-Control: no-store\r\n"),
                $body;
}


sub set_cookie {
    my ($value, $attributes) = @_;

    $attributes //= "Path=$URI; HttpOnly; Max-Age=600";

    return "Set-Cookie: atls=$value; $attributes\r\n";
}


sub expiry { return set_cookie('', "Path=$URI; HttpOnly; Max-Age=0") }


# problem(410, 'session-unknown', expires => 1, json => '...'), and the other
# arguments of ok200()

sub problem {
    my ($status, $name, %args) = @_;

    my $type = $name =~ /:/ ? $name : "tag:atls,2026:$name";
    my $json = $args{json} || qq({"type":"$type","title":"A","status":$status,)
                              . q("detail":"b"});

    return ok200($json, status => "$status A", %args,
                 type => $args{type} || 'application/problem+json',
                 headers => "Cache-Control: no-store\r\n"
                            . ($args{headers} || ''));
}


# A new cookie value.

sub new_value { return sprintf 'value%020d', ++$cookies }


# TLS.

sub record {
    my ($type, $data, $version) = @_;

    return pack 'Cnn/a', $type, $version || 0x0303, $data;
}


sub message {
    my ($type, $data) = @_;

    return pack('CCn', $type, 0, length $data) . $data;
}


sub server_hello {
    my (%args) = (suite => TLS12, version => 0x0303, id => '',
                  random => 'r' x 32, compression => 0, extensions => [],
                  @_);

    my $tls13 = $args{suite} >> 8 == 0x13;
    my @extensions = ($tls13 ? [ 43, "\x03\x04" ] : (), @{$args{extensions}});

    return message(2, pack 'n a32 C/a n C n/a', $args{version}, $args{random},
                   @args{qw( id suite compression )},
                   join '', map { pack 'n n/a', @$_ } @extensions);
}


# client_hello(tls13 => 0, suites => [ ], extensions => { type => data })

sub client_hello {
    my (%args) = @_;

    my %extensions = ($args{tls13} ? (43 => "\x02\x03\x04", 45 => "\x01\x01")
                                   : (23 => ''), %{$args{extensions} || {}});

    return record(22, message(1, pack 'n a32 C/a n/a C/a n/a', 0x0303, 'c' x 32,
                              $args{id} // ($args{tls13} ? 'i' x 32 : ''),
                              pack('n*', $args{suites} ? @{$args{suites}}
                                         : (TLS13, TLS12)),
                              "\0", join '', map {
                                  pack 'n n/a', $_, $extensions{$_}
                              } sort keys %extensions), 0x0301);
}


# First flights of a server.

sub flight13 {
    return record(22, server_hello(suite => TLS13, id => 'i' x 32, @_))
           . record(20, "\x01") . record(23, 'x' x 200);
}


sub flight12 {
    return record(22, server_hello(extensions => [ [ 23, '' ] ], @_))
           . record(22, message(11, 'x' x 50)) . record(22, message(12, 'x'))
           . record(22, message(14, ''));
}


1;
