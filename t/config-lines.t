#!/usr/bin/perl

# Messages at startup have the directive, its file and its line, also for
# included files and inherited values.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;

my $t = Test::Atls->new();

$t->make_cert('localhost');
$t->write_file('psk', "device:ff112233445566778899aabbccddeeff\n");
$t->write_file('ticket', 'k' x 80);

my $CERT = 'atls_certificate localhost.crt;'
           . 'atls_certificate_key localhost.key;';

# Directives without effect if there is no endpoint.

my @UNUSED = (
    'atls_certificate localhost.crt', 'atls_certificate_key localhost.key',
    'atls_password_file psk', 'atls_protocols TLSv1.3',
    'atls_ciphers ECDHE+AESGCM', 'atls_prefer_server_ciphers on',
    'atls_ecdh_curve auto', 'atls_dhparam none',
    'atls_conf_command Options PrioritizeChaCha', 'atls_verify_client on',
    'atls_verify_client off', 'atls_verify_depth 2',
    'atls_client_certificate localhost.crt',
    'atls_trusted_certificate localhost.crt', 'atls_crl none',
    'atls_psk_file psk', 'atls_stapling on', 'atls_stapling_file none',
    'atls_stapling_responder http://127.0.0.1/', 'atls_stapling_verify on',
    'atls_session_tickets off', 'atls_session_ticket_key ticket',
    'atls_early_data on', 'atls_cookie other path=/', 'atls_session_timeout 1m',
    'atls_session_lifetime 1h', 'atls_handshake_timeout 5s',
    'atls_payload http', 'atls_buffer_size 4k', 'atls_session_tracking both',
    'atls_endpoint name',
);

for my $directive (@UNUSED) {
    my ($name) = $directive =~ /(\S+)/;
    my $message = qr/"$name" has no effect in location "\/a" without/;

    refused("$directive in a location", qr/$message "atls on"/,
            http => $CERT, server => "location /a {\n# HERE\n$directive; }");
    refused("$directive in a nested one",
            qr/"$name" has no effect in location "\/e\/a" without/,
            endpoint => "$CERT location /e/a {\n# HERE\n$directive; }");
}

# locations with an endpoint

said('', 'in a location around an endpoint', http => $CERT,
     server => 'location /a { atls_session_timeout 1m; location /a/b {'
               . ' location /a/b/c { atls on; } } }');
said('', 'in a location with "atls off"', http => $CERT,
     server => 'location /a { atls off; atls_session_timeout 1m; }');
said('', 'atls_required', http => $CERT,
     server => 'location /a { atls_required on; }');
said('', 'in a server without an endpoint', http => $CERT,
     server => 'atls_session_timeout 1m;', none => 1);
refused('beside a location around an endpoint', qr/"atls_crl" has no effect/,
        http => $CERT,
        server => "location /a { location /a/b { atls on; } location /a/c {\n"
                  . "# HERE\natls_crl none; } }");
refused('in a location without a name', qr/"atls_crl" directive is not allowed/,
        http => $CERT, server => "location /a { limit_except GET {\n# HERE\n"
                                 . 'atls_crl none; } }');
refused('in a named location', qr/no effect in location "\@a"/,
        http => $CERT, server => "location \@a {\n# HERE\natls_crl none; }");


# endpoints without a required directive

my $NO_CA = qr/no "atls_client_certificate" or .* "atls_verify_client"/;
my $RAW = qr/"atls_payload raw" requires a content handler.*"\/e"/;

refused('no certificate', qr/no "atls_certificate" is .*"\/e" with "atls on"/,
        none => 1, server => "location /e {\n# HERE\natls on; }");
refused('no key', qr/invalid "atls_certificate" directive/,
        endpoint => "# HERE\natls_certificate localhost.crt;");

for my $name (qw( atls_certificate atls_certificate_key )) {
    refused("$name with a variable",
            qr/"$name" directive does not support variables/,
            endpoint => "# HERE\n$name \$ssl_server_name.pem;");
}

