#!/usr/bin/perl

# The sessions in docs/protocol-examples.md.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Docs;

my $root = Test::Atls::root();
my $t = Test::Atls->new();

my $doc = join "\n", map { $_->{text} }
          grep { $_->{file} eq 'protocol-examples.md' } blocks('');

recomputed();

SKIP: {
    skip "OpenSSL is inside of nginx: $_", 2
        for grep { !/libcrypto/ } scalar `ldd '@{[ Test::Atls::binary() ]}'`;

    repeated();
}

$t->done_testing();


# The bytes decrypt to what the page says, with the keys in it.

sub recomputed {
    my $again = `$^X '$root/docs/flights.pl' --recompute 2>&1`;

    is($?, 0, 'docs/flights.pl --recompute') or diag($again);
    is($again, "$doc\n", 'the bytes are what the page says of them');
}


# New sessions are equal, or similar with other versions of nginx and OpenSSL.

sub repeated {
    my $now = `$^X '$root/docs/flights.pl' 2>&1`;

    is($?, 0, 'docs/flights.pl') or diag($now);

    if (same_versions()) {
        ok($now eq "$doc\n", 'the sessions are the same today')
            or diag('docs/flights.pl --update makes the page anew');
    } else {
        is(outline($now), outline($doc), 'those of today are of the kinds');
    }
}



sub same_versions {
    my ($nginx, $openssl) = slurp("$root/docs/protocol-examples.md")
                            =~ /of nginx (\S+) with OpenSSL (\S+?)\.\s/;
    my $info = $t->nginx_info();

    return $info =~ /nginx\/\Q$nginx\E\s/
           && `openssl version` =~ /OpenSSL \Q$openssl\E\s/
           && ($info !~ /running with OpenSSL (\S+)/ || $1 eq $openssl);
}


sub outline {
    my ($text) = @_;

    return join "\n", $text =~ m{ ^POST\ /[\w.-]* | ^HTTP/1.1\ \d+
                                  | record:\ \w+ | [A-Z]\w+(?=,\ \d+\ bytes)
                                  | ^[a-z]\w+(?:\ \w+)*$ }xmg;
}
