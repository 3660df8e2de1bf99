#!/usr/bin/perl

# atls --direct, with servers that have TLS 1.2 only.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Association;
use Test::Atls::Site;

my $t = Test::Atls::Site->new(log_level => 'info');

$t->make_cert('alice', ca => 'ca');

# The last server accepts nothing, and has a certificate that is valid.  The one
# before accepts an association with extended master secret only.

$t->serve('', http => <<'EOH' . 'ssl_protocols TLSv1.2 TLSv1.3;', servers =>
ssl_certificate %%TESTDIR%%/localhost.crt;
ssl_certificate_key %%TESTDIR%%/localhost.key;
atls_verify_client optional;
atls_client_certificate %%TESTDIR%%/ca.crt;
atls_association 1h reuse;
EOH
          accepting(2, '$ssl_protocol $atls_association $request_method',
                    other => 'ssl_protocols TLSv1.2;')
          . accepting(3, '$ssl_protocol $atls_association $request_method')
          . accepting(5, '$ssl_protocol $atls_association $request_method',
                      other => 'ssl_protocols TLSv1.2; ssl_conf_command Options'
                               . ' -ExtendedMasterSecret;')
          . <<'EOC');
server {
    listen 127.0.0.1:%%PORT_4%% ssl;
    server_name localhost;
    ssl_protocols TLSv1.2;
    return 200 certificate;
}
EOC

my %url = (tls12 => $t->port(2), both => $t->port(3), none => $t->port(4),
           no_ems => $t->port(5));

$_ = "https://localhost:$_" for values %url;

my $stderr;                 # of the last command

for my $name (sort keys %url) {
    is(run('prepare', $url{$name}), '0 ', "$name: an association");
}

is(direct_to('tls12'), '0 TLSv1.2 on GET', 'a server with TLS 1.2');
is(direct_to('tls12', '-d', 'a=b'), '0 TLSv1.2 on POST', 'POST');
is(direct_to('both'), '0 TLSv1.3 on GET', 'a server with both');
is(direct_to('both', '--tls-max', '1.2'), '0 TLSv1.2 on GET', '--tls-max');
is(direct_to('tls12', '--tlsv1.3'), "0 exactly\n", '--tlsv1.3: ATLS');
is(unsupported(), 1, 'TLS 1.2 is not offered');

# no suite of TLS 1.2 with a certificate is offered

is(direct_to('none'), "0 exactly\n", 'a valid certificate: ATLS');
like($t->read_file('error.log'), qr/no shared cipher/, 'no such suite');

# the handshake succeeds, but the client would not be that of the association

is(direct_to('no_ems'), "0 exactly\n", 'no extended master secret: ATLS');
like($stderr, qr/direct: using ATLS, .* not support extended master secret$/m,
     'the reason');

# the suites of TLS 1.2 are those of the user

my $suite = 'ECDHE-PSK-CHACHA20-POLY1305';

is(direct_to('tls12', '--ciphers', 'ECDHE+AESGCM:CHACHA20'),
   '0 TLSv1.2 on GET', "--ciphers with $suite");
is(direct_to('tls12', '--ciphers', "$suite:ECDHE+AESGCM"), '0 TLSv1.2 on GET',
   'by its name');
is(direct_to('both', '--ciphers', 'ECDHE+AESGCM'), '0 TLSv1.3 on GET',
   'without it, TLS 1.3');
is(direct_to('tls12', '--ciphers', 'ECDHE+AESGCM'), "0 exactly\n", 'ATLS');
is(unsupported(), 2, 'TLS 1.2 is not offered');

# the client of a certificate, whose identity is longer than 256 bytes

my @alice = ('--cert', $t->path('alice.crt'), '--key', $t->path('alice.key'));

unlink $t->path('associations');

is(run('prepare', @alice, $url{$_}), '0 ', "$_: of a certificate")
    for qw( tls12 both );
is(direct_to('both'), '0 TLSv1.3 on GET', 'in TLS 1.3');
is(direct_to('tls12'), "0 exactly\n", 'too long for TLS 1.2: ATLS');
is(unsupported(), 3, 'TLS 1.2 is not offered');

$t->done_testing();


sub run {
    my $r = $t->command()->run(@_[0 .. $#_ - 1], $t->trust(), $t->via(),
                               '--association', $t->path('associations'),
                               $_[-1]);

    diag($r->{err}) if $r->{code};
    $stderr = $r->{err};

    return "$r->{code} $r->{out}";
}


# handshakes that failed for this reason

sub unsupported {
    return scalar grep { /unsupported protocol/ }
                       split /\n/, $t->read_file('error.log');
}


sub direct_to {
    my ($name, @args) = @_;

    return run('--direct', '-v', @args, "$url{$name}/exact");
}
