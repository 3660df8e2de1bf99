# The demonstration runs, shows the described output, and cleans up.

use strict;
use warnings;

use File::Temp qw( tempdir );
use Test::More;

use Test::Atls;


my $dir = tempdir(CLEANUP => 1);
my $out = run_demo($dir);
my $status = $?;

my %part = map { /\A(.*?)\n(.*)\z/s ? ($1 => $2) : () }
           split /^== /m, $out;

is($status, 0, 'exit status') or diag($out);

like($part{'What the client says of both layers'} || '',
     qr{^\ +atls\ -v\ .*^\ +transport:\ issued\ by\ CN=Middlebox\ CA\ of\ 
        .*^\ +service:\ verified$}msx, 'atls and both certificates');

# columns: messages of the client and the backend, and what is seen between them

my ($said, $seen, $decrypted, $delivered) = columns('The request');

like($said, qr{^POST /body/orders HTTP/1\.1\n.*^two pounds of tea}ms,
     'the request');
like($seen, qr{^POST\ /.well-known/atls\ HTTP/1.1\n
               (?=.*^Cookie:\ atls=[\w-]{24}\n)
               (?=.*^Content-Type:\ application/atls\+octet-stream\n)
               .*^14\ 03\ 03\ 00\ 01\ 01\ 17\ 03\ 03\ }imsx,
     'the outer request');
unlike($seen, qr/tea|orders/, 'has nothing of the inner one');
like($decrypted, qr{^POST /body/orders HTTP/1\.1\n.*^two pounds of tea}ms,
     'decrypted');
like($delivered, qr{^POST /body/orders HTTP/1\.[01]\n.*^two pounds of tea}ms,
     'delivered');
like($delivered, qr/^X-ATLS: TLSv1\.3 /m, 'with variables');

($said, $seen) = columns('The answer');

like($said, qr{^HTTP/1.1 200 OK\n.*^two pounds of tea}ms, 'the answer');
like($seen, qr{^HTTP/1.1 200 OK\n.*^17 03 03 }ms, 'the outer response');
unlike($seen, qr/tea/, 'has nothing of the inner one');

($said, $seen) = columns('The same by plain HTTPS');

like($seen, qr{^POST /body/orders HTTP/1\.1\n.*^two pounds of tea}ms,
     'plain HTTPS');

my @checks = ($part{'Checks'} || '') =~ /^    (ok|FAILED)  /mg;

cmp_ok(scalar @checks, '>=', 8, 'checks');
is(scalar(grep { $_ ne 'ok' } @checks), 0, 'none has failed');
like($out, qr/^All is as it should be\.$/m, 'it says so');

opendir my $d, $dir or die "$dir: $!\n";
is(join(' ', grep { !/^\.\.?$/ } readdir $d), '', 'nothing is left');
is(join(' ', processes($dir)), '', 'no process, either');

done_testing();


# Returns the columns of a part, each as rows.

sub columns {
    my ($name) = @_;

    return map { my $rows = $_; map { column($rows, $_) } 0, 1 }
           split /\n\n/, $part{$name} || '';
}


sub column {
    my ($rows, $n) = @_;

    return join '', map { my @c = split / \| /; (defined $c[$n] ? $c[$n] : '')
                              =~ s/^    //r =~ s/ *$/\n/r }
                    split /\n/, $rows;
}


# Processes with the directory in their arguments.

sub processes {
    my ($tmp) = @_;

    return grep {
        my $arguments;

        # the process may have ended

        if (open my $fh, '<', $_) { $arguments = <$fh> }
        defined $arguments && index($arguments, $tmp) >= 0
    } glob '/proc/[0-9]*/cmdline';
}


sub run_demo {
    my ($tmp) = @_;

    my $script = Test::Atls::root() . '/tools/demo.pl';

    local $ENV{TMPDIR} = $tmp;

    return scalar `$^X '$script' 2>&1`;
}
