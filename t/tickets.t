#!/usr/bin/perl

# Session tickets: a session is resumed in any worker, after reloads, and with
# key files after restarts and by other servers too; and in no case that is not
# meant to be.  Every POST has a connection of its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Slow qw( slow );
use Test::Atls::Stack qw( @STACKS );

my @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );
my @CLIENTS = map { my $stack = $_; map { "$stack, $_" } @PROTOCOLS } @STACKS;

my $WORKERS = 4;
my $MANY = 16;                      # resumptions of each client
my $SHORT = 2 * slow();             # lifetimes, in seconds
my $REST = 2 * $SHORT;

# "reuseport": so that each worker has its share of the connections.  The first
# POST of a session has no cookie.

my $conf = http_conf(<<'EOC');
log_format first '$pid "$http_cookie"';

atls_certificate %%CERTIFICATE%%.crt;
atls_certificate_key %%CERTIFICATE%%.key;
%%HTTP%%

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;

    access_log %%TESTDIR%%/outer.log first;

    location = /.well-known/atls {
        atls on;
    }

    location = /again {
        atls on;
    }

    location = /off {
        atls on;
        atls_session_tickets off;
    }

    location = /short {
        atls on;
        atls_session_lifetime %%SHORT%%s;
    }

    location = /rest {
        atls on;
        atls_session_lifetime %%REST%%s;
    }

    location = /long {
        atls on;
        atls_session_lifetime 30d;
    }

    location = /clients {
        atls on;
        atls_verify_client optional_no_ca;
    }

    %%LOCATIONS%%

    location / {
        access_log off;
        return 200 "reused $atls_session_reused
protocol $atls_protocol
cipher $atls_cipher
curve $atls_curve
name $atls_server_name
alpn $atls_alpn_protocol
requests $atls_session_requests
id $atls_session_id
";
    }
}

server {
    listen 127.0.0.1:%%PORT_1%%;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "reused $atls_session_reused\n";
    }
}
EOC

my $t = Test::Atls->new(workers => $WORKERS);

$t->make_cert($_) for qw( localhost another client );
configure($t);

$t->run();

# time goes by while others are at work

my %began = sessions($t);
my $began = time;

in_every_worker();
resumed($_) for @CLIENTS;
of_endpoints($_) for @CLIENTS;
switched_off($_) for @CLIENTS;
modified($_) for @CLIENTS;
one_ticket($_) for @STACKS;
early_data($_) for @STACKS;
what_clients_are_told();
my %rest = map { $_ => client($_, session => $began{$_}, uri => '/rest') }
           @CLIENTS;
my $resumed = join '', map { reused($rest{$_}) } @CLIENTS;
rotation();
lifetimes($_) for @CLIENTS;
rest();
lasting();
key_files();
bad_key_files();

$t->done_testing();


# Any worker opens the ticket of any other.

sub in_every_worker {
    for my $who (@CLIENTS) {
        my $session = session($who);
        my $reused = '';

        for (1 .. $MANY) {
            my $c = client($who, session => $session);

            $reused .= reused($c);

            # in TLS 1.2 there is no other one

            $session = $c->session() || $session;
        }

        is($reused, 'r' x $MANY, "$who: resumed again and again");
    }

    my %pids = map { $_ => 1 } $t->read_log('outer.log') =~ /^(\d+) "-"$/mg;

    is(scalar keys %pids, $WORKERS, 'in all of the workers');
}


# To those that it talks to, a resumed session is as any other.

sub resumed {
    my ($who) = @_;

    my $first = client($who, alpn => [ 'http/1.1' ]);
    my %full = seen($first);

    is($full{reused}, '.', "$who: a full handshake");

    my $c = client($who, alpn => [ 'http/1.1' ], session => $first->session());
    my %seen = seen($c);

    is($seen{reused}, 'r', "$who: resumed");
    ok($c->resumed(), "$who: so says the client");

    my @same = qw( protocol cipher curve name alpn requests );

    is(join(' ', map { $_ || 'none' } @seen{@same}),
       join(' ', map { $_ || 'none' } @full{@same}),
       "$who: with all that there is to know of it");
    isnt($seen{id}, $full{id}, "$who: but its id");

    %seen = seen($c);
    is("$seen{reused} $seen{requests}", 'r 2', "$who: the next request");
}


# A ticket is good where no more is asked of a client than where it was made.

sub of_endpoints {
    my ($who) = @_;

    my $anonymous = session($who);
    my $c = client($who, uri => '/clients', cert => $t->path('client.crt'),
                   key => $t->path('client.key'));

    is(reused($c), '.', "$who: a client with a certificate");

    my $known = $c->session();
    my @places = (
        [ 'r', 'once more', $anonymous ],
        [ 'r', 'another endpoint', $anonymous, uri => '/again' ],
        [ 'r', 'another server', $anonymous, port => $t->port(1) ],
        [ 'r', 'who is known', $known, uri => '/clients' ],
        [ '.', 'who is not', $anonymous, uri => '/clients' ],
        [ '.', 'who is not asked', $known ],
    );

    for my $place (@places) {
        my ($expected, $name, $session, @args) = @$place;

        is(reused(client($who, session => $session, @args)), $expected,
           "$who: $name");
    }
}


