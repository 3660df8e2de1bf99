#!/usr/bin/perl

# Messages of nginx -t.  For values of several levels, see t/config-values.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Authority;

my $t = Test::Atls->new();
my $ca = Test::Atls::Authority->new($t, 'ca');

$ca->issue('issued');
$ca->crl('ca.crl');
$ca->ocsp_response('issued', 'issued.ocsp');

$t->make_cert('localhost');
$t->make_cert('rsa', type => 'rsa');
$t->make_cert('locked', password => 'open sesame');
$t->write_file('passwords', "wrong\nopen sesame\n");
$t->write_file('wrong', "wrong\n");
$t->write_file('garbage', "no certificate\n");
$t->write_file('plain/index.html', "plain\n");
$t->write_file('psk', "device:00112233445566778899aabbccddeeff\n");
$t->write_file("ticket$_", 'k' x $_) for 47, 48, 79, 80, 81;

my $cert = "atls_certificate localhost.crt;\n"
           . "atls_certificate_key localhost.key;\n";


# Directives in http, server, and a location with atls on.

sub conf {
    my ($http, $server, $location) = @_;

    return http_conf(<<"EOC");
$http

server {
    listen 127.0.0.1:%%PORT_0%%;
    $server

    location /endpoint {
        atls on;
        $location
    }
}
EOC
}


sub good {
    my ($name, @blocks) = @_;

    is($t->config_error(conf(map { $_ || '' } @blocks[0 .. 2])), '', $name);
}


sub bad {
    my ($name, $re, @blocks) = @_;

    like($t->config_error(conf(map { $_ || '' } @blocks[0 .. 2])), $re, $name);
}


# The output of the last nginx -t, which may have succeeded.

sub said {
    return $t->read_file('config-test.out') . $t->read_file('config-test.log');
}


# The line of the first directive in http (0), server or location.

