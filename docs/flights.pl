#!/usr/bin/perl

# A TLS 1.3 handshake through the module, as it went over the wire, annotated:
# the flights in docs/protocol.md.
#
#     perl -I t/lib docs/flights.pl

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../t/lib";

use Net::SSLeay;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Relay;


my %RECORDS = (20 => 'change_cipher_spec', 21 => 'alert', 22 => 'handshake',
               23 => 'application_data');

my %MESSAGES = (1 => 'ClientHello', 2 => 'ServerHello', 4 => 'NewSessionTicket',
                8 => 'EncryptedExtensions', 11 => 'Certificate',
                15 => 'CertificateVerify', 20 => 'Finished');

my %EXTENSIONS = (0 => 'server_name', 10 => 'supported_groups',
                  11 => 'ec_point_formats', 13 => 'signature_algorithms',
                  22 => 'encrypt_then_mac', 23 => 'extended_master_secret',
                  35 => 'session_ticket', 42 => 'early_data',
                  43 => 'supported_versions', 45 => 'psk_key_exchange_modes',
                  51 => 'key_share');

# what the header and content events of OpenSSL's message callback are about

my ($HEADER, $INNER_TYPE, $HANDSHAKE) = (256, 257, 22);

my $request = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

my (%plain, @secrets);
my $t = Test::Atls->new(workers => 1);

$t->make_cert('localhost', type => 'ec');

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

            return 200 "hello\n";
        }
    }
}
EOC

$t->run();

my $relay = Test::Atls::Relay->start($t, $t->port(1), $t->port(0));

# few algorithms make short hellos

my $c = Test::Atls::Client->new(port => $t->port(1), protocol => 'TLSv1.3',
                                ciphersuites => 'TLS_AES_128_GCM_SHA256',
                                groups => 'P-256', setup => \&watch,
                                ca => $t->path('localhost.crt'));

$c->handshake() or die 'no handshake: ', $c->error(), "\n";

my $answer = $c->request($request);

$answer =~ /^HTTP\/1.1 200 .*\r\n\r\nhello\n$/s or die "answer: '$answer'\n";

push @{$plain{'>'}[-1]}, $request;
push @{$plain{'<'}[-1]}, $answer;

print_traffic();
print "Secrets\n\n", map { s/ /\n  /gr . "\n" } @secrets;


sub watch {
    my ($ctx, $ssl) = @_;

    Net::SSLeay::CTX_set_keylog_callback($ctx, sub { push @secrets, $_[1] });

    Net::SSLeay::set_msg_callback($ssl, sub {
        my ($write, undef, $type, $bytes) = @_;
        my $way = $write ? '>' : '<';

        push @{$plain{$way}}, [] if $type == $HEADER;
        push @{$plain{$way}[-1]}, $bytes if $type == $HANDSHAKE;
    });
}


sub print_traffic {
    my $n = 0;

    for ($relay->traffic()) {
        my ($way, $bytes) = @$_;
        my ($head, $body) = $bytes =~ /\A(.*?\r\n)\r\n(.*)\z/s
            or die "not HTTP: '$bytes'\n";

        $head =~ s/^Date: .*\r\n//m;
        $head =~ s/\r//g;
        print $way eq '>' ? 'POST ' . ++$n . "\n\n" : '', "$head\n";
        print_records($way, $body);
    }
}


sub print_records {
    my ($way, $body) = @_;

    while ($body ne '') {
        my ($type, $version, $length) = unpack 'C n n', $body;
        my ($header, $content) = unpack 'a5 a' . $length, $body;

        substr $body, 0, 5 + $length, '';
        hex_lines(0, $header, "record: $RECORDS{$type}, "
                              . ($length == 1 ? '1 byte' : "$length bytes"));

        my @messages = @{shift @{$plain{$way}}};

        if ($type == 20) {
            hex_lines(2, $content, 'for middleboxes, means nothing');

        } elsif ($type == 22) {
            message($_) for @messages;

        } else {
            hex_lines(2, $content, 'encrypted');
            print "  decrypted:\n";
            for (@messages) { /\A[A-Z]/ ? text($_) : message($_) }
        }
    }

    print "\n";
}


sub text {
    my ($text) = @_;

    print map { /\S/ ? "    $_\n" : "\n" } split /\r?\n/, $text;
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

    hex_lines(4, vector($m, 1), 'certificate_request_context');
    hex_lines(4, take($m, 3), 'certificate_list');
    hex_lines(6, vector($m, 3), 'cert_data');
    hex_lines(6, vector($m, 2), 'extensions');
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


# With the bytes that say its length.

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
        print "$text\n";
        $what = '';
    }
}