for my $level (qw( http server endpoint )) {
    refused("no authority, $level", $NO_CA, http => $CERT,
            $level => "$CERT\n# HERE\natls_verify_client on;");
    refused("raw without a handler, $level", $RAW, http => $CERT,
            $level => "$CERT\n# HERE\natls_payload raw;");
    said(qr/\[warn\].*"atls_early_data" ignored.* LINE$/m,
         "early data without tickets, $level", http => $CERT,
         $level => "$CERT atls_session_tickets off;\n# HERE\n"
                   . 'atls_early_data on;');
}

said(qr/\[warn\].*"atls_endpoint a" does not share .* "\/x" in .* LINE$/m,
     'another policy of a name',
     http => "$CERT atls_client_certificate localhost.crt;",
     server => 'location /x { atls on; atls_endpoint a; }',
     endpoint => "atls_verify_client on;\n# HERE\natls_endpoint a;");
said('', 'the same policy', http => $CERT,
     server => 'location /x { atls on; atls_endpoint a; }',
     endpoint => 'atls_endpoint a;');
refused('no authority, of a server without an endpoint', $NO_CA,
        server => "$CERT\n# HERE\natls_verify_client on;", none => 1);

refused('"ssl on"', qr/"atls" in location "\/e" cannot be used with "ssl on"/,
        none => 1, http => $CERT, server => 'ssl on; ssl_certificate '
        . "localhost.crt; ssl_certificate_key localhost.key;\nlocation /e {\n"
        . "# HERE\natls on; }")
    unless $t->has_version('1.25.1');


# inner requests without a location

my $ROUTED = 'all inner requests for the server get 404: its only location '
             . '"/" has "atls on" .* LINE$';

for my $case (
    [ 'alone', $ROUTED, '' ],
    [ 'with files of the server', $ROUTED, 'root html; index a.html;' ],
    [ '^~', $ROUTED, '', '', '^~ /' ],
    [ 'beside a named location', $ROUTED,
      'location @a { proxy_pass http://127.0.0.1:1; }' ],
    [ 'with try_files', $ROUTED, 'location @a { return 204; }',
      'try_files $uri @a;' ],
    [ 'with rewrites', $ROUTED, '', 'rewrite ^/a /b last;' ],
    [ 'with a block', $ROUTED, '', 'limit_except GET { deny all; }' ],
    [ 'beside other endpoints', $ROUTED, 'location = /a { atls on; }'
      . 'location /b { atls on; return 204; }' ],
    [ 'with "root"', '"root" has no effect in location "/" .* LINE$', '',
      'root html;' ],
    [ 'with "root", beside others', '"root" has no effect .* LINE$',
      'location /a { }', 'root html;' ],
    [ 'with "alias"', '"alias" has no effect in location "/files/" .* LINE$',
      '', 'alias html;', '/files/' ],
    [ 'with "root", exact', '"root" has no effect .* LINE$', '', 'root html;',
      '= /atls' ],

    # inner requests with a location

    [ 'beside another location', '', 'location /a { }' ],
    [ 'beside one in another endpoint', '',
      'location /a { atls on; location /a/b { } }' ],
    [ 'around one', '', '', 'location ~ \.php$ { }' ],
    [ 'beside an expression', '', 'location ~ \.php$ { }' ],
    [ 'exact', '', '', '', '= /' ],
    [ 'another prefix', '', '', '', '/a' ],
    [ 'with files of the server, exact', '', 'root html;', '', '= /atls' ],
    [ 'an expression', '', '', '', '~ /' ],
    [ 'pinned', '', '', 'proxy_pass http://127.0.0.1:1;' ],
    [ 'pinned, with "root"', '', '', 'return 204; root html;' ],
    [ 'pinned by a block', '', '',
      'if ($arg_a) { proxy_pass http://127.0.0.1:1; }' ],
    [ 'where the server answers', '', 'if ($atls) { return 204; }' ],
)
{
    my ($name, $re, $server, $location, $uri) = @$case;

    $_ ||= '' for $location;
    $uri ||= '/';
    $re = qr/\[warn\] \d+#\d+: $re/m if $re ne '';

    said($re, "routed, $name", none => 1, http => $CERT,
         server => "$server location $uri {\n# HERE\natls on; $location }");
}


