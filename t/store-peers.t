# Attacks on the link between machines: by somebody with a certificate that the
# machines accept, and by others.

use strict;
use warnings;

use MIME::Base64 qw( encode_base64url );
use Test::More;

use Test::Atls::Authority;
use Test::Atls::Cluster;


Test::Atls::Cluster->require_redis();

my $cluster = Test::Atls::Cluster->new(nodes => 2, workers => 1);
my $first = $cluster->node(0);

my $ca = Test::Atls::Authority->new($first, 'ca');

$ca->issue($_) for qw( node0 node1 stranger );

for my $t ($cluster->nodes()) {
    my $conf = $t->read_file('nginx.conf');

    $t->write_file('nginx.conf',
        $conf =~ s/(log_format  peer .*)';/$1 "\$http_atls_relay"';/r);
}

$cluster->run();

# what a machine sends

my $c = $cluster->established(1);
my ($cookie) = values %{$c->{cookies}};

like($cluster->get($c, 0), qr/^127\.0\.0\.1 node1/, 'relayed');

my ($relay) = $cluster->node(1)->read_log('peer.log') =~ /"(1 .*)"/;

like($relay, qr/^1 (\w{16} ){2}0 0 0 1 (127\.0\.0\.1:\d+ ){3}-$/,
     'the header');

malformed();
proxy_protocol();
outside();
other_server();
revoked();

like($cluster->get($c, $_), qr/^127\.0\.0\.1 node1/, 'the session continues')
    for 0, 1;

$cluster->done_testing();


# Sends a POST with headers to a machine as another one would do, and returns
# the status.

sub passed {
    my (%headers) = @_;

    my $cert = $first->path(delete $headers{cert} || 'stranger');
    my @headers = map { ('-H', $headers{$_} eq '' ? "$_;"
                                                  : "$_: $headers{$_}") }
                  keys %headers;

    return post("https://127.0.0.1:" . $cluster->node(1)->port(9) . '/atls',
                '--cert', "$cert.crt", '--key', "$cert.key", @headers);
}


sub post {
    my ($url, @args) = @_;

    open my $fh, '-|', 'curl', '-sk', '--max-time', 20, '-o', '/dev/null',
         '-w', '%{http_code}', '-d', 'x', '-H',
         'Content-Type: application/atls+octet-stream', @args, $url
        or die;

    return join '', <$fh>;
}


sub malformed {
    my @fields = split / /, $relay;
    my %refused = ('no header' => { 'Atls-Session' => "1 $cookie" },
                   'no session' => { 'Atls-Relay' => $relay });

    is(passed('Atls-Session' => "1 $cookie", 'Atls-Relay' => $relay), 200,
       'a POST of a stranger with a certificate');

    for my $session ('', '1', "1 ", "1 $cookie$cookie", "1$cookie",
                     "9 $cookie", "- $cookie")
    {
        $refused{"session \"$session\""}
            = { 'Atls-Session' => $session, 'Atls-Relay' => $relay };
    }

    for my $n (0 .. $#fields) {
        for my $bad ('', '2', '-1', 'x', '99999999999999999999', 'unix:/x',
                     '127.0.0.1:99999', '[::1', 'A' x 4000)
        {
            next if "$n $bad" eq '1 2' || $n == 3 || $n == 10
                    || $bad eq '2' && $n > 3 && $n < 7;

            my @f = @fields;
            $f[$n] = $bad;
            $refused{"field $n: \"" . substr($bad, 0, 20) . '"'}
                = { 'Atls-Session' => "1 $cookie", 'Atls-Relay' => "@f" };
        }
    }

    my $failed = '';

    for my $what (sort keys %refused) {
        my $status = passed(%{$refused{$what}});
        $failed .= "$what: $status\n" if $status ne 404;
    }

    is($failed, '', scalar(keys %refused) . ' malformed POSTs are refused');
}


# The lengths of the strings have the right sum, but are wrong.

