// What the JavaScript client does without its WebAssembly, and what others on
// the path can do to it: path.mjs PACKAGE, where module.js is stub/module.js.

import { endpoint, problem, record } from './endpoint.mjs';
import { pathToFileURL } from 'node:url';

const { AtlsError, atls } = await import(
                                pathToFileURL(`${process.argv[2]}/index.js`));
const results = [];

const is = (name, got, expected) => { results.push({ name, got, expected }); };

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

async function until(condition) {
    for (let i = 0; i < 600 && !condition(); i++) {
        await sleep(50);
    }
}

const failure = promise => promise.then(
    () => 'no error',
    e => e instanceof AtlsError ? e.code : e?.name ?? e);

process.on('unhandledRejection', e => is('unhandled', `${e?.stack}`, ''));


// A client and its endpoint.

async function pair(fault, options = {}) {
    const server = await endpoint();

    server.fault = fault;

    const f = await atls({ via: server.via, host: 'localhost', ca: 'any',
                           ...options });

    return { server, f, end: async () => { await f.close(); server.stop(); } };
}

const text = async (f, ...args) => (await f(...args)).text();


// A stream; each piece is a view of a large buffer.

function stream(...pieces) {
    const buffer = new Uint8Array(1 << 20);
    let at = 0;

    return new ReadableStream({
        pull(controller) {
            const piece = pieces.shift();

            if (piece === undefined) {
                controller.close();
            } else if (piece instanceof Error) {
                controller.error();             // without a reason
            } else {
                const view = buffer.subarray(at, at + piece.length);

                new TextEncoder().encodeInto(piece, view);
                controller.enqueue(view);
                at += piece.length;
            }
        },
    });
}


// Fails the nth POST, and all from the nth on.

const nth = (n, fault) => { let i = 0; return () => ++i === n ? fault : null; };
const from = (n, fault) => { let i = 0; return () => ++i >= n ? fault : null; };

const lost = { instead: problem(410, 'session-unknown') };


async function requests() {
    const { server, f, end } = await pair();

    is('GET', await text(f, '/a'), 'GET /a 1');
    is('in the same session', await text(f, '/b'), 'GET /b 1');
    is('HEAD', await text(f, '/big/9', { method: 'HEAD' }), '');
    is('bytes', await text(f, '/body', { method: 'POST', body: 'text' }),
       'text');
    is('a stream', await text(f, '/body', { method: 'POST',
                                            body: stream('one', 'two') }),
       'onetwo');
    is('a Blob', await text(f, '/body', { method: 'POST',
                                          body: new Blob([ 'blob' ]) }),
       'blob');
    is('a Request', await text(f, new Request('https://localhost/body', {
        method: 'POST', body: 'request' })), 'request');
    is('a Request of Firefox', await text(f, {
        url: 'https://localhost/body', method: 'POST', headers: {},
        arrayBuffer: async () => new TextEncoder().encode('bytes').buffer,
    }), 'bytes');
    is('still in it', await text(f, '/c'), 'GET /c 1');

    await text(f, '/body', { method: 'POST', body: 'x'.repeat(1500000) });
    is('a long one in several POSTs',
       server.posts.filter(post => post.body.length > 10000).length, 3);
    is('until the end', await text(f, '/eof'), 'to the end');
    is('then in another one', await text(f, '/d'), 'GET /d 2');
    is('cut', await failure(text(f, '/cut')), 'truncated');

    const r = await f('/e#fragment');

    is('url', r.url, 'https://localhost/e');
    await r.text();

    is('cookies', server.posts.some(post => post.headers.cookie), false);
    is('POSTs only', server.posts.every(post => post.method === 'POST'), true);

    await end();
}


// The only session is used by a response whose body is not for the page.

async function dropped() {
    const { f, end } = await pair(undefined, { sessions: 1 });
    const r = await f('/status/205');

    is('status 205', `${r.status} ${r.body}`, '205 null');
    is('and its body is dropped',
       await text(f, '/a', { signal: AbortSignal.timeout(300000) }), 'GET /a 1');
    await end();
}


