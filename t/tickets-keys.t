#!/usr/bin/perl

# Keys of session tickets: in the zone and in files, after reloads and restarts,
# and with several servers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Tickets;

keys_of_the_zone();
key_files();
bad_key_files();
no_failures();

$t->done_testing();


# Keys in the zone remain after reloads and when workers exit.

sub keys_of_the_zone {
    my %s = sessions($t);

    is(all_reused($t, {}, %s), 'r' x @CLIENTS, 'at first');

    $t->reload();
    is(all_reused($t, {}, %s), 'r' x @CLIENTS, 'after a reload');

    $t->reload() for 1 .. 2;
    is(all_reused($t, {}, %s), 'r' x @CLIENTS, 'after two more');

    kill_workers();
    is(all_reused($t, {}, %s), 'r' x @CLIENTS, 'when all workers have died');

    # a ticket is bound to the certificate of the full handshake

    configure($t, CERTIFICATE => 'another');
    $t->reload();
    is(all_reused($t, {}, %s), '.' x @CLIENTS, 'with another certificate');

    configure($t);
    $t->reload();
    is(all_reused($t, {}, %s), 'r' x @CLIENTS, 'with the first one again');

    configure($t, HTTP => 'atls_zone atls:1m;');
    $t->reload();
    is(all_reused($t, {}, %s), '.' x @CLIENTS, 'with another zone');

    %s = sessions($t);
    $t->stop();
    $t->run();
    is(all_reused($t, {}, %s), '.' x @CLIENTS, 'after a restart');
}


sub kill_workers {
    my %before = map { $_ => 1 } $t->workers();

    $t->allow_kills();
    kill 'KILL', keys %before;

    $t->wait_for(sub { $WORKERS == grep { !$before{$_} } $t->workers() }, 10);
}


# With key files, tickets are accepted after restarts and by other servers.

sub key_files {
    my $other = Test::Atls->new(workers => $WORKERS);

    for my $file (qw( old new )) {
        $t->write_file("$file.80", random(80));
        $t->write_file("$file.48", random(48));
    }

    use_keys($_, 'old') for $t, $other;
    $t->reload();
    $other->run();

    my %long = sessions($t);
    my %short = sessions($t, uri => '/48');

    is(all_reused($other, {}, %long), 'r' x @CLIENTS, '80 bytes, shared');
    is(all_reused($other, {}, %short, uri => '/48'), 'r' x @CLIENTS,
       '48 bytes, shared');
    is(all_reused($t, {}, %short), '.' x @CLIENTS, 'another key');

    $t->reload();
    is(all_reused($t, {}, %long), 'r' x @CLIENTS, '80 bytes, after a reload');
    is(all_reused($t, {}, %short, uri => '/48'), 'r' x @CLIENTS,
       '48 bytes, after a reload');

    $t->stop();
    $t->run();
    is(all_reused($t, {}, %long), 'r' x @CLIENTS, '80 bytes, after a restart');
    is(all_reused($t, \my %same, %short, uri => '/48'), 'r' x @CLIENTS,
       '48 bytes, after a restart');
    is(tickets(%same), '1 0 1 0', 'new tickets with TLS 1.3');

    # the first key is used for new tickets, the other ones are accepted

    use_keys($t, 'new', 'old');
    $t->reload();
    is(all_reused($t, \my %renewed, %long), 'r' x @CLIENTS,
       'tickets of the second key');
    is(tickets(%renewed), '1 1 1 1', 'new tickets for all');

    use_keys($t, 'new');
    $t->reload();

    is(all_reused($t, {}, %long), '.' x @CLIENTS,
       'are not accepted without it');

    # with TLS 1.2, GnuTLS returns the resumed session instead of the new one

    my $reused = '';

    for my $who (grep { $_ ne 'gnutls, TLSv1.2' } @CLIENTS) {
        my $session = $renewed{$who}->session();

        $reused .= reused(client($who, session => $session));
    }

    is($reused, 'rrr', 'the new tickets are accepted');

    $other->finish();
}


sub use_keys {
    my ($instance, @names) = @_;

    my %keys = map {
        my $size = $_;
        $size => join ' ', map {
            "atls_session_ticket_key " . $t->path("$_.$size") . ';'
        } @names;
    } 48, 80;

    configure($instance, HTTP => $keys{80},
              LOCATIONS => "location = /48 { atls on; $keys{48} }");
}


sub tickets {
    my (%clients) = @_;

    return join ' ', map { $clients{$_}->tickets() } @CLIENTS;
}


sub random {
    my ($size) = @_;

    return join '', map { chr int rand 256 } 1 .. $size;
}


# Invalid key files are errors of the configuration.

sub bad_key_files {
    for my $size (0, 47, 49, 81) {
        my $file = $t->write_file("bad.$size", 'x' x $size);
        my $error = key_file_error($file);

        ok($error =~ /\Q$file\E/ && $error =~ /48 or 80 bytes/
           && $error =~ /"atls_session_ticket_key" directive in .*:\d+/,
           "$size bytes") or diag($error);
    }

    for my $file ('missing', '') {
        my $error = key_file_error($t->path($file));

        ok($error =~ /\Q$t->{dir}\E/
           && $error =~ /"atls_session_ticket_key" directive in .*:\d+/,
           $file || 'a directory') or diag($error);
    }
}


sub key_file_error {
    my ($file) = @_;

    return $t->config_error(<<"EOC");
%%GLOBALS%%
events { }
http {
    %%GLOBALS_HTTP%%
    atls_certificate localhost.crt;
    atls_certificate_key localhost.key;
    atls_session_ticket_key $file;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            atls on;
        }
    }
}
EOC
}
