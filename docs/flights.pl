#!/usr/bin/perl

# Annotated sessions: the blocks of docs/protocol-examples.md.
#
#     perl -I t/lib docs/flights.pl                 prints new blocks
#     perl -I t/lib docs/flights.pl --update        replaces those of the page
#     perl -I t/lib docs/flights.pl --recompute     prints blocks computed from
#                                                   keys and bytes of the page
#
# Random bytes and the time are fixed (t/bin/fixed_random.c), so that the same
# versions of nginx and OpenSSL create the same bytes.  Data are decrypted with
# the private keys on the page.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../t/lib";

use Test::Atls;
use Test::Atls::Recompute;
use Test::Atls::Relay;
use Test::Atls::Stack;


use constant TIME => 1_800_000_000;

my $PAGE = "$FindBin::Bin/protocol-examples.md";

my %RECORDS = (20 => 'change_cipher_spec', 21 => 'alert', 22 => 'handshake',
               23 => 'application_data');

my %MESSAGES = (1 => 'ClientHello', 2 => 'ServerHello', 4 => 'NewSessionTicket',
                5 => 'EndOfEarlyData', 8 => 'EncryptedExtensions',
                11 => 'Certificate', 12 => 'ServerKeyExchange',
                14 => 'ServerHelloDone', 15 => 'CertificateVerify',
                16 => 'ClientKeyExchange', 20 => 'Finished');

my %EXTENSIONS = (0 => 'server_name', 10 => 'supported_groups',
                  11 => 'ec_point_formats', 13 => 'signature_algorithms',
                  22 => 'encrypt_then_mac', 23 => 'extended_master_secret',
                  35 => 'session_ticket', 41 => 'pre_shared_key',
                  42 => 'early_data', 43 => 'supported_versions',
                  45 => 'psk_key_exchange_modes', 51 => 'key_share',
                  0xff01 => 'renegotiation_info');

my %ALERTS = (0 => 'close_notify');

my $lines;

my %modes = ('' => \&fresh, '--update' => \&update,
             '--recompute' => \&recompute);
my $mode = $modes{@ARGV ? $ARGV[0] : ''}
    or die "usage: docs/flights.pl [--update | --recompute]\n";

$mode->();


sub fresh { print map { "$_\n" } all_blocks(traffic()) }


# The blocks of the page are replaced in order.

sub update {
    my @blocks = all_blocks(traffic());
    my $page = page();

    $page =~ s{^```(\w*)\n(.*?)^```\n}{
        "```$1\n" . ($1 ? $2 : shift @blocks) . "```\n"
    }gsmex;
    die "the page has too few blocks\n" if @blocks;

    open my $fh, '>', $PAGE or die "$PAGE: $!\n";
    print $fh $page;
    close $fh or die "$PAGE: $!\n";
}


sub recompute {
    my @sessions = ({ traffic => [] });

    for my $block (page_blocks()) {
        my $session = $sessions[-1];

        if ($block =~ /^POST |^HTTP/) {
            push @{$session->{traffic}}, from_page($block);

        } else {
            my %keys = $block =~ /^(\w+) private key\n((?:  .*\n)+)/mg;

            $session->{$_} = unhex($keys{$_}) for keys %keys;
            push @sessions, { traffic => [] };
        }
    }

    pop @sessions;
    print map { "$_\n" } all_blocks(@sessions);
}


# Blocks with a language are configurations and the like.

sub page_blocks {
    my $page = page();
    my @blocks;

    while ($page =~ /^```(\w*)\n(.*?)^```\n/gsm) {
        push @blocks, $2 if $1 eq '';
    }

    return @blocks;
}


sub page {
    open my $fh, '<', $PAGE or die "$PAGE: $!\n";
    local $/;

    return scalar <$fh>;
}


# Returns [ way, head, bytes ] of a block, without decrypted data.

