#!/usr/bin/perl

# Sessions stored by the command or by libatls are resumed only if the service
# is still trusted, by the same client, and within a day of the full handshake.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Clock;
use Test::Atls::Command;

my $t = Test::Atls->new(workers => 2);

$t->make_cert($_, is_ca => 1) for qw( ca other );
$t->make_cert('intermediate', ca => 'ca', is_ca => 1);
$t->make_cert('localhost', ca => 'intermediate');
$t->make_cert('client', ca => 'ca');
$t->make_cert('client2', ca => 'ca');

my ($ca, $other) = map { $t->read_file("$_.crt") } qw( ca other );

$t->write_file('chain.crt', $t->read_file('localhost.crt')
                            . $t->read_file('intermediate.crt'));
$t->write_http(<<'EOC');
atls_certificate %%TESTDIR%%/chain.crt;
atls_certificate_key %%TESTDIR%%/localhost.key;
atls_verify_client optional;
atls_client_certificate %%TESTDIR%%/ca.crt;
atls_session_lifetime 3d;

server {
    listen %%PORT_0%%;
    server_name localhost;

    location = /.well-known/atls { atls on; }
    location = /second { atls on; }

    location / {
        return 200 "$atls_session_reused $atls_client_s_dn\n";
    }
}
EOC
$t->run();

my $atls = Test::Atls::Command->new($t);
my $base = 'http://127.0.0.1:' . $t->port(0);
my $file = $t->path('sessions');
my @file = ('--session-file', $file);
my $r;

subtest('what is trusted' => \&trust);
subtest('who the client is' => \&identity);
subtest('the pre-shared key' => \&pre_shared_key);
subtest('the time of the full handshake' => \&lifetime);
subtest('files of others' => \&owners);
subtest('links' => \&links);
subtest('sessions of another service' => \&moved);
subtest('the store of a directory' => \&store);

$t->done_testing();


# Exit code, and whether the session was resumed.

sub get {
    my $env = ref $_[-1] ? pop : {};

    $r = $atls->run('--via', "$base/.well-known/atls", @_, 'https://localhost/',
                    { env => $env });

    return $r->{code} ? $r->{code} : "$r->{code} " . substr $r->{out}, 0, 1;
}


sub trust {
    unlink $file;

    for my $protocol ([], [ '--tls-max=1.2' ]) {
        my @args = (@file, @$protocol);
        my $trusted = $t->write_file('trusted.crt', $ca);

        is(get(@args, '--cacert', $trusted), '0 .', "@$protocol a new session");
        is(get(@args, '--cacert', $trusted), '0 r', 'resumed') for 1 .. 3;

        $t->write_file('again.crt', $ca);
        is(get(@args, '--cacert', $t->path('again.crt')), '0 r',
           'likewise with a file of another name');

        $t->write_file('trusted.crt', $other);
        is(get(@args, '--cacert', $trusted), 60, 'not with other contents');

        my %env = (SSL_CERT_FILE => $t->path('ca.crt'),
                   SSL_CERT_DIR => $t->dir() . '/none');

        is(get(@args, { %env }), '0 r', 'the same from the environment');
        is(get(@args, { %env, SSL_CERT_FILE => $t->path('other.crt') }), 60,
           'not with another SSL_CERT_FILE');

        directory(@args);
    }
}


# A directory of CAs with the same name but other content.

sub directory {
    my @args = @_;

    my $dir = $t->dir() . '/authorities';
    my %env = (SSL_CERT_FILE => '/nonexistent', SSL_CERT_DIR => $dir);

    mkdir $dir;
    chomp(my $hash = `openssl x509 -noout -hash -in @{[ $t->path('ca.crt') ]}`);
    $t->write_file("authorities/$hash.0", $ca);

    is(get(@args, { %env }), '0 .', 'a directory: a new session');
    is(get(@args, { %env }), '0 r', 'resumed');
    unlink "$dir/$hash.0";
    is(get(@args, '-v', { %env }), 60, 'not without what was in it');
    like($r->{err}, qr/stored session not resumed/, 'which is said');
}


