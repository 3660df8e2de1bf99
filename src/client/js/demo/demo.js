import { atls } from './atls/index.js';

const SHOWN = 96;                               // bytes of a body

const $ = id => document.getElementById(id);


function article(to, title, note, ...texts) {
    const element = document.createElement('article');
    const heading = document.createElement('h3');
    const small = document.createElement('span');

    heading.textContent = title;
    small.textContent = note;
    heading.append(small);
    element.append(heading);

    for (const text of texts) {
        const pre = document.createElement('pre');

        pre.textContent = text;
        element.append(pre);
    }

    to.prepend(element);
}


// As the middlebox would print it: what is no text is a dot.

function dump(base64) {
    const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0));
    const lines = [];

    for (let at = 0; at < bytes.length && at < SHOWN; at += 8) {
        const row = bytes.subarray(at, at + 8);
        const hex = Array.from(row, b => b.toString(16).padStart(2, '0'));
        const text = Array.from(row, b => b > 31 && b < 127
                                          ? String.fromCharCode(b) : '.');

        lines.push(`${hex.join(' ').padEnd(23)}  ${text.join('')}`);
    }

    return lines.join('\n') + (bytes.length > SHOWN ? '\n...' : '');
}


new EventSource('/seen').onmessage = ({ data }) => {
    const seen = JSON.parse(data);

    article($('middlebox'), `${seen.method} ${seen.path}`,
            `${seen.status}, ${seen.sent} + ${seen.received} bytes`,
            dump(seen.request), dump(seen.response));
};


const { host, via, ca } = await (await fetch('/config.json')).json();
const f = await atls({ host, via, ca });

$('session').textContent = `requests to https://${host}`;
$('send').disabled = false;

$('form').addEventListener('submit', async event => {
    event.preventDefault();

    const method = $('method').value;
    const path = $('path').value;
    const began = performance.now();

    $('send').disabled = true;

    try {
        const response = await f(path, {
            method, body: method === 'POST' ? $('body').value : undefined,
        });
        const text = await response.text();

        article($('page'), `${method} ${path}`,
                `${response.status}, ${Math.round(performance.now() - began)} ms`,
                text.slice(0, 2000));

    } catch (e) {
        article($('page'), `${method} ${path}`, e.code ?? e.name, e.message);
    }

    $('send').disabled = false;
});
