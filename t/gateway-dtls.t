#!/usr/bin/perl

# atls gateway: sessions of DTLS that are kept, that are closed, and that others
# cannot prevent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use IPC::Open2 qw( open2 );
use Test::More;

use Test::Atls::Coap qw( CON RST URI_PATH decode encode );
use Test::Atls::Gateway;
use Test::Atls::Http qw( readable );
use Test::Atls::Port qw( free_port );
use Test::Atls::Process qw( stop_process );
use Test::Atls::Slow qw( patience );

use constant { KEY => '00112233445566778899aabbccddeeff', FORGED => 150,
               RETRY => 3 };

my @PATH = map { [ URI_PATH, $_ ] } '.well-known', 'atls';

my $t = Test::Atls::Gateway->new();

$t->serve_located();
$t->write_file('keys', 'device:' . KEY . "\n");

subtest('a session that is closed' => \&closed);
subtest('sessions of others' => \&kept);
subtest('forged handshakes' => \&forged);

$t->done_testing();


sub gateway {
    my (@args) = @_;

    my $port = free_port();

    return $t->gateway('-l', "coaps://127.0.0.1:$port", '--psk-file',
                       $t->path('keys'), @args);
}


# openssl s_client: what is written to it is a datagram.

sub client {
    my ($g) = @_;

    my $self = { mid => 0 };
    my @args = (qw( -dtls1_2 -quiet -no_ign_eof -cipher PSK -psk_identity device
                    -psk ), KEY, '-connect', '127.0.0.1:' . $g->port());

    $self->{pid} = open2($self->{out}, $self->{in}, 'sh', '-c',
                         "exec openssl s_client @args 2>/dev/null");
    binmode $self->{$_} for qw( in out );

    return $self;
}


# The response to a message, which is sent again like any.

sub ask {
    my ($self, %m) = @_;

    $self->{mid}++;

    for (1 .. patience() / RETRY) {
        syswrite $self->{in}, encode(type => CON, mid => $self->{mid}, %m);

        while (readable($self->{out}, RETRY)) {
            sysread $self->{out}, my $bytes, 65536
                or return { code => 'end', type => 'end' };
            my $r = decode($bytes);
            return $r if $r->{mid} == $self->{mid};
        }
    }

    return { code => 'none', type => 'none' };
}


# libcoap answers a ping itself: it is not a request of the source.

sub ping { return ask($_[0], code => '0.00')->{type} }


sub request {
    my ($self) = @_;

    return ask($self, code => '0.01', token => 'x', options => [ @PATH ])->{code};
}


sub end {
    for my $c (@_) {
        stop_process($c->{pid}, 'TERM', 5);
        close $c->{$_} for qw( in out );
    }
}


# The device could not open another one from the same port.

sub closed {
    my $g = gateway();
    my $c = client($g);

    is(request($c), '4.04', 'a request');
    is($t->metric($g, 'sources'), 1, 'a source');

    # at the end of its input, s_client sends a close_notify

    close $c->{in};
    ok($t->wait_for(sub { $t->metric($g, 'sources') == 0 }, patience()),
       'it is not kept');

    stop_process($c->{pid}, 'TERM', 5);
    is($g->stop()->{code}, 0, 'exit code');
    done_testing();
}


# Those that have sent a request are not replaced by those that have not.

sub kept {
    my $g = gateway('--max-sources', 2);
    my $c = client($g);

    is(request($c), '4.04', 'a request');

    my @others;

    for (1 .. 4) {
        push @others, client($g);
        is(ping($others[-1]), RST, 'another session');
    }

    is(request($c), '4.04', 'the first one lives');

    end($c, @others);
    is($g->stop()->{code}, 0, 'exit code');
    done_testing();
}


# Each is the start of a ClientHello, from an address of its own.

sub forged {
    my $g = gateway();
    my $hello = pack 'C3 x8 n C x11', 22, 254, 253, 12, 1;

    for (1 .. FORGED) {
        my $s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1',
                                      PeerPort => $g->port())
                or die "no socket: $@\n";

        $s->send($hello);
        push @{$g->{forged}}, $s;
    }

    my $c = client($g);
    is(request($c), '4.04', 'a device can open a session');

    end($c);
    is($g->stop()->{code}, 0, 'exit code');
    done_testing();
}
