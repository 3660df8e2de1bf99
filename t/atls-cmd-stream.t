#!/usr/bin/perl

# The command atls with the module: data of a pipe are sent as they are read.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Test::Atls::Site;

use constant WATCH => 2;        # port of a backend

my $t = Test::Atls::Site->new();

$t->serve(<<'EOC');
location = /watch {
    proxy_pass http://127.0.0.1:%%PORT_2%%;
    proxy_http_version 1.1;
    proxy_request_buffering off;
}
EOC

$t->run_daemon(\&watch, port => $t->port(WATCH));

my $atls = $t->command();
my @args = ($t->via(), $t->trust());
my $url = 'https://localhost/watch';

subtest('a pipe' => \&pieces);
subtest('an empty pipe' => \&nothing);

$t->done_testing();


# A backend that writes what it has received so far to a file.

sub watch {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5,
                                       LocalPort => $t->port(WATCH),
                                       ReuseAddr => 1) or die "watch: $!\n";

    while (my $s = $listen->accept()) {
        my $seen = '';

        until ($seen =~ /\r\n0\r\n\r\n\z|^Content-Length: 0\r.*\r\n\r\n\z/ms) {
            sysread $s, $seen, 65536, length $seen or last;
            $t->write_file('seen.new', $seen);
            rename $t->path('seen.new'), $t->path('seen') or die "seen: $!\n";
        }

        syswrite $s, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
                     . "Connection: close\r\n\r\nend";
        close $s;
    }
}


sub seen { -e $t->path('seen') ? $t->read_file('seen') : '' }


sub pieces {
    unlink $t->path('seen');

    my $p = $atls->start(@args, '-T', '-', $url, { stdin => 'pipe' });

    ok($t->wait_for(sub { seen() =~ m!^PUT /watch HTTP/1.1\r\n!m }),
       'the header, before any data');

    for my $piece (qw( first second third )) {
        print {$p->{in}} "$piece\n";
        ok($t->wait_for(sub { seen() =~ /^$piece$/m }), "$piece piece");
    }

    my $r = $atls->finish($p);
    is("$r->{code} $r->{out}", '0 end', 'the response') or diag($r->{err});
    like(seen(), qr/^first\n\r\n.*^second\n\r\n.*^third\n\r\n/ms,
         'chunks in their order');

    done_testing();
}


sub nothing {
    unlink $t->path('seen');

    my $p = $atls->start(@args, '-T', '-', $url, { stdin => 'pipe' });
    my $r = $atls->finish($p);

    is("$r->{code} $r->{out}", '0 end', 'the response') or diag($r->{err});
    like(seen(), qr/\r\n\r\n(?:0\r\n\r\n)?\z/, 'an empty body');

    done_testing();
}
