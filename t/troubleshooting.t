#!/usr/bin/perl

# docs/troubleshooting.md: each row of its table, through a middlebox that does
# what the row says.  The client names the fault and gives advice, the server's
# log has its side of it, and the exit code says whether the service may have
# processed the request, as in docs/clients.md.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw( uniq );
use Test::More;

use Test::Atls::Middlebox;
use Test::Atls::Port qw( free_port );
use Test::Atls::Site;
use Test::Atls::Slow qw( slow );

my $ROOT = Test::Atls::root();
my @TLS12 = qw( --tls-max 1.2 );

my $t = Test::Atls::Site->new(workers => 2);
my $other = Test::Atls->new(workers => 1);

$t->make_cert('other', is_ca => 1);
$other->make_cert('localhost');

$other->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    location /.well-known/atls { atls on; }
}
EOC

# A handshake that was given up is neither logged in a later row, nor waited for
# at the end.

$t->serve(<<'EOC', main => 'worker_shutdown_timeout 1s;', http => <<'EOH');
location = /keys {
    atls on;
    atls_exported_keys on;
}

location = /small {
    atls on;
    client_max_body_size 100;
}

location /located {
    atls on;
    atls_session_tracking location;
}

location = /raw {
    atls on;
    atls_payload raw;
    return 404;
}

location /missing {
    root %%TESTDIR%%;
}
EOC
atls_handshake_timeout 5m;
EOH

$other->run();

my $scattered = 'scattered=' . $other->port(0);
my $site = 'https://localhost/echo';

# What the client says: what the middlebox does, the exit code, arguments.

my %cases = (
    'cannot connect to the endpoint'
        => [ 'nothing', 7, '', '--via', 'http://127.0.0.1:' . free_port() ],
    'outer TLS failure'
        => [ 'nothing', 35, '', '--via', 'https://127.0.0.1:' . $t->port(0),
             $site ],
    'a web page, of a captive portal or a filter' => [ 'page', 8 ],
    'returned 302 with Location' => [ 'portal', 8 ],
    'returned 403: refused by the server or by a filter' => [ 'blocked', 8 ],
    'returned 404' => [ 'nothing', 8, '/missing/atls' ],
    'returned 502: a proxy cannot reach the endpoint' => [ 'bad-gateway', 8 ],
    'returned 502: the service did not accept the data'
        => [ 'nothing', 56, '/raw' ],
    'returned 504: a proxy did not wait for the response'
        => [ 'gateway-timeout=2', 56 ],
    'outer connection failed' => [ 'hang-up=2', 56 ],
    'bytes is too large' => [ 'limit=100', 8 ],
    'returned 413' => [ 'nothing', 8, '/small' ],
    'TLS records must be sent with POST' => [ 'get', 8 ],
    'The media type must be application/atls+octet-stream'
        => [ 'request-type', 8 ],
    'the media type was changed on the path' => [ 'media-type', 8 ],
    'the response was compressed on the path' => [ 'gzip-response', 8 ],
    'The body does not start with a ClientHello' => [ 'gzip-request', 8 ],
    'the body was changed on the path' => [ 'change-request', 35 ],
    'The body is empty and there is no session' => [ 'no-request-body', 8 ],
    'the body, or a part of it, was removed on the path'
        => [ 'no-response-body', 35 ],
    'the response is to another POST' => [ 'cache', 35 ],
    'the POST was sent twice, or data were changed' => [ 'change-post=2', 56 ],
    'The POST does not begin with the next record'
        => [ 'change-post=3', 56, '', '-X', 'POST', $site, $site ],
    'no requests with exported keys are allowed'
        => [ 'nothing', 56, '', '--exported-keys' ],
    'The message is invalid, not authentic, or not complete'
        => [ 'change-post=3,via', 56, '/keys', '--exported-keys' ],
    'The number of the message was used before, or is too old'
        => [ 'repeat', 56, '/keys', '--exported-keys' ],
    'Another POST for this session is in progress'
        => [ 'overlap', 56, '', 'https://localhost/slow?n=2&delay=1' ],
    'the session was just started, perhaps on another machine'
        => [ $scattered, 56 ],
    'the first response had no Set-Cookie' => [ 'no-set-cookie', 56 ],
    'the cookie was removed from the POST' => [ 'no-cookie', 56 ],
    'the cookie is for another path or domain' => [ 'cookie-path', 56 ],
    'the path of the session, in Location of the first response, was removed or'
        . ' changed' => [ 'no-path', 56, '/located' ],
    'returned 201 with Location'
        => [ 'location=http://other.test/', 8, '/located' ],
    'maximum time exceeded' => [ 'buffer-responses', 28, '', '-m', 0.5 * slow(),
                     'https://localhost/hang' ],
    'inner certificate verification failed'
        => [ 'nothing', 60, '', '--cacert', $t->path('other.crt') ],
);

my @what = uniq('nothing', 'repeat', 'change-response=3',
                map { $_->[0] } values %cases);
