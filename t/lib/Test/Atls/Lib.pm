package Test::Atls::Lib;

# Builds libatls, and runs programs of t/bin that use it.
#
#     my $lib = Test::Atls::Lib->new($t);
#     my $program = $lib->compile('client_lib');          # a path
#     $lib->shared('a.so', 'a.c');
#     my $c = $lib->start($program);
#     $c->command('new https://localhost');               # a hash
#     is($c->end(), 0, 'exit status');
#
#   CC              compiler; default: cc
#   TEST_ASAN       build with AddressSanitizer and UndefinedBehaviorSanitizer
#   TEST_VALGRIND   run programs under valgrind; on errors, it exits with 99

use strict;
use warnings;

use Fcntl qw( :flock );
use File::Path qw( make_path );
use IO::Handle;
use IPC::Open2 qw( open2 );

use Test::Atls;

my $CC = $ENV{CC} || 'cc';
my @ASAN = split ' ', '-fsanitize=address,undefined -fno-sanitize-recover=all'
                      . ' -fno-omit-frame-pointer';
my @FLAGS = (qw( -g -O1 ), $ENV{TEST_ASAN} ? @ASAN : ());
my @PACKAGES = qw( libcurl libssl libcrypto libcjson );


# Builds the library in a directory shared by all tests.

sub new {
    my ($class, $t) = @_;

    my $root = Test::Atls::root();
    my $name = join '-', 'client-test', $CC =~ s/\W+/_/gr,
                    $ENV{TEST_ASAN} ? 'asan' : ();
    my $self = bless { t => $t, root => $root, build => "$root/build/$name" },
                     $class;

    make_path($self->{build});

    open my $lock, '>', "$self->{build}/lock" or die "$self->{build}: $!\n";
    flock $lock, LOCK_EX;
    $self->_make('lib');

    return $self;
}


sub build { $_[0]{build} }


sub _make {
    my ($self, @args) = @_;

    local $ENV{MAKEFLAGS} = '';
    local $ENV{MAKELEVEL} = '';

    _run('make', '-s', '-C', $self->{root}, "BUILD=$self->{build}", "CC=$CC",
         "CFLAGS=@FLAGS", 'LDFLAGS=', @args);
}


# Installs the library.  Returns the directory.

sub install {
    my ($self) = @_;

    my $dest = $self->{t}->path('dest');

    open my $lock, '>', "$self->{build}/lock" or die "$self->{build}: $!\n";
    flock $lock, LOCK_EX;
    $self->_make('install-client', "DESTDIR=$dest", 'PREFIX=/opt/atls');

    return $dest;
}


# compile($name): with the static library.  compile($name, $dest): by
# pkg-config, with the installed shared library.

sub compile {
    my ($self, $name, $dest) = @_;

    my $program = $self->{t}->path($dest ? "$name-shared" : $name);
    my @flags;

    if ($dest) {
        local $ENV{PKG_CONFIG_PATH} = "$dest/opt/atls/lib/pkgconfig";
        local $ENV{PKG_CONFIG_SYSROOT_DIR} = $dest;
        @flags = (split(' ', `pkg-config --cflags --libs atls`), '-lcrypto');

    } else {
        @flags = ("-I$self->{root}/src/client/lib", "$self->{build}/libatls.a",
                  split ' ', `pkg-config --cflags --libs @PACKAGES`);
    }

    _run($CC, '-std=c99', '-D_GNU_SOURCE', qw( -Wall -Wextra -Werror ), @FLAGS,
         "$self->{root}/t/bin/$name.c", '-o', $program, @flags, '-lpthread');

    return $program;
}


# A shared library of sources, with the static library.

sub shared {
    my ($self, $output, @sources) = @_;

    _run($CC, '-std=c99', '-D_GNU_SOURCE', qw( -Wall -Wextra -Werror ), @FLAGS,
         '-shared', '-fPIC', '-Wl,-z,defs', "-I$self->{root}/src/client/lib",
         @sources, '-o', $output, "$self->{build}/libatls.a",
         split ' ', `pkg-config --cflags --libs @PACKAGES`);
}


sub _run {
    my $pid = open my $pipe, '-|';

    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec { $_[0] } @_ or print "$_[0]: $!\n";
        require POSIX;
        POSIX::_exit(127);
    }

    my $output = join '', <$pipe>;
    close $pipe or die "@_:\n$output";
}


# The command that runs a program.  "atls gateway" executes another one, which
# valgrind does not follow by default; other children of atls are not ours.

