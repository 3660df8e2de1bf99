#!/usr/bin/perl

# Files are the same over ATLS and TLS with all directives that specify how
# nginx reads and sends files: empty or large, complete or in ranges, for
# clients that read at once or late.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Zlib qw( memGzip );
use Test::More;

use Test::Atls;
use Test::Atls::Compare qw( request );
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Process qw( asleep );

my $t = Test::Atls->new();
my $MB = 1 << 20;

# smaller files with valgrind

my $large = ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 5 * $MB : 30 * $MB;

my %sizes = (
    nothing => 0, byte => 1, page => 4096, odd => 65537, some => 3 * $MB + 1,
    large => $large,
);

# how files are read and sent: name, directives, required build options

my @reading = (
    [ 'plain',              'sendfile off;' ],
    [ 'sendfile',           'sendfile on;' ],
    [ 'stock',              'sendfile on; tcp_nopush on;' ],
    [ 'max-chunk',          'sendfile on; sendfile_max_chunk 16k;' ],
    [ 'directio',           'directio 4k;' ],
    [ 'sendfile-directio',  'sendfile on; directio 512;' ],
    [ 'output-buffers',     'output_buffers 1 1k;' ],
    [ 'many-buffers',       'output_buffers 32 4k; sendfile on;' ],
    [ 'postpone',           'postpone_output 0; sendfile on;' ],
    [ 'postpone-more',      'postpone_output 64k;' ],
    [ 'open-file-cache',    'open_file_cache max=100; open_file_cache_valid 1s;
                             open_file_cache_min_uses 1; sendfile on;' ],
    [ 'read-ahead',         'read_ahead 64k; sendfile on;' ],
    [ 'limit-rate',         'limit_rate 100m; sendfile on;' ],
    [ 'limit-rate-after',   'limit_rate 200m; limit_rate_after 64k;' ],
    [ 'max-ranges',         'max_ranges 1; sendfile on;' ],
    [ 'threads',            'aio threads;', 'threads' ],
    [ 'sendfile-threads',   'aio threads; sendfile on; tcp_nopush on;',
                            'threads' ],
    [ 'directio-threads',   'aio threads; sendfile on; directio 64k;',
                            'threads' ],
    [ 'aio',                'aio on; directio 512;', 'file-aio' ],
    [ 'sendfile-aio',       'aio on; directio 512; sendfile on;', 'file-aio' ],
    [ 'slice',              'slice 32k; sendfile on;', 'http_slice_module' ],
    [ 'not-modified',       'if_modified_since before; etag off;
                             sendfile on;' ],
    [ 'trailer',            'add_trailer X-End $status; sendfile on;' ],
);

my @compressing = (
    [ 'gzip',               'gzip on; gzip_min_length 0; gzip_types *;
                             sendfile on;' ],
    [ 'gzip-buffers',       'gzip on; gzip_min_length 0; gzip_types *;
                             gzip_buffers 2 1k; output_buffers 1 1k;' ],
    [ 'gzip-static',        'gzip_static on; sendfile on; tcp_nopush on;',
                            'http_gzip_static_module' ],
    [ 'gunzip',             'gzip_static always; gunzip on; sendfile on;',
                            'http_gzip_static_module http_gunzip_module' ],
    [ 'gunzip-buffers',     'gzip_static always; gunzip on;
                             gunzip_buffers 2 1k;',
                            'http_gzip_static_module http_gunzip_module' ],
);

# the outer connections of Test::Atls::Client

my %outer = (
    'http10' => {}, 'http11-chunked' => {}, 'h2' => { tls => 1 },
);

@reading = grep { built($_->[2]) } @reading;
@compressing = grep { built($_->[2]) } @compressing;

my %has = map { $_ => $t->has_option("http_${_}_module") } qw( flv mp4 );


for my $name (sort keys %sizes) {
    $t->write_file("files/$name", pattern($sizes{$name}));
    $t->write_file("files/$name.gz", memGzip(pattern($sizes{$name})));
}

$t->write_file('media/a.flv', pattern(300_000));
$t->write_file('media/a.mp4', mp4(200, 1000));

my $locations = join '', map { <<"EOC" } @reading, @compressing;
        location /$_->[0]/ {
            alias %%TESTDIR%%/files/;
            $_->[1]
        }
EOC

$locations .= <<"EOC" if $has{flv};
        location /flv/ {
            alias %%TESTDIR%%/media/;
            flv;
            sendfile on;
        }
EOC

$locations .= <<"EOC" if $has{mp4};
        location /mp4/ {
            alias %%TESTDIR%%/media/;
            mp4;
            sendfile on;
        }

        location /mp4-directio/ {
            alias %%TESTDIR%%/media/;
            mp4;
            directio 512;
            mp4_buffer_size 4k;
        }
EOC

$t->write_http(<<"EOC");
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%

sendfile on;
tcp_nopush on;

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%% ssl http2;

    location /.well-known/atls {
        atls on;
    }

$locations
}
EOC

$t->run();

my $compare = Test::Atls::Compare->new($t, atls => $t->port(0),
                                           tls => $t->port(1));

reading(@$_) for @reading;
compressing(@$_) for @compressing;
carried($_) for sort keys %outer;
media();

ok(late(), 'no worker is busy');

$t->done_testing();


# Whether nginx was built with the modules that a row requires.

sub built {
    my ($modules) = @_;

    return !grep { !$t->has_option($_) } split ' ', $modules || '';
}


sub same {
    my ($where, $name, $headers, %args) = @_;

    $compare->same("$where, $name",
                   request($args{method} || 'GET',
                           "/$where/" . ($args{file} || $name), $headers),
                   %args);
}


# The client reads when nginx cannot send any more.

sub late {
    return $t->wait_for(sub { !grep { !asleep($_) } $t->workers() });
}


sub whole {
    my ($where, $name, $headers, %args) = @_;

    same($where, $name, $headers, md5 => pattern_md5($sizes{$args{file}
                                                            || $name}),
         %args);
}


sub reading {
    my ($where) = @_;

    my $big = $where =~ /^(plain|stock|threads|directio)$/ ? 'large' : 'some';
    my ($mtime) = (stat $t->path('files/some'))[9];
    my $etag = sprintf '"%x-%x"', $mtime, $sizes{some};
    my %some = (file => 'some');

    whole($where, $_) for qw( nothing byte page odd some );
    whole($where, "$big, late", {}, file => $big, late => \&late);
    whole($where, "$big, again", {}, file => $big);

    same($where, 'HEAD', {}, %some, method => 'HEAD');
    same($where, 'range', { Range => 'bytes=1000-700000' }, %some);
    same($where, 'last bytes', { Range => 'bytes=-100000' }, %some);
    same($where, 'one byte', { Range => 'bytes=0-0' }, file => 'byte');
    same($where, 'ranges', { Range => 'bytes=0-0,70000-99999,3000000-' },
         %some, boundary => 1);
    same($where, 'no such range', { Range => 'bytes=100-' }, file => 'byte');
    same($where, 'If-Range', { Range => 'bytes=5-', 'If-Range' => '"x"' },
         %some);
    same($where, 'If-None-Match', { 'If-None-Match' => $etag }, %some);
    same($where, 'method', {}, %some, method => 'DELETE');
}


sub compressing {
    my ($where) = @_;

    my $accepts = { 'Accept-Encoding' => 'gzip' };

    whole($where, $_, $accepts) for qw( byte page odd );
    whole($where, 'some, gzip', $accepts, file => 'some');
    whole($where, 'large, late', $accepts, file => 'large', late => \&late);
    whole($where, 'some, plain', {}, file => 'some');
    whole($where, 'large, plain, late', {}, file => 'large', late => \&late);
    same($where, 'HEAD', $accepts, file => 'some', method => 'HEAD');
}


sub carried {
    my ($outer) = @_;

    my $other = Test::Atls::Compare->new($t,
        atls => $t->port($outer{$outer}{tls} ? 1 : 0), tls => $t->port(1),
        client => { outer => $outer, %{$outer{$outer}} });

    for my $name (qw( nothing byte odd some large )) {
        $other->same("$outer, $name", request('GET', "/stock/$name"),
                     md5 => pattern_md5($sizes{$name}));
    }
}


sub media {
    if ($has{flv}) {
        same('flv', 'whole', {}, file => 'a.flv');
        same('flv', 'start', {}, file => 'a.flv?start=100000');
        same('flv', 'start at the end', {}, file => 'a.flv?start=299999');
    }

    for my $where ($has{mp4} ? qw( mp4 mp4-directio ) : ()) {
        same($where, 'whole', {}, file => 'a.mp4');
        same($where, 'start', {}, file => 'a.mp4?start=1');

        my $answer = same($where, 'part', {}, file => 'a.mp4?start=2&end=5');
        diag('mp4 is not what nginx can cut') if ($answer->{length} || 0) < 9;
    }
}


# A video with one track: samples of the same size, each a tenth of a second and
# a chunk.

sub mp4 {
    my ($samples, $size) = @_;

    my $box = sub { pack('N', 8 + length $_[1]) . $_[0] . $_[1] };
    my $full = sub { $box->($_[0], pack('N', 0) . $_[1]) };
    my $ftyp = $box->('ftyp', 'isom' . pack('N', 512) . 'isom');
    my $duration = 100 * $samples;
    my $moov;

    # in two passes, since the offsets depend on the size of this box

    for my $at (0, 1) {
        my $from = $at ? length($ftyp . $moov) + 8 : 0;

        my $stbl = $box->('stbl',
            $full->('stsd', pack('NN', 1, 16) . 'mp4v' . "\0" x 8)
            . $full->('stts', pack('NNN', 1, $samples, 100))
            . $full->('stsc', pack('NNNN', 1, 1, 1, 1))
            . $full->('stsz', pack('NN', 0, $samples)
                              . pack('N', $size) x $samples)
            . $full->('stco', pack('N', $samples)
                              . pack('N*', map { $from + $size * $_ }
                                           0 .. $samples - 1)));
        my $mdia = $box->('mdia',
            $full->('mdhd', pack('N5', 0, 0, 1000, $duration, 0))
            . $full->('hdlr', pack('N', 0) . 'vide' . "\0" x 13)
            . $box->('minf', $full->('vmhd', "\0" x 8) . $stbl));
        my $tkhd = $full->('tkhd', pack('N5', 0, 0, 1, 0, $duration)
                                   . "\0" x 60);

        $moov = $box->('moov',
            $full->('mvhd', pack('N4', 0, 0, 1000, $duration) . "\0" x 80)
            . $box->('trak', $tkhd . $mdia));
    }

    return $ftyp . $moov . $box->('mdat', pattern($samples * $size));
}
