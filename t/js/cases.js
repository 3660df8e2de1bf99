// What the JavaScript client does, in a browser or in Node.js.  run() returns
// [ { name, got, expected } ]; t/client-js.t compares.

export async function run(atls, { via, other, short, verified, host, ca, wrong,
                                  identity, plain, large, sum, browser }) {
    const results = [];

    const is = (name, got, expected) => {
        results.push({ name, got, expected });
    };

    const fails = async (name, promise, code) => {
        let got;

        try {
            await promise;
            got = 'no error';
        } catch (e) {
            got = e.code && typeof e.code === 'string' ? e.code : e.name;
            if (!e.message) {
                got += ' without a message';
            }
        }

        is(name, got, code);
    };

    const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));
    const f = await atls({ via, host, ca });

    // requests

    let r = await f('/info');

    is('status', r.status, 200);
    is('statusText', r.statusText, 'OK');
    is('ok', r.ok, true);
    is('url', r.url, `https://${host}/info`);
    is('a header', r.headers.get('X-Answer'), 'yes');
    is('body', await r.text(), 'GET TLSv1.3 1 .');

    r = await f(`https://${host}/info?a=b`);
    is('the same session', await r.text(), 'GET TLSv1.3 2 .');

    // with a single session, the next request waits for it

    const single = await atls({ via, host, ca, sessions: 1 });

    r = await single('/info', { method: 'HEAD' });
    is('HEAD', `${r.status} ${r.body} ${await r.text()}`, '200 null ');

    r = await single('/info');
    is('and its session is used again', await r.text(), 'GET TLSv1.3 2 .');
    await single.close();

    r = await f('/status?code=404');
    is('status 404', r.status, 404);
    await r.text();

    r = await f('/none', { method: 'DELETE' });
    is('status 204', `${r.status} ${r.body}`, '204 null');

    r = await f('/chunked');
    is('chunked', await r.text(), 'one\ntwo\nthree\n');

    r = await f('/json');
    is('json()', (await r.json()).number, 7);

    // bodies

    const echo = async (body, headers) => {
        const response = await f('/body', { method: 'POST', body, headers });

        return `${response.headers.get('Content-Type')} `
               + await response.text();
    };

    is('a string', await echo('text\u00fc'),
       'text/plain;charset=UTF-8 text\u00fc');
    is('bytes', await echo(new Uint8Array([ 65, 66 ]),
                           { 'Content-Type': 'a/b' }), 'a/b AB');
    is('parameters', await echo(new URLSearchParams({ a: '1' })),
       'application/x-www-form-urlencoded;charset=UTF-8 a=1');
    is('a Blob', await echo(new Blob([ 'blob' ], { type: 'c/d' })), 'c/d blob');
    is('nothing', (await echo('')).trim(), 'text/plain;charset=UTF-8');

    const form = new FormData();

    form.set('field', 'value');
    is('a form', /^multipart\/form-data; .*name="field"\s+value\s/s.test(
                     await echo(form)), true);

    let n = 0;

    is('a stream', await echo(new ReadableStream({
        pull(controller) {
            if (++n > 3) {
                controller.close();
            } else {
                controller.enqueue(new Uint8Array([ 48 + n ]));
            }
        },
    }), { 'Content-Type': 'e/f' }), 'e/f 123');

    const megabytes = new Uint8Array(2_500_000).map((_, i) => i * 7);

    r = await f('/body', { method: 'POST', body: megabytes });

    const back = new Uint8Array(await r.arrayBuffer());

    is('several POSTs', back.length === megabytes.length
                        && back.every((byte, i) => byte === megabytes[i]),
       true);

    // a long response, as it arrives

    r = await f(`/big?size=${large}`);

    let pieces = 0, length = 0, hash = 0;

    for (let reader = r.body.getReader(); ; pieces++) {
        const { done, value } = await reader.read();

        if (done) {
            break;
        }

        length += value.length;

        for (const byte of value) {
            hash = (hash * 31 + byte) >>> 0;
        }
    }

    is('a long response', length, large);
    is('its bytes', hash, sum);
    is('in pieces', pieces > 1, true);

    // several at once

    const texts = await Promise.all(Array.from({ length: 8 }, async (_, i) =>
        (await (await f('/body', { method: 'POST', body: `n${i}` })).text())));

    is('eight at once', texts.join(' '), 'n0 n1 n2 n3 n4 n5 n6 n7');

    // redirects

    r = await f('/location?to=/info');
    is('redirect', `${r.redirected} ${r.url} ${(await r.text()).slice(0, 3)}`,
       `true https://${host}/info GET`);
    r = await f('/location?to=/info', { redirect: 'manual' });
    is('manual', `${r.status} ${r.headers.get('Location')}`, '302 /info');
    await r.text();
    await fails('error', f('/location?to=/info', { redirect: 'error' }),
                'redirect');
    await fails('to another service',
                f('/location?to=https://example.com/'), 'usage');

    // aborted: before the request, without a response, and in its body

    const before = AbortSignal.abort();
    const without = new AbortController();
    const within = new AbortController();

    await fails('abort before', f('/info', { signal: before }), 'AbortError');

    setTimeout(() => without.abort(), 300);
    await fails('abort without a response',
                f('/hang', { signal: without.signal }), 'AbortError');

    r = await f(`/big?size=${large}`, { signal: within.signal });

    const reader = r.body.getReader();

    await reader.read();
    within.abort();
    await fails('abort in the body', (async () => {
        while (!(await reader.read()).done) { /* to the end */ }
    })(), 'AbortError');

    r = await f(`/big?size=${large}`);
    await r.body.cancel();

    r = await f('/info');
    is('after them', /^GET TLSv1\.3 \d+ [r.]$/.test(await r.text()), true);

    // other services

    await fails('another origin', f('https://example.com/'), 'usage');
    await fails('a body of GET', f('/', { body: 'x' }), 'usage');
    await fails('a bad header', f('/', { headers: { 'Content-Length': '3' } }),
                'usage');
    await fails('no host', atls({ via, ca }), 'usage');
    await fails('no certificates', atls({ via, host, ca: 'none' }), 'trust');

    const untrusted = await atls({ via, host, ca: wrong });

    await fails('another CA', untrusted('/info'), 'certificate');
    await untrusted.close();

    const named = await atls({ via, host: 'example.com', ca });

    await fails('another name', named('/info'), 'certificate');
    await named.close();

    // an endpoint that does not allow the page, or gives no URIs

    const refused = await atls({ via: other, host, ca });

    await fails('another endpoint', refused('/info'),
                browser ? 'network' : 'location');
    await refused.close();

    // client certificates

    for (const known of [ identity, { cert: plain } ]) {
        const alice = await atls({ via: verified, host, ca, ...known });

        r = await alice('/who');
        is('a client certificate', `${r.status} ${await r.text()}`,
           '200 SUCCESS CN=alice');
        await alice.close();
    }

    const nobody = await atls({ via: verified, host, ca });

    r = await nobody('/who');
    is('none', r.status, 400);
    await r.text();
    await nobody.close();

    for (const [ name, wrongly ] of [
        [ 'a wrong passphrase', { passphrase: 'other' } ],
        [ 'no passphrase', { passphrase: undefined } ],
        [ 'no key', { key: undefined } ],
        [ 'the key of another certificate', { cert: ca } ],
        [ 'no certificate', { cert: 'none' } ],
    ]) {
        await fails(name, atls({ via: verified, host, ca, ...identity,
                                 ...wrongly }), 'identity');
    }

    // a session that is lost: the next one is resumed

    const brief = await atls({ via: short, host, ca });

    r = await brief('/info');
    is('a short session', /^GET TLSv1\.3 1 /.test(await r.text()), true);
    await sleep(8000);
    r = await brief('/info');
    is('lost, and resumed', await r.text(), 'GET TLSv1.3 1 r');
    await sleep(8000);
    r = await brief('/body', { method: 'POST', body: 'once' });
    is('before a POST', await r.text(), 'once');
    await brief.close();

    await f.close();
    await fails('closed', f('/info'), 'usage');

    return results;
}
