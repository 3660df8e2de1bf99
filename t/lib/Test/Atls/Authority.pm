package Test::Atls::Authority;

# A certificate authority with revocation.
#
#     my $ca = Test::Atls::Authority->new($t, 'ca');      # ca.crt, ca.key
#     $ca->issue('alice', subject => '/CN=Alice');        # alice.crt, alice.key
#     $ca->revoke('alice');
#     $ca->crl('ca.crl');
#     $ca->ocsp_response('alice', 'alice.ocsp');

use strict;
use warnings;

use Test::Atls::Process qw( spawn wait_exit );
use Test::Atls::Slow qw( patience );


# The arguments are those of Test::Atls::Cert.  With ca => name, it is an
# intermediate CA.

sub new {
    my ($class, $t, $name, %args) = @_;

    my $self = bless { t => $t, name => $name, serials => {}, revoked => {} },
                     $class;

    $t->make_cert($name, is_ca => 1, %args);

    return $self;
}


sub issue {
    my ($self, $name, %args) = @_;

    $self->{t}->make_cert($name, ca => $self->{name}, %args);

    my $said = $self->_openssl(qw( x509 -noout -serial -in ),
                               $self->_file("$name.crt"));

    ($self->{serials}{$name}) = $said =~ /serial=(\w+)/;
}


sub revoke {
    my ($self, @names) = @_;

    $self->{revoked}{$_} = 1 for @names;
}


sub crl {
    my ($self, $file) = @_;

    my $index = $self->_index();
    my $conf = $self->{t}->write_file("$self->{name}.conf", <<"EOC");
[ ca ]
default_ca = ca_default
[ ca_default ]
database = $index
default_md = sha256
default_crl_days = 30
EOC

    $self->_openssl(qw( ca -gencrl -config ), $conf, $self->_ca('-cert'),
                    '-keyfile', $self->_file("$self->{name}.key"),
                    '-out', $self->_file("$file.new"));
    rename $self->_file("$file.new"), $self->_file($file)
        or die "$file: $!\n";
}


# days => 7: validity; signer => name of another certificate than the CA's.

sub ocsp_response {
    my ($self, $name, $file, %args) = @_;

    my $request = $self->_file("$name.ocspreq");

    $self->_openssl('ocsp', '-issuer', $self->_file("$self->{name}.crt"),
                    '-cert', $self->_file("$name.crt"), '-no_nonce',
                    '-reqout', $request);
    my $signer = $args{signer} || $self->{name};

    $self->_openssl('ocsp', '-index', $self->_index(), $self->_ca('-CA'),
                    '-rsigner', $self->_file("$signer.crt"),
                    '-rkey', $self->_file("$signer.key"), '-reqin', $request,
                    '-ndays', $args{days} || 7,
                    '-respout', $self->_file($file));
}


sub _ca {
    my ($self, $option) = @_;

    return ($option, $self->_file("$self->{name}.crt"));
}


# A line of openssl's database: status, end, revocation, serial, file, subject.

sub _index {
    my ($self) = @_;

    my %revoked = %{$self->{revoked}};

    return $self->{t}->write_file("$self->{name}.index", join '', map {
        join("\t", $revoked{$_} ? ('R', '491231235959Z', '200101000000Z')
                                : ('V', '491231235959Z', ''),
             $self->{serials}{$_}, 'unknown', "/CN=$_") . "\n"
    } sort keys %{$self->{serials}});
}


sub _file { $_[0]{t}->path($_[1]) }


# Returns the output of the command.  Dies with it on errors.

sub _openssl {
    my ($self, @args) = @_;

    my $out = $self->_file('openssl.out');
    my $pid = spawn({ stderr => $out }, 'openssl', @args);
    my $status = wait_exit($pid, patience());
    my $text = $self->{t}->read_file($out);

    die "openssl @args:\n$text" if !defined $status || $status;

    return $text;
}


1;
