// Lost responses, in Node.js: lost.mjs PACKAGE OPTIONS.json.  This program is a
// proxy on the path.

import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const url = name => pathToFileURL(`${process.argv[2]}/${name}`);
const options = JSON.parse(await readFile(process.argv[3], 'utf8'));
const results = [];

const is = (name, got, expected) => { results.push({ name, got, expected }); };

const { AtlsError, atls } = await import(url('index.js'));


// A proxy that passes a POST and then fails as action() says: 'request' before
// it is passed, 'response' before its response, 'half' in it, or a status.

async function proxy(action) {
    const server = http.createServer(async (request, response) => {
        const pieces = [];

        for await (const piece of request) {
            pieces.push(piece);
        }

        const fault = action(++server.posts);

        if (fault === 'request') {
            response.destroy();
            return;
        }

        if (typeof fault === 'number') {
            response.writeHead(fault, { 'Retry-After': '0' }).end();
            return;
        }

        const to = http.request(new URL(request.url, options.via), {
            method: request.method, headers: request.headers,
        }, async from => {
            const body = [];

            for await (const piece of from) {
                body.push(piece);
            }

            const bytes = Buffer.concat(body);

            if (fault === 'response') {
                response.destroy();
                return;
            }

            const headers = { ...from.headers, 'content-length': bytes.length };

            delete headers['transfer-encoding'];
            response.writeHead(from.statusCode, headers);

            if (fault === 'half') {
                response.write(bytes.subarray(0, bytes.length / 2));
                setTimeout(() => response.destroy(), 50);
                return;
            }

            response.end(bytes);
        });

        to.end(Buffer.concat(pieces));
    });

    server.posts = 0;
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    server.via = `http://127.0.0.1:${server.address().port}/atls`;

    return server;
}


for (const fault of [ 'request', 'response', 'half', 502, 503 ]) {
    const server = await proxy(n => n % 2 ? fault : null);
    const f = await atls({ ...options, via: server.via });
    const texts = [];

    for (let i = 0; i < 3; i++) {
        const r = await f('/body', { method: 'POST', body: `${fault} ${i}` });

        texts.push(await r.text());
    }

    is(`each POST fails once: ${fault}`, texts.join(', '),
       `${fault} 0, ${fault} 1, ${fault} 2`);

    await f.close();
    server.close();
}


// A response that the server does not keep: it is not known what has happened.

{
    let lose = false;
    const server = await proxy(() => lose ? 'response' : null);
    const f = await atls({ ...options, via: server.via });

    await (await f('/info')).text();
    lose = true;

    const error = await f('/big?size=100000', { method: 'POST', body: 'x' })
        .then(() => null, e => e);

    is('a lost response', `${error instanceof AtlsError} ${error?.code}`,
       'true network');

    lose = false;
    is('and then', (await f('/info')).status, 200);

    await f.close();
    server.close();
}


// A middlebox answers.

for (const [ status, code ] of [ [ 403, 'outer-status' ],
                                 [ 302, 'network' ] ])
{
    const server = await proxy(() => status);
    const f = await atls({ ...options, via: server.via });
    const error = await f('/info').then(() => null, e => e);

    is(`a middlebox returns ${status}`, error?.code, code);

    await f.close();
    server.close();
}

console.log(JSON.stringify(results));