sub identity {
    my @args = (@file, '--cacert', $t->path('ca.crt'),
                '--cert', $t->path('me.crt'), '--key', $t->path('me.key'));

    unlink $file;

    for my $name (qw( client client2 )) {
        $t->write_file("me.$_", $t->read_file("$name.$_")) for qw( crt key );
        is(get(@args), '0 .', "$name: a new session");
        is(get(@args), '0 r', 'resumed');
        like($r->{out}, qr/CN=$name$/m, 'of this one');
    }
}


# The module has no tickets for such sessions, other servers have.

sub pre_shared_key {
    my $server = $atls->lib()->compile('flood_server');
    my $port = $t->port(1);

    $t->run_daemon(sub {
        exec $server, $port, $t->path('localhost.crt'),
             $t->path('localhost.key'), $t->path('posts')
             or die "$server: $!\n";
    }, port => $port);

    unlink $file;

    my $known = sub {
        $r = $atls->run('--via', "http://127.0.0.1:$port/nothing", @file, '-v',
                        '--psk', "device:$_[0]", 'https://localhost/');
        return "$r->{code} " . join ' ', $r->{err} =~ /(resumed|pre-shared)/;
    };

    is($known->('ab' x 16), '0 pre-shared', 'a new session')
        or diag($r->{err});
    is($known->('ab' x 16), '0 resumed', 'resumed') or diag($r->{err});
    is($known->('cd' x 16), '35 ', 'not with another key of this name');
}


# Each resumption has new tickets, but the time of the full handshake is kept.

sub lifetime {
    my $clock = Test::Atls::Clock->new($t);

    my $at = sub {
        my ($hours, @args) = @_;

        $clock->set($hours * 3600);

        return get(@args, @file, '--cacert', $t->path('ca.crt'),
                   { $clock->env() });
    };

    for my $protocol ([], [ '--tls-max=1.2' ]) {
        unlink $file;
        is($at->(0, @$protocol), '0 .', "@$protocol a new session");

        # a ticket is valid for two hours

        my $hours = $protocol->[0] ? 2 : 24.1;

        for (my $hour = 1.9; $hour < $hours; $hour += 1.9) {
            is($at->($hour, @$protocol), '0 r', "resumed after $hour hours");
        }

        is($at->($hours, @$protocol), '0 .', "not after $hours");
        is($at->($hours + 1, @$protocol), '0 r', 'it begins again');
        is($at->($hours - 1, @$protocol), '0 .', 'not before it began');
    }

    unlink $file;
}