async function arguments_() {
    const { server, f, end } = await pair();
    const make = options => failure(atls({ via: server.via, host: 'localhost',
                                           ca: 'any', ...options }));

    for (const [ name, options ] of Object.entries({
        'no host': { host: undefined }, 'a bad host': { host: 'a b' },
        'a path': { host: 'a/b' }, 'a port': { host: 'a:b' },
        'no via': { via: undefined }, 'a relative one': { via: '/atls' },
        'another scheme': { via: 'ftp://localhost/' },
        'sessions': { sessions: 0 }, 'NaN': { sessions: NaN },
        'postSize': { postSize: 'x' },
    })) {
        is(name, await make(options), 'usage');
    }

    is('no certificates', await make({ ca: 'none' }), 'trust');

    const used = new Request('https://localhost/', { method: 'POST',
                                                     body: 'x' });

    await used.text();

    const locked = stream('x');

    locked.getReader();

    for (const [ name, ...args ] of [
        [ 'a bad URL', 'https://[' ],
        [ 'another service', 'https://example.com/' ],
        [ 'credentials', 'https://a:b@localhost/' ],
        [ 'a body of GET', '/', { body: 'x' } ],
        [ 'a length', '/', { headers: { 'Content-Length': '1' } } ],
        [ 'a used Request', used ],
        [ 'a locked stream', '/', { method: 'POST', body: locked } ],
        [ 'a stream of text', '/', { method: 'POST', body: new ReadableStream({
            start(controller) { controller.enqueue('text'); } }) } ],
    ]) {
        is(name, await failure(f(...args)), 'usage');
    }

    await end();
}


async function redirects() {
    const { f, end } = await pair();
    const to = (code, url) => `/to/${code}/${encodeURIComponent(url)}`;
    let r = await f(to(302, '/a#b'));

    is('a redirect', `${r.redirected} ${r.url} ${await r.text()}`,
       'true https://localhost/a GET /a 2');
    is('whose long body ends the session', await text(f, '/a'), 'GET /a 2');

    r = await f(to(307, '/body'), { method: 'POST', body: new Blob([ 'x' ]) });
    is('a Blob is sent again', await r.text(), 'x');
    is('a stream is not',
       await failure(f(to(307, '/body'), { method: 'POST',
                                           body: stream('x') })), 'redirect');
    is('POST to GET', await text(f, to(303, '/a'), { method: 'POST',
                                                     body: 'x' }), 'GET /a 2');
    is('to another service', await failure(f(to(301, 'https://a.example/'))),
       'usage');
    is('to http', await failure(f(to(301, 'http://localhost/'))), 'usage');
    is('to nothing', await failure(f(to(301, 'https://['))), 'usage');

    r = await f(to(301, 'https://a.example/'), { redirect: 'manual' });
    is('manual', `${r.status} ${r.headers.get('Location')}`,
       '301 https://a.example/');
    await r.text();

    await end();
}


async function aborted() {
    const { server, f, end } = await pair(undefined, { sessions: 1 });
    const one = new AbortController(), two = new AbortController();

    is('before', await failure(f('/', { signal: AbortSignal.abort() })),
       'AbortError');

    // while a body is read, which is before the request

    const early = new AbortController();
    const form = new FormData();

    form.set('a', 'b');

    const reading = failure(f('/', { method: 'POST', body: form,
                                     signal: early.signal }));

    early.abort();
    is('while the body is read', await reading, 'AbortError');

    // another request waits for the session, and a third one

    const first = failure(f('/hang', { signal: one.signal }));
    const second = failure(f('/second', { signal: two.signal }));
    const third = text(f, '/third');

    await until(() => server.counts['GET /hang']);
    two.abort(0);
    is('a reason that is false', await second, 0);
    one.abort();
    is('without a response', await first, 'AbortError');
    is('one that waits goes on', await third, 'GET /third 2');

    // in the body, at its end, and by the body of the request

    const three = new AbortController();
    let r = await f('/big/1000000', { signal: three.signal });
    let reader = r.body.getReader();

    await reader.read();
    three.abort();
    is('in the body', await failure((async () => {
        while (!(await reader.read()).done) { /* to the end */ }
    })()), 'AbortError');

    const four = new AbortController();

    r = await f('/big/1000', { signal: four.signal });
    await sleep(200);
    four.abort();
    is('after it was received', await failure(r.text()), 'AbortError');

    r = await f('/big/1000000');
    await r.body.cancel();
    r = await f('/big/1000');
    await sleep(100);
    await r.body.cancel();

    is('a stream without a reason', await failure(f('/body', {
        method: 'POST', body: stream('a', new Error()) })), undefined);

    is('sessions are freed', await text(f, '/live'), '1');
    is('once each', server.counts['GET /third'], 1);

    await end();
}


