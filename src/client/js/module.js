// libatls as WebAssembly (binding.c): the inner session and its requests.  It
// neither sends nor receives; records are exchanged with session.js.

const OPEN = 1, CLOSED = 2, RESUMED = 4, PENDING = 8, HEADER = 16,
      COMPLETE = 32, REUSABLE = 64;             // js_session_state()

const EBADF = 8, ENOSYS = 52;                   // WASI

const encoder = new TextEncoder();
const decoder = new TextDecoder();

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
    const module = await WebAssembly.compile(bytes);
    const imports = {};
    let memory;

    const view = () => new DataView(memory.buffer);

    // no system: files do not exist, and the environment is empty

    const known = {
        clock_time_get(id, precision, result) {
            const time = id === 0 ? Date.now() : performance.now();

            view().setBigUint64(result, BigInt(Math.round(time * 1e6)), true);
            return 0;
        },

        environ_sizes_get(count, size) {
            view().setUint32(count, 0, true);
            view().setUint32(size, 0, true);
            return 0;
        },

        environ_get: () => 0,

        proc_exit(status) {
            throw new Error(`libatls has exited: ${status}`);
        },

        emscripten_notify_memory_growth() { },

        js_random(address, n) {
            try {
                const buf = new Uint8Array(n);

                crypto.getRandomValues(buf);
                new Uint8Array(memory.buffer).set(buf, address);
                return 1;

            } catch {
                return 0;
            }
        },
    };

    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
        imports[from] ??= {};
        imports[from][name] = known[name]
                              ?? (from === 'env' ? () => -ENOSYS : () => EBADF);
    }

    const { exports } = await WebAssembly.instantiate(module, imports);

    memory = exports.memory;
    exports._initialize();

    return new Library(exports);
}


class Library {
    constructor(exports) {
        this.exports = exports;
    }

    get bytes() {
        return new Uint8Array(this.exports.memory.buffer);
    }

    // Calls f with the addresses of values in memory, which is freed.

    with(values, f) {
        const addresses = [];

        try {
            for (const value of values) {
                const address = this.exports.js_alloc(value.length);

                if (address === 0) {
                    throw new LibraryError(2, 'out of memory');
                }

                addresses.push(address);
                this.bytes.set(value, address);
            }

            return f(...addresses);

        } finally {
            addresses.forEach(address => this.exports.js_free(address));
        }
    }

    string(address) {
        const bytes = this.bytes;

        return decoder.decode(bytes.slice(address, bytes.indexOf(0, address)));
    }

    // A copy of an atls_buf_t.

    buf(address) {
        const view = new DataView(this.exports.memory.buffer);
        const data = view.getUint32(address, true);

        return this.bytes.slice(data, data + view.getUint32(address + 4, true));
    }

    service(host, authority, ca) {
        return new Service(this, host, authority, ca);
    }
}


const cString = text => encoder.encode(text + '\0');


class Service {
    constructor(library, host, authority, ca) {
        const pem = encoder.encode(ca);

        this.library = library;
        this.handle = library.with([ cString(host), cString(authority), pem ],
            (h, a, c) => library.exports.js_service_create(h, a, c,
                                                           pem.length));
        if (this.handle === 0) {
            throw new LibraryError(2, 'out of memory');
        }

        const error = library.string(
                          library.exports.js_service_error(this.handle));

        if (error) {
            library.exports.js_service_free(this.handle);
            throw new LibraryError(5, error);
        }
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

        if (this.handle === 0) {
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
    get resumed() { return this.#state(RESUMED); }
    get pending() { return this.#state(PENDING); }
    get hasHeader() { return this.#state(HEADER); }
    get complete() { return this.#state(COMPLETE); }
    get reusable() { return this.#state(REUSABLE); }

    get info() {
        const { exports } = this.library;

        return {
            protocol: this.library.string(
                          exports.js_session_protocol(this.handle)),
            cipher: this.library.string(exports.js_session_cipher(this.handle)),
            resumed: this.resumed,
        };
    }

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
