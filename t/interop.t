#!/usr/bin/perl

# The examples of docs/clients.md: clients on other TLS stacks, each with what
# the stack has for memory instead of sockets.  None is skipped: a stack that is
# not there is a failure, tools/deps.sh installs it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Slow qw( patience );
use Test::Atls::Validator;

use constant {
    LARGE => 10_000_000,
    LABEL => 'EXPORTER-atls-interop',
    KEY   => 'c0ffee00112233445566778899aabbcc',
};

# package: what is to be installed, and needs: a file or command that it has.
# lacks: what the stack does not have, in the version that is there.

my @STACKS = (

    { name => 'node', package => 'nodejs', needs => 'node',
      run => [ 'node', 'node.mjs' ] },

    { name => 'openssl', package => 'libssl-dev',
      needs => '/usr/include/openssl/ssl.h',
      libs => [ qw( -lssl -lcrypto ) ] },

    { name => 'gnutls', package => 'libgnutls28-dev',
      needs => '/usr/include/gnutls/gnutls.h', libs => [ qw( -lgnutls ) ] },

    { name => 'mbedtls', package => 'libmbedtls-dev',
      needs => '/usr/include/mbedtls/ssl.h',
      libs => [ qw( -lmbedtls -lmbedx509 -lmbedcrypto ) ],
      lacks => [ -e '/usr/include/mbedtls/mbedtls_config.h' ? ()
                                                             : 'TLSv1.3' ] },

    { name => 'wolfssl', package => 'libwolfssl-dev',
      needs => '/usr/include/wolfssl/ssl.h', libs => [ qw( -lwolfssl ) ] },

    { name => 'jsse', package => 'default-jdk-headless', needs => 'javac',
      java => 'Jsse', lacks => [ 'exporter', 'psk' ] },

    { name => 'python', package => 'python3', needs => 'python3',
      run => [ 'python3', 'python.py' ],
      lacks => [ 'exporter', system('python3 -c "import ssl; ssl.HAS_PSK"'
                                    . ' 2>/dev/null') ? 'psk' : () ] },

    { name => 'perl', package => 'libnet-ssleay-perl',
      needs => 'Net::SSLeay', run => [ $^X, 'perl.pl' ] },
);

my $t = Test::Atls->new();
my $dir = "$FindBin::Bin/interop";
my %documented = documentation();

# nobody's proxies

delete $ENV{$_} for grep { /_proxy$/i } keys %ENV;

my @ca = (is_ca => 1, ext => [ 'keyUsage=critical,keyCertSign,cRLSign' ]);

# stacks differ in what they ask of a CA: Python 3.13 wants the keyUsage, too

$t->make_cert('ca', @ca);
$t->make_cert('service', ca => 'ca', subject => '/CN=service',
              san => 'DNS:localhost');

# not the one that it says it is

$t->make_cert('imposter', @ca, subject => '/CN=ca');

$t->write_file('psk', 'device:' . KEY . "\n");
$t->write_file('large', pattern(LARGE));

$t->write_conf($t->expand(http_conf(<<'EOC')) =~ s/%%LABEL%%/@{[ LABEL ]}/r);
atls_export $exported %%LABEL%% 32 hex;

log_format seen '$uri $atls_protocol $atls_server_name $host '
                '$atls_session_reused $atls_psk_identity|$exported';

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;
    access_log seen.log seen;

    location = /.well-known/atls {
        atls on;
        access_log off;
        %%CERTIFICATE_service%%
    }

    # without a certificate, keys are all there is

    location = /psk {
        atls on;
        atls_psk_file psk;
        access_log off;
    }

    location = / {
        return 200 "hello";
    }

    location = /small {
        return 200 "a small answer";
    }

    location = /last {
        keepalive_timeout 0;
        return 200 "the server ends the session";
    }

    location = /large {
        keepalive_timeout 0;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
    }
}
EOC

$t->run();

Test::Atls::Backend->start($t, $t->port(1));

# it sees what all of them send and get

my $v = Test::Atls::Validator->start($t, $t->port(2), $t->port(0),
    endpoints => { '/.well-known/atls' => {}, '/psk' => { psk => 1 } });

for my $stack (@STACKS) {
    is(missing($stack), undef, "$stack->{name}: there") or next;

    my $command = command($stack);
    ok($command, "$stack->{name}: built") or next;

    my @clients = map { { %$stack, command => $command, protocol => $_,
                          id => "$stack->{name}, $_" } } qw( TLSv1.3 TLSv1.2 );

    clients($_) for grep { !lacks($_, $_->{protocol}) } @clients;
    refused_option($_) for grep { lacks($_, $_->{protocol}) } @clients;
    refused_option($clients[1], export => LABEL) if lacks($stack, 'exporter');
    refused_option($clients[1], psk => 'device:' . KEY)
        if lacks($stack, 'psk');

    documented($stack);
    is($v->report(), '', "$stack->{name}: by docs/protocol.md");
}

