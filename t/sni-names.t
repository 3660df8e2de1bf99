# $atls_server_name is used in headers: a name that is not a host name is
# refused in the handshake.

use strict;
use warnings;

use Test::More;

use Test::Atls;


use constant DECODE_ERROR => 50;

# printable characters that neither host names nor addresses contain, and all
# other characters

my @BAD_BYTES = (map({ chr } 0 .. 0x20, 0x7f .. 0x80, 0xc3, 0xff),
                 split //, q{"#/<>?@\^`{|}});

my @BAD = (
    (map { [ sprintf('byte %02x', ord), "b${_}d.example" ] } @BAD_BYTES),

    [ 'a header', "a\r\nX-Admin: yes" ],
    [ 'a request', "a\r\n\r\nGET /admin HTTP/1.1\r\nHost: a" ],
    [ 'a line feed at the end', "localhost\n" ],
    [ 'a null byte at the end', "localhost\0" ],
    [ 'a space at the start', ' localhost' ],
    [ 'a path', 'localhost/x' ],
    [ 'a dot', '.' ],
    [ 'a dot at the start', '.localhost' ],
    [ 'two dots at the end', 'localhost..' ],
    [ 'an empty label', 'a..example' ],
    [ '256 bytes', 'x' x 256 ],
);

my @GOOD = (
    'localhost', 'LocalHost', 'localhost.', 'a-b.example', '_srv.example',
    'xn--bcher-kva.example', '1.example', '127.0.0.1', '::1', '[::1]',
    'x' x 255, join('.', ('x' x 49) x 5), 'other',
);

my $t = Test::Atls->new();

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen       127.0.0.1:%%PORT_0%%;
    server_name  localhost;

    location /.well-known/atls {
        atls on;

        proxy_pass        http://127.0.0.1:%%PORT_1%%;
        proxy_set_header  X-Name $atls_server_name;
    }
}

server {
    listen       127.0.0.1:%%PORT_1%%;

    location / {
        return 200 "$http_x_name, $http_x_admin";
    }
}
EOC

my @PROTOCOLS = ('TLSv1.2', 'TLSv1.3');

$t->run();


for my $protocol (@PROTOCOLS) {
    bad($protocol, @$_) for @BAD;
    good($protocol, $_) for @GOOD;
}

# other invisible properties of a name have no effect

my $log = $t->read_log('error.log');
my @refused = $log =~ /\[info\] .*atls client sent invalid server name/g;

is(scalar @refused, @PROTOCOLS * @BAD, 'each is logged');
unlike($log, qr/Admin/, 'and none of the names');


# a ClientHello in several POSTs

{
    my $c = $t->client();

    $c->handshake_step();
    $c->exchange(forge($c->tls_out(), "a\r\nX-Admin: yes"), split => 40);

    is(alert($c), DECODE_ERROR, 'a ClientHello in several POSTs');
}

$t->done_testing();


sub bad {
    my ($protocol, $what, $name) = @_;

    my $c = $t->client(protocol => $protocol);

    $c->handshake_step();
    $c->post(forge($c->tls_out(), $name));

    ok(alert($c) == DECODE_ERROR && !defined $c->cookie(),
       "$protocol, $what: refused");
}


sub good {
    my ($protocol, $name) = @_;

    my $c = $t->client(sni => $name, protocol => $protocol);

    $c->handshake();

    my $r = $c->get('/');

    is($r && $r->body(), "$name, ", "$protocol, '$name'");
}


sub alert {
    my ($c) = @_;

    my $r = $c->last_response() or return 0;

    return 0 unless $r->status() == 200 && $r->body() =~ /^\x15..\x00\x02\x02(.)$/s;
    return ord $1;
}


# Returns a ClientHello with another name.

sub forge {
    my ($hello, $name) = @_;

    my ($extensions) = unpack 'x43 C/x n/x C/x n/a', $hello;
    my $start = substr $hello, 9, length($hello) - 9 - 2 - length $extensions;
    my $all = '';

    while ($extensions ne '') {
        my ($type, $data) = unpack 'n n/a', $extensions;

        substr $extensions, 0, 4 + length $data, '';
        $data = pack 'n C n/a', 3 + length $name, 0, $name if $type == 0;
        $all .= pack 'n n/a', $type, $data;
    }

    $start .= pack 'n/a', $all;

    return pack 'C n n/a', 22, 0x0301,
                pack('C C n', 1, 0, length $start) . $start;
}
