package Test::Atls::Middlebox;

# Real programs between client and server: those that intercept TLS with an
# authority of their own, and others.
#
#     my $m = Test::Atls::Middlebox->start($t, 'mitmproxy', port => $t->port(2),
#                                          trust => $t->path('outer.crt'));
#     ... a client whose proxy is $m->port() ...
#     like($m->log(), qr/POST/);          # what the program itself writes
#     like($m->dump(), qr/plaintext/);    # all that it has seen in clear
#     $m->stop();
#
# mitmproxy, squid          forward proxies that intercept what is inside of
#                           CONNECT; trust => file of certificates, for servers
# squid with bump => 0      one that does not
# haproxy, nginx            terminators; to => port that they pass HTTP on to,
#                           tap => a port between, where that is recorded
#
# Each is a subclass with
#
#     program()     what to run, and the Debian package that it is in
#     prepare()     makes its files; returns the command
#     log(), dump()
#     messages()    some have it: requests and responses in turn, as bytes
#     unavailable() why this system may be without it; '' as a rule
#
# and has a directory of its own in that of the test, which is everything() it
# wrote, and a certificate authority, ca(), named after it.

use strict;
use warnings;

use File::Find qw( find );
use File::Path qw( make_path );
use IO::Socket::INET;

use Test::Atls::Cert;
use Test::Atls::Process qw( alive );


sub start {
    my ($class, $t, $kind, %args) = @_;

    my $name = $args{name} || $kind;
    my $self = bless { t => $t, name => $name, dir => $t->path($name), %args },
                     _class($kind);

    make_path($self->{dir});
    $self->_make_ca();
    $self->_run($self->prepare($self->_find()));

    return $self;
}


sub _class {
    my ($kind) = @_;

    my $class = __PACKAGE__ . '::' . ucfirst $kind;

    eval "require $class; 1" or die $@;

    return $class;
}


# Why there can't be one on this system; '' if there is one, or should be.

sub missing {
    my ($class, $kind) = @_;

    my $subclass = _class($kind);

    return _path($subclass->program()) ? '' : $subclass->unavailable();
}


# The program's path.  To do without it is no option.

sub _find {
    my ($self) = @_;

    my ($program, $package) = $self->program();

    return _path($program)
           || die "no $program: is $package installed? (tools/deps.sh)\n";
}


sub _path {
    my ($program) = @_;

    my ($path) = grep { -x && ! -d } $program =~ m!/! ? $program
                 : map { "$_/$program" } split(/:/, $ENV{PATH}), '/usr/sbin';

    return $path;
}


sub unavailable { '' }


sub _make_ca {
    my ($self) = @_;

    Test::Atls::Cert::make($self->{dir}, 'ca', type => 'rsa', is_ca => 1,
                           subject => '/CN=' . $self->issuer());
}


sub _run {
    my ($self, @command) = @_;

    my $out = $self->path('out');

    $self->{pid} = $self->{t}->run_daemon(sub {
        open STDERR, '>', $out or die "$out: $!\n";
        open STDOUT, '>&', \*STDERR;
        { exec @command }
        die "$command[0]: $!\n";
    });

    $self->{t}->wait_for(sub {
        !alive($self->{pid}) || $self->_listens()
    }, 30);

    die "$self->{name} did not start:\n" . $self->everything()
        unless alive($self->{pid}) && $self->_listens();
}


sub _listens {
    my ($self) = @_;

    return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                 PeerPort => $self->{port});
}


sub stop {
    my ($self) = @_;

    $self->{t}->stop_daemon(delete $self->{pid}) if $self->{pid};
}


# What a client needs to get to a server's port by way of it.

sub route {
    my ($self, $port) = @_;

    return (port => $port, proxy => $self->{port});
}


sub port { $_[0]{port} }
sub ca { $_[0]->path('ca.crt') }
sub issuer { "Middlebox CA of $_[0]{name}" }
sub speaks_h2 { 0 }
sub path { "$_[0]{dir}/$_[1]" }


# What is in one of its files.

sub read_file {
    my ($self, $name) = @_;

    return $self->{t}->read_file($self->path($name));
}


# A server's key with its certificate, for a terminator.

sub make_server_cert {
    my ($self) = @_;

    Test::Atls::Cert::make($self->{dir}, 'localhost', ca => 'ca');
}


# What it saw, if nothing was going on at the same time: requests, each with its
# response.

sub exchanges {
    my ($self) = @_;

    my @messages = $self->messages();

    return map { [ @messages[2 * $_, 2 * $_ + 1] ] } 0 .. @messages / 2 - 1;
}


# All that the program wrote, whatever the file, and all that it saw.

sub everything {
    my ($self) = @_;

    my $all = '';

    find(sub {
        -f $_ && open my $fh, '<:raw', $_ or return;
        local $/;
        $all .= "\n$File::Find::name:\n" . readline $fh;
    }, $self->{dir});

    return $all . $self->dump();
}


1;
