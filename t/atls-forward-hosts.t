#!/usr/bin/perl

# atls forward and web pages: requests must have the address of the listener or
# localhost as Host, and no other origin, unless allowed by --allow-host.  This
# applies to the name of the service, too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::IP;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Command;
use Test::Atls::Http qw( send_all );
use Test::Atls::LocalServer qw( connection_end message next_answer );
use Test::Atls::Port qw( free_port );

my $t = Test::Atls->new(workers => 2);

$t->make_cert('service', san => 'DNS:service.example');

my $backend = Test::Atls::Backend->start($t, $t->port(1));

$t->write_http(<<'EOC');
%%CERTIFICATE_service%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$t->run();

my $atls = Test::Atls::Command->new($t);
my $via = 'http://127.0.0.1:' . $t->port(0) . '/.well-known/atls';
my ($f, $port);

subtest('hosts' => \&hosts);
subtest('request targets' => \&targets);
subtest('web pages' => \&pages);
subtest('all addresses' => \&wildcard);
subtest('a listener with a name' => \&named);
subtest('hosts that are allowed' => \&allowed);
subtest('any host' => \&any_host);
subtest('command line' => \&command_line);

$t->done_testing();


sub forward {
    $f = Test::Atls::LocalServer->start($atls, 'forward', '--via', $via,
                                        '--cacert', $t->path('service.crt'),
                                        @_, 'https://service.example');
    $port = $f->port();
    $backend->forget();
}


# Stops it.  Refused requests were not sent to the service.

sub over {
    my ($good) = @_;

    is(scalar $backend->requests(), $good, 'nothing else was sent');
    is($f->stop()->{code}, 0, 'exit code');
    done_testing();
}


# The status of the response to a request from an address.

sub status {
    my ($address, $line, @lines) = @_;

    my $s = IO::Socket::IP->new(PeerHost => $address, PeerPort => $port)
            or die "$address: $@\n";

    send_all($s, message(join "\n", $line, @lines));

    return next_answer($s)->status();
}


sub host { return status('127.0.0.1', 'GET /status?code=201', "Host: $_[0]") }


