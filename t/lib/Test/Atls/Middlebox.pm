package Test::Atls::Middlebox;

# Real middleboxes between the client and the server: some intercept TLS with
# their own certificate authority, others do not.
#
#     my $m = Test::Atls::Middlebox->start($t, 'mitmproxy', port => $t->port(2),
#                                          trust => $t->path('outer.crt'));
#     ... a client whose proxy is $m->port() ...
#     like($m->log(), qr/POST/);          # log of the program
#     like($m->dump(), qr/plaintext/);    # all plaintext that it received
#     $m->stop();
#
# mitmproxy, squid          forward proxies that intercept TLS inside CONNECT;
#                           trust => file with trusted CAs of servers
# squid with bump => 0      does not intercept
# haproxy, nginx            terminate TLS; to => port of the HTTP server,
#                           tap => port of a relay that records the traffic
# haproxy                   more => lines for its backend
#
# Each is a subclass with
#
#     program()     the program and its Debian package
#     prepare()     creates its files; returns the command
#     log(), dump()
#     messages()    optional: requests and responses in turn, as bytes
#     unavailable() why the program may be missing on this system; usually ''
#
# Each has a subdirectory in the directory of the test, whose content
# everything() returns, and a certificate authority, ca(), with its name.

use strict;
use warnings;

use File::Find qw( find );
use File::Path qw( make_path );
use IO::Socket::INET;
use Test::More ();

use Test::Atls::Cert;
use Test::Atls::Process qw( alive );
use Test::Atls::Program qw( find_program );


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


# As start(), in a subtest, which is skipped without the program.  That it is
# missing is a failure, unless there is no package to install.

sub start_or_skip {
    my ($class, $t, $kind, %args) = @_;

    if (my $why = $class->missing($kind)) {
        Test::More::diag("$kind: not tested, $why");
        Test::More::plan(skip_all => $why);
    }

    my $m = eval { $class->start($t, $kind, %args) };

    Test::More::ok($m, "$kind runs") or Test::More::diag($@);

    return $m;
}


# Why there is no such program on this system; '' if there is, or should be.

sub missing {
    my ($class, $kind) = @_;

    my $subclass = _class($kind);
    my ($program) = $subclass->program();

    return find_program($program) ? '' : $subclass->unavailable();
}


# The path of the program, which is required.

sub _find {
    my ($self) = @_;

    my ($program, $package) = $self->program();

    return find_program($program)
           || die "no $program: is $package installed? (tools/deps.sh)\n";
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


# Arguments for a client to reach a port of the server through the middlebox.

sub route {
    my ($self, $port) = @_;

    return (port => $port, proxy => $self->{port});
}


sub port { $_[0]{port} }
sub ca { $_[0]->path('ca.crt') }
sub issuer { "Middlebox CA of $_[0]{name}" }
sub speaks_h2 { 0 }
sub path { "$_[0]{dir}/$_[1]" }


# The content of one of its files.

sub read_file {
    my ($self, $name) = @_;

    return $self->{t}->read_file($self->path($name));
}


# A file with a server's key and certificate, for programs that terminate TLS.

sub make_server_cert {
    my ($self) = @_;

    Test::Atls::Cert::make($self->{dir}, 'localhost', ca => 'ca');
}


# Requests with their responses, if they were not concurrent.

sub exchanges {
    my ($self) = @_;

    my @messages = $self->messages();

    return map { [ @messages[2 * $_, 2 * $_ + 1] ] } 0 .. @messages / 2 - 1;
}


# The content of all files, and the dump.

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
