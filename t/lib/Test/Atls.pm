package Test::Atls;

# The test harness: runs nginx with the module in a temporary directory.
#
#     my $t = Test::Atls->new();
#     $t->write_http(<<'EOC');                # see Test::Atls::Conf
#     %%CERTIFICATE%%
#
#     server {
#         listen 127.0.0.1:%%PORT_0%%;
#         location /.well-known/atls { atls on; }
#     }
#     EOC
#     $t->run();
#
#     my $c = $t->established();              # a Test::Atls::Client
#     is($c->get('/')->status(), 404, 'a request');
#
#     $t->done_testing();
#
# Functions that wait for conditions are in Test::Atls::Wait.
#
# done_testing() stops nginx and adds a test: it fails if a process is left, or
# if the error log, a sanitizer or valgrind has reported an error.  With
# plan($n) before run(), this test is added to $n.
#
# Environment:
#     TEST_NGINX_BINARY   nginx binary; default: the one that the module in
#                         build/ was built for
#     TEST_NGINX_MODULE   module to load; empty: it is compiled into the binary
#     TEST_NGINX_WRAPPER  command to run nginx with (valgrind ...); %d is
#                         replaced by the directory for reports
#     TEST_NGINX_DEBUG    set the error_log level to debug
#     TEST_NGINX_LEAVE    keep the directory and print its name
#     TEST_NGINX_SLOW     minimum factor by which nginx is slower (valgrind),
#                         see Test::Atls::Slow

use strict;
use warnings;

use Cwd qw( abs_path );
use Exporter qw( import );
use File::Basename qw( dirname );
use File::Path qw( make_path remove_tree );
use File::Temp qw( tempdir );
use POSIX qw( WNOHANG );
use Test::More ();

use Test::Atls::Conf qw( http_conf );
use Test::Atls::Http qw( http_raw );
use Test::Atls::Process qw(
    alive asleep group group_alive spawn stop_process wait_exit
);
use Test::Atls::Slow qw( patience slow );
use Test::Atls::Wait;

use parent -norequire, 'Test::Atls::Conf', 'Test::Atls::Wait';

our @EXPORT = qw( http_conf http_raw );

my $ROOT = abs_path(dirname(__FILE__) . '/../../..');
my $SLOW = slow();

my @instances;


sub new {
    my ($class, %args) = @_;

    my $self = bless {
        owner   => $$,
        workers => 4,
        ports   => {},
        daemons => [],
        allowed => [],
        conf    => 'nginx.conf',
        pid     => undef,
        %args,
    }, $class;

    $self->{dir} = tempdir('atls-test-XXXXXXXX', TMPDIR => 1);
    chmod 0755, $self->{dir};
    make_path($self->{dir} . '/reports');

    push @instances, $self;

    return $self;
}


# paths

sub root { $ROOT }
sub pid { $_[0]{pid} }


sub binary {
    return $ENV{TEST_NGINX_BINARY} if $ENV{TEST_NGINX_BINARY};

    if (open my $fh, '<', "$ROOT/build/nginx-binary") {
        chomp(my $binary = <$fh>);
        return $binary;
    }

    return '/usr/sbin/nginx';
}


sub module {
    return $ENV{TEST_NGINX_MODULE} if defined $ENV{TEST_NGINX_MODULE};

    my $module = "$ROOT/build/ngx_http_atls_module.so";
    return -e $module ? $module : '';
}


# version and build options of nginx, from `nginx -V`

sub nginx_info {
    my ($self) = @_;

    my $binary = $self->binary();
    return $self->{info} ||= `$binary -V 2>&1`;
}


sub has_version {
    my ($self, $need) = @_;

    my ($have) = $self->nginx_info() =~ m!nginx/([\d.]+)!;
    return _version($have) >= _version($need);
}


sub has_openssl {
    my ($self, $need) = @_;

    my ($have) = $self->nginx_info() =~ m!running with OpenSSL ([\d.]+)!;
    ($have) = $self->nginx_info() =~ m!OpenSSL ([\d.]+)! unless $have;
    return _version($have) >= _version($need);
}


sub has_option {
    my ($self, $option) = @_;

    return scalar $self->nginx_info() =~ m!--with-\Q$option\E(\s|$)!;
}


sub _version {
    my @v = (split(/\./, shift), 0, 0);

    return $v[0] * 1_000_000 + $v[1] * 1_000 + $v[2];
}


# Logs are written after responses: waits until all workers are idle.  Lines of
# different connections are in order only if this is called between them.

sub read_log {
    my ($self, $name) = @_;

    my @workers = grep { alive($_) }
                  $self->read_file('error.log') =~ /start worker process (\d+)/g;

    # twice, since a worker may be woken up by another one after it was checked

    $self->wait_for(sub {
        !grep { alive($_) && !asleep($_) } @workers, @workers
    });

    return $self->read_file($name);
}


# The message of `nginx -t` about a configuration; '' if it is valid.

