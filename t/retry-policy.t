#!/usr/bin/perl

# A POST that is sent again is refused as any other POST of its session, when
# clients must be verified in another way after a reload, or the session is
# over.  Its response also has the headers that name the session, with the rest
# of the cookie's age.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Authority;
use Test::Atls::Backend;
use Test::Atls::Http qw( read_response readable send_all );
use Test::Atls::Response;
use Test::Atls::Retry qw( again opened outer record reply );

my $ROUNDS = 6;         # so that some are in other workers
my $KEY = 'f0112233445566778899aabbccddeeff';

my $t = Test::Atls->new(workers => 4);
my $ca = Test::Atls::Authority->new($t, 'ca');

Test::Atls::Authority->new($t, 'another');
$ca->issue($_) for qw( alice bob );
$ca->crl('ca.crl');
$t->write_file('psk', "device:$KEY\n");
$t->write_file('no-psk', "another:$KEY\n");
$t->write_file('both.crt', $t->read_file('ca.crt')
                           . $t->read_file('another.crt'));

my $CONF = http_conf(<<'EOC');
%%CERTIFICATE%%
atls_cookie atls path=/;
atls_crl %%TESTDIR%%/ca.crl;

server {
    listen 127.0.0.1:%%PORT_0%% reuseport;
    atls_client_certificate %%TESTDIR%%/ca.crt;

    location = /on {
        atls on;
        atls_endpoint clients;
        atls_verify_client on;
    }

    location = /also {
        atls on;
        atls_endpoint clients;
        atls_verify_client on;
    }

    location = /verify {
        atls on;
        atls_verify_client %%VERIFY%%;
    }

    location = /ca {
        atls on;
        atls_verify_client optional;
        atls_client_certificate %%TESTDIR%%/%%CA%%;
    }

    location = /psk {
        atls on;
        atls_psk_file %%TESTDIR%%/%%PSK%%;
    }

    location = /buffer {
        atls on;
        atls_retry_buffer %%BUFFER%%;
    }

    location = /short {
        atls on;
        atls_session_timeout 3s;
    }

    location = /cookie {
        atls on;
        atls_session_timeout 120s;
    }

    location /location {
        atls on;
        atls_session_tracking location;
    }

    location /both {
        atls on;
        atls_session_tracking both;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_ignore_client_abort on;
    }
}
EOC

my $protocol;

configure();
$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(1));

for (qw( TLSv1.3 TLSv1.2 )) {
    $protocol = $_;

    revoked();
    changed($_) for [ '/verify', VERIFY => 'on' ], [ '/ca', CA => 'both.crt' ];
    buffer();
    in_progress();
    expired();
    ended();

    cookies();
    cookie_age();
    by_uri();
    by_both();
}

pre_shared_key();
replayed();

$t->done_testing();


sub configure {
    my %values = (VERIFY => 'off', CA => 'ca.crt', PSK => 'psk',
                  BUFFER => '4k', @_);

    $t->write_conf($CONF =~ s/%%(VERIFY|CA|PSK|BUFFER)%%/$values{$1}/gr);
}


sub reload {
    configure(@_);
    $t->reload() or die "no reload\n";
}


sub client {
    my ($uri, $who, %args) = @_;

    return $t->client(uri => $uri, keepalive => 0, protocol => $protocol,
                      $who ? (cert => $t->path("$who.crt"),
                              key => $t->path("$who.key")) : (), %args);
}


sub established {
    my $c = client(@_);

    $c->handshake() or die $c->error() . "\n";
    $backend->forget();

    return $c;
}


sub name { "$protocol, $_[0]" }


sub requests { scalar $backend->requests() }


# A POST in a connection of its own, with all headers of the response.

sub repeat {
    my ($c, $bytes, %args) = @_;

    return outer($c, $bytes, %args)->receive() || Test::Atls::Response->new();
}


sub age {
    my ($r) = @_;

    my ($age) = ($r->header('Set-Cookie') || '') =~ /; Max-Age=(\d+)/;

    return $age;
}


# Nobody gets the response, but the session only ends when its client uses it.

