#!/usr/bin/perl

# Sends a request over ATLS, and shows the data seen by each hop.
#
#     atls ---- mitmproxy ---- nginx with the module ---- backend
#
#     make demo
#
# The argument is the atls command; without it, the one of the tests is built.
#
# mitmproxy intercepts the outer TLS with its own certificate authority.
# (Debian 13 has no mitmproxy: haproxy is used instead.)  The exit status is 0
# if all results are as expected.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../t/lib";

use Cwd qw( abs_path );
use IO::Socket::INET;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Command;
use Test::Atls::Middlebox;
use Test::Atls::Outer;


use constant {
    LEFT  => 43,
    RIGHT => 48,
};

my $uri = '/body/orders';
my $body = "two pounds of tea, card 4111 1111 1111 1111\n";
my $failed = 0;

# ports assigned by the kernel, which need no lock files

my %ports;
@ports{0 .. 4} = free_ports(5);

my $t = Test::Atls->new(workers => 4, ports => \%ports);

$t->make_cert('ca', is_ca => 1, subject => '/CN=The CA that the client trusts');
$t->make_cert('localhost', ca => 'ca');
$t->make_cert('outer', san => 'DNS:localhost');

$t->write_conf(<<'EOC');
%%GLOBALS%%

events {
}

http {
    %%GLOBALS_HTTP%%

    log_format inner escape=none "$request\n"
                                 "Host: $http_host\n"
                                 "Content-Type: $content_type\n"
                                 "Content-Length: $content_length\n"
                                 "\n"
                                 "$request_body";

    server {
        listen       127.0.0.1:%%PORT_0%% ssl;
        listen       127.0.0.1:%%PORT_1%%;
        server_name  localhost;

        ssl_certificate      %%TESTDIR%%/outer.crt;
        ssl_certificate_key  %%TESTDIR%%/outer.key;

        location = /.well-known/atls {
            atls                  on;
            atls_certificate      %%TESTDIR%%/localhost.crt;
            atls_certificate_key  %%TESTDIR%%/localhost.key;

            proxy_pass            http://127.0.0.1:%%PORT_2%%;
            proxy_set_header      Host $host;
            proxy_set_header      X-ATLS "$atls_protocol $atls_cipher";

            access_log            %%TESTDIR%%/inner.log inner if=$atls;
        }

        location / {
            proxy_pass            http://127.0.0.1:%%PORT_2%%;
        }
    }
}
EOC

my $backend = Test::Atls::Backend->start($t, $ports{2});

$t->run();

my $name = Test::Atls::Middlebox->missing('mitmproxy') ? 'haproxy'
                                                       : 'mitmproxy';
my $middlebox = Test::Atls::Middlebox->start($t, $name, port => $ports{3},
                                             trust => $t->path('outer.crt'),
                                             to => $ports{1}, tap => $ports{4});

# the requests

my $client = client($middlebox);
my ($delivered) = $backend->requests();
my $decrypted = $t->read_log('inner.log');
my $plain = plain_https($middlebox);

$middlebox->stop();
$t->stop();

# the data seen: POSTs, the second one with the request, and plain HTTPS

my @posts = $middlebox->exchanges();
my $other = pop @posts || [ '', '' ];
my $seen = $posts[1] || [ '', '' ];

show_hops();
show_session();
show_request();
show_answer();
show_other();
check_all();

print $failed ? "\nFAILED\n" : "\nAll is as it should be.\n";
exit($failed ? 1 : 0);


# Runs the client, which sends a request through the middlebox to the endpoint.
# Returns its output.

