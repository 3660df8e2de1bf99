// What the JavaScript client does as fetch(), without its WebAssembly:
// fetch.mjs PACKAGE, where module.js is stub/module.js.

import { atls, failure, is, pair, run, sleep, stream, text, until }
    from './pair.mjs';


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
    is('with its length', /^content-length: 7$/mi.test(
        await text(f, new Request('https://localhost/fields', {
            method: 'POST', body: 'request' }))), true);
    is('without its signal', await text(f, new Request('https://localhost/a', {
        signal: AbortSignal.abort() }), { signal: null }), 'GET /a 1');
    is('another object', await text(f, { toString: () => '/a' }, null),
       'GET /a 1');
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
        'any subdomain': { host: '.example.com' }, 'a star': { host: '*.a' },
        'no label': { host: 'a..b' }, 'no cert': { key: 'key' },
        'nor key': { passphrase: 'secret' },
        'no via': { via: undefined }, 'a relative one': { via: '/atls' },
        'another scheme': { via: 'ftp://localhost/' },
        'sessions': { sessions: 0 }, 'NaN': { sessions: NaN },
        'postSize': { postSize: 'x' },
    })) {
        is(name, await make(options), 'usage');
    }

    is('no certificates', await make({ ca: 'none' }), 'trust');
    is('a bad key', await make({ cert: 'cert', key: 'bad' }), 'identity');

    for (const cert of [ { cert: 'cert', key: 'key' }, { cert: 'key' } ]) {
        const named = await pair(undefined, cert);

        await named.end();
    }

    globalThis.Worker = class {
        constructor() { throw new DOMException('refused', 'SecurityError'); }
    };

    const refused = make();

    delete globalThis.Worker;
    is('no worker', await refused, 'internal');

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
        [ 'a bad method', '/', { method: 'GE\0T' } ],
        [ 'a length', '/', { headers: { 'Content-Length': '1' } } ],
        [ 'a used Request', used ],
        [ 'a locked stream', '/', { method: 'POST', body: locked } ],
        [ 'a stream of text', '/', { method: 'POST', body: new ReadableStream({
            start(controller) { controller.enqueue('text'); } }) } ],
    ]) {
        is(name, await failure(f(...args)), 'usage');
    }

    await end();

    const refusing = await pair();

    await failure(refusing.f('/', { headers: { 'Content-Length': '1' } }));
    is('what is refused costs no session', await text(refusing.f, '/a'),
       'GET /a 1');
    await refusing.end();
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
    r = await f(new Request(`https://localhost${to(307, '/body')}`,
                            { method: 'POST', body: 'x' }));
    is('so is the body of a Request', await r.text(), 'x');
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

    const endless = new AbortController();
    const unread = failure(f(new Request('https://localhost/', {
        method: 'POST', body: new ReadableStream(), duplex: 'half',
        signal: endless.signal })));

    await sleep(50);
    endless.abort();
    is('while that of a Request is', await unread, 'AbortError');

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


// The server has a part of a request.

async function parts() {
    const { server, f, end } = await pair(undefined, { postSize: 1024 });
    const controller = new AbortController();
    let reads = 0;

    const body = new ReadableStream({
        pull(to) {
            if (++reads > 1) {
                return new Promise(() => { });
            }

            to.enqueue(new Uint8Array(2000));
        },
    }, { highWaterMark: 0 });

    const upload = failure(f('/body', { method: 'POST', body,
                                        signal: controller.signal }));

    await until(() => reads > 1);
    is('a session', server.sessions.size, 1);
    controller.abort();
    is('between two POSTs', await upload, 'AbortError');
    await until(() => server.sessions.size === 0);
    is('the server is told', server.sessions.size, 0);

    // a response before the end of the request; equal POSTs would be repetitions,
    // since nothing is encrypted

    const long = { method: 'POST', body: [ ...Array(10000).keys() ].join() };

    is('an early response', await text(f, '/early/200', long), 'early');
    is('the rest is sent', Object.entries(server.counts).filter(
        ([ name ]) => name.startsWith('POST /early/200 0')).length, 1);
    is('the session continues', await text(f, '/a'), 'GET /a 2');

    const r = await f('/early/413', long);

    is('an early error', `${r.status} ${await r.text()}`, '413 early');
    await until(() => server.sessions.size === 0);
    is('ends it', server.sessions.size, 0);
    is('the rest is not sent', Object.keys(server.counts).some(
        name => name.includes('/early/413')), false);

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

    const trap = await pair();

    is('a trap', await failure(trap.f('/trap')), 'internal');
    is('ends the worker', await failure(trap.f('/')), 'internal');
    await trap.end();
}


await run(requests, dropped, arguments_, redirects, aborted, parts, closed);
