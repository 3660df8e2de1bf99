// For programs that test the client with stub/module.js: a client, and its
// endpoint.  The first argument is the package; results are printed by run().

import { endpoint } from './endpoint.mjs';
import { pathToFileURL } from 'node:url';

export const { AtlsError, atls } = await import(
                                pathToFileURL(`${process.argv[2]}/index.js`));
const results = [];

export const is = (name, got, expected) => {
    results.push({ name, got, expected });
};

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

export async function until(condition) {
    for (let i = 0; i < 600 && !condition(); i++) {
        await sleep(50);
    }
}

export const failure = promise => promise.then(
    () => 'no error',
    e => e instanceof AtlsError ? e.code : e?.name ?? e);

process.on('unhandledRejection', e => is('unhandled', `${e?.stack}`, ''));


// A client and its endpoint.

export async function pair(fault, options = {}) {
    const server = await endpoint();

    server.fault = fault;

    const f = await atls({ via: server.via, host: 'localhost', ca: 'any',
                           ...options });

    return { server, f, end: async () => { await f.close(); server.stop(); } };
}

export const text = async (f, ...args) => (await f(...args)).text();


// A stream; each piece is a view of a large buffer.

export function stream(...pieces) {
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

export function nth(n, fault) {
    let i = 0;

    return () => ++i === n ? fault : null;
}

export function from(n, fault) {
    let i = 0;

    return () => ++i >= n ? fault : null;
}


// Runs functions at once.

export async function run(...functions) {
    await Promise.all(functions.map(f => f()));

    console.log(JSON.stringify(results));
}
