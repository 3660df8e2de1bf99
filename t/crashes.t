# Workers are killed while they modify the session table: at each line of code
# executed with the lock held.  The other worker and the new one still work,
# sessions either exist or not, no memory is lost, keys of lost sessions are
# wiped, and the counts of sessions match.  The table has several shards.
#
#   TEST_NGINX_KILLS    also kill at every n-th instruction; 1 takes hours

use strict;
use warnings;

use Config;
use Cwd qw( abs_path );
use Test::More;

use Test::Atls;
use Test::Atls::Process qw( spawn wait_exit );
use Test::Atls::Status qw( reading total );


my $KILLS = $ENV{TEST_NGINX_KILLS};
my $LONG = join '.', ('a' x 30) x 3, 'test';

plan(skip_all => 'the program that kills is for Linux on x86-64')
    unless $^O eq 'linux' && $Config{archname} =~ /^x86_64/;
plan(skip_all => 'valgrind runs other instructions than ours')
    if $ENV{TEST_NGINX_WRAPPER};

my $t = Test::Atls->new(workers => 2);

my $program = $t->path('kill_at');
my $source = $t->root() . '/t/bin/kill_at.c';

system($ENV{CC} || 'cc', '-O1', '-o', $program, $source) == 0
    or die "$source does not compile\n";

my %function = symbols($t->binary());

plan(skip_all => 'this nginx has no symbols')
    unless $function{ngx_shmtx_lock} && $function{ngx_shmtx_unlock};

$t->make_cert('client', type => 'ec');

$t->write_http(<<"EOC");
atls_zone  small:512k;

%%CERTIFICATE%%

atls_client_certificate  %%TESTDIR%%/localhost.crt;
atls_verify_client       optional_no_ca;
atls_early_data          on;
atls_handshake_timeout   10m;

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location = /.well-known/atls {
        atls on;
        add_header X-Worker \$pid always;
    }

    location = /status {
        atls_status;
    }

    location / {
        return 200 "inner\n";
    }

    location = /long {
        return 200 "@{[ 'long' x 300 ]}";
    }
}
EOC

# A name, and a function that returns the client and the POST during which the
# worker is killed.

my @THIS = (keepalive => 1);
my @WITH = (@THIS, sni => $LONG, cert => $t->path('client.crt'),
            key => $t->path('client.key'));

my @cases = (
    [ 'a handshake begins' => sub { flight(client(@THIS)) } ],
    [ 'a handshake begins, the share is full' => sub {
          evict('half-open', \&half_open);
          flight(client(@THIS));
      } ],
    [ 'a handshake ends' => sub { flight(half_open(@WITH)) } ],
    [ 'a handshake ends, the zone is full' => sub {
          evict('idle', \&established);
          $_[0]{witnesses} = [ witnesses() ];
          flight(half_open(@WITH));
      } ],
    [ 'a request' => sub { request(established(@THIS)) } ],
    [ 'a record begins' => sub {
          my ($c, $record) = request(established(@THIS), 1500);
          ($c, substr $record, 0, 1200);
      } ],
    [ 'a record ends' => sub {
          my ($c, $record) = request(established(@THIS), 1500);
          $c->post(substr $record, 0, 1200);
          ($c, substr $record, 1200);
      } ],
    [ 'a session ends' => sub {
          my ($c, $record) = request(established(@WITH), 1500);
          $c->post(substr $record, 0, 1200);
          ($c, substr($record, 1200) . "\x17\x03\x03\0\x20" . "\0" x 32);
      } ],
    [ 'a response is longer than the last one' => sub {
          my $c = established(@THIS);
          $c->post((request($c, 1))[1]);
          request($c, 1, '/long');
      } ],
    [ 'a POST is sent again' => sub {
          my ($c, $record) = request(established(@THIS));
          $c->post($record);
          ($c, $record);
      } ],
);

$t->run();
$t->allow_kills();

