// The worker of a client: all secrets of its sessions are here, and not in the
// page.  Messages are exchanged with index.js.

import { LibraryError, load } from './module.js';
import { PathError, Session } from './session.js';

const WINDOW = 1 << 18;                         // bytes sent and not yet read
const CLOSE_TIMEOUT = 5000;
const IDEMPOTENT = [ 'GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE' ];

// See index.js.

const builtin = name => import(/* webpackIgnore: true */ /* @vite-ignore */
                               `node:${name}`);

const port = typeof postMessage === 'function'
             ? globalThis : (await builtin('worker_threads')).parentPort;

const send = (message, transfer = []) => port.postMessage(message, transfer);

let options, service;
let open = 0;                                   // sessions in use

const idle = [];
const waiting = [];                             // requests for a session
const requests = new Map();


const handlers = {
    async start(message) {
        const { host, authority, ca, identity, ...others } = message.options;

        options = others;

        try {
            const library = await load(await read());

            service = library.service(host, authority, ca, identity);
            send({ type: 'started' });

        } catch (e) {
            send({ type: 'failed', error: serialize(e) });
        }
    },

    async request({ id, request }) {
        const state = new Request(id, request);

        requests.set(id, state);

        try {
            await state.run();
            send({ type: 'end', id });

        } catch (e) {

            // after a trap, nothing is known about the memory

            send({ type: e instanceof WebAssembly.RuntimeError ? 'failed'
                                                               : 'error',
                   id, error: serialize(e) });
        }

        requests.delete(id);
    },

    // the page has read so many bytes of a response

    read({ id, n }) {
        requests.get(id)?.credit(n);
    },

    // a piece of a request; null at its end

    body({ id, bytes }) {
        requests.get(id)?.push(bytes);
    },

    abort({ id }) {
        requests.get(id)?.controller.abort();
    },

    async close() {
        const signal = AbortSignal.timeout(CLOSE_TIMEOUT);

        for (const { controller } of requests.values()) {
            controller.abort(new PathError('usage', 'the client was closed'));
        }

        await Promise.allSettled(idle.splice(0).map(async session => {
            await session.close(signal);
            session.free();
        }));

        send({ type: 'closed' });
    },
};


port.onmessage = ({ data }) => handlers[data.type](data);


async function read() {
    const url = new URL('./atls.wasm', import.meta.url);

    if (url.protocol === 'file:' && typeof process === 'object') {
        return (await builtin('fs/promises')).readFile(url);
    }

    const response = await fetch(url);

    if (!response.ok) {
        throw new PathError('usage', `${url}: ${response.status}`);
    }

    return response.arrayBuffer();
}


function serialize(e) {
    const names = { 1: 'usage', 2: 'memory', 5: 'trust', 6: 'identity',
                    31: 'certificate', 32: 'http' };
    const code = e instanceof LibraryError ? names[e.code] ?? 'tls'
                 : e instanceof PathError ? e.code
                 : e instanceof RangeError ? 'memory' : 'internal';

    return { code, message: e.message, status: e.status, problem: e.problem };
}


// Resolves when the function given to start() is called, and rejects when the
// signal is aborted.  clean() is called then.

function until(signal, start, clean = () => { }) {
    signal.throwIfAborted();

    return new Promise((resolve, reject) => {
        const aborted = () => {
            clean(done);
            reject(signal.reason);
        };

        const done = () => {
            signal.removeEventListener('abort', aborted);
            resolve();
        };

        signal.addEventListener('abort', aborted, { once: true });
        start(done);
    });
}


class Request {
    constructor(id, request) {
        this.id = id;
        this.request = request;
        this.controller = new AbortController();
        this.unread = 0;
        this.pieces = [];
        this.streamed = request.body === 'stream';
        this.sent = false;
        this.delivered = false;
    }

    get signal() {
        return this.controller.signal;
    }

    // If the session is lost, the request is repeated once in another one, if
    // nothing of it was sent, or if it is idempotent and there is nothing of a
    // response.

    async run() {
        const repeatable = IDEMPOTENT.includes(this.request.method)
                           && !this.streamed;

        for (let again = true; ; again = false) {
            const session = await this.acquire(repeatable);

            try {
                const reusable = await session.perform(
                    { ...this.request, body: this.body() },
                    { header: header => this.header(header),
                      piece: bytes => this.piece(bytes),
                      sending: () => { this.sent = true; },
                      signal: this.signal });

                release(reusable ? session : null, session);
                return;

            } catch (e) {
                const lost = e.lost || e.code === 'session-lost'
                             || (e.code === 'truncated' && !session.idle);

                // a request that is refused by libatls was not written

                release(e instanceof LibraryError && e.code === 1 ? session
                                                                  : null,
                        session);

                // others are probably lost, too: the server was restarted

                if (lost) {
                    idle.splice(0).forEach(other => other.free());
                }

                if (!lost || !again || this.delivered
                    || (this.sent && !repeatable))
                {
                    throw e;
                }
            }
        }
    }

    // A session that is not in use, or a new one.

    async acquire(repeatable) {
        while (open === options.sessions && idle.length === 0) {
            await until(this.signal, done => waiting.push(done),
                        done => waiting.splice(waiting.indexOf(done), 1));
        }

        this.signal.throwIfAborted();
        open++;

        let session = idle.pop();

        try {
            while (session) {
                if (session.idle
                    && (repeatable || await session.exists(this.signal)))
                {
                    return session;
                }

                session.free();
                session = idle.pop();
            }

            session = new Session(service, options);
            await session.open(this.signal);

            return session;

        } catch (e) {
            release(null, session);
            throw e;
        }
    }

    header(header) {
        this.delivered = true;
        send({ type: 'header', id: this.id, header });
    }

    // Waits until the page reads.

    async piece(bytes) {
        this.unread += bytes.length;
        send({ type: 'piece', id: this.id, bytes }, [ bytes.buffer ]);

        while (this.unread > WINDOW) {
            await until(this.signal, done => { this.resume = done; });
        }
    }

    credit(n) {
        this.unread -= n;
        this.resume?.();
    }

    body() {
        return this.streamed ? this.#stream()
               : this.request.body ? [ this.request.body ] : undefined;
    }

    async *#stream() {
        for (;;) {
            send({ type: 'want', id: this.id });
            await until(this.signal, done => { this.more = done; });

            const bytes = this.pieces.shift();

            if (bytes === null) {
                return;
            }

            yield bytes;
        }
    }

    push(bytes) {
        this.pieces.push(bytes);
        this.more?.();
    }
}


function release(reusable, session) {
    open--;

    if (reusable) {
        idle.push(reusable);
    } else {
        session?.free();
    }

    waiting.shift()?.();
}
