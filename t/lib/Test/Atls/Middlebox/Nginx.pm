package Test::Atls::Middlebox::Nginx;

# Another nginx, which terminates TLS and has a pool of connections to the
# server.  Request and response bodies are buffered, as by default.

use strict;
use warnings;

use parent 'Test::Atls::Middlebox::Terminator';


sub program { (Test::Atls->binary(), 'nginx') }


sub prepare {
    my ($self, $program) = @_;

    $self->start_tap();
    $self->make_server_cert();

    my $dir = $self->{dir};
    my $temp = join "\n    ", map { "${_}_temp_path $dir/$_;" }
               qw( client_body proxy fastcgi uwsgi scgi );

    my ($listen_h2, $http2) = $self->{t}->http2();

    my $conf = $self->{t}->write_file($self->path('nginx.conf'), <<"EOC");
daemon off;
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/error.log info;

events { }

http {
    $temp
    client_body_buffer_size 64k;

    log_format all escape=none '\$request \$status \$content_type '
                               '\$http_x_marker \$sent_http_content_type '
                               '\$request_body';
    access_log $dir/access.log all;

    upstream behind {
        server 127.0.0.1:$self->{tap};
        keepalive 1;
    }

    server {
        listen 127.0.0.1:$self->{port} ssl $listen_h2;
        $http2
        ssl_certificate localhost.crt;
        ssl_certificate_key localhost.key;

        location / {
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header Host \$host;
            proxy_set_header Connection "";
        }
    }
}
EOC

    return ($program, '-p', "$dir/", '-e', "$dir/error.log", '-c', $conf);
}


sub speaks_h2 { $_[0]{t}->has_option('http_v2_module') }
sub log { $_[0]->read_file('access.log') }


1;
