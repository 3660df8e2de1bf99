// The session of a client: its handshake, its requests, and the POSTs that
// carry them, sent by fetch().  See docs/protocol.md.

const MEDIA_TYPE = 'application/atls+octet-stream';
const PROBLEM = 'tag:atls,2026:';

const MAX_FLIGHTS = 8;
const RETRIES = 5;                              // of a POST
const SURE = 2000;                              // ms since the last response
const PAUSE = 50, MAX_PAUSE = 10000;
const MIN_REPEATABLE = 21;                      // bytes
const MAX_PROBLEM = 16384;                      // characters
const ALERT_TIMEOUT = 30000;
const RECORD = 16384;


// An error of the path or of the session.  code: 'network', 'outer-status',
// 'media-type', 'location', 'tls', 'truncated', 'session-lost', 'usage'.

export class PathError extends Error {
    constructor(code, message, details = {}) {
        super(message);
        this.code = code;
        Object.assign(this, details);
    }
}


const pause = (ms, signal) => new Promise((resolve, reject) => {
    signal.throwIfAborted();

    const timer = setTimeout(() => {
        signal.removeEventListener('abort', aborted);
        resolve();
    }, ms);

    function aborted() {
        clearTimeout(timer);
        reject(signal.reason);
    }

    signal.addEventListener('abort', aborted, { once: true });
});


function join(parts) {
    const bytes = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
    let at = 0;

    for (const part of parts) {
        bytes.set(part, at);
        at += part.length;
    }

    return bytes;
}


// What others than the endpoint respond to a repetition does not tell the fate of
// the first attempt.

function refuse(first, error) {
    if (first) {
        return { error };
    }

    throw error;
}


// The type of a problem document of the endpoint, without its prefix.

async function problem(response) {
    const type = response.headers.get('Content-Type') ?? '';

    if (!/^application\/problem\+json\b/i.test(type)) {
        response.body?.cancel().catch(() => { });
        return null;
    }

    const decoder = new TextDecoder();
    let text = '';

    try {
        for await (const piece of stream(response)) {
            text += decoder.decode(piece, { stream: true });

            if (text.length > MAX_PROBLEM) {
                return null;                    // not one of the endpoint
            }
        }

        const { type: name } = JSON.parse(text);

        return typeof name === 'string' && name.startsWith(PROBLEM)
               ? name.slice(PROBLEM.length) : null;

    } catch {
        return null;
    }
}


export class Session {

    #tls;
    #via;
    #uri;
    #postSize;
    #known = false;                             // it has a URI
    #cut = false;                               // a POST has no whole response
    #seen = 0;

    constructor(service, { via, postSize }) {
        this.#tls = service.session();
        this.#via = via;
        this.#uri = via;
        this.#postSize = postSize;
    }

    // Whether another request can be sent, without POSTs.

    get idle() {
        return this.#tls.open && !this.#tls.closed;
    }

    free() {
        this.#tls.free();
    }

    // With TLS 1.3, the last flight is sent with the first request.

    async open(signal) {
        const tls = this.#tls;
        const error = new PathError('tls', 'the server did not continue the '
                                           + 'handshake');
        const missing = () => tls.open || tls.pending ? null : error;

        for (let i = 0; i < MAX_FLIGHTS && !tls.open; i++) {
            await this.#post(tls.out(), { signal, missing });
        }

        if (!tls.open) {
            throw error;
        }
    }

    // Whether the session still exists: an empty POST is answered at once.  A
    // forged response costs a handshake, or the request fails without it, too.

    async exists(signal) {
        if (performance.now() - this.#seen < SURE) {
            return true;
        }

        try {
            await this.#post(new Uint8Array(0), { signal });
            return !this.#tls.closed;

        } catch (e) {
            if (signal.aborted) {
                throw e;
            }

            return false;
        }
    }

    // Sends a request: { method, path, fields, length, body }, where body is an
    // iterable of pieces, or undefined.  header() gets the header of the
    // response, and piece() each piece of its body; it returns a promise.
    // Returns whether the session can be used again.