my %zone = (entries => total(reading($t)->{zone_entries}));
my %seen;

cmp_ok($zone{entries}, '>', 900, "room for $zone{entries} entries");

$zone{witnesses} = [ witnesses() ];

for my $case (@cases) {
    my ($name, $before) = @$case;

    # the instructions of the worker, and the first one of each line

    my @steps = killed($before, 1_000_000);

    my @kills = first_of_lines(@steps);
    my @failed;

    push @kills, map { $KILLS * $_ } 0 .. @steps / $KILLS if $KILLS;
    diag(sprintf '%s: %d instructions, %d times killed', $name, scalar @steps,
         scalar @kills) if $ENV{TEST_VERBOSE};

    for my $n (@kills) {
        killed($before, $n);
        my $error = error() or next;

        push @failed, "after $n steps (" . line($steps[$n]) . "): $error";
        last;
    }

    is(join("\n", @failed), '', $name);
    last if @failed;

    $zone{witnesses} = [ witnesses() ];
}

like($t->read_file('error.log'), qr/\[warn\] .*atls_zone "small" repaired/,
     'the log says so');
unlike($t->read_file('error.log'), qr/exited on signal (?!9\b)/,
       'nobody else has died');

# without waiting for unfinished handshakes

$t->stop(signal => 'TERM');
$t->done_testing();


# Kills a worker after $n instructions, or when the POST is answered.  Returns
# the addresses of the instructions, relative to the module's file.

sub killed {
    my ($before, $n) = @_;

    my ($c, $bytes) = $before->(\%zone);

    # the worker with the client's connection; it may also be killed in its timer

    my $r = $c->last_response() || $c->post('', cookie => '');
    my $worker = $r->header('X-Worker');
    my $base = (mapped($worker, $t->binary()))[0];
    my ($from, $to) = mapped($worker, $t->module() || $t->binary());
    my $out = $t->path('steps');

    unlink $out;

    my $tracer = spawn({ stderr => $out }, $program, $worker,
        (map { $function{$_} < $base ? $function{$_} + $base : $function{$_} }
             qw( ngx_shmtx_lock ngx_shmtx_unlock )), $n);

    $t->wait_for(sub { $t->read_file('steps') =~ /ready/ }, 20)
        or die $t->read_file('steps');

    $c->post_send($bytes);
    $c->post_receive();

    kill 'KILL', $worker;
    wait_exit($tracer, 20);

    $t->wait_for_log(qr/worker process $worker exited on signal 9/, 20);
    $t->wait_for(sub { $t->workers() == 2 }, 20);

    $zone{victim} = $c;

    no warnings 'portable';

    return map { hex($_) >= $from && hex($_) < $to
                 ? sprintf('%x', hex($_) - $from) : '' }
           $t->read_file('steps') =~ /^([0-9a-f]+)$/mg;
}


# Returns an error of the state after a kill.

sub error {
    my $c = $zone{victim};

    return 'there are not two workers' unless $t->workers() == 2;

    for my $witness (@{$zone{witnesses}}) {
        return 'another session: ' . ($witness->error() || 'not served')
            unless served($witness);
    }

    my $new = client();

    return 'a new session: ' . $new->error()
        unless $new->handshake() && served($new);
    $new->close_notify();

    my $s = reading($t);

    return 'the numbers of sessions do not match'
        unless $s->{sessions_started_total} - total($s->{sessions_ended_total})
               == total($s->{sessions});
    return 'memory is lost'
        unless total($s->{zone_entries}) == $zone{entries};

    my $r = $c->post('') or return 'no answer';

    return '' if $r->status() =~ /^(?:200|400)$/;
    return 'its session is answered ' . $r->status() unless $r->status() == 410;

    return left($c) ? 'its session is gone, but not its key' : '';
}


# Opens sessions until one is evicted for the next.

