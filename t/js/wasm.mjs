// The WebAssembly module, loaded without the worker, in Node.js:
// wasm.mjs PACKAGE OPTIONS.json

import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

const url = name => pathToFileURL(`${process.argv[2]}/${name}`);
const options = JSON.parse(await readFile(process.argv[3], 'utf8'));
const results = [];

const is = (name, got, expected) => { results.push({ name, got, expected }); };

const { load } = await import(url('module.js'));
const { Session } = await import(url('session.js'));


// The memory of sessions is freed: after requests, after a ClientHello, and in
// the middle of a response.

{
    const { library, service: create }
        = await load(await readFile(url('atls.wasm')));
    const service = create('localhost', 'localhost', options.ca);
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
            const module = await load(wasm);
            const service = module.service('localhost', 'localhost',
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
