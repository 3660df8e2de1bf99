#!/usr/bin/perl

# The page of atls_status in dark and light, on a phone, with the keyboard, and
# for screen readers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Test::Atls;
use Test::Atls::Browser;

plan skip_all => 'Chromium is not installed'
    unless Test::Atls::Browser->program();

my $t = Test::Atls->new(workers => 2);

$t->write_http(<<'EOC');
%%CERTIFICATE%%

server {
    listen 127.0.0.1:%%PORT_0%%;

    location /.well-known/atls {
        atls on;
    }

    location = /status {
        atls_status;
    }
}
EOC

$t->run();

# rows of all kinds

my @clients = map { $t->established() } 1 .. 3;

$t->client()->post('no TLS') for 1 .. 12;
$_->close_notify() for @clients[0 .. 1];

my $b = Test::Atls::Browser->start($t);

$b->look();
$b->open('http://127.0.0.1:' . $t->port(0) . '/status?format=html');
ok($b->wait('samples.length > 1'), 'open');

$b->value("document.getElementById('all').open = true");
ok($b->wait("document.getElementById('all-rows').rows.length > 100"),
   'all numbers');

schemes();
narrow();
calm();
structure();
screen_reader();
keyboard();
pointer();

is_deeply([ $b->messages() ], [], 'nothing in the console');

$t->done_testing();


# The least contrast of texts with what is behind them, as in WCAG 2.2, and of
# lines in charts.

sub schemes {
    my %pages;

    for my $dark (0, 1) {
        $b->look(dark => $dark, motion => 'reduce');

        my $name = $dark ? 'dark' : 'light';
        my $seen = $b->value(<<'EOJ');
(() => {
    const canvas = document.createElement('canvas').getContext('2d');

    const rgb = (colour) => {
        canvas.fillStyle = '#000';
        canvas.fillStyle = colour;
        const text = canvas.fillStyle;

        return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
    };

    const light = (colour) => rgb(colour).map((n) => n / 255)
        .map((n) => n <= .04045 ? n / 12.92 : ((n + .055) / 1.055) ** 2.4)
        .reduce((sum, n, i) => sum + n * [.2126, .7152, .0722][i], 0);

    const back = (e) => {
        const colour = getComputedStyle(e).backgroundColor;

        return colour !== 'rgba(0, 0, 0, 0)' ? colour
               : back(e.parentElement);
    };

    const contrast = (e, colour) => {
        const both = [light(colour), light(back(e))];

        return (Math.max(...both) + .05) / (Math.min(...both) + .05);
    };

    const texts = [...document.querySelectorAll('body *')].filter((e) =>
        [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())
        && e.checkVisibility() && !['SCRIPT', 'STYLE'].includes(e.tagName));
    const paths = [...document.querySelectorAll('figure path')];
    const seen = (e) => contrast(e, e.tagName === 'text'
        ? getComputedStyle(e).fill : getComputedStyle(e).color);

    return {
        worst: texts.reduce((a, e) => seen(e) < seen(a) ? e : a).outerHTML,
        page: getComputedStyle(document.documentElement).backgroundColor,
        texts: texts.length,
        text: Math.min(...texts.map(seen)),
        path: Math.min(...paths.map((e) => contrast(e.closest('figure'),
            getComputedStyle(e).color))),
    };
})()
EOJ

        $pages{$seen->{page}} = 1;
        cmp_ok($seen->{texts}, '>', 200, "$name: texts");
        cmp_ok($seen->{text}, '>=', 4.5, '... their contrast')
            or diag($seen->{worst});
        cmp_ok($seen->{path}, '>=', 3, '... that of lines');
    }

    is(scalar keys %pages, 2, 'dark is not light');
}


sub narrow {
    for my $width (360, 320) {
        $b->look(width => $width, height => 640, mobile => 1);

        is($b->value('document.documentElement.scrollWidth'), $width,
           "nothing is wider than $width");
        is_deeply($b->value(<<'EOJ'), [], '... and nothing is cut off');
[...document.querySelectorAll('main *, footer *')]
    .filter((e) => e.checkVisibility() && !e.closest('.hidden, svg')
            && !e.matches('.hidden-if-narrow')
            && e.getBoundingClientRect().right > innerWidth + .5)
    .map((e) => e.outerHTML.slice(0, 80))
EOJ
    }

    is_deeply($b->value(<<'EOJ'), [], 'buttons are large enough');
[...document.querySelectorAll('button, input')]
    .filter((e) => e.getBoundingClientRect().height < 44)
    .map((e) => e.id)
EOJ

    $b->look(motion => 'reduce');
    is_deeply($b->value(<<'EOJ'), [], 'nothing moves, if it should not');
[...document.querySelectorAll('*')]
    .filter((e) => parseFloat(getComputedStyle(e).transitionDuration) > 0
            || getComputedStyle(e).animationName !== 'none')
    .map((e) => e.tagName)
EOJ

    $b->look();
}


# Screen readers are not interrupted by numbers.

sub calm {
    $b->value(<<'EOJ');
window.said = 0;
window.heard = document.querySelectorAll(
    '[role=status], [role=alert], [role=log], [aria-live], output').length;
for (const e of document.querySelectorAll('[role=status]')) {
    new MutationObserver((list) => { said += list.length; })
        .observe(e, { childList: true, characterData: true, subtree: true });
}
window.from = samples.length;
EOJ

    push @clients, $t->established();

    ok($b->wait('samples.length >= from + 2'
                . ' && newest().data.sessions.idle === 2'), 'numbers change');
    is($b->value('said'), 0, '... which is not announced');
    is($b->value('heard'), 2, '... the state and the verdict are');
}


