package Test::Atls::Gateway;

# A service over ATLS, with URIs for sessions, and atls gateway in front of it.
#
#     my $t = Test::Atls::Gateway->new();     # a Test::Atls::Site
#     $t->serve_located();                    # its endpoint
#     my $g = $t->gateway('--max-body', 1000);
#     my $d = $t->device($g);                 # a Test::Atls::Device
#     my @lines = $g->log();                  # a Test::Atls::LocalServer
#     is($t->metric($g, 'requests_total'), 1, 'a request');

use strict;
use warnings;

use Test::More ();

use Test::Atls::Device;
use Test::Atls::Http qw( http_raw );
use Test::Atls::LocalServer;
use Test::Atls::Port qw( free_port );

use parent 'Test::Atls::Site';


# Without libcoap, there is nothing to test.

sub new {
    my ($class, @args) = @_;

    Test::More::plan(skip_all => 'no libcoap')
        if system 'pkg-config --exists libcoap-3-openssl';

    return $class->SUPER::new(@args);
}


# Arguments are those of serve().

sub serve_located {
    my ($self, $locations, %args) = @_;

    return $self->serve(<<"EOC" . ($locations || ''), %args);
location /located {
    atls on;
    atls_session_tracking location;
    keepalive_timeout 0;
}

EOC
}


# The command and the program of the gateway.

sub command {
    my ($self) = @_;

    return $self->{command} if $self->{command};

    my $command = $self->SUPER::command();
    my $lib = $command->lib();

    open my $lock, '>', $lib->build() . '/lock' or die "lock: $!\n";
    flock $lock, 2;
    $lib->_make($lib->build() . '/atls-gateway');

    return $command;
}


# Options may have --listen and --to.

sub gateway {
    my ($self, @args) = @_;

    unshift @args, '--to', $self->endpoint('/located/')
        unless grep { $_ eq '--to' } @args;

    unshift @args, '--listen', 'coap://127.0.0.1:' . free_port()
        unless grep { /^(?:-l|--listen)$/ } @args;

    my $port = free_port();
    my $g = Test::Atls::LocalServer->start($self->command(), 'gateway', @args,
                                           '--metrics', $port);

    $self->metrics_at($g, $port);
    _check_valgrind($g->pid()) if $ENV{TEST_VALGRIND};

    return $g;
}


# Sets the port of the metrics, which is the last one that it listens on.

sub metrics_at {
    my ($self, $g, $port) = @_;

    $g->{metrics} = $port;
    $self->wait_for(sub { $g->stderr() =~ /listening on 127\.0\.0\.1:$port$/m });
}


# The program of the gateway has to run under valgrind, not only the command
# that executes it.

sub _check_valgrind {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/maps" or die "maps of the gateway: $!\n";
    my $maps = join '', <$fh>;

    die "the gateway does not run under valgrind\n"
        unless $maps =~ m!/atls-gateway$!m && $maps =~ m!/memcheck-\S+$!m;
}


# The URI of a gateway, as an endpoint of the command.

sub gateway_uri {
    my ($self, $g, %args) = @_;

    return ($args{scheme} || 'coap') . '://' . ($args{host} || '127.0.0.1')
           . ':' . ($args{port} || $g->port()) . '/.well-known/atls';
}


sub device {
    my ($self, $g, %args) = @_;

    return Test::Atls::Device->new(gateway => $g->port(),
                                   ca => $self->path('ca.crt'), %args);
}


sub metrics {
    my ($self, $g) = @_;

    return http_raw($g->{metrics}, "GET /metrics HTTP/1.0\r\n\r\n");
}


sub metric {
    my ($self, $g, $name) = @_;

    my ($value) = $self->metrics($g) =~ /^atls_gateway_\Q$name\E (\d+)$/m;

    return $value;
}


1;