$t->done_testing();


# The package, if its contents are not there.

sub missing {
    my ($stack) = @_;

    my $needs = $stack->{needs};
    my $there = $needs =~ m!^/! ? -e $needs
                : $needs =~ /::/ ? eval "require $needs"
                : grep { -x "$_/$needs" } split /:/, $ENV{PATH};

    return $there ? undef
           : "$needs is missing: apt-get install $stack->{package}";
}


# The commands of docs/clients.md, by the example that they run.

sub documentation {
    my %commands;

    open my $fh, '<', "$FindBin::Bin/../docs/clients.md"
        or die "clients.md: $!\n";
    my $doc = join '', <$fh>;

    for my $commands ($doc =~ /^```console\n(.*?)^```$/msg) {
        my ($name) = $commands =~ /\b(\w+)\.(?:c|java|mjs|py|pl)\b/;
        $commands{$name} = $commands if defined $name;
    }

    return %commands;
}


# They are for a copy of the directory, with ca.crt.

sub documented {
    my ($stack) = @_;

    my $name = $stack->{name};
    my $copy = $t->path('copy');
    my $port = $v->port();
    my $commands = ($documented{$name} || 'false') =~ s/:8080\b/:$port/gr;

    execute('sh', '-ec', "mkdir -p $copy; cp $dir/* $copy; cp @{[
                             $t->path('ca.crt') ]} $copy");

    my $r = execute('sh', '-ec', "cd $copy\n$commands");

    is($r->{out}, 'hello', "$name: as in docs/clients.md") or diag($r->{err});
}


# Built with all warnings.

sub command {
    my ($stack) = @_;

    my $name = $stack->{name};

    if ($stack->{libs}) {
        my @cc = split ' ', $ENV{CC} || 'cc';

        return output(@cc, qw( -std=c99 -D_GNU_SOURCE -O1 -Wall -Wextra
                               -Werror -o ), $t->path($name), "$dir/$name.c",
                      @{$stack->{libs}}) && [ $t->path($name) ];
    }

    # compiled once: java itself could do so each time

    if ($stack->{java}) {
        return output(qw( javac -Xlint:all -Werror -d ), $t->path('java'),
                      "$dir/$name.java")
               && [ qw( java -XX:TieredStopAtLevel=1 -cp ), $t->path('java'),
                    $stack->{java} ];
    }

    my ($program, $file) = @{$stack->{run}};

    return [ $program, "$dir/$file" ];
}


sub output {
    my (@command) = @_;

    my $r = execute(@command);

    diag("@command: $r->{err}") if $r->{exit} != 0;

    return $r->{exit} == 0;
}


# Runs a command: { exit, out, err }.

sub execute {
    my (@command) = @_;

    my ($out, $err) = map { $t->path($_) } 'interop.out', 'interop.err';
    my $limit = patience();
    my $line = join ' ', map { "'" . s/'/'\\''/gr . "'" } 'timeout', $limit,
                                                          @command;

    system "$line >$out 2>$err </dev/null";

    return { exit => $? >> 8, out => $t->read_file($out),
             err => $t->read_file($err) };
}


sub run_client {
    my ($client, $paths, %args) = @_;

    my $uri = $args{uri} || '/.well-known/atls';
    my @options = ('--' . lc $client->{protocol} =~ s/v//r,
                   '--ca', $t->path($args{ca} || 'ca.crt'),
                   '--name', $args{name} || 'localhost');

    push @options, '--resume' if $args{resume};
    push @options, map { defined $args{$_} ? ("--$_", $args{$_}) : () }
                   qw( export psk );

    my $r = execute(@{$client->{command}}, @options,
                    'http://127.0.0.1:' . $v->port() . $uri,
                    ref $paths ? @$paths : $paths);

    @$r{qw( protocol resumed exporter posts )} = $r->{err} =~
        /^protocol (\S+) resumed (\d) exporter (\S+) posts (\d+)$/m;

    return $r;
}


sub lacks {
    my ($stack, $what) = @_;

    return scalar grep { $_ eq $what } @{$stack->{lacks} || []};
}


sub clients {
    my ($client) = @_;

    request($client);
    last_request($client);
    large($client);
    resumption($client);
    psk($client) unless lacks($client, 'psk');
    refused($client, 'another CA', ca => 'imposter.crt');
    refused($client, 'another name', name => 'other.example');
}