sub structure {
    is($b->value('document.documentElement.lang'), 'en', 'language');

    my $h = $b->value("[...document.querySelectorAll('h1, h2, h3')]"
                      . ".map((e) => Number(e.tagName[1]))");

    is(scalar(grep { $_ == 1 } @$h), 1, 'one h1');
    is(scalar(grep { $h->[$_] > $h->[$_ - 1] + 1 } 1 .. $#$h), 0,
       'no level of headings is left out');

    is_deeply($b->value(<<'EOJ'), [], 'ids are unique, references exist');
[...document.querySelectorAll('[id]')].map((e) => e.id)
    .filter((id, i, all) => all.indexOf(id) !== i)
.concat([...document.querySelectorAll('[aria-labelledby], [for], [href^="#"]')]
    .map((e) => e.getAttribute('aria-labelledby') || e.getAttribute('for')
                || e.getAttribute('href').slice(1))
    .filter((id) => !document.getElementById(id)))
EOJ

    is_deeply($b->value(<<'EOJ'), [], 'tables have captions and headers');
[...document.querySelectorAll('table')]
    .filter((e) => !e.caption || !e.caption.textContent
            || [...e.querySelectorAll('tbody tr')]
               .some((tr) => tr.cells[0].tagName !== 'TH')
            || [...e.querySelectorAll('th')].some((th) => !th.scope))
    .map((e) => e.outerHTML.slice(0, 80))
EOJ
}


sub screen_reader {
    my @all = $b->accessible();
    my %roles;

    push @{ $roles{$_->[0]} }, $_ for @all;

    ok($roles{$_}, "role $_")
        for qw( banner main contentinfo status slider button table rowheader );

    is_deeply([ grep { $_->[1] eq '' } @{ $roles{$_} } ], [],
              "all with the role $_ have names")
        for qw( image button slider link table heading );

    is(scalar @{ $roles{image} }, 8, 'charts are images');
    like($_->[1], qr/^Chart of the last 5 minutes.* \w+: \S/,
         'with numbers in words') for $roles{image}[0];
    is_deeply($roles{slider}, [ [ 'slider', 'Time in the tables', '0' ] ],
              'the slider');
}


# What has the focus, whether this can be seen, and is not behind the footer.

sub focused {
    return $b->value(<<'EOJ');
(() => {
    const e = document.activeElement;
    const box = e.getBoundingClientRect();
    const style = getComputedStyle(e);
    const footer = document.getElementById('time');

    return [
        e.id || e.getAttribute('href') || e.tagName,
        e === document.body
        || style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
           && box.left >= 0 && box.top >= 0 && box.bottom <= innerHeight
           && (footer.contains(e)
               || box.bottom <= footer.getBoundingClientRect().top),
    ];
})()
EOJ
}


sub keyboard {
    $b->value('window.scrollTo(0, 0)');

    my (@order, @hidden);

    for (1 .. 20) {
        $b->key('Tab');

        my ($name, $visible) = @{ focused() };
        last if $name eq 'BODY' || @order && $name eq $order[0];

        push @order, $name;
        push @hidden, $name unless $visible;
    }

    is_deeply(\@order, [ '#main', '#failures', '#failures', 'SUMMARY',
                         '?format=prometheus', '?format=json', 'pause', 'at' ],
              'the order of the focus');
    is_deeply(\@hidden, [], 'the focus can be seen');

    $b->value("document.querySelector('.skip').focus()");
    $b->key('Enter');
    is($b->value('document.activeElement.id'), 'main', 'skipped');

    # the time of the tables

    my $when = "document.querySelector('[data-chart=sessions] thead')"
               . ".rows[0].cells[1].textContent";
    my $value = "document.getElementById('at').getAttribute('aria-valuetext')";

    $b->value("document.getElementById('at').focus()");
    is($b->value($when), 'now', 'numbers of now');

    $b->key('ArrowLeft') for 1 .. 4;
    like($b->value($when), qr/^\d\d:\d\d:\d\d$/, 'numbers of another time');
    is($b->value($value), $b->value($when), '... in words');
    is($b->value("document.querySelectorAll('.cursor').length"), 8,
       '... marked in the charts');

    $b->key('Escape');
    is($b->value($when), 'now', 'back');
    is($b->value($value), 'now', '... in words');

    # the first reading: older ones do not exist

    $b->key('Home');
    is($b->value("$when === showClock(samples[0].time)"), JSON::PP::true,
       'the first reading');
    $b->key('End');
    is($b->value($when), 'now', 'the last one');

    # nothing moves while paused

    $b->value("document.getElementById('pause').focus()");
    $b->key('Enter');
    is($b->value("document.getElementById('state').textContent"), 'Paused',
       'paused');
    is($b->value("document.getElementById('pause').textContent"), 'Go on',
       '... what the button does now');

    my $count = $b->value('samples.length');

    is($b->value("new Promise((done) => setTimeout(() =>"
                 . " done(samples.length), 2 * POLL))"), $count,
       '... without new readings');

    $b->key('Enter');
    ok($b->wait("samples.length > $count"), 'and goes on');
}


sub pointer {
    my $box = $b->value("(() => { const e = document.querySelector("
                        . "'[data-chart=sessions] svg');"
                        . "e.scrollIntoView({ block: 'center' });"
                        . "const r = e.getBoundingClientRect();"
                        . "return [r.left, r.top, r.right]; })()");
    my $when = "document.querySelector('[data-chart=zone] thead')"
               . ".rows[0].cells[1].textContent";

    $b->point($box->[2] - 60, $box->[1] + 20);
    ok($b->wait("$when !== 'now'"), 'a time in a chart');
    $b->point($box->[0] + 2, $box->[1] - 40);
    ok($b->wait("$when === 'now'"), 'and back');
}
