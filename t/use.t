#!/usr/bin/perl

# What variables are for: maps, conditions, logs, limits, headers to a backend,
# decisions about who may do what.  All of them, in each of these; outside of
# ATLS they are empty, and nobody can make it look otherwise.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw( sha1_hex );
use MIME::Base64 qw( decode_base64 encode_base64 );
use Test::More;
use Time::HiRes qw( time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Http qw( http_raw );
use Test::Atls::Response qw( parse_responses );
use Test::Atls::Stack qw( @STACKS );

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

# without the "atls_"

my @CLIENT = map { "client_$_" } qw( verify s_dn i_dn serial fingerprint v_start
                                     v_end escaped_cert cert_rfc9440 );
my @NAMES = (qw( protocol cipher curve server_name alpn_protocol session_id
                 session_reused session_requests session_time early_data
                 exporter psk_identity ), @CLIENT);

my @VARIABLES = ('atls', map { "atls_$_" } @NAMES, 'client_cert');

# without what has line feeds

my @HEADERS = grep { $_ ne 'atls_client_cert' } @VARIABLES;

my $KEY = '00112233445566778899aabbccddeeff';

my $t = Test::Atls->new();
my $logged = 0;         # of the access log

# in TLS 1.2 the curve of a key is one that both sides have to allow

$t->make_cert('localhost', type => 'rsa');
$t->make_cert('ca', is_ca => 1);
$t->make_cert($_, type => 'rsa', ca => 'ca', subject => "/CN=$_/O=Clients")
    for 'ann', 'bob';
$t->write_file('psk', "device:$KEY\n");
$t->write_file("limited/$_", "$_\n") for qw( session client );

my %FINGERPRINTS = map { $_ => sha1_hex(der("$_.crt")) } 'ann', 'bob';

my $conf = http_conf(<<'EOC');
%%CERTIFICATE%%
atls_verify_client optional;
atls_client_certificate %%TESTDIR%%/ca.crt;
atls_psk_file %%TESTDIR%%/psk;
atls_early_data on;

log_format all %%LOG%%;

%%MAPS%%

map $atls_client_fingerprint $role {
    %%ANN%%  admin;
    %%BOB%%  user;
    default  nobody;
}

map "$atls_client_verify:$atls_psk_identity:$atls_protocol" $may {
    "SUCCESS::TLSv1.3"     yes;
    "PSK:device:TLSv1.3"   yes;
    default                no;
}

limit_req_zone $atls_session_id zone=session:1m rate=1r/m;
limit_req_zone $atls_client_fingerprint zone=client:1m rate=1r/m;
limit_req_zone $atls_session_id zone=pinned:1m rate=1r/m;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location /.well-known/atls {
        atls on;
    }

    location = /return {
        access_log %%TESTDIR%%/access.log all;
        return 200 "%%RETURN%%";
    }

    location = /map {
        return 200 "%%MAPPED%%";
    }

    location = /if {
        %%IFS%%
        return 200 "%%IFED%%";
    }

    location = /echo {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        %%HEADERS%%
    }

    # logs of one kind only

    location = /inside {
        access_log %%TESTDIR%%/inside.log all if=$atls;
        return 204;
    }

    # limits

    location = /limited/session {
        limit_req zone=session burst=1 nodelay;
        limit_req_status 429;
    }

    location = /limited/client {
        limit_req zone=client burst=1 nodelay;
    }

    location = /pinned {
        atls on;
        atls_cookie pinned;
        limit_req zone=pinned burst=1 nodelay;
        limit_req_status 429;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    # who may do what

    location = /required {
        atls_required on;
        return 200 "inside";
    }

    location = /verified {
        if ($atls_client_verify != SUCCESS) {
            return 403;
        }

        return 200 $atls_client_s_dn;
    }

    location = /admin {
        if ($role != admin) {
            return 403;
        }

        return 200 $role;
    }

    location = /may {
        if ($may = no) {
            return 403;
        }

        return 200 $may;
    }

    location = /first {
        if ($atls_early_data) {
            return 425;
        }

        if ($atls_session_reused = r) {
            return 200 again;
        }

        return 200 first;
    }

    %%AUTH%%

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/echo;
        %%HEADERS%%
    }
}
EOC

my $auth = <<'EOC';
location = /asked {
            auth_request /answer;
            proxy_pass http://127.0.0.1:%%PORT_1%%/;
        }

        location = /answer {
            internal;

            if ($atls_psk_identity = device) {
                return 204;
            }

            return 403;
        }
EOC

$auth = '' unless $t->has_option('http_auth_request_module');

