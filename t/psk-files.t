#!/usr/bin/perl

# Files of pre-shared keys: reloads with other keys, and invalid files.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Psk;
use Test::Atls::Stack qw( @STACKS );

reloads();
bad_files();
no_keys_logged();

$t->done_testing();


# A session ends if its key was removed from the file, or changed.

sub reloads {
    my $other = $KEY =~ s/cc$/dd/r;

    $t->write_file('psk', "stays:$KEY\nleaves:$KEY\nchanges:$KEY\n");
    ok($t->reload(), 'reload');

    my @clients = map { my $stack = $_; map { $stack->($_) } @PROTOCOLS }
                  map { my $stack = $_; sub { sessions($stack, $_[0]) } }
                  @STACKS;

    $t->write_file('psk', "first:$other\nstays:$KEY\nchanges:$other\n");
    ok($t->reload(), 'reload with other keys');

    for my $client (@clients) {
        my ($name, $identity, $c) = @$client;

        if ($identity eq 'stays' || $identity eq 'certificate') {
            like(seen($c), $identity eq 'stays' ? qr/\|PSK\|stays\|/
                                                : qr/\|NONE\|\|/,
                 "$name goes on");
            next;
        }

        $c->write_plain($c->format_get('/'));
        my $r = $c->post($c->tls_out());
        is($r && $r->status(), 410, "$name is gone");
    }

    for my $stack (@STACKS) {
        for my $protocol (@PROTOCOLS) {
            my @args = ($stack, '/only', protocol => $protocol);

            is_served("$stack, $protocol, the new key",
                      qr/\|PSK\|changes\|/, @args,
                      psk => [ 'changes', $other ]);
            is_refused("$stack, $protocol, the old key", undef, @args,
                       psk => [ 'changes', $KEY ]);
            is_refused("$stack, $protocol, no key any more", undef, @args,
                       psk => [ 'leaves', $KEY ]);
        }
    }

    # an invalid file changes nothing

    $t->write_file('psk', "stays:$MARK\nx\n");
    $t->allow_log(qr/\[emerg\].*invalid line 2/);
    ok(!$t->reload(), 'a reload that is refused');

    my @stay = grep { $_->[1] eq 'stays' } @clients;
    is(scalar(grep { seen($_->[2]) =~ /\|PSK\|stays\|/ } @stay), scalar @stay,
       'and changes nothing');
}


sub sessions {
    my ($stack, $protocol) = @_;

    my @sessions;

    for my $identity (qw( stays leaves changes certificate )) {
        my $name = "$stack, $protocol: '$identity'";
        my $c = client($stack, '/default', protocol => $protocol,
                       $identity eq 'certificate'
                       ? () : (psk => [ $identity, $KEY ]));

        ok($c->handshake(), $name) or diag($c->error());
        like(seen($c), $identity eq 'certificate' ? qr/\|NONE\|\|/
                                                  : qr/\|PSK\|$identity\|/,
             "$name is served");
        push @sessions, [ $name, $identity, $c ];
    }

    return @sessions;
}


# Messages of nginx -t about invalid files have the line and the reason, but no
# part of a key.

sub bad_files {
    my $good = "good:$KEY\n";

    my @bad = (
        [ 'no colon',          "$good$MARK$KEY\n", 2, 'no colon' ],
        [ 'no identity',       "$good\n:$KEY\n", 3, 'identity must be' ],
        [ 'a long identity',   'i' x 129 . ":$KEY", 1, 'identity must be' ],
        [ 'a null byte',       "a\0b:$KEY", 1, 'null byte' ],
        [ 'no key',            "$good#\nx:\n", 3, 'key must be' ],
        [ 'half a byte',       "$good\r\nx:${KEY}0\n", 3, 'key must be' ],
        [ 'a long key',        "x:$MARK" . '00' x 254 . "\n", 1,
                               'key must be' ],
        [ 'no digits',         "x:${KEY}0g\n", 1, 'not hexadecimal' ],
        [ 'a space before',    "x: 0$KEY\n", 1, 'not hexadecimal' ],
        [ 'a space behind',    "x:${KEY}0 \n", 1, 'not hexadecimal' ],
        [ 'a prefix',          "x:0x$KEY\n", 1, 'not hexadecimal' ],
        [ 'key and identity',  "$KEY:device\n", 1, 'not hexadecimal' ],
        [ 'an identity twice', "${good}x:$KEY\ngood:${KEY}00\n", 3,
                               'duplicate identity of line 1' ],
        [ 'a line twice',      $good x 2, 2, 'duplicate identity of line 1' ],
    );

    for my $case (@bad) {
        my ($name, $content, $line, $reason) = @$case;

        my $path = $t->write_file('bad', $content);
        my $message = refused('bad');

        like($message, qr/\[emerg\].* invalid\ line\ $line\ in\ "\Q$path\E":
                          \ .*\Q$reason\E.*\ in\ \S+config-test\.conf:\d+$/mx,
             "$name: line $line");
        unlike($message, qr/$MARK/i, "$name: no key in the message");
    }

    my $path = $t->write_file('bad', '');
    like(refused('bad'), qr/no keys in "\Q$path\E" in \S+:\d+$/m,
         'an empty file');
    $t->write_file('bad', "# $KEY\r\n\r\n\n");
    like(refused('bad'), qr/no keys in "\Q$path\E" in \S+:\d+$/m,
         'only comments');
    unlike(refused('bad'), qr/$MARK/i, 'which are not printed');

    like(refused('missing'), qr/"\Q@{[ $t->path('missing') ]}\E" failed \(2: /,
         'no file');
    like(refused($t->dir()), qr/"\Q@{[ $t->dir() ]}\E" is not a regular file/,
         'a directory');
    like(refused('/dev/zero'), qr!"/dev/zero" is not a regular file!,
         'a device');

    # short keys are allowed, for tests

    $t->write_file('weak', "one:$MARK\ntwo:$KEY\n");
    is(refused('weak'), '', 'a short key');
    like($t->read_file('config-test.out') . $t->read_file('config-test.log'),
         qr/\[warn\].* 1 of 2 keys in \S+ are shorter than 16 bytes/,
         'causes a warning');
}


# Returns the message and the error log, or '' if the file is accepted.

sub refused {
    my ($file) = @_;

    my $error = $t->config_error(http_conf(<<"EOC"));
server {
    listen 127.0.0.1:%%PORT_0%%;
    atls_psk_file $file;
}
EOC

    return $error eq '' ? '' : $error . $t->read_file('config-test.log');
}
