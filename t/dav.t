#!/usr/bin/perl

# WebDAV in a session works as over HTTPS: the scheme of destinations is
# "https".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( http_raw parse_responses );

my $t = Test::Atls->new(workers => 4);

plan(skip_all => 'no WebDAV in this nginx')
    unless $t->has_option('http_dav_module');

# values of Destination, for an existing file

my @DESTINATIONS = (
    'https://localhost/dav/NEW', 'http://localhost/dav/NEW',
    '/dav/NEW', 'https://localhost/dav/NE%57', 'https://localhost/dav/NEW/',
    'https://other.example/dav/NEW', 'http://other.example/dav/NEW',
    'https://localhost', 'http://localhost', 'https://', 'http://', 'https:',
    'HTTPS://localhost/dav/NEW', 'ftp://localhost/dav/NEW', 'dav/NEW', '',
    'https://localhost/' . 'x' x 300, undef,
);

$t->write_http(<<'EOC');
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%

log_format destination "$request_method $scheme $http_destination";

server {
    access_log %%TESTDIR%%/access.log destination;

    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%% ssl;
    server_name localhost;

    location = /atls { atls on; access_log off; }

    # pinned by a handler that is not used

    location = /pinned {
        atls on;
        access_log off;
        if ($arg_none) { return 204; }
        dav_methods PUT COPY MOVE;
    }

    location /dav/ { dav_methods PUT DELETE COPY MOVE; }

    location /first/ {
        dav_methods COPY;
        error_page 404 = @second;
    }

    location @second {
        root %%TESTDIR%%/second;
        dav_methods COPY;
    }

    location /proxy/ { proxy_pass http://127.0.0.1:%%PORT_2%%; }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(2));
my $c = client('/atls');

for my $method (qw( COPY MOVE )) {
    for my $destination (@DESTINATIONS) {
        my @seen;

        for my $how (\&inside, \&https) {
            $t->write_file('dav/file', 'content');
            unlink $t->path('dav/NEW');

            my $r = $how->($method, '/dav/file', $destination);

            push @seen, join ' ', $r->status(), $t->read_file('dav/NEW') || '-',
                                  $t->read_file('dav/file') || '-';
        }

        my $name = defined $destination ? substr $destination, 0, 40 : 'none';

        is($seen[0], $seen[1], "$method, $name: inside as over HTTPS");
        is($seen[0] =~ /^2/ || 0,
           defined $destination
           && $destination =~ m!^(https://localhost)?/dav/NE(W|%57)$! || 0,
           "$method, $name: $seen[0]");
    }
}

# the header of the request is not changed

for my $destination ('https://localhost/dav/NEW', 'http://localhost/dav/NEW') {
    $t->write_file('dav/file', 'content');
    $backend->forget();
    $t->read_log('access.log');

    inside('COPY', '/dav/file', $destination);
    like($t->read_log('access.log'), qr/COPY https \Q$destination\E\n\z/,
         "$destination: in the log");

    inside('MOVE', '/proxy/file', $destination);
    my ($request) = $backend->requests();
    is(join(' ', map { $_->[1] } grep { $_->[0] eq 'Destination' }
                 @{$request->{headers}}),
       $destination, "$destination: at a backend");
}

# an internal redirect to another location

$t->write_file('second/first/file', 'content');

for my $how (\&https, \&inside) {
    my $r = $how->('COPY', '/first/file', 'https://localhost/first/NEW');

    is($r->status() . ' ' . $t->read_file('second/first/NEW'), '204 content',
       'in two locations');
    unlink $t->path('second/first/NEW');
}

# several requests in a session

{
    my $d = client('/atls');

    $t->write_file('dav/file', 'content');

    for my $n (1 .. 3) {
        is($d->http(format_request('MOVE', '/dav/file',
                                   'https://localhost/dav/file'))->status()
           < 500, 1, "in one session, $n");
    }

    is($d->posts() - 2 <= 3, 1, 'of one handshake');
    ok(!$d->closed(), 'it is there');
}

# in a pinned location

{
    my $d = client('/pinned');

    $t->write_file('dav/file', 'content');
    is($d->http(format_request('COPY', '/dav/file',
                               'https://localhost/dav/NEW'))->status(), 204,
       'pinned');
}

# outside of sessions, nothing is changed

$t->write_file('dav/file', 'content');
is(outside('http://localhost/dav/NEW'), 204, 'plain HTTP: http');
is(outside('https://localhost/dav/NEW'), 400, 'plain HTTP: https');

$t->done_testing();


sub client {
    my ($uri) = @_;

    return $t->established(uri => $uri);
}


sub format_request {
    my ($method, $uri, $destination) = @_;

    return join "\r\n", "$method $uri HTTP/1.1", 'Host: localhost',
                defined $destination ? "Destination: $destination" : (), '', '';
}


sub inside {
    $c = client('/atls') if $c->closed();

    return $c->http(format_request(@_));
}


sub https {
    my ($r) = parse_responses(http_raw($t->port(1), format_request(@_),
                                       tls => 1, answers => 1));

    return $r;
}


sub outside {
    my ($destination) = @_;

    my ($r) = parse_responses(http_raw($t->port(0),
                  format_request('COPY', '/dav/file', $destination),
                  answers => 1));

    return $r->status();
}
