"use strict";

/*
 * The page of atls_status: it polls the metrics in JSON, and shows them as
 * charts and tables.
 *
 * Nothing is interpreted as HTML.  Screen readers announce the state of the
 * connection and the verdict when they change, but not the numbers.
 */

const PATIENCE = 10000;         /* for a response, in milliseconds */
const NEWS = 60000;             /* a restart is mentioned for this time */

let at = null;                  /* the time of the legends; null: now */
let restarted = null;           /* the time of the last restart */
let timer = null;
let polling = false;
let paused = false;
let missed = false;             /* at least one reading */


/* The reading at the selected time. */

function shown() {
    const distance = (s) => Math.abs(s.time - at);

    return at === null ? newest()
           : samples.reduce((best, s) => distance(s) < distance(best) ? s
                                                                      : best);
}


/* Rows of tables are kept, so that a reader does not lose the place. */

const rows = new Map();         /* of tbody elements, by key */


function row(body, key, name, what, cells) {
    if (!rows.has(body)) {
        rows.set(body, new Map());
    }

    const known = rows.get(body);

    if (!known.has(key)) {
        const th = make("th", { scope: "row" }, name);
        const tr = make("tr", {}, th);

        for (let i = 0; i < cells; i++) {
            tr.append(make("td"));
        }

        if (what) {
            th.append(make("p", {}, what));
        }

        known.set(key, tr);
        body.append(tr);
    }

    return known.get(key);
}


function fill(tr, ...texts) {
    texts.forEach((text, i) => write(tr.cells[i + 1], text));
}


/* The legend of a chart is a table with the numbers at the selected time. */

function showLegend(chart) {
    const label = [];

    for (const { name, colour, what, value, format, current } of chart.lines) {
        const tr = row(chart.body, name, name, what, 2);
        const known = samples.map(value).filter((n) => n !== null);
        const text = show(value(shown()), format);
        const most = known.length ? Math.max(...known) : null;

        if (colour && !tr.querySelector(".key")) {
            tr.cells[0].prepend(make("span", { class: "key " + colour,
                                               "aria-hidden": "true" }));
        }

        fill(tr, text, current ? "" : show(most, format));
        label.push(name + ": " + text);
    }

    write(chart.when, at === null ? "now" : showClock(shown().time));

    chart.svg.setAttribute("aria-label", "Chart of the last 5 minutes, with"
                           + " the numbers of the table below. "
                           + label.join(", ") + ".");
}


function showCharts() {
    for (const chart of Object.values(CHARTS)) {
        draw(chart, at === null ? null : shown().time);
        showLegend(chart);
    }
}


function showVerdict() {
    const list = problems();
    const items = $("problems");

    $("verdict").className = list.some(([kind]) => kind === "bad") ? "bad"
                             : list.length ? "warn" : "good";

    write($("verdict-title"), list.length > 1
          ? list.length + " things need attention"
          : list.length ? "One thing needs attention"
          : "Nothing needs attention");

    list.forEach(([, n, text], i) => {
        write(items.children[i] || items.appendChild(make("li")),
              showCount(n) + " " + text);
    });

    while (items.children.length > list.length) {
        items.lastChild.remove();
    }

    items.hidden = list.length === 0;
}


function showTile(name, text, unit) {
    const e = $("tile-" + name);

    if (e.textContent !== text + " " + unit) {
        e.replaceChildren(text + " ", make("small", {}, unit));
    }
}


function showTiles() {
    const s = newest();

    showTile("sessions", showCount(add(Object.values(s.data.sessions))),
             showCount(s.data.sessions.busy) + " busy");
    showTile("handshakes", show(s.values.handshakes[0], showRate),
             "a second");
    showTile("requests", show(s.values.requests[1], showRate), "a second");
    showTile("time", show(s.values.post[1], showSeconds),
             s.values.post[1] === null ? "no POSTs" : "for 95 of 100");
    showTile("zone", Math.round(entriesUsed(s) / entries(s) * 100) + " %",
             "of " + showCount(entries(s)) + " entries");
    showTile("failures", showCount(recently(...badPosts())), "in 5 minutes");
}


