# The inner scheme is https, and redirects are relative: the address known to
# the client does not depend on the outer connection.

use strict;
use warnings;

use Test::More;

use Test::Atls;


my $t = Test::Atls->new();
$t->write_file('sub/index.html', '');
$t->write_http(<<'EOC');
%%CERTIFICATE%%
server {
    listen 127.0.0.1:%%PORT_0%%;
    server_name localhost;
    location /.well-known/atls { atls on; }
    location /hello { return 200 "$scheme $https\n"; }
    location /redir { return 302 /x; }
}
EOC
$t->run();

my $c = $t->client();
ok($c->handshake(), 'handshake') or diag($c->error());

is($c->get('/hello')->body(), "https on\n", 'scheme');
is($c->get('/redir')->header('Location'), '/x', 'redirect');
is($c->get('/sub')->header('Location'), '/sub/', 'redirect to a directory');

# outside of sessions, nothing is changed

my $port = $t->port(0);

like(http_raw($port, "GET /hello HTTP/1.0\r\n\r\n"), qr/\r\nhttp \n$/,
     'scheme outside');
like(http_raw($port, "GET /redir HTTP/1.0\r\nHost: localhost\r\n\r\n"),
     qr{^Location: http://localhost:$port/x\r$}m, 'redirect outside');

$t->done_testing();
