package Test::Atls::Spanning;

# Servers, and clients with numbered POSTs, for tests of requests that span
# several POSTs.
#
#     use Test::Atls::Spanning;               # $t runs
#     my $c = client();
#     is(answers($c, "GET / HTTP/1.1\r\n..."), ..., 'an answer');

use strict;
use warnings;

use Exporter qw( import );
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;

our @EXPORT = qw(
    $t $backend client answers request goes_on last_worker
);

our $t = Test::Atls->new(workers => 4);

# With reuseport, connections are distributed among all workers, even if these
# are idle.

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format  outer  '$http_x_number $request_method $status $pid';
log_format  inner  '$atls $request_method $request_uri $status $pid';

proxy_http_version  1.1;
proxy_set_header    Connection "";
proxy_set_header    Host       $host;

client_max_body_size  0;

server {
    listen       127.0.0.1:%%PORT_0%% reuseport;
    server_name  localhost;

    access_log  %%TESTDIR%%/inner.log inner;

    location /.well-known/atls {
        atls on;
        access_log  %%TESTDIR%%/outer.log outer;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }

    location /unbuffered/ {
        proxy_request_buffering  off;
        proxy_buffering          off;
        proxy_pass http://127.0.0.1:%%PORT_1%%/;
    }

    location /recorded/ {
        proxy_pass http://127.0.0.1:%%PORT_2%%/;
    }

    location /return {
        return 200 "returned\n";
    }

    location /missing {
        root %%TESTDIR%%;
    }

    location /impatient {
        client_body_timeout  1s;
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}

server {
    listen       127.0.0.1:%%PORT_3%% reuseport;
    server_name  localhost;

    client_header_timeout  3s;
    access_log             %%TESTDIR%%/inner.log inner;

    location /.well-known/atls {
        atls on;
        access_log  %%TESTDIR%%/outer.log outer;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}

server {
    listen       127.0.0.1:%%PORT_4%%;
    server_name  localhost;

    location / {
        stub_status;
    }
}
EOC

our $backend = Test::Atls::Backend->start($t, $t->port(1));

my $number = 0;

$t->run();


sub client {
    my (%args) = @_;

    my $c = $t->client(keepalive => 0, timeout => 30,
                       number => ++$number, %args);

    $c->handshake() or diag('handshake: ' . $c->error());

    return $c;
}


# Sends each piece of plaintext in a POST.  Returns the decrypted responses, or
# statuses other than 200.

sub answers {
    my ($c, @pieces) = @_;

    my @answers;

    for my $piece (@pieces) {
        $c->write_plain($piece);
        $c->exchange($c->tls_out());

        my $r = $c->last_response();

        push @answers, !$r ? 'none' : $r->status() != 200 ? $r->status()
                       : $c->read_plain();
    }

    return @answers;
}


sub request {
    return Test::Atls::Client::format_request(@_);
}


sub goes_on {
    my ($c, $name) = @_;

    my $r = $c->get('/return');

    is($r && $r->body(), "returned\n", "$name: the session goes on");
}


# The worker that has accepted the last POST of a client.  Waits until all of
# its POSTs are logged.  Lines are in any order: a POST is logged after its
# response, and another worker may have logged the next one by then.

sub last_worker {
    my ($c) = @_;

    my $n = $c->number();
    my %pids;

    $t->wait_for(sub {
        %pids = $t->read_file('outer.log') =~ /^$n\.(\d+) POST \d+ (\d+)$/mg;
        return keys %pids >= $c->posts();
    });

    return $pids{$c->posts()};
}


1;