function showFailures() {
    let any = false;

    for (const [metric, normal, title] of FAILURES) {
        const depth = metric.split("/").length;
        const keys = [...newest().totals.keys()].filter((key) => {
            return key.startsWith(metric + "/") && newest().totals.get(key)
                   && !normal.includes(key.split("/")[depth]);
        });

        showGroup(metric, title, keys);
        any = any || keys.length > 0;
    }

    $("failure-table").hidden = !any;
    $("no-failures").hidden = any;
}


function showGroup(metric, title, keys) {
    const id = "failures-" + metric.replace(/\W/, "-");
    let body = $(id);

    if (!body) {
        const th = make("th", { scope: "rowgroup", colspan: 4 }, title);

        body = make("tbody", { id: id }, make("tr", { class: "group" }, th));
        $("failure-table").append(body);
    }

    body.hidden = body.rows.length === 1 && keys.length === 0;

    for (const key of keys) {
        const [name, status] = key.slice(metric.length + 1).split("/");
        const recent = recently(key);
        const tr = row(body, key, name === "nginx" ? name + ": " + status
                                  : name, meaning(key), 3);

        tr.className = recent ? "recent" : "";
        fill(tr, showCount(recent), showCount(newest().totals.get(key)));


        if (!tr.cells[3].firstChild) {
            tr.cells[3].className = "spark";
            tr.cells[3].setAttribute("aria-hidden", "true");
            tr.cells[3].append(make("svg", { viewBox: "0 0 120 24",
                                             preserveAspectRatio: "none" },
                                    make("path", { class: "red line" })));
        }

        spark(tr.cells[3].firstChild, samples.map(perSecond(key)));
    }
}


/* Names of cipher suites are long. */

function breakable(name) {
    const words = make("span");

    name.split("_").forEach((word, i) => {
        words.append(...i ? ["_", make("wbr"), word] : [word]);
    });

    return words;
}


function showShares(id, metric) {
    const values = newest().data[metric];
    const all = add(Object.values(values));
    const body = $(id);
    const none = row(body, "", "none yet", "", 2);

    none.hidden = all > 0;

    for (const key of Object.keys(values)) {
        const tr = row(body, key, breakable(key), "", 2);
        const share = all ? Math.round(values[key] / all * 100) : 0;

        if (!tr.querySelector(".share")) {
            tr.cells[0].append(make("div", { class: "track" },
                                    make("div", { class: "share" })));
        }

        tr.hidden = all === 0;
        tr.querySelector(".share").style.width = share + "%";
        fill(tr, showCount(values[key]), share + " %");
    }
}


function showAll() {
    if (!$("all").open) {
        return;
    }

    for (const [key, n] of newest().totals) {
        const [name, ...labels] = key.split("/");
        const counts = /_total$|_seconds$/.test(name);
        const tr = row($("all-rows"), key, [name, labels.join(", ")].join(" "),
                       "", 2);

        fill(tr, whole.format(n),
             counts ? show(perSecond(key)(newest()), showRate) : "");
    }
}


function showAbout() {
    const data = newest().data;
    const since = data.start_time_seconds;

    write($("about"), data.workers + " worker process"
          + (data.workers === 1 ? "" : "es") + ", counting for "
          + showAge(Date.now() / 1000 - since) + ", since "
          + new Date(since * 1000).toLocaleString("en-GB", {
              dateStyle: "medium", timeStyle: "short" }));
}


function showEverything() {
    if (samples.length === 0) {
        return;
    }

    showAbout();
    showVerdict();
    showTiles();
    showCharts();
    showFailures();
    showShares("protocols", "handshake_protocols_total");
    showShares("ciphers", "handshake_ciphers_total");
    showShares("groups", "handshake_groups_total");
    showShares("resumptions", "handshake_resumptions_total");
    showAll();
}


/* The time of the legends: that of the slider, or of a place in a chart. */

function select(time) {
    if (samples.length === 0) {
        return;
    }

    const now = time === null || newest().time - time < POLL / 2;

    at = now ? null : Math.max(time, samples[0].time);
    showTime();
    showCharts();
}