sub command_line {
    my (undef, @command) = @_;

    return @command unless $ENV{TEST_VALGRIND};
    return (qw( valgrind -q --error-exitcode=99 --leak-check=full
                --errors-for-leak-kinds=definite
                --show-leak-kinds=definite ),
            (grep { $_ eq 'gateway' } @command) ? '--trace-children=yes' : (),
            @command);
}


sub start {
    my ($self, $program, %env) = @_;

    # without proxies

    local @ENV{grep { /_proxy$/i } keys %ENV};
    delete local @ENV{qw( http_proxy https_proxy all_proxy ALL_PROXY
                          HTTPS_PROXY no_proxy NO_PROXY SSL_CERT_FILE )};
    local @ENV{keys %env} = values %env;
    local $ENV{LD_LIBRARY_PATH} = $self->{t}->path('dest') . '/opt/atls/lib'
        if $program =~ /-shared$/;

    my $c = bless { options => $self->_options() }, 'Test::Atls::Lib::Program';

    $c->{pid} = open2($c->{out}, $c->{in}, $self->command_line($program));
    $c->{in}->autoflush(1);

    return $c;
}


# Names and numbers of the enumerations in the header.

sub _options {
    my ($self) = @_;

    open my $fh, '<', "$self->{root}/src/client/lib/atls.h"
        or die "atls.h: $!\n";
    my $header = join '', <$fh>;
    my %numbers;

    $header =~ s!/\*.*?\*/!!gs;

    while ($header =~ /typedef enum \{(.*?)\}/gs) {
        my $next = 0;

        for (split /,/, $1) {
            my ($name, $value) = /(\w+)(?:\s*=\s*(\d+))?/ or next;
            $next = $value if defined $value;
            $numbers{$name} = $next++;
        }
    }

    return \%numbers;
}


package Test::Atls::Lib::Program;

# A running client_lib.

sub number { $_[0]{options}{"ATLS_$_[1]"} }


# Sends a command.  Returns the answer as a hash, or nothing if the program has
# ended.

sub command {
    my ($self, $command) = @_;

    local $SIG{PIPE} = 'IGNORE';
    local $?;

    print {$self->{in}} "$command\n";

    return $self->answer();
}


sub answer {
    my ($self) = @_;

    my $line = readline $self->{out};

    return {} unless defined $line;
    chomp $line;

    my %answer = map { /^(\w+)=(.*)/s } split /\t/, $line;
    s/%([0-9a-f]{2})/chr hex $1/ge for values %answer;

    return \%answer;
}


# Creates a client with options: ENDPOINT => '...', ...

sub client {
    my ($self, $target, %options) = @_;

    my $r = $self->command("new $target");
    return $r if $r->{error};

    for my $name (sort keys %options) {
        my $kind = $name =~ /^(\w+_TIMEOUT|TIMEOUT|\w+_SIZE|EARLY_DATA
                              |IP_VERSION|RATE|RETRIES)$/x ? 'number' : 'string';
        $r = $self->command("$kind " . $self->number($name)
                            . " $options{$name}");
        return $r if $r->{error};
    }

    return $r;
}


# Sends a request: go('GET', '/', header => [ name, value, ... ], body => 'bytes
# 9', abort => 'body')

sub go {
    my ($self, $method, $path, %args) = @_;

    my @headers = @{$args{header} || []};

    while (my ($name, $value) = splice @headers, 0, 2) {
        $self->command("header $name $value");
    }

    for my $name (grep { $args{$_} } qw( body abort )) {
        $self->command("$name $args{$name}");
    }

    return $self->command("go $method $path");
}


# The name of the error.

sub name {
    my ($self, $r) = @_;

    return 'gone' unless defined $r->{error};
    return 'OK' unless $r->{error};

    my ($name) = grep { /^ATLS_ERROR_/ && $self->{options}{$_} == $r->{error} }
                 keys %{$self->{options}};

    return defined $name ? $name =~ s/ATLS_ERROR_//r : $r->{error};
}


# Waits until it exits.  Returns the exit status.

sub end {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    # closing its input is not sufficient, since daemons of the test may have
    # it, too

    local $SIG{PIPE} = 'IGNORE';
    local $?;
    print {$self->{in}} "quit\n";
    close $self->{in};
    1 while defined readline $self->{out};
    waitpid $pid, 0;

    return $?;
}


sub DESTROY { $_[0]->end() }


1;