my %parts = (
    LOG     => '"' . join('|', map { "[\$atls_$_]" } @NAMES) . '"',
    MAPS    => join("\n    ", map {
                   "map \$$_ \$map_$_ { \"\" none; default \"<\$$_>\"; }"
               } @VARIABLES),
    RETURN  => join('|', map { "\$$_" } @VARIABLES),
    MAPPED  => join('|', map { "\$map_$_" } @VARIABLES),
    IFS     => join("\n            ", map {
                   "set \$if_$_ no; if (\$$_) { set \$if_$_ yes; }"
               } @VARIABLES),
    IFED    => join('|', map { "\$if_$_" } @VARIABLES),
    HEADERS => join("\n            ", map {
                   "proxy_set_header " . header($_) . " \$$_;"
               } @HEADERS),
    ANN     => $FINGERPRINTS{ann},
    BOB     => $FINGERPRINTS{bob},
    AUTH    => $auth,
);

$conf =~ s/%%$_%%/$parts{$_}/g for keys %parts;

$t->write_conf($conf)->run();

Test::Atls::Backend->start($t, $t->port(1));

for my $stack (@STACKS) {

    for my $protocol (@PROTOCOLS) {
        my @args = (protocol => $protocol, groups => 'P-384',
                    alpn => [ 'http/1.1' ]);

        nobody($stack, @args);
        certificate($stack, @args);
        psk($stack, $protocol);
        curves($stack, $protocol);
        limits($stack, $protocol);
        decisions($stack, $protocol);
    }

    early($stack);
    session_time($stack);
}

raw_payload();
outside();

$t->done_testing();


# Each use has the same values, and a header of the client's is none of them.

