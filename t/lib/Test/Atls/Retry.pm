package Test::Atls::Retry;

# POSTs that are sent again, on connections of their own.
#
#     use Test::Atls::Retry qw( again opened record reply );
#     my $record = record($c, '/echo');
#     my $first = again($c, $record);
#     is(again($c, $record), $first);
#     like(opened($c, $first), qr/echo/);

use strict;
use warnings;

use Exporter qw( import );

use Test::Atls::Outer;
use Test::Atls::OuterCurl;

our @EXPORT_OK = qw( again opened outer record reply );


# The record of a request.

sub record {
    my ($c, $uri, $method) = @_;

    $method ||= 'GET';
    $c->write_plain("$method $uri HTTP/1.1\r\nHost: localhost\r\n\r\n");

    return $c->tls_out();
}


# A POST of the client's session; %args for Test::Atls::Outer.  Returns the
# status, and the body or the type of a problem.

sub again {
    my ($c, $bytes, %args) = @_;

    my $outer = outer($c, $bytes, %args);

    return reply($outer->receive());
}


# Begins a POST.

sub outer {
    my ($c, $bytes, %args) = @_;

    my $h2 = ($args{version} || '') eq 'h2';
    my $class = $h2 ? 'Test::Atls::OuterCurl' : 'Test::Atls::Outer';
    my $outer = $class->new(port => $c->{port}, keepalive => 0,
                            uri => $c->{http}{uri}, %args);
    my $cookie = $c->cookie();

    $outer->send($bytes, { 'Content-Type' => $c->{type},
                           defined $cookie ? (Cookie => "atls=$cookie") : (),
                           %{$args{headers} || {}} });

    return $outer;
}


sub reply {
    my ($r) = @_;

    return 'no answer' unless $r;

    return $r->status() . ' '
           . ($r->body() =~ /"tag:atls,2026:([\w-]+)"/ ? $1 : $r->body());
}


# What the client receives with a reply.

sub opened {
    my ($c, $reply) = @_;

    $c->tls_in($reply =~ s/^20[01] //r);

    return $c->read_plain();
}


1;