sub proxy_protocol {
    my $failed = '';

    for my $size (40, 56) {
        for my $len (1 << 40, 1 << 62, -1, -16) {
            my $data = pack 'q4', $len, 0, 16 - $len, 0;
            my $text = encode_base64url($data . "\0" x ($size - 32) . 'x' x 16);

            my $status = passed('Atls-Session' => "1 $cookie",
                                'Atls-Relay' => $relay =~ s/-$/$text/r);

            $failed .= "$size, $len: $status\n" if $status ne 503;
        }
    }

    is($failed, '', 'wrong PROXY protocol data');

    for my $text ('A', 'A' x 3000) {
        my $status = passed('Atls-Session' => "1 $cookie",
                            'Atls-Relay' => $relay =~ s/-$/$text/r);
        like($status, qr/^(?:404|503)$/, 'no PROXY protocol data');
    }
}


# The headers have no meaning in POSTs of clients.

sub outside {
    my $false = $relay =~ s/127\.0\.0\.1/192.0.2.1/gr;

    my $status = post('http://127.0.0.1:' . $first->port(0) . '/atls',
                      '-H', "Atls-Session: 1 $cookie",
                      '-H', "Atls-Relay: $false");

    is($status, 400, 'headers of a client');
    unlike($cluster->node($_)->read_log('outer.log'), qr/^192/m,
           "... the address of the client is not changed at $_") for 0, 1;

    $status = passed('Atls-Session' => "1 $cookie", 'Atls-Relay' => $false,
                     'X-Forwarded-For' => '192.0.2.2',
                     'Forwarded' => 'for=192.0.2.2');
    is($status, 200, 'other headers of a machine are ignored');
}


# A server of others at the same address, with another CA.  The certificate is
# verified by the default server if the client does not send a name.

sub other_server {
    my $t = $cluster->node(1);
    my $conf = $t->read_file('nginx.conf');
    my $dir = $first->dir();

    $first->make_cert('customers', is_ca => 1);
    $first->make_cert('customer', ca => 'customers');

    my $port = $t->port(9);
    my $other = <<"EOC";
server {
    listen  127.0.0.1:$port ssl default_server;
    server_name  customers;

    ssl_certificate         $dir/node1.crt;
    ssl_certificate_key     $dir/node1.key;
    ssl_client_certificate  $dir/customers.crt;
    ssl_verify_client       on;

    location / { return 204; }
}
EOC

    $t->write_file('nginx.conf',
                   $conf =~ s/^(server \{\s+listen  127\.0\.0\.1:$port)/$other$1/mr);
    $t->reload();

    my %post = ('Atls-Session' => "1 $cookie", 'Atls-Relay' => $relay,
                cert => 'customer');

    is(passed(%post, Host => 'customers'), 204, 'a client of another server');
    is(passed(%post, Host => 'peers'), 404, '... is no machine');

    $t->write_file('nginx.conf', $conf);
    $t->reload();
}


# A machine does not relay to one whose certificate is revoked.

sub revoked {
    my $t = $cluster->node(0);
    my $conf = $t->read_file('nginx.conf');

    $ca->revoke('stranger');
    crl($t, $conf);
    like($cluster->get($c, 0), qr/^127\.0\.0\.1 node1/, 'not revoked');

    $ca->revoke('node1');
    crl($t, $conf);
    is($cluster->status($c, 0), '503 store-unreachable', 'revoked');
    like($first->read_file('error.log'),
         qr/atls node "node1": certificate verify error: .*revoked/,
         '... logged');

    $t->write_file('nginx.conf', $conf);
    $t->reload();
}


sub crl {
    my ($t, $conf) = @_;

    $ca->crl('ca.crl');
    $t->write_file('nginx.conf',
                   $conf =~ s!(ssl_verify_client .*)!
                              "$1 ssl_crl " . $t->path('ca.crl') . ';'!er);
    $t->reload();
}
