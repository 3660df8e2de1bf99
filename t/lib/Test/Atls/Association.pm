package Test::Atls::Association;

# Associations: obtained in sessions, and used in TLS connections by programs
# that know nothing of ATLS.
#
#     $t->write_http(endpoints() . accepting(1, '$atls_association'));
#
#     my $a = obtain($t, uri => '/reuse');    # { identity => , key => , ... }
#     $a = prepare($c);                       # in the session of a client
#     my $r = direct($t, 443, $a);            # openssl s_client
#     is("$r->{status} $r->{body} $r->{psk}", '200 hello 1', 'by its key');
#     $r = direct($t, 443, $a, gnutls => 1, uri => '/', host => 'localhost',
#                 sni => 'localhost', options => [ '-tls1_3' ]);
#     $r = direct($t, 443, $a, tls12 => 1);   # priority => more of GnuTLS
#     $r = direct($t, 443);                   # without a key

use strict;
use warnings;

use Digest::SHA qw( hmac_sha256_hex );
use Exporter qw( import );
use Test::Atls::Program qw( run_program );

our @EXPORT = qw(
    endpoints accepting obtain prepare ask direct tls12 $ASSOCIATION_URI
);

our $ASSOCIATION_URI = '/.well-known/atls-association';

use constant LABEL => 'application-layer-tls-association';


# Parts of the configuration: endpoints, at port 0, where associations are for
# one use, and for several ("/reuse"); other => more of this server.

sub endpoints {
    my (%args) = (other => '', @_);

    return <<"EOC";
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%
ssl_protocols TLSv1.2 TLSv1.3;
atls_association 30d;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location = /reuse {
        atls on;
        atls_association 30d reuse;
    }

    $args{other}
}
EOC
}


# A TLS server, and its response: name => of the server, listen => parameters,
# other => directives.

sub accepting {
    my ($port, $response, %args) = @_;

    %args = (name => 'localhost', listen => 'ssl', other => '', %args);

    return <<"EOC";
server {
    listen 127.0.0.1:%%PORT_$port%% $args{listen};
    server_name $args{name};
    atls_association_accept on;
    $args{other}

    location / {
        return 200 "$response";
    }
}
EOC
}


# An association of a new session, with the arguments of $t->client().

sub obtain {
    my ($t, %args) = @_;

    return prepare($t->established(%args));
}


# The response to a request for an association.

sub ask {
    my ($c, $method, %headers) = @_;

    return $c->http($c->can('format_request')
                    ->($method || 'POST', $ASSOCIATION_URI, '',
                       'Content-Length' => 0, %headers));
}


# An association, with its key in hexadecimal; undef if the server gives none.

sub prepare {
    my ($c) = @_;

    my $r = ask($c);
    return undef unless $r && $r->status() == 200;

    my ($identity, $context, $expires, $reusable)
        = $r->body() =~ /^\{"identity":"([\w-]+)","context":"([0-9a-f]{32})",
                          "expires":(\d+),"reusable":(true|false)\}\n$/x
        or return undef;

    return { identity => $identity, expires => $expires,
             reusable => $reusable,
             context  => $context,
             key      => $c->export(LABEL, 32, pack 'H*', $context . '0304') };
}


# The same association, with the key of TLS 1.2.

sub tls12 {
    my ($a) = @_;

    return { %$a, key => hmac_sha256_hex('atls association TLS 1.2',
                                         pack 'H*', $a->{key}) };
}


# A request to a TLS server.  psk: the key was used, in TLS 1.3.

sub direct {
    my ($t, $port, $a, %args) = @_;

    my $host = $args{host} || 'localhost';
    my $sni = defined $args{sni} ? $args{sni} : 'localhost';
    my $request = $args{request}
                  || 'GET ' . ($args{uri} || '/') . " HTTP/1.1\r\n"
                     . "Host: $host\r\nConnection: close\r\n\r\n";

    $a = tls12($a) if $a && $args{tls12};

    my @command = $args{gnutls} ? _gnutls($port, $a, $sni, %args)
                                : _openssl($port, $a, $sni, %args);

    my $r = run_program($t, @command, @{$args{options} || []},
                        { stdin => $request });

    # the programs print other lines before and after the response

    my ($status, $length, $text)
        = $r->{out} =~ m{HTTP/1\.1\ (\d+)\ .*?
                         Content-Length:\ (\d+)\r\n.*?\r\n\r\n(.*)}sx;

    return { status => $status || 0,
             body   => defined $text ? substr($text, 0, $length) : '',
             psk    => ($r->{out} =~ /^Reused, |- PSK authentication|\(PSK\)/m
                        ? 1 : 0),
             out    => $r->{out}, err => $r->{err}, code => $r->{code} };
}


sub _openssl {
    my ($port, $a, $sni, %args) = @_;

    return ('openssl', 's_client', '-connect', "127.0.0.1:$port", '-ign_eof',
            $sni eq '' ? '-noservername' : ('-servername', $sni),
            $args{tls12} ? ('-tls1_2', '-cipher', 'ECDHE-PSK-CHACHA20-POLY1305')
                         : (),
            $a ? ('-psk', $a->{key}, '-psk_identity', $a->{identity}) : ());
}


sub _gnutls {
    my ($port, $a, $sni, %args) = @_;

    my $priority = $args{tls12}
        ? 'NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-PSK'
          . ':-CIPHER-ALL:+CHACHA20-POLY1305' . ($args{priority} || '')
        : 'NORMAL:+ECDHE-PSK:+DHE-PSK';

    return ('gnutls-cli', '127.0.0.1', '-p', $port, '--no-ca-verification',
            $sni eq '' ? '--disable-sni' : ('--sni-hostname', $sni),
            $a ? ('--pskusername', $a->{identity}, '--pskkey', $a->{key},
                  '--priority', $priority) : ());
}


1;