sub revoked {
    my $c = established('/on', 'bob');
    my $record = record($c, '/echo');
    my $first = again($c, $record);
    my $long = established('/on', 'bob');
    my $long_record = record($long, '/big?size=9000');
    my $list = $t->read_file('ca.crl');
    my $alice = established('/on', 'alice');
    my $other = record($alice, '/echo');
    my $got = again($alice, $other);

    again($long, $long_record);
    is(again($c, $record), $first, name('accepted: the same response'));
    is(again($long, $long_record), '410 answer-lost', name('accepted: lost'));

    $ca->revoke('bob');
    $ca->crl('ca.crl');
    reload();

    for (1 .. 2) {
        is(again($c, $record), '410 session-refused', name('revoked: refused'));
    }

    is(again($c, $record, uri => '/also'), '410 session-refused',
       name('revoked: also at another endpoint'));
    is(again($long, $long_record), '410 session-refused',
       name('revoked: also if the response was not kept'));
    is(again($c, 'x' x length $record), '409 not-next',
       name('revoked: another POST'));

    $t->replace_file('ca.crl', $list);
    reload();
    is(again($c, $record), $first, name('as before: the same response'));

    $ca->crl('ca.crl');
    reload();
    opened($c, $first);
    is(again($c, record($c, '/echo')), '410 session-refused',
       name('revoked: the next POST'));
    is(again($c, $record), '410 session-unknown', name('revoked: gone'));
    is(requests(), 2, name('revoked: no other request'));

    $ca->{revoked} = {};
    $ca->crl('ca.crl');
    reload();

    is(again($alice, $other), '410 session-refused',
       name('another list: the client must be verified again'));
    opened($alice, $got);
}


sub changed {
    my ($uri, @values) = @{$_[0]};

    my $c = established($uri, $uri eq '/ca' ? 'alice' : '');
    my $record = record($c, '/echo');
    my $first = again($c, $record);

    reload(@values);
    is(again($c, $record), '410 session-refused', name("@values: refused"));

    reload();
    is(again($c, $record), $first, name("@values, as before: the same"));
    is(requests(), 1, name("@values: one request"));
}


# No response is kept any more, so none is sent.

sub buffer {
    my $c = established('/buffer');
    my $record = record($c, '/echo');
    my $first = again($c, $record);

    reload(BUFFER => 0);
    is(again($c, $record), '409 not-next', name('no buffer: nothing'));
    opened($c, $first);
    like(opened($c, again($c, record($c, '/echo'))), qr/length 0/,
         name('no buffer: it goes on'));
    reload();
}


# A request in progress may be completed, also by its parts that are sent again.

sub in_progress {
    my $c = established('/verify');

    $c->write_plain("POST /body HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 2000\r\n\r\n" . 'x' x 1000);

    my $part = $c->tls_out();
    my $first = again($c, $part);

    reload(VERIFY => 'on');

    is(again($c, $part), $first, name('in progress: the same response'));
    opened($c, $first);
    $c->write_plain('x' x 1000);
    like(opened($c, again($c, $c->tls_out())), qr/x{2000}\z/,
         name('in progress: completed'));
    ok($c->closed(), name('in progress: the end of the session'));
    reload();
}


# The beginning of a POST whose first record shows that it is not the next one.

sub begun {
    my ($c, $bytes) = @_;

    return $c->begin_post(substr($bytes, 0, -1), Connection => 'close',
                          'Content-Length' => length $bytes);
}


sub answered {
    my ($s, $bytes) = @_;

    send_all($s, $bytes);

    return reply(read_response($s));
}


# The session is over when the POST is complete.

sub expired {
    my $c = established('/short');
    my $records = record($c, '/echo') . record($c, '/echo');
    my $first = again($c, $records);
    my $s = begun($c, $records);

    is(again($c, $records), $first, name('expired: the same until then'));
    ok($t->wait_for(sub { again($c, '') =~ /^410 / }), name('expired'));
    is(answered($s, substr $records, -1), '410 session-unknown',
       name('expired: nothing'));
}


sub ended {
    my $c = established('/cookie');
    my $records = record($c, '/echo') . record($c, '/echo');
    my $first = again($c, $records);
    my $s = begun($c, $records);

    opened($c, $first);
    ok(!readable($s, 0.1), name('ended: waits for its body'));
    $c->write_plain("GET / HTTP/1.1\r\nHost: localhost\r\n"
                    . "Connection: close\r\n\r\n");
    like(opened($c, again($c, $c->tls_out())), qr/length 0/, name('ended: by'));
    is(answered($s, substr $records, -1), '410 session-unknown',
       name('ended: nothing'));
}


