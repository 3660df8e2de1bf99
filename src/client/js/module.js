// libatls (binding.c): the inner session and its requests.  It neither sends nor
// receives; records are exchanged with session.js.

import { instantiate } from './wasm.js';

const OPEN = 1, CLOSED = 2, PENDING = 4, HEADER = 8, COMPLETE = 16,
      REUSABLE = 32;                            // js_session_state()

const encoder = new TextEncoder();

const cString = text => encoder.encode(text + '\0');

// header fields are bytes

const latin1 = bytes => {
    let text = '';

    for (const byte of bytes) {
        text += String.fromCharCode(byte);
    }

    return text;
};


// The error of libatls; code is a number of atls_error_e.

export class LibraryError extends Error {
    constructor(code, text) {
        super(text);
        this.code = code;
    }
}


export async function load(bytes) {
    const library = await instantiate(bytes);

    return {
        library,
        service: (...args) => new Service(library, ...args),
    };
}


class Service {

    // identity: { cert, key, passphrase }, or undefined

    constructor(library, host, authority, ca, identity) {
        const { exports } = library;

        this.library = library;
        this.handle = library.with([ host, authority, ca ].map(cString),
                                   exports.js_service_create);
        if (!this.handle) {
            throw new LibraryError(2, 'out of memory');
        }

        try {
            this.#check();

            if (identity) {
                this.#identify(identity);
                this.#check();
            }

        } catch (e) {
            exports.js_service_free(this.handle);
            throw e;
        }
    }

    #check() {
        const { exports } = this.library;
        const code = exports.js_service_error(this.handle);

        if (code !== 0) {
            throw new LibraryError(code, this.library.string(
                exports.js_service_text(this.handle)));
        }
    }

    #identify({ cert, key, passphrase }) {
        const texts = [ cert, key, passphrase ].map(cString);

        this.library.with(texts, (...addresses) =>
            this.library.exports.js_service_identify(this.handle,
                                                     ...addresses));
        texts.forEach(bytes => bytes.fill(0));
    }

    session() {
        return new Session(this);
    }
}


class Session {
    constructor(service) {
        const { exports } = service.library;

        this.library = service.library;
        this.handle = exports.js_session_create(service.handle);

        if (!this.handle) {
            throw new LibraryError(2, 'out of memory');
        }

        try {
            this.#check(exports.js_session_error(this.handle));

        } catch (e) {
            this.free();
            throw e;
        }
    }

    #check(code) {
        if (code !== 0) {
            const { exports } = this.library;

            throw new LibraryError(code, this.library.string(
                exports.js_session_text(this.handle)));
        }
    }

    #state(bit) {
        return (this.library.exports.js_session_state(this.handle) & bit) !== 0;
    }

    get open() { return this.#state(OPEN); }
    get closed() { return this.#state(CLOSED); }
    get pending() { return this.#state(PENDING); }
    get hasHeader() { return this.#state(HEADER); }
    get complete() { return this.#state(COMPLETE); }
    get reusable() { return this.#state(REUSABLE); }

    // Takes the records to be sent.

    out() {
        return this.library.buf(this.library.exports.js_session_out(
                                                                this.handle));
    }

    receive(bytes) {
        this.#check(this.library.with([ bytes ], p =>
            this.library.exports.js_session_receive(this.handle, p,
                                                    bytes.length)));
    }

    // length: undefined for no body, -1 if it is unknown

    request(method, path, fields, length = -2) {
        const names = fields.flat();

        // characters of a field are bytes: the API of headers ensures it

        const bytes = Uint8Array.from(names.map(text => text + '\0').join(''),
                                      c => c.charCodeAt(0));

        this.#check(this.library.with([ cString(method), cString(path), bytes ],
            (m, p, f) => this.library.exports.js_session_request(
                             this.handle, m, p, f, bytes.length, length)));
    }

    write(bytes) {
        this.#check(this.library.with([ bytes ], p =>
            this.library.exports.js_session_write(this.handle, p,
                                                  bytes.length)));
    }

    // { status, statusText, headers: [ [ name, value ], ... ] }

    header() {
        const { exports } = this.library;
        const strings = latin1(this.library.buf(
                            exports.js_session_header(this.handle)))
                        .split('\0').slice(0, -1);
        const headers = [];

        for (let i = 2; i < strings.length; i += 2) {
            headers.push([ strings[i], strings[i + 1] ]);
        }

        return { status: Number(strings[0]), statusText: strings[1], headers };
    }

    // Takes what was received of the body.

    body() {
        const { exports } = this.library;
        const bytes = this.library.buf(exports.js_session_body(this.handle));

        exports.js_session_clear(this.handle);

        return bytes;
    }

    shutdown() {
        this.library.exports.js_session_shutdown(this.handle);
    }

    free() {
        this.library.exports.js_session_free(this.handle);
        this.handle = 0;
    }
}
