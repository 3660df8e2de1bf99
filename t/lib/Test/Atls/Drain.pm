package Test::Atls::Drain;

# POSTs in progress while a machine of a Test::Atls::Cluster shuts down.
#
#     my $begun = begun($cluster, ($cluster->node(0)->workers())[0]);
#     ...
#     my $c = finished($begun);               # the client

use strict;
use warnings;

use Exporter qw( import );
use Test::More;

use Test::Atls::Elsewhere qw( connect_to );
use Test::Atls::Http qw( read_response send_all );

our @EXPORT_OK = qw( begun busy ended finished $REQUEST );

our $REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";


# A POST of two requests to a worker process of machine 0, without its end.

sub begun {
    my ($cluster, $worker) = @_;

    my $t = $cluster->node(0);
    my $c = $cluster->established(0);
    my $records = join '', map { $c->write_plain($REQUEST); $c->tls_out() }
                               0, 1;
    my $post = $c->format_post($records, Connection => 'close');
    my $s = connect_to($t, $worker, substr($post, 0, -10),
                       port => $t->port(0));

    return [ $c, $s, substr $post, -10 ];
}


sub finished {
    my ($c, $s, $rest) = @{$_[0]};

    my $r = ended($s, $c, $rest);

    is($r && $r->status(), 200, 'a POST');
    like($c->read_plain(), qr/node0.*node0\z/s, '... decrypted');

    return $c;
}


# Sends the end of a POST.  Returns the response.

sub ended {
    my ($s, $c, $rest) = @_;

    send_all($s, $rest);

    my $r = read_response($s);

    $c->tls_in($r->body()) if $r;
    close $s;

    return $r;
}


# An unfinished request, which keeps a worker process.

sub busy {
    my ($t, $worker) = @_;

    return connect_to($t, $worker, "GET / HTTP/1.1\r\n", port => $t->port(0));
}


1;
