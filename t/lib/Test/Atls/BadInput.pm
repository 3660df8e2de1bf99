package Test::Atls::BadInput;

# Servers for tests with invalid input, and sessions that are not affected by
# it.
#
#     use Test::Atls::BadInput;               # $t runs
#     my $c = $t->established();
#     is_refused($c, $record, UNEXPECTED_MESSAGE, 'a message');
#     is_foreign($c, 'x' x 100, $record, 'no TLS');
#     others_go_on('no TLS');
#     same_workers();
#     $t->done_testing();

use strict;
use warnings;

use Exporter qw( import );
use Test::More;

use Test::Atls;

use constant {
    CLOSE_NOTIFY       => 0,
    UNEXPECTED_MESSAGE => 10,
    BAD_RECORD_MAC     => 20,
    RECORD_OVERFLOW    => 22,
    ILLEGAL_PARAMETER  => 47,
    DECODE_ERROR       => 50,
    PROTOCOL_VERSION   => 70,
    USER_CANCELED      => 90,
};

our @EXPORT = qw(
    CLOSE_NOTIFY UNEXPECTED_MESSAGE BAD_RECORD_MAC RECORD_OVERFLOW
    ILLEGAL_PARAMETER DECODE_ERROR PROTOCOL_VERSION USER_CANCELED
    @PROTOCOLS $t $get flip is_refused is_foreign others_go_on same_workers
);

our @PROTOCOLS = qw( TLSv1.3 TLSv1.2 );
our $get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

our $t = Test::Atls->new();

$t->write_inner('atls_handshake_timeout 5s; atls_retry_buffer 0;'
                . ' large_client_header_buffers 4 16k;');

$t->run();

my @workers = $t->workers();
my @others = map { $t->established(protocol => $_) } @PROTOCOLS;


# Sends a request in sessions that were established at the start.

sub others_go_on {
    my ($name) = @_;

    is(join('', map { my $r = $_->get('/'); $r ? $r->body() : '' } @others),
       "inner\ninner\n", "$name: other sessions");
}


# Checks that a POST of the bytes ends the session.  The alert is the one in the
# response; undef: there is none.

sub is_refused {
    my ($c, $bytes, $alert, $name) = @_;

    my $cookie = $c->cookie();
    my $before = $c->alerts();
    my $r = $c->post($bytes);

    is($r && $r->status(), 200, "$name: status") or return;
    $c->tls_in($r->body());
    $c->read_plain();

    my @alerts = $c->alerts();

    is("@alerts[$before .. $#alerts]", defined $alert ? $alert : '',
       "$name: alert");
    like($r->header('Set-Cookie'), qr/^atls=; .*Max-Age=0/,
         "$name: the cookie expires");

    return pass("$name: there was no session before") unless defined $cookie;
    is($c->post('', cookie => "atls=$cookie")->status(), 410,
       "$name: the session is gone");
}


# Checks that a POST of the bytes is answered with 409, and that the session
# continues: with the record of a request for /, unless it is undef.

sub is_foreign {
    my ($c, $bytes, $record, $name) = @_;

    my $r = $c->post($bytes);

    is($r && $r->status(), 409, "$name: status") or return;
    like($r->body(), qr/"tag:atls,2026:not-next"/, "$name: type");
    is($r->header('Set-Cookie'), undef, "$name: the cookie is not changed");

    return unless defined $record;

    $c->exchange($record);
    like($c->read_plain(), qr/inner/, "$name: the session goes on");
}


# Inverts a bit.

sub flip {
    my ($bytes, $at, $bit) = @_;

    substr($bytes, $at, 1) ^= chr(1 << ($bit || 0));

    return $bytes;
}


# No worker has exited.

sub same_workers {
    is(join(' ', sort $t->workers()), join(' ', sort @workers),
       'the same workers');

    @others = ();
}


1;
