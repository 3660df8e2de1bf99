package Test::Atls::CurlSite;

# A service over ATLS and over TLS, and curl and atls with the same arguments.
# What they send is recorded by the same backend, what they print and the files
# that they write are compared.
#
#     my $t = Test::Atls::CurlSite->new();
#     $t->same('a form', '-d', 'a=b', 'https://localhost/');      # one test
#     my $r = $t->run_one('atls', '-d', 'a=b', 'https://localhost/');
#     is($r->{code}, 0, ...);                 # { code, out, err, requests }
#
# Each program has its own current directory, "atls" or "curl"; write() writes
# a file to both of them.  The User-Agent is the same.  If the last argument is
# a hash, it has options:
#
#     stdin =>        their input
#     code =>         the expected exit code; default: 0
#     files => [ ]    files to be compared
#     edit => sub     changes $_: requests, output and files, before they are
#                     compared
#     out => 0        the output is not compared

use strict;
use warnings;
use version;

use Test::More ();

use Test::Atls::Command;
use Test::Atls::Process qw( wait_exit );
use Test::Atls::Recorder;
use Test::Atls::Slow qw( patience );

use parent 'Test::Atls';


sub new {
    my ($class, %args) = @_;

    my $self = $class->SUPER::new(workers => 4, %args);

    $self->make_cert('ca', is_ca => 1);
    $self->make_cert('localhost', ca => 'ca',
                     san => 'DNS:localhost,DNS:*.example.com,'
                            . 'DNS:example.com,IP:127.0.0.1');

    $self->{recorder} = Test::Atls::Recorder->start($self, $self->port(1));

    mkdir $self->path($_) or die "$_: $!\n" for qw( atls curl );

    $self->write_http(<<"EOC");
%%CERTIFICATE_localhost%%
%%SSL_CERTIFICATE_localhost%%
client_max_body_size 0;

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_2%% ssl;

    location = /.well-known/atls {
        atls on;
    }

    location / {
        proxy_pass http://127.0.0.1:%%PORT_1%%;
        proxy_http_version 1.1;
        proxy_set_header Host \$http_host;
        proxy_set_header Connection "";
    }
}
EOC

    return $self->run();
}


sub endpoint {
    my ($self, $path) = @_;

    return 'http://127.0.0.1:' . $self->port(0)
           . ($path || '/.well-known/atls');
}


sub command { $_[0]{command} ||= Test::Atls::Command->new($_[0]) }
sub recorder { $_[0]{recorder} }


# Whether the installed curl is older.  Where versions differ, atls does the same
# as curl 7.88.

sub curl_before {
    my ($self, $version) = @_;

    my ($curl) = `curl --version` =~ /^curl ([\d.]+)/;

    return version->parse("v$curl") < version->parse("v$version");
}


sub write {
    my ($self, $name, $content) = @_;

    $self->write_file("$_/$name", $content) for qw( atls curl );
}


sub both {
    my ($self, @args) = @_;

    return { map { $_ => $self->run_one($_, @args) } qw( atls curl ) };
}


sub run_one {
    my ($self, $name, @args) = @_;

    my $options = ref $args[-1] ? pop @args : {};
    my $dir = $self->path($name);
    my %program = (
        atls => [ $self->command()->lib()->command_line(
                      $self->command()->program()),
                  '--via', $self->endpoint() ],
        curl => [ 'curl', '-sS', '--http1.1', '--connect-to',
                  '::127.0.0.1:' . $self->port(2) ],
    );

    my @command = (@{$program{$name}}, '--cacert', $self->path('ca.crt'),
                   '-A', 'same', @args);
    my $stdin = $self->write_file("$name.stdin", defined $options->{stdin}
                                                 ? $options->{stdin} : '');

    $self->{recorder}->forget();

    my $pid = fork();
    die "fork: $!\n" unless defined $pid;

    unless ($pid) {
        delete @ENV{grep { /_proxy$/i } keys %ENV};
        $ENV{HOME} = $dir;
        chdir $dir or die "$dir: $!\n";
        open STDIN, '<', $stdin or die "stdin: $!\n";
        open STDOUT, '>', "$dir.out" or die "stdout: $!\n";
        open STDERR, '>', "$dir.err" or die "stderr: $!\n";
        { exec @command }
        POSIX::_exit(127);
    }

    my $status = wait_exit($pid, 2 * patience());

    if (!defined $status) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
        die "it does not exit: @command\n";
    }

    my %result = (code => $status >> 8,
                  out => $self->read_file("$name.out"),
                  err => $self->read_file("$name.err"),
                  requests => [ $self->{recorder}->requests() ]);

    for (@{$options->{files} || []}) {
        $result{files}{$_} = -e "$dir/$_" ? $self->read_file("$name/$_")
                                          : 'no file';
    }

    return \%result;
}


sub same {
    my ($self, $name, @args) = @_;

    my $options = ref $args[-1] ? $args[-1] : {};
    my $both = $self->both(@args);
    my ($atls, $curl) = map { _text($both->{$_}, $options) } qw( atls curl );

    Test::More::is($atls, $curl, $name)
        or Test::More::diag("atls: $both->{atls}{err}"
                            . "curl: $both->{curl}{err}");

    my $code = $options->{code} || 0;
    Test::More::is($both->{atls}{code}, $code, "$name: exit code")
        or Test::More::diag($both->{atls}{err});

    return $both->{atls};
}


# What is compared.

sub _text {
    my ($result, $options) = @_;

    my %parts = map { ("$_:" => $result->{files}{$_}) }
                @{$options->{files} || []};

    $parts{code} = $result->{code};
    $parts{output} = $result->{out}
        unless defined $options->{out} && !$options->{out};
    $parts{"request $_"} = $result->{requests}[$_ - 1]
        for 1 .. @{$result->{requests}};

    if ($options->{edit}) {
        $options->{edit}->() for values %parts;
    }

    return join '', map { "-- $_\n$parts{$_}\n" } sort keys %parts;
}


1;
