#!/usr/bin/perl

# The configurations installed by Debian and nginx.org, without changes, and one
# block for ATLS: files, pages, errors and a proxied application are the same
# over ATLS and TLS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls::Backend;
use Test::Atls::Compare qw( request );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Process qw( asleep );
use Test::Atls::Stock;

my $MB = 1 << 20;
my $large = ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 8 * $MB : 30 * $MB;

my %files = (nothing => 0, byte => 1, some => 100_000, more => 3 * $MB + 1,
             large => $large);

# the block for ATLS, one for TLS to compare with, and the content of a server

my $block = <<'EOC';
    location /.well-known/atls {
        atls on;
        client_max_body_size 2m;
        atls_certificate %%TESTDIR%%/localhost.crt;
        atls_certificate_key %%TESTDIR%%/localhost.key;
    }

    listen 127.0.0.1:%%PORT_1%% ssl;
    ssl_certificate %%TESTDIR%%/localhost.crt;
    ssl_certificate_key %%TESTDIR%%/localhost.key;

    location /app/ {
        proxy_pass http://127.0.0.1:%%PORT_2%%/;
    }

    location /nobody/ {
        proxy_pass http://127.0.0.1:%%PORT_3%%/;
    }
EOC

my @stock = @Test::Atls::Stock::NAMES;
my ($t, $compare, $name);

for my $stock (@stock) {
    $name = $stock;
    $t = Test::Atls::Stock->new($stock, block => $block);
    $t->make_cert('localhost', type => 'ec');
    content($t->html());

    my $backend = Test::Atls::Backend->start($t, $t->port(2));

    $t->run();
    $compare = Test::Atls::Compare->new($t, atls => $t->port(0),
                                            tls => $t->port(1));
    files();
    errors();
    application();

    ok($t->wait_for(\&idle), "$stock: no worker is busy");
    is(unexpected(), '', "$stock: error log");
    undef $compare;
    $t->finish();
}

done_testing();


sub content {
    my ($dir) = @_;

    $t->write_file("$dir/$_", pattern($files{$_})) for keys %files;
    $t->write_file("$dir/index.html", "<p>welcome</p>\n" x 10_000);
    $t->write_file("$dir/dir/index.html", "<p>directory</p>\n");
    $t->write_file("$dir/50x.html", "<p>sorry</p>\n" x 1000);
}


sub same {
    my ($what, @args) = @_;

    $compare->same("$name: $what", @args);
}


sub idle { !grep { !asleep($_) } $t->workers() }


sub files {
    for my $file (qw( nothing byte some more large )) {
        same($file, request('GET', "/$file"),
             md5 => pattern_md5($files{$file}));
    }

    same('large, late', request('GET', '/large'), md5 => pattern_md5($large),
         late => sub { $t->wait_for(\&idle) });
    same('range', request('GET', '/more', { Range => 'bytes=70000-2999999' }));
    same('HEAD', request('HEAD', '/more'));
    same('index', request('GET', '/'));
    same('compressed index', request('GET', '/',
                                     { 'Accept-Encoding' => 'gzip' }));
    same('index of a directory', request('GET', '/dir/'));
    same('directory without a slash', request('GET', '/dir'),
         except => [ 'Location' ]);
}


sub errors {
    same('404', request('GET', '/no/such/file'));
    same('400', "GET / HTTP/1.1\r\n\r\n");
    same('405', request('POST', '/some', {}, 'body'));
    same('413', request('POST', '/app/echo', {}, pattern($MB + 1)));
    same('414', request('GET', '/' . 'x' x 10_000));
    same('502', request('GET', '/nobody/'));
}


sub application {
    my $spooled = 12 * $MB;

    same('application', request('GET', '/app/headers?n=3'));
    same('application, chunked', request('GET', '/app/chunked'));
    same('application, upload', request('POST', '/app/body', {},
                                        pattern(900_000)),
         md5 => pattern_md5(900_000));
    same('application, large', request('GET', "/app/big?size=$large"),
         md5 => pattern_md5($large));

    # nginx receives more from it than it can send, and uses a temporary file

    same('application, large, late', request('GET', "/app/big?size=$spooled"),
         md5 => pattern_md5($spooled), late => sub {
             $t->wait_for(sub { $t->spooled() > $spooled / 3 });
             $t->wait_for(\&idle);
         });
}


# Messages at the configured level that are not expected from the requests of
# this test.

sub unexpected {
    return join '', grep { !/\[(?:warn|notice|info)\]/
                           && !/no such file|No such file|upstream|too large/i }
           $t->read_file('error.log') =~ /^.*\n/gm;
}
