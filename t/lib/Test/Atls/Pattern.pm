package Test::Atls::Pattern;

# Bodies of any size with predictable content: the lines "0000000\n" to
# "0131071\n", repeated.

use strict;
use warnings;

use Digest::MD5;
use Exporter qw( import );

our @EXPORT_OK = qw( pattern pattern_md5 );

use constant PERIOD => 1 << 20;

my $block = join '', map { sprintf "%07d\n", $_ } 0 .. PERIOD / 8 - 1;


sub pattern {
    my ($length, $offset) = @_;

    my $at = ($offset || 0) % PERIOD;

    return substr $block x (1 + int(($at + $length) / PERIOD)), $at, $length;
}


sub pattern_md5 {
    my ($length) = @_;

    my $md5 = Digest::MD5->new();

    for (my $left = $length; $left > 0; $left -= PERIOD) {
        $md5->add($left < PERIOD ? pattern($left) : $block);
    }

    return $md5->hexdigest();
}


1;
