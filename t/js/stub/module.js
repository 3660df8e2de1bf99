// In place of src/client/js/module.js, for tests without WebAssembly: records
// that are neither encrypted nor authenticated, see endpoint.mjs.
//
//     a type, a length of two bytes, data
//     H   the first flight of each side
//     D   data
//     A   an alert
//     C   the session is closed
//
// Requests have the number of sessions that are not freed: X-Live.

const OPEN_BODY = Infinity;

const encoder = new TextEncoder();
const decoder = new TextDecoder();


export class LibraryError extends Error {
    constructor(code, text) {
        super(text);
        this.code = code;
    }
}


export async function load() {
    return {
        service(host, authority, ca, identity) {
            if (ca === 'none') {
                throw new LibraryError(5, 'cannot load the CA certificates');
            }

            if (identity && identity.key !== 'key') {
                throw new LibraryError(6, 'cannot use the key');
            }

            const service = { host, live: 0 };

            service.session = () => new Session(service);

            return service;
        },
    };
}


function join(...parts) {
    const bytes = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
    let at = 0;

    for (const part of parts) {
        bytes.set(part, at);
        at += part.length;
    }

    return bytes;
}


function record(type, bytes) {
    const head = new Uint8Array([ type.charCodeAt(0), bytes.length >> 8,
                                  bytes.length & 255 ]);

    return join(head, bytes);
}


class Session {

    #service;
    #in = new Uint8Array(0);
    #out = [];
    #head = '';
    #header;
    #body = [];
    #rest;
    #method;
    #chunked;
    #freed = false;

    constructor(service) {
        this.#service = service;
        this.open = this.closed = this.hasHeader = this.complete = false;
        service.live++;

        this.#send('H', encoder.encode(`${Math.random()}`.padEnd(32, '.')));
    }

    get pending() { return this.#out.length !== 0; }

    get reusable() { return this.complete && this.#rest !== OPEN_BODY; }

    #send(type, bytes) {
        this.#out.push(record(type, bytes));
    }

    out() {
        if (this.#freed) {
            throw new Error('the session was freed');
        }

        return join(...this.#out.splice(0));
    }

    receive(bytes) {
        this.#in = join(this.#in, bytes);

        while (this.#in.length >= 3 && !this.closed) {
            const n = this.#in[1] << 8 | this.#in[2];

            if (this.#in.length < 3 + n) {
                break;
            }

            const data = this.#in.slice(3, 3 + n);
            const type = String.fromCharCode(this.#in[0]);

            this.#in = this.#in.slice(3 + n);
            this.#record(type, data);
        }
    }

    #record(type, data) {
        switch (type) {

        case 'H':
            if (decoder.decode(data).includes('untrusted')) {
                this.#send('A', encoder.encode('unknown ca'));
                throw new LibraryError(31, 'the certificate is not trusted');
            }

            this.open = true;
            return;

        case 'D':
            this.#plain(data);
            return;

        case 'C':
            this.closed = true;
            this.complete ||= this.#rest === OPEN_BODY;
            return;

        case 'A':
            throw new LibraryError(30, 'the server sent an alert');
        }

        this.#send('A', encoder.encode('bad record'));
        throw new LibraryError(30, 'a bad record');
    }

    #plain(data) {
        if (!this.hasHeader) {
            this.#head += String.fromCharCode(...data);

            const end = this.#head.indexOf('\r\n\r\n');

            if (end === -1) {
                return;
            }

            data = Uint8Array.from(this.#head.slice(end + 4),
                                   c => c.charCodeAt(0));
            this.#parse(this.#head.slice(0, end).split('\r\n'));
        }

        const piece = data.subarray(0, Math.min(this.#rest, data.length));

        this.#body.push(piece);
        this.#rest -= piece.length;
        this.complete = this.#rest === 0;
    }

    #parse([ first, ...lines ]) {
        const [ , status, statusText ] = /^HTTP\/1\.1 (\d+) (.*)$/.exec(first)
                                         ?? [];

        if (!status) {
            throw new LibraryError(32, 'no status line');
        }

        const headers = lines.map(line => /^(.*?): ?(.*)$/.exec(line).slice(1));
        const length = headers.find(([ name ]) => name === 'Content-Length');

        this.#header = { status: Number(status), statusText, headers };
        this.#rest = this.#method === 'HEAD' || status === '204' ? 0
                     : length ? Number(length[1]) : OPEN_BODY;
        this.hasHeader = true;
    }

    request(method, path, fields, length = -2) {
        if (fields.some(([ name ]) => name === 'content-length')) {
            throw new LibraryError(1, 'invalid header');
        }

        if (path === '/crash') {
            setTimeout(() => { throw new Error('crashed'); });
        }

        if (path === '/trap') {
            throw new WebAssembly.RuntimeError('unreachable');
        }

        this.#method = method;
        this.#chunked = length === -1;
        this.#head = '';
        this.#body = [];
        this.hasHeader = this.complete = false;

        const lines = [ `${method} ${path} HTTP/1.1`,
                        `X-Live: ${this.#service.live}`,
                        ...fields.map(field => field.join(': ')) ];

        if (this.#chunked) {
            lines.push('Transfer-Encoding: chunked');
        } else if (length >= 0) {
            lines.push(`Content-Length: ${length}`);
        }

        this.#send('D', encoder.encode(lines.join('\r\n') + '\r\n\r\n'));
    }

    write(bytes) {
        if (!this.#chunked) {
            this.#send('D', bytes);
            return;
        }

        this.#send('D', join(encoder.encode(`${bytes.length.toString(16)}\r\n`),
                             bytes, encoder.encode('\r\n')));
    }

    header() { return this.#header; }

    body() { return join(...this.#body.splice(0)); }

    shutdown() {
        this.#send('C', encoder.encode('close_notify'));
    }

    free() {
        if (this.#freed) {
            throw new Error('the session was freed twice');
        }

        this.#freed = true;
        this.#service.live--;
    }
}
