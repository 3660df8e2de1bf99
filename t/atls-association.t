#!/usr/bin/perl

# atls prepare, and --association with --direct: HTTPS without certificates, or
# ATLS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Association;
use Test::Atls::ConnectProxy;
use Test::Atls::Lib;
use Test::Atls::Preload;
use Test::Atls::Site;

my $t = Test::Atls::Site->new(workers => 2);

$t->make_cert('proxy', san => 'IP:127.0.0.1');

# The fourth port is that of a middlebox that terminates TLS, with a valid
# certificate, and passes on everything.

$t->serve('', http => <<'EOH', servers => <<'EOC');
ssl_protocols TLSv1.2 TLSv1.3;
ssl_certificate %%TESTDIR%%/localhost.crt;
ssl_certificate_key %%TESTDIR%%/localhost.key;
atls_association 30d;
EOH
server {
    listen 127.0.0.1:%%PORT_3%% ssl;
    server_name localhost;
    atls_association_accept on;

    location / {
        add_header X-One 1;
        return 200 "direct $request_method $atls_association $connection_requests\n";
    }

    location = /moved {
        return 302 /there;
    }

    location = /refused {
        return 421;
    }
}

server {
    listen 127.0.0.1:%%PORT_4%% ssl;
    server_name localhost;

    location / {
        proxy_pass http://127.0.0.1:%%PORT_0%%;
    }
}

server {
    listen 127.0.0.1:%%PORT_5%%;

    location = /.well-known/atls {
        atls on;
        atls_association 1h reuse;
    }

    location = /off {
        atls on;
        atls_association off;
    }

    location = /service {
        atls on;
        atls_association off;
        return 200 "for everybody\n";
    }

    location / {
        return 200 "inner $request_method\n";
    }

    location = /.well-known/atls-association { }
}
EOC

my $url = 'https://localhost:' . $t->port(3);
my $file = $t->path('associations');
my @with = ('--direct', '--association', $file);
my @moved = ('--connect-to', 'localhost:' . $t->port(3) . ':127.0.0.1:'
                             . $t->port(4));

subtest('prepare' => \&prepared);
subtest('direct' => \&used);
subtest('no connection' => \&elsewhere);
subtest('a proxy over TLS' => \&through_proxy);
subtest('reusable' => \&reusable);
subtest('options' => \&options);

$t->done_testing();


sub atls {
    my $r = $t->command()->run($t->trust(), '--via',
                               'http://127.0.0.1:' . $t->port(5)
                               . '/.well-known/atls', @_);

    return wantarray ? ($r, "$r->{code} $r->{out}") : "$r->{code} $r->{out}";
}


# at the first endpoint: for one use

sub once {
    my $r = $t->command()->run('prepare', $t->trust(), $t->via(),
                               '--association', $file, $url, @_);

    is("$r->{code} $r->{out}", '0 ', 'an association') or diag($r->{err});
}


sub lines {
    return scalar grep { /^[0-9a-f]+ https:/ }
                       split /\n/, $t->read_file('associations');
}


sub prepared {
    once() for 1 .. 3;

    is(lines(), 3, 'in the file');
    is((stat $file)[2] & 0777, 0600, 'of the user only');

    my $r = $t->command()->run('prepare', $t->trust(), $t->via(), '-v',
                               '--association', '-', $url);

    like($r->{out}, qr/^\{"identity":"[\w-]+","key":"[0-9a-f]{64}",
                        "expires":\d+,"reusable":false\}\n$/x, 'on stdout');
    like($r->{err}, qr/association of \Q$url\E, expires in 2\d{6} seconds/,
         'and -v');

    my ($identity, $key) = $r->{out} =~ /"identity":"(.*?)","key":"(.*?)"/;
    my $d = direct($t, $t->port(3), { identity => $identity, key => $key });

    is($d->{psk}, 1, 'for another program');
    unlike($r->{err}, qr/$key/, 'the key is not logged');

    $r = $t->command()->run('prepare', $t->trust(), '--via', 'http://127.0.0.1:'
                            . $t->port(5) . '/off', '--association', $file,
                            $url);

    is($r->{code}, 22, 'off');
    like($r->{err}, qr/no association, status 404: is atls_association set/,
         'the reason');

    $r = $t->command()->run('prepare', $t->trust(), '--via', 'http://127.0.0.1:'
                            . $t->port(5) . '/service', '--association', $file,
                            $url);

    is($r->{code}, 8, 'a response of the service');
    like($r->{err}, qr/the response is no association: is atls_association set/,
         'the reason');
    is(lines(), 3, 'nothing in the file');
    created();
}


# A file is created when there is something to store, by the same rules.

sub created {
    my $new = $t->path('new');

    isnt($t->command()->run('prepare', $t->trust(), '--association', $new,
                            '--via', $_, $url)->{code}, 0, 'no association')
        for 'http://127.0.0.1:1', 'http://127.0.0.1:' . $t->port(5) . '/off';
    ok(!-e $new, 'no file');

    my @prepare = ('prepare', $t->trust(), $t->via(), '--association');

    symlink "$new-file", $new or die "symlink: $!\n";

    my $r = $t->command()->run(@prepare, $new, $url);

    is($r->{code}, 2, 'a symbolic link to nowhere');
    like($r->{err}, qr/"\Q$new\E": it is a symbolic link/, 'the reason');
    ok(!-e $new, 'nor that file');

    mkdir "$new-dir" or die "mkdir: $!\n";
    chmod 0777, "$new-dir";
    $r = $t->command()->run(@prepare, "$new-dir/file", $url);

    is($r->{code}, 2, 'a directory of everybody');
    like($r->{err}, qr/is writable by others/, 'the reason');
    ok(!-e "$new-dir/file", 'no file there');

    my $command = join ' ', map { "'$_'" } Test::Atls::Lib->command_line(
                                $t->command()->program(), @prepare, "$new-full",
                                $url);
    my $said = `trap '' XFSZ; ulimit -f 0; $command 2>&1`;

    is($? >> 8, 23, 'a file that cannot be written');
    like($said, qr/cannot write to "\Q$new-full\E": File too large/,
         'the reason');
}