sub config_error {
    my ($self, $text) = @_;

    my $conf = $self->write_file('config-test.conf',
                                 $self->expand($text,
                                               error_log => 'config-test.log'));

    unlink $self->path('config-test.log');
    my $pid = $self->_start_nginx('-t', '-c', $conf,
                                  { stderr => $self->path('config-test.out'),
                                    error_log => 'config-test.log',
                                    leaks => 1 });
    my $status = wait_exit($pid, patience());

    return '' if defined $status && $status == 0;
    return $self->read_file('config-test.out')
           || $self->read_file('config-test.log')
           || 'exit status ' . (defined $status ? $status : 'unknown');
}


# starting and stopping nginx

sub _start_nginx {
    my ($self, @args) = @_;

    my $options = ref $args[-1] ? pop @args : {};
    my @wrapper = map { s/%d/$self->{dir}\/reports/gr }
                  split ' ', $ENV{TEST_NGINX_WRAPPER} || '';

    # nginx -t does not free its configuration

    push @wrapper, '--leak-check=no'
        if $options->{leaks} && @wrapper && $wrapper[0] eq 'valgrind';

    local $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} || (),
                               "log_path=$self->{dir}/reports/asan",
                               $options->{leaks} ? 'detect_leaks=0' : ();
    local $ENV{UBSAN_OPTIONS} = join ':', 'print_stacktrace=1',
                               $ENV{UBSAN_OPTIONS} || (),
                               "log_path=$self->{dir}/reports/ubsan";

    # freed and uninitialized memory does not have useful values by chance
    # (glibc); benchmarks turn it off

    local $ENV{MALLOC_PERTURB_} = $ENV{MALLOC_PERTURB_} // 0xa5;

    return spawn($options, @wrapper, $self->binary(),
                 '-p', "$self->{dir}/",
                 '-e', $options->{error_log} || 'error.log', @args);
}


sub run {
    my ($self) = @_;

    die "nginx is running already\n" if $self->{pid};

    my $from = length $self->read_file('error.log');
    unlink $self->path('nginx.pid');

    $self->{pid} = $self->_start_nginx('-c', $self->path($self->{conf}),
                                       $self->_options(),
                                       { stderr => $self->path('stderr') });

    $self->wait_for(sub {
        $self->_died() and return 1;
        return -s $self->path('nginx.pid')
               && $self->_started($from) >= $self->{workers};
    }, 20);

    if (!$self->{pid} || !-s $self->path('nginx.pid')) {
        $self->stop();
        die "nginx did not start:\n" . $self->read_file('stderr')
            . substr($self->read_file('error.log'), $from);
    }

    return $self;
}


sub _options { }


# The number of workers started according to the log, from an offset.

sub _started {
    my ($self, $from) = @_;

    my $log = substr($self->read_file('error.log'), $from);

    return scalar(() = $log =~ /start worker process \d+/g);
}


sub _died {
    my ($self) = @_;

    return 0 unless $self->{pid} && waitpid($self->{pid}, WNOHANG) > 0;
    push @{$self->{groups}}, $self->{pid};
    $self->{pid} = undef;
    return 1;
}


# QUIT, so that memory is freed.  Processes that remain are an error, and are
# killed.

sub stop {
    my ($self, %args) = @_;

    if ($self->{pid}) {
        my $pid = delete $self->{pid};
        my $how = stop_process($pid, $args{signal} || 'QUIT', 20 * $SLOW);

        $self->add_fault("nginx had to be stopped by SIG$how") if $how;
        push @{$self->{groups}}, $pid;
    }

    for my $group (splice @{$self->{groups} || []}) {
        next unless group_alive($group, 5 * $SLOW);

        $self->add_fault("processes of nginx $group were left");
        kill 'KILL', -$group;
        group_alive($group, patience());
    }

    return $self;
}


sub signal {
    my ($self, $signal) = @_;

    kill $signal, $self->{pid} or die "nginx is not running\n";

    return $self;
}


# The pids of workers that accept requests.  The pid of a worker that has exited
# may belong to another process.

sub workers {
    my ($self) = @_;

    my $log = $self->read_file('error.log');
    my $starts = qr/start worker process (\d+)/;
    my $leaves = qr/\[notice\] (\d+)#\d+: (?:gracefully shutting|exiting)/;
    my @workers;

    # in the order of the log, since a pid may be used again

    while ($log =~ /$starts|$leaves/g) {
        my ($started, $pid) = ($1, $1 || $2);

        @workers = grep { $_ != $pid } @workers;
        push @workers, $pid if $started;
    }

    return grep { alive($_) && (!$self->{pid} || $self->_is_ours($_)) }
           @workers;
}


sub _is_ours {
    my ($self, $pid) = @_;

    return group($pid) == $self->{pid};
}


# Returns when new workers have replaced the old ones; false if the new
# configuration is refused.

