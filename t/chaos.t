#!/usr/bin/perl

# Sessions of all kinds, hostile clients, and an adversary on the path, while
# nginx is reloaded and its workers are killed, stopped and told to quit.  The
# properties that are checked are in t/chaos/ledger.py.
#
#   CHAOS_TIME   duration in seconds, without the end, default 60
#   CHAOS_MOST   number of violations that ends the test, default 20
#   CHAOS_SEED   seed of all random choices

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Process qw( spawn wait_exit );
use Test::Atls::Slow qw( slow );
use Test::Atls::Stack;

my $SLOW = slow();
my $TIME = $ENV{CHAOS_TIME} || 60;
my $SEED = defined $ENV{CHAOS_SEED} ? $ENV{CHAOS_SEED} : 1;

# in seconds, kilobytes and bytes.  Sanitizers do not release freed memory.

my $IDLE = 6 * $SLOW;
my $LIFETIME = 15 * $SLOW;
my $GROWTH = $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND} ? 1 << 30 : 6144;
my $ZONE = 4 << 20;

my $t = Test::Atls->new(workers => 4);

my $has_h2 = $t->has_option('http_v2_module');
my ($listen_h2, $http2) = $t->has_version('1.25.1') ? ('', 'http2 on;')
                                                    : ('http2', '');

$t->make_cert('localhost');
$t->make_cert($_, is_ca => 1) for qw( ca ca-A ca-B );
$t->make_cert($_, ca => 'ca') for qw( alice bob );
$t->make_cert('carol', ca => 'ca-A');
$t->make_cert('dave', ca => 'ca-B');
$t->write_file('users', "nobody:*\n");

# the variants differ in which clients are accepted, and in how bodies are sent

write_variant('A', 'sendfile on; tcp_nopush on;');
write_variant('B', 'sendfile off;');


sub write_variant {
    my ($variant, $directives) = @_;

    $t->write_conf(<<"EOC");
%%GLOBALS%%

events {
    worker_connections 2048;
}

http {
    %%GLOBALS_HTTP%%

    $directives

    log_format inner '\$atls \$atls_session_id \$status "\$request"';

    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    client_max_body_size   16m;
    client_header_timeout  ${IDLE}s;
    client_body_timeout    ${IDLE}s;

    atls_zone              chaos:$ZONE;
    atls_certificate       %%TESTDIR%%/localhost.crt;
    atls_certificate_key   %%TESTDIR%%/localhost.key;
    atls_session_timeout   ${IDLE}s;
    atls_session_lifetime  ${LIFETIME}s;
    atls_handshake_timeout ${IDLE}s;

    upstream backend {
        server             127.0.0.1:%%PORT_2%% max_fails=0;
        keepalive          4;
        keepalive_timeout  1s;
    }

    map \$http_upgrade \$connection_upgrade {
        default  upgrade;
        ''       '';
    }

    proxy_http_version   1.1;
    proxy_next_upstream  off;
    proxy_set_header     Connection \$connection_upgrade;
    proxy_set_header     Upgrade \$http_upgrade;
    proxy_set_header     X-Session \$atls_session_id;
    proxy_set_header     X-Name \$atls_client_s_dn;
    proxy_set_header     X-Endpoint \$endpoint;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        access_log   %%TESTDIR%%/access.log inner;
        include      %%TESTDIR%%/locations-$variant.conf;
    }

    server {
        listen       127.0.0.1:%%PORT_1%% $listen_h2;
        server_name  localhost;
        $http2
        access_log   %%TESTDIR%%/access.log inner;
        include      %%TESTDIR%%/locations-$variant.conf;
    }
}
EOC

    rename $t->path('nginx.conf'), $t->path("nginx-$variant.conf");

    $t->write_file("locations-$variant.conf", $t->expand(<<"EOC"));
set \$endpoint routed;

location = /.well-known/atls {
    atls             on;
    atls_early_data  on;
}

