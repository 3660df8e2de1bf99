package Test::Atls::EarlyData;

# Servers and clients for tests of early data.
#
#     use Test::Atls::EarlyData;              # $t runs
#     my $c = early('gnutls', session('gnutls'), get('/echo'));
#     is(seen($c->early_response()), ..., 'early data');

use strict;
use warnings;

use Exporter qw( import );
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( send_all );
use Test::Atls::Outer;
use Test::Atls::Slow qw( patience slow );

our @EXPORT = qw(
    $WORKERS $SHORT $t $backend $gate gate answer_gate ended gone
    early_seen outer wait_until configure client early answered session here
    variables served request get status seen
);

our $WORKERS = 4;
our $SHORT = 2 * slow();                # timeouts, in seconds

my $HANDSHAKE = 5 * slow();             # with a reload in it

# With reuseport, connections are distributed among all workers.  The first POST
# of a session has no cookie.

my $conf = http_conf(<<'EOC');
log_format outer '$pid "$http_cookie" $upstream_addr';

%%HTTP%%

atls_certificate %%CERTIFICATES%%/localhost.crt;
atls_certificate_key %%CERTIFICATES%%/localhost.key;
atls_handshake_timeout %%HANDSHAKE%%s;

atls_early_data on;

proxy_set_header Early-Data $atls_early_data;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    server_name localhost;

    access_log %%TESTDIR%%/outer.log outer;

    location = /.well-known/atls {
        atls on;
    }

    location = /pinned {
        atls on;
        atls_buffer_size 1k;
        atls_conf_command RecordPadding 4096;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /no-lingering {
        atls on;
        lingering_close off;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /raw {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/body;
    }

    location = /raw-refused {
        atls on;
        atls_payload raw;
        proxy_pass http://127.0.0.1:%%PORT_1%%/status?code=403;
    }

    location = /off {
        atls on;
        atls_early_data off;
    }

    location = /short {
        atls on;
        atls_handshake_timeout %%SHORT%%s;
        error_log %%TESTDIR%%/short.log info;
    }

    location = /p384 {
        atls on;
        atls_ecdh_curve secp384r1;
    }

    location = /clients {
        atls on;
        atls_verify_client on;
        atls_client_certificate %%CERTIFICATES%%/client.crt;
    }

    location / {
        access_log off;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location = /unbuffered {
        access_log off;
        proxy_request_buffering off;
        proxy_http_version 1.1;
        proxy_pass http://127.0.0.1:%%PORT_1%%/body;
    }

    location = /careful {
        access_log off;
        proxy_pass http://127.0.0.1:%%PORT_2%%;
    }

    location = /down {
        access_log off;
        proxy_pass http://127.0.0.1:%%PORT_3%%;
    }

    location = /gate {
        access_log off;
        proxy_pass http://127.0.0.1:%%PORT_5%%;
    }

    location = /here {
        access_log off;
        return 200 "early $atls_early_data
reused $atls_session_reused
requests $atls_session_requests
name $atls_server_name
client $atls_client_verify $atls_client_s_dn
";
    }
}

server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name off.test;

    atls_early_data off;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "early $atls_early_data\n";
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name other.test;

    atls_early_data off;

    location = /.well-known/atls {
        atls on;
    }
}

server {
    listen 127.0.0.1:%%PORT_4%%;
    server_name on.test;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "early $atls_early_data\n";
    }
}

# a backend that supports RFC 8470

server {
    listen 127.0.0.1:%%PORT_2%%;

    location / {
        if ($http_early_data = 1) {
            return 425 "too early\n";
        }

        return 200 "not too early\n";
    }
}
EOC

our $t = Test::Atls->new(workers => $WORKERS);

$t->make_cert($_) for qw( localhost client );
$t->write_file('ticket.key', 'k' x 80);
configure($t);
$t->run();

our $backend = Test::Atls::Backend->start($t, $t->port(1));

# a backend that responds when the test calls gate()

our $gate = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128,
                                 LocalPort => $t->port(5), ReuseAddr => 1,
                                 Timeout => patience())
    or die "gate: $!\n";