my $m = Test::Atls::Middlebox->start($t, 'meddler', to => $t->port(0),
                                     first => 20, what => \@what);

my %processed = processed();
my @rows = rows();

is(join("\n", sort map { $_->[0] } @rows), join("\n", sort keys %cases),
   'each row is tested');

# a path that is clean, and one whose cache has got something to return

is($t->command()->run($t->trust(), '--via', $m->endpoint($_), $site)->{code},
   0, "a request: $_") for 'nothing', 'cache';

row(@$_) for @rows;

# other forms of the same

like(said('cache'), qr/the response is to another POST/,
     'a cache, TLS 1.2');
is(said('repeat'), '', 'a POST sent twice, TLS 1.2');
like(said('change-response=3'),
     qr/or data were changed on the path: decryption failed/,
     'a response that was changed, TLS 1.2');
smaller_posts();

$other->error_log_ok('the other machine');
$t->done_testing();


# Rows of the table, with texts in backquotes as lists: client, server.

sub rows {
    my ($table) = slurp('troubleshooting.md')
                  =~ /^\| `atls` says \|.*\n\|[- |]+\n((?:\|.*\n)+)/m;

    return map {
        my @cells = map { s/^ | $//gr } (split /\|/)[1 .. 4];
        my ($says) = $cells[0] =~ /`([^`]+)`/;
        [ $says, [ $cells[1] =~ /`([^`]+)`/g ], @cells[2, 3] ];
    } split /\n/, $table;
}


# Whether the request was processed, by exit code: 'yes', 'no', 'perhaps'.

sub processed {
    my ($section) = slurp('clients.md') =~ /^### Exit codes\n(.*?)^## /ms;
    my %codes;

    for (split /\n/, $section) {
        my ($codes, $what) = /^\| ([\d, ]+)[^|]*\| (yes|no|.*perhaps)\b/
            or next;
        $codes{$_} = $what =~ s/.*(perhaps)/$1/r for split /, */, $codes;
    }

    return %codes;
}


sub slurp {
    my ($name) = @_;

    return $t->read_file("$ROOT/docs/$name");
}


sub row {
    my ($says, $logs, $meaning, $advice) = @_;
    my ($what, $code, $path, @args) = @{$cases{$says}};

    subtest($says => sub {
        my @urls = grep { /^https:/ } @args;
        my @from = map { length $_->read_log('error.log') } $t, $other;

        $t->backend()->forget();

        my $r = $t->command()->run($t->trust(), '--via',
                                   $m->endpoint($what, $path || undef), @args,
                                   @urls ? () : $site);

        is($r->{code}, $code, 'exit code') or diag($r->{err});
        like($r->{err}, qr/\Aatls: \($code\) [^\n]*\Q$says\E/, 'what it says');
        like($r->{err}, qr/\A[^\n]*\n(?:atls: [A-Z][^\n]*\.\n)?\z/,
             'and what to do');

        is_processed($code);
        is_logged($logs, map { substr $_->read_log('error.log'), shift @from }
                         $t, $other);

        ok($meaning && $advice, 'the row is complete');
        done_testing();
    });
}


sub is_processed {
    my ($code) = @_;

    my $requests = () = $t->backend()->requests();
    my $may = $processed{$code} || 'perhaps';

    is($may eq 'no' ? $requests : 0, 0, "processed: $may, $requests times");
}


# Without any of these, the module has logged nothing but the end of a session.

sub is_logged {
    my ($logs, @logged) = @_;

    my $all = join '', @logged;

    for my $text (map { quotemeta s/\.\.\./\0/r } @$logs) {
        $text =~ s/\\\0/.*/;
        like($all, qr/\[(?:info|error)\] .*$text/, "the log: $text");
    }

    is(join("\n", grep { / \[info\] \S+ \*\d+ atls (?!session \w+ ended)/ }
                  split /\n/, $all),
       '', 'nothing in the log') unless @$logs;
}


sub said {
    my ($what) = @_;

    return $t->command()->run($t->trust(), @TLS12, '--via',
                              $m->endpoint($what), $site)->{err};
}


# What to do about a limit.

sub smaller_posts {
    my $body = $t->write_file('body', 'x' x 100_000);
    my $limit = Test::Atls::Middlebox->start(
        $t, 'meddler', name => 'limit', to => $t->port(0), first => 60,
        what => [ 'limit=20000' ]);
    my @args = ($t->trust(), '--via', $limit->endpoint('limit=20000'), '-T',
                $body, 'https://localhost/body');

    is($t->command()->run(@args)->{code}, 56, 'an upload in one POST');

    my $r = $t->command()->run('--post-size', '16k', @args);
    is("$r->{code} " . length $r->{out}, '0 100000', '--post-size')
        or diag($r->{err});

    is($t->command()->run('--post-size', $_, @args)->{err},
       "atls: (2) --post-size must be from 1k to 1G; see atls --help\n",
       "--post-size $_") for 1023, '2G';
}
