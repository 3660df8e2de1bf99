#!/usr/bin/node

// libatls from Node.js, by the package koffi: a request, and its response as it
// arrives.
//
//     node libatls.mjs --endpoint URL [--ca FILE] [--data TEXT]
//                      https://HOST/PATH
//
// The numbers are those of atls.h, where they are part of the ABI.  A request
// blocks: use a worker thread if the program has other things to do.

import koffi from 'koffi';
import { parseArgs } from 'node:util';

const ENDPOINT = 0, CA_FILE = 1;                // atls_string_e
const BODY_MEMORY = 1;                          // atls_body_e

const lib = koffi.load('libatls.so.0');

koffi.struct('atls_header_t', { name: 'const char *', value: 'const char *' });

const onStatus = koffi.proto('int on_status(void *, int, const char *)');
const onHeader = koffi.proto(
    'int on_header(void *, const char *, const char *)');
const onBody = koffi.proto('int on_body(void *, void *, size_t)');

koffi.struct('atls_request_t', {
    method: 'const char *', path: 'const char *',
    headers: 'atls_header_t *', nheaders: 'size_t',
    body: 'int', bytes: 'void *', file: 'void *', fd: 'int',
    read: 'void *', rewind: 'void *', length: 'int64_t',
    on_status: koffi.pointer(onStatus), on_header: koffi.pointer(onHeader),
    on_body: koffi.pointer(onBody), on_wait: 'void *', data: 'void *',
});

koffi.opaque('atls_client_t');

const create = lib.func(
    'int atls_client_create(_Out_ atls_client_t **client, const char *target)');
const free = lib.func('void atls_client_free(atls_client_t *client)');
const setString = lib.func('int atls_set_string(atls_client_t *client, '
                           + 'int option, const char *value)');
const perform = lib.func(
    'int atls_perform(atls_client_t *client, const atls_request_t *request)');
const close = lib.func('void atls_close(atls_client_t *client)');
const errorText = lib.func(
    'const char *atls_error_text(const atls_client_t *client)');
const strerror = lib.func('const char *atls_strerror(int error)');


// A client for one service.

export class Client {

    #client = null;

    constructor(target, { endpoint = null, ca = null } = {}) {
        const client = [ null ];

        this.#check(create(client, target));
        this.#client = client[0];
        this.#check(setString(this.#client, ENDPOINT, endpoint));
        this.#check(setString(this.#client, CA_FILE, ca));
    }

    #check(code) {
        if (code === 0) {
            return;
        }

        const text = this.#client ? errorText(this.#client) : '';

        throw Object.assign(new Error(strerror(code) + (text && ': ' + text)),
                            { code });
    }

    // Returns { status, headers, body }.  With onBody, pieces of the body are
    // passed to it instead.

    request({ path = '/', method = null, headers = {}, data = null,
              onBody: take } = {}) {

        const response = { status: 0, headers: [], body: [] };
        let failed = null;

        take ??= piece => response.body.push(piece);

        // an exception must not pass through C: 1 aborts the request

        const callback = f => (_, ...args) => {
            try {
                f(...args);
                return 0;
            } catch (e) {
                failed = e;
                return 1;
            }
        };

        const fields = Object.entries(headers)
                             .map(([ name, value ]) => ({ name, value }));

        const code = perform(this.#client, {
            method, path, headers: fields, nheaders: fields.length,
            body: data ? BODY_MEMORY : 0, bytes: data, file: null, fd: 0,
            read: null, rewind: null, length: data ? data.length : 0,
            on_status: callback(status => { response.status = status; }),
            on_header: callback((name, value) => {
                response.headers.push([ name, value ]);
            }),
            on_body: callback((p, n) => {
                take(Buffer.from(koffi.decode(p, 'uint8_t', Number(n))));
            }),
            on_wait: null, data: null,
        });

        if (failed) {
            throw failed;
        }

        this.#check(code);

        return { ...response, body: Buffer.concat(response.body) };
    }

    close() {
        close(this.#client);                    // close_notify, in a POST
        free(this.#client);
        this.#client = null;
    }
}


const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { endpoint: { type: 'string' }, ca: { type: 'string' },
               data: { type: 'string' } },
});

if (positionals.length !== 1) {
    console.error('usage: node libatls.mjs [--endpoint URL] [--ca FILE] '
                  + '[--data TEXT] https://HOST/PATH');
    process.exit(2);
}

const url = new URL(positionals[0]);

try {
    const client = new Client(url.origin, values);

    const { status, headers } = client.request({
        path: url.pathname + url.search,
        headers: { 'X-From': 'Node.js' },
        data: values.data === undefined ? null : Buffer.from(values.data),
        onBody: piece => process.stdout.write(piece),
    });

    console.error(`\nstatus ${status}, ${headers.length} headers`);
    client.close();

} catch (e) {
    console.error(`libatls.mjs: ${e.message} (${e.code})`);
    process.exitCode = 1;
}
