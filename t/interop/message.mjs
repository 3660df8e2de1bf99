// Requests with exported keys, by docs/protocol.md: Node.js and its crypto.
//
// stdin: { url, requests: [ { keyid, request_key, response_key (hex), plain
// (base64), size } ] }; all of them are sent at once.  stdout: [ { plain }
// (base64) or { error } ].
//
//     node message.mjs            own code for the messages
//     node message.mjs http_ece   that of http_ece, from npm
//
// With { url, ca, protocol, requests: [ { plain, size } ] }, the session is a
// TLSSocket, which exports the keys.

import crypto from 'node:crypto';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { Duplex } from 'node:stream';
import { json } from 'node:stream/consumers';
import tls from 'node:tls';

const OVERHEAD = 1 + 16;                // delimiter and tag


// The records of a message.

class Cipher {
    #key;
    #nonce;
    #number = 0n;

    constructor(key, salt) {
        const derive = (info, length) => Buffer.from(crypto.hkdfSync(
            'sha256', key, salt, `Content-Encoding: ${info}\0`, length));

        this.#key = derive('aes128gcm', 16);
        this.#nonce = derive('nonce', 12);
    }

    #next() {
        const nonce = Buffer.from(this.#nonce);
        const end = nonce.readBigUInt64BE(4) ^ this.#number++;

        nonce.writeBigUInt64BE(end, 4);
        return nonce;
    }

    seal(data, delimiter) {
        const gcm = crypto.createCipheriv('aes-128-gcm', this.#key,
                                          this.#next());

        return Buffer.concat([ gcm.update(data),
                               gcm.update(Buffer.of(delimiter)), gcm.final(),
                               gcm.getAuthTag() ]);
    }

    open(record) {
        const gcm = crypto.createDecipheriv('aes-128-gcm', this.#key,
                                            this.#next());

        gcm.setAuthTag(record.subarray(-16));

        const plain = Buffer.concat([ gcm.update(record.subarray(0, -16)),
                                      gcm.final() ]);
        let end = plain.length - 1;

        while (end >= 0 && plain[end] === 0) {
            end--;
        }

        if (plain[end] !== 1 && plain[end] !== 2) {
            throw new Error('no delimiter');
        }

        return [ plain.subarray(0, end), plain[end] ];
    }
}


const own = {
    seal(key, keyid, plain, size) {
        const header = Buffer.alloc(21);

        crypto.randomFillSync(header, 0, 16);
        header.writeUInt32BE(size, 16);
        header[20] = keyid.length;

        const cipher = new Cipher(key, header.subarray(0, 16));
        const message = [ header, Buffer.from(keyid) ];
        const room = size - OVERHEAD;

        for (; plain.length > room; plain = plain.subarray(room)) {
            message.push(cipher.seal(plain.subarray(0, room), 1));
        }

        return Buffer.concat([ ...message, cipher.seal(plain, 2) ]);
    },

    open(key, keyid, message) {
        const size = message.readUInt32BE(16);
        const start = 21 + message[20];

        if (message.toString('latin1', 21, start) !== keyid) {
            throw new Error('another keyid');
        }

        const cipher = new Cipher(key, message.subarray(0, 16));
        const plain = [];
        let delimiter = 1;
        let at = start;

        for (; delimiter === 1; at += size) {
            const record = message.subarray(at, at + size);

            if (record.length === 0) {
                throw new Error('the last record is missing');
            }

            let data;
            [ data, delimiter ] = cipher.open(record);
            plain.push(data);

            if (delimiter === 1 && record.length < size) {
                throw new Error('a short record');
            }
        }

        if (at < message.length) {
            throw new Error('data after the last record');
        }

        return Buffer.concat(plain);
    },
};


// It takes keys of 32 bytes only by way of the keyid, and does not compare it.

const library = ece => ({
    seal: (key, keyid, plain, size) =>
        ece.encrypt(plain, { keyid, rs: size, keymap: { [keyid]: key } }),

    open: (key, keyid, message) =>
        ece.decrypt(message, {}, id => id.toString() === keyid ? key : null),
});


async function exchange(url, code, request) {
    const { keyid, request_key, response_key, plain, size } = request;

    try {
        const r = await fetch(url, {
            method: 'POST',
            headers: { 'Content-Type': 'message/http',
                       'Content-Encoding': 'aes128gcm' },
            body: code.seal(Buffer.from(request_key, 'hex'), keyid,
                            Buffer.from(plain, 'base64'), size),
        });

        if (r.status !== 200) {
            throw new Error((await r.json()).type.replace(/.*:/, ''));
        }

        const message = Buffer.from(await r.arrayBuffer());
        const answer = code.open(Buffer.from(response_key, 'hex'), keyid,
                                 message);

        return { plain: answer.toString('base64') };

    } catch (e) {
        return { error: e.message };
    }
}


// A transport of TLS with a POST for each flight.

class Flights extends Duplex {
    cookie;
    idle = Promise.resolve();
    #url;
    #out = [];

    constructor(url) {
        super();
        this.#url = url;
    }

    _read() { }

    _write(data, encoding, done) {
        if (this.#out.push(data) === 1) {
            this.idle = this.idle.then(() => new Promise(setImmediate))
                                 .then(() => this.#post());
        }

        done();
    }

    async #post() {
        const r = await fetch(this.#url, {
            method: 'POST',
            headers: { 'Content-Type': 'application/atls+octet-stream',
                       ...this.cookie && { Cookie: `atls=${this.cookie}` } },
            body: Buffer.concat(this.#out.splice(0)),
        });

        this.cookie ??= /atls=([\w-]{24});/.exec(r.headers.get('set-cookie'))[1];
        this.push(Buffer.from(await r.arrayBuffer()));
    }
}


// Requests with the keys of a session, whose last flight has been received.

async function session({ url, ca, protocol, requests }) {
    const flights = new Flights(url);
    const socket = tls.connect({ socket: flights, servername: 'localhost', ca,
                                 minVersion: protocol, maxVersion: protocol });

    await once(socket, 'secureConnect');
    await flights.idle;

    return requests.map((request, number) => {
        const [ request_key, response_key ] = [ 1, 2 ].map(kind => {
            const context = Buffer.alloc(9, kind);

            context.writeBigUInt64BE(BigInt(number), 1);
            return socket.exportKeyingMaterial(32, 'application-layer-tls',
                                               context).toString('hex');
        });

        return { ...request, keyid: `${flights.cookie}.${number}`, request_key,
                 response_key };
    });
}


const what = await json(process.stdin);
const code = process.argv[2]
             ? library(createRequire(import.meta.url)(process.argv[2])) : own;
const requests = what.ca ? await session(what) : what.requests;

console.log(JSON.stringify(await Promise.all(
    requests.map(request => exchange(what.url, code, request)))));
process.exit();
