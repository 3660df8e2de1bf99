# The response to a POST is the same with and without a relay.

use strict;
use warnings;

use Compress::Zlib ();
use Test::More;
use Time::HiRes qw( time );

use Test::Atls;
use Test::Atls::Elsewhere qw( connect_to );
use Test::Atls::Http qw( read_response send_all );
use Test::Atls::Pattern qw( pattern );


# directives of the locations

my %LOCATIONS = (
    'nothing'       => '',
    'cookie'        => 'atls_cookie device;',
    'longer'        => 'atls_cookie atls2;',
    'attributes'    => 'atls_cookie a path=/ domain=localhost samesite=lax;',
    'secure'        => 'atls_cookie __Secure-a secure;',
    'others'        => 'add_header Set-Cookie "other=1; Path=/" always;
                        add_header X-Other 1; userid on;
                        userid_name device;',
    'unchunked'     => 'chunked_transfer_encoding off;',
    'expires'       => 'expires 1h;',
    'gzip'          => 'gzip on; gzip_types *; gzip_min_length 1;
                        gzip_http_version 1.0;',
    'pages'         => 'error_page 400 405 410 415 /page;',
    'timeout'       => 'keepalive_timeout 0;',
    'raw'           => 'atls_payload raw;
                        return 200 "$host $request_uri $server_name";',
    'rate'          => 'limit_rate 100k; limit_rate_after 50k;',
);

# the outer request: version, TLS, headers

my @HOST = ('Host: localhost');

my %OUTER = (
    'HTTP/1.1'      => [ '1.1', 0, @HOST ],
    'TLS'           => [ '1.1', 1, @HOST ],
    'HTTP/1.0'      => [ '1.0', 0, @HOST ],
    'no Host'       => [ '1.0', 0 ],
    'Host and port' => [ '1.1', 0, 'Host: LocalHost.:8080' ],
    'close'         => [ '1.1', 0, @HOST, 'Connection: close' ],
    'conditions'    => [ '1.1', 0, @HOST, 'Range: bytes=1-2',
                         'If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT',
                         'If-None-Match: *' ],
    'encodings'     => [ '1.1', 0, @HOST, 'Accept-Encoding: gzip, br',
                         'TE: trailers', 'Connection: TE' ],
    'continue'      => [ '1.1', 0, @HOST, 'Expect: 100-continue' ],
);

# POSTs, and the state of the session

my %CASES = (
    'alert'         => \&alert,
    'new session'   => \&new_session,
    'short answer'  => sub { answered($_[0], '/short') },
    'long answer'   => sub { answered($_[0], '/long') },
    'empty'         => sub { part($_[0], '') },
    'half a record' => sub { part($_[0], "\x17\x03\x03\0") },
    'last flight'   => \&last_flight,
);

my $t = Test::Atls->new(workers => 2);

$t->make_cert('localhost', type => 'rsa');

$t->write_file('html/short', 'x');
$t->write_file('html/long', pattern(300_000));

my $locations = join '', map { <<"EOC" } sort keys %LOCATIONS;
        location = /$_ {
            atls on;
            add_header  X-Pid \$pid always;
            $LOCATIONS{$_}
        }

EOC

$t->write_http(<<"EOC");
%%CERTIFICATE%%
atls_session_tickets  off;

server {
    listen       127.0.0.1:%%PORT_0%%;
    listen       127.0.0.1:%%PORT_1%% ssl;
    server_name  localhost;

    %%SSL_CERTIFICATE%%

$locations
    location / {
        root html;
    }
}
EOC

$t->run();


for my $case (sort keys %CASES) {
    same($case, $_, 'HTTP/1.1') for grep { !/^ra/ } sort keys %LOCATIONS;
    same($case, 'nothing', $_) for grep { $_ ne 'HTTP/1.1' } sort keys %OUTER;
    same($case, 'cookie', 'TLS');
    same($case, 'gzip', 'encodings');
}