sub reload {
    my ($self) = @_;

    my %old = map { $_ => 1 } $self->workers();
    my $from = length $self->read_file('error.log');
    my $refused;

    $self->signal('HUP');

    $self->wait_for(sub {
        $refused = substr($self->read_file('error.log'), $from) =~ /\[emerg\]/;
        my @now = $self->workers();
        return $refused || @now && !grep { $old{$_} } @now;
    }, 20) or die "reload: the old workers do not leave\n";

    # idle connections are closed after the line in the log

    $self->wait_for(sub { !grep { alive($_) && !asleep($_) } keys %old });

    return !$refused;
}


# A client of port 0.  The arguments are those of Test::Atls::Client, which
# override those of new(client => { ... }).

sub client {
    my ($self, %args) = @_;

    require Test::Atls::Client;

    return Test::Atls::Client->new(port => $self->port(0),
                                   %{$self->{client} || {}}, %args);
}


# A client with the TLS of another program: stack('gnutls', ...)

sub stack {
    my ($self, $stack, %args) = @_;

    require Test::Atls::Stack;

    return Test::Atls::Stack->new($stack, port => $self->port(0), %args);
}


# A client that has finished its handshake.

sub established {
    my ($self, %args) = @_;

    my $c = $self->client(%args);

    $c->handshake() or die 'no handshake: ' . $c->error() . "\n";

    return $c;
}


# A client that has received the first flight of the server.

sub half_open {
    my ($self, %args) = @_;

    my $c = $self->client(%args);

    $c->handshake_step();
    $c->exchange($c->tls_out()) or die $c->error() . "\n";

    return $c;
}


# Runs a function, or a command, [ ... ] with stderr => file, in a child process.
# With a port, waits until something listens there.

sub run_daemon {
    my ($self, $what, %args) = @_;

    my $pid = spawn(ref $what eq 'ARRAY' ? (\%args, @$what)
                                         : { code => $what });
    push @{$self->{daemons}}, $pid;
    $self->wait_for_port($args{port}) if $args{port};

    return $pid;
}


sub stop_daemon {
    my ($self, $pid, $signal) = @_;

    stop_process($pid, $signal || 'TERM', 5 * $SLOW);
    if (group_alive($pid, 0)) {
        kill 'KILL', -$pid;
        group_alive($pid, patience());
    }
    @{$self->{daemons}} = grep { $_ != $pid } @{$self->{daemons}};
}


sub stop_daemons {
    my ($self) = @_;

    my @pids = @{$self->{daemons}};

    $self->stop_daemon($_) for @pids;
}


# end of the test

sub plan {
    my ($self, $tests) = @_;

    Test::More::plan(tests => $tests + 1);
    $self->{planned} = 1;

    return $self;
}


sub done_testing {
    my ($self) = @_;

    $self->finish();
    Test::More::done_testing();
}


# Lines of the error log that are expected.

sub allow_log {
    my ($self, @res) = @_;

    push @{$self->{allowed}}, @res;

    return $self;
}


# Messages about killed workers are expected.

sub allow_kills {
    my ($self) = @_;

    return $self->allow_log(qr/worker process \d+ exited on signal 9/,
                            qr/shared memory zone "\S+" was locked by \d+/);
}


sub add_fault {
    my ($self, $what) = @_;

    push @{$self->{faults}}, $what;
}


# Returns errors of nginx, as a list.

sub faults {
    my ($self) = @_;

    my @lines = grep { / \[ (?: alert | emerg | crit ) \] | open \s socket
                       | Sanitizer | runtime \s error
                       | exited \s with \s code \s [1-9] /x }
                split /\n/, $self->read_file('error.log');

    for my $re (@{$self->{allowed}}) {
        @lines = grep { $_ !~ $re } @lines;
    }

    for my $report (glob "$self->{dir}/reports/*") {
        my $text = $self->read_file($report);
        push @lines, "$report:\n$text" if $text ne '';
    }

    return (@{$self->{faults} || []}, @lines);
}


sub error_log_ok {
    my ($self, $name) = @_;

    return Test::More::is(join("\n", $self->faults()), '',
                          $name || 'nothing is left, nothing was logged');
}


sub finish {
    my ($self) = @_;

    return if $self->{finished}++;

    $self->stop();
    $self->stop_daemons();

    my $passed = $self->error_log_ok();

    if ($ENV{TEST_NGINX_LEAVE}) {
        Test::More::diag("left: $self->{dir}");
    } else {
        remove_tree($self->{dir});
    }

    return $passed;
}


# Processes are stopped in any case.  If a test has no plan of this module,
# there is no test of the error log; its exit status is then non-zero on errors.

sub finish_all {
    for my $self (grep { $_->{owner} == $$ } splice @instances) {
        next if $self->{finished};

        if (!$self->{planned} || Test::More->builder()->is_passing() == 0
            && $? != 0)
        {
            $self->{finished} = 1;
            $self->stop();
            $self->stop_daemons();
            my @faults = $self->faults();
            Test::More::diag(join "\n", @faults) if @faults;
            $? ||= 255 if @faults;
            remove_tree($self->{dir}) unless $ENV{TEST_NGINX_LEAVE};

        } else {
            local $?;
            $self->finish();
        }
    }
}


$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { exit 1 };
$SIG{PIPE} = 'IGNORE';

END { finish_all() }


1;
