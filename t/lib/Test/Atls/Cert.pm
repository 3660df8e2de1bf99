package Test::Atls::Cert;

# Creates certificates with the openssl command.

use strict;
use warnings;

my %KEYS = (
    ec      => [ qw( -newkey ec -pkeyopt ec_paramgen_curve:P-256 ) ],
    rsa     => [ qw( -newkey rsa:2048 ) ],
    ed25519 => [ qw( -newkey ed25519 ) ],
    map { $_ => [ '-newkey', $_ ] } qw( ML-DSA-44 ML-DSA-65 ML-DSA-87 ),
);


# make($dir, 'name', type => 'ec', subject => '/CN=name', san => 'DNS:name',
#      ca => 'name of the issuer', is_ca => 1, days => 30, password => '...',
#      ext => [ 'keyUsage=...' ])
#
# Returns the paths of the certificate and its key: name.crt, name.key.

sub make {
    my ($dir, $name, %args) = @_;

    my ($crt, $key) = ("$dir/$name.crt", "$dir/$name.key");
    my $subject = $args{subject} || "/CN=$name";
    my $san = $args{san} || "DNS:$name";

    my @command = (qw( openssl req -x509 -batch -sha256 ),
                   @{$KEYS{$args{type} || 'ec'}},
                   '-config', _config($dir),
                   '-subj', $subject, '-days', $args{days} || 30,
                   '-addext', "subjectAltName=$san",
                   '-out', $crt, '-keyout', $key);

    push @command, defined $args{password}
                   ? ('-passout', "pass:$args{password}") : '-nodes';

    push @command, '-CA', "$dir/$args{ca}.crt", '-CAkey', "$dir/$args{ca}.key"
        if $args{ca};

    push @command, '-addext', 'basicConstraints=critical,CA:'
                              . ($args{is_ca} ? 'TRUE' : 'FALSE');
    push @command, map { ('-addext', $_) } @{$args{ext} || []};

    my $log = "$dir/openssl.out";
    my $command = join ' ', map { "'" . s/'/'\\''/gr . "'" } @command;

    if (system "$command >$log 2>&1 </dev/null") {
        open my $fh, '<', $log;
        die "$command:\n", $fh ? <$fh> : ();
    }

    return ($crt, $key);
}


# The system's openssl.cnf might add extensions.

sub _config {
    my ($dir) = @_;

    my $config = "$dir/openssl.conf";

    unless (-e $config) {
        open my $fh, '>', $config or die "$config: $!\n";
        print $fh "[ req ]\ndistinguished_name = dn\nprompt = no\n[ dn ]\n";
        close $fh;
    }

    return $config;
}


1;