async function closed() {
    const { server, f } = await pair();
    const hanging = failure(f('/hang'));

    await until(() => server.counts['GET /hang']);
    await f.close();
    is('closed with a request', await hanging, 'usage');
    is('and later', await failure(f('/')), 'usage');
    await f.close();
    server.stop();

    const crash = await pair();

    is('the worker fails', await failure(crash.f('/crash')), 'internal');
    is('and then', await failure(crash.f('/')), 'internal');
    await crash.end();
}


// Each request is executed once, whatever is lost.

async function repeated() {
    for (const fault of [ 'request', 'response', 'half',
                          { instead: { status: 502, body: 'x' } },
                          { instead: problem(503, 'zone-full') } ])
    {
        let n = 0;
        const { server, f, end } = await pair(() => n++ % 2 ? null : fault);
        const name = fault.instead?.status ?? fault;

        for (const body of [ 'a', 'b' ]) {
            await text(f, '/body', { method: 'POST', body });
        }

        is(`each POST fails once: ${name}`, JSON.stringify(server.counts),
           '{"POST /body a":1,"POST /body b":1}');
        await end();
    }

    // the first one is in progress when the second one is received

    let n = 0;
    const { server, f, end } = await pair(() => [ null, 'response',
        { instead: problem(409, 'session-busy') } ][n++]);

    is('busy', await text(f, '/body', { method: 'POST', body: 'a' }), 'a');
    is('once', JSON.stringify(server.counts), '{"POST /body a":1}');
    await end();

    // a response that is not kept

    const post = await pair(nth(2, 'response'));

    is('a long response to POST',
       await failure(post.f('/big/9999', { method: 'POST' })), 'network');
    is('once', JSON.stringify(post.server.counts), '{"POST /big/9999":1}');
    await post.end();

    const get = await pair(nth(2, 'response'));

    is('to GET', (await text(get.f, '/big/9999')).length, 9999);
    is('in another session', get.server.sessions.size, 2);
    await get.end();

    // the first POST, whose response is cut after its header: it is a new one

    const first = await pair(nth(1, response => {
        response.writeHead(201, { Location: '/atls/7', 'Content-Length': 9,
            'Content-Type': 'application/atls+octet-stream' });
        response.flushHeaders();
        setTimeout(() => response.destroy(), 30);
    }));

    is('the first POST', await text(first.f, '/a'), 'GET /a 1');
    is('is sent to the endpoint again', first.server.posts[1].url, '/atls');
    await first.end();
}


// The session is lost in the middle of a request.

async function sessionLost() {
    const long = 'x'.repeat(1000000);           // two POSTs

    for (const [ name, n, init, expected ] of [
        [ 'GET', 2, {}, 200 ],
        [ 'POST', 2, { method: 'POST', body: 'x' }, 'session-lost' ],
        [ 'a long POST', 3, { method: 'POST', body: long }, 'session-lost' ],
        [ 'PUT', 2, { method: 'PUT', body: 'x' }, 200 ],
        [ 'a long PUT', 3, { method: 'PUT', body: long }, 200 ],
        [ 'PUT of a stream', 2, { method: 'PUT', body: stream('x') },
          'session-lost' ],
    ]) {
        for (const fault of [ lost, { instead: problem(409, 'not-next') },
                              { instead: { status: 410, body: 'gone' } } ])
        {
            const { f, end } = await pair(nth(n, fault));
            const got = await f('/body', { ...init, body:
                init.body instanceof ReadableStream ? stream('x') : init.body })
                .then(r => r.status, e => e.code);

            is(`${name}: ${fault.instead.status}`, got, expected);
            await end();
        }
    }

    // a session that was idle is not used for a POST if it is lost

    const { server, f, end } = await pair();

    await text(f, '/a');
    server.sessions.clear();
    await sleep(2100);
    is('idle', await text(f, '/body', { method: 'POST', body: 'x' }), 'x');
    is('once', server.counts['POST /body x'], 1);
    await end();

    // a storm of them

    for (const fault of [ lost, { instead: problem(409, 'not-next') } ]) {
        const storm = await pair(from(2, fault));

        is('all POSTs fail', await failure(storm.f('/a')), 'session-lost');
        is('few are sent', storm.server.posts.length <= 4, true);
        await storm.end();
    }
}