sub switched_off {
    my ($who) = @_;

    my $c = client($who, uri => '/off');

    is(reused($c), '.', "$who, off: a full handshake");
    is($c->tickets(), 0, "$who, off: no ticket");

    # GnuTLS makes a session of TLS 1.2 without one, too

    my $session = $c->session();

    is($session eq '' ? '.' : reused(client($who, session => $session)), '.',
       "$who, off: nothing to resume");

    $c = client($who, uri => '/off', session => session($who));
    is(reused($c) . $c->tickets(), '.0', "$who, off: nor are others' tickets");
}


# A ticket that nobody has made is as good as none.

sub modified {
    my ($who) = @_;

    my $session = session($who);
    my $ticket = ticket($who, $session);

    # a ticket is a key's name, an IV, cipher text and a MAC

    my %wrong = (
        'another name' => flipped($ticket, 0),
        'another IV' => flipped($ticket, 16),
        'another text' => flipped($ticket, 40),
        'another MAC' => flipped($ticket, length($ticket) - 1),
        'zeros' => "\0" x length $ticket,
    );

    for my $what (sort keys %wrong) {
        my $copy = $session;

        substr $copy, index($copy, $ticket), length $ticket, $wrong{$what};

        my $c = client($who, session => $copy);

        is(join(' ', reused($c), $c->tickets(), $c->alerts()), '. 1',
           "$who: $what");
    }
}


sub flipped {
    my ($bytes, $at) = @_;

    substr($bytes, $at, 1) ^= "\x10";

    return $bytes;
}


# One for each handshake of TLS 1.3, none to be had for one in TLS 1.2.

sub one_ticket {
    my ($stack) = @_;

    my %expected = ('TLSv1.3' => '1 1', 'TLSv1.2' => '1 0');

    for my $protocol (@PROTOCOLS) {
        my $full = client("$stack, $protocol");
        $full->handshake();
        $full->get('/') for 1 .. 3;

        my $c = client("$stack, $protocol", session => $full->session());
        $c->handshake();
        $c->get('/') for 1 .. 3;

        is($full->tickets() . ' ' . $c->tickets(), $expected{$protocol},
           "$stack, $protocol: tickets of a handshake and a resumption");
    }
}


# Early data is for those servers that have asked for it.  GnuTLS does not mind,
# and OpenSSL can be told not to: it is skipped.

sub early_data {
    my ($stack) = @_;

    my $who = "$stack, TLSv1.3";
    my $early = Test::Atls::Client::format_request('GET', '/', '');
    my @args = (session => session($who), early => $early);

    push @args, max_early => 16384 if $stack eq 'openssl';

    my $c = client($who, @args);

    is(reused($c), 'r', "$who, early data: resumed");
    isnt($c->early_status(), 'accepted', "$who, early data: refused");
}


# OpenSSL says how long a ticket is good for.

sub what_clients_are_told {
    my %expected = ('/.well-known/atls' => 86400, '/short' => $SHORT,
                    '/long' => 604800);

    for my $uri (sort keys %expected) {
        my $c = client('openssl, TLSv1.3', uri => $uri);
        reused($c);

        my $file = $t->write_file('session', $c->session());
        my $text = `openssl sess_id -inform DER -in $file -noout -text`;

        my ($hint) = $text =~ /lifetime hint: (\d+)/;
        is($hint, $expected{$uri}, "$uri: the client is told the lifetime");
    }
}


# A key of the zone makes tickets for about as long as they are good for, and
# opens them for as long again.  Its name is seen in them.

sub rotation {
    my $r = Test::Atls->new(workers => $WORKERS);
    my (%names, %sessions, %before, $first);

    # for as long as it takes to do all that is to be done with one, twice

    my $lasts = $SHORT + int(2 * seconds(sub { all_reused($t, {}, sessions($t))
                                               for 1 .. 4 }));

    configure($r, HTTP => "atls_session_lifetime ${lasts}s;");
    $r->run();

    # the first one lasts, too

    $r->wait_for(sub {
        %before = %sessions;
        %sessions = sessions($r);

        $names{substr ticket($_, $sessions{$_}), 0, 16} = 1 for @CLIENTS;
        $first ||= keys %names;
        return keys %names > 1;
    }, 4 * $lasts);

    is($first, 1, 'the first key is not for one ticket only');
    is(scalar keys %names, 2, 'keys change by themselves');
    is(join('', map { all_reused($r, {}, %sessions) } 1 .. 3),
       'r' x (3 * @CLIENTS), 'tickets of the new one are good');
    is(all_reused($r, \my %renewed, %before), 'r' x @CLIENTS,
       'tickets of the last one are good');
    is(join('', map { $renewed{$_}->tickets() } @CLIENTS), '1' x @CLIENTS,
       'for another ticket, too');

    $r->finish();
}