sub evict {
    my ($state, $open) = @_;

    my $before = reading($t)->{sessions_evicted_total}{$state};

    do {
        $open->();
    } until reading($t)->{sessions_evicted_total}{$state} > $before;
}


# clients

sub client {
    my ($secret, $c);

    $c = $t->client(keepalive => 0, timeout => 20, @_,
        setup => sub {
            Net::SSLeay::CTX_set_keylog_callback($_[0], sub {
                $secret = pack 'H*', $1
                    if $_[1] =~ /^CLIENT_TRAFFIC_SECRET_0 \S+ (\S+)/;
            });
        });

    $c->{secret} = \$secret;

    return $c;
}


sub established {
    my $c = client(@_);

    $c->handshake() or die 'no handshake: ' . $c->error() . "\n";

    return $c;
}


sub witnesses {
    return map { established(protocol => $_) } 'TLSv1.3', 'TLSv1.2';
}


sub half_open {
    my $c = client(@_);

    $c->handshake_step();
    $c->exchange($c->tls_out()) or die $c->error() . "\n";

    return $c;
}


sub flight {
    my ($c) = @_;

    $c->handshake_step();

    return ($c, $c->tls_out());
}


sub request {
    my ($c, $pad, $uri) = @_;

    $uri ||= '/';
    $c->write_plain("GET $uri HTTP/1.1\r\nHost: localhost\r\nX: "
                    . 'x' x ($pad || 1) . "\r\n\r\n");

    return ($c, $c->tls_out());
}


sub served {
    my ($c) = @_;

    my $r = $c->get('/');

    return $r && $r->body() eq "inner\n";
}


# Whether shared memory still contains the secret of the session.

sub left {
    my ($c) = @_;

    my $memory = '';

    no warnings 'portable';

    for my $pid ($t->workers()) {
        open my $fh, '<:raw', "/proc/$pid/mem" or next;

        for (lines("/proc/$pid/maps")) {
            my ($from, $to) = /^([0-9a-f]+)-([0-9a-f]+) rw-s .*zero/ or next;
            sysseek $fh, hex $from, 0;
            sysread $fh, $memory, hex($to) - hex($from), length $memory;
        }

        last;
    }

    return grep { defined && index($memory, $_) >= 0 } ${$c->{secret}};
}


# files and addresses

sub lines {
    my ($path) = @_;

    open my $fh, '<', $path or return ();

    return <$fh>;
}


sub symbols {
    my ($binary) = @_;

    no warnings 'portable';

    return map { /^([0-9a-f]+) [Tt] (ngx_shmtx_(?:un)?lock)$/
                 ? ($2 => hex $1) : () }
           map { `nm $_ $binary 2>/dev/null` =~ /.+/g } '', '-D';
}


# The addresses at which a file is mapped in a process.

sub mapped {
    my ($pid, $file) = @_;

    no warnings 'portable';

    my $path = abs_path($file);
    my @ranges = map { /^([0-9a-f]+)-([0-9a-f]+) .*\s\Q$path\E$/
                       ? [ hex $1, hex $2 ] : () } lines("/proc/$pid/maps");

    return ($ranges[0][0], $ranges[-1][1]);
}


# The indexes of instructions that begin a line at which no worker has been
# killed yet.

sub first_of_lines {
    my (@steps) = @_;

    learn(@steps);

    return grep { $steps[$_] ne '' && !$seen{line($steps[$_])}++ } 0 .. $#steps;
}


{
    my %lines;

    sub line { $lines{$_[0]} || 'elsewhere' }

    sub learn {
        my %new = map { $_ => 1 } grep { $_ ne '' && !$lines{$_} } @_;
        my @new = keys %new;

        my $file = $t->module() || $t->binary();
        my $list = $t->write_file('addresses', join '', map { "0x$_\n" } @new);

        @lines{@new} = map { s!.*/(?=src/)!!r } split /\n/,
                       `addr2line -e $file <$list`;
    }
}