# The rest of the age is that of the last response, in any worker.

sub cookies {
    my $c = client('/cookie');

    for my $flight (1, 2) {
        $c->handshake_step();

        my $bytes = $c->tls_out();
        my $r = $c->post($bytes);
        my $value = $c->cookie();

        $c->tls_in($r->body());
        $c->handshake_step();

        my @got = map { repeat($c, $bytes) } 1 .. $ROUNDS;
        my @cookies = map { $_->header('Set-Cookie') // 'none' } @got;

        is(join(' ', grep { !/^atls=\Q$value\E;.*Max-Age=1[12]\d$/ } @cookies),
           '', name("flight $flight: the cookie again"));
        is(scalar(grep { $_->header('Location') || $_->status() != 200 } @got),
           0, name("flight $flight: no Location"));
    }

    my $record = record($c, '/echo');
    my $first = again($c, $record);

    is(repeat($c, $record)->header('Set-Cookie') =~ s/;.*//r,
       'atls=' . $c->cookie(), name('a request: the cookie'));
    is(repeat($c, 'x' x length $record)->header('Set-Cookie'), undef,
       name('another POST: no cookie'));
    opened($c, $first);
}


sub cookie_age {
    my $c = established('/cookie');
    my $record = record($c, '/echo');

    again($c, $record);

    my $age = age(repeat($c, $record));

    ok($age && $t->wait_for(sub { age(repeat($c, $record)) < $age }),
       name('the rest of the age'));
}


sub by_uri {
    my $c = client('/location/');

    $c->handshake_step();

    my $hello = $c->tls_out();
    my $first = $c->post($hello);

    is($first->status(), 201, name('by URI: created'));

    for (1 .. $ROUNDS) {
        my $r = repeat($c, $hello);

        is(join(' ', $r->status(), $r->header('Location'),
                $r->header('Set-Cookie') // 'no cookie'),
           '201 ' . $c->location() . ' no cookie', name('by URI: Location'));
        is($r->body(), $first->body(), name('by URI: the same response'));
    }

    $c->tls_in($first->body());
    $c->handshake_step();

    my $flight = $c->tls_out();
    my $second = $c->post($flight);
    my $r = repeat($c, $flight);

    is($r->status() . ($r->header('Location') // ''), '200',
       name('by URI: only of the first POST'));
    is($r->body(), $second->body(), name('by URI: the second one'));
}


sub by_both {
    my $c = client('/both/');

    $c->handshake_step();

    my $hello = $c->tls_out();
    my $first = $c->post($hello);
    my $cookie = 'atls=' . $c->cookie();

    for my $case ([ 'both' ], [ 'the cookie', uri => '/both/' ],
                  [ 'the URI', headers => { Cookie => undef } ])
    {
        my ($how, @args) = @$case;
        my $r = repeat($c, $hello, @args);

        is($r->status() . ' ' . $r->header('Location'),
           '201 ' . $c->location(), name("named by $how: Location"));
        is(($r->header('Set-Cookie') // 'none') =~ s/;.*//r,
           $how eq 'the URI' ? 'none' : $cookie,
           name("named by $how: the cookie"));
        is($r->body(), $first->body(), name("named by $how: the same"));
    }
}


sub pre_shared_key {
    $protocol = 'TLSv1.2';

    my $c = established('/psk', '', ciphers => 'PSK-AES128-GCM-SHA256',
                        psk => [ 'device', $KEY ]);
    my $record = record($c, '/echo');
    my $first = again($c, $record);

    reload(PSK => 'no-psk');
    is(again($c, $record), '410 session-refused', 'without the key: refused');
    reload();
    is(again($c, $record), $first, 'with the key: the same response');
}


# Somebody who replays each POST gets the cookie, but its owner gets it as well.

sub replayed {
    $protocol = 'TLSv1.3';

    my $c = established('/cookie');
    my $posts = 0;

    delete $c->{set_cookie};

    until ($c->set_cookie() || $posts++ > 40) {
        my $record = record($c, '/echo');

        opened($c, '200 ' . $c->post($record)->body());
        again($c, $record);
        select undef, undef, undef, 0.2;
    }

    like($c->set_cookie(), qr/Max-Age=120$/, 'replayed: the cookie, in time');
}