function showTime() {
    const text = at === null ? "now" : showClock(shown().time);
    const slider = $("at");

    slider.value = at === null ? 0 : Math.round((at - newest().time) / 1000);
    slider.setAttribute("aria-valuetext", text);
    write($("when"), text);
}


function prepareChart(figure) {
    const chart = CHARTS[figure.dataset.chart];
    const column = (text) => make("th", { scope: "col" }, text);
    const title = figure.querySelector("h3").textContent;
    const point = (e) => {
        const time = samples.length ? timeAt(chart, e.clientX) : null;

        if (time !== null) {
            select(time);
        }
    };

    chart.name = figure.dataset.chart;
    chart.lines = chart.series.map(({ name, colour, what }, k) => ({
        name, colour, what, format: chart.format,
        value: (s) => s.values[chart.name][k],
    })).concat(chart.more || []);
    chart.svg = make("svg", { role: "img" });
    chart.body = make("tbody");
    chart.when = column("now");

    figure.append(chart.svg, make("table", {},
        make("caption", { class: "hidden" }, title),
        make("thead", {}, make("tr", {},
             column(make("span", { class: "hidden" }, "Line")), chart.when,
             column("highest"))),
        chart.body));

    chart.svg.addEventListener("pointermove", point);
    chart.svg.addEventListener("pointerdown", point);
    chart.svg.addEventListener("pointerleave", (e) => {
        if (e.pointerType === "mouse") {
            select(null);
        }
    });
}


/* Screen readers announce this text, if it changes. */

function showState(kind, text) {
    $("state").className = kind;
    document.body.classList.toggle("stale", kind === "lost");
    document.title = (kind === "lost" ? "Lost: " : "") + "ATLS status";
    write($("state"), text);
}


function showLive() {
    const news = restarted !== null && newest().time - restarted < NEWS;

    showState("live", news ? "Live. nginx was restarted at "
                             + showClock(restarted)
                             + ", and counts from zero" : "Live");
}


function received(data) {
    const s = sample(data, newest(), missed);

    missed = false;
    samples.push(s);
    s.values = {};

    for (const chart of Object.values(CHARTS)) {
        s.values[chart.name] = chart.series.map(({ value }) => value(s));
    }

    while (s.time - samples[0].time > SPAN) {
        samples.shift();
    }

    if (s.restart) {
        restarted = s.time;
    }

    if (at !== null && at < samples[0].time) {
        at = null;
    }

    $("main").hidden = false;
    $("time").hidden = false;

    showLive();
    showTime();
    showEverything();
}


function lost(why) {
    missed = true;
    showState("lost", "Connection lost: " + why + ". "
              + (samples.length ? "The numbers are those of "
                                  + showClock(newest().time) + ". " : "")
              + "Trying again");
}


async function read() {
    const response = await fetch("?format=json", {
        cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });

    if (!response.ok) {
        lost("nginx responds with " + response.status);
        return null;
    }

    return response.json();
}


async function poll() {
    let data = null;

    if (polling || paused || document.hidden) {
        return;
    }

    clearTimeout(timer);
    polling = true;

    try {
        data = await read();

    } catch (e) {
        lost("nginx does not respond");
    }

    polling = false;
    timer = setTimeout(poll, POLL);

    if (data && !paused) {
        received(data);
    }
}


function pause() {
    paused = !paused;
    write($("pause"), paused ? "Go on" : "Pause");

    if (paused) {
        missed = true;
        showState("paused", "Paused");
    } else {
        poll();
    }
}


$("host").textContent = location.host;
showState("connecting", "Connecting");
document.querySelectorAll("figure").forEach(prepareChart);

$("pause").addEventListener("click", pause);
$("all").addEventListener("toggle", showEverything);
$("at").addEventListener("input", (e) => {
    select(samples.length ? newest().time + e.target.value * 1000 : null);
});

document.addEventListener("keydown", (e) => {
    if (e.key === "Escape") {
        select(null);
    }
});

document.addEventListener("visibilitychange", poll);
window.addEventListener("resize", showEverything);

poll();
