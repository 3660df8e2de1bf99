#!/usr/bin/perl

# Bodies from upstream servers, with buffers, temporary files, caches and
# slices, and bodies sent to them, are the same over ATLS and TLS, for clients
# that read at once or late.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw( sleep );

use Test::Atls;
use Test::Atls::Backend;
use Test::Atls::Compare qw( request );
use Test::Atls::FastCgi;
use Test::Atls::Pattern qw( pattern pattern_md5 );
use Test::Atls::Process qw( asleep );

my $t = Test::Atls->new();
my $MB = 1 << 20;
my $large = ($ENV{TEST_NGINX_SLOW} || 1) > 1 ? 8 * $MB : 30 * $MB;
my $late = 12 * $MB;

# Responses: name, directives, required build options; "spools" if a temporary
# file is used.

my @buffering = (
    [ 'usual',          '', spools => 1 ],
    [ 'stock',          'sendfile on; tcp_nopush on;', spools => 1 ],
    [ 'max-chunk',      'sendfile on; sendfile_max_chunk 16k;', spools => 1 ],
    [ 'small-writes',   'sendfile on; proxy_temp_file_write_size 8k;
                         proxy_buffers 4 4k; proxy_busy_buffers_size 8k;',
                        spools => 1 ],
    [ 'little-file',    'sendfile on; proxy_max_temp_file_size 1m;',
                        spools => 1 ],
    [ 'no-file',        'sendfile on; proxy_max_temp_file_size 0;' ],
    [ 'unbuffered',     'sendfile on; proxy_buffering off;' ],
    [ 'http11',         'sendfile on; proxy_http_version 1.1;
                         proxy_set_header Connection "";', spools => 1 ],
    [ 'limit-rate',     'sendfile on; limit_rate 100m;', spools => 1 ],
    [ 'output-buffers', 'sendfile on; output_buffers 1 1k; postpone_output 0;',
                        spools => 1 ],
    [ 'directio',       'sendfile on; directio 4k;', spools => 1 ],
    [ 'forced-ranges',  'sendfile on; proxy_force_ranges on;', spools => 1 ],
    [ 'ignored-abort',  'sendfile on; proxy_ignore_client_abort on;',
                        spools => 1 ],
    [ 'gzip',           'sendfile on; gzip on; gzip_types *; gzip_min_length 0;
                         gzip_proxied any;' ],
    [ 'store',          'sendfile on; root %%TESTDIR%%/stored;
                         proxy_store on; proxy_store_access all:r;' ],
    [ 'threads',        'sendfile on; aio threads;', needs => 'threads',
                        spools => 1 ],
    [ 'aio-write',      'sendfile on; aio threads; aio_write on;',
                        needs => 'threads', spools => 1 ],
);

# caches: keys differ for ATLS and TLS, so that both begin with a MISS

my @caching = (
    [ 'cache',          'proxy_cache near;' ],
    [ 'temp-path',      'proxy_cache far;' ],
    [ 'threads',        'proxy_cache far; aio threads; aio_write on;',
                        needs => 'threads' ],
    [ 'locked',         'proxy_cache near; proxy_cache_lock on;
                         sendfile_max_chunk 16k;' ],
    [ 'small-buffers',  'proxy_cache near; proxy_buffer_size 1k;
                         output_buffers 1 1k;' ],
    [ 'slice',          'slice 100k; proxy_cache near;
                         proxy_set_header Range $slice_range;
                         proxy_http_version 1.1;
                         proxy_cache_valid 200 206 1h;',
                        needs => 'http_slice_module' ],
);

# requests sent to the backend

my @uploading = (
    [ 'usual',          '' ],
    [ 'small-buffer',   'client_body_buffer_size 1k;' ],
    [ 'single-buffer',  'client_body_in_single_buffer on;
                         client_body_buffer_size 1m;' ],
    [ 'file',           'client_body_in_file_only clean;' ],
    [ 'kept-file',      'client_body_in_file_only on;' ],
    [ 'unbuffered',     'proxy_request_buffering off;
                         proxy_http_version 1.1;' ],
    [ 'http11',         'proxy_http_version 1.1;' ],
    [ 'threads',        'aio threads; aio_write on;
                         client_body_buffer_size 1k;', needs => 'threads' ],
    [ 'both-ways',      'client_body_buffer_size 1k; sendfile on;
                         proxy_buffers 4 4k; proxy_busy_buffers_size 8k;' ],
);

for my $rows (\@buffering, \@caching, \@uploading) {
    @$rows = grep { my %has = @$_[2 .. $#$_];
                    !$has{needs} || $t->has_option($has{needs}) }
             @$rows;
}

my $key = '$atls$request_uri'
          . ($t->has_option('http_slice_module') ? '$slice_range' : '');

my $locations = join '',
    (map { location($_->[0], 'b', $_->[1]) } @buffering),
    (map { location($_->[0], 'c', "sendfile on; $_->[1]") } @caching),
    (map { location($_->[0], 'u', $_->[1]) } @uploading);


sub location {
    my ($name, $kind, $directives) = @_;

    return <<"EOC";
        location /$kind-$name/ {
            $directives
            proxy_pass http://127.0.0.1:%%PORT_2%%/;
        }
EOC
}


$t->write_http(<<"EOC");
%%CERTIFICATE%%
%%SSL_CERTIFICATE%%

client_max_body_size 0;

proxy_cache_path %%TESTDIR%%/near keys_zone=near:1m use_temp_path=off;
proxy_cache_path %%TESTDIR%%/far keys_zone=far:1m use_temp_path=on;
fastcgi_cache_path %%TESTDIR%%/fast keys_zone=fast:1m;
proxy_cache_key "$key";
proxy_cache_valid 200 1h;
proxy_cache_use_stale error timeout invalid_header updating;
add_header X-Cache \$upstream_cache_status;

server {
    listen 127.0.0.1:%%PORT_0%%;
    listen 127.0.0.1:%%PORT_1%% ssl;

    location /.well-known/atls {
        atls on;
    }

$locations
    location /revalidate/ {
        sendfile on;
        proxy_cache near;
        proxy_cache_revalidate on;
        proxy_cache_valid 200 1s;
        proxy_pass http://127.0.0.1:%%PORT_2%%/;
    }

    location /stale/ {
        sendfile on;
        proxy_cache far;
        proxy_cache_valid 200 1s;
        proxy_pass http://127.0.0.1:%%PORT_4%%/;
    }

    location /fastcgi/ {
        sendfile on;
        tcp_nopush on;
        fastcgi_pass 127.0.0.1:%%PORT_3%%;
        fastcgi_param QUERY_STRING \$query_string;
    }

    location /fastcgi-cache/ {
        sendfile on;
        fastcgi_pass 127.0.0.1:%%PORT_3%%;
        fastcgi_param QUERY_STRING \$query_string;
        fastcgi_cache fast;
        fastcgi_cache_key "\$atls\$request_uri";
        fastcgi_cache_valid 200 1h;
    }
}
EOC

$t->run();

my $backend = Test::Atls::Backend->start($t, $t->port(2));
my $mortal = Test::Atls::Backend->start($t, $t->port(4));
Test::Atls::FastCgi::start($t, $t->port(3));

my $compare = Test::Atls::Compare->new($t, atls => $t->port(0),
                                           tls => $t->port(1));

buffering(@$_) for @buffering;
caching(@$_) for @caching;
uploading(@$_) for @uploading;
fresh_and_stale();
fastcgi();

ok(idle(), 'no worker is busy');

$t->done_testing();


sub same {
    my ($name, $uri, $headers, %args) = @_;

    $compare->same($name, request($args{method} || 'GET', $uri, $headers,
                                  $args{body}), %args);
}


sub idle { $t->wait_for(sub { !grep { !asleep($_) } $t->workers() }) }


# Waits until nginx has buffered all it can of the upstream's response.

sub spooled {
    my ($uri) = @_;

    my $said = () = $t->read_file('error.log')
                    =~ /to a temporary file .* "GET \Q$uri\E /g;

    return sub {
        $t->wait_for(sub {
            my $now = () = $t->read_file('error.log')
                           =~ /to a temporary file .* "GET \Q$uri\E /g;
            return $now > $said;
        });
        idle();
    };
}


sub buffering {
    my ($name, undef, %is) = @_;

    my $where = "/b-$name";

    for my $size (0, 1, 65537, $name =~ /^(?:stock|store)$/ ? $large : $MB) {
        same("$name, $size bytes", "$where/big?size=$size", {},
             md5 => pattern_md5($size));
    }

    my $uri = "$where/big?size=$late&late";

    same("$name, late", $uri, {}, md5 => pattern_md5($late),
         late => $is{spools} ? spooled($uri) : \&idle);

    same("$name, no length", "$where/big?size=1000000&chunked=1", {},
         md5 => pattern_md5(1_000_000));
    same("$name, range", "$where/big?size=1000000",
         { Range => 'bytes=1000-900000' });
    same("$name, HEAD", "$where/big?size=1000000", {}, method => 'HEAD');
}


sub caching {
    my ($name) = @_;

    my $where = "/c-$name";

    for my $size (1, $MB + 1) {
        for my $what (qw( MISS HIT )) {
            same("$name, $size bytes, $what", "$where/big?size=$size", {},
                 md5 => pattern_md5($size));
        }
    }

    for my $what (qw( MISS HIT )) {
        same("$name, late, $what", "$where/big?size=$late", {},
             md5 => pattern_md5($late), late => \&idle);
    }

    same("$name, range of a HIT", "$where/big?size=$late",
         { Range => 'bytes=250000-9000000' });
    same("$name, ranges of a HIT", "$where/big?size=$late",
         { Range => 'bytes=0-99999,200000-200001' }, boundary => 1);
    same("$name, HEAD of a HIT", "$where/big?size=$late", {},
         method => 'HEAD');
}


sub uploading {
    my ($name) = @_;

    for my $size (0, 1, 65537, 3 * $MB) {
        my $body = pattern($size);

        same("$name, $size bytes", "/u-$name/body", {}, method => 'POST',
             body => $body, md5 => pattern_md5($size));
    }

    my $size = 200_000;
    my $chunks = join '', (map { sprintf "%x\r\n%s\r\n", 1000,
                                         pattern(1000, $_ * 1000) }
                           0 .. $size / 1000 - 1), "0\r\n\r\n";

    same("$name, chunks", "/u-$name/body", { 'Transfer-Encoding' => 'chunked' },
         method => 'PUT', body => $chunks, md5 => pattern_md5($size));

    # the response has the same length, and is read after the request was sent

    same("$name, late", "/u-$name/body", {}, method => 'POST',
         body => pattern(6 * $MB), md5 => pattern_md5(6 * $MB),
         late => \&idle);

    same("$name, then a file", "/u-$name/etag", { 'If-None-Match' => '"v1"' });
}


# expired responses of a cache

sub fresh_and_stale {
    my ($answer, $uri);

    same('revalidate, MISS', '/revalidate/etag');
    same('revalidate, HIT', '/revalidate/etag', {}, except => [ 'X-Cache' ]);
    sleep 2;                                    # proxy_cache_valid, in seconds
    $answer = same('revalidate', '/revalidate/etag');
    is(cache($answer), 'REVALIDATED', 'revalidate: by a 304');

    $uri = "/stale/big?size=$late";
    same('stale, MISS', $uri, {}, md5 => pattern_md5($late));
    sleep 2;
    $t->stop_daemon($mortal->pid());
    $answer = same('stale, late', $uri, {}, md5 => pattern_md5($late),
                   late => \&idle);
    is(cache($answer), 'STALE', 'stale: as nobody answers');
}


sub cache {
    my ($answer) = @_;

    return join ' ', map { $_->[1] } grep { $_->[0] eq 'X-Cache' }
                     @{$answer->{headers} || []};
}


sub fastcgi {
    my $uri = "/fastcgi/?size=$late";

    same('FastCGI, late', $uri, {}, md5 => pattern_md5($late),
         late => spooled($uri));
    same('FastCGI', '/fastcgi/?size=1000000', {},
         md5 => pattern_md5(1_000_000));

    for my $what (qw( MISS HIT )) {
        same("FastCGI, $what", '/fastcgi-cache/?size=1000000', {},
             md5 => pattern_md5(1_000_000));
    }
}
