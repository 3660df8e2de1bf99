// What others on the path can do to the JavaScript client, without its
// WebAssembly: path.mjs PACKAGE, where module.js is stub/module.js.

import { endpoint, problem, record } from './endpoint.mjs';
import { failure, from, is, nth, pair, run, sleep, stream, text, until }
    from './pair.mjs';

const lost = { instead: problem(410, 'session-unknown') };


// Each request is executed once, whatever is lost.

async function repeated() {
    for (const fault of [ 'request', 'response', 'half', 'short',
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

    // a middlebox responds to the second one

    for (const instead of [ { status: 403, body: 'x' },
                            { status: 200, body: 'x', headers:
                                { 'Content-Type': 'text/html' } } ])
    {
        const faults = [ null, 'response', { instead } ];
        const path = await pair(() => faults.shift());

        is(`a middlebox: ${instead.status}`,
           await text(path.f, '/body', { method: 'POST', body: 'a' }), 'a');
        is('once', JSON.stringify(path.server.counts), '{"POST /body a":1}');
        await path.end();
    }

    // a response that is not kept

    const post = await pair(nth(2, 'response'));

    is('a long response to POST',
       await failure(post.f('/big/9999', { method: 'POST' })), 'network');
    is('once', JSON.stringify(post.server.counts), '{"POST /big/9999":1}');
    await post.end();

    const short = await pair(nth(2, 'short'));

    is('a long one that is cut',
       await failure(text(short.f, '/big/9999', { method: 'POST' })),
       'truncated');
    await short.end();

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

    await Promise.all([ [ 'POST', 'x' ], [ 'PUT', stream('x') ] ].map(
        async ([ method, body ]) => {
            const { server, f, end } = await pair();

            await text(f, '/a');
            server.sessions.clear();
            await sleep(2100);
            is(`idle before ${method}`, await text(f, '/body',
                                                   { method, body }), 'x');
            is('once', server.counts[`${method} /body x`], 1);
            await end();
        }));

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


await run(repeated, sessionLost, forged);
