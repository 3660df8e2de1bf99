// atls(): a function like fetch() whose requests are sent over Application-Layer
// TLS.  All of TLS is in a worker, see worker.js.

const REDIRECTS = [ 301, 302, 303, 307, 308 ];
const MAX_REDIRECTS = 20;
const NO_BODY = [ 204, 205, 304 ];
const MAX_DISCARDED = 65536;                    // bytes

const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

// An empty label is invalid: for OpenSSL, ".example.com" is any name below it.

const NAME = /^[a-z\d_-]{1,63}(?:\.[a-z\d_-]{1,63})*$/;
const ADDRESS = /^\[.*\]$/;


// As with fetch(), errors of the network are TypeErrors.  code: see index.d.ts.

export class AtlsError extends TypeError {
    constructor({ code, message, status, problem }) {
        super(message);
        this.name = 'AtlsError';
        this.code = code;
        this.status = status;
        this.problem = problem;
    }
}

const usage = message => new AtlsError({ code: 'usage', message });

const CLOSED = 'the client was closed';


// A module of Node.js, and of what is compatible with it.  Bundlers for pages
// must not look for it.

const builtin = name => import(/* webpackIgnore: true */ /* @vite-ignore */
                               `node:${name}`);


function parse(url, base) {
    try {
        return new URL(url, base);
    } catch {
        return null;
    }
}


export async function atls({ via, host, ca, cert, key, passphrase,
                             sessions = 4, postSize = 524288 } = {}) {

    const service = parse(/^https:\/\//i.test(host) ? host
                                                    : `https://${host}`);
    const endpoint = parse(via, globalThis.location?.href);

    const name = service?.hostname.replace(/\.$/, '');

    if (!host || service === null || service.pathname !== '/' || service.search
        || service.hash || service.username || service.password
        || !(NAME.test(name) || ADDRESS.test(name)))
    {
        throw usage(`invalid host "${host}"`);
    }

    if (!/^https?:$/.test(endpoint?.protocol) || endpoint.hash
        || endpoint.username || endpoint.password)
    {
        throw usage(`invalid endpoint "${via}"`);
    }

    if (!(sessions >= 1) || !(postSize >= 1)) {
        throw usage('"sessions" and "postSize" must be positive numbers');
    }

    if (cert === undefined && (key !== undefined || passphrase !== undefined)) {
        throw usage('"cert" is missing');
    }

    ca ??= await certificates();

    if (ca === undefined) {
        throw usage('"ca" is missing: a page has no access to the CA '
                    + 'certificates of its browser');
    }

    const client = new Client(await start({
        via: endpoint.href,
        host: name.replace(/^\[|\]$/g, ''),
        authority: service.host,
        ca: [].concat(ca).join('\n'),
        identity: cert === undefined ? undefined
                  : { cert: `${cert}`, key: `${key ?? cert}`,
                      passphrase: `${passphrase ?? ''}` },
        sessions: Math.floor(sessions),
        postSize: Math.max(1024, postSize),
    }), service.origin);

    await client.started;

    const f = (input, init) => client.fetch(input, init);

    f.close = () => client.close();

    return f;
}


// Those of Node.js; pages have no access to the ones of the browser.

async function certificates() {
    if (typeof process === 'object' && process.versions?.node
        && typeof window === 'undefined')
    {
        return (await builtin('tls')).rootCertificates;
    }
}


async function start(options) {
    let worker;

    if (typeof Worker === 'function') {

        try {
            // in one expression, so that bundlers recognize it

            worker = new Worker(new URL('./worker.js', import.meta.url),
                                { type: 'module', name: 'atls' });

        } catch (e) {
            throw new AtlsError({ code: 'internal', message: e.message });
        }

    } else if (typeof process === 'object' && process.versions?.node) {
        const threads = await builtin('worker_threads');

        worker = new threads.Worker(new URL('./worker.js', import.meta.url));
        worker.on('message', message => worker.onmessage({ data: message }));
        worker.on('error', e => worker.onerror(e));

    } else {
        throw usage('there are no workers here');
    }

    worker.postMessage({ type: 'start', options });

    return worker;
}


class Client {

    #worker;
    #origin;
    #requests = new Map();
    #last = 0;
    #closing;
    #closed;
    #failed;                                    // the error of all requests
    #started;

