package Test::Atls::Conf;

# The directory of a test, with files, certificates, ports and the nginx
# configuration.  The base class of Test::Atls.
#
#     $t->write_http(<<'EOC');
#     %%CERTIFICATE%%
#
#     server {
#         listen 127.0.0.1:%%PORT_0%%;
#         ...
#     }
#     EOC
#
# is short for
#
#     $t->make_cert('localhost');
#     $t->write_conf(<<'EOC');
#     %%GLOBALS%%
#
#     events { }
#
#     http {
#         %%GLOBALS_HTTP%%
#
#         atls_certificate %%TESTDIR%%/localhost.crt;
#         atls_certificate_key %%TESTDIR%%/localhost.key;
#
#         server {
#             listen 127.0.0.1:%%PORT_0%%;
#             ...
#         }
#     }
#     EOC
#
# http_conf() returns the text that write_http() writes, for tests that modify
# it.
#
# Placeholders in a configuration:
#
#     %%GLOBALS%%             the module, the error log, ...
#     %%GLOBALS_HTTP%%        paths
#     %%TESTDIR%%             the directory
#     %%PORT_n%%              a free port
#     %%CERTIFICATE%%         atls_certificate and atls_certificate_key for
#                             localhost; creates the certificate if necessary
#     %%CERTIFICATE_name%%    the same for another name
#     %%SSL_CERTIFICATE%%     ssl_certificate and ssl_certificate_key
#     %%SSL_CERTIFICATE_name%%

use strict;
use warnings;

use Exporter qw( import );
use File::Basename qw( dirname );
use File::Path qw( make_path );

use Test::Atls::Cert;
use Test::Atls::Port qw( free_port );

our @EXPORT_OK = qw( http_conf );


# The n-th port of this test, which does not change.

sub port {
    my ($self, $n) = @_;

    return $self->{ports}{$n || 0} ||= free_port();
}


# files, relative to the test's directory

sub dir { $_[0]{dir} }


sub path {
    my ($self, $name) = @_;

    return $name =~ m!^/! ? $name : "$self->{dir}/$name";
}


sub write_file {
    my ($self, $name, $content) = @_;

    my $path = $self->path($name);
    make_path(dirname($path));

    open my $fh, '>:raw', $path or die "$path: $!\n";
    print $fh $content;
    close $fh or die "$path: $!\n";

    return $path;
}


# By another file: on reload, nginx since 1.27.4 does not read one again that has
# the same inode and time, in seconds.

sub replace_file {
    my ($self, $name, $content) = @_;

    my $path = $self->path($name);

    rename $self->write_file("$name.new", $content), $path
        or die "$path: $!\n";

    return $path;
}


sub read_file {
    my ($self, $name) = @_;

    open my $fh, '<:raw', $self->path($name) or return '';
    local $/;
    my $content = <$fh>;

    return defined $content ? $content : '';
}


sub make_cert {
    my ($self, $name, %args) = @_;

    return Test::Atls::Cert::make($self->{dir}, $name, %args);
}


# Writes the parameters of ffdhe2048 (RFC 7919).

sub make_dhparam {
    my ($self, $name) = @_;

    return $self->write_file($name, <<'EOC');
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
EOC
}


# configuration

# http_conf($text, events => '...', main => '...'): the content of http { }, of
# events { }, and of the main context.

sub http_conf {
    my ($text, %args) = @_;

    my ($main, $events) = map { defined $_ ? $_ : '' } @args{qw( main events )};

    return <<"EOC";
%%GLOBALS%%
$main

events { $events }

http {
    %%GLOBALS_HTTP%%

$text}
EOC
}


sub write_http {
    my ($self, @args) = @_;

    return $self->write_conf(http_conf(@args));
}


# An endpoint and a short response, with other directives of http { }.

sub write_inner {
    my ($self, $directives) = @_;

    return $self->write_http(($directives || '') . "\n" . <<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location / {
        return 200 "inner\n";
    }
}
EOC
}


sub write_conf {
    my ($self, $text) = @_;

    $self->write_file('nginx.conf', $self->expand($text));

    return $self;
}


# HTTP/2 as the version of nginx has it: a parameter of "listen", and a
# directive; empty strings if it is not compiled in.

sub http2 {
    my ($self) = @_;

    return !$self->has_option('http_v2_module') ? ('', '')
           : $self->has_version('1.25.1') ? ('', 'http2 on;') : ('http2', '');
}


sub expand {
    my ($self, $text, %args) = @_;

    $text =~ s/%%GLOBALS%%/$self->_globals(%args)/eg;
    $text =~ s/%%GLOBALS_HTTP%%/$self->_globals_http()/eg;
    $text =~ s/%%(SSL_|)CERTIFICATE(?:_(\w+))?%%/
               $self->_certificate(lc $1 || 'atls_', $2 || 'localhost')/egx;
    $text =~ s/%%TESTDIR%%/$self->{dir}/g;
    $text =~ s/%%PORT_(\d+)%%/$self->port($1)/eg;

    return $text;
}


sub _globals {
    my ($self, %args) = @_;

    my $log = $args{error_log} || 'error.log';
    my $level = $ENV{TEST_NGINX_DEBUG} ? 'debug' : $self->{log_level} || 'info';
    my $module = $self->module();

    my $globals = $module ? "load_module $module;\n" : '';

    return $globals . <<"EOC";
daemon off;
user root;
worker_processes $self->{workers};
pid $self->{dir}/nginx.pid;
error_log $self->{dir}/$log $level;
EOC
}


sub _globals_http {
    my ($self) = @_;

    my $dir = $self->{dir};

    my @temp = map { "    ${_}_temp_path $dir/temp_$_;\n" }
               qw( client_body proxy fastcgi uwsgi scgi );

    return "root $dir;\n    access_log off;\n" . join('', @temp);
}


sub _certificate {
    my ($self, $prefix, $name) = @_;

    $self->make_cert($name) unless -e $self->path("$name.crt");

    return "${prefix}certificate $self->{dir}/$name.crt;\n"
           . "${prefix}certificate_key $self->{dir}/$name.key;";
}


1;
