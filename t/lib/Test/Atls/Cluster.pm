package Test::Atls::Cluster;

# Several machines with a store: an nginx each, and a Redis server.
#
#     my $cluster = Test::Atls::Cluster->new(nodes => 3, mode => 'lazy');
#     $cluster->run();
#
#     my $c = $cluster->client(0);            # of machine 0
#     $c->handshake();
#     $cluster->move($c, 1);                  # the next POST is sent to another
#
#     $cluster->done_testing();
#
# Test::Atls::Cluster->require_redis() skips a test if there is no Redis server.
#
# new(nodes => , mode => 'lazy' or 'each', workers => , store => parameters of
#     atls_store, http => directives, location => directives of the endpoint,
#     inner => other locations, client => arguments of Test::Atls::Client,
#     peer => directives of the server with atls_peer, ca => its CA, if it is
#     not that of the certificates, class => of node 0,
#     redis_options => [ options of redis-server ], log_level => )
#
# The machines are instances of Test::Atls: node($n).  Their files, and those of
# the store, are in separate directories.

use strict;
use warnings;

use IO::Socket::INET;
use Test::More ();

use Test::Atls;
use Test::Atls::Process qw( group_alive );
use Test::Atls::Program qw( find_program );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Slow qw( patience );


# The program, which may be another server than that of Redis, such as that of
# Valkey.

sub redis_server { $ENV{TEST_REDIS_SERVER} || 'redis-server' }


sub require_redis {
    my ($class) = @_;

    my $server = $class->redis_server();

    Test::More::plan(skip_all => "no $server") unless find_program($server);
}


sub new {
    my ($class, %args) = @_;

    my $self = bless {
        mode => 'lazy', workers => 2, user => '', store => 'timeout=10s',
        http => '', location => '', peer => '', ca => 'ca', class => 'Test::Atls',
        address => '127.0.0.1:%%PORT_9%%',
        inner => "location / { return 200 \"\$remote_addr \$atls_node_name\"; }",
        %args,
    }, $class;

    $self->{nodes} = [ map { $_->new(workers => $self->{workers},
                                     log_level => $self->{log_level}) }
                       $self->{class}, ('Test::Atls') x ($args{nodes} - 1) ];

    my $first = $self->node(0);

    $self->{redis_port} = $first->port('redis');
    $self->{key} = $first->write_file('store.key', pack 'C*', 1 .. 32);
    $first->make_cert('ca', is_ca => 1);
    $first->make_cert('localhost');
    $first->write_file('ticket.key', pack 'C*', 1 .. 80);

    $self->write_conf($_) for 0 .. $args{nodes} - 1;

    return $self;
}


sub node { $_[0]{nodes}[$_[1]] }
sub nodes { @{$_[0]{nodes}} }


# The configuration of a machine; %args replace those of new().

sub write_conf {
    my ($self, $n, %args) = @_;

    my %c = (%$self, %args);
    my $t = $self->node($n);
    my $shared = $self->node(0)->dir();
    my $name = "node$n";

    $self->node(0)->make_cert($name, ca => 'ca')
        unless -e "$shared/$name.crt";

    my $keys = join '', map { "atls_store_key $_;\n" }
               ref $c{key} ? @{$c{key}} : $c{key};
    my $inner = $c{inner} =~ s/\$atls_node_name/$name/gr;

    my ($h2, $http2) = $t->http2();

    $t->write_http(<<"EOC");
atls_certificate      $shared/localhost.crt;
atls_certificate_key  $shared/localhost.key;
atls_session_ticket_key  $shared/ticket.key;

atls_node   $name $c{address};
atls_store  redis://$c{user}127.0.0.1:$c{redis_port} $c{mode} $c{store};
$keys
$c{http}

log_format  outer  '\$remote_addr \$status \$atls_post';
log_format  peer   '\$connection \$ssl_session_reused \$status';

server {
    listen  127.0.0.1:%%PORT_0%%;
    listen  127.0.0.1:%%PORT_1%% $h2;
    $http2
    server_name  localhost;

    location /atls {
        atls  on;
        access_log  %%TESTDIR%%/outer.log outer;
        $c{location}
    }

    $inner
}

server {
    listen  127.0.0.1:%%PORT_9%% ssl;
    server_name  peers;

    ssl_certificate         $shared/$name.crt;
    ssl_certificate_key     $shared/$name.key;
    ssl_client_certificate  $shared/$c{ca}.crt;
    ssl_verify_client       on;
    $c{peer}

    location / {
        atls_peer  on;
        access_log  %%TESTDIR%%/peer.log peer;
    }
}
EOC
}


sub run {
    my ($self) = @_;

    $self->start_redis();
    $_->run() for $self->nodes();
    $self->wait_for_nodes();

    return $self;
}


# Until all machines are known to the store.

sub wait_for_nodes {
    my ($self, $n) = @_;

    $n ||= $self->nodes();

    $self->node(0)->wait_for(sub {
        my $keys = $self->redis('KEYS', '*node:*');
        return ref $keys && @$keys == $n;
    });
}


# Kills all processes of a machine; its workers have its ports until they end.

sub kill_node {
    my ($self, $n) = @_;

    my $t = $self->node($n);
    my $pid = delete $t->{pid};

    kill 'KILL', -$pid;
    waitpid $pid, 0;
    group_alive($pid, patience());
}


# the store

