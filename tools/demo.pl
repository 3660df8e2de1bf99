#!/usr/bin/perl

# One request through ATLS, and what each hop saw of it.
#
#     client ---- middlebox ---- nginx with the module ---- backend
#
#     make demo
#
# The client's TLS is OpenSSL's, by way of Net::SSLeay.  The exit status is 0
# if all that is shown is as it should be.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../t/lib";

use IO::Socket::INET;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Relay;


my $uri = '/body/orders';
my $body = "two pounds of tea, to be paid by card 4111 1111 1111 1111\n";
my $failed = 0;

# what was said, and what was seen of it

my ($seen, $answer, $asked, $answered);

# ports that the kernel has to give, so that not even a lock is left behind

my %ports;
@ports{0 .. 2} = free_ports(3);

my $t = Test::Atls->new(workers => 1, ports => \%ports);

$t->make_cert('localhost');
$t->write_conf(<<'EOC');
%%GLOBALS%%

events {
}

http {
    %%GLOBALS_HTTP%%

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        location = /.well-known/atls {
            atls                  on;
            atls_certificate      %%TESTDIR%%/localhost.crt;
            atls_certificate_key  %%TESTDIR%%/localhost.key;

            proxy_pass            http://127.0.0.1:%%PORT_2%%;
            proxy_set_header      Host $host;
            proxy_set_header      X-ATLS "$atls_protocol $atls_cipher";
        }
    }
}
EOC

my $backend = Test::Atls::Backend->start($t, $ports{2});
my $relay = Test::Atls::Relay->start($t, $ports{1}, $ports{0});

$t->run();

heading('Who is who');
say_lines(map { sprintf '%-15s %s', @$_ }
          [ 'client', 'the TLS of OpenSSL, records in the bodies of POSTs' ],
          [ 'middlebox', "port $ports{1}, passes on plain HTTP" ],
          [ 'nginx', "port $ports{0}, with ngx_http_atls_module" ],
          [ 'backend', "port $ports{2}, knows nothing of all that" ]);

heading('nginx.conf');
say_lines(map { s/^ {8}//r } grep { /location/ .. /^ {8}\}/ }
          split /\n/, $t->read_file('nginx.conf'));

my $c = Test::Atls::Client->new(port => $ports{1},
                                ca => $t->path('localhost.crt'));

show_handshake();
show_request();
check_all();

$t->stop();
check("nginx: $_", 0) for $t->faults();

print $failed ? "\nFAILED\n" : "\nAll is as it should be.\n";
exit($failed ? 1 : 0);


sub show_handshake {
    heading('The handshake');

    if (!$c->handshake()) {
        print '    FAILED: ', $c->error(), "\n";
        exit 1;
    }

    my @traffic = $relay->traffic();

    while (my ($post, $response) = splice @traffic, 0, 2) {
        my ($line, $sent) = parts($post->[1]);
        my ($status, $got) = parts($response->[1]);

        say_lines(sprintf '%-35s %4d bytes of TLS', $line, length $sent);
        say_lines(sprintf '    %-31s %4d bytes of TLS', $status, length $got);
    }

    say_lines('', $c->protocol() . ', ' . $c->cipher()
                  . ', the certificate of localhost is verified');
}


sub show_request {
    my $request = Test::Atls::Client::format_request(
        'POST', $uri, $body, 'Content-Type' => 'text/plain');

    my $before = () = $relay->traffic();

    $answer = $c->request($request);

    my @traffic = $relay->traffic();

    ($asked, $answered) = map { $_ ? $_->[1] : '' }
                          @traffic[$before, $before + 1];
    ($seen) = $backend->requests();

    heading('What the client says');
    say_lines(split /\r?\n/, $request);

    heading('What the middlebox sees of it');
    show_wire($asked);

    heading('What the backend sees of it');
    show_seen();

    heading('What the middlebox sees of the answer');
    show_wire($answered);

    heading('What the client decrypts');
    say_lines(split /\r?\n/, $answer);
}


sub check_all {
    my @posts = map { $_->[0] eq '>' ? $_->[1] : () } $relay->traffic();
    my $wire = join '', map { $_->[1] } $relay->traffic();

    heading('Checks');

    check('the answer is a 200 with the body that was sent',
          $answer =~ /\AHTTP\/1.1 200 .*\r\n\r\n\Q$body\E\z/s);
    check('the backend got the request as it was sent',
          $seen && $seen->{line} =~ m{^POST \Q$uri\E }
          && $seen->{first} eq $body);
    check('the backend was told of the session',
          $seen && grep { "@$_" =~ /^X-ATLS TLSv1\.\d \S/ }
                        @{$seen->{headers}});
    check('the middlebox saw POSTs to /.well-known/atls and nothing else',
          @posts == 3 && !grep { !m{\APOST /.well-known/atls HTTP} } @posts);
    check('no word of the request or the answer went over the wire',
          index($wire, 'pounds of tea') < 0 && index($wire, $uri) < 0);
    check('the bodies are TLS records of application data',
          !grep { (parts($_))[1] !~ /\A\x17\x03\x03/ } $asked, $answered);
}


# The first line and the body of a message.

sub parts {
    my ($message) = @_;

    my ($line, $rest) = ($message || '') =~ /\A(.*?)\r\n.*?\r\n\r\n(.*)\z/s
        or return ('', '');

    return ($line, $rest);
}


sub show_wire {
    my ($message) = @_;

    my ($head, $rest) = ($message || '') =~ /\A(.*?\r\n)\r\n(.*)\z/s or return;

    say_lines(split(/\r\n/, $head), '');

    for my $line (grep { defined } (unpack '(a16)*', $rest)[0 .. 3]) {
        my $hex = join ' ', unpack '(H2)*', $line;
        say_lines(sprintf '%-49s %s', $hex, $line =~ s/[^ -~]/./gr);
    }

    say_lines('... ' . length($rest) . ' bytes in all') if length $rest > 64;
}


sub show_seen {
    $seen or return;

    say_lines($seen->{line},
              (map { "$_->[0]: $_->[1]" } @{$seen->{headers}}), '',
              split /\n/, $seen->{first});
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
