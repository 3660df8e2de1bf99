package Test::Atls::OuterCurl;

# Like Test::Atls::Outer, over HTTP/2 or HTTP/3, with the curl command.  Each
# POST uses a new connection.

use strict;
use warnings;

use File::Temp qw( tempdir );

use Test::Atls::Response;
use Test::Atls::Slow qw( slow );

my %VERSIONS = (
    h2 => [ '--http2-prior-knowledge' ],
    h3 => [ '--http3-only' ],
);


# Whether curl has HTTP/3.

sub has_http3 { `curl --version` =~ /^Features:.* HTTP3/m }


sub new {
    my ($class, %args) = @_;

    return bless { timeout => 60, method => 'POST', host_header => 'localhost',
                   dir => tempdir(CLEANUP => 1), %args }, $class;
}


sub post {
    my ($self, $body, $headers, %options) = @_;

    $self->send($body, $headers);

    return $self->receive(%options);
}


# Begins the POST.  The response is read from a pipe.

sub send {
    my ($self, $body, $headers) = @_;

    my $scheme = $self->{tls} ? 'https' : 'http';
    my $version = $self->{version} eq 'h2' && $self->{tls}
                  ? [ '--http2' ] : $VERSIONS{$self->{version}};
    my %headers = (Expect => undef, Host => $self->{host_header}, %$headers);

    my @command = (
        qw( curl --silent --no-buffer --insecure ), @$version,
        $self->_proxy(),
        '-X', $self->{method}, '--max-time',
        $self->{timeout} * slow(),
        '--data-binary', '@' . $self->_body_file($body),
        '--dump-header', "$self->{dir}/head", '--output', '-',
        ($self->{local} ? ('--interface', $self->{local}) : ()),
        ($self->{first} ? '--haproxy-protocol' : ()),
        (map { ('-H', defined $headers{$_} ? "$_: $headers{$_}" : "$_:") }
         sort keys %headers),
        "$scheme://127.0.0.1:$self->{port}$self->{uri}"
    );

    unlink "$self->{dir}/head";
    open $self->{pipe}, '-|:raw', @command or die "curl: $!\n";
}


sub _proxy {
    my ($self) = @_;

    return qw( --noproxy * ) unless $self->{proxy};

    # otherwise, the response to CONNECT would be part of the header

    return (qw( --suppress-connect-headers --noproxy ), '',
            '--proxy', "http://127.0.0.1:$self->{proxy}");
}


sub _body_file {
    my ($self, $body) = @_;

    my $file = "$self->{dir}/body";

    open my $fh, '>:raw', $file or die "$file: $!\n";

    if (ref $body) {
        while (defined(my $piece = $body->())) { print $fh $piece }
    } else {
        print $fh $body;
    }

    CORE::close $fh or die "$file: $!\n";

    return $file;
}


sub receive {
    my ($self, %options) = @_;

    my ($body, $length) = ('', 0);

    while (my $n = sysread $self->{pipe}, my $buf, 65536) {
        $length += $n;
        if ($options{on_body}) { $options{on_body}->($buf) }
        else { $body .= $buf }
    }

    my $status;
    { local $?; CORE::close $self->{pipe}; $status = $? >> 8; }
    delete $self->{pipe};

    open my $fh, '<:raw', "$self->{dir}/head" or return undef;
    local $/;
    my $head = <$fh>;
    return undef if $status || !$head;

    # curl prints the status line as HTTP/2 200

    $head =~ s!^HTTP/([23]) !HTTP/$1.0 !mg;
    my $r = Test::Atls::Response->new(method => 'HEAD');
    $r->feed($head);
    @$r{qw( body length )} = ($body, $length);

    return $r;
}


sub close {
    my ($self) = @_;

    # curl is terminated by SIGPIPE on its next write

    my $pipe = delete $self->{pipe} or return;
    local $?;
    CORE::close $pipe;
}


1;
