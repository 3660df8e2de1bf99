package Test::Atls::Site;

# A service over ATLS, for tests of the command: a Test::Atls with a certificate
# authority, a certificate for localhost, a backend on port 1, and an endpoint
# on port 0.
#
#     my $t = Test::Atls::Site->new(workers => 4);
#     $t->serve(<<'EOC', http => 'client_max_body_size 0;');
#     location = /busy {
#         return 503;
#     }
#     EOC
#     my $r = $t->atls('-i', 'https://localhost/');   # { code, out, err }
#     my $f = $t->forward('--idle', 0);       # a Test::Atls::LocalServer
#     $f = $t->forward('/busy');              # with another endpoint

use strict;
use warnings;

use Test::Atls::Backend;
use Test::Atls::Command;
use Test::Atls::LocalServer;

use parent 'Test::Atls';


# san => names of the certificate

sub new {
    my ($class, %args) = @_;

    my $self = $class->SUPER::new(%args);

    # as Python 3.13 requires

    $self->make_cert('ca', is_ca => 1,
                     ext => [ 'keyUsage=critical,keyCertSign,cRLSign' ]);
    $self->make_cert('localhost', ca => 'ca',
                     san => $args{san} || 'DNS:localhost');

    $self->{backend} = Test::Atls::Backend->start($self, $self->port(1));

    return $self;
}


sub backend { $_[0]{backend} }


# The command is built when it is used.

sub command {
    my ($self) = @_;

    return $self->{command} ||= Test::Atls::Command->new($self);
}


# serve($locations, main => , http => , endpoint => , backend => , servers => ):
# runs nginx with these locations, and other directives on each level.  /exact
# is a short response with headers; other requests are passed to the backend.

sub serve {
    my ($self, $locations, %args) = @_;

    my ($http, $endpoint, $backend, $servers) =
        map { defined $_ ? $_ : '' } @args{qw( http endpoint backend servers )};

    $locations = '' unless defined $locations;

    # a connection for each POST, which may be accepted by another worker

    $self->write_http(<<"EOC", main => $args{main});
$http
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
        keepalive_timeout 0;
        $endpoint
    }

    $locations
    location = /exact {
        add_header X-One 1;
        add_header X-Two "two  words";
        default_type text/plain;
        return 200 "exactly\\n";
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_request_buffering off;
        proxy_buffering off;
        $backend
    }
}

$servers
EOC

    return $self->run();
}


# arguments of the command

sub endpoint {
    my ($self, $path) = @_;

    return 'http://127.0.0.1:' . $self->port(0) . ($path || '/.well-known/atls');
}


sub via { return ('--via', $_[0]->endpoint($_[1])) }
sub trust { return ('--cacert', $_[0]->path('ca.crt')) }


# Runs the command.  The first argument may be the path of another endpoint.

sub atls {
    my ($self, @args) = @_;

    my $path = @args && $args[0] =~ m!^/! ? shift @args : undef;

    return $self->command()->run($self->via($path), $self->trust(), @args);
}


# Servers.  The first argument may be a path as well, or a URL.

sub forward {
    my ($self, @args) = @_;

    return $self->_start('forward', [ $self->trust(), '--no-check' ], @args);
}


sub tunnel {
    my ($self, @args) = @_;

    return $self->_start('tunnel', [ ], @args);
}


# A proxy for TLS clients; it has no endpoint.

sub proxy {
    my ($self, @args) = @_;

    return Test::Atls::LocalServer->start($self->command(), 'proxy', @args);
}


sub _start {
    my ($self, $command, $trust, @args) = @_;

    my $path = @args && $args[0] =~ m!^/! ? shift @args : undef;
    my @via = @args && $args[0] =~ m!^(?:http|coaps?):! ? ('--via', shift @args)
                                             : $self->via($path);

    return Test::Atls::LocalServer->start($self->command(), $command,
                                          @via, @$trust, @args,
                                          'https://localhost');
}


1;
