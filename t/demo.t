# The demonstration runs, shows what it promises, and cleans up.

use strict;
use warnings;

use File::Temp qw( tempdir );
use Test::More;

use Test::Atls;


my $dir = tempdir(CLEANUP => 1);
my $out = run_demo($dir);
my $status = $?;

my %part = map { /\A== (.*?)\n(.*)\z/s ? ($1 => $2) : () }
           split /^(?=== )/m, $out;

plan(tests => 11);

is($status, 0, 'exit status') or diag($out);

like($part{'What the middlebox sees of it'} || '',
     qr{^\ +POST\ /.well-known/atls\ HTTP/1.1\n
        .*^\ +Content-Type:\ application/atls\+octet-stream\n
        .*^\ +Cookie:\ atls=[\w-]{22}\n
        .*^\ +17\ 03\ 03\ }msx, 'the outer request');
unlike($part{'What the middlebox sees of it'} || 'tea', qr/tea/,
       'has nothing of the inner one');
like($part{'What the backend sees of it'} || '',
     qr{^    POST /body/orders HTTP/1\.[01]\n.*^    two pounds of tea}ms,
     'the inner request');
like($part{'What the backend sees of it'} || '', qr/^    X-ATLS: TLSv1\.3 /m,
     'with variables');
like($part{'What the middlebox sees of the answer'} || '',
     qr{^    HTTP/1.1 200 OK\n.*^    17 03 03 }ms, 'the outer response');
like($part{'What the client decrypts'} || '',
     qr{^    HTTP/1.1 200 OK\n.*^    two pounds of tea}ms, 'the answer');

my @checks = ($part{'Checks'} || '') =~ /^    (ok|FAILED)  /mg;

cmp_ok(scalar @checks, '>=', 6, 'checks');
is(scalar(grep { $_ ne 'ok' } @checks), 0, 'none has failed');
like($out, qr/^All is as it should be\.$/m, 'it says so');

opendir my $d, $dir or die "$dir: $!\n";
is(join(' ', grep { !/^\.\.?$/ } readdir $d), '', 'nothing is left');


sub run_demo {
    my ($tmp) = @_;

    my $script = Test::Atls::root() . '/tools/demo.pl';

    local $ENV{TMPDIR} = $tmp;

    return scalar `$^X '$script' 2>&1`;
}
