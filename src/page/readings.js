"use strict";

/*
 * Readings of the metrics, in the last minutes: their changes, rates and
 * quantiles; and numbers as text.
 */

const POLL = 2000;              /* milliseconds between readings */
const SPAN = 300000;            /* of charts */
const RECENT = 30000;           /* of quantiles */
const STEADY = 10000;           /* of rates */

const samples = [];             /* the last one is the newest */


const newest = () => samples[samples.length - 1];


/* Integers come first in an object, also among the limits of buckets. */

const limit = (key) => key === "+Inf" ? Infinity : Number(key);
const ordered = (keys) => keys.sort((a, b) => limit(a) - limit(b) || 0);


/* Totals by names like "posts_total/served/200". */

function flatten(value, name, totals) {
    if (typeof value === "number") {
        totals.set(name, value);
        return totals;
    }

    for (const key of ordered(Object.keys(value))) {
        flatten(value[key], name ? name + "/" + key : key, totals);
    }

    return totals;
}


/*
 * A reading, with the changes since the one before it.  A counter that went
 * back has started again: its change is not known, which is null.
 */

function sample(data, before, missed) {
    const s = { time: Date.now(), data: data,
                totals: flatten(data, "", new Map()), changes: new Map(),
                gap: false, restart: false };

    if (!before) {
        return s;
    }

    s.seconds = (s.time - before.time) / 1000;
    s.gap = missed || s.time - before.time > RECENT;
    s.restart = data.start_time_seconds !== before.data.start_time_seconds;

    /* the clock may have been set back */

    const unknown = s.restart || s.seconds <= 0;

    for (const [name, total] of s.totals) {
        const n = total - (before.totals.get(name) || 0);

        s.changes.set(name, unknown || n < 0 ? null : n);
    }

    return s;
}


/* The change of a metric, and of all its labels if it has some. */

function change(s, name) {
    if (s.changes.has(name) || !s.seconds) {
        return s.seconds ? s.changes.get(name) : null;
    }

    return add([...s.changes].filter(([key]) => key.startsWith(name + "/"))
               .map(([, n]) => n));
}


/* Nothing is known of a sum with something that is not known. */

function add(values) {
    return values.includes(null) ? null
           : values.reduce((sum, n) => sum + n, 0);
}


/* A rate, which is that of the last seconds: single events make no peaks. */

function perSecond(...names) {
    return (s) => {
        let sum = 0, seconds = 0;

        for (let i = samples.lastIndexOf(s);
             i >= 0 && s.time - samples[i].time < STEADY; i--)
        {
            const n = add(names.map((name) => change(samples[i], name)));

            if (n === null) {
                break;
            }

            sum += n;
            seconds += samples[i].seconds;
        }

        return seconds ? sum / seconds : null;
    };
}


/* What has happened in the time of the charts, as far as it is known. */

function recently(...names) {
    let sum = 0;

    for (const s of samples) {
        for (const name of names) {
            sum += change(s, name) || 0;
        }
    }

    return sum;
}


/* The labels of a metric that are not normal. */

function failures(metric, normal) {
    return Object.keys(newest().data[metric])
           .filter((key) => !normal.includes(key))
           .map((key) => metric + "/" + key);
}


/*
 * A quantile of the last half minute, from the buckets of a histogram; the
 * values of a bucket are assumed to be spread evenly.
 */

function quantile(metric, q) {
    return (s) => {
        const old = samples.find((other) => s.time - other.time <= RECENT
            && other.data.start_time_seconds === s.data.start_time_seconds);

        const counts = ordered(Object.keys(s.data[metric].buckets)).map((le) => [
            limit(le),
            s.data[metric].buckets[le] - old.data[metric].buckets[le]
        ]);

        const rank = q * counts[counts.length - 1][1];
        let lower = 0, below = 0;

        for (const [upper, n] of counts) {
            if (rank > 0 && n >= rank) {
                return upper === Infinity ? lower
                       : lower + (upper - lower) * (rank - below) / (n - below);
            }

            lower = upper;
            below = n;
        }

        return null;
    };
}


/* Numbers as text, with about three digits. */

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3,
                                            notation: "compact" });

const digits = (n, unit, count = 3) => Number(n.toPrecision(count)) + unit;


function showCount(n) {
    return n < 1e5 ? whole.format(n) : short.format(n);
}


function showRate(n) {
    return n > 0 && n < .1 ? "< 0.1"
           : n < 9.95 ? n.toFixed(1) : showCount(Math.round(n));
}


function showBytes(n) {
    return n < 1e3 ? Math.round(n) + " B"
           : n < 1e6 ? digits(n / 1e3, " kB")
           : n < 1e9 ? digits(n / 1e6, " MB") : digits(n / 1e9, " GB");
}


/* The values within the first bucket of a histogram are not known. */

function showSeconds(n) {
    return n < .001 ? "< 1 ms"
           : n < .9995 ? digits(n * 1000, " ms", 2)
           : n < 60 ? digits(n, " s", 2) : "> 60 s";
}


const showClock = (time) => new Date(time).toLocaleTimeString("en-GB");


function showAge(seconds) {
    for (const [name, length] of [["day", 86400], ["hour", 3600],
                                  ["minute", 60]])
    {
        const n = Math.floor(seconds / length);

        if (n) {
            return n + " " + name + (n > 1 ? "s" : "");
        }
    }

    return "less than a minute";
}


function show(n, format) {
    return n === null ? "\u2013" : format(n);
}
