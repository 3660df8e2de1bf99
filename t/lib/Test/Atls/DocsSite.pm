package Test::Atls::DocsSite;

# nginx with configurations of the documentation, and a backend:
#
#     my $t = Test::Atls::DocsSite->new();
#     $t->serve(block('nginx', 'README.md', 'Configuration'), sub { ... });
#
# /etc/nginx/certs, /var/log/nginx and /var/www are replaced by directories of
# the test, 8080, 8081 and 443 by ports of nginx, and 9000 by the port of the
# backend.  Parts of a configuration are completed; a server is complete, and
# has a certificate of its own.

use strict;
use warnings;

use Test::Atls::Backend;

use parent 'Test::Atls';


sub new {
    my ($class, %args) = @_;

    my $self = $class->SUPER::new(workers => 1, %args);

    $self->write_file("$_/.keep", '') for qw( certs log www/html );
    $self->{backend} = Test::Atls::Backend->start($self, $self->port(1));

    return $self;
}


sub backend { $_[0]{backend} }


sub localized {
    my ($self, $text) = @_;

    my ($nginx, $service) = ($self->port(0), $self->port(1));

    $text =~ s{/etc/nginx/certs}{$self->path('certs')}ge;
    $text =~ s{/var/log/nginx}{$self->path('log')}ge;
    $text =~ s{/var/www}{$self->path('www')}ge;
    $text =~ s{\blisten( +)8080}{listen${1}127.0.0.1:$nginx}g;
    $text =~ s{\blisten( +)8081}{listen${1}127.0.0.1:@{[ $self->port(2) ]}}g;
    $text =~ s{\blisten( +)443}{listen${1}127.0.0.1:@{[ $self->port(3) ]}}g;
    $text =~ s{\blisten( +)10\.0\.0\.1:9443}{listen${1}127.0.0.1:@{[ $self->port(4) ]}}g;
    $text =~ s{\blisten( +)8443}{listen${1}127.0.0.1:@{[ $self->port(5) ]}}g;
    $text =~ s{\b8443\b}{$self->port(5)}ge;
    $text =~ s{\b8080\b}{$nginx}g;
    $text =~ s{\b127\.0\.0\.1:9000\b}{127.0.0.1:$service}g;

    return $text;
}


# Completes a part of a configuration.

sub whole {
    my ($self, $text) = @_;

    my %outermost = map { $_ => 1 } $text =~ /^(\w+)/mg;

    $text = $self->localized($text);

    if (!$outermost{http}) {
        my $certs = $self->path('certs');

        $text = "server {\nlisten 127.0.0.1:" . $self->port(0) . ";\n"
                . "atls_certificate $certs/localhost.crt;\n"
                . "atls_certificate_key $certs/localhost.key;\n$text}\n"
            if $outermost{location};
        $text = "events {\n}\nhttp {\n$text}\n";
    }

    $text =~ s/^load_module .*\n//mg;
    $text =~ s/^http \{\n/http {\n%%GLOBALS_HTTP%%\n/m;

    return "%%GLOBALS%%\n$text";
}


# Runs nginx with a configuration while the function is called.

sub serve {
    my ($self, $text, $code) = @_;

    $self->write_conf($self->whole($text))->run();
    $self->{backend}->forget();
    $code->();
    $self->stop();
}


1;
