#!/usr/bin/perl

# Exported keying material: the values of $atls_exporter and of variables of
# atls_export are those exported by the client.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw( hmac_sha256_hex );
use IO::Socket::INET;
use MIME::Base64 qw( encode_base64 );
use Test::More;

use Test::Atls;
use Test::Atls::Http qw( http_raw );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Stack qw( @STACKS );

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

# TLS 1.2 without extended_master_secret: nothing is exported

my @NO_EMS = (protocol => 'TLSv1.2', ems => 0);

my $DEFAULT = 'application-layer-tls';
my $LONG = 'EXPORTER-' . 'x' x 240;

# name, label, length, encoding; undef: not in the directive

my @EXPORTS = (
    [ 'plain',        undef,                        32,   undef ],
    [ 'plain_hex',    undef,                        32,   'hex' ],
    [ 'plain_base64', undef,                        32,   'base64' ],
    [ '$dollar',      undef,                        16,   undef ],
    [ 'labelled',     'EXPORTER-my-label',          48,   undef ],
    [ 'labelled_hex', 'EXPORTER-my-label',          48,   'hex' ],
    [ 'labelled_b64', 'EXPORTER-my-label',          48,   'base64' ],
    [ 'explicit',     $DEFAULT,                     32,   undef ],
    [ 'number',       '16',                         8,    'hex' ],
    [ 'encoding',     'hex',                        8,    undef ],
    [ 'spaces',       'EXPORTER: a "label", too',   20,   undef ],
    [ 'utf8',         "EXPORTER-\xc3\xa9",          20,   undef ],
    [ 'long',         $LONG,                        20,   undef ],
    [ 'binding',      'EXPORTER-Channel-Binding',   32,   undef ],
    [ 'one',          undef,                        1,    'hex' ],
    [ 'two',          undef,                        2,    undef ],
    [ 'three',        undef,                        3,    undef ],
    [ 'odd',          undef,                        1023, 'hex' ],
    [ 'most',         undef,                        1024, 'hex' ],
    [ 'most_b64',     'EXPORTER-my-label',          1024, 'base64' ],
);

my $t = Test::Atls->new();

my $conf = http_conf(<<'EOC');
%%CERTIFICATE%%
atls_early_data on;

%%EXPORTS%%

log_format export "$request_method $request_uri [$atls_exporter] [$plain]";

map $plain $has_key {
    ""      none;
    default some;
}

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    access_log %%TESTDIR%%/access.log export;

    location = /.well-known/atls {
        atls on;
    }

    location = /pinned {
        atls on;
        return 200 "$atls_exporter|$plain";
    }

    location = /exporter {
        return 200 "$atls_exporter|$plain|$has_key|$pid";
    }

    location = /all {
        return 200 "%%ALL%%";
    }

    location = /early {
        return 200 "[$atls_exporter][$plain][$atls_early_data]";
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_set_header X-Exporter $atls_exporter;
        proxy_set_header X-Key $plain_hex;
    }
}
EOC