sub used {
    is(atls(@with, $url), "0 direct GET on 1\n", 'by the association');
    is(lines(), 2, 'which is removed');
    is(atls(@with, '-d', 'a=b', $url), "0 direct POST on 1\n", 'POST');
    is(lines(), 1, 'another one');

    is(atls(@with, $url, "$url/a", "$url/b"),
       "0 direct GET on 1\ndirect GET on 2\ndirect GET on 3\n",
       'three requests over one connection');
    is(lines(), 0, 'the last one');

    my ($r, $said) = atls(@with, '-v', $url);
    is($said, "0 inner GET\n", 'no association: ATLS');
    like($r->{err}, qr/using ATLS, \Q$file has no association of $url\E/,
         'and -v');

    my $missing = $t->path('missing');
    is(atls('--direct', '--association', $missing, $url), "0 inner GET\n",
       'no file: ATLS');
    ok(!-e $missing, 'and none is created');

    once();
    ($r, $said) = atls(@with, '-vi', "$url/moved", '-L');
    is((split /\n/, $said)[-1], 'direct GET on 2', 'redirects');
    like($r->{err}, qr/direct: using the association of \Q$url\E/, '-v');

    my ($line) = $t->read_file('associations') =~ /^([0-9a-f]+) /m;
    is($line, undef, 'all are used');
}


# The association is not used up by a middlebox, but the client removes it.

sub elsewhere {
    once() for 1 .. 3;

    my ($r, $said) = atls(@with, '-v', @moved, $url);

    is($said, "0 inner GET\n", 'a middlebox with a valid certificate: ATLS');
    like($r->{err}, qr/direct: using ATLS, no connection to \Q$url\E with an/,
         'and -v');
    is(lines(), 2, 'an association is removed');

    is(atls(@with, '-d', '@-', @moved, $url, { stdin => 'body' }),
       "0 inner POST\n", 'nothing of the body was sent');

    is(atls(@with, '--connect-to', 'localhost:' . $t->port(3)
                                   . ':127.0.0.1:1', $url),
       "0 inner GET\n", 'no server');

    is(atls(@with, "$url/refused"), "0 inner GET\n", 'status 421');
    is(lines(), 0, 'all are used');
}


# The proxy has a certificate, and no part in the association.

sub through_proxy {
    my $proxy = Test::Atls::ConnectProxy->start($t, $t->port(6),
                                                cert => 'proxy');
    my $trust = Test::Atls::Preload->build($t, 'proxy_ca');
    my @through = (@with, '-x', $proxy->url('me:secret'), '--noproxy',
                   '127.0.0.1');

    once();

    is(atls(@through, $url), "0 inner GET\n", 'it is not trusted: ATLS');
    is(lines(), 1, 'the association is kept');

    for my $tls (qw( 1.3 1.2 )) {
        once() if !lines();
        $proxy->forget();

        my $identity = identity();
        my ($r, $said)
            = atls(@through, '-v', '--tls-max', $tls, $url,
                   { env => { $trust->env(PROXY_CA => $t->path('proxy.crt')) } });

        is($said, "0 direct GET on 1\n", "TLS $tls: by the association")
            or diag($r->{err});

        my $log = $proxy->log();

        like($log, qr/\A\x16\x03.*CONNECT localhost:/s, 'what it got');
        cmp_ok(length $identity, '>', 100, 'an identity');
        is(index($log, $identity), -1, 'not in its ClientHello');
    }
}


# that of the last association in the file

sub identity {
    my ($hex) = $t->read_file('associations') =~ /^([0-9a-f]+) \S+\n\z/m;

    return (split / /, pack 'H*', $hex)[-1];
}


sub reusable {
    is(atls('-V') =~ /^0 atls/, 1, 'the command');

    my $r = $t->command()->run('prepare', $t->trust(), '--via',
                               'http://127.0.0.1:' . $t->port(5)
                               . '/.well-known/atls', '--association', $file,
                               $url);

    is($r->{code}, 0, 'reusable') or diag($r->{err});

    is(atls(@with, $url), "0 direct GET on 1\n", "use $_") for 1 .. 3;
    is(lines(), 1, 'it is kept');

    # the server would accept it

    is(atls(@with, '--connect-to', 'localhost:' . $t->port(4) . ':127.0.0.1:'
                                   . $t->port(3),
            'https://localhost:' . $t->port(4)), "0 inner GET\n",
       'not for another port');
}


sub options {
    for ([ 'prepare without a file', '--association is required', 'prepare',
           $url ],
         [ 'two URLs', 'only one URL is allowed', 'prepare', '--association',
           $file, $url, $url ],
         [ '--direct', '--direct and --association require each other',
           '--direct', $url ],
         [ '--association', '--direct and --association require each other',
           '--association', $file, $url ],
         [ 'stdin', '--direct requires a file, not -', '--direct',
           '--association', '-', $url ],
         [ '--fallback', '--fallback and --export cannot be used with --direct',
           @with, '--fallback', $url ])
    {
        my ($name, $message, @args) = @$_;
        my $r = $t->command()->run(@args);

        is($r->{code}, 2, "$name: usage");
        like($r->{err}, qr/\Q$message\E/, "$name: message");
    }

    chmod 0644, $file;

    my ($r) = atls(@with, $url);
    is($r->{code}, 2, 'a file for all users');
    like($r->{err}, qr/is accessible by others/, 'the reason');
}
