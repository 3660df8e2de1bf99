#!/usr/bin/perl

# Messages that are not authentic, not complete, repeated or invalid are
# refused: nothing of them reaches a service except for records that are
# authentic, and their session is unchanged.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Client;
use Test::Atls::Http qw( send_all );
use Test::Atls::Message;

my $GET = Test::Atls::Client::format_request('GET', '/echo', '');

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

log_format inner "$request_uri $status $upstream_addr";

server {
    listen 127.0.0.1:%%PORT_0%%;
    access_log %%TESTDIR%%/access.log inner;

    location /.well-known/atls {
        atls on;
        atls_exported_keys on;
        atls_endpoint shared;
        atls_session_tracking both;
        atls_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256;
        atls_ciphers ECDHE+AESGCM:ECDHE+AESCCM8:ECDHE+AESCCM:@SECLEVEL=0;
        client_max_body_size 100k;
    }

    location /other {
        atls on;
        atls_exported_keys on;
    }

    location /off {
        atls on;
        atls_endpoint shared;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_request_buffering off;
        proxy_http_version 1.1;
    }

    location /raw {
        proxy_pass http://127.0.0.1:%%PORT_2%%;
        proxy_request_buffering off;
        proxy_http_version 1.1;
    }

    location /buffered {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));
my ($protocol, $c, $m, $stranger);

$t->run_daemon(\&raw_server, port => $t->port(2));

for (qw( TLSv1.3 TLSv1.2 )) {
    $protocol = $_;
    $c = $t->established(protocol => $protocol);
    $m = Test::Atls::Message->new($c);
    $stranger = Test::Atls::Message->new(
                    $t->established(protocol => $protocol));

    first_records();
    keys_of_others();
    numbers();
    headers();
    later_records();

    streamed('a changed record', sub { substr($_[0], 0, -1) . 'x' });
    streamed('a cut message', sub { substr $_[0], 0, 300 });

    repeated();

    # the session has not noticed any of it

    my $r = $c->get('/echo');
    is($r && $r->status(), 200, "$protocol: records of the session");
    $r = $m->get('/echo');
    is($r && $r->status(), 200, "$protocol: a message of the session");
    $backend->forget();
}

types();
switched_off();
suites();
half_open();
other_endpoints();

$t->done_testing();


# A message that is refused with a problem before anything of it was served.

sub refused {
    my ($message, $problem, $name, %args) = @_;

    my $requests = $backend->requests();
    my $r = $m->post($message, %args);

    $m->receive($r, 0);
    is($m->error(), $problem, "$protocol, $name");
    is(scalar $backend->requests(), $requests, "$protocol, $name: no request");

    return $r;
}


sub number { $m->next_number() }


sub first_records {
    my $message = $m->seal($GET);

    for my $size (length($message) - 1, length($message) - 16,
                  length($message) - length($GET) - 17, 40, 21, 20, 1)
    {
        refused(substr($message, 0, $size), '400 message-refused',
                "cut after $size bytes");
    }

    refused('', '400 message-refused', 'empty');
    refused("$message.", '400 message-refused', 'a byte more');

    for my $at (0, 15, 16, 17, 20, length($message) - 17, length($message) - 1) {
        my $copy = $message;

        substr($copy, $at, 1) ^= "\1";
        refused($copy, '400 message-refused', "byte $at changed");
    }

    # it was never authentic, so its number is not used

    my $r = $m->post($message);
    is($r && $r->status(), 200, "$protocol, unchanged: served");
    $backend->forget();

    for ([ 'no delimiter', "$GET" ], [ 'zeros', "\0" x 50 ], [ 'nothing', '' ],
         [ 'delimiter 3', "$GET\3" ], [ 'a short record, not the last',
                                        "$GET\1" ])
    {
        my ($name, $record) = @$_;

        refused($m->seal('', records => [ $record ]), '400 message-refused',
                $name);
    }
}


sub keys_of_others {
    my $number = number();

    refused($stranger->seal($GET, id => $m->id(), number => $number),
            '400 message-refused', "another session's key");
    refused($m->seal($GET, id => $stranger->id(), number => $number),
            '400 message-refused', "another session's identifier");
    refused($m->seal($GET, kind => 2, number => $number),
            '400 message-refused', 'the key of the response');
    refused($m->seal($GET, key => 'k' x 32, number => $number),
            '400 message-refused', 'a guessed key');

    my $keyid = $m->id() . '.' . ($number + 1);

    refused($m->seal($GET, keyid => $keyid, number => $number),
            '400 message-refused', 'another number');

    # a response is not a request

    my $r = $m->post($m->seal($GET, number => $number));
    $backend->forget();
    refused($r->body(), '400 message-refused', 'the response sent back');
}