location = /pinned {
    atls        on;
    set         \$endpoint pinned;
    proxy_pass  http://backend;
}

location = /mutual {
    atls                     on;
    atls_verify_client       on;
    atls_client_certificate  %%TESTDIR%%/ca.crt;
    set                      \$endpoint mutual;
    proxy_pass               http://backend;
}

location = /rotating {
    atls                     on;
    atls_verify_client       on;
    atls_client_certificate  %%TESTDIR%%/ca-$variant.crt;
    set                      \$endpoint rotating;
    proxy_pass               http://backend;
}

location = /raw {
    atls          on;
    atls_payload  raw;
    access_log    off;
    set           \$endpoint raw;
    proxy_pass    http://backend;
}

location = /datagram {
    atls            on;
    atls_protocols  DTLSv1.2;
    set             \$endpoint datagram;
    proxy_pass      http://backend;
}

location = /another {
    atls        on;
    set         \$endpoint another;
    proxy_pass  http://backend;
}

location / {
    return 404;
}

location /b/ {
    atls_required  on;
    proxy_pass     http://backend;
}

location /nb/ {
    atls_required            on;
    proxy_pass               http://backend;
    proxy_request_buffering  off;
    proxy_buffering          off;
}

location = /up {
    proxy_pass  http://backend;
}

location /cache/ {
    proxy_pass         http://backend;
    proxy_cache        cache;
    proxy_cache_valid  2s;
}

location /static/ {
    root  %%TESTDIR%%;
}

location = /deny {
    deny  all;
}

location = /metrics {
    atls_status;
}

location = /auth {
    auth_basic            users;
    auth_basic_user_file  %%TESTDIR%%/users;
}

location = /only-get {
    limit_except GET {
        deny  all;
    }
    proxy_pass  http://backend;
}

location = /returned {
    return  200 "returned \$arg_t\\n";
}

location = /returned-404 {
    return  404;
}
EOC
}


# files, generated from the seed

system('python3', '-B', "$FindBin::Bin/chaos/files.py", $SEED, $t->dir()) == 0
    or die "no files\n";

$t->write_file('nginx.conf', $t->read_file('nginx-A.conf'));
$t->allow_log(qr/worker process \d+ exited on signal 9/);
$t->plan(1)->run();

my $replay = "make chaos TIME=$TIME SEED=$SEED";

diag($replay) if $ENV{CHAOS_VERBOSE};

my @command = ('python3', '-B', "$FindBin::Bin/chaos/main.py",
               '--seed', $SEED, '--time', $TIME, '--dir', $t->dir(),
               '--port', $t->port(0), '--h2-port', $has_h2 ? $t->port(1) : 0,
               '--backend-port', $t->port(2), '--adversary-port', $t->port(3),
               '--cutter', $t->port(4), '--h2-cutter', $t->port(5),
               '--master', $t->pid(), '--slow', $SLOW,
               '--program', Test::Atls::Stack::program('openssl'),
               '--idle', $IDLE, '--lifetime', $LIFETIME, '--zone', $ZONE,
               '--growth', $GROWTH,
               '--most', $ENV{CHAOS_MOST} || 20,
               $ENV{CHAOS_VERBOSE} ? '--verbose' : ());

my $pid = spawn({ stderr => $t->path('chaos.out') }, @command);
my $status = wait_exit($pid, $TIME + 300 * $SLOW);

unless (defined $status) {
    kill 'KILL', -$pid;
    kill 'CONT', -$t->pid();
}

is($status, 0, 'nothing happened that must not');

if ($ENV{CHAOS_VERBOSE} || !defined $status || $status) {
    diag($t->read_file('chaos.out'));
}

if (!defined $status || $status) {
    $ENV{TEST_NGINX_LEAVE} = 1;
    diag("to replay: $replay");
    diag(join "\n", 'the end of chaos.log:',
         (split /\n/, $t->read_file('chaos.log'))[-20 .. -1]);
}