    constructor(worker, origin) {
        this.#worker = worker;
        this.#origin = origin;

        this.started = new Promise((resolve, reject) => {
            this.#started = { resolve, reject };
        });

        worker.onmessage = ({ data }) => this.#receive(data);

        worker.onerror = e => {
            e.preventDefault?.();               // Deno would exit
            this.#fail({ code: 'internal',
                         message: e.message || 'the worker has failed' });
        };
    }

    #receive(message) {
        switch (message.type) {

        case 'started':
            this.#worker.unref?.();
            this.#started.resolve();
            return;

        case 'failed':
            this.#fail(message.error);
            return;

        case 'closed':
            this.#fail({ code: 'usage', message: CLOSED });
            return;
        }

        this.#requests.get(message.id)?.[message.type](message);
    }

    #fail(error) {
        this.#failed ??= error;
        this.#started.reject(new AtlsError(error));

        for (const request of this.#requests.values()) {
            request.error({ error });
        }

        this.#worker.terminate();
        this.#closed?.();
    }

    // Sends close_notify in all sessions, and ends the worker.

    close() {
        this.#closing ??= new Promise(resolve => {
            if (this.#failed) {
                resolve();
                return;
            }

            this.#closed = resolve;
            this.#worker.ref?.();
            this.#worker.postMessage({ type: 'close' });
        });

        return this.#closing;
    }

    async fetch(input, init) {
        let request = await this.#request(input, init ?? {});

        for (let n = 0; ; n++) {
            const response = await this.#send(request);
            const location = response.headers.get('Location');

            if (!REDIRECTS.includes(response.status) || location === null
                || request.redirect === 'manual')
            {
                return describe(response, request.url, n > 0);
            }

            if (request.redirect === 'error' || n === MAX_REDIRECTS) {
                response.body?.cancel().catch(() => { });
                throw new AtlsError({ code: 'redirect', status: response.status,
                                      message: `redirected to ${location}` });
            }

            await discard(response);
            request = this.#redirected(request, response.status, location);
        }
    }

    async #request(input, init) {
        const given = typeof input?.url === 'string' ? input : null;
        const url = this.#url(given ? given.url : input);
        const signal = init.signal === undefined ? given?.signal : init.signal;

        signal?.throwIfAborted();

        const method = init.method ?? given?.method ?? 'GET';
        const request = {
            url,
            method: /^(?:delete|get|head|options|post|put)$/i.test(method)
                    ? method.toUpperCase() : method,
            headers: new Headers(init.headers ?? given?.headers),
            redirect: init.redirect ?? given?.redirect ?? 'follow',
            signal,
        };

        if (!TOKEN.test(method)) {
            throw usage(`invalid method "${method}"`);
        }

        const body = init.body
                     ?? await unlessAborted(signal, bodyOf(given));

        if (body !== null && /^(?:GET|HEAD)$/.test(request.method)) {
            throw usage(`a ${request.method} request has no body`);
        }

        return Object.assign(request, await unlessAborted(signal,
                                          content(body, request.headers)));
    }

    #url(input, base = this.#origin + '/') {
        const url = parse(input, base);

        if (url === null || url.username || url.password) {
            throw usage(`invalid URL "${input}"`);
        }

        if (url.origin !== this.#origin) {
            throw usage(`"${url.origin}" is not the service, which is `
                        + `"${this.#origin}"`);
        }

        return url;
    }

    // As in the Fetch Standard, section 4.4.

    #redirected(request, status, location) {
        const url = this.#url(location, request.url);
        const to = { ...request, url };

        if (request.stream && status !== 303) {
            throw new AtlsError({ code: 'redirect', status,
                message: 'a streamed body cannot be sent again' });
        }

        if (status === 303 ? request.method !== 'HEAD'
            : status < 303 && request.method === 'POST')
        {
            to.method = 'GET';
            to.bytes = to.blob = to.stream = undefined;
            to.length = undefined;
            to.headers = new Headers(request.headers);

            for (const name of [ 'Content-Encoding', 'Content-Language',
                                 'Content-Location', 'Content-Type' ])
            {
                to.headers.delete(name);
            }
        }

        return to;
    }

    #send(request) {
        const id = ++this.#last;

        if (this.#failed) {
            throw new AtlsError(this.#failed);
        }

        if (this.#closing) {
            throw usage(CLOSED);
        }

        request.signal?.throwIfAborted();       // since the last check

        return new Promise((resolve, reject) => {
            const exchange = new Exchange(id, request, this.#worker, {
                resolve, reject, done: () => {
                    this.#requests.delete(id);

                    // close() waits for the worker

                    if (this.#requests.size === 0 && !this.#closing) {
                        this.#worker.unref?.();
                    }
                } });

            this.#worker.ref?.();
            this.#requests.set(id, exchange);
            exchange.start();
        });
    }
}


// A request and its response.  Its methods have the names of messages.

class Exchange {

    #id;
    #request;
    #worker;
    #promise;
    #reader;                                    // of the request
    #controller;                                // of the response
    #pieces = [];                               // of it, not read yet
    #wanted;
    #empty = false;                             // it has no body
    #ended = false;                             // no more messages
    #closed = false;                            // nor anything to read

    constructor(id, request, worker, promise) {
        this.#id = id;
        this.#request = request;
        this.#worker = worker;
        this.#promise = promise;
        this.#reader = (request.blob?.stream() ?? request.stream)?.getReader();
    }