# another event method, if available

SKIP: {
    skip 'no "poll" in this nginx', 2 unless $t->has_option('poll_module');

    refused('event method', qr/"atls" requires the "epoll" or .*, not "poll",/,
            events => 'use poll;', none => 1, http => $CERT,
            server => "location /e {\n# HERE\natls on; }");
    said('', 'event method, no endpoint', events => 'use poll;', none => 1,
         http => 'atls_zone a:1m;');
}


# associations require TLS 1.3, or TLS 1.2 with a suite of its own; protocols are
# those of the default server in old versions of nginx, suites are not

for my $default (qw( TLSv1.2 TLSv1.3 )) {
    for my $own (qw( TLSv1.2 TLSv1.3 )) {
        my $used = $t->has_version('1.29.2') ? $own : $default;
        my $listen = 'server { listen 127.0.0.1:%%PORT_1%% ssl;'
                     . 'ssl_certificate localhost.crt;'
                     . 'ssl_certificate_key localhost.key;'
                     . 'ssl_protocols';

        said($used eq 'TLSv1.3' ? ''
             : qr/"atls_association_accept" has no effect on [\d.:]+,.* LINE$/m,
             "associations with $own, by default $default",
             http => "$CERT $listen $default; }\n"
                     . "$listen $own; server_name a;\n# HERE\n"
                     . 'atls_association_accept on;'
                     . 'ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256; }');

        said('', "associations with $own, by default $default, and the suite",
             http => "$CERT $listen $default;"
                     . 'ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256; }'
                     . "$listen $own; server_name a;\n# HERE\n"
                     . 'atls_association_accept on; }');
    }
}


# in an included file

$t->write_file('included.conf', "\n\natls_verify_client on;\n");
like(config_error(http => $CERT, endpoint => 'include included.conf;'),
     qr/$NO_CA in \S+included\.conf:3$/m, 'an included file');

$t->done_testing();


sub conf {
    my (%args) = (events => '', http => '', server => '', endpoint => '',
                  @_);

    my $endpoint = $args{none} ? ''
                   : "location /e { atls on;\n$args{endpoint}\n }";

    return <<"EOC";
%%GLOBALS%%

events { $args{events} }

http {
    %%GLOBALS_HTTP%%
    $args{http}

    server {
        listen 127.0.0.1:%%PORT_0%%;
        $args{server}

        $endpoint
    }
}
EOC
}


sub config_error { return $t->config_error(conf(@_)) }


# The message has the line after "# HERE".

sub refused {
    my ($name, $re, @blocks) = @_;

    like(config_error(@blocks), qr/\[emerg\].*?$re.* in \S+\.conf:@{[
         line_of(@blocks) ]}$/m, $name);
}


# Checks the warning of a valid configuration.  LINE stands for the end of the
# message.

sub said {
    my ($re, $name, @blocks) = @_;

    my $line = line_of(@blocks);

    is(config_error(@blocks), '', "$name: is good");

    my $said = $t->read_file('config-test.out')
               . $t->read_file('config-test.log');

    return unlike($said, qr/\[warn\]/, "$name: no warning") if $re eq '';

    $re =~ s/LINE/in \\S+\\.conf:$line/;
    like($said, qr/$re/, "$name: is warned of");
}


sub line_of {
    my $text = $t->expand(conf(@_));

    return $text =~ /# HERE/ ? 2 + ($` =~ tr/\n//) : 0;
}
