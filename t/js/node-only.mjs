// What can be tested in Node.js only: node-only.mjs PACKAGE OPTIONS.json
//
// Lost responses: this program is a proxy on the path.  Random numbers: the
// module is loaded without the worker.

import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const url = name => pathToFileURL(`${process.argv[2]}/${name}`);
const options = JSON.parse(await readFile(process.argv[3], 'utf8'));
const results = [];

const is = (name, got, expected) => { results.push({ name, got, expected }); };

const { AtlsError, atls } = await import(url('index.js'));
const { load } = await import(url('module.js'));
const { Session } = await import(url('session.js'));


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


// The memory of sessions is freed: after requests, after a ClientHello, and in
// the middle of a response.

{
    const library = await load(await readFile(url('atls.wasm')));
    const service = library.service('localhost', 'localhost', options.ca);
    const { signal } = new AbortController();

    const use = async path => {
        const session = new Session(service, { ...options, postSize: 65536 });
        const piece = async () => {
            if (path.startsWith('/big')) {
                throw new Error('cut');
            }
        };

        await session.open(signal);
        await session.perform({ method: 'GET', path, fields: [] }, {
            header() { }, piece, sending() { }, signal }).catch(() => { });
        session.free();
    };

    const round = async n => {
        for (let i = 0; i < n; i++) {
            await use('/info');
            await use('/big?size=300000');
        }

        for (let i = 0; i < 20 * n; i++) {
            new Session(service, options).free();
        }

        return library.bytes.length;
    };

    const before = await round(20);

    is('memory is freed', await round(60) - before < 1 << 20, true);
}


// Random numbers are those of JavaScript, and there are no others.

{
    const { getRandomValues } = crypto;
    const wasm = await readFile(url('atls.wasm'));
    let calls = 0;

    const hello = async random => {
        crypto.getRandomValues = random;

        try {
            const library = await load(wasm);
            const service = library.service('localhost', 'localhost',
                                            options.ca);

            return Buffer.from(service.session().out()).toString('hex');

        } finally {
            crypto.getRandomValues = getRandomValues;
        }
    };

    const real = buf => {
        calls++;
        return getRandomValues.call(crypto, buf);
    };

    is('different random numbers', await hello(real) !== await hello(real),
       true);
    is('of JavaScript', calls > 0, true);

    const failed = await hello(() => { throw new Error('none'); })
        .then(() => 'a ClientHello', e => e.message);

    is('without them', /random/.test(failed) || failed, true);
}

console.log(JSON.stringify(results));