sub from_page {
    my ($block) = @_;

    my ($head, $body) = $block =~ /\A(.*?\n)(?:\n(.*))?\z/s;
    my $bytes = '';
    my $plain = 0;

    for (split /\n/, defined $body ? $body : '') {
        $plain = /^  decrypted/ || $plain && !/^[\da-f]{2} /;
        next if $plain || !/^ *((?:[\da-f]{2} )*[\da-f]{2})(?: {2,}|$)/;
        $bytes .= unhex($1);
    }

    return [ $head =~ /^POST/ ? '>' : '<', $head, $bytes ];
}


sub unhex { pack 'H*', $_[0] =~ s/\s//gr }


# Sessions: { traffic => [ [ way, head, bytes ], ... ], client => , server => }

sub traffic {
    my $t = Test::Atls->new(workers => 1);
    my $fixed = $t->path('fixed.so');

    system($ENV{CC} || 'cc', '-shared', '-fPIC', '-D_GNU_SOURCE', '-o', $fixed,
           "$FindBin::Bin/../t/bin/fixed_random.c") == 0
        or die "cc: $?\n";

    Test::Atls::Stack::program('openssl');
    alarm 120;

    my @env = (LD_PRELOAD => $fixed, FIXED_TIME => TIME,
               ASAN_OPTIONS => 'verify_asan_link_order=0:detect_leaks=0');

    certificate($t, @env);
    configure($t);

    {
        local %ENV = (%ENV, @env, FIXED_RANDOM => $t->path('server'));
        $t->run();
    }

    return certificate_key($t), sessions($t, @env);
}


# With no other extensions than the required one.

sub certificate {
    my ($t, @env) = @_;

    my ($key, $crt) = map { $t->path("localhost.$_") } qw( key crt );
    my $conf = $t->write_file('openssl.cnf', <<'EOC');
[ req ]
distinguished_name = name
x509_extensions = extensions

[ name ]

[ extensions ]
subjectAltName = DNS:localhost
EOC

    local %ENV = (%ENV, @env, FIXED_RANDOM => $t->path('certificate'));

    system("openssl genpkey -algorithm ed25519 -out $key"
           . " && openssl req -x509 -config $conf -key $key -subj /CN=localhost"
           . " -days 36500 -out $crt") == 0
        or die "no certificate\n";
}


# Returned as a session, since it is the first block of the page.

sub certificate_key {
    my ($t) = @_;

    my $key = $t->path('localhost.key');
    my $der = `openssl pkey -in $key -outform DER`;

    return { traffic => [], certificate => substr $der, -32 };
}


sub configure {
    my ($t) = @_;

    $t->write_conf(<<'EOC');
%%GLOBALS%%

events {
}

http {
    %%GLOBALS_HTTP%%

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location = /.well-known/atls {
            atls                  on;
            atls_certificate      %%TESTDIR%%/localhost.crt;
            atls_certificate_key  %%TESTDIR%%/localhost.key;
            atls_ecdh_curve       X25519;
            atls_early_data       on;

            return 200 "hello\n";
        }

        location /sessions {
            atls                   on;
            atls_certificate       %%TESTDIR%%/localhost.crt;
            atls_certificate_key   %%TESTDIR%%/localhost.key;
            atls_ecdh_curve        X25519;
            atls_session_tracking  location;

            return 200 "hello\n";
        }
    }
}
EOC
}