sub numbers {
    my $id = $m->id();

    for my $keyid ('', $id, "$id.", ".$id.1", "$id.01", "$id.-1", "$id.1 ",
                   "$id.0x1", "$id.18446744073709551616", "$id,1",
                   "$id.1.1", 'A' x 24 . 'B.1', substr($id, 1) . '.1',
                   $id . '.' . '1' x 100, 'x' x 255)
    {
        refused($m->seal($GET, keyid => $keyid), '400 message-refused',
                'keyid "' . substr($keyid, 0, 40) . '"');
    }

    my $unknown = $id =~ tr/A-Za-z/B-ZAb-za/r;

    refused($m->seal($GET, keyid => "$unknown.1"), '410 session-foreign',
            'unknown session');
}


sub headers {
    my $number = number();

    for my $size (0, 1, 17, 16402, 65536, 0xffffffff) {
        my $message = $m->seal($GET, number => $number, size => 4096);

        substr $message, 16, 4, pack 'N', $size;
        refused($message, '400 message-refused', "record size $size");
    }

    my $message = $m->seal($GET, number => $number, size => 50);

    substr $message, 16, 4, pack 'N', 51;
    refused($message, '400 message-refused', 'another record size');

    # the header is not authentic, but a single record is

    $message = $m->seal($GET, number => $number, size => 4096);

    substr $message, 16, 4, pack 'N', 9999;
    my $answer = $m->receive($m->post($message), $number);
    like($answer, qr/ 200 /, "$protocol, another record size, one record");
    $backend->forget();

    refused($m->seal($GET . 'x' x 200_000), '413', 'too large');
}


# The service gets what is authentic, and no more.

sub later_records {
    my $request = "POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                  . "Content-Length: 2000\r\n\r\n" . 'a' x 2000;
    my $at = 21 + length($m->id() . '.' . $m->{number});

    my %changes = (
        'a changed record' => sub { substr($_[0], $at + 710, 1) ^= "\1" },
        'a removed record' => sub { substr $_[0], $at + 500, 500, '' },
        'swapped records'  => sub {
            substr $_[0], $at + 500, 1000, substr($_[0], $at + 1000, 500)
                                           . substr($_[0], $at + 500, 500);
        },
        'a repeated record' => sub {
            substr $_[0], $at + 1000, 500, substr $_[0], $at + 500, 500;
        },
        'a cut message'     => sub { substr $_[0], $at + 1000, 9999, '' },
        'a cut record'      => sub { substr $_[0], $at + 900, 9999, '' },
    );

    for my $name (sort keys %changes) {
        for my $way ('/echo', '/buffered') {
            my $message = $m->seal($request =~ s!/echo!$way!r, size => 500);

            $changes{$name}->($message);
            $m->receive($m->post($message), 0);
            is($m->error(), '400 message-refused', "$protocol, $name, $way");

            my @requests = passed();
            my $got = @requests ? $requests[0]{first} // '' : '';

            cmp_ok(scalar @requests, '<=', $way eq '/echo' ? 1 : 0,
                   "$protocol, $name, $way: what the service gets");
            ok(!grep({ !$_->{aborted} } @requests),
               "$protocol, $name, $way: it is not a whole request");
            like($got, qr/^a{0,970}\z/,
                 "$protocol, $name, $way: it is what was authentic");
            $backend->forget();
        }
    }
}


# The requests that were passed to the service in the last POST.

sub passed {
    my @lines = grep { m!^/(?:echo|buffered) ! }
                split /\n/, $t->read_log('access.log');
    my $passed = $lines[-1] =~ /:\d+$/;

    $t->wait_for(sub { $backend->requests() >= $passed });

    return $backend->requests();
}


# What is passed on while the rest of the message is awaited.

