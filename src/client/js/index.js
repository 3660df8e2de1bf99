// atls(): a function like fetch() whose requests are sent over Application-Layer
// TLS.  All of TLS is in a worker, see worker.js.

const REDIRECTS = [ 301, 302, 303, 307, 308 ];
const MAX_REDIRECTS = 20;
const NO_BODY = [ 204, 205, 304 ];

const node = typeof process === 'object' && process.versions?.node
             && typeof window === 'undefined'
             && typeof WorkerGlobalScope === 'undefined';


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


export async function atls({ via, host, ca, sessions = 4,
                             postSize = 524288 } = {}) {

    const service = new URL(/^https:\/\//i.test(host) ? host
                                                      : `https://${host}`);
    const endpoint = new URL(via, globalThis.location?.href);

    if (!host || service.pathname !== '/' || service.search || service.hash
        || service.username || service.password)
    {
        throw usage(`invalid host "${host}"`);
    }

    if (!/^https?:$/.test(endpoint.protocol) || endpoint.hash
        || endpoint.username || endpoint.password)
    {
        throw usage(`invalid endpoint "${via}"`);
    }

    if (ca === undefined && node) {
        ca = (await import('node:tls')).rootCertificates;
    }

    if (ca === undefined) {
        throw usage('"ca" is missing: a page has no access to the CA '
                    + 'certificates of its browser');
    }

    const client = new Client(await start({
        via: endpoint.href,
        host: service.hostname.replace(/^\[|\]$|\.$/g, ''),
        authority: service.host,
        ca: [].concat(ca).join('\n'),
        sessions: Math.max(1, sessions),
        postSize: Math.max(1024, postSize),
    }), service.origin);

    await client.started;

    const f = (input, init) => client.fetch(input, init);

    f.close = () => client.close();

    return f;
}


