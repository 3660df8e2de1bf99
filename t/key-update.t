#!/usr/bin/perl

# KeyUpdate, with and without a request for the server's own, alone and among
# requests, on new connections: any worker has to have the keys.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Client;
use Test::Atls::Response qw( parse_responses );

my $t = Test::Atls->new();

$t->make_cert('localhost');

$t->write_conf(<<'EOC');
%%GLOBALS%%

events { }

http {
    %%GLOBALS_HTTP%%

    atls_certificate %%TESTDIR%%/localhost.crt;
    atls_certificate_key %%TESTDIR%%/localhost.key;
    atls_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256;

    server {
        listen 127.0.0.1:%%PORT_0%%;

        location /.well-known/atls {
            atls on;
        }

        location / {
            return 200 "$uri $atls_cipher";
        }
    }
}
EOC

my @suites = qw( TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384
                 TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_CCM_SHA256 );

$t->plan(20 * @suites + 9);

my $program = $t->path('key_update');
my @cc = ($ENV{CC} || 'cc', '-O1', '-Wall', '-Wextra', '-Werror',
          "$FindBin::Bin/bin/key_update.c", '-o', $program,
          '-lssl', '-lcrypto');

system(@cc) == 0 or die "@cc failed\n";

$t->run();

my ($c, $r);


for my $suite (@suites) {

    $c = client($suite);
    ok($c->handshake(), "$suite: handshake") or diag($c->error());
    is($c->get('/first')->body(), "/first $suite", "$suite: request");

    # alone; nothing is owed for it

    $r = $c->exchange($c->update(0));
    is($r && length $r->body(), 0, "$suite: update");
    is($c->get('/second')->body(), "/second $suite", "$suite: request");
    is($c->updates(), 0, "$suite: no update of the server's");

    # alone; the server's own is owed, at once

    $r = $c->exchange($c->update(1));
    isnt($r && $r->body(), '', "$suite: update with a request");
    is($c->updates(), 1, "$suite: the server's update");
    is($c->get('/third')->body(), "/third $suite", "$suite: request");

    # before, between and after requests in one POST

    for my $requested (0, 1) {
        my $before = $c->updates();

        my $bytes = $c->update($requested);
        $c->write_plain(request('/a'));
        $bytes .= $c->tls_out() . $c->update($requested);
        $c->write_plain(request('/b'));
        $bytes .= $c->tls_out() . $c->update($requested);

        $r = $c->exchange($bytes);
        my @r = parse_responses($c->read_plain());

        is(join(', ', map { $_->body() } @r), "/a $suite, /b $suite",
           "$suite: among requests");

        if ($requested) {
            cmp_ok($c->updates(), '>', $before, "$suite: updates in return");
        } else {
            is($c->updates(), $before, "$suite: no updates in return");
        }

        is($c->get('/after')->body(), "/after $suite", "$suite: request");
    }

    # cut at every byte

    for my $requested (0, 1) {
        my $before = $c->updates();

        $c->exchange($c->update($requested), split => 1);
        is($c->updates(), $before + $requested, "$suite: update by bytes");
        is($c->get('/after')->body(), "/after $suite", "$suite: request");
    }

    # the client's answer to the server's update goes with its next request

    my $good = 0;

    for my $i (1 .. 10) {
        $c->exchange($c->update($i % 2));
        $r = $c->get("/$i") or last;
        $good++ if $r->body() eq "/$i $suite";
    }

    is($good, 10, "$suite: ten more");
    is($c->state(), 'established', "$suite: established");
}


# no end of them is not a use of a session

$c = client($suites[0]);
$c->handshake();
$r = $c->exchange(join '', map { $c->update(0) } 1 .. 32);
is($r && length $r->body(), 0, '32 in a row');
is($c->get('/next')->body(), "/next $suites[0]", 'request');

$r = $c->exchange(join '', map { $c->update(0) } 1 .. 33);
is($r && $r->status(), 200, '33 in a row');
is($c->state(), 'failed', 'an alert');
is($c->cookie(), undef, 'the end of the session');

# over POSTs it is the same, and data between them makes them good

$c = client($suites[0]);
$c->handshake();
$c->exchange($c->update(0)) for 1 .. 32;
is($c->get('/next')->body(), "/next $suites[0]", '32 POSTs');
is($c->state(), 'established', 'go on');

$c->exchange($c->update(0)) for 1 .. 33;
is($c->state(), 'failed', '33 POSTs: an alert');
is($c->cookie(), undef, 'and the end of the session');


sub request {
    return Test::Atls::Client::format_request('GET', $_[0], '');
}


sub client {
    return Client->new(port => $t->port(0), keepalive => 1,
                       command => [ $program, @_ ]);
}


package Client;

# Test::Atls::Client with the program for its TLS.

use strict;
use warnings;

use IPC::Open2;

use parent -norequire, 'Test::Atls::Client';


sub _make_tls {
    my ($self) = @_;

    $self->{pid} = open2($self->{from}, $self->{to}, @{$self->{command}});
    binmode $_ for $self->{from}, $self->{to};
    @$self{qw( cipher_text came state updates )} = ('', '', 'waiting', 0);
}


sub _command {
    my ($self, $name, $number, $bytes) = @_;

    my $to = $self->{to};
    print $to "$name $number\n", defined $bytes ? $bytes : '';
    $to->flush();

    my $line = readline $self->{from};
    my ($out, $plain, $updates, $state) = ($line || '')
        =~ /^out (\d+) plain (\d+) updates (\d+) state (\w+)$/
        or die "key_update has ended\n";

    read $self->{from}, $self->{cipher_text}, $out,
         length $self->{cipher_text};
    read $self->{from}, $self->{came}, $plain, length $self->{came};
    @$self{qw( updates state )} = ($updates, $state);
    $self->{error} ||= 'TLS failed' if $state eq 'failed';
}


sub handshake {
    my ($self) = @_;

    my $done = $self->SUPER::handshake();

    # from now on every POST has a connection, and perhaps a worker, of its own

    $self->http_client()->{keepalive} = 0;

    return $done;
}


sub handshake_step {
    my ($self) = @_;

    $self->_command('handshake', 0);

    return $self->{state} eq 'established';
}


# The KeyUpdate's record.

sub update {
    my ($self, $requested) = @_;

    $self->_command('update', $requested);

    return $self->tls_out();
}


sub tls_in {
    my ($self, $bytes) = @_;

    $self->_command('in', length $bytes, $bytes);
}


sub write_plain {
    my ($self, $plain) = @_;

    $self->_command('write', length $plain, $plain);
}


sub tls_out {
    my ($self) = @_;

    my $bytes = $self->{cipher_text};
    $self->{cipher_text} = '';

    return $bytes;
}


sub read_plain {
    my ($self) = @_;

    my $plain = $self->{came};
    $self->{came} = '';

    return $plain;
}


sub updates { $_[0]{updates} }
sub state { $_[0]{state} }


sub DESTROY {
    my ($self) = @_;

    local ($?, $!);
    close $self->{to};
    close $self->{from};
    waitpid $self->{pid}, 0;
}