sub sessions {
    my ($t, @env) = @_;

    my $request = Test::Atls::Stack->format_get('/hello');
    my @sessions;

    my $session = sub {
        my ($code, %args) = @_;

        my $n = @sessions + 1;
        my $relay = Test::Atls::Relay->start($t, $t->port($n), $t->port(0));
        my %crypto = $args{protocol} eq 'TLSv1.3'
            ? (ciphersuites => 'TLS_CHACHA20_POLY1305_SHA256')
            : (ciphers => 'ECDHE-ECDSA-CHACHA20-POLY1305');

        local %ENV = (%ENV, @env, FIXED_RANDOM => $t->path("client-$n"));

        my $c = Test::Atls::Stack->new('openssl', port => $t->port($n),
                                       ca => $t->path('localhost.crt'),
                                       groups => 'X25519', %crypto, %args);

        $c->handshake() or die 'no handshake: ', $c->error(), "\n";
        $code->($c);

        my ($client, $server) = map { ($t->read_file($_) =~ /(\w+)\n\z/)[0] }
                                "client-$n", 'server';

        defined $client && defined $server or die "no ephemeral keys\n";

        push @sessions, { traffic => [ map { split_http(@$_) }
                                       $relay->traffic() ],
                          client => unhex($client), server => unhex($server) };
        return $c;
    };

    my $first = $session->(sub {
        my ($c) = @_;

        is_hello($c->request($request));
        $c->close_notify();
    }, protocol => 'TLSv1.3');

    $session->(sub {
        my ($c) = @_;

        is_hello($c->read_plain());
        is_hello($c->request($request));
    }, protocol => 'TLSv1.3', session => $first->session(), early => $request);

    $session->(sub { is_hello($_[0]->request($request)) },
               protocol => 'TLSv1.3', groups => 'P-256:X25519');

    $session->(sub { is_hello($_[0]->request($request)) },
               protocol => 'TLSv1.2');

    $session->(sub { is_hello($_[0]->request($request)) },
               protocol => 'TLSv1.3', uri => '/sessions');

    return @sessions;
}


sub is_hello {
    my ($answer) = @_;

    $answer =~ /\AHTTP\/1.1 200 .*\r\n\r\nhello\n\z/s
        or die "answer: '$answer'\n";
}


sub split_http {
    my ($way, $bytes) = @_;

    my ($head, $body) = $bytes =~ /\A(.*?\r\n)\r\n(.*)\z/s
        or die "not HTTP: '$bytes'\n";

    $head =~ s/^Date: .*\r\n//m;
    $head =~ s/\r//g;

    return [ $way, $head, $body ];
}


# The first one is the key of the certificate.  A ticket belongs to the previous
# session.

sub all_blocks {
    my ($first, @sessions) = @_;

    my @blocks = keys_block([ 'certificate private key',
                              $first->{certificate} ]);
    my $psk;

    for my $session (@sessions) {
        my $tls = Test::Atls::Recompute->new(
            %$session{qw( client server )},
            certificate => $first->{certificate}, psk => $psk);

        push @blocks, blocks($session, $tls);
        $psk = $tls->psk();
    }

    return @blocks;
}


sub blocks {
    my ($session, $tls) = @_;

    my @blocks;

    for (@{$session->{traffic}}) {
        my ($way, $head, $body) = @$_;

        $lines = $body eq '' ? $head : "$head\n";
        record($_) for $tls->records($way, $body);
        push @blocks, $lines;
    }

    return @blocks, keys_block([ 'client private key', $session->{client} ],
                               [ 'server private key', $session->{server} ],
                               $tls->secrets());
}


sub keys_block {
    $lines = '';

    for (@_) {
        $lines .= "$_->[0]\n";
        hex_lines(2, $_->[1], '');
    }

    return $lines;
}


sub record {
    my ($record) = @_;

    my $length = length $record->{content};
    my @messages = @{$record->{messages} || []};

    hex_lines(0, $record->{header}, "record: $RECORDS{$record->{type}}, "
                                    . ($length == 1 ? '1 byte'
                                                    : "$length bytes"));

    if (defined $record->{plain}) {
        hex_lines(2, $record->{content}, 'encrypted');
        $lines .= "  decrypted, $RECORDS{$record->{kind}}:\n";

    } elsif ($record->{type} == 20) {
        hex_lines(2, $record->{content}, '');
    }

    message($_) for @messages;

    if ($record->{kind} == 21) {
        my ($level, $alert) = unpack 'C C', $record->{plain};
        hex_lines(4, $record->{plain}, $ALERTS{$alert});

    } elsif ($record->{kind} == 23) {
        text($record->{plain});
    }
}


sub text {
    my ($text) = @_;

    $lines .= join '', map { /\S/ ? "    $_\n" : "\n" } split /\r?\n/, $text;
    $lines .= "\n" if $text =~ /\r\n\r\n\z/;
}


# handshake messages, RFC 8446, section 4