    start() {
        const { method, url, headers, length, bytes, signal } = this.#request;

        this.aborted = () => this.#abort(signal.reason);
        signal?.addEventListener('abort', this.aborted, { once: true });

        this.#post({ type: 'request', request: {
            method,
            path: url.pathname + url.search,
            fields: [ ...headers ],
            length,
            body: this.#reader ? 'stream' : bytes,
        } });
    }

    #post(message, transfer = []) {
        this.#worker.postMessage({ ...message, id: this.#id }, transfer);
    }

    #abort(reason) {
        if (!this.#ended) {
            this.#post({ type: 'abort' });
        }

        this.#finish({ reason });               // of any type
    }

    #finish(failure) {
        if (!this.#ended) {
            this.#ended = true;
            this.#promise.done();

            // the response may precede the end of the request

            this.#reader?.cancel(failure?.reason).catch(() => { });
        }

        if (failure && !this.#closed) {
            this.#promise.reject(failure.reason);
            this.#pieces = [];
            this.#controller?.error(failure.reason);
            this.#close();

        } else if (!failure && this.#pieces.length === 0) {
            this.#controller?.close();
            this.#close();
        }

        this.#wanted?.();
    }

    #close() {
        this.#closed = true;
        this.#request.signal?.removeEventListener('abort', this.aborted);
    }

    header({ header }) {
        const { status, statusText, headers } = header;

        this.#empty = NO_BODY.includes(status)
                      || this.#request.method === 'HEAD';

        const body = this.#empty ? null : new ReadableStream({
            start: controller => { this.#controller = controller; },
            pull: () => this.#pull(),
            cancel: reason => {
                this.#controller = null;        // is closed

                if (this.#ended) {
                    this.#close();
                } else {
                    this.#abort(reason ?? new DOMException('cancelled',
                                                           'AbortError'));
                }
            },
        }, { highWaterMark: 0 });

        try {
            const fields = new Headers();

            for (const [ name, value ] of headers) {
                fields.append(name, value);
            }

            this.#promise.resolve(new Response(body, { status, statusText,
                                                       headers: fields }));
        } catch (e) {
            this.#abort(new AtlsError({ code: 'http', message: e.message }));
        }
    }

    piece({ bytes }) {
        if (this.#empty) {                      // a 205 can have a body
            this.#post({ type: 'read', n: bytes.length });

        } else {
            this.#pieces.push(bytes);
            this.#wanted?.();
        }
    }

    async #pull() {
        while (this.#pieces.length === 0) {
            if (this.#ended) {
                return;                         // closed, or an error
            }

            await new Promise(resolve => { this.#wanted = resolve; });
        }

        const bytes = this.#pieces.shift();

        this.#controller.enqueue(bytes);

        if (!this.#ended) {
            this.#post({ type: 'read', n: bytes.length });

        } else if (this.#pieces.length === 0) {
            this.#controller.close();
            this.#close();
        }
    }

    async want() {
        try {
            const { done, value } = await this.#reader.read();

            if (!done && !(value instanceof Uint8Array)) {
                throw usage('a body must be a stream of Uint8Array');
            }

            // a copy: a message would contain the whole buffer of a view

            const bytes = done ? null : new Uint8Array(value);

            this.#post({ type: 'body', bytes }, done ? [] : [ bytes.buffer ]);

        } catch (e) {
            this.#abort(e);
        }
    }

    end() {
        this.#finish();
    }

    error({ error }) {
        this.#finish({ reason: new AtlsError(error) });
    }
}


// The body of a Request.  It is read as a whole, so that it has a length and can
// be sent again: what it was made of is not known, and not all browsers have it
// as a stream.

async function bodyOf(given) {
    if (given?.bodyUsed) {
        throw usage('the body of the request was used already');
    }

    if (!given || given.body === null) {
        return null;
    }

    const bytes = await given.arrayBuffer();

    return bytes.byteLength || given.body ? bytes : null;
}


// As the promise, or rejects when the signal is aborted.

function unlessAborted(signal, promise) {
    return new Promise((resolve, reject) => {
        const aborted = () => reject(signal.reason);

        signal?.addEventListener('abort', aborted);
        promise.then(resolve, reject).finally(() => {
            signal?.removeEventListener('abort', aborted);
        });
    });
}


// The body of a request: { bytes, length }, { blob, length } or
// { stream, length }.

async function content(body, headers) {
    if (body === null) {
        return {};
    }

    if (body instanceof ReadableStream) {
        if (body.locked) {
            throw usage('the stream of the body is locked');
        }

        return { stream: body, length: -1 };
    }

    const response = new Response(body);
    const type = response.headers.get('Content-Type');

    if (type !== null && !headers.has('Content-Type')) {
        headers.set('Content-Type', type);
    }

    if (body instanceof Blob) {
        return { blob: body, length: body.size };
    }

    const bytes = new Uint8Array(await response.arrayBuffer());

    return { bytes, length: bytes.length };
}


// Reads the rest of a response, unless it is long: then its session ends.

async function discard({ body }) {
    const reader = body?.getReader();

    for (let n = 0; reader; ) {
        const { done, value } = await reader.read();

        if (done) {
            return;
        }

        n += value.length;

        if (n > MAX_DISCARDED) {
            reader.cancel().catch(() => { });
            return;
        }
    }
}


function describe(response, url, redirected) {
    return Object.defineProperties(response, {
        url: { value: url.href.replace(/#.*/, '') },
        redirected: { value: redirected },
    });
}