sub client {
    my ($m) = @_;

    my %route = $m->route($ports{0});
    my @route = $route{proxy}
                ? ('-x', "http://127.0.0.1:$route{proxy}")
                : ('--via', "https://localhost:$route{port}/.well-known/atls");

    my @args = ('-v', '-i', @route, '--cacert', $t->path('ca.crt'),
                '-H', 'Content-Type: text/plain', '-d', $body,
                "https://localhost:$ports{0}$uri");

    my @program = @ARGV ? (program => abs_path($ARGV[0])) : ();
    my $r = Test::Atls::Command->new($t, @program)->run(@args);

    if ($r->{code}) {
        print "FAILED: atls says $r->{code}\n$r->{err}";
        exit 1;
    }

    my @layers = $r->{err} =~ /^\* ((?:transport|service): .*)$/mg;

    return {
        command => [ 'atls', map { / /  ? "'" . s/\n//r . "'" : $_ } @args ],
        answer => $r->{out},
        request => join("\n", $r->{err} =~ /^> (.*?)\r?$/mg, '', $body),
        layers => \@layers,
        transport => join('', map { "$_\n" } grep { /^transport/ } @layers),
        service => join('', map { "$_\n" } grep { /^service/ } @layers),
    };
}


# The same request without ATLS.

sub plain_https {
    my ($m) = @_;

    my $o = Test::Atls::Outer->new($m->route($ports{0}), tls => 1, uri => $uri,
                                   host_header => "localhost:$ports{0}");
    my $r = $o->post($body, { 'Content-Type' => 'text/plain' });

    return $r ? $r->body() : '';
}


sub show_hops {
    heading('Who is who');
    say_lines(map { sprintf '%-10s %s', @$_ }
        [ 'atls', 'the client: TLS inside of the POSTs of another TLS' ],
        [ $name, "port $ports{3}, takes apart the outer TLS" ],
        [ 'nginx', "port $ports{0}, with ngx_http_atls_module" ],
        [ 'backend', "port $ports{2}, knows nothing of all that" ]);

    heading('nginx.conf');
    say_lines(map { s/^ {8}//r } grep { /location =/ .. /^ {8}\}/ }
              split /\n/, $t->read_file('nginx.conf'));
}


sub show_session {
    heading("The session, as $name sees it");

    for my $exchange (@posts) {
        say_lines(summary('', $exchange->[0]), summary('  ', $exchange->[1]));
    }

    heading('What the client says of both layers');
    say_lines(join(' ', @{$client->{command}}) =~ s/ (?=-H)/ \\\n        /r,
              '', @{$client->{layers}});
}


# Prints the first line, size and first bytes of a message.

sub summary {
    my ($indent, $message) = @_;

    my ($head, $rest) = parts($message);
    my ($line) = $head =~ /\A(.*)/;

    return sprintf '%-36s %5d bytes  %s ...', $indent . $line, length $rest,
                   join ' ', unpack '(H2)8', $rest;
}


sub show_request {
    heading('The request');
    columns('the client says', [ split /\n/, $client->{request} ],
            "$name sees", [ wire($seen->[0]) ]);
    print "\n";
    columns('nginx decrypts', [ split /\n/, $decrypted ],
            'the backend gets', [ delivered() ]);
}


sub show_answer {
    heading('The answer');
    columns('the client decrypts', [ split /\r?\n/, $client->{answer} ],
            "$name sees", [ wire($seen->[1]) ]);
}


sub show_other {
    heading('The same by plain HTTPS');
    columns('the client says', [ split /\n/, $client->{request} ],
            "$name sees", [ split /\r?\n/, $other->[0] ]);
}


sub check_all {
    my $wire = join '', map { @$_ } @posts;
    my $issuer = $middlebox->issuer();

    heading('Checks');

    check('the answer is a 200 with the body that was sent',
          $client->{answer} =~ /\AHTTP\/1.1 200 .*\r\n\r\n\Q$body\E\z/s);
    check('the backend got the request as it was sent',
          $delivered && $delivered->{line} =~ m{^POST \Q$uri\E }
          && $delivered->{first} eq $body);
    check('the backend was told of the session',
          grep { /^X-ATLS: TLSv1\.\d \S/ } delivered());
    check("the transport's certificate is ${name}'s, and atls knows it",
          $client->{transport} =~ /issued by CN=\Q$issuer\E\n/
          && $client->{transport} =~ /: unable to get local issuer/);
    check("the service's certificate is nginx's, and verified",
          $client->{service} =~ /issued by CN=The CA that/
          && $client->{service} =~ /: verified$/m);
    check("$name saw POSTs to /.well-known/atls and nothing else",
          @posts == 3
          && !grep { $_->[0] !~ m{\APOST /.well-known/atls HTTP} } @posts);
    check('no word of the request or the answer went over the wire',
          index($wire, 'pounds of tea') < 0 && index($wire, $uri) < 0);
    check('the bodies are TLS records and nothing else',
          !grep { !records((parts($_))[1]) } map { @$_ } @posts);
    check('by plain HTTPS, all of it is there to be read',
          $plain eq $body && $other->[0] =~ /\Q$body\E\z/);
    check("nginx: $_", 0) for $t->faults();
}


# Complete messages only.

sub records {
    my ($bytes) = @_;

    while ($bytes =~ s/\A[\x14-\x17]\x03[\x01\x03](..)//s) {
        my $len = unpack 'n', $1;
        return 0 if $len > length $bytes;
        substr($bytes, 0, $len) = '';
    }

    return $bytes eq '';
}


sub delivered {
    $delivered or return ();

    return ($delivered->{line},
            (map { "$_->[0]: $_->[1]" } @{$delivered->{headers}}), '',
            split /\n/, $delivered->{first});
}


# Header and body of a message.

sub parts {
    my ($message) = @_;

    my ($head, $rest) = $message =~ /\A(.*?\r\n)\r\n(.*)\z/s or return ('', '');

    return ($head, $rest);
}


# A message with a binary body.

sub wire {
    my ($message) = @_;

    my ($head, $rest) = parts($message);
    my @lines = map { sprintf '%-35s %s', join(' ', unpack '(H2)*', $_),
                              s/[^ -~]/./gr }
                grep { defined } (unpack '(a12)*', $rest)[0 .. 4];

    push @lines, '... ' . length($rest) . ' bytes in all' if length $rest > 60;

    return (split(/\r\n/, $head), '', @lines);
}


# Prints two lists of lines side by side.

sub columns {
    my ($left_title, $left, $right_title, $right) = @_;

    my @left = ($left_title, '-' x LEFT, wrap(LEFT, @$left));
    my @right = ($right_title, '-' x RIGHT, wrap(RIGHT, @$right));

    while (@left || @right) {
        my ($l, $r) = (shift @left, shift @right);

        printf "    %-*s | %s\n", LEFT, defined $l ? $l : '',
               defined $r ? $r : '';
    }
}


sub wrap {
    my ($width, @lines) = @_;

    return map { $_ eq '' ? '' : unpack "(A$width)*" } @lines;
}


sub heading {
    print "\n== $_[0]\n\n";
}


sub say_lines {
    print map { /\S/ ? "    $_\n" : "\n" } @_;
}


sub check {
    my ($what, $ok) = @_;

    $failed = 1 unless $ok;
    print $ok ? '    ok      ' : '    FAILED  ', "$what\n";
}


sub free_ports {
    my ($n) = @_;

    my @sockets = map {
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
                              Listen => 1, ReuseAddr => 1)
            or die "no free port: $!\n"
    } 1 .. $n;

    return map { $_->sockport() } @sockets;
}
