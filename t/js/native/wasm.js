// In place of src/client/js/wasm.js, for tests without WebAssembly: the same
// functions of binding.c in a shared library, called by the package koffi.

import { fileURLToPath } from 'node:url';
import koffi from 'koffi';

const BUF = koffi.struct('atls_buf_t', { data: 'void *', len: 'size_t',
                                         size: 'size_t' });

const PROTOTYPES = [
    'void *js_service_create(const uint8_t *host, const uint8_t *authority, '
                            + 'const uint8_t *ca)',
    'void js_service_identify(void *service, const uint8_t *certificate, '
                             + 'const uint8_t *key, const uint8_t *passphrase)',
    'int js_service_error(void *service)',
    'const char *js_service_text(void *service)',
    'void js_service_free(void *service)',
    'void *js_session_create(void *service)',
    'void js_session_free(void *session)',
    'int js_session_error(void *session)',
    'const char *js_session_text(void *session)',
    'int js_session_state(void *session)',
    'void *js_session_out(void *session)',
    'int js_session_receive(void *session, const uint8_t *bytes, size_t n)',
    'void *js_session_header(void *session)',
    'void *js_session_body(void *session)',
    'void js_session_clear(void *session)',
    'int js_session_request(void *session, const uint8_t *method, '
                           + 'const uint8_t *path, const uint8_t *fields, '
                           + 'size_t n, double length)',
    'int js_session_write(void *session, const uint8_t *bytes, size_t n)',
    'void js_session_shutdown(void *session)',
];


// Node.js may have another OpenSSL, whose functions must not be used: "deep".

export async function instantiate() {
    const path = fileURLToPath(new URL('./binding.so', import.meta.url));
    const library = koffi.load(path, { deep: true });

    return {
        exports: Object.fromEntries(PROTOTYPES.map(prototype =>
            [ /(\w+)\(/.exec(prototype)[1], library.func(prototype) ])),

        // koffi passes the addresses of arrays

        with: (values, f) => f(...values),

        string: text => text,

        // a copy

        buf(address) {
            const { data, len } = koffi.decode(address, BUF);

            return Uint8Array.from(len ? koffi.decode(data, 'uint8_t',
                                                      Number(len)) : []);
        },
    };
}