sub hosts {
    forward();

    my @own = qw( localhost LocalHost 127.0.0.1 );
    my @others = qw( service.example SERVICE.example service.example. [::1]
                     0.0.0.0 [::] 127.0.0.2 10.1.2.3 [2001:db8::1]
                     [::ffff:127.0.0.1] example.com xlocalhost
                     localhost.example.com my.localhost localhost. .localhost
                     127.0.0.1.example.com 127.0.0.1. 127.1 0x7f000001
                     2130706433 0177.0.0.1 [::1.example.com [x] [127.0.0.1]
                     [localhost] ::1 a@localhost localhost@a );

    for my $host (@own) {
        is(host($_), 201, "Host: $_") for $host, "$host:$port";
    }

    for my $host (@others) {
        is(host($_), 421, "Host: $_") for $host, "$host:$port";
    }

    is(host($_), 421, "Host: $_")
        for '', ":$port", 'localhost:', 'localhost:1', "localhost:$port:$port",
            "localhost:+$port", "localhost: $port", "localhost:${port}0",
            "localhost:" . ($port + 65536), "localhost/:$port",
            "localhost $port", "[localhost:$port", "a,localhost:$port";

    is(status('127.0.0.1', 'GET /status?code=201', 'Host: localhost', $_), 400,
       "twice: $_") for 'Host: localhost', 'Host: service.example', 'host:';

    my $s = $f->connect("POST /body\nHost: a.b\nContent-Length: 5\n\nbytes");
    is(next_answer($s)->status() . connection_end($s), '421closed',
       'a body is not read');
    $s = $f->connect("GET /\nHost: a.b");
    my $r = next_answer($s);
    is($r->header('Connection'), undef, 'with none, it is kept');
    like($r->body(), qr/--allow-host/, 'it says what to do');

    over(2 * @own);
}


# The host of an absolute URL takes precedence, as for a proxy.

sub targets {
    forward();

    my $get = sub {
        return status('127.0.0.1', "GET $_[0]/status?code=201", $_[1] || ());
    };

    for my $url (map { ("http://$_", "http://$_:$port") }
                 qw( localhost LOCALHOST 127.0.0.1 ))
    {
        is($get->($url), 201, $url);
    }

    for my $host (qw( service.example example.com [::1] 0.0.0.0 localhost. )) {
        is($get->("http://$host"), 421, $host);
        is($get->("http://$host:$port", "Host: localhost:$port"), 421,
           "$host, whatever Host says");
    }

    is($get->("http://localhost:1"), 421, 'another port');
    is($get->("http://localhost", 'Host: a.b'), 201, 'whatever Host says');
    is(status('127.0.0.1', 'GET /status?code=201 HTTP/1.0'), 201, 'none');
    is($get->("http://$_"), 400, $_) for 'a@localhost', 'localhost@a';

    over(8);
}


# Requests that a browser would send for a page of another origin.

sub pages {
    forward();

    my @cases = (
        [ 201, "Origin: http://127.0.0.1:$port" ],
        [ 201, "Origin: HTTP://Localhost:$port" ],
        [ 201, "Origin: http://localhost:$port", 'Sec-Fetch-Site: same-origin',
               "Host: localhost:$port" ],
        [ 403, 'Origin: http://service.example' ],
        [ 403, "Origin: http://service.example:$port" ],
        [ 403, 'Origin: https://service.example' ],
        [ 403, 'Origin: http://localhost' ],
        [ 403, 'Origin: http://localhost:3000' ],
        [ 403, "Origin: https://localhost:$port" ],
        [ 403, "Origin: http://[::1]:$port" ],
        [ 403, "Origin: http://0.0.0.0:$port" ],
        [ 403, "Origin: http://localhost.:$port" ],
        [ 403, "Origin: http://localhost:${port}0" ],
        [ 403, "Origin: ftp://localhost:$port" ],
        [ 403, "Origin: localhost:$port" ],
        [ 403, "Origin: http://a\@localhost:$port" ],
        [ 403, 'Origin: http://example.com' ],
        [ 403, "Origin: http://example.com/http://localhost:$port" ],
        [ 403, 'Origin: https://example.com', 'Sec-Fetch-Site: same-origin' ],
        [ 403, 'Origin: null' ],
        [ 403, 'Origin:' ],
        [ 403, 'Origin: file://' ],
        [ 403, 'Sec-Fetch-Site: cross-site' ],
        [ 403, 'Sec-Fetch-Site: Cross-Site', 'Sec-Fetch-Mode: navigate' ],
        [ 403, 'Sec-Fetch-Site: same-site' ],
        [ 403, 'Sec-Fetch-Site: something-new' ],
        [ 403, 'Sec-Fetch-Site:' ],
        [ 201, 'Sec-Fetch-Site: same-origin' ],
        [ 201, 'Sec-Fetch-Site: none' ],
        [ 403, "Origin: http://localhost:$port",
               'Sec-Fetch-Site: cross-site' ],
        [ 403, "Origin: http://localhost:$port", 'Sec-Fetch-Site: same-site' ],
        [ 201, "Referer: http://localhost:$port/a/b?c" ],
        [ 403, 'Referer: http://service.example/' ],
        [ 403, "Referer: http://service.example/http://localhost:$port/" ],
        [ 403, 'Referer: https://example.com' ],
        [ 403, 'Referer: about:blank' ],
        [ 201, 'Referer: http://example.com/', 'Sec-Fetch-Site: none' ],
        [ 400, "Origin: http://localhost:$port", 'Origin: http://a.b' ],
        [ 400, 'Sec-Fetch-Site: none', 'Sec-Fetch-Site: cross-site' ],
        [ 400, "Referer: http://localhost:$port/", 'Referer: http://a.b/' ],
    );

    for (@cases) {
        my ($status, @lines) = @$_;
        is(status('127.0.0.1', 'GET /status?code=201', @lines), $status,
           "@lines");
    }

    over(scalar grep { $_->[0] == 201 } @cases);
}


# With a wildcard listener, it is the address that the client has connected to.

sub wildcard {
    my $good = 0;
    my %own = ('127.0.0.1' => '127.0.0.1', '127.0.0.2' => '127.0.0.2',
               '::1' => '[::1]');

    for my $listen (qw( 0.0.0.0 [::] )) {
        my @addresses = $listen =~ /:/ ? '::1' : qw( 127.0.0.1 127.0.0.2 );

        forward('--listen', "$listen:0");

        for my $address (@addresses) {
            is(status($address, 'GET /status?code=201', "Host: $_:$port"), 201,
               "$listen, $address: $_") for $own{$address}, 'localhost';
            is(status($address, 'GET /status?code=201',
                      "Host: $own{$address}:$port",
                      "Origin: http://$own{$address}:$port"), 201,
               'and a page of this origin');

            is(status($address, 'GET /status?code=201', "Host: $_:$port"), 421,
               "$listen, $address: $_")
                for grep({ $_ ne $own{$address} } values %own),
                    qw( 0.0.0.0 [::] 192.0.2.1 service.example example.com );
        }

        is(scalar $backend->requests(), 3 * @addresses,
           'nothing else was sent');
        is($f->stop()->{code}, 0, 'exit code');
    }

    forward('--listen', '[::1]:0');
    is(status('::1', 'GET /status?code=201', "Host: $_:$port"), 201, $_)
        for 'localhost', '[::1]', '[0:0:0:0:0:0:0:1]', '[0::0001]';
    is(status('::1', 'GET /status?code=201', "Host: $_:$port"), 421, $_)
        for '127.0.0.1', '::1', '[::1%lo]', '[::1%25lo]';

    over(4);
}


# A name that is resolved by DNS is not allowed: the answer can be forged.

sub named {
    my $at = free_port();

    forward('--listen', "localhost:$at");
    is(host("localhost:$port"), 201, 'localhost');
    is(host("service.example:$port"), 421, 'the service');

    over(1);
}


sub allowed {
    forward('--allow-host', 'Service.Example', '--allow-host', 'a.test:81',
            '--allow-host', '[2001:DB8:0::1]', '--allow-host', '192.0.2.1');

    my @good = ('service.example', "SERVICE.example:$port", 'a.test:81',
                '[2001:db8::1]:1', '192.0.2.1', "localhost:$port");

    is(host($_), 201, "Host: $_") for @good;
    is(host($_), 421, "Host: $_")
        for 'service.example.', 'www.service.example', 'a.test', 'a.test:80',
            '[2001:db8::2]', '192.0.2.10', 'example.com';

    my @pages = ('http://service.example', 'https://service.example:444',
                 'http://a.test:81', "http://127.0.0.1:$port");

    is(status('127.0.0.1', 'GET /status?code=201', "Origin: $_"), 201, $_)
        for @pages;
    is(status('127.0.0.1', 'GET /status?code=201', "Origin: $_"), 403, $_)
        for 'http://a.test', 'http://example.com', 'null';

    over(@good + @pages);
}


sub any_host {
    forward('--any-host');

    my @lines = ('Host: example.com', 'Host:', 'Origin: null',
                 'Sec-Fetch-Site: cross-site', 'Referer: http://a.b/');

    is(status('127.0.0.1', 'GET /status?code=201', $_), 201, $_) for @lines;

    over(scalar @lines);
}


sub command_line {
    for ('', '.example', 'a..b', 'a.', 'a:', 'a:b', 'http://a', 'a/b', '*',
         '[::1', '::1', 'a b', '[a]', 'a:65536')
    {
        my $r = $atls->run('forward', '--listen', '127.0.0.1:0',
                           '--allow-host', $_, 'https://service.example');
        is($r->{code}, 2, "--allow-host '$_'");
        like($r->{err}, qr/must be HOST/, 'which is said');
    }

    done_testing();
}