    async perform(request, { header, piece, sending, signal }) {
        const tls = this.#tls;
        let status = 0;

        const received = async () => {
            if (tls.hasHeader && !status) {
                const head = tls.header();

                status = head.status;
                header(head);
            }

            const bytes = tls.body();

            if (bytes.length) {
                await piece(bytes);
            }
        };

        // the response makes the rest of the request useless

        const answered = () => tls.closed
            || (tls.complete && (status >= 300 || !tls.reusable));

        const error = new PathError('truncated', 'the response is incomplete');
        const missing = () => tls.complete || tls.closed ? null : error;

        tls.request(request.method, request.path, request.fields,
                    request.length);

        const whole = await this.#send(request, answered, (records, last) => {
            sending();

            return this.#post(records, { signal, received,
                                         missing: last ? missing : undefined });
        });

        if (!tls.complete) {
            throw error;
        }

        return whole && tls.reusable && !tls.closed;
    }

    // Sends what was written of a request, and its body.  The last POST has its
    // end.  Returns whether the request was sent to its end.

    async #send({ length, body = [] }, answered, post) {
        const tls = this.#tls;
        const queue = [ tls.out() ];
        let size = queue[0].length;
        let rest = length;                      // negative: unknown
        let begun = false;

        const flush = async last => {
            const records = join(queue.splice(0));

            size = 0;
            begun = true;
            await post(records, last);
        };

        const write = bytes => {
            tls.write(bytes);

            const records = tls.out();

            queue.push(records);
            size += records.length;
            rest -= bytes.length;
        };

        try {
            for await (const bytes of body) {
                for (let at = 0; at < bytes.length && !answered();
                     at += RECORD)
                {
                    write(bytes.subarray(at, at + RECORD));

                    if (size >= this.#postSize && rest !== 0) {
                        await flush(false);
                    }
                }

                if (answered()) {
                    break;
                }
            }

        } catch (e) {
            this.#abandon(begun ? queue : null);
            throw e;
        }

        if (answered()) {
            this.#abandon(queue);
            return false;
        }

        if (length === -1) {
            write(new Uint8Array(0));
        }

        await flush(true);

        return true;
    }

    // The server has a part of a request, and would wait for the rest of it.

    #abandon(queue) {
        if (queue === null || this.#cut || this.#tls.closed) {
            return;
        }

        this.#tls.shutdown();
        this.#notify(join([ ...queue, this.#tls.out() ]),
                     AbortSignal.timeout(ALERT_TIMEOUT));
    }

    // Sends a close_notify.  Errors are of no interest.

    async close(signal) {
        this.#tls.shutdown();

        const records = this.#tls.out();

        if (records.length) {
            await this.#notify(records, signal);
        }
    }

    // Sends records whose response is of no interest.

    async #notify(records, signal) {
        try {
            const response = await this.#fetch(records, signal);

            await response.body?.cancel();

        } catch { /* the server finds out by itself */ }
    }

    async #fetch(bytes, signal) {
        try {
            return await fetch(this.#uri, {
                method: 'POST',
                headers: { 'Content-Type': MEDIA_TYPE },
                body: bytes,
                mode: 'cors',
                credentials: 'omit',
                cache: 'no-store',
                redirect: 'error',
                referrerPolicy: 'no-referrer',
                signal,
            });

        } catch (e) {
            throw new NetworkError(cause(e));
        }
    }

    // Sends a POST and passes its response to TLS.  If there is no response, or
    // not all of it, the same POST is sent again: the server recognizes it, and
    // sends the same response.  missing() returns an error if the response ends
    // too soon: a middlebox has cut it.

    async #post(bytes, { signal, received = async () => { },
                         missing = () => null }) {

        const repeatable = bytes.length >= MIN_REPEATABLE;
        const opening = !this.#known;
        let passed = 0;                         // bytes passed to TLS
        let first;

        this.#cut = true;

        for (let tries = 0; ; tries++) {
            let wait = Math.min(PAUSE * 3 ** tries, MAX_PAUSE);
            let again;

            try {
                const response = await this.#fetch(bytes, signal);

                again = await this.#accept(response, first);

                if (again === null) {
                    let skip = passed;

                    for await (const piece of stream(response)) {
                        const rest = piece.subarray(Math.min(skip,
                                                             piece.length));

                        skip -= piece.length - rest.length;

                        if (rest.length) {
                            passed += rest.length;
                            this.#receive(rest);
                            await received();
                        }
                    }

                    await received();

                    if (!this.#known) {
                        throw new PathError('location',
                            'the endpoint gives no URI to sessions: see '
                            + 'atls_session_tracking');
                    }

                    const error = missing();

                    if (error === null) {
                        this.#seen = performance.now();
                        this.#cut = false;
                        return;
                    }

                    again = { error };
                }

            } catch (e) {
                if (signal.aborted) {
                    throw signal.reason;
                }

                if (!(e instanceof NetworkError)) {
                    throw e;
                }

                again = { error: new PathError('network',
                          'the endpoint cannot be reached, or does not allow '
                          + `this origin: ${e.message}`) };
            }

            first ??= again.error;

            if (!repeatable || tries === RETRIES) {
                throw first;
            }

            // repeated without the URI, the first POST of a session starts
            // another one, even if it was answered with a HelloRetryRequest

            if (opening && passed === 0) {
                this.#uri = this.#via;
                this.#known = false;
            }

            wait = Math.max(wait, again.after ?? 0);

            if (wait > MAX_PAUSE) {
                throw first;
            }

            await pause(wait, signal);
        }
    }

    #receive(bytes) {
        try {
            this.#tls.receive(bytes);

        } catch (e) {
            const alert = this.#tls.out();

            if (alert.length) {
                this.#notify(alert, AbortSignal.timeout(ALERT_TIMEOUT));
            }

            throw e;
        }
    }

    // null if the response is one of ATLS; { error, after } if the POST may be
    // sent again.

    async #accept(response, first) {
        const { status } = response;

        if (status === 200 || status === 201) {
            const type = response.headers.get('Content-Type') ?? '';

            if (type.split(';')[0].trim().toLowerCase() !== MEDIA_TYPE) {
                response.body?.cancel().catch(() => { });

                return refuse(first, new PathError('media-type',
                    `the endpoint returned the type "${type}"`, { status }));
            }

            if (status === 201) {
                this.#locate(response);
            }

            return null;
        }

        const name = await problem(response);
        const lost = status === 409 || status === 410;
        const error = new PathError(
            lost ? 'session-lost' : 'outer-status',
            `the endpoint returned ${status}` + (name ? ` (${name})` : ''),
            { status, problem: name });

        // the first attempt, or one of another sender, is in progress

        if (first && name === 'session-busy') {
            return { error };
        }

        // after a repetition, the response cannot be had any more

        if (first && lost) {
            throw Object.assign(first, { lost });
        }

        if (status === 503 || (!name && [ 408, 502, 504 ].includes(status))) {
            const after = Number(response.headers.get('Retry-After') ?? 0);

            return { error, after: after >= 0 ? after * 1000 : 0 };
        }

        if (first && name) {
            throw first;
        }

        return refuse(first, error);
    }

    // The URI of the session: at the same server.

    #locate(response) {
        const location = response.headers.get('Location');
        const via = new URL(this.#via);
        let url;

        try {
            url = new URL(location, via);
        } catch {
            url = null;
        }

        if (location === null || url === null || url.origin !== via.origin
            || url.username || url.password)
        {
            response.body?.cancel().catch(() => { });
            throw new PathError('location', 'the endpoint returned 201 without '
                                + 'a valid Location', { status: 201 });
        }

        this.#uri = url.href;
        this.#known = true;
    }
}


// The reason of an error of fetch(); Node.js has it in another one.

const cause = e => e.cause?.message || e.cause?.code || e.message;


// There is no response, or it was cut.

class NetworkError extends Error { }


async function* stream(response) {
    if (response.body === null) {
        return;
    }

    const reader = response.body.getReader();

    try {
        for (;;) {
            let result;

            try {
                result = await reader.read();
            } catch (e) {
                throw new NetworkError(e.message);
            }

            if (result.done) {
                return;
            }

            yield result.value;
        }

    } finally {
        reader.cancel().catch(() => { });
    }
}
