// A demonstration: this program serves a page, and is the middlebox between it
// and an endpoint.  The page shows what both of them see.
//
//     node server.mjs --package build/js --to http://127.0.0.1:8080
//                     --host localhost --ca ca.crt [--port 8081]

import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { parseArgs } from 'node:util';

const TYPES = { html: 'text/html; charset=utf-8', css: 'text/css',
                js: 'text/javascript', wasm: 'application/wasm' };
const SHOWN = 512;                              // bytes of a body

const { values: options } = parseArgs({ options: {
    package: { type: 'string', default: 'build/js' },
    to: { type: 'string', default: 'http://127.0.0.1:8080' },
    host: { type: 'string', default: 'localhost' },
    ca: { type: 'string', default: 'ca.crt' },
    port: { type: 'string', default: '8081' },
} });

const watching = new Set();

const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');

    try {
        if (pathname.startsWith('/.well-known/atls')) {
            await pass(request, response);

        } else if (pathname === '/seen') {
            watch(response);

        } else if (pathname === '/config.json') {
            response.setHeader('Content-Type', 'application/json');
            response.end(JSON.stringify({
                via: '/.well-known/atls', host: options.host,
                ca: await readFile(options.ca, 'utf8'),
            }));

        } else {
            await file(pathname, response);
        }

    } catch (e) {
        if (!response.headersSent) {
            response.writeHead(e.code === 'ENOENT' ? 404 : 502);
        }

        response.end();
    }
});

server.listen(Number(options.port), '127.0.0.1', () => {
    console.log(`http://localhost:${server.address().port}/`);
});


async function file(pathname, response) {
    const name = pathname === '/' ? 'index.html' : pathname.slice(1);

    if (!/^(?:atls\/)?[\w-]+\.\w+$/.test(name)) {
        throw Object.assign(new Error(name), { code: 'ENOENT' });
    }

    const content = await readFile(
        name.startsWith('atls/') ? `${options.package}/${name.slice(5)}`
                                 : new URL(name, import.meta.url));

    response.setHeader('Content-Type', TYPES[name.replace(/.*\./, '')]
                                       ?? 'application/octet-stream');
    response.end(content);
}


// As a middlebox that terminates TLS: it reads everything.

async function pass(request, response) {
    const sent = await body(request);
    const from = await new Promise((resolve, reject) => {
        http.request(new URL(request.url, options.to), {
            method: request.method,
            headers: { ...request.headers, host: new URL(options.to).host },
        }, resolve).on('error', reject).end(sent);
    });
    const received = await body(from);
    const headers = { ...from.headers, 'content-length': received.length };

    delete headers['transfer-encoding'];
    delete headers.connection;

    response.writeHead(from.statusCode, headers);
    response.end(received);

    const event = JSON.stringify({
        method: request.method, path: request.url, status: from.statusCode,
        sent: sent.length, received: received.length,
        request: sent.subarray(0, SHOWN).toString('base64'),
        response: received.subarray(0, SHOWN).toString('base64'),
    });

    watching.forEach(to => to.write(`data: ${event}\n\n`));
}


async function body(stream) {
    const pieces = [];

    for await (const piece of stream) {
        pieces.push(piece);
    }

    return Buffer.concat(pieces);
}


function watch(response) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream',
                              'Cache-Control': 'no-store' });
    response.write('\n');
    watching.add(response);
    response.on('close', () => watching.delete(response));
}
