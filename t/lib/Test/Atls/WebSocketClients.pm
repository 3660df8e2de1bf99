package Test::Atls::WebSocketClients;

# WebSocket clients of others: ws of npm, and websockets of Python.
#
#     talks_ok($t, $_, $url, messages => 10_000, ca => $file)
#         for websocket_clients();
#
# A client sends messages to /echo at once, receives those of /push, and pings:
# two tests.  Options: messages; pushed, in intervals of ms milliseconds; ca;
# name, for the tests.  The backend is that of Test::Atls::WebSocket.

use strict;
use warnings;

use Exporter qw( import );
use FindBin;
use Test::More;

use Test::Atls::Program qw( run_program );

our @EXPORT_OK = qw( talks_ok websocket_clients );

# Debian's packages, beside other installations

my %CLIENTS = (
    'ws of npm'            => [ 'node', "$FindBin::Bin/bin/websocket.js" ],
    'websockets of Python' => [ '/usr/bin/python3',
                                "$FindBin::Bin/bin/websocket.py" ],
);

my %ENV = (NODE_PATH => join ':', grep { defined && $_ ne '' }
                             $ENV{NODE_PATH}, '/usr/share/nodejs');


sub websocket_clients { sort keys %CLIENTS }


sub talks_ok {
    my ($t, $client, $url, %options) = @_;

    my ($messages, $pushed, $ms, $ca, $name) =
        map { $options{$_} } qw( messages pushed ms ca name );

    $name = join ', ', $client, defined $name ? $name : ();

    my $r = run_program($t, @{$CLIENTS{$client}}, $url, $messages, $pushed, $ms,
                        defined $ca ? $ca : (), { env => \%ENV });

    is($r->{code}, 0, "$name: exit code") or diag($r->{err});
    is($r->{out}, "echo $messages 1000\npush $pushed 1000\npong there? 1001\n",
       "$name: messages");
}


1;