sub message {
    my ($bytes) = @_;

    my $type = unpack 'C', $bytes;
    my $name = $MESSAGES{$type} or die "message of type $type\n";
    my $parts = __PACKAGE__->can("parts_$name");

    hex_lines(2, take(\$bytes, 4), "$name, " . length($bytes) . ' bytes');
    $parts->(\$bytes);

    die "left of $name: ", unpack('H*', $bytes), "\n" if $bytes ne '';
}


sub parts_ClientHello {
    my ($m) = @_;

    hex_lines(4, take($m, 2), 'legacy_version');
    hex_lines(4, take($m, 32), 'random');
    hex_lines(4, vector($m, 1), 'legacy_session_id');
    hex_lines(4, vector($m, 2), 'cipher_suites');
    hex_lines(4, vector($m, 1), 'legacy_compression_methods');
    extensions($m);
}


sub parts_ServerHello {
    my ($m) = @_;

    hex_lines(4, take($m, 2), 'legacy_version');
    hex_lines(4, take($m, 32), 'random');
    hex_lines(4, vector($m, 1), 'legacy_session_id_echo');
    hex_lines(4, take($m, 2), 'cipher_suite');
    hex_lines(4, take($m, 1), 'legacy_compression_method');
    extensions($m);
}


sub parts_EncryptedExtensions { extensions($_[0]) }


sub parts_Certificate {
    my ($m) = @_;

    # TLS 1.2 has no first and last field

    my $tls13 = length $$m != 3 + hex unpack 'H6', $$m;

    hex_lines(4, vector($m, 1), 'certificate_request_context') if $tls13;
    hex_lines(4, take($m, 3), 'certificate_list');
    hex_lines(6, vector($m, 3), 'cert_data');
    hex_lines(6, vector($m, 2), 'extensions') if $tls13;
}


sub parts_ServerKeyExchange {
    my ($m) = @_;

    hex_lines(4, take($m, 3), 'curve_type, named_curve');
    hex_lines(4, vector($m, 1), 'public');
    hex_lines(4, take($m, 2), 'algorithm');
    hex_lines(4, vector($m, 2), 'signature');
}


sub parts_ServerHelloDone { }

sub parts_EndOfEarlyData { }


sub parts_ClientKeyExchange {
    my ($m) = @_;

    hex_lines(4, vector($m, 1), 'public');
}


sub parts_CertificateVerify {
    my ($m) = @_;

    hex_lines(4, take($m, 2), 'algorithm');
    hex_lines(4, vector($m, 2), 'signature');
}


sub parts_Finished {
    my ($m) = @_;

    hex_lines(4, take($m, length $$m), 'verify_data');
}


sub parts_NewSessionTicket {
    my ($m) = @_;

    hex_lines(4, take($m, 4), 'ticket_lifetime');

    if (length $$m == 2 + unpack 'n', $$m) {
        hex_lines(4, vector($m, 2), 'ticket');      # TLS 1.2
        return;
    }

    hex_lines(4, take($m, 4), 'ticket_age_add');
    hex_lines(4, vector($m, 1), 'ticket_nonce');
    hex_lines(4, vector($m, 2), 'ticket');
    extensions($m);
}


sub extensions {
    my ($m) = @_;

    my $length = take($m, 2);
    my $left = unpack 'n', $length;

    hex_lines(4, $length, 'extensions');

    while ($left) {
        my ($type, $n) = unpack 'n n', $$m;
        hex_lines(6, take($m, 4 + $n), $EXTENSIONS{$type}
                                       || "extension $type");
        $left -= 4 + $n;
    }
}


sub take {
    my ($m, $n) = @_;

    die "a message ends too early\n" if length $$m < $n;

    return substr $$m, 0, $n, '';
}


# Returns a vector with its length.

sub vector {
    my ($m, $bytes) = @_;

    my $n = hex unpack 'H*', substr $$m, 0, $bytes;

    return take($m, $bytes + $n);
}


sub hex_lines {
    my ($indent, $bytes, $what) = @_;

    my @lines = map { join ' ', unpack '(H2)*', $_ } unpack '(a16)*', $bytes;

    for my $line (@lines) {
        my $text = sprintf '%-55s%s', ' ' x $indent . $line, $what;
        $text =~ s/ +$//;
        $lines .= "$text\n";
        $what = '';
    }
}
