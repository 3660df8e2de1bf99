#!/usr/bin/perl

# The page of atls_status: how it is selected, its headers, and its charts in
# Chromium.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw( sha256_base64 );
use HTTP::Tiny;
use Test::More;

use Test::Atls;
use Test::Atls::Browser;
use Test::Atls::Slow qw( patience );

my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;
    gzip on;

    location /.well-known/atls {
        atls on;
    }

    location /ok {
        return 200 ok;
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->run();

my $url = 'http://127.0.0.1:' . $t->port(0) . '/status';
my $http = HTTP::Tiny->new(proxy => undef, timeout => patience());

selection();
my $page = headers();
policy($page);

SKIP: {
    skip 'Chromium is not installed', 1 unless Test::Atls::Browser->program();

    my $b = Test::Atls::Browser->start($t);

    $b->look();
    $b->open("$url?format=html");
    charts($b);
    failures($b);
    enforced($b);

    $b->value('paused = true');
    problems($b);
}

$t->done_testing();


# The type with the highest quality; the first of equal ones.

sub selection {
    my $browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,'
                  . '*/*;q=0.8';

    my %types = (
        $browser                           => 'html',
        'TEXT/HTML'                        => 'html',
        'text/html;level=1 ; Q=0.3'        => 'html',
        'image/png, text/html'             => 'html',
        'text/html, text/plain;q=0.9'      => 'html',
        'text/html;q=0.5,text/plain;q=.51' => 'plain',
        'text/plain, text/html'            => 'plain',
        'text/html;q=0.9, */*'             => 'plain',
        'text/html, */*'                   => 'html',
        '*/*, text/html'                   => 'html',
        'text/html;q=0'                    => 'plain',
        'text/html;q=0.000, text/html;q=x' => 'plain',
        'text/htmlx, xtext/html'           => 'plain',
        'text/html;q=0.8,application/json' => 'json',
        'application/json,text/plain,*/*'  => 'json',
        ''                                 => 'plain',
        ', ;q=1,,'                         => 'plain',
        'image/png'                        => 'plain',
    );

    for my $accept (sort keys %types) {
        like(get($url, $accept)->{headers}{'content-type'},
             qr!/$types{$accept}(?:;|$)!, "Accept: $accept");
    }

    like(get("$url?format=html", 'text/plain')->{headers}{'content-type'},
         qr!^text/html!, 'the argument is preferred');
    like(get("$url?format=json", $browser)->{headers}{'content-type'},
         qr!/json$!, 'also by a browser');
    is($http->post("$url?format=html")->{status}, 405, 'POST');
}


sub get {
    my ($uri, $accept) = @_;

    return $http->get($uri, { headers => { Accept => $accept } });
}


sub headers {
    my $page = get($url, 'text/html');
    my $h = $page->{headers};

    is($page->{status}, 200, 'the page');
    is($h->{'content-type'}, 'text/html; charset=utf-8', 'its type');
    is($h->{'content-length'}, length $page->{content}, 'its length');
    is($h->{'cache-control'}, 'no-store', 'not stored');
    is($h->{'x-content-type-options'}, 'nosniff', 'not another type');
    is($h->{'referrer-policy'}, 'no-referrer', 'no Referer');
    is($h->{vary}, 'Accept', 'depends on the header');

    my $head = $http->head("$url?format=html");

    is($head->{status}, 200, 'HEAD');
    is($head->{headers}{$_}, $h->{$_}, "... $_")
        for qw( content-type content-length content-security-policy );
    is($head->{content} // '', '', '... no body');

    my $gzip = $http->get("$url?format=html",
                          { headers => { 'Accept-Encoding' => 'gzip' } });

    is($gzip->{headers}{'content-encoding'}, 'gzip', 'compressed');
    is($gzip->{headers}{'content-type'}, $h->{'content-type'}, '... its type');
    cmp_ok(length $gzip->{content}, '<', 25_000, '... its size');

    is(get("$url?format=$_", '')->{headers}{'x-content-type-options'},
       'nosniff', "... of $_") for qw( json prometheus );

    return $page;
}


# Nothing but the script and the style sheet in the page itself.

sub policy {
    my ($page) = @_;

    my %policy = map { /^(\S+) (.*)$/ }
                 split /; /, $page->{headers}{'content-security-policy'};

    my %hash = map { my @parts = $page->{content} =~ m!<$_>(.*?)</$_>!sg;
                     is(scalar @parts, 1, "one $_");
                     ($_ => "'sha256-" . sha256_base64($parts[0]) . "='") }
               qw( script style );

    is_deeply(\%policy, {
        'default-src'               => "'none'",
        'script-src'                => $hash{script},
        'style-src'                 => $hash{style},
        'connect-src'               => "'self'",
        'img-src'                   => 'data:',
        'base-uri'                  => "'none'",
        'form-action'               => "'none'",
        'frame-ancestors'           => "'none'",
        'require-trusted-types-for' => "'script'",
    }, 'Content-Security-Policy');

    unlike($page->{content}, qr!<[^>]+\s(?:src=|style=|on\w+=)!,
           'nothing that the policy forbids');
    cmp_ok(length $page->{content}, '<', 80_000, 'its size');
}


# The number in a row of a legend.

sub legend {
    my ($chart, $name) = @_;

    return "[...document.querySelectorAll('[data-chart=$chart] tbody tr')]"
           . ".find((tr) => tr.innerText.startsWith('$name'))"
           . ".cells[1].textContent";
}


# The highest and the lowest places of all lines of a chart, and whatever is no
# number.

sub drawn {
    my ($chart) = @_;

    return <<"EOJ";
(() => {
    const paths = [...document.querySelectorAll('[data-chart=$chart] path')];
    const text = paths.map((e) => e.getAttribute('d')).join('');
    const y = text.split(/[MLZ]/).filter((p) => p)
              .map((p) => Number(p.split(' ')[1]));

    return { low: Math.max(...y), high: Math.min(...y),
             wrong: text.replace(/[MLZ0-9. ]/g, '') };
})()
EOJ
}


sub charts {
    my ($b) = @_;

    ok($b->wait("document.getElementById('state').textContent === 'Live'"),
       'connected');
    is($b->value('document.title'), 'ATLS status', 'title');
    is($b->value(legend('sessions', 'all')), '0', 'no sessions');
    is($b->value(legend('post', 'half')), "\x{2013}",
       'nothing is known of POSTs');

    my @clients = map { $t->established() } 1 .. 3;

    ok($b->wait(legend('sessions', 'idle') . " === '3'"), 'sessions');
    is($b->value(legend('sessions', 'all')), '3', '... in all');
    is($b->value(legend('zone', 'sessions')), '3', '... in the zone');
    is($b->value("document.getElementById('tile-sessions').textContent"),
       '3 0 busy', '... in words');

    ok($t->wait_for(sub {
        $_->get('/ok') for @clients;
        $b->value("parseFloat(@{[ legend('requests', 'requests') ]}) > 0"
                  . " && parseFloat(@{[ legend('requests', 'POSTs') ]}) > 0"
                  . " && @{[ legend('post', '99') ]}.endsWith('s')"
                  . " && @{[ legend('handshake', 'half') ]}.endsWith('s')"
                  . " && parseFloat(@{[ legend('bytes', 'to clients') ]}) > 0");
    }), 'rates, times and bytes');

    # what has not happened is at the bottom

    my %moves = map { $_ => 1 } qw( sessions handshakes requests bytes );
    my $charts = $b->value("Object.keys(CHARTS)");

    is(scalar @$charts, 8, 'charts');

    for my $chart (@$charts) {
        my $drawn = $b->value(drawn($chart));

        is($drawn->{wrong}, '', "$chart: numbers");
        cmp_ok($drawn->{low} - $drawn->{high}, '>', 10, '... move')
            if $moves{$chart};
        cmp_ok($drawn->{high}, '>=', 8, '... not above the chart');
    }

    is($b->value("document.querySelector('[data-chart=zone] svg').textContent")
       =~ s/5 min ago.*//r, '0 %25 %50 %75 %100 %', 'the zone as a whole');
    is($b->value("document.getElementById('protocols').innerText")
       =~ s/\s+/ /gr, 'TLSv1.3 3 100 %', 'protocols');
    like($b->value("[...newest().totals.keys()].join(' ')"),
         qr{s/buckets/0\.5 \S+/1 \S+/2\.5 \S+/5 .*/60 \S+/\+Inf}, 'buckets in order');
    is_deeply($b->value(<<'EOJ'), [], 'all reasons have meanings');
FAILURES.flatMap(([metric, normal]) => [...newest().totals.keys()]
    .filter((key) => key.startsWith(metric + '/')
                     && !normal.some((n) => (key + '/').startsWith(metric + '/'
                                                                   + n + '/')))
    .filter((key) => !meaning(key)))
EOJ
    is_deeply($b->value(<<'EOJ'), [], '... and meanings have reasons');
['posts_total', 'sessions_ended_total', 'relays_total', 'store_total',
 'associations_total'].flatMap((metric) =>
    Object.keys(MEANINGS[metric])
    .filter((name) => !name.startsWith('nginx')
                      && !(name in newest().data[metric]))
    .map((name) => metric + '/' + name))
EOJ
    is_deeply([ $b->messages() ], [], 'nothing in the console');
    is($b->value("performance.getEntriesByType('resource')"
                 . ".filter((e) => !e.name.endsWith('/status?format=json'))"
                 . ".length"), 0, 'nothing else is loaded');
}


# Failures have rows with their meaning, and verdicts, if there is something to
# do.

sub failures {
    my ($b) = @_;

    my $table = "document.getElementById('failure-table').innerText";
    my $verdict = "document.getElementById('verdict').innerText";

    like($b->value($verdict), qr/^Nothing needs attention/, 'no verdict');

    $t->client()->post('no TLS') for 1 .. 12;

    ok($b->wait("/not-tls\\s+Something else.*\\s+12\\s+12/.test($table)"),
       'a reason') or diag($b->value($table));
    ok($b->wait("/^One thing .*\\s+12 handshakes did not finish/.test($verdict)"),
       'a verdict') or diag($b->value($verdict));
    is($b->value("document.getElementById('verdict').className"), 'warn',
       'its colour');
}


# What needs attention if there were 1000 POSTs: as little as possible, and less.

sub problems {
    my ($b) = @_;

    my %problems = (
        'sessions_evicted_total/idle'            => [ 1, 'zone is too' ],
        'posts_total/zone-full/503'              => [ 1, 'is full' ],
        'posts_total/too-many-handshakes/503'    => [ 1, 'max_handshakes' ],
        'posts_total/too-few-connections/503'    => [ 1, 'connections' ],
        'relays_total/no-connection'             => [ 1, 'connections' ],
        'relays_total/no-mailbox'                => [ 1, 'open files' ],
        'relays_total/stuck'                     => [ 1, 'slow disk' ],
        'posts_total/store-unreachable/503'      => [ 1, 'the machine of' ],
        'store_total/failed'                     => [ 1, 'have failed' ],
        'store_total/timed-out'                  => [ 1, 'have failed' ],
        'store_total/unsealed'                   => [ 1, 'different keys' ],
        'store_total/outdated'                   => [ 1, 'failed over' ],
        'sessions_ended_total/lost'              => [ 1, 'process died' ],
        'posts_total/internal-error/500'         => [ 1, 'error log' ],
        'handshakes_total/failed'                => [ 26, 'more than 20 %' ],
        'handshakes_total/timed-out'             => [ 26, 'more than 20 %' ],
        'handshakes_total/aborted'               => [ 26, 'more than 20 %' ],
        'posts_total/record-refused/200'         => [ 11, 'forges' ],
        'posts_total/session-busy/409'           => [ 11, 'may repeat' ],
        'posts_total/session-unknown/410'        => [ 51, 'had ended' ],
        'posts_total/session-elsewhere/410'      => [ 51, 'same name' ],
        'posts_total/session-foreign/410'        => [ 10, 'load balancer' ],
        'posts_total/no-cookie/410'              => [ 10, 'cookie' ],
        'posts_total/no-location/410'            => [ 10, 'Location' ],
        'requests_total/5xx'                     => [ 53, 'more than 5 %' ],
        'posts_total/handshake-failed/200'       => [ 2000 ],
        'sessions_evicted_total/half-open'       => [ 1, 'do not continue' ],
    );

    for my $key (sort keys %problems) {
        my ($n, $text) = @{ $problems{$key} };

        is_deeply(found($b, $key, $n - 1), [], "$key: less") if $text;

        my $found = found($b, $key, $n);

        is(scalar @$found, $text ? 1 : 0, $key);
        like($found->[0], qr/^$n .*\Q$text\E/, '... in words') if $text;
    }

    found($b, 'posts_total/idle/200', 1);
    $b->value("newest().data.zone_entries.free = 1;"
              . " newest().data.zone_entries.response = 0;"
              . " newest().data.zone_entries.session = 4");
    like($b->value('problems()[0].join(" ")'), qr/^warn 80 % of the entries/,
         'a zone that is nearly full');
}


# The sentences, if there were only these changes.

sub found {
    my ($b, $key, $n) = @_;

    return $b->value(<<"EOJ");
(() => {
    const all = { 'posts_total/served/200': 1000, 'requests_total/2xx': 1000,
                  'handshakes_total/finished': 100 };

    for (const s of samples) {
        s.changes = new Map();
    }

    newest().seconds = 1;
    all['$key'] = $n;

    if ('$key'.startsWith('posts_total')) {
        all['posts_total/served/200'] -= $n;
    }

    for (const key of Object.keys(all)) {
        newest().changes.set(key, all[key]);
    }

    return problems().map(([, n, text]) => n + ' ' + text);
})()
EOJ
}


# The policy is enforced; otherwise there would be no message, whatever happens.

sub enforced {
    my ($b) = @_;

    is_deeply([ $b->messages() ], [], 'still nothing in the console');

    $b->value("{ const e = document.createElement('style');"
              . " e.textContent = 'body { display: none }';"
              . " document.head.append(e); }");

    is($b->value('getComputedStyle(document.body).display'), 'block',
       'another style sheet is ignored');
    like(join("\n", $b->messages()), qr/Content Security Policy/,
         '... with a message');
}
