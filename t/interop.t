#!/usr/bin/perl

# The examples of docs/clients.md: clients with other TLS stacks, each with its
# interface for memory instead of sockets.  A missing stack is an error;
# tools/deps.sh installs them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw( md5_hex );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Program qw( find_program );
use Test::Atls::Slow qw( patience );
use Test::Atls::Validator;

use constant {
    LARGE => 10_000_000,
    LABEL => 'EXPORTER-atls-interop',
    KEY   => 'c0ffee00112233445566778899aabbcc',
};

# package: what has to be installed; needs: a file or a command of it; lacks:
# features that the installed version does not have.

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

# without proxies

delete $ENV{$_} for grep { /_proxy$/i } keys %ENV;

my @ca = (is_ca => 1, ext => [ 'keyUsage=critical,keyCertSign,cRLSign' ]);

# stacks have different requirements on a CA: Python 3.13 requires keyUsage

$t->make_cert('ca', @ca);
$t->make_cert('service', ca => 'ca', subject => '/CN=service',
              san => 'DNS:localhost');

# another CA with the same name

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

    location /located {
        atls on;
        atls_session_tracking location;
        access_log off;
        %%CERTIFICATE_service%%
    }

    # without a certificate, only keys can be used

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

# checks all requests and responses

my $v = Test::Atls::Validator->start($t, $t->port(2), $t->port(0),
    endpoints => { '/.well-known/atls' => {}, '/psk' => { psk => 1 },
                   '/located' => { tracking => 'location' } });

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


# The package, if it is not installed.

sub missing {
    my ($stack) = @_;

    my $needs = $stack->{needs};
    my $there = $needs =~ m!^/! ? -e $needs
                : $needs =~ /::/ ? eval "require $needs"
                : find_program($needs);

    return $there ? undef
           : "$needs is missing: apt-get install $stack->{package}";
}


# The commands of docs/clients.md, by the name of their example.

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


# The commands are for a copy of the directory, with ca.crt.

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


# Compiles a client, with all warnings.

sub command {
    my ($stack) = @_;

    my $name = $stack->{name};

    if ($stack->{libs}) {
        my @cc = split ' ', $ENV{CC} || 'cc';

        return output(@cc, qw( -std=c99 -D_GNU_SOURCE -O1 -Wall -Wextra
                               -Werror -o ), $t->path($name), "$dir/$name.c",
                      @{$stack->{libs}}) && [ $t->path($name) ];
    }

    # compiled once, instead of by java for each run

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


# Runs a command.  Returns { exit, out, err }.

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
    located($client);
    psk($client) unless lacks($client, 'psk');
    refused($client, 'another CA', ca => 'imposter.crt');
    refused($client, 'another name', name => 'other.example');
}


# The n-th request of the last client, and the exporter, as seen by the server.

sub seen {
    my ($before, $n) = @_;

    my @lines;

    $t->wait_for(sub {
        @lines = split /\n/, substr $t->read_file('seen.log'), length $before;
        return @lines >= $n;
    });

    return split /\|/, $lines[$n - 1] || '';
}


# Flights are complete: all stacks require the same number of POSTs.

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


# The client must not send a close_notify after the session has ended.

sub last_request {
    my ($client) = @_;

    my ($id, $protocol) = @$client{qw( id protocol )};

    my $r = run_client($client, '/last');

    is($r->{exit}, 0, "$id: Connection: close") or diag($r->{err});
    is($r->{out}, 'the server ends the session', "$id: last answer");
    is($r->{posts}, $protocol eq 'TLSv1.3' ? 2 : 3, "$id: POSTs in all");
}


# The session ends after the header of this POST's response was sent.

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


# Sessions with URIs, and without cookies.

sub located {
    my ($client) = @_;

    my $r = run_client($client, [ '/small', '/small' ], uri => '/located',
                       resume => 1);

    is($r->{exit}, 0, "$client->{id}: URIs of sessions") or diag($r->{err});
    like($r->{out}, qr/^(?:a small answer)+$/, "$client->{id}: answers");
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


# No request is sent in such a session.

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


# An option that the stack does not support is an error.

sub refused_option {
    my ($client, %args) = @_;

    my $r = run_client($client, '/small', %args);

    is($r->{exit}, 2, "$client->{id}: lacks @{[ keys %args ]}");
    like($r->{err}, qr/does not have/, "$client->{id}: and says so");
}
