"use strict";

/*
 * Elements, and charts as SVG.  A chart has a name, a list of series, and the
 * format of its numbers; if it is "stacked", values are drawn upon each other;
 * if it is a part of a "whole", the scale is in percent of it; if it has "time",
 * the scale is logarithmic.
 */

const TOP = 8;                  /* above the highest line */
const LEFT = 48;                /* for the numbers of the axis */
const RIGHT = 4;


/* Elements, without HTML. */

const $ = (id) => document.getElementById(id);


function make(name, attributes, ...children) {
    const svg = ["svg", "path", "line", "rect", "text"].includes(name);
    const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
                  : document.createElement(name);

    for (const key of Object.keys(attributes || {})) {
        e.setAttribute(key, attributes[key]);
    }

    e.append(...children);
    return e;
}


/* An unchanged text is left alone: it may be selected, or being read. */

function write(e, text) {
    if (e.textContent !== text) {
        e.textContent = text;
    }
}


/* Ticks of an axis from 0: about four of them, with round numbers. */

function ticks(max) {
    const rough = max / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((n) => n * power >= rough);
    const list = [];

    for (let n = 0; n < max + step; n += step) {
        list.push(n);
    }

    return list;
}


/* Where values and times are. */

function scales(chart, width, height) {
    const right = width - RIGHT, bottom = height - 22;
    const now = newest().time;
    const to = { right, bottom, now, mark: chart.axis,
                 x: (time) => right - (right - LEFT) * (now - time) / SPAN };

    if (chart.time) {
        const least = .0005, most = 60;

        to.marks = [.001, .01, .1, 1, 10];
        to.y = (n) => bottom - (bottom - TOP)
                      * Math.log(Math.max(n / least, 1))
                      / Math.log(most / least);

        return to;
    }

    if (chart.whole) {
        const all = Math.max(1, ...samples.map(chart.whole));

        to.marks = [0, .25, .5, .75, 1].map((share) => share * all);
        to.mark = (n) => n / all * 100 + " %";
        to.y = (n) => bottom - (bottom - TOP) * n / all;

        return to;
    }

    const highest = samples.map((s) => {
        const values = s.values[chart.name].filter((n) => n !== null);

        return chart.stacked ? add(values) : Math.max(0, ...values);
    });

    to.marks = ticks(Math.max(chart.least, ...highest));
    to.y = (n) => bottom - (bottom - TOP) * n / to.marks[to.marks.length - 1];

    return to;
}


/* A value that is not known divides a line, and so does a gap. */

function segments(points) {
    const list = [];
    let open = false;

    for (const p of points) {
        if (p && (!open || p.gap)) {
            list.push([]);
        }

        if (p) {
            list[list.length - 1].push(p);
        }

        open = p !== null;
    }

    return list;
}


function outline(points, area) {
    const text = (list, key) => list.map((p) => p.x.toFixed(1) + " "
                                                + p[key].toFixed(1)).join("L");

    return segments(points).map((part) => {
        const ends = part.length > 1 ? part : [part[0], part[0]];

        return "M" + text(ends, "high")
               + (area ? "L" + text(ends.reverse(), "low") + "Z" : "");
    }).join("");
}


/* The axes, the times at which nothing is known, and the selected one. */

function axes(chart, to, cursor) {
    const parts = [];
    const upright = (kind, time) => make("line", { class: kind,
        x1: to.x(time), x2: to.x(time), y1: TOP, y2: to.bottom });

    for (const mark of to.marks) {
        const y = to.y(mark);

        parts.push(make("line", { class: "grid", x1: LEFT, x2: to.right,
                                  y1: y, y2: y }),
                   make("text", { x: LEFT - 6, y: y + 4,
                                  "text-anchor": "end" }, to.mark(mark)));
    }

    for (const [minutes, anchor] of [[5, "start"], [2.5, "middle"],
                                     [0, "end"]])
    {
        parts.push(make("text", { x: to.x(to.now - minutes * 60000),
                                  y: to.bottom + 18, "text-anchor": anchor },
                        minutes ? minutes + " min ago" : "now"));
    }

    samples.forEach((s, i) => {
        if (s.gap || i === 0) {
            const from = i ? to.x(samples[i - 1].time) : LEFT;

            parts.push(make("rect", { class: "unknown", x: from, y: TOP,
                                      width: Math.max(to.x(s.time) - from, 0),
                                      height: to.bottom - TOP }));
        }

        if (s.restart) {
            parts.push(upright("restart", s.time));
        }
    });

    if (cursor !== null) {
        parts.push(upright("cursor", cursor));
    }

    return parts;
}


/* The time at a place in a chart; null: at the left of it. */

function timeAt(chart, clientX) {
    const box = chart.svg.getBoundingClientRect();
    const share = (clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);

    return share < 0 ? null : newest().time - SPAN * (1 - Math.min(share, 1));
}


function draw(chart, cursor) {
    const width = chart.svg.clientWidth, height = chart.svg.clientHeight;
    const to = scales(chart, width, height);
    const low = samples.map(() => 0);

    const paths = chart.series.map((series, k) => {
        const points = samples.map((s, i) => {
            const n = s.values[chart.name][k];
            const below = low[i];

            low[i] += chart.stacked ? n : 0;

            return n === null ? null
                   : { x: to.x(s.time), low: to.y(below), high: to.y(below + n),
                       gap: s.gap || s.restart };
        });

        return make("path", { class: series.colour + " "
                                     + (chart.stacked ? "area" : "line"),
                              d: outline(points, chart.stacked) });
    });

    chart.svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    chart.svg.replaceChildren(...axes(chart, to, cursor), ...paths);
}


/* A line without axes: how often something has happened. */

function spark(svg, rates) {
    const most = Math.max(.1, ...rates);

    svg.firstChild.setAttribute("d", outline(samples.map((s, i) => {
        return rates[i] === null ? null
               : { x: 118 - 116 * (newest().time - s.time) / SPAN,
                   high: 22 - 20 * rates[i] / most,
                   gap: s.gap || s.restart };
    })));
}
