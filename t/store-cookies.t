# Several cookies with the name of the endpoint: of enclosing locations, and of
# sessions that do not exist any more, or were set by others.

use strict;
use warnings;

use Test::More;

use Test::Atls::Cluster;


Test::Atls::Cluster->require_redis();

for my $mode (qw( lazy each )) {
    subtest $mode => sub { cookies($mode) };
}

done_testing();


sub cookies {
    my ($mode) = @_;

    my $cluster = Test::Atls::Cluster->new(
        nodes => 3, workers => 1, mode => $mode, location => <<'EOC')->run();
location /atls/nested {
    atls on;
}
EOC

    my $unknown = 'A' x 24;

    for my $n (0 .. 2) {
        my $c = $cluster->established(0);
        my $own = $c->{cookies}{atls};
        my $other = $cluster->established(1, uri => '/atls/nested');
        my $nested = $other->{cookies}{atls};

        for ([ $own, $unknown ], [ $unknown, $own ], [ $own, 'x' ],
             [ 'x', $own ], [ $unknown, 'B' x 24, 'C' x 24, $own ],
             [ $own, $nested ])
        {
            is_ok($cluster, $c, $n, $_, 'a session of machine 0');
        }

        for ([ $nested, $own ], [ $unknown, $nested, $own ]) {
            is_ok($cluster, $other, $n, $_, 'a nested location');
        }

        # not more than four of them

        is_status($cluster, $c, $n, [ map({ $_ x 24 } 'A' .. 'D'), $own ],
                  $n && $mode eq 'lazy' || $mode eq 'each'
                  ? '410 session-foreign' : 'ok', 'too many cookies');
        $c->{cookies}{atls} = $own;
        is_ok($cluster, $c, $n, [ $own ], 'afterwards');
    }

    # not the first one, which is a session of this machine at another location

    my $c = $cluster->established(1);
    my $own = $c->{cookies}{atls};
    my $other = $cluster->established(0, uri => '/atls/nested');
    my $nested = $other->{cookies}{atls};

    is_ok($cluster, $c, 0, [ $nested, $own ], 'another session is here');
    is_ok($cluster, $c, 0, [ $own, $nested ], 'another session is here');

    # the response to the client

    is_status($cluster, $c, 0, [ $unknown, $nested ], '410 session-elsewhere',
              'no session of this location');

    $cluster->done_testing();
}


sub is_ok { is_status(@_[0 .. 3], 'ok', $_[4]) }


sub is_status {
    my ($cluster, $c, $n, $cookies, $status, $what) = @_;

    $c->{cookies}{atls} = join '; atls=', @$cookies;

    my $order = join ', ', map { /^(.)\1/ ? $1 : 'session' } @$cookies;

    is($cluster->status($c, $n) =~ s/^127.*/ok/r, $status,
       "$what, at $n: $order");
}