sub streamed {
    my ($name, $rest) = @_;

    my $message = $m->seal("POST /raw HTTP/1.1\r\nHost: localhost\r\n"
                           . "Content-Length: 2000\r\n\r\n" . 'b' x 2000,
                           size => 500);
    my $first = substr $message, 0, 1200, '';
    my $raw = sub { $t->read_file('raw') =~ /\r\n\r\n(b*)(.*)\z/s };

    $t->write_file('raw', '');

    my $http = $m->post_send($first, headers => {
                   'Content-Length' => 1200 + length $rest->($message) });
    my $authentic = 2 * (500 - 17)
                    - length("POST /raw HTTP/1.1\r\nHost: localhost\r\n"
                             . "Content-Length: 2000\r\n\r\n");

    ok($t->wait_for(sub { length(($raw->())[0] // '') == $authentic }),
       "$protocol, $name: authentic records are passed on");

    send_all($http->{socket}, $rest->($message));
    $m->receive($http->receive(), 0);
    is($m->error(), '400 message-refused', "$protocol, $name: refused");

    $t->wait_for(sub { -e $t->path('raw.closed') });
    unlink $t->path('raw.closed');

    my ($b, $more) = $raw->();

    is(length($b) . $more, $authentic, "$protocol, $name: nothing else is");
}


sub raw_server {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       LocalPort => $t->port(2), Listen => 5,
                                       ReuseAddr => 1) or die "listen: $!\n";

    while (my $s = $listen->accept()) {
        my ($buf, $got) = ('', '');

        while (sysread $s, $buf, 4096) {
            $got .= $buf;
            $t->write_file('raw.new', $got);
            rename $t->path('raw.new'), $t->path('raw');
        }

        $t->write_file('raw.closed', '') if $got ne '';
    }
}


sub repeated {
    my $number = number();
    my $message = $m->seal($GET, number => $number);

    my $r = $m->post($message);
    is($r && $r->status(), 200, "$protocol, the first time");
    $backend->forget();

    refused($message, '409 message-repeated', 'again');
    refused($m->seal($GET, number => $number), '409 message-repeated',
            'the same number with another salt');

    # numbers may arrive in any order, within 64

    $number = $m->{number} + 100;
    $m->{number} = $number + 1;

    for my $n ($number, $number - 63, $number - 1, $number - 62) {
        my $answer = $m->exchange($GET, number => $n);
        like($answer, qr/ 200 /, "$protocol, number $n") or diag($m->error());
    }

    $backend->forget();
    refused($m->seal($GET, number => $number - 64), '409 message-repeated',
            'below the window');
    refused($m->seal($GET, number => $number - 63), '409 message-repeated',
            'again in the window');
}


sub types {
    my $message = $m->seal($GET);

    $protocol = 'types';

    my $r = refused($message, '415 content-coding', 'no coding',
                    headers => { 'Content-Encoding' => undef });
    is($r->header('Accept-Encoding'), 'aes128gcm', 'which one is accepted');

    refused($message, '415 content-coding', 'another coding',
            headers => { 'Content-Encoding' => 'gzip' });
    refused($message, '415 content-coding', 'two codings',
            headers => { 'Content-Encoding' => 'gzip, aes128gcm' });
    refused($message, '415 media-type', 'another media type',
            headers => { 'Content-Type' => 'message/http2' });

    $r = $m->post($message, headers => {
             'Content-Type' => 'Message/HTTP; version=1.1',
             'Content-Encoding' => 'AES128GCM' });
    is($r && $r->status(), 200, 'parameters and case are ignored');
    $backend->forget();
}


sub switched_off {
    my $client = $t->established(uri => '/off');
    my $off = Test::Atls::Message->new($client);

    $off->get('/echo');
    is($off->error(), '415 media-type', 'atls_exported_keys off');

    # at an endpoint that shares the session and has exported keys

    $off->http($GET, uri => '/.well-known/atls');
    is($off->error(), '403 keys-refused', "that of the session's endpoint");

    $m->http($GET, uri => '/off');
    is($m->error(), '415 media-type', "that of the POST's location");

    is($client->get('/echo')->status(), 200, 'records are accepted');
    $backend->forget();
}


sub suites {
    my %refused = ('TLS_AES_128_CCM_8_SHA256' => 1,
                   'ECDHE-ECDSA-AES128-CCM8' => 1,
                   'ECDHE-ECDSA-AES256-CCM8' => 1);

    for my $suite (qw( TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384
                       TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_CCM_SHA256
                       TLS_AES_128_CCM_8_SHA256 ECDHE-ECDSA-AES128-CCM8
                       ECDHE-ECDSA-AES256-CCM8 ECDHE-ECDSA-AES128-CCM
                       ECDHE-ECDSA-AES256-GCM-SHA384 ))
    {
        my @args = $suite =~ /^TLS/
                   ? (protocol => 'TLSv1.3', ciphersuites => $suite,
                      ciphers => 'ALL:@SECLEVEL=0')
                   : (protocol => 'TLSv1.2', ciphers => "$suite:\@SECLEVEL=0");
        my $suited = Test::Atls::Message->new($t->established(@args));

        is($suited->{client}->cipher(), $suite, $suite);
        $suited->get('/echo');
        is($suited->error(), $refused{$suite} ? '403 keys-refused' : '',
           "$suite: exported keys");
        is($suited->{client}->get('/echo')->status(), 200, "$suite: records");
    }

    my $plain = $t->stack('gnutls', protocol => 'TLSv1.2', ems => 0,
                          keepalive => 0);

    ok($plain->handshake(), 'no extended master secret');

    my $without = Test::Atls::Message->new($plain);
    my $message = $without->seal($GET, key => 'k' x 32);

    $without->receive($without->post($message), 0);
    is($without->error(), '403 keys-refused', 'no exported keys');
    is($plain->get('/echo')->status(), 200, 'records');
    $backend->forget();
}


sub half_open {
    my $half = $t->half_open(protocol => 'TLSv1.2');
    my $early = Test::Atls::Message->new($half);

    $protocol = 'half-open';
    $early->receive($early->post($early->seal($GET, key => 'k' x 32)), 0);
    is($early->error(), '409 half-open', 'the handshake is not finished');

    ok($half->handshake(), 'it goes on');
    is($half->get('/echo')->status(), 200, 'and the session is usable');
    $backend->forget();
}


sub other_endpoints {
    $m->http($GET, uri => '/other');
    is($m->error(), '410 session-elsewhere', 'another endpoint');
    is($m->last_response()->header('Set-Cookie'), undef,
       'the cookie does not expire');

    my $r = $m->get('/echo');
    is($r && $r->status(), 200, 'its own endpoint');
}
