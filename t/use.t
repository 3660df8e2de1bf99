#!/usr/bin/perl

# The values of all variables, in all uses: return, map, if, log_format and
# proxy_set_header.  Without ATLS they are empty, and headers of requests do not
# change them.
#
# t/use-access.t tests limits and access by variables.

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
use Test::Atls::Identity;
use Test::Atls::Stack qw( @STACKS );

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );

# headers have no line feeds

my @HEADERS = grep { $_ ne 'atls_client_cert' } @VARIABLES;

my $conf = http_conf(<<'EOC');
include clients.conf;
atls_early_data on;

log_format all %%LOG%%;

%%MAPS%%

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    location /.well-known/atls {
        atls on;
    }

    location = /return {
        access_log access.log all;
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

    location = /inside {
        access_log inside.log all if=$atls;
        return 204;
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/echo;
        %%HEADERS%%
    }
}
EOC

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
    }

    early($stack);
    session_time($stack);
}

raw_payload();
outside();

$t->done_testing();


# The values are the same in all uses; headers of the client do not change them.

sub uses {
    my ($name, $c, $expected) = @_;

    my %seen = seen($c, '/return');
    my $n = 1;

    for my $variable (@VARIABLES) {
        my $is = $expected->{$variable =~ s/^atls_//r};

        if (ref $is) {
            like($seen{$variable}, $is, "$name: \$$variable");
        } else {
            is($seen{$variable}, defined $is ? $is : '', "$name: \$$variable");
        }
    }

    # these are different in each request

    my %changes = (atls_session_requests => 1, atls_session_time => 1);
    my @same = grep { !$changes{$_} } @VARIABLES;

    my ($line) = log_lines(1);
    my @log = $line =~ /\[(.*?)\](?:\||$)/g;
    my %logged = map { $NAMES[$_] => $log[$_] } 0 .. $#log;

    # the request is logged later

    cmp_ok($logged{session_time}, '>=', $seen{atls_session_time},
           "$name: log_format: the time");
    $logged{session_time} = $seen{atls_session_time};

    is_deeply(\%logged, { map { $_ => $seen{"atls_$_"} eq '' ? '-'
                                      : $seen{"atls_$_"} } @NAMES },
              "$name: log_format");

    my %mapped = seen($c, '/map');
    is_deeply({ map { $_ => $mapped{$_} } @same },
              { map { $_ => $seen{$_} eq '' ? 'none' : "<$seen{$_}>" } @same },
              "$name: map");

    my %ifed = seen($c, '/if');
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


# Values of any session.

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

    # resumption without SNI and ALPN; a ticket of TLS 1.2 is for its name only

    my $again = client($stack, @args[0 .. 3], sni => '',
                       session => $c->session());
    my %seen = seen($again, '/return');
    is($seen{atls_session_reused}, $again->resumed() ? 'r' : '.',
       "$stack, $args[1], resumed");
    is("$seen{atls_server_name}$seen{atls_alpn_protocol}", '',
       "$stack, $args[1], resumed: no name, no ALPN");
    isnt($seen{atls_session_id}, $seen->{atls_session_id},
         "$stack, $args[1], resumed: another session");

    $again = client($stack, @args, session => $c->session());
    %seen = seen($again, '/return');
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
        client_fingerprint  => sha1_hex($der),
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

    # in TLS 1.2, some suites have no key exchange

    $expected{curve} = qr/^(?:\w+)?$/;

    uses("$stack, $protocol, PSK", $c, \%expected);
}


sub curves {
    my ($stack, $protocol) = @_;

    my %names = ('P-256' => 'prime256v1', 'P-384' => 'secp384r1',
                 'P-521' => 'secp521r1', X25519 => 'X25519');

    for my $group (sort keys %names) {
        my $c = client($stack, protocol => $protocol, groups => $group);
        my %seen = seen($c, '/return');

        is($seen{atls_curve}, $names{$group}, "$stack, $protocol, $group");
    }

    log_lines(scalar keys %names);
}


# With early data, there is no exporter before the handshake is complete.

sub early {
    my ($stack) = @_;

    my $c = client($stack, protocol => 'TLSv1.3');
    $c->get('/map');

    for my $uri ('/return', '/echo') {
        my $next = $t->stack($stack, keepalive => 0, protocol => 'TLSv1.3',
                             session => $c->session(),
                             early => $c->format_get($uri));

        ok($next->handshake() && $next->early_status() eq 'accepted',
           "$stack: early data for $uri") or diag($next->error());

        my $split = $uri eq '/return' ? \&values_of : \&headers;
        my %early = $split->($next->early_response());
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

        $c = $next;
    }
}


# Seconds since the ClientHello.

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

    # nginx updates its time once per event loop iteration

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


# Variables of raw messages.

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
    for my $forged ('', forged()) {
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

        is(plain('/inside', $forged)->status(), 204, "$name: is served");
    }

    my $c = client($STACKS[0], protocol => 'TLSv1.3');
    is($c->get('/inside')->status(), 204, 'inside: is served');

    ok($t->wait_for(sub { $t->read_file('inside.log') ne '' }),
       'a log of what is inside');
    like($t->read_log('inside.log'), qr/^\[TLSv1\.3\]\N*\n\z/,
         'has nothing else');
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


# The variables in the headers that the backend received.

sub headers { header_lines($_[0] ? $_[0]->body() : '') }


sub header_lines {
    my ($text) = @_;

    my %headers = map { /^X-([\w-]+): (.*)$/ ? (lc $1 =~ tr/-/_/r => $2) : () }
                  split /\n/, $text;

    return map { $_ => defined $headers{$_} ? $headers{$_} : '' } @VARIABLES;
}


sub log_lines { $t->new_lines('access.log', $_[0]) }


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
