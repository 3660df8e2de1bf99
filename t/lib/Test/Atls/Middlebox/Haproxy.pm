package Test::Atls::Middlebox::Haproxy;

# haproxy, which terminates TLS and has a pool of connections to the server.

use strict;
use warnings;

use parent 'Test::Atls::Middlebox::Terminator';


sub program { qw( haproxy haproxy ) }


sub prepare {
    my ($self, $program) = @_;

    $self->start_tap();
    $self->make_server_cert();

    $self->{t}->write_file($self->path('server.pem'),
                           $self->read_file('localhost.crt')
                           . $self->read_file('localhost.key'));

    my $dir = $self->{dir};
    my $more = $self->{more} || '';
    my $conf = $self->{t}->write_file($self->path('haproxy.cfg'), <<"EOC");
global
    log stdout len 8192 format raw local0
    nbthread 1

defaults
    mode http
    log global
    timeout connect 10s
    timeout client 60s
    timeout server 60s

frontend tls
    bind 127.0.0.1:$self->{port} ssl crt $dir/server.pem alpn h2,http/1.1
    capture request header Content-Type len 100
    capture request header X-Marker len 100
    capture response header Content-Type len 100
    log-format "%HM %HU %ST %{+Q}hr %{+Q}hs"
    default_backend behind

backend behind
    http-reuse always
$more    server nginx 127.0.0.1:$self->{tap}
EOC

    return ($program, '-db', '-f', $conf);
}


sub speaks_h2 { 1 }
sub log { $_[0]->read_file('out') }


1;