sub uses {
    my ($name, $c, $expected) = @_;

    my %seen = seen($c, '/return', '\|');
    my $n = 1;

    for my $variable (@VARIABLES) {
        my $is = $expected->{$variable =~ s/^atls_//r};

        if (ref $is) {
            like($seen{$variable}, $is, "$name: \$$variable");
        } else {
            is($seen{$variable}, defined $is ? $is : '', "$name: \$$variable");
        }
    }

    # in each request these are others

    my %changes = (atls_session_requests => 1, atls_session_time => 1);
    my @same = grep { !$changes{$_} } @VARIABLES;

    my ($line) = log_lines(1);
    my @log = $line =~ /\[(.*?)\](?:\||$)/g;
    my %logged = map { $NAMES[$_] => $log[$_] } 0 .. $#log;

    # it is logged a moment later

    cmp_ok($logged{session_time}, '>=', $seen{atls_session_time},
           "$name: log_format: the time");
    $logged{session_time} = $seen{atls_session_time};

    is_deeply(\%logged, { map { $_ => $seen{"atls_$_"} eq '' ? '-'
                                      : $seen{"atls_$_"} } @NAMES },
              "$name: log_format");

    my %mapped = seen($c, '/map', '\|');
    is_deeply({ map { $_ => $mapped{$_} } @same },
              { map { $_ => $seen{$_} eq '' ? 'none' : "<$seen{$_}>" } @same },
              "$name: map");

    my %ifed = seen($c, '/if', '\|');
    is_deeply(\%ifed, { map { $_ => $seen{$_} eq '' ? 'no' : 'yes' }
                        @VARIABLES }, "$name: if");

    my %headers = headers($c->get('/echo', map { header($_) => 'forged' }
                                           @HEADERS));
    @same = grep { !$changes{$_} } @HEADERS;

    is_deeply({ map { $_ => $headers{$_} } @same },
              { map { $_ => $seen{$_} } @same }, "$name: proxy_set_header");
    is($headers{atls_session_requests}, $seen{atls_session_requests} + 3,
       "$name: the requests are counted");
    cmp_ok($headers{atls_session_time}, '>=', $seen{atls_session_time},
           "$name: the time goes on");

    return \%seen;
}


# What any session has.

sub common {
    my ($c) = @_;

    return (
        atls             => 'on',
        protocol         => $c->protocol(),
        cipher           => $c->cipher(),
        curve            => 'secp384r1',
        server_name      => 'localhost',
        alpn_protocol    => 'http/1.1',
        session_id       => qr/^[0-9a-f]{32}$/,
        session_reused   => '.',
        session_requests => 1,
        session_time     => qr/^\d+\.\d{3}$/,
        exporter         => encode_base64($c->exporter(), ''),
        client_verify    => 'NONE',
    );
}


sub nobody {
    my ($stack, @args) = @_;

    my $c = client($stack, @args);
    my $seen = uses("$stack, $args[1]", $c, { common($c) });

    isnt($seen->{atls_session_id}, $c->cookie(),
         "$stack, $args[1]: the id is not the cookie");

    # one that resumes, with no name and no ALPN

    my $again = client($stack, @args[0 .. 3], sni => '',
                       session => $c->session());

    # in TLS 1.2 the name is the ticket's, which then can't be resumed

    my %seen = seen($again, '/return', '\|');
    is($seen{atls_session_reused}, $again->resumed() ? 'r' : '.',
       "$stack, $args[1], resumed");
    is("$seen{atls_server_name}$seen{atls_alpn_protocol}", '',
       "$stack, $args[1], resumed: no name, no ALPN");
    isnt($seen{atls_session_id}, $seen->{atls_session_id},
         "$stack, $args[1], resumed: another session");

    $again = client($stack, @args, session => $c->session());
    %seen = seen($again, '/return', '\|');
    is($seen{atls_session_reused}, 'r', "$stack, $args[1], resumed: r");
    ok($again->resumed(), "$stack, $args[1], resumed: indeed");
    log_lines(2);
}


sub certificate {
    my ($stack, @args) = @_;

    my $c = client($stack, @args, certificate_of('ann'));
    my %x509 = x509('ann.crt');
    my $der = der('ann.crt');
    my $pem = $t->read_file('ann.crt');

    chomp $pem;

    uses("$stack, $args[1], certificate", $c, {
        common($c),
        client_verify       => 'SUCCESS',
        client_s_dn         => 'O=Clients,CN=ann',
        client_i_dn         => 'CN=ca',
        client_serial       => $x509{serial},
        client_fingerprint  => $FINGERPRINTS{ann},
        client_v_start      => $x509{notBefore},
        client_v_end        => $x509{notAfter},
        client_cert         => $pem =~ s/\n/\n\t/gr,
        client_escaped_cert =>
            "$pem\n" =~ s/([^\w.~-])/sprintf '%%%02X', ord $1/egr,
        client_cert_rfc9440 => ':' . encode_base64($der, '') . ':',
    });
}


sub psk {
    my ($stack, $protocol) = @_;

    my $c = client($stack, protocol => $protocol, psk_of($stack, $protocol));
    my %expected = (common($c), client_verify => 'PSK',
                    psk_identity => 'device', alpn_protocol => '');

    # not all suites of TLS 1.2 have a key exchange

    $expected{curve} = qr/^(?:\w+)?$/;

    uses("$stack, $protocol, PSK", $c, \%expected);
}


sub curves {
    my ($stack, $protocol) = @_;

    my %names = ('P-256' => 'prime256v1', 'P-384' => 'secp384r1',
                 'P-521' => 'secp521r1', X25519 => 'X25519');

    for my $group (sort keys %names) {
        my $c = client($stack, protocol => $protocol, groups => $group);
        my %seen = seen($c, '/return', '\|');

        is($seen{atls_curve}, $names{$group}, "$stack, $protocol, $group");
    }

    log_lines(scalar keys %names);
}


# A request and one more, then none, for each session, and for each client.

sub limits {
    my ($stack, $protocol) = @_;

    my $name = "$stack, $protocol";
    my ($one, $two) = map { client($stack, protocol => $protocol) } 1 .. 2;

    is(statuses($one, '/limited/session', 5), '200 200 429 429 429',
       "$name: a session is limited");
    is(statuses($two, '/limited/session', 3), '200 200 429',
       "$name: another one is not, until it is");

    # outside there is no session to be counted

    my @plain = map { plain('/limited/session')->status() } 1 .. 4;
    is("@plain", '200 200 200 200', "$name: nothing else is limited");

    # not the POSTs, but what is in them

    my $pinned = client($stack, protocol => $protocol, uri => '/pinned');
    is(statuses($pinned, '/', 4), '200 200 429 429',
       "$name: requests of an endpoint");
    is($pinned->error(), '', "$name: all POSTs are served");

    # by a client's certificate, over all its sessions: once for this file

    return if $stack ne $STACKS[0] || $protocol ne $PROTOCOLS[0];

    my ($ann, $again, $bob) = map { client($stack, protocol => $protocol,
                                           certificate_of($_)) }
                              'ann', 'ann', 'bob';

    is(statuses($ann, '/limited/client', 1)
       . ' ' . statuses($again, '/limited/client', 2)
       . ' ' . statuses($ann, '/limited/client', 1), '200 200 503 503',
       'a client is limited in all its sessions');
    is(statuses($bob, '/limited/client', 1), '200', 'another one is not');
    is(statuses($one, '/limited/client', 4), '200 200 200 200',
       'nor is one without a certificate');
}


sub decisions {
    my ($stack, $protocol) = @_;

    my $name = "$stack, $protocol";
    my $new = $protocol eq 'TLSv1.3';
    my %clients = (
        nobody => client($stack, protocol => $protocol),
        ann    => client($stack, protocol => $protocol, certificate_of('ann')),
        bob    => client($stack, protocol => $protocol, certificate_of('bob')),
        device => client($stack, protocol => $protocol,
                         psk_of($stack, $protocol)),
    );

    my %expected = (
        '/required' => { map { $_ => 'inside' } keys %clients },
        '/verified' => { nobody => 403, ann => 'O=Clients,CN=ann',
                         bob => 'O=Clients,CN=bob', device => 403 },
        '/admin'    => { nobody => 403, ann => 'admin', bob => 403,
                         device => 403 },
        '/may'      => { nobody => 403, map { $_ => $new ? 'yes' : 403 }
                                        qw( ann bob device ) },
    );

    $expected{'/asked'} = { nobody => 403, ann => 403, bob => 403,
                            device => 'length 0' } if $auth ne '';

    for my $uri (sort keys %expected) {
        for my $who (sort keys %clients) {
            my $r = $clients{$who}->get($uri, 'X-Atls-Client-Verify', 'SUCCESS',
                                        'X-Atls-Psk-Identity' => 'device');
            my $answer = !$r ? $clients{$who}->error()
                         : $r->status() == 200 ? $r->body() : $r->status();

            like($answer, qr/^\Q$expected{$uri}{$who}\E$/m,
                 "$name: $uri for $who");
        }

        is(plain($uri)->status(), 403, "$name: $uri for none of them");
    }
}


sub early {
    my ($stack) = @_;

    my $c = client($stack, protocol => 'TLSv1.3');
    is($c->get('/first')->body(), 'first', "$stack: no early data");

    for my $uri ('/return', '/echo', '/first') {
        my $next = $t->stack($stack, keepalive => 0, protocol => 'TLSv1.3',
                             session => $c->session(),
                             early => $c->format_get($uri));

        ok($next->handshake() && $next->early_status() eq 'accepted',
           "$stack: early data for $uri") or diag($next->error());

        my $r = $next->early_response();

        if ($uri eq '/first') {
            is($r && $r->status(), 425, "$stack: too early");
            is($next->get('/first')->body(), 'again',
               "$stack: not too early");

        } else {
            my $split = $uri eq '/return' ? \&values_of : \&headers;
            my %early = $split->($r);
            my %later = $split->($next->get($uri));

            is("$early{atls_early_data} $early{atls_exporter}", '1 ',
               "$stack: $uri: early");
            isnt($later{atls_exporter}, '', "$stack: $uri: later");
            is($later{atls_early_data}, '', "$stack: $uri: no longer");
            is("$early{atls_session_reused} $later{atls_session_reused}",
               'r r', "$stack: $uri: resumed");
            is($later{atls_session_id}, $early{atls_session_id},
               "$stack: $uri: one session");
            log_lines(2) if $uri eq '/return';
        }

        $c = $next;
    }
}


# From the ClientHello on.

sub session_time {
    my ($stack) = @_;

    my $began = time;
    my $c = client($stack, protocol => 'TLSv1.3');
    my $time = sub {
        my %headers = headers($_[0]->get('/echo'));
        return $headers{atls_session_time};
    };

    my @times = map { $time->($c) } 1 .. 8;

    is(scalar(grep { /^\d+\.\d{3}$/ } @times), 8, "$stack: seconds.000");

    # a worker looks at the clock once for all that it has to do

    cmp_ok($times[-1], '<', time - $began + 0.1,
           "$stack: no more than it took");
    is("@times", join(' ', sort { $a <=> $b } @times),
       "$stack: never goes back");

    my $last = $times[-1];
    ok($t->wait_for(sub { $time->($c) > $last + 0.25 }), "$stack: it grows");

    my $next = client($stack, protocol => 'TLSv1.3', session => $c->session());
    ok($next->resumed(), "$stack: a session that is resumed");
    cmp_ok($time->($next), '<', $time->($c), "$stack: begins anew");
}


# Messages have them like requests.

sub raw_payload {
    for my $stack (@STACKS) {
        my $c = client($stack, protocol => 'TLSv1.3', uri => '/raw',
                       certificate_of('ann'));
        my %headers = header_lines($c->request('a message'));

        is(join('|', map { $headers{"atls$_"} }
                     '', qw( _protocol _client_verify _client_s_dn
                             _alpn_protocol _session_requests )),
           'on|TLSv1.3|SUCCESS|O=Clients,CN=ann||1', "$stack: raw");
        is($headers{atls_exporter}, encode_base64($c->exporter(), ''),
           "$stack: raw: exporter");
    }
}


sub outside {
    my @headers = map { header($_) . ': forged' } @VARIABLES;
    my $names = join '', map { "$_\r\n" }
                @headers, (map { s/^X-//r } @headers), 'Cookie: atls=on';

    for my $forged ('', $names) {
        my $name = $forged eq '' ? 'outside' : 'outside, forged';
        my %seen = values_of(plain('/return', $forged));

        is(join('', values %seen), '', "$name: no value");
        is((log_lines(1))[0], join('|', ('[-]') x @NAMES), "$name: log_format");

        my $mapped = plain('/map', $forged)->body();
        is($mapped, join('|', ('none') x @VARIABLES), "$name: map");

        my $ifed = plain('/if', $forged)->body();
        is($ifed, join('|', ('no') x @VARIABLES), "$name: if");

        my %headers = headers(plain('/echo', $forged));
        is(join('', @headers{@HEADERS}), '', "$name: proxy_set_header");

        is(plain('/first', $forged)->body(), 'first', "$name: if and else");
        is(plain('/inside', $forged)->status(), 204, "$name: is served");
    }

    my $c = client($STACKS[0], protocol => 'TLSv1.3');
    is($c->get('/inside')->status(), 204, 'inside: is served');

    ok($t->wait_for(sub { $t->read_file('inside.log') ne '' }),
       'a log of what is inside');
    like($t->read_log('inside.log'), qr/^\[TLSv1\.3\]\N*\n\z/,
         'has nothing else');
}


sub statuses {
    my ($c, $uri, $n) = @_;

    return join ' ', map { my $r = $c->get($uri);
                           $r ? $r->status() : $c->error() } 1 .. $n;
}


sub seen {
    my ($c, $uri) = @_;

    return values_of($c->get($uri));
}


sub values_of {
    my ($r) = @_;

    my %values;
    @values{@VARIABLES} = split /\|/, $r ? $r->body() : '', -1;

    return %values;
}


# The variables as the backend got them.

sub headers { header_lines($_[0] ? $_[0]->body() : '') }


sub header_lines {
    my ($text) = @_;

    my %headers = map { /^X-([\w-]+): (.*)$/ ? (lc $1 =~ tr/-/_/r => $2) : () }
                  split /\n/, $text;

    return map { $_ => defined $headers{$_} ? $headers{$_} : '' } @VARIABLES;
}


sub header {
    my ($variable) = @_;

    return join '-', 'X', map { ucfirst } split /_/, $variable;
}


sub plain {
    my ($uri, $headers) = @_;

    $headers = '' unless defined $headers;

    my ($r) = parse_responses(http_raw($t->port(0),
        "GET $uri HTTP/1.0\r\nHost: localhost\r\n$headers\r\n"));

    return $r;
}


# The lines since last time.

sub log_lines {
    my ($n) = @_;

    my @lines;

    $t->wait_for(sub {
        @lines = split /\n/, substr $t->read_file('access.log'), $logged;
        return @lines >= $n;
    });

    $logged += 1 + length for @lines;

    return @lines;
}


sub der {
    my ($name) = @_;

    my ($base64) = $t->read_file($name) =~ /BEGIN[^\n]*-\n(.*?)-----END/s;

    return decode_base64($base64);
}


sub x509 {
    my ($name) = @_;

    my $path = $t->path($name);

    return map { /^(\w+)=(.*)$/ }
           `openssl x509 -in $path -noout -serial -dates`;
}


sub certificate_of {
    return (cert => $t->path("$_[0].crt"), key => $t->path("$_[0].key"));
}


# In TLS 1.2 clients would rather have a certificate.

sub psk_of {
    my ($stack, $protocol) = @_;

    return (psk => [ 'device', $KEY ], groups => 'P-384',
            $protocol eq 'TLSv1.3' ? ()
            : $stack eq 'openssl'  ? (ciphers => 'PSK')
                                   : (priority => 'NORMAL:-KX-ALL'));
}


sub client {
    my ($stack, @args) = @_;

    my $c = $t->stack($stack, keepalive => 0, @args);

    $c->handshake() or die "no handshake with $stack: " . $c->error() . "\n";

    return $c;
}
