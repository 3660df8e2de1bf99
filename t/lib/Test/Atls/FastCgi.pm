package Test::Atls::FastCgi;

# A FastCGI application, based on Perl's FCGI module.
#
#     Test::Atls::FastCgi::start($t, $t->port(2));
#
# By default, the response has the parameters as sorted NAME=value lines, an empty line, and
# "length N" and "md5 ..." of the body; with QUERY_STRING size=N, it has N bytes
# of Test::Atls::Pattern.
#
#     Test::Atls::FastCgi::start($t, $t->port(2), sub {
#         my ($in, $env) = @_;            # a handle, and the parameters
#         return "Status: 200 OK\r\n\r\nhello";
#     });

use strict;
use warnings;

use Digest::MD5;
use FCGI;

use Test::Atls::Pattern qw( pattern );


sub start {
    my ($t, $port, $answer) = @_;

    # opened here, so that the application listens when this returns

    my $socket = FCGI::OpenSocket("127.0.0.1:$port", 128);
    my $pid = $t->run_daemon(sub { _serve($socket, $answer || \&_answer) });

    FCGI::CloseSocket($socket);

    return $pid;
}


sub _serve {
    my ($socket, $answer) = @_;

    my ($in, $out, $err, %env) = map { IO::Handle->new() } 1 .. 3;
    my $request = FCGI::Request($in, $out, $err, \%env, $socket, 0);

    while ($request->Accept() >= 0) {
        print $out $answer->($in, \%env);
        $request->Finish();
    }
}


sub _answer {
    my ($in, $env) = @_;

    return "Content-Type: application/octet-stream\r\n\r\n" . pattern($1)
        if ($env->{QUERY_STRING} || '') =~ /\bsize=(\d+)/;

    my ($md5, $length) = (Digest::MD5->new(), 0);

    while (my $n = read $in, my $buf, 65536) {
        $md5->add($buf);
        $length += $n;
    }

    return join "\n", "Status: 200 OK\r\nContent-Type: text/plain\r\n\r",
                (map { "$_=$env->{$_}" } sort keys %$env), '',
                "length $length", 'md5 ' . $md5->hexdigest(), '';
}


1;
