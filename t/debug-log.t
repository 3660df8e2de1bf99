# The debug log: a session can be followed from POST to POST and from worker to
# worker.  It contains no keys, cookies or inner data, except for core's own
# lines about headers.  The lines in docs/debugging.md are logged.

use strict;
use warnings;

use MIME::Base64 qw( decode_base64url encode_base64 encode_base64url );
use Net::SSLeay;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Elsewhere qw( post_to );
use Test::Atls::Http qw( read_response );


# inner data: bodies of requests and responses, and a header of a request

my $UP = 'up-c5b1f0e2a9';
my $DOWN = 'down-7d3e9ab410';
my $HEADER = 'header-26f8d1c3';

my $t = Test::Atls->new(workers => 2, log_level => 'debug',
                        client => { keepalive => 0 });

plan skip_all => 'nginx has no debug log' unless $t->has_option('debug');

my $backend = Test::Atls::Backend->start($t, $t->port(1));

# the smallest zone, where sessions are evicted soon

$t->write_http(<<'EOC');
%%CERTIFICATE%%

atls_zone   atls:32k;
log_format  sessions  '$uri $atls_session_id';

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /.well-known/atls {
        atls on;
    }

    location / {
        root        %%TESTDIR%%/html;
        access_log  %%TESTDIR%%/sessions.log sessions;
    }

    location /body {
        proxy_pass  http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$t->write_file("html/$_", $DOWN x 100) for qw( first parked reloaded last );

$t->run();

my (@secrets, @cookies, %label);

my $first = client();
my $other = client();

followed($first);
closed($other);
evicted($first);

my $log = $t->read_log('error.log');

$label{$_->[0]} = substr $_->[1], 0, 8
    for map { [ split ' ' ] } split /\n/, $t->read_file('sessions.log');

my @lines = map { { line => $_, /atls ([0-9a-f]{8}) / ? (label => $1) : () } }
            grep { / \[debug\] \S+ (?:\*\d+ )?atls / } split /\n/, $log;

cmp_ok(scalar @lines, '>', 1000, 'lines of the module');
is(join("\n", grep { !/ atls (?:[0-9a-f]{8} )?[A-Za-z][ -~]*$/ }
              map { $_->{line} } @lines), '', 'their shape');

in_order('a session', $label{'/first'}, <<'EOL');
create, timeout:600, lifetime:86400
stage: 1, inner:0+
handshake record in: 22, \d+, boundary:1
handshake record out: 22, \d+
put, pending:0, inner:0+
take: 9, worker:\d
handshake record in: 23, \d+, boundary:1
SSL_do_handshake: 1
negotiated, protocol:0304, suite:13\d\d, .* reused:0
freeze: 0, in:0, out:\d
establish, lifetime:\d+
put, pending:0, inner:0+
take: 9, worker:\d
record in: 23, \d+, number:0
record opened: 0, 40
inner connection: \*\d+, early:0
recv: 40 of \d+
request 1, server:"localhost"
response 200, keepalive:1
record out: 23, \d+, number:\d, plaintext:\d+
inner connection closed, session end:0
put, pending:0, inner:0+
record in: 23, \d+, number:1
request 2, server:"localhost"
record in: 23, \d+, number:2
park, parked:1
put, pending:0, inner:(?!0{16})\w+
take: 8, worker:\d
relay to worker \d in slot \d
take: 9, worker:\d
record in: 23, \d+, number:3
resume by \*\d+, blocked:0
request 3, server:"localhost"
record in: 23, \d+, number:4
park, parked:1
take: 8, worker:[34]
relay to worker [12] in slot \d
take: 9, worker:[12]
resume by \*\d+, blocked:0
request 4, server:"localhost"
request 5, server:"localhost"
evict, kind:10
remove, kind:10, requests:5, reason:11
take: 1, worker:\d
POST error: \d+, started:0, fate:0
Set-Cookie, age:0
EOL

in_order('close_notify', $label{'/closed'}, <<'EOL');
request 1, server:"localhost"
record in: 23, \d+, number:1
record opened: 1, 0
close session after POST, end:1
POST finish, fate:1, end:1
alert out: 0
record out: 23, \d+, number:\d
drop, requests:1
remove, kind:9, requests:1, reason:1
EOL

like($log, qr/ draining:1$/m, 'a worker has been told to quit');
like($log, qr/ \*\d+ atls mail for worker \d to slot \d, fd:\d+$/m,
     'mail is sent');
like($log, qr/ atls relayed connection: \*\d+ fd:\d+$/m, 'and received');

secrets();
page();
connections();

$t->done_testing();


# Stores the secrets of the client.

sub client {
    my $c = $t->client(setup => sub {
        Net::SSLeay::CTX_set_keylog_callback($_[0], sub {
            push @secrets, [ $1, $2 ] if $_[1] =~ /^(\S+) \S+ (\S+)/;
        });
    });

    $c->handshake() or die $c->error();
    push @cookies, $c->cookie();

    return $c;
}


# Requests in one POST, in two POSTs, in another worker, after a reload.

sub followed {
    my ($c) = @_;
    my ($one, $two) = $t->workers();

    is(body($c->get('/first')), $DOWN x 100, 'a response');

    is(body($c->http(Test::Atls::Client::format_request(
           'PUT', '/body', $UP x 100, 'X-Marker' => $HEADER))), $UP x 100,
       'a request with a body');

    parked($c, '/parked', $one);
    $c->write_plain("st: localhost\r\n\r\n");
    $c->tls_in(read_response(post_to($t, $two, $c))->body());
    like($c->read_plain(), qr/\Q$DOWN\E/, 'one that another worker has');

    parked($c, '/reloaded', $one);
    $t->reload();
    like($c->request("st: localhost\r\n\r\n"), qr/\Q$DOWN\E/,
         'one that a worker has that has been told to quit');

    is(body($c->get('/last')), $DOWN x 100, 'the last one');
}


sub parked {
    my ($c, $uri, $pid) = @_;

    $c->write_plain("GET $uri HTTP/1.1\r\nHo");
    is(read_response(post_to($t, $pid, $c))->status(), 200, "a part of $uri");
}


sub closed {
    my ($c) = @_;

    $c->get('/closed');
    $c->close_notify();
    $c->read_plain();

    is($c->last_response()->status(), 200, 'close_notify');
}


sub evicted {
    my ($c) = @_;

    for (1 .. 60) {
        $t->established();
    }

    $c->get('/');
    is($c->last_response()->status(), 410, 'the session was evicted');
}


sub body {
    my ($r) = @_;

    return $r ? $r->body() : undef;
}


# Lines of a session in this order, with other lines in between.

sub in_order {
    my ($name, $label, $expected) = @_;

    my @found = map { $_->{line} =~ /atls \w+ (.*)/ }
                grep { $_->{label} && $_->{label} eq $label } @lines;

    for my $re (split /\n/, $expected) {
        shift @found while @found && $found[0] !~ /^$re$/;

        if (!@found) {
            fail("$name: $re");
            return;
        }
    }

    pass("$name: its lines");
}


# Secrets that no line, or no line of the module, contains in any encoding.

sub secrets {
    my @all = split /\n/, $log;
    my @ours = map { $_->{line} } @lines;
    my $core = qr/http\ header:\ "(?:Cookie:\ atls=|Atls-Session:\ )
                  |^Set-Cookie:\ atls=/x;
    my @others = grep { !/$core/ } @all;

    cmp_ok(scalar @secrets, '>=', 10, 'there are secrets');
    none($_->[0], [ written(pack 'H*', $_->[1]) ], @all) for @secrets;

    for my $cookie (@cookies) {
        my $id = substr decode_base64url($cookie), 0, 16;

        none('the id of a session', [ written($id) ], @others);
        none('a cookie', [ $cookie ], @others);
        ok(scalar(grep { /http header: "Cookie: atls=\Q$cookie\E/ } @all),
           'nginx logs the cookie');
    }

    none('the body of a request', [ $UP ], @all);
    none('the body of a response', [ $DOWN ], @all);
    none('the header of a request', [ $HEADER ], @ours);
    ok(scalar(grep { /http header: "X-Marker: \Q$HEADER\E"/ } @all),
       'nginx logs the header of a request');
}


sub none {
    my ($name, $texts, @where) = @_;

    my $re = join '|', map { quotemeta } @$texts;

    is(join("\n", grep { /$re/ } @where), '', "not logged: $name");
}


# Bytes in hexadecimal and base64.

sub written {
    my ($bytes) = @_;

    my $hex = unpack 'H*', $bytes;

    return ($hex, uc $hex, encode_base64url($bytes),
            encode_base64($bytes, '') =~ s/=+$//r);
}


# The lines of docs/debugging.md are found in this order among those of the
# session, except for numbers.  Its lists of values are those of the sources.

sub page {
    my $root = Test::Atls::root();
    my $page = slurp("$root/docs/debugging.md");
    my @expected = map { split /\n/ } $page =~ /^```\n(\[debug\].*?)^```$/msg;

    cmp_ok(scalar @expected, '>', 50, 'lines of the page');

    my @found = map { same($_) } $log =~ /(\[(?:debug|info)\] .*)/g;
    my $label = $label{'/first'};
    my $missing = '';

    s/\b[0-9a-f]{8}\b(?= )/$label/ for grep { / atls / } @expected;

    for my $line (map { same($_) } @expected) {
        my $n = 0;

        $n++ while $n < @found && $found[$n] ne $line;

        if ($n == @found) {
            $missing .= "$line\n";
        } else {
            splice @found, 0, $n + 1;
        }
    }

    is($missing, '', 'the lines of the page');

    my $sources = join '', map { slurp($_) } glob "$root/src/*/ngx_*.[ch]";

    for my $row ($page =~ /^(\| `\w+` \| .* \| \d+ \w+,.*) \|$/mg) {
        my ($name) = $row =~ /`(\w+)`/;
        my ($text) = $row =~ /.*\| (.*)/;
        my @numbers = enumerated($sources, $name);

        is($text, join(', ', grep { $text =~ /^\Q$_\E|, \Q$_\E/ } @numbers),
           "the page: $name");
        is(scalar(split /, /, $text), scalar @numbers, "$name: all of them")
            if $name !~ /^(?:kind|ending)$/;
    }
}


sub same {
    my ($line) = @_;

    $line =~ s/, client: .*//;
    $line =~ s/\d+#\d+/N/;
    $line =~ s/\b[0-9A-F]{16}\b/P/;
    $line =~ s/(group|suite):[0-9a-f]{4}/$1:H/g;
    $line =~ s/(atls [0-9a-f]{8} )|\d+/$1 || 'N'/eg;

    return $line;
}


# The values of an enum: "0 begins", "1 handshake", ...

sub enumerated {
    my ($sources, $name) = @_;

    my ($enum) = $sources =~ /enum \{((?:(?!\}).)*)\} ngx_http_atls_${name}_e;/s
        or return;

    $enum =~ s!/\*.*?\*/!!gs;

    my $n = 0;

    return map { $n++ . ' ' . s/^ngx_http_atls_(?:${name}_)?//r }
           $enum =~ /^ +(\w+)/mg;
}


sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or die "$path: $!\n";
    local $/;

    return scalar <$fh>;
}


# debug_connection: lines of one address are logged, also for inner connections
# and in the worker that a POST is relayed to; those of another one are not.

sub connections {
    my $d = Test::Atls->new(workers => 2, client => { keepalive => 0 });

    $d->write_http(<<'EOC', events => 'debug_connection 127.0.0.1;');
%%CERTIFICATE%%

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /.well-known/atls {
        atls on;
    }

    location / {
        error_log  %%TESTDIR%%/error.log info;
        return     200 "answered\n";
    }
}
EOC

    $d->run();

    my $silent = $d->established(local => '127.0.0.2');

    $silent->get('/silent');
    unlike($d->read_log('error.log'), qr/\[debug\]/,
           'debug_connection: not of another address');

    my ($one, $two) = $d->workers();
    my $c = $d->established();

    parked_in($d, $c, $one);
    $c->write_plain("st: localhost\r\n\r\n");
    $c->tls_in(read_response(post_to($d, $two, $c))->body());
    like($c->read_plain(), qr/answered/, 'debug_connection: a request');

    my $text = $d->read_log('error.log');

    like($text, qr/$two#\d+: \*\d+ atls \w{8} relay to worker/,
         'the worker that relays');
    like($text, qr/$one#\d+: \*\d+ atls \w{8} resume by/,
         'the inner connection');
    like($text, qr/$one#\d+: \*\d+ atls \w{8} take: 9/,
         'the worker that serves');
    like($text, qr/$one#\d+: \*\d+ http process request line/,
         "nginx's lines about the inner request");
    like($text, qr/#\d+: atls \w{8} handshake ends/, 'the handshake');
    unlike($text, qr/atls 00000000 (?:take|relay|resume|record)/,
           'there is a label');

    $d->finish();
}


sub parked_in {
    my ($d, $c, $pid) = @_;

    $c->write_plain("GET /parked HTTP/1.1\r\nHo");
    read_response(post_to($d, $pid, $c));
}
