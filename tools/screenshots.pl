#!/usr/bin/perl

# Creates the screenshots of the page of atls_status in docs/monitoring, with 5
# minutes of traffic that has a few failures.
#
#     perl tools/screenshots.pl [DIR]

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../t/lib";

use File::Path qw( make_path );
use Time::HiRes qw( sleep time );

use Test::Atls;
use Test::Atls::Browser;

my $dir = shift // "$FindBin::Bin/../docs/monitoring";
my $time = 310;

my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

atls_zone atls:512k;
atls_session_timeout 2m;

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location = /fast {
        root %%TESTDIR%%;
    }

    location = /slow {
        root %%TESTDIR%%;
        limit_rate 100k;
    }

    location = /atls-status {
        atls_status;
    }
}
EOC

$t->write_file('fast', 'x' x 3000);
$t->write_file('slow', 'x' x 40_000);
$t->run();

my $b = Test::Atls::Browser->start($t);

$b->look(width => 1280, height => 900);
$b->open('http://localhost:' . $t->port(0) . '/atls-status?format=html');
$b->wait("document.getElementById('host').textContent !== ''");
$b->value("document.getElementById('host').textContent = 'www.example.com'");

$t->run_daemon(\&traffic);
sleep $time;
make_path($dir);

shot('page-light', 'main', width => 1200, height => 860);
shot('page-dark', '[data-chart=requests]', width => 1200, height => 860,
     dark => 1);
shot('page-phone', 'main', width => 360, height => 760, mobile => 1);

$t->stop_daemons();
$t->stop();


sub traffic {
    my $start = time;
    my @clients;

    for ( ;; ) {

        # more in the middle of the time

        my $busy = 1 - abs((time - $start) / $time - 0.6);

        push @clients, $t->established() if rand() < $busy;
        $_->get(rand() < 0.05 ? '/slow' : '/fast')
            for grep { rand() < $busy / 2 } @clients;
        $t->half_open() if rand() < 0.05;
        $t->client()->post("GET / HTTP/1.0\r\n\r\n") if rand() < 0.02;
        $t->client(protocol => 'TLSv1.2', ciphers => 'AES128-SHA')->handshake()
            if rand() < 0.02;

        shift @clients if @clients > 20;
        sleep 0.2;
    }
}


# The page from an element on.

sub shot {
    my ($name, $from, %look) = @_;

    $b->look(%look);
    $b->value("document.querySelector('$from').scrollIntoView();"
              . " if ('$from' === 'main') { scrollTo(0, 0); }");
    $b->value('new Promise((done) => setTimeout(done, 1.5 * POLL))');
    $b->screenshot("$dir/$name.png");
}