same('last flight', 'raw', $_) for 'HTTP/1.1', 'no Host', 'Host and port';

for my $elsewhere (0, 1) {
    my $began = time;

    said('long answer', 'rate', 'HTTP/1.1', $elsewhere);

    cmp_ok(time - $began, '>', 1, 'limit_rate, ' . ($elsewhere ? 'relayed'
                                                               : 'local'));
}

$t->done_testing();


sub same {
    my ($case, $location, $outer) = @_;

    my ($local, $relayed) = map { said($case, $location, $outer, $_) } 0, 1;

    is($relayed, $local, "$case, $location, $outer");
}


# Returns the response without parts that always differ.

sub said {
    my ($case, $location, $outer, $elsewhere) = @_;

    my $c = $t->client(keepalive => 0, uri => "/$location");
    my ($owner, $bytes) = $CASES{$case}->($c);
    my ($pid) = grep { $elsewhere xor $_ == $owner } $t->workers();
    my ($version, $tls, @headers) = @{$OUTER{$outer}};
    my ($cookie) = map { "$_=$c->{cookies}{$_}" } grep { $_ ne 'other' }
                   sort keys %{$c->{cookies}};

    my $s = connect_to($t, $pid, "POST /$location HTTP/$version\r\n",
                       port => $t->port($tls ? 1 : 0), tls => $tls);

    send_all($s, join "\r\n", @headers, "Cookie: $cookie",
                 'Content-Type: application/atls+octet-stream',
                 'Content-Length: ' . length $bytes, '', $bytes);

    my $r = read_response($s) or return 'nothing';

    return 'not by that worker' unless $r->header('X-Pid') == $pid;

    end_of($c, $cookie, map { /^([^;]+)/ } $r->header('Set-Cookie'));

    my $head = $r->head();
    my $body = $r->body();

    ($body) = map { Compress::Zlib::memGunzip($_) } $body
        if $r->header('Content-Encoding');

    $head =~ s/^(X-Pid|Date|Expires|Set-Cookie: uid).*\n//mg;
    $head =~ s/^(Set-Cookie: [\w-]+)=[\w+\/-]{20,}=*;/$1=...;/mg;

    return join '', sort(split /^/, $head), "\n", length $body, "\n",
                    @{$r->interim()};
}


# Ends sessions, which workers would wait for.

sub end_of {
    my ($c, @cookies) = @_;

    $c->close_notify() if $c->{parked};

    # handshakes

    $c->post("\x17\x03\x03\x00\x20" . 'x' x 32, cookie => $_) for @cookies;
}


# Not a record of a handshake, which fails.

sub alert {
    my ($c) = @_;

    $c->handshake_step();
    $c->exchange($c->tls_out());

    return (owner($c), "\x17\x03\x03\x00\x20" . 'x' x 32);
}


# A client with an unfinished request begins another session.

sub new_session {
    my ($c) = @_;

    parked($c, '/short');

    my $d = $t->client();

    $d->handshake_step();

    return (owner($c), $d->tls_out());
}


sub answered {
    my ($c, $uri) = @_;

    parked($c, $uri);
    $c->write_plain("\r\nHost: localhost\r\n\r\n");

    return (owner($c), $c->tls_out());
}


# The end of the handshake, and the beginning of the first request.

sub last_flight {
    my ($c) = @_;

    $c->handshake(hold => 1);
    $c->write_plain("GET /short HTTP/1.1\r\nHost: localhost\r\n\r\n");

    return (owner($c), $c->tls_out());
}


sub part {
    my ($c, $bytes) = @_;

    parked($c, '/short');

    return (owner($c), $bytes);
}


sub parked {
    my ($c, $uri) = @_;

    $c->handshake() or diag($c->error());
    $c->request("GET $uri HTTP/1.1");
    $c->{parked} = 1;
}


sub owner {
    my ($c) = @_;

    return $c->last_response()->header('X-Pid');
}