sub owners {
    plan skip_all => 'must be root' if $> != 0;

    my @args = (@file, '--cacert', $t->path('ca.crt'));
    my $dir = $t->dir() . '/theirs';

    unlink $file;
    is(get(@args), '0 .', 'a new session');

    chown 65534, -1, $file;
    is(get(@args), 2, 'a file of another user');
    like($r->{err}, qr/belongs to another user/, 'which is said');
    unlink $file;

    mkdir $dir;
    chown 65534, -1, $dir;
    @args = ('--session-file', "$dir/sessions", @args[2 .. $#args]);
    is(get(@args), 2, 'a directory of another user');
    like($r->{err}, qr/directory .* belongs to another user/, 'which is said');
    ok(!-e "$dir/sessions", 'and nothing is made');
    rmdir $dir;
}


sub links {
    my @args = ('--cacert', $t->path('ca.crt'));
    my $open = $t->dir() . '/open';

    unlink $file;
    symlink $t->path('made'), $file;
    is(get(@file, @args), 2, 'a symbolic link to nowhere');
    like($r->{err}, qr/symbolic link/, 'which is said');
    ok(!-e $t->path('made'), 'and not followed');
    unlink $file;

    is(get(@file, @args), '0 .', 'a new session');
    link $file, "$file.link";
    is(get(@file, @args), 2, 'a file with two names');
    rename $file, "$file.real";
    unlink "$file.link";
    symlink "$file.real", $file;
    is(get(@file, @args), 2, 'a symbolic link');
    unlink $file, "$file.real";

    mkdir $open;
    chmod 0777, $open;
    is(get('--session-file', "$open/sessions", @args), 2,
       'a directory that is open to all');
    like($r->{err}, qr/chmod go-w/, 'which is said');
    chmod 01777, $open;
    is(get('--session-file', "$open/sessions", @args), '0 .',
       'one with the sticky bit');

    is(get('--session-file', 'here', @args), '0 .', 'a name alone');
    is(get('--session-file', 'here', @args), '0 r', 'is used, too');
}


# A session cannot be used for another service by moving it.

sub moved {
    my @args = (@file, '--cacert', $t->path('ca.crt'));
    my @second = ('--via', "$base/second");

    unlink $file;
    is(get(@args), '0 .', 'a new session');

    my $key = ($t->read_file('sessions') =~ /^\w+ (.*)$/m)[0];

    unlink $file;
    is(get(@args, @second), '0 .', 'another endpoint');
    is(get(@args, @second), '0 r', 'has its own');

    my $text = $t->read_file('sessions');
    $text =~ s/^(\w+) .*$/$1 $key/mg;
    $t->write_file('sessions', $text);
    is(get(@args), '0 .', 'which are not those of the first');
}


sub store {
    my $dir = $t->dir() . '/store';
    my $c = $atls->lib()->start($atls->lib()->compile('client_lib'));

    my $resumed = sub {
        $c->client('https://localhost', CA_FILE => $t->path('ca.crt'),
                   ENDPOINT => "$base/$_[0]");
        my $answer = $c->go('GET', '/');
        return $c->name($answer) . ' ' . $c->command('session')->{resumed};
    };

    my $refused = sub { $c->command("store $dir")->{error} };

    is($refused->(), 0, 'a new store');

    for my $path (qw( .well-known/atls second )) {
        is($resumed->($path), 'OK 0', "$path: a new session");
        is($resumed->($path), 'OK 1', 'resumed');
    }

    # exchange the sessions of two keys

    my $text = $t->read_file('store/sessions');
    my %keys = map { $_ => 1 } $text =~ /^[0-9a-f]+ (.+)$/mg;
    my ($one, $two) = sort keys %keys;
    my %other = ($one => $two, $two => $one);

    $text =~ s/^([0-9a-f]+ )(.+)$/$1$other{$2}/mg;
    $t->write_file('store/sessions', $text);

    is($resumed->($_), 'OK 0', "$_: sessions of another key")
        for qw( .well-known/atls second );

    unlink glob "$dir/*";
    is($resumed->('second'), 'OK 0', 'a new session');
    chmod 0644, glob "$dir/*";
    is($resumed->('second'), 'OK 0', 'files that others can read');
    is($resumed->('second'), 'OK 1', 'do not stay');

    unlink glob "$dir/*";
    is($resumed->('second'), 'OK 0', 'a new session');
    rename $_, "$_.real" for glob "$dir/*";
    symlink $_, s/\.real$//r for glob "$dir/*.real";
    is($resumed->('second'), 'OK 0', 'symbolic links');
    unlink glob "$dir/*";

    if ($> == 0) {
        is($resumed->('second'), 'OK 0', 'a new session');
        chown 65534, -1, glob "$dir/*";
        is($resumed->('second'), 'OK 0', 'files of somebody else');
        chown 65534, -1, $dir;
        is($refused->(), 1, 'a directory of somebody else');
        chown $>, -1, $dir;
    }

    chmod 0770, $dir;
    is($refused->(), 1, 'a directory that others can write to');
    chmod 0755, $dir;
    is($refused->(), 0, 'one that they can read');
    $c->command('store ');
    rename $dir, "$dir.real";
    symlink "$dir.real", $dir;
    is($refused->(), 1, 'a symbolic link');
    $c->command('store ');
    is($c->end(), 0, 'the program ends well');
}