// Responses of others on the path.

async function forged() {
    const elsewhere = await endpoint();
    const created = Location => ({ instead: {
        status: 201, body: record('H', 'flight'),
        headers: { Location, 'Content-Type': 'application/atls+octet-stream' },
    } });
    const other = type => ({ instead: { status: 200, body: 'text',
                                        headers: { 'Content-Type': type } } });

    const status = code => ({ instead: { status: code, body: 'x',
        headers: { Location: `${elsewhere.origin}/atls` } } });

    await Promise.all([
        [ 'Location at another origin', created(`${elsewhere.origin}/atls/1`),
          'location' ],
        [ 'of another scheme', created('javascript:alert(1)'), 'location' ],
        [ 'with credentials', created('//a:b@127.0.0.1/atls/1'), 'location' ],
        [ 'another type', other('text/html'), 'media-type' ],
        [ 'with parameters', other(`text/html${' '.repeat(9999)}x`),
          'media-type' ],
        [ 'status 403', status(403), 'outer-status' ],
        [ 'status 413', status(413), 'outer-status' ],
        [ 'status 302', status(302), 'network' ],
        [ 'status 307', status(307), 'network' ],
        [ 'an alert', { instead: { status: 200, body: record('A', 'no'),
            headers: { 'Content-Type': 'application/atls+octet-stream' } } },
          'tls' ],
        [ 'no URI', { instead: { status: 200, body: record('H', 'flight'),
            headers: { 'Content-Type': 'application/atls+octet-stream' } } },
          'location' ],
        [ 'a false problem', { instead: { status: 400, body: 'null',
            headers: { 'Content-Type': 'application/problem+json' } } },
          'outer-status' ],
        [ 'an endless problem', response => {
            response.writeHead(400,
                               { 'Content-Type': 'application/problem+json' });
            (function more() {
                if (!response.destroyed) {
                    response.write('x'.repeat(1000), () => setTimeout(more));
                }
            })();
        }, 'outer-status' ],
    ].map(async ([ name, fault, code ]) => {
        const { f, end } = await pair(() => fault);

        is(name, await failure(f('/')), code);
        await end();
    }));

    is('nothing is sent elsewhere', elsewhere.posts.length, 0);
    elsewhere.stop();

    // what is no record is an error, and an alert is sent

    const bad = await pair(nth(2, { instead: {
        status: 200, body: 'a\0\0',
        headers: { 'Content-Type': 'application/atls+octet-stream' } } }));

    bad.server.flight = 'flight';
    is('no record', await failure(bad.f('/')), 'tls');

    const untrusted = await pair();

    untrusted.server.flight = 'untrusted';
    is('untrusted', await failure(untrusted.f('/')), 'certificate');

    await until(() => bad.server.alerts.length
                      && untrusted.server.alerts.length);
    is('alerts', `${bad.server.alerts} ${untrusted.server.alerts}`,
       'bad record unknown ca');
    is('sessions are freed', await text(bad.f, '/live'), '1');
    await bad.end();
    await untrusted.end();

    // of the service, which is authentic

    const { f, end } = await pair();

    is('a header', (await f('/header/%C3%A4')).headers.get('X-A'), '\u00e4');
    is('a status', await failure(f('/status/999')), 'http');
    await end();
}


await Promise.all([ requests(), dropped(), arguments_(), redirects(),
                    aborted(), closed(), repeated(), sessionLost(), forged() ]);

console.log(JSON.stringify(results));