sub line_of {
    my ($level) = @_;

    my $text = $t->expand(conf(map { "MARK$_" } 0 .. 2));

    return 1 + ($text =~ s/MARK$level.*//sr =~ tr/\n//);
}


# certificates

good('certificate in http', $cert);
good('certificate in server', '', $cert);
good('certificate in location', '', '', $cert);
good('two certificates', '', '', $cert . "atls_certificate rsa.crt;\n"
                                       . "atls_certificate_key rsa.key;\n");

bad('no certificate', qr!no "atls_certificate" .* location "/endpoint"!);
bad('no key', qr!no "atls_certificate_key" .*localhost\.crt.*"/endpoint"!,
    '', '', 'atls_certificate localhost.crt;');
bad('no key for the second one', qr!no "atls_certificate_key" .*rsa\.crt!,
    '', '', $cert . 'atls_certificate rsa.crt;');
bad('a key of another certificate', qr/key values mismatch|X509_check_private/,
    'atls_certificate localhost.crt; atls_certificate_key locked.key;',
    'atls_password_file passwords;');
bad('no such file', qr/missing\.crt.*No such file/,
    'atls_certificate missing.crt; atls_certificate_key localhost.key;');
bad('no such key', qr/missing\.key.*No such file/,
    'atls_certificate localhost.crt; atls_certificate_key missing.key;');
bad('no certificate in the file', qr/garbage/,
    'atls_certificate garbage; atls_certificate_key localhost.key;');

my $locked = 'atls_certificate locked.crt; atls_certificate_key locked.key;';

good('an encrypted key', $locked . 'atls_password_file passwords;');
bad('an encrypted key, wrong password', qr/locked\.key/,
    $locked . 'atls_password_file wrong;');
bad('no password file', qr/missing.*No such file/,
    $locked . 'atls_password_file missing;');
bad('two password files', qr/"atls_password_file" directive is duplicate/,
    $locked . 'atls_password_file passwords; atls_password_file wrong;');

# atls, atls_payload

bad('atls elsewhere', qr/"atls" directive is not allowed/, $cert . 'atls on;');
bad('atls in a server', qr/"atls" directive is not allowed/, $cert, 'atls on;');
bad('atls twice', qr/"atls" directive is duplicate/, $cert, '', 'atls on;');
bad('atls perhaps', qr/invalid value "perhaps" in "atls"/, $cert,
    'location /a { atls perhaps; }');
bad('atls_payload other', qr/invalid value "other"/, $cert, '',
    'atls_payload other;');
bad('atls_payload raw without a handler', qr!atls_payload raw.*"/endpoint"!,
    $cert, '', 'atls_payload raw;');
bad('the same, inherited', qr!atls_payload raw.*"/endpoint"!,
    $cert . 'atls_payload raw;');
bad('atls_payload raw with atls_exported_keys',
    qr!"atls_exported_keys" requires "atls_payload http" in location "/endpoint"!,
    $cert . 'atls_exported_keys on;', '',
    'atls_payload raw; proxy_pass http://127.0.0.1:1;');
good('atls_payload raw with a handler', $cert, '',
     'atls_payload raw; proxy_pass http://127.0.0.1:1;');

# atls_zone

good('atls_zone', $cert . 'atls_zone sessions:1m;');
good('a small one', $cert . 'atls_zone sessions:32k;');
good('after the server', '', 'atls_certificate localhost.crt;',
     'atls_certificate_key localhost.key;');
bad('atls_zone without size', qr/invalid zone "sessions"/,
    $cert . 'atls_zone sessions;');
bad('atls_zone without name', qr/invalid zone ":1m"/,
    $cert . 'atls_zone :1m;');
bad('atls_zone with a bad size', qr/invalid zone size "sessions:many"/,
    $cert . 'atls_zone sessions:many;');
bad('atls_zone with no size', qr/invalid zone size|too small/,
    $cert . 'atls_zone sessions:;');
bad('too small an atls_zone', qr/zone "sessions:16k" is too small/,
    $cert . 'atls_zone sessions:16k;');
bad('atls_zone twice', qr/"atls_zone" directive is duplicate/,
    $cert . 'atls_zone one:1m; atls_zone two:1m;');
bad('atls_zone in a server', qr/"atls_zone" directive is not allowed/,
    $cert, 'atls_zone one:1m;');
bad("a zone of another module's", qr/zone "shared"/,
    $cert . 'atls_zone shared:1m; '
          . 'limit_req_zone $remote_addr zone=shared:1m rate=1r/s;');

# the zone has a name and a size, too

{
    my $own = 'atls_zone atls_workers';
    my ($size) = $t->config_error(conf("$cert$own:1m;", '', ''))
                 =~ /the size (\d+) of shared memory zone "atls_workers"/;

    bad("the module's own zone",
        qr/zone "atls_workers" cannot be used for sessions in \S+:\d+$/m,
        "$cert$own:" . ($size // '1m') . ';');
}

# a zone after the servers that use it

is($t->config_error(http_conf(<<"EOC")), '', 'atls_zone after the servers');
$cert

server {
    listen 127.0.0.1:%%PORT_0%%;
    location /endpoint { atls on; }
}

atls_zone sessions:1m;
EOC

# numbers

for my $size (qw( 511 17k 16385 0 )) {
    bad("atls_buffer_size $size", qr/value must be between 512 and 16384/,
        $cert . "atls_buffer_size $size;");
}

bad('atls_buffer_size many', qr/"atls_buffer_size" directive invalid value/,
    $cert . 'atls_buffer_size many;');
good("atls_buffer_size $_", $cert . "atls_buffer_size $_;")
    for qw( 512 4k 16k );

for my $size (qw( 1048577 1025k 2m )) {
    bad("atls_retry_buffer $size",
        qr/"atls_retry_buffer" directive must be at most 1m in /,
        $cert . "atls_retry_buffer $size;");
}

good("atls_retry_buffer $_", $cert . "atls_retry_buffer $_;") for qw( 0 1 1m );

for my $name (qw( atls_session_timeout atls_session_lifetime
                  atls_handshake_timeout ))
{
    bad("$name 0", qr/"$name" directive .*must be/, $cert . "$name 0;");
    bad("$name soon", qr/"$name" directive invalid value/,
        $cert . "$name soon;");
    good("$name 1d", $cert . "$name 1d;");
}

good('atls_handshake_timeout 500ms', $cert . 'atls_handshake_timeout 500ms;');
bad('atls_max_handshakes many', qr/invalid number/,
    $cert . 'atls_max_handshakes many;');
bad('atls_max_handshakes 0', qr/must be equal to or greater than 1/,
    $cert . 'atls_max_handshakes 0;');
good('atls_max_handshakes 1', $cert . 'atls_max_handshakes 1;');

# TLS

good('atls_protocols', $cert . 'atls_protocols TLSv1.2;');
bad('atls_protocols TLSv1.1', qr/invalid value "TLSv1\.1"/,
    $cert . 'atls_protocols TLSv1.1 TLSv1.2;');
bad('atls_protocols SSLv3', qr/invalid value "SSLv3"/,
    $cert . 'atls_protocols SSLv3;');

good('AEAD suites', $cert . 'atls_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;');
bad('a suite with CBC',
    qr/"ECDHE-ECDSA-AES128-SHA" .*"atls_ciphers" \S+ in \S+:\d+/s,
    $cert . 'atls_ciphers ECDHE+AESGCM:ECDHE-ECDSA-AES128-SHA;');
bad('nginx\'s default for ssl_ciphers', qr/is not supported/,
    $cert . 'atls_ciphers HIGH:!aNULL:!MD5;');
bad('no such suite', qr/no cipher match/, $cert . 'atls_ciphers NONESUCH;');

good('atls_ecdh_curve', $cert . 'atls_ecdh_curve X25519:prime256v1;');
bad('no such curve', qr/nonesuch/, $cert . 'atls_ecdh_curve nonesuch;');
bad('no such dhparam', qr/missing.*No such file/,
    $cert . 'atls_dhparam missing;');
good('atls_conf_command',
     $cert . 'atls_conf_command Options PrioritizeChaCha;');
bad('no such command', qr/Nonesuch/,
    $cert . 'atls_conf_command Nonesuch on;');

# client verification

for my $value (qw( off optional_no_ca )) {
    good("atls_verify_client $value", $cert . "atls_verify_client $value;");
}

for my $value (qw( on optional )) {
    my $verify = $cert . "atls_verify_client $value;";

    bad("atls_verify_client $value without a CA",
        qr/no "atls_client_certificate" or "atls_trusted_certificate"/,
        $verify);
    good("atls_verify_client $value",
         $verify . 'atls_client_certificate ca.crt;');
    good("atls_verify_client $value with a trusted CA only",
         $verify . 'atls_trusted_certificate ca.crt;');
    good("atls_verify_client $value in a location",
         $cert, '', "atls_verify_client $value;"
                    . 'atls_client_certificate ca.crt;');
}

bad("atls_verify_client $_", qr/invalid value "$_" in \S+:\d+/,
    $cert . "atls_verify_client $_;") for qw( yes require );
bad("atls_verify_depth $_", qr/"atls_verify_depth" directive invalid number/,
    $cert . "atls_verify_depth $_;") for qw( -1 deep 1.5 );

my $verified = $cert . 'atls_verify_client on;'
               . "atls_client_certificate ca.crt;\n";

good('atls_verify_depth', $verified . 'atls_verify_depth 0;');
good('atls_crl', $verified . 'atls_crl ca.crl;');
good('atls_trusted_certificate',
     $verified . 'atls_trusted_certificate rsa.crt;');

# tickets, early data

good("atls_session_tickets $_", $cert . "atls_session_tickets $_;")
    for qw( on off );
good("atls_session_ticket_key ticket$_",
     $cert . "atls_session_ticket_key ticket$_;") for 48, 80;
good('two of them', $cert . 'atls_session_ticket_key ticket48;'
                          . 'atls_session_ticket_key ticket80;');
bad("a ticket key of $_ bytes", qr/"\S+ticket$_" must be 48 or 80 bytes/,
    $cert . "atls_session_ticket_key ticket$_;") for 47, 79, 81;
good('atls_early_data', $cert . 'atls_early_data on;');
good('atls_early_data without tickets',
     $cert . 'atls_early_data on; atls_session_tickets off;');
like(said(), qr/\[warn\].*"atls_early_data" ignored.*"atls_session_tickets"/,
     'is warned of');

# pre-shared keys instead of a certificate, see also t/psk.t

good('atls_psk_file', 'atls_psk_file psk;');
good('beside a certificate', $cert . 'atls_psk_file psk;');

# stapling

my $issued = 'atls_certificate issued.crt; atls_certificate_key issued.key;'
             . "atls_trusted_certificate ca.crt;\n";

good('atls_stapling', $issued . 'atls_stapling on;'
                      . 'atls_stapling_responder http://127.0.0.1:1/;');
good('atls_stapling_file', $issued . 'atls_stapling on;'
                           . 'atls_stapling_file issued.ocsp;');
good('atls_stapling_verify', $issued . 'atls_stapling on;'
                             . 'atls_stapling_verify on;'
                             . 'atls_stapling_file issued.ocsp;');

# warnings, as with ssl_stapling

good('atls_stapling without a responder', $issued . 'atls_stapling on;');
like(said(), qr/\[warn\].*ssl_stapling.*no OCSP responder/, 'is warned of');
good('atls_stapling without an issuer', $cert . 'atls_stapling on;');
like(said(), qr/\[warn\].*ssl_stapling.*issuer certificate not found/,
     'is warned of');
good('atls_stapling_responder of another scheme', $issued
     . 'atls_stapling on; atls_stapling_responder https://127.0.0.1/;');
like(said(), qr/\[warn\].*invalid URL prefix/, 'is warned of');

# files are ignored without atls_stapling

good('atls_stapling_file without atls_stapling',
     $issued . 'atls_stapling_file missing;');

for my $name (qw( atls_stapling atls_stapling_verify atls_session_tickets
                  atls_early_data atls_prefer_server_ciphers atls_required ))
{
    bad("$name perhaps", qr/invalid value "perhaps" in "$name" .* in \S+:\d+/,
        $cert . "$name perhaps;");
}


# An error that is found after parsing has the name of the directive and its
# line, also if it is not the first directive of this name, or if its value was
# valid at another place.

my $MISSING = qr/missing\S* failed|missing.*No such file/;

for my $case (
    [ atls_certificate          => 'missing',  $MISSING ],
    [ atls_certificate          => 'garbage',  qr/garbage/ ],
    [ atls_certificate          => '.',        qr/\[emerg\]/ ],
    [ atls_certificate          => 'rsa.crt',  qr/does not match certificate/ ],
    [ atls_certificate          => 'issued.crt', qr/key values mismatch/ ],
    [ atls_client_certificate   => 'missing',  $MISSING ],
    [ atls_client_certificate   => 'garbage',  qr/garbage/ ],
    [ atls_trusted_certificate  => 'missing',  $MISSING ],
    [ atls_trusted_certificate  => 'garbage',  qr/garbage/ ],
    [ atls_crl                  => 'missing',  $MISSING ],
    [ atls_crl                  => 'garbage',  qr/garbage/ ],
    [ atls_session_ticket_key   => 'missing',  $MISSING ],
    [ atls_session_ticket_key   => 'garbage',  qr/must be 48 or 80 bytes/ ],
    [ atls_stapling_file        => 'missing',  $MISSING ],
    [ atls_stapling_file        => 'garbage',  qr/garbage/ ],
    [ atls_dhparam              => 'missing',  $MISSING ],
    [ atls_dhparam              => 'garbage',  qr/garbage/ ],
    [ atls_ciphers              => 'NONESUCH', qr/NONESUCH.*no cipher match/ ],
    [ atls_ciphers              => 'ECDHE-ECDSA-AES128-SHA',
                                   qr/"ECDHE-ECDSA-AES128-SHA" is not supp/ ],
    [ atls_ciphers              => 'AES256-SHA256:ECDHE+AESGCM',
                                   qr/"AES256-SHA256" is not supported/ ],
    [ atls_ecdh_curve           => 'nonesuch', qr/nonesuch/ ],
    [ atls_ecdh_curve           => 'X25519:nonesuch', qr/nonesuch/ ],
    [ atls_conf_command         => 'Nonesuch on', qr/Nonesuch/ ],
    [ atls_conf_command         => 'Ciphersuites NONESUCH', qr/Ciphersuites/ ],
) {
    my ($name, $value, $re) = @$case;

    my @others = map { "$_;" } $name eq 'atls_certificate'
        ? 'atls_certificate_key localhost.key'
        : ('atls_certificate localhost.crt',
           'atls_certificate_key localhost.key',
           'atls_verify_client optional_no_ca', 'atls_stapling on',
           'atls_conf_command Options PrioritizeChaCha');

    # the same at each level

    for my $level (0 .. 2) {
        my @blocks = ('', '', '');
        my $line = line_of($level) + 2;

        # all on one line, so that the numbers of other lines do not change

        $blocks[0] = "@others";
        $blocks[$level] .= "\n\n$name $value;";

        my $error = $t->config_error(conf(@blocks));
        my $at = ('in http', 'in server', 'in location')[$level];

        like($error, $re, "$name $value $at");
        like($error, qr/ invalid "$name" directive in \S+\.conf:$line$/m,
             "$name $value $at: is named");
    }
}

# an invalid key is reported with its certificate

bad("a key that is $_",
    qr/$_.*invalid "atls_certificate" directive in \S+:\d+$/ms,
    "atls_certificate localhost.crt; atls_certificate_key $_;")
    for qw( missing garbage );

# the first location has the right key for the same certificate

bad('a key of another location',
    qr/invalid "atls_certificate" directive in \S+:@{[ line_of(0) ]}$/m,
    'atls_certificate localhost.crt;',
    'location /a { atls on; atls_certificate_key localhost.key; }',
    'atls_certificate_key locked.key; atls_password_file passwords;');

bad('the last one of many commands',
    qr/invalid "atls_conf_command" directive in \S+:@{[ 2 + line_of(2) ]}$/m,
    '', '', "atls_conf_command Options PrioritizeChaCha;\n"
               . "atls_conf_command MinProtocol TLSv1.2;\n"
               . "atls_conf_command Nonesuch on;$cert");

bad('a suite with CBC by command',
    qr/"ECDHE-ECDSA-AES128-SHA" is not supported/,
    $cert . 'atls_conf_command CipherString ECDHE-ECDSA-AES128-SHA;');


# contexts of directives, duplicates, and the number of arguments

my %VALUES = (
    atls_certificate          => 'localhost.crt',
    atls_certificate_key      => 'localhost.key',
    atls_password_file        => 'passwords',
    atls_protocols            => 'TLSv1.3',
    atls_ciphers              => 'ECDHE+AESGCM',
    atls_prefer_server_ciphers => 'on',
    atls_ecdh_curve           => 'prime256v1',
    atls_dhparam              => 'dhparam',
    atls_conf_command         => 'Options PrioritizeChaCha',
    atls_verify_client        => 'optional_no_ca',
    atls_verify_depth         => '2',
    atls_client_certificate   => 'ca.crt',
    atls_crl                  => 'ca.crl',
    atls_trusted_certificate  => 'ca.crt',
    atls_session_tickets      => 'on',
    atls_session_ticket_key   => 'ticket80',
    atls_early_data           => 'on',
    atls_psk_file             => 'psk',
    atls_cookie               => 'name',
    atls_cors                 => '*',
    atls_stapling             => 'off',
    atls_stapling_file        => 'issued.ocsp',
    atls_stapling_responder   => 'http://127.0.0.1:1/',
    atls_stapling_verify      => 'on',
    atls_session_timeout      => '1m',
    atls_session_lifetime     => '1h',
    atls_session_tracking     => 'cookie',
    atls_handshake_timeout    => '1s',
    atls_payload              => 'http',
    atls_buffer_size          => '4k',
    atls_poll_timeout         => '30s',
    atls_retry_buffer         => '8k',
    atls_exported_keys        => 'on',
    atls_association          => '30d reuse',
    atls_required             => 'off',
);

is(join(' ', sort keys %VALUES), join(' ', sort { $a cmp $b } directives()),
   'all directives of http, server and location');

# a handler of a location, without arguments

my $STATUS = 'location /status { atls_status';

good('atls_status', $cert, "$STATUS; }");
bad('atls_status twice', qr/"atls_status" directive is duplicate in \S+:\d+$/m,
    '', "$STATUS; atls_status; }");
bad('atls_status with a value',
    qr/invalid number of arguments in "atls_status"/,
    '', "$STATUS on; }");
bad('atls_status in http', qr/"atls_status" directive is not allowed here/,
    'atls_status;');

# a name of endpoints, in locations

my $NAME = 'atls_endpoint name;';

good('atls_endpoint', $cert, '', $NAME);
bad('atls_endpoint twice', qr/"atls_endpoint" directive is duplicate/,
    $cert, '', "$NAME $NAME");
bad('atls_endpoint without a name',
    qr/invalid number of arguments in "atls_endpoint"/, $cert, '',
    'atls_endpoint;');
bad("atls_endpoint in $_->[0]", qr/"atls_endpoint" directive is not allowed/,
    $cert . $_->[1], $_->[2]) for [ http => $NAME, '' ], [ server => '', $NAME ];


# atls_association

bad("atls_association $_", qr/"atls_association" directive invalid value/,
    $cert . "atls_association $_;") for qw( 0 -1d often );
bad('atls_association with another parameter', qr/invalid parameter "again"/,
    $cert . 'atls_association 30d again;');
good('atls_association off', $cert . 'atls_association off;');
bad('atls_association_accept in a location',
    qr/"atls_association_accept" directive is not allowed here/, $cert, '',
    'atls_association_accept on;');
good('atls_association_accept', $cert . 'atls_association_accept on;');
bad('atls_association_accept twice',
    qr/"atls_association_accept" directive is duplicate/,
    $cert . 'atls_association_accept on; atls_association_accept on;');


# directives that may occur more than once

my %MANY = map { $_ => 1 } qw( atls_certificate atls_certificate_key
                               atls_conf_command atls_session_ticket_key
                               atls_protocols );

# directives that are refused without another one

my %NEEDS = (atls_cors => 'atls_session_tracking both;');

$t->make_dhparam('dhparam');

for my $name (sort keys %VALUES) {
    my $line = "$name $VALUES{$name};";
    my ($one, @more) = split ' ', $VALUES{$name};
    my @rest = (grep({ !/^$name / } split /\n/, $cert), $NEEDS{$name} // ());

    # allowed at all levels, also at the same time

    good("$name in http and server and location", "@rest $line", $line, $line);

    bad("$name in if", qr/"$name" directive is not allowed here in \S+:\d+$/m,
        $cert, '', "if (\$uri) { $line }");
    bad("$name in upstream", qr/"$name" directive is not allowed here/,
        "$cert upstream u { server 127.0.0.1:1; $line }");
    bad("$name in limit_except", qr/"$name" directive is not allowed here/,
        $cert, '', "limit_except GET { $line }");
    bad("$name without a value", qr/invalid number of arguments in "$name"/,
        $cert . "$name;");

    bad("$name with too many values",
        qr/invalid number of arguments in "$name"/, $cert . "$name @{[
            join ' ', ($one) x (2 + @more) ]};")
        unless $name =~ /^atls_(?:protocols|cookie|cors)$/;

    bad("$name twice", qr/"$name" directive is duplicate in \S+:\d+$/m,
        '', '', "@rest $line $line") unless $MANY{$name};
}


# no certificate is required if atls is off

is($t->config_error(http_conf(<<'EOC')), '', 'atls off, no certificate');
server {
    listen 127.0.0.1:%%PORT_0%%;

    location / {
        atls off;
        atls_payload raw;
        atls_certificate missing.crt;
    }
}
EOC

$t->done_testing();


sub directives {
    open my $fh, '<', "$FindBin::Bin/../ngx_http_atls_module.c"
        or die "ngx_http_atls_module.c: $!\n";
    local $/;

    my %contexts = <$fh> =~ /ngx_string\("(atls_\w+)"\),\s*([A-Z_|0-9]+),/g;

    return grep { $contexts{$_} =~ /MAIN_CONF\|\w+SRV_CONF\|\w+LOC_CONF/ }
           keys %contexts;
}