async function start(options) {
    const url = new URL('./worker.js', import.meta.url);
    let worker;

    if (node) {
        const { Worker } = await import('node:worker_threads');

        worker = new Worker(url);
        worker.on('message', message => worker.onmessage({ data: message }));
        worker.on('error', e => worker.onerror(e));

    } else {
        worker = new Worker(url, { type: 'module', name: 'atls' });
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
    #started;

    constructor(worker, origin) {
        this.#worker = worker;
        this.#origin = origin;

        this.started = new Promise((resolve, reject) => {
            this.#started = { resolve, reject };
        });

        worker.onmessage = ({ data }) => this.#receive(data);
        worker.onerror = e => this.#fail(e.message ?? 'the worker has failed');
    }

    #receive(message) {
        switch (message.type) {

        case 'started':
            this.#worker.unref?.();
            this.#started.resolve();
            return;

        case 'failed':
            this.#worker.terminate();
            this.#started.reject(new AtlsError(message.error));
            return;

        case 'closed':
            this.#fail('the client was closed');
            this.#closed();
            return;
        }

        this.#requests.get(message.id)?.[message.type](message);
    }

    #fail(message) {
        const error = { code: 'internal', message };

        this.#started.reject(new AtlsError(error));

        for (const request of this.#requests.values()) {
            request.error({ error });
        }

        this.#worker.terminate();
    }

    // Sends close_notify in all sessions, and ends the worker.

    close() {
        this.#closing ??= new Promise(resolve => {
            this.#closed = resolve;
            this.#worker.ref?.();
            this.#worker.postMessage({ type: 'close' });
        });

        return this.#closing;
    }

    async fetch(input, init = {}) {
        let request = await this.#request(input, init);

        for (let n = 0; ; n++) {
            const response = await this.#send(request);
            const location = response.headers.get('Location');

            if (!REDIRECTS.includes(response.status) || location === null
                || request.redirect === 'manual')
            {
                return describe(response, request.url, n > 0);
            }

            if (request.redirect === 'error' || n === MAX_REDIRECTS) {
                response.body?.cancel();
                throw new AtlsError({ code: 'redirect', status: response.status,
                                      message: `redirected to ${location}` });
            }

            await response.arrayBuffer();
            request = this.#redirected(request, response.status, location);
        }
    }

    async #request(input, init) {
        const given = typeof input === 'object' && !(input instanceof URL)
                      ? input : null;
        const url = this.#url(given ? given.url : input);
        const signal = init.signal ?? given?.signal;

        signal?.throwIfAborted();

        const method = init.method ?? given?.method ?? 'GET';
        const body = init.body ?? given?.body ?? null;
        const request = {
            url,
            method: /^(?:delete|get|head|options|post|put)$/i.test(method)
                    ? method.toUpperCase() : method,
            headers: new Headers(init.headers ?? given?.headers),
            redirect: init.redirect ?? given?.redirect ?? 'follow',
            signal,
        };

        if (body !== null && /^(?:GET|HEAD)$/.test(request.method)) {
            throw usage(`a ${request.method} request has no body`);
        }

        return Object.assign(request, await content(body, request.headers));
    }

    #url(input) {
        const url = new URL(input, this.#origin + '/');

        if (url.origin !== this.#origin) {
            throw usage(`"${url.origin}" is not the service, which is `
                        + `"${this.#origin}"`);
        }

        return url;
    }

    // As in the Fetch Standard, section 4.4.

    #redirected(request, status, location) {
        const url = this.#url(new URL(location, request.url));
        const to = { ...request, url };

        if (request.stream && status !== 303) {
            throw new AtlsError({ code: 'redirect', status,
                message: 'a streamed body cannot be sent again' });
        }

        if (status === 303 ? request.method !== 'HEAD'
            : status < 303 && request.method === 'POST')
        {
            to.method = 'GET';
            to.bytes = to.stream = undefined;
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

        if (this.#closing) {
            throw usage('the client was closed');
        }

        return new Promise((resolve, reject) => {
            const exchange = new Exchange(id, request, this.#worker, {
                resolve, reject, done: () => {
                    this.#requests.delete(id);
                    if (this.#requests.size === 0) {
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
    #reader;
    #controller;                                // of the body
    #pieces = [];
    #wanted;
    #ended = false;
    #error;

    constructor(id, request, worker, promise) {
        this.#id = id;
        this.#request = request;
        this.#worker = worker;
        this.#promise = promise;
        this.#reader = request.stream?.getReader();
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
        this.#post({ type: 'abort' });
        this.#finish(reason);
    }

    #finish(error) {
        if (this.#ended) {
            return;
        }

        this.#ended = true;
        this.#error = error;
        this.#request.signal?.removeEventListener('abort', this.aborted);
        this.#promise.done();

        if (error) {
            this.#promise.reject(error);
            this.#reader?.cancel(error).catch(() => { });
            this.#pieces = [];
            this.#controller?.error(error);

        } else if (this.#controller && this.#pieces.length === 0) {
            this.#controller.close();
        }

        this.#wanted?.();
    }

    header({ header }) {
        const { status, statusText, headers } = header;
        const none = NO_BODY.includes(status)
                     || this.#request.method === 'HEAD';
        const fields = new Headers();

        for (const [ name, value ] of headers) {
            fields.append(name, value);
        }

        const body = none ? null : new ReadableStream({
            start: controller => { this.#controller = controller; },
            pull: () => this.#pull(),
            cancel: reason => {
                this.#controller = null;        // is closed

                if (!this.#ended) {
                    this.#abort(reason ?? new DOMException('cancelled',
                                                           'AbortError'));
                }
            },
        }, { highWaterMark: 0 });

        try {
            this.#promise.resolve(new Response(body, { status, statusText,
                                                       headers: fields }));
        } catch (e) {
            this.#abort(new AtlsError({ code: 'http', message: e.message }));
        }
    }

    piece({ bytes }) {
        if (!this.#ended) {
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
        }
    }

    async want() {
        try {
            const { done, value } = await this.#reader.read();

            if (!done && !(value instanceof Uint8Array)) {
                throw new TypeError('a body must be a stream of Uint8Array');
            }

            this.#post({ type: 'body', bytes: done ? null : value });

        } catch (e) {
            this.#abort(e);
        }
    }

    end() {
        this.#finish();
    }

    error({ error }) {
        this.#finish(new AtlsError(error));
    }
}


// The body of a request: { bytes, length } or { stream, length }.

async function content(body, headers) {
    if (body === null) {
        return {};
    }

    if (body instanceof ReadableStream) {
        return { stream: body, length: -1 };
    }

    const response = new Response(body);
    const type = response.headers.get('Content-Type');

    if (type !== null && !headers.has('Content-Type')) {
        headers.set('Content-Type', type);
    }

    if (body instanceof Blob) {
        return { stream: body.stream(), length: body.size };
    }

    const bytes = new Uint8Array(await response.arrayBuffer());

    return { bytes, length: bytes.length };
}


function describe(response, url, redirected) {
    return Object.defineProperties(response, {
        url: { value: url.href },
        redirected: { value: redirected },
    });
}
