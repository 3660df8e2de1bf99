package Test::Atls::Middlebox::Squid;

# squid, as a forward proxy that intercepts TLS inside CONNECT with ssl-bump;
# with bump => 0, it does not intercept.  Decrypted messages are sent to a
# scanner, except for responses without a length, since some versions hang with
# long ones (Squid bug 5352).  The dump is the record of the scanner.
#
#     scanner => port       port of the scanner

use strict;
use warnings;

use Test::Atls::Icap;

use parent 'Test::Atls::Middlebox';

my $CERTGEN = '/usr/lib/squid/security_file_certgen';


# Debian's squid package does not support TLS

sub program { ('squid', 'squid-openssl') }


sub _bumps { !defined $_[0]{bump} || $_[0]{bump} }


sub prepare {
    my ($self, $program) = @_;

    my $conf = $self->{t}->write_file($self->path('squid.conf'),
        $self->_conf() . ($self->_bumps() ? $self->_conf_bump()
                          : "http_port 127.0.0.1:$self->{port}\n"));

    $self->_make_store() if $self->_bumps();
    $self->{icap} = Test::Atls::Icap->start($self->{t}, $self->{scanner});

    # squid drops root privileges

    if ($> == 0) {
        my $user = getpwnam 'proxy';
        system('chown', '-R', $user, $self->{dir}) == 0 or die "chown: $!\n";
    }

    return ($program, '-N', '-f', $conf, '-n', "atls$self->{port}");
}


sub _make_store {
    my ($self) = @_;

    my $out = $self->path('certgen.out');
    my $store = $self->path('ssl_db');

    -x $CERTGEN or die "no $CERTGEN: is squid-openssl installed?\n";
    system("$CERTGEN -c -s $store -M 4MB >$out 2>&1") == 0
        or die "$CERTGEN:\n" . $self->read_file('certgen.out');
}


sub _conf {
    my ($self) = @_;

    my $scanner = "icap://127.0.0.1:$self->{scanner}";

    return <<"EOC";
visible_hostname middlebox
pid_filename $self->{dir}/squid.pid
cache_log $self->{dir}/cache.log
logformat headers %rm %ru %>Hs [%>h] [%<h]
access_log stdio:$self->{dir}/access.log headers
strip_query_terms off
coredump_dir $self->{dir}
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
http_access allow all
cache deny all
acl short rep_header Content-Length .
icap_enable on
icap_service ask reqmod_precache bypass=off $scanner/request
icap_service answer respmod_precache bypass=off $scanner/response
adaptation_access ask allow all
adaptation_access answer allow short
EOC
}


sub _conf_bump {
    my ($self) = @_;

    return <<"EOC";
http_port 127.0.0.1:$self->{port} ssl-bump generate-host-certificates=on \\
    tls-cert=$self->{dir}/ca.crt tls-key=$self->{dir}/ca.key
sslcrtd_program $CERTGEN -s $self->{dir}/ssl_db -M 4MB
sslcrtd_children 1 startup=1
tls_outgoing_options cafile=$self->{trust}
acl begin at_step SslBump1
ssl_bump peek begin
ssl_bump bump all
EOC
}


# Immediately: after SIGTERM, it waits for clients.

sub stop {
    my ($self) = @_;

    kill 'INT', $self->{pid} if $self->{pid};
    $self->SUPER::stop();
}


sub log { $_[0]->read_file('access.log') }


sub dump { $_[0]{icap} ? $_[0]{icap}->seen() : '' }


1;