# Accepts a request at the gate, and begins the response.

sub gate {
    my ($rest) = @_;

    my $s = $gate->accept() or die "nobody is at the gate\n";

    return answer_gate($s, $rest);
}


sub answer_gate {
    my ($s, $rest) = @_;

    my $head = '';

    until ($head =~ /\r\n\r\n/) {
        sysread $s, $head, 1000, length $head or last;
    }

    send_all($s, "HTTP/1.1 200 OK\r\n$rest");

    return $s;
}


# The session ends with the next request, which is not served.

sub ended {
    my ($name, $c) = @_;

    my $cookie = $c->cookie();
    my $before = served('/echo?ended');

    is($c->request(get('/echo?ended')), '', "$name: no more of it");
    is($c->state(), 'closed', "$name: close_notify") or diag($c->error());
    is($c->cookie(), undef, "$name: no cookie");
    gone($c, $cookie, "$name: gone");
    is(served('/echo?ended'), $before, "$name: no other response");
}


sub gone {
    my ($c, $cookie, $name) = @_;

    is(status($c->post("\x17\x03\x03\x00\x20" . 'x' x 32,
                       cookie => "atls=$cookie")), 410, $name);
}


sub early_seen {
    my ($r) = @_;

    return $r && $r->body() =~ /^early (.*)$/m ? $1 : undef;
}


sub outer {
    return Test::Atls::Outer->new(port => $t->port(0), keepalive => 0,
                                  uri => '/.well-known/atls', @_);
}


sub wait_until {
    my ($time) = @_;

    my $left = $time - time;
    sleep $left if $left > 0;
}


# Placeholders of the configuration can be set.  Certificates are those of $t.

sub configure {
    my ($instance, %args) = @_;

    my %values = (HTTP => '', HANDSHAKE => $HANDSHAKE, SHORT => $SHORT,
                  CERTIFICATES => $t->dir(), %args);

    $instance->write_conf(
        $conf =~ s/%%([A-Z]+)%%/$values{$1} \/\/ "%%$1%%"/egr);
}


sub client {
    my ($stack, %args) = @_;

    return $t->stack($stack, protocol => 'TLSv1.3', keepalive => 0, %args);
}


# A client that has sent early data and received the response.

sub early {
    my ($stack, $session, $data, %args) = @_;

    my $c = client($stack, session => $session, early => $data, %args);
    $c->handshake();

    return $c;
}


# Reads the response of a POST.

sub answered {
    my ($c) = @_;

    my $r = $c->post_receive();

    $c->tls_in($r->body()) if $r;
}


# Returns a session that can be resumed.

sub session {
    my ($stack, %args) = @_;

    my $raw = delete $args{raw};
    my $c = client($stack, %args);

    $c->handshake() && ($raw ? $c->request('raw') : $c->get('/here'));
    my $session = $c->session();

    die "$stack: no session: ", $c->error(), "\n" if $session eq '';

    return $session;
}


# Variables in the response: early data, reused, the number of the request.

sub here {
    my ($c) = @_;

    $c->early_responses();          # discards them

    my $r = $c->get('/here');

    return status($r) eq '200' ? variables($r, qw( early reused requests ))
                               : $c->error() || status($r);
}


sub variables {
    my ($r, @names) = @_;

    my %seen = $r ? $r->body() =~ /^(\w+) (.*)$/mg : ();

    return join ' ', map { defined $seen{$_} ? $seen{$_} : 'none' } @names;
}


# The number of requests served by the backend.

sub served {
    my ($uri) = @_;

    return scalar grep { $_->{uri} eq $uri } $backend->requests();
}


sub request { Test::Atls::Client::format_request(@_) }


sub get { request('GET', $_[0], '') }


sub status { $_[0] ? $_[0]->status() : 'none' }


# The request line and Early-Data headers received by the backend.

sub seen {
    my ($r) = @_;

    return 'none' unless $r;

    my ($line) = $r->body() =~ m!^(\S+ \S+) HTTP!;
    my @early = $r->body() =~ /^(Early-Data: .*)$/mg;

    return join ', ', $line || $r->body(), @early;
}


1;
