package Test::Atls::Tickets;

# Servers and clients for tests of session tickets.
#
#     use Test::Atls::Tickets;                # $t runs
#     my $session = session('gnutls, TLSv1.3');
#     is(reused(client('gnutls, TLSv1.3', session => $session)), 'r',
#        'resumed');
#     no_failures();
#     $t->done_testing();
#
# A client is named by its stack and protocol.  Each POST has a connection of
# its own.

use strict;
use warnings;

use Exporter qw( import );
use Test::More;

use Test::Atls;
use Test::Atls::Slow qw( slow );
use Test::Atls::Stack qw( @STACKS );

our @EXPORT = qw(
    @PROTOCOLS @CLIENTS $WORKERS $SHORT $REST $t configure client seen reused
    session sessions all_reused ticket no_failures
);

our @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );
our @CLIENTS = map { my $stack = $_; map { "$stack, $_" } @PROTOCOLS } @STACKS;

our $WORKERS = 4;
our $SHORT = 2 * slow();            # lifetimes, in seconds
our $REST = 2 * $SHORT;

# With reuseport, connections are distributed among all workers.  The first POST
# of a session has no cookie.

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

our $t = Test::Atls->new(workers => $WORKERS);

$t->make_cert($_) for qw( localhost another client );
configure($t);

$t->run();


# Placeholders of the configuration can be set.  Certificates are those of $t.

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


# Variables of the server; an error as "reused".

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


# Returns a session that can be resumed.

sub session {
    my ($who, %args) = @_;

    my $c = client($who, %args);
    my $reused = reused($c);

    die "$who: no session: $reused\n" if $reused ne '.';

    return $c->session();
}


# Returns a session for each client.

sub sessions {
    my ($instance, %args) = @_;

    return map { $_ => session($_, port => $instance->port(0), %args) }
           @CLIENTS;
}


# Whether the sessions of all clients are resumed, a character for each.  Stores
# the clients.

sub all_reused {
    my ($instance, $clients, %args) = @_;

    my %sessions = map { $_ => delete $args{$_} } @CLIENTS;

    %$clients = map {
        $_ => client($_, session => $sessions{$_},
                     port => $instance->port(0), %args)
    } @CLIENTS;

    return join '', map { reused($clients->{$_}) } @CLIENTS;
}


# Returns the ticket of a session.

sub ticket {
    my ($who, $session) = @_;

    return client($who, session => $session)->offered_ticket();
}


sub no_failures {
    unlike($t->read_file('error.log'), qr/handshake failed/,
           'no handshake has failed');
}


1;