my $directives = join "\n    ", map { directive(@$_) } @EXPORTS;
my $all = join '|', map { '$' . $_->[0] =~ s/^\$//r } @EXPORTS;

$conf =~ s/%%EXPORTS%%/$directives/;
$conf =~ s/%%ALL%%/$all/;

$t->write_conf($conf)->run();
$t->run_daemon(sub { backend($t->port(1)) }, port => $t->port(1));

for my $stack (@STACKS) {

    for my $protocol (@PROTOCOLS) {
        my $name = "$stack, $protocol";

        exporter($name, $stack, protocol => $protocol);
        exports($name, $stack, protocol => $protocol);
        resumed($name, $stack, protocol => $protocol);
        possession($name, $stack, protocol => $protocol);
    }

    early_data($stack);
    without_ems($stack);
}

outside();
bad_directives();

$t->done_testing();


# The channel binding of a connection is the same in each worker.

sub exporter {
    my ($name, $stack, @args) = @_;

    my $c = client($stack, @args);
    my (%values, %workers, %keys);

    for (1 .. 20) {
        my ($value, $key, $has, $pid) = split /\|/, seen($c, '/exporter'), -1;

        $values{$value}++;
        $keys{"$key|$has"}++;
        $workers{$pid}++;
    }

    my $binding = base64($c->channel_binding());

    like($binding, qr!^[A-Za-z0-9+/]{43}=$!, "$name: a channel binding");
    is(join(' ', keys %values), $binding, "$name: \$atls_exporter");
    is(join(' ', keys %keys), base64($c->export($DEFAULT, 32)) . '|some',
       "$name: atls_export");
    cmp_ok(scalar keys %workers, '>', 1, "$name: from more than one worker");

    my $other = client($stack, @args);
    my ($value, $key) = split /\|/, seen($other, '/exporter');

    is($value, base64($other->channel_binding()),
       "$name: another session's");
    isnt($value, $binding, "$name: is another one");
    isnt($key, (split /\|/, (keys %keys)[0])[0], "$name: as is its key");

    $c = client($stack, @args, uri => '/pinned');
    is(seen($c, '/'), base64($c->channel_binding()) . '|'
                      . base64($c->export($DEFAULT, 32)), "$name: pinned");
}


sub exports {
    my ($name, $stack, @args) = @_;

    my $c = client($stack, @args);
    my @values = split /\|/, seen($c, '/all'), -1;

    for my $export (@EXPORTS) {
        my ($variable, $label, $length, $encoding) = @$export;

        my $expected = $c->export(defined $label ? $label : $DEFAULT, $length);
        my $value = shift @values;

        # GnuTLS limits the length of labels with TLS 1.3

        next if $expected eq '' && $variable eq 'long' && $stack eq 'gnutls';

        $expected = base64($expected) unless ($encoding || '') eq 'hex';

        is($value, $expected, "$name: $variable, $length bytes");
    }
}


# With TLS 1.2, a resumed session has the same master secret, but other randoms.

sub resumed {
    my ($name, $stack, @args) = @_;

    my $c = client($stack, @args);
    my $first = seen($c, '/exporter');

    $c = client($stack, @args, session => $c->session());
    ok($c->resumed(), "$name: resumed");

    my ($value, $key) = split /\|/, seen($c, '/exporter');

    is($value, base64($c->channel_binding()), "$name, resumed: exporter");
    is($key, base64($c->export($DEFAULT, 32)), "$name, resumed: atls_export");
    isnt($value, (split /\|/, $first)[0], "$name, resumed: other values");
}


# The key of the client is accepted by its backend, and another one is not.

sub possession {
    my ($name, $stack, @args) = @_;

    my ($c, $other) = map { client($stack, @args) } 1 .. 2;

    my $r = $c->get('/prove', Nonce => $name);
    my $key = $c->export($DEFAULT, 32);

    is($r && $r->body(), hmac_sha256_hex($name, pack 'H*', $key),
       "$name: the backend proves to have the key");

    $r = $c->get('/check', Nonce => $name,
                 Proof => hmac_sha256_hex($name, pack 'H*', $key));
    is($r && $r->status(), 200, "$name: the client does");

    $r = $other->get('/check', Nonce => $name,
                     Proof => hmac_sha256_hex($name, pack 'H*', $key));
    is($r && $r->status(), 403, "$name: nobody else");

    # headers of the client are replaced

    $r = $c->get('/headers', 'X-Key' => 'forged', 'X-Exporter' => 'forged');
    is($r && $r->body(), base64($c->channel_binding()) . "|$key",
       "$name: headers of the client are not the variables");
}


# There is no key before the handshake is finished.

sub early_data {
    my ($stack) = @_;

    my $c = client($stack, protocol => 'TLSv1.3');
    seen($c, '/early');

    $c = $t->stack($stack, keepalive => 0, protocol => 'TLSv1.3',
                   session => $c->session(), early => $c->format_get('/early'));
    ok($c->handshake(), "$stack: early data") or diag($c->error());
    is($c->early_status(), 'accepted', "$stack: accepted");

    my $r = $c->early_response();
    is($r && $r->body(), '[][][1]', "$stack: early data: no key");

    is(seen($c, '/early'), '[' . base64($c->channel_binding()) . ']['
                           . base64($c->export($DEFAULT, 32)) . '][]',
       "$stack: after it there is");

    # an empty key is not sent to a backend

    $c = $t->stack($stack, keepalive => 0, protocol => 'TLSv1.3',
                   session => $c->session(),
                   early => $c->format_get('/headers'));
    $c->handshake();
    is($c->early_status(), 'accepted', "$stack: accepted again");
    $r = $c->early_response();
    is($r && $r->body(), 'none|none', "$stack: early data: no header");
    is(seen($c, '/headers'), base64($c->channel_binding()) . '|'
                             . $c->export($DEFAULT, 32),
       "$stack: after it there are");
}


sub without_ems {
    my ($stack) = @_;

    my $c = client($stack, @NO_EMS);

    is(seen($c, '/exporter') =~ s/\d+$//r, '||none|',
       "$stack, no extended master secret: nothing");
    is(seen($c, '/all'), '|' x $#EXPORTS,
       "$stack, no extended master secret: nothing at all");
    is(seen($c, '/headers'), 'none|none',
       "$stack, no extended master secret: no header");
    ok($t->wait_for_log(qr/without extended master secret/),
       "$stack, no extended master secret: is logged");
}


sub outside {
    for my $headers ('', "X-Exporter: x\r\nX-Key: x\r\nAtls-Exporter: x\r\n") {
        is(plain('/exporter', $headers) =~ s/\d+$//r, '||none|',
           'outside: nothing');
        is(plain('/all', $headers), '|' x $#EXPORTS,
           'outside: nothing at all');
        is(plain('/headers', $headers), 'none|none', 'outside: no header');
    }

    # variables are empty for POSTs

    my @posts = grep { /^POST/ } split /\n/, $t->read_log('access.log');

    cmp_ok(scalar @posts, '>', 0, 'outer requests in the log');
    is(scalar(grep { !m!^POST \S+ \[-\] \[-\]$! } @posts), 0,
       'have no values');
}


sub plain {
    my ($uri, $headers) = @_;

    my ($r) = parse_responses(http_raw($t->port(0),
        "GET $uri HTTP/1.0\r\nHost: localhost\r\n$headers\r\n"));

    return $r ? $r->body() : 'no answer';
}


sub bad_directives {
    my $label = 'EXPORTER-label';

    for my $length (qw( 0 1025 -1 1.5 16x many 99999999999999999999 ), '""') {
        refused("key $length", qr/invalid length "/);
        refused("key $label $length", qr/invalid length "/);
        refused("key $label $length hex", qr/invalid length "/);
    }

    refused("key $label", qr/invalid length "$label"/);
    refused("key $label hex", qr/invalid length "$label"/);
    refused('key hex base64', qr/invalid length "hex"/);
    refused("key $label 16 raw", qr/invalid encoding "raw"/);
    refused("key $label 16 HEX", qr/invalid encoding "HEX"/);
    refused('key 16 raw', qr/invalid length "raw"/);

    refused("key \"$_\" 16", qr/invalid label "\Q$_\E"/)
        for '', "${LONG}x", 'client finished', 'server finished',
            'master secret', 'extended master secret', 'key expansion';

    refused("$_ 16", qr/invalid variable name/)
        for '""', '$', 'a-b', '$a.b', '"a b"', '${a}', "\xc3\xa9";

    refused("$_ 16", qr/the duplicate "\w+" variable/)
        for qw( host uri $atls $atls_exporter atls_cipher );

    refused('', qr/invalid number of arguments in "atls_export"/);
    refused('key', qr/invalid number of arguments in "atls_export"/);
    refused('key a 1 hex x', qr/invalid number of arguments in "atls_export"/);

    refused('key 16; atls_export key 16', qr/the duplicate "key" variable/);
    refused('key 16; atls_export $key 32', qr/the duplicate "key" variable/);

    my $error = $t->config_error(conf('', 'atls_export key 16;', ''));
    like($error, qr/"atls_export" directive is not allowed here in \S+:\d+/,
         'not in a server');
    $error = $t->config_error(conf('', '', 'atls_export key 16;'));
    like($error, qr/"atls_export" directive is not allowed here in \S+:\d+/,
         'not in a location');

    $error = $t->config_error(conf('', '', 'return 200 $key;'));
    like($error, qr/unknown "key" variable/, 'a variable that is not there');

    # in any context

    is($t->config_error(conf('', '', 'return 200 $key;',
                             'atls_export key 16;')), '', 'after its use');
}


sub refused {
    my ($arguments, $re) = @_;

    my $error = $t->config_error(conf("atls_export $arguments;", '', ''));

    like($error, qr/\[emerg\].*$re.* in \S+config-test\.conf:\d+$/m,
         "atls_export $arguments");
}


sub conf {
    my ($http, $server, $location, $behind) = @_;

    $behind ||= '';

    return http_conf(<<"EOC");
$http

server {
    listen 127.0.0.1:%%PORT_0%%;
    $server

    location / {
        $location
    }
}

$behind
EOC
}


sub directive {
    my ($name, $label, $length, $encoding) = @_;

    my $text = "atls_export $name";

    $text .= " '$label'" if defined $label;
    $text .= " $length";
    $text .= " $encoding" if defined $encoding;

    return "$text;";
}


# A backend without TLS, which receives the key in a header.

sub backend {
    my ($port) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       LocalPort => $port, Listen => 16,
                                       ReuseAddr => 1)
        or die "backend: $!\n";

    while (my $s = $listen->accept()) {
        my ($head, $line) = ('');

        $head .= $line while defined($line = <$s>) && $line ne "\r\n";

        my ($uri) = $head =~ m!^GET (\S+)!;
        my %headers = map { /^([\w-]+): (.*)\r$/ ? (lc $1 => $2) : () }
                      split /\n/, $head;
        my ($status, $body) = answer($uri || '', \%headers);

        print $s "HTTP/1.0 $status\r\nContent-Length: ", length $body,
                 "\r\n\r\n$body";
        close $s;
    }
}


sub answer {
    my ($uri, $headers) = @_;

    my ($binding, $key) = map { defined $headers->{$_} ? $headers->{$_}
                                                       : 'none' }
                          qw( x-exporter x-key );

    return ('200 OK', "$binding|$key") if $uri eq '/headers';

    my $proof = hmac_sha256_hex($headers->{nonce} || '', pack 'H*', $key);

    return ('200 OK', $proof) if $uri eq '/prove';

    return ($headers->{proof} || '') eq $proof ? ('200 OK', "yes\n")
                                               : ('403 Forbidden', "no\n");
}


sub base64 { encode_base64(pack('H*', $_[0]), '') }


sub seen {
    my ($c, $uri) = @_;

    my $r = $c->get($uri);

    return $r ? $r->body() : $c->error();
}


sub client {
    my ($stack, @args) = @_;

    my $c = $t->stack($stack, keepalive => 0, @args);

    $c->handshake() or die "no handshake with $stack: " . $c->error() . "\n";

    return $c;
}