sub seconds {
    my ($code) = @_;

    my $began = time;
    $code->();

    return time - $began;
}


# Tickets that come of tickets do not prolong what a full handshake began.

sub lifetimes {
    my ($who) = @_;

    my $c = client($who, session => $began{$who});
    is(reused($c), 'r', "$who: resumed");
    my $session = $c->session() || $began{$who};

    sleep 0.05 until time >= $began + $SHORT + 1;

    is(reused(client($who, session => $session, uri => '/short')), '.',
       "$who: which is too long ago for some");
    is(reused(client($who, session => $session)), 'r',
       "$who: and not for others");
    is(reused(client($who, session => session($who), uri => '/short')), 'r',
       "$who: for the former it must be younger");
}


# Nor does a session that comes of a ticket.

sub rest {
    SKIP: {
        skip 'all this has taken too long', 1 if $resumed =~ /\./;

        sleep 0.05 until time >= $began + $REST + 1;

        my @statuses = map {
            $rest{$_}->get('/');
            $rest{$_}->last_response()->status();
        } @CLIENTS;

        is("@statuses", '410 410 410 410', 'resumed sessions have ended');
    }
}


# Keys are in the zone: they outlive workers and configurations.

sub lasting {
    my %s = sessions($t);

    is(all_reused($t, {}, %s), 'r' x @CLIENTS, 'at first');

    $t->reload();
    is(all_reused($t, {}, %s), 'r' x @CLIENTS, 'after a reload');

    $t->reload() for 1 .. 2;
    is(all_reused($t, {}, %s), 'r' x @CLIENTS, 'after two more');

    kill_workers();
    is(all_reused($t, {}, %s), 'r' x @CLIENTS, 'when all workers have died');

    # a session is with the server that the client has seen the certificate of

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


# Key files are for restarts, and for several servers.

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
    is(tickets(%same), '1 0 1 0', 'a ticket for each one of TLS 1.3');

    # the first one makes tickets, the others open them

    use_keys($t, 'new', 'old');
    $t->reload();
    is(all_reused($t, \my %renewed, %long), 'r' x @CLIENTS,
       'tickets of the last key but one');
    is(tickets(%renewed), '1 1 1 1', 'a ticket for each one');

    use_keys($t, 'new');
    $t->reload();

    is(all_reused($t, {}, %long), '.' x @CLIENTS, 'which are no good any more');

    # GnuTLS gives away what it has resumed in TLS 1.2, not what came of it

    my $reused = '';

    for my $who (grep { $_ ne 'gnutls, TLSv1.2' } @CLIENTS) {
        my $session = $renewed{$who}->session();

        $reused .= reused(client($who, session => $session));
    }

    is($reused, 'rrr', 'while the latter are');

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


# What is wrong with a key file is said when nginx starts.

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

    unlike($t->read_file('error.log'), qr/handshake failed/,
           'no handshake has failed');
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


# What is above is made of

sub configure {
    my ($instance, %args) = @_;

    my %values = (HTTP => '', LOCATIONS => '', SHORT => $SHORT, REST => $REST,
                  CERTIFICATE => 'localhost', %args);

    $values{CERTIFICATE} = $t->path($values{CERTIFICATE});

    $instance->write_conf($conf =~ s/%%(\w+)%%/$values{$1} \/\/ "%%$1%%"/egr);
}


sub client {
    my ($who, %args) = @_;

    my ($stack, $protocol) = split /, /, $who;

    return $t->stack($stack, protocol => $protocol, keepalive => 0, %args);
}


# What the server knows of a client; an error, if there is one.

sub seen {
    my ($c) = @_;

    my $r = ($c->state() eq 'established' || $c->handshake()) && $c->get('/');

    return $r ? $r->body() =~ /^(\w+) (\S*)$/mg : (reused => $c->error());
}


sub reused {
    my ($c) = @_;

    my %seen = seen($c);

    return $seen{reused};
}


# A session to be resumed; one for each client; whether they are all resumed,
# by whom, of clients, sessions and arguments.

sub session {
    my ($who, %args) = @_;

    my $c = client($who, %args);
    my $reused = reused($c);

    die "$who: no session: $reused\n" if $reused ne '.';

    return $c->session();
}


sub sessions {
    my ($instance, %args) = @_;

    return map { $_ => session($_, port => $instance->port(0), %args) }
           @CLIENTS;
}


sub all_reused {
    my ($instance, $clients, %args) = @_;

    my %sessions = map { $_ => delete $args{$_} } @CLIENTS;

    %$clients = map {
        $_ => client($_, session => $sessions{$_},
                     port => $instance->port(0), %args)
    } @CLIENTS;

    return join '', map { reused($clients->{$_}) } @CLIENTS;
}


# The ticket that a session consists of.

sub ticket {
    my ($who, $session) = @_;

    return client($who, session => $session)->offered_ticket();
}


sub random {
    my ($size) = @_;

    return join '', map { chr int rand 256 } 1 .. $size;
}