# What the server has seen of the client that was run last: its n-th request,
# and the exporter.

sub seen {
    my ($before, $n) = @_;

    my @lines;

    $t->wait_for(sub {
        @lines = split /\n/, substr $t->read_file('seen.log'), length $before;
        return @lines >= $n;
    });

    return split /\|/, $lines[$n - 1] || '';
}


# Flights are whole: no stack takes a POST more than others do.

sub request {
    my ($client) = @_;

    my ($id, $protocol) = @$client{qw( id protocol )};
    my $none = lacks($client, 'exporter');
    my $before = $t->read_log('seen.log');

    my $r = run_client($client, [ ('/small') x 3 ],
                       $none ? () : (export => LABEL));
    my ($seen, $exported) = seen($before, 3);

    is($r->{exit}, 0, "$id: requests") or diag($r->{err});
    is($r->{out}, 'a small answer' x 3, "$id: answers");
    is($seen, "/small $protocol localhost localhost . -",
       "$id: what the server saw");
    is($r->{protocol}, $protocol, "$id: protocol");
    is($r->{resumed}, 0, "$id: not resumed");
    is($r->{posts}, $protocol eq 'TLSv1.3' ? 5 : 6, "$id: POSTs");

    return if $none;

    like($r->{exporter}, qr/^[\da-f]{64}$/, "$id: exporter");
    is($r->{exporter}, $exported, "$id: is the server's");
}


# There is nobody then to send a close_notify to.

sub last_request {
    my ($client) = @_;

    my ($id, $protocol) = @$client{qw( id protocol )};

    my $r = run_client($client, '/last');

    is($r->{exit}, 0, "$id: Connection: close") or diag($r->{err});
    is($r->{out}, 'the server ends the session', "$id: last answer");
    is($r->{posts}, $protocol eq 'TLSv1.3' ? 2 : 3, "$id: POSTs in all");
}


# The end of the session comes after the header of this POST's response.

sub large {
    my ($client) = @_;

    my $id = $client->{id};

    my $r = run_client($client, '/large');

    is($r->{exit}, 0, "$id: a large answer") or diag($r->{err});
    is(length $r->{out}, LARGE, "$id: is as long as it should be");
    is(md5_hex($r->{out}), pattern_md5(LARGE), "$id: and right");
}


sub resumption {
    my ($client) = @_;

    my $id = $client->{id};
    my $before = $t->read_log('seen.log');

    my $r = run_client($client, '/big?size=100000&chunked=1', resume => 1);
    my ($seen) = seen($before, 2);

    is($r->{exit}, 0, "$id: resuming") or diag($r->{err});
    is($seen, "/big $client->{protocol} localhost localhost r -",
       "$id: resumed, as the server sees it");
    is($r->{resumed}, 1, "$id: resumed, as the client does");
    is($r->{posts}, 3, "$id: POSTs when resuming");
    is(md5_hex($r->{out}), pattern_md5(100_000), "$id: an answer in chunks");
}


sub psk {
    my ($client) = @_;

    my $id = $client->{id};
    my @psk = (uri => '/psk', psk => 'device:' . KEY);
    my $before = $t->read_log('seen.log');

    my $r = run_client($client, '/small', @psk);
    my ($seen) = seen($before, 1);

    is($r->{exit}, 0, "$id: pre-shared key") or diag($r->{err});
    is($seen, "/small $client->{protocol} localhost localhost . device",
       "$id: pre-shared key, as the server sees it");

    refused($client, 'another key', uri => '/psk',
            psk => 'device:' . KEY =~ s/..$/00/r);
}


# Nothing is asked for in such a session.

sub refused {
    my ($client, $what, %args) = @_;

    my $id = $client->{id};
    my $before = $t->read_log('seen.log');

    my $r = run_client($client, '/small', %args);

    like($r->{exit}, qr/^(?:1|255)$/, "$id: $what");
    is($r->{out}, '', "$id: $what: no answer");
    like($r->{err}, $args{psk} ? qr/./ : qr/certif|verif|issuer|trust|name/i,
         "$id: $what: says why");
    is($t->read_log('seen.log'), $before, "$id: $what: nothing was asked");
}


# An option that the stack can't honour is no option to be ignored.

sub refused_option {
    my ($client, %args) = @_;

    my $r = run_client($client, '/small', %args);

    is($r->{exit}, 2, "$client->{id}: lacks @{[ keys %args ]}");
    like($r->{err}, qr/does not have/, "$client->{id}: and says so");
}