sub start_redis {
    my ($self, @options) = @_;

    @options = @{$self->{redis_options} || []} unless @options;

    my $first = $self->node(0);
    my $dir = $first->dir();

    $self->{redis} = $first->run_daemon(
        [ redis_server(), '--port', $self->{redis_port}, '--dir', $dir,
          '--bind', '127.0.0.1', '--save', '', '--logfile', "$dir/redis.log",
          '--enable-debug-command', 'yes', '--repl-diskless-sync-delay', '0',
          @options ],
        stderr => "$dir/redis.out", port => $self->{redis_port});
}


# A replica of the store, which has all of its keys.

sub start_replica {
    my ($self, $port, @options) = @_;

    my $first = $self->node(0);
    my $dir = $first->dir() . '/replica';

    mkdir $dir;

    my $pid = $first->run_daemon(
        [ redis_server(), '--port', $port, '--dir', $dir,
          '--bind', '127.0.0.1', '--save', '', '--logfile', "$dir/redis.log",
          '--replicaof', "127.0.0.1 $self->{redis_port}", @options ],
        stderr => "$dir/redis.out", port => $port);

    $first->wait_for(sub {
        $self->redis(\$port, 'INFO', 'replication')
            =~ /master_link_status:up/
    });

    return $pid;
}


# Until it has a number of keys.

sub wait_for_replica {
    my ($self, $port, $n) = @_;

    $self->node(0)->wait_for(sub { $self->redis(\$port, 'DBSIZE') == $n });
}


sub stop_redis {
    my ($self, $signal) = @_;

    $self->node(0)->stop_daemon(delete $self->{redis}, $signal || 'KILL')
        if $self->{redis};
}


# Sends a command.  Returns a string, a number, undef, or an array; errors begin
# with "-".

sub redis {
    my ($self, @args) = @_;

    my $s = $self->redis_begin(@args) or return '-no connection';

    return _reply($s);
}


# Only sends it, and returns the socket.

sub redis_begin {
    my ($self, @args) = @_;

    my $port = ref $args[0] ? ${shift @args} : $self->{redis_port};

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or return undef;

    my ($password) = map { /requirepass/ ? 1 : () }
                     @{$self->{redis_options} || []};

    print $s "AUTH secret\r\n" if $password;
    <$s> if $password;

    print $s '*' . @args . "\r\n",
          map { '$' . length($_) . "\r\n$_\r\n" } @args;
    $s->flush();

    return $s;
}


sub _reply {
    my ($s) = @_;

    my $line = <$s> // return '-closed';
    $line =~ s/\r\n\z//;

    my ($type, $rest) = $line =~ /^(.)(.*)/s;

    return $type eq '-' ? $line
           : $type eq '$' ? ($rest < 0 ? undef : _bulk($s, $rest))
           : $type eq '*' ? [ map { _reply($s) } 1 .. $rest ] : $rest;
}


sub _bulk {
    my ($s, $n) = @_;

    read $s, my $data, $n + 2;

    return substr $data, 0, $n;
}


# The keys of sessions.

sub sessions {
    my ($self) = @_;

    return grep { !/node:/ } @{$self->redis('KEYS', '*')};
}


# clients

sub client {
    my ($self, $n, %args) = @_;

    return $self->node($n)->client(uri => '/atls', keepalive => 0,
                                   %{$self->{client} || {}}, %args);
}


sub established {
    my ($self, $n, %args) = @_;

    my $c = $self->client($n, %args);

    $c->handshake() or die 'no handshake: ' . $c->error() . "\n";

    return $c;
}


sub move {
    my ($self, $c, $n) = @_;

    $c->move(port => $self->node($n)->port(0), host => '127.0.0.1');

    return $c;
}


# A request, sent to a machine.  Returns the body of the response, or the error.
# A POST that was not processed is sent again by the next call.

sub get {
    my ($self, $c, $n) = @_;

    return $self->request($self->move($c, $n));
}


# The same, wherever the client is connected.

sub request {
    my ($self, $c) = @_;

    if (!defined $c->{unsent}) {
        $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        $c->{sent} = $c->{unsent} = $c->tls_out();
    }

    my $r = $c->post($c->{unsent}) or return 'no response';

    return 'HTTP ' . $r->status() if $r->status() != 200;

    delete $c->{unsent};
    $c->tls_in($r->body());

    my ($inner) = parse_responses($c->read_plain(), 'GET');

    return $inner ? $inner->body() : 'no inner response';
}


# The status of such a request, if it is no 200; and the type of the problem.

sub status {
    my ($self, $c, $n) = @_;

    my $body = $self->get($c, $n);
    my $r = $c->last_response();

    return $body unless $r && $r->status() != 200;
    return $r->status() . ' ' . ($r->body() =~ /"tag:atls,2026:([\w-]+)"/)[0];
}


# Returns the first status that is not 503: the store may not be connected.

sub connected {
    my ($self, $c, $n) = @_;

    my $status;

    $self->node($n)->wait_for(sub {
        $status = $self->status($c, $n);
        return $status !~ /^503/;
    });

    return $status;
}


# No record number may be used twice with the keys of a session: by the debug
# logs of all machines, if they are there.

sub sealed_twice {
    my ($self) = @_;

    my (%seen, @twice);

    for my $t ($self->nodes()) {
        my $log = $t->read_file('error.log');

        while ($log =~ /atls (\w{8}) record out: \d+, \d+, number:(\d+)/g) {
            push @twice, "$1 $2" if $seen{"$1 $2"}++;
        }
    }

    return (scalar keys %seen, @twice);
}


# end of the test

sub done_testing {
    my ($self) = @_;

    $self->finish();

    Test::More::done_testing();
}


sub finish {
    my ($self) = @_;

    my @nodes = $self->nodes();

    $_->stop() for @nodes;
    $self->stop_redis();
    $_->finish() for reverse @nodes;
}


1;
