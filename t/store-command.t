# The atls command behind a load balancer without affinity: requests continue
# while the store does not respond, and while machines are restarted.

use strict;
use warnings;

use Test::More;

use Test::Atls;
use Test::Atls::Cluster;
use Test::Atls::Command;


my $REQUESTS = 100;

Test::Atls::Cluster->require_redis();

my $cluster = Test::Atls::Cluster->new(nodes => 2, store => 'timeout=300ms')
                                 ->run();
my $t = Test::Atls->new(workers => 1);
my $atls = Test::Atls::Command->new($t);
my @servers = map { 'server 127.0.0.1:' . $_->port(0) . ' max_fails=0;' }
              $cluster->nodes();

$t->write_http(<<"EOC")->run();
limit_req_zone  \$server_name zone=slowly:32k rate=50r/s;

upstream machines {
    @servers
}

server {
    listen  127.0.0.1:%%PORT_0%%;

    location / {
        limit_req  zone=slowly burst=10;
        proxy_pass  http://machines;
        proxy_set_header  Host localhost;
    }
}
EOC

requests('store', \&store_stopped);
requests('machines', \&restarted);

$cluster->done_testing();


# Commands with some requests of a session, one after the other, while something
# happens.

sub requests {
    my ($what, $happens) = @_;

    my $before = posts();
    my $end = $t->path("end-$what");
    my $result = $t->path("result-$what");

    $t->run_daemon(sub { commands($end, $result) });

    $t->wait_for(sub { posts() > $before + 20 });
    $happens->();
    $t->write_file("end-$what", '');
    $t->wait_for(sub { -e $result });

    is($t->read_file("result-$what"), '', "$what: all requests");
}


sub commands {
    my ($end, $result) = @_;

    my $failed = '';

    until (-e $end) {
        my $r = $atls->run('-s', '-S', '--cacert',
                           $cluster->node(0)->path('localhost.crt'), '--via',
                           'http://127.0.0.1:' . $t->port(0) . '/atls',
                           ('https://localhost/') x $REQUESTS);
        my $n = () = $r->{out} =~ /127\.0\.0\.1 node\d/g;

        $failed .= "$r->{code} $n $r->{err}\n"
            if $r->{code} != 0 || $n != $REQUESTS;
    }

    open my $fh, '>', "$result.new" or die "$result: $!\n";
    print $fh $failed;
    close $fh;
    rename "$result.new", $result;
}


sub posts {
    return scalar map { split /\n/, $_->read_file('outer.log') }
                      $cluster->nodes();
}


sub store_stopped {
    for (1, 2) {
        kill 'STOP', $cluster->{redis};

        # until some POSTs were refused

        my $refused = refused();
        $cluster->node(0)->wait_for(sub { refused() > $refused });
        kill 'CONT', $cluster->{redis};
    }
}


sub refused {
    return scalar(() = join('', map { $_->read_file('outer.log') }
                                $cluster->nodes()) =~ /store-unreachable/g);
}


sub restarted {
    for my $node ($cluster->nodes()) {
        my $before = posts();

        $node->stop();
        $cluster->node(0)->wait_for(sub { posts() > $before + 20 });
        $node->run();
        $cluster->wait_for_nodes();
    }
}

