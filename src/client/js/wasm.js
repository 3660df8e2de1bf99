// The WebAssembly module: its imports, and values in its memory.  See module.js.

const EBADF = 8, ENOSYS = 52;                   // WASI

const decoder = new TextDecoder();


export async function instantiate(bytes) {
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
            throw new WebAssembly.RuntimeError(`exit ${status}`);
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

    // Calls f with the addresses of values in memory, which is wiped and freed.

    with(values, f) {
        const addresses = [];

        try {
            for (const value of values) {
                const address = this.exports.js_alloc(value.length);

                if (address === 0) {
                    throw new RangeError('out of memory');
                }

                addresses.push(address);
                this.bytes.set(value, address);
            }

            return f(...addresses);

        } finally {
            addresses.forEach((address, i) => {
                this.exports.js_free(address, values[i].length);
            });
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
}
